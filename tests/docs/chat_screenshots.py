"""Take the pictures of docs/howto/chat-application.md: ``python tests/docs/chat_screenshots.py docs/images``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from browsers import run_chat, run_chromium


def main(folder: Path) -> None:
    """Talk to the application as a user would, and take four pictures."""
    with run_chat(workers=1) as address, run_chromium() as chromium:
        context = chromium.new_context(viewport={"width": 900, "height": 560})
        page = context.new_page()
        page.goto(address)
        for question in ("Which instances do I need for 100 users?", "Notes on the release"):
            ask(page, question)
            page.get_by_role("button", name="New chat").click()
        ask(page, "I am Ann, and I like tables")
        ask(page, "Tell me a story", until=" Then a second")
        page.screenshot(path=folder / "chat-streaming.png")
        complete(page)
        state = context.storage_state()

        markdown = context.new_page()
        markdown.goto(address)
        ask(markdown, "Show me a table")
        markdown.screenshot(path=folder / "chat-markdown.png")

        other = context.new_page()
        other.goto(page.url)
        ask(other, "What is my name?")
        ask(page, "Is the second writer still there?", until="")
        page.get_by_role("button", name="Reload the chat").wait_for()
        page.screenshot(path=folder / "chat-conflict.png")

        phone = chromium.new_context(
            viewport={"width": 360, "height": 640}, is_mobile=True, has_touch=True, color_scheme="dark",
            storage_state=state,
        ).new_page()  # fmt: skip
        phone.goto(page.url)
        phone.get_by_text("Your name is Ann.").wait_for()
        phone.screenshot(path=folder / "chat-phone.png")


def ask(page: Any, question: str, until: str | None = None) -> None:
    """Ask, and wait for the answer or a part of it."""
    page.get_by_label("Your question").fill(question)
    page.get_by_role("button", name="Send").click()
    if until is None:
        complete(page)
    else:
        page.get_by_text(until or question).first.wait_for()


def complete(page: Any) -> None:
    """Wait until the answer has ended."""
    page.locator(".message.ai").last.wait_for()
    page.get_by_role("button", name="Send").wait_for()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
