"""Writes langchain_community's own item format, for fleets that still run langchain_community beside us.

Everything is in one item, so a session ends at DynamoDB's 400 KB. Appends are atomic. They are exactly-once as far as
langchain_community, which writes its whole list back, leaves our operation ids alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from langchain_core.messages import BaseMessage

from .._dynamodb.attribute_values import NO_CHANGES, AttributeValue, Changes, attribute_bytes, to_attribute
from .._dynamodb.expressions import Statement
from .._items.community_item import CommunityItem, State
from .._items.keys import SessionKey
from .._items.parsing import corrupt
from .._items.recognition import is_message, message_id
from .._items.session_items import SessionItem, new_op
from .._protocol import community
from .._protocol.append import Ids
from .._protocol.expiry import expiries
from .._protocol.identity import message_not_found
from .._threads import off_loop
from ..codec.native import to_native
from ..codec.places import Degraded, nth_message
from ..codec.telling import tell
from ..errors import InvalidInputError, ItemFormatError, MessageTooLargeError
from .attempts import change
from .deleting import Deleter
from .expiring import unstamped
from .off_loop import MANY_NATIVES, MANY_SIZES
from .writer import Content, MessageEdit

ITEM_BYTES = 409_600  # DynamoDB's limit on an item
ITEM_OVERHEAD = 300  # bytes kept for attribute names, TTL stamp and this write's operation id
REMEMBERED = 256  # operation ids after which a write of the whole list forgets the earlier ones


@dataclass(frozen=True)
class CommunityWriter(Deleter):
    """Changes items in langchain_community's format; `steps` settles what others left."""

    ttl: int | None

    async def append(
        self,
        key: SessionKey,
        content: Content,
        ids: Ids,
        expected: int | None,
        *,
        history_size: int | None,
        own: Changes,
        must_exist: bool,
    ) -> int:
        """See `Writer`. With `history_size` the list is written back whole, as langchain_community does."""
        natives, degraded = await self._natives(content)
        if not history_size:
            await _checked(key, natives)

        async def step(state: State | None, op: bytes, attempt: int) -> CommunityItem:
            item = self._readable(key, state)
            kept = (item.natives + natives if item else natives)[-(history_size or 0) :]
            await _checked(key, kept, item)
            _tell_once(degraded)
            if history_size or expected == 0 or item is None:
                return await self._write(key, item, kept, ids.all, own)
            now = self.steps.clock()
            expires = expiries(now, self.ttl, None).session
            request = community.append_community(
                item, {"L": natives}, op, ids.all, self.steps.table.names, now, expires, own, unchanged=bool(expected)
            )
            return await self._update(key, item, request)

        return await change(self.steps, key, ids.op, expected, step, must_exist=must_exist, ops=ids.all)

    async def replace(
        self, key: SessionKey, content: Content, expected: int | None, *, own: Changes, must_exist: bool
    ) -> int:
        """See `Writer`."""
        natives, degraded = await self._natives(content)
        await _checked(key, natives)

        async def step(state: State | None, op: bytes, attempt: int) -> CommunityItem | None:
            item = self._readable(key, state)
            if not (item or natives or own):
                return None
            _tell_once(degraded)
            return await self._write(key, item, natives, frozenset([op]), own)

        return await change(self.steps, key, new_op(), expected, step, must_exist=must_exist)

    async def truncate(self, key: SessionKey, keep: int, expected: int | None, *, must_exist: bool) -> int:
        """See `Writer`."""

        async def step(state: State | None, op: bytes, attempt: int) -> CommunityItem | None:
            item = self._readable(key, state)
            if item is None or keep >= len(item.natives):
                return item
            return await self._write(key, item, item.natives[:keep], frozenset([op]))

        return await change(self.steps, key, new_op(), expected, step, must_exist=must_exist)

    async def edit(self, key: SessionKey, edit: MessageEdit, expected: int | None) -> int:
        """See `Writer`."""
        natives, degraded = await self._natives(edit.content, "message")

        async def step(state: State | None, op: bytes, attempt: int) -> CommunityItem:
            item = self._readable(key, state)
            assert item is not None  # it must exist
            ids = [message_id(entry) for entry in item.natives]
            if edit.id not in ids:
                raise message_not_found(key, edit.id)
            index = len(ids) - 1 - ids[::-1].index(edit.id)
            kept = [*item.natives[:index], *natives, *item.natives[index + 1 :]]
            await _checked(key, kept, item)
            _tell_once(degraded)
            return await self._write(key, item, kept, frozenset([op]))

        return await change(self.steps, key, new_op(), expected, step, must_exist=True)

    async def update_metadata(
        self, key: SessionKey, changes: Changes, expected: int | None, *, own: Changes, must_exist: bool
    ) -> int:
        """Set attributes of the user's own, and leave the list as it is; for metadata it has no place."""
        if changes or not own:
            raise InvalidInputError("item_format='community' has no metadata: such an item has no place for it")

        async def step(state: State | None, op: bytes, attempt: int) -> CommunityItem:
            item = self._readable(key, state)
            return await self._write(key, item, item.natives if item else [], frozenset([op]), own)

        return await change(self.steps, key, new_op(), expected, step, must_exist=must_exist)

    def _readable(self, key: SessionKey, state: State | None) -> CommunityItem | None:
        """The item, if langchain_community can read it: what others put there must be neither dropped nor buried."""
        item = _not_paged(key, state)
        for i, entry in enumerate(item.natives if item else ()):
            if not is_message(entry):
                where = f"{self.steps.table.names.history}[{i}]"
                raise corrupt(key, where, "not a message that langchain_community reads")
        return item

    async def set_expiry(self, key: SessionKey, seconds: int | None, expected: int | None) -> int:
        """See `Writer`."""

        async def step(state: State | None, op: bytes, attempt: int) -> CommunityItem:
            item = _not_paged(key, state)
            assert item is not None  # it must exist
            stamp = expiries(self.steps.clock(), seconds, None).session
            own = unstamped(item, self.steps.table.names) if seconds is None else NO_CHANGES
            return await self._remembering(key, item, replace(item, expires=stamp), frozenset([op]), own)

        return await change(self.steps, key, new_op(), expected, step, must_exist=True)

    async def _write(
        self,
        key: SessionKey,
        old: CommunityItem | None,
        natives: list[AttributeValue],
        ops: frozenset[bytes],
        own: Changes = NO_CHANGES,
    ) -> CommunityItem:
        expires = expiries(self.steps.clock(), self.ttl, None).session
        names, history = self.steps.table.names, {"L": natives}
        if old is None:
            begun = CommunityItem(history, ops=ops, expires=expires)
            return _written(await self.steps.table.update(key, community.begin_community(begun, key, names, own)))
        stamp = old.expires if expires is None else expires
        new = replace(old, history=history, has_history=True, expires=stamp)
        return await self._remembering(key, old, new, ops, own)

    async def _natives(self, content: Content, path: str | None = None) -> tuple[list[AttributeValue], list[Degraded]]:
        making = partial(as_natives, content.messages, path, strict=self.steps.codec.strict)
        return await off_loop(making) if content.is_much or len(content.messages) > MANY_NATIVES else making()

    async def _remembering(
        self, key: SessionKey, old: CommunityItem, new: CommunityItem, ops: frozenset[bytes], own: Changes = NO_CHANGES
    ) -> CommunityItem:
        known = old.ops if len(old.ops) < REMEMBERED else frozenset()
        new = replace(new, ops=known | ops)
        return await self._update(key, old, community.from_community(old, new, self.steps.table.names, own))

    async def _update(self, key: SessionKey, old: CommunityItem, request: Statement) -> CommunityItem:
        with self.steps.comparing(old):
            return _written(await self.steps.table.update(key, request))


