"""What goes over the wire, and what DynamoDB bills for it: counted by DynamoDB Local, failed conditions included.

Requests and bytes are the same on every engine; moto counts a unit for any write.
"""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from langchain_core.messages import BaseMessage

from conftest import RepositoryFactory, TableFactory
from corpus import conversation, turn
from langchain_dynamodb import AsyncSessionRepository, Index
from langchain_dynamodb._dynamodb.connection import Connection
from langchain_dynamodb._items import attribute_names as lc
from support import Call, Hooked, Meter, scan, watch

TURNS = 1000


@pytest.mark.dynamodb_local_only
async def test_a_thousand_turns_cost_the_same_all_along(make_repository: RepositoryFactory) -> None:
    """1.2 KB turns: write units and requests a turn, flat; then full reads and windows, cold and warm."""
    writer: AsyncSessionRepository = make_repository()
    meter: Meter = watch(writer, Meter)
    rng = random.Random(7)
    units: list[float] = []
    requests: list[int] = []
    messages = 0
    for _ in range(TURNS):
        meter.reset()
        batch = turn(rng, 1200)
        messages += len(batch)
        await writer.append("s", batch)
        units.append(meter.write_units)
        requests.append(sum(meter.requests.values()))
    mean, early, late = sum(units) / TURNS, sum(units[100:200]) / 100, sum(units[900:]) / 100
    print(
        f"\nwrite units a turn {mean:.2f} (101-200: {early:.2f}, 901-1000: {late:.2f}), "
        f"requests a turn {sum(requests) / TURNS:.2f}"
    )
    assert mean <= 3.0
    assert sum(requests) / TURNS <= 1.2
    assert abs(early - late) <= 0.1 * early

    reader = make_repository()
    meter = watch(reader, Meter)
    chat = await reader.read("s")
    assert len(chat.messages) == messages
    print(f"full read: {meter.read_units / TURNS:.4f} units a turn, {sum(meter.requests.values())} requests")
    assert meter.read_units / TURNS <= 0.09
    assert sum(meter.requests.values()) <= 3

    meter.reset()
    await reader.read("s")
    print(f"the next read: {meter.read_units} units, {sum(meter.requests.values())} requests")
    assert (meter.read_units, sum(meter.requests.values())) == (1.0, 1)

    cold = make_repository()
    meter = watch(cold, Meter)
    window = await cold.read("s", limit=20)
    print(f"window of 20: {meter.read_units} units, {sum(meter.requests.values())} requests")
    assert window is not None
    assert window.messages == chat.messages[-len(window.messages) :]
    assert meter.read_units <= 2.0


@pytest.mark.once
@pytest.mark.dynamodb_local_only
async def test_what_an_index_adds(make_repository: RepositoryFactory, make_table: TableFactory) -> None:
    """Nothing for sessions that are not in it; one write unit a turn, or two where its order changes; no request."""
    plain, turns = {}, 60
    for order, added in ((None, 0), (Index.CREATED, 1), (Index.UPDATED, 2)):
        writer = make_repository(make_table())
        await writer.create_table(indexes=[Index("by_user", "user", order or Index.UPDATED)])
        meter: Meter = watch(writer, Meter)
        rng = random.Random(7)
        attributes = {"user": "u"} if order else {"other": "u"}
        for i in range(turns):
            await writer.append("s", turn(rng, 1200), attributes=None if i else attributes)
        if order is None:
            plain = {"units": meter.write_units, "requests": sum(meter.requests.values())}
            assert meter.write_units <= 3 * turns
        assert sum(meter.requests.values()) == plain["requests"]
        assert (meter.write_units - plain["units"]) / turns == pytest.approx(added, abs=0.05)


class WireMeter(Meter):
    """Counts the bytes of requests and answers as well."""

    def __init__(self, inner: Connection) -> None:
        super().__init__(inner)
        self.sent = self.received = 0

    async def call(self, operation: str, request: Mapping[str, Any], **options: bool) -> dict[str, Any]:
        response = await super().call(operation, request, **options)
        answer = {k: v for k, v in response.items() if k not in ("ResponseMetadata", "ConsumedCapacity")}
        self.sent += _wire_bytes(request)
        self.received += _wire_bytes(answer)
        return response


