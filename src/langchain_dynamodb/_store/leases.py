"""The two sides of a lease: a holder that keeps it up while it works, and those who wait for one that may be dead."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

from .._items.session_items import Intent
from ..errors import ChatHistoryError
from .table import Refused


class Watched:
    """How long an intent has been seen without a sign of life, by the event loop's own clock: no other can be wrong."""

    def __init__(self) -> None:
        self._seen: tuple[bytes, int] | None = None
        self._since = 0.0

    def silence(self, intent: Intent) -> float:
        """Seconds since this intent, with this end of its lease, was first seen."""
        now = asyncio.get_running_loop().time()
        seen = intent.op, intent.lease
        if seen != self._seen:
            self._seen, self._since = seen, now
        return now - self._since


@contextlib.asynccontextmanager
async def repeating(call: Callable[[], Awaitable[object]], seconds: float) -> AsyncIterator[None]:
    """Make this call every so many seconds beside the body, and no longer than that; its errors concern nobody."""

    async def repeat() -> None:
        while True:
            await asyncio.sleep(seconds)
            with contextlib.suppress(ChatHistoryError, Refused):
                await call()

    task = asyncio.create_task(repeat())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
