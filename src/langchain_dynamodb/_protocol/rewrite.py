"""Changes of a session as a whole (rule 4): the next state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from .._dynamodb.attribute_values import AttributeValue
from .._items.page_items import Page
from .._items.session_items import SessionItem, entry_cost
from .._items.sizes import MAX_LEFT_PAGES, MAX_SESSION_ITEM
from ..codec.long_lines import Line
from .expiry import Expiries
from .pages import PAGE_INFLATED, Batch, Destination, PageStart, Placement, make_pages, paginate
from .states import next_state, tail_bytes, unborn

KEPT_OPS = 32  # operation ids that a session keeps when all its messages are written anew, as they are


class Exchange(NamedTuple):
    """One UpdateItem exchanges the session item."""

    new: SessionItem


def count_same(stored: Sequence[Line], lines: Sequence[Line]) -> int:
    """How many messages both histories begin with."""
    pairs = zip(stored, lines, strict=False)
    return next((i for i, (one, other) in enumerate(pairs) if one != other), min(len(stored), len(lines)))


def decide(
    lines: Sequence[Line], item: SessionItem | None, to: Destination, op: bytes, now: int, times: Expiries
) -> Exchange | Batch:
    """What it takes to write the whole history anew, on the state that was seen (None: there is no session)."""
    base = item or unborn(now, to.cipher)
    placement = place_all(lines, to)
    if not placement.drafts:
        return Exchange(rewritten(base, placement, len(lines), op, now, times))
    first = rewrite_start(base)

    def pages(start: SessionItem) -> list[Page]:
        return make_pages(placement.drafts, to, start, PageStart(first, 0, 0, times.pages), op)

    def commit(start: SessionItem) -> SessionItem:
        return rewritten(replace(start, reach=base.reach), placement, len(lines), op, now, times)

    return Batch(base, first, placement.drafts, pages, commit)


def place_all(lines: Sequence[Line], to: Destination) -> Placement:
    """A whole history: in the tail alone if it fits there, else in pages."""
    if not lines:
        return Placement([], ())
    if sum(map(len, lines)) <= PAGE_INFLATED:
        entry = to.codec.pack(lines, to.key.place())
        if entry_cost(entry, ()) <= to.room // 2:
            return Placement([], (entry,))
    return Placement(paginate(lines, to.sizes), ())


def rewrite_start(item: SessionItem) -> int:
    """First page number of a rewritten history: never used before, and past the fence of every append under way."""
    return max(item.pages + 2, item.reach + 1)


def rewritten(item: SessionItem, placement: Placement, count: int, op: bytes, now: int, times: Expiries) -> SessionItem:
    """State after the whole history of `item` was written anew."""
    start = rewrite_start(item)
    pages = start + len(placement.drafts)
    return next_state(
        item,
        now,
        times.session,
        created=item.created or now,
        pages=pages,
        first_page=start,
        page_version=item.version if placement.drafts else 0,
        reach=-1,
        count=count,
        trimmed=0,
        removed=0,
        edited=0,
        edited_page=0,
        edited_before=0,
        edit=None,
        change=op,
        tail=placement.tail,
        tail_start=0 if placement.tail else count,
        tail_ops=frozenset(),
        page_ops=frozenset(),
        tail_bytes=tail_bytes(placement.tail, frozenset()),
        pages_expire=(times.pages or 0) if placement.drafts else 0,
        ceiling=0,
    )


def reencrypted(new: SessionItem, old: SessionItem, to: Destination, metadata: AttributeValue | None) -> SessionItem:
    """A rewritten state (`new`) of the same messages under another key: what identifies changes of `old` stays."""
    ops = old.tail_ops | old.page_ops
    kept = ops if len(ops) <= KEPT_OPS else frozenset()
    return replace(
        new,
        cipher=to.cipher,
        metadata=metadata,
        change=old.change,
        page_ops=kept,
        tail_bytes=tail_bytes(new.tail, kept),
    )


def branched(
    item: SessionItem,
    start: PageStart,
    lines: Sequence[Line],
    to: Destination,
    op: bytes,
    now: int,
    expires: int | None,
) -> SessionItem | None:
    """State in which `lines` follow the pages before `start`; None where they are too many for a tail.

    The pages from there on are dropped, and their numbers used again. The tail may be as large as a page: the next
    append cuts it.
    """
    if sum(map(len, lines)) > PAGE_INFLATED or item.pages - start.number >= MAX_LEFT_PAGES:
        return None
    entries = (to.codec.pack(lines, to.key.place()),) if lines else ()
    size = tail_bytes(entries, frozenset())
    if size > min(max(to.sizes.page, to.room), MAX_SESSION_ITEM):
        return None
    return next_state(
        item,
        now,
        expires,
        change=op,
        pages=start.number,
        reused=item.epoch + 2 - start.number,
        ceiling=max(item.pages, item.ceiling),
        reach=max(item.reach, item.pages),
        page_version=start.previous,
        pages_expire=item.pages_expire if start.number > item.first_page else 0,
        count=start.message + len(lines) - start.removed,
        removed=start.removed,
        edit=item.edit if item.edited_page < start.number else None,
        tail=entries,
        tail_start=start.message,
        tail_ops=frozenset(),
        page_ops=frozenset(),
        tail_bytes=size,
    )


def tail_truncated(
    item: SessionItem, tail: tuple[bytes, ...], messages: int, op: bytes, now: int, expires: int | None
) -> SessionItem:
    """State after the end of the tail was cut off. The ids stay, so a resent append is still recognised."""
    return next_state(
        item,
        now,
        expires,
        change=op,
        count=item.tail_start + messages - item.removed,
        tail=tail,
        tail_bytes=tail_bytes(tail, item.tail_ops | item.page_ops),
    )
