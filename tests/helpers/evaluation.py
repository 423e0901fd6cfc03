"""Conditional requests, carried out in memory: what they make of an item, and where they are refused. No engine."""

from __future__ import annotations

from dataclasses import replace

from langchain_core.messages import HumanMessage

from langchain_dynamodb._dynamodb.attribute_values import Item
from langchain_dynamodb._dynamodb.expressions import Expression, Statement
from langchain_dynamodb._items.community_item import CommunityItem
from langchain_dynamodb._items.configured_names import Names
from langchain_dynamodb._items.keys import session_key
from langchain_dynamodb._items.page_items import Page
from langchain_dynamodb._items.parsing import parse_item
from langchain_dynamodb._items.session_items import Intent, SessionItem, entry_cost
from langchain_dynamodb._protocol.pages import put_page
from langchain_dynamodb.codec.messages import encode_message, pack
from simulation.engine import ConditionFailed, Engine

Request = Statement | Expression

NAMES = Names("History", "expireAt")
KEY = session_key("s", "SessionId")
SECOND = 1_800_000_000
NOW = SECOND * 1_000_000
DAY = 24 * 3600
EARLIER, LATER = b"earlier!", b"later..."  # ids of the appends that SESSION holds: in its last page, in its tail
OTHER = b"another!"


def line(text: str) -> bytes:
    """An encoded message."""
    return encode_message(HumanMessage(text))


TAIL = (pack([line("a"), line("b")]), pack([line("c")]))
SESSION = SessionItem(
    version=1_020,
    generation=1_000,
    created=NOW - 5_000_000,
    updated=NOW - 1_000_000,
    pages=4,
    page_version=1_015,
    count=10,
    tail_start=7,
    tail=TAIL,
    tail_bytes=sum(entry_cost(entry, ()) for entry in TAIL) + 2 * (len(LATER) + 1),
    tail_ops=frozenset([LATER]),
    page_ops=frozenset([EARLIER]),
)
"""A session of four pages with seven messages, and two appends with three in its tail."""
INTENT = Intent(b"intent..", "rewrite", 1_000, 6, 9, NOW + 3_000_000)
LEASED = replace(SESSION, version=1_021, intent=INTENT, reach=9)
PAGE = Page(number=3, cut=1_015, previous=1_010, token=b"token", first=5, messages=2, data=pack([line("x"), line("y")]))


def native(text: str) -> Item:
    """A message as langchain_community stores it."""
    return {"M": {"type": {"S": "human"}, "data": {"M": {"type": {"S": "human"}, "content": {"S": text}}}}}


COMMUNITY = CommunityItem({"L": [native("a"), native("b")]})


def stored(state: SessionItem | CommunityItem) -> Item:
    """The item of a state, with its key and the attributes of the user's own."""
    return {**KEY.item, **state.own, **state.attributes(NAMES)}


def stored_page(page: Page) -> Item:
    """The item of a page of SESSION."""
    return {**KEY.page(SESSION.generation, page.number), **page.attributes(NAMES)}


def read_back(item: Item | None) -> SessionItem | CommunityItem:
    """The state that an item holds."""
    assert item is not None, "the request was refused"
    return parse_item(item, NAMES, "s", tuple(KEY.item))


def updated(request: Request, before: Item | None) -> Item | None:
    """What UpdateItem makes of an item (None: of none); None where it is refused."""
    return _carried_out("update_item", {"Key": _key(before), **_parameters(request)}, before)


def put(page: Page, before: Item | None) -> Item | None:
    """What is there after a page of SESSION was put where this was; None where that is refused."""
    return _carried_out("put_item", {"Item": stored_page(page), **_parameters(put_page(page, NAMES))}, before)


def deletes(request: Request, before: Item | None) -> bool:
    """Whether DeleteItem removes the item."""
    engine = _engine(before)
    try:
        engine.apply("delete_item", {"Key": _key(before), **_parameters(request)})
    except ConditionFailed:
        return False
    return True


def _carried_out(operation: str, request: Item, before: Item | None) -> Item | None:
    engine = _engine(before)
    try:
        engine.apply(operation, request)
    except ConditionFailed:
        return None
    (item,) = engine.items.values()
    return item


def _engine(before: Item | None) -> Engine:
    engine = Engine()
    if before is not None:
        engine.write(engine.key_of(before), before)
    return engine


def _parameters(request: Request) -> Item:
    return request.parameters if isinstance(request, Statement) else request.request()


def _key(before: Item | None) -> Item:
    return KEY.item if before is None else {name: before[name] for name in KEY.item}
