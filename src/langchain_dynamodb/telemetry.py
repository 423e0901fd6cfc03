"""What sessions do and cost, for OpenTelemetry: spans and metrics by its semantic conventions for databases.

Needs the extra ``otel`` (`opentelemetry-api`, with an SDK of your choice); nothing of it is imported before it is used.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from ._checks import check_flag, how_to_install
from .errors import ChatHistoryError, SettingsError
from .observers import LocalObserver, Operation, Request

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import Span, TracerProvider

__all__ = ["OpenTelemetry"]

SCHEMA = "https://opentelemetry.io/schemas/1.44.0"  # of the attributes' names, of the newest release of the conventions
SECONDS = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10]  # boundaries of the histograms, as the conventions have them
_SERVICES = {"dynamodb": "DynamoDB", "kms": "KMS", "s3": "S3"}


class OpenTelemetry(LocalObserver):
    """Makes a span of each operation and, below it, of each request; and metrics of both.

    A span's parent is the caller's, also through the synchronous facade. Without providers the global ones are used.
    `spans` or `metrics` can be turned off. With `session_ids` spans say which session they are about
    (``gen_ai.conversation.id``); metrics never do. docs/howto/observe.md names all attributes and metrics.

    Raises `SettingsError` where `opentelemetry-api` is not installed.
    """

    def __init__(
        self,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        *,
        session_ids: bool = False,
        spans: bool = True,
        metrics: bool = True,
    ) -> None:
        for name, flag in (("session_ids", session_ids), ("spans", spans), ("metrics", metrics)):
            check_flag(name, flag)
        try:
            from opentelemetry import metrics as metrics_api
            from opentelemetry import trace
        except ImportError as error:
            told = f"OpenTelemetry needs the package opentelemetry-api: {how_to_install('otel')}"
            raise SettingsError(told) from error
        self._trace = trace
        self._spans: WeakKeyDictionary[Operation, Span] = WeakKeyDictionary()
        self._session_ids = session_ids
        self._tracer = (
            trace.get_tracer("langchain_dynamodb", None, tracer_provider, schema_url=SCHEMA) if spans else None
        )
        meter = metrics_api.get_meter("langchain_dynamodb", "", meter_provider, SCHEMA)
        self._metrics = _Metrics(meter) if metrics else None

    def started(self, operation: Operation) -> None:
        """Begin its span, below the caller's."""
        if self._tracer is None:
            return
        attributes = {"db.system.name": "aws.dynamodb", "db.collection.name": operation.table}
        attributes["db.operation.name"] = operation.name
        if self._session_ids and isinstance(operation.session, str):
            attributes["gen_ai.conversation.id"] = operation.session
        name = f"{operation.name} {operation.table}"
        self._spans[operation] = self._tracer.start_span(name, attributes=attributes, start_time=operation.started)

    def requested(self, operation: Operation, request: Request) -> None:
        """Make a span of it, and count it."""
        if self._metrics:
            self._metrics.requested(operation, request)
        if self._tracer is None:
            return
        parent = self._spans.get(operation)
        span = self._tracer.start_span(
            f"{_SERVICES.get(request.service, request.service)}.{request.name}",
            context=None if parent is None else self._trace.set_span_in_context(parent),
            kind=self._trace.SpanKind.CLIENT,
            attributes=_attributes(request),
            start_time=request.started,
        )
        if _failed(request):
            span.set_status(self._trace.StatusCode.ERROR, type(request.error).__name__)
        span.end(request.started + int(request.seconds * 1e9))

    def finished(self, operation: Operation) -> None:
        """End its span, and count it."""
        if self._metrics:
            self._metrics.finished(operation)
        span = self._spans.get(operation)  # which stays: requests that tidy up hang on it too
        if span is None:
            return
        told = {name: getattr(operation, name) for name in _OF_OPERATIONS}
        span.set_attributes({f"langchain_dynamodb.{name}": value for name, value in told.items() if value is not None})
        if self._session_ids and isinstance(operation.session, Mapping) and operation.key is not None:
            span.set_attribute("gen_ai.conversation.id", json.dumps(operation.key, default=str, sort_keys=True))
        if operation.error is not None:
            span.set_attribute("error.type", type(operation.error).__qualname__)
            span.set_status(self._trace.StatusCode.ERROR, type(operation.error).__name__)
        span.end()


