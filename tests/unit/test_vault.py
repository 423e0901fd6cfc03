"""Keys in memory: asked for rarely, however many want them, and forgotten soon."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

import pytest

from langchain_dynamodb._items.keys import SessionKey, session_key
from langchain_dynamodb._store.vault import Vault
from langchain_dynamodb.codec.sealing import Cipher, Place, TamperedError
from langchain_dynamodb.encryption import DataKey, KeyLimits, Keyring
from langchain_dynamodb.errors import DecryptionError, KeyUnavailableError, MissingKeyError


class Counting:
    """A keyring that counts what it is asked; while `locked` it refuses."""

    def __init__(self, limits: KeyLimits | None = None) -> None:
        self.limits = limits or KeyLimits()
        self.made: dict[bytes, bytes] = {}
        self.unwrapped = 0
        self.locked = False

    async def generate(self) -> DataKey:
        await asyncio.sleep(0)
        if self.locked:
            raise KeyUnavailableError("locked")
        wrapped = b"w%d" % len(self.made)
        self.made[wrapped] = os.urandom(32)
        return DataKey(self.made[wrapped], wrapped)

    async def unwrap(self, wrapped: bytes) -> bytes | None:
        await asyncio.sleep(0)
        if self.locked:
            raise KeyUnavailableError("locked")
        self.unwrapped += 1
        return self.made.get(wrapped)


class Seconds:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def key(name: str = "s") -> SessionKey:
    """A session's."""
    return session_key(name, "SessionId")


async def begin(vault: Vault, name: str = "s") -> Cipher:
    """The cipher of a new session."""
    cipher = await vault.new_cipher(key(name))
    assert cipher is not None
    return cipher


async def test_a_thousand_sessions_begin_with_one_data_key() -> None:
    """Also where all begin at once; the next ones take another."""
    keyring = Counting(KeyLimits(sessions=100))
    vault = Vault(keyring)
    await asyncio.gather(*(begin(vault, str(n)) for n in range(100)))
    assert len(keyring.made) == 1
    await asyncio.gather(*(begin(vault, str(n)) for n in range(150)))
    assert len(keyring.made) == 3


async def test_a_data_key_begins_sessions_for_five_minutes() -> None:
    """Then there is another."""
    keyring, clock = Counting(), Seconds()
    vault = Vault(keyring, clock=clock)
    for clock.now, made in ((0, 1), (299, 1), (300, 2), (301, 2)):
        await begin(vault)
        assert len(keyring.made) == made


async def test_a_data_key_is_unwrapped_once_in_five_minutes() -> None:
    """However many read at once, and whatever session has it."""
    keyring, clock = Counting(), Seconds()
    writer = Vault(keyring)
    made = [await begin(writer, str(n)) for n in range(20)]
    reader = Vault(keyring, clock=clock)
    for clock.now, unwrapped in ((0, 1), (299, 1), (300, 2)):
        opened = await asyncio.gather(*(reader.opened(key(str(n)), made[n].locked) for n in range(20)))
        assert (keyring.unwrapped, [one.aead is not None for one in opened]) == (unwrapped, [True] * 20)


async def test_keys_are_forgotten_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where nobody asks again: a timer does it."""
    vault = Vault(Counting(KeyLimits(seconds=60)))
    timers: list[tuple[float, Callable[..., None], tuple[object, ...]]] = []
    loop = asyncio.get_running_loop()
    monkeypatch.setattr(loop, "call_later", lambda delay, call, *given: timers.append((delay, call, given)))
    await begin(vault)
    assert (vault._plain.cost, vault._current.cost, [delay for delay, _, _ in timers]) == (1, 1, [60])
    for _, call, given in timers:
        call(*given)
    assert (vault._plain.cost, vault._current.cost) == (0, 0)


async def test_one_who_gives_up_leaves_the_others_their_answer() -> None:
    """A cancelled task does not end what others wait for; nor does an error, of which nobody is left to hear."""
    keyring = Counting()
    vault = Vault(keyring)
    tasks = [asyncio.create_task(begin(vault)) for _ in range(2)]
    await asyncio.sleep(0)
    tasks[0].cancel()
    assert (await tasks[1]).aead is not None
    keyring.locked = True
    lost = asyncio.create_task(Vault(keyring).new_cipher(key()))
    await asyncio.sleep(0)
    lost.cancel()
    await asyncio.sleep(0.01)
    assert (lost.cancelled(), len(keyring.made)) == (True, 1)


async def test_an_error_is_not_remembered() -> None:
    """The next call asks again."""
    keyring = Counting()
    vault = Vault(keyring)
    keyring.locked = True
    with pytest.raises(KeyUnavailableError):
        await begin(vault)
    keyring.locked = False
    cipher = await begin(vault)
    keyring.locked = True
    reader = Vault(keyring)
    with pytest.raises(KeyUnavailableError):
        await reader.opened(key(), cipher.locked)
    keyring.locked = False
    assert (await reader.opened(key(), cipher.locked)).aead is not None


@pytest.mark.parametrize("stored", [b"", b"\x02" + b"s" * 16 + b"w0", b"\x01" + b"s" * 16, b"\x01" + b"s" * 16 + b"x"])
async def test_what_no_keyring_of_ours_wrapped(stored: bytes) -> None:
    """Another format, nothing, or another's."""
    with pytest.raises(DecryptionError, match="lc_key"):
        await Vault(Counting()).opened(key(), Cipher(stored))
    with pytest.raises(DecryptionError, match="may be an old= one"):
        await Vault(Counting()).opened(key(), Cipher(b"\x01" + b"s" * 16 + b"x"))


