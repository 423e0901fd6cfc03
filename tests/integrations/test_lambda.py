"""FastAPI on AWS Lambda through Mangum: invocation after invocation on one loop, with and without a lifespan.

Mangum runs the application on the main thread's event loop, which stands still between two invocations, as the whole
instance does on Lambda; with ``lifespan="auto"`` each invocation starts the lifespan and ends it.
"""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import struct
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import pytest
from fastapi import Depends, FastAPI
from langchain_core.messages import HumanMessage
from mangum import Mangum

from langchain_dynamodb import AsyncSessionRepository, SessionRepository, errors
from langchain_dynamodb._dynamodb import connection
from langchain_dynamodb.fastapi import (
    History,
    SessionDependencies,
    Sessions,
    SyncSessions,
    install_error_handlers,
    session_lifespan,
)

pytestmark = pytest.mark.any_engine

Open = Callable[..., AsyncSessionRepository]
Invoke = Callable[[str], tuple[int, Any]]
ARCHIVE = SessionDependencies("archive")


@pytest.fixture(autouse=True)
def main_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """The loop that Mangum finds and keeps; at the end it leaves nothing behind."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield loop
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.run_until_complete(loop.shutdown_default_executor())
    asyncio.set_event_loop(None)
    loop.close()


@pytest.fixture
def open_sessions(engine: Any, table_name: str) -> Open:
    """What makes repositories on a fresh table."""
    return partial(AsyncSessionRepository, table_name, endpoint_url=engine.endpoint_url)


def application(**options: Any) -> FastAPI:
    """An application with both kinds of endpoints: each appends a message and tells how many there are."""
    app = FastAPI(**options)
    install_error_handlers(app)

    @app.post("/chats/{session_id}")
    async def say(history: History, sessions: Sessions) -> int:
        await history.aadd_messages([HumanMessage("hello")])
        return (await sessions.read(history.session_id)).message_count

    @app.post("/sync/{session_id}")
    def say_in_a_thread(session_id: str, sessions: SyncSessions) -> int:
        sessions.append(session_id, [HumanMessage("hello")])
        return sessions.read(session_id).message_count

    return app


def serve(app: FastAPI, lifespan: Any) -> Invoke:
    """What API Gateway does: invoke the function with a POST, and decode the answer."""
    handler = Mangum(app, lifespan=lifespan)

    def invoke(path: str) -> tuple[int, Any]:
        http = {"method": "POST", "path": path, "sourceIp": "127.0.0.1", "protocol": "HTTP/1.1", "userAgent": "test"}
        event: Any = {"version": "2.0", "rawPath": path, "rawQueryString": "", "headers": {}, "isBase64Encoded": False}
        answer = handler({**event, "requestContext": {"http": http, "stage": "$default"}}, None)  # type: ignore[arg-type]
        body = base64.b64decode(answer["body"]) if answer["isBase64Encoded"] else answer["body"]
        return answer["statusCode"], json.loads(body)

    return invoke


@pytest.mark.parametrize("lifespan", ["auto", "on"])
@pytest.mark.parametrize("path", ["/chats/s", "/sync/s"])
def test_a_lifespan_over_a_repository_of_module_level(lifespan: str, path: str, open_sessions: Open) -> None:
    """Each invocation starts the lifespan, which opens the one repository again that the last one closed."""
    sessions = open_sessions()
    invoke = serve(application(lifespan=session_lifespan(sessions=lambda: sessions)), lifespan)
    assert [invoke(path) for _ in range(3)] == [(200, 1), (200, 2), (200, 3)]


def test_a_lifespan_of_ones_own(open_sessions: Open) -> None:
    """``async with`` opens a closed repository again, whoever writes it."""
    sessions = open_sessions()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        async with sessions:
            yield {"sessions": sessions}

    invoke = serve(application(lifespan=lifespan), "auto")
    assert [invoke("/chats/s") for _ in range(3)] == [(200, 1), (200, 2), (200, 3)]


def test_a_lifespan_that_makes_a_new_one_each_time(open_sessions: Open) -> None:
    """That works too, with a new client for each invocation, and leaves none behind."""
    before = set(connection._clients)
    invoke = serve(application(lifespan=session_lifespan(sessions=open_sessions)), "auto")
    assert [invoke("/chats/s") for _ in range(3)] == [(200, 1), (200, 2), (200, 3)]
    assert set(connection._clients) - before == set()


@pytest.mark.parametrize("lifespan", ["auto", "off"])
@pytest.mark.parametrize("path", ["/chats/s", "/sync/s"])
def test_without_a_lifespan(lifespan: str, path: str, open_sessions: Open) -> None:
    """A repository in ``app.state`` serves all invocations with one client."""
    app = application()
    app.state.sessions = open_sessions()
    invoke = serve(app, lifespan)
    assert invoke(path) == (200, 1)
    clients = dict(connection._clients)
    assert [invoke(path) for _ in range(3)] == [(200, 2), (200, 3), (200, 4)]
    assert connection._clients == clients


def test_what_a_lifespan_gives_comes_first(open_sessions: Open) -> None:
    """Where there are both, the lifespan's is the one in use; ``app.state`` may hold others by other names."""
    app = FastAPI(lifespan=session_lifespan(sessions=open_sessions))
    app.state.sessions = "another program's"
    app.state.archive = open_sessions(history_messages_key="Archive")
    seen = []

    @app.post("/")
    async def both(sessions: Sessions, old: AsyncSessionRepository = Depends(ARCHIVE.sessions)) -> None:
        seen.append((sessions.table_name, old.history_messages_key))

    assert serve(app, "auto")("/") == (200, None)
    assert seen == [(app.state.archive.table_name, "Archive")]


