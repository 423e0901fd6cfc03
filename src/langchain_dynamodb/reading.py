"""Consistent snapshots of a session: the session item, and the pages it proves."""

from __future__ import annotations

import asyncio
import contextlib
import math
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from langchain_core.messages import BaseMessage

from . import layout
from . import messages as codec
from .cache import LRU
from .errors import SessionBusyError, VersionConflictError
from .keys import SessionKey
from .layout import CommunityItem, Page, SessionItem
from .parsing import corrupt
from .plan import drop_orphans
from .table import Table
from .values import from_attribute

ATTEMPTS = 10  # times a read starts over while the session is rewritten under it
ITER_PAGES = 16  # pages `iter_messages` holds at a time
# What is done before other tasks of the event loop get their turn: about 5 ms each.
SLICE = 256  # messages decoded
SLICE_BYTES = 1 << 20  # of text inflated
PAGE_OVERHEAD = 200  # bytes a cached page costs beside its messages


class Snapshot(NamedTuple):
    """A session at one version; `item` is None where there is no session."""

    item: SessionItem | CommunityItem | None
    messages: list[BaseMessage]


class LoadedPage(NamedTuple):
    """A page and, once inflated, its messages as lines; a message cut into parts is in the last of them."""

    page: Page
    lines: list[bytes] | None = None


class Unproven(Exception):
    """A page that the session item proves is not there, even when read strongly."""

    def __init__(self, item: SessionItem, number: int) -> None:
        super().__init__(number)
        self.item = item
        self.number = number


