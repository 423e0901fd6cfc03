"""Start an engine as a child process, wait until it answers, end it with its user."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, get_args

from . import dynamodb_local, moto_engine
from .child_process import Child, choose_port

EngineName = Literal["moto", "dynamodb-local"]
"""What an engine is called."""

ENGINES: Final[tuple[EngineName, ...]] = get_args(EngineName)
"""The names of all engines."""

# Variables that would send clients elsewhere in spite of `Engine.environment`.
FOREIGN_SETTINGS: Final = (
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_SESSION_TOKEN",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
)


@dataclass(frozen=True)
class Engine:
    """A running engine and how to reach it."""

    name: EngineName
    endpoint_url: str
    region_name: str = "us-east-1"
    # Not secrets: the engines take any. DynamoDB Local wants them alphanumeric.
    aws_access_key_id: str = "local"
    aws_secret_access_key: str = "local"

    @property
    def connection(self) -> dict[str, str]:
        """The keyword arguments that a boto3 or aioboto3 client needs."""
        return {
            "endpoint_url": self.endpoint_url,
            "region_name": self.region_name,
            "aws_access_key_id": self.aws_access_key_id,
            "aws_secret_access_key": self.aws_secret_access_key,
        }

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables that send every AWS SDK's DynamoDB client to this engine."""
        return {
            "AWS_ACCESS_KEY_ID": self.aws_access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.aws_secret_access_key,
            "AWS_DEFAULT_REGION": self.region_name,
            "AWS_REGION": self.region_name,
            "AWS_ENDPOINT_URL_DYNAMODB": self.endpoint_url,
        }


@contextmanager
def run_engine(
    name: EngineName = "moto", *, data_dir: str | Path | None = None, port: int | None = None, timeout: float = 60
) -> Iterator[Engine]:
    """Run an engine on loopback until the block ends; it also ends when this process dies, however it dies.

    `data_dir` keeps the tables of ``dynamodb-local`` from one run to the next (moto keeps everything in memory).
    `port` is a free one by default. `timeout` bounds the start, in seconds; a download does not count.
    Raises `EngineError`, which says what is missing and how to get it.
    """
    if name not in ENGINES:
        raise ValueError(f"engine must be one of {', '.join(ENGINES)}, not {name!r}")
    if name == "moto" and data_dir is not None:
        raise ValueError("moto keeps its tables in memory only: data_dir needs engine 'dynamodb-local'")
    chosen = choose_port(port)
    command = moto_engine.command(chosen) if name == "moto" else dynamodb_local.command(chosen, data_dir)
    with Child(name, command, chosen) as child:
        child.wait_until_ready(time.monotonic() + timeout)
        yield Engine(name, f"http://127.0.0.1:{chosen}")
