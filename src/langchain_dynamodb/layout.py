"""What is stored: session items, pages and the incumbent's items, as typed values. No I/O.

docs/storage.md shows a worked example of each. All attribute names of ours start with ``lc_``; only the history and
the TTL attribute have names the user chooses.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from .errors import InvalidInputError
from .keys import RESERVED_PREFIX, SessionKey, is_utf8
from .values import AttributeValue, Item, number

VERSION = "lc_version"
GENERATION = "lc_generation"
PAGES = "lc_pages"
FIRST_PAGE = "lc_first_page"
FLOOR = "lc_floor"
REACH = "lc_reach"
PAGE_VERSION = "lc_page_version"
COUNT = "lc_count"
TRIMMED = "lc_trimmed"
TAIL_START = "lc_tail_start"
TAIL_BYTES = "lc_tail_bytes"
TAIL_OPS = "lc_tail_ops"
PAGE_OPS = "lc_page_ops"
INTENT = "lc_intent"
CHANGE = "lc_change"
CREATED = "lc_created"
UPDATED = "lc_updated"
PAGES_EXPIRE = "lc_pages_expire"
METADATA = "lc_metadata"

CUT = "lc_cut"
PREVIOUS = "lc_previous"
TOKEN = "lc_token"
FIRST = "lc_first"
MESSAGES = "lc_messages"
PARTS = "lc_parts"
OPS = "lc_ops"
DATA = "lc_data"
PAGE_ATTRIBUTES = (CUT, PREVIOUS, TOKEN, FIRST, MESSAGES, PARTS, DATA)  # what reading needs

TAIL_TOKEN = b"tail"  # of a page that holds just the tail: whoever cuts that version writes the same page
MAX_INFLATED = 1 << 26  # bytes: nothing we write inflates beyond this, so nothing read may
MAX_ITEM_DATA = 400_000  # bytes: DynamoDB's 409,600 less what a page has beside its data
# Data deflates a thousandfold at most, so such a tail stays below MAX_INFLATED.
MAX_SESSION_ITEM = 65_000  # bytes
MAX_WRITE_PAGES = 1 << 17  # pages of one write
MAX_LEFT_PAGES = 1 << 20  # page numbers that unfinished writes may have used beyond the committed ones


class Names(NamedTuple):
    """The attribute names the user chooses."""

    history: str
    ttl: str


def check_names(names: Names, primary_key_name: str) -> None:
    """Refuse attribute names that cannot be used; raises `InvalidInputError`."""
    for option, name in (("history_messages_key", names.history), ("ttl_key_name", names.ttl)):
        if not _is_name(name) or name == primary_key_name:
            raise InvalidInputError(
                f"{option}={name!r} must be a text that is not empty, does not start with 'lc_' (those attributes are "
                f"ours) and is not the key attribute {primary_key_name!r}"
            )
    if not _is_name(primary_key_name):
        raise InvalidInputError(
            f"primary_key_name={primary_key_name!r} must be a text that is not empty and does not start with 'lc_'"
        )
    if names.history == names.ttl:
        raise InvalidInputError(f"history_messages_key and ttl_key_name are both {names.ttl!r}: give them two names")


def check_sort_key_name(name: object, names: Names, primary_key_name: str) -> None:
    """Refuse a sort key that no session could have; raises `InvalidInputError`."""
    if not _is_name(name) or name in (*names, primary_key_name):
        raise InvalidInputError(
            f"sort_key_name={name!r:.80} must be a text that is not empty, does not start with 'lc_' and is neither "
            "the partition key's name nor that of the history or TTL attribute"
        )


def _is_name(name: object) -> bool:
    return isinstance(name, str) and bool(name) and is_utf8(name) and not name.startswith(RESERVED_PREFIX)


class Sizes(NamedTuple):
    """Bounds in bytes; the defaults come from the measurements in docs/storage.md.

    `session_item`: the whole session item without metadata. `page`: a page of several messages. `item`: the data of
    one page item, so that it stays under DynamoDB's 409,600. `message`: one encoded message. `metadata`: as DynamoDB
    counts it. `attributes`: those set by one call, names included.
    """

    session_item: int = 3072
    page: int = 16 << 10
    item: int = 380_000
    message: int = 16 << 20
    metadata: int = 2048
    attributes: int = 1024

    def tail(self, key: SessionKey) -> int:
        """Room for the tail's entries and the operation ids, next to this key and the session's numbers."""
        return max(self.session_item - key.size - 260, 256)


def check_sizes(sizes: object) -> Sizes:
    """Refuse sizes that cannot work; raises `InvalidInputError`."""
    if not isinstance(sizes, Sizes) or not all(type(size) is int and size > 0 for size in sizes):
        raise InvalidInputError(f"sizes={sizes!r} must be Sizes(...) of whole numbers from 1 on")
    if sizes.item > MAX_ITEM_DATA or sizes.message > MAX_INFLATED:
        raise InvalidInputError(f"{sizes!r}: item may be at most {MAX_ITEM_DATA}, message at most {MAX_INFLATED}")
    if sizes.session_item > MAX_SESSION_ITEM:
        raise InvalidInputError(f"{sizes!r}: session_item may be at most {MAX_SESSION_ITEM}: each append pays for it")
    return sizes


@dataclass(frozen=True, slots=True)
class Intent:
    """A write of several steps under way: the pages it may write, and until when others leave it alone."""

    op: bytes
    kind: str  # "append", "rewrite", "convert", "lease", "delete"
    generation: int
    first: int
    last: int
    lease: int  # microseconds since the epoch

    def attribute(self) -> AttributeValue:
        """As stored on the session item."""
        numbers = {"generation": self.generation, "first": self.first, "last": self.last, "lease": self.lease}
        return {"M": {"op": {"B": self.op}, "kind": {"S": self.kind}, **{k: number(v) for k, v in numbers.items()}}}


@dataclass(frozen=True, slots=True)
class SessionItem:
    """The session item. Page numbers grow for the whole life of a session and are never used twice.

    Pages ``first_page .. pages - 1`` are the history before the tail. Pages below `first_page` are dropped; those from
    `floor` on may still exist. `reach` is the highest number that any unfinished write may have left behind.
    `tail_ops` are the ids of the tail's appends, `page_ops` those of the last page's, `change` is that of the last
    other change.
    Times are microseconds since the epoch, expiries seconds.
    """

    version: int
    generation: int
    created: int = 0  # 0: unborn, a first batch is still on its way
    updated: int = 0
    pages: int = 0
    first_page: int = 0
    floor: int = 0
    reach: int = -1
    page_version: int = 0
    count: int = 0
    trimmed: int = 0
    tail_start: int = 0
    tail_bytes: int = 0
    tail: tuple[bytes, ...] = ()
    tail_ops: frozenset[bytes] = frozenset()
    page_ops: frozenset[bytes] = frozenset()
    intent: Intent | None = None
    change: bytes | None = None
    expires: int | None = None
    pages_expire: int = 0
    metadata: AttributeValue | None = None
    own: Item = field(default_factory=dict, compare=False)  # the user's own attributes, when it was read

    @property
    def message_count(self) -> int:
        """Messages that are stored and readable."""
        return self.count - self.trimmed

    def is_live(self, now: int) -> bool:
        """Whether readers see a session here: born, not being deleted, not expired at `now` (microseconds)."""
        return self.lasts and not is_expired(self.expires, now)

    @property
    def lasts(self) -> bool:
        """Whether it is more than what somebody is going to remove: born, and not being deleted."""
        return bool(self.created) and (self.intent is None or self.intent.kind != "delete")

    def has_op(self, op: bytes) -> bool:
        """Whether this operation is among those remembered here."""
        return op in self.tail_ops or op in self.page_ops or op == self.change

    def keeps_pages_of(self, earlier: SessionItem) -> bool:
        """Whether it is the same session, and none of the pages of its history was dropped since."""
        return (self.generation, self.first_page) == (earlier.generation, earlier.first_page)

    def attributes(self, names: Names) -> Item:
        """All attributes but the key and the user's own."""
        item: Item = {
            VERSION: number(self.version),
            GENERATION: number(self.generation),
            PAGES: number(self.pages),
            COUNT: number(self.count),
            TAIL_BYTES: number(self.tail_bytes),
            UPDATED: number(self.updated),
            names.history: {"L": [{"B": entry} for entry in self.tail]},
        }
        defaults = {CREATED: (self.created, 0), FIRST_PAGE: (self.first_page, 0), PAGE_VERSION: (self.page_version, 0)}
        defaults |= {FLOOR: (self.floor, self.first_page), REACH: (self.reach, -1), TRIMMED: (self.trimmed, 0)}
        defaults |= {TAIL_START: (self.tail_start, 0), PAGES_EXPIRE: (self.pages_expire, 0)}
        item |= {name: number(value) for name, (value, default) in defaults.items() if value != default}
        item |= {n: {"BS": sorted(ops)} for n, ops in ((TAIL_OPS, self.tail_ops), (PAGE_OPS, self.page_ops)) if ops}
        if self.intent:
            item[INTENT] = self.intent.attribute()
        if self.change is not None:
            item[CHANGE] = {"B": self.change}
        if self.expires is not None:
            item[names.ttl] = number(self.expires)
        if self.metadata is not None:
            item[METADATA] = self.metadata
        return item


