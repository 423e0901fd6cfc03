"""Print what it takes to migrate a table of langchain_community: rate and units, on DynamoDB Local.

``python tests/tools/measure_migration.py 2000 10``: so many sessions of so many turns of 1.2 KB, two messages each, as
langchain_community stores them; docs/howto/migrate-a-table.md has the rows of this, and of ``50000 1``.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import boto3

sys.path.insert(0, str(Path(__file__).parents[1] / "helpers"))

from corpus import turn
from langchain_dynamodb import AsyncSessionRepository
from langchain_dynamodb._store.community_writer import as_natives
from langchain_dynamodb.admin import Run, Summary, migrate, verify
from langchain_dynamodb.cli.screen import dollars
from langchain_dynamodb.local import Engine, run_engine

FULL = 50_000


def fill(client: Any, table: str, sessions: int, turns: int) -> None:
    """Put the items as they are, 25 at a time."""
    rng = random.Random(7)
    histories = [
        {"L": as_natives([message for _ in range(turns) for message in turn(rng, 1200)])[0]} for _ in range(50)
    ]
    for start in range(0, sessions, 25):
        items = [
            {"SessionId": {"S": f"session-{i:06}"}, "History": histories[i % len(histories)]}
            for i in range(start, min(start + 25, sessions))
        ]
        left: Any = {table: [{"PutRequest": {"Item": item}} for item in items]}
        while left:
            left = client.batch_write_item(RequestItems=left)["UnprocessedItems"]


async def row(what: str, run: Awaitable[Summary]) -> None:
    """Print one row: the rate, the processor's part of it, and units; what 50,000 sessions would cost."""
    began = time.process_time()
    summary = await run
    cpu = (time.process_time() - began) / summary.sessions
    cost = dollars(summary.write_units, summary.read_units) * FULL / summary.sessions
    print(
        f"| {what} | {summary.sessions / summary.seconds:,.0f} | {1000 * cpu:.1f} ms | {FULL * cpu / 60:,.0f} min "
        f"| {summary.write_units / summary.sessions:.1f} | {summary.read_units / summary.sessions:.1f} | ${cost:.2f} |",
        flush=True,
    )


async def measure(engine: Engine, sessions: int, turns: int) -> None:
    """Fill, migrate in place and elsewhere, verify."""
    client = boto3.client("dynamodb", **engine.connection)
    options = {"endpoint_url": engine.endpoint_url, "region_name": "us-east-1"}
    async with (
        AsyncSessionRepository("Source", **options) as source,
        AsyncSessionRepository("Other", **options) as other,
    ):
        for one in (source, other):
            await one.create_table()
        await asyncio.to_thread(fill, client, "Source", sessions, turns)
        print("| | sessions a second here | processor time each | for 50,000 | write units each | read units each "
              "| 50,000 cost on demand |")  # fmt: skip
        print("| --- | --- | --- | --- | --- | --- | --- |")
        await row("dry run", migrate(source, Run(dry_run=True)))
        await row("into another table", migrate(source, to=other))
        await row("in place", migrate(source))
        await row("the same again", migrate(source))
        await row("verify against the other table", verify(source, to=other))
        await row("back, in place", migrate(source, back=True))
    client.close()


def main() -> None:
    """Measure."""
    with run_engine("dynamodb-local") as engine:
        os.environ.update(engine.environment)
        sessions, turns = map(int, sys.argv[1:]) if len(sys.argv) == 3 else (2000, 10)
        asyncio.run(measure(engine, sessions, turns))


if __name__ == "__main__":
    main()
