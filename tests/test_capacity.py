"""What DynamoDB bills: counted by DynamoDB Local, failed conditions included."""

from __future__ import annotations

import random

import pytest

from conftest import RepositoryFactory
from corpus import turn
from langchain_dynamodb import AsyncSessionRepository
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
