"""Halves of characters (lone surrogates) in messages: found, refused, or mended. No I/O.

The repository stores and returns them as they are. JSON in UTF-8 cannot say them, so what speaks HTTP must not meet
them: an answer, a request to a model's provider.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import orjson
from langchain_core.messages import BaseMessage

from ._checks import is_utf8
from .codec.lines import is_plain
from .codec.places import Nth, nth_message, path_of
from .codec.registry import OBJECTS
from .errors import UnsupportedMessageError

__all__ = ["mended"]

T = TypeVar("T")


def mended(value: T) -> T:
    """The same text, container, object or message with halves of a character joined where both are there, else U+FFFD.

    Of objects only those of registered classes are looked through: what is read holds no others. What holds none is
    returned as it is, and no message is changed in place.
    """
    changed: Any = value
    if isinstance(value, str):
        changed = value if is_utf8(value) else value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    elif isinstance(value, list):
        changed = [mended(entry) for entry in value]
    elif isinstance(value, dict):
        changed = {mended(name): mended(entry) for name, entry in value.items()}
    elif type(value) in (tuple, set, frozenset):
        kind: Any = type(value)
        changed = kind(mended(entry) for entry in changed)
    elif known := OBJECTS.by_class.get(type(value)):
        parts = known.take_apart(value)
        changed = known.put_together(parts._replace(fields=mended(dict(parts.fields)), extra=mended(parts.extra)))
    elif isinstance(value, BaseMessage) and not _is_whole(value):
        extra = value.model_extra or {}
        changed = value.model_copy(update=mended(value.__dict__))
        if extra:
            object.__setattr__(changed, "__pydantic_extra__", mended(extra))
    result: T = changed
    return result


def refuse_halves(messages: Sequence[BaseMessage], path: str | None = None) -> None:
    """Raise `UnsupportedMessageError`, with the path, for a text in a message that is no UTF-8.

    The path of a single message begins with `path`.
    """
    for index, message in enumerate(messages):
        if not _is_whole(message):
            for name, value in (message.__dict__ | (message.model_extra or {})).items():
                _refuse(name, nth_message(index, path))
                _refuse(value, f"{nth_message(index, path)}.{name}")


def _is_whole(message: BaseMessage) -> bool:
    """Whether it is certain that nothing in the message is half a character; what orjson cannot write may be more."""
    parts = [message.__dict__, message.model_extra]
    try:
        return is_plain(parts) and bool(orjson.dumps(parts))
    except (TypeError, RecursionError):
        return False


def _refuse(value: object, path: str) -> None:
    if isinstance(value, str):
        if not is_utf8(value):
            what = f"{path} holds half a character (a lone surrogate), which is no text in UTF-8"
            raise UnsupportedMessageError(f"{what}: remove it.", path=path)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for index, entry in enumerate(value):
            _refuse(entry, f"{path}[{index}]")
    elif known := OBJECTS.by_class.get(type(value)):
        _refuse(known.take_apart(value)._asdict(), path)
    elif isinstance(value, BaseMessage):
        _refuse(vars(value) | (value.model_extra or {}), path)
    elif isinstance(value, dict):
        for number, (name, entry) in enumerate(value.items()):
            _refuse(name, path)
            _refuse(entry, path_of((path, name if isinstance(name, str) else Nth(number, type(name)))))
