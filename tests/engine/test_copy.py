"""Copies of sessions: the same messages, shared with nobody, all of them or nothing."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from conftest import RepositoryFactory, TableFactory, TestEngine
from langchain_dynamodb import AsyncSessionRepository, SessionRepository, Sizes
from langchain_dynamodb._store import copying
from langchain_dynamodb._store.stored_pages import StoredPages
from langchain_dynamodb.admin import copy_session
from langchain_dynamodb.encryption import LocalKeyring
from langchain_dynamodb.errors import (
    CorruptSessionError,
    DecryptionError,
    IncompleteSessionError,
    InvalidInputError,
    SessionNotFoundError,
    StorageError,
    VersionConflictError,
)
from memory_blobs import MemoryBlobs
from scenarios import LARGE, half_edited, is_leased, moments, restore
from support import (
    SMALL,
    THOROUGH,
    At,
    Call,
    Chain,
    Clock,
    Crash,
    Crashing,
    Hooked,
    Meter,
    Recorder,
    Scripted,
    Stopping,
    human,
    many,
    named,
    no_answer,
    remembered,
    scan,
    watch,
)

pytestmark = pytest.mark.once
ONE_KEY, OTHER_KEY = LocalKeyring(b"1" * 32), LocalKeyring(b"2" * 32)


async def texts(repository: AsyncSessionRepository, session: Any) -> list[Any]:
    """What its messages say."""
    return [message.content for message in (await repository.read(session)).messages]


async def fill(repository: AsyncSessionRepository, session: Any = "s", count: int = 24) -> list[BaseMessage]:
    """A session of several pages, with a message in parts and a tail of several entries."""
    messages = [*many(count), *LARGE, *many(4)]
    await repository.append(session, messages)
    for i in range(3):
        await repository.append(session, [named(f"tail{i}", 40)])
        messages.append(HumanMessage((await repository.read(session, limit=1)).messages[0].content, id=f"tail{i}"))
    return messages


async def test_a_fork_shares_nothing(make_repository: RepositoryFactory) -> None:
    """It has what its source had; what becomes of either does not touch the other."""
    repository = make_repository(sizes=SMALL)
    await fill(repository)
    before = (await repository.read("s")).messages
    version = await repository.copy("s", "fork")
    fork = await make_repository().read("fork")
    assert (fork.messages, fork.version, fork.message_count) == (before, version, len(before))
    await repository.append("fork", [AIMessage("another way")])
    await repository.append("s", many(10))
    await repository.update_message("s", HumanMessage("changed", id="tail0"))
    await repository.delete("s")
    assert await texts(repository, "fork") == [*(message.content for message in before), "another way"]
    await repository.update_message("fork", HumanMessage("mine", id="tail0"))
    await repository.truncate("fork", keep=3)
    assert await texts(repository, "fork") == [message.content for message in before[:3]]
    await repository.delete("fork")
    assert await scan(repository) == []


async def test_any_number_of_messages(make_repository: RepositoryFactory) -> None:
    """`keep` may end between pages, within one, before a message in parts, in the tail, or beyond."""
    repository = make_repository(sizes=SMALL)
    await fill(repository, count=12)
    before = (await repository.read("s")).messages
    assert remembered(repository).pages > 4
    for keep in range(len(before) + 2):
        await repository.copy("s", f"fork{keep}", keep=keep)
        reader = make_repository()
        fork = await reader.read(f"fork{keep}")
        assert (fork.messages, fork.message_count) == (before[:keep], min(keep, len(before)))
        await reader.append(f"fork{keep}", [human(300)])
        assert [message async for message in reader.iter_messages(f"fork{keep}")][:-1] == before[:keep]
    assert (await repository.read("s")).messages == before


async def test_pages_are_copied_as_they_are(make_repository: RepositoryFactory) -> None:
    """Not one of them is inflated, and their data is the same; only where a page is cut it has to be."""
    repository = make_repository(sizes=SMALL)
    await fill(repository)
    inflated: list[int] = []
    lines = StoredPages.lines

    async def noting(self: StoredPages, *arguments: Any) -> Any:
        inflated.append(arguments[2].number)
        return await lines(self, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StoredPages, "lines", noting)
        await repository.copy("s", "fork")
        assert inflated == []
        await repository.copy("s", "cut", keep=2)
        assert len(inflated) <= 1
    data: dict[str, list[bytes]] = {"s": [], "fork": []}
    for item in sorted(await scan(repository), key=lambda item: str(item["SessionId"]["S"])):
        name = item["SessionId"]["S"].partition("~lc~")[0]
        if "lc_data" in item and name in data:
            data[name].append(item["lc_data"]["B"])
    assert data["s"] == data["fork"]
    assert len(data["s"]) > 4


async def test_edited_and_trimmed_sessions(make_repository: RepositoryFactory) -> None:
    """What was removed or changed, and what was dropped at the beginning, stays so; also an edit still under way."""
    repository = make_repository(sizes=SMALL)
    for i in range(40):
        await repository.append("s", [named(str(i), 100)])
    await repository.append("s", [human()], history_size=25)
    ids = [message.id for message in (await repository.read("s")).messages]
    await repository.remove_message("s", str(ids[1]))
    await repository.update_message("s", HumanMessage("changed", id=ids[4]))
    before = (await repository.read("s")).messages
    await repository.copy("s", "fork")
    await repository.copy("s", "cut", keep=7)
    assert (await make_repository().read("fork")).messages == before
    assert (await make_repository().read("cut")).messages == before[:7]


async def test_an_edit_under_way(make_repository: RepositoryFactory) -> None:
    """The page does not have it yet; the copy's page does."""
    repository = make_repository(sizes=SMALL)
    await half_edited(repository)
    assert remembered(repository).edit is not None
    before = await texts(repository, "s")
    await repository.copy("s", "fork")
    await repository.copy("s", "cut", keep=1)
    assert (await texts(make_repository(), "fork"), await texts(make_repository(), "cut")) == (before, before[:1])
    assert before[0] == "changed"


