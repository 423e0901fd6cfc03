"""Hand-written stand-ins at the one seam of the core: the `Connection` that a table calls."""

from __future__ import annotations

import asyncio
import math
import os
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from langchain_dynamodb import AsyncSessionRepository, Sizes
from langchain_dynamodb._dynamodb.attribute_values import attribute_bytes
from langchain_dynamodb._dynamodb.connection import Connection
from langchain_dynamodb._dynamodb.failures import ConditionFailed
from langchain_dynamodb._items.page_items import Reference
from langchain_dynamodb._items.session_items import SessionItem, tail_room
from langchain_dynamodb._store.unreferenced_objects import UnreferencedObjects
from langchain_dynamodb.errors import StorageError
from memory_blobs import watch_blobs

Call = Callable[[], Awaitable[dict[str, Any]]]
THOROUGH = "THOROUGH" in os.environ  # `nox -s thorough`: all cases of what some stand for else


class WatchedConnection(Connection):
    """Passes calls on; subclasses look at them or make them fail."""

    def __init__(self, inner: Connection) -> None:
        super().__init__(inner.settings)
        self.inner = inner

    async def call(self, operation: str, request: Mapping[str, Any], **options: bool) -> dict[str, Any]:
        async def proceed() -> dict[str, Any]:
            return await self.inner.call(operation, request, **options)

        return await self.around(operation, request, proceed)

    async def around(self, operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        """What happens to one call."""
        return await proceed()

    async def aclose(self) -> None:
        await self.inner.aclose()


class Meter(WatchedConnection):
    """Counts requests and the capacity units that DynamoDB bills, failed conditions included."""

    def __init__(self, inner: Connection) -> None:
        super().__init__(inner)
        self.requests: Counter[str] = Counter()
        self.read_units = 0.0
        self.write_units = 0.0

    def reset(self) -> None:
        """Start counting anew."""
        self.requests.clear()
        self.read_units = self.write_units = 0.0

    async def call(self, operation: str, request: Mapping[str, Any], **options: bool) -> dict[str, Any]:
        self.requests[operation] += 1
        metered = {**request, "ReturnConsumedCapacity": "TOTAL"}
        try:
            response = await self.inner.call(operation, metered, **options)
        except ConditionFailed as failure:
            # Billed by the size of the item that was there; the error carries no figure.
            size = sum(len(k.encode()) + attribute_bytes(v) for k, v in (failure.item or {}).items())
            self.write_units += max(1, math.ceil(size / 1024))
            raise
        consumed = response.get("ConsumedCapacity", [])
        units = sum(c["CapacityUnits"] for c in (consumed if isinstance(consumed, list) else [consumed]))
        if operation in ("get_item", "batch_get_item"):
            self.read_units += units
        else:
            self.write_units += units
        return response


def is_of_pages(operation: str, request: Mapping[str, Any]) -> bool:
    """Whether it gets pages: one by itself, or a batch."""
    return operation == "batch_get_item" or (operation == "get_item" and "~lc~" in str(request["Key"]))


def watch(repository: AsyncSessionRepository, kind: type[WatchedConnection], *arguments: Any) -> Any:
    """Put a watcher between a repository and DynamoDB; returns it."""
    watcher = kind(repository._table.connection, *arguments)
    repository._table.connection = watcher
    watch_blobs(repository, watcher)
    return watcher


async def scan(repository: AsyncSessionRepository) -> list[dict[str, Any]]:
    """All items of the repository's table, as stored."""
    items: list[dict[str, Any]] = []
    request: dict[str, Any] = {"TableName": repository.table_name, "ConsistentRead": True}
    while True:
        response = await repository._connection.call("scan", request, write=False)
        items += response["Items"]
        if "LastEvaluatedKey" not in response:
            return items
        request["ExclusiveStartKey"] = response["LastEvaluatedKey"]


async def referred(repository: AsyncSessionRepository) -> set[str]:
    """The tokens of the objects that pages of its table refer to."""
    found = [Reference.parse(item.get("lc_data", {}).get("S")) for item in await scan(repository)]
    return {reference.token for reference in found if reference}


def tokens(objects: Iterable[str]) -> set[str]:
    """Those in the names of objects."""
    return {name.rpartition("-")[2] for name in objects}


async def found_by(look: UnreferencedObjects, **options: Any) -> set[str]:
    """The names of the objects that it finds."""
    return {str(name) async for _, names in look.find(**options) for name in names}


class Crash(BaseException):
    """The process died here. A BaseException, so that no clean-up of the code under test can run into it by chance."""


class Stopping(WatchedConnection):
    """Holds the n-th call back before it is sent, or its response: what happens then is the test's.

    `stopped` is set once no other call is under way. Calls that come later are not sent; after `proceed` all are.
    """

    def __init__(self, inner: Connection, at: int, after: bool) -> None:
        super().__init__(inner)
        self.at = at
        self.after = after
        self.calls = self.under_way = 0
        self.reached = self.over = False
        self.stopped, self.resumed = asyncio.Event(), asyncio.Event()

    async def around(self, operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        self.calls += 1
        mine = self.calls
        if not self.over and (mine > self.at or (mine == self.at and not self.after)):
            await self._reached()
        self.under_way += 1
        try:
            response = await proceed()
        finally:
            self.under_way -= 1
            self._look()
        if mine == self.at and not self.over:
            await self._reached()
        return response

    def proceed(self) -> None:
        """Let calls that come from now on pass."""
        self.over = True

    def resume(self) -> None:
        """Let all pass, those that were held back too."""
        self.over = True
        self.resumed.set()

    async def _reached(self) -> None:
        self.reached = True
        self._look()
        await self.stopped.wait()
        await self.stop()

    def _look(self) -> None:
        if self.reached and self.under_way == 0:
            self.stopped.set()

    async def stop(self) -> None:
        """What a call does that was held back."""
        await self.resumed.wait()


class Crashing(Stopping):
    """Dies before or after the n-th call; every later call dies too."""

    async def stop(self) -> None:
        raise Crash


class Hooked(WatchedConnection):
    """Awaits `hook(operation, request, proceed)`, which returns the response in its place."""

    def __init__(
        self, inner: Connection, hook: Callable[[str, Mapping[str, Any], Call], Awaitable[dict[str, Any]]]
    ) -> None:
        super().__init__(inner)
        self.hook = hook

    async def around(self, operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        return await self.hook(operation, request, proceed)


@dataclass
class At:
    """What happens at the `nth` request of an operation: `first`, then it is sent, `then`, and `error` for an answer.

    `of` tells which requests of the operation count.
    """

    operation: str
    nth: int = 1
    first: Callable[[], Awaitable[object]] | None = None
    then: Callable[[], Awaitable[object]] | None = None
    error: Exception | None = None
    sent: bool = True
    of: Callable[[Mapping[str, Any]], bool] = lambda request: True


class Scripted(WatchedConnection):
    """Plays a script, and counts the requests of each operation."""

    def __init__(self, inner: Connection, *script: At) -> None:
        super().__init__(inner)
        self.script = script
        self.met = [0] * len(script)
        self.requests: Counter[str] = Counter()

    @property
    def is_over(self) -> bool:
        """Whether all of the script was played."""
        return all(met >= at.nth for met, at in zip(self.met, self.script, strict=True))

    async def around(self, operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        self.requests[operation] += 1
        due = None
        for i, at in enumerate(self.script):
            if at.operation == operation and at.of(request):
                self.met[i] += 1
                due = at if self.met[i] == at.nth else due
        return await self._play(due, proceed) if due else await proceed()

    async def _play(self, at: At, proceed: Call) -> dict[str, Any]:
        if at.first:
            await at.first()
        response = await proceed() if at.sent else {}
        if at.then:
            await at.then()
        if at.error:
            raise at.error
        return response


def no_answer() -> StorageError:
    """What a caller gets whose request may or may not have been applied."""
    return StorageError("no answer", outcome_unknown=True)


class Recorder(WatchedConnection):
    """Remembers every call."""

    def __init__(self, inner: Connection) -> None:
        super().__init__(inner)
        self.log: list[tuple[str, Mapping[str, Any]]] = []

    async def around(self, operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        self.log.append((operation, request))
        return await proceed()


class Chain(NamedTuple):
    """The numbers of a stored page."""

    number: int
    cut: int
    previous: int
    first: int
    messages: int
    parts: int
    edited: int = 0
    removed: int = 0

    @classmethod
    def of(cls, page: Mapping[str, Any]) -> Chain:
        """Those of an item."""
        return cls(*map(int, page["lc_chain"]["S"].split(" ")))

    def put_into(self, page: Mapping[str, Any]) -> dict[str, Any]:
        """The item with these instead."""
        numbers = self if self.edited else self[:6]
        return {**page, "lc_cut": {"N": str(self.cut)}, "lc_chain": {"S": " ".join(map(str, numbers))}}


def noise(size: int) -> str:
    """A fresh text of about `size` characters that hardly compresses."""
    return os.urandom(size // 2 + 1).hex()[:size]


def human(size: int = 100) -> HumanMessage:
    """A fresh message with a text of that size."""
    return HumanMessage(noise(size))


def named(id: str, size: int = 60) -> HumanMessage:
    """A fresh message of that id."""
    return human(size).model_copy(update={"id": id})


def many(count: int, size: int = 100) -> list[BaseMessage]:
    """Fresh messages of that size: the same one over and over would deflate to nothing."""
    return [human(size) for _ in range(count)]


SMALL = Sizes(session_item=700, page=500, item=900)
"""Sizes so small that pages are cut all the time."""


def with_options(repository: AsyncSessionRepository, **changes: Any) -> AsyncSessionRepository:
    """The repository with other options, those among them that no user has: `clock`, `timing`, ..."""
    return repository._with(replace(repository._options, **changes))


class Clock:
    """A clock the tests set, in place of the machine's."""

    def __init__(self) -> None:
        self.now = 1_800_000_000_000_000

    def __call__(self) -> int:
        self.now += 1000
        return self.now

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now += int(seconds * 1_000_000)


def remembered(repository: AsyncSessionRepository, session: str = "s") -> SessionItem:
    """The session item as the repository last saw it."""
    item = repository._reader.known.get(repository._key(session))
    assert item is not None
    return item


async def fill_tail(repository: AsyncSessionRepository, session: str = "s") -> list[BaseMessage]:
    """Append until no message of 100 characters fits the tail any more; returns what was appended."""
    sent: list[BaseMessage] = []
    room = tail_room(repository._options.layout, repository._key(session))
    used = 0
    while used + 60 <= room:
        sent.append(human(30))
        await repository.append(session, sent[-1:])
        item = remembered(repository, session)
        used = item.tail_bytes + (0 if item.cipher is None else len("lc_key") + len(item.cipher.stored) + 28)
    return sent


def calling(*ids: str) -> AIMessage:
    """An answer that calls tools."""
    return AIMessage("", id="-".join(ids), tool_calls=[{"name": "pay", "args": {}, "id": id} for id in ids])


def result(id: str, text: str = "paid") -> ToolMessage:
    """What came of a call."""
    return ToolMessage(text, tool_call_id=id)


def refusal(messages: Sequence[BaseMessage]) -> str | None:
    """Why a strict provider would refuse the messages.

    The user begins, every call is answered directly behind it, and every result belongs to a call.
    """
    said = [message for message in messages if message.type != "system"]
    if not said or said[0].type != "human":
        return f"begins with {said[0].type if said else 'nothing'}"
    unanswered: set[str | None] = set()
    for message in said:
        if isinstance(message, ToolMessage):
            if message.tool_call_id not in unanswered:
                return f"result of {message.tool_call_id} without a call"
            unanswered.discard(message.tool_call_id)
            continue
        if unanswered:
            break
        if isinstance(message, AIMessage):
            unanswered = {made["id"] for made in (*message.tool_calls, *message.invalid_tool_calls) if made["id"]}
    return f"calls {unanswered} without a result" if unanswered else None
