"""Leases: kept up while their writer works, ended with it, and given up on by others whatever anybody's clock says."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from conftest import RepositoryFactory
from langchain_dynamodb import AsyncSessionRepository
from langchain_dynamodb._dynamodb.failures import ConditionFailed
from langchain_dynamodb._items.session_items import SessionItem
from langchain_dynamodb._store import steps
from langchain_dynamodb._store.table import Refused
from langchain_dynamodb.errors import ChatHistoryError, StorageError
from langchain_dynamodb.repository import microseconds
from scenarios import (
    BATCH,
    Step,
    append_many,
    append_many_unseen,
    append_one,
    community_item,
    delete,
    full_tail,
    is_leased,
    kept_community_item,
    name,
    nothing,
    replace,
    state,
    truncate,
)
from support import SMALL, Call, Crash, Hooked, Recorder, human, scan, watch

pytestmark = pytest.mark.once

HOUR = 3_600_000_000


def is_renewal(operation: str, request: Mapping[str, Any]) -> bool:
    """Whether this moves the end of a lease and nothing else."""
    update = request.get("UpdateExpression", "")
    return operation == "update_item" and update.startswith("SET #a.#b = ") and "," not in update


def is_declaration(operation: str, request: Mapping[str, Any]) -> bool:
    """Whether this puts an intent on the item."""
    return operation == "update_item" and "'lease'" in str(request.get("ExpressionAttributeValues"))


def tasks() -> set[asyncio.Task[Any]]:
    """Those that are not the test itself."""
    return asyncio.all_tasks() - {asyncio.current_task()}  # type: ignore[arg-type]


async def die_in_a_batch(repository: AsyncSessionRepository) -> None:
    """Leave an intent on the session and some of its pages."""

    async def die(operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        if operation == "put_item":
            raise Crash
        return await proceed()

    watch(repository, Hooked, die)
    with pytest.raises(Crash):
        await append_many(repository)


@pytest.mark.parametrize("operation", [append_one, append_many, replace, name, delete])
@pytest.mark.parametrize("prepare", [nothing, full_tail, community_item])
async def test_a_dead_writer_whose_clock_was_ahead(
    make_repository: RepositoryFactory, monkeypatch: pytest.MonkeyPatch, prepare: Step, operation: Step
) -> None:
    """Its lease ends in an hour; whoever has seen it unchanged for as long as a lease lasts goes on."""
    make_repository.wait(lease=0.2, patience=3.0)
    await prepare(make_repository(sizes=SMALL))
    make_repository.clock = lambda: microseconds() + HOUR
    ahead = make_repository(sizes=SMALL)
    make_repository.clock = None
    await die_in_a_batch(ahead)
    other = make_repository(sizes=SMALL)
    assert is_leased(await scan(other), microseconds() + HOUR - 60_000_000)
    await operation(other)
    assert not is_leased(await scan(other), 0)
    await other.delete("s")
    assert await scan(other) == []


async def test_a_writer_at_work_keeps_its_lease(make_repository: RepositoryFactory) -> None:
    """It takes longer than a lease: others wait for it all the same, and none of its work is done twice."""
    make_repository.wait(lease=0.5, renew=0.05)
    writer, other = make_repository(sizes=SMALL), make_repository(sizes=SMALL)
    await full_tail(writer)
    before = await state(writer)
    kept_up = asyncio.Event()
    renewals, puts = 0, 0
    waiting: list[asyncio.Future[Any]] = []

    async def slowly(operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        nonlocal renewals, puts
        renewals += is_renewal(operation, request)
        puts += operation == "put_item"
        if renewals == 20:  # twice a lease
            kept_up.set()
        if puts == 1 and not waiting:
            waiting.append(asyncio.ensure_future(append_one(other)))
            await kept_up.wait()
        return await proceed()

    watch(writer, Hooked, slowly)
    await asyncio.wait_for(append_many(writer), 30)
    await waiting[0]
    assert (await state(other))[: len(before) + len(BATCH)] == [*before, *(message.content for message in BATCH)]
    assert puts < 2 * len(BATCH)


async def test_a_renewal_changes_no_version(make_repository: RepositoryFactory) -> None:
    """Readers see no difference, and the lease ends later."""
    make_repository.wait(renew=0.02)
    repository = make_repository(sizes=SMALL)
    await append_one(repository)
    seen: list[tuple[int, int]] = []
    enough = asyncio.Event()

    async def look(operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        response = await proceed()
        if is_renewal(operation, request) or is_declaration(operation, request):
            item = response["Attributes"]
            seen.append((int(item["lc_version"]["N"]), int(item["lc_intent"]["M"]["lease"]["N"])))
        if len(seen) == 3:
            enough.set()
        if operation == "put_item":
            await asyncio.wait_for(enough.wait(), 10)
        return response

    watch(repository, Hooked, look)
    await append_many(repository)
    assert len({version for version, _ in seen}) == 1
    assert [lease for _, lease in seen] == sorted({lease for _, lease in seen})


async def test_a_short_write_renews_nothing(make_repository: RepositoryFactory) -> None:
    """A batch is what it was: the declaration, its pages, the commit."""
    repository = make_repository(sizes=SMALL)
    await append_one(repository)
    recorder: Recorder = watch(repository, Recorder)
    await append_many(repository)
    assert [operation for operation, _ in recorder.log if operation != "put_item"] == ["update_item"] * 2


@pytest.mark.parametrize("end", ["commit", "error", "cancellation"])
@pytest.mark.parametrize("prepare", [full_tail, community_item])
async def test_a_renewal_that_comes_late(make_repository: RepositoryFactory, prepare: Step, end: str) -> None:
    """However the write ended, its renewals ended with it, and one that was on its way holds nobody up."""
    make_repository.wait(renew=0.02)
    repository = make_repository(sizes=SMALL)
    await prepare(repository)
    renewals: list[Call] = []
    begun = asyncio.Event()

    async def hold(operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        if is_renewal(operation, request):
            renewals.append(proceed)
            begun.set()
            await asyncio.Event().wait()
        if operation == "put_item":
            await asyncio.wait_for(begun.wait(), 10)
            if end == "error":
                raise StorageError("no")
            if end == "cancellation":
                task.cancel()
                await asyncio.sleep(1)
        return await proceed()

    watch(repository, Hooked, hold)
    task = asyncio.ensure_future(append_many(repository))
    await asyncio.gather(task, return_exceptions=True)
    assert (task.cancelled(), not task.cancelled() and task.exception() is None) == (
        end == "cancellation",
        end == "commit",
    )
    assert tasks() == set()
    with pytest.raises(ConditionFailed):
        await renewals[0]()
    assert not is_leased(await scan(repository), 0)


async def test_a_lease_renewed_between_look_and_takeover(make_repository: RepositoryFactory) -> None:
    """It has not ended after all: the one who looked earlier does not get it, nor langchain_community's item."""
    for prepare in (full_tail, community_item):
        writer, other = make_repository(sizes=SMALL), make_repository(sizes=SMALL)
        await writer.delete("s")
        await prepare(writer)
        await die_in_a_batch(writer)
        mine, key = other._pages.steps, other._key("s")
        seen = await other._table.get(key)
        assert seen is not None
        assert seen.intent is not None
        async with mine.keeping(key, seen.intent.op, versioned=isinstance(seen, SessionItem)):
            await other._table.update(key, steps.conditions.renew_lease(seen.intent.op, seen.intent.lease + 1))
            with pytest.raises(Refused):
                await mine.take_back(key, seen)
        now = await other._table.get(key)
        assert now is not None
        assert now.intent is not None
        assert now.intent.op == seen.intent.op
        await mine.take_back(key, now)


