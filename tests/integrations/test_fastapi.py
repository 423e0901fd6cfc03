"""FastAPI: lifespan, dependencies, tenants, preconditions, errors as answers. Requests go through the whole stack."""

from __future__ import annotations

import asyncio
import importlib
import itertools
import logging
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path as FilePath
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Body, Cookie, Depends, FastAPI, Header, Path, Query, Request, Response, WebSocket
from fastapi.exceptions import RequestValidationError
from fastapi.responses import StreamingResponse
from fastapi.testclient import TestClient
from langchain_core.messages import AIMessage, HumanMessage

from langchain_dynamodb import (
    AsyncSessionRepository,
    ChatSession,
    DynamoDBChatMessageHistory,
    SessionRepository,
    errors,
)
from langchain_dynamodb.encryption import LocalKeyring
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
    tenant_key,
)
from langchain_dynamodb.web.problems import problem
from memory_blobs import MemoryBlobs
from support import SMALL, Call, Hooked, Recorder, noise, watch

pytestmark = pytest.mark.any_engine

HOW_TO = FilePath(__file__).parents[2] / "docs/howto/fastapi.md"
Open = Callable[..., Any]
chats = APIRouter()


@chats.get("/chats/{session_id}")
async def show(key: SessionKey, sessions: Sessions, known: KnownVersion, response: Response) -> Any:
    """Read, unless the client has it."""
    chat = await sessions.read(key, unless_version=known)
    if chat is None:
        return not_modified(known)
    response.headers["ETag"] = etag(chat.version)
    return [message.text for message in chat.messages]


@chats.post("/chats/{session_id}")
async def say(text: str, key: SessionKey, sessions: Sessions, expected: ExpectedVersion, response: Response) -> None:
    """Append under the client's conditions."""
    version = await sessions.append(key, [HumanMessage(text)], expected_version=expected)
    response.headers["ETag"] = etag(version)


@chats.post("/history/{session_id}")
async def say_to_history(text: str, history: History) -> list[str]:
    """Append by the adapter."""
    await history.aadd_messages([HumanMessage(text)])
    return [message.text for message in await history.aget_messages()]


@chats.post("/sync/{session_id}")
def say_in_a_thread(text: str, key: SessionKey, sessions: SyncSessions, history: History) -> list[str]:
    """Both facades in a thread."""
    sessions.append(key, [HumanMessage(text)])
    return [message.text for message in history.messages]


@chats.post("/own/{session_id}")
async def say_at(version: int, key: SessionKey, sessions: Sessions) -> None:
    """A condition of the application's own."""
    await sessions.append(key, [HumanMessage("own")], expected_version=version)


@chats.get("/alive")
async def alive() -> str:
    """Answer if the loop is free."""
    return "yes"


@pytest.fixture
def open_sessions(engine: Any, table_name: str) -> Open:
    """What makes repositories on a fresh table."""
    return partial(AsyncSessionRepository, table_name, endpoint_url=engine.endpoint_url)


def application(open_repository: Open, router: APIRouter = chats) -> FastAPI:
    """An application with everything installed."""
    app = FastAPI(lifespan=session_lifespan(sessions=open_repository))
    app.include_router(router)
    install_error_handlers(app)
    return app


@pytest.fixture
def client(open_sessions: Open) -> Iterator[TestClient]:
    """Speak to the application above."""
    with TestClient(application(open_sessions)) as client:
        yield client


# --- Lifespan ---


def test_one_repository_per_worker(open_sessions: Open) -> None:
    """A worker opens one for all its requests and closes it; the next worker of the same application has its own."""
    opened = []

    def make() -> AsyncSessionRepository:
        opened.append(open_sessions())
        return opened[-1]

    app = application(make)
    assert opened == []
    for worker in (1, 2):
        with TestClient(app) as client:
            assert [client.post("/history/s", params={"text": "hi"}).status_code for _ in range(3)] == [200] * 3
        assert len(opened) == worker
    assert [repository._connection._closed for repository in opened] == [True, True]


def test_several_repositories_in_a_lifespan_of_ones_own(open_sessions: Open) -> None:
    """Each has its name in the state, beside what the application yields itself."""
    lifespan = session_lifespan(sessions=open_sessions, notes=lambda: open_sessions(history_messages_key="Notes"))
    notes = SessionDependencies("notes")

    @asynccontextmanager
    async def own(app: FastAPI) -> AsyncIterator[Mapping[str, Any]]:
        async with lifespan(app) as state:
            await state["notes"].append("s", [HumanMessage("noted")])
            yield {**state, "mine": "mine"}

    app = FastAPI(lifespan=own)

    def where(request: Request, first: Sessions, second: AsyncSessionRepository = Depends(notes.sessions)) -> list[str]:
        return [request.state.mine, first.history_messages_key, second.history_messages_key]

    app.get("/where")(where)
    with TestClient(app) as client:
        assert client.get("/where").json() == ["mine", "History", "Notes"]


def test_an_opener_may_prepare(engine: Any, table_name: str) -> None:
    """What makes a repository may be a context manager of one's own, for what has to happen first."""
    steps = []

    @asynccontextmanager
    async def prepared() -> AsyncIterator[AsyncSessionRepository]:
        async with AsyncSessionRepository(table_name, endpoint_url=engine.endpoint_url) as sessions:
            await sessions.create_table()
            steps.append("ready")
            yield sessions
            steps.append("ending")

    with TestClient(application(prepared)) as client:
        assert client.post("/history/s", params={"text": "hi"}).json() == ["hi"]
        assert steps == ["ready"]
    assert steps == ["ready", "ending"]


