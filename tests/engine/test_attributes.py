"""Attributes of the user's own on the session item: set with a write, kept by every other, gone with the session."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.messages import HumanMessage

from langchain_dynamodb import AsyncSessionRepository, DynamoDBChatMessageHistory, Index, Sizes
from langchain_dynamodb.errors import AccessDeniedError, InvalidInputError, SettingsError, StorageError, ThrottledError
from support import SMALL, Call, Hooked, Meter, Recorder, fill_tail, human, many, remembered, scan, watch

if TYPE_CHECKING:
    from conftest import RepositoryFactory, TableFactory, TestEngine

pytestmark = pytest.mark.once

OWN: dict[str, Any] = {
    "user": "u1",
    "score": 1.5,
    "hash-of": b"\x00\xff",
    "pinned": True,
    "size": 7,
    "labels": ["a", {"b": None}],
}
KEY = {"PK": "p", "SK": "1"}
Write = Callable[[AsyncSessionRepository, dict[str, Any] | None], Awaitable[int]]


async def own(repository: AsyncSessionRepository, session: Any = "s") -> dict[str, Any]:
    """The session's own attributes as they are read."""
    return (await repository.read(session, limit=0)).attributes


@pytest.mark.parametrize("item_format", ["pages", "community"])
async def test_kept_by_every_later_operation(make_repository: RepositoryFactory, item_format: str) -> None:
    """Set once, they stay through appends, cuts, batches, rewrites and metadata, and go with the session."""
    sessions = make_repository(sizes=SMALL, item_format=item_format)
    await sessions.append("s", [human()], attributes=OWN)
    others: dict[str, Callable[[], Awaitable[object]]] = {
        "append": lambda: sessions.append("s", [human()]),
        "append of another process": lambda: make_repository(item_format=item_format).append("s", [human(1)]),
        "guarded append": lambda: guarded(sessions),
        "batch": lambda: sessions.append("s", many(20, 300)),
        "bounded append": lambda: sessions.append("s", [human()], history_size=4),
        "truncate in the tail": lambda: sessions.truncate("s", keep=4),
        "truncate": lambda: sessions.truncate("s", keep=1),
        "replace": lambda: sessions.replace("s", [human()]),
        "large replace": lambda: sessions.replace("s", many(20, 300)),
        "replace by nothing": lambda: sessions.replace("s", []),
    }
    if item_format == "pages":
        others["cut"] = lambda: fill_and_cut(sessions)
        others["metadata"] = lambda: sessions.update_metadata("s", {"title": "t"})
    for what, operation in others.items():
        await operation()
        assert (what, await own(sessions)) == (what, OWN)
    await sessions.delete("s")
    assert await scan(sessions) == []
    await sessions.append("s", [human()])
    assert await own(sessions) == {}


async def guarded(sessions: AsyncSessionRepository) -> None:
    """An append at an expected version."""
    version = (await sessions.read("s", limit=0)).version
    await sessions.append("s", [human()], expected_version=version)


async def fill_and_cut(sessions: AsyncSessionRepository) -> None:
    """Append until a page has been cut."""
    await sessions.append("s", [human(1)])
    before = remembered(sessions).pages
    while remembered(sessions).pages == before:
        await sessions.append("s", [human(60)])


WRITES: dict[str, Write] = {
    "append": lambda s, a: s.append("s", [human(1)], attributes=a),
    "batch": lambda s, a: s.append("s", many(12, 300), attributes=a),
    "bounded": lambda s, a: s.append("s", [human(1)], history_size=3, attributes=a),
    "replace": lambda s, a: s.replace("s", [human(1)], attributes=a),
    "large replace": lambda s, a: s.replace("s", many(12, 300), attributes=a),
    "empty replace": lambda s, a: s.replace("s", [], attributes=a),
    "update": lambda s, a: s.update_metadata("s", {}, attributes=a, must_exist=False),
}


@pytest.mark.parametrize("item_format", ["pages", "community"])
@pytest.mark.parametrize("start", ["new", "there", "community"])
@pytest.mark.parametrize("write", WRITES)
async def test_set_by_every_write(
    make_repository: RepositoryFactory, dynamodb: Any, write: str, start: str, item_format: str
) -> None:
    """Every write that takes attributes sets, changes and removes them, whatever it finds; others stay."""
    sessions = make_repository(sizes=SMALL, item_format=item_format)
    before: dict[str, Any] = {}
    if start == "there":
        before = {"kept": 1, "old": "x"}
        await make_repository(item_format=item_format).append("s", [human()], attributes=before)
    elif start == "community":
        before = {"kept": 1, "old": "x"}
        item = {"SessionId": {"S": "s"}, "History": {"L": []}, "kept": {"N": "1"}, "old": {"S": "x"}}
        dynamodb.put_item(TableName=sessions.table_name, Item=item)
    await WRITES[write](sessions, {**OWN, "old": None})
    expected = {**before, **OWN}
    expected.pop("old", None)
    assert await own(sessions) == expected
    await WRITES[write](sessions, {"user": "u2", "score": None})
    expected["user"] = "u2"
    del expected["score"]
    assert await own(make_repository(item_format=item_format)) == expected


