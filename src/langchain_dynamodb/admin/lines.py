"""A session as one line of JSON, and back, exactly.

``session`` is its id; where sessions are named by a whole key, ``key`` is that. Keys, metadata and attributes are in
DynamoDB's own JSON (``{"S": "text"}``, bytes as base64), times in ISO 8601. Each of ``messages`` is a line of the
codec: a message of plain JSON as it is stored, one with other values as ``{"line": text, "binary": base64}``. So
nothing is decoded on the way, and objects of classes that this process does not know stay what they are.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any, NamedTuple

import orjson

from .._checks import short
from .._dynamodb.attribute_values import Item
from .._items.keys import Session, SessionKey, native_key
from .._store.listing import session_name
from .._store.whole_sessions import Whole
from ..errors import InvalidInputError

FORMAT = 1


class Stored(NamedTuple):
    """What a line holds."""

    session: Session
    whole: Whole


def write_line(key: SessionKey, whole: Whole, primary_key_name: str) -> bytes:
    """The line, with a newline."""
    name = session_name(key.item, primary_key_name)
    head = {
        "langchain_dynamodb": FORMAT,
        **({"session": name} if isinstance(name, str) else {"key": _json(key.item)}),
        "version": whole.version,
        "created": _text(whole.created),
        "updated": _text(whole.updated),
        "expires": whole.expires,
        "metadata": None if whole.metadata is None else _json(whole.metadata["M"]),
        "attributes": _json(whole.own) if whole.own else None,
    }
    told = {name: value for name, value in head.items() if value is not None}
    messages = b",".join(_message(bytes(line)) for line in whole.lines)
    return b'%s,"messages":[%s]}\n' % (orjson.dumps(told)[:-1], messages)


def _message(line: bytes) -> bytes:
    if line.startswith(b"{"):
        return line
    text, newline, binary = line.partition(b"\n")
    apart = {"line": text.decode()}
    return orjson.dumps({**apart, "binary": base64.b64encode(binary).decode()} if newline else apart)


def read_line(line: bytes, where: str) -> Stored:
    """The inverse; raises `InvalidInputError`, which calls the line `where`."""
    try:
        told = orjson.loads(line)
        if told["langchain_dynamodb"] != FORMAT:
            raise InvalidInputError(f"{where} is of format {short(told['langchain_dynamodb'])}, which a newer version "
                                    "of langchain-dynamodb writes: update")  # fmt: skip
        session = _text_of(told, "session") if "session" in told else native_key(_item(told["key"]))
        whole = Whole(
            lines=[_line(message) for message in told["messages"]],
            version=_number_of(told, "version"),
            created=_microseconds(told.get("created")),
            updated=_microseconds(told.get("updated")),
            expires=_number_of(told, "expires") if "expires" in told else None,
            metadata={"M": _item(told["metadata"])} if "metadata" in told else None,
            own=_item(told.get("attributes", {})),
        )
    except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError) as error:
        raise InvalidInputError(f"{where} is no session that export wrote: {type(error).__name__}: {error}") from error
    return Stored(session, whole)


def _text_of(told: Mapping[str, Any], name: str) -> str:
    if not isinstance(told[name], str):
        raise TypeError(f"{name} {short(told[name])} must be a text")
    return str(told[name])


def _number_of(told: Mapping[str, Any], name: str) -> int:
    if type(told[name]) is not int or told[name] < 0:
        raise TypeError(f"{name} {short(told[name])} must be a number from 0 on")
    return int(told[name])


def _line(message: Mapping[str, Any]) -> bytes:
    if "line" not in message:
        return orjson.dumps(message)
    text = str(message["line"]).encode()
    return text + b"\n" + _bytes(message["binary"]) if "binary" in message else text


def _text(time: int | None) -> str | None:
    if time is None:
        return None
    seconds, microseconds = divmod(time, 1_000_000)
    return datetime.fromtimestamp(seconds, timezone.utc).replace(microsecond=microseconds).isoformat()


def _microseconds(text: str | None) -> int | None:
    if text is None:
        return None
    moment = datetime.fromisoformat(text)
    whole = moment.replace(microsecond=0).timestamp()
    return int(whole) * 1_000_000 + moment.microsecond


def _json(value: Any) -> Any:
    """Attribute values with base64 for bytes."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, Mapping):
        return {name: _json(entry) for name, entry in value.items()}
    return [_json(entry) for entry in value] if isinstance(value, list) else value


def _item(told: Mapping[str, Any]) -> Item:
    return {name: _value(value) for name, value in told.items()}


def _value(told: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of `_json` for one attribute value."""
    ((kind, content),) = told.items()
    if kind == "B":
        return {kind: _bytes(content)}
    if kind == "BS":
        return {kind: [_bytes(one) for one in content]}
    if kind == "L":
        return {kind: [_value(one) for one in content]}
    if kind == "M":
        return {kind: _item(content)}
    if kind in ("SS", "NS"):
        return {kind: [_value({kind[0]: one})[kind[0]] for one in content]}
    if kind not in _KINDS:
        raise ValueError(f"{short(kind)} is no type of DynamoDB's")
    if type(content) is not _KINDS[kind] or (kind == "N" and not Decimal(str(content)).is_finite()):
        raise TypeError(f"{short(content)} is no value of type {kind}")
    return {kind: content}


_KINDS: dict[str, type] = {"S": str, "N": str, "BOOL": bool, "NULL": bool}


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(f"not base64: {error}") from error
