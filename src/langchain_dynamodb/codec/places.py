"""Places of values in messages, in words, and what is told of them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

from ..errors import UnsupportedMessageError
from .classes import full_name

LONGEST_PATH = 200  # characters of it that are shown
_NAME = re.compile("[A-Za-z_][A-Za-z0-9_-]{0,39}")
Where: TypeAlias = "str | tuple[Any, ...]"
"""The place of a value: a path, or that of what it is in, with a key or position, or with a name and True.

Put into words only where it is told: tuples are cheap.
"""


def path_of(where: Where) -> str:
    """A place in words."""
    steps: list[str] = []
    while not isinstance(where, str):
        outer, step, *is_name = where
        steps.append(f".{_name(step)}" if is_name else f"[{_shown(step)}]")
        where = outer
    return f"{where}{''.join(reversed(steps))}"[:LONGEST_PATH]


def nth_message(index: int, only: str | None = None) -> str:
    """The path of one of several messages; of the `only` one that one's own."""
    return only or f"messages[{index}]"


class Nth(NamedTuple):
    """A key that is no text, in a path: by its position and type."""

    position: int
    cls: type


def _shown(step: object) -> str:
    """A key or position in a path. A key may be content: it is shown where it looks like a name."""
    if isinstance(step, Nth):
        return f"key {step.position} of type {full_name(step.cls)}"
    return _name(step, repr) if isinstance(step, str) else str(step)


def _name(name: str, show: Callable[[str], str] = str) -> str:
    return show(str(name)) if _NAME.fullmatch(name) else f"a text of {len(name)} characters"


class Degraded(NamedTuple):
    """A value that comes back as something else: its data, or None where it is `omitted`.

    With `registered` it is an object that its class's registration does not bring back.
    """

    path: str
    cls: type
    omitted: bool
    text: str
    registered: bool = False


def unsupported(where: Where, what: str, fix: str) -> UnsupportedMessageError:
    """The error for something at this place that cannot be stored."""
    path = path_of(where)
    return UnsupportedMessageError(f"{path} holds {what}, which cannot be stored exactly; {fix}.", path=path)


def type_name(value: object) -> str:
    """The type of a value in words."""
    return full_name(type(value))
