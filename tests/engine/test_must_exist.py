"""Changes that come late bring no session back: `must_exist`, the default where nothing is being begun."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from conftest import RepositoryFactory
from langchain_dynamodb import AsyncSessionRepository, DynamoDBChatMessageHistory, SessionRepository
from langchain_dynamodb.errors import (
    InvalidInputError,
    OutcomeUnknownError,
    SessionNotFoundError,
    VersionConflictError,
)
from support import SMALL, At, Meter, Recorder, Scripted, human, many, no_answer, scan, watch

pytestmark = [pytest.mark.once, pytest.mark.any_engine]

Change = Callable[[AsyncSessionRepository], Awaitable[object]]
CHANGES: dict[str, Change] = {
    "append": lambda s: s.append("s", [human()], must_exist=True),
    "append of nothing": lambda s: s.append("s", [], must_exist=True),
    "bounded append": lambda s: s.append("s", [human()], must_exist=True, history_size=2),
    "append with a key": lambda s: s.append("s", [human()], must_exist=True, idempotency_key="k"),
    "append with attributes": lambda s: s.append("s", [human()], must_exist=True, attributes={"user": "u"}),
    "batch": lambda s: s.append("s", many(12, 300), must_exist=True),
    "replace": lambda s: s.replace("s", [human()], must_exist=True),
    "large replace": lambda s: s.replace("s", many(12, 300), must_exist=True),
    "empty replace": lambda s: s.replace("s", [], must_exist=True),
    "truncate": lambda s: s.truncate("s", keep=1),
    "attributes": lambda s: s.update_metadata("s", {}, attributes={"user": "u"}),
    "history": lambda s: s.history("s", must_exist=True).aadd_messages([human()]),
    "metadata": lambda s: s.update_metadata("s", {"title": "t"}),
    "empty metadata": lambda s: s.update_metadata("s", {}),
}
ONLY_PAGES = ("metadata", "empty metadata")  # the community format has no metadata
EACH = [
    (change, item_format)
    for item_format in ("pages", "community")
    for change in CHANGES
    if item_format == "pages" or change not in ONLY_PAGES
]


def knows(repository: AsyncSessionRepository) -> bool:
    """Whether the repository remembers the session's state, and so appends without a look."""
    return repository._reader.known.get(repository._key("s")) is not None


@pytest.mark.parametrize(("change", "item_format"), EACH)
@pytest.mark.parametrize("absence", ["never begun", "deleted", "deleted behind its back", "expired"])
async def test_no_change_brings_a_session_back(
    make_repository: RepositoryFactory, change: str, item_format: Any, absence: str
) -> None:
    """Whatever the writer knows of the session: it is refused, and nothing of it is there afterwards."""
    clock = make_repository.set_clock()
    writer, other = (make_repository(item_format=item_format, sizes=SMALL, ttl=100) for _ in range(2))
    if absence != "never begun":
        await writer.append("s", [human()])
        assert knows(writer) == (item_format == "pages")
    if absence == "deleted":
        await writer.delete("s")
    elif absence == "deleted behind its back":
        await other.delete("s")
    elif absence == "expired":
        clock.advance(102)
    with pytest.raises(SessionNotFoundError, match=r"no session SessionId='s': .* append without must_exist"):
        await CHANGES[change](writer)
    assert (await other.read("s")).version == 0
    assert [summary async for summary in other.list()] == []
    if absence != "expired" or "append of" not in change:  # which only reads
        assert await scan(other) == []


@pytest.mark.parametrize(("change", "item_format"), EACH)
@pytest.mark.parametrize("known", [True, False], ids=["session known", "session not known"])
async def test_where_there_is_one_it_makes_no_difference(
    make_repository: RepositoryFactory, change: str, item_format: Any, known: bool
) -> None:
    """The same is stored by the same requests: the condition says it, and no look comes before."""
    outcomes = []
    for must_exist in (True, False):
        sessions, other = (make_repository(item_format=item_format, sizes=SMALL) for _ in range(2))
        await (sessions if known else other).append("s", many(3, 60))
        meter: Meter = watch(sessions, Meter)
        await _with(sessions, must_exist, CHANGES[change])
        chat = await other.read("s")
        outcomes.append((dict(meter.requests), chat.message_count, chat.metadata, chat.attributes))
        await other.delete("s")
    assert outcomes[0] == outcomes[1]
    assert bool(outcomes[0][1]) == (change != "empty replace")


