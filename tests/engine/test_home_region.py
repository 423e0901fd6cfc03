"""Sessions that one region writes: the stamp, what others are refused, and how a session moves."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Awaitable, Callable
from typing import Any

import boto3
import pytest
from langchain_core.messages import AIMessage, HumanMessage, messages_to_dict

from conftest import RepositoryFactory, TableFactory, TestEngine
from corpus import turn
from langchain_dynamodb import AsyncSessionRepository, DynamoDBChatMessageHistory, SessionRepository
from langchain_dynamodb._checks import check_home_region
from langchain_dynamodb._dynamodb.attribute_values import to_attribute
from langchain_dynamodb._store.whole_sessions import Placer
from langchain_dynamodb.admin import Run, delete_sessions, vacuum
from langchain_dynamodb.encryption import LocalKeyring
from langchain_dynamodb.errors import (
    CorruptSessionError,
    IncompleteSessionError,
    InvalidInputError,
    SessionNotFoundError,
    SettingsError,
    WrongRegionError,
)
from memory_blobs import MemoryBlobs
from scenarios import half_a_batch, half_deleted, half_edited, restore
from support import SMALL, Call, Chain, Hooked, Meter, Recorder, human, many, named, scan, watch, with_options

HERE, THERE = "eu-central-1", "us-west-2"
Step = Callable[[AsyncSessionRepository], Awaitable[Any]]

BEGINNINGS: dict[str, Step] = {
    "append": lambda r: r.append("s", [human()]),
    "batch": lambda r: r.append("s", many(40)),
    "replace": lambda r: r.replace("s", many(40)),
    "short replace": lambda r: r.replace("s", [human()]),
    "metadata": lambda r: r.update_metadata("s", {"title": "t"}, must_exist=False),
}

CHANGES: dict[str, Step] = {
    "append": lambda r: r.append("s", [human()]),
    "batch": lambda r: r.append("s", many(40)),
    "guarded": lambda r: r.append("s", [human()], expected_version=5),
    "trim": lambda r: r.append("s", [human()], history_size=2),
    "replace": lambda r: r.replace("s", many(3)),
    "truncate": lambda r: r.truncate("s", keep=1),
    "edit": lambda r: r.update_message("s", HumanMessage("x", id="first")),
    "remove": lambda r: r.remove_message("s", "first"),
    "metadata": lambda r: r.update_metadata("s", {"title": "t"}),
    "expiry": lambda r: r.set_expiry("s", 60),
    "permanent": lambda r: r.set_expiry("s", None),
    "delete": lambda r: r.delete("s"),
    "delete all": lambda r: r.delete("s", search_pages=True),
    "repair": lambda r: r.repair("s"),
    "reencrypt": lambda r: with_options(r, encryption=LocalKeyring(b"k" * 32)).reencrypt("s"),
    "revert": lambda r: Placer(r._pages).revert(r._key("s"), plain=False),
    "copy onto it": lambda r: _copy_onto(r),
}


async def _copy_onto(repository: AsyncSessionRepository) -> None:
    await repository.append("mine", [human()])
    try:
        await repository.copy("mine", "s")
    finally:
        await repository.delete("mine")


def in_order(items: list[Any]) -> list[str]:
    """Items of a table, to compare."""
    return sorted(map(repr, items))


async def home_of(repository: AsyncSessionRepository, session: str = "s") -> str | None:
    """The stamp of the session."""
    (item,) = [item for item in await scan(repository) if item["SessionId"]["S"] == session]
    home: str | None = item.get("lc_home", {}).get("S")
    return home


@pytest.mark.parametrize("beginning", BEGINNINGS)
async def test_what_begins_a_session_stamps_it(make_repository: RepositoryFactory, beginning: str) -> None:
    """Whatever that is; so do a fork and a conversion, and the next change of a session without a stamp."""
    here, plain = make_repository(home_region=HERE, sizes=SMALL), make_repository(sizes=SMALL)
    await BEGINNINGS[beginning](here)
    await here.copy("s", "fork")
    assert (await home_of(here), await home_of(here, "fork")) == (HERE, HERE)
    await here.delete("s")
    await BEGINNINGS[beginning](plain)
    assert await home_of(plain) is None
    await make_repository(home_region=HERE, sizes=SMALL).append("s", [human()])
    assert await home_of(plain) == HERE
    natives = {"L": [to_attribute(native, "native") for native in messages_to_dict([HumanMessage("old")])]}
    await restore(plain, [{"SessionId": {"S": "c"}, "History": natives}])
    await here.append("c", [human()])
    assert await home_of(plain, "c") == HERE


@pytest.mark.once
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("warm", [False, True], ids=["cold", "warm"])
async def test_another_region_changes_nothing(make_repository: RepositoryFactory, change: str, warm: bool) -> None:
    """Its error names both regions; who has read the session before learns it without a write."""
    here, there = (make_repository(home_region=region, sizes=SMALL) for region in (HERE, THERE))
    await here.append("s", [named("first"), *many(30)])
    before = in_order(await scan(here))
    if warm:
        await there.read("s")
    recorder: Recorder = watch(there, Recorder)
    with pytest.raises(WrongRegionError, match=f"by region '{HERE}', not by '{THERE}'") as refused:
        await CHANGES[change](there)
    assert (refused.value.home, refused.value.here) == (HERE, THERE)
    assert in_order(await scan(here)) == before
    if warm and change not in ("copy onto it", "reencrypt"):
        assert [operation for operation, _ in recorder.log] == ["get_item"]
    await CHANGES[change](here) if change not in ("guarded", "copy onto it") else None


async def test_reading_is_free(make_repository: RepositoryFactory) -> None:
    """Reads, lists, and forks to a session of its own."""
    here, there = (make_repository(home_region=region, sizes=SMALL) for region in (HERE, THERE))
    await here.append("s", many(30))
    chat = await there.read("s")
    assert [message async for message in there.iter_messages("s")] == chat.messages
    assert [summary.session async for summary in there.list()] == ["s"]
    await there.copy("s", "fork")
    assert await home_of(there, "fork") == THERE
    await there.append("fork", [human()])


async def test_take_over(make_repository: RepositoryFactory) -> None:
    """From then on that region writes, and the former one is refused; content and expiry stay."""
    here, there = (make_repository(home_region=region, sizes=SMALL) for region in (HERE, THERE))
    await here.append("s", many(30))
    await here.set_expiry("s", 3600)
    before = await here.read("s")
    version = await there.take_over("s")
    after = await there.read("s")
    assert (version, after.version > before.version) == (after.version, True)
    assert after.model_copy(update={"version": 0, "updated_at": None}) == before.model_copy(
        update={"version": 0, "updated_at": None}
    )
    assert await there.take_over("s") == version  # it is at home: nothing to do
    with pytest.raises(WrongRegionError):
        await here.append("s", [human()])
    await there.append("s", [human()])
    await here.take_over("s")
    await here.append("s", many(30))
    await here.delete("s")
    assert await scan(here) == []


async def test_a_session_without_a_stamp_is_taken(make_repository: RepositoryFactory) -> None:
    """Before any message is written there."""
    await make_repository().append("s", [human()])
    await make_repository(home_region=THERE).take_over("s")
    assert await home_of(make_repository()) == THERE


async def test_what_cannot_be_taken_over(make_repository: RepositoryFactory) -> None:
    """No session, or by nobody's region."""
    with pytest.raises(SessionNotFoundError):
        await make_repository(home_region=HERE).take_over("s")
    with pytest.raises(SettingsError, match="home_region="):
        await make_repository().take_over("s")


