"""Session items and pages from what DynamoDB returned, checked field by field. No I/O."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

from . import layout
from . import messages as codec
from .errors import CorruptSessionError
from .keys import GENERATIONS, PAGE_NUMBERS, RESERVED_PREFIX
from .layout import CommunityItem, Intent, Names, Page, SessionItem
from .values import AttributeValue, Item, from_attribute

LAST_SECOND = 253_402_300_799  # of the year 9999, where datetime ends
LAST_MICROSECOND = LAST_SECOND * 1_000_000
COUNTS = 1 << 53  # more than there can be of anything counted or versioned here
MAX_PAGE_MESSAGES = 1 << 20


def corrupt(where: str, attribute: str | None, reason: str) -> CorruptSessionError:
    """The error for something stored that cannot be read."""
    part = f"attribute {attribute!r} of " if attribute else ""
    advice = 'see "Damaged items" in docs/operation.md'
    return CorruptSessionError(f"{part}item {where}: {reason} ({advice})", item=where, attribute=attribute)


def is_community(raw: Item) -> bool:
    """Whether an item is the incumbent's. One of ours has both; where one is missing, it is damaged."""
    return layout.VERSION not in raw and layout.GENERATION not in raw


def parse_item(raw: Item, names: Names, where: str, key_names: Collection[str] = ()) -> SessionItem | CommunityItem:
    """The typed value of a session item; raises `CorruptSessionError` naming the attribute that is wrong."""
    fields = _Fields(raw, where)
    own = own_of(raw, names, key_names)
    if layout.CUT in raw:
        raise corrupt(where, layout.CUT, "this is a page of a session, not a session")
    expires = fields.expires(names)
    if is_community(raw):
        history = raw.get(names.history, {"L": []})
        if not isinstance(history.get("L"), list):
            raise corrupt(where, names.history, "not a list of messages")
        return CommunityItem(history, names.history in raw, fields.ops(layout.TAIL_OPS), fields.intent(), expires, own)
    numbers, times = range(PAGE_NUMBERS), range(LAST_MICROSECOND + 1)
    first_page = fields.integer(layout.FIRST_PAGE, 0, numbers)
    item = SessionItem(
        version=fields.integer(layout.VERSION, within=range(1, 2 * GENERATIONS)),
        generation=fields.integer(layout.GENERATION, within=range(1, GENERATIONS)),
        created=fields.integer(layout.CREATED, 0, times),
        updated=fields.integer(layout.UPDATED, 0, times),
        pages=fields.integer(layout.PAGES, within=numbers),
        first_page=first_page,
        floor=fields.integer(layout.FLOOR, first_page, numbers),
        reach=fields.integer(layout.REACH, -1, range(-1, PAGE_NUMBERS)),
        page_version=fields.integer(layout.PAGE_VERSION, 0, range(2 * GENERATIONS)),
        count=fields.integer(layout.COUNT),
        trimmed=fields.integer(layout.TRIMMED, 0),
        tail_start=fields.integer(layout.TAIL_START, 0),
        tail_bytes=fields.integer(layout.TAIL_BYTES),
        tail=fields.entries(names.history),
        tail_ops=fields.ops(layout.TAIL_OPS),
        page_ops=fields.ops(layout.PAGE_OPS),
        intent=fields.intent(),
        change=fields.binary(layout.CHANGE) if layout.CHANGE in raw else None,
        expires=expires,
        pages_expire=fields.integer(layout.PAGES_EXPIRE, 0, range(LAST_SECOND + 1)),
        metadata=fields.metadata(),
        own=own,
    )
    _check_item(item, where)
    return item


def _check_item(item: SessionItem, where: str) -> None:
    """Refuse numbers that no write leaves behind: acting on them would lose messages, or never end."""
    if not item.created and (item.intent is None or item.count):
        raise corrupt(where, layout.CREATED, "missing, and the session is not about to be created")
    if not (max(item.generation, item.page_version) <= item.version):
        raise corrupt(where, layout.VERSION, "older than what was written at it")
    paged = item.first_page < item.pages
    if not (
        0 <= item.floor <= item.first_page <= item.pages
        and 0 <= item.trimmed <= item.tail_start <= item.count
        and paged == (item.trimmed < item.tail_start)
        and item.reach - item.pages < layout.MAX_LEFT_PAGES
    ):
        raise corrupt(where, None, "its page and message numbers contradict each other")


def own_of(raw: Item, names: Names, key_names: Collection[str]) -> Item:
    """The attributes that are neither the key nor ours."""
    taken = {*names, *key_names}
    return {n: value for n, value in raw.items() if n not in taken and not n.startswith(RESERVED_PREFIX)}


class Heading(NamedTuple):
    """What the session item says without its messages; version and count of an item of the incumbent are unknown."""

    version: int | None = None
    message_count: int | None = None
    created: int | None = None
    updated: int | None = None
    expires: int | None = None
    metadata: AttributeValue | None = None