def test_encrypted_sessions_with_objects(open_sessions: Open, caplog: pytest.LogCaptureFixture) -> None:
    """All ways in, versions and conditions are as ever; who lacks key or bucket is told so, and no more."""
    given: dict[str, Any] = {"encryption": LocalKeyring(b"k" * 32), "blobs": MemoryBlobs(threshold=1000)}
    large = noise(9000)
    with TestClient(application(partial(open_sessions, **given))) as client:
        assert client.post("/chats/s", params={"text": "secret"}, headers={"If-None-Match": "*"}).status_code == 200
        tag = client.post("/chats/s", params={"text": large}).headers["ETag"]
        assert client.get("/chats/s").json() == ["secret", large]
        assert client.get("/chats/s", headers={"If-None-Match": tag}).status_code == 304
        assert client.post("/chats/s", params={"text": "late"}, headers={"If-Match": '"1"'}).status_code == 412
        assert client.post("/history/s", params={"text": "by the history"}).json()[2:] == ["by the history"]
        assert client.post("/sync/s", params={"text": "in a thread"}).json()[3:] == ["in a thread"]
    assert len(given["blobs"].objects) == 1
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"encryption": None}, "session_locked"),
        ({"encryption": LocalKeyring(b"o" * 32)}, "session_damaged"),
        ({"encryption": lambda session: 1 / 0}, "session_locked"),
        ({"blobs": None}, "session_elsewhere"),
        ({"blobs": MemoryBlobs(bucket="another")}, "session_elsewhere"),
        ({"blobs": replace(given["blobs"], objects={})}, "session_damaged"),
    ]
    for change, code in wrong:
        with TestClient(application(partial(open_sessions, **{**given, **change}))) as client:
            answer = client.get("/chats/s")
            assert (answer.status_code, answer.json()["code"]) == (500, code)
            assert "secret" not in answer.text + caplog.text
            assert "memory" not in answer.text
    with TestClient(application(partial(open_sessions, **given))) as client:
        assert client.get("/chats/s").json() == ["secret", large, "by the history", "in a thread"]


def test_without_the_lifespan() -> None:
    """Where no lifespan ran, the error names what is missing."""
    app = FastAPI()
    app.include_router(chats)
    with pytest.raises(errors.SettingsError, match=r"no repository 'sessions'.*session_lifespan\(sessions="):
        TestClient(app).get("/chats/s")


def test_a_repository_is_no_opener(open_sessions: Open) -> None:
    """One repository for several workers, or closed and used again, is refused when the application is made."""
    with pytest.raises(errors.InvalidInputError, match=r"session_lifespan\(sessions=lambda"):
        session_lifespan(sessions=open_sessions())  # type: ignore[arg-type]


def start(app: FastAPI) -> None:
    """Start the application and end it; older test clients leak when that fails."""

    async def live() -> None:
        async with app.router.lifespan_context(app):
            pass

    asyncio.run(live())


def make_later() -> Any:
    """Make a repository, but not at once."""

    async def make() -> AsyncSessionRepository:
        return AsyncSessionRepository("Table")

    return make()


@pytest.mark.parametrize(
    "make", [lambda: SessionRepository("Chat"), make_later, lambda: None, lambda: nullcontext("T")]
)
def test_an_opener_that_makes_no_repository(make: Any) -> None:
    """The worker does not start, and the error shows how an opener looks."""
    with pytest.raises(errors.SettingsError, match=r"'sessions' made .*lambda: AsyncSessionRepository\(.*SyncSessions"):
        start(FastAPI(lifespan=session_lifespan(sessions=make)))


def test_a_lifespan_that_names_no_repository(open_sessions: Open) -> None:
    """Not called, or called without a name or with the class: the error shows how to write it."""
    usage = r"session_lifespan\(sessions=lambda: AsyncSessionRepository\("
    with pytest.raises(errors.InvalidInputError, match=usage):
        start(FastAPI(lifespan=session_lifespan))
    with pytest.raises(errors.InvalidInputError, match=usage):
        session_lifespan(open_sessions)  # type: ignore[arg-type]
    with pytest.raises(errors.InvalidInputError, match=usage):
        session_lifespan(sessions=AsyncSessionRepository)  # type: ignore[arg-type]


def test_a_lifespan_of_ones_own_with_the_sync_facade() -> None:
    """The error tells what the state holds and what it should."""

    @asynccontextmanager
    async def own(app: FastAPI) -> AsyncIterator[Mapping[str, Any]]:
        yield {"sessions": SessionRepository("Table")}

    app = FastAPI(lifespan=own)
    app.include_router(chats)
    with (
        TestClient(app) as client,
        pytest.raises(errors.SettingsError, match=r"but SessionRepository.*no Async.*: .*session_lifespan"),
    ):
        client.get("/chats/s")


@pytest.mark.parametrize(
    ("dependencies", "name"),
    [
        (SessionDependencies(), "session_id"),
        (SessionDependencies(session_id=Path(alias="chat_id")), "chat_id"),
        (SessionDependencies(tenant=lambda: "alice"), "session_id"),
    ],
)
def test_a_path_without_the_sessions_id(dependencies: SessionDependencies, name: str, open_sessions: Open) -> None:
    """That is the developer's mistake, not the client's."""
    router = APIRouter()

    @router.get("/chats/{id}")
    def read(history: Any = Depends(dependencies.history)) -> None: ...

    app = FastAPI(lifespan=session_lifespan(sessions=open_sessions))
    app.include_router(router)
    with (
        TestClient(app) as client,
        pytest.raises(errors.SettingsError, match=rf"no parameter {{{name}}}.* /chats/{{{name}}}"),
    ):
        client.get("/chats/s")


def test_error_handlers_for_a_router() -> None:
    """Routers have none: the error says what has."""
    with pytest.raises(errors.InvalidInputError, match="pass the FastAPI application, not a router"):
        install_error_handlers(APIRouter())  # type: ignore[arg-type]


# --- Dependencies ---


def test_history_and_repository_are_one(client: TestClient) -> None:
    """What the adapter stores the repository reads, and the other way round."""
    client.post("/chats/s", params={"text": "one"})
    assert client.post("/history/s", params={"text": "two"}).json() == ["one", "two"]
    assert client.post("/sync/s", params={"text": "three"}).json() == ["one", "two", "three"]
    assert client.get("/chats/s").json() == ["one", "two", "three"]
    assert client.get("/chats/other").json() == []


SOURCES = {
    "/by-path/s1": (Path(alias="chat"), {}, {}),
    "/by-header/x": (Header(alias="X-Session-Id"), {"X-Session-Id": "s1"}, {}),
    "/by-cookie/x": (Cookie(alias="sid"), {"Cookie": "sid=s1"}, {}),
    "/by-query/x": (Query(alias="sid"), {}, {"sid": "s1"}),
    "/by-own/x": (Depends(lambda: "s1"), {}, {}),
    "/by-whole-key/x": (Depends(lambda: {"SessionId": "s1"}), {}, {}),
}


