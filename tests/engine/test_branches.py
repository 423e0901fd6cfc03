"""Rule 4: another ending of a history leaves the pages before it as they are."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest
from langchain_core.messages import BaseMessage, HumanMessage

from conftest import RepositoryFactory
from corpus import conversation
from langchain_dynamodb import AsyncSessionRepository
from langchain_dynamodb.errors import CorruptSessionError, OutcomeUnknownError, StorageError, VersionConflictError
from support import SMALL, Call, Chain, Hooked, Meter, Recorder, human, is_of_pages, no_answer, remembered, scan, watch

pytestmark = pytest.mark.once

Edit = Callable[[AsyncSessionRepository, list[BaseMessage], int], Awaitable[list[BaseMessage]]]


async def long(repository: AsyncSessionRepository, pages: int = 6) -> list[BaseMessage]:
    """A session "s" of some pages; returns its messages."""
    sent: list[BaseMessage] = []
    while not sent or remembered(repository).pages < pages:
        sent += [human(90), human(60)]
        await repository.append("s", sent[-2:])
    return sent


async def truncated(repository: AsyncSessionRepository, sent: list[BaseMessage], keep: int) -> list[BaseMessage]:
    """The first so many."""
    await repository.truncate("s", keep=keep)
    return sent[:keep]


async def replaced(repository: AsyncSessionRepository, sent: list[BaseMessage], keep: int) -> list[BaseMessage]:
    """Those, and another question."""
    new = [*sent[:keep], human(70)]
    await repository.replace("s", new)
    return new


def pages_of(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those of the items that are pages, in order."""
    return sorted((item for item in items if "lc_cut" in item), key=lambda item: Chain.of(item).first)


def kept(items: list[dict[str, Any]], keep: int) -> list[dict[str, Any]]:
    """The pages that hold nothing but the first so many messages."""
    return [p for p in pages_of(items) if Chain.of(p).first + Chain.of(p).messages <= keep]


@pytest.mark.parametrize("edit", [truncated, replaced])
@pytest.mark.parametrize("keep", [1, 4, 9, 16, 20])
async def test_the_pages_before_it_stay(make_repository: RepositoryFactory, edit: Edit, keep: int) -> None:
    """Those that it keeps whole are as they were, the others are gone; and the session goes on in every way."""
    repository = make_repository(sizes=SMALL)
    sent = await long(repository)
    before = await scan(repository)
    recorder: Recorder = watch(repository, Recorder)
    expected = await edit(repository, sent, keep)
    assert "put_item" not in [operation for operation, _ in recorder.log]
    after = await scan(repository)
    assert pages_of(after) == kept(before, keep) != pages_of(before)
    assert (await make_repository(sizes=SMALL).read("s")).messages == expected
    for _ in range(12):
        expected = [*expected, human(90)]
        await repository.append("s", expected[-1:])
    assert pages_of(await scan(repository))[: len(pages_of(after))] == pages_of(after)
    for reader in (repository, make_repository(sizes=SMALL)):
        assert (await reader.read("s")).messages == expected
        assert [message async for message in reader.iter_messages("s")] == expected
        assert (await reader.read("s", limit=5)).messages == expected[-5:]
    await repository.delete("s")
    assert await scan(repository) == []


async def test_again_and_again(make_repository: RepositoryFactory) -> None:
    """Answers given anew, deeper and less deep, with cuts in between: nothing of an earlier ending comes back."""
    repository, other = make_repository(sizes=SMALL), make_repository(sizes=SMALL)
    expected = await long(repository)
    for keep in (20, 22, 7, 9, 3, 12, 12, 1):
        expected = await truncated(repository, expected, min(keep, len(expected) - 1))
        for _ in range(7):
            expected = [*expected, human(110)]
            await other.append("s", expected[-1:])
        assert (await repository.read("s")).messages == expected
        assert (await other.read("s")).messages == expected
    assert len(pages_of(await scan(repository))) == remembered(other).pages
    await other.delete("s")
    assert await scan(repository) == []


@pytest.mark.parametrize("changed", [0, 8])
async def test_a_replace_that_has_much_to_write(make_repository: RepositoryFactory, changed: int) -> None:
    """Where it differs early, or much is new, the whole history is written anew."""
    repository = make_repository(sizes=SMALL)
    sent = await long(repository)
    before = pages_of(await scan(repository))
    new: list[BaseMessage] = [*sent[:changed], *(human(150) for _ in range(20))]
    await repository.replace("s", new)
    assert not any(page in before for page in pages_of(await scan(repository)))
    assert (await make_repository().read("s")).messages == new


