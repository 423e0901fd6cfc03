"""Spans and metrics for OpenTelemetry: their names, what they hang on, and what they must not tell."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from langchain_core.messages import AIMessage, HumanMessage
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.semconv import schemas
from opentelemetry.semconv._incubating.attributes import (
    aws_attributes,
    cloud_attributes,
    db_attributes,
    gen_ai_attributes,
    rpc_attributes,
)
from opentelemetry.semconv.attributes import error_attributes, server_attributes
from opentelemetry.semconv.metrics import db_metrics
from opentelemetry.trace import SpanKind, StatusCode

from aws_server import run_service
from conftest import RepositoryFactory, TableFactory, TestEngine
from langchain_dynamodb import AsyncSessionRepository, SessionRepository, telemetry
from langchain_dynamodb.blobs import S3Blobs
from langchain_dynamodb.encryption import KmsKeyring, LocalKeyring
from langchain_dynamodb.errors import InvalidInputError, KeyUnavailableError, StorageError, VersionConflictError
from langchain_dynamodb.telemetry import OpenTelemetry
from scripted_server import Server, refuse
from support import SMALL, Call, Hooked, many, noise, watch, with_options

SECRET = "nobody must read this"
HI = HumanMessage(SECRET)
KNOWN = {
    value
    for module in (
        aws_attributes, cloud_attributes, db_attributes, error_attributes, gen_ai_attributes, rpc_attributes,
        server_attributes,
    )
    for value in vars(module).values()
    if isinstance(value, str)
}  # fmt: skip


class Collected:
    """Providers that keep what they are given."""

    def __init__(self) -> None:
        self._exporter, self._reader = InMemorySpanExporter(), InMemoryMetricReader()
        self.traces = TracerProvider()
        self.traces.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.meters = MeterProvider([self._reader])

    def observer(self, **options: Any) -> OpenTelemetry:
        """An observer that reports to them."""
        return OpenTelemetry(self.traces, self.meters, **options)

    @property
    def spans(self) -> list[ReadableSpan]:
        """Those that have ended, in the order of their beginnings."""
        return sorted(self._exporter.get_finished_spans(), key=lambda span: span.start_time or 0)

    def points(self) -> dict[str, list[Any]]:
        """The points of each metric."""
        data: Any = self._reader.get_metrics_data()
        metrics = [m for r in data.resource_metrics for scope in r.scope_metrics for m in scope.metrics] if data else []
        return {metric.name: list(metric.data.data_points) for metric in metrics}


def told(span: ReadableSpan) -> dict[str, Any]:
    """A span's attributes."""
    return dict(span.attributes or {})


async def test_spans_of_an_operation(make_repository: RepositoryFactory, engine: TestEngine) -> None:
    """One for it, below the caller's, and below that one for each request, as the conventions have it."""
    collected = Collected()
    repository = make_repository(observers=[collected.observer()])
    with collected.traces.get_tracer("app").start_as_current_span("turn") as turn:
        await repository.append("alice", [HI, AIMessage("yes")])
    [outer, operation, request] = collected.spans
    table = repository.table_name
    assert (outer.name, operation.name, request.name) == ("turn", f"append {table}", "DynamoDB.UpdateItem")
    assert operation.parent is not None
    assert request.parent is not None
    assert operation.context is not None
    assert operation.parent.span_id == turn.get_span_context().span_id
    assert request.parent.span_id == operation.context.span_id
    assert (operation.kind, request.kind) == (SpanKind.INTERNAL, SpanKind.CLIENT)
    assert operation.start_time <= request.start_time < request.end_time <= operation.end_time  # type: ignore[operator]
    attributes = told(request)
    units = json.loads(attributes.pop("aws.dynamodb.consumed_capacity")[0])
    assert (units["TableName"], units["CapacityUnits"] >= 0.5) == (table, True)
    assert attributes.pop("aws.request_id")
    address = urlsplit(engine.endpoint_url or "")
    assert attributes == {
        "aws.dynamodb.table_names": (table,),
        "cloud.region": "us-east-1",
        "db.collection.name": table,
        "db.operation.name": "UpdateItem",
        "db.system.name": "aws.dynamodb",
        "rpc.method": "UpdateItem",
        "rpc.service": "DynamoDB",
        "rpc.system": "aws-api",
        "rpc.system.name": "aws-api",
        "server.address": address.hostname,
        "server.port": address.port,
    }
    own = told(operation)
    assert own.pop("langchain_dynamodb.write_units") == units["CapacityUnits"]
    assert own == {
        "db.collection.name": table,
        "db.operation.name": "append",
        "db.system.name": "aws.dynamodb",
        "langchain_dynamodb.attempts": 1,
        "langchain_dynamodb.cache_hits": 0,
        "langchain_dynamodb.conflicts": 0,
        "langchain_dynamodb.messages": 2,
        "langchain_dynamodb.read_units": 0.0,
        "langchain_dynamodb.requests": 1,
    }


