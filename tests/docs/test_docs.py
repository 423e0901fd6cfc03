"""The documentation tells the truth: its code runs and prints what it says, its links lead somewhere."""

from __future__ import annotations

import ast
import html
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from aws_server import run_service
from docs_server import ask_all, save_programs, serving, with_command
from documentation import BLOCKS, FENCE, LINK, MARKER, PAGES, ROOT, Block, find_commands, is_broken, prose, scripts
from langchain_dynamodb.local import Engine, run_engine

if TYPE_CHECKING:
    from conftest import TestEngine

# LangChain prints the first whatever the filters are; every other warning is an error.
DEPRECATED = re.compile(r".*LangChainDeprecationWarning: RunnableWithMessageHistory is deprecated.*\n")
WARNINGS = ("-W", "error", "-W", "ignore:`langchain-community` is being sunset")
# Mangum asks for the main thread's event loop; Python 3.12 and 3.13 make one, and warn of it.
WARNINGS += ("-W", "ignore:There is no current event loop")
# Where the pages tell pytest how to run coroutines.
PYTEST_PAGE = ROOT / "docs/howto/test-your-application.md"
# What the FastAPI page's requests are answered with.
ANSWERS = [
    '{"answer":"You said hello. I know 0 messages."}',
    '{"title":null,"messages":["hello","You said hello. I know 0 messages."]}',
]
# Stands in for the engine that a page chooses: no download, no Java.
CHOSEN_ENGINE = """
from contextlib import contextmanager

import langchain_dynamodb.local as local


@contextmanager
def run_engine(name):
    yield local.Engine(name, "http://nowhere")


local.run_engine = run_engine


def test_engine(langchain_dynamodb_engine):
    assert langchain_dynamodb_engine.name == "dynamodb-local"
"""


@dataclass(frozen=True)
class Example:
    """A Python block.

    ```` ```python continued ```` goes on where the block before it ended, ```` ```python pytest ```` holds tests,
    ```` ```python app.py ```` is a program that the page saves under that name.
    """

    block: Block
    code: str


def find_examples() -> Iterator[Example]:
    """Yield the Python blocks of all pages."""
    code = ""
    for block in BLOCKS:
        if block.language == "python":
            code = code + block.code if block.kind == "continued" else block.code
            yield Example(block, code)


EXAMPLES = list(find_examples())


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


@pytest.fixture(scope="module")
def bucket(aws_environment: None) -> Iterator[dict[str, str]]:
    """Where S3 is, with the bucket that the pages name."""
    with run_service("s3") as url:
        client: Any = boto3.client("s3", endpoint_url=url)
        client.create_bucket(Bucket="my-chats")
        client.close()
        yield {"AWS_ENDPOINT_URL_S3": url}


@pytest.fixture
def environment(docs_engine: Engine) -> Iterator[dict[str, str]]:
    """What a user has set whose DynamoDB is this engine; tables that the example creates are removed after it."""
    client: Any = boto3.client("dynamodb", **docs_engine.connection)
    before = set(client.list_tables()["TableNames"])
    yield {**os.environ, **docs_engine.environment}
    for name in set(client.list_tables()["TableNames"]) - before:
        client.delete_table(TableName=name)
    client.close()


WITH_SCRIPTS = [page for page in PAGES if scripts(page)]


@pytest.mark.parametrize("page", WITH_SCRIPTS, ids=[str(page.relative_to(ROOT)) for page in WITH_SCRIPTS])
def test_scripts(page: Path, environment: dict[str, str], tmp_path: Path) -> None:
    """What a page has one type in prints what it shows; ``...`` there is any text. Nothing is warned of."""
    save_programs(page, tmp_path)
    environment = {**environment, **with_command(tmp_path)}
    for script in scripts(page):
        code, output, errors = run(["bash", "-e", "-c", script.code], environment, tmp_path)
        as_shown = re.fullmatch(pattern(script.output), output)
        assert (code, as_shown is not None) == (0, True), f"{script.place}\n{output}{errors}"
        assert [line for line in errors.splitlines() if "Warning" in line or "Traceback" in line] == []


