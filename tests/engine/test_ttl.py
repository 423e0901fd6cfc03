"""Rule 7: sessions expire, slide with every append, and take their pages with them."""

from __future__ import annotations

import asyncio
import time

import pytest
from langchain_core.messages import HumanMessage

from conftest import RepositoryFactory
from langchain_dynamodb import AsyncSessionRepository
from langchain_dynamodb.errors import InvalidInputError, VersionConflictError
from support import SMALL, Meter, fill_tail, human, remembered, scan, watch

pytestmark = pytest.mark.once

DAY = 24 * 3600
START = 1_800_000_000


async def stamps(repository: AsyncSessionRepository) -> tuple[int | None, list[int | None]]:
    """TTL stamps of the session item and of its pages."""
    items = await scan(repository)
    found = [(int(item["expireAt"]["N"]) if "expireAt" in item else None, "lc_cut" in item) for item in items]
    ((session,), pages) = [[s for s, is_page in found if is_page is kind] for kind in (False, True)]
    return session, pages


async def test_expiry_slides_and_rounds_up(make_repository: RepositoryFactory) -> None:
    """Every append moves it; a fraction of a second counts as a whole one."""
    clock = make_repository.set_clock()
    repository = make_repository(ttl=100)
    await repository.append("s", [HumanMessage("a")])
    assert await stamps(repository) == (START + 101, [])
    clock.advance(50)
    await repository.append("s", [HumanMessage("b")])
    assert await stamps(repository) == (START + 151, [])
    chat = await repository.read("s")
    assert chat.expires_at is not None
    assert chat.expires_at.timestamp() == START + 151


async def test_no_ttl_leaves_an_existing_stamp_alone(make_repository: RepositoryFactory) -> None:
    """A repository without ttl neither moves nor removes it; its pages outlive it."""
    make_repository.set_clock()
    await make_repository(ttl=100).append("s", [HumanMessage("a")])
    plain = make_repository(sizes=SMALL)
    await plain.append("s", [HumanMessage("b")])
    await plain.update_metadata("s", {"a": 1})
    assert await stamps(plain) == (START + 101, [])
    await fill_tail(plain)
    await plain.append("s", [human(100)])
    session, pages = await stamps(plain)
    assert (session, pages) == (START + 101, [START + 101 + 30 * DAY] * len(pages))
    assert pages


@pytest.mark.parametrize("paged", [False, True])
async def test_expired_is_absent(make_repository: RepositoryFactory, paged: bool) -> None:
    """Still stored, as DynamoDB deletes late: reads see nothing, an append starts anew, and the old items go."""
    clock = make_repository.set_clock()
    warm, cold = make_repository(ttl=100, sizes=SMALL), make_repository(ttl=100, sizes=SMALL)
    for _ in range(20 if paged else 1):
        await warm.append("s", [human(90)])
    await warm.update_metadata("s", {"title": "old"})
    old = len(await scan(warm))
    assert (old > 1) == paged
    clock.advance(102)
    for repository in (warm, cold):
        chat = await repository.read("s")
        assert (chat.version, chat.messages, chat.metadata) == (0, [], {})
        assert await repository.append("s", []) == 0
        assert [message async for message in repository.iter_messages("s")] == []
    with pytest.raises(VersionConflictError):
        await cold.append("s", [HumanMessage("new")], expected_version=7)
    await warm.append("s", [HumanMessage("new")], expected_version=0)
    chat = await cold.read("s")
    assert (chat.messages, chat.metadata) == ([HumanMessage("new")], {})
    assert len(await scan(warm)) == 1


async def test_an_append_without_a_look_does_not_revive_what_expired(make_repository: RepositoryFactory) -> None:
    """Neither in a process that knows nothing of the session nor in one that saw it alive."""
    clock = make_repository.set_clock()
    for session, known in (("new", False), ("seen", True)):
        await make_repository(ttl=100).append(session, [HumanMessage("old")])
        writer = make_repository(ttl=100)
        if known:
            await writer.append(session, [HumanMessage("old too")])
        clock.advance(102)
        await writer.append(session, [HumanMessage("new")])
        assert (await writer.read(session)).messages == [HumanMessage("new")]


