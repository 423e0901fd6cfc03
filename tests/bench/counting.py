"""Measure 1: what a turn and a read cost at each session length, counted by the engine and on the wire."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Any

from botocore.exceptions import ClientError

from contenders import Community, Contender, ItemPerMessage, LlamaIndex, Ours, is_installed
from corpus import conversation
from wire import Bill, Wire, run_wire

LENGTHS = (10, 100, 1000, 10_000)
WARM = 10  # turns up to each length whose history is read right after them
COUNTED: tuple[type[Contender], ...] = (Ours, ItemPerMessage, Community, LlamaIndex)
SESSION = "session-000000"


async def measure(engine_url: str, *, sizes: dict[str, int]) -> list[dict[str, Any]]:
    """Rows of counts: `sizes` gives the longest session for each kind of turn."""
    rows: list[dict[str, Any]] = []
    for kind, longest in sizes.items():
        for number, make in enumerate(filter(is_installed, COUNTED)):
            with run_wire(engine_url) as wire:
                contender = make(wire.endpoint_url, f"Count{number}{kind.replace(' ', '')}")
                contender.create_table()
                await contender.open()
                rows += await _count(contender, wire, kind, longest)
                await contender.close()
            print(f"  counted {kind}: {contender.name}", file=sys.stderr, flush=True)
    return rows


async def _count(contender: Contender, wire: Wire, kind: str, longest: int) -> list[dict[str, Any]]:
    """Append turn after turn; at each length, look at the turns of the second half and at reads."""
    rows = []
    bills, reads, warm = [wire.bill], Bill(), Bill()
    for turn in conversation(kind, longest):
        messages = contender.prepare(turn)
        try:
            await contender.append(SESSION, messages)
        except ClientError as error:
            if not contender.bounded or error.response["Error"]["Code"] != "ValidationException":
                raise
            rows.append(await _row(contender, wire, kind, bills, await _read(contender, wire), ended=True))
            break
        bills.append(wire.bill - reads)
        length = len(bills) - 1
        before = wire.bill
        if any(length == longest - WARM for longest in LENGTHS):
            await contender.read(SESSION)  # fills the caches
        if any(longest - WARM < length <= longest for longest in LENGTHS):
            warm += await _read(contender, wire)
        if length in LENGTHS:
            rows.append(await _row(contender, wire, kind, bills, warm / WARM))
            warm = Bill()
        reads += wire.bill - before
    return rows


async def _read(contender: Contender, wire: Wire, limit: int | None = None) -> Bill:
    before = wire.bill
    await contender.read(SESSION, limit)
    return wire.bill - before


async def _row(
    contender: Contender, wire: Wire, kind: str, bills: list[Bill], warm: Bill, *, ended: bool = False
) -> dict[str, Any]:
    length = len(bills) - 1
    start = length // 2 if length > 10 else 0
    turn = (bills[-1] - bills[start]) / max(1, length - start)
    reads = {"warm": asdict(warm)}
    for name, limit in (("cold", None), ("last 20", 20)):
        contender.forget()
        reads[name] = asdict(await _read(contender, wire, limit))
    return {
        "kind": kind,
        "contender": contender.name,
        "turns": length,
        "ended": ended,
        "append": asdict(turn),
        "reads": reads,
        # A turn is one read of the history by a server that has served the session before, and one append.
        "dollars": round(turn.dollars_per_million + warm.dollars_per_million, 2),
    }
