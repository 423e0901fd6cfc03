"""Writes the incumbent's own item format, for fleets that still run langchain_community beside us.

Everything is in one item, so a session ends at DynamoDB's 400 KB. Appends are atomic. They are exactly-once as far as
the incumbent, which writes its whole list back, leaves our operation ids alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from langchain_core.messages import BaseMessage

from . import conditions, plan
from . import messages as codec
from .attempts import State, change, check_content, new_op
from .errors import ItemFormatError, MessageTooLargeError
from .keys import SessionKey
from .layout import CommunityItem, SessionItem
from .steps import Steps
from .values import NO_CHANGES, AttributeValue, Changes, attribute_bytes, to_attribute

ITEM_BYTES = 409_600  # DynamoDB's limit on an item
ITEM_OVERHEAD = 300  # bytes kept for attribute names, TTL stamp and this write's operation id
REMEMBERED = 256  # operation ids after which a write of the whole list forgets the earlier ones


@dataclass(frozen=True)
class CommunityWriter:
    """Append, replace, truncate and delete on items in the incumbent's format; `steps` settles what others left."""

    steps: Steps
    ttl: int | None

    async def append(
        self,
        key: SessionKey,
        messages: Sequence[BaseMessage],
        op: bytes,
        ops: frozenset[bytes],
        expected: int | None,
        history_size: int | None,
        own: Changes = NO_CHANGES,
    ) -> int:
        """Append atomically; with `history_size` the list is written back whole, as the incumbent does."""
        natives = as_natives(messages)
        if not history_size:
            _check_size(key, natives)

        async def step(state: State | None, op: bytes, attempt: int) -> CommunityItem:
            item = _not_paged(key, state)
            kept = (item.natives + natives if item else natives)[-(history_size or 0) :]
            _check_size(key, kept, item)
            if history_size or expected == 0:
                return await self._write(key, item or ABSENT, kept, ops, own)
            now = self.steps.clock()
            expires = plan.expiries(now, self.ttl, None).session
            unchanged = item if expected else None
            request = conditions.append_community(
                unchanged, {"L": natives}, op, ops, self.steps.table.names, now, expires, own
            )
            return _written(await self.steps.table.update(key, request))

        async def settled(key: SessionKey, op: bytes) -> State | None:
            state = await self.steps.settled(key, op)
            if isinstance(state, CommunityItem) and state.has_op(op):
                check_content(key, ops, state.ops)
            return state

        return await change(key, op, expected, settled, step)

    async def replace(
        self, key: SessionKey, messages: Sequence[BaseMessage], expected: int | None, own: Changes = NO_CHANGES
    ) -> int:
        """Exchange the list."""
        natives = as_natives(messages)
        _check_size(key, natives)

        async def step(state: State | None, op: bytes, attempt: int) -> CommunityItem | None:
            item = _not_paged(key, state)
            if not (item or natives or own):
                return None
            return await self._write(key, item or ABSENT, natives, frozenset([op]), own)

        return await change(key, new_op(), expected, self.steps.settled, step)

    async def truncate(self, key: SessionKey, keep: int, expected: int | None) -> int:
        """Keep the first `keep` messages."""

        async def step(state: State | None, op: bytes, attempt: int) -> CommunityItem | None:
            item = _not_paged(key, state)
            if item is None or keep >= len(item.natives):
                return item
            return await self._write(key, item, item.natives[:keep], frozenset([op]))

        return await change(key, new_op(), expected, self.steps.settled, step)

    async def set_attributes(self, key: SessionKey, own: Changes, expected: int | None) -> int:
        """Set attributes of the user's own, and leave the list as it is."""

        async def step(state: State | None, op: bytes, attempt: int) -> CommunityItem:
            item = _not_paged(key, state) or ABSENT
            return await self._write(key, item, item.natives, frozenset([op]), own)

        return await change(key, new_op(), expected, self.steps.settled, step)

    async def _write(
        self,
        key: SessionKey,
        old: CommunityItem,
        natives: list[AttributeValue],
        ops: frozenset[bytes],
        own: Changes = NO_CHANGES,
    ) -> CommunityItem:
        expires = plan.expiries(self.steps.clock(), self.ttl, None).session
        stamp = old.expires if expires is None else expires
        known = old.ops if len(old.ops) < REMEMBERED else frozenset()
        new = replace(old, history={"L": natives}, has_history=True, ops=known | ops, expires=stamp)
        request = conditions.from_community(old, new, self.steps.table.names, own)
        return _written(await self.steps.table.update(key, request))


ABSENT = CommunityItem({"L": []}, has_history=False)


def as_natives(messages: Sequence[BaseMessage]) -> list[AttributeValue]:
    """Messages as the incumbent stores them; raises `InvalidInputError` for what a DynamoDB number cannot hold."""
    paths = [f"messages[{i}]" for i in range(len(messages))]
    return [to_attribute(codec.to_native(m, path), path, depth=1) for m, path in zip(messages, paths, strict=True)]


def _not_paged(key: SessionKey, state: State | None) -> CommunityItem | None:
    if isinstance(state, SessionItem):
        raise ItemFormatError(
            f"session {key} is stored in pages, which item_format='community' does not write: use the default format, "
            "or read the messages, delete the session and append them again"
        )
    return state


def _written(state: State | None) -> CommunityItem:
    assert isinstance(state, CommunityItem)  # the condition saw to it
    return state


def _check_size(key: SessionKey, natives: list[AttributeValue], item: CommunityItem | None = None) -> None:
    ops = sum(len(op) + 1 for op in item.ops) if item else 0
    size = attribute_bytes({"L": natives}) + key.size + ops + ITEM_OVERHEAD
    if size > ITEM_BYTES:
        raise MessageTooLargeError(
            f"the session would have {size} bytes, and DynamoDB's limit on an item is {ITEM_BYTES}: "
            "item_format='community' keeps all messages in one item; use the default format, or bound the session by "
            "history_size",
            size=size,
            limit=ITEM_BYTES,
        )