async def test_all_messages_of_a_page_removed(make_repository: RepositoryFactory) -> None:
    """The copy has no such page."""
    repository = make_repository(sizes=SMALL)
    await repository.append("s", [named(str(i), 400) for i in range(8)])
    for id in "01":
        await repository.remove_message("s", id)
    chains = [Chain.of(item) for item in await scan(repository) if "lc_chain" in item]
    assert min(chain.messages for chain in chains) == 0
    await repository.copy("s", "fork")
    await repository.copy("s", "cut", keep=1)
    assert [m.id for m in (await make_repository().read("fork")).messages] == [*"234567"]
    assert [m.id for m in (await make_repository().read("cut")).messages] == ["2"]
    copied = [Chain.of(i) for i in await scan(repository) if i["SessionId"]["S"].startswith("fork~lc~")]
    assert (len(copied), min(chain.messages for chain in copied) > 0) == (len(chains) - 1, True)


# --- What comes along ---


async def test_metadata_and_attributes_come_along(make_repository: RepositoryFactory, make_table: TableFactory) -> None:
    """Not the expiry, which is that of a session that begins there; attributes that the name brings win."""
    clock = make_repository.set_clock()
    repository = make_repository(make_table("PK", "SK"))
    source, fork = {"PK": "u", "SK": "s"}, {"PK": "u", "SK": "f", "by": "fork"}
    await repository.append(source, [human()], attributes={"by": "source", "tags": ["a"], "raw": b"1"})
    await repository.update_metadata(source, {"title": "t"})
    await repository.set_expiry(source, 100)
    await repository.copy(source, fork)
    copied = await repository.read({"PK": "u", "SK": "f"})
    assert (copied.metadata, copied.attributes) == ({"title": "t"}, {"by": "fork", "tags": ["a"], "raw": b"1"})
    assert copied.expires_at is None
    expiring = make_repository(repository.table_name, ttl=60)
    await repository.copy(source, {"PK": "u", "SK": "g"}, repository=expiring)
    copied = await repository.read({"PK": "u", "SK": "g"})
    assert copied.expires_at is not None
    assert clock.now / 1e6 < copied.expires_at.timestamp() < clock.now / 1e6 + 62


