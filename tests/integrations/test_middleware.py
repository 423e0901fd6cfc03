"""The history middleware in agents of LangChain 1: each message is stored once, whatever the run goes through."""

from __future__ import annotations

import asyncio
import datetime as dt
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, InvalidToolCall, RemoveMessage, ToolMessage

pytest.importorskip("langchain.agents.middleware", reason="the extra langchain is not installed")

from langchain.agents import create_agent
from langchain.agents.middleware import (
    AgentMiddleware,
    HumanInTheLoopMiddleware,
    SummarizationMiddleware,
    hook_config,
)
from langchain_core.documents import Document
from langchain_core.language_models import FakeListChatModel
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from agent_support import STYLES, Agent, Refused, ScriptedModel, StrictModel, call, stored
from conftest import RepositoryFactory
from langchain_dynamodb import AsyncSessionRepository, SessionRepository
from langchain_dynamodb._dynamodb.attribute_values import to_attribute
from langchain_dynamodb.codec.classes import full_name
from langchain_dynamodb.codec.native import to_native
from langchain_dynamodb.codec.registry import OBJECTS
from langchain_dynamodb.encryption import LocalKeyring
from langchain_dynamodb.errors import (
    InvalidInputError,
    MissingKeyError,
    OutcomeUnknownError,
    SessionNotFoundError,
    SettingsError,
    StorageError,
    VersionConflictError,
    WrongRegionError,
)
from langchain_dynamodb.middleware import DynamoDBHistoryMiddleware
from langchain_dynamodb.middleware.agent import LOOK_BACK
from support import SMALL, Hooked, Recorder, human, many, refusal, scan, watch

pytestmark = pytest.mark.any_engine

# There LangGraph cannot hand its configuration to what an asynchronous step calls: neither interrupts nor tokens work.
ASYNC_PARTS = pytest.mark.skipif(sys.version_info < (3, 11), reason="LangGraph needs Python 3.11 for this with asyncio")

TOOL_RUN = [call("double", "c1", number=2), call("double", "c2", number=4), "it is 8"]
TOOL_TURN = [
    "human: 2 times 4",
    "ai: calling double",
    "tool: 4",
    "ai: calling double",
    "tool: 8",
    "ai: it is 8",
]


# --- A run ---


@pytest.mark.parametrize("style", STYLES)
async def test_a_run_loads_the_session_and_appends_what_it_added(sessions: AsyncSessionRepository, style: str) -> None:
    """Tool calls and their results are stored in order, in one append."""
    version = await sessions.append("s", [HumanMessage("hi"), AIMessage("hello")])
    agent = Agent(sessions, TOOL_RUN)
    recorder = watch(sessions, Recorder)
    await agent.run("2 times 4", style=style)
    assert agent.asked[0] == ["hi", "hello", "2 times 4"]
    assert agent.asked[2] == ["hi", "hello", "2 times 4", "calling double", "4", "calling double", "8"]
    assert [operation for operation, _ in recorder.log] == ["get_item", "update_item"]
    assert await stored(sessions) == ["human: hi", "ai: hello", *TOOL_TURN]
    assert (await sessions.read("s")).version == version + 1


@pytest.mark.parametrize("style", ["stream", pytest.param("astream", marks=ASYNC_PARTS)])
async def test_streams_of_messages_do_not_repeat_the_history(sessions: AsyncSessionRepository, style: str) -> None:
    """The user is shown the answer word by word, and nothing that was said before."""
    await sessions.append("s", [HumanMessage("hi"), AIMessage("hello")])
    parts = await Agent(sessions, ["good bye friend"]).run("bye", style=style, stream_mode="messages")
    assert [message.text for message, _ in parts if message.text] == ["good", " bye", " friend"]
    assert await stored(sessions) == ["human: hi", "ai: hello", "human: bye", "ai: good bye friend"]


async def test_several_runs_of_one_agent(sessions: AsyncSessionRepository) -> None:
    """Each run goes on where the one before it ended; the result holds the history too."""
    agent = Agent(sessions, ["one", "two", "three"])
    await agent.run("1")
    await agent.run("2", "other")
    result = await agent.run("3")
    assert agent.asked == [["1"], ["2"], ["1", "one", "3"]]
    assert [message.text for message in result["messages"]] == ["1", "one", "3", "three"]
    assert sorted(result) == ["messages"]


async def test_the_sync_facade_serves_as_well(engine: Any, table_name: str) -> None:
    """Users without asyncio pass their SessionRepository."""
    with SessionRepository(table_name, endpoint_url=engine.endpoint_url) as sessions:
        agent = Agent(sessions, ["hello"])  # type: ignore[arg-type]
        agent.graph.invoke({"messages": [("human", "hi")]}, {"configurable": {"session_id": "s"}})
        assert [message.text for message in sessions.read("s").messages] == ["hi", "hello"]


@pytest.mark.parametrize("style", STYLES)
async def test_a_session_that_another_region_writes(make_repository: RepositoryFactory, style: str) -> None:
    """The model is not asked for an answer that could not be stored: neither at first nor when a thread goes on."""
    here, there = (make_repository(home_region=region) for region in ("eu-central-1", "us-west-2"))
    await here.append("s", [HumanMessage("hi")])
    agent = Agent(there, ["one", "two"], checkpointer=InMemorySaver())
    with pytest.raises(WrongRegionError):
        await agent.run("0", style=style, thread="other")
    await there.take_over("s")
    await agent.run("1", style=style)
    await here.take_over("s")
    with pytest.raises(WrongRegionError):
        await agent.run("2", style=style)
    assert len(agent.asked) == 1
    assert await stored(here) == ["human: hi", "human: 1", "ai: one"]


async def test_the_format_of_langchain_community(make_repository: Any) -> None:
    """Agents can share sessions with applications that are not converted yet."""
    sessions = make_repository(item_format="community")
    agent = Agent(sessions, ["one", "two"])
    await agent.run("1")
    await agent.run("2")
    assert await stored(sessions) == ["human: 1", "ai: one", "human: 2", "ai: two"]


@dataclass
class Found:
    """What a tool of the user's own leaves in its result."""

    place: str


@pytest.mark.parametrize("checkpointer", [False, True])
async def test_results_with_objects(
    sessions: AsyncSessionRepository, monkeypatch: pytest.MonkeyPatch, checkpointer: bool
) -> None:
    """Documents come back as they are, other objects as their data; the next run knows its messages again."""
    monkeypatch.setattr(OBJECTS, "told", {full_name(Found)})
    documents = [Document("text", metadata={"when": dt.date(2026, 1, 2)})]

    @tool(response_format="content_and_artifact")
    def search(query: str) -> tuple[str, Any]:
        """Search."""
        return "found", {"documents": documents, "places": [Found("here")]}

    answer = AIMessage("done", additional_kwargs={"parsed": Found("there")})
    model = ScriptedModel(script=[call("search", query="q"), answer, "again"])
    graph = create_agent(
        model,
        tools=[search],
        middleware=[DynamoDBHistoryMiddleware(sessions)],
        checkpointer=InMemorySaver() if checkpointer else None,
    )
    config: Any = {"configurable": {"session_id": "s", "thread_id": "t"}}
    for text in ("hi", "and now?"):
        await graph.ainvoke({"messages": [("human", text)]}, config)
    assert model.asked[-1] == ["hi", "calling search", "found", "done", "and now?"]
    messages = (await sessions.read("s")).messages
    assert [message.text for message in messages] == [*model.asked[-1], "again"]
    assert messages[2].artifact == {"documents": documents, "places": [{"place": "here"}]}  # type: ignore[attr-defined]
    assert messages[3].additional_kwargs == {"parsed": {"place": "there"}}


async def test_structured_output(sessions: AsyncSessionRepository) -> None:
    """A structured answer is a tool call and its result; both are stored."""

    @dataclass
    class Answer:
        """An answer."""

        number: int

    agent = Agent(sessions, [call("Answer", number=8)], response_format=Answer)
    assert (await agent.run("2 times 4"))["structured_response"] == Answer(8)
    assert [line.partition(":")[0] for line in await stored(sessions)] == ["human", "ai", "tool"]


# --- Runs at once ---


