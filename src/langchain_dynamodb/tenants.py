"""Keys made of whose a session is and its id, so that nobody can name another's session. No I/O, no framework."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias
from urllib.parse import quote

from .keys import Session

TenantKey: TypeAlias = Callable[[str, str], Session]
"""Makes a session's key from tenant and session id."""


def tenant_key(tenant: str, session_id: str) -> str:
    """One key attribute from tenant and session id: the tenant, percent-encoded, then ``/`` and the id.

    No two pairs share a key, since an encoded tenant holds no slash.
    """
    return f"{quote(tenant, safe=':@')}/{session_id}"


def composite_key(
    partition_key_name: str, sort_key_name: str, *, partition_prefix: str = "", sort_prefix: str = ""
) -> TenantKey:
    """Make keys for a table with two key attributes: the tenant is the partition, the session id the sort key."""

    def key(tenant: str, session_id: str) -> Session:
        return {partition_key_name: partition_prefix + tenant, sort_key_name: sort_prefix + session_id}

    return key
