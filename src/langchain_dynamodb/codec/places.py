"""Places of values in messages, in words, and what is told of them."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

from .._checks import short
from ..errors import UnsupportedMessageError
from .classes import full_name

LONGEST_PATH = 200  # characters of it that are shown
Where: TypeAlias = "str | tuple[Any, ...]"
"""The place of a value: a path, or that of what it is in, with a key or position, or with a name and True.

Put into words only where it is told: tuples are cheap.
"""


def path_of(where: Where) -> str:
    """A place in words."""
    steps: list[str] = []
    while not isinstance(where, str):
        outer, step, *is_name = where
        steps.append(f".{step}" if is_name else f"[{_shown(step)}]")
        where = outer
    return f"{where}{''.join(reversed(steps))}"[:LONGEST_PATH]


def _shown(key: object) -> str:
    """A key in a path: texts and numbers only, which tell the place and not what is there."""
    return short(key) if isinstance(key, (str, int, type(None))) else type(key).__name__


class Degraded(NamedTuple):
    """A value that comes back as something else: its data (`cls` is not registered), or None."""

    path: str
    cls: type
    omitted: bool
    text: str


def unsupported(where: Where, what: str, fix: str) -> UnsupportedMessageError:
    """The error for something at this place that cannot be stored."""
    path = path_of(where)
    return UnsupportedMessageError(f"{path} holds {what}, which cannot be stored exactly; {fix}.", path=path)


def type_name(value: object) -> str:
    """The type of a value in words."""
    return full_name(type(value))
