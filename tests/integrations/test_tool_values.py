"""What tools put into messages is stored: artifacts of every kind, commands, errors, structured answers of agents."""

from __future__ import annotations

import warnings
from datetime import date
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.messages import ToolMessage

pytest.importorskip("langchain.agents.middleware", reason="the extra langchain is not installed")

from artifacts import ARTIFACTS, ITSELF, PLACE, Artifact, Frame, Level
from langchain.agents.structured_output import ProviderStrategy, ToolStrategy
from langchain.tools import ToolRuntime
from langchain_core.tools import StructuredTool, create_retriever_tool, tool
from langgraph.types import Command
from providers.kinds import described

from agent_support import Agent, call
from langchain_dynamodb import AsyncSessionRepository

pytestmark = pytest.mark.any_engine  # each kind of value is stored on each engine by tests/engine


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


@pytest.mark.parametrize("kind", [kind for kind in ARTIFACTS if kind.comes_back is ITSELF], ids=lambda kind: kind.name)
async def test_artifacts_that_come_back_exactly(sessions: AsyncSessionRepository, kind: Artifact) -> None:
    """A value of Python's or of langchain-core's is itself again, in an agent's run."""
    found = await told(sessions, kind.make())
    assert described(found.artifact) == described(kind.make())


@pytest.mark.parametrize(
    "kind", [kind for kind in ARTIFACTS if kind.comes_back is not ITSELF], ids=lambda kind: kind.name
)
@pytest.mark.filterwarnings("ignore::UserWarning")
async def test_artifacts_that_come_back_as_data(sessions: AsyncSessionRepository, kind: Artifact) -> None:
    """What an object of an unregistered class holds comes back; of anything else nothing; the turn is stored."""
    found = await told(sessions, kind.make())
    assert described(found.artifact) == described(kind.comes_back)


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
