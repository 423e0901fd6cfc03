"""Objects in S3: what is asked of it, what it refuses, and what a large message costs."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import itertools
import random
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError
from langchain_core.messages import HumanMessage

from aws_server import run_service
from conftest import RepositoryFactory
from langchain_dynamodb._dynamodb.connection import Connection
from langchain_dynamodb._dynamodb.failures import NoObject, ObjectExists, object_error
from langchain_dynamodb._dynamodb.objects import DOWNLOADS
from langchain_dynamodb.blobs import S3Blobs, s3
from langchain_dynamodb.blobs.stores import Blobs
from langchain_dynamodb.encryption import LocalKeyring
from langchain_dynamodb.errors import (
    AccessDeniedError,
    BlobDamagedError,
    BlobUnavailableError,
    StorageError,
    UnsupportedMessageError,
)
from like_kms import LikeKms
from scripted_server import Server, reply
from support import THOROUGH, Hooked, Meter, WatchedConnection, human, scan, watch, with_options

BUCKET, PREFIX = "my-chats", "chats/"
HELLO = HumanMessage("hello")


@pytest.fixture(scope="module")
def s3_url(aws_environment: None) -> Iterator[str]:
    """An endpoint of S3."""
    with run_service("s3") as url:
        yield url


@pytest.fixture(scope="module")
def bucket(s3_url: str) -> Iterator[Any]:
    """A client of it, with a bucket."""
    client = boto3.client("s3", endpoint_url=s3_url)
    client.create_bucket(Bucket=BUCKET)
    yield client
    client.close()


@pytest.fixture
def blobs(bucket: Any, s3_url: str) -> S3Blobs:
    """What writes to it."""
    return S3Blobs(BUCKET, PREFIX, endpoint_url=s3_url)


class Asked(WatchedConnection):
    """Counts what is asked of S3."""

    def __init__(self, inner: Connection) -> None:
        super().__init__(inner)
        self.requests: Counter[str] = Counter()

    async def around(self, operation: str, request: Any, proceed: Any) -> dict[str, Any]:
        self.requests[operation] += 1
        answer: dict[str, Any] = await proceed()
        return answer


def asked(blobs: S3Blobs, kind: type[WatchedConnection] = Asked, *arguments: Any) -> Any:
    """Watch it."""
    watched = kind(blobs._connection, *arguments)
    object.__setattr__(blobs, "_connection", watched)
    return watched


def stored(bucket: Any) -> dict[str, int]:
    """Names and sizes of all objects."""
    return {one["Key"]: one["Size"] for one in bucket.list_objects_v2(Bucket=BUCKET).get("Contents", [])}


def image(size: int) -> HumanMessage:
    """A picture of so many bytes, in a message as LangChain has it."""
    data = random.Random(size).randbytes(size)
    block = {"type": "image", "base64": base64.b64encode(data).decode(), "mime_type": "image/png"}
    return HumanMessage([{"type": "text", "text": "What is this?"}, block])


async def test_an_image_goes_to_s3_and_back(
    make_repository: RepositoryFactory, blobs: S3Blobs, bucket: Any, s3_url: str
) -> None:
    """One request to write it, one to read it; a delete lists and removes, and leaves nothing."""
    sessions, watched = make_repository(blobs=blobs), asked(blobs)
    message = image(300_000)
    await sessions.append("tenant/s 1", [message])
    ((name, size),) = stored(bucket).items()
    assert name.startswith(f"{PREFIX}{sessions.table_name}!/tenant!2Fs!201/")
    assert size in range(300_000, 310_000)
    other = make_repository(blobs=S3Blobs(BUCKET, PREFIX, endpoint_url=s3_url))
    assert (await other.read("tenant/s 1")).messages == [message]
    assert (await with_options(sessions).read("tenant/s 1")).messages == [message]
    await sessions.delete("tenant/s 1")
    assert stored(bucket) == {}
    assert watched.requests == {"put_object": 1, "get_object": 1, "list_objects_v2": 1, "delete_objects": 1}
    assert isinstance(blobs, Blobs)
    await blobs.aclose()


async def test_what_is_very_large_goes_in_parts(
    make_repository: RepositoryFactory, blobs: S3Blobs, bucket: Any
) -> None:
    """In parts, each with its checksum; what S3 has is what was sealed, though nobody had it whole."""
    sessions = make_repository(blobs=blobs, encryption=LocalKeyring(bytes(32)))
    watched = asked(blobs)
    message = image(17 << 20)
    await sessions.append("s", [message])
    assert watched.requests == {"create_multipart_upload": 1, "upload_part": 4, "complete_multipart_upload": 1}
    ((name, _),) = stored(bucket).items()
    data = bucket.get_object(Bucket=BUCKET, Key=name)["Body"].read()
    (page,) = [item for item in await scan(sessions) if "S" in item.get("lc_data", {})]
    assert page["lc_data"]["S"].split(" ")[1:] == [str(len(data)), hashlib.sha256(data).hexdigest(), BUCKET]
    assert (await with_options(sessions).read("s")).messages == [message]
    await sessions.delete("s")
    await blobs.aclose()


async def test_parts_have_one_size(blobs: S3Blobs, bucket: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """However the pieces are divided: some stores want that."""
    sizes: list[int] = []

    async def noted(operation: str, request: Any, proceed: Any) -> dict[str, Any]:
        if operation == "upload_part":
            sizes.append(len(request["Body"].getvalue()))
        answer: dict[str, Any] = await proceed()
        return answer

    asked(blobs, Hooked, noted)
    data = random.Random(1).randbytes(12 << 20)
    cuts = [0, 3 << 20, (9 << 20) + 1, 11 << 20, len(data)]
    await blobs.put_pieces("name", (data[start:end] for start, end in itertools.pairwise(cuts)))
    assert sorted(sizes, reverse=True) == [s3.PART, s3.PART, len(data) - 2 * s3.PART]
    assert await blobs.get("name", len(data)) == data
    await blobs.delete(["name"])
    await blobs.aclose()


async def test_an_upload_that_fails_is_given_up(
    make_repository: RepositoryFactory, blobs: S3Blobs, bucket: Any
) -> None:
    """Nothing of it is left, nor of one whose task is cancelled."""
    sessions = make_repository(blobs=blobs)
    met = asyncio.Event()

    async def second_fails(operation: str, request: Any, proceed: Any) -> dict[str, Any]:
        if operation == "upload_part" and request["PartNumber"] == 2:
            met.set()
            if refusing:
                raise BlobUnavailableError("down", bucket=BUCKET, object=None, retryable=True)
            await asyncio.sleep(3600)
        answer: dict[str, Any] = await proceed()
        return answer

    asked(blobs, Hooked, second_fails)
    refusing = True
    with pytest.raises(BlobUnavailableError):
        await sessions.append("s", [image(12 << 20)])
    refusing = False
    met.clear()
    task = asyncio.ensure_future(sessions.append("s", [image(12 << 20)]))
    await met.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert stored(bucket) == {}
    assert "Uploads" not in bucket.list_multipart_uploads(Bucket=BUCKET)
    assert (await sessions.read("s")).messages == []
    await sessions.delete("s")
    await blobs.aclose()


async def test_a_completed_upload_whose_answer_is_lost(
    blobs: S3Blobs, bucket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The SDK sends the request again, and S3 knows no such upload any more: what is there tells that it is done."""
    monkeypatch.setattr(s3, "ONE_REQUEST", 5 << 20)
    data = bytes(6 << 20)
    completed = True

    async def sent_twice(operation: str, request: Any, proceed: Any) -> dict[str, Any]:
        if operation == "complete_multipart_upload":
            if completed:
                await proceed()
            raise BlobUnavailableError("no such upload", bucket=BUCKET, object=None, code="NoSuchUpload")  # not by moto
        answer: dict[str, Any] = await proceed()
        return answer

    asked(blobs, Hooked, sent_twice)
    await blobs.put("name", data, hashlib.sha256(data).digest())
    assert await blobs.get("name", len(data)) == data
    await blobs.delete(["name"])
    completed = False
    with pytest.raises(BlobUnavailableError, match="no such upload"):
        await blobs.put("name", data, hashlib.sha256(data).digest())
    assert stored(bucket) == {}
    await blobs.aclose()


