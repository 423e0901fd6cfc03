"""Changes of an item in the format of langchain_community, and its conversion to ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from .._dynamodb.attribute_values import NO_CHANGES, AttributeValue, Changes, number
from .._dynamodb.expressions import Expression, Statement
from .._items import attribute_names as lc
from .._items.community_item import CommunityItem
from .._items.configured_names import Names
from .._items.keys import SessionKey
from .._items.page_items import Page
from .._items.session_items import Intent, SessionItem
from ..codec.long_lines import Line
from .conditions import (
    absent,
    change,
    community_list,
    is_of,
    require_content,
    require_lease,
    require_unchanged,
    set_own,
    unexpired,
)
from .expiry import Expiries, expiries
from .pages import Destination, PageStart, Placement, make_pages
from .rewrite import KEPT_OPS, place_all
from .states import tail_bytes, unborn


class Conversion(NamedTuple):
    """An item in our format, and the pages that are put before it takes the place of the other."""

    new: SessionItem
    pages: list[Page]


def decide(
    lines: Sequence[Line], item: CommunityItem, to: Destination, op: bytes, now: int, ttl: int | None
) -> Conversion:
    """What becomes of an item of langchain_community with these messages."""
    base = replace(unborn(now, to.cipher), expires=item.expires)
    times = expiries(now, ttl, base)
    placement = place_all(lines, to)
    pages = make_pages(placement.drafts, to, base, PageStart(0, 0, 0, times.pages), op)
    return Conversion(converted(base, placement, len(lines), item.ops, now, times), pages)


def converted(
    base: SessionItem, placement: Placement, count: int, ops: frozenset[bytes], now: int, times: Expiries
) -> SessionItem:
    """First state of a session in our format that was langchain_community's; `ops` were remembered there."""
    kept = ops if len(ops) <= KEPT_OPS else frozenset()
    return replace(
        base,
        created=now,
        updated=now,
        expires=base.expires if times.session is None else times.session,
        pages=len(placement.drafts),
        page_version=base.version if placement.drafts else 0,
        pages_expire=(times.pages or 0) if placement.drafts else 0,
        count=count,
        tail=placement.tail,
        tail_start=0 if placement.tail else count,
        page_ops=kept,
        tail_bytes=tail_bytes(placement.tail, kept),
    )


def from_community(
    old: CommunityItem, new: SessionItem | CommunityItem, names: Names, own: Changes = NO_CHANGES
) -> Statement:
    """UpdateItem of an item in langchain_community's format: only if its whole list is still the one that was read."""
    e = change(old.attributes(names), new.attributes(names))
    e.once = isinstance(new, CommunityItem) and new.intent is not None and old.intent is None
    set_own(e, own)
    require_unchanged(e, old, names)
    return e.statement()


def reverted(item: SessionItem, history: AttributeValue, op: bytes, lease: int) -> CommunityItem:
    """A session of ours as an item of langchain_community with these messages.

    Its intent says which pages are left, so that they are removed whatever becomes of the writer.
    """
    ops = item.tail_ops | item.page_ops
    last = max(item.pages, item.reach, item.ceiling)
    left = Intent(op, "revert", item.generation, item.floor, last, lease) if item.pages else None
    kept = ops if len(ops) <= KEPT_OPS else frozenset()
    return CommunityItem(history, ops=kept | {op}, intent=left, expires=item.expires)


def begin_community(new: CommunityItem, key: SessionKey, names: Names, own: Changes = NO_CHANGES) -> Statement:
    """UpdateItem that makes an item in langchain_community's format where there is none."""
    e = change({}, new.attributes(names))
    set_own(e, own)
    e.require(absent(e, key.attributes[0][0]))
    return e.statement()


def append_community(
    old: CommunityItem,
    natives: AttributeValue,
    op: bytes,
    ops: frozenset[bytes],
    names: Names,
    now: int,
    expires: int | None,
    own: Changes = NO_CHANGES,
    *,
    unchanged: bool = False,
) -> Statement:
    """UpdateItem that appends to langchain_community's list; `unchanged`: only if it is still the one that was seen."""
    e = Expression()
    history = e.name(names.history)
    if expires is not None:
        e.set(names.ttl, number(expires))
    e.assign(names.history, f"list_append(if_not_exists({history}, {e.value({'L': []})}), {e.value(natives)})")
    e.add(lc.TAIL_OPS, {"BS": sorted(ops)})
    set_own(e, own)
    e.require(f"attribute_not_exists({e.name(lc.VERSION)})")
    e.require(f"attribute_not_exists({e.name(lc.INTENT)})")
    e.require(f"NOT contains({e.name(lc.TAIL_OPS)}, {e.value({'B': op})})")
    e.require(unexpired(e, names, now))
    if unchanged:
        require_content(e, old, names)
    else:
        e.require(community_list(e, names) if old.has_history else f"attribute_not_exists({history})")
    return e.statement()


def claim(old: Intent, mine: Intent, *, ours: bool) -> Statement:
    """UpdateItem that exchanges the intent on an item of langchain_community, whose list may have changed.

    Unless it is `ours`, only if its owner has not renewed the lease since it was seen.
    """
    e = Expression()
    e.set(lc.INTENT, mine.attribute())
    e.require(is_of(e, old.op))
    if not ours:
        require_lease(e, old)
    return e.statement()


def drop_intent(op: bytes) -> Statement:
    """UpdateItem that removes an intent of ours from an item of langchain_community."""
    e = Expression()
    e.remove(lc.INTENT)
    e.require(is_of(e, op))
    return e.statement()
