"""Steps of a session item from one state to the next that several changes share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from .._dynamodb.attribute_values import AttributeValue
from .._items.session_items import Intent, SessionItem, entry_cost
from .._items.sizes import MAX_LEFT_PAGES
from ..codec.sealing import Cipher


def declared(item: SessionItem, intent: Intent, now: int) -> SessionItem:
    """State with the intent on record."""
    return next_state(item, now, None, intent=intent, reach=max(item.reach, intent.last))


def taken_back(item: SessionItem, beyond: int) -> SessionItem:
    """State once the unfinished write of `item` cannot commit any more, with a version above `beyond`.

    A rewrite takes page numbers that were never used. Where pages were in its way all the same (those of a session of
    which an older item was restored), the next goes twice as far on: it must not meet each of them in turn.
    """
    assert item.intent is not None
    free = replace(item, version=max(item.version, beyond) + 1, intent=None)
    if not (beyond and item.intent.kind == "rewrite"):
        return free
    furthest = item.pages + MAX_LEFT_PAGES - 1
    return replace(free, reach=max(item.reach, min(2 * item.intent.last - item.pages, furthest)))


def released(item: SessionItem) -> SessionItem:
    """State without the intent."""
    return replace(item, version=item.version + 1, intent=None)


def changed(item: SessionItem, op: bytes, now: int, expires: int | None) -> SessionItem:
    """State after a change that leaves the history alone."""
    return next_state(item, now, expires, change=op)


def described(
    base: SessionItem, metadata: AttributeValue | None, op: bytes, now: int, expires: int | None
) -> SessionItem:
    """State with other metadata (None: as it was); of an unborn session one without messages."""
    kept = base.metadata if metadata is None else metadata
    return replace(changed(base, op, now, expires), created=base.created or now, metadata=kept)


def permanent(item: SessionItem, op: bytes, now: int) -> SessionItem:
    """State that does not expire any more."""
    return replace(changed(item, op, now, None), expires=None, pages_expire=0)


def unborn(now: int, cipher: Cipher | None = None) -> SessionItem:
    """Start of a session whose first messages need pages: it reads as absent until they are committed."""
    return SessionItem(version=now, generation=now, cipher=cipher)


def next_state(item: SessionItem, now: int, expires: int | None, **changes: object) -> SessionItem:
    steady = {"version": item.version + 1, "updated": now, "intent": None}
    if "tail" in changes or not item.tail:  # then the whole list is set
        steady |= {"others": None, "listed": None}
    stamp = item.expires if expires is None else expires
    return replace(item, **{**steady, "expires": stamp, **changes})  # type: ignore[arg-type]


def tail_bytes(tail: Sequence[bytes], ops: frozenset[bytes]) -> int:
    return sum(entry_cost(entry, ()) for entry in tail) + sum(len(op) + 1 for op in ops)
