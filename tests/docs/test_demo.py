"""The demo shows what it says, on both engines, and needs nothing of the user's."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

DEMO = Path(__file__).parents[2] / "docs" / "examples" / "demo"


def run_demo(*arguments: str, said: str = "") -> str:
    """Run the demo and return what it prints; it must end well and complain about nothing."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "OPENAI_"))}
    environment["PYTHONUTF8"] = "1"
    run = subprocess.run(
        [sys.executable, str(DEMO), *arguments],
        input=said,
        env=environment,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert (run.returncode, run.stderr) == (0, ""), run.stdout
    return run.stdout


def results(output: str, title: str) -> dict[str, str]:
    """Return what a step printed for each library."""
    step = output.partition(title)[2].partition("·")[0]
    return dict(re.findall(r"→ (langchain\S+) +(.*)", step))


@pytest.fixture(scope="module")
def tour() -> str:
    """What the demo prints on moto."""
    return run_demo()


@pytest.mark.once
def test_it_walks_through_the_page(tour: str) -> None:
    """All steps are taken, in order, and the chain remembers."""
    assert re.findall(r"^\d+", tour, re.MULTILINE) == [str(number) for number in range(1, 12)]
    assert "[HumanMessage('hi!'), AIMessage('whats up?')]" in tour
    assert "['Hello Bob!', 'Your name is Bob.']" in tour


@pytest.mark.once
def test_it_loses_nothing_where_langchain_community_does(tour: str) -> None:
    """Both libraries are run for real: only ours keeps all 20 messages."""
    kept = results(tour, "Let 20 writers write at once")
    assert kept["langchain-dynamodb"] == "20 of 20 messages kept"
    assert kept["langchain_community"] != kept["langchain-dynamodb"]


@pytest.mark.once
def test_it_goes_beyond_400_kb(tour: str) -> None:
    """What is stored is larger than an item can be, and is read, appended to and windowed."""
    grown = results(tour, "Grow a session")
    assert grown["langchain-dynamodb"] == "1,000 of 1,000 messages kept"
    assert "refused" in grown["langchain_community"]
    (stored,) = re.findall(r"([\d,]+) B altogether", tour)
    assert int(stored.replace(",", "")) > 400 * 1024
    assert results(tour, "Append one turn")["langchain-dynamodb"] == "now 1,002 messages"
    assert results(tour, "Read all of it")["langchain-dynamodb"] == "1,002 messages"
    assert results(tour, "Read its newest 20 messages") == {
        "langchain-dynamodb": "20 messages",
        "langchain_community": results(tour, "Read all of it")["langchain_community"],
    }


@pytest.mark.once
def test_it_ends_with_the_command_line(tour: str) -> None:
    """It shows the same sessions, and nothing is bad."""
    told = tour.partition("On the command line")[2]
    assert "$ langchain-dynamodb list --table SessionTable" in told
    assert re.search(r"^ +long +1,?002 messages", told, re.MULTILINE)
    assert (re.search(r"^ +good +rights: all 8 calls are allowed", told, re.MULTILINE) is None, "bad " in told) == (
        False,
        False,
    )


@pytest.mark.once
def test_moto_prints_no_costs(tour: str) -> None:
    """What moto reports of capacity is made up."""
    assert "units" not in tour


@pytest.mark.dynamodb_local_only
def test_dynamodb_local_prints_costs_and_goes_on(tmp_path: Path) -> None:
    """The second run finds what the first one left; a turn at the end of a long session costs ours next to nothing."""
    arguments = ("--engine", "dynamodb-local", "--data", str(tmp_path / "data"))
    first, second = run_demo(*arguments), run_demo(*arguments)
    assert "an earlier run" not in first
    assert "session 'long'       goes on after 1,002 messages of an earlier run" in second
    for output in (first, second):
        ((ours, theirs),) = re.findall(r"Append one turn to it +│ +(\d+) / .* │ +(\d+) / ", output)
        assert int(ours) <= 4
        assert int(theirs) > 300


@pytest.mark.once
def test_chat_through_a_pipe() -> None:
    """Lines are answered with what was said before in mind, until the input ends; blank ones are skipped."""
    output = run_demo("--chat", said="I'm Ann\n\nwhat is my name?")
    assert "Hello Ann!" in output
    assert "Your name is Ann." in output
    assert "The table holds 4 messages of session 'chat'." in output


@pytest.mark.once
def test_chat_without_input() -> None:
    """Nothing is said, nothing is stored, nothing goes wrong."""
    assert "The table holds 0 messages" in run_demo("--chat")
