"""Several requests at a time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import TypeVar

from ..errors import ThrottledError

T = TypeVar("T")
R = TypeVar("R")
# Items that one Query or Scan looks at: a megabyte of small ones would hold the event loop up, and for a page without a
# limit DynamoDB Local goes through all that is left.
ITEMS = 1000
CONCURRENCY = 16  # requests of one operation at a time
PATIENCE = 12  # times a batch may come back partly undone


async def in_parallel(call: Callable[[T], Awaitable[R]], arguments: Sequence[T], at_once: int = CONCURRENCY) -> list[R]:
    """Await a call for each argument, some at once; after the first error none is begun.

    It is raised once those under way have ended: a request that is cancelled may still arrive, after what its sender
    does next.
    """
    if len(arguments) == 1:
        return [await call(arguments[0])]
    waiting = iter(enumerate(arguments))
    results: dict[int, R] = {}
    errors: list[BaseException] = []
    turn = asyncio.Lock()

    async def work() -> None:
        for place, argument in waiting:
            async with turn:  # each is signed in a turn of the loop of its own, however many could begin
                await asyncio.sleep(0)
            if errors:
                return
            try:
                results[place] = await call(argument)
            except BaseException as error:
                errors.append(error)
                raise

    workers = [work() for _ in range(min(at_once, len(arguments)))]
    await asyncio.gather(*workers, return_exceptions=True)  # where the caller is cancelled, so are they
    if errors:
        raise errors[0]
    return [results[place] for place in range(len(arguments))]


def pauses() -> Iterator[float]:
    """Seconds to wait while DynamoDB leaves a part of a batch undone: growing, with jitter, then an error."""
    for attempt in range(PATIENCE):
        yield min(0.05 * 2**attempt, 2.0) * random.uniform(0.5, 1)
    raise ThrottledError(
        f"DynamoDB left a part of a batch undone {PATIENCE} times: the table's capacity is used up, try again later"
    )
