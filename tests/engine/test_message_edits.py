"""Rule 11: one message changed or removed by its id, wherever it is stored."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from conftest import RepositoryFactory
from corpus import turn
from langchain_dynamodb import AsyncSessionRepository
from langchain_dynamodb.errors import (
    InvalidInputError,
    MessageNotFoundError,
    MessageTooLargeError,
    SessionNotFoundError,
    UnsupportedMessageError,
    VersionConflictError,
)
from support import SMALL, Call, Chain, Hooked, Meter, Recorder, human, named, remembered, scan, watch

FORMATS = ["pages", "community"]


async def filled(repository: AsyncSessionRepository, pages: int = 5) -> list[BaseMessage]:
    """A session "s" of some pages whose messages have the ids "0", "1", ...; returns them."""
    sent: list[BaseMessage] = []
    while len(sent) < 24 if repository.item_format == "community" else not sent or remembered(repository).pages < pages:
        sent += [named(str(len(sent)), 90), named(str(len(sent) + 1), 60)]
        await repository.append("s", sent[-2:])
    return sent


async def check(expected: list[BaseMessage], *readers: AsyncSessionRepository) -> None:
    """Every way to read shows just these."""
    is_paged = any("lc_version" in item for item in await scan(readers[0]))
    count = len(expected) if is_paged else None  # which is not known of langchain_community's items unread
    for reader in readers:
        chat = await reader.read("s")
        assert (chat.messages, chat.message_count) == (expected, len(expected))
        assert [message async for message in reader.iter_messages("s")] == expected
        for limit in (1, 2, 5, len(expected)):
            assert (await reader.read("s", limit=limit)).messages == expected[-limit:]
        assert [summary.message_count async for summary in reader.list()] == [count]


def stored_pages(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those of the items that are pages, in order."""
    return sorted((item for item in items if "lc_cut" in item), key=lambda item: Chain.of(item).first)


@pytest.mark.once
@pytest.mark.parametrize("item_format", FORMATS)
async def test_any_message_of_a_session(make_repository: RepositoryFactory, item_format: str) -> None:
    """Each in turn changed, then each removed: the others stay, and the session goes on in every way."""
    repository, other = (make_repository(sizes=SMALL, item_format=item_format) for _ in range(2))
    expected = await filled(repository)
    versions = [(await repository.read("s")).version]
    for i, message in enumerate(expected):
        expected[i] = AIMessage(f"another {i}", id=message.id)
        versions.append(await other.update_message("s", expected[i]))
        assert (await repository.read("s")).version == versions[-1]
    assert len(set(versions)) == len(versions)
    if item_format == "pages":
        assert versions == [*range(versions[0], versions[0] + len(versions))]
    await check(expected, repository, other, make_repository())
    for i in (1, 6, 0, 8, len(expected) - 5, 3, 0, 0):
        await repository.remove_message("s", str(expected.pop(i).id))
        await check(expected, repository, other)
    while len(expected) > 3:
        await repository.remove_message("s", str(expected.pop(1).id))
    await check(expected, repository, other, make_repository())
    expected += [named("new 1"), named("new 2")]
    await other.append("s", expected[-2:])
    await check(expected, repository, other)
    await other.delete("s")
    assert await scan(repository) == []


@pytest.mark.once
async def test_removing_all_and_going_on(make_repository: RepositoryFactory) -> None:
    """Pages without messages are in nobody's way: of a window, a cut, a truncate, a rewrite."""
    repository = make_repository(sizes=SMALL)
    sent = await filled(repository)
    for message in sent[:-1]:
        await repository.remove_message("s", str(message.id))
    expected = sent[-1:]
    await check(expected, repository, make_repository())
    for i in range(30):
        expected = [*expected, named(f"later {i}")]
        await repository.append("s", expected[-1:])
    await check(expected, repository, make_repository())
    for keep in (20, 6, 1):
        expected = expected[:keep]
        await repository.truncate("s", keep=keep)
        await check(expected, repository, make_repository())
    await repository.replace("s", [*expected, HumanMessage("new")])
    await check([*expected, HumanMessage("new")], repository, make_repository())
    await repository.delete("s")
    assert await scan(repository) == []


@pytest.mark.once
@pytest.mark.parametrize("keep", [2, 5, 9, 14])
async def test_with_truncate(make_repository: RepositoryFactory, keep: int) -> None:
    """`keep` counts the messages that there are."""
    repository = make_repository(sizes=SMALL)
    expected = await filled(repository)
    for i in (1, 1, 7, 9, 12):
        await repository.remove_message("s", str(expected.pop(i).id))
    await repository.truncate("s", keep=keep)
    expected = expected[:keep]
    await check(expected, repository, make_repository())
    for i in range(12):
        expected = [*expected, named(f"later {i}")]
        await repository.append("s", expected[-1:])
    await check(expected, repository, make_repository())