async def test_a_session_of_another_region_that_has_expired(make_repository: RepositoryFactory) -> None:
    """It reads as absent, but its item is its home's: whoever takes it over removes it, and then it can begin anew."""
    clock = make_repository.set_clock()
    here, there = (make_repository(home_region=region, sizes=SMALL) for region in (HERE, THERE))
    await here.append("s", many(24))
    await here.set_expiry("s", 60)
    clock.advance(3600)
    before = in_order(await scan(here))
    assert (await there.read("s")).version == 0
    for append in (there.append("s", [human()]), there.append("s", [human()], expected_version=0)):
        with pytest.raises(WrongRegionError):
            await append
    assert in_order(await scan(here)) == before
    with pytest.raises(SessionNotFoundError):
        await there.take_over("s")
    assert await scan(here) == []
    await there.append("s", [human()])
    assert await home_of(there) == THERE


async def test_a_deletion_that_stopped_half_way(make_repository: RepositoryFactory) -> None:
    """Who takes the session over ends it, though pages are missing already."""
    here, there = (make_repository(home_region=region, sizes=SMALL) for region in (HERE, THERE))
    await half_deleted(here)
    (last,) = {max(item["SessionId"]["S"] for item in await scan(here) if is_page(item))}
    await here._connection.call(
        "delete_item", {"TableName": here.table_name, "Key": {"SessionId": {"S": last}}}, write=True
    )
    with pytest.raises(SessionNotFoundError):
        await there.take_over("s")
    assert await scan(here) == []


