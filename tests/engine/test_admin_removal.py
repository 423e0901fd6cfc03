"""Sessions removed with whatever is left of them; pages of no session, and never one that may still be committed."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from conftest import RepositoryFactory, TableFactory
from langchain_dynamodb import AsyncSessionRepository
from langchain_dynamodb._store.listing import SAMPLE
from langchain_dynamodb.admin import Outcome, Run, delete_sessions, migrate, running, vacuum, verify
from langchain_dynamodb.errors import BlobUnavailableError, InvalidInputError, MissingBlobsError
from memory_blobs import MemoryBlobs
from scenarios import AFTER, CASES, Case, objects_of, record, start, survives
from support import (
    SMALL,
    THOROUGH,
    Call,
    Clock,
    Crash,
    Crashing,
    Hooked,
    Recorder,
    Stopping,
    WatchedConnection,
    fill_tail,
    human,
    many,
    referred,
    scan,
    tokens,
    watch,
)

pytestmark = pytest.mark.once


async def names_left(repository: AsyncSessionRepository) -> list[str]:
    """The keys of all items, sorted."""
    return sorted(item["SessionId"]["S"] for item in await scan(repository))


async def lose_item(repository: AsyncSessionRepository, session: str) -> None:
    """As DynamoDB's TTL does."""
    request = {"TableName": repository.table_name, "Key": {"SessionId": {"S": session}}}
    await repository._connection.call("delete_item", request, write=True)


async def test_all_of_a_user(make_repository: RepositoryFactory) -> None:
    """What matches goes: sessions, expired ones, pages without a session; all else stays. Each is told."""
    clock = make_repository.set_clock()
    sessions = make_repository(sizes=SMALL)
    for name in ("ann/1", "ann/2", "ann/lost", "bob/1"):
        await sessions.append(name, many(30))
    await sessions.append("ann/expired", many(30))
    await sessions.set_expiry("ann/expired", 10)
    await lose_item(sessions, "ann/lost")
    clock.advance(20)
    lost = [name for name in await names_left(sessions) if name.startswith("ann/lost")]
    told: list[Outcome] = []
    summary = await delete_sessions(sessions, Run(match="ann/*", tell=told.append))
    assert {name.split("~")[0] for name in await names_left(sessions)} == {"bob/1"}
    assert (summary.actions, summary.is_good) == ({"deleted": summary.sessions}, True)
    pages = {outcome.session: outcome.pages for outcome in told if outcome.detail}
    assert pages == {"ann/lost": len(lost)}
    counts = {outcome.session: outcome.messages for outcome in told if not outcome.detail}
    assert counts == {"ann/1": 30, "ann/2": 30, "ann/expired": 30}


async def test_by_name(make_repository: RepositoryFactory) -> None:
    """Those named, and with `search_pages` what is left of those whose item was lost."""
    sessions = make_repository(sizes=SMALL)
    for name in ("a", "b", "c"):
        await sessions.append(name, many(30))
    await lose_item(sessions, "a")
    run = Run(sessions=["a", "b", "none"])
    assert (await delete_sessions(sessions, run)).actions == {"failed": 2, "deleted": 1}
    assert {name.split("~")[0] for name in await names_left(sessions)} == {"a", "c"}
    assert (await delete_sessions(sessions, run, search_pages=True)).is_good
    assert {name.split("~")[0] for name in await names_left(sessions)} == {"c"}


async def test_nothing_chosen(sessions: AsyncSessionRepository) -> None:
    """That all are meant must be said."""
    with pytest.raises(InvalidInputError, match='match="\\*" is all'):
        await delete_sessions(sessions)


async def test_whole_keys(make_repository: RepositoryFactory, make_table: TableFactory) -> None:
    """The pattern is compared with the values of the key; the pages are found by theirs."""
    sessions = make_repository(make_table("PK", "SK"), primary_key_name="PK", sizes=SMALL)
    for owner in ("ann", "bob"):
        await sessions.append({"PK": owner, "SK": "chat"}, many(30))
    await sessions._connection.call(
        "delete_item",
        {"TableName": sessions.table_name, "Key": {"PK": {"S": "ann"}, "SK": {"S": "chat"}}},
        write=True,
    )
    summary = await delete_sessions(sessions, Run(match="ann/*"))
    assert ({item["PK"]["S"] for item in await scan(sessions)}, summary.actions) == ({"bob"}, {"deleted": 1})


