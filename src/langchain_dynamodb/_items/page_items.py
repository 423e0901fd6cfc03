"""Pages as typed values. No I/O.

docs/storage.md shows a worked example.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

from .._dynamodb.attribute_values import AttributeValue, Item, number
from ..codec.lines import UndecodableError
from ..codec.long_lines import Line, Pieces
from .attribute_names import CHAIN, CUT, DATA, KEPT, OPS, TOKEN
from .configured_names import Names
from .sizes import MAX_OBJECT

TAIL_TOKEN = b"tail"  # of a page that holds just the tail: whoever cuts that version writes the same page

_REFERENCE = re.compile(
    r"(?P<token>[0-9a-f]{24}) (?P<size>[0-9]{1,10}) (?P<sha256>[0-9a-f]{64}) (?P<bucket>\S+)", re.ASCII
)


class Reference(NamedTuple):
    """What a page has in place of its data: which object holds it (by the token in its name), and what it must be."""

    token: str
    size: int
    sha256: str  # hexadecimal
    bucket: str  # it was written to

    def attribute(self) -> AttributeValue:
        """As stored in the page."""
        return {"S": " ".join(map(str, self))}

    @classmethod
    def parse(cls, stored: str | None) -> Reference | None:
        """The inverse; None for anything else."""
        found = _REFERENCE.fullmatch(stored or "")
        if found is None or not 0 < int(found["size"]) <= MAX_OBJECT:
            return None
        return cls(found["token"], int(found["size"]), found["sha256"], found["bucket"])


@dataclass(slots=True)  # nobody changes one; frozen it would take three times as long to make, and a read makes many
class Page:
    """One page. It has the indexes from `first` up to `end`, of which `removed` belong to no message any more.

    They are none on all but the last of the `parts` that one large message was cut into. Committed, a page stays as it
    is, but for what `edited` tells: the version of the session at which one of its messages was changed last.

    Read for its messages it has no `token`, `ops` or `expires`. With a `reference` its data is in an object: until that
    is loaded it has none here, and where that cannot be had `lost` says why.
    """

    number: int
    cut: int  # version of the session it was cut at
    previous: int  # `cut` of the page before
    token: bytes
    first: int  # index of its first message
    messages: int
    data: bytes
    parts: int = 1
    ops: frozenset[bytes] = frozenset()
    expires: int | None = None
    edited: int = 0
    removed: int = 0
    reference: Reference | None = None
    lost: str | None = None
    large: bool = False  # about to be stored: it goes into an object, if there is a bucket, however small its data is
    pieces: Pieces | None = None  # the same: its data, made as it is sent, in place of `data`
    opened: list[Line] | UndecodableError | None = None  # read: its messages, where they were taken in piece by piece

    @property
    def indexes(self) -> int:
        """How many it has: 0 in the middle of a message."""
        return self.messages + self.removed

    @property
    def end(self) -> int:
        """Index of the first message after it."""
        return self.first + self.indexes

    @property
    def chain(self) -> AttributeValue:
        """Its numbers as stored."""
        numbers = [self.number, self.cut, self.previous, self.first, self.messages, self.parts]
        return {"S": " ".join(map(str, [*numbers, self.edited, self.removed] if self.edited else numbers))}

    @property
    def stored_data(self) -> AttributeValue:
        """Its data, or where that is."""
        return {"B": self.data} if self.reference is None else self.reference.attribute()

    def attributes(self, names: Names) -> Item:
        """All attributes but the key."""
        item: Item = {CUT: number(self.cut), TOKEN: {"B": self.token}, CHAIN: self.chain, DATA: self.stored_data}
        if self.ops:
            item[OPS] = {"BS": sorted(self.ops)}
        if self.expires is not None:
            item[names.ttl] = number(self.expires)
        return item

    def without_data(self) -> Page:
        """The same; several times as fast as `dataclasses.replace`."""
        numbers = (self.number, self.cut, self.previous, self.token, self.first, self.messages)
        return Page(*numbers, b"", self.parts, self.ops, self.expires, self.edited, self.removed)

    def is_in(self, stored: Item, names: Names) -> bool:
        """Whether this very page is stored there, with a later expiry than its own.

        Or with the same, if its data is in an object: then it is not put over that of another writer, whose data must
        be the same (of an encrypted session it never is: sealed twice it differs).
        """
        same = stored.get(CUT) == number(self.cut) and stored.get(TOKEN) == {"B": self.token}
        lasts = int(stored.get(names.ttl, {}).get("N", 0))
        if self.reference is None:
            return same and self.expires is not None and lasts > self.expires
        found = Reference.parse(stored.get(DATA, {}).get("S"))
        if not same or found is None or (found.size, found.sha256) != (self.reference.size, self.reference.sha256):
            return False
        return lasts >= self.expires if self.expires is not None else not {names.ttl, KEPT} & stored.keys()
