"""CPU of the codec: messages of plain JSON against an earlier commit, other values against the same as plain JSON.

All by turns. Of the earlier commit's source, which has other modules, another process runs the same. Other values are
measured in the codec alone, blocks included, and in whole calls of the repository.
"""

from __future__ import annotations

import datetime as dt
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from statistics import median
from typing import Any

from langchain_core.documents import Document
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

import corpus
from langchain_dynamodb import AsyncSessionRepository
from langchain_dynamodb.codec.messages import decode_lines, encode_messages, pack, unpack

EARLIER = "a045e2c"  # the last commit whose messages held nothing but plain JSON
ROOT = Path(__file__).parents[2]

_WORKER = """
import random, sys, time
import corpus
try:
    from langchain_dynamodb.codec.messages import decode_lines, encode_messages
except ImportError:
    from langchain_dynamodb.messages import decode_lines, encode_messages
turns = [corpus.turn(random.Random(number)) for number in range(int(sys.argv[1]))]
lines = [encode_messages(turn) for turn in turns]
print("ready", flush=True)
for _ in sys.stdin:
    start = time.process_time()
    for turn in turns:
        encode_messages(turn)
    between = time.process_time()
    for turn in lines:
        decode_lines(turn)
    print(between - start, time.process_time() - between, flush=True)
"""


Ratios = dict[str, float]


async def measure(endpoint_url: str, rounds: int, turns: int) -> dict[str, Any]:
    """Ratios of CPU time, the medians of all rounds or turns."""
    return {
        "plain, now / earlier": _against_earlier(rounds, turns),
        "others / plain, the codec alone": {name: _codec_alone(make, rounds * turns) for name, make in VALUES.items()},
        "others / plain, whole calls": {
            name: await _calls(endpoint_url, name, make, rounds * turns) for name, make in VALUES.items()
        },
    }


def _against_earlier(rounds: int, turns: int) -> Ratios:
    with tempfile.TemporaryDirectory() as folder:
        archive = subprocess.run(
            ["git", "archive", EARLIER, "src"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False
        )
        if archive.returncode:
            return {}  # a clone without its history
        subprocess.run(["tar", "-x", "-C", folder], input=archive.stdout, check=True)
        with _worker(ROOT / "src", turns) as now, _worker(Path(folder) / "src", turns) as earlier:
            pairs = [(now(), earlier()) if number % 2 else (earlier(), now())[::-1] for number in range(rounds)]
    return {
        what: round(median(one[i] / other[i] for one, other in pairs), 3) for i, what in enumerate(("write", "read"))
    }


@contextmanager
def _worker(source: Path, turns: int) -> Iterator[Callable[[], tuple[float, float]]]:
    """A process with this source; each call measures one round."""
    path = f"import sys; sys.path[:0] = {[str(source), str(ROOT / 'tests' / 'helpers')]!r}\n"
    command = [sys.executable, "-c", path + _WORKER, str(turns)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        answers, asks = process.stdout, process.stdin
        assert answers.readline() == "ready\n"

        def run() -> tuple[float, float]:
            asks.write("\n")
            asks.flush()
            write, read = map(float, answers.readline().split())
            return write, read

        yield run
        asks.close()


def _documents(number: int, *, plain: bool) -> Any:
    found = [
        Document(corpus.text(random.Random(number + i), 700), metadata={"source": "a.pdf", "page": i}, id=str(i))
        for i in range(3)
    ]
    return [document.model_dump() for document in found] if plain else found


def _rows(number: int, *, plain: bool) -> Any:
    at, paid = dt.datetime(2026, 1, 2, 3, 4, number % 60), Decimal(number) / 100
    row = {"at": at.isoformat(), "paid": str(paid)} if plain else {"at": at, "paid": paid}
    return [{**row, "name": corpus.text(random.Random(number + i), 60)} for i in range(10)]


def _image(number: int, *, plain: bool) -> Any:
    data = random.Random(number).randbytes(20_000)
    return data.decode("latin-1") if plain else data


VALUES: dict[str, Callable[..., Any]] = {"three documents": _documents, "ten rows": _rows, "an image": _image}


def turn(artifact: Any) -> list[BaseMessage]:
    """A question whose answer takes a look at the artifact of a tool."""
    call = {"name": "search", "args": {"query": "x"}, "id": "c"}
    said = ToolMessage("found", tool_call_id="c", artifact=artifact)
    return [HumanMessage("question"), AIMessage("", tool_calls=[call]), said, AIMessage("answer " * 20)]


def _codec_alone(make: Callable[..., Any], turns: int) -> Ratios:
    times: list[dict[bool, tuple[float, float]]] = []
    for number in range(turns):
        times.append({})
        for plain in (True, False) if number % 2 else (False, True):
            messages = turn(make(number, plain=plain))
            start = time.perf_counter()
            block = pack(encode_messages(messages))
            between = time.perf_counter()
            decode_lines(unpack(block, 1 << 24))
            times[-1][plain] = between - start, time.perf_counter() - between
    return _ratios(times, ("write", "read"))


async def _calls(endpoint_url: str, name: str, make: Callable[..., Any], turns: int) -> Ratios:
    """Appends to and reads of sessions of ten turns, by a repository that has not seen them."""
    times: list[dict[bool, tuple[float, float]]] = []
    client = {"endpoint_url": endpoint_url, "region_name": "us-east-1"}
    async with AsyncSessionRepository("CodecTurns", **client) as sessions:  # type: ignore[arg-type]
        await sessions.create_table()
        for number in range(turns):
            times.append({})
            for plain in (True, False) if number % 2 else (False, True):
                messages, session = turn(make(number, plain=plain)), f"{name}, {plain}, {number // 10}"
                start = time.process_time()
                await sessions.append(session, messages)
                between = time.process_time()
                await sessions.read(session)
                times[-1][plain] = between - start, time.process_time() - between
    return _ratios(times, ("append", "read"))


def _ratios(times: list[dict[bool, tuple[float, float]]], names: tuple[str, str]) -> Ratios:
    return {what: round(median(one[False][i] / one[True][i] for one in times), 2) for i, what in enumerate(names)}
