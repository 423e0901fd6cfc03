"""The default engine: moto in a process of its own, one request at a time."""

from __future__ import annotations

from pathlib import Path

from .child_process import python
from .requirements import require

_SCRIPT = Path(__file__).with_name("moto_server.py")


def command(port: int) -> list[str]:
    """Return the command that serves moto on `port`; raises `EngineError` where moto is missing."""
    require("moto", "local", "moto", "flask", "flask_cors", "werkzeug")
    return [*python(_SCRIPT), str(port)]
