"""Measure 2: CPU time of appends and reads, in rounds that go through all contenders, as medians and ratios.

Time is the process's CPU time, threads included. Most is measured against a canned responder in another process, so
that the engine's time hides nothing; the appends with page cuts also against DynamoDB Local.
"""

from __future__ import annotations

import gc
import itertools
import statistics
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import aioboto3
from aiobotocore.config import AioConfig

from canned import Exchange, Recording, rewind, run_canned
from contenders import (
    CONFIG,
    Community,
    CommunityAsync,
    Contender,
    ItemPerMessage,
    LlamaIndex,
    Ours,
    OursSync,
    is_installed,
)
from corpus import conversation
from layers import measure_layers
from support import Recorder, remembered, watch
from wire import Wire, run_wire

SESSION = "session-000000"
Operation = Callable[[], Awaitable[object]]
Request = dict[str, Any]

Calls = list[tuple[str, Request]]
SAMPLED = 30  # times as long as a round of one operation: samples of where its time goes

_TABLES: dict[type[Contender], str] = {
    Ours: "Ours",
    OursSync: "Ours",
    ItemPerMessage: "Items",
    Community: "Community",
    CommunityAsync: "Community",
    LlamaIndex: "Llama",
}
READERS = tuple((make, name) for make, name in _TABLES.items() if is_installed(make))


class Raw:
    """The floor: bare calls of the aioboto3 client, with our configuration or the default one."""

    def __init__(self, endpoint_url: str, config: dict[str, Any] | None = None) -> None:
        self.endpoint_url = endpoint_url
        self.config = CONFIG if config is None else config

    async def open(self) -> None:
        """Make the client."""
        self.stack = AsyncExitStack()
        client = aioboto3.Session().client("dynamodb", endpoint_url=self.endpoint_url, config=AioConfig(**self.config))
        self.client: Any = await self.stack.enter_async_context(client)

    async def close(self) -> None:
        """End it."""
        await self.stack.aclose()

    async def call(self, operation: str, request: Request) -> Any:
        """Make one call."""
        return await getattr(self.client, operation)(**request)


class Rounds:
    """CPU seconds of each operation, round by round."""

    def __init__(self, operations: dict[str, Operation]) -> None:
        self.operations = operations
        self.times: dict[str, list[float]] = {name: [] for name in operations}

    async def run(self, rounds: int, seconds: float) -> Rounds:
        """Run all operations in each round, for about so long each, beginning with another one each time."""
        repeats = {}
        for name, operation in self.operations.items():
            await operation()  # the first calls load, connect and fill caches
            taken = await _cpu(operation, 1)
            repeats[name] = max(1, int(seconds / max(taken, 1e-6)))
        names = list(self.operations)
        for number in range(rounds):
            for name in names[number % len(names) :] + names[: number % len(names)]:
                self.times[name].append(await _cpu(self.operations[name], repeats[name]))
        return self

    async def layers(self, seconds: float) -> dict[str, dict[str, float]]:
        """Microseconds in each layer, of the floor and of ours."""
        return {name: await measure_layers(self.operations[name], seconds) for name in ("raw", "ours")}

    def medians(self) -> dict[str, float]:
        """Microseconds."""
        return {name: round(statistics.median(times) * 1e6, 1) for name, times in self.times.items()}

    def ratio(self, one: str, other: str) -> float:
        """Median of the rounds' ratios: what slows a whole round down does not matter."""
        pairs = zip(self.times[one], self.times[other], strict=True)
        return round(statistics.median(a / b for a, b in pairs), 3)


async def _cpu(operation: Operation, repeats: int) -> float:
    gc.collect()  # nobody pays for the garbage of another
    start = time.process_time()
    for _ in range(repeats):
        await operation()
    return (time.process_time() - start) / repeats


Histories = tuple[tuple[str, int], ...]
# More than 600 messages of 1.2 KB turns, or 1,000 short ones, do not fit langchain_community's item.
HISTORIES: Histories = (("short", 1000), ("1.2 KB", 600))


