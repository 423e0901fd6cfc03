"""The web application: its addresses, and what they do with the sessions."""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import aioboto3
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi import Path as PathParameter
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from langchain_core.messages import AIMessage, BaseMessage, SystemMessage
from pydantic import BaseModel, Field, StringConstraints, field_validator, model_validator
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from answers import STOPPED, Answer, AnswerResponse
from images import MOST_BODY, bytes_of, images_in, kind_of, question_of
from langchain_dynamodb import AsyncSessionRepository, ChatSession, Index, SessionSummary
from langchain_dynamodb._items.keys import Session
from langchain_dynamodb.blobs import S3Blobs
from langchain_dynamodb.errors import ChatHistoryError, InvalidCursorError, VersionConflictError
from langchain_dynamodb.fastapi import (
    SessionDependencies,
    Sessions,
    composite_key,
    etag,
    install_error_handlers,
    not_modified,
    session_lifespan,
)
from langchain_dynamodb.web.problems import MEDIA_TYPE, Problem
from models import SCRIPTED, choose_model
from richtext import render
from users import current_user, welcome

PAGE = Path(__file__).parent / "page"
NEWEST = Index("newest", hash_key="PK")  # a user's chats by their last change; it holds no pages and no messages
LISTED = 30  # chats at a time
CONTEXT = 40  # messages that the model sees
SYSTEM = SystemMessage("You are a helpful assistant. You may use Markdown: code, lists and tables.")
NO_TITLE = "Untitled chat"
PICTURE = "A picture"  # the title of a chat that begins with one, and no words
GONE = "There is no such chat (any more)."
MOST = 5000  # messages at a time
HEADERS = {
    "Cache-Control": "private, no-cache",  # kept for this user only, and asked for anew (by ETag) each time
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Settings:
    """What the workers are told, by environment variables."""

    table: str = "ChatTable"
    endpoint_url: str = ""
    """Of the embedded engine; empty: AWS, with the usual credentials and region."""
    model: str = SCRIPTED
    bucket: str = ""
    """Of S3, where images go then."""

    @classmethod
    def read(cls) -> Settings:
        """Return those in the environment."""
        return cls(**{name: os.environ.get(f"CHAT_{name.upper()}", value) for name, value in asdict(cls()).items()})

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables that say this."""
        return {f"CHAT_{name.upper()}": value for name, value in asdict(self).items()}

    def open_sessions(self) -> AsyncSessionRepository:
        """Make the repository; nothing is sent yet."""
        if not self.endpoint_url:
            blobs = S3Blobs(self.bucket) if self.bucket else None
            return AsyncSessionRepository(self.table, primary_key_name="PK", blobs=blobs)
        return AsyncSessionRepository(
            self.table, primary_key_name="PK", endpoint_url=self.endpoint_url, aws_session=local_session()
        )


@functools.cache  # making one takes time
def local_session() -> aioboto3.Session:
    """Credentials for embedded engines, which take any: yours stay with the model that may need them."""
    return aioboto3.Session(aws_access_key_id="local", aws_secret_access_key="local", region_name="us-east-1")


async def create_table(sessions: AsyncSessionRepository) -> None:
    """Create the table (or add the index), unless it is there: the user is the partition, the chat the sort key."""
    await sessions.create_table(sort_key_name="SK", indexes=[NEWEST])


# --- What the endpoints are given: only sessions of the user who is asking ---

SessionId = PathParameter(pattern=r"^[A-Za-z0-9-]{1,64}$")
key_of = composite_key("PK", "SK")
own = SessionDependencies(session_id=SessionId, tenant=current_user, key=key_of)
Key = Annotated[Session, Depends(own.key)]
Known = Annotated[int | None, Depends(own.known_version)]
User = Annotated[str, Depends(current_user)]


async def required(expected: Annotated[int | None, Depends(own.expected_version)]) -> int:
    """Refuse changes by a browser that does not say which state it knows."""
    if expected is None:
        raise HTTPException(428, "Say in If-Match which version of the chat this is about.")
    return expected


Expected = Annotated[int, Depends(required)]


def refuse_to_begin(expected: int) -> None:
    """Refuse what only a chat that is there can have where the browser knows of none: it would begin one."""
    if not expected:
        raise HTTPException(404, GONE)


class Title(BaseModel):
    """A new title."""

    title: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=80)]

    @field_validator("title")
    @classmethod
    def _shows_something(cls, title: str) -> str:
        if not can_be_seen(title):
            raise ValueError("a title needs a character that can be seen")
        return title


class Branch(BaseModel):
    """A chat to begin, with the first messages of another."""

    id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]{1,64}$")]
    keep: int = Field(ge=1)


class Turn(BaseModel):
    """A question: words, images (base64), or both.

    `keep`: it takes the place of the message with that index and of all that came after.
    """

    text: Annotated[str, StringConstraints(strip_whitespace=True, max_length=20_000)]
    keep: int | None = Field(default=None, ge=0)
    images: list[str] = []

    @model_validator(mode="after")
    def _says_something(self) -> Turn:
        if not (self.text or self.images):
            raise ValueError("a question needs words or an image")
        return self


chats = APIRouter(prefix="/api/chats")


@chats.get("")
async def list_chats(user: User, sessions: Sessions, cursor: str | None = None) -> dict[str, Any]:
    """The user's chats, the one changed last first."""
    listing = sessions.list(index=NEWEST.name, partition=user, limit=LISTED, cursor=cursor)
    try:
        found = [chat async for chat in listing]
    except InvalidCursorError:
        raise HTTPException(400, "That is no place in this list: load it from its beginning.") from None
    shown = [
        {
            "id": chat.session["SK"] if isinstance(chat.session, dict) else chat.session,
            "title": title_of(chat),
            "version": chat.version,
            "updated_at": chat.updated_at,
        }
        for chat in found
    ]
    return {"chats": shown, "next": found[-1].cursor if len(found) == LISTED else None}


@chats.get("/{session_id}")
async def show(
    key: Key, sessions: Sessions, known: Known, response: Response, limit: Annotated[int, Query(ge=1, le=MOST)] = 100
) -> Any:
    """The chat with its newest messages."""
    chat = await sessions.read(key, limit=limit, unless_version=known)
    if chat is None:
        return not_modified(known)
    if not chat.version:
        raise HTTPException(404, GONE)
    response.headers["ETag"] = etag(chat.version)
    first = chat.message_count - len(chat.messages)
    # In a thread: to read a long chat's Markdown takes a while.
    messages = await asyncio.to_thread(
        lambda: [shown_message(first + i, chat.messages[i]) for i in range(len(chat.messages))]
    )
    return {"title": title_of(chat), "version": chat.version, "messages": messages}


def title_of(chat: ChatSession | SessionSummary) -> str:
    """The chat's title."""
    title = str(chat.metadata.get("title", ""))
    return title if can_be_seen(title) else NO_TITLE


def can_be_seen(text: str) -> bool:
    """Whether it has more than spaces, controls and characters without a width."""
    return any(character.isprintable() and character != " " for character in text)


def shown_message(index: int, message: BaseMessage) -> dict[str, Any]:
    """What the page needs to know of a message."""
    stopped = isinstance(message, AIMessage) and bool(message.response_metadata.get(STOPPED))
    images = [block.get("id", "") for block in images_in(message)]
    shown = {"index": index, "type": message.type, "text": message.text, "stopped": stopped, "images": images}
    return {**shown, "blocks": render(message.text)} if message.type == "ai" else shown


@chats.get("/{session_id}/images/{index}/{image_id}")
async def show_image(
    key: Key, sessions: Sessions, index: Annotated[int, PathParameter(ge=0)], image_id: str
) -> Response:
    """An image of the message with that index; it never changes, so the browser may keep it."""
    chat = await sessions.read(key, limit=0)
    for _ in range(3):  # messages that come meanwhile move the window
        wanted = chat.message_count - index
        chat = await sessions.read(key, limit=wanted if 0 < wanted <= MOST else 0)
        at = index - (chat.message_count - len(chat.messages))
        if at >= 0:
            break
    found = images_in(chat.messages[at]) if 0 <= at < len(chat.messages) else []
    for block in found:
        data = await asyncio.to_thread(bytes_of, block)
        if block.get("id") == image_id and (kind := kind_of(data)):
            headers = {"Cache-Control": "private, max-age=31536000, immutable"}
            return Response(data, media_type=kind.mime_type, headers=headers)
    raise HTTPException(404, "There is no such image (any more).")


@chats.patch("/{session_id}")
async def rename(new: Title, key: Key, sessions: Sessions, expected: Expected) -> dict[str, int]:
    """Rename the chat, if it is as the browser knows it."""
    refuse_to_begin(expected)
    return {"version": await sessions.update_metadata(key, {"title": new.title}, expected_version=expected)}


@chats.delete("/{session_id}", status_code=204)
async def delete(key: Key, sessions: Sessions, expected: Expected) -> None:
    """Delete the chat, if it is as the browser knows it."""
    await sessions.delete(key, expected_version=expected)


@chats.post("/{session_id}/branches", status_code=201)
async def branch(new: Branch, user: User, key: Key, sessions: Sessions, expected: Expected) -> dict[str, Any]:
    """Begin another chat with the first messages of this one, if it is as the browser knows it."""
    refuse_to_begin(expected)
    to = key_of(user, new.id)
    try:
        await sessions.copy(key, to, keep=new.keep, expected_version=expected)
    except VersionConflictError as error:
        kept = (await sessions.read(key)).messages[: new.keep]
        if error.expected != 0 or (await sessions.read(to)).messages[: new.keep] != kept:
            raise
        # An earlier request has made it, whose answer was lost.
    chat = await sessions.read(to, limit=0)
    title = f"Branch of {title_of(chat).removeprefix('Branch of ')}"
    title, version = await give_title(sessions, to, title, chat.version)
    return {"title": title, "version": version}


@chats.post("/{session_id}/turns")
async def ask(turn: Turn, request: Request, key: Key, sessions: Sessions, expected: Expected) -> AnswerResponse:
    """Store the question, then stream the answer and store it too.

    The question is stored before the stream begins, so that its errors are answers with a status of their own.
    """
    question = await asyncio.to_thread(question_of, turn.text, turn.images, uuid.uuid4().hex)
    version = expected
    if turn.keep is not None:
        refuse_to_begin(expected)
        version = await sessions.truncate(key, keep=turn.keep, expected_version=version)
    # Read first: once the question is stored, nothing may fail that would make the browser ask it again.
    chat = await sessions.read(key, limit=CONTEXT - 1, start_on="human")
    version = await sessions.append(key, [question], expected_version=version)
    title = title_of(chat)
    if not expected:
        title, version = await give_title(sessions, key, turn.text or PICTURE, version)
    answer = Answer(
        sessions=sessions,
        key=key,
        question=question,
        version=version,
        index=chat.message_count,
        title=title,
        model=request.state.model,
        context=[SYSTEM, *chat.messages, question],
        pending=request.state.pending,
    )
    return AnswerResponse(answer)


async def give_title(sessions: AsyncSessionRepository, key: Session, text: str, version: int) -> tuple[str, int]:
    """Name a new chat after a text, such as its first question; returns its title and the session's version."""
    words = " ".join(text.split())
    title = words if len(words) <= 60 else words[:59].rsplit(" ", 1)[0] + "…"
    if not can_be_seen(title):
        title = NO_TITLE
    try:
        return title, await sessions.update_metadata(key, {"title": title}, expected_version=version)
    except ChatHistoryError:  # the question is stored, and that is what counts
        _log.warning("a new chat has no title", exc_info=True)
        return NO_TITLE, version


# --- The application ---


def create(settings: Settings | None = None, model: Any = None) -> FastAPI:
    """Make the application; uvicorn calls this in every worker."""
    chosen = settings or Settings.read()
    repositories = session_lifespan(sessions=chosen.open_sessions)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[Mapping[str, Any]]:
        pending: set[asyncio.Task[int]] = set()
        async with repositories(app) as state:
            yield {**state, "model": model or choose_model(chosen.model), "pending": pending}
            await asyncio.gather(*pending, return_exceptions=True)

    app = FastAPI(title="Chat", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    install_error_handlers(app)
    app.add_exception_handler(RequestValidationError, refuse)
    app.include_router(chats)
    app.add_api_route("/", index, include_in_schema=False)
    app.mount("/page", StaticFiles(directory=PAGE))
    app.add_middleware(ShortBodies)
    app.add_middleware(SafeHeaders)
    return app


async def refuse(request: Request, error: Exception) -> JSONResponse:
    """Say what is wrong with the input, without repeating it: it may hold what JSON in UTF-8 cannot."""
    assert isinstance(error, RequestValidationError)
    found = error.errors()[0]
    where, told = ".".join(map(str, found["loc"][1:])), found["msg"]
    if found["type"] == "string_unicode":
        told = "This holds half a character (a lone surrogate), which is no text: delete it and type it anew"
    document = Problem(422, "invalid_input", f"{where}: {told}.").document
    return JSONResponse(document, 422, media_type=MEDIA_TYPE)


async def index(request: Request) -> FileResponse:
    """The page; it also makes the browser known."""
    response = FileResponse(PAGE / "index.html")
    welcome(request, response)
    return response


class ShortBodies:
    """Refuses bodies that are longer than any question may be, before they are all in memory."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and count its bytes as they are asked for."""
        told = Headers(scope=scope).get("Content-Length", "") if scope["type"] == "http" else ""
        seen = int(told) if told.isdecimal() else 0
        declared = seen > MOST_BODY

        async def receive_some() -> Message:
            nonlocal seen
            message = await receive() if not declared else {}
            seen = seen if told else seen + len(message.get("body", b""))
            if seen > MOST_BODY:
                raise HTTPException(413, f"A question may have {MOST_BODY / 1e6:.0f} MB at most, images included.")
            return message

        await self.app(scope, receive_some, send)


class SafeHeaders:
    """Adds headers that confine the page to what is its own, and answers to the browser that asked."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and add the headers to its answer."""

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self.app(scope, receive, send_safely if scope["type"] == "http" else send)
