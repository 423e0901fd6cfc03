"""Makes of a damaged session one that works in every way."""

from __future__ import annotations

import contextlib
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import accumulate
from typing import NamedTuple

from langchain_core.messages import BaseMessage

from .._items.attribute_names import EDIT
from .._items.community_item import CommunityItem
from .._items.keys import SessionKey
from .._items.page_items import Page
from .._items.parsing import corrupt
from .._items.session_items import SessionItem, new_op
from .._items.sizes import MAX_INFLATED
from .._protocol import rewrite, states
from .._protocol.expiry import expiries
from .._protocol.foreign_entries import Tail, TakenOut, decodable, mend, strangers
from .._protocol.missing_pages import Survey
from .._protocol.pages import Batch, Draft, PageStart, Placement, make_pages, paginate
from .._protocol.windows import Missing, gap
from .._threads import off_loop
from ..codec import messages as codec
from ..codec.long_lines import Line
from ..errors import SessionNotFoundError
from ..models import Removed, RepairReport
from .off_loop import off_loop_if_many
from .rewriting import Rewriter
from .salvaging import Run, Salvager, missing_at


class _Stay(NamedTuple):
    """Where pages begin that stay as they are, and what was changed in them (see `SessionItem`)."""

    first_page: int
    trimmed: int
    removed: int
    edited: int


class _Pages(NamedTuple):
    """What is there of the pages, how many messages that holds, and what became of the others."""

    survey: Survey
    messages: int
    missing: tuple[Missing, ...]
    removed: tuple[TakenOut, ...]
    stay: _Stay | None  # where none has to move


