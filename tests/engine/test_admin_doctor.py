"""What `doctor` says of a table, and that it changes nothing."""

from __future__ import annotations

from typing import Any

import pytest

from conftest import RepositoryFactory, TableFactory
from langchain_dynamodb import AsyncSessionRepository, Index
from langchain_dynamodb.admin import Check, doctor
from langchain_dynamodb.encryption import LocalKeyring
from langchain_dynamodb.errors import AccessDeniedError, TableNotFoundError
from memory_blobs import MemoryBlobs
from support import Call, WatchedConnection, many, scan, watch


def states(checks: list[Check]) -> dict[str, str]:
    """By name."""
    return {check.name: check.state for check in checks}


async def test_a_table_that_is_well(make_repository: RepositoryFactory) -> None:
    """All is good but what an embedded engine has not (moto tells no date either); nothing is left behind."""
    sessions = make_repository(f"{make_repository.table_name}-own", ttl=60)
    await sessions.create_table(indexes=[Index("by-owner", "owner")])
    try:
        await sessions.append("s", many(1))
        before = await scan(sessions)
        checks = await doctor(sessions)
        assert await scan(sessions) == before
        named = {"table", "keys", "ttl", "index by-owner", "rights", "versions"}
        assert {name for name, state in states(checks).items() if state == "good"} >= named
    finally:
        await sessions._connection.call("delete_table", {"TableName": sessions.table_name}, write=True)


@pytest.mark.parametrize(
    ("keys", "state"), [(("number:N",), "bad"), (("other",), "warning"), (("PK", "SK"), "good"), (("a:B",), "warning")]
)
async def test_keys(make_repository: RepositoryFactory, make_table: TableFactory, keys: Any, state: str) -> None:
    """Whether sessions can be named on the table."""
    assert states(await doctor(make_repository(make_table(*keys))))["keys"] == state


async def test_items_of_others(make_repository: RepositoryFactory, dynamodb: Any, table_name: str) -> None:
    """A table of something else, or another name of the history, is told; one among others is enough."""
    assert "items" not in states(await doctor(make_repository()))
    dynamodb.put_item(TableName=table_name, Item={"SessionId": {"S": "user#1"}, "name": {"S": "Ann"}})
    [told] = [check for check in await doctor(make_repository()) if check.name == "items"]
    assert (told.state, "none of the first 1 items has messages in 'History'" in told.told) == ("warning", True)
    await make_repository().append("s", many(1))
    assert "items" not in states(await doctor(make_repository()))


async def test_another_ttl_attribute(make_repository: RepositoryFactory, dynamodb: Any, table_name: str) -> None:
    """Nothing would ever expire: the attribute that is meant is named."""
    dynamodb.update_time_to_live(
        TableName=table_name, TimeToLiveSpecification={"Enabled": True, "AttributeName": "ttl"}
    )
    [check] = [check for check in await doctor(make_repository()) if check.name == "ttl"]
    assert (check.state, "set ttl_key_name='ttl'" in check.told) == ("bad", True)


async def test_histories_of_another_name(make_repository: RepositoryFactory, dynamodb: Any, table_name: str) -> None:
    """What no listing shows is told, with the name that it has; lists of something else are nobody's history."""
    message = {"M": {"type": {"S": "human"}, "data": {"M": {"content": {"S": "x"}}}}}
    for session, name, entry in (("a", "Messages", message), ("b", "Messages", message), ("c", "Things", {"S": "x"})):
        dynamodb.put_item(TableName=table_name, Item={"SessionId": {"S": session}, name: {"L": [entry]}})
    [check] = [check for check in await doctor(make_repository()) if check.name == "history"]
    assert check.state == "bad"
    assert check.told.startswith("looked for in 'History'; that of 2 of")
    assert check.told.endswith("set history_messages_key='Messages'")
    assert "history" not in states(await doctor(make_repository(history_messages_key="Messages")))


