"""How sessions are named: session ids and whole keys of every type, and the page keys derived from them."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from langchain_dynamodb import AsyncSessionRepository, Sizes
from langchain_dynamodb._items.keys import PARTITION_KEY_BYTES, SORT_KEY_BYTES, SUFFIX_BYTES
from langchain_dynamodb.errors import AccessDeniedError, InvalidInputError, StorageError, ThrottledError
from support import Call, Hooked, Recorder, scan, watch

if TYPE_CHECKING:
    from conftest import RepositoryFactory, TableFactory

pytestmark = pytest.mark.once

SMALL = Sizes(session_item=900, page=600, item=1500)  # a page is cut every few turns

# Hash key, range key (with their types as `make_table` takes them) and the key of a session.
SHAPES: dict[str, tuple[str, str | None, dict[str, object]]] = {
    "S": ("SessionId", None, {"SessionId": "sess~ion/1 \N{PILE OF POO}"}),
    "B": ("SessionId:B", None, {"SessionId": b"\x00\xff~lc~"}),
    "S,S": ("PK", "SK", {"PK": "session_id::0", "SK": "langchain_history"}),
    "S,N": ("primaryKey", "secondaryKey:N", {"primaryKey": "foo", "secondaryKey": 123}),
    "S,B": ("PK", "SK:B", {"PK": "p", "SK": bytearray(b"\xf0\x9f")}),
    "N,S": ("tenant:N", "chat", {"tenant": -12, "chat": "c"}),
    "N,B": ("tenant:N", "chat:B", {"tenant": Decimal("-0.50"), "chat": b"c"}),
    "B,N": ("z:B", "a:N", {"z": b"\x01", "a": 10**37 + 1}),
    "B,S": ("z:B", "a", {"z": b"\x01", "a": "a"}),
    "reserved": ("Key", "session.id", {"Key": "k", "session.id": "s"}),
    "hyphen": ("user-id:N", "Size", {"user-id": 0, "Size": "#s"}),
}


def turn(i: int) -> list[BaseMessage]:
    """A turn whose text does not deflate away."""
    rng = random.Random(i)
    return [
        HumanMessage(f"question {i}: {rng.randbytes(20).hex()}"),
        AIMessage(f"answer {i}: {rng.randbytes(40).hex()}"),
    ]


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_long_session_on_every_key_shape(
    make_repository: RepositoryFactory, make_table: TableFactory, shape: str
) -> None:
    """A session of many pages lives on every kind of key, whatever order each writer's mapping has."""
    hash_key, range_key, key = SHAPES[shape]
    table = make_table(hash_key, range_key)
    other_order = dict(reversed(key.items()))
    writers = [(make_repository(table, sizes=SMALL), key), (make_repository(table, sizes=SMALL), other_order)]
    for i in range(24):
        sessions, named = writers[i % 2]
        await sessions.append(named, turn(i))
    expected = [message for i in range(24) for message in turn(i)]
    reader = make_repository(table, sizes=SMALL)
    assert len(await scan(reader)) > 3
    assert await messages(reader, other_order) == expected
    assert await messages(reader, key, limit=10) == expected[-10:]
    assert [message async for message in reader.iter_messages(key)] == expected
    await reader.truncate(other_order, keep=9)
    assert await messages(writers[0][0], key) == expected[:9]
    await reader.replace(key, expected)
    assert await messages(writers[1][0], other_order) == expected
    await reader.delete(key)
    assert await scan(reader) == []


async def test_number_keys_of_38_digits_are_different_sessions(
    make_repository: RepositoryFactory, make_table: TableFactory
) -> None:
    """Keys that differ in their last digit only are two sessions."""
    sessions = make_repository(make_table("PK", "SK:N"))
    keys = [{"PK": "p", "SK": number} for number in (10**37, 10**37 + 1, 0, Decimal("1E-130"), Decimal("9E+125"))]
    for i, key in enumerate(keys):
        await sessions.append(key, [HumanMessage(str(i))])
    for i, key in enumerate(keys):
        assert await messages(sessions, key) == [HumanMessage(str(i))]


