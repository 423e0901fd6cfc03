"""Keys in memory: data keys are asked for rarely, and forgotten soon."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeAlias

from .._checks import running_loop
from .._items.attribute_names import KEY
from .._items.keys import Session, SessionKey
from .._items.parsing import undecodable
from .._items.session_items import SessionItem
from ..codec.sealing import Cipher, TamperedError
from ..encryption.ciphers import new_cipher, unlocked, wrapped_key
from ..encryption.keyrings import DataKey, Keyring, is_keyring
from ..errors import KeyUnavailableError, MissingKeyError
from .cache import LRU

Encryption: TypeAlias = "Keyring | Callable[[Session], Keyring]"
"""How sessions are encrypted: by one keyring for all, or by what a function says of each (a keyring per tenant)."""

KEYS = 4096  # data keys in memory at most
SESSIONS = 1000  # of each, whose own keys are


class _Current:
    """The data key that sessions begin with, and for how many and how long."""

    def __init__(self, key: DataKey, sessions: int, until: float) -> None:
        self.key = key
        self.left = sessions
        self.until = until


class _Plain:
    """A data key in the clear until then, and what it has opened: making the key of a session takes long."""

    def __init__(self, key: bytes, until: float) -> None:
        self.key = key
        self.until = until
        self._ciphers: dict[tuple[object, bytes], Cipher] = {}

    def opened(self, key: SessionKey, cipher: Cipher) -> Cipher:
        """The cipher of this session unlocked."""
        name = key.attributes, cipher.stored
        found = self._ciphers.get(name)
        if found is None:
            if len(self._ciphers) >= SESSIONS:
                self._ciphers.clear()
            found = self._ciphers[name] = unlocked(cipher, self.key, key.attributes)
        return found


class Vault:
    """The keys of sessions, by way of their keyrings; without `encryption` none can be had.

    `named` tells what a session is called by users; `clock` is in seconds.
    """

    def __init__(
        self,
        encryption: Encryption | None = None,
        named: Callable[[SessionKey], Session] = str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._encryption = encryption
        self.encrypts = encryption is not None
        """Whether what is written here is encrypted."""
        self._named = named
        self._clock = clock
        self._plain: LRU[_Plain] = LRU(KEYS)
        self._current: LRU[_Current] = LRU(KEYS)
        self._asking: dict[tuple[object, ...], asyncio.Task[bytes | None]] = {}

    def must_encrypt(self, item: object) -> bool:
        """Whether this item has to be encrypted before anything is written to it."""
        return self.encrypts and isinstance(item, SessionItem) and item.cipher is None

    async def new_cipher(self, key: SessionKey) -> Cipher | None:
        """That of a session which begins, or gets another; None where nothing is encrypted here.

        Raises `KeyUnavailableError`, `StorageError`.
        """
        if self._encryption is None:
            return None
        keyring = self._keyring(key)
        while not ((current := self._current.get(keyring)) and current.left and self._clock() < current.until):
            await self._once(keyring, None)
        current.left -= 1
        return new_cipher(current.key.plain, current.key.wrapped, key.attributes)

    async def unlocked(self, key: SessionKey, item: SessionItem) -> SessionItem:
        """The item with its key in the clear, for an operation that needs that; raises `EncryptionError`s."""
        if item.cipher is None or item.cipher.aead is not None:
            return item
        return replace(item, cipher=await self.opened(key, item.cipher))

    async def opened(self, key: SessionKey, cipher: Cipher) -> Cipher:
        """The cipher unlocked."""
        if self._encryption is None:
            raise MissingKeyError(f"session {key} is encrypted: make the repository with encryption=, nothing was done")
        wrapped = wrapped_key(cipher)
        if wrapped is None:
            raise undecodable(key, KEY, TamperedError("not a data key as this version writes it"))
        keyring = self._keyring(key)
        held = self._plain.get((keyring, wrapped))
        if held is not None and self._clock() < held.until:
            return held.opened(key, cipher)
        plain = await self._once(keyring, wrapped)
        if plain is None:
            told = "this keyring (with this encryption context) has not made it, or it was changed since; "
            told += "where keys were changed, the one that made it may be an old= one"
            raise undecodable(key, KEY, TamperedError(told))
        return unlocked(cipher, plain, key.attributes)

    async def is_of_old_key(self, key: SessionKey, item: SessionItem) -> bool:
        """Whether the keyring's present key has not wrapped this session's; True where a keyring cannot tell."""
        present = getattr(self._keyring(key), "present", None)
        wrapped = None if item.cipher is None else wrapped_key(item.cipher)
        if present is None or wrapped is None:
            return True
        return (await self._once(present, wrapped)) is None

    def _keyring(self, key: SessionKey) -> Keyring:
        given: Any = self._encryption
        if is_keyring(given):
            return given  # type: ignore[no-any-return]
        keyring: Any = self._given_by(given, key)
        if not is_keyring(keyring):
            kind = type(keyring).__name__
            raise KeyUnavailableError(f"the function given as encryption= returned a {kind} for {key}, not a keyring")
        return keyring  # type: ignore[no-any-return]

    def _given_by(self, function: Callable[[Session], Keyring], key: SessionKey) -> Keyring:
        try:
            return function(self._named(key))
        except Exception as error:
            told = f"the function given as encryption= raised {type(error).__name__} for session {key}"
            raise KeyUnavailableError(f"{told}: there is no key for it, and nothing was done") from error

    async def _once(self, keyring: Keyring, wrapped: bytes | None) -> bytes | None:
        """Ask the keyring, however many wait for the same: for what is wrapped, or (None) for a new data key."""
        what = (running_loop(), keyring, wrapped)
        asking = self._asking.get(what)
        if asking is None:
            asking = self._asking[what] = asyncio.create_task(self._ask(keyring, wrapped))
            asking.add_done_callback(lambda task: self._asked(what, task))
        return await asyncio.shield(asking)

    def _asked(self, what: tuple[object, ...], task: asyncio.Task[bytes | None]) -> None:
        del self._asking[what]
        if not task.cancelled():
            task.exception()  # all who waited may have been cancelled

    async def _ask(self, keyring: Keyring, wrapped: bytes | None) -> bytes | None:
        limits = keyring.limits
        if wrapped is None:
            made = await keyring.generate()
            self._current.put(keyring, _Current(made, limits.sessions, self._clock() + limits.seconds))
            plain, wrapped = made
        elif (found := await keyring.unwrap(wrapped)) is not None:
            plain = found
        else:
            return None
        now = self._clock()
        self._plain.discard_if(lambda held: held.until <= now)  # timers end with their event loop
        self._current.discard_if(lambda held: held.until <= now)
        self._plain.put((keyring, wrapped), _Plain(plain, now + limits.seconds))
        self._forget_later(limits.seconds, keyring, wrapped)
        return plain

    def forget(self) -> None:
        """Let go of all keys."""
        self._plain.discard_if(lambda _: True)
        self._current.discard_if(lambda _: True)

    def _forget_later(self, seconds: float, keyring: Keyring, wrapped: bytes) -> None:
        """Also where nobody asks for it again."""
        asyncio.get_running_loop().call_later(seconds, self._forget, keyring, wrapped)

    def _forget(self, keyring: Keyring, wrapped: bytes) -> None:
        self._plain.discard((keyring, wrapped))
        current = self._current.get(keyring)
        if current and current.key.wrapped == wrapped:
            self._current.discard(keyring)
