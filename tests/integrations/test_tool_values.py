"""What tools put into messages is stored: artifacts of every kind, commands, errors, structured answers of agents."""

from __future__ import annotations

import math
import uuid
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from pathlib import PurePosixPath
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from pydantic import BaseModel

pytest.importorskip("langchain.agents.middleware", reason="the extra langchain is not installed")

from langchain.agents.structured_output import ProviderStrategy, ToolStrategy
from langchain.tools import ToolRuntime
from langchain_core.tools import StructuredTool, create_retriever_tool, tool
from langgraph.types import Command
from providers.kinds import described

from agent_support import Agent, call
from langchain_dynamodb import AsyncSessionRepository

PLACE = {"source": "tides.txt", "page": 4}


class Kind(Enum):
    """What kind of tide; nobody registers it, nor any other class here."""

    HIGH = ("high", 1)


class Word(str, Enum):
    """A text, which it equals."""

    HIGH = "high"


class Level(BaseModel):
    """A model."""

    at: date
    metres: float = 4.5


@dataclass
class Gauge:
    """A dataclass."""

    place: str
    levels: list[Level]


class Point(NamedTuple):
    """A tuple with names."""

    x: int
    y: int


class Frame:
    """A table as pandas has them: what compares it gets a table, which is neither true nor false."""

    def __eq__(self, other: object) -> Any:
        return self

    def __bool__(self) -> bool:
        raise ValueError("The truth value of a Frame is ambiguous.")

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return "a cell that no error may quote"


def array() -> Any:
    """Make numpy's table."""
    return pytest.importorskip("numpy").array([1, 2])


EXACT: dict[str, Any] = {
    "documents": [Document("high", metadata=PLACE, id="d1")],
    "document": Document("high", metadata={"at": date(2026, 11, 29)}),
    "message": AIMessage("high", tool_calls=[{"name": "f", "args": {"x": 1}, "id": "c"}]),
    "messages": {"said": [HumanMessage("hi"), ToolMessage("4", tool_call_id="c", artifact=b"\x00")]},
    "bytes": b"\x89PNG\r\n\x1a\n\x00\xff",
    "bytearray": bytearray(b"\x00\xff"),
    "tuple": (1, ("a", [2])),
    "set": {1, 2},
    "frozenset": frozenset({"a"}),
    "date": date(2026, 11, 29),
    "time": time(12, 30, 1, 5),
    "datetime": datetime(2026, 11, 29, 12, 30, 1, 5),
    "datetime in UTC": datetime(2026, 11, 29, tzinfo=timezone.utc),
    "datetime with an offset": datetime(2026, 11, 29, tzinfo=timezone(timedelta(hours=5, minutes=45))),
    "datetime in a zone": datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Berlin")),
    "timedelta": timedelta(days=-1, microseconds=1),
    "Decimal": [Decimal("1.0"), Decimal("1.00"), Decimal("-0")],
    "UUID": uuid.UUID(int=7),
    "complex": 1 - 2j,
    "not a number": [math.nan, math.inf, -math.inf],
    "keys of other types": {1: "a", "1": "b", None: "c", (1, 2): "d", date(2026, 1, 1): "e"},
    "equal, but of other types": [True, 1, 1.0, -0.0, 0.0],
    "rows of a database": [{"id": uuid.UUID(int=1), "at": datetime(2026, 1, 1), "amount": Decimal("9.90")}],
    "large integer": 2**80,
}
# What is given, and what comes back of it.
CHANGED: dict[str, tuple[Any, Any]] = {
    "model": (Level(at=date(2026, 11, 29)), {"at": "2026-11-29", "metres": 4.5}),
    "dataclass": (
        Gauge("pier", [Level(at=date(2026, 11, 29))]),
        {"place": "pier", "levels": [{"at": "2026-11-29", "metres": 4.5}]},
    ),
    "NamedTuple": (Point(1, 2), (1, 2)),
    "enum": (Kind.HIGH, ("high", 1)),
    "enum of text": (Word.HIGH, "high"),
    "anything else": ({"frame": Frame(), "rows": 2}, {"frame": None, "rows": 2}),
}
MADE: dict[str, tuple[Callable[[], Any], Any]] = {
    "numpy's array": (array, None),
    "path": (lambda: PurePosixPath("/tides"), None),
    "function": (lambda: print, None),
}


