"""Which attributes of a mapping that names a session are its key, and which are the user's own, to be set on it."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import NamedTuple

from .._checks import short
from .._dynamodb.attribute_values import NO_CHANGES, Changes
from .._items.attributes import own_attributes
from .._items.configured_names import Names
from .._items.keys import Session, SessionKey, session_key
from .._items.table_schema import Schema
from ..errors import AccessDeniedError, InvalidInputError, SettingsError, ThrottledError
from .table import Table


class Named(NamedTuple):
    """A session's key, and what its name says beyond that."""

    key: SessionKey
    own: Changes = NO_CHANGES


def check_session(session: object, primary_key_name: str, names: Names) -> None:
    """Refuse what can name no session, whatever the table's key is; raises `InvalidInputError`."""
    try:
        session_key(session, primary_key_name, names)
    except InvalidInputError as error:
        if not isinstance(session, Mapping) or len(session) < 2:
            raise
        _check_extras(session, names, error)
        for name, value in session.items():
            with contextlib.suppress(InvalidInputError):
                session_key({name: value}, primary_key_name, names)
                return
        raise


def _check_extras(session: Mapping[str, object], names: Names, error: InvalidInputError) -> None:
    """Each attribute must be able to be one of the user's own at least: which is the key is not known yet."""
    try:
        if all(value is not None for value in session.values()):
            own_attributes(session, names)
            return
    except InvalidInputError as wrong:
        if len(session) > 2:
            raise wrong from None
    raise error


async def named(table: Table, session: Session, primary_key_name: str) -> Named:
    """The session's key. A mapping is compared with the table's, which is looked at once per process.

    Raises `SettingsError` where it does not fit, or has further attributes and the table may not be looked at.
    """
    check_session(session, primary_key_name, table.names)
    if isinstance(session, str):
        return Named(session_key(session, primary_key_name, table.names))
    schema = await _schema(table, session)
    if not schema.keys:
        return Named(session_key(session, primary_key_name, table.names))
    key = _fitting_key(schema, session, table.names)
    if key is None:
        raise SettingsError(
            f"key {short(dict(session))} does not fit table {table.name!r}, whose key attributes are "
            f"{schema.described}: name the session by all of them, with values of those types"
        )
    extras = {name: value for name, value in session.items() if name not in schema.keys}
    return Named(key, own_attributes(extras, (*table.names, *schema.keys)))


async def _schema(table: Table, session: Mapping[str, object]) -> Schema:
    """The table's schema; an empty one where it may not be looked at and the session has no more than a key may."""
    may_be_key = len(session) <= 2

    def fits(schema: Schema) -> bool:
        return may_be_key if not schema.keys else _fitting_key(schema, session, table.names) is not None

    try:
        return await table.schema(fits)
    except (AccessDeniedError, ThrottledError) as error:
        if isinstance(error, AccessDeniedError) and not (error.code or "").startswith("AccessDenied"):
            raise  # no (valid) credentials: that says nothing of this right, and is over as soon as they are there
        if not may_be_key and isinstance(error, ThrottledError):
            raise
        if not may_be_key:
            raise SettingsError(
                f"key {short(dict(session))} has {len(session)} attributes, and which of them are those of table "
                f"{table.name!r} could not be looked up ({type(error).__name__}): allow dynamodb:DescribeTable, or "
                "name the session by the table's key alone and pass the others as attributes="
            ) from error
        return table.forgo_schema()  # DynamoDB refuses what is wrong


def _fitting_key(schema: Schema, session: Mapping[str, object], names: Names) -> SessionKey | None:
    """The key within the mapping; None where an attribute is missing or of another type."""
    if not schema.keys.keys() <= session.keys():
        return None
    key = session_key({name: session[name] for name in schema.keys}, "", names)
    return key if key.shape == schema.keys.items() else None