@pytest.mark.parametrize("address", SOURCES)
def test_where_the_id_comes_from(address: str, open_sessions: Open) -> None:
    """Path, header, cookie, query or a function of the application's own; the history has the size asked for."""
    source, headers, params = SOURCES[address]
    own = SessionDependencies(session_id=source, history_size=2)
    router = APIRouter()

    async def read(
        history: DynamoDBChatMessageHistory = Depends(own.history), key: Any = Depends(own.key)
    ) -> tuple[Any, int | None]:
        return history.key["SessionId"], history.history_size

    router.get(address.rpartition("/")[0] + "/{chat}")(read)
    with TestClient(application(open_sessions, router)) as client:
        assert client.get(address, headers=headers, params=params).json() == ["s1", 2]


def test_sync_endpoints_share_one_thread_and_leave_the_loop_free(open_sessions: Open) -> None:
    """However many requests of `def` endpoints wait for DynamoDB: the loop goes on, in one thread beside it."""
    waiting = [threading.Event() for _ in range(4)]
    release = threading.Event()

    async def hold(operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        if operation == "update_item" and (free := next((event for event in waiting if not event.is_set()), None)):
            free.set()
            await asyncio.to_thread(release.wait)
        return await proceed()

    def make() -> AsyncSessionRepository:
        repository = open_sessions()
        watch(repository, Hooked, hold)
        return repository

    with TestClient(application(make)) as client, ThreadPoolExecutor(4) as pool:
        answers = [pool.submit(client.post, f"/sync/{i}", params={"text": "hi"}) for i in range(4)]
        assert [event.wait(30) for event in waiting] == [True] * 4
        assert client.get("/alive").json() == "yes"
        assert [thread.name for thread in threading.enumerate()].count("langchain-dynamodb") == 1
        release.set()
        assert [answer.result().json() for answer in answers] == [["hi"]] * 4


# --- Tenants ---

TOKENS = ("a", "/", "%", "%2F", "#")
TEXTS = sorted({"".join(tokens) for length in (1, 2, 3) for tokens in itertools.product(TOKENS, repeat=length)})


@pytest.mark.parametrize("key", [tenant_key, composite_key("PK", "SK", partition_prefix="a/", sort_prefix="b#")])
def test_no_two_sessions_share_a_key(key: Any) -> None:
    """Whatever tenants and ids consist of, separators and encoded separators included, two pairs have two keys."""
    pairs = list(itertools.product(TEXTS, TEXTS))
    assert len({str(key(*pair)) for pair in pairs}) == len(pairs)


def test_keys() -> None:
    """What the keys are: others (IAM policies, scripts) rely on it."""
    assert tenant_key("eu-west-1:a/b@c.d*", "e/f") == "eu-west-1:a%2Fb@c.d%2A/e/f"
    prefixed = composite_key("PK", "SK", partition_prefix="USER#", sort_prefix="CHAT#")
    assert prefixed("alice", "first") == {"PK": "USER#alice", "SK": "CHAT#first"}
    assert composite_key("PK", "SK")("alice", "first") == {"PK": "alice", "SK": "first"}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("PK", "PK"), "two key attributes"),  # all tenants would share their sessions
        (("PK", ""), "key attribute name ''"),
        (("PK", 7), "sort_key_name=7 must be a text"),
        (("lc_version", "SK"), "choose another"),
    ],
)
def test_names_that_no_table_has(arguments: Any, told: str) -> None:
    """Refused when the key function is made."""
    with pytest.raises(errors.InvalidInputError, match=told):
        composite_key(*arguments)


def test_a_prefix_that_is_no_text() -> None:
    """Refused when the key function is made."""
    with pytest.raises(errors.InvalidInputError, match="sort_prefix=None must be a text"):
        composite_key("PK", "SK", sort_prefix=None)  # type: ignore[arg-type]


@pytest.mark.parametrize("key", [tenant_key, composite_key("PK", "SK")])
@pytest.mark.parametrize("pair", [("", "a"), (None, "a"), (7, "a"), ("\ud800", "a"), ("a", None), ("a", "")], ids=ascii)
def test_what_makes_no_key(key: Any, pair: Any) -> None:
    """Nobody's sessions are not those of an empty tenant, and None is no id."""
    with pytest.raises(errors.InvalidInputError, match=r"(tenant|session id) .* must be a text"):
        key(*pair)


def user(x_user: Annotated[str | None, Header()] = None) -> Any:
    """Who is logged in, as the tests say it."""
    return x_user


PER_USER = SessionDependencies(tenant=user)
IN_PARTITIONS = SessionDependencies(tenant=user, key=composite_key("PK", "SK"))
BY_HEADER = SessionDependencies(tenant=user, session_id=Header(alias="X-Session-Id"))
tenants = APIRouter()


def add_tenant_routes(path: str, dependencies: SessionDependencies) -> None:
    """Append and read by each kind of dependencies."""

    @tenants.post(path, name=path)
    async def post(text: str, history: Any = Depends(dependencies.history)) -> None:
        await history.aadd_messages([HumanMessage(text)])

    @tenants.get(path)
    def read(key: Any = Depends(dependencies.key), sessions: Any = Depends(dependencies.sync_sessions)) -> Any:
        return [message.text for message in sessions.read(key).messages]


add_tenant_routes("/user/{session_id:path}", PER_USER)
add_tenant_routes("/partition/{session_id:path}", IN_PARTITIONS)
add_tenant_routes("/header", BY_HEADER)
IDS = ["x", "x/x", "bob/x", "../bob/x"]


@pytest.mark.parametrize("kind", ["user", "partition", "header"])
def test_no_user_reaches_anothers_session(
    kind: str, open_sessions: Open, composite_table_name: str, engine: Any
) -> None:
    """Each user has sessions of all these ids; every one holds what that user said, and nothing else."""
    if kind == "partition":
        open_sessions = partial(AsyncSessionRepository, composite_table_name, endpoint_url=engine.endpoint_url)
    said = {(who, name): f"{who} in {name}" for who in ("alice", "bob", "bob/x") for name in IDS}

    def target(who: str, name: str) -> dict[str, Any]:
        if kind == "header":
            return {"url": "/header", "headers": {"X-User": who, "X-Session-Id": name}}
        return {"url": f"/{kind}/" + name.replace("..", "%2E%2E"), "headers": {"X-User": who}}

    with TestClient(application(open_sessions, tenants)) as client:
        for pair, text in said.items():
            assert client.post(**target(*pair), params={"text": text}).status_code == 200
        assert {pair: client.get(**target(*pair)).json() for pair in said} == {pair: [said[pair]] for pair in said}