async def test_pages_of_an_expiring_copy(make_repository: RepositoryFactory) -> None:
    """They outlive their session, as all pages do."""
    make_repository.set_clock()
    repository = make_repository(sizes=SMALL, ttl=60)
    await fill(repository)
    await repository.copy("s", "fork")
    stamps = [int(i["expireAt"]["N"]) for i in await scan(repository) if i["SessionId"]["S"].startswith("fork~lc~")]
    assert min(stamps) > remembered(repository, "fork").expires > 0  # type: ignore[operator]
    assert remembered(repository, "fork").pages_expire == min(stamps)


async def test_to_a_table_with_other_keys(make_repository: RepositoryFactory, make_table: TableFactory) -> None:
    """An attribute that is a part of the key there comes from the name."""
    there = make_repository(make_table("PK", "SK"), history_messages_key="Chat", ttl_key_name="gone", sizes=SMALL)
    here = make_repository(sizes=SMALL)
    await fill(here)
    await here.update_metadata("s", {"title": "t"}, attributes={"PK": "mine", "gone": "no", "user": "u"})
    await here.copy("s", {"PK": "a", "SK": "b"}, repository=there)
    copied = await there.read({"PK": "a", "SK": "b"})
    assert copied.messages == (await here.read("s")).messages
    assert (copied.metadata, copied.attributes) == ({"title": "t"}, {"user": "u"})


@pytest.mark.parametrize("sizes", [(SMALL, Sizes()), (Sizes(), SMALL), (Sizes(session_item=40_000), SMALL)])
async def test_to_other_sizes(make_repository: RepositoryFactory, sizes: tuple[Sizes, Sizes]) -> None:
    """Pages stay as large as they were; a tail that has no room in the copy's becomes pages."""
    here, there = (make_repository(sizes=some) for some in sizes)
    for _ in range(30):
        await here.append("s", [human(300)])
    before = (await here.read("s")).messages
    await here.copy("s", "fork", repository=there)
    await here.copy("s", "cut", keep=13, repository=there)
    assert (await there.read("fork")).messages == before
    assert (await make_repository().read("cut")).messages == before[:13]
    await there.append("fork", [human(300)])
    await there.replace("fork", before[:20])
    assert (await make_repository().read("fork")).messages == before[:20]


@pytest.mark.parametrize("source", [None, ONE_KEY, OTHER_KEY], ids=["plain", "one", "other"])
@pytest.mark.parametrize("target", [None, ONE_KEY], ids=["plain", "one"])
async def test_to_another_key(make_repository: RepositoryFactory, source: Any, target: Any) -> None:
    """Sealed anew at its own place, or plain; nobody can read it without its key, or exchange its pages."""
    here, there = make_repository(encryption=source, sizes=SMALL), make_repository(encryption=target, sizes=SMALL)
    before = await fill(here)
    await here.update_metadata("s", {"title": "secret"})
    await here.copy("s", "fork", repository=there)
    await here.copy("s", "cut", keep=5, repository=there)
    reader = make_repository(encryption=target)
    for name, wanted in (("fork", before), ("cut", before[:5])):
        chat = await reader.read(name)
        assert ([m.content for m in chat.messages], chat.metadata) == ([m.content for m in wanted], {"title": "secret"})
    stored = [item for item in await scan(there) if item["SessionId"]["S"].startswith("fork")]
    assert (b"secret" in repr(stored).encode()) is (target is None)
    if target is None:
        return
    await reader.append("fork", [human()])
    taken = next(item for item in await scan(there) if item["SessionId"]["S"].startswith("s~lc~"))
    mine = next(item for item in stored if "lc_data" in item)
    await restore(there, [{**mine, "lc_data": taken["lc_data"]}])
    with pytest.raises(DecryptionError):
        await make_repository(encryption=target).read("fork")


