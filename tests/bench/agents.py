"""What a turn of an agent costs with each way to keep its conversation, counted by the engine and on the wire.

A turn is one ``ainvoke`` of an agent made with `create_agent`. The model is scripted: all peers get the same questions,
answers and results of tools, and each turn is checked to have given the model the whole conversation.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from itertools import count, islice
from typing import Any, ClassVar

import boto3
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.tools import BaseTool, StructuredTool
from langgraph.checkpoint.memory import InMemorySaver

from agent_support import ScriptedModel
from corpus import conversation
from engine import drop_tables
from items import item_size
from langchain_dynamodb import AsyncSessionRepository
from langchain_dynamodb.middleware import DynamoDBHistoryMiddleware
from wire import Bill, Wire, run_wire

PREFIX = "Agents"
LENGTHS = (10, 100, 300)
LAST = 20  # turns up to each length that are measured: ours cuts a page in every seventh or so
CONFIG: Any = {"configurable": {"session_id": "alice", "thread_id": "alice"}}
ENDPOINT = "AWS_ENDPOINT_URL_DYNAMODB"
KINDS = {"an answer": 2, "a tool, an answer": 4}
"""The kinds of turns, and how many messages each has."""


class Peer:
    """One way to keep an agent's conversation, on one table of one endpoint."""

    name: str
    package: str
    run: ClassVar[dict[str, Any]] = {}  # what ainvoke gets
    longest = 300  # turns it is measured for

    def __init__(self, endpoint_url: str, table: str) -> None:
        self.endpoint_url = endpoint_url
        self.table = table

    async def open(self) -> None:
        """Make clients, and the table."""

    async def close(self) -> None:
        """End them."""

    def keeper(self) -> dict[str, Any]:
        """What `create_agent` gets, for the next turn."""
        raise NotImplementedError

    def stored(self) -> int:
        """Bytes of all that is kept, as DynamoDB counts them."""
        client: Any = boto3.client("dynamodb", endpoint_url=self.endpoint_url)
        pages = client.get_paginator("scan").paginate(TableName=self.table)
        size = sum(item_size(item) for page in pages for item in page["Items"])
        client.close()
        return size


class Ours(Peer):
    """The middleware, in one process."""

    name = "ours"
    package = "langchain-dynamodb"

    async def open(self) -> None:
        self.sessions = self.first = self._make()
        await self.sessions.create_table()

    async def close(self) -> None:
        await self.sessions.aclose()
        await self.first.aclose()  # its client is that of all

    def keeper(self) -> dict[str, Any]:
        return {"middleware": [DynamoDBHistoryMiddleware(self.sessions)]}

    def _make(self) -> AsyncSessionRepository:
        return AsyncSessionRepository(self.table, endpoint_url=self.endpoint_url)


class OursCold(Ours):
    """The same where each turn is served by a process that has not seen the session."""

    name = "ours, cold"

    def keeper(self) -> dict[str, Any]:
        self.sessions = self._make()
        return super().keeper()


class Aws(Peer):
    """langgraph-checkpoint-aws, as its page shows it; without a bucket for what does not fit an item."""

    name = "DynamoDBSaver"
    package = "langgraph-checkpoint-aws"
    compression = False

    async def open(self) -> None:
        from langgraph_checkpoint_aws import DynamoDBSaver

        client: Any = boto3.client("dynamodb", endpoint_url=self.endpoint_url)
        client.create_table(
            TableName=self.table,
            KeySchema=[{"AttributeName": "PK", "KeyType": "HASH"}, {"AttributeName": "SK", "KeyType": "RANGE"}],
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("PK", "SK")],
            BillingMode="PAY_PER_REQUEST",
        )
        client.close()
        self.saver = DynamoDBSaver(
            self.table, endpoint_url=self.endpoint_url, enable_checkpoint_compression=self.compression
        )

    def keeper(self) -> dict[str, Any]:
        return {"checkpointer": self.saver}


class AwsCompressed(Aws):
    """The same with compression."""

    name = "DynamoDBSaver, compressed"
    compression = True


class AwsAtExit(AwsCompressed):
    """The same with LangGraph's setting that keeps no step but the last: the least that it can cost."""

    name = "DynamoDBSaver, compressed, exit"
    run: ClassVar[dict[str, Any]] = {"durability": "exit"}


class AwsDelta(Aws):
    """The same with LangGraph's channel, in beta, that stores what each step added instead of all there is."""

    name = "DynamoDBSaver, DeltaChannel"
    longest = 100  # hundreds of requests a turn

    def keeper(self) -> dict[str, Any]:
        from delta import DeltaState

        return {**super().keeper(), "state_schema": DeltaState}


class Community(Peer):
    """langgraph-dynamodb-checkpoint, which makes its table itself; without a reducer, which would drop messages."""

    name = "langgraph-dynamodb-checkpoint"
    package = "langgraph-dynamodb-checkpoint"

    async def open(self) -> None:
        from langgraph_dynamodb_checkpoint import DynamoDBSaver

        os.environ[ENDPOINT] = self.endpoint_url  # it has no parameter for it
        try:
            self.saver = DynamoDBSaver(self.table)
        finally:
            del os.environ[ENDPOINT]

    def keeper(self) -> dict[str, Any]:
        return {"checkpointer": self.saver}


