"""Agents run by tools of agents, as nodes of graphs, from earlier checkpoints: what each of them sees and stores."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest

pytest.importorskip("langchain.agents.middleware", reason="the extra langchain is not installed")

from langchain.agents.middleware import HumanInTheLoopMiddleware
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command, Overwrite

from agent_support import Agent, call, stored
from langchain_dynamodb import AsyncSessionRepository
from langchain_dynamodb.errors import SettingsError

pytestmark = pytest.mark.any_engine

ASYNC_PARTS = pytest.mark.skipif(sys.version_info < (3, 11), reason="LangGraph hands no context on before Python 3.11")
STYLES = pytest.mark.parametrize("style", ["invoke", pytest.param("ainvoke", marks=ASYNC_PARTS)])
OLD = [HumanMessage("old question", id="q0"), AIMessage("old answer", id="a0")]


def with_researcher(sessions: AsyncSessionRepository, researcher: Any, style: str, config: Any = None) -> Agent:
    """An agent with a tool that asks another one."""

    def research(question: str) -> str:
        """Research."""
        answer: str = researcher.invoke({"messages": [("human", question)]}, config)["messages"][-1].text
        return answer

    async def aresearch(question: str) -> str:
        """Research."""
        answer: str = (await researcher.ainvoke({"messages": [("human", question)]}, config))["messages"][-1].text
        return answer

    tool = research if style == "invoke" else aresearch
    return Agent(sessions, [call(tool.__name__, question="what?"), "done"], tools=[tool])


def names(agent: str) -> list[str]:
    """What the session of the outer agent holds in the end."""
    return ["human: ask", f"ai: calling {agent}", "tool: found", "ai: done"]


@STYLES
async def test_an_agent_that_inherits_the_session_is_refused(sessions: AsyncSessionRepository, style: str) -> None:
    """Its question would be stored before that of the agent around it; nothing is stored."""
    researcher = Agent(sessions, ["found"])
    agent = with_researcher(sessions, researcher.graph, style)
    with pytest.raises(SettingsError, match=r"same session 's'.*session of its own, such as"):
        await agent.run("ask", style=style)
    assert (await stored(sessions), researcher.asked) == ([], [])


@STYLES
@pytest.mark.parametrize("way", ["function", "config"])
async def test_an_agent_with_a_session_of_its_own(sessions: AsyncSessionRepository, style: str, way: str) -> None:
    """By a function of the config, or named by the tool; each holds its own conversation."""
    own: dict[str, Any] = {"session": lambda runtime, config: config["configurable"]["session_id"] + "/research"}
    researcher = Agent(sessions, ["found"], options=own if way == "function" else {})
    named = {"configurable": {"session_id": "s/research"}} if way == "config" else None
    agent = with_researcher(sessions, researcher.graph, style, named)
    await agent.run("ask", style=style)
    assert await stored(sessions) == names("research" if style == "invoke" else "aresearch")
    assert await stored(sessions, "s/research") == ["human: what?", "ai: found"]


async def test_the_next_run_is_none_within_it(sessions: AsyncSessionRepository) -> None:
    """What is around a tool ends with it, also where the tool failed."""
    agent = Agent(sessions, [call("fail"), "never", "fine"])
    with pytest.raises(RuntimeError):
        await agent.run("1")
    agent.model.script.pop(0)
    await agent.run("2")
    assert await stored(sessions) == ["human: 2", "ai: fine"]


async def test_tools_at_the_same_time(sessions: AsyncSessionRepository) -> None:
    """Runs of other sessions do not come into it."""
    researcher = Agent(sessions, ["found", "found"])
    agents = [with_researcher(sessions, researcher.graph, "invoke", {"configurable": {"session_id": i}}) for i in "xy"]
    await asyncio.gather(*(agent.run("ask", name, style="invoke") for agent, name in zip(agents, "ab", strict=True)))
    assert [await stored(sessions, name) for name in "ab"] == [names("research")] * 2


def as_node(node: Any) -> Any:
    """A graph without a checkpointer, of one node."""
    graph = StateGraph(MessagesState)
    graph.add_node("agent", node)
    graph.add_edge(START, "agent")
    return graph.compile()


async def test_a_node_of_a_graph(sessions: AsyncSessionRepository) -> None:
    """The agent sees the right order and it is stored; the graph's own state has the history after the question."""
    await sessions.append("s", OLD)
    agent = Agent(sessions, ["new answer", "newer answer"])
    config: Any = {"configurable": {"session_id": "s"}}
    result = await as_node(agent.graph).ainvoke({"messages": [("human", "new question")]}, config)
    assert [m.text for m in result["messages"]] == ["new question", "old question", "old answer", "new answer"]
    assert agent.asked == [["old question", "old answer", "new question"]]
    assert (await stored(sessions))[2:] == ["human: new question", "ai: new answer"]


