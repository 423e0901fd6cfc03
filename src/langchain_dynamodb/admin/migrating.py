"""Tables of langchain_community into our format and back, in place or into another table, while users go on."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from functools import partial
from typing import Any

from .._checks import check_flag
from .._dynamodb.attribute_values import Item, item_bytes
from .._dynamodb.expressions import Expression
from .._items.community_item import CommunityItem
from .._items.configured_names import Names
from .._items.keys import Session, SessionKey
from .._items.session_items import SessionItem
from .._store.off_loop import off_loop_if_many
from .._store.scanning import scan
from .._store.whole_sessions import Placer, Whole, check_encrypted, natives_of, read_whole
from ..errors import InvalidInputError, ItemFormatError, SessionBusyError, SessionNotFoundError, VersionConflictError
from ..models import SessionSummary
from ..repository import AsyncSessionRepository
from .choosing import chosen, listed, named
from .estimates import delete_units, units
from .foreign import SourceFormat, foreign_name, foreign_session, histories
from .foretelling import community_units, deletion_units, stored_pages
from .placing import ATTEMPTS, bring, count_same, lacking
from .reports import Outcome, Summary
from .run import Run, check_repository
from .running import Done, Passed, Thing, Work, working


async def migrate(
    repository: AsyncSessionRepository,
    run: Run | None = None,
    *,
    to: AsyncSessionRepository | None = None,
    back: bool = False,
    delete_source: bool = False,
    source_format: SourceFormat | None = None,
    plain: bool = False,
) -> Summary:
    """Bring the sessions of langchain_community into our format, in place, or all sessions to another repository.

    In place each is ``converted`` by a write that depends on its whole list, so that no message of anybody who writes
    meanwhile with this package is lost; those of ours are left as they are. With `back` it is the other way round:
    sessions of ours become items of langchain_community (``reverted``), as far as they fit into one.

    With `to` each session is ``copied`` as it is at that moment. What is added here afterwards, the next run brings
    over (``extended``), with metadata, attributes and a later expiry; what has gone on there stays, and what begins
    otherwise there is told (``different``) and left. `delete_source` deletes a session here once all of it is there, if
    it has not changed since it was read. Encrypted sessions become plain text nowhere, unless with `plain`.

    With a `source_format` this table is one of another library (``"javascript"``: @langchain/community,
    ``"llama-index"``), whose histories are copied to `to` in the same way, under their ids; it is only read.

    A second run changes nothing.
    """
    run = run or Run()
    check_repository(repository)
    check_flag("back", back)
    check_flag("delete_source", delete_source)
    check_flag("plain", plain)
    if to is not None and back:
        raise InvalidInputError(
            'back is in place; for another table give to= a repository with item_format="community"'
        )
    if delete_source and to is None:
        raise InvalidInputError("delete_source needs to=, the repository to which the sessions go")
    if not back and to is None and repository.item_format == "community":
        raise InvalidInputError('item_format="community" keeps that format: migrate with the default one, or back')
    if plain and to is None and not back:
        raise InvalidInputError("plain is for the way back (--to-format community), or for another table")
    if source_format is not None and (to is None or delete_source or run.sessions):
        raise InvalidInputError(
            f"source_format={source_format!r} needs to=, and copies what matches; nothing is deleted"
        )
    about: dict[str, Any] = {"back": back, "delete_source": delete_source, "format": source_format, "plain": plain}
    async with working("migrate", repository, run, removes=delete_source, to=to, **about) as work:
        source = work.metered(repository)
        if to is not None:
            await _check_other(source, to)
            if source_format is None:
                await _check_keys(source, to)
            else:
                target = work.target(to)
                await work.each(_foreign(work, source, source_format), lambda item: _copy(work, target, item))
                return work.summary
            mover = _Mover(source, work.target(to), work, delete_source, plain)
            await work.each(chosen(work, source), mover.move)
        else:
            changer = _InPlace(source, work, back, plain)
            await work.each(_summaries(work, source), changer.change)
        return work.summary


async def _check_other(source: AsyncSessionRepository, to: AsyncSessionRepository) -> None:
    """Refuse a replica: what is copied there is there already, or about to be; what is deleted here goes there too."""
    here, there = [(await one._table.describe())["Table"] for one in (source, to)]
    region = there["TableArn"].split(":")[3]
    replicas = {replica["RegionName"] for replica in here.get("Replicas", [])}
    if here["TableName"] == there["TableName"] and region in replicas:
        replica = f"to= is the replica of table {here['TableName']!r} in {region!r}"
        raise InvalidInputError(f"{replica}: DynamoDB fills it, there is nothing to copy")
    source._check_objects_apart(to)


async def _check_keys(source: AsyncSessionRepository, to: AsyncSessionRepository) -> None:
    """Refuse a table in which sessions cannot have the names that they have here."""
    here, there = [await one._table.schema(lambda known: bool(known.keys)) for one in (source, to)]
    by_id = [schema.keys == {one.primary_key_name: "S"} for one, schema in ((source, here), (to, there))]
    if not (all(by_id) if by_id[0] else here.keys == there.keys):
        raise InvalidInputError(
            f"table {to.table_name!r} has the key {there.described}, and {source.table_name!r} has {here.described}: "
            "give a table with the same key, by which sessions are named"
        )


async def _summaries(
    work: Work, source: AsyncSessionRepository
) -> AsyncGenerator[Thing[SessionSummary] | Passed, None]:
    """What a listing tells of the sessions; of those that were named nothing."""
    if not work.run.sessions:
        async for thing in listed(work, source):
            yield thing
        return
    async for one in named(work):
        key = work.name(source._key(one.session))
        yield Thing(one.position, one.session, SessionSummary(session=key, version=None, message_count=None))


_Foreign = tuple[Item, Names, "list[str]", SourceFormat]


async def _foreign(
    work: Work, source: AsyncSessionRepository, source_format: SourceFormat
) -> AsyncGenerator[Thing[_Foreign] | Passed, None]:
    """The items of another library's table, those with a history of another name among them: they are told."""
    table, run = source._table, work.run
    keys = [*(await table.schema(lambda known: bool(known.keys))).keys]
    batches = scan(table, Expression(), {}, segments=run.segments, segment=run.part, cursor=work.position)
    async with contextlib.aclosing(batches):
        async for items, cursor in batches:
            for item in items:
                name = foreign_name(item, keys)
                if work.wants(name) and (table.names.history in item or histories(item, source_format)):
                    yield Thing(None, name, (item, table.names, keys, source_format))
            if cursor:
                yield Passed(cursor)


