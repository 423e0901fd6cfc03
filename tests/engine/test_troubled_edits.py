"""Edits of single messages where something goes wrong: deaths, lost answers, other writers in between, damage."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest
from langchain_core.messages import BaseMessage, HumanMessage
from test_message_edits import check, filled, stored_pages

from conftest import RepositoryFactory
from langchain_dynamodb import AsyncSessionRepository
from langchain_dynamodb._items.session_items import GUARD
from langchain_dynamodb.codec.classes import MESSAGES, register_message_class
from langchain_dynamodb.codec.messages import UndecodableError, unpack
from langchain_dynamodb.errors import CorruptSessionError, MessageNotFoundError, StorageError
from support import SMALL, Call, Chain, Hooked, human, is_of_pages, named, no_answer, scan, watch

pytestmark = pytest.mark.once
MANY = 1 << 24


async def half_removed(repository: AsyncSessionRepository, id: str) -> None:
    """Remove a message, and die before its page is rewritten."""

    async def hook(operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        if operation == "update_item" and "~lc~" in str(request["Key"]):
            raise StorageError("no", code="InternalServerError")
        return await proceed()

    watcher = watch(repository, Hooked, hook)
    await repository.remove_message("s", id)
    repository._table.connection = watcher.inner


def stored_text(items: list[dict[str, Any]]) -> bytes:
    """All that the table holds of messages, in its session items and in whatever pages there are."""
    found = [
        line for item in items for entry in item.get("History", {"L": []})["L"] for line in unpack(entry["B"], MANY)
    ]
    block = b""
    for item in sorted((item for item in items if "lc_data" in item), key=lambda item: Chain.of(item).number):
        block += item["lc_data"]["B"]
        with contextlib.suppress(UndecodableError):  # else it is a part, and the next page has another
            found += unpack(block, MANY)
            block = b""
    assert not block
    return b"".join(found)


async def lose_page(repository: AsyncSessionRepository, index: int) -> range:
    """Delete a page by hand; returns the indexes that it had."""
    lost = stored_pages(await scan(repository))[index]
    key = {"SessionId": lost["SessionId"]}
    await repository._connection.call("delete_item", {"TableName": repository.table_name, "Key": key}, write=True)
    numbers = Chain.of(lost)
    return range(numbers.first, numbers.first + numbers.messages + numbers.removed)


async def go_on(repository: AsyncSessionRepository, expected: list[BaseMessage], count: int = 20) -> None:
    """Append so much that pages are cut."""
    for i in range(count):
        expected.append(named(f"later {len(expected)} {i}"))
        await repository.append("s", expected[-1:])


async def test_a_writer_that_dies_before_the_page(make_repository: RepositoryFactory) -> None:
    """The edit holds; the old text is gone with the next change, whatever that is."""
    for change in (
        lambda sessions: sessions.update_metadata("s", {"a": 1}),
        lambda sessions: sessions.append("s", [named("x", 600)]),
        lambda sessions: sessions.append("s", [named("y", 600), named("z", 600)], history_size=9),
        lambda sessions: sessions.truncate("s", keep=20),
        lambda sessions: sessions.remove_message("s", "1"),
        lambda sessions: sessions.set_expiry("s", 1000),
        lambda sessions: sessions.repair("s"),
    ):
        repository, other = make_repository(sizes=SMALL), make_repository(sizes=SMALL)
        await other.delete("s")
        sent = await filled(repository, pages=9)
        old = stored_pages(await scan(repository))[0]["lc_data"]

        async def hook(operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
            if operation == "update_item" and "~lc~" in str(request["Key"]):
                raise StorageError("no", code="InternalServerError")
            return await proceed()

        watcher = watch(repository, Hooked, hook)
        await repository.remove_message("s", "0")
        repository._table.connection = watcher.inner
        await check(sent[1:], repository, other)
        assert stored_pages(await scan(repository))[0]["lc_data"] == old
        await change(other)
        items = await scan(repository)
        assert not any("lc_edit" in item for item in items)
        assert not any(item["lc_data"] == old for item in stored_pages(items))


@pytest.mark.parametrize("last", [False, True])
async def test_the_newest_of_an_id_after_a_writer_that_died(make_repository: RepositoryFactory, last: bool) -> None:
    """What it had removed or changed is so before others look for an id."""
    repository, other = make_repository(sizes=SMALL), make_repository(sizes=SMALL)
    expected = await filled(repository)
    expected.append(named("0"))
    await repository.append("s", expected[-1:])
    await go_on(repository, expected, 6)
    newest = len(expected) - 7
    if last:  # the only one left
        await repository.remove_message("s", "0")
        del expected[newest]
        newest = 0
    await half_removed(repository, "0")
    del expected[newest]
    assert any("lc_edit" in item for item in await scan(repository))
    await check(expected, make_repository(sizes=SMALL))
    if last:
        with pytest.raises(MessageNotFoundError):
            await other.remove_message("s", "0")
    else:
        expected[0] = named("0")
        await other.update_message("s", expected[0])
    assert not any("lc_edit" in item for item in await scan(repository))
    await check(expected, make_repository(sizes=SMALL))


async def test_a_lost_answer(make_repository: RepositoryFactory) -> None:
    """Of whichever request: it is found done, and done once."""
    for at in range(3):
        repository = make_repository(sizes=SMALL)
        await repository.delete("s")
        expected = await filled(repository)
        version = (await repository.read("s")).version
        updates = 0

        async def hook(operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
            nonlocal updates
            response = await proceed()
            updates += operation == "update_item"
            if operation == "update_item" and updates == at + 1:  # noqa: B023
                raise no_answer()
            return response

        watch(repository, Hooked, hook)
        expected[0] = named("0")
        old = stored_pages(await scan(repository))[0]["lc_data"]
        assert await repository.update_message("s", expected[0]) == version + 1
        if at == 0:  # found done: what follows is done as ever (the others leave it to the next change)
            items = await scan(repository)
            assert not any("lc_edit" in item for item in items)
            assert stored_pages(items)[0]["lc_data"] != old
        await check(expected, make_repository(sizes=SMALL))


async def test_a_page_that_is_gone(make_repository: RepositoryFactory) -> None:
    """What is in other pages can be edited; the rest is an error, and a repair keeps what was edited."""
    repository = make_repository(sizes=SMALL)
    expected = await filled(repository, pages=6)
    await repository.remove_message("s", str(expected[-3].id))
    await repository.remove_message("s", str(expected[0].id))
    lost = stored_pages(await scan(repository))[1]
    numbers = Chain.of(lost)
    key = {"SessionId": lost["SessionId"]}
    await repository._connection.call("delete_item", {"TableName": repository.table_name, "Key": key}, write=True)
    fresh = make_repository(sizes=SMALL)
    make_repository.set_clock()
    with pytest.raises(CorruptSessionError):
        await make_repository(sizes=SMALL).remove_message("s", "1")
    changed = named(str(expected[-1].id))
    await fresh.update_message("s", changed)
    left = [m for i, m in enumerate([*expected[:-1], changed]) if i not in (0, len(expected) - 3)]
    gone = set(range(numbers.first, numbers.first + numbers.messages))
    there = [m for m in left if int(str(m.id)) not in gone]
    aged = make_repository(sizes=SMALL)
    assert (await aged.read("s", skip_missing_pages=True)).messages == there
    await aged.repair("s")
    await check(there, make_repository(sizes=SMALL), fresh)


async def test_an_older_session_item_is_restored(make_repository: RepositoryFactory) -> None:
    """Its pages were edited since: they are more than it knows, which is an error; repaired, they are its history."""
    repository = make_repository(sizes=SMALL)
    expected = await filled(repository, pages=6)
    older = next(item for item in await scan(repository) if "lc_version" in item)
    expected[0] = named("0")
    await repository.update_message("s", expected[0])
    await repository.remove_message("s", str(expected.pop(1).id))
    await repository._connection.call("put_item", {"TableName": repository.table_name, "Item": older}, write=True)
    make_repository.set_clock()
    fresh = make_repository(sizes=SMALL)
    with pytest.raises(CorruptSessionError):
        await fresh.read("s")
    await fresh.repair("s")
    await check(expected, make_repository(sizes=SMALL))
    expected[4] = named(str(expected[4].id))
    await fresh.update_message("s", expected[4])
    await check(expected, make_repository(sizes=SMALL))


@pytest.mark.parametrize("who", ["the editor", "another writer"])
async def test_a_later_page_of_that_number(make_repository: RepositoryFactory, who: str) -> None:
    """Between the commit and the page another ends the history before it, and cuts its number anew: that stays."""
    slow, other, third = (make_repository(sizes=SMALL) for _ in range(3))
    sent = await filled(other, pages=7)
    first = Chain.of(stored_pages(await scan(other))[-1]).first
    expected = sent[:first]
    committed = who == "another writer"
    if committed:
        await half_removed(other, str(first))

    async def hook(operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        nonlocal committed
        if is_of_pages(operation, request) and committed and len(expected) == first:
            await third.truncate("s", keep=first)
            await go_on(third, expected)
        response = await proceed()
        committed |= operation == "update_item" and "lc_edit" in str(request)
        return response

    watch(slow, Hooked, hook)
    if who == "the editor":
        await slow.remove_message("s", str(first))
    else:
        await slow.update_metadata("s", {"a": 1})
    assert len(expected) > first
    await check(expected, make_repository(sizes=SMALL))


@pytest.mark.parametrize("change", ["edit", "truncate"])
async def test_an_edit_before_the_lease_is_taken(make_repository: RepositoryFactory, change: str) -> None:
    """On a busy session: a lease depends on no version, so the edit may have come since we looked."""
    make_repository.wait(races=0)
    repository, other = make_repository(sizes=SMALL), make_repository(sizes=SMALL)
    expected = await filled(repository, pages=7)
    newest = Chain.of(stored_pages(await scan(repository))[-1]).first
    edited = False

    async def hook(operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        nonlocal edited
        if operation == "update_item" and "lc_intent" in str(request) and not edited:
            edited = True
            await half_removed(other, str(newest))
            del expected[newest]
        return await proceed()

    watch(repository, Hooked, hook)
    if change == "edit":
        await repository.remove_message("s", "0")
        del expected[0]
    else:
        await repository.truncate("s", keep=newest)
        del expected[newest:]
    assert edited
    await check(expected, make_repository(sizes=SMALL))
    await go_on(other, expected)
    await check(expected, make_repository(sizes=SMALL))


async def test_repair_moves_pages_without_messages(make_repository: RepositoryFactory) -> None:
    """They have nothing to move; the others become the history."""
    repository = make_repository(sizes=SMALL)
    sent = await filled(repository, pages=7)
    emptied = Chain.of(stored_pages(await scan(repository))[1])
    gone = {*range(emptied.first, emptied.first + emptied.messages)}
    for index in gone:
        await repository.remove_message("s", str(index))
    gone.update(await lose_page(repository, 3))
    make_repository.set_clock()
    expected = [message for i, message in enumerate(sent) if i not in gone]
    fresh = make_repository(sizes=SMALL)
    assert (await fresh.read("s", skip_missing_pages=True)).messages == expected
    await fresh.repair("s")
    await check(expected, make_repository(sizes=SMALL))
    await go_on(fresh, expected)
    await check(expected, make_repository(sizes=SMALL))


@pytest.mark.parametrize("way", ["repair", "history_size"])
async def test_the_page_of_an_edit_under_way_is_lost(make_repository: RepositoryFactory, way: str) -> None:
    """Once the session has given it up, edits go on."""
    repository = make_repository(sizes=SMALL)
    await filled(repository, pages=7)
    await half_removed(repository, "0")
    await lose_page(repository, 0)
    make_repository.set_clock()
    fresh = make_repository(sizes=SMALL)
    if way == "repair":
        await fresh.repair("s")
    else:
        for i in range(9):
            await fresh.append("s", [named(f"later {i}", 200)], history_size=18)
    assert not any("lc_edit" in item for item in await scan(fresh))
    expected = (await fresh.read("s")).messages
    await fresh.remove_message("s", str(expected.pop(2).id))
    await check(expected, make_repository(sizes=SMALL))


async def test_a_lost_page_of_removed_messages_is_trimmed(make_repository: RepositoryFactory) -> None:
    """What had been removed from it is not counted for ever."""
    repository = make_repository(sizes=SMALL)
    await filled(repository, pages=12)
    numbers = Chain.of(stored_pages(await scan(repository))[0])
    for index in range(numbers.first, numbers.first + numbers.messages):
        await repository.remove_message("s", str(index))
    await lose_page(repository, 0)
    make_repository.set_clock()
    fresh = make_repository(sizes=SMALL)
    for i in range(9):
        await fresh.append("s", [named(f"later {i}", 200)], history_size=25)
    await check((await fresh.read("s")).messages, make_repository(sizes=SMALL))


async def test_what_is_missing_does_not_count_what_was_removed(make_repository: RepositoryFactory) -> None:
    """As far as it can be told: one gap."""
    repository = make_repository(sizes=SMALL)
    sent = await filled(repository, pages=6)
    numbers = Chain.of(stored_pages(await scan(repository))[2])
    await repository.remove_message("s", str(numbers.first))
    await repository.remove_message("s", "0")
    await lose_page(repository, 2)
    make_repository.set_clock()
    chat = await make_repository(sizes=SMALL).read("s", skip_missing_pages=True)
    assert [gap.messages for gap in chat.missing] == [numbers.messages - 1]
    assert len(chat.messages) + numbers.messages - 1 == chat.message_count == len(sent) - 2


@pytest.mark.parametrize("data", [b"junk", GUARD])
async def test_an_edit_under_way_is_damaged(make_repository: RepositoryFactory, data: bytes) -> None:
    """It is named; it is neither carried out nor forgotten, until a repair gives it up and says so."""
    repository = make_repository(sizes=SMALL)
    sent = await filled(repository)

    async def hook(operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        if operation == "update_item" and "~lc~" in str(request["Key"]):
            raise StorageError("no", code="InternalServerError")
        return await proceed()

    watcher = watch(repository, Hooked, hook)
    await repository.update_message("s", HumanMessage("[redacted]", id="0"))
    repository._table.connection = watcher.inner
    item = next(item for item in await scan(repository) if "lc_edit" in item)
    item["lc_edit"]["M"]["data"] = {"B": data}
    await repository._connection.call("put_item", {"TableName": repository.table_name, "Item": item}, write=True)
    fresh = make_repository(sizes=SMALL)
    with pytest.raises(CorruptSessionError, match="lc_edit") as caught:
        await fresh.read("s")
    assert caught.value.attribute == "lc_edit"
    lenient = make_repository(sizes=SMALL, skip_undecodable=True)
    assert (await lenient.read("s")).messages == sent[1:]
    await fresh.update_metadata("s", {"a": 1})
    assert any("lc_edit" in item for item in await scan(fresh))
    with pytest.raises(CorruptSessionError, match="drop_undecodable"):
        await fresh.repair("s")
    report = await fresh.repair("s", drop_undecodable=True)
    assert ["lc_edit" in removed.reason for removed in report.removed] == [True]
    await check(sent, make_repository(sizes=SMALL))


async def test_a_page_is_remembered_through_edits_of_others(make_repository: RepositoryFactory) -> None:
    """A reader that sees each edit fetches the page that was edited, and no other."""
    writer, reader = make_repository(sizes=SMALL), make_repository(sizes=SMALL)
    expected = await filled(writer, pages=9)
    await reader.read("s")
    fetched: list[object] = []

    async def hook(operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        if is_of_pages(operation, request):
            assert operation == "get_item"  # one page
            fetched.append(request["Key"])
        return await proceed()

    watch(reader, Hooked, hook)
    for i in (0, 10, 20):
        expected[i] = human(30).model_copy(update={"id": str(i)})
        await writer.update_message("s", expected[i])
        assert (await reader.read("s")).messages == expected
    assert len(fetched) == 3


async def test_a_window_over_pages_without_messages(make_repository: RepositoryFactory) -> None:
    """They are passed in a few requests."""
    repository = make_repository(sizes=SMALL)
    sent = await filled(repository, pages=30)
    for message in sent[12:-2]:
        await repository.remove_message("s", str(message.id))
    reader = make_repository(sizes=SMALL)
    requests = 0

    async def hook(operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        nonlocal requests
        requests += operation == "batch_get_item"
        return await proceed()

    watch(reader, Hooked, hook)
    assert (await reader.read("s", limit=8)).messages == [*sent[6:12], *sent[-2:]]
    assert requests <= 5


async def test_an_entry_of_text_by_another_program(make_repository: RepositoryFactory) -> None:
    """It is found by its id, however that program writes its JSON."""
    repository = make_repository()
    await repository.append("s", [named("a")])
    item = (await scan(repository))[0]
    item["History"]["L"].append({"S": '{"type": "human", "content": "x", "id": "b"}'})
    item["lc_count"] = {"N": "2"}
    await repository._connection.call("put_item", {"TableName": repository.table_name, "Item": item}, write=True)
    fresh = make_repository()
    await fresh.update_message("s", HumanMessage("y", id="b"))
    assert [message.content for message in (await fresh.read("s")).messages][1:] == ["y"]


class Shout(HumanMessage):
    """A class that is registered in some processes only."""


@pytest.mark.parametrize("place", ["tail", "page"])
async def test_one_that_cannot_be_decoded(
    make_repository: RepositoryFactory, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """It is named: neither is an older one with its id taken for it, nor is it said not to be there."""
    monkeypatch.setattr(MESSAGES, "by_tag", MESSAGES.by_tag)  # as they are again, in the end
    monkeypatch.setattr(MESSAGES, "by_class", MESSAGES.by_class)
    repository = make_repository(sizes=SMALL)
    await repository.append("s", [HumanMessage("old", id="m1"), HumanMessage("other", id="m2")])
    known = MESSAGES.by_tag, MESSAGES.by_class
    register_message_class(Shout, "shout")
    await repository.append("s", [Shout("m2 is wrong", id="m1"), Shout("x", id="m3")])
    expected = (await repository.read("s")).messages
    MESSAGES.by_tag, MESSAGES.by_class = known
    if place == "page":
        for i in range(4):
            expected.append(named(f"later {i}", 200))
            await repository.append("s", expected[-1:])
    before = await scan(repository)
    part = "lc_data" if place == "page" else "History"
    for id in ("m1", "m3"):
        for change in (
            lambda id: repository.remove_message("s", id),
            lambda id: repository.update_message("s", HumanMessage("new", id=id)),
        ):
            with pytest.raises(
                CorruptSessionError, match=r"unknown message class shout; .*register_message_class"
            ) as told:
                await change(id)
            assert part in str(told.value.attribute)
    assert await scan(repository) == before
    expected[1] = HumanMessage("another", id="m2")
    await repository.update_message("s", expected[1])
    with pytest.raises(MessageNotFoundError):
        await repository.remove_message("s", "m4")
    register_message_class(Shout, "shout")
    await check(expected, make_repository(sizes=SMALL))


LATER: dict[str, Callable[[AsyncSessionRepository], Awaitable[object]]] = {
    "metadata": lambda sessions: sessions.update_metadata("s", {"a": 1}),
    "expiry": lambda sessions: sessions.set_expiry("s", 1000),
    "cut": lambda sessions: go_on(sessions, [], 12),
    "batch": lambda sessions: sessions.append("s", [named(f"x{i}", 600) for i in range(5)]),
    "truncate": lambda sessions: sessions.truncate("s", keep=2),
    "edit": lambda sessions: sessions.remove_message("s", "1"),
    "repair": lambda sessions: sessions.repair("s"),
}


@pytest.mark.parametrize("later", LATER)
@pytest.mark.parametrize("way", ["branch", "rewrite"])
async def test_pages_that_cannot_be_removed(
    make_repository: RepositoryFactory, caplog: pytest.LogCaptureFixture, way: str, later: str
) -> None:
    """Where the history is written anew, with the old text in pages that are dropped: told, and made good."""
    repository = make_repository(sizes=SMALL)
    expected = await filled(repository, pages=6)
    index, old, new = (-3, 3_000, 10) if way == "branch" else (0, 90, 1_300)
    if way == "branch":  # from a message in several parts on
        expected[index] = named(str(expected[index].id), old)
        await repository.update_message("s", expected[index])
    secret = str(expected[index].content).encode()
    fails = True

    async def hook(operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        if fails and (operation == "batch_write_item" or operation == "delete_item"):
            raise StorageError("no", code="InternalServerError")
        return await proceed()

    watch(repository, Hooked, hook)
    expected[index] = named(str(expected[index].id), new)
    await repository.update_message("s", expected[index])
    assert "its old text could not be removed from the table yet" in caplog.text
    await check(expected, make_repository(sizes=SMALL))
    before = await scan(repository)
    assert secret in stored_text(before)
    assert any("lc_ceiling" in item for item in before) == (way == "branch")
    fails = False
    caplog.clear()
    await LATER[later](make_repository(sizes=SMALL))
    items = await scan(repository)
    assert secret not in stored_text(items)
    # A batch has written over all of them.
    assert later == "batch" or not any("lc_ceiling" in item or "lc_floor" in item for item in items)
    assert caplog.text == ""


@pytest.mark.parametrize("dies", [True, False])
async def test_a_page_of_a_cut_that_died(make_repository: RepositoryFactory, dies: bool) -> None:
    """It has the messages of the tail, and nobody reads it; once one of them was edited it is gone."""
    repository, other = make_repository(sizes=SMALL), make_repository(sizes=SMALL)
    expected = await filled(repository)
    secret = str(expected[-1].content).encode()

    async def hook(operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        if dies and operation in ("update_item", "delete_item"):
            raise StorageError("no", code="InternalServerError")
        return await proceed()

    watch(repository, Hooked, hook)
    with contextlib.suppress(StorageError):
        await repository.append("s", [named("x", 600)])
    left = [item for item in stored_pages(await scan(other)) if secret in stored_text([item])]
    assert len(left) == 1
    expected[-1] = HumanMessage("[redacted]", id=expected[-1].id)
    await other.update_message("s", expected[-1])
    assert secret not in stored_text(await scan(other))
    if dies:
        await check(expected, make_repository(sizes=SMALL))


async def test_a_page_that_is_gone_is_told(
    make_repository: RepositoryFactory, caplog: pytest.LogCaptureFixture
) -> None:
    """Of an edit whose page is lost after the commit nobody can say that it was carried out."""
    repository = make_repository(sizes=SMALL)
    await filled(repository)

    async def hook(operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        response = await proceed()
        if operation == "update_item" and "lc_edit" in str(request):
            watcher.inner, repository._table.connection = repository._table.connection, watcher.inner
            await lose_page(repository, 0)
        return response

    watcher = watch(repository, Hooked, hook)
    await repository.remove_message("s", "0")
    assert "could not be removed from the table yet: its page is missing or damaged" in caplog.text
    assert any("lc_edit" in item for item in await scan(repository))


async def test_pages_of_another_region_stay(make_repository: RepositoryFactory) -> None:
    """Whoever takes a session over removes none that were dropped there: their numbers may have other pages by now."""
    repository = make_repository(sizes=SMALL, home_region="eu-central-1")
    await filled(repository, pages=6)

    async def hook(operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        if operation == "delete_item":
            raise StorageError("no", code="InternalServerError")
        return await proceed()

    watch(repository, Hooked, hook)
    await repository.truncate("s", keep=5)
    before = stored_pages(await scan(repository))
    other = make_repository(sizes=SMALL, home_region="us-east-1")
    await other.take_over("s")
    assert stored_pages(await scan(repository)) == before
    await other.update_metadata("s", {"a": 1})
    assert len(stored_pages(await scan(repository))) < len(before)


@pytest.mark.parametrize("change", ["metadata", "append", "large append"])
async def test_no_answer_about_the_page_of_an_earlier_edit(make_repository: RepositoryFactory, change: str) -> None:
    """That leaves no doubt about what follows it, which was not sent; whatever others do meanwhile."""
    repository, other, third = (make_repository(sizes=SMALL) for _ in range(3))
    expected = await filled(other)
    await half_removed(other, "0")
    await repository.read("s")  # so that it knows of the edit
    expected = expected[1:4]
    lost = False

    async def hook(operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        nonlocal lost
        response = await proceed()
        if not lost and operation == "update_item" and "~lc~" in str(request["Key"]):
            lost = True
            await third.truncate("s", keep=3)
            raise no_answer()
        return response

    watch(repository, Hooked, hook)
    new = [] if change == "metadata" else [named("new", 10 if change == "append" else 3_000)]
    await (repository.append("s", new) if new else repository.update_metadata("s", {"a": 1}))
    assert lost
    await check([*expected, *new], make_repository(sizes=SMALL))
