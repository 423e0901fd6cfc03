"""The synchronous facade, on one background event loop per process.

The loop's daemon thread starts with the first call, anew in a forked child, and ends at interpreter exit, after it
has closed the clients. So it works in scripts, in threads and under a running event loop (which then waits).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import wraps
from types import TracebackType
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, overload

from langchain_core.messages import BaseMessage

from ._background import iterate, run
from ._checks import short
from ._items.keys import Session
from ._items.table_schema import Index
from ._protocol.windows import StartOn
from ._settings import Configured, shown
from .errors import InvalidInputError
from .models import ChatSession, KeyValue, RepairReport, SessionSummary
from .repository import AsyncSessionRepository

if TYPE_CHECKING:
    from typing_extensions import Self

    from .history import DynamoDBChatMessageHistory

P = ParamSpec("P")


def same_parameters(
    model: Callable[Concatenate[Any, P], None],
) -> Callable[[Callable[..., None]], Callable[Concatenate[Any, P], None]]:
    """Give a method that passes its arguments on the signature of the one it passes them to."""
    return wraps(model, assigned=("__doc__",))


class SessionRepository(Configured):
    """`AsyncSessionRepository` without ``await``: same parameters, same methods, same errors.

    Threads may share one. `close()`, or a ``with`` block, lets go of its client; without it that ends with the process.
    """

    @same_parameters(AsyncSessionRepository.__init__)
    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._use(AsyncSessionRepository(*arguments, **options))

    @classmethod
    def over(cls, repository: AsyncSessionRepository) -> Self:
        """Make a facade over a repository, which it shares with asynchronous callers; closing one closes both.

        Raises `InvalidInputError` for what is none.
        """
        if not isinstance(repository, AsyncSessionRepository):
            raise InvalidInputError(f"SessionRepository.over({short(repository)}): pass an AsyncSessionRepository")
        self = cls.__new__(cls)
        self._use(repository)
        return self

    def _use(self, repository: AsyncSessionRepository) -> None:
        self._repository, self._options = repository, repository._options

    def __repr__(self) -> str:
        return shown(self, self._options, self._repository._connection.settings)

    def __enter__(self) -> Self:
        """Open nothing: the first call does. A repository that was closed may be used again from here on."""
        self._repository._connection.reopen()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close."""
        self.close()

    def close(self) -> None:
        """Let go of the client; later calls raise `RepositoryClosedError`, until it is entered anew."""
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
        must_exist: bool = False,
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
                must_exist=must_exist,
            )
        )

    @overload
    def read(
        self,
        session: Session,
        *,
        limit: int | None = None,
        start_on: StartOn | None = None,
        skip_missing_pages: bool = False,
    ) -> ChatSession: ...

    @overload
    def read(
        self,
        session: Session,
        *,
        limit: int | None = None,
        start_on: StartOn | None = None,
        unless_version: int | None,
        skip_missing_pages: bool = False,
    ) -> ChatSession | None: ...

    def read(
        self,
        session: Session,
        *,
        limit: int | None = None,
        start_on: StartOn | None = None,
        unless_version: int | None = None,
        skip_missing_pages: bool = False,
    ) -> ChatSession | None:
        """See `AsyncSessionRepository.read`."""
        return run(
            self._repository.read(
                session,
                limit=limit,
                start_on=start_on,
                unless_version=unless_version,
                skip_missing_pages=skip_missing_pages,
            )
        )

    def iter_messages(
        self, session: Session, *, start_on: StartOn | None = None, skip_missing_pages: bool = False
    ) -> Iterator[BaseMessage]:
        """See `AsyncSessionRepository.iter_messages`; an iterator not used up may simply be dropped."""
        return iterate(
            self._repository.iter_messages(session, start_on=start_on, skip_missing_pages=skip_missing_pages)
        )

    def replace(
        self,
        session: Session,
        messages: Sequence[BaseMessage],
        *,
        expected_version: int | None = None,
        attributes: Mapping[str, object] | None = None,
        must_exist: bool = False,
    ) -> int:
        """See `AsyncSessionRepository.replace`."""
        return run(
            self._repository.replace(
                session, messages, expected_version=expected_version, attributes=attributes, must_exist=must_exist
            )
        )

    def truncate(
        self, session: Session, *, keep: int, expected_version: int | None = None, must_exist: bool = True
    ) -> int:
        """See `AsyncSessionRepository.truncate`."""
        return run(
            self._repository.truncate(session, keep=keep, expected_version=expected_version, must_exist=must_exist)
        )

    def update_message(self, session: Session, message: BaseMessage, *, expected_version: int | None = None) -> int:
        """See `AsyncSessionRepository.update_message`."""
        return run(self._repository.update_message(session, message, expected_version=expected_version))

    def remove_message(self, session: Session, message_id: str, *, expected_version: int | None = None) -> int:
        """See `AsyncSessionRepository.remove_message`."""
        return run(self._repository.remove_message(session, message_id, expected_version=expected_version))

    def update_metadata(
        self,
        session: Session,
        metadata: Mapping[str, Any],
        *,
        expected_version: int | None = None,
        attributes: Mapping[str, object] | None = None,
        must_exist: bool = True,
    ) -> int:
        """See `AsyncSessionRepository.update_metadata`."""
        return run(
            self._repository.update_metadata(
                session, metadata, expected_version=expected_version, attributes=attributes, must_exist=must_exist
            )
        )

    def set_expiry(self, session: Session, seconds: int | None, *, expected_version: int | None = None) -> int:
        """See `AsyncSessionRepository.set_expiry`."""
        return run(self._repository.set_expiry(session, seconds, expected_version=expected_version))

    def delete(self, session: Session, *, expected_version: int | None = None, search_pages: bool = False) -> None:
        """See `AsyncSessionRepository.delete`."""
        run(self._repository.delete(session, expected_version=expected_version, search_pages=search_pages))

    def take_over(self, session: Session) -> int:
        """See `AsyncSessionRepository.take_over`."""
        return run(self._repository.take_over(session))

    def reencrypt(self, session: Session, *, plain: bool = False) -> int:
        """See `AsyncSessionRepository.reencrypt`."""
        return run(self._repository.reencrypt(session, plain=plain))

    def copy(
        self,
        session: Session,
        to: Session,
        *,
        keep: int | None = None,
        repository: SessionRepository | AsyncSessionRepository | None = None,
        expected_version: int | None = None,
    ) -> int:
        """See `AsyncSessionRepository.copy`; `repository` may be of either kind."""
        other = repository._repository if isinstance(repository, SessionRepository) else repository
        copying = self._repository.copy(session, to, keep=keep, repository=other, expected_version=expected_version)
        return run(copying)

    def repair(self, session: Session, *, drop_undecodable: bool = False) -> RepairReport:
        """See `AsyncSessionRepository.repair`."""
        return run(self._repository.repair(session, drop_undecodable=drop_undecodable))

    def list(
        self,
        *,
        partition: KeyValue | Mapping[str, KeyValue] | None = None,
        index: str | None = None,
        descending: bool | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        segments: int = 1,
        attributes: Sequence[str] = (),
    ) -> Iterator[SessionSummary]:
        """See `AsyncSessionRepository.list`; an iterator not used up may simply be dropped."""
        return iterate(
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

    def history(
        self, session: Session, *, history_size: int | None = None, must_exist: bool = False
    ) -> DynamoDBChatMessageHistory:
        """See `AsyncSessionRepository.history`; both kinds of repository give the same adapter."""
        return self._repository.history(session, history_size=history_size, must_exist=must_exist)
