"""Telling what will come back as something else: by warnings, which some programs turn into errors."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Sequence
from contextvars import ContextVar
from types import FrameType
from typing import Any, NamedTuple

from ..errors import OmittedValueWarning, UnregisteredClassWarning
from .classes import full_name
from .places import Degraded
from .registry import OBJECTS

SHOWN = 10  # values left out, or objects that are data, that one call tells of
logger = logging.getLogger("langchain_dynamodb")

swallowed: ContextVar[bool] = ContextVar("langchain_dynamodb_swallowed", default=False)
"""Whether whoever calls loses errors without a word: warnings are never raised there, but logged."""


def tell(degraded: Sequence[Degraded]) -> None:
    """Warn of each class that is not registered, once per process, and of each value that is lost, which is logged too.

    Lost is what is left out, and an object that is data though its class is registered.
    A warning is shown once for each line of a program; the log has each value.
    """
    for one in degraded:
        name = full_name(one.cls)  # a name keeps no class alive
        if not (one.omitted or one.registered) and name not in OBJECTS.told:
            _warn(UnregisteredClassWarning(one.text, path=one.path, cls=one.cls))
            OBJECTS.told.add(name)  # not before: a warning that was raised as an error is raised again
    lost = [one for one in degraded if one.omitted or one.registered]
    for one in lost[:SHOWN]:
        _warn(OmittedValueWarning(one.text, path=one.path, cls=one.cls), logged=True)
    if len(lost) > SHOWN:
        last = lost[-1]
        more = f"{len(lost) - SHOWN} more values are left out or stored as data, the last of them at {last.path}."
        _warn(OmittedValueWarning(more, path=last.path, cls=last.cls), logged=True)


def _warn(warning: Warning, *, logged: bool = False) -> None:
    place = caller.get() or calling()
    try:
        warnings.warn_explicit(warning, None, place.filename, place.lineno, place.module, place.registry)
    except Warning:
        if not swallowed.get():
            raise
        logged = True
    if logged:
        logger.warning("%s", warning)


class Line(NamedTuple):
    """A line of a program, as the warnings machinery knows it."""

    filename: str
    lineno: int
    module: str
    registry: dict[Any, Any]


def calling() -> Line:
    """The line that called the package."""
    frame: FrameType = sys._getframe(1)
    while frame.f_back and frame.f_globals.get("__name__", "").startswith(_PACKAGE):
        frame = frame.f_back
    names = frame.f_globals
    registry = names.setdefault("__warningregistry__", {})
    return Line(frame.f_code.co_filename, frame.f_lineno, names.get("__name__", "<unknown>"), registry)


caller: ContextVar[Line | None] = ContextVar("langchain_dynamodb_caller", default=None)
"""The line that called the package from another thread, which waits."""

_PACKAGE = f"{__name__.partition('.')[0]}."
