"""Session items and pages from what DynamoDB returned, checked field by field. No I/O."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import replace
from decimal import Decimal
from typing import Any, NamedTuple

from .._dynamodb.attribute_values import AttributeValue, Item, from_attribute
from ..codec import messages as codec
from ..codec.native import from_native
from ..codec.sealing import Cipher, TamperedError
from ..errors import BlobDamagedError, CorruptSessionError, DecryptionError
from . import attribute_names as lc
from .community_item import CommunityItem
from .configured_names import Names
from .keys import GENERATIONS, PAGE_NUMBERS, RESERVED_PREFIX
from .page_items import Page, Reference
from .recognition import check_community, check_own_list, is_remnant
from .session_items import (
    GUARD,
    Edit,
    Intent,
    SessionItem,
)
from .sizes import MAX_LEFT_PAGES, MAX_WRITE_PAGES

LAST_SECOND = 253_402_300_799  # of the year 9999, where datetime ends
LAST_MICROSECOND = LAST_SECOND * 1_000_000
COUNTS = 1 << 53  # more than there can be of anything counted or versioned here
MAX_PAGE_MESSAGES = 1 << 20


_NUMBERS, _REACHES = range(PAGE_NUMBERS), range(-1, PAGE_NUMBERS)  # of pages
_VERSIONS, _SEEN, _BORN = range(1, 2 * GENERATIONS), range(2 * GENERATIONS), range(1, GENERATIONS)
_TIMES, _SECONDS, _COUNTS = range(LAST_MICROSECOND + 1), range(LAST_SECOND + 1), range(COUNTS)


def corrupt(where: object, attribute: str | None, reason: str) -> CorruptSessionError:
    """The error for something stored that cannot be read."""
    part = f"attribute {attribute!r} of " if attribute else ""
    advice = 'see "Damaged items" in docs/operation.md'
    return CorruptSessionError(f"{part}item {where}: {reason} ({advice})", item=str(where), attribute=attribute)


class LostObjectError(codec.UndecodableError):
    """The object that holds the data of a page is missing, or is another."""

    def __init__(self, bucket: str, name: str, what: str, index: int | None = None) -> None:
        super().__init__(f"object {name!r} in bucket {bucket!r} {what}", index)
        self.bucket = bucket
        self.name = name


def undecodable(where: object, attribute: str, error: codec.UndecodableError) -> CorruptSessionError:
    """The same for something that cannot be decoded.

    A `DecryptionError` where it was not encrypted with this key, a `BlobDamagedError` where its object was lost.
    """
    if isinstance(error, LostObjectError):
        told = f"attribute {attribute!r} of item {where}: {error.reason} (docs/howto/large-data.md says what to do)"
        return BlobDamagedError(told, item=str(where), attribute=attribute, bucket=error.bucket, object=error.name)
    if not isinstance(error, TamperedError):
        return corrupt(where, attribute, error.reason)
    told = f"attribute {attribute!r} of item {where}: {error.reason} (docs/howto/encryption.md says what that may mean)"
    return DecryptionError(told, item=str(where), attribute=attribute)


def parse_item(raw: Item, names: Names, where: object, key_names: Collection[str] = ()) -> SessionItem | CommunityItem:
    """The typed value of a session item; raises `CorruptSessionError` naming the attribute that is wrong.

    Raises `ForeignItemError` for the item of something else, and `ItemFormatError` where the history has another name.
    """
    fields = _Fields(raw, where)
    own = own_of(raw, names, key_names)
    if lc.CUT in raw:
        raise corrupt(where, lc.CUT, "this is a page of a session, not a session")
    expires = fields.expires(names)
    if is_community(raw):
        _refuse_remnant(raw, where)
        check_community(raw, own, names, where)
        history = raw.get(names.history, {"L": []})
        return CommunityItem(history, names.history in raw, fields.ops(lc.TAIL_OPS), fields.intent(), expires, own)
    if "L" not in raw.get(names.history, {}):
        check_own_list(own, names, where)
    first_page = fields.integer(lc.FIRST_PAGE, 0, _NUMBERS)
    reused = fields.integer(lc.REUSED, 0, _NUMBERS)
    item = SessionItem(
        version=fields.integer(lc.VERSION, within=_VERSIONS),
        generation=fields.integer(lc.GENERATION, within=_BORN),
        created=fields.integer(lc.CREATED, 0, _TIMES),
        updated=fields.integer(lc.UPDATED, 0, _TIMES),
        pages=fields.integer(lc.PAGES, within=_NUMBERS) - reused,
        first_page=first_page,
        floor=fields.integer(lc.FLOOR, first_page, _NUMBERS),
        reach=fields.integer(lc.REACH, -1, _REACHES),
        reused=reused,
        ceiling=fields.integer(lc.CEILING, 0, _NUMBERS),
        page_version=fields.integer(lc.PAGE_VERSION, 0, _SEEN),
        count=fields.integer(lc.COUNT),
        trimmed=fields.integer(lc.TRIMMED, 0),
        removed=fields.integer(lc.REMOVED, 0),
        tail_start=fields.integer(lc.TAIL_START, 0),
        tail_bytes=fields.integer(lc.TAIL_BYTES),
        tail=fields.entries(names.history),
        tail_ops=fields.ops(lc.TAIL_OPS),
        page_ops=fields.ops(lc.PAGE_OPS),
        intent=fields.intent(),
        change=fields.binary(lc.CHANGE) if lc.CHANGE in raw else None,
        edited=fields.integer(lc.EDITED, 0, _SEEN),
        edited_page=fields.integer(lc.EDITED_PAGE, 0, _NUMBERS),
        edited_before=fields.integer(lc.EDITED_BEFORE, 0, _SEEN),
        edit=fields.edit(),
        expires=expires,
        pages_expire=fields.integer(lc.PAGES_EXPIRE, 0, _SECONDS),
        metadata=fields.metadata(),
        cipher=fields.cipher(),
        bucket=fields.bucket(),
        home=fields.home(),
        own=own,
        others=fields.others(names.history),
        listed=len(raw[names.history]["L"]),
    )
    _check_item(item, where)
    return item


def _refuse_remnant(raw: Item, where: object) -> None:
    if is_remnant(raw):
        raise corrupt(where, lc.VERSION, "missing, and the generation too")


def _check_item(item: SessionItem, where: object) -> None:
    """Refuse numbers that no write leaves behind: acting on them would lose messages, or never end."""
    if not item.created and (item.intent is None or item.count):
        raise corrupt(where, lc.CREATED, "missing, and the session is not about to be created")
    if not (max(item.generation, item.page_version, item.edited) <= item.version):
        raise corrupt(where, lc.VERSION, "older than what was written at it")
    paged = item.first_page < item.pages
    if not (
        0 <= item.floor <= item.first_page <= item.pages
        and 0 <= item.trimmed <= item.tail_start <= item.count + item.removed
        and item.removed <= item.tail_start - item.trimmed
        and paged == (item.trimmed < item.tail_start)
        and (item.edit is None or item.first_page <= item.edited_page < item.pages)
        and max(item.reach, item.ceiling) - item.pages < MAX_LEFT_PAGES
    ):
        raise corrupt(where, None, "its page and message numbers contradict each other")


def own_of(raw: Item, names: Names, key_names: Collection[str]) -> Item:
    """The attributes that are neither the key nor ours."""
    taken = {*names, *key_names}
    return {n: value for n, value in raw.items() if n not in taken and not n.startswith(RESERVED_PREFIX)}


class Heading(NamedTuple):
    """What the session item says without its messages; one of langchain_community tells no version and no count."""

    version: int | None = None
    message_count: int | None = None
    created: int | None = None
    updated: int | None = None
    expires: int | None = None
    metadata: AttributeValue | None = None
    cipher: Cipher | None = None


def parse_heading(raw: Item, names: Names, where: object) -> Heading:
    """The typed value of a part of a session item; raises `CorruptSessionError`."""
    fields = _Fields(raw, where)
    expires = fields.expires(names)
    if is_community(raw):
        _refuse_remnant(raw, where)
        return Heading(expires=expires)
    return Heading(
        version=fields.integer(lc.VERSION),
        message_count=fields.integer(lc.COUNT) - fields.integer(lc.TRIMMED, 0),
        created=fields.integer(lc.CREATED, within=_TIMES),
        updated=fields.integer(lc.UPDATED, within=_TIMES),
        expires=expires,
        metadata=fields.metadata(),
        cipher=fields.cipher(),
    )


def parse_page(raw: Item, names: Names, where: object, page_number: int) -> Page:
    """The typed value of a page; raises `CorruptSessionError`."""
    page = parse_chained(raw)
    if page is None or page.number != page_number:
        raise corrupt(where, lc.CHAIN, "not the numbers of this page")
    fields = _Fields(raw, where)
    if fields.integer(lc.CUT) != page.cut:
        raise corrupt(where, lc.CUT, f"not that of {lc.CHAIN}")
    token, ops = fields.binary(lc.TOKEN), fields.ops(lc.OPS)
    return replace(page, token=token, ops=ops, expires=fields.expires(names))


def parse_chained(raw: Item) -> Page | None:
    """A page from what reading fetches of it; None where it is damaged."""
    try:
        page_number, cut, previous, first, messages, parts, *edit = map(int, raw[lc.CHAIN]["S"].split(" "))
        edited, removed = edit or (0, 0)
        stored = raw[lc.DATA]
        reference = Reference.parse(stored["S"]) if "S" in stored else None
        data = stored["B"] if reference is None else b""
    except (KeyError, TypeError, ValueError):
        return None
    within = 0 <= first < COUNTS and 0 <= messages <= MAX_PAGE_MESSAGES and 1 <= parts <= page_number + 1
    within = within and 0 <= removed <= MAX_PAGE_MESSAGES and 0 <= edited < 2 * GENERATIONS
    if not (within and 0 < cut < 2 * GENERATIONS and 0 <= previous < 2 * GENERATIONS and page_number < PAGE_NUMBERS):
        return None
    numbers = (page_number, cut, previous, b"", first, messages, data, parts)
    return Page(*numbers, edited=edited, removed=removed, reference=reference)


def parse_cut(raw: Item, where: object) -> int:
    """The version at which a page was cut, whatever the rest of it; raises `CorruptSessionError`."""
    cut: int = _Fields(raw, where).integer(lc.CUT, within=_VERSIONS)
    return cut


_REQUIRED: Any = object()


class _Fields:
    """Checked access to the attributes of one item."""

    def __init__(self, raw: Item, where: object) -> None:
        self.raw = raw
        self.where = where

    def integer(self, name: str, default: Any = _REQUIRED, within: range = _COUNTS) -> Any:
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

    def expires(self, names: Names) -> int | None:
        """The TTL stamp, rounded up as conditions compare it; None for what DynamoDB never expires.

        That is text and other types, what is not positive, and times after the year 9999 (milliseconds, for example).
        """
        try:
            seconds = math.ceil(Decimal(self.raw[names.ttl]["N"]))
        except (KeyError, ArithmeticError):
            return None
        return seconds if 0 < seconds <= LAST_SECOND else None

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
        """Tail entries but the guard; text (one line) and native maps of others are brought to our form.

        One that cannot be is empty, which no reader can decode either: the reader reports it, or skips it.
        """
        value = self.raw.get(name, {}).get("L")
        if not isinstance(value, list):
            raise corrupt(self.where, name, "missing or not a list")
        entries = (entry["B"] if "B" in entry else _foreign(entry) for entry in value)
        return tuple(entry for entry in entries if entry != GUARD)

    def others(self, name: str) -> AttributeValue | None:
        """The list, where not all of it is ours: what sets it anew must find it as it was seen."""
        value = self.raw[name]
        return None if all("B" in entry for entry in value["L"]) else value

    def intent(self) -> Intent | None:
        if lc.INTENT not in self.raw:
            return None
        try:
            stored = self.raw[lc.INTENT]["M"]
            numbers = {name: int(stored[name]["N"]) for name in ("generation", "first", "last", "lease")}
            intent = Intent(op=stored["op"]["B"], kind=stored["kind"]["S"], **numbers)
        except (KeyError, TypeError, ValueError):
            raise corrupt(self.where, lc.INTENT, "not an intent") from None
        # Those of a delete are all pages there are; they are not taken from here.
        pages = 0 if intent.kind == "delete" else intent.last + 1 - intent.first
        numbered = intent.generation in range(1, GENERATIONS) and intent.first in range(PAGE_NUMBERS)
        if not numbered or not 0 <= pages <= MAX_WRITE_PAGES or intent.lease not in range(LAST_MICROSECOND + 1):
            raise corrupt(self.where, lc.INTENT, "its numbers contradict each other")
        return intent

    def edit(self) -> Edit | None:
        if lc.EDIT not in self.raw:
            return None
        try:
            stored = self.raw[lc.EDIT]["M"]
            edit = Edit(int(stored["position"]["N"]), stored.get("data", {"B": None})["B"])
        except (KeyError, TypeError, ValueError):
            raise corrupt(self.where, lc.EDIT, "not an edit") from None
        if edit.position not in range(MAX_PAGE_MESSAGES) or not isinstance(edit.data, bytes | None):
            raise corrupt(self.where, lc.EDIT, "not an edit")
        return edit

    def metadata(self) -> AttributeValue | None:
        value = self.raw.get(lc.METADATA)
        if value is not None and not isinstance(value.get("M"), dict) and not (lc.KEY in self.raw and "B" in value):
            raise corrupt(self.where, lc.METADATA, "not a map")
        return value

    def bucket(self) -> str | None:
        if lc.BUCKET not in self.raw:
            return None
        value = self.raw[lc.BUCKET].get("S")
        if not isinstance(value, str):
            raise corrupt(self.where, lc.BUCKET, "not a text")
        return value

    def home(self) -> str | None:
        if lc.HOME not in self.raw:
            return None
        home = self.raw[lc.HOME].get("S")
        if not isinstance(home, str):
            raise corrupt(self.where, lc.HOME, "not a text")
        return home

    def cipher(self) -> Cipher | None:
        return Cipher(self.binary(lc.KEY)) if lc.KEY in self.raw else None


def _foreign(entry: AttributeValue) -> bytes:
    try:
        if "S" in entry:  # JSON, in which a line break can only stand between its words
            line = entry["S"].replace("\n", " ").encode()
            return codec.pack([line]) if line else b""
        return codec.pack([codec.encode_message(from_native(from_attribute(entry, json_only=False), exact=True))])
    except ValueError:
        return b""


def is_community(raw: Item) -> bool:
    """Whether an item is not ours. Ours has both; where one is missing, it is damaged."""
    return lc.VERSION not in raw and lc.GENERATION not in raw
