"""What each change of a session item depends on (rules 1 to 5), evaluated on items.

A request that was sent twice or comes late must not harm whatever is there then.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from evaluation import (
    INTENT,
    KEY,
    LEASED,
    NAMES,
    NOW,
    OTHER,
    PAGE,
    SECOND,
    SESSION,
    TAIL,
    deletes,
    native,
    read_back,
    stored,
    stored_page,
    updated,
)
from langchain_dynamodb._dynamodb.attribute_values import NO_CHANGES, Changes, Item
from langchain_dynamodb._items.session_items import GUARD, SessionItem
from langchain_dynamodb._protocol.conditions import compare_and_set, delete_item, patch
from simulation.expressions import Value

NEXT = replace(SESSION, version=SESSION.version + 1, updated=NOW, metadata={"M": {"title": {"S": "New"}}}, change=OTHER)
APPENDED = replace(SESSION, version=SESSION.version + 1, count=11, tail=(*TAIL, TAIL[0]))
ANEW = replace(SESSION, generation=SESSION.generation + 3)
EXTENDED = replace(SESSION, expires=SECOND, pages_expire=SECOND + 50)
WITHOUT_TAIL = replace(SESSION, pages=5, page_version=1_019, tail_start=10, tail=(), tail_bytes=0, tail_ops=frozenset())


def step(old: SessionItem | None, new: SessionItem, before: Item | None, own: Changes = NO_CHANGES) -> Item | None:
    """What the step from one state to the next makes of an item."""
    return updated(compare_and_set(old, new, KEY, NAMES, own), before)


def with_entries(item: Item, *entries: Value) -> Item:
    """The item after others appended to its list, which changes nothing else."""
    return {**item, NAMES.history: {"L": [*item[NAMES.history]["L"], *entries]}}


# --- From one state to the next ---


def test_a_step_makes_the_next_state_of_the_one_seen() -> None:
    """All attributes are those of the next state."""
    assert step(SESSION, NEXT, stored(SESSION)) == stored(NEXT)


@pytest.mark.parametrize("version", [SESSION.version - 1, SESSION.version + 1])
def test_a_step_is_refused_at_another_version(version: int) -> None:
    """Somebody else changed the session."""
    assert step(SESSION, NEXT, stored(replace(SESSION, version=version))) is None


def test_a_step_that_is_sent_twice_is_refused() -> None:
    """The second finds the next version."""
    assert step(SESSION, NEXT, stored(NEXT)) is None


def test_a_step_is_refused_on_a_session_begun_anew() -> None:
    """It was deleted, and the next of its name has reached the same version."""
    assert step(SESSION, NEXT, stored(ANEW)) is None


def test_a_step_makes_no_session_of_nothing() -> None:
    """It was deleted."""
    assert step(SESSION, NEXT, None) is None


def test_a_step_ends_the_intent() -> None:
    """The commit of a write of several steps."""
    done = replace(LEASED, version=LEASED.version + 1, intent=None)
    assert step(LEASED, done, stored(LEASED)) == stored(done)


def test_a_step_is_not_refused_because_the_lease_was_renewed() -> None:
    """Its own writer's sign of life must not get into the way of its commit."""
    done = replace(LEASED, version=LEASED.version + 1, intent=None)
    renewed = replace(LEASED, intent=replace(INTENT, lease=INTENT.lease + 5))
    assert step(LEASED, done, stored(renewed)) == stored(done)


def test_a_step_writes_anew_what_a_patch_may_have_changed() -> None:
    """Bookkeeping moves without a new version: what the next state says of it counts."""
    patched = replace(SESSION, floor=0, pages_expire=SECOND + 7)
    new = replace(NEXT, pages_expire=SECOND + 90)
    assert step(replace(SESSION, pages_expire=SECOND + 90), new, stored(patched)) == stored(new)


def test_a_step_removes_what_a_patch_set_and_the_next_state_lacks() -> None:
    """Pages that have no stamp any more must not seem to have one."""
    assert step(SESSION, NEXT, stored(replace(SESSION, pages_expire=SECOND + 7))) == stored(NEXT)


def test_a_step_sets_the_floor_that_was_moved_without_a_version() -> None:
    """The next state's floor, though it is the one that was seen."""
    old = replace(SESSION, first_page=2, trimmed=2, floor=1)
    new = replace(old, version=old.version + 1)
    assert read_back(step(old, new, stored(replace(old, floor=2)))) == new


