"""Appends: one conditional update where nothing is in the way, else a page cut, else a batch under an intent."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

from . import conditions, plan
from .attempts import Doubt, Patience, State, check_content, check_expected, unknown_outcome
from .converting import Converter
from .errors import ChatHistoryError, CorruptSessionError, RepositoryClosedError, SessionBusyError, StorageError
from .keys import SessionKey
from .layout import FIRST, TAIL_TOKEN, CommunityItem, Page, SessionItem, Sizes
from .parsing import corrupt
from .plan import Append, Layout
from .reading import Reader
from .steps import LEASE_AFTER, Steps
from .table import Refused

TRIM_PAGES = 8  # pages looked at together when old ones are dropped

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Appender:
    """Rules 1 to 3: appends in our format."""

    steps: Steps
    reader: Reader
    converter: Converter
    sizes: Sizes
    ttl: int | None

    async def append(self, key: SessionKey, wish: Append, expected: int | None) -> int:
        """Append all messages or none; returns the version. One request where nothing is in the way."""
        doubt = Doubt()
        try:
            new = await self._append(key, wish, expected, doubt)
        except (StorageError, SessionBusyError, CorruptSessionError, RepositoryClosedError) as error:
            if doubt.active:
                raise unknown_outcome(key) from error
            raise
        await self._keep_pages_alive(key, new)
        return new.version

    async def _append(self, key: SessionKey, wish: Append, expected: int | None, doubt: Doubt) -> SessionItem:
        """The state after the append, or the current one if an earlier attempt was applied."""
        item: State | None = self._remembered(key, wish, expected)
        looked = item is None and not wish.fits(None, self.sizes.tail(key))  # a large one must know where it goes
        patience = Patience(f"append to session {key}")
        while True:
            await patience.wait()
            if looked and not self.steps.is_settled(item):
                item = await self.steps.settled(key, wish.call)
            if doubt.active and not isinstance(item, SessionItem) and not doubt.is_open_to(item):
                raise unknown_outcome(key)  # deleted meanwhile
            try:
                if isinstance(item, CommunityItem):
                    if item.has_op(wish.op):  # which the conversion may forget
                        check_content(key, wish.ops, item.ops)
                        return await self.converter.convert(key, item)
                    check_expected(key, item, expected)
                    item = await self.converter.convert(key, item)
                    expected = None if expected is None else item.version
                elif looked:
                    if item and await self._is_done(key, item, wish, expected, doubt):
                        return item
                    check_expected(key, item, expected)
                busy = expected is None and patience.attempt >= LEASE_AFTER
                if item and busy and not wish.fits(None, self.sizes.tail(key)):
                    item = await self.steps.lease(key, item, wish.call, wish.op)
                return await self._append_to(key, item, wish, expected)
            except Refused as refused:
                if refused.retried:
                    doubt.widen(item, expected)
                item = refused.current
            except StorageError as error:
                if not error.outcome_unknown:
                    raise
                doubt.widen(item, expected)
                item = None
            looked = True

    def _remembered(self, key: SessionKey, wish: Append, expected: int | None) -> SessionItem | None:
        """The state last seen, where it can serve as the base of an append without another look.

        One that holds the append already (the caller repeats an idempotency key) cannot: of the ids, only the condition
        of an insert takes notice, not that of a page cut.
        """
        item = self.steps.known.get(key)
        usable = item and self.steps.is_settled(item) and expected in (None, item.version)
        return item if item and usable and not item.has_op(wish.op) else None

    async def _is_done(
        self, key: SessionKey, item: SessionItem, wish: Append, expected: int | None, doubt: Doubt
    ) -> bool:
        """Whether an earlier attempt of this append was applied.

        Raises `OutcomeUnknownError` where that can no longer be told, and `IdempotencyError` for a known key
        with other messages.
        """
        if item.has_op(wish.op):
            check_content(key, wish.ops, item.tail_ops | item.page_ops)
            return True
        if not doubt.active or item.version == expected:  # any attempt would have changed that
            return False
        found = await self._in_pages(key, item, wish, doubt)
        if expected == 0 and not found:
            raise unknown_outcome(key)  # it may have begun a session that was deleted since, and this is the next
        return found

    async def _in_pages(self, key: SessionKey, item: SessionItem, wish: Append, doubt: Doubt) -> bool:
        """Whether it is in a committed page; raises `OutcomeUnknownError` where it may have been in one dropped since.

        What lies under the numbers of dropped pages (by a rewrite or `history_size`) may never have been committed.
        """
        if not doubt.is_open_to(item):
            raise unknown_outcome(key)
        numbers = doubt.pages_of(item)
        pages = await self.steps.table.get_pages(key, item.generation, numbers, consistent=True, ops=True)
        now = await self.reader.item(key) if numbers else item
        if not (isinstance(now, SessionItem) and now.keeps_pages_of(item)):
            raise unknown_outcome(key)
        for page in pages.values():
            if wish.op in page.ops:
                check_content(key, wish.ops, page.ops)
                return True
        unseen = doubt.lo < numbers.start and not any(map(doubt.is_after, pages.values()))
        if unseen or len(pages) < len(numbers):
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
        async with self.steps.giving_back(key, item):
            if item and len(layout.drafts) == 1:
                return await self._cut(key, item, wish, layout)
            return await self._batch(key, item, wish, layout)

    async def _insert(
        self, key: SessionKey, item: SessionItem | None, wish: Append, expected: int | None, room: int
    ) -> SessionItem:
        """Rule 1: one UpdateItem."""
        now = self.steps.clock()
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
            own=wish.own,
        )
        new = await self.steps.table.update(key, conditions.insert(insert, key, self.steps.table.names))
        assert isinstance(new, SessionItem)  # the condition and the update see to it
        self.steps.known.put(key, new)
        return new

    async def _cut(self, key: SessionKey, item: SessionItem, wish: Append, layout: Layout) -> SessionItem:
        """Rule 2: put the page, then swing the session item."""
        now = self.steps.clock()
        times = plan.expiries(now, self.ttl, item)
        token, ops = (TAIL_TOKEN, frozenset[bytes]()) if layout.tail else (wish.token, wish.ops)
        (page,) = plan.make_pages(layout.drafts, item, plan.append_start(item, times.pages), token, ops)
        if not await self.steps.table.put_page(key, item.generation, page):
            await self._bump(key, item)
        await self.steps.table.delete_pages(key, item.generation, range(item.floor, item.first_page))
        kept = await self._without_old_pages(key, item, wish)
        new = replace(plan.appended(kept, layout, wish, now, times), floor=item.first_page)
        try:
            committed = await self.steps.swing(key, item, new, wish.own)
        except Refused as refused:
            await self.steps.discard_unreachable(key, item, [page.number], refused)
            raise
        self.reader.remember(key, committed, page)
        return committed

    async def _batch(self, key: SessionKey, item: SessionItem | None, wish: Append, layout: Layout) -> SessionItem:
        """Rule 3: declare an intent, put the pages, commit."""
        now = self.steps.clock()
        times = plan.expiries(now, self.ttl, item)
        base = item or plan.unborn(now)

        def pages(start: SessionItem) -> list[Page]:
            return plan.make_pages(layout.drafts, start, plan.append_start(start, times.pages), wish.token, wish.ops)

        kept = await self._without_old_pages(key, base, wish)

        def commit(start: SessionItem) -> SessionItem:
            trimmed = replace(start, first_page=kept.first_page, trimmed=kept.trimmed)
            return plan.appended(trimmed, layout, wish, now, times)

        intent = self.steps.intent(wish.call, "append", base.generation, base.pages, layout.drafts)
        return await self.steps.under_intent(key, item, intent, pages, commit, wish.own)

    async def _bump(self, key: SessionKey, item: SessionItem) -> None:
        """A page of this number is there already: make the version newer, if nobody else has, and cut again."""
        await self.steps.swing(key, item, replace(item, version=item.version + 1))
        raise Refused(None, retried=False)

    async def _without_old_pages(self, key: SessionKey, item: SessionItem, wish: Append) -> SessionItem:
        """The state without the pages that lie wholly before the newest `history_size` messages after this append."""
        bound = item.count + len(wish.lines) - (wish.history_size or 0)
        while wish.history_size and item.first_page < item.pages:
            before = item.first_page
            numbers = range(before, min(before + TRIM_PAGES, item.pages))
            pages = await self.steps.table.get_pages(key, item.generation, numbers, consistent=True)
            while (page := pages.get(item.first_page)) and page.first + max(page.messages, 1) <= bound:
                end, following = page.first + page.messages, pages.get(page.number + 1)
                if page.first != item.trimmed or end > item.tail_start or (following and following.first != end):
                    raise corrupt(str(key.page(item.generation, page.number)), FIRST, "not where the session says")
                item = replace(item, first_page=page.number + 1, trimmed=end)
            if item.first_page - before < TRIM_PAGES:
                break
        return item

    async def _keep_pages_alive(self, key: SessionKey, item: SessionItem) -> None:
        """Rule 7: pages outlive the session item. A failure here is made good by the next append."""
        now = self.steps.clock()
        if not plan.needs_refresh(item, now, self.ttl):
            return
        expires = plan.expiries(now, self.ttl, item).pages
        assert expires is not None  # there is a ttl
        try:
            await self.steps.table.check_pages(key, item)
            numbers = range(item.first_page, item.pages)
            await self.steps.table.refresh_pages(key, item.generation, numbers, expires)
            await self.steps.patch(key, item, replace(item, pages_expire=expires))
        except Refused:
            pass  # a page was cut meanwhile; the next append does it
        except ChatHistoryError as error:
            logger.warning("Could not extend the expiry of the pages of a session: %s", type(error).__name__)
