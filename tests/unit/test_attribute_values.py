"""Python values and DynamoDB's attribute values: exact, or refused with the place of what is not."""

from __future__ import annotations

import datetime
import decimal
from collections import OrderedDict
from enum import IntEnum
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_dynamodb._dynamodb.attribute_values import (
    MAX_DEPTH,
    attribute_bytes,
    from_attribute,
    is_storable,
    to_attribute,
)
from langchain_dynamodb.errors import InvalidInputError


class Level(IntEnum):
    """An int whose text is not a number's on every Python."""

    HIGH = 3


class Wordy(float):
    """A float with a text of its own, as numpy's are."""

    def __repr__(self) -> str:
        return f"Wordy({float(self)})"


EXACT: list[Any] = [
    None,
    True,
    False,
    "",
    "text \N{PILE OF POO}",
    0,
    -1,
    2**63,
    2**64 + 1,
    10**30 + 1,
    10**38 - 1,
    -(10**38) + 1,
    10**29,
    0.1,
    1.5,
    -0.25,
    5e-10,
    1e-129,
    1e22,
    1e38,
    1.7976931348623157e125,
    Level.HIGH,
    Wordy(0.5),
    [],
    {},
    [1, [2.5, {"a": [None]}]],
    {"a b.c-d": {"lc_version": 1}},
]


@pytest.mark.parametrize("value", EXACT, ids=repr)
def test_values_come_back_equal(value: Any) -> None:
    """What is accepted comes back equal, a bool as a bool and a number as a plain one."""
    back = from_attribute(to_attribute(value, "value"))
    assert back == value
    assert isinstance(back, bool) == isinstance(value, bool)
    assert type(back) in (type(None), bool, int, float, str, list, dict)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**38) + 1, 10**38 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner)
    ),
    max_leaves=12,
)


@given(JSON)
def test_any_value_comes_back_equal_or_is_refused(value: Any) -> None:
    """There is no third way: nothing comes back changed, and no other error is raised."""
    try:
        stored = to_attribute(value, "value")
    except InvalidInputError:
        return
    assert from_attribute(stored) == value


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"a": {"b": [1, datetime.datetime(2026, 1, 1)]}}, r"m\['a'\]\['b'\]\[1\] is a datetime.*isoformat"),
        ({"a": {1, 2}}, r"m\['a'\] is a set"),
        ({"a": (1, 2)}, r"m\['a'\] is a tuple"),
        ({"a": b"x"}, r"m\['a'\] is a bytes"),
        ({"a": decimal.Decimal("1.5")}, r"m\['a'\] is a Decimal"),
        ({"a": object()}, r"m\['a'\] is a object"),
        ({"a": float("nan")}, r"m\['a'\] is nan"),
        ({"a": float("-inf")}, r"m\['a'\] is -inf"),
        ({"a": 10**38}, "would not give back exactly"),
        ({"a": 10**5000}, "thousands of digits"),
        ({"a": 1e23}, "whole ones as int"),
        ({"a": 1e126}, "1e-130 to 1e126"),
        ({"a": 1e-131}, "1e-130 to 1e126"),
        ({"a": "\ud800"}, r"m\['a'\] holds a lone surrogate"),
        ({"\ud800": 1}, "lone surrogate"),
        ({"a": {1: 2}}, r"m\['a'\] has the key 1 \(int\)"),
        ({"a": {"": 2}}, r"m\['a'\] has the key '' \(str\)"),
    ],
)
def test_what_would_not_come_back_equal_is_refused(value: Any, said: str) -> None:
    """The message says where it is, what it is, and what to do."""
    with pytest.raises(InvalidInputError, match=said):
        to_attribute(value, "m")


def test_nesting_is_bounded() -> None:
    """31 lists and maps fit around a value, and a value that contains itself ends in the same error."""
    value: Any = 1
    for _ in range(MAX_DEPTH - 1):
        value = [value]
    assert from_attribute(to_attribute(value, "value")) == value
    with pytest.raises(InvalidInputError, match="nested deeper than the 32 levels"):
        to_attribute(value, "value", depth=1)
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(InvalidInputError, match="nested deeper"):
        to_attribute(endless, "value")


def test_any_mapping_is_a_map() -> None:
    """A mapping comes back as a dict with the same order."""
    for mapping in (OrderedDict(b=1, a=2), MappingProxyType({"b": 1, "a": 2})):
        assert list(from_attribute(to_attribute(mapping, "value")).items()) == [("b", 1), ("a", 2)]


@pytest.mark.parametrize(
    ("stored", "value"),
    [
        ("1", 1),
        ("1.0", 1),
        ("-0", 0),
        ("1E+37", 10**37),
        ("9" * 38, 10**38 - 1),
        ("1" + "0" * 100, 1e100),
        ("5E-1", 0.5),
    ],
)
def test_numbers_as_others_store_them(stored: str, value: float) -> None:
    """Whole numbers of at most 38 digits are read as int, in any notation and decimal context."""
    with decimal.localcontext(decimal.Context(prec=2)):
        back = from_attribute({"N": stored})
    assert (back, type(back)) == (value, type(value))


@pytest.mark.parametrize(
    "stored", [{"B": b"x"}, {"SS": ["a"]}, {"NS": ["1"]}, {"L": [{"BS": [b"a"]}]}, {}, "x", {"S": 1, "N": 2}]
)
def test_attribute_values_of_no_json_type(stored: Any) -> None:
    """Binaries, sets and what is no attribute value are a ValueError, which readers turn into theirs."""
    with pytest.raises(ValueError, match="attribute"):
        from_attribute(stored)


def test_binaries_and_sets_on_request() -> None:
    """What langchain_community's boto3 may have stored, at any depth."""
    stored = {"M": {"a": {"B": b"x"}, "b": {"L": [{"SS": ["t"]}, {"NS": ["1", "2.5"]}, {"BS": [b"y"]}]}}}
    assert from_attribute(stored, json_only=False) == {"a": b"x", "b": [{"t"}, {1, 2.5}, {b"y"}]}
    with pytest.raises(ValueError, match="attribute"):
        from_attribute({"XX": "x"}, json_only=False)


def test_sizes_of_binaries_and_sets() -> None:
    """The sum of their members."""
    sizes = [attribute_bytes(v) for v in ({"B": b"abc"}, {"SS": ["ab", "é"]}, {"NS": ["1", "123"]}, {"BS": [b"a"]})]
    assert sizes == [3, 4, 5, 1]


@pytest.mark.parametrize(
    ("value", "size"),
    [
        ("a", 1),
        ("é", 2),
        (None, 1),
        (True, 1),
        (1, 2),
        (123, 3),
        (-1.5, 3),
        ([], 3),
        ([None], 5),
        ({"ab": "c"}, 3 + 1 + 2 + 1),
    ],
)
def test_sizes_as_dynamodb_counts_them(value: Any, size: int) -> None:
    """Sizes follow the Developer Guide's section on item sizes."""
    assert attribute_bytes(to_attribute(value, "value")) == size


def test_storable_numbers() -> None:
    """38 significant digits between 1e-130 and 1e126, counted without the decimal context's rounding."""
    with decimal.localcontext(decimal.Context(prec=5)):
        for text in ("0", "-0", "0E+999", "1E-130", "9" * 38, "9.9E+125", "1" + "0" * 125, "0." + "0" * 129 + "1"):
            assert is_storable(decimal.Decimal(text)), text
        for text in ("1E-131", "1E+126", "1" * 39, "1.0000000000000000000000000000000000000001"):
            assert not is_storable(decimal.Decimal(text)), text
