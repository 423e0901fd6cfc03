"""What an engine needs from the environment, and what to do where it is missing."""

from __future__ import annotations

from importlib.util import find_spec

from .._checks import how_to_install
from ..errors import ChatHistoryError


class EngineError(ChatHistoryError):
    """The embedded engine could not be started; the message says what to do."""


def require(engine: str, extra: str, *modules: str) -> None:
    """Raise an `EngineError` naming the extra to install unless all `modules` are installed; imports none of them."""
    missing = [module for module in modules if find_spec(module) is None]
    if missing:
        raise EngineError(
            f"engine {engine!r} needs {', '.join(missing)}, which this Python lacks. "
            f"Install it: {how_to_install(extra)}"
        )
