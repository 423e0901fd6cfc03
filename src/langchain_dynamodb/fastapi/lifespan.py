"""Opens repositories when a worker of a web application starts, and closes them when it ends."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, NoReturn, TypeAlias

from .._checks import short
from ..errors import InvalidInputError, SettingsError
from ..repository import AsyncSessionRepository

OpenRepository: TypeAlias = Callable[[], AbstractAsyncContextManager[AsyncSessionRepository]]


def session_lifespan(
    *nameless: NoReturn, **repositories: OpenRepository
) -> Callable[[Any], AbstractAsyncContextManager[dict[str, AsyncSessionRepository]]]:
    """Make a lifespan that opens a repository in each worker and closes it when the worker ends.

    Each keyword is the name of a repository (the dependencies of this module look for ``sessions``) and what makes it:
    ``FastAPI(lifespan=session_lifespan(sessions=lambda: AsyncSessionRepository("SessionTable")))``. Within a lifespan
    of your own, ``async with session_lifespan(...)(app) as state`` and yield the state with what is yours. What makes a
    repository may return the same one each time: the next start opens it again.

    Raises `InvalidInputError` for what can make no repository, and when the worker starts `SettingsError` for what
    makes something else.
    """
    if nameless:
        raise InvalidInputError(
            "session_lifespan takes names with what makes each repository: "
            'FastAPI(lifespan=session_lifespan(sessions=lambda: AsyncSessionRepository("SessionTable")))'
        )
    for name, open_repository in repositories.items():
        if not callable(open_repository) or isinstance(open_repository, type):
            raise InvalidInputError(
                f"{name}={short(open_repository)} must be what makes a repository, since each worker opens its own: "
                f'session_lifespan({name}=lambda: AsyncSessionRepository("SessionTable"))'
            )

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[dict[str, AsyncSessionRepository]]:
        async with AsyncExitStack() as stack:
            yield {name: await _open(stack, name, make) for name, make in repositories.items()}

    return lifespan


async def _open(stack: AsyncExitStack, name: str, make: OpenRepository) -> AsyncSessionRepository:
    made: object = make()
    if isinstance(made, AbstractAsyncContextManager):
        made = await stack.enter_async_context(made)
    elif inspect.iscoroutine(made):
        made.close()
    if isinstance(made, AsyncSessionRepository):
        return made
    raise SettingsError(
        f"what session_lifespan was given as {name!r} made {short(made)}: it must make an AsyncSessionRepository (or "
        'an asynchronous context manager that yields one), such as lambda: AsyncSessionRepository("SessionTable"). '
        "Endpoints made with def get a SessionRepository over it with SyncSessions"
    )
