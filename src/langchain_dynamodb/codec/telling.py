"""Telling what will come back as something else: by warnings, which some programs turn into errors."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Sequence
from contextvars import ContextVar

from ..errors import OmittedValueWarning, UnregisteredClassWarning
from .classes import full_name
from .places import Degraded
from .registry import OBJECTS

SHOWN = 10  # values left out that one call tells of
logger = logging.getLogger("langchain_dynamodb")

swallowed: ContextVar[bool] = ContextVar("langchain_dynamodb_swallowed", default=False)
"""Whether whoever calls loses errors without a word: warnings are never raised there, but logged."""


def tell(degraded: Sequence[Degraded]) -> None:
    """Warn of each class once per process, and of each value that is left out, which is logged too.

    A warning is shown once for each line of a program; the log has each value.
    """
    for one in degraded:
        name = full_name(one.cls)  # a name keeps no class alive
        if not one.omitted and name not in OBJECTS.told:
            _warn(UnregisteredClassWarning(one.text, path=one.path, cls=one.cls))
            OBJECTS.told.add(name)  # not before: a warning that was raised as an error is raised again
    left_out = [one for one in degraded if one.omitted]
    for one in left_out[:SHOWN]:
        _warn(OmittedValueWarning(one.text, path=one.path, cls=one.cls), logged=True)
    if len(left_out) > SHOWN:
        last = left_out[-1]
        more = f"{len(left_out) - SHOWN} more values are left out, the last of them at {last.path}."
        _warn(OmittedValueWarning(more, path=last.path, cls=last.cls), logged=True)


def _warn(warning: Warning, *, logged: bool = False) -> None:
    try:
        warnings.warn(warning, stacklevel=_callers_level())
    except Warning:
        if not swallowed.get():
            raise
        logged = True
    if logged:
        logger.warning("%s", warning)


def _callers_level() -> int:
    """The level of the frame that called the package, counted from who asks."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back and frame.f_globals.get("__name__", "").startswith(_PACKAGE):
        level, frame = level + 1, frame.f_back
    return level


_PACKAGE = f"{__name__.partition('.')[0]}."
