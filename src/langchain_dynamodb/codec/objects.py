"""Writing objects as JSON with marks in it (see `marks`): exactly, as their data, or not at all.

What comes back as something else is told: in three fields of a message (`DEGRADABLE`) an object of a class that is not
registered is stored as its data, and what no data is known of is left out. Everywhere else, and everywhere with
`strict`, both are refused.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any

from langchain_core.messages import BaseMessage
from pydantic import BaseModel

from ..errors import UnsupportedMessageError
from .advice import advice
from .classes import MESSAGES
from .places import Where, path_of, type_name, unsupported
from .plain import plain_value
from .registry import OBJECTS, ObjectClass, Parts, described
from .values import ValueWriter

TakeApart = Callable[[BaseMessage, str], dict[str, Any]]


class Writer(ValueWriter):
    """Writes the values of one message; `take_apart` gives the fields of a message within it."""

    def __init__(self, take_apart: TakeApart, *, strict: bool) -> None:
        super().__init__(strict=strict)
        self.take_apart = take_apart

    def _other(self, value: Any, where: Where, depth: int, may: bool) -> Any:
        cls = type(value)
        known = OBJECTS.by_class.get(cls)
        if known:
            return self._guarded(value, self._registered, where, depth, may)
        if cls in MESSAGES.by_class:
            return self._guarded(value, self._message, where, depth, may)
        plain = plain_value(value)
        if plain is not None:
            return self.write(plain, where, depth, may)
        if described(value) and not isinstance(value, type):
            return self._guarded(value, self._unregistered, where, depth, may)
        return self._refused(value, where, may, f"a value of type {type_name(value)}", advice(value))

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
            return self._refused(
                value, where, may, f"a {type_name(value)} that cannot be stored", str(error).rstrip(".")
            )

    def _nested(self, fields: dict[str, Any]) -> Any:
        return self._marked("message", fields)

    def _unregistered(self, value: Any, where: Where, depth: int, may: bool) -> Any:
        known = described(value)
        assert known is not None
        call = "register_message_class" if isinstance(value, BaseMessage) else "register_class"
        fix = f"to get it back as it is, call langchain_dynamodb.{call}({type(value).__name__})"
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
            raise unsupported(where, f"a value of type {type_name(value)}, {what}", fix)
        told = f"a value of type {type_name(value)}, {what}: it is stored as its data, and comes back so; {fix}"
        self._tell(where, type(value), told, omitted=False)
        if isinstance(value, BaseModel) and (data := _dumped(value)) is not None:
            return self._data(name, self.write(data, where, depth + 2, may))
        try:
            parts = known.take_apart(value)
        except Exception:
            return self._refused(value, where, may, f"a value of type {type_name(value)} without its fields", fix)
        return self._parts(name, parts, value, where, depth, may)

    def _data(self, name: str | None, data: Any) -> Any:
        return self._marked("data", name, data)


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