_OF_OPERATIONS = ("messages", "requests", "attempts", "read_units", "write_units", "cache_hits", "conflicts")


class _Metrics:
    """The instruments."""

    def __init__(self, meter: Any) -> None:
        def counter(name: str, unit: str, description: str) -> Any:
            return meter.create_counter(f"langchain_dynamodb.{name}", unit, description)

        def histogram(name: str, description: str) -> Any:
            return meter.create_histogram(name, "s", description, explicit_bucket_boundaries_advisory=SECONDS)

        self.request_seconds = histogram("db.client.operation.duration", "Duration of database client operations.")
        self.seconds = histogram("langchain_dynamodb.operation.duration", "How long callers waited for an operation.")
        self.units = counter("capacity", "{unit}", "Capacity units that DynamoDB has billed.")
        self.retries = counter("retries", "{request}", "Requests that the SDK has sent again.")
        self.conflicts = counter("conflicts", "{request}", "Writes whose condition did not hold.")
        self.messages = counter("messages", "{message}", "Messages that were handed in or came back.")
        self.cache_hits = counter("cache.hits", "{page}", "Pages that were not fetched, since they were in memory.")

    def requested(self, operation: Operation, request: Request) -> None:
        about = _about(request)
        if request.service == "dynamodb":
            self.request_seconds.record(request.seconds, about)
        about = {"langchain_dynamodb.operation": operation.name}
        about["db.collection.name"] = request.table or operation.table  # a copy may be on its way to another
        for kind, units in (("read", request.read_units), ("write", request.write_units)):
            if units:
                self.units.add(units, {**about, "langchain_dynamodb.capacity.kind": kind})
        if request.attempts > 1:
            self.retries.add(request.attempts - 1, about)
        if request.refused:
            self.conflicts.add(1, about)

    def finished(self, operation: Operation) -> None:
        about = {"langchain_dynamodb.operation": operation.name, "db.collection.name": operation.table}
        if operation.messages:
            self.messages.add(operation.messages, about)
        if operation.cache_hits:
            self.cache_hits.add(operation.cache_hits, about)
        if operation.error is not None:
            about["error.type"] = type(operation.error).__qualname__
        self.seconds.record(operation.seconds, about)


def _failed(request: Request) -> bool:
    """Whether it ended with an error: that nobody waited for it any more is none."""
    return request.error is not None and not isinstance(request.error, asyncio.CancelledError)


def _about(request: Request) -> dict[str, Any]:
    """What identifies a kind of request, in metrics and spans alike."""
    about: dict[str, Any] = {}
    address = urlsplit(request.endpoint or "")
    if address.hostname:
        about["server.address"] = address.hostname
        if address.port not in (None, 443):
            about["server.port"] = address.port
    code = getattr(request.error, "code", None) if isinstance(request.error, ChatHistoryError) else None
    if _failed(request):
        about["error.type"] = code or type(request.error).__qualname__  # the service's code where it gave one
    if request.service != "dynamodb":
        return about
    about |= {"db.system.name": "aws.dynamodb", "db.operation.name": request.name}
    if request.table:
        about["db.collection.name"] = request.table
    if request.refused:  # an answer of the protocol, not a failure
        code = "ConditionalCheckFailedException"
    return about if code is None else {**about, "db.response.status_code": code}


def _attributes(request: Request) -> dict[str, Any]:
    """Those of a request's span."""
    attributes = _about(request)
    service = _SERVICES.get(request.service, request.service)
    # The section on DynamoDB still asks for the older names, which the section on RPC has replaced.
    attributes |= {"rpc.system": "aws-api", "rpc.system.name": "aws-api", "rpc.service": service}
    attributes["rpc.method"] = request.name
    if request.table:
        attributes["aws.dynamodb.table_names"] = [request.table]
    units = request.read_units + request.write_units
    if units and not request.refused:  # of a refused write there is no answer that says it
        consumed = {"TableName": request.table, "CapacityUnits": units}
        attributes["aws.dynamodb.consumed_capacity"] = [json.dumps(consumed)]
    if request.region:
        attributes["cloud.region"] = request.region
    if request.request_id:
        attributes["aws.request_id"] = request.request_id
    if request.attempts > 1:
        attributes["langchain_dynamodb.attempts"] = request.attempts
    return attributes
