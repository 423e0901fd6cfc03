"""Lists sessions: by partition, by index, or all of them; summaries only, no message is read."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, NamedTuple

from .._checks import short
from .._dynamodb.attribute_values import AttributeValue, Item
from .._dynamodb.batches import ITEMS
from .._dynamodb.expressions import Expression
from .._items import attribute_names as lc
from .._items.attributes import check_own_name, to_python
from .._items.clock import MICROSECONDS, next_expiry
from .._items.keys import after_pages, key_value, native_key, session_key
from .._items.parsing import Heading, own_of, parse_heading
from .._items.recognition import other_histories, own_histories
from .._items.table_schema import IndexSchema, Schema, summary_names
from .._protocol import conditions
from .._protocol.sealed_metadata import opened_metadata
from .._protocol.windows import moment
from ..codec.messages import Codec
from ..errors import (
    AccessDeniedError,
    CorruptSessionError,
    EncryptionError,
    InvalidInputError,
    SettingsError,
    StorageError,
)
from ..models import SessionSummary
from .cursors import invalid_cursor, read_cursor, write_cursor
from .table import Table
from .vault import Vault

MAX_SEGMENTS = 16  # requests of one scan at a time
TOTAL_SEGMENTS = 1_000_000  # DynamoDB's limit: of those that many machines scan
SAMPLE = 100  # items among which a look is taken for what no listing tells


@dataclass(frozen=True)
class Listing:
    """What a caller wants listed."""

    partition: object = None
    index: str | None = None
    descending: bool | None = None
    limit: int | None = None
    cursor: str | None = None
    segments: int = 1
    attributes: Sequence[str] = ()
    segment: int | None = None  # only this one of them, from 0 on


class _Source(NamedTuple):
    """A Query or Scan to be made, over and over until it is through."""

    operation: str
    request: dict[str, Any]
    fixed: Item  # the part of each item's place that the caller named
    types: Mapping[str, str]  # of the rest of it, which a cursor holds
    scope: bytes
    backwards: bool = False


@dataclass(frozen=True)
class Lister:
    """Lists the sessions of one table."""

    table: Table
    primary_key_name: str
    clock: Callable[[], int]
    codec: Codec
    vault: Vault
    skip_undecodable: bool = False

    async def list(self, query: Listing) -> AsyncGenerator[SessionSummary, None]:
        """The summaries; raises `InvalidInputError` before anything but a look at the table is sent."""
        check_listing(query, self.table)
        try:
            schema = await self.table.schema(lambda known: bool(known.keys) and query.index in (None, *known.indexes))
        except AccessDeniedError as error:
            raise AccessDeniedError(f"{error} Listing needs to know the table's keys and indexes.", code=error.code,
                                    outcome_unknown=False) from error  # fmt: skip
        source = self._source(query, schema)
        start = None
        if query.cursor is not None:
            start = {**source.fixed, **read_cursor(query.cursor, source.scope, source.types)}
        parallel = query.segments > 1 and query.segment is None
        items = self._parallel(source, query.segments) if parallel else self._in_order(source, start, query)
        left = sys.maxsize if query.limit is None else query.limit
        async with aclosing(items):
            while left and (raw := await anext(items, None)) is not None:
                summary = await self._summary(raw, schema, None if parallel else source)
                if summary:
                    left -= 1
                    yield summary

    async def misnamed(self, *, ours: bool = False) -> Mapping[str, Sequence[SessionSummary]]:
        """Sessions of langchain_community among the first items that no listing shows, by what their list is called.

        A filter knows one name for it. Where all of a table are called otherwise, it would look empty. With `ours` also
        those in our format: listings show them, but they cannot be read.
        """
        schema = await self.table.schema(lambda known: bool(known.keys))
        e, names = Expression(), self.table.names
        absent = (names.history, lc.DATA) if ours else (names.history, lc.DATA, lc.VERSION)
        lacking = [f"attribute_not_exists({e.name(name)})" for name in absent]
        request = {"TableName": self.table.name, "Limit": SAMPLE, "FilterExpression": " AND ".join(lacking)}
        found: dict[str, Any] = {}
        for raw in (await self.table.connection.call("scan", {**request, **e.request()}, write=False))["Items"]:
            histories = own_histories if lc.VERSION in raw else other_histories
            for name in histories(own_of(raw, names, schema.keys))[:1]:
                session = session_name({key: raw[key] for key in schema.keys}, self.primary_key_name)
                summary = SessionSummary(session=session, version=None, message_count=None)
                found.setdefault(name, []).append(summary)
        return found

    def _source(self, query: Listing, schema: Schema) -> _Source:
        if query.partition is None:
            return self._scan(query, schema)
        index = None if query.index is None else self._index(query.index, schema)
        keys = schema.keys if index is None else index.keys
        if index is None and len(keys) == 1:
            raise InvalidInputError(
                f"table {self.table.name!r} has no sort key, so a partition is one session: read it, or list by index="
            )
        fixed = _partition(query.partition, dict(list(keys.items())[: index.hashes if index else 1]))
        backwards = query.descending if query.descending is not None else index is not None
        e = Expression()
        request = {"KeyConditionExpression": " AND ".join(f"{e.name(n)} = {e.value(v)}" for n, v in fixed.items())}
        request |= self._reads(e, query, schema, index)
        more = {"ScanIndexForward": not backwards, **({"IndexName": query.index} if index else {})}
        named = [part for name, value in fixed.items() for part in (name, *value.items())]
        scope = repr(("query", self.table.name, query.index, *named, backwards)).encode()
        rest = {n: k for n, k in {**keys, **schema.keys}.items() if n not in fixed}
        return _Source("query", {**request, **more}, fixed, rest, scope, backwards)

    def _scan(self, query: Listing, schema: Schema) -> _Source:
        request, scope = self._reads(Expression(), query, schema, None), repr(("scan", self.table.name)).encode()
        if query.segment is not None and query.segments > 1:
            request |= {"Segment": query.segment, "TotalSegments": query.segments}
        return _Source("scan", request, {}, schema.keys, scope)

    def _index(self, name: str, schema: Schema) -> IndexSchema:
        """The index, if it can serve summaries; raises `SettingsError`."""
        index = schema.indexes.get(name)
        if index is None:
            known = ", ".join(map(repr, sorted(schema.indexes))) or "none"
            raise SettingsError(
                f"table {self.table.name!r} has no index {name!r} (it has {known}): "
                "declare it with create_table(indexes=[Index(...)])"
            )
        needed = summary_names(self.table.names) - {*index.keys, *schema.keys}
        if wrong := {self.table.names.ttl, lc.VERSION} & index.keys.keys():
            raise SettingsError(
                f"index {name!r} has the key {min(wrong)!r}, by which no sessions can be listed: "
                "declare another one with create_table(indexes=[Index(...)])"
            )
        if index.carried is not None and (lacking := sorted(needed - index.carried)):
            raise SettingsError(
                f"index {name!r} does not carry {', '.join(lacking)}, of which summaries are made: "
                "declare another one with create_table(indexes=[Index(...)])"
            )
        return index

    def _reads(self, e: Expression, query: Listing, schema: Schema, index: IndexSchema | None) -> dict[str, Any]:
        """Filter and projection: history bytes never travel."""
        names = self.table.names
        carried = None if index is None else index.carried
        own = {*query.attributes, *schema.own_names(names)}
        if index is not None and carried is not None:
            held = {*carried, *index.keys, *schema.keys}
            if lacking := sorted(set(query.attributes) - held):
                raise InvalidInputError(
                    f"index {query.index!r} does not carry {', '.join(lacking)}: name them in its include="
                )
            own &= held
        read = sorted({*schema.keys, *(index.keys if index else ()), *summary_names(names), *own})
        keys = schema.keys if index is None else index.keys
        history = carried is None or names.history in carried
        return {
            "FilterExpression": conditions.listed(e, names, self.clock(), keys=keys, history=history),
            "ProjectionExpression": ", ".join(e.name(name) for name in read),
            **e.request(),
        }

    async def _in_order(self, source: _Source, start: Item | None, query: Listing) -> AsyncGenerator[Item, None]:
        """The items of one request after the other; with a limit, of small ones first."""
        bound, cursor = ITEMS if query.limit is None else min(query.limit, ITEMS), query.cursor
        while True:
            more = {"Limit": bound, **({"ExclusiveStartKey": start} if start else {})}
            bound = min(2 * bound, ITEMS)  # what is filtered out counts too, and may be most of it
            try:
                response = await self._fetch(source, more)
            except StorageError as error:
                if cursor is None or error.code != "ValidationException":
                    raise
                raise invalid_cursor(cursor) from error  # a forged one: the table can have no such key
            for raw in response.get("Items", []):
                yield raw
            cursor, start = None, response.get("LastEvaluatedKey")
            if not start:
                return
            if source.operation == "query":
                start = after_pages(start, source.types, source.backwards)

    async def _parallel(self, source: _Source, segments: int) -> AsyncGenerator[Item, None]:
        """The items of all segments as they come, one request of each under way."""

        def ask(segment: int, start: Item | None) -> asyncio.Task[dict[str, Any]]:
            more = {"Segment": segment, "TotalSegments": segments, "Limit": ITEMS}
            return asyncio.create_task(self._fetch(source, {**more, **({"ExclusiveStartKey": start} if start else {})}))

        pending = {ask(segment, None): segment for segment in range(segments)}
        try:
            while pending:
                done, _ = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    segment, response = pending.pop(task), task.result()
                    if last := response.get("LastEvaluatedKey"):
                        pending[ask(segment, last)] = segment
                    for raw in response.get("Items", []):
                        yield raw
        finally:
            for task in pending:
                task.cancel()
            await asyncio.gather(*pending, return_exceptions=True)

    async def _fetch(self, source: _Source, more: Mapping[str, Any]) -> dict[str, Any]:
        request = {"TableName": self.table.name, **source.request, **more}
        return await self.table.connection.call(source.operation, request, write=False)

    async def _summary(self, raw: Item, schema: Schema, source: _Source | None) -> SessionSummary | None:
        key = {name: raw[name] for name in schema.keys}
        heading, error = Heading(), None
        try:
            heading = parse_heading(raw, self.table.names, native_key(key))
        except CorruptSessionError as damage:  # which must not hide the other sessions
            if self.skip_undecodable:
                return None
            error = str(damage)
        metadata = heading.metadata
        try:
            metadata = await self._opened(key, heading)
        except EncryptionError as refused:
            metadata, error = None, str(refused)
        place = {name: raw[name] for name in source.types} if source else {}
        return SessionSummary(
            session=session_name(key, self.primary_key_name),
            error=error,
            version=heading.version,
            message_count=heading.message_count,
            created_at=moment(None if heading.created is None else heading.created / MICROSECONDS),
            updated_at=moment(None if heading.updated is None else heading.updated / MICROSECONDS),
            expires_at=moment(next_expiry(heading.expires, self.clock())),
            metadata=to_python(metadata["M"]) if metadata else {},
            attributes=to_python(own_of(raw, self.table.names, schema.keys)),
            cursor=write_cursor(place, source.scope) if source else None,
        )

    async def _opened(self, key: Item, heading: Heading) -> AttributeValue | None:
        """The metadata in the clear; raises `EncryptionError`."""
        if heading.cipher is None or heading.metadata is None:
            return heading.metadata
        named = session_key(native_key(key), self.primary_key_name)
        codec = self.codec.of(await self.vault.opened(named, heading.cipher))
        return opened_metadata(heading.metadata, named, codec)


def _partition(given: object, hashes: Mapping[str, str]) -> Item:
    """The hash key's attributes with the values that were named: one, or by name where there are several."""
    if not isinstance(given, Mapping):
        if len(hashes) > 1:
            raise InvalidInputError(
                f"partition={short(given)}: the hash key of this index has the attributes {', '.join(hashes)}; pass a "
                "mapping with a value for each"
            )
        given = dict.fromkeys(hashes, given)
    if given.keys() != hashes.keys():
        raise InvalidInputError(
            f"partition={short(dict(given))} must have a value for each attribute of the hash key, and no other: "
            f"{', '.join(hashes)}"
        )
    fixed = {name: key_value("partition", given[name]) for name in hashes}
    for name, (kind, _) in fixed.items():
        if kind != hashes[name]:
            raise InvalidInputError(
                f"partition={short(given[name])} does not fit {name!r}, which is of type {hashes[name]}: pass a value "
                "of it"
            )
    return {name: dict([value]) for name, value in fixed.items()}


