"""The key of a session item, and the keys of its pages derived from it. No I/O."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Context, Decimal
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

from .._checks import is_utf8, short
from .._dynamodb.attribute_values import NUMBER_DIGITS, AttributeValue, Item, is_storable
from ..codec.sealing import Place
from ..errors import InvalidInputError

Session: TypeAlias = str | Mapping[str, object]
"""How a chat session is named: a session id, or the whole key of its item."""

PARTITION_KEY_BYTES = 2048  # DynamoDB's limit on a partition key value
SORT_KEY_BYTES = 1024  # and on a sort key value
RESERVED_PREFIX = "lc_"  # of the names of our own attributes
SUFFIX_BYTES = len("~lc~") + 14 + len("~") + 8
GENERATIONS = 1 << 56  # what 14 hexadecimal digits hold: microseconds up to the year 4253
PAGE_NUMBERS = 1 << 32  # and 8

# Session keys that end like this are refused, so no session can ever be named like a page of another one.
_RESERVED = re.compile(r"~lc~[0-9a-f]{14}~[0-9a-f]{8}\Z")

_DIGITS = Context(prec=NUMBER_DIGITS, traps=[])  # the thread's own would round to 28 digits


@dataclass(frozen=True, slots=True)
class SessionKey:
    """A checked session key: (name, type, value) of each key attribute, sorted by name.

    Sorted, so that every client derives the same page keys whatever order its mapping has. `suffixed` is the
    index of the attribute that takes the page suffix: the last one that is text or binary.
    """

    attributes: tuple[tuple[str, str, str | bytes], ...]
    suffixed: int
    size: int  # bytes that the key adds to an item

    @property
    def item(self) -> Item:
        """Key of the session item, as DynamoDB takes it."""
        return {name: {kind: value} for name, kind, value in self.attributes}

    @property
    def shape(self) -> frozenset[tuple[str, str]]:
        """(name, type) of each key attribute."""
        return frozenset((name, kind) for name, kind, _ in self.attributes)

    def page(self, generation: int, number: int) -> Item:
        """Key of page `number` of the session's `generation`."""
        if not (0 <= generation < GENERATIONS and 0 <= number < PAGE_NUMBERS):
            # One digit more would make it a key that a session may have.
            raise InvalidInputError(f"page {number} of generation {generation} has no key: is the clock right?")
        suffix = f"~lc~{generation:014x}~{number:08x}"
        name, _, value = self.attributes[self.suffixed]
        key = self.item
        key[name] = {"B": value + suffix.encode()} if isinstance(value, bytes) else {"S": value + suffix}
        return key

    @property
    def page_prefix(self) -> AttributeValue:
        """What the key of each of its pages begins with, in the attribute that takes the suffix."""
        _, kind, value = self.attributes[self.suffixed]
        return {kind: value + b"~lc~" if isinstance(value, bytes) else value + "~lc~"}

    def page_of(self, page: Item) -> tuple[int, int] | None:
        """Generation and number in a page's key; None where it is no key of a page of this session."""
        value, prefix = self.page_id(page), next(iter(self.page_prefix.values()))
        text = value.decode("latin-1") if isinstance(value, bytes) else value
        if value[: len(prefix)] != prefix or len(value) != len(prefix) - len("~lc~") + SUFFIX_BYTES:
            return None
        return (int(text[-23:-9], 16), int(text[-8:], 16)) if _RESERVED.search(text) else None

    def page_id(self, page: Item) -> str | bytes:
        """What tells a page of this session from the others: numbers need not come back in the same notation."""
        name, kind, _ = self.attributes[self.suffixed]
        value: str | bytes = page[name][kind]
        return value

    def place(self, generation: int | None = None, number: int | None = None, part: str = "") -> Place:
        """Where a block is stored: on the session item, or in page `number` of a generation."""
        return Place(self.attributes, generation, number, part)

    def __str__(self) -> str:
        shown = {name: str(value) if kind == "N" else repr(value) for name, kind, value in self.attributes}
        return ", ".join(f"{name}={value}" for name, value in shown.items())


class PageName(NamedTuple):
    """What the key of a page says."""

    session: SessionKey
    generation: int
    number: int


def page_name(key: Item, primary_key_name: str) -> PageName | None:
    """Which page of which session has this key; None where it is no key of a page."""
    for name in sorted(key, reverse=True):
        ((kind, value),) = key[name].items()
        text = value.decode("latin-1") if kind == "B" else value
        if kind != "N" and _RESERVED.search(text):
            owner = {**key, name: {kind: value[:-SUFFIX_BYTES]}}
            return PageName(session_key(native_key(owner), primary_key_name), int(text[-23:-9], 16), int(text[-8:], 16))
        if kind != "N":
            return None  # the suffix is on the last attribute that can take it
    return None


def native_key(key: Item) -> dict[str, str | bytes | int | Decimal]:
    """A key in Python types: whole numbers as int, others as Decimal."""
    return {name: _native_value(kind, value) for name, av in key.items() for kind, value in av.items()}


def _native_value(kind: str, value: str | bytes) -> str | bytes | int | Decimal:
    if kind != "N":
        return value
    number = Decimal(str(value))
    return int(number) if number == number.to_integral_value() else number