async def test_concurrent_runs_on_one_middleware(sessions: AsyncSessionRepository) -> None:
    """Runs on different sessions know nothing of each other; they all wait in a tool for the last one."""
    runs = 8
    all_here = asyncio.Event()
    waiting: list[str] = []

    async def meet(name: str) -> str:
        """Wait for the others."""
        waiting.append(name)
        if len(waiting) == runs:
            all_here.set()
        await asyncio.wait_for(all_here.wait(), 60)
        return name

    script: list[Any] = [call("meet", name="n") for _ in range(runs)] + ["done"] * runs
    agent = Agent(sessions, script, tools=[meet])
    await asyncio.gather(*(agent.run(f"hi {i}", f"s{i}") for i in range(runs)))
    for i in range(runs):
        assert await stored(sessions, f"s{i}") == [f"human: hi {i}", "ai: calling meet", "tool: n", "ai: done"]


async def test_concurrent_runs_on_one_session(sessions: AsyncSessionRepository) -> None:
    """Nothing is lost, and each turn stays together."""
    agent = Agent(sessions, ["answer"] * 6)
    await asyncio.gather(*(agent.run(f"hi {i}") for i in range(6)))
    lines = await stored(sessions)
    assert sorted(lines[::2]) == [f"human: hi {i}" for i in range(6)]
    assert lines[1::2] == ["ai: answer"] * 6


@pytest.mark.parametrize("style", ["invoke", "ainvoke"])
async def test_if_unchanged(sessions: AsyncSessionRepository, style: str) -> None:
    """On request a run that began on an older state stores nothing, and its caller learns of it."""
    agent = Agent(sessions, ["one", call("interfere"), "two", "three"], tools=[_interfering(sessions)])
    agent.middleware._if_unchanged = True
    await agent.run("1", style=style)
    with pytest.raises(VersionConflictError):
        await agent.run("2", style=style)
    await agent.run("3", style=style)
    assert await stored(sessions) == ["human: 1", "ai: one", "human: interfering", "human: 3", "ai: three"]


async def test_others_may_append_during_a_run(sessions: AsyncSessionRepository) -> None:
    """Without that request the run is stored after what others wrote."""
    agent = Agent(sessions, [call("interfere"), "two"], tools=[_interfering(sessions)])
    await agent.run("1")
    assert await stored(sessions) == [
        "human: interfering",
        "human: 1",
        "ai: calling interfere",
        "tool: done",
        "ai: two",
    ]


def _interfering(sessions: AsyncSessionRepository) -> Any:
    def interfere() -> str:
        """Append from elsewhere."""
        with SessionRepository(sessions.table_name, endpoint_url=sessions._connection.settings.endpoint_url) as other:
            other.append("s", [HumanMessage("interfering")])
        return "done"

    return interfere


# --- Sessions that are to be there ---


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("limit", [None, 0])
@pytest.mark.parametrize("item_format", ["pages", "community"])
async def test_a_run_that_is_not_to_begin_a_session(
    make_repository: Any, style: str, limit: int | None, item_format: str
) -> None:
    """Where there is none the model is not asked; where there is one everything is as ever."""
    sessions = make_repository(item_format=item_format)
    agent = Agent(sessions, ["one"], options={"must_exist": True, "limit": limit})
    with pytest.raises(SessionNotFoundError, match=r"there is no session 's' .*must_exist=False"):
        await agent.run("1", style=style)
    assert (agent.asked, (await sessions.read("s")).version) == ([], 0)
    await sessions.append("s", [HumanMessage("hi")])
    await agent.run("1", style=style)
    assert await stored(sessions) == ["human: hi", "human: 1", "ai: one"]


@pytest.mark.parametrize("checkpointer", [False, True])
@pytest.mark.parametrize("if_unchanged", [False, True])
async def test_a_session_that_is_deleted_during_a_run(
    sessions: AsyncSessionRepository, checkpointer: bool, if_unchanged: bool
) -> None:
    """Nothing is stored then, and no session comes back; a later run on the thread does not ask the model at all."""

    async def delete() -> str:
        """Delete the session."""
        await sessions.delete("s")
        return "done"

    options: dict[str, Any] = {"checkpointer": InMemorySaver()} if checkpointer else {}
    guarded = {"must_exist": True, "if_unchanged": if_unchanged}
    agent = Agent(sessions, ["one", call("delete"), "two", "three"], tools=[delete], options=guarded, **options)
    await sessions.append("s", [HumanMessage("hi")])
    await agent.run("1")
    with pytest.raises(SessionNotFoundError):
        await agent.run("2")
    assert (await sessions.read("s")).version == 0
    with pytest.raises(SessionNotFoundError):
        await agent.run("3")
    assert (len(agent.asked), (await sessions.read("s")).version) == (3, 0)


async def test_a_thread_that_knows_of_no_session(sessions: AsyncSessionRepository) -> None:
    """A run that failed before there was one is no proof that there is one now."""
    checkpointer = InMemorySaver()
    with pytest.raises(RuntimeError):
        await Agent(sessions, [RuntimeError("no")], checkpointer=checkpointer).run("1")
    agent = Agent(sessions, ["two"], options={"must_exist": True}, checkpointer=checkpointer)
    with pytest.raises(SessionNotFoundError):
        await agent.run("2")
    assert (agent.asked, (await sessions.read("s")).version) == ([], 0)


# --- Failures ---


@pytest.mark.parametrize("style", STYLES)
async def test_a_failed_write_reaches_the_caller(sessions: AsyncSessionRepository, style: str) -> None:
    """RunnableWithMessageHistory would log it and go on as if nothing had happened."""
    watch(sessions, Hooked, Failing("update_item"))
    with pytest.raises(StorageError, match="failed for the test"):
        await Agent(sessions, ["hello"]).run("hi", style=style)


@pytest.mark.parametrize("style", ["invoke", "ainvoke"])
async def test_a_failed_read_reaches_the_caller(sessions: AsyncSessionRepository, style: str) -> None:
    """An agent must not answer as if there were no history."""
    watch(sessions, Hooked, Failing("get_item"))
    agent = Agent(sessions, ["hello"])
    with pytest.raises(StorageError, match="failed for the test"):
        await agent.run("hi", style=style)
    assert agent.asked == []


@pytest.mark.parametrize("script", [[RuntimeError("no model")], [call("fail"), "unreachable"]])
async def test_a_failed_run_stores_nothing(sessions: AsyncSessionRepository, script: list[Any]) -> None:
    """Neither the question nor the half of an answer."""
    with pytest.raises(RuntimeError):
        await Agent(sessions, script).run("hi")
    assert await stored(sessions) == []


class Failing:
    """A hook that makes one operation fail, before or after it is done, until it is healed."""

    def __init__(self, operation: str, *, after: bool = False) -> None:
        self.operation = operation
        self.after = after
        self.broken = True

    async def __call__(self, operation: str, request: Mapping[str, Any], proceed: Any) -> dict[str, Any]:
        if not self.broken or operation != self.operation:
            return await proceed()
        if self.after:
            await proceed()
            self.operation = "get_item"  # and now nobody can look
        raise StorageError("failed for the test", outcome_unknown=self.after)


# --- Beside a checkpointer ---


@pytest.mark.parametrize("style", ["invoke", "ainvoke"])
async def test_beside_a_checkpointer(sessions: AsyncSessionRepository, style: str) -> None:
    """The messages of the thread are in the session already: the model sees them once, they are stored once."""
    await sessions.append("s", [HumanMessage("hi"), AIMessage("hello")])  # without ids
    agent = Agent(sessions, ["one", "two", *TOOL_RUN], checkpointer=InMemorySaver())
    for text in ("1", "2", "2 times 4"):
        await agent.run(text, style=style)
    assert agent.asked[1] == ["hi", "hello", "1", "one", "2"]
    before = ["human: hi", "ai: hello", "human: 1", "ai: one", "human: 2", "ai: two"]
    assert await stored(sessions) == [*before, *TOOL_TURN]


async def test_a_thread_that_is_up_to_date_reads_one_item(sessions: AsyncSessionRepository) -> None:
    """And it changes nothing in the thread's messages."""
    agent = Agent(sessions, ["one", "two", "three"], checkpointer=InMemorySaver())
    await agent.run("1")
    await agent.run("2")
    updates = await agent.run("3", style="astream", stream_mode="updates")
    assert "messages" not in updates[0]["DynamoDBHistoryMiddleware.before_agent"]