async def test_another_tenant(make_repository: RepositoryFactory, make_table: TableFactory) -> None:
    """Each attribute of the key has its part of the pattern, in the table's order, whatever slashes values have."""
    sessions = make_repository(make_table("tenant", "chat"))
    keys = [{"tenant": tenant, "chat": chat} for tenant, chat in (("ann", "1"), ("ann/corp", "1"), ("1", "ann"))]
    for key in keys:
        await sessions.append(key, many(1))
    for pattern in ("ann*", "ann/corp/*"):
        for dry_run in (True, False):
            with pytest.raises(InvalidInputError, match="a part for each key attribute of tenant, chat"):
                await delete_sessions(sessions, Run(match=pattern, dry_run=dry_run))
    told: list[Outcome] = []
    await delete_sessions(sessions, Run(match="ann/*", tell=told.append))
    assert [outcome.session for outcome in told] == keys[:1]
    await delete_sessions(sessions, Run(match="ann[/]corp/[1]", tell=told.append))
    assert [outcome.session for outcome in told] == keys[:2]
    assert (await verify(sessions, Run(match="*"))).sessions == 1


async def test_another_region(make_repository: RepositoryFactory) -> None:
    """Of a session that is written there nothing is removed here, nor what is on its way from there."""
    clock = make_repository.set_clock()
    here, there = (make_repository(home_region=region, sizes=SMALL) for region in ("eu-central-1", "us-east-1"))
    await there.append("s", many(30))
    before = await scan(here)
    await there.delete("s")
    clock.advance(10)
    await there.append("s", many(30))
    pages = [item for item in await scan(here) if "lc_cut" in item and item not in before]
    for item in await scan(here):
        request = {"TableName": here.table_name, "Key": {"SessionId": item["SessionId"]}}
        await here._connection.call("delete_item", request, write=True)
    for item in before + pages:  # the replica has the new pages before the item
        await here._connection.call("put_item", {"TableName": here.table_name, "Item": item}, write=True)
    clock.advance(7200)
    assert (await vacuum(here)).actions == {}
    for dry_run in (True, False):
        told: list[Outcome] = []
        await delete_sessions(here, Run(match="*", dry_run=dry_run, tell=told.append))
        assert [outcome.action for outcome in told] == ["failed"]
        assert "WrongRegionError" in str(told[0].detail)
    assert len(await scan(here)) == len(before + pages)


