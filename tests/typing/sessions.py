"""Never executed: mypy checks the public API as users write against it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from typing import Any

import boto3
from langchain_core.chat_history import BaseChatMessageHistory
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.runnables import RunnableLambda
from langchain_core.runnables.history import RunnableWithMessageHistory
from pydantic import BaseModel

from langchain_dynamodb import (
    AsyncSessionRepository,
    ChatSession,
    DynamoDBChatMessageHistory,
    Gap,
    Index,
    RepairReport,
    SessionRepository,
    SessionSummary,
    Sizes,
    pair_tool_calls,
    register_class,
    register_message_class,
)
from langchain_dynamodb.encryption import KeyLimits, Keyring, KmsKeyring, LocalKeyring
from langchain_dynamodb.errors import ChatHistoryError, StorageError, ThrottledError, VersionConflictError


async def the_async_repository() -> None:
    """Keys are texts or mappings, a read is None only where it is asked to be."""
    async with AsyncSessionRepository("Table", ttl=60, sizes=Sizes(page=1000)) as sessions:
        await sessions.create_table(sort_key_name="SK")
        version: int = await sessions.append("s", [HumanMessage("a"), AIMessage("b")], idempotency_key="k")
        chat: ChatSession = await sessions.read({"PK": "a", "SK": 1}, limit=3)
        newer: ChatSession | None = await sessions.read("s", unless_version=version)
        version = await sessions.append("s", [HumanMessage("a")], must_exist=True)
        version = await sessions.set_expiry("s", None, expected_version=version)
        messages: list[BaseMessage] = chat.messages
        moment: datetime | None = chat.updated_at
        metadata: dict[str, Any] = chat.metadata
        stream: AsyncIterator[BaseMessage] = sessions.iter_messages("s")
        stream = sessions.iter_messages("s", start_on="human")
        chat = await sessions.read("s", limit=9, start_on="human")
        newer = await sessions.read("s", start_on="human", unless_version=version)
        await sessions.read("s", start_on="ai")  # type: ignore[call-overload]
        messages = pair_tool_calls(chat.messages)
        version = await sessions.replace("s", messages, expected_version=version)
        version = await sessions.truncate("s", keep=2)
        version = await sessions.update_metadata("s", {"title": "t", "old": None})
        history: BaseChatMessageHistory = sessions.history("s", history_size=20)
        await sessions.delete("s", expected_version=version, search_pages=True)
        left: ChatSession = await sessions.read("s", skip_missing_pages=True)
        gaps: list[Gap] = left.missing
        around: AsyncIterator[BaseMessage] = sessions.iter_messages("s", skip_missing_pages=True)
        report: RepairReport = await sessions.repair("s", drop_undecodable=True)
        forked: int = await sessions.copy(
            "s", {"PK": "a", "SK": "b"}, keep=3, repository=sessions, expected_version=version
        )
        gaps, removed = report.missing, report.removed
        page: dict[str, Any] = gaps[0].pages[0]
        where: str = removed[0].where
        print(forked, around, page, where, report.version + report.brought_in)
        version = await sessions.update_message("s", HumanMessage("b", id="a"))
        version = await sessions.remove_message("s", "a")
        await sessions.append("s", messages, attributes={"user": "u", "raw": b"r", "old": None})
        await sessions.create_table(indexes=[Index("by_user", "user", Index.CREATED, include=["topic"])])
        async for summary in sessions.list(index="by_user", partition="u", limit=3, cursor=None):
            chat = await sessions.read(summary.session)
            count: int | None = summary.message_count
            cursor: str | None = summary.cursor
            print(count, cursor, chat.attributes["user"])
        sessions.list("by_user")  # type: ignore[call-arg]
        sessions.list(partition=1.5)  # type: ignore[arg-type]
        Index("by_user", "user", hash_type="T")  # type: ignore[arg-type]
        await sessions.append("s", "text")  # type: ignore[arg-type]
        await sessions.read(7)  # type: ignore[call-overload]
        await sessions.read("s", 3)  # type: ignore[call-overload]
        await sessions.truncate("s")  # type: ignore[call-arg]
        print(newer, moment, metadata, stream, history)


def the_sync_repository() -> None:
    """The same without await."""
    with SessionRepository("Table", aws_session=boto3.Session(), item_format="community") as sessions:
        version: int = sessions.append("s", [HumanMessage("a")], expected_version=0)
        chat: ChatSession = sessions.read("s")
        newer: ChatSession | None = sessions.read("s", unless_version=version)
        stream: Iterator[BaseMessage] = sessions.iter_messages("s")
        summaries: Iterator[SessionSummary] = sessions.list(partition=b"p", descending=True)
        gaps: list[Gap] = sessions.read("s", skip_missing_pages=True).missing
        report: RepairReport = sessions.repair("s")
        sessions.copy("s", "fork", repository=sessions)
        sessions.copy("s", "fork", repository="Table")  # type: ignore[arg-type]
        print(gaps, report, list(sessions.iter_messages("s", skip_missing_pages=True)))
        sessions.delete("s", search_pages=True)
        sessions.update_metadata("s", {}, attributes={"user": "u"})
        sessions.create_table(indexes=[Index("by_user", hash_key="user", range_key=None)])
        print(chat, newer, stream, summaries)
    SessionRepository("Table", item_format="other")  # type: ignore[arg-type]


def the_adapter() -> RunnableWithMessageHistory:
    """Positional arguments in langchain_community's order."""

    def factory(session_id: str) -> BaseChatMessageHistory:
        return DynamoDBChatMessageHistory(
            "T", session_id, None, "SessionId", {"PK": "a"}, None, None, 60, "ttl", 10, "H"
        )

    history = DynamoDBChatMessageHistory("T", "s")
    history.key, history.session_id = {"PK": "a", "SK": 7}, "t"
    history.ttl, history.history_size, history.ttl_key_name, history.history_messages_key = None, 5, "ttl", "H"
    seconds: int | None = history.ttl
    history.ttl = "60"  # type: ignore[assignment]
    history.history_messages_key = None  # type: ignore[assignment]
    print(seconds)

    def answer(messages: list[BaseMessage]) -> str:
        return "hi"

    return RunnableWithMessageHistory(RunnableLambda(answer), factory)


