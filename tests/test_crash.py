"""A writer dies at every one of its requests: the session is as before or as after, and can be deleted whole."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from langchain_core.messages import HumanMessage, messages_to_dict

from conftest import RepositoryFactory
from langchain_dynamodb import AsyncSessionRepository
from langchain_dynamodb.values import to_attribute
from support import SMALL, Clock, Crash, Crashing, Recorder, fill_tail, human, remembered, scan, watch

Step = Callable[[AsyncSessionRepository], Awaitable[Any]]
BATCH = [human(300) for _ in range(8)]
ONE = [human(100)]
LARGE = [HumanMessage("small"), human(4000)]


async def nothing(repository: AsyncSessionRepository) -> None:
    """No session yet."""


async def full_tail(repository: AsyncSessionRepository) -> None:
    """A session whose next append cuts a page, after some that did."""
    for _ in range(9):
        await repository.append("s", [human(100)])
    await fill_tail(repository)
    assert remembered(repository).pages > 1


async def soon_to_expire(repository: AsyncSessionRepository) -> None:
    """A session whose pages must be given a new expiry by the next append."""
    await full_tail(repository)
    key, item = repository._key("s"), remembered(repository)
    await repository._table.refresh_pages(key, item.generation, range(item.pages), 1_800_000_100)
    await repository._connection.call(
        "update_item",
        {
            "TableName": repository.table_name,
            "Key": key.item,
            "UpdateExpression": "SET lc_pages_expire = :soon",
            "ExpressionAttributeValues": {":soon": {"N": "1800000100"}},
        },
        write=True,
    )


async def incumbents_item(repository: AsyncSessionRepository) -> None:
    """An item as langchain_community leaves it."""
    natives = messages_to_dict([HumanMessage("old", id="1"), *BATCH])
    item = {"SessionId": {"S": "s"}, "History": to_attribute(natives, "natives"), "Other": {"S": "kept"}}
    await repository._connection.call("put_item", {"TableName": repository.table_name, "Item": item}, write=True)


def append_one(repository: AsyncSessionRepository) -> Awaitable[Any]:
    """Append to the tail; where that is full, a page is cut."""
    return repository.append("s", ONE)


def append_many(repository: AsyncSessionRepository) -> Awaitable[Any]:
    """Append what needs several pages."""
    return repository.append("s", BATCH)


def append_large(repository: AsyncSessionRepository) -> Awaitable[Any]:
    """Append a message that needs several items."""
    return repository.append("s", LARGE)


def replace(repository: AsyncSessionRepository) -> Awaitable[Any]:
    """Exchange the history for one of several pages."""
    return repository.replace("s", BATCH)


def empty(repository: AsyncSessionRepository) -> Awaitable[Any]:
    """Exchange the history for none."""
    return repository.replace("s", [])


def truncate(repository: AsyncSessionRepository) -> Awaitable[Any]:
    """Keep messages of several pages."""
    return repository.truncate("s", keep=5)


def delete(repository: AsyncSessionRepository) -> Awaitable[Any]:
    """Remove the session."""
    return repository.delete("s")


def name(repository: AsyncSessionRepository) -> Awaitable[Any]:
    """Set metadata."""
    return repository.update_metadata("s", {"title": "t"})


CASES = [
    (nothing, append_one),
    (nothing, append_many),
    (nothing, append_large),
    (nothing, replace),
    (nothing, name),
    (full_tail, append_one),
    (full_tail, append_many),
    (full_tail, append_large),
    (full_tail, replace),
    (full_tail, empty),
    (full_tail, truncate),
    (full_tail, delete),
    (full_tail, name),
    (soon_to_expire, append_one),
    (incumbents_item, append_one),
    (incumbents_item, append_many),
    (incumbents_item, replace),
    (incumbents_item, delete),
]


# The test would see nothing if these did not write pages.
PAGED = [
    (prepare, operation)
    for prepare, operation in CASES
    if operation in (append_many, append_large, replace, truncate)
    or (prepare is incumbents_item and operation is not delete)
    or (prepare, operation) in [(full_tail, append_one), (soon_to_expire, append_one)]
]


@pytest.mark.real_engine
@pytest.mark.parametrize(("prepare", "operation"), CASES, ids=lambda step: step.__name__)
async def test_dying_at_every_request(
    make_repository: RepositoryFactory, monkeypatch: pytest.MonkeyPatch, prepare: Step, operation: Step
) -> None:
    """The requests are found by recording; the table is scanned after every single death."""
    clock = Clock(monkeypatch)

    def make() -> AsyncSessionRepository:
        return make_repository(sizes=SMALL, ttl=1000 if prepare is soon_to_expire else None)

    whole = make()
    await prepare(whole)
    items, prepared = await scan(whole), clock.now
    before = await state(whole)
    recorder: Recorder = watch(whole, Recorder)
    await operation(whole)
    steps = len(recorder.log)
    assert ("put_item" in dict(recorder.log)) == ((prepare, operation) in PAGED)
    after = await state(whole)
    await whole.delete("s")
    for at in range(1, steps + 1):
        for died_after, goes_on in ((False, True), (True, True), (True, False)):
            dying = make()
            clock.now = prepared
            await restore(dying, items)
            assert await state(dying) == before
            watch(dying, Crashing, at, died_after)
            with pytest.raises(Crash):
                await operation(dying)
            await survives(make(), clock, (before, after), goes_on)


async def restore(repository: AsyncSessionRepository, items: list[Any]) -> None:
    """Put items back as they were."""
    for item in items:
        await repository._connection.call("put_item", {"TableName": repository.table_name, "Item": item}, write=True)


async def state(repository: AsyncSessionRepository) -> list[Any]:
    """Messages and metadata in one list, to compare."""
    chat = await repository.read("s")
    return [*(message.content for message in chat.messages), *chat.metadata.items()]


async def survives(
    other: AsyncSessionRepository, clock: Clock, states: tuple[list[Any], list[Any]], goes_on: bool
) -> None:
    """All before or all after, for a reader at once; an append (if it goes on) and a delete work, nothing is left."""
    found = await state(other)
    assert found in states
    texts = [part for part in found if isinstance(part, str)]
    assert [message.content async for message in other.iter_messages("s")] == texts
    clock.advance(60)  # past any lease
    if goes_on:
        await other.append("s", [HumanMessage("later")])
        chat = await other.read("s")
        assert [message.content for message in chat.messages] == [*texts, "later"]
    await other.delete("s")
    assert await scan(other) == []
