"""Consistent snapshots of a session: the session item, and the pages it proves."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import NamedTuple, TypeVar

from langchain_core.messages import BaseMessage

from .._dynamodb.attribute_values import AttributeValue, from_attribute
from .._dynamodb.batches import in_parallel
from .._items import attribute_names as lc
from .._items.clock import is_expired
from .._items.community_item import CommunityItem
from .._items.keys import SessionKey
from .._items.parsing import corrupt, undecodable
from .._items.session_items import MAX_INFLATED, Page, SessionItem
from .._protocol import edits
from .._protocol.chain import first_break, follows, missing_parts, precedes
from .._protocol.foreign_entries import described, is_disturbed, strangers
from .._protocol.missing_pages import is_recent
from .._protocol.pages import PAGE_INFLATED, PageStart
from .._protocol.sealed_metadata import opened_metadata
from .._protocol.windows import Snapshot, readable
from ..codec import messages as codec
from ..codec.messages import Codec, UndecodableError
from ..codec.native import from_native
from ..errors import IncompleteSessionError, SessionBusyError, VersionConflictError
from ..observers import current
from .cache import LRU
from .off_loop import MANY_NATIVES, off_loop, off_loop_if_many
from .table import GET_BATCH, Table
from .vault import Vault

ATTEMPTS = 10  # times a read starts over while the session is rewritten under it
# `iter_messages` begins with so many pages, and goes on with as many as have so many bytes, at most twice in memory.
ITER_PAGES = 16
ITER_BYTES = 1 << 20
GET_OBJECTS = 8  # fetched at a time
# What is done before other tasks of the event loop get their turn: about 5 ms each.
SLICE = 256  # messages decoded
SLICE_BYTES = 1 << 20  # of text inflated
PAGE_OVERHEAD = 200  # bytes a cached page costs beside its messages
SEARCHED = 64  # messages looked through first, where one is searched
WINDOW_PAGES = 1600  # pages read at once: so that a wrong number of pages is noticed before it costs anything


S = TypeVar("S", SessionItem, "SessionItem | CommunityItem")


class Lines(list[bytes]):
    """All messages of a page, and whether they were `decoded` before: then they need not be checked again."""

    decoded = False


class LoadedPage(NamedTuple):
    """A page and, once inflated, its messages as lines; a message cut into parts is in the last of them."""

    page: Page
    lines: Lines | None = None


class Chunk(NamedTuple):
    """Messages as lines, and where they are stored: in a page, or else in an entry of the tail."""

    page: int | None
    entry: int
    lines: list[bytes]


class Unproven(Exception):
    """A page that the session item proves is not there, even when read strongly.

    `cut` is that of the page wanted, `found` what is there in its place.
    """

    def __init__(self, item: SessionItem, number: int, cut: int | None = None, found: Page | None = None) -> None:
        super().__init__(number)
        self.item = item
        self.number = number
        self.cut = cut
        self.found = found


@dataclass(frozen=True)
class Reader:
    """Reads sessions of one table; committed pages are immutable and kept in a bounded cache."""

    table: Table
    codec: Codec
    cache: LRU[LoadedPage]
    known: LRU[SessionItem]
    clock: Callable[[], int]
    skip_undecodable: bool = False
    vault: Vault = field(default_factory=Vault)
    home: str | None = None  # the region it reads in, if that is known

    async def item(self, key: SessionKey) -> SessionItem | CommunityItem | None:
        """The session item as readers see it: None where it is absent, unborn, being deleted or expired."""
        item = await self.table.get(key)
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
        return replace(item, metadata=opened_metadata(item.metadata, key, self.codec.of(item.cipher)))

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
            tail = await self.read_natives(key, item)
        else:
            async with contextlib.aclosing(self._iterate_pages(key, item)) as batches:
                async for batch in batches:
                    for message in batch:
                        yield message
            tail = await self.decode(key, item, self.tail(key, item))
        for message in tail:
            yield message

    async def lines(self, key: SessionKey, item: SessionItem) -> list[bytes]:
        """All messages of this very state as lines; raises `Unproven` when it is no longer the current one."""
        async with self._missing_told(key):
            pages = await self._window(key, item, item.message_count)
        return [line for chunk in pages for line in chunk.lines] + self.tail_lines(key, item)

    async def branch(self, key: SessionKey, item: SessionItem, keep: int) -> tuple[PageStart, list[bytes]]:
        """Where pages have to begin that hold the first messages up to `keep` and then others, and the former's lines.

        Those before are whole pages. Raises as `lines` does.
        """
        left = keep - (item.message_count - item.tail_count)
        if left >= 0:
            return PageStart.after(item), self.tail_lines(key, item)[:left]
        async with self._missing_told(key):
            pages = await self._newest_pages(key, item, -left)
        left += sum(loaded.page.messages for loaded in pages)
        removed = item.removed - sum(loaded.page.removed for loaded in pages)
        run: list[LoadedPage] = []
        for loaded in pages:
            run.append(loaded)
            if loaded.page.messages > left:
                break
            if loaded.page.indexes:
                left -= loaded.page.messages
                removed += loaded.page.removed
                run = []
        start = PageStart(run[0].page.number, run[0].page.previous, run[-1].page.first, removed=removed)
        if not left:
            return start, []
        (chunk,) = await self.inflate(key, item, run)
        return start, chunk.lines[:left]

    async def newest_first(self, key: SessionKey, item: SessionItem) -> AsyncGenerator[tuple[Page, list[bytes]], None]:
        """Its pages with their lines, of a message in parts the last one, fetched as they are asked for.

        Raises as `lines` does.
        """
        top, wanted = item.pages, SEARCHED
        while top > item.first_page:
            async with self._missing_told(key):
                pages = await self._newest_pages(key, item, wanted)
            older = [loaded for loaded in pages if loaded.page.number < top]
            whole = [loaded.page for loaded in older if loaded.page.indexes]
            for page, chunk in reversed(list(zip(whole, await self.inflate(key, item, older), strict=True))):
                yield page, chunk.lines
                await asyncio.sleep(0)
            top = pages[0].page.number
            wanted = 4 * max(wanted, sum(loaded.page.messages for loaded in pages))

    @contextlib.asynccontextmanager
    async def _missing_told(self, key: SessionKey) -> AsyncIterator[None]:
        """Around a read of the current state: `Unproven` only where it is that no more, else the error that tells."""
        try:
            yield
        except Unproven as error:
            if await self.is_unchanged(key, error.item):
                raise self.missing(key, error.item, error.number, error.cut, error.found) from None
            raise

    def tail_lines(self, key: SessionKey, item: SessionItem) -> list[bytes]:
        """The messages of the tail as lines."""
        return [line for chunk in self.tail(key, item) for line in chunk.lines]

    def tail(self, key: SessionKey, item: SessionItem) -> list[Chunk]:
        """The messages of the tail, entry by entry."""
        if item.others and not self.skip_undecodable and is_disturbed(item):
            raise self._disturbed(key, item.others["L"])
        try:
            unpacked = self.codec.of(item.cipher).unpack_each(item.tail, key.place(), MAX_INFLATED)
        except UndecodableError as error:
            if not self.skip_undecodable:
                raise undecodable(key, self._entry(error.index or 0), error) from error
            unpacked = [self._entry_lines(key, item, entry) for entry in item.tail]
        chunks = [Chunk(None, i, lines) for i, lines in enumerate(unpacked)]
        self._check_count(key, item, chunks)
        return chunks

    def _entry_lines(self, key: SessionKey, item: SessionItem, entry: bytes) -> list[bytes]:
        """Lines of an entry; one that cannot be read becomes an empty line, so that windows still count."""
        try:
            return self.codec.of(item.cipher).unpack(entry, key.place(), MAX_INFLATED)
        except UndecodableError:
            return [UNREADABLE]

    def _check_count(self, key: SessionKey, item: SessionItem, tail: Sequence[Chunk]) -> None:
        counted, found = item.tail_count, _count(tail)
        if item.others and self.skip_undecodable:
            return  # nobody counted what others put there
        skipped = sum(chunk.lines == [UNREADABLE] for chunk in tail)  # each stands for one message or more
        if item.others and found != counted and strangers(item.others["L"]):
            raise self._disturbed(key, item.others["L"])
        if found != counted if not skipped else found - skipped > counted:
            raise corrupt(key, lc.COUNT, f"{counted} messages are counted in the tail, which holds {found}")

    def _disturbed(self, key: SessionKey, entries: Sequence[AttributeValue]) -> Exception:
        return corrupt(key, self._entry(strangers(entries)[0]), described(entries, self.table.names.history))

    def _entry(self, index: int) -> str:
        return f"{self.table.names.history}[{index}]"

    async def _messages(
        self, key: SessionKey, item: SessionItem | CommunityItem, limit: int | None
    ) -> list[BaseMessage]:
        if limit == 0:
            return []
        if isinstance(item, CommunityItem):
            messages = await self.read_natives(key, item, limit)
        else:
            chunks = self.tail(key, item)
            wanted = sys.maxsize if limit is None else limit
            if wanted > (found := _count(chunks)):
                chunks = await self._window(key, item, wanted - found) + chunks
            messages = await self.decode(key, item, _newest(chunks, wanted))
        return readable(messages, limit)

    async def _window(self, key: SessionKey, item: SessionItem, wanted: int) -> list[Chunk]:
        """The messages of the newest pages that hold at least `wanted` (or all there are), verified, oldest first."""
        return await self.inflate(key, item, await self._newest_pages(key, item, wanted))

    async def _newest_pages(self, key: SessionKey, item: SessionItem, wanted: int) -> list[LoadedPage]:
        """Those pages."""
        pages: list[LoadedPage] = []
        per_page = max(1, (item.message_count - item.tail_count) // max(1, item.pages - item.first_page))
        while True:
            above = [loaded.page for loaded in pages]
            top = above[0].number if above else item.pages
            missing = wanted - sum(page.messages for page in above)
            if top == item.first_page or (missing <= 0 and not missing_parts(above)):
                return pages
            step = min(WINDOW_PAGES, max(1, -(-missing // per_page), missing_parts(above)))
            bottom = max(item.first_page, top - step)
            pages = await self._chain(key, item, range(bottom, top), above[0] if above else None) + pages

    async def _chain(
        self, key: SessionKey, item: SessionItem, numbers: range, successor: Page | None
    ) -> list[LoadedPage]:
        """Committed pages, proved backwards by what the `successor` of the last (None: the session item) says."""
        found = {n: page for n in numbers if (page := self._remembered(key, item, n))}
        if found and (operation := current.get()):
            operation.cache_hits += len(found)
        for consistent, wanted in ((False, [n for n in numbers if n not in found]), (True, list(numbers))):
            read = await self.get_pages(key, item, wanted, consistent=consistent)
            found |= {n: LoadedPage(page) for n, page in read.items()}
            broken = first_break({n: loaded.page for n, loaded in found.items()}, item, numbers, successor)
            if broken is None:
                return [found[n] for n in numbers]
            lost = broken
        above = found[lost + 1].page if lost + 1 < numbers.stop else successor
        there = found[lost].page if lost in found else None
        raise Unproven(item, lost, above.previous if above else item.page_version, there)

    async def get_pages(
        self,
        key: SessionKey,
        item: SessionItem,
        numbers: Iterable[int],
        *,
        consistent: bool,
        whole: bool = False,
        unreadable: set[int] | None = None,
    ) -> dict[int, Page]:
        """As of the table, with numbers as after the edit under way.

        Nothing tells an old copy of a page that was edited, so once one was they are read strongly.
        """
        found = await self.table.get_pages(
            key,
            item.generation,
            numbers,
            consistent=consistent or item.edited > 0,
            whole=whole,
            unreadable=unreadable,
        )
        if self.lags(item):
            found = {n: page for n, page in found.items() if not edits.lacks_last(page, item)}
        return {n: edits.counted(page, item) for n, page in found.items()} if item.edit else found

    def _remembered(self, key: SessionKey, item: SessionItem, number: int) -> LoadedPage | None:
        """A page in the cache: it may be from before the last edit, where that was of another page."""
        now = _cached(key, item, number)
        if item.edited and number != item.edited_page:
            self.cache.rename((*now[:-1], item.edited_before), now)
        return self.cache.get(now)

    async def inflate(self, key: SessionKey, item: SessionItem, pages: Sequence[LoadedPage]) -> list[Chunk]:
        """The messages of pages, in order and in slices; raises `CorruptSessionError`."""
        chunks: list[Chunk] = []
        parts: list[Page] = []
        inflated = 0
        for page, lines in await self._loaded(key, item, pages):
            if lines is None:
                parts.append(page)
            if not page.indexes:
                continue
            if lines is None:
                lines = await self.page_lines(key, item, page, parts)
                inflated += sum(map(len, lines))
            chunks.append(Chunk(page.number, 0, lines))
            parts = []
            if inflated >= SLICE_BYTES:
                inflated = 0
                await asyncio.sleep(0)
        return chunks

    async def _loaded(self, key: SessionKey, item: SessionItem, pages: Sequence[LoadedPage]) -> Sequence[LoadedPage]:
        """The same, those with their data whose messages are not known yet."""
        if not any(loaded.page.reference and loaded.lines is None for loaded in pages):
            return pages

        async def load(loaded: LoadedPage) -> LoadedPage:
            return loaded if loaded.lines is not None else LoadedPage(await self.load(key, item, loaded.page))

        return await in_parallel(load, pages, GET_OBJECTS)

    async def load(self, key: SessionKey, item: SessionItem, page: Page) -> Page:
        """A page with its data, or `lost`; the edit under way may have come into it since it was read.

        `Unproven` where it is not the one of this state any more.
        """
        if page.reference is None or page.data:
            return page
        loaded = await self.table.load(key, item.generation, page)
        if loaded is None or loaded.edited not in (page.edited, item.edited):
            raise Unproven(item, page.number, page.cut)
        return loaded if loaded.chain == page.chain else edits.counted(loaded, item)

    async def load_run(self, key: SessionKey, item: SessionItem, run: Iterable[Page]) -> list[Page]:
        """The same of the pages that hold the parts of a message."""
        return [await self.load(key, item, page) for page in run]

    async def page_lines(self, key: SessionKey, item: SessionItem, page: Page, parts: Sequence[Page]) -> Lines:
        """Inflate one page (with the parts before it) and remember it."""

        def wrong(attribute: str, reason: str) -> Exception:
            return corrupt(key.page(item.generation, page.number), attribute, reason)

        if len(parts) != page.parts:
            raise wrong(lc.CHAIN, f"its message has {len(parts)} parts, not {page.parts}")
        # A page of several messages is never cut larger, so it need not be believed to be.
        most = self.table.objects.longest if page.messages <= 1 else 2 * PAGE_INFLATED
        try:
            unpacking = partial(self.unpack_page, key, item, parts, most)
            unpacked = await off_loop_if_many([part.data for part in parts], unpacking)
            lines = Lines(self._edited(key, item, unpacked) if edits.is_due(page, item) else unpacked)
        except UndecodableError as error:
            if not self.skip_undecodable:
                raise undecodable(key.page(item.generation, page.number), lc.DATA, error) from error
            lines = Lines([UNREADABLE] * page.messages)  # so that windows still count
        if len(lines) != page.messages:
            raise wrong(lc.CHAIN, f"it holds {len(lines)} messages, not {page.messages}")
        if page.parts == 1 and UNREADABLE not in lines:
            cost = PAGE_OVERHEAD + sum(map(len, lines)) + 33 * len(lines)
            self.cache.put(_cached(key, item, page.number), LoadedPage(page.without_data(), lines), cost)
        return lines

    def _edited(self, key: SessionKey, item: SessionItem, lines: list[bytes]) -> list[bytes]:
        """The messages of a page with the edit under way."""
        try:
            return edits.applied(lines, item, key, self.codec.of(item.cipher))
        except UndecodableError as error:
            if not self.skip_undecodable or item.edit is None:
                raise undecodable(key, lc.EDIT, error) from error
            return edits.exchanged(lines, item.edit.position, UNREADABLE)

    def unpack_page(self, key: SessionKey, item: SessionItem, parts: Sequence[Page], most: int) -> list[bytes]:
        """The lines of a page, from its data and that of the pages before it; raises `UndecodableError`."""
        opened = [self.opened_data(key, item, part) for part in parts]
        return codec.unpack(b"".join(opened), most)

    def opened_data(self, key: SessionKey, item: SessionItem, page: Page) -> bytes:
        """The block of a page, or its part of one; raises `UndecodableError`."""
        if page.lost:
            raise self.table.objects.error(key, item.generation, page)
        return self.codec.of(item.cipher).open(page.data, key.place(item.generation, page.number))

    def remember(self, key: SessionKey, item: SessionItem, page: Page) -> None:
        """Keep a page that has just been committed: the next turn need not fetch it."""
        kept = LoadedPage(replace(page, ops=frozenset()))
        self.cache.put(_cached(key, item, page.number), kept, PAGE_OVERHEAD + len(page.data))

    async def _iterate_pages(self, key: SessionKey, item: SessionItem) -> AsyncGenerator[list[BaseMessage], None]:
        async with contextlib.aclosing(self.oldest_first(key, item)) as runs:
            async for run in runs:
                lines = await self.page_lines(key, item, run[-1], run)
                yield await self.decode(key, item, [Chunk(run[-1].number, 0, lines)])

    async def oldest_first(self, key: SessionKey, item: SessionItem) -> AsyncGenerator[list[Page], None]:
        """Its pages, each with those before it that hold parts of its message, read strongly, fetched ahead.

        Raises `VersionConflictError` where the session has dropped or edited pages meanwhile, and as `missing` says.
        """
        previous: Page | None = None
        parts: list[Page] = []
        async with contextlib.aclosing(self._fetched_ahead(key, item)) as batches:
            async for numbers, pages in batches:
                for number in numbers:
                    page = pages.get(number)
                    if page is None or not follows(item, previous, page):
                        raise await self.gone(key, item, number, page)
                    try:
                        previous = page = await self.load(key, item, page)
                    except Unproven:
                        raise await self.gone(key, item, number, page) from None
                    parts.append(page)
                    if page.indexes:
                        yield parts
                        parts = []
                    elif sum(len(part.data) for part in parts) > MAX_INFLATED:
                        where = str(key.page(item.generation, number))
                        raise corrupt(where, lc.CHAIN, "more parts than a message can have")

    async def _fetched_ahead(
        self, key: SessionKey, item: SessionItem
    ) -> AsyncGenerator[tuple[range, dict[int, Page]], None]:
        """The pages from the oldest up, some at a time; the next ones come while the caller works on these."""

        def fetch(numbers: range) -> asyncio.Future[dict[int, Page]]:
            return asyncio.ensure_future(self.get_pages(key, item, numbers, consistent=True))

        numbers = range(item.first_page, min(item.first_page + ITER_PAGES, item.pages))
        coming = fetch(numbers)
        try:
            while numbers:
                pages = await coming
                size = sum(len(page.data) for page in pages.values()) // max(1, len(pages))
                count = max(1, min(GET_BATCH, ITER_BYTES // max(1, size)))
                following = range(numbers.stop, min(numbers.stop + count, item.pages))
                coming = fetch(following)
                yield numbers, pages
                numbers = following
        finally:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)

    async def decode(self, key: SessionKey, item: SessionItem, chunks: Sequence[Chunk]) -> list[BaseMessage]:
        """The messages, in slices between which other tasks of the event loop run."""
        messages: list[BaseMessage] = []
        for again, parts in _slices(chunks):
            if messages:
                await asyncio.sleep(0)
            lines = [line for part in parts for line in part.lines]
            decoding = partial(self.codec.decode, lines, again=again)
            try:
                messages += await off_loop(decoding) if sum(map(len, lines)) > SLICE_BYTES else decoding()
            except UndecodableError as error:
                if not self.skip_undecodable:
                    raise self._undecodable(key, item, parts, error) from error
                messages += _decodable(lines)
                chunks = ()  # they stay to be checked
        for chunk in chunks:
            if isinstance(chunk.lines, Lines):
                chunk.lines.decoded = True
        return messages

    def _undecodable(
        self, key: SessionKey, item: SessionItem, chunks: Iterable[Chunk], error: UndecodableError
    ) -> Exception:
        index = error.index or 0
        for chunk in chunks:
            if index < len(chunk.lines):
                break
            index -= len(chunk.lines)
        if chunk.page is None:
            return corrupt(key, self._entry(chunk.entry), str(error))
        return corrupt(key.page(item.generation, chunk.page), lc.DATA, str(error))

    async def read_natives(self, key: SessionKey, item: CommunityItem, newest: int | None = None) -> list[BaseMessage]:
        """As `natives`, off the event loop where there are many."""
        reading = partial(self.natives, key, item, newest)
        return await off_loop(reading) if len(item.natives) > MANY_NATIVES else reading()

    def natives(
        self, key: SessionKey, item: CommunityItem, newest: int | None = None, *, exact: bool = False
    ) -> list[BaseMessage]:
        """The newest messages of an item in langchain_community's format (None: all); `exact`: to be stored again."""
        first = 0 if newest is None else max(0, len(item.natives) - newest)
        messages: list[BaseMessage] = []
        for i, entry in enumerate(item.natives[first:], first):
            try:
                messages.append(from_native(from_attribute(entry, json_only=False), exact=exact))
            except ValueError as error:
                if not self.skip_undecodable:
                    raise corrupt(key, self._entry(i), str(error)) from error
        return messages

    async def is_unchanged(self, key: SessionKey, item: SessionItem) -> bool:
        """Whether the pages that `item` proves must still be there, as they were."""
        now = await self.item(key)
        return isinstance(now, SessionItem) and now.keeps_pages_of(item) and now.edited == item.edited

    async def check_newest(self, key: SessionKey, item: SessionItem) -> None:
        """Raise `IncompleteSessionError` where the session item here is surely older than the pages, or newer."""
        numbers = [n for n in (item.pages - 1, item.pages, item.pages + 1) if n >= item.first_page]
        pages = await self.get_pages(key, item, numbers, consistent=True, unreadable=set())
        newest = pages.pop(item.pages - 1, None)
        late = item.pages > item.first_page and not (newest and precedes(item, newest, None))
        if late or any(page.cut > item.version for page in pages.values()):
            where = str(key.page(item.generation, item.pages - late))
            told = f"session {key} is not yet as region {item.home!r} left it: wait until all of it was replicated"
            raise IncompleteSessionError(told, item=where)

    async def gone(self, key: SessionKey, item: SessionItem, number: int, found: Page | None = None) -> Exception:
        """Why a page is not there: the session was rewritten, or it is damaged."""
        if await self.is_unchanged(key, item):
            above = (await self.table.get_pages(key, item.generation, [number + 1], consistent=True)).get(number + 1)
            return self.missing(key, item, number, above.previous if above else item.page_version, found)
        now = await self.item(key)
        actual = now.version if now else 0
        return VersionConflictError(
            f"session {key} was rewritten, edited or deleted while it was read (version {item.version}, now {actual}): "
            "start again",
            expected=item.version,
            actual=actual,
        )

    def lags(self, item: SessionItem) -> bool:
        """Whether another region writes this session: its items come here in any order, and some later."""
        return self.home is not None and item.home not in (None, self.home)

    def missing(
        self, key: SessionKey, item: SessionItem, number: int, cut: int | None = None, found: Page | None = None
    ) -> Exception:
        """The error for a page that is not there: too early where it may have been cut a moment ago, else damage."""
        where = str(key.page(item.generation, number))
        # On a table of one region the item is never older than its pages, but where an old one was put back by hand.
        outdated = self.home is not None and found is not None and max(found.cut, found.edited) > item.version
        if is_recent(item, number, cut, self.clock()) or self.lags(item) or outdated:
            told = f"item {where}: this page of session {key}, which has just changed, is not there yet: try again"
            if self.lags(item):
                told += f" (its home is region {item.home!r}, where it can be told whether the page is lost)"
            return IncompleteSessionError(told, item=where)
        return corrupt(where, None, f"this page of session {key} is missing, or is not the one the session proves")