def _wire_bytes(value: object) -> int:
    return len(json.dumps(value, default=lambda data: base64.b64encode(data).decode()))


@dataclass(frozen=True)
class PerTurn:
    """What a turn costs, as the mean of some."""

    write_units: float
    requests: float
    sent: float
    received: float


async def cost_of_turns(repository: AsyncSessionRepository, turns: Iterable[list[BaseMessage]]) -> PerTurn:
    """Append turn by turn."""
    meter: WireMeter = watch(repository, WireMeter)
    count = 0
    for batch in turns:
        count += 1
        await repository.append("s", batch)
    numbers = meter.write_units, sum(meter.requests.values()), meter.sent, meter.received
    return PerTurn(*(number / count for number in numbers))


@pytest.mark.once
@pytest.mark.parametrize(
    ("kind", "bounds"),
    [
        ("short", PerTurn(write_units=2.6, requests=1.15, sent=1640, received=2750)),
        ("1.2 KB", PerTurn(write_units=3.0, requests=1.2, sent=2170, received=2740)),
        ("6 KB", PerTurn(write_units=6.3, requests=2.05, sent=9300, received=4350)),
    ],
)
async def test_turns_of_every_size_stay_within_bounds(
    make_repository: RepositoryFactory, kind: str, bounds: PerTurn
) -> None:
    """Write units, requests and bytes of a turn; the bounds are a tenth above what was measured."""
    cost = await cost_of_turns(make_repository(), conversation(kind, 100))
    print(f"\n{kind}: {cost}")
    assert cost.write_units <= bounds.write_units
    assert cost.requests <= bounds.requests
    assert cost.sent <= bounds.sent
    assert cost.received <= bounds.received


@pytest.mark.once
@pytest.mark.parametrize("kind", ["1.2 KB", "6 KB"])
async def test_the_turns_of_a_chat_read_one_item(make_repository: RepositoryFactory, kind: str) -> None:
    """Read, append, read, append: each read is one request, also after an append that cut a page."""
    repository = make_repository()
    meter: Meter = watch(repository, Meter)
    messages: list[BaseMessage] = []
    for batch in conversation(kind, 30):
        assert (await repository.read("s")).messages == messages
        await repository.append("s", batch)
        messages += batch
    pages = meter.requests.pop("put_item")
    assert pages >= 3
    assert meter.requests == {"get_item": 30, "update_item": 30}
    assert (await make_repository().read("s")).messages == messages


@pytest.mark.once
async def test_a_read_leaves_out_what_only_writers_need(make_repository: RepositoryFactory) -> None:
    """The ids of a page's appends do not travel: the SDK takes as long for them as for all the rest of a page."""
    writer, reader = make_repository(), make_repository()
    for batch in conversation("1.2 KB", 20):
        await writer.append("s", batch)
    stored = [item for item in await scan(writer) if lc.CUT in item]
    found: list[dict[str, Any]] = []

    async def hook(operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        response = await proceed()
        if operation == "batch_get_item":
            found.extend(response["Responses"][reader.table_name])
        return response

    watch(reader, Hooked, hook)
    await reader.read("s")
    assert len(found) == len(stored) > 1
    assert all(lc.OPS in item for item in stored)
    assert not any(lc.OPS in item for item in found)


@pytest.mark.dynamodb_local_only
async def test_turns_cost_the_same_in_a_session_of_thousands(make_repository: RepositoryFactory) -> None:
    """The same 100 turns, from the start and after 5,000 others: units, requests and bytes of a turn do not grow."""
    young = await cost_of_turns(make_repository(), conversation("1.2 KB", 100))
    repository = make_repository()
    earlier = [message for batch in conversation("short", 50) for message in batch]
    await repository.append("old", earlier * 100)
    assert (await repository.read("old", limit=1)).message_count == 10_000
    meter: WireMeter = watch(repository, WireMeter)
    for batch in conversation("1.2 KB", 100):
        await repository.append("old", batch)
    assert meter.write_units / 100 == pytest.approx(young.write_units, rel=0.05)
    assert sum(meter.requests.values()) / 100 == pytest.approx(young.requests, rel=0.02)
    assert meter.sent / 100 == pytest.approx(young.sent, rel=0.05)
    assert meter.received / 100 == pytest.approx(young.received, rel=0.05)
