"""What DynamoDB returned, checked field by field: every state comes back, and damage is told with its attribute."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from evaluation import (
    COMMUNITY,
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
    line,
    native,
    read_back,
    stored,
    stored_page,
)  # fmt: skip
from langchain_dynamodb._dynamodb.attribute_values import Item, number
from langchain_dynamodb._items.community_item import CommunityItem
from langchain_dynamodb._items.keys import GENERATIONS, PAGE_NUMBERS
from langchain_dynamodb._items.page_items import Page
from langchain_dynamodb._items.parsing import (
    COUNTS,
    LAST_MICROSECOND,
    LAST_SECOND,
    MAX_PAGE_MESSAGES,
    Heading,
    parse_chained,
    parse_cut,
    parse_heading,
    parse_item,
    parse_page,
)
from langchain_dynamodb._items.session_items import GUARD, SessionItem
from langchain_dynamodb._items.sizes import MAX_LEFT_PAGES, MAX_WRITE_PAGES
from langchain_dynamodb.codec.messages import encode_message, unpack
from langchain_dynamodb.errors import CorruptSessionError, ForeignItemError, ItemFormatError

EVERYTHING = SessionItem(
    version=1_030, generation=1_000, created=NOW - 9, updated=NOW, pages=9, first_page=4, floor=2, reach=12,
    page_version=1_025, count=30, trimmed=5, tail_start=27, tail_bytes=300, tail=TAIL, tail_ops=frozenset([b"a", b"b"]),
    page_ops=frozenset([b"c"]), intent=INTENT, change=OTHER, expires=SECOND + 9, pages_expire=SECOND + 99,
    metadata={"M": {"title": {"S": "t"}}}, own={"user": {"S": "u"}}, listed=2,
)  # fmt: skip


def parsed(item: Item) -> SessionItem | CommunityItem:
    """The typed value of an item."""
    return parse_item(item, NAMES, "the item", ("SessionId",))


def with_(item: Item, **changes: Any) -> Item:
    """The item with other attributes; None removes one."""
    return {name: value for name, value in {**item, **changes}.items() if value is not None}


def told(item: Item) -> str | None:
    """The attribute that is said to be wrong."""
    with pytest.raises(CorruptSessionError) as caught:
        parsed(item)
    assert caught.value.item == "the item"
    return caught.value.attribute


# --- What was stored comes back ---


@pytest.mark.parametrize(
    "item",
    [
        SESSION,
        LEASED,
        EVERYTHING,
        replace(EVERYTHING, floor=4),
        SessionItem(version=1, generation=1, created=1),
        COMMUNITY,
        replace(COMMUNITY, ops=frozenset([OTHER]), intent=INTENT, expires=SECOND),
        CommunityItem({"L": []}),
        CommunityItem({"L": []}, has_history=False, expires=SECOND),
    ],
)
def test_every_state_comes_back(item: SessionItem | CommunityItem) -> None:
    """Whatever of it is stored."""
    assert parsed(stored(item)) == item


def test_what_tells_nothing_of_the_state_comes_back_too() -> None:
    """The user's own attributes, and how many entries the list has."""
    item = parsed(stored(EVERYTHING))
    assert isinstance(item, SessionItem)
    assert (item.own, item.listed, item.others) == ({"user": {"S": "u"}}, 2, None)


@pytest.mark.parametrize("kind", ["append", "rewrite", "convert", "lease", "delete"])
def test_every_intent_comes_back(kind: str) -> None:
    """With the end of its lease, which does not tell two of them apart."""
    item = read_back(stored(replace(LEASED, intent=replace(INTENT, kind=kind))))
    assert item.intent is not None
    assert item.intent.attribute() == replace(INTENT, kind=kind).attribute()


def test_the_guard_is_no_entry() -> None:
    """A tail without entries comes back as such."""
    item = parsed(stored(replace(SESSION, tail=())))
    assert isinstance(item, SessionItem)
    assert (item.tail, item.listed) == ((), 1)


# --- Entries of others ---


def entries(*values: Any) -> SessionItem:
    """SESSION with that list."""
    item = parsed(with_(stored(SESSION), History={"L": list(values)}))
    assert isinstance(item, SessionItem)
    return item


