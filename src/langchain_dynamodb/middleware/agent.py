"""The history of a LangChain agent: loaded before the agent runs, what the run added appended after it.

What a run knows travels in the agent's state (`HistoryRecord`), never on the middleware: one instance serves any number
of runs at once, and with a checkpointer a run goes on where it was interrupted.
"""

from __future__ import annotations

import inspect
import operator
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from functools import partial
from typing import Annotated, Any, Optional, TypeVar, cast

from langchain_core.messages import BaseMessage, ToolMessage
from langchain_core.runnables import RunnableConfig

from .._background import run
from .._checks import check_count, check_flag, how_to_install
from .._items.keys import Session
from .._protocol.tool_calls import pair_tool_calls, with_stand_ins
from .._protocol.windows import Window
from .._store.off_loop import off_loop_if_much
from .._store.retrying import Patience
from .._threads import off_loop
from ..blocking import SessionRepository
from ..errors import IdempotencyError, InvalidInputError, SessionNotFoundError, SettingsError, VersionConflictError
from ..models import ChatSession
from ..repository import AsyncSessionRepository
from .record import (
    HistoryRecord,
    ids,
    is_changed,
    is_to_answer,
    lacking,
    note,
    note_run,
    operation,
    stored_all,
    with_ids,
    with_own_ids,
)

try:
    from langchain.agents.middleware import AgentMiddleware, AgentState, ModelRequest, ModelResponse, ToolCallRequest
    from langchain.agents.middleware.types import OmitFromSchema
    from langgraph.runtime import Runtime
    from langgraph.types import Command, Overwrite
    from typing_extensions import NotRequired
except ImportError as error:
    raise ImportError(
        f"langchain_dynamodb.middleware needs langchain 1.2.15 or newer. Install it: {how_to_install('langchain')}"
    ) from error

MANY = 1_000  # messages to go through that take about a millisecond: the event loop does not wait for more
LOOK_BACK = 100  # messages looked through, besides the run's own, when others wrote meanwhile

# The sessions of the agents whose tools are running around this code.
_outer: ContextVar[tuple[tuple[object, ...], ...]] = ContextVar("langchain_dynamodb_outer", default=())

