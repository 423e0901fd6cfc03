"""Values of other kinds than JSON's through the repository, its facade and the adapter."""

from __future__ import annotations

import datetime as dt
import json
import random
import warnings
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.messages import BaseMessage, HumanMessage, ToolMessage

from conftest import RepositoryFactory
from langchain_dynamodb import ChatSession, DynamoDBChatMessageHistory, SessionRepository, register_class
from langchain_dynamodb.codec.registry import OBJECTS
from langchain_dynamodb.errors import (
    CorruptSessionError,
    MessageTooLargeError,
    OmittedValueWarning,
    UnregisteredClassWarning,
    UnsupportedMessageError,
)
from support import SMALL, many, scan
from values_support import CLASSES, EXACT, REGISTERED, Answer, Span, looks, unordered

MESSAGES: list[BaseMessage] = [HumanMessage("hi", additional_kwargs={"value": value}) for value in EXACT]


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OBJECTS, "by_name", dict(OBJECTS.by_name))
    monkeypatch.setattr(OBJECTS, "by_class", dict(OBJECTS.by_class))
    monkeypatch.setattr(OBJECTS, "told", set())


async def test_they_come_back_from_tail_and_pages(make_repository: RepositoryFactory) -> None:
    """One by one, in batches, by windows and page by page; between messages of plain JSON too."""
    sessions = make_repository(sizes=SMALL)
    expected: list[BaseMessage] = []
    for message in MESSAGES:
        for messages in ([message], many(1), [message, *many(1)]):
            await sessions.append("s", messages)
            expected += messages
    await sessions.append("s", MESSAGES)
    expected += MESSAGES
    wanted = [looks(message) for message in expected]
    fresh = make_repository(sizes=SMALL)
    assert [looks(message) for message in (await fresh.read("s")).messages] == wanted
    assert [looks(message) for message in (await fresh.read("s", limit=7)).messages] == wanted[-7:]
    assert [looks(message) async for message in fresh.iter_messages("s")] == wanted
    await fresh.replace("s", MESSAGES)
    await fresh.truncate("s", keep=5)
    assert [looks(message) for message in (await sessions.read("s")).messages] == wanted[-len(MESSAGES) :][:5]


async def test_objects_come_back_from_the_facade_and_the_adapter(engine: Any, table_name: str) -> None:
    """As from the repository."""
    for cls in CLASSES:
        register_class(cls)
    messages = [HumanMessage("", additional_kwargs={"value": value}) for value in REGISTERED]
    with SessionRepository(table_name, endpoint_url=engine.endpoint_url, strict=True) as sessions:
        sessions.append("s", messages)
        assert [looks(message) for message in sessions.read("s").messages] == [looks(one) for one in messages]
    history = DynamoDBChatMessageHistory(table_name, "s", engine.endpoint_url, strict=True)
    history.add_messages(messages[:3])
    wanted = [looks(one) for one in messages + messages[:3]]
    assert [looks(message) for message in history.messages] == wanted
    assert [looks(message) for message in await history.aget_messages()] == wanted


async def test_what_changes_is_told_and_strict_refuses(make_repository: RepositoryFactory) -> None:
    """Before anything is written."""
    message = ToolMessage("", tool_call_id="c", artifact=[Answer(text="a"), object(), Span(1)])
    with pytest.raises(UnsupportedMessageError, match="register_class"):
        await make_repository(strict=True).append("s", [message])
    with pytest.raises(UnregisteredClassWarning):  # warnings are errors in these tests
        await make_repository().append("s", [message])
    assert await scan(make_repository()) == []
    with pytest.warns() as caught:
        await make_repository().append("s", [message])
    assert [type(one.message) for one in caught] == [
        UnregisteredClassWarning,
        UnregisteredClassWarning,
        OmittedValueWarning,
    ]
    (found,) = (await make_repository().read("s")).messages
    data = {"text": "a", "score": None, "parts": []}
    assert found.artifact == [data, None, {"start": 1, "end": None}]  # type: ignore[attr-defined]
    register_class(Span)
    (found,) = (await make_repository().read("s")).messages
    assert found.artifact == [data, None, Span(1)]  # type: ignore[attr-defined]


async def test_the_same_append_is_recognised(make_repository: RepositoryFactory) -> None:
    """Whatever order a set has in this process: an idempotency key goes with what is stored."""
    sessions = make_repository()
    letters = [chr(code) for code in range(97, 123)]
    for _ in range(3):
        random.shuffle(letters)
        message = ToolMessage("", tool_call_id="c", artifact={*letters} | {frozenset(letters)})
        await sessions.append("s", [message], idempotency_key="k")
    assert (await sessions.read("s")).message_count == 1


async def test_a_large_binary_value(make_repository: RepositoryFactory) -> None:
    """Over several items; incompressible data takes its own size, and no third more."""
    data = random.Random(1).randbytes(900_000)
    message = HumanMessage([{"type": "image", "data": data}])
    sessions = make_repository()
    await sessions.append("s", [message, *many(3)])
    assert (await make_repository().read("s")).messages[0] == message
    stored = sum(len(kind.get("B", b"")) for item in await scan(sessions) for kind in item.values())
    assert stored < 1.01 * len(data)


