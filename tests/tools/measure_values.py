"""Print how much longer turns with documents take than turns with the same data as dicts, appended and read in turns.

``python tests/tools/measure_values.py``; with ``--engine dynamodb-local`` on AWS's own engine.
"""

from __future__ import annotations

import asyncio
import os
import random
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "helpers"))

from langchain_core.documents import Document
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

import corpus
from langchain_dynamodb import AsyncSessionRepository
from langchain_dynamodb.codec.messages import decode_lines, encode_messages, pack, unpack
from langchain_dynamodb.local import run_engine

TURNS = 400


def turn(number: int, *, plain: bool) -> list[BaseMessage]:
    """A question whose answer takes a look at three documents of 700 characters."""
    documents = [
        Document(corpus.text(random.Random(number + i), 700), metadata={"source": "a.pdf", "page": i}, id=str(i))
        for i in range(3)
    ]
    call = {"name": "search", "args": {"query": "x"}, "id": "c"}
    artifact = [document.model_dump() for document in documents] if plain else documents
    result = ToolMessage("found", tool_call_id="c", artifact=artifact)
    return [HumanMessage("question"), AIMessage("", tool_calls=[call]), result, AIMessage("answer " * 20)]


async def took(call: Callable[[], Awaitable[object]]) -> float:
    """Seconds of one call."""
    started = time.perf_counter()
    await call()
    return time.perf_counter() - started


async def requests(endpoint_url: str) -> None:
    """Appends and reads by a repository."""
    times: dict[tuple[str, bool], list[float]] = {(what, plain): [] for what in ("append", "read") for plain in (1, 0)}
    async with AsyncSessionRepository("SessionTable", endpoint_url=endpoint_url) as sessions:
        await sessions.create_table()
        for number in range(TURNS):
            for plain in (True, False) if number % 2 else (False, True):
                session, messages = f"{plain}{number // 10}", turn(number, plain=plain)
                times["append", plain].append(await took(lambda s=session, m=messages: sessions.append(s, m)))  # type: ignore[misc]
                times["read", plain].append(await took(lambda s=session: sessions.read(s)))  # type: ignore[misc]
    for what in ("append", "read"):
        plain_time, other_time = (statistics.median(times[what, plain]) for plain in (True, False))
        print(f"{what}: {other_time / plain_time:.2f} times {plain_time * 1000:.2f} ms")


async def codec_alone() -> None:
    """The same without requests."""
    times: dict[tuple[str, bool], list[float]] = {(what, plain): [] for what in ("write", "read") for plain in (1, 0)}
    for number in range(TURNS):
        for plain in (True, False):
            messages = turn(number, plain=plain)
            started = time.perf_counter()
            block = pack(encode_messages(messages))
            between = time.perf_counter()
            decode_lines(unpack(block, 1 << 20))
            times["read", plain].append(time.perf_counter() - between)
            times["write", plain].append(between - started)
    for what in ("write", "read"):
        plain_time, other_time = (statistics.median(times[what, plain]) for plain in (True, False))
        print(f"{what} without a request: {other_time / plain_time:.2f} times {plain_time * 1e6:.0f} us")


if __name__ == "__main__":
    with run_engine("dynamodb-local" if "dynamodb-local" in sys.argv else "moto") as engine:
        os.environ.update(engine.environment)
        asyncio.run(requests(engine.endpoint_url))
    asyncio.run(codec_alone())
