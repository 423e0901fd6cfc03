"""Each conditional write of the storage protocol as an expression. No I/O.

What begins something, a session or the conversion of an item, is to be sent `once`: when somebody has taken it back,
its condition holds again, and a late copy would bring back the very state that the writer goes on from, but no pages.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any, NamedTuple

from . import layout
from .expressions import Expression
from .keys import SessionKey
from .layout import CommunityItem, Intent, Names, Page, SessionItem
from .values import NO_CHANGES, AttributeValue, Changes, Item, number


class Insert(NamedTuple):
    """An append of one entry to the tail, sent without a look at the item first.

    `generation` is None where no session is known: then the item may be absent, or in its first two epochs. The fence:
    `base` is the number of pages the writer last knew. Page numbers only grow, and a rewrite skips at least one,
    so while ``pages <= base + 1`` holds the ids of all appends since then are still on the item, and the condition
    sees whether this very append was applied before.
    """

    entry: bytes
    messages: int
    cost: int
    ops: frozenset[bytes]  # all are remembered
    op: bytes  # and this one must not be there yet
    room: int  # the tail may have at most this many bytes before
    now: int
    expires: int | None
    generation: int | None = None
    base: int = 0
    expected: int | None = None
    own: Changes = NO_CHANGES


def insert(wish: Insert, key: SessionKey, names: Names) -> Expression:
    """UpdateItem of the normal case."""
    e = Expression()
    entries = e.value({"L": [{"B": wish.entry}]})
    history, version = e.name(names.history), e.name(layout.VERSION)
    now, one = e.value(number(wish.now)), e.value(number(1))
    if wish.generation is None:
        zero = e.value(number(0))
        e.assign(names.history, f"list_append(if_not_exists({history}, {e.value({'L': []})}), {entries})")
        e.assign(layout.VERSION, f"if_not_exists({version}, {e.value(number(wish.now - 1))}) + {one}")
        e.assign(layout.GENERATION, f"if_not_exists({e.name(layout.GENERATION)}, {now})")
        e.assign(layout.CREATED, f"if_not_exists({e.name(layout.CREATED)}, {now})")
        e.assign(layout.PAGES, f"if_not_exists({e.name(layout.PAGES)}, {zero})")
    else:
        e.assign(names.history, f"list_append({history}, {entries})")
        e.assign(layout.VERSION, f"{version} + {one}")
    e.assign(layout.UPDATED, now)
    if wish.expires is not None:
        e.set(names.ttl, number(wish.expires))
    e.add(layout.COUNT, number(wish.messages))
    e.add(layout.TAIL_BYTES, number(wish.cost))
    e.add(layout.TAIL_OPS, {"BS": sorted(wish.ops)})
    _set_own(e, wish.own)
    e.require(_insertable(e, wish, key, names))
    return e


def _insertable(e: Expression, wish: Insert, key: SessionKey, names: Names) -> str:
    if wish.expected == 0:
        return _absent(e, key)
    op = e.value({"B": wish.op})
    conditions = [
        f"attribute_not_exists({e.name(layout.INTENT)})",
        f"{e.name(layout.TAIL_BYTES)} <= {e.value(number(wish.room))}",
        f"NOT contains({e.name(layout.TAIL_OPS)}, {op})",
        f"NOT contains({e.name(layout.PAGE_OPS)}, {op})",
        _unexpired(e, names, wish.now),
    ]
    if wish.expected is not None:
        conditions.append(f"{e.name(layout.VERSION)} = {e.value(number(wish.expected))}")
    else:
        conditions.append(f"{e.name(layout.PAGES)} <= {e.value(number(wish.base + 1))}")
    if wish.generation is not None:
        conditions.append(f"{e.name(layout.GENERATION)} = {e.value(number(wish.generation))}")
    else:  # both are there: a damaged item must not get new ones, or its pages would be lost
        conditions.append(f"{e.name(layout.GENERATION)} <= {e.name(layout.VERSION)}")
    live = " AND ".join(conditions)
    may_be_absent = wish.generation is None and wish.expected is None
    return f"({_absent(e, key)} OR ({live}))" if may_be_absent else live


def swing(
    old: SessionItem | None, new: SessionItem, key: SessionKey, names: Names, own: Changes = NO_CHANGES
) -> Expression:
    """UpdateItem from one state to the next, on condition that nothing happened in between."""
    # A patch may have changed these since `old` was seen, at the same version.
    before = {**old.attributes(names), layout.FLOOR: {}, layout.PAGES_EXPIRE: {}} if old else {}
    e = _change(before, new.attributes(names))
    _set_own(e, own)
    if old:
        e.require(f"{e.name(layout.VERSION)} = {e.value(number(old.version))}")
        e.require(f"{e.name(layout.GENERATION)} = {e.value(number(old.generation))}")
    else:
        e.require(_absent(e, key))
    return e


def lease(old: SessionItem, intent: Intent, names: Names, now: int, op: bytes | None = None) -> Expression:
    """UpdateItem that takes the lease on a session whatever its version: others append without pause.

    With the `op` of an append: only where it has not taken place since `old` was seen, by the fence as in `insert`.
    """
    e = Expression()
    version, held = e.name(layout.VERSION), e.name(layout.INTENT)
    e.assign(layout.VERSION, f"{version} + {e.value(number(1))}")
    e.set(layout.INTENT, intent.attribute())
    e.require(f"{e.name(layout.GENERATION)} = {e.value(number(old.generation))}")
    e.require(f"(attribute_not_exists({held}) OR {held}.{e.name('op')} = {e.value({'B': intent.op})})")
    e.require(_unexpired(e, names, now))
    if op is not None:
        for attribute in (layout.TAIL_OPS, layout.PAGE_OPS):
            e.require(f"NOT contains({e.name(attribute)}, {e.value({'B': op})})")
        e.require(f"{e.name(layout.PAGES)} <= {e.value(number(old.pages + 1))}")
    return e


def end_lease(old: Intent, names: Names, *, versioned: bool) -> Expression:
    """UpdateItem that lets anybody take over this very intent at once; what it announced can be committed no more."""
    e = Expression()
    if versioned:  # an item of the incumbent has no version: its commit is on condition of the intent itself
        e.assign(layout.VERSION, f"{e.name(layout.VERSION)} + {e.value(number(1))}")
    e.set(layout.INTENT, replace(old, lease=0).attribute())
    e.require(f"{e.name(layout.INTENT)} = {e.value(old.attribute())}")
    return e


def patch(old: SessionItem, new: SessionItem, names: Names) -> Expression:
    """UpdateItem of bookkeeping that leaves the version alone: as long as the same pages are the history."""
    e = _change(old.attributes(names), new.attributes(names))
    for name, number_seen in ((layout.GENERATION, old.generation), (layout.PAGES, old.pages)):
        e.require(f"{e.name(name)} = {e.value(number(number_seen))}")
    return e


def from_community(
    old: CommunityItem, new: SessionItem | CommunityItem, names: Names, own: Changes = NO_CHANGES
) -> Expression:
    """UpdateItem of an item in the incumbent's format: only if its whole list is still the one that was read."""
    e = _change(old.attributes(names), new.attributes(names))
    e.once = isinstance(new, CommunityItem) and new.intent is not None and old.intent is None
    _set_own(e, own)
    require_unchanged(e, old, names)
    return e


