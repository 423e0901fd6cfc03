"""Converts an item of langchain_community into our format."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace

from .._items.community_item import CommunityItem
from .._items.keys import SessionKey
from .._items.page_items import Page
from .._items.session_items import Intent, SessionItem
from .._protocol import community
from .._threads import off_loop
from ..codec import messages as codec
from ..codec.long_lines import Line
from ..errors import ChatHistoryError, StorageError
from .off_loop import MANY_NATIVES
from .reading import Reader
from .retrying import preparing
from .steps import Steps
from .table import Refused


@dataclass(frozen=True)
class Converter:
    """Rule 4 for items that langchain_community wrote."""

    steps: Steps
    reader: Reader
    ttl: int | None

    async def convert(self, key: SessionKey, item: CommunityItem, op: bytes) -> SessionItem:
        """Rule 4: bring an item of langchain_community into our format, if nobody changes it meanwhile.

        `op` is that of the operation which needs it, by which it knows an intent of its own again.
        """
        now, to = self.steps.clock(), await self.steps.destination(key, None)

        def decide() -> tuple[SessionItem, list[Page]]:
            return community.decide(self._lines(key, item), item, to, op, now, self.ttl)

        new, pages = await off_loop(decide) if len(item.natives) > MANY_NATIVES else decide()
        if not pages:
            with preparing():
                return await self.steps.from_community(key, item, new)
        intent = self.steps.intent(op, "convert", new.generation, range(len(pages)))
        held = await self._announced(key, item, intent)
        async with self.steps.holding(key, held):
            try:
                await self.steps.put(key, new.generation, pages)
                with preparing():
                    return await self.steps.from_community(key, held, self.steps.noting(new, pages))
            except (ChatHistoryError, Refused):
                if held.intent is None:
                    await self._take_back(key, held, intent)
                raise

    def _lines(self, key: SessionKey, item: CommunityItem) -> list[Line]:
        """The messages in our form."""
        return list[Line](codec.encode_messages(self.reader.decoder.natives(key, item, exact=True)))

    async def _announced(self, key: SessionKey, item: CommunityItem, intent: Intent) -> CommunityItem:
        """Declare the conversion on the item, unless its 400 KB have no room for that: safety does not depend on it."""
        request = self.steps.from_community(key, item, replace(item, intent=intent))
        try:
            return await self.steps.declare(key, intent, request, versioned=False)
        except StorageError as error:
            if error.code != "ValidationException":
                raise
            return item

    async def _take_back(self, key: SessionKey, held: CommunityItem, intent: Intent) -> None:
        """Remove the pages of an unannounced conversion, once it is certain that it cannot come about any more."""
        with contextlib.suppress(ChatHistoryError):
            now = await self.steps.table.get(key)
            if not (isinstance(now, CommunityItem) and now.history == held.history):
                numbers = range(intent.first, intent.last + 1)
                await self.steps.discard_unreachable(key, intent.generation, numbers, intent.generation, now)
