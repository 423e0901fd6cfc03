"""Credentials that are not there, come late, are refused, or whose source fails: told as that, and never kept."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from functools import partial
from pathlib import Path
from typing import Any

import aioboto3
import boto3
import botocore.session
import pytest
from aiobotocore.credentials import AioCredentials, AioDeferredRefreshableCredentials
from botocore import UNSIGNED
from botocore.config import Config
from botocore.credentials import Credentials, DeferredRefreshableCredentials
from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    InvalidConfigError,
    MetadataRetrievalError,
    NoCredentialsError,
    ProfileNotFound,
    SSOTokenLoadError,
    TokenRetrievalError,
    UnauthorizedSSOTokenError,
)
from fastapi import FastAPI
from fastapi.testclient import TestClient

from langchain_dynamodb import AsyncSessionRepository, DynamoDBChatMessageHistory, SessionRepository
from langchain_dynamodb._dynamodb import connection as connections
from langchain_dynamodb._dynamodb.connection import Connection
from langchain_dynamodb.errors import AccessDeniedError, StorageError, ThrottledError
from langchain_dynamodb.fastapi import History, install_error_handlers, session_lifespan
from scripted_server import Server, drop, ok, refuse, reply

UPDATE = {"TableName": "chats", "Key": {"SessionId": {"S": "s1"}}}
SECRET = "not-to-be-shown"
Break = Callable[[Exception], Any]


@pytest.fixture
def no_keys(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Take the keys out of the environment; the function that is returned puts some there."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)

    def log_in() -> None:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "LATER")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)

    return log_in


async def failure(connection: Connection, **options: bool) -> Any:
    """Return the error that a write ends with."""
    with pytest.raises(StorageError) as caught:
        await connection.call("update_item", UPDATE, **{"write": True, **options})
    assert SECRET not in f"{caught.value} {caught.value!r}"
    return caught.value


def session_kinds(server: Server) -> dict[str, Callable[[], Any]]:
    """What `aws_session` may be, each made when it is asked for."""
    return {
        "none": lambda: None,
        "boto3": lambda: boto3.Session(region_name="us-east-1"),
        "aioboto3": lambda: aioboto3.Session(region_name="us-east-1"),
    }


@pytest.mark.parametrize("kind", ["none", "boto3", "aioboto3"])
async def test_keys_that_come_later(server: Server, no_keys: Callable[[], None], kind: str) -> None:
    """A first call without keys says so; with keys all go on, old connections and new, alone and at once."""
    settings = server.settings(aws_session=session_kinds(server)[kind]())
    old, other = Connection(settings), Connection(settings)
    for _ in range(2):
        error = await failure(old)
        assert (type(error), error.code, error.outcome_unknown) == (AccessDeniedError, None, False)
        assert "aws_session=" in str(error)
    at_once = await asyncio.gather(*(failure(old) for _ in range(3)), failure(other))
    assert [type(error) for error in at_once] == [AccessDeniedError] * 4
    assert server.requests == []
    no_keys()
    await asyncio.gather(*(connection.call("list_tables", {}) for connection in (old, other, Connection(settings))))
    assert ["Credential=LATER/" in request["authorization"] for request in server.requests] == [True] * 3


async def test_clients_without_keys_are_closed(server: Server, no_keys: Callable[[], None]) -> None:
    """A client that found no keys is closed at once: they do not pile up, and none is left at the end."""
    loop = asyncio.get_running_loop()
    before = [place for place in connections._clients if place[0] is loop]  # of the tests before, on the same loop
    connection = Connection(server.settings())
    for _ in range(3):
        await failure(connection)
    await asyncio.gather(*connections._closing)
    assert [place for place in connections._clients if place[0] is loop and place not in before] == []
    no_keys()
    await connection.call("list_tables", {})
    await connection.aclose()
    assert [place for place in connections._clients if place[0] is loop and place not in before] == []


async def test_without_asyncio(server: Server, no_keys: Callable[[], None]) -> None:
    """The same on the background loop of the synchronous facade and of histories."""
    settings = {"endpoint_url": server.url, "config": Config(connect_timeout=3)}
    sessions, history = SessionRepository("chats", **settings), DynamoDBChatMessageHistory("chats", "a", **settings)
    for call in (lambda: sessions.read("a"), lambda: history.messages):
        with pytest.raises(AccessDeniedError, match="Unable to locate credentials"):
            await asyncio.to_thread(call)
    no_keys()
    assert (await asyncio.to_thread(sessions.read, "a")).version == 0
    assert await asyncio.to_thread(lambda: history.messages) == []


async def test_a_metadata_service_that_is_late(
    server: Server, no_keys: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On EC2 the keys come from a service that may not answer at first."""
    metadata = Server()
    listening = await asyncio.start_server(metadata.serve, "127.0.0.1", 0)
    address = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", address)
    connection = Connection(server.settings())
    metadata.answers = [reply(503, b"")] * 20
    assert type(await failure(connection)) is AccessDeniedError
    until = (datetime.now(timezone.utc) + timedelta(hours=6)).strftime("%Y-%m-%dT%H:%M:%SZ")
    keys = {"Code": "Success", "AccessKeyId": "EC2", "SecretAccessKey": SECRET, "Token": SECRET, "Expiration": until}
    metadata.answers = [reply(200, b"token"), reply(200, b"role"), reply(200, json.dumps(keys).encode())]
    await connection.call("list_tables", {})
    assert "Credential=EC2/" in server.requests[-1]["authorization"]
    listening.close()