async def test_spellings_of_one_number_name_one_session(
    make_repository: RepositoryFactory, make_table: TableFactory
) -> None:
    """DynamoDB drops trailing zeros and the sign of zero; such keys are equal here too, pages included."""
    table = make_table("PK", "SK:N")
    for spellings in ((1, Decimal("1.00"), Decimal("10E-1")), (0, Decimal("-0"), Decimal("0E+5"))):
        for i, number in enumerate(spellings * 5):
            await make_repository(table, sizes=SMALL).append({"PK": "p", "SK": number}, turn(i))
        expected = [message for i in range(15) for message in turn(i)]
        assert [await messages(make_repository(table), {"PK": "p", "SK": n}) for n in spellings] == [expected] * 3


async def test_sessions_of_one_partition_keep_apart(
    make_repository: RepositoryFactory, make_table: TableFactory
) -> None:
    """Sessions that share their partition key do not see each other's pages, and delete only their own."""
    sessions = make_repository(make_table("PK", "SK:N"), sizes=SMALL)
    keys: list[dict[str, Any]] = [{"PK": "foo", "SK": 1}, {"PK": "foo", "SK": 2}]
    for i in range(12):
        for key in keys:
            await sessions.append(key, turn(i + 100 * key["SK"]))
    await sessions.delete(keys[0])
    assert await messages(sessions, keys[0]) == []
    assert await messages(sessions, keys[1]) == [message for i in range(12) for message in turn(i + 200)]


@pytest.mark.parametrize(
    ("hash_key", "range_key", "session"),
    [
        ("PK", "SK", "s"),
        ("PK", "SK", {"PK": "p"}),
        ("PK", "SK:N", {"PK": "p", "SK": "1"}),
        ("PK", None, {"PK": b"p"}),
        ("PK", None, {"pk": "p"}),
    ],
)
async def test_a_key_that_does_not_fit_the_table(
    make_repository: RepositoryFactory, make_table: TableFactory, hash_key: str, range_key: str | None, session: Any
) -> None:
    """Every call with a key without the table's attributes says which key was given and which attributes it needs.

    Nothing but the look at the table is sent for a whole key; DynamoDB itself refuses a session id.
    """
    sessions = make_repository(make_table(hash_key, range_key), sizes=SMALL)
    recorder: Recorder = watch(sessions, Recorder)
    hi: list[BaseMessage] = [HumanMessage("hi!")]
    given = repr(next(iter(session.values() if isinstance(session, Mapping) else [session])))
    wanted = rf"{given}.* key attributes are PK \(S\)" + (rf", SK \({range_key[3:] or 'S'}\)" if range_key else ":")
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: sessions.append(session, hi),
        lambda: sessions.append(session, hi, expected_version=0),
        lambda: sessions.append(session, turn(1) * 200),
        lambda: sessions.append(session, []),
        lambda: sessions.read(session),
        lambda: anext(sessions.iter_messages(session)),
        lambda: sessions.replace(session, hi),
        lambda: sessions.truncate(session, keep=0),
        lambda: sessions.update_metadata(session, {"a": 1}),
        lambda: sessions.delete(session),
    ]
    for call in calls:
        with pytest.raises(InvalidInputError, match=wanted):
            await call()
    sent = {operation for operation, _ in recorder.log}
    assert (sent == {"describe_table"}) == isinstance(session, Mapping)
    assert await scan(sessions) == []


async def test_the_table_is_looked_at_once(make_repository: RepositoryFactory, composite_table_name: str) -> None:
    """One look at the table for all whole keys of a process that fit; none for session ids."""
    recorders: list[Recorder] = []
    for session_id in ("1", "2"):
        sessions = make_repository(composite_table_name)
        recorders.append(watch(sessions, Recorder))
        await sessions.append({"PK": "p", "SK": session_id}, turn(1))
        assert await messages(sessions, {"SK": session_id, "PK": "p"}) == turn(1)
    assert [operation for recorder in recorders for operation, _ in recorder.log].count("describe_table") == 1
    sessions = make_repository()
    recorder: Recorder = watch(sessions, Recorder)
    await sessions.append("s", turn(1))
    await sessions.history("s").aadd_messages(turn(2))
    assert "describe_table" not in dict(recorder.log)


