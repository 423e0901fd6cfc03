"""Large data in objects: where it goes, what is left, and what becomes of a session whose objects cannot be had."""

from __future__ import annotations

import contextlib
import tracemalloc
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, messages_to_dict

from conftest import RepositoryFactory, TableFactory
from langchain_dynamodb import AsyncSessionRepository, DynamoDBChatMessageHistory, SessionRepository, Sizes
from langchain_dynamodb._dynamodb.attribute_values import to_attribute
from langchain_dynamodb._items.page_items import Reference
from langchain_dynamodb._protocol import pages
from langchain_dynamodb._store import object_pieces, page_objects
from langchain_dynamodb._store.unreferenced_objects import UnreferencedObjects
from langchain_dynamodb.admin import Run, delete_sessions, vacuum
from langchain_dynamodb.codec import long_blocks, long_lines
from langchain_dynamodb.codec import messages as codec
from langchain_dynamodb.encryption import LocalKeyring
from langchain_dynamodb.errors import (
    AccessDeniedError,
    BlobDamagedError,
    BlobUnavailableError,
    CorruptSessionError,
    InvalidInputError,
    MessageTooLargeError,
    MissingBlobsError,
    SettingsError,
    ThrottledError,
)
from memory_blobs import MemoryBlobs
from support import (
    SMALL,
    At,
    Call,
    Crash,
    Hooked,
    Recorder,
    Scripted,
    found_by,
    human,
    named,
    no_answer,
    noise,
    referred,
    scan,
    tokens,
    watch,
    with_options,
)

pytestmark = pytest.mark.any_engine

SMALL_ONE, LARGE_ID = HumanMessage("hi", id="small"), "large"
KEYRING = LocalKeyring(bytes(32))
DAY = 24 * 3600


