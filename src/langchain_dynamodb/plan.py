"""Decisions of the storage protocol: from the state seen and the wish to the next state. No I/O.

Every function here takes values and returns values; the writing modules carry the results out on condition that the
state seen was still the current one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from langchain_core.messages import BaseMessage, ToolMessage

from . import messages as codec
from .errors import MessageTooLargeError
from .layout import Intent, Page, SessionItem, Sizes, entry_cost
from .values import Changes

MICROSECONDS = 1_000_000
PAGE_INFLATED = 1 << 20  # bytes of JSON a page of several messages holds at most, however well it deflates
THIRTY_DAYS = 30 * 24 * 3600
CONVERTED_OPS = 32  # operation ids a converted item may bring along


class Draft(NamedTuple):
    """Data of one page item to be; `messages` is 0 on all but the last part of a message cut into `parts`."""

    data: bytes
    messages: int
    parts: int = 1


@dataclass(frozen=True)
class Append:
    """What a caller wants appended: encoded once, sent as often as needed."""

    lines: tuple[bytes, ...]
    entry: bytes
    call: bytes  # identifies this very call: its intents are its own
    op: bytes  # identifies this append: as `call`, or the caller's idempotency key
    ops: frozenset[bytes]  # remembered with it: `op`, and with a key also the hash of the content
    history_size: int | None = None
    own: Changes = field(default_factory=dict)  # attributes to set along with it

    @property
    def token(self) -> bytes:
        """Marks pages with these very messages: another caller may use the same key with others."""
        return b"".join(sorted(self.ops))

    @property
    def cost(self) -> int:
        """Bytes it adds to the tail."""
        return entry_cost(self.entry, self.ops)

    def fits(self, item: SessionItem | None, room: int) -> bool:
        """Whether it can go into the tail as it is."""
        used = item.tail_bytes if item else 0
        return used + self.cost <= room and sum(map(len, self.lines)) <= PAGE_INFLATED


class Layout(NamedTuple):
    """Where messages go: pages, then the entries of the tail."""

    drafts: list[Draft]
    tail: tuple[bytes, ...]


def check_size(lines: Sequence[bytes], sizes: Sizes) -> None:
    """Refuse a message above the bound; raises `MessageTooLargeError`."""
    for i, line in enumerate(lines):
        if len(line) > sizes.message:
            raise MessageTooLargeError(
                f"messages[{i}] has {len(line)} bytes when encoded, more than the {sizes.message} allowed: store large "
                "content elsewhere and keep a reference, or raise Sizes(message=...)",
                size=len(line),
                limit=sizes.message,
            )


def paginate(lines: Sequence[bytes], sizes: Sizes) -> list[Draft]:
    """Pack lines into pages of at most `sizes.page` bytes; a longer message gets a page, or several, of its own."""
    drafts: list[Draft] = []
    for group in _groups(lines, min(PAGE_INFLATED, 4 * sizes.page)):
        drafts += _pack(group, sizes)
    return drafts


def _groups(lines: Sequence[bytes], limit: int) -> list[list[bytes]]:
    groups: list[list[bytes]] = []
    size = 0
    for line in lines:
        if not groups or size + len(line) > limit:
            groups.append([])
            size = 0
        groups[-1].append(line)
        size += len(line)
    return groups


def _pack(lines: Sequence[bytes], sizes: Sizes) -> list[Draft]:
    data = codec.pack(lines)
    if len(lines) > 1 and len(data) > sizes.page:
        middle = len(lines) // 2
        return _pack(lines[:middle], sizes) + _pack(lines[middle:], sizes)
    parts = [data[i : i + sizes.item] for i in range(0, len(data), sizes.item)]
    return [Draft(part, 0) for part in parts[:-1]] + [Draft(parts[-1], len(lines), len(parts))]


def lay_out_append(tail_lines: Sequence[bytes], wish: Append, room: int, sizes: Sizes) -> Layout:
    """The old tail becomes a page; the new messages start the next tail, or join the page when they are too many.

    At least one page is cut in any case: that is what lets the ids of the last page go (see the fence).
    """
    if tail_lines and wish.fits(None, room):
        return Layout(paginate(tail_lines, sizes), (wish.entry,))
    return Layout(paginate([*tail_lines, *wish.lines], sizes), ())


def lay_out_all(lines: Sequence[bytes], room: int, sizes: Sizes) -> Layout:
    """A whole history: in the tail alone if it fits there, else in pages."""
    if not lines:
        return Layout([], ())
    if sum(map(len, lines)) <= PAGE_INFLATED and entry_cost(entry := codec.pack(lines), ()) <= room // 2:
        return Layout([], (entry,))
    return Layout(paginate(lines, sizes), ())


class Expiries(NamedTuple):
    """TTL stamps (seconds) of what is written now; None leaves a session's stamp alone."""

    session: int | None
    pages: int | None

    def of_pages(self, item: SessionItem) -> int:
        """Earliest expiry of the pages once new ones have joined; 0 where one has no stamp."""
        ours = self.pages or 0
        return min(item.pages_expire, ours) if item.first_page < item.pages else ours


class PageStart(NamedTuple):
    """Where a run of new pages begins."""

    number: int
    previous: int
    message: int
    expires: int | None


def make_pages(
    drafts: Sequence[Draft], base: SessionItem, first: PageStart, token: bytes, ops: frozenset[bytes] = frozenset()
) -> list[Page]:
    """Number and chain drafts as pages cut at `base`, whose tail they begin with; `ops` came on top of that."""
    pages = []
    previous, index = first.previous, first.message
    for number, draft in enumerate(drafts, first.number):
        page = Page(
            number=number,
            cut=base.version,
            previous=previous,
            token=token,
            first=index,
            messages=draft.messages,
            data=draft.data,
            parts=draft.parts,
            ops=base.tail_ops | ops,
            expires=first.expires,
        )
        pages.append(page)
        previous, index = base.version, index + draft.messages
    return pages


