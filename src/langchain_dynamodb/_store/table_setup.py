"""Creates the table: keys, expiry, indexes; waits until they can be used, and leaves alone what is there."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from .._items.table_schema import Index, IndexSchema, Schema, create_request, definitions, key_schema, parse_schema
from ..errors import SettingsError, StorageError, TableNotFoundError
from .options import Timing
from .table import Table

_BUSY = ("ResourceInUseException", "LimitExceededException")  # DynamoDB makes one index at a time
REFUSALS = 25  # for no reason that the table's description shows, which may be some seconds old


async def create_table(
    table: Table, key_names: Sequence[str], timing: Timing, *, ttl: bool, indexes: Sequence[Index]
) -> None:
    """Create the table on demand capacity with text keys, wait until it is active, and add what it lacks.

    Raises `SettingsError` where a table of that name has other keys, another TTL attribute or another index.
    """
    schema = key_schema(key_names)
    description = await _until_active(table, create_request(key_names, indexes, table.names), timing)
    if description["KeySchema"] != schema:
        found, wanted = _shown_keys(description["KeySchema"]), _shown_keys(schema)
        raise SettingsError(
            f"table {table.name!r} exists with the keys {found}, not {wanted}: name those, or choose another table name"
        )
    if ttl:
        await _enable_ttl(table)
    await ensure_indexes(table, indexes, timing)


async def _until_active(table: Table, request: dict[str, Any], timing: Timing) -> dict[str, Any]:
    """The table's description once it can be used; creates it where there is none (any more)."""
    status = "missing"
    for _ in range(timing.table_polls):
        try:
            description: dict[str, Any] = (await table.describe())["Table"]
        except TableNotFoundError:  # also for a moment after it was created
            await _create(table, request, timing)
            continue
        status = description["TableStatus"]
        if status in ("ACTIVE", "UPDATING"):  # what is updated can be used
            return description
        await asyncio.sleep(timing.table_poll)
    waited = f"{timing.table_polls * timing.table_poll:.0f} s"
    raise StorageError(f"table {table.name!r} is still {status} after {waited}: look at it in AWS, then try again")


async def _create(table: Table, request: dict[str, Any], timing: Timing) -> None:
    try:
        await table.connection.call("create_table", {"TableName": table.name, **request}, write=True)
    except StorageError as error:
        if error.code != "ResourceInUseException":  # somebody else was faster, or is deleting it
            raise
        await asyncio.sleep(timing.table_poll)


async def _enable_ttl(table: Table) -> None:
    if await _expires_items(table):
        return
    specification = {"Enabled": True, "AttributeName": table.names.ttl}
    request = {"TableName": table.name, "TimeToLiveSpecification": specification}
    try:
        await table.connection.call("update_time_to_live", request, write=True)
    except StorageError:  # another process may have been faster
        if not await _expires_items(table):
            raise


async def _expires_items(table: Table) -> bool:
    """Whether TTL is on; raises `SettingsError` where it is on by another attribute."""
    description = await table.connection.call("describe_time_to_live", {"TableName": table.name}, write=False)
    current = description.get("TimeToLiveDescription", {})
    if current.get("TimeToLiveStatus") not in ("ENABLED", "ENABLING"):
        return False
    if current.get("AttributeName", table.names.ttl) != table.names.ttl:
        raise SettingsError(
            f"table {table.name!r} expires items by attribute {current['AttributeName']!r}, "
            f"not {table.names.ttl!r}: set ttl_key_name to it"
        )
    return True


