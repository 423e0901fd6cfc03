"""The pages about the design name what is there: the drawings, the rules, the words, the files."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import langchain_dynamodb
from documentation import BLOCKS, PAGES, ROOT, Block, prose
from langchain_dynamodb._items import attribute_names as lc

PACKAGE = Path(langchain_dynamodb.__file__).parent
DESIGN = ROOT / "docs/design.md"
CONTRIBUTING = ROOT / "CONTRIBUTING.md"
FOR_DEVELOPERS = {CONTRIBUTING, DESIGN, ROOT / "docs/explanation.md"}
GLOSSARY = ROOT / "docs/glossary.md"
DRAWINGS = [block for block in BLOCKS if block.language == "mermaid"]
LAYERS = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
LAYERS -= {"__init__"}

ARROWS = re.compile(r" {4}(\w+) --> (\w+(?: & \w+)*)")
PARTICIPANT = re.compile(r" {4}participant ([A-Z]) as ([\w/]+)")
MESSAGE = re.compile(r" {4,}([A-Z])--?>>([A-Z]): (\S.*)")
NOTE = re.compile(r" {4,}Note over ([A-Z]): \S.*")
SHAPE = re.compile(r" {4,}(?:subgraph )?(\w+)(?:\[|\(\[)\"([^\"]+)\"(?:\]|\]\))")
FLOW = re.compile(r' {4}(\w+) -- "[^"]+" --> (\w+)')
BLOCK = re.compile(r"( {4,})(?:(loop|alt|opt|else) \S.*|(end))")
OUTSIDE = {"caller", "DynamoDB"}  # in a sequence, beside modules of the package


def read_layers(lines: list[str]) -> Iterator[tuple[str, str]]:
    """Yield the arrows of a flowchart; a line of any other form fails."""
    for line in lines:
        arrow = ARROWS.fullmatch(line)
        assert arrow, line
        yield from ((arrow[1], lower) for lower in arrow[2].split(" & "))


def read_sequence(lines: list[str]) -> tuple[dict[str, str], list[tuple[str, str, str]]]:
    """Return the participants of a sequence and its messages; a line of any other form fails."""
    participants: dict[str, str] = {}
    messages: list[tuple[str, str, str]] = []
    opened: list[str] = []
    for line in lines:
        if found := PARTICIPANT.fullmatch(line):
            participants[found[1]] = found[2]
        elif found := MESSAGE.fullmatch(line):
            messages.append((participants[found[1]], participants[found[2]], found[3]))
        elif found := NOTE.fullmatch(line):
            assert found[1] in participants, line
        else:
            found = BLOCK.fullmatch(line)
            assert found, line
            if found[2] == "else":
                assert opened[-1] == f"{found[1]}alt", line
            elif found[2]:
                opened.append(found[1] + found[2])
            else:
                assert re.fullmatch(f"{found[1]}\\w+", opened.pop()), line
    assert opened == []
    return participants, messages


def files_of(layer: str) -> list[Path]:
    """The files of a folder or module of the package."""
    return [*(PACKAGE / layer).rglob("*.py")] or [PACKAGE / f"{layer}.py"]


def imports(upper: str, lower: str) -> bool:
    """Tell whether a layer imports another."""
    statement = re.compile(rf"^ *from \.+(?: import )?{lower}\b", re.MULTILINE)
    return any(statement.search(file.read_text(encoding="utf-8")) for file in files_of(upper))


def functions_of(module: str) -> set[str]:
    """The names of all functions and methods in a module of the package."""
    tree = ast.parse((PACKAGE / f"{module}.py").read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))}


def check_layers(lines: list[str]) -> None:
    """The drawing has every layer and no other, and each of its arrows is an import."""
    arrows = [*read_layers(lines)]
    assert {layer for arrow in arrows for layer in arrow} == LAYERS
    assert [arrow for arrow in arrows if not imports(*arrow)] == []


def check_sequence(lines: list[str]) -> None:
    """Who takes part is a module, or outside of the package; what it is asked for is a function of its."""
    participants, messages = read_sequence(lines)
    modules = {name for name in participants.values() if (PACKAGE / f"{name}.py").exists()}
    assert {*participants.values()} - OUTSIDE == modules
    asked = {(receiver, name) for _, receiver, text in messages for name in re.findall(r"(\w+)\(\)", text)}
    known = {(module, name) for module in modules for name in functions_of(module)}
    assert (len(asked) > 3, asked - known) == (True, set())


def check_items(lines: list[str]) -> None:
    """Arrows lead from one shape to another, and the attributes that are named are ours."""
    rest = [line for line in lines if line.strip() not in ("direction LR", "end")]
    shapes = {found[1]: found[2] for line in rest if (found := SHAPE.fullmatch(line))}
    flows = [found.groups() for line in rest if (found := FLOW.fullmatch(line))]
    assert (len(shapes) + len(flows), {*sum(flows, ())} - {*shapes}) == (len(rest), set())
    named = set(re.findall(r"\blc_\w+", "\n".join(lines)))
    assert (len(named) > 2, named - attributes()) == (True, set())


def attributes() -> set[str]:
    """The names of our own attributes."""
    return {value for value in vars(lc).values() if isinstance(value, str)}


CHECKS: dict[str, Callable[[list[str]], None]] = {
    "flowchart TD": check_layers,
    "flowchart TB": check_items,
    "sequenceDiagram": check_sequence,
}


@pytest.mark.parametrize("drawing", DRAWINGS, ids=[drawing.place for drawing in DRAWINGS])
def test_drawing(drawing: Block) -> None:
    """Each line has a form that Mermaid knows, and what it names is there."""
    kind, *lines = drawing.code.splitlines()
    CHECKS[kind](lines)


def test_drawings_are_found() -> None:
    """An empty list would pass all the same."""
    kinds = sorted(drawing.code.splitlines()[0] for drawing in DRAWINGS)
    assert kinds == ["flowchart TB", "flowchart TD", *["sequenceDiagram"] * 2]


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("flowchart TB", '    page2["another page"'),
        ("flowchart TB", '    page1 -- "leads" --> page2'),
        ("flowchart TB", '    page2["lc_nothing"]'),
        ("flowchart TD", "    repository -> _store"),
        ("flowchart TD", "    repository --> _shop"),
        ("flowchart TD", "    _store --> repository"),
        ("sequenceDiagram", "    participant Z as _store/shopping"),
        ("sequenceDiagram", "    C->>R: spend()"),
        ("sequenceDiagram", "    C-R: read()"),
        ("sequenceDiagram", "    loop never ends"),
        ("sequenceDiagram", "    end"),
        ("sequenceDiagram", "    else nothing to choose"),
    ],
)
def test_a_wrong_line_is_seen(kind: str, line: str) -> None:
    """What Mermaid could not draw, a name that is not there, an arrow without an import."""
    lines = next(drawing.code for drawing in DRAWINGS if drawing.code.startswith(kind)).splitlines()[1:]
    CHECKS[kind](lines)
    with pytest.raises((AssertionError, IndexError)):
        CHECKS[kind]([*lines, line])


def test_the_rules_that_the_source_cites() -> None:
    """Each is on the page, which numbers them without a gap."""
    rules = [int(number) for number in re.findall(r"^(\d+)\. ", DESIGN.read_text(encoding="utf-8"), re.MULTILINE)]
    cited: set[int] = set()
    for path in [*ROOT.glob("src/**/*.py"), *ROOT.glob("tests/**/*.py")]:
        for numbers in re.findall(r"\b[Rr]ules? (\d+(?:(?:, | to | and )\d+)*)", path.read_text(encoding="utf-8")):
            cited.update(map(int, re.findall(r"\d+", numbers)))
    assert (rules, len(cited) > 5, cited - {*rules}) == ([*range(1, len(rules) + 1)], True, set())


def test_the_attributes_that_the_rules_name() -> None:
    """An attribute that was renamed is renamed here too."""
    named = set(re.findall(r"\blc_\w+", DESIGN.read_text(encoding="utf-8")))
    assert (len(named) > 5, named - attributes()) == (True, set())


def named_files(page: Path) -> set[str]:
    """The files and folders of the project that a page names: ``tests/unit``, ``test_read.py``, for developers any."""
    names = re.findall(r"`([\w-][\w.-]*(?:/[\w.-]*)+|\w+\.(?:py|md|toml))`", prose(page))
    ours = re.compile(r"" if page in FOR_DEVELOPERS else r"(?:src|tests|docs)/|test_\w+\.py")
    return {name for name in names if ours.match(name)}


def places_of(name: str) -> list[Path]:
    """Where a name may lead: from the root, or from the package, or (just a test's name) anywhere among the tests."""
    return [ROOT / name, PACKAGE / name, *((ROOT / "tests").rglob(name) if name.startswith("test_") else [])]


@pytest.mark.parametrize("page", [page for page in PAGES if named_files(page)], ids=lambda page: page.name)
def test_the_files_that_a_page_names(page: Path) -> None:
    """Each is there: what moves is renamed on the pages too."""
    assert {name for name in named_files(page) if not any(place.exists() for place in places_of(name))} == set()


def test_the_worked_examples_cover_the_layers() -> None:
    """Of the folders of the package, those that hold the core come up; ten examples or more name files."""
    text = CONTRIBUTING.read_text(encoding="utf-8").partition("## Worked examples\n")[2]
    examples = re.findall(r"^- \*\*.+?(?=^- |\Z)", text, re.MULTILINE | re.DOTALL)
    named = [set(re.findall(r"`(\w+)/", example)) for example in examples]
    assert (len(examples) >= 10, [example for example in examples if example.count("`") < 6]) == (True, [])
    assert {"_store", "_protocol", "_items", "codec", "web", "local"} - set().union(*named) == set()


def is_used(word: str, text: str) -> bool:
    """Tell whether a text has this word, or these, in any number and over the end of a line."""
    ending = "(?:s|ed|d)?"
    return re.search(rf"\b{re.escape(word)}{ending}\b".replace(r"\ ", r"[\s_]*"), text, re.IGNORECASE) is not None


def test_the_words_are_ours() -> None:
    """Each is used elsewhere, in the source or on another page; they stand in order, a line for each."""
    listed = GLOSSARY.read_text(encoding="utf-8").partition("\n- ")[2].splitlines()
    words = re.findall(r"\*\*(.+?)\*\*", "\n".join(listed))
    texts = [path.read_text(encoding="utf-8") for path in [*PACKAGE.rglob("*.py"), *PAGES] if path != GLOSSARY]
    first = [re.sub(r"^(?:- )?\*\*(.+?)\*\*: .+\.$", r"\1", line) for line in listed]
    assert (len(words) > 50, first) == (True, sorted(word for word in words if word in first))
    assert [word for word in words if not any(is_used(word, text) for text in texts)] == []


def test_a_word_that_nobody_uses_is_seen() -> None:
    """Not as a part of another word."""
    assert [is_used(word, "Leased pages,\ntaken back") for word in ("lease", "page", "taken back", "ease", "pag")] == [
        True, True, True, False, False,
    ]  # fmt: skip
