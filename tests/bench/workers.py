"""Processes that run blocks of operations when told to, each with a heap of its own.

The garbage collector is on and nothing is collected on purpose: what a server pays in its steady state.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]
WARM_UP = 3  # rounds that are not counted: what is loaded, connected, remembered once
Times = dict[str, dict[str, list[float]]]


class Worker:
    """A process that runs one of the benchmark's programs, with the package of one folder of sources."""

    def __init__(self, program: str, *arguments: str, source: str = str(ROOT / "src")) -> None:
        paths = [source, str(ROOT / "tests" / "helpers"), str(ROOT / "docs" / "examples" / "demo")]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
        command = [sys.executable, "-W", "ignore", program, *arguments]
        self.process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(self, operation: str) -> float:
        """CPU seconds of one such operation."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(f"{operation}\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the benchmark's worker ended while it measured {operation!r}")
        return float(answer)

    def end(self) -> None:
        """Let it go."""
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait()


def run_rounds(workers: dict[str, Worker], operations: list[str], rounds: int) -> Times:
    """CPU seconds by operation and worker, round by round, beginning with another worker each time."""
    times: Times = {operation: {name: [] for name in workers} for operation in operations}
    names = list(workers)
    for number in range(WARM_UP + rounds):
        first = number % len(names)
        for operation in operations:
            for name in names[first:] + names[:first]:
                taken = workers[name].run(operation)
                if number >= WARM_UP:
                    times[operation][name].append(taken)
    return times


async def serve(run: Callable[[str], Awaitable[int]]) -> None:
    """In the worker: run what is asked for, which returns how many operations it was; answer the seconds of one."""
    loop = asyncio.get_running_loop()
    while name := (await loop.run_in_executor(None, sys.stdin.readline)).strip():
        started = time.process_time()
        done = await run(name)
        print((time.process_time() - started) / done, flush=True)
