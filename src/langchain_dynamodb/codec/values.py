"""Writing values other than JSON's as JSON with marks in it (see `marks`), exactly, as their data, or not at all.

What comes back as something else is told: in three fields of a message (`DEGRADABLE`) an object of a class that is not
registered is stored as its data, and what no data is known of is left out. Everywhere else, and everywhere with
`strict`, both are refused.
"""

from __future__ import annotations

import base64
import enum
import math
import re
import struct
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any, ClassVar, NamedTuple, TypeAlias
from uuid import UUID, SafeUUID
from zoneinfo import ZoneInfo

from langchain_core.messages import BaseMessage
from pydantic import BaseModel

from .._checks import MAX_INT, short
from ..errors import UnsupportedMessageError
from .advice import advice
from .classes import full_name
from .marks import MARK, sort_key
from .registry import OBJECTS, ObjectClass, Parts, described

DEGRADABLE = ("artifact", "additional_kwargs", "response_metadata")
MAX_DEPTH = 250  # levels of JSON; orjson writes 254
LONGEST_PATH = 200  # characters of it that are shown
INLINE = 64  # bytes of a binary value that is written as text
_SURROGATE_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")

TakeApart = Callable[[BaseMessage, str], dict[str, Any]]


Where: TypeAlias = "str | tuple[Any, ...]"
"""The place of a value: a path, or that of what it is in, with a key or position, or with a name and True.

Put into words only where it is told: tuples are cheap.
"""


def path_of(where: Where) -> str:
    """A place in words."""
    steps: list[str] = []
    while not isinstance(where, str):
        outer, step, *is_name = where
        steps.append(f".{step}" if is_name else f"[{_shown(step)}]")
        where = outer
    return f"{where}{''.join(reversed(steps))}"[:LONGEST_PATH]


def _shown(key: object) -> str:
    """A key in a path: texts and numbers only, which tell the place and not what is there."""
    return short(key) if isinstance(key, (str, int, type(None))) else type(key).__name__


class Degraded(NamedTuple):
    """A value that comes back as something else: its data (`cls` is not registered), or None."""

    path: str
    cls: type
    omitted: bool
    text: str


