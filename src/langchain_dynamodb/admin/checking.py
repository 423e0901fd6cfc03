"""Reads what is there: whether each session is whole, and the same as elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, BinaryIO

from .._items.keys import Session
from .._store.off_loop import off_loop_if_many
from .._store.whole_sessions import check_decodable, read_whole
from ..codec.long_lines import Line
from ..errors import CorruptSessionError, EncryptionError, InvalidInputError, SessionNotFoundError
from ..repository import AsyncSessionRepository
from .choosing import chosen
from .exchanging import digest, stored_sessions
from .lines import Stored
from .placing import count_same
from .reports import Outcome, Summary
from .run import Run
from .running import Done, working


async def verify(
    repository: AsyncSessionRepository,
    run: Run | None = None,
    *,
    to: AsyncSessionRepository | None = None,
    against: BinaryIO | None = None,
) -> Summary:
    """Read every session wholly: ``verified``, or ``damaged`` with what is wrong. Nothing is written.

    With `to`, another repository, each session there must hold the same messages, with perhaps more after them; else
    it is ``different``. With `against`, a file that `export_sessions` made, the sessions in that are looked at, and
    must hold what they held then, with perhaps more after it.
    """
    run = run or Run()
    if to is not None and against is not None:
        raise InvalidInputError("verify to= another repository or against= a file: give one of them")
    file = None if against is None else digest(against, run)
    async with working("verify", repository, run, walks=against is None, to=to, file=file) as work:
        source, other = work.metered(repository), None if to is None else work.metered(to)

        async def look(session: Session, expected: Sequence[Line] | None = None, expires: int | None = None) -> Done:
            key = source._key(session)
            name = work.name(key)
            try:
                whole = await read_whole(source._pages.reader, key)
                lines = [] if whole is None else whole.lines
                await check_decodable(key, lines)
            except (CorruptSessionError, EncryptionError) as error:
                return Done(Outcome(session=name, action="damaged", detail=f"{type(error).__name__}: {error}"))
            if whole is None and expected is None:
                if run.sessions:
                    raise SessionNotFoundError(f"there is no session {key} to verify")
                return Done(Outcome(session=name, action="skipped", detail="deleted meanwhile"))
            if whole is None and expires is not None and expires <= source._reader.clock() // 1_000_000:
                return Done(Outcome(session=name, action="skipped", detail="has expired since"))
            wrong = await _lacks(None if whole is None else lines, expected or [], "this table")
            if other is not None:
                wrong = await _elsewhere(other, name, lines)
            if wrong:
                return Done(Outcome(session=name, action="different", messages=len(lines), detail=wrong))
            return Done(Outcome(session=name, action="verified", messages=len(lines)))

        async def compare(stored: Stored) -> Done:
            return await look(stored.session, stored.whole.lines, stored.whole.expires)

        if against is not None:
            await work.each(stored_sessions(work, against), compare)
        else:
            await work.each(chosen(work, source), look)
        return work.summary


async def _elsewhere(other: AsyncSessionRepository, name: str | dict[str, Any], lines: Sequence[Line]) -> str | None:
    there = await read_whole(other._pages.reader, other._key(name))
    return await _lacks(None if there is None else there.lines, lines, f"table {other.table_name!r}")


async def _lacks(there: Sequence[Line] | None, expected: Sequence[Line], where: str) -> str | None:
    """What is wrong where not all that is expected is there, from the beginning on; None is a session that is not."""
    if there is None:
        return f"{where} has no such session"
    same = await off_loop_if_many(there, partial(count_same, expected, there))
    if same == len(expected):
        return None
    if same == len(there):
        return f"{where} has {same} of {len(expected)} messages"
    return f"in {where} message {same} is another one"
