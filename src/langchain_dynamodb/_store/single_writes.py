"""Single writes of the storage protocol: of the session item, of pages, and the removal of those that were dropped."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from .._dynamodb.attribute_values import NO_CHANGES, Changes
from .._dynamodb.batches import CONCURRENCY
from .._dynamodb.expressions import Statement
from .._items.clock import is_expired
from .._items.community_item import CommunityItem, State
from .._items.keys import SessionKey
from .._items.page_items import Page
from .._items.session_items import SessionItem
from .._items.sizes import Sizes
from .._protocol import community, conditions
from .._protocol.pages import Destination
from ..codec.messages import Codec
from ..errors import ChatHistoryError, StorageError, ThrottledError, WrongRegionError
from .cache import LRU
from .options import Timing
from .retrying import Patience, for_so_long, preparing
from .table import WRITE_BATCH, Refused, Table
from .vault import Vault

CLEARED_AT_ONCE = WRITE_BATCH * CONCURRENCY  # pages that were dropped
S = TypeVar("S", SessionItem, CommunityItem)


@dataclass(frozen=True)
class SingleWrites:
    """What each of them needs, and does; `known` holds the session items last seen, locked."""

    table: Table
    known: LRU[SessionItem]
    codec: Codec
    sizes: Sizes
    clock: Callable[[], int]
    timing: Timing
    vault: Vault
    home: str | None = None  # the region that this repository writes in, if that is looked at

    def is_elsewhere(self, item: State | None) -> bool:
        """Whether another region writes this session."""
        if self.home is None or not isinstance(item, SessionItem):
            return False
        return item.home not in (None, self.home)

    def check_home(self, key: SessionKey, item: State | None) -> None:
        """Raise `WrongRegionError` where another region writes this session."""
        if self.is_elsewhere(item):
            assert isinstance(item, SessionItem)  # as was seen
            raise WrongRegionError(
                f"session {key} is written by region {item.home!r}, not by {self.home!r}, and nothing was changed: "
                "send the request there, or call take_over once that region writes no more and has been replicated",
                home=str(item.home),
                here=str(self.home),
            )

    def stamped(self, new: S) -> S:
        """The state with this region as its home."""
        if self.home is None or not isinstance(new, SessionItem) or new.home == self.home:
            return new
        return replace(new, home=self.home)

    def to(self, key: SessionKey, item: SessionItem) -> Destination:
        """Where messages of this session, which is unlocked, go."""
        return Destination(key, self.codec.of(item.cipher), self.sizes)

    async def destination(self, key: SessionKey, item: SessionItem | None) -> Destination:
        """The same; of a session that is about to begin (None) the key is made here."""
        if item is not None:
            return self.to(key, item)
        return Destination(key, self.codec.of(await self.vault.new_cipher(key)), self.sizes)

    def patience(self, what: str, attempts: int = 0) -> Patience:
        """Pauses between the attempts of a write that others may keep off."""
        return Patience(what, self.timing.patience, attempts)

    async def compare_and_set(
        self, key: SessionKey, old: SessionItem | None, new: SessionItem, own: Changes = NO_CHANGES
    ) -> SessionItem:
        """One step of the session item; `Refused` unless `old` is still the current state."""
        new = self.stamped(new)
        return await self._step(key, new, conditions.compare_and_set(old, new, key, self.table.names, own))

    async def _step(self, key: SessionKey, new: SessionItem, request: Statement) -> SessionItem:
        try:
            await self.table.update(key, request)
        except Refused as refused:
            if not (refused.retried and refused.current == new):
                raise
        self.known.put(key, new.locked)
        return new

    async def patch(self, key: SessionKey, old: SessionItem, new: SessionItem) -> SessionItem:
        """Change the bookkeeping, not the content: the version stays."""
        await self.table.update(key, conditions.patch(old, new, self.table.names))
        self.known.put(key, new.locked)
        return new

    async def from_community(self, key: SessionKey, old: CommunityItem, new: S) -> S:
        """One step of an item in langchain_community's format; `Refused` unless `old` is still there."""
        new = self.stamped(new)
        try:
            with self.comparing(old):
                await self.table.update(key, community.from_community(old, new, self.table.names))
        except Refused as refused:
            if not (refused.retried and refused.current == new):
                raise
        if isinstance(new, SessionItem):
            self.known.put(key, new.locked)
        return new

    @contextlib.contextmanager
    def comparing(self, old: CommunityItem) -> Iterator[None]:
        """Around a request on condition that the whole list is unchanged, which not every engine can evaluate."""
        try:
            yield
        except Refused as refused:
            if refused.current == old and not is_expired(old.expires, self.clock()):
                raise StorageError(
                    "this engine refuses a condition that holds: it cannot compare lists. What is stored in the format "
                    "of langchain_community needs that; use DynamoDB, DynamoDB Local or another engine that can"
                ) from None
            raise

    async def clear(self, key: SessionKey, item: SessionItem, seconds: float | None = None) -> SessionItem:
        """Delete the pages that were dropped and may still exist; returns the state that says so, which is not stored.

        What fails here, or is not done in so many seconds, is made good by the next change but a small append.
        """
        below, above = range(item.floor, item.first_page), range(item.pages, item.ceiling)
        if not (below or above):
            return replace(item, ceiling=0)
        cleared = item

        async def remove() -> None:
            nonlocal cleared
            await self.table.check_objects(key, item, [*below, *above])
            for start in range(0, len(below), CLEARED_AT_ONCE):
                numbers = below[start : start + CLEARED_AT_ONCE]
                await self.table.delete_pages(key, item.generation, numbers)
                if item.bucket is not None:
                    await self.table.objects.delete(key, item, numbers)
                cleared = replace(cleared, floor=numbers.stop)  # so that who goes on need not begin anew
            # Their numbers are used again, by cuts of this version at the earliest.
            await self.table.discard_pages(key, item.generation, above, item.version - 1)
            cleared = replace(cleared, ceiling=0)

        with contextlib.suppress(ChatHistoryError):
            await (remove() if seconds is None else for_so_long(remove(), seconds))
        return cleared

    async def sweep(self, key: SessionKey, item: SessionItem, seconds: float | None = None) -> SessionItem:
        """The same where there are any, taking note of it."""
        if item.has_dropped_pages and item != (cleared := await self.clear(key, item, seconds)):
            with contextlib.suppress(ChatHistoryError, Refused):
                return await self.patch(key, item, cleared)
        return item

    def noting(self, new: SessionItem, pages: Sequence[Page]) -> SessionItem:
        """The state with a note of the bucket, where data of these pages is in objects."""
        blobs = self.table.objects.blobs
        if blobs is None or not any(map(self.table.objects.takes, pages)):
            return new
        return new.noting(blobs.bucket)

    async def put(self, key: SessionKey, generation: int, pages: Sequence[Page]) -> None:
        """Put pages; `Refused` where one is in the way, which the session's version must get beyond."""
        with preparing():
            in_the_way = await self.table.put_pages(key, generation, pages)
        if in_the_way:
            raise Refused(None, retried=False, beyond=in_the_way)

    async def discard_unreachable(
        self, key: SessionKey, generation: int, numbers: Iterable[int], cut: int, current: State | None
    ) -> None:
        """Remove pages put for a session deleted or rewritten meanwhile, by somebody who may have come before them.

        Tidying up only: it raises nothing. None for `current` may mean that the engine did not say.
        """
        numbers = list(numbers)
        for pause in self.timing.discard if numbers else ():
            await asyncio.sleep(pause)
            try:
                # The pages may be removed only where they are surely not needed.
                current = current or await self.table.get(key)
                if isinstance(current, SessionItem) and current.generation == generation and current.lasts:
                    # The next cut writes over the page of its number.
                    numbers = [n for n in numbers if n < current.first_page or n > current.pages]
                await self.table.discard_pages(key, generation, numbers, cut)
            except ThrottledError:
                continue
            except ChatHistoryError:
                pass
            break
