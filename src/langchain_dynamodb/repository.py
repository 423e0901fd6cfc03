"""`AsyncSessionRepository`: checks what the caller asks for, then reads or writes."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, overload

from langchain_core.messages import BaseMessage

from . import messages as codec
from . import plan
from .appending import Appender
from .arguments import check_count, check_table_name, check_ttl, metadata_changes, operation_ids
from .attempts import check_expected, new_op
from .attributes import check_own_name, check_own_size, own_attributes
from .cache import LRU
from .community import CommunityWriter
from .connection import Connection
from .converting import Converter
from .errors import InvalidInputError
from .indexing import ensure_indexes
from .keys import Session, SessionKey, session_key
from .layout import Names, SessionItem, Sizes, check_names, check_sizes, check_sort_key_name
from .listing import KeyValue, Lister, Listing, SessionSummary
from .naming import Named, named
from .reading import Reader
from .rewriting import Rewriter, check_metadata
from .schema import Index, check_indexes
from .settings import ConnectionSettings
from .snapshot import ChatSession, chat_session
from .steps import Steps
from .table import Table
from .values import Changes

if TYPE_CHECKING:
    from .history import DynamoDBChatMessageHistory

KNOWN_SESSIONS = 1024  # session items remembered, so that an append needs no look first
PAGE_CACHE_BYTES = 16 << 20

ItemFormat = Literal["pages", "community"]


class AsyncSessionRepository:
    """Chat sessions on one DynamoDB table.

    Wherever a session is named, a text is a session id and a mapping is the whole key of its item. Making a repository
    does no I/O: it opens on first use, and `aclose()` (or ``async with``) ends it. Clients are shared per process,
    event loop and settings, so repositories are cheap.

    Any method may raise `StorageError` and its subclasses, `InvalidInputError` for arguments it cannot use (before
    anything is sent) and `RepositoryClosedError`.
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
        """Check the settings; nothing is opened.

        `aws_session` is a boto3 or aioboto3 session, `config` a botocore ``Config`` merged over ours. `ttl` in seconds
        lets a session expire so long after its last change. ``item_format="community"`` keeps sessions readable by
        langchain_community, within its limits. `skip_undecodable` leaves out stored messages that cannot be read
        instead of raising `CorruptSessionError`; changes of a session still raise it, so that nothing is lost.
        """
        check_table_name(table_name)
        if item_format not in ("pages", "community"):
            raise InvalidInputError(f"item_format={item_format!r} must be 'pages' or 'community'")
        check_ttl(ttl)
        names = Names(history_messages_key, ttl_key_name)
        check_names(names, primary_key_name)
        self.table_name = table_name
        self.primary_key_name = primary_key_name
        self.history_messages_key = history_messages_key
        self.ttl = ttl
        self.ttl_key_name = ttl_key_name
        self.item_format = item_format
        self._sizes = Sizes() if sizes is None else check_sizes(sizes)
        self._connection = Connection(ConnectionSettings(endpoint_url, region_name, aws_session, config))
        self._table = Table(self._connection, table_name, names)
        known = LRU[SessionItem](KNOWN_SESSIONS)
        self._reader = Reader(self._table, LRU(PAGE_CACHE_BYTES), known, clock, skip_undecodable)
        steps = Steps(self._table, known, clock)
        strict = replace(self._reader, skip_undecodable=False)  # a write must not lose what cannot be read
        converter = Converter(steps, strict, self._sizes, ttl)
        self._appender = Appender(steps, strict, converter, self._sizes, ttl)
        self._rewriter = Rewriter(steps, strict, converter, self._sizes, ttl)
        self._community = CommunityWriter(steps, ttl)
        self._lister = Lister(self._table, primary_key_name, clock, skip_undecodable)

    async def __aenter__(self) -> AsyncSessionRepository:
        """Nothing to do: the first call opens."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        await self.aclose()

    async def aclose(self) -> None:
        """Give back what this repository holds; later calls raise `RepositoryClosedError`."""
        await self._connection.aclose()

    async def create_table(self, *, sort_key_name: str | None = None, indexes: Sequence[Index] = ()) -> None:
        """Create the table (on-demand capacity, text keys) unless it exists, and wait until it is active.

        With `ttl`, expiry is enabled on it. `indexes` that it lacks are added, and waited for (DynamoDB fills them
        from the items that are there); others are left alone.

        Raises `SettingsError` where the existing table has other keys, another TTL attribute or another index of
        that name.
        """
        keys = [self.primary_key_name]
        if sort_key_name is not None:
            check_sort_key_name(sort_key_name, self._table.names, self.primary_key_name)
            keys.append(sort_key_name)
        declared = check_indexes(indexes, self._table.names, keys)
        await self._table.create(keys, ttl=self.ttl is not None, indexes=declared)
        await ensure_indexes(self._table, declared)

    async def append(
        self,
        session: Session,
        messages: Sequence[BaseMessage],
        *,
        expected_version: int | None = None,
        idempotency_key: str | None = None,
        history_size: int | None = None,
        attributes: Mapping[str, object] | None = None,
    ) -> int:
        """Append all `messages` or none, and return the session's version.

        `expected_version` lets it happen only at that version (0: only if there is no such session). With an
        `idempotency_key`, repeating the same append changes nothing as long as it is among the appends of the tail or
        of the last page. `history_size` drops pages that lie wholly before the newest so many messages. `attributes`
        are set on the session item along with the messages, see `update_metadata`.

        Raises `VersionConflictError`, `IdempotencyError`, `MessageTooLargeError`, `UnsupportedMessageError`,
        `SessionBusyError`, and `OutcomeUnknownError` where it cannot be told whether the messages were appended.
        """
        check_count("expected_version", expected_version)
        check_count("history_size", history_size)
        lines = codec.encode_messages(messages)
        plan.check_size(lines, self._sizes)
        op, ops = operation_ids(idempotency_key, lines)
        if attributes and not lines:
            raise InvalidInputError("append of no messages changes nothing: set attributes with update_metadata")
        key, own = await self._named(session, attributes)
        if not lines:
            return await self._version(key, expected_version)
        if self.item_format == "community":
            return await self._community.append(key, messages, op, ops, expected_version, history_size, own)
        wish = plan.Append(tuple(lines), codec.pack(lines), new_op(), op, ops, history_size, own)
        return await self._appender.append(key, wish, expected_version)

    @overload
    async def read(self, session: Session, *, limit: int | None = None) -> ChatSession: ...

    @overload
    async def read(
        self, session: Session, *, limit: int | None = None, unless_version: int | None
    ) -> ChatSession | None: ...

    async def read(
        self, session: Session, *, limit: int | None = None, unless_version: int | None = None
    ) -> ChatSession | None:
        """The session as of now: the newest `limit` messages (None: all), oldest first.

        None if the session is still at `unless_version`. A window never begins with tool messages whose call is outside
        of it. An absent, deleted or expired session has version 0 and no messages. Raises `CorruptSessionError`.
        """
        check_count("limit", limit)
        check_count("unless_version", unless_version)
        key, _ = await self._named(session)
        snapshot = await self._reader.snapshot(key, limit, unless_version)
        return None if snapshot is None else chat_session(key, snapshot)

    async def iter_messages(self, session: Session) -> AsyncGenerator[BaseMessage, None]:
        """All messages of one snapshot, oldest first, with a few pages in memory at a time.

        Raises `VersionConflictError` when the history is rewritten or deleted meanwhile, and `CorruptSessionError`.
        """
        key, _ = await self._named(session)
        async with contextlib.aclosing(self._reader.iterate(key)) as messages:
            async for message in messages:
                yield message

    async def replace(
        self,
        session: Session,
        messages: Sequence[BaseMessage],
        *,
        expected_version: int | None = None,
        attributes: Mapping[str, object] | None = None,
    ) -> int:
        """Exchange the whole history, and return the session's version. An empty one keeps session and metadata.

        `attributes` are set on the session item along with it, see `update_metadata`.
        """
        check_count("expected_version", expected_version)
        lines = codec.encode_messages(messages)
        plan.check_size(lines, self._sizes)
        key, own = await self._named(session, attributes)
        if self.item_format == "community":
            return await self._community.replace(key, messages, expected_version, own)
        return await self._rewriter.replace(key, lines, expected_version, own)

    async def truncate(self, session: Session, *, keep: int, expected_version: int | None = None) -> int:
        """Keep the first `keep` messages, and return the session's version."""
        check_count("expected_version", expected_version)
        check_count("keep", keep, optional=False)
        key, _ = await self._named(session)
        writer = self._community if self.item_format == "community" else self._rewriter
        return await writer.truncate(key, keep, expected_version)

    async def update_metadata(
        self,
        session: Session,
        metadata: Mapping[str, object],
        *,
        expected_version: int | None = None,
        attributes: Mapping[str, object] | None = None,
    ) -> int:
        """Merge `metadata` into the session's (None removes a name), and return the session's version.

        Values are of JSON types; together at most 2 KB, since every append pays for them.

        `attributes` are set (None: removed) beside it, as top-level attributes of the session item: for the keys of an
        index, or for whatever else reads the table. They may be of JSON types, bytes or Decimal, at most 1 KB in one
        call; names of the key, the history and the TTL attribute, and names that begin with ``lc_``, are not theirs to
        have. They stay until they are changed or the session is deleted.
        """
        check_count("expected_version", expected_version)
        changes = metadata_changes(metadata)
        check_metadata({"M": {name: value for name, value in changes.items() if value is not None}}, self._sizes)
        key, own = await self._named(session, attributes)
        if self.item_format == "community" and (changes or attributes is None):
            raise InvalidInputError("item_format='community' has no metadata: the incumbent's item has no place for it")
        if self.item_format == "community":
            return await self._community.set_attributes(key, own, expected_version)
        return await self._rewriter.update_metadata(key, changes, expected_version, own)

    async def delete(self, session: Session, *, expected_version: int | None = None) -> None:
        """Remove the session and all its items; nothing to do where there is none."""
        check_count("expected_version", expected_version)
        key, _ = await self._named(session)
        await self._rewriter.delete(key, expected_version)

    async def list(
        self,
        *,
        partition: KeyValue | None = None,
        index: str | None = None,
        descending: bool | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        segments: int = 1,
        attributes: Sequence[str] = (),
    ) -> AsyncIterator[SessionSummary]:
        """Summaries of sessions, without their messages. What is not there for `read` does not show up.

        With `partition`, the value of the table's hash key: its sessions, in the order of the sort key. With `index`,
        the name of a global secondary index, and `partition`, the value of the index's hash key: in the order of its
        range key, newest first (``descending=False`` turns that round). Else all sessions of the table, in no order,
        by a scan, of up to 16 `segments` at a time.

        `limit` bounds how many come. Each summary has a `cursor` with which the same listing goes on after it; a scan
        of several segments has none. `attributes` names attributes of your own to bring along beside those that the
        table's indexes name.

        Reads are eventually consistent: what was written within the last second may be missing. Every process looks at
        the table once (`DescribeTable`). docs/howto/list-sessions.md says what each way costs.

        Raises `InvalidCursorError` for a cursor of another listing or a damaged one, and `CorruptSessionError`.
        """
        check_count("limit", limit)
        wish = Listing(partition, index, descending, limit, cursor, segments, attributes)
        async for summary in self._lister.list(wish):
            yield summary

    def history(self, session: Session, *, history_size: int | None = None) -> DynamoDBChatMessageHistory:
        """A LangChain chat message history over this repository."""
        from .history import DynamoDBChatMessageHistory  # only here: langchain-core 2.0 removes its base class

        return DynamoDBChatMessageHistory.over(self, session, history_size=history_size)

    def _key(self, session: Session) -> SessionKey:
        return session_key(session, self.primary_key_name, self._table.names)

    async def _named(self, session: Session, attributes: Mapping[str, object] | None = None) -> Named:
        """Key of the session, and the attributes to set on it: those given, over those its name brings along."""
        taken = (*self._table.names, self.primary_key_name if isinstance(session, str) else "")
        given: Changes = {} if attributes is None else own_attributes(attributes, taken)
        check_own_size(given, self._sizes)
        if isinstance(session, str):
            return Named(self._key(session), given)
        key, brought = await named(self._table, session, self.primary_key_name)
        for name in given:
            check_own_name(name, key.item)
        own = {**brought, **given}
        check_own_size(own, self._sizes)
        return Named(key, own)

    async def _version(self, key: SessionKey, expected: int | None) -> int:
        item = await self._reader.item(key)
        check_expected(key, item, expected)
        return item.version if item else 0


def clock() -> int:
    """Microseconds since the epoch."""
    return time.time_ns() // 1000
