"""The few DynamoDB operations we use, as typed async calls on one table."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from .._dynamodb.attribute_values import Item
from .._dynamodb.batches import ITEMS, in_parallel, pauses
from .._dynamodb.connection import Connection
from .._dynamodb.expressions import Expression, Statement
from .._dynamodb.failures import ConditionFailed
from .._items.attribute_names import CHAIN, CUT, DATA, PAGES, READING
from .._items.community_item import CommunityItem
from .._items.configured_names import Names
from .._items.keys import SessionKey
from .._items.page_items import Page
from .._items.parsing import corrupt, parse_chained, parse_cut, parse_item, parse_page
from .._items.session_items import SessionItem
from .._items.table_schema import Schema, parse_schema
from .._protocol.pages import delete_page, edit_page, keep_page, put_page, refresh_page
from ..blobs.names import table_part
from ..blobs.stores import Blobs
from ..errors import (
    AccessDeniedError,
    ChatHistoryError,
    CorruptSessionError,
    InvalidInputError,
    ItemFormatError,
    OutcomeUnknownError,
    SettingsError,
    StorageError,
)
from .cache import LRU
from .object_pieces import MakeReader
from .page_objects import PageObjects

GET_BATCH = 100  # keys DynamoDB takes in one BatchGetItem
GET_LARGE = 2  # parts of messages: a thread reads the JSON of such an answer, and others wait for it some 3 ms
GET_CONCURRENCY = 3  # such requests at a time: answers that came in at once are taken from their sockets in a row
WRITE_BATCH = 25  # and in one BatchWriteItem
MANY_PAGES = 10_000
MAX_CHANGES = 1 << 40  # more than a session can have seen since any backup of it


class Refused(Exception):
    """The condition of a write did not hold. `current` is the item that was there, where the engine says so.

    `retried`: an earlier transmission of the same request may have been applied. `beyond`: the version of a page that
    was in the way, where the session has to get past it.
    """

    def __init__(self, current: SessionItem | CommunityItem | None, retried: bool, beyond: int = 0) -> None:
        super().__init__("condition not met")
        self.current = current
        self.retried = retried
        self.beyond = beyond


class Table:
    """One table and the attribute names used in it."""

    def __init__(self, connection: Connection, name: str, names: Names, blobs: Blobs | None = None) -> None:
        self.connection = connection
        self.name = name
        self.names = names
        self.objects = PageObjects(table_part(name), blobs)

    async def get(self, key: SessionKey) -> SessionItem | CommunityItem | None:
        """The session item, strongly consistent; one request, one read unit for up to 4 KB."""
        response = await self._call("get_item", {"Key": key.item, "ConsistentRead": True}, key)
        return self._parsed(response.get("Item"), key)

    async def update(self, key: SessionKey, statement: Statement) -> SessionItem | CommunityItem | None:
        """A conditional UpdateItem; returns the new item.

        Raises `Refused`, `CorruptSessionError` where the item is so damaged that it cannot be updated,
        `ItemFormatError` where it is none to be updated, and `InvalidInputError` for a value that an index cannot have
        as a key.
        """
        request = {"Key": key.item, "ReturnValues": "ALL_NEW", **_EXPLAIN, **statement.parameters}
        try:
            response = await self._call("update_item", request, key, write=True, once=statement.once)
        except ConditionFailed as failure:
            raise self._refused(failure, key) from None
        except StorageError as error:
            # An attribute of the wrong type, say. What an earlier transmission may have done matters more.
            if error.code == "ValidationException" and not error.outcome_unknown:
                await self.get(key)
                await self._check_index_keys(statement)
            raise
        try:
            return self._parsed(response["Attributes"], key)
        except (CorruptSessionError, ItemFormatError) as error:
            told = f"the write to session {key} was applied, but the session can no longer be read: {error}"
            raise OutcomeUnknownError(told) from error

    async def delete(self, key: SessionKey, statement: Statement) -> None:
        """A conditional DeleteItem of the session item. Raises `Refused`."""
        try:
            await self._call("delete_item", {"Key": key.item, **_EXPLAIN, **statement.parameters}, key, write=True)
        except ConditionFailed as failure:
            raise self._refused(failure, key) from None

    async def put_page(self, key: SessionKey, generation: int, page: Page) -> int:
        """Put a page; returns 0, or the version of what is in its way: a later cut, or another one of this version."""
        page_key = key.page(generation, page.number)
        page = await self.objects.put(key, generation, page)
        item = {**page_key, **page.attributes(self.names)}
        request = {"Item": item, **_EXPLAIN, **self._telling, **put_page(page, self.names).request()}
        try:
            async with self._withdrawing(key, generation, page):
                response = await self._call("put_item", request, key, write=True)
        except ConditionFailed as failure:
            there = await self._there(failure, page_key)
            await self.objects.withdraw(key, generation, page, there)
            if page.is_in(there, self.names):
                return 0
            cut = parse_cut(there, page_key) if there else page.cut
            if cut - page.cut > MAX_CHANGES:
                raise corrupt(page_key, CUT, f"far newer than its session, at version {page.cut}") from None
            return cut
        await self.objects.tidy(self.objects.dead(key, generation, page.number, response.get("Attributes"), page))
        return 0

    @contextlib.asynccontextmanager
    async def _withdrawing(self, key: SessionKey, generation: int, page: Page) -> AsyncIterator[None]:
        """Around the request that writes a page: where that was surely not applied, its object goes."""
        try:
            yield
        except ChatHistoryError as error:
            if not getattr(error, "outcome_unknown", False):
                await self.objects.withdraw(key, generation, page, {})
            raise

    async def _there(self, failure: ConditionFailed, key: Item) -> Item:
        """What is in the way of a write: not every engine returns it. Empty where there is nothing (any more)."""
        if failure.item is not None:
            return failure.item
        found = await self._get_items([key], {"ConsistentRead": True})
        return found[0] if found else {}

    async def put_pages(self, key: SessionKey, generation: int, pages: Sequence[Page]) -> int:
        """Put all of them, some at a time; returns 0, or the newest version of what is in the way."""
        return max(await in_parallel(lambda page: self.put_page(key, generation, page), pages))

    async def get_pages(
        self,
        key: SessionKey,
        generation: int,
        numbers: Iterable[int],
        *,
        consistent: bool,
        whole: bool = False,
        unreadable: set[int] | None = None,
        batch: int = GET_BATCH,
    ) -> dict[int, Page]:
        """Those of the pages that are there, so many to a request, three requests at once; on demand `whole`.

        Only then they have their token, their ids and their stamp. The numbers of items that are no pages go into
        `unreadable`; without that they are a `CorruptSessionError`.
        """
        wanted = list(numbers)
        chunks = [wanted[i : i + batch] for i in range(0, len(wanted), batch)]

        async def get(chunk: Sequence[int]) -> list[Page]:
            pages = (
                None if whole or unreadable is not None else await self._get_chained(key, generation, chunk, consistent)
            )
            return await self._get_whole(key, generation, chunk, consistent, unreadable) if pages is None else pages

        found = await in_parallel(get, chunks, GET_CONCURRENCY)
        return {page.number: page for pages in found for page in pages}

    async def _get_chained(
        self, key: SessionKey, generation: int, numbers: Sequence[int], consistent: bool
    ) -> list[Page] | None:
        """What reading needs of them; None where one is damaged, which only the whole item can tell."""
        page_keys = [key.page(generation, number) for number in numbers]
        options = {"ConsistentRead": consistent, "ProjectionExpression": READING}
        found = [parse_chained(raw) for raw in await self._get_items(page_keys, options)]
        pages = [page for page in found if page is not None]
        asked_for = {page.number for page in pages}.issubset(numbers)
        return pages if asked_for and len(pages) == len(found) else None

    async def _get_whole(
        self,
        key: SessionKey,
        generation: int,
        numbers: Sequence[int],
        consistent: bool,
        unreadable: set[int] | None,
    ) -> list[Page]:
        by_id = {key.page_id(page_key): (n, page_key) for n in numbers for page_key in [key.page(generation, n)]}
        page_keys = [page_key for _, page_key in by_id.values()]
        pages: list[Page] = []
        for raw in await self._get_items(page_keys, {"ConsistentRead": consistent}):
            number, page_key = by_id[key.page_id(raw)]
            try:
                pages.append(parse_page(raw, self.names, page_key, number))
            except CorruptSessionError:
                if unreadable is None:
                    raise
                unreadable.add(number)
        return pages

    async def _get_items(self, keys: list[Item], options: dict[str, Any]) -> list[Item]:
        """One BatchGetItem, and more while DynamoDB leaves keys unprocessed (16 MB a response); of one a GetItem."""
        if len(keys) == 1:  # which takes the SDK less time
            request = {"TableName": self.name, "Key": keys[0], **options}
            response = await self.connection.call("get_item", request)
            return [response["Item"]] if "Item" in response else []
        items: list[Item] = []
        for pause in pauses():
            request = {"RequestItems": {self.name: {"Keys": keys, **options}}}
            response = await self.connection.call("batch_get_item", request, write=False)
            items += response.get("Responses", {}).get(self.name, [])
            left = response.get("UnprocessedKeys", {}).get(self.name, {}).get("Keys", [])
            if not left:
                break
            await asyncio.sleep(0 if len(left) < len(keys) else pause)
            keys = left
        return items

    async def load(self, key: SessionKey, generation: int, page: Page, reader: MakeReader | None = None) -> Page | None:
        """A page with its data, wherever that is, or with the reason for which that is `lost`.

        As it is now, where it was changed since it was read, so that what it referred to went; None where it is gone,
        or a later cut has its number. Raises `BlobUnavailableError`, and `MissingBlobsError` where there is no bucket,
        or another one that has not got it.
        """
        loaded = await self.objects.load(key, generation, page, reader)
        if loaded.lost:
            now = (await self.get_pages(key, generation, [page.number], consistent=True)).get(page.number)
            if now is None or now.cut != page.cut:
                return None
            if now.reference != page.reference:
                loaded = await self.objects.load(key, generation, now, reader)
            self.objects.check_bucket(key, loaded)
        return loaded

    async def edit_page(self, key: SessionKey, generation: int, seen: Page, new: Page) -> None:
        """Exchange the messages of a page, if it is still the one that was seen."""
        new = await self.objects.put(key, generation, replace(new, reference=None))
        change = {"Key": key.page(generation, new.number), **_EXPLAIN, **edit_page(seen, new).request()}
        try:
            async with self._withdrawing(key, generation, new):
                await self._call("update_item", change, key, write=True)
        except ConditionFailed as failure:
            there = await self._there(failure, key.page(generation, new.number))
            await self.objects.withdraw(key, generation, new, there)
            if there.get(CHAIN) != new.chain:  # else it is done: by another, or an earlier copy of this
                return
        await self.objects.tidy(self.objects.dead(key, generation, new.number, {DATA: seen.stored_data}, new))

    async def delete_pages(self, key: SessionKey, generation: int, numbers: Iterable[int]) -> None:
        """Delete pages whose numbers are never used again."""
        keys = [key.page(generation, number) for number in numbers]
        chunks = [keys[i : i + WRITE_BATCH] for i in range(0, len(keys), WRITE_BATCH)]
        await in_parallel(self._delete_chunk, chunks)

    async def _delete_chunk(self, keys: Sequence[Item]) -> None:
        await self._write_batch([{"DeleteRequest": {"Key": key}} for key in keys])

    async def put_new_pages(self, key: SessionKey, generation: int, pages: Sequence[Page]) -> None:
        """Put pages of a generation that nobody else has, without a condition: 25 to a request, some at a time.

        Each request is sent once. After a `StorageError` of unknown outcome one may still arrive: then the generation
        must not become a session's.
        """
        pages = await in_parallel(lambda page: self.objects.put(key, generation, page), pages)
        items = [{**key.page(generation, page.number), **page.attributes(self.names)} for page in pages]
        puts: list[Any] = [{"PutRequest": {"Item": item}} for item in items]
        chunks = [puts[i : i + WRITE_BATCH] for i in range(0, len(puts), WRITE_BATCH)]
        await in_parallel(lambda chunk: self._write_batch(chunk, once=True), chunks)

    async def _write_batch(self, pending: list[Any], *, once: bool = False) -> None:
        """One BatchWriteItem, and more while DynamoDB leaves some of it undone."""
        for pause in pauses():
            request = {"RequestItems": {self.name: pending}}
            response = await self.connection.call("batch_write_item", request, write=True, once=once)
            left = response.get("UnprocessedItems", {}).get(self.name, [])
            if not left:
                return
            await asyncio.sleep(0 if len(left) < len(pending) else pause)
            pending = left

    async def discard_pages(self, key: SessionKey, generation: int, numbers: Iterable[int], up_to: int) -> str | None:
        """Delete pages that an unfinished write left, unless a later cut has taken their number, and their objects.

        Where there are no `blobs`, those with an object stay; returns the bucket that has it, if there are such.
        """
        condition = self._discarding(up_to)
        dead: list[str] = []
        buckets = set[str]()

        async def discard(number: int) -> None:
            request = {"Key": key.page(generation, number), **condition}
            try:
                response = await self._call("delete_item", request, key, write=True)
                dead.extend(self.objects.dead(key, generation, number, response.get("Attributes")))
            except ConditionFailed as failure:
                buckets.update(filter(None, [self.objects.bucket_of(failure.item)]))

        try:
            await in_parallel(discard, list(numbers))
        except ChatHistoryError:
            await self.objects.tidy(dead)
            raise
        await self.objects.tidy(dead)
        return min(buckets, default=None)

    async def discard(self, key: SessionKey, generation: int, number: int, up_to: int) -> tuple[bool, bool]:
        """Delete one page, unless a later cut has taken its place; returns whether it is gone, and an object with it.

        Raises `MissingBlobsError` where it has an object and there are no `blobs`; it stays then.
        """
        request = {"Key": key.page(generation, number), **self._discarding(up_to)}
        try:
            response = await self._call("delete_item", request, key, write=True)
        except ConditionFailed as failure:
            self.objects.check(key, failure.item)
            return False, False
        return True, await self.objects.tidy(self.objects.dead(key, generation, number, response.get("Attributes")))

    def _discarding(self, up_to: int) -> dict[str, Any]:
        condition = delete_page(up_to, inline=self.objects.blobs is None)
        return {**_EXPLAIN, **self._telling, **condition.request()}

    async def every(self, operation: str, request: dict[str, Any], key: SessionKey) -> AsyncIterator[Item]:
        """All items of a Query or Scan."""
        request = {**request, "Limit": ITEMS}
        while True:
            response = await self._call(operation, request, key)
            for raw in response.get("Items", []):
                yield raw
            if not (last := response.get("LastEvaluatedKey")):
                return
            request = {**request, "ExclusiveStartKey": last}

    async def check_objects(self, key: SessionKey, item: SessionItem, numbers: Iterable[int]) -> None:
        """Raise `MissingBlobsError` where data of these pages is in a bucket that this repository has not got.

        Only where another bucket than its own was noted are the pages looked at.
        """
        if item.bucket is None or (blobs := self.objects.required(key, item.bucket)).bucket == item.bucket:
            return
        here = {of.token for of in await self.objects.find(key, item.generation)}
        for page in (await self.get_pages(key, item.generation, numbers, consistent=True, unreadable=set())).values():
            of = page.reference
            if of is not None and of.bucket != blobs.bucket and of.token not in here:
                raise self.objects.elsewhere(key, of.bucket)

    async def check_pages(self, key: SessionKey, item: SessionItem) -> None:
        """Raise `CorruptSessionError` where a large number of pages is wrong: going through it might never end."""
        if item.pages - item.first_page > MANY_PAGES:
            last = item.pages - 1
            if not await self.get_pages(key, item.generation, [last], consistent=True):
                raise corrupt(key, PAGES, f"page {last}, which would be the last one, is missing")

    async def refresh_pages(
        self, key: SessionKey, generation: int, numbers: Iterable[int], expires: int, version: int
    ) -> None:
        """Let the pages of a session, as seen at `version`, expire no earlier than this."""
        await self._update_pages(key, generation, numbers, refresh_page(expires, self.names, version))

    async def keep_pages(self, key: SessionKey, generation: int, numbers: Iterable[int], version: int) -> None:
        """Let the pages of a session, as seen at `version`, not expire."""
        await self._update_pages(key, generation, numbers, keep_page(version, self.names))

    async def _update_pages(
        self, key: SessionKey, generation: int, numbers: Iterable[int], expression: Expression
    ) -> None:
        change = expression.request()

        async def update(number: int) -> None:
            with contextlib.suppress(ConditionFailed):
                await self._call("update_item", {"Key": key.page(generation, number), **change}, key, write=True)

        await in_parallel(update, list(numbers))

    @property
    def _telling(self) -> dict[str, Any]:
        """What lets a write tell of the page that it took the place of: there may be an object to remove."""
        return {} if self.objects.blobs is None else {"ReturnValues": "ALL_OLD"}

    async def describe(self) -> dict[str, Any]:
        """DescribeTable."""
        return await self.connection.call("describe_table", {"TableName": self.name}, write=False)

    async def _call(
        self, operation: str, request: dict[str, Any], key: SessionKey, *, write: bool = False, once: bool = False
    ) -> dict[str, Any]:
        try:
            return await self.connection.call(operation, {"TableName": self.name, **request}, write=write, once=once)
        except StorageError as error:
            unexplained = error.code == "ValidationException" and not error.outcome_unknown
            if unexplained and (wrong := await self._key_problem(key, error)):
                raise SettingsError(wrong) from error
            raise

    async def schema(self, fits: Callable[[Schema], bool]) -> Schema:
        """The table's keys and indexes, looked up once per process, and again where what is known does not fit."""
        place = self.connection.settings, self.name
        known = _schemas.get(place)
        if known is not None and fits(known):
            return known
        schema = parse_schema((await self.describe())["Table"])
        _schemas.put(place, schema)
        return schema

    def forgo_schema(self) -> Schema:
        """An empty schema, for whoever may not look; from now on it is what is known."""
        _schemas.put((self.connection.settings, self.name), Schema())
        return Schema()

    async def _key_problem(self, key: SessionKey, refusal: StorageError) -> str | None:
        """What is wrong with the key, when the engine refused a request; None where it is not the key."""
        try:
            schema = await self.schema(lambda known: False)
            if schema.keys.items() != key.shape:
                return (
                    f"key {key} does not fit table {self.name!r}, whose key attributes are {schema.described}: "
                    "name the session by all of them, with values of those types"
                )
        except AccessDeniedError:  # the engine's own words must do
            raise StorageError(
                f"{refusal} (Allow dynamodb:DescribeTable to be told whether key {key} fits the table; what is no key "
                "attribute of the table goes into attributes=.)",
                code=refusal.code,
            ) from refusal
        except StorageError:
            pass
        return None

    async def _check_index_keys(self, refused: Statement) -> None:
        with contextlib.suppress(StorageError):  # the engine's own words must do
            if wrong := (await self.schema(lambda known: bool(known.keys))).misfit(refused.values_set):
                raise InvalidInputError(wrong)

    def _refused(self, failure: ConditionFailed, key: SessionKey) -> Exception:
        """What to raise where a condition did not hold; that the item cannot be read must not hide a doubt."""
        try:
            return Refused(self._parsed(failure.item, key), failure.retried)
        except (CorruptSessionError, ItemFormatError) as error:
            if not failure.retried:
                return error
            doubt = f"the write to session {key} may or may not have been applied, and what is there now is no answer"
            return OutcomeUnknownError(f"{doubt}: {error}")

    def _parsed(self, raw: Item | None, key: SessionKey) -> SessionItem | CommunityItem | None:
        return parse_item(raw, self.names, key, [name for name, _, _ in key.attributes]) if raw else None


_schemas = LRU[Schema](256)
"""What is known of tables, by (connection settings, table name)."""

_EXPLAIN = {"ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
