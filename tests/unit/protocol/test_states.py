"""Steps of a session item that several changes share (rules 3 and 4): what each makes of the state before it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evaluation import EARLIER, INTENT, LATER, LEASED, NOW, OTHER, SECOND, SESSION, TAIL, native, read_back, stored
from langchain_dynamodb._dynamodb.attribute_values import attribute_bytes
from langchain_dynamodb._items.session_items import Intent, SessionItem
from langchain_dynamodb._items.sizes import MAX_LEFT_PAGES
from langchain_dynamodb._protocol.states import changed, declared, next_state, released, tail_bytes, taken_back, unborn

# --- Intents ---


def test_an_intent_is_put_on_record() -> None:
    """It is a change like any other: a version more, and the history as it was."""
    state = declared(SESSION, INTENT, NOW)
    assert state == replace(SESSION, version=SESSION.version + 1, updated=NOW, intent=INTENT, reach=INTENT.last)


def test_pages_that_an_earlier_write_may_have_left_stay_on_record() -> None:
    """Of an intent with lower numbers."""
    assert declared(replace(SESSION, reach=40), INTENT, NOW).reach == 40


def test_an_intent_leaves_the_expiry_alone() -> None:
    """Only what it commits moves that."""
    assert declared(replace(SESSION, expires=SECOND + 60), INTENT, NOW).expires == SECOND + 60


def test_an_intent_ends_with_a_version_more() -> None:
    """So whoever declared it cannot commit any more; what its pages may be stays on record."""
    assert released(LEASED) == replace(LEASED, version=LEASED.version + 1, intent=None)


def test_what_is_taken_back_cannot_be_committed() -> None:
    """The same where no page is in the way."""
    assert taken_back(LEASED, 0) == released(LEASED)


@pytest.mark.parametrize("beyond", [LEASED.version, LEASED.version + 1, LEASED.version + 500])
def test_the_version_is_raised_above_a_page_that_is_in_the_way(beyond: int) -> None:
    """The next cut must be a later one than that page's."""
    assert taken_back(LEASED, beyond).version == beyond + 1


def test_a_page_of_an_older_cut_raises_nothing() -> None:
    """The next cut overwrites it."""
    assert taken_back(LEASED, 5).version == LEASED.version + 1


@pytest.mark.parametrize("kind", ["append", "convert", "lease"])
def test_an_append_goes_on_at_the_same_numbers(kind: str) -> None:
    """It overwrites, by a later cut, what is in its way."""
    item = replace(LEASED, intent=replace(INTENT, kind=kind))
    assert taken_back(item, LEASED.version).reach == LEASED.reach


def test_a_rewrite_goes_twice_as_far_on() -> None:
    """It takes numbers that were never used, and must not meet each of many pages in turn."""
    item = replace(LEASED, pages=4, reach=9, intent=replace(INTENT, first=6, last=104))
    assert taken_back(item, LEASED.version).reach == 204


def test_a_rewrite_does_not_go_on_for_ever() -> None:
    """There is a bound to the numbers that a delete must look at, and readers refuse what is beyond."""
    far = SESSION.pages + MAX_LEFT_PAGES - 10
    item = replace(LEASED, reach=far, intent=replace(INTENT, first=far - 5, last=far))
    state = taken_back(item, LEASED.version)
    assert state.reach > far
    assert read_back(stored(state)) == state


def test_numbers_on_record_are_never_forgotten() -> None:
    """Of a rewrite whose own pages are far below them."""
    assert taken_back(replace(LEASED, reach=5_000), LEASED.version).reach == 5_000


# --- Sessions that begin ---


def test_an_unborn_session_reads_as_absent() -> None:
    """Until its pages are committed (rule 3)."""
    assert not unborn(NOW).is_live(NOW)


def test_a_first_version_is_the_clock_and_the_generation() -> None:
    """So that a session deleted and created again has new versions and new page keys."""
    item = unborn(NOW)
    assert (item.version, item.generation) == (NOW, NOW)


