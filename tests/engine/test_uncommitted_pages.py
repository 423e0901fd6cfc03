"""Pages that nobody committed: they prove nothing, and whoever put them takes them away."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from botocore.config import Config
from langchain_core.messages import BaseMessage, HumanMessage

from conftest import RepositoryFactory, TestEngine
from faults import Fault, Script, Strike
from langchain_dynamodb import AsyncSessionRepository
from langchain_dynamodb._dynamodb.failures import ConditionFailed
from langchain_dynamodb.errors import OutcomeUnknownError, StorageError
from proxy import Proxy
from support import SMALL, At, Call, Crash, Hooked, Scripted, fill_tail, human, no_answer, remembered, scan, watch

pytestmark = pytest.mark.once

LOST = StorageError("no answer", outcome_unknown=True)


async def contents(repository: AsyncSessionRepository) -> list[Any]:
    """What the messages of the session say."""
    return [message.content for message in (await repository.read("s")).messages]


@pytest.mark.parametrize("certain", [True, False], ids=["sent again and refused", "never answered"])
async def test_a_page_of_our_own_is_no_proof_of_an_append(make_repository: RepositoryFactory, certain: bool) -> None:
    """The history is rewritten between page and commit, the commit's outcome is in doubt: nobody says it is done."""
    writer, other = make_repository(sizes=SMALL), make_repository(sizes=SMALL)
    await writer.replace("s", [human(60), human(400)])
    rewritten = False

    async def lose(operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        nonlocal rewritten
        if operation != "update_item" or rewritten:
            return await proceed()
        rewritten = True
        await other.truncate("s", keep=1)
        if not certain:
            raise LOST
        try:
            return await proceed()
        except ConditionFailed as failure:
            raise ConditionFailed(failure.item, retried=True) from None

    async def stay(operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        if operation == "batch_write_item":  # the rewriter does not get to delete what it dropped
            raise StorageError("no")
        return await proceed()

    watch(other, Hooked, stay)
    watch(writer, Hooked, lose)
    with pytest.raises(OutcomeUnknownError):
        await writer.append("s", [human(860)])
    assert rewritten
    assert len(await contents(make_repository())) == 1


class Traces:
    """A writer that dies with its pages on their way, so that they can arrive at any later time."""

    def __init__(self, repository: AsyncSessionRepository) -> None:
        self.puts: list[Mapping[str, Any]] = []
        self.repository = repository
        self.inner = repository._table.connection

    async def die(self, messages: list[BaseMessage]) -> None:
        """Append until the first page is put."""
        watch(self.repository, Hooked, self._stop)
        with pytest.raises(Crash):
            await self.repository.append("s", messages)

    async def arrive(self) -> None:
        """Let the pages come."""
        for put in self.puts:
            await self.inner.call("put_item", put, write=True)

    async def _stop(self, operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        if operation == "put_item":
            self.puts.append(request)
            raise Crash
        return await proceed()


@pytest.mark.parametrize("moment", ["before the look", "between look and pages"])
async def test_pages_of_others_are_no_proof_against_an_append(make_repository: RepositoryFactory, moment: str) -> None:
    """An append, its answer lost, is rewritten away, and late pages lie where it might be: there is no second one."""
    make_repository.wait(lease=0.0)
    writer, other, late = (make_repository(sizes=SMALL) for _ in range(3))
    await writer.append("s", [human(30)])
    traces = Traces(late)
    await traces.die([human(400) for _ in range(3)])
    await other.append("s", [human(30)])  # takes back what the dead one began
    await writer.read("s")
    done: list[str] = []

    async def rewrite() -> None:
        await other.replace("s", [HumanMessage("new")])
        await traces.arrive()

    async def lose(operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        if not done:
            done.append("append")
            await proceed()
            if moment == "before the look":
                await rewrite()
            else:
                for _ in range(12):
                    await other.append("s", [human(60)])
            raise LOST
        if operation == "batch_get_item" and moment != "before the look" and "rewrite" not in done:
            done.append("rewrite")
            await rewrite()
        return await proceed()

    watch(writer, Hooked, lose)
    with pytest.raises(OutcomeUnknownError):
        await writer.append("s", [HumanMessage("once")])
    assert await contents(make_repository()) == ["new"]


@pytest.mark.parametrize("sizes", [[60, 60], [860], [400] * 5], ids=["tail cut", "cut", "batch"])
async def test_a_writer_that_did_not_see_a_rewrite_leaves_nothing(
    make_repository: RepositoryFactory, sizes: list[int]
) -> None:
    """It puts pages where the rewriter has cleared already, and removes them again: delete would not find them."""
    make_repository.wait(lease=0.0)
    writer, other = make_repository(sizes=SMALL), make_repository(sizes=SMALL)
    await fill_tail(writer)
    watch(writer, Scripted, At("put_item", first=lambda: other.replace("s", [HumanMessage("new")])))
    batch = [human(size) for size in sizes]
    await writer.append("s", batch)
    assert await contents(make_repository()) == ["new", *(message.content for message in batch)]
    await other.delete("s")
    assert await scan(other) == []


async def test_a_writer_whose_begun_session_was_taken_back_leaves_nothing(make_repository: RepositoryFactory) -> None:
    """Its page comes when another has removed the session it began, and it gets no answer to it."""
    make_repository.wait(lease=0.0)
    writer, other = make_repository(sizes=SMALL), make_repository(sizes=SMALL)
    taken_back = At("put_item", first=lambda: other.append("s", [HumanMessage("new")]), error=no_answer())
    watch(writer, Scripted, taken_back)
    batch = [human(400) for _ in range(3)]
    await writer.append("s", batch)
    assert await contents(make_repository()) == ["new", *(message.content for message in batch)]
    await other.delete("s")
    assert await scan(other) == []


@pytest.mark.parametrize("what", ["begun session", "tail cut", "cut", "batch"])
async def test_a_writer_whose_session_is_being_removed_leaves_nothing(
    make_repository: RepositoryFactory, what: str
) -> None:
    """Its page comes after another has removed the pages, its commit before the item is removed as well."""
    make_repository.wait(lease=0.0)
    writer, other = make_repository(sizes=SMALL), make_repository(sizes=SMALL)
    if what != "begun session":
        await fill_tail(writer)
    cleared, refused = asyncio.Event(), asyncio.Event()
    removals: list[asyncio.Task[Any]] = []

    async def slowly(operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        if operation == "delete_item" and "~lc~" not in str(request["Key"]):
            cleared.set()
            await refused.wait()
        return await proceed()

    async def overtake(operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        if operation == "put_item" and not removals:
            remove = other.append("s", [human(30)]) if what == "begun session" else other.delete("s")
            removals.append(asyncio.ensure_future(remove))
            await cleared.wait()
        if operation == "get_item" and removals:
            refused.set()
            await removals[0]
        return await proceed()

    hooked: Hooked = watch(other, Hooked, slowly)
    watch(writer, Hooked, overtake)
    batch = [human(size) for size in {"tail cut": [60, 60], "cut": [860]}.get(what, [400] * 5)]
    await writer.append("s", batch)
    assert (await contents(make_repository()))[-len(batch) :] == [message.content for message in batch]
    other._table.connection = hooked.inner
    await other.delete("s")
    assert await scan(other) == []


async def test_a_rewrite_between_two_steps_of_another_leaves_nothing(make_repository: RepositoryFactory) -> None:
    """One notes that the old pages are gone, at the version at which another, who does not know, drops new ones."""
    first, second = make_repository(sizes=SMALL), make_repository(sizes=SMALL)
    await first.append("s", [human(400) for _ in range(3)])
    looked, noted = asyncio.Event(), asyncio.Event()

    async def die(operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        if operation == "batch_write_item":  # before its own change it tries to remove them, too
            raise Crash if noted.is_set() else StorageError("no", code="InternalServerError")
        if operation == "update_item":
            looked.set()
            await noted.wait()
        return await proceed()

    tasks = []

    async def wait_for_the_other(operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        if operation == "batch_write_item":
            response = await proceed()
            tasks.append(asyncio.create_task(second.replace("s", [HumanMessage("new")])))
            await looked.wait()
            return response
        return await proceed()

    watch(first, Hooked, wait_for_the_other)
    hooked: Hooked = watch(second, Hooked, die)
    await first.replace("s", [human(400) for _ in range(3)])
    assert remembered(first).floor == remembered(first).first_page
    noted.set()
    with pytest.raises(Crash):
        await tasks[0]
    assert await contents(make_repository()) == ["new"]
    second._table.connection = hooked.inner
    await second.delete("s")
    assert await scan(second) == []


async def test_a_page_cut_while_others_are_refreshed_counts(make_repository: RepositoryFactory) -> None:
    """One notes that all pages live longer, at the version at which another, who does not know, adds a shorter one."""
    day = 24 * 3600
    first, second = make_repository(sizes=SMALL, ttl=40 * day), make_repository(sizes=SMALL)
    await second.append("s", [human(400) for _ in range(3)])
    ready, noted = asyncio.Event(), asyncio.Event()
    tasks: list[asyncio.Task[int]] = []

    async def hold(operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        if operation == "update_item":
            ready.set()
            await noted.wait()
        return await proceed()

    async def overtake(operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        notes = operation == "update_item" and "~lc~" not in str(request["Key"]) and "History" not in str(request)
        if notes and not tasks:
            await second.read("s")
            tasks.append(asyncio.create_task(second.append("s", [human(860)])))
            await ready.wait()
        return await proceed()

    watch(first, Hooked, overtake)
    watch(second, Hooked, hold)
    await first.append("s", [human(30)])
    assert remembered(first).pages_expire > 0
    noted.set()
    await tasks[0]
    stamps = [int(item["expireAt"]["N"]) for item in await scan(first) if "lc_cut" in item]
    assert remembered(second).version == (await first.read("s")).version
    session = remembered(first)
    assert session.expires is not None
    assert min(stamps) >= session.pages_expire > session.expires


async def test_a_committed_page_that_somebody_removed_is_no_proof(
    make_repository: RepositoryFactory, dynamodb: Any, table_name: str
) -> None:
    """An append of which no answer came may have been in it."""
    writer, other = make_repository(sizes=SMALL), make_repository(sizes=SMALL)
    await fill_tail(writer)

    async def cut_and_remove() -> None:
        await other.append("s", [human(860)])
        await other.append("s", [human(860)])
        for item in await scan(other):
            if "lc_cut" in item:
                dynamodb.delete_item(TableName=table_name, Key={"SessionId": item["SessionId"]})

    watch(writer, Scripted, At("update_item", then=cut_and_remove, error=no_answer()))
    with pytest.raises(OutcomeUnknownError):
        await writer.append("s", [human(150), human(150)])


@pytest.mark.real_engine
@pytest.mark.parametrize("begin", ["session", "conversion"])
async def test_what_was_taken_back_does_not_begin_again(
    engine: TestEngine, make_repository: RepositoryFactory, begin: str
) -> None:
    """The writer's first request arrives when another has taken its write back: it must not commit on that."""
    make_repository.wait(lease=0.0)
    messages = [human(400) for _ in range(3)]
    other = make_repository(sizes=SMALL)
    if begin == "conversion":
        await make_repository(item_format="community").append("s", messages)
    plan = Script()
    async with Proxy(str(engine.endpoint_url), plan) as proxy:
        config = Config(retries={"mode": "standard", "total_max_attempts": 3})
        writer = make_repository(sizes=SMALL, endpoint_url=proxy.url, config=config)
        await writer.read("nobody")  # so that the client is there
        begun, taken_back = False, False

        async def overtake(operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
            nonlocal begun, taken_back
            if operation == "update_item" and not begun:
                begun = True
                plan.strikes = [Strike(Fault.LATE, 0.5)]
            elif operation == "update_item" and begun and not taken_back and hooked.put:
                taken_back = True
                await other._pages.steps.await_idle(other._key("s"), b"another.")
                await proxy.settle()
            hooked.put |= operation == "put_item"
            return await proceed()

        hooked: Any = watch(writer, Hooked, overtake)
        hooked.put = False
        await writer.append("s", messages)
    assert taken_back
    assert proxy.faults[Fault.LATE] == 1
    told = [message.content for message in messages]
    assert await contents(make_repository()) == (told * 2 if begin == "conversion" else told)