def test_the_conventions_are_published() -> None:
    """The schema is one of those of the package that has the names."""
    assert telemetry.SCHEMA in [schema.value for schema in schemas.Schemas]


async def test_names_are_those_of_the_conventions(make_repository: RepositoryFactory) -> None:
    """Or begin with our own name; the same holds for metrics."""
    collected = Collected()
    repository = make_repository(sizes=SMALL, observers=[collected.observer(session_ids=True)])
    await repository.append("alice", many(20))
    await repository.read("alice")
    await repository.read("alice")
    with pytest.raises(VersionConflictError):
        await repository.append("alice", [HI], expected_version=5)
    points = collected.points()
    names = {name for span in collected.spans for name in told(span)}
    names |= {name for some in points.values() for point in some for name in point.attributes}
    assert {name for name in names - KNOWN if not name.startswith("langchain_dynamodb.")} == set()
    assert {name for name in points if not name.startswith("langchain_dynamodb.")} == {
        db_metrics.DB_CLIENT_OPERATION_DURATION
    }


async def test_metrics(make_repository: RepositoryFactory) -> None:
    """Seconds, units, messages, conflicts, pages from memory, by operation and table."""
    collected = Collected()
    repository = make_repository(sizes=SMALL, observers=[collected.observer(spans=False)])
    await repository.append("alice", many(30))
    await repository.read("alice")
    before = collected.points()
    await repository.read("alice")
    with pytest.raises(VersionConflictError):
        await repository.append("alice", [HI], expected_version=5)
    assert collected.spans == []
    points = collected.points()
    about = {"db.collection.name": repository.table_name, "langchain_dynamodb.operation": "read"}
    assert dict(points["langchain_dynamodb.messages"][1].attributes) == about
    assert points["langchain_dynamodb.messages"][1].value == 60
    [hits] = points["langchain_dynamodb.cache.hits"]
    assert (dict(hits.attributes), hits.value > 3) == (about, True)
    kinds = {(p.attributes["langchain_dynamodb.operation"], p.attributes["langchain_dynamodb.capacity.kind"])
             for p in points["langchain_dynamodb.capacity"]}  # fmt: skip
    assert kinds >= {("append", "read"), ("append", "write"), ("read", "read")}
    failed = [p for p in points["langchain_dynamodb.operation.duration"] if "error.type" in p.attributes]
    assert [(p.attributes["error.type"], p.count) for p in failed] == [("VersionConflictError", 1)]
    seconds = points["db.client.operation.duration"]
    assert {p.attributes["db.operation.name"] for p in seconds} >= {"GetItem", "PutItem", "UpdateItem"}
    assert {tuple(p.explicit_bounds) for p in seconds} == {(0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10)}
    assert sum(p.count for p in seconds) > sum(p.count for p in before["db.client.operation.duration"])


