"""Reading values other than JSON's from JSON with marks in it.

A marked value is an object with one name only, the mark, and a list that begins with the kind: ``{"$": ["date",
"2026-01-02"]}``. A dict of the user's own that has this name among its keys is written as a marked value too.

Reading makes Python's own types, messages, and objects of registered classes. An object is made only of parts that are
what they were: where one of them is of a class that is not registered here, or was left out, it is plain data too.
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
import struct
from collections.abc import Callable
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID, SafeUUID
from zoneinfo import ZoneInfo

from .registry import OBJECTS, Parts

MARK = "$"
NATIVE_MARK = "langchain_dynamodb"  # in maps of langchain_community, which escapes nothing
_ZONE = re.compile(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*")

Assemble = Callable[[dict[str, Any]], Any]


class Reader:
    """Reads the values of one message; `assemble` makes a message of its fields, and takes them apart."""

    def __init__(self, assemble: Assemble, binary: bytes = b"", mark: str = MARK) -> None:
        self.assemble = assemble
        self.binary = binary
        self.mark = mark
        self.start = 0  # of what is left of the binary values
        self.data = 0  # values so far that are not what they were

    def fields(self, tree: dict[str, Any]) -> dict[str, Any]:
        """The fields of a message."""
        return {name: self.read(value) for name, value in tree.items()}

    def read(self, tree: Any) -> Any:
        """The value of a tree of plain JSON types; raises anything where nobody wrote it so."""
        if type(tree) is list:
            return [self.read(entry) for entry in tree]
        if type(tree) is not dict:
            return tree
        if self.mark not in tree:
            return {name: self.read(value) for name, value in tree.items()}
        marked = tree[self.mark]
        if len(tree) > 1:
            return self._beside(marked, {name: value for name, value in tree.items() if name != self.mark})
        return _KINDS[marked[0]](self, *marked[1:])

    def _beside(self, marked: Any, fields: dict[str, Any]) -> Any:
        """In maps of langchain_community an object's fields stand beside its mark."""
        kind, *name = marked
        if kind == "message":
            return self._message(fields)
        return self._object(name[0], fields, *name[1:])

    def _bytes(self, stored: str | int) -> bytes:
        if isinstance(stored, str):
            return base64.b64decode(stored, validate=True)
        start, self.start = self.start, self.start + stored
        if not 0 <= start <= self.start <= len(self.binary):
            raise ValueError("binary values cut short")
        return self.binary[start : self.start]

    def _bytearray(self, stored: str | int) -> bytearray:
        return bytearray(self._bytes(stored))

    def _tuple(self, *entries: Any) -> tuple[Any, ...]:
        return tuple([self.read(entry) for entry in entries])

    def _set(self, *entries: Any) -> Any:
        return self._hashed(set, entries)

    def _frozenset(self, *entries: Any) -> Any:
        return self._hashed(frozenset, entries)

    def _hashed(self, kind: Callable[[list[Any]], Any], entries: tuple[Any, ...]) -> Any:
        read = [self.read(entry) for entry in entries]
        with contextlib.suppress(TypeError):  # data of objects whose class is not registered cannot be hashed
            found = kind(read)
            if len(found) == len(read):
                return found
        self.data += 1
        return read

    def _dict(self, *pairs: Any) -> Any:
        read = [(self.read(key), self.read(value)) for key, value in pairs]
        with contextlib.suppress(TypeError):
            found = dict(read)
            if len(found) == len(read):
                return found
        self.data += 1
        return [list(pair) for pair in read]

    def _float(self, stored: str) -> float:
        number: float
        (number,) = struct.unpack(">d", bytes.fromhex(stored)) if len(stored) == 16 else (float(stored),)
        return number

    def _text(self, stored: str) -> str:
        return base64.b64decode(stored, validate=True).decode("utf-8", "surrogatepass")

    def _complex(self, real: Any, imaginary: Any) -> complex:
        return complex(self.read(real), self.read(imaginary))

    def _datetime(self, text: str, zone: Any = None, fold: int = 0) -> Any:
        return self._in_zone(datetime.fromisoformat(text), zone, fold)

    def _time(self, text: str, zone: Any = None, fold: int = 0) -> Any:
        return self._in_zone(time.fromisoformat(text), zone, fold)

    def _in_zone(self, when: Any, zone: Any, fold: int) -> Any:
        if isinstance(zone, list):  # an offset with a name
            return when.replace(tzinfo=timezone(self._timedelta(*zone[:3]), *zone[3:]), fold=fold)
        if zone is None:
            return when.replace(fold=fold)
        if not _ZONE.fullmatch(zone):
            raise ValueError("not the name of a time zone")
        try:
            return when.replace(tzinfo=ZoneInfo(zone), fold=fold)
        except (OSError, KeyError, ValueError):  # this machine does not know it: the offset is right
            self.data += 1
            return when.replace(fold=fold)

    def _timedelta(self, days: int, seconds: int, microseconds: int) -> timedelta:
        return timedelta(days, seconds, microseconds)

    def _uuid(self, text: str, safe: int | None = None) -> UUID:
        return UUID(text, is_safe=SafeUUID(safe))

    def _message(self, fields: dict[str, Any]) -> Any:
        """A message, or its fields where its class is not registered here."""
        read = self.fields(fields)
        try:
            return self.assemble(dict(read))
        except MemoryError:
            raise
        except Exception:
            self.data += 1
            return read

    def _object(self, name: str | None, fields: dict[str, Any], unset: Any = (), extra: Any = None) -> Any:
        """A model or dataclass."""
        before = self.data
        parts = Parts(self.fields(fields), tuple(unset), None if extra is None else self.read(extra))
        return self._made(name, parts, before, {**parts.fields, **(parts.extra or {})})

    def _named_tuple(self, name: str | None, fields: dict[str, Any]) -> Any:
        before, parts = self.data, Parts(self.fields(fields))
        return self._made(name, parts, before, tuple(parts.fields.values()))

    def _enum(self, name: str | None, member: str | None, value: Any) -> Any:
        before, parts = self.data, Parts({"name": member, "value": self.read(value)})
        return self._made(name, parts, before, parts.fields["value"])

    def _made(self, name: str | None, parts: Parts, before: int, data: Any) -> Any:
        known = OBJECTS.by_name.get(name or "")
        if known and self.data == before:
            try:
                return known.put_together(parts)
            except MemoryError:
                raise
            except Exception:
                pass
        self.data += 1
        return data

    def _data(self, name: str | None, stored: Any) -> Any:
        before, data = self.data, self.read(stored)
        known = OBJECTS.by_name.get(name or "")
        if known and self.data == before:
            try:
                return known.from_data(data)
            except MemoryError:
                raise
            except Exception:
                pass
        self.data += 1
        return data

    def _omitted(self, name: str) -> None:
        self.data += 1


def sort_key(tree: Any) -> str:
    """What the entries of a set are sorted by, so that equal sets are stored as equal bytes."""
    return json.dumps(tree, default=repr)  # bytes, in maps of langchain_community


_KINDS: dict[str, Callable[..., Any]] = {
    "bytes": Reader._bytes,
    "bytearray": Reader._bytearray,
    "tuple": Reader._tuple,
    "set": Reader._set,
    "frozenset": Reader._frozenset,
    "dict": Reader._dict,
    "float": Reader._float,
    "int": lambda reader, stored: int(stored, 16),
    "text": Reader._text,
    "complex": Reader._complex,
    "decimal": lambda reader, stored: Decimal(stored),
    "date": lambda reader, stored: date.fromisoformat(stored),
    "datetime": Reader._datetime,
    "time": Reader._time,
    "timedelta": Reader._timedelta,
    "uuid": Reader._uuid,
    "message": Reader._message,
    "object": Reader._object,
    "named tuple": Reader._named_tuple,
    "enum": Reader._enum,
    "data": Reader._data,
    "omitted": Reader._omitted,
}
