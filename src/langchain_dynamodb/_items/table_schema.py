"""Keys and indexes of a table: as users declare them and as DynamoDB describes them. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, TypeAlias

from .._checks import short
from .._dynamodb.attribute_values import Item
from ..errors import InvalidInputError
from . import attribute_names as lc
from .attributes import check_own_name, to_python
from .configured_names import Names
from .keys import RESERVED_PREFIX

KeyType: TypeAlias = Literal["S", "N", "B"]

NON_KEY_ATTRIBUTES = 20  # DynamoDB's limit for one index
_TAKEN = {"S": "a text that is not empty", "N": "a number", "B": "bytes that are not empty"}
_NAME = re.compile(r"[a-zA-Z0-9_.-]{3,255}")
_SUMMARY = (
    lc.VERSION,
    lc.COUNT,
    lc.TRIMMED,
    lc.CREATED,
    lc.UPDATED,
    lc.INTENT,
    lc.METADATA,
    lc.KEY,
)


def summary_names(names: Names) -> frozenset[str]:
    """The attributes that a summary of a session is made of; none of them holds messages."""
    return frozenset((*_SUMMARY, names.ttl))


@dataclass(frozen=True)
class Index:
    """A global secondary index to list sessions by: all that have the same value of `hash_key`.

    They come in the order of `range_key`: ``Index.UPDATED`` (the default), ``Index.CREATED``, an attribute of your
    own, or None for no order. `hash_type` and `range_type` are the types of your own attributes. The index carries
    what a summary needs, and the attributes of your own named in `include`; it never holds messages.

    Raises `InvalidInputError`.
    """

    UPDATED: ClassVar[str] = lc.UPDATED
    CREATED: ClassVar[str] = lc.CREATED

    name: str
    hash_key: str
    range_key: str | None = lc.UPDATED
    hash_type: KeyType = "S"
    range_type: KeyType = "S"
    include: Sequence[str] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise InvalidInputError(
                f"index name {short(self.name)} must be 3 to 255 letters, digits, dots, hyphens or underscores"
            )
        if isinstance(self.include, str) or not isinstance(self.include, Iterable):
            raise InvalidInputError(f"include={short(self.include)} must be a list of attribute names")
        object.__setattr__(self, "include", tuple(self.include))
        for name in (self.hash_key, *self.include, *([] if self._in_our_order else [self.range_key])):
            check_own_name(name, ())
        for kind in (self.hash_type, self.range_type):
            if kind not in ("S", "N", "B"):
                raise InvalidInputError(f"index {self.name!r}: type {short(kind)} of a key must be 'S', 'N' or 'B'")
        if self.hash_key == self.range_key:
            raise InvalidInputError(f"index {self.name!r}: hash_key and range_key are both {self.hash_key!r}")

    @property
    def _in_our_order(self) -> bool:
        return self.range_key in (None, self.UPDATED, self.CREATED)

    @property
    def keys(self) -> dict[str, KeyType]:
        """Name and type of each key attribute, the hash key first."""
        keys: dict[str, KeyType] = {self.hash_key: self.hash_type}
        if self.range_key:
            keys[self.range_key] = "N" if self._in_our_order else self.range_type
        return keys

    def carried(self, names: Names, table_keys: Iterable[str]) -> frozenset[str]:
        """The attributes it carries beside its keys and the table's."""
        return (summary_names(names) | set(self.include)) - {*self.keys, *table_keys}

    def request(self, names: Names, table_keys: Iterable[str]) -> dict[str, Any]:
        """How DynamoDB is told to make it."""
        carried = sorted(self.carried(names, table_keys))
        return {
            "IndexName": self.name,
            "KeySchema": key_schema(self.keys),
            "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": carried},
        }


def check_indexes(indexes: object, names: Names, table_keys: Sequence[str]) -> list[Index]:
    """Refuse indexes that the table cannot have; raises `InvalidInputError`."""
    if not isinstance(indexes, Sequence) or not all(isinstance(index, Index) for index in indexes):
        raise InvalidInputError(f"indexes={short(indexes)} must be a list of Index(...)")
    by_name = {index.name: index for index in indexes}
    if len(by_name) < len(indexes):
        raise InvalidInputError("indexes: two have the same name; give each its own")
    for index in by_name.values():
        for name in (index.hash_key, index.range_key, *index.include):
            if name in names or (name in index.include and name in {*table_keys, *index.keys}):
                raise InvalidInputError(
                    f"index {index.name!r}: {name!r} is the history, the TTL or a key attribute; leave it out"
                )
        if set(index.keys) <= set(table_keys):
            raise InvalidInputError(
                f"index {index.name!r} has only key attributes of the table, so it would hold the pages of long "
                "sessions too: choose range_key=Index.UPDATED, Index.CREATED or an attribute of your own"
            )
        if len(index.carried(names, table_keys)) > NON_KEY_ATTRIBUTES:
            raise InvalidInputError(f"index {index.name!r}: DynamoDB lets it carry at most {NON_KEY_ATTRIBUTES} "
                                    "attributes, ours included; shorten include")  # fmt: skip
    return list(by_name.values())


