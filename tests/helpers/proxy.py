"""An HTTP proxy between clients and the engine that lets requests fail as a plan says."""

from __future__ import annotations

import asyncio
import json
import random
import socket
import struct
from collections import Counter, defaultdict, deque
from collections.abc import Coroutine, Mapping
from types import TracebackType
from typing import Any, NamedTuple, Protocol
from zlib import crc32

import aiohttp

from faults import THROTTLED, UNTOLD, WITHHELD, Fault, Request, Strike

DELAY_SECONDS = 0.05  # at most, as all of these
REFUSAL_SECONDS = 0.1
LATE_SECONDS = 1.0
STATES = 6  # of each item, that a stale read may answer with
PREFIX = "com.amazonaws.dynamodb.v20120810#"
LOOPBACK = "127.0.0.1"


class Chooser(Protocol):
    """Decides what happens to a request."""

    def choose(self, request: Request) -> Strike: ...


class Answer(NamedTuple):
    """A response; `checksum` None means the right one."""

    status: int
    body: bytes
    checksum: int | None = None

    def encoded(self) -> bytes:
        """As sent."""
        checksum = crc32(self.body) if self.checksum is None else self.checksum
        return (
            f"HTTP/1.1 {self.status} -\r\nContent-Type: application/x-amz-json-1.0\r\n"
            f"Content-Length: {len(self.body)}\r\nx-amz-crc32: {checksum}\r\n\r\n"
        ).encode() + self.body


class Message(NamedTuple):
    """A request as received."""

    headers: dict[str, str]
    body: bytes
    request: Request


class States:
    """The states of items that passed by, oldest first; None: there was none."""

    def __init__(self, key_names: tuple[str, ...]) -> None:
        self.key_names = key_names
        self._of: defaultdict[str, deque[Any]] = defaultdict(lambda: deque([None], maxlen=STATES))

    def record(self, request: Request, response: Mapping[str, Any]) -> None:
        """Remember what a successful write left behind."""
        body = request.body
        if request.operation == "PutItem":
            self._add(body["TableName"], body["Item"], body["Item"])
        elif request.operation == "DeleteItem":
            self._add(body["TableName"], body["Key"], None)
        elif request.operation == "UpdateItem" and body.get("ReturnValues") == "ALL_NEW":
            self._add(body["TableName"], body["Key"], response["Attributes"])
        elif request.operation == "BatchWriteItem":
            for table, writes in body["RequestItems"].items():
                for write in writes:
                    item = write.get("PutRequest", {}).get("Item")
                    self._add(table, item or write["DeleteRequest"]["Key"], item)

    def earlier(self, table: str, key: Mapping[str, Any], current: Any, chance: random.Random) -> Any:
        """Any state the item had before its current one."""
        return chance.choice([state for state in self._of[self._name(table, key)] if state != current] or [current])

    def _add(self, table: str, item: Mapping[str, Any], state: Any) -> None:
        self._of[self._name(table, item)].append(state)

    def _name(self, table: str, item: Mapping[str, Any]) -> str:
        return json.dumps([table, [item[name] for name in self.key_names]])


