"""The command `langchain-dynamodb`: what it prints, how it ends, how it is stopped."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import boto3
import pytest
from click.testing import CliRunner
from langchain_core.messages import AIMessage, HumanMessage

from aws_server import run_service
from command_line import Command, objects, start
from community_support import Theirs
from conftest import TableFactory, TestEngine
from langchain_dynamodb import CapacityMeter, SessionRepository
from langchain_dynamodb.admin import Outcome, Progress, Summary
from langchain_dynamodb.blobs import S3Blobs
from langchain_dynamodb.cli import main
from langchain_dynamodb.cli.commands import cli
from langchain_dynamodb.cli.names import parse_session, read_names
from langchain_dynamodb.cli.screen import error_line, progress_line, summary_line
from langchain_dynamodb.encryption import LocalKeyring
from langchain_dynamodb.errors import InvalidInputError

PROGRAMS = ["python -m langchain_dynamodb.local", "python -m langchain_dynamodb.cost"]  # beside the command
pytestmark = [pytest.mark.filterwarnings("ignore:`langchain-community` is being sunset"), pytest.mark.any_engine]


def test_list(command: Command, facade: SessionRepository) -> None:
    """A line for each; with --json an object, of which a file can be made for --from-file."""
    for name in ("a1", "a2", "b1"):
        facade.append(name, [HumanMessage("hi")])
    result = command("list")
    assert (result.exit_code, sorted(line.split("  ")[:2] for line in result.stdout.splitlines())) == (
        0, [["a1", "1 messages"], ["a2", "1 messages"], ["b1", "1 messages"]]
    )  # fmt: skip
    assert sorted(told["session"] for told in objects(command("list", "--json", "--match", "a*"))) == ["a1", "a2"]
    assert len(objects(command("list", "--json", "--limit", "2"))) == 2
    parts = [command("list", "--json", "--segments", "3", "--segment", str(i)) for i in range(3)]
    assert sorted(told["session"] for part in parts for told in objects(part)) == ["a1", "a2", "b1"]


def test_show(command: Command, facade: SessionRepository) -> None:
    """Numbers, metadata and messages; exit code 1 and one line where there is none."""
    facade.append("s", [HumanMessage("hi"), AIMessage("whats up?")])
    facade.update_metadata("s", {"title": "Greeting"})
    lines = command("show", "s").stdout.splitlines()
    assert lines[1:] == ["metadata {'title': 'Greeting'}", "human: hi", "ai: whats up?"]
    [told] = objects(command("show", "s", "--json", "--limit", "1"))
    assert [message["content"] for message in told["messages"]] == ["whats up?"]
    missing = command("show", "nobody")
    assert (missing.exit_code, missing.stdout, len(missing.stderr.splitlines())) == (1, "", 1)


def test_export_and_import(command: Command, facade: SessionRepository, tmp_path: Path) -> None:
    """To a file or a pipe, and back; a dry run tells the cost and writes nothing."""
    for name in ("a", "b"):
        facade.append(name, [HumanMessage("hi", id=name)])
    file = tmp_path / "out.jsonl"
    done = command("export", "--output", str(file))
    assert (done.exit_code, done.stdout.startswith("export: 2 exported; 2 messages;")) == (0, True)
    piped = command("export", "a")
    assert ([line.split('"')[5] for line in piped.stdout.splitlines()], piped.stderr[:18]) == (
        ["a"],
        "export: 1 exported",
    )
    for name in ("a", "b"):
        facade.delete(name)
    dry = command("import", str(file), "--dry-run")
    assert "would take 2 write units" in dry.stdout
    assert [*facade.list()] == []
    assert objects(command("import", str(file), "--json"))[-1]["actions"] == {"imported": 2}
    assert command("import", str(file)).stdout.startswith("import: 2 unchanged")
    facade.replace("b", [HumanMessage("other")])
    differs = command("import", str(file))
    assert (differs.exit_code, differs.stdout.splitlines()[0].split("  ")[:2]) == (1, ["b", "different"])
    assert command("verify", "--against", str(file)).exit_code == 1


def test_delete(command: Command, facade: SessionRepository, tmp_path: Path) -> None:
    """By name, by file or by pattern; with a report to file. Nobody is asked who cannot answer."""
    for name in ("a", "b", "c", "ann/1", "ann/2"):
        facade.append(name, [HumanMessage("hi")])
    refused = command("delete", "a")
    assert (refused.exit_code, "give --yes" in refused.stderr, facade.read("a").version > 0) == (2, True, True)
    assert command("delete").exit_code == 2
    assert "would take" in command("delete", "a", "--dry-run").stdout
    names, report = tmp_path / "names", tmp_path / "report.jsonl"
    names.write_text('a\n{"session": "b", "version": 1}\n\n')
    assert command("delete", "--from-file", str(names), "--yes", "--report", str(report)).exit_code == 0
    told = [json.loads(line) for line in report.read_text().splitlines()]
    assert {(one.get("session"), one.get("action")) for one in told[:2]} == {("a", "deleted"), ("b", "deleted")}
    assert told[2]["actions"] == {"deleted": 2}
    assert command("delete", "--match", "ann/*", "-y", "-v").stdout.count("  deleted  1 messages") == 2
    assert [summary.session for summary in facade.list()] == ["c"]


def test_doctor(command: Command) -> None:
    """A line for each thing; exit code 1 where something is bad."""
    good = command("doctor")
    assert (good.exit_code, any(line.startswith("good     rights: ") for line in good.stdout.splitlines())) == (0, True)
    assert {told["name"] for told in objects(command("doctor", "--json"))} >= {"table", "keys", "rights", "versions"}


def test_verify(command: Command, facade: SessionRepository, dynamodb: Any) -> None:
    """Exit code 1 where a session is damaged, naming it."""
    facade.append("good", [HumanMessage("hi")])
    assert command("verify").exit_code == 0
    facade.append("bad", [HumanMessage("hi")])
    dynamodb.update_item(
        TableName=facade.table_name,
        Key={"SessionId": {"S": "bad"}},
        UpdateExpression="SET History = :x",
        ExpressionAttributeValues={":x": {"L": [{"B": b"nonsense"}]}},
    )
    found = command("verify")
    assert (found.exit_code, found.stdout.splitlines()[0].split("  ")[:2]) == (1, ["bad", "damaged"])


def test_encrypted(command: Command, engine: TestEngine, table_name: str, tmp_path: Path) -> None:
    """With the key in a file, or with the application's own function."""
    key = os.urandom(32)
    (tmp_path / "key").write_bytes(key)
    with SessionRepository(table_name, endpoint_url=engine.endpoint_url, encryption=LocalKeyring(key)) as encrypting:
        encrypting.append("s", [HumanMessage("secret")])
    assert command("show", "s").exit_code == 1
    assert command("show", "s", "--local-key-file", str(tmp_path / "key")).stdout.endswith("human: secret\n")


