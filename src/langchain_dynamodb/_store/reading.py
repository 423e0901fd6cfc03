"""Consistent snapshots of a session: the session item, and the pages it proves."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

from langchain_core.messages import BaseMessage

from .._items import attribute_names as lc
from .._items.clock import is_expired
from .._items.community_item import CommunityItem
from .._items.keys import SessionKey
from .._items.page_items import Page
from .._items.parsing import corrupt
from .._items.session_items import SessionItem
from .._items.sizes import MAX_INFLATED
from .._protocol.chain import first_break, follows
from .._protocol.missing_pages import is_recent
from .._protocol.pages import PageStart
from .._protocol.rewrite import count_same
from .._protocol.sealed_metadata import opened_metadata
from .._protocol.windows import Snapshot, readable
from ..codec.long_lines import Line
from ..errors import IncompleteSessionError, SessionBusyError, VersionConflictError
from .cache import LRU
from .chunks import SLICE, Chunk, LoadedPage, count, in_runs, newest_of
from .decoding import SLICE_BYTES, Decoder
from .off_loop import off_loop_if_many
from .stored_pages import StoredPages, Unproven
from .table import GET_BATCH
from .vault import Vault

ATTEMPTS = 10  # times a read starts over while the session is rewritten under it
SEARCHED = 64  # messages looked through first, where one is searched

S = TypeVar("S", SessionItem, "SessionItem | CommunityItem")


@dataclass(frozen=True)
class Reader:
    """Reads sessions of one table; `known` holds the session items last seen, locked."""

    pages: StoredPages
    known: LRU[SessionItem]
    clock: Callable[[], int]
    vault: Vault = field(default_factory=Vault)

    @property
    def decoder(self) -> Decoder:
        """What it decodes with."""
        return self.pages.decoder

    @property
    def strict(self) -> Reader:
        """One for writes, which must not lose what cannot be read."""
        if not self.decoder.skip_undecodable:
            return self
        decoder = replace(self.decoder, skip_undecodable=False)
        return replace(self, pages=replace(self.pages, decoder=decoder))

    async def item(self, key: SessionKey) -> SessionItem | CommunityItem | None:
        """The session item as readers see it: None where it is absent, unborn, being deleted or expired."""
        item = await self.pages.table.get(key)
        now = self.clock()
        if isinstance(item, SessionItem):
            if item.is_live(now):
                self.known.put(key, item)
                return item
        elif item is not None and not is_expired(item.expires, now):
            return item
        self.known.discard(key)
        return None

    async def opened(self, key: SessionKey, item: S) -> S:
        """The item unlocked, with its metadata in the clear: to be shown, not to be written back."""
        if not isinstance(item, SessionItem) or item.cipher is None:
            return item
        item = await self.vault.unlocked(key, item)
        return replace(item, metadata=opened_metadata(item.metadata, key, self.decoder.codec.of(item.cipher)))

    async def snapshot(self, key: SessionKey, limit: int | None, unless_version: int | None) -> Snapshot | None:
        """The newest `limit` messages (None: all), oldest first; None if the session is at `unless_version`."""
        for _ in range(ATTEMPTS):
            item = await self.item(key)
            if unless_version is not None and (item.version if item else 0) == unless_version:
                return None
            if item is None:
                return Snapshot(None, [])
            item = await self.opened(key, item)
            try:
                messages = await self._messages(key, item, limit)
            except Unproven as error:
                if await self.is_unchanged(key, error.item):
                    raise self.missing(key, error.item, error.number, error.cut, error.found) from None
                continue
            return Snapshot(item, messages)
        raise SessionBusyError(f"session {key} was rewritten {ATTEMPTS} times while it was read: try again")

    async def iterate(self, key: SessionKey) -> AsyncGenerator[BaseMessage, None]:
        """All messages of one snapshot, oldest first, a few pages in memory at a time.

        Pages are read strongly: going forward, there is no committed version yet to verify them by.
        """
        item = await self.item(key)
        if item is None:
            return
        item = await self.opened(key, item)
        if isinstance(item, CommunityItem):
            tail = await self.decoder.read_natives(key, item)
        else:
            async with contextlib.aclosing(self._iterate_pages(key, item)) as batches:
                async for batch in batches:
                    for message in batch:
                        yield message
            tail = await self.decoder.decode(key, item, self.decoder.tail(key, item))
        for message in tail:
            yield message

    async def lines(self, key: SessionKey, item: SessionItem) -> list[Line]:
        """All messages of this very state as lines; raises `Unproven` when it is no longer the current one."""
        async with self.missing_told(key):
            pages = await self._window(key, item, item.message_count)
        return [line for chunk in pages for line in chunk.lines] + self.decoder.tail_lines(key, item)

    async def common(
        self, key: SessionKey, item: SessionItem, lines: Sequence[Line]
    ) -> tuple[int, Sequence[LoadedPage]]:
        """How many messages this very state begins with as `lines` do, and its pages, if it does.

        The oldest page is looked at first. The others are inflated from there up, while they are the same. Raises as
        the method `lines` does.
        """
        same = 0
        run: list[LoadedPage] = []
        async with self.missing_told(key):
            if await self._begins_otherwise(key, item, lines[0]):
                return 0, ()
            pages = await self.pages.newest(key, item, item.message_count)
            for loaded in pages:
                run.append(loaded)
                if not loaded.page.indexes:
                    continue
                (chunk,) = await self.pages.inflate(key, item, run)
                wanted = len(chunk.lines)
                counting = partial(count_same, chunk.lines, lines[same : same + wanted])
                alike = await off_loop_if_many(chunk.lines, counting)
                same += alike
                if alike < wanted:
                    return same, pages
                run = []
                await asyncio.sleep(0)
        return same + count_same(self.decoder.tail_lines(key, item), lines[same:]), pages

    async def _begins_otherwise(self, key: SessionKey, item: SessionItem, line: Line) -> bool:
        """Whether its oldest page tells that its first message is another one."""
        number = item.first_page
        known = self.pages.remembered(key, item, number)
        for loaded in [known, None] if known else [None]:
            if loaded is None:  # or it may be an older page of that number
                page = (await self.pages.get(key, item, [number], consistent=True)).get(number)
                if page is None or not follows(item, None, page):
                    return False  # which is told by who reads all
                loaded = LoadedPage(page)
            chunks = await self.pages.inflate(key, item, [loaded]) if loaded.page.parts == 1 else []
            first = chunks[0].lines[:1] if chunks else []
            if not first or await off_loop_if_many(first, partial(count_same, first, [line])) == 1:
                return False
        return True

    async def branch(
        self, key: SessionKey, item: SessionItem, keep: int, pages: Sequence[LoadedPage] | None = None
    ) -> tuple[PageStart, list[Line]]:
        """Where pages have to begin that hold the first messages up to `keep` and then others, and the former's lines.

        Those before are whole pages. All of its `pages` may be given, where they are known. Raises as `lines` does.
        """
        left = keep - (item.message_count - item.tail_count)
        if left >= 0:
            return PageStart.after(item), self.decoder.tail_lines(key, item)[:left]
        if pages is None:
            async with self.missing_told(key):
                pages = await self.pages.newest(key, item, -left)
        left += sum(loaded.page.messages for loaded in pages)
        removed = item.removed - sum(loaded.page.removed for loaded in pages)
        for run in in_runs(pages):
            if run[-1].page.messages > left:
                break
            left -= run[-1].page.messages
            removed += run[-1].page.removed
        start = PageStart(run[0].page.number, run[0].page.previous, run[-1].page.first, removed=removed)
        if not left:
            return start, []
        (chunk,) = await self.pages.inflate(key, item, run)
        return start, chunk.lines[:left]

    async def newest_first(self, key: SessionKey, item: SessionItem) -> AsyncGenerator[tuple[Page, list[Line]], None]:
        """Its pages with their lines, of a message in parts the last one, fetched as they are asked for.

        Raises as `lines` does.
        """
        top, wanted = item.pages, SEARCHED
        while top > item.first_page:
            async with self.missing_told(key):
                pages = await self.pages.newest(key, item, wanted)
            for run in reversed(in_runs(loaded for loaded in pages if loaded.page.number < top)):
                async with self.missing_told(key):
                    (chunk,) = await self.pages.inflate(key, item, run)  # whose object is fetched only now
                yield run[-1].page, chunk.lines
                await asyncio.sleep(0)
            top = pages[0].page.number
            wanted = 4 * max(wanted, sum(loaded.page.messages for loaded in pages))

    @contextlib.asynccontextmanager
    async def missing_told(self, key: SessionKey) -> AsyncIterator[None]:
        """Around a read of the current state: `Unproven` only where it is that no more, else the error that tells."""
        try:
            yield
        except Unproven as error:
            if await self.is_unchanged(key, error.item):
                raise self.missing(key, error.item, error.number, error.cut, error.found) from None
            raise

    async def _messages(
        self, key: SessionKey, item: SessionItem | CommunityItem, limit: int | None
    ) -> list[BaseMessage]:
        if limit == 0:
            return []
        if isinstance(item, CommunityItem):
            messages = await self.decoder.read_natives(key, item, limit)
        else:
            chunks = self.decoder.tail(key, item)
            wanted = sys.maxsize if limit is None else limit
            if wanted > (found := count(chunks)):
                chunks = await self._window(key, item, wanted - found) + chunks
            messages = await self.decoder.decode(key, item, newest_of(chunks, wanted))
        return readable(messages, limit)

    async def _window(self, key: SessionKey, item: SessionItem, wanted: int) -> list[Chunk]:
        """The messages of the newest pages that hold at least `wanted` (or all there are), verified, oldest first."""
        return await self.pages.inflate(key, item, await self.pages.newest(key, item, wanted))

    async def _iterate_pages(self, key: SessionKey, item: SessionItem) -> AsyncGenerator[list[BaseMessage], None]:
        messages = size = 0
        async with contextlib.aclosing(self.oldest_first(key, item)) as runs:
            async for run in runs:
                lines = await self.pages.lines(key, item, run[-1], run)
                yield await self.decoder.decode(key, item, [Chunk(run[-1].number, 0, lines)])
                messages, size = messages + len(lines), size + sum(map(len, lines))
                if messages >= SLICE or size >= SLICE_BYTES:  # of many pages that came at once
                    messages = size = 0
                    await asyncio.sleep(0)

    async def oldest_first(self, key: SessionKey, item: SessionItem) -> AsyncGenerator[list[Page], None]:
        """Its pages, each with those before it that hold parts of its message, read strongly, fetched ahead.

        Raises `VersionConflictError` where the session has dropped or edited pages meanwhile, and as `missing` says.
        """
        previous: Page | None = None
        parts: list[Page] = []
        async with contextlib.aclosing(self.pages.fetched_ahead(key, item)) as batches:
            async for numbers, pages in batches:
                for number in numbers:
                    page = pages.get(number)
                    if page is None or not follows(item, previous, page):
                        raise await self.gone(key, item, number, page)
                    try:
                        previous = page = await self.pages.load(key, item, page, reads=True)
                    except Unproven:
                        raise await self.gone(key, item, number, page) from None
                    parts.append(page)
                    if page.indexes:
                        yield parts
                        parts = []
                    elif sum(len(part.data) for part in parts) > MAX_INFLATED:
                        where = str(key.page(item.generation, number))
                        raise corrupt(where, lc.CHAIN, "more parts than a message can have")

    async def is_unchanged(self, key: SessionKey, item: SessionItem) -> bool:
        """Whether the pages that `item` proves must still be there, as they were."""
        now = await self.item(key)
        return isinstance(now, SessionItem) and now.keeps_pages_of(item) and now.edited == item.edited

    async def check_arrived(self, key: SessionKey, item: SessionItem) -> None:
        """Raise `IncompleteSessionError` where the session item here is surely older than some page, or newer.

        All pages are read, strongly.
        """
        if item.intent and item.intent.kind == "delete":
            return  # some of them are gone, and nothing follows
        late, above, top = None, None, item.pages
        while late is None and top > item.first_page:
            numbers = range(max(item.first_page, top - GET_BATCH), top)
            found = await self.pages.get(key, item, numbers, consistent=True)
            late = first_break(found, item, numbers, above)
            top, above = numbers.start, found.get(numbers.start)
        if late is None and (await self.pages.beyond(key, item))[0] > item.version:
            late = item.pages
        if late is not None:
            home = "its home" if item.home is None else f"region {item.home!r}"
            raise IncompleteSessionError(
                f"session {key} is not yet as {home} left it: wait until all of it was replicated (what never will "
                "be, a repair by a repository without home_region gives up)",
                item=str(key.page(item.generation, late)),
            )

    async def gone(self, key: SessionKey, item: SessionItem, number: int, found: Page | None = None) -> Exception:
        """Why a page is not there: the session was rewritten, or it is damaged."""
        if await self.is_unchanged(key, item):
            pages = await self.pages.table.get_pages(key, item.generation, [number + 1], consistent=True)
            cut = pages[number + 1].previous if pages else item.page_version
            return self.missing(key, item, number, cut, found)
        now = await self.item(key)
        actual = now.version if now else 0
        return VersionConflictError(
            f"session {key} was rewritten, edited or deleted while it was read (version {item.version}, now {actual}): "
            "start again",
            expected=item.version,
            actual=actual,
        )

    def missing(
        self, key: SessionKey, item: SessionItem, number: int, cut: int | None = None, found: Page | None = None
    ) -> Exception:
        """The error for a page that is not there: too early where it may have been cut a moment ago, else damage."""
        where = str(key.page(item.generation, number))
        # On a table of one region the item is never older than its pages, but where an old one was put back by hand.
        outdated = self.pages.home is not None and found is not None and max(found.cut, found.edited) > item.version
        page = f"item {where}: this page of session {key}"
        if self.pages.lags(item):
            told = f"its home is region {item.home!r}, where it can be told whether the page is lost"
            return IncompleteSessionError(f"{page} is not there yet: try again ({told})", item=where)
        if outdated:
            told = "an older item was put back, or the newer one never came: repair goes on from here"
            told = f"{page} is newer than its item: try again (if it stays so, {told})"
            return IncompleteSessionError(told, item=where)
        if is_recent(item, number, cut, self.clock()):
            told = f"{page}, which has just changed, is not there yet: try again"
            return IncompleteSessionError(told, item=where)
        return corrupt(where, None, f"this page of session {key} is missing, or is not the one the session proves")
