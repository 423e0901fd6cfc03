"""An event loop without a clock and without I/O: time moves only when it is told to.

Tasks and futures are asyncio's own. Callbacks that are ready run in their order, as on a real loop; what is left to
chance is what happens between the clients, and that is the network's to decide.
"""

from __future__ import annotations

import asyncio
import heapq
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from typing import Any


class Handle:
    """A callback that is ready, or waits for its time."""

    __slots__ = ("_args", "_callback", "_context", "_when", "called_off")

    def __init__(self, callback: Callable[..., object], args: tuple[Any, ...], context: Context | None) -> None:
        self._callback = callback
        self._args = args
        self._context = copy_context() if context is None else context
        self._when = 0.0
        self.called_off = False

    def cancel(self) -> None:
        self.called_off = True

    def cancelled(self) -> bool:
        return self.called_off

    def when(self) -> float:
        return self._when

    def at(self, when: float) -> Handle:
        """The same, at that time."""
        self._when = when
        return self

    def run(self) -> None:
        """Call it, unless it was called off."""
        if not self.called_off:
            self._context.run(self._callback, *self._args)


class Loop(asyncio.AbstractEventLoop):
    """A loop that its owner drives: `settle` runs what is ready, `advance` goes to the next timer."""

    def __init__(self) -> None:
        self.now = 0.0
        self._ready: deque[Handle] = deque()
        self._timers: list[tuple[float, int, Handle]] = []
        self._count = 0
        self.unhandled: list[dict[str, Any]] = []

    def __enter__(self) -> Loop:
        events._set_running_loop(self)
        return self

    def __exit__(self, *_: object) -> None:
        events._set_running_loop(None)

    def settle(self) -> None:
        """Run callbacks until none is ready."""
        ready = self._ready
        while ready:
            ready.popleft().run()

    def next_timer(self) -> float | None:
        """When the next timer is due."""
        timers = self._timers
        while timers and timers[0][2].called_off:
            heapq.heappop(timers)
        return timers[0][0] if timers else None

    def advance(self) -> None:
        """Let time pass until the next timer, and make ready what is due then."""
        when = self.next_timer()
        assert when is not None
        self.now = max(self.now, when)
        while self._timers and self._timers[0][0] <= self.now:
            self._ready.append(heapq.heappop(self._timers)[2])

    # --- What asyncio asks of a loop ---

    def time(self) -> float:
        return self.now

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def call_soon(self, callback: Any, *args: Any, context: Context | None = None) -> Any:
        handle = Handle(callback, args, context)
        self._ready.append(handle)
        return handle

    def call_at(self, when: float, callback: Any, *args: Any, context: Context | None = None) -> Any:
        handle = Handle(callback, args, context).at(when)
        self._count += 1
        heapq.heappush(self._timers, (when, self._count, handle))
        return handle

    def call_later(self, delay: float, callback: Any, *args: Any, context: Context | None = None) -> Any:
        return self.call_at(self.now + max(0.0, delay), callback, *args, context=context)

    def run_in_executor(self, executor: object, func: Callable[..., Any], *args: Any) -> Any:
        """At once: what goes to a thread does no I/O."""
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:
            future.set_exception(error)
        return future

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(self, coro: Coroutine[Any, Any, Any], **options: Any) -> Any:  # type: ignore[override]
        return asyncio.Task(coro, loop=self, **options)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.unhandled.append(context)