async def measure(
    engine_url: str, *, rounds: int, seconds: float, histories: Histories = HISTORIES, turns: int = 1000
) -> dict[str, Any]:
    """All tables of CPU time; `histories` are kinds of turns and numbers of messages."""
    calls: dict[str, dict[str, Calls]] = {}
    with run_wire(engine_url) as wire:
        recordings, requests = await _record_append(wire)
        script, script_requests = await _record_script(wire, turns)
        for kind, messages in histories:
            reads, calls[kind] = await record_reads(wire, kind, messages)
            recordings |= reads
    few = min(rounds, max(3, rounds // 3))
    found: dict[str, Any] = {}
    with run_canned({**recordings, **script}) as url:
        found["append"] = await _measure_append(url, requests[-1], rounds, seconds, histories[-1][0])
        found["append with cuts"] = await _measure_script(url, script_requests, turns, few, SAMPLED * seconds)
        for kind, messages in histories:
            found[f"{messages:,} messages, {kind} turns"] = await _measure_reads(
                url, kind, calls[kind], rounds, seconds
            )
    found["append with cuts, DynamoDB Local"] = await _measure_real(engine_url, script_requests, few)
    return found


# --- What DynamoDB Local answers ---


async def _record(wire: Wire, table: str, turns: int | None) -> tuple[list[Exchange], Calls]:
    """Append so many turns (None: until the tail is half full); return what went over the wire, and the calls."""
    ours = Ours(wire.endpoint_url, table)
    ours.create_table()
    await ours.open()
    recorder: Recorder = watch(ours.repository, Recorder)
    with wire.recording() as tape:
        for number, messages in enumerate(conversation("1.2 KB", turns or 1000)):
            await ours.append(SESSION, messages)
            if turns is None and number >= 30 and len(remembered(ours.repository, SESSION).tail) == 4:
                break
        if turns is None:
            await ours.read(SESSION, 1)
    calls = [(operation, dict(request)) for operation, request in recorder.log]
    await ours.close()
    return tape, calls


async def _replay(wire: Wire, table: str, calls: Calls) -> tuple[list[Exchange], list[Request]]:
    """Send the same updates to another table, answered by what they changed; return the exchanges and the requests."""
    raw = Raw(wire.endpoint_url)
    Ours(wire.endpoint_url, table).create_table()
    await raw.open()
    changes = {"TableName": table, "ReturnValues": "UPDATED_NEW"}
    requests = [{**request, **changes} for operation, request in calls if operation == "update_item"]
    with wire.recording() as tape:
        for request in requests:
            await raw.call("update_item", request)
    await raw.close()
    return tape, requests


async def _record_append(wire: Wire) -> tuple[dict[str, Recording], list[Request]]:
    tape, calls = await _record(wire, "CpuAppend", None)
    raw_tape, requests = await _replay(wire, "CpuRawAppend", calls)
    return {"CpuAppend": Recording(tape), "CpuRawAppend": Recording(raw_tape)}, requests


async def _record_script(wire: Wire, turns: int) -> tuple[dict[str, Recording], list[Request]]:
    tape, calls = await _record(wire, "CpuScript", turns)
    raw_tape, requests = await _replay(wire, "CpuRawScript", calls)
    scripts = {"CpuScript": Recording(tape, script=True), "CpuRawScript": Recording(raw_tape, script=True)}
    return scripts, requests


def table_of(kind: str, name: str, prefix: str = "Cpu") -> str:
    """The table that a contender has for its sessions of one kind of turns."""
    return f"{prefix}{kind.replace(' ', '')}{name}"


async def record_reads(
    wire: Wire, kind: str, messages: int, prefix: str = "Cpu"
) -> tuple[dict[str, Recording], dict[str, Calls]]:
    """What all contenders' reads get, and the calls that ours makes for each."""
    recordings: dict[str, Recording] = {}
    calls: dict[str, Calls] = {}
    turns: list[Any] = []
    for turn in conversation(kind, messages):
        turns.append(turn)
        if sum(map(len, turns[:-1])) >= messages:  # the last one is appended
            break
    for make, name in READERS:
        table = table_of(kind, name, prefix)
        if table in recordings:
            continue
        contender = make(wire.endpoint_url, table)
        contender.create_table()
        await contender.open()
        await contender.load(SESSION, turns[:-1])
        contender.forget()
        with wire.recording() as tape:
            for title, limit in (("read", None), ("last 20", 20)):
                recorder: Recorder | None = watch(contender.repository, Recorder) if type(contender) is Ours else None
                await contender.read(SESSION, limit)
                if recorder:
                    calls[title] = [(operation, dict(request)) for operation, request in recorder.log]
                contender.forget()
            await contender.append(SESSION, contender.prepare(turns[-1]))
        recordings[table] = Recording(tape)
        await contender.close()
    return recordings, calls


# --- Measuring ---


async def _measure_append(url: str, request: Request, rounds: int, seconds: float, kind: str) -> dict[str, Any]:
    raw, default = Raw(url), Raw(url, {})
    ours: list[Contender] = [Ours(url, "CpuAppend"), OursSync(url, "CpuAppend")]
    others = [make(url, table_of(kind, name)) for make, name in READERS if not issubclass(make, (Ours, OursSync))]
    turns = itertools.cycle(list(conversation("1.2 KB", 64)))
    operations: dict[str, Operation] = {
        "raw": lambda: raw.call("update_item", request),
        "raw, ALL_NEW": lambda: raw.call(
            "update_item", {**request, "TableName": "CpuAppend", "ReturnValues": "ALL_NEW"}
        ),
        "raw, default config": lambda: default.call("update_item", request),
    }
    async with _opened(raw, default, *ours, *others):
        for contender in ours:
            await contender.read(SESSION, 1)
            operations[contender.name] = lambda c=contender: c.append(SESSION, next(turns))  # type: ignore[misc]
        for contender in others:
            prepared = contender.prepare(next(turns))
            operations[contender.name] = lambda c=contender, p=prepared: c.append(SESSION, p)  # type: ignore[misc]
        done = await Rounds(operations).run(rounds, seconds)
        layers = await done.layers(SAMPLED * seconds)
    return {
        "us": done.medians(),
        "layers": layers,
        "ours / raw": done.ratio("ours", "raw"),
        "ours / raw, ALL_NEW": done.ratio("ours", "raw, ALL_NEW"),
        "ours / raw, default config": done.ratio("ours", "raw, default config"),
        "sync / async": done.ratio("ours, sync", "ours"),
    }


async def _measure_script(url: str, requests: list[Request], turns: int, rounds: int, seconds: float) -> dict[str, Any]:
    raw, ours = Raw(url), Ours(url, "CpuScript")
    batches = list(conversation("1.2 KB", turns))

    async def run_raw() -> None:
        rewind(url, "CpuRawScript")
        for request in requests:
            await raw.call("update_item", request)

    async def run_ours() -> None:
        rewind(url, "CpuScript")
        ours.forget()
        for messages in batches:
            await ours.append(SESSION, messages)

    async with _opened(raw, ours):
        done = await Rounds({"raw": run_raw, "ours": run_ours}).run(rounds, 0)
        layers = await done.layers(seconds)
    return {
        "us": {name: round(us / turns, 1) for name, us in done.medians().items()},
        "layers": {name: {layer: us / turns for layer, us in found.items()} for name, found in layers.items()},
        "ours / raw": done.ratio("ours", "raw"),
    }


async def _measure_real(engine_url: str, requests: list[Request], rounds: int) -> dict[str, Any]:
    """The same on DynamoDB Local: sessions of 100 turns."""
    raw, ours = Raw(engine_url), Ours(engine_url, "CpuReal")
    ours.create_table()
    batches = list(conversation("1.2 KB", min(100, len(requests))))
    numbers = itertools.count()

    async def run_raw() -> None:
        key = {"SessionId": {"S": f"raw-{next(numbers):06}"}}
        for request in requests[: len(batches)]:
            await raw.call("update_item", {**request, "TableName": "CpuReal", "Key": key})

    async def run_ours() -> None:
        session = f"ours-{next(numbers):06}"
        for messages in batches:
            await ours.append(session, messages)

    async with _opened(raw, ours):
        done = await Rounds({"raw": run_raw, "ours": run_ours}).run(rounds, 0)
    medians = {name: round(us / len(batches), 1) for name, us in done.medians().items()}
    return {"us": medians, "ours / raw": done.ratio("ours", "raw")}


async def _measure_reads(url: str, kind: str, calls: dict[str, Calls], rounds: int, seconds: float) -> dict[str, Any]:
    raw = Raw(url)
    readers = [make(url, table_of(kind, name)) for make, name in READERS]
    found: dict[str, Any] = {}
    async with _opened(raw, *readers):
        for title, limit, warm in (("read", None, False), ("last 20", 20, False), ("warm", None, True)):
            for reader in readers if warm else ():
                await _read(reader, None, False)  # fill the caches
            operations: dict[str, Operation] = {}
            if not warm:
                operations["raw"] = lambda c=calls[title]: _all_calls(raw, c)  # type: ignore[misc]
            for reader in readers:
                if not warm or isinstance(reader, (Ours, OursSync)):
                    operations[reader.name] = lambda r=reader: _read(r, limit, warm)  # type: ignore[misc]  # noqa: B023
            done = await Rounds(operations).run(rounds, seconds)
            found[title] = {"us": done.medians()} | _ratios(done)
            if not warm:
                found[title]["layers"] = await done.layers(SAMPLED * seconds)
    return found


def _ratios(done: Rounds) -> dict[str, float]:
    found = {f"{name} / ours": done.ratio(name, "ours") for name in done.times if not name.startswith("ours")}
    return found | {"sync / async": done.ratio("ours, sync", "ours")}


async def _all_calls(raw: Raw, calls: Calls) -> None:
    for operation, request in calls:
        await raw.call(operation, request)


async def _read(contender: Contender, limit: int | None, warm: bool) -> None:
    if not warm:
        contender.forget()
    await contender.read(SESSION, limit)


class _opened:
    """Open all; close all at the end."""

    def __init__(self, *things: Contender | Raw) -> None:
        self.things = things

    async def __aenter__(self) -> None:
        for thing in self.things:
            await thing.open()

    async def __aexit__(self, *_: object) -> None:
        for thing in self.things:
            await thing.close()
