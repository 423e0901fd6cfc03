"""Never executed: mypy checks that FastAPI applications are typed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Annotated

from fastapi import Depends, FastAPI, Header, Response

from langchain_dynamodb import AsyncSessionRepository, ChatSession, DynamoDBChatMessageHistory, SessionRepository
from langchain_dynamodb.fastapi import (
    PROBLEM_RESPONSES,
    ExpectedVersion,
    History,
    KnownVersion,
    SessionDependencies,
    SessionKey,
    Sessions,
    SyncSessions,
    composite_key,
    etag,
    install_error_handlers,
    not_modified,
    session_lifespan,
)


@asynccontextmanager
async def prepared() -> AsyncIterator[AsyncSessionRepository]:
    """An opener of one's own."""
    async with AsyncSessionRepository("Table") as sessions:
        await sessions.create_table()
        yield sessions


def user() -> str:
    """The tenant."""
    return "alice"


own = SessionDependencies(
    "notes", tenant=user, key=composite_key("PK", "SK"), session_id=Header(alias="X-Session-Id"), must_exist=True
)
OwnHistory = Annotated[DynamoDBChatMessageHistory, Depends(own.history)]

app = FastAPI(
    lifespan=session_lifespan(sessions=partial(AsyncSessionRepository, "T"), notes=prepared),
    responses=PROBLEM_RESPONSES,
)
install_error_handlers(app)
app.state.sessions = AsyncSessionRepository("T")


@app.get("/{session_id}")
async def read(key: SessionKey, sessions: Sessions, known: KnownVersion, history: History) -> ChatSession | Response:
    """What the dependencies are."""
    repository: AsyncSessionRepository = sessions
    adapter: DynamoDBChatMessageHistory = history
    chat = await repository.read(key, unless_version=known)
    print(adapter.key, sessions.nothing)  # type: ignore[attr-defined]
    return chat or not_modified(known)


@app.delete("/{session_id}")
def delete(key: SessionKey, sessions: SyncSessions, expected: ExpectedVersion, notes: OwnHistory) -> str:
    """The same for a thread."""
    repository: SessionRepository = sessions
    repository.delete(key, expected_version=expected)
    return etag(0) + str(len(notes.messages))


session_lifespan(sessions=AsyncSessionRepository("Table"))  # type: ignore[arg-type]
SessionDependencies(key=lambda session_id: session_id)  # type: ignore[misc,arg-type]