def append_community(
    old: CommunityItem | None,
    natives: AttributeValue,
    op: bytes,
    ops: frozenset[bytes],
    names: Names,
    now: int,
    expires: int | None,
    own: Changes = NO_CHANGES,
) -> Expression:
    """UpdateItem that appends to the incumbent's list; with `old`, only if its list is still that one."""
    e = Expression()
    history = e.name(names.history)
    if expires is not None:
        e.set(names.ttl, number(expires))
    e.assign(names.history, f"list_append(if_not_exists({history}, {e.value({'L': []})}), {e.value(natives)})")
    e.add(layout.TAIL_OPS, {"BS": sorted(ops)})
    _set_own(e, own)
    e.require(f"attribute_not_exists({e.name(layout.VERSION)})")
    e.require(f"attribute_not_exists({e.name(layout.INTENT)})")
    e.require(f"NOT contains({e.name(layout.TAIL_OPS)}, {e.value({'B': op})})")
    e.require(_unexpired(e, names, now))
    if old:
        e.require(f"{history} = {e.value(old.history)}")
    return e


def put_page(page: Page) -> Expression:
    """PutItem of a page: nothing may be there but an older cut, or the very same one."""
    e = Expression()
    cut, token = e.name(layout.CUT), e.name(layout.TOKEN)
    version = e.value(number(page.cut))
    same = f"({cut} = {version} AND {token} = {e.value({'B': page.token})})"
    e.require(f"(attribute_not_exists({cut}) OR {cut} < {version} OR {same})")
    return e


