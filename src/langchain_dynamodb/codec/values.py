"""Writing Python's own values as JSON with marks in it (see `marks`), exactly or not at all."""

from __future__ import annotations

import base64
import math
import re
import struct
from collections.abc import Callable, Collection, Mapping
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any, ClassVar, TypeAlias
from uuid import UUID, SafeUUID
from zoneinfo import ZoneInfo

from .._checks import has_digits
from .classes import full_name
from .marks import MARK, sort_key
from .places import Degraded, Nth, Where, path_of, type_name, unsupported
from .plain import is_equal, plain_text

DEGRADABLE = ("artifact", "additional_kwargs", "response_metadata")
MAX_DEPTH = 250  # levels of JSON; orjson writes 254
INLINE = 64  # bytes of a binary value that is written as text
_SURROGATE_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")


Saved: TypeAlias = tuple[int, int, bool]
"""How much a writer had written: values that were told, binary values, and whether there was a mark."""


class ValueWriter:
    """Writes the values of one message. What is not Python's own is left to a subclass."""

    mark = MARK
    deepest = MAX_DEPTH
    flatter = "store a flatter value"
    writers: ClassVar[dict[type, Callable[..., Any]]]

    def __init__(self, *, strict: bool) -> None:
        self.strict = strict
        self.marked = False
        self.binary: list[bytes] = []
        self.degraded: list[Degraded] = []
        self._sets = 0  # around this value
        self._marks = 0  # around this value
        self._open: set[int] = set()  # the containers around this value

    def fields(self, fields: Mapping[str, Any], where: Where, depth: int = 1, *, may: bool = True) -> dict[str, Any]:
        """The fields of a message as a tree of plain JSON types; raises `UnsupportedMessageError`."""
        may = may and not self.strict
        tree: dict[str, Any] = {}
        for name, value in fields.items():
            if type(value) is not str or not value.isascii():
                value = self.write(value, (where, name, True), depth, may and name in DEGRADABLE)
            tree[self._name(name, where)] = value
        return tree

    def _name(self, name: object, where: Where) -> str:
        if type(name) is str and name.isascii():
            return name
        if not isinstance(name, str):
            raise unsupported(where, f"a field with a name that is no text ({type_name(name)})", "use str(name)")
        if _SURROGATE_PAIR.search(name):
            raise unsupported(where, "a field whose name has a split surrogate pair", "use another name")
        return plain_text(name)

    def saved(self) -> Saved:
        """What was written so far, for `restore`."""
        return len(self.degraded), len(self.binary), self.marked

    def restore(self, saved: Saved) -> None:
        """Forget what was written since."""
        degraded, binary, self.marked = saved
        del self.degraded[degraded:], self.binary[binary:]

    def write(self, value: Any, where: Where, depth: int, may: bool) -> Any:
        """The tree of one value; `may` tells whether it may come back as something else."""
        try:
            write = self.writers.get(type(value))
        except Exception:  # a class of classes that cannot be hashed
            write = None
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
        return value if has_digits(value) else self._marked("int", hex(value))

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
                if type(entry) is not str or not entry.isascii():
                    entry = self.write(entry, (where, index), depth + 1, may)
                entries.append(entry)
        finally:
            self._open.discard(id(value))
        return entries

    def _dict(self, value: dict[Any, Any], where: Where, depth: int, may: bool) -> Any:
        if problem := self._enter(value, depth):
            return self._refused(value, where, may, *problem)
        items: dict[str, Any] = {}
        try:
            if self.mark in value or not (_are_plain_names(value) or all(map(self._is_name, value))):
                return self._pairs(value, where, depth, may)
            for key, entry in value.items():
                if type(entry) is not str or not entry.isascii():
                    entry = self.write(entry, (where, key), depth + 1, may)
                items[plain_text(key)] = entry
        finally:
            self._open.discard(id(value))
        return items

    def _pairs(self, value: dict[Any, Any], where: Where, depth: int, may: bool) -> Any:
        """A dict whose keys are not texts alone, or which would be taken for one of our marks."""
        pairs: list[Any] = []
        before = self.saved()
        self._marks += 1
        try:
            for number, (key, entry) in enumerate(value.items()):
                step = (where, key if type(key) is str else Nth(number, type(key)))
                saved = self.saved()
                pair = [self.write(key, step, depth + 3, may)]
                new = self.degraded[saved[0] :]
                if any(one.omitted for one in new) or (new and _is_dict_field(where)):
                    self.restore(saved)
                    what = f"an entry under a key of type {type_name(key)}, which is left out; use a text as key"
                    self._tell(where, type(key), what, omitted=True)
                    pair = [self._omitted(type(key))]
                else:
                    pair.append(self.write(entry, step, depth + 3, may))
                pairs.append(pair)
        finally:
            self._marks -= 1
        tree = self._marked("dict", *pairs)
        if all(map(_is_safe, value)) or self.comes_back(tree, value, before):
            return tree
        self.restore(before)
        return self._refused(value, where, may, "a dict whose keys do not come back", "use texts as keys")

    def _is_name(self, key: object) -> bool:
        """Whether a key can stay as it is."""
        if type(key) is str:
            return key.isascii() or not _SURROGATE_PAIR.search(key)
        return isinstance(key, str) and not self.is_registered(type(key)) and is_equal(plain_text(key), key)

    def is_registered(self, cls: type) -> bool:
        """Whether objects of this class are not written as the plain values that they equal."""
        raise NotImplementedError

    def _enter(self, value: Any, depth: int) -> tuple[str, str] | None:
        """Begin a container; what is wrong with it where it cannot be."""
        if depth > self.deepest:
            return f"more than {self.deepest} levels of nesting", self.flatter
        if id(value) in self._open:
            return "a value that contains itself", "store it without the circle"
        self._open.add(id(value))
        return None

    def _guarded(self, value: Any, write: Callable[..., Any], where: Where, depth: int, may: bool) -> Any:
        """Write something that may hold itself, as a mark."""
        if problem := self._enter(value, depth):
            return self._refused(value, where, may, *problem)
        self._marks += 1
        try:
            return write(value, where, depth, may)
        finally:
            self._marks -= 1
            self._open.discard(id(value))

    def comes_back(self, tree: Any, value: Any, since: Saved) -> bool:
        """Whether a value is read from this tree, written `since` then, as what it is (but for what was told)."""
        raise NotImplementedError

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
        self._marks += 1
        entries = self._list(value, where, depth + 1, may)
        self._marks -= 1
        return self._marked("tuple", *entries) if isinstance(entries, list) else entries

    def _set(self, value: Any, where: Where, depth: int, may: bool) -> Any:
        before = self.saved()
        tree = self._guarded(value, self._members, where, depth, may)
        if all(map(_is_safe, value)) or self.comes_back(tree, value, before):
            return tree
        self.restore(before)
        return self._refused(value, where, may, "a set whose members do not come back", "use a list")

    def _members(self, value: Any, where: Where, depth: int, may: bool) -> Any:
        self._sets += 1
        try:
            written = [self.write(entry, (where, "member", True), depth + 3, may) for entry in value]
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
            return self._refused(value, where, may, f"a {kind} in a time zone that is a {type_name(zone)}", fix)
        if value.fold:
            more = [*(more or [None]), 1]
        return self._marked(kind, value.isoformat(), *more)

    def _other(self, value: Any, where: Where, depth: int, may: bool) -> Any:
        """The tree of a value of another type."""
        raise NotImplementedError

    # What comes back as something else

    def _refused(self, value: Any, where: Where, may: bool, what: str, fix: str) -> Any:
        if not may:
            raise unsupported(where, what, fix)
        self._tell(where, type(value), f"{what}, which is left out and reads as None; {fix}", omitted=True)
        return self._omitted(type(value))

    def _omitted(self, cls: type) -> Any:
        return self._marked("omitted", full_name(cls))

    def _tell(
        self, where: Where, cls: type, what: str, *, omitted: bool, registered: bool = False, at: int | None = None
    ) -> None:
        path = path_of(where)
        told = Degraded(path, cls, omitted, f"{path} holds {what}.", registered)
        self.degraded.insert(len(self.degraded) if at is None else at, told)


