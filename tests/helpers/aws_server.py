"""Other services by moto, each in a process of its own, as the embedded engine runs DynamoDB."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from langchain_dynamodb.local import moto_engine
from langchain_dynamodb.local.child_process import Child, choose_port

SERVER = Path(moto_engine.__file__).with_name("moto_server.py")
SERVE = """
import runpy, sys
server = runpy.run_path(sys.argv[1])
exec(sys.argv[4])
server["_Server"](int(sys.argv[2]), server["create_backend_app"](sys.argv[3])).serve_forever()
"""
# moto lets a key be used whatever its state; KMS does not.
STRICT = {
    "kms": """
from moto.core.exceptions import JsonRESTError
from moto.kms import models

def strict(method):
    def call(self, *arguments, **options):
        name = options.get("key_id") or arguments[-1]
        state = self.keys[self.any_id_to_key_id(name)].key_state
        if state != "Enabled":
            code = "DisabledException" if state == "Disabled" else "KMSInvalidStateException"
            raise JsonRESTError(code, f"{name} is {state}")
        return method(self, *arguments, **options)
    return call

for name in ("decrypt", "generate_data_key"):
    setattr(models.KmsBackend, name, strict(getattr(models.KmsBackend, name)))
"""
}
ANSWERS: dict[str, Callable[[Any], object]] = {
    "kms": lambda client: client.list_keys(),
    "s3": lambda client: client.list_buckets(),
}


@contextmanager
def run_service(name: str) -> Iterator[str]:
    """The endpoint of KMS or S3, once it answers."""
    port, strict = choose_port(None), STRICT.get(name, "")
    url = f"http://127.0.0.1:{port}"
    with Child("moto", [sys.executable, "-W", "ignore", "-c", SERVE, str(SERVER), str(port), name, strict], port):
        client = boto3.client(name, endpoint_url=url, config=Config(retries={"total_max_attempts": 1}))
        for _ in range(600):
            with suppress(BotoCoreError, ClientError):
                ANSWERS[name](client)
                break
            time.sleep(0.05)
        client.close()
        yield url