@dataclass(frozen=True, slots=True)
class CommunityItem:
    """An item in the format of langchain_community: one list of native maps, maybe with our ids and lease on it."""

    history: AttributeValue  # {"L": [...]}, as read: the condition of the conversion compares with it
    has_history: bool = True
    ops: frozenset[bytes] = frozenset()
    intent: Intent | None = None
    expires: int | None = None
    own: Item = field(default_factory=dict, compare=False)

    @property
    def version(self) -> int:
        """A number that changes with the content; the incumbent writes none. 0: no history here yet."""
        if not self.has_history:
            return 0
        text = json.dumps(self.history, sort_keys=True, default=repr).encode()
        return int.from_bytes(hashlib.blake2b(text, digest_size=6).digest(), "big") + 1

    def has_op(self, op: bytes) -> bool:
        """Whether this operation is among those remembered here."""
        return op in self.ops

    def attributes(self, names: Names) -> Item:
        """All attributes but the key and the user's own."""
        item: Item = {names.history: self.history} if self.has_history else {}
        if self.ops:
            item[TAIL_OPS] = {"BS": sorted(self.ops)}
        if self.intent:
            item[INTENT] = self.intent.attribute()
        if self.expires is not None:
            item[names.ttl] = number(self.expires)
        return item

    @property
    def natives(self) -> list[AttributeValue]:
        """The stored messages."""
        entries: list[AttributeValue] = self.history["L"]
        return entries