def key_schema(keys: Iterable[str]) -> list[dict[str, str]]:
    """Key attributes, the hash key first, as DynamoDB takes them."""
    return [{"AttributeName": n, "KeyType": kind} for n, kind in zip(keys, ("HASH", "RANGE"), strict=False)]


def definitions(types: Mapping[str, str]) -> list[dict[str, str]]:
    """Types of key attributes as DynamoDB takes them."""
    return [{"AttributeName": name, "AttributeType": kind} for name, kind in types.items()]


def create_request(keys: Sequence[str], indexes: Sequence[Index], names: Names) -> dict[str, Any]:
    """CreateTable, but for the name: text keys, on-demand capacity."""
    types: dict[str, str] = {}
    for index in indexes:
        types |= index.keys
    request = {
        "KeySchema": key_schema(keys),
        "AttributeDefinitions": definitions({**types, **dict.fromkeys(keys, "S")}),
        "BillingMode": "PAY_PER_REQUEST",
    }
    return {**request, "GlobalSecondaryIndexes": [i.request(names, keys) for i in indexes]} if indexes else request


@dataclass(frozen=True)
class IndexSchema:
    """An index as it is: its keys begin with so many `hashes`, which may be four.

    `carried`: the attributes beside the keys, None for all of them.
    """

    keys: Mapping[str, str]
    carried: frozenset[str] | None
    active: bool = True
    hashes: int = 1


@dataclass(frozen=True)
class Schema:
    """A table as it is: name and type of each key attribute, the hash key first, and its indexes."""

    keys: Mapping[str, str] = field(default_factory=dict)
    indexes: Mapping[str, IndexSchema] = field(default_factory=dict)
    types: Mapping[str, str] = field(default_factory=dict)

    @property
    def described(self) -> str:
        """The key attributes, for a message."""
        return ", ".join(f"{name} ({kind})" for name, kind in self.keys.items())

    def misfit(self, values: Item) -> str | None:
        """Which of an item's attributes an index cannot have as a key, for a message."""
        for index, schema in self.indexes.items():
            for name, kind in schema.keys.items():
                if name in values and not values[name].get(kind):
                    return (
                        f"attribute {name!r} is {short(to_python(values)[name])}, and as a key of index {index!r} it "
                        f"must be {_TAKEN[kind]}: pass such a value, or None to leave the session out of the index"
                    )
        return None

    def own_names(self, names: Names) -> frozenset[str]:
        """The attributes of the user's own that its indexes name."""
        own = {name for index in self.indexes.values() for name in (*index.keys, *(index.carried or ()))}
        return frozenset(n for n in own - {*self.keys, *names} if not n.startswith(RESERVED_PREFIX))


def parse_schema(description: Mapping[str, Any]) -> Schema:
    """The typed value of a table's description."""
    types = {d["AttributeName"]: d["AttributeType"] for d in description["AttributeDefinitions"]}

    def keys(schema: Sequence[Mapping[str, str]]) -> dict[str, str]:
        ordered = sorted(schema, key=lambda k: k["KeyType"])  # HASH, RANGE
        return {k["AttributeName"]: types[k["AttributeName"]] for k in ordered}

    indexes = {}
    for index in description.get("GlobalSecondaryIndexes", ()):
        projection = index["Projection"]
        everything = projection["ProjectionType"] == "ALL"
        carried = None if everything else frozenset(projection.get("NonKeyAttributes", ()))
        active = index.get("IndexStatus", "ACTIVE") == "ACTIVE"
        hashes = sum(key["KeyType"] == "HASH" for key in index["KeySchema"])
        indexes[index["IndexName"]] = IndexSchema(keys(index["KeySchema"]), carried, active, hashes)
    return Schema(keys(description["KeySchema"]), indexes, types)
