"""What the values in a message are, and what is to come back of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from enum import Enum
from typing import Any

from langchain_core.documents import Document
from langchain_core.messages import BaseMessage
from pydantic import BaseModel

PLAIN = (str, int, float, bool, type(None))


def as_data(value: Any) -> Any:
    """Return what comes back of a value: what an object of a class that nobody registered holds, for the object."""
    if isinstance(value, BaseMessage):
        fields = {name: as_data(field) for name, field in {**value.__dict__, **(value.model_extra or {})}.items()}
        return value.model_copy(update=fields)
    if isinstance(value, Document):
        return value
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return tuple(as_data(part) for part in value)
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: as_data(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {key: as_data(part) for key, part in value.items()}
    return [as_data(part) for part in value] if type(value) is list else value


def described(value: Any) -> Any:
    """Return a value with the type of each of its parts, so that 1, True and 1.0 differ; an enum is its plain value."""
    if isinstance(value, BaseMessage):
        return [
            name_of(value),
            {name: described(field) for name, field in {**value.__dict__, **value.model_extra}.items()},
        ]
    if type(value) is dict:
        return {key: described(part) for key, part in value.items()}
    if type(value) in (list, tuple):
        return [name_of(value), *map(described, value)]
    if isinstance(value, (set, frozenset)):
        return [name_of(value), *sorted(map(repr, value))]
    if isinstance(value, Enum) and isinstance(value, PLAIN):
        return described(value.value)
    return name_of(value), repr(value)


def blocks(message: BaseMessage) -> Any:
    """Return the described content blocks of a message, without the ids that are made anew at each look."""
    return described(_without_made_up(message.content_blocks))


def _without_made_up(value: Any) -> Any:
    if type(value) is dict:
        made_up = str(value.get("id")).startswith("lc_")
        return {key: _without_made_up(part) for key, part in value.items() if not (made_up and key == "id")}
    return [_without_made_up(part) for part in value] if type(value) is list else value


def others(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Find the values that JSON does not have, each with its place."""
    if isinstance(value, BaseMessage) and not path:
        for name, field in {**value.__dict__, **(value.model_extra or {})}.items():
            yield from others(field, name)
    elif type(value) is dict:
        for key, part in value.items():
            yield from others(part, f"{path}[{key!r}]".replace("'", '"'))
    elif type(value) is list:
        for part in value:
            yield from others(part, f"{path}[i]")
    elif type(value) not in PLAIN or value != value or value in (float("inf"), float("-inf")):
        yield path, value


def name_of(value: object) -> str:
    """Return the full name of a value's class."""
    cls = type(value)
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"
