"""The history of a LangChain agent: loaded before the agent runs, what the run added appended after it.

What a run knows travels in the agent's state (`HistoryRecord`), never on the middleware: one instance serves any number
of runs at once, and with a checkpointer a run goes on where it was interrupted.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any, Optional, cast

from langchain_core.messages import BaseMessage
from langchain_core.runnables import RunnableConfig

from .attempts import Patience
from .blocking import SessionRepository, run
from .errors import IdempotencyError, InvalidInputError, VersionConflictError
from .keys import Session
from .repository import AsyncSessionRepository, ChatSession, check_count

try:
    from langchain.agents.middleware import AgentMiddleware, AgentState
    from langchain.agents.middleware.types import OmitFromSchema
    from langgraph.runtime import Runtime
    from langgraph.types import Overwrite
    from typing_extensions import NotRequired, TypedDict
except ImportError as error:
    raise ImportError(
        "langchain_dynamodb.middleware needs langchain 1.2.15 or newer. "
        'Install it: pip install "langchain-dynamodb[langchain]"'
    ) from error

LOOK_BACK = 100  # messages looked through, besides the run's own, when others wrote meanwhile

FindSession = Callable[[Runtime[Any], RunnableConfig], Session]


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


class HistoryState(AgentState[Any]):
    """The agent's state with the record, which is neither input nor output."""

    dynamodb_history: NotRequired[Annotated[HistoryRecord, OmitFromSchema(input=True, output=True)]]


