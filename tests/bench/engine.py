"""The engine of the benchmark, and sessions that several measures use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import boto3

from contenders import Contender
from corpus import conversation
from langchain_dynamodb.local import Engine, run_engine


@contextmanager
def bench_engine(endpoint_url: str | None) -> Iterator[str]:
    """Run DynamoDB Local, or use one that is running; every client finds credentials and region."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    environment = Engine("dynamodb-local", "unused").environment
    del environment["AWS_ENDPOINT_URL_DYNAMODB"]
    os.environ.update(environment, AWS_EC2_METADATA_DISABLED="true")
    if endpoint_url is None:
        with run_engine("dynamodb-local") as engine:
            yield engine.endpoint_url
    else:
        yield endpoint_url


async def fill(contender: Contender, session: str, kind: str, turns: int) -> int:
    """Append a conversation turn by turn; returns the number of messages."""
    messages = 0
    for turn in conversation(kind, turns):
        messages += len(turn)
        await contender.append(session, contender.prepare(turn))
    return messages


def drop_tables(endpoint_url: str, prefixes: tuple[str, ...]) -> None:
    """Delete what an earlier run on a running engine left."""
    client = boto3.client("dynamodb", endpoint_url=endpoint_url)
    for page in client.get_paginator("list_tables").paginate():
        for name in page["TableNames"]:
            if name.startswith(prefixes):
                client.delete_table(TableName=name)
    client.close()