async def test_a_damaged_value_is_damage(make_repository: RepositoryFactory, dynamodb: Any, table_name: str) -> None:
    """An error that names the item and shows nothing of it."""
    sessions = make_repository()
    await sessions.append("s", [HumanMessage([{"type": "x", "secret": b"SECRET" * 50}])])
    (item,) = await scan(sessions)
    block = item["History"]["L"][0]["B"]
    item["History"]["L"][0]["B"] = block[:-20] + bytes(20)
    dynamodb.put_item(TableName=table_name, Item=item)
    with pytest.raises(CorruptSessionError) as caught:
        await make_repository().read("s")
    assert (caught.value.attribute, "SECRET" in str(caught.value)) == ("History[0]", False)


async def test_a_session_with_other_values_is_json_for_a_browser(make_repository: RepositoryFactory) -> None:
    """As pydantic writes them: an answer over HTTP does not fail of what a tool has left in a message."""
    values = [dt.date(2026, 1, 2), Document("d"), {1: (b"x",)}]
    sessions = make_repository()
    await sessions.append("s", [HumanMessage("hi", additional_kwargs={"value": value}) for value in values])
    chat = await sessions.read("s")
    told = [message["additional_kwargs"]["value"] for message in json.loads(chat.model_dump_json())["messages"]]
    document = {"id": None, "metadata": {}, "page_content": "d", "type": "Document"}
    assert told == ["2026-01-02", document, {"1": ["eA=="]}]
    image = HumanMessage([{"type": "image", "data": b"\xfb\xff\xfe"}])  # as providers take it, not as URLs do
    said = ChatSession(version=1, messages=[image], message_count=1).model_dump_json()
    assert json.loads(said)["messages"][0]["content"][0]["data"] == "+//+"
    for value in EXACT:
        if not isinstance(value, (int, str)) and "\\ud83d" not in ascii(value):
            message = HumanMessage("hi", additional_kwargs={"value": value})
            assert ChatSession(version=1, messages=[message], message_count=1).model_dump_json()


def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Know no classes but langchain-core's, as in another process."""
    document = OBJECTS.by_name["Document"]
    monkeypatch.setattr(OBJECTS, "by_name", {"Document": document})
    monkeypatch.setattr(OBJECTS, "by_class", {Document: document})


@pytest.mark.parametrize("way", ["converted", "appended by others", "brought in by repair"])
async def test_a_process_without_the_classes_hands_objects_on(
    make_repository: RepositoryFactory, dynamodb: Any, table_name: str, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """From items of langchain_community into our format; who knows the classes reads them as they were."""
    for cls in CLASSES:
        register_class(cls)
    values = [value for value in REGISTERED if not isinstance(value, str)]
    messages = [HumanMessage("", additional_kwargs={"value": value}) for value in values]
    await make_repository(item_format="community").append("c", messages)
    forget(monkeypatch)
    sessions = make_repository()
    if way == "converted":
        name = "c"
        await sessions.append("c", many(1))
    else:
        name = "s"
        await sessions.append("s", many(1))
        items = {item["SessionId"]["S"]: item for item in await scan(sessions)}
        natives = items["c"]["History"]["L"]
        entries = items["s"]["History"]["L"]
        items["s"]["History"] = {"L": natives + entries if way == "brought in by repair" else entries + natives}
        if way == "appended by others":
            items["s"]["lc_count"] = {"N": str(int(items["s"]["lc_count"]["N"]) + len(natives))}
        dynamodb.put_item(TableName=table_name, Item=items["s"])
        if way == "brought in by repair":
            await make_repository().repair("s")
        else:
            small = make_repository(sizes=SMALL)
            for _ in range(20):  # until they are in a page
                await small.append("s", many(1))
    for cls in CLASSES:
        register_class(cls)
    found = [one for one in (await make_repository().read(name)).messages if "value" in one.additional_kwargs]
    assert unordered([looks(one) for one in found]) == unordered([looks(one) for one in messages])


@pytest.mark.parametrize("operation", ["append", "replace"])
async def test_what_is_refused_for_its_size_is_not_told(make_repository: RepositoryFactory, operation: str) -> None:
    """A warning says what is stored; here nothing is. What is in the item already counts."""
    sessions = make_repository(item_format="community")
    await sessions.append("s", [HumanMessage("x" * 200_000)])
    size = 250_000 if operation == "append" else 450_000
    message = ToolMessage("x" * size, tool_call_id="c", artifact=[object(), Answer(text="a")])
    with pytest.raises(MessageTooLargeError):  # warnings are errors in these tests
        await getattr(sessions, operation)("s", [message])
    with pytest.warns() as caught:
        await sessions.replace("s", [ToolMessage("", tool_call_id="c", artifact=[object(), Answer(text="a")])])
    assert [type(one.message) for one in caught] == [UnregisteredClassWarning, OmittedValueWarning]


def test_warnings_of_the_facade_name_the_line_that_called_it(engine: Any, table_name: str) -> None:
    """Its own event loop is in another thread; still each line of the program warns by itself."""
    with SessionRepository(table_name, endpoint_url=engine.endpoint_url) as sessions:
        sessions.create_table()
        history = sessions.history("h")
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("default")
            for _ in range(2):
                sessions.append("s", [ToolMessage("", tool_call_id="c", artifact=object())])
            sessions.append("s", [ToolMessage("", tool_call_id="c", artifact=object())])
            history.add_messages([ToolMessage("", tool_call_id="c", artifact=object())])
    assert [warning.filename for warning in told] == [__file__] * 3
    assert len({warning.lineno for warning in told}) == 3
