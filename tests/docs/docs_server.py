"""Servers that the documentation starts, asked with its own curl commands."""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx

from documentation import BLOCKS, Command, find_commands
from langchain_dynamodb.local.child_process import choose_port

PORT = "8000"  # the documentation's


@contextmanager
def serving(page: Path, command: Sequence[str], environment: Mapping[str, str], folder: Path) -> Iterator[int]:
    """Run a server of a page, with the page's programs beside it; yields its port, ends it with Ctrl+C."""
    port = choose_port(None)
    save_programs(page, folder, port)
    words = [word.replace(PORT, str(port)) for word in command]
    with (folder / "log").open("w+", encoding="utf-8") as log:
        server = subprocess.Popen(words, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True)
        try:
            _wait(server, port, folder / "log")
            yield port
        finally:
            if server.poll() is None:
                os.killpg(server.pid, signal.SIGINT)  # as a terminal does
            code = server.wait(60)
    printed = (folder / "log").read_text(encoding="utf-8")
    assert (code, "Traceback" in printed) == (0, False), printed


def save_programs(page: Path, folder: Path, port: int | None = None) -> None:
    """Write the programs that a page saves under a name."""
    for block in BLOCKS:
        if block.page == page and block.language == "python" and block.kind.endswith(".py"):
            (folder / block.kind).write_text(block.code.replace(PORT, str(port or PORT)), encoding="utf-8")


def with_command(folder: Path) -> dict[str, str]:
    """The `PATH` with which ``langchain-dynamodb`` is the source that is tested; the command is made in the folder."""
    command = folder / "bin" / "langchain-dynamodb"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -W error -m langchain_dynamodb "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    return {"PATH": os.pathsep.join([str(command.parent), str(Path(sys.executable).parent), os.environ["PATH"]])}


def _wait(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until and server.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(f"the server did not start; exit code {server.poll()}: {log.read_text(encoding='utf-8')}")


def ask_all(page: Path, port: int) -> list[str]:
    """Send the page's requests to this port; returns the bodies of the answers."""
    lines = [command for command in find_commands() if command.page == page and command.line.startswith("curl ")]
    with httpx.Client(timeout=60) as client:
        answers = [client.request(*parse_curl(command, port)) for command in lines]
    assert [answer.status_code for answer in answers] == [200] * len(lines)
    return [answer.text for answer in answers]


def parse_curl(command: Command, port: int) -> tuple[str, str]:
    """Take method and address from a command; any other option fails."""
    parser = argparse.ArgumentParser(exit_on_error=False)
    parser.add_argument("-X", default="GET")
    parser.add_argument("-i", action="store_true")
    parser.add_argument("address")
    options = parser.parse_args(shlex.split(command.line)[1:])
    return options.X, options.address.replace(PORT, str(port))
