"""The few DynamoDB operations we use, as typed async calls on one table."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from . import conditions
from .cache import LRU
from .connection import Connection
from .errors import (
    AccessDeniedError,
    CorruptSessionError,
    InvalidInputError,
    OutcomeUnknownError,
    SettingsError,
    StorageError,
    TableNotFoundError,
    ThrottledError,
)
from .expressions import Expression
from .failures import ConditionFailed
from .keys import SessionKey
from .layout import PAGES, CommunityItem, Names, Page, SessionItem
from .parsing import corrupt, parse_item, parse_page
from .schema import Index, Schema, create_request, key_schema, parse_schema
from .values import Item

T = TypeVar("T")
R = TypeVar("R")

CONCURRENCY = 16  # requests of one operation at a time
GET_BATCH = 100  # keys DynamoDB takes in one BatchGetItem
# Such requests at a time: the SDK parses each answer in one go, about 12 ms, and all that came in at once in a row.
GET_CONCURRENCY = 3
WRITE_BATCH = 25  # and in one BatchWriteItem
POLL_SECONDS = 0.2
CREATE_POLLS = 1500  # five minutes; a new table takes some seconds
MANY_PAGES = 10_000
PATIENCE = 12  # times a batch may come back partly undone


class Refused(Exception):
    """The condition of a write did not hold. `current` is the item that was there, where the engine says so.

    `retried`: an earlier transmission of the same request may have been applied.
    """

    def __init__(self, current: SessionItem | CommunityItem | None, retried: bool) -> None:
        super().__init__("condition not met")
        self.current = current
        self.retried = retried


class Table:
    """One table and the attribute names used in it."""

    def __init__(self, connection: Connection, name: str, names: Names) -> None:
        self.connection = connection
        self.name = name
        self.names = names

    async def get(self, key: SessionKey) -> SessionItem | CommunityItem | None:
        """The session item, strongly consistent; one request, one read unit for up to 4 KB."""
        response = await self._call("get_item", {"Key": key.item, "ConsistentRead": True}, key)
        return self._parsed(response.get("Item"), key)

    async def update(self, key: SessionKey, expression: Expression) -> SessionItem | CommunityItem | None:
        """A conditional UpdateItem; returns the new item.

        Raises `Refused`, `CorruptSessionError` where the item is so damaged that it cannot be updated, and
        `InvalidInputError` for a value that an index cannot have as a key.
        """
        request = {"Key": key.item, "ReturnValues": "ALL_NEW", **_EXPLAIN, **expression.request()}
        try:
            response = await self._call("update_item", request, key, write=True, once=expression.once)
        except ConditionFailed as failure:
            raise Refused(self._parsed(failure.item, key), failure.retried) from None
        except StorageError as error:
            if error.code == "ValidationException":  # an attribute of the wrong type, say
                await self.get(key)
                await self._check_index_keys(expression)
            raise
        try:
            return self._parsed(response["Attributes"], key)
        except CorruptSessionError as error:
            told = f"the write to session {key} was applied, but the session can no longer be read: {error}"
            raise OutcomeUnknownError(told) from error

    async def delete(self, key: SessionKey, expression: Expression) -> None:
        """A conditional DeleteItem of the session item. Raises `Refused`."""
        try:
            await self._call("delete_item", {"Key": key.item, **_EXPLAIN, **expression.request()}, key, write=True)
        except ConditionFailed as failure:
            raise Refused(self._parsed(failure.item, key), failure.retried) from None

    async def put_page(self, key: SessionKey, generation: int, page: Page) -> bool:
        """Put a page; False where a later cut, or another one of the same version, is already there."""
        item = {**key.page(generation, page.number), **page.attributes(self.names)}
        return await self._conditional("put_item", {"Item": item, **conditions.put_page(page).request()}, key)

    async def put_pages(self, key: SessionKey, generation: int, pages: Sequence[Page]) -> bool:
        """Put all of them, some at a time; False as soon as one was refused."""
        return all(await in_parallel(lambda page: self.put_page(key, generation, page), pages))

    async def get_pages(
        self, key: SessionKey, generation: int, numbers: Iterable[int], *, consistent: bool, ops: bool = False
    ) -> dict[int, Page]:
        """Those of the pages that are there, 100 to a request, three requests at once; only on demand with their `ops`.

        Nobody else needs those, and the SDK takes as long for them as for all the rest of a page.
        """
        wanted = list(numbers)
        chunks = [wanted[i : i + GET_BATCH] for i in range(0, len(wanted), GET_BATCH)]
        found = await in_parallel(
            lambda chunk: self._get_chunk(key, generation, chunk, consistent, ops), chunks, GET_CONCURRENCY
        )
        return {page.number: page for pages in found for page in pages}

    async def _get_chunk(
        self, key: SessionKey, generation: int, numbers: Sequence[int], consistent: bool, ops: bool
    ) -> list[Page]:
        """One BatchGetItem, and more while DynamoDB leaves keys unprocessed (16 MB a response)."""
        by_id = {key.page_id(page_key): (n, page_key) for n in numbers for page_key in [key.page(generation, n)]}
        pending = [page_key for _, page_key in by_id.values()]
        options = {"ConsistentRead": consistent} | ({} if ops else conditions.page_without_ops(key, self.names))
        pages: list[Page] = []
        for pause in _pauses():
            request = {"RequestItems": {self.name: {"Keys": pending, **options}}}
            response = await self.connection.call("batch_get_item", request, write=False)
            for raw in response.get("Responses", {}).get(self.name, []):
                number, page_key = by_id[key.page_id(raw)]
                pages.append(parse_page(raw, self.names, str(page_key), number))
            left = response.get("UnprocessedKeys", {}).get(self.name, {}).get("Keys", [])
            if not left:
                break
            await asyncio.sleep(0 if len(left) < len(pending) else pause)
            pending = left
        return pages

    async def delete_pages(self, key: SessionKey, generation: int, numbers: Iterable[int]) -> None:
        """Delete pages whose numbers are never used again."""
        keys = [key.page(generation, number) for number in numbers]
        chunks = [keys[i : i + WRITE_BATCH] for i in range(0, len(keys), WRITE_BATCH)]
        await in_parallel(self._delete_chunk, chunks)

    async def _delete_chunk(self, keys: Sequence[Item]) -> None:
        pending: list[Any] = [{"DeleteRequest": {"Key": key}} for key in keys]
        for pause in _pauses():
            response = await self.connection.call(
                "batch_write_item", {"RequestItems": {self.name: pending}}, write=True
            )
            left = response.get("UnprocessedItems", {}).get(self.name, [])
            if not left:
                return
            await asyncio.sleep(0 if len(left) < len(pending) else pause)
            pending = left

    async def discard_pages(self, key: SessionKey, generation: int, numbers: Iterable[int], up_to: int) -> None:
        """Delete pages that an unfinished write left, unless a later cut has taken their number."""
        condition = conditions.delete_page(up_to).request()
        await in_parallel(
            lambda n: self._conditional("delete_item", {"Key": key.page(generation, n), **condition}, key),
            list(numbers),
        )

    async def check_pages(self, key: SessionKey, item: SessionItem) -> None:
        """Raise `CorruptSessionError` where a large number of pages is wrong: going through it might never end."""
        if item.pages - item.first_page > MANY_PAGES:
            last = item.pages - 1
            if not await self.get_pages(key, item.generation, [last], consistent=True):
                raise corrupt(str(key), PAGES, f"page {last}, which would be the last one, is missing")

    async def refresh_pages(self, key: SessionKey, generation: int, numbers: Iterable[int], expires: int) -> None:
        """Give the pages a new TTL stamp."""
        change = conditions.refresh_page(expires, self.names).request()
        await in_parallel(
            lambda n: self._conditional("update_item", {"Key": key.page(generation, n), **change}, key), list(numbers)
        )

    async def _conditional(self, operation: str, request: dict[str, Any], key: SessionKey) -> bool:
        try:
            await self._call(operation, request, key, write=True)
        except ConditionFailed:
            return False
        return True

    async def create(self, key_names: Sequence[str], ttl: bool, indexes: Sequence[Index] = ()) -> None:
        """Create the table on demand capacity with text keys, wait until it is active; nothing to do where it is.

        Raises `SettingsError` where a table of that name has other keys. Its indexes may differ.
        """
        schema = key_schema(key_names)
        description = await self._until_active(create_request(key_names, indexes, self.names))
        if description["KeySchema"] != schema:
            raise SettingsError(
                f"table {self.name!r} exists with the keys {_shown(description['KeySchema'])}, not {_shown(schema)}: "
                "name those, or choose another table name"
            )
        if ttl:
            await self._enable_ttl()

    async def _until_active(self, request: dict[str, Any]) -> dict[str, Any]:
        """The table's description once it can be used; creates it where there is none (any more)."""
        status = "missing"
        for _ in range(CREATE_POLLS):
            try:
                description: dict[str, Any] = (await self.describe())["Table"]
            except TableNotFoundError:  # also for a moment after it was created
                await self._create(request)
                continue
            status = description["TableStatus"]
            if status in ("ACTIVE", "UPDATING"):  # what is updated can be used
                return description
            await asyncio.sleep(POLL_SECONDS)
        waited = f"{CREATE_POLLS * POLL_SECONDS:.0f} s"
        raise StorageError(f"table {self.name!r} is still {status} after {waited}: look at it in AWS, then try again")

    async def _create(self, request: dict[str, Any]) -> None:
        try:
            await self.connection.call("create_table", {"TableName": self.name, **request}, write=True)
        except StorageError as error:
            if error.code != "ResourceInUseException":  # somebody else was faster, or is deleting it
                raise
            await asyncio.sleep(POLL_SECONDS)

    async def describe(self) -> dict[str, Any]:
        """DescribeTable."""
        return await self.connection.call("describe_table", {"TableName": self.name}, write=False)

    async def _enable_ttl(self) -> None:
        if await self._expires_items():
            return
        specification = {"Enabled": True, "AttributeName": self.names.ttl}
        request = {"TableName": self.name, "TimeToLiveSpecification": specification}
        try:
            await self.connection.call("update_time_to_live", request, write=True)
        except StorageError:  # another process may have been faster
            if not await self._expires_items():
                raise

    async def _expires_items(self) -> bool:
        """Whether TTL is on; raises `SettingsError` where it is on by another attribute."""
        description = await self.connection.call("describe_time_to_live", {"TableName": self.name}, write=False)
        current = description.get("TimeToLiveDescription", {})
        if current.get("TimeToLiveStatus") not in ("ENABLED", "ENABLING"):
            return False
        if current.get("AttributeName", self.names.ttl) != self.names.ttl:
            raise SettingsError(
                f"table {self.name!r} expires items by attribute {current['AttributeName']!r}, "
                f"not {self.names.ttl!r}: set ttl_key_name to it"
            )
        return True

    async def _call(
        self, operation: str, request: dict[str, Any], key: SessionKey, *, write: bool = False, once: bool = False
    ) -> dict[str, Any]:
        try:
            return await self.connection.call(operation, {"TableName": self.name, **request}, write=write, once=once)
        except StorageError as error:
            if error.code == "ValidationException" and (wrong := await self._key_problem(key, error)):
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
                outcome_unknown=refusal.outcome_unknown,
            ) from refusal
        except StorageError:
            pass
        return None

    async def _check_index_keys(self, refused: Expression) -> None:
        with contextlib.suppress(StorageError):  # the engine's own words must do
            if wrong := (await self.schema(lambda known: bool(known.keys))).misfit(refused.values_set):
                raise InvalidInputError(wrong)

    def _parsed(self, raw: Item | None, key: SessionKey) -> SessionItem | CommunityItem | None:
        return parse_item(raw, self.names, str(key), key.item) if raw else None


