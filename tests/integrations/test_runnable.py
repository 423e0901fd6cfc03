"""The adapter inside langchain-core's `RunnableWithMessageHistory`, in all call styles and both modes."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage, ToolCall
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from langchain_core.runnables import Runnable, RunnableLambda
from langchain_core.runnables.history import RunnableWithMessageHistory
from pydantic import BaseModel

from langchain_dynamodb import DynamoDBChatMessageHistory, pair_tool_calls
from langchain_dynamodb.codec.registry import OBJECTS
from langchain_dynamodb.errors import UnsupportedMessageError, WrongRegionError
from runnable_support import passes_context_on
from support import refusal

pytestmark = [
    pytest.mark.filterwarnings("ignore:RunnableWithMessageHistory is deprecated"),
    pytest.mark.any_engine,  # what histories store is tried on each engine by tests/engine
]

TURNS = 20
STYLES = ["invoke", "ainvoke", "stream", "astream", "batch", "abatch"]
MODES = ["history_messages_key", "no history_messages_key"]
CONFIG = {"configurable": {"session_id": "s1"}}
MakeHistory = Callable[..., DynamoDBChatMessageHistory]


@pytest.fixture
def make_history(engine: Any, table_name: str) -> MakeHistory:
    """Make histories of one table."""

    def make(session_id: str = "s1", **options: Any) -> DynamoDBChatMessageHistory:
        return DynamoDBChatMessageHistory(table_name, session_id, engine.endpoint_url, **options)

    return make


class Gate:
    """Lets turns pass once so many of them have come."""

    def __init__(self, turns: int) -> None:
        self.barrier = threading.Barrier(turns)
        self.waiting = turns
        self.open = asyncio.Event()

    def runnable(self) -> Runnable[Any, Any]:
        """Return a step of a chain that waits here."""
        return RunnableLambda(self.wait, self.await_)

    def wait(self, value: Any) -> Any:
        """Wait in a thread."""
        self.barrier.wait(60)
        return value

    async def await_(self, value: Any) -> Any:
        """Wait on the event loop."""
        self.waiting -= 1
        if not self.waiting:
            self.open.set()
        await asyncio.wait_for(self.open.wait(), 60)
        return value


def with_history(step: Runnable[Any, Any], factory: Callable[[str], Any], mode: str) -> Runnable[Any, Any]:
    """A chat chain with a step of the test's before the model."""
    model = FakeListChatModel(responses=["an answer"])
    if mode == "history_messages_key":
        prompt = ChatPromptTemplate.from_messages([MessagesPlaceholder("history"), ("human", "{question}")])
        return RunnableWithMessageHistory(
            prompt | step | model, factory, input_messages_key="question", history_messages_key="history"
        )
    return RunnableWithMessageHistory(step | model, factory)


def question(mode: str, text: str) -> Any:
    """The input of one turn."""
    return {"question": text} if mode == "history_messages_key" else [HumanMessage(text)]


async def take_turns(chain: Runnable[Any, Any], style: str, inputs: list[Any]) -> None:
    """Run one turn for each input, all at once."""
    if style == "ainvoke":
        await asyncio.gather(*(chain.ainvoke(value, CONFIG) for value in inputs))
    elif style == "astream":
        await asyncio.gather(*(exhaust(chain.astream(value, CONFIG)) for value in inputs))
    elif style == "abatch":
        await chain.abatch(inputs, {**CONFIG, "max_concurrency": len(inputs)})
    elif style == "batch":
        await asyncio.to_thread(chain.batch, inputs, {**CONFIG, "max_concurrency": len(inputs)})
    else:
        call = chain.invoke if style == "invoke" else lambda value, config: list(chain.stream(value, config))
        with ThreadPoolExecutor(len(inputs)) as threads:
            futures = [threads.submit(call, value, CONFIG) for value in inputs]
            await asyncio.gather(*map(asyncio.wrap_future, futures))


async def exhaust(stream: Any) -> None:
    """Read a stream to its end."""
    async for _ in stream:
        pass


def contents(messages: list[BaseMessage]) -> list[Any]:
    """What a test compares."""
    return [message.content for message in messages]


