"""Chat sessions of LangChain applications on Amazon DynamoDB, async first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._items.sizes import Sizes
from ._items.table_schema import Index
from ._protocol.tool_calls import pair_tool_calls
from .codec.classes import register_message_class
from .codec.registry import register_class
from .models import ChatSession, Gap, Removed, RepairReport, SessionSummary
from .observers import CapacityMeter, Observer
from .repository import AsyncSessionRepository

if TYPE_CHECKING:
    from .blocking import SessionRepository
    from .history import DynamoDBChatMessageHistory

__version__ = "0.1.0"

__all__ = [
    "AsyncSessionRepository",
    "CapacityMeter",
    "ChatSession",
    "DynamoDBChatMessageHistory",
    "Gap",
    "Index",
    "Observer",
    "Removed",
    "RepairReport",
    "SessionRepository",
    "SessionSummary",
    "Sizes",
    "pair_tool_calls",
    "register_class",
    "register_message_class",
]


def __getattr__(name: str) -> object:
    # The adapter's base class goes away with langchain-core 2.0: the core must work without it.
    if name == "DynamoDBChatMessageHistory":
        from .history import DynamoDBChatMessageHistory

        return DynamoDBChatMessageHistory
    if name == "SessionRepository":
        from .blocking import SessionRepository

        return SessionRepository
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
