"""Beside and after langchain_community: its items are read and converted, and written for it on request."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import itertools
import time
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, RemoveMessage, ToolMessage
from pydantic import BaseModel

from community_support import (
    ALL_TYPES,
    FLOATS,
    Crash,
    CrashingConnection,
    Meddler,
    Theirs,
    bulk,
    orphans,
    plain,
)
from langchain_dynamodb import AsyncSessionRepository, ChatSession, Sizes
from langchain_dynamodb._dynamodb.attribute_values import attribute_bytes
from langchain_dynamodb._dynamodb.failures import ConditionFailed
from langchain_dynamodb._protocol.rewrite import KEPT_OPS
from langchain_dynamodb._store import community_writer
from langchain_dynamodb._store.options import Timing
from langchain_dynamodb.errors import (
    CorruptSessionError,
    IdempotencyError,
    ItemFormatError,
    MessageTooLargeError,
    OmittedValueWarning,
    StorageError,
    UnregisteredClassWarning,
    UnsupportedMessageError,
    VersionConflictError,
)
from support import Call, WatchedConnection, scan, watch
from values_support import looks, unordered

if TYPE_CHECKING:
    from conftest import RepositoryFactory, TableFactory, TestEngine

pytestmark = pytest.mark.once

SMALL = Sizes(session_item=900, page=600, item=1500)  # conversions need pages
ITEM_BYTES = 409_600
NEW: list[BaseMessage] = [HumanMessage("new")]

MakeTheirs = Callable[..., Theirs]


@pytest.fixture(scope="module")
def boto3_session(aws_environment: None) -> boto3.Session:
    """One for all: making a resource anew reads large files."""
    return boto3.Session()


@pytest.fixture
def make_theirs(engine: TestEngine, table_name: str, boto3_session: boto3.Session) -> MakeTheirs:
    """Make langchain_community on the test's table and session ``s``: ``make_theirs(ttl=60)``."""

    def make(table: str = table_name, session: str = "s", **options: Any) -> Theirs:
        return Theirs(table, session, endpoint_url=engine.endpoint_url, boto3_session=boto3_session, **options)

    return make


@pytest.fixture
def theirs(make_theirs: MakeTheirs) -> Theirs:
    """langchain_community with default settings."""
    return make_theirs()


async def read(sessions: AsyncSessionRepository, session: Any = "s", **options: Any) -> ChatSession:
    """Read without `unless_version`."""
    chat = await sessions.read(session, **options)
    assert chat is not None
    return chat


# -- reading what it wrote -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"ttl": 3600},
        {"ttl": 3600, "ttl_key_name": "expires"},
        {"history_messages_key": "Conversation"},
        {"coerce_float_to_decimal": True},
        {"history_size": 50},
    ],
    ids=str,
)
async def test_its_items_read_identically(
    make_repository: RepositoryFactory, make_theirs: MakeTheirs, options: dict[str, Any]
) -> None:
    """Every message type comes back as langchain_community itself reads it, in class, content and numbers."""
    old = make_theirs(**options)
    written = ALL_TYPES + (FLOATS if "coerce_float_to_decimal" in options else [])
    old.add_messages(written[:3])
    old.add_messages(written[3:])
    names = {name: value for name, value in options.items() if name in ("ttl_key_name", "history_messages_key")}
    sessions = make_repository(**names)
    chat = await read(sessions)
    assert chat.messages == written
    assert [type(message) for message in chat.messages] == [type(message) for message in written]
    assert chat.messages == [plain(message) for message in old.messages]
    assert chat.message_count == len(written)
    assert (chat.expires_at is not None) == ("ttl" in options)
    assert [message async for message in sessions.iter_messages("s")] == written


async def test_its_items_with_a_whole_key(
    make_repository: RepositoryFactory, make_theirs: MakeTheirs, make_table: TableFactory
) -> None:
    """langchain_community's `key` names the same item as ours, whatever the order; a conversion stays at it."""
    table = make_table("primaryKey", "secondaryKey:N")
    make_theirs(table, key={"primaryKey": "foo", "secondaryKey": 123}).add_messages(bulk(9))
    sessions = make_repository(table, sizes=SMALL)
    key = {"secondaryKey": 123, "primaryKey": "foo"}
    assert (await read(sessions, key)).messages == bulk(9)
    await sessions.append(key, NEW)
    assert (await read(make_repository(table), key)).messages == bulk(9) + NEW


async def test_instructions_among_its_messages(make_repository: RepositoryFactory, theirs: Theirs) -> None:
    """It stores a `RemoveMessage` as a message. No read hands one out, but nothing is lost: positions stay."""
    call = AIMessage("", tool_calls=[{"name": "f", "args": {}, "id": "1"}])
    said = [HumanMessage("q"), call, RemoveMessage(id="__remove_all__"), ToolMessage("t", tool_call_id="1")]
    theirs.add_messages([*said, RemoveMessage(id="x"), AIMessage("a")])
    sessions = make_repository()
    for _ in range(2):  # as it is, and converted
        chat = await read(sessions)
        assert [message.type for message in chat.messages[:4]] == ["human", "ai", "tool", "ai"]
        everything = [message.type async for message in sessions.iter_messages("s")]
        assert everything == [message.type for message in chat.messages]
        await sessions.append("s", NEW)
    assert (await read(sessions)).message_count == 6 + 2 * len(NEW)
    await sessions.truncate("s", keep=6)
    windows = [[message.type for message in (await read(sessions, limit=limit)).messages] for limit in range(7)]
    assert windows == [[], ["ai"], ["ai"], ["ai"], ["ai"], ["ai", "tool", "ai"], ["human", "ai", "tool", "ai"]]
    await sessions.replace("s", (await read(sessions)).messages)
    assert (await read(sessions)).message_count == 4