async def test_pages_outlive_the_session_without_being_written_again(make_repository: RepositoryFactory) -> None:
    """They get thirty days more (or twice the ttl), and new stamps when less than one ttl is left."""
    clock = make_repository.set_clock()
    repository = make_repository(ttl=10 * DAY, sizes=SMALL)
    meter: Meter = watch(repository, Meter)
    await fill_tail(repository)
    await repository.append("s", [human(100)])
    session, pages = await stamps(repository)
    assert (session, set(pages)) == (START + 10 * DAY + 1, {START + 40 * DAY + 1})
    for _ in range(3):  # days 9, 18, 27
        clock.advance(9 * DAY)
        meter.reset()
        await repository.append("s", [HumanMessage("a")])
        assert meter.requests["update_item"] == 1
    clock.advance(5 * DAY)  # day 32: less than 10 days left
    await repository.append("s", [HumanMessage("a")])
    session, pages = await stamps(repository)
    assert (session, set(pages)) == (START + 42 * DAY + 1, {START + 72 * DAY + 1})
    meter.reset()
    await repository.append("s", [HumanMessage("a")])
    assert meter.requests["update_item"] == 1


async def test_a_long_ttl_counts_twice(make_repository: RepositoryFactory) -> None:
    """With a ttl above thirty days, pages live twice as long."""
    make_repository.set_clock()
    repository = make_repository(ttl=100 * DAY, sizes=SMALL)
    await repository.replace("s", [human(400) for _ in range(5)])
    _, pages = await stamps(repository)
    assert set(pages) == {START + 200 * DAY + 1}


async def test_pages_cut_before_a_ttl_was_set_get_one(make_repository: RepositoryFactory) -> None:
    """The first append with a ttl stamps all pages, once."""
    make_repository.set_clock()
    plain = make_repository(sizes=SMALL)
    await fill_tail(plain)
    await plain.append("s", [human(100)])
    session, pages = await stamps(plain)
    assert (session, set(pages)) == (None, {None})
    expiring = make_repository(ttl=100, sizes=SMALL)
    meter: Meter = watch(expiring, Meter)
    await expiring.append("s", [HumanMessage("a")])
    session, pages = await stamps(plain)
    assert (session, set(pages)) == (START + 101, {START + 100 + 30 * DAY + 1})
    meter.reset()
    await expiring.append("s", [HumanMessage("b")])
    assert dict(meter.requests) == {"update_item": 1}
    assert remembered(expiring).pages_expire == START + 100 + 30 * DAY + 1


async def test_create_table_enables_expiry_by_the_right_attribute(make_repository: RepositoryFactory) -> None:
    """With ttl it is on; another attribute than the table's is an error that names it."""
    first = make_repository(ttl=60, ttl_key_name="my-ttl")
    await first.create_table()
    await first.create_table()
    request = {"TableName": first.table_name}
    response = await first._connection.call("describe_time_to_live", request, write=False)
    assert response["TimeToLiveDescription"]["AttributeName"] == "my-ttl"
    with pytest.raises(InvalidInputError, match="my-ttl"):
        await make_repository(ttl=60).create_table()


@pytest.mark.dynamodb_local_only
async def test_the_engine_deletes_an_expired_session(make_repository: RepositoryFactory) -> None:
    """The session item goes by DynamoDB's own hand, and a new session of that name has none of the old messages."""
    repository = make_repository(ttl=1, sizes=SMALL)
    await repository.create_table()
    await fill_tail(repository)
    await repository.append("s", [human(100)])
    deadline = time.monotonic() + 60
    while any("lc_version" in item for item in await scan(repository)):
        assert time.monotonic() < deadline, "DynamoDB Local never deleted the expired item"
        await asyncio.sleep(0.5)
    assert await scan(repository) != []  # its pages outlive it
    await repository.append("s", [HumanMessage("new")])
    chat = await make_repository().read("s")
    assert chat.messages == [HumanMessage("new")]
