"""Work on nested values whose outcome does not depend on how deep the caller's own stack is."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import copy_context
from typing import TypeVar

T = TypeVar("T")


def with_room(work: Callable[[bool], T]) -> T:
    """What `work` returns or raises; where this stack has no room for it, in a thread of its own, the `last` try.

    `work` is told whether it is that.
    """
    try:
        return work(False)
    except RecursionError:
        pass
    return _in_thread(lambda: work(True))


def _in_thread(work: Callable[[], T]) -> T:
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=copy_context().run, args=(run,), daemon=True)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]
