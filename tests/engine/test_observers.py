"""Observers: told of every operation and request, what they count, and that they can break nothing."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from aws_server import run_service
from conftest import RepositoryFactory, TableFactory, TestEngine
from langchain_dynamodb import (
    AsyncSessionRepository,
    CapacityMeter,
    DynamoDBChatMessageHistory,
    Index,
    Observer,
    SessionRepository,
)
from langchain_dynamodb._dynamodb.connection import Connection
from langchain_dynamodb.encryption import KmsKeyring
from langchain_dynamodb.errors import InvalidInputError, SessionNotFoundError, StorageError, VersionConflictError
from langchain_dynamodb.observers import OTHERS, UNKNOWN, Operation, Request, Totals
from scripted_server import Server, ok, refuse
from support import SMALL, Recorder, fill_tail, human, many, named, watch, with_options

HI = HumanMessage("hi!", id="1")


class Notes(Observer):
    """Notes all that it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.operations: list[Operation] = []
        self.requests: list[Request] = []

    def started(self, operation: Operation) -> None:
        self.told.append(f"{operation.name} started")

    def requested(self, operation: Operation, request: Request) -> None:
        self.told.append(f"{operation.name} {request.name}")
        self.requests.append(request)

    def finished(self, operation: Operation) -> None:
        self.told.append(f"{operation.name} finished")
        self.operations.append(operation)


async def drain(values: AsyncIterator[Any]) -> list[Any]:
    """All of them."""
    return [value async for value in values]


Call = Callable[[AsyncSessionRepository], Awaitable[Any]]

# On a session with pages, in turn: the call, the operation's name, its messages, whether it is about the session.
CALLS: list[tuple[Call, str, int | None]] = [
    (lambda r: r.create_table(), "create_table", None),
    (lambda r: r.append("s", [human(), human()]), "append", 2),
    (lambda r: r.append("s", messages=many(20)), "append", 20),
    (lambda r: r.read("s", limit=3), "read", 3),
    (lambda r: r.read("s", limit=3, unless_version=1), "read", 3),
    (lambda r: drain(r.iter_messages("s")), "iter_messages", 25),
    (lambda r: r.update_message("s", HumanMessage("changed", id="1")), "update_message", 1),
    (lambda r: r.remove_message("s", "1"), "remove_message", 1),
    (lambda r: r.update_metadata("s", {"title": "t"}), "update_metadata", None),
    (lambda r: r.set_expiry("s", 3600), "set_expiry", None),
    (lambda r: r.truncate("s", keep=7), "truncate", None),
    (lambda r: r.replace("s", many(12)), "replace", 12),
    (lambda r: r.repair("s"), "repair", None),
    (lambda r: drain(r.list()), "list", None),
    (lambda r: r.history("s").aget_messages(), "read", 12),
    (lambda r: r.history("s").aadd_messages([HI]), "append", 1),
    (lambda r: r.delete("s"), "delete", None),
]


async def test_every_operation_is_told(make_repository: RepositoryFactory) -> None:
    """Its beginning, its requests, its end; with its session, its messages, and what its requests add up to."""
    notes = Notes()
    repository = make_repository(sizes=SMALL, observers=[notes])
    await repository.append("s", [HI, human()])
    await repository.append("s", [human()])
    for call, name, messages in CALLS:
        notes.__init__()  # type: ignore[misc]
        await call(repository)
        [operation] = notes.operations
        assert (operation.name, operation.messages, operation.table) == (name, messages, repository.table_name)
        assert operation.session == (None if name in ("create_table", "list") else "s")
        assert (notes.told[0], notes.told[-1]) == (f"{name} started", f"{name} finished")
        assert {told.split(" ")[0] for told in notes.told} == {name}
        requests = notes.requests
        assert operation.requests == len(requests) > 0
        assert operation.attempts == sum(request.attempts for request in requests) >= len(requests)
        assert operation.read_units == sum(request.read_units for request in requests)
        assert operation.write_units == sum(request.write_units for request in requests)
        assert operation.seconds >= 0.9 * max(request.seconds for request in requests) > 0
        assert operation.error is None


def test_every_public_method_is_observed() -> None:
    """A new one must not be forgotten."""
    needs_no_request = {"aclose", "history", "read"}  # what `read` does is observed as `_window`, as for histories
    public = {name for name in vars(AsyncSessionRepository) if not name.startswith("_")} - needs_no_request
    plain = {name for name in public if callable(method := getattr(AsyncSessionRepository, name))
             and not hasattr(method, "__wrapped__")}  # fmt: skip
    assert plain == set()


