"""A bucket in memory, whose requests whoever watches a repository sees beside those of its table."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from langchain_dynamodb import AsyncSessionRepository
from langchain_dynamodb._store.page_objects import PageObjects
from langchain_dynamodb.blobs.stores import StoredObject


@dataclass(eq=False)
class MemoryBlobs:
    """What `Blobs` must do; `objects` are shared by all copies. `watcher` is a `WatchedConnection`."""

    threshold: int = 100
    bucket: str = "memory"
    prefix: str = "in/"
    objects: dict[str, bytes] = field(default_factory=dict)
    now: float = 0.0  # when objects are written
    times: dict[str, float] = field(default_factory=dict)
    watcher: Any = None

    async def put(self, name: str, data: bytes, sha256: bytes) -> None:
        def work() -> None:
            self.objects.setdefault(name, bytes(data))
            self.times.setdefault(name, self.now)

        await self._request("put_object", name, work)

    async def get(self, name: str, size: int) -> bytes | None:
        found: bytes | None = await self._request("get_object", name, lambda: self.objects.get(name))
        return found

    async def list(self, prefix: str) -> AsyncIterator[StoredObject]:
        def work() -> list[StoredObject]:
            return [StoredObject(n, len(d), self.times[n]) for n, d in self.objects.items() if n.startswith(prefix)]

        for one in await self._request("list_objects_v2", prefix, work):
            yield one

    async def delete(self, names: Sequence[str]) -> None:
        def work() -> None:
            for name in names:
                self.objects.pop(name, None)

        if names:
            await self._request("delete_objects", " ".join(names), work)

    async def _request(self, operation: str, name: str, work: Any) -> Any:
        async def proceed() -> dict[str, Any]:
            return {"result": work()}

        if self.watcher is None:
            return work()
        return (await self.watcher.around(operation, {"Bucket": self.bucket, "Key": name}, proceed))["result"]


def watch_blobs(repository: AsyncSessionRepository, watcher: Any) -> None:
    """Show the requests of this repository's bucket, if it is in memory, to the watcher of its table."""
    blobs = repository._table.objects.blobs
    if isinstance(blobs, MemoryBlobs):
        repository._table.objects = PageObjects(replace(blobs, watcher=watcher))
