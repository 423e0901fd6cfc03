"""Appends (rules 1 to 3): what one becomes on the state that was seen."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import count
from typing import Any, NamedTuple

from .._dynamodb.attribute_values import AttributeValue, Changes
from .._dynamodb.expressions import Expression, Statement
from .._items import attribute_names as lc
from .._items.clock import FIVE_YEARS, is_expired
from .._items.configured_names import Names
from .._items.page_items import TAIL_TOKEN, Page
from .._items.session_items import SessionItem, entry_cost, new_op, tail_room
from ..codec import messages as codec
from ..codec.long_lines import Line, pieces_of
from ..errors import InvalidInputError
from .conditions import absent, unexpired_within
from .expiry import Expiries
from .pages import PAGE_INFLATED, Batch, Destination, PageStart, Placement, make_pages, paginate
from .states import next_state, tail_bytes, unborn


class Append(NamedTuple):
    """What a caller wants appended: encoded once, sent as often as needed."""

    to: Destination
    room: int  # bytes that a tail has for entries and operation ids
    lines: tuple[Line, ...]
    block: bytes
    entry: bytes  # the block as it is stored in the tail
    cost: int  # bytes it adds to that
    call: bytes  # identifies this very call: its intents are its own
    op: bytes  # identifies this append: a fresh id, or that of the caller's idempotency key
    ops: frozenset[bytes]  # remembered with it: `op`, and with a key also the hash of the content
    history_size: int | None
    own: Changes  # attributes to set along with it
    must_exist: bool  # never begin a session
    is_much: bool = False  # to lay it out takes long

    @property
    def token(self) -> bytes:
        """Marks pages with these very messages: another caller may use the same key with others."""
        return b"".join(sorted(self.ops))

    def at(self, to: Destination) -> Append:
        """The same for a session that may be encrypted with another key, as each one that begins is."""
        if to.cipher is self.to.cipher:
            return self
        entry = to.codec.seal(self.block, to.key.place()) if self.block else b""
        return self._replace(to=to, room=to.room, entry=entry, cost=entry_cost(entry, self.ops))

    def fits(self, item: SessionItem | None) -> bool:
        """Whether it can go into the tail as it is."""
        used = item.tail_bytes if item else 0
        return used + self.cost <= self.room and sum(map(len, self.lines)) <= PAGE_INFLATED

    def can_follow(self, item: SessionItem, expected: int | None, now: int) -> bool:
        """Whether an item that was seen before can serve as the base without another look.

        One that holds the append already (the caller repeats an idempotency key) cannot: of the ids, only the condition
        of an insert takes notice, not that of a page cut.
        """
        idle = item.intent is None and (item.expires is None or not is_expired(item.expires, now))
        return idle and expected in (None, item.version) and not item.has_op(self.op)


class Ids(NamedTuple):
    """How an append is recognised: by `op`, a fresh id or that of the caller's idempotency key; all are remembered."""

    op: bytes
    all: frozenset[bytes]


def ids_of(idempotency_key: str | None, lines: Sequence[Line]) -> Ids:
    """The ids of an append: a key is remembered together with a hash of its content."""
    if idempotency_key is None:
        op = new_op()
        return Ids(op, frozenset([op]))
    if not isinstance(idempotency_key, str) or not idempotency_key:
        raise InvalidInputError(f"idempotency_key={idempotency_key!r} must be a text that is not empty, or None")
    op = hashlib.blake2b(idempotency_key.encode("utf-8", "surrogatepass"), digest_size=10).digest()
    content = hashlib.blake2b(key=op, digest_size=9)
    for i, line in enumerate(lines):
        content.update(b"\n" if i else b"")
        for piece in pieces_of(line):
            content.update(piece)
    return Ids(op, frozenset([op, content.digest()]))


def pack(
    to: Destination,
    lines: Sequence[Line],
    ids: Ids,
    history_size: int | None,
    own: Changes,
    must_exist: bool,
    is_much: bool = False,
) -> Append:
    """Pack the messages of an append, for the tail if they may go there at all."""
    block = codec.pack(lines) if sum(map(len, lines)) <= PAGE_INFLATED else b""
    entry = to.codec.seal(block, to.key.place()) if block else b""
    room, cost = tail_room(to.sizes, to.key), entry_cost(entry, ids.all)
    about = (ids.op, ids.all, history_size, own, must_exist, is_much)
    return Append(to, room, tuple(lines), block, entry, cost, new_op(), *about)


class Insert(NamedTuple):
    """Rule 1: one UpdateItem puts it into the tail, whatever others append meanwhile."""

    update: Statement


class Cut(NamedTuple):
    """Rule 2: the tail becomes a page, then the session item is exchanged.

    `commit` makes its next state from the one seen, less the old pages that are to be dropped.
    """

    page: Page
    commit: Callable[[SessionItem], SessionItem]


