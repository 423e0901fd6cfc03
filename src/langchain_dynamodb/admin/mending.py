"""Repairs sessions, and brings them under another key."""

from __future__ import annotations

from .._checks import check_flag
from .._dynamodb.attribute_values import item_bytes
from .._items.community_item import CommunityItem
from .._items.keys import Session, SessionKey
from .._items.session_items import SessionItem, new_op
from .._protocol import rewrite
from .._protocol.expiry import NO_EXPIRY
from .._store.listing import session_name
from .._store.repairing import Repairer
from ..errors import InvalidInputError, SessionNotFoundError, SettingsError
from ..models import RepairReport
from ..repository import AsyncSessionRepository
from .estimates import rewrite_units, units
from .reports import Outcome, Summary
from .running import Done, Run, chosen, working


async def repair_sessions(
    repository: AsyncSessionRepository, run: Run | None = None, *, drop_undecodable: bool = False
) -> Summary:
    """`repair` for the sessions that are named or that match: ``repaired``, with a report, or ``unchanged``.

    What is missing is given up for good, so sessions must be chosen (``match="*"`` is all of them); look first by a dry
    run, whose write units are the most it can take.
    """
    run = run or Run()
    check_flag("drop_undecodable", drop_undecodable)
    if not run.sessions and run.match is None:
        raise InvalidInputError('repair which sessions? Name them, or give a pattern: match="*" is all of them')
    async with working("repair", repository, run, drop_undecodable=drop_undecodable) as work:
        sessions = work.metered(repository)

        async def mend(session: Session) -> Done:
            key = sessions._key(session)
            before = await sessions._reader.item(key)
            if run.dry_run:
                report = await Repairer(sessions._pages).examine(key, drop_undecodable=drop_undecodable)
            else:
                report = await sessions.repair(session, drop_undecodable=drop_undecodable)
            name = session_name(key.item, sessions.primary_key_name)
            changed = bool(before and report.version != before.version) or not _is_empty(report)
            if not changed:
                return Done(Outcome(session=name, action="unchanged"))
            most = None
            if run.dry_run and isinstance(before, SessionItem):
                old = await _pages_units(sessions, key, before)
                most = 2 * old + 4 * units(_size(sessions, key, before))
            return Done(Outcome(session=name, action="repaired", write_units=most, repair=report))

        await work.each(chosen(work, sessions), mend)
        return work.summary


def _is_empty(report: RepairReport) -> bool:
    return not (report.missing or report.brought_in or report.removed)


async def reencrypt_sessions(
    repository: AsyncSessionRepository, run: Run | None = None, *, plain: bool = False, everything: bool = False
) -> Summary:
    """`reencrypt` for all sessions that are not under the present key of the repository's keyring.

    Plain ones are encrypted, and those under an ``old`` key get a new one; with `everything` the others too. With
    `plain` all that are encrypted are decrypted. Items of langchain_community are converted on the way. So a second
    run changes nothing, but with `everything`.
    """
    run = run or Run()
    check_flag("plain", plain)
    check_flag("everything", everything)
    if repository._options.encryption is None:
        raise SettingsError("reencrypt needs the keyring: make the repository with encryption=")
    async with working("reencrypt", repository, run, plain=plain, everything=everything) as work:
        sessions = work.metered(repository)

        async def renew(session: Session) -> Done:
            key = sessions._key(session)
            name = session_name(key.item, sessions.primary_key_name)
            item = await sessions._reader.item(key)
            if item is None or not item.version:
                if run.sessions:
                    raise SessionNotFoundError(f"there is no session {key}")
                return Done(Outcome(session=name, action="skipped", detail="deleted meanwhile"))
            if isinstance(item, CommunityItem):
                due = not plain
            elif plain:
                due = item.cipher is not None
            else:
                due = everything or item.cipher is None or await sessions._vault.is_of_old_key(key, item)
            if not due:
                return Done(Outcome(session=name, action="unchanged"))
            if run.dry_run:
                cost = await _cost(sessions, key, item, plain) if isinstance(item, SessionItem) else None
                return Done(Outcome(session=name, action="reencrypted", write_units=cost))
            await sessions.reencrypt(session, plain=plain)
            count = item.message_count if isinstance(item, SessionItem) else len(item.natives)
            return Done(Outcome(session=name, action="reencrypted", messages=count))

        await work.each(chosen(work, sessions), renew)
        return work.summary


def _size(sessions: AsyncSessionRepository, key: SessionKey, item: SessionItem) -> int:
    return key.size + item_bytes({**item.own, **item.attributes(sessions._table.names)})


async def _cost(sessions: AsyncSessionRepository, key: SessionKey, item: SessionItem, plain: bool) -> int:
    steps, table = sessions._pages.steps, sessions._table
    opened = await steps.vault.unlocked(key, item)
    lines = await sessions._pages.reader.lines(key, opened)
    to = steps.to(key, opened) if plain else await steps.destination(key, None)
    state = rewrite.decide(lines, opened, to, new_op(), steps.clock(), NO_EXPIRY)
    return rewrite_units(key, item, state, table, await _pages_units(sessions, key, item))


async def _pages_units(sessions: AsyncSessionRepository, key: SessionKey, item: SessionItem) -> int:
    """Of deleting its pages, or putting them anew."""
    table, numbers = sessions._table, range(item.floor, item.pages)
    there = await table.get_pages(key, item.generation, numbers, consistent=False, whole=True)
    stored = ({**key.page(item.generation, n), **page.attributes(table.names)} for n, page in there.items())
    return sum(units(item_bytes(one)) for one in stored)
