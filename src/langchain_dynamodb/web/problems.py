"""Errors as answers over HTTP: status, headers and a problem document (RFC 9457). No I/O, no framework."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any

from .. import errors
from .etags import Preconditions, etag

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER = {"Retry-After": "1"}  # seconds; the SDK and the repository have waited before they gave up
_AWS_IS_DOWN = {None, "InternalServerError", "InternalFailure", "ServiceUnavailable"}  # None: no answer at all
_LOST_TO_A_REGION = "ReplicatedWriteConflictException"  # in a strongly consistent global table


@dataclass(frozen=True)
class Problem:
    """An answer: `code` is for programs, `detail` for people, `more` are further members of the document."""

    status: int
    code: str
    detail: str
    headers: Mapping[str, str] = field(default_factory=dict)
    more: Mapping[str, Any] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The status in words."""
        return HTTPStatus(self.status).phrase

    @property
    def document(self) -> dict[str, Any]:
        """The body; without a `type`, which RFC 9457 defines as ``about:blank``."""
        shown = {"title": self.title, "status": self.status, "detail": self.detail, "code": self.code}
        return {**shown, **self.more}


def problem(error: errors.ChatHistoryError, *, conditional: bool = False) -> Problem:
    """Answer to an error: what the client can act on is told, what is the server's own stays in its log.

    `conditional` tells that the request made the change depend on a version, by ``If-Match`` or ``If-None-Match``.
    """
    if isinstance(error, errors.VersionConflictError):
        return version_conflict(error.actual, error.expected, status=412 if conditional else 409)
    if isinstance(error, errors.InvalidInputError) and not isinstance(error, errors.SettingsError):
        return _invalid(error)
    if isinstance(error, errors.IdempotencyError):
        return Problem(422, "idempotency_key_reused", "This idempotency key was already used for other messages.")
    if isinstance(error, errors.OutcomeUnknownError):
        told = "The change may or may not have happened: read the session before you try again."
        return Problem(500, "outcome_unknown", told)  # not 503: clients and proxies repeat that unasked
    if isinstance(error, errors.WrongRegionError):
        told = "Another region writes this session: send the request there."
        return Problem(421, "wrong_region", told, more={"home_region": error.home})
    if isinstance(error, errors.SessionNotFoundError):
        return Problem(404, "session_not_found", "There is no such session (any more).")
    if isinstance(error, errors.MessageNotFoundError):
        return Problem(404, "message_not_found", "There is no such message (any more).")
    if isinstance(error, errors.CorruptSessionError):  # 500: no retry mends it
        return Problem(500, "session_damaged", "What is stored of this session is damaged: tell the operator.")
    if isinstance(error, errors.MissingBlobsError):
        return Problem(500, "session_elsewhere", "A part of this session is kept elsewhere: tell the operator.")
    if isinstance(error, errors.EncryptionError):
        return Problem(500, "session_locked", "The key of this session cannot be used: tell the operator.")
    if isinstance(error, errors.ForeignItemError):
        return Problem(409, "not_a_session", "What is stored there is not a chat session.")
    return _unavailable(error) or Problem(500, "internal_error", "The server could not read or write the session.")


def version_conflict(actual: int, expected: int | None = None, *, status: int) -> Problem:
    """The session is at another version than the request wants."""
    if not actual:
        told = "There is no such session (any more)."
    elif expected == 0:
        told = "The session exists already."
    else:
        told = "The session has changed since you read it: read it again, then repeat the change."
    more = {"current_version": actual} | ({} if expected is None else {"expected_version": expected})
    return Problem(status, "version_conflict", told, {"ETag": etag(actual)}, more)


def precondition_failed(conditions: Preconditions, version: int) -> Problem:
    """The session is at a version at which the request's conditions do not hold."""
    told = version_conflict(version, status=412)
    if version and conditions.are_weak(version):
        weak = "If-Match has the session's ETag as a weak one (W/), which allows no change: send it as the server made"
        return replace(told, detail=f"{weak} it. A proxy that compresses answers may have made it weak.")
    if version and (conditions.match is None or conditions.match.match(version, weakly=False)):
        return replace(told, detail="The session is what If-None-Match says it must not be.")
    return told


def _invalid(error: errors.InvalidInputError) -> Problem:
    if isinstance(error, errors.MessageTooLargeError):
        told = f"Too large: {error.size} bytes, of which at most {error.limit} can be stored."
        return Problem(413, "message_too_large", told, more={"size": error.size, "limit": error.limit})
    if isinstance(error, errors.UnsupportedMessageError):
        return Problem(422, "unsupported_message", str(error), more={"path": error.path})
    if isinstance(error, errors.InvalidCursorError):
        return Problem(400, "invalid_cursor", str(error))
    return Problem(422, "invalid_input", str(error))


def _unavailable(error: errors.ChatHistoryError) -> Problem | None:
    """What the same request may get past in a moment."""
    if isinstance(error, errors.ThrottledError):
        return Problem(503, "throttled", "Too many requests at once: try again.", RETRY_AFTER)
    if isinstance(error, errors.SessionBusyError) or getattr(error, "code", None) == _LOST_TO_A_REGION:
        return Problem(503, "session_busy", "Others keep this session busy: try again.", RETRY_AFTER)
    if isinstance(error, errors.IncompleteSessionError):
        return Problem(503, "session_incomplete", "A part of this session is not there yet: try again.", RETRY_AFTER)
    if isinstance(error, errors.BlobUnavailableError) and error.retryable:
        return Problem(503, "storage_unavailable", "The storage does not answer: try again.", RETRY_AFTER)
    if type(error) is errors.StorageError and error.code in _AWS_IS_DOWN:
        return Problem(503, "storage_unavailable", "The storage does not answer: try again.", RETRY_AFTER)
    return None