async def test_what_a_request_tells(make_repository: RepositoryFactory, engine: TestEngine) -> None:
    """Its name, its table, where it went; a refused condition is none of its errors."""
    notes = Notes()
    repository = make_repository(sizes=SMALL, observers=[notes])
    await repository.append("s", [HI])
    other = make_repository(sizes=SMALL)
    await other.append("s", [HI])
    await other.append("s", many(2, 300))
    await fill_tail(other)
    notes.__init__()  # type: ignore[misc]
    await repository.append("s", [human()])
    first = notes.requests[0]
    assert (first.name, first.refused, first.error) == ("UpdateItem", True, None)
    assert notes.operations[0].conflicts == sum(request.refused for request in notes.requests) > 0
    assert {(r.service, r.table, r.endpoint, r.region) for r in notes.requests} == {
        ("dynamodb", repository.table_name, engine.endpoint_url, "us-east-1")
    }
    assert all(request.request_id for request in notes.requests if not request.refused)


async def test_pages_in_memory_are_counted(make_repository: RepositoryFactory) -> None:
    """A read that finds its pages in the cache says so."""
    notes = Notes()
    repository = make_repository(sizes=SMALL, observers=[notes])
    await repository.append("s", many(30))
    reader = make_repository(sizes=SMALL, observers=[notes])
    await reader.read("s")
    await reader.read("s")
    cold, warm = notes.operations[1:]
    assert (cold.cache_hits, warm.cache_hits > 3, warm.requests) == (0, True, 1)


async def test_an_operation_that_fails(make_repository: RepositoryFactory) -> None:
    """Its error is told, and what it cost all the same."""
    notes = Notes()
    repository = make_repository(observers=[notes])
    version = await repository.append("s", [HI])
    with pytest.raises(VersionConflictError) as conflict:
        await repository.append("s", [HI], expected_version=version - 1)
    with pytest.raises(SessionNotFoundError):
        await repository.truncate("nobody", keep=1)
    with pytest.raises(InvalidInputError):
        await repository.append("", [HI])
    errors = [type(operation.error).__name__ for operation in notes.operations[1:]]
    assert errors == ["VersionConflictError", "SessionNotFoundError", "InvalidInputError"]
    assert notes.operations[1].error is conflict.value
    assert [operation.requests > 0 for operation in notes.operations] == [True, True, True, False]


async def test_an_iteration_that_is_left(make_repository: RepositoryFactory) -> None:
    """It ends where its caller stops, without an error; what the caller does meanwhile is no part of it."""
    notes = Notes()
    repository = make_repository(sizes=SMALL, observers=[notes])
    other = make_repository(observers=[(inner := Notes())])
    await repository.append("s", many(30))
    notes.__init__()  # type: ignore[misc]
    async with contextlib.aclosing(repository.iter_messages("s")) as messages:
        async for _ in messages:
            await other.read("s2")
            await make_repository().read("s2")  # nobody observes it
            break
    iteration = notes.operations[-1]
    assert (iteration.name, iteration.messages, iteration.error) == ("iter_messages", 1, None)
    assert [request.name for request in notes.requests].count("GetItem") == 1
    assert (inner.told, iteration.requests) == (["read started", "read GetItem", "read finished"], 2)