async def test_who_has_no_region_is_not_asked(make_repository: RepositoryFactory) -> None:
    """A repository that is not told where it is writes as ever, and the stamp stays, through any change."""
    here, plain = make_repository(home_region=HERE, sizes=SMALL), make_repository(sizes=SMALL)
    await here.append("s", [named("first"), *many(30)])
    for change in ("append", "batch", "trim", "metadata", "permanent", "replace", "truncate"):
        await CHANGES[change](plain)
        assert await home_of(plain) == HERE


async def test_the_unfinished_write_of_another_region(make_repository: RepositoryFactory) -> None:
    """Is left alone, though its lease has ended: it may go on there. Who takes the session over takes it back."""
    make_repository.wait(renew=600)
    clock = make_repository.set_clock()
    here = make_repository(home_region=HERE, sizes=SMALL)
    await half_a_batch(here)
    texts = [message.content for message in (await here.read("s")).messages]
    clock.advance(60)
    before = in_order(await scan(here))
    there = make_repository(home_region=THERE, sizes=SMALL)
    with pytest.raises(WrongRegionError):
        await there.append("s", [human()])
    for run in (Run(dry_run=True), Run()):
        assert (await vacuum(there, run)).actions == {"skipped": 1}
    assert in_order(await scan(here)) == before
    await there.take_over("s")
    await there.append("s", [AIMessage("later")])
    assert [message.content for message in (await there.read("s")).messages] == [*texts, "later"]
    await there.delete("s")
    assert await scan(there) == []


# --- Replicas: two tables, to which items come one by one ---


@pytest.fixture
async def replica(make_repository: RepositoryFactory, make_table: TableFactory) -> AsyncSessionRepository:
    """A repository in the other region, with a table of its own."""
    return make_repository(make_table(), home_region=THERE, sizes=SMALL)


async def test_a_replica_without_some_pages(
    make_repository: RepositoryFactory, replica: AsyncSessionRepository
) -> None:
    """Is incomplete, however old the session is; at home it is damaged. What is there can be read around."""
    clock = make_repository.set_clock()
    here = make_repository(home_region=HERE, sizes=SMALL)
    reader = make_repository(replica.table_name, home_region=THERE, sizes=SMALL)
    for _ in range(30):
        await here.append("s", many(1, 300))
    clock.advance(24 * 3600)
    items = await scan(here)
    first = min((item for item in items if "lc_chain" in item), key=lambda item: Chain.of(item).number)
    await restore(reader, [item for item in items if item is not first])
    for attempt in (reader.read("s"), anext(reader.iter_messages("s")), reader.copy("s", "fork")):
        with pytest.raises(IncompleteSessionError, match=f"its home is region '{HERE}'"):
            await attempt
    assert (await reader.read("s", limit=3)).messages == (await here.read("s", limit=3)).messages
    assert (await reader.read("s", skip_missing_pages=True)).missing
    await here._connection.call(
        "delete_item", {"TableName": here.table_name, "Key": {"SessionId": first["SessionId"]}}, write=True
    )
    with pytest.raises(CorruptSessionError):
        await make_repository(home_region=HERE, sizes=SMALL).read("s")
    await restore(reader, [first])
    assert len((await reader.read("s")).messages) == 30


