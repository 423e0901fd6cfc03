"""Answers that are Markdown, in Chromium: how they look, what can be copied, and that nothing in them runs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from browsers import CHROMIUM

if TYPE_CHECKING:
    from conftest import TestEngine

pytest.importorskip("playwright", reason="no playwright: nox -s browser installs it")

from playwright.sync_api import Page, expect

from test_chat_browser import BEYOND, NewPage, address, ask, check_with_axe, chromium, new_page, put_chats
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
    return open_chat(page, "c1")


def open_chat(page: Page, name: str) -> Any:
    """Open a chat that has one answer, and return where that is shown."""
    page.goto(page.url.partition("#")[0] + f"#{name}")
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


def test_nothing_runs_or_is_fetched(new_page: NewPage, engine: TestEngine) -> None:
    """Whatever a model says, or was made to say: no dialog, no request to elsewhere, no element that acts."""
    page = new_page()
    page.on("dialog", lambda dialog: pytest.fail(dialog.message))
    origin = page.url.partition("/#")[0].rstrip("/")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    answers = [AIMessage(said.encode("utf-8", "replace").decode(), name=name) for name, said in HOSTILE.items()]
    put_chats(page, engine, {f"c{i}": [HumanMessage("q"), answer] for i, answer in enumerate(answers)})
    elements = "script, img, iframe, object, embed, form, input, style, svg, base, meta"
    attributes = "(e) => [...e.querySelectorAll('*')].flatMap((x) => [...x.attributes].map((a) => a.name))"
    allowed = {"class", "href", "title", "target", "rel", "type", "tabindex", "role", "aria-label", "style", "start"}
    for i, answer in enumerate(answers):
        shown = open_chat(page, f"c{i}")
        assert (answer.name, [url for url in asked if not url.startswith(origin)]) == (answer.name, [])
        assert (answer.name, shown.locator(elements).count()) == (answer.name, 0)
        assert (answer.name, {*shown.evaluate(attributes)} - allowed) == (answer.name, set())
        links = shown.locator("a").evaluate_all("(all) => all.map((a) => a.protocol + a.rel)")
        assert {*links} <= {"https:noopener noreferrer nofollow", "http:noopener noreferrer nofollow"}, answer.name


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


def test_blocks_stand_apart(new_page: NewPage, engine: TestEngine) -> None:
    """A quote keeps its distance as all else does, and the first bullets are full, though messages are a list too."""
    page = new_page()
    shown = show_chat(page, engine, "text\n\n> quote\n\n- a\n  - b\n")
    assert shown.locator("blockquote").evaluate("(e) => parseFloat(getComputedStyle(e).marginTop)") > 5
    styles = shown.locator("ul").evaluate_all("(all) => all.map((e) => getComputedStyle(e).listStyleType)")
    assert styles == ["disc", "circle"]


def test_what_is_deep_fits_on_a_phone(new_page: NewPage, engine: TestEngine) -> None:
    """Lists in lists and quotes in quotes, as deep as they are shown, and what is shown as it was typed."""
    page = new_page(viewport={"width": 320, "height": 640})
    lists = "".join("  " * depth + f"- level {depth}\n" for depth in range(19))
    quotes = ">" * 38 + " a quote\n\n"
    deeper = "".join("  " * depth + f"- deeper {depth}\n" for depth in range(30))
    shown = show_chat(page, engine, f"{lists}\n{quotes}{'x' * 200}\n\n{deeper}")
    expect(shown.locator("li")).to_have_count(19)
    expect(shown.locator("blockquote")).to_have_count(38)
    expect(shown.locator("> p").last).to_contain_text("\n" + "  " * 29 + "- deeper 29", use_inner_text=True)
    assert page.evaluate(BEYOND) == []


@pytest.mark.parametrize(
    ("written", "longest"), [("1986. a\n2. b\n", "1987."), ("999999999. a\n", "999999999."), ("1. a\n" * 120, "120.")]
)
def test_numbers_have_room(new_page: NewPage, engine: TestEngine, written: str, longest: str) -> None:
    """They stand left of what they number, and are not cut off at the edge."""
    page = new_page()
    shown = show_chat(page, engine, written)
    measured = """(list, number) => {
        const context = document.createElement("canvas").getContext("2d");
        context.font = getComputedStyle(list).font;
        return parseFloat(getComputedStyle(list).paddingLeft) - context.measureText(number).width;
    }"""
    assert shown.locator("ol").evaluate(measured, longest) > 0


def test_code_has_its_button_whatever_is_said_of_it(new_page: NewPage, engine: TestEngine) -> None:
    """The button keeps its size beside a name of any length."""
    page = new_page(viewport={"width": 320, "height": 640})
    shown = show_chat(page, engine, f"```{'y' * 300} {'z ' * 100}\nx\n```")
    button = shown.get_by_role("button", name="Copy code").bounding_box()
    assert (button["width"] > 60, button["height"] < 50) == (True, True)
    assert page.evaluate(BEYOND) == []


def test_addresses_that_are_none_are_shown(new_page: NewPage, engine: TestEngine) -> None:
    """What a browser cannot take for an address is text, with what it says."""
    page = new_page()
    shown = show_chat(page, engine, "[here](https://) and [there](http://a:b:c)")
    expect(shown).to_have_text("here (https://) and there (http://a:b:c)")
    assert shown.locator("a[href]").count() == 0


def test_names_turn_no_sentence_around(new_page: NewPage) -> None:
    """A title with characters that turn the direction of writing: the words around it stay as they are."""
    page = new_page()
    ask(page, "\u202eevil\u2067")
    expect(page.get_by_role("button", name="Regenerate")).to_be_visible()
    expect(page.get_by_role("heading", level=1)).to_have_text("\u202eevil\u2067")
    expect(page).to_have_title("evil \u2013 Chat")
    page.get_by_role("button", name="Delete").click()
    expect(page.locator("#delete-text")).to_have_text("“evil” will be gone for good.")
    page.get_by_role("button", name="Cancel").click()
    name = {"name": "\u202etxt.exe", "mimeType": "text/plain", "buffer": b"x"}
    page.locator("#files").set_input_files([name])  # type: ignore[list-item]
    expect(page.get_by_role("alert")).to_contain_text("“txt.exe” is no image that can be sent")


@pytest.mark.parametrize("said", ["a\n" + " " * 80_000 + "b. ", "[" * 120_000, "[](" * 60_000, "x" * 300_000])
def test_what_no_voice_can_say(new_page: NewPage, said: str) -> None:
    """An answer of one piece that is laborious to read aloud: the page goes on."""
    page = new_page()
    told = {"question": {"version": 1, "index": 0, "title": "t", "images": []}, "token": said}
    told |= {"blocks": {"keep": 0, "blocks": [["p", {}, ["the answer"]]]}, "done": {"version": 2, "index": 1}}
    body = "".join(f"event: {name}\ndata: {json.dumps(data)}\n\n" for name, data in told.items())
    page.route("**/turns", lambda route: route.fulfill(body=body, content_type="text/event-stream"))
    ask(page, "q")
    expect(page.locator(".message.ai .text")).to_have_text("the answer")
    expect(page.get_by_role("button", name="Send")).to_be_visible()


def test_hostile_answers_while_they_stream(new_page: NewPage) -> None:
    """The scripted model repeats what was asked: the stream ends, and the chat can be loaded again."""
    page = new_page()
    page.on("dialog", lambda dialog: pytest.fail(dialog.message))
    ask(page, f"{'(*' * 300}b{'*)' * 300}\n\n{'>' * 60} secret")
    expect(page.locator(".message.ai")).to_contain_text("secret")
    expect(page.get_by_role("button", name="Send")).to_be_visible()
    expect(page.get_by_role("alert")).to_be_hidden()
    before = page.locator(".message.ai .text").inner_html()
    page.reload()
    expect(page.locator(".message.ai")).to_contain_text("secret")
    assert page.locator(".message.ai .text").inner_html() == before