def the_errors(error: ChatHistoryError) -> int:
    """Errors carry what a caller acts on."""
    if isinstance(error, VersionConflictError):
        return error.actual - error.expected
    if isinstance(error, ThrottledError):
        storage: StorageError = error
        return len(storage.code or "")
    return 0


class Note(HumanMessage):
    """A message class of the user's own."""


register_message_class(Note, "note")
register_message_class(str)  # type: ignore[arg-type]


@register_class
class Answer(BaseModel):
    """A registered class stays the class that it is."""

    text: str


def registered_classes() -> None:
    """With another name, and what is refused is told by a path."""
    cls: type[Answer] = register_class(Answer, "answer")
    text: str = cls(text="a").text
    with SessionRepository("Table", strict=True) as sessions:
        sessions.append(text, [AIMessage("a")])


async def encrypted_sessions() -> None:
    """A keyring, or a function of the session."""
    keyring: Keyring = LocalKeyring(bytes(32), old=[bytes(32)], limits=KeyLimits(seconds=60))
    async with AsyncSessionRepository("Table", encryption=keyring) as sessions:
        await sessions.reencrypt("s")
        await sessions.reencrypt("s", plain=True)
    SessionRepository("Table", encryption=lambda session: KmsKeyring("alias/chats", context={"tenant": str(session)}))
    DynamoDBChatMessageHistory("Table", "s", kms_key_id="alias/chats")
    AsyncSessionRepository("Table", encryption=bytes(32))  # type: ignore[arg-type]