async def test_a_replica_with_an_old_page(make_repository: RepositoryFactory, replica: AsyncSessionRepository) -> None:
    """The session item has the last edit, its page not yet: the old text is not shown for the new state."""
    here = make_repository(home_region=HERE, sizes=SMALL)
    await here.append("s", [named("first", 200), *many(20, 200)])
    old = [item for item in await scan(here) if "lc_chain" in item]
    await here.update_message("s", HumanMessage("changed", id="first"))
    new = await scan(here)
    await restore(replica, [*old, *(item for item in new if "lc_chain" not in item)])
    with pytest.raises(IncompleteSessionError):
        await replica.read("s")
    await restore(replica, new)
    assert (await replica.read("s")).messages[0].content == "changed"


async def test_an_item_that_is_older_than_its_pages(
    make_repository: RepositoryFactory, replica: AsyncSessionRepository
) -> None:
    """In the region that was home before: what is newer comes from the new home, and is no damage."""
    clock = make_repository.set_clock()
    here = make_repository(home_region=HERE, sizes=SMALL)
    await here.append("s", [named("first", 200), *many(20, 200)])
    old = next(item for item in await scan(here) if "lc_chain" not in item)
    there = make_repository(home_region=THERE, sizes=SMALL)
    await there.take_over("s")
    await there.update_message("s", HumanMessage("changed", id="first"))
    clock.advance(24 * 3600)
    await restore(there, [old])
    back = make_repository(home_region=HERE, sizes=SMALL)
    with pytest.raises(IncompleteSessionError, match=r"newer than its item.*if it stays so.*repair"):
        await back.read("s")
    with pytest.raises(CorruptSessionError):
        await make_repository(sizes=SMALL).read("s")
    await back.repair("s")
    assert (await back.read("s")).messages[0].content == "changed"


async def _go_on(home: AsyncSessionRepository) -> None:
    for _ in range(6):
        await home.append("s", many(1, 300))


async def _commit_a_batch(home: AsyncSessionRepository) -> list[Any]:
    """Returns what was there while it was written, and goes on."""
    seen: list[Any] = []

    async def hook(operation: str, request: Any, proceed: Call) -> dict[str, Any]:
        if operation == "put_item" and not seen:
            seen.extend(await scan(with_options(home)))
        return await proceed()

    watcher = watch(home, Hooked, hook)
    await home.append("s", many(20))
    home._table.connection = watcher.inner
    await _go_on(home)
    return seen


async def _finish_an_edit(home: AsyncSessionRepository) -> list[Any]:
    await home.delete("s")
    await half_edited(home)
    seen = await scan(home)
    await _go_on(home)
    return seen


def _after(step: Step) -> Callable[[AsyncSessionRepository], Awaitable[list[Any]]]:
    async def go_on(home: AsyncSessionRepository) -> list[Any]:
        seen = await scan(home)
        await step(home)
        return seen

    return go_on


MOVES: dict[str, Callable[[AsyncSessionRepository], Awaitable[list[Any]]]] = {
    "appends": _after(_go_on),
    "batch": _commit_a_batch,
    "edit": _finish_an_edit,
    "edit of a page": _after(lambda r: r.update_message("s", HumanMessage("changed", id="first"))),
    "replace": _after(lambda r: r.replace("s", many(14))),
    "late replace": _after(lambda r: _replace_twice(r)),
    "truncate": _after(lambda r: _truncate_and_go_on(r)),
}