async def test_what_others_wrote_reaches_the_thread(sessions: AsyncSessionRepository) -> None:
    """The session takes the place of the thread's messages: after appends of others, and after a rewrite."""
    agent = Agent(sessions, ["one", "two", "three"], checkpointer=InMemorySaver())
    await agent.run("1")
    await sessions.append("s", [HumanMessage("elsewhere"), AIMessage("there")])
    await agent.run("2")
    await sessions.truncate("s", keep=2)
    await agent.run("3")
    assert agent.asked[1:] == [["1", "one", "elsewhere", "there", "2"], ["1", "one", "3"]]
    assert await stored(sessions) == ["human: 1", "ai: one", "human: 3", "ai: three"]


@pytest.mark.parametrize("runs", [1, 2])
@pytest.mark.parametrize("style", ["invoke", "ainvoke"])
async def test_a_deletion_reaches_the_thread(sessions: AsyncSessionRepository, style: str, runs: int) -> None:
    """However many runs were stored before: the model sees nothing of what was deleted, and no question is lost."""
    agent = Agent(sessions, ["one", "two", "three"], checkpointer=InMemorySaver())
    for number in range(runs):
        await agent.run(str(number))
    [question, *_] = (await sessions.read("s")).messages
    await sessions.delete("s")
    with pytest.raises(InvalidInputError, match="nothing to answer"):
        await agent.run({"messages": [question]}, style=style)
    await agent.run("new", style=style)
    assert agent.asked[runs:] == [["new"]]
    assert (await stored(sessions))[0] == "human: new"


@pytest.mark.parametrize("known_by", ["b", None])
async def test_an_answer_that_was_exchanged_reaches_the_thread(
    sessions: AsyncSessionRepository, known_by: str | None
) -> None:
    """As many messages as before, but another last one."""
    agent = Agent(sessions, ["one", "two"], checkpointer=InMemorySaver())
    await agent.run("1")
    await sessions.truncate("s", keep=1)
    await sessions.append("s", [AIMessage("better", id=known_by)])
    await agent.run("2")
    assert agent.asked[1] == ["1", "better", "2"]


@pytest.mark.parametrize("item_format", ["pages", "community"])
@pytest.mark.parametrize("runs", [1, 3])
async def test_an_edited_earlier_message_reaches_the_thread(make_repository: Any, item_format: str, runs: int) -> None:
    """As many messages with the same ids, but one says something else."""
    sessions = make_repository(item_format=item_format)
    agent = Agent(sessions, [f"answer {i}" for i in range(runs + 1)], checkpointer=InMemorySaver())
    for i in range(runs):
        await agent.run(f"question {i}")
    first, *others = (await sessions.read("s")).messages
    await sessions.replace("s", [first.model_copy(update={"content": "edited"}), *others])
    await agent.run("next")
    assert agent.asked[-1] == ["edited", *[message.text for message in others], "next"]
    assert (await stored(sessions))[0] == "human: edited"


@pytest.mark.parametrize(("limit", "place"), [(None, 0), (None, 1), (3, 2), (4, 1)])
async def test_an_exchanged_earlier_message_reaches_the_thread(
    sessions: AsyncSessionRepository, limit: int | None, place: int
) -> None:
    """As many messages, the last one the same, but one of them is another."""
    agent = Agent(sessions, ["one", "two", "three"], options={"limit": limit}, checkpointer=InMemorySaver())
    await agent.run("1")
    await agent.run("2")
    messages = (await sessions.read("s")).messages
    messages[place] = HumanMessage("another", id="x")
    await sessions.replace("s", messages)
    await agent.run("3")
    begin = 4 - (limit or 4) + (limit == 3)  # at a human message
    assert agent.asked[-1] == [message.text for message in messages[begin:]] + ["3"]


@pytest.mark.parametrize("summarised", [False, True])
async def test_an_edit_of_what_the_thread_no_longer_has(sessions: AsyncSessionRepository, summarised: bool) -> None:
    """As documented: messages that are in a summary only are not compared, so the summary stays."""
    after = [summarizing()] if summarised else []
    agent = Agent(sessions, ["one", "two", "three", "four"], after=after, checkpointer=InMemorySaver())
    for text in ("1", "2", "3"):
        await agent.run(text)
    first, *others = (await sessions.read("s")).messages
    await sessions.replace("s", [first.model_copy(update={"content": "edited"}), *others])
    await agent.run("4")
    assert ("edited" in agent.asked[-1]) == (not summarised)


async def test_what_others_wrote_during_a_run_reaches_the_thread_with_the_next(
    sessions: AsyncSessionRepository,
) -> None:
    """A run that was stored after others' messages has not seen them."""
    script = [call("interfere"), "one", "two"]
    agent = Agent(sessions, script, tools=[_interfering(sessions)], checkpointer=InMemorySaver())
    await agent.run("1")
    await agent.run("2")
    assert agent.asked[2] == ["interfering", "1", "calling interfere", "done", "one", "2"]


@pytest.mark.parametrize(("first", "second"), [("h", "a"), ("h", None), (None, "a"), (None, None)])
@pytest.mark.parametrize("style", ["ainvoke", pytest.param("astream", marks=ASYNC_PARTS)])
async def test_metadata_does_not_disturb_a_thread(
    sessions: AsyncSessionRepository, style: str, first: str | None, second: str | None
) -> None:
    """A new title changes the version, but no message."""
    await sessions.append("s", [HumanMessage("hi", id=first), AIMessage("hello", id=second)])
    agent = Agent(sessions, ["one", "two"], checkpointer=InMemorySaver())
    await agent.run("1", style=style, **({"stream_mode": "messages"} if style == "astream" else {}))
    await sessions.update_metadata("s", {"title": "t"})
    updates = await agent.run("2", style="astream", stream_mode="updates")
    assert "messages" not in updates[0]["DynamoDBHistoryMiddleware.before_agent"]
    assert await stored(sessions) == ["human: hi", "ai: hello", "human: 1", "ai: one", "human: 2", "ai: two"]


async def test_a_thread_that_changes_its_session(sessions: AsyncSessionRepository) -> None:
    """Nothing of one session gets into another, not even what a failed run left."""
    agent = Agent(sessions, ["one", RuntimeError("no"), "three"], checkpointer=InMemorySaver())
    await agent.run("1")
    with pytest.raises(RuntimeError):
        await agent.run("secret")
    await agent.run("3", "other")
    assert agent.asked[2] == ["3"]
    assert await stored(sessions, "other") == ["human: 3", "ai: three"]


async def test_a_failed_run_that_goes_on_is_stored_once(sessions: AsyncSessionRepository) -> None:
    """The checkpointer keeps what the run had; it is stored when the run ends."""
    agent = Agent(sessions, [call("double", number=2), RuntimeError("no"), "it is 4"], checkpointer=InMemorySaver())
    with pytest.raises(RuntimeError):
        await agent.run("2 times 2")
    assert await stored(sessions) == []
    await agent.graph.ainvoke(None, {"configurable": {"session_id": "s", "thread_id": "t"}})
    assert await stored(sessions) == ["human: 2 times 2", "ai: calling double", "tool: 4", "ai: it is 4"]


async def test_a_failed_run_that_is_followed_by_another(sessions: AsyncSessionRepository) -> None:
    """The thread still holds the question without an answer, so the session gets it too."""
    agent = Agent(sessions, ["one", RuntimeError("no"), "three", "four"], checkpointer=InMemorySaver())
    await agent.run("1")
    with pytest.raises(RuntimeError):
        await agent.run("2")
    await agent.run("3")
    await agent.run("4")
    assert agent.asked[3] == ["1", "one", "2", "3", "three", "4"]
    assert [line.partition(" ")[2] for line in await stored(sessions)] == [*agent.asked[3], "four"]


@pytest.mark.parametrize("after", [False, True], ids=["not stored", "stored, response lost"])
async def test_a_failed_append_is_repeated_exactly(sessions: AsyncSessionRepository, after: bool) -> None:
    """Resuming the graph repeats the append alone, and stores each message once."""
    agent = Agent(sessions, ["one"], checkpointer=InMemorySaver())
    failing = Failing("update_item", after=after)
    watch(sessions, Hooked, failing)
    with pytest.raises(OutcomeUnknownError if after else StorageError):
        await agent.run("1")
    failing.broken = False
    await agent.graph.ainvoke(None, {"configurable": {"session_id": "s", "thread_id": "t"}})
    assert await stored(sessions) == ["human: 1", "ai: one"]
    assert len(agent.asked) == 1