async def test_set_by_an_append_that_cuts(make_repository: RepositoryFactory) -> None:
    """The append that meets a full tail sets them along with the cut."""
    sessions = make_repository(sizes=SMALL)
    await fill_tail(sessions)
    pages = remembered(sessions).pages
    await sessions.append("s", [human(100)], attributes={"user": "u1"})
    assert remembered(sessions).pages == pages + 1
    assert await own(sessions) == {"user": "u1"}


async def test_update_metadata_may_set_one_without_the_other(make_repository: RepositoryFactory) -> None:
    """Attributes alone leave no metadata behind, metadata alone leaves the attributes."""
    sessions = make_repository()
    await sessions.update_metadata("s", {}, attributes={"user": "u1"}, must_exist=False)
    assert "lc_metadata" not in (await scan(sessions))[0]
    await sessions.update_metadata("s", {"title": "t"})
    chat = await sessions.read("s")
    assert (chat.metadata, chat.attributes, chat.message_count) == ({"title": "t"}, {"user": "u1"}, 0)


async def test_what_others_stored_is_read(make_repository: RepositoryFactory, dynamodb: Any) -> None:
    """Sets and binaries that other programs put on the item come back as Python values."""
    sessions = make_repository()
    await sessions.append("s", [human()])
    dynamodb.update_item(
        TableName=sessions.table_name,
        Key={"SessionId": {"S": "s"}},
        UpdateExpression="SET #a = :a, #b = :b, #c = :c, #d = :d",
        ExpressionAttributeNames={"#a": "a", "#b": "b", "#c": "c", "#d": "d"},
        ExpressionAttributeValues={
            ":a": {"SS": ["x", "y"]}, ":b": {"NS": ["1", "2.5"]}, ":c": {"BS": [b"z"]}, ":d": {"M": {"e": {"B": b"f"}}},
        },
    )  # fmt: skip
    expected = {"a": {"x", "y"}, "b": {1, 2.5}, "c": {b"z"}, "d": {"e": b"f"}}
    assert await own(sessions) == expected
    await sessions.append("s", [human()])
    assert await own(sessions) == expected


async def test_one_request_as_before(make_repository: RepositoryFactory) -> None:
    """An append with attributes is one update, and one without any is not changed by those that are there."""
    sessions = make_repository()
    meter: Meter = watch(sessions, Meter)
    await sessions.append("s", [human()], attributes=OWN)
    await sessions.append("s", [human()])
    await sessions.append("s", [human()], attributes={"user": "u2"})
    assert meter.requests == {"update_item": 3}


# -- refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("item_format", ["pages", "community"])
@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        ({"lc_version": 1}, r"'lc_version'.*choose another name"),
        ({"SessionId": "s"}, r"'SessionId'.*choose another name"),
        ({"History": []}, r"'History'.*choose another name"),
        ({"expireAt": 1}, r"'expireAt'.*choose another name"),
        ({"": 1}, "name '' must be a text"),
        ({1: 1}, "name 1 must be a text"),
        ({"\ud800": 1}, "must be a text"),
        (["user"], r"attributes=\['user'\] must be a mapping"),
        ({"a": {1}}, r"attributes\['a'\] is a set"),
        ({"a": {"b": b""}}, r"attributes\['a'\]\['b'\] is a bytes"),
        ({"a": float("nan")}, r"attributes\['a'\] is nan"),
        ({"a": Decimal("NaN")}, r"attributes\['a'\] is a Decimal"),
        ({"a": "x" * 1023}, "1024 bytes|1024 allowed"),
        ({"x" * 1024: True}, "1024 allowed"),
    ],
)
async def test_refused_before_anything_is_sent(
    make_repository: RepositoryFactory, attributes: Any, said: str, item_format: str
) -> None:
    """What cannot be set is named, with the way out, and nothing is sent."""
    sessions = make_repository(item_format=item_format)
    recorder: Recorder = watch(sessions, Recorder)
    if attributes == {"a": "x" * 1023}:
        await sessions.append("s", [human()], attributes=attributes)  # just fits
        recorder.log.clear()
        attributes = {"a": "x" * 1024}
    for write in WRITES.values():
        with pytest.raises(InvalidInputError, match=said):
            await write(sessions, attributes)
    assert recorder.log == []


