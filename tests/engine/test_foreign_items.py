"""Items that are no chat sessions, or histories of another shape or name: told, and never changed or removed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.messages import BaseMessage, HumanMessage

from community_support import Meddler, Theirs
from damage import crash
from langchain_dynamodb import AsyncSessionRepository, SessionRepository
from langchain_dynamodb._dynamodb.failures import ConditionFailed
from langchain_dynamodb.errors import (
    CorruptSessionError,
    ForeignItemError,
    ItemFormatError,
    OutcomeUnknownError,
    SessionNotFoundError,
    VersionConflictError,
)
from support import SMALL, WatchedConnection, human, many, scan, watch

if TYPE_CHECKING:
    from conftest import RepositoryFactory, TableFactory, TestEngine

pytestmark = pytest.mark.once

Call = Callable[[AsyncSessionRepository, Any], Awaitable[object]]
NEW: list[BaseMessage] = [HumanMessage("new")]


def text(value: str) -> dict[str, Any]:
    """A text as an attribute value."""
    return {"S": value}


def native(content: str = "old") -> dict[str, Any]:
    """A message as langchain_community stores it."""
    data = {"content": text(content), "type": text("human"), "additional_kwargs": {"M": {}}}
    return {"M": {"type": text("human"), "data": {"M": data}}}


def javascript(content: str = "SECRET") -> dict[str, Any]:
    """A message as langchain.js stores it."""
    return {"M": {"type": text("human"), "text": text(content)}}


LLAMA = {
    "M": {"role": text("user"), "additional_kwargs": {"M": {}}, "blocks": {"L": [{"M": {"text": text("SECRET")}}]}}
}
FOREIGN: dict[str, dict[str, Any]] = {
    "profile": {"email": text("SECRET"), "age": {"N": "7"}, "expireAt": {"N": "4000000000"}},
    "expired profile": {"email": text("SECRET"), "expireAt": {"N": "1790000000"}},
    "javascript": {"History": {"L": [javascript(), javascript()]}},
    "javascript by its own names": {"messages": {"L": [javascript()]}},
    "llama-index": {"History": {"L": [LLAMA]}},
    "texts": {"History": {"L": [text("SECRET")]}},
    "numbers": {"History": {"L": [{"N": "1"}]}},
    "string": {"History": text("SECRET")},
    "number": {"History": {"N": "7"}},
    "map": {"History": native("SECRET")},
    "set": {"History": {"SS": ["SECRET"]}},
    # As docs/formats.md describes those of agents: a state in bytes, in JSON, in a map.
    "checkpoint": {"checkpoint": {"B": b"SECRET"}, "ns": text("")},
    "state as JSON": {"data": text('{"messages": ["SECRET"]}'), "saved_at": text("2026-11-30T00:00:00Z")},
    "memory": {"value": {"M": {"History": {"L": [native("SECRET")]}}}, "created_at": {"N": "1764000000"}},
    "another name": {"Conversation": {"L": [native("SECRET")]}},
}


async def listed(sessions: AsyncSessionRepository, session: Any) -> list[BaseMessage]:
    """All messages by iter_messages."""
    return [message async for message in sessions.iter_messages(session)]


READS: dict[str, Call] = {
    "read": lambda s, k: s.read(k),
    "window": lambda s, k: s.read(k, limit=1),
    "nothing of it": lambda s, k: s.read(k, limit=0),
    "unless": lambda s, k: s.read(k, unless_version=0),
    "iterate": listed,
    "append of nothing": lambda s, k: s.append(k, []),
}
WRITES: dict[str, Call] = {
    "append": lambda s, k: s.append(k, NEW),
    "append of pages": lambda s, k: s.append(k, many(12, 300)),
    "append with history_size": lambda s, k: s.append(k, NEW, history_size=2),
    "append with attributes": lambda s, k: s.append(k, NEW, attributes={"user": "u1"}),
    "append with a key": lambda s, k: s.append(k, NEW, idempotency_key="k"),
    "append to nothing": lambda s, k: s.append(k, NEW, expected_version=0),
    "append of pages to nothing": lambda s, k: s.append(k, many(12, 300), expected_version=0),
    "append at a version": lambda s, k: s.append(k, NEW, expected_version=7),
    "append if it exists": lambda s, k: s.append(k, NEW, must_exist=True),
    "replace": lambda s, k: s.replace(k, NEW),
    "replace by pages": lambda s, k: s.replace(k, many(12, 300)),
    "replace by nothing": lambda s, k: s.replace(k, []),
    "truncate": lambda s, k: s.truncate(k, keep=0),
    "attributes": lambda s, k: s.update_metadata(k, {}, attributes={"user": "u1"}),
    "attributes of a new one": lambda s, k: s.update_metadata(k, {}, attributes={"user": "u1"}, must_exist=False),
    "delete": lambda s, k: s.delete(k),
    "delete at a version": lambda s, k: s.delete(k, expected_version=7),
}
METADATA: dict[str, Call] = {
    "metadata": lambda s, k: s.update_metadata(k, {"title": "t"}),
    "metadata of a new one": lambda s, k: s.update_metadata(k, {"title": "t"}, must_exist=False),
    "metadata of nothing": lambda s, k: s.update_metadata(k, {"title": "t"}, expected_version=0),
}


def put(dynamodb: Any, table: str, item: dict[str, Any], **key: Any) -> None:
    """Somebody else's item."""
    dynamodb.put_item(TableName=table, Item={**(key or {"SessionId": text("s")}), **item})