async def _with(sessions: AsyncSessionRepository, must_exist: bool, change: Change) -> None:
    """Carry out a change with this value of `must_exist`, whatever it says itself."""

    class Saying:
        def __getattr__(self, name: str) -> Any:
            method = getattr(sessions, name)
            return lambda *args, **options: method(*args, **{**options, "must_exist": must_exist})

    await change(Saying())  # type: ignore[arg-type]


async def test_an_append_is_one_request(make_repository: RepositoryFactory) -> None:
    """In the normal case, by a process that knows nothing of the session."""
    await make_repository().append("s", [human()])
    sessions = make_repository()
    recorder: Recorder = watch(sessions, Recorder)
    await sessions.append("s", [human()], must_exist=True)
    assert [operation for operation, _ in recorder.log] == ["update_item"]


@pytest.mark.parametrize("item_format", ["pages", "community"])
@pytest.mark.parametrize("change", ["append", "batch", "replace", "truncate", "attributes"])
async def test_a_lost_answer_and_then_a_delete(
    make_repository: RepositoryFactory, change: str, item_format: Any
) -> None:
    """It may have happened, and no longer shows: that is said, and the session stays deleted."""
    writer, other = (make_repository(item_format=item_format, sizes=SMALL) for _ in range(2))
    await other.append("s", many(3, 60))
    last = 2 if (change, item_format) == ("batch", "pages") else 1  # which declares what it is going to write first
    deleted = At("update_item", last, then=lambda: other.delete("s"), error=no_answer())
    script: Scripted = watch(writer, Scripted, deleted)
    with pytest.raises(OutcomeUnknownError):
        await CHANGES[change](writer)
    assert script.is_over
    assert await scan(other) == []


@pytest.mark.parametrize("item_format", ["pages", "community"])
@pytest.mark.parametrize("change", ["append", "append with attributes", "bounded append", "replace", "attributes"])
async def test_a_late_copy(make_repository: RepositoryFactory, change: str, item_format: Any) -> None:
    """The very request, delivered again after the session was deleted, finds nothing to change."""
    writer, other = (make_repository(item_format=item_format) for _ in range(2))
    await other.append("s", many(3, 60))
    recorder: Recorder = watch(writer, Recorder)
    await CHANGES[change](writer)
    await other.delete("s")
    for operation, request in recorder.log:
        if operation == "update_item":
            with pytest.raises(Exception, match="condition"):
                await recorder.inner.call(operation, request, write=True)
    assert await scan(other) == []


@pytest.mark.parametrize("ttl", [1000, None])
@pytest.mark.parametrize("item_format", ["pages", "community"])
@pytest.mark.parametrize("change", ["append", "batch", "attributes"])
async def test_a_request_made_before_the_expiry_that_arrives_after_it(
    make_repository: RepositoryFactory, change: str, item_format: Any, ttl: int | None
) -> None:
    """It counts as of when it was made, where nobody has removed the item: with a ttl the session goes on, as a whole.

    Without one the old stamp stays, and the change is gone with the session.
    """
    clock = make_repository.set_clock()
    writer = make_repository(item_format=item_format, sizes=SMALL, ttl=ttl)
    await make_repository(item_format=item_format, ttl=10).append("s", many(3, 60))
    before = await writer.read("s")

    async def expire() -> None:
        clock.advance(20)

    script: Scripted = watch(writer, Scripted, At("update_item", first=expire))
    await CHANGES[change](writer)
    assert script.is_over
    chat = await writer.read("s")
    if ttl is None:
        assert (chat.version, chat.messages) == (0, [])
    else:
        assert chat.messages[:3] == before.messages
        assert len(chat.messages) == 3 + {"append": 1, "batch": 12, "attributes": 0}[change]


@pytest.mark.parametrize("item_format", ["pages", "community"])
async def test_version_0_says_that_it_must_not_exist(make_repository: RepositoryFactory, item_format: Any) -> None:
    """So it overrides the default; where both are demanded by name, nothing can satisfy that, and nothing is begun."""
    sessions = make_repository(item_format=item_format)
    assert await sessions.truncate("s", keep=0, expected_version=0) == 0
    for call in (sessions.append, sessions.replace):
        with pytest.raises(SessionNotFoundError):
            await call("s", [human()], expected_version=0, must_exist=True)
    assert await scan(sessions) == []
    version = await sessions.update_metadata("s", {}, attributes={"user": "u"}, expected_version=0)
    assert (await sessions.read("s")).version == version
    for call in (sessions.append, sessions.replace):
        with pytest.raises(VersionConflictError):
            await call("s", [human()], expected_version=0, must_exist=True)


