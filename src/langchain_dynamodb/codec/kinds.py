"""Kinds of classes whose objects messages may hold: how an object is taken apart and put together.

An object is made without its class's constructor and validators: its fields are set. And it is taken apart without
code of its class, so that what is stored is what it holds.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import enum
from collections.abc import Callable, Collection, Mapping
from functools import cached_property
from types import BuiltinFunctionType, MemberDescriptorType
from typing import Any, NamedTuple

from langchain_core.documents import Document
from langchain_core.messages import BaseMessage
from pydantic import BaseModel, RootModel
from pydantic.dataclasses import is_pydantic_dataclass
from pydantic_core import PydanticUndefined

from .showing import shows_otherwise

_set = object.__setattr__
ABSENT = object()
"""Stands for what an object does not have."""


class Parts(NamedTuple):
    """An object taken apart: its fields by name, which of them were not given, and fields that its class lacks."""

    fields: Mapping[str, Any]
    unset: Collection[str] = ()
    extra: Mapping[str, Any] | None = None


class ObjectClass:
    """How objects of one class are taken apart and put together; `name` is what they are stored under."""

    kind = "object"

    def __init__(self, cls: type, name: str) -> None:
        self.cls = cls
        self.name = name

    @cached_property
    def fields(self) -> Mapping[str, Any]:
        """What is known of each field."""
        raise NotImplementedError

    @cached_property
    def is_simple(self) -> bool:
        """Whether an object's fields are where they are set: no property of the class answers for one."""
        found = [_static(self.cls, name) for name in self.fields]
        return all(isinstance(one, MemberDescriptorType) or not hasattr(type(one), "__set__") for one in found)

    @property
    def hides(self) -> bool:
        """Whether the class has its own ways to show its objects, which their data must keep to."""
        return False

    def take_apart(self, thing: Any) -> Parts:
        """The parts of an object; raises AttributeError or KeyError where a field is not set."""
        raise NotImplementedError

    def state(self, thing: Any) -> Parts:
        """What two objects that are the same have in common."""
        return self.take_apart(thing)

    def beside(self, thing: Any) -> list[tuple[Any, Any]]:
        """What an object made of the parts has beside them, each with what this one has there."""
        found: list[tuple[Any, Any]] = []
        for member in self._slots:
            with contextlib.suppress(AttributeError):
                found.append((ABSENT, member.__get__(thing)))
        state = _state(thing)
        for name in state.keys() - self.fields.keys():
            derived = _static(self.cls, name)
            found.append((derived.func(thing) if isinstance(derived, cached_property) else ABSENT, state[name]))
        return found

    @cached_property
    def _slots(self) -> list[Any]:
        """Slots that are no fields."""
        return [
            member
            for base in self.cls.__mro__
            for name, member in vars(base).items()
            if isinstance(member, MemberDescriptorType) and name not in self.fields and base is not BaseModel
        ]

    def is_made_with_data(self, parts: Parts) -> bool:
        """Whether an object is made of these parts, though one of them was read as data or was left out."""
        return False

    def put_together(self, parts: Parts) -> Any:
        """The object of its parts; raises ValueError where they are not those of the class as it is now."""
        raise NotImplementedError

    def json(self, thing: Any) -> Any:
        """What its class makes of it in JSON's types; raises whatever that raises."""
        raise TypeError("no such form")

    def data(self, thing: Any) -> Any:
        """The object's data, in plain types but for its parts; raises what `take_apart` raises."""
        parts = self.take_apart(thing)
        return {**parts.fields, **(parts.extra or {})}