# --- Cancelled while the declaration is under way ---

DECLARED = [
    (full_tail, append_many, False),
    (nothing, append_many, False),
    (full_tail, replace, False),
    (full_tail, truncate, True),
    (full_tail, delete, True),
    (full_tail, append_many_unseen, True),
    (community_item, append_one, False),
]


@pytest.mark.real_engine
@pytest.mark.parametrize(("prepare", "operation", "busy"), DECLARED)
async def test_cancelled_while_it_is_declared(
    make_repository: RepositoryFactory,
    prepare: Step,
    operation: Step,
    busy: bool,
) -> None:
    """The request that puts the lease on is on its way: the end of the lease does not overtake it."""
    if busy:
        make_repository.wait(races=0)
    clock = make_repository.set_clock()
    repository = make_repository(sizes=SMALL)
    await prepare(repository)
    before = await state(repository)
    arriving: list[asyncio.Task[Any]] = []

    async def late(proceed: Call) -> dict[str, Any]:
        await asyncio.sleep(0.2)
        return await proceed()

    async def hook(operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        if not is_declaration(operation, request) or arriving:
            return await proceed()
        arriving.append(asyncio.create_task(late(proceed)))
        asyncio.get_running_loop().call_soon(task.cancel)
        return await asyncio.shield(arriving[0])

    watch(repository, Hooked, hook)
    task = asyncio.ensure_future(operation(repository))
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.gather(*arriving)
    assert tasks() == set()
    assert not is_leased(await scan(repository), clock.now)
    assert await state(repository) == before
    await repository.append("s", [HumanMessage("later")])
    assert await state(make_repository()) == [*before, "later"]


async def test_cancelled_and_the_declaration_gets_no_answer(make_repository: RepositoryFactory) -> None:
    """The task waits for it, but not for long; nothing is left that goes on."""
    make_repository.wait(last_words=0.05)
    repository = make_repository(sizes=SMALL)
    await append_one(repository)

    async def hang(operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        if is_declaration(operation, request):
            task.cancel()
            await asyncio.Event().wait()
        return await proceed()

    watch(repository, Hooked, hang)
    task = asyncio.ensure_future(append_many(repository))
    with pytest.raises(asyncio.CancelledError):
        await task
    assert tasks() == set()


async def test_a_lease_on_a_damaged_session_is_given_back(make_repository: RepositoryFactory) -> None:
    """An error found once the lease is taken takes it back."""
    make_repository.wait(races=0)
    repository = make_repository(sizes=SMALL)
    await repository.append("s", [human(30)])
    await repository._connection.call(
        "update_item",
        {
            "TableName": repository.table_name,
            "Key": {"SessionId": {"S": "s"}},
            "UpdateExpression": "SET History = :broken",
            "ExpressionAttributeValues": {":broken": {"L": [{"B": b"broken"}]}},
        },
        write=True,
    )
    with pytest.raises(ChatHistoryError, match="History"):
        await append_many(make_repository(sizes=SMALL))
    assert not is_leased(await scan(repository), 0)


# --- Engines that cannot compare ---


@pytest.mark.parametrize(
    ("item_format", "operation"),
    [
        ("pages", append_one),
        ("pages", append_many),
        ("pages", replace),
        ("pages", delete),
        ("community", replace),
        ("community", truncate),
        ("community", delete),
    ],
)
async def test_an_engine_that_cannot_compare_lists(
    make_repository: RepositoryFactory, item_format: Any, operation: Step
) -> None:
    """It refuses though its item is the very one that is required: that is told at once, not that others are busy."""
    repository = make_repository(sizes=SMALL, item_format=item_format)
    await (community_item if item_format == "pages" else kept_community_item)(repository)
    before = await scan(repository)
    requests = 0

    async def refuse(operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        nonlocal requests
        requests += 1
        if compared(request) & {"L", "M"}:
            raise ConditionFailed((await scan(repository))[0], retried=False)
        return await proceed()

    hooked: Hooked = watch(repository, Hooked, refuse)
    repository._connection = hooked.inner
    with pytest.raises(StorageError, match="cannot compare lists") as caught:
        await operation(repository)
    assert not caught.value.outcome_unknown
    assert requests < 6
    assert await scan(repository) == before


@pytest.mark.parametrize("operation", [append_one, append_many, replace])
async def test_an_engine_that_cannot_compare_lists_with_an_intent_beside(
    make_repository: RepositoryFactory, operation: Step
) -> None:
    """The same where only the commit of a conversion is refused, after its lease was renewed."""
    make_repository.wait(renew=0.02, patience=0.5)
    repository = make_repository(sizes=SMALL)
    await community_item(repository)
    before = await scan(repository)
    renewed = asyncio.Event()
    requests: list[str] = []

    async def refuse(operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        if operation == "put_item":
            await asyncio.wait_for(renewed.wait(), 10)
        if compared(request) & {"L", "M"} and not is_declaration(operation, request):
            (item,) = [item for item in await scan(repository) if "lc_cut" not in item]
            raise ConditionFailed(item, retried=False)
        response = await proceed()
        if is_renewal(operation, request):
            renewed.set()
        else:
            requests.append(operation)
        return response

    hooked: Hooked = watch(repository, Hooked, refuse)
    repository._connection = hooked.inner
    with pytest.raises(StorageError, match="cannot compare lists"):
        await operation(repository)
    assert requests.count("put_item") < 6  # one attempt
    assert await scan(repository) == before


@pytest.mark.parametrize(("prepare", "operation", "busy"), DECLARED[:-1])
async def test_conditions_on_our_items_compare_no_lists_or_maps(
    make_repository: RepositoryFactory,
    prepare: Step,
    operation: Step,
    busy: bool,
) -> None:
    """Not every engine can, so only items of langchain_community, which have nothing else, are compared so."""
    if busy:
        make_repository.wait(races=0)
    make_repository.wait(lease=0.0)
    dying, repository = make_repository(sizes=SMALL), make_repository(sizes=SMALL)
    await prepare(repository)
    await die_in_a_batch(dying)
    recorder: Recorder = watch(repository, Recorder)
    await operation(repository)
    assert [request for _, request in recorder.log if compared(request) & {"L", "M"}] == []


def compared(request: Mapping[str, Any]) -> set[str]:
    """The types of the values that the condition of a request is about."""
    values = request.get("ExpressionAttributeValues", {})
    words = request.get("ConditionExpression", "").replace("(", " ").replace(")", " ").replace(",", " ").split()
    return {type_name for word in words if word in values for type_name in values[word]}
