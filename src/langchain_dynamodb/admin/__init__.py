"""Work on whole tables: export, import, delete, migrate, verify, repair, tidy up; each can be stopped and gone on with.

Functions over an `AsyncSessionRepository`, whose settings (key names, format, encryption) they go by. The command
``langchain-dynamodb`` is made of them: docs/howto/command-line.md.
"""

from __future__ import annotations

from .checking import verify
from .copying import copy_session
from .diagnosis import doctor
from .exchanging import export_sessions, import_sessions
from .mending import reencrypt_sessions, repair_sessions
from .migrating import migrate
from .removing import delete_sessions, vacuum
from .reports import Check, Outcome, Progress, Summary
from .run import Run

__all__ = [
    "Check",
    "Outcome",
    "Progress",
    "Run",
    "Summary",
    "copy_session",
    "delete_sessions",
    "doctor",
    "export_sessions",
    "import_sessions",
    "migrate",
    "reencrypt_sessions",
    "repair_sessions",
    "vacuum",
    "verify",
]