@pytest.mark.once
@pytest.mark.parametrize("size", [3, 6, 11])
async def test_with_history_size(make_repository: RepositoryFactory, size: int) -> None:
    """What was removed is not among the newest messages that are kept."""
    repository = make_repository(sizes=SMALL)
    expected = await filled(repository)
    for i in (1, 1, 7, 9, 12, len(expected) - 8):
        await repository.remove_message("s", str(expected.pop(i).id))
    for i in range(25):
        expected = [*expected, named(f"later {i}", 90)]
        await repository.append("s", expected[-1:], history_size=size)
        chat = await repository.read("s")
        assert len(chat.messages) >= size
        assert chat.messages == expected[-chat.message_count :]
    await check(chat.messages, repository, make_repository())
    assert chat.message_count < size + 12
    await repository.delete("s")
    assert await scan(repository) == []


@pytest.mark.parametrize("item_format", FORMATS)
async def test_what_is_refused(make_repository: RepositoryFactory, item_format: str) -> None:
    """Nothing is written, and the error says why."""
    repository = make_repository(item_format=item_format)
    with pytest.raises(SessionNotFoundError, match="no session"):
        await repository.update_message("s", named("a"))
    with pytest.raises(SessionNotFoundError, match="no session"):
        await repository.remove_message("s", "a")
    await repository.append("s", [named("a"), human()])
    before = await scan(repository)
    version = (await repository.read("s")).version
    for wrong in (None, ""):
        with pytest.raises(InvalidInputError, match=r"message\.id=.* the id of a stored message"):
            await repository.update_message("s", HumanMessage("x", id=wrong))
        with pytest.raises(InvalidInputError, match=r"message_id=.* the id of a stored message"):
            await repository.remove_message("s", wrong)  # type: ignore[arg-type]
    with pytest.raises(MessageNotFoundError, match="no message with id 'b': read it") as missed:
        await repository.remove_message("s", "b")
    assert missed.value.message_id == "b"
    with pytest.raises(VersionConflictError):
        await repository.remove_message("s", "a", expected_version=version + 1)
    with pytest.raises(UnsupportedMessageError):
        await repository.update_message("s", HumanMessage(content=[{"type": "x", "of": object()}], id="a"))
    assert await scan(repository) == before
    assert await repository.remove_message("s", "a", expected_version=version) != version


async def test_too_large(make_repository: RepositoryFactory) -> None:
    """Bounds are those of an append."""
    repository = make_repository(sizes=SMALL._replace(message=1000))
    await repository.append("s", [named("a")])
    with pytest.raises(MessageTooLargeError, match="1000 allowed"):
        await repository.update_message("s", named("a", 2000))


@pytest.mark.once
@pytest.mark.parametrize("item_format", FORMATS)
async def test_the_newest_of_an_id(make_repository: RepositoryFactory, item_format: str) -> None:
    """Where several messages have it: within one append, in the tail, in pages."""
    repository = make_repository(sizes=SMALL, item_format=item_format)
    sent = await filled(repository)
    again = [named("0"), named("0", 30), named("x", 500)]
    await repository.append("s", again)
    again[1] = HumanMessage("changed", id="0")
    await repository.update_message("s", again[1])
    await check([*sent, *again], repository)
    expected = [*sent, *again]
    for index in (len(sent) + 1, len(sent), 0):
        await repository.remove_message("s", "0")
        del expected[index]
        await check(expected, repository)
    with pytest.raises(MessageNotFoundError):
        await repository.remove_message("s", "0")


@pytest.mark.once
@pytest.mark.parametrize("size", [3000, 200_000])
@pytest.mark.parametrize("index", [0, 7, -1])
async def test_a_message_that_has_no_room_in_its_place(
    make_repository: RepositoryFactory, index: int, size: int
) -> None:
    """Then the history is written anew, with it; and so for one in several parts."""
    repository = make_repository(sizes=SMALL)
    expected = await filled(repository)
    for large in (size, 10):
        expected[index] = named(str(expected[index].id), large)
        await repository.update_message("s", expected[index])
        await check(expected, repository, make_repository())
    await repository.remove_message("s", str(expected.pop(index).id))
    await check(expected, repository, make_repository())
    await repository.delete("s")
    assert await scan(repository) == []


