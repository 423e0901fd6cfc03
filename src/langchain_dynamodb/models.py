"""A chat session as its users see it."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, TypeAlias

from langchain_core.messages import BaseMessage
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    SerializationInfo,
    SerializeAsAny,
    SerializerFunctionWrapHandler,
    WrapSerializer,
)
from pydantic_core import to_jsonable_python

from .codec.native import from_dump


class Gap(BaseModel):
    """Messages that are missing, since the items of their pages are not there."""

    model_config = ConfigDict(frozen=True, ser_json_bytes="base64")

    position: int
    """They were before ``messages[position]``."""
    messages: int
    """How many they were."""
    pages: list[dict[str, Any]] = []
    """Keys of the items that are missing (empty where a part of the session item itself is)."""


class Removed(BaseModel):
    """Something that a repair took out of a session."""

    model_config = ConfigDict(frozen=True, ser_json_bytes="base64")

    where: str
    """The item or entry."""
    reason: str
    value: Any = None
    """What it was, if others wrote it (as DynamoDB stores it)."""


class RepairReport(BaseModel):
    """What a repair did. A session that needed none keeps its version."""

    model_config = ConfigDict(frozen=True, ser_json_bytes="base64")

    version: int
    missing: list[Gap] = []
    """Messages that are lost; positions are those in the history as it is now."""
    brought_in: int = 0
    """Messages that others had stored, and that are a part of the history now."""
    removed: list[Removed] = []


def _restored(value: object) -> object:
    return from_dump(value) if isinstance(value, Mapping) else value


def _told(message: BaseMessage, handler: SerializerFunctionWrapHandler, info: SerializationInfo) -> Any:
    """In JSON, bytes are base64 wherever they are: a message's own settings would take them for UTF-8, and fail."""
    if info.mode != "json":
        return handler(message)
    return to_jsonable_python(_with_base64(message.model_dump()), serialize_unknown=True)


def _with_base64(value: Any) -> Any:
    """The same with the base64 text for bytes that providers take: pydantic's is the one for URLs."""
    if isinstance(value, (bytes, bytearray)):
        return b64encode(value).decode()
    if isinstance(value, dict):
        return {_with_base64(key): _with_base64(entry) for key, entry in value.items()}
    if type(value) in (list, tuple, set, frozenset):
        return type(value)(map(_with_base64, value))
    return value


# A function without annotations: with one, the messages would be anything in the model's JSON schema.
_Message = Annotated[
    SerializeAsAny[BaseMessage],
    BeforeValidator(_restored),
    WrapSerializer(lambda message, handler, info: _told(message, handler, info)),
]


class ChatSession(BaseModel):
    """One consistent snapshot of a chat session. Version 0 and no messages: there is no such session."""

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True, ser_json_bytes="base64")

    version: int
    messages: list[_Message]
    """Through `model_dump_json` and `model_validate_json` they come back as messages of their own classes, with values
    of JSON's types."""
    message_count: int
    """Messages stored in the session; `messages` may hold fewer: a window, or without a stored `RemoveMessage`."""
    created_at: datetime | None = None
    updated_at: datetime | None = None
    expires_at: datetime | None = None
    """None where nothing is stored that DynamoDB ever expires: others may have stored text, or milliseconds."""
    metadata: dict[str, Any] = {}
    attributes: dict[str, Any] = {}
    """Your own top-level attributes on the session item."""
    missing: list[Gap] = []
    """What is missing from `messages`, where a read skipped missing pages; else empty."""


class SessionSummary(BaseModel):
    """What is known of a session without its messages."""

    model_config = ConfigDict(frozen=True, ser_json_bytes="base64")

    session: str | dict[str, Any]
    """As `read` takes it: the session id where sessions are named so on this table, else the whole key."""
    version: int | None
    """None for an item of `langchain_community` not yet converted (it has no version but by its messages), and with an
    `error`."""
    message_count: int | None
    """None where `version` is."""
    created_at: datetime | None = None
    updated_at: datetime | None = None
    expires_at: datetime | None = None
    metadata: dict[str, Any] = {}
    attributes: dict[str, Any] = {}
    """Your own top-level attributes: those that the table's indexes name, and those asked for."""
    cursor: str | None = None
    """Where the same listing goes on after this session; None within a scan of several segments."""
    error: str | None = None
    """What is wrong with an item so damaged that nothing but its name is told here; `read` raises the error. Or why the
    metadata of an encrypted session cannot be told."""


KeyValue: TypeAlias = str | bytes | int | Decimal
