"""The LangChain adapter: langchain_community's constructor and methods."""

from __future__ import annotations

import inspect
import threading
from typing import Any

import boto3
import pytest
from langchain_core.chat_history import BaseChatMessageHistory
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    HumanMessage,
    HumanMessageChunk,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
    ToolMessageChunk,
)

from langchain_dynamodb import AsyncSessionRepository, DynamoDBChatMessageHistory
from langchain_dynamodb._dynamodb import connection as connections
from langchain_dynamodb.errors import InvalidInputError, UnsupportedMessageError
from langchain_dynamodb.history import whole_message
from support import SMALL, human

PAGE = [HumanMessage("hi!"), AIMessage("whats up?")]


def test_langchain_community_page(engine: Any, table_name: str) -> None:
    """The first example of langchain_community's documentation."""
    history = DynamoDBChatMessageHistory(table_name=table_name, session_id="0", endpoint_url=engine.endpoint_url)
    assert history.messages == []
    history.add_user_message("hi!")
    history.add_ai_message("whats up?")
    assert history.messages == PAGE
    assert str(history) == "Human: hi!\nAI: whats up?"
    history.clear()
    assert history.messages == []


async def test_asynchronous_methods(engine: Any, table_name: str) -> None:
    """The asynchronous methods do the same."""
    history = DynamoDBChatMessageHistory(table_name, "0", engine.endpoint_url)
    await history.aadd_messages(PAGE)
    assert await history.aget_messages() == PAGE
    await history.aclear()
    assert await history.aget_messages() == []


def test_parameters_as_langchain_community() -> None:
    """Its parameters come first, in its order, with its defaults; ours are keyword-only."""
    theirs = pytest.importorskip("langchain_community.chat_message_histories.dynamodb")
    theirs = inspect.signature(theirs.DynamoDBChatMessageHistory).parameters.values()
    ours = inspect.signature(DynamoDBChatMessageHistory).parameters
    assert [(p.name, p.kind, p.default) for p in theirs] == [
        (p.name, p.kind, p.default) for p in list(ours.values())[: len(theirs)]
    ]
    assert {p.kind for p in list(ours.values())[len(theirs) :]} == {inspect.Parameter.KEYWORD_ONLY}


@pytest.mark.parametrize(
    ("keys", "key"),
    [
        (("PK", "SK"), {"PK": "session_id::0", "SK": "langchain_history"}),
        (("PK", "SK"), {"SK": "langchain_history", "PK": "session_id::0"}),
        (("primaryKey", "secondaryKey:N"), {"primaryKey": "foo", "secondaryKey": 123}),
        (("p:B", "s"), {"p": b"\x00\xff", "s": "x"}),
    ],
)
def test_composite_keys(engine: Any, make_table: Any, key: dict[str, Any], keys: tuple[str, str]) -> None:
    """A whole key wins over the session id, whatever its types and order."""
    table = make_table(*keys)
    for session_id in ("ignored", "ignored too"):
        history = DynamoDBChatMessageHistory(table, session_id, engine.endpoint_url, key=key)
        history.add_user_message(session_id)
    assert [m.content for m in history.messages] == ["ignored", "ignored too"]
    assert (history.session_id, history.key) == ("ignored too", key)


def test_names(engine: Any, make_table: Any, dynamodb: Any) -> None:
    """Names with dots and dashes, and reserved words, work."""
    table = make_table("the.session-id")
    history = DynamoDBChatMessageHistory(
        table,
        "0",
        engine.endpoint_url,
        "the.session-id",
        ttl=3600,
        ttl_key_name="ttl",
        history_messages_key="chat-history",
    )
    history.add_user_message("hi!")
    assert [m.content for m in history.messages] == ["hi!"]
    item = dynamodb.get_item(TableName=table, Key={"the.session-id": {"S": "0"}})["Item"]
    assert {"ttl", "chat-history"} <= set(item)


def test_a_boto3_session(engine: Any, table_name: str) -> None:
    """A boto3 session is taken as the sixth parameter, as ever."""
    session = boto3.Session("other", "secret", region_name="us-east-1") if engine.name == "moto" else boto3.Session()
    history = DynamoDBChatMessageHistory(table_name, "0", engine.endpoint_url, "SessionId", None, session)
    history.add_messages(PAGE)
    assert history.messages == PAGE


