"""Session items and pages as typed values: what is stored of them, what they say, and their sizes (rule 9)."""

from __future__ import annotations

from dataclasses import replace

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
    PAGE,
    SECOND,
    SESSION,
    stored,
    stored_page,
)
from langchain_dynamodb._dynamodb.attribute_values import attribute_bytes, number
from langchain_dynamodb._items.clock import FIVE_YEARS
from langchain_dynamodb._items.configured_names import Names
from langchain_dynamodb._items.keys import session_key
from langchain_dynamodb._items.page_items import Page, Reference
from langchain_dynamodb._items.session_items import (
    GUARD,
    Intent,
    SessionItem,
    entry_cost,
    new_op,
    tail_room,
)
from langchain_dynamodb._items.sizes import (
    MAX_INFLATED,
    MAX_ITEM_DATA,
    MAX_SESSION_ITEM,
    Sizes,
    check_sizes,
)
from langchain_dynamodb.codec.messages import unpack
from langchain_dynamodb.errors import InvalidInputError

ALWAYS = {"lc_version", "lc_generation", "lc_pages", "lc_count", "lc_tail_bytes", "lc_updated", "History"}
NOTHING = SessionItem(version=7, generation=7)

# --- What is stored ---


def test_a_new_session_is_a_few_attributes() -> None:
    """Each costs every append: what is as it was at the beginning is not stored."""
    assert set(NOTHING.attributes(NAMES)) == ALWAYS


@pytest.mark.parametrize(
    ("item", "name", "value"),
    [
        (replace(NOTHING, created=NOW), "lc_created", number(NOW)),
        (replace(NOTHING, page_version=6), "lc_page_version", number(6)),
        (replace(NOTHING, reach=0), "lc_reach", number(0)),
        (replace(NOTHING, trimmed=1), "lc_trimmed", number(1)),
        (replace(NOTHING, tail_start=1), "lc_tail_start", number(1)),
        (replace(NOTHING, pages_expire=SECOND), "lc_pages_expire", number(SECOND)),
        (replace(NOTHING, expires=SECOND), "expireAt", number(SECOND)),
        (replace(NOTHING, tail_ops=frozenset([b"b", b"a"])), "lc_tail_ops", {"BS": [b"a", b"b"]}),
        (replace(NOTHING, page_ops=frozenset([b"a"])), "lc_page_ops", {"BS": [b"a"]}),
        (replace(NOTHING, change=OTHER), "lc_change", {"B": OTHER}),
        (replace(NOTHING, metadata={"M": {}}), "lc_metadata", {"M": {}}),
        (replace(NOTHING, intent=INTENT), "lc_intent", INTENT.attribute()),
        (replace(NOTHING, first_page=2, floor=2), "lc_first_page", number(2)),
        (replace(NOTHING, first_page=0, floor=1), "lc_floor", number(1)),
    ],
)
def test_what_was_set_is_stored(item: SessionItem, name: str, value: object) -> None:
    """Under its name, and nothing else is."""
    attributes = item.attributes(NAMES)
    assert (attributes[name], set(attributes)) == (value, ALWAYS | {name})


def test_a_floor_below_the_first_page_is_stored() -> None:
    """Pages in between are to be removed still."""
    attributes = replace(NOTHING, first_page=2, floor=0).attributes(NAMES)
    assert (attributes["lc_first_page"], attributes["lc_floor"]) == (number(2), number(0))


def test_the_names_that_the_user_chose() -> None:
    """Of the history and the expiry; all others are ours."""
    attributes = replace(SESSION, expires=SECOND).attributes(Names("Chat", "ttl"))
    assert ({"Chat", "ttl"} <= set(attributes), {"History", "expireAt"} & set(attributes)) == (True, set())
    assert all(name.startswith("lc_") for name in set(attributes) - {"Chat", "ttl"})


def test_a_tail_without_entries_holds_a_guard() -> None:
    """To langchain_community an empty list would be a session to write over."""
    assert (NOTHING.attributes(NAMES)["History"], unpack(GUARD, 0)) == ({"L": [{"B": GUARD}]}, [])


def test_an_intent_is_stored_with_its_pages_and_its_end() -> None:
    """Whoever finds it must be able to end it."""
    assert INTENT.attribute() == {
        "M": {
            "op": {"B": b"intent.."},
            "kind": {"S": "rewrite"},
            "generation": {"N": "1000"},
            "first": {"N": "6"},
            "last": {"N": "9"},
            "lease": {"N": str(NOW + 3_000_000)},
        }
    }


def test_an_intent_is_the_same_however_often_it_was_renewed() -> None:
    """The end of its lease moves while its writer works."""
    assert Intent(b"o", "append", 1, 2, 3, 4) == Intent(b"o", "append", 1, 2, 3, 5)
    assert Intent(b"o", "append", 1, 2, 3, 4) != Intent(b"p", "append", 1, 2, 3, 4)