def test_a_step_sets_the_ceiling_that_was_removed_without_a_version() -> None:
    """Another drops as many pages as had been dropped before, while the first notes that those are gone."""
    old = replace(SESSION, pages=3, reused=3, reach=5, ceiling=5)
    new = replace(old, version=old.version + 1, pages=2, reused=6)
    assert read_back(step(old, new, stored(replace(old, ceiling=0)))) == new


# --- Attributes of the user's own ---


def test_a_step_leaves_the_users_attributes_alone() -> None:
    """Those it was not asked to change."""
    mine = {"owner": {"S": "me"}}
    assert step(SESSION, NEXT, {**stored(SESSION), **mine}) == {**stored(NEXT), **mine}


def test_a_step_sets_attributes_of_the_users() -> None:
    """In the same request."""
    assert step(SESSION, NEXT, stored(SESSION), {"owner": {"S": "me"}}) == {**stored(NEXT), "owner": {"S": "me"}}


def test_a_step_removes_attributes_of_the_users() -> None:
    """None stands for that."""
    before = {**stored(SESSION), "owner": {"S": "me"}}
    assert step(SESSION, NEXT, before, {"owner": None}) == stored(NEXT)


# --- The list ---


def test_a_step_that_leaves_the_tail_alone_leaves_the_list_alone() -> None:
    """An entry that others appended since is still there."""
    before = with_entries(stored(SESSION), native("theirs"))
    assert step(SESSION, NEXT, before) == with_entries(stored(NEXT), native("theirs"))


def test_a_step_that_sets_the_list_is_refused_where_others_appended() -> None:
    """Their write leaves the version as it was; it would be lost."""
    assert step(SESSION, APPENDED, with_entries(stored(SESSION), native("theirs"))) is None


def test_a_step_that_sets_the_list_finds_it_as_it_was_seen() -> None:
    """Then nothing is lost."""
    assert step(SESSION, APPENDED, stored(SESSION)) == stored(APPENDED)


def disturbed() -> SessionItem:
    """SESSION as it is read with an entry of others in its list."""
    item = read_back(with_entries(stored(SESSION), native("theirs")))
    assert isinstance(item, SessionItem)
    return item


def mended() -> SessionItem:
    """The state after a repair of that."""
    return replace(disturbed(), version=SESSION.version + 1, tail=TAIL[:1], others=None, listed=None)


def test_the_entries_of_others_can_be_replaced() -> None:
    """Where the whole list is the one that was seen."""
    assert step(disturbed(), mended(), with_entries(stored(SESSION), native("theirs"))) == stored(mended())


def test_entries_of_others_become_ours_though_the_messages_stay() -> None:
    """The tail is the one that was read, and yet the list is set: it holds blocks from then on."""
    new = replace(disturbed(), version=SESSION.version + 1, others=None, listed=None)
    after = step(disturbed(), new, with_entries(stored(SESSION), native("theirs")))
    assert after is not None
    assert [*map(list, after[NAMES.history]["L"])] == [["B"], ["B"], ["B"]]


def test_other_entries_of_others_are_not_replaced() -> None:
    """As many as were seen, but not the same: what they hold would be lost."""
    assert step(disturbed(), mended(), with_entries(stored(SESSION), native("changed since"))) is None


def test_a_tail_without_entries_is_stored_as_a_guard() -> None:
    """To langchain_community an empty list would be a session to write over."""
    old = replace(WITHOUT_TAIL, tail=TAIL)
    new = replace(WITHOUT_TAIL, version=1_021)
    after = step(old, new, stored(old))
    assert after is not None
    assert after[NAMES.history] == {"L": [{"B": GUARD}]}


def test_an_empty_list_of_earlier_versions_becomes_a_guard() -> None:
    """With the next step, whatever that is about."""
    before = {**stored(WITHOUT_TAIL), NAMES.history: {"L": []}}
    old = read_back(before)
    assert isinstance(old, SessionItem)
    new = replace(old, version=1_021, listed=None)
    assert step(old, new, before) == stored(new)


def test_the_first_entry_takes_the_place_of_the_guard() -> None:
    """Which nobody has to see again."""
    new = replace(WITHOUT_TAIL, version=1_021, count=11, tail=TAIL[:1])
    assert step(WITHOUT_TAIL, new, stored(WITHOUT_TAIL)) == stored(new)


def test_an_entry_that_others_put_beside_the_guard_is_not_lost() -> None:
    """The first tail after it is set on condition that the guard stands alone."""
    new = replace(WITHOUT_TAIL, version=1_021, count=11, tail=TAIL[:1])
    assert step(WITHOUT_TAIL, new, with_entries(stored(WITHOUT_TAIL), native("theirs"))) is None