async def test_no_messages(make_repository: RepositoryFactory) -> None:
    """An append of nothing sets nothing, and says so."""
    with pytest.raises(InvalidInputError, match="set attributes with update_metadata"):
        await make_repository().append("s", [], attributes=OWN)


async def test_the_bound_can_be_raised(make_repository: RepositoryFactory) -> None:
    """`Sizes(attributes=...)` bounds what one call sets."""
    large = {"a": "x" * 3000}
    sessions = make_repository(sizes=Sizes(attributes=4000))
    await sessions.append("s", [human()], attributes=large)
    assert await own(sessions) == large


@pytest.mark.real_engine
@pytest.mark.parametrize("count", [1, 20])
async def test_a_value_the_index_cannot_take(make_repository: RepositoryFactory, count: int) -> None:
    """The error names it; nothing of the append is stored, be it one update or many."""
    sessions = make_repository(sizes=SMALL)
    by_score = Index("by_score", hash_key="user", range_key="score", range_type="N")
    await sessions.create_table(indexes=[Index("by_user", hash_key="user"), by_score])
    refused: list[tuple[dict[str, Any], str]] = [
        ({"user": 1}, "attribute 'user' is 1, .* index 'by_[a-z]+' it must be a text"),
        ({"user": ""}, "attribute 'user' is '', .* a text that is not empty"),
        ({"user": "u1", "score": "high"}, "attribute 'score' is 'high', .* index 'by_score' it must be a number"),
    ]
    for attributes, told in refused:
        with pytest.raises(InvalidInputError, match=told):
            await sessions.append("s", many(count, 300), attributes=attributes)
        assert await scan(sessions) == []