@pytest.mark.usefixtures("no_pauses")
async def test_errors(server: Server) -> None:
    """DynamoDB's code on the request, ours on the operation; the text of an error is not told."""
    collected = Collected()
    options = with_options(AsyncSessionRepository("chats"), observers=(collected.observer(),))._options
    repository = AsyncSessionRepository._of(options, server.settings(2))
    server.answers = [refuse("ThrottlingException")] * 2
    with pytest.raises(StorageError):
        await repository.read("alice")
    server.answers = [refuse("ConditionalCheckFailedException")]
    with pytest.raises(VersionConflictError):
        await repository.append("alice", [HI], expected_version=7)
    await repository.aclose()
    read, get, append, update, look = collected.spans
    assert (read.status.status_code, read.status.description) == (StatusCode.ERROR, "ThrottledError")
    assert told(read)["error.type"] == "ThrottledError"
    assert {n: v for n, v in told(get).items() if n in ("error.type", "db.response.status_code")} == {
        "error.type": "ThrottlingException",
        "db.response.status_code": "ThrottlingException",
    }
    assert told(get)["langchain_dynamodb.attempts"] == 2
    assert told(append)["error.type"] == "VersionConflictError"
    # A refused condition is an answer that the protocol goes on from.
    assert (update.status.status_code, "error.type" in told(update)) == (StatusCode.UNSET, False)
    assert told(update)["db.response.status_code"] == "ConditionalCheckFailedException"
    assert "aws.dynamodb.consumed_capacity" not in told(update)  # DynamoDB does not say
    assert look.name == "DynamoDB.GetItem"
    points = collected.points()
    assert [p.value for p in points["langchain_dynamodb.retries"]] == [1]
    assert [p.value for p in points["langchain_dynamodb.conflicts"]] == [1]


@pytest.fixture(scope="module")
def s3_url(aws_environment: None) -> Iterator[str]:
    """An endpoint of S3 with a bucket."""
    with run_service("s3") as url:
        boto3.client("s3", endpoint_url=url).create_bucket(Bucket="chats")
        yield url


@pytest.mark.parametrize("way", ["plain", "encrypted, with objects"])
async def test_no_content_and_no_sessions(make_repository: RepositoryFactory, s3_url: str, way: str) -> None:
    """Neither the messages nor, unless that is asked for, whose they are; never on a metric.

    Names of objects, which tell sessions, are on no span of theirs.
    """
    given: dict[str, Any] = {}
    if way != "plain":
        given = {"encryption": LocalKeyring(bytes(32)), "blobs": S3Blobs("chats", threshold=0, endpoint_url=s3_url)}
    for asked in (False, True):
        collected = Collected()
        repository = make_repository(observers=[collected.observer(session_ids=asked)], **given)
        await repository.append("alice", [HI])
        if given:
            await repository.append("alice large", [HumanMessage(SECRET * 500_000)])
            await repository.delete("alice large")
            names = {span.name for span in collected.spans}
            assert {"S3.PutObject", "S3.ListObjectsV2", "S3.DeleteObjects"} <= names
        await repository.read("alice")
        await repository.append({"SessionId": "alice", "user": "bob"}, [HI])
        with pytest.raises(InvalidInputError):
            await repository.append("alice~lc~0123456789abcd~01234567", [HI])
        assert "alice" not in repr(collected.points())
        shown = repr([(span.name, told(span), span.events, span.status.description) for span in collected.spans])
        assert (SECRET in shown, "alice" in shown) == (False, asked)
        named = [told(span)[gen_ai_attributes.GEN_AI_CONVERSATION_ID] for span in collected.spans if
                 gen_ai_attributes.GEN_AI_CONVERSATION_ID in told(span)]  # fmt: skip
        wanted = {"alice", '{"SessionId": "alice"}'}
        assert wanted & {*named} == (wanted if asked else set())
        assert asked or not named
        with pytest.raises(InvalidInputError):
            await repository.append([HI], "alice")  # type: ignore[arg-type]
        assert (SECRET in repr(list(map(told, collected.spans))), len(collected.spans) > 3) == (False, True)


async def test_a_copy_to_another_table(make_repository: RepositoryFactory, make_table: TableFactory) -> None:
    """Units are those of the table that each request was about."""
    collected = Collected()
    here, there = make_repository(observers=[collected.observer()]), make_repository(make_table())
    await here.append("alice", [HI])
    await here.copy("alice", "alice", repository=there)
    counted = {(p.attributes["langchain_dynamodb.operation"], p.attributes["db.collection.name"])
               for p in collected.points()["langchain_dynamodb.capacity"]}  # fmt: skip
    wanted = {("append", here.table_name), ("copy", here.table_name), ("copy", there.table_name)}
    assert counted == wanted


