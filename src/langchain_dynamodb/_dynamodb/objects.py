"""Bodies of objects in S3: sent and received without blocking the event loop."""

from __future__ import annotations

import io
from collections.abc import Mapping
from functools import partial
from typing import Any

from .._threads import off_loop
from ..errors import BlobUnavailableError
from .connection import Connection
from .failures import object_error

DOWNLOADS = 3  # the SDK sends a request again, but not when its answer breaks off
READ_BYTES = 1 << 20


def upload_body(data: bytes | memoryview) -> io.BytesIO:
    """What the SDK sends piece by piece, off the event loop; bytes it would send in one go."""
    return io.BytesIO(data)


async def download(connection: Connection, request: Mapping[str, Any], size: int) -> bytes:
    """The data of an object, not more than one byte beyond `size`; raises `BlobUnavailableError`, `NoObject`."""
    attempt = 1
    while True:
        answer = await connection.call("get_object", request)
        if answer["ContentLength"] > size:
            answer["Body"].close()
            return bytes(size + 1)
        try:
            return await _read(answer["Body"])
        except Exception as error:
            told = object_error(error, "get_object", request, asking=False, sent=True)
            if attempt == DOWNLOADS or not isinstance(told, BlobUnavailableError):
                raise told from error
        attempt += 1


async def _read(body: Any) -> bytes:
    pieces: list[bytes] = []
    try:
        while piece := await body.read(READ_BYTES):
            pieces.append(piece)
    finally:
        body.close()
    return pieces[0] if len(pieces) == 1 else await off_loop(partial(b"".join, pieces))