def rewrite_start(item: SessionItem) -> int:
    """First page number of a rewritten history: never used before, and past the fence of every append under way."""
    return max(item.pages + 2, item.reach + 1)


def append_start(item: SessionItem, expires: int | None) -> PageStart:
    """Where the pages of an append begin: with what is now the tail."""
    return PageStart(item.pages, item.page_version, item.tail_start, expires)


def appended(item: SessionItem, layout: Layout, wish: Append, now: int, times: Expiries) -> SessionItem:
    """State after an append that cut pages from the tail of `item`."""
    pages = item.pages + len(layout.drafts)
    count = item.count + len(wish.lines)
    page_ops = item.tail_ops
    return _next(
        item,
        now,
        times.session,
        created=item.created or now,
        pages=pages,
        page_version=item.version,
        pages_expire=times.of_pages(item),
        reach=item.reach if item.reach >= pages else -1,
        count=count,
        tail=layout.tail,
        tail_start=count - (len(wish.lines) if layout.tail else 0),
        tail_ops=wish.ops,
        page_ops=page_ops,
        tail_bytes=_tail_bytes(layout.tail, wish.ops | page_ops),
    )


def rewritten(item: SessionItem, layout: Layout, count: int, op: bytes, now: int, times: Expiries) -> SessionItem:
    """State after the whole history of `item` was written anew."""
    start = rewrite_start(item)
    pages = start + len(layout.drafts)
    return _next(
        item,
        now,
        times.session,
        created=item.created or now,
        pages=pages,
        first_page=start,
        page_version=item.version if layout.drafts else 0,
        reach=-1,
        count=count,
        trimmed=0,
        change=op,
        tail=layout.tail,
        tail_start=0 if layout.tail else count,
        tail_ops=frozenset(),
        page_ops=frozenset(),
        tail_bytes=_tail_bytes(layout.tail, frozenset()),
        pages_expire=(times.pages or 0) if layout.drafts else 0,
    )


def converted(
    base: SessionItem, layout: Layout, count: int, ops: frozenset[bytes], now: int, times: Expiries
) -> SessionItem:
    """First state of a session in our format that was the incumbent's; `ops` were remembered there."""
    kept = ops if len(ops) <= CONVERTED_OPS else frozenset()
    return replace(
        base,
        created=now,
        updated=now,
        expires=base.expires if times.session is None else times.session,
        pages=len(layout.drafts),
        page_version=base.version if layout.drafts else 0,
        pages_expire=(times.pages or 0) if layout.drafts else 0,
        count=count,
        tail=layout.tail,
        tail_start=0 if layout.tail else count,
        page_ops=kept,
        tail_bytes=_tail_bytes(layout.tail, kept),
    )


def tail_truncated(item: SessionItem, lines: Sequence[bytes], op: bytes, now: int, expires: int | None) -> SessionItem:
    """State after the end of the tail was cut off. The ids stay, so a resent append is still recognised."""
    tail = (codec.pack(lines),) if lines else ()
    return _next(
        item,
        now,
        expires,
        change=op,
        count=item.tail_start + len(lines),
        tail=tail,
        tail_bytes=_tail_bytes(tail, item.tail_ops | item.page_ops),
    )


def declared(item: SessionItem, intent: Intent, now: int) -> SessionItem:
    """State with the intent on record."""
    return _next(item, now, None, intent=intent, reach=max(item.reach, intent.last))


def released(item: SessionItem) -> SessionItem:
    """State without the intent."""
    return replace(item, version=item.version + 1, intent=None)


def changed(item: SessionItem, op: bytes, now: int, expires: int | None) -> SessionItem:
    """State after a change that leaves the history alone."""
    return _next(item, now, expires, change=op)


def unborn(now: int) -> SessionItem:
    """Start of a session whose first messages need pages: it reads as absent until they are committed."""
    return SessionItem(version=now, generation=now)


def _next(item: SessionItem, now: int, expires: int | None, **changes: object) -> SessionItem:
    steady = {"version": item.version + 1, "updated": now, "intent": None}
    stamp = item.expires if expires is None else expires
    return replace(item, **{**steady, "expires": stamp, **changes})  # type: ignore[arg-type]


def _tail_bytes(tail: Sequence[bytes], ops: frozenset[bytes]) -> int:
    return sum(entry_cost(entry, ()) for entry in tail) + sum(len(op) + 1 for op in ops)


def expiries(now: int, ttl: int | None, item: SessionItem | None) -> Expiries:
    """TTL stamps for a write at `now`, rounded up. Pages outlive their session, which slides on without them."""
    if ttl is not None:
        seconds = math.ceil(now / MICROSECONDS)
        return Expiries(seconds + ttl, seconds + max(2 * ttl, ttl + THIRTY_DAYS))
    stamp = item.expires if item else None
    return Expiries(None, None if stamp is None else stamp + THIRTY_DAYS)


def needs_refresh(item: SessionItem, now: int, ttl: int | None) -> bool:
    """Whether the pages might expire before the session does (or have no stamp yet)."""
    return ttl is not None and item.first_page < item.pages and item.pages_expire < now // MICROSECONDS + ttl


def drop_orphans(messages: list[BaseMessage]) -> list[BaseMessage]:
    """Cut off leading tool messages: their calls are outside of the window, and providers reject such a start."""
    start = 0
    while start < len(messages) and isinstance(messages[start], ToolMessage):
        start += 1
    return messages[start:]