class Writer:
    """Writes the values of one message; `take_apart` gives the fields of a message within it."""

    mark = MARK
    deepest = MAX_DEPTH
    flatter = "store a flatter value"
    writers: ClassVar[dict[type, Callable[..., Any]]]

    def __init__(self, take_apart: TakeApart, *, strict: bool) -> None:
        self.take_apart = take_apart
        self.strict = strict
        self.marked = False
        self.binary: list[bytes] = []
        self.degraded: list[Degraded] = []
        self._sets = 0  # around this value
        self._open: set[int] = set()  # the containers around this value

    def fields(self, fields: Mapping[str, Any], where: Where, depth: int = 1, *, may: bool = True) -> dict[str, Any]:
        """The fields of a message as a tree of plain JSON types; raises `UnsupportedMessageError`."""
        may = may and not self.strict
        return {
            self._name(name, where): self.write(value, (where, name, True), depth, may and name in DEGRADABLE)
            for name, value in fields.items()
        }

    def _name(self, name: object, where: Where) -> str:
        if not isinstance(name, str):
            raise unsupported(where, f"a field with a name that is no text ({_name(name)})", "use str(name)")
        if _SURROGATE_PAIR.search(name):
            raise unsupported(where, "a field whose name has a split surrogate pair", "use another name")
        return _plain_text(name)

    def write(self, value: Any, where: Where, depth: int, may: bool) -> Any:
        """The tree of one value; `may` tells whether it may come back as something else."""
        write = self.writers.get(type(value))
        if write is None:
            return self._other(value, where, depth, may)
        return write(self, value, where, depth, may)

    def _marked(self, *kind: Any) -> dict[str, Any]:
        self.marked = True
        return {self.mark: [*kind]}

    # What JSON has

    def _none(self, value: Any, where: Where, depth: int, may: bool) -> Any:
        return value

    def _int(self, value: int, where: Where, depth: int, may: bool) -> Any:
        return value if -MAX_INT < value < MAX_INT else self._marked("int", hex(value))

    def _float(self, value: float, where: Where, depth: int, may: bool) -> Any:
        if math.isfinite(value):
            return value
        packed = struct.pack(">d", value).hex()
        return self._marked("float", _USUAL.get(packed, packed))

    def _str(self, value: str, where: Where, depth: int, may: bool) -> Any:
        if value.isascii() or not _SURROGATE_PAIR.search(value):  # JSON reads a pair back as the one character
            return value
        return self._marked("text", base64.b64encode(value.encode("utf-8", "surrogatepass")).decode())

    def _list(self, value: Any, where: Where, depth: int, may: bool) -> Any:
        if problem := self._enter(value, depth):
            return self._refused(value, where, may, *problem)
        entries = []  # in a loop: fewer frames of Python's stack for each level
        try:
            for index, entry in enumerate(value):
                entries.append(self.write(entry, (where, index), depth + 1, may))
        finally:
            self._open.discard(id(value))
        return entries

    def _dict(self, value: dict[Any, Any], where: Where, depth: int, may: bool) -> Any:
        if problem := self._enter(value, depth):
            return self._refused(value, where, may, *problem)
        items: dict[str, Any] = {}
        try:
            if self.mark in value or not all(map(self._is_name, value)):
                return self._pairs(value, where, depth, may)
            for key, entry in value.items():
                items[_plain_text(key)] = self.write(entry, (where, key), depth + 1, may)
        finally:
            self._open.discard(id(value))
        return items

    def _pairs(self, value: dict[Any, Any], where: Where, depth: int, may: bool) -> Any:
        """A dict whose keys are not texts alone, or which would be taken for one of our marks."""
        pairs = []
        for key, entry in value.items():
            step, told = (where, key), len(self.degraded)
            written = self.write(key, step, depth + 3, may)
            if any(one.omitted for one in self.degraded[told:]):
                del self.degraded[told:]
                what = f"an entry under a key of type {_name(key)}, which is left out; use a text as key"
                self._tell(where, type(key), what, omitted=True)
            else:
                pairs.append([written, self.write(entry, step, depth + 3, may)])
        return self._marked("dict", *pairs)

    def _is_name(self, key: object) -> bool:
        """Whether a key can stay as it is."""
        if type(key) is str:
            return key.isascii() or not _SURROGATE_PAIR.search(key)
        return isinstance(key, str) and type(key) not in OBJECTS.by_class and _is_equal(_plain_text(key), key)

    def _enter(self, value: Any, depth: int) -> tuple[str, str] | None:
        """Begin a container; what is wrong with it where it cannot be."""
        if depth > self.deepest:
            return f"more than {self.deepest} levels of nesting", self.flatter
        if id(value) in self._open:
            return "a value that contains itself", "store it without the circle"
        self._open.add(id(value))
        return None

    def _guarded(self, value: Any, write: Callable[..., Any], where: Where, depth: int, may: bool) -> Any:
        """Write something that may hold itself."""
        if problem := self._enter(value, depth):
            return self._refused(value, where, may, *problem)
        try:
            return write(value, where, depth, may)
        finally:
            self._open.discard(id(value))

    # Python's own types

    def _bytes(self, value: bytes, where: Where, depth: int, may: bool) -> Any:
        return self._binary("bytes", value)

    def _bytearray(self, value: bytearray, where: Where, depth: int, may: bool) -> Any:
        return self._binary("bytearray", bytes(value))

    def _binary(self, kind: str, value: bytes) -> Any:
        if len(value) < INLINE or self._sets:
            return self._marked(kind, base64.b64encode(value).decode())
        self.binary.append(value)
        return self._marked(kind, len(value))

    def _tuple(self, value: tuple[Any, ...], where: Where, depth: int, may: bool) -> Any:
        entries = self._list(value, where, depth + 1, may)
        return self._marked("tuple", *entries) if isinstance(entries, list) else entries

    def _set(self, value: Any, where: Where, depth: int, may: bool) -> Any:
        return self._guarded(value, self._members, where, depth, may)

    def _members(self, value: Any, where: Where, depth: int, may: bool) -> Any:
        self._sets += 1
        try:
            written = [self.write(entry, (where, "in the set", True), depth + 2, may) for entry in value]
        finally:
            self._sets -= 1
        return self._marked(type(value).__name__, *sorted(written, key=sort_key))

    def _complex(self, value: complex, where: Where, depth: int, may: bool) -> Any:
        parts = [self._float(part, where, depth, may) for part in (value.real, value.imag)]
        return self._marked("complex", *parts)

    def _decimal(self, value: Decimal, where: Where, depth: int, may: bool) -> Any:
        return self._marked("decimal", str(value))

    def _date(self, value: date, where: Where, depth: int, may: bool) -> Any:
        return self._marked("date", value.isoformat())

    def _timedelta(self, value: timedelta, where: Where, depth: int, may: bool) -> Any:
        return self._marked("timedelta", value.days, value.seconds, value.microseconds)

    def _uuid(self, value: UUID, where: Where, depth: int, may: bool) -> Any:
        safe = [] if value.is_safe is SafeUUID.unknown else [value.is_safe.value]
        return self._marked("uuid", str(value), *safe)

    def _time(self, value: datetime | time, where: Where, depth: int, may: bool) -> Any:
        kind, zone = type(value).__name__, value.tzinfo
        more: list[Any] = []
        if type(zone) is timezone:
            offset, *name = zone.__getinitargs__()  # type: ignore[attr-defined]  # the one way to the name that was given
            more = [[offset.days, offset.seconds, offset.microseconds, *name]] if name else []
        elif type(zone) is ZoneInfo and zone.key is not None:
            more = [zone.key]
        elif zone is not None:
            fix = "use a fixed offset (datetime.timezone) or a zoneinfo.ZoneInfo with a key"
            return self._refused(value, where, may, f"a {kind} in a time zone that is a {_name(zone)}", fix)
        if value.fold:
            more = [*(more or [None]), 1]
        return self._marked(kind, value.isoformat(), *more)

    # Objects

    def _other(self, value: Any, where: Where, depth: int, may: bool) -> Any:
        cls = type(value)
        known = OBJECTS.by_class.get(cls)
        if known:
            return self._guarded(value, self._registered, where, depth, may)
        if isinstance(value, BaseMessage):
            return self._guarded(value, self._message, where, depth, may)
        plain = _plain(value)
        if plain is not None:
            return self.write(plain, where, depth, may)
        if described(value) and not isinstance(value, type):
            return self._guarded(value, self._unregistered, where, depth, may)
        return self._refused(value, where, may, f"a value of type {_name(value)}", advice(value))

    def _registered(self, value: Any, where: Where, depth: int, may: bool) -> Any:
        known = OBJECTS.by_class[type(value)]
        if _comes_back(known, value):
            return self._parts(known.name, known.take_apart(value), value, where, depth, may)
        what = "whose state is not in its fields alone"
        return self._as_data(None, known, value, where, depth, may, what, "keep everything in its fields")

    def _parts(self, name: str | None, parts: Parts, value: Any, where: Where, depth: int, may: bool) -> Any:
        if isinstance(value, enum.Enum):
            written = self.write(value.value, where, depth + 2, may)
            return self._marked("enum", name, parts.fields["name"], written)
        fields = {field: self.write(part, (where, field, True), depth + 3, may) for field, part in parts.fields.items()}
        if isinstance(value, tuple):
            return self._marked("named tuple", name, fields)
        more: list[Any] = []
        if parts.extra:
            more = [list(parts.unset), self._dict(dict(parts.extra), where, depth + 2, may)]
        elif parts.unset:
            more = [list(parts.unset)]
        return self._object(name, fields, more)

    def _object(self, name: str | None, fields: dict[str, Any], more: list[Any]) -> Any:
        return self._marked("object", name, fields, *more)

    def _message(self, value: BaseMessage, where: Where, depth: int, may: bool) -> Any:
        told = len(self.degraded)
        try:
            return self._nested(self.fields(self.take_apart(value, path_of(where)), where, depth + 3, may=may))
        except UnsupportedMessageError as error:
            if not may:
                raise
            del self.degraded[told:]
            return self._refused(value, where, may, f"a {_name(value)} that cannot be stored", str(error).rstrip("."))

    def _nested(self, fields: dict[str, Any]) -> Any:
        return self._marked("message", fields)

    def _unregistered(self, value: Any, where: Where, depth: int, may: bool) -> Any:
        known = described(value)
        assert known is not None
        fix = f"to get it back as it is, call langchain_dynamodb.register_class({type(value).__name__})"
        return self._as_data(known.name, known, value, where, depth, may, "a class that is not registered", fix)

    def _as_data(
        self,
        name: str | None,
        known: ObjectClass,
        value: Any,
        where: Where,
        depth: int,
        may: bool,
        what: str,
        fix: str,
    ) -> Any:
        """The data of an object, under the name of the class that it may become an object of again, if any."""
        if not may:
            raise unsupported(where, f"a value of type {_name(value)}, {what}", fix)
        told = f"a value of type {_name(value)}, {what}: it is stored as its data, and comes back so; {fix}"
        self._tell(where, type(value), told, omitted=False)
        if isinstance(value, BaseModel) and (data := _dumped(value)) is not None:
            return self._data(name, self.write(data, where, depth + 2, may))
        try:
            parts = known.take_apart(value)
        except Exception:
            return self._refused(value, where, may, f"a value of type {_name(value)} without its fields", fix)
        return self._parts(name, parts, value, where, depth, may)

    # What comes back as something else

    def _refused(self, value: Any, where: Where, may: bool, what: str, fix: str) -> Any:
        if not may:
            raise unsupported(where, what, fix)
        self._tell(where, type(value), f"{what}, which is left out and reads as None; {fix}", omitted=True)
        return self._omitted(type(value))

    def _data(self, name: str | None, data: Any) -> Any:
        return self._marked("data", name, data)

    def _omitted(self, cls: type) -> Any:
        return self._marked("omitted", full_name(cls))

    def _tell(self, where: Where, cls: type, what: str, *, omitted: bool) -> None:
        path = path_of(where)
        self.degraded.append(Degraded(path, cls, omitted, f"{path} holds {what}."))


