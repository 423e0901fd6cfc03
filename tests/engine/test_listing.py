"""Listings: by partition, by index and of a whole table; what shows up, in which order, and how they go on."""

from __future__ import annotations

import asyncio
import base64
import uuid
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from langchain_dynamodb import AsyncSessionRepository, Index, SessionRepository, SessionSummary
from langchain_dynamodb._dynamodb.batches import ITEMS
from langchain_dynamodb._store.cursors import write_cursor
from langchain_dynamodb._store.options import Timing
from langchain_dynamodb._store.table_setup import REFUSALS
from langchain_dynamodb.admin import vacuum
from langchain_dynamodb.errors import (
    AccessDeniedError,
    CorruptSessionError,
    InvalidCursorError,
    InvalidInputError,
    StorageError,
)
from support import SMALL, Call, Crash, Crashing, Hooked, Meter, Recorder, human, many, scan, watch, with_options

if TYPE_CHECKING:
    from conftest import RepositoryFactory, TableFactory, TestEngine

pytestmark = pytest.mark.once

BY_USER = Index("by_user", hash_key="user", include=["topic"])
NEWEST = Index("newest", hash_key="PK")


async def listed(repository: AsyncSessionRepository, **options: Any) -> list[SessionSummary]:
    """All summaries of a listing."""
    return [summary async for summary in repository.list(**options)]


async def named(repository: AsyncSessionRepository, **options: Any) -> list[Any]:
    """The sessions of a listing."""
    return [summary.session for summary in await listed(repository, **options)]


async def users(repository: AsyncSessionRepository, sessions: int = 7) -> list[str]:
    """Sessions of two users in turn, most of them with pages; returns those of u1, newest first."""
    await repository.create_table(indexes=[BY_USER])
    for i in range(sessions):
        attributes = {"user": f"u{i % 2 + 1}", "topic": f"t{i}"}
        await repository.append(f"s{i}", many(4 * i + 1, 200), attributes=attributes)
    return [f"s{i}" for i in reversed(range(0, sessions, 2))]


async def chats(repository: AsyncSessionRepository, partition: str = "p", sessions: int = 7) -> list[dict[str, Any]]:
    """Sessions of one partition, most of them with pages; returns their keys in order."""
    keys: list[dict[str, Any]] = [{"PK": partition, "SK": f"c{i}"} for i in range(sessions)]
    for i, key in enumerate(keys):
        await repository.append(key, many(4 * i + 1, 200))
    return keys


# -- what shows up ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["scan", "segments", "partition", "index"])
async def test_a_summary_says_what_a_read_says(
    make_repository: RepositoryFactory, composite_table_name: str, way: str
) -> None:
    """Every field but the messages, for sessions of one item and of many; what names them can be read."""
    sessions = make_repository(composite_table_name, sizes=SMALL, ttl=1000, primary_key_name="PK")
    await sessions.create_table(sort_key_name="SK", indexes=[BY_USER])
    for i in range(3):
        key, own = {"PK": "p", "SK": f"c{i}"}, {"user": "u1", "topic": [i]}
        await sessions.append(key, many(1 + 10 * i, 200), attributes=own, history_size=12)
        await sessions.update_metadata(key, {"title": f"chat {i}", "n": {"a": 1.5}})
    await sessions.append({"PK": "p", "SK": "c2"}, many(10, 200), history_size=12)
    options: dict[str, dict[str, Any]] = {
        "scan": {},
        "segments": {"segments": 3},
        "partition": {"partition": "p"},
        "index": {"index": "by_user", "partition": "u1"},
    }
    summaries = await listed(sessions, **options[way])
    assert sorted(s.session["SK"] for s in summaries if isinstance(s.session, dict)) == ["c0", "c1", "c2"]
    for summary in summaries:
        chat = await sessions.read(summary.session)
        expected = chat.model_dump(exclude={"messages", "missing"})
        assert summary.model_dump(exclude={"session", "cursor", "error"}) == expected
        assert summary.error is None
        assert (summary.cursor is None) == (way == "segments")
    with pytest.raises(ValueError, match="frozen"):
        summaries[0].version = 1  # type: ignore[misc]


@pytest.mark.parametrize("segments", [1, 4])
async def test_only_what_readers_see(make_repository: RepositoryFactory, dynamodb: Any, segments: int) -> None:
    """No pages, nothing unborn, half deleted or expired, nobody else's items, but langchain_community's sessions."""
    clock = make_repository.set_clock()
    sessions = make_repository(sizes=SMALL)
    await make_repository(ttl=60).append("expired", [human()])
    clock.advance(61)
    await sessions.append("long", many(20, 300))
    await sessions.append("empty", [human()])
    await sessions.replace("empty", [])
    await make_repository(ttl=60).append("not expired", [human()])
    await make_repository(item_format="community").append("theirs", [human(), human()], attributes={"user": "u1"})
    for name, at in (("unborn", 3), ("deleted", 2)):
        crashing = make_repository(sizes=SMALL)
        if name == "deleted":
            await crashing.append(name, many(20, 300))
        watch(crashing, Crashing, at, True)
        with pytest.raises(Crash):
            await (crashing.append(name, many(20, 300)) if name == "unborn" else crashing.delete(name))
    table = sessions.table_name
    dynamodb.put_item(TableName=table, Item={"SessionId": {"S": "somebody's"}, "lc": {"S": "x"}})
    dynamodb.put_item(TableName=table, Item={"SessionId": {"S": "own"}, "user": {"S": "u1"}})
    stored = {item["SessionId"]["S"] for item in await scan(sessions)}
    assert {"expired", "unborn", "deleted", "somebody's", "own"} < stored
    assert len(stored) > 20
    summaries = {summary.session: summary for summary in await listed(sessions, segments=segments, attributes=["user"])}
    assert sorted(summaries) == ["empty", "long", "not expired", "theirs"]
    theirs = summaries["theirs"]
    assert (theirs.version, theirs.message_count, theirs.attributes) == (None, None, {"user": "u1"})
    assert summaries["empty"].message_count == 0
    assert summaries["not expired"].expires_at is not None


