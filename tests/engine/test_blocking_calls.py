"""No asynchronous operation blocks the event loop, but for what the AWS SDK does itself when a client is made."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import TestEngine

pytestmark = [pytest.mark.once, pytest.mark.any_engine]

PROBE = Path(__file__).parents[1] / "helpers" / "blocking_probe.py"
# docs/operation.md says so too. aiobotocore loads the trusted certificates when a client sends its first request ...
CERTIFICATES = {"SSLContext.load_verify_locations in aiobotocore.httpsession"}
# ... looks for keys in the credentials file where they are neither in the environment nor given ...
CREDENTIALS = {
    "builtins.open in botocore.configloader.raw_config_parse",
    "os.stat in botocore.configloader.raw_config_parse",
}


def blocking(engine: TestEngine, what: str, folder: Path, *, keys: bool) -> set[str]:
    """The blocking calls of a process of its own, whose first call really is the first."""
    credentials = folder / "credentials"
    credentials.write_text("[default]\naws_access_key_id = AKIAAAAAAAAAAAAAAAAA\naws_secret_access_key = b\n")
    (folder / "config").write_text("[default]\nregion = us-east-1\n")
    environment = {**os.environ, "AWS_SHARED_CREDENTIALS_FILE": str(credentials)}
    environment |= {"AWS_CONFIG_FILE": str(folder / "config")}
    if not keys:
        environment = {k: v for k, v in environment.items() if k not in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
    assert engine.endpoint_url is not None
    command = [sys.executable, str(PROBE), engine.endpoint_url, what]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    found = set(run.stdout.splitlines()) - {""}
    # Which private function of that module does it differs between versions.
    return {line.rpartition(".")[0] if "aiobotocore.httpsession" in line else line for line in found}


@pytest.fixture(autouse=True)
def no_account(engine: TestEngine) -> None:
    """The probe has keys of its own."""
    if engine.name == "aws":
        pytest.skip("needs an engine that takes any keys")


@pytest.mark.parametrize("what", ["plain", "boto3"])
def test_nothing_of_ours_blocks(engine: TestEngine, what: str, tmp_path: Path) -> None:
    """From the first call on, creation of the client included: nothing but the certificates."""
    assert blocking(engine, what, tmp_path, keys=True) == CERTIFICATES


def test_a_credentials_file(engine: TestEngine, tmp_path: Path) -> None:
    """Aiobotocore reads it on the event loop; a boto3 session's is read in a thread."""
    assert blocking(engine, "plain", tmp_path, keys=False) == CERTIFICATES | CREDENTIALS
    assert blocking(engine, "boto3", tmp_path, keys=False) == CERTIFICATES


@pytest.mark.once
def test_an_aioboto3_session_of_the_callers(engine: TestEngine, tmp_path: Path) -> None:
    """It is used as it is, and reads its own files when the first client is made."""
    found = blocking(engine, "given", tmp_path, keys=True)
    assert {line for line in found if "botocore.loaders." not in line} == CERTIFICATES
    assert any("botocore.loaders." in line for line in found)


@pytest.mark.once
def test_the_probe_sees_what_blocks(engine: TestEngine, tmp_path: Path) -> None:
    """A sleep on the event loop is found, so an empty list means something."""
    assert "time.sleep in helpers.blocking_probe.main" in blocking(engine, "sleep", tmp_path, keys=True)