class DynamoDBHistoryMiddleware(AgentMiddleware[HistoryState, Any]):
    """Gives an agent of `langchain.agents.create_agent` a chat session as its history. Put it first in ``middleware``.

    Before the agent runs, the session's newest `limit` messages (None: all, 0: none) come before the run's input.
    When the run has ended, everything it added is appended, all or nothing: input, answers, tool calls and their
    results. A run that fails or is interrupted stores nothing; one that goes on from a checkpoint stores when it ends.

    `session` is the name under which a run gives its session id, in ``context`` or else in
    ``config={"configurable": {...}}``; or a function of the runtime and the config that returns the id or the whole
    key.

    A message is recognised by its id and stored once. With a checkpointer the thread's messages stay as they are unless
    others changed the session's messages meanwhile: then the session takes their place.

    With `if_unchanged` a run's messages are appended only if nobody else has changed the session since it was
    loaded; otherwise the run ends with `VersionConflictError`, and nothing is stored.

    Errors of the repository reach the caller of the agent. Raises `InvalidInputError` for a run without a session.
    """

    state_schema = HistoryState

    def __init__(
        self,
        sessions: AsyncSessionRepository | SessionRepository,
        *,
        session: str | FindSession = "session_id",
        limit: int | None = None,
        if_unchanged: bool = False,
    ) -> None:
        super().__init__()
        check_count("limit", limit)
        if not isinstance(sessions, (AsyncSessionRepository, SessionRepository)):
            raise InvalidInputError(f"sessions={sessions!r:.80} must be an AsyncSessionRepository or SessionRepository")
        if not callable(session) and (not isinstance(session, str) or not session):
            raise InvalidInputError(f"session={session!r:.80} must be a name, or a function of runtime and config")
        self._sessions = sessions._repository if isinstance(sessions, SessionRepository) else sessions
        self._session = session
        self._limit = limit
        self._if_unchanged = if_unchanged

    # langgraph passes `config` to parameters annotated exactly so.
    async def abefore_agent(
        self,
        state: HistoryState,
        runtime: Runtime[Any],
        config: Optional[RunnableConfig] = None,  # noqa: UP045
    ) -> dict[str, Any] | None:
        """Load the session."""
        session = self._find_session(runtime, config or {})
        record = state.get("dynamodb_history")
        if record is None or record["session"] != session:
            return await self._load(session, state["messages"], record)
        return await self._refresh(record, state["messages"])

    def before_agent(
        self,
        state: HistoryState,
        runtime: Runtime[Any],
        config: Optional[RunnableConfig] = None,  # noqa: UP045
    ) -> dict[str, Any] | None:
        """Load the session."""
        return run(self.abefore_agent(state, runtime, config))

    async def abefore_model(self, state: HistoryState, runtime: Runtime[Any]) -> dict[str, Any] | None:
        """Note what the run added so far, before other middleware may remove it from the state."""
        return self.before_model(state, runtime)

    def before_model(self, state: HistoryState, runtime: Runtime[Any]) -> dict[str, Any] | None:
        """Note what the run added so far, before other middleware may remove it from the state."""
        record = state.get("dynamodb_history")
        if record is None:
            return None
        noted = note(record, state["messages"])
        return None if noted == record else {"dynamodb_history": noted}

    async def aafter_agent(self, state: HistoryState, runtime: Runtime[Any]) -> dict[str, Any] | None:
        """Append what the run added."""
        record = state.get("dynamodb_history")
        if record is None:  # the run was ended before it loaded the session
            return None
        record = note(record, state["messages"])
        if not record["pending"]:
            return None
        version = await self._append(record)
        ids = [message.id or "" for message in record["pending"]]
        count = record["count"] + len(ids)
        stored = [*record["stored"], *ids]
        return {"dynamodb_history": {**record, "version": version, "count": count, "stored": stored, "pending": []}}

    def after_agent(self, state: HistoryState, runtime: Runtime[Any]) -> dict[str, Any] | None:
        """Append what the run added."""
        return run(self.aafter_agent(state, runtime))

    def _find_session(self, runtime: Runtime[Any], config: RunnableConfig) -> str | dict[str, Any]:
        if callable(self._session):
            found: object = self._session(runtime, config)
        else:
            found = _entry(runtime.context, self._session)
            if found is None:
                found = config.get("configurable", {}).get(self._session)
        if found is None:
            raise InvalidInputError(
                f"this run names no chat session: pass context={{{self._session!r}: ...}} (with a context_schema) or "
                f"config={{'configurable': {{{self._session!r}: ...}}}}"
                if isinstance(self._session, str)
                else "the function given as `session` returned None instead of a session id or a key"
            )
        # What is neither is refused by the repository.
        return dict(found) if isinstance(found, Mapping) else cast("str", found)

    async def _refresh(self, record: HistoryRecord, messages: Sequence[BaseMessage]) -> dict[str, Any]:
        """Go on with a thread whose messages came from this session."""
        session = record["session"]
        chat = await self._sessions.read(session, limit=self._limit, unless_version=record["version"])
        last = record["stored"][-1:]
        needed = {message.id for message in messages} | set(last)
        current = note({**record, "stored": [known for known in record["stored"] if known in needed]}, messages)
        if chat is None:
            return {"dynamodb_history": current}
        if self._limit == 0:
            return {"dynamodb_history": {**current, "version": chat.version, "count": chat.message_count}}
        if chat.message_count == record["count"] and [message.id for message in chat.messages[-1:]] == last:
            return {"dynamodb_history": {**current, "version": chat.version}}
        return await self._merge(session, chat, current["pending"])

    async def _load(
        self, session: str | dict[str, Any], messages: Sequence[BaseMessage], record: HistoryRecord | None
    ) -> dict[str, Any]:
        """Begin with a session; messages of another one stay behind."""
        chat = await self._sessions.read(session, limit=self._limit)
        if record is not None:
            messages = note(record, messages)["pending"][len(record["pending"]) :]
        return await self._merge(session, chat, messages)

    async def _merge(
        self, session: str | dict[str, Any], chat: ChatSession, messages: Sequence[BaseMessage]
    ) -> dict[str, Any]:
        """The session's messages, then those of `messages` that it does not hold yet."""
        loaded = [_with_id(message) for message in chat.messages]
        stored = {message.id for message in loaded}
        if len(messages) > 1 and chat.message_count > len(loaded):  # so some may lie before the window
            stored = {message.id for message in (await self._sessions.read(session)).messages} | stored
        new = [message for message in messages if message.id not in stored]
        record: HistoryRecord = {
            "session": session,
            "version": chat.version,
            "count": chat.message_count,
            "stored": [message.id or "" for message in loaded],
            "pending": new,
        }
        if self._limit == 0:
            known = [message.id or "" for message in messages if message.id in stored]
            return {"dynamodb_history": {**record, "stored": known}}
        # Not as an update through the reducer: streams of messages would repeat the history to the user.
        return {"messages": Overwrite([*loaded, *new]), "dynamodb_history": record}

    async def _append(self, record: HistoryRecord) -> int:
        """Append what is pending and not stored yet; returns the session's version if only that happened since."""
        pending, expected = record["pending"], record["version"]
        key: str | None = operation(pending)
        patience = Patience("append what the agent's run added")
        while True:
            await patience.wait()
            try:
                version = await self._sessions.append(
                    record["session"], pending, expected_version=expected, idempotency_key=key
                )
            except (VersionConflictError, IdempotencyError) as error:
                chat = await self._since(record)
                stored = {message.id for message in chat.messages}
                pending = [message for message in pending if message.id not in stored]
                if not pending:
                    return record["version"]
                if self._if_unchanged:
                    raise
                expected, key = chat.version, operation(pending) if isinstance(error, VersionConflictError) else None
            else:
                # Any other number may include what others wrote, so the next run has to look.
                return version if version == record["version"] + 1 else record["version"]

    async def _since(self, record: HistoryRecord) -> ChatSession:
        """The session with at least the messages that were appended since the run loaded it."""
        chat = await self._sessions.read(record["session"], limit=len(record["pending"]) + LOOK_BACK)
        if chat.message_count - record["count"] > len(chat.messages):
            chat = await self._sessions.read(record["session"])
        return chat


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
    return {**record, "pending": [*pending, *new]}


def operation(messages: Iterable[BaseMessage]) -> str:
    """The idempotency key of an append: the same messages, by their ids, are the same append."""
    return hashlib.blake2b("\n".join(message.id or "" for message in messages).encode(), digest_size=16).hexdigest()


def _with_id(message: BaseMessage) -> BaseMessage:
    return message if message.id else message.model_copy(update={"id": str(uuid.uuid4())})


def _entry(context: object, name: str) -> object:
    return context.get(name) if isinstance(context, Mapping) else getattr(context, name, None)