async def _replace_twice(home: AsyncSessionRepository) -> None:
    await home.replace("s", many(40))
    await home.replace("s", many(40))


async def _truncate_and_go_on(home: AsyncSessionRepository) -> None:
    await home.truncate("s", keep=3)
    await _go_on(home)


def is_page(item: Any) -> bool:
    """Whether it is none of a session."""
    return "lc_chain" in item


@pytest.mark.once
@pytest.mark.parametrize("late", ["item", "newest pages", "oldest page"])
@pytest.mark.parametrize("move", MOVES)
async def test_taking_over_too_early(
    make_repository: RepositoryFactory, replica: AsyncSessionRepository, move: str, late: str
) -> None:
    """Where it can be seen that something is still to come, it is refused, and nothing is written or settled."""
    clock = make_repository.set_clock()
    replica = make_repository(replica.table_name, home_region=THERE, sizes=SMALL)
    here = make_repository(home_region=HERE, sizes=SMALL)
    await here.append("s", [named("first", 200), *many(11, 300)])
    old = await MOVES[move](here)
    new = await scan(here)
    oldest = min((item for item in new if is_page(item)), key=lambda item: Chain.of(item).number)
    if late == "item":
        await restore(replica, old)
        await restore(replica, [item for item in new if is_page(item)])
    elif late == "oldest page":
        await restore(replica, [item for item in new if item is not oldest])
    else:
        await restore(replica, [item for item in new if not is_page(item) or item in old])
        if all(item in old for item in new if is_page(item)):
            pytest.skip("it writes none")
    clock.advance(600)
    before = in_order(await scan(replica))
    with pytest.raises(IncompleteSessionError, match="wait until all of it was replicated"):
        await replica.take_over("s")
    assert in_order(await scan(replica)) == before
    await restore(replica, new)
    await replica.take_over("s")
    await replica.append("s", [human()])
    assert (await replica.read("s")).messages[:-1] == (await here.read("s")).messages


REMOVALS: dict[str, Step] = {
    "delete": lambda r: r.delete("s", search_pages=True),
    "delete_sessions": lambda r: delete_sessions(r, Run(match="*")),
    "vacuum": lambda r: vacuum(r),
}


@pytest.mark.once
@pytest.mark.parametrize("removal", REMOVALS)
@pytest.mark.parametrize("fork", [False, True], ids=["begun", "forked"])
@pytest.mark.parametrize("before", [False, True], ids=["new", "again"])
async def test_pages_that_come_before_their_session(
    make_repository: RepositoryFactory, replica: AsyncSessionRepository, removal: str, fork: bool, before: bool
) -> None:
    """They and their objects stay, for two hours, though there is no session yet, or the one before of that name."""
    clock = make_repository.set_clock()
    bucket = MemoryBlobs(threshold=200)
    here = make_repository(home_region=HERE, sizes=SMALL, blobs=bucket)
    replica = make_repository(replica.table_name, home_region=THERE, sizes=SMALL, blobs=bucket)
    if before:
        await here.append("s", [human()])
        await restore(replica, await scan(here))
        await here.delete("s")
    await here.append("source" if fork else "s", many(24))
    if fork:
        await here.copy("source", "s")
        await here.delete("source")
    pages = [item for item in await scan(here) if is_page(item)]
    await restore(replica, pages)
    objects = sorted(bucket.objects)
    with contextlib.suppress(WrongRegionError):
        await REMOVALS[removal](replica)
    assert in_order([item for item in await scan(replica) if is_page(item)]) == in_order(pages)
    assert (sorted(bucket.objects), len(objects) > 3) == (objects, True)
    clock.advance(3 * 3600)
    with contextlib.suppress(WrongRegionError):
        await REMOVALS[removal](replica)
    assert before or await scan(replica) == []