async def test_another_expected_version_is_a_conflict(make_repository: RepositoryFactory) -> None:
    """Which tells that there is none by its actual version, 0, as ever."""
    sessions = make_repository()
    version = await sessions.append("s", [human()])
    await sessions.delete("s")
    for change in (
        lambda: sessions.append("s", [human()], expected_version=version, must_exist=True),
        lambda: sessions.truncate("s", keep=0, expected_version=version),
        lambda: sessions.update_metadata("s", {"a": 1}, expected_version=version),
    ):
        with pytest.raises(VersionConflictError) as caught:
            await change()
        assert (caught.value.expected, caught.value.actual) == (version, 0)


@pytest.mark.parametrize("item_format", ["pages", "community"])
async def test_begun_where_that_is_said(make_repository: RepositoryFactory, item_format: Any) -> None:
    """``must_exist=False`` lets `update_metadata` begin a session without messages; a truncated nothing is nothing."""
    sessions = make_repository(item_format=item_format)
    assert await sessions.truncate("s", keep=0, must_exist=False) == 0
    version = await sessions.update_metadata("s", {}, attributes={"user": "u"}, must_exist=False)
    chat = await sessions.read("s")
    assert (chat.version, chat.messages, chat.attributes) == (version, [], {"user": "u"})


async def test_composite_and_binary_keys(make_repository: RepositoryFactory, make_table: Any) -> None:
    """Whatever the key looks like."""
    for names, key in ((("PK", "SK"), {"PK": "p", "SK": "s"}), (("id:B",), {"id": b"\x00\xff"})):
        sessions = make_repository(make_table(*names))
        with pytest.raises(SessionNotFoundError):
            await sessions.append(key, [human()], must_exist=True)
        await sessions.append(key, [human()])
        await sessions.append(key, [human()], must_exist=True)
        assert (await sessions.read(key)).message_count == 2


def test_without_asyncio(engine: Any, table_name: str) -> None:
    """The facade and the history class say it too; the history reads what is not there as empty, as ever."""
    sessions = SessionRepository(table_name, endpoint_url=engine.endpoint_url)
    constructed = DynamoDBChatMessageHistory(table_name, "s", engine.endpoint_url, must_exist=True)
    for change in (
        lambda: sessions.append("s", [human()], must_exist=True),
        lambda: sessions.replace("s", [human()], must_exist=True),
        lambda: sessions.truncate("s", keep=0),
        lambda: sessions.update_metadata("s", {"title": "t"}),
        lambda: sessions.history("s", must_exist=True).add_user_message("hi!"),
        lambda: constructed.add_user_message("hi!"),
    ):
        with pytest.raises(SessionNotFoundError):
            change()
    assert constructed.messages == []
    sessions.history("s").add_user_message("hi!")
    constructed.add_ai_message("whats up?")
    assert [message.text for message in constructed.messages] == ["hi!", "whats up?"]
    assert (constructed.must_exist, sessions.history("s").must_exist) == (True, False)
    sessions.close()


async def test_bad_values(make_repository: RepositoryFactory) -> None:
    """Only a truth value says it."""
    sessions = make_repository()
    for call in (
        lambda: sessions.append("s", [HumanMessage("a")], must_exist="yes"),  # type: ignore[arg-type]
        lambda: sessions.replace("s", [], must_exist=None),  # type: ignore[arg-type]
        lambda: sessions.truncate("s", keep=1, must_exist=1),  # type: ignore[arg-type]
        lambda: sessions.update_metadata("s", {}, must_exist=0),  # type: ignore[arg-type]
    ):
        with pytest.raises(InvalidInputError, match=r"must_exist=.* must be True or False"):
            await call()
    with pytest.raises(InvalidInputError, match="must_exist='' must be True or False"):
        sessions.history("s", must_exist="")  # type: ignore[arg-type]
    assert await scan(sessions) == []
