"""Clients that carry out their plans with real repositories, and what became of each of their calls."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from langchain_core.messages import BaseMessage, HumanMessage

from langchain_dynamodb import AsyncSessionRepository
from langchain_dynamodb._dynamodb.attribute_values import to_attribute
from langchain_dynamodb.blobs.stores import StoredObject
from langchain_dynamodb.codec.native import to_native
from langchain_dynamodb.encryption import LocalKeyring
from langchain_dynamodb.errors import BlobUnavailableError, StorageError

from .network import Crash, Network, Wire, current
from .oracle import HISTORY, MASTER_KEY, SESSION, TABLE, Tags
from .scenario import LENGTHS, SIZES, Op, Plan, Scenario

START_MICROSECONDS = 1_760_000_000_000_000
Outcome = tuple[str, Any]


@dataclass(eq=False)
class Call:
    """One call of a client: what it was about, what it was told, and what it did.

    `begin` and `end` are numbers of states; `effects` those that it brought about; `faults` counts what struck its
    requests.
    """

    client: str
    op: Op
    process: Process
    index: int  # among its client's
    tags: Tags = ()
    target: str = ""  # id of the message that it is to change
    expected: int | None = None
    begin: int = 0
    begun: float = 0.0
    began_at: int = 0
    end: int = -1
    ended: float = 0.0
    outcome: Outcome = ("running", None)
    effects: list[int] = field(default_factory=list)
    requests: int = 0
    faults: int = 0
    under_way: float = 0.0  # seconds that it waited for its requests

    def __str__(self) -> str:
        return f"{self.client} {self.op}"

    @property
    def name(self) -> str:
        """What no other call is called."""
        return f"{self.client}{self.index}"

    @property
    def logical(self) -> object:
        """What may take place only once: this call, or all with its idempotency key and content."""
        key = self.op.option("key")
        return self if key is None else (key, self.op.about)

    @property
    def told(self) -> str:
        """Its outcome in a few words."""
        kind, value = self.outcome
        if kind == "error":
            return f"{type(value).__name__}: {str(value)[:110]}"
        return kind if value is None else f"{kind} {value}"


class Bucket:
    """A bucket by the same network, of which a part of the pages is small enough to need none."""

    bucket, prefix, threshold = "bucket", "", 90

    def __init__(self, process: Process) -> None:
        self._process = process

    async def put(self, name: str, data: bytes, sha256: bytes) -> None:
        await self._call("put_object", {"Key": name, "Body": data})

    async def put_pieces(self, name: str, pieces: Iterable[bytes]) -> None:
        await self.put(name, b"".join(pieces), b"")

    async def get(self, name: str, size: int) -> bytes | None:
        found: bytes | None = (await self._call("get_object", {"Key": name}))["Body"]
        return found

    async def get_pieces(self, name: str, size: int) -> AsyncGenerator[bytes, None]:
        if (found := await self.get(name, size)) is not None:
            yield found

    async def list(self, prefix: str) -> AsyncIterator[StoredObject]:
        for name in (await self._call("list_objects_v2", {"Prefix": prefix}))["Keys"]:
            yield StoredObject(name, 0, 0.0)

    async def delete(self, names: Sequence[str]) -> None:
        await self._call("delete_objects", {"Keys": names})

    async def _call(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        try:
            return await self._process.wire.call(operation, request)
        except StorageError as error:
            raise BlobUnavailableError(str(error), bucket=self.bucket, object=None, retryable=True) from error


class Process:
    """A repository on a machine of its own: with its clock, and one death."""

    def __init__(self, name: str, scenario: Scenario, network: Network, now: Callable[[], float], offset: int) -> None:
        self.name = name
        self.dead = False
        self.offset = offset * 1_000_000
        self._now = now
        self._ticks = 7 * ord(name[0])  # no two clocks agree to the microsecond
        repository = AsyncSessionRepository(
            TABLE,
            sizes=SIZES[scenario.sizes],
            ttl=scenario.ttl,
            item_format="community" if scenario.community else "pages",
            encryption=LocalKeyring(MASTER_KEY) if scenario.encrypted else None,
            blobs=Bucket(self) if scenario.blobs else None,
        )
        self.repository = repository._with(replace(repository._options, clock=self.clock))
        table = self.repository._table
        self.wire = Wire(table.connection, network, self, scenario.explains)
        table.connection = self.wire

    def clock(self) -> int:
        """Microseconds since the epoch, never the same twice."""
        self._ticks += 1
        return START_MICROSECONDS + int(self._now() * 1_000_000) + self.offset + self._ticks


@lru_cache(20_000)
def message(tag: str, letter: str) -> BaseMessage:
    """A message that is known by its tag, of a size that a letter names; it hardly deflates. Edited it keeps its id."""
    return HumanMessage(
        f"{tag} {random.Random(tag).randbytes(LENGTHS[letter] // 2).hex()}", id=tag.partition("@")[2] or tag
    )


@lru_cache(20_000)
def native(tag: str, letter: str) -> dict[str, Any]:
    """The same as langchain_community stores it."""
    return to_attribute(to_native(message(tag, letter)), "message")


def fork_of(name: str) -> str:
    """What the fork is called that the call of this name makes."""
    return f"fork of {name}"


class Client:
    """Carries out a plan; `begin` and `end` of every call are told to whoever checks."""

    def __init__(self, plan: Plan, process: Process, version: int, begin: Any, end: Any) -> None:
        self.name = plan.name
        self.process = process
        self.version = version  # last seen
        self._plan = plan
        self._begin = begin
        self._end = end

    async def run(self) -> None:
        """All calls, one after the other; a cancelled one is followed by the next, a dead process by none."""
        for index, op in enumerate(self._plan.ops):
            call = Call(self.name, op, self.process, index, self._tags(index, op))
            if op.option("at") == "seen":
                call.expected = self.version
            current.set(call)
            self._begin(call)
            try:
                call.outcome = "ok", await getattr(self, f"_{op.kind}")(call)
            except asyncio.CancelledError:
                call.outcome = "cancelled", None
            except Crash:
                call.outcome = "dead", None
                return
            except Exception as error:
                call.outcome = "error", error
                self.version = getattr(error, "actual", self.version)
            self._end(call)

    def _tags(self, index: int, op: Op) -> Tags:
        name = op.option("key") or f"{self.name}{index}"
        return tuple(f"{name}.{i}{letter}" for i, letter in enumerate(op.about) if letter in LENGTHS)

    def _messages(self, call: Call) -> list[BaseMessage]:
        return [message(tag, tag.partition("@")[0][-1]) for tag in call.tags]

    def _saw(self, version: int) -> int:
        self.version = version
        return version

    async def _append(self, call: Call) -> int:
        op = call.op
        return self._saw(
            await self.process.repository.append(
                SESSION,
                self._messages(call),
                expected_version=call.expected,
                idempotency_key=op.option("key"),
                history_size=op.number("hs"),
                must_exist=op.option("exist") is not None,
            )
        )

    async def _read(self, call: Call) -> tuple[int, Tags, int, str]:
        limit = int(call.op.about) if call.op.about else None
        chat = await self.process.repository.read(SESSION, limit=limit)
        self._saw(chat.version)
        return chat.version, _tags_of(chat.messages), chat.message_count, repr(chat.metadata)

    async def _pause(self, call: Call) -> None:
        """A good part of the ttl passes before the next call."""
        await asyncio.sleep(0.7 * (self.process.repository.ttl or 60))

    async def _iter(self, call: Call) -> Tags:
        return _tags_of([message async for message in self.process.repository.iter_messages(SESSION)])

    async def _replace(self, call: Call) -> int:
        """With `keep` the new history begins with so many messages of the present one."""
        if keep := call.op.number("keep"):
            chat = await self.process.repository.read(SESSION)
            call.tags = _tags_of(chat.messages)[:keep] + call.tags
        messages = self._messages(call)
        return self._saw(await self.process.repository.replace(SESSION, messages, expected_version=call.expected))

    async def _edit(self, call: Call) -> int | None:
        """Another message in the place of the one so far from the end, by its id; None where there are none."""
        if not await self._find(call):
            return None
        call.tags = (f"{call.tags[0]}@{call.target}",)
        (edited,) = self._messages(call)
        update = self.process.repository.update_message
        return self._saw(await update(SESSION, edited, expected_version=call.expected))

    async def _remove(self, call: Call) -> int | None:
        """One message less."""
        if not await self._find(call):
            return None
        remove = self.process.repository.remove_message
        return self._saw(await remove(SESSION, call.target, expected_version=call.expected))

    async def _find(self, call: Call) -> str:
        if messages := (await self.process.repository.read(SESSION)).messages:
            call.target = messages[-min(len(messages), call.op.number("from") or 1)].id or ""
        return call.target

    async def _truncate(self, call: Call) -> int:
        keep = int(call.op.about)
        return self._saw(await self.process.repository.truncate(SESSION, keep=keep, expected_version=call.expected))

    async def _meta(self, call: Call) -> int:
        repository, changes = self.process.repository, {"by": call.name}
        return self._saw(await repository.update_metadata(SESSION, changes, expected_version=call.expected))

    async def _expire(self, call: Call) -> int:
        seconds = int(call.op.about) if call.op.about else None
        return self._saw(await self.process.repository.set_expiry(SESSION, seconds, expected_version=call.expected))

    async def _repair(self, call: Call) -> int:
        return self._saw((await self.process.repository.repair(SESSION)).version)

    async def _reencrypt(self, call: Call) -> int:
        return self._saw(await self.process.repository.reencrypt(SESSION))

    async def _copy(self, call: Call) -> Tags:
        """A fork, which is read and deleted again."""
        repository, keep = self.process.repository, int(call.op.about) if call.op.about else None
        await repository.copy(SESSION, fork_of(call.name), keep=keep)
        tags = _tags_of((await repository.read(fork_of(call.name))).messages)
        await repository.delete(fork_of(call.name))
        return tags

    async def _fork(self, call: Call) -> Tags:
        """What is left of the fork of another call, which is deleted."""
        chat = await self.process.repository.read(fork_of(call.op.about))
        await self.process.repository.delete(fork_of(call.op.about))
        return _tags_of(chat.messages)

    async def _delete(self, call: Call) -> None:
        search = call.op.option("search") is not None
        await self.process.repository.delete(SESSION, expected_version=call.expected, search_pages=search)
        self.version = 0

    async def _legacy(self, call: Call) -> str | None:
        """What langchain_community does: read the whole list, write it back with one message more.

        Returns the list's text where it read an item of ours as one of its own.
        """
        key = {"SessionId": {"S": SESSION}}
        wire, table = self.process.wire, {"TableName": "Sessions"}
        found = await wire.call("get_item", {**table, "Key": key})
        entries = found.get("Item", {}).get(HISTORY, {"L": []})["L"]
        if not all("M" in entry for entry in entries):
            raise ValueError("langchain_community cannot read this")
        (tag,) = call.tags
        item = {**key, HISTORY: {"L": [*entries, native(tag, tag[-1])]}}
        await wire.call("put_item", {**table, "Item": item}, write=True)
        return str(entries) if "lc_version" in found.get("Item", {}) else None


def _tags_of(messages: list[BaseMessage]) -> Tags:
    return tuple(str(message.content).partition(" ")[0] for message in messages)
