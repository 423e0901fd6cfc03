"""Python values <-> DynamoDB attribute values (``{"S": "text"}``), exact or refused. No I/O."""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Any, TypeAlias

from .._checks import short
from ..errors import InvalidInputError

AttributeValue: TypeAlias = dict[str, Any]
Item: TypeAlias = dict[str, AttributeValue]
Changes: TypeAlias = Mapping[str, "AttributeValue | None"]
"""Attributes to set; None for one to remove."""

NO_CHANGES: Changes = MappingProxyType({})

NUMBER_DIGITS = 38  # significant digits of a DynamoDB number
MAX_DEPTH = 32  # levels of nesting DynamoDB accepts
SETS = ("SS", "NS", "BS")


def number(value: int) -> AttributeValue:
    """One integer as an attribute value."""
    return {"N": str(value)}


def to_attribute(value: object, path: str, depth: int = 0, *, json_only: bool = True) -> AttributeValue:
    """JSON-like `value` as an attribute value; unless `json_only`, bytes and sets too.

    Raises `InvalidInputError`, which calls it `path`, for what would not come back equal. `depth` counts the lists and
    maps around it.
    """
    if value is None:
        return {"NULL": True}
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, str):
        return {"S": _utf8(value, path)}
    if isinstance(value, (int, float)):
        return _number(value, path)
    if depth >= MAX_DEPTH - 1 and isinstance(value, (list, Mapping)):
        raise InvalidInputError(f"{path} is nested deeper than the {MAX_DEPTH} levels DynamoDB stores: flatten it")
    if isinstance(value, list):
        entries = enumerate(value)
        return {"L": [to_attribute(entry, f"{path}[{i}]", depth + 1, json_only=json_only) for i, entry in entries]}
    if isinstance(value, Mapping):
        return {
            "M": {
                _text_key(key, path): to_attribute(entry, f"{path}[{key!r}]", depth + 1, json_only=json_only)
                for key, entry in value.items()
            }
        }
    if isinstance(value, bytes) and not json_only:
        return {"B": value}
    if isinstance(value, set) and value and not json_only:
        members = [to_attribute(member, path, json_only=False) for member in value]
        ((kind, _),) = members[0].items()
        return {f"{kind}S": sorted(member[kind] for member in members)}
    raise InvalidInputError(
        f"{path} is a {type(value).__name__}, which DynamoDB would not give back as it was: "
        "use str, int, float, bool, None, lists and dicts (a date, for example, as .isoformat())"
    )


def is_storable(value: Decimal) -> bool:
    """Whether a DynamoDB number holds this finite value digit for digit."""
    # Not by arithmetic: that rounds to the 28 digits of the thread's decimal context.
    digits = "".join(map(str, value.as_tuple().digits)).strip("0")
    return not digits or (len(digits) <= NUMBER_DIGITS and -130 <= value.adjusted() <= 125)


def from_attribute(value: AttributeValue, *, json_only: bool = True) -> Any:
    """The Python value of an attribute value; numbers become int where they are whole, else float.

    Raises ValueError for what is no attribute value, and unless `json_only` is False for sets and binaries, which
    become sets and bytes.
    """
    if not isinstance(value, dict) or len(value) != 1:
        raise ValueError("not an attribute value")
    ((kind, content),) = value.items()
    if kind in ("S", "BOOL"):
        return content
    if kind == "NULL":
        return None
    if kind == "N":
        return _from_number(content)
    if kind == "L":
        return [from_attribute(entry, json_only=json_only) for entry in content]
    if kind == "M":
        return {name: from_attribute(entry, json_only=json_only) for name, entry in content.items()}
    if kind == "B" and not json_only:
        return content
    if kind in SETS and not json_only:
        return {from_attribute({kind[0]: member}, json_only=False) for member in content}
    raise ValueError(f"attribute type {kind} holds no JSON value")


def attribute_bytes(value: AttributeValue) -> int:
    """Size of a value in bytes as DynamoDB counts an item (Developer Guide, "Item sizes and formats")."""
    ((kind, content),) = value.items()
    if kind == "S":
        return len(content.encode())
    if kind == "N":
        return len(content.lstrip("-").replace(".", "")) // 2 + 2
    if kind == "B":
        return len(content)
    if kind == "L":
        return 3 + sum(1 + attribute_bytes(entry) for entry in content)
    if kind == "M":
        return 3 + sum(1 + len(name.encode()) + attribute_bytes(entry) for name, entry in content.items())
    if kind in SETS:
        return sum(attribute_bytes({kind[0]: member}) for member in content)
    return 1


def item_bytes(item: Mapping[str, AttributeValue]) -> int:
    """Size of an item as DynamoDB counts it."""
    return sum(len(name.encode()) + attribute_bytes(value) for name, value in item.items())


def _utf8(text: str, path: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidInputError(f"{path} holds a lone surrogate, which is no UTF-8 text: remove it") from None
    return text


def _text_key(key: object, path: str) -> str:
    if not isinstance(key, str) or not key:
        raise InvalidInputError(f"{path} has the key {short(key)} ({type(key).__name__}): use texts that are not empty")
    return _utf8(key, f"{path} key")


def _number(value: float, path: str) -> AttributeValue:
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidInputError(f"{path} is {value!r}, which is no DynamoDB number: leave it out or store it as text")
    # Subclasses (IntEnum, numpy's float64) have a text of their own.
    text = repr(float(value)) if isinstance(value, float) else _digits(int(value), path)
    if not is_storable(Decimal(text)) or _from_number(text) != value:
        raise InvalidInputError(
            f"{path} is {short(value)}, which a DynamoDB number would not give back exactly "
            f"({NUMBER_DIGITS} digits, 1e-130 to 1e126, whole ones as int): store it as text"
        )
    return {"N": text}


def _digits(value: int, path: str) -> str:
    try:
        return str(value)
    except ValueError:  # Python's own limit on digits
        raise InvalidInputError(f"{path} is an integer of thousands of digits: store it as text") from None


def _from_number(text: str) -> int | float:
    try:
        whole = Decimal(text)
    except ArithmeticError:
        raise ValueError("not a number") from None
    # Written by us an integer has at most 38 digits: a longer one was a float.
    if whole.adjusted() < NUMBER_DIGITS and whole == whole.to_integral_value():
        return int(whole)
    return float(text)
