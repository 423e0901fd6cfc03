"""Operations of several requests, and the states they start from: what the tests break in every place."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from langchain_core.messages import HumanMessage, messages_to_dict

from langchain_dynamodb import AsyncSessionRepository
from langchain_dynamodb._dynamodb.attribute_values import to_attribute
from langchain_dynamodb._protocol.missing_pages import RECENT_PAGES
from langchain_dynamodb._store.unreferenced_objects import UnreferencedObjects
from langchain_dynamodb.encryption import LocalKeyring
from memory_blobs import MemoryBlobs
from support import (
    SMALL,
    THOROUGH,
    Call,
    Clock,
    Crash,
    Hooked,
    Recorder,
    fill_tail,
    found_by,
    human,
    named,
    remembered,
    scan,
    watch,
    with_options,
)

Step = Callable[[AsyncSessionRepository], Awaitable[Any]]
_texts = random.Random(3)  # the same ones in every process


def _human(size: int) -> HumanMessage:
    return HumanMessage(_texts.randbytes(size // 2).hex())


FIRST = "1"  # id of the first message
BATCH = [_human(300) for _ in range(4)]
ONE = [_human(100)]
LARGE = [HumanMessage("small"), _human(3000)]


# --- What is there before ---


async def nothing(repository: AsyncSessionRepository) -> None:
    """No session yet."""


async def full_tail(repository: AsyncSessionRepository) -> None:
    """A session whose next append cuts a page, after some that did."""
    await repository.append("s", [named(FIRST, 100)])
    while remembered(repository).pages < 2:
        await repository.append("s", [human(100)])
    await fill_tail(repository)


async def trimmed(repository: AsyncSessionRepository) -> None:
    """A session whose next append cuts a page, and removes those that one dropped which died before it did."""
    await full_tail(repository)
    await _die_before("batch_write_item", "update_item", repository, append_and_trim)
    await fill_tail(repository)
    assert remembered(repository).floor < remembered(repository).first_page


async def soon_to_expire(repository: AsyncSessionRepository) -> None:
    """A session whose pages must be given a new expiry by the next append."""
    await full_tail(repository)
    key, item = repository._key("s"), remembered(repository)
    await repository._table.refresh_pages(key, item.generation, range(item.pages), 1_800_000_100, item.version)
    await repository._connection.call(
        "update_item",
        {
            "TableName": repository.table_name,
            "Key": key.item,
            "UpdateExpression": "SET lc_pages_expire = :soon",
            "ExpressionAttributeValues": {":soon": {"N": "1800000100"}},
        },
        write=True,
    )


async def community_item(repository: AsyncSessionRepository) -> None:
    """An item as langchain_community leaves it."""
    natives = messages_to_dict([HumanMessage("old", id=FIRST), *BATCH])
    item = {"SessionId": {"S": "s"}, "History": to_attribute(natives, "natives"), "Other": {"S": "kept"}}
    await restore(repository, [item])


async def kept_community_item(repository: AsyncSessionRepository) -> None:
    """The same, and it shall stay readable by langchain_community."""
    await community_item(repository)


async def half_a_batch(repository: AsyncSessionRepository) -> None:
    """A session with the pages of a batch whose writer died before the last step."""
    await full_tail(repository)
    await _die_before("update_item", "put_item", repository, append_many)
    assert remembered(repository).intent is not None


async def half_born(repository: AsyncSessionRepository) -> None:
    """The pages of a first batch, and nothing else."""
    await _die_before("update_item", "put_item", repository, append_many)
    assert remembered(repository).created == 0


async def half_converted(repository: AsyncSessionRepository) -> None:
    """langchain_community's item with an intent on it, and pages."""
    await community_item(repository)
    await _die_before("update_item", "put_item", repository, append_one)


async def half_deleted(repository: AsyncSessionRepository) -> None:
    """A session that is marked as deleted."""
    await full_tail(repository)
    await _die_before("batch_write_item", "update_item", repository, delete)


async def half_edited(repository: AsyncSessionRepository) -> None:
    """A session of which one message was changed, but not the page that holds it."""
    await full_tail(repository)
    await _die_before("get_item", "update_item", repository, change_first)
    assert remembered(repository).edit is not None


async def lacking_a_page(repository: AsyncSessionRepository) -> None:
    """A session of which a page is lost, so long ago that it cannot be late."""
    page = await _among_many(repository)
    name = {"SessionId": {"S": f"s~lc~{remembered(repository).generation:014x}~{page:08x}"}}
    await repository._connection.call("delete_item", {"TableName": repository.table_name, "Key": name}, write=True)


async def lacking_an_object(repository: AsyncSessionRepository) -> None:
    """The same of the object that has a page's data."""
    page = await _among_many(repository)
    (name,) = [name for name in objects_of(repository) if f"/{page:08x}-" in name]
    del objects_of(repository)[name]


