"""An append with an idempotency key happens once, whatever became of earlier attempts, within a stated bound."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import textwrap
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from botocore.config import Config
from langchain_core.messages import BaseMessage, HumanMessage

from conftest import RepositoryFactory, TestEngine
from faults import Fault, Request, Script, Strike
from langchain_dynamodb import AsyncSessionRepository
from langchain_dynamodb._store.options import Timing
from langchain_dynamodb.errors import ChatHistoryError, IdempotencyError
from proxy import Proxy
from support import SMALL, At, Scripted, fill_tail, human, noise, remembered, watch

pytestmark = pytest.mark.once

Shape = Callable[[AsyncSessionRepository, str], Awaitable[list[BaseMessage]]]
FAULTS = [fault for fault in Fault if fault not in (Fault.STALE, Fault.UNPROCESSED)]  # an append meets no such request
IMPATIENT = Config(retries={"mode": "standard", "total_max_attempts": 1}, read_timeout=2)


async def into_no_session(repository: AsyncSessionRepository, session: str) -> list[BaseMessage]:
    """The first append of a session."""
    return [human(60)]


async def into_the_tail(repository: AsyncSessionRepository, session: str) -> list[BaseMessage]:
    """One with room in the tail."""
    await repository.append(session, [human(60)])
    return [human(60)]


async def over_a_cut(repository: AsyncSessionRepository, session: str) -> list[BaseMessage]:
    """One that cuts a page."""
    await fill_tail(repository, session)
    return [human(150), human(150)]


async def of_several_pages(repository: AsyncSessionRepository, session: str) -> list[BaseMessage]:
    """One that needs an intent."""
    await repository.append(session, [human(60)])
    return [human(400) for _ in range(5)]


SHAPES: list[Shape] = [into_no_session, into_the_tail, over_a_cut, of_several_pages]
ONE_REQUEST = [Fault.NONE, Fault.DELAYED]  # these do an append of one request no harm
EASY = {into_no_session: ONE_REQUEST, into_the_tail: ONE_REQUEST}


class StrikeAt:
    """Strikes the n-th request; what comes after that fails."""

    def __init__(self, position: int, fault: Fault) -> None:
        self.left = position
        self.fault = fault

    def choose(self, request: Request) -> Strike:
        """Count the request."""
        self.left -= 1
        if self.left == 0:
            return Strike(self.fault, 0.3)
        return Strike(Fault.NONE if self.left > 0 else Fault.UNAVAILABLE)


async def once(repository: AsyncSessionRepository, session: str, messages: list[BaseMessage]) -> None:
    """The messages are there once, together, at the end."""
    found = [message.content for message in (await repository.read(session)).messages]
    wanted = [message.content for message in messages]
    assert found[-len(wanted) :] == wanted
    assert found.count(wanted[0]) == 1


@pytest.mark.once
@pytest.mark.real_engine
@pytest.mark.parametrize("shape", SHAPES, ids=[shape.__name__ for shape in SHAPES])
async def test_a_retry_after_every_fault(engine: TestEngine, make_repository: RepositoryFactory, shape: Shape) -> None:
    """Every fault at every request of an append, after which nothing works for its process: another one retries."""
    make_repository.wait(lease=0.2)
    other = make_repository(sizes=SMALL)
    given_up: Counter[Fault] = Counter()

    async def at(position: int, fault: Fault, proxy: Proxy, writer: AsyncSessionRepository) -> bool:
        session = f"{fault.name} {position}"
        proxy.plan = Script()
        messages = await shape(writer, session)
        proxy.plan = plan = StrikeAt(position, fault)
        try:
            await writer.append(session, messages, idempotency_key="k")
        except ChatHistoryError:
            given_up[fault] += 1
        version = await other.append(session, messages, idempotency_key="k")  # what is late is still on its way
        await proxy.settle()
        assert await other.append(session, messages, idempotency_key="k") == version
        with pytest.raises(IdempotencyError):
            await other.append(session, [human(60)], idempotency_key="k")
        await once(other, session, messages)
        return plan.left <= 0

    async def at_every_request(fault: Fault) -> None:
        async with Proxy(str(engine.endpoint_url), Script(), slow_seconds=2.3) as proxy:
            writer = make_repository(endpoint_url=proxy.url, config=IMPATIENT, sizes=SMALL)
            position = 1
            while await at(position, fault, proxy, writer):
                position += 1

    await asyncio.gather(*(at_every_request(fault) for fault in FAULTS))
    assert [fault for fault in FAULTS if not given_up[fault]] == EASY.get(shape, [])


CHILD = """
    import asyncio, dataclasses, json, sys
    from botocore.config import Config
    from langchain_core.messages import HumanMessage
    from langchain_dynamodb import AsyncSessionRepository, Sizes
    from langchain_dynamodb._store.options import Timing
    from langchain_dynamodb.errors import ChatHistoryError

    async def main(table, endpoint_url):
        config = Config(retries={"mode": "standard", "total_max_attempts": 1})
        sizes = Sizes(session_item=700, page=500, item=900)
        async with AsyncSessionRepository(table, endpoint_url=endpoint_url, config=config, sizes=sizes) as opened:
            quick = dataclasses.replace(opened._options, timing=Timing(lease=0.2))
            sessions = opened._with(quick)
            for line in sys.stdin:
                session, texts = json.loads(line)
                try:
                    told = await sessions.append(session, [HumanMessage(t) for t in texts], idempotency_key="k")
                except ChatHistoryError as error:
                    told = type(error).__name__
                print(json.dumps(told), flush=True)

    asyncio.run(main(*sys.argv[1:]))