async def test_no_message_travels(make_repository: RepositoryFactory) -> None:
    """Neither the tail nor pages are among what DynamoDB returns, be it from the table or from the index."""
    sessions = make_repository(sizes=SMALL)
    await users(sessions)
    answers: list[Any] = []

    async def hook(operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        response = await proceed()
        answers.append((operation, [set(item) for item in response.get("Items", [])]))
        return response

    watch(sessions, Hooked, hook)
    await listed(sessions, index="by_user", partition="u1")
    await listed(sessions)
    assert {operation for operation, _ in answers} >= {"query", "scan"}
    names = set().union(*(item for _, items in answers for item in items))
    summary = {"lc_version", "lc_count", "lc_created", "lc_updated"}
    assert names == {"SessionId", "user", "topic", *summary}


async def test_own_attributes_on_request(make_repository: RepositoryFactory) -> None:
    """A summary brings those that an index names, and those asked for."""
    sessions = make_repository()
    await users(sessions, 1)
    await sessions.append("s0", [human()], attributes={"color": "red"})
    assert [s.attributes for s in await listed(sessions)] == [{"user": "u1", "topic": "t0"}]
    asked = await listed(sessions, attributes=("color", "none"))
    assert [s.attributes for s in asked] == [{"user": "u1", "topic": "t0", "color": "red"}]


DAMAGE: dict[str, dict[str, Any]] = {
    "lc_count": {"S": "x"},
    "lc_version": {},
    "lc_created": {},
    "lc_metadata": {"S": "x"},
    "lc_updated": {"N": "-1"},
}


@pytest.mark.parametrize("segments", [1, 3])
@pytest.mark.parametrize("attribute", DAMAGE)
async def test_a_damaged_item(make_repository: RepositoryFactory, dynamodb: Any, attribute: str, segments: int) -> None:
    """It hides no other and is shown with its error, or left out where the repository is told to."""
    sessions = make_repository()
    for name in ("a", "b", "c"):
        await sessions.append(name, [human()])
    await sessions.update_metadata("b", {"title": "t"})
    (item,) = [item | {attribute: DAMAGE[attribute]} for item in await scan(sessions) if item["SessionId"]["S"] == "b"]
    dynamodb.put_item(TableName=sessions.table_name, Item={name: value for name, value in item.items() if value})
    summaries = {summary.session: summary for summary in await listed(sessions, segments=segments)}
    assert sorted(map(str, summaries)) == ["a", "b", "c"]
    assert (summaries["a"].error, summaries["c"].error) == (None, None)
    damaged = summaries["b"]
    assert f"attribute {attribute!r} of item" in str(damaged.error)
    assert (damaged.version, damaged.message_count, damaged.metadata) == (None, None, {})
    with pytest.raises(CorruptSessionError, match=attribute):
        await sessions.read("b")
    lenient = make_repository(skip_undecodable=True)
    assert sorted(await named(lenient)) == ["a", "c"]
    assert sorted(await named(lenient, limit=2)) == ["a", "c"]


@pytest.mark.parametrize(
    ("hash_key", "range_key", "keys"),
    [
        ("PK", "SK:N", [{"PK": "p", "SK": n} for n in (-3, Decimal("0.5"), 7, 10**37 + 1)]),
        ("z:B", "a", [{"z": b"\x01", "a": name} for name in ("a", "b", "c~lc~", "d~lc~x")]),
        ("tenant:N", "chat:B", [{"tenant": 5, "chat": name} for name in (b"\x00", b"c", b"c~lc~~", b"\xff")]),
    ],
)
async def test_keys_of_every_type(
    make_repository: RepositoryFactory,
    make_table: TableFactory,
    hash_key: str,
    range_key: str,
    keys: list[dict[str, Any]],
) -> None:
    """Keys come back as they were given, in the order of the sort key, and can be read."""
    sessions = make_repository(make_table(hash_key, range_key), sizes=SMALL)
    for key in keys:
        await sessions.append(key, many(12, 200))
    partition = keys[0][hash_key.partition(":")[0]]
    assert await named(sessions, partition=partition) == keys
    assert await named(sessions, partition=partition, descending=True) == keys[::-1]
    for limit in (1, 3):
        assert await walk(sessions, limit, partition=partition) == keys
        assert await walk(sessions, limit, partition=partition, descending=True) == keys[::-1]
    assert sorted(await named(sessions), key=str) == sorted(keys, key=str)
    assert (await sessions.read((await named(sessions))[0])).message_count == 12


async def test_a_hash_key_with_another_name(make_repository: RepositoryFactory, make_table: TableFactory) -> None:
    """A text key is an id only where the repository names sessions so; else the summary holds the whole key."""
    table = make_table("Chat")
    sessions = make_repository(table, primary_key_name="Chat")
    await sessions.append("s", [human()])
    assert await named(sessions) == ["s"]
    assert await named(make_repository(table)) == [{"Chat": "s"}]


# -- order, limit, cursor --------------------------------------------------------------------------------------


async def test_an_index_lists_the_newest_first(make_repository: RepositoryFactory) -> None:
    """By last update, for one user only; whoever is appended to comes first."""
    sessions = make_repository(sizes=SMALL)
    expected = await users(sessions)
    assert await named(sessions, index="by_user", partition="u1") == expected
    await sessions.append("s2", [human()])
    expected = ["s2", "s6", "s4", "s0"]
    assert await named(sessions, index="by_user", partition="u1") == expected
    assert await named(sessions, index="by_user", partition="u1", descending=False) == expected[::-1]
    assert await named(sessions, index="by_user", partition="u1", limit=3) == expected[:3]
    assert await named(sessions, index="by_user", partition="nobody") == []
    await sessions.delete("s6")
    await sessions.update_metadata("s4", {}, attributes={"user": "u2"})
    await sessions.update_metadata("s0", {}, attributes={"user": None})
    assert await named(sessions, index="by_user", partition="u1") == ["s2"]
    assert (await named(sessions, index="by_user", partition="u2"))[:2] == ["s4", "s5"]


async def test_an_index_over_a_partition_holds_no_pages(
    make_repository: RepositoryFactory, composite_table_name: str
) -> None:
    """By the table's own hash key and the last update: nothing to set, and pages are not in it."""
    sessions = make_repository(composite_table_name, sizes=SMALL, primary_key_name="PK")
    created = Index("oldest", hash_key="PK", range_key=Index.CREATED)
    await sessions.create_table(sort_key_name="SK", indexes=[NEWEST, created])
    keys = await chats(sessions)
    await sessions.append(keys[2], [human()])
    meter: Meter = watch(sessions, Meter)
    newest = [keys[i] for i in (2, 6, 5, 4, 3, 1, 0)]
    assert await named(sessions, index="newest", partition="p") == newest
    assert await named(sessions, index="oldest", partition="p", descending=False) == keys
    assert meter.requests["query"] == 2
    request: dict[str, Any] = {"TableName": sessions.table_name, "IndexName": "newest"}
    response = await sessions._connection.call("scan", request, write=False)
    assert response["Count"] == len(keys)


async def walk(sessions: AsyncSessionRepository, limit: int, **options: Any) -> list[Any]:
    """The sessions of a listing, `limit` at a time, as a web application goes on."""
    found: list[Any] = []
    cursor: str | None = None
    while True:
        part = await listed(sessions, limit=limit, cursor=cursor, **options)
        assert len(part) <= limit
        found += [summary.session for summary in part]
        if len(part) < limit:
            return found
        cursor = part[-1].cursor
        assert cursor is not None
        assert set(cursor) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 50])
