"""Rules 2, 3 and 9: pages are cut without a gap, batches are all or nothing, messages may be large."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from conftest import RepositoryFactory
from langchain_dynamodb import AsyncSessionRepository, Sizes
from langchain_dynamodb._dynamodb.failures import ConditionFailed
from langchain_dynamodb._store.options import Timing
from langchain_dynamodb.errors import MessageTooLargeError, SessionBusyError, StorageError, ThrottledError
from support import (
    SMALL,
    At,
    Call,
    Chain,
    Crash,
    Crashing,
    Hooked,
    Meter,
    Recorder,
    Scripted,
    fill_tail,
    human,
    remembered,
    scan,
    watch,
)

pytestmark = pytest.mark.once


async def messages_of(repository: AsyncSessionRepository, session: str = "s") -> list[BaseMessage]:
    """All messages of the session."""
    chat = await repository.read(session)
    return chat.messages


class Paused:
    """Holds the first such operation of a repository until told to go on: before it is sent, or after."""

    def __init__(self, operation: str, *, after: bool = False) -> None:
        self.operation = operation
        self.after = after
        self.reached = asyncio.Event()
        self.go_on = asyncio.Event()

    async def __call__(self, operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        if operation != self.operation or self.reached.is_set():
            return await proceed()
        self.reached.set()
        response = await proceed() if self.after else None
        await self.go_on.wait()
        return response if response is not None else await proceed()


@pytest.mark.parametrize("winner", ["first", "second"])
@pytest.mark.parametrize("size", [40, 160], ids=["tail cuts", "batches of one page"])
async def test_two_cuts_of_the_same_version(make_repository: RepositoryFactory, winner: str, size: int) -> None:
    """Both put their page before either commits: no committed page is overwritten, whoever goes on first."""
    first, second = make_repository(sizes=SMALL), make_repository(sizes=SMALL)
    old = await fill_tail(first)
    await second.read("s")
    pauses = [Paused("put_item", after=True), Paused("put_item", after=True)]
    tasks = []
    batches = [[human(size), human(size)], [human(size), human(size)]]
    for repository, pause, batch in zip((first, second), pauses, batches, strict=True):
        watch(repository, Hooked, pause)
        tasks.append(asyncio.create_task(repository.append("s", batch)))
        await pause.reached.wait()
        await asyncio.sleep(0.05)  # the page is put now
    order = (0, 1) if winner == "first" else (1, 0)
    for i in order:
        pauses[i].go_on.set()
        await tasks[i]
    new = (await messages_of(make_repository()))[len(old) :]
    assert new in ([*batches[0], *batches[1]], [*batches[1], *batches[0]])
    assert (await messages_of(first))[: len(old)] == old


async def test_a_late_page_of_a_lost_race_is_refused(make_repository: RepositoryFactory) -> None:
    """The page put of a cut arrives once more, after later cuts committed that page number."""
    late, other = make_repository(sizes=SMALL), make_repository(sizes=SMALL)
    expected = []
    recorder: Recorder = watch(late, Recorder)
    while not [request for operation, request in recorder.log if operation == "put_item"]:
        expected.append(human(90))
        await late.append("s", [expected[-1]])
    put = next(request for operation, request in recorder.log if operation == "put_item")
    item = Chain.of(put["Item"])._replace(cut=1).put_into(put["Item"])
    older = {**put, "Item": {**item, "lc_data": {"B": b"wrong"}}}
    of_older = {"N": item["lc_cut"], "S": item["lc_chain"]}
    older["ExpressionAttributeValues"] = {k: of_older.get(*v, v) for k, v in put["ExpressionAttributeValues"].items()}
    other_token = {**put, "Item": {**put["Item"], "lc_token": {"B": b"other"}, "lc_data": {"B": b"wrong"}}}
    other_token["ExpressionAttributeValues"] = {
        k: {"B": b"other"} if "B" in v else v for k, v in put["ExpressionAttributeValues"].items()
    }
    for request in (older, other_token):
        with pytest.raises(Exception, match="condition"):
            await recorder.inner.call("put_item", request, write=True)
    assert await messages_of(other) == expected


async def test_a_batch_is_invisible_until_it_is_whole(make_repository: RepositoryFactory) -> None:
    """Readers see none of it while its pages are written, then all of it."""
    writer, reader = make_repository(sizes=SMALL), make_repository(sizes=SMALL)
    for session in ("new", "old"):
        before = [] if session == "new" else [HumanMessage("a")]
        if before:
            await writer.append(session, before)
        batch = [human(300) for _ in range(10)]
        seen: list[tuple[bool, list[BaseMessage]]] = []

        async def look(operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
            chat = await reader.read(session)  # noqa: B023 - it is only called within this round
            seen.append((chat.version > 0, chat.messages))  # noqa: B023
            return await proceed()

        hooked: Hooked = watch(writer, Hooked, look)
        await writer.append(session, batch)
        writer._table.connection = hooked.inner
        assert len(seen) > 5
        assert seen == [(bool(before), before)] * len(seen)
        assert await messages_of(reader, session) == before + batch


async def test_a_batch_is_not_starved_by_single_appends(make_repository: RepositoryFactory) -> None:
    """Eight writers append without pause; the batch of 60 pages gets through, contiguous."""
    repository = make_repository(sizes=SMALL)
    await repository.append("s", [HumanMessage("a")])
    done = asyncio.Event()
    singles = 0

    async def chatter() -> None:
        nonlocal singles
        mine = make_repository(sizes=SMALL)
        while not done.is_set():
            await mine.append("s", [human(80)])
            singles += 1

    tasks = [asyncio.create_task(chatter()) for _ in range(8)]
    await asyncio.sleep(0.2)
    batch = [human(400) for _ in range(60)]
    await repository.append("s", batch)
    done.set()
    await asyncio.gather(*tasks)
    found = await messages_of(repository)
    start = found.index(batch[0])
    assert found[start : start + 60] == batch
    assert len(found) == 1 + 60 + singles


async def test_appends_wait_for_a_lease_and_clean_up_after_it(make_repository: RepositoryFactory) -> None:
    """A writer died within its batch: the next append waits, gives up in time, and goes on once the lease ended."""
    clock = make_repository.set_clock()
    dying, other = make_repository(sizes=SMALL), make_repository(sizes=SMALL)
    await dying.append("s", [HumanMessage("a")])
    watch(dying, Crashing, 5, True)
    with pytest.raises(Crash):
        await dying.append("s", [human(300) for _ in range(8)])
    with pytest.raises(SessionBusyError, match="SessionId='s'"):
        await make_repository(sizes=SMALL, timing=Timing(patience=0.3)).append("s", [HumanMessage("b")])
    assert await messages_of(other) == [HumanMessage("a")]
    clock.advance(60)
    await other.append("s", [HumanMessage("b")])
    assert await messages_of(other) == [HumanMessage("a"), HumanMessage("b")]
    assert len(await scan(other)) == 1


async def test_a_late_delete_of_an_abandoned_page_spares_a_committed_one(make_repository: RepositoryFactory) -> None:
    """What cleaned up after a dead writer is delivered once more, when later cuts have taken those page numbers."""
    clock = make_repository.set_clock()
    dying, other = make_repository(sizes=SMALL), make_repository(sizes=SMALL)
    await dying.append("s", [HumanMessage("first")])
    watch(dying, Crashing, 5, True)
    with pytest.raises(Crash):
        await dying.append("s", [human(300) for _ in range(8)])
    clock.advance(60)
    recorder: Recorder = watch(other, Recorder)
    expected = [HumanMessage("first"), HumanMessage("a")]
    await other.append("s", expected[1:])
    deletes = [(operation, request) for operation, request in recorder.log if operation == "delete_item"]
    while remembered(other).pages < 3:
        expected.append(human(100))
        await other.append("s", expected[-1:])
    assert len(deletes) > 3
    for operation, request in deletes:
        with contextlib.suppress(ConditionFailed):
            await recorder.inner.call(operation, request, write=True)
    assert await messages_of(make_repository()) == expected


async def test_a_page_that_arrives_after_the_clean_up_is_deleted_with_the_session(
    make_repository: RepositoryFactory,
) -> None:
    """The put of a dead writer arrives when its traces have been removed: delete still knows its number."""
    clock = make_repository.set_clock()
    dying, other = make_repository(sizes=SMALL), make_repository(sizes=SMALL)
    await dying.append("s", [HumanMessage("first")])
    puts: list[Mapping[str, Any]] = []

    async def die(operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        if operation == "put_item":
            puts.append(request)
            raise Crash
        return await proceed()

    hooked: Hooked = watch(dying, Hooked, die)
    with pytest.raises(Crash):
        await dying.append("s", [human(300) for _ in range(8)])
    clock.advance(60)
    await other.append("s", [HumanMessage("a")])
    last = max(puts, key=lambda request: request["Item"]["SessionId"]["S"])
    await hooked.inner.call("put_item", last, write=True)
    assert await messages_of(other) == [HumanMessage("first"), HumanMessage("a")]
    await other.delete("s")
    assert await scan(other) == []


async def test_the_owner_of_an_ended_lease_cannot_commit(make_repository: RepositoryFactory) -> None:
    """A slow writer, taken for dead and cleaned up after, starts over: once, whole, and nothing of others is lost."""
    clock = make_repository.set_clock()
    slow, other = make_repository(sizes=SMALL), make_repository(sizes=SMALL)
    await slow.append("s", [HumanMessage("a")])
    pause = Paused("put_item")
    watch(slow, Hooked, pause)
    batch = [human(300) for _ in range(8)]
    task = asyncio.create_task(slow.append("s", batch))
    await pause.reached.wait()
    await asyncio.sleep(0.1)
    clock.advance(60)
    await other.append("s", [HumanMessage("b")])
    pause.go_on.set()
    await task
    assert await messages_of(other) == [HumanMessage("a"), HumanMessage("b"), *batch]
    await other.delete("s")
    assert await scan(other) == []


async def test_a_failing_batch_takes_its_pages_back(make_repository: RepositoryFactory) -> None:
    """An error on the way, known to have written nothing, leaves the session as it was at once."""
    repository = make_repository(sizes=SMALL)
    await repository.append("s", [HumanMessage("a")])
    watch(repository, Scripted, At("put_item", 3, sent=False, error=StorageError("no")))
    with pytest.raises(StorageError, match="no"):
        await repository.append("s", [human(300) for _ in range(8)])
    assert await messages_of(repository) == [HumanMessage("a")]
    assert len(await scan(repository)) == 1
    await repository.append("s", [HumanMessage("b")])


@pytest.mark.real_engine
@pytest.mark.parametrize("size", [1, 1000, 100_000, 399_000, 500_000, 16 * 1024 * 1024 - 200])
async def test_messages_of_any_size(make_repository: RepositoryFactory, size: int) -> None:
    """From a byte to 16 MiB, alone and between others, cold and as windows."""
    repository = make_repository()
    large = human(size)
    expected = [HumanMessage("before"), large, AIMessage("after")]
    await repository.append("s", expected[:1])
    await repository.append("s", expected[1:])
    await repository.append("s", [HumanMessage("last")])
    expected.append(HumanMessage("last"))
    cold = make_repository()
    for limit in (1, 2, 3, 4, 9):
        chat = await cold.read("s", limit=limit)
        assert chat.messages == expected[-limit:]
    assert [message async for message in cold.iter_messages("s")] == expected
    await cold.delete("s")
    assert await scan(cold) == []


async def test_too_large_a_message_is_refused_before_anything_is_sent(make_repository: RepositoryFactory) -> None:
    """Above the bound: a typed error with size and limit."""
    repository = make_repository(sizes=Sizes(message=1000))
    meter: Meter = watch(repository, Meter)
    for write in (repository.append, repository.replace):
        with pytest.raises(MessageTooLargeError, match=r"messages\[1\]") as caught:
            await write("s", [HumanMessage("a"), human(1001)])
        assert caught.value.limit == 1000
        assert caught.value.size > 1001
    assert not meter.requests


async def test_history_size_drops_whole_old_pages(make_repository: RepositoryFactory) -> None:
    """What is stored stays bounded, the newest messages are all there, and dropped pages are deleted."""
    repository = make_repository(sizes=SMALL)
    sent = []
    for _ in range(60):
        sent.append(human(90))
        await repository.append("s", [sent[-1]], history_size=10)
        chat = await repository.read("s", limit=10)
        assert chat.messages == sent[-10:]
    chat = await make_repository().read("s")
    assert chat.message_count <= 20
    assert chat.messages == sent[-chat.message_count :]
    assert len(chat.messages) == chat.message_count
    assert len(await scan(repository)) <= 6
    await repository.truncate("s", keep=3)
    assert await messages_of(repository) == sent[-chat.message_count :][:3]
    await repository.delete("s")
    assert await scan(repository) == []


async def test_what_history_size_drops_is_removed_at_once_and_once(make_repository: RepositoryFactory) -> None:
    """Other appends in between do not have it removed again."""
    repository = make_repository(sizes=SMALL)
    recorder: Recorder = watch(repository, Recorder)
    for n in range(60):
        await repository.append("s", [human(90)], history_size=6 if n % 3 else None)
        seen = remembered(repository)
        stored = {item["SessionId"]["S"] for item in await scan(repository)}
        assert len(stored) == 1 + seen.pages - seen.first_page
    removed = [
        entry["DeleteRequest"]["Key"]["SessionId"]["S"]
        for operation, request in recorder.log
        if operation == "batch_write_item"
        for entry in request["RequestItems"][repository.table_name]
    ]
    assert len(removed) == len(set(removed)) == remembered(repository).first_page > 5


@pytest.mark.parametrize("size", [90, 700], ids=["cuts", "batches"])
async def test_no_append_waits_long_for_a_removal(make_repository: RepositoryFactory, size: int) -> None:
    """What `history_size` drops is removed by a later append then, all of it."""
    make_repository.wait(clearing=0.05)
    repository = make_repository(sizes=SMALL)
    stuck = True
    begun, ended = 0, 0

    async def hook(operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        nonlocal begun, ended
        if not (stuck and operation == "batch_write_item"):
            return await proceed()
        begun += 1
        try:
            await asyncio.sleep(20)  # as while the SDK repeats it
        finally:
            ended += 1
        raise ThrottledError("throttled")

    watch(repository, Hooked, hook)
    sent = []
    for n in range(30):
        stuck = n < 25
        sent += [human(size), human(size)]
        started = asyncio.get_running_loop().time()
        await repository.append("s", sent[-2:], history_size=4)
        assert asyncio.get_running_loop().time() - started < 5
        assert begun == ended
        assert (await repository.read("s", limit=4)).messages == sent[-4:]
    seen = remembered(repository)
    assert begun > 2
    assert len(await scan(repository)) == 1 + seen.pages - seen.first_page


async def test_pages_of_a_large_message_come_a_few_at_a_time(make_repository: RepositoryFactory) -> None:
    """The JSON of an answer is read in one go: of a hundred of the largest that would hold the event loop up."""
    sent = [human(12_000)]
    await make_repository(sizes=SMALL).append("s", sent)
    reading = make_repository(sizes=SMALL)
    recorder: Recorder = watch(reading, Recorder)
    assert (await reading.read("s")).messages == sent
    asked = [request["RequestItems"][reading.table_name] for name, request in recorder.log if name == "batch_get_item"]
    numbers = [len(tables["Keys"]) for tables in asked]
    assert (sum(numbers) > 5, max(numbers)) == (True, 2)


async def test_a_removal_goes_on_where_it_has_come_to(
    make_repository: RepositoryFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was removed before it failed is not removed again."""
    monkeypatch.setattr("langchain_dynamodb._store.single_writes.CLEARED_AT_ONCE", 2)
    repository = make_repository(sizes=SMALL)
    removed: list[str] = []
    left = 1

    async def hook(operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        nonlocal left
        if operation == "batch_write_item":
            if not left:
                raise ThrottledError("throttled")
            left -= 1
            deletes = request["RequestItems"][repository.table_name]
            removed.extend(entry["DeleteRequest"]["Key"]["SessionId"]["S"] for entry in deletes)
        return await proceed()

    for _ in range(12):
        await repository.append("s", [human(700), human(700)])
    watch(repository, Hooked, hook)
    await repository.replace("s", [human(10)])
    assert len(removed) == 2
    left = 100
    await repository.update_metadata("s", {"title": "on"})
    assert len(removed) == len(set(removed)) > 10
    assert len(await scan(repository)) == 1


async def test_history_size_with_turns_of_several_pages(make_repository: RepositoryFactory) -> None:
    """Old pages go there too."""
    repository = make_repository(sizes=SMALL)
    sent = []
    for _ in range(20):
        sent += [human(700), human(700)]
        await repository.append("s", sent[-2:], history_size=4)
        assert (await repository.read("s", limit=4)).messages == sent[-4:]
    assert len(await scan(repository)) <= 8


@pytest.mark.parametrize("size", [100, 400], ids=["cut", "batch"])
async def test_a_writer_whose_session_is_deleted_meanwhile_leaves_nothing(
    make_repository: RepositoryFactory, size: int
) -> None:
    """Its pages arrive after the deleter has looked: it removes them itself, and then starts a new session."""
    clock = make_repository.set_clock()
    slow, other = make_repository(sizes=SMALL), make_repository(sizes=SMALL)
    await fill_tail(slow)
    pause = Paused("put_item")
    watch(slow, Hooked, pause)
    batch = [human(size) for _ in range(1 if size == 100 else 5)]
    task = asyncio.create_task(slow.append("s", batch))
    await pause.reached.wait()
    await asyncio.sleep(0.1)
    clock.advance(60)
    await other.delete("s")
    pause.go_on.set()
    await task
    assert await messages_of(other) == batch
    await other.delete("s")
    assert await scan(other) == []


async def test_a_window_over_a_message_of_many_parts(make_repository: RepositoryFactory) -> None:
    """Its parts are fetched together, two to a request, not one by one."""
    repository = make_repository(sizes=SMALL)
    sent = [human(90), human(20_000), human(90)]
    await repository.append("s", sent)
    cold = make_repository(sizes=SMALL)
    meter: Meter = watch(cold, Meter)
    assert (await cold.read("s", limit=2)).messages == sent[1:]
    assert meter.requests["batch_get_item"] <= 2 + len(await scan(repository)) / 2


@pytest.mark.parametrize("item", [150, 900], ids=["more parts than are looked at together", "few parts"])
async def test_parts_of_one_page_fall_together(make_repository: RepositoryFactory, item: int) -> None:
    """`history_size` drops a page of several messages that is stored in parts as a whole, once all of it is old."""
    repository = make_repository(sizes=Sizes(session_item=700, page=3000, item=item))
    sent: list[BaseMessage] = [human(600) for _ in range(8)]
    await repository.append("s", sent)
    kept = []
    for _ in range(25):
        sent.append(human(200))
        await repository.append("s", sent[-1:], history_size=6)
        chat = await make_repository().read("s")
        assert chat.messages == sent[len(sent) - chat.message_count :]
        assert (await make_repository().read("s", limit=6)).messages == sent[-6:]
        assert [m async for m in make_repository().iter_messages("s")] == chat.messages
        kept.append(chat.message_count)
    assert max(kept) >= 8
    assert kept[-1] < 15


@pytest.mark.real_engine
@pytest.mark.parametrize("explains", [True, False])
@pytest.mark.parametrize("way", ["append", "batch", "replace"])
async def test_a_session_item_restored_over_newer_pages(
    make_repository: RepositoryFactory, way: str, explains: bool
) -> None:
    """As after a restore from a backup: each cut gets beyond the page in its way in one step, however old the item."""
    first, repository = make_repository(sizes=SMALL), make_repository(sizes=SMALL)
    await fill_tail(first)
    (backup,) = [item for item in await scan(first) if "lc_cut" not in item]
    before = await messages_of(first)
    for i in range(60):  # the first page in the way is newer by far more than one version
        await first.update_metadata("s", {"i": i})
    for _ in range(60):
        await first.append("s", [human(60)])
    await first._connection.call("put_item", {"TableName": first.table_name, "Item": backup}, write=True)

    async def forget(operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        try:
            return await proceed()
        except ConditionFailed as failure:
            raise ConditionFailed(failure.item if explains else None, retried=failure.retried) from None

    watch(repository, Hooked, forget)
    meter: Meter = watch(repository, Meter)
    if way == "replace":
        before = []
        sent: list[BaseMessage] = [human(400) for _ in range(3)]
        await repository.replace("s", sent)
    else:
        sent = [human(60) for _ in range(10)] if way == "append" else [human(400) for _ in range(5)]
        for message in sent if way == "append" else []:
            await repository.append("s", [message])
        if way == "batch":
            await repository.append("s", sent)
    # What it takes with no page in the way; then for each cut one refused put and one jump, for a batch its puts, what
    # is undone, and the declaration. `replace` takes numbers that it has never used, each time twice as far on.
    once, again = {"append": (10 + 2, 2 * (1 + 1)), "batch": (1 + 1 + 5 + 1, 5 + 3 + 5 + 2), "replace": (6, 18)}[way]
    looks = 0 if explains else {"append": 2, "batch": 5, "replace": 4}[way]
    assert sum(meter.requests.values()) <= once + again + looks
    assert await messages_of(make_repository()) == [*before, *sent]
    await repository.delete("s")
    left = [item["SessionId"]["S"] for item in await scan(repository)]
    assert all(int(name.rpartition("~")[2], 16) > 3 for name in left)  # nobody can know of pages that far ahead
