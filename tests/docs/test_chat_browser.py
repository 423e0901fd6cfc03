"""The chat application end to end: its page in headless Chromium, served by two workers."""

from __future__ import annotations

import base64
import uuid
import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from browsers import CHROMIUM, run_chat, run_chromium
from langchain_dynamodb import SessionRepository
from users import COOKIE, current_user

if TYPE_CHECKING:
    from conftest import TestEngine

pytest.importorskip("playwright", reason="no playwright: nox -s browser installs it")

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, Route, expect

pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed (Debian: apt-get install chromium)"),
]
NewPage = Callable[..., Page]
T = TypeVar("T")
HELLO = "Hello Ann! I will remember that, as long as this chat is kept."


TABLE = f"langchain-dynamodb-chat-{uuid.uuid4().hex}"


@pytest.fixture(scope="module")
def address(engine: TestEngine) -> Iterator[str]:
    """The application with two workers, on a table of the test's engine: the tests can put chats there."""
    with run_chat("--table", TABLE, "--create-table", environment=engine.environment) as started:
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


def taken(page: Page, held: list[T]) -> T:
    """Wait until the page has asked for what is held back, and take it."""
    while not held:
        page.wait_for_timeout(20)
    return held.pop()


def put_chats(page: Page, engine: TestEngine, chats: dict[str, list[BaseMessage]]) -> None:
    """Store chats of the page's user, the last one as the newest."""
    user = current_user(next(cookie["value"] for cookie in page.context.cookies() if cookie["name"] == COOKIE))

    def put() -> None:
        with SessionRepository(TABLE, primary_key_name="PK", endpoint_url=engine.endpoint_url) as sessions:
            for name, messages in chats.items():
                sessions.append({"PK": user, "SK": name}, messages)

    with ThreadPoolExecutor(1) as pool:  # playwright has a running event loop in this thread
        pool.submit(put).result()


def long_chat(length: int) -> list[BaseMessage]:
    """Questions and answers, each of which says its number."""
    return [(AIMessage if i % 2 else HumanMessage)(f"number {i}") for i in range(length)]


def texts(page: Page) -> list[str]:
    """What the conversation shows."""
    return page.locator(".message .text").all_text_contents()


def shows(page: Page, expected: list[str]) -> None:
    """Wait until the conversation shows this."""
    expect(page.locator(".message .text")).to_have_text(expected)


def answered(page: Page, text: str) -> None:
    """Wait until the last message is this answer, and complete."""
    expect(page.locator(".message").last.locator(".text")).to_have_text(text)
    expect(page.get_by_role("button", name="Send")).to_be_enabled()


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
    expect(notice).to_contain_text("Rename has kept your title.")
    first.get_by_role("button", name="Reload the chat").click()
    expect(notice).to_be_hidden()
    shows(first, ["I am Ann", HELLO, "What is my name?", "Your name is Ann."])
    expect(first.get_by_label("Your question")).to_have_value("my late question")
    first.get_by_label("Your question").press("Enter")
    answered(first, "You said “my late question”. That was thing number 3 you told me; the first was “I am Ann”.")
    first.get_by_role("button", name="Rename").click()
    expect(first.get_by_label("New title")).to_have_value("Late")
    first.keyboard.press("Enter")
    expect(first.get_by_role("heading", level=1)).to_have_text("Late")


def test_branch_from_here(new_page: NewPage) -> None:
    """A new chat opens that ends with that message; it goes on by itself, and the first one is as it was."""
    page = new_page()
    ask(page, "I am Ann")
    answered(page, HELLO)
    ask(page, "What is my name?")
    answered(page, "Your name is Ann.")
    before, address = texts(page), page.url
    expect(page.get_by_role("button", name="Branch from here")).to_have_count(4)
    page.locator(".message").nth(1).get_by_role("button", name="Branch from here").dblclick()
    shows(page, before[:2])
    expect(page.get_by_role("heading", level=1)).to_have_text("Branch of I am Ann")
    expect(page.get_by_role("heading", level=1)).to_be_focused()
    assert page.url != address
    links = page.get_by_role("navigation").get_by_role("link")
    expect(links).to_have_text(["Branch of I am Ann", "I am Ann"])
    ask(page, "Tell me something else")
    expect(page.get_by_role("button", name="Send")).to_be_enabled()
    expect(page.locator(".message")).to_have_count(4)
    links.filter(has_text="I am Ann").last.click()
    shows(page, before)
    page.reload()
    shows(page, before)


