"""Lines of many megabytes, whose long texts stay texts: their bytes are made a piece at a time.

So a message takes little memory beside itself while it is written or read.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterable, Iterator
from typing import Any, Protocol, TypeAlias

import orjson

LONG_LINE = 4 << 20  # characters of long texts from which on a line stays apart: orjson lets nobody else run meanwhile
LONG_TEXT = 1 << 20  # bytes, or characters, of a text that is kept apart
PIECE = 1 << 18  # bytes made or taken in one go, which keeps other threads waiting; orjson takes eight times as much


class Pieces(Protocol):
    """Bytes that are made a piece at a time, the same ones each time they are gone through."""

    def __iter__(self) -> Iterator[bytes]:
        """From the beginning."""

    def __len__(self) -> int:
        """About how many bytes they are, at most."""


class LongLine:
    """A line of plain JSON: by turns JSON, which ends and begins with the quotes of a text, and such a text."""

    __slots__ = ("_parts", "_size")

    def __init__(self, parts: Iterable[bytes | str]) -> None:
        """Raises `orjson.JSONEncodeError` for a text with lone surrogates."""
        self._parts = tuple(parts)
        self._size = sum(map(len, self))

    def __len__(self) -> int:
        """Bytes of the line."""
        return self._size

    def __iter__(self) -> Iterator[bytes]:
        """The line, piece by piece."""
        for part in self._parts:
            if isinstance(part, bytes):
                yield part
            else:
                for start in range(0, len(part), PIECE):
                    yield orjson.dumps(part[start : start + PIECE])[1:-1]

    def __bytes__(self) -> bytes:
        """All of it at once, for what happens rarely."""
        return b"".join(self)

    def __eq__(self, other: object) -> bool:
        """Whether the bytes are the same, however they are divided: as read, a line may be whole."""
        if isinstance(other, LongLine) and self._parts == other._parts:
            return True
        if not isinstance(other, (bytes, LongLine)):
            return NotImplemented
        return self._size == len(other) and _digest(self) == _digest(pieces_of(other))

    __hash__ = None  # type: ignore[assignment]

    def __sizeof__(self) -> int:
        """Bytes of memory, its texts and JSON included."""
        return object.__sizeof__(self) + sum(map(sys.getsizeof, self._parts))

    @property
    def json(self) -> list[bytes]:
        """What of it is not kept apart."""
        return [part for part in self._parts if isinstance(part, bytes)]

    def __contains__(self, text: bytes) -> bool:
        """Whether a short text may be a value of its own in it: it is never one of those kept apart."""
        return any(text in part for part in self.json)

    def fields(self) -> Any:
        """The value of the JSON, with the very texts that were kept apart."""
        texts: dict[str, str] = {}
        pieces = []
        for part in self._parts:
            if isinstance(part, str):
                token = os.urandom(16).hex()  # no text that is in a message already
                texts[token] = part
                part = token.encode()
            pieces.append(part)
        return _filled(orjson.loads(b"".join(pieces)), texts)


Line: TypeAlias = bytes | LongLine
"""A message as JSON, or with other values, as `messages` writes it."""


def _digest(pieces: Iterable[bytes]) -> bytes:
    digest = hashlib.blake2b()
    for piece in pieces:
        digest.update(piece)
    return digest.digest()


def pieces_of(line: Line) -> Iterable[bytes]:
    """The line, whole or piece by piece."""
    return line if isinstance(line, LongLine) else (line,)


def _filled(value: Any, texts: dict[str, str]) -> Any:
    kind = type(value)
    if kind is str:
        return texts.get(value, value)
    if kind is list:
        return [_filled(inner, texts) for inner in value]
    if kind is dict:
        return {texts.get(key, key): _filled(inner, texts) for key, inner in value.items()}
    return value


def long_line(fields: dict[str, Any]) -> LongLine | None:
    """The line of these fields of a message, which are plain JSON; None where its long texts are not much.

    Raises `orjson.JSONEncodeError` where orjson cannot write them.
    """
    texts: dict[str, str] = {}
    tree = _emptied(fields, texts)
    if sum(map(len, texts.values())) < LONG_LINE:
        return None
    parts: list[bytes | str] = []
    rest = orjson.dumps(tree)
    for token, text in texts.items():
        before, _, rest = rest.partition(token.encode())
        parts += [before, text]
    return LongLine([*parts, rest])


def _emptied(value: Any, texts: dict[str, str]) -> Any:
    """The same with tokens in place of long texts, in the order in which they will be written."""
    kind = type(value)
    if kind is str and len(value) >= LONG_TEXT:
        token = os.urandom(16).hex()
        texts[token] = value
        return token
    if kind is list:
        return [_emptied(inner, texts) for inner in value]
    if kind is dict:
        return {key: _emptied(inner, texts) for key, inner in value.items()}
    return value
