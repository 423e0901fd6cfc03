"""All items of a table, those of one of many machines, in batches as DynamoDB gives them."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import NamedTuple

from .._dynamodb.attribute_values import Item
from .._dynamodb.batches import ITEMS
from .._dynamodb.expressions import Expression
from .cursors import read_cursor, write_cursor
from .listing import Listing, check_listing
from .table import Table

_SCOPE = "items"


class Batch(NamedTuple):
    """Items of one request, and the cursor with which the scan goes on after it (None: that was the last one)."""

    items: list[Item]
    cursor: str | None


async def scan(
    table: Table, e: Expression, request: dict[str, str], *, segments: int, segment: int, cursor: str | None
) -> AsyncGenerator[Batch, None]:
    """What a Scan with this `request`, made of `e`, finds in one of so many segments.

    Raises `InvalidInputError` for a segment that is none, `InvalidCursorError` for a cursor of something else.
    """
    check_listing(Listing(segments=segments, segment=segment, cursor=cursor), table)
    schema = await table.schema(lambda known: bool(known.keys))
    scope = repr((_SCOPE, table.name)).encode()
    asked: dict[str, object] = {"TableName": table.name, "Limit": ITEMS, **request, **e.request()}
    if segments > 1:
        asked |= {"Segment": segment, "TotalSegments": segments}
    start = None if cursor is None else read_cursor(cursor, scope, schema.keys)
    while True:
        more = {"ExclusiveStartKey": start} if start else {}
        response = await table.connection.call("scan", {**asked, **more}, write=False)
        start = response.get("LastEvaluatedKey")
        yield Batch(response.get("Items", []), write_cursor(start, scope) if start else None)
        if not start:
            return
