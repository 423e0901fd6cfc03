"""The synchronous facade, on one background event loop per process.

The loop's daemon thread starts with the first call, anew in a forked child, and ends at interpreter exit, after it
has closed the clients. So it works in scripts, in threads and under a running event loop (which then waits).
"""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import os
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar, overload

from langchain_core.messages import BaseMessage

from .errors import ChatHistoryError, InvalidInputError
from .exact import short
from .keys import Session
from .layout import Sizes
from .listing import KeyValue, SessionSummary
from .repository import AsyncSessionRepository, ItemFormat
from .schema import Index
from .snapshot import ChatSession

if TYPE_CHECKING:
    from typing_extensions import Self

    from .history import DynamoDBChatMessageHistory

T = TypeVar("T")
_JOIN_SECONDS = 5.0  # to close the clients at exit; a stuck one must not keep the process


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on the background loop, wait for it and return its result.

    An exception while waiting (KeyboardInterrupt) cancels it.
    """
    try:
        background = _running()
        if threading.current_thread() is background.thread:
            raise ChatHistoryError(
                "A synchronous method was called on the thread of SessionRepository's own event loop, where it would "
                "wait for itself: use AsyncSessionRepository's methods with await here."
            )
    except BaseException:
        coroutine.close()
        raise
    loop, done = background.loop, concurrent.futures.Future[T]()
    task: asyncio.Task[T] | None = None

    def start() -> None:
        nonlocal task
        task = loop.create_task(coroutine)
        task.add_done_callback(finish)

    def finish(task: asyncio.Task[T]) -> None:
        if task.cancelled():
            done.cancel()
        elif (error := task.exception()) is not None:
            done.set_exception(error)
        else:
            done.set_result(task.result())

    def abandon() -> None:
        if task is None:
            coroutine.close()
        else:
            task.cancel()

    # Not run_coroutine_threadsafe: an interrupt inside it leaves open whether the coroutine was handed over.
    try:
        loop.call_soon_threadsafe(start)
        return done.result()
    except BaseException:
        loop.call_soon_threadsafe(abandon)  # comes after `start`, if that was handed over at all
        raise


def _iterate(values: AsyncIterator[T]) -> Iterator[T]:
    """The values of an asynchronous iterator, each awaited on the background loop."""
    ended: Any = object()

    async def following() -> T:
        return await anext(values, ended)

    while (value := run(following())) is not ended:
        yield value


class _Background:
    """An event loop in a daemon thread."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self._work, name="langchain-dynamodb", daemon=True)
        try:
            self.thread.start()
        except BaseException:
            self.loop.close()
            raise

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(_JOIN_SECONDS)

    def _work(self) -> None:
        self.loop.run_forever()
        self.loop.run_until_complete(self._wind_up())
        self.loop.close()

    async def _wind_up(self) -> None:
        # As asyncio.run ends, but for the executor: at interpreter exit no thread can be started to wait for it.
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.loop.shutdown_asyncgens()


_background: _Background | None = None
_starting = threading.Lock()
_inherited: list[object] = []


def _running() -> _Background:
    global _background
    with _starting:
        if _background is None:
            _background = _Background()
        return _background


@atexit.register
def _stop() -> None:
    global _background
    background, _background = _background, None
    if background is not None:
        background.stop()


def _leave_to_parent() -> None:
    # Kept, not dropped: closing the loop here would take the parent's wake-up socket out of the shared epoll object.
    global _background, _starting
    _inherited.append(_background)
    _background, _starting = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_to_parent)


