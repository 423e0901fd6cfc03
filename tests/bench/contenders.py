"""What is compared, behind one interface: append a turn, read all messages or the newest ones.

The synchronous ones block inside their ``async`` methods, which is what calling them from a coroutine does.
"""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Sequence
from contextlib import AsyncExitStack
from importlib.util import find_spec
from typing import Any

import aioboto3
import boto3
import orjson
from aiobotocore.config import AioConfig
from langchain_core.messages import BaseMessage, message_to_dict, messages_from_dict

from langchain_dynamodb import AsyncSessionRepository, SessionRepository

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    from langchain_community.chat_message_histories import DynamoDBChatMessageHistory as CommunityHistory

Messages = Sequence[BaseMessage]

# What our own client is configured with; the layout by hand and the raw calls get it too.
CONFIG = {
    "connect_timeout": 5,
    "read_timeout": 10,
    "max_pool_connections": 50,
    "parameter_validation": False,
    "retries": {"mode": "standard"},
    "user_agent": "bench",
}


class Contender:
    """One way to keep chat sessions, on one table of one endpoint."""

    name: str
    keys: tuple[tuple[str, str], ...] = (("SessionId", "S"),)
    bounded = False  # one item holds a session: it ends at 400 KB

    def __init__(self, endpoint_url: str, table: str) -> None:
        self.endpoint_url = endpoint_url
        self.table = table

    async def open(self) -> None:
        """Make clients."""

    async def close(self) -> None:
        """End them."""

    def create_table(self) -> None:
        """Create the table it needs."""
        client: Any = boto3.client("dynamodb", endpoint_url=self.endpoint_url)
        client.create_table(
            TableName=self.table,
            KeySchema=[
                {"AttributeName": self.keys[i][0], "KeyType": ("HASH", "RANGE")[i]} for i in range(len(self.keys))
            ],
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": kind} for name, kind in self.keys],
            BillingMode="PAY_PER_REQUEST",
        )
        client.close()

    def prepare(self, messages: Messages) -> Any:
        """Bring messages to the types this one takes; not measured."""
        return messages

    def forget(self) -> None:
        """Drop what was cached: the next read is a cold one. Connections stay."""

    async def append(self, session: str, messages: Any) -> None:
        """Append one turn."""
        raise NotImplementedError

    async def load(self, session: str, turns: Sequence[Messages]) -> None:
        """Fill a session; item by item as if turn by turn, unless the result is the same otherwise."""
        for messages in turns:
            await self.append(session, self.prepare(messages))

    async def read(self, session: str, limit: int | None = None) -> list[Any]:
        """Return the newest `limit` messages, or all."""
        raise NotImplementedError


class Ours(Contender):
    """AsyncSessionRepository."""

    name = "ours"

    async def open(self) -> None:
        self.keeper = self.repository = self._make()

    async def close(self) -> None:
        await self.repository.aclose()
        await self.keeper.aclose()

    def forget(self) -> None:
        self.repository = self._make()

    async def append(self, session: str, messages: Messages) -> None:
        await self.repository.append(session, messages)

    async def read(self, session: str, limit: int | None = None) -> list[BaseMessage]:
        return (await self.repository.read(session, limit=limit)).messages

    def _make(self) -> AsyncSessionRepository:
        return AsyncSessionRepository(self.table, endpoint_url=self.endpoint_url)


class OursSync(Contender):
    """SessionRepository, the synchronous facade."""

    name = "ours, sync"

    async def open(self) -> None:
        self.keeper = self.repository = self._make()

    async def close(self) -> None:
        self.repository.close()
        self.keeper.close()

    def forget(self) -> None:
        self.repository = self._make()

    async def append(self, session: str, messages: Messages) -> None:
        self.repository.append(session, messages)

    async def read(self, session: str, limit: int | None = None) -> list[BaseMessage]:
        return self.repository.read(session, limit=limit).messages

    def _make(self) -> SessionRepository:
        return SessionRepository(self.table, endpoint_url=self.endpoint_url)


class Community(Contender):
    """langchain_community's class. Its windows are cut from the whole history: a `history_size` would drop the rest.

    One object for each session is kept, which is kinder than what `RunnableWithMessageHistory` does.
    """

    name = "langchain_community"
    bounded = True

    async def open(self) -> None:
        self.histories: dict[str, CommunityHistory] = {}

    async def append(self, session: str, messages: Messages) -> None:
        self._history(session).add_messages(messages)

    async def load(self, session: str, turns: Sequence[Messages]) -> None:
        await self.append(session, [message for turn in turns for message in turn])

    async def read(self, session: str, limit: int | None = None) -> list[BaseMessage]:
        return _newest(self._history(session).messages, limit)

    def _history(self, session: str) -> CommunityHistory:
        if session not in self.histories:
            # Without `coerce_float_to_decimal` it fails on the first float.
            self.histories[session] = CommunityHistory(
                self.table, session, endpoint_url=self.endpoint_url, coerce_float_to_decimal=True
            )
        return self.histories[session]


class CommunityAsync(Community):
    """The same through its asynchronous methods, which use the event loop's executor."""

    name = "langchain_community, async"

    async def append(self, session: str, messages: Messages) -> None:
        await self._history(session).aadd_messages(messages)

    async def read(self, session: str, limit: int | None = None) -> list[BaseMessage]:
        return _newest(await self._history(session).aget_messages(), limit)


