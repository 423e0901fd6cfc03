"""The pages of a session, proved by its session item, from the table or from the cache."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from sys import getsizeof

from .._dynamodb.batches import in_parallel
from .._items import attribute_names as lc
from .._items.keys import SessionKey
from .._items.page_items import Page
from .._items.parsing import corrupt, undecodable
from .._items.session_items import SessionItem
from .._items.sizes import MAX_LEFT_PAGES
from .._protocol import edits
from .._protocol.chain import first_break, first_needed, missing_parts
from .._protocol.pages import Draft, most_inflated
from ..codec.long_blocks import BlockReader
from ..codec.long_lines import Line
from ..codec.messages import MANY_BYTES, UndecodableError
from ..observers import current
from .cache import LRU
from .chunks import UNREADABLE, Chunk, Lines, LoadedPage
from .decoding import SLICE_BYTES, Decoder
from .off_loop import off_loop_if_many
from .table import GET_BATCH, GET_LARGE, Table

# A session is read forward beginning with so many pages, and on with twice as many each time, until these have so many
# bytes: those that are worked on, and as many more as come meanwhile. What the next ones have is not known before.
ITER_PAGES = 16
ITER_BYTES = 1 << 20
GET_OBJECTS = 8  # fetched at a time
BEYOND_PAGES = 100  # numbers looked at together for pages that the session does not know of
PAGE_OVERHEAD = 200  # bytes a cached page costs beside its messages
ONE_MESSAGE = 16 << 10  # bytes of its data that may inflate to many: those of several messages do not (PAGE_INFLATED)
WINDOW_PAGES = 1600  # pages read at once: so that a wrong number of pages is noticed before it costs anything


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
class StoredPages:
    """Reads pages of sessions, each named by its key and the item; the cache has them as of their last edit."""

    table: Table
    decoder: Decoder
    cache: LRU[LoadedPage]
    home: str | None = None  # the region it reads in, if that is known

    async def newest(self, key: SessionKey, item: SessionItem, wanted: int) -> list[LoadedPage]:
        """Those that hold the newest `wanted` messages (or all there are), verified, oldest first."""
        pages: list[LoadedPage] = []
        per_page = max(1, (item.message_count - item.tail_count) // max(1, item.pages - item.first_page))
        while True:
            above = [loaded.page for loaded in pages]
            top = above[0].number if above else item.pages
            missing = wanted - sum(page.messages for page in above)
            if top == item.first_page or (missing <= 0 and not missing_parts(above)):
                return self._needed(key, item, pages, first_needed(above, wanted))
            step = min(WINDOW_PAGES, max(1, -(-missing // per_page), missing_parts(above)))
            bottom = max(item.first_page, top - step)
            pages = await self._chain(key, item, range(bottom, top), above[0] if above else None) + pages

    def _needed(self, key: SessionKey, item: SessionItem, pages: list[LoadedPage], begin: int) -> list[LoadedPage]:
        """Those from `begin` on; the others, of which a guess had too many, are kept for whoever needs them."""
        for page, lines in pages[:begin]:
            if lines is None and not edits.is_due(page, item):  # else it is another once it has the edit
                self.remember(key, item, page)
        return pages[begin:]

    async def _chain(
        self, key: SessionKey, item: SessionItem, numbers: range, successor: Page | None
    ) -> list[LoadedPage]:
        """Committed pages, proved backwards by what the `successor` of the last (None: the session item) says."""
        found = {n: page for n in numbers if (page := self.remembered(key, item, n))}
        if found and (operation := current.get()):
            operation.cache_hits += len(found)
        for consistent, wanted in ((False, [n for n in numbers if n not in found]), (True, list(numbers))):
            read = await self.get(key, item, wanted, consistent=consistent)
            found |= {n: LoadedPage(page) for n, page in read.items()}
            broken = first_break({n: loaded.page for n, loaded in found.items()}, item, numbers, successor)
            if broken is None:
                return [found[n] for n in numbers]
            lost = broken
        above = found[lost + 1].page if lost + 1 < numbers.stop else successor
        there = found[lost].page if lost in found else None
        raise Unproven(item, lost, above.previous if above else item.page_version, there)

    async def get(
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
            # Where there are more pages than messages, most hold a part of a message, as large as an item may be.
            batch=GET_LARGE if item.pages - item.first_page > item.tail_start - item.trimmed else GET_BATCH,
        )
        if self.lags(item):
            found = {n: page for n, page in found.items() if not edits.lacks_last(page, item)}
        return {n: edits.counted(page, item) for n, page in found.items()} if item.edit else found

    def remembered(self, key: SessionKey, item: SessionItem, number: int) -> LoadedPage | None:
        """A page in the cache: it may be from before the last edit, where that was of another page."""
        now = _cached(key, item, number)
        if item.edited and number != item.edited_page:
            self.cache.rename((*now[:-1], item.edited_before), now)
        return self.cache.get(now)

    async def beyond(self, key: SessionKey, item: SessionItem) -> tuple[int, int]:
        """Of pages that the session does not know of, as where `item` is older than they: version and highest number.

        Those of `item` itself where there are none.
        """
        last = max(item.pages, item.reach)
        version, top = item.version, last
        numbers: Sequence[int] = sorted({item.pages, item.pages + 1, *range(last + 1, last + 1 + BEYOND_PAGES)})
        while numbers and top - item.pages < MAX_LEFT_PAGES - BEYOND_PAGES:
            found = await self.table.get_pages(key, item.generation, numbers, consistent=True, unreadable=set())
            version = max([version, *(max(page.cut, page.edited) for page in found.values())])
            top = max([top, *found])
            numbers = range(top + 1, top + 1 + BEYOND_PAGES) if top in found and top > last else ()
        return version, top

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
                lines = await self.lines(key, item, page, parts)
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
            lines_known = loaded.lines is not None
            return loaded if lines_known else LoadedPage(await self.load(key, item, loaded.page, reads=True))

        return await in_parallel(load, pages, GET_OBJECTS)

    async def load(self, key: SessionKey, item: SessionItem, page: Page, *, reads: bool = False) -> Page:
        """A page with its data, or `lost`; the edit under way may have come into it since it was read.

        Who `reads` it wants but its messages: of much data it has these then. `Unproven` where it is not the one of
        this state any more.
        """
        if page.reference is None or page.data or page.opened is not None:
            return page
        place = key.place(item.generation, page.number)
        reader = partial(self.decoder.codec.of(item.cipher).reader, place, self.table.objects.longest)
        loaded = await self.table.load(key, item.generation, page, reader if reads else None)
        if loaded is None or loaded.edited not in (page.edited, item.edited):
            raise Unproven(item, page.number, page.cut)
        return loaded if loaded.chain == page.chain else edits.counted(loaded, item)

    async def load_run(
        self, key: SessionKey, item: SessionItem, run: Iterable[Page], *, reads: bool = False
    ) -> list[Page]:
        """The same of the pages that hold the parts of a message."""
        return [await self.load(key, item, page, reads=reads) for page in run]

    async def lines(self, key: SessionKey, item: SessionItem, page: Page, parts: Sequence[Page]) -> Lines:
        """Inflate one page (with the parts before it) and remember it."""

        def wrong(attribute: str, reason: str) -> Exception:
            return corrupt(key.page(item.generation, page.number), attribute, reason)

        if len(parts) != page.parts:
            raise wrong(lc.CHAIN, f"its message has {len(parts)} parts, not {page.parts}")
        try:
            unpacking = partial(self.unpack_page, key, item, parts)
            data = [part.data for part in parts]
            unpacked = await off_loop_if_many(data, unpacking, MANY_BYTES if page.messages > 1 else ONE_MESSAGE)
            lines = Lines(self.decoder.edited(key, item, unpacked) if edits.is_due(page, item) else unpacked)
        except UndecodableError as error:
            if not self.decoder.skip_undecodable:
                raise undecodable(key.page(item.generation, page.number), lc.DATA, error) from error
            lines = Lines([UNREADABLE] * page.messages)  # so that windows still count
        if len(lines) != page.messages:
            raise wrong(lc.CHAIN, f"it holds {len(lines)} messages, not {page.messages}")
        if page.parts == 1 and UNREADABLE not in lines:
            cost = PAGE_OVERHEAD + sum(map(getsizeof, lines))
            self.cache.put(_cached(key, item, page.number), LoadedPage(page.without_data(), lines), cost)
        return lines

    def unpack_page(self, key: SessionKey, item: SessionItem, parts: Sequence[Page]) -> list[Line]:
        """The lines of a page, from its data and that of the pages before it; raises `UndecodableError`."""
        if isinstance(opened := parts[-1].opened, UndecodableError):
            raise opened
        if opened is not None:
            return opened
        reader = BlockReader(most_inflated(parts[-1], self.table.objects.longest))
        for part in parts:
            reader.feed(self.opened_data(key, item, part))
        return reader.finish()

    async def drafts(self, key: SessionKey, item: SessionItem, run: Sequence[Page]) -> list[Draft]:
        """Pages as they are, to be put in another place; raises `CorruptSessionError`."""

        def opened(page: Page) -> Draft:
            try:
                if page.opened is not None:
                    return Draft.of(self.unpack_page(key, item, [page]))
                return Draft.again(page, self.opened_data(key, item, page))
            except UndecodableError as error:
                raise undecodable(key.page(item.generation, page.number), lc.DATA, error) from error

        known = [line for page in run if isinstance(page.opened, list) for line in page.opened]
        return await off_loop_if_many([*known, *(page.data for page in run)], lambda: [opened(page) for page in run])

    def opened_data(self, key: SessionKey, item: SessionItem, page: Page) -> bytes:
        """The block of a page, or its part of one; raises `UndecodableError`."""
        if page.lost:
            raise self.table.objects.error(key, item.generation, page)
        return self.decoder.codec.of(item.cipher).open(page.data, key.place(item.generation, page.number))

    def remember(self, key: SessionKey, item: SessionItem, page: Page) -> None:
        """Keep a page as it is stored: whoever reads it next need not fetch it."""
        if page.pieces is not None:
            return
        kept = LoadedPage(replace(page, ops=frozenset()))
        self.cache.put(_cached(key, item, page.number), kept, PAGE_OVERHEAD + len(page.data))

    async def fetched_ahead(
        self, key: SessionKey, item: SessionItem
    ) -> AsyncGenerator[tuple[range, dict[int, Page]], None]:
        """The pages from the oldest up, some at a time; the next ones come while the caller works on these."""

        def fetch(numbers: range) -> asyncio.Future[dict[int, Page]]:
            return asyncio.ensure_future(self.get(key, item, numbers, consistent=True))

        numbers = range(item.first_page, min(item.first_page + ITER_PAGES, item.pages))
        coming = fetch(numbers)
        try:
            while numbers:
                pages = await coming
                size = sum(len(page.data) for page in pages.values()) // max(1, len(pages))
                count = max(1, min(GET_BATCH, 2 * len(numbers), ITER_BYTES // max(1, size)))
                following = range(numbers.stop, min(numbers.stop + count, item.pages))
                coming = fetch(following)
                yield numbers, pages
                numbers = following
        finally:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)

    def lags(self, item: SessionItem) -> bool:
        """Whether another region writes this session: its items come here in any order, and some later."""
        return self.home is not None and item.home not in (None, self.home)


def _cached(key: SessionKey, item: SessionItem, number: int) -> tuple[object, ...]:
    """The name of a page in the cache: one of an earlier edit is another."""
    return key, item.generation, number, item.edited
