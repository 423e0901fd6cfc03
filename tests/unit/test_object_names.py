"""Names of objects, and what S3Blobs takes."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_dynamodb.blobs import S3Blobs
from langchain_dynamodb.blobs.names import LONGEST, ObjectName, escaped, key_values, session_part
from langchain_dynamodb.blobs.stores import check_apart
from langchain_dynamodb.errors import InvalidInputError, SettingsError

Key = tuple[tuple[str, str, "str | bytes"], ...]
TOKEN = "0123456789abcdef01234567"


def key(*values: str | bytes) -> Key:
    """A session of these attributes."""
    return tuple((f"k{n}", "S" if isinstance(value, str) else "B", value) for n, value in enumerate(values))


@pytest.mark.parametrize(
    ("session", "part"),
    [
        (key("s1"), "s1"),
        (key("acme/s 1"), "acme!2Fs!201"),
        (key("acme", "s/1"), "acme/s!2F1"),
        (key("a!2Fb"), "a!212Fb"),
        (key("Ä~"), "!C3!84!7E"),
        (key(".."), "!2E."),
        (key("a.b"), "a.b"),
        (key(b"\x00a"), "!00a"),
    ],
)
def test_what_stands_in_a_name(session: Key, part: str) -> None:
    """Letters, digits, ``_``, ``-`` and ``.`` as they are, everything else byte by byte; a slash only between keys."""
    assert session_part(session) == part
    assert key_values(part) == [v.encode() if isinstance(v, str) else v for _, _, v in session]


@given(st.lists(st.text(min_size=1) | st.binary(min_size=1), min_size=1, max_size=2))
def test_no_two_sessions_share_a_name(values: list[str | bytes]) -> None:
    """What a name says is the key, whole; and what a key begins with is what its name begins with."""
    part = session_part(key(*values))
    read = key_values(part)
    assert len(part) <= LONGEST
    assert read in (None, [value.encode() if isinstance(value, str) else value for value in values])
    if read is not None:
        assert part.startswith(escaped(values[0][: len(values[0]) // 2 or None]))


def test_the_longest_names() -> None:
    """Beyond what S3 takes a name is cut, and a hash tells those apart that begin alike."""
    one, other = session_part(key("ä" * 1000)), session_part(key("ä" * 999 + "b"))
    assert len(one) == len(other) == LONGEST
    assert one != other
    assert (one[:500], key_values(one)) == (other[:500], None)


def test_a_name_is_read_back() -> None:
    """Session, generation, page and token; what is no name of ours is nobody's."""
    name = ObjectName("a/b", 0x1234, 5, TOKEN)
    assert str(name) == f"a/b/00000000001234/00000005-{TOKEN}"
    assert ObjectName.parse(str(name)) == name
    assert [ObjectName.parse(other) for other in ("a", f"{name}0", "a/1/2-3", str(name)[4:])] == [None] * 4


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"bucket": ""}, "bucket=''"),
        ({"bucket": "Chats"}, "bucket='Chats'"),
        ({"bucket": None}, "bucket=None"),
        ({"prefix": None}, "prefix=None"),
        ({"prefix": "x" * 257}, "at most 256 bytes"),
        ({"prefix": "new-"}, "must end with '/'"),
        ({"threshold": -1}, "threshold=-1"),
        ({"threshold": 380_001}, "threshold=380001"),
        ({"threshold": 1.5}, "threshold=1.5"),
        ({"region_name": 1}, "region_name"),
    ],
)
def test_arguments_that_cannot_be_used(given: dict[str, Any], told: str) -> None:
    """An error names the value and what it must be."""
    with pytest.raises(InvalidInputError, match=told):
        S3Blobs(**{"bucket": "chats", **given})


@pytest.mark.parametrize(
    ("other", "apart"),
    [("a/", False), ("", False), ("a/b/", False), ("b/", True), ("ab/", True), (None, True)],
)
def test_tables_that_would_share_a_prefix(other: str | None, apart: bool) -> None:
    """A prefix with which the other one begins is refused, whichever of the two it is; other buckets are apart."""
    with contextlib.nullcontext() if apart else pytest.raises(SettingsError, match="deletions of one reach"):
        check_apart(S3Blobs("chats", "a/"), None if other is None else S3Blobs("chats", other))
    with contextlib.nullcontext() if apart else pytest.raises(SettingsError, match="deletions of one reach"):
        check_apart(None if other is None else S3Blobs("chats", other), S3Blobs("chats", "a/"))
    check_apart(S3Blobs("chats", "a/"), S3Blobs("other", "a/"))


def test_equal_places() -> None:
    """Histories with equal ones share a repository."""
    one, same, other = S3Blobs("chats"), S3Blobs("chats"), S3Blobs("chats", "a/")
    assert (one, hash(one)) == (same, hash(same))
    assert one != other
    assert repr(one) == "S3Blobs(bucket='chats', prefix='', threshold=65536)"
