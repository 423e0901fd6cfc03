"""Copies a session: its pages as they are, without decoding them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from .._dynamodb.attribute_values import AttributeValue, Changes, Item
from .._items.community_item import CommunityItem, State
from .._items.keys import SessionKey
from .._items.page_items import Page
from .._items.session_items import SessionItem, new_op
from .._items.sizes import MAX_ITEM_DATA
from .._protocol import copying, edits, states
from .._protocol.copying import SPARE_PAGES, Written
from .._protocol.expiry import Expiries, expiries
from .._protocol.identity import check_exists, check_expected
from .._protocol.pages import Destination, Draft, PageStart, in_parts, make_pages
from .._protocol.sealed_metadata import opened_metadata, sealed_metadata
from ..codec import messages as codec
from ..errors import VersionConflictError
from .attempts import change
from .encoding import encoded
from .off_loop import off_loop_if_many
from .paged_writer import PagedWriter
from .reading import Reader
from .retrying import preparing
from .steps import Steps
from .table import WRITE_BATCH, Refused
from .whole_sessions import Placer, Whole, read_whole
from .writer import Content, Writer

# What is in memory at once: so many pages, which are written together, or as many as have so many bytes.
AT_ONCE = 4 * WRITE_BATCH
BYTES_AT_ONCE = 4 << 20


@dataclass(frozen=True)
class Source:
    """A session to be copied: its first `keep` messages (None: all), if it is at the `expected` version."""

    reader: Reader
    key: SessionKey
    keep: int | None = None
    expected: int | None = None

    async def seen(self) -> State:
        """Its present state, unlocked.

        Raises `SessionNotFoundError`, `VersionConflictError`, and `MissingBlobsError` where its data cannot be had.
        """
        item = self._checked(await self.reader.item(self.key))
        if isinstance(item, SessionItem) and item.bucket is not None:
            self.reader.pages.table.objects.required(self.key, item.bucket)
        return await self.reader.vault.unlocked(self.key, item) if isinstance(item, SessionItem) else item

    async def decoded(self, most: int) -> tuple[State, Content]:
        """The same, with its messages encoded anew; raises the same, and `MessageTooLargeError` above so many bytes."""
        snapshot = await self.reader.snapshot(self.key, None, None)
        assert snapshot is not None  # no version was named
        messages = snapshot.messages[: self.keep]
        item = self._checked(snapshot.item)
        return item, await encoded(self.reader.decoder.codec, messages, most)

    async def whole(self) -> Whole:
        """It with its messages as lines; raises the same."""
        whole = await read_whole(self.reader, self.key)
        check_expected(self.key, whole, self.expected)
        if whole is None:
            check_exists(self.key, None)
        assert whole is not None  # it exists
        return replace(whole, lines=whole.lines[: self.keep], created=None, updated=None)

    def _checked(self, item: State | None) -> State:
        check_expected(self.key, item, self.expected)
        check_exists(self.key, item)
        assert item is not None  # it exists
        return item

    def metadata(self, item: SessionItem) -> AttributeValue | None:
        """What it has, in the clear."""
        return opened_metadata(item.metadata, self.key, self.reader.decoder.codec.of(item.cipher))

    async def pages(self, item: SessionItem) -> AsyncGenerator[tuple[list[Draft], bool], None]:
        """The data of pages that are copied whole, and then (True) of what follows them, entry by entry.

        Raises `VersionConflictError` where others have changed the session so that this is no longer to be had.
        """
        left = item.message_count if self.keep is None else self.keep
        if not left:
            return
        async with contextlib.aclosing(self.reader.oldest_first(self.key, item)) as runs:
            async for run in runs:
                messages = run[-1].messages
                if messages > left:
                    yield [await self._block(item, run, left)], True
                    return
                if messages:
                    yield await self._whole(item, run), False
                left -= messages
                if not left:  # what follows needs not even be fetched
                    return
        for draft in self.tail(item, left):
            yield [draft], True

    def tail(self, item: SessionItem, left: int) -> list[Draft]:
        """The first so many messages of the tail, entry by entry."""
        opened = self.reader.decoder.codec.of(item.cipher).open
        drafts = []
        for entry, chunk in zip(item.tail, self.reader.decoder.tail(self.key, item), strict=True):
            lines = chunk.lines[:left]
            left -= len(lines)
            if lines:
                whole = len(lines) == len(chunk.lines)
                drafts.append(Draft(opened(entry, self.key.place()) if whole else codec.pack(lines), len(lines)))
        return drafts

    async def _whole(self, item: SessionItem, run: Sequence[Page]) -> list[Draft]:
        """One page, or all parts of a message, as they are; anew where the edit under way is of this page."""
        if edits.is_due(run[-1], item):
            block = await self._block(item, run, run[-1].messages)
            return in_parts(block, MAX_ITEM_DATA)
        return await self.reader.pages.drafts(self.key, item, run)

    async def _block(self, item: SessionItem, run: Sequence[Page], count: int) -> Draft:
        """The first so many messages of a page."""
        lines = (await self.reader.pages.lines(self.key, item, run[-1], run))[:count]
        return Draft.of(lines)


@dataclass(frozen=True)
class Copier:
    """Rule 12: begins sessions as copies of others, in the format of the `writer`."""

    steps: Steps
    writer: Writer
    ttl: int | None

    async def copy(self, source: Source, key: SessionKey, own: Changes) -> int:
        """Returns the version of the copy; raises `VersionConflictError` where there is a session already."""
        first = await source.seen()
        if not isinstance(self.writer, PagedWriter):
            found, content = await source.decoded(self.steps.sizes.message)
            own = self._with_brought(found.own, key, own)
            return await self.writer.replace(key, content, 0, own=own, must_exist=False)
        placer = Placer(self.writer)

        async def step(item: State | None, op: bytes, attempt: int) -> SessionItem:
            found = first if attempt == 0 else await source.seen()
            if isinstance(found, CommunityItem) or self._is_too_large(found):
                whole = await source.whole()
                brought = self._with_brought(whole.own or {}, key, own)
                expires = expiries(self.steps.clock(), self.ttl, None).session
                return await placer.first(key, replace(whole, expires=expires, own=brought), op)
            try:
                return await self._begin(source, found, key, self._with_brought(found.own, key, own), op)
            except VersionConflictError:  # of the source: its pages were not those of one state
                raise Refused(None, retried=False) from None

        return await change(self.steps, key, new_op(), 0, step)

    def _is_too_large(self, found: SessionItem) -> bool:
        """Whether its pages may be larger than the destination takes them, which has no place for large data."""
        return found.bucket is not None and self.steps.table.objects.blobs is None

    def _with_brought(self, theirs: Item, key: SessionKey, own: Changes) -> Item:
        """The attributes `own`, over those of the user's own on the source that can be such here."""
        taken = {*self.steps.table.names, *key.item}
        brought = {name: value for name, value in theirs.items() if name not in taken}
        return {name: value for name, value in {**brought, **own}.items() if value is not None}

    async def _begin(self, source: Source, found: SessionItem, key: SessionKey, own: Changes, op: bytes) -> SessionItem:
        to = await self.steps.destination(key, None)
        now = self.steps.clock()
        base, times = copying.begun(now, to), expiries(now, self.ttl, None)
        metadata = sealed_metadata(source.metadata(found), to)

        def whole(start: SessionItem, written: Written, tail: tuple[bytes, ...], messages: int) -> SessionItem:
            return copying.copied(start, written, tail, messages, metadata, op, self.steps.clock(), times)

        if found.first_page == found.pages:
            blocks = source.tail(found, found.message_count if source.keep is None else source.keep)
            drafts, tail = await _laid_out(blocks, to)
            if not drafts:
                count = sum(block.messages for block in blocks)
                return await self.steps.compare_and_set(key, None, whole(base, Written(), tail, count), own)
        most = found.pages - found.first_page + len(found.tail) + SPARE_PAGES
        intent = self.steps.intent(op, "copy", base.generation, range(most))
        declaration = self.steps.compare_and_set(key, None, states.declared(base, intent, now))
        start = await self.steps.declare(key, intent, declaration)
        async with self.steps.holding(key, start):
            written, blocks = await self._put_pages(source, found, to, start, times)
            drafts, tail = await _laid_out(blocks, to)
            written = await self._put(to, start, times, written, drafts)
            if not await source.reader.is_unchanged(source.key, found):
                raise Refused(None, retried=False)
            count = sum(block.messages for block in blocks) if tail else 0
            return await self.steps.compare_and_set(key, start, whole(start, written, tail, count), own)

    async def _put_pages(
        self, source: Source, found: SessionItem, to: Destination, start: SessionItem, times: Expiries
    ) -> tuple[Written, list[Draft]]:
        """Write the pages that are copied whole, some at a time; returns what follows them too."""
        written = Written()
        waiting: list[Draft] = []
        following: list[Draft] = []
        async with contextlib.aclosing(source.pages(found)) as groups:
            async for drafts, follows in groups:
                if follows:
                    following += drafts
                    continue
                waiting += drafts
                if len(waiting) >= AT_ONCE or sum(draft.size for draft in waiting) >= BYTES_AT_ONCE:
                    written = await self._put(to, start, times, written, waiting)
                    waiting = []
        return await self._put(to, start, times, written, waiting), following

    async def _put(
        self, to: Destination, start: SessionItem, times: Expiries, written: Written, drafts: Sequence[Draft]
    ) -> Written:
        if drafts:
            previous = start.version if written.pages else 0
            first = PageStart(written.pages, previous, written.messages, times.pages)
            token = start.intent.op if start.intent else b""
            making = partial(make_pages, drafts, to, start, first, token)
            with preparing():
                pages = await off_loop_if_many([draft.data for draft in drafts], making)
                await self.steps.table.put_new_pages(to.key, start.generation, pages)
            if (noted := self.steps.noting(start, pages)).bucket is not None:
                written = replace(written, bucket=noted.bucket)
        return written.with_pages(drafts)


async def _laid_out(blocks: Sequence[Draft], to: Destination) -> tuple[list[Draft], tuple[bytes, ...]]:
    return await off_loop_if_many([block.data for block in blocks], partial(copying.laid_out, blocks, to))