def test_a_branch_of_an_old_state(new_page: NewPage) -> None:
    """Is refused, and says so; after a reload of the chat it can be made."""
    first = new_page()
    ask(first, "I am Ann")
    answered(first, HELLO)
    second = first.context.new_page()
    second.goto(first.url)
    answered(second, HELLO)
    ask(second, "What is my name?")
    answered(second, "Your name is Ann.")
    first.get_by_role("button", name="Branch from here").last.click()
    expect(first.get_by_role("alert")).to_contain_text("changed in another tab or on another device. No branch")
    first.get_by_role("button", name="Reload the chat").click()
    answered(first, "Your name is Ann.")
    first.get_by_role("button", name="Branch from here").last.click()
    expect(first.get_by_role("heading", level=1)).to_have_text("Branch of I am Ann")
    answered(first, "Your name is Ann.")


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


@pytest.mark.parametrize("exists", [False, True])
def test_stop_before_the_answer_begins(new_page: NewPage, exists: bool) -> None:
    """What did not reach the server is back in the box, before what was typed meanwhile; it can be sent again."""
    page = new_page()
    before = []
    if exists:
        ask(page, "I am Ann")
        answered(page, HELLO)
        before = texts(page)
    page.route("**/turns", lambda route: None, times=1)  # never gets there
    ask(page, "What is my name?")
    question = page.get_by_label("Your question")
    question.fill("I forgot.")
    page.get_by_role("button", name="Stop").click()
    expect(question).to_have_value("What is my name?\n\nI forgot.")
    shows(page, before)
    expect(page.get_by_text("Your question was not sent.")).to_be_attached()
    question.fill("What is my name?")
    question.press("Enter")
    answered(page, "Your name is Ann." if exists else "You have not told me your name.")
    expect(question).to_have_value("")


def test_double_clicks(new_page: NewPage) -> None:
    """They do what single ones do, also where another button takes the place of the first."""
    page = new_page()
    page.get_by_label("Your question").fill("I am Ann")
    page.get_by_role("button", name="Send").dblclick()
    answered(page, HELLO)
    page.get_by_role("button", name="Edit").click()
    page.get_by_label("Edit your question").fill("I am Bob")
    page.get_by_role("button", name="Ask this").dblclick()
    answered(page, HELLO.replace("Ann", "Bob"))
    page.get_by_role("button", name="Regenerate").dblclick()
    answered(page, HELLO.replace("Ann", "Bob"))
    shows(page, ["I am Bob", HELLO.replace("Ann", "Bob")])
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").dblclick()
    expect(page.get_by_text("No chats yet.")).to_be_visible()
    expect(page.get_by_role("alert")).to_be_hidden()


def test_an_open_editor_waits_in_its_chat(new_page: NewPage) -> None:
    """Whoever looks at another chat meanwhile finds it as it was; once cancelled, it is gone."""
    page = new_page()
    ask(page, "I am Ann")
    answered(page, HELLO)
    page.get_by_role("button", name="Edit").click()
    editor = page.get_by_label("Edit your question")
    editor.fill("I am Bob")
    page.get_by_role("button", name="New chat").click()
    shows(page, [])
    expect(editor).to_have_count(0)
    page.get_by_role("link", name="I am Ann").click()
    expect(editor).to_have_value("I am Bob")
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="New chat").click()
    page.get_by_role("link", name="I am Ann").click()
    answered(page, HELLO)
    expect(editor).to_have_count(0)
    page.get_by_role("button", name="Edit").click()
    editor.fill("I am Bob")
    page.get_by_role("button", name="New chat").click()
    page.get_by_role("link", name="I am Ann").click()
    page.get_by_role("button", name="Ask this").click()
    answered(page, HELLO.replace("Ann", "Bob"))
    shows(page, ["I am Bob", HELLO.replace("Ann", "Bob")])


def test_stop_when_the_server_has_it_already(new_page: NewPage) -> None:
    """A question that is stored is shown, and does not come back to be sent twice."""
    page = new_page()
    ask(page, "I am Ann")
    answered(page, HELLO)
    sent: list[bool] = []
    page.route("**/turns", lambda route: sent.append(route.fetch().ok), times=1)  # the response is lost
    ask(page, "What is my name?")
    taken(page, sent)
    page.get_by_role("button", name="Stop").click()
    answered(page, "Your name is Ann.")
    expect(page.get_by_label("Your question")).to_have_value("")
    expect(page.get_by_text("Stopped.", exact=True)).to_be_attached()


