"""What encryption costs beside plain sessions: capacity units, requests, calls of the keyring, CPU time.

The keyring wraps data keys as large as those of AWS KMS, which each session item carries.
"""

from __future__ import annotations

import asyncio
import sys
import uuid
from dataclasses import asdict
from typing import Any

from against import OPERATIONS, Operations, ratio, work
from corpus import TURNS, conversation
from langchain_dynamodb import AsyncSessionRepository
from like_kms import LikeKms
from wire import Bill, run_wire
from workers import Worker, run_rounds

WAYS = ("plain", "encrypted")
APPENDS = 100  # of a session: the one that begins it looks first, and fewer turns make a page


def options(way: str) -> dict[str, Any]:
    """Those of a repository."""
    return {"encryption": LikeKms(bytes(32))} if way == "encrypted" else {}


async def measure(engine_url: str, turns: int, sessions: int, rounds: int) -> dict[str, Any]:
    """Of both ways: units and requests of a turn and of reads; then calls of the keyring, and ratios of CPU time."""
    bills: dict[str, dict[str, dict[str, dict[str, float]]]] = {}
    for kind in TURNS:
        bills[kind] = {way: await _count(engine_url, way, kind, turns) for way in WAYS}
    return {
        "turns": turns,
        "bills": bills,
        "calls": await _calls(engine_url, sessions),
        "cpu": await asyncio.to_thread(_cpu, engine_url, rounds),
    }


async def _count(engine_url: str, way: str, kind: str, turns: int) -> dict[str, dict[str, float]]:
    with run_wire(engine_url) as wire:
        made = [_made(wire.endpoint_url, uuid.uuid4().hex[:8], way)]
        await made[0].create_table()
        before = wire.bill
        for messages in conversation(kind, turns):
            await made[0].append("session", messages)
        bills = {"append": (wire.bill - before) / turns}
        for name, limit in (("warm", None), ("cold", None), ("last 20", 20)):
            if name != "warm":
                made.append(AsyncSessionRepository(made[0].table_name, endpoint_url=wire.endpoint_url, **options(way)))
            else:
                await made[0].read("session")
            before: Bill = wire.bill
            await made[-1].read("session", limit=limit)
            bills[name] = wire.bill - before
        for repository in made:
            await repository.aclose()
    return {name: asdict(bill) for name, bill in bills.items()}


def _made(url: str, name: str, way: str) -> AsyncSessionRepository:
    return AsyncSessionRepository(f"Against{name}", endpoint_url=url, **options(way))


async def _calls(engine_url: str, sessions: int) -> dict[str, Any]:
    """Calls of the keyring for so many sessions, which begin one after the other and are then read by another."""
    writing, reading = LikeKms(bytes(32)), LikeKms(bytes(32))
    table = f"Against{uuid.uuid4().hex[:8]}"
    (turn,) = conversation("short", 1)
    async with AsyncSessionRepository(table, endpoint_url=engine_url, encryption=writing) as writer:
        await writer.create_table()
        for n in range(sessions):
            await writer.append(f"s{n}", turn)
    async with AsyncSessionRepository(table, endpoint_url=engine_url, encryption=reading) as reader:
        for n in range(sessions):
            await reader.read(f"s{n}")
    return {"sessions": sessions, "begin": len(writing.calls), "read": len(reading.calls)}


def _cpu(engine_url: str, rounds: int) -> dict[str, float]:
    workers = {way: Worker(__file__, engine_url, way) for way in WAYS}
    times = run_rounds(workers, list(OPERATIONS), rounds)
    for worker in workers.values():
        worker.end()
    return {name: ratio(taken["encrypted"], taken["plain"]) for name, taken in times.items()}


if __name__ == "__main__":
    asyncio.run(work(Operations(sys.argv[1], APPENDS, **options(sys.argv[2]))))
