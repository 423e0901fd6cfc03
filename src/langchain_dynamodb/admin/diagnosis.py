"""Whether a table can be used, and what would make trouble later."""

from __future__ import annotations

import platform
from collections.abc import Callable
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any
from uuid import uuid4

from .._dynamodb.attribute_values import Item
from .._dynamodb.expressions import Expression
from .._dynamodb.failures import ConditionFailed
from .._items import attribute_names as lc
from .._items.keys import native_key, session_key
from .._items.session_items import SessionItem
from .._items.table_schema import Schema, parse_schema
from .._protocol import conditions
from .._store.listing import SAMPLE
from ..blobs.stores import Blobs
from ..errors import (
    AccessDeniedError,
    ChatHistoryError,
    EncryptionError,
    MissingKeyError,
    SettingsError,
    StorageError,
)
from ..repository import AsyncSessionRepository
from .reports import Check
from .run import check_repository

CLOCK_SECONDS = 60  # a clock that is wrong by more is told; AWS refuses requests at 300
_PACKAGES = ("langchain-dynamodb", "langchain-core", "aioboto3", "aiobotocore", "botocore", "pydantic", "orjson")
_ABSENT = "lc_doctor"  # an attribute that no item has


async def doctor(repository: AsyncSessionRepository) -> list[Check]:
    """Look at table, keys, TTL, indexes, protection, rights, names, encryption, the bucket, the clock and the versions.

    Nothing is changed: the right to write is tried out by writes whose condition cannot hold, on a key that no session
    has. That takes about ten write and read units. A bucket is only listed and read: a write would leave something.

    Raises `TableNotFoundError`, `AccessDeniedError` for DescribeTable, and `StorageError` where nothing answers.
    """
    check_repository(repository)
    described = await repository._table.describe()
    table = described["Table"]
    schema = parse_schema(table)
    checks = [_table(table), _keys(repository, schema), await _ttl(repository)]
    checks += [_index(repository, schema, name) for name in sorted(schema.indexes)]
    checks += [await _protection(repository, table), await _rights(repository, schema)]
    if told := await _misnamed(repository) or await _foreign(repository):
        checks.append(told)
    if encryption := await _encryption(repository, schema):
        checks.append(encryption)
    if repository._options.blobs is not None:
        checks.append(await _bucket(repository._options.blobs))
    return [*checks, _clock(described), _versions()]


def _table(table: dict[str, Any]) -> Check:
    mode = table.get("BillingModeSummary", {}).get("BillingMode", "PROVISIONED")
    told = f"{table['TableStatus']}, {mode}, about {table.get('ItemCount', 0):,} items"
    told += f" of {table.get('TableSizeBytes', 0):,} bytes together"
    return Check(name="table", state="good" if table["TableStatus"] in ("ACTIVE", "UPDATING") else "bad", told=told)


def _keys(repository: AsyncSessionRepository, schema: Schema) -> Check:
    name = repository.primary_key_name
    if not {*schema.keys.values()} & {"S", "B"}:
        told = f"{schema.described}: numbers only; long sessions need a key attribute of text or bytes"
        return Check(name="keys", state="bad", told=told)
    if [*schema.keys.items()] == [(name, "S")]:
        return Check(name="keys", state="good", told=f"{schema.described}: sessions are named by their id")
    if len(schema.keys) == 1 and name not in schema.keys:
        told = f"{schema.described}: session ids go to {name!r}, which is not the key; set primary_key_name"
        return Check(name="keys", state="warning", told=told)
    return Check(name="keys", state="good", told=f"{schema.described}: sessions are named by the whole key")


