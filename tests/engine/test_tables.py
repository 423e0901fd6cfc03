"""Tables: made by us, made by hand, made twice at once, or being something else already."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.messages import HumanMessage

from langchain_dynamodb._store.options import Timing
from langchain_dynamodb.errors import InvalidInputError, StorageError, TableNotFoundError
from support import Call, WatchedConnection, watch

if TYPE_CHECKING:
    from conftest import RepositoryFactory, TableFactory

pytestmark = pytest.mark.once

HI = [HumanMessage("hi!")]


@pytest.fixture
def new_name(dynamodb: Any) -> Iterator[str]:
    """The name of a table that does not exist; deleted afterwards if it does by then."""
    name = f"langchain-dynamodb-test-{uuid.uuid4().hex}"
    yield name
    if name in dynamodb.list_tables()["TableNames"]:
        dynamodb.delete_table(TableName=name)


async def test_the_table_of_langchain_community_page(
    make_repository: RepositoryFactory, new_name: str, dynamodb: Any
) -> None:
    """`create_table` makes what the page makes by hand: HASH SessionId of type S, billed per request."""
    sessions = make_repository(new_name)
    await sessions.create_table()
    table = dynamodb.describe_table(TableName=new_name)["Table"]
    assert table["KeySchema"] == [{"AttributeName": "SessionId", "KeyType": "HASH"}]
    assert table["AttributeDefinitions"] == [{"AttributeName": "SessionId", "AttributeType": "S"}]
    assert table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    await sessions.append("0", HI)
    chat = await sessions.read("0")
    assert chat is not None
    assert chat.messages == HI


async def test_a_table_with_a_sort_key(make_repository: RepositoryFactory, new_name: str, dynamodb: Any) -> None:
    """`sort_key_name` adds the RANGE key, and sessions of such a table are named by both."""
    sessions = make_repository(new_name, primary_key_name="PK")
    await sessions.create_table(sort_key_name="SK")
    assert dynamodb.describe_table(TableName=new_name)["Table"]["KeySchema"] == [
        {"AttributeName": "PK", "KeyType": "HASH"},
        {"AttributeName": "SK", "KeyType": "RANGE"},
    ]
    key = {"PK": "session_id::0", "SK": "langchain_history"}
    await sessions.append(key, HI)
    chat = await sessions.read(key)
    assert chat is not None
    assert chat.messages == HI


@pytest.mark.parametrize("sort_key_name", [None, "SK"])
async def test_creating_again_changes_nothing(
    make_repository: RepositoryFactory, new_name: str, sort_key_name: str | None
) -> None:
    """`create_table` on a table that is there leaves it and its sessions alone."""
    sessions = make_repository(new_name, primary_key_name="PK", ttl=3600)
    await sessions.create_table(sort_key_name=sort_key_name)
    key = {"PK": "0", "SK": "1"} if sort_key_name else {"PK": "0"}
    await sessions.append(key, HI)
    await sessions.create_table(sort_key_name=sort_key_name)
    chat = await sessions.read(key)
    assert chat is not None
    assert chat.messages == HI


async def test_creating_at_once(make_repository: RepositoryFactory, new_name: str, dynamodb: Any) -> None:
    """Several processes that start together all succeed."""
    await asyncio.gather(*(make_repository(new_name, ttl=60).create_table() for _ in range(4)))
    assert dynamodb.describe_table(TableName=new_name)["Table"]["TableStatus"] == "ACTIVE"


async def test_an_existing_table_is_only_looked_at(make_repository: RepositoryFactory) -> None:
    """A process without the permission to create tables can call `create_table` on one that exists."""
    sessions = make_repository()
    record = watch(sessions, Record)
    await sessions.create_table()
    assert record.operations == ["describe_table"]


async def test_a_table_with_other_keys(make_repository: RepositoryFactory, composite_table_name: str) -> None:
    """An existing table whose keys are others is refused, naming both."""
    with pytest.raises(InvalidInputError, match=r"PK \(HASH\), SK \(RANGE\), not SessionId \(HASH\)"):
        await make_repository(composite_table_name).create_table()
    with pytest.raises(InvalidInputError, match=r"not PK \(HASH\), other \(RANGE\)"):
        await make_repository(composite_table_name, primary_key_name="PK").create_table(sort_key_name="other")


async def test_an_existing_table_with_keys_of_other_types(
    make_repository: RepositoryFactory, make_table: TableFactory
) -> None:
    """Only the names of the keys must fit: an existing table may have keys of type N and B."""
    name = make_table("PK:B", "SK:N")
    await make_repository(name, primary_key_name="PK").create_table(sort_key_name="SK")


async def test_ttl_is_enabled_once(make_repository: RepositoryFactory, new_name: str, dynamodb: Any) -> None:
    """With `ttl` the table expires items by `ttl_key_name`; without, TTL is left off."""
    await make_repository(new_name).create_table()
    assert _ttl(dynamodb, new_name) is None
    await make_repository(new_name, ttl=60, ttl_key_name="ttl").create_table()
    assert _ttl(dynamodb, new_name) == "ttl"
    await make_repository(new_name, ttl=60, ttl_key_name="ttl").create_table()
    with pytest.raises(InvalidInputError, match="by attribute 'ttl', not 'expireAt': set ttl_key_name"):
        await make_repository(new_name, ttl=60).create_table()


async def test_ttl_enabled_by_another_process_meanwhile(make_repository: RepositoryFactory) -> None:
    """When two processes enable TTL at once, the one that DynamoDB refuses sees that it is done."""
    sessions = make_repository(ttl=60)
    watch(sessions, EnabledMeanwhile)
    await sessions.create_table()
    repeated = make_repository(ttl=60, ttl_key_name="other")
    with pytest.raises(InvalidInputError, match="by attribute 'expireAt'"):
        await repeated.create_table()


async def test_waiting_until_the_table_is_active(make_repository: RepositoryFactory) -> None:
    """A table that is being created is waited for; one that is being deleted is waited for and then created."""
    make_repository.wait(table_poll=0)
    for states, creations in (
        (["CREATING", "CREATING", "ACTIVE"], 0),
        (["DELETING", "DELETING", None, "CREATING", "ACTIVE"], 1),
        ([None, None, "ACTIVE"], 2),  # a table just created may not be seen yet
    ):
        sessions = make_repository()
        table = watch(sessions, ScriptedTable, states)
        await sessions.create_table()
        assert (table.states, table.creations) == ([], creations)


async def test_a_table_that_never_becomes_active(make_repository: RepositoryFactory) -> None:
    """Waiting for a table ends with an error that names its state."""
    make_repository.wait(table_poll=0)
    sessions = make_repository()
    watch(sessions, ScriptedTable, ["INACCESSIBLE_ENCRYPTION_CREDENTIALS"] * Timing.table_polls)
    with pytest.raises(StorageError, match="INACCESSIBLE_ENCRYPTION_CREDENTIALS"):
        await sessions.create_table()


@pytest.mark.parametrize("name", ["", "SessionId", 5, b"SK", "lc_version", "History", "expireAt"])
async def test_bad_sort_key_names(make_repository: RepositoryFactory, name: Any) -> None:
    """A sort key name that cannot be is refused, naming it, before anything is sent."""
    sessions = make_repository()
    record = watch(sessions, Record)
    with pytest.raises(InvalidInputError, match=f"sort_key_name={name!r}"):
        await sessions.create_table(sort_key_name=name)
    assert record.operations == []


async def test_no_table(make_repository: RepositoryFactory, new_name: str) -> None:
    """Without the table every call raises, and says how to make it."""
    sessions = make_repository(new_name)
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: sessions.read("0"),
        lambda: sessions.append("0", HI),
        lambda: sessions.replace("0", HI),
        lambda: sessions.truncate("0", keep=0),
        lambda: sessions.delete("0"),
        lambda: anext(sessions.iter_messages("0")),
    ]
    for call in calls:
        with pytest.raises(TableNotFoundError, match="create_table"):
            await call()


async def test_a_table_made_by_hand(make_repository: RepositoryFactory, dynamodb: Any, new_name: str) -> None:
    """A table made with boto3, as langchain_community's page does, provisioned and with another key name, works too."""
    dynamodb.create_table(
        TableName=new_name,
        KeySchema=[{"AttributeName": "conversation", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "conversation", "AttributeType": "S"}],
        ProvisionedThroughput={"ReadCapacityUnits": 100, "WriteCapacityUnits": 100},
    )
    dynamodb.get_waiter("table_exists").wait(TableName=new_name)
    sessions = make_repository(new_name, primary_key_name="conversation")
    await sessions.create_table()
    await sessions.append("0", HI)
    item = dynamodb.get_item(TableName=new_name, Key={"conversation": {"S": "0"}})["Item"]
    assert len(item["History"]["L"]) == 1


