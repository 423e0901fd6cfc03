"""Cursors: places in a listing as texts, which say nothing in another listing and never lead out of a partition."""

from __future__ import annotations

import base64
import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_dynamodb._store.cursors import read_cursor, write_cursor
from langchain_dynamodb.errors import InvalidCursorError

SCOPE = b"scan of a table"
PLACES: list[dict[str, Any]] = [
    {"PK": {"S": "p"}},
    {"PK": {"S": "é\x00\n\N{PILE OF POO}"}, "SK": {"N": "-12.5"}},
    {"SK": {"B": b"\x00\xff"}, "lc_updated": {"N": "1800000000000000"}},
]
TYPES = [{name: kind for name, value in place.items() for kind in value} for place in PLACES]


@pytest.mark.parametrize(("place", "types"), list(zip(PLACES, TYPES, strict=True)))
def test_a_place_comes_back(place: Any, types: Any) -> None:
    """As it was, in the same listing."""
    cursor = write_cursor(place, SCOPE)
    assert read_cursor(cursor, SCOPE, types) == place
    assert set(cursor) <= set(string.ascii_letters + string.digits + "-_")


@given(st.dictionaries(st.text(min_size=1), st.text(min_size=1), max_size=3))
def test_any_place_comes_back(names: dict[str, str]) -> None:
    """Whatever the names and the values are."""
    place = {name: {"S": value} for name, value in names.items()}
    assert read_cursor(write_cursor(place, SCOPE), SCOPE, dict.fromkeys(names, "S")) == place


def refused(cursor: object, scope: bytes = SCOPE, types: Any = TYPES[0]) -> None:
    """Fail unless that is no cursor of this listing."""
    with pytest.raises(InvalidCursorError, match="or None to begin anew"):
        read_cursor(cursor, scope, types)


def test_a_cursor_of_another_listing() -> None:
    """Of another table, partition, index or order."""
    refused(write_cursor(PLACES[0], b"another"))


def test_no_cursor_that_was_changed() -> None:
    """In any of its characters, at its beginning or its end."""
    good = write_cursor(PLACES[0], SCOPE)
    for i in range(len(good)):
        for other in "AB":
            if other != good[i]:
                refused(good[:i] + other + good[i + 1 :])
    for bad in (good[:-1], good[1:], good + "A", good + "=", good + "\n", " " + good):
        refused(bad)


@pytest.mark.parametrize("cursor", ["", "x", "é", "!" * 40, "A" * 17_000, b"x", 7, ["x"], "\ud800"])
def test_what_is_no_cursor_at_all(cursor: object) -> None:
    """Whatever a client sends."""
    refused(cursor)


@pytest.mark.parametrize("types", [{"PK": "N"}, {"PK": "S", "SK": "S"}, {"SK": "S"}, {}])
def test_a_cursor_of_other_keys(types: Any) -> None:
    """The table was made anew: its checksum is right, and the place is none."""
    refused(write_cursor(PLACES[0], SCOPE), types=types)


@pytest.mark.parametrize(
    "place",
    [
        {"PK": {"S": ""}},
        {"PK": {"N": "x"}},
        {"PK": {"N": "NaN"}},
        {"PK": {"N": "Infinity"}},
        {"PK": {"N": " 1"}},
        {"PK": {"N": "1_0"}},
        {"PK": {"N": "1E+126"}},
        {"PK": {"L": "x"}},
        {"PK": {"S": 7}},
        {"PK": {"S": ["x"]}},
    ],
)
def test_a_place_that_no_item_can_have(place: Any) -> None:
    """Somebody who computes the checksum cannot make DynamoDB refuse what we send."""
    kinds = {name: kind for name, value in place.items() for kind in value}
    refused(write_cursor(place, SCOPE), types=kinds)


def test_bytes_in_another_notation() -> None:
    """They are base64, and nothing else."""
    refused(write_cursor({"PK": {"B": "AA AA"}}, SCOPE), types={"PK": "B"})


def test_a_cursor_has_one_notation() -> None:
    """Bits that base64 leaves unused are zero, so that two texts never name one place."""
    good = next(c for c in (write_cursor({"PK": {"S": "p" * n}}, SCOPE) for n in range(1, 4)) if len(c) % 4)
    others = [good[:-1] + last for last in string.ascii_letters if last != good[-1]]
    refused(next(other for other in others if _bytes(other) == _bytes(good)))


def _bytes(cursor: str) -> bytes:
    return base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))


def test_a_cursor_that_is_shown() -> None:
    """In an error: bounded, however long it is."""
    with pytest.raises(InvalidCursorError) as caught:
        read_cursor("x" * 100_000, SCOPE, TYPES[0])
    assert len(str(caught.value)) < 400
