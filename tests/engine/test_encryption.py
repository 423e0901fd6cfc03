"""Encrypted sessions: every operation, mixed tables, and what nobody can do without the key."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator
from itertools import chain
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, message_to_dict

from conftest import RepositoryFactory
from langchain_dynamodb import AsyncSessionRepository, DynamoDBChatMessageHistory
from langchain_dynamodb._dynamodb.attribute_values import to_attribute
from langchain_dynamodb.codec.messages import pack
from langchain_dynamodb.encryption import DataKey, Keyring, LocalKeyring
from langchain_dynamodb.errors import (
    BlobDamagedError,
    ChatHistoryError,
    CorruptSessionError,
    DecryptionError,
    InvalidInputError,
    KeyUnavailableError,
    MissingKeyError,
    SessionNotFoundError,
    SettingsError,
    ThrottledError,
    VersionConflictError,
)
from memory_blobs import MemoryBlobs
from support import SMALL, Call, Chain, Hooked, Meter, human, many, noise, remembered, scan, watch, with_options

pytestmark = pytest.mark.any_engine

KEY, OTHER = LocalKeyring(b"k" * 32), LocalKeyring(b"o" * 32)
SECRET = "the secret of the session"


@pytest.fixture
def sealed(make_repository: RepositoryFactory) -> AsyncSessionRepository:
    """A repository that encrypts, with small pages."""
    return make_repository(sizes=SMALL, encryption=KEY)


@pytest.fixture
def plain(make_repository: RepositoryFactory) -> AsyncSessionRepository:
    """One on the same table that does not."""
    return make_repository(sizes=SMALL)


def fresh(repository: AsyncSessionRepository, **options: Any) -> AsyncSessionRepository:
    """The same, which remembers nothing."""
    return with_options(repository, **options)


async def messages_of(repository: AsyncSessionRepository, session: str = "s") -> list[BaseMessage]:
    """What another process reads."""
    return (await fresh(repository).read(session)).messages


def secret(n: int = 0) -> HumanMessage:
    """A message by whose text any leak is known."""
    return HumanMessage(f"{n} {SECRET}", id=f"m{n}")


async def stored(repository: AsyncSessionRepository) -> bytes:
    """All that an observer of the table sees."""
    return repr(await scan(repository)).encode()


async def is_all_sealed(repository: AsyncSessionRepository) -> bool:
    """Whether nothing that is stored can be read as a block, and every session item has a key."""
    reader = repository._codec
    for item in await scan(repository):
        if "lc_cut" not in item and "lc_key" not in item:
            return False
        blocks = [entry["B"] for entry in item.get("History", {"L": []})["L"]]
        blocks += [item[name]["B"] for name in ("lc_data", "lc_metadata") if name in item]
        for block in blocks:
            try:
                if reader.unpack(block, repository._key("s").place(), 1 << 20):
                    return False
            except ValueError:
                pass
    return SECRET.encode() not in await stored(repository)


async def test_every_operation(sealed: AsyncSessionRepository) -> None:
    """What one process writes another reads, in every way; nothing is stored in the clear."""
    model: list[BaseMessage] = []

    async def check() -> None:
        reader = fresh(sealed)
        known = remembered(sealed).cipher
        assert known is not None
        assert known.aead is None  # no key in the clear outlives the operation that used it
        assert (await reader.read("s")).messages == model
        assert (await reader.read("s", limit=3)).messages == model[-3:]
        assert [message async for message in fresh(sealed).iter_messages("s")] == model
        assert (await reader.read("s", skip_missing_pages=True)).messages == model
        assert await is_all_sealed(sealed)

    for messages in ([secret()], many(1), [secret(1)], many(12), [human(3000)], [secret(2), *many(2)]):
        await sealed.append("s", messages)
        model.extend(messages)
        await check()
    await sealed.update_metadata("s", {"title": SECRET, "n": 10**30, "of": [1.5, None, {"a": True}]})
    assert (await sealed.read("s")).metadata == {"title": SECRET, "n": 10**30, "of": [1.5, None, {"a": True}]}
    await sealed.update_metadata("s", {"n": None, "more": "x"})
    assert (await fresh(sealed).read("s")).metadata == {"title": SECRET, "of": [1.5, None, {"a": True}], "more": "x"}
    await sealed.update_message("s", HumanMessage("other", id="m1"))
    model[2] = HumanMessage("other", id="m1")
    await check()
    await fresh(sealed).remove_message("s", "m0")
    del model[0]
    await check()
    await fresh(sealed).truncate("s", keep=len(model) - 1)
    del model[-1:]
    await check()
    await fresh(sealed).truncate("s", keep=5)
    del model[5:]
    await check()
    model[:] = [*model[:4], secret(3), *many(20)]
    await fresh(sealed).replace("s", model)
    await check()
    await sealed.set_expiry("s", 1000)
    assert (await fresh(sealed).repair("s")).missing == []
    await sealed.append("s", [secret(4)], history_size=3)
    assert (await messages_of(sealed))[-1] == secret(4)
    await sealed.delete("s")
    assert await scan(sealed) == []


async def test_a_warm_session_takes_no_request_more(sealed: AsyncSessionRepository) -> None:
    """An append is one request, and a read of what is known one; before a session begins it is looked for."""
    meter: Meter = watch(sealed, Meter)
    await sealed.append("s", [secret()])
    assert dict(meter.requests) == {"get_item": 1, "update_item": 1}
    await sealed.append("s", [AIMessage("b")])
    assert dict(meter.requests) == {"get_item": 1, "update_item": 2}
    await sealed.read("s")
    assert dict(meter.requests) == {"get_item": 2, "update_item": 2}


@pytest.mark.parametrize("size", [1, 30])
async def test_a_session_that_was_never_seen(sealed: AsyncSessionRepository, size: int) -> None:
    """Appends find its key, with every option."""
    await sealed.append("s", many(size))
    version = await fresh(sealed).append("s", [secret(1)], must_exist=True)
    version = await fresh(sealed).append("s", [secret(2)], expected_version=version)
    await fresh(sealed).append("s", [secret(3)], idempotency_key="k")
    await fresh(sealed).append("s", [secret(3)], idempotency_key="k")
    assert (await messages_of(sealed))[size:] == [secret(1), secret(2), secret(3)]
    with pytest.raises(VersionConflictError):
        await fresh(sealed).append("s", [secret(4)], expected_version=version)
    with pytest.raises(SessionNotFoundError):
        await fresh(sealed).append("none", [secret(4)], must_exist=True)
    with pytest.raises(VersionConflictError):
        await fresh(sealed).append("s", [secret(4)], expected_version=0)
    await fresh(sealed).append("new", [secret(4)], expected_version=0)
    assert await messages_of(sealed, "new") == [secret(4)]


Method = Callable[[AsyncSessionRepository], Awaitable[object]]
CHANGES: dict[str, Method] = {
    "append": lambda sessions: sessions.append("s", [human()]),
    "append a page": lambda sessions: sessions.append("s", many(3, 200)),
    "append pages": lambda sessions: sessions.append("s", many(20)),
    "replace": lambda sessions: sessions.replace("s", many(2)),
    "truncate": lambda sessions: sessions.truncate("s", keep=1),
    "update_metadata": lambda sessions: sessions.update_metadata("s", {"title": "b"}),
    "set_expiry": lambda sessions: sessions.set_expiry("s", 1000),
    "edit": lambda sessions: sessions.update_message("s", HumanMessage("b", id="m1")),
    "remove": lambda sessions: sessions.remove_message("s", "m1"),
}
READS: dict[str, Method] = {
    "read": lambda sessions: sessions.read("s"),
    "iterate": lambda sessions: anext(sessions.iter_messages("s")),
    "iterate around": lambda sessions: anext(sessions.iter_messages("s", skip_missing_pages=True)),
    "read around": lambda sessions: sessions.read("s", skip_missing_pages=True),
    "repair": lambda sessions: sessions.repair("s"),
}
EVERY = CHANGES | READS


@pytest.mark.parametrize("method", EVERY)
@pytest.mark.parametrize("pages", [False, True], ids=["tail", "pages"])
async def test_without_a_key_nothing_can_be_done(
    sealed: AsyncSessionRepository, plain: AsyncSessionRepository, method: str, pages: bool
) -> None:
    """A typed error, before anything is written; so with another key."""
    await sealed.append("s", [secret(1), *(many(10) if pages else [])])
    await sealed.update_metadata("s", {"title": SECRET})
    before = await scan(sealed)
    with pytest.raises(MissingKeyError, match="encryption="):
        await EVERY[method](plain)
    with pytest.raises(DecryptionError, match="lc_key") as caught:
        await EVERY[method](fresh(sealed, encryption=OTHER))
    assert isinstance(caught.value, CorruptSessionError)
    assert await scan(sealed) == before


async def test_a_session_can_be_deleted_without_its_key(
    sealed: AsyncSessionRepository, plain: AsyncSessionRepository
) -> None:
    """Its pages too: a key that is lost must not leave what nobody can remove."""
    await sealed.append("s", many(20))
    await plain.delete("s")
    assert await scan(sealed) == []


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("method", CHANGES)
@pytest.mark.parametrize("pages", [False, True], ids=["tail", "pages"])
async def test_the_first_change_encrypts_a_plain_session(
    sealed: AsyncSessionRepository, plain: AsyncSessionRepository, method: str, pages: bool, known: bool
) -> None:
    """Whole, with its metadata; what it does is what it does on a plain one."""
    for session in ("s", "model"):
        await plain.append(session, [secret(1), *(many(10) if pages else [secret(2)])])
        await plain.update_metadata(session, {"title": SECRET, "n": 1})
    if known:
        await sealed.read("s")
    assert (await sealed.read("s")).messages == await messages_of(plain)
    await CHANGES[method](sealed)
    await plain.delete("model")
    assert await is_all_sealed(sealed)
    chat = await fresh(sealed).read("s")
    assert chat.metadata == {"title": "b" if method == "update_metadata" else SECRET, "n": 1}
    kept = {"truncate": 1, "replace": 2}.get(method)
    if kept:
        assert chat.message_count == kept
    elif method.startswith("append"):
        assert chat.messages[0] == secret(1)


async def test_ids_of_appends_outlive_the_encryption(
    sealed: AsyncSessionRepository, plain: AsyncSessionRepository
) -> None:
    """An append that is repeated is known again, and at its version a guarded one takes place."""
    await plain.append("s", [secret(1)], idempotency_key="k")
    version = (await plain.read("s")).version
    await sealed.append("s", [secret(2)], expected_version=version)
    await fresh(sealed).append("s", [secret(1)], idempotency_key="k")
    assert await messages_of(sealed) == [secret(1), secret(2)]


async def test_a_plain_writer_comes_too_late(sealed: AsyncSessionRepository, plain: AsyncSessionRepository) -> None:
    """One that knows the session as plain, or as one that is not there, adds nothing to what is encrypted since."""
    await plain.append("s", [secret(1)])
    await sealed.append("s", [secret(2)])
    assert remembered(plain).cipher is None
    before = await scan(sealed)
    for method in CHANGES.values():
        with pytest.raises(MissingKeyError):
            await method(plain)
    assert await scan(sealed) == before


async def test_an_encrypting_writer_that_knows_the_session_as_plain(
    make_repository: RepositoryFactory, sealed: AsyncSessionRepository, plain: AsyncSessionRepository
) -> None:
    """Or under an earlier key: it finds the present one."""
    late = make_repository(sizes=SMALL, encryption=KEY)
    await plain.append("s", [secret(1)])
    await late.read("s")
    await sealed.append("s", [secret(2)])
    await late.append("s", [secret(3)])
    await sealed.reencrypt("s")
    await late.append("s", [secret(4)])
    assert await messages_of(sealed) == [secret(n) for n in (1, 2, 3, 4)]
    assert await is_all_sealed(sealed)


@pytest.mark.parametrize("count", [2, 40])
async def test_what_langchain_community_wrote_is_encrypted_when_it_is_converted(
    make_repository: RepositoryFactory, sealed: AsyncSessionRepository, dynamodb: Any, count: int
) -> None:
    """By the first change."""
    community = make_repository(item_format="community")
    await community.append("s", [HumanMessage(f"{n} {SECRET}") for n in range(count)])
    await sealed.append("s", [secret()])
    assert len(await messages_of(sealed)) == count + 1
    assert await is_all_sealed(sealed)


async def test_what_others_wrote_into_it_is_not_read_as_its_own(sealed: AsyncSessionRepository, dynamodb: Any) -> None:
    """Plain text from outside is an error; a repair takes it out: sealed it would pass for a message of ours."""
    await sealed.append("s", [secret(1)])
    forged = [
        to_attribute(message_to_dict(HumanMessage("forged")), "message", json_only=False),
        {"S": '{"type":"human","content":"forged"}'},
        {"M": {"type": {"S": "human"}, "text": {"S": "forged"}}},
        {"B": pack([b'{"type":"human","content":"forged"}'])},
    ]
    dynamodb.update_item(
        TableName=sealed.table_name,
        Key={"SessionId": {"S": "s"}},
        UpdateExpression="SET History = list_append(History, :more), lc_count = lc_count + :count",
        ExpressionAttributeValues={":more": {"L": forged}, ":count": {"N": "4"}},
    )
    with pytest.raises(CorruptSessionError):
        await fresh(sealed).read("s")
    kept = await fresh(sealed).repair("s")
    assert [one.value for one in kept.removed] == forged[:3]
    report = await fresh(sealed).repair("s", drop_undecodable=True)
    assert [one.value for one in report.removed] == [None]
    assert [message.content for message in await messages_of(sealed)] == [secret(1).content]
    assert b"forged" not in await stored(sealed)


# --- Tampering ---


def items(dynamodb: Any, table: str) -> dict[str, dict[str, Any]]:
    """The stored items by their keys."""
    return {item["SessionId"]["S"]: item for item in dynamodb.scan(TableName=table)["Items"]}


def flipped(value: dict[str, Any]) -> dict[str, Any]:
    """A value of which one byte is another."""
    ((kind, content),) = value.items()
    if kind == "L":
        return {"L": [flipped(content[0]), *content[1:]]}
    return {kind: content[:-1] + bytes([content[-1] ^ 1])}


async def fails(repository: AsyncSessionRepository, caplog: pytest.LogCaptureFixture) -> None:
    """A read says what is wrong, and quotes nothing."""
    with pytest.raises(DecryptionError) as caught:
        await fresh(repository).read("s")
    assert SECRET not in str(caught.value) + caplog.text
    assert "SessionId" in caught.value.item


@pytest.mark.parametrize("attribute", ["lc_key", "History", "lc_metadata", "lc_data"])
@pytest.mark.parametrize("what", ["changed", "of another session", "of an earlier session of that name"])
async def test_nothing_can_be_changed_or_moved(
    sealed: AsyncSessionRepository, dynamodb: Any, caplog: pytest.LogCaptureFixture, attribute: str, what: str
) -> None:
    """Every attribute that holds something secret, changed or taken from elsewhere."""
    caplog.set_level(logging.DEBUG, "langchain_dynamodb")
    for session in ("s", "t"):
        await sealed.append(session, [HumanMessage(SECRET + noise(200)) for _ in range(9)])
        await sealed.append(session, [secret(9)])
        await sealed.update_metadata(session, {"title": SECRET})
    before = items(dynamodb, sealed.table_name)
    if what == "of an earlier session of that name":
        await sealed.delete("s")
        await sealed.append("s", [HumanMessage(SECRET + noise(200)) for _ in range(9)])
        await sealed.append("s", [secret(9)])
        await sealed.update_metadata("s", {"title": SECRET})
    now = items(dynamodb, sealed.table_name)

    def of(found: dict[str, Any], session: str) -> list[str]:
        return sorted(key for key in found if key.startswith(session) and attribute in found[key])

    target = of(now, "s")[0]
    source = before[of(before, "t" if what == "of another session" else "s")[0]]
    value = flipped(now[target][attribute]) if what == "changed" else source[attribute]
    dynamodb.put_item(TableName=sealed.table_name, Item={**now[target], attribute: value})
    await fails(sealed, caplog)


async def test_pages_cannot_be_swapped(
    sealed: AsyncSessionRepository, dynamodb: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Each is bound to its number."""
    await sealed.append("s", [HumanMessage(SECRET + noise(300)) for _ in range(9)])
    pages = [item for item in items(dynamodb, sealed.table_name).values() if "lc_data" in item][:2]
    for one, other in (pages, pages[::-1]):
        dynamodb.put_item(TableName=sealed.table_name, Item={**one, "lc_data": other["lc_data"]})
    await fails(sealed, caplog)