def test_attributes() -> None:
    """What was given can be read back."""
    history = DynamoDBChatMessageHistory(
        "chats", "0", ttl=60, ttl_key_name="t", history_size=5, history_messages_key="H"
    )
    assert (history.session_id, history.key, history.history_size) == ("0", {"SessionId": "0"}, 5)
    assert (history.ttl, history.ttl_key_name, history.history_messages_key) == (60, "t", "H")
    assert history.coerce_float_to_decimal is False


async def test_over_a_repository(sessions: AsyncSessionRepository) -> None:
    """`repository.history` gives the same adapter."""
    history = sessions.history("s1", history_size=2)
    await history.aadd_messages([AIMessage("hello"), *PAGE])
    assert await history.aget_messages() == PAGE
    assert (history.session_id, history.key, history.ttl, history.ttl_key_name) == (
        "s1",
        {"SessionId": "s1"},
        None,
        "expireAt",
    )
    assert isinstance(history, DynamoDBChatMessageHistory)
    assert isinstance(history, BaseChatMessageHistory)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"session_id": ""}, "''"),
        ({"session_id": 7}, "7"),
        ({"session_id": None}, "None"),
        ({"table_name": ""}, "table_name=''"),
        ({"table_name": ["chats"]}, "table_name=['chats']"),
        ({"ttl": 0}, "ttl=0"),
        ({"ttl": -1}, "ttl=-1"),
        ({"ttl": 1.5}, "ttl=1.5"),
        ({"ttl": True}, "ttl=True"),
        ({"history_size": -1}, "history_size=-1"),
        ({"history_size": "5"}, "history_size='5'"),
        ({"history_messages_key": ""}, "history_messages_key=''"),
        ({"key": {"a": 1.5}}, "1.5"),
        ({"key": {"a": "1", "b": "2", "c": {3}}}, "attributes['c'] is a set"),
        ({"key": "PK"}, "key='PK'"),
        ({"boto3_session": object()}, "object"),
        ({"endpoint_url": 8000}, "8000"),
        ({"config": {}}, "{}"),
        ({"item_format": "json"}, "item_format='json'"),
    ],
)
def test_wrong_arguments(wrong: dict[str, Any], named: str) -> None:
    """An argument that cannot be used is refused at construction, and named."""
    with pytest.raises(InvalidInputError) as caught:
        DynamoDBChatMessageHistory(**{"table_name": "chats", "session_id": "0", **wrong})
    assert named in str(caught.value)


def test_equal_numbers_of_other_types() -> None:
    """A value that equals an accepted one but is of another type is still refused."""
    DynamoDBChatMessageHistory("chats", "0", ttl=1)
    for ttl in (True, 1.0):
        with pytest.raises(InvalidInputError):
            DynamoDBChatMessageHistory("chats", "0", ttl=ttl)


def test_a_thousand_histories() -> None:
    """A thousand histories share one repository; making them opens nothing and starts no thread."""
    threads, clients = threading.active_count(), len(connections._clients)
    histories = [DynamoDBChatMessageHistory("thousand", str(i)) for i in range(1000)]
    assert len({id(history._repository) for history in histories}) == 1
    assert (threading.active_count(), len(connections._clients)) == (threads, clients)


@pytest.mark.parametrize("size", [None, 0])
def test_no_limit(engine: Any, table_name: str, size: int | None) -> None:
    """None and 0 mean no limit, as with langchain_community."""
    history = DynamoDBChatMessageHistory(table_name, "0", engine.endpoint_url, history_size=size)
    history.add_messages([HumanMessage(str(i)) for i in range(9)])
    assert len(history.messages) == 9


def test_a_window(engine: Any, table_name: str) -> None:
    """`history_size` bounds what is read, which begins with a human message."""
    for size, expected in ((1, []), (2, ["q4", "a4"]), (3, ["q4", "a4"]), (4, ["q3", "a3", "q4", "a4"])):
        history = DynamoDBChatMessageHistory(table_name, str(size), engine.endpoint_url, history_size=size)
        for i in range(5):
            history.add_messages([HumanMessage(f"q{i}"), AIMessage(f"a{i}")])
        assert [m.content for m in history.messages] == expected


GREETED = [SystemMessage("s"), AIMessage("hello"), HumanMessage("q"), AIMessage("a")]


