"""The command `langchain-dynamodb`, run in this process or as one of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from click.testing import CliRunner, Result

from langchain_dynamodb.cli.commands import cli

Command = Callable[..., Result]


def where(url: str | None) -> list[str]:
    """The options that say where DynamoDB is."""
    return ["--endpoint-url", url] if url else []


def command_on(table_name: str, url: str | None) -> Command:
    """Runs a command on a table: ``command("show", "s")``."""

    def run(*words: str, **options: Any) -> Result:
        return CliRunner().invoke(cli, [words[0], "--table", table_name, *where(url), *words[1:]], **options)

    return run


def objects(result: Result) -> list[Any]:
    """What a command printed with --json."""
    return [json.loads(line) for line in result.stdout.splitlines()]


def start(table_name: str, url: str | None, *words: str, **options: Any) -> subprocess.Popen[str]:
    """Run a command as a user does."""
    line = [sys.executable, "-W", "error", "-m", "langchain_dynamodb", words[0], "--table", table_name, *where(url)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL, "text": True}
    return subprocess.Popen([*line, *words[1:]], **{**pipes, **options})