# --- Beginning ---


def test_a_session_begins_where_there_is_none() -> None:
    """Its first state is all that the item has."""
    assert step(None, SESSION, None) == stored(SESSION)


@pytest.mark.parametrize("there", [stored(SESSION), {**KEY.item, "mine": {"S": "x"}}, KEY.item])
def test_a_session_does_not_begin_where_an_item_is(there: Item) -> None:
    """Ours or anybody's."""
    assert step(None, SESSION, there) is None


def test_what_begins_a_session_is_sent_once() -> None:
    """Its condition holds again once somebody has removed the session."""
    assert compare_and_set(None, SESSION, KEY, NAMES).once


def test_what_goes_on_from_a_state_may_be_sent_again() -> None:
    """The version in its condition takes care of that."""
    assert not compare_and_set(SESSION, NEXT, KEY, NAMES).once


# --- Bookkeeping ---


def test_a_patch_leaves_the_version_alone() -> None:
    """Readers that compare versions see no change."""
    new = replace(EXTENDED, pages_expire=SECOND + 90)
    assert updated(patch(EXTENDED, new, NAMES), stored(EXTENDED)) == stored(new)


def test_a_patch_holds_while_others_append() -> None:
    """To the tail."""
    old, new = replace(SESSION, floor=0, first_page=1, trimmed=2), replace(SESSION, floor=1, first_page=1, trimmed=2)
    appended = replace(old, version=1_030, count=12, tail=(*TAIL, *TAIL))
    assert read_back(updated(patch(old, new, NAMES), stored(appended))) == replace(appended, floor=1)


def test_a_patch_is_refused_where_pages_were_cut_since() -> None:
    """What it says is about all pages that there are."""
    new = replace(EXTENDED, pages_expire=SECOND + 90)
    assert updated(patch(EXTENDED, new, NAMES), stored(replace(EXTENDED, pages=5, page_version=1_020))) is None


def test_a_patch_is_refused_on_a_session_begun_anew() -> None:
    """Whose pages are others."""
    new = replace(EXTENDED, pages_expire=SECOND + 90)
    assert updated(patch(EXTENDED, new, NAMES), stored(replace(EXTENDED, generation=1_003))) is None


def test_a_patch_makes_no_session_of_nothing() -> None:
    """It was deleted."""
    assert updated(patch(EXTENDED, replace(EXTENDED, pages_expire=SECOND + 90), NAMES), None) is None


@pytest.mark.parametrize("noted", [0, SECOND + 40, SECOND + 99])
def test_what_another_writer_noted_of_the_pages_stays(noted: int) -> None:
    """It extended them further, or made the session permanent: 0 is no note at all."""
    new = replace(EXTENDED, pages_expire=SECOND + 90)
    assert updated(patch(EXTENDED, new, NAMES), stored(replace(EXTENDED, pages_expire=noted))) is None


def test_a_first_note_of_the_pages_is_refused_where_another_is() -> None:
    """The other writer has extended them too."""
    old = replace(EXTENDED, pages_expire=0)
    assert updated(patch(old, EXTENDED, NAMES), stored(replace(EXTENDED, pages_expire=SECOND + 40))) is None


def test_a_first_note_of_the_pages_is_refused_where_the_session_is_permanent() -> None:
    """It was made so since, and its pages lost their stamps."""
    old = replace(EXTENDED, pages_expire=0)
    assert updated(patch(old, EXTENDED, NAMES), stored(replace(old, expires=None))) is None


# --- Deleting ---


def test_the_session_that_was_seen_is_deleted() -> None:
    """At its version."""
    assert deletes(delete_item(LEASED, NAMES), stored(LEASED))


def test_a_session_that_changed_is_not_deleted() -> None:
    """Somebody took it back."""
    assert not deletes(delete_item(LEASED, NAMES), stored(replace(LEASED, version=LEASED.version + 1)))


def test_the_next_session_of_that_name_is_not_deleted() -> None:
    """Though it has reached the same version."""
    assert not deletes(delete_item(LEASED, NAMES), stored(replace(LEASED, generation=1_003)))


@pytest.mark.parametrize("there", [KEY.item, {**KEY.item, "mine": {"S": "x"}}])
def test_what_is_no_session_is_not_deleted(there: Item) -> None:
    """An item of the user's."""
    assert not deletes(delete_item(LEASED, NAMES), there)


def test_a_page_is_not_deleted_as_a_session() -> None:
    """It has no version of a session."""
    assert not deletes(delete_item(SESSION, NAMES), {**stored_page(PAGE), **KEY.item})
