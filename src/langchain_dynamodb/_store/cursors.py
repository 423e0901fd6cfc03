"""Cursors: places in a listing as texts that a web application can hand to its clients. No I/O.

A cursor says after which item a listing goes on, and never in which partition: that is the caller's to say, each time.
So whatever a client sends, it gets nothing beyond the partition that was asked for. A checksum over the listing and the
place tells a cursor of another listing, or a damaged one, from one of this listing. It is no secret and needs none.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation

from .._checks import short
from .._dynamodb.attribute_values import Item, is_storable
from ..errors import InvalidCursorError

_MAX_LENGTH = 16_384  # characters; the keys of a table and an index have at most 6 KB
_SUM_BYTES = 9
_NUMBER = re.compile(r"[-+.0-9Ee]+")  # Decimal also takes NaN, spaces and underscores


def write_cursor(place: Item, scope: bytes) -> str:
    """The cursor of a listing's item with these key attributes; `scope` identifies the listing."""
    stored = {name: [kind, _as_text(value)] for name, av in place.items() for kind, value in av.items()}
    text = json.dumps(stored, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()
    return _encoded(_checksum(text, scope) + text)


def read_cursor(cursor: object, scope: bytes, types: Mapping[str, str]) -> Item:
    """The key attributes of these types that `write_cursor` was given; raises `InvalidCursorError`."""
    wrong = invalid_cursor(cursor)
    if not isinstance(cursor, str) or len(cursor) > _MAX_LENGTH:
        raise wrong
    try:
        data = base64.b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        text = data[_SUM_BYTES:]
        if data[:_SUM_BYTES] != _checksum(text, scope) or _encoded(data) != cursor:
            raise wrong
        place = {name: {kind: _from_text(kind, value)} for name, (kind, value) in json.loads(text).items()}
    except (ValueError, TypeError, AttributeError, RecursionError, InvalidOperation):
        raise wrong from None
    if {name: kind for name, av in place.items() for kind in av} != dict(types):
        raise wrong  # the table was made anew, with other keys
    return place


def invalid_cursor(cursor: object) -> InvalidCursorError:
    """The error that says what to pass instead."""
    return InvalidCursorError(
        f"cursor {short(cursor)} is damaged or belongs to another listing: pass one that a listing of the same table, "
        "with the same partition, index and order, gave, or None to begin anew"
    )


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _checksum(text: bytes, scope: bytes) -> bytes:
    return hashlib.blake2b(text, digest_size=_SUM_BYTES, key=hashlib.blake2b(scope, digest_size=32).digest()).digest()


def _as_text(value: str | bytes) -> str:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


def _from_text(kind: str, value: object) -> str | bytes:
    if kind not in ("S", "N", "B") or not isinstance(value, str) or not value:
        raise ValueError(kind)
    if kind == "N" and not (_NUMBER.fullmatch(value) and is_storable(Decimal(value))):
        raise ValueError(value)
    return base64.b64decode(value, validate=True) if kind == "B" else value
