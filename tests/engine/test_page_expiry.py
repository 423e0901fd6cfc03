"""Rule 7: whatever moves or introduces an expiry, pages outlive their session, also where the writer dies half-way."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest

from conftest import RepositoryFactory
from langchain_dynamodb import AsyncSessionRepository
from langchain_dynamodb._items.page_items import Page
from langchain_dynamodb._items.session_items import SessionItem
from langchain_dynamodb.errors import StorageError, ThrottledError
from support import SMALL, Call, Clock, Crash, Crashing, Hooked, Meter, fill_tail, human, many, scan, watch

pytestmark = pytest.mark.once

DAY = 24 * 3600
YEAR = 365 * DAY
START = 1_800_000_000

Change = Callable[[AsyncSessionRepository], Awaitable[object]]
CHANGES: dict[str, Change] = {
    "append": lambda s: s.append("s", [human(1)]),
    "cut": lambda s: s.append("s", [human(200)]),
    "batch": lambda s: s.append("s", many(9, 300)),
    "bounded": lambda s: s.append("s", [human(200)], history_size=5),
    "metadata": lambda s: s.update_metadata("s", {"title": "t"}),
    "attributes": lambda s: s.update_metadata("s", {}, attributes={"user": "u"}),
    "nothing": lambda s: s.update_metadata("s", {}),
    "truncate in the tail": lambda s: truncate(s, 1),
    "truncate": lambda s: truncate(s, 7),
    "replace": lambda s: s.replace("s", many(9, 300)),
    "set_expiry": lambda s: s.set_expiry("s", s.ttl or YEAR),
}


async def truncate(repository: AsyncSessionRepository, drop: int) -> None:
    """Cut off so many messages."""
    chat = await repository.read("s")
    await repository.truncate("s", keep=chat.message_count - drop)


async def state(repository: AsyncSessionRepository) -> tuple[SessionItem, list[Page]]:
    """The session item and its committed pages, as they are stored."""
    key = repository._key("s")
    item = await repository._table.get(key)
    assert isinstance(item, SessionItem)
    numbers = range(item.first_page, item.pages)
    pages = await repository._table.get_pages(key, item.generation, numbers, consistent=True, whole=True)
    assert list(pages) == list(numbers) or sorted(pages) == list(numbers)
    return item, [pages[number] for number in numbers]


async def fault(repository: AsyncSessionRepository) -> str | None:
    """What is wrong with the stamps of the session and its pages."""
    item, pages = await state(repository)
    stamps = [page.expires for page in pages]
    if item.expires is None:
        return None if set(stamps) <= {None} else f"pages expire under a session that does not: {stamps}"
    if any(stamp is not None and stamp < item.expires for stamp in stamps):
        return f"pages expire at {stamps}, before their session at {item.expires}"
    return None


async def forever(repository: AsyncSessionRepository) -> bool:
    """Whether a page stays when the session has expired."""
    item, pages = await state(repository)
    return item.expires is not None and any(page.expires is None for page in pages)


async def begin(repository: AsyncSessionRepository) -> None:
    """A session of several pages and a full tail."""
    await repository.append("s", many(4, 300))
    await fill_tail(repository)


async def played(repository: AsyncSessionRepository, clock: Clock) -> None:
    """Delete what DynamoDB would have deleted by now."""
    for item in await scan(repository):
        if "expireAt" in item and int(item["expireAt"]["N"]) * 1_000_000 < clock.now:
            request = {"TableName": repository.table_name, "Key": {"SessionId": item["SessionId"]}}
            await repository._connection.call("delete_item", request, write=True)


@pytest.mark.parametrize("between", [None, "metadata", "append"], ids=["alone", "metadata without", "append without"])
@pytest.mark.parametrize("touch", [t for t in CHANGES if t not in ("truncate", "replace", "bounded")])
async def test_a_session_that_is_touched_lives(
    make_repository: RepositoryFactory, touch: str, between: str | None
) -> None:
    """For months, by processes that know nothing of it, one of them without ttl: no page is deleted under it."""
    clock = make_repository.set_clock()
    await begin(make_repository(ttl=30 * DAY, sizes=SMALL))
    for _ in range(7):
        clock.advance(20 * DAY)
        await played(make_repository(), clock)
        if between:
            await CHANGES[between](make_repository(sizes=SMALL))
        await CHANGES[touch](make_repository(ttl=30 * DAY, sizes=SMALL))
        assert await fault(make_repository()) is None
    chat = await make_repository().read("s")
    assert len(chat.messages) == chat.message_count >= 4
    clock.advance(120 * DAY)
    await played(make_repository(), clock)
    assert await scan(make_repository()) == []


@pytest.mark.parametrize("known", [True, False], ids=["session known", "session not known"])
@pytest.mark.parametrize("before", [None, DAY], ids=["introduced", "longer"])
@pytest.mark.parametrize("change", CHANGES)
async def test_a_ttl_introduced_or_made_longer(
    make_repository: RepositoryFactory, change: str, before: int | None, known: bool
) -> None:
    """By any change, also where a writer without ttl comes in between: all pages get a stamp that is late enough."""
    clock = make_repository.set_clock()
    await begin(make_repository(ttl=before, sizes=SMALL))
    if before:
        await CHANGES["cut"](make_repository(sizes=SMALL))
    writer = make_repository(ttl=YEAR, sizes=SMALL)
    if known:
        await writer.read("s")
    await CHANGES[change](writer)
    reader = make_repository(sizes=SMALL)
    item, _ = await state(reader)
    assert item.expires is not None
    assert item.expires - START in (YEAR, YEAR + 1)
    assert (await fault(reader), await forever(reader)) == (None, False)
    assert not item.pages_expire or item.pages_expire >= item.expires
    clock.advance(40 * DAY)
    await played(reader, clock)
    chat = await reader.read("s")
    assert len(chat.messages) == chat.message_count


@pytest.mark.parametrize("change", ["metadata", "truncate in the tail", "append", "cut"])
async def test_without_a_ttl_stamps_are_left_alone(make_repository: RepositoryFactory, change: str) -> None:
    """The session's and those of its pages; a page that is cut outlives the session by thirty days."""
    clock = make_repository.set_clock()
    await begin(make_repository(ttl=DAY, sizes=SMALL))
    plain = make_repository(sizes=SMALL)
    item, pages = await state(plain)
    clock.advance(3600)
    await CHANGES[change](plain)
    after, all_pages = await state(plain)
    assert (after.expires, [p.expires for p in all_pages[: len(pages)]]) == (item.expires, [p.expires for p in pages])
    assert item.expires is not None
    assert {page.expires for page in all_pages[len(pages) :]} <= {item.expires + 30 * DAY}


