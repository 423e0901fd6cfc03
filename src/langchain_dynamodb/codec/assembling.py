"""A message and its fields: taken apart to be written, and put together again.

It is made without its class's validators: the fields are checked against the class's annotations and then taken as they
are, because LangChain's own validators would derive and rewrite some of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import compress, repeat
from typing import Any, cast

import orjson
from langchain_core.messages import BaseMessage

from ..errors import InvalidInputError, UnsupportedMessageError
from .classes import MESSAGES, MessageClass, full_name
from .lines import UndecodableError
from .long_lines import Line

MANY = 24  # messages that are built faster with each step for all of them
_set = object.__setattr__


def class_of(message: BaseMessage, path: str) -> MessageClass:
    """How this message is written; raises `InvalidInputError` for what is none, and for unknown classes."""
    given: object = message
    kind = MESSAGES.by_class.get(type(given))
    if kind:
        return kind
    if not isinstance(given, BaseMessage):
        raise InvalidInputError(f"{path} is a {full_name(type(given))}, not a message; give a langchain_core message.")
    problem = f"{path} is a {full_name(type(given))}, a class that could not be restored"
    fix = "use a message class that says who speaks" if type(given) is BaseMessage else "call register_message_class"
    raise UnsupportedMessageError(f"{problem}; {fix}.", path=path)


def changed_fields(kind: MessageClass, message: BaseMessage, path: str) -> dict[str, Any]:
    """The fields that differ from their defaults, of which `assemble` makes the message again.

    Raises `UnsupportedMessageError` where one is not set.
    """
    state = message.__dict__
    try:
        own_type = state["type"]
        fields: dict[str, Any] = {"type": kind.tag if own_type == kind.usual_type else [kind.tag, own_type]}
        for name, default in kind.defaults:
            value = state[name]
            if value is not default and (type(value) is not type(default) or value != default):
                fields[name] = value
    except KeyError as error:
        where = f"{path}.{error.args[0]}"
        raise UnsupportedMessageError(f"{where} is not set; give it a value.", path=where) from None
    if message.__pydantic_extra__:
        fields.update(extra_fields(kind, message, path))
    return fields


def field_of(message: BaseMessage, name: str, path: str) -> Any:
    """A field, whether or not it was given; raises `UnsupportedMessageError` where the message has none."""
    try:
        return message.__dict__[name]
    except KeyError:
        raise UnsupportedMessageError(f"{path}.{name} is not set; give it a value.", path=f"{path}.{name}") from None


def extra_fields(kind: MessageClass, message: BaseMessage, path: str) -> dict[str, Any]:
    """The fields that its class does not have; raises `UnsupportedMessageError` for one with the name of a field."""
    extra = message.model_extra or {}
    for name in extra.keys() & kind.names:
        where = f"{path}.model_extra[{name!r}]"
        raise UnsupportedMessageError(f"{where} has the name of a field; use another name.", path=where)
    return extra


def assemble(stored: dict[str, Any], by_tag: Mapping[str, MessageClass] | None = None) -> BaseMessage:
    """Build the message of a line's object (which it takes apart) or of a native map's complete data."""
    tag = stored.pop("type")
    if type(tag) is list:  # a message whose type is not the usual one of its class
        tag, stored["type"] = tag
    kind = (MESSAGES.by_tag if by_tag is None else by_tag).get(tag)
    if kind is None:
        name = tag if re.fullmatch(r"[\w.<>-]{1,200}", tag) else "(not a name)"
        raise UndecodableError(f"unknown message class {name}; if it is yours, call register_message_class for it")
    message: BaseMessage = kind.validate(stored)
    state = message.__dict__
    state.update(stored)
    extra: dict[str, Any] | None = {} if kind.allows_extra else None
    if len(state) > len(kind.names):
        if extra is None:
            raise UndecodableError(f"fields that {kind.cls.__qualname__} does not have")
        extra.update({name: state.pop(name) for name in stored if name not in kind.names})
        message.__pydantic_fields_set__.update(extra)
    _set(message, "__pydantic_extra__", extra)
    _set(message, "__class__", kind.cls)
    if kind.has_post_init:
        message.model_post_init(None)
    return message


def rebuilt(lines: Sequence[Line]) -> list[BaseMessage] | None:
    """The messages of lines that were decoded before; None where some are not plain JSON of a class that can do it.

    And where they are so few that it would take longer than to assemble them one by one.
    """
    if len(lines) < MANY:
        return None
    try:
        stored: list[dict[str, Any]] = orjson.loads(b"[%b]" % b",".join(cast("Sequence[bytes]", lines)))
    except (ValueError, TypeError):
        return None
    tags = list(map(dict.pop, stored, repeat("type")))
    if set(map(type, tags)) != {str}:
        return None
    kinds = {tag: MESSAGES.by_tag.get(tag) for tag in set(tags)}
    made: dict[str, Iterator[BaseMessage]] = {}
    for tag, kind in kinds.items():
        if kind is None or not kind.can_build:
            return None
        made[tag] = iter(kind.build(list(compress(stored, map(tag.__eq__, tags)))))
    return list(map(next, map(made.__getitem__, tags)))
