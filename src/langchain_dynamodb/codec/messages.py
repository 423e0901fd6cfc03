"""Messages as bytes: one line of JSON per message, and blocks of deflated lines.

A line is a flat JSON object: ``type`` and those fields of the message that differ from their defaults, extra fields
among them. It reads back as an equal message of the same class: the fields are checked against the class's
annotations and then taken as they are, because LangChain's own validators would derive and rewrite some of them.
`encode_message` reads back what it wrote and refuses what does not compare equal.

Plain JSON is read and written here and in `lines`; messages with other values take the way through `objects`, `values`
and `marks`.

Nothing here does I/O, and reading runs no code that the bytes could choose.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from langchain_core.messages import BaseMessage, RemoveMessage
from pydantic import ValidationError

from .._checks import short
from ..errors import InvalidInputError, MessageTooLargeError, UnsupportedMessageError
from .classes import MESSAGES, MessageClass, full_name, register_message_class
from .equality import same
from .lines import (
    VALUES_MARK,
    UndecodableError,
    from_json,
    from_json_each,
    pack,
    to_any_json,
    to_json,
    unpack,
    unpack_each,
)
from .marks import Reader
from .objects import Writer
from .places import Degraded
from .plain import is_plain
from .registry import OBJECTS
from .telling import tell

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
    fields = _changed_fields(kind, message, path)
    written = to_json(fields)
    if written is None or (OBJECTS.has_plain_enums and not is_plain(fields)):
        return _encode_values(message, fields, path, strict, degraded)
    line, plain = written
    try:
        if assemble(plain) == message:
            return line
    except Exception:
        pass
    check_comes_back(message, lambda: _from_line(line), path)
    return line


def _encode_values(
    message: BaseMessage, fields: dict[str, Any], path: str, strict: bool, degraded: list[Degraded] | None
) -> bytes:
    """The line of a message that is not plain JSON."""
    writer = Writer(take_apart, strict=strict)
    try:
        tree = writer.fields(fields, path)
    except RecursionError:
        what = f"{path} holds something nested too deeply"
        raise UnsupportedMessageError(f"{what}; store a flatter value.", path=path) from None
    line = to_any_json(tree)
    if writer.marked:
        line = b"".join([VALUES_MARK, line, b"\n" if writer.binary else b"", *writer.binary])
    check_comes_back(message, lambda: _from_line(line), path, exact=not writer.degraded)
    if degraded is not None:
        degraded += writer.degraded
    return line


def encode_messages(
    messages: Sequence[BaseMessage], *, strict: bool = False, degraded: list[Degraded] | None = None
) -> list[bytes]:
    """Return one line per message; error paths begin with ``messages[i]``."""
    given: object = messages
    if not isinstance(given, Sequence) or isinstance(given, (str, bytes, bytearray)):
        raise InvalidInputError(f"messages is a {type(given).__name__}; give a list of messages.")
    return [
        encode_message(message, f"messages[{index}]", strict=strict, degraded=degraded)
        for index, message in enumerate(messages)
    ]


def encode(messages: Sequence[BaseMessage], most: int, *, strict: bool = False, warns: bool = True) -> list[bytes]:
    """Return one line per message of what is to be stored, each of at most so many bytes.

    Warns (unless told not to) of what will come back as something else, after everything else was checked.

    Raises InvalidInputError and its subclasses UnsupportedMessageError and MessageTooLargeError.
    """
    degraded: list[Degraded] = []
    lines = encode_messages(messages, strict=strict, degraded=degraded)
    for i, line in enumerate(lines):
        if isinstance(messages[i], RemoveMessage):
            raise UnsupportedMessageError(
                f"messages[{i}] is a RemoveMessage (id {short(messages[i].id)}): it tells a graph what to do and says "
                "nothing. Leave it out; to remove stored messages, use truncate or replace",
                path=f"messages[{i}]",
            )
        if len(line) > most:
            raise MessageTooLargeError(
                f"messages[{i}] has {len(line)} bytes when encoded, more than the {most} allowed: store large "
                "content elsewhere and keep a reference, or raise Sizes(message=...)",
                size=len(line),
                limit=most,
            )
    if degraded and warns:
        tell(degraded)
    return lines


def is_instruction(message: BaseMessage) -> bool:
    """Whether it tells a graph what to do and says nothing; langchain_community stores these too."""
    return isinstance(message, RemoveMessage)


def decode_line(line: bytes) -> BaseMessage:
    """Return the message that `encode_message` wrote; raises UndecodableError for any other bytes."""
    try:
        return assemble(_from_line(line))
    except MemoryError:
        raise
    except Exception as error:  # validators of any class may raise anything
        raise UndecodableError(reason(error)) from None


def decode_lines(lines: Sequence[bytes]) -> list[BaseMessage]:
    """Return the messages of all lines; the UndecodableError of a bad one carries its index."""
    stored, wrong = from_json_each(lines, _from_line)
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


def take_apart(message: BaseMessage, path: str) -> dict[str, Any]:
    """The fields of a message that differ from their defaults; `assemble` makes it of them."""
    return _changed_fields(class_of(message, path), message, path)


def _from_line(line: bytes) -> Any:
    """The fields of a line that is not orjson's."""
    if not line.startswith(VALUES_MARK):
        return from_json(line)
    text, _, binary = line[len(VALUES_MARK) :].partition(b"\n")
    reader = Reader(assemble, binary)
    try:
        fields = reader.fields(from_json(text))
    except (UndecodableError, MemoryError, RecursionError):
        raise
    except Exception:
        raise UndecodableError("a value that nobody here writes") from None
    if reader.start != len(binary):
        raise UndecodableError("binary values that no field has")
    return fields