@pytest.mark.parametrize("item_format", ["pages", "community"])
@pytest.mark.parametrize("what", FOREIGN)
async def test_left_as_it_is_by_every_operation(
    make_repository: RepositoryFactory, dynamodb: Any, table_name: str, what: str, item_format: str
) -> None:
    """Reads and changes raise an error that names the key and what is there, and no content of it."""
    put(dynamodb, table_name, FOREIGN[what])
    sessions = make_repository(sizes=SMALL, item_format=item_format, ttl=60)
    before = await scan(sessions)
    for name, call in {**READS, **WRITES, **({} if item_format == "community" else METADATA)}.items():
        with pytest.raises(ForeignItemError, match="SessionId='s'") as caught:
            await call(sessions, "s")
        assert caught.value.item == "SessionId='s'", name
        assert all(repr(attribute) in str(caught.value) for attribute in FOREIGN[what] if attribute != "expireAt")
        assert "SECRET" not in str(caught.value)
    assert await scan(sessions) == before


async def test_what_the_error_says(make_repository: RepositoryFactory, dynamodb: Any, table_name: str) -> None:
    """Names and shapes, bounded, and the setting that would fit where one would."""
    said = {}
    for what in ("javascript", "another name"):
        put(dynamodb, table_name, FOREIGN[what])
        with pytest.raises(ForeignItemError) as caught:
            await make_repository().read("s")
        said[what] = str(caught.value)
    assert "'History' (L of 2, the first M of 'type', 'text')" in said["javascript"]
    assert "set history_messages_key='Conversation'" in said["another name"]
    put(dynamodb, table_name, {f"{'x' * 200}{n}": text("y") for n in range(50)})
    with pytest.raises(ForeignItemError, match="and 42 more") as caught:
        await make_repository().read("s")
    assert len(str(caught.value)) < 900


@pytest.mark.parametrize(
    ("keys", "session", "key"),
    [
        (("PK", "SK"), {"PK": "p", "SK": "profile"}, {"PK": text("p"), "SK": text("profile")}),
        (("PK:B", "SK:N"), {"PK": b"p", "SK": 7}, {"PK": {"B": b"p"}, "SK": {"N": "7"}}),
        (("PK:B",), {"PK": b"p"}, {"PK": {"B": b"p"}}),
    ],
)
async def test_keys_of_every_shape(
    make_repository: RepositoryFactory, make_table: TableFactory, dynamodb: Any, keys: Any, session: Any, key: Any
) -> None:
    """A single-table design has a profile beside its chats; the attributes of the key are no sign of anything."""
    table = make_table(*keys)
    for item_format in ("pages", "community"):
        sessions = make_repository(table, item_format=item_format)
        put(dynamodb, table, FOREIGN["profile"], **key)
        before = await scan(sessions)
        for call in {**READS, **WRITES}.values():
            with pytest.raises(ForeignItemError):
                await call(sessions, session)
        assert await scan(sessions) == before
        put(dynamodb, table, {}, **key)
        await sessions.append(session, NEW)
        assert (await sessions.read(session)).messages == NEW
        await sessions.delete(session)


