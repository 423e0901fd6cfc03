"""Requests and answers of DynamoDB <-> JSON, in place of the SDK's walk through its description of them. No I/O.

That walk takes a quarter of a call's CPU time (docs/explanation.md). What is not understood here is left to the SDK:
None says so.
"""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64
from collections.abc import Mapping
from typing import Any

import orjson

OPERATIONS = frozenset({
    "batch_get_item", "batch_write_item", "delete_item", "get_item", "put_item", "query", "scan", "update_item",
})  # fmt: skip

MANY_BYTES = 256 << 10  # of an answer: about a millisecond, or more where it has many values


def encode(request: Mapping[str, Any]) -> bytes | None:
    """The body of a request."""
    try:
        return orjson.dumps(request, default=_base64)
    except TypeError:  # lone surrogates among others
        return None


def only_tables(request: Mapping[str, Any]) -> dict[str, Any]:
    """The part of it that the SDK chooses the endpoint by: tables."""
    tables = request.get("RequestItems")
    if tables is None:
        return {"TableName": request["TableName"]}
    return {"RequestItems": {table: type(of)() for table, of in tables.items()}}


def decode(body: bytes) -> dict[str, Any] | None:
    """The answer in a body."""
    try:
        answer = orjson.loads(body)
        if b'"B' in body:  # in a long list of maps there may be none
            _read_binaries(answer)
    except (ValueError, TypeError):  # base64's errors are ValueErrors
        return None
    return {name: value for name, value in answer.items() if value is not None} if isinstance(answer, dict) else None


def _base64(value: object) -> str:
    if isinstance(value, bytes | bytearray | memoryview):
        return b2a_base64(value, newline=False).decode("ascii")
    raise TypeError(type(value).__name__)


def _read_binaries(answer: Any) -> None:
    """Text called B stands for bytes, and lists called BS for several; what an attribute of that name has is a dict."""
    values = [answer]
    for value in values:  # to which their parts are added
        if type(value) is not dict:
            continue
        for name, inner in value.items():
            kind = type(inner)
            if kind is dict:
                if type(inner.get("N") or inner.get("S")) is not str:  # as most are
                    values.append(inner)
            elif kind is str:
                if name == "B":
                    value[name] = a2b_base64(inner)
            elif kind is list:
                if name == "BS":
                    value[name] = [a2b_base64(one) for one in inner]
                else:
                    values += inner