def _changed_fields(kind: MessageClass, message: BaseMessage, path: str) -> dict[str, Any]:
    own_type = field_of(message, "type", path)
    fields: dict[str, Any] = {"type": kind.tag if own_type == kind.usual_type else [kind.tag, own_type]}
    for name, default in kind.defaults:
        value = field_of(message, name, path)
        if type(value) is not type(default) or value != default:
            fields[name] = value
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


def assemble(stored: dict[str, Any]) -> BaseMessage:
    """Build the message of a line's object (which it takes apart) or of a native map's complete data."""
    tag = stored.pop("type")
    if isinstance(tag, list):  # a message whose type is not the usual one of its class
        tag, stored["type"] = tag
    kind = MESSAGES.by_tag.get(tag)
    if kind is None:
        name = tag if re.fullmatch(r"[\w.<>-]{1,200}", tag) else "(not a name)"
        raise UndecodableError(f"unknown message class {name}; if it is yours, call register_message_class for it")
    message: BaseMessage = kind.validate(stored)
    extra: dict[str, Any] = {}
    if not kind.names.issuperset(stored):
        if not kind.allows_extra:
            raise UndecodableError(f"fields that {kind.cls.__qualname__} does not have")
        extra = {name: stored.pop(name) for name in list(stored) if name not in kind.names}
        message.__pydantic_fields_set__.update(extra)
    message.__dict__.update(stored)
    object.__setattr__(message, "__pydantic_extra__", extra if kind.allows_extra else None)
    object.__setattr__(message, "__class__", kind.cls)
    if kind.has_post_init:
        message.model_post_init(None)
    return message


def check_comes_back(
    message: BaseMessage, read: Callable[[], dict[str, Any]], path: str, *, exact: bool = True
) -> None:
    """Refuse what could be written but not read: a field of the wrong type, state outside the fields.

    `read` gives the fields as they are read; unless `exact`, some are something else then, as was told.
    """
    cls = type(message).__qualname__
    try:
        back = assemble(read())
        if same(back, message) if exact else same(vars(back).keys(), vars(message).keys()):
            return
    except ValidationError as error:
        field, _, problem = _first_problem(error)
        where = f"{path}.{field}"
        raise UnsupportedMessageError(f"{where} is not valid in a {cls}: {problem}.", path=where) from None
    except Exception:
        pass
    fix = "keep everything in its fields"
    raise UnsupportedMessageError(f"{path}, a {cls}, would not come back equal; {fix}.", path=path)


def _first_problem(error: ValidationError) -> tuple[str, str, str]:
    """Return field, kind of problem and its description."""
    details = error.errors(include_url=False, include_context=False, include_input=False)[0]
    return ".".join(map(str, details["loc"][:1])), details["type"], details["msg"]


def reason(error: Exception) -> str:
    """Say what is wrong with stored bytes without quoting them: the texts of other errors may."""
    if isinstance(error, UndecodableError):
        return error.reason
    if isinstance(error, ValidationError):
        field, problem, _ = _first_problem(error)
        return f"field {field} is not valid ({problem})"
    if isinstance(error, ValueError):
        return "not the JSON of a message"
    return f"not a message ({type(error).__name__})"


class Place(NamedTuple):
    """Where a block of messages is stored: on the session's own item, or as the data of one of its pages.

    `session` is the session's key: (name, type, value) of each attribute, sorted by name.
    """

    session: tuple[tuple[str, str, str | bytes], ...]
    generation: int | None = None
    page: int | None = None


@dataclass(frozen=True)
class Codec:
    """Messages as lines of JSON, lines as blocks, and blocks as they are stored at their place.

    With `strict`, what would come back as something else is refused; else `warns` tells whether `encode` warns of it.
    """

    strict: bool = False
    warns: bool = True

    def encode(self, messages: Sequence[BaseMessage], most: int) -> list[bytes]:
        """Each message as a line, of so many bytes at most. Warns of what will come back as something else.

        Raises `UnsupportedMessageError` and `MessageTooLargeError`.
        """
        return encode(messages, most, strict=self.strict, warns=self.warns)

    def decode(self, lines: Sequence[bytes]) -> list[BaseMessage]:
        """The messages of lines; the `UndecodableError` of a bad one carries its index."""
        return decode_lines(lines)

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
                raise UndecodableError(error.reason, len(opened)) from None
        return unpack_each(opened, most)

    def seal(self, block: bytes, place: Place) -> bytes:
        """What is stored of a block, or of a part of one, at `place`: the very bytes."""
        return block

    def open(self, stored: bytes, place: Place) -> bytes:
        """The inverse of `seal`; raises `UndecodableError`."""
        return stored