def test_a_page_is_stored_with_what_proves_it() -> None:
    """In one attribute, since it takes as long to read many as kilobytes in one."""
    page = replace(PAGE, number=7, cut=1_020, previous=1_010, first=12, messages=5, parts=3)
    stored = page.attributes(NAMES)
    assert stored.keys() == {"lc_cut", "lc_token", "lc_chain", "lc_data"}
    assert (stored["lc_cut"], stored["lc_chain"]) == (number(1_020), {"S": "7 1020 1010 12 5 3"})


@pytest.mark.parametrize(
    ("page", "name", "value"),
    [
        (replace(PAGE, ops=frozenset([b"b", b"a"])), "lc_ops", {"BS": [b"a", b"b"]}),
        (replace(PAGE, expires=SECOND), "expireAt", number(SECOND)),
    ],
)
def test_what_a_page_may_have_beside_that(page: object, name: str, value: object) -> None:
    """Under its name."""
    assert replace(PAGE).attributes(NAMES) | {name: value} == page.attributes(NAMES)  # type: ignore[attr-defined]


# --- What a session item says ---


def test_messages_that_were_trimmed_do_not_count() -> None:
    """For users."""
    assert replace(SESSION, trimmed=3).message_count == SESSION.count - 3


@pytest.mark.parametrize(
    ("item", "live"),
    [
        (SESSION, True),
        (LEASED, True),
        (replace(SESSION, created=0), False),
        (replace(SESSION, intent=replace(INTENT, kind="delete")), False),
        (replace(SESSION, expires=SECOND + 1), True),
        (replace(SESSION, expires=SECOND), False),
        (replace(SESSION, expires=SECOND - FIVE_YEARS), False),
        (replace(SESSION, expires=SECOND - FIVE_YEARS - 1), True),
    ],
)
def test_what_readers_see(item: SessionItem, live: bool) -> None:
    """Unborn, marked or expired it is absent (rule 5); a time of more than five years ago is none."""
    assert item.is_live(NOW) == live


@pytest.mark.parametrize(("item", "lasts"), [(replace(SESSION, expires=1), True), (replace(SESSION, created=0), False)])
def test_what_nobody_is_going_to_remove(item: SessionItem, lasts: bool) -> None:
    """Expiry is another thing."""
    assert item.lasts == lasts


@pytest.mark.parametrize(
    ("other", "keeps"),
    [
        (replace(SESSION, version=9_000, pages=9, count=50), True),
        (replace(SESSION, first_page=1), False),
        (replace(SESSION, generation=999), False),
    ],
)
def test_whether_pages_must_still_be_there(other: SessionItem, keeps: bool) -> None:
    """However many were added; not where some were dropped, or another session has the name."""
    assert other.keeps_pages_of(SESSION) == keeps


@pytest.mark.parametrize(
    ("item", "entries"), [(NOTHING, 1), (SESSION, 2), (replace(SESSION, listed=5), 5), (replace(NOTHING, listed=0), 0)]
)
def test_how_many_entries_the_list_has(item: SessionItem, entries: int) -> None:
    """As it was read, or as we set it: a guard is one."""
    assert item.entries == entries


# --- A page that is there ---

EXPIRING = replace(PAGE, expires=SECOND)
LONGER = replace(PAGE, expires=SECOND + 1)


@pytest.mark.parametrize(
    ("page", "there", "is_in"),
    [
        (EXPIRING, LONGER, True),
        (EXPIRING, EXPIRING, False),
        (LONGER, EXPIRING, False),
        (EXPIRING, PAGE, False),
        (PAGE, LONGER, False),
        (EXPIRING, replace(LONGER, cut=PAGE.cut + 1), False),
        (EXPIRING, replace(LONGER, token=OTHER), False),
    ],
)
def test_the_same_page_with_more_time(page: object, there: object, is_in: bool) -> None:
    """Equal cut and token, and it lives longer: then the one that is there stays (rule 2)."""
    assert page.is_in(stored_page(there), NAMES) == is_in  # type: ignore[attr-defined, arg-type]


REFERENCE = Reference("a" * 24, 7, "f" * 64, "bucket")
REFERRING = replace(EXPIRING, data=b"", reference=REFERENCE)


@pytest.mark.parametrize(
    ("page", "there", "is_in"),
    [
        (REFERRING, REFERRING, True),
        (REFERRING, replace(REFERRING, reference=REFERENCE._replace(token="b" * 24)), True),
        (REFERRING, replace(REFERRING, reference=REFERENCE._replace(sha256="0" * 64)), False),
        (REFERRING, replace(REFERRING, reference=REFERENCE._replace(size=8)), False),
        (REFERRING, EXPIRING, False),
        (REFERRING, replace(REFERRING, token=OTHER), False),
        (REFERRING, replace(REFERRING, expires=SECOND + 1), True),
        (REFERRING, replace(REFERRING, expires=SECOND - 1), False),
        (REFERRING, replace(REFERRING, expires=None), False),
        (replace(REFERRING, expires=None), replace(REFERRING, expires=None), True),
        (replace(REFERRING, expires=None), REFERRING, False),
    ],
)
def test_the_same_page_in_an_object(page: Page, there: Page, is_in: bool) -> None:
    """That of another writer stays where its data is the same, and it lives as long."""
    assert page.is_in(stored_page(there), NAMES) == is_in


