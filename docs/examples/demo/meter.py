"""What DynamoDB bills, counted on the wire: the same for every library, and none of them knows.

A reverse proxy in front of DynamoDB Local adds ``ReturnConsumedCapacity`` to each request and sums up the answers. A
refused conditional write is billed as well, though the engine's error does not say so: it is counted by the larger of
the item it met (where the error returns it) and the item it wanted to put. Items under 1 KB count as one unit.
"""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from items import item_size

READS = {"BatchGetItem", "GetItem", "Query", "Scan"}
WRITES = {"BatchWriteItem", "DeleteItem", "PutItem", "UpdateItem"}


@dataclass
class Usage:
    """What one step cost."""

    requests: int = 0
    read_units: float = 0
    write_units: float = 0


@contextmanager
def run_meter(engine_url: str) -> Iterator[Meter]:
    """Run a meter in front of an engine until the block ends."""
    meter = Meter(engine_url)
    thread = threading.Thread(target=meter.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield meter
    finally:
        meter.shutdown()
        thread.join()
        meter.server_close()


class Meter(ThreadingHTTPServer):
    """A proxy on loopback that keeps a bill."""

    request_queue_size = 64

    def __init__(self, engine_url: str) -> None:
        super().__init__(("127.0.0.1", 0), _Proxy)
        self.engine = urlsplit(engine_url).netloc
        self.endpoint_url = f"http://127.0.0.1:{self.server_port}"
        self._usage = Usage()
        self._lock = threading.Lock()

    @contextmanager
    def measure(self) -> Iterator[Usage]:
        """Yield what the requests of this block cost."""
        usage = self._usage = Usage()
        try:
            yield usage
        finally:
            self._usage = Usage()

    def add(self, operation: str, request: Mapping[str, Any], status: int, response: Mapping[str, Any]) -> None:
        """Put one request on the bill."""
        with self._lock:
            self._usage.requests += 1
            if operation in READS:
                self._usage.read_units += _reported(response)
            elif status == 200:
                self._usage.write_units += _reported(response)
            elif "ConditionalCheckFailed" in response.get("__type", ""):
                self._usage.write_units += _refused(request, response)


def _reported(response: Mapping[str, Any]) -> float:
    consumed = response.get("ConsumedCapacity", [])
    return float(sum(one["CapacityUnits"] for one in (consumed if isinstance(consumed, list) else [consumed])))


def _refused(request: Mapping[str, Any], response: Mapping[str, Any]) -> int:
    largest = max(item_size(_decoded(item)) for item in (request.get("Item", {}), response.get("Item", {})))
    return max(1, -(-largest // 1024))


def _decoded(item: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return an item with bytes of their true length: on the wire they are base64."""
    return {name: _decoded_value(value) for name, value in item.items()}


def _decoded_value(value: Mapping[str, Any]) -> Mapping[str, Any]:
    ((kind, content),) = value.items()
    if kind == "M":
        content = _decoded(content)
    elif kind == "L":
        content = [_decoded_value(element) for element in content]
    elif kind == "B":
        content = bytes(len(content.rstrip("=")) * 3 // 4)
    elif kind == "BS":
        content = [bytes(len(element.rstrip("=")) * 3 // 4) for element in content]
    return {kind: content}


class _Proxy(BaseHTTPRequestHandler):
    server: Meter
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        self.upstream = http.client.HTTPConnection(self.server.engine)

    def finish(self) -> None:
        self.upstream.close()
        super().finish()

    def do_POST(self) -> None:
        operation = self.headers["X-Amz-Target"].rpartition(".")[2]
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if operation not in READS | WRITES:
            self._answer(*self._ask(body))
            return
        request = json.loads(body)
        response, answer = self._ask(json.dumps({**request, "ReturnConsumedCapacity": "TOTAL"}).encode())
        self.server.add(operation, request, response.status, json.loads(answer))
        self._answer(response, answer)

    def _ask(self, body: bytes) -> tuple[http.client.HTTPResponse, bytes]:
        wanted = ("Authorization", "Content-Type", "X-Amz-Date", "X-Amz-Target")
        self.upstream.request("POST", "/", body, {name: self.headers[name] for name in wanted})
        response = self.upstream.getresponse()
        return response, response.read()

    def _answer(self, response: http.client.HTTPResponse, body: bytes) -> None:
        self.send_response_only(response.status)
        for name, value in response.headers.items():
            if name.lower().startswith(("content-type", "x-amz")):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