async def test_a_failed_append_is_made_good_by_the_next_run(sessions: AsyncSessionRepository) -> None:
    """With a conflict too: the thread has the messages, and then those that others wrote meanwhile."""
    script = [call("interfere"), "two", "three"]
    agent = Agent(
        sessions,
        script,
        tools=[_interfering(sessions)],
        checkpointer=InMemorySaver(),
        options={"if_unchanged": True},
    )
    with pytest.raises(VersionConflictError):
        await agent.run("1")
    assert await stored(sessions) == ["human: interfering"]
    await agent.run("3")
    assert agent.asked[-1] == ["interfering", "1", "calling interfere", "done", "two", "3"]
    assert [line.partition(" ")[2] for line in await stored(sessions)] == [*agent.asked[-1], "three"]


async def test_a_repeated_append_does_not_bring_back_what_was_removed(sessions: AsyncSessionRepository) -> None:
    """Its idempotency key says that it was done, even where the messages are gone."""
    agent = Agent(sessions, ["one"], checkpointer=InMemorySaver())
    await sessions.append("s", [HumanMessage("hi")])
    failing = Failing("update_item", after=True)
    watch(sessions, Hooked, failing)
    with pytest.raises(OutcomeUnknownError):
        await agent.run("1")
    failing.broken = False
    await sessions.truncate("s", keep=1)
    await agent.graph.ainvoke(None, {"configurable": {"session_id": "s", "thread_id": "t"}})
    assert await stored(sessions) == ["human: hi"]


@pytest.mark.parametrize("limit", [None, 2])
@pytest.mark.parametrize("style", ["invoke", "ainvoke"])
async def test_a_question_that_was_cut_off_is_sent_again(
    sessions: AsyncSessionRepository, style: str, limit: int | None
) -> None:
    """In its thread that is no new message: the run is refused, rather than answered without its question."""
    agent = Agent(sessions, ["one", "two", "three"], checkpointer=InMemorySaver(), options={"limit": limit})
    await agent.run("1")
    await agent.run("2")
    question = (await sessions.read("s")).messages[2]
    await sessions.truncate("s", keep=2)
    with pytest.raises(InvalidInputError, match="nothing to answer: session 's' was cut off or deleted"):
        await agent.run({"messages": [question]}, style=style)
    assert (await stored(sessions), len(agent.asked)) == (["human: 1", "ai: one"], 2)
    await agent.run({"messages": [question.model_copy(update={"id": "new"})]}, style=style)
    assert await stored(sessions) == ["human: 1", "ai: one", "human: 2", "ai: three"]


@pytest.mark.parametrize("checkpointer", [False, True])
@pytest.mark.parametrize("style", ["invoke", "ainvoke"])
async def test_another_answer(sessions: AsyncSessionRepository, style: str, checkpointer: bool) -> None:
    """To the last question, which stays: the old answer is cut off, and a run without input gives a new one."""
    agent = Agent(sessions, ["one", "two", "another two"], checkpointer=InMemorySaver() if checkpointer else None)
    await agent.run("1")
    await agent.run("2")
    await sessions.truncate("s", keep=3)
    await agent.run({"messages": []}, style=style)
    assert agent.asked[-1] == ["1", "one", "2"]
    assert await stored(sessions) == ["human: 1", "ai: one", "human: 2", "ai: another two"]


async def test_another_answer_within_a_turn_above_the_limit(sessions: AsyncSessionRepository) -> None:
    """The run is refused, since the model would see nothing, and the error names the limit."""
    agent = Agent(sessions, list(TOOL_RUN), checkpointer=InMemorySaver(), options={"limit": 2})
    await agent.run("2 times 4")
    await sessions.truncate("s", keep=5)
    with pytest.raises(InvalidInputError, match="limit=2 shows the model nothing of the last turn of session 's'"):
        await agent.run({"messages": []})
    assert (await stored(sessions), len(agent.asked)) == (TOOL_TURN[:5], 3)


@pytest.mark.parametrize("others", [0, LOOK_BACK + 10], ids=["at once", "after many others"])
async def test_going_back_to_a_checkpoint_stores_no_message_twice(
    sessions: AsyncSessionRepository, others: int
) -> None:
    """Another answer to a question that is stored already: only the answer is new."""
    agent = Agent(sessions, ["one", "another one"], checkpointer=InMemorySaver())
    await agent.run("1")
    if others:
        await sessions.append("s", [HumanMessage(str(i)) for i in range(others)])
    config = {"configurable": {"session_id": "s", "thread_id": "t"}}
    checkpoints = [state async for state in agent.graph.aget_state_history(config)]
    before_model = next(state for state in checkpoints if state.next == ("model",))
    await agent.graph.ainvoke(None, before_model.config)
    lines = await stored(sessions)
    assert [lines[0], lines[1], lines[-1], len(lines)] == ["human: 1", "ai: one", "ai: another one", 3 + others]


@pytest.mark.parametrize("style", ["invoke", pytest.param("ainvoke", marks=ASYNC_PARTS)])
async def test_an_interrupted_run_is_stored_when_it_ends(sessions: AsyncSessionRepository, style: str) -> None:
    """With what came of the human's decision."""
    human = HumanInTheLoopMiddleware({"double": {"allowed_decisions": ["approve", "edit", "reject"]}})
    agent = Agent(sessions, [call("double", number=2), "it is 10"], after=[human], checkpointer=InMemorySaver())
    await agent.run("2 times 2", style=style)
    assert await stored(sessions) == []
    edited = {"type": "edit", "edited_action": {"name": "double", "args": {"number": 5}}}
    await agent.run(Command(resume={"decisions": [edited]}), style=style)
    lines = await stored(sessions)
    assert [*lines[:2], lines[2].endswith("10"), *lines[3:]] == [
        "human: 2 times 2",
        "ai: calling double",
        True,
        "ai: it is 10",
    ]


# --- Beside other middleware ---


class Trim(AgentMiddleware[Any, Any]):
    """Keeps only the last message, before or after each call of the model."""

    def __init__(self, when: str) -> None:
        super().__init__()
        self.when = when

    def before_model(self, state: Any, runtime: Any) -> dict[str, Any] | None:
        """Trim."""
        return self._trim(state) if self.when == "before" else None

    def after_model(self, state: Any, runtime: Any) -> dict[str, Any] | None:
        """Trim."""
        return self._trim(state) if self.when == "after" else None

    def _trim(self, state: Any) -> dict[str, Any]:
        return {"messages": [RemoveMessage(id=message.id) for message in state["messages"][:-1]]}


@pytest.mark.parametrize("when", ["before", "after"])
async def test_messages_that_others_remove_stay_stored(sessions: AsyncSessionRepository, when: str) -> None:
    """What is removed from the agent's state was said all the same."""
    agent = Agent(sessions, [*TOOL_RUN, "fine"], after=[Trim(when)])
    await agent.run("2 times 4")
    await agent.run("thanks")
    assert await stored(sessions) == [*TOOL_TURN, "human: thanks", "ai: fine"]


class Redact(AgentMiddleware[Any, Any]):
    """Exchanges the last message, under its id."""

    def before_model(self, state: Any, runtime: Any) -> dict[str, Any]:
        """Redact."""
        message = state["messages"][-1]
        return {"messages": [message.model_copy(update={"content": message.text.replace("secret", "***")})]}


async def test_a_redacted_message_is_stored_redacted(sessions: AsyncSessionRepository) -> None:
    """The last form of a message counts."""
    await Agent(sessions, ["fine"], after=[Redact()]).run("a secret")
    assert await stored(sessions) == ["human: a ***", "ai: fine"]


# --- Where it does not stand first ---


def summarizing() -> Any:
    """Middleware that exchanges all but the last messages for a summary."""
    return SummarizationMiddleware(
        FakeListChatModel(responses=["a summary"]), trigger=("messages", 4), keep=("messages", 1)
    )


