"""Work that would keep the event loop busy goes to a thread; the loop's other tasks run meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import copy_context
from typing import TypeVar

from ._checks import running_loop

T = TypeVar("T")


async def off_loop(work: Callable[[], T]) -> T:
    """What `work`, which shares nothing that changes, returns or raises."""
    try:
        working = running_loop().run_in_executor(None, copy_context().run, work)
    except RuntimeError:  # there are no more threads to be had: the interpreter is about to end
        return work()
    return await working
