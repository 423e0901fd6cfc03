"""What a keyring is, and one whose key the application has itself."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, NoReturn, Protocol, runtime_checkable
from weakref import WeakSet

from .._checks import short
from ..codec.sealing import NONCE_BYTES, TamperedError
from ..errors import InvalidInputError
from .ciphers import KEY_BYTES, Gcm, cryptography

LONGEST = 300.0
_WRAPPING = b"langchain-dynamodb data key 1"  # what a local key encrypts beside, if anything, is something else


@dataclass(frozen=True)
class KeyLimits:
    """How long a data key is kept in memory, at most five minutes, and how many sessions begin with it.

    Raises `InvalidInputError`.
    """

    seconds: float = LONGEST
    sessions: int = 1000

    def __post_init__(self) -> None:
        if not (type(self.seconds) in (int, float) and 1 <= self.seconds <= LONGEST):
            raise InvalidInputError(f"seconds={self.seconds!r} must be a number from 1 to {LONGEST:.0f}")
        if type(self.sessions) is not int or self.sessions < 1:
            raise InvalidInputError(f"sessions={self.sessions!r} must be a whole number from 1 on")


def checked_limits(limits: object) -> KeyLimits:
    """The limits that were given, or else (None) the usual ones; raises `InvalidInputError`."""
    if limits is None:
        return KeyLimits()
    if not isinstance(limits, KeyLimits):
        raise InvalidInputError(f"limits={short(limits)} must be KeyLimits(seconds=..., sessions=...), or None")
    return limits


def check_old(old: object) -> None:
    """Raise `InvalidInputError` unless these are several keys; what they are is not shown."""
    if not isinstance(old, (list, tuple)):
        raise InvalidInputError(f"old= is a {type(old).__name__}: give a list of keys, [] for none")


def _check_key(key: object) -> None:
    """Raise `InvalidInputError` unless it may be a key; what it is is not shown."""
    if isinstance(key, (bytes, bytearray)) and len(key) == KEY_BYTES:
        return
    told = f"a key of a LocalKeyring has {KEY_BYTES} bytes, this is a {type(key).__name__}"
    told += f" of {len(key)}: " if isinstance(key, (str, bytes, bytearray)) else ": "
    told += "decode it, as by bytes.fromhex or base64.b64decode; " if isinstance(key, str) else ""
    raise InvalidInputError(f"{told}a new one is os.urandom({KEY_BYTES})")


class DataKey(NamedTuple):
    """A key of 32 bytes, and the same encrypted by a key that never leaves its place."""

    plain: bytes
    wrapped: bytes

    def __repr__(self) -> str:
        return f"DataKey(wrapped={self.wrapped!r})"


@runtime_checkable
class Keyring(Protocol):
    """Makes data keys, and unwraps them. Equal keyrings share what is in memory, so it must be hashable."""

    def __hash__(self) -> int:
        """As that of equal ones."""

    @property
    def limits(self) -> KeyLimits:
        """Of the data keys it makes."""

    async def generate(self) -> DataKey:
        """A new data key; raises `KeyUnavailableError`, `StorageError`."""

    async def unwrap(self, wrapped: bytes) -> bytes | None:
        """The plain data key; None where none of this keyring's keys has wrapped it. Raises as `generate` does."""


_kinds: WeakSet[type] = WeakSet()


def is_keyring(given: object) -> bool:
    """Whether it has the methods of one; of each class these are looked at once, which takes long."""
    kind = type(given)
    if kind not in _kinds and isinstance(given, Keyring):
        _kinds.add(kind)
    return kind in _kinds


@dataclass(frozen=True, init=False)
class LocalKeyring:
    """A key of 32 random bytes that the application keeps itself (``os.urandom(32)``, once, kept as a secret).

    Who loses it loses the sessions. `old` keys unwrap what they have wrapped, and wrap no more. Each key may wrap
    2**32 data keys, one for `limits.sessions` sessions.

    Raises `InvalidInputError`, and `SettingsError` where cryptography is not installed.
    """

    keys: tuple[bytes, ...] = field(repr=False)
    limits: KeyLimits

    def __init__(self, key: bytes, *, old: Sequence[bytes] = (), limits: KeyLimits | None = None) -> None:
        cryptography()
        check_old(old)
        keys = (key, *old)
        for one in keys:
            _check_key(one)
        object.__setattr__(self, "keys", tuple(map(bytes, keys)))
        object.__setattr__(self, "limits", checked_limits(limits))

    @property
    def present(self) -> LocalKeyring:
        """The same without the old keys: it unwraps what needs no new key."""
        return LocalKeyring(self.keys[0], limits=self.limits)

    def __deepcopy__(self, memo: object) -> LocalKeyring:
        return self  # nothing in it changes

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "a LocalKeyring is not pickled, as its keys would lie where the pickle does: give encryption= a function "
            "of a module (def keyring(session): ...) that gets the keys where it runs; a function travels by its name"
        )

    async def generate(self) -> DataKey:
        """See `Keyring`."""
        plain, nonce = os.urandom(KEY_BYTES), os.urandom(NONCE_BYTES)
        return DataKey(plain, nonce + Gcm(self.keys[0]).encrypt(nonce, plain, _WRAPPING))

    async def unwrap(self, wrapped: bytes) -> bytes | None:
        """See `Keyring`."""
        for key in self.keys:
            try:
                return Gcm(key).decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], _WRAPPING)
            except TamperedError:
                pass
        return None
