"""Many sessions repaired, or brought under another key; deaths on the way."""

from __future__ import annotations

import os
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from community_support import Theirs, bulk
from conftest import RepositoryFactory, TestEngine
from langchain_dynamodb import AsyncSessionRepository
from langchain_dynamodb.admin import Outcome, Run, reencrypt_sessions, repair_sessions, vacuum, verify
from langchain_dynamodb.encryption import LocalKeyring
from langchain_dynamodb.errors import InvalidInputError, SettingsError
from memory_blobs import MemoryBlobs
from scenarios import AFTER
from support import SMALL, Call, Crash, Crashing, Hooked, many, remembered, scan, watch

pytestmark = [pytest.mark.once, pytest.mark.filterwarnings("ignore:`langchain-community` is being sunset")]
OLD, NEW = os.urandom(32), os.urandom(32)


async def lose_page(repository: AsyncSessionRepository, session: str, number: int) -> None:
    """Delete one of its pages, as somebody might by hand."""
    await repository.read(session)
    key, item = repository._key(session), repository._reader.known.get(repository._key(session))
    assert item is not None
    request = {"TableName": repository.table_name, "Key": key.page(item.generation, number)}
    await repository._connection.call("delete_item", request, write=True)


# --- repair ---


async def test_those_that_are_damaged(make_repository: RepositoryFactory) -> None:
    """They are repaired, with a report; the others stay as they are. A dry run says the same and changes nothing."""
    clock = make_repository.set_clock()
    sessions = make_repository(sizes=SMALL)
    for name in ("good", "bad"):
        await sessions.append(name, many(40))
    await lose_page(sessions, "bad", 1)
    clock.advance(3600)  # it is not late, but lost
    before = await scan(sessions)
    told: list[Outcome] = []
    dry = await repair_sessions(make_repository(sizes=SMALL), Run(match="*", dry_run=True, tell=told.append))
    assert (dry.actions, await scan(sessions)) == ({"unchanged": 1, "repaired": 1}, before)
    await repair_sessions(make_repository(sizes=SMALL), Run(match="*", tell=told.append))
    reports = [outcome.repair for outcome in told if outcome.session == "bad"]
    assert all(report is not None for report in reports)
    lost = [sum(gap.messages for gap in report.missing) for report in reports if report]
    assert (lost[0] > 0, lost[0] == lost[1]) == (True, True)
    assert (await verify(make_repository(sizes=SMALL))).actions == {"verified": 2}
    assert (await sessions.read("bad")).message_count == 40 - lost[0]
    assert (await repair_sessions(make_repository(sizes=SMALL), Run(match="*"))).actions == {"unchanged": 2}


async def test_what_cannot_be_decoded(make_repository: RepositoryFactory, dynamodb: Any) -> None:
    """It is damaged still, in a dry run too, until it is dropped; so is one of which an object is lost."""
    bucket = MemoryBlobs(threshold=1000)
    sessions = make_repository(blobs=bucket)
    for name in ("page", "tail", "object"):
        await sessions.append(name, many(5, 20_000 if name == "object" else 3000 if name == "page" else 100))
        await sessions.append(name, many(1))
    for item in await scan(sessions):
        name = item["SessionId"]["S"].partition("~")[0]
        if name == "page" and "lc_data" in item:
            dynamodb.put_item(TableName=sessions.table_name, Item={**item, "lc_data": {"B": b"nonsense"}})
        if item["SessionId"]["S"] == "tail":
            dynamodb.put_item(TableName=sessions.table_name, Item={**item, "History": {"L": [{"B": b"nonsense"}]}})
    bucket.objects.clear()
    for dry_run in (True, False):
        told: list[Outcome] = []
        await repair_sessions(make_repository(blobs=bucket), Run(match="*", dry_run=dry_run, tell=told.append))
        assert {one.session: one.action for one in told} == dict.fromkeys(("page", "tail", "object"), "damaged")
        assert all("--drop-undecodable" in (one.detail or "") for one in told)
    assert (await verify(make_repository(blobs=bucket))).actions == {"damaged": 3}
    dropping = make_repository(blobs=bucket)
    assert (await repair_sessions(dropping, Run(match="*"), drop_undecodable=True)).actions == {"repaired": 3}
    assert (await verify(make_repository(blobs=bucket))).actions == {"verified": 3}


async def test_an_append_in_between(make_repository: RepositoryFactory) -> None:
    """A session that is well and that somebody goes on with meanwhile was not repaired."""
    sessions, writing = make_repository(), make_repository()
    await sessions.append("s", many(1))
    appended: list[int] = []

    async def between(operation: str, request: Any, proceed: Call) -> dict[str, Any]:
        response = await proceed()
        if not appended:
            appended.append(await writing.append("s", many(1)))
        return response

    watch(sessions, Hooked, between)
    assert (await repair_sessions(sessions, Run(sessions=["s"]))).actions == {"unchanged": 1}
    assert appended


async def test_which_sessions(sessions: AsyncSessionRepository) -> None:
    """They must be chosen; one that is not there is told."""
    with pytest.raises(InvalidInputError, match="repair which sessions"):
        await repair_sessions(sessions)
    for dry_run in (False, True):
        summary = await repair_sessions(sessions, Run(sessions=["nobody"], dry_run=dry_run))
        assert summary.actions == {"failed": 1}


# --- reencrypt ---


