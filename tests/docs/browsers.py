"""A server with the chat application, and Chromium to look at it; needs the dependency group ``browser``."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from langchain_dynamodb.local.child_process import choose_port

SERVE = Path(__file__).parents[2] / "docs/examples/chat/serve.py"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = [
    "--no-sandbox",  # root in a container has no other way
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@contextmanager
def run_chat(*arguments: str, workers: int = 2, environment: Mapping[str, str] | None = None) -> Iterator[str]:
    """Run the application as its users do; returns its address."""
    port = choose_port(None)
    command = [sys.executable, str(SERVE), "--port", str(port), "--workers", str(workers), *arguments]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, env=os.environ | dict(environment or {})) as server:
        try:
            yield _ready(f"http://127.0.0.1:{port}", server)
        finally:
            server.terminate()


def _ready(address: str, server: subprocess.Popen[bytes]) -> str:
    until = time.monotonic() + 60
    while time.monotonic() < until and server.poll() is None:
        try:
            with urllib.request.urlopen(address):
                return address
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.1)
    raise RuntimeError(f"the chat application did not start; exit code {server.poll()}")


@contextmanager
def run_chromium() -> Iterator[Any]:
    """Run the system's Chromium with a new profile; returns playwright's browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()
