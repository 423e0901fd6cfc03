"""Objects in S3."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from .._checks import is_utf8, short
from .._dynamodb.batches import in_parallel
from .._dynamodb.client_settings import ConnectionSettings
from .._dynamodb.connection import Connection
from .._dynamodb.failures import NoObject, ObjectExists
from .._dynamodb.objects import download, upload_body
from .._threads import off_loop
from ..errors import BlobUnavailableError, InvalidInputError, StorageError
from .names import END_OF_TABLE
from .stores import StoredObject

ONE_REQUEST = 8 << 20  # bytes; more are sent in parts
PART = 5 << 20  # bytes: the least that S3 takes, but for the last part
PARTS_AT_ONCE = 2  # each is held once more while it is sent
ABORT_SECONDS = 5.0  # a write that has failed waits so long for its upload to be given up
DELETED_AT_ONCE = 1000  # names S3 takes in one request
LONGEST_PREFIX = 256  # bytes
MAX_THRESHOLD = 380_000  # bytes: what stays in its page must fit an item
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]|arn:aws[a-z-]*:s3[a-z-]*:\S+")


@dataclass(frozen=True, init=False)
class S3Blobs:
    """Data of pages above `threshold` bytes in objects of `bucket`: names begin with `prefix`, then the table's name.

    Tables may share both, but not those of one name (in other regions or accounts), unless they are replicas. Needs
    s3:PutObject, s3:GetObject, s3:DeleteObject and s3:ListBucket (docs/permissions.md). `aws_session`, `region_name`,
    `endpoint_url` and `config` are those of S3, as of the repository.

    Raises `InvalidInputError`.
    """

    bucket: str
    prefix: str
    threshold: int
    settings: ConnectionSettings = field(repr=False)
    _connection: Connection = field(repr=False, compare=False)

    def __init__(
        self,
        bucket: str,
        prefix: str = "",
        threshold: int = 64 * 1024,
        *,
        aws_session: Any = None,
        region_name: str | None = None,
        endpoint_url: str | None = None,
        config: Any = None,
    ) -> None:
        if not isinstance(bucket, str) or not _BUCKET.fullmatch(bucket):
            raise InvalidInputError(f"bucket={short(bucket)} must be the name of a bucket of S3, or an ARN of one")
        if not isinstance(prefix, str) or not is_utf8(prefix) or not _is_prefix(prefix):
            told = f"at most {LONGEST_PREFIX} bytes of text that end with '/' and have no {END_OF_TABLE!r}"
            raise InvalidInputError(f"prefix={short(prefix)} must be '', or {told}, such as 'chats/'")
        if type(threshold) is not int or not 0 <= threshold <= MAX_THRESHOLD:
            raise InvalidInputError(f"threshold={short(threshold)} must be whole bytes from 0 to {MAX_THRESHOLD}")
        settings = ConnectionSettings(endpoint_url, region_name, aws_session, config, "s3")
        set_field = object.__setattr__
        set_field(self, "bucket", bucket)
        set_field(self, "prefix", prefix)
        set_field(self, "threshold", threshold)
        set_field(self, "settings", settings)
        set_field(self, "_connection", Connection(settings))

    async def put(self, name: str, data: bytes, sha256: bytes) -> None:
        """See `Blobs`. One request; for more than 8 MiB one for each 5 MiB, and two."""
        if len(data) > ONE_REQUEST:
            await self.put_pieces(name, (data[start : start + PART] for start in range(0, len(data), PART)))
            return
        request = {**self._object(name), "IfNoneMatch": "*", "ChecksumSHA256": _base64(sha256)}
        with contextlib.suppress(ObjectExists):  # as below
            await self._connection.call("put_object", {**request, "Body": upload_body(data)}, write=True)

    async def put_pieces(self, name: str, pieces: Iterable[bytes]) -> None:
        """See `Blobs`. One request for each 5 MiB, and two."""
        # Names are never used twice: if it is there, an earlier transmission of this very request came through.
        with contextlib.suppress(ObjectExists):
            await self._put_parts(name, enumerate(_parts(pieces), 1))

    async def _put_parts(self, name: str, coming: Iterator[tuple[int, bytes]]) -> None:
        call, this = self._connection.call, self._object(name)
        begun = await call("create_multipart_upload", {**this, "ChecksumAlgorithm": "SHA256"}, write=True)
        upload = {**this, "UploadId": begun["UploadId"]}

        sent: dict[int, dict[str, Any]] = {}
        size, failed = 0, False
        making = asyncio.Lock()

        async def send_some(_: int) -> None:
            nonlocal size, failed
            try:
                while not failed:
                    async with making:
                        made = await off_loop(lambda: _hashed(coming))
                    if made is None:
                        return
                    number, part, digest = made
                    size += len(part)
                    one = {"PartNumber": number, "ChecksumSHA256": _base64(digest)}
                    answer = await call("upload_part", {**upload, **one, "Body": upload_body(part)}, write=True)
                    sent[number] = {**one, "ETag": answer["ETag"]}
            except BaseException:
                failed = True
                raise

        try:
            await in_parallel(send_some, range(PARTS_AT_ONCE), PARTS_AT_ONCE)
            parts = {"Parts": [sent[number] for number in sorted(sent)]}
            await self._complete(name, size, {**upload, "MultipartUpload": parts, "IfNoneMatch": "*"})
        except (Exception, asyncio.CancelledError):
            # What this cannot remove, the bucket's lifecycle rule does.
            aborted = asyncio.ensure_future(call("abort_multipart_upload", upload))
            aborted.add_done_callback(lambda task: task.cancelled() or task.exception())
            if not (await asyncio.wait([aborted], timeout=ABORT_SECONDS))[0]:
                aborted.cancel()
            raise

    async def _complete(self, name: str, size: int, request: dict[str, Any]) -> None:
        try:
            await self._connection.call("complete_multipart_upload", request, write=True)
        except BlobUnavailableError as error:
            # An earlier transmission of this request may have come through, whose answer was lost.
            if error.code != "NoSuchUpload" or size not in [found.size async for found in self.list(name)]:
                raise

    async def get(self, name: str, size: int) -> bytes | None:
        """See `Blobs`. One request."""
        async with contextlib.aclosing(self.get_pieces(name, size)) as coming:
            pieces = [piece async for piece in coming]
        if len(pieces) > 1:
            return await off_loop(lambda: b"".join(pieces))
        return pieces[0] if pieces else None

    async def get_pieces(self, name: str, size: int) -> AsyncGenerator[bytes, None]:
        """See `Blobs`. One request."""
        try:
            async with contextlib.aclosing(download(self._connection, self._object(name), size)) as coming:
                async for piece in coming:
                    yield piece
        except NoObject:
            return
        except BlobUnavailableError as error:
            # Who may list only names of some prefix gets this answer for an object that is not there, too.
            if error.code != "AccessDenied" or await self._may_be_there(name):
                raise

    async def _may_be_there(self, name: str) -> bool:
        try:
            return name in [found.name async for found in self.list(name)]
        except StorageError:
            return True

    async def list(self, prefix: str) -> AsyncIterator[StoredObject]:
        """See `Blobs`. One request for 1,000."""
        request: dict[str, Any] = {"Bucket": self.bucket, "Prefix": self.prefix + prefix}
        while True:
            answer = await self._connection.call("list_objects_v2", request)
            for found in answer.get("Contents", ()):
                name = found["Key"][len(self.prefix) :]
                yield StoredObject(name, found["Size"], found["LastModified"].timestamp())
            if not answer.get("IsTruncated"):
                return
            request = {**request, "ContinuationToken": answer["NextContinuationToken"]}

    async def delete(self, names: Sequence[str]) -> None:
        """See `Blobs`. One request for 1,000."""
        for start in range(0, len(names), DELETED_AT_ONCE):
            objects = [{"Key": self.prefix + name} for name in names[start : start + DELETED_AT_ONCE]]
            request = {"Bucket": self.bucket, "Delete": {"Objects": objects, "Quiet": True}}
            answer = await self._connection.call("delete_objects", request, write=True)
            for left in answer.get("Errors", ()):
                told = f"S3 did not delete object {left.get('Key')!r} of bucket {self.bucket!r} ({left.get('Code')})"
                advice = "it is tried again with the next change, or allow s3:DeleteObject"
                facts = {"bucket": self.bucket, "object": left.get("Key"), "code": left.get("Code")}
                raise BlobUnavailableError(f"{told}: {advice}", **facts)

    async def aclose(self) -> None:
        """Let go of the client of S3, which otherwise ends with the event loop; the next use makes another."""
        await self._connection.aclose()
        self._connection.reopen()

    def _object(self, name: str) -> dict[str, Any]:
        return {"Bucket": self.bucket, "Key": self.prefix + name}


def _is_prefix(text: str) -> bool:
    """Whether names that begin so say where their table's name is."""
    return len(text.encode()) <= LONGEST_PREFIX and text[-1:] in ("", "/") and END_OF_TABLE not in text


def _parts(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """In parts of the same size, as some stores want them, but for the last."""
    part: list[bytes] = []
    size = 0
    for piece in pieces:
        part.append(piece)
        size += len(piece)
        while size >= PART:
            whole = b"".join(part)
            yield whole[:PART]
            part, size = [whole[PART:]], size - PART
    if size:
        yield b"".join(part)


def _hashed(coming: Iterator[tuple[int, bytes]]) -> tuple[int, bytes, bytes] | None:
    """The next part with its number and its SHA-256, if there is one."""
    for number, part in coming:
        return number, part, hashlib.sha256(part).digest()
    return None


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()