@pytest.fixture(params=["whole", pytest.param("in pieces", marks=[pytest.mark.any_engine, pytest.mark.once])])
def bucket(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> MemoryBlobs:
    """A bucket that takes what has more than 1,000 bytes; "in pieces" what is large is treated as if it were huge."""
    if request.param == "in pieces":
        monkeypatch.setattr(long_lines, "LONG_LINE", 20_000)
        monkeypatch.setattr(long_blocks, "LONG_LINE", 20_000)
        monkeypatch.setattr(pages, "IN_PIECES", 20_000)
        for module in (long_lines, long_blocks):
            monkeypatch.setattr(module, "LONG_TEXT", 3000)
            monkeypatch.setattr(module, "PIECE", 3000)
        monkeypatch.setattr(codec, "MANY_BYTES", 1000)
        monkeypatch.setattr(page_objects, "MUCH", 0)
    return MemoryBlobs(threshold=1000)


@pytest.fixture
def sessions(make_repository: RepositoryFactory, bucket: MemoryBlobs) -> AsyncSessionRepository:
    """A repository with it."""
    return make_repository(blobs=bucket)


def large(id: str = LARGE_ID) -> HumanMessage:
    """A message that is to go into an object."""
    return named(id, 40_000)


async def three(repository: AsyncSessionRepository) -> list[BaseMessage]:
    """A session of a small message, a large one, and a small one in the tail."""
    messages: list[BaseMessage] = [SMALL_ONE, large(), AIMessage("a picture", id="last")]
    for message in messages:
        await repository.append("s", [message])
    return messages


async def test_a_large_message_is_an_object(sessions: AsyncSessionRepository, bucket: MemoryBlobs) -> None:
    """The page says where its data is, and what; the session item names the bucket."""
    messages = await three(sessions)
    ((name, data),) = bucket.objects.items()
    items = {item["SessionId"]["S"]: item for item in await scan(sessions)}
    (page,) = [item for item in items.values() if "S" in item.get("lc_data", {})]
    generation, number = page["SessionId"]["S"].split("~")[2:]
    assert name.startswith(f"{sessions.table_name}!/s/{generation}/{number}-")
    assert page["lc_data"]["S"].split(" ")[1::2] == [str(len(data)), "memory"]
    assert items["s"]["lc_bucket"] == {"S": "memory"}
    other = with_options(sessions)
    assert (await other.read("s")).messages == messages
    assert [message async for message in other.iter_messages("s")] == messages


async def test_what_is_not_large_stays(sessions: AsyncSessionRepository, bucket: MemoryBlobs) -> None:
    """A session without large data costs the bucket nothing."""
    await sessions.append("s", [human(100)])
    watched = watch(sessions, Scripted)
    await sessions.append("s", [human(900), human(100)])
    await sessions.replace("s", [human(100)], expected_version=None)
    assert {name for name in watched.requests if "object" in name} == set()
    assert "lc_bucket" not in (await scan(sessions))[0]


async def test_the_size_of_a_message(make_repository: RepositoryFactory, bucket: MemoryBlobs) -> None:
    """Above 380,000 bytes it has one object, not several; 16 MiB is no limit any more, unless one was given."""
    sessions = make_repository(blobs=bucket)
    message = human(18 << 20)
    await sessions.append("s", [message])
    assert len(bucket.objects) == 1
    assert (await with_options(sessions).read("s")).messages == [message]
    limited = make_repository(blobs=bucket, sizes=SMALL)
    with pytest.raises(MessageTooLargeError):
        await limited.append("s", [message])


async def test_a_message_that_deflates_to_little(make_repository: RepositoryFactory) -> None:
    """Whoever has no bucket would take it for damage: above what is inflated there, it is an object all the same."""
    bucket = MemoryBlobs(threshold=380_000)
    sessions = make_repository(blobs=bucket)
    for size in (15 << 20, 70 << 20):
        await sessions.append("s", [HumanMessage("x" * size)])
    assert len(bucket.objects) == 1
    without = make_repository()
    with pytest.raises(MissingBlobsError):
        await without.read("s")
    with pytest.raises(MissingBlobsError):
        await without.repair("s", drop_undecodable=True)
    await sessions.copy("s", "fork")
    assert tokens(bucket.objects) == await referred(sessions)
    assert len(bucket.objects) == 2


async def test_the_note_comes_with_the_first_object(make_repository: RepositoryFactory) -> None:
    """Whatever brings it: a cut of the tail, a batch, a conversion, or an edit that makes a page large."""
    sessions = make_repository(blobs=MemoryBlobs(threshold=150), sizes=SMALL)
    without = make_repository(sizes=SMALL)
    await sessions.append("cut", [human(400)])
    await sessions.append("cut", [human(400)])
    await sessions.append("batch", [human(3000), human(3000)])
    item = {"SessionId": {"S": "conversion"}, "History": to_attribute(messages_to_dict([large()]), "natives")}
    await sessions._connection.call("put_item", {"TableName": sessions.table_name, "Item": item}, write=True)
    await sessions.append("conversion", [human(10)])
    await without.append("edit", [named("1", 10)])
    await without.append("edit", [human(700)])
    before = [item["SessionId"]["S"] for item in await scan(sessions) if "lc_bucket" in item]
    assert sorted(before) == ["batch", "conversion", "cut"]
    await sessions.update_message("edit", named("1", 600))
    assert "edit" in [item["SessionId"]["S"] for item in await scan(sessions) if "lc_bucket" in item]


@pytest.mark.parametrize("meanwhile", [False, True], ids=["dying", "meeting another"])
async def test_the_note_of_an_edit_comes_before_its_page(
    make_repository: RepositoryFactory, bucket: MemoryBlobs, meanwhile: bool
) -> None:
    """Whoever dies once the page has its reference, or meets another that has carried the edit out: it is noted."""
    sessions = make_repository(blobs=bucket, sizes=SMALL)
    for id, size in (("1", 10), ("2", 700), ("3", 10)):
        await sessions.append("s", [named(id, size)])
    other = with_options(sessions)

    async def at_the_page(operation: str, request: Any, proceed: Call) -> dict[str, Any]:
        answer = await proceed()
        if operation == "update_item" and request["Key"]["SessionId"]["S"] != "s":
            if not meanwhile:
                raise Crash
            await with_options(sessions).append("s", [human(600)])
        return answer

    watch(other, Hooked, at_the_page)
    with contextlib.nullcontext() if meanwhile else pytest.raises(Crash):
        await other.update_message("s", named("1", 3000))
    assert tokens(bucket.objects) == await referred(sessions) != set()
    assert [item["lc_bucket"] for item in await scan(sessions) if "History" in item] == [{"S": "memory"}]
    with pytest.raises(MissingBlobsError):
        await make_repository(sizes=SMALL).delete("s")
    await with_options(sessions).replace("s", [human(10)])
    assert bucket.objects == {}


Step = Callable[[AsyncSessionRepository], Awaitable[object]]
STEPS: dict[str, Step] = {
    "append": lambda s: s.append("s", [large("more")]),
    "append several": lambda s: s.append("s", [large("more"), human(), large("and more")]),
    "append at a version": lambda s: _at_version(s, lambda version: s.append("s", [large()], expected_version=version)),
    "append and trim": lambda s: s.append("s", [large("more")], history_size=1),
    "append by a cut and trim": lambda s: _cut_and_trim(s),
    "replace": lambda s: s.replace("s", [large("new"), human()]),
    "replace by small ones": lambda s: s.replace("s", [human()]),
    "replace the end": lambda s: _replace_end(s),
    "replace by none": lambda s: s.replace("s", []),
    "truncate": lambda s: s.truncate("s", keep=1),
    "truncate within the tail": lambda s: s.truncate("s", keep=2),
    "truncate to none": lambda s: s.truncate("s", keep=0),
    "update the large one": lambda s: s.update_message("s", HumanMessage("small now", id=LARGE_ID)),
    "update a small one": lambda s: s.update_message("s", large("small")),
    "update it to another large one": lambda s: s.update_message("s", large()),
    "remove": lambda s: s.remove_message("s", LARGE_ID),
    "name": lambda s: s.update_metadata("s", {"title": "t"}),
    "repair": lambda s: s.repair("s"),
    "expire": lambda s: s.set_expiry("s", 100),
    "delete": lambda s: s.delete("s"),
    "delete and search": lambda s: s.delete("s", search_pages=True),
}


async def _at_version(sessions: AsyncSessionRepository, append: Callable[[int], Awaitable[object]]) -> None:
    await append((await sessions.read("s")).version)


async def _cut_and_trim(sessions: AsyncSessionRepository) -> None:
    await sessions.append("s", [large("more")])  # the tail is empty then
    await sessions.append("s", [large("and more")], history_size=1)


async def _replace_end(sessions: AsyncSessionRepository) -> None:
    messages = (await sessions.read("s")).messages
    await sessions.replace("s", [*messages[:2], human()])


@pytest.mark.once
@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "encrypted"])
@pytest.mark.parametrize("name", STEPS)
async def test_nothing_is_left(
    make_repository: RepositoryFactory, bucket: MemoryBlobs, name: str, encrypted: bool
) -> None:
    """Whatever is done, an object is there for each page that the session has, and none beside, nor a page."""
    sessions = make_repository(blobs=bucket, encryption=KEYRING if encrypted else None)
    twin: Any = _Named(make_repository(), "twin")  # the same without objects
    await three(twin)
    await STEPS[name](twin)
    await three(sessions)
    await STEPS[name](sessions)
    assert tokens(bucket.objects) == await referred(sessions)
    assert await _dropped(sessions) == []
    if "delete" not in name:
        await with_options(sessions).append("s", [large("one more")])
        assert await _dropped(sessions) == []
        assert tokens(bucket.objects) == await referred(sessions)
        await sessions.remove_message("s", "one more")
    assert await _ids(with_options(sessions), "s") == await _ids(make_repository(), "twin")
    await sessions.delete("s")
    assert bucket.objects == {}
    assert [item for item in await scan(sessions) if item["SessionId"]["S"].startswith("s")] == []


async def _dropped(repository: AsyncSessionRepository) -> list[str]:
    """The pages of session "s" that are there, and that it has no more."""
    items = {item["SessionId"]["S"]: item for item in await scan(repository)}
    pages = [name for name in items if name.startswith("s~lc~")]
    if not pages:
        return []
    numbers = {name: int(items["s"].get(name, {"N": "0"})["N"]) for name in ("lc_pages", "lc_reused", "lc_first_page")}
    there = range(numbers["lc_first_page"], numbers["lc_pages"] - numbers["lc_reused"])
    return [page for page in pages if int(page[-8:], 16) not in there]


async def _ids(repository: AsyncSessionRepository, session: str) -> list[str]:
    return [message.id for message in (await repository.read(session)).messages if message.id]


