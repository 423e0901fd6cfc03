"""Carries out the storage protocol: look, decide (see `plan`), write on condition, and again when another was faster."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias, TypeVar

from . import conditions, plan
from . import messages as codec
from .errors import (
    ChatHistoryError,
    IdempotencyError,
    InvalidInputError,
    OutcomeUnknownError,
    SessionBusyError,
    StorageError,
    VersionConflictError,
)
from .keys import SessionKey
from .layout import TAIL_TOKEN, CommunityItem, Intent, Page, SessionItem, Sizes, is_expired
from .plan import Append, Draft, Layout, PageStart
from .reading import Reader, Unproven
from .table import Refused, Table
from .values import AttributeValue, attribute_bytes

LEASE_SECONDS = 10.0  # others leave an unfinished write alone for so long
LEASE_PER_MEGABYTE = 1.0
PATIENCE_SECONDS = 30.0  # how long a write waits for others before it gives up
LEASE_POLL_SECONDS = 0.05
LEASE_AFTER = 3  # lost races after which a write keeps the others off
TRIM_PAGES = 8  # pages looked at together when old ones are dropped

State: TypeAlias = SessionItem | CommunityItem
S = TypeVar("S", SessionItem, CommunityItem)
Step: TypeAlias = Callable[[State | None, bytes, int], Awaitable[State | None]]
PagedStep: TypeAlias = Callable[[SessionItem | None, bytes], Awaitable[SessionItem | None]]
Metadata = Mapping[str, "AttributeValue | None"]

logger = logging.getLogger(__name__)


@dataclass
class Doubt:
    """What attempts of unknown outcome leave open: the pages in which their operation may turn up."""

    active: bool = False
    generation: int | None = None  # of the session they were meant for; None: there was none
    lo: int = 0
    hi: int = 0

    def widen(self, item: State | None) -> None:
        """An append on this state of the session may have been applied, or may yet be."""
        seen = item if isinstance(item, SessionItem) else None
        base = seen.pages if seen else 0
        self.lo = min(self.lo, base) if self.active else base
        self.hi = max(self.hi, base + 1)
        self.generation = self.generation or (seen.generation if seen else None)
        self.active = True

    def settle_below(self, pages: int) -> None:
        """Pages below are known not to hold it, and no late attempt can add it there."""
        self.lo = max(self.lo, pages)
        self.active = self.active and self.lo <= self.hi


@dataclass(frozen=True)
class Writer:
    """Writes sessions in our format on one table."""

    table: Table
    reader: Reader
    sizes: Sizes
    ttl: int | None
    clock: Callable[[], int]

    # -- append ------------------------------------------------------------------------------------------------

    async def append(self, key: SessionKey, wish: Append, expected: int | None) -> int:
        """Append all messages or none; returns the version. One request where nothing is in the way."""
        doubt = Doubt()
        try:
            new = await self._append(key, wish, expected, doubt)
        except StorageError as error:
            if doubt.active:
                raise unknown_outcome(key) from error
            raise
        await self._keep_pages_alive(key, new)
        return new.version

    async def _append(self, key: SessionKey, wish: Append, expected: int | None, doubt: Doubt) -> SessionItem:
        """The state after the append, or the current one if an earlier attempt was applied."""
        item: State | None = self._remembered(key, expected)
        looked = False
        if item is None and not wish.fits(None, self.sizes.tail(key)):
            item, looked = await self.settled(key, wish.op), True
        patience = Patience(f"append to session {key}")
        while True:
            try:
                if isinstance(item, CommunityItem):
                    check_expected(key, item, expected)
                    item = await self._convert(key, item)
                    expected = expected and item.version
                elif looked:
                    if item and await self._is_done(key, item, wish, doubt):
                        return item
                    check_expected(key, item, expected)
                if item and patience.attempt >= LEASE_AFTER and not wish.fits(None, self.sizes.tail(key)):
                    item = await self._lease(key, item, wish.op)
                return await self._append_to(key, item, wish, expected)
            except Refused as refused:
                if refused.retried:
                    doubt.widen(item)
                item = refused.current
            except StorageError as error:
                if not error.outcome_unknown:
                    raise
                doubt.widen(item)
                item = None
            looked = True
            await patience.wait()
            if not self._is_settled(item):
                item = await self.settled(key, wish.op)
            if doubt.active and doubt.generation is not None and not isinstance(item, SessionItem):
                raise unknown_outcome(key)  # deleted meanwhile

    def _remembered(self, key: SessionKey, expected: int | None) -> SessionItem | None:
        """The state last seen, where it can serve as the base of an append without another look."""
        item = self.reader.known.get(key)
        usable = item and self._is_settled(item) and expected in (None, item.version)
        return item if usable else None

    async def _is_done(self, key: SessionKey, item: SessionItem, wish: Append, doubt: Doubt) -> bool:
        """Whether an earlier attempt of this append was applied.

        Raises `OutcomeUnknownError` where that can no longer be told, and `IdempotencyError` for a known key
        with other messages.
        """
        if item.has_op(wish.op):
            check_content(key, wish.ops, item.tail_ops | item.page_ops)
            return True
        return doubt.active and await self._in_pages(key, item, wish, doubt)

    async def _in_pages(self, key: SessionKey, item: SessionItem, wish: Append, doubt: Doubt) -> bool:
        if doubt.generation not in (None, item.generation):
            raise unknown_outcome(key)
        numbers = range(doubt.lo, min(doubt.hi + 1, item.pages))
        pages = await self.table.get_pages(key, item.generation, numbers, consistent=True)
        for page in pages.values():
            if wish.op in page.ops:
                check_content(key, wish.ops, page.ops)
                return True
        if len(pages) < len(numbers):  # dropped since: by a rewrite or by history_size
            raise unknown_outcome(key)
        doubt.settle_below(item.pages)
        return False

    async def _append_to(
        self, key: SessionKey, item: SessionItem | None, wish: Append, expected: int | None
    ) -> SessionItem:
        """One attempt on the state seen; `Refused` when it was no longer the current one."""
        room = self.sizes.tail(key)
        leased = item is not None and item.intent is not None
        if wish.fits(item, room) and not leased:
            return await self._insert(key, item, wish, expected, room)
        tail_lines = self.reader.tail_lines(key, item) if item else []
        layout = plan.lay_out_append(tail_lines, wish, room, self.sizes)
        async with self._giving_back(key, item):
            if item and len(layout.drafts) == 1:
                return await self._cut(key, item, wish, layout)
            return await self._batch(key, item, wish, layout)

    async def _insert(
        self, key: SessionKey, item: SessionItem | None, wish: Append, expected: int | None, room: int
    ) -> SessionItem:
        """Rule 1: one UpdateItem."""
        now = self.clock()
        insert = conditions.Insert(
            entry=wish.entry,
            messages=len(wish.lines),
            cost=wish.cost,
            ops=wish.ops,
            op=wish.op,
            room=room - wish.cost,
            now=now,
            expires=plan.expiries(now, self.ttl, item).session,
            generation=item.generation if item else None,
            base=item.pages if item else 0,
            expected=expected,
        )
        new = await self.table.update(key, conditions.insert(insert, key, self.table.names))
        assert isinstance(new, SessionItem)  # the condition and the update see to it
        self.reader.known.put(key, new)
        return new

    async def _cut(self, key: SessionKey, item: SessionItem, wish: Append, layout: Layout) -> SessionItem:
        """Rule 2: put the page, then swing the session item."""
        now = self.clock()
        times = plan.expiries(now, self.ttl, item)
        token = TAIL_TOKEN if layout.tail else wish.op
        (page,) = plan.make_pages(layout.drafts, item, plan.append_start(item, times.pages), token)
        if not await self.table.put_page(key, item.generation, page):
            await self._bump(key, item)
        await self.table.delete_pages(key, item.generation, range(item.floor, item.first_page))
        new = replace(plan.appended(item, layout, wish, now, times), floor=item.first_page)
        if wish.history_size:
            new = await self._trimmed(key, new, page, wish.history_size)
        try:
            return await self._swing(key, item, new)
        except Refused as refused:
            if not (isinstance(refused.current, SessionItem) and refused.current.generation == item.generation):
                # The session was deleted meanwhile: its deleter may have looked before our page arrived.
                await self.table.discard_pages(key, item.generation, [page.number], item.version)
            raise

    async def _batch(self, key: SessionKey, item: SessionItem | None, wish: Append, layout: Layout) -> SessionItem:
        """Rule 3: declare an intent, put the pages, commit."""
        now = self.clock()
        times = plan.expiries(now, self.ttl, item)
        base = item or plan.unborn(now)

        def pages(start: SessionItem) -> list[Page]:
            return plan.make_pages(layout.drafts, start, plan.append_start(start, times.pages), wish.op)

        def commit(start: SessionItem) -> SessionItem:
            return plan.appended(start, layout, wish, now, times)

        intent = self._intent(wish.op, "append", base.generation, base.pages, layout.drafts)
        return await self._under_intent(key, item, intent, pages, commit)

    async def _under_intent(
        self,
        key: SessionKey,
        item: SessionItem | None,
        intent: Intent,
        pages: Callable[[SessionItem], list[Page]],
        commit: Callable[[SessionItem], SessionItem],
    ) -> SessionItem:
        """Declare what may be written, put the pages, commit."""
        base = item or plan.unborn(intent.generation)
        start = await self._swing(key, item, plan.declared(base, intent, self.clock()))
        async with self._giving_back(key, start):
            if not await self.table.put_pages(key, start.generation, pages(start)):
                raise Refused(None, retried=False)
            new = await self._swing(key, start, commit(start))
        return await self._sweep(key, new)

    async def _lease(self, key: SessionKey, item: SessionItem, op: bytes) -> SessionItem:
        """Keep other writers off a busy session; returns its state, with our intent on it."""
        intent = self._intent(op, "lease", item.generation, item.pages, ())
        request = conditions.lease(item, intent, self.table.names, self.clock())
        held = await self.table.update(key, request)
        assert isinstance(held, SessionItem)  # the condition saw to it
        return held

    @contextlib.asynccontextmanager
    async def _giving_back(self, key: SessionKey, item: SessionItem | None) -> AsyncIterator[None]:
        """Where a write fails that holds an intent, take it back at once, as far as DynamoDB can be reached."""
        try:
            yield
        except (ChatHistoryError, Refused):
            if item and item.intent:
                with contextlib.suppress(ChatHistoryError, Refused):
                    await self._abandon(key, item)
            raise

    def _intent(self, op: bytes, kind: str, generation: int, first: int, drafts: Sequence[Draft]) -> Intent:
        lease = LEASE_SECONDS + LEASE_PER_MEGABYTE * sum(len(draft.data) for draft in drafts) / 1e6
        return Intent(op, kind, generation, first, first + len(drafts) - 1, self.clock() + int(lease * 1e6))

    async def _bump(self, key: SessionKey, item: SessionItem) -> None:
        """A page of this number is there already: if the session has not moved on, make its version newer, and cut again."""
        await self._swing(key, item, replace(item, version=item.version + 1))
        raise Refused(None, retried=False)

    async def _trimmed(self, key: SessionKey, new: SessionItem, cut: Page, history_size: int) -> SessionItem:
        """Drop the pages that lie wholly before the newest `history_size` messages; the next cut deletes them."""
        bound = new.count - history_size
        while new.first_page < new.pages:
            numbers = range(new.first_page, min(new.first_page + TRIM_PAGES, cut.number))
            pages = await self.table.get_pages(key, new.generation, numbers, consistent=True)
            pages[cut.number] = cut
            before = new.first_page
            while (page := pages.get(new.first_page)) and page.first + max(page.messages, 1) <= bound:
                new = replace(new, first_page=page.number + 1, trimmed=page.first + page.messages)
            if new.first_page - before < TRIM_PAGES:
                break
        return new

    async def _keep_pages_alive(self, key: SessionKey, item: SessionItem) -> None:
        """Rule 7: pages outlive the session item. A failure here is made good by the next append."""
        now = self.clock()
        if not plan.needs_refresh(item, now, self.ttl):
            return
        expires = plan.expiries(now, self.ttl, item).pages
        assert expires is not None  # there is a ttl
        try:
            numbers = range(item.first_page, item.pages)
            await self.table.refresh_pages(key, item.generation, numbers, expires)
            await self._patch(key, item, replace(item, pages_expire=expires))
        except (ChatHistoryError, Refused) as error:
            logger.warning("Could not extend the expiry of the pages of a session: %s", type(error).__name__)

    # -- the whole history -------------------------------------------------------------------------------------

    async def replace(self, key: SessionKey, lines: Sequence[bytes], expected: int | None) -> int:
        """Rule 4: exchange the history."""

        async def step(item: SessionItem | None, op: bytes) -> SessionItem | None:
            return await self._rewrite(key, item, lines, op) if item or lines else None

        return await self._change(key, expected, step)

    async def truncate(self, key: SessionKey, keep: int, expected: int | None) -> int:
        """Keep the first `keep` messages. Within the tail that is one write, else a rewrite of what is kept."""

        async def step(item: SessionItem | None, op: bytes) -> SessionItem | None:
            if item is None or keep >= item.message_count:
                return item
            in_tail = item.trimmed + keep - item.tail_start
            if in_tail < 0:
                return await self._rewrite(key, item, (await self.reader.lines(key, item))[:keep], op)
            now = self.clock()
            kept = self.reader.tail_lines(key, item)[:in_tail]
            expires = plan.expiries(now, self.ttl, item).session
            return await self._swing(key, item, plan.tail_truncated(item, kept, op, now, expires))

        return await self._change(key, expected, step)

    async def update_metadata(self, key: SessionKey, changes: Metadata, expected: int | None) -> int:
        """Merge into the metadata; `changes` maps names to attribute values, None removes one."""

        async def step(item: SessionItem | None, op: bytes) -> SessionItem:
            now = self.clock()
            base = item or plan.unborn(now)
            merged = {**(base.metadata or {"M": {}})["M"], **changes}
            metadata = {"M": {name: value for name, value in merged.items() if value is not None}}
            check_metadata(metadata, self.sizes)
            new = plan.changed(base, op, now, plan.expiries(now, self.ttl, item).session)
            return await self._swing(key, item, replace(new, created=base.created or now, metadata=metadata))

        return await self._change(key, expected, step)

    async def delete(self, key: SessionKey, expected: int | None) -> None:
        """Mark the session, then remove its pages, then the item."""
        patience = Patience(f"delete session {key}")
        in_doubt = False
        while True:
            item = await self.settled(key, b"")
            if item is None and in_doubt:
                return None
            check_expected(key, item, expected)
            if item is None:
                return None
            try:
                if patience.attempt >= LEASE_AFTER and isinstance(item, SessionItem):
                    item = await self._lease(key, item, new_op())
                return await self._remove(key, item)
            except Refused as refused:
                in_doubt = in_doubt or refused.retried
            except StorageError as error:
                if not error.outcome_unknown:
                    raise
                in_doubt = True
            await patience.wait()

    async def _change(self, key: SessionKey, expected: int | None, step: PagedStep) -> int:
        """Take one step from a settled state in our format."""

        async def ours(item: State | None, op: bytes, attempt: int) -> SessionItem | None:
            if isinstance(item, CommunityItem):
                return await step(await self._convert(key, item), op)
            if item is None or attempt < LEASE_AFTER:
                return await step(item, op)
            held = await self._lease(key, item, op)
            async with self._giving_back(key, held):
                new = await step(held, op)
                # A step that had nothing to do leaves the lease to us.
                return await self._swing(key, held, plan.released(held)) if new is held else new

        return await change(key, new_op(), expected, self.settled, ours)

    async def _rewrite(
        self, key: SessionKey, item: SessionItem | None, lines: Sequence[bytes], op: bytes
    ) -> SessionItem:
        now = self.clock()
        times = plan.expiries(now, self.ttl, item)
        base = item or plan.unborn(now)
        layout = plan.lay_out_all(lines, self.sizes.tail(key), self.sizes)
        first = plan.rewrite_start(base)
        if not layout.drafts:
            new = plan.rewritten(base, layout, len(lines), op, now, times)
            return await self._sweep(key, await self._swing(key, item, new))

        def pages(start: SessionItem) -> list[Page]:
            return plan.make_pages(layout.drafts, start, PageStart(first, 0, 0, times.pages), op)

        def commit(start: SessionItem) -> SessionItem:
            return plan.rewritten(replace(start, reach=base.reach), layout, len(lines), op, now, times)

        intent = self._intent(op, "rewrite", base.generation, first, layout.drafts)
        return await self._under_intent(key, item, intent, pages, commit)

    # -- the incumbent's items ---------------------------------------------------------------------------------

    async def _convert(self, key: SessionKey, item: CommunityItem) -> SessionItem:
        """Rule 4: bring an item of the incumbent into our format, if nobody changes it meanwhile."""
        strict = replace(self.reader, skip_undecodable=False)  # what cannot be read must not be lost
        lines = codec.encode_messages(strict.natives(key, item))
        now, op = self.clock(), new_op()
        base = SessionItem(version=now, generation=now, expires=item.expires)
        times = plan.expiries(now, self.ttl, base)
        layout = plan.lay_out_all(lines, self.sizes.tail(key), self.sizes)
        pages = plan.make_pages(layout.drafts, base, PageStart(0, 0, 0, times.pages), op)
        new = plan.converted(base, layout, len(lines), now, times)
        if not pages:
            return await self._from_community(key, item, new)
        intent = self._intent(op, "convert", now, 0, layout.drafts)
        held = await self._announced(key, item, intent)
        try:
            await self.table.put_pages(key, now, pages)
            return await self._from_community(key, held, new)
        except (ChatHistoryError, Refused):
            with contextlib.suppress(ChatHistoryError, Refused):
                await self._take_back(key, held, intent)
            raise

    async def _announced(self, key: SessionKey, item: CommunityItem, intent: Intent) -> CommunityItem:
        """Declare the conversion on the item, unless its 400 KB have no room for that: safety does not depend on it."""
        try:
            return await self._from_community(key, item, replace(item, intent=intent))
        except StorageError as error:
            if error.code != "ValidationException":
                raise
            return item

    async def _take_back(self, key: SessionKey, held: CommunityItem, intent: Intent) -> None:
        """Remove the pages of a conversion that did not come about, once it is certain that it cannot any more."""
        now = await self.table.get(key)
        if isinstance(now, SessionItem) and now.generation == intent.generation:
            return  # it did
        if isinstance(now, CommunityItem) and now.intent == intent:
            await self._abandon(key, now)
        elif held.intent or not isinstance(now, CommunityItem) or now.history != held.history:
            numbers = range(intent.first, intent.last + 1)
            await self.table.discard_pages(key, intent.generation, numbers, intent.generation)

    async def _from_community(self, key: SessionKey, old: CommunityItem, new: S) -> S:
        try:
            await self.table.update(key, conditions.from_community(old, new, self.table.names))
        except Refused as refused:
            if not (refused.retried and refused.current == new):
                raise
        if isinstance(new, SessionItem):
            self.reader.known.put(key, new)
        return new

    # -- unfinished writes of others ---------------------------------------------------------------------------

    def _is_settled(self, item: SessionItem | CommunityItem | None) -> bool:
        """Whether writes can build on this item as it is. None may also mean that the engine did not say."""
        return item is not None and item.intent is None and not is_expired(item.expires, self.clock())

    async def settled(self, key: SessionKey, op: bytes) -> State | None:
        """What is there now, once no write is under way: waits for a lease, takes back what a crash left.

        An unfinished write with our own `op` is one of which we never got the answer: it is taken back at once.
        """
        patience = Patience(f"get hold of session {key}")
        while True:
            item = await self.table.get(key)
            if item is None or self._is_settled(item):
                return item
            intent = item.intent
            deleting = intent is not None and intent.kind == "delete"
            with contextlib.suppress(Refused):  # somebody else settles it
                if deleting or is_expired(item.expires, self.clock()):
                    await self._remove(key, item)
                    continue
                if intent and (intent.op == op or intent.lease <= self.clock()):
                    await self._abandon(key, item)
                    continue
            await patience.wait(at_least=LEASE_POLL_SECONDS)

    async def _abandon(self, key: SessionKey, item: SessionItem | CommunityItem) -> None:
        """Take over an unfinished write, so that its owner cannot commit any more, and remove its traces."""
        intent = item.intent
        assert intent is not None
        mine = replace(intent, op=new_op(), lease=self.clock() + int(LEASE_SECONDS * 1e6))
        numbers = range(intent.first, intent.last + 1)
        if isinstance(item, CommunityItem):
            held = await self._from_community(key, item, replace(item, intent=mine))
            await self.table.discard_pages(key, intent.generation, numbers, intent.generation)
            await self._from_community(key, held, replace(held, intent=None))
            return
        taken = await self._swing(key, item, replace(item, version=item.version + 1, intent=mine))
        await self.table.discard_pages(key, item.generation, numbers, taken.version)
        if taken.created:
            await self._swing(key, taken, plan.released(taken))
        else:
            await self.table.delete(key, conditions.delete_item(taken, self.table.names))

    async def _remove(self, key: SessionKey, item: SessionItem | CommunityItem) -> None:
        """Remove all items of a session, beginning (unless that was done before) with a mark that hides it."""
        self.reader.known.discard(key)
        if isinstance(item, CommunityItem):
            if item.intent:
                return await self._abandon(key, item)
            return await self.table.delete(key, conditions.delete_item(item, self.table.names))
        if not (item.intent and item.intent.kind == "delete"):
            mark = Intent(new_op(), "delete", item.generation, item.floor, item.pages, self.clock())
            item = await self._swing(key, item, replace(item, version=item.version + 1, intent=mark))
        # One more than are committed: a cut may have stopped half-way.
        numbers = range(item.floor, max(item.pages, item.reach) + 1)
        await self.table.delete_pages(key, item.generation, numbers)
        with contextlib.suppress(Refused):  # whoever met the mark may have been faster
            await self.table.delete(key, conditions.delete_item(item, self.table.names))
        self.reader.known.discard(key)
        return None

    # -- single steps ------------------------------------------------------------------------------------------

    async def _swing(self, key: SessionKey, old: SessionItem | None, new: SessionItem) -> SessionItem:
        """One step of the session item; `Refused` unless `old` is still the current state."""
        try:
            await self.table.update(key, conditions.swing(old, new, key, self.table.names))
        except Refused as refused:
            if not (refused.retried and refused.current == new):
                raise
        self.reader.known.put(key, new)
        return new

    async def _patch(self, key: SessionKey, old: SessionItem, new: SessionItem) -> SessionItem:
        """Change the bookkeeping, not the content: the version stays."""
        await self.table.update(key, conditions.patch(old, new, self.table.names))
        self.reader.known.put(key, new)
        return new

    async def _sweep(self, key: SessionKey, item: SessionItem) -> SessionItem:
        """Delete pages that a rewrite dropped. What fails here is made good by the next cut, rewrite or delete."""
        if item.floor < item.first_page:
            with contextlib.suppress(ChatHistoryError, Refused):
                await self.table.delete_pages(key, item.generation, range(item.floor, item.first_page))
                return await self._patch(key, item, replace(item, floor=item.first_page))
        return item


async def change(
    key: SessionKey,
    op: bytes,
    expected: int | None,
    settled: Callable[[SessionKey, bytes], Awaitable[State | None]],
    step: Step,
) -> int:
    """Look, take one step from what is there, start over when another was faster; returns the version."""
    patience = Patience(f"change session {key}")
    in_doubt = False
    while True:
        try:
            item = await settled(key, op)
            if item and item.has_op(op):
                return item.version
            if in_doubt and expected not in (None, item.version if item else 0):
                raise unknown_outcome(key)
            check_expected(key, item, expected)
            new = await step(item, op, patience.attempt)
            return new.version if new else 0
        except Refused as refused:
            in_doubt = in_doubt or refused.retried
        except StorageError as error:
            if not error.outcome_unknown:
                if in_doubt:
                    raise unknown_outcome(key) from error
                raise
            in_doubt = True
        except Unproven:  # rewritten between our look and the read of its pages
            pass
        await patience.wait()


class Patience:
    """Pauses between attempts, growing, with jitter; `SessionBusyError` when they add up to too much."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.attempt = 0
        self._deadline = time.monotonic() + PATIENCE_SECONDS

    async def wait(self, at_least: float = 0.0) -> None:
        """Wait before the next attempt; the first retry comes at once."""
        self.attempt += 1
        if time.monotonic() > self._deadline:
            raise SessionBusyError(
                f"could not {self.what} for {PATIENCE_SECONDS:.0f} s: others kept it busy; try again"
            )
        pause = random.uniform(0, min(0.005 * 2**self.attempt, 0.5)) if self.attempt > 1 else 0.0
        await asyncio.sleep(max(pause, at_least))


