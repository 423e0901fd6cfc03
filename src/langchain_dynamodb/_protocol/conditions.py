"""Each conditional write of the storage protocol as an expression. No I/O.

What begins something, a session or the conversion of an item, is to be sent `once`: when somebody has taken it back,
its condition holds again, and a late copy would bring back the very state that the writer goes on from, but no pages.
"""

from __future__ import annotations

from collections.abc import Collection

from .._dynamodb.attribute_values import NO_CHANGES, Changes, Item, number
from .._dynamodb.expressions import Expression, Statement
from .._items import attribute_names as lc
from .._items.clock import FIVE_YEARS
from .._items.community_item import CommunityItem
from .._items.configured_names import Names
from .._items.keys import SessionKey
from .._items.recognition import KNOWN_BY
from .._items.session_items import Intent, SessionItem

_PATCHED: Item = {lc.FLOOR: {}, lc.CEILING: {}, lc.PAGES_EXPIRE: {}}


def compare_and_set(
    old: SessionItem | None, new: SessionItem, key: SessionKey, names: Names, own: Changes = NO_CHANGES
) -> Statement:
    """UpdateItem from one state to the next, on condition that nothing happened in between.

    The lease of an intent may have been renewed since `old` was seen.
    """
    return _exchange(old, new, key, names, own).statement()


def _exchange(
    old: SessionItem | None, new: SessionItem, key: SessionKey, names: Names, own: Changes = NO_CHANGES
) -> Expression:
    before = old.attributes(names) if old else {}
    if old:  # a patch may have changed these since it was seen, at the same version
        before |= _PATCHED
    # Without a tail an empty list may be stored, as earlier versions left it; entries of others look otherwise here.
    if not (old and old.tail) or (old.others and not new.others):
        before[names.history] = {}
    e = change(before, new.attributes(names))
    set_own(e, own)
    if old:
        _require_version(e, old)
        if names.history in e.values_set:  # others append without a new version
            _require_list(e, old, names)
    else:
        e.require(absent(e, key.attributes[0][0]))
    return e


def to_community(old: SessionItem, new: CommunityItem, names: Names) -> Statement:
    """UpdateItem that puts an item in langchain_community's format in the place of a session, if that is unchanged."""
    before = {**old.attributes(names), **_PATCHED, names.history: {}}
    e = change(before, new.attributes(names))
    _require_version(e, old)
    _require_list(e, old, names)
    return e.statement()


def lease(old: SessionItem, intent: Intent, names: Names, now: int, op: bytes | None = None) -> Statement:
    """UpdateItem that takes the lease on a session whatever its version: others append without pause.

    Not where another region has taken it over. With the `op` of an append: only where that has not taken place since
    `old` was seen, by the fence of an insert.
    """
    e = Expression()
    version, held = e.name(lc.VERSION), e.name(lc.INTENT)
    e.assign(lc.VERSION, f"{version} + {e.value(number(1))}")
    e.set(lc.INTENT, intent.attribute())
    e.require(f"{e.name(lc.GENERATION)} = {e.value(number(old.generation))}")
    e.require(f"(attribute_not_exists({held}) OR {is_of(e, intent.op)})")
    e.require(f"{e.name(lc.HOME)} = {e.value({'S': old.home})}" if old.home else _lacks(e, lc.HOME))
    e.require(unexpired(e, names, now))
    if op is not None:
        for attribute in (lc.TAIL_OPS, lc.PAGE_OPS):
            e.require(f"NOT contains({e.name(attribute)}, {e.value({'B': op})})")
        e.require(f"{e.name(lc.PAGES)} <= {e.value(number(old.epoch + 1))}")
    return e.statement()


def take_over(old: SessionItem, new: SessionItem, key: SessionKey, names: Names) -> Statement:
    """UpdateItem that exchanges an intent for one of ours, unless its owner has renewed the lease since it was seen."""
    e = _exchange(old, new, key, names)
    if old.intent:
        require_lease(e, old.intent)
    return e.statement()


def renew_lease(op: bytes, until: int) -> Statement:
    """UpdateItem that moves the end of the lease of an intent, and nothing else: the version stays."""
    e = Expression()
    e.assign_to(e.path(_LEASE), e.value(number(until)))
    e.require(is_of(e, op))
    return e.statement()


def end_lease(op: bytes, ended: bytes, *, versioned: bool) -> Statement:
    """UpdateItem that lets anybody take over the intent `op` at once; what it announced can be committed no more.

    The intent gets another id, `ended`, so that its owner's renewals are refused and, on an item of
    langchain_community, which has no version, its commit.
    """
    e = Expression()
    if versioned:
        e.assign(lc.VERSION, f"{e.name(lc.VERSION)} + {e.value(number(1))}")
    e.assign_to(e.path(_LEASE), e.value(number(0)))
    e.assign_to(e.path(_OP), e.value({"B": ended}))
    e.require(is_of(e, op))
    return e.statement()


_OP, _LEASE = f"{lc.INTENT}.op", f"{lc.INTENT}.lease"
_INTENT_GENERATION = f"{lc.INTENT}.generation"


def is_of(e: Expression, op: bytes) -> str:
    """There is an intent of this operation. Maps as a whole are never compared: not every engine can."""
    return f"{e.path(_OP)} = {e.value({'B': op})}"


def require_lease(e: Expression, intent: Intent) -> None:
    e.require(f"{e.path(_LEASE)} = {e.value(number(intent.lease))}")


