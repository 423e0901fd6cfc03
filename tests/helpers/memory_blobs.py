"""A bucket in memory, whose requests whoever watches a repository sees beside those of its table."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from langchain_dynamodb import AsyncSessionRepository
from langchain_dynamodb.blobs.stores import StoredObject

PIECE = 10_000  # bytes


@dataclass(eq=False)
class MemoryBlobs:
    """What `Blobs` must do; `objects`, by their whole names, are shared by all copies.

    `watcher` is a `WatchedConnection`.
    """

    threshold: int = 100
    bucket: str = "memory"
    prefix: str = ""
    objects: dict[str, bytes] = field(default_factory=dict)
    now: float = 0.0  # when objects are written
    times: dict[str, float] = field(default_factory=dict)
    watcher: Any = None

    async def put(self, name: str, data: bytes, sha256: bytes) -> None:
        whole = self.prefix + name

        def work() -> None:
            self.objects.setdefault(whole, bytes(data))
            self.times.setdefault(whole, self.now)

        await self._request("put_object", whole, work)

    async def put_pieces(self, name: str, pieces: Iterable[bytes]) -> None:
        await self.put(name, await asyncio.to_thread(b"".join, pieces), b"")

    async def get_pieces(self, name: str, size: int) -> AsyncGenerator[bytes, None]:
        if (data := await self.get(name, size)) is not None:
            for start in range(0, len(data) or 1, PIECE):
                yield data[start : start + PIECE]

    async def get(self, name: str, size: int) -> bytes | None:
        whole = self.prefix + name
        found: bytes | None = await self._request("get_object", whole, lambda: self.objects.get(whole))
        return found

    async def list(self, prefix: str) -> AsyncIterator[StoredObject]:
        begin, whole = len(self.prefix), self.prefix + prefix

        def work() -> list[StoredObject]:
            named = [(name, len(data)) for name, data in self.objects.items() if name.startswith(whole)]
            return [StoredObject(name[begin:], size, self.times[name]) for name, size in named]

        for one in await self._request("list_objects_v2", whole, work):
            yield one

    async def delete(self, names: Sequence[str]) -> None:
        whole = [self.prefix + name for name in names]

        def work() -> None:
            for name in whole:
                self.objects.pop(name, None)

        if names:
            await self._request("delete_objects", " ".join(whole), work)

    async def _request(self, operation: str, name: str, work: Any) -> Any:
        async def proceed() -> dict[str, Any]:
            return {"result": work()}

        if self.watcher is None:
            return work()
        return (await self.watcher.around(operation, {"Bucket": self.bucket, "Key": name}, proceed))["result"]


def watch_blobs(repository: AsyncSessionRepository, watcher: Any) -> None:
    """Show the requests of this repository's bucket, if it is in memory, to the watcher of its table."""
    objects = repository._table.objects
    if isinstance(objects.blobs, MemoryBlobs):
        repository._table.objects = replace(objects, blobs=replace(objects.blobs, watcher=watcher))
