"""Removes sessions with whatever is left of them, and pages that no session can have."""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import NamedTuple

from .._checks import check_count, check_flag
from .._dynamodb.attribute_values import Item, item_bytes
from .._dynamodb.batches import in_parallel
from .._dynamodb.expressions import Expression
from .._items import attribute_names as lc
from .._items.community_item import CommunityItem, State
from .._items.keys import PageName, SessionKey, native_key, page_name, session_key
from .._items.page_items import Reference
from .._items.session_items import SessionItem
from .._protocol import conditions
from .._protocol.unreachable import GRACE_SECONDS, SeenPage, generations_before, is_unreachable
from .._store.scanning import scan
from .._store.steps import LATEST
from .._store.unreferenced_objects import USUAL_AGE, UnreferencedObjects
from ..blobs.names import ObjectName, session_part
from ..errors import InvalidInputError, SessionBusyError, SessionNotFoundError
from ..repository import AsyncSessionRepository
from .estimates import units
from .foretelling import deletion_units, settling_units, stored_size
from .reports import Action, Outcome, Summary
from .run import Run
from .running import Done, Passed, Thing, Work, working

_NAMED, _SCANNED, _LISTED = "named ", "scanned ", "listed"  # what a position is of


class FoundPage(NamedTuple):
    """A page, the write units of deleting it, and (looked at in dry runs only) what it has in place of its data."""

    place: SeenPage
    cost: int
    reference: Reference | None


class Found(NamedTuple):
    """What a scan found of one session at a time: its item, or some of its pages."""

    key: SessionKey
    item: Item | None
    pages: list[FoundPage]


class Objects(NamedTuple):
    """Objects that no page of their session refers to."""

    key: SessionKey
    names: list[ObjectName]


async def delete_sessions(
    repository: AsyncSessionRepository, run: Run | None = None, *, search_pages: bool = False
) -> Summary:
    """Delete the sessions that are named or that match, and whatever is left of them.

    With a pattern, or `search_pages`, the whole table is scanned, so that what has expired and pages whose session
    item was lost are found too; else a named session that is not there has ``failed``. Objects in S3 go with their
    session; those that only a name says whose they were are found by the session that is named, or with a pattern by a
    listing of the bucket. Each outcome says how many messages, pages and objects there were.

    Raises `InvalidInputError` where no sessions are chosen; ``match="*"`` is all of them.
    """
    run = run or Run()
    check_flag("search_pages", search_pages)
    if not run.sessions and run.match is None:
        raise InvalidInputError('delete which sessions? Name them, or give a pattern: match="*" is all of them')
    async with working("delete", repository, run, removes=True, search_pages=search_pages) as work:
        sessions = work.metered(repository)
        if run.sessions and not (work.position or "").startswith(_SCANNED):
            await work.each(_named(work, sessions), lambda key: _delete(work, sessions, key, missing_ok=search_pages))
        if run.match is not None or search_pages:
            names = {sessions._key(session) for session in run.sessions}

            def wanted(key: SessionKey) -> bool:
                return key in names if names else work.wants(work.name(key))

            async def remove(found: Found) -> Done:
                if found.item is not None:
                    return await _delete(work, sessions, found.key, missing_ok=True)
                return await _sweep(work, sessions, found, "deleted", sessions._begun_before(), counted=not names)

            async def remove_objects(found: Objects) -> Done:
                if run.dry_run and await sessions._table.get(found.key):
                    return Done(None)  # which was counted with its objects
                name = work.name(found.key)
                told = Outcome(session=name, action="deleted", detail="objects of no session")
                gone = await _remove_objects(work, sessions, *found)
                return Done(told.model_copy(update={"objects": gone}) if gone else None)

            if work.position != _LISTED:
                await work.each(_scanned(work, sessions, wanted, sessions_too=not names), remove)
            if not names:
                await work.each(_unreferenced(work, sessions, wanted, 0), remove_objects)
        return work.summary


async def vacuum(
    repository: AsyncSessionRepository, run: Run | None = None, *, older_than: int = GRACE_SECONDS
) -> Summary:
    """Remove the pages that no session can have (any more), their objects, and what writes left that never ended.

    Such pages are left where a session item was lost, or where a write came late. A page that a running writer may
    still commit stays: "Pages that may be removed" in docs/design.md says how that is known. So do those of sessions
    that began within `older_than` seconds, and 72 minutes (forks do not tell when exactly), for tables with replicas.
    The whole table is scanned.

    With `blobs` the bucket is listed too: objects that are a day old (or `older_than`, if that is more), and that no
    page refers to, are removed.
    """
    run = run or Run()
    check_count("older_than", older_than, optional=False)
    if run.sessions:
        raise InvalidInputError("vacuum scans the table: give a pattern (match), or delete sessions with search_pages")
    async with working("vacuum", repository, run, older_than=older_than) as work:
        sessions = work.metered(repository)
        began_before = generations_before(sessions._reader.clock(), older_than)

        def wanted(key: SessionKey) -> bool:
            return work.wants(work.name(key))

        async def tidy(found: Found) -> Done:
            if found.item is not None:
                return await _settle(work, sessions, found)
            return await _sweep(work, sessions, found, "removed", began_before, counted=True)

        async def remove_objects(found: Objects) -> Done:
            if not run.dry_run:
                await sessions._table.objects.remove([str(name) for name in found.names])
            name = work.name(found.key)
            told = "objects that no page refers to"
            return Done(Outcome(session=name, action="removed", objects=len(found.names), detail=told))

        if work.position != _LISTED:
            await work.each(_scanned(work, sessions, wanted, unsettled=True), tidy)
        await work.each(_unreferenced(work, sessions, wanted, max(older_than, USUAL_AGE)), remove_objects)
        return work.summary