def test_a_refused_question_waits_in_its_chat(new_page: NewPage) -> None:
    """Whoever went on to another chat meanwhile finds the text where it was typed."""
    page = new_page()
    for text in ("I am Ann", "I am Bob"):
        ask(page, text)
        answered(page, HELLO.replace("Ann", text[-3:]))
        page.get_by_role("button", name="New chat").click()
    page.get_by_role("link", name="I am Ann").click()
    answered(page, HELLO)
    held: list[Route] = []
    page.route("**/turns", lambda route: held.append(route), times=1)
    ask(page, "What is my name?")
    page.get_by_role("link", name="I am Bob").click()
    answered(page, HELLO.replace("Ann", "Bob"))
    taken(page, held).fulfill(status=412, json={"detail": "changed"})
    expect(page.get_by_role("alert")).to_contain_text("“I am Ann” was changed in another tab")
    expect(page.get_by_label("Your question")).to_have_value("")
    page.get_by_role("button", name="Open it").click()
    answered(page, HELLO)
    expect(page.get_by_label("Your question")).to_have_value("What is my name?")


def test_what_is_typed_outlives_a_reload(new_page: NewPage) -> None:
    """A draft, and a refused question that waits in another chat; what was sent does not come back."""
    page = new_page()
    ask(page, "I am Ann")
    answered(page, HELLO)
    page.reload()
    answered(page, HELLO)
    question = page.get_by_label("Your question")
    expect(question).to_have_value("")
    held: list[Route] = []
    page.route("**/turns", lambda route: held.append(route), times=1)
    ask(page, "What is my name?")
    page.get_by_role("button", name="New chat").click()
    taken(page, held).fulfill(status=412, json={})
    expect(page.get_by_role("alert")).to_contain_text("changed in another tab")
    question.fill("a draft")
    page.reload()
    expect(question).to_have_value("a draft")
    question.fill("")
    page.get_by_role("link", name="I am Ann").click()
    expect(question).to_have_value("What is my name?")
    answered(page, HELLO)
    question.press("Enter")
    answered(page, "Your name is Ann.")
    page.reload()
    answered(page, "Your name is Ann.")
    expect(question).to_have_value("")


def test_a_browser_that_keeps_nothing(new_page: NewPage) -> None:
    """Where the tab's storage is forbidden, the page works all the same."""
    page = new_page()
    page.add_init_script("Object.defineProperty(window, 'sessionStorage', {get() { throw new DOMException('no'); }})")
    page.reload()
    ask(page, "I am Ann")
    answered(page, HELLO)
    page.reload()
    answered(page, HELLO)


def test_show_earlier_messages(new_page: NewPage, engine: TestEngine) -> None:
    """The newest hundred, then twice as many; what is on the screen, and what is being typed, stays."""
    page = new_page()
    put_chats(page, engine, {"long": long_chat(250)})
    page.goto(f"{page.url}#long")
    shown = page.locator(".message .text")
    expect(shown).to_have_count(100)
    page.get_by_role("button", name="Edit").first.click()
    page.get_by_label("Edit your question").fill("a better one")
    earlier = page.get_by_role("button", name="Show earlier messages")
    earlier.scroll_into_view_if_needed()
    before = page.get_by_text("number 151").bounding_box()
    earlier.click()
    expect(shown).to_have_count(199)  # and the one that is edited
    assert page.get_by_text("number 151").bounding_box() == pytest.approx(before, abs=1)
    expect(page.get_by_label("Edit your question")).to_have_value("a better one")
    expect(earlier).to_be_focused()
    page.get_by_role("button", name="Cancel").click()
    earlier.click()
    shows(page, [message.text for message in long_chat(250)])
    expect(earlier).to_be_hidden()
    expect(page.get_by_role("region", name="Conversation")).to_be_focused()
    ask(page, "I am Ann")
    answered(page, HELLO)
    expect(shown).to_have_count(252)