@pytest.mark.parametrize(
    ("entry", "lines"),
    [
        ({"S": line("x").decode()}, [line("x")]),
        ({"S": '{"type":"human",\n"content":"x"}'}, [b'{"type":"human", "content":"x"}']),
        (native("x"), [encode_message(HumanMessage("x"))]),
    ],
)
def test_messages_of_others_are_brought_to_our_form(entry: Any, lines: list[bytes]) -> None:
    """JSON text as it is, in one line; a map of langchain_community as the message that it is."""
    item = entries({"B": TAIL[0]}, entry)
    assert (item.tail[0], unpack(item.tail[1], 1_000)) == (TAIL[0], lines)


@pytest.mark.parametrize("entry", [{"S": ""}, {"N": "1"}, {"NULL": True}, {"M": {}}, {"M": {"a": {"B": b"x"}}}])
def test_an_entry_that_is_no_message_is_empty(entry: Any) -> None:
    """No reader can decode that either: it reports it, or skips it."""
    assert entries({"B": TAIL[0]}, entry).tail == (TAIL[0], b"")


def test_the_list_of_others_is_kept_as_it_is() -> None:
    """Whoever sets it must find it as it was seen."""
    item = entries({"B": TAIL[0]}, native("x"))
    assert (item.others, item.listed) == ({"L": [{"B": TAIL[0]}, native("x")]}, 2)


def test_an_entry_beside_the_guard() -> None:
    """The guard is none, the other is."""
    item = entries({"B": GUARD}, native("x"))
    assert (len(item.tail), item.listed) == (1, 2)


# --- Attributes of the user's ---


def test_what_is_neither_the_key_nor_ours_is_the_users() -> None:
    """Whatever its type."""
    own = {"user": {"S": "u"}, "lc": {"N": "1"}, "ttl": {"N": "5"}}
    assert parsed({**stored(replace(SESSION, expires=SECOND)), **own}).own == own


def test_the_users_of_items_of_langchain_community() -> None:
    """The same."""
    assert parsed({**stored(COMMUNITY), "user": {"S": "u"}}).own == {"user": {"S": "u"}}


# --- Stamps ---

