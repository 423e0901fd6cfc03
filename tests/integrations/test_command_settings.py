"""The command's options that say which table it is, with which settings: each of them reaches what it is for."""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import boto3
import pytest
from click.testing import CliRunner
from langchain_core.messages import HumanMessage

from command_line import Command, command_on, objects, where
from conftest import TableFactory, TestEngine
from langchain_dynamodb import SessionRepository
from langchain_dynamodb.cli.commands import cli
from langchain_dynamodb.encryption import LocalKeyring

pytestmark = pytest.mark.any_engine

HI = [HumanMessage("hi")]


@pytest.fixture
def far_table(engine: TestEngine) -> Iterator[str]:
    """A table that is in eu-west-1 only, with a session."""
    if engine.name != "moto":
        pytest.skip("DynamoDB Local has all regions in one")
    with closing(boto3.client("dynamodb", endpoint_url=engine.endpoint_url, region_name="eu-west-1")) as client:
        with SessionRepository("far-table", endpoint_url=engine.endpoint_url, region_name="eu-west-1") as there:
            there.create_table()
            there.append("s", HI)
        yield "far-table"
        client.delete_table(TableName="far-table")


def test_region(engine: TestEngine, far_table: str) -> None:
    """--region says where the table is, --to-region where the other one is."""
    far = command_on(far_table, engine.endpoint_url)
    assert (far("list").exit_code, far("list", "--region", "eu-west-1").stdout[:1]) == (3, "s")
    copied = far("migrate", "--region", "eu-west-1", "--to-table", far_table, "--to-region", "us-east-1")
    assert (copied.exit_code, "There is no table 'far-table'" in copied.stderr) == (3, True)