async def ensure_indexes(table: Table, indexes: Sequence[Index], timing: Timing) -> None:
    """Add what is missing, one after the other, and wait; leave alone what is there.

    Raises `SettingsError` where an index of that name differs, and `StorageError` where DynamoDB adds no more.
    """
    refusals = 0
    waiting = [index.name for index in indexes]
    for _ in range(timing.table_polls if indexes else 0):
        description = (await table.describe())["Table"]
        schema = parse_schema(description)
        for index in indexes:
            if index.name in schema.indexes:
                _check(table, schema, index, schema.indexes[index.name])
        missing = [index for index in indexes if index.name not in schema.indexes]
        waiting = [index.name for index in indexes if index in missing or not schema.indexes[index.name].active]
        if not waiting:
            return
        refusal = await _add(table, missing[0], schema, description) if missing else None
        if refusal:
            refusals = 0 if _is_changing(description) else refusals + 1
            if refusals >= REFUSALS:
                raise _no_more(table, missing[0], refusal) from refusal
        if refusal or not missing:
            await asyncio.sleep(timing.table_poll)
    if waiting:
        raise StorageError(
            f"index {waiting[0]!r} of table {table.name!r} is not ready after "
            f"{timing.table_polls * timing.table_poll:.0f} s: DynamoDB goes on filling it, call create_table again"
        )


def _check(table: Table, schema: Schema, wanted: Index, found: IndexSchema) -> None:
    carried = wanted.carried(table.names, schema.keys)
    if list(found.keys.items()) != list(_types(wanted, schema).items()):
        problem = f"has the keys {_shown(found.keys)}, not {_shown(_types(wanted, schema))}"
    elif lacking := [] if found.carried is None else sorted(carried - found.carried):
        problem = f"does not carry {', '.join(lacking)}"
    else:
        return
    raise SettingsError(
        f"index {wanted.name!r} of table {table.name!r} {problem}: declare it as it is, choose another name, or "
        "delete it in AWS and call create_table again"
    )


def _types(index: Index, schema: Schema) -> dict[str, str]:
    """Its keys; the types of the table's own key attributes are the table's."""
    return {name: schema.keys.get(name, kind) for name, kind in index.keys.items()}


def _is_changing(description: Mapping[str, Any]) -> bool:
    """Whether the table or one of its indexes is being made, changed or deleted."""
    statuses = [index.get("IndexStatus", "ACTIVE") for index in description.get("GlobalSecondaryIndexes", ())]
    return {description["TableStatus"], *statuses} != {"ACTIVE"}


def _no_more(table: Table, index: Index, refusal: StorageError) -> StorageError:
    return StorageError(
        f"DynamoDB adds no index {index.name!r} to table {table.name!r} ({refusal.code}), and nothing else is being "
        "changed on the table: the account's quota is used up, of indexes on one table or of tables and indexes "
        "changed at a time. Delete an index, wait for the others, or ask AWS for more; then call create_table again",
        code=refusal.code,
    )


async def _add(table: Table, index: Index, schema: Schema, description: Mapping[str, Any]) -> StorageError | None:
    """Ask for the index; returns the refusal where DynamoDB is busy (or somebody else was faster)."""
    clash = [name for name, kind in _types(index, schema).items() if schema.types.get(name, kind) != kind]
    if clash:
        raise SettingsError(
            f"index {index.name!r}: {clash[0]!r} is of type {schema.types[clash[0]]} in another index of table "
            f"{table.name!r}; declare it with that type"
        )
    create = index.request(table.names, schema.keys)
    if description.get("BillingModeSummary", {}).get("BillingMode") != "PAY_PER_REQUEST":
        capacity = description["ProvisionedThroughput"]
        create["ProvisionedThroughput"] = {k: capacity[k] for k in ("ReadCapacityUnits", "WriteCapacityUnits")}
    request = {
        "TableName": table.name,
        "AttributeDefinitions": definitions({**schema.types, **_types(index, schema)}),
        "GlobalSecondaryIndexUpdates": [{"Create": create}],
    }
    try:
        await table.connection.call("update_table", request, write=True)
    except StorageError as error:
        if error.code not in _BUSY and index.name not in await _index_names(table):
            raise
        return error
    return None


async def _index_names(table: Table) -> set[str]:
    return set(parse_schema((await table.describe())["Table"]).indexes)


def _shown(keys: Mapping[str, str]) -> str:
    return ", ".join(f"{name} ({kind})" for name, kind in keys.items())


def _shown_keys(schema: Sequence[dict[str, str]]) -> str:
    return ", ".join(f"{k['AttributeName']} ({k['KeyType']})" for k in schema)
