"""AES-256-GCM, and the key of a session: made of a data key, the session's name and a salt of its own. No I/O.

What a session item stores of it: one byte for the version of all this, 16 bytes of salt, the wrapped data key.
"""

from __future__ import annotations

import hmac
import os
from functools import cache
from typing import Any

from .._checks import how_to_install
from ..codec.sealing import Cipher, Sealing, TamperedError
from ..errors import SettingsError

KEY_BYTES = 32
_VERSION = b"\x01"
_SALT_BYTES = 16
_LABEL = b"langchain-dynamodb session key 1"
_TAMPERED = "not encrypted with this session's key for this place, or changed since"


@cache
def cryptography() -> tuple[Any, type[Exception]]:
    """AESGCM, and what it raises for what is not authentic; `SettingsError` where the extra is not installed."""
    try:
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    except ImportError as error:
        raise SettingsError(f"encryption needs the package cryptography: {how_to_install('encryption')}") from error
    return AESGCM, InvalidTag


class Gcm:
    """AES-256-GCM with one key."""

    __slots__ = ("_aead", "_invalid", "_key")

    def __init__(self, key: bytes) -> None:
        aesgcm, self._invalid = cryptography()
        self._aead = aesgcm(key)
        self._key = key

    def encrypt(self, nonce: bytes, data: bytes, associated: bytes) -> bytes:
        """See `Aead`."""
        sealed: bytes = self._aead.encrypt(nonce, data, associated)
        return sealed

    def decrypt(self, nonce: bytes, data: bytes | memoryview, associated: bytes) -> bytes:
        """See `Aead`."""
        try:
            opened: bytes = self._aead.decrypt(nonce, data, associated)
        except (self._invalid, ValueError):  # that of a nonce which was cut short
            raise TamperedError(_TAMPERED) from None
        return opened

    def sealing(self, nonce: bytes, associated: bytes, *, opens: bool = False) -> Sealing:
        """See `Aead`."""
        return _GcmPieces(self._key, nonce, associated, self._invalid, opens)


class _GcmPieces:
    """One encryption or decryption by pieces: the same bytes as `Gcm` makes of the whole."""

    def __init__(self, key: bytes, nonce: bytes, associated: bytes, invalid: type[Exception], opens: bool) -> None:
        from cryptography.hazmat.primitives.ciphers import Cipher as Pieces
        from cryptography.hazmat.primitives.ciphers.algorithms import AES
        from cryptography.hazmat.primitives.ciphers.modes import GCM

        pieces = Pieces(AES(key), GCM(nonce))
        self._context: Any = pieces.decryptor() if opens else pieces.encryptor()
        self._context.authenticate_additional_data(associated)
        self._opens = opens
        self._invalid = invalid

    def update(self, data: bytes) -> bytes:
        """See `Sealing`."""
        done: bytes = self._context.update(data)
        return done

    def finish(self, tag: bytes = b"") -> bytes:
        """See `Sealing`."""
        if not self._opens:
            self._context.finalize()
            made: bytes = self._context.tag
            return made
        try:
            self._context.finalize_with_tag(tag)
        except (self._invalid, ValueError):  # that of a tag which was cut short
            raise TamperedError(_TAMPERED) from None
        return b""


Named = tuple[tuple[str, str, "str | bytes"], ...]


def new_cipher(plain: bytes, wrapped: bytes, session: Named) -> Cipher:
    """The cipher of a session that begins."""
    return unlocked(Cipher(_VERSION + os.urandom(_SALT_BYTES) + wrapped), plain, session)


def wrapped_key(cipher: Cipher) -> bytes | None:
    """The data key in what is stored; None where that is nothing we write."""
    head = len(_VERSION) + _SALT_BYTES
    known = cipher.stored.startswith(_VERSION) and len(cipher.stored) > head
    return cipher.stored[head:] if known else None


def unlocked(cipher: Cipher, plain: bytes, session: Named) -> Cipher:
    """The cipher with the key in the clear.

    HMAC-SHA-256 of the salt and the name, under the data key: sessions that share that share no key, nor do two that
    have had the same name.
    """
    salt = cipher.stored[len(_VERSION) : len(_VERSION) + _SALT_BYTES]
    return Cipher(cipher.stored, Gcm(hmac.digest(plain, _LABEL + salt + _encoded(session), "sha256")))


def _encoded(session: Named) -> bytes:
    """The name as bytes: no two have the same."""
    texts = (text for name, kind, value in session for text in (name, kind, value))
    parts = [text if isinstance(text, bytes) else text.encode() for text in texts]
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)