def test_there_is_an_end_to_earlier_messages(new_page: NewPage) -> None:
    """Not more are asked for than the server gives at once; the page says so."""
    page = new_page()
    limits: list[str] = []

    def give(route: Route) -> None:
        limits.append(route.request.url.partition("limit=")[2])
        message = {"index": 9000, "type": "human", "text": f"with {limits[-1]}", "stopped": False}
        route.fulfill(json={"title": "Long", "version": 1, "messages": [message]})

    page.route("**/api/chats/long?*", give)
    page.goto(f"{page.url}#long")
    earlier = page.get_by_role("button", name="Show earlier messages")
    for limit in (100, 200, 400, 800, 1600, 3200):
        shows(page, [f"with {limit}"])
        earlier.click()
    shows(page, ["with 5000"])
    expect(earlier).to_be_hidden()
    expect(page.get_by_text("There are earlier messages")).to_be_visible()


def test_an_old_state_does_not_replace_a_new_one(new_page: NewPage, engine: TestEngine) -> None:
    """What was loaded before a question was asked, but comes after it, is dropped."""
    page = new_page()
    put_chats(page, engine, {"long": long_chat(102)})
    page.goto(f"{page.url}#long")
    expect(page.locator(".message")).to_have_count(100)
    held: list[Any] = []
    page.route("**/api/chats/long?limit=200", lambda route: held.append((route, route.fetch())), times=1)
    page.get_by_role("button", name="Show earlier messages").click()
    route, old = taken(page, held)
    ask(page, "I am Ann")
    answered(page, HELLO)
    with page.expect_response("**/api/chats/long?limit=200"):
        route.fulfill(response=old)
    page.wait_for_timeout(50)
    answered(page, HELLO)
    expect(page.locator(".message")).to_have_count(102)


def test_show_more_chats(new_page: NewPage, engine: TestEngine) -> None:
    """Thirty at a time; those that were loaded stay in the list when it is loaded anew."""
    page = new_page()
    put_chats(page, engine, {f"chat-{i}": long_chat(2) for i in range(65)})
    page.reload()
    links = page.get_by_role("navigation").get_by_role("link")
    more = page.get_by_role("button", name="Show more")
    expect(links).to_have_count(30)
    more.click()
    expect(links).to_have_count(60)
    expect(more).to_be_focused()
    ask(page, "I am Ann")
    answered(page, HELLO)
    expect(links).to_have_count(60)
    expect(links.first).to_have_text("I am Ann")
    more.click()
    expect(links).to_have_count(66)
    expect(more).to_be_hidden()
    expect(links.nth(60)).to_be_focused()
    hashes = [link.get_attribute("href") for link in links.all()]
    assert hashes[1:] == [f"#chat-{i}" for i in reversed(range(65))]
    with page.expect_response("**/api/chats?cursor=*"):
        ask(page, "What is my name?")
    answered(page, "Your name is Ann.")
    expect(links).to_have_count(66)


def test_a_broken_address(new_page: NewPage, address: str) -> None:
    """What is no chat's address is said to be none, and the page goes on."""
    page = new_page()
    notice = page.get_by_role("alert")
    for name in ("%", "%E0%A4%A", "a~lc~b", "../x", "x" * 65):
        page.goto(f"{address}/#{name}")
        expect(notice).to_contain_text("There is no such chat")
        notice.get_by_role("button", name="Dismiss").click()
    ask(page, "I am Ann")
    answered(page, HELLO)


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
    answered(page, f"You said “{evil}”. Ask me for a story, for a table, or tell me your name and ask for it later.")
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
    page.get_by_label("Your question").fill("My name is Ann" + "-" * 200)
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


def test_the_order_of_the_focus(new_page: NewPage) -> None:
    """Tab goes through all that can be operated, once, in the order in which it is read."""
    page = new_page()
    ask(page, "I am Ann")
    answered(page, HELLO)
    page.reload()
    answered(page, HELLO)
    expect(page.get_by_role("link", name="I am Ann")).to_be_visible()
    page.get_by_role("link", name="Skip to the question").focus()
    order = []
    name = "(e => e.ariaLabel ?? e.labels?.[0]?.textContent ?? e.textContent)(document.activeElement)"
    for _ in range(14):
        order.append(page.evaluate(name))
        page.keyboard.press("Tab")
    chats = ["Skip to the question", "New chat", "I am Ann"]
    conversation = ["Rename", "Delete", "Conversation", "Edit", "Branch from here", "Copy", "Regenerate"]
    conversation += ["Branch from here"]
    conversation += ["Add images", "Your question", "Send"]
    assert order == chats + conversation
    assert page.evaluate("document.activeElement === document.body")