async def test_another_key(make_repository: RepositoryFactory, engine: TestEngine, table_name: str) -> None:
    """Plain sessions and those of the old key get the new one, once; items of langchain_community too."""
    make, ring = make_repository, LocalKeyring(NEW, old=[OLD])
    messages = many(40)
    await make(sizes=SMALL).append("plain", messages)
    await make(encryption=LocalKeyring(OLD), sizes=SMALL).append("old", messages)
    await make(encryption=LocalKeyring(NEW)).append("new", many(1))
    Theirs(table_name, "theirs", endpoint_url=engine.endpoint_url).add_messages(bulk(3))
    dry = await reencrypt_sessions(make(encryption=ring), Run(dry_run=True))
    assert dry.actions == {"reencrypted": 3, "unchanged": 1}
    assert (await reencrypt_sessions(make(encryption=ring))).actions == dry.actions
    only = make(encryption=LocalKeyring(NEW))
    assert (await only.read("plain")).messages == (await only.read("old")).messages == messages
    assert [m.text for m in (await only.read("theirs")).messages] == [m.text for m in bulk(3)]
    items = await scan(only)
    assert (await reencrypt_sessions(make(encryption=ring))).actions == {"unchanged": 4}
    assert await scan(only) == items
    assert (await reencrypt_sessions(make(encryption=ring), everything=True)).actions == {"reencrypted": 4}


@pytest.mark.dynamodb_local_only
@pytest.mark.parametrize("count", [2, 300])
async def test_what_their_sessions_take(
    make_repository: RepositoryFactory, engine: TestEngine, table_name: str, count: int
) -> None:
    """A dry run foretells it for items of langchain_community too."""
    Theirs(table_name, "s", endpoint_url=engine.endpoint_url).add_messages(bulk(count))
    dry = await reencrypt_sessions(make_repository(encryption=LocalKeyring(NEW)), Run(dry_run=True))
    real = await reencrypt_sessions(make_repository(encryption=LocalKeyring(NEW)))
    assert real.write_units == pytest.approx(dry.estimated_write_units, rel=0.1, abs=2)


async def test_to_none(make_repository: RepositoryFactory) -> None:
    """All that are encrypted are plain afterwards, once."""
    encrypting = make_repository(encryption=LocalKeyring(NEW))
    messages = many(3)
    await encrypting.append("s", messages)
    await make_repository().append("plain", many(1))
    assert (await reencrypt_sessions(encrypting, plain=True)).actions == {"reencrypted": 1, "unchanged": 1}
    assert (await make_repository().read("s")).messages == messages
    assert (await reencrypt_sessions(encrypting, plain=True)).actions == {"unchanged": 2}


async def test_without_a_key(sessions: AsyncSessionRepository) -> None:
    """There is nothing to encrypt with."""
    with pytest.raises(SettingsError, match="needs the keyring"):
        await reencrypt_sessions(sessions)


@pytest.mark.dynamodb_local_only
async def test_the_estimate(make_repository: RepositoryFactory) -> None:
    """A dry run foretells the write units."""
    await make_repository().append("long", many(400))
    await make_repository().append("short", many(1))
    encrypting = make_repository(encryption=LocalKeyring(NEW))
    dry = await reencrypt_sessions(encrypting, Run(dry_run=True))
    real = await reencrypt_sessions(encrypting)
    assert real.write_units == pytest.approx(dry.estimated_write_units, rel=0.1)


# --- Deaths ---


@pytest.mark.real_engine
@pytest.mark.parametrize("command", ["repair", "reencrypt", "vacuum"])
async def test_dying_at_every_request(make_repository: RepositoryFactory, command: str) -> None:
    """Readable at once, nothing lost; after another run all is done, and nothing is left but the sessions."""
    make_repository.wait(renew=600)
    clock = make_repository.set_clock()
    options: dict[str, Any] = {"sizes": SMALL}
    if command == "reencrypt":
        options["encryption"] = LocalKeyring(NEW, old=[OLD])

    def make() -> AsyncSessionRepository:
        return make_repository(**options)

    async def prepare() -> list[HumanMessage]:
        first = make_repository(**{**options, **({"encryption": LocalKeyring(OLD)} if "encryption" in options else {})})
        await first.append("s", many(40))
        if command == "repair":
            await lose_page(first, "s", 2)
        if command == "vacuum":
            await first.append("lost", many(40))
            await first._connection.call(
                "delete_item", {"TableName": first.table_name, "Key": {"SessionId": {"S": "lost"}}}, write=True
            )
        clock.advance(3600)
        return (await make().read("s", skip_missing_pages=True)).messages  # type: ignore[return-value]

    async def work(one: AsyncSessionRepository) -> None:
        run = Run(at_once=1, match="*")
        if command == "repair":
            await repair_sessions(one, run)
        elif command == "reencrypt":
            await reencrypt_sessions(one, run)
        else:
            await vacuum(one, run)

    died, at = True, 0
    while died:
        at += 1
        for after in AFTER:
            expected = await prepare()
            dying, died = make(), False
            watch(dying, Crashing, at, after)
            try:
                await work(dying)
            except Crash:
                died = True
            assert (await make().read("s", skip_missing_pages=True)).messages == expected
            clock.advance(3600)  # past any lease, and what is missing is not late
            await work(make())
            fresh = make_repository(
                **{**options, **({"encryption": LocalKeyring(NEW)} if "encryption" in options else {})}
            )
            assert (await fresh.read("s")).messages == expected
            await vacuum(make(), older_than=0)
            items, head = await scan(fresh), remembered(fresh)
            assert {item["SessionId"]["S"].partition("~lc~")[0] for item in items} == {"s"}
            assert len(items) == 1 + head.pages - head.first_page
            await fresh.delete("s")
            assert await scan(fresh) == []
    assert at > 3
