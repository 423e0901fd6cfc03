"""Which work is enough for a thread (`off_loop`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence, Sized
from typing import TypeVar

from langchain_core.messages import BaseMessage

from .._threads import off_loop
from ..codec.messages import MANY_BYTES, is_much

T = TypeVar("T")

MANY_NATIVES = 16  # messages in the format of langchain_community that take about a millisecond
MANY_SIZES = 128  # of which it takes as long to count the bytes


async def off_loop_if_much(messages: Sequence[BaseMessage], work: Callable[[], T]) -> T:
    """What `work` returns or raises; at once where it works on few messages, none of them large."""
    return await off_loop(work) if is_much(messages) else work()


async def off_loop_if_many(pieces: Iterable[Sized], work: Callable[[], T], many: int = MANY_BYTES) -> T:
    """The same; at once where what it works on is not many bytes."""
    return await off_loop(work) if sum(map(len, pieces)) > many else work()
