"""Changes of an item in the format of langchain_community, and its conversion to ours: evaluated on items (rule 8)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evaluation import (
    COMMUNITY,
    EARLIER,
    INTENT,
    KEY,
    LATER,
    NAMES,
    NOW,
    OTHER,
    SECOND,
    SESSION,
    TAIL,
    deletes,
    native,
    read_back,
    stored,
    updated,
)
from langchain_dynamodb._dynamodb.attribute_values import Item
from langchain_dynamodb._items.attribute_names import INTENT as INTENT_NAME
from langchain_dynamodb._items.community_item import CommunityItem
from langchain_dynamodb._items.session_items import Intent, SessionItem
from langchain_dynamodb._protocol.community import (
    append_community,
    begin_community,
    claim,
    converted,
    drop_intent,
    from_community,
)
from langchain_dynamodb._protocol.conditions import delete_item
from langchain_dynamodb._protocol.expiry import NO_EXPIRY, Expiries
from langchain_dynamodb._protocol.pages import Draft, Placement
from langchain_dynamodb._protocol.rewrite import KEPT_OPS
from langchain_dynamodb._protocol.states import unborn

MINE = {"owner": {"S": "me"}}
WITH_IDS = replace(COMMUNITY, ops=frozenset([EARLIER, LATER]))
HELD = Intent(b"intent..", "convert", 1_000, 0, 3, NOW + 3_000_000)
OTHERS = Intent(b"another.", "convert", 1_005, 0, 3, NOW + 9_000_000)
RENEWED = replace(HELD, lease=NOW + 9_000_000)
LEASED = replace(COMMUNITY, intent=HELD)
TAKEN = replace(COMMUNITY, intent=OTHERS)
NEW_LIST = CommunityItem({"L": [native("a"), native("b"), native("c")]})
NOTHING = CommunityItem({"L": []}, has_history=False)

OURS = replace(SESSION, tail_ops=frozenset())

# What others may have made of COMMUNITY since it was seen.
MEANWHILE = {
    "langchain_community wrote": stored(NEW_LIST),
    "it was cleared": stored(replace(COMMUNITY, history={"L": []})),
    "it was deleted": None,
    "an append of ours": stored(replace(COMMUNITY, history=NEW_LIST.history, ops=frozenset([OTHER]))),
    "an append of ours, cut off again": stored(replace(COMMUNITY, ops=frozenset([OTHER]))),
    "a write of ours began": stored(LEASED),
    "it was converted": stored(SESSION),
    "a session of ours with that list": {
        **stored(replace(SESSION, tail_ops=frozenset())),
        NAMES.history: COMMUNITY.history,
    },
}
unchanged_only = pytest.mark.parametrize("there", MEANWHILE.values(), ids=MEANWHILE.keys())


# --- Changes of what was seen ---


def change(old: CommunityItem, new: CommunityItem | SessionItem, before: Item | None) -> Item | None:
    """What the change makes of an item."""
    return updated(from_community(old, new, NAMES), before)


def test_an_item_as_it_was_seen_is_changed() -> None:
    """To the new list."""
    assert change(COMMUNITY, NEW_LIST, stored(COMMUNITY)) == stored(NEW_LIST)


@unchanged_only
def test_what_changed_since_is_not_overwritten(there: Item | None) -> None:
    """langchain_community leaves no version: the whole list is compared, and what only we leave there."""
    assert change(COMMUNITY, replace(COMMUNITY, history={"L": [native("a")]}), there) is None


def test_the_users_attributes_stay() -> None:
    """Those it was not asked to change."""
    assert change(COMMUNITY, NEW_LIST, {**stored(COMMUNITY), **MINE}) == {**stored(NEW_LIST), **MINE}


def test_the_users_attributes_are_set_along_with_it() -> None:
    """In the same request."""
    after = updated(from_community(COMMUNITY, NEW_LIST, NAMES, MINE), stored(COMMUNITY))
    assert after == {**stored(NEW_LIST), **MINE}


def test_a_declared_write_is_committed() -> None:
    """Under its own intent."""
    assert change(LEASED, SESSION, stored(LEASED)) == stored(SESSION)


def test_a_declared_write_is_committed_though_its_lease_was_renewed() -> None:
    """By its own writer."""
    assert change(LEASED, SESSION, stored(replace(LEASED, intent=RENEWED))) == stored(SESSION)


@pytest.mark.parametrize(
    "there",
    [COMMUNITY, TAKEN, replace(COMMUNITY, intent=replace(HELD, op=b"ended..."))],
    ids=["removed", "taken over", "ended"],
)
def test_a_declared_write_without_its_intent_is_not_committed(there: CommunityItem) -> None:
    """Its pages may be gone."""
    assert change(LEASED, SESSION, stored(there)) is None


def test_an_earlier_attempt_is_not_committed() -> None:
    """Attempts of one operation differ by their generation, under which their pages are."""
    again = replace(LEASED, intent=replace(HELD, generation=1_007))
    assert change(LEASED, SESSION, stored(again)) is None


def test_what_declares_a_write_is_sent_once() -> None:
    """A late copy would bring back an intent that somebody has taken back."""
    assert from_community(COMMUNITY, LEASED, NAMES).once


@pytest.mark.parametrize(("old", "new"), [(COMMUNITY, NEW_LIST), (LEASED, SESSION), (COMMUNITY, SESSION)])
def test_what_changes_the_list_may_be_sent_again(old: CommunityItem, new: CommunityItem | SessionItem) -> None:
    """The list in its condition takes care of that."""
    assert not from_community(old, new, NAMES).once


def test_a_conversion_leaves_nothing_of_the_old_format() -> None:
    """Neither ids nor list."""
    assert change(WITH_IDS, SESSION, stored(WITH_IDS)) == stored(SESSION)


# --- Beginning ---


def test_a_list_begins_where_there_is_no_item() -> None:
    """In langchain_community's own format."""
    assert updated(begin_community(COMMUNITY, KEY, NAMES), None) == stored(COMMUNITY)


