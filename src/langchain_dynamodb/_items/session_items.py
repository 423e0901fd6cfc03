"""Session items as typed values. No I/O.

docs/storage.md shows worked examples.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from .._dynamodb.attribute_values import AttributeValue, Item, number
from ..codec.lines import pack
from ..codec.sealing import Cipher
from .attribute_names import (
    BUCKET,
    CEILING,
    CHANGE,
    COUNT,
    CREATED,
    EDIT,
    EDITED,
    EDITED_BEFORE,
    EDITED_PAGE,
    FIRST_PAGE,
    FLOOR,
    GENERATION,
    HOME,
    INTENT,
    KEY,
    METADATA,
    PAGE_OPS,
    PAGE_VERSION,
    PAGES,
    PAGES_EXPIRE,
    REACH,
    REMOVED,
    REUSED,
    TAIL_BYTES,
    TAIL_OPS,
    TAIL_START,
    TRIMMED,
    UPDATED,
    VERSION,
)
from .clock import is_expired
from .configured_names import Names
from .keys import SessionKey
from .sizes import Sizes

LEAST_ROOM = 256  # bytes that a tail may have, however small the session item is to be
GUARD = pack(())
"""What a stored tail without entries holds: to langchain_community an empty list would be a session to write over."""


@dataclass(frozen=True, slots=True)
class Intent:
    """A write of several steps under way: the pages it may write, and until when others leave it alone.

    The end of the lease moves while the writer works: it does not tell two intents apart.
    """

    op: bytes
    kind: str  # "append", "rewrite", "copy", "convert", "revert", "lease", "delete"
    generation: int
    first: int
    last: int
    lease: int = field(compare=False)  # microseconds since the epoch

    def attribute(self) -> AttributeValue:
        """As stored on the session item."""
        numbers = {"generation": self.generation, "first": self.first, "last": self.last, "lease": self.lease}
        return {"M": {"op": {"B": self.op}, "kind": {"S": self.kind}, **{k: number(v) for k, v in numbers.items()}}}


class Edit(NamedTuple):
    """A change of one message that its page does not have yet, by the message's position in that.

    `data` is the new message as a block of its own; None: it is removed.
    """

    position: int
    data: bytes | None

    def attribute(self) -> AttributeValue:
        """As stored on the session item."""
        edit: Item = {"position": number(self.position)}
        return {"M": edit if self.data is None else {**edit, "data": {"B": self.data}}}


@dataclass(frozen=True, slots=True)
class SessionItem:
    """The session item.

    Pages ``first_page .. pages - 1`` are the history before the tail. Pages below `first_page` are dropped; those from
    `floor` on may still exist, and so may pages from `pages` up to below `ceiling`, which were cut off. `reach` is the
    highest number that any unfinished write may have left behind. `reused` numbers were given more than once: the
    `epoch`, which counts them each time, only grows.
    Messages have indexes that stay when others are `removed` from pages: `trimmed` and `tail_start` are such, while
    `count` is less by those that were removed from pages that are still there.
    `edited` is the version of the last change of a message in a page, `edited_page` the number of that,
    `edited_before` the version of the change before it; `edit` is the last one until its page has it.
    `tail_ops` are the ids of the tail's appends, `page_ops` those of the last page's, `change` is that of the last
    other change.
    Times are microseconds since the epoch, expiries seconds (None: DynamoDB never expires it, whatever is stored).
    """

    version: int
    generation: int
    created: int = 0  # 0: unborn, a first batch is still on its way
    updated: int = 0
    pages: int = 0
    first_page: int = 0
    floor: int = 0
    reach: int = -1
    reused: int = 0
    ceiling: int = 0
    page_version: int = 0
    count: int = 0
    trimmed: int = 0
    removed: int = 0
    tail_start: int = 0
    tail_bytes: int = 0
    tail: tuple[bytes, ...] = ()
    tail_ops: frozenset[bytes] = frozenset()
    page_ops: frozenset[bytes] = frozenset()
    intent: Intent | None = None
    change: bytes | None = None
    edited: int = 0
    edited_page: int = 0
    edited_before: int = 0
    edit: Edit | None = None
    expires: int | None = None
    pages_expire: int = 0
    metadata: AttributeValue | None = None  # of an encrypted session a sealed block
    cipher: Cipher | None = None  # None: the session is not encrypted
    bucket: str | None = None  # where data of its pages may be: a bucket, or several with spaces between them
    home: str | None = None  # the region that writes it; None: nobody has said
    own: Item = field(default_factory=dict, compare=False)  # the user's own attributes, when it was read
    others: AttributeValue | None = field(default=None, compare=False)  # the list, where it has entries of others
    listed: int | None = field(default=None, compare=False)  # entries of the list when it was read, guard included

    @property
    def locked(self) -> SessionItem:
        """The same, to be remembered: without its key in the clear."""
        return self if self.cipher is None else replace(self, cipher=self.cipher.locked)

    @property
    def epoch(self) -> int:
        """Grows by one with each page, and by at least two where pages that others may know are dropped."""
        return self.pages + self.reused

    @property
    def message_count(self) -> int:
        """Messages that are stored and readable."""
        return self.count - self.trimmed

    @property
    def tail_count(self) -> int:
        """Those of them that are in the tail."""
        return self.count + self.removed - self.tail_start

    def is_live(self, now: int) -> bool:
        """Whether readers see a session here: born, not being deleted, not expired at `now` (microseconds)."""
        return self.lasts and (self.expires is None or not is_expired(self.expires, now))

    @property
    def lasts(self) -> bool:
        """Whether it is more than what somebody is going to remove: born, and not being deleted."""
        return bool(self.created) and (self.intent is None or self.intent.kind != "delete")

    def has_op(self, op: bytes) -> bool:
        """Whether this operation is among those remembered here."""
        return op in self.tail_ops or op in self.page_ops or op == self.change

    @property
    def entries(self) -> int:
        """Number of entries that the stored list has."""
        return max(1, len(self.tail)) if self.listed is None else self.listed

    @property
    def has_dropped_pages(self) -> bool:
        """Whether pages may still be stored that were dropped."""
        return self.floor < self.first_page or self.pages < self.ceiling

    def noting(self, bucket: str) -> SessionItem:
        """The state that says that data of its pages may be there."""
        noted = [] if self.bucket is None else self.bucket.split(" ")
        return self if bucket in noted else replace(self, bucket=" ".join([*noted, bucket]))

    def without_pages(self, first_page: int, trimmed: int, removed: int) -> SessionItem:
        """The state without its oldest pages, from which so many messages had been removed."""
        kept = {} if first_page <= self.edited_page else {"edit": None}
        counts = {"removed": self.removed - removed, "count": self.count + removed}
        return replace(self, first_page=first_page, trimmed=trimmed, **counts, **kept)  # type: ignore[arg-type]

    def keeps_pages_of(self, earlier: SessionItem) -> bool:
        """Whether it is the same session, and none of the pages of its history was dropped since."""
        return (self.generation, self.first_page, self.reused) == (
            earlier.generation,
            earlier.first_page,
            earlier.reused,
        )

    def attributes(self, names: Names) -> Item:
        """All attributes but the key and the user's own."""
        item: Item = {
            VERSION: number(self.version),
            GENERATION: number(self.generation),
            PAGES: number(self.epoch),
            COUNT: number(self.count),
            TAIL_BYTES: number(self.tail_bytes),
            UPDATED: number(self.updated),
            names.history: {"L": [{"B": entry} for entry in self.tail or (GUARD,)]},
        }
        defaults = {CREATED: (self.created, 0), FIRST_PAGE: (self.first_page, 0), PAGE_VERSION: (self.page_version, 0)}
        defaults |= {FLOOR: (self.floor, self.first_page), REACH: (self.reach, -1), TRIMMED: (self.trimmed, 0)}
        defaults |= {REUSED: (self.reused, 0), CEILING: (self.ceiling, 0)}
        defaults |= {REMOVED: (self.removed, 0), EDITED: (self.edited, 0)}
        defaults |= {EDITED_PAGE: (self.edited_page, 0), EDITED_BEFORE: (self.edited_before, 0)}
        defaults |= {TAIL_START: (self.tail_start, 0), PAGES_EXPIRE: (self.pages_expire, 0)}
        item |= {name: number(value) for name, (value, default) in defaults.items() if value != default}
        item |= {n: {"BS": sorted(ops)} for n, ops in ((TAIL_OPS, self.tail_ops), (PAGE_OPS, self.page_ops)) if ops}
        if self.intent:
            item[INTENT] = self.intent.attribute()
        if self.change is not None:
            item[CHANGE] = {"B": self.change}
        if self.edit is not None:
            item[EDIT] = self.edit.attribute()
        if self.expires is not None:
            item[names.ttl] = number(self.expires)
        if self.metadata is not None:
            item[METADATA] = self.metadata
        if self.cipher is not None:
            item[KEY] = {"B": self.cipher.stored}
        if self.bucket is not None:
            item[BUCKET] = {"S": self.bucket}
        if self.home is not None:
            item[HOME] = {"S": self.home}
        return item


def tail_room(sizes: Sizes, key: SessionKey) -> int:
    """Bytes for the tail's entries and the operation ids, next to this key and the session's numbers."""
    return max(sizes.session_item - key.size - 260, LEAST_ROOM)


def entry_cost(entry: bytes, ops: Iterable[bytes]) -> int:
    """Bytes an entry and its operation ids add to the session item."""
    return len(entry) + 4 + sum(len(op) + 1 for op in ops)


def new_op() -> bytes:
    """A fresh operation id."""
    return os.urandom(8)