def session_name(key: Item, primary_key_name: str) -> str | dict[str, Any]:
    """A session as its users name it."""
    if key.keys() == {primary_key_name} and "S" in key[primary_key_name]:
        return str(key[primary_key_name]["S"])
    return native_key(key)


def check_listing(query: Listing, table: Table) -> None:
    """Refuse what makes no sense together; raises `InvalidInputError`."""
    if query.index is not None and not isinstance(query.index, str):
        raise InvalidInputError(f"index={short(query.index)} must be the name of an index, or None")
    if query.index is not None and query.partition is None:
        raise InvalidInputError(f"index={query.index!r} needs partition=, the value of its hash key to list")
    if query.descending is not None and not isinstance(query.descending, bool):
        raise InvalidInputError(f"descending={short(query.descending)} must be True, False or None")
    if query.partition is None and query.descending is not None:
        raise InvalidInputError("descending needs partition=: a scan of the whole table has no order")
    most = MAX_SEGMENTS if query.segment is None else TOTAL_SEGMENTS
    if type(query.segments) is not int or not 1 <= query.segments <= most:
        raise InvalidInputError(f"segments={short(query.segments)} must be a number from 1 to {most}")
    if query.segment is not None and not (type(query.segment) is int and 0 <= query.segment < query.segments):
        raise InvalidInputError(f"segment={short(query.segment)} must be a number from 0 to {query.segments - 1}")
    from_start = query.cursor is None or query.segment is not None
    if query.segments > 1 and not (query.partition is None and from_start):
        raise InvalidInputError("segments are for a scan of the whole table from its start: no partition, no cursor")
    if isinstance(query.attributes, (str, bytes)) or not isinstance(query.attributes, Sequence):
        raise InvalidInputError(f"attributes={short(query.attributes)} must be a list of attribute names")
    for name in query.attributes:
        check_own_name(name, table.names)
