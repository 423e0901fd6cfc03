"""The classes of messages: how each is written, and under which name."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from functools import cached_property, partial
from itertools import repeat, starmap
from typing import Any, Protocol, TypeVar, cast

import langchain_core.messages as lc
from langchain_core.messages import BaseMessage
from pydantic import BaseModel, ConfigDict, InstanceOf, create_model
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefinedType

from .._checks import short
from ..errors import InvalidInputError

BUILT_IN: tuple[type[BaseMessage], ...] = (
    lc.HumanMessage,
    lc.HumanMessageChunk,
    lc.AIMessage,
    lc.AIMessageChunk,
    lc.SystemMessage,
    lc.SystemMessageChunk,
    lc.ChatMessage,
    lc.ChatMessageChunk,
    lc.FunctionMessage,
    lc.FunctionMessageChunk,
    lc.ToolMessage,
    lc.ToolMessageChunk,
    lc.RemoveMessage,
)
_QUALNAME: Callable[[type], str] = type.__dict__["__qualname__"].__get__
_MODULE: Callable[[type], object] = type.__dict__["__module__"].__get__
_set = object.__setattr__
_exhaust: Callable[[map[Any]], object] = partial(deque, maxlen=0)
_ALWAYS = object()  # the "default" of a field that is always written
_SHARED = (str, bytes, bool, int, float, type(None), PydanticUndefinedType)  # types of defaults that cannot change


class MessageClass:
    """How one message class is written: its tag, its fields and their defaults."""

    def __init__(self, cls: type[BaseMessage], tag: str) -> None:
        self.cls = cls
        self.tag = tag
        fields = cls.model_fields
        self.names = frozenset(fields)
        self.defaults = [(name, _default(field)) for name, field in fields.items() if name != "type"]
        self.usual_type = fields["type"].default
        self.allows_extra = cls.model_config.get("extra") == "allow"
        self.has_post_init = cls.model_post_init is not BaseModel.model_post_init
        self._template = {name: field.default for name, field in fields.items()}
        self._made = [(name, make) for name, field in fields.items() if (make := _factory(field))]
        derives = any(field.default_factory_takes_validated_data for field in fields.values())
        is_plain = self.allows_extra and not (derives or self.has_post_init or cls.__private_attributes__)
        self.can_build = cls in BUILT_IN and is_plain  # others may be other classes by now: they are checked each time

    def build(self, stored: Sequence[dict[str, Any]]) -> list[BaseMessage]:
        """Messages with these fields, none of which it looks at; of a class that `can_build`.

        For bytes that were decoded before. It goes through all messages with each step, in C: that takes half the time
        of going through all steps with each message, and from Python 3.12 on no garbage is collected in between.
        """
        count = len(stored)
        messages: list[BaseMessage] = list(map(object.__new__, repeat(self.cls, count)))
        states = list(map(dict.copy, repeat(self._template, count)))
        for name, make in self._made:
            _exhaust(map(dict.__setitem__, states, repeat(name), starmap(make, repeat((), count))))
        _exhaust(map(dict.update, states, stored))
        extras: list[dict[str, Any]] = list(map(dict, repeat((), count)))
        if not all(map(self.names.issuperset, stored)):
            for state, fields, extra in zip(states, stored, extras, strict=True):
                extra.update({name: state.pop(name) for name in fields if name not in self.names})
        _exhaust(map(_set, messages, repeat("__dict__"), states))
        _exhaust(map(_set, messages, repeat("__pydantic_extra__"), extras))
        _exhaust(map(_set, messages, repeat("__pydantic_fields_set__"), map(set, stored)))
        _exhaust(map(_set, messages, repeat("__pydantic_private__"), repeat(None)))
        return messages

    @cached_property
    def validate(self) -> Callable[[dict[str, Any]], Any]:
        """Check the types of stored fields, fill in defaults: the class's annotations without its own validators.

        What it returns has the layout of a message and becomes one by taking on its class.
        """
        fields: dict[str, Any] = {name: _checked(field) for name, field in self.cls.model_fields.items()}
        fields["type"] = (str, self.cls.model_fields["type"].default)
        # Strict: what is read must already be of the right type, since it is taken as it is.
        config = ConfigDict(strict=True, populate_by_name=True, protected_namespaces=())
        shape = create_model(self.cls.__name__, __config__=config, **fields)
        validate: Callable[[dict[str, Any]], Any] = shape.__pydantic_validator__.validate_python
        return validate


class _Named(Protocol):
    """What is known of a class."""

    @property
    def cls(self) -> type: ...


K = TypeVar("K", bound=_Named)


def with_class(
    by_name: Mapping[str, K], by_class: Mapping[type, K], name: str, known: K
) -> tuple[dict[str, K], dict[type, K]]:
    """Both, with a class under a name too: copies, so that whoever works with the old ones is not disturbed.

    The class that had the name is known by the last of its other names.
    """
    other = by_name.get(name)
    names, classes = {**by_name, name: known}, {**by_class, known.cls: known}
    if other and other.cls is not known.cls and classes.get(other.cls) is other:
        del classes[other.cls]
        classes.update({one.cls: one for one in names.values() if one.cls is other.cls})
    return names, classes


class MessageClasses:
    """The known classes, by the names they are stored under and by themselves; threads may share it."""

    def __init__(self) -> None:
        self.by_tag: dict[str, MessageClass] = {}
        self.by_class: dict[type, MessageClass] = {}
        self._lock = threading.Lock()
        for cls in BUILT_IN:
            self._add(cls, cls.model_fields["type"].default)

    def register(self, cls: type[BaseMessage], tag: str) -> None:
        """Write messages of this class under this name from now on; raises `InvalidInputError` if it is taken."""
        with self._lock:
            known = self.by_tag.get(tag)
            if known and full_name(known.cls) != full_name(cls):
                raise InvalidInputError(f"The name {short(tag)} is taken by {full_name(known.cls)}; give another name.")
            self._add(cls, tag)

    def _add(self, cls: type[BaseMessage], tag: str) -> None:
        self.by_tag, self.by_class = with_class(self.by_tag, self.by_class, tag, MessageClass(cls, tag))

    def snapshot(self) -> tuple[Mapping[str, MessageClass], Mapping[type, MessageClass]]:
        """The classes by name and by class, as they are at one moment."""
        with self._lock:
            return self.by_tag, self.by_class


def register_message_class(cls: type[BaseMessage], name: str | None = None) -> None:
    """Let messages of your own class be stored, marked with `name`, by default its module and qualified name.

    The name is stored with each message, so give one if the class may move. To read what was stored under an
    earlier name, register the class under that name first and then under the new one, which is written from then on.
    Registering a redefined class (same module and qualified name) replaces it. The class must be registered in each
    process that reads its messages. What its fields hold is stored exactly or refused.

    Raises InvalidInputError for anything but a subclass of BaseMessage of your own and for a name that is taken.
    """
    given: object = cls
    if not (isinstance(given, type) and issubclass(given, BaseMessage)) or given in (BaseMessage, *BUILT_IN):
        raise InvalidInputError(f"{short(given)} cannot be registered; give a subclass of BaseMessage of your own.")
    MESSAGES.register(cls, checked_name(cls, name))


def checked_name(cls: type, name: object) -> str:
    """The name to register a class under; raises `InvalidInputError`."""
    tag = full_name(cls) if name is None else name
    if not isinstance(tag, str) or not tag:
        raise InvalidInputError(f"The name {short(tag)} cannot be used; give a text that is not empty.")
    return tag


def full_name(cls: type) -> str:
    """Module and qualified name; of Python's own types the name alone. Runs no code of the class."""
    name, module = _QUALNAME(cls), _MODULE(cls)
    return name if module == "builtins" or not isinstance(module, str) else f"{module}.{name}"


def _default(field: FieldInfo) -> object:
    """Return the default that need not be written.

    Others are always written: they may equal something else ([1] == [True], 0.0 == -0.0) or differ each time.
    """
    if field.default_factory is list:
        return []
    if field.default_factory is dict:
        return {}
    return field.default if type(field.default) in (type(None), str, bool, int) else _ALWAYS


def _checked(field: FieldInfo) -> tuple[Any, FieldInfo]:
    """Its annotation, and itself: where that is a dict of anything, pydantic need not go through it and copy it."""
    if field.metadata or field.annotation not in (dict, dict[Any, Any]):
        return field.annotation, field
    own = copy(field)  # pydantic 2.11.0 writes the annotation, and adds what comes with it, into what it is given
    own.metadata = []
    return InstanceOf[dict[Any, Any]], own


def _factory(field: FieldInfo) -> Callable[[], Any] | None:
    """What makes the default anew for each message; None where all may have the same.

    langchain-core 1.0 has plain lists as defaults.
    """
    if field.default_factory:
        return cast("Callable[[], Any]", field.default_factory)
    kind = type(field.default)
    if kind in _SHARED:
        return None
    return kind if kind in (list, dict, set) and not field.default else field.get_default  # which copies it


MESSAGES = MessageClasses()
