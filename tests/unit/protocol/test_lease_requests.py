"""Leases: who may take, renew, take over and end one, evaluated on items (rules 3 and 4)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from evaluation import (
    EARLIER,
    INTENT,
    KEY,
    LATER,
    LEASED,
    NAMES,
    NOW,
    OTHER,
    SECOND,
    SESSION,
    read_back,
    stored,
    updated,
)
from langchain_dynamodb._dynamodb.attribute_values import Item
from langchain_dynamodb._items.attribute_names import INTENT as INTENT_NAME
from langchain_dynamodb._items.attribute_names import VERSION
from langchain_dynamodb._items.session_items import Intent, SessionItem
from langchain_dynamodb._protocol.conditions import compare_and_set, end_lease, lease, renew_lease, take_over

MINE = Intent(b"mine....", "lease", 1_000, 0, -1, NOW + 3_000_000)


def take(before: Item | None, *, seen: SessionItem = SESSION, op: bytes | None = None) -> Item | None:
    """What taking the lease makes of an item."""
    return updated(lease(seen, MINE, NAMES, NOW, op), before)


def intent_of(item: Item | None) -> tuple[bytes, int] | None:
    """Id of the intent on an item, and when its lease ends."""
    state = read_back(item)
    return None if state.intent is None else (state.intent.op, state.intent.lease)


# --- Taking it ---


def test_a_lease_is_taken_on_an_idle_session() -> None:
    """The intent is on record from then on."""
    assert read_back(take(stored(SESSION))) == replace(SESSION, version=SESSION.version + 1, intent=MINE)


def test_a_lease_is_taken_at_any_version() -> None:
    """Others append without pause: on a busy session no version stays."""
    busy = replace(SESSION, version=1_500, count=300)
    assert read_back(take(stored(busy))) == replace(busy, version=1_501, intent=MINE)


def test_a_lease_of_another_is_not_taken() -> None:
    """Whether it has ended is for others to see."""
    assert take(stored(LEASED)) is None


def test_an_own_lease_may_be_taken_again() -> None:
    """The request was sent twice."""
    again = take(take(stored(SESSION)))
    assert intent_of(again) == (MINE.op, MINE.lease)


def test_no_lease_on_a_session_begun_anew() -> None:
    """What is to be changed is gone."""
    assert take(stored(replace(SESSION, generation=1_003))) is None


def test_no_lease_on_what_is_gone() -> None:
    """No session is made of nothing."""
    assert take(None) is None


def test_no_lease_on_an_expired_session() -> None:
    """It is as good as deleted."""
    assert take(stored(replace(SESSION, expires=SECOND))) is None


def test_a_lease_on_a_session_that_is_going_to_expire() -> None:
    """A second later it would not be taken."""
    assert take(stored(replace(SESSION, expires=SECOND + 1))) is not None


# --- Taking it for an append ---


@pytest.mark.parametrize("op", [EARLIER, LATER])
def test_a_lease_for_an_append_is_refused_where_that_took_place(op: bytes) -> None:
    """Its id is among those of the last page, or of the tail."""
    assert take(stored(SESSION), op=op) is None


def test_a_lease_for_an_append_is_taken_where_it_has_not_taken_place() -> None:
    """Its id is in neither set."""
    assert take(stored(SESSION), op=OTHER) is not None


def test_a_lease_for_an_append_is_taken_one_cut_behind() -> None:
    """The ids of all that came since are still there."""
    assert take(stored(replace(SESSION, pages=SESSION.pages + 1, page_version=1_020)), op=OTHER) is not None


def test_a_lease_for_an_append_is_refused_two_cuts_behind() -> None:
    """The ids of the first cut are gone: it may have taken place."""
    assert take(stored(replace(SESSION, pages=SESSION.pages + 2, page_version=1_020)), op=OTHER) is None


def test_a_lease_for_another_change_is_taken_however_many_pages_were_cut() -> None:
    """It is in no page."""
    assert take(stored(replace(SESSION, pages=SESSION.pages + 9, page_version=1_020))) is not None


# --- Keeping it up ---


def test_a_renewal_moves_the_end_of_the_lease() -> None:
    """And nothing else: the version stays, so that the commit is not refused."""
    after = updated(renew_lease(INTENT.op, NOW + 9_000_000), stored(LEASED))
    assert after == stored(replace(LEASED, intent=replace(INTENT, lease=NOW + 9_000_000)))


def test_a_renewal_is_refused_once_the_lease_is_anothers() -> None:
    """It was taken over."""
    assert updated(renew_lease(INTENT.op, NOW), stored(replace(LEASED, intent=MINE))) is None


@pytest.mark.parametrize("before", [stored(SESSION), None])
def test_a_renewal_brings_no_lease_back(before: Item | None) -> None:
    """The write was committed, or the session deleted."""
    assert updated(renew_lease(INTENT.op, NOW), before) is None


# --- Taking it over ---


def over(before: Item | None) -> Item | None:
    """What taking over the lease of LEASED makes of an item."""
    new = replace(LEASED, version=LEASED.version + 1, intent=MINE)
    return updated(take_over(LEASED, new, KEY, NAMES), before)


def test_a_lease_that_was_not_renewed_is_taken_over() -> None:
    """Its owner is taken for dead."""
    assert intent_of(over(stored(LEASED))) == (MINE.op, MINE.lease)


@pytest.mark.parametrize("end", [INTENT.lease - 1, INTENT.lease + 1])
def test_a_lease_that_was_renewed_since_is_not_taken_over(end: int) -> None:
    """Its owner lives; its clock may even have been set back."""
    assert over(stored(replace(LEASED, intent=replace(INTENT, lease=end)))) is None


def test_a_lease_is_not_taken_over_twice() -> None:
    """Another was faster."""
    assert over(stored(replace(LEASED, version=LEASED.version + 1, intent=MINE))) is None


def commit(before: Item | None) -> Item | None:
    """The commit of the write that LEASED announces."""
    return updated(compare_and_set(LEASED, replace(LEASED, version=1_022, intent=None), KEY, NAMES), before)


def test_what_was_taken_over_can_be_committed_no_more() -> None:
    """However late the commit of its owner comes."""
    assert commit(over(stored(LEASED))) is None


# --- Ending it ---


def end(before: Item | None, *, versioned: bool = True) -> Item | None:
    """What the end of the lease of LEASED makes of an item."""
    return updated(end_lease(INTENT.op, b"ended...", versioned=versioned), before)


def test_a_lease_that_was_ended_leaves_its_pages_on_record() -> None:
    """The next writer removes them."""
    state = read_back(end(stored(LEASED)))
    assert state.intent == replace(INTENT, op=b"ended...")


def test_a_lease_that_was_ended_is_over_for_every_clock() -> None:
    """Its end lies before all times."""
    assert intent_of(end(stored(LEASED))) == (b"ended...", 0)


def test_what_was_ended_can_be_committed_no_more() -> None:
    """Its commit may still be under way."""
    assert commit(end(stored(LEASED))) is None


def test_what_was_ended_is_not_renewed() -> None:
    """A renewal may still be under way."""
    assert updated(renew_lease(INTENT.op, NOW + 9_000_000), end(stored(LEASED))) is None


def test_only_the_own_lease_is_ended() -> None:
    """It was taken over by another."""
    assert end(stored(replace(LEASED, intent=MINE))) is None


@pytest.mark.parametrize("before", [stored(SESSION), None])
def test_what_has_no_lease_is_not_touched(before: Item | None) -> None:
    """The write was committed before it was cancelled, or the session is gone."""
    assert end(before) is None


def test_no_version_where_there_is_none() -> None:
    """An item of langchain_community stays one."""
    before = {name: value for name, value in stored(LEASED).items() if name != VERSION}
    after: Any = end(before, versioned=False)
    assert VERSION not in after
    assert after[INTENT_NAME]["M"]["op"] == {"B": b"ended..."}
