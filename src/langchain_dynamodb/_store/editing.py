"""Changes one message (rule 11)."""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass
from functools import partial

from .._items.keys import SessionKey
from .._items.session_items import SessionItem
from .._protocol import edits
from .._protocol.identity import message_not_found
from ..codec.messages import UndecodableError, last_with_id
from ..errors import ChatHistoryError
from .chunks import Chunk
from .expiring import extend_before
from .off_loop import off_loop_if_many
from .pending_edits import carry_out
from .rewriting import Rewriter
from .stored_pages import Unproven
from .writer import MessageEdit

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Editor(Rewriter):
    """Rule 11: changes of one message, in our format."""

    async def edit(self, key: SessionKey, edit: MessageEdit, expected: int | None) -> int:
        """See `Writer`. One write of the session item; where the message is in a page, one of that and another."""
        last = 0

        async def step(item: SessionItem | None, op: bytes) -> SessionItem:
            nonlocal last
            assert item is not None  # it must exist
            last = item.pages
            now = self.steps.clock()
            old, times = await extend_before(self.steps, key, item, now, self.ttl)
            new = await self._edited(key, old, edit, op, now, times.session)
            return await (self._swing(key, old, new, self.ttl) if new else self._anew(key, item, edit, op))

        version = await self._change(key, expected, step, must_exist=True)
        await self._finish(key, version, last)
        return version

    async def _edited(
        self, key: SessionKey, item: SessionItem, edit: MessageEdit, op: bytes, now: int, expires: int | None
    ) -> SessionItem | None:
        """The state with the newest message of that id changed; None where it has no room in its place."""
        to = self.steps.to(key, item)
        for chunk in reversed(self.reader.decoder.tail(key, item)):
            if (position := await self._last(key, item, chunk, edit.id)) is not None:
                change = edits.Change(chunk.lines, position, edit.line)
                deciding = partial(edits.edited_tail, item, chunk.entry, change, to, op, now, expires)
                return await off_loop_if_many([*chunk.lines, edit.line or b""], deciding)
        async with contextlib.aclosing(self.reader.newest_first(key, item)) as pages:
            async for page, lines in pages:
                if (position := await self._last(key, item, Chunk(page.number, 0, lines), edit.id)) is None:
                    continue
                if item.edit:  # whose page is not there, or it would have been carried out
                    async with self.reader.missing_told(key):
                        raise Unproven(item, item.edited_page)
                change = edits.Change(lines, position, edit.line)
                deciding = partial(edits.edited_page, item, page, change, to, op, now, expires)
                return await off_loop_if_many([*lines, edit.line or b""], deciding)
        raise message_not_found(key, edit.id)

    async def _last(self, key: SessionKey, item: SessionItem, chunk: Chunk, message_id: str) -> int | None:
        """Which of these messages is the newest with that id; `CorruptSessionError` where that cannot be told."""
        try:
            return await off_loop_if_many(chunk.lines, partial(last_with_id, chunk.lines, message_id))
        except UndecodableError as error:
            raise self.reader.decoder.undecodable(key, item, [chunk], error) from error

    async def _anew(self, key: SessionKey, item: SessionItem, edit: MessageEdit, op: bytes) -> SessionItem:
        """The history from that message on written anew, or all of it."""
        lines = await self.reader.lines(key, item)
        position = await off_loop_if_many(lines, partial(last_with_id, lines, edit.id))
        assert position is not None  # it was found in this very state
        new = edits.exchanged(lines, position, edit.line)
        begun = await self.reader.branch(key, item, position) if position else None
        return await self._from(key, item, begun, position, new, op)

    async def _finish(self, key: SessionKey, version: int, last: int) -> None:
        """Remove the old text from the table: what the next change but a small append would do.

        `last` is the number that the next page had: a cut that died may have left one with the tail's messages.
        """
        try:
            known = self.steps.known.get(key)
            item = known if known and known.version >= version else await self.steps.table.get(key)
            if not isinstance(item, SessionItem):
                return
            item = await self.steps.sweep(key, await carry_out(self.steps, key, item))
            if item.edited < version:  # else it was in a page
                left = range(item.pages, last + 1)
                await self.steps.table.discard_pages(key, item.generation, left, item.version - 1)
            problem = "its page is missing or damaged" if item.edit else "pages that were dropped are still there"
            if not (item.edit or item.has_dropped_pages):
                return
        except ChatHistoryError as error:
            problem = type(error).__name__
        logger.warning("A message was changed, and its old text could not be removed from the table yet: %s", problem)
