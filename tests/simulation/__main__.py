"""Plays schedules for as long as asked, in several processes: ``python -m simulation --seconds 60``.

Prints the first failing run as short as it gets, with what repeats it: ``--replay "SCENARIO" "STEPS"``.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import math
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from multiprocessing import get_context
from pathlib import Path

from .exhaustive import SMALL, Enumeration
from .play import Result, play, surroundings
from .scenario import Scenario, draw
from .schedule import Random, Replay
from .shrink import kind_of, shrink

Found = tuple[int, int, list[tuple[int, str]]]
"""Schedules, steps, and the seeds that failed with what they violated."""


def run_seed(seed: int) -> Result:
    """The run that a seed stands for."""
    chance = random.Random(seed)
    scenario = draw(chance)
    return play(scenario, Random(chance), seed)


@contextlib.contextmanager
def rare_collections() -> Iterator[None]:
    """What is there now is not looked through; what a run leaves is collected in large portions."""
    thresholds = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()


def run_seeds(seeds: Iterator[int], until: float = math.inf, stop_at: int = 1) -> Found:
    """Runs until a time, or until so many have failed."""
    schedules = steps = 0
    failed: list[tuple[int, str]] = []
    with rare_collections(), surroundings():
        for seed in seeds:
            if time.time() > until or len(failed) >= stop_at:
                break
            result = run_seed(seed)
            schedules += 1
            steps += len(result.steps)
            if result.violation:
                failed.append((seed, kind_of(result)))
    return schedules, steps, failed


def report(result: Result, seed: int) -> str:
    """A failing run, and how to repeat it."""
    steps = " ".join(result.steps)
    repeat = f'python -m simulation --seed {seed} --replay "{result.scenario}" "{steps}"'
    return "\n".join(
        [f"VIOLATION: {result.violation}", f"  {result.scenario}", *result.trace, "repeat it with:", repeat]
    )


def shrunk(seed: int) -> str:
    """The shortest form of the run of a seed, as text."""
    with surroundings():
        return report(shrink(run_seed(seed), seed), seed)


def replay(scenario: str, steps: str, seed: int) -> int:
    """Play a trace again; 1 where it fails."""
    with surroundings():
        result = play(Scenario.parse(scenario), Replay(steps.split()), seed, traced=True)
    print(report(result, seed) if result.violation else "\n".join([*result.trace, "no violation"]))
    return int(result.violation is not None)


def _work(arguments: tuple[int, int, float, int]) -> Found:
    first, step, until, stop_at = arguments
    return run_seeds(iter(range(first, sys.maxsize, step)), until, stop_at)


WRITES = "appending attempts community_conversion community_writer deleting expiring leases retrying rewriting steps"


def measure(seed: int, seconds: float) -> None:
    """Play in one process; print which lines and branches of the decisions, and of the modules that write, were run."""
    modules = ",".join(["*/_protocol/*.py", *(f"*/_store/{module}.py" for module in WRITES.split())])
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "COVERAGE_FILE": str(Path(folder, "coverage"))}
        played = ["-m", "simulation", "--inline", "--seconds", str(seconds), "--seed", str(seed)]
        for command in (["run", "--branch", f"--include={modules}", *played], ["report", "--show-missing"]):
            subprocess.run([sys.executable, "-m", "coverage", *command], env=environment, check=False)


def enumerate_all(seconds: float, only: str | None) -> int:
    """All schedules of the small scenarios; 1 where any fails. A scenario that takes too long is left unfinished."""
    failures = 0
    for name, (text, bounds) in SMALL.items() if only is None else [(only, SMALL[only])]:
        started = time.time()
        enumeration = Enumeration(Scenario.parse(text), bounds)
        finished = True
        with surroundings():
            for result in enumeration.results():
                if result.violation:
                    failures += 1
                    print(report(shrink(result, 0), 0))
                    break
                if time.time() > started + seconds:
                    finished = False
                    break
        how = "all" if finished else "not finished"
        print(f"{name}: {enumeration.played} schedules in {time.time() - started:.0f} s, {how}", flush=True)
    return int(failures > 0)


def main() -> int:
    """The exit code is 1 where anything was violated."""
    parser = argparse.ArgumentParser(prog="simulation", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, help="of the first schedule (default: any)")
    parser.add_argument("--one", action="store_true", help="only the schedule of that seed, made short")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--keep-going", type=int, default=1, metavar="N", help="stop after N violations a process")
    parser.add_argument(
        "--exhaustive", action="store_true", help="all schedules of small scenarios, --seconds for each"
    )
    parser.add_argument("--only", choices=SMALL, help="of the small scenarios")
    parser.add_argument("--coverage", action="store_true", help="of the protocol's modules, measured in one process")
    parser.add_argument("--inline", action="store_true", help="in this process")
    parser.add_argument("--replay", nargs=2, metavar=("SCENARIO", "STEPS"))
    options = parser.parse_args()
    seed = random.SystemRandom().randrange(1 << 40) if options.seed is None else options.seed
    if options.replay:
        return replay(*options.replay, seed)
    if options.one:
        print(shrunk(seed))
        return 0
    if options.exhaustive:
        return enumerate_all(options.seconds, options.only)
    if options.coverage:
        measure(seed, options.seconds)
        return 0
    until = time.time() + options.seconds
    processes = 1 if options.inline else options.processes
    work = [(seed + i, processes, until, options.keep_going) for i in range(processes)]
    if options.inline:
        found = list(map(_work, work))
    else:
        with get_context("fork").Pool(processes) as pool:
            found = pool.map(_work, work)
    failed = [pair for _, _, pairs in found for pair in pairs]
    print(f"seed {seed}: {sum(f[0] for f in found)} schedules, {sum(f[1] for f in found)} steps, {len(failed)} failed")
    first: dict[str, int] = {}
    for failing, kind in failed:
        first.setdefault(kind, failing)
    for kind, count in Counter(kind for _, kind in failed).most_common():
        print(f"--- {count} times:\n{shrunk(first[kind])}")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