class _Named:
    """A repository whose session "s" has another name."""

    def __init__(self, inner: AsyncSessionRepository, name: str) -> None:
        self._inner, self._name = inner, name

    def __getattr__(self, method: str) -> Any:
        return lambda _, *arguments, **options: getattr(self._inner, method)(self._name, *arguments, **options)


async def test_objects_are_encrypted(make_repository: RepositoryFactory, bucket: MemoryBlobs) -> None:
    """What goes to the bucket is what would be in the page; another key moves it into another object."""
    sessions = make_repository(blobs=bucket, encryption=KEYRING)
    secret = HumanMessage("".join(f"line {n} of the secret " for n in range(5000)), id="secret")
    await sessions.append("s", [secret])
    ((first, sealed),) = bucket.objects.items()
    plain = make_repository(blobs=MemoryBlobs(threshold=1000))
    await plain.append("plain", [secret])
    (unsealed,) = plain._options.blobs.objects.values()  # type: ignore[union-attr]
    assert len(sealed) - len(unsealed) in range(20, 40)
    assert sealed != unsealed
    await sessions.reencrypt("s")
    ((second, _),) = bucket.objects.items()
    assert first != second
    await sessions.reencrypt("s", plain=True)
    assert [*bucket.objects.values()] == [unsealed]
    assert (await sessions.read("s")).messages == [secret]


async def test_items_of_langchain_community(make_repository: RepositoryFactory, bucket: MemoryBlobs) -> None:
    """Their first change moves what is large into objects; their own format knows none."""
    messages = [large(), SMALL_ONE]
    item = {"SessionId": {"S": "s"}, "History": to_attribute(messages_to_dict(messages), "natives")}
    sessions = make_repository(blobs=bucket)
    await sessions._connection.call("put_item", {"TableName": sessions.table_name, "Item": item}, write=True)
    await sessions.append("s", [AIMessage("hello", id="new")])
    assert tokens(bucket.objects) == await referred(sessions)
    assert len(bucket.objects) == 1
    assert (await sessions.read("s")).messages[:2] == messages
    with pytest.raises(SettingsError, match="leave out blobs="):
        make_repository(blobs=bucket, item_format="community")


@pytest.mark.parametrize("given", [MemoryBlobs, "bucket", 1])
def test_what_is_no_place(given: object) -> None:
    """An error says what to give."""
    with pytest.raises(InvalidInputError, match=r"give S3Blobs\(bucket\)"):
        AsyncSessionRepository("Table", blobs=given)  # type: ignore[arg-type]


async def test_a_repository_without_blobs(sessions: AsyncSessionRepository, bucket: MemoryBlobs) -> None:
    """It says what it lacks, and changes nothing; what needs no object it does."""
    messages = await three(sessions)
    without = with_options(sessions, blobs=None, sizes=Sizes())
    needs: list[Awaitable[object]] = [
        without.read("s"),
        without.update_message("s", HumanMessage("new", id="small")),
        without.repair("s"),
        without.delete("s"),
    ]
    for step in needs:
        with pytest.raises(MissingBlobsError, match=r"bucket 'memory'.*blobs=S3Blobs") as told:
            await step
        assert told.value.bucket == "memory"
    assert (await without.read("s", limit=1)).messages == messages[2:]
    await without.append("s", [human(30)])
    await without.update_metadata("s", {"title": "t"})
    assert (await with_options(sessions).read("s")).messages[:3] == messages
    await without.truncate("s", keep=1)  # whose dropped pages stay until somebody can remove their objects
    assert [message.id for message in (await without.read("s")).messages] == ["small"]
    assert len(bucket.objects) == 1
    await sessions.append("s", [large("more")])
    assert tokens(bucket.objects) == await referred(sessions)
    await sessions.delete("s")
    assert (await scan(sessions), bucket.objects) == ([], {})


CHANGES: dict[str, Callable[[MemoryBlobs, str], object]] = {
    "missing": lambda bucket, name: bucket.objects.pop(name),
    "longer": lambda bucket, name: bucket.objects.update({name: bucket.objects[name] + b"x"}),
    "shorter": lambda bucket, name: bucket.objects.update({name: bucket.objects[name][:-1]}),
    "another": lambda bucket, name: bucket.objects.update({name: bucket.objects[name][::-1]}),
}


@pytest.mark.once
@pytest.mark.parametrize("change", CHANGES)
async def test_an_object_that_is_missing_or_changed(
    sessions: AsyncSessionRepository, bucket: MemoryBlobs, change: str
) -> None:
    """The error names it; windows that do not need it, and reads around it, work; a repair takes it out."""
    messages = await three(sessions)
    (name,) = bucket.objects
    CHANGES[change](bucket, name)
    other = with_options(sessions)
    with pytest.raises(BlobDamagedError) as told:
        await other.read("s")
    assert (told.value.bucket, told.value.object, told.value.attribute) == ("memory", name, "lc_data")
    assert name in str(told.value)
    assert "~lc~" in told.value.item
    with pytest.raises(BlobDamagedError):
        await _all(other)
    assert (await other.repair("s")).removed == []  # it keeps what may come back
    assert (await other.read("s", limit=1)).messages == messages[2:]
    assert (await with_options(sessions, skip_undecodable=True).read("s")).messages == [messages[0], messages[2]]
    around = await other.read("s", skip_missing_pages=True)
    assert around.messages == [messages[0], messages[2]]
    assert [(one.position, one.messages) for one in around.missing] == [(1, 1)]
    found = [message async for message in other.iter_messages("s", skip_missing_pages=True)]
    assert found == [messages[0], messages[2]]
    report = await other.repair("s", drop_undecodable=True)
    assert [name in removed.reason for removed in report.removed] == [True]
    assert (await other.read("s")).messages == [messages[0], messages[2]]
    assert tokens(bucket.objects) == await referred(sessions)


async def test_a_copy_of_the_bucket(sessions: AsyncSessionRepository, bucket: MemoryBlobs) -> None:
    """Objects are looked for in the bucket that is given, where a changed one is damage; all changes work with it."""
    messages = await three(sessions)
    ((name, data),) = bucket.objects.items()
    copy = MemoryBlobs(threshold=1000, bucket="copy", objects={name: data}, times={name: 0.0})
    other = with_options(sessions, blobs=copy)
    assert (await other.read("s")).messages == messages
    copy.objects[name] = b""
    with pytest.raises(BlobDamagedError, match=r"bucket 'copy' is not what was written .it was written to .* 'memory'"):
        await with_options(other).read("s")
    await other.append("s", [large("more")])
    assert [item["lc_bucket"] for item in await scan(sessions) if "History" in item] == [{"S": "memory copy"}]
    await other.truncate("s", keep=1)
    assert (len(await scan(sessions)), copy.objects) == (2, {})
    await other.delete("s")
    assert await scan(sessions) == []


