"""Sessions as they are typed, or stand in a file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from .._items.keys import Session


def parse_session(text: str) -> Session:
    """A session as one types it: its id, or its whole key as a JSON object."""
    if text.startswith("{"):
        try:
            told = json.loads(text)
        except ValueError:
            return text
        if isinstance(told, dict):
            return told
    return text


def read_names(path: Path) -> Iterator[Session]:
    """Sessions of a file, one a line: ids, keys as JSON objects, or lines of ``list --json``."""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.strip():
            session = parse_session(line.strip())
            named = session.get("session", session) if isinstance(session, dict) else session
            yield named
