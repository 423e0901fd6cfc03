"""The site that ``nox -s site`` has built: all pages, links that lead somewhere, nothing from elsewhere."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest

from documentation import BLOCKS, ROOT
from site_pages import PROJECT, public_modules

SITE = ROOT / "site"
pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif(not (SITE / "index.html").exists(), reason="no site was built: nox -s site"),
]


class Page(HTMLParser):
    """What a page links to, what it loads, and the places in it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.loads: set[str] = set()
        self.ids: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element's addresses and its id."""
        given = {name: value for name, value in attrs if value}
        if "id" in given:
            self.ids.add(given["id"])
        if tag == "a" and "href" in given:
            self.links.add(given["href"])
        self.loads |= {given[name] for name in ("src", "href") if name in given and tag in ("script", "link", "img")}


@pytest.fixture(scope="module")
def pages() -> dict[Path, Page]:
    """All of them, taken apart."""
    return {path: Page(path) for path in SITE.rglob("*.html") if "_static" not in path.parts}


def broken(path: Path, pages: dict[Path, Page]) -> Iterator[str]:
    """The links of a page that lead nowhere."""
    for link in pages[path].links | pages[path].loads:
        address, anchor = urldefrag(link)
        if ":" in address:
            continue
        target = (path.parent / unquote(address.partition("?")[0])).resolve() if address else path
        if not target.exists() or (anchor and target in pages and anchor not in pages[target].ids):
            yield link


def test_every_link(pages: dict[Path, Page]) -> None:
    """To a page, a picture or a file that is there, and a heading that is in it."""
    assert {path.name: found for path in pages if (found := [*broken(path, pages)])} == {}


def test_nothing_comes_from_elsewhere(pages: dict[Path, Page]) -> None:
    """No script, style, font or picture of another server."""
    assert {load for page in pages.values() for load in page.loads if "//" in load} == set()


def test_every_page(pages: dict[Path, Page]) -> None:
    """Those of docs/, the project's own, and one for each part of the API with all that is public in it."""
    shown = {str(path.relative_to(SITE).with_suffix("")) for path in pages}
    written = {str(path.relative_to(ROOT / "docs").with_suffix("")) for path in ROOT.glob("docs/**/*.md")}
    assert written | {f"project/{name}" for name in PROJECT} <= shown
    for module in public_modules():
        names = getattr(__import__(module, fromlist=["__all__"]), "__all__", ["ChatHistoryError"])
        ids = pages[SITE / "reference/api" / f"{module}.html"].ids
        assert [name for name in names if f"{module}.{name}" not in ids] == []


def test_what_the_pages_import_is_in_the_reference(pages: dict[Path, Page]) -> None:
    """Whatever programs of the pages take from the package can be looked up; one page shows how bytes are stored."""
    shown = {identity for path, page in pages.items() if path.parent.name == "api" for identity in page.ids}
    names = {name for block in BLOCKS if block.language == "python" for name in imported(block.code)}
    inner = {name for name in names if name.startswith("langchain_dynamodb.codec.")}
    assert ("langchain_dynamodb.telemetry.OpenTelemetry" in names, names - inner - shown) == (True, set())


def imported(program: str) -> Iterator[str]:
    """The full names of what a program takes from the package."""
    for node in ast.walk(compile(program, "", "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "langchain_dynamodb":
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


REFERENCE = sorted((SITE / "reference/api").glob("*.html"))
FAULTS = re.compile(r'`[^<]*|docs/[\w/-]+\.md|<dt [^>]*id="[^"]+"(?:(?!</dt>).)*</dt>\s*<dd></dd>', re.DOTALL)
ELSEWHERE = re.compile(r'href="#langchain_dynamodb\.(?:Sizes|Gap|ChatSession|SessionSummary)\.\w+"')


@pytest.mark.parametrize("path", REFERENCE, ids=[path.stem for path in REFERENCE])
def test_docstrings_are_read_as_they_are_meant(path: Path) -> None:
    """No markup is left, the pages that they name are links, and whatever is public has one."""
    [article] = re.findall(r"<article.*?</article>", path.read_text(encoding="utf-8"), re.DOTALL)
    assert FAULTS.findall(article) == []


def test_arguments_are_no_links() -> None:
    """An argument of a method does not lead to what has the same name in another class."""
    text = (SITE / "reference/api/langchain_dynamodb.html").read_text(encoding="utf-8")
    behind = text.partition('id="langchain_dynamodb.AsyncSessionRepository"')[2]
    repository = behind.partition('<dl class="py class">')[0]
    assert ("expected_version" in repository, ELSEWHERE.findall(repository)) == (True, [])


def test_search_knows_the_words() -> None:
    """Of the pages and of the API."""
    index = (SITE / "searchindex.js").read_text(encoding="utf-8")
    assert all(word in index for word in ("idempotency_key", "VersionConflictError", "howto/agents"))