class _Model(ObjectClass):
    cls: type[BaseModel]

    @cached_property
    def fields(self) -> Mapping[str, Any]:
        return dict(self.cls.model_fields)

    @cached_property
    def hides(self) -> bool:
        is_usual = self.cls.model_dump is BaseModel.model_dump and not issubclass(self.cls, RootModel)
        return not is_usual or shows_otherwise(self.cls, self.cls.__pydantic_core_schema__)

    @cached_property
    def _private(self) -> dict[str, Any]:
        return self.cls.__private_attributes__

    def take_apart(self, thing: Any) -> Parts:
        fields, given, extra = self.state(thing)
        unset: tuple[str, ...] = ()
        if extra or given != fields.keys():
            unset = tuple([name for name in (*self.fields, *(extra or ())) if name not in given])
        return Parts(fields, unset, extra)

    def state(self, thing: Any) -> Parts:
        fields = thing.__dict__
        if fields.keys() != self.fields.keys():  # what is derived may be there too
            fields = {name: fields[name] for name in self.fields}
        return Parts(fields, thing.__pydantic_fields_set__, thing.__pydantic_extra__)

    def beside(self, thing: Any) -> list[tuple[Any, Any]]:
        found = super().beside(thing) if self._slots or len(thing.__dict__) > len(self.fields) else []
        given = thing.__pydantic_fields_set__
        if not given <= self.fields.keys():
            found.append((set(), given.difference(self.fields, thing.__pydantic_extra__ or ())))
        if self._private:
            found.append((self._initial(), thing.__pydantic_private__))
        return found

    def put_together(self, parts: Parts) -> Any:
        fields, unset, extra = dict(parts.fields), parts.unset, parts.extra
        given = {*fields, *extra} if extra else {*fields}
        if fields.keys() != self.fields.keys():
            self._complete(fields)
        if extra and not self._allows_extra:
            raise ValueError("extra fields")
        thing = object.__new__(self.cls)
        _set(thing, "__dict__", fields)
        _set(thing, "__pydantic_fields_set__", given.difference(unset) if unset else given)
        _set(thing, "__pydantic_extra__", dict(extra or {}) if self._allows_extra else None)
        _set(thing, "__pydantic_private__", self._initial() if self._private else None)
        return thing

    @cached_property
    def _allows_extra(self) -> bool:
        return self.cls.model_config.get("extra") == "allow"

    def _complete(self, fields: dict[str, Any]) -> None:
        """Give fields that the class has got meanwhile their defaults."""
        for name, field in self.fields.items():
            if name not in fields:
                if field.is_required() or getattr(field, "default_factory_takes_validated_data", False):
                    raise ValueError("a field is missing")
                fields[name] = field.get_default(call_default_factory=True)
        if fields.keys() - self.fields.keys():
            raise ValueError("a field that the class does not have")

    def _initial(self) -> dict[str, Any]:
        """The private attributes of a new object."""
        found = {}
        for name, attribute in self._private.items():
            factory: Any = attribute.default_factory
            value = factory() if factory else copy.deepcopy(attribute.default)
            if value is not PydanticUndefined:
                found[name] = value
        return found

    def json(self, thing: Any) -> Any:
        return thing.model_dump(mode="json", warnings=False)

    def data(self, thing: Any) -> Any:
        try:
            return self.json(thing)
        except (MemoryError, RecursionError):
            raise
        except Exception:  # serializers of any class may raise anything
            return self._shown(thing) if self.hides else super().data(thing)

    def _shown(self, thing: Any) -> dict[str, Any]:
        """Field by field, those that raise left out; raises ValueError where all of them are."""
        shown: dict[str, Any] = {}
        for name in self.fields:
            try:
                shown |= thing.model_dump(mode="json", warnings=False, include={name})
            except (MemoryError, RecursionError):
                raise
            except Exception:
                shown[name] = ABSENT
        if all(value is ABSENT for value in shown.values()):
            raise ValueError("nothing is shown")
        return shown


class _Dataclass(ObjectClass):
    @cached_property
    def fields(self) -> Mapping[str, dataclasses.Field[Any]]:
        return {field.name: field for field in dataclasses.fields(self.cls)}

    def take_apart(self, thing: Any) -> Parts:
        return Parts({name: object.__getattribute__(thing, name) for name in self.fields})

    def put_together(self, parts: Parts) -> Any:
        fields = dict(parts.fields)
        for name, field in self.fields.items():
            if name not in fields:
                fields[name] = _default(field)
        if fields.keys() != self.fields.keys():
            raise ValueError("a field that the class does not have")
        thing: Any = object.__new__(self.cls)
        for name, value in fields.items():
            _set(thing, name, value)
        return thing

    @cached_property
    def _is_pydantic(self) -> bool:
        return is_pydantic_dataclass(self.cls)

    @cached_property
    def hides(self) -> bool:
        return self._is_pydantic and shows_otherwise(self.cls, vars(self.cls)["__pydantic_core_schema__"])

    def json(self, thing: Any) -> Any:
        if not self._is_pydantic:
            return super().json(thing)
        return vars(self.cls)["__pydantic_serializer__"].to_python(thing, mode="json", warnings=False)

    def data(self, thing: Any) -> Any:
        return self.json(thing) if self.hides else super().data(thing)