async def test_going_on_after_a_kill(
    make_repository: RepositoryFactory, make_table: TableFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the run before may have deleted is not told as failed; what it cannot have begun is."""
    monkeypatch.setattr(running, "AHEAD", 3)
    sessions, resume = make_repository(), tmp_path / "resume"
    to, seen, told = make_repository(make_table()), list[str](), list[Outcome]()
    run = Run([*"abc"], resume=resume, at_once=1, tell=lambda outcome: seen.append(resume.read_text()))
    for command in (delete_sessions, functools.partial(migrate, to=to, delete_source=True)):
        for name in "abc":
            await sessions.append(name, many(1))
        seen.clear()
        told.clear()
        assert (await command(sessions, run)).is_good
        resume.write_text(seen[0])  # as a kill leaves it: of what was done nothing is in it yet
        await command(sessions, replace(run, tell=told.append))
        assert [(one.action, "before it was killed" in str(one.detail)) for one in told] == [("skipped", True)] * 3
    monkeypatch.setattr(running, "AHEAD", 1)
    for stopped in (False, True):
        await sessions.append("a", many(1))
        seen.clear()
        told.clear()
        with contextlib.suppress(KeyboardInterrupt):
            await delete_sessions(sessions, replace(run, tell=_interrupt) if stopped else run)
        if not stopped:
            resume.write_text(seen[0])
        await delete_sessions(sessions, replace(run, tell=told.append))
        assert [one.action for one in told] == ["skipped"] * (not stopped) + ["failed"] * 2


async def test_killed_before_it_could_tell(
    make_repository: RepositoryFactory, make_table: TableFactory, tmp_path: Path
) -> None:
    """What matched and was removed is in no scan any more: the next run tells of it, once. A dry run removes none."""
    sessions, resume = make_repository(make_table("PK", "SK"), primary_key_name="PK"), tmp_path / "resume"
    keys = [{"PK": "ann", "SK": str(i)} for i in range(3)]
    for key in keys:
        await sessions.append(key, many(1))
    seen, told = list[str](), list[Outcome]()
    run = Run(match="ann/*", resume=resume, at_once=1)
    run = replace(run, tell=lambda outcome: seen.append(resume.read_text() if resume.exists() else "{}"))
    for dry_run in (replace(run, dry_run=True), replace(run, match=None, sessions=keys, dry_run=True)):
        await delete_sessions(sessions, dry_run)
    assert not any(saved.get("begun") or saved.get("at_work") for saved in map(json.loads, seen))
    seen.clear()
    await delete_sessions(sessions, run)
    resume.write_text(seen[1])  # as a kill leaves it
    await delete_sessions(sessions, replace(run, tell=told.append))
    assert [(one.session, one.action, one.detail) for one in told] == [(keys[1], "skipped", running._KILLED)]
    told.clear()
    await delete_sessions(sessions, replace(run, tell=told.append))
    assert told == []


async def test_one_name_for_a_session(make_repository: RepositoryFactory) -> None:
    """It is told as by its id, whatever became of it."""
    there, here = (make_repository(home_region=region) for region in ("eu-central-1", "us-east-1"))
    await there.append("s", many(1))
    told: list[Outcome] = []
    await delete_sessions(here, Run(match="*", tell=told.append))
    assert [(one.session, one.action) for one in told] == [("s", "failed")]


def _interrupt(outcome: Outcome) -> None:
    raise KeyboardInterrupt


class Scans(WatchedConnection):
    """Scans two items a request, notes where each begins, and fails at the third."""

    def __init__(self, inner: Any) -> None:
        super().__init__(inner)
        self.starts: list[bool] = []

    async def around(self, operation: str, request: Any, proceed: Call) -> dict[str, Any]:
        if operation == "scan" and request.get("Limit") != SAMPLE:  # a look at the first items
            request["Limit"] = 2
            self.starts.append("ExclusiveStartKey" in request)
            if len(self.starts) == 3:
                raise Crash
        return await proceed()


@pytest.mark.parametrize("command", [functools.partial(delete_sessions), functools.partial(vacuum), verify])
async def test_where_nothing_matches(make_repository: RepositoryFactory, tmp_path: Path, command: Any) -> None:
    """A run that goes on does not scan again what has nothing for it."""
    sessions = make_repository()
    for i in range(8):
        await sessions.append(f"s{i}", many(1))
    watched: Scans = watch(sessions, Scans)
    run = Run(match="nobody", resume=tmp_path / "resume")
    with pytest.raises(Crash):
        await command(sessions, run)
    assert (await command(sessions, run)).sessions == 0
    assert (watched.starts[:4], run.resume and run.resume.exists()) == ([False, True, True, True], False)


async def test_named_twice(sessions: AsyncSessionRepository) -> None:
    """It is deleted, and foretold, once."""
    await sessions.append("a", many(1))
    for dry_run in (True, False):
        summary = await delete_sessions(sessions, Run(["a", {"SessionId": "a"}, "a"], dry_run=dry_run))
        assert summary.actions == {"deleted": 1}


@pytest.mark.dynamodb_local_only
async def test_what_a_deletion_takes(make_repository: RepositoryFactory) -> None:
    """A dry run foretells the write units, with and without a session item."""
    sessions = make_repository()
    await sessions.append("long", many(400))
    await sessions.append("short", many(1))
    await sessions.append("lost", many(400))
    await lose_item(sessions, "lost")
    before = await scan(sessions)
    dry = await delete_sessions(sessions, Run(match="*", dry_run=True))
    assert await scan(sessions) == before
    real = await delete_sessions(sessions, Run(match="*"))
    assert await scan(sessions) == []
    absent = 2  # a number after the last page of each session; the engine bills two units for these, and AWS one
    assert dry.estimated_write_units is not None
    # In some pages a number takes a byte less than the estimate counts.
    assert 0 <= dry.estimated_write_units - (real.write_units - absent) <= 2


# --- Objects ---


@pytest.fixture(name="bucket")
def make_bucket() -> MemoryBlobs:
    """A bucket that takes what has more than 1,000 bytes."""
    return MemoryBlobs(threshold=1000)


async def lose_pages(repository: AsyncSessionRepository, session: str) -> None:
    """As DynamoDB's TTL does."""
    for name in await names_left(repository):
        if name.startswith(f"{session}~"):
            await lose_item(repository, name)


async def four_users(sessions: AsyncSessionRepository, clock: Clock) -> None:
    """Sessions with objects: whole, expired, without its item, without any item, and with objects of before."""
    for name in ("ann/1", "ann/expired", "ann/lost", "ann/gone", "ann/again", "bob/1", "bob/lost"):
        await sessions.append(name, [human(20_000), human(20_000)])
    await sessions.set_expiry("ann/expired", 10)
    for name in ("ann/lost", "ann/gone", "ann/again", "bob/lost"):
        await lose_item(sessions, name)
    for name in ("ann/gone", "ann/again"):
        await lose_pages(sessions, name)
    clock.advance(20)
    await sessions.append("ann/again", [human(20_000)])


async def test_a_user_leaves_no_object(make_repository: RepositoryFactory, bucket: MemoryBlobs) -> None:
    """However a session was lost, its objects go too, and each is counted once, by a dry run too; others stay."""
    clock = make_repository.set_clock()
    sessions = make_repository(blobs=bucket)
    await four_users(sessions, clock)
    counts = {"ann/1": 2, "ann/expired": 2, "ann/lost": 2, "ann/gone": 2, "ann/again": 3}
    for dry_run in (True, False):
        before = dict(bucket.objects)
        told: list[Outcome] = []
        summary = await delete_sessions(sessions, Run(match="ann/*", tell=told.append, dry_run=dry_run))
        assert {outcome.session: outcome.objects for outcome in told} == counts
        assert (summary.objects, len(told)) == (11, 5)
        assert len(before) - len(bucket.objects) == (0 if dry_run else 11)
    assert {name.partition("!/")[2][:3] for name in bucket.objects} == {"bob"}
    assert (await delete_sessions(sessions, Run(match="ann/*"))).actions == {}


@pytest.mark.parametrize("search_pages", [False, True])
async def test_objects_of_named_sessions(
    make_repository: RepositoryFactory, bucket: MemoryBlobs, search_pages: bool
) -> None:
    """The same for those that are named; of one whose name was cut too."""
    clock = make_repository.set_clock()
    sessions = make_repository(blobs=bucket)
    await four_users(sessions, clock)
    cut = "ann/" + "é" * 400
    await sessions.append(cut, [human(20_000)])
    await lose_item(sessions, cut)
    names = ["ann/1", "ann/expired", "ann/lost", "ann/gone", "ann/again", cut]
    summary = await delete_sessions(sessions, Run(sessions=names), search_pages=search_pages)
    assert ({name.partition("!/")[2][:3] for name in bucket.objects}, summary.objects) == ({"bob"}, 12)
    assert {name[:3] for name in await names_left(sessions)} == ({"bob"} if search_pages else {"ann", "bob"})


async def test_a_bucket_in_parts(make_repository: RepositoryFactory, bucket: MemoryBlobs) -> None:
    """Each object is removed by one of the machines that share the work."""
    sessions = make_repository(blobs=bucket)
    for name in map(str, range(8)):
        await sessions.append(name, [human(20_000)])
        await lose_item(sessions, name)
        await lose_pages(sessions, name)
    parts = [(await delete_sessions(sessions, Run(match="*", segments=3, segment=part))).objects for part in range(3)]
    assert (sum(parts), max(parts) < 8, bucket.objects) == (8, True, {})


async def test_without_the_bucket(make_repository: RepositoryFactory, bucket: MemoryBlobs) -> None:
    """Nothing is removed whose object would stay; it is an error that names the bucket, in a dry run too."""
    sessions = make_repository(blobs=bucket)
    for name in ("whole", "lost"):
        await sessions.append(name, [human(20_000)])
    await lose_item(sessions, "lost")
    there = await scan(sessions)
    for dry_run in (True, False):
        for work, options in ((delete_sessions, {}), (vacuum, {"older_than": 0})):
            told: list[Outcome] = []
            run = Run(match="*", tell=told.append, dry_run=dry_run)
            assert not (await work(make_repository(), run, **options)).is_good
            assert all("bucket 'memory'" in str(outcome.detail) for outcome in told)
        with pytest.raises(MissingBlobsError, match="bucket 'memory'"):
            await make_repository().delete("lost", search_pages=True)
    assert (await scan(sessions), len(bucket.objects)) == (there, 2)


async def test_a_bucket_that_is_down(make_repository: RepositoryFactory, bucket: MemoryBlobs) -> None:
    """A deletion that leaves objects ends with an error; the next one removes them."""
    sessions = make_repository(blobs=bucket)
    for name in ("whole", "lost"):
        await sessions.append(name, [human(20_000)])
    await lose_item(sessions, "lost")
    down = make_repository(blobs=DownBucket(objects=bucket.objects, times=bucket.times, threshold=1000))
    with pytest.raises(BlobUnavailableError):
        await delete_sessions(down, Run(match="*"))
    assert len(bucket.objects) == 2
    await delete_sessions(sessions, Run(match="*"))
    assert (await scan(sessions), bucket.objects) == ([], {})


class DownBucket(MemoryBlobs):
    """Can be listed, and deletes nothing."""

    async def delete(self, names: Sequence[str]) -> None:
        raise BlobUnavailableError("S3 is down", bucket=self.bucket, object=None, code=None)


async def test_vacuum_of_a_bucket(make_repository: RepositoryFactory, bucket: MemoryBlobs) -> None:
    """Objects that are a day old and that no page refers to go, by match and in a dry run as elsewhere."""
    clock = make_repository.set_clock()
    sessions = make_repository(blobs=bucket)
    bucket.now = clock.now / 1e6
    await four_users(sessions, clock)
    clock.advance(24 * 3600 - 30)
    assert (await vacuum(sessions, Run(match="ann/*"))).objects == 2  # with the pages of ann/lost
    clock.advance(60)
    told: list[Outcome] = []
    assert (await vacuum(sessions, Run(match="ann/*", dry_run=True))).objects == 4
    summary = await vacuum(sessions, Run(match="ann/*", tell=told.append))
    assert ({outcome.session: outcome.objects for outcome in told}, summary.objects) == (
        {"ann/gone": 2, "ann/again": 2},
        4,
    )
    await vacuum(sessions)
    assert tokens(bucket.objects) == await referred(sessions)
    assert (await vacuum(sessions)).actions == {}


async def test_going_on_with_the_bucket(
    make_repository: RepositoryFactory, bucket: MemoryBlobs, tmp_path: Path
) -> None:
    """A run that was stopped in the bucket goes on there, and counts all."""
    sessions = make_repository(blobs=bucket)
    for name in ("a", "b", "c"):
        await sessions.append(name, [human(20_000)])
        await lose_item(sessions, name)
        await lose_pages(sessions, name)
    told: list[Outcome] = []

    def stop(outcome: Outcome) -> None:
        told.append(outcome)
        raise KeyboardInterrupt

    run = Run(match="*", resume=tmp_path / "resume", at_once=1, tell=stop)
    with pytest.raises(KeyboardInterrupt):
        await delete_sessions(sessions, run)
    assert 0 < len(bucket.objects) < 3
    watched: Recorder = watch(sessions, Recorder)
    summary = await delete_sessions(sessions, replace(run, tell=told.append))
    assert (bucket.objects, summary.objects, "scan" in {name for name, _ in watched.log}) == ({}, 3, False)


# --- vacuum ---


async def test_pages_of_no_session(make_repository: RepositoryFactory) -> None:
    """They go, and sessions keep theirs; a second time there is nothing to do."""
    clock = make_repository.set_clock()
    sessions = make_repository(sizes=SMALL)
    for name in ("kept", "lost", "again"):
        await sessions.append(name, many(30))
    await lose_item(sessions, "lost")
    await lose_item(sessions, "again")
    clock.advance(3 * 3600)
    await sessions.append("again", many(30))
    kept = {name: (await sessions.read(name)).messages for name in ("kept", "again")}
    before = len(await scan(sessions))
    dry = await vacuum(sessions, Run(dry_run=True))
    assert len(await scan(sessions)) == before
    summary = await vacuum(sessions)
    assert (dry.actions, summary.actions) == ({"removed": summary.sessions}, {"removed": dry.sessions})
    assert {name.split("~")[0] for name in await names_left(sessions)} == {"kept", "again"}
    assert {name: (await make_repository().read(name)).messages for name in kept} == kept
    assert (await vacuum(sessions)).actions == {}


async def test_what_began_lately_stays(make_repository: RepositoryFactory) -> None:
    """A replica may have the pages of a new session before its item; of a fork nobody knows when it began exactly."""
    clock = make_repository.set_clock()
    sessions = make_repository(sizes=SMALL)
    await sessions.append("s", many(30))
    await lose_item(sessions, "s")
    assert (await vacuum(sessions)).actions == {}
    clock.advance(3601 + 72 * 60)
    assert (await vacuum(sessions)).actions == {"removed": 1}
    assert await scan(sessions) == []


async def test_named_sessions_make_no_sense(sessions: AsyncSessionRepository) -> None:
    """It goes by what it finds."""
    with pytest.raises(InvalidInputError, match="vacuum scans the table"):
        await vacuum(sessions, Run(sessions=["s"]))


async def test_a_conversion_that_nobody_announced(make_repository: RepositoryFactory, dynamodb: Any) -> None:
    """A large item of langchain_community has no room to say that it is being converted; attributes count too."""
    make_repository.set_clock()
    sessions = make_repository()
    table, key = sessions.table_name, {"SessionId": {"S": "s"}}
    history = {"L": [{"M": {"type": {"S": "human"}, "data": {"M": {"content": {"S": "x" * 120_000}}}}}]}
    dynamodb.put_item(TableName=table, Item={**key, "History": history, "own": {"S": "x" * 100_000}})
    page = sessions._key("s").page(sessions._reader.clock(), 0)
    dynamodb.put_item(TableName=table, Item={**page, "lc_cut": {"N": "1"}})
    assert (await vacuum(sessions, older_than=0)).actions == {}
    dynamodb.put_item(TableName=table, Item={**key, "History": history})
    assert (await vacuum(sessions, older_than=0)).actions == {"removed": 1}


@pytest.mark.dynamodb_local_only
async def test_what_ending_a_deletion_takes(make_repository: RepositoryFactory) -> None:
    """A dry run foretells it for one that stopped half-way, with all its pages."""
    sessions = make_repository()
    await sessions.append("s", many(400))
    dying = make_repository()
    watch(dying, Hooked, _no_batches)
    with pytest.raises(Crash):
        await dying.delete("s")
    dry, real = await vacuum(make_repository(), Run(dry_run=True)), await vacuum(make_repository())
    assert (await scan(sessions), real.actions) == ([], {"removed": 1})
    assert real.write_units == pytest.approx(dry.estimated_write_units, abs=2)


async def _no_batches(operation: str, request: Any, proceed: Call) -> dict[str, Any]:
    if operation == "batch_write_item":
        raise Crash
    return await proceed()


WRITES = [case for case in CASES if not case.busy][:: 1 if THOROUGH else 6]


@pytest.mark.real_engine
@pytest.mark.parametrize("named", [True, False])
async def test_a_deletion_dies_at_every_request(
    make_repository: RepositoryFactory, bucket: MemoryBlobs, named: bool
) -> None:
    """The next one leaves nothing of the user, neither items nor objects; others lose nothing."""
    make_repository.wait(renew=600, lease=0.05)
    names = ["ann/1", "ann/long", "ann/large"]
    run = Run(sessions=names) if named else Run(match="ann/*")
    died, at = True, 0
    while died:
        at += 1
        for after in AFTER:
            sessions = make_repository(sizes=SMALL, blobs=bucket)
            await sessions.append("bob/1", [human(20_000)], expected_version=0)
            kept = (await sessions.read("bob/1")).messages
            await sessions.append("ann/1", many(1))
            await sessions.append("ann/long", many(30))
            await sessions.append("ann/large", [human(20_000)])
            if not named:
                await sessions.append("ann/lost", [human(20_000)])
                await lose_item(sessions, "ann/lost")
            dying = make_repository(sizes=SMALL, blobs=bucket)
            watch(dying, Crashing, at, after)
            died = False
            try:
                await delete_sessions(dying, replace(run, at_once=1))
            except Crash:
                died = True
            await asyncio.sleep(0.06)  # past the lease
            await delete_sessions(make_repository(sizes=SMALL, blobs=bucket), run)
            assert {name.split("~")[0] for name in await names_left(sessions)} == {"bob/1"}
            assert {name.partition("!/")[2].split("/")[0] for name in bucket.objects} == {"bob!2F1"}
            assert (await make_repository(sizes=SMALL, blobs=bucket).read("bob/1")).messages == kept
            await delete_sessions(make_repository(blobs=bucket), Run(sessions=["bob/1"]))
    assert at > 5


@pytest.mark.real_engine
@pytest.mark.parametrize("seconds", [2, 60], ids=["within-its-lease", "beyond-it"])
@pytest.mark.parametrize("case", WRITES, ids=str)
async def test_it_never_disturbs_a_running_writer(make_repository: RepositoryFactory, case: Case, seconds: int) -> None:
    """A writer that is held up at any request goes on after a vacuum, and what it wrote is there, whole."""
    make_repository.wait(renew=600)
    clock = make_repository.set_clock()
    make = functools.partial(make_repository, **case.options)
    course = await record(case, make, clock)
    if blobs := make.keywords["blobs"]:
        blobs.now = course.moment / 1e6
    for at in range(1, course.steps + 1):
        client, _ = await start(make, clock, course.items, course.objects, course.moment)
        stopping: Stopping = watch(client, Stopping, at, True)
        task = asyncio.ensure_future(case.operation(client))
        await stopping.stopped.wait()
        clock.advance(seconds)
        await vacuum(make(), older_than=0)
        stopping.resume()
        await task
        assert await survives(make(), course, goes_on=True)


@pytest.mark.real_engine
@pytest.mark.parametrize("case", WRITES, ids=str)
async def test_it_removes_what_a_crash_left(make_repository: RepositoryFactory, case: Case) -> None:
    """Wherever a writer died: after the vacuum there is nothing but the session, which is as before or after."""
    make_repository.wait(renew=600)
    clock = make_repository.set_clock()
    make = functools.partial(make_repository, **case.options)
    course = await record(case, make, clock)
    for at in range(1, course.steps + 1):
        dying, _ = await start(make, clock, course.items, course.objects, course.moment)
        lacking = await referred(dying) - tokens(objects_of(dying))  # from the beginning, as one case has it
        watch(dying, Crashing, at, False)
        with pytest.raises(Crash):
            await case.operation(dying)
        clock.advance(60)  # past any lease
        await vacuum(make(), older_than=0)
        assert (await vacuum(make(), older_than=0)).actions == {}
        assert tokens(objects_of(dying)) == await referred(dying) - lacking
        assert await survives(make(), course, goes_on=True) in (True, False)


class Meddling(WatchedConnection):
    """Does something just before the first removal of a page."""

    def __init__(self, inner: Any, meddle: Any) -> None:
        super().__init__(inner)
        self.meddle = meddle

    async def around(self, operation: str, request: Any, proceed: Call) -> dict[str, Any]:
        if operation == "delete_item" and self.meddle:
            meddle, self.meddle = self.meddle, None
            await meddle()
        return await proceed()


async def test_a_cut_that_takes_the_number_meanwhile(make_repository: RepositoryFactory) -> None:
    """What is removed is what was seen: a later page of the same number stays."""
    clock = make_repository.set_clock()
    sessions = make_repository(sizes=SMALL)
    await sessions.append("s", many(30))
    await fill_tail(sessions)
    dying = make_repository(sizes=SMALL)
    await dying.read("s")
    watch(dying, Crashing, 1, True)  # the page is put, the session is not
    with pytest.raises(Crash):
        await dying.append("s", [human(100)])
    await sessions.update_metadata("s", {"title": "so that its cut is refused"})
    clock.advance(7200)

    async def cut() -> None:
        await make_repository(sizes=SMALL).append("s", [human(100)])

    vacuuming = make_repository(sizes=SMALL)
    meddling: Meddling = watch(vacuuming, Meddling, cut)
    await vacuum(vacuuming)
    assert meddling.meddle is None
    chat = await make_repository(sizes=SMALL).read("s")
    assert len(chat.messages) == chat.message_count
