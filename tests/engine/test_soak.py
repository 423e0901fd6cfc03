"""The long run in short, and that it would find a leak."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from conftest import TestEngine
from soak import ALLOWED, LEAST_ROUNDS, Sample, growths

PROGRAM = Path(__file__).parents[1] / "helpers" / "soak.py"
CALLS = 96  # in a round
STEADY = Sample(0, 100 << 20, 500_000, 120_000, 30, 6, 1, 2, 0, 0)
OF_A_CALL = {"memory": 6 << 10, "blocks": 3}  # what one leaked object takes, or for memory one page of a session


@pytest.mark.once
@pytest.mark.real_engine
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="counts what Linux tells in /proc")
def test_nothing_grows(engine: TestEngine) -> None:
    """Mixed traffic with cancelled calls and errors: nothing is left behind, and no cache exceeds its bound.

    As short as it can be: that such a run finds a leak is tested below.
    """
    if engine.endpoint_url is None:
        pytest.skip("would cost money")
    command = [sys.executable, "-W", "error", str(PROGRAM), "--seconds", "0", "--endpoint-url", engine.endpoint_url]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    print(run.stdout)
    assert (run.returncode, run.stderr) == (0, "")


def grown(name: str, per_call: float) -> list[Sample]:
    """Samples of a short run in which one thing grows, after a warm-up in which everything does."""
    rounds = [STEADY._replace(calls=n * CALLS) for n in range(1, LEAST_ROUNDS + 1)]
    for n in range(3):
        rounds[n] = rounds[n]._replace(memory=n << 20, blocks=n * 1000, objects=n * 300, files=n, threads=n)
    return [sample._replace(**{name: getattr(sample, name) + int(per_call * sample.calls)}) for sample in rounds]


def leaks(samples: list[Sample]) -> list[str]:
    """Names of what is reported."""
    return [growth.name for growth in growths(samples) if growth.is_leak]


def test_flat_is_no_leak() -> None:
    """What only warms up is not reported."""
    assert leaks(grown("pages", 0)) == []


@pytest.mark.parametrize("name", ALLOWED)
def test_a_leak_is_found(name: str) -> None:
    """One object, file, thread, task or client left behind by each call is reported, even by the shortest run."""
    assert leaks(grown(name, OF_A_CALL.get(name, 1))) == [name]
