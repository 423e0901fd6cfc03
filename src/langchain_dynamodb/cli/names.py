"""Sessions as they are typed, or stand in a file; keys of them in the types of the table."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from .._checks import short
from .._items.keys import Session
from ..errors import InvalidInputError
from ..repository import AsyncSessionRepository


def parse_session(text: str) -> Session:
    """A session as one types it: its id, or its whole key as a JSON object; raises `InvalidInputError`."""
    if not text.startswith("{"):
        return text
    try:
        told: dict[str, Any] = json.loads(text, parse_float=Decimal)
    except ValueError as error:
        raise InvalidInputError(
            f"session {short(text)} is no whole JSON object ({error}); one whose id begins with '{{' is named by its "
            "key, as JSON"
        ) from error
    return told


def read_names(path: Path) -> Iterator[Session]:
    """Sessions of a file, one a line: ids, keys as JSON objects, or lines of ``list --json``.

    Raises `InvalidInputError` for a line that begins as an object and is none, and for what is no text.
    """
    try:
        text = path.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"{path} is no text in UTF-8: {error}") from error
    for line in text.split("\n"):  # no other character ends a line: ids may have them
        name = line.removesuffix("\r")
        if not name.strip():
            continue
        session = parse_session(name)
        listed = not isinstance(session, str) and "session" in session and ("version" in session or len(session) > 2)
        yield session["session"] if listed else session  # type: ignore[index,misc]


async def typed(sessions: AsyncSessionRepository, named: Sequence[Session]) -> list[Session]:
    """The same with the values of whole keys in the types of the table, of which JSON has but some."""
    if all(isinstance(one, str) for one in named):
        return [*named]
    keys = (await sessions._table.schema(lambda known: bool(known.keys))).keys
    return [one if isinstance(one, str) else as_typed(one, keys) for one in named]


async def typed_partition(sessions: AsyncSessionRepository, text: str, index: str | None) -> Any:
    """What ``--partition`` names: a value of the hash key, or one for each of its attributes as a JSON object."""
    schema = await sessions._table.schema(lambda known: bool(known.keys) and index in (None, *known.indexes))
    keys = schema.keys if index is None or index not in schema.indexes else schema.indexes[index].keys
    given = parse_session(text)
    return _as(next(iter(keys.values())), given) if isinstance(given, str) else as_typed(given, keys)


def as_typed(key: Mapping[str, Any], types: Mapping[str, str]) -> dict[str, Any]:
    """Attributes of a key that stand in JSON: bytes as base64, numbers perhaps as texts."""
    return {name: _as(types.get(name), value) if isinstance(value, str) else value for name, value in key.items()}


def _as(kind: str | None, text: str) -> str | bytes | Decimal:
    try:
        if kind == "B":
            return base64.b64decode(text.translate({ord("+"): "-", ord("/"): "_"}), altchars=b"-_", validate=True)
        if kind == "N":
            return Decimal(text)
    except (ValueError, ArithmeticError) as error:
        wanted = "bytes, which are given in base64" if kind == "B" else "a number"
        raise InvalidInputError(f"{short(text)} does not fit a key attribute of type {kind}: {wanted}") from error
    return text
