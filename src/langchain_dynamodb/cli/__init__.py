"""The command ``langchain-dynamodb``: `langchain_dynamodb.admin` for the terminal and for programs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.util import find_spec

from .._checks import how_to_install
from .others import OTHERS


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; ends the process with the exit code that ``--help`` explains."""
    missing = [name for name in ("click", "rich") if find_spec(name) is None]
    if missing:
        told = f"langchain-dynamodb needs {' and '.join(missing)}, which this Python lacks"
        print(f"{told}: {how_to_install('cli')}\n{OTHERS}", end="", file=sys.stderr)
        return 2
    from .commands import cli  # only here: without the extra there is nothing to import

    exit_code: int = cli.main(arguments, "langchain-dynamodb")
    return exit_code
