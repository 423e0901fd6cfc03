"""Reading values other than JSON's from JSON with marks in it.

A marked value is an object with one name only, the mark, and a list that begins with the kind: ``{"$": ["date",
"2026-01-02"]}``. A dict of the user's own that has this name among its keys is written as a marked value too.

Reading makes Python's own types, messages, and objects of registered classes. An object is made only of parts that are
what they were: where one of them is of a class that is not registered here, or was left out, it is plain data too (but
for a document, which may have data in its metadata).

An exact reading (`Reader.exact`) shows more: what comes back as something else is a `Replaced`, and an object or
message of a class that is not known stays what it was stored as (`StoredObject`), so that it can be stored again.
"""

from __future__ import annotations

import base64
import contextlib
import enum
import json
import re
import struct
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID, SafeUUID
from zoneinfo import ZoneInfo

from .classes import MESSAGES, MessageClass
from .kinds import ObjectClass, Parts
from .registry import OBJECTS

MARK = "$"
NATIVE_MARK = "langchain_dynamodb"  # in maps of langchain_community, which escapes nothing
_ZONE = re.compile(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*")

Assemble = Callable[[dict[str, Any], Mapping[str, MessageClass]], Any]


MAX_EQUAL_HASHES = 100  # keys or members in one container: each looks at all others of its hash


class Replaced:
    """Stands for a value that comes back as something else, `data`."""

    __slots__ = ("data",)

    def __init__(self, data: Any = None) -> None:
        self.data = data

    def __repr__(self) -> str:
        return repr(self.data)


class StoredObject:
    """An object or a message as it is stored. It equals its data."""

    __slots__ = ("data", "kind", "name", "parts")

    def __init__(self, kind: str, name: str, parts: Parts, data: Any) -> None:
        self.kind = kind
        self.name = name
        self.parts = parts
        self.data = data

    def __eq__(self, other: object) -> bool:
        return bool(self.data == (other.data if isinstance(other, StoredObject) else other))

    __hash__ = object.__hash__


class Known(NamedTuple):
    """The classes that a reader knows by the names they are stored under."""

    objects: Mapping[str, ObjectClass]
    messages: Mapping[str, MessageClass]


def registered() -> Known:
    """Those that were registered."""
    return Known(OBJECTS.by_name, MESSAGES.by_tag)


class Reader:
    """Reads the values of one message; `assemble` makes a message of its fields, and takes them apart."""

    mark = MARK
    makes = True  # objects of known classes; else they are kept too, but for members of enums

    def __init__(self, assemble: Assemble, binary: bytes = b"", known: Known | None = None) -> None:
        self.assemble = assemble
        self.binary = binary
        self.exact = known is not None
        self.known = known or registered()
        self.start = 0  # of what is left of the binary values
        self.data = 0  # values so far that are not what they were

    def fields(self, tree: dict[str, Any]) -> dict[str, Any]:
        """The fields of a message, or of an object."""
        read = self.read
        return {name: read(value) if type(value) in _NESTED else value for name, value in tree.items()}

    def read(self, tree: Any) -> Any:
        """The value of a tree of plain JSON types; raises anything where nobody wrote it so."""
        kind = type(tree)
        if kind is dict:
            return self._marked(tree) if self.mark in tree else self.fields(tree)
        if kind is list:
            read = self.read
            return [read(value) if type(value) in _NESTED else value for value in tree]
        return tree

    def _marked(self, tree: dict[str, Any]) -> Any:
        (marked,) = tree.values()
        return _KINDS[marked[0]](self, *marked[1:])

    def _else(self, data: Any) -> Any:
        """A value that is not what it was."""
        self.data += 1
        return Replaced(data) if self.exact else data

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
        with contextlib.suppress(Exception):  # data cannot be hashed; and whatever an object's class does
            found = kind(read) if _is_spread(read) else ()
            if len(found) == len(read):
                return found
        self.data += 1
        return read

    def _dict(self, *pairs: Any) -> Any:
        read = [(self.read(key), self.read(value[0]) if value else Replaced()) for key, *value in pairs]
        if not self.exact:
            read = [pair for pair in read if type(pair[1]) is not Replaced]  # left out, with its key
        with contextlib.suppress(Exception):
            found = dict(read) if _is_spread([key for key, _ in read]) else {}
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
            return when.replace(fold=fold) if fold else when
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
            return self.assemble(dict(read), self.known.messages)
        except MemoryError:
            raise
        except Exception:
            tag = read.get("type")
            name, *own_type = tag if isinstance(tag, list) else [str(tag)]
            data = read | {"type": own_type[0]} if own_type else read
            return self._unknown("message", name, Parts(read), data)

    def _object(self, name: str, fields: dict[str, Any], unset: Any = (), extra: Any = None) -> Any:
        """A model or dataclass."""
        before = self.data
        read = self.fields(fields)
        return self._made("object", name, Parts(read, unset, extra and self.read(extra)), before)

    def _named_tuple(self, name: str, fields: dict[str, Any]) -> Any:
        before = self.data
        return self._made("named tuple", name, Parts(self.fields(fields)), before)

    def _enum(self, name: str, member: str | None, value: Any) -> Any:
        before, known = self.data, self.known.objects.get(name)
        parts = Parts({"name": member, "value": self.read(value)})
        if known and issubclass(known.cls, enum.Enum) and member and member in known.cls.__members__:
            self.data = before  # its name alone identifies it
            return known.cls.__members__[member]
        return self._made("enum", name, parts, before)

    def _made(self, kind: str, name: str, parts: Parts, before: int) -> Any:
        known = self.known.objects.get(name)
        is_whole = self.data == before or self.exact
        makes = self.makes or kind == "enum"
        if known and known.kind == kind and makes and (is_whole or known.is_made_with_data(parts)):
            try:
                return known.put_together(parts)
            except MemoryError:
                raise
            except Exception:
                pass
        return self._unknown(kind, name, parts, _DATA[kind](parts))

    def _unknown(self, kind: str, name: str, parts: Parts, data: Any) -> Any:
        if self.exact:
            return StoredObject(kind, name, parts._replace(unset=tuple(parts.unset)), data)
        self.data += 1
        return data

    def _data(self, stored: Any) -> Any:
        return self._else(self.read(stored))

    def _omitted(self, name: str) -> Any:
        return self._else(None)


def _is_spread(values: list[Any]) -> bool:
    """Whether a set or dict can be made of these in linear time: not where they share hashes."""
    return len(values) <= MAX_EQUAL_HASHES or max(Counter(map(hash, values)).values()) <= MAX_EQUAL_HASHES


def sort_key(tree: Any) -> str:
    """What the entries of a set are sorted by, so that equal sets are stored as equal bytes."""
    return json.dumps(tree, default=repr)  # bytes, in maps of langchain_community


_NESTED = frozenset([dict, list, Replaced])
_DATA: dict[str, Callable[[Parts], Any]] = {
    "object": lambda parts: {**parts.fields, **(parts.extra or {})},
    "named tuple": lambda parts: tuple(parts.fields.values()),
    "enum": lambda parts: parts.fields["value"],
}
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