# Elements that stick out of the screen, and boxes that would have to be scrolled sideways.
BEYOND = """() => [...document.querySelectorAll("body *")].filter((element) =>
    element.checkVisibility({visibilityProperty: true}) && !element.closest(".unseen, .skip")
    && (element.getBoundingClientRect().right > innerWidth + 0.5 || element.getBoundingClientRect().left < -0.5
        || (element.matches("nav, main, #scroller, dialog") && element.scrollWidth > element.clientWidth))
).map((element) => element.outerHTML)"""


@pytest.mark.parametrize("width", [320, 360])
def test_nothing_is_wider_than_the_screen(new_page: NewPage, engine: TestEngine, width: int) -> None:
    """Whatever is on the screen, and however long its words are; axe finds nothing here either."""
    page = new_page(viewport={"width": width, "height": 640}, reduced_motion="reduce")
    long = [HumanMessage("x" * 300), AIMessage("https://" + "y" * 300)]
    put_chats(page, engine, {f"chat-{i}": long for i in range(32)} | {"long": long_chat(100) + long})
    page.goto(f"{page.url}#long")
    page.reload()
    expect(page.get_by_role("button", name="Show earlier messages")).to_be_visible()
    states = {"chat": None, "edit": "Edit", "rename": "Rename", "delete": "Delete", "list": "Chats"}
    for state, button in states.items():
        if button is not None:
            page.get_by_role("button", name=button, exact=True).last.click()
        if state == "list":
            expect(page.get_by_role("button", name="Show more")).to_be_visible()
        assert (state, page.evaluate(BEYOND)) == (state, [])
        if width == 360 and state in ("chat", "list"):
            check_with_axe(page, state, without=["skip-link"])  # it takes a chat below the edge of the list for one
        if state in ("rename", "delete"):
            page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Cancel").click()
    page.route("**/turns", lambda route: route.fulfill(status=412, json={}), times=1)
    ask(page, "z" * 300)
    expect(page.get_by_role("alert")).to_be_visible()
    assert page.evaluate(BEYOND) == []


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


def check_with_axe(page: Page, state: str, without: Iterable[str] = ()) -> None:
    """Run axe-core with all its rules but these."""
    options = {"rules": {rule: {"enabled": False} for rule in without}}
    found = Axe().run(page, options=options).response["violations"]
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
    cut = f"**/api/chats/{page.url.partition('#')[2]}?*"
    page.route(cut, lambda route: route.fulfill(content_type="application/json", body='{"title": "I a'), times=1)
    page.reload()
    expect(page.get_by_role("alert")).to_contain_text("The server cannot be reached.")
    page.get_by_role("button", name="Try again").click()
    answered(page, HELLO)


def test_a_slow_connection(new_page: NewPage) -> None:
    """What is asked before the chat is there waits for it; where it never comes, it can be opened again."""
    page = new_page()
    ask(page, "I am Ann")
    answered(page, HELLO)
    chat = page.url.partition("#")[2]
    held: list[Route] = []
    page.route(f"**/api/chats/{chat}?*", lambda route: held.append(route), times=2)
    page.reload()
    expect(page.get_by_role("link", name="I am Ann")).to_be_visible()
    question, send = page.get_by_label("Your question"), page.get_by_role("button", name="Send")
    expect(send).to_be_disabled()
    expect(page.get_by_text("Ask something.")).to_be_hidden()
    expect(page.get_by_role("heading", level=1)).to_have_text("Loading…")
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.method))
    question.fill("What is my name?")
    question.press("Enter")
    expect(question).to_have_value("What is my name?")
    taken(page, held).abort()
    expect(page.get_by_role("alert")).to_contain_text("The server cannot be reached.")
    assert "POST" not in sent
    page.get_by_role("button", name="Dismiss").click()
    page.get_by_role("link", name="I am Ann").click()
    taken(page, held).continue_()
    answered(page, HELLO)
    question.press("Enter")
    answered(page, "Your name is Ann.")