async def test_without_the_key(make_repository: RepositoryFactory) -> None:
    """Nothing is begun."""
    here = make_repository(encryption=ONE_KEY, sizes=SMALL)
    await fill(here)
    items = await scan(here)
    with pytest.raises(DecryptionError):
        await make_repository(encryption=OTHER_KEY, sizes=SMALL).copy("s", "fork")
    assert len(await scan(here)) == len(items)


@pytest.mark.parametrize("count", [3, 40])
async def test_from_and_to_community(make_repository: RepositoryFactory, count: int) -> None:
    """Messages are encoded anew there, and attributes come along; metadata has no place."""
    paged, community = make_repository(sizes=SMALL), make_repository(item_format="community")
    await community.append("c", many(count), attributes={"user": "u"})
    await paged.copy("c", "fork", keep=count - 1)
    fork = await make_repository().read("fork")
    assert fork.messages == (await community.read("c")).messages[:-1]
    assert fork.attributes == {"user": "u"}
    await paged.update_metadata("fork", {"title": "t"})
    await paged.copy("fork", "back", repository=community)
    back = await community.read("back")
    assert (back.messages, back.metadata, back.attributes) == (fork.messages, {}, {"user": "u"})
    assert "M" in next(i for i in await scan(paged) if i["SessionId"]["S"] == "back")["History"]["L"][0]


async def test_attributes_are_of_the_same_moment(make_repository: RepositoryFactory) -> None:
    """Where the copy begins anew, since others changed the source, all of it is as they left that."""
    repository, other = (make_repository(sizes=SMALL) for _ in range(2))
    await repository.append("s", many(24), attributes={"user": "old"})
    await repository.update_metadata("s", {"title": "old"})
    changed = False

    async def meanwhile(operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        nonlocal changed
        if operation == "batch_write_item" and not changed:
            changed = True
            await other.truncate("s", keep=5)
            await other.update_metadata("s", {"title": "new"}, attributes={"user": "new"})
        return await proceed()

    watch(repository, Hooked, meanwhile)
    await repository.copy("s", "fork")
    fork = await other.read("fork")
    assert (changed, fork.message_count, fork.metadata, fork.attributes) == (True, 5, {"title": "new"}, {"user": "new"})


async def test_without_messages(make_repository: RepositoryFactory) -> None:
    """An empty session begins, but in the format of langchain_community, which has none."""
    paged, community = make_repository(sizes=SMALL), make_repository(item_format="community")
    await paged.append("s", [human()])
    await community.append("c", [human()])
    await paged.replace("empty", [])
    for source, keep in (("s", 0), ("c", 0)):
        version = await paged.copy(source, f"{source}0", keep=keep)
        fork = await make_repository().read(f"{source}0")
        assert (fork.version, fork.message_count) == (version, 0)
        assert version > 0
    await paged.update_metadata("empty", {"title": "t"}, must_exist=False)
    await paged.copy("empty", "empty0")
    assert (await make_repository().read("empty0")).metadata == {"title": "t"}
    assert await paged.copy("s", "none", keep=0, repository=community) == 0
    assert await paged.copy("empty", "none", repository=community) == 0
    assert (await community.read("none")).version == 0


# --- What is refused ---


@pytest.mark.parametrize("target", ["short", "long", "community", "s"])
async def test_a_session_that_is_there_already(make_repository: RepositoryFactory, target: str) -> None:
    """Stays as it is."""
    repository = make_repository(sizes=SMALL)
    await fill(repository)
    await repository.append("short", [human()])
    await repository.append("long", many(20))
    await make_repository(item_format="community").append("community", [human()])
    before = await scan(repository)
    for other in (repository, make_repository(item_format="community")):
        with pytest.raises(VersionConflictError) as refused:
            await repository.copy("s", target, repository=other)
        assert (refused.value.expected, refused.value.actual) == (0, (await repository.read(target)).version)
    assert sorted(map(repr, await scan(repository))) == sorted(map(repr, before))


async def test_what_cannot_be_copied(make_repository: RepositoryFactory) -> None:
    """No session, or not at that version."""
    repository = make_repository()
    version = await repository.append("s", [human()])
    with pytest.raises(SessionNotFoundError):
        await repository.copy("nobody", "fork")
    with pytest.raises(VersionConflictError) as refused:
        await repository.copy("s", "fork", expected_version=version - 1)
    assert (refused.value.expected, refused.value.actual) == (version - 1, version)
    assert (await repository.read("fork")).version == 0
    await repository.copy("s", "fork", expected_version=version)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"keep": -1}, "keep=-1 must be a number from 0 on"),
        ({"expected_version": "1"}, "expected_version='1'"),
        ({"repository": "Table"}, "repository is 'Table': pass an AsyncSessionRepository"),
        ({"to": ""}, "''"),
        ({"to": "fork~lc~0123456789abcd~01234567"}, "ends like the key of a page"),
    ],
)
async def test_bad_arguments(options: dict[str, Any], said: str) -> None:
    """Before anything is sent."""
    with pytest.raises(InvalidInputError, match=said):
        await AsyncSessionRepository("Table").copy("s", **{"to": "fork", **options})


