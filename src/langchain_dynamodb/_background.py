"""The event loop in a thread of its own, on which synchronous calls run."""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import os
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from typing import Any, TypeVar

from .codec.telling import caller, calling
from .errors import ChatHistoryError

T = TypeVar("T")
_JOIN_SECONDS = 5.0  # to close the clients at exit; a stuck one must not keep the process


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on the background loop, wait for it and return its result.

    An exception while waiting (KeyboardInterrupt) cancels it.
    """
    try:
        background = running()
        if threading.current_thread() is background.thread:
            raise ChatHistoryError(
                "A synchronous method was called on the thread of SessionRepository's own event loop, where it would "
                "wait for itself: use AsyncSessionRepository's methods with await here."
            )
    except BaseException:
        coroutine.close()
        raise
    loop, done = background.loop, concurrent.futures.Future[T]()
    told = caller.set(caller.get() or calling())  # the task has a copy of this context
    task: asyncio.Task[T] | None = None

    def start() -> None:
        nonlocal task
        task = loop.create_task(coroutine)
        task.add_done_callback(finish)

    def finish(task: asyncio.Task[T]) -> None:
        if task.cancelled():
            done.cancel()
        elif (error := task.exception()) is not None:
            done.set_exception(error)
        else:
            done.set_result(task.result())

    def abandon() -> None:
        if task is None:
            coroutine.close()
        else:
            task.cancel()

    # Not run_coroutine_threadsafe: an interrupt inside it leaves open whether the coroutine was handed over.
    try:
        loop.call_soon_threadsafe(start)
        return done.result()
    except BaseException:
        loop.call_soon_threadsafe(abandon)  # comes after `start`, if that was handed over at all
        raise
    finally:
        caller.reset(told)


def iterate(values: AsyncIterator[T]) -> Iterator[T]:
    """The values of an asynchronous iterator, each awaited on the background loop."""
    ended: Any = object()

    async def following() -> T:
        return await anext(values, ended)

    while (value := run(following())) is not ended:
        yield value


class _Background:
    """An event loop in a daemon thread."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self._work, name="langchain-dynamodb", daemon=True)
        try:
            self.thread.start()
        except BaseException:
            self.loop.close()
            raise

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(_JOIN_SECONDS)

    def _work(self) -> None:
        self.loop.run_forever()
        self.loop.run_until_complete(self._wind_up())
        self.loop.close()

    async def _wind_up(self) -> None:
        # As asyncio.run ends, but for the executor: at interpreter exit no thread can be started to wait for it.
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.loop.shutdown_asyncgens()


_background: _Background | None = None
_starting = threading.Lock()
_inherited: list[object] = []


def running() -> _Background:
    global _background
    with _starting:
        if _background is None:
            _background = _Background()
        return _background


@atexit.register
def _stop() -> None:
    global _background
    background, _background = _background, None
    if background is not None:
        background.stop()


def _leave_to_parent() -> None:
    # Kept, not dropped: closing the loop here would take the parent's wake-up socket out of the shared epoll object.
    global _background, _starting
    _inherited.append(_background)
    _background, _starting = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_to_parent)