@pytest.mark.parametrize("action", ["delete", "reload"])
def test_leaving_a_chat_while_it_goes(new_page: NewPage, action: str) -> None:
    """Whoever opens another chat meanwhile stays there when the first one turns out to be gone."""
    page = new_page()
    for text in ("I am Ann", "I am Bob"):
        ask(page, text)
        answered(page, HELLO.replace("Ann", text[-3:]))
        page.get_by_role("button", name="New chat").click()
    first = page.get_by_role("link", name="I am Ann")
    first.click()
    answered(page, HELLO)
    if action == "reload":
        page.route("**/turns", lambda route: route.fulfill(status=412, json={}), times=1)
        ask(page, "Still there?")
    held: list[Route] = []
    page.route(f"**/api/chats/{page.url.partition('#')[2]}*", lambda route: held.append(route), times=1)
    if action == "reload":
        page.get_by_role("button", name="Reload the chat").click()
    else:
        page.get_by_role("button", name="Delete").click()
        page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    page.get_by_role("link", name="I am Bob").click()
    answered(page, HELLO.replace("Ann", "Bob"))
    taken(page, held).fulfill(**{"status": 404, "json": {}} if action == "reload" else {"status": 204})
    expect(first).to_have_count(0)
    expect(page.get_by_role("heading", level=1)).to_have_text("I am Bob")
    answered(page, HELLO.replace("Ann", "Bob"))


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
    page.get_by_role("button", name="Rename").click()
    page.get_by_label("New title").fill("Late")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("This chat was deleted in another tab")
    ask(page, "Still there?")
    expect(page.get_by_role("alert")).to_contain_text("deleted in another tab or on another device. Your question is")
    page.get_by_role("button", name="Reload the chat").click()
    expect(page.get_by_role("alert")).to_contain_text("There is no such chat")
    expect(page.get_by_text("No chats yet.")).to_be_visible()
    expect(page.get_by_label("Your question")).to_have_value("Still there?")


# --- Images ---