async def test_walking_gives_all_once(
    make_repository: RepositoryFactory, composite_table_name: str, limit: int
) -> None:
    """Page by page, each way, forwards and backwards: what the whole listing gives."""
    sessions = make_repository(sizes=SMALL)
    expected = await users(sessions)
    assert await walk(sessions, limit, index="by_user", partition="u1") == expected
    assert await walk(sessions, limit, index="by_user", partition="u1", descending=False) == expected[::-1]
    whole = await named(sessions)
    assert sorted(whole) == [f"s{i}" for i in range(7)]
    assert await walk(sessions, limit) == whole
    grouped = make_repository(composite_table_name, sizes=SMALL)
    keys = await chats(grouped)
    await chats(grouped, "q", 2)
    assert await named(grouped, partition="p") == keys
    assert await walk(grouped, limit, partition="p") == keys
    assert await walk(grouped, limit, partition="p", descending=True) == keys[::-1]


async def test_a_walk_while_sessions_come_and_go(make_repository: RepositoryFactory, composite_table_name: str) -> None:
    """The session that a cursor names may be gone, and others may have come: the walk goes on behind its place."""
    sessions = make_repository(composite_table_name, sizes=SMALL)
    keys = await chats(sessions)
    (first, second) = await listed(sessions, partition="p", limit=2)
    await sessions.delete(keys[1])
    await sessions.append({"PK": "p", "SK": "c11"}, [human()])
    await sessions.append({"PK": "p", "SK": "c00"}, [human()])
    rest = await named(sessions, partition="p", cursor=second.cursor)
    assert rest == [{"PK": "p", "SK": "c11"}, *keys[2:]]
    assert first.session == keys[0]


