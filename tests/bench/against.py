"""Against an earlier commit: CPU time of the same operations in two processes, in turns, on one engine.

Each process has its own package, two use the SDK alone (`floors`). What is reported is the median of the rounds'
ratios.
"""

from __future__ import annotations

import asyncio
import io
import operator
import statistics
import subprocess
import sys
import tarfile
import tempfile
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from workers import ROOT, Worker, run_rounds, serve

BASELINE = "a045e2c"  # version 0.1
APPENDS = 12  # short ones that a tail has room for
TURNS = 24  # of 1.2 KB, which cut pages
READS = {"cold, short": ("short", 1000), "cold, 1.2 KB": ("1.2 KB", 600), "warm": ("short", 1000)}

Block = Callable[[], Awaitable[int]]
"""Carries out some of one operation; returns how many."""


def checkout(commit: str, folder: str) -> str:
    """Put the sources of a commit into a folder; returns what its package is imported from."""
    archive = subprocess.run(["git", "-C", str(ROOT), "archive", commit, "src"], capture_output=True, check=True)
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
        files.extractall(folder, filter="data")
    return str(Path(folder, "src"))


def measure(url: str, commit: str, rounds: int) -> dict[str, Any]:
    """Ratios of the new one and of the floors to the old one by operation, and the microseconds of the new one."""
    with tempfile.TemporaryDirectory() as folder:
        sources = {"old": checkout(commit, folder), "new": str(ROOT / "src")}
        workers = {name: Worker(__file__, url, source=source) for name, source in sources.items()}
        floors = str(Path(__file__).with_name("floors.py"))
        workers |= {name: Worker(floors, url, name) for name in ("floor", "checked")}
        times = run_rounds(workers, list(OPERATIONS), rounds)
        for worker in workers.values():
            worker.end()
    return {
        "commit": commit,
        **{
            key: {name: ratio(found[worker], found["old"]) for name, found in times.items()}
            for key, worker in {"ratio": "new", "floor": "floor", "checked": "checked"}.items()
        },
        "us": {name: round(statistics.median(t["new"]) * 1e6, 1) for name, t in times.items()},
    }


def ratio(times: list[float], others: list[float]) -> float:
    """The median of the rounds' ratios: a full pass of the collector, which few have, takes longer than a read."""
    return round(statistics.median(map(operator.truediv, times, others)), 3)


# --- In the worker: nothing but the public interface, which both packages have ---


class Operations:
    """The operations, on a table of its own, by a repository with these options.

    `appends` are those of an append's session after its first.
    """

    def __init__(self, url: str, appends: int = APPENDS, **options: Any) -> None:
        from corpus import conversation
        from langchain_dynamodb import AsyncSessionRepository

        self.table = f"Against{uuid.uuid4().hex[:8]}"
        self.make = lambda: AsyncSessionRepository(self.table, endpoint_url=url, **options)
        self.ours = self.make()
        self.conversation = conversation
        self.short = list(conversation("short", appends + 1))
        self.long = list(conversation("1.2 KB", TURNS))

    async def prepare(self) -> None:
        """Create the table, and what is read."""
        await self.ours.create_table()
        for kind, messages in set(READS.values()):
            stored = 0
            for turn in self.conversation(kind, messages):
                await self.ours.append(kind, turn[: messages - stored])
                stored += len(turn[: messages - stored])
                if stored == messages:
                    break

    async def append(self) -> int:
        """A session of short turns: those that a tail has room for, or more."""
        session = uuid.uuid4().hex
        for messages in self.short:
            await self.ours.append(session, messages)
        return len(self.short)

    async def cut(self) -> int:
        """One of turns that cut pages."""
        session = uuid.uuid4().hex
        for messages in self.long:
            await self.ours.append(session, messages)
        return len(self.long)

    async def cold(self, kind: str) -> int:
        """A read by a repository that has seen nothing."""
        assert (await self.make().read(kind)).messages
        return 1

    async def warm(self) -> int:
        """Reads by one that has."""
        for _ in range(4):
            await self.ours.read("short")
        return 4

    async def window(self) -> int:
        """The newest, by repositories that have seen nothing."""
        for _ in range(8):
            assert len((await self.make().read("short", limit=20)).messages) >= 19
        return 8


OPERATIONS: dict[str, Callable[[Operations], Awaitable[int]]] = {
    "append": Operations.append,
    "append with cuts": Operations.cut,
    "cold read of 1,000 short messages": lambda operations: operations.cold("short"),
    "cold read of 600 messages of 1.2 KB turns": lambda operations: operations.cold("1.2 KB"),
    "warm read of 1,000 short messages": Operations.warm,
    "last 20 of 1,000, cold": Operations.window,
}


async def work(operations: Operations) -> None:
    """In the worker: carry out what is asked for."""
    await operations.prepare()
    await serve(lambda name: OPERATIONS[name](operations))
    await operations.ours.aclose()


if __name__ == "__main__":
    asyncio.run(work(Operations(sys.argv[1])))
