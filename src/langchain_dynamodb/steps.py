"""Single steps of the storage protocol, and the settling of what others left unfinished."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from . import conditions, plan
from .attempts import Patience, State, last_words, new_op
from .cache import LRU
from .errors import ChatHistoryError, InvalidInputError
from .keys import SessionKey
from .layout import MAX_WRITE_PAGES, CommunityItem, Intent, Page, SessionItem, is_expired
from .plan import Draft
from .table import Refused, Table
from .values import NO_CHANGES, Changes

LEASE_SECONDS = 10.0  # others leave an unfinished write alone for so long
LEASE_PER_MEGABYTE = 1.0
LEASE_POLL_SECONDS = 0.05
LEASE_AFTER = 3  # lost races after which a write keeps the others off

S = TypeVar("S", SessionItem, CommunityItem)


@dataclass(frozen=True)
class Steps:
    """What a write is made of; `known` holds the session items last seen."""

    table: Table
    known: LRU[SessionItem]
    clock: Callable[[], int]

    async def swing(
        self, key: SessionKey, old: SessionItem | None, new: SessionItem, own: Changes = NO_CHANGES
    ) -> SessionItem:
        """One step of the session item; `Refused` unless `old` is still the current state."""
        try:
            await self.table.update(key, conditions.swing(old, new, key, self.table.names, own))
        except Refused as refused:
            if not (refused.retried and refused.current == new):
                raise
        self.known.put(key, new)
        return new

    async def patch(self, key: SessionKey, old: SessionItem, new: SessionItem) -> SessionItem:
        """Change the bookkeeping, not the content: the version stays."""
        await self.table.update(key, conditions.patch(old, new, self.table.names))
        self.known.put(key, new)
        return new

    async def from_community(self, key: SessionKey, old: CommunityItem, new: S) -> S:
        """One step of an item in the incumbent's format; `Refused` unless `old` is still there."""
        try:
            await self.table.update(key, conditions.from_community(old, new, self.table.names))
        except Refused as refused:
            if not (refused.retried and refused.current == new):
                raise
        if isinstance(new, SessionItem):
            self.known.put(key, new)
        return new

    async def sweep(self, key: SessionKey, item: SessionItem) -> SessionItem:
        """Delete pages that a rewrite dropped. What fails here is made good by the next cut, rewrite or delete."""
        if item.floor < item.first_page:
            with contextlib.suppress(ChatHistoryError, Refused):
                await self.table.delete_pages(key, item.generation, range(item.floor, item.first_page))
                return await self.patch(key, item, replace(item, floor=item.first_page))
        return item

    async def under_intent(
        self,
        key: SessionKey,
        item: SessionItem | None,
        intent: Intent,
        pages: Callable[[SessionItem], list[Page]],
        commit: Callable[[SessionItem], SessionItem],
        own: Changes = NO_CHANGES,
    ) -> SessionItem:
        """Declare what may be written, put the pages, commit."""
        base = item or plan.unborn(intent.generation)
        async with self.unless_cancelled(key, intent):
            start = await self.swing(key, item, plan.declared(base, intent, self.clock()))
        async with self.giving_back(key, start):
            if not await self.table.put_pages(key, start.generation, pages(start)):
                raise Refused(None, retried=False)
            new = await self.swing(key, start, commit(start), own)
        return await self.sweep(key, new)

    async def discard_unreachable(
        self, key: SessionKey, item: SessionItem, numbers: Sequence[int], refused: Refused
    ) -> None:
        """Remove pages put for a session deleted or rewritten meanwhile, by somebody who may have come before them."""
        # Not every engine returns the item, and the pages may be removed only where they are surely not needed.
        current = refused.current or await self.table.get(key)
        if isinstance(current, SessionItem) and current.generation == item.generation and current.lasts:
            numbers = [number for number in numbers if number < current.first_page]
        await self.table.discard_pages(key, item.generation, numbers, item.version)

    def intent(self, op: bytes, kind: str, generation: int, first: int, drafts: Sequence[Draft]) -> Intent:
        """An intent to write these pages, with a lease that is long enough for them."""
        if len(drafts) > MAX_WRITE_PAGES:
            raise InvalidInputError(
                f"these messages need {len(drafts)} pages, and one call writes at most {MAX_WRITE_PAGES}: "
                "append them in several calls, or use larger Sizes(page=..., item=...)"
            )
        lease = LEASE_SECONDS + LEASE_PER_MEGABYTE * sum(len(draft.data) for draft in drafts) / 1e6
        return Intent(op, kind, generation, first, first + len(drafts) - 1, self.clock() + int(lease * 1e6))

    async def lease(self, key: SessionKey, item: SessionItem, call: bytes, op: bytes | None = None) -> SessionItem:
        """Keep other writers off a busy session; returns its state, with our intent on it.

        `op` is that of an append, which others may have carried out meanwhile: `Refused` then.
        """
        intent = self.intent(call, "lease", item.generation, item.pages, ())
        request = conditions.lease(item, intent, self.table.names, self.clock(), op)
        async with self.unless_cancelled(key, intent):
            held = await self.table.update(key, request)
        assert isinstance(held, SessionItem)  # the condition saw to it
        return held

    @contextlib.asynccontextmanager
    async def giving_back(self, key: SessionKey, item: SessionItem | None) -> AsyncIterator[None]:
        """Where a write fails that holds an intent, take it back at once, as far as DynamoDB can be reached."""
        if not (item and item.intent):
            yield
            return
        try:
            async with self.unless_cancelled(key, item.intent):
                yield
        except (ChatHistoryError, Refused):
            with contextlib.suppress(ChatHistoryError, Refused):
                await self._give_back(key, item, item.intent)
            raise

    async def _give_back(self, key: SessionKey, item: SessionItem, intent: Intent) -> None:
        try:
            await self.abandon(key, item)
        except Refused as refused:  # somebody else has: perhaps before the pages were there
            await self.discard_unreachable(key, item, range(intent.first, intent.last + 1), refused)

    @contextlib.asynccontextmanager
    async def unless_cancelled(self, key: SessionKey, intent: Intent, *, versioned: bool = True) -> AsyncIterator[None]:
        """Where the task that declares or holds this intent is cancelled, end its lease: others need not wait for it.

        One request. The pages are left to whoever meets the intent: some may be on their way still.
        """
        try:
            yield
        except asyncio.CancelledError:
            await last_words(self._end_lease(key, intent, versioned))
            raise

    async def _end_lease(self, key: SessionKey, intent: Intent, versioned: bool) -> None:
        with contextlib.suppress(ChatHistoryError, Refused):
            await self.table.update(key, conditions.end_lease(intent, self.table.names, versioned=versioned))

    def is_settled(self, item: SessionItem | CommunityItem | None) -> bool:
        """Whether writes can build on this item as it is. None may also mean that the engine did not say."""
        return item is not None and item.intent is None and not is_expired(item.expires, self.clock())

    async def settled(self, key: SessionKey, op: bytes) -> State | None:
        """What is there now, once no write is under way: waits for a lease, takes back what a crash left.

        An unfinished write with our own `op` is one of which we never got the answer: it is taken back at once.
        """
        patience = Patience(f"get hold of session {key}")
        while True:
            item = await self.table.get(key)
            if item is None or self.is_settled(item):
                return item
            intent = item.intent
            deleting = intent is not None and intent.kind == "delete"
            with contextlib.suppress(Refused):  # somebody else settles it
                if deleting or is_expired(item.expires, self.clock()):
                    await self.remove(key, item)
                    continue
                if intent and (intent.op == op or intent.lease <= self.clock()):
                    await self.abandon(key, item)
                    continue
            await patience.wait(at_least=LEASE_POLL_SECONDS)

    async def abandon(self, key: SessionKey, item: SessionItem | CommunityItem) -> None:
        """Take over an unfinished write, so that its owner cannot commit any more, and remove its traces."""
        intent = item.intent
        assert intent is not None
        mine = replace(intent, op=new_op(), lease=self.clock() + int(LEASE_SECONDS * 1e6))
        numbers = range(intent.first, intent.last + 1)
        async with self.unless_cancelled(key, mine, versioned=isinstance(item, SessionItem)):
            if isinstance(item, CommunityItem):
                held = await self.from_community(key, item, replace(item, intent=mine))
                await self.table.discard_pages(key, intent.generation, numbers, intent.generation)
                await self.from_community(key, held, replace(held, intent=None))
                return
            taken = await self.swing(key, item, replace(item, version=item.version + 1, intent=mine))
            await self.table.discard_pages(key, item.generation, numbers, taken.version)
            if taken.created:
                await self.swing(key, taken, plan.released(taken))
            else:
                await self.table.delete(key, conditions.delete_item(taken, self.table.names))

    async def remove(self, key: SessionKey, item: SessionItem | CommunityItem) -> None:
        """Remove all items of a session, beginning (unless that was done before) with a mark that hides it."""
        self.known.discard(key)
        if isinstance(item, CommunityItem):
            if item.intent:
                return await self.abandon(key, item)
            return await self.table.delete(key, conditions.delete_item(item, self.table.names))
        if not (item.intent and item.intent.kind == "delete"):
            await self.table.check_pages(key, item)
            mark = Intent(new_op(), "delete", item.generation, item.floor, item.pages, self.clock())
            item = await self.swing(key, item, replace(item, version=item.version + 1, intent=mark))
        # One more than are committed: a cut may have stopped half-way.
        numbers = range(item.floor, max(item.pages, item.reach) + 1)
        await self.table.delete_pages(key, item.generation, numbers)
        with contextlib.suppress(Refused):  # whoever met the mark may have been faster
            await self.table.delete(key, conditions.delete_item(item, self.table.names))
        self.known.discard(key)
        return None
