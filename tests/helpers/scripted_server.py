"""A server that speaks just enough HTTP to answer the AWS SDK as a test tells it to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any
from zlib import crc32

from botocore.config import Config

from langchain_dynamodb._dynamodb.client_settings import ConnectionSettings

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


class Server:
    """Speaks just enough HTTP: gives the scripted answers in turn, then empty successes."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.requests: list[dict[str, str]] = []
        self.asked = asyncio.Event()
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                first, *lines = head.decode().split("\r\n")[:-2]
                headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
                headers["body"] = (await reader.readexactly(int(headers.get("content-length", 0)))).decode()
                self.requests.append({"request": first, **headers})
                self.asked.set()
                await (self.answers.pop(0) if self.answers else ok())(writer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # the client went away, or the test has ended
        finally:
            writer.close()

    def settings(self, attempts: int = 1, **options: Any) -> ConnectionSettings:
        """Settings of a client that gives up soon."""
        retries = {"mode": "standard", "total_max_attempts": attempts}
        config = Config(retries=retries, read_timeout=0.3, connect_timeout=2)
        return ConnectionSettings(**{"endpoint_url": self.url, "config": config, **options})


def reply(status: int, body: bytes, *, checksum: int | None = None, cut: int = 0, header: str = "") -> Answer:
    """Answer with a body, without its last `cut` bytes, and with another `header`."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        crc = crc32(body) if checksum is None else checksum
        head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\nx-amz-crc32: {crc}\r\n{header}\r\n"
        writer.write(head.encode() + body[: len(body) - cut])
        await writer.drain()
        if cut:
            raise ConnectionError

    return answer


def ok() -> Answer:
    """An empty success."""
    return reply(200, b"{}")


def refuse(code: str, status: int = 400, **fields: Any) -> Answer:
    """Answer as DynamoDB reports an error."""
    error = {"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": "no", **fields}
    return reply(status, json.dumps(error).encode())


async def drop(writer: asyncio.StreamWriter) -> None:
    """Close the connection without an answer."""
    raise ConnectionError


async def reset(writer: asyncio.StreamWriter) -> None:
    """Reset the connection."""
    writer.transport.abort()
    raise ConnectionError


async def silence(writer: asyncio.StreamWriter) -> None:
    """Answer too late."""
    await asyncio.sleep(2)
