"""The fault proxy really does what the chaos tests rely on, and its plans repeat."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
from botocore.config import Config

from conftest import TestEngine
from faults import Fault, Plan, Request, Script, Strike
from langchain_dynamodb._dynamodb.client_settings import ConnectionSettings
from langchain_dynamodb._dynamodb.connection import Connection
from langchain_dynamodb.errors import StorageError, ThrottledError
from proxy import Proxy

pytestmark = [pytest.mark.once, pytest.mark.any_engine]

KEY = {"SessionId": {"S": "s"}}
APPLIED, NEVER, LATER = "applied", "never", "later"
UNKNOWN: dict[str, Any] = {"kind": StorageError, "unknown": True}
OUTCOMES: dict[Fault, dict[str, Any]] = {
    Fault.NONE: {"happens": APPLIED},
    Fault.DELAYED: {"happens": APPLIED},
    Fault.REFUSED: {"happens": NEVER, **UNKNOWN},
    Fault.RESET: {"happens": NEVER, **UNKNOWN},
    Fault.DROPPED: {"happens": APPLIED, **UNKNOWN},
    Fault.LATE: {"happens": LATER, **UNKNOWN},
    Fault.SLOW: {"happens": APPLIED, **UNKNOWN},
    Fault.CUT: {"happens": APPLIED, **UNKNOWN},
    Fault.CHECKSUM: {"happens": APPLIED, **UNKNOWN},
    Fault.FAILED: {"happens": NEVER, "code": "InternalServerError", **UNKNOWN},
    Fault.FAILED_AFTER: {"happens": APPLIED, "code": "InternalServerError", **UNKNOWN},
    Fault.UNAVAILABLE: {"happens": NEVER, "code": "InternalServerError", **UNKNOWN},
    Fault.EXCEEDED: {"happens": NEVER, "kind": ThrottledError, "code": "ProvisionedThroughputExceededException"},
    Fault.THROTTLING: {"happens": NEVER, "kind": ThrottledError, "code": "ThrottlingException"},
    Fault.LIMIT: {"happens": NEVER, "kind": ThrottledError, "code": "RequestLimitExceeded"},
}


class Client:
    """Makes single requests, never twice, through a proxy that strikes as scripted."""

    def __init__(self, proxy: Proxy, script: Script, table: str) -> None:
        config = Config(retries={"mode": "standard", "total_max_attempts": 1}, read_timeout=2)
        self.connection = Connection(ConnectionSettings(proxy.url, config=config))
        self.proxy = proxy
        self.script = script
        self.table = table

    async def call(self, operation: str, fault: Fault = Fault.NONE, amount: float = 0.5, **request: Any) -> Any:
        """One request that meets this fault."""
        self.script.strikes = [Strike(fault, amount)]
        write = operation not in ("get_item", "batch_get_item")
        named = request if "RequestItems" in request else {"TableName": self.table, **request}
        return await self.connection.call(operation, named, write=write)

    async def put(self, number: int) -> None:
        """Put an item ``s<number>``."""
        await self.call("put_item", Item={"SessionId": {"S": f"s{number}"}, "n": {"N": str(number)}})

    async def count(self) -> str | None:
        """The attribute of the item ``s``."""
        item = (await self.call("get_item", Key=KEY, ConsistentRead=True)).get("Item")
        return item["n"]["N"] if item else None

    async def add(self, fault: Fault, amount: float = 0.5) -> Any:
        """Add 1 to the attribute of the item ``s``."""
        values = {":one": {"N": "1"}}
        change = {"UpdateExpression": "ADD n :one", "ExpressionAttributeValues": values, "ReturnValues": "ALL_NEW"}
        return await self.call("update_item", fault, amount, Key=KEY, **change)


@pytest.fixture
async def client(engine: TestEngine, table_name: str) -> AsyncIterator[Client]:
    """A client on a fresh table."""
    if engine.name == "aws":
        pytest.skip("what the proxy forwards is signed for the proxy")
    script = Script()
    async with Proxy(str(engine.endpoint_url), script, slow_seconds=2.3) as proxy:
        made = Client(proxy, script, table_name)
        yield made
        await made.connection.aclose()


def test_every_fault_has_a_direct_test() -> None:
    """Those of batches and of eventually consistent reads have tests of their own below."""
    assert OUTCOMES.keys() | {Fault.STALE, Fault.UNPROCESSED} == set(Fault)


@pytest.mark.parametrize(("fault", "outcome"), OUTCOMES.items(), ids=[fault.name for fault in OUTCOMES])
async def test_a_write(client: Client, fault: Fault, outcome: dict[str, Any]) -> None:
    """What the client is told, and whether the write was applied."""
    told: dict[str, Any] = {}
    try:
        await client.add(fault, 1.0)
    except StorageError as error:
        told = {"kind": type(error), "code": error.code, "unknown": error.outcome_unknown}
    expected = {"code": None, "unknown": False, **outcome} if "kind" in outcome else outcome
    assert told == {name: value for name, value in expected.items() if name != "happens"}
    if fault is Fault.REFUSED:
        await client.proxy.settle()
    assert await client.count() == ("1" if outcome["happens"] == APPLIED else None)
    await client.proxy.settle()
    assert await client.count() == (None if outcome["happens"] == NEVER else "1")
    assert client.proxy.faults == Counter([fault, Fault.NONE, Fault.NONE])


async def test_refused_connections(client: Client) -> None:
    """For a moment nothing listens; the client is told that its request cannot have arrived."""
    with pytest.raises(StorageError):
        await client.add(Fault.REFUSED, 1.0)
    with pytest.raises(StorageError) as refused:
        await client.add(Fault.NONE)
    assert not refused.value.outcome_unknown
    await client.proxy.settle()
    await client.add(Fault.NONE)
    assert await client.count() == "1"


@pytest.mark.parametrize("amount", [0.0, 0.999])
async def test_cut_anywhere(client: Client, amount: float) -> None:
    """At least one byte is missing, at most the whole body."""
    with pytest.raises(StorageError):
        await client.add(Fault.CUT, amount)
    assert await client.count() == "1"


async def test_a_client_that_gives_up_does_not_stop_its_request(client: Client) -> None:
    """What waits in the proxy is forwarded although nobody waits for the answer."""
    task = asyncio.create_task(client.add(Fault.LATE, 0.2))
    with pytest.raises(StorageError):
        await task
    await client.connection.aclose()
    await client.proxy.settle()
    assert [(request.operation, status) for request, status in client.proxy.applied] == [("UpdateItem", 200)]


async def test_earlier_states_of_one_item(client: Client) -> None:
    """An eventually consistent read sees any earlier state, absence too, and never a state that was not there."""
    for _ in range(3):
        await client.add(Fault.NONE)
    seen = set()
    for i in range(40):
        item = (await client.call("get_item", Fault.STALE, i / 40, Key=KEY)).get("Item")
        seen.add(item["n"]["N"] if item else None)
    assert seen == {None, "1", "2", "3"}
    assert 0 < client.proxy.faults[Fault.STALE] < 40


async def test_earlier_states_in_a_batch(client: Client) -> None:
    """Each item of a batch is of its own time."""
    for number in range(3):
        await client.put(number)
    keys = [{"SessionId": {"S": f"s{number}"}} for number in range(3)]
    seen = set()
    for i in range(60):
        request = {client.table: {"Keys": keys}}
        response = await client.call("batch_get_item", Fault.STALE, i / 60, RequestItems=request)
        seen.add(frozenset(item["n"]["N"] for item in response["Responses"][client.table]))
    assert len(seen) == 8  # each of the three there or not


async def test_a_deleted_item_comes_back(client: Client) -> None:
    """Deletes are changes too, single ones and those of a batch."""
    await client.put(0)
    await client.put(1)
    await client.call("delete_item", Key={"SessionId": {"S": "s0"}})
    delete = {"DeleteRequest": {"Key": {"SessionId": {"S": "s1"}}}}
    await client.call("batch_write_item", RequestItems={client.table: [delete]})
    for number in range(2):
        key = {"SessionId": {"S": f"s{number}"}}
        reads = [await client.call("get_item", Fault.STALE, i / 9, Key=key) for i in range(9)]
        assert {item["n"]["N"] for read in reads if (item := read.get("Item"))} == {str(number)}


@pytest.mark.parametrize("amount", [0.0, 0.5])
async def test_unprocessed_keys(client: Client, amount: float) -> None:
    """A part of the batch is read, the rest reported."""
    for number in range(4):
        await client.put(number)
    keys = [{"SessionId": {"S": f"s{number}"}} for number in range(4)]
    wanted = {client.table: {"Keys": keys, "ConsistentRead": True}}
    response = await client.call("batch_get_item", Fault.UNPROCESSED, amount, RequestItems=wanted)
    kept = int(4 * amount)
    found = sorted(item["n"]["N"] for item in response["Responses"][client.table])
    assert found == [str(number) for number in range(kept)]
    assert response["UnprocessedKeys"] == {client.table: {"Keys": keys[kept:], "ConsistentRead": True}}


@pytest.mark.parametrize("amount", [0.0, 0.5])
async def test_unprocessed_items(client: Client, amount: float) -> None:
    """A part of the batch is written, the rest reported."""
    writes = [{"PutRequest": {"Item": {"SessionId": {"S": f"s{number}"}}}} for number in range(4)]
    wanted = {client.table: writes}
    response = await client.call("batch_write_item", Fault.UNPROCESSED, amount, RequestItems=wanted)
    kept = int(4 * amount)
    assert response["UnprocessedItems"] == {client.table: writes[kept:]}
    found = (await client.call("scan"))["Items"]
    assert sorted(item["SessionId"]["S"] for item in found) == [f"s{number}" for number in range(kept)]


def requests(count: int, client: str = "a") -> list[Request]:
    """Requests of all kinds in turn."""
    keys: dict[str, Any] = {"Keys": [KEY]}
    kinds = [
        Request(client, "UpdateItem", {}),
        Request(client, "BatchGetItem", {"RequestItems": {"t": keys}}),
        Request(client, "BatchGetItem", {"RequestItems": {"t": {**keys, "ConsistentRead": True}}}),
        Request(client, "GetItem", {"ConsistentRead": True}),
        Request(client, "GetItem", {}),
    ]
    return [kinds[i % len(kinds)] for i in range(count)]


def test_a_plan_repeats() -> None:
    """One seed, one fate for each client, whoever else is there; another seed, another fate."""
    first, alone, crowded, other = Plan(1), Plan(1), Plan(1), Plan(2)
    fate = [first.choose(request) for request in requests(200)]
    assert [alone.choose(request) for request in requests(200)] == fate
    mixed = []
    for mine, others in zip(requests(200), requests(200, "b"), strict=True):
        crowded.choose(others)
        mixed.append(crowded.choose(mine))
    assert mixed == fate
    assert [other.choose(request) for request in requests(200)] != fate


def test_a_plan_strikes_where_it_may() -> None:
    """Every fault comes up; stale answers only to eventually consistent reads, parts only of batches."""
    plan = Plan(3, rate=0.3, stale=0.3)
    chosen = Counter((plan.choose(request).fault, request.is_eventual, request.is_batch) for request in requests(5000))
    assert {fault for fault, _, _ in chosen} == set(Fault)
    assert all(eventual for fault, eventual, _ in chosen if fault is Fault.STALE)
    assert all(batch for fault, _, batch in chosen if fault is Fault.UNPROCESSED)
    struck = Counter(batch for fault, eventual, batch in chosen.elements() if fault is not Fault.NONE and not eventual)
    assert 0.25 < struck[False] / 2000 < 0.35
    assert 0.55 < struck[True] / 1000 < 0.65