@pytest.mark.real_engine  # on moto it would take long and show the same
@pytest.mark.parametrize("after", [False, True], ids=["not sent", "applied"])
@pytest.mark.parametrize("before", [None, DAY], ids=["introduced", "longer"])
@pytest.mark.parametrize("change", ["append", "cut", "metadata", "truncate in the tail", "set_expiry"])
async def test_a_writer_that_dies(
    make_repository: RepositoryFactory, change: str, before: int | None, after: bool
) -> None:
    """At any of its requests: the session never outlives its pages, and the next change of any kind completes it."""
    make_repository.set_clock()
    at = 0
    while True:
        at += 1
        await begin(make_repository(ttl=before, sizes=SMALL))
        writer = make_repository(ttl=YEAR, sizes=SMALL)
        await writer.read("s")
        crashing: Crashing = watch(writer, Crashing, at, after)
        try:
            await CHANGES[change](writer)
        except Crash:
            assert await fault(make_repository()) is None
        following = make_repository(sizes=SMALL)
        await CHANGES[("metadata", "append", "cut", "nothing")[at % 4]](following)
        assert (await fault(following), await forever(following)) == (None, False)
        await following.delete("s")
        if not crashing.reached:
            break
    assert at > 2


@pytest.mark.parametrize("after", [False, True], ids=["not sent", "applied"])
async def test_made_permanent_by_a_writer_that_dies(make_repository: RepositoryFactory, after: bool) -> None:
    """At any of its requests: no page with a stamp is left under a session without one, and no page stays for good."""
    make_repository.set_clock()
    at = 0
    while True:
        at += 1
        await begin(make_repository(ttl=DAY, sizes=SMALL))
        writer = make_repository(sizes=SMALL)
        crashing: Crashing = watch(writer, Crashing, at, after)
        try:
            await writer.set_expiry("s", None)
        except Crash:
            assert await fault(make_repository()) is None
        following = make_repository(sizes=SMALL)
        await CHANGES[("metadata", "append", "cut", "nothing")[at % 4]](following)
        assert (await fault(following), await forever(following)) == (None, False)
        await following.delete("s")
        if not crashing.reached:
            break
    assert at > 3


