"""Pages whose session item was lost: found by a search, and removed where no session can have them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from .._dynamodb.batches import in_parallel
from .._dynamodb.expressions import Expression
from .._items import attribute_names as lc
from .._items.keys import SessionKey
from .._items.session_items import SessionItem
from .._protocol.unreachable import SeenPage
from .table import Table


@dataclass(frozen=True)
class Leftovers:
    """Searches a table for the pages of a session, but for those of generations from `before` on."""

    table: Table
    before: int

    async def remove(self, key: SessionKey) -> None:
        """Remove the pages of earlier sessions of this name, and their objects, whatever became of their items.

        Raises `BlobUnavailableError`, and `MissingBlobsError` where a page has an object and there are no `blobs`.
        The session item is looked at after the search: pages of one that has begun since were not found.
        """
        found = [page async for page in self._search(key)]
        objects = await self.table.objects.find(key)
        item = await self.table.get(key) if found or objects else None
        if item is not None and not isinstance(item, SessionItem):
            return  # it may be about to be converted, by a writer that had no room to say so
        living = item.generation if item else None
        dead = [page for page in found if page.generation != living and page.generation < self.before]
        await in_parallel(lambda page: self.table.discard(key, page.generation, page.number, page.cut), dead)
        names = [str(of) for of in objects if of.generation != living and of.generation < self.before]
        await self.table.objects.remove(names)

    async def _search(self, key: SessionKey) -> AsyncIterator[SeenPage]:
        operation, request = await self._request(key)
        async for raw in self.table.every(operation, request, key):
            place, cut = key.page_of(raw), raw[lc.CUT].get("N", "")
            if place is not None and cut.isdecimal():
                yield SeenPage(*place, int(cut))

    async def _request(self, key: SessionKey) -> tuple[str, dict[str, Any]]:
        """A Query of the partition where pages differ from their session by the sort key, else a Scan."""
        schema = await self.table.schema(lambda known: known.keys.items() == key.shape)
        e = Expression()
        suffixed, kind, _ = key.attributes[key.suffixed]
        keys = [f"{e.name(name)} = {e.value(value)}" for name, value in key.item.items() if name != suffixed]
        page, begins = f"attribute_exists({e.name(lc.CUT)})", f"begins_with({e.name(suffixed)}, "
        wanted = {"ProjectionExpression": ", ".join(map(e.name, (*key.item, lc.CUT))), "ConsistentRead": True}
        if list(schema.keys)[1:] == [suffixed]:
            condition = " AND ".join([*keys, f"{begins}{e.value(key.page_prefix)})"])
            return "query", {"KeyConditionExpression": condition, "FilterExpression": page, **wanted, **e.request()}
        if kind == "S":  # moto compares the beginnings of bytes wrongly here, and they are compared afterwards
            keys.append(f"{begins}{e.value(key.page_prefix)})")
        return "scan", {"FilterExpression": " AND ".join([*keys, page]), **wanted, **e.request()}
