"""The LangChain adapter: the only module that needs `BaseChatMessageHistory`, which langchain-core 2 will remove."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from langchain_core.chat_history import BaseChatMessageHistory
from langchain_core.messages import BaseMessage, BaseMessageChunk, message_chunk_to_message
from langchain_core.runnables.config import run_in_executor, var_child_runnable_config

from ._background import run
from ._checks import check_count, check_flag, short
from ._dynamodb.client_settings import ConnectionSettings, check_aws_session
from ._items.keys import Session
from ._items.sizes import Sizes
from ._settings import Shared, shown
from ._store.addressing import check_session
from ._store.options import ItemFormat, Options, default_sizes
from ._store.vault import Encryption
from .blobs.stores import Blobs
from .codec.telling import logger, swallowed
from .encryption.kms import KmsKeyring
from .errors import ChatHistoryError, InvalidInputError
from .observers import Observer, check_observers
from .repository import AsyncSessionRepository

if TYPE_CHECKING:
    from typing_extensions import Self

T = TypeVar("T")

REPOSITORIES = 16  # kept for the next histories with the same settings, each with the pages it has cached


class _Setting(Generic[T]):
    """A setting of the history's repository; assigning it checks it, and changes to a repository that has it."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, history: None, owner: type) -> Self: ...

    @overload
    def __get__(self, history: DynamoDBChatMessageHistory, owner: type) -> T: ...

    def __get__(self, history: DynamoDBChatMessageHistory | None, owner: type) -> T | Self:
        if history is None:
            return self
        value: T = getattr(history._repository, self.name)
        return value

    def __set__(self, history: DynamoDBChatMessageHistory, value: T) -> None:
        history._change(self.name, value)


