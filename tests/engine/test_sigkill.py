"""A process that writes is killed at every one of its requests: no clean-up, no goodbye to the sockets."""

from __future__ import annotations

import functools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import scenarios
from conftest import RepositoryFactory, TestEngine
from scenarios import CASES, Case, goes_on, moments, record, start, survives

pytestmark = [
    pytest.mark.real_engine,
    pytest.mark.once,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here"),
]

# One of each kind; the others differ in nothing a process could notice.
KILLED = [
    case
    for case in CASES
    if not (case.busy or case.blobs)
    and (case.prepare, case.operation)
    in {
        (scenarios.trimmed, scenarios.append_one),
        (scenarios.full_tail, scenarios.append_many),
        (scenarios.full_tail, scenarios.truncate),
        (scenarios.full_tail, scenarios.delete),
        (scenarios.soon_to_expire, scenarios.append_one),
        (scenarios.community_item, scenarios.append_one),
        (scenarios.kept_community_item, scenarios.replace),
        (scenarios.half_born, scenarios.append_one),
    }
]


@pytest.fixture(scope="module")
def kill_writer(engine: TestEngine) -> Iterator[Callable[..., None]]:
    """``kill_writer(table, case, moment, at, after)``: a process of its own gets as far as that request."""
    zygote = subprocess.Popen(
        [sys.executable, str(Path(__file__).parents[1] / "helpers" / "zygote.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert zygote.stdin is not None
    assert zygote.stdout is not None
    answers = zygote.stdout

    def kill(table: str, case: Case, moment: int, at: int, after: bool) -> None:
        job: dict[str, Any] = {"table": table, "endpoint_url": engine.endpoint_url, "case": CASES.index(case)}
        print(json.dumps({**job, "moment": moment, "at": at, "after": after}), file=zygote.stdin, flush=True)
        word, _, pid = answers.readline().strip().partition(" ")
        assert word == "stopped"
        os.kill(int(pid), signal.SIGKILL)
        assert answers.readline() == f"dead {signal.SIGKILL:d}\n"

    yield kill
    with zygote:
        zygote.stdin.close()
    assert zygote.returncode == 0


@pytest.mark.parametrize("case", KILLED, ids=str)
async def test_killed_at_every_request(
    make_repository: RepositoryFactory,
    table_name: str,
    kill_writer: Callable[..., None],
    case: Case,
) -> None:
    """SIGKILL at a request; the client of another process goes on."""
    clock = make_repository.set_clock()
    make = functools.partial(make_repository, **case.options)
    course = await record(case, make, clock)
    done: list[bool] = []
    for at, after in moments(course.steps):
        _, before = await start(make, clock, course.items, course.objects, course.moment)
        assert before == course.before
        kill_writer(table_name, case, course.moment, at, after)
        clock.advance(60)  # past any lease
        done.append(await survives(make(), course, goes_on(course.steps, at, after)))
    assert done == sorted(done)
