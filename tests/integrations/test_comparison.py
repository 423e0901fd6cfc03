"""The comparison with langchain_community, line by line: each test does the same with both classes.

What the demo shows of it (concurrent writers, sizes, costs) is checked in test_demo.py.
"""

from __future__ import annotations

import random
import time
import warnings
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError
from langchain_core.chat_history import BaseChatMessageHistory
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from langchain_dynamodb import DynamoDBChatMessageHistory
from langchain_dynamodb.encryption import LocalKeyring
from memory_blobs import MemoryBlobs

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    from langchain_community.chat_message_histories import DynamoDBChatMessageHistory as CommunityHistory

if TYPE_CHECKING:
    from conftest import TestEngine

HistoryFactory = Callable[..., BaseChatMessageHistory]


@pytest.fixture
def ours(engine: TestEngine, table_name: str) -> HistoryFactory:
    """Make our histories on a fresh table."""
    return lambda **options: DynamoDBChatMessageHistory(table_name, "ours", engine.endpoint_url, **options)


@pytest.fixture
def theirs(engine: TestEngine, table_name: str) -> HistoryFactory:
    """Make langchain_community's histories on the same table."""
    return lambda **options: CommunityHistory(table_name, "theirs", engine.endpoint_url, **options)


def test_a_write_between_their_read_and_their_write_is_lost(
    engine: TestEngine, table_name: str, theirs: HistoryFactory
) -> None:
    """langchain_community overwrites what came in while it wrote, and does not notice."""

    class Interrupted(CommunityHistory):
        @property
        def messages(self) -> list[BaseMessage]:
            """Read; then another writer comes in."""
            found: list[BaseMessage] = super().messages
            theirs().add_user_message("lost")
            return found

    Interrupted(table_name, "theirs", engine.endpoint_url).add_user_message("kept")
    assert [message.text for message in theirs().messages] == ["kept"]


def test_floats_come_back_as_they_were(ours: HistoryFactory, theirs: HistoryFactory) -> None:
    """langchain_community fails on a float, or makes a Decimal of it."""
    message = HumanMessage("hi!", additional_kwargs={"score": 0.5})
    ours().add_message(message)
    assert ours().messages == [message]
    with pytest.raises(TypeError, match="Float types are not supported"):
        theirs().add_message(message)
    theirs(coerce_float_to_decimal=True).add_message(message)
    assert isinstance(theirs().messages[0].additional_kwargs["score"], Decimal)


@pytest.mark.parametrize(
    "names", [{"ttl": 60, "ttl_key_name": "ttl"}, {"history_messages_key": "chat-history"}], ids=str
)
def test_attribute_names_may_be_any(ours: HistoryFactory, theirs: HistoryFactory, names: dict[str, Any]) -> None:
    """DynamoDB refuses langchain_community's requests with such names."""
    ours(**names).add_user_message("hi!")
    assert ours(**names).messages == [HumanMessage("hi!")]
    with pytest.raises(ClientError, match="ValidationException"):
        theirs(**names).add_user_message("hi!")


def test_expired_sessions_are_gone(
    dynamodb: Any, table_name: str, ours: HistoryFactory, theirs: HistoryFactory
) -> None:
    """langchain_community returns what DynamoDB has not come round to delete."""
    for session_id, make in (("ours", ours), ("theirs", theirs)):
        make(ttl=60).add_user_message("hi!")
        dynamodb.update_item(
            TableName=table_name,
            Key={"SessionId": {"S": session_id}},
            UpdateExpression="SET expireAt = :past",
            ExpressionAttributeValues={":past": {"N": str(int(time.time()) - 60)}},
        )
    assert (ours().messages, theirs().messages) == ([], [HumanMessage("hi!")])


def test_a_window_never_begins_with_an_answer_to_nothing(ours: HistoryFactory, theirs: HistoryFactory) -> None:
    """langchain_community cuts between a tool's call and its answer, and between a question and its answer."""
    call = AIMessage("", tool_calls=[{"name": "clock", "args": {}, "id": "1"}])
    turn = [call, ToolMessage("noon", tool_call_id="1"), AIMessage("It is noon."), HumanMessage("thanks")]
    for make in (ours, theirs):
        make(history_size=3).add_messages(turn)
    assert [message.type for message in ours(history_size=3).messages] == ["human"]
    assert [message.type for message in theirs(history_size=3).messages] == ["tool", "ai", "human"]


def test_encryption(dynamodb: Any, table_name: str, ours: HistoryFactory, theirs: HistoryFactory) -> None:
    """langchain_community needs another package for it."""
    make = partial(ours, encryption=LocalKeyring(b"k" * 32))
    make().add_user_message("secret")
    assert make().messages == [HumanMessage("secret")]
    assert "secret" not in str(dynamodb.scan(TableName=table_name)["Items"])
    with pytest.raises(ImportError, match="dynamodb-encryption-sdk"):
        theirs(kms_key_id="alias/chats")


def test_large_data(ours: HistoryFactory, theirs: HistoryFactory) -> None:
    """langchain_community has no other place for it than the item."""
    bucket = MemoryBlobs(threshold=64 << 10)
    image = HumanMessage(random.Random(1).randbytes(300_000).hex())
    make = partial(ours, blobs=bucket)
    make().add_messages([image])
    assert (make().messages, len(bucket.objects)) == ([image], 1)
    with pytest.raises(TypeError, match="blobs"):
        theirs(blobs=bucket)


def test_async_methods_are_asynchronous() -> None:
    """langchain_community inherits LangChain's, which call the synchronous ones in a thread."""
    for name in ("aadd_messages", "aget_messages", "aclear"):
        inherited = getattr(BaseChatMessageHistory, name)
        assert getattr(CommunityHistory, name) is inherited
        assert getattr(DynamoDBChatMessageHistory, name) is not inherited