def test_where_there_is_none(caplog: pytest.LogCaptureFixture, open_sessions: Open) -> None:
    """The log says what to do where no lifespan ran, and what is wrong with what ``app.state`` holds."""
    app = application(lifespan=session_lifespan(sessions=open_sessions))
    invoke = serve(app, "off")
    assert invoke("/chats/s")[0] == 500
    app.state.sessions = SessionRepository("SessionTable")
    assert invoke("/chats/s")[0] == 500
    assert "set app.state.sessions = AsyncSessionRepository(...)" in caplog.text
    assert "which is no AsyncSessionRepository" in caplog.text


def test_a_closed_repository_is_told(open_sessions: Open, main_loop: asyncio.AbstractEventLoop) -> None:
    """One that was closed, and that nobody opened again, is refused: the server's own fault, whose reason is logged."""
    app = application()
    app.state.sessions = sessions = open_sessions()
    main_loop.run_until_complete(sessions.aclose())
    assert serve(app, "off")("/chats/s")[0] == 500
    with pytest.raises(errors.RepositoryClosedError, match="enter this one again"):
        main_loop.run_until_complete(sessions.read("s"))


# --- Between two invocations an instance is frozen ---


class Relay:
    """Passes connections on to the engine, and can end them all, as DynamoDB ends idle ones."""

    def __init__(self, target: str) -> None:
        parts = urlsplit(target)
        self._target = parts.hostname or "", parts.port or 0
        self._server = socket.create_server(("127.0.0.1", 0))
        self._open: list[tuple[socket.socket, socket.socket]] = []
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}"
        self.accepted = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._server.accept()
                engine = socket.create_connection(self._target)
                self.accepted += 1
                self._open.append((client, engine))
                for source, sink in ((client, engine), (engine, client)):
                    threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    @staticmethod
    def _pump(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                sink.sendall(data)

    def end_all(self, *, reset: bool = False) -> None:
        """End every connection: properly, or with a reset (when something is sent, at the latest)."""
        for client, engine in self._open:
            if reset:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            for end in (client, engine):
                with suppress(OSError):
                    if not reset or end is engine:
                        end.shutdown(socket.SHUT_RDWR)
                end.close()
        self._open.clear()

    def close(self) -> None:
        """Stop."""
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self.end_all()


@pytest.fixture
def relay(engine: Any) -> Iterator[Relay]:
    """A relay in front of the engine."""
    if engine.endpoint_url is None:
        pytest.skip("ends connections of an engine at hand")
    relay = Relay(engine.endpoint_url)
    yield relay
    relay.close()


@pytest.mark.parametrize("reset", [False, True], ids=["ended", "reset"])
@pytest.mark.parametrize("path", ["/chats/s", "/sync/s"])
def test_connections_that_ended_while_frozen(path: str, reset: bool, relay: Relay, table_name: str) -> None:
    """The first call after a pause meets a dead connection: its append is stored once, and nothing fails."""
    app = application()
    app.state.sessions = AsyncSessionRepository(table_name, endpoint_url=relay.url)
    invoke = serve(app, "off")
    for count in (1, 2, 3):
        assert invoke(path) == (200, count)
        relay.end_all(reset=reset)
    assert relay.accepted >= 3