async def _copy(work: Work, to: AsyncSessionRepository, item: _Foreign) -> Done:
    name, whole = foreign_session(*item)
    if whole.expires is not None and whole.expires <= to._reader.clock() // 1_000_000:
        return Done(Outcome(session=name, action="skipped", detail="has expired"))
    return Done(await bring(to, name, whole, begun="copied", dry_run=work.run.dry_run))


class _InPlace:
    """Changes the format of sessions where they are."""

    def __init__(self, source: AsyncSessionRepository, work: Work, back: bool, plain: bool) -> None:
        self._source, self._work, self._back, self._plain = source, work, back, plain
        self._placer = Placer(source._pages)

    async def change(self, summary: SessionSummary) -> Done:
        """Bring one into the other format."""
        if summary.version is not None and not self._back:
            return Done(Outcome(session=summary.session, action="unchanged", messages=summary.message_count))
        key = self._source._key(summary.session)
        try:
            if self._work.run.dry_run:
                return Done(await self._foretell(summary.session))
            if self._back:
                return Done(await self._revert(key, summary))
            named = await self._source._reader.item(key) if self._work.run.sessions else None
            if isinstance(named, SessionItem):
                return Done(Outcome(session=summary.session, action="unchanged", messages=named.message_count))
            await self._placer.convert(key)
        except SessionNotFoundError:
            if self._work.run.sessions:
                raise
            return Done(Outcome(session=summary.session, action="skipped", detail="deleted meanwhile"))
        known = self._source._reader.known.get(key)
        return Done(
            Outcome(session=summary.session, action="converted", messages=known.message_count if known else None)
        )

    async def _revert(self, key: SessionKey, summary: SessionSummary) -> Outcome:
        item = await self._source._table.get(key)
        if isinstance(item, CommunityItem):
            if item.intent is not None:  # of a writer that died: it left pages
                await self._source._pages.steps.await_idle(key, b"")
            return Outcome(session=summary.session, action="unchanged")
        await self._placer.revert(key, plain=self._plain)
        count = item.message_count if item else None
        return Outcome(session=summary.session, action="reverted", messages=count)

    async def _foretell(self, name: str | dict[str, Any]) -> Outcome:
        source = self._source
        key, steps = source._key(name), source._pages.steps
        item = await source._reader.item(key)
        if item is None or not item.version:
            raise SessionNotFoundError(f"there is no session {key}")
        steps.check_home(key, item)
        whole = await read_whole(source._pages.reader, key)
        lines = whole.lines if whole else []
        told = Outcome(session=name, action="reverted" if self._back else "converted", messages=len(lines))
        if isinstance(item, CommunityItem) and not self._back:
            return told.model_copy(update={"write_units": await community_units(source, key, item, lines)})
        if isinstance(item, SessionItem) and self._back and whole:
            return told.model_copy(update={"write_units": await self._cost_back(key, item, whole)})
        return told.model_copy(update={"action": "unchanged"})

    async def _cost_back(self, key: SessionKey, item: SessionItem, whole: Whole) -> int:
        source, names = self._source, self._source._table.names
        natives = await natives_of(key, whole.lines, whole.metadata, whole.encrypted, plain=self._plain)
        after = key.size + item_bytes({**item.own, names.history: {"L": natives}})
        numbers = range(item.floor, max(item.pages, item.reach, item.ceiling) + 1) if item.pages else range(0)
        pages = await stored_pages(source, key, item.generation, numbers)
        return units(after) + (delete_units(after, pages, len(numbers)) if numbers else 0)