STAMPS = [
    ({"N": str(SECOND)}, SECOND),
    ({"N": f"{SECOND}.000001"}, SECOND + 1),
    ({"N": "1.8E+9"}, SECOND),
    ({"N": "1"}, 1),
    ({"N": "0"}, None),
    ({"N": "-5"}, None),
    ({"N": str(LAST_SECOND)}, LAST_SECOND),
    ({"N": str(LAST_SECOND + 1)}, None),
    ({"N": str(NOW // 1000)}, None),
    ({"N": "9.99E+125"}, None),
    ({"S": str(SECOND)}, None),
    ({"NULL": True}, None),
    ({"L": []}, None),
    ({"N": "x"}, None),
]


@pytest.mark.parametrize(("stamp", "expires"), STAMPS)
@pytest.mark.parametrize("item", [SESSION, COMMUNITY])
def test_a_stamp_is_read_as_dynamodb_reads_it(item: Any, stamp: Any, expires: int | None) -> None:
    """Seconds, a fraction counts as the next; no other type, and no time that is none between 1970 and 9999."""
    assert parsed(with_(stored(item), expireAt=stamp)).expires == expires


@pytest.mark.parametrize(("stamp", "expires"), STAMPS)
def test_stamps_of_pages_and_headings(stamp: Any, expires: int | None) -> None:
    """The same."""
    assert parse_page(with_(stored_page(PAGE), expireAt=stamp), NAMES, "p", 3).expires == expires
    assert parse_heading(with_(stored(SESSION), expireAt=stamp), NAMES, "s").expires == expires


# --- Damage ---

NO_NUMBERS: list[Any] = [{"S": "1"}, {"N": "1.5"}, {"N": "x"}, {"N": ""}, {"NULL": True}, {}]
REQUIRED = ["lc_version", "lc_generation", "lc_pages", "lc_count", "lc_tail_bytes"]
MAY_LACK = [
    "lc_updated",
    "lc_first_page",
    "lc_floor",
    "lc_reach",
    "lc_page_version",
    "lc_tail_start",
    "lc_pages_expire",
]


@pytest.mark.parametrize("name", [*REQUIRED, *MAY_LACK, "lc_trimmed", "lc_pages_expire"])
@pytest.mark.parametrize("value", NO_NUMBERS, ids=str)
def test_what_is_no_whole_number(name: str, value: Any) -> None:
    """It is named."""
    assert told(with_(stored(EVERYTHING), **{name: value})) == name


@pytest.mark.parametrize("name", REQUIRED)
def test_what_is_always_there(name: str) -> None:
    """An item without it is damaged."""
    assert told(with_(stored(EVERYTHING), **{name: None})) == name


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [
        ("lc_version", 1_015, 2 * GENERATIONS - 1),
        ("lc_generation", 1, 1_020),
        ("lc_created", 1, LAST_MICROSECOND),
        ("lc_updated", 0, LAST_MICROSECOND),
        ("lc_pages", 1, PAGE_NUMBERS - 1),
        ("lc_first_page", 0, 3),
        ("lc_floor", 0, 0),
        ("lc_reach", -1, SESSION.pages + MAX_LEFT_PAGES - 1),
        ("lc_page_version", 0, 1_020),
        ("lc_count", 7, COUNTS - 1),
        ("lc_trimmed", 0, 6),
        ("lc_tail_start", 1, 10),
        ("lc_tail_bytes", 0, COUNTS - 1),
        ("lc_pages_expire", 0, LAST_SECOND),
    ],
)
def test_numbers_have_bounds(name: str, least: int, most: int) -> None:
    """Of their own, and those that they set each other: acting on others would lose messages, or never end."""
    item = stored(SESSION)
    for value in (least, most):
        parsed({**item, name: number(value)})
    for value in (least - 1, most + 1):
        assert told({**item, name: number(value)}) in (name, "lc_version", None)


@pytest.mark.parametrize("name", ["lc_version", "lc_generation"])
def test_half_of_what_makes_it_ours(name: str) -> None:
    """Such an item is damaged, and nobody else's."""
    assert told(with_(stored(SESSION), **{name: None})) == name


def test_neither_version_nor_generation() -> None:
    """What else is there of ours tells that it was a session."""
    assert told(with_(stored(SESSION), lc_version=None, lc_generation=None)) == "lc_version"


@pytest.mark.parametrize(
    "changes",
    [
        {"first_page": 5},
        {"first_page": 5, "trimmed": 7},
        {"first_page": 2, "trimmed": 3, "floor": 3},
        {"trimmed": 8, "first_page": 1},
        {"trimmed": 7, "first_page": 3},
        {"trimmed": 3, "first_page": 4},
        {"tail_start": 11},
        {"pages": 0},
        {"tail_start": 0},
        {"reach": SESSION.pages + MAX_LEFT_PAGES},
    ],
)
def test_numbers_that_contradict_each_other(changes: dict[str, int]) -> None:
    """No attribute is named: any of them may be the wrong one."""
    assert told(stored(replace(SESSION, **changes))) is None


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"created": 0}, "lc_created"),
        ({"created": 0, "pages": 0, "tail_start": 0, "count": 0, "page_version": 0, "tail": ()}, "lc_created"),
        ({"created": 0, "intent": INTENT, "pages": 0, "tail_start": 0}, "lc_created"),
        ({"version": 999}, "lc_version"),
        ({"page_version": 1_021}, "lc_version"),
    ],
)
def test_what_no_write_leaves_behind(changes: dict[str, Any], name: str) -> None:
    """A session that is not born and has messages, or is older than what was written at it."""
    assert told(stored(replace(SESSION, **changes))) == name


@pytest.mark.parametrize("name", ["lc_tail_ops", "lc_page_ops"])
@pytest.mark.parametrize("value", [{"SS": ["a"]}, {"L": []}, {"B": b"a"}])
def test_what_is_no_set_of_ids(name: str, value: Any) -> None:
    """It is named."""
    assert told(with_(stored(SESSION), **{name: value})) == name


@pytest.mark.parametrize(
    ("name", "value"), [("lc_change", {"S": "x"}), ("lc_metadata", {"S": "x"}), ("lc_metadata", {"L": []})]
)
def test_what_is_of_another_type(name: str, value: Any) -> None:
    """The same."""
    assert told(with_(stored(SESSION), **{name: value})) == name


@pytest.mark.parametrize("value", [{"S": "x"}, {"M": {}}, None])
def test_a_history_that_is_no_list(value: Any) -> None:
    """Or is not there."""
    assert told(with_(stored(SESSION), History=value)) == "History"