def test_an_unborn_session_can_be_stored_with_its_intent() -> None:
    """And read back: whoever finds it must know its pages."""
    item = declared(unborn(NOW), Intent(b"intent..", "append", NOW, 0, 3, NOW + 1), NOW)
    assert read_back(stored(item)) == item


# --- Other changes ---


def test_a_change_leaves_the_history_alone() -> None:
    """It raises the version and leaves its id, by which it is found after a lost answer."""
    assert changed(SESSION, OTHER, NOW, None) == replace(
        SESSION, version=SESSION.version + 1, updated=NOW, change=OTHER
    )


def test_a_change_moves_the_expiry() -> None:
    """By a repository with a ttl (rule 7)."""
    assert changed(replace(SESSION, expires=SECOND + 60), OTHER, NOW, SECOND + 90).expires == SECOND + 90


def test_a_change_without_a_ttl_leaves_the_expiry_alone() -> None:
    """Whoever set it."""
    assert changed(replace(SESSION, expires=SECOND + 60), OTHER, NOW, None).expires == SECOND + 60


def test_the_ids_of_appends_survive_a_change() -> None:
    """An append that is sent again is still recognised."""
    state = changed(SESSION, OTHER, NOW, None)
    assert [state.has_op(op) for op in (EARLIER, LATER, OTHER)] == [True, True, True]


def test_the_next_change_takes_the_place_of_the_last() -> None:
    """One id is enough: two changes cannot be in doubt at one version."""
    assert not changed(changed(SESSION, OTHER, NOW, None), b"newer...", NOW, None).has_op(OTHER)


def test_every_change_ends_an_intent() -> None:
    """There is none that builds on an unfinished write but to end it."""
    assert next_state(LEASED, NOW, None).intent is None


OTHERS = {"L": [{"B": TAIL[0]}, {"B": TAIL[1]}, native("d")]}


def test_entries_of_others_stay_where_the_list_is_left_alone() -> None:
    """What sets the list later must find it as it was seen."""
    item = replace(SESSION, others=OTHERS, listed=3)
    state = changed(item, OTHER, NOW, None)
    assert (state.others, state.listed) == (OTHERS, 3)


@pytest.mark.parametrize("tail", [TAIL[:1], ()])
def test_entries_of_others_are_gone_once_the_list_is_set(tail: tuple[bytes, ...]) -> None:
    """Then it holds what we put there, and a guard where that is nothing."""
    state = next_state(replace(SESSION, others=OTHERS, listed=3), NOW, None, tail=tail)
    assert (state.others, state.entries) == (None, 1)


def test_a_list_without_entries_is_always_set() -> None:
    """Earlier versions left it empty; it gets its guard."""
    state = changed(replace(SESSION, tail=(), listed=0), OTHER, NOW, None)
    assert state.entries == 1


# --- The size of the tail ---


@pytest.mark.parametrize("tail", [(), TAIL[:1], TAIL, TAIL * 30])
@pytest.mark.parametrize("ops", [frozenset[bytes](), frozenset([EARLIER]), frozenset([EARLIER, b"a longer id"])])
def test_a_tail_is_never_larger_than_is_counted(tail: tuple[bytes, ...], ops: frozenset[bytes]) -> None:
    """As DynamoDB counts it, so that a session item stays within its bound (rule 9)."""
    counted = sum(map(attribute_bytes, ({"L": [{"B": entry} for entry in tail]}, {"BS": list(ops)})))
    assert counted <= 3 + tail_bytes(tail, ops) <= counted + 3 * len(tail) + len(ops)


def test_the_session_of_these_tests_is_one() -> None:
    """Its numbers are such as writes leave behind."""
    for item in (SESSION, LEASED, SessionItem(version=1, generation=1, created=1)):
        assert read_back(stored(item)) == item