def _size(value: str | bytes) -> int:
    return len(value.encode() if isinstance(value, str) else value)


def session_key(session: object, primary_key_name: str, taken: tuple[str, ...] = ()) -> SessionKey:
    """Check how the caller named a session; raises `InvalidInputError` that names the value.

    No key attribute may have one of the `taken` names, which are those of the history and the TTL attribute.
    """
    if isinstance(session, str):
        return _key_of_text(session, primary_key_name, taken)
    if not isinstance(session, Mapping):
        raise InvalidInputError(
            f"session {short(session)} is a {type(session).__name__}: "
            'name a session by its id (a str) or its whole key (a mapping such as {"PK": "a", "SK": "b"})'
        )
    return _key_of(session, taken)


@lru_cache(maxsize=1024)
def _key_of_text(session: str, primary_key_name: str, taken: tuple[str, ...]) -> SessionKey:
    return _key_of({primary_key_name: session}, taken)


def _key_of(session: Mapping[Any, object], taken: tuple[str, ...]) -> SessionKey:
    if not 1 <= len(session) <= 2:
        raise InvalidInputError(
            f"key {short(dict(session))} has {len(session)} attributes: a DynamoDB key has a partition key "
            "and at most a sort key"
        )
    for name in session:
        if not isinstance(name, str) or not name or not (name.isascii() or is_utf8(name)):
            raise InvalidInputError(f"key attribute name {short(name)} must be a text (UTF-8) that is not empty")
        if name in taken or name.startswith(RESERVED_PREFIX):
            raise InvalidInputError(
                f"key attribute {short(name)} has the name of an attribute of ours: choose another "
                f"history_messages_key or ttl_key_name, and no key that begins with {RESERVED_PREFIX!r}"
            )
    attributes = tuple((name, *_typed(name, session[name])) for name in sorted(session))
    suffixable = [i for i, (_, kind, _) in enumerate(attributes) if kind in "SB"]
    if not suffixable:
        raise InvalidInputError(
            f"key {short(dict(session))} consists of numbers only: long sessions derive the keys of their pages "
            "from a text or binary key attribute; use a table with at least one"
        )
    return SessionKey(attributes, suffixable[-1], _checked_size(attributes, suffixable[-1]))


def _typed(name: str, value: object) -> tuple[str, str | bytes]:
    """DynamoDB type and checked value of one key attribute of a session."""
    kind, stored = key_value(name, value)
    text = stored.decode("latin-1") if isinstance(stored, bytes) else stored
    if kind != "N" and _RESERVED.search(text):
        raise InvalidInputError(
            f"key attribute {name!r} is {short(value)}, which ends like the key of a page of another session "
            "(~lc~, 14 hexadecimal digits, ~, 8 hexadecimal digits): choose another id"
        )
    return kind, stored


def key_value(name: str, value: object) -> tuple[str, str | bytes]:
    """DynamoDB type and checked value of a key attribute, be it the table's or an index's."""
    if isinstance(value, str) and value:
        if not (value.isascii() or is_utf8(value)):
            raise InvalidInputError(
                f"key attribute {name!r} is {short(value)}, which holds a lone surrogate: use an id that is UTF-8 text"
            )
        return "S", value
    if isinstance(value, (bytes, bytearray)) and value:
        return "B", bytes(value)
    if isinstance(value, (int, Decimal)) and not isinstance(value, bool):
        number = Decimal(value)
        if number.is_finite() and is_storable(number):
            return "N", format(_DIGITS.normalize(number), "f") if number else "0"
    raise InvalidInputError(
        f"key attribute {name!r} is {short(value)}: use a text or bytes that are not empty, an int or a Decimal "
        "of at most 38 digits"
    )


def after_pages(place: Item, types: Collection[str], backwards: bool) -> Item:
    """Where a query of a partition that has come to `place` goes on: past the other pages of that session, unread.

    `types` are the attributes beside the partition's. Elsewhere than among pages it is `place` itself.
    """
    for name in types:
        ((kind, value),) = place[name].items()
        text = value.decode("latin-1") if kind == "B" else value
        if kind != "N" and _RESERVED.search(text):
            edge = text[:-8] + ("00000000" if backwards else "ffffffff")
            return {**place, name: {kind: edge.encode("latin-1") if kind == "B" else edge}}
    return place


def _checked_size(attributes: tuple[tuple[str, str, str | bytes], ...], suffixed: int) -> int:
    """Bytes of the whole key. Lengths are checked with room for the page suffix: no session stops at its first page."""
    total = 0
    for i, (name, kind, value) in enumerate(attributes):
        size = _size(value)
        total += len(name.encode()) + size
        # Which of two attributes is the sort key is not known here: the suffixed one must satisfy the smaller limit.
        limit = PARTITION_KEY_BYTES if len(attributes) == 1 or i != suffixed else SORT_KEY_BYTES
        limit -= SUFFIX_BYTES if i == suffixed else 0
        if kind != "N" and size > limit:
            raise InvalidInputError(
                f"key attribute {name!r} has {size} bytes ({short(value)}): at most {limit} fit, "
                f"with room for the {SUFFIX_BYTES} bytes that a page key adds"
            )
    return total
