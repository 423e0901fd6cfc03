"""Shared clients and the translation of errors, against a server that answers as told."""

from __future__ import annotations

import asyncio
import gc
import json
import socket
import threading
import weakref
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import aioboto3
import aiohttp
import boto3
import botocore.session
import pytest
from aiobotocore.config import AioConfig
from aiobotocore.httpxsession import HttpxSession, httpx
from aiohttp import ClientConnectorError
from botocore.config import Config
from botocore.credentials import RefreshableCredentials
from botocore.exceptions import (
    BotoCoreError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    ReadTimeoutError,
)
from langchain_core.messages import HumanMessage
from moto import mock_aws

from langchain_dynamodb import AsyncSessionRepository, DynamoDBChatMessageHistory, SessionRepository
from langchain_dynamodb._dynamodb import connection as module
from langchain_dynamodb._dynamodb import wire
from langchain_dynamodb._dynamodb.client_settings import _DEFAULTS, ConnectionSettings, merged_config
from langchain_dynamodb._dynamodb.connection import Connection
from langchain_dynamodb._dynamodb.failures import ConditionFailed, never_arrived
from langchain_dynamodb.errors import (
    AccessDeniedError,
    ChatHistoryError,
    InvalidInputError,
    RepositoryClosedError,
    SettingsError,
    StorageError,
    TableNotFoundError,
    ThrottledError,
)
from scripted_server import Answer, Server, drop, refuse, reply, reset, silence

pytestmark = pytest.mark.usefixtures("no_pauses")

UPDATE = {"TableName": "chats", "Key": {"SessionId": {"S": "s1"}}}


BROKEN = {
    "server error": refuse("InternalServerError", 500),
    "bad gateway": reply(502, b"<html>"),
    "dropped": drop,
    "reset": reset,
    "too late": silence,
    "cut": reply(200, b'{"Attributes": {}}', cut=5),
    "not UTF-8": reply(200, b"\xff\xfe\xfd"),
    "not JSON": reply(200, b"<html>welcome to our network</html>"),
    "wrong checksum": reply(200, b'{"Attributes": {}}', checksum=1),
}


async def failure(connection: Connection, operation: str = "update_item", *, write: bool = True) -> Any:
    """Return the error that a call ends with."""
    try:
        await connection.call(operation, UPDATE, write=write)
    except (ChatHistoryError, ConditionFailed) as error:
        return error
    raise AssertionError("the call succeeded")


@pytest.mark.parametrize(
    "problem", ["server error", "bad gateway", "dropped", "reset", "too late", "cut", "wrong checksum"]
)
async def test_once_is_not_again(server: Server, problem: str) -> None:
    """A request that may have been applied already is sent again by the SDK, but not one that must go out only once."""
    for once, sent in ((False, 2), (True, 1)):
        server.answers, server.requests = [BROKEN[problem]], []
        connection = Connection(server.settings(attempts=3))
        if once:
            with pytest.raises(StorageError, match="once") as caught:
                await connection.call("update_item", UPDATE, write=True, once=True)
            assert caught.value.outcome_unknown
        else:
            await connection.call("update_item", UPDATE, write=True)
        assert len(server.requests) == sent
        await connection.aclose()


async def test_once_is_again_where_it_was_refused(server: Server) -> None:
    """What DynamoDB refused was not applied."""
    server.answers = [refuse("ThrottlingException")]
    connection = Connection(server.settings(attempts=2))
    await connection.call("update_item", UPDATE, write=True, once=True)
    assert len(server.requests) == 2
    await connection.aclose()


@pytest.mark.parametrize("answer", BROKEN.values(), ids=BROKEN)
async def test_without_an_answer_a_write_may_have_happened(server: Server, answer: Answer) -> None:
    """No usable answer to a write: a `StorageError` whose outcome is unknown; of a read it is known."""
    server.answers = [answer, answer]
    connection = Connection(server.settings())
    write, read = await failure(connection), await failure(connection, "get_item", write=False)
    assert (type(write), write.outcome_unknown) == (StorageError, True)
    assert (type(read), read.outcome_unknown) == (StorageError, False)
    assert len(server.requests) == 2