@pytest.mark.parametrize("there", [stored(SESSION), stored(COMMUNITY), {**KEY.item, **MINE}])
def test_a_list_does_not_begin_where_an_item_is(there: Item) -> None:
    """Whoever's it is."""
    assert updated(begin_community(COMMUNITY, KEY, NAMES), there) is None


def test_the_users_attributes_are_there_from_the_beginning() -> None:
    """In the same request."""
    assert updated(begin_community(COMMUNITY, KEY, NAMES, MINE), None) == {**stored(COMMUNITY), **MINE}


def test_what_begins_a_list_is_sent_once() -> None:
    """Its condition holds again once somebody has removed the item."""
    assert begin_community(COMMUNITY, KEY, NAMES).once


# --- Appends ---


def append(
    before: Item | None, *, seen: CommunityItem = COMMUNITY, expires: int | None = None, unchanged: bool = False
) -> Item | None:
    """What an append of the message "c" makes of an item."""
    entries = {"L": [native("c")]}
    ops = frozenset([OTHER])
    return updated(append_community(seen, entries, OTHER, ops, NAMES, NOW, expires, unchanged=unchanged), before)


APPENDED = replace(NEW_LIST, ops=frozenset([OTHER]))


def test_an_append_adds_to_the_list() -> None:
    """And leaves its id."""
    assert append(stored(COMMUNITY)) == stored(APPENDED)


def test_an_append_adds_to_whatever_the_list_is_by_then() -> None:
    """Nobody's messages are lost: DynamoDB itself appends."""
    after = append(stored(replace(NEW_LIST, ops=frozenset([LATER]))))
    longer = {"L": [*NEW_LIST.natives, native("c")]}
    assert read_back(after) == replace(NEW_LIST, history=longer, ops=frozenset([LATER, OTHER]))


def test_an_append_takes_place_once() -> None:
    """Its id is there, so a copy that comes late is refused."""
    assert append(stored(APPENDED)) is None


def test_an_append_is_refused_on_a_converted_session() -> None:
    """Maps are not what our list holds."""
    assert append(stored(SESSION)) is None


def test_an_append_is_refused_on_a_session_of_ours_that_looks_like_theirs() -> None:
    """Others wrote their list over ours."""
    assert append({**stored(SESSION), NAMES.history: COMMUNITY.history}) is None


def test_an_append_waits_for_a_write_of_several_steps() -> None:
    """That has read the list, and would commit without it."""
    assert append(stored(LEASED)) is None