async def test_what_it_writes(make_repository: RepositoryFactory) -> None:
    """In the tail the session item; in a page that, the page, and the session item again: nothing else.

    (In the tail a page is removed too, if there is one, that a cut may have left which died.)
    """
    repository = make_repository(sizes=SMALL)
    sent = await filled(repository)
    recorder: Recorder = watch(repository, Recorder)
    await repository.update_message("s", named(str(sent[-1].id)))
    assert [name for name, _ in recorder.log] == ["get_item", "update_item", "delete_item"]
    before = stored_pages(await scan(repository))
    recorder.log.clear()
    await repository.update_message("s", named("0"))
    assert [name for name, _ in recorder.log if "get" not in name] == ["update_item"] * 3
    after = stored_pages(await scan(repository))
    assert (before[0] != after[0], before[1:]) == (True, after[1:])
    kept = {name for name in before[0] if name not in ("lc_chain", "lc_data")}
    assert {name: before[0][name] for name in kept} == {name: after[0][name] for name in kept}


async def test_a_reader_in_the_middle_of_it(make_repository: RepositoryFactory) -> None:
    """A read that had begun shows one state or the other, at its version; what was remembered of pages is not shown."""
    repository, writer = make_repository(sizes=SMALL), make_repository(sizes=SMALL)
    expected = await filled(writer)
    await repository.read("s")
    expected[0] = named("0")
    await writer.update_message("s", expected[0])
    assert (await repository.read("s")).messages == expected
    edited = False

    async def hook(operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        nonlocal edited
        if operation == "batch_get_item" and not edited:
            edited = True
            expected[1] = named("1")
            await writer.update_message("s", expected[1])
        return await proceed()

    reader = make_repository(sizes=SMALL)
    watch(reader, Hooked, hook)
    assert (await reader.read("s")).messages == expected
    edited = False
    with pytest.raises(VersionConflictError, match="was rewritten, edited or deleted"):
        _ = [message async for message in reader.iter_messages("s")]


async def test_edits_and_appends_at_once(make_repository: RepositoryFactory) -> None:
    """None is lost, none is there twice."""
    repositories = [make_repository(sizes=SMALL) for _ in range(3)]
    sent = await filled(repositories[0], pages=3)

    async def append(repository: AsyncSessionRepository, name: str) -> None:
        for i in range(12):
            await repository.append("s", [named(f"{name}-{i}", 100)])

    async def edit() -> None:
        for message in sent:
            await repositories[0].update_message("s", HumanMessage("changed", id=message.id))

    await asyncio.gather(append(repositories[1], "a"), append(repositories[2], "b"), edit())
    messages = (await repositories[1].read("s")).messages
    assert [str(message.content) for message in messages[: len(sent)]] == ["changed"] * len(sent)
    ids = [str(message.id) for message in messages[len(sent) :]]
    assert sorted(ids) == sorted(f"{name}-{i}" for name in "ab" for i in range(12))
    assert [id for id in ids if id[0] == "a"] == [f"a-{i}" for i in range(12)]


async def test_an_item_of_langchain_community(make_repository: RepositoryFactory) -> None:
    """It is converted, as by any change."""
    expected = await filled(make_repository(item_format="community"))
    repository = make_repository()
    expected[3] = named("3")
    await repository.update_message("s", expected[3])
    await check(expected, make_repository())
    assert "lc_version" in str(await scan(repository))


@pytest.mark.dynamodb_local_only
@pytest.mark.parametrize("at_once", [False, True])
@pytest.mark.parametrize("turns", [100, 1000])
async def test_what_it_costs(make_repository: RepositoryFactory, turns: int, at_once: bool) -> None:
    """At most twenty write units for a message in the middle, whatever the length and however it came in."""
    writer = make_repository()
    rng = random.Random(5)
    batches = [turn(rng, 1200) for _ in range(turns)]
    for i, batch in enumerate(batches):
        batch[-1] = batch[-1].model_copy(update={"id": f"answer {i}"})
    if at_once:
        await writer.append("s", [message for batch in batches for message in batch])
    else:
        for batch in batches:
            await writer.append("s", batch)
    meter: Meter = watch(writer, Meter)
    middle = batches[turns // 2][-1]
    annotated = middle.model_copy(update={"additional_kwargs": {"feedback": {"score": 1, "comment": "as I wanted"}}})
    await writer.update_message("s", annotated)
    changed = meter.write_units
    meter.reset()
    await writer.remove_message("s", str(middle.id))
    print(f"\n{turns} turns, {at_once=}: update {changed} write units, remove {meter.write_units}")
    assert changed <= 20
    assert meter.write_units <= 20
    expected = [message for batch in batches for message in batch if message is not middle]
    assert (await make_repository().read("s")).messages == expected