def test_the_applications_own_repository(
    facade: SessionRepository, engine: TestEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A function that makes it, in place of the options; what cannot be called is named."""
    facade.append("s", [HumanMessage("hi")])
    (tmp_path / "my_chats.py").write_text(
        "from langchain_dynamodb import AsyncSessionRepository\n"
        f"def open_sessions(): return AsyncSessionRepository({facade.table_name!r}, "
        f"endpoint_url={engine.endpoint_url!r})\nnothing = lambda: None\n"
    )
    monkeypatch.chdir(tmp_path)
    runner = CliRunner()
    assert runner.invoke(cli, ["show", "s", "--repository", "my_chats:open_sessions"]).stdout.endswith("human: hi\n")
    for wrong in ("my_chats:nothing", "my_chats:none", "no_such_module:x"):
        refused = runner.invoke(cli, ["show", "s", "--repository", wrong])
        assert (refused.exit_code, wrong in refused.stderr) == (2, True)


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["list"], 2, "Missing option '--table'"),
        (["list", "--table", "no-such-table"], 3, "There is no table 'no-such-table'"),
        (["list", "--table", "no-such-table"], 3, "Check --table, --region and --endpoint-url, or create it"),
        (["list", "--table", "x"], 2, "--table 'x' must be"),
        (["list", "--table", "table", "--profile", "no-such-profile"], 2, "no-such-profile"),
        (["export", "--table", "table", "--resume", "file"], 2, "--resume needs --output"),
        (["verify", "--table", "table", "--segments", "2", "--segment", "2"], 2, "--segment 2 must be"),
        (["show", "--table", "table", "s", "--kms-key-id", "k", "--kms-context", "x"], 2, "NAME=VALUE"),
        (["cost", "--turns", "0"], 2, "must be a whole number"),
        (["cost", "--turns", "0"], 2, "langchain-dynamodb cost: error"),
        (["reencrypt", "--table", "table"], 2, "Give the key: --kms-key-id, --local-key-file"),
    ],
)
def test_errors(engine: TestEngine, words: list[str], code: int, told: str) -> None:
    """One line on standard error (usage errors say which command, too), and the exit code that --help tells."""
    where = ["--endpoint-url", engine.endpoint_url] if engine.endpoint_url and words[0] != "cost" else []
    result = CliRunner().invoke(cli, [*words, *where])
    assert (result.exit_code, result.stdout, told in result.stderr) == (code, "", True), result.stderr
    assert "Traceback" not in result.stderr


def test_help() -> None:
    """It says the exit codes, and what else there is; every command has a help of its own."""
    told = CliRunner().invoke(cli, ["--help"]).stdout
    assert "130  stopped: by Ctrl+C" in told
    assert all(program in told for program in PROGRAMS)
    for name in cli.commands:
        result = CliRunner().invoke(cli, [name, "--help"])
        assert (result.exit_code, "usage" in result.stdout.lower()) == (0, True)


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """What is missing and how to get it, and what can be run without it: modules that are there."""
    monkeypatch.setattr("langchain_dynamodb.cli.find_spec", lambda name: None)
    assert main(["doctor"]) == 2
    told = capsys.readouterr().err
    assert [word in told for word in ("click and rich", "[cli]", *PROGRAMS)] == [True] * 4
    assert [find_spec(program.rpartition(" ")[2]) is None for program in PROGRAMS] == [False] * 2


def test_cost() -> None:
    """The calculator, as it is."""
    assert "1 sessions of 5 turns" in CliRunner().invoke(cli, ["cost", "--turns", "5"]).stdout


def test_names(tmp_path: Path) -> None:
    """An id, a whole key as JSON, or a line of `list --json`; what begins as JSON and is none is refused."""
    assert [*map(parse_session, ("s", '{"PK": "a", "SK": 1}', " {x", "{}"))] == ["s", {"PK": "a", "SK": 1}, " {x", {}]
    file = tmp_path / "names"
    file.write_bytes('s\n{"session": {"PK": "a"}, "version": 1}\r\n\n{"session": "b"}\nw \nu\u2028v\x85\n'.encode())
    assert [*read_names(file)] == ["s", {"PK": "a"}, {"session": "b"}, "w ", "u\u2028v\x85"]
    file.write_text('s\n{"session": "a", "ver\n')
    with pytest.raises(InvalidInputError, match="is no whole JSON object"):
        [*read_names(file)]


@pytest.mark.parametrize(
    ("of_a_function", "of_the_command"),
    [
        ("region_name='x' must be", "--region 'x' must be"),
        ("to= is the table itself", "--to-table is the table itself"),
        ("source_format='x' needs to=, and", "--from-format 'x' needs --to-table, and"),
        ("was written with another history_messages_key: set history_messages_key='H', here",
         "was written with another --history-messages-key: set --history-messages-key 'H', here"),
        ("(at this region or endpoint_url?)", "(at this region or --endpoint-url?)"),
        ("make the repository with encryption=, nothing was done",
         "make the repository with --kms-key-id or --local-key-file, nothing was done"),
        ("or pass aws_session=; a", "or pass --profile; a"),
        ("session 'to=x', attribute 'table_name', https://x/?to=5, back to the table", None),
    ],
)  # fmt: skip
def test_names_of_options(of_a_function: str, of_the_command: str | None) -> None:
    """An error names options, where that of a function names its arguments; what is quoted stays."""
    assert error_line(of_a_function) == (of_the_command or of_a_function)


def test_what_is_told() -> None:
    """Rate, units and time left while it is on; what it was and what it cost in the end."""
    progress = Progress(sessions=50, scanned=100, items=300, read_units=5, write_units=1200, seconds=10)
    assert progress_line(progress) == "50 sessions, 5.0/s, 1,200 write units, 5 read units, 0:00:20 left"
    assert progress_line(Progress(0, 0, None, 0, 0, 0)) == "0 sessions, 0.0/s, 0 write units, 0 read units"
    summary = Summary(command="x", table="t", actions={"deleted": 2}, messages=3, write_units=1e6, seconds=1)
    assert summary_line(summary) == (
        "x: 2 deleted; 3 messages; 1,000,000 write units, 0.0 read units ($0.6250 on demand); 1.0 s"
    )
    assert Outcome(session={"k": b"\xff"}, action="failed").model_dump_json(exclude_none=True) == (
        '{"session":{"k":"_w=="},"action":"failed"}'
    )


def test_migrate(
    command: Command, facade: SessionRepository, engine: TestEngine, make_table: TableFactory, table_name: str
) -> None:
    """In place, there and back; into another table; a dry run first."""
    theirs = Theirs(table_name, "s", endpoint_url=engine.endpoint_url)
    theirs.add_messages([HumanMessage("hi"), AIMessage("whats up?")])
    assert "1 converted; 2 messages; would take 1 write units" in command("migrate", "--dry-run").stdout
    assert [summary.version for summary in facade.list()] == [None]
    assert command("migrate").stdout.startswith("migrate: 1 converted; 2 messages")
    assert command("migrate").stdout.startswith("migrate: 1 unchanged")
    other = make_table()
    assert command("migrate", "--to-table", other).stdout.startswith("migrate: 1 copied")
    assert command("verify", "--to-table", other).exit_code == 0
    assert command("migrate", "--to-format", "community").stdout.startswith("migrate: 1 reverted")
    assert [message.text for message in theirs.messages] == ["hi", "whats up?"]
    moved = command("migrate", "--to-table", other, "--delete-source", "-v")
    assert ("s  unchanged" in moved.stdout, [*facade.list()]) == (True, [])
    assert command("migrate", "--delete-source").exit_code == 2


def test_migrate_from_javascript(
    command: Command, facade: SessionRepository, engine: TestEngine, make_table: TableFactory, dynamodb: Any
) -> None:
    """The names of the other library's table are its usual ones, those of the new table ours."""
    theirs = make_table("id")
    message = {"M": {"type": {"S": "human"}, "text": {"S": "hi"}, "additional_kwargs": {"S": "{}"}}}
    dynamodb.put_item(TableName=theirs, Item={"id": {"S": "js"}, "messages": {"L": [message]}})
    where = ["--endpoint-url", engine.endpoint_url] if engine.endpoint_url else []
    words = ["migrate", "--table", theirs, *where, "--from-format", "javascript"]
    assert CliRunner().invoke(cli, words).exit_code == 2
    done = CliRunner().invoke(cli, [*words, "--to-table", facade.table_name])
    assert (done.exit_code, [message.text for message in facade.read("js").messages]) == (0, ["hi"])


def test_migrate_from_javascript_with_names_of_ours(
    command: Command, facade: SessionRepository, make_table: TableFactory, dynamodb: Any
) -> None:
    """Names that are given hold, though they be this package's usual ones."""
    message = {"M": {"type": {"S": "human"}, "text": {"S": "hi"}, "additional_kwargs": {"S": "{}"}}}
    key = {"SessionId": {"S": "js"}}
    dynamodb.put_item(TableName=facade.table_name, Item={**key, "History": {"L": [message]}})
    names = ["--primary-key-name", "SessionId", "--history-messages-key", "History"]
    done = command("migrate", "--from-format", "javascript", *names, "--to-table", make_table())
    assert done.stdout.startswith("migrate: 1 copied; 1 messages")


def test_copy(command: Command, facade: SessionRepository) -> None:
    """All messages, or the first ones; one line and exit code 1 where there is none, or one already."""
    facade.append("a", [HumanMessage("hi"), AIMessage("whats up?")])
    facade.update_metadata("a", {"title": "Greeting"})
    dry = command("copy", "a", "b", "--dry-run")
    assert (dry.exit_code, dry.stdout) == (0, "b  copied  2 messages, 1 write units\n")
    assert [summary.session for summary in facade.list()] == ["a"]
    assert command("copy", "a", "b", "--keep", "1").stdout == "b  copied  1 messages\n"
    chat = facade.read("b")
    assert ([message.text for message in chat.messages], chat.metadata) == (["hi"], {"title": "Greeting"})
    assert objects(command("copy", "a", "c", "--json")) == [{"session": "c", "action": "copied", "messages": 2}]
    for words in (["a", "b"], ["nobody", "d"]):
        for dry_run in ([], ["--dry-run"]):
            refused = command("copy", *words, *dry_run)
            assert (refused.exit_code, refused.stdout, len(refused.stderr.splitlines())) == (1, "", 1)
            assert (
                f"there is {'a' if words[0] == 'a' else 'no'} session SessionId={words[words[0] == 'a']!r}"
                in refused.stderr
            )
    assert command("copy", "a").exit_code == 2


@pytest.mark.dynamodb_local_only
def test_what_a_copy_takes(command: Command, facade: SessionRepository, table_name: str, engine: TestEngine) -> None:
    """A dry run foretells the write units, about."""
    for _ in range(20):
        facade.append("a", [HumanMessage(os.urandom(1000).hex())])
    [foretold] = objects(command("copy", "a", "b", "--dry-run", "--json"))
    meter = CapacityMeter()
    with SessionRepository(table_name, endpoint_url=engine.endpoint_url, observers=[meter]) as metered:
        metered.copy("a", "b")
    [total] = meter.totals().values()
    assert total.write_units == pytest.approx(foretold["write_units"], rel=0.1)


@pytest.fixture(scope="module")
def s3(aws_environment: None) -> Iterator[Any]:
    """A client of S3."""
    with run_service("s3") as url:
        client = boto3.client("s3", endpoint_url=url)
        yield client
        client.close()


@pytest.mark.once
def test_a_bucket(
    command: Command,
    facade: SessionRepository,
    engine: TestEngine,
    s3: Any,
    monkeypatch: pytest.MonkeyPatch,
    make_table: TableFactory,
) -> None:
    """Large data is looked at, moved and removed with its session; a deletion says how much was removed."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3.meta.endpoint_url)
    s3.create_bucket(Bucket="chats")
    where, message = ("--bucket", "chats", "--bucket-prefix", "one/"), HumanMessage(os.urandom(200_000).hex())
    table, url = facade.table_name, engine.endpoint_url
    with SessionRepository(table, endpoint_url=url, blobs=S3Blobs("chats", "one/")) as large:
        for name in ("ann/1", "bob/1"):
            large.append(name, [message])

    def names() -> list[list[str]]:
        return [found["Key"].split("/")[:3:2] for found in s3.list_objects_v2(Bucket="chats").get("Contents", [])]

    assert "good     bucket chats" in command("doctor", *where).stdout
    assert command("doctor", "--bucket", "nothing").exit_code == 1
    assert command("verify", *where).exit_code == 0
    assert command("verify").exit_code == 1
    other = make_table()
    there = ("--to-table", other, "--to-bucket", "chats", "--to-bucket-prefix", "two/")
    assert command("migrate", *where, *there).exit_code == 0
    assert command("verify", *where, *there).exit_code == 0
    assert sorted(names()) == [["one", "ann!2F1"], ["one", "bob!2F1"], ["two", "ann!2F1"], ["two", "bob!2F1"]]
    left = command("delete", "ann/1", "--yes")
    assert (left.exit_code, "bucket 'chats'" in left.stdout) == (1, True)
    foretold = command("delete", *where, "--match", "ann/*", "--dry-run")
    done = command("delete", *where, "--match", "ann/*", "--yes", "--json")
    assert ("1 messages, 1 objects;" in foretold.stdout, [told["objects"] for told in objects(done)]) == (True, [1, 1])
    assert sorted(names()) == [["one", "bob!2F1"], ["two", "ann!2F1"], ["two", "bob!2F1"]]
    assert command("show", "--bucket-prefix", "one/", "bob/1").exit_code == 2


def test_repair_and_vacuum(command: Command, facade: SessionRepository, dynamodb: Any, table_name: str) -> None:
    """What was given up is told; what is of no session goes."""
    facade.append("s", [HumanMessage("hi")])
    dynamodb.update_item(
        TableName=table_name,
        Key={"SessionId": {"S": "s"}},
        UpdateExpression="SET History = list_append(History, :x)",
        ExpressionAttributeValues={":x": {"L": [{"M": {"stray": {"S": "x"}}}]}},
    )
    assert (command("repair").exit_code, command("verify").exit_code) == (2, 1)
    assert command("repair", "s", "--dry-run").stdout.startswith("s  repaired  ")
    assert command("repair", "s").stdout.startswith("s  repaired  1 taken out\nrepair: 1 repaired")
    assert (command("verify").exit_code, command("repair", "nobody").exit_code) == (0, 1)
    page = {"SessionId": {"S": "lost~lc~00000000000001~00000000"}, "lc_cut": {"N": "1"}}
    dynamodb.put_item(TableName=table_name, Item=page)
    assert command("vacuum", "--dry-run", "-v").stdout.startswith("lost  removed  1 pages, 1 write units")
    assert command("vacuum").stdout.startswith("vacuum: 1 removed")
    assert command("vacuum").stdout.startswith("vacuum: nothing to do")


def test_reencrypt(command: Command, facade: SessionRepository, tmp_path: Path) -> None:
    """Under another key, or none."""
    facade.append("s", [HumanMessage("hi")])
    (tmp_path / "key").write_bytes(os.urandom(32))
    key = ("--local-key-file", str(tmp_path / "key"))
    assert command("reencrypt").exit_code == 2
    assert command("reencrypt", *key).stdout.startswith("reencrypt: 1 reencrypted")
    assert command("show", "s").exit_code == 1
    assert command("reencrypt", *key).stdout.startswith("reencrypt: 1 unchanged")
    assert command("reencrypt", *key, "--plain").stdout.startswith("reencrypt: 1 reencrypted")
    assert command("show", "s").stdout.endswith("human: hi\n")


# --- As a process ---


@pytest.mark.once
def test_a_process(engine: TestEngine, table_name: str, facade: SessionRepository) -> None:
    """Exit codes reach the shell; nothing but results goes to standard output."""
    facade.append("s", [HumanMessage("hi")])
    shown, missing = (start(table_name, engine.endpoint_url, "show", name) for name in ("s", "nobody"))
    told, errors = shown.communicate()
    assert (shown.returncode, told.splitlines()[-1], errors) == (0, "human: hi", "")
    assert (missing.communicate()[0], missing.returncode) == ("", 1)


@pytest.mark.once
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped(
    engine: TestEngine, table_name: str, facade: SessionRepository, tmp_path: Path, number: signal.Signals
) -> None:
    """The session that was begun is finished, the file says how far it is, and the same command does the rest."""
    for i in range(30):
        facade.append(f"s{i:02}", [HumanMessage("hi")])
    file, resume = tmp_path / "out.jsonl", tmp_path / "resume"
    with file.open("wb") as output:
        exporting = start(table_name, engine.endpoint_url, "export", stdout=output, text=False)
        exporting.communicate()
        assert exporting.returncode == 0
    for i in range(30):
        facade.delete(f"s{i:02}")
    words = ("import", str(file), "--resume", str(resume), "--json", "--at-once", "1")
    stopped = start(table_name, engine.endpoint_url, *words, "--max-write-units", "20")
    assert stopped.stdout is not None
    first = stopped.stdout.readline()
    stopped.send_signal(number)
    told, errors = stopped.communicate(timeout=60)
    done = 1 + len(told.splitlines())
    assert stopped.returncode == 130
    last = errors.splitlines()[-1]
    assert last.startswith(f"Error: Stopped after {done} sessions, ")
    assert f" read units. The same command goes on from here (--resume {resume})." in last
    assert json.loads(first)["action"] == "imported"
    assert json.loads(resume.read_text())["actions"] == {"imported": done}
    going_on = start(table_name, engine.endpoint_url, *words, "--max-write-units", "10000")
    told, errors = going_on.communicate(timeout=60)
    assert (going_on.returncode, len(told.splitlines()), errors) == (0, 30 - done + 1, "")
    assert (len([*facade.list()]), resume.exists()) == (30, False)
