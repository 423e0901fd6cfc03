"""Dependencies for FastAPI: repositories, histories, keys of sessions, versions by ETag."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Annotated, Any

from .._checks import check_count, check_flag, check_text, how_to_install, is_utf8, short

try:
    from fastapi import Depends, Header, Path, Response
    from fastapi.params import Depends as DependsParam
    from fastapi.params import Param
    from fastapi.params import Path as PathParam
    from fastapi.requests import HTTPConnection
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"langchain_dynamodb.fastapi needs {error.name}: {how_to_install('fastapi')}", name=error.name
    ) from error

from .._items.keys import Session
from ..blocking import SessionRepository
from ..errors import InvalidInputError, SettingsError
from ..history import DynamoDBChatMessageHistory
from ..repository import AsyncSessionRepository
from ..web.etags import EntityTags, Preconditions, etag, parse_tags
from ..web.problems import Problem, precondition_failed
from ..web.tenants import TenantKey, tenant_key
from .handlers import ProblemError


class SessionDependencies:
    """Dependencies for one repository and one way to name sessions; those of the module are for the plain case.

    `state` is the repository's name in `session_lifespan`, or in ``app.state`` where no lifespan runs. `session_id`
    says where the id comes from: a ``Path(...)`` (by default the path parameter ``session_id``),
    ``Header(alias="X-Session-Id")``, ``Cookie(...)``, or a ``Depends(...)`` on a function of your own. `tenant` is a
    dependency that returns whose session it is (a text that is not empty; for nobody it raises
    ``HTTPException(401)``); `key` makes the session's key from tenant and id, and must not make one key from two pairs
    (default: `tenant_key`). `history_size` and `must_exist` are those of the histories: with ``must_exist=True`` they
    begin no session, but raise `SessionNotFoundError`.

    Half a character (a lone surrogate) in a message, which no JSON in UTF-8 can say, is refused by what they give with
    `UnsupportedMessageError`, and where it is stored already it is read as U+FFFD.

    Attributes, each for ``Annotated[..., Depends(...)]``: ``sessions``, ``sync_sessions``, ``key`` (the session's, for
    the methods of a repository), ``history``, ``expected_version`` and ``known_version``.
    """

    def __init__(
        self,
        state: str = "sessions",
        *,
        session_id: Any = None,
        tenant: Callable[..., Any] | None = None,
        key: TenantKey | None = None,
        history_size: int | None = None,
        must_exist: bool = False,
    ) -> None:
        if key is not None and tenant is None:
            raise InvalidInputError("key= makes keys from tenant and session id: give tenant= too, or leave it out")
        if not (session_id is None or isinstance(session_id, (Param, DependsParam))):
            raise InvalidInputError(
                f"session_id={short(session_id)} must be Path(...), Header(...), Cookie(...), Query(...) or "
                'Depends(...): for the path parameter {chat_id}, Path(alias="chat_id")'
            )
        for name, function in (("tenant", tenant), ("key", key)):
            if not (function is None or callable(function)):
                raise InvalidInputError(f"{name}={short(function)} must be a function (itself, not Depends of it)")
        if inspect.iscoroutinefunction(key):
            raise InvalidInputError(f"key={short(key)} must not be async: let tenant= wait for what it needs")
        check_count("history_size", history_size)
        check_flag("must_exist", must_exist)
        if not isinstance(state, str):
            raise InvalidInputError(f"state={short(state)} must be the name of a repository in session_lifespan(...)")

        async def sessions(connection: HTTPConnection) -> AsyncSessionRepository:
            return _repository(connection, state)._for_http()

        async def sync_sessions(connection: HTTPConnection) -> SessionRepository:
            return SessionRepository.over(_repository(connection, state)._for_http())

        self.sessions = sessions
        self.sync_sessions = sync_sessions
        source = Path(description="Id of the chat session") if session_id is None else session_id
        self.key = _plain_key(source) if tenant is None else _tenant_key(source, tenant, key or tenant_key)
        self.history = _history(sessions, self.key, history_size, must_exist)
        self.expected_version = _expected_version(sessions, self.key)
        self.known_version = _known_version(sessions, self.key)


def _repository(connection: HTTPConnection, name: str) -> AsyncSessionRepository:
    repository = getattr(connection.state, name, None)
    if repository is None:  # no lifespan ran, or it has none of that name
        repository = getattr(connection.app.state, name, None)
    if not isinstance(repository, AsyncSessionRepository):
        held = "" if repository is None else f", but {short(repository)}, which is no AsyncSessionRepository"
        raise SettingsError(
            f"request.state holds no repository {name!r}{held}: give FastAPI lifespan=session_lifespan({name}=...), or "
            "yield its state from your own lifespan. A TestClient runs the lifespan only within a with block. Where "
            f"none runs (AWS Lambda), set app.state.{name} = AsyncSessionRepository(...)."
        )
    return repository


def _plain_key(source: Any) -> Callable[..., Any]:
    async def key(session_id: str = source, checked: None = Depends(_checked_path(source))) -> Session:
        return session_id

    return key


def _checked_path(source: Any) -> Callable[..., Any]:
    """A dependency that tells the developer, rather than the client, of a path without the session's id."""
    name = source.alias or "session_id" if isinstance(source, PathParam) else None

    async def check(connection: HTTPConnection) -> None:
        if name is not None and name not in connection.path_params:
            raise SettingsError(
                f"the path of this endpoint has no parameter {{{name}}}, which is to name the session: write it like "
                f"/chats/{{{name}}}, or say where the id comes from with SessionDependencies(session_id=...)"
            )

    return check