INTENT_FIELDS = INTENT.attribute()["M"]


@pytest.mark.parametrize(
    "value",
    [
        {"S": "x"},
        {"M": {}},
        *({"M": with_(INTENT_FIELDS, **{name: None})} for name in INTENT_FIELDS),
        *({"M": with_(INTENT_FIELDS, **{name: {"N": "x"}})} for name in INTENT_FIELDS),
        {"M": None},
    ],
)
def test_what_is_no_intent(value: Any) -> None:
    """One of its fields is not there, or of another type."""
    assert told(with_(stored(LEASED), lc_intent=value)) == "lc_intent"


@pytest.mark.parametrize(
    ("changes", "readable"),
    [
        ({"first": 0, "last": MAX_WRITE_PAGES - 1}, True),
        ({"first": 0, "last": MAX_WRITE_PAGES}, False),
        ({"first": 6, "last": 5}, True),
        ({"first": 6, "last": 4}, False),
        ({"first": -1}, False),
        ({"first": PAGE_NUMBERS, "last": PAGE_NUMBERS}, False),
        ({"generation": 0}, False),
        ({"generation": GENERATIONS}, False),
        ({"lease": LAST_MICROSECOND}, True),
        ({"lease": LAST_MICROSECOND + 1}, False),
        ({"lease": -1}, False),
        ({"kind": "delete", "first": 0, "last": PAGE_NUMBERS - 1}, True),
    ],
)
def test_the_numbers_of_an_intent_have_bounds(changes: dict[str, Any], readable: bool) -> None:
    """Whoever takes it back removes its pages, so there must be an end to them; a delete's are those there are."""
    item = stored(replace(SESSION, intent=replace(INTENT, **changes)))
    if readable:
        parsed(item)
    else:
        assert told(item) == "lc_intent"


def test_damage_is_told_without_content() -> None:
    """But with where to read what to do."""
    with pytest.raises(CorruptSessionError) as caught:
        parsed(with_(stored(SESSION), lc_count={"S": "hush"}))
    assert ("docs/operation.md" in str(caught.value), "hush" in str(caught.value)) == (True, False)


# --- Other items ---


def test_a_page_is_no_session() -> None:
    """Somebody named a session by its key."""
    assert told(stored_page(PAGE)) == "lc_cut"


def test_an_item_of_something_else() -> None:
    """It is told, and left alone."""
    with pytest.raises(ForeignItemError):
        parsed({**KEY.item, "name": {"S": "x"}})


def test_a_history_of_another_name() -> None:
    """Of ours, and of langchain_community."""
    for item in (SESSION, COMMUNITY):
        raw = stored(item)
        with pytest.raises(ItemFormatError, match="'Chat'"):
            parsed({**with_(raw, History=None), "Chat": raw["History"]})


def test_nothing_but_a_key() -> None:
    """There is no session, and one can begin."""
    item = parsed(KEY.item)
    assert (isinstance(item, CommunityItem), item.version) == (True, 0)


# --- Headings ---


def test_a_heading_says_what_the_item_says() -> None:
    """Without the tail; trimmed messages do not count."""
    names = ("lc_version", "lc_count", "lc_trimmed", "lc_created", "lc_updated", "lc_metadata", "expireAt")
    part = {name: value for name, value in stored(EVERYTHING).items() if name in names}
    assert parse_heading(part, NAMES, "s") == Heading(1_030, 25, NOW - 9, NOW, SECOND + 9, {"M": {"title": {"S": "t"}}})


def test_a_heading_of_langchain_community() -> None:
    """It tells its expiry, and no version and no count without its messages."""
    assert parse_heading(stored(replace(COMMUNITY, expires=SECOND)), NAMES, "s") == Heading(expires=SECOND)


@pytest.mark.parametrize("name", ["lc_version", "lc_count", "lc_created", "lc_updated"])
@pytest.mark.parametrize("value", [None, {"S": "x"}, {"N": "-1"}])
def test_a_heading_that_is_damaged(name: str, value: Any) -> None:
    """The attribute is named."""
    with pytest.raises(CorruptSessionError) as caught:
        parse_heading(with_(stored(SESSION), **{name: value}), NAMES, "s")
    assert caught.value.attribute == name


