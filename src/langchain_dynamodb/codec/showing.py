"""Whether a class shows its objects in a way of its own, which their data must keep to: it may hide secrets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

_LOOKED_AT: WeakKeyDictionary[type, tuple[int, bool]] = WeakKeyDictionary()
_HIDING = ("serialization_exclude", "serialization_exclude_if", "computed_fields")
_NO_SCHEMAS = frozenset(["metadata", "config", "default", "expected", "members"])  # may hold anything


def shows_otherwise(cls: type, schema: Any) -> bool:
    """Whether a class shows its objects in a way of its own; looked up once for each schema that it has."""
    found = _LOOKED_AT.get(cls)
    if found is None or found[0] != id(schema):
        found = _LOOKED_AT[cls] = (id(schema), _has_serializer(schema))
    return found[1]


def _has_serializer(schema: Any) -> bool:
    """Whether there is anywhere in pydantic's schema of a class a serializer of its own, or what is not shown."""
    if isinstance(schema, (list, tuple)):
        return any(map(_has_serializer, schema))
    if not isinstance(schema, Mapping):
        return False
    if not isinstance(schema.get("type"), str):  # schemas by names, which may be any
        return any(map(_has_serializer, schema.values()))
    serializer = (schema.get("serialization") or {}).get("type", "")
    if serializer.startswith("function") or any(map(schema.get, _HIDING)):
        return True
    return any(_has_serializer(part) for name, part in schema.items() if name not in _NO_SCHEMAS)