@dataclass(frozen=True)
class Repairer:
    """Repairs sessions in our format, with the means of the `rewriter`."""

    rewriter: Rewriter

    async def repair(self, key: SessionKey, *, drop_undecodable: bool) -> RepairReport:
        """Drop what is missing, bring in what others wrote; returns what was done."""
        steps = self.rewriter.steps
        found = await steps.await_idle(key, b"")
        if found is None or not found.version:
            raise SessionNotFoundError(
                f"there is no session {key} to repair: if its item was lost, restore that from a backup, or remove the "
                "pages that it left by delete(session, search_pages=True)"
            )
        if isinstance(found, CommunityItem):
            return RepairReport(version=found.version)
        report = RepairReport(version=found.version)

        async def step(item: SessionItem | None, op: bytes) -> SessionItem | None:
            nonlocal report
            if item is None:
                return None
            pages, tail = await self._examined(key, item, drop_undecodable)
            report = _report(pages, tail)
            item = await self._past_newer_pages(key, item, pages.stay.edited if pages.stay else 0)
            return await self._carry_out(key, item, pages, tail, op, drop_undecodable)

        version = await self.rewriter._change(key, None, step, must_exist=True, encrypt=False)
        return report.model_copy(update={"version": version})

    async def examine(self, key: SessionKey, *, drop_undecodable: bool) -> RepairReport:
        """What `repair` would report; nothing is written."""
        found = await self.rewriter.reader.item(key)
        if found is None or not found.version:
            raise SessionNotFoundError(f"there is no session {key} to repair")
        if isinstance(found, CommunityItem):
            return RepairReport(version=found.version)
        item = await self.rewriter.steps.vault.unlocked(key, found)
        report = _report(*await self._examined(key, item, drop_undecodable))
        return report.model_copy(update={"version": item.version})

    async def _examined(self, key: SessionKey, item: SessionItem, drop: bool) -> tuple[_Pages, Tail]:
        """What is there of the pages, and the tail as it is to be.

        One page after another is looked at, and none only to see that it can be had, unless what cannot be is dropped.
        """
        reader = self.rewriter.reader
        if item.bucket is not None:
            reader.pages.table.objects.required(key, item.bucket)
        salvager = Salvager(reader)
        survey = await salvager.sound_survey(key, item, drop_unusable=drop, with_data=False)
        runs = survey.whole()
        kept = [run[-1].messages for run in runs]
        removed: list[TakenOut] = []
        known: dict[int, BaseMessage] = {}
        by_others = len(item.others["L"]) if item.others else 0  # as many messages it is compared with
        needed = runs if drop else [run for run in runs if run[-1].first < by_others]
        async with contextlib.aclosing(salvager.loaded(key, item, needed)) as loaded:
            async for number, run in loaded:
                lines, wrong = await self._lines(key, item, run)
                if wrong is None and run[-1].first < by_others:
                    messages = await off_loop_if_many(lines, partial(codec.decode_lines, lines))
                    known |= enumerate(messages, run[-1].first)
                if drop and (wrong or len(lines) != run[-1].messages):
                    told = wrong or f"it holds {len(lines)} messages, not {run[-1].messages}"
                    removed.append(TakenOut(str(key.page(item.generation, run[-1].number)), told))
                    kept[number] = len(lines)
        changed = bool(removed)
        if drop:
            where = [str(key.page(item.generation, number)) for number in sorted(survey.unusable)]
            removed += [TakenOut(page, "no page that the session proves") for page in where]
        if item.edit and item.edited_page in survey.pages:
            told = f"{EDIT}: a message was changed, but this or its page {item.edited_page} cannot be decoded"
            if not drop:
                raise corrupt(key, EDIT, f"{told}: repair it with drop_undecodable, which gives the change up")
            removed.append(TakenOut(str(key), told))
        history = self.rewriter.steps.table.names.history
        tail = mend(item, known, self.rewriter.steps.to(key, item), history, drop_undecodable=drop)
        return _pages(key, survey, kept, removed, changed), tail

    async def _drafts(self, key: SessionKey, item: SessionItem, survey: Survey, drop: bool) -> list[Draft]:
        """The pages as data, to be put in another place: none where no message is left.

        On demand without what cannot be decoded; else that is a `CorruptSessionError` where it is encrypted or lost.
        """
        drafts: list[Draft] = []
        loading = Salvager(self.rewriter.reader).loaded(key, item, survey.whole())
        async with contextlib.aclosing(loading) as loaded:
            async for _, run in loaded:
                lines, wrong = await self._lines(key, item, run) if drop else ([], None)
                if drop and (wrong or len(lines) != run[-1].messages):
                    drafts += paginate(lines, self.rewriter.steps.sizes)
                elif run[-1].messages:
                    drafts += await self.rewriter.reader.pages.drafts(key, item, run)
        return drafts

    async def _lines(self, key: SessionKey, item: SessionItem, run: Run) -> tuple[list[Line], str | None]:
        """The lines in pages that can be decoded, and what is wrong with the others."""
        unpacking = partial(self.rewriter.reader.pages.unpack_page, key, item, run)
        return await off_loop(partial(decodable, unpacking))

    async def _carry_out(
        self, key: SessionKey, item: SessionItem, pages: _Pages, tail: Tail, op: bytes, drop: bool
    ) -> SessionItem:
        steps = self.rewriter.steps
        to = steps.to(key, item)
        ops = item.tail_ops if tail.has_own else frozenset[bytes]()
        new_tail = _changes_tail(item, tail)
        if pages.stay == (item.first_page, item.trimmed, item.removed, item.edited) and not (new_tail or item.edit):
            return item
        now, times = steps.clock(), expiries(steps.clock(), None, item)  # which leaves the expiry alone
        moved = pages.stay is None
        following: list[Draft] = []
        if new_tail and tail.size(ops | item.page_ops) > to.room:
            if tail.has_unreadable:
                reason = (
                    "some of its entries cannot be decoded, and the others need pages: repair it with drop_undecodable"
                )
                raise corrupt(key, steps.table.names.history, reason)
            entries = tail.entries

            def following_pages() -> list[Draft]:
                lines = [line for entry in entries for line in to.codec.unpack(entry, key.place(), MAX_INFLATED)]
                return paginate(lines, to.sizes)

            following = await off_loop(following_pages)
            tail, moved = tail._replace(entries=(), messages=0), True

        def mended(start: SessionItem, stay: _Stay, tail_start: int) -> SessionItem:
            return replace(
                states.changed(start, op, now, None),
                **stay._asdict(),
                edit=None,  # its page is not there, or has it
                tail_start=tail_start,
                count=tail_start - stay.removed + tail.messages,
                tail=tail.entries,
                tail_ops=ops,
                tail_bytes=tail.size(ops | item.page_ops),
                others=None,
                listed=None,
            )

        if not moved:
            assert pages.stay is not None
            new = await steps.compare_and_set(key, item, mended(item, pages.stay, item.tail_start))
            return await steps.sweep(key, new)
        drafts = await self._drafts(key, item, pages.survey, drop) + following
        messages = sum(draft.messages for draft in drafts)
        first = rewrite.rewrite_start(item)

        def commit(start: SessionItem) -> SessionItem:
            placement = Placement(drafts, tail.entries)
            rewritten = rewrite.rewritten(replace(start, reach=item.reach), placement, messages, op, now, times)
            new = mended(start, _Stay(rewritten.first_page, 0, 0, 0), messages)
            return replace(
                new,
                pages=rewritten.pages,
                page_version=rewritten.page_version,
                reach=rewritten.reach,
                pages_expire=rewritten.pages_expire,
            )

        def put(start: SessionItem) -> list[Page]:
            without_ops = replace(start, tail_ops=frozenset())  # theirs are not looked for below a rewrite
            return make_pages(drafts, to, without_ops, PageStart(first, 0, 0, times.pages), op)

        if not drafts:
            return await steps.sweep(key, await steps.compare_and_set(key, item, commit(item)))
        batch = Batch(item, first, drafts, put, commit)
        intent = steps.intent(op, "rewrite", item.generation, batch.numbers)
        return await steps.under_intent(key, item, intent, batch)

    async def _past_newer_pages(self, key: SessionKey, item: SessionItem, edited: int) -> SessionItem:
        """Take note of pages that the session does not know of, as where an older item of it was restored.

        So no cut is refused for their versions any more, and `delete` finds them. Pages that it knows may have been
        `edited` later.
        """
        steps = self.rewriter.steps
        version, top = await self.rewriter.reader.pages.beyond(key, item)
        version = max(version, edited)
        if version == item.version and top <= max(item.pages, item.reach):
            return item
        new = states.changed(item, new_op(), steps.clock(), None)
        return await steps.compare_and_set(key, item, replace(new, version=version + 1, reach=top))