def parse_heading(raw: Item, names: Names, where: str) -> Heading:
    """The typed value of a part of a session item; raises `CorruptSessionError`."""
    fields = _Fields(raw, where)
    expires = fields.expires(names)
    if is_community(raw):
        return Heading(expires=expires)
    times = range(LAST_MICROSECOND + 1)
    return Heading(
        version=fields.integer(layout.VERSION),
        message_count=fields.integer(layout.COUNT) - fields.integer(layout.TRIMMED, 0),
        created=fields.integer(layout.CREATED, within=times),
        updated=fields.integer(layout.UPDATED, within=times),
        expires=expires,
        metadata=fields.metadata(),
    )


def parse_page(raw: Item, names: Names, where: str, page_number: int) -> Page:
    """The typed value of a page; raises `CorruptSessionError`."""
    fields = _Fields(raw, where)
    page = Page(
        number=page_number,
        cut=fields.integer(layout.CUT, within=range(1, 2 * GENERATIONS)),
        previous=fields.integer(layout.PREVIOUS, within=range(2 * GENERATIONS)),
        token=fields.binary(layout.TOKEN),
        first=fields.integer(layout.FIRST),
        messages=fields.integer(layout.MESSAGES, within=range(MAX_PAGE_MESSAGES + 1)),
        data=fields.binary(layout.DATA),
        parts=fields.integer(layout.PARTS, 1),
        ops=fields.ops(layout.OPS),
        expires=fields.integer(names.ttl, None, range(-LAST_SECOND, LAST_SECOND + 1)),
    )
    if not 1 <= page.parts <= page_number + 1:
        raise corrupt(where, None, "its numbers contradict each other")
    return page


_REQUIRED: Any = object()


class _Fields:
    """Checked access to the attributes of one item."""

    def __init__(self, raw: Item, where: str) -> None:
        self.raw = raw
        self.where = where

    def integer(self, name: str, default: Any = _REQUIRED, within: range = range(COUNTS)) -> Any:
        value = self.raw.get(name)
        if value is None and default is not _REQUIRED:
            return default
        try:
            number = int(value["N"])  # type: ignore[index]  # anything wrong with it is reported below
        except (TypeError, KeyError, ValueError):
            raise corrupt(self.where, name, "missing or not a whole number") from None
        if number not in within:
            raise corrupt(self.where, name, f"not within {within.start} and {within.stop - 1}")
        return number

    def expires(self, names: Names) -> Any:
        return self.integer(names.ttl, None, range(-LAST_SECOND, LAST_SECOND + 1))

    def binary(self, name: str) -> bytes:
        value = self.raw.get(name, {}).get("B")
        if not isinstance(value, bytes):
            raise corrupt(self.where, name, "missing or not binary")
        return value

    def ops(self, name: str) -> frozenset[bytes]:
        if name not in self.raw:
            return frozenset()
        value = self.raw[name].get("BS")
        if not isinstance(value, list):
            raise corrupt(self.where, name, "not a binary set")
        return frozenset(value)

    def entries(self, name: str) -> tuple[bytes, ...]:
        """Tail entries; text (one line) and native maps of others are brought to our form.

        One that cannot be is empty, which no reader can decode either: the reader reports it, or skips it.
        """
        value = self.raw.get(name, {}).get("L")
        if not isinstance(value, list):
            raise corrupt(self.where, name, "missing or not a list")
        return tuple(entry["B"] if "B" in entry else _foreign(entry) for entry in value)

    def intent(self) -> Intent | None:
        if layout.INTENT not in self.raw:
            return None
        try:
            stored = self.raw[layout.INTENT]["M"]
            numbers = {name: int(stored[name]["N"]) for name in ("generation", "first", "last", "lease")}
            intent = Intent(op=stored["op"]["B"], kind=stored["kind"]["S"], **numbers)
        except (KeyError, TypeError, ValueError):
            raise corrupt(self.where, layout.INTENT, "not an intent") from None
        # Those of a delete are all pages there are; they are not taken from here.
        pages = 0 if intent.kind == "delete" else intent.last + 1 - intent.first
        numbered = intent.generation in range(1, GENERATIONS) and intent.first in range(PAGE_NUMBERS)
        if not numbered or not 0 <= pages <= layout.MAX_WRITE_PAGES or intent.lease not in range(LAST_MICROSECOND + 1):
            raise corrupt(self.where, layout.INTENT, "its numbers contradict each other")
        return intent

    def metadata(self) -> AttributeValue | None:
        value = self.raw.get(layout.METADATA)
        if value is not None and not isinstance(value.get("M"), dict):
            raise corrupt(self.where, layout.METADATA, "not a map")
        return value


def _foreign(entry: AttributeValue) -> bytes:
    try:
        if "S" in entry:  # JSON, in which a line break can only stand between its words
            line = entry["S"].replace("\n", " ").encode()
            return codec.pack([line]) if line else b""
        return codec.pack([codec.encode_message(codec.from_native(from_attribute(entry)))])
    except ValueError:
        return b""
