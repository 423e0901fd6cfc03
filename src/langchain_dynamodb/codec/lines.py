"""Plain JSON as lines, exactly or not at all, and blocks of deflated lines.

Exact means: what is read back equals what was written, and a bool, an int and a float stay what they were. A subclass
of `str`, `int`, `float`, `list` or `dict` that equals its plain value (an `enum.StrEnum`, an `OrderedDict`) is written
as the plain value.

orjson does the work. What it cannot write (integers beyond 64 bit, lone surrogates) the standard library's json does;
such a line begins with ``!``, because orjson would read its integers back as floats. A line that begins with ``$`` has
other values than JSON's, written by `values`: the rest is JSON of either kind with marks in it, and behind a newline
the bytes of longer binary values, one after the other.

A block: ``01`` | CRC-32 of the text, 4 bytes big-endian | raw deflate, with dictionary 1 preset, of the lines joined by
newlines. Where lines have binary values: ``02`` | CRC-32 | the lines' lengths in decimal, joined by commas, and a
newline | the lines, deflated in the same way. The checksum is of all that follows it, inflated.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Iterable, Sequence
from decimal import Decimal
from itertools import accumulate
from typing import Any, cast

import orjson

from .._checks import MAX_DIGITS
from .dictionary import DICTIONARY_1
from .long_lines import Line

_STDLIB_MARK = b"!"
VALUES_MARK = b"$"


_ATOMS = frozenset([str, int, float, bool, type(None)])


def is_plain(values: Iterable[Any]) -> bool:
    """Whether these values are of JSON's types, and of no subclass: orjson runs code of an enum's class.

    Keys of dicts aside: orjson takes none but texts.
    """
    for value in values:
        kind = type(value)
        if kind in _ATOMS:
            continue
        if kind is dict:
            if not is_plain(value.values()):
                return False
        elif kind is not list or not is_plain(value):
            return False
    return True


def to_any_json(tree: dict[str, Any]) -> bytes:
    """Return plain JSON types as one line, with integers of any size and lone surrogates."""
    try:
        return orjson.dumps(tree)
    except (TypeError, ValueError, RecursionError):
        return to_stdlib_json(tree)


def to_stdlib_json(tree: dict[str, Any]) -> bytes:
    """Return plain JSON types as one line of Python's own json."""
    return _STDLIB_MARK + json.dumps(tree, separators=(",", ":")).encode("ascii")


def from_json(line: bytes) -> Any:
    """Read a line of plain JSON; raises ValueError or RecursionError for any other bytes."""
    if line.startswith(_STDLIB_MARK):
        text = line[len(_STDLIB_MARK) :].decode("ascii")
        return json.loads(text, parse_int=_parse_int, parse_float=_parse_float, parse_constant=_parse_float)
    return orjson.loads(line)


def _parse_int(digits: str) -> int:
    if len(digits.lstrip("-")) > MAX_DIGITS:
        raise ValueError("number too long")
    try:
        return int(digits)
    except ValueError:  # this process has set a lower limit
        return int(Decimal(digits))


def _parse_float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("not a finite number")
    return number


FORMAT_1 = b"\x01"
_FORMAT_2 = b"\x02"
BLOCK_HEADER_BYTES = 5
_WINDOW_BITS = -15
MAX_LINES = 1 << 20  # of a block: a list of lines takes far more memory than the text it was split from