def patch(old: SessionItem, new: SessionItem, names: Names) -> Statement:
    """UpdateItem of bookkeeping that leaves the version alone: as long as the same pages are the history."""
    e = change(old.attributes(names), new.attributes(names))
    for name, number_seen in ((lc.GENERATION, old.generation), (lc.PAGES, old.epoch)):
        e.require(f"{e.name(name)} = {e.value(number(number_seen))}")
    if new.pages_expire != old.pages_expire:
        e.require(_pages_expire_as_seen(e, old, names))
    if new.edit != old.edit:
        e.require(f"{e.name(lc.EDITED)} = {e.value(number(old.edited))}")
    return e.statement()


def _pages_expire_as_seen(e: Expression, old: SessionItem, names: Names) -> str:
    """Nobody else has extended the pages, or made the session permanent."""
    noted = e.name(lc.PAGES_EXPIRE)
    if old.pages_expire:
        return f"{noted} = {e.value(number(old.pages_expire))}"
    return f"attribute_not_exists({noted}) AND attribute_exists({e.name(names.ttl)})"


def delete_item(old: SessionItem | CommunityItem, names: Names) -> Statement:
    """DeleteItem of the session item as it was seen."""
    e = Expression()
    if isinstance(old, SessionItem):
        _require_version(e, old)
    else:
        require_unchanged(e, old, names)
    return e.statement()


def _require_version(e: Expression, old: SessionItem) -> None:
    """Neither changed nor deleted and begun anew."""
    e.require(f"{e.name(lc.VERSION)} = {e.value(number(old.version))}")
    e.require(f"{e.name(lc.GENERATION)} = {e.value(number(old.generation))}")


def _require_list(e: Expression, old: SessionItem, names: Names) -> None:
    """Nobody else has put anything into the list. Not every engine takes the size of what is missing: it comes last."""
    history = e.name(names.history)
    if old.others:
        e.require(f"{history} = {e.value(old.others)}")
    else:
        e.require(f"size({history}) = {e.value(number(old.entries))}")


def require_unchanged(e: Expression, old: CommunityItem, names: Names) -> None:
    """The item is still langchain_community's, with this list, these operation ids, and an intent of the same owner."""
    e.require(f"attribute_not_exists({e.name(lc.VERSION)})")
    require_content(e, old, names)
    if old.intent is None:
        e.require(_lacks(e, lc.INTENT))
    else:  # attempts of one operation differ by their generation alone: what an earlier one declared may come late
        e.require(is_of(e, old.intent.op))
        e.require(f"{e.path(_INTENT_GENERATION)} = {e.value(number(old.intent.generation))}")


def require_content(e: Expression, old: CommunityItem, names: Names) -> None:
    """Neither the list nor the operation ids on it are others.

    The ids tell it from one with the same messages, that was changed back or begun anew since.
    """
    stored = old.attributes(names)
    for name in (names.history, lc.TAIL_OPS):
        e.require(f"{e.name(name)} = {e.value(stored[name])}" if name in stored else _lacks(e, name))


def _lacks(e: Expression, name: str) -> str:
    return f"attribute_not_exists({e.name(name)})"


def change(before: Item, after: Item) -> Expression:
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
    the items carry it, by which those of langchain_community are known.
    """
    intent, version = e.name(lc.INTENT), e.name(lc.VERSION)
    conditions = [f"NOT {intent}.{e.name('kind')} = {e.value({'S': 'delete'})}", unexpired(e, names, now)]
    if lc.CREATED not in keys:
        # What is unborn has an intent; without one the item is damaged, which must not go unnoticed.
        damaged = f"(attribute_exists({version}) AND attribute_not_exists({intent}))"
        sessions = [f"attribute_exists({e.name(lc.CREATED)})", damaged]
        if history:
            sessions.append(f"(attribute_not_exists({version}) AND {community_list(e, names)})")
        conditions.append(f"({' OR '.join(sessions)})")
    return " AND ".join(conditions)


def community_list(e: Expression, names: Names) -> str:
    """As `recognition.is_community_list`: the history is empty, or begins with messages of langchain_community."""
    history, kind, data = e.name(names.history), e.name("type"), e.name("data")
    list_type, text, mapping = (e.value({"S": name}) for name in ("L", "S", "M"))
    entries = [
        f"(attribute_type({history}[{i}].{kind}, {text}) AND attribute_type({history}[{i}].{data}, {mapping}))"
        for i in range(KNOWN_BY)
    ]
    empty = f"size({history}) = {e.value(number(0))}"
    return f"(attribute_type({history}, {list_type}) AND ({' OR '.join([empty, *entries])}))"


def set_own(e: Expression, own: Changes) -> None:
    """Set, or remove, attributes of the user's own."""
    for name, value in own.items():
        if value is None:
            e.remove(name)
        else:
            e.set(name, value)


def unexpired(e: Expression, names: Names, now: int) -> str:
    """As `clock.is_expired`: a TTL stamp of another type than a number is none."""
    since, until = (e.value(number(n)) for n in (now // 1_000_000 - FIVE_YEARS, now // 1_000_000))
    return unexpired_within(e, names, since, until)


def unexpired_within(e: Expression, names: Names, since: str, until: str) -> str:
    """The same, between placeholders of two times in seconds: five years ago and now."""
    ttl = e.name(names.ttl)
    return f"NOT (attribute_type({ttl}, {e.value({'S': 'N'})}) AND {ttl} BETWEEN {since} AND {until})"


def absent(e: Expression, key_name: str) -> str:
    """There is no item: every item has its key attributes, of which this is one."""
    e.once = True
    return f"attribute_not_exists({e.name(key_name)})"