def is_plain(fields: Mapping[str, Any]) -> bool:
    """Whether none of these values of JSON's types is a member of a registered enum."""
    return all(_holds_no_member(value) for value in fields.values())


def _holds_no_member(value: Any) -> bool:
    if type(value) in OBJECTS.by_class:
        return False
    if isinstance(value, dict):
        return all(_holds_no_member(key) and _holds_no_member(entry) for key, entry in value.items())
    return all(map(_holds_no_member, value)) if isinstance(value, list) else True


def _dumped(value: BaseModel) -> Any:
    """The data of a model in JSON's types; None where it has fields that pydantic cannot write."""
    try:
        return value.model_dump(mode="json", warnings=False)
    except Exception:  # serializers of any class may raise anything
        return None


def _comes_back(known: ObjectClass, value: Any) -> bool:
    """Whether the object would come back: it has no more than its parts, and is the same when made of them anew."""
    try:
        parts = known.take_apart(value)
        back = known.put_together(parts)
        again = known.take_apart(back).fields
        if known.has_more(value) or type(back) is not type(value) or again.keys() != parts.fields.keys():
            return False
        return all(again[name] is part for name, part in parts.fields.items())
    except Exception:
        return False


def _plain(value: Any) -> Any:
    """The value of a plain type that equals this one of a subclass, or of numpy; None where there is none."""
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return None
    for base, convert in _BASES:
        if isinstance(value, base):
            try:
                plain = convert(value)
            except Exception:  # whatever a subclass does
                return None
            return plain if type(plain) is base and _is_equal(plain, value) else None
    if getattr(getattr(value, "dtype", None), "kind", None) in ("b", "i", "u", "f", "c") and value.shape == ():
        plain = value.item() if callable(getattr(value, "item", None)) else None
        return plain if type(plain) in (bool, int, float, complex) and _is_equal(plain, value) else None
    return None