async def test_windows_of_its_items(make_repository: RepositoryFactory, theirs: Theirs) -> None:
    """`limit` takes the newest messages, and no window begins with a tool message."""
    said = [AIMessage("a"), ToolMessage("t", tool_call_id="1"), ToolMessage("u", tool_call_id="2"), HumanMessage("h")]
    theirs.add_messages(said)
    sessions = make_repository()
    windows = [(await read(sessions, limit=limit)).messages for limit in (0, 1, 2, 3, 4, 9)]
    assert windows == [[], said[3:], said[3:], said[3:], said, said]


async def test_versions_of_its_items(make_repository: RepositoryFactory, theirs: Theirs) -> None:
    """The version changes with the content and with nothing else, so conditional reads and updates work."""
    sessions = make_repository()
    theirs.add_messages(ALL_TYPES)
    first = (await read(sessions)).version
    assert first > 0
    assert await sessions.read("s", unless_version=first) is None
    theirs.add_user_message("more")
    second = (await read(sessions, unless_version=first)).version
    assert second != first
    with pytest.raises(VersionConflictError) as error:
        await sessions.append("s", NEW, expected_version=first)
    assert (error.value.expected, error.value.actual) == (first, second)
    with pytest.raises(VersionConflictError):
        await sessions.append("s", NEW, expected_version=0)
    version = await sessions.append("s", NEW, expected_version=second)
    assert (await read(sessions)).version == version
    assert (await read(sessions)).messages == [*ALL_TYPES, HumanMessage("more"), *NEW]


async def test_its_expired_items_are_absent(
    make_repository: RepositoryFactory, make_theirs: MakeTheirs, dynamodb: Any, table_name: str
) -> None:
    """An item past its stamp that DynamoDB has not deleted yet reads as absent, and is replaced by an append."""
    make_theirs(ttl=3600).add_messages(bulk(3))
    _set(dynamodb, table_name, expireAt={"N": str(int(time.time()) - 1)}, title={"S": "t"})
    sessions = make_repository()
    assert (await read(sessions)).version == 0
    await sessions.append("s", NEW)
    assert (await read(sessions)).messages == NEW
    assert (await read(sessions)).expires_at is None


# -- converting them -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sizes", [None, SMALL], ids=["tail", "pages"])
async def test_the_first_append_converts(
    make_repository: RepositoryFactory, theirs: Theirs, dynamodb: Any, table_name: str, sizes: Sizes | None
) -> None:
    """After it all is in our format, in order; the item's other attributes stay as they are."""
    theirs.add_messages(ALL_TYPES)
    other = {
        "title": {"S": "mine"},
        "tags": {"SS": ["a", "b"]},
        "blob": {"B": b"\xff"},
        "user": {"M": {"n": {"N": "1"}}},
    }
    _set(dynamodb, table_name, **other)
    sessions = make_repository(sizes=sizes)
    version = await sessions.append("s", NEW)
    fresh = await read(make_repository(sizes=sizes))
    assert (fresh.messages, fresh.version) == (ALL_TYPES + NEW, version)
    items = await scan(sessions)
    (item,) = [item for item in items if "lc_version" in item]
    assert {name: item[name] for name in other} == other
    assert (len(items) > 1) == (sizes is not None)
    assert orphans(items) == []
    for i in range(10):
        await sessions.append("s", bulk(1, 100 + i))
    assert (await read(make_repository())).message_count == len(ALL_TYPES) + 11


@pytest.mark.parametrize("change", ["replace", "truncate", "update_metadata", "delete"])
@pytest.mark.parametrize("sizes", [None, SMALL], ids=["tail", "pages"])
async def test_other_changes_convert_as_well(
    make_repository: RepositoryFactory, theirs: Theirs, change: str, sizes: Sizes | None
) -> None:
    """Every change begins with an item of langchain_community as it does with one of ours."""
    theirs.add_messages(bulk(8))
    sessions = make_repository(sizes=sizes)
    version = (await read(sessions)).version
    if change == "replace":
        await sessions.replace("s", NEW, expected_version=version)
    elif change == "truncate":
        await sessions.truncate("s", keep=5, expected_version=version)
    elif change == "update_metadata":
        await sessions.update_metadata("s", {"title": "t"}, expected_version=version)
    else:
        await sessions.delete("s", expected_version=version)
    expected = {"replace": NEW, "truncate": bulk(8)[:5], "update_metadata": bulk(8), "delete": []}[change]
    chat = await read(make_repository())
    assert chat.messages == expected
    assert chat.metadata == ({"title": "t"} if change == "update_metadata" else {})
    assert orphans(await scan(sessions)) == []
    assert (len(await scan(sessions)) == 0) == (change == "delete")


