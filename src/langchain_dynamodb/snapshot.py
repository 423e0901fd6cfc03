"""A chat session as its users see it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from langchain_core.messages import BaseMessage
from pydantic import BaseModel, ConfigDict, SerializeAsAny

from . import plan
from .attributes import to_python
from .keys import SessionKey
from .layout import METADATA, CommunityItem, SessionItem
from .parsing import corrupt
from .reading import Snapshot
from .values import from_attribute, moment


class ChatSession(BaseModel):
    """One consistent snapshot of a chat session. Version 0 and no messages: there is no such session."""

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True, ser_json_bytes="base64")

    version: int
    messages: list[SerializeAsAny[BaseMessage]]
    message_count: int
    """Messages stored in the session; `messages` may hold fewer when the read had a limit."""
    created_at: datetime | None = None
    updated_at: datetime | None = None
    expires_at: datetime | None = None
    metadata: dict[str, Any] = {}
    attributes: dict[str, Any] = {}
    """Your own top-level attributes on the session item."""


def chat_session(key: SessionKey, snapshot: Snapshot) -> ChatSession:
    """What a user gets to see of a snapshot."""
    item, messages = snapshot
    if item is None:
        return ChatSession(version=0, messages=[], message_count=0)
    if isinstance(item, CommunityItem):
        return ChatSession(
            version=item.version,
            messages=messages,
            message_count=len(item.natives),
            expires_at=moment(item.expires),
            attributes=to_python(item.own),
        )
    return ChatSession(
        version=item.version,
        messages=messages,
        message_count=item.message_count,
        created_at=moment(item.created / plan.MICROSECONDS),
        updated_at=moment(item.updated / plan.MICROSECONDS),
        expires_at=moment(item.expires),
        metadata=_metadata(key, item),
        attributes=to_python(item.own),
    )


def _metadata(key: SessionKey, item: SessionItem) -> dict[str, Any]:
    try:
        return from_attribute(item.metadata) if item.metadata else {}
    except ValueError as error:
        raise corrupt(str(key), METADATA, str(error)) from error
