"""Appends: one conditional update where nothing is in the way, else a page cut, else a batch under an intent."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

from .._dynamodb.attribute_values import Changes
from .._items.attribute_names import CHAIN
from .._items.community_item import CommunityItem, State
from .._items.keys import SessionKey
from .._items.parsing import corrupt
from .._items.session_items import SessionItem
from .._protocol.append import Append, Circumstances, Cut, Ids, Insert, decide, pack
from .._protocol.expiry import NO_EXPIRY
from .._protocol.identity import check_content, check_exists, check_expected
from .._protocol.pages import Batch, Destination
from .._protocol.unknown_outcome import Doubt, unknown_outcome
from .._threads import off_loop
from ..errors import ChatHistoryError, StorageError
from .expiring import extend_after, extend_before
from .pending_edits import carry_out
from .preparing import Preparer
from .reading import Reader
from .retrying import Patience, preparing, truthful
from .salvaging import Salvager
from .steps import Steps
from .table import Refused
from .writer import Content

TRIM_PAGES = 8  # pages looked at together when old ones are dropped


@dataclass(frozen=True)
class Appender:
    """Rules 1 to 3: appends in our format."""

    steps: Steps
    reader: Reader
    converter: Preparer
    ttl: int | None

    async def append(
        self,
        key: SessionKey,
        content: Content,
        ids: Ids,
        expected: int | None,
        *,
        history_size: int | None,
        own: Changes,
        must_exist: bool,
    ) -> int:
        """See `Writer`. One request where nothing is in the way."""
        to = Destination(key, self.steps.codec, self.steps.sizes)
        packing = partial(pack, to, content.lines, ids, history_size, own, must_exist, content.is_much)
        request = await off_loop(packing) if content.is_much else packing()
        seen = self.steps.known.get(key)
        elsewhere = self.steps.home is not None and self.steps.is_elsewhere(seen)
        item = seen if seen and not elsewhere and request.can_follow(seen, expected, self.steps.clock()) else None
        vault = self.steps.vault
        if vault.encrypts and vault.must_encrypt(item):
            item = None
        failure: Refused | StorageError | None = None
        new: SessionItem | None = None
        # A large one must know where it goes, an encrypted one its key; and what could never be sent gets its error so.
        blind = request.fits(None) and not vault.encrypts and not elsewhere
        if (item or blind) and not (request.must_exist and expected == 0):
            try:
                new = await self._attempt(key, item, request, expected)
            except (Refused, StorageError) as error:
                failure = error
        if new is None:
            new = await self._go_on(key, item, request, expected, failure)
        if new.expires is not None:
            await extend_after(self.steps, key, new, self.ttl)
        return new.version

    async def _go_on(
        self,
        key: SessionKey,
        item: State | None,
        request: Append,
        expected: int | None,
        failure: Refused | StorageError | None,
    ) -> SessionItem:
        """Look, and try again until it is there; `failure` is that of an attempt on `item` without a look.

        Returns the state after the append, or the current one if an earlier attempt was applied.
        """
        given = expected
        doubt, patience = Doubt(), self.steps.patience(f"append to session {key}", attempts=int(failure is not None))
        with truthful(key, doubt):
            while True:
                if failure is not None:
                    item = self._after(failure, item, expected, doubt, patience)
                await patience.wait()
                if not self.steps.is_idle(item):
                    item = await self.steps.await_idle(key, request.call)
                self.steps.check_home(key, item)
                if doubt.active and not isinstance(item, SessionItem) and not doubt.is_open_to(item):
                    raise unknown_outcome(key)  # deleted meanwhile
                try:
                    if isinstance(item, CommunityItem):
                        if item.has_op(request.op):  # which the conversion may forget
                            doubt.check_content(key, request.ops, item.ops)
                            return await self.converter.convert(key, item, request.call)
                        check_expected(key, item, expected)
                        if request.must_exist:
                            check_exists(key, item)
                        item = await self.converter.convert(key, item, request.call)
                        expected = None if expected is None else item.version
                    else:
                        if item and await self._is_done(key, item, request, expected, doubt):
                            return item
                        check_expected(key, item, expected, given)  # a conversion of ours may be in between
                        if request.must_exist:
                            check_exists(key, item)
                        if item and self.steps.vault.must_encrypt(item):
                            item = await self.converter.prepared(key, item, request.call)
                            expected = None if expected is None else item.version
                    busy = expected is None and patience.attempt >= self.steps.timing.races
                    if item and busy and not request.fits(None):
                        item = await self.steps.lease(key, item, request.call, request.op)
                    return await self._attempt(key, item, request, expected)
                except (Refused, StorageError) as error:
                    failure = error

    @staticmethod
    def _after(
        failure: Refused | StorageError, item: State | None, expected: int | None, doubt: Doubt, patience: Patience
    ) -> State | None:
        """What may be built on after an attempt failed: the item that was in its way, where the engine told."""
        if isinstance(failure, Refused):
            if failure.retried:
                doubt.widen(item, expected)
            patience.lost(failure)
            return failure.current
        if not failure.outcome_unknown:
            raise failure
        doubt.widen(item, expected)
        return None

    async def _is_done(
        self, key: SessionKey, item: SessionItem, request: Append, expected: int | None, doubt: Doubt
    ) -> bool:
        """Whether an earlier attempt of this append was applied.

        Raises `OutcomeUnknownError` where that can no longer be told, and `IdempotencyError` for a known key
        with other messages.
        """
        stored = item.tail_ops | item.page_ops
        if request.ops <= stored:
            return True
        if doubt.active and item.version != expected:  # any attempt would have changed that
            if await self._in_pages(key, item, request, doubt):
                return True
            if expected == 0:
                raise unknown_outcome(key)  # it may have begun a session that was deleted since, and this is the next
        if request.op in stored:
            check_content(key, request.ops, stored)
        return False

    async def _in_pages(self, key: SessionKey, item: SessionItem, request: Append, doubt: Doubt) -> bool:
        """Whether it is in a committed page; raises `OutcomeUnknownError` where it may have been in one dropped since.

        What lies under the numbers of dropped pages (by a rewrite, a truncate or `history_size`) may never have been
        committed.
        """
        if not doubt.is_open_to(item):
            raise unknown_outcome(key)
        numbers = doubt.pages_of(item)
        pages = await self.steps.table.get_pages(key, item.generation, numbers, consistent=True, whole=True)
        now = await self.reader.item(key) if numbers else item
        if not (isinstance(now, SessionItem) and now.keeps_pages_of(item)):
            raise unknown_outcome(key)
        if any(request.ops <= page.ops for page in pages.values()):
            return True
        if doubt.may_be_dropped(item, pages.values()) or len(pages) < len(numbers):
            raise unknown_outcome(key)
        for page in pages.values():
            if request.op in page.ops:
                check_content(key, request.ops, page.ops)
        doubt.settle_below(item.epoch)
        return False

    async def _attempt(
        self, key: SessionKey, item: SessionItem | None, request: Append, expected: int | None
    ) -> SessionItem:
        """One attempt on the state seen; `Refused` when it was no longer the current one."""
        if item is None or item.intent is None:
            return await self._carry_out(key, item, request, expected)
        async with self.steps.holding(key, item):
            return await self._carry_out(key, item, request, expected)

    async def _carry_out(
        self, key: SessionKey, item: SessionItem | None, request: Append, expected: int | None
    ) -> SessionItem:
        vault = self.steps.vault
        if item is not None and item.cipher is not None:
            cipher = item.cipher if item.cipher.aead is not None else await vault.opened(key, item.cipher)
            request = request.at(Destination(key, self.steps.codec.of(cipher), self.steps.sizes))
            if item.intent or item.edit or not request.fits(item):  # an insert needs no more of it
                item = replace(item, cipher=cipher)
        elif vault.encrypts:
            if vault.must_encrypt(item):  # since it was leased
                raise Refused(item, retried=False)
            request = request.at(await self.steps.destination(key, item))
        if item is not None and item.edit:
            with preparing():
                item = await carry_out(self.steps, key, item)
        now, times = self.steps.clock(), NO_EXPIRY
        if self.ttl is not None or (item is not None and item.expires is not None):
            item, times = await extend_before(self.steps, key, item, now, self.ttl)
        at = Circumstances(self.steps.table.names, now, times, expected, self.steps.home)
        tail_lines = partial(self.reader.decoder.tail_lines, key, item) if item else list
        deciding = partial(decide, request, item, at, tail_lines)
        decision = await off_loop(deciding) if request.is_much else deciding()
        if isinstance(decision, Insert):
            new = await self.steps.table.update(key, decision.update)
            assert isinstance(new, SessionItem)  # the condition and the update see to it
            if item is not None and item.generation == new.generation and item.floor > new.floor:
                new = replace(new, floor=item.floor)  # an insert takes no note of what was removed
            self.steps.known.put(key, new)
            return new
        if isinstance(decision, Cut):
            assert item is not None  # whose tail becomes the page
            return await self._cut(key, item, request, decision)
        return await self._batch(key, item, request, decision)

    async def _cut(self, key: SessionKey, item: SessionItem, request: Append, cut: Cut) -> SessionItem:
        try:
            await self.steps.put(key, item.generation, [cut.page])
            cleared = await self.steps.clear(key, item, self.steps.timing.clearing)
            kept = await self._without_old_pages(key, item, request)
            new = replace(cut.commit(kept), floor=cleared.floor, ceiling=cleared.ceiling)
            new = self.steps.noting(new, [cut.page])
            committed = await self.steps.compare_and_set(key, item, new, request.own)
        except (ChatHistoryError, Refused) as error:
            refused = error if isinstance(error, Refused) else Refused(None, retried=False)
            if not refused.beyond:
                numbers = [cut.page.number]
                await self.steps.discard_unreachable(key, item.generation, numbers, item.version, refused.current)
            elif not item.intent:
                await self._bump(key, item, refused.beyond)
            raise
        self.reader.pages.remember(key, committed, cut.page)
        if committed.has_dropped_pages and not cleared.has_dropped_pages:  # else that is just not to be had
            # By `history_size`; the next cut notes that they are gone.
            committed = await self.steps.clear(key, committed, self.steps.timing.clearing)
            self.steps.known.put(key, committed.locked)
        return committed

    async def _batch(self, key: SessionKey, item: SessionItem | None, request: Append, batch: Batch) -> SessionItem:
        kept = await self._without_old_pages(key, batch.base, request)

        def commit(start: SessionItem) -> SessionItem:
            return batch.commit(start.without_pages(kept.first_page, kept.trimmed, start.removed - kept.removed))

        intent = self.steps.intent(request.call, "append", batch.base.generation, batch.numbers)
        trimming, seconds = batch._replace(commit=commit), self.steps.timing.clearing
        return await self.steps.under_intent(key, item, intent, trimming, request.own, seconds)

    async def _bump(self, key: SessionKey, item: SessionItem, beyond: int) -> None:
        """A page is in the way: make the version newer than it is, if nobody else has, and cut again."""
        with preparing():
            new = await self.steps.compare_and_set(key, item, replace(item, version=max(item.version, beyond) + 1))
        raise Refused(new, retried=False)

    async def _without_old_pages(self, key: SessionKey, item: SessionItem, request: Append) -> SessionItem:
        """The state without the pages that lie wholly before the newest `history_size` messages after this append.

        The parts of one page fall together, with the last of them.
        """
        if not request.history_size:
            return item
        bound = item.count + len(request.lines) - request.history_size
        seen, first = item, item.first_page
        for start in range(first, item.pages, TRIM_PAGES):
            numbers = range(start, min(start + TRIM_PAGES, item.pages))
            pages = await self.steps.table.get_pages(key, item.generation, numbers, consistent=True)
            for number in numbers:
                page = pages.get(number)
                if page is None:
                    return await Salvager(self.reader).past_missing(key, item, bound)
                old = item.trimmed + (page.messages if page.indexes else 1) <= bound
                if (old or item.first_page > first) and (page.first != item.trimmed or page.end > item.tail_start):
                    if not await self.reader.is_unchanged(key, seen):
                        raise Refused(None, retried=False)  # the number is another page's by now
                    raise corrupt(key.page(item.generation, number), CHAIN, "not where the session says")
                if not old:
                    return item
                if page.indexes:
                    item = item.without_pages(number + 1, page.end, page.removed)
                    bound += page.removed
        return item
