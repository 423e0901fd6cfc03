"""Writes of several steps under an intent and its lease, and the settling of what others left unfinished."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeAlias, TypeVar

from .._dynamodb.attribute_values import NO_CHANGES, Changes
from .._items.clock import is_expired
from .._items.community_item import CommunityItem, State
from .._items.keys import GENERATIONS, SessionKey
from .._items.session_items import Intent, SessionItem, new_op
from .._items.sizes import MAX_WRITE_PAGES
from .._protocol import community, conditions, states
from .._protocol.pages import Batch
from ..errors import ChatHistoryError, InvalidInputError, StorageError
from .leases import Watched, repeating
from .off_loop import off_loop_if_many
from .retrying import last_words, preparing
from .single_writes import SingleWrites
from .table import Refused

LATEST = 2 * GENERATIONS  # above any version
Arrived: TypeAlias = Callable[[SessionKey, SessionItem], Awaitable[None]]
T = TypeVar("T")


@dataclass(frozen=True)
class Steps(SingleWrites):
    """What writes are made of."""

    arrived: Arrived | None = None  # given to take over sessions of other regions: which of them may be

    async def _check_region(self, key: SessionKey, item: State | None) -> None:
        """As `check_home`, before anything is settled; who takes over sees that nothing of the session is late."""
        if self.arrived is None:
            self.check_home(key, item)
        elif isinstance(item, SessionItem) and item.home != self.home:
            await self.arrived(key, item)

    async def under_intent(
        self,
        key: SessionKey,
        item: SessionItem | None,
        intent: Intent,
        batch: Batch,
        own: Changes = NO_CHANGES,
        clearing: float | None = None,
    ) -> SessionItem:
        """Declare what may be written, put the pages, commit; what is dropped is removed then, in so many seconds."""
        declaration = self.compare_and_set(key, item, states.declared(batch.base, intent, self.clock()))
        start = await self.declare(key, intent, declaration)
        async with self.holding(key, start):
            data = [draft.data for draft in batch.drafts]
            pages = await off_loop_if_many(data, partial(batch.pages, start))  # which encrypts them
            await self.put(key, start.generation, pages)
            new = await self.compare_and_set(key, start, self.noting(batch.commit(start), pages), own)
        return await self.sweep(key, new, clearing)

    def intent(self, op: bytes, kind: str, generation: int, pages: range) -> Intent:
        """An intent to write pages of these numbers."""
        if len(pages) > MAX_WRITE_PAGES:
            advice = "append them in several calls, or use larger Sizes(page=..., item=...)"
            if kind == "copy":
                advice = "copy fewer (keep=...), or export the session and import it with larger Sizes(page=...)"
            raise InvalidInputError(
                f"these messages need {len(pages)} pages, and one call writes at most {MAX_WRITE_PAGES}: {advice}"
            )
        return Intent(op, kind, generation, pages.start, pages.stop - 1, self._lease_end())

    def _lease_end(self) -> int:
        return max(0, self.clock() + int(self.timing.lease * 1e6))

    async def lease(self, key: SessionKey, item: SessionItem, call: bytes, op: bytes | None = None) -> SessionItem:
        """Keep other writers off a busy session; returns its state, with our intent on it.

        `op` is that of an append, which others may have carried out meanwhile: `Refused` then.
        """
        intent = self.intent(call, "lease", item.generation, range(item.pages, item.pages))
        request = conditions.lease(item, intent, self.table.names, self.clock(), op)
        held = await self.declare(key, intent, self.table.update(key, request))
        assert isinstance(held, SessionItem)  # the condition saw to it
        return replace(held, cipher=item.cipher) if held.cipher == item.cipher else held

    async def release(self, key: SessionKey, held: SessionItem) -> SessionItem:
        """Give back a lease that was not needed; where that fails it runs out."""
        with contextlib.suppress(ChatHistoryError, Refused):
            return await self.compare_and_set(key, held, states.released(held))
        return held

    async def declare(
        self, key: SessionKey, intent: Intent, request: Coroutine[Any, Any, T], *, versioned: bool = True
    ) -> T:
        """Make the request that puts an intent on the item.

        Where the task is cancelled meanwhile, the answer is waited for, within bounds, and the lease ended then: the
        end must not overtake the beginning.
        """
        sent = asyncio.ensure_future(request)
        try:
            with preparing():
                return await asyncio.shield(sent)
        except asyncio.CancelledError:
            await last_words(self._undeclare(sent, key, intent, versioned), self.timing.last_words)
            raise

    async def _undeclare(self, sent: asyncio.Future[Any], key: SessionKey, intent: Intent, versioned: bool) -> None:
        try:
            await asyncio.wait([sent], timeout=self.timing.answer)
        finally:
            sent.cancel()
            await asyncio.wait([sent])
        refused = None if sent.cancelled() else sent.exception()
        if not isinstance(refused, Refused) or refused.retried:
            await self._end_lease(key, intent.op, versioned)

    @contextlib.asynccontextmanager
    async def holding(self, key: SessionKey, item: State | None) -> AsyncIterator[None]:
        """While a write works that holds an intent: keep up its lease; where the write fails, take it back at once."""
        if item is None or item.intent is None:
            yield
            return
        try:
            async with self.keeping(key, item.intent.op, versioned=isinstance(item, SessionItem)):
                yield
        except Exception as error:
            with contextlib.suppress(ChatHistoryError):
                await self._give_back(key, item, item.intent, error.beyond if isinstance(error, Refused) else 0)
            raise

    async def _give_back(self, key: SessionKey, item: State, intent: Intent, beyond: int) -> None:
        try:
            await self.take_back(key, item, beyond=beyond, ours=True)
        except Refused as refused:  # somebody else has: perhaps before the pages were there
            cut = item.version if isinstance(item, SessionItem) else intent.generation
            current = refused.current or await self.table.get(key)
            if current and current.intent == intent:
                return  # or nobody has: our request may be late, and so may the commit, which needs the pages
            await self.discard_unreachable(key, intent.generation, _numbers(intent), cut, current)

    @contextlib.asynccontextmanager
    async def keeping(self, key: SessionKey, op: bytes, *, versioned: bool) -> AsyncIterator[None]:
        """Keep up the lease of an intent. Where the task is cancelled, end it: others need not wait for it.

        One request. The pages are left to whoever meets the intent: some may be on their way still.
        """

        async def renew() -> None:
            await self.table.update(key, conditions.renew_lease(op, self._lease_end()))

        try:
            async with repeating(renew, self.timing.renew):
                yield
        except asyncio.CancelledError:
            await last_words(self._end_lease(key, op, versioned), self.timing.last_words)
            raise

    async def _end_lease(self, key: SessionKey, op: bytes, versioned: bool) -> None:
        with contextlib.suppress(ChatHistoryError, Refused):
            await self.table.update(key, conditions.end_lease(op, new_op(), versioned=versioned))

    def is_idle(self, item: SessionItem | CommunityItem | None) -> bool:
        """Whether writes can build on this item as it is. None may also mean that the engine did not say."""
        return item is not None and item.intent is None and not is_expired(item.expires, self.clock())

    async def await_idle(self, key: SessionKey, op: bytes) -> State | None:
        """What is there now, once no write is under way: waits for a lease, takes back what a crash left.

        An unfinished write with our own `op` is one of which we never got the answer: it is taken back at once.
        """
        patience = self.patience(f"get hold of session {key}")
        watched = Watched()
        seen: State | None = None
        while True:
            item = await self.table.get(key)
            if item != seen:  # but for a lease that was renewed
                await self._check_region(key, item)
                seen = item
            if item is None or self.is_idle(item):
                return item
            try:
                with preparing():
                    if await self._settle(key, item, op, watched):
                        continue
            except Refused as refused:  # somebody else settles it, or we do not know whether we did
                patience.lost(refused)
            await patience.wait(at_least=self.timing.poll)

    async def _settle(self, key: SessionKey, item: State, op: bytes, watched: Watched) -> bool:
        """Settle what this item is in the middle of, unless its owner may still be at work."""
        intent = item.intent
        if (intent and intent.kind == "delete") or is_expired(item.expires, self.clock()):
            await self.remove(key, item)
            return True
        assert intent is not None  # else it would be idle
        silent = watched.silence(intent) >= self.timing.lease
        if silent or intent.op == op or intent.lease <= self.clock():
            await self.take_back(key, item)
            return True
        return False

    async def take_back(self, key: SessionKey, item: State, *, beyond: int = 0, ours: bool = False) -> None:
        """Take over an unfinished write, so that its owner cannot commit any more, and remove its traces.

        A lease that was renewed since it was seen has not ended; only we ourselves know better of `ours`. The version
        becomes larger than `beyond`.
        """
        intent = item.intent
        assert intent is not None
        mine = replace(intent, op=new_op(), lease=self._lease_end())
        if isinstance(item, CommunityItem):
            await self.declare(key, mine, self._claim(key, intent, mine, ours), versioned=False)
            async with self.keeping(key, mine.op, versioned=False):
                cut = LATEST if intent.kind == "revert" else intent.generation
                await self._discard(key, item, mine, cut)
                await self.table.update(key, community.drop_intent(mine.op))
            return
        takes = conditions.compare_and_set if ours else conditions.take_over
        free = states.taken_back(item, beyond)
        if item.created and not _numbers(intent):
            await self._step(key, free, takes(item, free, key, self.table.names))
            return
        taken = replace(free, intent=mine)
        await self.declare(key, mine, self._step(key, taken, takes(item, taken, key, self.table.names)))
        async with self.keeping(key, mine.op, versioned=True):
            left_in = await self._discard(key, taken, mine, taken.version)
            if taken.created:
                freed = states.released(taken)
                await self.compare_and_set(key, taken, freed if left_in is None else freed.noting(left_in))
            else:
                with contextlib.suppress(ChatHistoryError):
                    await self.table.objects.delete(key, taken)
                await self.table.delete(key, conditions.delete_item(taken, self.table.names))

    async def _claim(self, key: SessionKey, old: Intent, mine: Intent, ours: bool) -> None:
        try:
            await self.table.update(key, community.claim(old, mine, ours=ours))
        except Refused as refused:
            if not (refused.retried and refused.current and refused.current.intent == mine):
                raise

    async def _discard(self, key: SessionKey, held: State, intent: Intent, cut: int) -> str | None:
        """Remove the pages of a write that was taken over; returns the bucket of those that stay, as of the table."""
        goes_on = isinstance(held, SessionItem) and held.created
        try:
            left_in = await self.table.discard_pages(key, intent.generation, _numbers(intent), cut)
            if left_in is not None and not goes_on:
                self.table.objects.required(key, left_in)
        except ChatHistoryError:
            # A session of ours that goes on remembers how far they reach. Else the intent, for the next writer, does.
            if goes_on:
                return None
            await self._end_lease(key, intent.op, versioned=isinstance(held, SessionItem))
            raise
        return left_in

    async def remove(self, key: SessionKey, item: SessionItem | CommunityItem) -> None:
        """Remove all items of a session, beginning (unless that was done before) with a mark that hides it."""
        self.known.discard(key)
        if isinstance(item, CommunityItem):
            if item.intent:
                await self.take_back(key, item)
                return
            with self.comparing(item):
                await self.table.delete(key, conditions.delete_item(item, self.table.names))
            return
        # One more than are committed: a cut may have stopped half-way.
        numbers = range(item.floor, max(item.pages, item.reach) + 1)
        await self.table.check_objects(key, item, numbers)
        if not (item.intent and item.intent.kind == "delete"):
            await self.table.check_pages(key, item)
            mark = Intent(new_op(), "delete", item.generation, item.floor, item.pages, self.clock())
            item = await self.compare_and_set(key, item, replace(item, version=item.version + 1, intent=mark))
        await self.table.delete_pages(key, item.generation, numbers)
        try:
            await self.table.objects.delete(key, item)
        except StorageError:  # of the bucket, or of the credentials for it
            if item.bucket is not None:  # else there are none, but perhaps of writes that were never finished
                raise
        with contextlib.suppress(Refused):  # whoever met the mark may have been faster
            await self.table.delete(key, conditions.delete_item(item, self.table.names))
        self.known.discard(key)


def _numbers(intent: Intent) -> range:
    return range(intent.first, intent.last + 1)