class UndecodableError(ValueError):
    """Stored bytes are not what this package writes; the text says why and never quotes them.

    `index` is the position of the bad line where several were read.
    """

    def __init__(self, reason: str, index: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.index = index


# Copying a deflater that has taken in the dictionary is cheaper than feeding it the dictionary each time.
_DEFLATER = zlib.compressobj(6, zlib.DEFLATED, _WINDOW_BITS, 8, zlib.Z_DEFAULT_STRATEGY, DICTIONARY_1)


def deflater() -> zlib._Compress:
    """What deflates the text of a block."""
    return _DEFLATER.copy()


def inflater() -> zlib._Decompress:
    """What inflates it."""
    return zlib.decompressobj(_WINDOW_BITS, zdict=DICTIONARY_1)


def pack(given: Sequence[Line]) -> bytes:
    """Return the lines, none of which may be empty, as one block."""
    lines = list(map(bytes, given))
    text = b"\n".join(lines)
    if text.count(b"\n") >= len(lines) > 0:
        return _pack_binary(lines)
    # Raw deflate with a CRC-32 of our own: the zlib container takes 10 bytes (with its weaker Adler-32), this takes 4.
    deflating = deflater()
    return FORMAT_1 + zlib.crc32(text).to_bytes(4, "big") + deflating.compress(text) + deflating.flush()


def _pack_binary(lines: Sequence[bytes]) -> bytes:
    text = b"".join(lines)
    lengths = ",".join(str(len(line)) for line in lines).encode() + b"\n"
    deflating = deflater()
    checksum = zlib.crc32(text, zlib.crc32(lengths)).to_bytes(4, "big")
    return _FORMAT_2 + checksum + lengths + deflating.compress(text) + deflating.flush()


def unpack(block: bytes, max_bytes: int) -> list[Line]:
    """Return the lines of a block.

    Raises UndecodableError for anything that `pack` did not write and for more than `max_bytes` of text, before it
    has inflated more than one byte above that.
    """
    if block.startswith(_FORMAT_2):
        return _unpack_binary(block, max_bytes)
    if not block.startswith(FORMAT_1):
        raise UndecodableError(f"unknown block format {block[:1].hex() or '(empty)'}")
    text = _inflate(block, BLOCK_HEADER_BYTES, max_bytes)
    if zlib.crc32(text).to_bytes(4, "big") != block[1:BLOCK_HEADER_BYTES]:
        raise UndecodableError("damaged block: wrong checksum")
    return split(text)


def split(text: bytes) -> list[Line]:
    """The lines of a block's text; raises `UndecodableError` where they are too many."""
    lines = cast("list[Line]", text.split(b"\n", MAX_LINES) if b"\n" in text else [text] if text else [])
    if len(lines) > MAX_LINES:
        raise UndecodableError(f"block of more than {MAX_LINES} lines")
    return lines


def _unpack_binary(block: bytes, max_bytes: int) -> list[Line]:
    end = block.find(b"\n", BLOCK_HEADER_BYTES) + 1
    header = block[BLOCK_HEADER_BYTES:end]
    if header.count(b",") >= MAX_LINES:
        raise UndecodableError(f"block of more than {MAX_LINES} lines")
    text = _inflate(block, end, max_bytes)
    if not end or zlib.crc32(text, zlib.crc32(header)).to_bytes(4, "big") != block[1:BLOCK_HEADER_BYTES]:
        raise UndecodableError("damaged block: wrong checksum")
    try:
        lengths = [int(length) for length in header.split(b",")]
    except ValueError:
        raise UndecodableError("damaged block: no lengths") from None
    ends = [*accumulate(lengths)]
    if min(lengths) < 1 or ends[-1] != len(text):
        raise UndecodableError("damaged block: its lengths contradict each other")
    return [text[end - length : end] for length, end in zip(lengths, ends, strict=True)]


def _inflate(block: bytes, start: int, max_bytes: int) -> bytes:
    inflating = inflater()
    try:
        text = inflating.decompress(memoryview(block)[start:], max_bytes + 1)
    except zlib.error:
        raise UndecodableError("damaged block: not deflated data") from None
    if len(text) > max_bytes:
        raise UndecodableError(f"block of more than {max_bytes} bytes")
    if not inflating.eof or inflating.unused_data:
        raise UndecodableError("damaged block: cut short" if not inflating.eof else "damaged block: data after its end")
    return text


def unpack_each(blocks: Iterable[bytes], max_bytes: int) -> list[list[Line]]:
    """Return the lines of each block, all of which may have `max_bytes` of text together.

    The UndecodableError of a bad one carries its index.
    """
    found: list[list[Line]] = []
    for block in blocks:
        try:
            lines = unpack(block, max_bytes)
        except UndecodableError as error:
            raise UndecodableError(error.reason, len(found)) from None
        max_bytes -= sum(map(len, lines))
        found.append(lines)
    return found
