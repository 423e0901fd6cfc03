"""Which items of a table are listed as sessions: the filter of a query or scan, evaluated on items."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation import COMMUNITY, INTENT, KEY, LEASED, NAMES, NOW, PAGE, SECOND, SESSION, native, stored, stored_page
from langchain_dynamodb._dynamodb.attribute_values import AttributeValue, Item
from langchain_dynamodb._dynamodb.expressions import Expression
from langchain_dynamodb._items.attribute_names import CREATED, UPDATED
from langchain_dynamodb._items.clock import FIVE_YEARS, is_expired
from langchain_dynamodb._items.recognition import is_community_list
from langchain_dynamodb._protocol.conditions import community_list, listed, unexpired
from langchain_dynamodb._protocol.states import declared, unborn
from simulation.engine import Engine

MARKED = replace(SESSION, version=1_021, intent=replace(INTENT, kind="delete"))
UNBORN = declared(unborn(NOW), INTENT, NOW)


def passes(item: Item, e: Expression, condition: str) -> bool:
    """Whether an item is found by a scan with this filter."""
    engine = Engine()
    engine.write(engine.key_of(item), item)
    return bool(engine.apply("scan", {"FilterExpression": condition, **e.request()})["Count"])


def is_listed(item: Item, *, keys: tuple[str, ...] = ("SessionId",), history: bool = True) -> bool:
    """Whether a listing at NOW shows it."""
    e = Expression()
    return passes(item, e, listed(e, NAMES, NOW, keys=keys, history=history))


@pytest.mark.parametrize("state", [SESSION, LEASED, COMMUNITY, replace(SESSION, expires=SECOND + 1)])
def test_what_readers_see_is_listed(state: Any) -> None:
    """Also while a write of several steps is under way, and until it expires."""
    assert is_listed(stored(state))


def test_a_page_is_not_listed() -> None:
    """It is a part of a session."""
    assert not is_listed(stored_page(PAGE))


def test_an_unborn_session_is_not_listed() -> None:
    """Its first messages are not committed."""
    assert not is_listed(stored(UNBORN))


def test_an_unborn_session_with_messages_of_others_is_not_listed() -> None:
    """What langchain_community's are known by makes no other format of ours."""
    assert not is_listed({**stored(UNBORN), NAMES.history: COMMUNITY.history})


def test_what_is_being_deleted_is_not_listed() -> None:
    """It is hidden from then on."""
    assert not is_listed(stored(MARKED))


@pytest.mark.parametrize("state", [SESSION, COMMUNITY])
def test_what_has_expired_is_not_listed(state: Any) -> None:
    """Though DynamoDB has not removed it yet."""
    assert not is_listed(stored(replace(state, expires=SECOND)))


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"mine": {"S": "x"}},
        {"History": {"S": "text"}},
        {"History": {"L": [{"S": "x"}]}},
        {"History": {"L": [{"M": {"text": {"S": "x"}, "type": {"S": "human"}}}]}},
        {"History": {"M": {"type": {"S": "human"}}}},
    ],
)
def test_items_of_others_are_not_listed(attributes: Item) -> None:
    """Neither ours nor langchain_community's."""
    assert not is_listed({**KEY.item, **attributes})


def test_a_cleared_history_of_langchain_community_is_listed() -> None:
    """It is an empty session."""
    assert is_listed(stored(replace(COMMUNITY, history={"L": []})))


def test_a_damaged_session_is_listed() -> None:
    """Without the time of its birth and without an intent: it must not go unnoticed."""
    damaged = stored(SESSION)
    del damaged[CREATED]
    assert is_listed(damaged)


def test_an_index_without_histories_lists_ours_only() -> None:
    """It does not carry what langchain_community's are known by."""
    assert [is_listed(stored(state), history=False) for state in (SESSION, COMMUNITY)] == [True, False]


@pytest.mark.parametrize(
    ("state", "shown"), [(SESSION, True), (MARKED, False), (replace(SESSION, expires=SECOND), False)]
)
def test_an_index_by_the_time_of_birth_holds_only_what_is_born(state: Any, shown: bool) -> None:
    """A filter may not mention a key; deleted and expired ones are left out all the same."""
    keys = ("owner", CREATED)
    e = Expression()
    condition = listed(e, NAMES, NOW, keys=keys, history=False)
    assert CREATED not in e.request()["ExpressionAttributeNames"].values()
    assert passes(stored(state), e, condition) == shown


def test_an_index_by_the_last_change_leaves_out_the_unborn() -> None:
    """Which have changed already."""
    assert not is_listed(stored(UNBORN), keys=("owner", UPDATED), history=False)


# --- What the filter says, and what a reader of the item says ---

STAMPS: list[AttributeValue] = [
    {"N": str(SECOND - 1)},
    {"N": str(SECOND)},
    {"N": str(SECOND + 1)},
    {"N": str(SECOND - FIVE_YEARS)},
    {"N": str(SECOND - FIVE_YEARS - 1)},
    {"N": "0"},
    {"N": "-5"},
    {"N": str(NOW)},
]


@pytest.mark.parametrize("stamp", STAMPS)
def test_a_number_expires_where_readers_say_so(stamp: AttributeValue) -> None:
    """At the second it names, and not if that was more than five years ago."""
    e = Expression()
    assert passes({**KEY.item, NAMES.ttl: stamp}, e, unexpired(e, NAMES, NOW)) is not is_expired(int(stamp["N"]), NOW)


@pytest.mark.parametrize("stamp", [{"S": str(SECOND - 1)}, {"NULL": True}, {"B": b"1"}, {"L": []}, {"BOOL": False}])
def test_what_is_no_number_never_expires(stamp: AttributeValue) -> None:
    """DynamoDB does not delete it either."""
    e = Expression()
    assert passes({**KEY.item, NAMES.ttl: stamp}, e, unexpired(e, NAMES, NOW))


def test_what_has_no_stamp_never_expires() -> None:
    """Nobody set one."""
    e = Expression()
    assert passes(KEY.item, e, unexpired(e, NAMES, NOW))


@pytest.mark.parametrize(
    ("entries", "known"),
    [
        ([], True),
        ([native("a")], True),
        ([{"NULL": True}, native("a")], True),
        ([{"NULL": True}, {"NULL": True}, native("a")], False),
    ],
)
def test_a_list_of_langchain_community_is_known_by_its_first_two_entries(
    entries: list[AttributeValue], known: bool
) -> None:
    """One that is damaged hides no session."""
    assert is_listed({**KEY.item, NAMES.history: {"L": entries}}) == known


ENTRIES: st.SearchStrategy[AttributeValue] = st.sampled_from(
    [
        native("a"),
        {"M": {"type": {"S": "human"}}},
        {"M": {"data": {"M": {}}}},
        {"M": {"type": {"N": "1"}, "data": {"M": {}}}},
        {"M": {"type": {"S": "human"}, "data": {"S": "text"}}},
        {"S": "text"},
        {"B": b"block"},
        {"NULL": True},
        {"L": []},
    ]
)
HISTORIES: st.SearchStrategy[AttributeValue] = st.one_of(
    ENTRIES, st.lists(ENTRIES, max_size=4).map(lambda entries: {"L": entries})
)


@given(history=HISTORIES)
def test_a_list_is_langchain_communitys_where_readers_say_so(history: AttributeValue) -> None:
    """The condition of an append and the filter of a listing agree with whoever reads the item."""
    e = Expression()
    assert passes({**KEY.item, NAMES.history: history}, e, community_list(e, NAMES)) == is_community_list(history)