@pytest.mark.parametrize("checkpointer", [False, True])
@pytest.mark.parametrize("place", ["before", "between", "after"])
async def test_summarising_middleware_may_stand_anywhere(
    sessions: AsyncSessionRepository, place: str, checkpointer: bool
) -> None:
    """Every message is stored once and no summary, whichever of the two looks at the messages first."""
    await sessions.append("s", [HumanMessage("hi"), AIMessage("hello")])
    around: dict[str, Any] = {
        "before": {"before": [summarizing()]},
        "between": {"before": [Redact()], "after": [summarizing()]},
        "after": {"after": [summarizing()]},
    }
    options = {"checkpointer": InMemorySaver()} if checkpointer else {}
    agent = Agent(sessions, [*TOOL_RUN, "fine"], **around[place], **options)
    await agent.run("2 times 4")
    assert any("a summary" in text for text in agent.asked[2])
    await agent.run("thanks")
    assert await stored(sessions) == ["human: hi", "ai: hello", *TOOL_TURN, "human: thanks", "ai: fine"]


@pytest.mark.parametrize("place", ["before", "after", "both"])
async def test_middleware_that_exchanges_messages_may_stand_anywhere(
    sessions: AsyncSessionRepository, place: str
) -> None:
    """The last form counts."""
    around: dict[str, Any] = {side: [Redact()] for side in ("before", "after") if place in (side, "both")}
    if place == "both":
        around["after"] = [Trim("after")]
    await Agent(sessions, [call("double", number=2), "fine"], **around).run("a secret")
    assert await stored(sessions) == ["human: a ***", "ai: calling double", "tool: 4", "ai: fine"]


@pytest.mark.parametrize("style", ["invoke", "ainvoke"])
async def test_middleware_before_that_takes_a_call_away(sessions: AsyncSessionRepository, style: str) -> None:
    """A result without its call, which model providers refuse, is not stored: the error says where to stand."""
    agent = Agent(sessions, TOOL_RUN, before=[Trim("before")])
    with pytest.raises(SettingsError, match=r"'c1' was removed .* put DynamoDBHistoryMiddleware first"):
        await agent.run("2 times 4", style=style)
    assert await stored(sessions) == []


async def test_middleware_before_that_takes_other_messages_away(sessions: AsyncSessionRepository) -> None:
    """Without tools there is nothing that is not seen in time."""
    agent = Agent(sessions, ["one", "two"], before=[Trim("before")], checkpointer=InMemorySaver())
    await agent.run("1")
    await agent.run("2")
    assert agent.asked == [["1"], ["2"]]
    assert await stored(sessions) == ["human: 1", "ai: one", "human: 2", "ai: two"]


class Block(AgentMiddleware[Any, Any]):
    """Ends the run before the model is asked."""

    @hook_config(can_jump_to=["end"])
    def before_agent(self, state: Any, runtime: Any) -> dict[str, Any]:
        """Block."""
        return {"messages": [AIMessage("blocked")], "jump_to": "end"}


class BlockLater(AgentMiddleware[Any, Any]):
    """The same, but when all middleware has begun."""

    @hook_config(can_jump_to=["end"])
    def before_model(self, state: Any, runtime: Any) -> dict[str, Any]:
        """Block."""
        return {"messages": [AIMessage("blocked")], "jump_to": "end"}


@pytest.mark.parametrize("others", [{"after": [Block()]}, {"after": [BlockLater()]}, {"before": [BlockLater()]}])
async def test_a_run_that_jumps_to_its_end(sessions: AsyncSessionRepository, others: Any) -> None:
    """It is stored as it is."""
    await Agent(sessions, [], **others).run("hi")
    assert await stored(sessions) == ["human: hi", "ai: blocked"]


async def test_a_run_that_ends_before_the_history_is_loaded(sessions: AsyncSessionRepository) -> None:
    """Middleware that stands before this one, and refuses a run, keeps it out of the history."""
    await Agent(sessions, [], before=[Block()]).run("hi")
    assert await stored(sessions) == []


async def test_a_run_that_ended_before_is_in_its_thread(sessions: AsyncSessionRepository) -> None:
    """As documented: what a checkpointer's thread holds of it is stored with the next run, since the model sees it."""
    checkpointer = InMemorySaver()
    await Agent(sessions, [], before=[Block()], checkpointer=checkpointer).run("hi")
    assert await stored(sessions) == []
    agent = Agent(sessions, ["hello"], checkpointer=checkpointer)
    await agent.run("hi again")
    assert agent.asked == [["hi", "blocked", "hi again"]]
    assert await stored(sessions) == ["human: hi", "ai: blocked", "human: hi again", "ai: hello"]


class Again(AgentMiddleware[Any, Any]):
    """Sends the agent back to the model once."""

    @hook_config(can_jump_to=["model"])
    def after_agent(self, state: Any, runtime: Any) -> dict[str, Any] | None:
        """Jump."""
        if state["messages"][-1].text != "once":
            return None
        return {"messages": [HumanMessage("again")], "jump_to": "model"}


@pytest.mark.parametrize("place", ["before", "after"])
async def test_a_run_that_jumps_back_to_the_model(sessions: AsyncSessionRepository, place: str) -> None:
    """Each message is stored once, even where the jump comes after the append."""
    placed: Any = {place: [Again()]}
    await Agent(sessions, ["once", "twice"], **placed).run("hi")
    assert await stored(sessions) == ["human: hi", "ai: once", "human: again", "ai: twice"]


# --- Messages that come again ---


@pytest.mark.parametrize("limit", [None, 2])
async def test_a_caller_that_sends_the_whole_conversation(sessions: AsyncSessionRepository, limit: int | None) -> None:
    """Messages are recognised by their ids, also those before the window."""
    conversation: list[BaseMessage] = [HumanMessage("1", id="h1"), AIMessage("one", id="a1")]
    conversation += [HumanMessage("2", id="h2"), AIMessage("two", id="a2")]
    await sessions.append("s", conversation)
    agent = Agent(sessions, ["three"], options={"limit": limit})
    await agent.run({"messages": [*conversation, HumanMessage("3", id="h3")]})
    assert agent.asked == [["1", "one", "2", "two", "3"] if limit is None else ["2", "two", "3"]]
    assert await stored(sessions) == ["human: 1", "ai: one", "human: 2", "ai: two", "human: 3", "ai: three"]


REQUESTS_OF_A_NEW_MESSAGE = ["get_item", "update_item"]


@pytest.mark.parametrize("limit", [0, 1])
@pytest.mark.parametrize("other", [False, True], ids=["the same process", "another process"])
async def test_a_message_that_is_sent_again(make_repository: Any, limit: int, other: bool) -> None:
    """A single one, which the loaded messages do not hold: the append notices. A new message pays nothing for that."""
    sessions = make_repository()
    agent = Agent(sessions, ["one", "another one"], options={"limit": limit})
    question = HumanMessage("1", id="h1")
    recorder = watch(sessions, Recorder)
    await agent.run({"messages": [question]})
    assert [operation for operation, _ in recorder.log] == REQUESTS_OF_A_NEW_MESSAGE
    again = make_repository() if other else sessions
    await Agent(again, ["another one"], options={"limit": limit}).run({"messages": [question]})
    assert await stored(sessions) == ["human: 1", "ai: one", "ai: another one"]


async def test_a_message_that_is_sent_again_if_unchanged(sessions: AsyncSessionRepository) -> None:
    """It is no conflict as long as nobody changed the session during the run; else it is."""
    options = {"limit": 0, "if_unchanged": True}
    agent = Agent(sessions, ["one", "two", call("interfere"), "three"], tools=[_interfering(sessions)], options=options)
    question: dict[str, Any] = {"messages": [HumanMessage("1", id="h1")]}
    await agent.run(question)
    await agent.run(question)
    with pytest.raises(VersionConflictError):
        await agent.run(question)
    assert await stored(sessions) == ["human: 1", "ai: one", "ai: two", "human: interfering"]


async def test_a_message_that_began_a_large_append_is_sent_again(sessions: AsyncSessionRepository) -> None:
    """It is found among more messages than are looked through otherwise."""
    first: list[BaseMessage] = [HumanMessage(f"{i}", id=f"h{i}") for i in range(LOOK_BACK + 20)]
    await Agent(sessions, ["one"], options={"limit": 0}).run({"messages": first})
    await Agent(sessions, ["another one"], options={"limit": 0}).run({"messages": first[:1]})
    lines = await stored(sessions)
    assert [lines[0], *lines[-2:], len(lines)] == ["human: 0", "ai: one", "ai: another one", LOOK_BACK + 22]