@dataclass(frozen=True, slots=True)
class Circumstances:
    """When an append is tried, and what of its session is known."""

    names: Names
    now: int
    times: Expiries
    expected: int | None
    home: str | None = None  # the region that writes


def decide(
    request: Append,
    item: SessionItem | None,
    at: Circumstances,
    tail_lines: Callable[[], Sequence[Line]],
) -> Insert | Cut | Batch:
    """What to do on the state that was seen (None: not seen, or absent); `tail_lines` tells the messages of its tail.

    Whoever holds a lease (an intent is on the item) cuts in any case: an insert would be kept off by it.
    """
    now, times = at.now, at.times
    if (item is None or item.intent is None) and request.fits(item):
        return Insert(_insert(request, item, at))
    placement = place_append(tail_lines(), request)
    commit = partial(appended, placement=placement, request=request, now=now, times=times)
    if item is not None and len(placement.drafts) == 1:
        # A page of the tail alone is the same whoever cuts it.
        token, ops = (TAIL_TOKEN, frozenset[bytes]()) if placement.tail else (request.token, request.ops)
        (page,) = make_pages(placement.drafts, request.to, item, PageStart.after(item, times.pages), token, ops)
        return Cut(page, commit)

    def pages(start: SessionItem) -> list[Page]:
        beginning = PageStart.after(start, times.pages)
        return make_pages(placement.drafts, request.to, start, beginning, request.token, request.ops)

    base = item or unborn(now, request.to.cipher)
    return Batch(base, base.pages, placement.drafts, pages, commit)


def place_append(tail_lines: Sequence[Line], request: Append) -> Placement:
    """The old tail becomes a page; the new messages start the next tail, or join the page when they are too many.

    Which they are when they would be alone in that tail: it would be paid for, and then cut by the next append.
    At least one page is cut in any case: that is what lets the ids of the last page go (see the fence).
    """
    if tail_lines and request.fits(None) and 2 * request.cost <= request.room:
        return Placement(paginate(tail_lines, request.to.sizes), (request.entry,))
    return Placement(paginate([*tail_lines, *request.lines], request.to.sizes), ())


def appended(item: SessionItem, placement: Placement, request: Append, now: int, times: Expiries) -> SessionItem:
    """State after an append that cut pages from the tail of `item`."""
    pages = item.pages + len(placement.drafts)
    count = item.count + len(request.lines)
    end = count + item.removed
    page_ops = item.tail_ops
    return next_state(
        item,
        now,
        times.session,
        created=item.created or now,
        pages=pages,
        page_version=item.version,
        pages_expire=times.of_pages(item),
        reach=item.reach if item.reach >= pages else -1,
        count=count,
        tail=placement.tail,
        tail_start=end - (len(request.lines) if placement.tail else 0),
        tail_ops=request.ops,
        page_ops=page_ops,
        tail_bytes=tail_bytes(placement.tail, request.ops | page_ops),
    )


class _Shape(NamedTuple):
    """What the text of an insert depends on."""

    names: Names
    key_name: str
    known: bool  # the state was seen
    expected: bool | None  # a version is; None: that there is no session
    expires: bool
    must_exist: bool
    sealed: bool  # the session is encrypted, or begins so
    home: bool  # it is one of this region
    own: tuple[tuple[str, bool], ...]  # attributes of the user's own, and whether each is set or removed


def _insert(request: Append, item: SessionItem | None, at: Circumstances) -> Statement:
    """UpdateItem of the normal case: adds an entry to the tail, sent without a look at the item first.

    The fence: where no session is known, the item may be absent, or in its first two epochs; else ``epoch <= base + 1``
    of the epoch last known. It only grows, by two at least where pages are dropped, so while that holds the ids of all
    appends since then are still on the item, and the condition sees whether this very append was applied before.
    """
    expected, expires, now = at.expected, at.times.session, at.now
    cipher = request.to.codec.cipher
    if cipher is not None and item is None:
        expected = 0  # no session that is there can have this key
    own = tuple((name, value is not None) for name, value in request.own.items())
    shape = _Shape(
        names=at.names,
        key_name=request.to.key.attributes[0][0],
        known=item is not None,
        expected=None if expected == 0 else expected is not None,
        expires=expires is not None,
        must_exist=request.must_exist,
        sealed=cipher is not None,
        home=at.home is not None,
        own=own,
    )
    text = _insert_text(shape)
    numbers = {"now": now, "messages": len(request.lines), "cost": request.cost}
    if item is None:
        numbers["before"] = now - 1
    else:
        numbers["generation"] = item.generation
    values_set: dict[str, AttributeValue] = {name: value for name, value in request.own.items() if value is not None}
    values: dict[str, AttributeValue] = {f"own{i}": value for i, value in enumerate(values_set.values())}
    if cipher is not None:
        values["key"] = {"B": cipher.stored}
    if at.home is not None:
        values["home"] = {"S": at.home}
    if expires is not None:
        values["expires"] = values_set[at.names.ttl] = {"N": str(expires)}
    if expected != 0:
        values["op"] = {"B": request.op}
        seconds = now // 1_000_000
        numbers |= {"room": request.room - request.cost, "since": seconds - FIVE_YEARS, "until": seconds}
        if expected is not None:
            numbers["expected"] = expected
        else:
            numbers["fence"] = (item.epoch if item else 0) + 1
    values |= {name: {"N": str(number)} for name, number in numbers.items()}
    values |= {"entries": {"L": [{"B": request.entry}]}, "ops": {"BS": sorted(request.ops)}}
    given = {text.placeholders[name]: value for name, value in values.items()}
    return Statement(
        {**text.parameters, "ExpressionAttributeValues": {**text.fixed, **given}}, values_set, once=text.once
    )