@dataclass(frozen=True)
class Reader:
    """Reads sessions of one table; committed pages are immutable and kept in a bounded cache."""

    table: Table
    cache: LRU[LoadedPage]
    known: LRU[SessionItem]
    clock: Callable[[], int]
    skip_undecodable: bool = False

    async def item(self, key: SessionKey) -> SessionItem | CommunityItem | None:
        """The session item as readers see it: None where it is absent, unborn, being deleted or expired."""
        item = await self.table.get(key)
        now = self.clock()
        if isinstance(item, SessionItem):
            if item.is_live(now):
                self.known.put(key, item)
                return item
        elif item is not None and not layout.is_expired(item.expires, now):
            return item
        self.known.discard(key)
        return None

    async def snapshot(self, key: SessionKey, limit: int | None, unless_version: int | None) -> Snapshot | None:
        """The newest `limit` messages (None: all), oldest first; None if the session is at `unless_version`."""
        for _ in range(ATTEMPTS):
            item = await self.item(key)
            if unless_version is not None and (item.version if item else 0) == unless_version:
                return None
            if item is None:
                return Snapshot(None, [])
            try:
                messages = await self._messages(key, item, limit)
            except Unproven as error:
                if await self._unchanged(key, error.item):
                    raise self._missing(key, error.item, error.number) from None
                continue
            return Snapshot(item, messages)
        raise SessionBusyError(f"session {key} was rewritten {ATTEMPTS} times while it was read: try again")

    async def iterate(self, key: SessionKey) -> AsyncIterator[BaseMessage]:
        """All messages of one snapshot, oldest first, a few pages in memory at a time.

        Pages are read strongly: going forward, there is no committed version yet to verify them by.
        """
        item = await self.item(key)
        if item is None:
            return
        if isinstance(item, CommunityItem):
            tail = self.natives(key, item)
        else:
            async for batch in self._iterate_pages(key, item):
                for message in batch:
                    yield message
            tail = await self._decode(self.tail_lines(key, item), str(key))
        for message in tail:
            yield message

    async def lines(self, key: SessionKey, item: SessionItem) -> list[bytes]:
        """All messages of this very state as lines; raises `Unproven` when it is no longer the current one."""
        try:
            return await self._window(key, item, item.message_count) + self.tail_lines(key, item)
        except Unproven as error:
            if await self._unchanged(key, error.item):
                raise self._missing(key, error.item, error.number) from None
            raise

    def tail_lines(self, key: SessionKey, item: SessionItem) -> list[bytes]:
        """The messages of the tail as lines."""
        lines: list[bytes] = []
        for i, entry in enumerate(item.tail):
            lines += self._unpack(entry, str(key), f"{self.table.names.history}[{i}]", None)
        return lines

    async def _messages(
        self, key: SessionKey, item: SessionItem | CommunityItem, limit: int | None
    ) -> list[BaseMessage]:
        if limit == 0:
            return []
        if isinstance(item, CommunityItem):
            messages = self.natives(key, item, limit)
        else:
            lines = self.tail_lines(key, item)
            wanted = sys.maxsize if limit is None else limit
            if wanted > len(lines):
                lines = await self._window(key, item, wanted - len(lines)) + lines
            messages = await self._decode(lines[max(0, len(lines) - wanted) :], str(key))
        return messages if limit is None else drop_orphans(messages)

    async def _window(self, key: SessionKey, item: SessionItem, wanted: int) -> list[bytes]:
        """The messages of the newest pages that hold at least `wanted` (or all there are), verified, oldest first."""
        pages: list[LoadedPage] = []
        per_page = max(1, (item.tail_start - item.trimmed) // max(1, item.pages - item.first_page))
        while True:
            top, expected = (pages[0].page.number, pages[0].page.previous) if pages else (item.pages, item.page_version)
            missing = wanted - sum(loaded.page.messages for loaded in pages)
            if top == item.first_page or (missing <= 0 and not _missing_parts(pages)):
                return await self._inflate(key, item, pages)
            step = max(1, math.ceil(missing / per_page), _missing_parts(pages))
            bottom = max(item.first_page, top - step)
            pages = await self._chain(key, item, range(bottom, top), expected) + pages

    async def _chain(self, key: SessionKey, item: SessionItem, numbers: range, expected: int) -> list[LoadedPage]:
        """Committed pages, proved backwards by their versions from the `expected` one of the last."""
        found = {n: page for n in numbers if (page := self.cache.get((key, item.generation, n)))}
        for consistent, wanted in ((False, [n for n in numbers if n not in found]), (True, list(numbers))):
            read = await self.table.get_pages(key, item.generation, wanted, consistent=consistent)
            found |= {n: LoadedPage(page) for n, page in read.items()}
            broken = _first_break(found, numbers, expected)
            if broken is None:
                return [found[n] for n in numbers]
            lost = broken
        raise Unproven(item, lost)

    async def _inflate(self, key: SessionKey, item: SessionItem, pages: Sequence[LoadedPage]) -> list[bytes]:
        """The messages of pages as lines, in order and in slices; raises `CorruptSessionError`."""
        lines: list[bytes] = []
        parts: list[bytes] = []
        inflated = 0
        for page, known in pages:
            if known is None:
                parts.append(page.data)
            if page.messages == 0:
                continue
            if known is None:
                known = self._page_lines(key, item, page, b"".join(parts))
                inflated += sum(map(len, known))
            parts = []
            lines += known
            if inflated >= SLICE_BYTES:
                inflated = 0
                await asyncio.sleep(0)
        return lines

    def _page_lines(self, key: SessionKey, item: SessionItem, page: Page, data: bytes) -> list[bytes]:
        """Inflate one page (with the parts before it) and remember it."""
        where = str(key.page(item.generation, page.number))
        lines = self._unpack(data, where, layout.DATA, page.messages)
        if len(lines) != page.messages:
            raise corrupt(where, layout.MESSAGES, f"it holds {len(lines)} messages, not {page.messages}")
        if page.parts == 1 and UNREADABLE not in lines:
            cost = PAGE_OVERHEAD + sum(map(len, lines)) + 33 * len(lines)
            self.cache.put((key, item.generation, page.number), LoadedPage(replace(page, data=b""), lines), cost)
        return lines

    async def _iterate_pages(self, key: SessionKey, item: SessionItem) -> AsyncIterator[list[BaseMessage]]:
        previous: Page | None = None
        parts: list[bytes] = []
        for start in range(item.first_page, item.pages, ITER_PAGES):
            numbers = range(start, min(start + ITER_PAGES, item.pages))
            pages = await self.table.get_pages(key, item.generation, numbers, consistent=True)
            for number in numbers:
                page = pages.get(number)
                last = number == item.pages - 1
                if (
                    page is None
                    or (previous and page.previous != previous.cut)
                    or (last and page.cut != item.page_version)
                ):
                    raise await self._gone(key, item, number)
                previous = page
                parts.append(page.data)
                if page.messages:
                    yield await self._decode(self._page_lines(key, item, page, b"".join(parts)), str(key))
                    parts = []

    def _unpack(self, data: bytes, where: str, attribute: str, messages: int | None) -> list[bytes]:
        """Lines of a block. Undecodable messages that are skipped become empty lines, so that windows still count."""
        try:
            return codec.unpack(data, layout.MAX_INFLATED)
        except codec.UndecodableError as error:
            if self.skip_undecodable:
                return [UNREADABLE] * (1 if messages is None else messages)
            raise corrupt(where, attribute, str(error)) from error

    async def _decode(self, lines: Sequence[bytes], where: str) -> list[BaseMessage]:
        """Messages of lines, in slices between which other tasks of the event loop run."""
        messages: list[BaseMessage] = []
        for start in range(0, len(lines), SLICE):
            part = lines[start : start + SLICE]
            try:
                messages += codec.decode_lines(part)
            except codec.UndecodableError as error:
                if not self.skip_undecodable:
                    raise corrupt(where, self.table.names.history, str(error)) from error
                messages += _decodable(part)
            if len(lines) > start + SLICE:
                await asyncio.sleep(0)
        return messages

    def natives(self, key: SessionKey, item: CommunityItem, newest: int | None = None) -> list[BaseMessage]:
        """The newest messages of an item in the incumbent's format (None: all)."""
        first = 0 if newest is None else max(0, len(item.natives) - newest)
        messages: list[BaseMessage] = []
        for i, entry in enumerate(item.natives[first:], first):
            try:
                messages.append(codec.from_native(from_attribute(entry)))
            except ValueError as error:
                if not self.skip_undecodable:
                    raise corrupt(str(key), f"{self.table.names.history}[{i}]", str(error)) from error
        return messages

    async def _unchanged(self, key: SessionKey, item: SessionItem) -> bool:
        """Whether the pages that `item` proves must still be there."""
        now = await self.item(key)
        same = isinstance(now, SessionItem) and now.generation == item.generation
        return same and isinstance(now, SessionItem) and now.first_page == item.first_page

    async def _gone(self, key: SessionKey, item: SessionItem, number: int) -> Exception:
        """Why a page is not there: the session was rewritten, or it is damaged."""
        if await self._unchanged(key, item):
            return self._missing(key, item, number)
        now = await self.item(key)
        actual = now.version if now else 0
        return VersionConflictError(
            f"session {key} was rewritten or deleted while it was read (version {item.version}, now {actual}): "
            "start again",
            expected=item.version,
            actual=actual,
        )

    def _missing(self, key: SessionKey, item: SessionItem, number: int) -> Exception:
        where = str(key.page(item.generation, number))
        return corrupt(where, None, f"this page of session {key} is missing, or is not the one the session proves")


UNREADABLE = b""


def _missing_parts(pages: Sequence[LoadedPage]) -> int:
    """In how many earlier pages the first message of these begins."""
    last_part = next((loaded.page for loaded in pages if loaded.page.messages), None)
    return max(0, pages[0].page.number - (last_part.number - last_part.parts + 1)) if last_part else 0


def _first_break(found: Mapping[int, LoadedPage], numbers: range, expected: int) -> int | None:
    """Number of the newest page that is missing or not the one its successor names."""
    for number in reversed(numbers):
        loaded = found.get(number)
        if loaded is None or loaded.page.cut != expected:
            return number
        expected = loaded.page.previous
    return None


def _decodable(lines: Iterable[bytes]) -> list[BaseMessage]:
    messages = []
    for line in lines:
        with contextlib.suppress(codec.UndecodableError):
            messages.append(codec.decode_line(line))
    return messages
