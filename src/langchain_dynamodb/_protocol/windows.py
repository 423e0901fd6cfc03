"""What a read shows: which of the stored messages, and the session as its users see it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any, Literal, NamedTuple, TypeAlias

from langchain_core.messages import BaseMessage, ChatMessage, HumanMessage, SystemMessage, ToolMessage

from .._dynamodb.attribute_values import AttributeValue, Item, from_attribute
from .._items.attribute_names import METADATA
from .._items.attributes import to_python
from .._items.clock import MICROSECONDS, next_expiry
from .._items.community_item import CommunityItem
from .._items.keys import SessionKey
from .._items.parsing import corrupt
from .._items.session_items import SessionItem
from ..codec.messages import is_instruction
from ..models import ChatSession, Gap


class Missing(NamedTuple):
    """So many messages are missing before the one at `position`, since the pages with these keys are."""

    position: int
    messages: int
    keys: tuple[Item, ...]


class Snapshot(NamedTuple):
    """A session at one version; `item` is None where there is no session."""

    item: SessionItem | CommunityItem | None
    messages: list[BaseMessage]
    missing: tuple[Missing, ...] = ()

    def keeping(self, messages: list[BaseMessage]) -> Snapshot:
        """With these of its messages only; what is missing is so before the same messages as ever."""
        kept = set(map(id, messages))
        places = [0, *itertools.accumulate(id(message) in kept for message in self.messages)]
        missing = tuple(one._replace(position=places[one.position]) for one in self.missing)
        return Snapshot(self.item, messages, missing)


class Window(NamedTuple):
    """A snapshot, and whether older messages than its own are missing."""

    chat: ChatSession
    cut: bool

    def shown(self, messages: Sequence[BaseMessage]) -> list[BaseMessage]:
        """The snapshot's `messages` as a model takes them: where it was cut they begin with a human one."""
        return begin_with_human(messages) if self.cut else list(messages)


def moment(seconds: float | None) -> datetime | None:
    """The time of a stored stamp, in seconds since the epoch."""
    return None if seconds is None else datetime.fromtimestamp(seconds, timezone.utc)


StartOn: TypeAlias = Literal["human"]


def is_cut(item: SessionItem | CommunityItem | None, limit: int | None) -> bool:
    """Whether a window of `limit` messages leaves out older ones, or `history_size` has dropped some for good.

    An item in the format of langchain_community does not say what was dropped: there every full window counts.
    """
    if item is None:
        return False
    if isinstance(item, CommunityItem):
        return limit is not None and len(item.natives) >= limit
    return item.trimmed > 0 or (limit is not None and item.message_count > limit)


def readable(messages: list[BaseMessage], limit: int | None) -> list[BaseMessage]:
    """What a read shows of stored messages: no instructions, and no window begins with results without their calls."""
    silent = {kind for kind, one in {type(one): one for one in messages}.items() if is_instruction(one)}
    said = [message for message in messages if type(message) not in silent] if silent else messages
    return said if limit is None else drop_orphans(said)


def drop_orphans(messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    """Without the tool results that stand first, leading system messages aside: their calls are outside."""
    return _begin(messages, lambda message: not isinstance(message, ToolMessage))


def begin_with_human(messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    """Leading system messages, then what begins with the first human message (nothing where there is none)."""
    return _begin(messages, is_human)


def _begin(messages: Sequence[BaseMessage], may_begin: Callable[[BaseMessage], bool]) -> list[BaseMessage]:
    head = next((i for i, message in enumerate(messages) if not is_system(message)), len(messages))
    start = next((i for i in range(head, len(messages)) if may_begin(messages[i])), len(messages))
    return [*messages[:head], *messages[start:]]


def is_human(message: BaseMessage) -> bool:
    """Whether it is the user's."""
    return isinstance(message, HumanMessage) or _has_role(message, "user", "human")


def is_system(message: BaseMessage) -> bool:
    """Whether it may stand before the conversation."""
    return isinstance(message, SystemMessage) or _has_role(message, "system", "developer")


def _has_role(message: BaseMessage, *roles: str) -> bool:
    return isinstance(message, ChatMessage) and message.role in roles


def chat_session(key: SessionKey, snapshot: Snapshot, now: int) -> ChatSession:
    """What a user gets to see of a snapshot at `now` (microseconds)."""
    item, messages, missing = snapshot
    if item is None:
        return ChatSession(version=0, messages=[], message_count=0)
    expires_at = None if item.expires is None else moment(next_expiry(item.expires, now))
    if isinstance(item, CommunityItem):
        return ChatSession(
            version=item.version,
            messages=messages,
            message_count=len(item.natives),
            expires_at=expires_at,
            attributes=to_python(item.own),
        )
    return ChatSession.model_construct(  # nothing is to be validated: all of it was when it was read
        version=item.version,
        messages=messages,
        message_count=item.message_count,
        created_at=moment(item.created / MICROSECONDS),
        updated_at=moment(item.updated / MICROSECONDS),
        expires_at=expires_at,
        metadata=_metadata(key, item),
        attributes=to_python(item.own) if item.own else {},
        missing=[gap(one) for one in missing],
    )


def gap(missing: Missing) -> Gap:
    """What a user gets to see of that."""
    keys = [{name: _key_value(value) for name, value in key.items()} for key in missing.keys]
    return Gap(position=missing.position, messages=missing.messages, pages=keys)


def _key_value(value: AttributeValue) -> str | bytes | int | Decimal:
    ((kind, content),) = value.items()
    if kind != "N":
        return content  # type: ignore[no-any-return]
    number = Decimal(content)
    return int(number) if number == number.to_integral_value() else number


def _metadata(key: SessionKey, item: SessionItem) -> dict[str, Any]:
    try:
        return from_attribute(item.metadata) if item.metadata else {}
    except ValueError as error:
        raise corrupt(key, METADATA, str(error)) from error