async def test_a_cursor_stays_in_its_listing(make_repository: RepositoryFactory, composite_table_name: str) -> None:
    """One of another partition, index, order or way is refused, as is a damaged one; nothing is read."""
    sessions = make_repository(composite_table_name, sizes=SMALL, primary_key_name="PK")
    await sessions.create_table(sort_key_name="SK", indexes=[NEWEST, Index("other", hash_key="PK")])
    for partition in ("p", "q"):
        await chats(sessions, partition, 3)
    ways: list[dict[str, Any]] = [
        {"partition": "p"},
        {"partition": "q"},
        {"partition": "p", "descending": True},
        {"partition": "p", "index": "newest"},
        {"partition": "p", "index": "other"},
        {"partition": "p", "index": "newest", "descending": False},
        {},
    ]
    cursors = [(await listed(sessions, limit=1, **way))[0].cursor for way in ways]
    recorder: Recorder = watch(sessions, Recorder)
    for i, way in enumerate(ways):
        for j, cursor in enumerate(cursors):
            if i != j:
                with pytest.raises(InvalidCursorError, match="belongs to another listing"):
                    await listed(sessions, cursor=cursor, **way)
    good = str(cursors[0])
    for bad in ("", "x", good[:-1], good + "A", good[1:], good[:20] + "é", "A" * 17_000, b"x", 7, good + "=", "!" * 40):
        with pytest.raises(InvalidCursorError):
            await listed(sessions, cursor=bad, **ways[0])
    for i in range(len(good) - 1):
        with pytest.raises(InvalidCursorError):
            await listed(sessions, cursor=good[:i] + ("A" if good[i] != "A" else "B") + good[i + 1 :], **ways[0])
    assert recorder.log == []
    assert len(await named(sessions, cursor=good, **ways[0])) == 2


@pytest.mark.parametrize(
    "place",
    [
        {"SK": {"S": "c0"}, "PK": {"S": "q"}},
        {"SK": {"N": "1"}},
        {"SK": {"B": b"c0"}},
        {"PK": {"S": "q"}},
        {},
        {"SK": {"S": ""}},
    ],
)
async def test_a_forged_cursor_never_leaves_the_partition(
    make_repository: RepositoryFactory, composite_table_name: str, place: dict[str, Any]
) -> None:
    """Somebody who computes the checksum names a place, and no more: the partition is the caller's."""
    sessions = make_repository(composite_table_name, sizes=SMALL)
    for partition in ("p", "q"):
        await chats(sessions, partition, 3)
    scope = repr(("query", sessions.table_name, None, "PK", ("S", "p"), False)).encode()
    forged = write_cursor({"SK": {"S": "c00"}}, scope)
    assert await named(sessions, partition="p", cursor=forged) == [{"PK": "p", "SK": "c1"}, {"PK": "p", "SK": "c2"}]
    with pytest.raises(InvalidCursorError):
        await listed(sessions, partition="p", cursor=write_cursor(place, scope))


@pytest.mark.parametrize("way", [{}, {"partition": "p"}, {"partition": "p", "index": "newest"}])
async def test_a_cursor_of_another_table(
    make_repository: RepositoryFactory, make_table: TableFactory, way: dict[str, Any]
) -> None:
    """Tables of the same shape: the cursor of one means nothing in the other."""
    first, second = (make_repository(make_table("PK", "SK"), primary_key_name="PK") for _ in range(2))
    for sessions in (first, second):
        await sessions.create_table(sort_key_name="SK", indexes=[NEWEST])
        await chats(sessions, "p", 2)
    cursor = (await listed(first, limit=1, **way))[0].cursor
    with pytest.raises(InvalidCursorError, match="of the same table"):
        await listed(second, cursor=cursor, **way)
    assert len(await listed(first, cursor=cursor, **way)) == 1


@pytest.mark.parametrize("way", [{}, {"partition": "p"}, {"partition": "p", "index": "newest"}])
async def test_a_forged_cursor_that_no_key_can_be(
    make_repository: RepositoryFactory, composite_table_name: str, way: dict[str, Any]
) -> None:
    """What AWS refuses as a key (the local engines take any) was no cursor of ours: not the storage's fault."""
    sessions = make_repository(composite_table_name, primary_key_name="PK")
    await sessions.create_table(sort_key_name="SK", indexes=[NEWEST])
    index = way.get("index")
    scope: Any = ("query", sessions.table_name, index, "PK", ("S", "p"), bool(index)) if way else ()
    scope = scope or ("scan", sessions.table_name)
    place = {name: {"S": "x" * 1025} for name in (["SK"] if way else ["PK", "SK"])}
    forged = write_cursor(place | ({"lc_updated": {"N": "1"}} if index else {}), repr(scope).encode())
    watch(sessions, Hooked, refuse_long_keys)
    with pytest.raises(InvalidCursorError, match="None to begin anew"):
        await listed(sessions, cursor=forged, **way)