class _Text(NamedTuple):
    """A request without what differs each time."""

    parameters: dict[str, Any]
    fixed: dict[str, AttributeValue]  # values that are always the same
    placeholders: dict[str, str]  # of the others
    once: bool


@lru_cache(maxsize=256)
def _insert_text(shape: _Shape) -> _Text:
    e = Expression()
    names = shape.names
    entries, now = e.parameter("entries"), e.parameter("now")
    history, version = e.name(names.history), e.name(lc.VERSION)
    one = e.value({"N": "1"})
    if shape.known:
        e.assign(names.history, f"list_append({history}, {entries})")
        e.assign(lc.VERSION, f"{version} + {one}")
    else:
        e.assign(names.history, f"list_append(if_not_exists({history}, {e.value({'L': []})}), {entries})")
        e.assign(lc.VERSION, f"if_not_exists({version}, {e.parameter('before')}) + {one}")
        e.assign(lc.GENERATION, f"if_not_exists({e.name(lc.GENERATION)}, {now})")
        e.assign(lc.CREATED, f"if_not_exists({e.name(lc.CREATED)}, {now})")
        e.assign(lc.PAGES, f"if_not_exists({e.name(lc.PAGES)}, {e.value({'N': '0'})})")
        if shape.sealed:
            e.assign(lc.KEY, e.parameter("key"))
    if shape.home:
        e.assign(lc.HOME, e.parameter("home"))
    e.assign(lc.UPDATED, now)
    if shape.expires:
        e.assign(names.ttl, e.parameter("expires"))
    e.add_to(lc.COUNT, e.parameter("messages"))
    e.add_to(lc.TAIL_BYTES, e.parameter("cost"))
    e.add_to(lc.TAIL_OPS, e.parameter("ops"))
    values = (e.parameter(f"own{i}") for i in count())
    for name, is_set in shape.own:
        if is_set:
            e.assign(name, next(values))
        else:
            e.remove(name)
    e.require(_insertable(e, shape))
    parameters = e.request()
    values = parameters.pop("ExpressionAttributeValues")
    given = {*e.parameters.values()}
    return _Text(parameters, {p: v for p, v in values.items() if p not in given}, e.parameters, e.once)


def _insertable(e: Expression, shape: _Shape) -> str:
    if shape.expected is None:
        return absent(e, shape.key_name)
    names, op = shape.names, e.parameter("op")
    conditions = [
        f"attribute_not_exists({e.name(lc.INTENT)})",
        f"{e.name(lc.TAIL_BYTES)} <= {e.parameter('room')}",
        f"NOT contains({e.name(lc.TAIL_OPS)}, {op})",
        f"NOT contains({e.name(lc.PAGE_OPS)}, {op})",
        unexpired_within(e, names, e.parameter("since"), e.parameter("until")),
    ]
    # What is plain never joins what is encrypted, nor the other way round.
    key = e.name(lc.KEY)
    conditions.append(f"{key} = {e.parameter('key')}" if shape.sealed else f"attribute_not_exists({key})")
    if shape.home:
        home = e.name(lc.HOME)
        conditions.append(f"(attribute_not_exists({home}) OR {home} = {e.parameter('home')})")
    if shape.expected:
        conditions.append(f"{e.name(lc.VERSION)} = {e.parameter('expected')}")
    else:
        conditions.append(f"{e.name(lc.PAGES)} <= {e.parameter('fence')}")
    if shape.known:
        conditions.append(f"{e.name(lc.GENERATION)} = {e.parameter('generation')}")
    else:  # both are there: a damaged item must not get new ones, or its pages would be lost
        conditions.append(f"{e.name(lc.GENERATION)} <= {e.name(lc.VERSION)}")
    conditions.append(f"attribute_exists({e.name(names.history)})")  # or the history has another name
    live = " AND ".join(conditions)
    may_be_absent = not shape.known and not shape.expected and not shape.must_exist
    return f"({absent(e, shape.key_name)} OR ({live}))" if may_be_absent else live
