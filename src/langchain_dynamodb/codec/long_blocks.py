"""Blocks of one long line, deflated and inflated a piece at a time; their bytes are what `lines.pack` makes of it."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import orjson

from .lines import BLOCK_HEADER_BYTES, FORMAT_1, UndecodableError, deflater, inflater, split, unpack
from .long_lines import LONG_LINE, LONG_TEXT, PIECE, Line, LongLine

_LONGEST_CUT = 11  # bytes of JSON's longest escape, of two surrogates, that the end of a piece may cut
_QUOTE = b'"'


class LongBlock:
    """The block of one long line."""

    def __init__(self, line: LongLine) -> None:
        self._line = line

    def __len__(self) -> int:
        """Bytes, if it does not deflate at all."""
        return BLOCK_HEADER_BYTES + len(self._line) + len(self._line) // 1000 + 16

    def __iter__(self) -> Iterator[bytes]:
        """Deflated piece by piece. The line is made twice: its checksum comes first."""
        checksum = 0
        for piece in self._line:
            checksum = zlib.crc32(piece, checksum)
        yield FORMAT_1 + checksum.to_bytes(4, "big")
        deflating = deflater()
        for piece in self._line:
            yield deflating.compress(piece)
        yield deflating.flush()


class BlockReader:
    """Takes in a block piece by piece, and has its lines in the end: of a single long one, its long texts are apart.

    Until it is long, text is kept as it is: most is not.
    """

    def __init__(self, most: int) -> None:
        """Of at most so many bytes of text."""
        self._most = most
        self._head = b""
        self._other: list[bytes] | None = None  # of a block of another format
        self._inflating = inflater()
        self._checksum = 0
        self._size = 0
        self._kept: list[bytes] = []
        self._long: _LineReader | None = None

    def feed(self, piece: bytes) -> None:
        """The next bytes; raises `UndecodableError`."""
        if self._other is not None:
            self._other.append(piece)
            return
        if piece and len(self._head) < BLOCK_HEADER_BYTES:
            wanted = BLOCK_HEADER_BYTES - len(self._head)
            self._head, piece = self._head + piece[:wanted], piece[wanted:]
            if not self._head.startswith(FORMAT_1):
                self._other = [self._head, piece]
                return
        while piece:
            self._inflate(piece)
            if self._inflating.unused_data:
                raise UndecodableError("damaged block: data after its end")
            piece = self._inflating.unconsumed_tail

    def _inflate(self, piece: bytes) -> int:
        """Take in what this, or a part of it, inflates to; returns how many bytes that is."""
        try:
            text = self._inflating.decompress(piece, PIECE)
        except zlib.error:
            raise UndecodableError("damaged block: not deflated data") from None
        self._checksum = zlib.crc32(text, self._checksum)
        self._size += len(text)
        if self._size > self._most:
            raise UndecodableError(f"block of more than {self._most} bytes")
        self._kept.append(text)
        if self._size >= LONG_LINE:
            self._long = self._long or _LineReader()
            for kept in self._kept:
                self._long.feed(kept)
            self._kept = []
        return len(text)

    def finish(self) -> list[Line]:
        """The lines; raises `UndecodableError`."""
        if self._other is not None:
            return unpack(b"".join(self._other), self._most)
        while not self._inflating.eof and self._inflate(b""):
            pass
        if not self._inflating.eof:
            raise UndecodableError("damaged block: cut short")
        if self._checksum.to_bytes(4, "big") != self._head[1:]:
            raise UndecodableError("damaged block: wrong checksum")
        return split(b"".join(self._kept)) if self._long is None else self._long.finish()


class _LineReader:
    """Takes in text piece by piece; what it finds of long texts of a line is decoded and added up as it comes."""

    def __init__(self) -> None:
        self._parts: list[bytes | str] = []
        self._json: list[bytes] = []
        self._left = b""  # of the last piece: from a quote on that may begin a long text, or what is not decoded yet
        self._text: str | None = None  # a long one that has begun
        self._plain: bool | None = None  # whether the line is orjson's

    def feed(self, text: bytes) -> None:
        if self._plain is None and text:
            self._plain = text.startswith(b"{")
        text, self._left = self._left + text, b""
        while text:
            text = self._go_on(text) if self._text is not None else self._look(text)

    def _look(self, text: bytes) -> bytes:
        """Take JSON up to the beginning of a long text; returns what follows."""
        start = _opening(text) if self._plain else -1
        if start < 0:
            self._json.append(text)
            return b""
        if len(text) - start <= LONG_TEXT:
            self._json.append(text[:start])
            self._left = text[start:]
            return b""
        self._json.append(text[: start + 1])
        self._text = ""
        return text[start + 1 :]

    def _go_on(self, text: bytes) -> bytes:
        """Take the next of a long text; returns what follows it."""
        end = _closing(text)
        decoded, self._left = _decoded(text if end < 0 else text[:end])
        so_far, self._text = self._text or "", None  # it has no other name now, so that Python can lengthen it in place
        so_far += decoded
        if end < 0:
            self._text = so_far
            return b""
        if self._left:
            raise UndecodableError("damaged line: a text ends within a character")
        self._parts += [b"".join(self._json), so_far]
        self._json = [_QUOTE]
        return text[end + 1 :]

    def finish(self) -> list[Line]:
        if self._text is not None:
            raise UndecodableError("damaged line: a text does not end")
        last = b"".join([*self._json, self._left])
        if not self._parts:
            return split(last)
        line = LongLine([*self._parts, last])
        several = any(b"\n" in part for part in line.json)
        return split(bytes(line)) if several else [line]


def _opening(text: bytes) -> int:
    """Where the quote is that begins a text which does not end within this JSON; -1: there is none."""
    plain = _without_escapes(text)
    return plain.rfind(_QUOTE) if plain.count(_QUOTE) % 2 else -1


def _closing(text: bytes) -> int:
    """Where the quote is that ends a text whose rest this is; -1: it goes on."""
    return _without_escapes(text).find(_QUOTE)


def _without_escapes(text: bytes) -> bytes:
    """JSON, no escape of which began before it, with as many other bytes in place of escaped quotes and backslashes."""
    return text.replace(rb"\\", b"  ").replace(rb"\"", b"  ")


def _decoded(text: bytes) -> tuple[str, bytes]:
    """JSON from within quotes as a text, but for an escape or a character that was cut, which comes second."""
    for cut in range(min(_LONGEST_CUT, len(text)) + 1):
        whole = text[: len(text) - cut]
        try:
            decoded: str = orjson.loads(b'"%b"' % whole)
        except orjson.JSONDecodeError:
            continue
        return decoded, text[len(whole) :]
    raise UndecodableError("damaged line: not JSON")