@pytest.mark.parametrize("change", ["truncate", "batch", "delete"])
async def test_taken_over_before_a_lease(make_repository: RepositoryFactory, change: str) -> None:
    """A writer that loses races takes a lease whatever the version: not on a session that has another home by then."""
    here, there = (make_repository(home_region=region, sizes=SMALL) for region in (HERE, THERE))
    await here.append("s", many(24))
    leased = False

    async def hook(operation: str, request: Any, proceed: Call) -> dict[str, Any]:
        nonlocal leased
        if operation == "update_item" and not leased:
            if leased := "{'S': 'lease'}" in str(request):
                await there.take_over("s")
                await there.append("s", [AIMessage("theirs")])
            else:
                await with_options(there, home_region=None).update_metadata("s", {"n": human().content})
        return await proceed()

    watch(here, Hooked, hook)
    with pytest.raises(WrongRegionError):
        await CHANGES[change](here)
    assert leased
    assert (await there.read("s")).messages[-1].content == "theirs"
    assert await home_of(there) == THERE


# --- Cost, settings, the other classes ---


@pytest.mark.dynamodb_local_only
async def test_what_the_stamp_costs(make_repository: RepositoryFactory, make_table: TableFactory) -> None:
    """No request, and within 2 % the same write units."""
    bills = []
    for region in (None, HERE):
        repository = make_repository(make_table(), home_region=region)
        meter: Meter = watch(repository, Meter)
        rng = random.Random(7)
        for _ in range(300):
            await repository.append("s", turn(rng, 1200))
        bills.append((meter.write_units, sum(meter.requests.values())))
    (plain, requests), (stamped, stamped_requests) = bills
    print(f"\n{bills}")
    assert stamped <= 1.02 * plain
    assert stamped_requests <= 1.02 * requests


@pytest.mark.parametrize("region", ["", "EU", "eu central", "mars", "eu-central", "eu-central-1a", 5, "x" * 41, True])
def test_what_is_no_region(region: Any) -> None:
    """Refused by the repository, the facade and the history alike."""
    for make in (AsyncSessionRepository, SessionRepository):
        with pytest.raises(InvalidInputError, match="home_region="):
            make("Table", home_region=region)
    with pytest.raises(InvalidInputError, match="home_region="):
        DynamoDBChatMessageHistory("Table", "s", home_region=region)


@pytest.mark.parametrize("partition", boto3.Session().get_available_partitions())
def test_every_region_is_one(partition: str) -> None:
    """Those of all partitions: of governments, of China, and what is Europe's own."""
    for region in boto3.Session().get_available_regions("dynamodb", partition):
        check_home_region(region)


def test_not_in_the_format_of_community() -> None:
    """It has no place for the stamp."""
    with pytest.raises(SettingsError, match="item_format='community'"):
        AsyncSessionRepository("Table", home_region=HERE, item_format="community")


def test_the_other_classes(engine: TestEngine, make_table: TableFactory) -> None:
    """The facade takes over; a history writes as its region."""
    table = make_table()
    history = DynamoDBChatMessageHistory(table, "s", endpoint_url=engine.endpoint_url, home_region=HERE)
    history.add_messages([human()])
    with SessionRepository(table, endpoint_url=engine.endpoint_url, home_region=THERE) as there:
        with pytest.raises(WrongRegionError):
            there.append("s", [human()])
        there.take_over("s")
        there.append("s", [human()])
    with pytest.raises(WrongRegionError):
        history.clear()


async def test_a_damaged_stamp(make_repository: RepositoryFactory) -> None:
    """Is told; nothing is written."""
    here = make_repository(home_region=HERE)
    await here.append("s", [human()])
    (item,) = await scan(here)
    await restore(here, [{**item, "lc_home": {"N": "5"}}])
    with pytest.raises(CorruptSessionError, match="lc_home"):
        await make_repository(home_region=HERE).append("s", [human()])
    with pytest.raises(CorruptSessionError, match="lc_home"):
        await make_repository().read("s")