@pytest.mark.real_engine
async def test_a_value_the_index_cannot_take_where_nobody_may_look(make_repository: RepositoryFactory) -> None:
    """DynamoDB's refusal is passed on."""
    sessions = make_repository()
    await sessions.create_table(indexes=[Index("by_user", hash_key="user")])

    async def no_look(operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        if operation == "describe_table":
            raise AccessDeniedError("no DescribeTable", code="AccessDeniedException")
        return await proceed()

    watch(sessions, Hooked, no_look)
    with pytest.raises(StorageError) as caught:
        await sessions.append("s", [human()], attributes={"user": 1})
    assert caught.value.code == "ValidationException"


# -- keys with further attributes ------------------------------------------------------------------------------


@pytest.mark.parametrize("hash_only", [True, False])
async def test_a_key_with_further_attributes(
    make_repository: RepositoryFactory, make_table: TableFactory, hash_only: bool
) -> None:
    """What is not the table's key is set on the item; reads, deletes and the bare key mean the same session."""
    sessions = make_repository(make_table("PK", None if hash_only else "SK"), sizes=SMALL)
    key = {"PK": "p"} if hash_only else KEY
    named = {**key, "user": "u1", "number": Decimal("1.5"), "raw": b"r"}
    await sessions.append(named, many(9, 300))
    expected = {"user": "u1", "number": 1.5, "raw": b"r"}
    assert await own(sessions, key) == expected
    assert (await sessions.read({**key, "user": "u3"})).message_count == 9
    assert await own(sessions, key) == expected  # reads set nothing
    await sessions.replace({**key, "user": "u2"}, [human()], attributes={"raw": None})
    assert await own(sessions, key) == {"user": "u2", "number": 1.5}
    await sessions.append({**key, "user": "u4"}, [human()], attributes={"user": "u5"})  # the argument wins
    assert await own(sessions, key) == {"user": "u5", "number": 1.5}
    await sessions.truncate({**key, "user": "u6"}, keep=1)
    assert [message async for message in sessions.iter_messages(named)] == (await sessions.read(key)).messages
    await sessions.delete({**key, "user": "u7"})
    assert await scan(sessions) == []


@pytest.mark.parametrize("item_format", ["pages", "community"])
async def test_the_history_class_sets_them(
    engine: TestEngine, make_repository: RepositoryFactory, composite_table_name: str, item_format: Any
) -> None:
    """langchain_community's `key` with attributes of an index works as its page says, from the first message on."""
    history = DynamoDBChatMessageHistory(
        composite_table_name, "s", engine.endpoint_url, key={**KEY, "user": "u1"}, item_format=item_format
    )
    sent = [human()]
    await history.aadd_messages(sent)
    assert await history.aget_messages() == sent
    sessions = make_repository(composite_table_name, item_format=item_format)
    assert await own(sessions, KEY) == {"user": "u1"}
    await history.aclear()
    assert await scan(sessions) == []


async def test_a_key_attribute_among_the_attributes(
    make_repository: RepositoryFactory, composite_table_name: str
) -> None:
    """The key is not to be set as an attribute; on this table that is known once it was looked at."""
    sessions = make_repository(composite_table_name)
    with pytest.raises(InvalidInputError, match=r"'SK'.*choose another name"):
        await sessions.append(KEY, [human()], attributes={"SK": "2"})
    assert await scan(sessions) == []


async def test_a_table_made_anew_with_other_keys(
    make_repository: RepositoryFactory, composite_table_name: str, dynamodb: Any
) -> None:
    """What was remembered of the old table is looked up again, in the end without another error."""
    sessions = make_repository(composite_table_name)
    await sessions.append({**KEY, "user": "u1"}, [human()])
    dynamodb.delete_table(TableName=composite_table_name)
    await make_repository(composite_table_name, primary_key_name="PK").create_table()
    with pytest.raises(InvalidInputError, match=r"key attributes are PK \(S\)"):
        await sessions.append({**KEY, "user": "u1"}, [human()])
    await sessions.append({**KEY, "user": "u1"}, [human()])
    assert await own(sessions, {"PK": "p"}) == {"SK": "1", "user": "u1"}


async def test_who_may_not_look_at_the_table(make_repository: RepositoryFactory, composite_table_name: str) -> None:
    """Without DescribeTable a key with further attributes cannot be told apart: the error says both ways out."""

    async def refused(operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        if operation == "describe_table":
            raise AccessDeniedError("not you", code="AccessDeniedException")
        return await proceed()

    sessions = make_repository(composite_table_name)
    watch(sessions, Hooked, refused)
    with pytest.raises(SettingsError, match=r"allow dynamodb:DescribeTable, or .* pass the others as attributes="):
        await sessions.append({**KEY, "user": "u1"}, [human()])
    await sessions.append(KEY, [human()], attributes={"user": "u1"})
    with pytest.raises(StorageError, match=r"ValidationException.*Allow dynamodb:DescribeTable .* into attributes="):
        await sessions.append({"PK": "p", "user": "u1"}, [human()])
    with pytest.raises(SettingsError, match="allow dynamodb:DescribeTable"):  # also now
        await sessions.append({**KEY, "user": "u1"}, [human()])
    assert await own(sessions, KEY) == {"user": "u1"}


async def test_a_look_at_the_table_that_is_throttled(make_repository: RepositoryFactory) -> None:
    """Neither the settings nor the key are wrong then: the same call may succeed in a moment."""
    throttled = True

    async def throttle(operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        if throttled and operation == "describe_table":
            raise ThrottledError("try again")
        return await proceed()

    sessions = make_repository()
    watch(sessions, Hooked, throttle)
    with pytest.raises(ThrottledError, match="try again"):
        await sessions.append({"SessionId": "s", "user": "u1", "team": "t1"}, [human()])
    throttled = False
    await sessions.append({"SessionId": "s", "user": "u1", "team": "t1"}, [human()])
    assert await own(sessions, "s") == {"user": "u1", "team": "t1"}


def test_keys_that_can_name_no_session() -> None:
    """Some mappings are refused without a look at the table, by the adapter at construction."""
    for key, said in (
        ({"a": 1, "b": 2, "c": 3}, "3 attributes"),
        ({"a": "1", "b": "2", "c": None}, "3 attributes"),
        ({"a": "1", "History": "2", "c": "3"}, "'History'"),
        ({"a": "1", "b": {2}}, "'b' is"),
    ):
        with pytest.raises(InvalidInputError, match=said):
            DynamoDBChatMessageHistory("chats", "s", key=key)


async def test_numbers_and_bytes_come_back_exactly(make_repository: RepositoryFactory) -> None:
    """What a float cannot hold is a `Decimal`; bytes are base64 in JSON, as in summaries."""
    sessions = make_repository()
    given = {"price": Decimal("1234567890.123456789012345678"), "half": Decimal("0.5"), "raw": b"\xff"}
    await sessions.append("s", [HumanMessage("hi!")], attributes=given)
    chat = await sessions.read("s")
    assert chat.attributes == given
    assert {name: type(value) for name, value in chat.attributes.items()} == {
        "price": Decimal, "half": float, "raw": bytes,
    }  # fmt: skip
    assert json.loads(chat.model_dump_json())["attributes"]["raw"] == "_w=="
