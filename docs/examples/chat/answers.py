"""One answer on its way: streamed to the browser and stored, whatever becomes of the browser."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from fastapi.responses import StreamingResponse
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessageChunk, BaseMessage, HumanMessage, message_chunk_to_message
from starlette.types import Receive, Scope, Send

from images import images_in
from langchain_dynamodb import AsyncSessionRepository
from langchain_dynamodb._items.keys import Session
from langchain_dynamodb.errors import ChatHistoryError, VersionConflictError
from langchain_dynamodb.surrogates import mended
from langchain_dynamodb.web.problems import problem
from richtext import Growing

STOPPED = "stopped"  # in an answer's response_metadata: it ends where somebody or something stopped it
PAUSES = (0.5, 1.0, 2.0)  # seconds between attempts to store an answer that is already there
_log = logging.getLogger(__name__)


@dataclass
class Answer:
    """The answer to a question that is stored already, as the last message of its session."""

    sessions: AsyncSessionRepository
    key: Session
    question: HumanMessage
    version: int
    """Of the session with the question."""
    index: int
    """Of the question."""
    title: str
    """Of the session."""
    model: BaseChatModel
    context: Sequence[BaseMessage]
    pending: set[asyncio.Task[int]]
    """The answers being stored; the worker waits for them before it ends."""
    said: AIMessageChunk | None = None
    complete: bool = False
    storing: asyncio.Task[int] | None = field(default=None, init=False)

    async def events(self) -> AsyncGenerator[str, None]:
        """Stream the server-sent events: ``question``, many ``token`` and ``blocks``, then ``done`` or ``problem``."""
        images = [block.get("id", "") for block in images_in(self.question)]
        yield event("question", {"version": self.version, "index": self.index, "title": self.title, "images": images})
        failure, shown = None, Growing()
        try:
            async for chunk in self.model.astream(list(self.context)):
                self.said = chunk if self.said is None else self.said + chunk
                if chunk.text:
                    yield event("token", chunk.text) + await blocks(shown.add, chunk.text)
            self.complete = True
        except Exception:  # whatever a model raises; its text may tell what is none of the browser's business
            _log.exception("the model failed")
            failure = {"code": "model_failed", "detail": "The model failed before the answer was complete."}
        yield await blocks(shown.end)
        try:
            version = await self.keep()
        except ChatHistoryError as error:
            failure = problem(error).document
        yield event("problem", failure) if failure else event("done", {"version": version, "index": self.index + 1})

    async def keep(self) -> int:
        """Store what was said so far, once; returns the session's version.

        It goes on if its caller is cancelled. Raises `VersionConflictError` where the question is no longer the last
        message, or the chat was deleted: the answer to it has no place any more.
        """
        if self.storing is None:
            self.storing = asyncio.create_task(self._store())
            self.pending.add(self.storing)
            self.storing.add_done_callback(self.pending.discard)
        return await asyncio.shield(self.storing)

    async def _store(self) -> int:
        if self.said is None or not self.said.text:
            return self.version
        message = mended(message_chunk_to_message(self.said))  # some providers stream characters in halves
        if not self.complete:
            message.response_metadata[STOPPED] = True
        for pause in (*PAUSES, None):
            try:
                return await self._append(message)
            except ChatHistoryError as error:
                if pause is None or problem(error).status != 503:
                    _log.warning("an answer was not stored: %s", error)
                    raise
                await asyncio.sleep(pause)
        raise AssertionError("the last attempt returns or raises")

    async def _append(self, message: BaseMessage) -> int:
        while True:
            try:
                return await self.sessions.append(
                    self.key,
                    [message],
                    expected_version=self.version,
                    must_exist=True,  # it belongs to a chat, and never begins one
                    idempotency_key=f"answer to {self.question.id}",
                )
            except VersionConflictError:
                chat = await self.sessions.read(self.key, limit=1)
                if [message.id for message in chat.messages] != [self.question.id]:
                    raise
                self.version = chat.version  # renamed meanwhile, for example: the question is still the last message


class AnswerResponse(StreamingResponse):
    """Streams an answer. When the browser hangs up, the model is stopped and what it said so far is stored."""

    media_type = "text/event-stream"

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        super().__init__(answer.events(), headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it; ends when the answer is stored."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            with contextlib.suppress(ChatHistoryError):  # the log knows; so does the browser, if it is still there
                await self.answer.keep()


async def blocks(read: Callable[..., object], *piece: str) -> str:
    """What the Markdown has become by now; in a thread, since hostile text takes a second, and others stream too."""

    def work() -> str:
        changed = read(*piece)
        return event("blocks", changed) if changed else ""

    return await asyncio.to_thread(work)


def event(name: str, data: Any) -> str:
    """Write one server-sent event."""
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"