async def test_another_bucket(sessions: AsyncSessionRepository, bucket: MemoryBlobs) -> None:
    """What is not there may be where it was written: nothing is given up for that, and the error names the bucket."""
    messages = await three(sessions)
    other = with_options(sessions, blobs=MemoryBlobs(threshold=1000, bucket="other"))
    needs: list[Callable[[], Awaitable[object]]] = [
        lambda: other.read("s"),
        lambda: other.read("s", skip_missing_pages=True),
        lambda: _all(other),
        lambda: other.repair("s", drop_undecodable=True),
        lambda: other.update_message("s", HumanMessage("new", id="small")),
        lambda: other.copy("s", "fork"),
        lambda: other.delete("s"),
    ]
    before = await scan(sessions)
    for step in needs:
        with pytest.raises(MissingBlobsError, match="written to bucket 'memory', and is not in bucket 'other'") as told:
            await step()
        assert told.value.bucket == "memory"
    for dry_run in (False, True):
        assert (await delete_sessions(other, Run(match="*", dry_run=dry_run))).actions == {"failed": 1}
    assert await scan(sessions) == before
    assert (await other.read("s", limit=1)).messages == messages[2:]
    await other.append("s", [large("more")])
    await other.truncate("s", keep=1)  # whose dropped pages stay until somebody can remove their objects
    assert tokens(bucket.objects) | tokens(other._options.blobs.objects) == await referred(sessions)  # type: ignore[union-attr]
    await with_options(sessions).replace("s", [large("new")])
    with pytest.raises(MissingBlobsError, match="written to bucket 'other', and is not in bucket 'memory'"):
        await sessions.delete("s")


def _dying_at(
    operation: str, once: Callable[[], bool] = lambda: True
) -> Callable[[str, Any, Call], Awaitable[dict[str, Any]]]:
    """What dies before such a request, once that holds."""

    async def hook(name: str, request: Any, proceed: Call) -> dict[str, Any]:
        if name == operation and once():
            raise Crash
        return await proceed()

    return hook


async def _all(repository: AsyncSessionRepository) -> list[BaseMessage]:
    return [message async for message in repository.iter_messages("s")]


@pytest.mark.parametrize("name", ["replace", "truncate", "delete"])
async def test_a_session_with_a_missing_object_can_be_changed(
    sessions: AsyncSessionRepository, bucket: MemoryBlobs, name: str
) -> None:
    """What gives the large message up needs no object."""
    await three(sessions)
    bucket.objects.clear()
    await STEPS[name](with_options(sessions))
    assert tokens(bucket.objects) == await referred(sessions)


class Down:
    """A bucket that refuses some operations."""

    def __init__(self, *operations: str, error: Exception | None = None) -> None:
        self.operations, self.error = operations, error

    async def __call__(self, operation: str, request: Any, proceed: Call) -> dict[str, Any]:
        if operation in self.operations:
            raise self.error or BlobUnavailableError("down", bucket="memory", object=request["Key"], retryable=True)
        return await proceed()


async def test_a_bucket_that_does_not_answer(sessions: AsyncSessionRepository, bucket: MemoryBlobs) -> None:
    """An append changes nothing, a read says so, a window does not need it; a delete is finished by the next one."""
    messages = await three(sessions)
    other = with_options(sessions)
    watch(other, Hooked, Down("put_object", "get_object", "list_objects_v2"))
    for step in (other.append("s", [large("more")]), other.read("s"), _all(other)):
        with pytest.raises(BlobUnavailableError):
            await step
    assert (await sessions.read("s")).messages == messages
    assert (await other.read("s", limit=1)).messages == messages[2:]
    with pytest.raises(BlobUnavailableError):
        await other.delete("s")
    assert (await sessions.read("s")).version == 0
    await sessions.delete("s")
    assert (await scan(sessions), bucket.objects) == ([], {})


@pytest.mark.parametrize("first", ["the same", "another"])
@pytest.mark.parametrize("bucket_is", ["missing", "down", "another"])
async def test_a_history_that_is_replaced_needs_no_objects(
    sessions: AsyncSessionRepository, bucket: MemoryBlobs, bucket_is: str, first: str
) -> None:
    """Where what is there cannot be read all is written anew; pages that cannot be removed stay."""
    messages = await three(sessions)
    given: dict[str, Any] = {"blobs": None, "sizes": Sizes()} if bucket_is == "missing" else {}
    if bucket_is == "another":
        given = {"blobs": MemoryBlobs(threshold=1000, bucket="other")}
    without = with_options(sessions, **given)
    if bucket_is == "down":
        watch(without, Hooked, Down("get_object"))
    new = [messages[0] if first == "the same" else human(30), human(30)]
    await without.replace("s", new)
    assert (await sessions.read("s")).messages == new
    await sessions.update_metadata("s", {"a": 1})
    assert (len(await scan(sessions)), bucket.objects) == (1, {})


async def test_how_many_objects_a_replace_reads(sessions: AsyncSessionRepository, bucket: MemoryBlobs) -> None:
    """Those that both histories begin with, and one more."""
    messages = [large(str(i)) for i in range(6)]
    for message in messages:
        await sessions.append("s", [message])
    for same, read in ((0, 1), (3, 4), (6, 6)):
        await sessions.copy("s", f"copy {same}")
        other = with_options(sessions)
        recorder: Recorder = watch(other, Recorder)
        new = [*messages[:same], human(20)]
        await other.replace(f"copy {same}", new)
        assert [name for name, _ in recorder.log].count("get_object") == read
        assert (await sessions.read(f"copy {same}")).messages == new


async def test_a_long_message_is_read_again(sessions: AsyncSessionRepository) -> None:
    """It is remembered, by the memory that it takes, so its object is fetched once."""
    message = large("long")
    await sessions.append("s", [message, SMALL_ONE])
    other = with_options(sessions)
    recorder: Recorder = watch(other, Recorder)
    for _ in range(3):
        assert (await other.read("s")).messages == [message, SMALL_ONE]
    assert [name for name, _ in recorder.log].count("get_object") == 1
    assert 0 <= other._reader.pages.cache.cost - len(str(message.content)) < 1000