async def _among_many(repository: AsyncSessionRepository) -> int:
    """A page of a session of so many that none of the first is among the newest."""
    await repository.append("s", [named(FIRST, 100)])
    while remembered(repository).pages < RECENT_PAGES + 3:
        await repository.append("s", [human(100)])
    return 1


async def _die_before(last: str, after: str, repository: AsyncSessionRepository, operation: Step) -> None:
    """Die in the operation before the first `last` that follows an `after`."""
    seen: list[str] = []

    async def hook(name: str, request: Any, proceed: Call) -> dict[str, Any]:
        if name == last and after in seen:
            raise Crash
        seen.append(name)
        return await proceed()

    watcher = watch(repository, Hooked, hook)
    try:
        await operation(repository)
    except Crash:
        repository._table.connection = watcher.inner


# --- What is done ---


def append_one(repository: AsyncSessionRepository) -> Awaitable[Any]:
    """Append to the tail; where that is full, a page is cut."""
    return repository.append("s", ONE)


def append_and_trim(repository: AsyncSessionRepository) -> Awaitable[Any]:
    """Append, and drop old messages."""
    return repository.append("s", ONE, history_size=3)


def append_many(repository: AsyncSessionRepository) -> Awaitable[Any]:
    """Append what needs several pages."""
    return repository.append("s", BATCH)


def append_many_unseen(repository: AsyncSessionRepository) -> Awaitable[Any]:
    """The same by a client that has forgotten what it saw, so that it looks first."""
    repository._reader.known.discard(repository._key("s"))
    return append_many(repository)


def append_large(repository: AsyncSessionRepository) -> Awaitable[Any]:
    """Append a message that needs several items."""
    return repository.append("s", LARGE)


def replace(repository: AsyncSessionRepository) -> Awaitable[Any]:
    """Exchange the history for one of several pages."""
    return repository.replace("s", BATCH)


def empty(repository: AsyncSessionRepository) -> Awaitable[Any]:
    """Exchange the history for none."""
    return repository.replace("s", [])


def truncate(repository: AsyncSessionRepository) -> Awaitable[Any]:
    """Keep messages of several pages."""
    return repository.truncate("s", keep=4)


def change_first(repository: AsyncSessionRepository) -> Awaitable[Any]:
    """Another message in the place of the first, which is in a page."""
    return repository.update_message("s", HumanMessage("changed", id=FIRST))


def remove_first(repository: AsyncSessionRepository) -> Awaitable[Any]:
    """The first message, which is in a page, is no more."""
    return repository.remove_message("s", FIRST)


def delete(repository: AsyncSessionRepository) -> Awaitable[Any]:
    """Remove the session."""
    return repository.delete("s")


def name(repository: AsyncSessionRepository) -> Awaitable[Any]:
    """Set metadata."""
    return repository.update_metadata("s", {"title": "t"}, must_exist=False)


async def another_ending(repository: AsyncSessionRepository) -> None:
    """Replace what follows the first page."""
    messages = (await repository.read("s")).messages
    await repository.replace("s", [*messages[:3], HumanMessage("another")])


def mend(repository: AsyncSessionRepository) -> Awaitable[Any]:
    """Make a session without gaps of what is there."""
    return repository.repair("s")


def mend_and_drop(repository: AsyncSessionRepository) -> Awaitable[Any]:
    """The same without what cannot be had."""
    return repository.repair("s", drop_undecodable=True)


async def plain_pages(repository: AsyncSessionRepository) -> None:
    """As `full_tail`, written by a repository that does not encrypt."""
    await full_tail(with_options(repository, encryption=None))


def encrypt(repository: AsyncSessionRepository) -> Awaitable[Any]:
    """Bring the session to the repository's key."""
    return repository.reencrypt("s")


def decrypt(repository: AsyncSessionRepository) -> Awaitable[Any]:
    """Bring it to none."""
    return repository.reencrypt("s", plain=True)


class Case(NamedTuple):
    """An operation, what is there before it, and the kinds of write it must make, else a test of it sees nothing."""

    prepare: Step
    operation: Step
    writes: str
    busy: bool = False  # on a session so busy that a change takes a lease first
    encrypted: bool = False
    blobs: bool = False  # with large data in objects: here every page

    def __str__(self) -> str:
        marks = "".join(f"-{name}" for name in ("busy", "encrypted", "blobs") if getattr(self, name))
        return f"{self.prepare.__name__}-{self.operation.__name__}{marks}"

    @property
    def options(self) -> dict[str, Any]:
        """Settings of the repositories that take part."""
        return {
            "sizes": SMALL,
            "ttl": 1000 if self.prepare is soon_to_expire else None,
            "item_format": "community" if self.prepare is kept_community_item else "pages",
            "encryption": LocalKeyring(bytes(32)) if self.encrypted else None,
            "blobs": MemoryBlobs() if self.blobs else None,
        }