# Where a step cannot see its config, a second read cannot be told from any other.
IN_CONTEXT = [
    pytest.param(
        style, marks=pytest.mark.skipif(not passes_context_on(style), reason="langchain-core hides the config")
    )
    for style in STYLES
]


@pytest.mark.once
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("style", IN_CONTEXT)
async def test_overlapping_turns_keep_all_messages(style: str, mode: str, make_history: MakeHistory) -> None:
    """Twenty turns that all began before one of them ended keep their forty messages, each turn in one piece."""
    chain = with_history(Gate(TURNS).runnable(), lambda session_id: make_history(session_id), mode)
    await take_turns(chain, style, [question(mode, f"question {i}") for i in range(TURNS)])
    stored = await make_history().aget_messages()
    asked = Counter(contents(stored)[::2])
    assert asked == Counter(f"question {i}" for i in range(TURNS))
    assert contents(stored)[1::2] == ["an answer"] * TURNS


async def one_turn_inside_another(style: str, mode: str, make_history: MakeHistory) -> list[Any]:
    """Run a whole turn while another waits for its model; returns what is stored then."""

    async def interrupt(value: Any) -> Any:
        await make_history().aadd_messages([HumanMessage("other question"), AIMessage("other answer")])
        return value

    def interrupt_sync(value: Any) -> Any:
        make_history().add_messages([HumanMessage("other question"), AIMessage("other answer")])
        return value

    step = RunnableLambda(interrupt_sync, interrupt)
    chain = with_history(step, lambda session_id: make_history(session_id), mode)
    await take_turns(chain, style, [question(mode, "question")])
    return contents(await make_history().aget_messages())


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("style", IN_CONTEXT)
async def test_a_turn_inside_another(style: str, mode: str, make_history: MakeHistory) -> None:
    """A turn that another one overtakes still stores its question, in every style and mode."""
    stored = await one_turn_inside_another(style, mode, make_history)
    assert stored == ["other question", "other answer", "question", "an answer"]


