"""Run a command with an embedded DynamoDB: ``python -m langchain_dynamodb.local python example.py``.

The environment of the command sends its DynamoDB clients to the engine, which ends with it. Without a command the
engine serves until Ctrl+C, and what is printed does the same for other terminals.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from .engine import ENGINES, FOREIGN_SETTINGS, run_engine
from .requirements import EngineError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the engine, and the command; returns the exit code."""
    options = parse(arguments)
    try:
        with run_engine(options.engine, data_dir=options.data, port=options.port) as engine:
            if options.command:
                return _run(options.command, engine.environment)
            with suppress(KeyboardInterrupt):  # from the first line on: whoever reads it may be quick
                print("\n".join(f"export {name}={value}" for name, value in engine.environment.items()), flush=True)
                threading.Event().wait()
    except (EngineError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m langchain_dynamodb.local", description="Run a command with an embedded DynamoDB."
    )
    parser.add_argument("--engine", choices=ENGINES, default="moto", help="moto (in memory) is the default")
    parser.add_argument("--data", type=Path, help="folder where dynamodb-local keeps its tables; else in memory")
    parser.add_argument("--port", type=int, help="a free one by default")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="with its arguments; none: serve until Ctrl+C")
    return parser.parse_args(arguments)


def _run(command: Sequence[str], environment: Mapping[str, str]) -> int:
    ours = {name: value for name, value in os.environ.items() if name not in FOREIGN_SETTINGS}
    try:
        process = subprocess.Popen(command, env={**ours, **environment})
    except OSError as error:
        print(f"{command[0]} cannot be run: {error.strerror}", file=sys.stderr)
        return 127
    while True:
        try:
            code = process.wait()
        except KeyboardInterrupt:  # the command got it too, and may take its time
            continue
        return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
