"""The benchmark: ``nox -s bench``, or ``python tests/bench [part ...]`` with the package and the group bench installed.

Without any part, all are run but agents, whose peers need another environment (``nox -s bench_agents``). Results are
kept in build/bench.json, so that parts can be run again; from them docs/performance.md and its plots are written.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import sys
import warnings
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path += [str(ROOT / "tests" / "helpers"), str(ROOT / "docs" / "examples" / "demo")]
warnings.simplefilter("ignore")  # those of the others; ours are errors in the tests

import against  # noqa: E402
import agents  # noqa: E402
import codec_cpu  # noqa: E402
import contenders  # noqa: E402
import counting  # noqa: E402
import cpu  # noqa: E402
import encrypting  # noqa: E402
import memory  # noqa: E402
import report  # noqa: E402
import steady  # noqa: E402
import throughput  # noqa: E402
from corpus import TURNS  # noqa: E402
from engine import bench_engine, drop_tables, fill  # noqa: E402
from sequence import longest_sequence  # noqa: E402

# The tables of each part begin so; on an engine that was running already they are those of an earlier run.
TABLES = {
    "counts": "Count",
    "sequence": "Sequence",
    "cpu": "Cpu",
    "steady": steady.PREFIX,
    "throughput": "Flow",
    "blocks": "Long",
    "memory": "Long",
    "codec": "Codec",
    "against": "Against",
    "encryption": "Against",
    "agents": agents.PREFIX,
}


class Scale:
    """How much is measured; `small` only shows that everything runs."""

    def __init__(self, small: bool) -> None:
        self.counts = {"1.2 KB": 10} if small else dict.fromkeys(TURNS, 10_000)
        self.rounds = 1 if small else 15
        self.block_seconds = 0.001 if small else 0.15
        self.histories: cpu.Histories = (("short", 20), ("1.2 KB", 20)) if small else cpu.HISTORIES
        self.turns = 30 if small else 1000
        self.sessions = (1, 4) if small else (1, 32, 256)
        self.seconds = 0.2 if small else 4.0
        self.flow_rounds = 1 if small else 3
        self.flow_messages = 20 if small else throughput.MESSAGES
        self.codec_turns = 5 if small else 100
        self.against_rounds = 1 if small else 60
        self.commit = against.BASELINE
        self.sealed_turns = 20 if small else 1000
        self.sealed_sessions = 20 if small else 1000
        self.steady_rounds = 1 if small else 12
        self.agent_turns = (2, 4) if small else agents.LENGTHS
        self.long_turns = 20 if small else 10_000
        self.long_messages = 40 if small else 10_000


async def run_counts(url: str, scale: Scale) -> Any:
    """Measure 1."""
    return await counting.measure(url, sizes=scale.counts)


async def run_sequence(url: str, scale: Scale) -> Any:
    """Requests that wait for each other."""
    return {kind: await longest_sequence(url, kind, scale.histories[0][1]) for kind in TURNS}


async def run_cpu(url: str, scale: Scale) -> Any:
    """Measure 2."""
    return await cpu.measure(
        url, rounds=scale.rounds, seconds=scale.block_seconds, histories=scale.histories, turns=scale.turns
    )


async def run_steady(url: str, scale: Scale) -> Any:
    """Cold reads with the collector on, each contender in a process of its own."""
    return await steady.measure(url, rounds=scale.steady_rounds, histories=scale.histories)


async def run_throughput(url: str, scale: Scale) -> Any:
    """Measure 3."""
    return await throughput.measure(
        url, sessions=scale.sessions, seconds=scale.seconds, rounds=scale.flow_rounds, messages=scale.flow_messages
    )


async def _long_sessions(url: str, scale: Scale) -> None:
    for make, table in ((contenders.Ours, "LongOurs"), (contenders.ItemPerMessage, "LongItems")):
        contender = make(url, table)
        contender.create_table()
        await contender.open()
        await fill(contender, "session-000000", "1.2 KB", scale.long_turns)
        await contender.close()


async def run_blocks(url: str, scale: Scale) -> Any:
    """Measure 3, the longest block."""
    tables: dict[type[contenders.Contender], str] = {
        contenders.Ours: "LongOurs",
        contenders.ItemPerMessage: "LongItems",
    }
    return await throughput.measure_blocks(url, tables, scale.long_messages, min(scale.rounds, 5))


async def run_memory(url: str, scale: Scale) -> Any:
    """Measures 4 and 5."""
    return memory.measure(url, {"ours": "LongOurs", "item per message": "LongItems"}, min(scale.rounds, 7))


async def run_codec(url: str, scale: Scale) -> Any:
    """Messages of plain JSON as ever, and with other values."""
    return await codec_cpu.measure(url, scale.rounds, scale.codec_turns)


async def run_against(url: str, scale: Scale) -> Any:
    """An earlier commit, in processes of their own."""
    return await asyncio.to_thread(against.measure, url, scale.commit, scale.against_rounds)


async def run_encryption(url: str, scale: Scale) -> Any:
    """Encrypted sessions beside plain ones."""
    return await encrypting.measure(url, scale.sealed_turns, scale.sealed_sessions, scale.against_rounds)


async def run_agents(url: str, scale: Scale) -> Any:
    """Turns of agents, beside checkpointers."""
    return await agents.measure(url, scale.agent_turns)


PARTS: dict[str, Callable[[str, Scale], Awaitable[Any]]] = {
    "counts": run_counts,
    "sequence": run_sequence,
    "cpu": run_cpu,
    "steady": run_steady,
    "throughput": run_throughput,
    "blocks": run_blocks,
    "memory": run_memory,
    "codec": run_codec,
    "against": run_against,
    "encryption": run_encryption,
    "agents": run_agents,
}
DEFAULT = [part for part in PARTS if part != "agents"]


async def _measure(url: str, parts: list[str], scale: Scale, keep: Callable[[str, Any], None]) -> None:
    drop_tables(url, tuple(TABLES[part] for part in parts))
    if {"blocks", "memory"} & set(parts):
        await _long_sessions(url, scale)
    for part in parts:
        print(f"{part} ...", file=sys.stderr, flush=True)
        keep(part, await PARTS[part](url, scale))


def _environment() -> dict[str, str]:
    packages = ("aioboto3", "aiobotocore", "boto3", "langchain-core", "langchain-community", "orjson", "pydantic")
    return {
        "Python": platform.python_version(),
        "processors": str(os.cpu_count()),
        **{name: version(name) for name in packages},
    }


def main() -> None:
    """Run the parts asked for, then write the page."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument(
        "parts", nargs="*", metavar="part", help=f"what to measure: {', '.join(PARTS)} (default: all but agents)"
    )
    parser.add_argument("--endpoint-url", help="a DynamoDB Local that is running, instead of starting one")
    parser.add_argument("--small", action="store_true", help="tiny numbers: shows only that it runs")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs", help="folder of performance.md")
    parser.add_argument("--results", type=Path, default=ROOT / "build" / "bench.json", help="where results are kept")
    parser.add_argument("--commit", default=against.BASELINE, help="what the part against measures against")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    results = json.loads(options.results.read_text()) if options.results.exists() else {}

    def keep(part: str, found: Any) -> None:
        results[part] = found
        if part in DEFAULT:
            results["environment"] = _environment()
        options.results.parent.mkdir(parents=True, exist_ok=True)
        options.results.write_text(json.dumps(results, indent=1))

    with bench_engine(options.endpoint_url) as url:
        print("llama-index, asynchronous methods:", asyncio.run(contenders.broken_async_methods(url)))
        scale = Scale(options.small)
        scale.commit = options.commit
        asyncio.run(_measure(url, options.parts or DEFAULT, scale, keep))
    report.write(results, options.docs)
    print(report.goals(results))


if __name__ == "__main__":
    main()