async def test_what_begins_the_same_though_it_is_written_otherwise(sessions: AsyncSessionRepository) -> None:
    """A line is as long as it is for its escapes, or was not stored in pieces: it is the same line."""
    escaped = [HumanMessage(noise(9_000).replace("a", '"') + "\n" * 9_000, id=id) for id in "ab"]
    for message in [*escaped, SMALL_ONE]:
        await sessions.append("s", [message])
    other = with_options(sessions)
    watched = watch(other, Scripted)
    new = [*escaped, human(20)]
    await other.replace("s", new)
    assert watched.requests["put_object"] == watched.requests["put_item"] == 0
    assert (await sessions.read("s")).messages == new


async def test_reads_around_what_is_missing_take_in_pieces(
    sessions: AsyncSessionRepository, bucket: MemoryBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is there, as other reads do."""
    messages = [large("lost"), large("first"), large("last")]
    for message in messages:
        await sessions.append("s", [message])
    (name,) = [name for name in bucket.objects if "/00000000-" in name]
    bucket.objects.pop(name)
    in_pieces: list[object] = []

    async def taken_in(*given: Any) -> Any:
        in_pieces.append(given)
        return await object_pieces.taken_in(*given)

    monkeypatch.setattr(page_objects, "taken_in", taken_in)
    found = await with_options(sessions).read("s", skip_missing_pages=True)
    assert (found.messages, len(found.missing)) == (messages[1:], 1)
    read = len(in_pieces)
    walk = with_options(sessions).iter_messages("s", skip_missing_pages=True)
    assert [message async for message in walk] == messages[1:]
    walked = len(in_pieces) - read
    assert (read, walked) == ((6, 3) if page_objects.MUCH == 0 else (0, 0))


@pytest.mark.parametrize("error", [None, AccessDeniedError("no credentials")], ids=["down", "no credentials"])
async def test_sessions_without_objects_need_no_bucket(
    make_repository: RepositoryFactory, error: AccessDeniedError | None
) -> None:
    """They are written, read and deleted while it is down, or there are no credentials for it."""
    sessions = make_repository(blobs=MemoryBlobs(threshold=64 << 10))
    watch(sessions, Hooked, Down("put_object", "get_object", "list_objects_v2", "delete_objects", error=error))
    await sessions.append("s", [human(100)])
    await sessions.append("s", [human(900) for _ in range(30)])
    await sessions.replace("s", [human(10)])
    assert (await sessions.read("s")).message_count == 1
    await sessions.delete("s")
    assert await scan(sessions) == []


async def test_a_batch_that_the_bucket_refuses(sessions: AsyncSessionRepository, bucket: MemoryBlobs) -> None:
    """All or nothing, and the pages of what was begun are gone."""
    await three(sessions)
    before = tokens(bucket.objects)
    other = with_options(sessions)
    written: list[str] = []

    async def second_fails(operation: str, request: Any, proceed: Call) -> dict[str, Any]:
        if operation == "put_object" and written:
            raise BlobUnavailableError("down", bucket="memory", object=None)
        written.extend([operation] * (operation == "put_object"))
        return await proceed()

    watch(other, Hooked, second_fails)
    with pytest.raises(BlobUnavailableError):
        await other.append("s", [large("1"), large("2")])
    assert tokens(bucket.objects) == await referred(sessions) == before


async def test_a_trim_whose_objects_cannot_be_removed(sessions: AsyncSessionRepository, bucket: MemoryBlobs) -> None:
    """The change stands; the next one that drops pages removes what was left."""
    await three(sessions)
    other = with_options(sessions)
    watch(other, Hooked, Down("list_objects_v2", "delete_objects"))
    await other.replace("s", [large("new")])
    assert len(bucket.objects) == 2
    await sessions.replace("s", [large("newer")])
    assert tokens(bucket.objects) == await referred(sessions)


@pytest.mark.parametrize("operation", ["put_item", "update_item"])
async def test_a_page_that_was_not_written(
    sessions: AsyncSessionRepository, bucket: MemoryBlobs, operation: str
) -> None:
    """Whatever DynamoDB refuses it for: its object goes."""
    await three(sessions)
    before = dict(bucket.objects)
    other = with_options(sessions)
    error = ThrottledError("throttled", code="ThrottlingException")
    watch(other, Scripted, At(operation, error=error, sent=False, of=lambda request: " memory" in str(request)))
    if operation == "put_item":
        with pytest.raises(ThrottledError):
            await other.append("s", [large("1"), large("2")])
    else:
        await other.update_message("s", large())
    assert bucket.objects == before
    await with_options(sessions).append("s", [human(10)])
    assert tokens(bucket.objects) == await referred(sessions)


async def test_a_delete_while_an_edit_writes_its_object(sessions: AsyncSessionRepository, bucket: MemoryBlobs) -> None:
    """Whoever finds its page gone takes its object back."""
    await three(sessions)
    other = with_options(sessions)
    watch(other, Scripted, At("put_object", first=lambda: with_options(sessions).delete("s")))
    await other.update_message("s", large())
    assert (bucket.objects, await scan(sessions)) == ({}, [])


async def test_what_a_dead_writer_left_to_one_without_blobs(
    make_repository: RepositoryFactory, bucket: MemoryBlobs
) -> None:
    """It removes no page whose object it cannot remove, and notes that there are such."""
    clock = make_repository.set_clock()
    make_repository.wait(renew=600)
    sessions, without = make_repository(blobs=bucket), make_repository()
    await sessions.append("s", [human(10)])
    steps: list[tuple[Step, int]] = [
        (lambda s: s.replace("s", [large("1"), large("2")]), 2),
        (lambda s: s.append("new", [large("1"), large("2")]), 4),
    ]
    for step, objects in steps:
        dying = with_options(sessions)
        watch(dying, Hooked, _dying_at("update_item", lambda: len(bucket.objects) == objects))  # noqa: B023
        with pytest.raises(Crash):
            await step(dying)
    clock.advance(60)
    await without.append("s", [human(20)])
    await without.update_metadata("s", {"title": "t"})
    assert tokens(bucket.objects) == await referred(sessions)
    assert len(bucket.objects) == 4
    with pytest.raises(MissingBlobsError):
        await without.delete("s")
    with pytest.raises(MissingBlobsError):
        await without.append("new", [human(20)])
    other = make_repository(blobs=bucket)
    for session in ("s", "new"):
        await other.append(session, [human(20)])
        await other.delete(session)
    assert (bucket.objects, await scan(sessions)) == ({}, [])


async def test_objects_are_removed_together(sessions: AsyncSessionRepository, bucket: MemoryBlobs) -> None:
    """One request for all that a change drops."""
    for session in ("truncate", "replace", "delete"):
        for number in range(6):
            await sessions.append(session, [large(str(number))])
    other = with_options(sessions)
    watched = watch(other, Scripted)
    await other.truncate("truncate", keep=1)
    await other.replace("replace", [HumanMessage("new")])
    await other.delete("delete")
    counted = {name: count for name, count in watched.requests.items() if "object" in name}
    assert {**counted, "get_object": 0} == {"get_object": 0, "list_objects_v2": 2, "delete_objects": 3}
    assert tokens(bucket.objects) == await referred(sessions)


async def test_two_writers_of_one_page(make_repository: RepositoryFactory) -> None:
    """The page is the first one's, with its object; the other's object goes."""
    bucket = MemoryBlobs(threshold=10)
    one, two = (make_repository(blobs=bucket, sizes=SMALL) for _ in range(2))
    await one.append("s", [human(400)])
    await two.read("s")
    cut = await _held_commit(one, lambda: two.append("s", [human(401)]))
    assert cut
    assert tokens(bucket.objects) == await referred(one)
    assert len(await _all(with_options(one))) == 3


async def _held_commit(repository: AsyncSessionRepository, meanwhile: Callable[[], Awaitable[object]]) -> bool:
    """Append what cuts a page; after that is put, something else happens."""
    other = with_options(repository)
    await other.read("s")
    played = watch(other, Scripted, At("put_item", then=meanwhile))
    await other.append("s", [human(402)])
    return bool(played.is_over)


async def test_a_page_put_again_after_no_answer(make_repository: RepositoryFactory) -> None:
    """The page that came through stays, with its object: the one of the second attempt goes."""
    bucket = MemoryBlobs(threshold=10)
    sessions = make_repository(blobs=bucket, sizes=SMALL)
    await sessions.append("s", [human(400)])
    watch(sessions, Scripted, At("put_item", error=no_answer()))
    await sessions.append("s", [human(401)])
    assert tokens(bucket.objects) == await referred(sessions)
    assert len(await _all(with_options(sessions))) == 2


async def test_a_late_copy_of_a_page_brings_no_dead_reference(make_repository: RepositoryFactory) -> None:
    """A request that comes once more, after another attempt has put the same page, changes nothing."""
    bucket = MemoryBlobs(threshold=10)
    sessions = make_repository(blobs=bucket, sizes=SMALL)
    await sessions.append("s", [human(400)])
    late: list[Any] = []

    async def first_is_late(operation: str, request: Any, proceed: Call) -> dict[str, Any]:
        if operation == "put_item" and not late:
            late.append(request)
            raise no_answer()
        return await proceed()

    watcher = watch(sessions, Hooked, first_is_late)
    await sessions.append("s", [human(401)])
    with pytest.raises(Exception, match="condition"):
        await watcher.inner.call("put_item", late[0], write=True)
    assert len(await _all(with_options(sessions))) == 2


async def test_a_reader_meets_an_edit(sessions: AsyncSessionRepository) -> None:
    """The object it was about to fetch is gone: it sees the message that took the place of the other."""
    await three(sessions)
    reader = with_options(sessions)
    changed = large()
    watched = watch(
        reader, Scripted, At("get_object", first=lambda: with_options(sessions).update_message("s", changed))
    )
    assert (await reader.read("s")).messages[1] == changed
    assert watched.is_over


async def test_objects_that_nothing_refers_to(sessions: AsyncSessionRepository, bucket: MemoryBlobs) -> None:
    """Only old ones are found; pages that DynamoDB removed by their TTL leave such, and so does a crash."""
    now = 100 * DAY
    look = UnreferencedObjects(sessions._table, bucket, lambda: now * 1_000_000)
    bucket.now = now - DAY - 1
    await three(sessions)
    (kept,) = bucket.objects
    await sessions.append("gone", [large()])
    for item in await scan(sessions):
        if item["SessionId"]["S"].startswith("gone"):
            key = {"Key": {"SessionId": item["SessionId"]}, "TableName": sessions.table_name}
            await sessions._connection.call("delete_item", key, write=True)
    (left,) = bucket.objects.keys() - {kept}
    stray, young, foreign = f"{kept[:-6]}000000", f"{kept[:-6]}ffffff", "report.pdf"
    await bucket.put(stray, b"", b"")
    await bucket.put(foreign, b"", b"")
    bucket.now = now - DAY + 1
    await bucket.put(young, b"", b"")
    assert await found_by(look) == {left, stray}
    assert await found_by(look, wanted=lambda key: key == sessions._key("gone")) == {left}
    assert await found_by(look, age=DAY - 2) == {left, stray, young}


async def test_a_damaged_page_keeps_its_object(sessions: AsyncSessionRepository, bucket: MemoryBlobs) -> None:
    """What cannot be read may refer to it."""
    await three(sessions)
    (page,) = [item for item in await scan(sessions) if "S" in item.get("lc_data", {})]
    broken = {**page, "lc_chain": {"S": "?"}}
    await sessions._connection.call("put_item", {"TableName": sessions.table_name, "Item": broken}, write=True)
    look = UnreferencedObjects(sessions._table, bucket, lambda: 100 * DAY * 1_000_000)
    assert await found_by(look) == set()
    with pytest.raises(CorruptSessionError):
        await with_options(sessions).read("s")


async def test_search_finds_objects_of_lost_sessions(sessions: AsyncSessionRepository, bucket: MemoryBlobs) -> None:
    """A delete that searches removes what a session left whose items are gone, and nothing of the next of its name."""
    await three(sessions)
    for item in await scan(sessions):
        key = {"Key": {"SessionId": item["SessionId"]}, "TableName": sessions.table_name}
        await sessions._connection.call("delete_item", key, write=True)
    await sessions.append("s2", [large()])
    await with_options(sessions).delete("s", search_pages=True)
    assert tokens(bucket.objects) == await referred(sessions)
    assert len(bucket.objects) == 1


def test_facade_and_history(make_repository: RepositoryFactory, bucket: MemoryBlobs) -> None:
    """They have the same option, and see the same session."""
    given = {"table_name": make_repository.table_name, "endpoint_url": make_repository.endpoint_url, "blobs": bucket}
    message = large()
    history = DynamoDBChatMessageHistory(session_id="s", **given)  # type: ignore[arg-type]
    history.add_messages([message])
    assert len(bucket.objects) == 1
    with SessionRepository(**given) as sessions:  # type: ignore[arg-type]
        assert sessions.read("s").messages == [message]
    history.clear()
    assert bucket.objects == {}


REFERENCE = ["0" * 24, "40000", "0" * 64, "memory"]


@pytest.mark.once
@pytest.mark.parametrize(
    "broken",
    [
        ["x"],
        REFERENCE[:3],
        [*REFERENCE, "more"],
        ["../" * 8, *REFERENCE[1:]],
        ["0" * 23 + "A", *REFERENCE[1:]],
        [REFERENCE[0], "-5", *REFERENCE[2:]],
        [REFERENCE[0], "0", *REFERENCE[2:]],
        [REFERENCE[0], str(1 << 30), *REFERENCE[2:]],
        [REFERENCE[0], "1e9", *REFERENCE[2:]],
        [*REFERENCE[:2], "0" * 63 + "g", "memory"],
        [*REFERENCE[:3], ""],
    ],
    ids=lambda broken: " ".join(broken)[:40],
)
async def test_a_reference_that_is_no_reference(sessions: AsyncSessionRepository, broken: list[str]) -> None:
    """It is damage like any other."""
    assert Reference.parse(" ".join(REFERENCE)) is not None
    assert Reference.parse(" ".join(broken)) is None
    await three(sessions)
    (page,) = [item for item in await scan(sessions) if "S" in item.get("lc_data", {})]
    broken_page = {**page, "lc_data": {"S": " ".join(broken)}}
    await sessions._connection.call("put_item", {"TableName": sessions.table_name, "Item": broken_page}, write=True)
    with pytest.raises(CorruptSessionError, match="~lc~"):
        await with_options(sessions).read("s")


def test_a_reference_leads_to_no_other_session(sessions: AsyncSessionRepository) -> None:
    """A name is made of what the page is, not of what the reference says: it leads to no other session's object."""
    reference = Reference("0" * 24, 1, "", "memory")
    name = sessions._table.objects.name(sessions._key("a/b"), 7, 3, reference)
    assert name == f"{sessions.table_name}!/a!2Fb/00000000000007/00000003-{'0' * 24}"


# --- What is fetched ---


@pytest.mark.parametrize("limit", [150, 200, 202])
async def test_a_window_fetches_no_object_that_it_does_not_need(make_repository: RepositoryFactory, limit: int) -> None:
    """Pages are fetched by a guess, which may be one too many; and none again by the next window."""
    bucket = MemoryBlobs(threshold=20_000)
    sessions = make_repository(blobs=bucket)
    await sessions.append("s", [large()])
    await sessions.append("s", [human(2) for _ in range(200)])
    await sessions.append("s", [human(3000)])
    await sessions.append("s", [human(3000)])
    bucket.objects.clear()
    other = with_options(sessions)
    watched = watch(other, Scripted)
    for requests in ({"get_item": 1, "batch_get_item": 1}, {"get_item": 2, "batch_get_item": 1}):
        assert len((await other.read("s", limit=limit)).messages) == limit
        assert watched.requests == requests


async def test_a_window_after_an_edit_of_a_page_that_it_did_not_need(make_repository: RepositoryFactory) -> None:
    """What was kept of that page is not taken for what it is now, whether the edit was in it or was still to come."""
    sessions = make_repository(sizes=SMALL)
    await sessions.append("s", [named("1", 300), named("2", 300)])
    await sessions.append("s", [human(2) for _ in range(20)])
    await sessions.append("s", [human(300)])
    await sessions.append("s", [human(300)])
    other = with_options(sessions)
    await other.read("s", limit=15)
    dying = with_options(sessions)

    async def at_the_page(operation: str, request: Any, proceed: Call) -> dict[str, Any]:
        if operation == "update_item" and request["Key"]["SessionId"]["S"] != "s":
            raise Crash
        return await proceed()

    watch(dying, Hooked, at_the_page)
    with pytest.raises(Crash):
        await dying.update_message("s", HumanMessage("new", id="1"))
    await other.read("s", limit=15)
    fresh = with_options(sessions)
    assert (await fresh.read("s")).messages[0].text == "new"
    await sessions.update_metadata("s", {"title": "t"})
    for reader in (other, fresh):
        await reader.read("s", limit=15)
        assert (await reader.read("s")).messages[0].text == "new"


async def test_a_search_fetches_one_object_after_another(sessions: AsyncSessionRepository, bucket: MemoryBlobs) -> None:
    """From the newest message down, and no further than the one that is searched."""
    for number in range(8):
        await sessions.append("s", [large(str(number))])
    (lost, *_) = [name for name in bucket.objects if "/00000005-" in name]
    bucket.objects.pop(lost)
    fetched: dict[str, int] = {}
    for id in ("7", "6"):
        other = with_options(sessions)
        watched = watch(other, Scripted)
        await other.remove_message("s", id)
        fetched[id] = watched.requests["get_object"]
    assert fetched == {"7": 2, "6": 2}
    with pytest.raises(BlobDamagedError):
        await with_options(sessions).remove_message("s", "4")


async def test_a_repair_has_one_object_in_memory(sessions: AsyncSessionRepository) -> None:
    """It looks at one after another, and at none of a session of which nothing is to be dropped."""
    peaks = []
    for count in (2, 10):
        session = f"of {count}"
        for number in range(count):
            await sessions.append(session, [named(str(number), 1_000_000)])
        other = with_options(sessions)
        watched = watch(other, Scripted)
        await other.repair(session)
        assert watched.requests["get_object"] == 0
        tracemalloc.start()
        assert (await other.repair(session, drop_undecodable=True)).removed == []
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert watched.requests["get_object"] == count
    assert peaks[1] < 1.2 * peaks[0]


LIST, DELETE = "list_objects_v2", "delete_objects"
REQUESTS: dict[str, tuple[Step, dict[str, int]]] = {
    "append": (lambda s: s.append("s", [large("more")]), {"put_object": 1}),
    "append a small one": (lambda s: s.append("s", [human(10)]), {}),
    "read": (lambda s: s.read("s"), {"get_object": 4}),
    "iterate": (lambda s: _all(s), {"get_object": 4}),
    "replace": (lambda s: s.replace("s", [human(10), human(10)]), {LIST: 1, DELETE: 1}),
    "truncate": (lambda s: s.truncate("s", keep=1), {DELETE: 1}),
    "update another": (lambda s: s.update_message("s", HumanMessage("new", id="small")), {"get_object": 4}),
    "update to a small one": (
        lambda s: s.update_message("s", HumanMessage("new", id="3")),
        {"get_object": 2, DELETE: 1},
    ),
    "update": (lambda s: s.update_message("s", large("2")), {"get_object": 3, "put_object": 1, DELETE: 1}),
    "copy": (lambda s: s.copy("s", "fork"), {"get_object": 4, "put_object": 4}),
    "copy the beginning": (lambda s: s.copy("s", "fork", keep=3), {"get_object": 2, "put_object": 2}),
    "reencrypt": (lambda s: s.reencrypt("s"), {"get_object": 4, "put_object": 4, LIST: 1, DELETE: 1}),
    "repair": (lambda s: s.repair("s"), {}),
    "repair and drop": (lambda s: s.repair("s", drop_undecodable=True), {"get_object": 4}),
    "name": (lambda s: s.update_metadata("s", {"title": "t"}), {}),
    "delete": (lambda s: s.delete("s"), {LIST: 1, DELETE: 1}),
    "delete a small one": (lambda s: s.delete("small"), {LIST: 1}),
}


@pytest.mark.once
@pytest.mark.parametrize("name", REQUESTS)
async def test_requests_of_the_bucket(make_repository: RepositoryFactory, bucket: MemoryBlobs, name: str) -> None:
    """As docs/howto/large-data.md tells them, of a process that has nothing in memory."""
    sessions = make_repository(blobs=bucket, encryption=KEYRING)
    for message in (SMALL_ONE, *(large(str(number)) for number in range(4)), AIMessage("last")):
        await sessions.append("s", [message])
    await sessions.append("small", [SMALL_ONE])
    step, expected = REQUESTS[name]
    other = with_options(sessions)
    watched = watch(other, Scripted)
    await step(other)
    assert {operation: count for operation, count in watched.requests.items() if "object" in operation} == expected


# --- Forks ---


@pytest.mark.once
@pytest.mark.parametrize("keep", [None, 2, 1])
@pytest.mark.parametrize("encryption", [None, KEYRING], ids=["plain", "encrypted"])
async def test_a_fork_has_objects_of_its_own(
    make_repository: RepositoryFactory, bucket: MemoryBlobs, keep: int | None, encryption: LocalKeyring | None
) -> None:
    """Neither needs the other's, and each takes its own along when it goes."""
    sessions = make_repository(blobs=bucket, encryption=encryption)
    messages = await three(sessions)
    await sessions.copy("s", "fork", keep=keep)
    assert len(bucket.objects) == (1 if keep == 1 else 2)
    noted = {item["SessionId"]["S"]: item.get("lc_bucket") for item in await scan(sessions) if "History" in item}
    assert noted == {"s": {"S": "memory"}, "fork": None if keep == 1 else {"S": "memory"}}
    await sessions.delete("s")
    assert (await make_repository(blobs=bucket, encryption=encryption).read("fork")).messages == messages[:keep]
    await sessions.delete("fork")
    assert (bucket.objects, await scan(sessions)) == ({}, [])


async def test_a_fork_elsewhere(
    make_repository: RepositoryFactory, sessions: AsyncSessionRepository, bucket: MemoryBlobs
) -> None:
    """In another bucket, or in none; who cannot have the data of the source begins nothing."""
    messages = await three(sessions)
    await sessions.update_metadata("s", {"title": "t"}, attributes={"user": "u"})
    other = MemoryBlobs(threshold=1000, bucket="other")
    await sessions.copy("s", "there", repository=with_options(sessions, blobs=other))
    assert (len(bucket.objects), len(other.objects)) == (1, 1)
    assert (await with_options(sessions, blobs=other).read("there")).messages == messages
    bare = make_repository()
    await sessions.copy("s", "bare", repository=bare)
    copied = await make_repository().read("bare")
    assert (copied.messages, copied.metadata, copied.attributes) == (messages, {"title": "t"}, {"user": "u"})
    before = await scan(sessions)
    with pytest.raises(MessageTooLargeError, match=r"messages\[\d\] has \d+ bytes"):
        await sessions.copy("s", "new", repository=make_repository(sizes=Sizes(message=1000)))
    assert await scan(sessions) == before
    with pytest.raises(MissingBlobsError):
        await bare.copy("s", "new", repository=sessions)
    assert await scan(sessions) == before


async def test_a_fork_of_a_session_whose_object_is_lost(sessions: AsyncSessionRepository, bucket: MemoryBlobs) -> None:
    """It is damage that is named, and nothing is left; the beginning can be copied."""
    await three(sessions)
    bucket.objects.clear()
    with pytest.raises(BlobDamagedError):
        await sessions.copy("s", "fork")
    assert (await sessions.read("fork")).version == 0
    await sessions.copy("s", "fork", keep=1)
    assert (await sessions.read("fork")).messages == [SMALL_ONE]


# --- Tables that share a bucket ---


@pytest.mark.parametrize(
    ("prefix", "other_prefix"), [("", "chats/"), ("chats/", "chats/eu/"), ("chats/", "chats/"), ("", "")]
)
@pytest.mark.parametrize("sort_key", [None, "SK"])
async def test_tables_that_share_a_bucket(
    make_repository: RepositoryFactory, make_table: TableFactory, prefix: str, other_prefix: str, sort_key: str | None
) -> None:
    """Whatever one does, it touches none of the other's objects, not even where their names begin as its own."""
    bucket = MemoryBlobs(threshold=1000, prefix=prefix)
    key = {"SessionId": "eu", **({sort_key: "s"} if sort_key else {})}
    one = make_repository(make_table("SessionId", sort_key), blobs=bucket)
    other = make_repository(make_table(), blobs=replace(bucket, prefix=other_prefix))
    await other.append("s", [large()])
    (name,) = bucket.objects
    await one.append(key, [large()])
    await one.delete(key, search_pages=True)
    await vacuum(one)  # by their time all are old
    await delete_sessions(one, Run(match="*"))
    assert [*bucket.objects] == [name]
    assert (await with_options(other).read("s")).message_count == 1
