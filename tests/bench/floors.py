"""What no library on this SDK can do without: the requests of an operation, sent once more by the SDK alone.

A worker of the part `against`. The requests are those that this package makes, with another session's name where they
write, so that their conditions hold again. What is written as JSON in deflated blocks is so once more, and reads
inflate what comes, read its JSON and make as many messages. Bodies are made and read by `wire`. Nothing is checked,
compared or proved: that is what `Checked` adds.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import orjson
from langchain_core.messages import BaseMessage

from against import OPERATIONS, READS, Operations
from langchain_dynamodb import AsyncSessionRepository
from langchain_dynamodb._dynamodb import wire
from langchain_dynamodb._dynamodb.attribute_values import NO_CHANGES, Item
from langchain_dynamodb._dynamodb.client_settings import ConnectionSettings, aio_session, merged_config
from langchain_dynamodb._items.configured_names import Names
from langchain_dynamodb._items.keys import session_key
from langchain_dynamodb._items.page_items import Page
from langchain_dynamodb._items.parsing import parse_chained, parse_item
from langchain_dynamodb._items.session_items import SessionItem
from langchain_dynamodb._protocol.append import Circumstances, Cut, decide, ids_of
from langchain_dynamodb._protocol.append import pack as pack_append
from langchain_dynamodb._protocol.chain import first_break
from langchain_dynamodb._protocol.expiry import NO_EXPIRY
from langchain_dynamodb._protocol.pages import Destination
from langchain_dynamodb._store.cache import LRU
from langchain_dynamodb._store.chunks import SLICE
from langchain_dynamodb.codec.classes import MESSAGES
from langchain_dynamodb.codec.messages import UndecodableError, decode_lines, encode, pack, unpack
from support import Recorder, watch
from workers import serve

Request = tuple[str, Mapping[str, Any]]
RUNS = 100  # of an operation that writes, made ready before: only sending is measured
LAST = 20
MAX_BYTES = 1 << 26  # of a block
NAMES = Names("History", "expireAt")


class Turn(NamedTuple):
    """What one append wrote: its messages, on which state, the lines of each block, what they say, and the requests."""

    messages: Sequence[BaseMessage]
    seen: SessionItem | None
    blocks: list[list[bytes]]
    objects: list[list[Any]]
    requests: Sequence[Request]


class Floors(Operations):
    """Each operation by the bare `client`, as many times as `Operations` does it at once."""

    _client: Any = None
    _body: bytes | None = None

    @property
    def client(self) -> Any:
        """The SDK's, whose bodies are made and read by `wire`: that is faster than its own way."""
        return self._client

    @client.setter
    def client(self, client: Any) -> None:
        def made(params: dict[str, Any], **_: object) -> None:
            params["body"] = self._body

        def came(response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: object) -> None:
            customized_response_dict.update(wire.decode(response_dict["body"]) or {})
            response_dict["body"] = b"{}"

        client.meta.events.register("before-call.dynamodb", made)
        client.meta.events.register("before-parse.dynamodb", came)
        self._client = client

    async def record(self) -> None:
        """Note the requests of the package."""
        self.turns: dict[str, list[Turn]] = {}
        self.ready: dict[str, Iterator[Sequence[Sequence[Request]]]] = {}
        for name, turns in {"append": self.short, "append with cuts": self.long}.items():
            recorder, to = self._recorded()
            noted = self.turns[name] = []
            for messages in turns:
                seen = to._reader.known.get(session_key(name, "SessionId"))
                await to.append(name, messages)
                log, recorder.log = recorder.log, []
                blocks = [unpack(block, MAX_BYTES) for block in _blocks_written(log)]
                noted.append(Turn(messages, seen, blocks, [list(map(orjson.loads, block)) for block in blocks], log))
            sent = [turn.requests for turn in noted]
            self.ready[name] = iter([_renamed(sent, name, uuid.uuid4().hex) for _ in range(RUNS)])
        self.reads = {name: await self._requests(lambda of, k=kind: of.read(k)) for name, (kind, _) in READS.items()}
        self.reads["warm"] = self.reads["warm"][:1]
        self.reads["last"] = await self._requests(lambda of: of.read("short", limit=LAST))
        self.lines = (await self._lines(self.reads["cold, short"]))[: READS["warm"][1]]

    def _recorded(self) -> tuple[Recorder, AsyncSessionRepository]:
        repository = self.make()
        return watch(repository, Recorder), repository

    async def _requests(self, run: Callable[[AsyncSessionRepository], Awaitable[Any]]) -> list[Request]:
        recorder, repository = self._recorded()
        await run(repository)
        return recorder.log

    async def write(self, name: str) -> int:
        """The requests of appends, and their blocks, each before it is sent."""
        for turn, requests in zip(self.turns[name], next(self.ready[name]), strict=True):
            self.pack(turn)
            await self._send(requests)
        return len(self.turns[name])

    async def read(self, name: str, messages: int, times: int = 1) -> int:
        """The requests of so many reads, and messages."""
        for _ in range(times):
            await self.make_messages((await self._lines(self.reads[name]))[-messages:])
        return times

    async def read_again(self) -> int:
        """Where pages are remembered."""
        for _ in range(4):
            await self._send(self.reads["warm"])
            _unchecked(self.lines)
        return 4

    def pack(self, turn: Turn) -> None:
        """What is written."""
        for block in turn.objects:
            pack(list(map(orjson.dumps, block)))

    def look_at(self, answer: Mapping[str, Any]) -> None:
        """Not at all."""

    async def make_messages(self, lines: Sequence[bytes]) -> None:
        """Of what was read."""
        _unchecked(lines)

    async def _send(self, requests: Sequence[Request]) -> list[Any]:
        answers = []
        for operation, request in requests:
            answers.append(await self.call(operation, request))
            self.look_at(answers[-1])
        return answers

    async def call(self, operation: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Make one request."""
        self._body = wire.encode(request)
        answer: Mapping[str, Any] = await getattr(self.client, operation)(**wire.only_tables(request))
        return answer

    async def _lines(self, requests: Sequence[Request]) -> list[bytes]:
        lines = []
        for answer in await self._send(requests):
            lines += [line for block in _blocks(answer) for line in unpack(block, MAX_BYTES)]
        return lines


class Checked(Floors):
    """And what makes a session exact and proved, and errors true, by the package's own functions, one after the other.

    What is written is read back and compared, and its condition made by the rules; what comes is checked field by
    field, and the types of each message's fields; pages are proved by each other, and remembered. Each attempt of a
    request is watched: whether it was sent, may have been applied, came back damaged. Many messages are made in slices,
    between which other tasks of the event loop run.
    """

    seen: SessionItem | None = None
    memory: LRU[Page] = LRU(16 << 20)

    async def call(self, operation: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """As the package does."""
        return await self.ours._connection.call(operation, request, write=True)

    def pack(self, turn: Turn) -> None:
        """What is written, and what would come back, and on which condition."""
        lines, key, seen = encode(turn.messages, MAX_BYTES, much=False), session_key("session", "SessionId"), turn.seen
        to = Destination(key, self.ours._codec, self.ours._options.layout)
        request = pack_append(to, lines, ids_of(None, lines), None, NO_CHANGES, False)
        tail_lines = partial(self.ours._reader.decoder.tail_lines, key, seen) if seen else list
        decision = decide(request, seen, Circumstances(NAMES, time.time_ns() // 1000, NO_EXPIRY, None), tail_lines)
        if seen and isinstance(decision, Cut):
            decision.commit(seen)

    def look_at(self, answer: Mapping[str, Any]) -> None:
        """At the session item and pages in it."""
        found: dict[int, Page] = {}
        for item in _items(answer):
            if "lc_chain" in item:
                page = parse_chained(item)
                assert page is not None
                found[page.number] = page
                self.memory.put(page.number, page, len(page.data))
            elif "lc_version" in item:
                parsed = parse_item(item, NAMES, "the benchmark", ("SessionId",))
                self.seen = parsed if isinstance(parsed, SessionItem) else None
        if found and self.seen:
            first_break(found, self.seen, range(min(found), max(found) + 1), None)

    async def make_messages(self, lines: Sequence[bytes]) -> None:
        """As the package does."""
        for start in range(0, len(lines), SLICE):
            if start:
                await asyncio.sleep(0)
            decode_lines(lines[start : start + SLICE])


def _renamed(value: Any, old: str, new: str) -> Any:
    """The same of another session, whose name texts begin with."""
    if isinstance(value, Mapping):
        return {key: _renamed(inner, old, new) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_renamed(inner, old, new) for inner in value]
    return new + value.removeprefix(old) if isinstance(value, str) and value.startswith(old) else value


def _items(answer: Mapping[str, Any]) -> list[Item]:
    if "Responses" in answer:
        return [item for found in answer["Responses"].values() for item in found]
    return [answer[name] for name in ("Item", "Attributes") if name in answer]


def _blocks(answer: Mapping[str, Any]) -> Iterator[bytes]:
    """The data of pages and tails."""
    for item in _items(answer):
        if "lc_data" in item:
            yield item["lc_data"]["B"]
        yield from (entry["B"] for entry in item.get("History", {}).get("L", ()))


def _blocks_written(value: Any) -> Iterator[bytes]:
    """Wherever in requests."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for inner in value:
            yield from _blocks_written(inner)
    elif isinstance(value, bytes):
        with contextlib.suppress(UndecodableError):
            unpack(value, MAX_BYTES)
            yield value


def _unchecked(lines: Sequence[bytes]) -> list[Any]:
    """Unchecked, each class's at once; they need not be in order."""
    by_class: dict[str, list[dict[str, Any]]] = {}
    for fields in orjson.loads(b"[" + b",".join(lines) + b"]"):
        by_class.setdefault(fields.pop("type"), []).append(fields)
    return [MESSAGES.by_tag[tag].build(stored) for tag, stored in by_class.items()]


async def main(url: str, kind: type[Floors]) -> None:
    """In the worker: carry out what is asked for."""
    floors = kind(url)
    await floors.prepare()
    settings = ConnectionSettings(url)
    session, region = await aio_session(settings)
    ways: dict[str, Callable[[], Awaitable[int]]] = dict(zip(OPERATIONS, (
        lambda: floors.write("append"),
        lambda: floors.write("append with cuts"),
        lambda: floors.read("cold, short", 1000),
        lambda: floors.read("cold, 1.2 KB", 600),
        floors.read_again,
        lambda: floors.read("last", LAST, 8),
    ), strict=True))  # fmt: skip
    async with session.client(
        settings.service, region_name=region, endpoint_url=url, config=merged_config(None)
    ) as floors.client:
        await floors.record()
        await serve(lambda name: ways[name]())


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], {"floor": Floors, "checked": Checked}[sys.argv[2]]))
