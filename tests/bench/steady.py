"""Cold reads in a steady state: each contender in a process of its own, which reads on and on.

The garbage collector is on, and nothing is collected on purpose before a block, as the measures of `cpu` do: each
pays for its own garbage. Answers come from the same canned responder.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
from typing import Any

from canned import run_canned
from cpu import READERS, SESSION, Histories, record_reads, table_of
from wire import run_wire
from workers import Worker, run_rounds, serve

PREFIX = "Steady"
READS = {"read": None, "last 20": 20}
BLOCK = 10  # reads


async def measure(engine_url: str, *, rounds: int, histories: Histories) -> dict[str, Any]:
    """Microseconds of each contender's reads, and their ratios to ours."""
    recordings = {}
    with run_wire(engine_url) as wire:
        for kind, messages in histories:
            found, _ = await record_reads(wire, kind, messages, PREFIX)
            recordings |= found
    operations = {f"{kind}, {what}": f"{n:,} messages, {kind} turns, {what}" for kind, n in histories for what in READS}
    with run_canned(recordings) as url:
        workers = {make.name: Worker(__file__, url, make.name) for make, _ in READERS}
        times = await asyncio.to_thread(run_rounds, workers, list(operations), rounds)
        for worker in workers.values():
            worker.end()
    return {operations[name]: compare(taken) for name, taken in times.items()}


def compare(times: dict[str, list[float]]) -> dict[str, dict[str, float]]:
    """Means, and their ratios to ours: a full pass is in some blocks only, and a median would count all or none."""
    means = {name: statistics.fmean(some) for name, some in times.items()}
    return {
        "us": {name: round(mean * 1e6, 1) for name, mean in means.items()},
        "ratio": {name: round(mean / means["ours"], 3) for name, mean in means.items()},
    }


async def _work(url: str, contender: str) -> None:
    """In the worker: blocks of reads by one contender."""
    ((make, name),) = [reader for reader in READERS if reader[0].name == contender]
    opened: dict[str, Any] = {}

    async def read(operation: str) -> int:
        kind, _, what = operation.partition(", ")
        if kind not in opened:
            opened[kind] = make(url, table_of(kind, name, PREFIX))
            await opened[kind].open()
        for _ in range(BLOCK):
            opened[kind].forget()
            assert await opened[kind].read(SESSION, READS[what])
        return BLOCK

    await serve(read)
    for contender_of_kind in opened.values():
        await contender_of_kind.close()


if __name__ == "__main__":
    asyncio.run(_work(*sys.argv[1:]))
