"""What DynamoDB bills: counted by DynamoDB Local, failed conditions included."""

from __future__ import annotations

import random

import pytest

from conftest import RepositoryFactory, TableFactory
from corpus import turn
from langchain_dynamodb import AsyncSessionRepository, Index
from support import Meter, watch

pytestmark = pytest.mark.dynamodb_local_only

TURNS = 1000


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
