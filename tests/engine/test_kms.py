"""Keys in KMS: what is asked of it, and what it refuses."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError
from langchain_core.messages import HumanMessage

from aws_server import run_service
from conftest import RepositoryFactory
from langchain_dynamodb import AsyncSessionRepository, DynamoDBChatMessageHistory
from langchain_dynamodb._dynamodb.failures import WrongKey, key_error
from langchain_dynamodb.encryption import KeyLimits, KmsKeyring
from langchain_dynamodb.errors import (
    AccessDeniedError,
    DecryptionError,
    InvalidInputError,
    KeyUnavailableError,
    StorageError,
    ThrottledError,
)
from support import SMALL, Call, Hooked, WatchedConnection, many, scan, watch, with_options

pytestmark = pytest.mark.any_engine

HELLO = HumanMessage("hello")


@pytest.fixture(scope="module")
def kms_url(aws_environment: None) -> Iterator[str]:
    """An endpoint of KMS."""
    with run_service("kms") as url:
        yield url


@pytest.fixture(scope="module")
def kms(kms_url: str) -> Iterator[Any]:
    """A client of it, with a key named alias/chats."""
    client = boto3.client("kms", endpoint_url=kms_url)
    client.create_alias(AliasName="alias/chats", TargetKeyId=client.create_key()["KeyMetadata"]["KeyId"])
    yield client
    client.close()


class Counted(WatchedConnection):
    """Notes each call, and fails it with `error` where there is one."""

    error: Exception | None = None

    def __init__(self, inner: Any) -> None:
        super().__init__(inner)
        self.log: list[str] = []

    async def around(self, operation: str, request: Any, proceed: Any) -> dict[str, Any]:
        self.log.append(operation)
        if self.error is not None:
            raise key_error(self.error, operation, request, asking=False, sent=True)
        answer: dict[str, Any] = await proceed()
        return answer


def counted(keyring: KmsKeyring) -> Counted:
    """Watch what it asks."""
    watched = Counted(keyring._connection)
    object.__setattr__(keyring, "_connection", watched)
    return watched


def refusal(code: str, operation: str = "Decrypt") -> ClientError:
    """An answer of KMS."""
    return ClientError({"Error": {"Code": code, "Message": "no"}}, operation)


async def test_sessions_under_a_key_of_kms(make_repository: RepositoryFactory, kms: Any, kms_url: str) -> None:
    """A thousand sessions of one process take one call; another process one more for all that it reads."""
    keyring = KmsKeyring("alias/chats", context={"app": "support"}, endpoint_url=kms_url)
    writer, writes = make_repository(encryption=keyring), counted(keyring)
    for n in range(20):
        await writer.append(f"s{n}", [HELLO])
        await writer.update_metadata(f"s{n}", {"title": str(n)})
    assert writes.log == ["generate_data_key"]
    other = KmsKeyring("alias/chats", context={"app": "support"}, endpoint_url=kms_url)
    reader, reads = make_repository(encryption=other), counted(other)
    assert sorted([one.metadata["title"] async for one in reader.list()], key=int) == [str(n) for n in range(20)]
    assert (await reader.read("s7")).messages == [HELLO]
    assert reads.log == ["decrypt"]
    assert (keyring, hash(keyring)) == (other, hash(other))
    await keyring.aclose()
    await other.aclose()


async def test_the_context_is_part_of_the_key(make_repository: RepositoryFactory, kms: Any, kms_url: str) -> None:
    """With another one, or none, a session cannot be read; with another key neither (moto calls that a denial)."""
    kms.create_alias(AliasName="alias/other", TargetKeyId=kms.create_key()["KeyMetadata"]["KeyId"])
    sessions = make_repository(encryption=KmsKeyring("alias/chats", context={"a": "b"}, endpoint_url=kms_url))
    await sessions.append("s", [HELLO])
    for context in ({"a": "c"}, {"a": "b", "c": "d"}, None):
        wrong = KmsKeyring("alias/chats", context=context, endpoint_url=kms_url)
        with pytest.raises(DecryptionError, match="with this encryption context"):
            await with_options(sessions, encryption=wrong).read("s")
    other = KmsKeyring("alias/other", context={"a": "b"}, endpoint_url=kms_url)
    with pytest.raises(KeyUnavailableError) as told:
        await with_options(sessions, encryption=other).read("s")
    assert told.value.code == "AccessDeniedException"


async def test_a_key_that_is_disabled_and_deleted(make_repository: RepositoryFactory, kms: Any, kms_url: str) -> None:
    """Who has a data key in memory goes on; nobody else reads, writes or begins, until the key can be used again."""
    key_id = kms.create_key()["KeyMetadata"]["KeyId"]
    sessions = make_repository(encryption=KmsKeyring(key_id, endpoint_url=kms_url))
    await sessions.append("s", [HELLO])
    states = {
        "DisabledException": lambda: kms.disable_key(KeyId=key_id),
        "KMSInvalidStateException": lambda: kms.schedule_key_deletion(KeyId=key_id, PendingWindowInDays=7),
    }
    for count, (code, change) in enumerate(states.items(), 2):
        change()
        await sessions.append("s", [HELLO])
        await sessions.append(f"new {count}", [HELLO])
        assert (await sessions.read("s")).message_count == count
        before = await scan(sessions)
        other = with_options(sessions, encryption=KmsKeyring(key_id, endpoint_url=kms_url))
        for call in (
            other.read("s"),
            other.append("s", [HELLO]),
            other.append("another", [HELLO]),
            other.reencrypt("s"),
            other.copy("s", "fork"),
        ):
            with pytest.raises(KeyUnavailableError) as told:
                await call
            assert told.value.code == code
        listed = {summary.session: summary async for summary in other.list()}
        assert (listed["s"].message_count, listed["s"].metadata) == (count, {})
        assert await scan(sessions) == before
    await other.delete("new 2")  # which needs no key
    kms.cancel_key_deletion(KeyId=key_id)
    kms.enable_key(KeyId=key_id)
    assert (await other.read("s")).message_count == 3


async def test_a_key_is_taken_away_in_the_middle(make_repository: RepositoryFactory, kms: Any, kms_url: str) -> None:
    """Between the look at a session and the write: that is told, and nothing was written."""
    key_id = kms.create_key()["KeyMetadata"]["KeyId"]
    sessions = make_repository(sizes=SMALL, encryption=KmsKeyring(key_id, endpoint_url=kms_url))
    await sessions.append("s", many(20))
    before = await scan(sessions)
    steps: list[Callable[[AsyncSessionRepository], Awaitable[object]]] = [
        lambda s: s.append("s", [HELLO]),
        lambda s: s.append("s", many(9)),
        lambda s: s.append("new", many(9)),
        lambda s: s.replace("s", many(30)),
        lambda s: s.truncate("s", keep=3),
        lambda s: s.reencrypt("s"),
        lambda s: s.read("s"),
    ]
    for step in steps:
        kms.enable_key(KeyId=key_id)
        other = with_options(sessions, encryption=KmsKeyring(key_id, endpoint_url=kms_url))
        looked: list[str] = []

        async def at_the_first_look(
            operation: str, request: Any, proceed: Call, looked: list[str] = looked
        ) -> dict[str, Any]:
            answer: dict[str, Any] = await proceed()
            if not looked:
                kms.disable_key(KeyId=key_id)
            looked.append(operation)
            return answer

        watch(other, Hooked, at_the_first_look)
        with pytest.raises(KeyUnavailableError, match="disabled"):
            await step(other)
        assert looked == ["get_item"]
        assert await scan(sessions) == before


async def test_the_history_takes_the_name_of_a_key(
    make_repository: RepositoryFactory, kms: Any, kms_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As that of langchain_community: the messages are encrypted, and all such histories share a repository."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_KMS", kms_url)
    sessions = make_repository()
    given = {"table_name": sessions.table_name, "endpoint_url": sessions._connection.settings.endpoint_url}
    history = DynamoDBChatMessageHistory(session_id="s", kms_key_id="alias/chats", **given)
    again = DynamoDBChatMessageHistory(session_id="s", kms_key_id="alias/chats", **given)
    assert history._repository is again._repository
    await history.aadd_messages([HELLO])
    assert await again.aget_messages() == [HELLO]
    assert [True for item in await scan(sessions) if "lc_key" in item] == [True]
    await history._repository.aclose()
    with pytest.raises(InvalidInputError, match="boto3_session"):
        DynamoDBChatMessageHistory(session_id="s", kms_key_id="alias/chats", boto3_session=object(), **given)
    with pytest.raises(InvalidInputError, match="kms_key_id"):
        DynamoDBChatMessageHistory(
            session_id="s", kms_key_id="alias/chats", encryption=KmsKeyring("alias/chats"), **given
        )


REFUSALS = {
    "AccessDeniedException": (KeyUnavailableError, "allow kms:Decrypt"),
    "DisabledException": (KeyUnavailableError, "disabled"),
    "KMSInvalidStateException": (KeyUnavailableError, "about to be deleted"),
    "NotFoundException": (KeyUnavailableError, "no such key"),
    "ThrottlingException": (ThrottledError, "KMS throttled"),
    "IncorrectKeyException": (DecryptionError, "lc_key"),
    "InvalidCiphertextException": (DecryptionError, "lc_key"),
    "KMSInternalException": (StorageError, "KMSInternalException"),
}


@pytest.mark.parametrize("code", REFUSALS)
async def test_what_kms_refuses(make_repository: RepositoryFactory, kms: Any, kms_url: str, code: str) -> None:
    """Each is a typed error, and nothing was written; what is in memory works until it is forgotten."""
    expected, said = REFUSALS[code]
    keyring = KmsKeyring("alias/chats", endpoint_url=kms_url)
    sessions, calls = make_repository(encryption=keyring), counted(keyring)
    await sessions.append("s", [HELLO])
    calls.error = refusal(code)
    await sessions.append("s", [HELLO])
    assert len((await sessions.read("s")).messages) == 2
    before = await scan(sessions)
    other = with_options(sessions)  # whose memory is empty
    for call in (
        lambda: other.read("s"),
        lambda: other.append("s", [HELLO]),
        lambda: other.append("s", [HELLO] * 2000),
        lambda: other.replace("s", [HELLO]),
        lambda: other.update_metadata("s", {"a": 1}),
    ):
        with pytest.raises(expected, match=said) as caught:
            await call()
        assert getattr(caught.value, "code", code) == code
    assert await scan(sessions) == before
    calls.error = None
    assert len((await other.read("s")).messages) == 2


async def test_no_session_begins_without_a_key(make_repository: RepositoryFactory, kms: Any, kms_url: str) -> None:
    """Neither a small nor a large one; nor is an item of langchain_community converted."""
    community: AsyncSessionRepository = make_repository(item_format="community")
    await community.append("c", [HELLO])
    before = await scan(community)
    keyring = KmsKeyring("alias/none", endpoint_url=kms_url, limits=KeyLimits(seconds=1))
    sessions = make_repository(encryption=keyring)
    for name, messages in (("s", [HELLO]), ("s", [HELLO] * 2000), ("c", [HELLO])):
        with pytest.raises(KeyUnavailableError, match="alias/none"):
            await sessions.append(name, messages)
    assert await scan(sessions) == before


async def test_old_keys_are_tried_in_turn(kms_url: str) -> None:
    """Each by its name, so that no other key of KMS is ever used."""

    class Two(WatchedConnection):
        async def call(self, operation: str, request: Any, **options: bool) -> dict[str, Any]:
            if request["KeyId"] != "old":
                raise WrongKey("IncorrectKeyException")
            return {"Plaintext": b"plain"}

    for old, found in ((["other", "old"], b"plain"), (["other"], None)):
        keyring = KmsKeyring("new", old=old, endpoint_url=kms_url)
        object.__setattr__(keyring, "_connection", Two(keyring._connection))
        assert await keyring.unwrap(b"wrapped") == found


@pytest.mark.parametrize("unavailable", ["new", "gone"])
async def test_a_key_that_cannot_be_used_hides_no_other(kms_url: str, unavailable: str) -> None:
    """One that is disabled, or about to be deleted; only where none of the others has wrapped it, it is told."""

    class Three(WatchedConnection):
        async def call(self, operation: str, request: Any, **options: bool) -> dict[str, Any]:
            if request["KeyId"] == unavailable:
                raise KeyUnavailableError("disabled", code="DisabledException")
            if request["KeyId"] != "old":
                raise WrongKey("IncorrectKeyException")
            return {"Plaintext": b"plain"}

    for old in (["gone", "old"], ["gone"]):
        keyring = KmsKeyring("new", old=old, endpoint_url=kms_url)
        object.__setattr__(keyring, "_connection", Three(keyring._connection))
        if "old" in old:
            assert await keyring.unwrap(b"wrapped") == b"plain"
        else:
            with pytest.raises(KeyUnavailableError, match="disabled"):
                await keyring.unwrap(b"wrapped")


@pytest.mark.parametrize(
    ("error", "asking", "expected"),
    [
        (EndpointConnectionError(endpoint_url="http://x"), False, StorageError),
        (NoCredentialsError(), True, AccessDeniedError),
        (TimeoutError("slow"), False, StorageError),
    ],
)
def test_kms_cannot_be_reached(error: Exception, asking: bool, expected: type[StorageError]) -> None:
    """As for DynamoDB, but the text tells which service it was; a read leaves nothing in doubt."""
    told = key_error(error, "decrypt", {"KeyId": "alias/chats"}, asking=asking, sent=True)
    assert (type(told), "of KMS" in str(told), getattr(told, "outcome_unknown", None)) == (expected, True, False)


@pytest.mark.parametrize(
    "wrong",
    [
        {"key_id": ""},
        {"key_id": None},
        {"key_id": "k", "old": [""]},
        {"key_id": "k", "old": "alias/old"},
        {"key_id": "k", "context": {"a": 1}},
        {"key_id": "k", "context": "a=b"},
        {"key_id": "k", "context": {"a": ""}},
    ],
)
def test_settings(wrong: dict[str, Any]) -> None:
    """What can be no key or context is refused when it is given."""
    with pytest.raises(InvalidInputError):
        KmsKeyring(**wrong)
