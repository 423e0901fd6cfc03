"""What an agent's run knows of its stored session, and what is new by it. No I/O."""

from __future__ import annotations

import hashlib
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from typing_extensions import TypedDict  # pydantic, which langgraph asks, wants this one before Python 3.12

from .._protocol.tool_calls import calls, is_stand_in
from ..codec import messages as codec
from ..errors import SettingsError
from ..models import ChatSession


class HistoryRecord(TypedDict):
    """What a run, or with a checkpointer the thread, knows of the stored session."""

    session: str | dict[str, Any]
    version: int
    """The session's when it was loaded or last appended to."""
    count: int
    """Messages in the session at that version."""
    stored: list[str]
    """Ids of stored messages that the agent's state had when it was loaded or appended to, oldest first."""
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
    return {**record, "pending": [*pending, *(message for message in new if not _is_added(message))]}


def note_run(record: HistoryRecord, messages: Sequence[BaseMessage]) -> HistoryRecord:
    """`note` within a run; raises `SettingsError` where a tool's result is left of which nobody has seen the call."""
    noted = note(record, messages)
    results = [message for message in noted["pending"][len(record["pending"]) :] if isinstance(message, ToolMessage)]
    if results:
        made = {call for message in (*messages, *noted["pending"]) for call in calls(message)}
        if lost := [message for message in results if message.tool_call_id not in made]:
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

    Messages that the thread no longer has, or that were stored without an id of their own, cannot be compared.
    """
    times = Counter(message.id for message in chat.messages)
    held = {message.id: message for message in chat.messages if message.id and times[message.id] == 1}
    if [message.id for message in chat.messages[-1:]] != stored[-1:]:
        return True
    comparable = len(held) == len(chat.messages)
    within = comparable and chat.message_count == len(held)  # from here on, what is stored is in the window
    for message in messages:
        if message.id in held:
            within = comparable
            if not _are_equal(message, held[message.id]):
                return True
        elif within and message.id in stored:
            return True
    return False


def is_to_answer(messages: Sequence[BaseMessage]) -> bool:
    """Whether a model has something to answer: a question or the result of a tool is the last that was said."""
    return any(message.type not in ("ai", "system") or calls(message) for message in messages[-1:])


def operation(messages: Sequence[BaseMessage], version: int) -> str:
    """The idempotency key of an append, by the id of its first message.

    So that the repository, which remembers recent keys, notices at no cost when a message is sent again. The id of an
    answer may be that of other answers too: it is good for repeating the append of this run, which began at `version`.
    """
    first = messages[0]
    name = f"{first.id}/{version}" if isinstance(first, AIMessage) else first.id or ""
    return hashlib.blake2b(name.encode(), digest_size=16).hexdigest()


def lacking(pending: Sequence[BaseMessage], stored: Sequence[BaseMessage]) -> list[BaseMessage]:
    """Those of a run's messages that are not stored yet.

    Behind a message that is not stored, and where it says something else, no answer is: some gateways give all answers
    the same id.
    """
    held: defaultdict[str | None, list[BaseMessage]] = defaultdict(list)
    for message in stored:
        held[message.id].append(message)
    lacking: list[BaseMessage] = []
    follows = True
    for message in pending:
        known = held[message.id]
        if isinstance(message, AIMessage):
            known = [other for other in known if follows and _are_equal(message, other)]
        follows = bool(known)
        if not known:
            lacking.append(message)
    return lacking


def with_ids(messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    """Each message under an id of its own: LangGraph takes those with equal ones, or with "", for one message."""
    seen: set[str] = set()
    own: list[BaseMessage] = []
    for message in messages:
        own.append(message if message.id and message.id not in seen else _with_new_id(message))
        seen.add(own[-1].id or "")
    return own


def with_own_ids(
    answers: Sequence[BaseMessage], messages: Iterable[BaseMessage], record: HistoryRecord | None
) -> list[BaseMessage]:
    """A model's `answers`, each under an id that no other message of the run has."""
    taken = {"", *ids(messages)}
    if record is not None:
        taken |= {*record["stored"], *ids(record["pending"])}
    return [
        _with_new_id(message) if isinstance(message, AIMessage) and message.id in taken else message
        for message in answers
    ]


def _with_new_id(message: BaseMessage) -> BaseMessage:
    return message.model_copy(update={"id": str(uuid.uuid4())})


def ids(messages: Iterable[BaseMessage]) -> set[str | None]:
    """Their ids."""
    return {message.id for message in messages}


def _are_equal(one: BaseMessage, other: BaseMessage) -> bool:
    lines = codec.encode_messages([one, other])
    return lines[0] == lines[1] or _as_read(lines[0]) == _as_read(lines[1])


def _as_read(line: bytes) -> bytes:
    """The line of what is read: objects of classes that are not registered are their data then."""
    return codec.encode_message(codec.decode_line(line))


def _is_added(message: BaseMessage) -> bool:
    """Whether it is no part of the conversation: a summary, or a result that stands in for one."""
    return message.additional_kwargs.get("lc_source") == "summarization" or is_stand_in(message)