class InMemory(Peer):
    """LangGraph's own, which keeps everything in this process: no DynamoDB."""

    name = "InMemorySaver"
    package = "langgraph-checkpoint"

    async def open(self) -> None:
        self.saver = InMemorySaver()

    def keeper(self) -> dict[str, Any]:
        return {"checkpointer": self.saver}

    def stored(self) -> int:
        return sum(_bytes_within(kept) for kept in (self.saver.storage, self.saver.writes, self.saver.blobs))


PEERS: tuple[type[Peer], ...] = (Ours, OursCold, Aws, AwsCompressed, AwsAtExit, AwsDelta, Community, InMemory)


def installed() -> dict[type[Peer], str]:
    """The peers whose packages are here, with their versions; the session bench_agents has all."""
    found = {}
    for peer in PEERS:
        try:
            found[peer] = version(peer.package)
        except PackageNotFoundError:
            continue
    return found


def turns(kind: str) -> Iterator[list[BaseMessage]]:
    """Yield turns of one kind, from the conversation of 1.2 KB turns that the other measures have."""
    endless = (turn for seed in count(7) for turn in conversation("1.2 KB", 10_000, seed))
    return (turn for turn in endless if len(turn) == KINDS[kind])


async def measure(engine_url: str, lengths: Sequence[int] = LENGTHS) -> dict[str, Any]:
    """Rows of counts for each kind of turn, peer and length, and the versions of the peers."""
    rows: list[dict[str, Any]] = []
    peers = installed()
    for number, kind in enumerate(KINDS):
        for place, make in enumerate(peers):
            with run_wire(engine_url) as wire:
                rows += await _count(make(wire.endpoint_url, f"{PREFIX}{number}{place}"), wire, kind, lengths)
            print(f"  counted {kind}: {make.name}", file=sys.stderr, flush=True)
    names = {make.package: number for make, number in peers.items()}
    return {"rows": rows, "versions": names | {name: version(name) for name in ("langchain", "langgraph", "boto3")}}


async def _count(peer: Peer, wire: Wire, kind: str, lengths: Sequence[int]) -> list[dict[str, Any]]:
    """Run turn after turn; at each length, and where it ends before, look at the last turns."""
    rows = []
    bills = [Bill()]
    try:
        await peer.open()
        agent = _Agent(peer)
        for number, turn in enumerate(islice(turns(kind), min(peer.longest, max(lengths))), 1):
            before = wire.bill
            await agent.turn(turn)
            bills.append(bills[-1] + wire.bill - before)
            if number in lengths:
                rows.append(_row(peer, kind, bills))
    except Exception as error:  # whatever a peer has for what it cannot do: it is in the table
        rows.append(_row(peer, kind, bills, f"{type(error).__name__}: {error}"))
    await peer.close()
    drop_tables(peer.endpoint_url, (peer.table,))  # the engine keeps them in memory
    return rows


def _row(peer: Peer, kind: str, bills: list[Bill], error: str | None = None) -> dict[str, Any]:
    length = len(bills) - 1
    last = min(LAST, length // 2)
    turn = (bills[-1] - bills[-1 - last]) / max(1, last)
    return {
        "kind": kind,
        "peer": peer.name,
        "turns": length,
        "error": error,
        "turn": asdict(turn),
        "dollars": round(turn.dollars_per_million, 2),
        "stored": peer.stored() if length else 0,
    }


class _Agent:
    """An agent that is given its conversation by a peer, and checks that it is whole."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.said: list[str] = []
        self.results: list[str] = []

    async def turn(self, messages: list[BaseMessage]) -> None:
        """One run: a question, what the script has for an answer, and what the tools have for results."""
        model = ScriptedModel(script=[message for message in messages if isinstance(message, AIMessage)])
        self.results = [message.text for message in messages if isinstance(message, ToolMessage)]
        agent = create_agent(model, tools=self._tools(), **self.peer.keeper())
        await agent.ainvoke({"messages": messages[:1]}, CONFIG, **self.peer.run)
        self.said += [message.text for message in messages]
        if model.asked[-1] != self.said[:-1]:
            raise RuntimeError(f"{self.peer.name}: the model was not given the whole conversation")

    def _tools(self) -> list[BaseTool]:
        def run(query: str, limit: int, region: str) -> str:
            return self.results.pop(0)

        names = ("get_weather", "search_orders", "lookup_customer", "query_database")  # those of the corpus
        return [StructuredTool.from_function(run, name=name, description="Look it up.") for name in names]


def _bytes_within(value: Any) -> int:
    """Bytes of all that is bytes or text in a nest of dicts and tuples, keys included."""
    if isinstance(value, dict):
        return sum(_bytes_within(key) + _bytes_within(item) for key, item in value.items())
    if isinstance(value, tuple):
        return sum(map(_bytes_within, value))
    return len(value.encode() if isinstance(value, str) else value) if isinstance(value, (str, bytes)) else 0
