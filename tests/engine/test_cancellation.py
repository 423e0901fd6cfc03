"""Cancelled tasks and timeouts, wherever they hit: no harm to the session, none to the client, nothing left open."""

from __future__ import annotations

import asyncio
import os
import random
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config
from langchain_core.messages import HumanMessage

from conftest import RepositoryFactory
from langchain_dynamodb import AsyncSessionRepository
from langchain_dynamodb._dynamodb import connection as connection_module
from langchain_dynamodb._dynamodb.connection import Connection
from langchain_dynamodb._dynamodb.failures import ConditionFailed
from scenarios import (
    BATCH,
    Step,
    append_many,
    append_one,
    community_item,
    delete,
    full_tail,
    is_leased,
    replace,
    state,
)
from support import SMALL, At, Call, Hooked, Recorder, Scripted, Stopping, WatchedConnection, noise, scan, watch

POOL = 4
ROUNDS = 40


def tasks() -> set[asyncio.Task[Any]]:
    """Those that are not the test itself."""
    return asyncio.all_tasks() - {asyncio.current_task()}  # type: ignore[arg-type]


def sockets() -> int:
    """Open sockets of this process (0 where the system does not list them)."""
    listed = Path("/proc/self/fd")
    if not listed.exists():
        return 0
    targets = []
    for entry in listed.iterdir():
        try:
            targets.append(os.readlink(entry))
        except OSError:  # the one that lists them
            continue
    return sum(target.startswith("socket:") for target in targets)


# --- At random points ---


