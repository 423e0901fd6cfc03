"""What requests cost, counted as they are made, and writes kept to a number of units a second."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .attribute_values import item_bytes
from .connection import Connection
from .failures import ConditionFailed

_READS = frozenset({"get_item", "batch_get_item", "query", "scan"})
_UNITLESS = frozenset({"describe_table", "describe_time_to_live"})


@dataclass
class Usage:
    """What was used so far: capacity units as DynamoDB tells them, requests, and items that scans looked at.

    The units of refused conditional writes, which are billed and not told, are those of the item that was there.
    """

    read_units: float = 0.0
    write_units: float = 0.0
    requests: int = 0
    scanned: int = 0


@dataclass
class Pace:
    """Write units a second (None: as many as there are). Each write waits until the ones before it are paid for."""

    units: float | None = None
    clock: Callable[[], float] = field(default_factory=lambda: asyncio.get_running_loop().time)
    _free_at: float = 0.0

    async def turn(self) -> None:
        """Wait until the next write may be sent."""
        while True:
            delay = self._free_at - self.clock() if self.units else 0.0
            if delay <= 0:
                return
            await asyncio.sleep(delay)

    def spend(self, units: float) -> None:
        """Note what a write took."""
        if self.units:
            self._free_at = max(self._free_at, self.clock()) + units / self.units


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
        asked = request if operation in _UNITLESS else {**request, "ReturnConsumedCapacity": "TOTAL"}
        self._usage.requests += 1
        try:
            response = await self._inner.call(operation, asked, write=write, once=once)
        except ConditionFailed as failure:
            self._count(operation, max(1, math.ceil(item_bytes(failure.item or {}) / 1024)))
            raise
        self._usage.scanned += response.get("ScannedCount", 0) if operation == "scan" else 0
        told = response.get("ConsumedCapacity") or []
        self._count(operation, sum(one["CapacityUnits"] for one in (told if isinstance(told, list) else [told])))
        return response

    def _count(self, operation: str, units: float) -> None:
        if operation in _READS:
            self._usage.read_units += units
        else:
            self._usage.write_units += units
            self._pace.spend(units)

    async def aclose(self) -> None:
        """Leave the other one open."""
