"""Changes of a session as a whole: replace, truncate, metadata, delete."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from . import plan
from .attempts import Patience, State, change, check_expected, new_op
from .converting import Converter
from .errors import InvalidInputError, StorageError
from .keys import SessionKey
from .layout import CommunityItem, Page, SessionItem, Sizes
from .plan import PageStart
from .reading import Reader
from .steps import LEASE_AFTER, Steps
from .table import Refused
from .values import NO_CHANGES, AttributeValue, Changes, attribute_bytes

Change: TypeAlias = Callable[[SessionItem | None, bytes], Awaitable[SessionItem | None]]


@dataclass(frozen=True)
class Rewriter:
    """Rule 4: changes other than appends, in our format."""

    steps: Steps
    reader: Reader
    converter: Converter
    sizes: Sizes
    ttl: int | None

    async def replace(
        self, key: SessionKey, lines: Sequence[bytes], expected: int | None, own: Changes = NO_CHANGES
    ) -> int:
        """Rule 4: exchange the history."""

        async def step(item: SessionItem | None, op: bytes) -> SessionItem | None:
            return await self._rewrite(key, item, lines, op, own) if item or lines or own else None

        return await self._change(key, expected, step)

    async def truncate(self, key: SessionKey, keep: int, expected: int | None) -> int:
        """Keep the first `keep` messages. Within the tail that is one write, else a rewrite of what is kept."""

        async def step(item: SessionItem | None, op: bytes) -> SessionItem | None:
            if item is None or keep >= item.message_count:
                return item
            in_tail = item.trimmed + keep - item.tail_start
            if in_tail < 0:
                return await self._rewrite(key, item, (await self.reader.lines(key, item))[:keep], op)
            now = self.steps.clock()
            kept = self.reader.tail_lines(key, item)[:in_tail]
            expires = plan.expiries(now, self.ttl, item).session
            return await self.steps.swing(key, item, plan.tail_truncated(item, kept, op, now, expires))

        return await self._change(key, expected, step)

    async def update_metadata(
        self, key: SessionKey, changes: Changes, expected: int | None, own: Changes = NO_CHANGES
    ) -> int:
        """Merge `changes` into the metadata, and set attributes."""

        async def step(item: SessionItem | None, op: bytes) -> SessionItem:
            now = self.steps.clock()
            base = item or plan.unborn(now)
            merged = {**(base.metadata or {"M": {}})["M"], **changes}
            metadata = {"M": {name: value for name, value in merged.items() if value is not None}}
            check_metadata(metadata, self.sizes)
            new = plan.changed(base, op, now, plan.expiries(now, self.ttl, item).session)
            new = replace(new, created=base.created or now, metadata=metadata if changes else base.metadata)
            return await self.steps.swing(key, item, new, own)

        return await self._change(key, expected, step)

    async def delete(self, key: SessionKey, expected: int | None) -> None:
        """Mark the session, then remove its pages, then the item."""
        patience = Patience(f"delete session {key}")
        in_doubt = False
        meant: int | None = None  # generation of the session this call is about
        while True:
            await patience.wait()
            item = await self.steps.settled(key, b"")
            generation = item.generation if isinstance(item, SessionItem) else None
            if in_doubt and (item is None or generation != meant):
                return None  # it is gone; what is there now is another one
            check_expected(key, item, expected)
            if item is None:
                return None
            meant = generation
            try:
                busy = expected is None and patience.attempt >= LEASE_AFTER
                if not (busy and isinstance(item, SessionItem)):
                    return await self.steps.remove(key, item)
                held = await self.steps.lease(key, item, new_op())
                async with self.steps.giving_back(key, held):
                    return await self.steps.remove(key, held)
            except Refused as refused:
                in_doubt = in_doubt or refused.retried
            except StorageError as error:
                if not error.outcome_unknown:
                    raise
                in_doubt = True

    async def _change(self, key: SessionKey, expected: int | None, step: Change) -> int:
        """Take one step from a settled state in our format."""

        async def ours(item: State | None, op: bytes, attempt: int) -> SessionItem | None:
            if isinstance(item, CommunityItem):
                return await step(await self.converter.convert(key, item), op)
            if item is None or expected is not None or attempt < LEASE_AFTER:
                return await step(item, op)
            held = await self.steps.lease(key, item, op)
            async with self.steps.giving_back(key, held):
                new = await step(held, op)
                # A step that had nothing to do leaves the lease to us.
                return await self.steps.swing(key, held, plan.released(held)) if new is held else new

        return await change(key, new_op(), expected, self.steps.settled, ours)

    async def _rewrite(
        self, key: SessionKey, item: SessionItem | None, lines: Sequence[bytes], op: bytes, own: Changes = NO_CHANGES
    ) -> SessionItem:
        if item:  # whose pages are deleted afterwards
            await self.steps.table.check_pages(key, item)
        now = self.steps.clock()
        times = plan.expiries(now, self.ttl, item)
        base = item or plan.unborn(now)
        layout = plan.lay_out_all(lines, self.sizes.tail(key), self.sizes)
        first = plan.rewrite_start(base)
        if not layout.drafts:
            new = plan.rewritten(base, layout, len(lines), op, now, times)
            return await self.steps.sweep(key, await self.steps.swing(key, item, new, own))

        def pages(start: SessionItem) -> list[Page]:
            return plan.make_pages(layout.drafts, start, PageStart(first, 0, 0, times.pages), op)

        def commit(start: SessionItem) -> SessionItem:
            return plan.rewritten(replace(start, reach=base.reach), layout, len(lines), op, now, times)

        intent = self.steps.intent(op, "rewrite", base.generation, first, layout.drafts)
        return await self.steps.under_intent(key, item, intent, pages, commit, own)


def check_metadata(metadata: AttributeValue, sizes: Sizes) -> None:
    """Refuse metadata above its bound: every append pays for it."""
    size = attribute_bytes(metadata)
    if size > sizes.metadata:
        raise InvalidInputError(
            f"metadata would have {size} bytes, more than the {sizes.metadata} allowed: every append pays for it; "
            "keep large things elsewhere, or raise Sizes(metadata=...)"
        )
