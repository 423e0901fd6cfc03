"""Sessions taken out whole, as they are stored, and put somewhere else in one commit."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from .._dynamodb.attribute_values import AttributeValue, Item
from .._items.attributes import merged
from .._items.clock import MICROSECONDS
from .._items.community_item import CommunityItem, State
from .._items.keys import SessionKey
from .._items.page_items import Page
from .._items.parsing import LAST_SECOND, corrupt
from .._items.session_items import SessionItem, new_op
from .._protocol import community, conditions, states
from .._protocol.expiry import THIRTY_DAYS
from .._protocol.pages import Batch, Destination, PageStart, make_pages
from .._protocol.rewrite import Exchange, place_all
from .._protocol.sealed_metadata import opened_metadata, sealed_metadata
from .._protocol.states import next_state, tail_bytes, unborn
from .._threads import off_loop
from ..codec import messages as codec
from ..codec.long_lines import Line
from ..errors import ChatHistoryError, EncryptionError, ItemFormatError, SessionBusyError
from .attempts import change
from .chunks import SLICE
from .community_writer import as_natives, check_size
from .expiring import extend_before, keep_for_good
from .off_loop import off_loop_if_many
from .reading import ATTEMPTS, Reader
from .rewriting import Rewriter
from .stored_pages import Unproven
from .table import Refused


@dataclass(frozen=True)
class Whole:
    """A session: its messages as lines, and what else its users gave it; nothing is encrypted here.

    Times are microseconds since the epoch (None: langchain_community stores none), the expiry seconds.
    """

    lines: Sequence[Line]
    version: int = 0
    created: int | None = None
    updated: int | None = None
    expires: int | None = None
    metadata: AttributeValue | None = None
    own: Item | None = None
    in_pages: bool = True  # False: in the format of langchain_community
    encrypted: bool = False  # where it was taken out


async def read_whole(reader: Reader, key: SessionKey) -> Whole | None:
    """The session as of now, None where there is none; raises what `read` raises, but decodes nothing."""
    for _ in range(ATTEMPTS):
        item = await reader.item(key)
        if item is None or not item.version:
            return None
        if isinstance(item, CommunityItem):
            lines = await off_loop(partial(_native_lines, reader, key, item))
            return Whole(lines, item.version, expires=item.expires, own=item.own, in_pages=False)
        item = await reader.opened(key, item)
        try:
            lines = await reader.lines(key, item)
        except Unproven:
            continue  # rewritten meanwhile
        times, is_encrypted = (item.created, item.updated, item.expires), item.cipher is not None
        return Whole(lines, item.version, *times, item.metadata, item.own, encrypted=is_encrypted)
    raise SessionBusyError(f"session {key} was rewritten {ATTEMPTS} times while it was read: try again")


def _native_lines(reader: Reader, key: SessionKey, item: CommunityItem) -> list[Line]:
    return list[Line](codec.encode_messages(reader.decoder.natives(key, item, exact=True)))


def check_encrypted(key: SessionKey, encrypted: bool, plain: bool) -> None:
    """Raise `EncryptionError` where a session would become plain text, unless that is wanted."""
    if encrypted and not plain:
        raise EncryptionError(
            f"session {key} is encrypted, and would become plain text: nothing was done. If that is wanted, say so by "
            "plain=True (--plain)"
        )


def check_no_metadata(key: SessionKey, metadata: AttributeValue | None) -> None:
    """Raise `ItemFormatError` where there is metadata, for which the format of langchain_community has no place."""
    if metadata is not None and metadata["M"]:
        raise ItemFormatError(
            f"session {key} has metadata, for which the format of langchain_community has no place: remove it first "
            "(update_metadata with None for each name)"
        )


async def check_decodable(key: SessionKey, lines: Sequence[Line]) -> None:
    """Raise `CorruptSessionError` where one of the messages cannot be decoded."""
    for start in range(0, len(lines), SLICE):
        some = lines[start : start + SLICE]
        try:
            await off_loop_if_many(some, partial(codec.decode_lines, some))
        except codec.UndecodableError as error:
            index = start + (error.index or 0)
            raise corrupt(key, None, f"its message {index} cannot be decoded: {error.reason}") from error
        await asyncio.sleep(0)


@dataclass(frozen=True)
class Placer:
    """Begins sessions that were taken out elsewhere, and converts those that are there."""

    rewriter: Rewriter

    async def begin(self, key: SessionKey, whole: Whole) -> int:
        """Write the session where there is none, in one commit; raises `VersionConflictError` where there is one."""

        async def step(item: SessionItem | None, op: bytes) -> SessionItem | None:
            return await self.first(key, whole, op)

        return await self.rewriter._change(key, 0, step, must_exist=False)

    async def first(self, key: SessionKey, whole: Whole, op: bytes) -> SessionItem:
        """The same as a step of a change; raises `MessageTooLargeError` too."""
        steps = self.rewriter.steps
        codec.check_lengths(whole.lines, steps.sizes.message)
        now, to = steps.clock(), await steps.destination(key, None)
        decision = await off_loop_if_many(whole.lines, partial(first_state, whole, to, op, now))
        own = whole.own or {}
        if isinstance(decision, Exchange):
            return await steps.compare_and_set(key, None, decision.new, own)
        intent = steps.intent(op, "append", decision.base.generation, decision.numbers)
        return await steps.under_intent(key, None, intent, decision, own)

    async def describe(self, key: SessionKey, whole: Whole, expires: int | None, expected: int) -> int:
        """Give a session that is there the metadata and attributes of `whole`, beside its own, and an expiry.

        That is in seconds since the epoch (None: never). One write, but for the pages' own stamps.
        """
        steps, own = self.rewriter.steps, whole.own or {}

        async def step(item: SessionItem | None, op: bytes) -> SessionItem:
            assert item is not None  # it must exist
            to, now = steps.to(key, item), steps.clock()
            given = whole.metadata["M"] if whole.metadata else {}
            metadata = merged(opened_metadata(item.metadata, key, to.codec), given)
            stored = sealed_metadata(metadata, to) if given else None
            if expires is None and item.expires is not None:
                old = await keep_for_good(steps, key, item)
                new = replace(states.described(old, stored, op, now, None), expires=None, pages_expire=0)
                return await steps.compare_and_set(key, old, new, own)
            seconds = None if expires is None else max(1, expires - math.ceil(now / MICROSECONDS))
            old, times = await extend_before(steps, key, item, now, seconds)
            new = states.described(old, stored, op, now, times.session)
            return await self.rewriter._swing(key, old, new, seconds, own)

        return await self.rewriter._change(key, expected, step, must_exist=True)

    async def convert(self, key: SessionKey) -> int:
        """Bring a session into the format and under the encryption of this repository; others stay as they are."""

        async def step(item: SessionItem | None, op: bytes) -> SessionItem | None:
            return item

        return await self.rewriter._change(key, None, step, must_exist=True)

    async def revert(self, key: SessionKey, *, plain: bool) -> int:
        """Bring a session back into the format of langchain_community; those that are in it stay as they are.

        The session item is exchanged in one step, then the pages are removed.

        Raises what `natives_of` raises.
        """
        steps, reader = self.rewriter.steps, self.rewriter.reader

        async def step(item: State | None, op: bytes, attempt: int) -> State:
            assert item is not None  # it must exist
            if isinstance(item, CommunityItem):
                return item
            ready = await self.rewriter.converter.prepared(key, item, op, encrypt=False)
            opened = await reader.opened(key, ready)
            lines = await reader.lines(key, opened)
            natives = await natives_of(key, lines, opened.metadata, opened.cipher is not None, plain=plain)
            new = community.reverted(ready, {"L": natives}, op, steps.clock())
            await steps.table.update(key, conditions.to_community(ready, new, steps.table.names))
            steps.known.discard(key)
            if new.intent is not None:
                with contextlib.suppress(ChatHistoryError, Refused):  # else whoever meets the intent does it
                    await steps.take_back(key, new, ours=True)
            return new

        return await change(steps, key, new_op(), None, step, must_exist=True)


async def natives_of(
    key: SessionKey, lines: Sequence[Line], metadata: AttributeValue | None, encrypted: bool, *, plain: bool
) -> list[AttributeValue]:
    """The messages of one of our sessions as langchain_community stores them, if all of it can be had there.

    Raises `MessageTooLargeError` where it does not fit into one item, `UnsupportedMessageError` for a message that
    langchain_community would not read as it is, `ItemFormatError` where there is metadata, which has no place, and
    `EncryptionError` where it is encrypted, unless it may be `plain` there.
    """
    check_encrypted(key, encrypted, plain)
    check_no_metadata(key, metadata)
    natives: list[AttributeValue] = await off_loop(lambda: as_natives(codec.decode_lines(lines), strict=True)[0])
    check_size(key, natives)
    return natives


def first_state(whole: Whole, to: Destination, op: bytes, now: int) -> Exchange | Batch:
    """What it takes to begin a session that was taken out elsewhere."""
    base, placement, count = unborn(now, to.cipher), place_all(whole.lines, to), len(whole.lines)
    created, updated = (now if time is None else time for time in (whole.created, whole.updated))
    pages_expire = 0 if whole.expires is None else min(whole.expires + THIRTY_DAYS, LAST_SECOND)

    def commit(start: SessionItem) -> SessionItem:
        return replace(
            next_state(start, now, whole.expires),
            created=created,
            updated=updated,
            pages=len(placement.drafts),
            page_version=start.version if placement.drafts else 0,
            pages_expire=pages_expire if placement.drafts else 0,
            reach=-1,
            count=count,
            tail=placement.tail,
            tail_start=0 if placement.tail else count,
            tail_bytes=tail_bytes(placement.tail, frozenset()),
            change=op,
            metadata=sealed_metadata(whole.metadata, to),
        )

    def pages(start: SessionItem) -> list[Page]:
        return make_pages(placement.drafts, to, start, PageStart(0, 0, 0, pages_expire or None), op)

    if not placement.drafts:
        return Exchange(commit(base))
    return Batch(base, 0, placement.drafts, pages, commit)