def with_edit(item: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The session item with another edit under way."""
    return {**item, "lc_edit": {"M": {**item["lc_edit"]["M"], **changes}}}


EDITS: dict[str, Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]]] = {
    "changed": lambda mine, other: with_edit(mine, data=flipped(mine["lc_edit"]["M"]["data"])),
    "of another session": lambda mine, other: with_edit(mine, data=other["lc_edit"]["M"]["data"]),
    "an entry of the tail": lambda mine, other: with_edit(mine, data=mine["History"]["L"][0]),
    "plain": lambda mine, other: with_edit(mine, data={"B": pack([b'{"type":"human","content":"forged"}'])}),
    "at another position": lambda mine, other: with_edit(mine, position={"N": "0"}),
    "in another page": lambda mine, other: {**mine, "lc_edited_page": {"N": "0"}},
}


@pytest.mark.parametrize("change", EDITS)
async def test_an_edit_under_way_cannot_be_changed_or_moved(
    sealed: AsyncSessionRepository, dynamodb: Any, caplog: pytest.LogCaptureFixture, change: str
) -> None:
    """It is bound to session, page and position; nor is what was tampered with brought into the page."""
    caplog.set_level(logging.DEBUG, "langchain_dynamodb")
    dying = fresh(sealed)
    watch(dying, Hooked, page_edits_fail)
    for session in ("s", "t"):
        await sealed.append(session, [HumanMessage(SECRET + noise(150), id=str(n)) for n in range(12)])
        await sealed.append(session, [secret(9)])
        (second,) = [c for c in map(Chain.of, await pages_of(sealed, session)) if c.number == 1]
        await dying.update_message(session, HumanMessage(SECRET, id=str(second.first + 1)))
    now = items(dynamodb, sealed.table_name)
    edit, page = now["s"]["lc_edit"]["M"], now["s"]["lc_edited_page"]
    assert (edit["position"] != {"N": "0"}, page != {"N": "0"}) == (True, True)
    tampered = EDITS[change](now["s"], now["t"])
    dynamodb.put_item(TableName=sealed.table_name, Item=tampered)
    await fails(sealed, caplog)
    pages = {name: item for name, item in items(dynamodb, sealed.table_name).items() if "lc_data" in item}
    await fresh(sealed).append("s", [secret(10)])
    with pytest.raises(DecryptionError):
        await fresh(sealed).update_message("s", HumanMessage("new", id="1"))
    after = items(dynamodb, sealed.table_name)
    assert {name: after[name] for name in pages} == pages


async def pages_of(repository: AsyncSessionRepository, session: str) -> list[dict[str, Any]]:
    """The items of its pages."""
    return [item for item in await scan(repository) if item["SessionId"]["S"].startswith(f"{session}~lc~")]


async def page_edits_fail(operation: str, request: Any, proceed: Call) -> dict[str, Any]:
    """No edit comes into its page."""
    if operation == "update_item" and "~lc~" in str(request["Key"]):
        raise ThrottledError("throttled")
    return await proceed()


def tampered(name: str, item: dict[str, Any], others: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any] | None]:
    """An attribute as one may leave it who can write to the table: gone, changed, or that of another item."""
    ((kind, content),) = item[name].items()
    yield None
    forged = {"B": pack([b'{"type":"human","content":"forged"}'])}
    yield from ({"S": "x"}, {"N": "7"}, {"NULL": True}, forged, {"L": [forged]}, {"M": {"title": {"S": "forged"}}})
    yield from (other[name] for other in others if other.get(name, item[name]) != item[name])
    if kind == "N":
        yield from ({"N": str(number)} for number in (0, int(content) - 1, int(content) + 1, int(content) + 10**9))
    elif kind == "L":
        yield from ({"L": changed} for changed in (content[::-1], content[1:], [*content, *content]))
    elif kind in ("S", "B"):
        yield {kind: content[:-1]}
    if kind == "B" or name == "History":
        yield flipped(item[name])


@pytest.mark.once
async def test_no_attribute_makes_messages(sealed: AsyncSessionRepository, dynamodb: Any) -> None:
    """Each of the session's items, tampered with: an error of ours, or messages that this session has, or had."""
    sessions = fresh(sealed, blobs=MemoryBlobs(threshold=2000), ttl=3600)
    dying = fresh(sessions)
    watch(dying, Hooked, page_edits_fail)
    had: set[str] = set()
    metadata: dict[str, Any] = {"title": SECRET}

    async def write(session: str) -> None:
        """A session with pages, an object, a tail and metadata, and an edit under way."""
        given = [HumanMessage(SECRET + noise(150), id=f"{session}{n}") for n in range(9)]
        await sessions.append(session, given)
        await sessions.append(session, [human(5000)], idempotency_key="k")
        for message in (secret(1), secret(2)):
            await sessions.append(session, [HumanMessage(f"{session} {message.text}")])
        await sessions.update_metadata(session, metadata)
        had.update(message.text for message in await messages_of(sessions, session) if session == "s")
        await dying.update_message(session, HumanMessage(f"{session} edited", id=f"{session}4"))
        had.update(message.text for message in await messages_of(sessions, session) if session == "s")

    await write("s")
    earlier = items(dynamodb, sealed.table_name)
    await sessions.delete("s")
    had.clear()
    for session in ("s", "t"):
        await write(session)
    now = items(dynamodb, sealed.table_name)
    assert {"lc_key", "lc_metadata", "lc_edit", "lc_bucket", "lc_page_ops", "expireAt"} <= now["s"].keys()
    outcomes: Counter[str] = Counter()
    for place, item in now.items():
        if not place.startswith("s"):
            continue
        others = [other for where, other in [*now.items(), *earlier.items()] if other is not item]
        for name in item.keys() - {"SessionId"}:
            for value in tampered(name, item, others):
                changed = {**item, name: value}
                dynamodb.put_item(TableName=sealed.table_name, Item={n: v for n, v in changed.items() if v is not None})
                (read,) = await asyncio.gather(fresh(sessions).read("s"), return_exceptions=True)
                outcomes[type(read).__name__] += 1
                if isinstance(read, BaseException):
                    assert isinstance(read, ChatHistoryError), (place, name, value)
                    assert SECRET not in f"{read} {read.__cause__}"
                else:
                    assert {message.text for message in read.messages} <= had, (place, name, value)
                    assert read.metadata in ({}, metadata)
        dynamodb.put_item(TableName=sealed.table_name, Item=item)
    print(f"\n{dict(outcomes)}")
    assert {"ChatSession", "DecryptionError", "BlobDamagedError"} <= outcomes.keys()


@pytest.mark.parametrize("what", ["references", "references and objects"])
async def test_large_data_cannot_be_swapped(sealed: AsyncSessionRepository, dynamodb: Any, what: str) -> None:
    """What a reference leads to is of its own page; who can write to the bucket too, is found out by the cipher."""
    bucket = MemoryBlobs(threshold=1000)
    sessions = fresh(sealed, blobs=bucket)
    for number in range(2):
        await sessions.append("s", [HumanMessage(noise(9000), id=str(number))])
    now = items(dynamodb, sealed.table_name)
    one, other = sorted(name for name in now if "S" in now[name].get("lc_data", {}))
    references = [now[name]["lc_data"]["S"].split(" ") for name in (one, other)]
    if what == "references":
        swapped = references[::-1]
    else:  # each page gets size and hash of the other's object, which is put under the name of its own
        names = sorted(bucket.objects)
        bucket.objects.update(zip(names, [bucket.objects[name] for name in names[::-1]], strict=True))
        swapped = [[references[i][0], *references[1 - i][1:]] for i in (0, 1)]
    for name, reference in zip((one, other), swapped, strict=True):
        dynamodb.put_item(TableName=sealed.table_name, Item={**now[name], "lc_data": {"S": " ".join(reference)}})
    expected = BlobDamagedError if what == "references" else DecryptionError
    with pytest.raises(expected, match="lc_data"):
        await fresh(sessions).read("s")


@pytest.mark.parametrize("attribute", ["lc_key", "History", "lc_metadata"])
async def test_what_is_plain_is_not_taken_for_encrypted(
    sealed: AsyncSessionRepository, plain: AsyncSessionRepository, dynamodb: Any, attribute: str
) -> None:
    """A plain value in an encrypted session is none of its own; nor is the key missing of what is encrypted."""
    await sealed.append("s", [secret(1)])
    await sealed.update_metadata("s", {"title": SECRET})
    await plain.append("p", [HumanMessage("forged")])
    await plain.update_metadata("p", {"title": "forged"})
    now = items(dynamodb, sealed.table_name)
    item = {**now["s"], attribute: now["p"].get(attribute)}
    dynamodb.put_item(TableName=sealed.table_name, Item={n: v for n, v in item.items() if v is not None})
    for reader in (fresh(sealed), fresh(plain)):
        with pytest.raises((CorruptSessionError, MissingKeyError)):
            await reader.read("s")


async def test_skip_undecodable_leaves_out_what_was_tampered_with(
    make_repository: RepositoryFactory, sealed: AsyncSessionRepository, dynamodb: Any
) -> None:
    """As anything else that cannot be read; a repair takes it out."""
    await sealed.append("s", [secret(1)])
    await sealed.append("s", [secret(2)])
    item = items(dynamodb, sealed.table_name)["s"]
    dynamodb.put_item(TableName=sealed.table_name, Item={**item, "History": flipped(item["History"])})
    assert (await fresh(sealed, skip_undecodable=True).read("s")).messages == [secret(2)]
    await fresh(sealed).repair("s", drop_undecodable=True)
    assert await messages_of(sealed) == [secret(2)]


# --- Other keys ---


@pytest.mark.parametrize("count", [2, 40])
async def test_rotation(sealed: AsyncSessionRepository, count: int) -> None:
    """`reencrypt` brings a session to the present key: then the old one is not needed any more."""
    model: list[BaseMessage] = [secret(n) for n in range(count)]
    await sealed.append("s", model[:-1])
    await sealed.append("s", model[-1:], idempotency_key="k")
    await sealed.update_metadata("s", {"title": SECRET})
    await sealed.set_expiry("s", 1000)
    await sealed.update_message("s", HumanMessage("other", id="m1"))
    model[1] = HumanMessage("other", id="m1")
    before = await sealed.read("s")
    rotating = fresh(sealed, encryption=LocalKeyring(b"n" * 32, old=[b"k" * 32]))
    assert (await rotating.read("s")).messages == model
    await rotating.reencrypt("s")
    after = await fresh(sealed, encryption=LocalKeyring(b"n" * 32)).read("s")
    assert (after.messages, after.metadata, after.expires_at) == (model, before.metadata, before.expires_at)
    with pytest.raises(DecryptionError):
        await fresh(sealed).read("s")


@pytest.mark.parametrize("count", [2, 40])
async def test_decryption(sealed: AsyncSessionRepository, plain: AsyncSessionRepository, count: int) -> None:
    """With `plain` the session can be read and changed without a key."""
    await sealed.append("s", [secret(n) for n in range(count)])
    await sealed.update_metadata("s", {"title": SECRET})
    version = await sealed.reencrypt("s", plain=True)
    assert await sealed.reencrypt("s", plain=True) == version
    await plain.append("s", [secret(count)])
    chat = await fresh(plain).read("s")
    assert (chat.messages, chat.metadata) == ([secret(n) for n in range(count + 1)], {"title": SECRET})
    with pytest.raises(SettingsError, match="encryption="):
        await plain.reencrypt("s")
    with pytest.raises(SessionNotFoundError):
        await sealed.reencrypt("none")


async def test_a_key_for_each_tenant(make_repository: RepositoryFactory) -> None:
    """What a function says of a session encrypts it; without its key, its sessions are unreadable and listed so."""
    keys: dict[str, Keyring] = {"a": KEY, "b": OTHER}
    sessions = make_repository(encryption=lambda session: keys[session[0]])
    for name in ("a1", "b1"):
        await sessions.append(name, [secret()])
        await sessions.update_metadata(name, {"title": f"of {name}"})
    keys["b"] = LocalKeyring(b"x" * 32)
    assert await messages_of(sessions, "a1") == [secret()]
    with pytest.raises(DecryptionError):
        await messages_of(sessions, "b1")
    listed = {one.session: one async for one in fresh(sessions).list()}
    assert (listed["a1"].metadata, listed["a1"].error) == ({"title": "of a1"}, None)
    assert (listed["b1"].metadata, listed["b1"].message_count) == ({}, 1)
    assert "lc_key" in str(listed["b1"].error)


async def test_a_function_that_returns_no_keyring(make_repository: RepositoryFactory) -> None:
    """It is told so, and nothing is written."""
    sessions = make_repository(encryption=lambda session: None)
    with pytest.raises(KeyUnavailableError, match="NoneType"):
        await sessions.append("s", [secret()])
    assert await scan(sessions) == []


async def _async_function(session: object) -> None:
    """No function that can be asked."""


@pytest.mark.parametrize("wrong", [LocalKeyring, _async_function, 5, "alias/chats"])
def test_what_is_no_keyring(wrong: object) -> None:
    """A class, a function that is async: refused at construction."""
    with pytest.raises(InvalidInputError, match="give a keyring"):
        AsyncSessionRepository("Table", encryption=wrong)  # type: ignore[arg-type]


async def test_a_session_without_a_key_hides_no_other(make_repository: RepositoryFactory) -> None:
    """The function knows no key of it: the listing shows it with an error."""
    keyrings = {"a": LocalKeyring(bytes(32)), "b": LocalKeyring(bytes(32))}
    sessions = make_repository(encryption=lambda session: keyrings[session])
    for name in "ab":
        await sessions.append(name, [secret()])
        await sessions.update_metadata(name, {"title": name})
    del keyrings["b"]
    found = {summary.session: summary async for summary in make_repository(encryption=lambda s: keyrings[s]).list()}
    assert (found["a"].metadata, found["a"].error) == ({"title": "a"}, None)
    assert "raised KeyError" in str(found["b"].error)


async def test_a_session_that_is_there_needs_no_new_key(make_repository: RepositoryFactory) -> None:
    """Whoever may only unwrap keys can go on with it, also a process that has not seen it."""

    class Unwrapping(LocalKeyring):
        async def generate(self) -> DataKey:
            raise KeyUnavailableError("not allowed", code="AccessDeniedException")

    await make_repository(encryption=LocalKeyring(bytes(32))).append("s", [secret(1)])
    sessions = make_repository(encryption=Unwrapping(bytes(32)))
    await sessions.append("s", [secret(2)])
    assert await messages_of(sessions) == [secret(1), secret(2)]
    with pytest.raises(KeyUnavailableError, match="not allowed"):
        await sessions.append("new", [secret(3)])


def test_an_empty_kms_key_id_is_no_wish_for_plain_text() -> None:
    """As from a variable of the environment that is not set."""
    with pytest.raises(InvalidInputError, match="key of KMS"):
        DynamoDBChatMessageHistory("Table", "s", kms_key_id="")


async def test_listing(sealed: AsyncSessionRepository, plain: AsyncSessionRepository) -> None:
    """Titles of encrypted and plain sessions; who has no key gets the rest."""
    await sealed.append("s", [secret()])
    await sealed.update_metadata("s", {"title": SECRET})
    await plain.append("p", [secret()])
    await plain.update_metadata("p", {"title": "open"})
    assert {one.session: one.metadata async for one in fresh(sealed).list()} == {
        "s": {"title": SECRET},
        "p": {"title": "open"},
    }
    listed = {one.session: one async for one in plain.list()}
    assert (listed["s"].metadata, listed["s"].message_count, listed["p"].error) == ({}, 1, None)
    assert "encryption=" in str(listed["s"].error)


async def test_a_history(sealed: AsyncSessionRepository) -> None:
    """The LangChain adapter over it."""
    await sealed.history("s").aadd_messages([secret()])
    assert await fresh(sealed).history("s").aget_messages() == [secret()]
    assert await is_all_sealed(sealed)


def test_what_cannot_be_encrypted(make_repository: RepositoryFactory) -> None:
    """Items of langchain_community, and by what is no keyring."""
    with pytest.raises(SettingsError, match="community"):
        make_repository(encryption=KEY, item_format="community")
    with pytest.raises(InvalidInputError, match="bytes"):
        make_repository(encryption=b"k" * 32)


async def test_many_writers(make_repository: RepositoryFactory, plain: AsyncSessionRepository) -> None:
    """Encrypting writers race on a plain session: all of theirs is there once, and nothing plain."""
    await plain.append("s", many(12))
    writers = [make_repository(sizes=SMALL, encryption=KEY) for _ in range(4)]
    given = [[secret(10 * w + n) for n in range(5)] for w in range(4)]

    async def write(writer: AsyncSessionRepository, messages: list[HumanMessage]) -> None:
        for message in messages:
            await writer.append("s", [message])

    await asyncio.gather(*map(write, writers, given))
    found = (await messages_of(writers[0]))[12:]
    assert sorted(found, key=lambda m: str(m.id)) == sorted(chain.from_iterable(given), key=lambda m: str(m.id))
    assert await is_all_sealed(writers[0])
