"""`AsyncSessionRepository`: checks what the caller asks for, then reads or writes."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from copy import copy as shallow
from dataclasses import replace
from functools import partial, wraps
from types import TracebackType
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

from langchain_core.messages import BaseMessage

from ._checks import check_count, check_flag, check_message_id, check_start_on, check_ttl, short
from ._dynamodb.attribute_values import Changes
from ._dynamodb.client_settings import ConnectionSettings
from ._dynamodb.connection import Connection
from ._dynamodb.metering import MeteredConnection, Pace, Usage
from ._items.attribute_names import HOME
from ._items.attributes import check_metadata, check_own_name, check_own_size, metadata_changes, own_attributes
from ._items.configured_names import check_sort_key_name
from ._items.keys import Session, SessionKey, native_key, session_key
from ._items.session_items import SessionItem
from ._items.sizes import Sizes
from ._items.table_schema import Index, check_indexes
from ._protocol.append import ids_of
from ._protocol.identity import check_exists, check_expected
from ._protocol.unreachable import GRACE_SECONDS, generations_before
from ._protocol.windows import StartOn, Window, begin_with_human, chat_session, is_cut, is_human, is_system
from ._settings import Configured, shown
from ._store.addressing import Named, named
from ._store.cache import LRU
from ._store.chunks import SLICE
from ._store.community_writer import CommunityWriter
from ._store.copying import Copier, Source
from ._store.decoding import Decoder
from ._store.encoding import encoded
from ._store.listing import Lister, Listing, session_name
from ._store.off_loop import off_loop_if_much
from ._store.options import ItemFormat, Options, default_sizes
from ._store.orphaned_pages import Leftovers
from ._store.paged_writer import PagedWriter
from ._store.preparing import Preparer
from ._store.reading import Reader
from ._store.repairing import Repairer
from ._store.salvaging import Salvager
from ._store.steps import LATEST, Steps
from ._store.stored_pages import StoredPages
from ._store.table import Table
from ._store.table_setup import create_table
from ._store.vault import Encryption, Vault
from ._store.writer import Content, MessageEdit, Writer
from ._threads import off_loop
from .blobs.names import table_part
from .blobs.stores import Blobs, check_apart
from .codec.messages import is_instruction
from .errors import InvalidInputError, SettingsError
from .models import ChatSession, KeyValue, RepairReport, SessionSummary
from .observers import Observed, Observer, check_observers, current
from .surrogates import mended, refuse_halves

if TYPE_CHECKING:
    from .history import DynamoDBChatMessageHistory


P = ParamSpec("P")
T = TypeVar("T")


def observed(
    name: str | None = None, *, returned: Callable[[Any], int] | None = None
) -> Callable[[Callable[P, Coroutine[Any, Any, T]]], Callable[P, Coroutine[Any, Any, T]]]:
    """Let observers be told of this method, if there are any; `returned` counts messages in what it returns."""

    def decorate(method: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]:
        told = Observed(method, name, returned)

        @wraps(method)
        async def call(*args: P.args, **kwargs: P.kwargs) -> T:
            if not args[0]._options.observers:  # type: ignore[attr-defined]
                return await method(*args, **kwargs)
            return await told.call(args, kwargs)  # type: ignore[no-any-return]

        return call

    return decorate


def observed_iteration(method: Callable[P, AsyncIterator[T]]) -> Callable[P, AsyncGenerator[T, None]]:
    """The same for an asynchronous generator."""
    told = Observed(method)

    @wraps(method)
    async def iterate(*args: P.args, **kwargs: P.kwargs) -> AsyncGenerator[T, None]:
        is_told = args[0]._options.observers  # type: ignore[attr-defined]
        values: Any = told.iterate(args, kwargs) if is_told else method(*args, **kwargs)
        async with contextlib.aclosing(values):
            async for value in values:
                yield value

    return iterate


class AsyncSessionRepository(Configured):
    """Chat sessions on one DynamoDB table.

    Wherever a session is named, a text is a session id and a mapping is the whole key of its item. Making a repository
    does no I/O: it opens on first use, and `aclose()` (or ``async with``) ends it; a later ``async with`` may use it
    again. Clients are shared per process, event loop and settings, so repositories are cheap. Settings are fixed (to
    assign one raises `AttributeError`). A copy shares the client; what is pickled carries the settings alone, and no
    AWS session.

    Any method that names a session raises `ForeignItemError` where another program's item has its key, and
    `ItemFormatError` where the session was written with another `history_messages_key`; both are left as they are.
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
        strict: bool = False,
        encryption: Encryption | None = None,
        blobs: Blobs | None = None,
        observers: Sequence[Observer] = (),
        home_region: str | None = None,
    ) -> None:
        """Check the settings; nothing is opened.

        `aws_session` is a boto3 or aioboto3 session, `config` a botocore ``Config`` merged over ours. `ttl` in seconds
        lets a session expire so long after its last change. ``item_format="community"`` keeps sessions readable by
        langchain_community, within its limits (400 KB; 1.0 comes back as 1). `skip_undecodable` leaves out stored
        messages that cannot be read instead of raising `CorruptSessionError`; changes of a session still raise it, so
        that nothing is lost. With `strict`, a message that would not come back as it is, value by value, is refused
        with `UnsupportedMessageError`; without, docs/values.md says what becomes of it.

        `encryption` is a keyring (`langchain_dynamodb.encryption`), or a function that takes a session, as `list` names
        it, and returns one: messages and metadata are encrypted before they leave the process. Sessions that are plain
        can be read, and are encrypted with their next change.

        `blobs` is a place for large data (`langchain_dynamodb.blobs.S3Blobs`): what a page holds above its threshold
        becomes an object there. A message may have 256 MiB then, else 16.

        `home_region` is for global tables: the name of the region that this repository writes in. Sessions that it
        begins or changes bear it, and one that bears another is not changed: `WrongRegionError`, until `take_over`.

        `observers` are told of each operation, with its requests and what they cost (`CapacityMeter`,
        `langchain_dynamodb.telemetry.OpenTelemetry`, or a subclass of `Observer`). What one raises is logged, once, and
        changes nothing.
        """
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
        self._assemble(options, Connection(ConnectionSettings(endpoint_url, region_name, aws_session, config)))

    @classmethod
    def _of(cls, options: Options, settings: ConnectionSettings) -> AsyncSessionRepository:
        self = cls.__new__(cls)
        self._assemble(options, Connection(settings))
        return self

    def _assemble(self, options: Options, connection: Connection) -> None:
        self._options, self._connection = options, connection
        self._utf8_only = False
        sizes, ttl, clock = options.layout, options.ttl, options.clock or microseconds
        self._codec = codec = replace(options.codec, strict=True) if options.strict else options.codec
        self._table = Table(connection, options.table_name, options.names, options.blobs)
        known: LRU[SessionItem] = LRU(options.known_sessions)
        self._vault = vault = Vault(options.encryption, lambda key: session_name(key.item, options.primary_key_name))
        skip = options.skip_undecodable
        home = options.home_region
        if home is not None:
            sizes = sizes._replace(session_item=max(1, sizes.session_item - len(HOME) - len(home)))
        pages = StoredPages(self._table, Decoder(codec, options.names.history, skip), LRU(options.page_cache), home)
        self._reader = Reader(pages, known, clock, vault)
        steps = Steps(self._table, known, codec, sizes, clock, options.timing, vault, home)
        reader = self._reader.strict
        self._pages = PagedWriter(steps, reader, Preparer(steps, reader, ttl), ttl)
        self._writer: Writer = CommunityWriter(steps, ttl) if options.item_format == "community" else self._pages
        self._lister = Lister(self._table, options.primary_key_name, clock, codec, vault, skip)

    def _with(self, options: Options) -> AsyncSessionRepository:
        """One with other options on the same connection: closed along with this one."""
        other = shallow(self)
        other._assemble(options, self._connection)
        return other

    def _metered(self, usage: Usage, pace: Pace) -> AsyncSessionRepository:
        """One that counts what it uses and keeps its writes to a pace, on the connection of this one, which stays."""
        other = shallow(self)
        other._assemble(self._options, MeteredConnection(self._table.connection, usage, pace))
        return other

    def __repr__(self) -> str:
        return shown(self, self._options, self._connection.settings)

    def __getstate__(self) -> dict[str, Any]:
        """The settings, and what a subclass or user has added."""
        assembled = vars(self._of(self._options, self._connection.settings))
        added = {name: value for name, value in vars(self).items() if name not in assembled}
        return {**added, "_settings": (self._options, self._connection.settings), "_utf8_only": self._utf8_only}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        added = dict(state)
        options, settings = added.pop("_settings")
        self._assemble(options, Connection(settings))
        vars(self).update(added)

    async def __aenter__(self) -> AsyncSessionRepository:
        """Open nothing: the first call does. A repository that was closed may be used again from here on."""
        self._connection.reopen()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        await self.aclose()

    async def aclose(self) -> None:
        """Give back what this repository holds; later calls raise `RepositoryClosedError`, until it is entered anew."""
        self._vault.forget()
        await self._connection.aclose()

    @observed()
    async def create_table(self, *, sort_key_name: str | None = None, indexes: Sequence[Index] = ()) -> None:
        """Create the table (on-demand capacity, text keys) unless it exists, and wait until it is active.

        With `ttl`, expiry is enabled on it. `indexes` that it lacks are added, and waited for (DynamoDB fills them
        from the items that are there); others are left alone.

        Raises `SettingsError` where the existing table has other keys, another TTL attribute or another index of
        that name.
        """
        keys = [self._options.primary_key_name]
        if sort_key_name is not None:
            check_sort_key_name(sort_key_name, self._table.names, self._options.primary_key_name)
            keys.append(sort_key_name)
        declared = check_indexes(indexes, self._table.names, keys)
        await create_table(self._table, keys, self._options.timing, ttl=self.ttl is not None, indexes=declared)

    @observed()
    async def append(
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
        """Append all `messages` or none, and return the session's version.

        `expected_version` lets it happen only at that version (0: only if there is no such session). With an
        `idempotency_key`, repeating the same append changes nothing as long as it is among the appends of the tail or
        of the last page. `history_size` drops pages that lie wholly before the newest so many messages. `attributes`
        are set on the session item along with the messages, see `update_metadata`. With `must_exist` it begins no
        session, nor brings one back that was deleted or has expired; that costs nothing.

        Raises `VersionConflictError`, `SessionNotFoundError` (only with `must_exist`), `IdempotencyError`,
        `MessageTooLargeError`, `UnsupportedMessageError`, `SessionBusyError`, and `OutcomeUnknownError` where it cannot
        be told whether the messages were appended.
        """
        check_count("expected_version", expected_version)
        check_count("history_size", history_size)
        check_flag("must_exist", must_exist)
        content = await self._content(messages)
        making = partial(ids_of, idempotency_key, content.lines)
        ids = await off_loop(making) if content.is_much and idempotency_key is not None else making()
        if attributes and not content.lines:
            raise InvalidInputError("append of no messages changes nothing: set attributes with update_metadata")
        key, own = await self._named(session, attributes)
        if not content.lines:
            return await self._version(key, expected_version, must_exist=must_exist)
        return await self._writer.append(
            key, content, ids, expected_version, history_size=history_size, own=own, must_exist=must_exist
        )

    @overload
    async def read(
        self,
        session: Session,
        *,
        limit: int | None = None,
        start_on: StartOn | None = None,
        skip_missing_pages: bool = False,
    ) -> ChatSession: ...

    @overload
    async def read(
        self,
        session: Session,
        *,
        limit: int | None = None,
        start_on: StartOn | None = None,
        unless_version: int | None,
        skip_missing_pages: bool = False,
    ) -> ChatSession | None: ...

    async def read(
        self,
        session: Session,
        *,
        limit: int | None = None,
        start_on: StartOn | None = None,
        unless_version: int | None = None,
        skip_missing_pages: bool = False,
    ) -> ChatSession | None:
        """The session as of now: the newest `limit` messages (None: all), oldest first.

        None if the session is still at `unless_version`. A window never begins with tool messages whose call is outside
        of it. With ``start_on="human"`` the first message is a human one, leading system messages aside: what stands
        before it is left out, so that there may be fewer than `limit`. An absent, deleted or expired session has
        version 0 and no messages.

        Raises `CorruptSessionError`, and `IncompleteSessionError` where a page of a session that has just changed is
        not there yet. With `skip_missing_pages`, pages that are not there are no error: `messages` are those that are
        there, and `missing` says where how many are not. With a `limit` these are the newest `limit` messages that are
        there, and what is missing after the first of them.
        """
        check_start_on(start_on)
        check_flag("skip_missing_pages", skip_missing_pages)
        reader = Salvager(self._reader) if skip_missing_pages else self._reader
        window = await self._window(session, limit, unless_version, reader, start_on)
        return None if window is None else window.chat

    @observed("read", returned=lambda window: 0 if window is None else len(window.chat.messages))
    async def _window(
        self,
        session: Session,
        limit: int | None,
        unless_version: int | None = None,
        reader: Reader | Salvager | None = None,
        start_on: StartOn | None = None,
        *,
        to_write: bool = False,
    ) -> Window | None:
        """What `read` gives, for those who hand it to a model.

        Who is going to append the answer (`to_write`) learns beforehand where another region writes the session.
        """
        check_count("limit", limit)
        check_count("unless_version", unless_version)
        key, _ = await self._named(session)
        snapshot = await (reader or self._reader).snapshot(key, limit, unless_version)
        if to_write:
            self._pages.steps.check_home(key, self._reader.known.get(key))
        if snapshot is None:
            return None
        if start_on is not None:
            snapshot = snapshot.keeping(begin_with_human(snapshot.messages))
        chat = chat_session(key, snapshot, self._reader.clock())
        if self._utf8_only:
            messages = await off_loop_if_much(chat.messages, partial(mended, chat.messages))
            chat = chat.model_copy(update={"messages": messages})
        return Window(chat, is_cut(snapshot.item, limit))

    @observed_iteration
    async def iter_messages(
        self, session: Session, *, start_on: StartOn | None = None, skip_missing_pages: bool = False
    ) -> AsyncGenerator[BaseMessage, None]:
        """All messages of one snapshot, oldest first, with a few pages in memory at a time; `start_on` as in `read`.

        Pages are read strongly, at twice the price of `read`, and fetched ahead: 16 at first, then at most twice as
        many as before, up to 100. A loop that ends early has paid for those too.

        With `skip_missing_pages`, those that are there (`read` tells what is missing); all pages are then read twice.

        Raises `VersionConflictError` when the history is rewritten or deleted meanwhile, `CorruptSessionError`, and
        `IncompleteSessionError`.
        """
        check_start_on(start_on)
        check_flag("skip_missing_pages", skip_missing_pages)
        key, _ = await self._named(session)
        reader = Salvager(self._reader) if skip_missing_pages else self._reader
        leading, begun, since = True, start_on is None, 0
        async with contextlib.aclosing(reader.iterate(key)) as messages:
            async for message in messages:
                if is_instruction(message):
                    continue
                leading, begun = leading and is_system(message), begun or is_human(message)
                if leading or begun:
                    if self._utf8_only:
                        message = await off_loop_if_much([message], partial(mended, message))
                        since += 1
                        if not since % SLICE:
                            await asyncio.sleep(0)
                    yield message

    @observed()
    async def replace(
        self,
        session: Session,
        messages: Sequence[BaseMessage],
        *,
        expected_version: int | None = None,
        attributes: Mapping[str, object] | None = None,
        must_exist: bool = False,
    ) -> int:
        """Exchange the whole history, and return the session's version. An empty one keeps session and metadata.

        Where it begins as the present one does, and little follows (up to a page, 16 KiB), what is the same is left as
        it is stored: that costs the write units of the end, whatever the length, and a read of what is not in memory.

        `attributes` are set on the session item along with it, see `update_metadata`. With `must_exist` it raises
        `SessionNotFoundError` where there is no session, instead of beginning one.
        """
        check_count("expected_version", expected_version)
        check_flag("must_exist", must_exist)
        content = await self._content(messages)
        key, own = await self._named(session, attributes)
        return await self._writer.replace(key, content, expected_version, own=own, must_exist=must_exist)

    @observed()
    async def truncate(
        self, session: Session, *, keep: int, expected_version: int | None = None, must_exist: bool = True
    ) -> int:
        """Keep the first `keep` messages, and return the session's version. It costs what is dropped, not what is kept.

        With no more messages than that nothing is changed.
        Where there is no session (any more) it raises `SessionNotFoundError`; with ``must_exist=False``, or at
        ``expected_version=0``, it does nothing then, and returns 0.
        """
        check_count("expected_version", expected_version)
        check_count("keep", keep, optional=False)
        check_flag("must_exist", must_exist)
        key, _ = await self._named(session)
        must_exist = must_exist and expected_version != 0
        return await self._writer.truncate(key, keep, expected_version, must_exist=must_exist)

    @observed()
    async def update_message(
        self, session: Session, message: BaseMessage, *, expected_version: int | None = None
    ) -> int:
        """Put `message` in the place of the stored one with its id, and return the session's version.

        For a correction, a redaction, or an annotation: of a message that was read, ``model_copy`` changes one field.
        Of several with that id it is the newest. The old text is gone from the session's items once this returns (or,
        where a request failed, a warning was logged, with the next change other than a small append); not from backups.

        The write units do not depend on the length of the history: the message is searched from the newest down, and
        its page written once. Only a message that takes more than 32 KB deflated, or one in several parts, takes the
        history to be written anew from there on.

        Raises `MessageNotFoundError`, `SessionNotFoundError`, `VersionConflictError`, `CorruptSessionError` where a
        newer message that may have the id cannot be decoded here, and what `append` raises for one that cannot be
        stored.
        """
        check_count("expected_version", expected_version)
        if isinstance(message, BaseMessage):  # else the next line says what it is
            check_message_id("message.id", getattr(message, "id", None))
        content = await self._content([message], "message")
        edit = MessageEdit(str(message.id), content)
        key, _ = await self._named(session)
        return await self._writer.edit(key, edit, expected_version)

    @observed()
    async def remove_message(self, session: Session, message_id: str, *, expected_version: int | None = None) -> int:
        """Remove the stored message with this id, and return the session's version; the others stay in order.

        As `update_message`, which see for what it costs and raises. A window never begins with tool messages whose
        call was removed, but in the middle of a history results may be left without their call: remove these too,
        since models refuse them.
        """
        check_count("expected_version", expected_version)
        edit = MessageEdit(check_message_id("message_id", message_id))
        key, _ = await self._named(session)
        return await self._writer.edit(key, edit, expected_version)

    @observed()
    async def update_metadata(
        self,
        session: Session,
        metadata: Mapping[str, object],
        *,
        expected_version: int | None = None,
        attributes: Mapping[str, object] | None = None,
        must_exist: bool = True,
    ) -> int:
        """Merge `metadata` into the session's (None removes a name), and return the session's version.

        Where there is no session (any more) it raises `SessionNotFoundError`: a late change brings none back. With
        ``must_exist=False``, or at ``expected_version=0``, it begins one without messages.

        Values are of JSON types; together at most 2 KB, since every append pays for them.

        `attributes` are set (None: removed) beside it, as top-level attributes of the session item: for the keys of an
        index, or for whatever else reads the table. They may be of JSON types, bytes or Decimal, at most 1 KB in one
        call; names of the key, the history and the TTL attribute, and names that begin with ``lc_``, are not theirs to
        have. They stay until they are changed or the session is deleted.
        """
        check_count("expected_version", expected_version)
        check_flag("must_exist", must_exist)
        changes = metadata_changes(metadata)
        kept = {name: value for name, value in changes.items() if value is not None}
        check_metadata({"M": kept}, self._options.sizes)
        key, own = await self._named(session, attributes)
        must_exist = must_exist and expected_version != 0
        return await self._writer.update_metadata(key, changes, expected_version, own=own, must_exist=must_exist)

    @observed()
    async def set_expiry(self, session: Session, seconds: int | None, *, expected_version: int | None = None) -> int:
        """Let the session expire in so many `seconds` from now, or (None) not any more; returns its version.

        The next change by a repository with `ttl` moves that again. Making a session permanent takes a write for each
        of its pages. Raises `SessionNotFoundError` where there is no session.
        """
        check_ttl(seconds, "seconds")
        check_count("expected_version", expected_version)
        key, _ = await self._named(session)
        return await self._writer.set_expiry(key, seconds, expected_version)

    @observed()
    async def delete(
        self, session: Session, *, expected_version: int | None = None, search_pages: bool = False
    ) -> None:
        """Remove the session and all its items; nothing to do where there is none.

        Which pages there are, the session item says. Where it was lost (DynamoDB removed it by its TTL, or somebody by
        hand) they stay until they expire themselves, and no session can read them. `search_pages` finds and removes
        those too: by a Query of the session's pages where the table's sort key takes their suffix (docs/storage.md),
        else by a Scan, which reads the **whole table**. With `home_region`, pages of sessions that began within the
        last two hours stay: their session item may be on its way here.
        """
        check_count("expected_version", expected_version)
        check_flag("search_pages", search_pages)
        key, _ = await self._named(session)
        await self._writer.delete(key, expected_version)
        if search_pages:
            await Leftovers(self._table, self._begun_before()).remove(key)

    @observed()
    async def copy(
        self,
        session: Session,
        to: Session,
        *,
        keep: int | None = None,
        repository: AsyncSessionRepository | None = None,
        expected_version: int | None = None,
    ) -> int:
        """Begin a session `to` with the first `keep` messages of this one (None: all), and return its version.

        It is one consistent copy, all of it or nothing, and shares nothing with its source, which stays as it is.
        Metadata and attributes of your own come along; those that the name `to` brings win. It expires as a session
        that begins there does: by `ttl`. `expected_version` lets it happen only while the source is at that version.

        `repository` is where `to` is, if elsewhere: on another table, in another region, with another key, encryption
        or format. Pages are copied as they are stored, and encrypted anew; from and to the format of
        langchain_community, which has no place for metadata, messages are encoded anew. Without messages (``keep=0``)
        an empty session begins; in that format, which has none, nothing does but where there are attributes, and 0 is
        returned. The observers of this repository are told of the requests to either table, those of the other are not.

        It costs the write units of what is written, and two requests for each 25 pages (16 KiB each) or fewer.

        Raises `VersionConflictError` where there is a session `to` already (`expected` is 0 then) or the source is not
        at `expected_version`, `SessionNotFoundError` where there is nothing to copy, `SessionBusyError` where its
        history is changed again and again meanwhile, `MessageTooLargeError` where a message is too large for the format
        or without a bucket there, `SettingsError` where two tables of one name (in other regions, say) would keep large
        data in one place, and what `read` raises.
        """
        check_count("keep", keep)
        check_count("expected_version", expected_version)
        other = self if repository is None else repository
        if not isinstance(other, AsyncSessionRepository):
            raise InvalidInputError(
                f"repository is {short(other)}: pass an AsyncSessionRepository, or from a SessionRepository either kind"
            )
        self._check_objects_apart(other)
        source, _ = await self._named(session)
        key, own = await other._named(to)
        copier = Copier(other._pages.steps, other._writer, other.ttl)
        return await copier.copy(Source(self._pages.reader, source, keep, expected_version), key, own)

    @observed()
    async def repair(self, session: Session, *, drop_undecodable: bool = False) -> RepairReport:
        """Make of a damaged session one that works in every way, and say what was done.

        Pages that are missing are given up: what is left becomes the history, in order, without a gap. (If you have a
        backup, put their items back first: `read` with ``skip_missing_pages=True`` tells their keys.) What others wrote
        into the session's list is brought in where it can be read as messages, and taken out where not. A session of
        which an older item was restored takes note of the newer pages, so that appends get past them and `delete`
        removes them; their messages are not read.

        What is there and cannot be decoded, or is not the page that should be there, stays; it is an error where it is
        in the way. `drop_undecodable` takes it out.

        A healthy session stays as it is, at its version; so do items in the format of langchain_community, which have
        no pages. All pages are read. If some in the middle are missing, those that are left are written anew.

        Raises `SessionNotFoundError`, `IncompleteSessionError` where a page that is missing may only be late, and
        `CorruptSessionError` for what cannot be repaired: session items whose numbers contradict each other.
        """
        check_flag("drop_undecodable", drop_undecodable)
        key, _ = await self._named(session)
        return await Repairer(self._pages).repair(key, drop_undecodable=drop_undecodable)

    @observed()
    async def take_over(self, session: Session) -> int:
        """Let this repository's `home_region` write the session from now on, and return its version.

        Only once its former home writes it no more (it is down, or its requests go here now) and what it wrote has been
        replicated: of what arrives later one side is lost (docs/howto/global-tables.md). All pages are read, strongly.
        A session that has this home already stays as it is; one that has none gets it. One that has expired is removed.

        Raises `SessionNotFoundError`, `IncompleteSessionError` where it can be seen that something is still to come
        (nothing was written then), `CorruptSessionError`, and `SettingsError` where there is no `home_region`.
        """
        key, _ = await self._named(session)
        if self._options.home_region is None:
            raise SettingsError("take_over needs to know the region: make the repository with home_region=")
        return await self._pages.take_over(key)

    @observed()
    async def reencrypt(self, session: Session, *, plain: bool = False) -> int:
        """Write the session anew under a new data key of this repository's keyring, and return its version.

        So a session gets another key: the keyring's `old` ones read it, and its present one encrypts it. With `plain`
        it is decrypted, until the next change by a repository that encrypts. The whole history is read and written;
        messages and metadata stay as they are.

        Raises `SessionNotFoundError`, `EncryptionError`, and `SettingsError` where there is no `encryption`.
        """
        check_flag("plain", plain)
        key, _ = await self._named(session)
        if self._options.encryption is None:
            raise SettingsError("reencrypt needs the keyring: make the repository with encryption=")
        return await self._pages.reencrypt(key, plain=plain)

    @observed_iteration
    async def list(
        self,
        *,
        partition: KeyValue | Mapping[str, KeyValue] | None = None,
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
        range key, newest first (``descending=False`` turns that round); of an index whose hash key has several
        attributes, `partition` is a mapping with the value of each. Else all sessions of the table, in no order,
        by a scan, of up to 16 `segments` at a time.

        `limit` bounds how many come. Each summary has a `cursor` with which the same listing goes on after it; a scan
        of several segments has none. `attributes` names attributes of your own to bring along beside those that the
        table's indexes name.

        Reads are eventually consistent: what was written within the last second may be missing. Every process looks at
        the table once (`DescribeTable`). docs/howto/list-sessions.md says what each way costs.

        The metadata of encrypted sessions is decrypted; where the key for that cannot be had, `error` says why.

        A damaged session comes with an `error`, and hides no other (with `skip_undecodable` it is left out); items of
        other programs do not show up.

        Raises `InvalidCursorError` for a cursor of another listing or a damaged one.
        """
        check_count("limit", limit)
        request = Listing(partition, index, descending, limit, cursor, segments, attributes)
        async for summary in self._lister.list(request):
            yield summary

    def history(
        self, session: Session, *, history_size: int | None = None, must_exist: bool = False
    ) -> DynamoDBChatMessageHistory:
        """A LangChain chat message history over this repository; with `must_exist` it begins no session."""
        from .history import DynamoDBChatMessageHistory  # only here: langchain-core 2.0 removes its base class

        return DynamoDBChatMessageHistory.over(self, session, history_size=history_size, must_exist=must_exist)

    def _for_http(self) -> AsyncSessionRepository:
        """This repository, with which halves of characters are neither stored nor met."""
        view = shallow(self)
        view._utf8_only = True
        return view

    def _content(self, messages: Sequence[BaseMessage], path: str | None = None) -> Awaitable[Content]:
        most = self._options.sizes.message
        tells = self._options.item_format == "pages"  # the other one says itself what it can keep
        # Halves are looked for in what is stored: what has no end does not come there.
        check = partial(refuse_halves, path=path) if self._utf8_only else None
        return encoded(self._codec, messages, most, path, tells=tells, check=check)

    @property
    def _place(self) -> tuple[str, str | None, str | None]:
        """Where the table is: its name, and the endpoint and region that were given."""
        settings = self._connection.settings
        return self.table_name, settings.endpoint_url, settings.region_name

    def _check_objects_apart(self, other: AsyncSessionRepository) -> None:
        """Raise `SettingsError` where large data of two tables would be under the same names."""
        if table_part(self.table_name) == table_part(other.table_name) and self._place != other._place:
            check_apart(self.blobs, other.blobs)

    def _key(self, session: Session) -> SessionKey:
        return session_key(session, self._options.primary_key_name, self._table.names)

    async def _named(self, session: Session, attributes: Mapping[str, object] | None = None) -> Named:
        """Key of the session, and the attributes to set on it: those given, over those its name brings along."""
        taken = (*self._table.names, self._options.primary_key_name if isinstance(session, str) else "")
        given: Changes = {} if attributes is None else own_attributes(attributes, taken)
        if given:
            check_own_size(given, self._options.sizes)
        if isinstance(session, str):
            return Named(self._key(session), given)
        key, brought = await named(self._table, session, self._options.primary_key_name)
        if (operation := current.get()) and operation.key is None:
            operation.key = native_key(key.item)
        for name in given:
            check_own_name(name, key.item)
        own = {**brought, **given}
        check_own_size(own, self._options.sizes)
        return Named(key, own)

    def _begun_before(self) -> int:
        """Generations below this are no session's whose item is not here: that of others may be on its way."""
        if self._options.home_region is None:
            return LATEST
        return generations_before(self._reader.clock(), GRACE_SECONDS)

    async def _version(self, key: SessionKey, expected: int | None, *, must_exist: bool) -> int:
        item = await self._reader.item(key)
        check_expected(key, item, expected)
        if must_exist:
            check_exists(key, item)
        return item.version if item else 0


def microseconds() -> int:
    """Time since the epoch."""
    return time.time_ns() // 1000