@pytest.mark.parametrize("example", EXAMPLES, ids=[example.block.place for example in EXAMPLES])
def test_example(example: Example, environment: dict[str, str], tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """A program of the documentation ends well, warns of nothing and prints what the page shows."""
    if "S3Blobs" in example.code:
        environment |= request.getfixturevalue("bucket")
    RUNNERS[example.block.kind](example, environment, tmp_path)


def run(command: Sequence[str | Path], environment: Mapping[str, str], folder: Path) -> tuple[int, str, str]:
    """Run a command as a user would; returns exit code, output and errors."""
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, DEPRECATED.sub("", done.stderr)


def run_program(example: Example, environment: dict[str, str], folder: Path) -> None:
    """Run a program, and compare what it prints."""
    save_programs(example.block.page, folder)
    (folder / "example.py").write_text(example.code, encoding="utf-8")
    assert run([sys.executable, *WARNINGS, "example.py"], environment, folder) == (0, example.block.output, "")


def run_tests(example: Example, environment: dict[str, str], folder: Path) -> None:
    """Run tests, with pytest set up as the page says."""
    (folder / "test_example.py").write_text(example.code, encoding="utf-8")
    [settings] = [block.code for block in BLOCKS if block.page == PYTEST_PAGE and block.language == "toml"]
    (folder / "pyproject.toml").write_text(settings, encoding="utf-8")
    code, output, errors = run([sys.executable, "-m", "pytest", "-q", "-W", "error"], environment, folder)
    assert (code, errors) == (0, ""), output


def run_conftest(example: Example, environment: dict[str, str], folder: Path) -> None:
    """Run a test that sees which engine the page's `conftest.py` chooses."""
    (folder / "conftest.py").write_text(example.code, encoding="utf-8")
    run_tests(replace(example, code=CHOSEN_ENGINE), environment, folder)


def run_server(example: Example, environment: dict[str, str], folder: Path) -> None:
    """Start the program that serves, as the page says, and ask what the page asks."""
    page, name = example.block.page, example.block.kind
    assert f"`python {name}`" in prose(page)
    ours = {name: value for name, value in environment.items() if not name.startswith("AWS_")}
    with serving(page, [sys.executable, name], ours, folder) as port:
        assert ask_all(page, port) == ANSWERS


def run_by_a_script(example: Example, environment: dict[str, str], folder: Path) -> None:
    """It takes arguments: `test_scripts` runs it, as the page does."""
    assert any(f"python {example.block.kind} " in script.code for script in scripts(example.block.page))


def run_elsewhere(example: Example, environment: dict[str, str], folder: Path) -> None:
    """It needs large packages: here it is only read, and test_frameworks.py runs the page."""
    compile(example.code, example.block.kind, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    assert example.block.page.name in (ROOT / "tests/docs/test_frameworks.py").read_text(encoding="utf-8")


def test_server_command(environment: dict[str, str], tmp_path: Path) -> None:
    """The command that serves with an AWS account does the same, where the table exists."""
    [command] = [command for command in find_commands() if command.line.startswith("uvicorn ")]
    make_table = "from langchain_dynamodb import SessionRepository; SessionRepository('SessionTable').create_table()"
    assert run([sys.executable, "-c", make_table], environment, tmp_path)[0] == 0
    words = [sys.executable, "-m", *shlex.split(command.line)]
    with serving(command.page, words, environment, tmp_path) as port:
        assert ask_all(command.page, port) == ANSWERS


def pattern(shown: str) -> str:
    """What a page shows; ``...`` is any text."""
    return ".*".join(map(re.escape, shown.split("...")))


def test_the_recorded_command_line() -> None:
    """It shows commands of the page and what they print, and nothing of the machine that it was made on."""
    recording = read_recording()
    page = ROOT / "docs/howto/command-line.md"
    typed = {line for script in scripts(page) for line in script.code.splitlines()}
    printed = [line for script in scripts(page) for line in script.output.splitlines()]
    runs = [printed[i:j] for i in range(len(printed)) for j in range(i + 1, i + 6)]
    forms = [pattern("".join("".join(run).split())) for run in runs]
    wrong = [
        (command, output)
        for command, output in recording.items()
        if command not in typed or not any(re.fullmatch(form, output) for form in forms)
    ]
    assert (len(recording) > 3, wrong) == (True, [])


def read_recording() -> dict[str, str]:
    """The commands of the picture, and what each printed, without spaces: a terminal breaks lines."""
    svg = (ROOT / "docs/images/command-line.svg").read_text(encoding="utf-8")
    assert "http" not in svg.replace("http://www.w3.org/2000/svg", "")  # no font of another server
    lines: dict[int, str] = {}
    for number, text in re.findall(r'<text [^>]*clip-path="url\(#[\w-]+-line-(\d+)\)">(.*?)</text>', svg):
        lines[int(number)] = lines.get(int(number), "") + html.unescape(text).replace("\xa0", " ")
    screen = "\n".join(lines[number].rstrip() for number in sorted(lines))
    chunks = [chunk.partition("\n") for chunk in screen.removeprefix("$ ").split("\n$ ")]
    return {command: "".join(output.split()) for command, _, output in chunks}


RUNNERS: dict[str, Callable[[Example, dict[str, str], Path], None]] = {
    "": run_program,
    "continued": run_program,
    "pytest": run_tests,
    "app.py": run_program,
    "fill.py": run_program,
    "their_table.py": run_program,
    "serve.py": run_server,
    "chat.py": run_program,
    "turns.py": run_program,
    "conftest.py": run_conftest,
}
RUNNERS["segments.py"] = run_by_a_script
FRAMEWORKS = ("wsgi", "gunicorn_gevent", "tasks", "streamlit_app", "gradio_app", "notebook", "cell", "without_aws")
RUNNERS |= {f"{name}.py": run_elsewhere for name in FRAMEWORKS}
# What is checked, and of which kinds: drawings in test_docs_design.py, all else but Python in test_docs_commands.py.
CHECKED = {"python": RUNNERS.keys(), "bash": {"", "run"}, "toml": {""}, "json": {""}, "diff": {""}, "mermaid": {""}}
CHECKED |= {"text": {"errors", "keys"}}


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_every_block_is_checked(page: Path) -> None:
    """No block slips by: each is of a language that the tests know, closed, and shows no output of nothing."""
    blocks = [block for block in BLOCKS if block.page == page]
    unknown = [block.place for block in blocks if block.kind not in CHECKED.get(block.language, ())]
    text = page.read_text(encoding="utf-8")
    assert (unknown, len(MARKER.findall(text))) == ([], 2 * len(FENCE.findall(text)))


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_nothing_is_left_of_a_merge(page: Path) -> None:
    """Git's marks of a conflict are no text: both sides of it would be shown."""
    lines = page.read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line.startswith(("<<<<<<< ", ">>>>>>> ")) or line == "======="] == []


def test_examples_are_found() -> None:
    """An empty list would pass all the same."""
    assert [example.block.kind for example in EXAMPLES if example.block.page.name == "README.md"].count("") >= 3


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_links(page: Path) -> None:
    """Every relative link of a page leads to a file or folder, and to a heading that is there."""
    assert [link for link in LINK.findall(prose(page)) if is_broken(page, link)] == []


def test_anchors() -> None:
    """They are found as GitHub names them, and a wrong one is seen."""
    page = ROOT / "docs/explanation.md"
    links = ["explanation.md#what-to-use-when", "#what-to-use-when", "#what-to-use", "howto/agents.md#nothing", "no.md"]
    assert [is_broken(page, link) for link in links] == [False, False, True, True, True]


def test_pages_named_in_the_source() -> None:
    """Messages and docstrings name pages, and sections of them, that are there."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in ROOT.glob("src/**/*.py"))
    pages = set(re.findall(r"docs/[\w/-]+\.md", text))
    sections = set(re.findall(r'"([^"\n]+)" in (docs/[\w/-]+\.md)', text))
    assert (len(pages) > 2, len(sections) > 0) == (True, True)
    assert [page for page in pages if not (ROOT / page).exists()] == []
    assert [title for title, page in sections if f"## {title}\n" not in (ROOT / page).read_text(encoding="utf-8")] == []


def test_the_list_of_findings() -> None:
    """A row for each script, linked by its name, and no other."""
    page = (ROOT / "findings/README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \[([\w-]+)\]\(([\w-]+)\.sh\)", page, re.MULTILINE)
    assert [name for name, file in rows if name != file] == []
    assert sorted(file for _, file in rows) == sorted(path.stem for path in ROOT.glob("findings/*.sh"))


def test_the_readme_is_short() -> None:
    """A screen and a half: who wants to know more follows its links."""
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 115


def test_every_picture_is_shown() -> None:
    """By a page; those of drawings take the place of their text on the site."""
    pages = [*PAGES, *ROOT.glob("docs/**/*.rst")]
    shown = {name for page in pages for name in re.findall(r"images/([\w.-]+)", page.read_text(encoding="utf-8"))}
    assert sorted(path.name for path in ROOT.glob("docs/images/*.*")) == sorted(shown)
