"""Throttling: retries with jitter, an error when they do not help, and nobody else notices."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import botocore
import pytest
from botocore.config import Config

from conftest import TableFactory, TestEngine
from faults import Fault, Request, Strike
from langchain_dynamodb import AsyncSessionRepository
from langchain_dynamodb._dynamodb.batches import pauses
from langchain_dynamodb._store.retrying import Patience
from langchain_dynamodb.errors import SessionBusyError, StorageError, ThrottledError
from proxy import Proxy
from scripted_server import Server, refuse
from support import human

Selected = Callable[[Request], bool]
TWICE = Config(retries={"total_max_attempts": 2})


class Throttling:
    """A plan: the selected requests are throttled, all of them or each for the first `times`."""

    def __init__(self) -> None:
        self.selected: Selected = lambda request: False
        self.times: float = float("inf")
        self.seen: Counter[str] = Counter()
        self.others: Counter[str] = Counter()
        self.throttled = 0

    def choose(self, request: Request) -> Strike:
        """Throttle, as a table does whose capacity is used up."""
        name = json.dumps(request.body, sort_keys=True)
        counts = self.seen if self.selected(request) else self.others
        counts[name] += 1
        if counts is self.others or counts[name] > self.times:
            return Strike(Fault.NONE)
        self.throttled += 1
        return Strike((Fault.EXCEEDED, Fault.THROTTLING, Fault.LIMIT)[self.throttled % 3])


def of_table(name: str) -> Selected:
    """Requests to that table."""
    return lambda request: request.body.get("TableName") == name


def of_session(name: str) -> Selected:
    """Requests for that session, as when one partition of the table is hot."""
    return lambda request: request.body.get("Key") == {"SessionId": {"S": name}}


@pytest.fixture
def throttling() -> Throttling:
    """What the proxy does."""
    return Throttling()


@pytest.fixture
async def proxy(engine: TestEngine, throttling: Throttling) -> AsyncIterator[Proxy]:
    """Run the proxy before the engine."""
    if engine.endpoint_url is None:
        pytest.skip("needs an engine that takes requests from a proxy")
    async with Proxy(engine.endpoint_url, throttling) as running:
        yield running


@pytest.fixture
def delays(caplog: pytest.LogCaptureFixture) -> Callable[[], list[float]]:
    """Seconds that the SDK waited before its retries, as it logs them."""
    caplog.set_level(logging.DEBUG, "botocore.retries.standard")

    def logged() -> list[float]:
        return [r.args[0] for r in caplog.records if r.msg.startswith("Retry needed, retrying") and r.args]  # type: ignore[index]

    return logged


@pytest.mark.real_engine
@pytest.mark.once
async def test_short_throttling_is_not_noticed(
    proxy: Proxy, throttling: Throttling, table_name: str, delays: Callable[[], list[float]]
) -> None:
    """Every request is throttled once: all succeed, after pauses that differ, and nothing is stored twice."""
    throttling.selected, throttling.times = of_table(table_name), 1
    async with AsyncSessionRepository(table_name, endpoint_url=proxy.url, config=TWICE) as repository:
        await asyncio.gather(*(repository.append(f"s{n}", [human()]) for n in range(30)))
        chats = await asyncio.gather(*(repository.read(f"s{n}") for n in range(30)))
    assert [chat.message_count for chat in chats] == [1] * 30
    assert throttling.throttled == len(delays()) == 60
    assert 0 <= min(delays()) < 0.5 < max(delays()) <= 1
    assert len(set(delays())) == 60


@pytest.mark.real_engine
@pytest.mark.once
@pytest.mark.parametrize("hot", ["table", "session"])
async def test_others_do_not_notice(
    proxy: Proxy, throttling: Throttling, make_table: TableFactory, dynamodb: Any, hot: str
) -> None:
    """A throttled table (session): `ThrottledError` after the retries, nothing written; others need no retry."""
    slow, fast = make_table(), make_table()
    throttling.selected = of_table(slow) if hot == "table" else of_session("hot")
    others = (fast if hot == "table" else slow), "cold"
    async with (
        AsyncSessionRepository(slow, endpoint_url=proxy.url, config=TWICE) as throttled,
        AsyncSessionRepository(others[0], endpoint_url=proxy.url, config=TWICE) as free,
    ):
        doomed = [asyncio.ensure_future(throttled.append("hot", [human()])) for _ in range(60)]
        for _ in range(60):
            await free.append(others[1], [human(20)])
        results = await asyncio.gather(*doomed, return_exceptions=True)
        assert {type(result) for result in results} == {ThrottledError}
        assert throttling.throttled == 120
        assert set(throttling.others.values()) == {1}  # none was sent again
        assert (await free.read(others[1])).message_count == 60
        throttling.selected = lambda request: False
        assert (await throttled.read("hot")).version == 0
        assert await throttled.append("hot", [human()]) > 0


@pytest.mark.real_engine
@pytest.mark.once
async def test_more_retries_than_the_quota(proxy: Proxy, throttling: Throttling, table_name: str) -> None:
    """A client makes about a hundred retries at a time; whoever gets none is told at once, and nothing hangs."""
    throttling.selected = of_table(table_name)
    async with AsyncSessionRepository(table_name, endpoint_url=proxy.url, config=TWICE) as repository:
        calls = (repository.append(f"s{n}", [human()]) for n in range(150))
        results = await asyncio.gather(*calls, return_exceptions=True)
    assert {type(result) for result in results} == {ThrottledError}
    assert throttling.throttled == 150 + 100


def documented() -> tuple[int, list[float], list[float]]:
    """What docs/operation.md says of the installed botocore: requests of a call, pauses where throttled, and else."""
    text = Path(__file__).parents[2].joinpath("docs", "operation.md").read_text(encoding="utf-8")
    rows = {first: row.split(" | ") for first, row in re.findall(r"^\| (up to 1\.43|from 1\.44)(.*) \|$", text, re.M)}
    new = tuple(map(int, botocore.__version__.split(".")[:2])) >= (1, 44)
    _, requests, *cells, _ = rows["from 1.44" if new else "up to 1.43"]
    throttled, others = ([float(seconds) for seconds in re.findall(r"[\d.]+", cell)] for cell in cells)
    return int(requests), throttled, others or throttled  # "the same"


@pytest.mark.skipif("AWS_NEW_RETRIES_2026" in os.environ, reason="the version decides")
@pytest.mark.parametrize("problem", ["throttled", "server error"])
async def test_how_often_a_call_is_sent(server: Server, monkeypatch: pytest.MonkeyPatch, problem: str) -> None:
    """As often, and after pauses as long, as docs/operation.md says of this botocore, with no config of the user's."""
    requests, throttled, others = documented()
    answer = refuse("ThrottlingException") if problem == "throttled" else refuse("InternalServerError", 500)
    server.answers = [answer] * 20
    pauses: list[float] = []
    sleep = asyncio.sleep

    async def no_time(seconds: float) -> None:
        pauses.extend([seconds] if seconds else [])
        await sleep(0)

    async with AsyncSessionRepository("chats", endpoint_url=server.url) as sessions:
        monkeypatch.setattr(asyncio, "sleep", no_time)
        with pytest.raises(StorageError):
            await sessions.read("s")
    assert len(server.requests) == requests
    bounds = throttled if problem == "throttled" else others
    assert [pause <= bound for pause, bound in zip(pauses, bounds, strict=True)] == [True] * (requests - 1)


def test_pauses_between_parts_of_a_batch() -> None:
    """They grow, never agree, and end with a `ThrottledError`."""
    runs: list[list[float]] = [[], []]
    for run in runs:
        with pytest.raises(ThrottledError):
            run.extend(pauses())
    bounds = [min(0.05 * 2**attempt, 2.0) for attempt in range(12)]
    for run in runs:
        assert [bound / 2 <= pause <= bound for pause, bound in zip(run, bounds, strict=True)] == [True] * 12
    assert not set(runs[0]) & set(runs[1])


async def test_pauses_between_attempts(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a lost race: at once the first time, then growing pauses that never agree, then `SessionBusyError`."""
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    for _ in range(2):
        patience = Patience("test", 30.0)
        for _ in range(12):
            await patience.wait()
    first, second = pauses[:11], pauses[11:]
    assert first[0] == second[0] == 0
    assert [0 <= p <= min(0.005 * 2**n, 0.5) for n, p in enumerate(first[1:], 2)] == [True] * 10
    assert not set(first[1:]) & set(second[1:])
    impatient = Patience("test", -1.0)
    await impatient.wait()
    with pytest.raises(SessionBusyError):
        await impatient.wait()