class _Mover:
    """Copies sessions into another repository."""

    def __init__(
        self, source: AsyncSessionRepository, to: AsyncSessionRepository, work: Work, delete_source: bool, plain: bool
    ) -> None:
        self._source, self._to, self._work, self._delete, self._plain = source, to, work, delete_source, plain

    async def move(self, session: Session) -> Done:
        """Copy one, or what it has more than there; then delete it here, if that is wanted."""
        key = self._source._key(session)
        name = self._work.name(key)
        for _ in range(ATTEMPTS):
            whole = await read_whole(self._source._pages.reader, key)
            if whole is None:
                if self._work.run.sessions:
                    raise SessionNotFoundError(f"there is no session {key}")
                return Done(Outcome(session=name, action="skipped", detail="deleted meanwhile"))
            check_encrypted(key, whole.encrypted and self._to.encryption is None, self._plain)
            dry_run = self._work.run.dry_run
            outcome = await bring(self._to, name, whole, begun="copied", dry_run=dry_run, moving=self._delete)
            if not self._delete or outcome.action == "different":
                return Done(outcome)
            if dry_run:
                return Done(await self._with_deletion(key, outcome))
            there = await read_whole(self._to._pages.reader, self._to._key(name))
            counting = partial(count_same, whole.lines, there.lines if there else ())
            same = await off_loop_if_many(whole.lines, counting)
            if there is None or same < len(whole.lines) or lacking(whole, there):
                raise ItemFormatError(f"session {key} did not come out in the other table as it is here; it stays here")
            try:
                await self._source._writer.delete(key, whole.version)
            except VersionConflictError:
                continue  # somebody went on with it: bring that over too
            return Done(outcome.model_copy(update={"detail": "deleted here"}))
        raise SessionBusyError(f"session {key} was changed {ATTEMPTS} times while it was copied: try again")

    async def _with_deletion(self, key: SessionKey, outcome: Outcome) -> Outcome:
        """What a deletion here takes too."""
        self._source._pages.steps.check_home(key, item := await self._source._table.get(key))
        cost = (outcome.write_units or 0) + (await deletion_units(self._source, key, item) if item else 0)
        return outcome.model_copy(update={"write_units": cost})
