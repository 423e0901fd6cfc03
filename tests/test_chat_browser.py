"""The chat application end to end: its page in headless Chromium, served by two workers."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from browsers import CHROMIUM, SERVE, run_chat, run_chromium

pytest.importorskip("playwright", reason="no playwright: nox -s browser installs it")

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed (Debian: apt-get install chromium)"),
]
NewPage = Callable[..., Page]
HELLO = "Hello Ann! I will remember that, as long as this chat is kept."


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """The application, as ``nox -s chat`` starts it, but with two workers."""
    with run_chat() as started:
        yield started


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """One Chromium; the tests have contexts of their own in it."""
    with run_chromium() as browser:
        yield browser


@pytest.fixture
def new_page(chromium: Any, address: str) -> Iterator[NewPage]:
    """Open the page as a new user: ``new_page(viewport=...)``; whatever its console complains about is an error."""
    contexts = []
    complaints: list[str] = []

    def make(**options: Any) -> Page:
        contexts.append(chromium.new_context(**options))
        return watched(contexts[-1].new_page())

    def watched(page: Page) -> Page:
        page.set_default_timeout(10_000)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(address)
        return page

    yield make
    for context in contexts:
        context.close()
    assert complaints == []


def ask(page: Page, text: str) -> None:
    """Type a question and send it."""
    page.get_by_label("Your question").fill(text)
    page.get_by_role("button", name="Send").click()


def texts(page: Page) -> list[str]:
    """What the conversation shows."""
    return page.locator(".message .text").all_text_contents()


def shows(page: Page, expected: list[str]) -> None:
    """Wait until the conversation shows this."""
    expect(page.locator(".message .text")).to_have_text(expected)


def answered(page: Page, text: str) -> None:
    """Wait until the last message is this answer, and complete."""
    expect(page.locator(".message").last.locator(".text")).to_have_text(text)
    expect(page.get_by_role("button", name="Send")).to_be_visible()


def test_a_chat_is_kept(new_page: NewPage) -> None:
    """Question and answer appear, the list names the chat, and all is there again after a reload."""
    page = new_page()
    ask(page, "I am Ann")
    answered(page, HELLO)
    ask(page, "What is my name?")
    answered(page, "Your name is Ann.")
    expect(page.get_by_role("navigation").get_by_role("link", name="I am Ann")).to_have_attribute(
        "aria-current", "page"
    )
    shown = texts(page)
    page.reload()
    answered(page, "Your name is Ann.")
    shows(page, shown)
    assert len(shown) == 4


def test_two_tabs_conflict(new_page: NewPage, address: str) -> None:
    """The tab that knows an old state is told so, keeps its text, and goes on after a reload."""
    first = new_page()
    ask(first, "I am Ann")
    answered(first, HELLO)
    second = first.context.new_page()
    second.goto(first.url)
    answered(second, HELLO)
    ask(second, "What is my name?")
    answered(second, "Your name is Ann.")

    ask(first, "my late question")
    notice = first.get_by_role("alert")
    expect(notice).to_contain_text("This chat was changed in another tab")
    expect(first.get_by_label("Your question")).to_have_value("my late question")
    shows(first, ["I am Ann", HELLO])
    first.get_by_role("button", name="Rename").click()
    first.get_by_label("New title").fill("Late")
    first.keyboard.press("Enter")
    expect(notice).to_contain_text("Nothing was changed")
    first.get_by_role("button", name="Reload the chat").click()
    expect(notice).to_be_hidden()
    shows(first, ["I am Ann", HELLO, "What is my name?", "Your name is Ann."])
    expect(first.get_by_label("Your question")).to_have_value("my late question")
    first.get_by_label("Your question").press("Enter")
    answered(first, "You said: my late question That was thing number 3 you told me; the first was: I am Ann")


def test_users_see_their_own_chats_only(new_page: NewPage) -> None:
    """Another browser has an empty list, and the address of a chat leads it nowhere."""
    alice, bob = new_page(), new_page()
    ask(alice, "My secret plan")
    expect(alice.get_by_role("link", name="My secret plan")).to_be_visible()
    bob.goto(alice.url)
    expect(bob.get_by_role("alert")).to_contain_text("There is no such chat")
    expect(bob.get_by_text("No chats yet.")).to_be_visible()
    shows(bob, [])


def test_five_browsers_chat_at_once(new_page: NewPage) -> None:
    """Each gets its own answers, from whichever worker."""
    pages = [new_page() for _ in range(5)]
    for question in ("I am User{}", "What is my name?"):
        for i, page in enumerate(pages):
            ask(page, question.format(i))
        for i, page in enumerate(pages):
            answered(page, HELLO.replace("Ann", f"User{i}") if "{}" in question else f"Your name is User{i}.")
    assert [len(texts(page)) for page in pages] == [4] * 5


def test_stop_keeps_what_was_said(new_page: NewPage) -> None:
    """The rest never comes; what is on the screen is what is stored; it can be generated anew."""
    page = new_page()
    ask(page, "Tell me a story")
    expect(page.locator(".message.ai .text")).to_contain_text("Once upon a time")
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_text("Stopped before its end.")).to_be_visible()
    shown = texts(page)
    assert shown[1].startswith("Once upon a time")
    assert not shown[1].endswith("still.")
    page.reload()
    expect(page.get_by_text("Stopped before its end.")).to_be_visible()
    shows(page, shown)
    page.get_by_role("button", name="Edit").click()
    page.get_by_label("Edit your question").fill("I am Ann")
    page.get_by_role("button", name="Ask this").click()
    answered(page, HELLO)
    shows(page, ["I am Ann", HELLO])
    page.get_by_role("button", name="Regenerate").click()
    expect(page.locator(".pending")).to_have_count(0)
    answered(page, HELLO)
    shows(page, ["I am Ann", HELLO])


def test_an_answer_goes_on_while_another_chat_is_shown(new_page: NewPage) -> None:
    """Leaving a chat does not stop its answer; coming back shows it."""
    page = new_page()
    ask(page, "Tell me a story")
    expect(page.locator(".message.ai .text")).to_contain_text("Once upon")
    page.get_by_role("button", name="New chat").click()
    shows(page, [])
    ask(page, "I am Ann")
    answered(page, HELLO)
    page.get_by_role("link", name="Tell me a story").click()
    expect(page.locator(".message.ai .text")).to_contain_text("stored there still.")
    expect(page.get_by_role("heading", level=1)).to_have_text("Tell me a story")


def test_text_stays_text(new_page: NewPage) -> None:
    """Markup in questions, answers and titles is shown, not run; the policy holds as well."""
    page = new_page()
    page.on("dialog", lambda dialog: pytest.fail(dialog.message))
    evil = "<img src=x onerror=alert(1)><script>alert(2)</script>"
    ask(page, evil)
    answered(page, f"You said: {evil} Ask me for a story, or tell me your name and ask for it later.")
    page.reload()
    expect(page.get_by_role("heading", level=1)).to_have_text(evil)
    expect(page.get_by_role("navigation").get_by_role("link", name=evil)).to_be_visible()
    assert page.locator("img, main script, nav script").count() == 0
    assert texts(page)[0] == evil
    with pytest.raises(Exception, match="TrustedHTML"):
        page.evaluate("document.body.innerHTML = '<b>x</b>'")


def test_keyboard_alone(new_page: NewPage) -> None:
    """Ask, go to the list, rename and delete without a mouse; the focus is always where one goes on."""
    page = new_page()
    keys = page.keyboard
    expect(page.get_by_label("Your question")).to_be_focused()
    keys.type("I am Ann")
    keys.press("Shift+Enter")
    keys.type("indeed")
    keys.press("Enter")
    answered(page, HELLO)
    assert texts(page)[0] == "I am Ann\nindeed"
    expect(page.get_by_label("Your question")).to_be_focused()

    walk_to(page, "Rename", "Shift+Tab")
    keys.press("Enter")
    expect(page.get_by_label("New title")).to_be_focused()
    keys.type("Ann")
    keys.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Ann")
    expect(page.get_by_role("button", name="Rename")).to_be_focused()

    walk_to(page, "Edit", "Tab")
    keys.press("Enter")
    expect(page.get_by_label("Edit your question")).to_be_focused()
    keys.press("Escape")
    expect(page.get_by_role("button", name="Edit")).to_be_focused()

    walk_to(page, "New chat", "Shift+Tab")
    keys.press("Enter")
    expect(page.get_by_label("Your question")).to_be_focused()
    walk_to(page, "Ann", "Shift+Tab")
    keys.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_be_focused()
    answered(page, HELLO)

    walk_to(page, "Delete", "Tab")
    keys.press("Enter")
    expect(page.get_by_role("button", name="Cancel")).to_be_focused()
    keys.press("Escape")
    expect(page.get_by_role("link", name="Ann")).to_be_visible()
    expect(page.get_by_role("button", name="Delete")).to_be_focused()
    keys.press("Enter")
    keys.press("Tab")
    keys.press("Enter")
    expect(page.get_by_text("No chats yet.")).to_be_visible()
    expect(page.get_by_label("Your question")).to_be_focused()


def walk_to(page: Page, name: str, key: str) -> None:
    """Press Tab until the focus is on what has this text."""
    for _ in range(20):
        page.keyboard.press(key)
        if page.evaluate("document.activeElement.textContent.trim()") == name:
            return
    raise AssertionError(f"{key} does not lead to {name}")


def test_a_phone(new_page: NewPage) -> None:
    """The list is a drawer that closes by itself; nothing is wider than the screen; Enter is a new line."""
    page = new_page(viewport={"width": 360, "height": 640}, is_mobile=True, has_touch=True)
    drawer = page.get_by_role("navigation")
    expect(drawer).to_be_hidden()
    page.get_by_label("Your question").fill("I am Ann" + "-" * 200)
    page.get_by_role("button", name="Send").tap()
    answered(page, HELLO)
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    page.get_by_role("button", name="Chats").tap()
    expect(drawer).to_be_visible()
    expect(page.get_by_role("button", name="Close")).to_be_focused()
    for _ in range(4):  # what it covers is out of reach
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.closest('main')") is None
    page.keyboard.press("Escape")
    expect(drawer).to_be_hidden()
    expect(page.get_by_role("button", name="Chats")).to_be_focused()
    page.get_by_role("button", name="Chats").tap()
    drawer.get_by_role("button", name="New chat").tap()
    expect(drawer).to_be_hidden()
    shows(page, [])
    page.get_by_label("Your question").press("Enter")
    expect(page.get_by_label("Your question")).to_have_value("\n")
    heights = [button.bounding_box()["height"] for button in page.get_by_role("button").all() if button.is_visible()]
    assert min(heights) >= 40


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(new_page: NewPage, scheme: str) -> None:
    """Labels, roles, contrast: axe-core has nothing to say, whatever is on the screen."""
    page = new_page(color_scheme=scheme, reduced_motion="reduce")
    check_with_axe(page, "empty")
    ask(page, "I am Ann")
    answered(page, HELLO)
    check_with_axe(page, "a chat")
    page.get_by_role("button", name="Edit").click()
    check_with_axe(page, "an edit")
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Delete").click()
    check_with_axe(page, "a dialog")
    page.get_by_role("button", name="Cancel").click()
    page.route("**/turns", lambda route: route.fulfill(status=412, json={"detail": "changed"}))
    ask(page, "I am Ann")
    expect(page.get_by_role("alert")).to_be_visible()
    check_with_axe(page, "a conflict")
    page.set_viewport_size({"width": 360, "height": 640})
    page.get_by_role("button", name="Chats").click()
    check_with_axe(page, "the drawer")
    assert page.evaluate("getComputedStyle(document.querySelector('nav')).transitionDuration") in ("0s", "0s, 0s")


def check_with_axe(page: Page, state: str) -> None:
    """Run axe-core with all its rules."""
    found = Axe().run(page).response["violations"]
    told = [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in found]
    assert (state, told) == (state, [])


def test_answers_are_announced_in_sentences(new_page: NewPage) -> None:
    """The live region gets whole sentences, all of them, and not word by word."""
    page = new_page()
    live = page.locator("[aria-live=polite]")
    ask(page, "I am Ann")
    answered(page, HELLO)
    expect(live.locator("p")).to_have_text(["Hello Ann!", "I will remember that, as long as this chat is kept."])


def test_a_busy_server_is_waited_for(new_page: NewPage) -> None:
    """503: the text is kept, and `Try again` works as soon as Retry-After is over."""
    page = new_page()
    page.route(
        "**/turns",
        lambda route: route.fulfill(status=503, headers={"Retry-After": "1"}, json={"detail": "slow"}),
        times=1,
    )
    ask(page, "I am Ann")
    again = page.get_by_role("button", name="Try again")
    expect(again).to_be_disabled()
    expect(page.get_by_label("Your question")).to_have_value("I am Ann")
    again.click()  # waits until it is enabled
    answered(page, HELLO)
    expect(page.get_by_label("Your question")).to_have_value("")
    shows(page, ["I am Ann", HELLO])


def test_a_server_that_is_down(new_page: NewPage) -> None:
    """The question is kept and can be sent when the server is back; a stream that breaks says so."""
    page = new_page()
    page.context.set_offline(True)
    ask(page, "I am Ann")
    expect(page.get_by_role("alert")).to_contain_text("The server cannot be reached.")
    expect(page.get_by_label("Your question")).to_have_value("I am Ann")
    page.context.set_offline(False)
    page.get_by_role("button", name="Try again").click()
    answered(page, HELLO)
    broken = 'event: question\ndata: {"version": 1, "index": 2, "title": "x"}\n\nevent: token\ndata: "Half"\n\n'
    page.route("**/turns", lambda route: route.fulfill(content_type="text/event-stream", body=broken), times=1)
    ask(page, "And then?")
    expect(page.get_by_role("alert")).to_contain_text("The connection broke")
    page.get_by_role("button", name="Reload the chat").click()
    answered(page, HELLO)
    shows(page, ["I am Ann", HELLO])


def test_a_chat_deleted_in_another_tab(new_page: NewPage) -> None:
    """Reloading it says that it is gone, and the list knows too."""
    page = new_page()
    ask(page, "I am Ann")
    answered(page, HELLO)
    other = page.context.new_page()
    other.goto(page.url)
    other.get_by_role("button", name="Delete").click()
    other.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(other.get_by_text("No chats yet.")).to_be_visible()
    ask(page, "Still there?")
    page.get_by_role("button", name="Reload the chat").click()
    expect(page.get_by_role("alert")).to_contain_text("There is no such chat")
    expect(page.get_by_text("No chats yet.")).to_be_visible()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [(("--model", "nobody:x"), "nobody"), (("--table", "No Table!"), "table")],
)
def test_a_wrong_start_says_what_to_do(arguments: tuple[str, ...], told: str) -> None:
    """One line and exit code 1, no traceback."""
    run = subprocess.run(
        [sys.executable, str(SERVE), *arguments],
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=60,
        env={**os.environ, "AWS_ENDPOINT_URL_DYNAMODB": "http://127.0.0.1:1", "AWS_MAX_ATTEMPTS": "1"},
    )
    assert run.returncode != 0
    assert told in run.stderr
    assert "Traceback" not in run.stderr
