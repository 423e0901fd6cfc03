"""Changes of a session as a whole (rule 4): the next state."""

from __future__ import annotations

from collections.abc import Sequence

from .._items.items import SessionItem, Sizes, entry_cost
from ..codec import messages as codec
from .expiry import Expiries
from .pages import PAGE_INFLATED, Placement, paginate
from .states import next_state, tail_bytes


def place_all(lines: Sequence[bytes], room: int, sizes: Sizes) -> Placement:
    """A whole history: in the tail alone if it fits there, else in pages."""
    if not lines:
        return Placement([], ())
    if sum(map(len, lines)) <= PAGE_INFLATED and entry_cost(entry := codec.pack(lines), ()) <= room // 2:
        return Placement([], (entry,))
    return Placement(paginate(lines, sizes), ())


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
        change=op,
        tail=placement.tail,
        tail_start=0 if placement.tail else count,
        tail_ops=frozenset(),
        page_ops=frozenset(),
        tail_bytes=tail_bytes(placement.tail, frozenset()),
        pages_expire=(times.pages or 0) if placement.drafts else 0,
    )


def tail_truncated(item: SessionItem, lines: Sequence[bytes], op: bytes, now: int, expires: int | None) -> SessionItem:
    """State after the end of the tail was cut off. The ids stay, so a resent append is still recognised."""
    tail = (codec.pack(lines),) if lines else ()
    return next_state(
        item,
        now,
        expires,
        change=op,
        count=item.tail_start + len(lines),
        tail=tail,
        tail_bytes=tail_bytes(tail, item.tail_ops | item.page_ops),
    )