def test_the_synchronous_classes(engine: TestEngine, dynamodb: Any, table_name: str) -> None:
    """The sync facade and the history class raise it too."""
    put(dynamodb, table_name, FOREIGN["profile"])
    before = dynamodb.scan(TableName=table_name)["Items"]
    with SessionRepository(table_name, endpoint_url=engine.endpoint_url) as sessions:
        history = sessions.history("s")
        calls: list[Callable[[], object]] = [
            lambda: sessions.append("s", NEW),
            lambda: sessions.delete("s"),
            lambda: history.messages,
            lambda: history.add_messages(NEW),
            history.clear,
        ]
        for call in calls:
            with pytest.raises(ForeignItemError):
                call()
        assert [summary.session for summary in sessions.list()] == []
    assert dynamodb.scan(TableName=table_name)["Items"] == before


@pytest.mark.parametrize("segments", [1, 4])
async def test_they_are_not_listed(
    make_repository: RepositoryFactory, dynamodb: Any, table_name: str, segments: int
) -> None:
    """A listing shows the sessions among them: ours, those of langchain_community, and damaged ones of theirs."""
    for name, item in FOREIGN.items():
        put(dynamodb, table_name, item, SessionId=text(name))
    put(dynamodb, table_name, {"History": {"L": [native()]}}, SessionId=text("community"))
    put(dynamodb, table_name, {"History": {"L": []}}, SessionId=text("community, empty"))
    put(dynamodb, table_name, {"History": {"L": [{"NULL": True}, native()]}}, SessionId=text("community, damaged"))
    put(dynamodb, table_name, {"History": {"L": [native(), javascript()]}}, SessionId=text("community, mixed"))
    sessions = make_repository()
    await sessions.append("ours", NEW)
    found = [summary.session async for summary in sessions.list(segments=segments)]
    assert sorted(map(str, found)) == sorted(
        ["ours", "community", "community, empty", "community, damaged", "community, mixed"]
    )


@pytest.mark.parametrize("item_format", ["pages", "community"])
@pytest.mark.parametrize("rest", [{}, {"expireAt": {"N": "4000000000"}}, {"expireAt": text("never")}], ids=str)
async def test_nothing_but_a_key_is_no_item(
    make_repository: RepositoryFactory, dynamodb: Any, table_name: str, rest: Any, item_format: str
) -> None:
    """What is left of an item that was emptied reads as absent, and a session can begin there."""
    put(dynamodb, table_name, rest)
    sessions = make_repository(item_format=item_format)
    assert (await sessions.read("s")).version == 0
    await sessions.append("s", NEW)
    assert (await sessions.read("s")).messages == NEW
    put(dynamodb, table_name, rest)
    with pytest.raises(SessionNotFoundError):
        await sessions.repair("s")
    await sessions.delete("s")
    assert [item.keys() - rest for item in await scan(sessions)] == [{"SessionId"}]  # it may be somebody else's
    await sessions.replace("s", NEW)
    assert (await make_repository().read("s")).messages == NEW


# -- what changes between a look and a write -------------------------------------------------------------------


@pytest.mark.parametrize("start", ["absent", "there"])
@pytest.mark.parametrize("call", ["append", "append with history_size", "replace", "attributes of a new one", "delete"])
@pytest.mark.parametrize("item_format", ["pages", "community"])
async def test_an_item_that_comes_between(
    make_repository: RepositoryFactory, dynamodb: Any, table_name: str, item_format: str, call: str, start: str
) -> None:
    """Somebody else's item takes the place just before the write is sent: it survives."""
    if start == "there":
        await make_repository(item_format=item_format).append("s", [human()])
    sessions = make_repository(item_format=item_format)
    operation = "delete_item" if call == "delete" and item_format == "community" else "update_item"
    watch(sessions, Meddler, operation, lambda: put(dynamodb, table_name, FOREIGN["javascript"]))
    if call == "delete" and start == "absent":
        await sessions.delete("s")
        return
    with pytest.raises(ForeignItemError):
        await WRITES[call](sessions, "s")
    (item,) = await scan(sessions)
    assert item == {"SessionId": text("s"), **FOREIGN["javascript"]}