def test_a_page_kept_for_good_is_not_the_same() -> None:
    """It may be committed."""
    page = replace(REFERRING, expires=None)
    assert not page.is_in({**stored_page(page), "lc_kept": number(1)}, NAMES)


@pytest.mark.parametrize("text", ["", "a b c", "a b c d", "a 7 c d e", None])
def test_what_is_no_reference(text: str | None) -> None:
    """Four words, of which the second is a number."""
    assert Reference.parse(text) is None
    assert Reference.parse(REFERENCE.attribute()["S"]) == REFERENCE


def test_nothing_is_no_page() -> None:
    """Nor is an item of something else."""
    assert [EXPIRING.is_in(item, NAMES) for item in ({}, stored(replace(SESSION, expires=SECOND + 9)))] == [False] * 2


# --- Sizes ---


def test_operation_ids_are_fresh() -> None:
    """Short, since the session item holds many, and never the same twice."""
    ids = {new_op() for _ in range(1_000)}
    assert (len(ids), {len(op) for op in ids}) == (1_000, {8})


def test_the_default_sizes() -> None:
    """Those of rule 9."""
    sizes = Sizes()
    assert (sizes.session_item, sizes.page, sizes.item, sizes.message) == (3_072, 16 << 10, 380_000, 16 << 20)


@pytest.mark.parametrize("key", ["s", "a longer id " * 20])
def test_a_full_tail_fits_the_session_item(key: str) -> None:
    """With the key and all numbers of a session of a thousand pages that expires: only metadata comes on top."""
    wanted = session_key(key, "SessionId")
    room, ops = tail_room(Sizes(), wanted), [n.to_bytes(8, "big") for n in range(10)]
    entry = bytes(room // 10 - entry_cost(b"", ops[:1]))
    tail = (entry,) * 10
    assert room - 10 < sum(entry_cost(entry, [op]) for op in ops) <= room
    item = SessionItem(
        version=NOW, generation=NOW, created=NOW, updated=NOW, pages=1_000, first_page=500, page_version=NOW,
        count=20_000, trimmed=10_000, tail_start=19_990, tail_bytes=room, tail=tail, tail_ops=frozenset(ops[:5]),
        page_ops=frozenset(ops[5:]), change=OTHER, expires=SECOND, pages_expire=SECOND,
    )  # fmt: skip
    attributes = {**wanted.item, **item.attributes(NAMES)}
    size = sum(len(name) + attribute_bytes(value) for name, value in attributes.items())
    assert 3_072 - 40 < size <= 3_072


def test_operations_that_are_remembered() -> None:
    """Appends of the tail and of the last page, and the last other change."""
    item = replace(SESSION, change=OTHER)
    assert [item.has_op(op) for op in (EARLIER, LATER, OTHER, b"unknown.")] == [True, True, True, False]


def test_a_tail_has_some_room_whatever_the_key() -> None:
    """A session whose key alone fills the item still takes appends."""
    assert tail_room(Sizes(session_item=300), session_key("x" * 2_000, "SessionId")) == 256


def test_a_longer_key_takes_room_from_the_tail() -> None:
    """Byte by byte: it is a part of the item."""
    shorter, longer = session_key("x" * 10, "SessionId"), session_key("x" * 30, "SessionId")
    assert tail_room(Sizes(), shorter) - tail_room(Sizes(), longer) == 20
    assert shorter.size == len("SessionId") + 10


@pytest.mark.parametrize(
    "sizes",
    [
        Sizes(),
        Sizes(session_item=1, page=1, item=1, message=1, metadata=1, attributes=1),
        Sizes(session_item=MAX_SESSION_ITEM, item=MAX_ITEM_DATA, message=MAX_INFLATED),
    ],
)
def test_sizes_that_can_be(sizes: Sizes) -> None:
    """From 1 on, and up to what DynamoDB and readers take."""
    assert check_sizes(sizes) == sizes


@pytest.mark.parametrize(
    ("sizes", "said"),
    [
        (Sizes(session_item=MAX_SESSION_ITEM + 1), "session_item may be at most 65000"),
        (Sizes(item=MAX_ITEM_DATA + 1), "item may be at most 400000"),
        (Sizes(message=MAX_INFLATED + 1), "message at most 67108864"),
        (Sizes(metadata=0), "from 1 on"),
        (Sizes(attributes=True), "whole numbers"),
        ((3072, 1, 1, 1, 1, 1), "must be Sizes"),
    ],
)
def test_sizes_that_cannot_be(sizes: Sizes, said: str) -> None:
    """By one byte."""
    with pytest.raises(InvalidInputError, match=said):
        check_sizes(sizes)


def test_the_key_of_these_tests_is_small() -> None:
    """So that sizes in them are about the tail."""
    assert KEY.size == len("SessionIds")


def test_sizes_with_objects() -> None:
    """A message may have four times as much where large data goes into objects."""
    sizes = Sizes(message=4 * MAX_INFLATED)
    assert check_sizes(sizes, objects=True) == sizes
    with pytest.raises(InvalidInputError, match="message at most 268435456"):
        check_sizes(Sizes(message=4 * MAX_INFLATED + 1), objects=True)
