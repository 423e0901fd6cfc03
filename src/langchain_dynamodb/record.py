"""What an agent's run knows of its stored session, and what is new by it. No I/O."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from typing_extensions import TypedDict  # pydantic, which langgraph asks, wants this one before Python 3.12

from . import messages as codec
from .errors import SettingsError
from .snapshot import ChatSession


class HistoryRecord(TypedDict):
    """What a run, or with a checkpointer the thread, knows of the stored session."""

    session: str | dict[str, Any]
    version: int
    """The session's when it was loaded or last appended to."""
    count: int
    """Messages in the session at that version."""
    stored: list[str]
    """Ids of messages in the agent's state that are stored, oldest first."""
    pending: list[BaseMessage]
    """What is to be appended when the run ends, whether or not it is still in the agent's state."""


def note(record: HistoryRecord, messages: Sequence[BaseMessage]) -> HistoryRecord:
    """The record after a look at the agent's state.

    New is what follows the last message that is known: what stands before it (a summary of what was removed) is not
    part of the conversation. Of a message that was exchanged (redacted, a tool call edited) the last form counts.
    """
    current = {message.id: message for message in messages}
    pending = [current.get(message.id, message) for message in record["pending"]]
    known = {*record["stored"], *(message.id for message in pending)}
    places = [place for place, message in enumerate(messages) if message.id in known]
    new = messages[places[-1] + 1 :] if places else messages
    # Nothing known is left to stand behind a summary where the middleware that made it stands before this one.
    return {**record, "pending": [*pending, *(message for message in new if not _is_summary(message))]}


def note_run(record: HistoryRecord, messages: Sequence[BaseMessage]) -> HistoryRecord:
    """`note` within a run; raises `SettingsError` where a tool's result is left of which nobody has seen the call."""
    noted = note(record, messages)
    results = [message for message in noted["pending"][len(record["pending"]) :] if isinstance(message, ToolMessage)]
    if results:
        seen = [message for message in (*messages, *noted["pending"]) if isinstance(message, AIMessage)]
        calls = {call["id"] for message in seen for call in (*message.tool_calls, *message.invalid_tool_calls)}
        if lost := [message for message in results if message.tool_call_id not in calls]:
            raise SettingsError(
                f"the call of tool result {lost[0].tool_call_id!r} was removed before it could be stored: put "
                "DynamoDBHistoryMiddleware first in middleware=[...], before what removes messages"
            )
    return noted


def stored_all(record: HistoryRecord, version: int, appended: int) -> HistoryRecord:
    """The record after all that was pending is stored; `appended` messages by this run, which led to `version`."""
    return {
        **record,
        # Any other number may include what others wrote, so the next run has to look.
        "version": version if version == record["version"] + 1 else record["version"],
        "count": record["count"] + appended,
        "stored": [*record["stored"], *(message.id or "" for message in record["pending"])],
        "pending": [],
    }


def is_changed(chat: ChatSession, messages: Iterable[BaseMessage], stored: list[str]) -> bool:
    """Whether the session, which has as many messages as before, has others than the thread knows as `stored`.

    Messages that the thread no longer has, or that were stored without an id, cannot be compared.
    """
    held = {message.id: message for message in chat.messages}
    if [message.id for message in chat.messages[-1:]] != stored[-1:]:
        return True
    comparable = None not in held
    within = comparable and chat.message_count == len(held)  # from here on, what is stored is in the window
    for message in messages:
        if message.id in held:
            within = comparable
            if codec.encode_messages([message]) != codec.encode_messages([held[message.id]]):
                return True
        elif within and message.id in stored:
            return True
    return False


def operation(messages: Sequence[BaseMessage]) -> str:
    """The idempotency key of an append, by the id of its first message.

    So that the repository, which remembers recent keys, notices at no cost when a message is sent again.
    """
    return hashlib.blake2b((messages[0].id or "").encode(), digest_size=16).hexdigest()


def ids(messages: Iterable[BaseMessage]) -> set[str | None]:
    """Their ids."""
    return {message.id for message in messages}


def _is_summary(message: BaseMessage) -> bool:
    return message.additional_kwargs.get("lc_source") == "summarization"
