"""What requests cost: asked of DynamoDB where somebody listens. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .attribute_values import item_bytes
from .failures import ConditionFailed

_READS = {"get_item", "batch_get_item", "query", "scan"}
_SINGLE_WRITES = {"update_item", "put_item", "delete_item"}
_BILLED = {*_READS, *_SINGLE_WRITES, "batch_write_item"}
_WRITE_UNIT = 1024  # bytes


def metered(operation: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """The request with the question what it consumes; a refused write shows the item that it is billed by."""
    if operation not in _BILLED:
        return request
    asked: dict[str, Any] = {**request, "ReturnConsumedCapacity": "TOTAL"}
    if operation in _SINGLE_WRITES and "ConditionExpression" in request:
        asked.setdefault("ReturnValuesOnConditionCheckFailure", "ALL_OLD")
    return asked


def units(
    operation: str, request: Mapping[str, Any], response: Mapping[str, Any], error: BaseException | None
) -> tuple[float, float]:
    """Read units and write units that a request has consumed, with those of indexes.

    DynamoDB bills a write whose condition did not hold, and does not say how much: by the larger of the item that was
    there and the one that was to be put (Developer Guide, "Condition expressions"), one unit at least.
    """
    if isinstance(error, ConditionFailed):
        size = max(item_bytes(error.item or {}), item_bytes(request.get("Item", {})))
        return 0.0, float(max(1, -(-size // _WRITE_UNIT)))
    consumed = response.get("ConsumedCapacity") or []
    total = sum(float(one.get("CapacityUnits", 0)) for one in (consumed if isinstance(consumed, list) else [consumed]))
    return (total, 0.0) if operation in _READS else (0.0, total)