"""


class Child:
    """Another process that appends with the key ``k``."""

    def __init__(self, table: str, endpoint_url: str) -> None:
        command = [sys.executable, "-W", "error", "-c", textwrap.dedent(CHILD), table, endpoint_url]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    async def append(self, session: str, messages: list[BaseMessage]) -> Any:
        """What it was told: a version or the name of an error."""
        line = json.dumps([session, [message.content for message in messages]])
        return json.loads(await asyncio.to_thread(self._ask, line))

    def _ask(self, line: str) -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(line, file=self.process.stdin, flush=True)
        return self.process.stdout.readline()

    def end(self) -> None:
        """Kill it."""
        self.process.kill()
        self.process.communicate()


@pytest.mark.once
@pytest.mark.real_engine
async def test_a_retry_from_another_process(
    engine: TestEngine, table_name: str, make_repository: RepositoryFactory
) -> None:
    """A process loses the answer to its last request, and everything after it; another one repeats the append."""
    here = make_repository(sizes=SMALL)
    async with Proxy(str(engine.endpoint_url), Script()) as proxy:
        first, second = Child(table_name, proxy.url), Child(table_name, str(engine.endpoint_url))
        try:
            for shape, last_request in zip(SHAPES, (1, 1, 3, 7), strict=True):
                session = shape.__name__
                messages = await shape(here, session)
                proxy.plan = StrikeAt(last_request, Fault.DROPPED)
                assert await first.append(session, messages) == "OutcomeUnknownError"
                version = (await here.read(session)).version
                assert await second.append(session, messages) == version
                assert await second.append(session, [human(60)]) == "IdempotencyError"
                await once(here, session, messages)
        finally:
            first.end()
            second.end()


async def cut_pages(repository: AsyncSessionRepository, session: str, pages: int) -> None:
    """Let that many more pages be cut from the tail."""
    await repository.read(session)
    start = remembered(repository, session).pages
    while remembered(repository, session).pages < start + pages:
        await repository.append(session, [human(100)])


@pytest.mark.parametrize("shape", SHAPES, ids=[shape.__name__ for shape in SHAPES])
@pytest.mark.parametrize("cuts", [0, 1, 2])
async def test_how_long_a_key_is_honoured(make_repository: RepositoryFactory, shape: Shape, cuts: int) -> None:
    """Until the second page is cut after the append: then its id is in neither the tail nor the last page."""
    writer, other = make_repository(sizes=SMALL), make_repository(sizes=SMALL)
    messages = await shape(writer, "s")
    await writer.append("s", messages, idempotency_key="k")
    await cut_pages(writer, "s", cuts)
    before = await other.read("s")
    version = await other.append("s", messages, idempotency_key="k")
    after = await other.read("s")
    honoured = cuts < 2
    assert (version == before.version) == honoured
    assert after.message_count == before.message_count + (0 if honoured else len(messages))
    assert [m.content for m in after.messages].count(messages[0].content) == (1 if honoured else 2)


async def test_the_last_append_before_the_bound(make_repository: RepositoryFactory) -> None:
    """Of the appends of the last page every key is honoured, of the page before none."""
    writer, other = make_repository(sizes=SMALL), make_repository(sizes=SMALL)
    pages: dict[str, int] = {}  # of which page each append became a part
    count = 0
    while not pages or remembered(writer).pages < 3:
        key = f"k{count}"
        await writer.append("s", [HumanMessage(key + noise(40))], idempotency_key=key)
        pages[key] = remembered(writer).pages
        count += 1
    chat = await other.read("s")
    for key, message in zip(pages, chat.messages, strict=True):
        if pages[key] < 2:
            continue
        assert await other.append("s", [message], idempotency_key=key) == chat.version
        with pytest.raises(IdempotencyError):
            await other.append("s", [human(60)], idempotency_key=key)
    old = [(key, message) for key, message in zip(pages, chat.messages, strict=True) if pages[key] < 2]
    assert len(old) > 2
    assert await other.append("s", [old[-1][1]], idempotency_key=old[-1][0]) > chat.version


@pytest.mark.parametrize(
    ("change", "honoured"),
    [("metadata", True), ("truncate in the tail", True), ("replace", False), ("truncate", False), ("delete", False)],
)
async def test_keys_and_other_changes(make_repository: RepositoryFactory, change: str, honoured: bool) -> None:
    """A rewritten or deleted history has forgotten its keys; what leaves the pages alone has not."""
    writer = make_repository(sizes=SMALL)
    await writer.append("s", [human(400) for _ in range(5)])
    await writer.append("s", [HumanMessage("kept")])
    await writer.append("s", [HumanMessage("a")], idempotency_key="k")
    await writer.append("s", [HumanMessage("end")])
    if change == "metadata":
        await writer.update_metadata("s", {"n": 1})
    elif change == "replace":
        await writer.replace("s", [HumanMessage("new")])
    elif change == "delete":
        await writer.delete("s")
    else:
        await writer.truncate("s", keep=7 if change == "truncate in the tail" else 2)
    before = await writer.read("s")
    version = await writer.append("s", [HumanMessage("a")], idempotency_key="k")
    assert (version == before.version) == honoured


async def test_a_key_used_by_two_while_one_takes_the_lease(make_repository: RepositoryFactory) -> None:
    """The other one's append comes between the look at a busy session and the lease, which asks for no version."""
    first, second = make_repository(sizes=SMALL, timing=Timing(races=0)), make_repository(sizes=SMALL)
    messages = await of_several_pages(first, "s")
    overtaken = At(
        "update_item",
        first=lambda: second.append("s", messages, idempotency_key="k"),
        of=lambda request: "'lease'" in repr(request),
    )
    script: Scripted = watch(first, Scripted, overtaken)
    await first.append("s", messages, idempotency_key="k")
    assert script.is_over
    await once(second, "s", messages)
    assert remembered(second).intent is None
