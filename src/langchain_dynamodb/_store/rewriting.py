"""Changes of a session as a whole: replace, truncate, metadata, delete."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeAlias

from .._dynamodb.attribute_values import NO_CHANGES, Changes
from .._items.attributes import check_metadata, merged
from .._items.community_item import CommunityItem, State
from .._items.keys import SessionKey
from .._items.session_items import SessionItem, new_op
from .._protocol import rewrite, states
from .._protocol.expiry import expiries
from .._protocol.pages import PageStart
from .._protocol.sealed_metadata import opened_metadata, sealed_metadata
from ..codec.long_lines import Line
from ..errors import BlobUnavailableError, CorruptSessionError, IncompleteSessionError, MissingBlobsError
from .attempts import change
from .deleting import Deleter
from .expiring import extend_after, extend_before, keep_for_good, unstamped
from .off_loop import off_loop_if_many
from .preparing import Preparer
from .reading import Reader
from .salvaging import Salvager
from .writer import Content

# Pages that cannot be read: of no concern to who writes all anew.
UNREADABLE = (CorruptSessionError, IncompleteSessionError, MissingBlobsError, BlobUnavailableError)

Beginning: TypeAlias = tuple[PageStart, list[Line]]
"""What stays of a history: the pages before a place, and messages that follow them."""

Change: TypeAlias = Callable[[SessionItem | None, bytes], Awaitable[SessionItem | None]]


@dataclass(frozen=True)
class Rewriter(Deleter):
    """Rule 4: changes other than appends, in our format."""

    reader: Reader
    converter: Preparer
    ttl: int | None

    async def replace(
        self, key: SessionKey, content: Content, expected: int | None, *, own: Changes, must_exist: bool
    ) -> int:
        """See `Writer`."""
        lines = content.lines

        async def step(item: SessionItem | None, op: bytes) -> SessionItem | None:
            if not (item or lines or own):
                return None
            return await self._exchange(key, item, lines, op, own)

        return await self._change(key, expected, step, must_exist=must_exist)

    async def truncate(self, key: SessionKey, keep: int, expected: int | None, *, must_exist: bool) -> int:
        """See `Writer`. One write, and the removal of the pages that are dropped."""

        async def step(item: SessionItem | None, op: bytes) -> SessionItem | None:
            if item is None or keep >= item.message_count:
                return item
            in_tail = keep - (item.message_count - item.tail_count)
            if in_tail < 0:
                begun: Beginning | None = None
                with contextlib.suppress(CorruptSessionError):
                    begun = await self.reader.branch(key, item, keep) if keep else None
                if begun and (new := await self._branch(key, item, begun, (), op)):
                    return new
                kept = await Salvager(self.reader).first_lines(key, item, keep)
                return await self._rewrite(key, item, kept, op)
            now = self.steps.clock()
            kept = self.reader.decoder.tail_lines(key, item)[:in_tail]
            old, times = await extend_before(self.steps, key, item, now, self.ttl)
            to = self.steps.to(key, old)
            packing = partial(to.codec.pack, kept, key.place())
            tail = (await off_loop_if_many(kept, packing),) if kept else ()
            new = rewrite.tail_truncated(old, tail, len(kept), op, now, times.session)
            return await self._swing(key, old, new, self.ttl)

        return await self._change(key, expected, step, must_exist=must_exist)

    async def update_metadata(
        self, key: SessionKey, changes: Changes, expected: int | None, *, own: Changes, must_exist: bool
    ) -> int:
        """See `Writer`."""

        async def step(item: SessionItem | None, op: bytes) -> SessionItem:
            to = await self.steps.destination(key, item)
            metadata = merged(opened_metadata(item.metadata, key, to.codec) if item else None, changes)
            check_metadata(metadata, self.steps.sizes)
            now = self.steps.clock()
            item, times = await extend_before(self.steps, key, item, now, self.ttl)
            stored = sealed_metadata(metadata, to) if changes else None
            new = states.described(item or states.unborn(now, to.cipher), stored, op, now, times.session)
            return await self._swing(key, item, new, self.ttl, own)

        return await self._change(key, expected, step, must_exist=must_exist)

    async def set_expiry(self, key: SessionKey, seconds: int | None, expected: int | None) -> int:
        """See `Writer`."""

        async def step(item: SessionItem | None, op: bytes) -> SessionItem:
            assert item is not None  # it must exist
            now = self.steps.clock()
            if seconds is None:
                old = await keep_for_good(self.steps, key, item)
                new = states.permanent(old, op, now)
                return await self.steps.compare_and_set(key, old, new, unstamped(old, self.steps.table.names))
            old, times = await extend_before(self.steps, key, item, now, seconds)
            return await self._swing(key, old, states.changed(old, op, now, times.session), seconds)

        return await self._change(key, expected, step, must_exist=True)

    async def take_over(self, key: SessionKey) -> int:
        """Let this region write the session from now on, once all of it has arrived, as far as that can be seen."""
        steps = replace(self.steps, arrived=self.reader.check_arrived)

        async def step(item: State | None, op: bytes, attempt: int) -> SessionItem:
            assert item is not None  # it must exist
            ready = await self.converter.prepared(key, item, op, encrypt=False)
            if ready.home == steps.home:
                return ready
            return await steps.compare_and_set(key, ready, states.changed(ready, op, steps.clock(), None))

        return await change(steps, key, new_op(), None, step, must_exist=True)

    async def reencrypt(self, key: SessionKey, *, plain: bool) -> int:
        """Write the session anew under a new key of this repository, or (`plain`) under none."""

        async def step(item: SessionItem | None, op: bytes) -> SessionItem:
            assert item is not None  # it must exist
            return item if plain and item.cipher is None else await self.converter.encrypt(key, item, op, plain=plain)

        return await self._change(key, None, step, must_exist=True, encrypt=False)

    async def _change(
        self, key: SessionKey, expected: int | None, step: Change, *, must_exist: bool, encrypt: bool = True
    ) -> int:
        """Take one step from an idle state in our format; unless not `encrypt`, encrypted as here it has to be."""

        async def ours(item: State | None, op: bytes, attempt: int) -> SessionItem | None:
            if item is None:
                return await step(None, op)
            ready = await self.converter.prepared(key, item, op, encrypt=encrypt)
            if isinstance(item, CommunityItem) or expected is not None or attempt < self.steps.timing.races:
                return await step(ready, op)
            held = await self.steps.lease(key, ready, op)
            async with self.steps.holding(key, held):
                ready = await self.converter.prepared(key, held, op, encrypt=encrypt)
                new = await step(ready, op)
                # A step that had nothing to do leaves the lease to us.
                return await self.steps.release(key, ready) if new is ready and ready.intent else new

        return await change(self.steps, key, new_op(), expected, ours, must_exist=must_exist)

    async def _swing(
        self,
        key: SessionKey,
        old: SessionItem | None,
        new: SessionItem,
        ttl: int | None,
        own: Changes = NO_CHANGES,
    ) -> SessionItem:
        """One step that may introduce an expiry, or finds that an earlier one did."""
        new = await self.steps.compare_and_set(key, old, new, own)
        await extend_after(self.steps, key, new, ttl)
        return new

    async def _exchange(
        self, key: SessionKey, item: SessionItem | None, lines: Sequence[Line], op: bytes, own: Changes = NO_CHANGES
    ) -> SessionItem:
        """The whole history: what it begins with is left where it is, if it is there already and little follows."""
        if item and lines and item.first_page < item.pages:
            same, begun = 0, None
            with contextlib.suppress(*UNREADABLE):  # it needs none of that
                same, pages = await self.reader.common(key, item, lines)
                begun = await self.reader.branch(key, item, same, pages) if same else None
            return await self._from(key, item, begun, same, lines, op, own)
        return await self._rewrite(key, item, lines, op, own)

    async def _from(
        self,
        key: SessionKey,
        item: SessionItem,
        begun: Beginning | None,
        same: int,
        lines: Sequence[Line],
        op: bytes,
        own: Changes = NO_CHANGES,
    ) -> SessionItem:
        """The whole history, of which so many messages stay, if any do: by a branch where that can be."""
        branched = await self._branch(key, item, begun, lines[same:], op, own) if begun else None
        return branched or await self._rewrite(key, item, lines, op, own)

    async def _branch(
        self,
        key: SessionKey,
        item: SessionItem,
        begun: Beginning,
        lines: Sequence[Line],
        op: bytes,
        own: Changes = NO_CHANGES,
    ) -> SessionItem | None:
        """What `begun` keeps, then `lines`, in one write; None where that cannot be, and nothing was done."""
        start, kept = begun
        now = self.steps.clock()
        old, times = await extend_before(self.steps, key, item, now, self.ttl)
        following = [*kept, *lines]
        deciding = partial(rewrite.branched, old, start, following, self.steps.to(key, item), op, now, times.session)
        new = await off_loop_if_many(following, deciding)
        return None if new is None else await self.steps.sweep(key, await self._swing(key, old, new, self.ttl, own))

    async def _rewrite(
        self, key: SessionKey, item: SessionItem | None, lines: Sequence[Line], op: bytes, own: Changes = NO_CHANGES
    ) -> SessionItem:
        if item:  # whose pages are deleted afterwards
            await self.steps.table.check_pages(key, item)
        now = self.steps.clock()
        times = expiries(now, self.ttl, item)
        to = await self.steps.destination(key, item)
        deciding = partial(rewrite.decide, lines, item, to, op, now, times)
        decision = await off_loop_if_many(lines, deciding)
        if isinstance(decision, rewrite.Exchange):
            return await self.steps.sweep(key, await self.steps.compare_and_set(key, item, decision.new, own))
        intent = self.steps.intent(op, "rewrite", decision.base.generation, decision.numbers)
        return await self.steps.under_intent(key, item, intent, decision, own)