class DynamoDBChatMessageHistory(Shared, BaseChatMessageHistory):
    """One chat session as a LangChain history, with the constructor of `langchain_community`'s class.

    Making one sends nothing; all with equal settings share one repository, and so one client per event loop. Make one
    for each turn, in the factory given to `RunnableWithMessageHistory`: there a second read is answered from the
    first, so that overlapping turns lose nothing. Everywhere else a read sees what is stored now.

    `key` (the whole key of the item; further attributes are set on it with each append) wins over `session_id`. `ttl`
    is in seconds. `history_size` bounds what is read to the newest so many messages (None or 0: all), and lets older
    pages be dropped; what is read begins with a human message then, leading system messages aside, since models refuse
    another beginning. `coerce_float_to_decimal` has no effect, since numbers come back as they went in. `config` is a
    botocore ``Config``. `encryption` and `blobs` are as those of `AsyncSessionRepository`; `kms_key_id` stands for
    ``KmsKeyring(kms_key_id)``, with the same AWS session, region and config.
    `observers` and `home_region` are as those of `AsyncSessionRepository`: hand in the same objects each time.
    `strict` refuses what would not come back as it is (docs/values.md).
    ``item_format="community"`` shares sessions with applications that still use `langchain_community`. With
    `must_exist` adding begins no session: where there is none (any more) it raises `SessionNotFoundError`.

    `key`, `session_id`, `history_size`, `ttl`, `ttl_key_name` and `history_messages_key` are attributes too. What is
    assigned to them holds from the next call on, for this history alone. `session_id` names the session unless a key
    does, as in the constructor.

    A subclass's own `messages`, `add_messages` or `clear` holds for its asynchronous twin too, called in a thread then,
    unless the same class has one of that as well.

    Raises `InvalidInputError` for an argument or attribute that cannot be used. Reading and adding raise what
    `AsyncSessionRepository.read` and `append` raise.
    """

    _repository: AsyncSessionRepository
    _make: Callable[[Options], AsyncSessionRepository]

    ttl = _Setting[int | None]()
    ttl_key_name = _Setting[str]()
    history_messages_key = _Setting[str]()

    def __init__(
        self,
        table_name: str,
        session_id: str,
        endpoint_url: str | None = None,
        primary_key_name: str = "SessionId",
        key: Mapping[str, object] | None = None,
        boto3_session: Any = None,
        kms_key_id: str | None = None,
        ttl: int | None = None,
        ttl_key_name: str = "expireAt",
        history_size: int | None = None,
        history_messages_key: str = "History",
        *,
        coerce_float_to_decimal: bool = False,
        region_name: str | None = None,
        config: Any = None,
        item_format: ItemFormat = "pages",
        sizes: Sizes | None = None,
        skip_undecodable: bool = False,
        strict: bool = False,
        must_exist: bool = False,
        encryption: Encryption | None = None,
        blobs: Blobs | None = None,
        observers: Sequence[Observer] = (),
        home_region: str | None = None,
    ) -> None:
        super().__init__()
        check_aws_session(boto3_session, "boto3_session")
        if kms_key_id is not None:
            if encryption is not None:
                raise InvalidInputError("kms_key_id and encryption both say how to encrypt: give one of them")
            encryption = KmsKeyring(kms_key_id, aws_session=boto3_session, region_name=region_name, config=config)
        if key is not None:
            key = _checked_key(key)
        options = Options(
            table_name=table_name,
            primary_key_name=primary_key_name,
            history_messages_key=history_messages_key,
            ttl=ttl,
            ttl_key_name=ttl_key_name,
            item_format=item_format,
            sizes=default_sizes(blobs) if sizes is None else sizes,
            skip_undecodable=skip_undecodable,
            strict=strict,
            encryption=encryption,
            blobs=blobs,
            observers=check_observers(observers),
            home_region=home_region,
        )
        make = partial(_repository, ConnectionSettings(endpoint_url, region_name, boto3_session, config))
        self._open(make(options), make, key or session_id, history_size, must_exist)
        self._session_id = session_id
        self.coerce_float_to_decimal = coerce_float_to_decimal

    @classmethod
    def over(
        cls,
        repository: AsyncSessionRepository,
        session: Session,
        *,
        history_size: int | None = None,
        must_exist: bool = False,
    ) -> Self:
        """Make a history over a repository; it ends with that.

        Raises `InvalidInputError` for what is none.
        """
        if not isinstance(repository, AsyncSessionRepository):
            raise InvalidInputError(
                f"{cls.__name__}.over({short(repository)}): pass an AsyncSessionRepository; a SessionRepository has "
                "history(session)"
            )
        self = cls.__new__(cls)
        BaseChatMessageHistory.__init__(self)
        self._open(repository, repository._with, session, history_size, must_exist)
        self._session_id = session if isinstance(session, str) else ""
        self.coerce_float_to_decimal = False
        return self

    def __copy__(self) -> Self:
        other = super().__copy__()
        other._key = dict(self._key)
        return other

    def __repr__(self) -> str:
        named = {"session_id": self._session_id} if isinstance(self._session, str) else {"key": self._session}
        given = {"history_size": self.history_size, "must_exist": self.must_exist}
        more = {name: value for name, value in given.items() if value}
        return shown(self, self._repository._options, self._repository._connection.settings, **named, **more)

    def __getstate__(self) -> dict[str, Any]:
        shares = isinstance(self._make, partial)  # with all that have these settings, wherever it goes
        return {**vars(self), **({"_repository": self._repository._options} if shares else {})}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        vars(self).update(state)
        if isinstance(options := state["_repository"], Options):
            self._repository = self._make(options)

    def _open(
        self,
        repository: AsyncSessionRepository,
        make: Callable[[Options], AsyncSessionRepository],
        session: Session,
        history_size: int | None,
        must_exist: bool,
    ) -> None:
        check_flag("must_exist", must_exist)
        self._repository = repository
        self._make = make
        self.history_size = history_size
        self.must_exist = must_exist
        self._name(session)

    def _name(self, session: Session) -> None:
        """Use this session from now on, if it can be one."""
        check_session(session, self._repository.primary_key_name, self._repository._table.names)
        self._id = session if isinstance(session, str) else None
        self._key = {self._repository.primary_key_name: session} if isinstance(session, str) else dict(session)

    def _change(self, setting: str, value: object) -> None:
        """Use a repository with this setting from now on, if there can be one."""
        changed: dict[str, Any] = {setting: value}
        repository = self._make(replace(self._repository._options, **changed))
        check_session(self._session, repository.primary_key_name, repository._table.names)
        self._repository = repository

    @property
    def _session(self) -> Session:
        """What names the session: its id, or the key, which may also have been changed in place."""
        key = self.key
        if self._id is not None and key == {self._repository.primary_key_name: self._id}:
            return self._id
        return dict(key)

    @property
    def key(self) -> dict[str, Any]:
        """The key of the session's item."""
        return self._key

    @key.setter
    def key(self, key: Mapping[str, object]) -> None:
        self._name(_checked_key(key))

    @property
    def session_id(self) -> str:
        """What the session is called; it names the session where no key was given or assigned."""
        return self._session_id

    @session_id.setter
    def session_id(self, session_id: str) -> None:
        if isinstance(self._session, str):
            self._name(session_id)
        self._session_id = session_id

    @property
    def history_size(self) -> int | None:
        """How many messages are read at most (None or 0: all)."""
        return self._history_size

    @history_size.setter
    def history_size(self, history_size: int | None) -> None:
        check_count("history_size", history_size)
        self._history_size = history_size

    @property
    def table(self) -> Any:
        """There is none, unlike in `langchain_community`."""
        raise AttributeError(_NO_TABLE)

    @table.setter
    def table(self, table: object) -> None:
        raise InvalidInputError(_NO_TABLE)

    @property
    def messages(self) -> list[BaseMessage]:
        """The messages, oldest first."""
        return run(self.aget_messages() if self._is_ours("messages") else self._get())

    @messages.setter
    def messages(self, messages: list[BaseMessage]) -> None:
        raise NotImplementedError("messages cannot be assigned: use add_messages, or clear.")

    async def aget_messages(self) -> list[BaseMessage]:
        """Return the messages, oldest first."""
        if self._goes_through("messages", "aget_messages"):
            return await run_in_executor(None, lambda: self.messages)
        return await self._get()

    async def _get(self) -> list[BaseMessage]:
        if not self._in_turn():
            return await self._read()
        begun = _ending.get()
        if begun is None or begun.history is not self or begun.read_by != self._read_by:
            messages = await self._read()
            return _TurnMessages(messages, _Begun(self, self._read_by, messages))
        _ending.set(None)
        return list(begun.messages)

    def add_messages(self, messages: Sequence[BaseMessage]) -> None:
        """Append the messages, all or none; chunks are stored as whole messages."""
        run(self.aadd_messages(messages) if self._is_ours("add_messages") else self._add(messages))

    async def aadd_messages(self, messages: Sequence[BaseMessage]) -> None:
        """Append the messages, all or none; chunks are stored as whole messages."""
        if self._goes_through("add_messages", "aadd_messages"):
            await run_in_executor(None, self.add_messages, messages)
        else:
            await self._add(messages)

    async def _add(self, messages: Sequence[BaseMessage]) -> None:
        in_turn = self._in_turn()
        token = swallowed.set(in_turn)
        try:
            await self._append(messages)
        except Exception as error:
            if in_turn:  # it goes on as if nothing was: this is the only place where its user can learn of it
                told = error if isinstance(error, ChatHistoryError) else type(error).__name__  # others may quote
                logger.error("The messages of this turn of session %r were not stored: %s", self._session, told)
            raise
        finally:
            swallowed.reset(token)

    async def _append(self, messages: Sequence[BaseMessage]) -> None:
        if isinstance(messages, (list, tuple)):
            if not messages:
                return
            messages = [whole_message(message) for message in messages]
        await self._repository.append(
            self._session, messages, history_size=self.history_size or None, must_exist=self.must_exist
        )

    def clear(self) -> None:
        """Delete the session."""
        run(self.aclear() if self._is_ours("clear") else self._clear())

    async def aclear(self) -> None:
        """Delete the session."""
        if self._goes_through("clear", "aclear"):
            await run_in_executor(None, self.clear)
        else:
            await self._clear()

    async def _clear(self) -> None:
        await self._repository.delete(self._session)

    def _is_ours(self, method: str) -> bool:
        return _definer(type(self), method) is DynamoDBChatMessageHistory

    def _goes_through(self, method: str, twin: str) -> bool:
        """Whether a subclass has its own `method`, and that class no asynchronous `twin` of it."""
        return not self._is_ours(method) and _definer(type(self), method) is not _definer(type(self), twin)

    async def _read(self) -> list[BaseMessage]:
        window = await self._repository._window(self._session, self.history_size or None, to_write=self._in_turn())
        assert window is not None  # no version was named
        return window.shown(window.chat.messages)

    @property
    def _read_by(self) -> tuple[object, ...]:
        """What decides which messages a read gives."""
        return self._session, self.history_size, self.history_messages_key, self.ttl_key_name

    def _in_turn(self) -> bool:
        """Whether this is called by the `RunnableWithMessageHistory` whose factory returned this very object."""
        config = var_child_runnable_config.get()
        return config is not None and config.get("configurable", {}).get("message_history") is self


