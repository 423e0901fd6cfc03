"""The user's own attributes and metadata: what may be set, what comes back, and how large they may be."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from langchain_dynamodb._items.attributes import (
    check_metadata,
    check_own_name,
    check_own_size,
    metadata_changes,
    own_attributes,
    to_python,
)
from langchain_dynamodb._items.sizes import Sizes
from langchain_dynamodb.errors import InvalidInputError

TAKEN = ("SessionId", "History", "expireAt")


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        ("x", {"S": "x"}),
        (1, {"N": "1"}),
        (0.5, {"N": "0.5"}),
        (True, {"BOOL": True}),
        (b"x", {"B": b"x"}),
        (bytearray(b"x"), {"B": b"x"}),
        (Decimal("1.50"), {"N": "1.50"}),
        (Decimal("1E+3"), {"N": "1000"}),
        (Decimal("1234567890.1234567890123456789012345678"), {"N": "1234567890.1234567890123456789012345678"}),
        ([1, None], {"L": [{"N": "1"}, {"NULL": True}]}),
        ({"a": "x"}, {"M": {"a": {"S": "x"}}}),
    ],
)
def test_what_may_be_set(value: Any, stored: Any) -> None:
    """JSON types, bytes and decimals: an index may have them as keys. They come back equal."""
    assert own_attributes({"a": value}, TAKEN) == {"a": stored}
    assert to_python({"a": stored}) == {"a": value}


def test_none_removes() -> None:
    """Nothing is stored in its place."""
    assert own_attributes({"a": None, "b": 1}, TAKEN) == {"a": None, "b": {"N": "1"}}


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        ("user", "attributes='user' must be a mapping"),
        ([("a", 1)], "must be a mapping"),
        ({"a": {1}}, r"attributes\['a'\] is a set"),
        ({"a": [b"x"]}, r"attributes\['a'\]\[0\] is a bytes"),
        ({"a": [Decimal(1)]}, r"attributes\['a'\]\[0\] is a Decimal"),
        ({"a": Decimal("NaN")}, r"attributes\['a'\] is a Decimal"),
        ({"a": Decimal("Infinity")}, r"attributes\['a'\] is a Decimal"),
        ({"a": Decimal("1E+126")}, r"attributes\['a'\] is a Decimal"),
        ({"a": "\ud800"}, "lone surrogate"),
        ({"a": 10**38 + 1}, "would not give back exactly"),
    ],
)
def test_what_may_not_be_set(attributes: Any, said: str) -> None:
    """It is named, with its place."""
    with pytest.raises(InvalidInputError, match=said):
        own_attributes(attributes, TAKEN)


@pytest.mark.parametrize("name", [*TAKEN, "lc_version", "lc_", "lc_anything", "", 7, None, "\ud800"])
def test_names_that_are_taken_or_none(name: object) -> None:
    """The key's, those of the history and the expiry, ours, and what is no text."""
    with pytest.raises(InvalidInputError, match="attribute"):
        check_own_name(name, TAKEN)


@pytest.mark.parametrize("name", ["user", "lc", "LC_x", "history", "é", "a b[0]", " "])
def test_names_that_may_be(name: str) -> None:
    """Whatever DynamoDB takes."""
    assert check_own_name(name, TAKEN) == name


@pytest.mark.parametrize(
    ("stored", "value"),
    [
        ({"SS": ["a", "b"]}, {"a", "b"}),
        ({"NS": ["1", "2.5"]}, {1, 2.5}),
        ({"BS": [b"a"]}, {b"a"}),
        ({"L": [{"B": b"a"}, {"SS": ["a"]}]}, [b"a", {"a"}]),
        ({"M": {"a": {"B": b"a"}}}, {"a": b"a"}),
        ({"NULL": True}, None),
        ({"N": "1"}, 1),
        ({"N": "1.5"}, 1.5),
        ({"N": "0.1"}, 0.1),
        ({"N": "0.10000000000000000000000001"}, Decimal("0.10000000000000000000000001")),
    ],
)
def test_what_others_stored_comes_back(stored: Any, value: object) -> None:
    """Sets and bytes too; a number that no float holds stays as exact as it was written."""
    ((found,),) = [to_python({"a": stored}).values()]
    assert (found, type(found)) == (value, type(value))


def sized(size: int) -> dict[str, Any]:
    """Attributes of so many bytes."""
    return {"é": {"S": "x" * (size - 2)}}


def test_attributes_are_counted_with_their_names() -> None:
    """In bytes, as DynamoDB counts them; every append pays for them."""
    check_own_size(sized(1_024), Sizes())
    with pytest.raises(InvalidInputError, match=r"have 1025 bytes, more than the 1024 .* Sizes\(attributes="):
        check_own_size(sized(1_025), Sizes())


def test_their_bound_can_be_moved() -> None:
    """By an option."""
    check_own_size(sized(2_000), Sizes(attributes=2_000))


def test_what_is_removed_has_no_size() -> None:
    """However long its name."""
    check_own_size({"x" * 5_000: None}, Sizes())


def test_changes_of_metadata() -> None:
    """Names to set, and None for one to remove; a None within a value is one."""
    assert metadata_changes({"a": 1, "b": None, "c": {"d": None}}) == {
        "a": {"N": "1"},
        "b": None,
        "c": {"M": {"d": {"NULL": True}}},
    }


def test_metadata_has_a_bound() -> None:
    """Of the map as a whole, as DynamoDB counts it."""
    check_metadata({"M": {"a": {"S": "x" * 2_043}}}, Sizes())
    with pytest.raises(InvalidInputError, match=r"have 2049 bytes, more than the 2048 .* Sizes\(metadata="):
        check_metadata({"M": {"a": {"S": "x" * 2_044}}}, Sizes())
    check_metadata({"M": {"a": {"S": "x" * 2_044}}}, Sizes(metadata=2_049))
