"""What requests cost, counted as they are made, and writes kept to a number of units a second."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .capacity import metered, units
from .connection import Connection
from .failures import ConditionFailed


@dataclass
class Usage:
    """What was used so far: capacity units (`capacity.units`), and items that scans looked at."""

    read_units: float = 0.0
    write_units: float = 0.0
    scanned: int = 0


@dataclass
class Pace:
    """Write units a second (None: as many as there are). Each write waits until the ones before it are paid for.

    One that is under way counts as a unit, until what it took is known.
    """

    units: float | None = None
    clock: Callable[[], float] = field(default_factory=lambda: asyncio.get_running_loop().time)
    _free_at: float = 0.0

    async def turn(self) -> None:
        """Wait until the next write may be sent."""
        while True:
            delay = self._free_at - self.clock() if self.units else 0.0
            if delay <= 0:
                break
            await asyncio.sleep(delay)
        if self.units:  # nobody comes in between
            self._free_at = max(self._free_at, self.clock()) + 1 / self.units

    def spend(self, units: float) -> None:
        """Note what a write took that had its turn."""
        if self.units:
            self._free_at += (units - 1) / self.units


class MeteredConnection(Connection):
    """Passes calls on to `inner`, which it does not own; counts what they cost and keeps writes to the pace."""

    def __init__(self, inner: Connection, usage: Usage, pace: Pace) -> None:
        super().__init__(inner.settings)
        self._inner, self._usage, self._pace = inner, usage, pace

    async def call(
        self, operation: str, request: Mapping[str, Any], *, write: bool = False, once: bool = False
    ) -> dict[str, Any]:
        """See `Connection.call`."""
        if write:
            await self._pace.turn()
        usage = self._usage
        response: dict[str, Any] = {}
        refused: ConditionFailed | None = None
        try:
            response = await self._inner.call(operation, metered(operation, request), write=write, once=once)
        except ConditionFailed as failure:
            refused = failure
            raise
        finally:
            reads, writes = units(operation, request, response, refused)
            usage.read_units += reads
            usage.write_units += writes
            if write:
                self._pace.spend(writes)
        usage.scanned += response.get("ScannedCount", 0) if operation == "scan" else 0
        return response

    async def aclose(self) -> None:
        """Leave the other one open."""
