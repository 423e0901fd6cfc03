"""The documentation tells the truth: its code runs and prints what it says, its links lead somewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from langchain_dynamodb.local import Engine, run_engine

if TYPE_CHECKING:
    from conftest import TestEngine

ROOT = Path(__file__).parent.parent
PAGES = sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md")])
FENCE = re.compile(r"^```(\w*) ?(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#:\s]+)(?:#[^)\s]*)?\)")
# The README says so too. LangChain prints the first whatever the filters are; every other warning is an error.
DEPRECATED = re.compile(r".*LangChainDeprecationWarning: RunnableWithMessageHistory is deprecated.*\n")
WARNINGS = ("-W", "error", "-W", "ignore:`langchain-community` is being sunset")


@dataclass(frozen=True)
class Example:
    """A program in the documentation.

    ```` ```python continued ```` goes on where the block before it ended, ```` ```python pytest ```` holds tests, and
    ```` ```output ```` right after a block is what that block prints.
    """

    place: str
    kind: str
    code: str
    output: str


def find_examples(page: Path) -> Iterator[Example]:
    """Yield the Python blocks of a page."""
    text = page.read_text(encoding="utf-8")
    code = ""
    fences = list(FENCE.finditer(text))
    for fence, following in zip(fences, [*fences[1:], None], strict=False):
        language, kind, body = fence.groups()
        if language != "python":
            continue
        code = code + body if kind == "continued" else body
        shown = following is not None and following[1] == "output"
        line = text.count("\n", 0, fence.start()) + 1
        yield Example(f"{page.relative_to(ROOT)}:{line}", kind, code, following[3] if shown and following else "")


EXAMPLES = [example for page in PAGES for example in find_examples(page)]


@pytest.fixture(scope="module")
def docs_engine(engine: TestEngine, request: pytest.FixtureRequest) -> Iterator[Engine]:
    """An engine that nobody shares: all examples use one table name."""
    if engine.name == "aws":
        pytest.skip("the examples would create tables in your account")
    if request.config.getoption("--endpoint-url") is None:
        assert engine.endpoint_url is not None
        yield Engine(engine.name, engine.endpoint_url)  # type: ignore[arg-type]
    else:
        with run_engine() as started:
            yield started


@pytest.fixture
def environment(docs_engine: Engine) -> Iterator[dict[str, str]]:
    """What a user has set whose DynamoDB is this engine; tables that the example creates are removed after it."""
    client: Any = boto3.client("dynamodb", **docs_engine.connection)
    before = set(client.list_tables()["TableNames"])
    yield {**os.environ, **docs_engine.environment}
    for name in set(client.list_tables()["TableNames"]) - before:
        client.delete_table(TableName=name)
    client.close()


@pytest.mark.parametrize("example", EXAMPLES, ids=[example.place for example in EXAMPLES])
def test_example(example: Example, environment: dict[str, str], tmp_path: Path) -> None:
    """A program of the documentation ends well, warns of nothing and prints what the page shows."""
    program = tmp_path / "test_example.py"
    program.write_text(example.code, encoding="utf-8")
    run = run_example(example.kind, program, environment)
    assert (run.returncode, DEPRECATED.sub("", run.stderr)) == (0, ""), run.stdout
    if example.kind != "pytest":
        assert run.stdout == example.output


def run_example(kind: str, program: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a program as a user would, or its tests."""
    command = [sys.executable, *WARNINGS, str(program)]
    if kind == "pytest":
        options = ["-q", "-W", "error", "--rootdir", str(program.parent), "-o", "asyncio_mode=auto"]
        options += ["-o", "asyncio_default_fixture_loop_scope=function"]
        command = [sys.executable, "-m", "pytest", *options, str(program)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_readme_has_examples() -> None:
    """The examples are found: an empty list would pass all the same."""
    assert [example.kind for example in EXAMPLES if example.place.startswith("README.md")].count("") >= 5


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_links(page: Path) -> None:
    """Every relative link of a page leads to a file or folder."""
    broken = [link for link in LINK.findall(page.read_text(encoding="utf-8")) if not (page.parent / link).exists()]
    assert broken == []
