"""Classes of objects that messages hold: which are registered, how an object is taken apart and put together.

Nothing here imports a module or calls what stored bytes name. An object is made without its class's constructor and
validators: its fields are set. (An object that was stored before its class was registered is the exception: pydantic
validates its data.)
"""

from __future__ import annotations

import copy
import dataclasses
import enum
import json
import threading
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, NamedTuple, TypeVar

from langchain_core.documents import Document
from langchain_core.messages import BaseMessage
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from .._checks import short
from ..errors import InvalidInputError
from .classes import checked_name, full_name

T = TypeVar("T")


class Parts(NamedTuple):
    """An object taken apart: its fields by name, which of them were given, and fields that its class does not have."""

    fields: Mapping[str, Any]
    unset: tuple[str, ...] = ()
    extra: Mapping[str, Any] | None = None


class ObjectClass:
    """How objects of one class are taken apart and put together; `name` is what they are stored under."""

    def __init__(self, cls: type, name: str) -> None:
        self.cls = cls
        self.name = name

    def take_apart(self, thing: Any) -> Parts:
        """The parts of an object; raises AttributeError or KeyError where a field is not set."""
        raise NotImplementedError

    def has_more(self, thing: Any) -> bool:
        """Whether it holds more than its fields."""
        return False

    def put_together(self, parts: Parts) -> Any:
        """The object of its parts; raises ValueError where they are not those of the class as it is now."""
        raise NotImplementedError

    def from_data(self, data: Any) -> Any:
        """The object of its data in JSON; raises ValueError or whatever the class's validators raise."""
        raise ValueError("stored as data only")


class _Model(ObjectClass):
    cls: type[BaseModel]

    @cached_property
    def _fields(self) -> dict[str, Any]:
        return dict(self.cls.model_fields)

    @cached_property
    def _private(self) -> dict[str, Any]:
        return self.cls.__private_attributes__

    def has_more(self, thing: Any) -> bool:
        private = thing.__pydantic_private__
        return not _is_state(self.cls, vars(thing).keys() - self._fields.keys()) or bool(
            private and private != self._initial()
        )

    def take_apart(self, thing: Any) -> Parts:
        fields, state = self._fields, vars(thing)
        unset = tuple(name for name in fields if name not in thing.__pydantic_fields_set__)
        return Parts({name: state[name] for name in fields}, unset, thing.__pydantic_extra__)

    def put_together(self, parts: Parts) -> Any:
        fields = dict(parts.fields)
        for name, field in self._fields.items():
            if name not in fields:
                if field.is_required() or getattr(field, "default_factory_takes_validated_data", False):
                    raise ValueError("a field is missing")
                fields[name] = field.get_default(call_default_factory=True)
        if fields.keys() - self._fields.keys():
            raise ValueError("a field that the class does not have")
        allows_extra = self.cls.model_config.get("extra") == "allow"
        if parts.extra and not allows_extra:
            raise ValueError("extra fields")
        thing = object.__new__(self.cls)
        extra = dict(parts.extra or {}) if allows_extra else None
        set_ = {name for name in parts.fields if name not in parts.unset} | (extra or {}).keys()
        object.__setattr__(thing, "__dict__", fields)
        object.__setattr__(thing, "__pydantic_fields_set__", set_)
        object.__setattr__(thing, "__pydantic_extra__", extra)
        object.__setattr__(thing, "__pydantic_private__", self._initial() if self._private else None)
        return thing

    def _initial(self) -> dict[str, Any]:
        """The private attributes of a new object."""
        found = {}
        for name, attribute in self._private.items():
            factory: Any = attribute.default_factory
            value = factory() if factory else copy.deepcopy(attribute.default)
            if value is not PydanticUndefined:
                found[name] = value
        return found

    def from_data(self, data: Any) -> Any:
        thing = _validated(self.cls, json.dumps(data))
        if thing.model_dump(mode="json", warnings=False) != data:
            raise ValueError("a part of the data was dropped")
        return thing


class _Dataclass(ObjectClass):
    @cached_property
    def _fields(self) -> dict[str, dataclasses.Field[Any]]:
        return {field.name: field for field in dataclasses.fields(self.cls)}

    def has_more(self, thing: Any) -> bool:
        return not _is_state(self.cls, getattr(thing, "__dict__", {}).keys() - self._fields.keys())

    def take_apart(self, thing: Any) -> Parts:
        return Parts({name: getattr(thing, name) for name in self._fields})

    def put_together(self, parts: Parts) -> Any:
        fields = dict(parts.fields)
        for name, field in self._fields.items():
            if name not in fields:
                fields[name] = _default(field)
        if fields.keys() != self._fields.keys():
            raise ValueError("a field that the class does not have")
        thing: Any = object.__new__(self.cls)
        for name, value in fields.items():
            object.__setattr__(thing, name, value)
        return thing


