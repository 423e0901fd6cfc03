"""Converts an item of the incumbent into our format."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace

from . import messages as codec
from . import plan
from .attempts import new_op
from .errors import ChatHistoryError, StorageError
from .keys import SessionKey
from .layout import CommunityItem, Intent, SessionItem, Sizes
from .plan import PageStart
from .reading import Reader
from .steps import Steps
from .table import Refused


@dataclass(frozen=True)
class Converter:
    """Rule 4 for items that langchain_community wrote."""

    steps: Steps
    reader: Reader
    sizes: Sizes
    ttl: int | None

    async def convert(self, key: SessionKey, item: CommunityItem) -> SessionItem:
        """Rule 4: bring an item of the incumbent into our format, if nobody changes it meanwhile."""
        lines = codec.encode_messages(self.reader.natives(key, item))
        now, op = self.steps.clock(), new_op()
        base = SessionItem(version=now, generation=now, expires=item.expires)
        times = plan.expiries(now, self.ttl, base)
        layout = plan.lay_out_all(lines, self.sizes.tail(key), self.sizes)
        pages = plan.make_pages(layout.drafts, base, PageStart(0, 0, 0, times.pages), op)
        new = plan.converted(base, layout, len(lines), item.ops, now, times)
        if not pages:
            return await self.steps.from_community(key, item, new)
        intent = self.steps.intent(op, "convert", now, 0, layout.drafts)
        async with self.steps.unless_cancelled(key, intent, versioned=False):
            held = item
            try:
                held = await self._announced(key, item, intent)
                if not await self.steps.table.put_pages(key, now, pages):
                    raise Refused(None, retried=False)
                return await self.steps.from_community(key, held, new)
            except (ChatHistoryError, Refused):
                with contextlib.suppress(ChatHistoryError, Refused):
                    await self._take_back(key, held, intent)
                raise

    async def _announced(self, key: SessionKey, item: CommunityItem, intent: Intent) -> CommunityItem:
        """Declare the conversion on the item, unless its 400 KB have no room for that: safety does not depend on it."""
        try:
            return await self.steps.from_community(key, item, replace(item, intent=intent))
        except StorageError as error:
            if error.code != "ValidationException":
                raise
            return item

    async def _take_back(self, key: SessionKey, held: CommunityItem, intent: Intent) -> None:
        """Remove the pages of a conversion that did not come about, once it is certain that it cannot any more."""
        now = await self.steps.table.get(key)
        if isinstance(now, SessionItem) and now.generation == intent.generation:
            return  # it did
        if isinstance(now, CommunityItem) and now.intent == intent:
            await self.steps.abandon(key, now)
        elif held.intent or not isinstance(now, CommunityItem) or now.history != held.history:
            numbers = range(intent.first, intent.last + 1)
            await self.steps.table.discard_pages(key, intent.generation, numbers, intent.generation)
