"""How the chat application is started, and what it says where it cannot be; needs uvicorn (``nox -s browser``)."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import types
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from browsers import SERVE
from langchain_dynamodb.local.child_process import choose_port

if TYPE_CHECKING:
    from conftest import TestEngine

pytest.importorskip("uvicorn", reason="no uvicorn: nox -s browser installs it")

import serve

pytestmark = pytest.mark.once


NOBODY = "http://127.0.0.1:1"
KEYS = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}


class NoKeyError(Exception):
    """What a provider's package raises: nothing that LangChain or we know."""


def keyless(**_: Any) -> None:
    """Stand in for a chat model whose key is missing."""
    raise NoKeyError("Missing credentials.\nSet the\n  OPENAI_API_KEY environment variable.")


def start(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """Run the command; returns its exit code and what it says of errors."""
    monkeypatch.setattr(serve, "serve", lambda *_: pytest.fail("it starts"))
    monkeypatch.setattr(sys, "argv", ["serve.py", "--port", str(choose_port(None)), *arguments])
    code = serve.main()
    return code, capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--model", "openai:x"), r"--model openai:x .*Set the OPENAI_API_KEY environment variable\."),
        (("--model", "nobody:x"), r"--model nobody:x .*nobody"),
        (("--model", "mistralai:x"), r"--model mistralai:x .*pip install langchain-mistralai.* into .*python"),
        (("--table", "Chats"), r"no table 'Chats'.*--create-table"),
        (("--port", "99999"), r"port 99999 .*--port"),
        (("--host", "192.0.2.1"), r"cannot listen on 192\.0\.2\.1.*--host"),
    ],
)
def test_a_wrong_start_says_what_to_do(
    arguments: tuple[str, ...],
    told: str,
    engine: TestEngine,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One line and exit code 2, no traceback."""
    for name, value in engine.environment.items():
        monkeypatch.setenv(name, value)
    fake = types.ModuleType("langchain_openai")
    monkeypatch.setattr(fake, "ChatOpenAI", keyless, raising=False)
    monkeypatch.setitem(sys.modules, "langchain_openai", fake)
    code, said = start(monkeypatch, capsys, *arguments)
    assert (code, said.count("\n")) == (2, 1)
    assert re.search(told, said), said


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({}, "AWS_DEFAULT_REGION"),
        ({"AWS_DEFAULT_REGION": "us-east-1"}, "credentials"),
        ({"AWS_DEFAULT_REGION": "us-east-1", "AWS_PROFILE": "nonesuch"}, "profile.*nonesuch"),
        ({**KEYS, "AWS_DEFAULT_REGION": "us-east-1", "AWS_ENDPOINT_URL_DYNAMODB": NOBODY}, f"{NOBODY}.*region"),
    ],
)
def test_a_wrong_aws_environment(
    environment: dict[str, str], told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No region, no credentials, no such profile, no answer (as of an unknown region): one line each."""
    for name in ("AWS_DEFAULT_REGION", "AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {**environment, "AWS_MAX_ATTEMPTS": "1"}.items():
        monkeypatch.setenv(name, value)
    code, said = start(monkeypatch, capsys, "--table", "Chats")
    assert (code, said.count("\n")) == (2, 1)
    assert re.search(told, said), said


def test_a_model_without_langchain(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The scripted model does without it; for others it is named."""
    monkeypatch.setitem(sys.modules, "langchain.chat_models", None)
    code, said = start(monkeypatch, capsys, "--model", "openai:x")
    assert (code, said.count("\n")) == (2, 1)
    assert "pip install langchain" in said


def test_a_port_that_is_taken(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """It is said before any address is printed."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        code, said = start(monkeypatch, capsys, "--port", port)
    assert (code, said.count("\n")) == (2, 1)
    assert f"port {port}" in said


@pytest.mark.parametrize("missing", ["uvicorn", "fastapi", "aioboto3"])
def test_missing_packages(missing: str) -> None:
    """The command that installs them is named."""
    program = f"import runpy, sys; sys.modules[{missing!r}] = None; runpy.run_path({str(SERVE)!r}, run_name='__main__')"
    path = os.pathsep.join([str(SERVE.parent), *sys.path])
    run = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        encoding="utf-8",
        check=False,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert (run.returncode, run.stderr.count("\n")) == (2, 1)
    assert f"{missing} is not installed: pip install" in run.stderr


@pytest.mark.parametrize(
    ("host", "told"),
    [
        ("127.0.0.1", r"http://127\.0\.0\.1:80 in a browser"),
        ("chat.example", r"http://chat\.example:80 in a browser"),
        ("0.0.0.0", r"http://127\.0\.0\.1:80 in a browser(, or http://[\d.]+:80 on another device)?"),
        ("::", r"http://\[::1\]:80 in a browser"),
        ("fe80::1", r"http://\[fe80::1\]:80 in a browser"),
    ],
)
def test_the_address_to_open(host: str, told: str) -> None:
    """What is printed can be opened: 0.0.0.0 cannot."""
    assert re.fullmatch(told, serve.addresses(host, 80))


def test_the_plain_start() -> None:
    """As ``nox -s chat -- --host 0.0.0.0`` does: on the embedded engine; the printed addresses lead to the page."""
    command = [sys.executable, "-u", str(SERVE), "--host", "0.0.0.0", "--port", str(choose_port(None))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8") as server:
        try:
            assert server.stdout is not None
            lines = [server.stdout.readline(), server.stdout.readline()]
            found = re.findall(r"http://\S+", lines[1])
            pages = [opened(address) for address in found]
        finally:
            server.terminate()
    assert "scripted" in lines[0]
    assert "0.0.0.0" not in lines[1]
    assert [page.count("<title>Chat</title>") for page in pages] == [1] * len(found)
    assert found


def opened(address: str) -> str:
    """Load the page; the server listens a moment after it has printed its address."""
    while True:
        try:
            with urllib.request.urlopen(address) as answer:
                return str(answer.read().decode())
        except ConnectionError:
            continue
        except urllib.error.URLError as error:
            if not isinstance(error.reason, ConnectionError):
                raise
