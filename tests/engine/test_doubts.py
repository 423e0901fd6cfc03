"""A write of unknown outcome: no later error says that nothing was changed, and what is certain is not called so."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal

import pytest
from langchain_core.messages import HumanMessage

from conftest import RepositoryFactory
from langchain_dynamodb import AsyncSessionRepository
from langchain_dynamodb._dynamodb.failures import ConditionFailed
from langchain_dynamodb._store.options import Timing
from langchain_dynamodb.errors import (
    AccessDeniedError,
    ChatHistoryError,
    CorruptSessionError,
    ItemFormatError,
    OutcomeUnknownError,
    RepositoryClosedError,
    SessionBusyError,
    SessionNotFoundError,
    SettingsError,
    StorageError,
    ThrottledError,
)
from scenarios import (
    BATCH,
    append_many,
    append_one,
    community_item,
    delete,
    full_tail,
    kept_community_item,
    name,
    nothing,
    replace,
    state,
    trimmed,
    truncate,
)
from support import SMALL, At, Call, Crash, Hooked, Scripted, fill_tail, human, remembered, scan, watch

pytestmark = pytest.mark.once

Step = Callable[[AsyncSessionRepository], Awaitable[Any]]
Hook = Callable[[str, Mapping[str, Any], Call], Awaitable[dict[str, Any]]]

NO_ANSWER = "no answer"


def no_answer() -> StorageError:
    """What the connection raises when none came to any transmission."""
    return StorageError(NO_ANSWER, outcome_unknown=True)


def on_session(operation: str, request: Mapping[str, Any]) -> bool:
    """Whether this changes or deletes the session item."""
    return operation in ("update_item", "delete_item") and "~lc~" not in str(request["Key"])


def then(error: Exception, when: str = "after") -> Hook:
    """The first change of the session gets no answer (it arrived before that, or never); all that follows fails."""
    done: list[str] = []

    async def hook(operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        if done:
            raise error
        if not on_session(operation, request):
            return await proceed()
        done.append(operation)
        if when == "after":
            await proceed()
        raise no_answer()

    return hook


ERRORS = [
    ThrottledError("slow down"),
    AccessDeniedError("no"),
    CorruptSessionError("broken", item="s"),
    ItemFormatError("not ours"),
    SettingsError("other keys"),
    SessionBusyError("busy"),
    SessionNotFoundError("none"),
    RepositoryClosedError("closed"),
    OSError("a credential provider's own"),
]


@pytest.mark.any_engine
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize(
    ("item_format", "operation"),
    [("pages", operation) for operation in (append_one, replace, truncate, name, delete)]
    + [("community", operation) for operation in (append_one, replace, truncate, delete)],
)
@pytest.mark.parametrize("when", ["before", "after"])
async def test_an_error_does_not_replace_a_doubt(
    make_repository: RepositoryFactory, item_format: Any, operation: Step, error: Exception, when: str
) -> None:
    """Whatever the look at the session raises, the caller is told that the write may have happened."""
    repository = make_repository(item_format=item_format)
    await repository.append("s", BATCH)
    if operation is truncate:
        await repository.append("s", BATCH)
    await repository.read("s")
    watch(repository, Hooked, then(error, when))
    with pytest.raises(OutcomeUnknownError):
        await operation(repository)


@pytest.mark.parametrize("explains", [True, False])
@pytest.mark.parametrize("rewritten", [False, True])
async def test_tidying_up_does_not_replace_a_doubt(
    make_repository: RepositoryFactory, explains: bool, rewritten: bool
) -> None:
    """A cut: applied, its answer lost, the copy refused; then what removes a page that may be left is throttled."""
    make_repository.wait(discard=(0.0, 0.01, 0.02))
    writer, other = make_repository(sizes=SMALL), make_repository(sizes=SMALL)
    await fill_tail(writer)
    done: list[str] = []

    async def hook(operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        if done:
            raise ThrottledError("slow down")
        if operation != "update_item":
            return await proceed()
        done.append(operation)
        await proceed()
        if rewritten:
            await other.replace("s", [HumanMessage("new")])
        try:
            return await proceed()
        except ConditionFailed as failure:
            raise ConditionFailed(failure.item if explains else None, retried=True) from None

    watch(writer, Hooked, hook)
    told = contextlib.nullcontext() if explains and not rewritten else pytest.raises(OutcomeUnknownError)
    with told:  # type: ignore[attr-defined]
        await writer.append("s", [human(60), human(60)])


async def test_a_damaged_item_in_a_refusal_does_not_replace_a_doubt(make_repository: RepositoryFactory) -> None:
    """An append applied, its answer lost, the item damaged then, the copy refused because it is there already."""
    repository = make_repository()
    await append_one(repository)

    async def hook(operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        if operation != "update_item":
            return await proceed()
        await proceed()
        await repository._connection.call(
            "update_item",
            {
                "TableName": repository.table_name,
                "Key": {"SessionId": {"S": "s"}},
                "UpdateExpression": "SET lc_count = :broken",
                "ExpressionAttributeValues": {":broken": {"S": "broken"}},
            },
            write=True,
        )
        raise ConditionFailed((await scan(repository))[0], retried=True)

    watch(repository, Hooked, hook)
    with pytest.raises(OutcomeUnknownError):
        await append_one(repository)


# --- Nothing was sent that could have been it ---


@pytest.mark.parametrize("request_lost", ["put_item", "declaration"])
@pytest.mark.parametrize(
    ("prepare", "operation"),
    [
        (full_tail, append_one),
        (full_tail, append_many),
        (nothing, append_many),
        (full_tail, replace),
        (community_item, append_one),
    ],
)
async def test_no_answer_before_the_commit_is_no_doubt(
    make_repository: RepositoryFactory,
    prepare: Step,
    operation: Step,
    request_lost: str,
) -> None:
    """Pages, or the intent to write some, get no answer however often: an error that says that nothing was changed."""
    clock = make_repository.set_clock()
    repository = make_repository(sizes=SMALL, timing=Timing(patience=0.2))
    await prepare(repository)
    before = await state(repository)
    declared = request_lost == "declaration" and (prepare, operation) != (full_tail, append_one)

    async def hook(operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        declares = operation == "update_item" and "'lease'" in str(request.get("ExpressionAttributeValues"))
        response = await proceed()
        if declares if declared else operation == "put_item":
            raise no_answer()
        return response

    watch(repository, Hooked, hook)
    with pytest.raises(StorageError, match=NO_ANSWER) as caught:
        await operation(repository)
    assert not caught.value.outcome_unknown
    clock.advance(60)  # what takes it back may have got no answer either
    other = make_repository()
    assert await state(other) == before
    await other.append("s", [HumanMessage("later")])
    assert await state(other) == [*before, "later"]
    await other.delete("s")
    assert await scan(other) == []


@pytest.mark.parametrize("operation", [append_one, append_many, replace, name])
async def test_taking_back_what_others_left_is_no_doubt(make_repository: RepositoryFactory, operation: Step) -> None:
    """Somebody died in a batch; the requests that take it back get no answer, and the first one is repeated."""
    clock = make_repository.set_clock()
    make_repository.wait(lease=0.2)
    dying, repository = make_repository(sizes=SMALL), make_repository(sizes=SMALL)
    await full_tail(dying)
    before = await state(dying)
    await die_in_a_batch(dying)
    clock.advance(60)
    lost: list[str] = []

    async def lose(operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        response = await proceed()
        if on_session(operation, request) and not lost:
            lost.append(operation)
            raise no_answer()
        return response

    await repository.read("s")
    watch(repository, Hooked, lose)
    if operation is replace:
        before = []
    await operation(repository)
    assert lost
    assert (await state(repository))[: len(before)] == before


async def die_in_a_batch(repository: AsyncSessionRepository) -> None:
    """Leave an intent on the session and some of its pages."""
    puts: list[str] = []

    async def die(operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        if operation == "update_item" and puts:
            raise Crash
        puts.extend(["put"] if operation == "put_item" else [])
        return await proceed()

    hooked: Hooked = watch(repository, Hooked, die)
    with pytest.raises(Crash):
        await append_many(repository)
    repository._table.connection = hooked.inner


# --- Tidying up that fails ---


async def test_old_pages_that_cannot_be_deleted_do_not_fail_an_append(make_repository: RepositoryFactory) -> None:
    """They are deleted by the next cut, or with the session."""
    repository = make_repository(sizes=SMALL)
    await trimmed(repository)
    before = await state(repository)

    async def throttle(operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        if operation == "batch_write_item":
            raise ThrottledError("slow down")
        return await proceed()

    hooked: Hooked = watch(repository, Hooked, throttle)
    pages = remembered(repository).pages
    new = human(100)
    await repository.append("s", [new])
    assert remembered(repository).pages == pages + 1
    assert await state(repository) == [*before, new.content]
    repository._table.connection = hooked.inner
    await repository.delete("s")
    assert await scan(repository) == []


async def test_a_lease_that_was_not_needed_does_not_fail_a_change(make_repository: RepositoryFactory) -> None:
    """On a busy session, nothing is to be truncated, and giving the lease back is throttled."""
    make_repository.wait(races=0)
    repository = make_repository()
    await append_one(repository)
    throttled = At("update_item", 2, sent=False, error=ThrottledError("slow down"))
    script: Scripted = watch(repository, Scripted, throttled)
    version = await repository.truncate("s", keep=100)
    assert script.requests["update_item"] == 2
    assert version == (await repository.read("s")).version


@pytest.mark.parametrize("prepare", [nothing, full_tail, community_item])
async def test_pages_of_a_dead_writer_that_cannot_be_removed(make_repository: RepositoryFactory, prepare: Step) -> None:
    """Throttled: either the session goes on and remembers them, or its next writer does it. `delete` leaves nothing."""
    clock = make_repository.set_clock()
    dying, repository = make_repository(sizes=SMALL), make_repository(sizes=SMALL)
    await prepare(dying)
    before = await state(dying)
    await die_in_a_batch(dying)
    clock.advance(60)

    async def throttle(operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        if operation == "delete_item":
            raise ThrottledError("slow down")
        return await proceed()

    hooked: Hooked = watch(repository, Hooked, throttle)
    if prepare is full_tail:
        await repository.append("s", [HumanMessage("new")])
    else:
        with pytest.raises(ThrottledError):
            await repository.append("s", [HumanMessage("new")])
    repository._table.connection = hooked.inner
    if prepare is not full_tail:
        await repository.append("s", [HumanMessage("new")])
    assert await state(repository) == [*before, "new"]
    await repository.delete("s")
    assert await scan(repository) == []


@pytest.mark.parametrize("sizes", [[60, 60], [400] * 5], ids=["cut", "batch"])
async def test_pages_of_a_deleted_session_are_removed_later_in_the_operation(
    make_repository: RepositoryFactory, sizes: list[int]
) -> None:
    """The session was deleted before they came, and the first request that removes them is throttled."""
    make_repository.wait(discard=(0.0, 0.01), lease=0.0)
    writer, other = make_repository(sizes=SMALL), make_repository(sizes=SMALL)
    await fill_tail(writer)
    done: list[str] = []

    async def hook(operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        if operation == "put_item" and "delete" not in done:
            done.append("delete")
            await other.delete("s")
        if operation == "delete_item" and "throttled" not in done:
            done.append("throttled")
            raise ThrottledError("slow down")
        return await proceed()

    watch(writer, Hooked, hook)
    batch = [human(size) for size in sizes]
    await writer.append("s", batch)
    assert done == ["delete", "throttled"]
    assert await state(other) == [message.content for message in batch]
    await other.delete("s")
    assert await scan(other) == []


# --- Deleting an item of langchain_community ---

Fate = Literal["arrived", "lost", "arrived, sent again"]


async def delete_in_doubt(
    repository: AsyncSessionRepository, fate: Fate, meanwhile: Callable[[], Awaitable[Any]]
) -> Exception | None:
    """Delete with the first request's answer lost, and something that happens then; returns what was raised."""
    done: list[str] = []

    async def hook(operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        if operation != "delete_item" or done:
            return await proceed()
        done.append(operation)
        if fate != "lost":
            await proceed()
        await meanwhile()
        if fate != "arrived":
            try:
                return await proceed()
            except ConditionFailed as failure:
                raise ConditionFailed(failure.item, retried=True) from None
        raise no_answer()

    hooked: Hooked = watch(repository, Hooked, hook)
    try:
        await repository.delete("s")
    except ChatHistoryError as error:
        return error
    finally:
        repository._table.connection = hooked.inner
    return None


@pytest.mark.real_engine
@pytest.mark.parametrize("meanwhile", [append_one, append_many, replace, name], ids=lambda step: str(step.__name__))
@pytest.mark.parametrize("item_format", ["pages", "community"])
@pytest.mark.parametrize("fate", ["arrived", "lost", "arrived, sent again"])
async def test_deleting_in_doubt(
    make_repository: RepositoryFactory, item_format: Any, fate: Fate, meanwhile: Step
) -> None:
    """Somebody else changes or begins the session: it is neither called deleted nor deleted a second time."""
    if item_format == "community" and meanwhile is name:
        pytest.skip("that format has no metadata")
    repository, other = (make_repository(sizes=SMALL, item_format=item_format) for _ in range(2))
    await (community_item if item_format == "pages" else kept_community_item)(repository)
    told = await delete_in_doubt(repository, fate, lambda: meanwhile(other))
    assert isinstance(told, OutcomeUnknownError)
    left = await state(other)
    assert left[-1] in (BATCH[-1].content, ("title", "t")) or len(left) in (1, 6)
    await other.delete("s")
    assert await scan(other) == []


@pytest.mark.real_engine
@pytest.mark.parametrize("item_format", ["pages", "community"])
async def test_deleting_in_doubt_where_nobody_else_is(make_repository: RepositoryFactory, item_format: Any) -> None:
    """Whether the request arrived or not, the item is gone at the end."""

    async def nobody() -> None: ...

    async def begin_and_delete() -> None:
        await append_one(other)
        await other.delete("s")

    repository, other = (make_repository(item_format=item_format) for _ in range(2))
    for meanwhile in (nobody, begin_and_delete):
        for fate in ("arrived", "arrived, sent again"):
            await kept_community_item(repository)
            assert await delete_in_doubt(repository, fate, meanwhile) is None  # type: ignore[arg-type]
            assert await scan(repository) == []
    await kept_community_item(repository)
    watch(repository, Hooked, never_at_first())
    await repository.delete("s")
    assert await scan(repository) == []


def never_at_first() -> Hook:
    """The first delete never arrives."""
    lost: list[str] = []

    async def hook(operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        if operation == "delete_item" and not lost:
            lost.append(operation)
            raise no_answer()
        return await proceed()

    return hook


@pytest.mark.real_engine
@pytest.mark.parametrize("item_format", ["pages", "community"])
async def test_a_copy_of_a_delete_spares_the_next_session(make_repository: RepositoryFactory, item_format: Any) -> None:
    """It has the same messages and the same version: another generation, or operation id, tells them apart."""
    times = iter([1_800_000_000_000_000])
    make_repository.clock = lambda: next(times, 1_800_000_000_000_001)
    repository, other = (make_repository(item_format=item_format) for _ in range(2))
    await repository.append("s", [HumanMessage("the same")])
    copies: list[Call] = []

    async def hook(operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        if operation == "delete_item":
            copies.append(proceed)
        return await proceed()

    watch(repository, Hooked, hook)
    await repository.delete("s")
    await other.append("s", [HumanMessage("the same")])
    with pytest.raises(ConditionFailed):
        await copies[0]()
    assert await state(other) == ["the same"]


@pytest.mark.real_engine
async def test_a_change_in_doubt_in_the_community_format(make_repository: RepositoryFactory) -> None:
    """An append applied, its answer lost, the session deleted and begun anew: it is not done again."""
    repository, other = (make_repository(item_format="community") for _ in range(2))
    await append_one(repository)

    async def hook(operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        response = await proceed()
        if operation == "update_item":
            await other.delete("s")
            await other.append("s", [HumanMessage("new")])
            raise no_answer()
        return response

    watch(repository, Hooked, hook)
    with pytest.raises(OutcomeUnknownError):
        await repository.append("s", [HumanMessage("?")])
    assert await state(other) == ["new"]


@pytest.mark.real_engine
async def test_a_conversion_knows_what_was_appended_and_taken_back(make_repository: RepositoryFactory) -> None:
    """Between its look and its write the list changes and changes back: the id of the append is not forgotten."""
    community, repository = make_repository(item_format="community"), make_repository()
    await community.append("s", BATCH)  # which leaves an id of its own
    before = await state(community)
    done: list[str] = []

    async def hook(operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        converts = operation == "update_item" and "lc_pages" in str(request) and "list_append" not in str(request)
        if converts and not done:
            done.append(operation)
            await community.append("s", [HumanMessage("once")], idempotency_key="k")
            await community.truncate("s", keep=len(before))
        return await proceed()

    watch(repository, Hooked, hook)
    await repository.append("s", [HumanMessage("new")])
    assert done
    await repository.append("s", [HumanMessage("once")], idempotency_key="k")
    assert await state(repository) == [*before, "new"]
