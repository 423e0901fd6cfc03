"""From what is stored to messages: of the tail, of pages, and of items in langchain_community's format."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from langchain_core.messages import BaseMessage

from .._dynamodb.attribute_values import AttributeValue, from_attribute
from .._items import attribute_names as lc
from .._items.community_item import CommunityItem
from .._items.keys import SessionKey
from .._items.parsing import corrupt, undecodable
from .._items.session_items import SessionItem
from .._items.sizes import MAX_INFLATED
from .._protocol import edits
from .._protocol.foreign_entries import described, is_disturbed, strangers
from .._threads import off_loop
from ..codec import messages as codec
from ..codec.long_lines import Line
from ..codec.messages import Codec, UndecodableError
from ..codec.native import from_native
from .chunks import UNREADABLE, Chunk, Lines, count, in_slices
from .off_loop import MANY_NATIVES

SLICE_BYTES = 1 << 20  # of text that is decoded or inflated before other tasks of the event loop get their turn


@dataclass(frozen=True)
class Decoder:
    """Decodes what was read; `history` is the attribute of the tail."""

    codec: Codec
    history: str
    skip_undecodable: bool = False

    def tail_lines(self, key: SessionKey, item: SessionItem) -> list[Line]:
        """The messages of the tail as lines."""
        return [line for chunk in self.tail(key, item) for line in chunk.lines]

    def tail(self, key: SessionKey, item: SessionItem) -> list[Chunk]:
        """The messages of the tail, entry by entry."""
        if item.others and not self.skip_undecodable and is_disturbed(item):
            raise self._disturbed(key, item.others["L"])
        try:
            unpacked = self.codec.of(item.cipher).unpack_each(item.tail, key.place(), MAX_INFLATED)
        except UndecodableError as error:
            if not self.skip_undecodable:
                raise undecodable(key, self._entry(error.index or 0), error) from error
            unpacked = [self._entry_lines(key, item, entry) for entry in item.tail]
        chunks = [Chunk(None, i, lines) for i, lines in enumerate(unpacked)]
        self._check_count(key, item, chunks)
        return chunks

    def _entry_lines(self, key: SessionKey, item: SessionItem, entry: bytes) -> list[Line]:
        """Lines of an entry; one that cannot be read becomes an empty line, so that windows still count."""
        try:
            return self.codec.of(item.cipher).unpack(entry, key.place(), MAX_INFLATED)
        except UndecodableError:
            return [UNREADABLE]

    def _check_count(self, key: SessionKey, item: SessionItem, tail: Sequence[Chunk]) -> None:
        counted, found = item.tail_count, count(tail)
        if item.others and self.skip_undecodable:
            return  # nobody counted what others put there
        skipped = sum(chunk.lines == [UNREADABLE] for chunk in tail)  # each stands for one message or more
        if item.others and found != counted and strangers(item.others["L"]):
            raise self._disturbed(key, item.others["L"])
        if found != counted if not skipped else found - skipped > counted:
            raise corrupt(key, lc.COUNT, f"{counted} messages are counted in the tail, which holds {found}")

    def _disturbed(self, key: SessionKey, entries: Sequence[AttributeValue]) -> Exception:
        return corrupt(key, self._entry(strangers(entries)[0]), described(entries, self.history))

    def _entry(self, index: int) -> str:
        return f"{self.history}[{index}]"

    def edited(self, key: SessionKey, item: SessionItem, lines: list[Line]) -> list[Line]:
        """The messages of a page with the edit under way."""
        try:
            return edits.applied(lines, item, key, self.codec.of(item.cipher))
        except UndecodableError as error:
            if not self.skip_undecodable or item.edit is None:
                raise undecodable(key, lc.EDIT, error) from error
            return edits.exchanged(lines, item.edit.position, UNREADABLE)

    async def decode(self, key: SessionKey, item: SessionItem, chunks: Sequence[Chunk]) -> list[BaseMessage]:
        """The messages, in slices between which other tasks of the event loop run."""
        messages: list[BaseMessage] = []
        for again, parts in in_slices(chunks):
            if messages:
                await asyncio.sleep(0)
            lines = [line for part in parts for line in part.lines]
            decoding = partial(self.codec.decode, lines, again=again)
            try:
                messages += await off_loop(decoding) if sum(map(len, lines)) > SLICE_BYTES else decoding()
            except UndecodableError as error:
                if not self.skip_undecodable:
                    raise self.undecodable(key, item, parts, error) from error
                messages += _decodable(lines)
                chunks = ()  # they stay to be checked
        for chunk in chunks:
            if isinstance(chunk.lines, Lines):
                chunk.lines.decoded = True
        return messages

    def undecodable(
        self, key: SessionKey, item: SessionItem, chunks: Iterable[Chunk], error: UndecodableError
    ) -> Exception:
        """The error for one of the messages in these chunks."""
        index = error.index or 0
        for chunk in chunks:
            if index < len(chunk.lines):
                break
            index -= len(chunk.lines)
        if chunk.page is None:
            return corrupt(key, self._entry(chunk.entry), str(error))
        return corrupt(key.page(item.generation, chunk.page), lc.DATA, str(error))

    async def read_natives(self, key: SessionKey, item: CommunityItem, newest: int | None = None) -> list[BaseMessage]:
        """As `natives`, off the event loop where there are many."""
        reading = partial(self.natives, key, item, newest)
        return await off_loop(reading) if len(item.natives) > MANY_NATIVES else reading()

    def natives(
        self, key: SessionKey, item: CommunityItem, newest: int | None = None, *, exact: bool = False
    ) -> list[BaseMessage]:
        """The newest messages of an item in langchain_community's format (None: all); `exact`: to be stored again."""
        first = 0 if newest is None else max(0, len(item.natives) - newest)
        messages: list[BaseMessage] = []
        for i, entry in enumerate(item.natives[first:], first):
            try:
                messages.append(from_native(from_attribute(entry, json_only=False), exact=exact))
            except ValueError as error:
                if not self.skip_undecodable:
                    raise corrupt(key, self._entry(i), str(error)) from error
        return messages


def _decodable(lines: Iterable[Line]) -> list[BaseMessage]:
    messages = []
    for line in lines:
        with contextlib.suppress(UndecodableError):
            messages.append(codec.decode_line(line))
    return messages