def test_an_append_is_refused_on_an_expired_item() -> None:
    """It is as good as deleted."""
    assert append(stored(replace(COMMUNITY, expires=SECOND))) is None


def test_an_append_puts_off_the_expiry() -> None:
    """Where a ttl is set."""
    after = append(stored(replace(COMMUNITY, expires=SECOND + 5)), expires=SECOND + 90)
    assert read_back(after).expires == SECOND + 90


def test_an_append_without_a_ttl_leaves_the_expiry_alone() -> None:
    """Whoever set it."""
    assert read_back(append(stored(replace(COMMUNITY, expires=SECOND + 5)))).expires == SECOND + 5


@pytest.mark.parametrize(
    "there", [{"S": "no list"}, {"L": [{"S": "x"}, {"S": "y"}]}, {"L": [{"M": {"text": {"S": "x"}}}]}]
)
def test_an_append_is_refused_where_the_list_is_no_history(there: Item) -> None:
    """Somebody put another item there since: it must not get a message of ours."""
    assert append({**KEY.item, NAMES.history: there}) is None


def test_an_append_begins_the_list_of_an_item_that_has_none() -> None:
    """An item of nothing but its key."""
    assert append(KEY.item, seen=NOTHING) == stored(replace(APPENDED, history={"L": [native("c")]}))


def test_an_append_that_is_to_begin_a_list_is_refused_where_one_is() -> None:
    """Somebody was faster: whose list it is, is to be looked at first."""
    assert append(stored(COMMUNITY), seen=NOTHING) is None


def test_an_append_that_is_to_go_on_with_a_list_begins_none() -> None:
    """It was deleted."""
    assert append(None) is None


def test_a_guarded_append_finds_the_list_as_it_was_seen() -> None:
    """Then it takes place."""
    assert append(stored(COMMUNITY), unchanged=True) == stored(APPENDED)


def test_a_guarded_append_is_refused_on_another_list() -> None:
    """Somebody wrote since."""
    assert append(stored(NEW_LIST), unchanged=True) is None


def test_a_guarded_append_is_refused_on_a_list_that_was_changed_back() -> None:
    """It was refused once already, maybe, and this is a copy that comes late."""
    assert append(stored(replace(COMMUNITY, ops=frozenset([LATER]))), unchanged=True) is None


def test_an_append_sets_the_users_attributes() -> None:
    """In the same request."""
    request = append_community(COMMUNITY, {"L": [native("c")]}, OTHER, frozenset([OTHER]), NAMES, NOW, None, MINE)
    assert updated(request, stored(COMMUNITY)) == {**stored(APPENDED), **MINE}


# --- Deleting ---


def test_an_item_as_it_was_seen_is_deleted() -> None:
    """With its ids."""
    assert deletes(delete_item(WITH_IDS, NAMES), stored(WITH_IDS))


@unchanged_only
def test_what_changed_since_is_not_deleted(there: Item | None) -> None:
    """It may be the next of that name."""
    assert not deletes(delete_item(COMMUNITY, NAMES), there)


@pytest.mark.parametrize("ops", [[], [EARLIER], [EARLIER, LATER, OTHER]])
def test_the_same_messages_with_other_ids_are_not_deleted(ops: list[bytes]) -> None:
    """Changed back, or begun anew with the same messages."""
    assert not deletes(delete_item(WITH_IDS, NAMES), stored(replace(COMMUNITY, ops=frozenset(ops))))


def test_an_item_of_the_users_is_not_deleted() -> None:
    """Nothing of it was a history when it was seen."""
    assert not deletes(delete_item(COMMUNITY, NAMES), {**KEY.item, **MINE})


# --- Leases ---


def test_a_lease_is_taken_over_whatever_the_list_is_by_then() -> None:
    """langchain_community knows nothing of leases, and writes."""
    there = replace(LEASED, history=NEW_LIST.history)
    after = read_back(updated(claim(HELD, OTHERS, ours=False), stored(there)))
    assert after == replace(TAKEN, history=NEW_LIST.history)


def test_a_lease_that_was_renewed_since_is_not_taken_over() -> None:
    """Its owner lives."""
    assert updated(claim(HELD, INTENT, ours=False), stored(replace(LEASED, intent=RENEWED))) is None


