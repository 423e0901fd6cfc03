"""What stands at a session's key: a session of ours, one of langchain_community, nothing, or something else."""

from __future__ import annotations

from typing import Any

import pytest

from evaluation import COMMUNITY, KEY, NAMES, SESSION, native, stored
from langchain_dynamodb._items.parsing import parse_item
from langchain_dynamodb._items.recognition import (
    check_community,
    check_own_list,
    is_community_list,
    is_message,
    is_remnant,
)
from langchain_dynamodb.errors import ForeignItemError, ItemFormatError

JAVASCRIPT: dict[str, Any] = {"M": {"type": {"S": "human"}, "text": {"S": "hush"}}}
OWN: dict[str, Any] = {"user": {"S": "hush"}, "tags": {"L": [JAVASCRIPT]}}


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (native("x"), True),
        ({"M": {"type": {"S": "human"}, "data": {"M": {}}}}, True),
        (JAVASCRIPT, False),
        ({"M": {"data": {"M": {}}}}, False),
        ({"M": {"type": {"S": "human"}, "data": {"S": "x"}}}, False),
        ({"M": {"type": {"N": "1"}, "data": {"M": {}}}}, False),
        ({"S": "x"}, False),
        ({"B": b"x"}, False),
    ],
)
def test_messages_of_langchain_community(entry: Any, message: bool) -> None:
    """Maps of a type and data."""
    assert is_message(entry) == message


@pytest.mark.parametrize(
    ("value", "theirs"),
    [
        ({"L": []}, True),
        ({"L": [native("x")]}, True),
        ({"L": [native("x"), JAVASCRIPT]}, True),
        ({"L": [JAVASCRIPT, native("x")]}, True),
        ({"L": [JAVASCRIPT, JAVASCRIPT, native("x")]}, False),
        ({"L": [JAVASCRIPT]}, False),
        ({"L": [{"B": b"x"}]}, False),
        ({"S": "x"}, False),
        ({"M": {}}, False),
    ],
)
def test_a_history_is_known_by_its_first_two_entries(value: Any, theirs: bool) -> None:
    """One that is damaged hides no session; an empty list is one."""
    assert is_community_list(value) == theirs


def refused(**attributes: Any) -> ForeignItemError:
    """The error for an item with these attributes."""
    with pytest.raises(ForeignItemError) as caught:
        parse_item({**KEY.item, **attributes}, NAMES, KEY, ("SessionId",))
    return caught.value


@pytest.mark.parametrize(
    "attributes",
    [
        {"name": {"S": "x"}},
        {"History": {"S": "x"}},
        {"History": {"L": [JAVASCRIPT]}},
        {"History": {"M": {}}},
        {"Messages": {"L": [native("x")]}},
        {"expireAt": {"N": "5"}, "name": {"S": "x"}},
    ],
)
def test_something_else(attributes: Any) -> None:
    """An item of the application, or of another library."""
    assert refused(**attributes).item == "SessionId='s'"


def test_what_is_told_of_something_else() -> None:
    """Names and types of its attributes, and no content."""
    error = str(refused(History={"L": [JAVASCRIPT, JAVASCRIPT]}, **OWN))
    for told in (
        "'History' (L of 2, the first M of 'type', 'text')",
        "'user' (S)",
        "'tags' (L of 1, ",
        "left as it is",
    ):
        assert told in error
    assert "hush" not in error


def test_of_many_attributes_eight_are_named() -> None:
    """An error stays readable."""
    error = str(refused(**{f"a{i}": {"S": "x"} for i in range(10)}))
    assert ("'a7' (S) and 2 more" in error, "'a8'" in error) == (True, False)
    assert "more" not in str(refused(**{f"a{i}": {"S": "x"} for i in range(8)}))


def test_a_history_of_another_name_is_advised() -> None:
    """Where it looks like one of langchain_community; an empty list does not."""
    assert "set history_messages_key='Messages'" in str(refused(Messages={"L": [native("x")]}))
    assert "history_messages_key" not in str(refused(Messages={"L": []}))


def test_what_may_stand_beside_a_history() -> None:
    """Attributes of the user's."""
    check_community({**stored(COMMUNITY), **OWN}, OWN, NAMES, "s")


def test_nothing_but_a_key_and_an_expiry() -> None:
    """There is no session, and one can begin."""
    check_community({**KEY.item, "expireAt": {"N": "5"}}, {}, NAMES, "s")


@pytest.mark.parametrize(
    ("item", "remnant"),
    [
        (KEY.item, False),
        (stored(COMMUNITY), False),
        ({**stored(COMMUNITY), "lc_tail_ops": {"BS": [b"a"]}, "lc_intent": {"M": {}}}, False),
        ({**stored(COMMUNITY), "lc_count": {"N": "1"}}, True),
        (stored(SESSION), True),
    ],
)
def test_what_was_ours(item: Any, remnant: bool) -> None:
    """By an attribute of ours that is left of it; ids and an intent stand on items of langchain_community too."""
    assert is_remnant(item) == remnant


def test_a_list_of_ours_under_another_name() -> None:
    """Two programs have two names for the history: the error names both."""
    with pytest.raises(ItemFormatError, match=r"no attribute 'History', but 'Chat' .* history_messages_key='Chat'"):
        check_own_list({"user": {"S": "u"}, "Chat": {"L": [native("x"), {"B": b"x"}]}}, NAMES, "s")


def test_lists_of_the_users() -> None:
    """They hold no blocks."""
    check_own_list(OWN, NAMES, "s")
