"""What goes over the wire: counted, and recorded for the canned responder."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any

from canned import Exchange
from meter import Meter


@dataclass(frozen=True)
class Bill:
    """What some requests cost; `sent` and `received` are bytes of request and response bodies."""

    requests: float = 0
    write_units: float = 0
    read_units: float = 0
    sent: float = 0
    received: float = 0

    def __add__(self, other: Bill) -> Bill:
        return Bill(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(self)))

    def __sub__(self, other: Bill) -> Bill:
        return Bill(*(getattr(self, field.name) - getattr(other, field.name) for field in fields(self)))

    def __truediv__(self, turns: float) -> Bill:
        return Bill(*(getattr(self, field.name) / turns for field in fields(self)))

    @property
    def dollars_per_million(self) -> float:
        """Dollars for a million of it, on-demand capacity."""
        return 0.625 * self.write_units + 0.125 * self.read_units


def as_billed(request: Mapping[str, Any], response: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a response with the read units of DynamoDB, which ends a page at 1 MB before it filters.

    DynamoDB Local 3.3.1 filters first: it reads on, and counts, until 1 MB is left of what passes.
    """
    consumed = response.get("ConsumedCapacity")
    if "FilterExpression" not in request or not consumed:
        return response
    page = 256 if request.get("ConsistentRead") else 128
    return {**response, "ConsumedCapacity": {**consumed, "CapacityUnits": min(page, consumed["CapacityUnits"])}}


class Wire(Meter):
    """The demo's meter, which also counts bytes and can keep what it saw."""

    def __init__(self, engine_url: str) -> None:
        super().__init__(engine_url)
        self._sent = self._received = 0
        self.tape: list[Exchange] | None = None

    @property
    def bill(self) -> Bill:
        """Everything so far."""
        usage = self._usage
        return Bill(usage.requests, usage.write_units, usage.read_units, self._sent, self._received)

    def add(self, operation: str, request: Mapping[str, Any], status: int, response: Mapping[str, Any]) -> None:
        """Put one request on the bill; the capacity that the meter asked for does not count as received."""
        super().add(operation, request, status, as_billed(request, response))
        answer = {name: value for name, value in response.items() if name != "ConsumedCapacity"}
        sent = json.dumps(request).encode()  # as botocore writes it
        received = json.dumps(answer, separators=(",", ":"), ensure_ascii=False).encode()
        self._sent += len(sent)
        self._received += len(received)
        if self.tape is not None:
            self.tape.append(Exchange(operation, sent, received))

    @contextmanager
    def recording(self) -> Iterator[list[Exchange]]:
        """Yield the list that the exchanges of this block are added to."""
        self.tape = []
        try:
            yield self.tape
        finally:
            self.tape = None


@contextmanager
def run_wire(engine_url: str) -> Iterator[Wire]:
    """Run a wire in front of an engine until the block ends."""
    wire = Wire(engine_url)
    thread = threading.Thread(target=wire.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield wire
    finally:
        wire.shutdown()
        thread.join()
        wire.server_close()