def test_an_own_lease_is_exchanged_though_it_was_renewed() -> None:
    """By ourselves."""
    assert read_back(updated(claim(HELD, INTENT, ours=True), stored(replace(LEASED, intent=RENEWED)))).intent == INTENT


@pytest.mark.parametrize("there", [stored(COMMUNITY), stored(TAKEN), None], ids=["ended", "taken over", "deleted"])
@pytest.mark.parametrize("ours", [True, False])
def test_a_lease_that_is_not_there_any_more_is_not_exchanged(there: Item | None, ours: bool) -> None:
    """Another was faster."""
    assert updated(claim(HELD, INTENT, ours=ours), there) is None


def test_an_intent_is_removed() -> None:
    """And nothing else."""
    assert updated(drop_intent(b"intent.."), stored(LEASED)) == stored(COMMUNITY)


def test_an_intent_of_another_is_not_removed() -> None:
    """It was taken over."""
    assert updated(drop_intent(b"intent.."), stored(TAKEN)) is None


@pytest.mark.parametrize("there", [stored(COMMUNITY), None])
def test_no_intent_is_removed_where_there_is_none(there: Item | None) -> None:
    """And nothing is made of nothing."""
    assert updated(drop_intent(b"intent.."), there) is None


# --- The first state in our format ---


def first(placement: Placement, *, ops: frozenset[bytes] = frozenset(), times: Expiries = NO_EXPIRY) -> SessionItem:
    """The state after a conversion of three messages."""
    return converted(unborn(NOW), placement, 3, ops, NOW + 5, times)


IN_PAGES = Placement([Draft(b"1", 2), Draft(b"2", 1)], ())
IN_TAIL = Placement([], TAIL)


def test_a_short_history_is_converted_to_a_tail() -> None:
    """No page is needed."""
    state = first(IN_TAIL)
    assert (state.tail, state.tail_start, state.count, state.pages) == (TAIL, 0, 3, 0)


def test_a_long_history_is_converted_to_pages() -> None:
    """From number 0 on, all of them messages before an empty tail."""
    state = first(IN_PAGES)
    assert (state.tail, state.tail_start, state.count, state.pages, state.first_page) == ((), 3, 3, 2, 0)


def test_its_pages_were_cut_at_the_version_it_goes_on_from() -> None:
    """Else a reader would not take them for its own."""
    assert first(IN_PAGES).page_version == unborn(NOW).version


def test_a_converted_session_is_born() -> None:
    """Nobody knows when it was begun."""
    state = first(IN_TAIL)
    assert (state.created, state.updated) == (NOW + 5, NOW + 5)


def test_the_ids_of_appends_come_along() -> None:
    """A resend is recognised after the conversion too."""
    assert first(IN_TAIL, ops=frozenset([EARLIER, LATER])).page_ops == {EARLIER, LATER}


def test_too_many_ids_stay_behind() -> None:
    """In that format they are never removed: all of them would fill the session item."""
    ops = frozenset(bytes([n]) * 8 for n in range(KEPT_OPS + 1))
    assert first(IN_TAIL, ops=ops).page_ops == frozenset()


def test_ids_take_room_in_the_tail() -> None:
    """As those of any append."""
    more = first(IN_TAIL, ops=frozenset([EARLIER])).tail_bytes - first(IN_TAIL).tail_bytes
    assert more == len(EARLIER) + 1


def test_an_expiry_that_the_item_had_stays() -> None:
    """Where no ttl is set."""
    state = converted(replace(unborn(NOW), expires=SECOND + 5), IN_TAIL, 3, frozenset(), NOW, NO_EXPIRY)
    assert state.expires == SECOND + 5


def test_a_ttl_gives_it_an_expiry() -> None:
    """And one to its pages, which is on record."""
    state = first(IN_PAGES, times=Expiries(SECOND + 90, SECOND + 190))
    assert (state.expires, state.pages_expire) == (SECOND + 90, SECOND + 190)


def test_without_pages_no_expiry_of_theirs_is_on_record() -> None:
    """There are none to expire."""
    assert first(IN_TAIL, times=Expiries(SECOND + 90, SECOND + 190)).pages_expire == 0


def test_an_intent_names_an_operation_that_an_item_can_hold() -> None:
    """What stands on the item reads back as it is."""
    assert read_back(stored(LEASED)) == LEASED
    assert INTENT_NAME in stored(LEASED)
