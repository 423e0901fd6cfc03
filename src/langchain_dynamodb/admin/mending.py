"""Repairs sessions, and brings them under another key."""

from __future__ import annotations

from .._checks import check_flag
from .._items.community_item import CommunityItem, State
from .._items.keys import Session, SessionKey
from .._items.session_items import SessionItem, new_op
from .._protocol import rewrite
from .._protocol.expiry import NO_EXPIRY
from .._store.off_loop import off_loop_if_many
from .._store.repairing import Repairer
from .._store.whole_sessions import Placer, check_decodable, read_whole
from ..errors import CorruptSessionError, InvalidInputError, SessionNotFoundError, SettingsError
from ..models import RepairReport
from ..repository import AsyncSessionRepository
from .choosing import chosen
from .estimates import rewrite_units, units
from .foretelling import community_units, pages_units, stored_size
from .reports import Outcome, Summary
from .run import Run, check_repository
from .running import Done, working


async def repair_sessions(
    repository: AsyncSessionRepository, run: Run | None = None, *, drop_undecodable: bool = False
) -> Summary:
    """`repair` for the sessions that are named or that match: ``repaired``, with a report, or ``unchanged``.

    One in which something is left that cannot be decoded is ``damaged``: `drop_undecodable` takes it out.
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
            name = work.name(key)
            told = None if _is_empty(report) else report
            if not (told and run.dry_run) and (left := await _unreadable(sessions, key)):
                advice = "" if drop_undecodable else " (--drop-undecodable takes out what cannot be decoded)"
                return Done(Outcome(session=name, action="damaged", repair=told, detail=left + advice))
            if told is None:
                return Done(Outcome(session=name, action="unchanged"))
            most = None
            if run.dry_run and isinstance(before, SessionItem):
                old = await pages_units(sessions, key, before)
                most = 2 * old + 4 * units(stored_size(sessions, key, before))
            return Done(Outcome(session=name, action="repaired", write_units=most, repair=report))

        await work.each(chosen(work, sessions), mend)
        return work.summary


async def _unreadable(sessions: AsyncSessionRepository, key: SessionKey) -> str | None:
    """Why the session, as it is now, cannot be read; None where it can."""
    try:
        whole = await read_whole(sessions._pages.reader, key)
        await check_decodable(key, whole.lines if whole else [])
    except CorruptSessionError as error:
        return str(error)
    return None


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
    check_repository(repository)
    check_flag("plain", plain)
    check_flag("everything", everything)
    if repository._options.encryption is None:
        raise SettingsError("reencrypt needs the keyring: make the repository with encryption=")
    async with working("reencrypt", repository, run, plain=plain, everything=everything) as work:
        sessions = work.metered(repository)

        async def renew(session: Session) -> Done:
            key = sessions._key(session)
            name = work.name(key)
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
                sessions._pages.steps.check_home(key, item)
                cost = await _cost(sessions, key, item, plain)
                return Done(Outcome(session=name, action="reencrypted", write_units=cost))
            if isinstance(item, CommunityItem):  # whose conversion encrypts it
                await Placer(sessions._pages).convert(key)
                return Done(Outcome(session=name, action="reencrypted", messages=len(item.natives)))
            await sessions.reencrypt(session, plain=plain)
            return Done(Outcome(session=name, action="reencrypted", messages=item.message_count))

        await work.each(chosen(work, sessions), renew)
        return work.summary


async def _cost(sessions: AsyncSessionRepository, key: SessionKey, item: State, plain: bool) -> int:
    steps, table = sessions._pages.steps, sessions._table
    if isinstance(item, CommunityItem):
        whole = await read_whole(sessions._pages.reader, key)
        return await community_units(sessions, key, item, whole.lines if whole else [])
    opened = await steps.vault.unlocked(key, item)
    lines = await sessions._pages.reader.lines(key, opened)
    to = steps.to(key, opened) if plain else await steps.destination(key, None)
    old = await pages_units(sessions, key, item)

    def cost() -> int:
        state = rewrite.decide(lines, opened, to, new_op(), steps.clock(), NO_EXPIRY)
        return rewrite_units(key, item, state, table, old)

    return await off_loop_if_many(lines, cost)
