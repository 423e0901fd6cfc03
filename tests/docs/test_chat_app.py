"""The chat application over HTTP: what is stored, whatever happens to model, browser, storage and server."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.outputs import ChatGenerationChunk
from pydantic import Field
from starlette.requests import ClientDisconnect

import answers
import application
from application import Settings
from images import kind_of, question_of
from langchain_dynamodb import AsyncSessionRepository
from langchain_dynamodb.blobs import S3Blobs
from langchain_dynamodb.errors import ThrottledError
from langchain_dynamodb.surrogates import mended
from models import ScriptedModel, answer, choose_model
from richtext import render
from support import Call, Hooked, Meter, watch
from test_richtext import HOSTILE, counting
from users import COOKIE, current_user

if TYPE_CHECKING:
    from conftest import TestEngine

pytestmark = [pytest.mark.once, pytest.mark.any_engine]
LONG = {
    "pictures": "![" * 10_000,
    "a table": "|a" * 60 + "\n" + "|-" * 60 + "\n" + ("|b" * 60 + "\n") * 150,
    "emphasis": "**a** `b` *c*\n\n" * 1300,
}


class Told(ScriptedModel):
    """Answers with these words; what stands in `before` happens before the word of that number."""

    words: tuple[str, ...] = ("one ", "two ", "three")
    before: dict[int, Any] = Field(default_factory=dict)
    seen: list[Any] = Field(default_factory=list)

    async def _astream(self, messages: list[BaseMessage], *_: Any, **__: Any) -> AsyncIterator[ChatGenerationChunk]:
        self.seen[:] = messages
        for i in range(len(self.words) + 1):
            if i in self.before:
                await self.before[i]()
            if i < len(self.words):
                yield ChatGenerationChunk(message=AIMessageChunk(content=self.words[i]))


@dataclass
class Running:
    """The application, run within the test's event loop."""

    app: Any
    state: Mapping[str, Any]
    model: Told

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app({**scope, "state": dict(self.state)}, receive, send)

    @property
    def sessions(self) -> AsyncSessionRepository:
        repository: AsyncSessionRepository = self.state["sessions"]
        return repository


class Browser(httpx.AsyncClient):
    """A browser with cookies of its own."""

    def __init__(self, chat: Running) -> None:
        super().__init__(transport=httpx.ASGITransport(chat), base_url="http://chat")

    async def ask(
        self, text: str, version: int = 0, keep: int | None = None, chat: str = "c", images: Sequence[bytes] = ()
    ) -> httpx.Response:
        """Ask a question."""
        body = {"text": text, "keep": keep, "images": [base64.b64encode(image).decode() for image in images]}
        return await self.post(f"/api/chats/{chat}/turns", json=body, headers=if_match(version))

    async def show(self, chat: str = "c") -> Any:
        """The chat as the page gets it."""
        return (await self.get(f"/api/chats/{chat}")).json()

    async def texts(self, chat: str = "c") -> list[str]:
        """The texts of the chat's messages."""
        return [message["text"] for message in (await self.show(chat))["messages"]]

    async def version(self, chat: str = "c") -> int:
        """The chat's version."""
        return int((await self.show(chat))["version"])


def if_match(version: int) -> dict[str, str]:
    """The header that says which version is known."""
    return {"If-Match": f'"{version}"'}


def events(response: httpx.Response) -> list[tuple[str, Any]]:
    """The server-sent events of an answer; how its Markdown looks is tested by itself."""
    return [(name, data) for name, data in all_events(response) if name != "blocks"]


def all_events(response: httpx.Response) -> list[tuple[str, Any]]:
    """The same with the blocks of Markdown."""
    assert (response.status_code, response.headers["content-type"].partition(";")[0]) == (200, "text/event-stream")
    parts = [part.split("\n") for part in response.text.split("\n\n") if part]
    return [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in parts]


@pytest.fixture
async def chat(engine: TestEngine, dynamodb: Any) -> AsyncIterator[Running]:
    """The application with a table of its own."""
    settings = Settings(f"langchain-dynamodb-chat-{uuid.uuid4().hex}", engine.endpoint_url or "")
    async with settings.open_sessions() as sessions:
        await application.create_table(sessions)
    model = Told(pause=0)
    app = application.create(settings, model)
    async with app.router.lifespan_context(app) as state:
        yield Running(app, state, model)
    dynamodb.delete_table(TableName=settings.table)


@pytest.fixture
async def browser(chat: Running) -> AsyncIterator[Browser]:
    """A browser that has loaded the page."""
    async with Browser(chat) as client:
        await client.get("/")
        yield client


async def test_a_turn_is_streamed_and_stored(chat: Running, browser: Browser) -> None:
    """The question comes first, the answer word by word, and both are stored in that order."""
    first = events(await browser.ask("What is a table?"))
    assert [name for name, _ in first] == ["question", "token", "token", "token", "done"]
    assert [data for name, data in first if name == "token"] == ["one ", "two ", "three"]
    second = events(await browser.ask("And a key?", first[-1][1]["version"]))
    shown = await browser.show()
    assert [(m["index"], m["type"], m["text"]) for m in shown["messages"]] == [
        (0, "human", "What is a table?"),
        (1, "ai", "one two three"),
        (2, "human", "And a key?"),
        (3, "ai", "one two three"),
    ]
    assert (shown["title"], shown["version"]) == ("What is a table?", second[-1][1]["version"])
    assert [(data["index"], data.get("title")) for name, data in second if name != "token"] == [
        (2, "What is a table?"),
        (3, None),
    ]
    assert [message.type for message in chat.model.seen] == ["system", "human", "ai", "human"]


