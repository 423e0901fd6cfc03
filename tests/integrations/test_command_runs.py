"""Runs of the command: reports, exit codes, errors in one line, progress, pace; what a file of before becomes."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import stat
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from langchain_core.messages import HumanMessage

from command_line import Command, objects, start
from conftest import TestEngine
from langchain_dynamodb import SessionRepository
from langchain_dynamodb._dynamodb.connection import Connection
from langchain_dynamodb._dynamodb.metering import Pace
from langchain_dynamodb.cli.commands import cli
from langchain_dynamodb.cli.exits import Stopped
from langchain_dynamodb.cli.runs import run
from langchain_dynamodb.errors import ThrottledError

pytestmark = pytest.mark.any_engine

HI = [HumanMessage("hi")]


def lines_of(report: Path) -> list[Any]:
    """What a report says."""
    return [json.loads(line) for line in report.read_text().splitlines()]


# --- Reports and exports ---


def test_a_report_is_kept(command: Command, facade: SessionRepository, tmp_path: Path) -> None:
    """A second run, or a dry one, does not take its place; that of a run that was refused is none."""
    report = tmp_path / "report.jsonl"
    words = ("delete", "--match", "*", "--report", str(report))
    assert (command(*words, "--yes", "--segments", "2").exit_code, report.exists()) == (2, False)
    facade.append("s", HI)
    assert command(*words, "--yes").exit_code == 0
    filed = report.read_text()
    for more in (["--yes"], ["--dry-run"]):
        refused = command(*words, *more)
        assert (refused.exit_code, "is there already" in refused.stderr) == (2, True)
    assert (report.read_text(), stat.S_IMODE(report.stat().st_mode)) == (filed, 0o600)


def test_a_report_after_an_error(
    command: Command, facade: SessionRepository, tmp_path: Path, dynamodb: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It names all that was deleted before the run ended; the same command adds the rest."""
    for i in range(12):
        facade.append(f"ann/{i:02}", HI)
    call, failed = Connection.call, []

    async def fails(self: Any, operation: str, request: Any, **options: Any) -> Any:
        if operation == "delete_item" and not failed:
            failed.append(operation)
            await asyncio.sleep(0.5)
            raise ThrottledError("slow down", code="ThrottlingException")
        return await call(self, operation, request, **options)

    monkeypatch.setattr(Connection, "call", fails)
    report = tmp_path / "report.jsonl"
    words = ("delete", "--match", "ann/*", "--yes", "--report", str(report), "--resume", str(tmp_path / "resume"))
    assert command(*words).exit_code == 3
    left = {item["SessionId"]["S"] for item in dynamodb.scan(TableName=facade.table_name)["Items"]}
    gone = {f"ann/{i:02}" for i in range(12)} - left
    assert ({one["session"] for one in lines_of(report)}, len(gone)) == (gone, 11)
    assert command(*words).exit_code == 0
    *each, summary = lines_of(report)
    assert (len({one["session"] for one in each}), summary["actions"]) == (12, {"deleted": 12})


def test_an_export_that_is_gone(command: Command, facade: SessionRepository, tmp_path: Path) -> None:
    """What was in it would be missing: the run is not gone on with. An export is its owner's alone."""
    facade.append("s", HI)
    output, resume = tmp_path / "out.jsonl", tmp_path / "resume"
    words = ("export", "--output", str(output), "--resume", str(resume))
    assert command(*words).exit_code == 0
    assert stat.S_IMODE(output.stat().st_mode) == 0o600
    output.unlink()
    resume.write_text("{}")
    refused = command(*words)
    assert (refused.exit_code, "remove" in refused.stderr, output.exists()) == (2, True, False)


