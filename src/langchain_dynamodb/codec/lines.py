"""Messages' fields as lines of JSON, exactly or not at all, and blocks of deflated lines.

Exact means: what is read back equals what was written, and a bool, an int and a float stay what they were. A subclass
of `str`, `int`, `float`, `list` or `dict` that equals its plain value (an `enum.StrEnum`, an `OrderedDict`) is written
as the plain value; whatever else JSON has no word for is refused with its path.

orjson does the work. What it cannot write (integers beyond 64 bit, lone surrogates) the standard library's json does;
such a line begins with ``!``, because orjson would read its integers back as floats.

A block: ``01`` | CRC-32 of the text, 4 bytes big-endian | raw deflate, with dictionary 1 preset, of the lines joined by
newlines.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import json
import math
import re
import uuid
import zlib
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

import orjson
from pydantic import BaseModel

from .._checks import MAX_DIGITS, MAX_INT, short
from ..errors import UnsupportedMessageError
from .dictionary import DICTIONARY_1

# Neither is text by nature: better refused by orjson than by the comparison afterwards.
_OPTIONS = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME
_MAX_DEPTH = 250  # orjson writes 254 levels
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


def from_json_each(lines: Sequence[bytes]) -> tuple[list[Any], Exception | None]:
    """Read lines of `to_json` up to the first that is none; returns what was read, and that one's error."""
    values: list[Any] = []
    try:
        for line in lines:
            values.append(orjson.loads(line) if line[:1] != _STDLIB_MARK else from_json(line))  # noqa: PERF401
    except (ValueError, RecursionError) as error:
        return values, error
    return values, None


def refuse_unnative(fields: dict[str, Any], path: str) -> None:
    """Raise UnsupportedMessageError for plain JSON values that DynamoDB's own types cannot hold."""
    for name, value in fields.items():
        _refuse_unnative_key(name, path)
        _refuse_unnative(value, f"{path}.{name}", 1)


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
        if not -MAX_INT < value < MAX_INT:
            _refuse(path, short(value), f"at most {MAX_DIGITS} digits can be read back: use text")
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
    if len(digits.lstrip("-")) > MAX_DIGITS:
        raise ValueError("number too long")
    return int(digits)


def _parse_float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("not a finite number")
    return number


_FORMAT_1 = b"\x01"
_HEADER_BYTES = 5
_WINDOW_BITS = -15
MAX_LINES = 1 << 20  # of a block: a list of lines takes far more memory than the text it was split from


class UndecodableError(ValueError):
    """Stored bytes are not what this package writes; the text says why and never quotes them.

    `index` is the position of the bad line where several were read.
    """

    def __init__(self, reason: str, index: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.index = index


# Copying a deflater that has taken in the dictionary is cheaper than feeding it the dictionary each time.
_DEFLATER = zlib.compressobj(6, zlib.DEFLATED, _WINDOW_BITS, 8, zlib.Z_DEFAULT_STRATEGY, DICTIONARY_1)


def pack(lines: Sequence[bytes]) -> bytes:
    """Return the lines, none of which may hold a newline or be empty, as one block."""
    text = b"\n".join(lines)
    # Raw deflate with a CRC-32 of our own: the zlib container takes 10 bytes (with its weaker Adler-32), this takes 4.
    deflater = _DEFLATER.copy()
    return _FORMAT_1 + zlib.crc32(text).to_bytes(4, "big") + deflater.compress(text) + deflater.flush()


def unpack(block: bytes, max_bytes: int) -> list[bytes]:
    """Return the lines of a block.

    Raises UndecodableError for anything that `pack` did not write and for more than `max_bytes` of text, before it
    has inflated more than one byte above that.
    """
    if not block.startswith(_FORMAT_1):
        raise UndecodableError(f"unknown block format {block[:1].hex() or '(empty)'}")
    inflater = zlib.decompressobj(_WINDOW_BITS, zdict=DICTIONARY_1)
    try:
        text = inflater.decompress(block[_HEADER_BYTES:], max_bytes + 1)
    except zlib.error:
        raise UndecodableError("damaged block: not deflated data") from None
    if len(text) > max_bytes:
        raise UndecodableError(f"block of more than {max_bytes} bytes")
    if not inflater.eof or inflater.unused_data:
        raise UndecodableError("damaged block: cut short" if not inflater.eof else "damaged block: data after its end")
    if zlib.crc32(text).to_bytes(4, "big") != block[1:_HEADER_BYTES]:
        raise UndecodableError("damaged block: wrong checksum")
    if text.count(b"\n") >= MAX_LINES:
        raise UndecodableError(f"block of more than {MAX_LINES} lines")
    return text.split(b"\n") if text else []


def unpack_each(blocks: Iterable[bytes], max_bytes: int) -> list[list[bytes]]:
    """Return the lines of each block, all of which may have `max_bytes` of text together.

    The UndecodableError of a bad one carries its index.
    """
    found: list[list[bytes]] = []
    for block in blocks:
        try:
            lines = unpack(block, max_bytes)
        except UndecodableError as error:
            raise UndecodableError(error.reason, len(found)) from None
        max_bytes -= sum(map(len, lines))
        found.append(lines)
    return found