class CancellingAt(WatchedConnection):
    """Cancels `task` in its n-th request: before it is sent, while it is under way, or with the response at hand."""

    def __init__(self, inner: Connection, at: int, delay: float | None, after: bool) -> None:
        super().__init__(inner)
        self.at = at
        self.delay = delay
        self.after = after
        self.task: asyncio.Future[Any] | None = None

    async def around(self, operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        self.at -= 1
        if self.at or self.task is None:
            return await proceed()
        if self.delay is not None:
            asyncio.get_running_loop().call_later(self.delay, self.task.cancel)
            return await proceed()
        response = await proceed() if self.after else {}
        self.task.cancel()
        await asyncio.sleep(0)
        return response


async def cancelled_in_a_request(rng: random.Random, repository: AsyncSessionRepository, operation: Step) -> None:
    """Cancel the task, wherever it is then."""
    delay = rng.choice([None, rng.uniform(0, 0.004)])
    watcher = watch(repository, CancellingAt, rng.randint(1, 8), delay, rng.random() < 0.5)
    watcher.task = asyncio.ensure_future(operation(repository))
    try:
        await watcher.task
    finally:
        watcher.task = None
        repository._table.connection = watcher.inner


async def timed_out(rng: random.Random, repository: AsyncSessionRepository, operation: Step) -> None:
    """As most applications limit a call."""
    await asyncio.wait_for(operation(repository), rng.uniform(0, 0.03))


async def timed_out_inside(rng: random.Random, repository: AsyncSessionRepository, operation: Step) -> None:
    """The newer way, within the task."""
    async with asyncio.timeout(rng.uniform(0, 0.03)):  # type: ignore[attr-defined,unused-ignore]
        await operation(repository)


MEANS = [cancelled_in_a_request, cancelled_in_a_request, timed_out]
if sys.version_info >= (3, 11):
    MEANS.append(timed_out_inside)


def append(*texts: str) -> Step:
    """Append these."""
    return lambda repository: repository.append("s", [HumanMessage(text) for text in texts])


async def read_all(repository: AsyncSessionRepository) -> None:
    """Both ways to read."""
    await repository.read("s")
    async for _ in repository.iter_messages("s"):
        pass


def some_operation(rng: random.Random, texts: list[str]) -> tuple[Step, list[str], list[str]]:
    """An operation, what it makes of `texts`, and the messages that it appends (they may arrive later)."""
    fresh = [rng.randbytes(rng.choice([40, 150])).hex() for _ in range(rng.choice([1, 1, 6]))]
    keep = rng.randint(0, len(texts))
    return rng.choice(
        [
            (append(*fresh), texts + fresh, fresh),
            (append(*fresh), texts + fresh, fresh),
            (lambda r: r.replace("s", [HumanMessage(text) for text in fresh]), fresh, []),
            (lambda r: r.truncate("s", keep=keep, must_exist=False), texts[:keep], []),  # the first of all finds none
            (delete, [], []),
            (read_all, texts, []),
        ]
    )


def take_out(late: list[list[str]], texts: list[str]) -> list[str]:
    """`texts` without the appends that arrived late, whole and once; those are then taken off the list."""
    for group in late[:]:
        if group[0] in texts:
            at = texts.index(group[0])
            assert texts[at : at + len(group)] == group
            texts = texts[:at] + texts[at + len(group) :]
            late.remove(group)
    return texts


async def test_at_random_points(make_repository: RepositoryFactory, seed: int) -> None:
    """The same client goes on at once: what was acknowledged is there, what was cancelled wholly or not at all."""
    print(f"--seed {seed}")  # shown where it fails
    rng = random.Random(seed)
    before = sockets()
    repository = make_repository(sizes=SMALL, config=Config(max_pool_connections=POOL))
    texts: list[str] = []
    late: list[list[str]] = []  # cancelled appends that were not seen yet
    cancelled = 0
    for number in range(ROUNDS):
        operation, after, appended = some_operation(rng, texts)
        try:
            await rng.choice(MEANS)(rng, repository, operation)
            possible = [after]
        except (asyncio.CancelledError, asyncio.TimeoutError):
            cancelled += 1
            possible = [texts, after]
            late += [appended] if appended else []
        if number:
            assert tasks() == set()
        marker = f"{number} {noise(60)}"
        await repository.append("s", [HumanMessage(marker)])
        found = await state(repository)
        known = [group for group in late if group[0] in found]
        assert take_out(late, found) in [take_out(known[:], [*texts, marker]) for texts in possible]
        texts = found
        assert sockets() <= before + POOL
    assert cancelled  # how many depends on how busy the machine is
    other = make_repository(sizes=SMALL)
    assert await state(other) == texts
    await other.delete("s")
    assert await scan(other) == []
    await asyncio.gather(repository.aclose(), other.aclose())
    assert tasks() == set()
    assert sockets() <= before  # those of earlier tests may close meanwhile


# --- The first call ---


def clients() -> int:
    """How many there are on this event loop; other tests' synchronous facades may have left some on theirs."""
    return [place[0] for place in connection_module._clients].count(asyncio.get_running_loop())


@pytest.mark.parametrize("steps", [0, 1, 2, 5])
async def test_first_call(make_repository: RepositoryFactory, steps: int) -> None:
    """The client is made all the same, once; whoever else waits for it gets it."""
    before = clients()
    repository = make_repository(config=Config(max_pool_connections=POOL))
    first, *others = (asyncio.ensure_future(append(str(i))(repository)) for i in range(4))
    for _ in range(steps):
        await asyncio.sleep(0)
    first.cancel()
    others[1].cancel()
    results = await asyncio.gather(first, *others, return_exceptions=True)
    assert [type(result) for result in results[::2]] == [asyncio.CancelledError] * 2
    await repository.append("s", [HumanMessage("later")])
    texts = await state(repository)
    assert {"1", "3"} <= set(texts)
    assert len(texts) == len(set(texts))
    assert clients() == before + 1
    assert tasks() == set()


async def test_all_first_calls(make_repository: RepositoryFactory) -> None:
    """Nobody is left who waits for the client: `aclose` ends it, and what is made then begins anew."""
    await asyncio.gather(*connection_module._closing)
    await asyncio.sleep(0.1)  # until what the tests before closed is closed
    before = sockets()
    repository = make_repository(config=Config(max_pool_connections=POOL))  # with a client of its own
    task = asyncio.ensure_future(repository.read("s"))
    await asyncio.sleep(0)
    task.cancel()
    assert await asyncio.gather(task, return_exceptions=True) != [None]
    await repository.aclose()
    assert tasks() == set()
    assert sockets() <= before  # those of earlier tests may close meanwhile
    assert await state(make_repository()) == []


# --- Writes of several requests ---


async def with_pages_under_way(repository: AsyncSessionRepository, operation: Step) -> None:
    """Cancel the operation while two of its pages are under way."""
    task = asyncio.ensure_future(operation(repository))

    async def cancel() -> None:
        asyncio.get_running_loop().call_soon(task.cancel)

    script: Scripted = watch(repository, Scripted, At("put_item", 2, first=cancel))
    with pytest.raises(asyncio.CancelledError):
        await task
    assert script.is_over


@pytest.mark.parametrize("operation", [append_many, replace])
async def test_pages_under_way(make_repository: RepositoryFactory, operation: Step) -> None:
    """The lease ends with the task, so the next turn need not wait; the pages go with it."""
    clock = make_repository.set_clock()
    repository = make_repository(sizes=SMALL)
    await full_tail(repository)
    before = await state(repository)
    await with_pages_under_way(repository, operation)
    assert tasks() == set()
    assert not is_leased(await scan(repository), clock.now)
    assert await state(repository) == before
    requests: Recorder = watch(repository, Recorder)
    await append("later")(repository)
    assert len(requests.log) < 20
    assert await state(make_repository()) == [*before, "later"]
    await repository.delete("s")
    assert await scan(repository) == []


@pytest.mark.parametrize(("prepare", "operation"), [(full_tail, append_many), (community_item, append_one)])
async def test_commit_that_arrives_late(make_repository: RepositoryFactory, prepare: Step, operation: Step) -> None:
    """The last request of a cancelled write comes when the task has ended: it is refused, nothing turns up later."""
    repository = make_repository(sizes=SMALL)
    await prepare(repository)
    before = await state(repository)
    held: list[Call] = []
    seen: list[str] = []
    reached = asyncio.Event()

    async def hook(name: str, request: Any, proceed: Call) -> dict[str, Any]:
        if name == "update_item" and "put_item" in seen and not held:
            held.append(proceed)
            reached.set()
            await asyncio.Event().wait()
        seen.append(name)
        return await proceed()

    watch(repository, Hooked, hook)
    task = asyncio.ensure_future(operation(repository))
    await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(ConditionFailed):
        await held[0]()
    assert await state(repository) == before


async def hanging_clean_up(repository: AsyncSessionRepository) -> tuple[asyncio.Future[Any], asyncio.Event]:
    """A batch that is cancelled, and whose clean-up waits for the event."""
    reached, event = asyncio.Event(), asyncio.Event()
    stopping: Stopping = watch(repository, Stopping, 3, False)

    async def hook(name: str, request: Any, proceed: Call) -> dict[str, Any]:
        if stopping.over:
            reached.set()
            await event.wait()
        return await proceed()

    watch(repository, Hooked, hook)
    task = asyncio.ensure_future(append_many(repository))
    await stopping.stopped.wait()
    stopping.proceed()
    task.cancel()
    await reached.wait()
    assert not task.done()
    return task, event


async def test_cancelled_again(make_repository: RepositoryFactory) -> None:
    """The second time a task ends at once; what it was cleaning up goes on without it."""
    clock = make_repository.set_clock()
    repository, other = make_repository(sizes=SMALL), make_repository(sizes=SMALL)
    task, event = await hanging_clean_up(repository)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert is_leased(await scan(other), clock.now)
    event.set()
    await asyncio.gather(*tasks())
    assert not is_leased(await scan(other), clock.now)


async def test_clean_up_that_hangs(make_repository: RepositoryFactory) -> None:
    """A cancelled task gives up soon where DynamoDB does not answer; its lease runs out then."""
    make_repository.wait(last_words=0.05)
    clock = make_repository.set_clock()
    repository, other = make_repository(sizes=SMALL), make_repository(sizes=SMALL)
    task, _ = await hanging_clean_up(repository)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert tasks() == set()
    assert is_leased(await scan(other), clock.now)
    clock.advance(60)
    await append("later")(other)
    assert await state(other) == ["later"]


async def test_clean_up_that_fails(make_repository: RepositoryFactory) -> None:
    """An error on the way out does not take the place of the cancellation."""
    repository = make_repository(sizes=SMALL)
    task, event = await hanging_clean_up(repository)
    await repository.aclose()
    event.set()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_waiting_for_a_lease(make_repository: RepositoryFactory) -> None:
    """Who is cancelled while waiting has written nothing, and leaves the holder alone."""
    make_repository.set_clock()
    holder, waiter = make_repository(sizes=SMALL), make_repository(sizes=SMALL)
    await append("first")(holder)
    stopping: Stopping = watch(holder, Stopping, 3, False)
    batch = asyncio.ensure_future(append_many(holder))
    await stopping.stopped.wait()
    waits: Stopping = watch(waiter, Stopping, 4, True)
    requests: Recorder = watch(waiter, Recorder)
    waiting = asyncio.ensure_future(append("waited")(waiter))
    await waits.stopped.wait()
    waits.proceed()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert [name for name, _ in requests.log] == ["update_item", *["get_item"] * 3]  # refused, then waited
    stopping.resume()
    await batch
    await append("last")(waiter)
    assert await state(waiter) == ["first", *(message.content for message in BATCH), "last"]


# --- Reading ---


async def test_iterator_closed(make_repository: RepositoryFactory) -> None:
    """An iterator that is closed in the middle leaves nothing for the event loop to finish."""
    repository = make_repository(sizes=SMALL)
    await full_tail(repository)
    messages = repository.iter_messages("s")
    first = await anext(messages)
    await messages.aclose()
    await asyncio.sleep(0)  # what is left to the garbage collector becomes a task only now
    assert tasks() == set()
    assert (await state(repository))[0] == first.content


async def test_iterator_cancelled(make_repository: RepositoryFactory) -> None:
    """An iterator that is cancelled while it reads pages is at its end; the next one begins anew."""
    repository = make_repository(sizes=SMALL)
    await full_tail(repository)
    stopping: Stopping = watch(repository, Stopping, 2, False)
    messages = repository.iter_messages("s")
    reading = asyncio.ensure_future(anext(messages))
    await stopping.stopped.wait()
    stopping.proceed()
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert [message async for message in messages] == []
    assert tasks() == set()
    assert [message.content async for message in repository.iter_messages("s")] == await state(repository)
