"""What we log, raise and show never contains message content or credentials."""

from __future__ import annotations

import logging
from typing import Any

import aioboto3
import pytest
from botocore.config import Config
from langchain_core.messages import HumanMessage

from conftest import RepositoryFactory, TestEngine
from langchain_dynamodb import AsyncSessionRepository
from langchain_dynamodb.encryption import LocalKeyring
from langchain_dynamodb.errors import ChatHistoryError, CorruptSessionError, VersionConflictError
from memory_blobs import MemoryBlobs
from support import SMALL, human, noise, scan, with_options

CONTENT = "SECRET-CONTENT"
KEYS = ("AKIASECRETKEYID00000", "SECRET-ACCESS-KEY", "SECRET-TOKEN")
LOCAL_KEY = b"SECRET-LOCAL-KEY".ljust(32, b"!")
SECRETS = (CONTENT, *KEYS, "SECRET-LOCAL-KEY")


def secrets_in(text: str) -> list[str]:
    """The secrets that are in a text."""
    return [secret for secret in SECRETS if secret in text]


async def everything(sessions: AsyncSessionRepository) -> list[ChatHistoryError]:
    """Use each operation on a session with a secret, with errors; returns the errors."""
    errors: list[ChatHistoryError] = []

    async def failing(call: Any) -> None:
        with pytest.raises(ChatHistoryError) as caught:
            await call
        errors.append(caught.value)

    secret = HumanMessage(CONTENT, additional_kwargs={"x": CONTENT})
    await sessions.append("s", [secret])
    await sessions.append("s", [secret, human(900)])
    await sessions.update_metadata("s", {"title": CONTENT})
    await failing(sessions.append("s", [secret], expected_version=1))
    await sessions.append("s", [secret], idempotency_key="k")
    await failing(sessions.append("s", [secret, secret], idempotency_key="k"))
    await failing(sessions.append("s", [HumanMessage(CONTENT * 10**6)] * 2, expected_version=7))
    chat = await sessions.read("s")
    assert len(chat.messages) == 4
    await sessions.truncate("s", keep=3)
    damaged = next(item for item in await scan(sessions) if "History" in item)
    block = damaged["History"]["L"][0] if damaged["History"]["L"] else {"B": b""}
    wrong = {**damaged, "History": {"L": [{"S": f'{{"type":"human","content":5,"id":"{CONTENT}"}}'}, block]}}
    await sessions._connection.call("put_item", {"TableName": sessions.table_name, "Item": wrong}, write=True)
    await failing(sessions.read("s"))
    native = {"M": {"type": {"S": "human"}, "data": {"M": {"content": {"N": "5"}, "id": {"S": CONTENT}}}}}
    item = {"SessionId": {"S": "c"}, "History": {"L": [native]}}
    await sessions._connection.call("put_item", {"TableName": sessions.table_name, "Item": item}, write=True)
    await failing(sessions.read("c"))
    await failing(AsyncSessionRepository("none", **options_of(sessions)).append("s", [secret]))
    if isinstance(blobs := sessions._options.blobs, MemoryBlobs):
        await sessions.append("large", [HumanMessage(CONTENT + noise(9000))])
        for name in blobs.objects:
            blobs.objects[name] = CONTENT.encode()
        await failing(with_options(sessions).read("large"))
        await failing(with_options(sessions, blobs=None, sizes=SMALL).read("large"))
        await sessions.repair("large", drop_undecodable=True)
    if sessions._options.encryption:
        await failing(with_options(sessions, encryption=None).append("s", [secret]))
        await failing(with_options(sessions, encryption=LocalKeyring(LOCAL_KEY[::-1])).read("s"))
        await failing(with_options(sessions, encryption=lambda session: 1 / 0).read("s"))
    await sessions.delete("s")
    return errors


def options_of(sessions: AsyncSessionRepository) -> dict[str, Any]:
    """The settings of a repository's connection."""
    settings = sessions._connection.settings
    names = ("endpoint_url", "region_name", "aws_session", "config")
    return {name: getattr(settings, name) for name in names}


WAYS: dict[str, dict[str, Any]] = {
    "plain": {},
    "encrypted": {"encryption": LocalKeyring(LOCAL_KEY)},
    "encrypted, with objects": {"encryption": LocalKeyring(LOCAL_KEY), "blobs": MemoryBlobs(threshold=300)},
}


@pytest.fixture(params=WAYS)
def sessions(
    make_repository: RepositoryFactory, engine: TestEngine, request: pytest.FixtureRequest
) -> AsyncSessionRepository:
    """A repository with secret credentials."""
    if engine.name == "aws":
        pytest.skip("has keys of its own")
    account = aioboto3.Session(*KEYS, region_name="us-east-1")
    given = {"sizes": SMALL, "aws_session": account, "config": Config(read_timeout=9), **WAYS[request.param]}
    return make_repository(**given)


@pytest.mark.real_engine
async def test_our_loggers_and_errors_keep_secrets(
    sessions: AsyncSessionRepository, caplog: pytest.LogCaptureFixture
) -> None:
    """With every logger at DEBUG: no record of ours and no error has content or keys, nor has what we show of us."""
    caplog.set_level(logging.DEBUG)
    errors = await everything(sessions)
    formatter = logging.Formatter()
    ours = [r for r in caplog.records if r.name.startswith("langchain_dynamodb")]
    assert [secrets_in(formatter.format(record)) for record in ours if secrets_in(formatter.format(record))] == []
    for kind in (CorruptSessionError, VersionConflictError):
        assert any(isinstance(error, kind) for error in errors)
    for error in errors:
        assert secrets_in(f"{error} {error!r} {error.__cause__}") == []
    for thing in (
        sessions,
        sessions._table,
        sessions._connection,
        sessions._connection.settings,
        sessions.history("s"),
        sessions._vault,
        sessions._options,
        sessions._options.encryption,
    ):
        assert secrets_in(repr(thing)) == []


@pytest.mark.real_engine
async def test_who_else_logs_what(sessions: AsyncSessionRepository, caplog: pytest.LogCaptureFixture) -> None:
    """At DEBUG the AWS SDK logs requests and answers; the two lines of docs/operation.md keep it from doing that."""
    caplog.set_level(logging.DEBUG)
    await everything(sessions)
    talkers = {r.name.partition(".")[0] for r in caplog.records if secrets_in(r.getMessage())}
    assert talkers <= {"botocore", "aiobotocore"}
    assert "botocore" in talkers
    caplog.clear()
    for name in ("botocore", "aiobotocore"):
        caplog.set_level(logging.INFO, logger=name)
    await everything(sessions)
    assert [r.name for r in caplog.records if secrets_in(r.getMessage())] == []


async def test_a_warning_of_ours(make_repository: RepositoryFactory, caplog: pytest.LogCaptureFixture) -> None:
    """The one line we log, when the expiry of pages could not be extended: only the kind of error."""
    plain = make_repository(sizes=SMALL)
    await plain.append("s", [human(900), HumanMessage(CONTENT)])
    expiring = make_repository(sizes=SMALL, ttl=60)

    async def denied(*_: object) -> None:
        raise ChatHistoryError(CONTENT)

    expiring._table.refresh_pages = denied  # type: ignore[assignment,method-assign]
    await expiring.append("s", [HumanMessage(CONTENT)])
    (record,) = [r for r in caplog.records if r.name.startswith("langchain_dynamodb")]
    assert record.getMessage() == "Could not extend the expiry of the pages of a session: ChatHistoryError"
