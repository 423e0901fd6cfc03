"""Rules 5 and 6: a read is one consistent snapshot, says what is missing, and fetches only what it needs."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Mapping
from typing import Any

import pytest
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    SystemMessage,
    ToolCall,
    ToolMessage,
)

from conftest import RepositoryFactory
from langchain_dynamodb import AsyncSessionRepository, ChatSession
from langchain_dynamodb._store import stored_pages
from langchain_dynamodb._store.cache import LRU
from langchain_dynamodb.codec.long_blocks import BlockReader
from langchain_dynamodb.codec.long_lines import Line
from langchain_dynamodb.codec.messages import encode_messages, pack
from langchain_dynamodb.errors import CorruptSessionError, TableNotFoundError, VersionConflictError
from support import SMALL, Call, Chain, Hooked, Meter, Recorder, Scripted, fill_tail, human, remembered, scan, watch

pytestmark = pytest.mark.once

Raw = dict[str, Any]


async def paged(repository: AsyncSessionRepository, messages: int = 30) -> list[BaseMessage]:
    """A session of several pages."""
    sent: list[BaseMessage] = []
    for _ in range(messages):
        sent.append(human(90))
        await repository.append("s", sent[-1:])
    assert remembered(repository).pages >= 4
    return sent


async def put(repository: AsyncSessionRepository, item: Raw) -> None:
    """Store an item as it is."""
    await repository._connection.call("put_item", {"TableName": repository.table_name, "Item": item}, write=True)


async def stored_page(repository: AsyncSessionRepository, number: int) -> Raw:
    """The stored page of session "s"."""
    key = repository._key("s").page(remembered(repository).generation, number)
    (item,) = [item for item in await scan(repository) if item["SessionId"] == key["SessionId"]]
    return item


@pytest.mark.parametrize("stale", ["older cut", "missing", "aborted batch"])
async def test_stale_reads_of_pages_are_noticed(make_repository: RepositoryFactory, stale: str) -> None:
    """An eventually consistent read returns an earlier state of pages: they are read again, strongly."""
    repository = make_repository(sizes=SMALL)
    sent = await paged(repository)
    last = remembered(repository).pages - 1
    pages = {number: await stored_page(repository, number) for number in (last - 1, last)}
    stale_pages = [pages[last]] if stale != "aborted batch" else list(pages.values())
    wrong = {
        Chain.of(page).number: {
            **Chain.of(page)._replace(cut=5, previous=5).put_into(page),
            "lc_data": {"B": pack([b"{}"])},
        }
        for page in stale_pages
    }
    reads: list[bool] = []

    async def hook(operation: str, request: Mapping[str, Any], proceed: Call) -> Raw:
        response = await proceed()
        if operation == "batch_get_item":
            ((table, query),) = request["RequestItems"].items()
            reads.append(query["ConsistentRead"])
            if not query["ConsistentRead"]:
                found = response["Responses"][table]
                replaced = [wrong.get(Chain.of(item).number, item) for item in found]
                if stale == "missing":
                    replaced = [item for item in found if Chain.of(item).number not in wrong]
                response["Responses"][table] = replaced
        return response

    cold = make_repository(sizes=SMALL)
    watch(cold, Hooked, hook)
    chat = await cold.read("s")
    assert chat.messages == sent
    assert reads == [False, True]


async def test_pages_are_read_at_half_price(make_repository: RepositoryFactory) -> None:
    """Where nothing is stale no page is read strongly."""
    repository = make_repository(sizes=SMALL)
    sent = await paged(repository)
    cold = make_repository()
    consistent: list[bool] = []

    async def hook(operation: str, request: Mapping[str, Any], proceed: Call) -> Raw:
        if operation == "batch_get_item":
            consistent.extend(query["ConsistentRead"] for query in request["RequestItems"].values())
        return await proceed()

    watch(cold, Hooked, hook)
    chat = await cold.read("s")
    assert (chat.messages, consistent) == (sent, [False])


async def test_a_read_starts_over_when_the_session_is_rewritten_under_it(make_repository: RepositoryFactory) -> None:
    """Between the session item and its pages comes a replace, or a delete: the new state is read, not a mixture."""
    writer, reader = make_repository(sizes=SMALL), make_repository(sizes=SMALL)
    await paged(writer)
    new = [human(300) for _ in range(6)]
    changes = [lambda: writer.replace("s", new), lambda: writer.delete("s")]

    async def hook(operation: str, request: Mapping[str, Any], proceed: Call) -> Raw:
        if operation == "batch_get_item" and changes:
            await changes.pop(0)()
        return await proceed()

    watch(reader, Hooked, hook)
    chat = await reader.read("s")
    assert (chat.messages, chat.version) == ([], 0)


async def test_iterating_over_a_session_that_is_rewritten(
    make_repository: RepositoryFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was given out cannot be taken back: a typed error with both versions."""
    monkeypatch.setattr(stored_pages, "ITER_BYTES", 1)  # or all would have been fetched by then
    writer, reader = make_repository(sizes=SMALL), make_repository(sizes=SMALL)
    await paged(writer, 150)
    chat = await writer.read("s", limit=0)
    iterator = reader.iter_messages("s")
    await anext(iterator)
    version = await writer.replace("s", [HumanMessage("new")])
    with pytest.raises(VersionConflictError) as caught:
        async for _ in iterator:
            pass
    assert (caught.value.expected, caught.value.actual) == (chat.version, version)