class SessionRepository:
    """`AsyncSessionRepository` without ``await``: same parameters, same methods, same errors.

    Threads may share one. `close()`, or a ``with`` block, lets go of its client; without it that ends with the process.
    """

    def __init__(
        self,
        table_name: str,
        *,
        endpoint_url: str | None = None,
        region_name: str | None = None,
        aws_session: Any = None,
        config: Any = None,
        primary_key_name: str = "SessionId",
        history_messages_key: str = "History",
        ttl: int | None = None,
        ttl_key_name: str = "expireAt",
        item_format: ItemFormat = "pages",
        sizes: Sizes | None = None,
        skip_undecodable: bool = False,
    ) -> None:
        self._repository = AsyncSessionRepository(
            table_name,
            endpoint_url=endpoint_url,
            region_name=region_name,
            aws_session=aws_session,
            config=config,
            primary_key_name=primary_key_name,
            history_messages_key=history_messages_key,
            ttl=ttl,
            ttl_key_name=ttl_key_name,
            item_format=item_format,
            sizes=sizes,
            skip_undecodable=skip_undecodable,
        )

    @classmethod
    def over(cls, repository: AsyncSessionRepository) -> Self:
        """Make a facade over a repository, which it shares with asynchronous callers; closing one closes both.

        Raises `InvalidInputError` for what is none.
        """
        if not isinstance(repository, AsyncSessionRepository):
            raise InvalidInputError(f"SessionRepository.over({short(repository)}): pass an AsyncSessionRepository")
        self = cls.__new__(cls)
        self._repository = repository
        return self

    def __enter__(self) -> Self:
        """Open nothing: the first call does."""
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close."""
        self.close()

    def close(self) -> None:
        """Let go of the client; afterwards every call raises `RepositoryClosedError`."""
        run(self._repository.aclose())

    def create_table(self, *, sort_key_name: str | None = None, indexes: Sequence[Index] = ()) -> None:
        """See `AsyncSessionRepository.create_table`."""
        run(self._repository.create_table(sort_key_name=sort_key_name, indexes=indexes))

    def append(
        self,
        session: Session,
        messages: Sequence[BaseMessage],
        *,
        expected_version: int | None = None,
        idempotency_key: str | None = None,
        history_size: int | None = None,
        attributes: Mapping[str, object] | None = None,
    ) -> int:
        """See `AsyncSessionRepository.append`."""
        return run(
            self._repository.append(
                session,
                messages,
                expected_version=expected_version,
                idempotency_key=idempotency_key,
                history_size=history_size,
                attributes=attributes,
            )
        )

    @overload
    def read(self, session: Session, *, limit: int | None = None) -> ChatSession: ...

    @overload
    def read(self, session: Session, *, limit: int | None = None, unless_version: int | None) -> ChatSession | None: ...

    def read(
        self, session: Session, *, limit: int | None = None, unless_version: int | None = None
    ) -> ChatSession | None:
        """See `AsyncSessionRepository.read`."""
        return run(self._repository.read(session, limit=limit, unless_version=unless_version))

    def iter_messages(self, session: Session) -> Iterator[BaseMessage]:
        """See `AsyncSessionRepository.iter_messages`; an iterator not used up may simply be dropped."""
        return _iterate(self._repository.iter_messages(session))

    def replace(
        self,
        session: Session,
        messages: Sequence[BaseMessage],
        *,
        expected_version: int | None = None,
        attributes: Mapping[str, object] | None = None,
    ) -> int:
        """See `AsyncSessionRepository.replace`."""
        return run(
            self._repository.replace(session, messages, expected_version=expected_version, attributes=attributes)
        )

    def truncate(self, session: Session, *, keep: int, expected_version: int | None = None) -> int:
        """See `AsyncSessionRepository.truncate`."""
        return run(self._repository.truncate(session, keep=keep, expected_version=expected_version))

    def update_metadata(
        self,
        session: Session,
        metadata: Mapping[str, Any],
        *,
        expected_version: int | None = None,
        attributes: Mapping[str, object] | None = None,
    ) -> int:
        """See `AsyncSessionRepository.update_metadata`."""
        return run(
            self._repository.update_metadata(
                session, metadata, expected_version=expected_version, attributes=attributes
            )
        )

    def delete(self, session: Session, *, expected_version: int | None = None) -> None:
        """See `AsyncSessionRepository.delete`."""
        run(self._repository.delete(session, expected_version=expected_version))

    def list(
        self,
        *,
        partition: KeyValue | None = None,
        index: str | None = None,
        descending: bool | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        segments: int = 1,
        attributes: Sequence[str] = (),
    ) -> Iterator[SessionSummary]:
        """See `AsyncSessionRepository.list`; an iterator not used up may simply be dropped."""
        return _iterate(
            self._repository.list(
                partition=partition,
                index=index,
                descending=descending,
                limit=limit,
                cursor=cursor,
                segments=segments,
                attributes=attributes,
            )
        )

    def history(self, session: Session, *, history_size: int | None = None) -> DynamoDBChatMessageHistory:
        """See `AsyncSessionRepository.history`; both kinds of repository give the same adapter."""
        return self._repository.history(session, history_size=history_size)