async def test_a_late_stamp_does_not_reach_a_permanent_session(make_repository: RepositoryFactory) -> None:
    """Requests that give the pages a stamp are on their way while another makes the session permanent."""
    clock = make_repository.set_clock()
    await begin(make_repository(sizes=SMALL))
    late: list[Call] = []

    async def hold(operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        if operation == "update_item" and "~" in request["Key"]["SessionId"]["S"]:
            late.append(proceed)
            raise ThrottledError("held back")
        return await proceed()

    for ttl in (DAY, YEAR):  # one introduces the expiry, one makes it longer
        writer = make_repository(ttl=ttl, sizes=SMALL)
        watch(writer, Hooked, hold)
        await writer.append("s", [human(1)])
        clock.advance(1)
    assert len(late) > 1
    sessions = make_repository(sizes=SMALL)
    await sessions.set_expiry("s", None)
    for proceed in late:
        with pytest.raises(Exception, match="condition"):
            await proceed()
    item, pages = await state(sessions)
    assert (item.expires, {page.expires for page in pages}) == (None, {None})
    await make_repository(ttl=DAY, sizes=SMALL).append("s", [human(1)])  # slides it again
    assert (await fault(sessions), await forever(sessions)) == (None, False)


@pytest.mark.parametrize("change", ["append", "cut", "batch", "metadata", "set_expiry", "truncate"])
@pytest.mark.parametrize("between", [False, True], ids=["before", "while its pages are extended"])
async def test_a_session_made_permanent_and_given_an_expiry_again(
    make_repository: RepositoryFactory, change: str, between: bool
) -> None:
    """One who knows an older state does not take pages for extended that were not, or not for good."""
    clock = make_repository.set_clock()
    stale, other = (make_repository(ttl=days * DAY, sizes=SMALL) for days in (60, 26))
    await begin(stale)
    met = False

    async def meddle() -> None:
        nonlocal met
        met = True
        await other.set_expiry("s", None)
        await other.append("s", many(9, 300))

    async def hook(operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        response = await proceed()
        if between and not met and operation == "update_item" and "~" in request["Key"]["SessionId"]["S"]:
            await meddle()
        return response

    clock.advance(50 * DAY)
    await stale.append("s", [human(1)])  # whose pages have no time for another 60 days soon
    if not between:
        await meddle()
    clock.advance(25 * DAY)
    watch(stale, Hooked, hook)
    await CHANGES[change](stale)
    assert (met, await fault(stale)) == (True, None)


@pytest.mark.parametrize(("winner", "loser"), [(YEAR, DAY), (None, DAY)], ids=["longer", "permanent"])
async def test_a_late_copy_of_a_page_does_not_shorten_it(
    make_repository: RepositoryFactory, winner: int | None, loser: int
) -> None:
    """Two cut the same page at the same version; the one that lost puts it after the other has committed it."""
    make_repository.set_clock()
    first, second = make_repository(ttl=winner, sizes=SMALL), make_repository(ttl=loser, sizes=SMALL)
    await fill_tail(first)
    await second.read("s")
    ahead = False

    async def overtaken(operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        nonlocal ahead
        if operation == "put_item" and not ahead:
            ahead = True
            await first.append("s", [human(200)])
            before = (await state(first))[1]
            try:
                return await proceed()
            finally:
                assert (await state(first))[1] == before
        return await proceed()

    watch(second, Hooked, overtaken)
    await second.append("s", [human(200)])
    assert ahead
    assert (await fault(first), await forever(first)) == (None, False)


async def test_pages_that_cannot_be_extended(
    make_repository: RepositoryFactory, caplog: pytest.LogCaptureFixture
) -> None:
    """The append takes place all the same, and the session gets no more time than its pages; the next one goes on."""
    clock = make_repository.set_clock()
    await begin(make_repository(ttl=DAY, sizes=SMALL))
    writer = make_repository(ttl=YEAR, sizes=SMALL)
    before = await writer.read("s")
    throttled = True

    async def throttle(operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        if throttled and operation == "update_item" and "~" in request["Key"]["SessionId"]["S"]:
            raise StorageError("no answer", outcome_unknown=True)
        return await proceed()

    watch(writer, Hooked, throttle)
    await writer.append("s", [human(1)])
    item, pages = await state(writer)
    assert item.expires == min(page.expires or 0 for page in pages) > START + 30 * DAY
    assert (await writer.read("s")).message_count == before.message_count + 1
    assert "Could not extend the expiry of the pages of a session: StorageError" in caplog.text
    throttled = False
    clock.advance(1)
    await writer.update_metadata("s", {"title": "t"})
    item, _ = await state(writer)
    assert item.expires is not None
    assert item.expires > START + YEAR
    assert await fault(writer) is None


@pytest.mark.parametrize("change", ["append", "metadata"])
async def test_it_costs_a_request_more_once(make_repository: RepositoryFactory, change: str) -> None:
    """One for each page and one to note it, at most once in a ttl; every other change is as cheap as without."""
    clock = make_repository.set_clock()
    sessions = make_repository(ttl=30 * DAY, sizes=SMALL)
    await begin(sessions)
    meter: Meter = watch(sessions, Meter)
    extended = []
    for day in range(0, 120, 5):
        meter.reset()
        await CHANGES[change](sessions)
        if meter.requests["update_item"] > 1:
            extended.append(day)
        clock.advance(5 * DAY)
    assert extended == [35, 70, 105]


@pytest.mark.dynamodb_local_only
async def test_the_engine_keeps_the_pages_of_a_session_that_is_renamed(make_repository: RepositoryFactory) -> None:
    """DynamoDB's own deletion, with pages as they are a second before they expire."""
    sessions = make_repository(ttl=3600, sizes=SMALL)
    await sessions.create_table()
    await begin(sessions)
    key = sessions._key("s")
    item, pages = await state(sessions)
    now = sessions._reader.clock() // 1_000_000
    for page in pages:
        request = {
            "TableName": sessions.table_name,
            "Key": key.page(item.generation, page.number),
            "UpdateExpression": "SET expireAt = :t",
            "ExpressionAttributeValues": {":t": {"N": str(now + 2)}},
        }
        await sessions._connection.call("update_item", request, write=True)
    request = {
        "TableName": sessions.table_name,
        "Key": key.item,
        "UpdateExpression": "SET lc_pages_expire = :t, expireAt = :t",
        "ExpressionAttributeValues": {":t": {"N": str(now + 2)}},
    }
    await sessions._connection.call("update_item", request, write=True)
    await make_repository(ttl=3600, sizes=SMALL).update_metadata("s", {"title": "t"})
    marker = make_repository(ttl=1, sizes=SMALL)
    await marker.append("marker", [human(1)])
    deadline = time.monotonic() + 60
    while any(item["SessionId"]["S"] == "marker" for item in await scan(sessions)):
        assert time.monotonic() < deadline, "DynamoDB Local never deleted the expired item"
        await asyncio.sleep(0.5)
    await asyncio.sleep(3)
    chat = await make_repository().read("s")
    assert len(chat.messages) == chat.message_count