async def test_what_was_fetched_ahead_is_told_before_the_end(
    make_repository: RepositoryFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a caller stops, the next pages are on their way: that request is a part of the iteration."""
    monkeypatch.setattr("langchain_dynamodb._store.stored_pages.ITER_PAGES", 2)
    monkeypatch.setattr("langchain_dynamodb._store.stored_pages.ITER_BYTES", 1)
    notes = Notes()
    repository = make_repository(sizes=SMALL, observers=[notes])
    await repository.append("s", many(30))
    notes.__init__()  # type: ignore[misc]
    async with contextlib.aclosing(repository.iter_messages("s")) as messages:
        async for _ in messages:
            await asyncio.sleep(0)
            break
    assert notes.told[-1] == "iter_messages finished"
    assert isinstance(notes.requests[-1].error, asyncio.CancelledError)


async def test_what_a_hook_begins_is_not_told(make_repository: RepositoryFactory) -> None:
    """It would be told of that, and begin more, without end."""
    plain = make_repository()
    tasks: list[asyncio.Task[int]] = []

    class Beginning(Observer):
        def requested(self, operation: Operation, request: Request) -> None:
            if len(tasks) < 5:
                tasks.append(asyncio.get_running_loop().create_task(plain.append("bills", [human(1)])))

    await make_repository(observers=[Beginning()]).append("s", [HI])
    await asyncio.gather(*tasks)
    assert len(tasks) == 1


async def test_swapped_arguments(make_repository: RepositoryFactory) -> None:
    """Messages are no session, so that none is handed to an observer."""
    notes = Notes()
    with pytest.raises(InvalidInputError):
        await make_repository(observers=[notes]).append([HI], "s")  # type: ignore[arg-type]
    assert [operation.session for operation in notes.operations] == [None]


async def test_how_aws_calls_a_request_that_failed(make_repository: RepositoryFactory, engine: TestEngine) -> None:
    """Also where a condition did not hold."""
    notes = Notes()
    repository = make_repository(observers=[notes])
    await repository.append("s", [HI])
    with pytest.raises(VersionConflictError):
        await repository.append("s", [HI], expected_version=5)
    with pytest.raises(StorageError):
        await make_repository("no-such-table", observers=[notes]).read("s")
    assert [bool(request.request_id) for request in notes.requests] == [True] * len(notes.requests)
    assert any(request.refused for request in notes.requests)


async def test_a_cancelled_operation(make_repository: RepositoryFactory) -> None:
    """The error is the cancellation."""
    notes = Notes()
    repository = make_repository(observers=[notes])
    task = asyncio.ensure_future(repository.read("s"))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [type(operation.error) for operation in notes.operations] == [asyncio.CancelledError]


@pytest.mark.usefixtures("no_pauses")
async def test_what_the_sdk_sends_again_is_an_attempt(server: Server) -> None:
    """Not a request."""
    notes = Notes()
    options = with_options(AsyncSessionRepository("chats"), observers=(notes,))._options
    repository = AsyncSessionRepository._of(options, server.settings(3))
    server.answers = [refuse("InternalServerError", 500), ok()]
    await repository.read("s")
    server.answers = [refuse("ProvisionedThroughputExceededException")] * 3
    with pytest.raises(StorageError):
        await repository.read("s")
    await repository.aclose()
    assert [(request.name, request.attempts) for request in notes.requests] == [("GetItem", 2), ("GetItem", 3)]
    assert getattr(notes.requests[1].error, "code", None) == "ProvisionedThroughputExceededException"
    assert [(operation.requests, operation.attempts) for operation in notes.operations] == [(1, 2), (1, 3)]


async def test_requests_for_keys(make_repository: RepositoryFactory) -> None:
    """What KMS is asked belongs to the operation that needs it, and costs no units."""
    notes = Notes()
    with run_service("kms") as url:
        keyring = KmsKeyring(await asyncio.to_thread(_make_key, url), endpoint_url=url)
        repository = make_repository(encryption=keyring, observers=[notes])
        await repository.append("s", [HI])
        asked = [request for request in notes.requests if request.service == "kms"]
        assert [(request.name, request.table) for request in asked] == [("GenerateDataKey", None)]
        assert [request.read_units + request.write_units for request in asked] == [0]
        await repository.aclose()
        await keyring.aclose()


def _make_key(url: str) -> str:
    import boto3

    client = boto3.client("kms", endpoint_url=url)
    try:
        key: str = client.create_key()["KeyMetadata"]["KeyId"]
        return key
    finally:
        client.close()


# --- What it costs ---


async def test_without_observers_nothing_is_asked_or_noted(make_repository: RepositoryFactory) -> None:
    """No request has a word more, and none of the code for observers is run."""
    repository = make_repository()
    await repository.append("s", [HI])
    recorder: Recorder = watch(repository, Recorder)
    calls = _count_calls("observers.py", "capacity.py")
    with calls as counted:
        await repository.append("s", [HI])
        await repository.read("s")
    assert counted == []
    asked = [request for _, request in recorder.log]
    assert (len(asked), [request for request in asked if "ReturnConsumedCapacity" in request]) == (2, [])


@contextlib.contextmanager
def _count_calls(*files: str) -> Iterator[list[str]]:
    """The functions of these modules that are called for the first time in a block, in order."""
    called: list[str] = []
    seen: set[int] = set()

    def profile(frame: Any, event: str, argument: object) -> None:
        if event == "call" and Path(frame.f_code.co_filename).name in files and id(frame) not in seen:
            seen.add(id(frame))  # a coroutine that goes on is called again
            kept.append(frame)
            called.append(frame.f_code.co_name)

    kept: list[Any] = []
    sys.setprofile(profile)
    try:
        yield called
    finally:
        sys.setprofile(None)


async def test_only_who_is_observed_asks_for_the_capacity(make_repository: RepositoryFactory) -> None:
    """Every request that is billed asks, and no other."""
    repository = make_repository(sizes=SMALL, observers=[Observer()])
    sent: list[Mapping[str, Any]] = []
    send = Connection._send

    async def noting(self: Connection, operation: str, request: Mapping[str, Any], *rest: Any) -> dict[str, Any]:
        sent.append({"operation": operation, **request})
        return await send(self, operation, request, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Connection, "_send", noting)
        await repository.create_table()
        await repository.append("s", many(20))
        await repository.read("s")
        await repository.truncate("s", keep=3)
        await repository.delete("s")
    asked = {request["operation"] for request in sent if request.get("ReturnConsumedCapacity") == "TOTAL"}
    billed = {"batch_get_item", "batch_write_item", "delete_item", "get_item", "put_item", "update_item"}
    assert asked == {request["operation"] for request in sent} & billed
    assert asked >= {"get_item", "put_item", "update_item", "delete_item"}
    conditional = [request for request in sent if "ConditionExpression" in request]
    assert [r for r in conditional if r.get("ReturnValuesOnConditionCheckFailure") != "ALL_OLD"] == []


@pytest.fixture
def demo_meter(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The demo's meter: a proxy that knows nothing of this library, and counts what the engine says."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "docs" / "examples" / "demo"))
    import meter

    return meter


@pytest.mark.dynamodb_local_only
async def test_units_are_those_of_the_engine(
    engine: TestEngine, make_table: TableFactory, make_repository: RepositoryFactory, demo_meter: Any
) -> None:
    """All operations, with an index, with writers that are in each other's way: within 1 % of what is billed."""
    assert engine.endpoint_url is not None
    with demo_meter.run_meter(engine.endpoint_url) as wire, wire.measure() as bill:
        meter = CapacityMeter()
        options = {"endpoint_url": wire.endpoint_url, "sizes": SMALL, "observers": [meter]}
        repository = make_repository(make_table(), **options)
        await repository.create_table(indexes=[Index("by_user", "user", Index.UPDATED)])
        await repository.append("s", [HI, human()], attributes={"user": "u"})
        for call, _, _ in CALLS[1:]:
            await call(repository)
        others = [make_repository(repository.table_name, **options) for _ in range(4)]
        await asyncio.gather(*(other.append("busy", many(5, 200)) for other in others for _ in range(5)))
        await asyncio.gather(*(other.append("busy", [human(3000)]) for other in others))
        await drain(repository.list(index="by_user", partition="u"))
        await repository.read("busy")
        [totals] = meter.totals().values()
        for one in (repository, *others):
            await one.aclose()
        counted = (totals.requests, totals.read_units, totals.write_units)
    assert totals.conflicts > 5
    assert counted[1:] == pytest.approx((bill.read_units, bill.write_units), rel=0.01)
    # What makes and looks at tables is a request too, and bills nothing.
    assert counted[0] >= bill.requests > 100


# --- CapacityMeter ---


async def test_cost_per_tenant(make_repository: RepositoryFactory) -> None:
    """Each operation is counted for the tenant of its session; what is about no session, for none."""
    meter = CapacityMeter(by=lambda session: session.partition("/")[0])
    repository = make_repository(observers=[meter])
    await repository.append("acme/1", [HI, AIMessage("hello")])
    await repository.append("acme/2", [HI])
    await repository.read("beta/1")
    await drain(repository.list())
    totals = meter.totals()
    assert {key: (one.operations, one.messages) for key, one in totals.items()} == {
        "acme": (2, 3),
        "beta": (1, 0),
        None: (1, 0),
    }
    assert (totals["acme"].requests, totals["acme"].attempts, totals["beta"].requests) == (2, 2, 1)
    assert totals["acme"].write_units > 0
    assert meter.totals(reset=True) == totals
    assert meter.totals() == {}


def test_a_meter_is_bounded() -> None:
    """Keys beyond the bound are counted together."""
    meter = CapacityMeter(by=str, max_keys=2)
    for session in "abcab":
        operation = Operation("read", "T", session)
        meter.requested(operation, Request("GetItem", read_units=0.5, attempts=1))
        meter.finished(operation)
    one = Totals(operations=1, requests=1, attempts=1, read_units=0.5)
    two = Totals(operations=2, requests=2, attempts=2, read_units=1.0)
    assert meter.totals() == {"a": two, "b": two, OTHERS: one}


def test_a_meter_counts_from_all_threads(engine: TestEngine, make_table: TableFactory) -> None:
    """The facade's event loop has a thread of its own; histories with the same meter share a repository."""
    meter = CapacityMeter()
    options: dict[str, Any] = {"endpoint_url": engine.endpoint_url, "observers": [meter]}
    table = make_table()
    with SessionRepository(table, **options) as sessions:
        sessions.append("s", [HI])
        list(sessions.iter_messages("s"))
    histories = [DynamoDBChatMessageHistory(table, "s", **options) for _ in range(2)]
    assert histories[0]._repository is histories[1]._repository
    histories[0].add_messages([HI])
    histories[1].ttl = 60  # another repository, with the same observers
    assert len(histories[1].messages) == 2
    assert meter.totals()[None].operations == 4


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"by": 5}, "by is a int: give a function"),
        ({"max_keys": 0}, "max_keys=0 must be a number from 1 on"),
        ({"max_keys": True}, "max_keys=True must be a number"),
    ],
)
def test_a_meter_that_cannot_be(arguments: dict[str, Any], said: str) -> None:
    """Refused where it is made."""
    with pytest.raises(InvalidInputError, match=said):
        CapacityMeter(**arguments)


