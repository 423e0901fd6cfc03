"""Work that would keep the event loop busy goes to a thread; the loop's other tasks run meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from langchain_core.messages import BaseMessage

from .._checks import running_loop
from ..codec.messages import MANY_BYTES, is_much

T = TypeVar("T")

MANY_NATIVES = 16  # messages in the format of langchain_community that take about a millisecond


async def off_loop(work: Callable[[], T]) -> T:
    """What `work`, which shares nothing that changes, returns or raises."""
    running_loop()
    return await asyncio.to_thread(work)


async def off_loop_if_much(messages: Sequence[BaseMessage], work: Callable[[], T]) -> T:
    """The same; but at once where it works on few messages, none of them large."""
    return await off_loop(work) if is_much(messages) else work()


async def off_loop_if_many(pieces: Iterable[bytes], work: Callable[[], T]) -> T:
    """The same; but at once where what it works on is not many bytes."""
    return await off_loop(work) if sum(map(len, pieces)) > MANY_BYTES else work()
