"""Objects that no page refers to: left by a crash, or by pages that DynamoDB has removed when their time was over.

An object is written just before its page, under a name that is never used again. So one that is older than any write
takes, and that no page refers to now, none will ever refer to: it can be removed while others read and write.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby

from .._items.keys import SessionKey, session_key
from ..blobs.names import ObjectName, key_values
from ..blobs.stores import Blobs, StoredObject
from ..errors import InvalidInputError
from .table import GET_BATCH, Table

LEAST_AGE = 3600  # seconds: far longer than a page takes to follow its object
USUAL_AGE = 24 * 3600


@dataclass(frozen=True)
class UnreferencedObjects:
    """Looks for them in the bucket of a table; `clock` is in microseconds since the epoch."""

    table: Table
    blobs: Blobs
    clock: Callable[[], int]

    async def find(self, prefix: str = "", age: float = USUAL_AGE) -> AsyncIterator[StoredObject]:
        """Those that are at least `age` seconds old and whose names begin with `prefix`.

        A listing request for 1,000 objects, and a strong BatchGetItem for 100 of them. Of sessions whose names are so
        long that they were cut it says nothing, nor of pages that cannot be read: their objects are kept.

        Raises `InvalidInputError` for an `age` below an hour, `BlobUnavailableError` and `StorageError`.
        """
        if not (isinstance(age, (int, float)) and age >= LEAST_AGE):
            raise InvalidInputError(f"age={age!r} must be at least {LEAST_AGE} seconds: a writer may be at work")
        until = self.clock() / 1e6 - age
        seen: list[tuple[StoredObject, ObjectName]] = []
        async for one in self.blobs.list(prefix):
            of = ObjectName.parse(one.name)
            if of is not None and one.modified <= until:
                seen.append((one, of))
            if len(seen) == GET_BATCH:
                for dead in await self._dead(seen):
                    yield dead
                seen = []
        for dead in await self._dead(seen):
            yield dead

    async def _dead(self, seen: Sequence[tuple[StoredObject, ObjectName]]) -> list[StoredObject]:
        dead: list[StoredObject] = []
        for (session, generation), group in groupby(seen, lambda pair: (pair[1].session, pair[1].generation)):
            key = await self._key(session)
            if key is None:
                continue
            some, unreadable = list(group), set[int]()
            numbers = sorted({of.page for _, of in some})
            pages = await self.table.get_pages(key, generation, numbers, consistent=True, unreadable=unreadable)
            tokens = {number: page.reference.token for number, page in pages.items() if page.reference}
            dead += [one for one, of in some if of.page not in unreadable and tokens.get(of.page) != of.token]
        return dead

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
