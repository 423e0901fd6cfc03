"""A script, not a module: moto's application on loopback, one request at a time.

moto's backends are not thread-safe and its own server has no lock, so that it loses concurrent updates. That server
also closes the connection after every answer, and sends a header twice, which aiohttp's development mode refuses.
It runs in a process of its own because importing moto changes botocore for the whole process.
"""

from __future__ import annotations

import io
import os
import sys
import threading
import traceback
from collections.abc import Callable, Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote_to_bytes

# As a script our folder comes first on the path, and its modules could hide others.
del sys.path[0]
os.environ["MOTO_DISABLE_GLOBAL_CORS"] = "true"

from moto.moto_server.werkzeug_app import create_backend_app  # noqa: E402

Application = Callable[[dict[str, Any], Any], Iterable[bytes]]


class _Handler(BaseHTTPRequestHandler):
    """Answers requests of known length, and keeps the connection for the next one."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_POST(self) -> None:
        """Have the application answer; only that happens under the lock."""
        length = self.headers.get("Content-Length", None if self.command in ("POST", "PUT") else "0")
        if length is None:
            self.close_connection = True
            self.send_error(411)
            return
        environ = self._environ(self.rfile.read(int(length)))
        status, headers, body = self._answer(environ)
        self.send_response_only(int(status[:3]), status[4:])
        for name, value in headers:
            if name.lower() not in ("content-length", "connection"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_PUT = do_DELETE = do_HEAD = do_POST

    def _answer(self, environ: dict[str, Any]) -> tuple[str, list[tuple[str, str]], bytes]:
        """Return status, headers and body; an error inside moto is printed and answered as AWS does its own."""
        started: list[Any] = []
        try:
            with self.server.lock:
                body = b"".join(self.server.application(environ, lambda *start: started.append(start)))
        except Exception:
            traceback.print_exc()
            return "500 Internal Server Error", [("x-amzn-ErrorType", "InternalServerError")], b"{}"
        return started[-1][0], started[-1][1], body

    def _environ(self, body: bytes) -> dict[str, Any]:
        """Return the request as WSGI has it."""
        path, _, query = self.path.partition("?")
        environ: dict[str, Any] = {
            "REQUEST_METHOD": self.command,
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
            "QUERY_STRING": query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": str(self.server.server_port),
            "SERVER_PROTOCOL": self.request_version,
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(body),
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": False,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        return environ | {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in self.headers.items()}

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are not worth a line."""


class _Server(ThreadingHTTPServer):
    request_queue_size = 128

    def __init__(self, port: int, application: Application) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.application = application
        self.lock = threading.Lock()


if __name__ == "__main__":
    _Server(int(sys.argv[1]), create_backend_app("dynamodb")).serve_forever()
