"""TTL stamps as other programs write them: what DynamoDB ignores expires nothing, and hides nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.messages import BaseMessage, HumanMessage

from langchain_dynamodb import AsyncSessionRepository
from support import SMALL, human, many, scan

if TYPE_CHECKING:
    from conftest import RepositoryFactory

pytestmark = pytest.mark.once

NOW = 1_800_000_000  # where the tests' clock begins
DAY = 24 * 3600
YEAR = 365 * DAY
NEW: list[BaseMessage] = [HumanMessage("new")]

NEVER: dict[str, dict[str, Any]] = {
    "milliseconds": {"N": str((NOW + 999) * 1000)},
    "38 digits": {"N": "9" * 38},
    "1E+125": {"N": "1E+125"},
    "zero": {"N": "0"},
    "negative": {"N": "-5"},
    "six years ago": {"N": str(NOW - 6 * YEAR)},
    "text": {"S": "2027-01-01T00:00:00Z"},
    "number as text": {"S": str(NOW - DAY)},
    "empty text": {"S": ""},
    "null": {"NULL": True},
    "bool": {"BOOL": False},
    "binary": {"B": b"1"},
    "list": {"L": [{"N": str(NOW - DAY)}]},
    "map": {"M": {"N": {"N": "1"}}},
    "set": {"NS": ["1"]},
}
LATER: dict[str, tuple[dict[str, Any], int]] = {
    "seconds": ({"N": str(NOW + DAY)}, NOW + DAY),
    "a fraction": ({"N": f"{NOW + DAY}.25"}, NOW + DAY + 1),
    "an exponent": ({"N": "1.9E+9"}, 1_900_000_000),
}
PAST: dict[str, dict[str, Any]] = {
    "seconds": {"N": str(NOW - DAY)},
    "a fraction": {"N": f"{NOW - DAY}.75"},
    "four years ago": {"N": str(NOW - 4 * YEAR)},
}
OLD = {"M": {"type": {"S": "human"}, "data": {"M": {"content": {"S": "old"}, "type": {"S": "human"}}}}}


async def stored(make: RepositoryFactory, dynamodb: Any, kind: str, stamp: dict[str, Any]) -> list[BaseMessage]:
    """Session "s" with this stamp, ours, with pages, or of langchain_community; returns its messages."""
    table = make().table_name
    key = {"SessionId": {"S": "s"}}
    if kind == "community":
        dynamodb.put_item(TableName=table, Item={**key, "History": {"L": [OLD]}, "expireAt": stamp})
        return [HumanMessage("old")]
    sent = many(9 if kind == "pages" else 2, 90)
    for message in sent:
        await make(sizes=SMALL).append("s", [message])
    change = {"UpdateExpression": "SET expireAt = :x", "ExpressionAttributeValues": {":x": stamp}}
    dynamodb.update_item(TableName=table, Key=key, **change)
    return sent


async def stamp_of(sessions: AsyncSessionRepository) -> dict[str, Any] | None:
    """What is stored on the session item."""
    (stamp,) = [item.get("expireAt") for item in await scan(sessions) if "lc_cut" not in item]
    return stamp


@pytest.mark.parametrize("kind", ["tail", "pages", "community"])
@pytest.mark.parametrize("name", NEVER)
async def test_what_dynamodb_ignores_expires_nothing(
    make_repository: RepositoryFactory, dynamodb: Any, name: str, kind: str
) -> None:
    """Read, listed, appended to with and without a look, changed: the session goes on, and the stamp stays."""
    make_repository.set_clock()
    stamp = NEVER[name]
    messages = await stored(make_repository, dynamodb, kind, stamp)
    kept = (await stamp_of(make_repository())) or {}
    sessions = make_repository(sizes=SMALL)
    chat = await sessions.read("s")
    assert (chat.messages, chat.expires_at) == (messages, None)
    assert [(s.session, s.expires_at) async for s in sessions.list()] == [("s", None)]
    for _ in range(3):
        await sessions.append("s", NEW)
        await make_repository(sizes=SMALL).append("s", NEW)
    await sessions.update_metadata("s", {"title": "t"})
    await sessions.truncate("s", keep=len(messages) + 5)
    await sessions.append("s", many(6, 300))
    chat = await make_repository().read("s")
    assert chat.messages[: len(messages) + 5] == [*messages, *NEW * 5]
    assert (chat.message_count, chat.expires_at) == (len(messages) + 11, None)
    assert await stamp_of(sessions) == kept
    assert all("expireAt" not in item for item in await scan(sessions) if "lc_cut" in item)
    await sessions.delete("s")
    assert await scan(sessions) == []


@pytest.mark.parametrize("kind", ["tail", "pages", "community"])
@pytest.mark.parametrize("name", NEVER)
async def test_a_ttl_of_ours_takes_its_place(
    make_repository: RepositoryFactory, dynamodb: Any, name: str, kind: str
) -> None:
    """A repository with `ttl` writes a number there, by an append without a look or any other change."""
    make_repository.set_clock()
    messages = await stored(make_repository, dynamodb, kind, NEVER[name])
    sessions = make_repository(sizes=SMALL, ttl=DAY)
    await sessions.append("s", NEW)
    stamp = await stamp_of(sessions)
    assert stamp is not None
    assert NOW + DAY <= int(stamp["N"]) <= NOW + DAY + 60
    chat = await sessions.read("s")
    assert chat.expires_at is not None
    assert chat.messages == [*messages, *NEW]


@pytest.mark.parametrize("kind", ["tail", "community"])
@pytest.mark.parametrize("name", LATER)
async def test_what_dynamodb_will_expire(
    make_repository: RepositoryFactory, dynamodb: Any, name: str, kind: str
) -> None:
    """Fractions and exponents are read, shown as whole seconds, and left as they are; the session ends in time."""
    clock = make_repository.set_clock()
    stamp, seconds = LATER[name]
    messages = await stored(make_repository, dynamodb, kind, stamp)
    kept = await stamp_of(make_repository())
    sessions = make_repository()
    await sessions.append("s", NEW)
    chat = await sessions.read("s")
    assert chat.messages == [*messages, *NEW]
    assert chat.expires_at is not None
    assert chat.expires_at.timestamp() == seconds
    assert [s.expires_at async for s in sessions.list()] == [chat.expires_at]
    await sessions.update_metadata("s", {"title": "t"})
    assert await stamp_of(sessions) == kept
    clock.now = (seconds - 1) * 1_000_000
    assert (await sessions.read("s")).version
    clock.now = seconds * 1_000_000
    assert (await sessions.read("s")).version == 0
    assert [s async for s in sessions.list()] == []
    await sessions.append("s", NEW)
    assert (await sessions.read("s")).messages == NEW


@pytest.mark.parametrize("kind", ["tail", "pages", "community"])
@pytest.mark.parametrize("name", PAST)
async def test_what_has_expired(make_repository: RepositoryFactory, dynamodb: Any, name: str, kind: str) -> None:
    """Within the last five years it is the past, in whatever notation: absent for all."""
    make_repository.set_clock()
    await stored(make_repository, dynamodb, kind, PAST[name])
    sessions = make_repository(sizes=SMALL)
    assert (await sessions.read("s")).version == 0
    assert [s async for s in sessions.list()] == []
    await sessions.append("s", NEW)
    assert (await make_repository().read("s")).messages == NEW
    assert len(await scan(sessions)) == 1


@pytest.mark.parametrize("name", NEVER)
async def test_in_the_community_format(make_repository: RepositoryFactory, dynamodb: Any, name: str) -> None:
    """The same for a fleet that still runs langchain_community."""
    make_repository.set_clock()
    await stored(make_repository, dynamodb, "community", NEVER[name])
    kept = await stamp_of(make_repository())
    sessions = make_repository(item_format="community")
    await sessions.append("s", NEW)
    await sessions.append("s", NEW, history_size=2)
    await sessions.update_metadata("s", {}, attributes={"user": "u1"})
    assert (await sessions.read("s")).messages == NEW * 2
    assert await stamp_of(sessions) == kept
    await make_repository(item_format="community", ttl=DAY).replace("s", NEW)
    chat = await sessions.read("s")
    assert chat.messages == NEW
    assert chat.expires_at is not None
    await sessions.delete("s")
    assert await scan(sessions) == []


async def test_stamps_of_others_on_pages(make_repository: RepositoryFactory, dynamodb: Any) -> None:
    """They are DynamoDB's business: a page that is there is read."""
    make_repository.set_clock()
    messages = await stored(make_repository, dynamodb, "pages", {"N": str(NOW + DAY)})
    table = make_repository().table_name
    for stamp in (*NEVER.values(), *PAST.values()):
        for item in await scan(make_repository()):
            if "lc_cut" in item:
                dynamodb.put_item(TableName=table, Item={**item, "expireAt": stamp})
        assert (await make_repository().read("s")).messages == messages


async def test_pages_do_not_expire_before_a_session_that_never_does(
    make_repository: RepositoryFactory, dynamodb: Any
) -> None:
    """A stamp of just over five years ago: thirty days more would be within them, and the page would be deleted."""
    make_repository.set_clock()
    messages = await stored(make_repository, dynamodb, "tail", {"N": str(NOW - 5 * YEAR - DAY)})
    sessions = make_repository(sizes=SMALL)
    for _ in range(9):
        messages += (sent := [human(90)])
        await sessions.append("s", sent)
    assert {"lc_cut" in item for item in await scan(sessions)} == {True, False}
    assert all("expireAt" not in item for item in await scan(sessions) if "lc_cut" in item)
    assert (await make_repository().read("s")).messages == messages
