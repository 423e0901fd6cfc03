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
    bills = [wire.bill]
    for turn in conversation(kind, longest):
        messages = contender.prepare(turn)
        try:
            await contender.append(SESSION, messages)
        except ClientError as error:
            if not contender.bounded or error.response["Error"]["Code"] != "ValidationException":
                raise
            rows.append(await _row(contender, wire, kind, bills, ended=True))
            break
        bills.append(wire.bill)
        length = len(bills) - 1
        if length in LENGTHS:
            before = wire.bill
            rows.append(await _row(contender, wire, kind, bills))
            reads = wire.bill - before
            bills = [bill + reads for bill in bills]  # so that the next difference leaves them out
    return rows


async def _row(
    contender: Contender, wire: Wire, kind: str, bills: list[Bill], *, ended: bool = False
) -> dict[str, Any]:
    length = len(bills) - 1
    start = length // 2 if length > 10 else 0
    turn = (bills[-1] - bills[start]) / max(1, length - start)
    reads = {}
    for name, limit, cold in (("cold", None, True), ("warm", None, False), ("last 20", 20, True)):
        if cold:
            contender.forget()
        before = wire.bill
        await contender.read(SESSION, limit)
        reads[name] = asdict(wire.bill - before)
    return {
        "kind": kind,
        "contender": contender.name,
        "turns": length,
        "ended": ended,
        "append": asdict(turn),
        "reads": reads,
        # A turn is one read of the history by a server that has served the session before, and one append.
        "dollars": round(turn.dollars_per_million + Bill(**reads["warm"]).dollars_per_million, 2),
    }