# --- Observers that are wrong ---


class Raising(Observer):
    """Raises wherever it can."""

    def started(self, operation: Operation) -> None:
        raise RuntimeError("started")

    def requested(self, operation: Operation, request: Request) -> None:
        raise RuntimeError("requested")

    def finished(self, operation: Operation) -> None:
        raise RuntimeError("finished")


async def test_an_observer_that_raises_breaks_nothing(
    make_repository: RepositoryFactory, caplog: pytest.LogCaptureFixture
) -> None:
    """All operations work, other observers are told, and its first error is logged, once."""
    notes = Notes()
    repository = make_repository(sizes=SMALL, observers=[Raising(), notes])
    await repository.append("s", [HI, human()])
    await repository.append("s", [human()])
    for call, name, _ in CALLS:
        await call(repository)
        assert notes.told[-1] == f"{name} finished"
    assert [(record.levelno, record.exc_info and str(record.exc_info[1])) for record in caplog.records] == [
        (logging.ERROR, "started")
    ]


async def test_a_key_that_is_none(make_repository: RepositoryFactory, caplog: pytest.LogCaptureFixture) -> None:
    """Of a function that raises, or whose result has no hash, nothing is lost and nothing breaks; it is logged once."""

    def by(session: str) -> Any:
        return 1 / 0 if session == "s" else [session]

    meter = CapacityMeter(by=by, max_keys=1)
    repository = make_repository(observers=[meter])
    for session in "stt":
        assert await repository.append(session, [HI]) > 0
    assert await drain(repository.list()) != []
    totals = meter.totals()
    assert {key: used.operations for key, used in totals.items()} == {UNKNOWN: 3, None: 1}
    assert (totals[UNKNOWN].requests, len(caplog.records)) == (3, 1)


