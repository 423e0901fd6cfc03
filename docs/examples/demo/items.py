"""What an item weighs and how it looks on one line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Item = Mapping[str, Mapping[str, Any]]


def item_size(item: Item) -> int:
    """Return the bytes that DynamoDB bills an item for: its names and values."""
    return sum(len(name.encode()) + _value_size(value) for name, value in item.items())


def _value_size(value: Mapping[str, Any]) -> int:
    ((kind, content),) = value.items()
    if kind == "M":
        return 3 + len(content) + item_size(content)
    if kind == "L":
        return 3 + len(content) + sum(map(_value_size, content))
    if kind in ("SS", "NS", "BS"):
        return sum(_value_size({kind[0]: element}) for element in content)
    if kind == "N":
        return 1 + (len(content.strip("-0.")) + 1) // 2
    if kind in ("BOOL", "NULL"):
        return 1
    return len(content.encode() if isinstance(content, str) else content)


def on_one_line(item: Item) -> str:
    """Return an item as text, with ``<19 B>`` for bytes."""
    return ", ".join(f"{name}: {_shown(item[name])}" for name in sorted(item))


def _shown(value: Mapping[str, Any]) -> str:
    ((kind, content),) = value.items()
    if kind == "M":
        return f"{{{on_one_line(content)}}}"
    if kind == "L":
        return f"[{', '.join(map(_shown, content))}]"
    if kind == "B":
        return f"<{len(content)} B>"
    if kind in ("SS", "NS", "BS"):
        return f"{{{', '.join(_shown({kind[0]: element}) for element in content)}}}"
    return repr(content) if kind == "S" else str(content)
