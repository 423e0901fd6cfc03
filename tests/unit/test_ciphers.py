"""AES-256-GCM by known answers, the keys of sessions, and what a block is bound to."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from langchain_dynamodb.codec.sealing import Cipher, Place, TamperedError
from langchain_dynamodb.encryption import KeyLimits, KmsKeyring, LocalKeyring
from langchain_dynamodb.encryption.ciphers import Gcm, new_cipher, unlocked, wrapped_key
from langchain_dynamodb.errors import InvalidInputError

SESSION = (("SessionId", "S", "s"),)
HERE = Place(SESSION, 1, 2)

# "The Galois/Counter Mode of Operation" (McGrew, Viega), which NIST SP 800-38D refers to: test cases 13, 14 and 16.
ZERO = "00" * 32
LONG_KEY = "feffe9928665731c6d6a8f9467308308" * 2
LONG = (
    "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
    "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
)
LONG_SEALED = (
    "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
    "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f66276fc6ece0f4e1768cddf8853bb2d551b"
)
STORED = ["11826155a7c2ca0b63d3914b25b78278ae3b9425e1", "11826155a7a872986f7632c477ba483be9be1ed745"]

VECTORS = [
    (ZERO, "00" * 12, "", "", "530f8afbc74536b9a963b4f1c4cb738b"),
    (ZERO, "00" * 12, "00" * 16, "", "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919"),
    (LONG_KEY, "cafebabefacedbaddecaf888", LONG, "feedfacedeadbeeffeedfacedeadbeefabaddad2", LONG_SEALED),
]


@pytest.mark.parametrize(("key", "nonce", "text", "associated", "sealed"), VECTORS)
def test_known_answers(key: str, nonce: str, text: str, associated: str, sealed: str) -> None:
    """In both directions."""
    gcm = Gcm(bytes.fromhex(key))
    given = bytes.fromhex(nonce), bytes.fromhex(text), bytes.fromhex(associated)
    assert gcm.encrypt(*given).hex() == sealed
    assert gcm.decrypt(given[0], bytes.fromhex(sealed), given[2]).hex() == text


def test_what_is_stored_today_can_be_read_for_good() -> None:
    """A session key as this version makes it, and blocks as it binds them to their places."""
    cipher = unlocked(Cipher(b"\x01" + b"salt" * 4 + b"wrapped"), b"d" * 32, (("PK", "S", "a"), ("SK", "B", b"b")))
    sealed = bytes(12) + bytes.fromhex(STORED[0])
    assert cipher.open(sealed, Place((), 5, 7)) == b"block"
    assert cipher.open(bytes(12) + bytes.fromhex(STORED[1]), Place((), part="metadata")) == b"block"
    assert wrapped_key(cipher) == b"wrapped"


@pytest.mark.parametrize(
    "other",
    [Place(SESSION), Place(SESSION, 1, 3), Place(SESSION, 2, 2), Place(SESSION, 1, 2, "edit 0"), Place(SESSION, 12)],
)
def test_a_block_opens_at_its_place_only(other: Place) -> None:
    """Neither on another page nor in another generation, nor as anything else."""
    cipher = new_cipher(b"d" * 32, b"w", SESSION)
    sealed = cipher.seal(b"block", HERE)
    assert cipher.open(sealed, HERE) == b"block"
    with pytest.raises(TamperedError):
        cipher.open(sealed, other)


@pytest.mark.parametrize("position", [0, 11, 12, 16, 17, -1])
def test_no_bit_of_a_block_can_be_changed(position: int) -> None:
    """Neither nonce, nor text, nor tag; and nothing can be cut off."""
    cipher = new_cipher(b"d" * 32, b"w", SESSION)
    sealed = bytearray(cipher.seal(b"block", HERE))
    for damaged in (bytes(sealed[:position]), bytes(sealed) + b"x"):
        with pytest.raises(TamperedError):
            cipher.open(damaged, HERE)
    sealed[position] ^= 1
    with pytest.raises(TamperedError):
        cipher.open(bytes(sealed), HERE)


def test_each_session_has_a_key_of_its_own() -> None:
    """Whatever data key they share; so has the next one of the same name, and names cannot be shifted."""
    first = new_cipher(b"d" * 32, b"w", SESSION)
    sealed = first.seal(b"block", HERE)
    shifted = (("SessionI", "d", "S" + "s"),)
    others = [new_cipher(b"d" * 32, b"w", SESSION), *(unlocked(first, b"d" * 32, n) for n in (shifted, ()))]
    for other in [*others, unlocked(first, b"e" * 32, SESSION)]:
        with pytest.raises(TamperedError):
            other.open(sealed, HERE)
    assert unlocked(first.locked, b"d" * 32, SESSION).open(sealed, HERE) == b"block"


def test_nonces_are_never_the_same() -> None:
    """The same block is stored otherwise each time."""
    cipher = new_cipher(b"d" * 32, b"w", SESSION)
    assert len({cipher.seal(b"", HERE)[:12] for _ in range(1000)}) == 1000


def test_a_cipher_shows_no_key() -> None:
    """Nor does a keyring; and a locked cipher equals the unlocked one, but seals nothing."""
    cipher = new_cipher(b"d" * 32, b"w", SESSION)
    assert "aead" not in repr(cipher)
    assert cipher.locked == cipher
    assert "kkkk" not in repr(LocalKeyring(b"k" * 32))
    with pytest.raises(AssertionError):
        cipher.locked.seal(b"block", HERE)


async def test_a_local_keyring_unwraps_what_its_keys_wrapped() -> None:
    """Old keys too; nothing else, and nothing that was changed."""
    old, new = LocalKeyring(b"o" * 32), LocalKeyring(b"n" * 32, old=[b"o" * 32])
    made = await old.generate()
    assert await old.unwrap(made.wrapped) == await new.unwrap(made.wrapped) == made.plain
    assert await old.unwrap((await new.generate()).wrapped) is None
    assert await old.unwrap(made.wrapped[:-1]) is None
    assert await old.unwrap(b"") is None
    assert (len(made.plain), made.plain != (await old.generate()).plain) == (32, True)


@pytest.mark.parametrize(
    ("key", "told"),
    [
        (b"k" * 16, "this is a bytes of 16: a new one"),
        (b"k" * 33, "this is a bytes of 33: a new one"),
        ("6b" * 32, "this is a str of 64: decode it, as by bytes.fromhex"),
        ("k" * 32, "this is a str of 32: decode it, as by bytes.fromhex"),
        (None, "this is a NoneType: a new one"),
    ],
)
def test_a_local_key_has_32_bytes(key: Any, told: str) -> None:
    """A password is no key, nor is a key as text, which should not be thrown away for a new one; neither is shown."""
    for given in ({"key": key}, {"key": b"k" * 32, "old": [key]}):
        with pytest.raises(InvalidInputError, match=f"has 32 bytes, {told}") as caught:
            LocalKeyring(**given)
        assert not any(part in str(caught.value) for part in ("kkk", "6b6b"))


@pytest.mark.parametrize(
    "wrong", [{"seconds": 301}, {"seconds": 0}, {"seconds": "5"}, {"seconds": True}, {"sessions": 0}]
)
def test_limits(wrong: dict[str, object]) -> None:
    """No plain key is kept for longer than five minutes."""
    with pytest.raises(InvalidInputError, match=next(iter(wrong))):
        KeyLimits(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("make", [partial(LocalKeyring, b"k" * 32), partial(KmsKeyring, "alias/chats")])
@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"limits": 60}, "limits=60 must be KeyLimits"),
        ({"limits": KeyLimits}, "must be KeyLimits"),
        ({"old": None}, "old= is a NoneType"),
        ({"old": b"k" * 32}, "old= is a bytes"),
        ({"old": "alias/old"}, "old= is a str"),
        ({"old": {"alias/old": 1}}, "old= is a dict"),
    ],
)
def test_options_of_keyrings(make: Any, wrong: dict[str, object], told: str) -> None:
    """What cannot be used is told at once, not by the first session."""
    with pytest.raises(InvalidInputError, match=told):
        make(**wrong)
