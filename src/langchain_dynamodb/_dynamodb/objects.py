"""Bodies of objects in S3: sent and received without blocking the event loop."""

from __future__ import annotations

import io
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from ..errors import BlobUnavailableError
from .connection import Connection
from .failures import object_error

DOWNLOADS = 3  # the SDK sends a request again, but not when its answer breaks off
READ_BYTES = 1 << 20


def upload_body(data: bytes | memoryview) -> io.BytesIO:
    """What the SDK sends piece by piece, off the event loop; bytes it would send in one go."""
    return io.BytesIO(data)


async def download(connection: Connection, request: Mapping[str, Any], size: int) -> AsyncGenerator[bytes, None]:
    """The data of an object as it comes, not much beyond `size`; raises `BlobUnavailableError`, `NoObject`.

    Where an answer breaks off the rest is asked for. An empty object is one empty piece.
    """
    read = 0
    for attempt in range(1, DOWNLOADS + 1):
        ranged = {**request, "Range": f"bytes={read}-"} if read else request
        answer = await connection.call("get_object", ranged)
        body = answer["Body"]
        known = 0 if "ContentRange" in answer else read  # not every store answers with a part
        try:
            while piece := await body.read(READ_BYTES):
                piece, known = piece[known:], max(0, known - len(piece))
                if piece:
                    read += len(piece)
                    yield piece
                if read > size:
                    break
            if not read:
                yield b""
            return
        except Exception as error:
            if read == size:
                return
            told = object_error(error, "get_object", request, asking=False, sent=True)
            if attempt == DOWNLOADS or not isinstance(told, BlobUnavailableError):
                raise told from error
        finally:
            body.close()
