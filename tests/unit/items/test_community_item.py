"""Items of langchain_community as typed values: their version, and what is stored of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evaluation import COMMUNITY, INTENT, NAMES, OTHER, SECOND, native
from langchain_dynamodb._dynamodb.attribute_values import number
from langchain_dynamodb._items.community_item import CommunityItem


def test_the_order_of_a_set_is_no_content() -> None:
    """DynamoDB keeps none: the version of an item in its format must not change with it."""
    orders = (["a", "b"], ["b", "a"]), ([b"x", b"y"], [b"y", b"x"])
    entries = [
        {"M": {"data": {"L": [{"SS": t}, {"BS": b}]}, "type": {"S": "SS"}}} for t in orders[0] for b in orders[1]
    ]
    versions = {CommunityItem({"L": [entry]}).version for entry in entries}
    assert len(versions) == 1
    versions |= {CommunityItem({"L": [{"SS": texts}]}).version for texts in (["a"], ["a", "b"])}
    assert len(versions) == 3


@pytest.mark.parametrize(
    "other",
    [
        CommunityItem({"L": []}),
        CommunityItem({"L": [native("a")]}),
        CommunityItem({"L": [native("b"), native("a")]}),
        CommunityItem({"L": [native("a"), native("B")]}),
    ],
)
def test_another_content_has_another_version(other: CommunityItem) -> None:
    """langchain_community writes none, so it is made of the messages."""
    assert (other.version == COMMUNITY.version, other.version > 0) == (False, True)


def test_the_same_content_has_the_same_version() -> None:
    """In every process, whatever else is on the item, and in whatever order a map came."""
    swapped = {"M": dict(reversed(native("b")["M"].items()))}
    same = replace(COMMUNITY, history={"L": [native("a"), swapped]}, ops=frozenset([OTHER]), expires=SECOND)
    assert same.version == COMMUNITY.version == 189864267255716


def test_no_history_is_version_0() -> None:
    """There is no session, though an item may be there."""
    assert CommunityItem({"L": []}, has_history=False).version == 0


def test_its_attributes() -> None:
    """The list, and what we put beside it."""
    item = replace(COMMUNITY, ops=frozenset([b"b", b"a"]), intent=INTENT, expires=SECOND)
    assert COMMUNITY.attributes(NAMES) == {"History": COMMUNITY.history}
    assert item.attributes(NAMES) == {
        "History": COMMUNITY.history,
        "lc_tail_ops": {"BS": [b"a", b"b"]},
        "lc_intent": INTENT.attribute(),
        "expireAt": number(SECOND),
    }


def test_without_a_history_there_is_no_list() -> None:
    """Nobody takes an intent on nothing for a session."""
    assert CommunityItem({"L": []}, has_history=False, intent=INTENT).attributes(NAMES) == {
        "lc_intent": INTENT.attribute()
    }


def test_operations_that_are_remembered() -> None:
    """By their ids."""
    item = replace(COMMUNITY, ops=frozenset([OTHER]))
    assert (item.has_op(OTHER), item.has_op(b"x"), item.natives) == (True, False, [native("a"), native("b")])
