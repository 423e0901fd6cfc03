"""The steps. Each is shown on the screen as it stands here, then run with our class and with langchain_community's."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from langchain_core.chat_history import BaseChatMessageHistory
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.history import RunnableWithMessageHistory

from langchain_dynamodb import SessionRepository
from scripted import ScriptedModel, some_words

HistoryClass = Callable[..., BaseChatMessageHistory]


def create_table(table_name: str) -> None:
    """Create the table"""
    sessions = SessionRepository(table_name)
    sessions.create_table()  # waits until it is there; leaves an existing one alone


def write_and_read(DynamoDBChatMessageHistory: HistoryClass, table_name: str) -> list[BaseMessage]:
    """Write and read messages"""
    history = DynamoDBChatMessageHistory(table_name, session_id="0")
    history.add_user_message("hi!")
    history.add_ai_message("whats up?")
    return history.messages


def custom_endpoint(DynamoDBChatMessageHistory: HistoryClass, table_name: str) -> list[BaseMessage]:
    """Read through a custom endpoint"""
    url = os.environ["AWS_ENDPOINT_URL_DYNAMODB"]
    history = DynamoDBChatMessageHistory(table_name, session_id="0", endpoint_url=url)
    return history.messages


def other_key_name(DynamoDBChatMessageHistory: HistoryClass, table_name: str) -> list[BaseMessage]:
    """Use a key of another name"""
    history = DynamoDBChatMessageHistory(table_name, session_id="0", primary_key_name="UserId")
    history.add_user_message("hello, UserId")
    return history.messages


def composite_key(DynamoDBChatMessageHistory: HistoryClass, table_name: str) -> list[BaseMessage]:
    """Use a composite key"""
    key = {"PK": "session_id::0", "SK": "langchain_history"}
    history = DynamoDBChatMessageHistory(table_name, session_id="0", key=key)
    history.add_user_message("hello, PK and SK")
    return history.messages


def chain(DynamoDBChatMessageHistory: HistoryClass, table_name: str) -> list[str]:
    """Give a chain a memory"""
    earlier = MessagesPlaceholder("history")
    prompt = ChatPromptTemplate.from_messages([earlier, ("human", "{question}")])
    chain = RunnableWithMessageHistory(
        prompt | ScriptedModel(),
        lambda session_id: DynamoDBChatMessageHistory(table_name, session_id=session_id),
        input_messages_key="question",
        history_messages_key="history",
    )
    bob: RunnableConfig = {"configurable": {"session_id": "bob"}}
    questions = ["Hi! I'm Bob", "Whats my name?"]
    return [chain.invoke({"question": question}, bob).text for question in questions]


async def twenty_writers(DynamoDBChatMessageHistory: HistoryClass, table_name: str) -> None:
    """Let 20 writers write at once"""
    writers = [DynamoDBChatMessageHistory(table_name, session_id="team") for _ in range(20)]
    writes = [writer.aadd_messages([HumanMessage("hi from one of 20")]) for writer in writers]
    await asyncio.gather(*writes)


def fill(DynamoDBChatMessageHistory: HistoryClass, table_name: str) -> None:
    """Grow a session beyond 400 KB, the size of an item"""
    history = DynamoDBChatMessageHistory(table_name, session_id="long")
    for _ in range(50):
        history.add_messages([HumanMessage(some_words(2000)) for _ in range(20)])


def add_a_turn(DynamoDBChatMessageHistory: HistoryClass, table_name: str) -> None:
    """Append one turn to it"""
    history = DynamoDBChatMessageHistory(table_name, session_id="long")
    history.add_messages([HumanMessage("Are you still there?"), AIMessage("I am.")])


def read_whole(DynamoDBChatMessageHistory: HistoryClass, table_name: str) -> list[BaseMessage]:
    """Read all of it"""
    return DynamoDBChatMessageHistory(table_name, session_id="long").messages


def read_window(DynamoDBChatMessageHistory: HistoryClass, table_name: str) -> list[BaseMessage]:
    """Read its newest 20 messages"""
    return DynamoDBChatMessageHistory(table_name, session_id="long", history_size=20).messages