def test_profile(engine: TestEngine, far_table: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """--profile brings region and credentials along."""
    for name in [name for name in os.environ if (name.startswith("AWS_") and "REGION" in name) or "_KEY" in name]:
        monkeypatch.delenv(name)
    (tmp_path / "config").write_text("[profile chats]\nregion = eu-west-1\n")
    (tmp_path / "credentials").write_text("[chats]\naws_access_key_id = test\naws_secret_access_key = test\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    far = command_on(far_table, engine.endpoint_url)
    assert far("list").exit_code != 0
    shown = far("list", "--profile", "chats")
    assert (shown.exit_code, shown.stdout[:1]) == (0, "s"), shown.stderr


def test_names_of_attributes(engine: TestEngine, make_table: TableFactory, dynamodb: Any) -> None:
    """Key, history and TTL under other names."""
    table = make_table("chat")
    options = {"primary_key_name": "chat", "history_messages_key": "Turns", "ttl_key_name": "dies"}
    with SessionRepository(table, endpoint_url=engine.endpoint_url, ttl=3600, **options) as sessions:
        sessions.append("s", HI)
    command = command_on(table, engine.endpoint_url)
    words = ["--primary-key-name", "chat", "--history-messages-key", "Turns", "--ttl-key-name", "dies"]
    shown = command("show", "s", *words)
    assert (shown.stdout.splitlines()[-1], "expires" in shown.stdout) == ("human: hi", True)
    for left_out in range(0, 4, 2):
        assert command("show", "s", *words[:left_out], *words[left_out + 2 :]).exit_code != 0
    assert "expires" not in command("show", "s", *words[:4]).stdout
    assert command("delete", "s", "--yes", *words).exit_code == 0
    assert dynamodb.scan(TableName=table)["Items"] == []


def test_keys_of_any_type(engine: TestEngine, make_table: TableFactory, tmp_path: Path) -> None:
    """As `list --json` names them, so can they be named: bytes, numbers with fractions."""
    table = make_table("owner:B", "number:N")
    command = command_on(table, engine.endpoint_url)
    with SessionRepository(table, endpoint_url=engine.endpoint_url) as sessions:
        for owner, number in ((b"\xff\xfe\x00", 1), (b"\xff\xfe\x00", 2)):
            sessions.append({"owner": owner, "number": number}, HI)
        listed = objects(command("list", "--json"))
        key = json.dumps({"owner": base64.b64encode(b"\xff\xfe\x00").decode(), "number": 1})
        assert command("show", key).stdout.endswith("human: hi\n")
        partition = listed[0]["session"]["owner"]
        assert len(objects(command("list", "--json", "--partition", partition))) == 2
        (tmp_path / "names").write_text("\n".join(map(json.dumps, listed)))
        deleted = command("delete", "--from-file", str(tmp_path / "names"), "--yes")
        assert deleted.stdout.startswith("delete: 2 deleted")
        assert [*sessions.list()] == []
    refused = command("show", '{"owner": "?", "number": 1}')
    assert (refused.exit_code, "base64" in refused.stderr) == (2, True)


def test_list_by_several_attributes(engine: TestEngine, make_table: TableFactory, dynamodb: Any) -> None:
    """--partition takes a JSON object, whose numbers are numbers."""
    table = make_table()
    hashes = [("tenant", "S"), ("year", "N")]
    index = {
        "IndexName": "by_tenant",
        "KeySchema": [{"AttributeName": name, "KeyType": "HASH"} for name, _ in hashes],
        "Projection": {"ProjectionType": "ALL"},
    }
    definitions = [{"AttributeName": name, "AttributeType": kind} for name, kind in (("SessionId", "S"), *hashes)]
    dynamodb.update_table(
        TableName=table, AttributeDefinitions=definitions, GlobalSecondaryIndexUpdates=[{"Create": index}]
    )
    with SessionRepository(table, endpoint_url=engine.endpoint_url) as sessions:
        for year in (2025, 2026):
            sessions.append(f"s{year}", HI, attributes={"tenant": "acme", "year": year})
    command = command_on(table, engine.endpoint_url)
    found = command("list", "--index", "by_tenant", "--partition", '{"tenant": "acme", "year": 2026}')
    assert (found.exit_code, found.stdout.split("  ")[0]) == (0, "s2026"), found.stderr
    assert "a mapping" in command("list", "--index", "by_tenant", "--partition", "acme").stderr


def test_home_region(command: Command, engine: TestEngine, table_name: str) -> None:
    """Sessions of another region are left alone, and named."""
    url = engine.endpoint_url
    with SessionRepository(table_name, endpoint_url=url, home_region="eu-central-1") as there:
        there.append("s", HI)
    left = command("delete", "s", "--yes", "--home-region", "us-east-1")
    assert (left.exit_code, "WrongRegionError" in left.stdout) == (1, True)
    assert command("delete", "s", "--yes", "--home-region", "eu-central-1").exit_code == 0


APPLICATION = """
import os
from langchain_dynamodb import AsyncSessionRepository
from langchain_dynamodb.encryption import LocalKeyring

def open_sessions():
    return AsyncSessionRepository({table!r}, endpoint_url={url!r}, history_messages_key="Turns", strict=True,
                                  encryption=LocalKeyring(b"k" * 32))

def fails():
    return os.environ["NOT_THERE"]
"""


def test_another_table_of_ones_own_repository(
    engine: TestEngine, make_table: TableFactory, table_name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """--to-table is made with its settings: endpoint, names, encryption. No option may contradict it."""
    url, other = engine.endpoint_url, make_table()
    (tmp_path / "my_encrypted_chats.py").write_text(APPLICATION.format(table=table_name, url=url))
    monkeypatch.chdir(tmp_path)
    options = {"endpoint_url": url, "history_messages_key": "Turns"}
    with SessionRepository(table_name, encryption=LocalKeyring(b"k" * 32), **options) as sessions:
        sessions.append("s", HI)
    mine = ["--repository", "my_encrypted_chats:open_sessions"]
    runner = CliRunner()
    copied = runner.invoke(cli, ["migrate", *mine, "--to-table", other, "--delete-source"])
    assert copied.exit_code == 0, copied.stderr
    with SessionRepository(other, encryption=LocalKeyring(b"k" * 32), **options) as there:
        assert there.read("s").messages == HI
    assert runner.invoke(cli, ["show", "s", "--table", other, *where(url), "--history-messages-key", "Turns"]).exit_code
    asked = runner.invoke(cli, ["delete", *mine, "--match", "*"])
    assert f"in table {table_name!r} for good?" in asked.stderr
    for wrong in (["--table", "Other"], ["--region", "eu-west-1"], ["--bucket", "chats"], ["--ttl-key-name", "dies"]):
        refused = runner.invoke(cli, ["delete", *mine, *wrong, "--match", "*", "--yes"])
        assert (refused.exit_code, f"leave out {wrong[0]}" in refused.stderr) == (2, True)
    failed = runner.invoke(cli, ["list", "--repository", "my_encrypted_chats:fails"])
    assert (failed.exit_code, "KeyError: 'NOT_THERE'" in failed.stderr) == (2, True)


def test_encrypted_sessions_stay_so(command: Command, engine: TestEngine, make_table: TableFactory, table_name: str,
                                    tmp_path: Path) -> None:  # fmt: skip
    """Back, or into another table in that format, only with --plain; another table of ours gets the same key."""
    (tmp_path / "key").write_bytes(b"k" * 32)
    key = ("--local-key-file", str(tmp_path / "key"))
    with SessionRepository(table_name, endpoint_url=engine.endpoint_url, encryption=LocalKeyring(b"k" * 32)) as mine:
        mine.append("s", HI)
    other, theirs = make_table(), make_table()
    assert command("migrate", *key, "--to-table", other).exit_code == 0
    assert command_on(other, engine.endpoint_url)("show", "s").exit_code == 1
    for words in (["--to-table", theirs], []):
        for dry_run in (["--dry-run"], []):
            refused = command("migrate", *key, "--to-format", "community", *words, *dry_run)
            assert (refused.exit_code, "--plain" in refused.stdout) == (1, True)
        assert command("migrate", *key, "--to-format", "community", *words, "--plain").exit_code == 0
    assert command_on(theirs, engine.endpoint_url)("show", "s").stdout.endswith("human: hi\n")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["migrate", "--to-region", "eu-west-1"], "--to-region is of another table: give --to-table"),
        (["migrate", "--to-endpoint-url", "http://x"], "--to-endpoint-url is of another table"),
        (["verify", "--to-bucket", "chats"], "--to-bucket is of another table"),
        (["verify", "--to-bucket-prefix", "chats/"], "--to-bucket-prefix is of another table"),
        (["migrate", "--to-table", "table", "--to-bucket-prefix", "a/"], "needs --to-bucket"),
        (["list", "--segments", "2"], "--segments 2 needs --segment, a number from 0 to 1"),
        (["verify", "--segments", "2"], "--segments 2 needs --segment, a number from 0 to 1"),
        (["delete", "--match", "", "--yes"], "--match '' must be a text that is not empty"),
        (["migrate", "--plain"], "plain is for the way back (--to-format community)"),
        (["verify", "--resume", "/dev/zero"], "/dev/zero does not say where a run has stopped"),
        (["list", "--kms-context", "a=b"], "--kms-context needs --kms-key-id"),
        (["list", "--kms-key-id", "k", "--local-key-file", __file__], "give one of them"),
        (["list", "--bucket", "chats", "--bucket-prefix", "new-"], "that end with '/'"),
        (["list", "--local-key-file", __file__], "32 bytes"),
        (["list", "--tabel", "T"], "No such option '--tabel'"),
        (["show"], "show --help tells more)"),
        (["list", "--limit", "many"], "'many' is not a valid integer"),
        (["delete"], "Name sessions, or give --from-file or --match"),
        (["--colour", "list"], "No such option '--colour'"),
        (["frobnicate"], "No such command 'frobnicate'"),
    ],
)
def test_what_cannot_be_used(command: Command, words: list[str], told: str) -> None:
    """One line, exit code 2, and nothing is done."""
    refused = command(*words)
    assert (refused.exit_code, refused.stdout, told in refused.stderr) == (2, "", True), refused.stderr
    assert refused.stderr.count("\n") == 1


