"""Messages as bytes: one line of JSON per message, and blocks of deflated lines.

A line is a flat JSON object: ``type`` and those fields of the message that differ from their defaults, extra fields
among them. It reads back as an equal message of the same class: `encode_message` reads back what it wrote
and refuses what is not the same.

Plain JSON is read and written here and in `lines`, and becomes a message in `assembling`; messages with other values
take the way through `objects`, `values`, `marks` and `verifying`.

Nothing here does I/O, and reading runs no code that the bytes could choose.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from operator import length_hint
from typing import Any, cast

import orjson
from langchain_core.messages import BaseMessage, RemoveMessage

from .._checks import short
from ..errors import InvalidInputError, MessageTooLargeError, UnsupportedMessageError
from .assembling import assemble, changed_fields, class_of, rebuilt
from .classes import MessageClass, register_message_class
from .lines import (
    VALUES_MARK,
    UndecodableError,
    from_json,
    is_plain,
    pack,
    to_any_json,
    unpack,
    unpack_each,
)
from .long_blocks import BlockReader
from .long_lines import Line, LongLine, Pieces, long_line
from .marks import Reader
from .objects import Writer
from .places import Degraded, nth_message
from .sealing import Cipher, Place, SealedPieces, SealedReader
from .stack import with_room
from .telling import tell
from .verifying import MakeReader, check_comes_back, reason, written

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
    return bytes(_encode_message(message, path, strict, degraded, orjson.dumps))


def _encode_message(
    message: BaseMessage,
    path: str,
    strict: bool,
    degraded: list[Degraded] | None,
    write: Callable[[dict[str, Any]], Line],
) -> Line:
    """The same; `write` makes the line of plain JSON."""
    kind = class_of(message, path)
    fields = changed_fields(kind, message, path)
    try:
        if is_plain(fields.values()):
            plain = write(fields)
            back = orjson.loads(plain) if isinstance(plain, bytes) else plain.fields()
            if _is_equal(assemble(back), message):
                return plain
    except Exception:
        pass
    line, told = with_room(lambda last: _encode_values(message, kind, fields, path, strict, last))
    if degraded is not None:
        degraded += told
    return line


def _maybe_long(fields: dict[str, Any]) -> Line:
    return long_line(fields) or orjson.dumps(fields)


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
    return list(map(bytes, _encode_each(messages, path, strict, degraded, orjson.dumps)))


def _encode_each(
    messages: Sequence[BaseMessage],
    path: str | None,
    strict: bool,
    degraded: list[Degraded] | None,
    write: Callable[[dict[str, Any]], Line],
) -> list[Line]:
    given: object = messages
    if not isinstance(given, Sequence) or isinstance(given, (str, bytes, bytearray)):
        raise InvalidInputError(f"messages is a {type(given).__name__}; give a list of messages.")
    return [
        _encode_message(message, path or f"messages[{index}]", strict, degraded, write)
        for index, message in enumerate(messages)
    ]


def encode(
    messages: Sequence[BaseMessage],
    most: int,
    path: str | None = None,
    *,
    strict: bool = False,
    degraded: list[Degraded] | None = None,
    much: bool = True,
) -> list[Line]:
    """Return one line per message of what is to be stored, each of at most so many bytes.

    Where they are not `much` (`is_much`), none is looked at for long texts.

    Errors name them as `encode_messages` does.
    What will come back as something else is added to `degraded`, or warned of, after everything else was checked.

    Raises InvalidInputError and its subclasses UnsupportedMessageError and MessageTooLargeError.
    """
    given, degraded = degraded, [] if degraded is None else degraded
    write: Callable[[dict[str, Any]], Line] = _maybe_long if much else orjson.dumps
    lines = _encode_each(messages, path, strict, degraded, write)
    for i, message in enumerate(messages):
        if isinstance(message, RemoveMessage):
            where = nth_message(i, path)
            raise UnsupportedMessageError(
                f"{where} is a RemoveMessage (id {short(message.id)}): it tells a graph what to do and says "
                "nothing. Leave it out; to remove stored messages, use remove_message, truncate or replace",
                path=where,
            )
    check_lengths(lines, most, path)
    if given is None and degraded:
        tell(degraded)
    return lines


def check_lengths(lines: Sequence[Line], most: int, path: str | None = None) -> None:
    """Raise `MessageTooLargeError` where one has more bytes."""
    for i, line in enumerate(lines):
        if len(line) > most:
            raise MessageTooLargeError(
                f"{nth_message(i, path)} has {len(line)} bytes when encoded, more than the {most} allowed: store "
                "large content elsewhere and keep a reference, or raise Sizes(message=...)",
                size=len(line),
                limit=most,
            )


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


def decode_line(line: Line) -> BaseMessage:
    """Return the message that `encode_message` wrote; raises UndecodableError for any other bytes."""
    try:
        return assemble(_fields(line))
    except MemoryError:
        raise
    except Exception as error:  # validators of any class may raise anything
        raise UndecodableError(reason(error)) from None


def last_with_id(lines: Sequence[Line], message_id: str) -> int | None:
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


def _has_other_id(line: Line, message_id: str) -> bool:
    """Whether it is certain that a message that cannot be decoded (its class is not known here) has another id."""
    try:
        if isinstance(line, LongLine):
            fields = line.fields()
        else:
            fields = from_json(line[len(VALUES_MARK) :].partition(b"\n")[0] if line.startswith(VALUES_MARK) else line)
    except (ValueError, RecursionError):
        return False
    return isinstance(fields, dict) and fields.get("id") != message_id


def decode_lines(lines: Sequence[Line], *, again: bool = False) -> list[BaseMessage]:
    """Return the messages of all lines; the UndecodableError of a bad one carries its index.

    `again` tells that this process has decoded these very lines before: they need not be checked as much.
    """
    if again and (known := rebuilt(lines)) is not None:
        return known
    try:
        stored: list[Any] = list(map(orjson.loads, cast("Sequence[bytes]", lines)))
    except ValueError:  # one of them is long, or has other values than JSON's, or is none
        return _each(lines, lambda line: assemble(_fields(line)))
    return _each(stored, assemble)  # faster than each line and its message by turns


def _each(given: Sequence[Any], make: Callable[[Any], BaseMessage]) -> list[BaseMessage]:
    """The message made of each; the `UndecodableError` of the first bad one carries its index."""
    left = iter(given)
    try:
        return [make(one) for one in left]
    except MemoryError:
        raise
    except Exception as error:  # as above
        raise UndecodableError(reason(error), len(given) - length_hint(left) - 1) from None


def _fields(line: Line) -> Any:
    return with_room(lambda last: _from_line(line))


def _from_line(line: Line, make: MakeReader | None = None) -> Any:
    """The fields of a line, read by what `make` makes for its binary values."""
    if isinstance(line, LongLine):
        return line.fields()
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
        if cipher is self.cipher:
            return self
        return Codec(self.strict, cipher) if type(self) is Codec else replace(self, cipher=cipher)  # which takes longer

    def encode(
        self,
        messages: Sequence[BaseMessage],
        most: int,
        degraded: list[Degraded] | None = None,
        path: str | None = None,
        *,
        much: bool = True,
    ) -> list[Line]:
        """Each message as a line, of so many bytes at most; `path` names a single one in errors.

        What comes back as something else goes into `degraded`, or is warned of. Raises `UnsupportedMessageError` and
        `MessageTooLargeError`.
        """
        return encode(messages, most, path, strict=self.strict, degraded=degraded, much=much)

    def decode(self, lines: Sequence[Line], *, again: bool = False) -> list[BaseMessage]:
        """The messages of lines, maybe decoded `again`; the `UndecodableError` of a bad one carries its index."""
        return decode_lines(lines, again=again)

    def pack(self, lines: Sequence[Line], place: Place) -> bytes:
        """Lines as the block that is stored at `place`."""
        return self.seal(pack(lines), place)

    def unpack(self, stored: bytes, place: Place, most: int) -> list[Line]:
        """The lines of a block, of at most so many bytes; raises `UndecodableError`."""
        return unpack(self.open(stored, place), most)

    def unpack_each(self, blocks: Sequence[bytes], place: Place, most: int) -> list[list[Line]]:
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

    def seal_pieces(self, block: Pieces, place: Place) -> Pieces:
        """The same of a block that is made piece by piece."""
        return block if self.cipher is None else SealedPieces(self.cipher, block, place)

    def reader(self, place: Place, most: int) -> BlockReader | SealedReader:
        """What takes in, piece by piece, the block that is stored at `place`, of at most so many bytes of text."""
        reader = BlockReader(most)
        return reader if self.cipher is None else SealedReader(self.cipher.reader(place), reader)

    def open(self, stored: bytes, place: Place) -> bytes:
        """The inverse of `seal`; raises `UndecodableError`."""
        return stored if self.cipher is None else self.cipher.open(stored, place)