async def told(sessions: AsyncSessionRepository, artifact: Any) -> ToolMessage:
    """Let an agent call a tool with that artifact, and read what the tool said."""
    tide = StructuredTool.from_function(
        lambda: ("high", artifact), name="tide", description="The tide.", response_format="content_and_artifact"
    )
    agent = Agent(sessions, [call("tide"), "it is high"], tools=[tide])
    result = await agent.run("how is the tide?")
    assert [message.type for message in result["messages"]] == ["human", "ai", "tool", "ai"]
    messages = (await sessions.read("s")).messages
    assert [message.type for message in messages] == ["human", "ai", "tool", "ai"]
    assert isinstance(messages[2], ToolMessage)
    return messages[2]


@pytest.mark.parametrize("kind", EXACT)
async def test_artifacts_that_come_back_exactly(sessions: AsyncSessionRepository, kind: str) -> None:
    """A value of Python's or of langchain-core's is itself again, in an agent's run."""
    found = await told(sessions, EXACT[kind])
    assert described(found.artifact) == described(EXACT[kind])


@pytest.mark.parametrize("kind", [*CHANGED, *MADE])
@pytest.mark.filterwarnings("ignore::UserWarning")
async def test_artifacts_that_come_back_as_data(sessions: AsyncSessionRepository, kind: str) -> None:
    """What an object of an unregistered class holds comes back; of anything else nothing; the turn is stored."""
    given, wanted = CHANGED[kind] if kind in CHANGED else (MADE[kind][0](), MADE[kind][1])
    found = await told(sessions, given)
    assert described(found.artifact) == described(wanted)


async def test_what_is_left_out_is_said(sessions: AsyncSessionRepository) -> None:
    """The place and the type, and nothing of the content."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        await told(sessions, [Frame()])
    [warning] = [warning for warning in seen if warning.category.__name__ == "OmittedValueWarning"]
    text = str(warning.message)
    assert ("artifact[0]" in text, "Frame" in text, "cell" in text) == (True, True, False)


async def test_a_retriever_as_a_tool(sessions: AsyncSessionRepository) -> None:
    """Its documents are the artifact."""
    from langchain_core.retrievers import BaseRetriever

    class Library(BaseRetriever):
        """Finds one document."""

        def _get_relevant_documents(self, query: str, *, run_manager: Any) -> list[Document]:
            return [Document("The tide is high.", metadata=PLACE)]

    found = create_retriever_tool(Library(), "library", "Books.", response_format="content_and_artifact")
    await Agent(sessions, [call("library", query="tide"), "it is high"], tools=[found]).run("how is the tide?")
    message = (await sessions.read("s")).messages[2]
    assert message.artifact == [Document("The tide is high.", metadata=PLACE)]


async def test_a_command(sessions: AsyncSessionRepository) -> None:
    """A tool that updates the run's state says its message itself, artifact and all."""

    @tool
    def tide(runtime: ToolRuntime) -> Command[Any]:
        """Return the tide."""
        said = ToolMessage("high", tool_call_id=runtime.tool_call_id or "", artifact={"at": date(2026, 11, 29)})
        return Command(update={"messages": [said]})

    result = await Agent(sessions, [call("tide"), "it is high"], tools=[tide]).run("how is the tide?")
    messages = (await sessions.read("s")).messages
    assert described(list(messages)) == described(result["messages"])
    assert messages[2].artifact == {"at": date(2026, 11, 29)}


async def test_an_error(sessions: AsyncSessionRepository) -> None:
    """Arguments that the tool does not take are answered with an error; its status is kept."""
    result = await Agent(sessions, [call("double", number="x"), "sorry"]).run("2 times x")
    messages = (await sessions.read("s")).messages
    assert described(list(messages)) == described(result["messages"])
    assert messages[2].status == "error"


@pytest.mark.parametrize("strategy", [ToolStrategy, ProviderStrategy])
async def test_structured_answers(sessions: AsyncSessionRepository, strategy: Any) -> None:
    """The object is in the run's result; the messages that are stored hold its JSON."""
    answer = (
        call("Level", at="2026-11-29", metres=5) if strategy is ToolStrategy else '{"at": "2026-11-29", "metres": 5}'
    )
    result = await Agent(sessions, [answer], response_format=strategy(Level)).run("how high?")
    assert result["structured_response"] == Level(at=date(2026, 11, 29), metres=5)
    messages = (await sessions.read("s")).messages
    assert described(list(messages)) == described(result["messages"])