UNREADABLE = b""


def _cached(key: SessionKey, item: SessionItem, number: int) -> tuple[object, ...]:
    """The name of a page in the cache: one of an earlier edit is another."""
    return key, item.generation, number, item.edited


def _count(chunks: Iterable[Chunk]) -> int:
    return sum(len(chunk.lines) for chunk in chunks)


def _slices(chunks: Iterable[Chunk]) -> Iterator[tuple[bool, list[Chunk]]]:
    """Parts of chunks to decode at once: up to SLICE messages that all were decoded before, or none of them."""
    parts: list[Chunk] = []
    count, again = 0, False
    for chunk in chunks:
        decoded = isinstance(chunk.lines, Lines) and chunk.lines.decoded
        for start in range(0, len(chunk.lines), SLICE):
            part = chunk._replace(lines=chunk.lines[start : start + SLICE])
            count += len(part.lines)
            if parts and (decoded != again or count > SLICE):
                yield again, parts
                parts, count = [], len(part.lines)
            parts.append(part)
            again = decoded
    if parts:
        yield again, parts


def _newest(chunks: Sequence[Chunk], wanted: int) -> list[Chunk]:
    """The last `wanted` messages."""
    newest: list[Chunk] = []
    for chunk in reversed(chunks):
        if len(chunk.lines) > wanted:
            chunk = chunk._replace(lines=chunk.lines[len(chunk.lines) - wanted :])
        wanted -= len(chunk.lines)
        newest.append(chunk)
    return newest[::-1]


def _decodable(lines: Iterable[bytes]) -> list[BaseMessage]:
    messages = []
    for line in lines:
        with contextlib.suppress(UndecodableError):
            messages.append(codec.decode_line(line))
    return messages