def png(width: int, height: int, colour: tuple[int, int, int] = (30, 90, 200)) -> bytes:
    """A picture of one colour."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x08\x02\x00\x00\x00"
    rows = (b"\x00" + bytes(colour) * width) * height
    data = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + data


PICTURE = png(64, 48)
SEEN = f"I see a PNG image of 64 by 48 pixels ({len(PICTURE)} bytes). "
SEEN += "I am only a script: a model with eyes would tell you more."
GIVE = """([selector, name, type, encoded, event]) => {
  const bytes = Uint8Array.from(atob(encoded), (c) => c.charCodeAt(0));
  const given = new DataTransfer();
  given.items.add(new File([bytes], name, { type }));
  const made = event === "paste"
    ? new ClipboardEvent("paste", { clipboardData: given, bubbles: true, cancelable: true })
    : new DragEvent(event, { dataTransfer: given, bubbles: true, cancelable: true });
  return document.querySelector(selector).dispatchEvent(made);
}"""


def choose(page: Page, *pictures: bytes, name: str = "picture.png", kind: str = "image/png") -> None:
    """Choose files."""
    page.locator("#files").set_input_files([{"name": name, "mimeType": kind, "buffer": data} for data in pictures])


def give(page: Page, event: str, data: bytes = PICTURE, name: str = "picture.png", kind: str = "image/png") -> bool:
    """Paste or drop a file; returns whether the browser would do with it what it does by itself."""
    selector = "#question" if event == "paste" else "#scroller"
    return bool(page.evaluate(GIVE, [selector, name, kind, base64.b64encode(data).decode(), event]))


def to_send(page: Page, count: int) -> None:
    """Wait until so many images are to be sent."""
    expect(page.locator("#pictures img")).to_have_count(count)


def sizes(page: Page) -> list[list[int]]:
    """Width and height of the images in the conversation, once they are there."""
    page.wait_for_function("[...document.querySelectorAll('.images img')].every((one) => one.complete)")
    found: list[list[int]] = page.evaluate(
        "[...document.querySelectorAll('.images img')].map((one) => [one.naturalWidth, one.naturalHeight])"
    )
    return found


def test_images_are_chosen_pasted_and_dropped(new_page: NewPage) -> None:
    """They are shown before and after they are sent, and after a reload; the model tells what is true of them."""
    page = new_page()
    choose(page, PICTURE)
    to_send(page, 1)
    assert not give(page, "paste")
    to_send(page, 2)
    assert not give(page, "dragover")
    expect(page.locator("main")).to_have_class("dropping")
    assert not give(page, "drop", png(10, 20))
    to_send(page, 3)
    expect(page.locator("main")).not_to_have_class("dropping")
    page.get_by_role("button", name="Remove image 2").click()
    to_send(page, 2)
    ask(page, "What is this?")
    to_send(page, 0)
    expect(page.locator(".message.ai .text")).to_contain_text("64 by 48 pixels")
    expect(page.locator(".message.ai .text")).to_contain_text("10 by 20 pixels")
    expect(page.get_by_role("button", name="Send")).to_be_enabled()
    assert sizes(page) == [[64, 48], [10, 20]]
    page.reload()
    expect(page.locator(".images img")).to_have_count(2)
    assert sizes(page) == [[64, 48], [10, 20]]


def test_an_image_needs_no_words(new_page: NewPage) -> None:
    """The chat is named after it; asked again and edited, it stays with the question."""
    page = new_page()
    choose(page, PICTURE)
    to_send(page, 1)
    page.get_by_role("button", name="Send").click()
    answered(page, SEEN)
    expect(page.get_by_role("heading", level=1)).to_have_text("A picture")
    page.reload()
    answered(page, SEEN)
    page.get_by_role("button", name="Regenerate").click()
    answered(page, SEEN)
    page.get_by_role("button", name="Edit").click()
    page.get_by_label("Edit your question").fill("And this?")
    page.get_by_role("button", name="Ask this").click()
    answered(page, SEEN)
    shows(page, ["And this?", SEEN])
    assert sizes(page) == [[64, 48]]


@pytest.mark.parametrize(
    ("pictures", "name", "kind", "told"),
    [
        ([bytes(5_100_000)], "big.png", "image/png", "“big.png” has 5.1 MB. An image may have 5 MB at most."),
        ([b"%PDF"], "x.pdf", "application/pdf", "“x.pdf” is no image that can be sent: PNG, JPEG, GIF or WebP."),
        ([PICTURE] * 5, "x.png", "image/png", "A question may have 4 images at most."),
        ([bytes(4_000_000)] * 3, "x.png", "image/png", "The images have more than 10 MB together."),
    ],
)
def test_images_that_cannot_be_sent(new_page: NewPage, pictures: list[bytes], name: str, kind: str, told: str) -> None:
    """The page says why before anything is sent; what is good of them stays."""
    page = new_page()
    choose(page, *pictures, name=name, kind=kind)
    expect(page.get_by_role("alert")).to_contain_text(told)
    to_send(page, 0 if len(pictures) == 1 else len(pictures) - 1)


def test_an_image_the_server_refuses(new_page: NewPage) -> None:
    """Question and image are back where they were; the reason is shown."""
    page = new_page()
    choose(page, b"no picture")
    to_send(page, 1)
    ask(page, "What is this?")
    expect(page.get_by_role("alert")).to_contain_text("Image 1 is none that can be shown")
    expect(page.get_by_label("Your question")).to_have_value("What is this?")
    to_send(page, 1)
    shows(page, [])


def test_images_come_back_with_their_question(new_page: NewPage) -> None:
    """A server that is busy, and one more attempt: the question is asked once, with its image."""
    page = new_page()
    busy = {"status": 503, "body": '{"detail": "busy"}', "headers": {"Retry-After": "1"}}
    page.route("**/turns", lambda route: route.fulfill(**busy))  # type: ignore[arg-type]
    choose(page, PICTURE)
    to_send(page, 1)
    ask(page, "What is this?")
    expect(page.get_by_role("alert")).to_contain_text("busy at the moment")
    to_send(page, 1)
    page.unroute("**/turns")
    page.get_by_role("button", name="Try again").click()
    answered(page, SEEN)
    to_send(page, 0)
    expect(page.get_by_label("Your question")).to_have_value("")


def test_pasted_words_are_words(new_page: NewPage) -> None:
    """Only files are taken out of the clipboard."""
    page = new_page()
    pasted = page.evaluate(
        """() => {
          const given = new DataTransfer();
          given.setData("text/plain", "words");
          return document.querySelector("#question").dispatchEvent(
            new ClipboardEvent("paste", { clipboardData: given, bubbles: true, cancelable: true }));
        }"""
    )
    assert pasted
    to_send(page, 0)


def test_images_are_accessible(new_page: NewPage) -> None:
    """Also on the smallest phone, with images to be sent and some that were."""
    page = new_page(viewport={"width": 320, "height": 568})
    choose(page, PICTURE)
    to_send(page, 1)
    page.get_by_role("button", name="Send").click()
    answered(page, SEEN)
    choose(page, *[png(400, 300)] * 4)
    to_send(page, 4)
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
