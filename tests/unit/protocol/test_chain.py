"""Which pages the session item proves (rule 5)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evaluation import PAGE, SESSION
from langchain_dynamodb._items.page_items import Page
from langchain_dynamodb._protocol.chain import first_break, follows, missing_parts, precedes

BELOW = Page(2, 1_010, 1_005, b"tail", 3, 2, b"")
PAGES = {3: PAGE, 2: BELOW}
EDITED = replace(SESSION, edited=1_018)


def test_a_chain_that_holds() -> None:
    """Each page is the one that the page above names, the newest the one that the session item names."""
    assert first_break(PAGES, SESSION, range(2, 4), None) is None
    assert first_break({2: BELOW}, SESSION, range(2, 3), PAGE) is None


@pytest.mark.parametrize("number", [2, 3])
@pytest.mark.parametrize("changes", [{"cut": 1_011}, {"first": 4}, {"messages": 3}, {"edited": 1_001}, {"removed": 1}])
def test_a_page_that_is_another(number: int, changes: dict[str, int]) -> None:
    """Cut at another version, with other messages, or edited later than the session knows."""
    pages = {**PAGES, number: replace(PAGES[number], **changes)}
    assert first_break(pages, SESSION, range(2, 4), None) == number


def test_the_newest_one_that_is_missing() -> None:
    """Those below it may be missing too."""
    assert first_break({2: BELOW}, SESSION, range(2, 4), None) == 3
    assert first_break({}, SESSION, range(2, 4), None) == 3


@pytest.mark.parametrize(("edited", "proved"), [(0, True), (1_018, True), (1_019, False)])
def test_an_edited_page(edited: int, proved: bool) -> None:
    """Nobody who knows an edit may take a page with a later one, whichever way it is read."""
    page = replace(PAGE, edited=edited)
    assert precedes(EDITED, page, None) == proved
    assert follows(EDITED, BELOW, page) == proved


def test_what_was_removed_leaves_no_gap() -> None:
    """The page has its indexes still."""
    page = replace(PAGE, messages=0, removed=2, edited=1_018)
    assert precedes(EDITED, page, None)
    assert follows(EDITED, BELOW, page)


def test_the_oldest_begins_where_the_history_does() -> None:
    """On either way."""
    oldest = replace(BELOW, number=0, first=0, messages=5)
    above = replace(PAGE, number=1)
    assert precedes(replace(SESSION, pages=2), oldest, above)
    assert not precedes(replace(SESSION, pages=2, trimmed=1), oldest, above)
    assert follows(SESSION, None, oldest)
    assert not follows(replace(SESSION, trimmed=1), None, oldest)


def test_a_message_in_parts() -> None:
    """Its first parts are in earlier pages; one without messages left is no part."""
    middle, last = replace(PAGE, number=4, messages=0), replace(PAGE, number=5, messages=1, parts=4)
    assert missing_parts([middle, last]) == 2
    assert missing_parts([last]) == 3
    assert missing_parts([PAGE, last]) == missing_parts([middle]) == 0
    assert missing_parts([replace(PAGE, messages=0, removed=2), last]) == 0