def test_exports_of_before(command: Command, facade: SessionRepository, tmp_path: Path) -> None:
    """None is written over, and a run that is refused leaves no file."""
    output = tmp_path / "out.jsonl"
    assert command("export", "--table", "no-such-table", "--output", str(output)).exit_code == 3
    assert not output.exists()
    for _ in range(2):  # the file of an export of nothing is no export of before
        assert command("export", "--output", str(output)).exit_code == 0
        assert output.read_bytes() == b""
    facade.append("s", HI)
    assert command("export", "--output", str(output)).exit_code == 0
    before = output.read_bytes()
    for table in (facade.table_name, "no-such-table"):
        refused = command("export", "--table", table, "--output", str(output))
        assert (refused.exit_code, "is there already" in refused.stderr) == (2, True)
    assert output.read_bytes() == before
    assert command("export", "--output", "/dev/null").exit_code == 0
    same = tmp_path / "same"
    refused = command("export", "--output", str(same), "--resume", str(same))
    assert (refused.exit_code, "give two files" in refused.stderr, same.exists()) == (2, True, False)


# --- Exit codes ---


def test_exit_codes(command: Command, facade: SessionRepository, dynamodb: Any) -> None:
    """Those that --help tells: 1 for a session that is missing or damaged."""
    for words in (["delete", "nobody", "--yes"], ["show", "nobody"], ["copy", "nobody", "x"], ["repair", "nobody"]):
        assert command(*words).exit_code == 1
    facade.append("bad", HI)
    dynamodb.update_item(
        TableName=facade.table_name,
        Key={"SessionId": {"S": "bad"}},
        UpdateExpression="SET History = :x",
        ExpressionAttributeValues={":x": {"L": [{"B": b"nonsense"}]}},
    )
    for words in (["show", "bad"], ["copy", "bad", "x"], ["repair", "bad"]):
        ended = command(*words)
        assert (ended.exit_code, "Traceback" in ended.stderr) == (1, False)
    assert "--drop-undecodable" in command("repair", "bad").stdout


@pytest.mark.once
def test_who_says_no(engine: TestEngine, table_name: str, facade: SessionRepository) -> None:
    """Nothing is deleted, and the exit code says that it was stopped; the question names the table."""
    facade.append("s", HI)
    here, there = pty.openpty()
    asked = start(table_name, engine.endpoint_url, "delete", "s", stdin=there)
    os.close(there)
    os.write(here, b"n\n")
    _, errors = asked.communicate(timeout=60)
    os.close(here)
    assert (asked.returncode, repr(table_name) in errors, "Nothing was done." in errors) == (130, True, True)
    assert facade.read("s").version


# --- Errors ---


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["export", "--output", "/no/such/folder/x"], "/no/such/folder/x"),
        (["delete", "s", "--yes", "--report", "/no/such/folder/x"], "/no/such/folder/x"),
        (["delete", "s", "--yes", "--resume", "/no/such/folder/x"], "/no/such/folder is no folder to write to"),
        (["delete", "--yes", "--from-file", "{no_text}"], "no_text is no text in UTF-8"),
        (["delete", "--yes", "--from-file", "{empty}"], "empty names no session"),
        (["delete", "--yes", "--from-file", "{cut}"], "is no whole JSON object"),
        (["import", "{numbers}"], "session 5 must be a text"),
        (["show", '{{"SessionId": "s'], "is no whole JSON object"),
    ],
)
def test_errors_of_files(
    command: Command, facade: SessionRepository, tmp_path: Path, words: list[str], told: str
) -> None:
    """One line, exit code 2, no traceback; nothing is deleted."""
    facade.append("s", HI)
    files = {"empty": b"\n", "no_text": b"\xff\xfes\n", "cut": b'{"session": "s", "ver\n'}
    files["numbers"] = b'{"langchain_dynamodb":1,"session":5,"version":1,"messages":[]}\n'
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    ended = command(*(word.format(**{name: tmp_path / name for name in files}) for word in words))
    assert (ended.exit_code, told in ended.stderr) == (2, True), (ended.stderr, ended.exception)
    assert facade.read("s").version