async def test_an_upload_that_fails_otherwise(blobs: S3Blobs, bucket: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the error is, the upload is given up; that is waited for, but not for ever."""
    monkeypatch.setattr(s3, "ONE_REQUEST", 5 << 20)
    monkeypatch.setattr(s3, "ABORT_SECONDS", 0.1)
    hanging = False

    async def no_credentials(operation: str, request: Any, proceed: Any) -> dict[str, Any]:
        if operation == "complete_multipart_upload":
            raise AccessDeniedError("no credentials")
        if operation == "abort_multipart_upload" and hanging:
            await asyncio.sleep(3600)
        answer: dict[str, Any] = await proceed()
        return answer

    asked(blobs, Hooked, no_credentials)
    for hanging in (False, True):
        with pytest.raises(AccessDeniedError):
            await asyncio.wait_for(blobs.put("name", bytes(6 << 20), b""), 20)
        left = bucket.list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])
        assert len(left) == hanging
    for upload in left:
        bucket.abort_multipart_upload(Bucket=BUCKET, Key=upload["Key"], UploadId=upload["UploadId"])
    await blobs.aclose()


async def test_a_name_is_written_once(blobs: S3Blobs, bucket: Any) -> None:
    """What is there stays: a second request of that name is an earlier one's copy."""
    for data in (b"first", b"second"):
        await blobs.put("name", data, hashlib.sha256(data).digest())
    assert await blobs.get("name", 5) == b"first"
    assert len(await blobs.get("name", 2) or b"") > 2  # which tells that it is another
    assert [piece async for piece in blobs.get_pieces("name", 5)] == [b"first"]
    assert [piece async for piece in blobs.get_pieces("other", 5)] == []
    await blobs.put("empty", b"", hashlib.sha256(b"").digest())
    assert await blobs.get("empty", 5) == b""
    await blobs.delete(["empty"])
    assert await blobs.get("other", 5) is None
    assert [(one.name, one.size) async for one in blobs.list("na")] == [("name", 5)]
    await blobs.delete(["name", "other"])
    assert [one async for one in blobs.list("")] == []
    await blobs.aclose()


@pytest.mark.parametrize("name", ["there", "missing"])
@pytest.mark.parametrize("may_list", [True, False])
async def test_a_missing_object_that_is_denied(blobs: S3Blobs, name: str, may_list: bool) -> None:
    """A policy for listings of a prefix holds for no GetObject: S3 says then that this is denied. A listing tells."""
    await blobs.put("there", b"data", hashlib.sha256(b"data").digest())

    async def denied(operation: str, request: Any, proceed: Any) -> dict[str, Any]:
        if operation == "get_object" or not may_list:
            raise BlobUnavailableError(operation, bucket=BUCKET, object=None, code="AccessDenied")
        answer: dict[str, Any] = await proceed()
        return answer

    watched = asked(blobs, Hooked, denied)
    if may_list and name == "missing":
        assert await blobs.get(name, 4) is None
    else:
        with pytest.raises(BlobUnavailableError, match="get_object"):
            await blobs.get(name, 4)
    object.__setattr__(blobs, "_connection", watched.inner)
    await blobs.delete(["there"])
    await blobs.aclose()


async def test_more_than_a_thousand(blobs: S3Blobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are listed and removed a thousand at a time."""
    monkeypatch.setattr(s3, "DELETED_AT_ONCE", 2)
    watched = asked(blobs)

    async def few(operation: str, request: Any, proceed: Any) -> dict[str, Any]:
        if operation == "list_objects_v2":
            return await watched.inner.call(operation, {**request, "MaxKeys": 2})
        answer: dict[str, Any] = await proceed()
        return answer

    asked(blobs, Hooked, few)
    names = [f"{n}" for n in range(5)]
    for name in names:
        await blobs.put(name, b"", hashlib.sha256(b"").digest())
    assert [one.name async for one in blobs.list("")] == names
    await blobs.delete(names)
    assert [one async for one in blobs.list("")] == []
    assert watched.requests["delete_objects"] == 3
    await blobs.aclose()


async def test_an_object_that_was_not_deleted(blobs: S3Blobs) -> None:
    """S3 says so within a success."""

    async def refused(operation: str, request: Any, proceed: Any) -> dict[str, Any]:
        return {"Errors": [{"Key": "chats/a", "Code": "AccessDenied"}]}

    asked(blobs, Hooked, refused)
    with pytest.raises(BlobUnavailableError, match=r"chats/a.*my-chats.*AccessDenied") as told:
        await blobs.delete(["a"])
    assert (told.value.object, told.value.retryable) == ("chats/a", False)


REQUEST = {"Bucket": BUCKET, "Key": "chats/a"}


def refusal(code: str, status: int = 400) -> ClientError:
    """An answer of S3."""
    answer: Any = {"Error": {"Code": code, "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, "PutObject")


@pytest.mark.parametrize(
    ("error", "told", "retryable"),
    [
        (refusal("AccessDenied", 403), "allow it in the policies", False),
        (refusal("NoSuchBucket", 404), "no such bucket", False),
        (refusal("SlowDown", 503), "try again later", True),
        (refusal("InternalError", 500), "InternalError", True),
        (refusal("NoSuchUpload", 404), "NoSuchUpload", True),
        (refusal("ConditionalRequestConflict", 409), "ConditionalRequestConflict", True),
        (EndpointConnectionError(endpoint_url="http://x"), "no usable answer", True),
        (ValueError("what aiohttp raises"), "no usable answer", True),
    ],
)
def test_what_refusals_become(error: Exception, told: str, retryable: bool) -> None:
    """The error names object and bucket, and says whether the same may succeed in a moment."""
    found = object_error(error, "put_object", REQUEST, asking=False, sent=True)
    assert isinstance(found, BlobUnavailableError)
    assert told in str(found)
    assert "'chats/a' in bucket 'my-chats'" in str(found)
    assert (found.bucket, found.object, found.retryable) == (BUCKET, "chats/a", retryable)
    assert not found.outcome_unknown


def test_what_other_answers_become() -> None:
    """Some are for the caller to act on; the SDK's want of credentials is told as always."""
    mine = UnsupportedMessageError("x", path="y")
    found = [
        object_error(error, "get_object", REQUEST, asking=asking, sent=True)
        for error, asking in (
            (refusal("NoSuchKey", 404), False),
            (refusal("PreconditionFailed", 412), False),
            (NoCredentialsError(), True),
            (mine, False),
        )
    ]
    assert [type(one) for one in found] == [NoObject, ObjectExists, AccessDeniedError, UnsupportedMessageError]
    assert "objects in bucket" in str(
        object_error(refusal("X"), "list_objects_v2", {"Bucket": BUCKET}, asking=False, sent=True)
    )
    assert object_error(KeyError("ours"), "get_object", REQUEST, asking=False, sent=False).args == ("ours",)


async def test_an_answer_that_breaks_off(server: Server) -> None:
    """The rest is asked for, some times; then the error is one that may pass."""
    config = Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}, read_timeout=1)
    blobs = S3Blobs(BUCKET, endpoint_url=server.url, config=config)
    server.answers = [reply(200, b"0123456789", cut=4), reply(206, b"6789", header="Content-Range: bytes 6-9/10\r\n")]
    assert await blobs.get("a", 10) == b"0123456789"
    assert server.requests[-1]["range"] == "bytes=6-"
    server.answers = [reply(200, b"0123456789", cut=4), reply(200, b"0123456789")]  # of a store that knows no parts
    assert await blobs.get("a", 10) == b"0123456789"
    server.answers = [reply(200, b"0123456789", cut=4)] * (DOWNLOADS - 1) + [reply(200, b"0123456789xx", cut=2)]
    assert await blobs.get("a", 10) == b"0123456789"  # all of it came
    server.answers = [reply(200, b"0123456789", cut=4)] * DOWNLOADS
    with pytest.raises(BlobUnavailableError, match="GetObject of object 'a'") as told:
        await blobs.get("a", 10)
    assert told.value.retryable
    assert len(server.requests) == 4 + 2 * DOWNLOADS
    await blobs.aclose()