async def _unreferenced(
    work: Work, sessions: AsyncSessionRepository, wanted: Callable[[SessionKey], bool], age: float
) -> AsyncGenerator[Thing[Objects], None]:
    """Objects that no page refers to, of this run's part of the sessions; after the pages have been seen to."""
    table, run = sessions._table, work.run
    if table.objects.blobs is None:
        return

    def ours(key: SessionKey) -> bool:
        part = zlib.crc32(session_part(key.attributes).encode()) % run.segments
        return part == run.part and wanted(key)

    found = UnreferencedObjects(table, table.objects.blobs, sessions._reader.clock).find(age, ours)
    async with contextlib.aclosing(found):
        async for key, names in found:
            yield Thing(_LISTED, work.name(key), Objects(key, names))


async def _named(work: Work, sessions: AsyncSessionRepository) -> AsyncGenerator[Thing[SessionKey], None]:
    begin = int((work.position or _NAMED + "0").removeprefix(_NAMED))
    for index, session in enumerate(work.run.sessions):
        if index >= begin:
            yield Thing(f"{_NAMED}{index + 1}", session, sessions._key(session), index)


async def _scanned(
    work: Work,
    sessions: AsyncSessionRepository,
    wanted: Callable[[SessionKey], bool],
    *,
    sessions_too: bool = False,
    unsettled: bool = False,
) -> AsyncGenerator[Thing[Found] | Passed, None]:
    """Pages by their session, and session items: all of them, or those with a write that has not ended."""
    table, run = sessions._table, work.run
    e = Expression()
    kinds = [f"attribute_exists({e.name(lc.CUT)})"]
    if sessions_too:
        kinds += [f"attribute_exists({e.name(name)})" for name in (lc.VERSION, lc.GENERATION)]
        kinds.append(conditions.community_list(e, table.names))
    if unsettled:
        kinds.append(f"attribute_exists({e.name(lc.INTENT)})")
    schema = await table.schema(lambda known: bool(known.keys))
    request = {"FilterExpression": " OR ".join(kinds)}
    if not run.dry_run:  # which tells the cost, and so needs sizes
        request["ProjectionExpression"] = ", ".join(map(e.name, (*schema.keys, lc.CUT)))
    start = work.position.removeprefix(_SCANNED) if work.position and not work.position.startswith(_NAMED) else None
    batches = scan(table, e, request, segments=run.segments, segment=run.part, cursor=start)
    async with contextlib.aclosing(batches):
        async for items, cursor in batches:
            found = _by_session(items, [*schema.keys], sessions.primary_key_name, wanted)
            if cursor and not found:
                yield Passed(f"{_SCANNED}{cursor}")
            for left, one in zip(range(len(found) - 1, -1, -1), found, strict=True):
                position = f"{_SCANNED}{cursor}" if cursor and not left else None
                yield Thing(position, work.name(one.key), one)


def _by_session(
    items: list[Item], key_names: list[str], primary_key_name: str, wanted: Callable[[SessionKey], bool]
) -> list[Found]:
    found: list[Found] = []
    pages: dict[SessionKey, Found] = {}
    for item in items:
        key = {name: item[name] for name in key_names}
        page = page_name(key, primary_key_name) if lc.CUT in item else None
        owner = page.session if page else _own_key(key, primary_key_name, lc.CUT in item)
        if owner is None or not wanted(owner):
            continue
        if page is None:
            found.append(Found(owner, item, []))
            continue
        if owner not in pages:
            pages[owner] = Found(owner, None, [])
        reference = Reference.parse(item.get(lc.DATA, {}).get("S"))
        pages[owner].pages.append(FoundPage(_seen(page, item), units(item_bytes(item)), reference))
    return [*pages.values(), *found]  # so that those of a session that is about to be deleted are its own


def _own_key(key: Item, primary_key_name: str, is_page: bool) -> SessionKey | None:
    """The key of what is a session; None where nobody can have named it."""
    if is_page:
        return None
    with contextlib.suppress(InvalidInputError):
        return session_key(native_key(key), primary_key_name)
    return None


