"""Measure 3: chat turns (read, append) of many sessions on one event loop, and the longest block of a loop."""

from __future__ import annotations

import asyncio
import gc
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

from canned import Recording, run_canned
from contenders import CommunityAsync, Contender, ItemPerMessage, Ours
from corpus import conversation
from wire import Wire, run_wire

MESSAGES = 600
RUNNERS: tuple[tuple[str, type[Contender], str, int | None], ...] = (
    ("ours", Ours, "FlowOurs", None),
    ("ours, last 20", Ours, "FlowOurs", 20),
    ("item per message", ItemPerMessage, "FlowItems", None),
    ("item per message, last 20", ItemPerMessage, "FlowItems", 20),
    ("langchain_community, async", CommunityAsync, "FlowCommunity", None),
)


async def measure(
    engine_url: str, *, sessions: tuple[int, ...], seconds: float, rounds: int, messages: int = MESSAGES
) -> dict[str, Any]:
    """Turns a second, their 50th and 99th percentile; all contenders in each round."""
    with run_wire(engine_url) as wire:
        recordings = {}
        for _, make, table, _ in RUNNERS:
            if table not in recordings:
                recordings[table] = await _record(wire, make, table, messages)
    found = {}
    with run_canned(recordings) as url:
        for concurrent in sessions:
            found[str(concurrent)] = await _rounds(url, concurrent, seconds, rounds)
    return found


async def _record(wire: Wire, make: type[Contender], table: str, messages: int) -> Recording:
    contender = make(wire.endpoint_url, table)
    contender.create_table()
    await contender.open()
    kept, turns = 0, []
    for turn in conversation("1.2 KB", messages):
        turns.append(turn)
        kept += len(turn)
        if kept >= messages:
            break
    await contender.load("session-000000", turns)
    contender.forget()
    with wire.recording() as tape:
        await contender.read("session-000000", 20)
        contender.forget()
        await contender.read("session-000000")
        await contender.append("session-000000", turns[0])
    await contender.close()
    return Recording(tape)


async def _rounds(url: str, concurrent: int, seconds: float, rounds: int) -> dict[str, Any]:
    turn = next(conversation("1.2 KB", 1))
    results: dict[str, list[dict[str, float]]] = {name: [] for name, *_ in RUNNERS}
    for _ in range(rounds):
        for name, make, table, limit in RUNNERS:
            contender = make(url, table)
            await contender.open()
            results[name].append(await _run(contender, turn, limit, concurrent, seconds))
            await contender.close()
    found: dict[str, Any] = {
        name: {key: round(statistics.median(result[key] for result in some), 1) for key in some[0]}
        for name, some in results.items()
    }
    theirs = results["langchain_community, async"]
    for name in ("ours", "ours, last 20"):
        pairs = zip(results[name], theirs, strict=True)
        found[f"{name} / langchain_community"] = round(
            statistics.median(a["turns/s"] / b["turns/s"] for a, b in pairs), 1
        )
    return found


async def _run(contender: Contender, turn: Any, limit: int | None, concurrent: int, seconds: float) -> dict[str, float]:
    """So many sessions, each turn after turn, for some seconds; the first turn of each (a cold read) does not count."""
    names = [f"session-{number:06}" for number in range(concurrent)]
    for name in names:
        await contender.read(name, limit)
    latencies: list[float] = []
    end = time.perf_counter() + seconds

    async def chat(session: str) -> None:
        while time.perf_counter() < end:
            start = time.perf_counter()
            await contender.read(session, limit)
            await contender.append(session, turn)
            latencies.append(time.perf_counter() - start)

    begun = time.perf_counter()
    await asyncio.gather(*(chat(name) for name in names))
    taken = time.perf_counter() - begun
    latencies.sort()
    return {
        "turns/s": len(latencies) / taken,
        "p50 ms": latencies[len(latencies) // 2] * 1000,
        "p99 ms": latencies[min(len(latencies) - 1, int(len(latencies) * 0.99))] * 1000,
    }


class Blocks:
    """CPU seconds of the loop's thread between two passes of the event loop, and of the garbage collector's passes.

    The collector stops all threads for as long as it takes to go through every object of the process, and every
    allocation of many objects sets it off: it is told apart.
    """

    def __init__(self) -> None:
        self.longest = self.collector = 0.0
        self._pause = self._began = 0.0
        self._loop = asyncio.get_running_loop()
        self._last: float | None = time.thread_time()
        self._loop.call_soon(self._tick)
        gc.callbacks.append(self._collecting)

    def _tick(self) -> None:
        if self._last is None:
            return
        now = time.thread_time()
        self.longest = max(self.longest, now - self._last - self._pause)
        self._last, self._pause = now, 0.0
        self._loop.call_soon(self._tick)

    def _collecting(self, phase: str, _: object) -> None:
        if phase == "start":
            self._began = time.thread_time()
        else:
            pause = time.thread_time() - self._began
            self._pause += pause
            self.collector = max(self.collector, pause)

    def stop(self) -> None:
        """Stop watching."""
        self._last = None
        gc.callbacks.remove(self._collecting)


@contextmanager
def watched() -> Iterator[Blocks]:
    """Watch the running loop."""
    blocks = Blocks()
    try:
        yield blocks
    finally:
        blocks.stop()


async def measure_blocks(
    engine_url: str, tables: dict[type[Contender], str], messages: int, rounds: int
) -> dict[str, Any]:
    """Milliseconds of the longest block of the event loop while so many messages are read (median of the rounds).

    Also in a process that has called ``gc.freeze()``, as servers may once they have started.
    """
    found: dict[str, list[tuple[float, float]]] = {}
    for make, table in tables.items():
        contender = make(engine_url, table)
        await contender.open()
        for number in range(2 * rounds):
            gc.collect()
            if frozen := number % 2:
                gc.freeze()
            for what, cold, read in _reads(contender, messages):
                if cold:
                    contender.forget()
                with watched() as blocks:
                    await read()
                name = f"{contender.name}, {what}{', frozen' if frozen else ''}"
                found.setdefault(name, []).append((blocks.longest, blocks.collector))
            await contender.append("session-000000", next(conversation("1.2 KB", 1)))
            gc.unfreeze()
        await contender.close()
    return {
        name: {
            "longest ms": round(statistics.median(longest for longest, _ in times) * 1000, 1),
            "collector ms": round(statistics.median(collector for _, collector in times) * 1000, 1),
        }
        for name, times in found.items()
    }


def _reads(contender: Contender, messages: int) -> list[tuple[str, bool, Callable[[], Awaitable[object]]]]:
    """What is watched: a name, whether the contender has seen the session, the read."""

    async def whole() -> object:
        return await contender.read("session-000000", messages)

    async def one_by_one() -> None:
        assert isinstance(contender, Ours)
        async for _ in contender.repository.iter_messages("session-000000"):
            pass

    iterated = [("iter_messages", True, one_by_one)] if isinstance(contender, Ours) else []
    return [("cold", True, whole), ("warm", False, whole), *iterated]