@pytest.mark.parametrize("name", ["lc_created", "lc_updated"])
def test_times_of_a_heading_have_an_end(name: str) -> None:
    """No date is later."""
    parse_heading(with_(stored(SESSION), **{name: number(LAST_MICROSECOND)}), NAMES, "s")
    with pytest.raises(CorruptSessionError, match=name):
        parse_heading(with_(stored(SESSION), **{name: number(LAST_MICROSECOND + 1)}), NAMES, "s")


def test_a_heading_of_a_remnant() -> None:
    """It was a session of ours."""
    with pytest.raises(CorruptSessionError, match="lc_version"):
        parse_heading(with_(stored(SESSION), lc_version=None, lc_generation=None), NAMES, "s")


# --- Pages ---


@pytest.mark.parametrize(
    "page", [PAGE, replace(PAGE, parts=4, messages=1, ops=frozenset([b"a", b"b"]), expires=SECOND, previous=0)]
)
def test_a_page_comes_back(page: Page) -> None:
    """Whatever of it is stored; and what reading needs, from what reading fetches."""
    assert parse_page(stored_page(page), NAMES, "p", page.number) == page
    fetched = {name: stored_page(page)[name] for name in ("lc_chain", "lc_data")}
    assert parse_chained(fetched) == replace(page, token=b"", ops=frozenset(), expires=None)


def told_of_page(**changes: Any) -> str | None:
    """The attribute of a page that is said to be wrong."""
    with pytest.raises(CorruptSessionError) as caught:
        parse_page(with_(stored_page(PAGE), **changes), NAMES, "p", PAGE.number)
    return caught.value.attribute


@pytest.mark.parametrize("value", [None, *NO_NUMBERS, {"N": "-1"}, number(PAGE.cut + 1)], ids=str)
def test_the_cut_of_a_page_is_stored_twice(value: Any) -> None:
    """For conditions, and for readers: they agree."""
    assert told_of_page(lc_cut=value) == "lc_cut"


@pytest.mark.parametrize("name", ["lc_token", "lc_data"])
@pytest.mark.parametrize("value", [None, {"S": "x"}, {}])
def test_bytes_of_a_page(name: str, value: Any) -> None:
    """The same."""
    assert told_of_page(**{name: value}) in (name, "lc_chain")


@pytest.mark.parametrize(
    "text", [None, "", "x", "3 1010 1002 5 2", "3 1010 1002 5 2 1 1", "3 1010 1002 5 2 ", "3 1010 1002 5 2 1.0"]
)
def test_six_numbers_of_a_page(text: str | None) -> None:
    """All must be there."""
    assert told_of_page(lc_chain=None if text is None else {"S": text}) == "lc_chain"
    assert told_of_page(lc_chain={"N": "3"}) == "lc_chain"


def test_the_numbers_of_another_page() -> None:
    """Its number is one of them."""
    with pytest.raises(CorruptSessionError, match="lc_chain"):
        parse_page(stored_page(PAGE), NAMES, "p", PAGE.number + 1)


@pytest.mark.parametrize(
    ("index", "least", "most"),
    [
        (1, 1, 2 * GENERATIONS - 1),
        (2, 0, 2 * GENERATIONS - 1),
        (3, 0, COUNTS - 1),
        (4, 0, MAX_PAGE_MESSAGES),
        (5, 1, PAGE.number + 1),
    ],
)
def test_numbers_of_a_page_have_bounds(index: int, least: int, most: int) -> None:
    """A message has no more parts than there are pages up to its last."""

    def with_number(value: int) -> Page | None:
        numbers = stored_page(PAGE)["lc_chain"]["S"].split(" ")
        numbers[index] = str(value)
        return parse_chained(with_(stored_page(PAGE), lc_chain={"S": " ".join(numbers)}))

    assert [with_number(value) is None for value in (least - 1, least, most, most + 1)] == [True, False, False, True]


def test_ids_of_a_page() -> None:
    """They need not be read, but what is read must be a set."""
    assert told_of_page(lc_ops={"L": []}) == "lc_ops"


def test_the_cut_of_a_page_whatever_the_rest_of_it() -> None:
    """So that damaged pages can be removed."""
    assert parse_cut({"lc_cut": number(7)}, "p") == 7
    with pytest.raises(CorruptSessionError, match="lc_cut"):
        parse_cut({"lc_cut": {"S": "7"}}, "p")