async def test_the_stamp_of_a_converted_item(
    make_repository: RepositoryFactory, make_theirs: MakeTheirs, dynamodb: Any, table_name: str
) -> None:
    """Without `ttl` of ours an existing stamp stays, and pages get one that lies behind it; with `ttl` both slide."""
    make_theirs(ttl=3600).add_messages(bulk(8))
    stamp = int(dynamodb.get_item(TableName=table_name, Key={"SessionId": {"S": "s"}})["Item"]["expireAt"]["N"])
    sessions = make_repository(sizes=SMALL)
    await sessions.append("s", NEW)
    items = {"lc_cut" in item: int(item.get("expireAt", {"N": "0"})["N"]) for item in await scan(sessions)}
    assert items[False] == stamp
    assert items[True] > stamp
    await make_repository(sizes=SMALL, ttl=7200).append("s", NEW)
    expires_at = (await read(sessions)).expires_at
    assert expires_at is not None
    assert expires_at.timestamp() > stamp


@pytest.mark.parametrize("sizes", [None, SMALL], ids=["tail", "pages"])
async def test_concurrent_appends_to_an_unconverted_item(
    make_repository: RepositoryFactory, theirs: Theirs, sizes: Sizes | None
) -> None:
    """However many repositories and tasks meet the item at once, it is converted once and nothing is lost."""
    theirs.add_messages(bulk(8))
    repositories = [make_repository(sizes=sizes) for _ in range(4)]
    batches = [[HumanMessage(f"{i}.{j}") for j in range(2)] for i in range(12)]
    await asyncio.gather(*(repositories[i % 4].append("s", batch) for i, batch in enumerate(batches)))
    messages = (await read(make_repository())).messages
    assert messages[:8] == bulk(8)
    added = [messages[i : i + 2] for i in range(8, len(messages), 2)]
    assert sorted(added, key=str) == sorted(batches, key=str)
    assert orphans(await scan(repositories[0])) == []


@pytest.mark.parametrize("operation", ["update_item", "put_item"])
async def test_langchain_community_writing_meanwhile_is_not_lost(
    make_repository: RepositoryFactory, theirs: Theirs, operation: str
) -> None:
    """What it adds between our read and the end of our conversion is in the result, before what we add.

    It happens without waiting for our own lease: here nobody would outlive that.
    """
    make_repository.wait(lease=1000.0, patience=3.0)
    theirs.add_messages(bulk(8))
    sessions = make_repository(sizes=SMALL)
    await sessions.read("s")
    watch(sessions, Meddler, operation, lambda: theirs.add_user_message("meanwhile"))
    await sessions.append("s", NEW)
    assert (await read(make_repository())).messages == [*bulk(8), HumanMessage("meanwhile"), *NEW]
    assert orphans(await scan(sessions)) == []