def _pages(key: SessionKey, survey: Survey, kept: Sequence[int], removed: Sequence[TakenOut], changed: bool) -> _Pages:
    """The pages to keep, of each so many messages, and at which message of those what is missing was."""
    item, runs, holes = survey.item, survey.whole(), survey.holes()
    firsts = [run[-1].first for run in runs]
    totals = [0, *accumulate(kept)]
    missing = tuple(missing_at(totals[bisect_left(firsts, hole.first)], hole, key, item) for hole in holes)
    first = runs[0] if runs else None
    changed_in = sum(run[-1].removed for run in runs), max([item.edited, *(run[-1].edited for run in runs)])
    begin = (first[0].number, first[-1].first) if first else (item.pages, item.tail_start)
    whole = not changed and all(hole.first == item.trimmed for hole in holes)
    return _Pages(survey, totals[-1], missing, tuple(removed), _Stay(*begin, *changed_in) if whole else None)


def _changes_tail(item: SessionItem, tail: Tail) -> bool:
    by_others = bool(item.others and strangers(item.others["L"]))
    return by_others or (tail.entries, tail.messages) != (item.tail, item.tail_count)


def _report(pages: _Pages, tail: Tail) -> RepairReport:
    lost = (Missing(pages.messages, tail.lost, ()),) if tail.lost else ()
    return RepairReport(
        version=0,  # known once it is done
        missing=[gap(one) for one in pages.missing + lost],
        brought_in=tail.brought_in,
        removed=[Removed(where=one.where, reason=one.reason, value=one.value) for one in pages.removed + tail.removed],
    )
