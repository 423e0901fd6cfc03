"""Pages that are not there (rule 5): which of the others are still proved, and what is missing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest

from evaluation import NOW, SESSION
from langchain_dynamodb._items.page_items import Page
from langchain_dynamodb._items.session_items import SessionItem
from langchain_dynamodb._protocol.missing_pages import RECENT_SECONDS, Hole, Survey, is_recent

# What SESSION proves: seven messages in four pages, each cut at a version of its own.
PAGES = {
    0: Page(number=0, cut=1_002, previous=0, token=b"tail", first=0, messages=1, data=b"0"),
    1: Page(number=1, cut=1_005, previous=1_002, token=b"tail", first=1, messages=2, data=b"1"),
    2: Page(number=2, cut=1_010, previous=1_005, token=b"tail", first=3, messages=2, data=b"2"),
    3: Page(number=3, cut=1_015, previous=1_010, token=b"tail", first=5, messages=2, data=b"3"),
}
# The same messages, but for the last: one large message in three parts, and a page of a batch before and after it.
BATCH = SessionItem(version=2_001, generation=1_000, created=NOW, pages=5, page_version=2_000, count=3, tail_start=3)
PARTS = {
    0: Page(number=0, cut=2_000, previous=0, token=b"batch", first=0, messages=1, data=b"0"),
    1: Page(number=1, cut=2_000, previous=2_000, token=b"batch", first=1, messages=0, data=b"1"),
    2: Page(number=2, cut=2_000, previous=2_000, token=b"batch", first=1, messages=0, data=b"2"),
    3: Page(number=3, cut=2_000, previous=2_000, token=b"batch", first=1, messages=1, data=b"3", parts=3),
    4: Page(number=4, cut=2_000, previous=2_000, token=b"batch", first=2, messages=1, data=b"4"),
}


def without(pages: dict[int, Page], *lost: int) -> dict[int, Page]:
    """All pages but these."""
    return {number: page for number, page in pages.items() if number not in lost}


def survey(
    found: dict[int, Page], item: SessionItem = SESSION, bottom: int | None = None, unreadable: Iterable[int] = ()
) -> Survey:
    """What a look at the pages from `bottom` up (None: at all) tells."""
    looked = Survey.of(item)
    looked.go_down(found, unreadable, item.first_page if bottom is None else bottom)
    return looked


def shown(looked: Survey) -> list[int]:
    """Numbers of the pages whose messages are shown, oldest first."""
    return [page.number for run in looked.whole() for page in run]


# --- What is there ---


def test_nothing_is_missing() -> None:
    """Where every page is there and proved."""
    looked = survey(PAGES)
    assert (shown(looked), looked.found, looked.holes(), looked.unusable) == ([0, 1, 2, 3], 7, [], set())


@pytest.mark.parametrize("bottom", [3, 2, 1])
def test_a_gap_is_told_once_its_other_end_was_seen(bottom: int) -> None:
    """Until then nobody knows how many messages it has."""
    assert survey({3: PAGES[3]}, bottom=bottom).holes() == []


@pytest.mark.parametrize("lost", [(), (1,), (3,), (0, 2), (1, 2)])
def test_a_look_in_steps_tells_the_same(lost: tuple[int, ...]) -> None:
    """However many pages are looked at together."""
    looked, found = Survey.of(SESSION), without(PAGES, *lost)
    for bottom in (3, 2, 1, 0):
        looked.go_down(found, (), bottom)
    assert (looked.pages, looked.holes()) == (survey(found).pages, survey(found).holes())


# --- What is missing ---


@pytest.mark.parametrize(
    ("lost", "hole"),
    [
        ((0,), Hole(0, 1, (0,))),
        ((1,), Hole(1, 3, (1,))),
        ((2,), Hole(3, 5, (2,))),
        ((3,), Hole(5, 7, (3,))),
        ((0, 1), Hole(0, 3, (0, 1))),
        ((1, 2), Hole(1, 5, (1, 2))),
        ((2, 3), Hole(3, 7, (2, 3))),
        ((0, 1, 2, 3), Hole(0, 7, (0, 1, 2, 3))),
    ],
)
def test_what_is_missing_is_told(lost: tuple[int, ...], hole: Hole) -> None:
    """Which messages and which pages; all others are shown."""
    looked = survey(without(PAGES, *lost))
    assert looked.holes() == [hole]
    assert looked.found == 7 - (hole.end - hole.first)
    assert shown(looked) == [number for number in range(4) if number not in lost]


def test_several_gaps_are_told_apart() -> None:
    """Oldest first."""
    assert survey(without(PAGES, 0, 2)).holes() == [Hole(0, 1, (0,)), Hole(3, 5, (2,))]


def test_what_history_size_dropped_is_not_missing() -> None:
    """The history begins with the first page that belongs to it."""
    item = replace(SESSION, first_page=1, trimmed=1)
    looked = survey(without(PAGES, 0), item)
    assert (shown(looked), looked.holes()) == ([1, 2, 3], [])
    assert survey(without(PAGES, 0, 1), item).holes() == [Hole(1, 3, (1,))]


def test_a_page_that_cannot_be_read_is_missing_though_it_is_there() -> None:
    """A repair must be told to drop it."""
    looked = survey(without(PAGES, 2), unreadable=[2])
    assert (looked.unusable, looked.holes()) == ({2}, [Hole(3, 5, (2,))])


# --- What is proved ---


@pytest.mark.parametrize(
    "wrong",
    [
        replace(PAGES[2], cut=1_009),
        replace(PAGES[2], cut=1_011),
        replace(PAGES[2], first=2),
        replace(PAGES[2], messages=1),
        replace(PAGES[2], messages=3),
    ],
)
def test_a_page_is_the_one_that_the_page_above_names(wrong: Page) -> None:
    """Cut at that version, and ending where that one begins."""
    looked = survey({**PAGES, 2: wrong})
    assert (shown(looked), looked.unusable) == ([0, 1, 3], {2})


@pytest.mark.parametrize("wrong", [replace(PAGES[3], cut=1_014), replace(PAGES[3], messages=3)])
def test_the_newest_page_is_the_one_that_the_session_item_names(wrong: Page) -> None:
    """By its version, and by the beginning of the tail."""
    assert survey({**PAGES, 3: wrong}).unusable == {3}


@pytest.mark.parametrize(
    "wrong",
    [
        replace(PAGES[1], cut=1_011, previous=1_002),  # cut later than what the page above the gap names
        replace(PAGES[1], messages=5),  # reaches into messages of the page above
        replace(PAGES[1], previous=1_006),  # cut earlier than the page below it
    ],
)
def test_beyond_a_gap_there_are_bounds(wrong: Page) -> None:
    """A page there is not exactly proved: one that contradicts what is known counts as missing."""
    looked = survey({3: PAGES[3], 1: wrong})
    assert (shown(looked), looked.unusable) == ([3], {1})


def test_beyond_a_gap_a_page_of_another_write_at_that_version_is_not_shown() -> None:
    """A version is committed once: pages of the same cut have one token."""
    strange = {**PARTS, 1: replace(PARTS[1], token=b"other"), 0: replace(PARTS[0], token=b"other")}
    looked = survey(without(strange, 2, 3), BATCH)
    assert (shown(looked), looked.unusable) == ([4], {0, 1})


def test_beyond_a_gap_a_page_of_the_same_write_is_shown() -> None:
    """It has the token of the page above the gap."""
    looked = survey(without(PARTS, 1, 2, 3), BATCH)
    assert (shown(looked), looked.holes()) == ([0, 4], [Hole(1, 2, (1, 2, 3))])


def test_the_rest_of_a_batch_whose_newest_page_is_missing_is_shown() -> None:
    """No page above it tells the token."""
    assert shown(survey(without(PARTS, 4), BATCH)) == [0, 1, 2, 3]


def test_a_token_tells_nothing_of_an_earlier_cut() -> None:
    """The page above the gap was cut at another version, by another write."""
    batch = {n: replace(PAGES[n], cut=1_010, previous=1_010 if n == 2 else 1_002, token=b"batch") for n in (1, 2)}
    assert shown(survey(without({**PAGES, **batch}, 2))) == [0, 1, 3]


def test_beyond_a_gap_a_page_may_be_of_an_earlier_cut() -> None:
    """The page that is missing may have been a cut of its own, whatever token that had."""
    item = replace(SESSION, page_version=1_010)
    above = replace(PAGES[3], cut=1_010, previous=1_010, token=b"batch")
    assert shown(survey({3: above, 1: PAGES[1]}, item)) == [1, 3]


def test_no_page_begins_before_the_history() -> None:
    """Beyond a gap, what was trimmed does not come back."""
    item = replace(SESSION, first_page=0, trimmed=2)
    looked = survey({3: PAGES[3], 1: PAGES[1]}, item)
    assert (shown(looked), looked.unusable) == ([3], {1})


@pytest.mark.parametrize("trimmed", [0, 2])
def test_the_first_page_begins_where_the_history_does(trimmed: int) -> None:
    """Neither earlier nor later."""
    item = replace(SESSION, first_page=1, trimmed=trimmed)
    assert survey(PAGES, item).unusable == {1}


@pytest.mark.parametrize("wrong", [replace(PAGES[0], cut=1_001), replace(PAGES[0], messages=0)])
def test_below_a_page_that_is_shown_all_is_proved_again(wrong: Page) -> None:
    """It names the one below it exactly, though it stands beyond a gap itself."""
    looked = survey({3: PAGES[3], 1: PAGES[1], 0: wrong})
    assert (shown(looked), looked.unusable) == ([1, 3], {0})


# --- Messages in several parts ---


def test_a_message_in_parts_is_one_run() -> None:
    """All its pages together."""
    assert [[page.number for page in run] for run in survey(PARTS, BATCH).whole()] == [[0], [1, 2, 3], [4]]


@pytest.mark.parametrize("lost", [(1,), (2,), (3,), (1, 3), (1, 2, 3)])
def test_a_message_without_one_of_its_parts_is_missing(lost: tuple[int, ...]) -> None:
    """As a whole; the pages that are told are those that are not there."""
    looked = survey(without(PARTS, *lost), BATCH)
    assert (shown(looked), looked.holes()) == ([0, 4], [Hole(1, 2, lost)])


def test_the_history_may_begin_with_parts() -> None:
    """No page lies before the first."""
    item = replace(BATCH, first_page=1, trimmed=1)
    looked = survey(without(PARTS, 0), item)
    assert (shown(looked), looked.holes()) == ([1, 2, 3, 4], [])


def test_parts_nobody_has_looked_for_are_not_shown() -> None:
    """The first part of the oldest message that was seen lies below."""
    looked = survey(PARTS, BATCH, bottom=2)
    assert shown(looked) == [4]


def test_parts_that_begin_where_the_look_ends_are_shown() -> None:
    """They are all there."""
    assert shown(survey(PARTS, BATCH, bottom=1)) == [1, 2, 3, 4]


@pytest.mark.parametrize("number", [1, 2])
def test_a_wrong_number_of_parts_is_no_missing_page(number: int) -> None:
    """Nothing that it could mean is missing: whoever reads the page tells what is wrong with it."""
    item = replace(SESSION, first_page=1, trimmed=1)
    looked = survey({**PAGES, number: replace(PAGES[number], parts=2)}, item)
    assert (shown(looked), looked.holes()) == ([1, 2, 3], [])


def test_a_page_without_messages_is_told_too() -> None:
    """Its number is one of a committed page."""
    assert survey(PAGES, replace(SESSION, pages=5)).holes() == [Hole(7, 7, (4,))]


# --- Late or lost ---


@pytest.mark.parametrize("ago", [-RECENT_SECONDS, 0, RECENT_SECONDS])
def test_a_page_of_a_session_that_has_just_changed_may_be_late(ago: int) -> None:
    """Within two minutes, by clocks that may differ."""
    assert is_recent(SESSION, 3, 1_015, SESSION.updated + ago * 1_000_000)


@pytest.mark.parametrize("ago", [-RECENT_SECONDS, RECENT_SECONDS])
def test_a_page_of_a_quiet_session_is_lost(ago: int) -> None:
    """A replica that lags further behind is down."""
    beyond = ago * 1_000_000 + (1 if ago > 0 else -1)
    assert not is_recent(SESSION, 3, 1_015, SESSION.updated + beyond)


LONG = replace(SESSION, pages=40, updated=NOW)


@pytest.mark.parametrize(("number", "recent"), [(39, True), (36, True), (35, False), (0, False)])
def test_one_of_the_newest_four_pages_may_be_late(number: int, recent: bool) -> None:
    """A page of a busy session that was lost long ago is damage at once."""
    assert is_recent(LONG, number, 1_010, NOW) == recent


@pytest.mark.parametrize(("cut", "recent"), [(1_015, True), (1_014, False), (None, False)])
def test_a_page_of_the_last_commit_may_be_late(cut: int | None, recent: bool) -> None:
    """However many pages that had."""
    assert is_recent(LONG, 3, cut, NOW) == recent


def test_a_page_that_may_be_late_is_told() -> None:
    """The newest of a gap, since that came last."""
    assert survey(without(PAGES, 1, 2)).first_recent(SESSION.updated) == 2


def test_nothing_is_late_where_nothing_is_missing() -> None:
    """However recent the session."""
    assert survey(PAGES).first_recent(SESSION.updated) is None


def test_what_is_lost_is_not_late() -> None:
    """The session has been quiet for long."""
    assert survey(without(PAGES, 1, 2)).first_recent(SESSION.updated + 1_000_000_000) is None


def large(pages: int) -> dict[int, Page]:
    """Pages of one batch."""
    numbers = range(pages)
    return {n: Page(n, 2_000, 2_000 if n else 0, b"batch", n, 1, b"x") for n in numbers}


@pytest.mark.parametrize(("page_version", "late"), [(2_000, 5), (2_007, None)])
def test_a_page_of_a_large_batch(page_version: int, late: int | None) -> None:
    """The page above the gap names the version at which it was cut: that of the last commit, or of an earlier one."""
    pages = large(30)
    pages[29] = replace(pages[29], cut=page_version)
    item = replace(BATCH, pages=30, count=30, tail_start=30, page_version=page_version, version=2_010, updated=NOW)
    assert survey(without(pages, 5), item).first_recent(NOW) == late


def test_the_newest_pages_of_a_batch() -> None:
    """Where none is above the gap, the session item names the version."""
    item = replace(BATCH, pages=30, count=30, tail_start=30, updated=NOW)
    assert survey({n: page for n, page in large(30).items() if n < 10}, item).first_recent(NOW) == 29
