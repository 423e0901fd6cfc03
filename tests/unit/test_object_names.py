"""Names of objects, and what S3Blobs takes."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_dynamodb.blobs import S3Blobs
from langchain_dynamodb.blobs.names import LONGEST, ObjectName, escaped, key_values, session_part, table_part
from langchain_dynamodb.blobs.s3 import LONGEST_PREFIX
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
    assert (one[:300], key_values(one)) == (other[:300], None)
    name = ObjectName("t" * 255, one, 1, 2, TOKEN)
    assert len(str(name)) + LONGEST_PREFIX <= 1024
    assert ObjectName.parse(str(name)) == name


def test_a_name_is_read_back() -> None:
    """Table, session, generation, page and token; what is no name of ours is nobody's."""
    name = ObjectName("T", "a/b", 0x1234, 5, TOKEN)
    assert str(name) == f"T!/a/b/00000000001234/00000005-{TOKEN}"
    assert ObjectName.parse(str(name)) == name
    others = ("a", f"{name}0", "a/1/2-3", str(name)[3:], f"chats/{name}", str(name).replace("!", ""))
    assert [ObjectName.parse(other) for other in others] == [None] * 6


TABLE = st.sampled_from(["aaa", "a-a", "a.a"])
PREFIX = st.lists(TABLE | st.just("a"), max_size=3).map(lambda parts: "".join(f"{part}/" for part in parts))
SESSION = st.lists(TABLE | st.sampled_from(["a", "!", "aaa!", "aaa!/a"]), min_size=1, max_size=2)


@given(TABLE, PREFIX, SESSION, TABLE, PREFIX)
def test_no_two_tables_share_a_name(table: str, prefix: str, session: list[str], other: str, its_prefix: str) -> None:
    """Whatever their prefixes: what one finds below its own as an object of its table is none of another's."""
    name = f"{prefix}{ObjectName(table, session_part(key(*session)), 1, 2, TOKEN)}"
    found = ObjectName.parse(name.removeprefix(its_prefix)) if name.startswith(its_prefix) else None
    assert (found is not None and found.table == other) == ((table, prefix) == (other, its_prefix))


def test_a_table_named_by_its_arn() -> None:
    """It is the same table."""
    arn = "arn:aws:dynamodb:us-east-1:123456789012:table/My_Table-1.x"
    assert table_part(arn) == table_part("My_Table-1.x") == "My_Table-1.x"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"bucket": ""}, "bucket=''"),
        ({"bucket": "Chats"}, "bucket='Chats'"),
        ({"bucket": None}, "bucket=None"),
        ({"prefix": None}, "prefix=None"),
        ({"prefix": "x" * 256 + "/"}, "at most 256 bytes"),
        ({"prefix": "chats"}, "prefix='chats' must be .* end with '/'"),
        ({"prefix": "a!/"}, "prefix='a!/' must be .* have no '!'"),
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
    [("a/", False), ("", True), ("a/b/", True), ("b/", True), (None, True)],
)
def test_tables_of_one_name(other: str | None, apart: bool) -> None:
    """They must not share a prefix; another prefix or bucket is another place."""
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
