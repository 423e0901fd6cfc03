"""Where blocks are stored, and what seals them there. No I/O, and no cryptography: that comes from `encryption`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from .lines import UndecodableError
from .long_blocks import BlockReader
from .long_lines import Line, Pieces

NONCE_BYTES = 12  # random: see docs/design.md for how many blocks one key may seal
TAG_BYTES = 16


class Place(NamedTuple):
    """Where a block is stored: on the session's own item, or as the data of one of its pages.

    `session` is the session's key: (name, type, value) of each attribute, sorted by name. `part` names what is stored
    there beside messages.
    """

    session: tuple[tuple[str, str, str | bytes], ...]
    generation: int | None = None
    page: int | None = None
    part: str = ""


class TamperedError(UndecodableError):
    """A block was not sealed with this key at this place."""


class Sealing(Protocol):
    """One encryption, or decryption, piece by piece."""

    def update(self, data: bytes) -> bytes:
        """The next bytes, of what has as many."""

    def finish(self, tag: bytes = b"") -> bytes:
        """Of an encryption the tag; a decryption is given it, and raises `TamperedError`."""


class Aead(Protocol):
    """Authenticated encryption with one key."""

    def encrypt(self, nonce: bytes, data: bytes, associated: bytes) -> bytes:
        """The data encrypted, and a tag over both."""

    def decrypt(self, nonce: bytes, data: bytes | memoryview, associated: bytes) -> bytes:
        """The inverse; raises `TamperedError`."""

    def sealing(self, nonce: bytes, associated: bytes, *, opens: bool = False) -> Sealing:
        """The same, or the inverse, piece by piece."""


@dataclass(frozen=True, slots=True)
class Cipher:
    """What seals the blocks of one session: its key as `stored` on the session item and, once unlocked, in the clear.

    Only operations under way have it unlocked; what is remembered is locked.
    """

    stored: bytes
    aead: Aead | None = field(default=None, compare=False, repr=False)

    @property
    def locked(self) -> Cipher:
        """Without the key in the clear."""
        return self if self.aead is None else Cipher(self.stored)

    def seal(self, block: bytes, place: Place) -> bytes:
        """The block as it is stored there."""
        assert self.aead is not None, "a locked cipher"
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self.aead.encrypt(nonce, block, _associated(place))

    def open(self, stored: bytes, place: Place) -> bytes:
        """The inverse; raises `TamperedError`."""
        assert self.aead is not None, "a locked cipher"
        return self.aead.decrypt(stored[:NONCE_BYTES], memoryview(stored)[NONCE_BYTES:], _associated(place))

    def reader(self, place: Place) -> Opening:
        """What opens a block of that place piece by piece."""
        assert self.aead is not None, "a locked cipher"
        return Opening(self.aead, _associated(place))


class SealedPieces:
    """A block sealed at its place piece by piece: the same bytes each time, as its nonce is."""

    def __init__(self, cipher: Cipher, block: Pieces, place: Place) -> None:
        assert cipher.aead is not None, "a locked cipher"
        self._aead = cipher.aead
        self._block = block
        self._associated = _associated(place)
        self._nonce = os.urandom(NONCE_BYTES)

    def __len__(self) -> int:
        """About, at most."""
        return NONCE_BYTES + len(self._block) + TAG_BYTES

    def __iter__(self) -> Iterator[bytes]:
        """From the nonce to the tag."""
        sealing = self._aead.sealing(self._nonce, self._associated)
        yield self._nonce
        for piece in self._block:
            yield sealing.update(piece)
        yield sealing.finish()


class Opening:
    """Opens a block piece by piece. What it gives out is proved only by `finish`."""

    def __init__(self, aead: Aead, associated: bytes) -> None:
        self._aead = aead
        self._associated = associated
        self._opening: Sealing | None = None
        self._left = b""  # the nonce, then what may be the tag

    def feed(self, piece: bytes) -> bytes:
        """The next bytes of the block."""
        piece, self._left = self._left + piece, b""
        if self._opening is None:
            if len(piece) < NONCE_BYTES:
                self._left = piece
                return b""
            self._opening = self._aead.sealing(piece[:NONCE_BYTES], self._associated, opens=True)
            piece = piece[NONCE_BYTES:]
        self._left = piece[-TAG_BYTES:]
        return self._opening.update(piece[:-TAG_BYTES])

    def finish(self) -> None:
        """Raises `TamperedError` where this was not sealed with this key at this place."""
        if self._opening is None:
            raise TamperedError("damaged block: cut short")
        self._opening.finish(self._left)


class SealedReader:
    """Takes in a sealed block piece by piece, and has its lines in the end, as `BlockReader`."""

    def __init__(self, opening: Opening, reader: BlockReader) -> None:
        self._opening = opening
        self._reader = reader
        self._wrong: UndecodableError | None = None

    def feed(self, piece: bytes) -> None:
        """The next bytes."""
        opened = self._opening.feed(piece)
        if self._wrong is None:
            try:
                self._reader.feed(opened)
            except UndecodableError as error:
                self._wrong = error  # if it was sealed there at all, which the tag tells

    def finish(self) -> list[Line]:
        """The lines, once it is proved that they were sealed there; raises `TamperedError`, then `UndecodableError`."""
        self._opening.finish()
        if self._wrong is not None:
            raise self._wrong
        return self._reader.finish()


def _associated(place: Place) -> bytes:
    """What a block is bound to. Its session is not in it: each has a key of its own, made of that."""
    return f"{place.generation} {place.page} {place.part}".encode()