def test_the_state_machine(engine: TestEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one of the page: what it hands to the handler of the page does the whole table, part by part."""
    page = Path(__file__).parents[2].joinpath("docs", "howto", "command-line.md").read_text(encoding="utf-8")
    [code] = re.findall(r"```python segments.py\n(.*?)```", page, re.DOTALL)
    names: dict[str, Any] = {"__name__": "segments"}
    exec(compile(code, "segments", "exec"), names)
    [machine] = map(json.loads, re.findall(r"```json\n(.*?)```", page, re.DOTALL))
    given = json.loads(re.search(r'`(\{"segments": .*?\})`', page)[1])  # type: ignore[index]
    parts = machine["States"][machine["StartAt"]]
    [task] = parts["ItemProcessor"]["States"].values()
    assert (parts["ItemsPath"], task["Parameters"]["Payload.$"]) == ("$.segments", "$")
    values = {"$$.Map.Item.Value": None, "States.ArrayLength($.segments)": len(given["segments"])}
    events = [
        {name.removesuffix(".$"): segment if values[path] is None else values[path]
         for name, path in parts["ItemSelector"].items()}
        for segment in given["segments"]
    ]  # fmt: skip
    if engine.endpoint_url:
        monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", engine.endpoint_url)
    with SessionRepository("SessionTable") as sessions:
        sessions.create_table()
        try:
            for i in range(6):
                sessions.append(f"s{i}", HI)
            told = [names["handler"](event, None) for event in events]
        finally:
            with closing(boto3.client("dynamodb")) as client:
                client.delete_table(TableName="SessionTable")
    assert (sum(one["sessions"] for one in told), len(told)) == (6, 4)
    assert json.dumps(told)
