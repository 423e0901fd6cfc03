"""Tells whether what concurrent clients saw can have happened one after the other.

The search of Wing and Gong (1993) with Lowe's memory of dead ends: take any operation that no other one ended before,
let it act on the state, go on with the rest, go back where nothing fits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

SEARCHED = 100_000  # partial orders; histories that need more are told apart from wrong ones


@dataclass(frozen=True)
class Operation:
    """What a client did between two ticks of a clock that all clients share.

    `step` maps the state before to the state after (which must be hashable), or to None where the client cannot
    have seen what it saw. An operation without an end may act at any time after it began, or never.
    """

    name: str
    begin: int
    step: Callable[[Any], Any]
    end: float = math.inf
    hint: float = math.inf
    kind: str | None = None


class NotLinearizable(AssertionError):
    """No order explains the history; the message shows the longest one found and what could not follow."""


class Undecided(AssertionError):
    """The search was given up."""


@dataclass(frozen=True)
class _Order:
    """Operations in an order that explains them, as a linked list."""

    done: int  # one bit for each operation
    length: int
    state: Any
    before: _Order | None = None
    last: int | None = None


def linearize(operations: Sequence[Operation], initial: Any) -> list[Operation]:
    """An order that explains all operations that ended; raises `NotLinearizable`, `Undecided`."""
    history = sorted(operations, key=lambda operation: operation.begin)
    required = sum(1 << i for i, operation in enumerate(history) if operation.end < math.inf)
    longest = _Order(0, 0, initial)
    open_ends = [longest]
    seen: set[tuple[int, Any]] = set()
    while open_ends:
        order = open_ends.pop()
        if order.done & required == required:
            return _operations(history, order)
        if (order.done, order.state) in seen:
            continue
        seen.add((order.done, order.state))
        if len(seen) > SEARCHED:
            raise Undecided(f"gave up after {SEARCHED} partial orders; so far {_told(history, longest)}")
        longest = max(longest, order, key=lambda o: o.length)
        for i in _next(history, order.done):
            state = history[i].step(order.state)
            if state is not None:
                open_ends.append(_Order(order.done | 1 << i, order.length + 1, state, order, i))
    raise NotLinearizable(_told(history, longest))


def _told(history: Sequence[Operation], order: _Order) -> str:
    done = "\n".join(operation.name for operation in _operations(history, order))
    stuck = "\n".join(history[i].name for i in _next(history, order.done))
    return f"in this order:\n{done}\nnone of these\n{stuck}\ncan follow in the state {order.state}"


def _next(history: Sequence[Operation], done: int) -> Iterator[int]:
    """Operations that nothing left ended before; the likeliest last: it is tried first."""
    left = []
    earliest_end = math.inf
    kinds: set[str | None] = set()
    for i, operation in enumerate(history):
        if operation.begin > earliest_end:
            break
        if not done >> i & 1 and operation.kind not in kinds:
            left.append(i)
            earliest_end = min(earliest_end, operation.end)
            kinds |= {operation.kind} - {None}
    possible = [i for i in left if history[i].begin < earliest_end]
    yield from sorted(possible, key=lambda i: (-history[i].hint, -history[i].end))


def _operations(history: Sequence[Operation], order: _Order) -> list[Operation]:
    found: list[Operation] = []
    while order.before is not None and order.last is not None:
        found.append(history[order.last])
        order = order.before
    return found[::-1]
