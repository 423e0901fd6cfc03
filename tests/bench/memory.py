"""Measures 4 and 5: memory peaks, sizes of idle objects, import and first-call times; each in a fresh process.

``python memory.py WHAT ENDPOINT TABLE`` is such a process; it prints one JSON object.
"""

from __future__ import annotations

import asyncio
import compileall
import gc
import json
import statistics
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path
from typing import Any

SESSION = "session-000000"
OBJECTS = 500


def measure(engine_url: str, tables: dict[str, str], rounds: int) -> dict[str, Any]:
    """All of it; `tables` names, for each contender, the table with a long session."""
    import langchain_dynamodb  # not in the processes that measure its import

    found: dict[str, Any] = {
        f"{contender}, {what}": _run(f"{what} {contender}", engine_url, table)
        for contender, table in tables.items()
        for what in (("read", "iterate") if contender == "ours" else ("read",))
    }
    found["objects"] = _run("objects", engine_url, tables["ours"])
    # As in an installed package: a checkout may have no compiled files.
    compileall.compile_dir(Path(langchain_dynamodb.__file__).parent, quiet=1)
    times = [_run("times", engine_url, tables["ours"]) for _ in range(rounds)]
    found["times"] = {name: round(statistics.median(t[name] for t in times), 1) for name in times[0]}
    return found


def _run(what: str, *arguments: str) -> Any:
    command = [sys.executable, "-W", "ignore", str(Path(__file__)), what, *arguments]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _peak(contender: str, iterate: bool, endpoint_url: str, table: str) -> dict[str, float]:
    """Peak of Python's own memory while all messages are read, and what is kept at the end."""
    from contenders import CONTENDERS, Ours

    (make,) = [make for make in CONTENDERS if make.name == contender]

    async def main() -> dict[str, float]:
        reader = make(endpoint_url, table)
        await reader.open()
        await reader.read(SESSION, 1)  # connect
        gc.collect()
        tracemalloc.start()
        if iterate:
            assert isinstance(reader, Ours)
            count, messages = 0, None
            async for _ in reader.repository.iter_messages(SESSION):
                count += 1
        else:
            messages = await reader.read(SESSION)
            count = len(messages)
        kept, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        await reader.close()
        return {"messages": count, "peak MB": _mb(peak), "kept MB": _mb(kept)}

    return asyncio.run(main())


def _mb(size: float) -> float:
    return round(size / 1e6, 1)


def _objects(endpoint_url: str, table: str) -> dict[str, Any]:
    """Bytes and microseconds of a history object and of a repository that was never used, and clients made for them."""
    from langchain_dynamodb import AsyncSessionRepository, DynamoDBChatMessageHistory
    from langchain_dynamodb._dynamodb.connection import _clients

    shared = AsyncSessionRepository(table, endpoint_url=endpoint_url)
    makers = {
        "DynamoDBChatMessageHistory": lambda i: DynamoDBChatMessageHistory(table, f"s{i}", endpoint_url),
        "repository.history()": lambda i: shared.history(f"s{i}"),
        "AsyncSessionRepository": lambda i: AsyncSessionRepository(table, endpoint_url=endpoint_url),
    }
    found: dict[str, Any] = {}
    for name, make in makers.items():
        make(0)
        tracemalloc.start()
        held = [make(i) for i in range(OBJECTS)]
        size, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        del held
        gc.collect()
        rounds = []
        for _ in range(9):
            start = time.process_time()
            for i in range(OBJECTS):
                make(i)
            rounds.append((time.process_time() - start) / OBJECTS * 1e6)
        found[name] = {"bytes": round(size / OBJECTS), "us": round(statistics.median(rounds), 1)}
    return {**found, "clients made": len(_clients)}


def _times(endpoint_url: str, table: str) -> dict[str, float]:
    """CPU milliseconds: the package's dependencies, the package, its adapter, the first call, the second."""
    marks = {}

    def mark(name: str, start: float) -> None:
        marks[name] = (time.process_time() - start) * 1000

    start = time.process_time()
    import aioboto3  # noqa: F401
    import aiobotocore.credentials  # noqa: F401
    import aiohttp  # noqa: F401
    import langchain_core.messages as lc
    import orjson  # noqa: F401
    import pydantic

    for name in lc.__all__:  # which it imports when they are asked for
        getattr(lc, name)
    pydantic.create_model("Any", field=(int, 0))

    mark("dependencies", start)
    start = time.process_time()
    from langchain_dynamodb import AsyncSessionRepository

    mark("import langchain_dynamodb", start)
    import langchain_core.chat_history
    import langchain_core.runnables.config  # noqa: F401

    start = time.process_time()
    from langchain_dynamodb import DynamoDBChatMessageHistory  # noqa: F401

    mark("import of the adapter", start)

    async def calls() -> None:
        async with AsyncSessionRepository(table, endpoint_url=endpoint_url) as sessions:
            for name in ("first call", "second call"):
                start = time.process_time()
                await sessions.read("nobody")
                mark(name, start)

    asyncio.run(calls())
    return marks


def _child(what: str, endpoint_url: str, table: str) -> dict[str, Any]:
    if what == "objects":
        return _objects(endpoint_url, table)
    if what == "times":
        return _times(endpoint_url, table)
    verb, contender = what.split(" ", 1)
    return _peak(contender, verb == "iterate", endpoint_url, table)


if __name__ == "__main__":
    sys.path.append(str(Path(__file__).parents[1] / "helpers"))
    print(json.dumps(_child(*sys.argv[1:])))
