"""A script, not a module: moto's server on loopback, one request at a time.

moto's backends are not thread-safe and its own server has no lock, so that it loses concurrent updates.
It runs in a process of its own because importing moto changes botocore for the whole process.
"""

from __future__ import annotations

import io
import os
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any

# As a script our folder comes first on the path, and its modules could hide others.
del sys.path[0]
os.environ["MOTO_DISABLE_GLOBAL_CORS"] = "true"

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app  # noqa: E402
from werkzeug.serving import WSGIRequestHandler, make_server  # noqa: E402

Application = Callable[[dict[str, Any], Any], Iterable[bytes]]


class _QuietHandler(WSGIRequestHandler):
    disable_nagle_algorithm = True

    def log(self, type: str, message: str, *args: Any) -> None:
        """Print what went wrong inside moto; requests are not worth a line."""
        if type == "error":
            super().log(type, message, *args)


def one_at_a_time(application: Application) -> Application:
    """Serialise the calls of `application`; a request is read and its answer sent outside the lock."""
    lock = threading.Lock()

    def locked(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        length = int(environ.get("CONTENT_LENGTH") or 0)
        environ["wsgi.input"] = io.BytesIO(environ["wsgi.input"].read(length))
        with lock:
            return list(application(environ, start_response))

    return locked


if __name__ == "__main__":
    moto = DomainDispatcherApplication(create_backend_app)
    make_server(
        "127.0.0.1", int(sys.argv[1]), one_at_a_time(moto), threaded=True, request_handler=_QuietHandler
    ).serve_forever()
