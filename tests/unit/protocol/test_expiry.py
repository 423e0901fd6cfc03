"""When sessions and their pages expire (rule 7): a session never outlives its pages."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evaluation import DAY, NOW, SECOND, SESSION
from langchain_dynamodb._items.clock import FIVE_YEARS, is_expired
from langchain_dynamodb._items.parsing import LAST_SECOND
from langchain_dynamodb._items.session_items import SessionItem
from langchain_dynamodb._protocol.expiry import NO_EXPIRY, Expiries, expiries, outlives_pages

MONTH = 30 * DAY


@pytest.mark.parametrize(
    ("ttl", "pages"), [(1, 1 + MONTH), (DAY, DAY + MONTH), (MONTH, 2 * MONTH), (365 * DAY, 730 * DAY)]
)
def test_pages_outlive_their_session(ttl: int, pages: int) -> None:
    """By as long again, and a month at least, so that they need no new stamp with each append."""
    assert expiries(NOW, ttl, None) == Expiries(SECOND + ttl, SECOND + pages)


def test_stamps_are_rounded_up() -> None:
    """A session lives as long as was said, or a part of a second longer."""
    assert expiries(NOW + 1, 60, None).session == SECOND + 61


@pytest.mark.parametrize("item", [None, SESSION])
def test_without_a_ttl_nothing_expires(item: SessionItem | None) -> None:
    """Neither the session nor its pages get a stamp."""
    assert expiries(NOW, None, item) == NO_EXPIRY


def test_without_a_ttl_the_stamp_that_is_there_stays() -> None:
    """New pages outlive it by a month."""
    item = replace(SESSION, expires=SECOND + 60)
    assert expiries(NOW, None, item) == Expiries(None, SECOND + 60 + MONTH)


def test_no_stamp_lies_beyond_the_last_that_dynamodb_takes() -> None:
    """The year 9999."""
    item = replace(SESSION, expires=LAST_SECOND - 60)
    assert expiries(NOW, None, item).pages == LAST_SECOND


@pytest.mark.parametrize(
    ("pages_expire", "outlived"), [(0, True), (SECOND + 59, True), (SECOND + 60, False), (SECOND + 900, False)]
)
def test_a_session_that_would_outlive_its_pages(pages_expire: int, outlived: bool) -> None:
    """They are extended first; pages without a stamp count as the first to go."""
    assert outlives_pages(replace(SESSION, pages_expire=pages_expire), SECOND + 60, NOW) is outlived


def test_a_session_without_pages_outlives_none() -> None:
    """There is nothing to extend."""
    item = replace(SESSION, pages=0, tail_start=0, count=3)
    assert outlives_pages(item, SECOND + 60, NOW) is False


def test_a_session_that_does_not_expire_has_no_pages_that_need_a_stamp() -> None:
    """They stay as long as it does."""
    assert outlives_pages(SESSION, None, NOW) is False


def test_where_pages_cannot_be_extended_the_session_gets_no_more_time_than_they_have() -> None:
    """But it loses none either."""
    item = replace(SESSION, expires=SECOND + 50, pages_expire=SECOND + 70)
    assert Expiries(SECOND + 90, SECOND + 900).within(item) == Expiries(SECOND + 70, SECOND + 900)
    late = replace(item, pages_expire=SECOND + 40)
    assert Expiries(SECOND + 90, SECOND + 900).within(late) == Expiries(SECOND + 50, SECOND + 900)


def test_the_earliest_stamp_of_the_pages_is_noted() -> None:
    """With new ones among them; those of a session without pages are the new ones alone."""
    item = replace(SESSION, pages_expire=SECOND + 70)
    none_yet = replace(item, pages=0, tail_start=0, count=3)
    times = Expiries(SECOND + 60, SECOND + 900)
    assert (times.of_pages(item), times.of_pages(none_yet)) == (SECOND + 70, SECOND + 900)


@pytest.mark.parametrize(
    ("stamp", "expired"),
    [
        (None, False),
        (SECOND + 1, False),
        (SECOND, True),
        (SECOND - FIVE_YEARS, True),
        (SECOND - FIVE_YEARS - 1, False),
    ],
)
def test_what_dynamodb_will_delete_is_as_good_as_deleted(stamp: int | None, expired: bool) -> None:
    """But not what expired more than five years ago, which it never touches (Developer Guide, "Using TTL")."""
    assert is_expired(stamp, NOW) is expired


@pytest.mark.parametrize(
    ("times", "expires", "stamp"),
    [
        (Expiries(SECOND, SECOND + MONTH), None, SECOND + MONTH),
        (Expiries(SECOND, SECOND + MONTH), SECOND + 60, SECOND + 60 + MONTH),
        (Expiries(SECOND, SECOND + 3 * MONTH), SECOND + 60, SECOND + 3 * MONTH),
        (NO_EXPIRY, SECOND + 60, SECOND + 60 + MONTH),
        (NO_EXPIRY, LAST_SECOND - 60, LAST_SECOND),
    ],
)
def test_pages_of_a_state_outlive_it(times: Expiries, expires: int | None, stamp: int) -> None:
    """By a month, whoever set its expiry; what is written now may give them more."""
    assert times.of(replace(SESSION, expires=expires)) == stamp


@pytest.mark.parametrize("times", [NO_EXPIRY, Expiries(SECOND + 60, None)])
def test_pages_that_have_no_stamp_hold_nothing_back(times: Expiries) -> None:
    """Nor does a change that leaves the session's expiry alone."""
    assert times.within(replace(SESSION, expires=None if times.session else SECOND + 5, pages_expire=SECOND)) == times