def new_op() -> bytes:
    """A fresh operation id."""
    return os.urandom(8)


def unknown_outcome(key: SessionKey) -> OutcomeUnknownError:
    """The error where even a look at the session does not tell whether a write happened."""
    return OutcomeUnknownError(
        f"the write to session {key} may or may not have been applied, and it can no longer be told which: "
        "read the session before you retry"
    )


def check_expected(key: SessionKey, item: SessionItem | CommunityItem | None, expected: int | None) -> None:
    """Raise `VersionConflictError` unless the session is at the expected version."""
    actual = item.version if item else 0
    if expected not in (None, actual):
        raise VersionConflictError(
            f"session {key} is at version {actual}, not {expected}: read it again and decide anew",
            expected=expected or 0,
            actual=actual,
        )


def check_metadata(metadata: AttributeValue, sizes: Sizes) -> None:
    """Refuse metadata above its bound: every append pays for it."""
    size = attribute_bytes(metadata)
    if size > sizes.metadata:
        raise InvalidInputError(
            f"metadata would have {size} bytes, more than the {sizes.metadata} allowed: every append pays for it; "
            "keep large things elsewhere, or raise Sizes(metadata=...)"
        )


def check_content(key: SessionKey, wanted: frozenset[bytes], stored: frozenset[bytes]) -> None:
    """Raise `IdempotencyError` unless the ids of the content are stored along with that of its idempotency key."""
    if not wanted <= stored:
        raise IdempotencyError(
            f"this idempotency key was used on session {key} for other messages: use a new key for new messages"
        )
