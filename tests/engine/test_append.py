"""Rule 1: an append is one conditional update, exactly once, however often and however late it is sent."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from conftest import RepositoryFactory
from langchain_dynamodb import AsyncSessionRepository
from langchain_dynamodb._dynamodb.failures import ConditionFailed
from langchain_dynamodb._protocol import unknown_outcome
from langchain_dynamodb.errors import (
    IdempotencyError,
    OutcomeUnknownError,
    StorageError,
    ThrottledError,
    VersionConflictError,
)
from support import SMALL, At, Call, Hooked, Meter, Recorder, Scripted, human, no_answer, remembered, watch

pytestmark = pytest.mark.once


async def contents(repository: AsyncSessionRepository, session: str = "s") -> list[Any]:
    """Texts of the session's messages."""
    chat = await repository.read(session)
    return [message.content for message in chat.messages]


def lost_once(operation: str, error: StorageError | None = None) -> Any:
    """A hook that carries out the first such operation, and loses its response."""
    lost: list[str] = []

    async def hook(called: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        response = await proceed()
        if called == operation and not lost:
            lost.append(called)
            raise error or StorageError("the response was lost", outcome_unknown=True)
        return response

    return hook


async def test_an_append_is_one_request(make_repository: RepositoryFactory) -> None:
    """Neither a new session nor one that another process wrote is read first."""
    for _ in range(3):
        repository = make_repository()
        meter: Meter = watch(repository, Meter)
        await repository.append("s", [HumanMessage("a"), AIMessage("b")])
        assert dict(meter.requests) == {"update_item": 1}
    assert await contents(repository) == ["a", "b"] * 3


async def test_concurrent_appends_keep_every_message(make_repository: RepositoryFactory) -> None:
    """Twenty appends at once from two repositories, with pages cut among them."""
    repositories = [make_repository(sizes=SMALL), make_repository(sizes=SMALL)]
    batches = [[human(60), human(60)] for _ in range(20)]
    await asyncio.gather(*(repositories[i % 2].append("s", batch) for i, batch in enumerate(batches)))
    found = await contents(repositories[0])
    assert sorted(zip(found[::2], found[1::2], strict=True)) == sorted((a.content, b.content) for a, b in batches)


@pytest.mark.parametrize(
    "later", ["one cut", "two cuts", "replace", "truncate", "truncate in the tail", "delete and anew"]
)
@pytest.mark.parametrize("known", [True, False], ids=["session known", "session not known"])
async def test_a_late_copy_of_an_append_is_refused(make_repository: RepositoryFactory, later: str, known: bool) -> None:
    """The request is delivered once more after the ids it left have gone from the session item."""
    writer, other = make_repository(sizes=SMALL), make_repository(sizes=SMALL)
    await other.append("s", [HumanMessage("first")])
    if known:
        await writer.read("s")
    recorder: Recorder = watch(writer, Recorder)
    await writer.append("s", [HumanMessage("once")])
    ((operation, request),) = recorder.log
    if later in ("one cut", "two cuts"):
        while remembered(other).pages < ("one cut", "two cuts").index(later) + 1:
            await other.append("s", [human(100)])
    elif later == "replace":
        await other.replace("s", [HumanMessage("new")])
    elif later == "truncate":
        for _ in range(6):
            await other.append("s", [human(100)])
        await other.truncate("s", keep=2)
    elif later == "truncate in the tail":
        await other.truncate("s", keep=1)
    else:
        await other.delete("s")
        await other.append("s", [HumanMessage("anew")])
    before = await contents(other)
    if later == "delete and anew" and not known:
        return  # an append that began without a session may revive one: docs/consistency.md
    with pytest.raises(ConditionFailed):
        await recorder.inner.call(operation, request, write=True)
    assert await contents(other) == before


@pytest.mark.parametrize("cuts", [0, 1, 2, 3])
@pytest.mark.parametrize("known", [True, False], ids=["session known", "session not known"])
async def test_a_lost_response_does_not_double(make_repository: RepositoryFactory, cuts: int, known: bool) -> None:
    """Applied, response lost, and others cut pages before we look: still there once."""
    writer, other = make_repository(sizes=SMALL), make_repository(sizes=SMALL)
    await other.append("s", [HumanMessage("first")])
    if known:
        await writer.read("s")
    lose = lost_once("update_item")

    async def hook(operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        try:
            return await lose(operation, request, proceed)
        except StorageError:
            start = remembered(other).pages
            await other.append("s", [human(100)])
            while remembered(other).pages < start + cuts:
                await other.append("s", [human(100)])
            raise

    watch(writer, Hooked, hook)
    await writer.append("s", [HumanMessage("once")])
    assert (await contents(other)).count("once") == 1


async def test_a_lost_response_of_a_cut_does_not_double(make_repository: RepositoryFactory) -> None:
    """The same for the append that cuts a page, at each of its requests."""
    for operation in ("put_item", "update_item"):
        session = f"cut {operation}"
        writer = make_repository(sizes=SMALL)
        expected = []
        watch(writer, Hooked, lost_once("put_item") if operation == "put_item" else _lost_after_put())
        for _ in range(8):
            message = human(100)
            expected.append(message.content)
            await writer.append(session, [message])
        assert await contents(writer, session) == expected


def _lost_after_put() -> Any:
    seen: list[str] = []

    async def hook(operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        response = await proceed()
        seen.append(operation)
        if operation == "update_item" and seen.count("put_item") == 1 and seen[-2] == "put_item":
            raise StorageError("the response was lost", outcome_unknown=True)
        return response

    return hook


async def test_outcome_unknown_where_the_session_was_deleted_meanwhile(make_repository: RepositoryFactory) -> None:
    """Rule 10: the response is lost and the session deleted: we cannot tell, and say so."""
    writer, other = make_repository(), make_repository()
    await writer.append("s", [HumanMessage("first")])

    async def hook(operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        response = await proceed()
        if operation == "update_item":
            await other.delete("s")
            raise StorageError("the response was lost", outcome_unknown=True)
        return response

    watch(writer, Hooked, hook)
    with pytest.raises(OutcomeUnknownError, match="SessionId='s'"):
        await writer.append("s", [HumanMessage("?")])


async def test_a_page_of_an_append_that_failed_proves_nothing(make_repository: RepositoryFactory) -> None:
    """A page that arrives after its number was dropped is no sign that its append took place."""
    writer, other = make_repository(sizes=SMALL), make_repository(sizes=SMALL)
    await writer.append("s", [human(30)])
    cut: list[str] = []

    async def hook(operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        if not cut:
            cut.append(operation)
            await other.replace("s", [human(300) for _ in range(4)])
        elif len(cut) == 1:
            cut.append(operation)
            raise StorageError("neither request nor response arrived", outcome_unknown=True)
        return await proceed()

    watch(writer, Hooked, hook)
    before = await contents(other)
    with pytest.raises(OutcomeUnknownError):
        await writer.append("s", [human(800)])
    assert cut == ["put_item", "update_item"]
    assert await contents(other) != before
    assert len(await contents(other)) == 4


async def test_outcome_unknown_where_even_the_look_fails(make_repository: RepositoryFactory) -> None:
    """The response is lost, then DynamoDB throttles: not a `ThrottledError`, which would mean that nothing happened."""
    writer = make_repository()
    sent: list[str] = []

    async def hook(operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        sent.append(operation)
        if len(sent) > 1:
            raise ThrottledError("slow down")
        await proceed()
        raise StorageError("the response was lost", outcome_unknown=True)

    watch(writer, Hooked, hook)
    with pytest.raises(OutcomeUnknownError):
        await writer.append("s", [HumanMessage("?")])


async def test_throttled_means_not_written(make_repository: RepositoryFactory) -> None:
    """An error that is sure reaches the caller as it is."""

    async def hook(operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        raise ThrottledError("slow down")

    writer = make_repository()
    watch(writer, Hooked, hook)
    with pytest.raises(ThrottledError):
        await writer.append("s", [HumanMessage("?")])
    with pytest.raises(ThrottledError):
        await writer.read("s")


async def test_engines_that_do_not_return_the_item(make_repository: RepositoryFactory) -> None:
    """Some leave the item out of a failed condition: it is read instead, and nothing committed is taken away."""
    repositories = [make_repository(sizes=SMALL) for _ in range(3)]

    async def forget(operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        try:
            return await proceed()
        except ConditionFailed as failure:
            raise ConditionFailed(None, retried=failure.retried) from None

    for repository in repositories:
        watch(repository, Hooked, forget)
    messages = [human(60) for _ in range(45)]
    await asyncio.gather(*(repositories[i % 3].append("s", [message]) for i, message in enumerate(messages)))
    assert sorted(await contents(repositories[0])) == sorted(message.content for message in messages)


@pytest.mark.parametrize("meanwhile", ["append", "other change", "delete"])
async def test_a_change_of_unknown_outcome(make_repository: RepositoryFactory, meanwhile: str) -> None:
    """A replace whose response was lost is not done twice: what was appended since would be lost."""
    writer, other = make_repository(), make_repository()
    await other.append("s", [HumanMessage("old")])

    async def hook(operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        response = await proceed()
        if operation == "update_item":
            await other.append("s", [HumanMessage("since")])
            if meanwhile == "other change":
                await other.update_metadata("s", {"title": "t"})
            if meanwhile == "delete":
                await other.delete("s")
            raise StorageError("the response was lost", outcome_unknown=True)
        return response

    watch(writer, Hooked, hook)
    if meanwhile == "append":
        await writer.replace("s", [HumanMessage("new")])
    else:
        with pytest.raises(OutcomeUnknownError):
            await writer.replace("s", [HumanMessage("new")])
    assert await contents(other) == ([] if meanwhile == "delete" else ["new", "since"])


async def test_expected_version(sessions: AsyncSessionRepository) -> None:
    """An append at the version that was read; a stale one is told the actual version."""
    first = await sessions.append("s", [HumanMessage("a")], expected_version=0)
    second = await sessions.append("s", [HumanMessage("b")], expected_version=first)
    assert second == first + 1
    for stale in (0, first, second + 1):
        with pytest.raises(VersionConflictError) as caught:
            await sessions.append("s", [HumanMessage("c")], expected_version=stale)
        assert (caught.value.expected, caught.value.actual) == (stale, second)
    with pytest.raises(VersionConflictError) as caught:
        await sessions.append("nobody", [HumanMessage("c")], expected_version=5)
    assert (caught.value.expected, caught.value.actual) == (5, 0)
    assert await contents(sessions) == ["a", "b"]


async def test_expected_version_survives_a_lost_response(make_repository: RepositoryFactory) -> None:
    """The resend finds its own id before it finds the newer version."""
    writer = make_repository()
    version = await writer.append("s", [HumanMessage("a")])
    watch(writer, Hooked, lost_once("update_item"))
    assert await writer.append("s", [HumanMessage("b")], expected_version=version) == version + 1


@pytest.mark.parametrize("cuts", [0, 1, 2, 3])
async def test_expected_version_of_an_unseen_session_survives_it(make_repository: RepositoryFactory, cuts: int) -> None:
    """Of a session with many pages just the version is known: the append is found wherever it went meanwhile."""
    writer, other = make_repository(sizes=SMALL), make_repository(sizes=SMALL)
    version = await other.append("s", [human(400) for _ in range(6)])
    before = remembered(other).pages
    assert before > 2
    lose = lost_once("update_item")

    async def hook(operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        try:
            return await lose(operation, request, proceed)
        except StorageError:
            for _ in range(cuts):
                await other.append("s", [human(860)])
            raise

    watch(writer, Hooked, hook)
    assert await writer.append("s", [HumanMessage("once")], expected_version=version) > version
    assert remembered(other).pages >= before + cuts
    assert (await contents(other)).count("once") == 1


async def test_a_late_commit_before_the_lease(make_repository: RepositoryFactory) -> None:
    """It arrives after our next look, and two pages are cut: the lease, which asks for no version, is refused."""
    make_repository.wait(races=1)
    sizes = SMALL._replace(page=2000, item=2000)  # so that a message too large for the tail makes one page
    writer, other = make_repository(sizes=sizes), make_repository(sizes=sizes)
    await writer.append("s", [human(30)])
    late: list[Call] = []
    leases = 0

    async def hook(operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        nonlocal leases
        if operation == "update_item" and not late:
            late.append(proceed)
            raise StorageError("timed out", outcome_unknown=True)
        if operation == "update_item" and "'lease'" in repr(request):
            leases += 1
            await late[0]()
            for _ in range(2):
                await other.append("s", [human(1200)])
        return await proceed()

    watch(writer, Hooked, hook)
    message = human(1200)
    await writer.append("s", [message])
    assert (leases, remembered(writer).intent) == (1, None)
    assert (await contents(other)).count(message.content) == 1


@pytest.mark.parametrize("applied", [True, False])
@pytest.mark.parametrize("cuts", [2, 6])
async def test_expected_version_of_an_unseen_long_session(
    make_repository: RepositoryFactory, monkeypatch: pytest.MonkeyPatch, applied: bool, cuts: int
) -> None:
    """Only the newest pages are looked at. One from before the append tells that no earlier one matters."""
    monkeypatch.setattr(unknown_outcome, "LOOK_BACK", 4)
    writer, other = make_repository(sizes=SMALL), make_repository(sizes=SMALL)
    version = await other.append("s", [human(400) for _ in range(12)])
    assert remembered(other).pages > 5

    async def cut() -> None:
        for _ in range(cuts):
            await other.append("s", [human(860)])

    watch(writer, Scripted, At("update_item", sent=applied, then=cut, error=no_answer()))
    recorder: Recorder = watch(writer, Recorder)
    append = writer.append("s", [HumanMessage("once")], expected_version=version)
    if applied and cuts == 2:
        assert await append > version
    else:
        with pytest.raises(VersionConflictError if cuts == 2 else OutcomeUnknownError):
            await append
    assert (await contents(other)).count("once") == applied
    (request,) = (request for operation, request in recorder.log if operation == "batch_get_item")
    assert [len(wanted["Keys"]) for wanted in request["RequestItems"].values()] == [4]


async def test_expected_version_of_an_unseen_session_without_its_old_pages(make_repository: RepositoryFactory) -> None:
    """The request never arrived and nobody else wrote: at the same version, dropped pages cannot hold the append."""
    writer, other = make_repository(sizes=SMALL), make_repository(sizes=SMALL)
    await other.append("s", [human(400) for _ in range(6)])
    version = await other.replace("s", [HumanMessage("new")])
    assert remembered(other).first_page == remembered(other).pages > 0
    script: Scripted = watch(writer, Scripted, At("update_item", sent=False, error=no_answer()))
    assert await writer.append("s", [HumanMessage("once")], expected_version=version) == version + 1
    assert script.requests["update_item"] == 2


@pytest.mark.parametrize(
    ("guard", "meanwhile"),
    [
        ("a version", "deleted"),
        ("a version", "created again"),
        ("a version", "created again by langchain_community"),
        ("absent", "created again"),
        ("absent", "created again by langchain_community"),
    ],
)
async def test_expected_version_of_a_session_deleted_meanwhile(
    make_repository: RepositoryFactory, guard: str, meanwhile: str
) -> None:
    """The append may have been there before: no conflict is claimed."""
    writer, other, theirs = make_repository(), make_repository(), make_repository(item_format="community")
    version = await other.append("s", [HumanMessage("first")]) if guard == "a version" else 0

    async def hook(operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        response = await proceed()
        if operation == "update_item":
            await other.delete("s")
            if meanwhile != "deleted":
                await (other if meanwhile == "created again" else theirs).append("s", [HumanMessage("anew")])
            raise StorageError("the response was lost", outcome_unknown=True)
        return response

    watch(writer, Hooked, hook)
    with pytest.raises(OutcomeUnknownError):
        await writer.append("s", [HumanMessage("?")], expected_version=version)


@pytest.mark.parametrize("change", ["append", "replace", "truncate", "update_metadata", "delete"])
async def test_expected_version_holds_on_a_busy_session(make_repository: RepositoryFactory, change: str) -> None:
    """After several attempts that never arrived somebody appends between our look and our write: a conflict."""
    writer, other = make_repository(), make_repository()
    version = await other.append("s", [HumanMessage("old")])
    never_sent = [At("update_item", nth, sent=False, error=no_answer()) for nth in (1, 2, 3)]
    overtaken = At("update_item", 4, first=lambda: other.append("s", [HumanMessage("acknowledged")]))
    script: Scripted = watch(writer, Scripted, *never_sent, overtaken)
    calls = {
        "append": lambda: writer.append("s", [human(9000)], expected_version=version),
        "replace": lambda: writer.replace("s", [HumanMessage("new")], expected_version=version),
        "truncate": lambda: writer.truncate("s", keep=0, expected_version=version),
        "update_metadata": lambda: writer.update_metadata("s", {"a": 1}, expected_version=version),
        "delete": lambda: writer.delete("s", expected_version=version),
    }
    with pytest.raises((VersionConflictError, OutcomeUnknownError)):
        await calls[change]()
    assert script.is_over
    assert await contents(other) == ["old", "acknowledged"]


async def test_only_one_of_many_wins_an_expected_version(make_repository: RepositoryFactory) -> None:
    """Ten writers at the same version: one append, nine conflicts."""
    repositories = [make_repository() for _ in range(10)]
    version = await repositories[0].append("s", [HumanMessage("a")])
    results = await asyncio.gather(
        *(r.append("s", [HumanMessage("b")], expected_version=version) for r in repositories), return_exceptions=True
    )
    assert sorted(type(result).__name__ for result in results) == ["VersionConflictError"] * 9 + ["int"]
    assert await contents(repositories[0]) == ["a", "b"]


async def test_appending_nothing(make_repository: RepositoryFactory) -> None:
    """It changes nothing, and returns the current version."""
    repository = make_repository()
    assert await repository.append("s", []) == 0
    version = await repository.append("s", [HumanMessage("a")])
    assert await repository.append("s", []) == version
    with pytest.raises(VersionConflictError):
        await repository.append("s", [], expected_version=version + 1)


async def test_an_idempotency_key_is_honoured_over_a_cut(make_repository: RepositoryFactory) -> None:
    """For the tail and the last page's appends, also from another process; with other messages it is an error."""
    repository, other = make_repository(sizes=SMALL), make_repository(sizes=SMALL)
    await repository.append("s", [HumanMessage("a")], idempotency_key="k")
    version = 0
    while not remembered(repository).pages:
        version = await repository.append("s", [human(100)])
    for again in (repository, other, make_repository(sizes=SMALL)):
        assert await again.append("s", [HumanMessage("a")], idempotency_key="k") == version
        with pytest.raises(IdempotencyError, match="SessionId='s'"):
            await again.append("s", [HumanMessage("b")], idempotency_key="k")
    assert (await contents(other)).count("a") == 1
    await other.append("s", [HumanMessage("a")], idempotency_key="another")
    assert (await contents(other)).count("a") == 2


async def test_one_key_with_different_large_messages_at_once(make_repository: RepositoryFactory) -> None:
    """Both cut a page of their own for the same version: the acknowledged one stays, the other is an error."""
    first, second = make_repository(), make_repository()
    await first.append("s", [HumanMessage("old")])
    await second.read("s")
    put = [asyncio.Event(), asyncio.Event()]
    go_on = asyncio.Event()

    def hook(i: int) -> Any:
        async def pause(operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
            response = await proceed() if operation == "put_item" else None
            if operation == "put_item" and not put[i].is_set():
                put[i].set()
                await go_on.wait()
            return response if response is not None else await proceed()

        return pause

    tasks = []
    messages = [human(9000), human(9000)]
    for i, repository in enumerate((first, second)):
        watch(repository, Hooked, hook(i))
        tasks.append(asyncio.create_task(repository.append("s", [messages[i]], idempotency_key="k")))
        reached = asyncio.create_task(put[i].wait())
        await asyncio.wait([tasks[-1], reached], return_when=asyncio.FIRST_COMPLETED)
        reached.cancel()
    go_on.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    winner = next(i for i, result in enumerate(results) if isinstance(result, int))
    assert isinstance(results[1 - winner], IdempotencyError)
    assert await contents(make_repository()) == ["old", messages[winner].content]


async def test_a_key_is_recognised_in_the_page_of_a_large_append(make_repository: RepositoryFactory) -> None:
    """The response was lost and two pages were cut since: the same messages, so no error, and stored once."""
    writer, other = make_repository(), make_repository(sizes=SMALL)
    await writer.append("s", [HumanMessage("old")])
    large = human(9000)

    async def cut_twice() -> None:
        await other.read("s")
        start = remembered(other).pages
        while remembered(other).pages < start + 2:
            await other.append("s", [human(100)])

    watch(writer, Scripted, At("update_item", then=cut_twice, error=no_answer()))
    await writer.append("s", [large], idempotency_key="k")
    assert (await contents(other)).count(large.content) == 1


@pytest.mark.parametrize("guarded", [False, True])
async def test_a_delete_whose_response_was_lost_spares_the_next_session(
    make_repository: RepositoryFactory, guarded: bool
) -> None:
    """The session is gone; what somebody began since under its name is another one."""
    writer, other = make_repository(), make_repository()
    version = await writer.append("s", [HumanMessage("old")])

    async def hook(operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        response = await proceed()
        if operation == "delete_item":
            await other.append("s", [HumanMessage("new")])
            raise StorageError("the response was lost", outcome_unknown=True)
        return response

    watch(writer, Hooked, hook)
    await writer.delete("s", expected_version=version if guarded else None)
    assert await contents(other) == ["new"]


@pytest.mark.parametrize("change", ["append", "replace"])
async def test_closing_while_the_outcome_is_open(make_repository: RepositoryFactory, change: str) -> None:
    """The response was lost, then the repository was closed: not an error that says that nothing was written."""
    writer = make_repository()

    async def hook(operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        response = await proceed()
        if operation == "update_item":
            await writer.aclose()
            raise StorageError("the response was lost", outcome_unknown=True)
        return response

    watch(writer, Hooked, hook)
    with pytest.raises(OutcomeUnknownError):
        await getattr(writer, change)("s", [HumanMessage("a")])
    assert await contents(make_repository()) == ["a"]