def _ttl(dynamodb: Any, table_name: str) -> str | None:
    description = dynamodb.describe_time_to_live(TableName=table_name)["TimeToLiveDescription"]
    name: str | None = description.get("AttributeName")
    return name


class Record(WatchedConnection):
    """Writes down which operations were called."""

    def __init__(self, inner: Any) -> None:
        super().__init__(inner)
        self.operations: list[str] = []

    async def around(self, operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        """Write it down."""
        self.operations.append(operation)
        return await proceed()


class EnabledMeanwhile(WatchedConnection):
    """Another process enables TTL just before we do, and DynamoDB says what AWS's own says then."""

    async def around(self, operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        """Apply the change and refuse it."""
        response = await proceed()
        if operation == "update_time_to_live":
            raise StorageError("TimeToLive is already enabled", code="ValidationException")
        return response


class ScriptedTable(WatchedConnection):
    """A table that goes through `states` (None: there is none), one for each look."""

    def __init__(self, inner: Any, states: list[str | None]) -> None:
        super().__init__(inner)
        self.states = states
        self.creations = 0

    async def around(self, operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        """Answer from the script."""
        if operation == "create_table":
            self.creations += 1
            if self.creations == 1:
                return {}
            raise StorageError("there is one already", code="ResourceInUseException")
        assert operation == "describe_table"
        state = self.states.pop(0)
        if state is None:
            raise TableNotFoundError("there is none", code="ResourceNotFoundException")
        schema = [{"AttributeName": "SessionId", "KeyType": "HASH"}]
        return {"Table": {"TableStatus": state, "KeySchema": schema}}
