"""Items of langchain_community as typed values: their version, and what is stored of them."""

from __future__ import annotations

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
