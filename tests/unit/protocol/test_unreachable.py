"""Which pages may be removed: none that a reader needs or that a running writer may commit."""

from __future__ import annotations

import pytest

from langchain_dynamodb._items.community_item import CommunityItem
from langchain_dynamodb._items.session_items import Intent, SessionItem
from langchain_dynamodb._protocol.copying import EARLIER
from langchain_dynamodb._protocol.unreachable import UNANNOUNCED_BYTES, SeenPage, generations_before, is_unreachable

OLD, NEW, GRACE = 1000, 9000, 5000
SESSION = SessionItem(version=50, generation=OLD, created=OLD, first_page=2, pages=5)


def intent(generation: int = OLD) -> Intent:
    """One to write the pages 7 and 8."""
    return Intent(b"op", "append", generation, 7, 8, 0)


@pytest.mark.parametrize(
    ("page", "item", "expected"),
    [
        (SeenPage(OLD, 0, 10), None, True),
        (SeenPage(NEW, 0, 10), None, False),  # a replica may not have its item yet
        (SeenPage(OLD - 1, 3, 10), SESSION, True),  # of the session before
        (SeenPage(NEW, 3, 10), SESSION, False),
        (SeenPage(OLD, 2, 10), SESSION, False),  # of the history
        (SeenPage(OLD, 4, 49), SESSION, False),
        (SeenPage(OLD, 1, 10), SESSION, True),  # dropped
        (SeenPage(OLD, 5, 49), SESSION, True),  # the cut it was put for is refused by now
        (SeenPage(OLD, 5, 50), SESSION, False),  # that one may still commit
        (SeenPage(OLD, 9, 77), SESSION, False),  # an older item was restored: for repair
    ],
)
def test_pages(page: SeenPage, item: SessionItem | None, expected: bool) -> None:
    """By whether there is a session that can have it."""
    assert is_unreachable(page, item, GRACE) is expected


@pytest.mark.parametrize("number", [7, 8, 9])
def test_a_write_under_way(number: int) -> None:
    """What it has declared is its own, whatever the version."""
    busy = SessionItem(version=50, generation=OLD, created=OLD, pages=5, intent=intent())
    assert is_unreachable(SeenPage(OLD, number, 49), busy, GRACE) is (number == 9)


@pytest.mark.parametrize(
    ("item", "size", "expected"),
    [
        (CommunityItem({"L": []}), 100, True),
        (CommunityItem({"L": []}, intent=intent(OLD)), 100, False),  # a conversion of that generation
        (CommunityItem({"L": []}, intent=intent(OLD + 1)), 100, True),
        (CommunityItem({"L": []}), UNANNOUNCED_BYTES, False),  # or one that had no room to say so
    ],
)
def test_items_of_langchain_community(item: CommunityItem, size: int, expected: bool) -> None:
    """A conversion that is under way keeps its pages."""
    assert is_unreachable(SeenPage(OLD, 0, 10), item, GRACE, size) is expected


def test_a_fork_that_began_just_now() -> None:
    """Its generation may lie 72 minutes back."""
    now = 5 * EARLIER
    assert generations_before(now, 1) <= now - (EARLIER - 1)
    assert generations_before(now, 0) == now