@pytest.mark.parametrize("tenant", [None, "", 7, b"alice", "\ud800"], ids=ascii)
def test_nobody_shares_a_tenant(tenant: Any, open_sessions: Open, caplog: pytest.LogCaptureFixture) -> None:
    """A tenant dependency that returns no text is a fault of the server, not a tenant of all who are not logged in."""
    app = application(open_sessions, tenants)
    app.dependency_overrides[user] = lambda: tenant
    with TestClient(app) as client:
        answer = client.get("/user/x")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert "HTTPException(401)" in caplog.text


@pytest.mark.parametrize("key", [lambda tenant, session_id: None, composite_key], ids=["None", "a function"])
def test_a_key_function_that_makes_no_key(key: Any, open_sessions: Open, caplog: pytest.LogCaptureFixture) -> None:
    """A fault of the server, and not the client's to be told of."""
    own = SessionDependencies(tenant=lambda: "alice", key=key)
    router = APIRouter()

    @router.get("/chats/{session_id}")
    async def show(history: Any = Depends(own.history)) -> None: ...

    with TestClient(application(open_sessions, router)) as client:
        answer = client.get("/chats/first")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert "it must return a session id" in caplog.text


@pytest.mark.parametrize("kind", ["user/", "header"])
def test_an_empty_id_is_refused(kind: str, open_sessions: Open) -> None:
    """It would otherwise be the id of one more session."""
    with TestClient(application(open_sessions, tenants)) as client:
        answer = client.get(f"/{kind}", headers={"X-User": "alice", "X-Session-Id": ""})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")


def test_a_key_without_a_tenant_is_refused() -> None:
    """It would never be used."""
    with pytest.raises(errors.InvalidInputError, match="tenant="):
        SessionDependencies(key=composite_key("PK", "SK"))


async def tenant_key_later(tenant: str, session_id: str) -> str:
    """Make a key, but not at once."""
    return tenant_key(tenant, session_id)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"session_id": "chat_id"}, r"session_id='chat_id'.*Path\(alias"),
        ({"tenant": Depends(lambda: "t")}, "tenant=.*not Depends of it"),
        ({"tenant": lambda: "t", "key": "PK"}, "key='PK'"),
        ({"tenant": lambda: "t", "key": tenant_key_later}, "must not be async"),
        ({"history_size": "20"}, "history_size='20'"),
        ({"must_exist": "yes"}, "must_exist='yes' must be True or False"),
        ({"state": AsyncSessionRepository("Table")}, "must be the name of a repository in session_lifespan"),
    ],
)
def test_bad_dependencies_are_refused(options: dict[str, Any], told: str) -> None:
    """When the application is made, not at its first request."""
    with pytest.raises(errors.InvalidInputError, match=told):
        SessionDependencies(**options)


# --- ETag, If-None-Match, If-Match ---


def test_a_known_version_is_not_read_again(open_sessions: Open) -> None:
    """304 by one look at the session item, whatever its pages hold; 200 and the new ETag once it has changed."""
    log: list[tuple[str, Mapping[str, Any]]] = []

    def make() -> AsyncSessionRepository:
        repository = open_sessions(sizes=SMALL)
        log_of = watch(repository, Recorder)
        log_of.log = log
        return repository

    texts = [f"{i} " + "word " * 40 for i in range(12)]
    with TestClient(application(make)) as client:
        for text in texts:
            client.post("/chats/s", params={"text": text})
        first = client.get("/chats/s")
        assert first.json() == texts
        log.clear()
        again = client.get("/chats/s", headers={"If-None-Match": first.headers["ETag"]})
        assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", first.headers["ETag"])
        assert [operation for operation, _ in log] == ["get_item"]
        added = client.post("/chats/s", params={"text": "more"})
        changed = client.get("/chats/s", headers={"If-None-Match": first.headers["ETag"]})
        assert (changed.status_code, changed.headers["ETag"]) == (200, added.headers["ETag"])
        assert changed.json() == [*texts, "more"]


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ("{now}", 304),
        ("W/{now}", 304),
        ('"1", {now}', 304),
        ('"1", W/{now}', 304),
        ("*", 304),
        ('"1"', 200),
        ('"1", "2"', 200),
        ('"of-another-server"', 200),
        ('"0"', 200),
        ("1", 400),
        ("{now}, *", 400),
    ],
)
def test_if_none_match_on_a_read(client: TestClient, header: str, status: int) -> None:
    """Lists and weak tags count; one that is malformed is told."""
    now = client.post("/chats/s", params={"text": "hi"}).headers["ETag"]
    answer = client.get("/chats/s", headers={"If-None-Match": header.format(now=now)})
    assert answer.status_code == status
    if status == 400:
        assert (answer.json()["code"], "double quotes" in answer.json()["detail"]) == ("malformed_header", True)


def test_an_absent_session_has_a_tag_too(client: TestClient) -> None:
    """Version 0: known to be absent is 304, and `*` does not match it."""
    assert client.get("/chats/s").headers["ETag"] == '"0"'
    assert client.get("/chats/s", headers={"If-None-Match": '"0"'}).status_code == 304
    assert client.get("/chats/s", headers={"If-None-Match": "*"}).status_code == 200
    assert client.get("/chats/s", headers={"If-None-Match": '"0", "1"'}).status_code == 304


