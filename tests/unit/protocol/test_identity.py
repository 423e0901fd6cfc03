"""How operations and sessions are recognised."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evaluation import COMMUNITY, KEY, OTHER, SESSION, native
from langchain_dynamodb._items.community_item import CommunityItem, State
from langchain_dynamodb._protocol.identity import check_exists, check_expected, is_same, only_appends
from langchain_dynamodb.errors import SessionNotFoundError, VersionConflictError

APPENDED = replace(SESSION, version=SESSION.version + 1, count=11)
CHANGED = replace(SESSION, version=SESSION.version + 1, change=OTHER)
ANEW = replace(SESSION, generation=SESSION.generation + 3)
OURS = replace(COMMUNITY, ops=frozenset([OTHER]))
OURS_AND_MORE = replace(OURS, history={"L": [native("a"), native("b"), native("c")]}, ops=frozenset([OTHER, b"more"]))
NO_HISTORY = CommunityItem({"L": []}, has_history=False)


@pytest.mark.parametrize(("item", "expected"), [(SESSION, None), (None, None), (SESSION, 1_020), (None, 0)])
def test_the_version_is_as_expected(item: State | None, expected: int | None) -> None:
    """None expects nothing, 0 that there is no session."""
    check_expected(KEY, item, expected)


@pytest.mark.parametrize(("item", "expected", "actual"), [(SESSION, 0, 1_020), (SESSION, 1_019, 1_020), (None, 5, 0)])
def test_another_version_is_a_conflict(item: State | None, expected: int, actual: int) -> None:
    """The error tells both."""
    with pytest.raises(VersionConflictError) as raised:
        check_expected(KEY, item, expected)
    assert (raised.value.expected, raised.value.actual) == (expected, actual)


def test_a_conflict_names_the_version_that_was_given() -> None:
    """A conversion of ours may have come in between, whose version nobody was told."""
    with pytest.raises(VersionConflictError) as raised:
        check_expected(KEY, SESSION, 900, 7)
    assert raised.value.expected == 7


@pytest.mark.parametrize("item", [None, NO_HISTORY])
def test_what_is_no_session(item: State | None) -> None:
    """Nothing, or an item that has nothing but its key."""
    with pytest.raises(SessionNotFoundError):
        check_exists(KEY, item)


@pytest.mark.parametrize(
    ("seen", "item", "same"),
    [
        (SESSION, CHANGED, True),
        (SESSION, ANEW, False),
        (SESSION, COMMUNITY, False),
        (SESSION, None, False),
        (None, None, True),
        (COMMUNITY, COMMUNITY, True),
        (COMMUNITY, OURS, False),
    ],
)
def test_the_session_that_was_seen(seen: State | None, item: State | None, same: bool) -> None:
    """Ours by its generation, langchain_community's by its very content."""
    assert is_same(seen, item) is same


@pytest.mark.parametrize(
    ("seen", "item", "only"),
    [
        (SESSION, APPENDED, True),
        (SESSION, CHANGED, False),
        (SESSION, ANEW, False),
        (OURS, OURS_AND_MORE, True),
        (COMMUNITY, OURS, False),
        (OURS, COMMUNITY, False),
        (None, None, True),
        (None, SESSION, False),
        (SESSION, COMMUNITY, False),
    ],
)
def test_whether_a_change_can_have_come_in_between(seen: State | None, item: State | None, only: bool) -> None:
    """A change of ours leaves its id; langchain_community leaves none, and takes those that were there."""
    assert only_appends(seen, item) is only
