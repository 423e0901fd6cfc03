"""Print what sizes of the session item cost: 1,000 turns of 1.2 KB, counted by DynamoDB Local (see docs/storage.md)."""

from __future__ import annotations

import asyncio
import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "helpers"))

from corpus import turn
from langchain_dynamodb import AsyncSessionRepository, Sizes
from langchain_dynamodb.local import run_engine
from support import Meter, watch

TURNS = 1000
DOLLARS_PER_WRITE_UNIT, DOLLARS_PER_READ_UNIT = 0.625e-6, 0.125e-6


async def measure(endpoint_url: str, size: int) -> str:
    """One row of the table."""
    options = {"endpoint_url": endpoint_url, "region_name": "us-east-1", "sizes": Sizes(session_item=size)}
    async with AsyncSessionRepository(f"Size{size}", **options) as writer:
        await writer.create_table()
        meter: Meter = watch(writer, Meter)
        rng = random.Random(7)
        for _ in range(TURNS):
            await writer.append("s", turn(rng, 1200))
        requests, units = sum(meter.requests.values()) / TURNS, meter.write_units / TURNS
    async with AsyncSessionRepository(f"Size{size}", **options) as reader:
        meter = watch(reader, Meter)
        await reader.read("s")
        full = meter.read_units / TURNS
    async with AsyncSessionRepository(f"Size{size}", **options) as reader:
        meter = watch(reader, Meter)
        await reader.read("s", limit=20)
        window = meter.read_units
    # A turn in a server that has the pages in memory: one read unit and the write.
    dollars = 1e6 * (units * DOLLARS_PER_WRITE_UNIT + DOLLARS_PER_READ_UNIT)
    return f"| {size:,} | {units:.2f} | {requests:.2f} | {full:.3f} | {window:.1f} | {dollars:.2f} |"


def main() -> None:
    """Measure all sizes."""
    with run_engine("dynamodb-local") as engine:
        print(
            "| bytes of the session item | write units a turn | requests a turn | read units a turn of a full read "
            "| read units of a window of 20 | dollars for a million turns |"
        )
        print("| --- | --- | --- | --- | --- | --- |")
        for size in (1024, 2048, 3072, 3600, 4096):
            print(asyncio.run(measure(engine.endpoint_url, size)), flush=True)


if __name__ == "__main__":
    main()