class Proxy:
    """``async with Proxy(engine_url, plan) as proxy:`` clients use ``proxy.url``; `faults` counts what was done.

    `slow_seconds` must be longer than the clients' timeout. A client is told apart by its user agent.
    """

    def __init__(
        self, target: str, plan: Chooser, *, slow_seconds: float = 1.0, key_names: tuple[str, ...] = ("SessionId",)
    ) -> None:
        self.target = target
        self.plan = plan
        self.slow_seconds = slow_seconds
        self.states = States(key_names)
        self.faults: Counter[Fault] = Counter()
        self.applied: list[tuple[Request, int]] = []
        """What was forwarded, and the status it was answered with, in the order of the answers."""
        self.untold: list[Request] = []
        """What was forwarded, or will be, without the client's learning of it."""
        self._late: set[asyncio.Task[Any]] = set()
        self._serving: set[asyncio.Task[Any]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._listening: socket.socket | None = None

    async def __aenter__(self) -> Proxy:
        # Bound, never listening: it keeps the port ours while connections are refused.
        self._port = _bound(0)
        self._session = aiohttp.ClientSession(auto_decompress=False, connector=aiohttp.TCPConnector(limit=0))
        self._listen()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.settle()
        self._stop_listening()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)
        await asyncio.sleep(0)  # sockets are closed in the next round of the loop
        await self._session.close()
        self._port.close()

    @property
    def url(self) -> str:
        """The endpoint for clients."""
        return f"http://{LOOPBACK}:{self._port.getsockname()[1]}"

    async def settle(self) -> None:
        """Wait until all that is to be delivered late was delivered."""
        while self._late:
            await asyncio.gather(*self._late)

    def _listen(self) -> None:
        self._listening = _bound(self._port.getsockname()[1])
        self._listening.listen(128)
        asyncio.get_running_loop().add_reader(self._listening, self._accept)

    def _stop_listening(self) -> None:
        # Not by an asyncio server: one that is closed while it accepts a connection leaks that.
        if self._listening is not None:
            asyncio.get_running_loop().remove_reader(self._listening)
            self._listening.close()
            self._listening = None

    def _accept(self) -> None:
        assert self._listening is not None
        try:
            connection, _ = self._listening.accept()
        except OSError:  # gone again
            return
        _keep(self._serving, self._serve(connection))

    async def _serve(self, connection: socket.socket) -> None:
        """Answer the requests of one connection."""
        connection.setblocking(False)
        try:
            reader, writer = await asyncio.open_connection(sock=connection)
        except BaseException:
            connection.close()
            raise
        await self._answer_all(reader, writer)

    async def _answer_all(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while True:
                message = await _received(reader)
                answer = await self._answer(message, writer)
                if reader.at_eof():
                    self.untold.append(message.request)
                if answer is None:
                    break
                writer.write(answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # the client went away, or the test has ended
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _answer(self, message: Message, writer: asyncio.StreamWriter) -> bytes | None:
        """What to send back; None: the connection ends."""
        fault, amount = self.plan.choose(message.request)
        if fault is Fault.STALE:
            return await self._stale(message, amount)
        self.faults[fault] += 1
        if fault in UNTOLD:
            self.untold.append(message.request)
        if fault in THROTTLED:
            return _error(400, THROTTLED[fault]).encoded()
        if fault in WITHHELD:
            return _error(WITHHELD[fault], "InternalServerError").encoded()
        if fault is Fault.UNPROCESSED:
            return await self._unprocessed(message, amount)
        if fault is Fault.RESET:
            return _reset(writer)
        if fault is Fault.REFUSED:
            return await self._refuse(amount)
        if fault is Fault.LATE:
            return self._deliver(message, amount * LATE_SECONDS)
        if fault is Fault.DELAYED:
            await asyncio.sleep(amount * DELAY_SECONDS)
        answer = await self._forward(message)
        return await self._damaged(fault, amount, answer, writer)

    async def _damaged(self, fault: Fault, amount: float, answer: Answer, writer: asyncio.StreamWriter) -> bytes | None:
        """The answer to a request that was forwarded."""
        if fault is Fault.SLOW:
            await asyncio.sleep(self.slow_seconds)
        if fault is Fault.FAILED_AFTER:
            answer = _error(500, "InternalServerError")
        if fault is Fault.CHECKSUM:
            answer = answer._replace(checksum=crc32(answer.body) ^ 1)
        if fault is Fault.CUT:
            kept = answer.encoded()
            writer.write(kept[: len(kept) - 1 - int(amount * (len(answer.body) - 1))])
            await writer.drain()
        return None if fault in (Fault.DROPPED, Fault.CUT) else answer.encoded()

    async def _forward(self, message: Message) -> Answer:
        """Let the engine do it; whatever happens to the client meanwhile, the states are recorded."""
        unchanged = {k: v for k, v in message.headers.items() if k not in ("host", "content-length", "connection")}
        async with self._session.post(self.target, data=message.body, headers=unchanged) as response:
            answer = Answer(response.status, await response.read())
        self.applied.append((message.request, answer.status))
        if answer.status == 200:
            self.states.record(message.request, json.loads(answer.body))
        return answer

    def _deliver(self, message: Message, after: float) -> None:
        async def forward() -> None:
            await asyncio.sleep(after)
            await self._forward(message)

        _keep(self._late, forward())

    async def _refuse(self, amount: float) -> None:
        """Stop listening for a moment and end all connections, this one too."""

        async def listen_again() -> None:
            await asyncio.sleep(amount * REFUSAL_SECONDS)
            self._listen()

        if self._listening is not None:
            self._stop_listening()
            _keep(self._late, listen_again())
        for writer in list(self._writers):
            _reset(writer)

    async def _stale(self, message: Message, amount: float) -> bytes:
        """The right answer, with some items as they were before."""
        answer = await self._forward(message)
        if answer.status != 200:
            return answer.encoded()
        body = json.loads(answer.body)
        stale = self._as_before(message.request, body, random.Random(amount))
        self.faults[Fault.STALE if stale != body else Fault.NONE] += 1
        return Answer(200, json.dumps(stale).encode()).encoded()

    def _as_before(self, request: Request, body: Mapping[str, Any], chance: random.Random) -> dict[str, Any]:
        def past(table: str, key: Mapping[str, Any], items: list[Any]) -> Any:
            current = next((item for item in items if key.items() <= item.items()), None)
            return self.states.earlier(table, key, current, chance) if chance.random() < 0.5 else current

        if request.operation == "GetItem":
            item = past(request.body["TableName"], request.body["Key"], [i for i in [body.get("Item")] if i])
            return {**({"Item": item} if item else {})}
        responses = {
            table: [item for key in part["Keys"] if (item := past(table, key, body["Responses"].get(table, [])))]
            for table, part in request.body["RequestItems"].items()
        }
        return {**body, "Responses": responses}

    async def _unprocessed(self, message: Message, amount: float) -> bytes:
        """Forward the first part of the batch, say of the rest that it was left."""
        ((table, wanted),) = message.request.body["RequestItems"].items()
        reads = message.request.operation == "BatchGetItem"
        entries = wanted["Keys"] if reads else wanted
        kept = int(amount * len(entries))
        left = {table: {**wanted, "Keys": entries[kept:]} if reads else entries[kept:]}
        body: dict[str, Any] = {"Responses": {table: []}} if reads else {}
        if kept:
            part = {table: {**wanted, "Keys": entries[:kept]} if reads else entries[:kept]}
            answer = await self._forward(_with_body(message, {**message.request.body, "RequestItems": part}))
            if answer.status != 200:
                return answer.encoded()
            body = json.loads(answer.body)
        body["UnprocessedKeys" if reads else "UnprocessedItems"] = left
        return Answer(200, json.dumps(body).encode()).encoded()


def _bound(port: int) -> socket.socket:
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    bound.setblocking(False)
    bound.bind((LOOPBACK, port))
    return bound


def _keep(tasks: set[asyncio.Task[Any]], work: Coroutine[Any, Any, None]) -> None:
    """Start a task and hold it until it is done."""
    task = asyncio.get_running_loop().create_task(work)
    tasks.add(task)
    task.add_done_callback(tasks.discard)


async def _received(reader: asyncio.StreamReader) -> Message:
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.decode().split("\r\n")[1:-2]
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    body = await reader.readexactly(int(headers["content-length"]))
    operation = headers["x-amz-target"].partition(".")[2]
    return Message(headers, body, Request(headers.get("user-agent", ""), operation, json.loads(body)))


def _with_body(message: Message, body: Mapping[str, Any]) -> Message:
    return Message(message.headers, json.dumps(body).encode(), message.request._replace(body=body))


def _error(status: int, code: str) -> Answer:
    return Answer(status, json.dumps({"__type": PREFIX + code, "message": "by the proxy"}).encode())


def _reset(writer: asyncio.StreamWriter) -> None:
    """Not an orderly end: the client's system is told that the connection is void."""
    raw = writer.get_extra_info("socket")
    if raw is not None and raw.fileno() >= 0:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
