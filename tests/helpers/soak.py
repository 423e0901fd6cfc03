"""Long run: mixed traffic for minutes; what the process holds must stay flat and the caches within their bounds.

``nox -s soak`` runs it for three minutes, `tests/engine/test_soak.py` for less. It prints what it measured and ends
with 1 if something grew. It reads Linux's ``/proc``.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import gc
import os
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

from langchain_dynamodb import AsyncSessionRepository, history, repository
from langchain_dynamodb._dynamodb import connection
from langchain_dynamodb._store import cache
from langchain_dynamodb._store.options import Options, Timing
from langchain_dynamodb.local import ENGINES, Engine, run_engine
from traffic import SESSIONS, Traffic

WORKERS = 12
CALLS = 8  # of each worker in a round
LEAST_ROUNDS = 40
PAGE_CACHE_BYTES = 64 << 10
KNOWN_SESSIONS = SESSIONS // 4
HISTORIES = 4  # whose repositories are kept
WARM_UP = 0.25  # of the rounds


class Sample(NamedTuple):
    """What the process holds between two rounds, when no call is under way."""

    calls: int
    memory: int  # bytes resident
    blocks: int  # of memory, as Python allocates them: one or two for each object
    objects: int  # that the garbage collector knows
    files: int
    threads: int
    tasks: int
    clients: int
    pages: int  # bytes in the page cache
    known: int  # session items remembered


class Allowance(NamedTuple):
    """Growth from the early to the late samples that is still noise."""

    fixed: float
    per_call: float = 0.0


# A leak of one object, file, thread or task for each call (within minutes for each tenth) is above.
# What is fixed is for connections, which come and go, and for what the caches hold at the moment.
ALLOWED = {
    "memory": Allowance(4 << 20, 256),
    "blocks": Allowance(4500, 0.2),
    "objects": Allowance(1500, 0.1),
    "files": Allowance(8),
    "threads": Allowance(4),
    "tasks": Allowance(0),
    "clients": Allowance(0),
}


def take_sample(calls: int, shared: AsyncSessionRepository) -> Sample:
    """Count everything; garbage that waits for its collector is none of it."""
    gc.collect()
    return Sample(
        calls=calls,
        memory=int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE"),
        blocks=sys.getallocatedblocks(),
        objects=len(gc.get_objects()),
        files=len(os.listdir("/proc/self/fd")),
        threads=threading.active_count(),
        tasks=len(asyncio.all_tasks()),
        clients=len(connection._clients),
        pages=shared._reader.pages.cache.cost,
        known=shared._reader.known.cost,
    )


class Growth(NamedTuple):
    """Medians of the early and of the late samples, and the difference that is allowed."""

    name: str
    early: float
    late: float
    allowed: float

    @property
    def is_leak(self) -> bool:
        """Whether it grew by more than noise."""
        return self.late - self.early > self.allowed


def growths(samples: Sequence[Sample]) -> list[Growth]:
    """Compare the first third with the last; what comes before is warm-up."""
    steady = _steady(samples)
    third = len(steady) // 3
    early, late = ({n: median(getattr(s, n) for s in part) for n in Sample._fields} for part in _ends(steady, third))
    calls = late["calls"] - early["calls"]
    return [
        Growth(name, early[name], late[name], allowance.fixed + allowance.per_call * calls)
        for name, allowance in ALLOWED.items()
    ]


def _steady(samples: Sequence[Sample]) -> Sequence[Sample]:
    return samples[int(len(samples) * WARM_UP) :]


def _ends(steady: Sequence[Sample], third: int) -> tuple[Sequence[Sample], Sequence[Sample]]:
    return steady[:third], steady[-third:]


def check_caches(samples: Sequence[Sample]) -> list[str]:
    """Every cache is within its bound, and those of the shared repository were full all the time."""
    problems = [f"a cache of {c._max_cost} holds {c.cost}" for c in cache._caches if c.cost > c._max_cost]
    pages, known = ({getattr(s, name) for s in _steady(samples)} for name in ("pages", "known"))
    if not 0.8 * PAGE_CACHE_BYTES < min(pages) <= max(pages) <= PAGE_CACHE_BYTES:
        problems.append(f"the page cache of {PAGE_CACHE_BYTES} held {min(pages)} to {max(pages)}")
    if max(known) != KNOWN_SESSIONS:
        problems.append(f"the memory of {KNOWN_SESSIONS} sessions held {sorted(known)}")
    return problems


async def run(endpoint_url: str, seconds: float, seed: int) -> list[str]:
    """Traffic in rounds with a sample after each; returns what is wrong."""
    samples = []
    async with Traffic(endpoint_url, seed) as traffic:
        until = time.monotonic() + seconds
        while time.monotonic() < until or len(samples) < LEAST_ROUNDS:
            await traffic.round(WORKERS, CALLS)
            samples.append(take_sample(traffic.done.total(), traffic.shared))
        found = growths(samples)
        problems = check_caches(samples)
    print(f"{samples[-1].calls} calls in {len(samples)} rounds: {dict(sorted(traffic.done.items()))}")
    for growth in found:
        print(f"{growth.name:8} {growth.early:12,.0f} to {growth.late:12,.0f} (allowed +{growth.allowed:,.0f})")
    print(f"page cache {samples[-1].pages} of {PAGE_CACHE_BYTES} bytes, {samples[-1].known} sessions remembered")
    return [f"{growth.name} grew" for growth in found if growth.is_leak] + problems + traffic.left_out()


def _small_bounds() -> None:
    """Bounds so small that they are reached at once, and leases so short that nobody waits for a cancelled call."""
    bounds = {"page_cache": PAGE_CACHE_BYTES, "known_sessions": KNOWN_SESSIONS, "timing": Timing(lease=0.3)}
    repository.Options = history.Options = functools.partial(Options, **bounds)
    history._repository = functools.lru_cache(HISTORIES)(history._repository.__wrapped__)


def main() -> int:
    """Run with an engine of its own, or with one that is there already."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=180)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--engine", choices=ENGINES, default="moto")
    parser.add_argument("--endpoint-url", help="an engine that is running already")
    options = parser.parse_args()
    print(f"seed {options.seed}")
    _small_bounds()
    with contextlib.ExitStack() as stack:
        if options.endpoint_url:
            engine = Engine(options.engine, options.endpoint_url)
        else:
            engine = stack.enter_context(run_engine(options.engine))
        os.environ.update(engine.environment)
        problems = asyncio.run(run(engine.endpoint_url, options.seconds, options.seed))
    for problem in problems:
        print("WRONG:", problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