async def test_a_message_that_was_removed_is_sent_again(sessions: AsyncSessionRepository) -> None:
    """It is a message like any other then: an application may remove a turn and ask the same again."""
    agent = Agent(sessions, ["one", "another one"])
    question: dict[str, Any] = {"messages": [HumanMessage("1", id="h1")]}
    await agent.run(question)
    await sessions.truncate("s", keep=0)
    await agent.run(question)
    assert await stored(sessions) == ["human: 1", "ai: another one"]


@pytest.mark.parametrize("style", ["ainvoke", "invoke"])
async def test_an_encrypted_session(make_repository: RepositoryFactory, style: str) -> None:
    """An agent's history and its tools' results are encrypted; one without the key is told, and says nothing."""
    sealed = make_repository(encryption=LocalKeyring(bytes(32)))
    agent = Agent(sealed, [call("double", number=21), "a secret 42"])
    await agent.run("my secret", style=style)
    assert await stored(sealed) == ["human: my secret", "ai: calling double", "tool: 42", "ai: a secret 42"]
    assert b"secret" not in repr(await scan(sealed)).encode()
    with pytest.raises(MissingKeyError):
        await Agent(make_repository(), ["never said"]).run("hello", style=style)
    assert len(await stored(sealed)) == 4


LONG_AGO = [HumanMessage("long ago", id="h0"), AIMessage("hello", id="a0")]


@pytest.mark.parametrize("limit", [0, 2])
async def test_a_message_of_long_ago_is_sent_again(sessions: AsyncSessionRepository, limit: int) -> None:
    """As documented: it is recognised on request only, which costs a read of the whole session."""
    await sessions.append("s", LONG_AGO)
    await sessions.append("s", many(400), idempotency_key="others")
    question: dict[str, Any] = {"messages": LONG_AGO[:1]}
    agent = Agent(sessions, ["again"], options={"limit": limit, "recognise_all": True})
    recorder = watch(sessions, Recorder)
    await agent.run(question)
    looks = [operation for operation, _ in recorder.log]
    pages = ["get_item", "get_item", "get_item"] if limit else ["get_item", "batch_get_item"]  # two at once
    assert looks == ["get_item", *pages, "update_item"]
    assert agent.asked[0][-1] == "long ago"
    assert (await stored(sessions)).count("human: long ago") == 1

    await Agent(sessions, ["again"], options={"limit": limit}).run(question)
    texts = [message.text for message in (await sessions.read("s")).messages]
    assert texts.count("long ago") == 2


async def test_recognise_all_costs_nothing_where_the_window_is_the_session(sessions: AsyncSessionRepository) -> None:
    """Or where the window holds the input."""
    agent = Agent(sessions, ["one", "two", "three"], options={"limit": 4, "recognise_all": True})
    recorder = watch(sessions, Recorder)
    for again in range(3):
        recorder.log.clear()
        await agent.run({"messages": [HumanMessage("1", id="h1")] if again else []})
        assert [operation for operation, _ in recorder.log] == REQUESTS_OF_A_NEW_MESSAGE
    assert await stored(sessions) == ["ai: one", "human: 1", "ai: two", "ai: three"]


@pytest.mark.parametrize("limit", [None, 0])
async def test_a_message_that_left_the_thread_is_sent_again(
    sessions: AsyncSessionRepository, limit: int | None
) -> None:
    """Beside a checkpointer, middleware may have taken it out of the thread's messages long before."""
    options = {"limit": limit, "recognise_all": True}
    script = ["one", "two", "three", "another one"]
    agent = Agent(sessions, script, after=[Trim("before")], options=options, checkpointer=InMemorySaver())
    for text in ("1", "2", "3", "1"):
        await agent.run({"messages": [HumanMessage(text, id=f"h{text}")]})
        if text == "3":
            await sessions.append("s", many(400))
            await sessions.truncate("s", keep=6)
    assert agent.asked[3] == ["1"]
    assert [line.partition(" ")[2] for line in await stored(sessions)] == [
        *("1", "one", "2", "two", "3", "three"),
        "another one",
    ]


async def test_a_thread_that_is_older_than_the_middleware(sessions: AsyncSessionRepository) -> None:
    """Its messages become the beginning of a new session."""
    checkpointer = InMemorySaver()
    agent = Agent(sessions, ["one", "two"], checkpointer=checkpointer)
    config = {"configurable": {"session_id": "s", "thread_id": "t"}}
    await agent.graph.aupdate_state(config, {"messages": [HumanMessage("old"), AIMessage("very")]}, as_node="model")
    await agent.run("1")
    assert await stored(sessions) == ["human: old", "ai: very", "human: 1", "ai: one"]


# --- Windows ---


async def test_a_window(sessions: AsyncSessionRepository) -> None:
    """The agent gets the newest messages, beginning with a human one; all of them stay stored."""
    agent = Agent(sessions, [*TOOL_RUN, "fine", "good"], options={"limit": 3})
    await agent.run("2 times 4")
    await agent.run("thanks")
    await agent.run("bye")
    assert agent.asked[3:] == [["thanks"], ["thanks", "fine", "bye"]]
    assert await stored(sessions) == [*TOOL_TURN, "human: thanks", "ai: fine", "human: bye", "ai: good"]


@pytest.mark.parametrize("style", ["invoke", "ainvoke"])
@pytest.mark.parametrize("checkpointer", [False, True])
@pytest.mark.parametrize("limit", [1, 2, 3, 5, 7, 50])
async def test_no_window_is_refused(
    sessions: AsyncSessionRepository, style: str, checkpointer: bool, limit: int
) -> None:
    """Whatever the limit, a strict model accepts every turn, and each message is stored once."""
    options = {"checkpointer": InMemorySaver()} if checkpointer else {}
    agent = Agent(sessions, model=StrictModel(), options={"limit": limit}, **options)
    expected: list[str] = []
    for i in range(4):
        agent.model.script += [call("double", f"c{i}", number=i)] if i % 2 else []
        await agent.run(f"q{i}", style=style)
        tools = ["ai: calling double", f"tool: {2 * i}"] if i % 2 else []
        expected += [f"human: q{i}", *tools, "ai: ok"]
    assert await stored(sessions) == expected
    assert max(map(len, agent.asked)) <= (12 if checkpointer else limit + 3)


@pytest.mark.parametrize("limit", [None, 50])
async def test_a_session_that_others_have_cut(make_repository: Any, limit: int | None) -> None:
    """What `history_size` has dropped for good may begin with an answer, though no window leaves anything out."""
    sessions = make_repository(sizes=SMALL)
    begins = "human"
    while begins == "human":
        for message in (HumanMessage("q"), AIMessage(human(90).content)):
            await sessions.history("s", history_size=3).aadd_messages([message])
        begins = (await sessions.read("s")).messages[0].type
    agent = Agent(sessions, model=StrictModel(), options={"limit": limit})
    await agent.run("hi")
    assert agent.asked[0][0] == "q"


async def test_a_greeting_is_given_as_it_is(sessions: AsyncSessionRepository) -> None:
    """A whole session is not cut, so its first message is given whatever it is."""
    await sessions.append("s", [AIMessage("how can I help?")])
    agent = Agent(sessions, ["one", "two"], options={"limit": 3})
    await agent.run("1")
    await agent.run("2")
    assert agent.asked == [["how can I help?", "1"], ["how can I help?", "1", "one", "2"]]


async def test_a_window_below_a_turn_is_no_change(sessions: AsyncSessionRepository) -> None:
    """Beside a checkpointer: the window holds no human message of the last turn, but the thread keeps all of it."""
    agent = Agent(sessions, [*TOOL_RUN, "fine"], options={"limit": 2}, checkpointer=InMemorySaver())
    await agent.run("2 times 4")
    updates = await agent.run("thanks", style="astream", stream_mode="updates")
    assert "messages" not in updates[0]["DynamoDBHistoryMiddleware.before_agent"]
    assert agent.asked[3] == [line.partition(" ")[2] for line in [*TOOL_TURN, "human: thanks"]]
    assert await stored(sessions) == [*TOOL_TURN, "human: thanks", "ai: fine"]


# --- Calls that nobody answered ---

NOTHING_CAME = "This call has no result: the conversation went on without one. Whether the tool ran is not known."