# The same with objects: what is written then.
WITH_BLOBS = {
    (nothing, append_many): "object put update",
    (nothing, append_large): "object put update",
    (full_tail, append_one): "object put update",
    (full_tail, append_and_trim): "drop object put remove update",
    (full_tail, append_many): "object put update",
    (full_tail, append_large): "object put update",
    (full_tail, replace): "drop object put remove update",
    (full_tail, empty): "drop remove update",
    (full_tail, truncate): "delete remove update",
    (full_tail, another_ending): "delete remove update",
    (full_tail, delete): "delete drop remove update",
    (full_tail, change_first): "object remove update",
    (full_tail, remove_first): "object remove update",
    (trimmed, append_one): "drop object put remove update",
    (soon_to_expire, append_one): "object put update",
    (community_item, append_one): "object put update",
    (half_a_batch, append_one): "delete object put remove update",
    (half_born, append_one): "delete remove update",
    (half_converted, append_one): "delete object put remove update",
    (half_deleted, append_one): "delete drop remove update",
    (half_edited, append_one): "object put remove update",
    (half_edited, delete): "delete drop remove update",
    (lacking_a_page, mend): "drop object put remove update",
}
# The same with objects that are encrypted.
SEALED_WITH_BLOBS = {
    (nothing, append_large): "object put update",
    (full_tail, append_one): "object put update",
    (full_tail, replace): "drop object put remove update",
    (half_edited, append_one): "object put remove update",
    (community_item, append_one): "object put update",
    (plain_pages, append_one): "drop object put remove update",
    (plain_pages, encrypt): "drop object put remove update",
    (full_tail, decrypt): "drop object put remove update",
}
# put: a page; update: the session item (and the expiry of pages); discard, drop: pages one by one, several at once.
CASES = [
    Case(nothing, append_one, "update"),
    Case(nothing, append_many, "put update"),
    Case(nothing, append_large, "put update"),
    Case(nothing, replace, "drop put update"),
    Case(nothing, name, "update"),
    Case(full_tail, append_one, "put update"),
    Case(full_tail, append_and_trim, "drop put update"),
    Case(full_tail, append_many, "put update"),
    Case(full_tail, append_large, "put update"),
    Case(full_tail, replace, "drop put update"),
    Case(full_tail, empty, "drop update"),
    Case(full_tail, truncate, "delete update"),
    Case(full_tail, another_ending, "delete update"),
    Case(full_tail, delete, "delete drop update"),
    Case(full_tail, name, "update"),
    Case(full_tail, change_first, "update"),
    Case(full_tail, remove_first, "update"),
    Case(trimmed, append_one, "drop put update"),
    Case(soon_to_expire, append_one, "put update"),
    Case(community_item, append_one, "put update"),
    Case(community_item, append_many, "put update"),
    Case(community_item, replace, "drop put update"),
    Case(community_item, delete, "delete"),
    Case(kept_community_item, append_one, "update"),
    Case(kept_community_item, append_and_trim, "update"),
    Case(kept_community_item, replace, "update"),
    Case(kept_community_item, truncate, "update"),
    Case(kept_community_item, change_first, "update"),
    Case(kept_community_item, delete, "delete"),
    Case(half_a_batch, append_one, "delete put update"),
    Case(half_born, append_one, "delete update"),
    Case(half_converted, append_one, "delete put update"),
    Case(half_deleted, append_one, "delete drop update"),
    Case(half_edited, append_one, "put update"),
    Case(half_edited, remove_first, "update"),
    Case(half_edited, truncate, "delete update"),
    Case(half_edited, delete, "delete drop update"),
    Case(full_tail, append_many_unseen, "put update", busy=True),
    Case(full_tail, truncate, "delete update", busy=True),
    Case(full_tail, name, "update", busy=True),
    Case(full_tail, remove_first, "update", busy=True),
    Case(full_tail, delete, "delete drop update", busy=True),
    Case(nothing, append_large, "put update", encrypted=True),
    Case(full_tail, append_one, "put update", encrypted=True),
    Case(full_tail, replace, "drop put update", encrypted=True),
    Case(half_edited, append_one, "put update", encrypted=True),
    Case(community_item, append_one, "put update", encrypted=True),
    Case(plain_pages, append_one, "drop put update", encrypted=True),
    Case(plain_pages, encrypt, "drop put update", encrypted=True),
    Case(full_tail, decrypt, "drop put update", encrypted=True),
    Case(lacking_a_page, mend, "drop put update"),
]
CASES += [
    case._replace(blobs=True, writes=writes)
    for case in CASES
    for writes in [(SEALED_WITH_BLOBS if case.encrypted else WITH_BLOBS).get((case.prepare, case.operation))]
    if writes is not None and not case.busy
]
CASES.append(Case(lacking_an_object, mend_and_drop, "drop object put remove update", blobs=True))
AFTER = (False, True) if THOROUGH else (False,)  # to die after a request is to die before the next one
KINDS = {"put_item": "put", "update_item": "update", "delete_item": "delete", "batch_write_item": "drop"}
KINDS |= {"put_object": "object", "delete_objects": "remove"}