async def _ttl(repository: AsyncSessionRepository) -> Check:
    wanted = repository.ttl_key_name
    try:
        asked = {"TableName": repository.table_name}
        found = await repository._table.connection.call("describe_time_to_live", asked)
    except AccessDeniedError as error:
        return Check(name="ttl", state="warning", told=str(error))
    told = found.get("TimeToLiveDescription", {})
    status, name = told.get("TimeToLiveStatus", "DISABLED"), told.get("AttributeName")
    if status in ("ENABLED", "ENABLING") and name == wanted:
        return Check(name="ttl", state="good", told=f"{status.lower()} on {name!r}")
    if status in ("ENABLED", "ENABLING"):
        return Check(name="ttl", state="bad", told=f"enabled on {name!r}, not on {wanted!r}: set ttl_key_name={name!r}")
    fix = f"sessions that expire are hidden, but never removed; enable it on {wanted!r} if some do"
    return Check(name="ttl", state="warning", told=f"{status.lower()}: {fix}")


def _index(repository: AsyncSessionRepository, schema: Schema, name: str) -> Check:
    try:
        repository._lister._index(name, schema)
    except SettingsError as error:
        return Check(name=f"index {name}", state="warning", told=str(error))
    active = schema.indexes[name].active
    told = "sessions can be listed by it" if active else "is being filled"
    return Check(name=f"index {name}", state="good" if active else "warning", told=told)


async def _protection(repository: AsyncSessionRepository, table: dict[str, Any]) -> Check:
    lacking = []
    if not table.get("DeletionProtectionEnabled"):
        lacking.append("deletion protection")
    try:
        asked = {"TableName": repository.table_name}
        found = await repository._table.connection.call("describe_continuous_backups", asked)
        backups = found.get("ContinuousBackupsDescription", {}).get("PointInTimeRecoveryDescription", {})
        if backups.get("PointInTimeRecoveryStatus") != "ENABLED":
            lacking.append("point-in-time recovery")
    except StorageError:  # no right to look, or an engine without backups
        pass
    if lacking:
        return Check(name="protection", state="warning", told=f"{' and '.join(lacking)} not enabled")
    return Check(name="protection", state="good", told="deletion protection is enabled")


async def _rights(repository: AsyncSessionRepository, schema: Schema) -> Check:
    """Each call that the repository makes, on a key that is no session's, so that it changes nothing."""
    name, call = repository.table_name, repository._table.connection.call
    key = {attribute: _unused(kind) for attribute, kind in schema.keys.items()}
    (hash_key, _), *_ = schema.keys.items()
    never: dict[str, Any] = {
        "ConditionExpression": "attribute_exists(#absent)",
        "ExpressionAttributeNames": {"#absent": _ABSENT},
    }
    query = {"KeyConditionExpression": "#h = :h", "ExpressionAttributeNames": {"#h": hash_key}}
    tried: dict[str, dict[str, Any]] = {
        "get_item": {"Key": key},
        "batch_get_item": {"RequestItems": {name: {"Keys": [key]}}},
        "query": {**query, "ExpressionAttributeValues": {":h": key[hash_key]}},
        "scan": {"Limit": 1},
        "update_item": {"Key": key, **never},
        "put_item": {"Item": key, **never},
        "delete_item": {"Key": key, **never},
        "batch_write_item": {"RequestItems": {name: [{"DeleteRequest": {"Key": key}}]}},
    }
    denied = []
    for operation, request in tried.items():
        try:
            asked = request if "RequestItems" in request else {"TableName": name, **request}
            await call(operation, asked)  # none can have changed anything, whatever its answer
        except ConditionFailed:
            pass
        except AccessDeniedError:
            denied.append("dynamodb:" + "".join(part.capitalize() for part in operation.split("_")))
    if denied:
        told = f"these calls are refused: {', '.join(denied)} (docs/permissions.md has the policy)"
        return Check(name="rights", state="bad", told=told)
    return Check(name="rights", state="good", told=f"all {len(tried)} calls are allowed")


