"""Errors of this package as answers of a FastAPI application, and in its OpenAPI document."""

from __future__ import annotations

import contextlib
import logging
from typing import Any

from fastapi import FastAPI, HTTPException, WebSocket
from fastapi.requests import HTTPConnection
from fastapi.responses import JSONResponse

from .errors import ChatHistoryError, InvalidInputError
from .exact import short
from .problems import MEDIA_TYPE, Problem, problem

_log = logging.getLogger("langchain_dynamodb.fastapi")


class ProblemError(HTTPException):
    """What the dependencies answer a request with; FastAPI knows it without the handlers below too."""

    def __init__(self, told: Problem) -> None:
        super().__init__(told.status, told.detail, dict(told.headers))
        self.problem = told


def install_error_handlers(app: FastAPI) -> None:
    """Answer errors of this package with their status and a problem document (docs/howto/fastapi.md has the table).

    Those that are the server's own go to the log ``langchain_dynamodb.fastapi``, and no detail of them to the client.
    """
    if not hasattr(app, "add_exception_handler"):
        raise InvalidInputError(f"install_error_handlers({short(app)}): pass the FastAPI application, not a router")
    app.add_exception_handler(ChatHistoryError, _answer)
    app.add_exception_handler(ProblemError, _answer)


async def _answer(connection: Any, error: Exception) -> Any:  # of a request or of a WebSocket
    if isinstance(error, ProblemError):
        told = error.problem
    else:
        assert isinstance(error, ChatHistoryError)
        told = problem(error, conditional=_is_conditional_change(connection))
    if told.status >= 500:
        where = f"{connection.scope['type']} {connection.url.path}"
        _log.log(logging.ERROR if told.status == 500 else logging.WARNING, "%s failed", where, exc_info=error)
    if isinstance(connection, WebSocket):
        with contextlib.suppress(RuntimeError):  # closed already
            await connection.close(1013 if told.status == 503 else 1011, told.code)
        return None
    return JSONResponse(told.document, told.status, dict(told.headers), MEDIA_TYPE)


def _is_conditional_change(connection: HTTPConnection) -> bool:
    changes = connection.scope.get("method") not in ("GET", "HEAD")
    return changes and ("if-match" in connection.headers or "if-none-match" in connection.headers)


_DOCUMENT = {
    "type": "object",
    "properties": {
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string"},
        "current_version": {"type": "integer"},
    },
    "required": ["title", "status", "detail", "code"],
}

PROBLEM_RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {"description": description, "content": {MEDIA_TYPE: {"schema": _DOCUMENT}}}
    for status, description in {
        409: "The session is at another version",
        412: "The session does not meet If-Match or If-None-Match",
        413: "A message is too large",
        503: "Busy or throttled: try again",
    }.items()
}
"""For ``FastAPI(responses=PROBLEM_RESPONSES)``, so that the OpenAPI document tells of them."""