class LlamaIndex(Contender):
    """llama-index-storage-chat-store-dynamodb; only its synchronous methods work (`broken_async_methods`)."""

    name = "llama-index"
    bounded = True

    async def open(self) -> None:
        from llama_index.storage.chat_store.dynamodb.base import DynamoDBChatStore

        self.store = DynamoDBChatStore(self.table, resource_kwargs={"endpoint_url": self.endpoint_url})

    def prepare(self, messages: Messages) -> list[Any]:
        from llama_index.core.llms import ChatMessage

        roles = {"human": "user", "ai": "assistant", "tool": "tool"}
        made = []
        for message in messages:
            # It cannot store floats, so times lose their fraction.
            data = orjson.loads(orjson.dumps(message_to_dict(message)["data"]))
            names = ("response_metadata", "usage_metadata", "id", "tool_calls")
            kwargs = {name: data[name] for name in names if data.get(name)}
            made.append(ChatMessage(role=roles[message.type], content=message.text, additional_kwargs=_whole(kwargs)))
        return made

    async def append(self, session: str, messages: list[Any]) -> None:
        for message in messages:  # it has no method for several
            self.store.add_message(session, message)

    async def load(self, session: str, turns: Sequence[Messages]) -> None:
        self.store.set_messages(session, self.prepare([message for turn in turns for message in turn]))

    async def read(self, session: str, limit: int | None = None) -> list[Any]:
        return _newest(self.store.get_messages(session), limit)


class ItemPerMessage(Contender):
    """What one would write by hand with the plain client: an item for each message, numbered by a counter item.

    The counter hands out the numbers of a turn, unless the session is being deleted; then the messages go out in one
    batch, as compact JSON in one attribute. A crash in between leaves a gap; a transaction would cost twice as much.
    """

    name = "item per message"
    keys = (("SessionId", "S"), ("Number", "N"))

    async def open(self) -> None:
        self.stack = AsyncExitStack()
        client = aioboto3.Session().client("dynamodb", endpoint_url=self.endpoint_url, config=AioConfig(**CONFIG))
        self.client: Any = await self.stack.enter_async_context(client)

    async def close(self) -> None:
        await self.stack.aclose()

    async def append(self, session: str, messages: Messages) -> None:
        response = await self.client.update_item(
            TableName=self.table,
            Key={"SessionId": {"S": session}, "Number": {"N": "0"}},
            UpdateExpression="ADD #count :added",
            ConditionExpression="attribute_not_exists(#deleted)",
            ExpressionAttributeNames={"#count": "Count", "#deleted": "Deleted"},
            ExpressionAttributeValues={":added": {"N": str(len(messages))}},
            ReturnValues="UPDATED_NEW",
        )
        last = int(response["Attributes"]["Count"]["N"])
        puts = [
            {"PutRequest": {"Item": _message_item(session, number, message)}}
            for number, message in enumerate(messages, last - len(messages) + 1)
        ]
        while puts:
            batch, puts = puts[:25], puts[25:]
            response = await self.client.batch_write_item(RequestItems={self.table: batch})
            puts = response.get("UnprocessedItems", {}).get(self.table, []) + puts

    async def read(self, session: str, limit: int | None = None) -> list[BaseMessage]:
        request: dict[str, Any] = {
            "TableName": self.table,
            "KeyConditionExpression": "SessionId = :session AND #number > :zero",
            "ExpressionAttributeNames": {"#number": "Number"},
            "ExpressionAttributeValues": {":session": {"S": session}, ":zero": {"N": "0"}},
            "ConsistentRead": True,  # as ours: what was acknowledged is read
        }
        if limit is not None:
            request |= {"ScanIndexForward": False, "Limit": limit}
        items: list[Any] = []
        while True:
            response = await self.client.query(**request)
            items += response["Items"]
            if "LastEvaluatedKey" not in response or len(items) == limit:
                break
            request["ExclusiveStartKey"] = response["LastEvaluatedKey"]
        if limit is not None:
            items.reverse()
        return messages_from_dict([orjson.loads(item["Message"]["S"]) for item in items])


CONTENDERS: tuple[type[Contender], ...] = (Ours, OursSync, Community, CommunityAsync, LlamaIndex, ItemPerMessage)


def is_installed(contender: type[Contender]) -> bool:
    """Whether its package is there: llama-index is in the dependency group `bench` only."""
    try:
        return contender is not LlamaIndex or bool(find_spec("llama_index.storage.chat_store.dynamodb"))
    except ModuleNotFoundError:
        return False


async def broken_async_methods(endpoint_url: str) -> str:
    """Return how the asynchronous methods of llama-index's store fail: the reason why they are left out."""
    if not is_installed(LlamaIndex):
        return "not installed"
    contender = LlamaIndex(endpoint_url, "none")
    await contender.open()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a coroutine of theirs that is never awaited
        try:
            await asyncio.wait_for(contender.store.aget_messages("s"), 10)
        except Exception as error:
            return f"{type(error).__name__}: {error}"
    return "they work: measure them"


def _message_item(session: str, number: int, message: BaseMessage) -> dict[str, Any]:
    text = orjson.dumps(message_to_dict(message)).decode()
    return {"SessionId": {"S": session}, "Number": {"N": str(number)}, "Message": {"S": text}}


def _newest(messages: list[Any], limit: int | None) -> list[Any]:
    return messages if limit is None else messages[max(0, len(messages) - limit) :]


def _whole(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _whole(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_whole(item) for item in value]
    return int(value) if isinstance(value, float) else value