class _NamedTuple(ObjectClass):
    kind = "named tuple"
    cls: Any

    @cached_property
    def fields(self) -> Mapping[str, Any]:
        return dict.fromkeys(self.cls._fields)

    @cached_property
    def is_simple(self) -> bool:
        return True  # what is in a tuple is there by its position

    def take_apart(self, thing: Any) -> Parts:
        return Parts(dict(zip(self.fields, tuple.__iter__(thing), strict=True)))

    def beside(self, thing: Any) -> list[tuple[Any, Any]]:
        return [({}, _state(thing))]

    def put_together(self, parts: Parts) -> Any:
        fields = {**self.cls._field_defaults, **parts.fields}
        if fields.keys() != self.fields.keys():
            raise ValueError("not the fields of the class")
        return tuple.__new__(self.cls, [fields[name] for name in self.fields])

    def data(self, thing: Any) -> Any:
        return tuple(tuple.__iter__(thing))


class _Enum(ObjectClass):
    """A member's name alone identifies it; its value is stored for those who do not know the class."""

    kind = "enum"
    cls: type[enum.Enum]
    fields: Mapping[str, Any] = {}
    is_simple = True

    def take_apart(self, thing: Any) -> Parts:
        return Parts({"name": thing._name_, "value": thing._value_})

    def beside(self, thing: Any) -> list[tuple[Any, Any]]:
        return []  # there is only one of each

    def put_together(self, parts: Parts) -> Any:
        member = self.cls.__members__.get(parts.fields["name"] or "")
        if member is not None:
            return member
        if issubclass(self.cls, enum.Flag):  # several together have no name
            return self.cls(parts.fields["value"])
        return next(known for known in self.cls if known._value_ == parts.fields["value"])

    def data(self, thing: Any) -> Any:
        return thing._value_


def kind_of(cls: object) -> Callable[[Any, str], ObjectClass] | None:
    """The kind of a class; None for all others, and for langchain-core's own."""
    if not isinstance(cls, type) or cls is Document:
        return None
    if issubclass(cls, enum.Enum):
        return _Enum if cls.__members__ else None
    if issubclass(cls, BaseModel):
        return None if cls is BaseModel or issubclass(cls, BaseMessage) else _Model
    if issubclass(cls, tuple):
        return _NamedTuple if isinstance(getattr(cls, "_field_defaults", None), dict) else None
    return _Dataclass if dataclasses.is_dataclass(cls) and _is_plain(cls) else None


class _Document(_Model):
    def is_made_with_data(self, parts: Parts) -> bool:
        """See `ObjectClass`: what is in its metadata does no harm."""
        return type(parts.fields.get("page_content")) is str and type(parts.fields.get("metadata")) is dict


DOCUMENT = _Document(Document, "Document")


def _is_plain(cls: type) -> bool:
    """Whether its objects consist of their attributes: those of a subclass of dict or Exception do not."""
    made_by = [vars(base).get("__new__") for base in cls.__mro__ if base is not object]
    return not any(isinstance(one, BuiltinFunctionType) for one in made_by)


def _state(thing: Any) -> dict[str, Any]:
    try:
        state: dict[str, Any] = object.__getattribute__(thing, "__dict__")
    except AttributeError:
        return {}
    return state


def _static(cls: type, name: str) -> Any:
    """What a class has under a name, as it is."""
    return next((vars(base)[name] for base in cls.__mro__ if name in vars(base)), None)


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default is not dataclasses.MISSING:
        return field.default
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    raise ValueError("a field is missing")
