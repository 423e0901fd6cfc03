"""`set_expiry`: a session's own time, or none any more."""

from __future__ import annotations

from typing import Any

import pytest

from conftest import RepositoryFactory
from langchain_dynamodb import SessionRepository
from langchain_dynamodb.errors import InvalidInputError, SessionNotFoundError, VersionConflictError
from support import SMALL, Recorder, human, many, scan, watch

pytestmark = pytest.mark.once

DAY = 24 * 3600
START = 1_800_000_000
FORMATS = pytest.mark.parametrize("item_format", ["pages", "community"])


@FORMATS
async def test_made_permanent(make_repository: RepositoryFactory, item_format: Any) -> None:
    """No stamp is left on any item, the messages stay, and it is a change of the session."""
    clock = make_repository.set_clock()
    expiring = make_repository(ttl=DAY, item_format=item_format, sizes=SMALL)
    sent = many(6, 300)
    before = await expiring.append("s", sent)
    sessions = make_repository(item_format=item_format, sizes=SMALL)
    version = await sessions.set_expiry("s", None, expected_version=before)
    assert (version > before) or item_format == "community"
    assert [item for item in await scan(sessions) if "expireAt" in item] == []
    clock.advance(10 * 365 * DAY)
    chat = await sessions.read("s")
    assert (chat.version, chat.expires_at, chat.messages) == (version, None, sent)
    await sessions.append("s", [human(300)])  # by one without ttl: it stays so
    assert [item for item in await scan(sessions) if "expireAt" in item] == []
    await expiring.append("s", [human(300)])  # and one with a ttl sets it again
    assert (await sessions.read("s")).expires_at is not None
    assert [item for item in await scan(sessions) if "expireAt" not in item] == []


@FORMATS
@pytest.mark.parametrize("ttl", [None, DAY])
async def test_seconds_from_now(make_repository: RepositoryFactory, item_format: Any, ttl: int | None) -> None:
    """Shorter, longer or for the first time; an expired session is gone."""
    clock = make_repository.set_clock()
    sessions = make_repository(ttl=ttl, item_format=item_format, sizes=SMALL)
    await sessions.append("s", many(6, 300))
    for seconds in (100, 50, 400 * DAY, 1):
        await sessions.set_expiry("s", seconds)
        chat = await sessions.read("s")
        assert chat.expires_at is not None
        assert chat.expires_at.timestamp() == START + seconds + 1
        assert min(int(item["expireAt"]["N"]) for item in await scan(sessions)) == START + seconds + 1
    clock.advance(3)
    assert (await sessions.read("s")).version == 0


@FORMATS
@pytest.mark.parametrize("seconds", [None, 60])
async def test_it_begins_no_session(make_repository: RepositoryFactory, item_format: Any, seconds: int | None) -> None:
    """One that is not there stays so; a wrong version is a conflict."""
    sessions = make_repository(ttl=DAY, item_format=item_format)
    with pytest.raises(SessionNotFoundError, match="append without must_exist"):  # it has no must_exist of its own
        await sessions.set_expiry("s", seconds)
    with pytest.raises(SessionNotFoundError):
        await sessions.set_expiry("s", seconds, expected_version=0)
    assert await scan(sessions) == []
    version = await sessions.append("s", [human()])
    for wrong in (0, version + 1):
        with pytest.raises(VersionConflictError):
            await sessions.set_expiry("s", seconds, expected_version=wrong)


@pytest.mark.parametrize("seconds", [0, -1, 1.5, True, "60", 10**10])
async def test_bad_values(make_repository: RepositoryFactory, seconds: Any) -> None:
    """Refused before anything is sent."""
    sessions = make_repository()
    recorder: Recorder = watch(sessions, Recorder)
    with pytest.raises(InvalidInputError, match=r"seconds=.* must be a positive number of whole seconds below"):
        await sessions.set_expiry("s", seconds)
    assert recorder.log == []


def test_without_asyncio(engine: Any, table_name: str) -> None:
    """The facade has it too."""
    with SessionRepository(table_name, endpoint_url=engine.endpoint_url, ttl=DAY) as sessions:
        sessions.append("s", [human()])
        version = sessions.set_expiry("s", None)
        chat = sessions.read("s")
        assert (chat.version, chat.expires_at) == (version, None)


@FORMATS
@pytest.mark.parametrize("stamp", [{"S": "never"}, {"N": "1800000000000"}, {"N": "253402300799"}], ids=str)
async def test_what_others_stored_as_an_expiry(
    make_repository: RepositoryFactory, dynamodb: Any, item_format: Any, stamp: Any
) -> None:
    """Text, milliseconds or the last second there is: removed, or replaced by a time that is one."""
    sessions = make_repository(item_format=item_format, sizes=SMALL)
    for seconds in (None, 3600):
        await sessions.append("s", many(6, 300))
        dynamodb.update_item(
            TableName=sessions.table_name,
            Key={"SessionId": {"S": "s"}},
            UpdateExpression="SET expireAt = :t",
            ExpressionAttributeValues={":t": stamp},
        )
        await sessions.append("s", [human(300)])
        await sessions.set_expiry("s", seconds)
        assert ((await sessions.read("s")).expires_at is None) == (seconds is None)
        stamped = ["expireAt" in item for item in await scan(sessions)]
        assert set(stamped) == {seconds is not None}
        await sessions.delete("s")