@dataclass(frozen=True)
class _Begun:
    """What a `RunnableWithMessageHistory` invocation read when it began."""

    history: DynamoDBChatMessageHistory
    read_by: tuple[object, ...]
    messages: list[BaseMessage]


class _TurnMessages(list[BaseMessage]):
    """The messages that such an invocation works with: it copies them and may append the input.

    When it ends, it goes through the chain's input, which without ``history_messages_key`` is this very list, and then
    reads the history again, only to cut the input by the length of that answer. Messages that others added meanwhile
    must not count there, so that read is answered by what this invocation began with.
    """

    def __init__(self, messages: list[BaseMessage], begun: _Begun) -> None:
        super().__init__(messages)
        self.begun = begun

    def copy(self) -> list[BaseMessage]:
        return _TurnMessages(self, self.begun)

    def __iter__(self) -> Iterator[BaseMessage]:
        _ending.set(self.begun)  # seen only in this step's own context
        return super().__iter__()


_ending: ContextVar[_Begun | None] = ContextVar("langchain_dynamodb_ending", default=None)


_NO_TABLE = (
    "a history of langchain_dynamodb has no boto3 table: make another one for another table_name, and in tests use "
    "langchain_dynamodb.local.run_engine() or its pytest fixtures"
)


def _definer(cls: type, method: str) -> type:
    return next(base for base in cls.__mro__ if method in vars(base))


def _checked_key(key: object) -> Mapping[str, object]:
    if not isinstance(key, Mapping):
        raise InvalidInputError(f"key={short(key)} must be the whole key of the item, such as {{'PK': 'a', 'SK': 'b'}}")
    return key


@lru_cache(maxsize=REPOSITORIES)
def _repository(settings: ConnectionSettings, options: Options) -> AsyncSessionRepository:
    return AsyncSessionRepository._of(options, settings)


def whole_message(message: BaseMessage) -> BaseMessage:
    """Return the message that a chunk stands for, with its extra fields; anything else as it is."""
    if not isinstance(message, BaseMessageChunk):
        return message
    whole = message_chunk_to_message(message)
    for name, value in (message.model_extra or {}).items():
        setattr(whole, name, value)
    return whole