@pytest.mark.parametrize("first", BROKEN.values(), ids=BROKEN)
async def test_a_resent_request_is_told_apart(server: Server, first: Answer) -> None:
    """A condition that fails after a resend may have failed because the first transmission was applied."""
    server.answers = [first, refuse("ConditionalCheckFailedException", Item={"SessionId": {"S": "s1"}})]
    error = await failure(Connection(server.settings(attempts=2)))
    if len(server.requests) == 2:
        assert (type(error), error.retried, error.item) == (ConditionFailed, True, {"SessionId": {"S": "s1"}})
    else:  # botocore does not resend after an answer that it cannot parse
        assert (type(error), error.outcome_unknown) == (StorageError, True)


async def test_a_failed_condition(server: Server) -> None:
    """A condition that fails at once carries the item; a throttled attempt before it was surely not applied."""
    server.answers = [refuse("ConditionalCheckFailedException")]
    error = await failure(Connection(server.settings()))
    assert (type(error), error.retried, error.item) == (ConditionFailed, False, None)
    server.answers = [refuse("ThrottlingException"), refuse("ConditionalCheckFailedException")]
    error = await failure(Connection(server.settings(attempts=2)))
    assert (type(error), error.retried, len(server.requests)) == (ConditionFailed, False, 3)


REFUSALS = {
    "ResourceNotFoundException": TableNotFoundError,
    "AccessDeniedException": AccessDeniedError,
    "UnrecognizedClientException": AccessDeniedError,
    "InvalidSignatureException": AccessDeniedError,
    "ExpiredTokenException": AccessDeniedError,
    "MissingAuthenticationTokenException": AccessDeniedError,
    "ProvisionedThroughputExceededException": ThrottledError,
    "ThrottlingException": ThrottledError,
    "RequestLimitExceeded": ThrottledError,
    "ItemCollectionSizeLimitExceededException": StorageError,
    "ValidationException": StorageError,
}


@pytest.mark.parametrize(("code", "kind"), REFUSALS.items())
async def test_refusals(server: Server, code: str, kind: type[StorageError]) -> None:
    """What DynamoDB refuses did not happen; the error names the table and keeps code and cause."""
    server.answers = [refuse(code)]
    error = await failure(Connection(server.settings()))
    assert (type(error), error.code, error.outcome_unknown) == (kind, code, False)
    assert "'chats'" in str(error)
    assert error.__cause__ is not None


async def test_a_refusal_after_a_lost_answer(server: Server) -> None:
    """Throttled on the resend: the first transmission may have been applied."""
    server.answers = [drop, refuse("ThrottlingException")]
    error = await failure(Connection(server.settings(attempts=2)))
    assert (type(error), error.outcome_unknown) == (ThrottledError, True)


async def test_the_resent_request_succeeds(server: Server) -> None:
    """A damaged answer is asked for again."""
    server.answers = [BROKEN["wrong checksum"], reply(200, b'{"Attributes": {"n": {"N": "1"}}}')]
    response = await Connection(server.settings(attempts=2)).call("update_item", UPDATE, write=True)
    assert response["Attributes"] == {"n": {"N": "1"}}


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "http://nowhere.invalid"])
async def test_what_never_arrived_did_not_happen(url: str) -> None:
    """A refused connection or an unknown host leaves no doubt, even after retries."""
    settings = Server().settings(attempts=2, endpoint_url=url)
    error = await failure(Connection(settings))
    assert (type(error), error.outcome_unknown) == (StorageError, False)


@pytest.mark.filterwarnings("ignore:aiobotocore's httpx backend now prefers:DeprecationWarning")
@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "http://nowhere.invalid"])
async def test_what_never_arrived_by_httpx(url: str) -> None:
    """The same with aiobotocore's other HTTP session: the append did not happen, and that is what is said."""
    retries = {"mode": "standard", "total_max_attempts": 2}
    config = AioConfig(http_session_cls=HttpxSession, connect_timeout=2, retries=retries)
    async with AsyncSessionRepository("chats", endpoint_url=url, config=config) as sessions:
        with pytest.raises(StorageError) as caught:
            await sessions.append("s1", [HumanMessage("hi!")])
    assert (type(caught.value), caught.value.outcome_unknown) == (StorageError, False)


