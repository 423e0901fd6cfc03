"""Where blocks are stored, and what seals them there. No I/O, and no cryptography: that comes from `encryption`."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from .lines import UndecodableError

NONCE_BYTES = 12  # random: see docs/design.md for how many blocks one key may seal


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


class Aead(Protocol):
    """Authenticated encryption with one key."""

    def encrypt(self, nonce: bytes, data: bytes, associated: bytes) -> bytes:
        """The data encrypted, and a tag over both."""

    def decrypt(self, nonce: bytes, data: bytes | memoryview, associated: bytes) -> bytes:
        """The inverse; raises `TamperedError`."""


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


def _associated(place: Place) -> bytes:
    """What a block is bound to. Its session is not in it: each has a key of its own, made of that."""
    return f"{place.generation} {place.page} {place.part}".encode()