def asking_for_approval(sessions: AsyncSessionRepository, **options: Any) -> Agent:
    """An agent that wants a human to approve a call."""
    human = HumanInTheLoopMiddleware({"double": {"allowed_decisions": ["approve", "edit", "reject"]}})
    model = StrictModel(script=[call("double", number=2)])
    return Agent(sessions, model=model, after=[human], checkpointer=InMemorySaver(), **options)


@pytest.mark.parametrize("limit", [None, 2])
@pytest.mark.parametrize("style", ["invoke", pytest.param("ainvoke", marks=ASYNC_PARTS)])
async def test_something_else_is_said_instead_of_a_decision(
    sessions: AsyncSessionRepository, style: str, limit: int | None
) -> None:
    """The call never gets its result: strict models want one, and the session says so too."""
    agent = asking_for_approval(sessions, options={"limit": limit})
    await agent.run("please double", style=style)
    await agent.run("forget it, how are you?", style=style)
    await agent.run("hello?", style=style)
    lines = ["human: please double", "ai: calling double", f"tool: {NOTHING_CAME}"]
    lines += ["human: forget it, how are you?", "ai: ok", "human: hello?", "ai: ok"]
    assert await stored(sessions) == lines
    assert refusal((await sessions.read("s")).messages) is None
    await Agent(sessions, model=StrictModel()).run("from another thread")


@pytest.mark.parametrize("style", ["invoke", pytest.param("ainvoke", marks=ASYNC_PARTS)])
async def test_a_decision_after_all(sessions: AsyncSessionRepository, style: str) -> None:
    """An interrupted run that goes on gets the result of its tool, and nothing that stands in for it."""
    await sessions.append("s", [HumanMessage("hi"), AIMessage("hello")])
    agent = asking_for_approval(sessions)
    await agent.run("please double", style=style)
    await agent.run(Command(resume={"decisions": [{"type": "approve"}]}), style=style)
    lines = ["human: hi", "ai: hello", "human: please double", "ai: calling double", "tool: 4", "ai: ok"]
    assert await stored(sessions) == lines


UNANSWERED: dict[str, list[BaseMessage]] = {
    "at the end": [HumanMessage("pay"), call("double", "p1", number=1)],
    "one of two": [
        HumanMessage("pay"),
        AIMessage("", tool_calls=[{"name": "double", "args": {}, "id": id} for id in ("p1", "p2")]),
        ToolMessage("2", tool_call_id="p1"),
    ],
    "in the middle": [HumanMessage("pay"), call("double", "p1", number=1), HumanMessage("hello?"), AIMessage("hi")],
    "bad arguments": [
        HumanMessage("pay"),
        AIMessage("", invalid_tool_calls=[InvalidToolCall(name="double", args="{", id="p1", error="cut off")]),  # type: ignore[typeddict-item]
    ],
    "a result without its call": [HumanMessage("pay"), ToolMessage("2", tool_call_id="p1"), AIMessage("hi")],
    "a late result": [
        *[HumanMessage("pay"), call("double", "p1", number=1), HumanMessage("hello?"), AIMessage("hi")],
        ToolMessage("2", tool_call_id="p1"),
    ],
}


@pytest.mark.parametrize("name", UNANSWERED)
@pytest.mark.parametrize("checkpointer", [False, True])
@pytest.mark.parametrize("given", [{"messages": [("human", "hello?")]}, {"messages": []}], ids=["input", "no input"])
async def test_a_session_with_calls_that_nobody_answered(
    sessions: AsyncSessionRepository, name: str, checkpointer: bool, given: Any
) -> None:
    """Its process died, or it was truncated there: models get it well-formed, and it is stored as it was."""
    before = UNANSWERED[name]
    await sessions.append("s", before)
    options = {"checkpointer": InMemorySaver()} if checkpointer else {}
    agent = Agent(sessions, model=StrictModel(), **options)
    for _ in range(3):
        await agent.run(given)
    added = ["human: hello?", "ai: ok"] if given["messages"] else ["ai: ok"]
    assert await stored(sessions) == [f"{message.type}: {message.text}" for message in before] + 3 * added


async def test_the_result_of_a_call_comes_as_input(sessions: AsyncSessionRepository) -> None:
    """A client that runs the tool itself sends its result: that is the result, though the call was stored long ago."""
    await sessions.append("s", [HumanMessage("2 times 2"), call("double", number=2)])
    agent = Agent(sessions, model=StrictModel())
    await agent.run({"messages": [ToolMessage("4", tool_call_id="c1")]})
    assert agent.asked == [["2 times 2", "calling double", "4"]]
    assert await stored(sessions) == ["human: 2 times 2", "ai: calling double", "tool: 4", "ai: ok"]


@ASYNC_PARTS
async def test_the_result_of_a_call_comes_late(sessions: AsyncSessionRepository) -> None:
    """Then the model sees it in the place of what stood in for it; the session keeps the order of what came."""
    agent = asking_for_approval(sessions)
    await agent.run("please double")
    await agent.run("hello?")
    await agent.run({"messages": [ToolMessage("4", tool_call_id="c1")]})
    await Agent(sessions, model=(model := StrictModel())).run("well?")
    assert model.asked == [["please double", "calling double", "4", "hello?", "ok", "ok", "well?"]]
    assert (await stored(sessions))[2:6] == [f"tool: {NOTHING_CAME}", "human: hello?", "ai: ok", "tool: 4"]


@ASYNC_PARTS
async def test_a_record_leaves_the_thread_alone(sessions: AsyncSessionRepository) -> None:
    """With limit=0 nothing is put into the thread, what stands in for a result neither."""
    agent = asking_for_approval(sessions, options={"limit": 0})
    await agent.run("please double")
    with pytest.raises(Refused, match="c1"):
        await agent.run("hello?")


# --- Ids that are no identity ---


@pytest.mark.parametrize(
    ("style", "limit"),
    [*((style, None) for style in STYLES), *((style, limit) for style in STYLES[:2] for limit in (1, 0))],
)
@pytest.mark.parametrize("checkpointer", [False, True])
@pytest.mark.parametrize("shared", ["chatcmpl-123", ""])
async def test_a_gateway_that_gives_every_answer_the_same_id(
    sessions: AsyncSessionRepository, style: str, checkpointer: bool, limit: int | None, shared: str
) -> None:
    """No answer takes the place of another, in the thread or in the session, also where both say the same."""
    options = {"checkpointer": InMemorySaver()} if checkpointer else {}
    calling = call("double", number=2).model_copy(update={"id": shared})
    script = [calling, *(AIMessage(text, id=shared) for text in ("it is 4", "ok", "ok"))]
    agent = Agent(sessions, script, options={"limit": limit}, **options)
    for text in ("2 times 2", "q2", "q3"):
        await agent.run(text, style=style)
    said = ["2 times 2", "calling double", "4", "it is 4", "q2", "ok", "q3", "ok"]
    assert [message.text for message in (await sessions.read("s")).messages] == said
    if checkpointer or limit is None:
        assert agent.asked[1:] == [said[:3], said[:5], said[:7]]


async def test_answers_with_the_same_id_at_the_same_time(sessions: AsyncSessionRepository) -> None:
    """Others wrote meanwhile: an answer is not taken for the one that they stored, though id and text are the same."""
    both_here = asyncio.Event()
    here: list[int] = []

    async def meet() -> str:
        """Wait for the other run."""
        here.append(1)
        if len(here) == 2:
            both_here.set()
        await asyncio.wait_for(both_here.wait(), 60)
        return "here"

    agents = [Agent(sessions, [call("meet"), AIMessage("ok", id="x")], tools=[meet]) for _ in range(2)]
    await asyncio.gather(*(agent.run(f"q{i}") for i, agent in enumerate(agents)))
    texts = [message.text for message in (await sessions.read("s")).messages]
    assert (sorted(texts[::4]), texts[3::4]) == (["q0", "q1"], ["ok", "ok"])


@pytest.mark.parametrize("checkpointer", [False, True])
async def test_runs_without_input_with_the_same_id(sessions: AsyncSessionRepository, checkpointer: bool) -> None:
    """Each run adds an answer only; their ids are no key under which one has been stored before."""
    options = {"checkpointer": InMemorySaver()} if checkpointer else {}
    await sessions.append("s", [HumanMessage("q")])
    agent = Agent(sessions, [AIMessage("ok", id="x") for _ in range(3)], options={"limit": 0}, **options)
    for _ in range(3):
        await agent.run({"messages": []})
    assert [message.text for message in (await sessions.read("s")).messages] == ["q", "ok", "ok", "ok"]