def moments(steps: int) -> list[tuple[int, bool]]:
    """To die at: before each of so many requests and after the last, or after each."""
    before = [(at, False) for at in range(1, steps + 1)]
    return sorted([*before, *((at, True) for at, _ in (before if THOROUGH else before[-1:]))])


def goes_on(steps: int, at: int, after: bool) -> bool:
    """Whether an append follows: after a request is before the next one, so once one does and once not, or in turns."""
    return at == steps or (not after if THOROUGH else at % 2 == 1)


# --- The course of a test ---


class Course(NamedTuple):
    """What recording an operation told."""

    items: list[Any]  # the table's, before
    objects: dict[str, bytes]  # the bucket's
    moment: int  # of the clock
    steps: int  # requests
    before: list[Any]  # messages and metadata
    after: list[Any]


async def record(case: Case, make: Callable[[], AsyncSessionRepository], clock: Clock) -> Course:
    """Prepare, and run the operation undisturbed; nothing is left of it."""
    first = make()
    await case.prepare(first)
    clock.advance(60)  # past any lease
    items, objects, moment = await scan(first), dict(objects_of(first)), clock.now
    whole, before = await start(make, clock, items, objects, moment)
    recorder: Recorder = watch(whole, Recorder)
    await case.operation(whole)
    assert " ".join(sorted({KINDS[name] for name, _ in recorder.log if name in KINDS})) == case.writes
    steps, after = len(recorder.log), await state(whole)
    await whole.delete("s")
    assert (await scan(whole), objects_of(whole)) == ([], {})
    return Course(items, objects, moment, steps, before, after)


def objects_of(repository: AsyncSessionRepository) -> dict[str, bytes]:
    """The objects in its bucket, which is in memory, if it has one."""
    blobs = repository._options.blobs
    return blobs.objects if isinstance(blobs, MemoryBlobs) else {}


async def start(
    make: Callable[[], AsyncSessionRepository],
    clock: Clock,
    items: list[Any],
    objects: dict[str, bytes],
    moment: int,
) -> tuple[AsyncSessionRepository, list[Any]]:
    """Put all back as it was; returns a client that has looked at it, and what it saw."""
    clock.now = moment
    repository = make()
    await restore(repository, items)
    objects_of(repository).clear()
    objects_of(repository).update(objects)
    return repository, await state(repository)


async def restore(repository: AsyncSessionRepository, items: list[Any]) -> None:
    """Put items back as they were."""
    call = repository._connection.call
    await asyncio.gather(
        *(call("put_item", {"TableName": repository.table_name, "Item": item}, write=True) for item in items)
    )


async def state(repository: AsyncSessionRepository) -> list[Any]:
    """Messages, metadata and what is missing in one list, to compare."""
    chat = await repository.read("s", skip_missing_pages=True)
    missing = [(repr(gap),) for gap in chat.missing]
    return [*(message.content for message in chat.messages), *chat.metadata.items(), *missing]


async def survives(other: AsyncSessionRepository, course: Course, goes_on: bool) -> bool:
    """All before or all after, for a reader at once; an append (if it goes on) and a delete work, nothing is left.

    Returns whether it is all after.
    """
    left = await scan(other)
    assert {item["SessionId"]["S"].partition("~lc~")[0] for item in left} <= {"s"}
    found = await state(other)
    assert found in (course.before, course.after)
    texts = [part for part in found if isinstance(part, str)]
    assert [message.content async for message in other.iter_messages("s", skip_missing_pages=True)] == texts
    if goes_on:
        await other.append("s", [HumanMessage("later")])
        assert (await state(other))[: len(texts) + 1] == [*texts, "later"]
    await other.delete("s")
    assert await scan(other) == []
    left = set(objects_of(other))
    if isinstance(blobs := other._options.blobs, MemoryBlobs):  # nothing refers to what is left, and that can be told
        unreferenced = UnreferencedObjects(other._table, blobs, lambda: 10**16)
        assert await found_by(unreferenced) == left
    return found == course.after


def is_leased(items: list[Any], now: int) -> bool:
    """Whether a session item holds others off."""
    intents = [item["lc_intent"]["M"] for item in items if "lc_intent" in item]
    return any(intent["kind"]["S"] != "delete" and int(intent["lease"]["N"]) > now for intent in intents)
