"""Python values as JSON, exactly or not at all.

Exact means: what is read back equals what was written, and a bool, an int and a float stay what they were. A subclass
of `str`, `int`, `float`, `list` or `dict` that equals its plain value (an `enum.StrEnum`, an `OrderedDict`) is written
as the plain value; whatever else JSON has no word for is refused with its path.

orjson does the work. What it cannot write (integers beyond 64 bit, lone surrogates) the standard library's json does;
such a line begins with ``!``, because orjson would read its integers back as floats.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import json
import math
import re
import reprlib
import uuid
from typing import Any, NoReturn

import orjson
from pydantic import BaseModel

from langchain_dynamodb.errors import UnsupportedMessageError

# Neither is text by nature: better refused by orjson than by the comparison afterwards.
_OPTIONS = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME
_MAX_DEPTH = 250  # orjson writes 254 levels
_MAX_DIGITS = 4300  # what every Python reads, whatever sys.set_int_max_str_digits says in this process
_MAX_INT = 10**_MAX_DIGITS
_STDLIB_MARK = b"!"
_SURROGATE_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")

# DynamoDB's own number and map types hold less than JSON, and boto3 cannot read numbers written with over 38 digits.
_NATIVE_MIN = 1e-130
_NATIVE_DEPTH = 28  # 32 levels, less those of the list, the message and its data

_ADVICE: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (tuple, "use a list"),
    ((set, frozenset), "use a sorted list"),
    ((bytes, bytearray, memoryview), "use base64 text"),
    ((datetime.date, datetime.time), "use value.isoformat()"),
    (datetime.timedelta, "use value.total_seconds()"),
    (uuid.UUID, "use str(value)"),
    (decimal.Decimal, "use float(value) or str(value)"),
    (enum.Enum, "use value.value"),
    (BaseModel, 'use value.model_dump(mode="json")'),
)


def to_json(fields: dict[str, Any], path: str) -> tuple[bytes, dict[str, Any]]:
    """Return `fields` as one line of JSON, and what that line reads back as (plain types, shared with nothing).

    Raises UnsupportedMessageError with the path of the value that would not come back equal; `path` is the owner's.
    """
    try:
        line = orjson.dumps(fields, option=_OPTIONS)
        plain = orjson.loads(line)
        # orjson keeps bool, int and float apart, so equality (for which True == 1 == 1.0) is enough. It fails
        # for what orjson turns into something else: NaN into null, a tuple into a list, a UUID into text.
        if plain == fields:
            return line, plain
    except (TypeError, ValueError, RecursionError):
        pass
    return _to_stdlib_json(fields, path)


def from_json(line: bytes) -> Any:
    """Read a line of `to_json`; raises ValueError or RecursionError for any other bytes."""
    if line.startswith(_STDLIB_MARK):
        text = line[len(_STDLIB_MARK) :].decode("ascii")
        return json.loads(text, parse_int=_parse_int, parse_float=_parse_float, parse_constant=_parse_float)
    return orjson.loads(line)


def refuse_unnative(fields: dict[str, Any], path: str) -> None:
    """Raise UnsupportedMessageError for plain JSON values that DynamoDB's own types cannot hold."""
    for name, value in fields.items():
        _refuse_unnative_key(name, path)
        _refuse_unnative(value, f"{path}.{name}", 1)


def short(value: object) -> str:
    """Return a repr for an error message: bounded, and safe for objects whose repr raises."""
    if isinstance(value, int) and not -_MAX_INT < value < _MAX_INT:
        return f"an integer of {value.bit_length()} bits"
    shortener = reprlib.Repr()
    shortener.maxdict = shortener.maxlist = shortener.maxtuple = shortener.maxset = shortener.maxfrozenset = 2
    shortener.maxlevel = 2
    return shortener.repr(value)


