"""Objects that no page refers to: left by a crash, or by pages that DynamoDB has removed when their time was over.

An object is written just before its page, under a name that is never used again. So one that is older than any write
takes, and that no page refers to now, none will ever refer to: it can be removed while others read and write.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from .._items.keys import SessionKey, session_key
from ..blobs.names import ObjectName, key_values, prefix_of
from ..blobs.stores import Blobs
from .table import GET_BATCH, Table

USUAL_AGE = 24 * 3600  # seconds: far longer than a page takes to follow its object


@dataclass(frozen=True)
class UnreferencedObjects:
    """Looks for them in the bucket of a table; `clock` is in microseconds since the epoch."""

    table: Table
    blobs: Blobs
    clock: Callable[[], int]

    async def find(
        self, age: float = USUAL_AGE, wanted: Callable[[SessionKey], bool] = lambda key: True
    ) -> AsyncGenerator[tuple[SessionKey, list[ObjectName]], None]:
        """Those of `wanted` sessions that are at least `age` seconds old: some of one session at a time.

        With an `age` below an hour there are some among them whose writer is about to put the page: it is for the
        caller to see that no session can have them.

        A listing request for 1,000 objects, and a strong read of the pages of each session. Of sessions whose names are
        so long that they were cut it says nothing, nor of pages that cannot be read: their objects are kept.

        Raises `BlobUnavailableError` and `StorageError`.
        """
        until = self.clock() / 1e6 - age
        seen: list[ObjectName] = []
        async for one in self.blobs.list(prefix_of(self.table.objects.table)):
            of = ObjectName.parse(one.name)
            if of is None or one.modified > until:
                continue
            if seen and (of[:3] != seen[0][:3] or len(seen) == GET_BATCH):
                if found := await self._dead(seen, wanted):
                    yield found
                seen = []
            seen.append(of)
        if seen and (found := await self._dead(seen, wanted)):
            yield found

    async def _dead(
        self, seen: Sequence[ObjectName], wanted: Callable[[SessionKey], bool]
    ) -> tuple[SessionKey, list[ObjectName]] | None:
        """Of objects of one generation of a session."""
        key = await self._key(seen[0].session)
        if key is None or not wanted(key):
            return None
        unreadable = set[int]()
        numbers = sorted({of.page for of in seen})
        pages = await self.table.get_pages(key, seen[0].generation, numbers, consistent=True, unreadable=unreadable)
        tokens = {number: page.reference.token for number, page in pages.items() if page.reference}
        dead = [of for of in seen if of.page not in unreadable and tokens.get(of.page) != of.token]
        return (key, dead) if dead else None

    async def _key(self, session: str) -> SessionKey | None:
        """The key of a session, of what names of objects say of it; None where it cannot be told."""
        values = key_values(session)
        keys = (await self.table.schema(lambda known: bool(known.keys))).keys
        if values is None or len(values) != len(keys):
            return None
        as_type: dict[str, Callable[[bytes], object]] = {
            "S": bytes.decode,
            "B": bytes,
            "N": lambda v: Decimal(v.decode()),
        }
        try:
            named = {name: as_type[keys[name]](value) for name, value in zip(sorted(keys), values, strict=True)}
            return session_key(named, "", self.table.names)
        except (ValueError, ArithmeticError):
            return None