async def test_nobody_answers(make_repository: RepositoryFactory) -> None:
    """A bucket that cannot be reached is an error of its own, not DynamoDB's."""
    config = Config(retries={"total_max_attempts": 1}, connect_timeout=1)
    sessions = make_repository(blobs=S3Blobs(BUCKET, endpoint_url="http://127.0.0.1:9", config=config))
    await sessions.append("s", [HELLO])
    with pytest.raises(BlobUnavailableError) as told:
        await sessions.append("s", [image(100_000)])
    assert isinstance(told.value, StorageError)
    assert told.value.retryable
    assert (await sessions.read("s")).messages == [HELLO]


async def test_an_object_changed_in_the_bucket(make_repository: RepositoryFactory, blobs: S3Blobs, bucket: Any) -> None:
    """The name in the error is that in the bucket."""
    sessions = make_repository(blobs=blobs)
    await sessions.append("s", [image(100_000)])
    ((name, size),) = stored(bucket).items()
    bucket.put_object(Bucket=BUCKET, Key=name, Body=bytes(size))
    with pytest.raises(BlobDamagedError, match="is not what was written") as told:
        await with_options(sessions).read("s")
    assert told.value.object == name
    await sessions.delete("s")
    await blobs.aclose()


@pytest.mark.once
@pytest.mark.parametrize("size", [32, *[255] * THOROUGH])
def test_memory_of_a_large_message(size: int) -> None:
    """MiB above the message, of the SDK's too: as docs/howto/large-data.md says, in a process of its own.

    Resident, since what orjson reserves is a dozen times as much as it touches, which tracemalloc takes for used.
    """
    tool = Path(__file__).parents[1] / "tools/measure_large_message.py"
    ran = subprocess.run([sys.executable, tool, str(size)], capture_output=True, text=True, check=True)
    appended, read = (
        int(found) for found in re.findall(r"^(?:append|read).*: (\d+) MiB more", ran.stdout, re.MULTILINE)
    )
    assert appended < 72  # 64, and what a loaded machine adds
    assert read < size + 72  # with the message