async def test_without_a_keyring() -> None:
    """Nothing is encrypted, and nothing decrypted."""
    vault = Vault()
    assert (vault.encrypts, await vault.new_cipher(key())) == (False, None)
    with pytest.raises(MissingKeyError):
        await vault.opened(key(), Cipher(b"x"))


async def test_each_tenant_has_a_data_key_of_its_own() -> None:
    """A keyring that a function returns anew each time is the same if it is equal."""
    keyrings: dict[object, Keyring] = {"a": Counting(), "b": Counting()}
    vault = Vault(lambda session: keyrings[str(session)[0]], lambda one: str(one.attributes[0][2]))
    for name in ("a1", "a2", "b1"):
        await begin(vault, name)
    assert [len(one.made) for one in keyrings.values()] == [1, 1]  # type: ignore[attr-defined]


async def test_a_keyring_slower_than_its_limit() -> None:
    """The time counts from its answer, so whoever waited for a data key gets that."""
    keyring, clock = Counting(KeyLimits(seconds=1)), Seconds()
    generate = keyring.generate

    async def slow() -> DataKey:
        clock.now += 2
        return await generate()

    keyring.generate = slow  # type: ignore[method-assign]
    await begin(Vault(keyring, clock=clock))
    assert len(keyring.made) == 1


async def test_keys_whose_timer_ended_with_its_event_loop() -> None:
    """The next request for a key lets go of them, and so does closing."""
    keyring, clock = Counting(), Seconds()
    vault = Vault(keyring, clock=clock)
    for clock.now in (0, 1_000, 2_000):
        await begin(vault)
        assert (vault._plain.cost, vault._current.cost) == (1, 1)
    vault.forget()
    assert (vault._plain.cost, vault._current.cost) == (0, 0)


@pytest.mark.parametrize("function", [lambda session: {}[session], lambda session: None])
async def test_a_function_that_knows_no_key(function: Callable[[object], Keyring]) -> None:
    """It is an error of this session, not of the others that are listed with it."""
    with pytest.raises(KeyUnavailableError, match="function given as encryption="):
        await Vault(function).new_cipher(key())


def test_a_data_key_shows_no_key() -> None:
    """As whoever writes a keyring may log it."""
    assert "secret" not in repr(DataKey(b"secret", b"wrapped"))


async def test_the_key_of_a_session_is_made_once() -> None:
    """As long as its data key is in memory; and never that of another session, whose item was given the same key."""
    keyring, clock = Counting(), Seconds()
    vault = Vault(keyring, clock=clock)
    made = (await begin(vault, "one")).locked
    opened = await vault.opened(key("one"), made)
    assert (await vault.opened(key("one"), made)).aead is opened.aead
    other = await vault.opened(key("other"), made)
    block = opened.seal(b"block", Place(key("one").attributes))
    with pytest.raises(TamperedError):
        other.open(block, Place(key("other").attributes))
    clock.now = 300
    assert (await vault.opened(key("one"), made)).aead is not opened.aead
    vault.forget()
    assert vault._plain.cost == 0


async def test_keys_of_sessions_have_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """A data key may have begun more sessions elsewhere."""
    monkeypatch.setattr("langchain_dynamodb._store.vault.SESSIONS", 3)
    keyring = Counting()
    writer, vault = Vault(keyring), Vault(keyring)
    for n in range(10):
        await vault.opened(key(str(n)), (await begin(writer, str(n))).locked)
    ((held, _),) = vault._plain._entries.values()
    assert len(held._ciphers) in (1, 2, 3)
