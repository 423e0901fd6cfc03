"""Keys made of whose a session is and its id, so that nobody can name another's session. No I/O, no framework."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias
from urllib.parse import quote

from .._checks import check_text, short
from .._items.keys import Session, session_key
from ..errors import InvalidInputError

TenantKey: TypeAlias = Callable[[str, str], Session]
"""Makes a session's key from tenant and session id."""


def tenant_key(tenant: str, session_id: str) -> str:
    """One key attribute from tenant and session id: the tenant, percent-encoded, then ``/`` and the id.

    No two pairs share a key, since an encoded tenant holds no slash. Raises `InvalidInputError` for what is no text.
    """
    check_text("tenant", tenant)
    check_text("session id", session_id)
    return f"{quote(tenant, safe=':@')}/{session_id}"


def composite_key(
    partition_key_name: str, sort_key_name: str, *, partition_prefix: str = "", sort_prefix: str = ""
) -> TenantKey:
    """Make keys for a table with two key attributes: the tenant is the partition, the session id the sort key.

    Raises `InvalidInputError` for names that no such table has.
    """
    given = {
        "partition_key_name": partition_key_name,
        "sort_key_name": sort_key_name,
        "partition_prefix": partition_prefix,
        "sort_prefix": sort_prefix,
    }
    for name, text in given.items():
        if not isinstance(text, str):
            raise InvalidInputError(f"{name}={short(text)} must be a text")
    if partition_key_name == sort_key_name:  # the tenant would be lost
        raise InvalidInputError(
            f"composite_key({short(partition_key_name)}, {short(sort_key_name)}): name the two key attributes of the "
            "table; where it has only one, leave out key="
        )

    def key(tenant: str, session_id: str) -> Session:
        check_text("tenant", tenant)
        check_text("session id", session_id)
        return {partition_key_name: partition_prefix + tenant, sort_key_name: sort_prefix + session_id}

    session_key(key("tenant", "id"), "")  # refuses names that a key attribute cannot have
    return key