async def test_a_replace_by_the_same(make_repository: RepositoryFactory) -> None:
    """Nothing is stored anew but the session item, of which the version grows."""
    repository = make_repository(sizes=SMALL)
    sent = await long(repository)
    before, version = pages_of(await scan(repository)), (await repository.read("s")).version
    assert await repository.replace("s", sent) == version + 1
    assert pages_of(await scan(repository)) == before
    assert (await make_repository().read("s")).messages == sent


@pytest.mark.parametrize("edit", [truncated, replaced])
async def test_a_reader_in_the_middle_of_it(make_repository: RepositoryFactory, edit: Edit) -> None:
    """A read that had begun starts over; an iteration says so. Pages of the old ending are not taken for new ones."""
    repository, writer = make_repository(sizes=SMALL), make_repository(sizes=SMALL)
    sent = await long(writer)
    expected: list[BaseMessage] = []

    async def hook(operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        if operation == "batch_get_item" and not expected:
            expected.extend(await edit(writer, sent, 9))
            for _ in range(12):
                expected.append(human(90))
                await writer.append("s", expected[-1:])
        return await proceed()

    watch(repository, Hooked, hook)
    assert (await repository.read("s")).messages == expected
    expected.clear()
    sent = (await repository.read("s")).messages
    with pytest.raises(VersionConflictError, match="was rewritten"):
        _ = [message async for message in repository.iter_messages("s")]


@pytest.mark.parametrize("edit", [truncated, replaced])
async def test_an_append_whose_answer_is_lost_before_it(make_repository: RepositoryFactory, edit: Edit) -> None:
    """Others may have dropped what it stored: where it is not found, nobody can tell, and it is not sent again."""
    repository, other = make_repository(sizes=SMALL), make_repository(sizes=SMALL)
    sent = await long(repository)
    before = len(sent)

    async def hook(operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        response = await proceed()
        if operation != "update_item" or len(sent) > before:
            return response
        sent.append(HumanMessage("lost"))
        for _ in range(6):
            sent.append(human(90))
            await other.append("s", sent[-1:])
        await edit(other, sent, before - 2)
        raise no_answer()

    watch(repository, Hooked, hook)
    with pytest.raises(OutcomeUnknownError):
        await repository.append("s", [HumanMessage("lost")])
    assert "lost" not in [message.content for message in (await other.read("s")).messages]


async def test_what_could_not_be_removed_is_later(make_repository: RepositoryFactory) -> None:
    """The pages are dropped; the next cut removes what it can, and delete the rest."""
    repository = make_repository(sizes=SMALL)
    sent = await long(repository, pages=8)
    refuse = True

    async def hook(operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        if operation == "delete_item" and refuse:
            raise StorageError("no", code="InternalServerError")
        return await proceed()

    watch(repository, Hooked, hook)
    expected = await truncated(repository, sent, 3)
    assert len(pages_of(await scan(repository))) == 8
    refuse = False
    while remembered(repository).ceiling:
        expected = [*expected, human(90)]
        await repository.append("s", expected[-1:])
    assert len(pages_of(await scan(repository))) == remembered(repository).pages < 4
    assert (await make_repository().read("s")).messages == expected
    await repository.delete("s")
    assert await scan(repository) == []


async def test_appends_meanwhile(make_repository: RepositoryFactory) -> None:
    """Each acknowledged one is there or was dropped with the ending; none is there twice."""
    repositories = [make_repository(sizes=SMALL) for _ in range(4)]
    await long(repositories[0])

    async def append(repository: AsyncSessionRepository, name: str) -> None:
        for i in range(15):
            await repository.append("s", [HumanMessage(f"{name}-{i} " + "x" * 60)])

    async def edit() -> None:
        for keep in (9, 3, 7, 1, 4):
            await repositories[0].truncate("s", keep=keep)
            await asyncio.sleep(0)

    await asyncio.gather(edit(), *(append(r, n) for r, n in zip(repositories[1:], "abc", strict=True)))
    texts = [str(message.content).split()[0] for message in (await make_repository().read("s")).messages]
    for name in "abc":
        mine = [int(text[2:]) for text in texts if text.startswith(f"{name}-")]
        assert mine == sorted(set(mine))


def pages_read(recorder: Recorder) -> list[str]:
    """Which requests were made for pages."""
    return [name for name, request in recorder.log if is_of_pages(name, request)]


async def test_another_beginning_is_seen_at_once(make_repository: RepositoryFactory) -> None:
    """One page is read, however many there are; of what is in memory none where the beginning is the same."""
    repository = make_repository(sizes=SMALL)
    sent = await long(repository, pages=30)
    for same, warm, wanted in (
        (0, False, ["get_item"]),
        (0, True, ["get_item"]),
        (len(sent), False, ["get_item", "batch_get_item"]),
        (len(sent), True, []),
    ):
        await repository.copy("s", "t")
        other = make_repository(sizes=SMALL)
        if warm:
            await other.read("t")
        recorder: Recorder = watch(other, Recorder)
        new = [*sent[:same], human(30)]
        await other.replace("t", new)
        assert pages_read(recorder) == wanted
        assert (await repository.read("t")).messages == new
        await repository.delete("t")


async def test_what_is_in_memory_of_an_older_history(make_repository: RepositoryFactory) -> None:
    """Others have replaced it since, under the same numbers: what begins as it does now is left where it is."""
    repository, other = make_repository(sizes=SMALL), make_repository(sizes=SMALL)
    sent = await long(repository)
    await repository.read("s")
    expected = await replaced(other, sent, 1)
    for _ in range(20):
        expected = [*expected, human(90)]
        await other.append("s", expected[-1:])
    for new in ([*expected, human(20)], [*sent[:9], human(20)]):
        await repository.replace("s", new)
        assert (await make_repository(sizes=SMALL).read("s")).messages == new


@pytest.mark.parametrize("index", [0, 2, -1])
@pytest.mark.parametrize("damage", ["missing", "undecodable"])
async def test_pages_that_cannot_be_read(make_repository: RepositoryFactory, index: int, damage: str) -> None:
    """They are in nobody's way who exchanges the history, though it begins as the present one does."""
    repository = make_repository(sizes=SMALL)
    sent = await long(repository)
    page = pages_of(await scan(repository))[index]
    key = {"SessionId": page["SessionId"]}
    if damage == "missing":
        await repository._connection.call("delete_item", {"TableName": repository.table_name, "Key": key}, write=True)
    else:
        item = {**page, "lc_data": {"B": b"junk"}}
        await repository._connection.call("put_item", {"TableName": repository.table_name, "Item": item}, write=True)
    new = [*sent, human(20)]
    await make_repository(sizes=SMALL).replace("s", new)
    assert (await make_repository(sizes=SMALL).read("s")).messages == new


@pytest.mark.parametrize("edit", [truncated, replaced])
async def test_an_error_of_the_write_is_none_of_the_read(make_repository: RepositoryFactory, edit: Edit) -> None:
    """It is raised, and nothing is written in another way."""
    repository = make_repository(sizes=SMALL)
    sent = await long(repository)
    writes = 0

    async def hook(operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        nonlocal writes
        if operation in ("update_item", "put_item"):
            writes += 1
            raise CorruptSessionError("damaged just now", item="s", attribute=None)
        return await proceed()

    watch(repository, Hooked, hook)
    with pytest.raises(CorruptSessionError, match="damaged just now"):
        await edit(repository, sent, 9)
    assert writes == 1
    assert (await make_repository(sizes=SMALL).read("s")).messages == sent


@pytest.mark.dynamodb_local_only
@pytest.mark.parametrize("turns", [100, 300])
async def test_what_it_costs(make_repository: RepositoryFactory, turns: int) -> None:
    """The last ten turns of 1.2 KB answered anew, as DynamoDB bills it: the same at any length."""
    repository = make_repository()
    sent: list[BaseMessage] = []
    for messages in conversation("1.2 KB", turns):
        sent += messages
        await repository.append("s", messages)
    meter: Meter = watch(repository, Meter)
    await repository.truncate("s", keep=len(sent) - 20)
    print(f"\ntruncate after {turns} turns: {meter.write_units} write units")
    assert meter.write_units <= 12
    meter.reset()
    await repository.replace("s", [*sent[: len(sent) - 22], HumanMessage("again")])
    assert meter.write_units <= 12
