"""Print what sizes of pages, merging pages and other ways to read them cost, counted by DynamoDB Local.

``python tests/tools/measure_pages.py [endpoint_url]``; see docs/performance.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "helpers"))

from corpus import conversation
from langchain_dynamodb import AsyncSessionRepository, Sizes
from langchain_dynamodb.local import Engine, run_engine
from support import Meter, remembered, watch

TURNS = 500
KEY = {"PK": "user", "SK": "session"}


class QueryMeter(Meter):
    """Counts queries as reads, and leaves out what is asked of the table."""

    async def call(self, operation: str, request: Any, *, write: bool) -> dict[str, Any]:
        if operation.startswith(("describe", "create")):
            return await self.inner.call(operation, request, write=write)
        response = await super().call(operation, request, write=write)
        if operation == "query":
            units = response["ConsumedCapacity"]["CapacityUnits"]
            self.write_units -= units
            self.read_units += units
        return response


@contextlib.asynccontextmanager
async def opened(url: str, table: str, page: int = 16 << 10) -> AsyncIterator[tuple[AsyncSessionRepository, Meter]]:
    """A fresh repository on the table, and its meter."""
    async with AsyncSessionRepository(
        table, endpoint_url=url, region_name="us-east-1", primary_key_name="PK", sizes=Sizes(page=page)
    ) as sessions:
        yield sessions, watch(sessions, QueryMeter)


async def filled(url: str) -> str:
    """A table with one session that grew turn by turn."""
    table = f"Pages{uuid.uuid4().hex[:8]}"
    async with opened(url, table) as (sessions, _):
        await sessions.create_table(sort_key_name="SK")
        for turn in conversation("1.2 KB", TURNS):
            await sessions.append(KEY, turn)
    return table


async def reads(url: str, table: str) -> str:
    """Units of a full read and of a window of 20, cold."""
    cells = []
    for limit in (None, 20):
        async with opened(url, table) as (sessions, meter):
            await sessions.read(KEY, limit=limit)
            cells.append(f"{meter.read_units:g} in {sum(meter.requests.values())} requests")
    return " | ".join(cells)


async def merging(url: str) -> None:
    """What it costs to write a session of small pages anew with larger ones, and what reads cost then."""
    table = await filled(url)
    print("| pages of | write units to merge | full read | window of 20 |\n| --- | --- | --- | --- |")
    print(f"| 3 KB, as cut | - | {await reads(url, table)} |", flush=True)
    for kilobytes in (16, 64, 256):
        async with opened(url, table, kilobytes << 10) as (sessions, meter):
            chat = await sessions.read(KEY)
            await sessions.replace(KEY, chat.messages)
            written = meter.write_units
        print(f"| {kilobytes} KB | {written:.0f} | {await reads(url, table)} |", flush=True)


async def ways(url: str) -> None:
    """Pages read eventually, strongly, and by one Query over the partition, with units, requests and CPU."""
    table = await filled(url)
    async with opened(url, table) as (sessions, meter):
        await sessions.read(KEY, limit=1)
        item = remembered(sessions, KEY)  # type: ignore[arg-type]
        key = sessions._key(KEY)
        numbers = range(item.first_page, item.pages)

        async def batch(consistent: bool) -> int:
            return len(await sessions._table.get_pages(key, item.generation, numbers, consistent=consistent))

        async def query(consistent: bool) -> int:
            request: dict[str, Any] = {
                "TableName": table,
                "KeyConditionExpression": "PK = :pk AND begins_with(SK, :sk)",
                "ExpressionAttributeValues": {":pk": {"S": "user"}, ":sk": {"S": "session~lc~"}},
                "ConsistentRead": consistent,
            }
            found = 0
            while True:
                response = await sessions._table.connection.call("query", request, write=False)
                found += len(response["Items"])
                if "LastEvaluatedKey" not in response:
                    return found
                request["ExclusiveStartKey"] = response["LastEvaluatedKey"]

        print("| all pages by | pages | read units | requests | ms of CPU |\n| --- | --- | --- | --- | --- |")
        for name, way in (("BatchGetItem", batch), ("Query", query)):
            for consistent in (False, True):
                await way(consistent)
                meter.reset()
                start = time.process_time()
                pages = await way(consistent)
                spent = (time.process_time() - start) * 1000
                cells = f"{pages} | {meter.read_units:g} | {sum(meter.requests.values())} | {spent:.0f}"
                print(f"| {name}, {'strong' if consistent else 'eventual'} | {cells} |", flush=True)


def main() -> None:
    """Measure."""
    with contextlib.ExitStack() as stack:
        given = Engine("dynamodb-local", sys.argv[1]) if len(sys.argv) > 1 else None
        engine = given or stack.enter_context(run_engine("dynamodb-local"))
        os.environ.update(engine.environment)
        url = engine.endpoint_url
        asyncio.run(merging(url))
        print()
        asyncio.run(ways(url))


if __name__ == "__main__":
    main()