def page_without_ops(key: SessionKey, names: Names) -> dict[str, Any]:
    """BatchGetItem of pages: all attributes but the operation ids."""
    e = Expression()
    attributes = (*key.item, *layout.PAGE_ATTRIBUTES, names.ttl)
    return {"ProjectionExpression": ", ".join(map(e.name, attributes)), **e.request()}


def delete_page(up_to: int) -> Expression:
    """DeleteItem of a page that no commit can reach any more: a later cut of that number must survive it."""
    e = Expression()
    e.require(f"{e.name(layout.CUT)} <= {e.value(number(up_to))}")
    return e


def refresh_page(expires: int, names: Names) -> Expression:
    """UpdateItem that lets a page live longer; a page that is gone stays gone."""
    e = Expression()
    e.set(names.ttl, number(expires))
    e.require(f"attribute_exists({e.name(layout.CUT)})")
    return e


def delete_item(old: SessionItem | CommunityItem, names: Names) -> Expression:
    """DeleteItem of the session item as it was seen."""
    e = Expression()
    if isinstance(old, SessionItem):
        e.require(f"{e.name(layout.VERSION)} = {e.value(number(old.version))}")
    else:
        require_unchanged(e, old, names)
    return e


def require_unchanged(e: Expression, old: CommunityItem, names: Names) -> None:
    """The item is still the incumbent's, with this list and this lease."""
    e.require(f"attribute_not_exists({e.name(layout.VERSION)})")
    for name, value in ((names.history, old.history if old.has_history else None), (layout.INTENT, old.intent)):
        stored = value.attribute() if isinstance(value, Intent) else value
        condition = f"{e.name(name)} = {e.value(stored)}" if stored else f"attribute_not_exists({e.name(name)})"
        e.require(condition)


def _change(before: Item, after: Item) -> Expression:
    """SET what differs, REMOVE what is gone; attributes that are not ours stay as they are."""
    e = Expression()
    for name, value in after.items():
        if before.get(name) != value:
            e.set(name, value)
    for name in before:
        if name not in after:
            e.remove(name)
    return e


def listed(e: Expression, names: Names, now: int, *, keys: Collection[str], history: bool) -> str:
    """What readers see as a session: no page, nothing unborn, being deleted or expired, and nobody else's items.

    `keys` are those of the table or index, which a filter may not mention and every item has. `history` tells whether
    the items carry it, by which those of the incumbent are known.
    """
    intent, kind = e.name(layout.INTENT), e.name("kind")
    kept = f"(attribute_not_exists({intent}) OR {intent}.{kind} <> {e.value({'S': 'delete'})})"
    conditions = [kept, _unexpired(e, names, now)]
    if layout.CREATED not in keys:
        session = f"attribute_exists({e.name(layout.CREATED)})"
        if history:
            theirs = f"attribute_not_exists({e.name(layout.VERSION)}) AND attribute_exists({e.name(names.history)})"
            session = f"({session} OR ({theirs}))"
        conditions.append(session)
    return " AND ".join(conditions)


def _set_own(e: Expression, own: Changes) -> None:
    """Set, or remove, attributes of the user's own."""
    for name, value in own.items():
        if value is None:
            e.remove(name)
        else:
            e.set(name, value)


def _unexpired(e: Expression, names: Names, now: int) -> str:
    ttl = e.name(names.ttl)
    return f"(attribute_not_exists({ttl}) OR {ttl} > {e.value(number(now // 1_000_000))})"


def _absent(e: Expression, key: SessionKey) -> str:
    """There is no item: every item has its key attributes."""
    e.once = True
    name, _, _ = key.attributes[0]
    return f"attribute_not_exists({e.name(name)})"