def as_natives(
    messages: Sequence[BaseMessage], only: str | None = None, *, strict: bool = False
) -> tuple[list[AttributeValue], list[Degraded]]:
    """Messages as langchain_community stores them, and what of them will come back as something else.

    `only` is the path of a single one in errors. Raises `UnsupportedMessageError` for what it could not read.
    """
    degraded: list[Degraded] = []
    natives = []
    for i, message in enumerate(messages):
        path = nth_message(i, only)
        native = to_native(message, path, strict=strict, degraded=degraded)
        natives.append(to_attribute(native, path, depth=1, json_only=False))
    return natives, degraded


def _tell_once(degraded: list[Degraded]) -> None:
    """Warn when nothing refuses the write any more; a second attempt tells nothing anew."""
    tell(degraded)
    degraded.clear()


def _not_paged(key: SessionKey, state: State | None) -> CommunityItem | None:
    if isinstance(state, SessionItem):
        raise ItemFormatError(
            f"session {key} is stored in pages, which item_format='community' does not write: use the default format, "
            "or bring it back into that one (langchain-dynamodb migrate --to-format community)"
        )
    return state


def _written(state: State | None) -> CommunityItem:
    assert isinstance(state, CommunityItem)  # the condition saw to it
    return state


async def _checked(key: SessionKey, natives: list[AttributeValue], item: CommunityItem | None = None) -> None:
    if len(natives) > MANY_SIZES:
        await off_loop(partial(check_size, key, natives, item))
    else:
        check_size(key, natives, item)


def check_size(key: SessionKey, natives: list[AttributeValue], item: CommunityItem | None = None) -> None:
    """Raise `MessageTooLargeError` where they do not fit into one item."""
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
