"""Subclasses of the history class: what they override holds for calls of both kinds, as in langchain_community."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from conftest import TestEngine
from langchain_dynamodb import DynamoDBChatMessageHistory

Make = Callable[[type[DynamoDBChatMessageHistory]], Any]


@pytest.fixture
def make(engine: TestEngine, table_name: str) -> Make:
    """Make histories of one session."""
    return lambda cls: cls(table_name, "a", engine.endpoint_url)


def upper(messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    """What the overriding methods below do."""
    return [message.model_copy(update={"content": message.text.upper()}) for message in messages]


class Messages(DynamoDBChatMessageHistory):
    """Reads in its own way."""

    @property
    def messages(self) -> list[BaseMessage]:  # type: ignore[override]
        """The messages, in capitals."""
        return upper(super().messages)


class AddMessages(DynamoDBChatMessageHistory):
    """Writes in its own way."""

    def add_messages(self, messages: Sequence[BaseMessage]) -> None:
        """Add them in capitals."""
        super().add_messages(upper(messages))


class Twins(DynamoDBChatMessageHistory):
    """Has methods of both kinds, each of which does the whole work."""

    def add_messages(self, messages: Sequence[BaseMessage]) -> None:
        """Add them with a mark."""
        super().add_messages([HumanMessage(f"+{message.text}") for message in messages])

    async def aadd_messages(self, messages: Sequence[BaseMessage]) -> None:
        """Add them with a mark."""
        await super().aadd_messages([HumanMessage(f"+{message.text}") for message in messages])


class Derived(Messages):
    """Its asynchronous method goes on where that of its base does."""

    async def aget_messages(self) -> list[BaseMessage]:
        """The last one."""
        return (await super().aget_messages())[-1:]


@pytest.mark.parametrize(
    ("cls", "read", "stored"),
    [
        (Messages, ["HI", "THERE"], ["hi", "there"]),
        (AddMessages, ["HI", "THERE"], ["HI", "THERE"]),
        (Twins, ["+hi", "+there"], ["+hi", "+there"]),
        (Derived, ["THERE"], ["hi", "there"]),
    ],
)
async def test_asynchronous(make: Make, cls: Any, read: list[str], stored: list[str]) -> None:
    """An asynchronous call goes through what the subclass made of its synchronous twin, once."""
    await make(cls).aadd_messages([HumanMessage("hi"), AIMessage("there")])
    assert [message.text for message in await make(cls).aget_messages()] == read
    assert [message.text for message in await make(DynamoDBChatMessageHistory).aget_messages()] == stored


@pytest.mark.parametrize(("cls", "read"), [(Messages, ["HI"]), (AddMessages, ["HI"]), (Twins, ["+hi"])])
def test_synchronous(make: Make, cls: Any, read: list[str]) -> None:
    """A synchronous call does so too."""
    make(cls).add_message(HumanMessage("hi"))
    assert [message.text for message in make(cls).messages] == read


async def test_clear(make: Make) -> None:
    """A subclass may keep its session."""

    class Keeping(DynamoDBChatMessageHistory):
        def clear(self) -> None:
            pass

    await make(Keeping).aadd_messages([HumanMessage("hi")])
    await make(Keeping).aclear()
    assert len(await make(Keeping).aget_messages()) == 1


async def test_key(make: Make) -> None:
    """A key that a subclass makes names the session."""

    class Keyed(DynamoDBChatMessageHistory):
        @property
        def key(self) -> dict[str, Any]:  # type: ignore[override]
            return {"SessionId": "b"}

    await make(Keyed).aadd_messages([HumanMessage("hi")])
    assert await make(DynamoDBChatMessageHistory).aget_messages() == []
    assert len(await make(Keyed).aget_messages()) == 1