class EachMeter(Meter):
    """Notes the write units of each request too."""

    def __init__(self, inner: Connection) -> None:
        super().__init__(inner)
        self.each: list[tuple[str, float]] = []

    async def call(self, operation: str, request: Mapping[str, Any], **options: bool) -> dict[str, Any]:
        """See `Meter`."""
        answer = await super().call(operation, request, **options)
        self.each.append((operation, answer["ConsumedCapacity"]["CapacityUnits"]))
        return answer


IN_ALL = {1: {4}, 2: {6, 7}, 3: {9, 10, 11}}
"""Write units of a picture behind a tail, by those of the session item with the intent; so docs/performance.md."""


@pytest.mark.dynamodb_local_only
@pytest.mark.parametrize("keyring", [None, LikeKms(bytes(32))], ids=["plain", "encrypted"])
async def test_what_an_image_costs(
    make_repository: RepositoryFactory, blobs: S3Blobs, keyring: LocalKeyring | None
) -> None:
    """1 MB: one request of S3, and at most 4 write units beside those of moving the tail into its page."""
    picture = image(750_000)  # 1 MB as base64
    sessions = make_repository(blobs=blobs, encryption=keyring)
    meter: EachMeter = watch(sessions, EachMeter)
    watched = asked(blobs)

    async def units(session: str, message: HumanMessage) -> list[tuple[str, float]]:
        """Those of appending it, request by request."""
        meter.each.clear()
        await sessions.append(session, [message])
        return [each for each in meter.each if not each[0].startswith("get")]

    counted = [sum(count for _, count in await units("first", picture)) for _ in range(3)]
    assert counted == [3, 2, 2]
    items: list[int] = []
    in_all = 0.0
    for before in range(1, 20):
        for _ in range(before):
            small = await units(f"after {before}", human(250))
        if len(small) > 1:  # the last one had no room, and moved the tail too
            assert in_all - sum(count for _, count in small) <= 4
            break
        intent, tail, page, commit = await units(f"after {before}", picture)
        assert [name[:3] for name, _ in (intent, tail, page, commit)] == ["upd", "put", "put", "upd"]
        in_all = sum(count for _, count in (intent, tail, page, commit))
        own = intent[1] + min(tail[1], page[1])  # the page of the picture is a reference
        items.append(int(intent[1]))
        assert (in_all in IN_ALL[items[-1]], own) == (True, items[-1] + 1)
    assert ({*items}, watched.requests) == ({1, 2, 3}, {"put_object": 3 + len(items)})
    await blobs.aclose()