async def refuse_long_keys(operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
    """As AWS does: a sort key has at most 1024 bytes."""
    if len(request.get("ExclusiveStartKey", {}).get("SK", {}).get("S", "")) > 1024:
        raise StorageError("One or more parameter values were invalid", code="ValidationException")
    return await proceed()


@pytest.mark.parametrize(
    ("code", "at"),
    [("ValidationException", 2), ("InternalServerError", 1)],
    ids=["where DynamoDB itself said to go on", "another error"],
)
async def test_other_errors_of_a_listing_with_a_cursor(
    make_repository: RepositoryFactory, composite_table_name: str, code: str, at: int
) -> None:
    """They are not the cursor's."""
    sessions = make_repository(composite_table_name, primary_key_name="PK")
    await chats(sessions, "p", 3)
    cursor = (await listed(sessions, partition="p", limit=1))[0].cursor
    requests = 0

    async def fail(operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        nonlocal requests
        requests += 1
        if requests == at:
            raise StorageError("failed for the test", code=code)
        return {**await proceed(), "LastEvaluatedKey": {"PK": {"S": "p"}, "SK": {"S": "c1"}}}

    watch(sessions, Hooked, fail)
    with pytest.raises(StorageError, match="failed for the test"):
        await listed(sessions, partition="p", cursor=cursor)


async def test_a_checksum_over_nonsense(make_repository: RepositoryFactory) -> None:
    """What only looks like a cursor inside is refused as well."""
    from langchain_dynamodb._store.cursors import _checksum

    sessions = make_repository()
    values = ('["S"]', '["S",7]', '["S",""]', '["L",[]]', '["N","x"]', '["N","NaN"]', '["B","x"]', "7")
    for text in (b"[]", b"{", b"7", b"\xff", b"[" * 5000, *(b'{"SessionId":%s}' % value.encode() for value in values)):
        cursor = (
            base64.urlsafe_b64encode(_checksum(text, repr(("scan", sessions.table_name)).encode()) + text)
            .decode()
            .rstrip("=")
        )
        with pytest.raises(InvalidCursorError):
            await listed(sessions, cursor=cursor)


# -- bad input -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"partition": "p"}, "no sort key"),
        ({"index": "by_user"}, "index='by_user' needs partition="),
        ({"index": 7, "partition": "u1"}, "index=7 must be the name"),
        ({"index": "by_users", "partition": "u1"}, r"no index 'by_users' \(it has 'by_user', 'keys'\).*create_table"),
        ({"index": "keys", "partition": "u1"}, "'keys' does not carry expireAt, lc_count"),
        ({"index": "by_user", "partition": 1}, "partition=1 does not fit 'user', which is of type S"),
        ({"index": "by_user", "partition": ""}, "'partition' is ''"),
        (
            {"index": "by_user", "partition": "u1", "attributes": ["color"]},
            "does not carry color: name them in",
        ),
        ({"attributes": "color"}, "attributes='color' must be a list"),
        ({"attributes": ["lc_version"]}, "'lc_version'"),
        ({"attributes": ["History"]}, "'History'"),
        ({"attributes": [7]}, "attribute name 7"),
        ({"limit": -1}, "limit=-1 must be a number from 0 on"),
        ({"limit": True}, "limit=True"),
        ({"descending": True}, "a scan of the whole table has no order"),
        ({"descending": 1, "partition": "p"}, "descending=1 must be"),
        ({"segments": 0}, "segments=0 must be a number from 1 to 16"),
        ({"segments": 17}, "segments=17"),
        ({"segments": 2, "cursor": "x"}, "segments are for a scan of the whole table"),
        ({"segments": 2, "partition": "p"}, "segments are for a scan of the whole table"),
    ],
)
async def test_bad_options(make_repository: RepositoryFactory, dynamodb: Any, options: Any, said: str) -> None:
    """What makes no sense is named, with the way out; nothing but a look at the table is sent."""
    sessions = make_repository()
    await sessions.create_table(indexes=[BY_USER])
    if options.get("index") in ("keys", "by_users"):
        keys = {"IndexName": "keys", "KeySchema": [{"AttributeName": "user", "KeyType": "HASH"}]}
        create = {"Create": {**keys, "Projection": {"ProjectionType": "KEYS_ONLY"}}}
        types = {"SessionId": "S", "user": "S", "lc_updated": "N"}
        definitions = [{"AttributeName": name, "AttributeType": kind} for name, kind in types.items()]
        dynamodb.update_table(
            TableName=sessions.table_name, AttributeDefinitions=definitions, GlobalSecondaryIndexUpdates=[create]
        )
    recorder: Recorder = watch(sessions, Recorder)
    with pytest.raises(InvalidInputError, match=said):
        await listed(sessions, **options)
    assert {operation for operation, _ in recorder.log} <= {"describe_table"}


async def test_limit_0_and_a_table_looked_at_once(make_repository: RepositoryFactory) -> None:
    """A limit of 0 lists nothing; further listings of a process do not look at the table again."""
    sessions = make_repository()
    await sessions.append("s", [human()])
    recorder: Recorder = watch(sessions, Recorder)
    assert await named(sessions, limit=0) == []
    for _ in range(2):
        assert await named(sessions) == ["s"]
    assert [operation for operation, _ in recorder.log] == ["describe_table", "scan", "scan"]


