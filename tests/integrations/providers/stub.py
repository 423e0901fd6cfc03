"""A provider's server on 127.0.0.1 that gives canned answers, and the forms that answers have on the wire."""

from __future__ import annotations

import http.server
import json
import struct
import threading
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple
from zlib import crc32

STRING = 7  # the type of a header's value in AWS's event streams


class Reply(NamedTuple):
    """What is sent back for a request: always the same."""

    content_type: str
    body: bytes


def document(value: object) -> Reply:
    """One JSON document."""
    return Reply("application/json", json.dumps(value).encode())


def events(values: Iterable[Mapping[str, Any]], *, named: bool = False, end: str = "") -> Reply:
    """Server-sent events; named: each begins with its ``type``; `end`: the data of a last one that is no JSON."""
    texts = [(f"event: {value['type']}\n" if named else "") + f"data: {json.dumps(value)}\n\n" for value in values]
    return Reply("text/event-stream", "".join([*texts, f"data: {end}\n\n" if end else ""]).encode())


def lines(values: Iterable[object]) -> Reply:
    """One JSON document per line."""
    return Reply("application/x-ndjson", "".join(json.dumps(value) + "\n" for value in values).encode())


def frames(values: Iterable[tuple[str, object]]) -> Reply:
    """AWS's event stream, of pairs of an event's type and its document."""
    return Reply("application/vnd.amazon.eventstream", b"".join(_frame(name, value) for name, value in values))


def _frame(name: str, value: object) -> bytes:
    payload = json.dumps(value).encode()
    named = {":event-type": name, ":content-type": "application/json", ":message-type": "event"}
    headers = b"".join(
        struct.pack("!B", len(key)) + key.encode() + struct.pack("!BH", STRING, len(text)) + text.encode()
        for key, text in named.items()
    )
    prelude = struct.pack("!II", len(headers) + len(payload) + 16, len(headers))
    whole = prelude + struct.pack("!I", crc32(prelude)) + headers + payload
    return whole + struct.pack("!I", crc32(whole))


class Stub:
    """Serves `answers` while it is entered, and remembers the bodies of the requests.

    An answer's key is the path, with `` stream`` behind it for requests whose JSON has a true ``stream``. Any other
    request fails, with HTTP 404.
    """

    def __init__(self, answers: Mapping[str, Reply]) -> None:
        self.answers = answers
        self.requests: list[Any] = []
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self) -> Stub:
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    def _handler(stub) -> type[http.server.BaseHTTPRequestHandler]:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
                stub.requests.append(asked)
                path = self.path.partition("?")[0] + (" stream" if asked.get("stream") else "")
                reply = stub.answers.get(path)
                status, kind, body = (200, *reply) if reply else (404, "text/plain", f"no answer for {path}".encode())
                self.send_response(status)
                self.send_header("content-type", kind)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *message: object) -> None:
                pass

        return Handler
