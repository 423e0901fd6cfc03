"""Names of objects: the table, the session, its generation, and the page with a token. No I/O.

Whatever stands in a key is written as it is where S3 calls that safe, and else as ``!`` with two hexadecimal digits for
each byte: so the sessions of a tenant whose name they begin with are found by what their objects' names begin with, no
two sessions share a name, and a slash in a key is no step down. (``%`` itself is encoded once more by some tools.)

The table's name ends with a ``!``, which stands so in no prefix and in no session's part. So a name says of which table
its object is, whatever prefixes others have in the bucket.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import NamedTuple

Named = Sequence[tuple[str, str, "str | bytes"]]
"""A session's key: (name, type, value) of each attribute, sorted by name."""

LONGEST = 448  # bytes of a session's part of a name: S3 takes 1,024 for all, prefix and table included
END_OF_TABLE = "!"
_CUT = "~"  # which stands in no name that was not cut
_UNSAFE = re.compile(rb"[^A-Za-z0-9_.-]|^\.")  # S3 takes ``.`` and ``..`` between slashes, some tools do not
_NAME = re.compile(
    rf"(?P<table>[A-Za-z0-9_.-]+){END_OF_TABLE}/"
    r"(?P<session>.+)/(?P<generation>[0-9a-f]{14})/(?P<page>[0-9a-f]{8})-(?P<token>[0-9a-f]{24})"
)


class ObjectName(NamedTuple):
    """What a name says of an object: whose data it is."""

    table: str
    session: str
    generation: int
    page: int
    token: str

    def __str__(self) -> str:
        return f"{prefix_of(self.table, self.session, self.generation)}{self.page:08x}-{self.token}"

    @classmethod
    def parse(cls, name: str) -> ObjectName | None:
        """The same of a name; None where it is none of ours."""
        found = _NAME.fullmatch(name)
        if found is None:
            return None
        numbers = int(found["generation"], 16), int(found["page"], 16)
        return cls(found["table"], found["session"], *numbers, found["token"])


def session_part(session: Named) -> str:
    """The part of names that says the session; of a very long one its beginning and a hash."""
    whole = "/".join(escaped(value) for _, _, value in session)
    if len(whole) <= LONGEST:
        return whole
    digest = hashlib.sha256(whole.encode()).hexdigest()
    return f"{whole[: LONGEST - len(digest) - len(_CUT)]}{_CUT}{digest}"


def table_part(table: str) -> str:
    """The part of names that says the table, which may be named by its ARN."""
    return table.rpartition("/")[2]


def prefix_of(table: str, session: str | None = None, generation: int | None = None) -> str:
    """What the names of all objects of a table begin with, of a session in it, or of one generation of that."""
    whole = f"{table}{END_OF_TABLE}/"
    if session is not None:
        whole += f"{session}/"
    return whole if generation is None else f"{whole}{generation:014x}/"


def key_values(session: str) -> list[bytes] | None:
    """The inverse of `session_part`, in the order of the attributes' names; None where it was cut."""
    return None if _CUT in session else [_unescaped(part) for part in session.split("/")]


def escaped(value: str | bytes) -> str:
    """A key attribute, or the beginning of one, as it stands in names."""
    raw = value.encode() if isinstance(value, str) else value
    return _UNSAFE.sub(lambda found: f"!{found[0][0]:02X}".encode(), raw).decode("ascii")


def _unescaped(part: str) -> bytes:
    return re.sub(rb"!([0-9A-F]{2})", lambda found: bytes.fromhex(found[1].decode()), part.encode())