class _NamedTuple(ObjectClass):
    cls: Any

    def has_more(self, thing: Any) -> bool:
        return bool(getattr(thing, "__dict__", None))

    def take_apart(self, thing: Any) -> Parts:
        return Parts(dict(zip(self.cls._fields, thing, strict=True)))

    def put_together(self, parts: Parts) -> Any:
        fields = {**self.cls._field_defaults, **parts.fields}
        if fields.keys() != {*self.cls._fields}:
            raise ValueError("not the fields of the class")
        return tuple.__new__(self.cls, [fields[name] for name in self.cls._fields])


class _Enum(ObjectClass):
    cls: type[enum.Enum]

    def take_apart(self, thing: Any) -> Parts:
        return Parts({"name": thing.name, "value": thing.value})

    def put_together(self, parts: Parts) -> Any:
        member = self.cls.__members__.get(parts.fields["name"] or "")
        if member is not None:
            return member
        if issubclass(self.cls, enum.Flag):  # several together have no name
            return self.cls(parts.fields["value"])
        return next(known for known in self.cls if known.value == parts.fields["value"])


class Objects:
    """The registered classes by name and by class; threads may share it."""

    def __init__(self) -> None:
        self.by_name: dict[str, ObjectClass] = {}
        self.by_class: dict[type, ObjectClass] = {}
        self.has_plain_enums = False  # members that JSON takes for text or numbers
        self.told: set[type] = set()  # classes that somebody was warned of
        self._lock = threading.Lock()
        self._add(_Model(Document, "Document"))

    def register(self, known: ObjectClass) -> None:
        """Know this class under this name too; raises `InvalidInputError` if it is taken."""
        with self._lock:
            other = self.by_name.get(known.name)
            if other and full_name(other.cls) != full_name(known.cls):
                what = f"The name {short(known.name)} is taken by {full_name(other.cls)}"
                raise InvalidInputError(f"{what}; give another name.")
            if other:
                self.by_class.pop(other.cls, None)
            self._add(known)

    def _add(self, known: ObjectClass) -> None:
        self.by_name[known.name] = self.by_class[known.cls] = known
        if issubclass(known.cls, enum.Enum) and issubclass(known.cls, (str, int, float, list, dict)):
            self.has_plain_enums = True


OBJECTS = Objects()


def register_class(cls: type[T], name: str | None = None) -> type[T]:
    """Let objects of your own class in messages come back as themselves; returns the class, so it can be a decorator.

    For pydantic models, dataclasses, NamedTuples and enums. `name`, by default the module and qualified name, is stored
    with each object, so give one if the class may move. To read what was stored under an earlier name, register the
    class under that name first and then under the new one, which is written from then on. Registering a redefined class
    (same module and qualified name) replaces it. A process that has not registered the class reads the object's data.

    Objects are made without their class's constructor: fields are set to what was stored, and those that are missing
    to their defaults.

    Raises InvalidInputError for any other kind of class and for a name that is taken.
    """
    kind = _kind(cls)
    if kind is None:
        what = f"{short(cls)} cannot be registered"
        if isinstance(cls, type) and issubclass(cls, BaseMessage):
            raise InvalidInputError(f"{what} as a value; call register_message_class.")
        raise InvalidInputError(f"{what}; give a pydantic model, dataclass, NamedTuple or enum of your own.")
    OBJECTS.register(kind(cls, checked_name(cls, name)))
    return cls


def described(thing: object) -> ObjectClass | None:
    """How an object of a class that is not registered would be taken apart; None for all other kinds of objects."""
    cls = type(thing)
    kind = _Model if isinstance(thing, BaseModel) else _kind(cls)
    return None if kind is None else kind(cls, full_name(cls))


def _kind(cls: object) -> Callable[[Any, str], ObjectClass] | None:
    if not isinstance(cls, type) or cls is Document:
        return None
    if issubclass(cls, enum.Enum):
        return _Enum if cls.__members__ else None
    if issubclass(cls, BaseModel):
        return None if cls is BaseModel or issubclass(cls, BaseMessage) else _Model
    if issubclass(cls, tuple):
        return _NamedTuple if isinstance(getattr(cls, "_field_defaults", None), dict) else None
    return _Dataclass if dataclasses.is_dataclass(cls) and _is_plain(cls) else None


def _validated(cls: type[BaseModel], text: str) -> BaseModel:
    """The model of its dump, which has names of fields and not their aliases."""
    options: dict[str, Any] = {"by_name": True}
    try:
        return cls.model_validate_json(text, **options)
    except TypeError:  # pydantic before 2.11 asks the class alone
        return cls.model_validate_json(text)


def _is_plain(cls: type) -> bool:
    """Whether its objects consist of their attributes: those of a subclass of dict or Exception do not."""
    try:
        object.__new__(cls)
    except TypeError:
        return False
    return True


def _is_state(cls: type, names: set[str]) -> bool:
    """Whether attributes beside the fields are only what the class derives from them."""
    return all(isinstance(getattr(cls, name, None), cached_property) for name in names)


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default is not dataclasses.MISSING:
        return field.default
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    raise ValueError("a field is missing")
