"""The chat application end to end: its page in headless Chromium, served by two workers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from browsers import CHROMIUM, run_chat, run_chromium

pytest.importorskip("playwright", reason="no playwright: nox -s browser installs it")
if CHROMIUM is None:
    pytest.skip("no Chromium is installed (Debian: apt-get install chromium)", allow_module_level=True)

from playwright.sync_api import Page, expect

pytestmark = pytest.mark.once
NewPage = Callable[..., Page]


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
    assert [] == complaints


def ask(page: Page, text: str) -> None:
    """Type a question and send it."""
    page.get_by_label("Your question").fill(text)
    page.get_by_role("button", name="Send").click()


def texts(page: Page) -> list[str]:
    """What the conversation shows."""
    return page.locator(".message .text").all_text_contents()


def answered(page: Page, text: str) -> None:
    """Wait until the last message is this answer, and complete."""
    expect(page.locator(".message").last.locator(".text")).to_have_text(text)
    expect(page.get_by_role("button", name="Send")).to_be_visible()


def test_a_chat_is_kept(new_page: NewPage) -> None:
    """Question and answer appear, the list names the chat, and all is there again after a reload."""
    page = new_page()
    ask(page, "I am Ann")
    answered(page, "Hello Ann! I will remember that, as long as this chat is kept.")
    ask(page, "What is my name?")
    answered(page, "Your name is Ann.")
    expect(page.get_by_role("navigation").get_by_role("link", name="I am Ann")).to_have_attribute(
        "aria-current", "page"
    )
    shown = texts(page)
    page.reload()
    answered(page, "Your name is Ann.")
    assert texts(page) == shown
    assert len(shown) == 4
