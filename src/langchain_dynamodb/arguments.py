"""Checks of the arguments that several methods take. No I/O."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence

from .attempts import new_op
from .errors import InvalidInputError
from .exact import short
from .values import Changes, to_attribute

_TABLE_NAME = re.compile(r"[\w.-]{3,255}|arn:[!-~]{1,1020}", re.ASCII)
LARGEST = 1 << 63  # above every count and version there can be


def check_table_name(table_name: object) -> None:
    """Raise `InvalidInputError` for what can be no table's name or ARN (Developer Guide, "Naming rules")."""
    if not isinstance(table_name, str) or not _TABLE_NAME.fullmatch(table_name):
        raise InvalidInputError(
            f"table_name={short(table_name)} must be a table's name (3 to 255 letters, digits, '_', '-' and '.', all "
            "ASCII) or its ARN"
        )


def check_ttl(ttl: object) -> None:
    """Raise `InvalidInputError` unless `ttl` is None or a positive number of whole seconds."""
    if ttl is not None and (isinstance(ttl, bool) or not isinstance(ttl, int) or not 0 < ttl < 10**10):
        raise InvalidInputError(f"ttl={short(ttl)} must be a positive number of whole seconds, or None for no expiry")


def check_count(option: str, value: object, *, optional: bool = True) -> None:
    """Raise `InvalidInputError` unless `value` is a whole number from 0 on (or None, where that is allowed)."""
    if value is None and optional:
        return
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < LARGEST:
        wanted = "a number from 0 on, or None" if optional else "a number from 0 on"
        raise InvalidInputError(f"{option}={short(value)} must be {wanted}")


def operation_ids(idempotency_key: str | None, lines: Sequence[bytes]) -> tuple[bytes, frozenset[bytes]]:
    """Id of an append, and the ids to remember: a key is remembered together with a hash of its content."""
    if idempotency_key is None:
        op = new_op()
        return op, frozenset([op])
    if not isinstance(idempotency_key, str) or not idempotency_key:
        raise InvalidInputError(f"idempotency_key={idempotency_key!r} must be a text that is not empty, or None")
    op = hashlib.blake2b(idempotency_key.encode("utf-8", "surrogatepass"), digest_size=10).digest()
    content = hashlib.blake2b(b"\n".join(lines), key=op, digest_size=9).digest()
    return op, frozenset([op, content])


def metadata_changes(metadata: object) -> Changes:
    """The names to set, None for one to remove; raises `InvalidInputError`."""
    if not isinstance(metadata, Mapping):
        raise InvalidInputError(f"metadata {metadata!r:.80} must be a mapping of names to values")
    stored = to_attribute(metadata, "metadata")["M"]
    return {name: None if metadata[name] is None else value for name, value in stored.items()}
