"""A scripted chat model that calls tools, and agents around it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

from langchain.agents import create_agent
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import Field

from langchain_dynamodb import AsyncSessionRepository
from langchain_dynamodb.middleware import DynamoDBHistoryMiddleware
from support import refusal

STYLES = ["invoke", "ainvoke", "stream", "astream", "astream_events"]


class ScriptedModel(BaseChatModel):
    """Answers with the steps of a script in turn (a text, a message or an error) and remembers what it was asked."""

    script: list[Any]
    asked: list[list[str]] = Field(default_factory=list)

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools: Sequence[Any], **options: Any) -> Any:
        """Accept any tools."""
        return self

    def _generate(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **options: Any
    ) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=self._next(messages))])

    def _stream(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **options: Any
    ) -> Iterator[ChatGenerationChunk]:
        answer = self._next(messages)
        calls = [{**call, "args": str(call["args"]).replace("'", '"'), "index": 0} for call in answer.tool_calls]
        words = answer.text.split(" ")
        for place, word in enumerate(words):
            text, made = (word, calls) if place == 0 else (f" {word}", [])
            chunk = AIMessageChunk(text, id=answer.id, tool_call_chunks=made)
            chunk = ChatGenerationChunk(message=chunk)
            if run_manager:
                run_manager.on_llm_new_token(word, chunk=chunk)
            yield chunk

    def _next(self, messages: list[BaseMessage]) -> AIMessage:
        self.asked.append([message.text for message in messages])
        step = self.script.pop(0)
        if isinstance(step, Exception):
            raise step
        return AIMessage(step) if isinstance(step, str) else step


class Refused(Exception):
    """A strict provider refused the messages."""


class StrictModel(ScriptedModel):
    """Refuses what Bedrock, Anthropic or OpenAI refuse; when its script is used up it answers "ok"."""

    script: list[Any] = Field(default_factory=list)

    def _next(self, messages: list[BaseMessage]) -> AIMessage:
        if problem := refusal(messages):
            raise Refused(problem)
        if not self.script:
            self.script.append("ok")
        return super()._next(messages)


def call(name: str, call_id: str = "c1", /, **args: Any) -> AIMessage:
    """An answer that calls a tool."""
    return AIMessage(f"calling {name}", tool_calls=[{"name": name, "args": args, "id": call_id}])


def double(number: int) -> str:
    """Twice the number."""
    return str(2 * number)


def fail() -> str:
    """Fail."""
    raise RuntimeError("the tool failed")


class Agent:
    """An agent with a session as its history: ``await Agent(sessions, ["hello"]).run("hi")``."""

    def __init__(
        self,
        sessions: AsyncSessionRepository,
        script: Sequence[Any] = (),
        *,
        before: Sequence[Any] = (),
        after: Sequence[Any] = (),
        options: dict[str, Any] | None = None,
        model: ScriptedModel | None = None,
        **agent_options: Any,
    ) -> None:
        self.model = model or ScriptedModel(script=list(script))
        self.middleware = DynamoDBHistoryMiddleware(sessions, **(options or {}))
        agent_options.setdefault("tools", [double, fail])
        self.graph = create_agent(self.model, middleware=[*before, self.middleware, *after], **agent_options)

    @property
    def asked(self) -> list[list[str]]:
        """The texts of the messages that the model was given, for each call."""
        return self.model.asked

    async def run(
        self, given: Any, session: str = "s", *, thread: str = "t", style: str = "ainvoke", **options: Any
    ) -> Any:
        """Run it in one of the `STYLES`; a text is a message of the user's."""
        value = {"messages": [("human", given)]} if isinstance(given, str) else given
        config = {"configurable": {"session_id": session, "thread_id": thread, **options.pop("configurable", {})}}
        if style == "ainvoke":
            return await self.graph.ainvoke(value, config, **options)
        if style == "invoke":
            return await asyncio.to_thread(self.graph.invoke, value, config, **options)
        if style == "stream":
            return await asyncio.to_thread(lambda: list(self.graph.stream(value, config, **options)))
        if style == "astream":
            return [part async for part in self.graph.astream(value, config, **options)]
        return [event async for event in self.graph.astream_events(value, config, version="v2", **options)]


async def stored(sessions: AsyncSessionRepository, session: Any = "s") -> list[str]:
    """What a session holds, as ``type: text``; fails if an id is there twice."""
    messages = (await sessions.read(session)).messages
    ids = [message.id for message in messages if message.id]
    assert len(ids) == len(set(ids))
    return [f"{message.type}: {message.text}" for message in messages]