@pytest.mark.parametrize("item_format", ["pages", "community"])
@pytest.mark.parametrize("call", ["append", "replace", "attributes of a new one"])
async def test_an_answer_lost_before_it_comes_between(
    make_repository: RepositoryFactory, dynamodb: Any, table_name: str, item_format: str, call: str
) -> None:
    """The write may have been applied and overwritten: that nothing was changed would be a lie."""

    class AnswerLost(WatchedConnection):
        async def around(self, operation: str, request: Any, proceed: Any) -> Any:
            if operation != "update_item":
                return await proceed()
            await proceed()
            put(dynamodb, table_name, FOREIGN["profile"])
            (item,) = dynamodb.scan(TableName=table_name)["Items"]
            raise ConditionFailed(item, retried=True)

    sessions = make_repository(item_format=item_format)
    await sessions.append("s", [human()])
    watch(sessions, AnswerLost)
    with pytest.raises(OutcomeUnknownError):
        await WRITES[call](sessions, "s")


# -- lists that langchain_community cannot read ----------------------------------------------------------------

ODD: dict[str, Any] = {
    "javascript": javascript(),
    "text": text("x"),
    "null": {"NULL": True},
    "no data": {"M": {"type": text("human"), "data": text("x")}},
}


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("item_format", ["pages", "community"])
async def test_a_list_with_entries_of_others(
    make_repository: RepositoryFactory, dynamodb: Any, table_name: str, item_format: str, odd: str
) -> None:
    """What was readable is readable, the entry is named, and no write buries or drops it."""
    put(dynamodb, table_name, {"History": {"L": [native("a"), ODD[odd], native("b")]}})
    before = dynamodb.scan(TableName=table_name)["Items"]
    for skip in (False, True):
        sessions = make_repository(item_format=item_format, skip_undecodable=skip)
        for name in ("append", "append with history_size", "replace", "truncate", "attributes"):
            with pytest.raises(CorruptSessionError) as caught:
                await WRITES[name](sessions, "s")
            assert (caught.value.item, caught.value.attribute) == ("SessionId='s'", "History[1]")
    with pytest.raises(CorruptSessionError, match=r"History\[1\]"):
        await make_repository(item_format=item_format).read("s")
    assert [m.content for m in (await sessions.read("s")).messages] == ["a", "b"]
    assert dynamodb.scan(TableName=table_name)["Items"] == before
    await sessions.delete("s")
    assert await scan(sessions) == []


# -- two services, two names of the history --------------------------------------------------------------------


async def tail(make: RepositoryFactory) -> None:
    """A short session."""
    await make().append("s", [human(), human()])


async def pages(make: RepositoryFactory) -> None:
    """One with pages."""
    sessions = make(sizes=SMALL)
    for _ in range(9):
        await sessions.append("s", [human(90), human(20)])


async def empty(make: RepositoryFactory) -> None:
    """One whose tail is empty."""
    await make(sizes=SMALL).append("s", many(6, 300))


async def emptied(make: RepositoryFactory) -> None:
    """One without messages."""
    await tail(make)
    await make().replace("s", [])


async def unborn(make: RepositoryFactory) -> None:
    """A batch under way in a session that is not there yet."""
    sessions = make(sizes=SMALL)
    await crash(sessions, 3, lambda: sessions.append("s", many(5, 400)))


async def deleting(make: RepositoryFactory) -> None:
    """A delete under way."""
    await empty(make)
    sessions = make(sizes=SMALL)
    await crash(sessions, 2, lambda: sessions.delete("s"))


STATES: dict[str, Callable[[RepositoryFactory], Awaitable[None]]]
STATES = {state.__name__: state for state in (tail, pages, empty, emptied, unborn, deleting)}


@pytest.mark.parametrize("item_format", ["pages", "community"])
@pytest.mark.parametrize("state", STATES)
async def test_another_name_of_the_history(make_repository: RepositoryFactory, state: str, item_format: str) -> None:
    """A service with another history_messages_key is told so by every operation, before anything is written."""
    await STATES[state](make_repository)
    sessions = make_repository(sizes=SMALL, item_format=item_format, history_messages_key="history", ttl=60)
    before = await scan(sessions)
    for name, call in {**READS, **WRITES, **({} if item_format == "community" else METADATA)}.items():
        with pytest.raises(ItemFormatError, match="history_messages_key='History'") as caught:
            await call(sessions, "s")
        assert not isinstance(caught.value, ForeignItemError), name
    assert await scan(sessions) == before