@pytest.mark.parametrize(
    ("headers", "absent", "present"),
    [
        ({}, 200, 200),
        ({"If-Match": "{now}"}, 200, 200),
        ({"If-Match": '"1"'}, 412, 412),
        ({"If-Match": '"1", {now}'}, 200, 200),
        ({"If-Match": '"1", "2"'}, 412, 412),
        ({"If-Match": "W/{now}"}, 412, 412),
        ({"If-Match": '"of-another-server"'}, 412, 412),
        ({"If-Match": "*"}, 412, 200),
        ({"If-None-Match": "*"}, 200, 412),
        ({"If-None-Match": "{now}"}, 412, 412),
        ({"If-None-Match": '"1"'}, 200, 200),
        ({"If-Match": "*", "If-None-Match": '"1"'}, 412, 200),
        ({"If-Match": "*", "If-None-Match": "{now}"}, 412, 412),
        ({"If-Match": "now"}, 400, 400),
        ({"If-None-Match": "W/"}, 400, 400),
    ],
)
def test_conditions_of_a_change(client: TestClient, headers: dict[str, str], absent: int, present: int) -> None:
    """A change happens exactly under its conditions, on a session that is absent (version 0) and on one that is not."""
    client.post("/chats/present", params={"text": "hi"})
    for name, status in (("absent", absent), ("present", present)):
        before = client.get(f"/chats/{name}")
        now = before.headers["ETag"]
        sent = {header: value.format(now=now) for header, value in headers.items()}
        answer = client.post(f"/chats/{name}", params={"text": "more"}, headers=sent)
        after = client.get(f"/chats/{name}")
        assert answer.status_code == status
        assert after.json() == before.json() + (["more"] if status == 200 else [])
        assert status == 400 or answer.headers["ETag"] == after.headers["ETag"]
        if status == 412:
            assert answer.headers["Content-Type"] == "application/problem+json"
            assert (answer.json()["code"], etag(answer.json()["current_version"])) == ("version_conflict", now)


