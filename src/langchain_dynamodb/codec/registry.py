"""Classes of objects that messages hold: which are registered, and under which names.

Nothing here imports a module or calls what stored bytes name.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TypeVar

from langchain_core.messages import BaseMessage

from .._checks import short
from ..errors import InvalidInputError
from .classes import checked_name, full_name, with_class
from .kinds import DOCUMENT, ObjectClass, kind_of

T = TypeVar("T")


class Objects:
    """The registered classes by name and by class; threads may share it."""

    def __init__(self) -> None:
        self.by_name: dict[str, ObjectClass] = {}
        self.by_class: dict[type, ObjectClass] = {}
        self.told: set[str] = set()  # full names of classes that somebody was warned of as not registered
        self._lock = threading.Lock()
        self._add(DOCUMENT)

    def register(self, known: ObjectClass) -> None:
        """Know this class under this name too; raises `InvalidInputError` if it is taken."""
        with self._lock:
            other = self.by_name.get(known.name)
            if other and full_name(other.cls) != full_name(known.cls):
                what = f"The name {short(known.name)} is taken by {full_name(other.cls)}"
                raise InvalidInputError(f"{what}; give another name.")
            self._add(known)

    def _add(self, known: ObjectClass) -> None:
        self.by_name, self.by_class = with_class(self.by_name, self.by_class, known.name, known)

    def snapshot(self) -> tuple[Mapping[str, ObjectClass], Mapping[type, ObjectClass]]:
        """The classes by name and by class, as they are at one moment."""
        with self._lock:
            return self.by_name, self.by_class


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
    kind = kind_of(cls)
    if kind is None:
        what = f"{short(cls)} cannot be registered"
        if isinstance(cls, type) and issubclass(cls, BaseMessage):
            raise InvalidInputError(f"{what} as a value; call register_message_class.")
        raise InvalidInputError(f"{what}; give a pydantic model, dataclass, NamedTuple or enum of your own.")
    OBJECTS.register(kind(cls, checked_name(cls, name)))
    return cls


def described(cls: type) -> ObjectClass | None:
    """How objects of a class that is not registered are taken apart; None for all other kinds of objects."""
    kind = kind_of(cls)
    return None if kind is None else kind(cls, full_name(cls))