@pytest.mark.once
@pytest.mark.parametrize("words", [["export"], ["list", "--json"], ["verify", "-v"], ["show", "s0"], ["doctor"]])
def test_who_reads_no_more(engine: TestEngine, table_name: str, facade: SessionRepository, words: list[str]) -> None:
    """As `| head` does: it ends with exit code 1 and without a word."""
    for i in range(3):
        facade.append(f"s{i}", HI)
    reader, writer = os.pipe()
    process = start(table_name, engine.endpoint_url, *words, stdout=writer)
    os.close(reader)
    os.close(writer)
    assert (process.communicate(timeout=60)[1], process.returncode) == ("", 1)


def test_what_would_steer_a_terminal(command: Command, facade: SessionRepository) -> None:
    """It is written out, and so are halves of characters; a session is one line."""
    facade.append("a\x1b[2J\nb", [HumanMessage("red \x1b[31m, half \ud800, two\nlines")])
    assert command("list").stdout.startswith("a\\x1b[2J\\nb  1 messages")
    assert command("show", "a\x1b[2J\nb").stdout.endswith("human: red \\x1b[31m, half \ufffd, two\nlines\n")
    [told] = objects(command("show", "--json", "a\x1b[2J\nb"))
    assert told["messages"][0]["content"].startswith("red \x1b[31m, half \ufffd")
    assert command("delete", "-y", "-v", "a\x1b[2J\nb").stdout.startswith("a\\x1b[2J\\nb  deleted")


@pytest.mark.parametrize("how_far", [".", " after 2 sessions. By a file."])
def test_how_far_a_stopped_run_came(how_far: str) -> None:
    """It is told with the stop."""

    async def stopped() -> None:
        raise asyncio.CancelledError

    with pytest.raises(Stopped) as told:
        run(stopped, lambda: how_far)
    assert str(told.value) == f"Stopped{how_far}"


# --- As a process ---


@pytest.mark.once
def test_progress_on_a_terminal(engine: TestEngine, table_name: str, facade: SessionRepository) -> None:
    """It is on standard error where that is a terminal, also while nothing is found; results are not there."""
    for i in range(20):
        facade.append(f"s{i}", HI)
    here, there = pty.openpty()
    looking = start(table_name, engine.endpoint_url, "verify", stderr=there)
    os.close(there)
    seen = b""
    while True:
        try:
            if not (read := os.read(here, 4096)):
                break
        except OSError:  # the other end is closed
            break
        seen += read
    told, _ = looking.communicate(timeout=60)
    os.close(here)
    assert (looking.returncode, told.startswith("verify: 20 verified"), b"verify:" in seen) == (0, True, False)
    assert b" sessions, " in seen
    assert b"read units" in seen


def test_the_pace(command: Command, facade: SessionRepository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """--max-write-units holds for a command, and for a copy of one session."""
    facade.append("s", HI)
    files = tmp_path / "out.jsonl"
    assert command("export", "--output", str(files)).exit_code == 0
    line = files.read_text()
    files.write_text("".join(line.replace('"s"', f'"s{i}"') for i in range(8)))
    [*_, summary] = objects(command("import", "--json", str(files), "--max-write-units", "10"))
    assert summary["seconds"] > 0.3
    paces: list[float | None] = []

    async def turn(pace: Pace) -> None:
        paces.append(pace.units)

    monkeypatch.setattr(Pace, "turn", turn)
    assert command("copy", "s", "x", "--max-write-units", "10").exit_code == 0
    assert {*paces} == {10}
    for words in (["copy", "s", "y"], ["delete", "x", "--yes"]):
        refused = command(*words, "--max-write-units", "nan")
        assert (refused.exit_code, "--max-write-units nan" in refused.stderr) == (2, True)


def test_what_help_says_of_codes() -> None:
    """That of a closed pipe and of a "no" too."""
    told = CliRunner().invoke(cli, ["--help"]).stdout
    assert ('"no"' in told, "reads the output" in told) == (True, True)