def _to_stdlib_json(fields: dict[str, Any], path: str) -> tuple[bytes, dict[str, Any]]:
    try:
        for name, value in fields.items():
            _refuse_inexact_key(name, path)
            _refuse_inexact(value, f"{path}.{name}", 1)
        line = _STDLIB_MARK + json.dumps(fields, separators=(",", ":")).encode("ascii")
        plain: dict[str, Any] = from_json(line)
    except RecursionError:
        _refuse(path, "something nested too deeply", "store a flatter value")
    if plain != fields:
        _refuse(path, "a value with an equality of its own", "use plain JSON types")
    return line, plain


def _refuse_inexact(value: object, path: str, depth: int) -> None:
    if depth > _MAX_DEPTH:
        _refuse(path[:200], f"more than {_MAX_DEPTH} levels of nesting", "store a flatter value")
    if isinstance(value, str):
        _refuse_merging(value, path)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _refuse_inexact(item, f"{path}[{index}]", depth + 1)
    elif isinstance(value, dict):
        for key, item in value.items():
            _refuse_inexact_key(key, path)
            _refuse_inexact(item, f"{path}[{short(key)}]", depth + 1)
    elif isinstance(value, float):
        if not math.isfinite(value):
            _refuse(path, str(float(value)), "JSON has no such number: use None or text")
    elif isinstance(value, int):
        if not -_MAX_INT < value < _MAX_INT:
            _refuse(path, short(value), f"at most {_MAX_DIGITS} digits can be read back: use text")
    elif value is not None:
        _refuse(path, f"{short(value)} ({_type_name(value)})", _advice(value))


def _refuse_inexact_key(key: object, path: str) -> None:
    if not isinstance(key, str):
        _refuse(path, f"the key {short(key)} ({_type_name(key)})", "JSON objects have text keys: use str(key)")
    _refuse_merging(key, path)


def _refuse_merging(text: str, path: str) -> None:
    """Refuse two lone surrogates that JSON would read back as the one character they encode."""
    if _SURROGATE_PAIR.search(text):
        _refuse(path, f"{short(text)} with a split surrogate pair", "join it: text.encode('utf-16', 'surrogatepass')")


def _refuse_unnative(value: object, path: str, depth: int) -> None:
    if isinstance(value, (list, dict)) and depth > _NATIVE_DEPTH:
        _refuse(path, f"more than {_NATIVE_DEPTH} levels of nesting", 'use item_format="pages"')
    if isinstance(value, str):
        _refuse_unencodable(value, path)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _refuse_unnative(item, f"{path}[{index}]", depth + 1)
    elif isinstance(value, dict):
        for key, item in value.items():
            _refuse_unnative_key(key, path)
            _refuse_unnative(item, f"{path}[{short(key)}]", depth + 1)
    elif isinstance(value, (int, float)) and not _is_native_number(value):
        _refuse(path, short(value), 'DynamoDB numbers have 38 digits: use text or item_format="pages"')


def _is_native_number(value: float) -> bool:
    # Floats are stored by their shortest digits: 1e38, slightly less than 10**38 in truth, has 39 digits.
    limit = 1e38 if isinstance(value, float) else 10**38
    return not value or _NATIVE_MIN <= abs(value) < limit


def _refuse_unnative_key(key: str, path: str) -> None:
    if not key:
        _refuse(path, "an empty key", 'DynamoDB maps have none: use item_format="pages"')
    _refuse_unencodable(key, path)


def _refuse_unencodable(text: str, path: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        _refuse(path, f"{short(text)} with a lone surrogate", 'DynamoDB takes UTF-8 only: use item_format="pages"')


def _refuse(path: str, what: str, fix: str) -> NoReturn:
    raise UnsupportedMessageError(f"{path} holds {what}, which cannot be stored exactly; {fix}.", path=path)


def _advice(value: object) -> str:
    if dataclasses.is_dataclass(value):
        return "use dataclasses.asdict(value)"
    return next((fix for types, fix in _ADVICE if isinstance(value, types)), "use plain JSON types")


def _type_name(value: object) -> str:
    cls = type(value)
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"


def _parse_int(digits: str) -> int:
    if len(digits.lstrip("-")) > _MAX_DIGITS:
        raise ValueError("number too long")
    return int(digits)


def _parse_float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("not a finite number")
    return number