async def test_unsigned_requests_need_none(server: Server, no_keys: Callable[[], None]) -> None:
    """A config that says so sends requests without a signature, and without keys."""
    await Connection(server.settings(config=Config(signature_version=UNSIGNED))).call("list_tables", {})
    assert "authorization" not in server.requests[-1]


async def test_a_profile_that_comes_later(
    server: Server, no_keys: Callable[[], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A profile that is not in the files yet, and then is."""
    monkeypatch.setenv("AWS_PROFILE", "work")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    connection = Connection(server.settings())
    assert type(await failure(connection)) is AccessDeniedError
    keys = f"[work]\naws_access_key_id = FILE\naws_secret_access_key = {SECRET}\n"
    (tmp_path / "credentials").write_text(keys)
    await connection.call("list_tables", {})
    assert "Credential=FILE/" in server.requests[-1]["authorization"]


@pytest.fixture
async def sts(server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """A profile with a role, and the server that answers in place of STS."""
    (tmp_path / "config").write_text(
        "[profile base]\naws_access_key_id = BASE\naws_secret_access_key = x\n"
        "[profile work]\nrole_arn = arn:aws:iam::123456789012:role/chats\nsource_profile = base\n"
    )
    signing_in = Server()
    listening = await asyncio.start_server(signing_in.serve, "127.0.0.1", 0)
    address = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_PROFILE", "work")
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", address)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    yield signing_in
    listening.close()


def sts_error(status: int, code: str) -> Any:
    """An error as STS reports it."""
    error = f"<Error><Type>Sender</Type><Code>{code}</Code><Message>{SECRET}</Message></Error>"
    return reply(status, f"<ErrorResponse>{error}<RequestId>1</RequestId></ErrorResponse>".encode())


def sts_success() -> Any:
    """Temporary keys as STS gives them."""
    until = (datetime.now(timezone.utc) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    keys = f"<AccessKeyId>ROLE</AccessKeyId><SecretAccessKey>{SECRET}</SecretAccessKey>"
    keys += f"<SessionToken>{SECRET}</SessionToken><Expiration>{until}</Expiration>"
    body = f"<AssumeRoleResult><Credentials>{keys}</Credentials></AssumeRoleResult>"
    return reply(200, f"<AssumeRoleResponse>{body}</AssumeRoleResponse>".encode())


@pytest.mark.parametrize("kind", ["none", "boto3", "aioboto3"])
@pytest.mark.parametrize(
    ("status", "code", "told"),
    [
        (403, "AccessDenied", AccessDeniedError),
        (400, "ExpiredToken", AccessDeniedError),
        (400, "Throttling", ThrottledError),
        (500, "InternalFailure", StorageError),
    ],
)
async def test_a_role_that_is_refused(
    server: Server, sts: Server, no_keys: object, kind: str, status: int, code: str, told: type[StorageError]
) -> None:
    """It is STS that refused, not the table; nothing was sent, and the next call tries again."""
    connection = Connection(server.settings(aws_session=session_kinds(server)[kind]()))
    sts.answers = [sts_error(status, code)]
    error = await failure(connection)
    assert (type(error), error.code, error.outcome_unknown) == (told, None, False)
    assert f"sts:AssumeRole was refused ({code})" in str(error)
    assert "dynamodb:" not in str(error)
    assert isinstance(error.__cause__, ClientError)
    assert server.requests == []
    sts.answers = [sts_success()]
    await connection.call("list_tables", {})
    assert "Credential=ROLE/" in server.requests[-1]["authorization"]


def in_the_source(given: Any) -> aioboto3.Session:
    """A session whose keys are refreshed by a function of the user's that raises `given`."""

    async def refresh() -> dict[str, Any]:
        raise given

    session = aioboto3.Session(region_name="us-east-1")
    session._session._credentials = AioDeferredRefreshableCredentials(refresh, "custom")
    return session


def in_a_boto3_source(given: Any) -> boto3.Session:
    """The same with a synchronous session, whose keys are refreshed when the first client is made."""

    def refresh() -> dict[str, Any]:
        raise given

    session = boto3.Session(region_name="us-east-1")
    session._session._credentials = DeferredRefreshableCredentials(refresh, "custom")
    return session


def in_a_provider(given: Any) -> boto3.Session:
    """A session with a provider of the user's that raises `given` when it is asked."""

    class Provider:
        METHOD = CANONICAL_NAME = "custom"

        def load(self) -> Credentials:
            raise given

    plain = botocore.session.get_session()
    plain.get_component("credential_provider").insert_before("env", Provider())
    return boto3.Session(botocore_session=plain, region_name="us-east-1")


def at_the_signature(given: Any) -> aioboto3.Session:
    """A session with credentials of the user's own class, asked for when a request is signed."""

    class Own(AioCredentials):  # type: ignore[misc]
        async def get_frozen_credentials(self) -> Any:
            raise given

    session = aioboto3.Session(region_name="us-east-1")
    session._session._credentials = Own("a", "b")
    return session


def refused(operation: str, code: str) -> ClientError:
    """An error of a service."""
    return ClientError({"Error": {"Code": code, "Message": SECRET}}, operation)


FAILURES = {
    "exception": (LookupError(SECRET), StorageError),
    "os error": (ConnectionResetError(SECRET), StorageError),
    "value error": (ValueError(f"Expecting value: {SECRET}"), StorageError),
    "timeout": (TimeoutError(), StorageError),
    "no network": (ConnectTimeoutError(endpoint_url="http://sts"), StorageError),
    "metadata": (MetadataRetrievalError(error_msg="late"), StorageError),
    "none": (NoCredentialsError(), AccessDeniedError),
    "process": (CredentialRetrievalError(provider="process", error_msg="exit code 1"), AccessDeniedError),
    "token": (TokenRetrievalError(provider="sso", error_msg="expired"), AccessDeniedError),
    "sso": (UnauthorizedSSOTokenError(), AccessDeniedError),
    "sso file": (SSOTokenLoadError(error_msg="none"), AccessDeniedError),
    "profile": (ProfileNotFound(profile="p"), AccessDeniedError),
    "config": (InvalidConfigError(error_msg="no source profile"), AccessDeniedError),
    "role": (refused("GetRoleCredentials", "ForbiddenException"), AccessDeniedError),
    # What has a meaning in answers of DynamoDB has none here, also where the source is another DynamoDB table.
    "not found": (refused("GetRoleCredentials", "ResourceNotFoundException"), AccessDeniedError),
    "condition": (refused("UpdateItem", "ConditionalCheckFailedException"), AccessDeniedError),
    "throttled": (refused("UpdateItem", "ThrottlingException"), ThrottledError),
}


@pytest.mark.parametrize("source", [in_the_source, in_a_boto3_source, in_a_provider, at_the_signature])
@pytest.mark.parametrize(("given", "told"), FAILURES.values(), ids=FAILURES)
async def test_a_source_that_fails(server: Server, source: Break, given: Exception, told: type[StorageError]) -> None:
    """Whatever the source of credentials raises becomes one of our errors: typed, with its cause, without its text."""
    error = await failure(Connection(server.settings(aws_session=source(given))))
    assert (type(error), error.code, error.outcome_unknown) == (told, None, False)
    assert (type(error.__cause__), str(error.__cause__)) == (type(given), str(given))
    assert "no credentials" in str(error) or "No client could be made" in str(error)
    assert server.requests == []


async def test_a_source_that_fails_after_a_lost_answer(server: Server) -> None:
    """What was sent before may have been applied, whatever becomes of the credentials for sending it again."""

    class Once(AioCredentials):  # type: ignore[misc]
        async def get_frozen_credentials(self) -> Any:
            if server.requests:
                raise LookupError(SECRET)
            return await super().get_frozen_credentials()

    session = aioboto3.Session(region_name="us-east-1")
    session._session._credentials = Once("a", "b")
    server.answers = [drop]
    error = await failure(Connection(server.settings(attempts=2, aws_session=session)))
    assert (type(error), error.outcome_unknown, len(server.requests)) == (StorageError, True, 1)


async def test_a_client_in_use_is_not_closed(server: Server) -> None:
    """Credentials that were there once and cannot be had now end the calls that need them, not those under way."""

    class Once(AioCredentials):  # type: ignore[misc]
        async def get_frozen_credentials(self) -> Any:
            if server.requests:
                raise NoCredentialsError
            return await super().get_frozen_credentials()

    answering = asyncio.Event()

    async def in_time(writer: asyncio.StreamWriter) -> None:
        await answering.wait()
        await ok()(writer)

    session = aioboto3.Session(region_name="us-east-1")
    session._session._credentials = Once("a", "b")
    server.answers = [in_time]
    connection = Connection(server.settings(aws_session=session, config=Config()))
    under_way = asyncio.create_task(connection.call("update_item", UPDATE, write=True))
    await server.asked.wait()
    assert type(await failure(connection)) is AccessDeniedError
    answering.set()
    assert (await under_way)["ResponseMetadata"]["HTTPStatusCode"] == 200
    await connection.aclose()


async def test_the_account_in_the_endpoint(server: Server) -> None:
    """Credentials may be refreshed for the account's part of an address before anything is signed."""

    class Own(AioCredentials):  # type: ignore[misc]
        async def get_account_id(self) -> str:
            raise LookupError(SECRET)

    session = aioboto3.Session(region_name="us-east-1")
    session._session._credentials = Own("a", "b")
    error = await failure(Connection(server.settings(aws_session=session)))
    assert (type(error), type(error.__cause__)) == (StorageError, LookupError)
    session._session._credentials = AioCredentials("a", "b", account_id="123456789012")
    await Connection(server.settings(aws_session=session, config=Config())).call("list_tables", {})
    assert len(server.requests) == 1


async def test_nothing_is_concluded_about_the_table(server: Server, no_keys: Callable[[], None]) -> None:
    """That a table could not be looked at without keys is not taken for a missing right, which would be remembered."""
    sessions = AsyncSessionRepository("chats", endpoint_url=server.url, config=Config(connect_timeout=3))
    session = {"SessionId": "a", "user": "u"}
    with pytest.raises(AccessDeniedError, match="DescribeTable"):
        await sessions.read(session)
    no_keys()
    keys = [{"AttributeName": "SessionId", "KeyType": "HASH"}]
    table = {"KeySchema": keys, "AttributeDefinitions": [{"AttributeName": "SessionId", "AttributeType": "S"}]}
    server.answers = [reply(200, json.dumps({"Table": table}).encode()), ok()]
    assert (await sessions.read(session)).version == 0
    assert [request["x-amz-target"].rpartition(".")[2] for request in server.requests] == ["DescribeTable", "GetItem"]
    assert json.loads(server.requests[1]["body"])["Key"] == {"SessionId": {"S": "a"}}
    await sessions.aclose()


def test_over_http() -> None:
    """A web server answers a failing source as it does a storage that is away, and missing keys as its own fault."""
    for given, status, code in ((LookupError(SECRET), 503, "storage_unavailable"), (None, 500, "internal_error")):
        account = in_a_provider(given or NoCredentialsError())
        app = FastAPI(lifespan=session_lifespan(sessions=partial(AsyncSessionRepository, "chats", aws_session=account)))
        install_error_handlers(app)

        @app.get("/chats/{session_id}")
        async def show(history: History) -> int:
            return len(await history.aget_messages())

        with TestClient(app) as client:
            answer = client.get("/chats/a")
        assert (answer.status_code, answer.json()["code"], SECRET in answer.text) == (status, code, False)


@pytest.mark.parametrize("code", ["ExpiredTokenException", "UnrecognizedClientException"])
async def test_keys_that_are_not_valid(server: Server, code: str) -> None:
    """Nor is it with keys that DynamoDB does not know, or no longer."""
    sessions = AsyncSessionRepository("chats", endpoint_url=server.url, config=Config(connect_timeout=3))
    server.answers = [refuse(code)]
    with pytest.raises(AccessDeniedError, match="DescribeTable"):
        await sessions.read({"PK": "a", "SK": "b"})
    assert len(server.requests) == 1
    await sessions.aclose()
