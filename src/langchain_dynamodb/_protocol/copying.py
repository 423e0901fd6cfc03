"""Copies of sessions: the state that a copy begins with. No I/O."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

from .._dynamodb.attribute_values import AttributeValue
from .._items.session_items import SessionItem
from .._items.sizes import MAX_ITEM_DATA, MAX_SESSION_ITEM
from .expiry import Expiries
from .pages import Destination, Draft, in_parts
from .states import next_state, tail_bytes, unborn

EARLIER = 1 << 32  # microseconds that a copy's generation may lie before its beginning: 72 minutes
SPARE_PAGES = 4  # that what is kept of one page may need, which inflates to a mebibyte


@dataclass(frozen=True)
class Written:
    """The pages that a copy has, from number 0 on, the messages in them, and the bucket where some of it is."""

    pages: int = 0
    messages: int = 0
    bucket: str | None = None

    def with_pages(self, drafts: Sequence[Draft]) -> Written:
        """With these too."""
        messages = sum(draft.messages for draft in drafts)
        return replace(self, pages=self.pages + len(drafts), messages=self.messages + messages)


def begun(now: int, to: Destination) -> SessionItem:
    """Start of a copy. Its generation is nobody else's, whatever clocks say: its pages are put without a condition."""
    start = unborn(now, to.cipher)
    return replace(start, generation=max(1, now - int.from_bytes(os.urandom(4), "big") % EARLIER))


def laid_out(blocks: Sequence[Draft], to: Destination) -> tuple[list[Draft], tuple[bytes, ...]]:
    """Where the messages go that follow the copied pages: into the tail, if it has room, or else a page for each."""
    entries = tuple(to.codec.seal(block.data, to.key.place()) for block in blocks)
    if tail_bytes(entries, frozenset()) <= min(max(to.sizes.page, to.room), MAX_SESSION_ITEM):
        return [], entries
    return [part for block in blocks for part in in_parts(block, MAX_ITEM_DATA)], ()


def copied(
    start: SessionItem,
    written: Written,
    tail: tuple[bytes, ...],
    messages: int,
    metadata: AttributeValue | None,
    op: bytes,
    now: int,
    times: Expiries,
) -> SessionItem:
    """State with all of it: these pages, and so many `messages` in the tail."""
    return next_state(
        start,
        now,
        times.session,
        created=now,
        pages=written.pages,
        page_version=start.version if written.pages else 0,
        reach=-1,
        count=written.messages + messages,
        tail=tail,
        tail_start=written.messages,
        tail_bytes=tail_bytes(tail, frozenset()),
        metadata=metadata,
        bucket=written.bucket,
        change=op,
        pages_expire=(times.pages or 0) if written.pages else 0,
    )
