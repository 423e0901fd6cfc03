"""A responder that answers what DynamoDB Local once answered: the engine's time does not hide the client's.

It runs in a process of its own. Each table has either answers (to the same request the same answer, whatever the
session id; to other batches the pages asked for; else the last one to the same operation) or a script: the n-th
request gets the n-th answer.
"""

from __future__ import annotations

import asyncio
import json
import pickle
import re
import subprocess
import sys
import urllib.request
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import orjson

SESSION = re.compile(rb"session-\d{6}")  # ids of sessions in recordings: any of them gets the same answers
_TARGET = re.compile(rb"x-amz-target: *DynamoDB_20120810\.(\w+)", re.IGNORECASE)
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_TABLE = re.compile(rb'"TableName": ?"([^"]+)"|"RequestItems": ?\{"([^"]+)"')
_ANY = b"session-000000"


def _of_any(request: bytes) -> bytes:
    """The request of any session, whoever wrote it: some put spaces between."""
    return orjson.dumps(orjson.loads(SESSION.sub(_ANY, request)))


class Exchange(NamedTuple):
    """A request and its answer."""

    operation: str
    request: bytes
    response: bytes


class Recording(NamedTuple):
    """What a table answers."""

    exchanges: Sequence[Exchange]
    script: bool = False


class Responder:
    """The answers of all tables."""

    def __init__(self, recordings: dict[str, Recording]) -> None:
        self.scripts = {table: [e.response for e in r.exchanges] for table, r in recordings.items() if r.script}
        self.next = dict.fromkeys(self.scripts, 0)
        self.answers: dict[tuple[str, str, bytes | None], bytes] = {}
        self.pages: dict[tuple[str, int], object] = {}
        for table, recording in recordings.items():
            for exchange in recording.exchanges if not recording.script else ():
                for request in (None, _of_any(exchange.request)):
                    self.answers[table, exchange.operation, request] = SESSION.sub(_ANY, exchange.response)
                if exchange.operation == "BatchGetItem":
                    for item in json.loads(SESSION.sub(_ANY, exchange.response))["Responses"][table]:
                        self.pages[table, int(item["lc_chain"]["S"].split(" ")[0])] = item

    def answer(self, operation: str, body: bytes) -> bytes:
        """Answer a request; ``Rewind`` with a table's name starts its script anew."""
        if operation == "Rewind":
            self.next[body.decode()] = 0
            return b"{}"
        found = _TABLE.search(body)
        table = (found[1] or found[2]).decode() if found else ""
        if table in self.scripts:
            position = self.next[table]
            self.next[table] = (position + 1) % len(self.scripts[table])
            return self.scripts[table][position]
        session = SESSION.search(body)
        key = table, operation, _of_any(body)
        response = self.answers.get(key)
        if response is None and operation == "BatchGetItem":  # some pages were in memory still
            response = self._some_pages(table, key[2])
        response = response or self.answers[table, operation, None]
        return response.replace(_ANY, session[0]) if session else response

    def _some_pages(self, table: str, body: bytes) -> bytes:
        keys = [key["SessionId"]["S"] for key in json.loads(body)["RequestItems"][table]["Keys"]]
        return json.dumps(
            {"Responses": {table: [self.pages[table, int(key[-8:], 16)] for key in keys]}, "UnprocessedKeys": {}}
        ).encode()


class _Connection(asyncio.Protocol):
    def __init__(self, responder: Responder) -> None:
        self.responder = responder
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = self.buffer[:end]
            length = _LENGTH.search(head)
            size = end + 4 + (int(length[1]) if length else 0)
            if len(self.buffer) < size:
                return
            body, self.buffer = self.buffer[end + 4 : size], self.buffer[size:]
            target = _TARGET.search(head)
            answer = self.responder.answer(target[1].decode() if target else "", body)
            self.transport.write(  # type: ignore[attr-defined]
                b"HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.0\r\nx-amzn-RequestId: canned\r\n"
                b"x-amz-crc32: %d\r\nContent-Length: %d\r\n\r\n%b" % (zlib.crc32(answer), len(answer), answer)
            )


@contextmanager
def run_canned(recordings: dict[str, Recording]) -> Iterator[str]:
    """Run a responder in another process until the block ends; yields its URL."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "recordings")
        path.write_bytes(pickle.dumps(recordings))
        command = [sys.executable, __file__, str(path)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.terminate()
            process.communicate()


def rewind(endpoint_url: str, table: str) -> None:
    """Start the script of a table anew."""
    headers = {"X-Amz-Target": "DynamoDB_20120810.Rewind"}
    urllib.request.urlopen(urllib.request.Request(endpoint_url, table.encode(), headers)).read()


async def _serve(recordings: dict[str, Recording]) -> None:
    responder = Responder(recordings)
    server = await asyncio.get_running_loop().create_server(lambda: _Connection(responder), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    # The process that started this one holds the other end: it ends with it, however that dies.
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_serve(pickle.loads(Path(sys.argv[1]).read_bytes())))