def _is_dict_field(where: Where) -> bool:
    """Whether nothing but a dict can be here: a field of the message itself."""
    return not isinstance(where, str) and isinstance(where[0], str) and where[1] != "artifact"


def _are_plain_names(keys: Collection[Any]) -> bool:
    """Whether these are texts of ASCII, and none is empty: such keys are what they are everywhere."""
    try:
        kinds = {*map(type, keys)}
    except Exception:  # a class of classes that cannot be hashed
        return False
    return len(kinds) == 1 and str in kinds and "".join(keys).isascii() and "" not in keys


def _is_safe(value: object) -> bool:
    """Whether a key or member surely comes back: of a type whose hashes nobody can choose."""
    kind = type(value)
    return kind is str or kind is bytes or kind is bool or kind is date or value is None


_USUAL = {struct.pack(">d", number).hex(): repr(number) for number in (math.nan, math.inf, -math.inf)}
ValueWriter.writers = {
    type(None): ValueWriter._none,
    bool: ValueWriter._none,
    int: ValueWriter._int,
    float: ValueWriter._float,
    str: ValueWriter._str,
    list: ValueWriter._list,
    dict: ValueWriter._dict,
    tuple: ValueWriter._tuple,
    set: ValueWriter._set,
    frozenset: ValueWriter._set,
    bytes: ValueWriter._bytes,
    bytearray: ValueWriter._bytearray,
    complex: ValueWriter._complex,
    Decimal: ValueWriter._decimal,
    datetime: ValueWriter._time,
    time: ValueWriter._time,
    date: ValueWriter._date,
    timedelta: ValueWriter._timedelta,
    UUID: ValueWriter._uuid,
}
