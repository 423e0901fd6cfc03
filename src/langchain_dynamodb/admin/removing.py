"""Removes sessions with whatever is left of them, and pages that no session can have."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Callable
from typing import NamedTuple

from .._checks import check_count, check_flag
from .._dynamodb.attribute_values import Item, item_bytes
from .._dynamodb.batches import in_parallel
from .._dynamodb.expressions import Expression
from .._items import attribute_names as lc
from .._items.community_item import CommunityItem, State
from .._items.keys import PageName, SessionKey, native_key, page_name, session_key
from .._protocol import conditions
from .._protocol.unreachable import SeenPage, is_unreachable
from .._store.listing import session_name
from .._store.scanning import scan
from ..errors import InvalidInputError, SessionBusyError
from ..repository import AsyncSessionRepository
from .estimates import delete_units, units
from .reports import Action, Outcome, Summary
from .running import Done, Run, Thing, Work, working

GRACE_SECONDS = 3600
_NAMED, _SCANNED = "named ", "scanned "  # what a position is of


class Found(NamedTuple):
    """What a scan found of one session at a time: its item, or some of its pages."""

    key: SessionKey
    item: Item | None
    pages: list[tuple[Item, SeenPage, int]]  # key, place, write units of deleting it


async def delete_sessions(
    repository: AsyncSessionRepository, run: Run | None = None, *, search_pages: bool = False
) -> Summary:
    """Delete the sessions that are named or that match, and whatever is left of them.

    With a pattern, or `search_pages`, the whole table is scanned, so that what has expired and pages whose session
    item was lost are found too. Each outcome says how many messages and pages there were.

    Raises `InvalidInputError` where no sessions are chosen; ``match="*"`` is all of them.
    """
    run = run or Run()
    check_flag("search_pages", search_pages)
    if not run.sessions and run.match is None:
        raise InvalidInputError('delete which sessions? Name them, or give a pattern: match="*" is all of them')
    async with working("delete", repository, run, search_pages=search_pages) as work:
        sessions = work.metered(repository)
        if run.sessions and not (work.position or "").startswith(_SCANNED):
            await work.each(_named(work, sessions), lambda key: _delete(work, sessions, key))
        if run.match is not None or search_pages:
            names = {sessions._key(session) for session in run.sessions}
            key_name = sessions.primary_key_name

            def wanted(key: SessionKey) -> bool:
                return key in names if names else run.wants(session_name(key.item, key_name))

            async def remove(found: Found) -> Done:
                if found.item is not None:
                    return await _delete(work, sessions, found.key)
                return await _sweep(work, sessions, found, "deleted", began_before=sessions._reader.clock())

            await work.each(_scanned(work, sessions, wanted, sessions_too=not names), remove)
        return work.summary


async def vacuum(
    repository: AsyncSessionRepository, run: Run | None = None, *, older_than: int = GRACE_SECONDS
) -> Summary:
    """Remove the pages that no session can have (any more), and what writes left that never ended.

    Such pages are left where a session item was lost, or where a write came late. A page that a running writer may
    still commit stays: "Pages that may be removed" in docs/design.md says how that is known. So do those of sessions
    that began within `older_than` seconds, for tables with replicas. The whole table is scanned.
    """
    run = run or Run()
    check_count("older_than", older_than, optional=False)
    if run.sessions:
        raise InvalidInputError("vacuum scans the table: give a pattern (match), or delete sessions with search_pages")
    async with working("vacuum", repository, run, older_than=older_than) as work:
        sessions = work.metered(repository)
        began_before = sessions._reader.clock() - older_than * 1_000_000

        def wanted(key: SessionKey) -> bool:
            return run.wants(session_name(key.item, sessions.primary_key_name))

        async def tidy(found: Found) -> Done:
            if found.item is not None:
                return await _settle(work, sessions, found)
            return await _sweep(work, sessions, found, "removed", began_before)

        await work.each(_scanned(work, sessions, wanted, unsettled=True), tidy)
        return work.summary


async def _named(work: Work, sessions: AsyncSessionRepository) -> AsyncGenerator[Thing[SessionKey], None]:
    begin = int((work.position or _NAMED + "0").removeprefix(_NAMED))
    for index, session in enumerate(work.run.sessions):
        if index >= begin:
            yield Thing(f"{_NAMED}{index + 1}", session, sessions._key(session))


async def _scanned(
    work: Work,
    sessions: AsyncSessionRepository,
    wanted: Callable[[SessionKey], bool],
    *,
    sessions_too: bool = False,
    unsettled: bool = False,
) -> AsyncGenerator[Thing[Found], None]:
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
    batches = scan(table, e, request, segments=run.segments, segment=run.segment, cursor=start)
    async with contextlib.aclosing(batches):
        async for items, cursor in batches:
            found = _by_session(items, [*schema.keys], sessions.primary_key_name, wanted)
            for left, one in zip(range(len(found) - 1, -1, -1), found, strict=True):
                position = f"{_SCANNED}{cursor}" if cursor and not left else None
                yield Thing(position, native_key(one.key.item), one)


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
        pages[owner].pages.append((key, _seen(page, item), units(item_bytes(item))))
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


async def _delete(work: Work, sessions: AsyncSessionRepository, key: SessionKey) -> Done:
    """Delete a session, expired or not, and say what there was."""
    table, name = sessions._table, session_name(key.item, sessions.primary_key_name)
    item = await table.get(key)
    if item is None or not item.version:
        return Done(Outcome(session=name, action="skipped", detail="there is no such session"))
    if isinstance(item, CommunityItem):
        told = Outcome(session=name, action="deleted", messages=len(item.natives), pages=0)
    else:
        count = item.pages - item.first_page
        told = Outcome(session=name, action="deleted", messages=item.message_count, pages=count)
    if work.run.dry_run:
        return Done(told.model_copy(update={"write_units": await _cost(sessions, key, item)}))
    await sessions._writer.delete(key, None)
    return Done(told)


async def _cost(sessions: AsyncSessionRepository, key: SessionKey, item: State) -> int:
    table = sessions._table
    size = key.size + item_bytes({**item.own, **item.attributes(table.names)})
    if isinstance(item, CommunityItem):
        return units(size)
    numbers = range(item.floor, max(item.pages, item.reach) + 1)
    there = await table.get_pages(key, item.generation, numbers, consistent=False, whole=True)
    pages = ({**key.page(item.generation, n), **page.attributes(table.names)} for n, page in there.items())
    return delete_units(size, pages, len(numbers))


async def _sweep(work: Work, sessions: AsyncSessionRepository, found: Found, action: Action, began_before: int) -> Done:
    """Remove those of the pages that nobody can have; the session item is looked at after they were found."""
    table = sessions._table
    item = await table.get(found.key)
    size = item_bytes(item.attributes(table.names)) if isinstance(item, CommunityItem) else 0
    dead = [one for one in found.pages if is_unreachable(one[1], item, began_before, size)]
    if not dead:
        return Done(None)
    name = session_name(found.key.item, sessions.primary_key_name)
    told = Outcome(session=name, action=action, pages=len(dead), detail="pages of no session")
    if work.run.dry_run:
        return Done(told.model_copy(update={"write_units": sum(cost for _, _, cost in dead)}))
    removed = await in_parallel(lambda one: table.discard(found.key, one[0], one[1].cut), dead)
    return Done(told.model_copy(update={"pages": sum(removed)}) if any(removed) else None)


async def _settle(work: Work, sessions: AsyncSessionRepository, found: Found) -> Done:
    """Let a write end that has stopped half-way; one that is going on is left alone."""
    steps, name = sessions._pages.steps, session_name(found.key.item, sessions.primary_key_name)
    before = await steps.table.get(found.key)
    if before is None or before.intent is None:
        return Done(None)
    if before.intent.kind != "delete" and before.intent.lease > steps.clock():
        return Done(Outcome(session=name, action="skipped", detail="it is being written"))
    if not work.run.dry_run:
        try:
            await steps.await_idle(found.key, b"")
        except SessionBusyError as error:
            return Done(Outcome(session=name, action="skipped", detail=str(error)))
    told = f"a write ({before.intent.kind}) that stopped half-way"
    return Done(Outcome(session=name, action="removed", detail=told, write_units=2 if work.run.dry_run else None))
