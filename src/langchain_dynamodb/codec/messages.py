"""Messages as bytes: one line of JSON per message, and blocks of deflated lines.

A line is a flat JSON object: ``type`` and those fields of the message that differ from their defaults, extra fields
among them. It reads back as an equal message of the same class: `encode_message` reads back what it wrote
and refuses what is not the same.

Plain JSON is read and written here and in `lines`; messages with other values take the way through `objects`, `values`,
`marks` and `verifying`.

Nothing here does I/O, and reading runs no code that the bytes could choose.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import compress, repeat
from operator import itemgetter
from typing import Any

import orjson
from langchain_core.messages import BaseMessage, RemoveMessage

from .._checks import short
from ..errors import InvalidInputError, MessageTooLargeError, UnsupportedMessageError
from .classes import MESSAGES, MessageClass, full_name, register_message_class
from .lines import (
    VALUES_MARK,
    UndecodableError,
    from_json,
    from_json_each,
    is_plain,
    pack,
    to_any_json,
    unpack,
    unpack_each,
)
from .marks import Reader
from .objects import Writer
from .places import Degraded, nth_message
from .sealing import Cipher, Place
from .stack import with_room
from .telling import tell
from .verifying import MakeReader, check_comes_back, reason, written

_set = object.__setattr__
_OBJECT = {ord("{")}  # how lines of plain JSON begin
_ID = re.compile(r"[\w.:-]+", re.ASCII)
# What takes about a millisecond to encode: more is not done on the event loop, less is not worth a thread.
MANY_MESSAGES = 128
MANY_BYTES = 128 << 10
MANY_VALUES = 4096  # in lists and dicts
OTHER_VALUE = 32  # plain ones take as long as one that is not of JSON's types
_NUMBERS = frozenset([int, float, bool])

__all__ = [
    "Codec",
    "Place",
    "UndecodableError",
    "assemble",
    "decode_line",
    "decode_lines",
    "encode",
    "encode_message",
    "encode_messages",
    "is_instruction",
    "last_with_id",
    "pack",
    "register_message_class",
    "unpack",
]


def encode_message(
    message: BaseMessage, path: str = "message", *, strict: bool = False, degraded: list[Degraded] | None = None
) -> bytes:
    """Return the message as one line, which has a newline only in front of binary values.

    What comes back as something else is added to `degraded`.

    Raises UnsupportedMessageError where it could not be read back, InvalidInputError if it is no message.
    """
    kind = class_of(message, path)
    fields = changed_fields(kind, message, path)
    try:
        if is_plain(fields.values()):
            line = orjson.dumps(fields)
            if _is_equal(assemble(orjson.loads(line)), message):
                return line
    except Exception:
        pass
    line, told = with_room(lambda last: _encode_values(message, kind, fields, path, strict, last))
    if degraded is not None:
        degraded += told
    return line


def _is_equal(read: BaseMessage, message: BaseMessage) -> bool:
    """Whether a message of plain JSON came back.

    orjson keeps bool, int and float apart, so equality (for which True == 1 == 1.0) is enough. It fails for what orjson
    turns into something else: NaN into null, and what is in a field by another's name.
    """
    return (
        type(read) is type(message)
        and read.__dict__ == message.__dict__
        and read.__pydantic_extra__ == message.__pydantic_extra__
        and read.__pydantic_private__ == message.__pydantic_private__
    )


def _encode_values(
    message: BaseMessage, kind: MessageClass, fields: dict[str, Any], path: str, strict: bool, last: bool
) -> tuple[bytes, list[Degraded]]:
    """The line of a message that is not plain JSON, and what of it will come back as something else."""
    writer = Writer(changed_fields, assemble, kind=kind, strict=strict, last=last)
    tree = written(writer, fields, path)
    line = to_any_json(tree)
    if writer.marked:
        line = b"".join([VALUES_MARK, line, b"\n" if writer.binary else b"", *writer.binary])
    check_comes_back(message, lambda reader: _from_line(line, reader), path, writer)
    return line, writer.degraded


def encode_messages(
    messages: Sequence[BaseMessage],
    path: str | None = None,
    *,
    strict: bool = False,
    degraded: list[Degraded] | None = None,
) -> list[bytes]:
    """Return one line per message; error paths begin with ``messages[i]``, or the `path` of a single one."""
    given: object = messages
    if not isinstance(given, Sequence) or isinstance(given, (str, bytes, bytearray)):
        raise InvalidInputError(f"messages is a {type(given).__name__}; give a list of messages.")
    return [
        encode_message(message, nth_message(index, path), strict=strict, degraded=degraded)
        for index, message in enumerate(messages)
    ]


def encode(
    messages: Sequence[BaseMessage],
    most: int,
    path: str | None = None,
    *,
    strict: bool = False,
    degraded: list[Degraded] | None = None,
) -> list[bytes]:
    """Return one line per message of what is to be stored, each of at most so many bytes.

    Errors name them as `encode_messages` does.
    What will come back as something else is added to `degraded`, or warned of, after everything else was checked.

    Raises InvalidInputError and its subclasses UnsupportedMessageError and MessageTooLargeError.
    """
    given, degraded = degraded, [] if degraded is None else degraded
    lines = encode_messages(messages, path, strict=strict, degraded=degraded)
    for i, line in enumerate(lines):
        if isinstance(messages[i], RemoveMessage):
            where = nth_message(i, path)
            raise UnsupportedMessageError(
                f"{where} is a RemoveMessage (id {short(messages[i].id)}): it tells a graph what to do and says "
                "nothing. Leave it out; to remove stored messages, use remove_message, truncate or replace",
                path=where,
            )
        if len(line) > most:
            raise MessageTooLargeError(
                f"{nth_message(i, path)} has {len(line)} bytes when encoded, more than the {most} allowed: store "
                "large content elsewhere and keep a reference, or raise Sizes(message=...)",
                size=len(line),
                limit=most,
            )
    if given is None and degraded:
        tell(degraded)
    return lines


def is_much(messages: Sequence[BaseMessage]) -> bool:
    """Whether it takes more than a millisecond to encode them, by a glance: they may be no messages."""
    try:
        return len(messages) > MANY_MESSAGES or _is_much(messages)
    except Exception:
        return False


def _is_much(messages: Iterable[BaseMessage]) -> bool:
    seen: list[Any] = []
    for message in messages:
        seen += message.__dict__.values()
        if message.__pydantic_extra__:
            seen.append(message.__pydantic_extra__)
    size, left = 0, MANY_VALUES
    for value in seen:  # to which their parts are added
        kind = type(value)
        if kind is str:
            size += len(value)
            continue
        if value is None or kind in _NUMBERS:
            continue
        if kind is dict:
            parts = value.values()
        elif kind is list:
            parts = value
        else:
            left -= OTHER_VALUE
            parts = ()
            if kind in (bytes, bytearray):
                size += len(value)
            elif kind in (tuple, set, frozenset):
                parts = value
            elif type(fields := getattr(value, "__dict__", None)) is dict:
                parts = fields.values()
        left -= len(parts)
        if left < 0:
            return True
        seen += parts
    return size > MANY_BYTES


def is_instruction(message: BaseMessage) -> bool:
    """Whether it tells a graph what to do and says nothing; langchain_community stores these too."""
    return isinstance(message, RemoveMessage)


def decode_line(line: bytes) -> BaseMessage:
    """Return the message that `encode_message` wrote; raises UndecodableError for any other bytes."""
    try:
        return assemble(with_room(lambda last: _from_line(line)))
    except MemoryError:
        raise
    except Exception as error:  # validators of any class may raise anything
        raise UndecodableError(reason(error)) from None


def last_with_id(lines: Sequence[bytes], message_id: str) -> int | None:
    """Which of the messages is the last one with this id.

    The UndecodableError of one after it that may be it, but cannot be decoded, carries its index.
    """
    text = message_id.encode() if _ID.fullmatch(message_id) else b""  # these look the same in all JSON
    for index in reversed(range(len(lines))):
        if text in lines[index]:
            try:
                if decode_line(lines[index]).id == message_id:
                    return index
            except UndecodableError as error:
                if _has_other_id(lines[index], message_id):
                    continue
                raise UndecodableError(error.reason, index) from None
    return None


def _has_other_id(line: bytes, message_id: str) -> bool:
    """Whether it is certain that a message that cannot be decoded (its class is not known here) has another id."""
    try:
        fields = from_json(line[len(VALUES_MARK) :].partition(b"\n")[0] if line.startswith(VALUES_MARK) else line)
    except (ValueError, RecursionError):
        return False
    return isinstance(fields, dict) and fields.get("id") != message_id


def decode_lines(lines: Sequence[bytes], *, again: bool = False) -> list[BaseMessage]:
    """Return the messages of all lines; the UndecodableError of a bad one carries its index.

    `again` tells that this process has decoded these very lines before: they need not be checked as much.
    """
    if again and (rebuilt := _rebuilt(lines)) is not None:
        return rebuilt
    stored, wrong = from_json_each(lines, lambda line: with_room(lambda last: _from_line(line)))
    messages: list[BaseMessage] = []
    try:
        for fields in stored:
            messages.append(assemble(fields))  # noqa: PERF401 - the length tells which line was bad
    except MemoryError:
        raise
    except Exception as error:  # as above
        raise UndecodableError(reason(error), len(messages)) from None
    if wrong is not None:
        raise UndecodableError(reason(wrong), len(messages))
    return messages


def _from_line(line: bytes, make: MakeReader | None = None) -> Any:
    """The fields of a line, read by what `make` makes for its binary values."""
    if not line.startswith(VALUES_MARK):
        return from_json(line)
    text, _, binary = line[len(VALUES_MARK) :].partition(b"\n")
    reader = make(binary) if make else Reader(assemble, binary)
    try:
        fields = reader.fields(from_json(text))
    except (UndecodableError, MemoryError, RecursionError):
        raise
    except Exception:
        raise UndecodableError("a value that nobody here writes") from None
    if reader.start != len(binary):
        raise UndecodableError("binary values that no field has")
    return fields


# --- A message and its fields. It is made without its class's validators: the fields are checked against the class's
# annotations and then taken as they are, because LangChain's own validators would derive and rewrite some of them.


def class_of(message: BaseMessage, path: str) -> MessageClass:
    """How this message is written; raises `InvalidInputError` for what is none, and for unknown classes."""
    given: object = message
    kind = MESSAGES.by_class.get(type(given))
    if kind:
        return kind
    if not isinstance(given, BaseMessage):
        raise InvalidInputError(f"{path} is a {full_name(type(given))}, not a message; give a langchain_core message.")
    problem = f"{path} is a {full_name(type(given))}, a class that could not be restored"
    fix = "use a message class that says who speaks" if type(given) is BaseMessage else "call register_message_class"
    raise UnsupportedMessageError(f"{problem}; {fix}.", path=path)


def changed_fields(kind: MessageClass, message: BaseMessage, path: str) -> dict[str, Any]:
    """The fields that differ from their defaults, of which `assemble` makes the message again.

    Raises `UnsupportedMessageError` where one is not set.
    """
    state = message.__dict__
    try:
        own_type = state["type"]
        fields: dict[str, Any] = {"type": kind.tag if own_type == kind.usual_type else [kind.tag, own_type]}
        for name, default in kind.defaults:
            value = state[name]
            if value is not default and (type(value) is not type(default) or value != default):
                fields[name] = value
    except KeyError as error:
        where = f"{path}.{error.args[0]}"
        raise UnsupportedMessageError(f"{where} is not set; give it a value.", path=where) from None
    if message.__pydantic_extra__:
        fields.update(extra_fields(kind, message, path))
    return fields


def field_of(message: BaseMessage, name: str, path: str) -> Any:
    """A field, whether or not it was given; raises `UnsupportedMessageError` where the message has none."""
    try:
        return message.__dict__[name]
    except KeyError:
        raise UnsupportedMessageError(f"{path}.{name} is not set; give it a value.", path=f"{path}.{name}") from None


def extra_fields(kind: MessageClass, message: BaseMessage, path: str) -> dict[str, Any]:
    """The fields that its class does not have; raises `UnsupportedMessageError` for one with the name of a field."""
    extra = message.model_extra or {}
    for name in extra.keys() & kind.names:
        where = f"{path}.model_extra[{name!r}]"
        raise UnsupportedMessageError(f"{where} has the name of a field; use another name.", path=where)
    return extra


def assemble(stored: dict[str, Any], by_tag: Mapping[str, MessageClass] | None = None) -> BaseMessage:
    """Build the message of a line's object (which it takes apart) or of a native map's complete data."""
    tag = stored.pop("type")
    if type(tag) is list:  # a message whose type is not the usual one of its class
        tag, stored["type"] = tag
    kind = (MESSAGES.by_tag if by_tag is None else by_tag).get(tag)
    if kind is None:
        name = tag if re.fullmatch(r"[\w.<>-]{1,200}", tag) else "(not a name)"
        raise UndecodableError(f"unknown message class {name}; if it is yours, call register_message_class for it")
    message: BaseMessage = kind.validate(stored)
    extra: dict[str, Any] | None = {} if kind.allows_extra else None
    if not kind.names.issuperset(stored):
        if not kind.allows_extra:
            raise UndecodableError(f"fields that {kind.cls.__qualname__} does not have")
        extra = {name: stored.pop(name) for name in list(stored) if name not in kind.names}
        message.__pydantic_fields_set__.update(extra)
    message.__dict__.update(stored)
    _set(message, "__pydantic_extra__", extra)
    _set(message, "__class__", kind.cls)
    if kind.has_post_init:
        message.model_post_init(None)
    return message


def _rebuilt(lines: Sequence[bytes]) -> list[BaseMessage] | None:
    """The messages of lines that were decoded before; None where some are not plain JSON of a class that can do it."""
    if set(map(itemgetter(0), lines)) != _OBJECT:
        return None
    stored: list[dict[str, Any]] = orjson.loads(b"[%b]" % b",".join(lines))
    tags = list(map(dict.pop, stored, repeat("type")))
    if set(map(type, tags)) != {str}:
        return None
    kinds = {tag: MESSAGES.by_tag.get(tag) for tag in set(tags)}
    made: dict[str, Iterator[BaseMessage]] = {}
    for tag, kind in kinds.items():
        if kind is None or not kind.can_build:
            return None
        made[tag] = iter(kind.build(list(compress(stored, map(tag.__eq__, tags)))))
    return list(map(next, map(made.__getitem__, tags)))


@dataclass(frozen=True)
class Codec:
    """Messages as lines of JSON, lines as blocks, and blocks as they are stored at their place.

    With `strict`, what would come back as something else is refused. With a `cipher`, that of a session, blocks are
    encrypted.
    """

    strict: bool = False
    cipher: Cipher | None = None

    def of(self, cipher: Cipher | None) -> Codec:
        """The same for the session that has this cipher (None: it is not encrypted)."""
        return self if cipher is self.cipher else replace(self, cipher=cipher)

    def encode(
        self,
        messages: Sequence[BaseMessage],
        most: int,
        degraded: list[Degraded] | None = None,
        path: str | None = None,
    ) -> list[bytes]:
        """Each message as a line, of so many bytes at most; `path` names a single one in errors.

        What comes back as something else goes into `degraded`, or is warned of. Raises `UnsupportedMessageError` and
        `MessageTooLargeError`.
        """
        return encode(messages, most, path, strict=self.strict, degraded=degraded)

    def decode(self, lines: Sequence[bytes], *, again: bool = False) -> list[BaseMessage]:
        """The messages of lines, maybe decoded `again`; the `UndecodableError` of a bad one carries its index."""
        return decode_lines(lines, again=again)

    def pack(self, lines: Sequence[bytes], place: Place) -> bytes:
        """Lines as the block that is stored at `place`."""
        return self.seal(pack(lines), place)

    def unpack(self, stored: bytes, place: Place, most: int) -> list[bytes]:
        """The lines of a block, of at most so many bytes; raises `UndecodableError`."""
        return unpack(self.open(stored, place), most)

    def unpack_each(self, blocks: Sequence[bytes], place: Place, most: int) -> list[list[bytes]]:
        """The lines of each block, together of so many bytes at most; the error of a bad one carries its index."""
        opened: list[bytes] = []
        for block in blocks:
            try:
                opened.append(self.open(block, place))
            except UndecodableError as error:
                raise type(error)(error.reason, len(opened)) from None
        return unpack_each(opened, most)

    def seal(self, block: bytes, place: Place) -> bytes:
        """What is stored of a block, or of a part of one, at `place`: the very bytes, where there is no cipher."""
        return block if self.cipher is None else self.cipher.seal(block, place)

    def open(self, stored: bytes, place: Place) -> bytes:
        """The inverse of `seal`; raises `UndecodableError`."""
        return stored if self.cipher is None else self.cipher.open(stored, place)