T = TypeVar("T")
FindSession = Callable[[Runtime[Any], RunnableConfig], Session]


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
    others changed the session's messages meanwhile: then the session takes their place. A single message that is sent
    again long after it was stored is recognised only with `recognise_all`, which reads the whole session before each
    run whose input the window does not hold (docs/howto/agents.md says exactly what is recognised without it).

    With `if_unchanged` a run's messages are appended only if nobody else has changed the session since it was
    loaded; otherwise the run ends with `VersionConflictError`, and nothing is stored.

    With `must_exist` a run begins no session: where there is none it ends with `SessionNotFoundError` before the model
    is asked, and where it is deleted meanwhile, with the same error and without storing anything.

    Errors of the repository reach the caller of the agent. Raises `InvalidInputError` for a run without a session, and
    `SettingsError` where middleware that stands before this one took messages away that have to be stored, and where a
    tool runs another agent that has the same session. A run whose question the thread holds already, and the session
    not any more, is an `InvalidInputError` too.
    """

    state_schema = HistoryState

    def __init__(
        self,
        sessions: AsyncSessionRepository | SessionRepository,
        *,
        session: str | FindSession = "session_id",
        limit: int | None = None,
        if_unchanged: bool = False,
        recognise_all: bool = False,
        must_exist: bool = False,
    ) -> None:
        super().__init__()
        check_count("limit", limit)
        if not isinstance(sessions, (AsyncSessionRepository, SessionRepository)):
            raise InvalidInputError(
                f"sessions={sessions!r:.80} must be an AsyncSessionRepository or SessionRepository, such as "
                'AsyncSessionRepository("SessionTable")'
            )
        if not (_takes_runtime_and_config(session) if callable(session) else isinstance(session, str) and session):
            raise InvalidInputError(
                f"session={session!r:.80} must be a name, or a function (not async) of runtime and config, such as "
                'lambda runtime, config: config["configurable"]["chat"]'
            )
        flags = {"if_unchanged": if_unchanged, "recognise_all": recognise_all, "must_exist": must_exist}
        for option, value in flags.items():
            check_flag(option, value)
        self._sessions = sessions._repository if isinstance(sessions, SessionRepository) else sessions
        self._session = session
        self._limit = limit
        self._if_unchanged = if_unchanged
        self._recognise_all = recognise_all
        self._must_exist = must_exist

    # langgraph passes `config` to parameters annotated exactly so.
    async def abefore_agent(
        self,
        state: HistoryState,
        runtime: Runtime[Any],
        config: Optional[RunnableConfig] = None,  # noqa: UP045
    ) -> dict[str, Any] | None:
        """Load the session."""
        return await self._begin(state, self._find_session(runtime, config or {}))

    def before_agent(
        self,
        state: HistoryState,
        runtime: Runtime[Any],
        config: Optional[RunnableConfig] = None,  # noqa: UP045
    ) -> dict[str, Any] | None:
        """Load the session."""
        # A function is asked here, in the caller's thread: it may wait, for a SessionRepository too.
        return run(self._begin(state, self._find_session(runtime, config or {})))

    async def _begin(self, state: HistoryState, session: str | dict[str, Any]) -> dict[str, Any]:
        record, given = state.get("dynamodb_history"), await _aside(with_ids, state["messages"])
        if record is None or record["session"] != session:
            record, messages = await self._load(session, given, record)
        else:
            record, messages = await self._refresh(record, given)
        if self._limit != 0:
            record, messages = await _aside(partial(_paired, record), messages)
        if all(map(operator.is_, messages, state["messages"])) and len(messages) == len(state["messages"]):
            return {"dynamodb_history": record}
        # Not as an update through the reducer: streams of messages would repeat the history to the user.
        return {"messages": Overwrite(messages), "dynamodb_history": record}

    async def abefore_model(self, state: HistoryState, runtime: Runtime[Any]) -> dict[str, Any] | None:
        """Note what the run added so far, before other middleware may remove it from the state."""
        record = state.get("dynamodb_history")
        return None if record is None else await _aside(partial(_noted, record), state["messages"])

    def before_model(self, state: HistoryState, runtime: Runtime[Any]) -> dict[str, Any] | None:
        """Note what the run added so far, before other middleware may remove it from the state."""
        record = state.get("dynamodb_history")
        return None if record is None else _noted(record, state["messages"])

    async def awrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]]
    ) -> ModelResponse[Any]:
        """Give an answer an id of its own, before LangGraph lets it take the place of one with the same id."""
        state, response = cast(HistoryState, request.state), await handler(request)
        return await _aside(partial(_renamed, state.get("dynamodb_history"), response), state["messages"])

    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
    ) -> ModelResponse[Any]:
        """Give an answer an id of its own, before LangGraph lets it take the place of one with the same id."""
        state, response = cast(HistoryState, request.state), handler(request)
        return _renamed(state.get("dynamodb_history"), response, state["messages"])

    async def awrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], Awaitable[ToolMessage | Command[Any]]]
    ) -> ToolMessage | Command[Any]:
        """Let agents that the tool runs know which session this run will append to."""
        with self._within(request):
            return await handler(request)

    def wrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], ToolMessage | Command[Any]]
    ) -> ToolMessage | Command[Any]:
        """Let agents that the tool runs know which session this run will append to."""
        with self._within(request):
            return handler(request)

    @contextmanager
    def _within(self, request: ToolCallRequest) -> Iterator[None]:
        record = request.state.get("dynamodb_history")
        token = _outer.set(_outer.get() if record is None else (*_outer.get(), self._place(record["session"])))
        try:
            yield
        finally:
            _outer.reset(token)

    def _place(self, session: str | dict[str, Any]) -> tuple[object, ...]:
        """What no two sessions have in common."""
        return self._sessions._connection.settings, self._sessions.table_name, self._sessions._key(session)

    async def aafter_agent(self, state: HistoryState, runtime: Runtime[Any]) -> dict[str, Any] | None:
        """Append what the run added."""
        record = state.get("dynamodb_history")
        if record is None:  # the run was ended before it loaded the session
            return None
        noted = await _aside(partial(note_run, record), state["messages"])
        return {"dynamodb_history": await self._append(noted)} if noted["pending"] else None

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
        session = dict(found) if isinstance(found, Mapping) else cast("str", found)
        if _outer.get() and self._place(session) in _outer.get():
            raise SettingsError(
                f"this agent is run by a tool of another one whose history is the same session {session!r:.80}, and "
                "would write into it before that one's question: give it a session of its own, such as session=lambda "
                "runtime, config: config['configurable']['session_id'] + '/research', or run it without "
                "DynamoDBHistoryMiddleware"
            )
        return session

    async def _look(self, session: str | dict[str, Any], unless_version: int | None = None) -> Window | None:
        # A thread keeps version 0 after its first run, whose append began the session: no proof that nothing changed.
        window = await self._sessions._window(session, self._limit, unless_version or None, to_write=True)
        if window is not None:
            self._check_exists(session, window.chat)
        return window

    def _check_exists(self, session: str | dict[str, Any], chat: ChatSession) -> None:
        if self._must_exist and not chat.version:
            raise SessionNotFoundError(
                f"there is no session {session!r:.80} (it was deleted, has expired or never began), and this run was "
                "not to begin one: must_exist=False lets it"
            )

    async def _refresh(
        self, record: HistoryRecord, messages: list[BaseMessage]
    ) -> tuple[HistoryRecord, list[BaseMessage]]:
        """Go on with a thread whose messages came from this session."""
        session = record["session"]
        window = await self._look(session, record["version"])
        last = record["stored"][-1:]
        needed = {message.id for message in messages} | set(last)
        held: HistoryRecord = {**record, "stored": [known for known in record["stored"] if known in needed]}
        current = await _aside(partial(note, held), messages)
        if window is None:
            return await self._recognised(current, record), messages
        chat = window.chat
        if self._limit == 0:
            current = {**current, "count": chat.message_count}
        elif chat.message_count != record["count"] or await off_loop_if_much(
            messages, partial(is_changed, chat, messages, record["stored"])
        ):
            merged, shown = await self._merge(session, window, current["pending"])
            if chat.message_count < record["count"] and not current["pending"] and not is_to_answer(shown):
                raise InvalidInputError(self._why_nothing(session, chat))
            return merged, shown
        return await self._recognised({**current, "version": chat.version}, record), messages

    def _why_nothing(self, session: str | dict[str, Any], chat: ChatSession) -> str:
        """Why there is nothing to answer after messages were cut off."""
        if is_to_answer(chat.messages):
            return (
                f"limit={self._limit} shows the model nothing of the last turn of session {session!r:.80}, which has "
                "more messages: choose a limit above the longest turn"
            )
        return (
            f"this run has nothing to answer: session {session!r:.80} was cut off or deleted, and its input "
            "holds no new one (LangGraph takes a message whose id the thread holds for an edit of that one): "
            "send the question without an id or with a new one, or let truncate keep it and send no message"
        )

    async def _load(
        self, session: str | dict[str, Any], messages: list[BaseMessage], record: HistoryRecord | None
    ) -> tuple[HistoryRecord, list[BaseMessage]]:
        """Begin with a session; messages of another one stay behind."""
        window = await self._look(session)
        assert window is not None  # no version was named
        if record is not None:
            messages = note(record, messages)["pending"][len(record["pending"]) :]
        return await self._merge(session, window, messages)

    async def _merge(
        self, session: str | dict[str, Any], window: Window, messages: list[BaseMessage]
    ) -> tuple[HistoryRecord, list[BaseMessage]]:
        """The session's messages, then those of `messages` that it does not hold yet."""
        chat = window.chat
        loaded = with_ids(chat.messages)
        shown, stored = window.shown(loaded), ids(loaded)
        unknown = [message for message in messages if message.id not in stored]
        if unknown and chat.message_count > len(loaded) and (len(messages) > 1 or self._recognise_all):
            stored |= ids((await self._sessions.read(session)).messages)
        new = [message for message in unknown if message.id not in stored]
        if not new:  # what is asked once more must be before the agent's eyes
            again = [message for message in messages[-1:] if message.id not in ids(shown)]
            loaded, shown = loaded + again, shown + again
        known = [message for message in messages if message.id in stored] if self._limit == 0 else loaded
        record: HistoryRecord = {
            "session": session,
            "version": chat.version,
            "count": chat.message_count,
            "stored": [message.id or "" for message in known],
            "pending": new,
        }
        return record, messages if self._limit == 0 else [*shown, *new]

    async def _recognised(self, current: HistoryRecord, before: HistoryRecord) -> HistoryRecord:
        """With `recognise_all`, what the thread has got since `before` is looked for in the whole session."""
        start = len(before["pending"])
        if not self._recognise_all or len(current["pending"]) == start:
            return current
        held = ids((await self._sessions.read(current["session"])).messages)
        known = [message.id or "" for message in current["pending"][start:] if message.id in held]
        pending = [message for message in current["pending"] if message.id not in known]
        return {**current, "stored": [*known, *current["stored"]], "pending": pending}

    async def _append(self, record: HistoryRecord) -> HistoryRecord:
        """Append what is pending and not stored yet."""
        pending, expected = record["pending"], record["version"]
        spent: set[str] = set()
        patience = Patience("append what the agent's run added", self._sessions._options.timing.patience)
        while True:
            await patience.wait()
            key = operation(pending, record["version"])
            try:
                version = await self._sessions.append(
                    record["session"],
                    pending,
                    expected_version=expected,
                    idempotency_key=None if key in spent else key,
                    must_exist=self._must_exist,
                )
            except (VersionConflictError, IdempotencyError) as error:
                again = isinstance(error, IdempotencyError)
                chat = await self._since(record, again)
                self._check_exists(record["session"], chat)
                pending = await off_loop_if_much(pending, partial(lacking, pending, chat.messages))
                if not pending:
                    return stored_all(record, record["version"], 0)
                if again:
                    spent.add(key)
                elif self._if_unchanged:
                    raise
                if not self._if_unchanged:
                    expected = chat.version
            else:
                return stored_all(record, version, len(pending))

    async def _since(self, record: HistoryRecord, again: bool) -> ChatSession:
        """The session with at least the messages that were appended since the run loaded it.

        `again`: or since another run that began with the same message.
        """
        chat = await self._sessions.read(record["session"], limit=len(record["pending"]) + LOOK_BACK)
        unseen = chat.message_count - len(chat.messages)
        if unseen > record["count"] or (unseen and again and not ids(chat.messages) & ids(record["pending"])):
            chat = await self._sessions.read(record["session"])
        return chat