async def test_who_may_not_look_at_the_table(make_repository: RepositoryFactory) -> None:
    """Listing needs DescribeTable, and says so."""

    async def refused(operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        if operation == "describe_table":
            raise AccessDeniedError("dynamodb:DescribeTable", code="AccessDeniedException")
        return await proceed()

    sessions = make_repository()
    watch(sessions, Hooked, refused)
    with pytest.raises(AccessDeniedError, match=r"dynamodb:DescribeTable .* the table's keys and indexes"):
        await listed(sessions)


async def test_an_error_in_one_segment(make_repository: RepositoryFactory) -> None:
    """It reaches the caller, and no request is left behind; so it is with a listing that is broken off."""
    sessions = make_repository()
    for i in range(8):
        await sessions.append(str(i), [human()])
    before = asyncio.all_tasks()

    async def broken(operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        if request.get("Segment") == 2:
            raise StorageError("broken")
        if request.get("Segment") == 3:
            await asyncio.Event().wait()
        return await proceed()

    watch(sessions, Hooked, broken)
    with pytest.raises(StorageError, match="broken"):
        await listed(sessions, segments=4)
    assert asyncio.all_tasks() == before
    (one,) = await listed(make_repository(), segments=4, limit=1)
    assert isinstance(one.session, str)
    assert asyncio.all_tasks() == before


def test_the_synchronous_twin(engine: TestEngine, table_name: str) -> None:
    """The same with a plain iterator, which may be dropped early."""
    with SessionRepository(table_name, endpoint_url=engine.endpoint_url) as sessions:
        sessions.create_table(indexes=[BY_USER])
        for name in ("a", "b", "c"):
            sessions.append(name, [human()], attributes={"user": "u1"})
        sessions.replace("a", [human()], attributes={"topic": "t"})
        sessions.update_metadata("b", {}, attributes={"user": "u2"})
        newest = sessions.list(index="by_user", partition="u1", limit=5)
        assert next(newest).session == "a"
        assert [summary.session for summary in newest] == ["c"]
        next(sessions.list(segments=2))
        assert sorted(str(summary.session) for summary in sessions.list(segments=2)) == ["a", "b", "c"]


# -- large tables ----------------------------------------------------------------------------------------------


@pytest.mark.once
@pytest.mark.real_engine
async def test_more_than_one_response_holds(make_repository: RepositoryFactory, composite_table_name: str) -> None:
    """Megabytes of pages: several requests, nothing twice or missing."""
    sessions = make_repository(composite_table_name)
    keys: list[dict[str, Any]] = [{"PK": "p", "SK": name} for name in ("a", "b", "b~lc~", "b~lc~~", "c")]
    for key in keys:
        await sessions.append(key, many(3, 15_000) if key["SK"] != "b" else many(40, 300_000))
    stored = sum(len(item.get("lc_data", {}).get("B", b"")) for item in await scan(sessions))
    assert stored > 4 << 20
    recorder: Recorder = watch(sessions, Recorder)
    for options in ({"partition": "p"}, {"partition": "p", "descending": True}, {}, {"segments": 4}):
        recorder.log.clear()
        found = await named(sessions, **options)
        if "partition" in options:  # DynamoDB Local answers a filtered query of any size at once, AWS does not
            assert found == (keys[::-1] if "descending" in options else keys)
        else:
            assert sorted(found, key=str) == sorted(keys, key=str)
            assert len(recorder.log) > 5
    for limit in (1, 2):
        assert await walk(sessions, limit, partition="p") == keys
        assert await walk(sessions, limit, partition="p", descending=True) == keys[::-1]


@pytest.mark.parametrize("descending", [False, True])
async def test_pages_are_skipped(
    make_repository: RepositoryFactory, composite_table_name: str, descending: bool
) -> None:
    """A response that ends among the pages of a session: the next one begins behind them, whatever is named so."""
    sessions = make_repository(composite_table_name, sizes=SMALL)
    keys = [{"PK": "p", "SK": name} for name in ("a", "b", "b~lc~", "b~lc~00", "b~lc~fg", "b~lc~~", "c")]
    for key in keys:
        await sessions.append(key, many(60 if key["SK"] == "b" else 10, 300))
    pages = len(await scan(sessions)) - len(keys)
    requests = 0

    async def small(operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        nonlocal requests
        requests += 1
        return await sessions._connection.call(operation, {**request, "Limit": 2}, write=False)

    watch(sessions, Hooked, small)
    assert await named(sessions, partition="p", descending=descending) == (keys[::-1] if descending else keys)
    assert pages > 60
    assert requests <= 2 * len(keys) + 1


# -- how much at a time -----------------------------------------------------------------------------------------


async def test_no_request_looks_at_more_than_a_thousand_items(
    make_repository: RepositoryFactory, composite_table_name: str
) -> None:
    """A megabyte of small ones would hold the event loop up; DynamoDB Local would look at all that are left."""
    sessions = make_repository(composite_table_name)
    await sessions.append({"PK": "p", "SK": "s"}, many(1))
    recorder: Recorder = watch(sessions, Recorder)
    for options in ({}, {"segments": 2}, {"partition": "p"}, {"limit": 5000}):
        await listed(sessions, **options)
    await sessions.delete({"PK": "p", "SK": "s"}, search_pages=True)
    await vacuum(sessions)
    asked = [request for operation, request in recorder.log if operation in ("scan", "query")]
    assert len(asked) == 7
    assert all(request["Limit"] <= ITEMS == 1000 for request in asked)


# -- indexes ---------------------------------------------------------------------------------------------------


@pytest.fixture
def new_name(dynamodb: Any) -> Iterator[str]:
    """The name of a table that does not exist; deleted afterwards if it does by then."""
    name = f"langchain-dynamodb-test-{uuid.uuid4().hex}"
    yield name
    if name in dynamodb.list_tables()["TableNames"]:
        dynamodb.delete_table(TableName=name)


def described(dynamodb: Any, table: str) -> dict[str, Any]:
    """The indexes of a table, by name: keys with their types, and what they carry."""
    description = dynamodb.describe_table(TableName=table)["Table"]
    types = {d["AttributeName"]: d["AttributeType"] for d in description["AttributeDefinitions"]}
    return {
        index["IndexName"]: (
            [(key["AttributeName"], types[key["AttributeName"]]) for key in index["KeySchema"]],
            sorted(index["Projection"].get("NonKeyAttributes", [])),
        )
        for index in description.get("GlobalSecondaryIndexes", [])
    }


CARRIED = ["expireAt", "lc_count", "lc_created", "lc_intent", "lc_key", "lc_metadata", "lc_trimmed", "lc_version"]


async def test_create_table_declares_indexes(make_repository: RepositoryFactory, new_name: str, dynamodb: Any) -> None:
    """With the table, in one request; again, it changes nothing; they never carry the history."""
    sessions = make_repository(new_name)
    recorder: Recorder = watch(sessions, Recorder)
    indexes = [BY_USER, Index("ranked", "team", "rank", hash_type="B", range_type="N"), Index("plain", "user", None)]
    await sessions.create_table(indexes=indexes)
    expected = {
        "by_user": ([("user", "S"), ("lc_updated", "N")], [*CARRIED, "topic"]),
        "ranked": ([("team", "B"), ("rank", "N")], sorted([*CARRIED, "lc_updated"])),
        "plain": ([("user", "S")], sorted([*CARRIED, "lc_updated"])),
    }
    assert described(dynamodb, new_name) == expected
    operations = [operation for operation, _ in recorder.log]
    assert operations.count("create_table") == 1
    assert "update_table" not in operations
    recorder.log.clear()
    await sessions.create_table(indexes=indexes)
    await sessions.create_table()
    assert {operation for operation, _ in recorder.log} == {"describe_table"}
    assert described(dynamodb, new_name) == expected


async def test_a_missing_index_is_added_to_an_existing_table(make_repository: RepositoryFactory, dynamodb: Any) -> None:
    """One after the other, waited for, and filled with the sessions that are there."""
    sessions = make_repository()
    await sessions.append("s", [human()], attributes={"user": "u1", "team": "t"})
    with pytest.raises(InvalidInputError, match=r"no index 'by_user' \(it has none\)"):
        await listed(sessions, index="by_user", partition="u1")
    await sessions.create_table(indexes=[BY_USER, Index("by_team", hash_key="team")])
    assert sorted(described(dynamodb, sessions.table_name)) == ["by_team", "by_user"]
    assert await named(sessions, index="by_user", partition="u1") == ["s"]
    assert await named(sessions, index="by_team", partition="t") == ["s"]


async def test_a_table_of_provisioned_capacity(
    make_repository: RepositoryFactory, new_name: str, dynamodb: Any
) -> None:
    """The index gets the table's capacity: without any DynamoDB would refuse it."""
    dynamodb.create_table(
        TableName=new_name,
        KeySchema=[{"AttributeName": "SessionId", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "SessionId", "AttributeType": "S"}],
        ProvisionedThroughput={"ReadCapacityUnits": 4, "WriteCapacityUnits": 6},
    )
    await make_repository(new_name).create_table(indexes=[BY_USER])
    (index,) = dynamodb.describe_table(TableName=new_name)["Table"]["GlobalSecondaryIndexes"]
    capacity = index["ProvisionedThroughput"]
    assert (capacity["ReadCapacityUnits"], capacity["WriteCapacityUnits"]) == (4, 6)


@pytest.mark.parametrize("code", ["LimitExceededException", "ResourceInUseException"])
async def test_no_further_index(make_repository: RepositoryFactory, code: str) -> None:
    """Where DynamoDB refuses an index though nothing else is being changed, waiting would not help."""
    make_repository.wait(table_poll=0)
    sessions = make_repository()
    refused = 0

    async def refuse(operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        nonlocal refused
        if operation == "update_table":
            refused += 1
            raise StorageError("refused", code=code)
        response = await proceed()
        if refused < 40:  # at first another index is being deleted
            response["Table"]["GlobalSecondaryIndexes"] = [{**ANOTHER, "IndexStatus": "DELETING"}]
        return response

    watch(sessions, Hooked, refuse)
    with pytest.raises(StorageError, match=r"adds no index 'by_user' .*quota.*call create_table again") as raised:
        await sessions.create_table(indexes=[BY_USER])
    assert raised.value.code == code
    assert refused == 40 + REFUSALS


ANOTHER = {
    "IndexName": "another",
    "KeySchema": [{"AttributeName": "SessionId", "KeyType": "HASH"}],
    "Projection": {"ProjectionType": "ALL"},
}


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (Index("by_user", hash_key="owner"), r"has the keys user \(S\), lc_updated \(N\), not owner \(S\), lc_updated"),
        (Index("by_user", hash_key="user", hash_type="N"), r"not user \(N\)"),
        (Index("by_user", hash_key="user", range_key=None), r"not user \(S\):"),
        (Index("by_user", hash_key="user", include=["color"]), "does not carry color"),
        (Index("by_number", hash_key="user", hash_type="N"), "'user' is of type S in another index"),
    ],
)
async def test_a_different_index_is_refused(
    make_repository: RepositoryFactory, dynamodb: Any, other: Index, said: str
) -> None:
    """An index of that name that differs is left alone and named, with what differs; one that carries more will do."""
    sessions = make_repository()
    await sessions.create_table(indexes=[BY_USER])
    before = described(dynamodb, sessions.table_name)
    with pytest.raises(InvalidInputError, match=said):
        await sessions.create_table(indexes=[other])
    await sessions.create_table(indexes=[Index("by_user", hash_key="user")])
    assert described(dynamodb, sessions.table_name) == before


@pytest.mark.real_engine  # moto forgets the attribute definitions of the other one
async def test_indexes_added_at_once(make_repository: RepositoryFactory, dynamodb: Any) -> None:
    """Several processes that start together all succeed."""
    indexes = [BY_USER, Index("by_team", hash_key="team")]
    await asyncio.gather(*(make_repository().create_table(indexes=indexes) for _ in range(4)))
    assert sorted(described(dynamodb, make_repository().table_name)) == ["by_team", "by_user"]


async def test_waiting_for_an_index(make_repository: RepositoryFactory) -> None:
    """DynamoDB takes its time: while another index is made, and until this one is filled; not for ever."""
    make_repository.wait(table_poll=0)
    sessions = make_repository()
    calls: list[str] = []
    creating = 3

    async def slow(operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        calls.append(operation)
        if calls.count("update_table") == 1 and operation == "update_table":
            raise StorageError("one at a time", code="LimitExceededException")
        response = await proceed()
        if operation == "describe_table" and calls.count("update_table") > 1:
            nonlocal creating
            creating -= 1
            for index in response["Table"].get("GlobalSecondaryIndexes", []):
                index["IndexStatus"] = "CREATING" if creating > 0 else "ACTIVE"
        return response

    watch(sessions, Hooked, slow)
    await sessions.create_table(indexes=[BY_USER])
    assert calls.count("update_table") == 2
    assert creating <= 0
    creating = 1 << 60
    sessions = with_options(sessions, timing=Timing(table_poll=0, table_polls=3))
    watch(sessions, Hooked, slow)
    with pytest.raises(StorageError, match=r"'by_user' of table .* is not ready.*call create_table again"):
        await sessions.create_table(indexes=[BY_USER])


async def test_indexes_side_by_side(make_repository: RepositoryFactory, make_table: TableFactory) -> None:
    """Each brings what it carries itself; a key of the table in one has the table's type."""
    sessions = make_repository(make_table("PK:N", "SK"), primary_key_name="PK")
    other = Index("by_team", hash_key="team", include=["color"])
    await sessions.create_table(sort_key_name="SK", indexes=[BY_USER, other, NEWEST])
    own = {"user": "u1", "topic": "t", "team": "x", "color": "red"}
    await sessions.append({"PK": 1, "SK": "s"}, [human()], attributes=own)
    for options, names in (
        ({"index": "by_user", "partition": "u1"}, {"user", "topic"}),
        ({"index": "by_team", "partition": "x"}, {"team", "color"}),
        ({"index": "newest", "partition": 1}, set()),
        ({"partition": 1}, {*own}),
    ):
        (summary,) = await listed(sessions, **options)
        assert summary.attributes == {name: own[name] for name in names}


async def test_an_index_with_several_hash_attributes(
    make_repository: RepositoryFactory, make_table: TableFactory
) -> None:
    """One made elsewhere: all that have the same value of each are listed, in its order, page by page."""
    name = make_table()
    keys = [("tenant", "S", "HASH"), ("year", "N", "HASH"), ("lc_updated", "N", "RANGE"), ("topic", "S", "RANGE")]
    index = {
        "IndexName": "by_tenant",
        "KeySchema": [{"AttributeName": key, "KeyType": kind} for key, _, kind in keys],
        "Projection": {"ProjectionType": "ALL"},
    }
    definitions = [("SessionId", "S"), *((key, kind) for key, kind, _ in keys)]
    request = {
        "TableName": name,
        "AttributeDefinitions": [{"AttributeName": key, "AttributeType": kind} for key, kind in definitions],
        "GlobalSecondaryIndexUpdates": [{"Create": index}],
    }
    await make_repository()._connection.call("update_table", request, write=True)
    sessions = make_repository(name)
    for i in range(6):
        tenant = {"tenant": "acme" if i < 5 else "other", "year": 2026 + i // 4, "topic": "t"}
        await sessions.append(f"s{i}", [human()], attributes=tenant)
    partition = {"year": 2026, "tenant": "acme"}
    first = [one async for one in sessions.list(index="by_tenant", partition=partition, limit=2)]
    rest = [one async for one in sessions.list(index="by_tenant", partition=partition, cursor=first[-1].cursor)]
    assert [one.session for one in (*first, *rest)] == ["s3", "s2", "s1", "s0"]
    assert first[0].attributes == {"tenant": "acme", "year": 2026, "topic": "t"}
    other = {**partition, "year": 2027}
    assert [one.session async for one in sessions.list(index="by_tenant", partition=other)] == ["s4"]
    with pytest.raises(InvalidCursorError):
        await anext(sessions.list(index="by_tenant", partition=other, cursor=first[0].cursor))
    for wrong, said in (
        ("acme", "has the attributes tenant, year; pass a mapping"),
        ({"tenant": "acme"}, "a value for each attribute of the hash key, and no other: tenant, year"),
        ({**partition, "topic": "t"}, "and no other"),
        ({**partition, "year": "2026"}, "does not fit 'year', which is of type N"),
        ({**partition, "year": None}, "use a text or bytes"),
    ):
        with pytest.raises(InvalidInputError, match=said):
            await anext(sessions.list(index="by_tenant", partition=wrong))  # type: ignore[arg-type]


async def test_a_partition_by_name(make_repository: RepositoryFactory) -> None:
    """A mapping names the value of one attribute just as well."""
    sessions = make_repository()
    await sessions.create_table(indexes=[Index("by_user", "user")])
    await sessions.append("s", [human()], attributes={"user": "u"})
    assert [one.session async for one in sessions.list(index="by_user", partition={"user": "u"})] == ["s"]