@pytest.mark.parametrize("service", ["kms", "s3"])
async def test_other_services(make_repository: RepositoryFactory, service: str) -> None:
    """A request that fails says where and with what; only DynamoDB's are those of a database."""
    with run_service(service) as url:
        options: dict[str, Any] = {"encryption": KmsKeyring("alias/none", endpoint_url=url)}
        if service == "s3":
            options = {"blobs": S3Blobs("no-such-bucket", threshold=5000, endpoint_url=url)}
        collected = Collected()
        repository = make_repository(observers=[collected.observer()], **options)
        with pytest.raises((StorageError, KeyUnavailableError)):
            await repository.append("alice", [HumanMessage(noise(200_000))])
        failed = [told(span) for span in collected.spans if span.kind == SpanKind.CLIENT and not span.status.is_ok]
        assert failed
        for about in failed:
            address = urlsplit(url)
            assert (about["server.address"], about["server.port"]) == (address.hostname, address.port)
            assert about["error.type"] == {"kms": "NotFoundException", "s3": "NoSuchBucket"}[service]
            assert about["aws.request_id"]
            assert not any(name.startswith("db.") for name in about)


async def test_an_iteration_that_is_left(make_repository: RepositoryFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pages that were on their way hang on its span, and are no error."""
    monkeypatch.setattr("langchain_dynamodb._store.stored_pages.ITER_PAGES", 2)
    monkeypatch.setattr("langchain_dynamodb._store.stored_pages.ITER_BYTES", 1)
    collected = Collected()
    repository = make_repository(sizes=SMALL, observers=[collected.observer()])
    await make_repository(sizes=SMALL).append("alice", many(30))
    async with contextlib.aclosing(repository.iter_messages("alice")) as messages:
        async for _ in messages:
            await asyncio.sleep(0)
            break
    operation, *requests = collected.spans
    assert {span.status.status_code for span in (operation, *requests)} == {StatusCode.UNSET}
    assert not any("error.type" in told(span) for span in requests)
    assert {span.parent and span.parent.span_id for span in requests} == {operation.context.span_id}  # type: ignore[union-attr]
    assert told(operation)["langchain_dynamodb.requests"] == len(requests) > 2


async def test_a_cancelled_operation(make_repository: RepositoryFactory) -> None:
    """Its span ends, and tells that; what tidies up afterwards hangs on it too."""
    collected = Collected()
    repository = make_repository(sizes=SMALL, observers=[collected.observer()])
    sent = asyncio.Event()

    async def hook(operation: str, request: Any, proceed: Call) -> dict[str, Any]:
        if operation == "put_item":
            sent.set()
            await asyncio.sleep(60)
        return await proceed()

    watch(repository, Hooked, hook)
    task = asyncio.ensure_future(repository.append("alice", many(30)))
    await sent.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    [operation] = [span for span in collected.spans if span.kind == SpanKind.INTERNAL]
    assert (told(operation)["error.type"], operation.status.status_code) == ("CancelledError", StatusCode.ERROR)
    assert {span.parent and span.parent.span_id for span in collected.spans if span is not operation} == {
        operation.context.span_id  # type: ignore[union-attr]
    }


def test_the_facade_goes_on_with_the_callers_span(engine: TestEngine, make_table: TableFactory) -> None:
    """Although its requests are made on another thread; also an iteration."""
    collected = Collected()
    options: dict[str, Any] = {"endpoint_url": engine.endpoint_url, "observers": [collected.observer()]}
    with SessionRepository(make_table(), **options) as sessions:
        with collected.traces.get_tracer("app").start_as_current_span("turn") as turn:
            sessions.append("alice", [HI])
            list(sessions.iter_messages("alice"))
        sessions.read("alice")
    operations = [span for span in collected.spans if span.kind == SpanKind.INTERNAL and span.name != "turn"]
    parents = [span.parent and span.parent.span_id for span in operations]
    mine = turn.get_span_context().span_id
    assert parents == [mine, mine, None]


def test_flags() -> None:
    """Refused where they are no flags."""
    with pytest.raises(InvalidInputError, match="session_ids='yes' must be True or False"):
        OpenTelemetry(session_ids="yes")  # type: ignore[arg-type]


@pytest.mark.once
def test_without_the_extra() -> None:
    """The error names what to install."""
    program = (
        "import sys; sys.modules['opentelemetry'] = None\n"
        "from langchain_dynamodb.telemetry import OpenTelemetry\n"
        "from langchain_dynamodb.errors import SettingsError\n"
        "try:\n    OpenTelemetry()\nexcept SettingsError as error:\n    print(error)"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert 'pip install ".[otel]" (in a clone' in run.stdout
