"""Several requests at a time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import TypeVar

from ..errors import ThrottledError

T = TypeVar("T")
R = TypeVar("R")
CONCURRENCY = 16  # requests of one operation at a time
PATIENCE = 12  # times a batch may come back partly undone


async def in_parallel(call: Callable[[T], Awaitable[R]], arguments: Sequence[T], at_once: int = CONCURRENCY) -> list[R]:
    """Await a call for each argument, some at once; the first error cancels the rest."""
    if len(arguments) == 1:
        return [await call(arguments[0])]
    gate = asyncio.Semaphore(at_once)

    async def one(argument: T) -> R:
        async with gate:
            return await call(argument)

    tasks = [asyncio.ensure_future(one(argument)) for argument in arguments]
    try:
        return await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


def pauses() -> Iterator[float]:
    """Seconds to wait while DynamoDB leaves a part of a batch undone: growing, with jitter, then an error."""
    for attempt in range(PATIENCE):
        yield min(0.05 * 2**attempt, 2.0) * random.uniform(0.5, 1)
    raise ThrottledError(
        f"DynamoDB left a part of a batch undone {PATIENCE} times: the table's capacity is used up, try again later"
    )
