"""Telling what will come back as something else: by warnings, which some programs turn into errors."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from contextvars import ContextVar

from ..errors import OmittedValueWarning, UnregisteredClassWarning
from .places import Degraded
from .registry import OBJECTS

SHOWN = 10  # values left out that one call tells of
logger = logging.getLogger("langchain_dynamodb")

swallowed: ContextVar[bool] = ContextVar("langchain_dynamodb_swallowed", default=False)
"""Whether whoever calls loses errors without a word: warnings are never raised there, but logged."""


def tell(degraded: Sequence[Degraded]) -> None:
    """Warn of each class once per process, and of each value that is left out."""
    for one in degraded:
        if not one.omitted and one.cls not in OBJECTS.told:
            _warn(UnregisteredClassWarning(one.text, path=one.path, cls=one.cls))
            OBJECTS.told.add(one.cls)  # not before: a warning that was raised as an error is raised again
    left_out = [one for one in degraded if one.omitted]
    for one in left_out[:SHOWN]:
        _warn(OmittedValueWarning(one.text, path=one.path, cls=one.cls))
    if len(left_out) > SHOWN:
        last = left_out[-1]
        more = f"{len(left_out) - SHOWN} more values are left out, the last of them at {last.path}."
        _warn(OmittedValueWarning(more, path=last.path, cls=last.cls))


def _warn(warning: Warning) -> None:
    try:
        warnings.warn(warning, stacklevel=2)
    except Warning as error:
        if not swallowed.get():
            raise
        logger.warning("%s", error)
