"""Load: many sessions and tasks on one repository, and very many writers of one session."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

import pytest
from langchain_core.messages import AIMessage

from conftest import RepositoryFactory
from langchain_dynamodb import AsyncSessionRepository, Sizes
from langchain_dynamodb._dynamodb.connection import Connection
from support import SMALL, Call, Meter, WatchedConnection, human, noise, watch

pytestmark = [pytest.mark.real_engine, pytest.mark.once]

SESSIONS = 1000
TASKS = 200
TURNS = 2  # in each session
APPENDERS = 100
MOST_REQUESTS = 300  # of an append to a hot session


async def test_a_thousand_sessions(make_repository: RepositoryFactory) -> None:
    """Two hundred tasks at once, each with five sessions: all is stored, at one request for each append and read."""
    repository = make_repository()
    meter: Meter = watch(repository, Meter)

    async def converse(task: int) -> None:
        for session in range(task, SESSIONS, TASKS):
            for turn in range(TURNS):
                await repository.append(f"s{session}", [human(), AIMessage(f"answer {session} {turn}")])
            chat = await repository.read(f"s{session}")
            assert chat.message_count == 2 * TURNS
            assert [m.content for m in chat.messages[1::2]] == [f"answer {session} {turn}" for turn in range(TURNS)]

    await asyncio.gather(*(converse(task) for task in range(TASKS)))
    assert dict(meter.requests) == {"update_item": SESSIONS * TURNS, "get_item": SESSIONS}


_append: ContextVar[str] = ContextVar("append")


class RequestsOfEach(WatchedConnection):
    """Counts the requests of each append, by the name it gave itself."""

    def __init__(self, inner: Connection) -> None:
        super().__init__(inner)
        self.requests: Counter[str] = Counter()

    async def around(self, operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        self.requests[_append.get("")] += 1
        return await proceed()


@pytest.mark.parametrize(
    ("sizes", "appends", "batch"),
    [(Sizes(), 3, 400), (SMALL, 1, 100)],
    ids=["pages of the usual size", "small pages"],
)
async def test_a_hot_session(make_repository: RepositoryFactory, sizes: Sizes, appends: int, batch: int) -> None:
    """A hundred appenders at once, with a batch of many pages among them: nobody starves, nothing is lost.

    The appenders go on until the batch is through.

    On two cores an append took 5 requests on average and 24 at most; 27 and 54 where a page holds four messages.
    """
    make_repository.wait(patience=240.0)  # how long a machine takes for all of that is no matter here
    repository = make_repository(sizes=sizes)
    each: RequestsOfEach = watch(repository, RequestsOfEach)
    made = [0] * APPENDERS
    batch_done = asyncio.Event()

    async def appender(n: int) -> None:
        while made[n] < appends or not batch_done.is_set():
            _append.set(f"{n} {made[n]}")
            await repository.append("s", [AIMessage(noise(60), name=_append.get())])
            made[n] += 1

    async def append_batch() -> None:
        _append.set("batch")
        try:
            await repository.append("s", [AIMessage(noise(60), name=f"batch {i}") for i in range(batch)])
        finally:
            batch_done.set()

    half = APPENDERS // 2
    await asyncio.gather(*map(appender, range(half)), append_batch(), *map(appender, range(half, APPENDERS)))
    batch_requests = each.requests.pop("batch", 0)
    mean, most = sum(each.requests.values()) / len(each.requests), max(each.requests.values())
    print(f"{mean:.1f} requests for an append, {most} at most; {batch_requests} for the batch")
    assert most <= MOST_REQUESTS
    await check_hot_session(repository, made, batch)


async def check_hot_session(repository: AsyncSessionRepository, made: list[int], batch: int) -> None:
    """Everything is there once, in the order of each writer, and the batch in one piece."""
    names = [str(message.name) for message in (await repository.read("s")).messages]
    for n in range(APPENDERS):
        assert [name for name in names if name.startswith(f"{n} ")] == [f"{n} {i}" for i in range(made[n])]
    start = names.index("batch 0")
    assert names[start : start + batch] == [f"batch {i}" for i in range(batch)]
    assert len(names) == sum(made) + batch
