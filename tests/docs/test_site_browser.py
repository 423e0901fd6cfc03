"""The site that ``nox -s site`` has built, looked at in Chromium: on a desktop, on a phone, light and dark."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from browsers import CHROMIUM, run_chromium
from documentation import ROOT

pytest.importorskip("playwright", reason="no playwright: nox -s site installs it")

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

SITE = ROOT / "site"
pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed (Debian: apt-get install chromium)"),
    pytest.mark.skipif(not (SITE / "index.html").exists(), reason="no site was built: nox -s site"),
]
# Of each kind one: tasks, programs, drawings, pictures, the widest tables, the API, a page from beside docs/.
PAGES = [
    *["index", "tutorial", "howto/agents", "howto/command-line", "storage", "design", "performance", "errors"],
    *["reference/index", "reference/api/langchain_dynamodb", "project/findings", "search"],
]
IN_THE_DARK = ["index", "howto/agents", "storage", "reference/api/langchain_dynamodb"]  # all colors are in these
DEVICES: dict[str, dict[str, Any]] = {
    "desktop": {"viewport": {"width": 1300, "height": 900}},
    "dark": {"viewport": {"width": 1300, "height": 900}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 360, "height": 640}, "is_mobile": True, "has_touch": True},
}


class Quiet(SimpleHTTPRequestHandler):
    """Serves files, and writes no line for each."""

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """The site as a web server gives it: from a file Chromium would load no search index."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(SITE))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """One Chromium; each test has a context of its own in it."""
    with run_chromium() as browser:
        yield browser


@pytest.fixture(params=DEVICES)
def page(chromium: Any, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A page on a device; whatever its console complains about, or cannot be loaded, is an error."""
    context = chromium.new_context(**DEVICES[request.param], reduced_motion="reduce")
    complaints: list[str] = []
    page = context.new_page()
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    page.on("response", lambda answer: complaints.append(answer.url) if answer.status >= 400 else None)
    yield page
    context.close()
    assert complaints == []


@pytest.mark.parametrize(
    ("page", "name"),
    [(device, name) for device in DEVICES for name in PAGES if device != "dark" or name in IN_THE_DARK],
    indirect=["page"],
)
def test_pages(page: Page, address: str, name: str) -> None:
    """Nothing is wider than the screen (what is scrolls by itself), all pictures are there, axe finds nothing."""
    page.goto(f"{address}/{name}.html")
    page.wait_for_load_state()
    beyond = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    lost = page.evaluate("[...document.images].filter((img) => !img.naturalWidth).map((img) => img.src)")
    found = [] if page.viewport_size == DEVICES["phone"]["viewport"] else axe(page)  # it finds the same at any width
    assert (beyond <= 0, lost, found) == (True, [], [])


def axe(page: Page) -> list[tuple[str, list[str]]]:
    """What axe-core says of a page's own content: labels, names, contrast."""
    options = {"rules": {"empty-table-header": {"enabled": False}}}  # the corner above names and beside titles
    found = Axe().run(page, {"include": [["article"]], "exclude": [[".headerlink"]]}, options)
    return [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in found.response["violations"]]


def test_the_scheme_is_the_readers(page: Page, address: str) -> None:
    """Dark where the system is, with light text: the ground and the text of a page are far from each other."""
    page.goto(address)
    dark = page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    ground, text = (page.evaluate(f"getComputedStyle(document.body).{name}") for name in ("backgroundColor", "color"))
    levels = [sum(map(int, shade[shade.index("(") + 1 : -1].split(",")[:3])) / 3 for shade in (ground, text)]
    assert (levels[0] < 60, levels[1] > 180) == ((True, True) if dark else (False, False))


def test_search(page: Page, address: str) -> None:
    """Words of a page and names of the API are found."""
    for word, title in (("idempotency_key", "What is guaranteed"), ("VersionConflictError", "Errors")):
        page.goto(f"{address}/search.html?q={word}")
        expect(page.locator("#search-results li a", has_text=title).first).to_be_visible()