def _tenant_key(source: Any, whose: Callable[..., Any], make: TenantKey) -> Callable[..., Any]:
    async def key(
        session_id: str = source, tenant: Any = Depends(whose), checked: None = Depends(_checked_path(source))
    ) -> Session:
        if not isinstance(tenant, str) or not tenant or not is_utf8(tenant):
            raise SettingsError(
                f"the tenant dependency returned {short(tenant)}: it must return a text that is not empty, or raise "
                "HTTPException(401) where nobody is logged in"
            )
        check_text("session id", session_id)
        made: object = make(tenant, session_id)
        if not isinstance(made, (str, Mapping)):
            raise SettingsError(
                f"key= made {short(made)}: it must return a session id (a str) or a whole key (a mapping such as "
                '{"PK": tenant, "SK": session_id}), as composite_key("PK", "SK") does'
            )
        return made

    return key


def _history(
    sessions: Callable[..., Any], key: Callable[..., Any], history_size: int | None, must_exist: bool
) -> Callable[..., Any]:
    async def history(
        repository: AsyncSessionRepository = Depends(sessions), session: Any = Depends(key)
    ) -> DynamoDBChatMessageHistory:
        return repository.history(session, history_size=history_size, must_exist=must_exist)

    return history


_IF_MATCH = "Change the session only if its ETag is (one of) these; `*`: only if it exists"
_UNLESS_EXISTS = "`*`: only if there is no such session"
_IF_NONE_MATCH = "ETags of what you have; answered with 304 while the session is still that"


def _expected_version(sessions: Callable[..., Any], key: Callable[..., Any]) -> Callable[..., Any]:
    async def expected_version(
        connection: HTTPConnection,
        repository: AsyncSessionRepository = Depends(sessions),
        session: Any = Depends(key),
        if_match: str | None = Header(default=None, alias="If-Match", description=_IF_MATCH),
        if_none_match: str | None = Header(default=None, alias="If-None-Match", description=_UNLESS_EXISTS),
    ) -> int | None:
        conditions = Preconditions(_tags(connection, "If-Match"), _tags(connection, "If-None-Match"))
        if conditions == Preconditions(None, None):
            return None
        if conditions.version is not None:
            return conditions.version
        version = (await repository.read(session, limit=0)).version
        if not conditions.hold(version):
            raise ProblemError(precondition_failed(conditions, version))
        return version

    return expected_version


def _known_version(sessions: Callable[..., Any], key: Callable[..., Any]) -> Callable[..., Any]:
    async def known_version(
        connection: HTTPConnection,
        repository: AsyncSessionRepository = Depends(sessions),
        session: Any = Depends(key),
        if_none_match: str | None = Header(default=None, alias="If-None-Match", description=_IF_NONE_MATCH),
    ) -> int | None:
        tags = _tags(connection, "If-None-Match") or EntityTags()
        known = tags.strong | tags.weak
        if len(known) <= 1 and not tags.anything:
            return next(iter(known), None)
        version = (await repository.read(session, limit=0)).version
        return version if tags.match(version, weakly=True) else None

    return known_version


def _tags(connection: HTTPConnection, header: str) -> EntityTags | None:
    try:
        return parse_tags(header, connection.headers.getlist(header))
    except ValueError as error:
        raise ProblemError(Problem(400, "malformed_header", str(error))) from None


def not_modified(version: int | None) -> Response:
    """Answer 304: the client's copy, which is of this version, is still the session."""
    return Response(status_code=304, headers={} if version is None else {"ETag": etag(version)})


_plain = SessionDependencies()

Sessions = Annotated[AsyncSessionRepository, Depends(_plain.sessions)]
"""The repository ``sessions`` of `session_lifespan`, or of ``app.state``."""

SyncSessions = Annotated[SessionRepository, Depends(_plain.sync_sessions)]
"""The same for endpoints made with ``def``, which run in threads: its methods wait."""

SessionKey = Annotated[Session, Depends(_plain.key)]
"""The key of the session that the path parameter ``session_id`` names."""

History = Annotated[DynamoDBChatMessageHistory, Depends(_plain.history)]
"""The LangChain history of that session, for endpoints of both kinds."""

ExpectedVersion = Annotated[int | None, Depends(_plain.expected_version)]
"""The version at which ``If-Match`` or ``If-None-Match`` allow a change of that session; None: at any."""

KnownVersion = Annotated[int | None, Depends(_plain.known_version)]
"""The version of that session which ``If-None-Match`` says the client has; None: it has none that counts."""
