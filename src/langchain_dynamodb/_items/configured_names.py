"""The attribute names that the user chooses."""

from __future__ import annotations

from typing import NamedTuple

from .._checks import is_utf8
from ..errors import InvalidInputError
from .keys import RESERVED_PREFIX


class Names(NamedTuple):
    """The attribute names the user chooses."""

    history: str
    ttl: str


def check_names(names: Names, primary_key_name: str) -> None:
    """Refuse attribute names that cannot be used; raises `InvalidInputError`."""
    for option, name in (("history_messages_key", names.history), ("ttl_key_name", names.ttl)):
        if not _is_name(name) or name == primary_key_name:
            raise InvalidInputError(
                f"{option}={name!r} must be a text that is not empty, does not start with 'lc_' (those attributes are "
                f"ours) and is not the key attribute {primary_key_name!r}"
            )
    if not _is_name(primary_key_name):
        raise InvalidInputError(
            f"primary_key_name={primary_key_name!r} must be a text that is not empty and does not start with 'lc_'"
        )
    if names.history == names.ttl:
        raise InvalidInputError(f"history_messages_key and ttl_key_name are both {names.ttl!r}: give them two names")


def check_sort_key_name(name: object, names: Names, primary_key_name: str) -> None:
    """Refuse a sort key that no session could have; raises `InvalidInputError`."""
    if not _is_name(name) or name in (*names, primary_key_name):
        raise InvalidInputError(
            f"sort_key_name={name!r:.80} must be a text that is not empty, does not start with 'lc_' and is neither "
            "the partition key's name nor that of the history or TTL attribute"
        )


def _is_name(name: object) -> bool:
    return isinstance(name, str) and bool(name) and is_utf8(name) and not name.startswith(RESERVED_PREFIX)