@pytest.mark.parametrize("name", LONG)
async def test_other_chats_go_on_while_markdown_is_read(chat: Running, browser: Browser, name: str) -> None:
    """To stream and to show what takes long to read costs the event loop no more than plain words of that length."""
    spent = []
    for number, written in enumerate(["word " * (len(LONG[name]) // 5), LONG[name]]):
        chat.model.words = tuple(written[start : start + 2000] for start in range(0, len(written), 2000))
        with counting() as count:
            await browser.ask("q", chat=f"c{number}")
            shown = await browser.show(f"c{number}")
        spent.append(count[0])
        assert shown["messages"][1]["text"] == written
    assert spent[1] < 1.5 * spent[0]


async def test_the_model_sees_the_question_before_it_answers(chat: Running, browser: Browser) -> None:
    """The question is stored when the model begins: a crash from then on cannot lose it."""
    stored: list[str] = []

    async def look() -> None:
        stored.extend(await browser.texts())

    chat.model.before = {0: look}
    await browser.ask("Is it safe?")
    assert stored == ["Is it safe?"]


async def test_the_list_is_newest_first_and_goes_on(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chats come by their last change, a few at a time; a place in another list is refused."""
    monkeypatch.setattr(application, "LISTED", 2)
    for name in ("a", "b", "c"):
        await browser.ask(f"About {name}", chat=name)
    await browser.ask("Again", await browser.version("a"), chat="a")
    first = (await browser.get("/api/chats")).json()
    rest = (await browser.get("/api/chats", params={"cursor": first["next"]})).json()
    assert [chat["title"] for chat in first["chats"] + rest["chats"]] == ["About a", "About c", "About b"]
    assert [chat["id"] for chat in first["chats"]] == ["a", "c"]
    assert rest["next"] is None
    assert (await browser.get("/api/chats", params={"cursor": "elsewhere"})).status_code == 400


async def test_users_are_kept_apart(chat: Running, browser: Browser) -> None:
    """The same id is another chat for another browser; nothing of the first one can be seen or changed."""
    await browser.ask("Alice's secret")
    async with Browser(chat) as other:
        await other.get("/")
        assert (await other.get("/api/chats")).json()["chats"] == []
        assert (await other.get("/api/chats/c")).status_code == 404
        version = await browser.version()
        for method, address in (("DELETE", "/api/chats/c"), ("PATCH", "/api/chats/c"), ("POST", "/api/chats/c/turns")):
            body = {"title": "Mine", "text": "Mine"} if method != "DELETE" else None
            answer = await other.request(method, address, json=body, headers=if_match(version))
            assert (method, answer.status_code) == (method, 412)
        await other.ask("Bob's own")
        assert await other.texts() == ["Bob's own", "one two three"]
    assert await browser.texts() == ["Alice's secret", "one two three"]


@pytest.mark.parametrize("secret", ["", "guess", "0" * 31, "0" * 32 + "/../x"])
async def test_nobody_gets_nothing(chat: Running, secret: str) -> None:
    """Without a secret of ours, every address of the API answers 401."""
    async with Browser(chat) as client:
        if secret:
            client.cookies.set("chat_user", secret)
        answers = [await client.get("/api/chats"), await client.get("/api/chats/c"), await client.ask("hi")]
        answers += [await client.delete("/api/chats/c", headers=if_match(1))]
        answers += [await client.patch("/api/chats/c", json={"title": "x"}, headers=if_match(1))]
    assert [answer.status_code for answer in answers] == [401] * 5


async def test_the_page_makes_the_browser_known_and_is_confined(chat: Running) -> None:
    """One secret for each browser, out of reach of scripts; nothing but what is the page's own may be loaded."""
    async with Browser(chat) as client:
        page = await client.get("/")
        attributes = page.headers["set-cookie"].lower()
        assert all(word in attributes for word in ("httponly", "samesite=lax", "path=/"))
        assert "secure" not in attributes
        again = await client.get("/")
        assert again.headers["set-cookie"].partition(";")[0] == page.headers["set-cookie"].partition(";")[0]
        assert "unsafe" not in page.headers["content-security-policy"]
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert (await client.get("/page/chat.js")).headers["x-content-type-options"] == "nosniff"
        client.cookies.clear()
        assert "secure" in (await client.get("https://chat/")).headers["set-cookie"].lower()
    source = (Path(application.__file__).parent / "page/index.html").read_text(encoding="utf-8")
    assert "http" not in source
    assert "style=" not in source


async def test_an_edit_takes_the_place_of_what_came_after(browser: Browser) -> None:
    """The history up to the edited question is kept, the rest is dropped."""
    await browser.ask("first")
    await browser.ask("second", await browser.version())
    edited = events(await browser.ask("better", await browser.version(), keep=2))
    assert edited[0][1]["index"] == 2
    assert await browser.texts() == ["first", "one two three", "better", "one two three"]


async def test_a_branch_is_a_chat_of_its_own(chat: Running, browser: Browser) -> None:
    """It begins with what was said up to there, is listed, and neither changes the other."""
    await browser.ask("first")
    await browser.ask("second", await browser.version())
    version = await browser.version()
    made = await browser.post("/api/chats/c/branches", json={"id": "fork", "keep": 2}, headers=if_match(version))
    assert (made.status_code, made.json()["title"]) == (201, "Branch of first")
    made = await browser.post("/api/chats/c/branches", json={"id": "fork", "keep": 2}, headers=if_match(version))
    assert (made.status_code, made.json()["title"]) == (201, "Branch of first")  # whose first answer was lost
    assert await browser.texts("fork") == ["first", "one two three"]
    assert await browser.version("fork") == made.json()["version"]
    await browser.ask("another way", made.json()["version"], chat="fork")
    assert await browser.texts("fork") == ["first", "one two three", "another way", "one two three"]
    assert await browser.texts() == ["first", "one two three", "second", "one two three"]
    assert [listed["id"] for listed in (await browser.get("/api/chats")).json()["chats"]] == ["fork", "c"]
    again = {"json": {"id": "fork-2", "keep": 1}, "headers": if_match(await browser.version("fork"))}
    assert (await browser.post("/api/chats/fork/branches", **again)).json()["title"] == "Branch of first"


async def test_branches_that_are_refused(browser: Browser) -> None:
    """Of an old state, of no chat, over another chat, of nothing, without saying what is known."""
    await browser.ask("first")
    version = await browser.version()
    await browser.ask("other", chat="other")

    async def status(chat: str = "c", known: int = version, **body: Any) -> int:
        path, wanted = f"/api/chats/{chat}/branches", {"id": "fork", "keep": 1, **body}
        return (await browser.post(path, json=wanted, headers=if_match(known))).status_code

    assert await status(known=version - 1) == 412
    assert [await status("gone", 0), await status("gone", 5)] == [404, 412]
    assert [await status(id="other"), await status(keep=0), await status(id="a/b")] == [412, 422, 422]
    assert (await browser.post("/api/chats/c/branches", json={"id": "fork", "keep": 1})).status_code == 428
    assert (await browser.get("/api/chats/fork")).status_code == 404


async def test_two_tabs_conflict(browser: Browser) -> None:
    """Whoever knows an old state is told so by 412, and nothing is changed: no question, no cut, no title."""
    await browser.ask("first")
    old = await browser.version()
    await browser.ask("by the other tab", old)
    before = await browser.show()
    refused = [await browser.ask("late", old), await browser.ask("late", old, keep=0), await browser.ask("new", 0)]
    refused += [await browser.patch("/api/chats/c", json={"title": "late"}, headers=if_match(old))]
    refused += [await browser.delete("/api/chats/c", headers=if_match(old))]
    assert [answer.status_code for answer in refused] == [412] * 5
    assert [answer.json()["current_version"] for answer in refused] == [before["version"]] * 5
    assert await browser.show() == before


async def test_changes_say_what_they_know(browser: Browser) -> None:
    """Without If-Match there is no change."""
    answers = [
        await browser.post("/api/chats/c/turns", json={"text": "hi"}),
        await browser.patch("/api/chats/c", json={"title": "x"}),
        await browser.delete("/api/chats/c"),
    ]
    assert [answer.status_code for answer in answers] == [428] * 3
    assert (await browser.get("/api/chats/c")).status_code == 404


async def test_rename_and_delete(browser: Browser) -> None:
    """A title is trimmed and kept; a deleted chat is gone, from the list too."""
    await browser.ask("first")
    renamed = await browser.patch(
        "/api/chats/c", json={"title": "  Tables "}, headers=if_match(await browser.version())
    )
    shown = await browser.get("/api/chats/c")
    assert (shown.json()["title"], shown.json()["version"]) == ("Tables", renamed.json()["version"])
    again = await browser.get("/api/chats/c", headers={"If-None-Match": shown.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    version = shown.json()["version"]
    assert (await browser.delete("/api/chats/c", headers=if_match(version))).status_code == 204
    assert (await browser.get("/api/chats/c")).status_code == 404
    assert (await browser.get("/api/chats")).json() == {"chats": [], "next": None}


async def test_a_window_keeps_the_numbers_of_messages(browser: Browser) -> None:
    """What is edited in a long chat is named by its place in the whole of it."""
    for text in ("first", "second", "third"):
        await browser.ask(text, await browser.version() if text != "first" else 0)
    window = (await browser.get("/api/chats/c", params={"limit": 2})).json()["messages"]
    assert [(message["index"], message["text"]) for message in window] == [(4, "third"), (5, "one two three")]


@pytest.mark.parametrize(
    ("chat_id", "body"),
    [
        ("c", {"text": "  "}),
        ("c", {"text": "x" * 20_001}),
        ("c", {"text": "x", "keep": -1}),
        ("c", {}),
        ("a~lc~b", {"text": "x"}),
    ],
)
async def test_bad_input_is_refused(browser: Browser, chat_id: str, body: dict[str, Any]) -> None:
    """Nothing is stored of it."""
    answer = await browser.post(f"/api/chats/{chat_id}/turns", json=body, headers=if_match(0))
    assert answer.status_code == 422
    assert (await browser.get("/api/chats")).json()["chats"] == []


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b'{"text": "half \\ud83d"}', "text: This holds half a character"),
        (b'{"text": "x", "keep": "\\udc00"}', "keep: "),
        (b'{"text": ["\\ud800"]}', "text: Input should be a valid string"),
        (b'{"\\ud800": "x"}', "text: Field required"),
        (b'["\\ud800"]', ": Input should be"),
        (b'"\\ud800', "JSON"),
    ],
)
async def test_halves_of_characters_are_refused(browser: Browser, body: bytes, told: str) -> None:
    """A text that is no UTF-8 is the client's mistake, and is told what is wrong; so is a title."""
    headers = {**if_match(0), "Content-Type": "application/json"}
    answer = await browser.post("/api/chats/c/turns", content=body, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")
    assert told in answer.json()["detail"]
    assert (await browser.get("/api/chats")).json()["chats"] == []
    title = await browser.patch("/api/chats/c", content=b'{"title": "\\ud800"}', headers=headers)
    assert (title.status_code, "title: This holds half" in title.json()["detail"]) == (422, True)
    latin = await browser.post("/api/chats/c/turns", content=b'{"text": "\xe9"}', headers=headers)
    assert latin.status_code == 400


async def test_a_model_that_splits_characters(chat: Running, browser: Browser) -> None:
    """Halves that belong together are joined, others are replaced: the answer is stored and can be shown."""
    chat.model.words = ("smile \ud83d", "\ude00 and half \ud83d", " one")
    assert events(await browser.ask("Smile"))[-1][0] == "done"
    assert await browser.texts() == ["Smile", "smile \N{GRINNING FACE} and half \N{REPLACEMENT CHARACTER} one"]


async def test_a_model_that_splits_characters_in_blocks(chat: Running, browser: Browser) -> None:
    """Wherever in the answer they are: it is stored, and the next question can be sent to a model."""
    blocks = [[{"type": "text", "text": text, "index": 0}] for text in ("smile \ud83d", "\ude00 and half \ud83d")]
    chat.model.words = blocks  # type: ignore[assignment]
    assert events(await browser.ask("Smile"))[-1][0] == "done"
    expected = "smile \N{GRINNING FACE} and half \N{REPLACEMENT CHARACTER}"
    assert await browser.texts() == ["Smile", expected]
    await browser.ask("Again", await browser.version())
    assert [message.text.encode() for message in chat.model.seen][2] == expected.encode()


async def test_another_programs_halves_can_be_shown(chat: Running, browser: Browser) -> None:
    """The repository stores any text; what JSON in UTF-8 cannot say is shown as far as possible."""
    user = current_user(browser.cookies[COOKIE])
    await chat.sessions.append({"PK": user, "SK": "c"}, [HumanMessage("half \ud83d")])
    assert await browser.texts() == ["half \N{REPLACEMENT CHARACTER}"]


async def test_nothing_is_shown_from_a_cache_unasked(browser: Browser) -> None:
    """Every answer is for this browser only, and to be asked for again; that it is unchanged is told by its tag."""
    turn = await browser.ask("first")
    shown = await browser.get("/api/chats/c")
    again = await browser.get("/api/chats/c", headers={"If-None-Match": shown.headers["ETag"]})
    answers = [await browser.get(path) for path in ("/", "/api/chats", "/api/chats/none", "/page/chat.js", "/api/x")]
    answers += [shown, again, await browser.delete("/api/chats/c"), await browser.ask("late")]
    assert [(answer.status_code, answer.headers.get_list("Cache-Control")) for answer in answers] == [
        (status, ["private, no-cache"]) for status in (200, 200, 404, 200, 404, 200, 304, 428, 412)
    ]
    assert turn.headers.get_list("Cache-Control") == ["no-store"]
    browser.cookies.clear()
    nobody = await browser.get("/api/chats")
    assert (nobody.status_code, nobody.headers["Cache-Control"]) == (401, "private, no-cache")


# --- What may happen while an answer is on its way ---


async def hang_up(chat: Running, browser: Browser, words: int, spec: str) -> None:
    """Ask, and close the connection after so many words; the model would never come to an end."""
    gone = asyncio.Event()
    requests = [{"type": "http.request", "body": json.dumps({"text": "Go on"}).encode()}]
    seen: list[bytes] = []

    async def for_ever() -> None:
        gone.set()
        await asyncio.Event().wait()

    async def receive() -> Any:
        if not requests:
            await gone.wait()
        return requests.pop() if requests else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if gone.is_set():
            raise OSError("the browser is gone")
        seen.append(message.get("body", b""))
        if spec == "2.4" and b"".join(seen).count(b"event: token") == words:
            gone.set()  # a server of this kind tells it by refusing the next word

    endless = {len(chat.model.words): for_ever} if spec == "2.4" else {words: for_ever}
    chat.model.before = {**chat.model.before, **endless}
    headers = {**if_match(0), "Content-Type": "application/json", "Cookie": f"chat_user={browser.cookies['chat_user']}"}
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": spec},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/api/chats/c/turns",
        "query_string": b"",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
    }
    with contextlib.suppress(ClientDisconnect):
        await chat(scope, receive, send)


async def test_a_browser_that_hangs_up_keeps_what_it_saw(chat: Running, browser: Browser) -> None:
    """The part of the answer that was there is stored, and marked; the model is not asked for more."""
    await hang_up(chat, browser, 2, "2.3")
    messages = (await browser.show())["messages"]
    assert [(m["text"], m["stopped"]) for m in messages] == [("Go on", False), ("one two ", True)]
    chat.model.before = {}
    await browser.ask("Go on", await browser.version(), keep=0)  # answered anew
    assert [m["stopped"] for m in (await browser.show())["messages"]] == [False, False]


async def test_a_server_that_refuses_to_send_to_nobody(chat: Running, browser: Browser) -> None:
    """Servers of ASGI 2.4 raise instead; the word that could not be sent was said all the same."""
    await hang_up(chat, browser, 1, "2.4")
    assert await browser.texts() == ["Go on", "one two "]


async def test_nothing_said_is_nothing_stored(chat: Running, browser: Browser) -> None:
    """A question without any answer stays, and can be answered later."""
    await hang_up(chat, browser, 0, "2.3")
    assert await browser.texts() == ["Go on"]
    chat.model.before = {}
    await browser.ask("Go on", await browser.version(), keep=0)
    assert await browser.texts() == ["Go on", "one two three"]


async def test_a_rename_meanwhile_does_not_lose_the_answer(chat: Running, browser: Browser) -> None:
    """Another version, but still the same question at the end: the answer is appended."""

    async def rename() -> None:
        version = await browser.version()
        await browser.patch("/api/chats/c", json={"title": "Renamed"}, headers=if_match(version))

    chat.model.before = {1: rename, 3: rename}
    last = events(await browser.ask("first"))[-1]
    assert (last[0], last[1].get("version")) == ("done", await browser.version())
    assert await browser.texts() == ["first", "one two three"]


@pytest.mark.parametrize("keep", [None, 0])
async def test_an_answer_to_a_question_that_is_gone_is_not_kept(
    chat: Running, browser: Browser, keep: int | None
) -> None:
    """Another tab asks, or edits the question, meanwhile: its turn is kept in order, this answer is told to be lost."""

    async def ask() -> None:
        chat.model.before = {}
        await browser.ask("other", await browser.version(), keep=keep)

    chat.model.before = {1: ask}
    name, told = events(await browser.ask("first"))[-1]
    assert (name, told["code"], told["current_version"]) == ("problem", "version_conflict", await browser.version())
    assert await browser.texts() == [*(["first"] if keep is None else []), "other", "one two three"]


@pytest.mark.parametrize("said", [0, 1, 3])
async def test_an_answer_to_a_chat_that_was_deleted_brings_none_back(
    chat: Running, browser: Browser, said: int
) -> None:
    """Whenever it is deleted while the answer streams: the browser is told, and nothing of the chat is there."""

    async def delete() -> None:
        version = await browser.version()
        assert (await browser.delete("/api/chats/c", headers=if_match(version))).status_code == 204

    chat.model.before = {said: delete}
    name, told = events(await browser.ask("first"))[-1]
    assert (name, told["current_version"], told["detail"]) == ("problem", 0, "There is no such session (any more).")
    assert (await browser.get("/api/chats")).json()["chats"] == []
    assert (await browser.get("/api/chats/c")).status_code == 404
    assert [item async for item in chat.sessions.list()] == []


async def test_an_answer_cut_off_after_its_chat_was_deleted(chat: Running, browser: Browser) -> None:
    """What was said until the browser hung up is not stored either."""

    async def delete() -> None:
        await browser.delete("/api/chats/c", headers=if_match(await browser.version()))

    chat.model.before = {1: delete}
    await hang_up(chat, browser, 2, "2.3")
    assert (await browser.get("/api/chats")).json()["chats"] == []


async def test_late_changes_bring_no_chat_back(browser: Browser) -> None:
    """After a chat was deleted: a rename and an edit, by the version it had, or by none, as of a chat never seen."""
    await browser.ask("first")
    old = await browser.version()
    await browser.delete("/api/chats/c", headers=if_match(old))
    for version, status in ((old, 412), (0, 404)):
        refused = [
            await browser.patch("/api/chats/c", json={"title": "late"}, headers=if_match(version)),
            await browser.ask("late", version, keep=0),
        ]
        told = f"There is no such {'session' if version else 'chat'} (any more)."
        assert [(answer.status_code, answer.json()["detail"]) for answer in refused] == [(status, told)] * 2
    assert (await browser.get("/api/chats")).json()["chats"] == []


async def test_a_model_that_fails(chat: Running, browser: Browser, caplog: pytest.LogCaptureFixture) -> None:
    """What it said is kept and marked; what it raised is for the log only."""

    async def fail() -> None:
        raise RuntimeError("key sk-123 is wrong")

    chat.model.before = {2: fail}
    answer = await browser.ask("first")
    assert events(answer)[-1][1]["code"] == "model_failed"
    assert "sk-123" not in answer.text
    assert "sk-123" in caplog.text
    assert [(m["text"], m["stopped"]) for m in (await browser.show())["messages"]][1] == ("one two ", True)


class Throttle:
    """Refuses so many writes, from one on."""

    def __init__(self, passing: int, refused: int) -> None:
        self.passing, self.refused = passing, refused

    async def __call__(self, operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        if operation == "update_item":
            self.passing -= 1
            if self.passing < 0 and self.refused:
                self.refused -= 1
                raise ThrottledError("slow down", code="ThrottlingException", outcome_unknown=False)
        return await proceed()


async def test_a_throttled_question_is_503(chat: Running, browser: Browser) -> None:
    """Nothing has begun, so the status can tell when to try again."""
    watch(chat.sessions, Hooked, Throttle(0, 1))
    answer = await browser.ask("first")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    events(await browser.ask("first"))
    assert await browser.texts() == ["first", "one two three"]


async def test_a_throttled_answer_is_stored_later(
    chat: Running, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer that is there already is worth some patience; after that the browser is told."""
    monkeypatch.setattr(answers, "PAUSES", (0, 0))
    watch(chat.sessions, Hooked, Throttle(2, 2))  # question and title pass
    assert events(await browser.ask("first"))[-1][0] == "done"
    assert await browser.texts() == ["first", "one two three"]
    watch(chat.sessions, Hooked, Throttle(1, 3))
    assert events(await browser.ask("second", await browser.version()))[-1][1]["code"] == "throttled"
    assert await browser.texts() == ["first", "one two three", "second"]


async def test_a_throttled_title_is_no_reason_to_fail(chat: Running, browser: Browser) -> None:
    """The question is stored and is answered; the chat has no title yet."""
    watch(chat.sessions, Hooked, Throttle(1, 1))
    assert events(await browser.ask("first"))[-1][0] == "done"
    assert (await browser.show())["title"] == application.NO_TITLE


async def test_a_server_that_ends_keeps_what_was_said(chat: Running, browser: Browser) -> None:
    """A request that is cancelled, and once more while it stores, has stored when the application has ended."""
    begun = asyncio.Event()
    storing, proceeding = asyncio.Event(), asyncio.Event()

    async def for_ever() -> None:
        begun.set()
        await asyncio.Event().wait()

    async def slowly(operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        if operation == "update_item" and begun.is_set():
            storing.set()
            await proceeding.wait()
        return await proceed()

    chat.model.before = {1: for_ever}
    watch(chat.sessions, Hooked, slowly)
    request = asyncio.create_task(browser.ask("first"))
    await begun.wait()
    request.cancel()
    await storing.wait()
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    assert len(chat.state["pending"]) == 1
    proceeding.set()
    await asyncio.gather(*chat.state["pending"])
    assert await browser.texts() == ["first", "one "]


async def test_the_application_waits_for_answers_before_it_closes_the_repository(engine: TestEngine) -> None:
    """What is being stored when a worker ends is awaited."""
    app = application.create(Settings("unused", engine.endpoint_url or ""), Told())
    ended: list[str] = []

    async def store() -> int:
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        ended.append("stored")
        return 1

    async with app.router.lifespan_context(app) as state:
        state["pending"].add(asyncio.create_task(store()))
    assert ended == ["stored"]


@pytest.mark.real_engine
async def test_what_a_turn_costs(chat: Running, browser: Browser) -> None:
    """Two appends and one read of the session item, however long the chat is."""
    await browser.ask("first")
    version = await browser.version()
    meter = watch(chat.sessions, Meter)
    await browser.ask("second", version)
    assert meter.requests == {"update_item": 2, "get_item": 1}


# --- Settings and the scripted model ---


def test_workers_are_told_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `serve.py` sets is what the workers read."""
    told = Settings("T", "http://127.0.0.1:1", "openai:x")
    for name, value in told.environment.items():
        monkeypatch.setenv(name, value)
    assert Settings.read() == told


async def test_the_scripted_model_streams_what_it_says() -> None:
    """Word by word, and with what was said before in mind."""
    model = choose_model("scripted").model_copy(update={"pause": 0})
    asked = [HumanMessage("I'm Ann"), HumanMessage("what is my name?")]
    words = [chunk.text async for chunk in model.astream(asked)]
    assert [word for word in words if word] == ["Your ", "name ", "is ", "Ann."]
    assert model.invoke(asked).text == "Your name is Ann."


# --- Images ---

PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + (640).to_bytes(4, "big") + (480).to_bytes(4, "big") + b"\x08\x06"
GIF = b"GIF89a" + (3).to_bytes(2, "little") + (2).to_bytes(2, "little") + b"\x80"
JPEG = b"\xff\xd8\xff\xe0\x00\x04ab\xff\xc0\x00\x0b\x08" + b"\x00\x10\x00\x20" + b"\x01\x01"
WEBP = [
    b"RIFF\x00\x00\x00\x00WEBPVP8X\x0a\x00\x00\x00\x00\x00\x00\x00" + b"\x1f\x00\x00\x0f\x00\x00",
    b"RIFF\x00\x00\x00\x00WEBPVP8L\x05\x00\x00\x00\x2f" + (31 | 15 << 14).to_bytes(4, "little"),
    b"RIFF\x00\x00\x00\x00WEBPVP8 \x05\x00\x00\x00\x00\x00\x00\x9d\x01\x2a\x20\x00\x10\x00",
]


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (PNG, ("PNG", 640, 480)),
        (GIF, ("GIF", 3, 2)),
        (JPEG, ("JPEG", 32, 16)),
        (JPEG[:8], ("JPEG", 0, 0)),
        *((one, ("WebP", 32, 16)) for one in WEBP),
        (PNG[:12], None),
        (b"<svg></svg>", None),
        (b"", None),
    ],
)
def test_kinds_of_images(data: bytes, kind: tuple[str, int, int] | None) -> None:
    """Their first bytes tell, whatever a browser says; what may hold scripts is none."""
    assert kind_of(data) == kind


async def test_an_image_is_stored_as_a_standard_block(chat: Running, browser: Browser) -> None:
    """Models get it, the page gets where it is, and the browser keeps it."""
    first, *_ = events(await browser.ask("What is this?", images=[PNG, GIF]))
    stored = chat.model.seen[-1]
    assert [block["type"] for block in stored.content] == ["text", "image", "image"]
    assert [block.get("mime_type") for block in stored.content_blocks] == [None, "image/png", "image/gif"]
    assert base64.b64decode(stored.content_blocks[1]["base64"]) == PNG
    shown = (await browser.show())["messages"][0]
    assert (shown["text"], shown["images"]) == ("What is this?", first[1]["images"])
    for image, data in zip(shown["images"], (PNG, GIF), strict=True):
        answer = await browser.get(f"/api/chats/c/images/0/{image}")
        assert (answer.content, answer.headers["Content-Type"]) == (data, f"image/{kind_of(data).name.lower()}")  # type: ignore[union-attr]
        assert "immutable" in answer.headers["Cache-Control"]
    for wrong in ("0/nothing", f"1/{shown['images'][0]}", f"7/{shown['images'][0]}"):
        assert (await browser.get(f"/api/chats/c/images/{wrong}")).status_code == 404


async def test_an_old_image(chat: Running, browser: Browser) -> None:
    """It is found far up in a long chat too."""
    await browser.ask("", images=[PNG])
    (key,) = [summary.session async for summary in chat.sessions.list()]
    await chat.sessions.append(key, [HumanMessage(f"{n}") for n in range(150)])
    (image,) = (await browser.get("/api/chats/c?limit=500")).json()["messages"][0]["images"]
    assert (await browser.get(f"/api/chats/c/images/0/{image}")).content == PNG


async def test_an_image_is_read_with_no_older_one(
    chat: Running, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the chat's messages only those from it on; one that comes meanwhile does not hide it."""
    await browser.ask("", images=[GIF])
    await browser.ask("", await browser.version(), images=[PNG])
    await chat.sessions.append(chat_key := await only(chat), [HumanMessage("more")])
    shown = (await browser.show())["messages"][2]
    read, limits = chat.sessions.read, []

    async def watched(key: Any, *, limit: int) -> Any:
        limits.append(limit)
        if limits == [0, 3]:
            await chat.sessions.append(chat_key, [HumanMessage("meanwhile")])
        return await read(key, limit=limit)

    monkeypatch.setattr(chat.sessions, "read", watched)
    answer = await browser.get(f"/api/chats/c/images/2/{shown['images'][0]}")
    assert (answer.content, limits) == (PNG, [0, 3, 4])
    limits.clear()
    assert (await browser.get(f"/api/chats/c/images/9/{shown['images'][0]}")).status_code == 404
    assert set(limits) == {0}


async def only(chat: Running) -> Any:
    """The one chat that there is."""
    (summary,) = [summary async for summary in chat.sessions.list()]
    return summary.session


@pytest.mark.parametrize("declared", [True, False])
async def test_a_body_that_is_too_long(chat: Running, browser: Browser, declared: bool) -> None:
    """It is refused before it is read: at once where its length is told, else as soon as it is too long."""
    sent: list[int] = []

    async def parts() -> AsyncIterator[bytes]:
        for _ in range(100):
            sent.append(10**6)
            yield b" " * 10**6

    headers = {
        **if_match(0),
        "Content-Type": "application/json",
        **({"Content-Length": "100000000"} if declared else {}),
    }
    answer = await browser.post("/api/chats/c/turns", content=parts(), headers=headers)
    assert (answer.status_code, answer.json()["detail"]) == (413, "A question may have 27 MB at most, images included.")
    assert len(sent) <= 28


async def test_a_question_may_be_an_image_alone(chat: Running, browser: Browser) -> None:
    """Then the chat is named after that."""
    events(await browser.ask("", images=[PNG]))
    assert (await browser.show())["title"] == "A picture"
    assert [block["type"] for block in chat.model.seen[-1].content] == ["image"]


@pytest.mark.parametrize(
    ("images", "status", "told"),
    [
        ([], 422, "words or an image"),
        ([b"<svg></svg>"], 422, "Image 1 is none that can be shown: PNG, JPEG, GIF or WebP."),
        ([PNG, PNG + bytes(5_000_000)], 413, "Image 2 has 5.0 MB; an image may have 5 MB at most."),
        ([PNG + bytes(4_900_000)] * 3, 413, "more than 10 MB together"),
        ([PNG] * 5, 413, "A question may have 4 images; this one has 5."),
    ],
)
async def test_images_that_are_refused(browser: Browser, images: list[bytes], status: int, told: str) -> None:
    """The answer says why, and nothing is stored."""
    answer = await browser.ask("", images=images)
    assert (answer.status_code, told in answer.json()["detail"]) == (status, True)
    assert (await browser.get("/api/chats/c")).status_code == 404


async def test_what_is_no_base64(browser: Browser) -> None:
    """It is refused like what is no image."""
    answer = await browser.post("/api/chats/c/turns", json={"text": "", "images": ["?"]}, headers=if_match(0))
    assert (answer.status_code, answer.json()["detail"]) == (422, "Image 1 is not base64.")


def test_the_scripted_model_says_what_it_sees() -> None:
    """The kind of the image and its sizes, which are true."""
    question = question_of("Look", [base64.b64encode(one).decode() for one in (PNG, JPEG[:8])], "id")
    told = answer([HumanMessage("hello"), question])
    assert told.startswith("I see a PNG image of 640 by 480 pixels (26 bytes) and a JPEG image (8 bytes).")


def test_images_go_into_a_bucket(monkeypatch: pytest.MonkeyPatch) -> None:
    """If one is given; the names there tell the table."""
    monkeypatch.setenv("CHAT_BUCKET", "my-chats")
    blobs = Settings.read().open_sessions()._options.blobs
    assert isinstance(blobs, S3Blobs)
    assert (blobs.bucket, blobs.prefix) == ("my-chats", "")
    monkeypatch.delenv("CHAT_BUCKET")
    assert Settings.read().open_sessions()._options.blobs is None


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ("I am a cook", "You said “I am a cook”."),
        ("I'm tired", "You said “I'm tired”."),
        ("my name is Zoë", "Hello Zoë!"),
        ("I'm Ann-Marie, hi", "Hello Ann-Marie!"),
        ("Hi, I\u2019m Ian", "Hello Ian!"),
        ("I am Julian. Who are you?", "Hello Julian!"),
        ("I'm OK", "You said"),
        ("I am German", "You said"),
        ("I'm Canadian!", "You said"),
        ("I am Ann's brother", "You said"),
        ("I'm German and want vegetables", "You said"),
        ("Do you keep my history?", "You said"),
        ("Is it stable?", "You said"),
        ("Can you decode that?", "You said"),
        ("A Story, please", "Once upon a time"),
        ("Two tables!", "## Three ways"),
        ("Code", "## Three ways"),
    ],
)
def test_the_scripted_model_says_nothing_silly(said: str, answer: str) -> None:
    """It takes for a name only what looks like one, and quotes what it repeats."""
    assert choose_model("scripted").invoke([HumanMessage(said)]).text.startswith(answer)


async def test_answers_come_as_blocks_too(chat: Running, browser: Browser) -> None:
    """While they stream, when they have ended, and when the chat is loaded; what people typed is text."""
    chat.model.words = ("# Ti", "tle\n\nsome `co", "de`")
    sent = [data for name, data in all_events(await browser.ask("**hi**")) if name == "blocks"]
    whole = [["h3", {}, ["Title"]], ["p", {}, ["some ", ["code", {}, ["code"]]]]]
    assert sent[0] == {"keep": 0, "blocks": [["h3", {}, ["Ti"]]]}
    assert sent[-1] == {"keep": 0, "blocks": whole}
    question, answer = (await browser.show())["messages"]
    assert (answer["blocks"], question.get("blocks")) == (whole, None)


@pytest.mark.parametrize("name", HOSTILE)
async def test_hostile_answers_come_to_their_end(chat: Running, browser: Browser, name: str) -> None:
    """They are streamed, stored and shown; the same text as a question and as a title is no matter either."""
    chat.model.words = tuple(HOSTILE[name][start : start + 1000] for start in range(0, len(HOSTILE[name]), 1000))
    sent = all_events(await browser.ask(mended(HumanMessage(HOSTILE[name])).text[:20_000]))
    assert [name for name, _ in sent if name in ("problem", "done")] == ["done"]
    said = mended(HumanMessage(HOSTILE[name])).text
    question, answer = (await browser.show())["messages"]
    assert (question["text"], answer["text"]) == (said[:20_000].strip(), said)
    assert answer["blocks"] == json.loads(json.dumps(render(said)))
    (listed,) = (await browser.get("/api/chats")).json()["chats"]
    assert listed["title"] == (await browser.show())["title"] == sent[0][1]["title"]
    assert 0 < len(listed["title"]) <= 60


@pytest.mark.parametrize("name", HOSTILE)
async def test_hostile_chats_of_other_programs_open(chat: Running, browser: Browser, name: str) -> None:
    """Whatever stands in messages of any kind, in the arguments and results of tools, in titles and metadata."""
    said = HOSTILE[name]
    key = {"PK": current_user(browser.cookies[COOKIE]), "SK": "c"}
    call = {"id": "1", "name": "search", "args": {said[:100]: said}}
    messages = [
        SystemMessage(said),
        HumanMessage(said),
        AIMessage(said, tool_calls=[call], response_metadata={said[:100]: said}),
        ToolMessage(said, tool_call_id="1", artifact={"found": said}),
        AIMessage([{"type": "text", "text": said}, said, {"type": "image", "base64": said, "id": said[:100]}]),
    ]
    await chat.sessions.append(key, messages)
    readable = mended(HumanMessage(said)).text
    await chat.sessions.update_metadata(key, {"title": readable[:200], "more": {readable[:100]: [readable[:200]]}})
    shown = await browser.show()
    assert [message["type"] for message in shown["messages"]] == ["system", "human", "ai", "tool", "ai"]
    assert [message["text"] for message in shown["messages"][:4]] == [readable] * 4
    assert [chat["title"] for chat in (await browser.get("/api/chats")).json()["chats"]] == [shown["title"]]


@pytest.mark.parametrize("unseen", ["\u200b", "\u202e", "\x01", "\u2060 \ufeff"])
async def test_titles_can_be_seen(browser: Browser, unseen: str) -> None:
    """A chat whose title is nothing but characters without a look could not be found in the list."""
    await browser.ask(unseen)
    assert (await browser.show())["title"] == "Untitled chat"
    assert [chat["title"] for chat in (await browser.get("/api/chats")).json()["chats"]] == ["Untitled chat"]
    renamed = await browser.patch("/api/chats/c", json={"title": unseen}, headers=if_match(await browser.version()))
    assert (renamed.status_code, "a title needs a character that can be seen" in renamed.json()["detail"]) == (
        422,
        True,
    )
    assert await browser.texts() == [unseen, "one two three"]


@pytest.mark.parametrize(
    ("block", "status"),
    [
        ({"base64": base64.b64encode(PNG).decode()}, 200),
        ({"base64": base64.b64encode(PNG).decode(), "mime_type": "text/html"}, 200),
        ({"base64": base64.b64encode(b"<script>alert(1)</script>").decode(), "mime_type": "text/html"}, 404),
        ({"base64": "no base64", "mime_type": "image/png"}, 404),
        ({"base64": "\u202e"}, 404),
        ({"base64": "c"}, 404),
    ],
)
async def test_images_of_other_programs(chat: Running, browser: Browser, block: dict[str, str], status: int) -> None:
    """An image is what its bytes say, whatever is said of it; and it is described to nobody otherwise."""
    key = {"PK": current_user(browser.cookies[COOKIE]), "SK": "c"}
    question = HumanMessage([{"type": "image", "id": "1", **block}])
    await chat.sessions.append(key, [question])
    shown = await browser.get("/api/chats/c/images/0/1")
    kind = "image/png" if status == 200 else "application/json"
    assert (shown.status_code, shown.headers["content-type"]) == (status, kind)
    assert answer([question]).startswith(f"I see {'a PNG' if status == 200 else 'an unknown'} image")
