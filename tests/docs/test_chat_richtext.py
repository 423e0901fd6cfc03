"""Answers that are Markdown, in Chromium: how they look, what can be copied, and that nothing in them runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from browsers import CHROMIUM

if TYPE_CHECKING:
    from conftest import TestEngine

pytest.importorskip("playwright", reason="no playwright: nox -s browser installs it")

from playwright.sync_api import Page, expect

from test_chat_browser import NewPage, address, ask, check_with_axe, chromium, new_page, put_chats
from test_richtext import HOSTILE

__all__ = ["address", "chromium", "new_page"]  # fixtures

pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed (Debian: apt-get install chromium)"),
]
CODE = 'async with AsyncSessionRepository("SessionTable") as sessions:\n'


def show_chat(page: Page, engine: TestEngine, answer: str, question: str = "q") -> Any:
    """Store an answer of a model, open its chat, and return where it is shown."""
    put_chats(page, engine, {"c1": [HumanMessage(question), AIMessage(answer)]})
    page.goto(page.url.partition("#")[0] + "#c1")
    page.reload()
    expect(page.locator(".message.ai")).to_have_count(1)
    return page.locator(".message.ai .text")


def test_markdown_while_it_streams_and_later(new_page: NewPage) -> None:
    """A table, code and lists; the same after a reload."""
    page = new_page()
    ask(page, "Show me a table")
    shown = page.locator(".message.ai .text")
    expect(shown.locator("td").first).to_have_text("append")
    expect(shown.locator("ol li")).to_have_count(2)
    expect(page.get_by_role("button", name="Send")).to_be_visible()
    before = shown.inner_html()
    assert "<table><thead><tr><th>method</th>" in before
    page.reload()
    expect(shown.locator("ol li")).to_have_count(2)
    assert shown.inner_html() == before
    check_with_axe(page, "Markdown")
    page.set_viewport_size({"width": 320, "height": 640})
    assert page.evaluate("document.documentElement.scrollWidth") <= 320


@pytest.mark.parametrize("secure", [True, False])
def test_copying(new_page: NewPage, secure: bool) -> None:
    """Code by itself, and the answer as it was written; also where the browser offers no clipboard."""
    page = new_page(permissions=["clipboard-read", "clipboard-write"])
    if not secure:
        page.add_init_script("navigator.clipboard.writeText = () => Promise.reject(new Error('not allowed'))")
        page.reload()
    ask(page, "Show me code")
    page.get_by_role("button", name="Copy", exact=True).click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()").startswith("## Three ways to write\n\n| method")
    page.get_by_role("button", name="Copy code").click()
    expect(page.get_by_role("button", name="Copied")).to_have_count(2)
    assert page.evaluate("navigator.clipboard.readText()").startswith(CODE)


@pytest.mark.parametrize("name", HOSTILE)
def test_nothing_runs_or_is_fetched(new_page: NewPage, engine: TestEngine, name: str) -> None:
    """Whatever a model says, or was made to say: no dialog, no request to elsewhere, no element that acts."""
    page = new_page()
    page.on("dialog", lambda dialog: pytest.fail(dialog.message))
    origin = page.url.partition("/#")[0].rstrip("/")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    shown = show_chat(page, engine, HOSTILE[name].encode("utf-8", "replace").decode())
    assert [url for url in asked if not url.startswith(origin)] == []
    assert shown.locator("script, img, iframe, object, embed, form, input, style, svg, base, meta").count() == 0
    attributes = "[...e.querySelectorAll('*')].flatMap((x) => [...x.attributes].map((a) => a.name))"
    allowed = {"class", "href", "title", "target", "rel", "type", "tabindex", "role", "aria-label", "style", "start"}
    assert {*shown.evaluate(f"(e) => {attributes}")} <= allowed
    links = shown.locator("a").evaluate_all("(all) => all.map((a) => a.protocol + a.rel)")
    assert {*links} <= {"https:noopener noreferrer nofollow", "http:noopener noreferrer nofollow"}


def test_a_server_that_sends_other_elements(new_page: NewPage) -> None:
    """The page makes the elements it knows, and of others shows the text alone."""
    page = new_page()
    page.on("dialog", lambda dialog: pytest.fail(dialog.message))
    blocks = [
        ["script", {}, ["alert(1)"]],
        ["img", {"src": "x", "onerror": "alert(2)"}, []],
        ["p", {"onclick": "alert(3)", "id": "log"}, [["a", {"href": "javascript:alert(4)"}, ["link"]]]],
    ]
    message = {"index": 0, "type": "ai", "text": "x", "stopped": False, "blocks": blocks}
    document = {"title": "t", "version": 1, "messages": [message]}
    page.route("**/api/chats/c9?*", lambda route: route.fulfill(json=document))
    page.goto(page.url.partition("#")[0] + "#c9")
    page.reload()
    shown = page.locator(".message.ai .text")
    expect(shown).to_have_text("alert(1)link")
    assert shown.inner_html() == "<span>alert(1)</span><span></span><p><a>link</a></p>"


def test_what_people_type_is_text(new_page: NewPage, engine: TestEngine) -> None:
    """Their marks are shown, since they wrote no Markdown."""
    page = new_page()
    show_chat(page, engine, "fine", "**not bold** <b>x</b>")
    assert page.locator(".message.human .text").inner_html() == "**not bold** &lt;b&gt;x&lt;/b&gt;"


def test_links_lead_away(new_page: NewPage, engine: TestEngine) -> None:
    """To a page of their own that does not know where it was opened from; where they lead can be seen."""
    page = new_page()
    link = show_chat(page, engine, "[my bank](https://example.org/x)").locator("a")
    attributes = {name: link.get_attribute(name) for name in ("href", "title", "target", "rel")}
    url = "https://example.org/x"
    assert attributes == {"href": url, "title": url, "target": "_blank", "rel": "noopener noreferrer nofollow"}


def test_marks_are_not_read_aloud(new_page: NewPage) -> None:
    """The live region hears the words of a table and of code, without pipes and fences."""
    page = new_page()
    ask(page, "Show me a table")
    expect(page.locator(".message.ai ol li")).to_have_count(2)
    answered_in = page.locator("[aria-live=polite]")
    expect(answered_in).to_contain_text("It costs the same at any length.")
    assert not {*"|*#`"} & {*answered_in.inner_text()}
