"""KMS by moto, in a process of its own, as the embedded engine runs DynamoDB."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from langchain_dynamodb.local import moto_engine
from langchain_dynamodb.local.child_process import Child, choose_port

SERVER = Path(moto_engine.__file__).with_name("moto_server.py")
SERVE = """
import runpy, sys
server = runpy.run_path(sys.argv[1])
server["_Server"](int(sys.argv[2]), server["create_backend_app"]("kms")).serve_forever()
"""


@contextmanager
def run_kms() -> Iterator[str]:
    """Its endpoint, once it answers."""
    port = choose_port(None)
    url = f"http://127.0.0.1:{port}"
    with Child("moto", [sys.executable, "-W", "ignore", "-c", SERVE, str(SERVER), str(port)], port):
        client = boto3.client("kms", endpoint_url=url, config=Config(retries={"total_max_attempts": 1}))
        for _ in range(600):
            with suppress(BotoCoreError, ClientError):
                client.list_keys()
                break
            time.sleep(0.05)
        client.close()
        yield url
