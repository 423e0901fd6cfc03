"""Blocks of lines: a format byte, a checksum, deflated text.

``01`` | CRC-32 of the text, 4 bytes big-endian | raw deflate, with dictionary 1 preset, of the lines joined by newlines
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

from langchain_dynamodb._dictionary import DICTIONARY_1

_FORMAT_1 = b"\x01"
_HEADER_BYTES = 5
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


def pack(lines: Sequence[bytes]) -> bytes:
    """Return the lines, none of which may hold a newline or be empty, as one block."""
    text = b"\n".join(lines)
    # Raw deflate with a CRC-32 of our own: the zlib container takes 10 bytes (with its weaker Adler-32), this takes 4.
    deflater = _DEFLATER.copy()
    return _FORMAT_1 + zlib.crc32(text).to_bytes(4, "big") + deflater.compress(text) + deflater.flush()


def unpack(block: bytes, max_bytes: int) -> list[bytes]:
    """Return the lines of a block.

    Raises UndecodableError for anything that `pack` did not write and for more than `max_bytes` of text, before it
    has inflated more than one byte above that.
    """
    if not block.startswith(_FORMAT_1):
        raise UndecodableError(f"unknown block format {block[:1].hex() or '(empty)'}")
    inflater = zlib.decompressobj(_WINDOW_BITS, zdict=DICTIONARY_1)
    try:
        text = inflater.decompress(block[_HEADER_BYTES:], max_bytes + 1)
    except zlib.error:
        raise UndecodableError("damaged block: not deflated data") from None
    if len(text) > max_bytes:
        raise UndecodableError(f"block of more than {max_bytes} bytes")
    if not inflater.eof or inflater.unused_data:
        raise UndecodableError("damaged block: cut short" if not inflater.eof else "damaged block: data after its end")
    if zlib.crc32(text).to_bytes(4, "big") != block[1:_HEADER_BYTES]:
        raise UndecodableError("damaged block: wrong checksum")
    if text.count(b"\n") >= MAX_LINES:
        raise UndecodableError(f"block of more than {MAX_LINES} lines")
    return text.split(b"\n") if text else []


# Copying a deflater that has taken in the dictionary is cheaper than feeding it the dictionary each time.
_DEFLATER = zlib.compressobj(6, zlib.DEFLATED, _WINDOW_BITS, 8, zlib.Z_DEFAULT_STRATEGY, DICTIONARY_1)