def _takes_runtime_and_config(function: FindSession) -> bool:
    try:
        inspect.signature(function).bind(None, None)
    except TypeError:
        return False
    except ValueError:  # of some built-in functions nothing is known
        pass
    return not inspect.iscoroutinefunction(function)


async def _aside(work: Callable[[list[BaseMessage]], T], messages: list[BaseMessage]) -> T:
    """What it makes of the messages, through all of which it goes; in a thread where they are many."""
    return await off_loop(partial(work, messages)) if len(messages) > MANY else work(messages)


def _noted(record: HistoryRecord, messages: list[BaseMessage]) -> dict[str, Any] | None:
    noted = note_run(record, messages)
    return None if noted == record else {"dynamodb_history": noted}


def _paired(record: HistoryRecord, messages: list[BaseMessage]) -> tuple[HistoryRecord, list[BaseMessage]]:
    paired = pair_tool_calls(messages)
    return {**record, "pending": with_stand_ins(record["pending"], paired)}, paired


def _renamed(
    record: HistoryRecord | None, response: ModelResponse[Any], messages: list[BaseMessage]
) -> ModelResponse[Any]:
    return replace(response, result=with_own_ids(response.result, messages, record))


def _entry(context: object, name: str) -> object:
    return context.get(name) if isinstance(context, Mapping) else getattr(context, name, None)
