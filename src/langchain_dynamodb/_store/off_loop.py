"""Work that would keep the event loop busy goes to a thread; the loop's other tasks run meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import TypeVar

from .._checks import running_loop

T = TypeVar("T")

# What takes about a millisecond: more is not done at once, less is not worth a thread.
MANY_NATIVES = 16  # messages in the format of langchain_community
MANY_BYTES = 128 << 10


async def off_loop(work: Callable[[], T]) -> T:
    """What `work`, which shares nothing that changes, returns or raises."""
    running_loop()
    return await asyncio.to_thread(work)


async def off_loop_if_many(pieces: Iterable[bytes], work: Callable[[], T]) -> T:
    """The same; but at once where what it works on is not many bytes."""
    return await off_loop(work) if sum(map(len, pieces)) > MANY_BYTES else work()