async def _foreign(repository: AsyncSessionRepository) -> Check | None:
    """A warning where the table has items, and none of the first is one of ours or of langchain_community."""
    e, names = Expression(), repository._table.names
    ours = [f"attribute_exists({e.name(name)})" for name in (lc.VERSION, lc.GENERATION, lc.CUT)]
    request = {"FilterExpression": " OR ".join([*ours, conditions.community_list(e, names)]), **e.request()}
    asked = {"TableName": repository.table_name, "Limit": SAMPLE, "Select": "COUNT", **request}
    try:
        found = await repository._table.connection.call("scan", asked)
    except AccessDeniedError:  # which was told
        return None
    if found["Count"] or not found["ScannedCount"]:
        return None
    told = f"none of the first {found['ScannedCount']} items has messages in {names.history!r}: is it the right table, "
    return Check(name="items", state="warning", told=told + "and the right history_messages_key?")


async def _misnamed(repository: AsyncSessionRepository) -> Check | None:
    """Whether sessions among the first items have their history under another name."""
    try:
        found = await repository._lister.misnamed(ours=True)
    except AccessDeniedError:  # told already
        return None
    if not found:
        return None
    wanted = repository.history_messages_key
    told = "; ".join(
        f"that of {len(sessions)} of the first {SAMPLE} items looks to be in {name!r}, and they cannot be read: "
        f"set history_messages_key={name!r}"
        for name, sessions in found.items()
    )
    return Check(name="history", state="bad", told=f"looked for in {wanted!r}; {told}")


async def _encryption(repository: AsyncSessionRepository, schema: Schema) -> Check | None:
    """Whether the key of an encrypted session, if there is one among the first items, can be had."""
    e = Expression()
    looked_for = {"Limit": SAMPLE, "FilterExpression": f"attribute_exists({e.name(lc.KEY)})"}
    asked = {"TableName": repository.table_name, **looked_for, **e.request()}
    try:
        found = (await repository._table.connection.call("scan", asked))["Items"]
        for raw in found:
            key = session_key(native_key({name: raw[name] for name in schema.keys}), repository.primary_key_name)
            if isinstance(item := await repository._reader.item(key), SessionItem):
                await repository._vault.unlocked(key, item)
                return Check(name="encryption", state="good", told=f"the key of session {key} can be had")
    except MissingKeyError as error:
        return Check(name="encryption", state="warning", told=str(error))
    except (EncryptionError, AccessDeniedError) as error:
        return Check(name="encryption", state="bad", told=str(error))
    if repository._options.encryption is None:
        return None
    return Check(name="encryption", state="good", told=f"none of the first {SAMPLE} items is an encrypted session")


async def _bucket(blobs: Blobs) -> Check:
    """Whether it answers to a listing and a read of a name that no object has."""
    name, absent = f"bucket {blobs.bucket}", f"doctor-{uuid4()}"
    try:
        _ = [one async for one in blobs.list(absent)]
        await blobs.get(absent, 0)
    except ChatHistoryError as error:
        return Check(name=name, state="bad", told=str(error))
    return Check(name=name, state="good", told="can be listed and read; the right to write there was not tried out")


def _unused(kind: str) -> dict[str, Any]:
    drawn = uuid4()
    values: dict[str, Callable[[], Any]] = {"S": lambda: f"doctor {drawn}", "B": lambda: drawn.bytes}
    return {kind: values[kind]()} if kind in values else {"N": str(drawn.int % 10**38)}


def _clock(response: Item) -> Check:
    """How far this machine's clock is from DynamoDB's."""
    date = response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    if not date:
        return Check(name="clock", state="warning", told="the answer bears no date to compare with")
    off = (datetime.now(timezone.utc) - parsedate_to_datetime(date)).total_seconds()
    if abs(off) < CLOCK_SECONDS:
        return Check(name="clock", state="good", told="agrees with DynamoDB's to within a minute")
    told = f"is {abs(off):.0f} s {'ahead of' if off > 0 else 'behind'} DynamoDB's: expiry and leases go by it, set it"
    return Check(name="clock", state="bad", told=told)


def _versions() -> Check:
    found = []
    for name in _PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            found.append(f"{name} (not installed as a package)")
    return Check(name="versions", state="good", told=", ".join([f"Python {platform.python_version()}", *found]))