async def test_more_pages_than_one_write_may_have(
    make_repository: RepositoryFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error says what can be done about a copy."""
    repository = make_repository(sizes=SMALL)
    await fill(repository)
    monkeypatch.setattr("langchain_dynamodb._store.steps.MAX_WRITE_PAGES", 3)
    with pytest.raises(InvalidInputError, match=r"at most 3: copy fewer \(keep="):
        await repository.copy("s", "fork")
    assert (await repository.read("fork")).version == 0


@pytest.mark.parametrize("item_format", ["pages", "community"])
async def test_the_outcome_of_the_command(make_repository: RepositoryFactory, item_format: Any) -> None:
    """It counts what was copied, in either format."""
    repository = make_repository(item_format=item_format)
    await repository.append("s", many(5))
    assert (await copy_session(repository, "s", "fork", keep=3)).messages == 3


async def test_a_session_that_lost_a_page(make_repository: RepositoryFactory) -> None:
    """Is told as by a read, and nothing is left of the copy."""
    clock = make_repository.set_clock()
    repository = make_repository(sizes=SMALL)
    await fill(repository)
    pages = [item for item in await scan(repository) if "~lc~" in item["SessionId"]["S"]]
    lost = {"SessionId": max(pages, key=lambda item: Chain.of(item).number)["SessionId"]}
    await repository._connection.call("delete_item", {"TableName": repository.table_name, "Key": lost}, write=True)
    left = len(await scan(repository))
    for error in (IncompleteSessionError, CorruptSessionError):
        with pytest.raises(error):
            await make_repository(sizes=SMALL).copy("s", "fork")
        assert len(await scan(repository)) == left
        clock.advance(3600)


async def test_a_page_that_cannot_be_decrypted(make_repository: RepositoryFactory) -> None:
    """The error names it, and nothing is left of the copy."""
    repository = make_repository(encryption=ONE_KEY, sizes=SMALL)
    await fill(repository)
    first = min((i for i in await scan(repository) if "lc_chain" in i), key=lambda item: Chain.of(item).number)
    await restore(repository, [{**first, "lc_data": {"B": first["lc_data"]["B"][::-1]}}])
    left = len(await scan(repository))
    with pytest.raises(DecryptionError, match=first["SessionId"]["S"]):
        await repository.copy("s", "fork")
    assert len(await scan(repository)) == left


# --- Others at work meanwhile ---


async def test_a_source_that_becomes_an_item_of_community(make_repository: RepositoryFactory) -> None:
    """Deleted while it is copied, and begun anew by another program: the copy is of that, by the other way."""
    repository, other = make_repository(sizes=SMALL), make_repository(sizes=SMALL)
    await fill(repository)
    begun: list[BaseMessage] = []

    async def meanwhile(operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        if operation == "batch_write_item" and not begun:
            begun.extend(many(3))
            await other.delete("s")
            await make_repository(item_format="community").append("s", begun)
        return await proceed()

    watch(repository, Hooked, meanwhile)
    await repository.copy("s", "fork")
    assert (await other.read("fork")).messages == begun


async def edit_and_branch(other: AsyncSessionRepository) -> None:
    """Change a message of the first page, and give the numbers of later pages to others: the chain shows neither."""
    await other.update_message("s", HumanMessage("changed", id="first"))
    await other.truncate("s", keep=6)
    for _ in range(5):
        await other.append("s", many(3, 300))


CHANGES: dict[str, Callable[[AsyncSessionRepository], Awaitable[Any]]] = {
    "append": lambda other: other.append("s", many(12)),
    "edit and branch": edit_and_branch,
    "truncate": lambda other: other.truncate("s", keep=5),
    "replace": lambda other: other.replace("s", many(12)),
    "edit": lambda other: other.update_message("s", HumanMessage("changed", id="first")),
    "remove": lambda other: other.remove_message("s", "first"),
    "trim": lambda other: other.append("s", many(3), history_size=4),
}


@pytest.mark.real_engine
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("keep", [None, *[9] * THOROUGH])
async def test_a_source_that_changes_meanwhile(
    make_repository: RepositoryFactory, monkeypatch: pytest.MonkeyPatch, change: str, keep: int | None
) -> None:
    """At each request: the copy is the session as it was at one moment."""
    monkeypatch.setattr(copying, "AT_ONCE", 3)
    monkeypatch.setattr("langchain_dynamodb._store.stored_pages.ITER_PAGES", 2)
    monkeypatch.setattr("langchain_dynamodb._store.stored_pages.GET_BATCH", 2)
    first = [named("first", 300), *many(19, 300)]
    at, done = 0, False
    while not done:
        at += 1
        table = make_repository.table_name
        repository, other = (make_repository(table, sizes=SMALL) for _ in range(2))
        await repository.replace("s", first)
        before = await texts(other, "s")
        seen = 0

        async def meanwhile(
            operation: str, request: Mapping[str, Any], proceed: Call, other: Any = other, at: int = at
        ) -> dict[str, Any]:
            nonlocal seen
            seen += 1
            if seen == at:
                await CHANGES[change](other)
            return await proceed()

        watch(repository, Hooked, meanwhile)
        await repository.copy("s", "fork", keep=keep)
        after = await texts(other, "s")
        assert await texts(other, "fork") in (before[:keep], after[:keep])
        assert await texts(make_repository(), "fork") in (before[:keep], after[:keep])
        done = seen < at
        await other.delete("fork")
    assert at > 6
    await other.delete("s")
    assert await scan(other) == []


async def test_many_copies_at_once(make_repository: RepositoryFactory) -> None:
    """One of them begins the session, the others are refused; nothing is left of these."""
    repositories = [make_repository(sizes=SMALL) for _ in range(6)]
    await fill(repositories[0])
    wanted = await texts(repositories[0], "s")
    outcomes = await asyncio.gather(*(one.copy("s", "fork") for one in repositories), return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["VersionConflictError"] * 5 + ["int"]
    assert await texts(repositories[1], "fork") == wanted
    await repositories[1].delete("fork")
    await repositories[1].delete("s")
    assert await scan(repositories[0]) == []


# --- Lost answers, deaths ---


async def test_a_lost_answer_of_a_batch(make_repository: RepositoryFactory) -> None:
    """The pages are put anew under another generation, so that the first request may still come, whenever it likes."""
    make_repository.wait(discard=())
    repository = make_repository(sizes=SMALL)
    await fill(repository)
    wanted = await texts(repository, "s")
    late: list[Callable[[], Awaitable[Any]]] = []

    async def losing(operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        if operation == "batch_write_item" and not late:
            late.append(proceed)
            raise no_answer()
        return await proceed()

    watch(repository, Hooked, losing)
    await repository.copy("s", "fork")
    assert await texts(make_repository(), "fork") == wanted
    other = make_repository(sizes=SMALL)
    await other.update_message("fork", HumanMessage("changed", id="tail0"))
    await other.truncate("fork", keep=4)
    await other.append("fork", many(5))
    now = await texts(other, "fork")
    await late[0]()
    assert await texts(make_repository(), "fork") == now
    await other.append("fork", many(5))
    assert (await texts(make_repository(), "fork"))[: len(now)] == now


async def test_batches_are_sent_once(make_repository: RepositoryFactory) -> None:
    """The SDK repeats none that may have been applied."""
    repository = make_repository(sizes=SMALL)
    await fill(repository)
    once: list[bool] = []
    call = type(repository._connection).call

    async def noting(self: Any, operation: str, request: Any, **options: bool) -> Any:
        if operation == "batch_write_item":
            once.append(options.get("once", False))
        return await call(self, operation, request, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(repository._connection), "call", noting)
        await repository.copy("s", "fork")
    assert (len(once) > 0, all(once)) == (True, True)


@pytest.mark.parametrize("nth", [1, 2])
async def test_a_lost_answer_of_the_session_item(make_repository: RepositoryFactory, nth: int) -> None:
    """Of the beginning, or of the commit: it is known again, and takes place once."""
    repository = make_repository(sizes=SMALL)
    await fill(repository)
    wanted = await texts(repository, "s")
    scripted: Scripted = watch(repository, Scripted, At("update_item", nth, error=no_answer()))
    version = await repository.copy("s", "fork")
    assert scripted.is_over
    fork = await make_repository().read("fork")
    assert (fork.version, [m.content for m in fork.messages]) == (version, wanted)


async def test_a_batch_that_is_left_undone(make_repository: RepositoryFactory) -> None:
    """DynamoDB may put some pages only: the others are put next."""
    repository = make_repository(sizes=SMALL)
    await fill(repository)
    wanted = await texts(repository, "s")
    undone = 0

    async def partly(operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        nonlocal undone
        if operation != "batch_write_item" or undone > 2:
            return await proceed()
        undone += 1
        [(table, writes)] = request["RequestItems"].items()
        await repository._connection.call(operation, {"RequestItems": {table: writes[:1]}}, write=True)
        return {"UnprocessedItems": {table: writes[1:]}}

    watch(repository, Hooked, partly)
    await repository.copy("s", "fork")
    assert (undone, await texts(make_repository(), "fork")) == (3, wanted)


async def test_an_engine_that_refuses(make_repository: RepositoryFactory) -> None:
    """An error of the engine is told, and the pages that were put are removed."""
    repository = make_repository(sizes=SMALL)
    await fill(repository)
    left = len(await scan(repository))
    refused = StorageError("no", code="ValidationException")
    watch(repository, Scripted, At("batch_write_item", 1, error=refused))
    with pytest.raises(StorageError, match="no"):
        await repository.copy("s", "fork")
    assert len(await scan(repository)) == left


@pytest.fixture
def clock(make_repository: RepositoryFactory) -> Clock:
    """The test's clock; no renewal of a lease comes in between."""
    make_repository.wait(renew=600)
    return make_repository.set_clock()


@pytest.mark.real_engine
@pytest.mark.parametrize("where", ["long", "short", "encrypted", "encrypted blobs", *["blobs"] * THOROUGH])
@pytest.mark.parametrize("way", ["dies", "is cancelled"])
async def test_dying_at_every_request(
    make_repository: RepositoryFactory, clock: Clock, monkeypatch: pytest.MonkeyPatch, where: str, way: str
) -> None:
    """Half a copy is never seen; the next write removes it, or a delete does, and nothing is left."""
    monkeypatch.setattr(copying, "AT_ONCE", 3)
    bucket = MemoryBlobs() if "blobs" in where else None
    encryption = ONE_KEY if "encrypted" in where else None
    make = functools.partial(make_repository, sizes=SMALL, encryption=encryption, blobs=bucket)
    first = make()
    await (first.append("s", [human()]) if where == "short" else fill(first))
    wanted, source, objects = await texts(first, "s"), await scan(first), dict(bucket.objects) if bucket else {}
    recording = make()
    recorder: Recorder = watch(recording, Recorder)
    await recording.copy("s", "fork")
    steps = len(recorder.log)
    await recording.delete("fork")
    assert sorted(map(repr, await scan(first))) == sorted(map(repr, source))
    done: list[bool] = []
    for at, after in moments(steps):
        await _interrupted(make(), at, after, way, clock)
        other = make()
        found = await texts(other, "fork")
        assert found in ([], wanted)
        assert (await other.read("fork")).version == 0 or found == wanted
        done.append(found == wanted)
        if at % 2:  # another copy meets what is left, and begins anew
            if not done[-1]:
                await other.copy("s", "fork")
            assert await texts(make(), "fork") == wanted
            await other.append("fork", many(3, 300))
        await other.delete("fork")
        assert sorted(map(repr, await scan(first))) == sorted(map(repr, source))
        assert bucket is None or bucket.objects == objects != {}
    assert done == sorted(done)
    assert done[-1]


async def _interrupted(dying: AsyncSessionRepository, at: int, after: bool, way: str, clock: Clock) -> None:
    """Copy, and die or be cancelled before or after the n-th request."""
    if way == "dies":
        watch(dying, Crashing, at, after)
        with pytest.raises(Crash):
            await dying.copy("s", "fork")
        clock.advance(60)  # past any lease
        return
    stopping: Stopping = watch(dying, Stopping, at, after)
    task = asyncio.ensure_future(dying.copy("s", "fork"))
    await stopping.stopped.wait()
    stopping.proceed()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not is_leased(await scan(dying), clock.now)


# --- Cost ---


@pytest.mark.dynamodb_local_only
async def test_what_it_costs(make_repository: RepositoryFactory, make_table: TableFactory) -> None:
    """The write units of the bytes, and two requests for each 25 pages, beside five for the session items."""
    writer = make_repository(make_table())
    await writer.append("s", many(1500, 1200))
    pages = remembered(writer).pages
    assert pages > 60
    copier = make_repository(writer.table_name)
    meter: Meter = watch(copier, Meter)
    await copier.copy("s", "fork")
    items = [item for item in await scan(writer) if item["SessionId"]["S"].startswith("fork")]
    size = [sum(len(name) + len(next(iter(value.values()))) for name, value in item.items()) for item in items]
    units = sum(-(-bytes_ // 1024) for bytes_ in size)
    print(f"\n{pages} pages: {meter.write_units} write units for {units} of bytes, {dict(meter.requests)}")
    assert meter.write_units <= units + 4
    assert sum(meter.requests.values()) <= 2 * -(-pages // 25) + 6


def test_the_facade(engine: TestEngine, make_table: TableFactory) -> None:
    """Takes repositories of either kind."""
    tables = [make_table() for _ in range(2)]
    with (
        SessionRepository(tables[0], endpoint_url=engine.endpoint_url) as here,
        SessionRepository(tables[1], endpoint_url=engine.endpoint_url) as there,
    ):
        here.append("s", [HumanMessage("one"), HumanMessage("two")])
        here.copy("s", "fork", keep=1)
        here.copy("s", "fork", repository=there)
        assert [m.content for m in here.read("fork").messages] == ["one"]
        assert [m.content for m in there.read("fork").messages] == ["one", "two"]
        with pytest.raises(VersionConflictError):
            here.copy("s", "fork", repository=there._repository)
