"""Memory, time and stalls of the event loop for one large message: ``python tests/tools/measure_large_message.py 255``.

The number is MiB of base64 text. Engine and bucket are moto's, in processes of their own; `--plain` does not encrypt.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import gc
import os
import sys
import threading
import time
from collections.abc import Awaitable
from pathlib import Path
from typing import TypeVar

import boto3
from langchain_core.messages import HumanMessage

sys.path.append(str(Path(__file__).parents[1] / "helpers"))

from aws_server import run_service
from langchain_dynamodb import AsyncSessionRepository
from langchain_dynamodb.blobs import S3Blobs
from langchain_dynamodb.encryption import LocalKeyring
from langchain_dynamodb.local import run_engine

T = TypeVar("T")


def resident() -> int:
    """MiB of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") >> 20


class Peak:
    """Looks at the memory every few milliseconds."""

    def __enter__(self) -> Peak:
        gc.collect()
        self.base = self.peak = resident()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()
        self._began = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.perf_counter() - self._began
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.005):
            self.peak = max(self.peak, resident())


async def measured(what: str, work: Awaitable[T]) -> T:
    """Do it, and print what it took."""
    stalls: list[float] = []

    async def tick() -> None:
        while True:
            began = time.perf_counter()
            await asyncio.sleep(0.002)
            stalls.append(time.perf_counter() - began - 0.002)

    ticking = asyncio.ensure_future(tick())
    with Peak() as peak:
        result = await work
    ticking.cancel()
    longest = ", ".join(f"{stall * 1000:.0f}" for stall in sorted(stalls)[-3:])
    print(f"{what}: {peak.peak - peak.base} MiB more, {peak.seconds:.1f} s, longest stalls {longest} ms")
    return result


async def measure(url: str, s3_url: str, mebibytes: int, *, plain: bool) -> None:
    """Append and read."""

    def make() -> AsyncSessionRepository:
        keyring = None if plain else LocalKeyring(bytes(32))
        blobs = S3Blobs("measured", endpoint_url=s3_url)
        return AsyncSessionRepository("Measured", endpoint_url=url, blobs=blobs, encryption=keyring)

    data = base64.b64encode(os.urandom((mebibytes << 20) * 3 // 4 - 300)).decode()
    message = HumanMessage([{"type": "image", "base64": data, "mime_type": "image/png"}])
    async with make() as writer, make() as reader:
        await writer.create_table()
        await writer.append("s", [HumanMessage(os.urandom(100_000).hex())])
        await reader.read("s")  # both have their clients now, of DynamoDB and of S3
        await measured("append", writer.append("s", [message]))
        assert (await measured("read, the message included", reader.read("s"))).messages[-1] == message


def main() -> None:
    """Run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mebibytes", type=int)
    parser.add_argument("--plain", action="store_true")
    given = parser.parse_args()
    with run_engine() as engine, run_service("s3") as s3_url:
        os.environ.update(engine.environment)
        boto3.client("s3", endpoint_url=s3_url).create_bucket(Bucket="measured")
        asyncio.run(measure(engine.endpoint_url, s3_url, given.mebibytes, plain=given.plain))


if __name__ == "__main__":
    main()