@dataclass(frozen=True, slots=True)
class Page:
    """One immutable page. `messages` is 0 on all but the last of the `parts` that one large message was cut into."""

    number: int
    cut: int  # version of the session it was cut at
    previous: int  # `cut` of the page before
    token: bytes
    first: int  # index of its first message
    messages: int
    data: bytes
    parts: int = 1
    ops: frozenset[bytes] = frozenset()
    expires: int | None = None

    def attributes(self, names: Names) -> Item:
        """All attributes but the key."""
        item = {CUT: number(self.cut), PREVIOUS: number(self.previous), TOKEN: {"B": self.token}}
        item |= {FIRST: number(self.first), MESSAGES: number(self.messages), DATA: {"B": self.data}}
        if self.parts != 1:
            item[PARTS] = number(self.parts)
        if self.ops:
            item[OPS] = {"BS": sorted(self.ops)}
        if self.expires is not None:
            item[names.ttl] = number(self.expires)
        return item


def is_expired(expires: int | None, now: int) -> bool:
    """Whether a TTL stamp (seconds) lies in the past of `now` (microseconds): such an item is as good as deleted."""
    return expires is not None and expires * 1_000_000 <= now


def entry_cost(entry: bytes, ops: Iterable[bytes]) -> int:
    """Bytes an entry and its operation ids add to the session item."""
    return len(entry) + 4 + sum(len(op) + 1 for op in ops)
