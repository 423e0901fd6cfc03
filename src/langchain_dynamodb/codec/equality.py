"""Whether what was read is what was given: stricter than ``==``, and defined for values that equal nothing."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from langchain_core.messages import BaseMessage

from .registry import OBJECTS

_PLAIN = frozenset([str, int, bool, type(None), bytes])


def same(read: Any, given: Any) -> bool:
    """Whether a value read back is the given one; of subclasses of plain types, an equal plain one is.

    Raises what the equality of other classes raises.
    """
    kind = type(read)
    if kind is type(given) and kind in _PLAIN:
        return bool(read == given)
    if isinstance(read, BaseMessage):
        return type(read) is type(given) and _states(read, given)
    if isinstance(read, bool) != isinstance(given, bool) and not hasattr(given, "dtype"):
        return False
    if isinstance(read, (list, tuple)) and type(read) not in OBJECTS.by_class:
        return isinstance(given, type(read)) and len(read) == len(given) and all(map(same, read, given))
    if isinstance(read, dict):
        return (
            isinstance(given, dict)
            and len(read) == len(given)
            and all(map(same, read, given))
            and all(map(same, read.values(), given.values()))
        )
    if isinstance(read, (float, complex, Decimal)):
        return repr(read) == repr(given) or bool(read == given)
    if isinstance(read, (set, frozenset)):
        return isinstance(given, type(read)) and len(read) == len(given) and (_has_nan(read) or read == given)
    known = OBJECTS.by_class.get(type(read))
    if known and type(given) is type(read):
        return same({**known.take_apart(read).fields}, {**known.take_apart(given).fields})
    return bool(read == given)


def _states(read: BaseMessage, given: BaseMessage) -> bool:
    return (
        _fields(vars(read), vars(given))
        and _fields(read.model_extra or {}, given.model_extra or {})
        and read.__pydantic_private__ == given.__pydantic_private__
    )


def _fields(read: dict[str, Any], given: dict[str, Any]) -> bool:
    return read.keys() == given.keys() and all(same(read[name], given[name]) for name in read)


def _has_nan(values: Any) -> bool:
    return any(value != value for value in values)