async def test_another_name_and_what_is_remembered(make_repository: RepositoryFactory) -> None:
    """A session deleted and begun anew under another name, by a service that remembers the old one."""
    mine, other = make_repository(sizes=SMALL), make_repository(sizes=SMALL, history_messages_key="history")
    await mine.append("s", NEW)
    await mine.delete("s")
    await other.append("s", NEW)
    await other.delete("s")
    await mine.append("s", NEW)
    version = (await mine.read("s")).version
    for expected in (None, version):
        with pytest.raises(ItemFormatError):
            await other.append("s", NEW, expected_version=expected)
    with pytest.raises(ItemFormatError):
        await other.append("s", many(9, 300))
    assert (await mine.read("s")).messages == NEW


async def test_a_history_that_is_missing(make_repository: RepositoryFactory, dynamodb: Any, table_name: str) -> None:
    """Where no attribute looks like the history the item is damaged; lists of the user's own are no histories."""
    sessions = make_repository()
    await sessions.append("s", NEW, attributes={"tags": ["a"], "more": []})
    (item,) = await scan(sessions)
    del item["History"]
    dynamodb.put_item(TableName=table_name, Item=item)
    for call in (READS["read"], WRITES["append"], WRITES["replace"], WRITES["delete"]):
        with pytest.raises(CorruptSessionError) as caught:
            await call(make_repository(), "s")
        assert caught.value.attribute == "History"
    with pytest.raises(CorruptSessionError):
        await sessions.append("s", NEW)  # without a look
    assert await scan(sessions) == [item]


# -- a fleet that still runs langchain_community ---------------------------------------------------------------


@pytest.mark.parametrize("state", [*STATES, "metadata only", "truncated", "converted"])
async def test_langchain_community_fails_before_it_writes(
    make_repository: RepositoryFactory, engine: TestEngine, dynamodb: Any, table_name: str, state: str
) -> None:
    """No state of ours looks like an empty history to it, and ours goes on as if it had not tried."""
    sessions = make_repository(sizes=SMALL)
    if state == "metadata only":
        await sessions.update_metadata("s", {"title": "t"}, must_exist=False)
    elif state == "truncated":
        await pages(make_repository)
        await sessions.truncate("s", keep=0)
    elif state == "converted":
        put(dynamodb, table_name, {"History": {"L": [native("x" * 900), native("y" * 900)]}})
        await sessions.append("s", [human(900)])
    else:
        await STATES[state](make_repository)
    before, seen = await scan(sessions), await sessions.read("s")
    theirs = Theirs(table_name, "s", endpoint_url=engine.endpoint_url)
    with pytest.raises(TypeError):
        _ = theirs.messages
    with pytest.raises(TypeError):
        theirs.add_user_message("from an old worker")
    assert await scan(sessions) == before
    await sessions.append("s", NEW)
    expected = [] if state in ("unborn", "deleting") else seen.messages
    assert (await make_repository().read("s")).messages == [*expected, *NEW]


async def test_empty_lists_of_earlier_versions(
    make_repository: RepositoryFactory, dynamodb: Any, table_name: str
) -> None:
    """They are read, appended to, and look empty no longer after any change."""
    changes: dict[str, Call] = {
        "append": WRITES["append"],
        "metadata": METADATA["metadata"],
        "batch": lambda s, k: s.append(k, many(5, 300)),
        "replace": WRITES["replace by nothing"],
    }
    for name, change in changes.items():
        sessions = make_repository(sizes=SMALL)
        sent = many(5, 300)
        await sessions.append(name, sent)
        key = {"SessionId": text(name)}
        request = {"UpdateExpression": "SET History = :e", "ExpressionAttributeValues": {":e": {"L": []}}}
        dynamodb.update_item(TableName=table_name, Key=key, **request)
        fresh = make_repository(sizes=SMALL)
        assert (await fresh.read(name)).messages == sent
        await change(fresh, name)
        item = dynamodb.get_item(TableName=table_name, Key=key)["Item"]
        assert item["History"]["L"] != []
        assert (await make_repository().read(name)).messages[: len(sent)] == (sent if name != "replace" else [])


async def test_a_version_of_nothing(make_repository: RepositoryFactory, dynamodb: Any, table_name: str) -> None:
    """A foreign item is not a session at another version."""
    put(dynamodb, table_name, {})
    with pytest.raises(VersionConflictError):
        await make_repository().append("s", NEW, expected_version=3)