_schemas = LRU[Schema](256)
"""What is known of tables, by (connection settings, table name)."""

_EXPLAIN = {"ReturnValuesOnConditionCheckFailure": "ALL_OLD"}


async def in_parallel(call: Callable[[T], Awaitable[R]], arguments: Sequence[T], at_once: int = CONCURRENCY) -> list[R]:
    """Await a call for each argument, some at once; the first error cancels the rest."""
    if len(arguments) == 1:
        return [await call(arguments[0])]
    gate = asyncio.Semaphore(at_once)

    async def one(argument: T) -> R:
        async with gate:
            return await call(argument)

    tasks = [asyncio.ensure_future(one(argument)) for argument in arguments]
    try:
        return await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


def _pauses() -> Iterator[float]:
    """Seconds to wait while DynamoDB leaves a part of a batch undone: growing, with jitter, then an error."""
    for attempt in range(PATIENCE):
        yield min(0.05 * 2**attempt, 2.0) * random.uniform(0.5, 1)
    raise ThrottledError(
        f"DynamoDB left a part of a batch undone {PATIENCE} times: the table's capacity is used up, try again later"
    )


def _shown(schema: Sequence[dict[str, str]]) -> str:
    return ", ".join(f"{k['AttributeName']} ({k['KeyType']})" for k in schema)