async def test_langchain_community_writing_before_a_small_conversion(
    make_repository: RepositoryFactory, theirs: Theirs
) -> None:
    """The same where the conversion is one write: its condition is the whole list that was read."""
    theirs.add_messages(ALL_TYPES)
    sessions = make_repository()
    writes = 0

    def meddle() -> None:
        nonlocal writes
        writes += 1
        if writes == 2:  # the first is the append that finds langchain_community's item
            theirs.add_user_message("meanwhile")

    class EachTime(WatchedConnection):
        async def around(self, operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
            if operation == "update_item":
                meddle()
            return await proceed()

    watch(sessions, EachTime)
    await sessions.append("s", NEW)
    assert writes > 2
    assert (await read(make_repository())).messages == [*ALL_TYPES, HumanMessage("meanwhile"), *NEW]


async def test_langchain_community_clearing_meanwhile(make_repository: RepositoryFactory, theirs: Theirs) -> None:
    """When it deletes the item under our conversion, the session begins anew and no page is left over."""
    theirs.add_messages(bulk(8))
    sessions = make_repository(sizes=SMALL)
    watch(sessions, Meddler, "put_item", theirs.clear)
    await sessions.append("s", NEW)
    assert (await read(make_repository())).messages == NEW
    assert orphans(await scan(sessions)) == []


@pytest.mark.parametrize("applied", [False, True], ids=["before", "after"])
async def test_a_crash_during_the_conversion(
    make_repository: RepositoryFactory, make_theirs: MakeTheirs, applied: bool
) -> None:
    """A process that dies before or after any of its writes loses nothing; what it left is removed by the next one."""
    for at in itertools.count():
        session = f"session {at}"
        make_theirs(session=session).add_messages(bulk(4))
        sessions = make_repository(sizes=SMALL, timing=Timing(lease=-10.0))  # the crashed one's lease is over
        crashing = watch(sessions, CrashingConnection, at, applied)
        with contextlib.suppress(Crash):
            await sessions.append(session, [HumanMessage("crashed")])
        seen = (await read(make_repository(), session)).messages
        assert seen in (bulk(4), [*bulk(4), HumanMessage("crashed")])
        other = make_repository(sizes=SMALL)
        await other.append(session, NEW)
        assert (await read(make_repository(), session)).messages == seen + NEW
        assert orphans(await scan(other), session) == []
        if not crashing.crashed:
            break
    assert at > 4  # the refused append, the lease, pages, the conversion, the append


async def test_a_conversion_begun_between_our_look_and_ours(make_repository: RepositoryFactory, theirs: Theirs) -> None:
    """Of two conversions only one takes the lease, so that the pages of each are on record until it is done."""
    make_repository.wait(lease=-10.0)
    theirs.add_messages(bulk(8))
    other = make_repository(sizes=SMALL)
    watch(other, CrashingConnection, 2, False, "update_item")

    class OtherIsFaster(WatchedConnection):
        updates = 0

        async def around(self, operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
            self.updates += operation == "update_item"
            if operation == "update_item" and self.updates == 2:  # the lease; the first one is the refused append
                with pytest.raises(Crash):
                    await other.append("s", [HumanMessage("crashed")])
            return await proceed()

    sessions = make_repository(sizes=SMALL)
    watch(sessions, OtherIsFaster)
    await sessions.append("s", NEW)
    assert (await read(make_repository())).messages == bulk(8) + NEW
    assert orphans(await scan(make_repository())) == []


async def test_under_a_lease_the_item_is_still_langchain_community(
    make_repository: RepositoryFactory, theirs: Theirs
) -> None:
    """While a conversion is under way both libraries read the old item."""
    theirs.add_messages(bulk(8))
    sessions = make_repository(sizes=SMALL)
    watch(sessions, CrashingConnection, 2, False, "update_item")
    with pytest.raises(Crash):
        await sessions.append("s", NEW)
    items = await scan(make_repository())
    assert [item["lc_intent"]["M"]["kind"] for item in items if "lc_intent" in item] == [{"S": "convert"}]
    assert (await read(make_repository())).messages == bulk(8)
    assert theirs.messages == bulk(8)


async def test_deleting_under_the_lease_of_a_crashed_conversion(
    make_repository: RepositoryFactory, theirs: Theirs
) -> None:
    """`delete` removes the pages of a conversion that died half-way, too."""
    make_repository.wait(lease=-10.0)
    theirs.add_messages(bulk(8))
    sessions = make_repository(sizes=SMALL)
    watch(sessions, CrashingConnection, 2, False, "update_item")
    with pytest.raises(Crash):
        await sessions.append("s", NEW)
    other = make_repository(sizes=SMALL)
    assert len(await scan(other)) > 1
    await other.delete("s")
    assert await scan(other) == []


@pytest.mark.real_engine
@pytest.mark.parametrize("slack", [20_000, 200, 40, 0])
async def test_items_at_the_wall_convert(
    make_repository: RepositoryFactory, theirs: Theirs, dynamodb: Any, table_name: str, slack: int
) -> None:
    """A session that stopped at 400 KB there goes on here, also when not one more byte fits on its item."""
    messages = bulk(600, 360)
    theirs.add_messages(messages)
    item = dynamodb.get_item(TableName=table_name, Key={"SessionId": {"S": "s"}})["Item"]
    _set(dynamodb, table_name, filler={"S": "x" * (ITEM_BYTES - slack - _size(item) - len("filler"))})
    sessions = make_repository()
    with pytest.raises(Exception, match=r"[Ss]ize"):
        theirs.add_messages(bulk(1, 25_000))
    await sessions.append("s", NEW)
    assert (await read(make_repository())).messages == messages + NEW
    assert orphans(await scan(sessions)) == []


async def test_an_unreadable_message_is_not_converted_away(
    make_repository: RepositoryFactory, theirs: Theirs, dynamodb: Any, table_name: str
) -> None:
    """One that we cannot read is named; it can be skipped by readers, but no write drops it."""
    theirs.add_messages(bulk(2))
    key = {"SessionId": {"S": "s"}}
    item = dynamodb.get_item(TableName=table_name, Key=key)["Item"]
    item["History"]["L"].insert(1, {"M": {"type": {"S": "from-the-future"}, "data": {"M": {}}}})
    dynamodb.put_item(TableName=table_name, Item=item)
    for skip in (False, True):
        sessions = make_repository(skip_undecodable=skip)
        for call in (lambda s=sessions: s.append("s", NEW), lambda s=sessions: s.truncate("s", keep=1)):
            with pytest.raises(CorruptSessionError) as error:
                await call()
            assert (error.value.attribute, error.value.item) == ("History[1]", "SessionId='s'")
    assert (await read(make_repository(skip_undecodable=True))).messages == bulk(2)
    assert dynamodb.get_item(TableName=table_name, Key=key)["Item"] == item


BINARIES: dict[str, Any] = {
    "bytes": b"\x00\xff",
    "texts": {"a", "b"},
    "numbers": {Decimal("1"), Decimal("2.5")},
    "binaries": {b"x"},
    "nested": {"list": [b"y", {"deep": {"c"}}]},
}


def with_binaries(table: str, engine: TestEngine) -> None:
    """A message whose fields hold what boto3 stores beside JSON types, as langchain_community puts it there."""
    message = AIMessage("old", additional_kwargs=BINARIES)
    item = {"SessionId": "s", "History": [{"type": "ai", "data": message.model_dump()}]}
    boto3.resource("dynamodb", **engine.connection).Table(table).put_item(Item=item)


async def test_bytes_and_sets_are_read(
    make_repository: RepositoryFactory, make_theirs: MakeTheirs, engine: TestEngine, table_name: str
) -> None:
    """langchain_community gives them back as Binary and sets of Decimal; here they are bytes and sets of numbers."""
    with_binaries(table_name, engine)
    (theirs,) = make_theirs().messages
    sessions = make_repository()
    (ours,) = (await read(sessions)).messages
    assert theirs.additional_kwargs == BINARIES
    assert ours.additional_kwargs == BINARIES
    assert (type(theirs.additional_kwargs["bytes"]).__name__, type(ours.additional_kwargs["bytes"])) == (
        "Binary",
        bytes,
    )
    assert {type(n) for n in ours.additional_kwargs["numbers"]} == {int, float}
    assert [message async for message in sessions.iter_messages("s")] == [ours]
    assert (await read(sessions, limit=1)).messages == [ours]
    assert (await read(make_repository(item_format="community"))).messages == [ours]


async def test_bytes_and_sets_are_converted(
    make_repository: RepositoryFactory, engine: TestEngine, table_name: str
) -> None:
    """Our format holds them too."""
    with_binaries(table_name, engine)
    sessions = make_repository()
    (before,) = (await read(sessions)).messages
    await sessions.append("s", NEW)
    (after, *new) = (await read(make_repository())).messages
    assert (repr(after), new) == (repr(before), NEW)


VALUES: dict[str, Any] = {
    "bytes": b"\x00\xff",
    "texts": {"a", "b"},
    "numbers": {1, 2.5},
    "tuple": (1, {"deep": dt.date(2026, 1, 2)}),
    "document": Document("text", metadata={"when": dt.datetime(2026, 1, 2)}),
    "message": HumanMessage("within", additional_kwargs={"b": b"x"}),
    "frozen": frozenset({1}),
    "keys": {1: "a"},
    "nan": [float("inf"), Decimal("1.00")],
    "large": [2**200, 1e-200, "\ud800", {"": 1}],
}


async def test_other_values_come_back(make_repository: RepositoryFactory, make_theirs: MakeTheirs) -> None:
    """Exactly here; langchain_community reads all of it: bytes, sets, and of an object a dict with its fields."""
    sessions = make_repository(item_format="community")
    message = ToolMessage("found", tool_call_id="c", artifact=VALUES)
    for _ in range(2):
        await sessions.append("s", [message], history_size=3)
    await sessions.append("s", [message])
    for kept in (make_repository(item_format="community"), make_repository()):
        found = (await read(kept)).messages
        assert [unordered(looks(one)) for one in found] == [unordered(looks(message))] * 3
    theirs = make_theirs().messages[0].artifact
    assert (theirs["bytes"], theirs["texts"], theirs["numbers"]) == (b"\x00\xff", {"a", "b"}, {1, Decimal("2.5")})
    document = {name: theirs["document"][name] for name in ("page_content", "id", "type")}
    assert document == {"page_content": "text", "id": None, "type": "Document"}
    assert theirs["message"]["content"] == "within"
    await make_repository().append("s", NEW)  # converted
    found = (await read(make_repository())).messages
    assert [unordered(looks(one)) for one in found] == [unordered(looks(one)) for one in [message] * 3 + NEW]


async def test_what_community_items_leave_out_is_told(make_repository: RepositoryFactory) -> None:
    """Once each, by both warnings; strict refuses before anything is written."""

    class Answer(BaseModel):
        text: str

    message = AIMessage("", additional_kwargs={"parsed": Answer(text="a"), "client": object()})
    with pytest.raises(UnsupportedMessageError, match="parsed"):
        await make_repository(item_format="community", strict=True).append("s", [message])
    sessions = make_repository(item_format="community")
    assert await scan(sessions) == []
    with pytest.warns() as caught:
        await sessions.append("s", [message])
    assert [type(one.message) for one in caught] == [UnregisteredClassWarning, OmittedValueWarning]
    (found,) = (await read(sessions)).messages
    assert found.additional_kwargs == {"parsed": {"text": "a"}, "client": None}


CHANGES: dict[str, Callable[[AsyncSessionRepository], Any]] = {
    "append": lambda sessions: sessions.append("s", NEW),
    "replace": lambda sessions: sessions.replace("s", NEW),
    "truncate": lambda sessions: sessions.truncate("s", keep=3),
    "update_metadata": lambda sessions: sessions.update_metadata("s", {"title": "t"}),
    "set_expiry": lambda sessions: sessions.set_expiry("s", 3600),
}


@pytest.mark.parametrize("sizes", [None, SMALL], ids=["tail", "pages"])
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.filterwarnings("ignore::langchain_dynamodb.errors.OmittedValueWarning")
async def test_what_community_items_leave_out_converts(
    make_repository: RepositoryFactory, make_theirs: MakeTheirs, change: str, sizes: Sizes | None
) -> None:
    """Every change reads the same before and after; langchain_community reads no entry of such a key either."""
    community = make_repository(item_format="community")
    for _ in range(2):
        await community.append(
            "s",
            [
                ToolMessage("x", tool_call_id="c", artifact={object(): 1, "a": 2}),
                ToolMessage("x", tool_call_id="c", artifact={"x": {1: 2, object(): 1}}),
                AIMessage("x", additional_kwargs={object(): 1}, response_metadata={object(): object(), object(): 1}),
                AIMessage("x", additional_kwargs={"documents": [Document("d", metadata={"p": object()})]}),
            ],
        )
    before = (await read(community)).messages
    assert [before[0].artifact, before[1].artifact] == [{"a": 2}, {"x": {1: 2}}]
    assert (before[2].additional_kwargs, before[2].response_metadata) == ({}, {})
    assert make_theirs().messages[0].artifact == {"langchain_dynamodb": ["dict", ["a", 2]]}
    await CHANGES[change](make_repository(sizes=sizes))
    expected = {"append": before + NEW, "replace": NEW, "truncate": before[:3]}.get(change, before)
    assert (await read(make_repository())).messages == expected


async def test_numbers_and_sets_that_dynamodb_does_not_hold(make_repository: RepositoryFactory) -> None:
    """They are stored by marks; in content they are refused before anything is, without being quoted."""
    odd = 4.845098552264191e16  # whole, but not the number that its shortest digits are
    kwargs = {"odd": odd, "among": {odd, 1.5}, "set": {1.0, -0.0}}
    for strict in (True, False):
        sessions = make_repository(item_format="community", strict=strict)
        with pytest.raises(UnsupportedMessageError, match=r"content\[0\]\['x'\] holds a float") as caught:
            await sessions.append("s", [HumanMessage([{"type": "x", "x": odd}])])
        assert "48450" not in str(caught.value)
        await sessions.append("s", [HumanMessage("", additional_kwargs=kwargs)])
    for kept in (make_repository(item_format="community"), make_repository()):
        exact, equal = (await read(kept)).messages
        assert unordered(looks(exact.additional_kwargs)) == unordered(looks(kwargs))
        assert equal.additional_kwargs == kwargs
        await make_repository().append("s", [])


async def test_bytes_and_sets_stay_in_the_community_format(
    make_repository: RepositoryFactory, make_theirs: MakeTheirs, engine: TestEngine, table_name: str
) -> None:
    """Appends and rewritten lists keep them as they are, for both readers."""
    with_binaries(table_name, engine)
    sessions = make_repository(item_format="community")
    await sessions.append("s", NEW)
    await sessions.append("s", NEW, history_size=2)
    await sessions.append("s", NEW, history_size=5)
    with_binaries(table_name, engine)
    await sessions.append("s", NEW, history_size=5)
    version = (await read(sessions)).version
    await sessions.append("s", NEW, expected_version=version)
    await sessions.truncate("s", keep=2)
    await sessions.update_metadata("s", {}, attributes={"user": "u1"})
    old, *new = (await read(sessions)).messages
    assert (old.additional_kwargs, new) == (BINARIES, NEW)
    make_theirs().add_messages(NEW)
    old, *new = make_theirs().messages
    assert (old.additional_kwargs, new) == (BINARIES, NEW * 2)


@pytest.mark.parametrize("value", [1.0, 0.0, -3.0, 1e22])
async def test_whole_floats_of_the_community_format(
    make_repository: RepositoryFactory, make_theirs: MakeTheirs, value: float
) -> None:
    """A DynamoDB number does not say whether it was 1 or 1.0: it comes back equal, but as int."""
    sessions = make_repository(item_format="community")
    await sessions.append("s", [AIMessage("a", response_metadata={"top": value, "deep": [{"p": value}]})])
    (ours,), (theirs,) = (await read(sessions)).messages, make_theirs().messages
    assert ours.response_metadata == {"top": value, "deep": [{"p": value}]}
    assert {type(ours.response_metadata["top"]), type(ours.response_metadata["deep"][0]["p"])} == {int}
    assert {type(theirs.response_metadata["top"])} == {Decimal}
    await make_repository().append("s", NEW)  # converts, which keeps what was read
    assert (await read(make_repository())).messages[0] == ours
    await make_repository().append("t", [AIMessage("a", response_metadata={"top": value})])
    (exact,) = (await read(make_repository(), "t")).messages
    assert type(exact.response_metadata["top"]) is float


# -- writing for it --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"ttl": 3600}, {"history_messages_key": "Conversation"}], ids=str)
async def test_it_reads_what_the_community_format_writes(
    make_repository: RepositoryFactory, make_theirs: MakeTheirs, options: dict[str, Any]
) -> None:
    """Every message type, floats included, is what langchain_community and we read back."""
    sessions = make_repository(item_format="community", **options)
    written = ALL_TYPES + FLOATS
    await sessions.append("s", written[:3])
    version = await sessions.append("s", written[3:])
    chat = await read(sessions)
    assert (chat.messages, chat.version) == (written, version)
    assert [plain(message) for message in make_theirs(**options).messages] == written
    assert (chat.expires_at is not None) == ("ttl" in options)


@pytest.mark.parametrize("options", [{}, {"ttl": 3600}, {"history_size": 7}], ids=str)
async def test_both_write_in_turn(
    make_repository: RepositoryFactory, make_theirs: MakeTheirs, options: dict[str, Any]
) -> None:
    """Old and new instances of a fleet share a session: each sees all that the other wrote."""
    old = make_theirs(**options)
    bound = {name: value for name, value in options.items() if name == "history_size"}
    sessions = make_repository(item_format="community", **{n: v for n, v in options.items() if n == "ttl"})
    expected: list[BaseMessage] = []
    for i in range(6):
        ours, theirs = [HumanMessage(f"ours {i}"), AIMessage(f"a {i}")], [HumanMessage(f"theirs {i}"), ALL_TYPES[i]]
        await sessions.append("s", ours, **bound)
        old.add_messages(theirs)
        expected = [*expected, *ours, *theirs][-options.get("history_size", 100) :]
        assert (await read(sessions)).messages == expected
        assert [plain(message) for message in old.messages] == expected
    old.clear()
    assert (await read(sessions)).version == 0
    await sessions.append("s", NEW)
    assert old.messages == NEW
    await sessions.delete("s")
    assert old.messages == []


async def test_concurrent_appends_in_the_community_format(make_repository: RepositoryFactory) -> None:
    """Appends to the one list are atomic: nothing is lost, and batches stay together."""
    repositories = [make_repository(item_format="community") for _ in range(4)]
    batches = [[HumanMessage(f"{i}.{j}") for j in range(2)] for i in range(20)]
    await asyncio.gather(*(repositories[i % 4].append("s", batch) for i, batch in enumerate(batches)))
    messages = (await read(repositories[0])).messages
    assert sorted((messages[i : i + 2] for i in range(0, len(messages), 2)), key=str) == sorted(batches, key=str)


async def test_creating_at_once_in_the_community_format(make_repository: RepositoryFactory) -> None:
    """Of two appends that both expect no session only one is carried out."""
    first, second = (make_repository(item_format="community") for _ in range(2))

    class SecondIsFaster(WatchedConnection):
        async def around(self, operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
            if operation == "update_item" and (await read(second)).version == 0:
                await second.append("s", [HumanMessage("faster")], expected_version=0)
            return await proceed()

    watch(first, SecondIsFaster)
    with pytest.raises(VersionConflictError) as error:
        await first.append("s", NEW, expected_version=0)
    chat = await read(second)
    assert chat.messages == [HumanMessage("faster")]
    assert (error.value.expected, error.value.actual) == (0, chat.version)


@pytest.mark.parametrize("first", [1, 5])
async def test_history_size_in_the_community_format(
    make_repository: RepositoryFactory, theirs: Theirs, monkeypatch: pytest.MonkeyPatch, first: int
) -> None:
    """The list never holds more than the newest, as with langchain_community, also after a first append of more."""
    sessions = make_repository(item_format="community")
    written = bulk(first + 6)
    await sessions.append("s", written[:first], history_size=3)
    for message in written[first:]:
        assert (await read(sessions)).messages == written[: written.index(message)][-3:]
        await sessions.append("s", [message], history_size=3)
    assert theirs.messages == written[-3:]
    monkeypatch.setattr(community_writer, "ITEM_BYTES", 3000)  # the bound holds for what is kept
    await sessions.append("s", bulk(9, 400), history_size=2)
    assert theirs.messages == bulk(9, 400)[-2:]


async def test_operation_ids_do_not_pile_up(
    make_repository: RepositoryFactory, monkeypatch: pytest.MonkeyPatch, dynamodb: Any, table_name: str
) -> None:
    """A session of bounded history stays bounded, with the ids of its appends."""
    monkeypatch.setattr(community_writer, "REMEMBERED", 4)
    sessions = make_repository(item_format="community")
    for i in range(10):
        await sessions.append("s", bulk(1, i + 2), history_size=2)
        item = dynamodb.get_item(TableName=table_name, Key={"SessionId": {"S": "s"}})["Item"]
        assert len(item["lc_tail_ops"]["BS"]) == i % 4 + 1


async def test_changes_in_the_community_format(make_repository: RepositoryFactory, theirs: Theirs) -> None:
    """`replace`, `truncate` and `delete` work on langchain_community's list, at an expected version if one is given."""
    sessions = make_repository(item_format="community")
    assert await sessions.truncate("s", keep=3, must_exist=False) == 0
    assert await sessions.replace("s", []) == 0
    theirs.add_messages(ALL_TYPES)
    version = (await read(sessions)).version
    with pytest.raises(VersionConflictError):
        await sessions.truncate("s", keep=2, expected_version=version + 1)
    assert await sessions.truncate("s", keep=99) == version
    version = await sessions.truncate("s", keep=2, expected_version=version)
    assert theirs.messages == ALL_TYPES[:2]
    version = await sessions.replace("s", FLOATS, expected_version=version)
    assert [plain(message) for message in theirs.messages] == FLOATS
    version = await sessions.append("s", NEW, expected_version=version)
    assert [plain(message) for message in theirs.messages] == FLOATS + NEW
    await sessions.replace("s", [])
    assert theirs.messages == []
    with pytest.raises(VersionConflictError):
        await sessions.delete("s", expected_version=version)
    await sessions.delete("s")
    assert await scan(sessions) == []


class LosesAResponse(WatchedConnection):
    """The first update is applied, but its response gets lost: the call fails, or is sent again as botocore does."""

    def __init__(self, inner: Any, resends: bool) -> None:
        super().__init__(inner)
        self.resends = resends
        self.lost = False

    async def around(self, operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        """Lose one."""
        response = await proceed()
        if operation != "update_item" or self.lost:
            return response
        self.lost = True
        if not self.resends:
            raise StorageError("connection lost", outcome_unknown=True)
        try:
            return await proceed()
        except ConditionFailed as failure:
            raise ConditionFailed(failure.item, retried=True) from None


@pytest.mark.parametrize("resends", [False, True])
@pytest.mark.parametrize("history_size", [None, 5])
async def test_a_lost_response_in_the_community_format(
    make_repository: RepositoryFactory, history_size: int | None, resends: bool
) -> None:
    """An append that was carried out although we never heard of it is not repeated."""
    sessions = make_repository(item_format="community")
    watch(sessions, LosesAResponse, resends)
    version = await sessions.append("s", NEW, history_size=history_size)
    chat = await read(sessions)
    assert (chat.messages, chat.version) == (NEW, version)


async def test_idempotency_keys_in_the_community_format(make_repository: RepositoryFactory, theirs: Theirs) -> None:
    """A repeated key changes nothing, with other messages it is an error: as in the default format."""
    sessions = make_repository(item_format="community")
    version = await sessions.append("s", NEW, idempotency_key="k")
    assert await sessions.append("s", NEW, idempotency_key="k") == version
    theirs.add_user_message("theirs")
    await sessions.append("s", NEW, idempotency_key="k")
    assert theirs.messages == [*NEW, HumanMessage("theirs")]
    with pytest.raises(IdempotencyError):
        await sessions.append("s", [HumanMessage("other")], idempotency_key="k")
    assert theirs.messages == [*NEW, HumanMessage("theirs")]


async def test_the_bound_of_the_community_format(
    make_repository: RepositoryFactory, theirs: Theirs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A list that would not fit is refused with its size before anything is written."""
    monkeypatch.setattr(community_writer, "ITEM_BYTES", 5000)
    sessions = make_repository(item_format="community")
    theirs.add_messages(bulk(8))
    before = await scan(sessions)
    with pytest.raises(MessageTooLargeError, match="history_size") as error:
        await sessions.append("s", bulk(4))
    assert (error.value.size > 5000, error.value.limit) == (True, 5000)
    with pytest.raises(MessageTooLargeError):
        await sessions.replace("s", bulk(12))
    assert await scan(sessions) == before


@pytest.mark.real_engine
async def test_the_community_format_up_to_400_kb(make_repository: RepositoryFactory, theirs: Theirs) -> None:
    """Appends go on nearly to DynamoDB's limit, and what is above is refused by us, not by DynamoDB."""
    sessions = make_repository(item_format="community")
    text = "x" * 100_000
    for _ in range(4):
        await sessions.append("s", [HumanMessage(text)])
    (item,) = await scan(sessions)
    left = ITEM_BYTES - _size(item)
    for length in range(left, 0, -200):
        try:
            await sessions.append("s", [HumanMessage("y" * length)])
            break
        except MessageTooLargeError:
            continue
    (item,) = await scan(sessions)
    assert ITEM_BYTES - 1000 < _size(item) <= ITEM_BYTES
    assert len(theirs.messages) == 5
    with pytest.raises(MessageTooLargeError, match="409600"):
        await sessions.append("s", [HumanMessage("z" * 1000)])


async def test_the_community_format_on_a_session_of_pages(make_repository: RepositoryFactory) -> None:
    """A session already in our format is refused untouched: langchain_community could not read it."""
    await make_repository().append("s", NEW)
    sessions = make_repository(item_format="community")
    before = await scan(sessions)
    calls: list[Callable[[], Any]] = [
        lambda: sessions.append("s", NEW),
        lambda: sessions.replace("s", NEW),
        lambda: sessions.truncate("s", keep=0),
    ]
    for call in calls:
        with pytest.raises(ItemFormatError, match=r"item_format='community'.* migrate --to-format community\)"):
            await call()
    assert (await read(sessions)).messages == NEW
    assert await scan(sessions) == before


async def test_converting_a_session_of_the_community_format(make_repository: RepositoryFactory, theirs: Theirs) -> None:
    """When the fleet no longer needs the old format, the default one takes over at the next append."""
    await make_repository(item_format="community", ttl=60).append("s", ALL_TYPES + FLOATS)
    theirs.add_user_message("theirs")
    await make_repository(sizes=SMALL).append("s", NEW)
    chat = await read(make_repository())
    assert chat.messages == [*ALL_TYPES, *FLOATS, HumanMessage("theirs"), *NEW]
    assert chat.expires_at is not None


@pytest.mark.parametrize("guarded", [False, True])
async def test_a_key_used_before_the_conversion(make_repository: RepositoryFactory, guarded: bool) -> None:
    """It is known by the very append that converts, though the item has more ids than a conversion brings along."""
    old = make_repository(item_format="community")
    version = await old.append("s", [HumanMessage("first")])
    await old.append("s", [HumanMessage("once")], idempotency_key="k", expected_version=version)
    for number in range(KEPT_OPS):
        await old.append("s", [HumanMessage(str(number))])
    repository = make_repository()
    with pytest.raises(IdempotencyError):
        await repository.append("s", [HumanMessage("other")], idempotency_key="k")
    expected = version if guarded else None
    await repository.append("s", [HumanMessage("once")], idempotency_key="k", expected_version=expected)
    assert len((await read(repository)).messages) == 2 + KEPT_OPS


def _set(dynamodb: Any, table_name: str, **attributes: Any) -> None:
    """Set attributes of the session's item, as an application beside langchain_community does."""
    dynamodb.update_item(
        TableName=table_name,
        Key={"SessionId": {"S": "s"}},
        UpdateExpression="SET " + ", ".join(f"#{i} = :{i}" for i in range(len(attributes))),
        ExpressionAttributeNames={f"#{i}": name for i, name in enumerate(attributes)},
        ExpressionAttributeValues={f":{i}": value for i, value in enumerate(attributes.values())},
    )


def _size(item: dict[str, Any]) -> int:
    sets = sum(1 + len(entry) for value in item.values() for entry in value.get("BS", [])) if item else 0
    return sets + sum(len(name.encode()) + attribute_bytes(value) for name, value in item.items() if "BS" not in value)