@pytest.mark.parametrize("item_format", ["pages", "community"])
async def test_a_window_that_holds_everything(make_repository: Any, item_format: str) -> None:
    """What was not cut is given as it is, a greeting included; in the community format nobody knows of a full one."""
    sessions = make_repository(item_format=item_format)
    await sessions.append("s", GREETED)
    begins = {None: GREETED, 5: GREETED, 4: GREETED if item_format == "pages" else [GREETED[0], *GREETED[2:]]}
    for size, expected in {**begins, 3: GREETED[2:]}.items():
        assert await sessions.history("s", history_size=size).aget_messages() == expected


async def test_a_larger_window_than_what_was_kept(make_repository: Any) -> None:
    """What `history_size` has dropped for good is missing from any window, whatever its size."""
    sessions = make_repository(sizes=SMALL)
    begins = set()
    for size in [3] * 20:
        for message in (HumanMessage("q"), AIMessage(human(90).content)):
            await sessions.history("s", history_size=size).aadd_messages([message])
        begins.add((await sessions.read("s")).messages[0].type)
        for window in (None, 3, 50):
            messages = await sessions.history("s", history_size=window).aget_messages()
            assert [message.type for message in messages[:1]] == ["human"]
    assert begins == {"ai", "human"}


@pytest.mark.parametrize("item_format", ["pages", "community"])
async def test_an_instruction_is_no_message(make_repository: Any, item_format: str) -> None:
    """A `RemoveMessage` tells a graph's state what to do. It is refused before anything is written."""
    sessions = make_repository(item_format=item_format)
    await sessions.append("s", PAGE)
    added = [HumanMessage("q"), RemoveMessage(id="x")]
    with pytest.raises(UnsupportedMessageError, match=r"messages\[1\] is a Rem.* use remove_message") as caught:
        await sessions.history("s").aadd_messages(added)
    assert caught.value.path == "messages[1]"
    for change in (sessions.append, sessions.replace):
        with pytest.raises(UnsupportedMessageError, match=r"Leave it out"):
            await change("s", added)
    assert (await sessions.read("s")).messages == PAGE


async def test_nothing_to_add() -> None:
    """Adding no messages sends no request: here there is nobody to answer one."""
    history = DynamoDBChatMessageHistory("chats", "0", "http://127.0.0.1:9")
    await history.aadd_messages([])
    await history.aadd_messages(())


@pytest.mark.parametrize("wrong", [None, "hi!", HumanMessage("hi!"), [1], ["hi!"]])
async def test_wrong_messages(wrong: Any) -> None:
    """What is no list of messages is refused before anything is sent."""
    history = DynamoDBChatMessageHistory("chats", "0", "http://127.0.0.1:9")
    with pytest.raises(InvalidInputError):
        await history.aadd_messages(wrong)


def test_assigning_messages() -> None:
    """`messages` cannot be assigned, as with langchain_community."""
    with pytest.raises(NotImplementedError):
        DynamoDBChatMessageHistory("chats", "0").messages = []


def test_whole_messages() -> None:
    """A chunk becomes the message it stands for, extra fields included; a message stays what it is."""
    call = {"name": "f", "args": "{}", "id": "1", "index": 0, "type": "tool_call_chunk"}
    usage = {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}
    chunk = AIMessageChunk("a", id="i", tool_call_chunks=[call], usage_metadata=usage, flavour="sweet")
    whole = whole_message(chunk)
    assert type(whole) is AIMessage
    assert whole == AIMessage(
        "a", id="i", tool_calls=[{"name": "f", "args": {}, "id": "1"}], usage_metadata=usage, flavour="sweet"
    )
    assert type(whole_message(HumanMessageChunk("h"))) is HumanMessage
    tool = whole_message(ToolMessageChunk("t", tool_call_id="1", artifact={"n": 1}, status="error"))
    assert tool == ToolMessage("t", tool_call_id="1", artifact={"n": 1}, status="error")
    message = SystemMessage("s")
    assert whole_message(message) is message


def test_chunks_added_directly(engine: Any, table_name: str) -> None:
    """Chunks are stored as whole messages however they come."""
    history = DynamoDBChatMessageHistory(table_name, "0", engine.endpoint_url)
    history.add_messages([AIMessageChunk("a", flavour="sweet")])
    assert history.messages == [AIMessage("a", flavour="sweet")]


async def test_two_repositories_one_session(engine: Any, table_name: str, sessions: AsyncSessionRepository) -> None:
    """Reads outside of a turn see what others have added, at once."""
    history = DynamoDBChatMessageHistory(table_name, "s1", engine.endpoint_url)
    for i in range(3):
        await sessions.append("s1", [HumanMessage(str(i))])
        assert len(await history.aget_messages()) == i + 1
