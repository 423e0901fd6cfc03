"""Sessions in a FastAPI application: a lifespan, dependencies, preconditions by ETag, errors as answers.

Needs the extra ``fastapi``. How to use it: docs/howto/fastapi.md.
"""

from __future__ import annotations

from ..web.etags import etag
from ..web.tenants import composite_key, tenant_key
from .dependencies import (
    ExpectedVersion,
    History,
    KnownVersion,
    SessionDependencies,
    SessionKey,
    Sessions,
    SyncSessions,
    not_modified,
)
from .handlers import PROBLEM_RESPONSES, install_error_handlers
from .lifespan import session_lifespan

__all__ = [
    "PROBLEM_RESPONSES",
    "ExpectedVersion",
    "History",
    "KnownVersion",
    "SessionDependencies",
    "SessionKey",
    "Sessions",
    "SyncSessions",
    "composite_key",
    "etag",
    "install_error_handlers",
    "not_modified",
    "session_lifespan",
    "tenant_key",
]