def _is_equal(plain: object, value: object) -> bool:
    try:
        return bool(plain == value)
    except Exception:  # as above
        return False


def _plain_text(value: str) -> str:
    return value if type(value) is str else str.__str__(value)


def _name(value: object) -> str:
    return full_name(type(value))


def unsupported(where: Where, what: str, fix: str) -> UnsupportedMessageError:
    """The error for something at this place that cannot be stored."""
    path = path_of(where)
    return UnsupportedMessageError(f"{path} holds {what}, which cannot be stored exactly; {fix}.", path=path)


_USUAL = {struct.pack(">d", number).hex(): repr(number) for number in (math.nan, math.inf, -math.inf)}
Writer.writers = {
    type(None): Writer._none,
    bool: Writer._none,
    int: Writer._int,
    float: Writer._float,
    str: Writer._str,
    list: Writer._list,
    dict: Writer._dict,
    tuple: Writer._tuple,
    set: Writer._set,
    frozenset: Writer._set,
    bytes: Writer._bytes,
    bytearray: Writer._bytearray,
    complex: Writer._complex,
    Decimal: Writer._decimal,
    datetime: Writer._time,
    time: Writer._time,
    date: Writer._date,
    timedelta: Writer._timedelta,
    UUID: Writer._uuid,
}
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