async def test_iterating_fetches_ahead(make_repository: RepositoryFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next pages are on their way while the caller works, no more than these; who stops early leaves nothing."""
    writer, reader = make_repository(sizes=SMALL), make_repository(sizes=SMALL)
    sent = await paged(writer, 150)
    pages = remembered(writer).pages
    monkeypatch.setattr(stored_pages, "ITER_PAGES", 4)
    monkeypatch.setattr(stored_pages, "ITER_BYTES", 1)  # then one at a time
    script: Scripted = watch(reader, Scripted)

    def pages_asked() -> int:
        """Requests for pages: one page is got by itself."""
        return script.requests["batch_get_item"] + script.requests["get_item"] - 1

    iterator = reader.iter_messages("s")
    seen = [await anext(iterator)]
    await asyncio.sleep(0.05)
    assert pages_asked() == 2
    seen += [message async for message in iterator]
    assert seen == sent
    assert pages_asked() == 1 + pages - 4
    before = asyncio.all_tasks()
    stopped = reader.iter_messages("s")
    await anext(stopped)
    await stopped.aclose()
    assert asyncio.all_tasks() == before


async def test_iterating_asks_for_as_many_pages_as_are_small(make_repository: RepositoryFactory) -> None:
    """A hundred at a time, after the first few."""
    writer, reader = make_repository(sizes=SMALL), make_repository(sizes=SMALL)
    sent = await paged(writer, 150)
    recorder: Recorder = watch(reader, Recorder)
    assert [message async for message in reader.iter_messages("s")] == sent
    wanted = [len(request["RequestItems"][reader.table_name]["Keys"]) for name, request in recorder.log[1:]]
    assert wanted == [stored_pages.ITER_PAGES, remembered(writer).pages - stored_pages.ITER_PAGES]


async def test_a_missing_page_is_named(make_repository: RepositoryFactory) -> None:
    """It never looks like a shorter session."""
    clock = make_repository.set_clock()
    repository = make_repository(sizes=SMALL)
    await paged(repository)
    key = repository._key("s").page(remembered(repository).generation, 1)
    await repository._connection.call("delete_item", {"TableName": repository.table_name, "Key": key}, write=True)
    clock.advance(600)  # so that it is not just late
    cold = make_repository()
    with pytest.raises(CorruptSessionError, match=r"is missing") as caught:
        await cold.read("s")
    assert key["SessionId"]["S"] in caught.value.item
    with pytest.raises(CorruptSessionError, match=r"is missing"):
        [message async for message in cold.iter_messages("s")]
    chat = await cold.read("s", limit=3)  # a window that does not need it
    assert chat is not None
    assert len(chat.messages) == 3


async def test_an_undecodable_page_is_named_or_skipped(make_repository: RepositoryFactory) -> None:
    """The error names item and attribute; a repository that skips gives all other messages, and windows still count."""
    repository = make_repository(sizes=SMALL)
    sent = await paged(repository)
    page = await stored_page(repository, 1)
    first, count = Chain.of(page).first, Chain.of(page).messages
    for broken in (b"", b"\x63nonsense", page["lc_data"]["B"][:-3], page["lc_data"]["B"] + b"x"):
        await put(repository, {**page, "lc_data": {"B": broken}})
        with pytest.raises(CorruptSessionError, match="lc_data") as caught:
            await make_repository().read("s")
        assert caught.value.attribute == "lc_data"
        skipping = make_repository(skip_undecodable=True)
        chat = await skipping.read("s")
        assert chat.messages == sent[:first] + sent[first + count :]
        window = await skipping.read("s", limit=len(sent) - first - count + 1)
        assert window.messages == sent[first + count :]
        assert [m async for m in skipping.iter_messages("s")] == chat.messages


async def test_a_line_that_is_no_message_stays_none(make_repository: RepositoryFactory) -> None:
    """However often its page is read from memory, which checks the lines of other pages once."""
    repository = make_repository(sizes=SMALL)
    sent = await paged(repository)
    page = await stored_page(repository, 1)
    first, count = Chain.of(page).first, Chain.of(page).messages
    lines = [b'{"type":"human","content":7}', *encode_messages(sent[first + 1 : first + count])]
    await put(repository, {**page, "lc_data": {"B": pack(lines)}})
    strict, skipping = make_repository(), make_repository(skip_undecodable=True)
    for _ in range(3):
        with pytest.raises(CorruptSessionError, match="content"):
            await strict.read("s")
        assert (await skipping.read("s")).messages == sent[:first] + sent[first + 1 :]


async def test_an_undecodable_entry_of_the_tail_is_named_or_skipped(make_repository: RepositoryFactory) -> None:
    """The same for the session item itself."""
    repository = make_repository()
    await repository.append("s", [HumanMessage("a")])
    await repository.append("s", [HumanMessage("b")])
    (item,) = await scan(repository)
    item["History"]["L"][0] = {"B": b"\x63nonsense"}
    await put(repository, item)
    with pytest.raises(CorruptSessionError, match=r"History\[0\]") as caught:
        await make_repository().read("s")
    assert caught.value.attribute == "History[0]"
    chat = await make_repository(skip_undecodable=True).read("s")
    assert chat.messages == [HumanMessage("b")]


async def test_what_a_reader_skips_no_writer_loses(make_repository: RepositoryFactory) -> None:
    """Skipping reads around an entry of a newer format; a page cut or a rewrite would drop it: an error."""
    repository = make_repository(sizes=SMALL, skip_undecodable=True)
    await repository.append("s", [HumanMessage("good")])
    await repository.append("s", [HumanMessage("newer")])
    (item,) = await scan(repository)
    newer = b"\x02" + item["History"]["L"][1]["B"][1:]
    item["History"]["L"][1] = {"B": newer}
    await put(repository, item)
    assert (await repository.read("s")).messages == [HumanMessage("good")]
    with pytest.raises(CorruptSessionError, match=r"History\[1\]"):
        await repository.append("s", [human(900)])
    with pytest.raises(CorruptSessionError, match=r"History\[1\]"):
        await repository.truncate("s", keep=1)
    (item,) = await scan(repository)
    assert {"B": newer} in item["History"]["L"]


async def test_a_foreign_entry_that_cannot_be_read(make_repository: RepositoryFactory) -> None:
    """An append beside it is an append; a read names it, or skips it."""
    repository = make_repository()
    await repository.append("s", [HumanMessage("a")])
    (item,) = await scan(repository)
    item["History"]["L"].append({"M": {"type": {"S": "unheard of"}, "data": {"M": {}}}})
    await put(repository, item)
    await repository.append("s", [HumanMessage("b")])
    with pytest.raises(CorruptSessionError, match=r"History\[1\]"):
        await repository.read("s")
    skipping = make_repository(skip_undecodable=True)
    assert (await skipping.read("s")).messages == [HumanMessage("a"), HumanMessage("b")]


@pytest.mark.parametrize("attribute", ["lc_version", "lc_pages", "lc_count", "lc_tail_ops", "lc_intent", "History"])
async def test_a_wrong_type_is_named(make_repository: RepositoryFactory, attribute: str) -> None:
    """An attribute of the session item that someone overwrote."""
    repository = make_repository()
    await repository.append("s", [HumanMessage("a")])
    (item,) = await scan(repository)
    await put(repository, {**item, attribute: {"S": "wrong"}})
    for method in (make_repository().read, repository.delete):
        with pytest.raises(CorruptSessionError, match=attribute) as caught:
            await method("s")
        assert caught.value.attribute == attribute


async def test_a_missing_table_is_no_empty_session(make_repository: RepositoryFactory) -> None:
    """Read and append raise, naming the table and what to do."""
    repository = make_repository("no-such-table")
    for call in (repository.read("s"), repository.append("s", [HumanMessage("a")])):
        with pytest.raises(TableNotFoundError, match="no-such-table"):
            await call


async def test_windows(make_repository: RepositoryFactory) -> None:
    """The newest N over page boundaries, with no more requests than needed."""
    writer = make_repository(sizes=SMALL)
    sent = await paged(writer)
    for limit in range(len(sent) + 3):
        chat = await make_repository().read("s", limit=limit)
        assert chat.messages == sent[len(sent) - min(limit, len(sent)) :]
        assert chat.message_count == len(sent)
    cold = make_repository()
    meter: Meter = watch(cold, Meter)
    await cold.read("s", limit=1)
    assert dict(meter.requests) == {"get_item": 1}
    await cold.read("s", limit=len(sent))
    assert meter.requests["batch_get_item"] <= 2
    await cold.read("s")
    assert meter.requests["batch_get_item"] <= 2  # all pages are remembered


async def test_a_window_never_begins_with_an_orphaned_tool_message(make_repository: RepositoryFactory) -> None:
    """Model providers reject a tool message whose call was cut off; the whole history is left as it is."""
    call = ToolCall(name="f", args={}, id="1")
    messages = [
        HumanMessage("q"),
        AIMessage("", tool_calls=[call, ToolCall(name="g", args={}, id="2")]),
        ToolMessage("r1", tool_call_id="1"),
        ToolMessage("r2", tool_call_id="2"),
        AIMessage("done"),
    ]
    repository = make_repository()
    await repository.append("s", messages)
    expected = {0: [], 1: messages[4:], 2: messages[4:], 3: messages[4:], 4: messages[1:], 5: messages, 6: messages}
    for limit, window in expected.items():
        chat = await repository.read("s", limit=limit)
        assert chat.messages == window
    await repository.replace("s", messages[2:])
    whole = await repository.read("s")
    assert whole.messages == messages[2:]


async def test_conditional_reads(make_repository: RepositoryFactory) -> None:
    """None while the session is at the version already known."""
    writer, reader = make_repository(), make_repository()
    assert await reader.read("s", unless_version=0) is None
    version = await writer.append("s", [HumanMessage("a")])
    assert await reader.read("s", unless_version=version) is None
    chat = await reader.read("s", unless_version=version - 1)
    assert chat is not None
    assert (chat.version, chat.messages) == (version, [HumanMessage("a")])


async def test_the_page_cache_is_bounded(make_repository: RepositoryFactory) -> None:
    """Reading more than fits keeps no more than fits."""
    repository = make_repository(sizes=SMALL)
    sent = await paged(repository)
    for bound, kept in ((100_000, True), (3000, True), (100, False)):
        pages = dataclasses.replace(repository._reader.pages, cache=LRU(bound))
        reader = dataclasses.replace(repository._reader, pages=pages)
        snapshot = await reader.snapshot(repository._key("s"), None, None)
        assert snapshot is not None
        assert snapshot.messages == sent
        assert (0 < reader.pages.cache.cost <= bound) == kept


async def test_text_and_native_entries_in_the_tail_are_read(make_repository: RepositoryFactory) -> None:
    """Other writers may have appended plain JSON text, or langchain_community's native maps."""
    repository = make_repository(sizes=SMALL)
    await repository.append("s", [HumanMessage("a")])
    (item,) = await scan(repository)
    native = {"type": {"S": "human"}, "data": {"M": {"content": {"S": "c"}}}}
    item["History"]["L"] += [{"S": '{"type":"human","content":"b"}'}, {"M": native}]
    item["lc_count"] = {"N": "3"}
    await put(repository, item)
    cold = make_repository(sizes=SMALL)
    sent = await fill_tail(cold) + [human(100)]
    await cold.append("s", sent[-1:])
    chat = await make_repository().read("s")
    assert chat.messages == [HumanMessage("a"), HumanMessage("b"), HumanMessage("c"), *sent]


async def test_pages_are_inflated_in_slices(
    make_repository: RepositoryFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other tasks of the event loop run between slices: inflating a long session must not hold them up."""
    writer = make_repository(sizes=SMALL)
    await paged(writer)
    pages = remembered(writer).pages - remembered(writer).first_page
    passes = 0
    seen: list[int] = []

    async def count_passes() -> None:
        nonlocal passes
        while True:
            passes += 1
            await asyncio.sleep(0)

    class Watched(BlockReader):
        def finish(self) -> list[Line]:
            seen.append(passes)
            return super().finish()

    monkeypatch.setattr(stored_pages, "SLICE_BYTES", 1)
    monkeypatch.setattr(stored_pages, "BlockReader", Watched)
    task = asyncio.create_task(count_passes())
    await make_repository().read("s")
    task.cancel()
    assert len(set(seen[-pages:])) == pages


@pytest.mark.parametrize("way", ["read", "iter_messages"])
async def test_two_attributes_of_a_page_come(make_repository: RepositoryFactory, way: str) -> None:
    """Operation ids are many, no reader needs them, and the SDK takes its time for each attribute."""
    repository = make_repository(sizes=SMALL, ttl=3600)
    sent = await paged(repository)
    pages = [item for item in await scan(repository) if "lc_cut" in item]
    came: list[Raw] = []

    async def hook(operation: str, request: Mapping[str, Any], proceed: Call) -> Raw:
        response = await proceed()
        if operation == "batch_get_item":
            ((found,),) = [response["Responses"].values()]
            came.extend(found)
        return response

    reader = make_repository()
    watch(reader, Hooked, hook)
    chat = await reader.read("s") if way == "read" else None
    assert (chat.messages if chat else [message async for message in reader.iter_messages("s")]) == sent
    expected = [{name: page[name] for name in ("lc_chain", "lc_data")} for page in pages]
    assert sorted(came, key=Chain.of) == sorted(expected, key=Chain.of)


async def test_three_large_answers_at_once(make_repository: RepositoryFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages are asked for three requests at a time: all answers that came in at once are taken in one go."""
    await paged(make_repository(sizes=SMALL))
    running = most = 0

    async def count(operation: str, request: Mapping[str, Any], proceed: Call) -> Raw:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.01)  # longer than it takes to begin the others
        response = await proceed()
        running -= 1
        return response

    monkeypatch.setattr(stored_pages, "GET_BATCH", 1)
    reader = make_repository()
    watch(reader, Hooked, count)
    await reader.read("s")
    assert most == 3


def test_a_chat_session_through_json() -> None:
    """Messages come back as what they were, also of classes of one's own; what cannot is told."""
    messages = [
        SystemMessage("be brief"),
        HumanMessage([{"type": "text", "text": "hi!"}], name="a", extra=1),
        AIMessage("x", tool_calls=[{"name": "f", "args": {"a": 1.5}, "id": "1"}], id="run-1"),
        ToolMessage("7", tool_call_id="1", artifact={"b": [1]}, status="error"),
        FunctionMessage("f", name="f"),
        ChatMessage("c", role="critic"),
        AIMessageChunk("chunk"),
    ]
    chat = ChatSession(version=7, messages=messages, message_count=len(messages), metadata={"title": "t"})
    for again in (ChatSession.model_validate_json(chat.model_dump_json()), ChatSession(**chat.model_dump())):
        assert again == chat
        assert [type(message) for message in again.messages] == [type(message) for message in messages]
    with pytest.raises(ValueError, match=r"no message class has the type 'mine'; .* register_message_class"):
        ChatSession.model_validate({**chat.model_dump(), "messages": [{"type": "mine", "content": "a"}]})