@pytest.mark.parametrize("kind", [AccessDeniedError, ThrottledError])
async def test_who_may_not_look_at_the_table(
    make_repository: RepositoryFactory, composite_table_name: str, kind: type[StorageError]
) -> None:
    """Without the right to look at the table all works, and DynamoDB's own refusal of a wrong key is passed on."""

    async def refused(operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        if operation == "describe_table":
            raise kind("not now", code="AccessDeniedException" if kind is AccessDeniedError else "ThrottlingException")
        return await proceed()

    sessions = make_repository(composite_table_name)
    watch(sessions, Hooked, refused)
    await sessions.append({"PK": "p", "SK": "1"}, turn(1))
    assert await messages(sessions, {"PK": "p", "SK": "1"}) == turn(1)
    with pytest.raises(StorageError) as caught:
        await sessions.append({"PK": "p"}, turn(1))
    assert caught.value.code == "ValidationException"


@pytest.mark.parametrize(
    ("key", "history", "ttl"),
    [
        ("Key", "chat-history", "ttl"),
        ("session.id", "a.b", "time.to-live"),
        ("user-id", "List", "Timestamp"),
        ("k #1", "h :1", "a b[0]"),
        ("é", "messages\N{PILE OF POO}", "0"),
    ],
)
@pytest.mark.parametrize("item_format", ["pages", "community"])
async def test_any_attribute_names(
    make_repository: RepositoryFactory, make_table: TableFactory, key: str, history: str, ttl: str, item_format: str
) -> None:
    """Names that are reserved words, or that an expression would take apart, do in every operation."""
    names = {"primary_key_name": key, "history_messages_key": history, "ttl_key_name": ttl}
    sessions = make_repository(make_table(key), sizes=SMALL, ttl=60, item_format=item_format, **names)
    for i in range(8):
        await sessions.append("s", turn(i))
    expected = [message for i in range(8) for message in turn(i)]
    assert await messages(sessions, "s") == expected
    items = await scan(sessions)
    assert (len(items) > 1) == (item_format == "pages")
    assert all(ttl in item for item in items)
    assert [item for item in items if history in item] == [item for item in items if item[key] == {"S": "s"}]
    version = await sessions.truncate("s", keep=3)
    version = await sessions.append("s", expected, expected_version=version)
    if item_format == "pages":
        version = await sessions.update_metadata("s", {"title-1.0": "#a :b"}, expected_version=version)
    version = await sessions.replace("s", expected, expected_version=version)
    assert await messages(sessions, "s") == expected
    await sessions.append("s", turn(9), history_size=2)
    await sessions.delete("s")
    assert await scan(sessions) == []


@pytest.mark.real_engine
@pytest.mark.parametrize(
    ("range_key", "key"),
    [
        (None, {"PK": "p" * (PARTITION_KEY_BYTES - SUFFIX_BYTES)}),
        ("SK", {"PK": "p" * PARTITION_KEY_BYTES, "SK": "s" * (SORT_KEY_BYTES - SUFFIX_BYTES)}),
    ],
)
async def test_the_longest_keys_have_room_for_pages(
    make_repository: RepositoryFactory, make_table: TableFactory, range_key: str | None, key: dict[str, str]
) -> None:
    """A session whose key has the greatest length that is accepted still gets its pages."""
    table = make_table("PK", range_key)
    sessions = make_repository(table, sizes=SMALL)
    for i in range(12):
        await sessions.append(key, turn(i))
    assert len(await scan(sessions)) > 2
    assert await messages(make_repository(table), key) == [message for i in range(12) for message in turn(i)]


async def messages(sessions: AsyncSessionRepository, session: Any, limit: int | None = None) -> list[BaseMessage]:
    """The messages of a session."""
    chat = await sessions.read(session, limit=limit)
    assert chat is not None
    return chat.messages