@pytest.mark.parametrize("style", STYLES)
async def test_reading_afresh_would_lose_the_question(
    style: str, make_history: MakeHistory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the remembered first read the mode without a key loses a question: this is what it is for."""
    monkeypatch.setattr(DynamoDBChatMessageHistory, "_in_turn", lambda self: False)
    stored = await one_turn_inside_another(style, MODES[1], make_history)
    assert stored == ["other question", "other answer", "an answer"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("style", STYLES)
async def test_turns_see_the_history(style: str, mode: str, make_history: MakeHistory) -> None:
    """The model is given the earlier messages and the new question, and each is stored once."""
    seen: list[list[Any]] = []

    def look(value: Any) -> Any:
        seen.append(contents(value if isinstance(value, list) else value.to_messages()))
        return value

    chain = with_history(RunnableLambda(look), lambda session_id: make_history(session_id), mode)
    for text in ("one", "two"):
        await take_turns(chain, style, [question(mode, text)])
    assert seen == [["one"], ["one", "an answer", "two"]]
    assert contents(await make_history().aget_messages()) == ["one", "an answer", "two", "an answer"]


@pytest.mark.parametrize("style", STYLES)
async def test_chunks_are_stored_as_messages(style: str, make_history: MakeHistory) -> None:
    """A streamed answer is stored as one `AIMessage`, as an invoked one is."""
    chain = with_history(RunnableLambda(lambda value: value), lambda session_id: make_history(session_id), MODES[0])
    await take_turns(chain, style, [question(MODES[0], "one")])
    assert [type(message) for message in await make_history().aget_messages()] == [HumanMessage, AIMessage]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("style", STYLES)
async def test_a_kept_history_does_not_get_stale(style: str, mode: str, make_history: MakeHistory) -> None:
    """A factory that returns one object for all turns sees what others added between them."""
    kept = make_history()
    seen: list[int] = []

    def look(value: Any) -> Any:
        seen.append(len(value if isinstance(value, list) else value.to_messages()))
        return value

    chain = with_history(RunnableLambda(look), lambda session_id: kept, mode)
    for _ in range(3):
        await take_turns(chain, style, [question(mode, "question")])
        await make_history().aadd_messages([HumanMessage("another's")])
    assert seen == [1, 4, 7]
    assert len(await kept.aget_messages()) == 9


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("style", STYLES)
async def test_a_failed_turn_leaves_nothing_behind(style: str, mode: str, make_history: MakeHistory) -> None:
    """After a turn whose model failed, a kept history object reads afresh."""
    kept = make_history()
    seen: list[int] = []

    def fail_once(value: Any) -> Any:
        seen.append(len(value if isinstance(value, list) else value.to_messages()))
        if len(seen) == 1:
            raise ConnectionError("the model is down")
        return value

    chain = with_history(RunnableLambda(fail_once), lambda session_id: kept, mode)
    with pytest.raises(ConnectionError):
        await take_turns(chain, style, [question(mode, "question")])
    await make_history().aadd_messages([HumanMessage("another's")])
    await take_turns(chain, style, [question(mode, "question")])
    assert seen == [1, 2]
    assert contents(await kept.aget_messages()) == ["another's", "question", "an answer"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("style", IN_CONTEXT)
async def test_overlapping_turns_on_one_object(style: str, mode: str, make_history: MakeHistory) -> None:
    """Also a factory that returns the same object for turns at the same time loses nothing."""
    kept = make_history()
    await kept.aadd_messages([HumanMessage("before")])
    chain = with_history(Gate(5).runnable(), lambda session_id: kept, mode)
    await take_turns(chain, style, [question(mode, f"question {i}") for i in range(5)])
    stored = contents(await kept.aget_messages())
    assert Counter(stored) == {"before": 1, "an answer": 5, **{f"question {i}": 1 for i in range(5)}}


@pytest.mark.parametrize("style", STYLES)
async def test_reads_outside_of_the_turn_are_fresh(style: str, make_history: MakeHistory) -> None:
    """While a turn is under way, a read that does not belong to it sees what is stored now, also on its object."""
    kept = make_history()
    seen: list[Any] = []

    async def meanwhile(value: Any) -> Any:
        await make_history().aadd_messages([HumanMessage("another's")])
        seen.extend(contents(await asyncio.wrap_future(others.submit(lambda: kept.messages))))
        return value

    with ThreadPoolExecutor(1) as others:
        step = RunnableLambda(lambda value: asyncio.run(meanwhile(value)), meanwhile)
        await take_turns(with_history(step, lambda session_id: kept, MODES[1]), style, [question(MODES[1], "question")])
    assert seen == ["another's"]


async def test_a_window_in_both_modes(make_history: MakeHistory) -> None:
    """`history_size` bounds what the model sees, and the question is still stored."""
    for mode in MODES:
        await make_history().aclear()
        chain = with_history(
            RunnableLambda(lambda value: value), lambda session_id: make_history(session_id, history_size=2), mode
        )
        for i in range(4):
            await chain.ainvoke(question(mode, f"question {i}"), CONFIG)
        expected = [text for i in range(4) for text in (f"question {i}", "an answer")]
        assert contents(await make_history().aget_messages()) == expected


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("style", IN_CONTEXT)
async def test_overlapping_turns_behind_a_window(style: str, mode: str, make_history: MakeHistory) -> None:
    """A window that begins later than its size says, and calls that get a result on the way to the model, lose nothing.

    Without ``history_messages_key`` the input is cut by the length of what was read.
    """
    await make_history().aadd_messages([HumanMessage("before"), AIMessage("an answer")] * 3)
    await make_history().aadd_messages([HumanMessage("pay"), AIMessage("", tool_calls=[PAY])])
    refused: list[str | None] = []

    def prepare(value: Any) -> Any:
        messages = pair_tool_calls(value if isinstance(value, list) else value.to_messages())
        refused.append(refusal(messages))
        return messages

    step = Gate(4).runnable() | RunnableLambda(prepare)
    chain = with_history(step, lambda session_id: make_history(session_id, history_size=5), mode)
    await take_turns(chain, style, [question(mode, f"question {i}") for i in range(4)])
    stored = contents(await make_history().aget_messages())
    assert Counter(stored[8::2]) == Counter(f"question {i}" for i in range(4))
    assert stored[9::2] == ["an answer"] * 4
    assert refused == [None] * 4


PAY: ToolCall = {"name": "pay", "args": {}, "id": "1", "type": "tool_call"}


class Parsed(BaseModel):
    """What structured output leaves in a message."""

    number: int


def answering(answer: BaseMessage, factory: Callable[[str], Any]) -> Runnable[Any, Any]:
    """A chain whose model gives this answer."""
    return RunnableWithMessageHistory(RunnableLambda(lambda _: answer), factory)


@pytest.mark.parametrize("style", IN_CONTEXT)
async def test_a_turn_with_objects_is_not_lost(
    style: str, make_history: MakeHistory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Data takes their place, even where warnings are errors, as they are here: nobody would see the error."""
    monkeypatch.setattr(OBJECTS, "told", set())
    answer = AIMessage("8", additional_kwargs={"parsed": Parsed(number=8), "client": object()})
    await take_turns(answering(answer, make_history), style, [[HumanMessage("4 + 4")]])
    stored = await make_history().aget_messages()
    plain = AIMessage("8", additional_kwargs={"parsed": {"number": 8}, "client": None})
    assert stored == [HumanMessage("4 + 4"), plain]


@pytest.mark.parametrize("style", IN_CONTEXT)
async def test_a_turn_that_is_refused_is_logged(
    style: str, make_history: MakeHistory, caplog: pytest.LogCaptureFixture
) -> None:
    """With its place and what to do, by the logger of this package: the chain goes on as if nothing was."""
    answer = AIMessage([{"type": "x", "client": iter(["SECRET"])}])
    await take_turns(answering(answer, make_history), style, [[HumanMessage("4 + 4")]])
    (record,) = [record for record in caplog.records if record.name == "langchain_dynamodb"]
    assert (record.levelname, record.getMessage()) == (
        "ERROR",
        "The messages of this turn of session 's1' were not stored: messages[1].content[0]['client'] holds a value of "
        "type list_iterator, which cannot be stored exactly; use list(value).",
    )
    assert await make_history().aget_messages() == []


class OddChunk(AIMessageChunk):
    """A message that cannot be looked at."""

    @property
    def model_extra(self) -> dict[str, Any] | None:
        """Raise."""
        raise RuntimeError("SECRET")


@pytest.mark.parametrize("style", IN_CONTEXT)
async def test_a_turn_lost_by_any_error_is_logged(
    style: str, make_history: MakeHistory, caplog: pytest.LogCaptureFixture
) -> None:
    """Errors that are not of this package too, by their type: their texts may quote what is there."""
    await take_turns(answering(OddChunk("8"), make_history), style, [[HumanMessage("4 + 4")]])
    (record,) = [record for record in caplog.records if record.name == "langchain_dynamodb"]
    assert record.getMessage() == "The messages of this turn of session 's1' were not stored: RuntimeError"


async def test_outside_of_a_turn_the_error_is_all(make_history: MakeHistory, caplog: pytest.LogCaptureFixture) -> None:
    """Who calls the history gets the error, and no line in the log."""
    with pytest.raises(UnsupportedMessageError):
        await make_history().aadd_messages([AIMessage([{"type": "x", "client": object()}])])
    assert [record for record in caplog.records if record.name == "langchain_dynamodb"] == []


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("style", IN_CONTEXT)
async def test_a_session_that_another_region_writes(style: str, mode: str, make_history: MakeHistory) -> None:
    """The turn ends with that error before the model is asked, since the end of it would be swallowed."""
    await make_history(home_region="eu-central-1").aadd_messages([HumanMessage("hi")])
    asked: list[Any] = []
    step = RunnableLambda(lambda value: asked.append(value) or value)

    def there(session_id: str) -> DynamoDBChatMessageHistory:
        return make_history(session_id, home_region="us-west-2")

    with pytest.raises(WrongRegionError):
        await take_turns(with_history(step, there, mode), style, [question(mode, "again")])
    assert asked == []
    assert contents(await there("s1").aget_messages()) == ["hi"]


async def test_a_strict_history(make_history: MakeHistory) -> None:
    """It refuses what would come back as something else."""
    with pytest.raises(UnsupportedMessageError, match="register_class"):
        await make_history(strict=True).aadd_messages([AIMessage("", additional_kwargs={"p": Parsed(number=1)})])
