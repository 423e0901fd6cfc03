"""The LangChain adapter: the only module that needs `BaseChatMessageHistory`, which langchain-core 2 will remove."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from langchain_core.chat_history import BaseChatMessageHistory
from langchain_core.messages import BaseMessage, BaseMessageChunk, message_chunk_to_message
from langchain_core.runnables.config import var_child_runnable_config

from .arguments import check_count
from .blocking import run
from .errors import InvalidInputError
from .keys import Session
from .layout import Sizes
from .naming import check_session
from .repository import AsyncSessionRepository, ItemFormat
from .settings import ConnectionSettings

if TYPE_CHECKING:
    from typing_extensions import Self

REPOSITORIES = 16  # kept for the next histories with the same settings, each with the pages it has cached


class DynamoDBChatMessageHistory(BaseChatMessageHistory):
    """One chat session as a LangChain history, with the constructor of `langchain_community`'s class.

    Making one sends nothing; all with equal settings share one repository, and so one client per event loop. Make one
    for each turn, in the factory given to `RunnableWithMessageHistory`: there a second read is answered from the
    first, so that overlapping turns lose nothing. Everywhere else a read sees what is stored now.

    `key` (the whole key of the item; further attributes are set on it with each append) wins over `session_id`. `ttl`
    is in seconds. `history_size` bounds what is read to the newest so many messages (None or 0: all), and lets older
    pages be dropped. `coerce_float_to_decimal` has no effect, since numbers come back as they went in; `kms_key_id` is
    refused. `config` is a botocore ``Config``.
    ``item_format="community"`` shares sessions with applications that still use `langchain_community`.

    Raises `InvalidInputError` for an argument that cannot be used. Reading and adding raise what
    `AsyncSessionRepository.read` and `append` raise.
    """

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
    ) -> None:
        super().__init__()
        if kms_key_id:
            raise InvalidInputError(
                f"kms_key_id={kms_key_id!r}: client-side encryption is not supported yet. Leave it out; to encrypt "
                "with a key of your own, set it as the table's key (SSESpecification with KMSMasterKeyId)."
            )
        if key is not None and not isinstance(key, Mapping):
            raise InvalidInputError(
                f"key={key!r:.80} must be the whole key of the item, such as {{'PK': 'a', 'SK': 'b'}}"
            )
        names = primary_key_name, history_messages_key, ttl_key_name
        compared = None if config is None else ConnectionSettings(config=config)
        options = (endpoint_url, region_name, boto3_session, compared, ttl, item_format, sizes, skip_undecodable)
        try:
            repository = _repository(table_name, *names, *options)
        except TypeError:  # not hashable, so not usable: this says which
            repository = _repository.__wrapped__(table_name, *names, *options)
        self._open(repository, key or session_id, history_size)
        self.session_id = session_id
        self.ttl = ttl
        self.ttl_key_name = ttl_key_name
        self.history_messages_key = history_messages_key
        self.coerce_float_to_decimal = coerce_float_to_decimal

    @classmethod
    def over(cls, repository: AsyncSessionRepository, session: Session, *, history_size: int | None = None) -> Self:
        """Make a history over a repository; it ends with that."""
        self = cls.__new__(cls)
        BaseChatMessageHistory.__init__(self)
        self._open(repository, session, history_size)
        self.session_id = session if isinstance(session, str) else ""
        self.ttl = repository.ttl
        self.ttl_key_name = repository.ttl_key_name
        self.history_messages_key = repository.history_messages_key
        self.coerce_float_to_decimal = False
        return self

    def _open(self, repository: AsyncSessionRepository, session: Session, history_size: int | None) -> None:
        check_count("history_size", history_size)
        check_session(session, repository.primary_key_name, repository._table.names)
        self._repository = repository
        self._session = session if isinstance(session, str) else dict(session)
        self.key = {repository.primary_key_name: session} if isinstance(session, str) else dict(session)
        self.history_size = history_size

    @property
    def messages(self) -> list[BaseMessage]:
        """The messages, oldest first."""
        return run(self.aget_messages())

    @messages.setter
    def messages(self, messages: list[BaseMessage]) -> None:
        raise NotImplementedError("messages cannot be assigned: use add_messages, or clear.")

    async def aget_messages(self) -> list[BaseMessage]:
        """Return the messages, oldest first."""
        if not self._in_turn():
            return await self._read()
        begun = _ending.get()
        if begun is None or begun.history is not self:
            messages = await self._read()
            return _TurnMessages(messages, _Begun(self, messages))
        _ending.set(None)
        return list(begun.messages)

    def add_messages(self, messages: Sequence[BaseMessage]) -> None:
        """Append the messages, all or none; chunks are stored as whole messages."""
        run(self.aadd_messages(messages))

    async def aadd_messages(self, messages: Sequence[BaseMessage]) -> None:
        """Append the messages, all or none; chunks are stored as whole messages."""
        if isinstance(messages, (list, tuple)):
            if not messages:
                return
            messages = [whole_message(message) for message in messages]
        await self._repository.append(self._session, messages, history_size=self.history_size or None)

    def clear(self) -> None:
        """Delete the session."""
        run(self.aclear())

    async def aclear(self) -> None:
        """Delete the session."""
        await self._repository.delete(self._session)

    async def _read(self) -> list[BaseMessage]:
        chat = await self._repository.read(self._session, limit=self.history_size or None)
        return list(chat.messages)

    def _in_turn(self) -> bool:
        """Whether this is called by the `RunnableWithMessageHistory` whose factory returned this very object."""
        config = var_child_runnable_config.get()
        return config is not None and config.get("configurable", {}).get("message_history") is self


@dataclass(frozen=True)
class _Begun:
    """What a `RunnableWithMessageHistory` invocation read when it began."""

    history: DynamoDBChatMessageHistory
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


@lru_cache(maxsize=REPOSITORIES, typed=True)
def _repository(
    table_name: str,
    primary_key_name: str,
    history_messages_key: str,
    ttl_key_name: str,
    endpoint_url: str | None,
    region_name: str | None,
    aws_session: Any,
    config: ConnectionSettings | None,  # which compares configs by their options
    ttl: int | None,
    item_format: ItemFormat,
    sizes: Sizes | None,
    skip_undecodable: bool,
) -> AsyncSessionRepository:
    return AsyncSessionRepository(
        table_name,
        endpoint_url=endpoint_url,
        region_name=region_name,
        aws_session=aws_session,
        config=config and config.config,
        primary_key_name=primary_key_name,
        history_messages_key=history_messages_key,
        ttl_key_name=ttl_key_name,
        ttl=ttl,
        item_format=item_format,
        sizes=sizes,
        skip_undecodable=skip_undecodable,
    )


def whole_message(message: BaseMessage) -> BaseMessage:
    """Return the message that a chunk stands for, with its extra fields; anything else as it is."""
    if not isinstance(message, BaseMessageChunk):
        return message
    whole = message_chunk_to_message(message)
    for name, value in (message.model_extra or {}).items():
        setattr(whole, name, value)
    return whole
