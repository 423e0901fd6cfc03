"""One engine as a child process: start, readiness, end."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from .requirements import EngineError

_SUPERVISOR = Path(__file__).with_name("supervisor.py")
_LIST_TABLES = {
    "Content-Type": "application/x-amz-json-1.0",
    "X-Amz-Target": "DynamoDB_20120810.ListTables",
    # Both engines want the form of a signature and do not check it.
    "Authorization": "AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/dynamodb/aws4_request, "
    "SignedHeaders=host, Signature=0",
}


class Child:
    """A server on loopback that ends with this object's context, or with this process, however it ends."""

    def __init__(self, name: str, command: Sequence[str | Path], port: int) -> None:
        self.port = port
        self._name = name
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - closed in __exit__
        self._process = subprocess.Popen(
            [*python(_SUPERVISOR), *command],
            stdin=subprocess.PIPE,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            env={name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
            # A group of its own: Ctrl-C in the terminal is for our process, which then ends the engine in order.
            start_new_session=True,
        )

    def __enter__(self) -> Child:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            in_order = self._process.wait(10) >= 0
        except subprocess.TimeoutExpired:
            in_order = False
        if not in_order:
            self._kill()
        self._output.close()

    def wait_until_ready(self, deadline: float) -> None:
        """Return once the engine has answered a request; `deadline` is in `time.monotonic` seconds."""
        while not self._answers():
            if self._process.poll() is not None:
                raise EngineError(
                    f"{self._name} ended while starting (exit code {self._process.returncode}):\n{self._tail()}"
                )
            if time.monotonic() > deadline:
                raise EngineError(f"{self._name} did not answer on port {self.port} in time:\n{self._tail()}")
            time.sleep(0.05)

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("POST", "/", b"{}", _LIST_TABLES)
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _tail(self) -> str:
        self._output.seek(0)
        return self._output.read()[-4000:].decode(errors="replace").strip() or "(it printed nothing)"

    def _kill(self) -> None:
        """End the whole group: the supervisor no longer can."""
        if sys.platform == "win32":
            self._process.kill()
        else:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def python(script: Path) -> list[str]:
    """Return the command that runs `script` with this interpreter, deaf to the caller's warning filters."""
    return [sys.executable, "-W", "ignore", str(script)]


def choose_port(port: int | None) -> int:
    """Return `port` if it is free, or any free port; raises `EngineError`."""
    with socket.socket() as probe:
        # As servers do: a port whose last connections are only waiting out their time counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port or 0))
        except OSError as error:
            raise EngineError(f"port {port} cannot be used ({error}); leave it out to get a free one") from error
        return int(probe.getsockname()[1])