class Waiting(Observer):
    """Would have to be awaited."""

    async def finished(self, operation: Operation) -> None:  # type: ignore[override]
        raise AssertionError


@dataclass
class Unhashable(Observer):
    """Equal to others."""

    number: int = 0


@dataclass(frozen=True)
class Frozen(Observer):
    """Has a hash, that of a list."""

    seen: list[str] = field(default_factory=list)


@pytest.mark.parametrize(
    ("observers", "said"),
    [
        (Notes(), "observers is a Notes: give a list"),
        ([print], r"observers\[0\] is a builtin_function_or_method: give an object of a subclass of Observer"),
        ([CapacityMeter], r"observers\[0\] is the class itself"),
        ([Observer(), Waiting()], r"observers\[1\].finished is async"),
        ([Unhashable()], r"observers\[0\] has no hash"),
        ([Frozen()], r"observers\[0\] has no hash"),
    ],
)
def test_what_is_no_observer(observers: Any, said: str) -> None:
    """Refused by the repository, the facade and the history alike."""
    for make in (AsyncSessionRepository, SessionRepository):
        with pytest.raises(InvalidInputError, match=said):
            make("Table", observers=observers)
    with pytest.raises(InvalidInputError, match=said):
        DynamoDBChatMessageHistory("Table", "s", observers=observers)


async def test_both_operations_of_a_whole_key(make_repository: RepositoryFactory, make_table: TableFactory) -> None:
    """A session named by its whole key is told as it was named; the look at the table belongs to the operation."""
    notes = Notes()
    repository = make_repository(make_table("PK", "SK"), observers=[notes])
    key = {"PK": "a", "SK": "b"}
    await repository.append(key, [named("1")])
    assert notes.operations[0].session == key