async def test_a_node_that_says_what_becomes_of_the_state(sessions: AsyncSessionRepository) -> None:
    """The way out: a function around the agent, whose messages take the place of the graph's."""
    await sessions.append("s", OLD)
    agent = Agent(sessions, ["new answer"])

    async def answer(state: MessagesState, config: RunnableConfig) -> Any:
        return {"messages": Overwrite((await agent.graph.ainvoke(state, config))["messages"])}

    config: Any = {"configurable": {"session_id": "s"}}
    result = await as_node(answer).ainvoke({"messages": [("human", "new question")]}, config)
    assert [m.text for m in result["messages"]] == ["old question", "old answer", "new question", "new answer"]
    assert (await stored(sessions))[2:] == ["human: new question", "ai: new answer"]


async def earlier(agent: Agent, messages: int) -> Any:
    """The checkpoint of the end of a run after which the thread had so many messages."""
    config: Any = {"configurable": {"session_id": "s", "thread_id": "t"}}
    states = [state async for state in agent.graph.aget_state_history(config)]
    return next(state for state in states if not state.next and len(state.values["messages"]) == messages)


def going_on(state: Any) -> Any:
    """The config of a run from there."""
    return {"configurable": {"session_id": "s", **state.config["configurable"]}}


@pytest.mark.parametrize("way", ["as it is", "truncate", "record only"])
async def test_a_fork_from_an_earlier_checkpoint(sessions: AsyncSessionRepository, way: str) -> None:
    """It is shown what was said since, unless that is cut off before, or the session is but a record."""
    options = {"limit": 0} if way == "record only" else {}
    agent = Agent(sessions, ["one", "two", "another two"], checkpointer=InMemorySaver(), options=options)
    await agent.run("1")
    await agent.run("2")
    state = await earlier(agent, 2)
    if way == "truncate":
        await sessions.truncate("s", keep=state.values["dynamodb_history"]["count"])
    await agent.graph.ainvoke({"messages": [("human", "2, once more")]}, going_on(state))
    branch = ["2", "two"] if way == "as it is" else []
    assert agent.asked[-1] == ["1", "one", *branch, "2, once more"]
    kept = [] if way == "truncate" else ["human: 2", "ai: two"]
    assert await stored(sessions) == ["human: 1", "ai: one", *kept, "human: 2, once more", "ai: another two"]


@ASYNC_PARTS
async def test_what_streams_of_events_show(sessions: AsyncSessionRepository) -> None:
    """The result has no entry of the middleware's own; the last event of the stream has, and the messages beside it."""
    agent = Agent(sessions, ["one", "two"])
    assert [*await agent.run("1")] == ["messages"]
    last = (await agent.run("2", style="astream_events"))[-1]
    assert (last["event"], {*last["data"]["output"]}) == ("on_chain_end", {"messages", "dynamodb_history"})
    assert [message.text for message in last["data"]["output"]["messages"]] == ["1", "one", "2", "two"]


@ASYNC_PARTS
async def test_a_decision_after_something_else_was_said(sessions: AsyncSessionRepository) -> None:
    """It comes too late: the tool does not run, and the session stays as it is."""
    human = HumanInTheLoopMiddleware({"double": {"allowed_decisions": ["approve"]}})
    agent = Agent(sessions, [call("double", number=2), "fine"], after=[human], checkpointer=InMemorySaver())
    await agent.run("please double")
    await agent.run("forget it")
    before = await stored(sessions)
    await agent.run(Command(resume={"decisions": [{"type": "approve"}]}))
    assert (await stored(sessions), len(agent.asked)) == (before, 2)
