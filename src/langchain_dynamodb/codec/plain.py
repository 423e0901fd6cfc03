"""Plain values that equal others: of subclasses of plain types, and of numpy."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any


def plain_value(value: Any) -> Any:
    """The value of a plain type that equals this one of a subclass, or of numpy; None where there is none."""
    cls = type(value)
    if issubclass(cls, tuple) and hasattr(cls, "_fields"):
        return None
    for base, convert in _BASES:
        if issubclass(cls, base):
            try:
                plain = convert(value)
            except Exception:  # whatever a subclass does
                return None
            return plain if type(plain) is base and is_equal(plain, value) else None
    if getattr(getattr(value, "dtype", None), "kind", None) in ("b", "i", "u", "f", "c") and value.shape == ():
        plain = value.item() if callable(getattr(value, "item", None)) else None
        return plain if type(plain) in (bool, int, float, complex) and is_equal(plain, value) else None
    return None


def is_equal(plain: object, value: object) -> bool:
    """Whether a plain value equals another (or both are no number), whatever that one's class does."""
    try:
        return bool(plain == value or (plain != plain and value != value))
    except Exception:  # as above
        return False


def plain_text(value: str) -> str:
    """The text of a subclass of `str`."""
    return value if type(value) is str else str.__str__(value)


# What a value of a subclass is as one of the type itself; the last four are what it would be pickled as.
_BASES: tuple[tuple[type, Callable[[Any], Any]], ...] = (
    (str, str.__str__),
    (int, int.__int__),
    (float, float.__float__),
    (list, list),
    (dict, dict),
    (tuple, tuple),
    (frozenset, frozenset),
    (set, set),
    (bytearray, bytearray),
    (bytes, bytes),
    (complex, complex),
    (Decimal, Decimal),
    (datetime, lambda value: datetime.combine(date(value.year, value.month, value.day), value.timetz())),
    (date, lambda value: date(value.year, value.month, value.day)),
    (timedelta, lambda value: timedelta(value.days, value.seconds, value.microseconds)),
)
