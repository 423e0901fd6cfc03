"""Errors of this package as answers of a FastAPI application, and in its OpenAPI document."""

from __future__ import annotations

import contextlib
import logging
from typing import Any

from fastapi import FastAPI, HTTPException, WebSocket
from fastapi.encoders import jsonable_encoder
from fastapi.exception_handlers import request_validation_exception_handler
from fastapi.exceptions import RequestValidationError
from fastapi.requests import HTTPConnection
from fastapi.responses import JSONResponse

from .._checks import short
from ..errors import ChatHistoryError, InvalidInputError
from ..surrogates import mended
from ..web.problems import MEDIA_TYPE, Problem, problem

_log = logging.getLogger("langchain_dynamodb.fastapi")


class ProblemError(HTTPException):
    """What the dependencies answer a request with; FastAPI knows it without the handlers below too."""

    def __init__(self, told: Problem) -> None:
        super().__init__(told.status, told.detail, dict(told.headers))
        self.problem = told


def install_error_handlers(app: FastAPI) -> None:
    """Answer errors of this package with their status and a problem document (docs/howto/fastapi.md has the table).

    Those that are the server's own go to the log ``langchain_dynamodb.fastapi``, and no detail of them to the client.
    FastAPI's own answer to input that it refuses, which repeats that input, becomes one that can say half a character
    (as U+FFFD); a handler of your own stays.
    """
    if not hasattr(app, "add_exception_handler"):
        raise InvalidInputError(f"install_error_handlers({short(app)}): pass the FastAPI application, not a router")
    app.add_exception_handler(ChatHistoryError, _answer)
    app.add_exception_handler(ProblemError, _answer)
    if app.exception_handlers.get(RequestValidationError) is request_validation_exception_handler:
        app.add_exception_handler(RequestValidationError, _refuse)


# RFC 6455 and IANA's registry: try again later, internal error. All else is the client's: policy violation.
_CLOSE_CODES = {503: 1013, 500: 1011}


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
            await connection.close(_CLOSE_CODES.get(told.status, 1008), told.code)
        return None
    return JSONResponse(mended(told.document), told.status, dict(told.headers), MEDIA_TYPE)


async def _refuse(request: Any, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    return JSONResponse({"detail": mended(jsonable_encoder(error.errors()))}, 422)


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
        "home_region": {"type": "string"},
    },
    "required": ["title", "status", "detail", "code"],
}

PROBLEM_RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {"description": description, "content": {MEDIA_TYPE: {"schema": _DOCUMENT}}}
    for status, description in {
        404: "There is no such session",
        409: "The session is at another version",
        412: "The session does not meet If-Match or If-None-Match",
        413: "A message is too large",
        421: "Another region writes the session",
        503: "Busy, throttled or not there as a whole yet: try again",
    }.items()
}
"""For ``FastAPI(responses=PROBLEM_RESPONSES)``, so that the OpenAPI document tells of them."""
