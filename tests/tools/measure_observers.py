"""Print what observers cost an operation that has none: the look whether there are any, and the notes at a request.

``python tests/tools/measure_observers.py``; docs/performance.md compares it with an append.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

from langchain_dynamodb._dynamodb.connection import _Attempts
from langchain_dynamodb.observers import current
from langchain_dynamodb.repository import observed

TIMES = 200_000


class Sessions:
    """What is observed, or would be."""

    _options = SimpleNamespace(observers=())

    async def bare(self, session: str, *, limit: int | None = None) -> str:
        """An operation."""
        return session

    look = observed()(bare)


async def send(*_: Any) -> None:
    """A request."""


async def noting() -> None:
    """What a request does for observers, and one `_Attempts` more, which it had before."""
    attempts, operation = _Attempts(False), current.get()
    if operation is None:
        await send("update_item", {}, True, attempts)
    attempts.use(CLIENT, CLIENT)


class Client:
    """As far as that looks at one."""

    meta = SimpleNamespace(endpoint_url="http://x", region_name="eu-west-1")


CLIENT: Any = Client()


async def microseconds(call: Callable[[], Awaitable[object]]) -> float:
    """Of one call."""
    began = time.process_time()
    for _ in range(TIMES):
        await call()
    return (time.process_time() - began) * 1e6 / TIMES


async def main() -> None:
    """Measure."""
    sessions = Sessions()
    bare, look = [await microseconds(lambda call=call: call("s", limit=1)) for call in (sessions.bare, sessions.look)]
    print(f"an operation: {look - bare:.2f} us, each of its requests: {await microseconds(noting):.2f} us at most")


asyncio.run(main())
