"""Reads what is there of a session of which pages are missing, and says what is not."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TypeAlias

from langchain_core.messages import BaseMessage

from .._items import attribute_names as lc
from .._items.keys import SessionKey
from .._items.page_items import Page
from .._items.parsing import corrupt
from .._items.session_items import SessionItem
from .._protocol.missing_pages import Hole, Survey
from .._protocol.windows import Missing, Snapshot, readable
from ..codec.long_lines import Line
from ..errors import CorruptSessionError, IncompleteSessionError, SessionBusyError
from .chunks import Chunk, LoadedPage
from .reading import ATTEMPTS, Reader
from .stored_pages import ITER_PAGES, WINDOW_PAGES, Unproven
from .table import MANY_PAGES

LOOK_PAGES = 16  # looked at together, at least
LONGEST_BEGINNING = 24 * 3600 * 1_000_000  # microseconds between a generation and the commit of its first batch

Run: TypeAlias = list[Page]
"""A page, with the pages before it that hold parts of its message."""


@dataclass(frozen=True)
class Salvager:
    """Reads around missing pages: as `reader` does, as long as none is."""

    reader: Reader

    async def snapshot(self, key: SessionKey, limit: int | None, unless_version: int | None) -> Snapshot | None:
        """As that of the reader, but with what is missing in place of the error."""
        try:
            return await self.reader.snapshot(key, limit, unless_version)
        except (CorruptSessionError, IncompleteSessionError):
            pass
        for _ in range(ATTEMPTS):
            item = await self.reader.item(key)
            if not isinstance(item, SessionItem) or item.version == unless_version:
                return await self.reader.snapshot(key, limit, unless_version)
            item = await self.reader.opened(key, item)
            found = await self._read(key, item, sys.maxsize if limit is None else limit)
            if found is not None:
                return found.keeping(readable(found.messages, limit))
        raise SessionBusyError(f"session {key} was rewritten {ATTEMPTS} times while it was read: try again")

    async def iterate(self, key: SessionKey) -> AsyncGenerator[BaseMessage, None]:
        """All messages of one snapshot that are there, oldest first, a few pages in memory at a time.

        Pages are read twice: the first time only to see what is missing.
        """
        item = await self.reader.item(key)
        if not isinstance(item, SessionItem):
            for message in await self.reader.decoder.read_natives(key, item) if item else []:
                yield message
            return
        item = await self.reader.opened(key, item)
        survey = await self.survey(key, item, with_data=False)
        if not await self.reader.is_unchanged(key, item):
            raise await self.reader.gone(key, item, item.first_page)
        try:
            async with contextlib.aclosing(self.loaded(key, item, survey.whole(), reads=True)) as runs:
                async for _, run in runs:
                    if any(page.lost for page in run):
                        continue
                    for message in await self.reader.decoder.decode(key, item, await self.inflate(key, item, [run])):
                        yield message
        except Unproven as error:
            raise await self.reader.gone(key, item, error.number) from None
        for message in await self.reader.decoder.decode(key, item, self.reader.decoder.tail(key, item)):
            yield message

    async def loaded(
        self, key: SessionKey, item: SessionItem, runs: Sequence[Run], *, reads: bool = False
    ) -> AsyncGenerator[tuple[int, Run], None]:
        """Pages of a survey that was made without their data, numbered, one after another, with that, or `lost`.

        Some are fetched together, but one object after another, as `reads` says. Raises `Unproven` where one is not
        there any more.
        """
        number = 0
        for batch in _batches(runs):
            for run in await self._again(key, item, batch):
                yield number, await self.reader.pages.load_run(key, item, run, reads=reads)
                number += 1

    async def first_lines(self, key: SessionKey, item: SessionItem, keep: int) -> list[Line]:
        """Those of the first `keep` stored messages that are there; `Unproven` if `item` is not the current state."""
        if not keep:
            return []
        try:
            return (await self.reader.lines(key, item))[:keep]
        except CorruptSessionError:
            pass
        survey = await self.sound_survey(key, item)
        if not survey.pages:
            raise corrupt(key, lc.PAGES, "none of its pages is there: keep=0 or a repair gives them up")
        lines: list[Line] = []
        end = item.trimmed + keep
        for run in survey.whole():
            if run[-1].first >= end:
                break
            (chunk,) = await self.inflate(key, item, [run])
            lines += chunk.lines[: end - run[-1].first]
            end += run[-1].removed
        return lines

    async def sound_survey(
        self, key: SessionKey, item: SessionItem, *, drop_unusable: bool = False, with_data: bool = True
    ) -> Survey:
        """All pages of the current state `item` (else `Unproven`), of which some may be missing for good.

        Raises `IncompleteSessionError` where they may just be late, and `CorruptSessionError` where something else is
        in their place, unless that is to be dropped.
        """
        survey = await self.survey(key, item, with_data=with_data)
        if not await self.reader.is_unchanged(key, item):
            raise Unproven(item, item.first_page)
        late = survey.first_recent(self.reader.clock())
        if late is not None:
            raise self.reader.missing(key, item, late, item.page_version)
        if survey.unusable and not drop_unusable:
            where = str(key.page(item.generation, min(survey.unusable)))
            raise corrupt(where, None, f"this is no page that session {key} proves")
        begun = item.created - item.generation
        if not (survey.pages or survey.unusable) and survey.holes() and not 0 <= begun <= LONGEST_BEGINNING:
            # The keys of all pages are made of it, so that they may well be there.
            raise corrupt(key, lc.GENERATION, "not of the time at which the session began, and no page is there")
        return survey

    async def survey(
        self,
        key: SessionKey,
        item: SessionItem,
        wanted: int = sys.maxsize,
        *,
        with_data: bool = True,
        around_lost: bool = False,
    ) -> Survey:
        """Look at the newest pages that hold `wanted` messages; read strongly, since what is missing must be.

        `around_lost`: pages whose object was lost are missing too.
        """
        between = item.tail_start - item.trimmed
        if item.pages - item.first_page > MANY_PAGES + between:  # going through them might never end
            raise corrupt(key, lc.PAGES, f"{between} messages do not need so many pages")
        survey = Survey.of(item)
        per_page = max(1, between // max(1, item.pages - item.first_page))
        while survey.bottom > item.first_page and (lacking := wanted - survey.found) > 0:
            bottom = max(item.first_page, survey.bottom - min(WINDOW_PAGES, max(LOOK_PAGES, -(-lacking // per_page))))
            unreadable: set[int] = set()
            found = await self.reader.pages.get(
                key, item, range(bottom, survey.bottom), consistent=True, unreadable=unreadable
            )
            kept = found if with_data else {number: replace(page, data=b"") for number, page in found.items()}
            survey.go_down(kept, unreadable, bottom)
            for page in [page for page in survey.pages.values() if around_lost and page.reference]:
                survey.pages[page.number] = loaded = await self.reader.pages.load(key, item, page, reads=True)
                if loaded.lost:
                    survey.lose(page.number)
        return survey

    async def past_missing(self, key: SessionKey, item: SessionItem, bound: int) -> SessionItem:
        """The state without the missing pages at its beginning, if all that they held is older than message `bound`."""
        parts: Run = []
        for start in range(item.first_page, item.pages, LOOK_PAGES):
            numbers = range(start, min(start + LOOK_PAGES, item.pages))
            pages = await self.reader.pages.table.get_pages(key, item.generation, numbers, consistent=True)
            for page in map(pages.get, numbers):
                parts = [*parts, page] if page else []
                if page and page.first > bound:
                    return item
                if page and page.indexes:
                    whole = len(parts) >= page.parts
                    begin = parts[-page.parts] if whole else page
                    number, index = begin.number + (not whole), begin.first + (0 if whole else page.indexes)
                    fits = item.trimmed <= index <= bound and (number < item.pages) == (index < item.tail_start)
                    return await self._from_page(key, item, number, index) if fits else item
        return await self._from_page(key, item, item.pages, item.tail_start) if item.tail_start <= bound else item

    async def _from_page(self, key: SessionKey, item: SessionItem, number: int, index: int) -> SessionItem:
        """The state without the pages before; the others tell how many messages had been removed from these."""
        left = replace(item, first_page=number, trimmed=index)
        survey = await self.survey(key, left, with_data=False) if item.removed else Survey.of(left)
        removed = sum(run[-1].removed for run in survey.whole())
        return item.without_pages(number, index, item.removed - removed)

    async def inflate(self, key: SessionKey, item: SessionItem, runs: Sequence[Run]) -> list[Chunk]:
        """The messages of each run."""
        return await self.reader.pages.inflate(key, item, [LoadedPage(page) for run in runs for page in run])

    async def _read(self, key: SessionKey, item: SessionItem, wanted: int) -> Snapshot | None:
        """The newest `wanted` messages that are there; None where it is no longer the current state."""
        tail = self.reader.decoder.tail(key, item)
        try:
            wanted_of_pages = wanted - sum(len(chunk.lines) for chunk in tail)
            survey = await self.survey(key, item, wanted_of_pages, around_lost=True)
        except Unproven:
            return None
        if not await self.reader.is_unchanged(key, item):
            return None
        runs = survey.whole()
        chunks = await self.inflate(key, item, runs)
        stored: list[tuple[int, Hole | Chunk]] = [(hole.first, hole) for hole in survey.holes()]
        stored += [(run[-1].first, chunk) for run, chunk in zip(runs, chunks, strict=True)]
        stored.sort(key=lambda pair: pair[0])  # a stable sort: an empty hole stays before the page that follows it
        window = _newest([*(segment for _, segment in stored), *tail], wanted)
        messages: list[BaseMessage] = []
        missing: list[Missing] = []
        for is_hole, segments in groupby(window, lambda segment: isinstance(segment, Hole)):
            if is_hole:
                missing += [missing_at(len(messages), hole, key, item) for hole in segments if isinstance(hole, Hole)]
            else:
                messages += await self.reader.decoder.decode(key, item, [c for c in segments if isinstance(c, Chunk)])
        return Snapshot(item, messages, tuple(missing))

    async def _again(self, key: SessionKey, item: SessionItem, runs: Sequence[Run]) -> list[Run]:
        """The very pages that were seen, now with their data; the edit under way may have come into one since."""
        numbers = [page.number for run in runs for page in run]
        found = await self.reader.pages.get(key, item, numbers, consistent=True, whole=True)
        for page in (page for run in runs for page in run):
            now = found.get(page.number)
            same = now and replace(now, data=b"", expires=page.expires, edited=page.edited, reference=page.reference)
            if now is None or same != page or now.edited not in (page.edited, item.edited):
                raise Unproven(item, page.number)
        return [[found[page.number] for page in run] for run in runs]


def missing_at(position: int, hole: Hole, key: SessionKey, item: SessionItem) -> Missing:
    """What a hole leaves out before the message at `position`."""
    keys = tuple(key.page(item.generation, number) for number in hole.missing)
    return Missing(position, hole.messages, keys)


def _newest(segments: Sequence[Hole | Chunk], wanted: int) -> list[Hole | Chunk]:
    """The last `wanted` messages, and the holes after the first of these; if there are fewer, also those before it."""
    newest: list[Hole | Chunk] = []
    for segment in reversed(segments):
        if wanted <= 0:
            break
        if isinstance(segment, Chunk):
            segment = segment._replace(lines=segment.lines[max(0, len(segment.lines) - wanted) :])
            wanted -= len(segment.lines)
        newest.append(segment)
    return newest[::-1]


def _batches(runs: Sequence[Run]) -> Iterator[list[Run]]:
    """Some pages at a time."""
    batch: list[Run] = []
    for run in runs:
        batch.append(run)
        if sum(map(len, batch)) >= ITER_PAGES:
            yield batch
            batch = []
    if batch:
        yield batch