@pytest.mark.filterwarnings("ignore:aiobotocore's httpx backend now prefers:DeprecationWarning")
@pytest.mark.parametrize("answer", [drop, reset, silence, BROKEN["cut"]], ids=["dropped", "reset", "too late", "cut"])
async def test_without_an_answer_by_httpx(server: Server, answer: Answer) -> None:
    """What was sent by it may have happened."""
    server.answers = [answer]
    retries = {"mode": "standard", "total_max_attempts": 1}
    config = AioConfig(http_session_cls=HttpxSession, read_timeout=0.3, connect_timeout=2, retries=retries)
    connection = Connection(server.settings(config=config))
    error = await failure(connection)
    assert (type(error), error.outcome_unknown, len(server.requests)) == (StorageError, True, 1)
    await connection.aclose()


def lost(error: Exception, kind: type[BotoCoreError] = EndpointConnectionError) -> BotoCoreError:
    """An error of the SDK for what went wrong below it."""
    return kind(endpoint_url="http://x", error=error)


ENDS = {
    "refused": (lost(ClientConnectorError(None, OSError(111, "refused"))), True),
    "no address": (lost(socket.gaierror(-2, "unknown")), True),
    "refused by httpx": (lost(httpx.ConnectError("refused")), True),
    "no connection in time": (lost(aiohttp.ConnectionTimeoutError("Connection timeout"), ConnectTimeoutError), True),
    "no connection in time by httpx": (lost(httpx.ConnectTimeout(""), ConnectTimeoutError), True),
    "no connection free by httpx": (lost(httpx.PoolTimeout(""), ConnectTimeoutError), True),
    "not written in time by httpx": (lost(httpx.WriteTimeout(""), ConnectTimeoutError), False),
    "broken": (lost(aiohttp.ClientOSError(104, "reset")), False),
    "another's error of that name": (lost(type("ConnectError", (Exception,), {})()), False),
    "no answer": (ReadTimeoutError(endpoint_url="http://x", error=None), False),
    "anything": (HTTPClientError(error=httpx.ReadError("reset")), False),
}


@pytest.mark.parametrize(("error", "expected"), ENDS.values(), ids=ENDS)
def test_what_cannot_have_arrived(error: Exception, expected: bool) -> None:
    """Only what failed before the request was written is known not to have arrived."""
    assert never_arrived(error) is expected


async def test_batches_name_their_table(server: Server) -> None:
    """A batch request names its table too."""
    server.answers = [refuse("ResourceNotFoundException")]
    with pytest.raises(TableNotFoundError, match="'chats'"):
        await Connection(server.settings()).call("batch_get_item", {"RequestItems": {"chats": {"Keys": []}}})


async def test_a_wrong_request_is_our_bug(server: Server) -> None:
    """An error before anything is sent is not dressed up as a storage error."""
    with pytest.raises(AttributeError):
        await Connection(server.settings()).call("no_such_operation", {})
    assert server.requests == []