async def test_sessions_of_ours_under_another_name(make_repository: RepositoryFactory) -> None:
    """Listings show them, but nothing could read them."""
    await make_repository().append("a", many(1))
    misnaming = make_repository(history_messages_key="Other")
    [check] = [check for check in await doctor(misnaming) if check.name == "history"]
    assert (check.state, "that of 1 of the first" in check.told) == ("bad", True)
    assert check.told.endswith("set history_messages_key='History'")
    assert "history" not in states(await doctor(make_repository()))


class Denying(WatchedConnection):
    """Refuses some calls, as IAM does."""

    def __init__(self, inner: Any, *denied: str) -> None:
        super().__init__(inner)
        self.denied = denied

    async def around(self, operation: str, request: Any, proceed: Call) -> dict[str, Any]:
        if operation in self.denied:
            raise AccessDeniedError("refused", code="AccessDeniedException")
        return await proceed()


async def test_rights_that_are_missing(sessions: AsyncSessionRepository) -> None:
    """They are named as policies have them; who may not look at the TTL is told so."""
    watch(sessions, Denying, "put_item", "batch_write_item", "describe_time_to_live")
    told = {check.name: check for check in await doctor(sessions)}
    assert (told["rights"].state, told["ttl"].state) == ("bad", "warning")
    assert "dynamodb:PutItem, dynamodb:BatchWriteItem (" in told["rights"].told


class InDoubt(WatchedConnection):
    """Notes what would have an unknown outcome without an answer."""

    async def call(self, operation: str, request: Any, **options: Any) -> dict[str, Any]:
        self.seen = {**getattr(self, "seen", {}), operation: options.get("write", False)}
        return await super().call(operation, request, **options)


async def test_nothing_can_have_happened(sessions: AsyncSessionRepository) -> None:
    """A request without an answer leaves nothing in doubt: each is made so that it changes nothing."""
    watched: InDoubt = watch(sessions, InDoubt)
    await doctor(sessions)
    assert (watched.seen["put_item"], {*watched.seen.values()}) == (False, {False})


async def test_a_bucket(make_repository: RepositoryFactory) -> None:
    """It is listed and read from, and stays as it is; where that is refused the check is bad, and says why."""
    bucket = MemoryBlobs()
    sessions = make_repository(blobs=bucket)
    assert (states(await doctor(sessions))["bucket memory"], bucket.objects) == ("good", {})
    assert not any(name.startswith("bucket") for name in states(await doctor(make_repository())))
    for operation in ("list_objects_v2", "get_object"):
        refusing = make_repository(blobs=MemoryBlobs(watcher=Denying(sessions._connection, operation)))
        [check] = [check for check in await doctor(refusing) if check.name == "bucket memory"]
        assert (check.state, check.told) == ("bad", "refused")


async def test_encryption(make_repository: RepositoryFactory) -> None:
    """A key that opens no session is told, and that one is missing; without encrypted sessions there is nothing to."""
    key, other = (LocalKeyring(one * 32) for one in (b"k", b"z"))
    assert "encryption" not in states(await doctor(make_repository()))
    assert states(await doctor(make_repository(encryption=key)))["encryption"] == "good"
    await make_repository(encryption=key).append("s", many(1))
    found = [states(await doctor(make_repository(encryption=one)))["encryption"] for one in (key, other, None)]
    assert found == ["good", "bad", "warning"]


class Late(WatchedConnection):
    """An engine whose clock is behind."""

    async def around(self, operation: str, request: Any, proceed: Call) -> dict[str, Any]:
        response = await proceed()
        if operation == "describe_table":
            response["ResponseMetadata"]["HTTPHeaders"]["date"] = "Thu, 01 Jan 2026 00:00:00 GMT"
        return response


async def test_a_clock_that_is_wrong(sessions: AsyncSessionRepository) -> None:
    """It is compared with the date of an answer."""
    watch(sessions, Late)
    assert states(await doctor(sessions))["clock"] == "bad"


async def test_no_table(make_repository: RepositoryFactory) -> None:
    """There is nothing to look at."""
    with pytest.raises(TableNotFoundError):
        await doctor(make_repository("no-such-table"))