def test_a_condition_holds_when_the_change_happens(open_sessions: Open) -> None:
    """Where a look was needed, a change by another writer between it and the append is a conflict, not overlooked."""

    async def hold(operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        response = await proceed()
        if operation == "get_item":
            await open_sessions().append("s", [HumanMessage("meanwhile")])
        return response

    def make() -> AsyncSessionRepository:
        repository = open_sessions()
        watch(repository, Hooked, hold)
        return repository

    with TestClient(application(open_sessions)) as client:
        client.post("/chats/s", params={"text": "hi"})
    with TestClient(application(make)) as client:
        assert client.post("/chats/s", params={"text": "late"}, headers={"If-Match": "*"}).status_code == 412
    with TestClient(application(open_sessions)) as client:
        assert "late" not in client.get("/chats/s").json()


def test_conflict(client: TestClient) -> None:
    """The application's own condition fails with 409, one of the request's headers with 412; both tell the version."""
    current = client.post("/chats/s", params={"text": "hi"}).headers["ETag"]
    for headers, status, title in (({}, 409, "Conflict"), ({"If-Match": '"1"'}, 412, "Precondition Failed")):
        path, params = ("own", {"version": "1"}) if status == 409 else ("chats", {"text": "me too"})
        answer = client.post(f"/{path}/s", params=params, headers=headers)
        assert (answer.status_code, answer.headers["ETag"]) == (status, current)
        assert answer.json() == {
            "title": title,
            "status": status,
            "detail": "The session has changed since you read it: read it again, then repeat the change.",
            "code": "version_conflict",
            "current_version": int(current.strip('"')),
            "expected_version": 1,
        }


def test_why_a_condition_does_not_hold(client: TestClient) -> None:
    """The answer does not tell to read again where that would change nothing."""
    tag = client.post("/chats/s?text=a").headers["ETag"]
    for headers, told in (
        ({"If-Match": f"W/{tag}"}, "weak one"),
        ({"If-None-Match": tag}, "what If-None-Match says"),
        ({"If-Match": tag, "If-None-Match": f"W/{tag}"}, "what If-None-Match says"),
        ({"If-Match": 'W/"7"'}, "has changed since you read it"),
        ({"If-Match": 'W/"7"', "If-None-Match": tag}, "has changed since you read it"),
    ):
        answer = client.post("/chats/s?text=b", headers=headers)
        assert (answer.status_code, headers, told in answer.json()["detail"]) == (412, headers, True)
    assert "no such session" in client.post("/chats/absent?text=b", headers={"If-Match": "*"}).json()["detail"]


def test_a_read_is_no_failed_precondition() -> None:
    """A conflict of `iter_messages` in a GET with If-None-Match is 409: the client's tag is not to blame."""
    assert raised(errors.VersionConflictError("x", expected=1, actual=2), {"If-None-Match": '"1"'}).status_code == 409


def test_preconditions_without_the_error_handlers(open_sessions: Open) -> None:
    """Where no handlers are installed, FastAPI's own answer has the same status, text and ETag."""
    app = FastAPI(lifespan=session_lifespan(sessions=open_sessions))
    app.include_router(chats)
    with TestClient(app) as client:
        answer = client.post("/chats/s", params={"text": "hi"}, headers={"If-Match": "*"})
        assert (answer.status_code, answer.headers["ETag"]) == (412, '"0"')
        assert answer.json() == {"detail": "There is no such session (any more)."}


# --- Errors ---

SECRET = "arn:aws:dynamodb:eu-west-1:123456789012:table/Sessions"
ERRORS: list[tuple[errors.ChatHistoryError, int, str]] = [
    (errors.VersionConflictError(SECRET, expected=1, actual=2), 409, "version_conflict"),
    (errors.MessageTooLargeError(SECRET, size=20, limit=10), 413, "message_too_large"),
    (errors.UnsupportedMessageError("messages[0] is a set", path="messages[0]"), 422, "unsupported_message"),
    (errors.InvalidInputError("limit=-1 must be"), 422, "invalid_input"),
    (errors.InvalidCursorError("cursor='x' must be"), 400, "invalid_cursor"),
    (errors.IdempotencyError(SECRET), 422, "idempotency_key_reused"),
    (errors.ThrottledError(SECRET, code="ThrottlingException"), 503, "throttled"),
    (errors.SessionBusyError(SECRET), 503, "session_busy"),
    (errors.StorageError(SECRET), 503, "storage_unavailable"),
    (errors.StorageError(SECRET, code="InternalServerError"), 503, "storage_unavailable"),
    (errors.StorageError(SECRET, code="ReplicatedWriteConflictException"), 503, "session_busy"),
    (errors.OutcomeUnknownError(SECRET), 500, "outcome_unknown"),
    (errors.StorageError(SECRET, code="ValidationException"), 500, "internal_error"),
    (errors.TableNotFoundError(SECRET, code="ResourceNotFoundException"), 500, "internal_error"),
    (errors.AccessDeniedError(SECRET), 500, "internal_error"),
    (errors.CorruptSessionError(SECRET, item=SECRET, attribute="History"), 500, "session_damaged"),
    (errors.IncompleteSessionError(SECRET, item=SECRET), 503, "session_incomplete"),
    (errors.DecryptionError(SECRET, item=SECRET, attribute="lc_key"), 500, "session_damaged"),
    (
        errors.BlobDamagedError(SECRET, item=SECRET, attribute="lc_data", bucket=SECRET, object=SECRET),
        500,
        "session_damaged",
    ),
    (errors.MissingBlobsError(SECRET, bucket=SECRET), 500, "session_elsewhere"),
    (
        errors.BlobUnavailableError(SECRET, bucket=SECRET, object=SECRET, retryable=True),
        503,
        "storage_unavailable",
    ),
    (errors.BlobUnavailableError(SECRET, bucket=SECRET, object=None, code="AccessDenied"), 500, "internal_error"),
    (errors.EncryptionError(SECRET), 500, "session_locked"),
    (errors.MissingKeyError(SECRET), 500, "session_locked"),
    (errors.KeyUnavailableError(SECRET, code="DisabledException"), 500, "session_locked"),
    (errors.SessionNotFoundError(SECRET), 404, "session_not_found"),
    (errors.MessageNotFoundError(SECRET, message_id=SECRET), 404, "message_not_found"),
    (errors.WrongRegionError(SECRET, home="eu-central-1", here="us-west-2"), 421, "wrong_region"),
    (errors.ItemFormatError(SECRET), 500, "internal_error"),
    (errors.ForeignItemError(SECRET, item=SECRET), 409, "not_a_session"),
    (errors.RepositoryClosedError(SECRET), 500, "internal_error"),
    (errors.SettingsError(SECRET), 500, "internal_error"),
    (errors.ChatHistoryError(SECRET), 500, "internal_error"),
]


def raised(error: Exception, headers: dict[str, str] | None = None) -> Any:
    """What a client gets when an endpoint raises this."""
    app = FastAPI()
    install_error_handlers(app)

    @app.get("/fail")
    async def fail() -> None:
        raise error

    return TestClient(app).get("/fail", headers=headers)


@pytest.mark.parametrize(("error", "status", "code"), ERRORS, ids=[f"{type(e[0]).__name__}-{e[2]}" for e in ERRORS])
def test_errors_become_answers(
    error: errors.ChatHistoryError, status: int, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Status, code, a text that says what to do and nothing of the server's own; the server's faults are logged."""
    answer = raised(error)
    body = answer.json()
    assert (answer.status_code, body["status"], body["code"]) == (status, status, code)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert SECRET not in answer.text
    assert body["detail"].endswith((".", "again.", "set", "must be"))
    assert answer.headers.get("Retry-After") == ("1" if status == 503 else None)
    logged = [record for record in caplog.records if record.name == "langchain_dynamodb.fastapi"]
    assert [record.levelno for record in logged] == {500: [logging.ERROR], 503: [logging.WARNING]}.get(status, [])
    assert [record.exc_info[1] for record in logged if record.exc_info] == [error] * len(logged)


def test_answers_carry_what_a_client_acts_on() -> None:
    """Sizes, and the path within the messages."""
    told = {error[2]: problem(error[0]).document for error in ERRORS}
    assert (told["message_too_large"]["size"], told["message_too_large"]["limit"]) == (20, 10)
    assert told["unsupported_message"]["path"] == "messages[0]"
    assert told["wrong_region"]["home_region"] == "eu-central-1"


def test_every_error_is_decided_on_and_documented() -> None:
    """A new class of error needs a line in the table above, and each line there one in the how-to page."""
    kinds = {kind for kind in vars(errors).values() if isinstance(kind, type) and kind.__module__ == errors.__name__}
    kinds -= {errors.UnregisteredClassWarning, errors.OmittedValueWarning}  # which a request does not fail of
    assert {type(error) for error, _, _ in ERRORS} == kinds
    lines = [line for line in HOW_TO.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    rows = [[cell.strip().strip("`") for cell in line.split("|")[1:-1]] for line in lines]
    shown = {(row[0], row[1]) for row in rows if row[0][:1].isdigit()}
    assert shown >= {(str(status), code) for _, status, code in ERRORS}


def test_invalid_input_end_to_end(client: TestClient) -> None:
    """What the repository refuses is told with its own text."""
    answer = client.get("/chats/" + "x" * 3000)
    assert (answer.status_code, "at most 2021 fit" in answer.json()["detail"]) == (422, True)


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        ("messages", '["split \\ud83d", "\\ude00"]', "unsupported_message"),
        ("metadata", '{"title": "half \\ud83d"}', "invalid_input"),
        ("metadata", '{"\\ud83d": 1}', "invalid_input"),
        ("read", '"half \\ud83d"', "invalid_input"),
    ],
)
def test_halves_of_characters_are_input_errors(open_sessions: Open, path: str, body: str, code: str) -> None:
    """What FastAPI lets through, since it is plain JSON, and we cannot store, is told in UTF-8."""
    router = APIRouter()

    @router.post("/{session_id}/messages")
    async def say(key: SessionKey, sessions: Sessions, body: Annotated[Any, Body()]) -> int:
        return await sessions.append(key, [HumanMessage("".join(body))])

    @router.post("/{session_id}/metadata")
    async def describe(key: SessionKey, sessions: Sessions, body: Annotated[Any, Body()]) -> int:
        return await sessions.update_metadata(key, body)

    @router.post("/{session_id}/read")
    async def read(sessions: Sessions, body: Annotated[Any, Body()]) -> int:
        return (await sessions.read(body)).version

    with TestClient(application(open_sessions, router)) as client:
        answer = client.post(f"/x/{path}", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (422, code)


# --- Changes that come late ---

LATE = SessionDependencies(must_exist=True)
late = APIRouter()


@late.post("/late/{session_id}")
async def say_late(history: DynamoDBChatMessageHistory = Depends(LATE.history)) -> None:
    """Never the first message."""
    await history.aadd_messages([HumanMessage("late")])


@late.post("/late-sync/{session_id}")
def say_late_in_a_thread(history: DynamoDBChatMessageHistory = Depends(LATE.history)) -> None:
    """The same in a thread."""
    history.add_messages([HumanMessage("late")])


@late.put("/late/{session_id}/title")
async def rename_late(key: SessionKey, sessions: Sessions, expected: ExpectedVersion) -> None:
    """A change of what is there."""
    await sessions.update_metadata(key, {"title": "late"}, expected_version=expected)


@late.put("/late/{session_id}/cut")
def cut_late(key: SessionKey, sessions: SyncSessions, expected: ExpectedVersion) -> None:
    """The same in a thread."""
    sessions.truncate(key, keep=0, expected_version=expected)


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "late/s"), ("POST", "late-sync/s"), ("PUT", "late/s/title"), ("PUT", "late/s/cut")],
)
def test_late_changes_bring_no_session_back(method: str, path: str, open_sessions: Open) -> None:
    """Histories with `must_exist`, and changes of what must be there: 404 where it never was, or was deleted."""
    with SessionRepository.over(open_sessions()) as stored, TestClient(application(open_sessions, late)) as client:
        for deleted in (False, True):
            answer = client.request(method, path)
            assert (answer.status_code, answer.json()["code"]) == (404, "session_not_found")
            only_if_there = client.request(method, path, headers={"If-Match": "*"}) if method == "PUT" else answer
            assert only_if_there.status_code == (412 if method == "PUT" else 404)
            assert stored.read("s").version == 0
            assert list(stored.list()) == []
            if not deleted:
                stored.append("s", [HumanMessage("first")])
                assert client.request(method, path).status_code == 200
                stored.delete("s")


# --- Halves of characters (lone surrogates): JSON can say them, UTF-8 cannot ---

HALF = "half \ud83d"
SHOWN = "half \N{REPLACEMENT CHARACTER}"
JSON = {"Content-Type": "application/json"}
halves = APIRouter()


@halves.post("/append/{session_id}")
async def append_texts(key: SessionKey, sessions: Sessions, texts: Annotated[list[str], Body()]) -> int:
    """By the repository."""
    return await sessions.append(key, [HumanMessage(text) for text in texts])


@halves.post("/replace/{session_id}")
async def replace_texts(key: SessionKey, sessions: Sessions, texts: Annotated[list[str], Body()]) -> int:
    """By the repository, all of them."""
    return await sessions.replace(key, [HumanMessage(text) for text in texts])


@halves.post("/append-sync/{session_id}")
def append_texts_in_a_thread(key: SessionKey, sessions: SyncSessions, texts: Annotated[list[str], Body()]) -> int:
    """By the facade."""
    return sessions.append(key, [HumanMessage(text) for text in texts])


@halves.post("/add/{session_id}")
async def add_texts(history: History, texts: Annotated[list[str], Body()]) -> None:
    """By the adapter."""
    await history.aadd_messages([HumanMessage(text) for text in texts])


@halves.post("/add-sync/{session_id}")
def add_texts_in_a_thread(history: History, texts: Annotated[list[str], Body()]) -> None:
    """By the adapter, in a thread."""
    history.add_messages([HumanMessage(text) for text in texts])


@halves.get("/texts/{session_id}")
async def show_texts(history: History) -> list[str]:
    """Serialised by pydantic."""
    return [message.text for message in await history.aget_messages()]


@halves.get("/plain/{session_id}")
def show_plain(history: History):  # type: ignore[no-untyped-def]
    """Serialised by FastAPI's response class."""
    return [message.text for message in history.messages]


@halves.get("/session/{session_id}")
async def show_session(key: SessionKey, sessions: Sessions) -> ChatSession:
    """A model of ours."""
    return await sessions.read(key, limit=10)


@halves.get("/iterated/{session_id}")
async def show_iterated(key: SessionKey, sessions: Sessions) -> list[str]:
    """Page by page."""
    return [message.text async for message in sessions.iter_messages(key)]


@halves.get("/streamed/{session_id}")
def show_streamed(key: SessionKey, sessions: SyncSessions) -> StreamingResponse:
    """As server-sent events, which are UTF-8."""
    return StreamingResponse(f"data: {message.text}\n\n" for message in sessions.iter_messages(key))


@pytest.mark.parametrize("way", ["append", "append-sync", "replace", "add", "add-sync"])
def test_half_a_character_is_not_stored(way: str, open_sessions: Open) -> None:
    """A plain `str` lets it through; nothing of the call is stored, and the session can be shown as before."""
    with TestClient(application(open_sessions, halves)) as client:
        client.post("/append/s", json=["first"])
        answer = client.post(f"/{way}/s", content=b'["whole", "half \\ud83d"]', headers=JSON)
        assert (answer.status_code, answer.json()["code"]) == (422, "unsupported_message")
        assert answer.json()["path"] == "messages[1].content"
        assert client.get("/texts/s").json() == ["first"]


def test_half_a_character_over_a_web_socket(open_sessions: Open) -> None:
    """JSON over a WebSocket says it as well; the socket is closed, as with every error, and nothing is stored."""
    app = application(open_sessions, halves)

    @app.websocket("/live/{session_id}")
    async def live(websocket: WebSocket, key: SessionKey, sessions: Sessions) -> None:
        await websocket.accept()
        await sessions.append(key, [HumanMessage(await websocket.receive_json())])

    with TestClient(app) as client:
        with client.websocket_connect("/live/s") as websocket:
            websocket.send_text('"half \\ud83d"')
            assert websocket.receive() == {"type": "websocket.close", "code": 1008, "reason": "unsupported_message"}
        assert client.get("/texts/s").json() == []


@pytest.mark.parametrize("way", ["texts", "plain", "iterated"])
def test_a_history_that_has_one_can_be_shown(way: str, open_sessions: Open) -> None:
    """Another program may have stored it: what is shown says so, and what is stored stays exact."""
    stored = SessionRepository.over(open_sessions())
    stored.append("s", [HumanMessage(HALF), AIMessage("whole")])
    with TestClient(application(open_sessions, halves)) as client:
        answer = client.get(f"/{way}/s")
        assert (answer.status_code, answer.json()) == (200, [SHOWN, "whole"])
        assert client.post("/append/s", json=["goes on"]).status_code == 200
    assert [message.text for message in stored.read("s").messages] == [HALF, "whole", "goes on"]
    stored.close()


def test_a_whole_session_that_has_one_can_be_shown(open_sessions: Open) -> None:
    """In every field of its messages, as a response model and as a stream."""
    call = {"name": "look", "args": {HALF: [HALF]}, "id": "1", "type": "tool_call"}
    message = AIMessage([{"type": "text", "text": HALF}], name=HALF, tool_calls=[call], additional_kwargs={"x": HALF})
    with SessionRepository.over(open_sessions()) as stored:
        stored.append("s", [message, HumanMessage(HALF, note=HALF)])
    with TestClient(application(open_sessions, halves)) as client:
        answer, human = client.get("/session/s").json()["messages"]
        assert answer["content"] == [{"type": "text", "text": SHOWN}]
        assert (answer["name"], answer["additional_kwargs"]) == (SHOWN, {"x": SHOWN})
        assert answer["tool_calls"] == [{**call, "args": {SHOWN: [SHOWN]}}]
        assert (human["content"], human["note"]) == (SHOWN, SHOWN)
        assert client.get("/streamed/s").text == f"data: {SHOWN}\n\n" * 2


@pytest.mark.parametrize("body", [b'["\\ud800"]', b'{"\\ud800": 1}', b'{"number": "\\ud800"}', b'"\\ud800"'])
def test_fastapis_own_refusal_can_be_told(body: bytes) -> None:
    """It repeats the input, which may be no UTF-8: that is no reason for a 500."""
    app = FastAPI()
    install_error_handlers(app)

    @app.post("/")
    async def count(number: Annotated[int, Body(embed=True)]) -> int:
        return number

    answer = TestClient(app).post("/", content=body, headers=JSON)
    assert (answer.status_code, list(answer.json())) == (422, ["detail"])
    assert answer.json()["detail"][0]["loc"][0] == "body"


def test_a_handler_of_ones_own_for_refused_input_stays() -> None:
    """Whichever is installed first."""

    async def own(request: Request, error: Exception) -> Response:
        return Response("own", 418)

    for ours_first in (True, False):
        app = FastAPI()
        app.get("/")(lambda number: number)
        if ours_first:
            install_error_handlers(app)
        app.add_exception_handler(RequestValidationError, own)
        if not ours_first:
            install_error_handlers(app)
        answer = TestClient(app).get("/")
        assert (answer.status_code, answer.text) == (418, "own")


def test_a_problem_can_always_be_told() -> None:
    """The path of a value that cannot be stored may itself hold half a character."""
    answer = raised(errors.UnsupportedMessageError(f"{HALF} holds a set", path=HALF))
    assert (answer.status_code, answer.json()["path"]) == (422, SHOWN)


def test_wrong_settings_are_the_servers_fault(open_sessions: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys that the table does not have and a missing region are not blamed on the client's input."""
    with TestClient(application(open_sessions, tenants)) as client:
        misfit = client.get("/partition/x", headers={"X-User": "alice"})
    for name in ("AWS_DEFAULT_REGION", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    with TestClient(application(open_sessions)) as client:
        nowhere = client.get("/chats/x")
    assert [(answer.status_code, answer.json()["code"]) for answer in (misfit, nowhere)] == 2 * [
        (500, "internal_error")
    ]


def test_other_errors_are_left_alone() -> None:
    """The handlers take errors of this package only."""
    with pytest.raises(KeyError):
        raised(KeyError("x"))


@pytest.mark.parametrize(
    ("error", "code", "reason"),
    [
        (errors.SessionBusyError("x"), 1013, "session_busy"),
        (errors.IncompleteSessionError("x", item="x"), 1013, "session_incomplete"),
        (errors.CorruptSessionError("x", item="x"), 1011, "session_damaged"),
        (errors.SessionNotFoundError("x"), 1008, "session_not_found"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_web_socket_is_closed(error: errors.ChatHistoryError, code: int, reason: str, open_sessions: Open) -> None:
    """Dependencies work there too, and an error closes it with a code instead of leaving the client waiting.

    Damage is told apart from what another attempt may get past.
    """
    app = application(open_sessions)

    @app.websocket("/live/{session_id}")
    async def live(websocket: WebSocket, history: Any = Depends(SessionDependencies().history)) -> None:  # noqa: B008
        await websocket.accept()
        await history.aadd_messages([HumanMessage("hi")])
        await websocket.send_json([message.text for message in await history.aget_messages()])
        raise error

    with TestClient(app) as client, client.websocket_connect("/live/s") as websocket:
        assert websocket.receive_json() == ["hi"]
        assert websocket.receive() == {"type": "websocket.close", "code": code, "reason": reason}


def test_preconditions_of_a_web_socket(open_sessions: Open) -> None:
    """The handshake is a request, whose headers mean the same."""
    app = application(open_sessions)

    @app.websocket("/live/{session_id}")
    async def live(websocket: WebSocket, known: KnownVersion, expected: ExpectedVersion) -> None:
        await websocket.accept()
        await websocket.send_json([known, expected])

    with TestClient(app) as client:
        for headers, versions in (({}, [None, None]), ({"If-Match": '"7"'}, [None, 7])):
            with client.websocket_connect("/live/s", headers=headers) as websocket:
                assert websocket.receive_json() == versions


# --- OpenAPI, imports ---


def test_openapi(open_sessions: Open) -> None:
    """The schema has the parameters that a client sends, described, and none of the server's own."""
    app = application(open_sessions)
    app.get("/documented/{session_id}", responses=PROBLEM_RESPONSES)(show)
    app.post("/by-header")(lambda key=Depends(BY_HEADER.key): None)  # type: ignore[misc]
    paths = app.openapi()["paths"]

    def parameters(path: str, method: str) -> set[tuple[str, str, bool, bool]]:
        found = paths[path][method]["parameters"]
        return {(p["name"], p["in"], p["required"], bool(p.get("description"))) for p in found}

    session_id = ("session_id", "path", True, True)
    none_match = ("If-None-Match", "header", False, True)
    assert parameters("/chats/{session_id}", "get") == {session_id, none_match}
    text = ("text", "query", True, False)
    match = ("If-Match", "header", False, True)
    assert parameters("/chats/{session_id}", "post") == {session_id, text, none_match, match}
    assert parameters("/by-header", "post") == {
        ("X-Session-Id", "header", True, False),
        ("x-user", "header", False, False),
    }
    answers = paths["/documented/{session_id}"]["get"]["responses"]
    assert {status for status in answers if "application/problem+json" in answers[status].get("content", {})} == {
        "404", "409", "412", "413", "421", "503"
    }  # fmt: skip


def test_without_fastapi(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the extra to install."""
    monkeypatch.setitem(sys.modules, "fastapi", None)
    for name in [name for name in sys.modules if name.startswith("langchain_dynamodb.fastapi")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(ModuleNotFoundError, match=r'needs fastapi: pip install ".\[fastapi\]"'):
        importlib.import_module("langchain_dynamodb.fastapi")