@pytest.mark.parametrize("item_format", ["pages", "community"])
@pytest.mark.parametrize("shared", ["x", "", None])
async def test_a_session_of_messages_without_an_identity(
    make_repository: Any, item_format: str, shared: str | None
) -> None:
    """Others stored them. All are loaded and stay, none is taken for a change or for another."""
    sessions = make_repository(item_format=item_format)
    said = [HumanMessage("1", id=shared), AIMessage("one", id=shared), HumanMessage("2", id=shared), AIMessage("two")]
    await sessions.append("s", said)
    agent = Agent(sessions, ["three", "four"], checkpointer=InMemorySaver())
    await agent.run("3")
    await sessions.append("other", said)
    updates = await agent.run("4", style="astream", stream_mode="updates")
    assert "messages" not in updates[0]["DynamoDBHistoryMiddleware.before_agent"]
    texts = ["1", "one", "2", "two", "3", "three", "4"]
    assert agent.asked == [texts[:5], texts]
    assert [message.text for message in (await sessions.read("s")).messages] == [*texts, "four"]


@pytest.mark.parametrize("checkpointer", [False, True])
async def test_questions_with_an_empty_id(sessions: AsyncSessionRepository, checkpointer: bool) -> None:
    """An empty id is none: every question gets one of its own."""
    options = {"checkpointer": InMemorySaver()} if checkpointer else {}
    agent = Agent(sessions, ["one", "two"], **options)
    for text in ("1", "2"):
        await agent.run({"messages": [HumanMessage(text, id="")]})
    assert await stored(sessions) == ["human: 1", "ai: one", "human: 2", "ai: two"]


async def test_an_answer_with_a_known_id_comes_in_a_stream(sessions: AsyncSessionRepository) -> None:
    """As documented: LangGraph, which knows it by the gateway's id, streams it once more as a whole."""
    agent = Agent(sessions, [AIMessage("first", id="x"), AIMessage("the second", id="x")])
    for text in ("1", "2"):
        parts = await agent.run(text, style="stream", stream_mode="messages")
    assert [message.text for message, _ in parts if message.text] == ["the", " second", "the second"]


@pytest.mark.parametrize("item_format", ["pages", "community"])
async def test_instructions_in_a_session_reach_no_model(make_repository: Any, item_format: str) -> None:
    """langchain_community stores a `RemoveMessage` as if it were a message."""
    sessions = make_repository(item_format=item_format)
    said = [HumanMessage("1"), RemoveMessage(id="x"), AIMessage("one")]
    natives = [to_attribute(to_native(message), "said", depth=1) for message in said]
    item = {"SessionId": {"S": "s"}, "History": {"L": natives}}
    await sessions._connection.call("put_item", {"TableName": sessions.table_name, "Item": item}, write=True)
    agent = Agent(sessions, ["two", "three"], checkpointer=InMemorySaver())
    await agent.run("2")
    updates = await agent.run("3", style="astream", stream_mode="updates")
    assert "messages" not in updates[0]["DynamoDBHistoryMiddleware.before_agent"]
    assert agent.asked == [["1", "one", "2"], ["1", "one", "2", "two", "3"]]
    assert (await sessions.read("s")).message_count == 7


async def test_the_checkpointer_remembers_and_the_session_records(sessions: AsyncSessionRepository) -> None:
    """With limit=0 the thread is left alone, whatever happens to the session."""
    agent = Agent(sessions, ["one", "two", "three"], options={"limit": 0}, checkpointer=InMemorySaver())
    await sessions.append("s", [HumanMessage("hi")])
    await agent.run("1")
    await sessions.append("s", [HumanMessage("elsewhere")])
    await agent.run("2")
    await agent.run({"messages": []})
    assert agent.asked == [["1"], ["1", "one", "2"], ["1", "one", "2", "two"]]
    lines = ["human: hi", "human: 1", "ai: one", "human: elsewhere", "human: 2", "ai: two", "ai: three"]
    assert await stored(sessions) == lines


# --- Which session ---


@dataclass
class Context:
    """A run's context, as applications declare it."""

    session_id: str


@pytest.mark.parametrize("context", [Context("from context"), {"session_id": "from context"}])
async def test_the_session_of_the_context(sessions: AsyncSessionRepository, context: Any) -> None:
    """The context names it, or else the configuration."""
    agent = Agent(sessions, ["one"], context_schema=Context if isinstance(context, Context) else dict)
    await agent.run("1", context=context)
    assert await stored(sessions, "from context") == ["human: 1", "ai: one"]


async def test_the_session_of_another_entry(sessions: AsyncSessionRepository) -> None:
    """The thread's id can serve as the session's."""
    agent = Agent(sessions, ["one"], options={"session": "thread_id"}, checkpointer=InMemorySaver())
    await agent.run("1", thread="t7")
    assert await stored(sessions, "t7") == ["human: 1", "ai: one"]


@pytest.mark.parametrize("style", ["invoke", "ainvoke"])
async def test_the_session_of_a_function(make_repository: Any, composite_table_name: str, style: str) -> None:
    """A function may give a whole key, also beside a checkpointer."""
    sessions = make_repository(composite_table_name, primary_key_name="PK")

    def find(runtime: Any, config: Any) -> dict[str, str]:
        return {"PK": runtime.context["user"], "SK": config["configurable"]["session_id"]}

    agent = Agent(
        sessions, ["one", "two"], options={"session": find}, context_schema=dict, checkpointer=InMemorySaver()
    )
    for text in ("1", "2"):
        await agent.run(text, "chat", style=style, context={"user": "ann"})
    lines = ["human: 1", "ai: one", "human: 2", "ai: two"]
    assert await stored(sessions, {"PK": "ann", "SK": "chat"}) == lines


async def find_later(runtime: Any, config: Any) -> str:
    """Find the session, but not at once."""
    return "s"


async def test_a_function_that_waits(sessions: AsyncSessionRepository) -> None:
    """Without asyncio it may look the session up in a SessionRepository: the loop beneath that does not wait for it."""

    def newest(runtime: Any, config: Any) -> str:
        return str(max(SessionRepository.over(sessions).list(), key=lambda chat: chat.version).session)

    await sessions.append("s", [HumanMessage("hi")])
    agent = Agent(sessions, ["one"], options={"session": newest})
    await agent.run("1", style="invoke")
    assert await stored(sessions) == ["human: hi", "human: 1", "ai: one"]


@pytest.mark.parametrize(("session", "said"), [("missing", "context={'missing': ...}"), (lambda *_: None, "None")])
async def test_a_run_without_a_session(sessions: AsyncSessionRepository, session: Any, said: str) -> None:
    """The message says how to name one."""
    agent = Agent(sessions, ["one"], options={"session": session})
    with pytest.raises(InvalidInputError) as raised:
        await agent.run("1")
    assert said in str(raised.value)
    assert agent.asked == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"limit": -1}, "limit=-1"),
        ({"session": ""}, "session=''"),
        ({"session": 7}, "session=7"),
        ({"session": lambda runtime: "s"}, "a function (not async) of runtime and config, such as lambda"),
        ({"session": find_later}, "not async"),
        ({"if_unchanged": "yes"}, "if_unchanged='yes' must be True or False"),
        ({"recognise_all": 1}, "recognise_all=1 must be True or False"),
        ({"must_exist": None}, "must_exist=None must be True or False"),
        ({"sessions": AsyncSessionRepository}, 'such as AsyncSessionRepository("SessionTable")'),
        ({"sessions": "SessionTable"}, "sessions='SessionTable'"),
    ],
)
def test_arguments_that_cannot_be_used(options: dict[str, Any], said: str) -> None:
    """They are refused when the middleware is made."""
    arguments = {"sessions": AsyncSessionRepository("Table"), **options}
    with pytest.raises(InvalidInputError) as raised:
        DynamoDBHistoryMiddleware(**arguments)
    assert said in str(raised.value)


@pytest.mark.once
def test_without_langchain() -> None:
    """The error names the extra to install."""
    program = "import sys; sys.modules['langchain'] = None; import langchain_dynamodb.middleware"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert 'pip install ".[langchain]" (in a clone' in run.stderr.splitlines()[-1]