async def test_cancelling_passes_through(server: Server) -> None:
    """A cancelled call is cancelled, not translated."""
    server.answers = [silence]
    task = asyncio.create_task(Connection(server.settings()).call("update_item", UPDATE, write=True))
    await server.asked.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_no_credentials(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without credentials: `AccessDeniedError` that says what to set."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    error = await failure(Connection(server.settings()))
    assert (type(error), error.outcome_unknown) == (AccessDeniedError, False)
    assert "aws_session=" in str(error)


async def test_no_region(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a region: `SettingsError` that names the parameter, at every call."""
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    monkeypatch.delenv("AWS_REGION", raising=False)
    connection = Connection(server.settings())
    for _ in range(2):
        error = await failure(connection)
        assert type(error) is SettingsError
        assert "region_name=" in str(error)


async def test_an_impossible_region(server: Server) -> None:
    """A region that cannot be is wrong settings, not an answer that did not come."""
    error = await failure(Connection(replace(server.settings(), region_name="bad region")))
    assert (type(error), "region_name='bad region'" in str(error)) == (SettingsError, True)


async def test_an_impossible_endpoint() -> None:
    """An endpoint that is no URL is named."""
    with pytest.raises(InvalidInputError, match="'localhost:8000'"):
        await Connection(ConnectionSettings("localhost:8000")).call("list_tables", {})


@pytest.mark.parametrize(
    "wrong", [{"endpoint_url": 8000}, {"endpoint_url": ""}, {"region_name": 1}, {"aws_session": "x"}, {"config": {}}]
)
def test_wrong_settings(wrong: dict[str, Any]) -> None:
    """A setting of the wrong type is refused at construction, by name."""
    with pytest.raises(InvalidInputError, match=next(iter(wrong))):
        ConnectionSettings(**wrong)


def test_equal_settings() -> None:
    """Configs are compared by their options, sessions by identity."""
    session = boto3.Session(region_name="eu-west-1")
    one = ConnectionSettings("http://x", "eu-west-1", session, Config(read_timeout=3))
    assert one == ConnectionSettings("http://x", "eu-west-1", session, Config(read_timeout=3))
    assert one != ConnectionSettings("http://x", "eu-west-1", session, Config(read_timeout=4))
    assert one != ConnectionSettings("http://x", "eu-west-1", boto3.Session(), Config(read_timeout=3))


async def test_our_config_and_the_callers(server: Server) -> None:
    """The fixed user agent is sent; the caller's options win, also aiobotocore's own."""
    await Connection(server.settings()).call("list_tables", {})
    assert server.requests[-1]["user-agent"].startswith("langchain-dynamodb ")
    config = AioConfig({"keepalive_timeout": 1.5}, user_agent="mine", max_pool_connections=3)
    await Connection(server.settings(config=config)).call("list_tables", {})
    assert server.requests[-1]["user-agent"].startswith("mine ")
    merged = merged_config(config)
    assert (merged.connector_args["keepalive_timeout"], merged.max_pool_connections) == (1.5, 3)
    assert (merged.parameter_validation, merged.read_timeout) == (False, 10)


@pytest.mark.parametrize("validated", [False, True])
async def test_bodies(server: Server, monkeypatch: pytest.MonkeyPatch, *, validated: bool) -> None:
    """Made and read without the SDK, unless a caller asks for its validation; both send and get the same."""
    read: list[bytes] = []
    decode = wire.decode
    monkeypatch.setattr(wire, "decode", lambda body: read.append(body) or decode(body))
    connection = Connection(server.settings(config=Config(parameter_validation=validated)))
    server.answers = [reply(200, b'{"Attributes": {"a": {"B": "Yg=="}}, "ConsumedCapacity": null}')]
    key, values = {"id": {"S": "ann"}}, {":b": {"B": b"c"}}
    request = {"TableName": "chats", "Key": key, "UpdateExpression": "SET a = :b", "ExpressionAttributeValues": values}
    answer = await connection.call("update_item", request, write=True)
    assert answer.pop("ResponseMetadata")["HTTPStatusCode"] == 200
    assert answer == {"Attributes": {"a": {"B": b"b"}}}
    sent = server.requests[-1]
    assert json.loads(sent["body"]) == {**request, "ExpressionAttributeValues": {":b": {"B": "Yw=="}}}
    assert (sent["x-amz-target"], sent["content-type"]) == (
        "DynamoDB_20120810.UpdateItem",
        "application/x-amz-json-1.0",
    )
    assert bool(read) is not validated
    server.answers = [refuse("ConditionalCheckFailedException", Item={"a": {"B": "Yg=="}})]
    with pytest.raises(ConditionFailed) as refused:
        await connection.call("update_item", request, write=True)
    assert refused.value.item == {"a": {"B": b"b"}}


async def test_a_body_that_only_the_sdk_makes(server: Server) -> None:
    """Lone surrogates, which the service refuses: in JSON they have an escape."""
    request = {"TableName": "chats", "Key": {"id": {"S": "\ud800"}}}
    await Connection(server.settings()).call("get_item", request)
    assert json.loads(server.requests[-1]["body"]) == request


def test_retries_are_merged() -> None:
    """A caller who sets the number of attempts keeps our retry mode; one who sets the mode gets it."""
    assert merged_config(None).retries == {"mode": "standard"}
    given = Config(retries={"total_max_attempts": 8})
    assert merged_config(given).retries == {"mode": "standard", "total_max_attempts": 8}
    assert merged_config(Config(retries={"mode": "adaptive"})).retries == {"mode": "adaptive"}


async def test_settings_of_the_environment_do_not_stay(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK adds what the environment says to its configuration; ours, shared by all clients, stays as it is."""
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    server.answers = [drop, drop]
    assert (await failure(Connection(server.settings(config=Config(read_timeout=2))))).outcome_unknown
    assert len(server.requests) == 1
    assert _DEFAULTS["retries"] == {"mode": "standard"}


def test_mock_aws() -> None:
    """Moto's ``mock_aws`` answers asyncio with what cannot be awaited: every call says that, and what to use."""
    key = {"AttributeName": "SessionId"}
    with mock_aws():
        schema = {"KeySchema": [{**key, "KeyType": "HASH"}], "AttributeDefinitions": [{**key, "AttributeType": "S"}]}
        boto3.client("dynamodb").create_table(TableName="chats", BillingMode="PAY_PER_REQUEST", **schema)
        sessions = SessionRepository("chats")
        history = DynamoDBChatMessageHistory("chats", "a", boto3_session=boto3.Session())
        for call in (
            lambda: sessions.read("a"),
            lambda: sessions.append("a", [HumanMessage("hi!")]),
            lambda: sessions.delete("a"),
            lambda: sessions.create_table(),
            lambda: list(sessions.list()),
            lambda: history.messages,
            lambda: history.add_user_message("hi!"),
        ):
            with pytest.raises(SettingsError, match=r"moto's mock_aws.*run_engine\(\)"):
                call()


async def test_mock_aws_beside_an_endpoint(server: Server) -> None:
    """What moto leaves alone is not disturbed by it."""
    with mock_aws():
        await Connection(server.settings()).call("list_tables", {})
        server.answers = [drop]
        error = await failure(Connection(server.settings()))
    assert (type(error), error.outcome_unknown, len(server.requests)) == (StorageError, True, 2)


class CountingSession(aioboto3.Session):
    """Counts the clients it makes; the first `failures` cannot be made."""

    made = failures = 0

    def client(self, *arguments: Any, **options: Any) -> Any:
        """Count and make a client."""
        self.made += 1
        if self.made <= self.failures:
            raise OSError("out of files")
        return super().client(*arguments, **options)


async def test_one_client_for_a_thousand_first_calls(server: Server) -> None:
    """Connections with equal settings share one client, however they begin."""
    session = CountingSession()
    patient = Config(read_timeout=60, connect_timeout=60)  # the server shares this busy loop
    settings = server.settings(aws_session=session, config=patient)
    first, last = Connection(settings), Connection(settings)
    await asyncio.gather(
        *(Connection(settings).call("list_tables", {}) for _ in range(998)),
        *(connection.call("list_tables", {}) for connection in (first, last)),
    )
    assert session.made == 1
    await first.aclose()
    await last.call("list_tables", {})
    assert session.made == 1


async def test_the_last_holder_closes(server: Server) -> None:
    """A closed connection is unusable; its client is gone when no other connection holds it."""
    session = CountingSession()
    settings = server.settings(aws_session=session)
    one, two = Connection(settings), Connection(settings)
    await one.call("list_tables", {})
    await two.aclose()  # never used: holds nothing, ends nothing
    await one.aclose()
    await one.aclose()
    for connection in (one, two):
        with pytest.raises(RepositoryClosedError):
            await connection.call("list_tables", {})
    assert not [shared for (_, key), shared in module._clients.items() if key == settings.key]
    await Connection(settings).call("list_tables", {})
    assert session.made == 2


async def test_a_closed_client_is_let_go(server: Server) -> None:
    """Timers of the event loop keep the context of finished calls for some seconds; that must not keep the client."""
    due_before = asyncio.get_running_loop().call_later(30, asyncio.Event().set)  # else cancelled ones go at once
    connection = Connection(server.settings(config=Config(read_timeout=60)))
    await connection.call("list_tables", {})
    client = weakref.ref(await connection._join().ready())
    await connection.aclose()
    gc.collect()
    assert client() is None
    due_before.cancel()


async def test_dropped_connections_do_not_pile_up(server: Server) -> None:
    """Settings nobody uses any more (an AWS session per request) cost a client only until the next one is made."""
    for _ in range(5):
        await Connection(server.settings(aws_session=CountingSession())).call("list_tables", {})
        gc.collect()
        loop = asyncio.get_running_loop()
        assert sum(1 for place in module._clients if place[0] is loop) == 1


async def test_a_failed_opening_is_tried_again(server: Server) -> None:
    """The error of making a client reaches all who wait for it; the next call makes another."""
    session = CountingSession()
    session.failures = 1
    connection = Connection(server.settings(aws_session=session))
    results = await asyncio.gather(*(connection.call("list_tables", {}) for _ in range(3)), return_exceptions=True)
    assert [(type(result), str(result.__cause__)) for result in results] == [(StorageError, "out of files")] * 3
    await connection.call("list_tables", {})
    assert session.made == 2


async def test_a_cancelled_first_call(server: Server) -> None:
    """Cancelling the call that began to make the client does not disturb the others."""
    connection = Connection(server.settings())
    first, second = (asyncio.create_task(connection.call("list_tables", {})) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second)["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert first.cancelled()


async def test_closed_during_a_call(server: Server) -> None:
    """A call under way when its connection is closed ends with an error and opens nothing anew."""
    server.answers = [silence]
    connection = Connection(server.settings(attempts=3))
    task = asyncio.create_task(connection.call("update_item", UPDATE, write=True))
    await server.asked.wait()
    await connection.aclose()
    with pytest.raises(StorageError) as caught:
        await task
    assert caught.value.outcome_unknown
    assert len(server.requests) == 1


class Provider:
    """A credential provider of a synchronous session, whose keys must be refreshed each time."""

    METHOD = CANONICAL_NAME = "test"

    def __init__(self) -> None:
        self.threads: list[threading.Thread] = []

    def refresh(self) -> dict[str, str]:
        """Make new credentials, as a call to STS would."""
        self.threads.append(threading.current_thread())
        expiry = datetime.now(timezone.utc) + timedelta(seconds=30)
        key = f"KEY{len(self.threads)}"
        return {"access_key": key, "secret_key": "s", "token": "t", "expiry_time": expiry.isoformat()}

    def load(self) -> RefreshableCredentials:
        """Return refreshable credentials."""
        return RefreshableCredentials.create_from_metadata(self.refresh(), self.refresh, self.METHOD)


async def test_a_boto3_session(server: Server) -> None:
    """Its region and credentials are used, and go on refreshing themselves, never on the event loop's thread."""
    provider = Provider()
    plain = botocore.session.get_session()
    plain.get_component("credential_provider").insert_before("env", provider)
    session = boto3.Session(botocore_session=plain, region_name="eu-central-1")
    connection = Connection(server.settings(aws_session=session))
    keys = []
    for _ in range(2):
        await connection.call("list_tables", {})
        keys.append(server.requests[-1]["authorization"].partition("Credential=")[2].split("/")[0])
    assert keys[0] != keys[1]
    assert keys[1] == f"KEY{len(provider.threads)}"
    assert "/eu-central-1/dynamodb/" in server.requests[-1]["authorization"]
    assert threading.current_thread() not in provider.threads


async def test_static_credentials_of_a_boto3_session(server: Server) -> None:
    """Keys given to a boto3 session win over the environment's."""
    session = boto3.Session("MINE", "secret", region_name="eu-central-1")
    await Connection(server.settings(aws_session=session)).call("list_tables", {})
    assert "Credential=MINE/" in server.requests[-1]["authorization"]