def _seen(page: PageName, item: Item) -> SeenPage:
    cut = item[lc.CUT].get("N", "")
    return SeenPage(page.generation, page.number, int(cut) if cut.isdecimal() else 0)


async def _delete(work: Work, sessions: AsyncSessionRepository, key: SessionKey, *, missing_ok: bool) -> Done:
    """Delete a session, expired or not, and say what there was."""
    table, name = sessions._table, work.name(key)
    objects = await table.objects.find(key)
    item = await table.get(key)
    if item is None or not item.version:
        if gone := await _remove_objects(work, sessions, key, objects):
            told = Outcome(session=name, action="deleted", objects=gone, detail="objects of no session")
            return Done(told)
        if not missing_ok:
            raise SessionNotFoundError(f"there is no session {key} to delete")
        return Done(Outcome(session=name, action="skipped", detail="there is no such session"))
    if isinstance(item, CommunityItem):
        told = Outcome(session=name, action="deleted", messages=len(item.natives), pages=0)
    else:
        count = item.pages - item.first_page
        told = Outcome(session=name, action="deleted", messages=item.message_count, pages=count)
    if work.run.dry_run:
        sessions._pages.steps.check_home(key, item)
        if isinstance(item, SessionItem):
            await table.check_objects(key, item, range(item.floor, max(item.pages, item.reach) + 1))
        cost = await deletion_units(sessions, key, item)
        return Done(told.model_copy(update={"write_units": cost, "objects": len(objects) or None}))
    await sessions._writer.delete(key, None)
    gone = await _remove_objects(work, sessions, key, objects)
    return Done(told.model_copy(update={"objects": gone or None}))


async def _remove_objects(
    work: Work, sessions: AsyncSessionRepository, key: SessionKey, names: Sequence[ObjectName]
) -> int:
    """Remove those that no session can have, and count them; the session item is looked at after they were found.

    What was deleted just now may be among them.
    """
    if not names:
        return 0
    table, before = sessions._table, sessions._begun_before()
    item = await table.get(key)
    if sessions._pages.steps.is_elsewhere(item):  # what it has there may be on its way
        return 0
    size = _size_of(sessions, key, item)
    dead = [of for of in names if is_unreachable(SeenPage(of.generation, of.page, LATEST), item, before, size)]
    if not work.run.dry_run:
        await table.objects.remove([str(of) for of in dead])
    return len(dead)


def _size_of(sessions: AsyncSessionRepository, key: SessionKey, item: State | None) -> int:
    """Of an item of langchain_community, which may have no room to say that it is about to be converted."""
    return stored_size(sessions, key, item) if isinstance(item, CommunityItem) else 0


async def _sweep(
    work: Work, sessions: AsyncSessionRepository, found: Found, action: Action, began_before: int, *, counted: bool
) -> Done:
    """Remove those of the pages that nobody can have; the session item is looked at after they were found.

    Their objects go with them; whether they are `counted` here, or were by their names.
    """
    table, key = sessions._table, found.key
    item = await table.get(key)
    if sessions._pages.steps.is_elsewhere(item):  # what it has there may be on its way
        return Done(None)
    size = _size_of(sessions, key, item)
    dead = [one for one in found.pages if is_unreachable(one.place, item, began_before, size)]
    if not dead:
        return Done(None)
    if work.run.dry_run:
        for one in dead:
            if one.reference:
                table.objects.required(key, one.reference.bucket)
        removed = [(True, one.reference is not None) for one in dead]
    else:
        places = [one.place for one in dead]
        removed = await in_parallel(lambda at: table.discard(key, at.generation, at.number, at.cut), places)
    pages, objects = (sum(gone) for gone in zip(*removed, strict=True))
    told = Outcome(
        session=work.name(key),
        action=action,
        pages=pages,
        objects=objects if counted and objects else None,
        write_units=sum(one.cost for one in dead) if work.run.dry_run else None,
        detail="pages of no session",
    )
    return Done(told if pages else None)


async def _settle(work: Work, sessions: AsyncSessionRepository, found: Found) -> Done:
    """Let a write end that has stopped half-way; one that is going on is left alone."""
    steps, name = sessions._pages.steps, work.name(found.key)
    before = await steps.table.get(found.key)
    if before is None or before.intent is None:
        return Done(None)
    if before.intent.kind != "delete" and before.intent.lease > steps.clock():
        return Done(Outcome(session=name, action="skipped", detail="it is being written"))
    if isinstance(before, SessionItem) and steps.is_elsewhere(before):
        return Done(Outcome(session=name, action="skipped", detail=f"region {before.home!r} writes it"))
    cost = None
    if work.run.dry_run:
        cost = await settling_units(sessions, found.key, before, before.intent)
    else:
        try:
            await steps.await_idle(found.key, b"")
        except SessionBusyError as error:
            return Done(Outcome(session=name, action="skipped", detail=str(error)))
    told = Outcome(session=name, action="removed", detail=f"a write ({before.intent.kind}) that stopped half-way")
    return Done(told.model_copy(update={"write_units": cost}))
