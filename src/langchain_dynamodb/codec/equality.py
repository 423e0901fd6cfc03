"""Whether what was read is what was given: stricter than ``==``, and defined for values that equal nothing.

Code of the values' classes is not asked: values are compared by their types and parts.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from langchain_core.messages import BaseMessage

from .kinds import ObjectClass, Parts
from .marks import Replaced, StoredObject
from .plain import plain_value

ClassOf = Callable[[type], "ObjectClass | None"]
"""How objects of a class are taken apart, if that is known."""


def same(read: Any, given: Any, known: ClassOf) -> bool:
    """Whether a value read back is the given one; of subclasses of plain types, an equal plain one is.

    What is known to come back as something else (`Replaced`) is not compared.
    """
    kind = type(read)
    if kind is not type(given):
        if kind is Replaced:
            return True
        if kind is StoredObject:
            return _is_stored(read, given, known(type(given)), known)
        if type(given) in _BY_TYPE:
            return False
        given = plain_value(given)
        if kind is not type(given):
            return False
    compare = _BY_TYPE.get(kind)
    if compare is not None:
        return compare(read, given, known)
    if BaseMessage in kind.__mro__:
        return _states(read, given, known)
    if kind is StoredObject:
        return (read.kind, read.name) == (given.kind, given.name) and _parts(read.parts, given.parts, known)
    if read is given:
        return True
    found = known(kind)
    if found is None or found.kind == "enum":  # whose members there is only one of each
        return False
    return _parts(found.state(read), found.state(given), known)


def _is_stored(read: StoredObject, given: Any, found: ObjectClass | None, known: ClassOf) -> bool:
    return (
        found is not None
        and (read.kind, read.name) == (found.kind, found.name)
        and _parts(read.parts, found.take_apart(given), known)
    )


def _parts(read: Parts, given: Parts, known: ClassOf) -> bool:
    return (
        read.unset == given.unset
        and _named(read.fields, given.fields, known)
        and (not (read.extra or given.extra) or _dicts(read.extra or {}, given.extra or {}, known))
    )


def _states(read: BaseMessage, given: BaseMessage, known: ClassOf) -> bool:
    return (
        _named(vars(read), vars(given), known)
        and _dicts(read.__pydantic_extra__ or {}, given.__pydantic_extra__ or {}, known)
        and same(read.__pydantic_private__, given.__pydantic_private__, known)
    )


def _plain(read: Any, given: Any, known: ClassOf) -> bool:
    return bool(read == given)


def _times(read: datetime | time, given: datetime | time, known: ClassOf) -> bool:
    zone, other = read.tzinfo, given.tzinfo
    if zone is None or other is None:
        return zone is other and read.fold == given.fold and read == given
    return repr(read) == repr(given)  # zones that equal one another may differ


def _rows(read: Iterable[Any], given: Iterable[Any], known: ClassOf) -> bool:
    """Whether these are the same one by one. Most are texts and whole numbers, for which a call would take longer."""
    for one, other in zip(read, given):  # noqa: B905 - of one length
        kind = type(one)
        if kind in _EQUAL and kind is type(other):
            if one != other:
                return False
        elif one is not other and not same(one, other, known):
            return False
    return True


def _lists(read: Any, given: Any, known: ClassOf) -> bool:
    return len(read) == len(given) and _rows(read, given, known)


def _dicts(read: Mapping[Any, Any], given: Mapping[Any, Any], known: ClassOf) -> bool:
    return len(read) == len(given) and _rows(read, given, known) and _rows(read.values(), given.values(), known)


def _named(read: Mapping[str, Any], given: Mapping[str, Any], known: ClassOf) -> bool:
    """Whether two objects have the same in the same fields, in any order."""
    return read.keys() == given.keys() and _rows(read.values(), [given[name] for name in read], known)


def _sets(read: Any, given: Any, known: ClassOf) -> bool:
    if len(read) != len(given) or any(type(entry) is Replaced for entry in read):
        return len(read) == len(given)
    kinds = {*map(type, read)} | {*map(type, given)}
    if len(kinds) == 1 and kinds <= _EQUAL:
        return bool(read == given)
    return Counter(_token(entry, known) for entry in read) == Counter(_token(entry, known) for entry in given)


def _token(value: Any, known: ClassOf) -> Hashable:
    """What is the same for values that are, and nothing else."""
    kind = type(value)
    if kind in _EQUAL:
        return kind, value
    if kind in _TEXTS:
        return kind, _TEXTS[kind](value)
    if kind in (tuple, list):
        return kind, tuple([_token(entry, known) for entry in value])
    if kind in (set, frozenset):
        return kind, frozenset(Counter(_token(entry, known) for entry in value).items())
    if issubclass(kind, dict):
        return dict, tuple([(_token(key, known), _token(entry, known)) for key, entry in value.items()])
    if kind is StoredObject:
        return value.kind, value.name, _token_of(value.parts, known)
    plain = plain_value(value)
    if plain is not None:
        return _token(plain, known)
    found = known(kind)
    if found is None or found.kind == "enum":
        return kind, id(value)
    return found.kind, found.name, _token_of(found.take_apart(value), known)


def _token_of(parts: Parts, known: ClassOf) -> Hashable:
    return parts.unset, _token(dict(parts.fields), known), _token(dict(parts.extra or {}), known)


_EQUAL = frozenset([type(None), str, int, bool, bytes, date, timedelta])
_TEXTS: dict[type, Callable[[Any], Hashable]] = {
    float: lambda value: struct.pack(">d", value),
    complex: lambda value: struct.pack(">2d", value.real, value.imag),
    Decimal: str,
    datetime: repr,  # with fold and zone
    time: repr,
    UUID: lambda value: (value.int, value.is_safe),
}
"""Types whose values equal others that differ, and what those do not have in common."""

_BY_TYPE: dict[type, Callable[[Any, Any, ClassOf], bool]] = {
    **dict.fromkeys((*_EQUAL, bytearray), _plain),
    **dict.fromkeys((list, tuple), _lists),
    **dict.fromkeys((set, frozenset), _sets),
    **{
        kind: lambda read, given, known, text=text: text(read) == text(given)  # type: ignore[misc]
        for kind, text in _TEXTS.items()
    },
    dict: _dicts,
    datetime: _times,
    time: _times,
}
