"""A small least-recently-used cache, bounded by cost and safe between threads."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Any, Generic, TypeVar
from weakref import WeakSet

V = TypeVar("V")
_caches: WeakSet[LRU[Any]] = WeakSet()


class LRU(Generic[V]):
    """Keeps the most recently used values while their costs add up to at most `max_cost`."""

    def __init__(self, max_cost: int) -> None:
        self._max_cost = max_cost
        self._entries: OrderedDict[Hashable, tuple[V, int]] = OrderedDict()
        self._cost = 0
        self._lock = Lock()
        _caches.add(self)

    @property
    def cost(self) -> int:
        """Sum of the costs of what is held."""
        return self._cost

    def get(self, key: Hashable) -> V | None:
        """The value, which thereby becomes the most recently used one."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return None
            self._entries.move_to_end(key)
            return entry[0]

    def put(self, key: Hashable, value: V, cost: int = 1) -> None:
        """Keep `value`; what costs more than the whole cache is not kept."""
        with self._lock:
            self._drop(key)
            if cost > self._max_cost:
                return
            self._entries[key] = (value, cost)
            self._cost += cost
            while self._cost > self._max_cost:
                self._drop(next(iter(self._entries)))

    def rename(self, old: Hashable, new: Hashable) -> None:
        """Let the value of one key be that of another, unless there is none, or that has one."""
        with self._lock:
            if old in self._entries and new not in self._entries:
                self._entries[new] = self._entries.pop(old)

    def discard(self, key: Hashable) -> None:
        """Forget the value, if there is one."""
        with self._lock:
            self._drop(key)

    def discard_if(self, test: Callable[[V], bool]) -> None:
        """Forget the values for which this holds."""
        with self._lock:
            for key in [key for key, (value, _) in self._entries.items() if test(value)]:
                self._drop(key)

    def _drop(self, key: Hashable) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._cost -= entry[1]


def _renew_locks() -> None:
    # Another thread of the parent may have held a lock at the moment of the fork; here nobody would release it.
    for cache in list(_caches):
        cache._lock = Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_locks)
