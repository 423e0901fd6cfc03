"""Sessions to a file of JSON Lines, and from it."""

from __future__ import annotations

import io
from collections.abc import AsyncGenerator
from typing import BinaryIO

from .._items.keys import Session
from .._store.listing import session_name
from .._store.whole_sessions import read_whole
from ..errors import InvalidInputError, SessionNotFoundError
from ..repository import AsyncSessionRepository
from .lines import Stored, read_line, write_line
from .placing import bring
from .reports import Outcome, Summary
from .running import Done, Run, Thing, Work, chosen, working


async def export_sessions(repository: AsyncSessionRepository, output: BinaryIO, run: Run | None = None) -> Summary:
    """Write each session as one line of JSON, exactly (docs/howto/command-line.md describes it).

    Each is one snapshot, in memory while it is written. To go on after an interruption takes an `output` that can be
    cut back to where that was. Sessions that are encrypted are written in the clear.
    """
    run = run or Run()
    async with working("export", repository, run) as work:
        source = work.metered(repository)
        if run.resume is not None:
            _go_on(output, work)

        async def export(session: Session) -> Done:
            key = source._key(session)
            whole = await read_whole(source._pages.reader, key)
            name = session_name(key.item, source.primary_key_name)
            if whole is None:
                if run.sessions:
                    raise SessionNotFoundError(f"there is no session {key} to export")
                return Done(Outcome(session=name, action="skipped", detail="deleted meanwhile"))
            line = write_line(key, whole, source.primary_key_name)
            return Done(Outcome(session=name, action="exported", messages=len(whole.lines)), line)

        await work.each(chosen(work, source), export, output.write)
        output.flush()
        return work.summary


def _go_on(output: BinaryIO, work: Work) -> None:
    """Cut off what was written after the run has noted how far it was."""

    def flush() -> int:
        output.flush()
        return output.tell()

    try:
        output.truncate(work.output)
        output.seek(work.output)
    except (OSError, io.UnsupportedOperation) as error:
        raise InvalidInputError(
            "an export can only be gone on with in a file: give --output, or no --resume"
        ) from error
    work.flush = flush


async def import_sessions(repository: AsyncSessionRepository, lines: BinaryIO, run: Run | None = None) -> Summary:
    """Write the sessions of a file that `export_sessions` made.

    Each is begun in one commit, with its messages, metadata, attributes, times and expiry; versions are new. Where
    there is one already, what it lacks at the end is appended; one that begins otherwise stays as it is
    (``different``), and one that has expired since is skipped. So a second import changes nothing. The file is read
    from its beginning. Of `segments`, each machine takes the lines whose number leaves its own.

    Raises `InvalidInputError` for a line that is none, before anything of it is written; what came before stays.
    """
    run = run or Run()
    async with working("import", repository, run, walks=False) as work:
        to = work.metered(repository)

        async def place(stored: Stored) -> Done:
            session, whole = stored
            name = session_name(to._key(session).item, to.primary_key_name)
            if whole.expires is not None and whole.expires <= to._reader.clock() // 1_000_000:
                return Done(Outcome(session=name, action="skipped", detail="has expired"))
            return Done(await bring(to, name, whole, begun="imported", dry_run=run.dry_run))

        await work.each(stored_sessions(work, lines), place)
        return work.summary


async def stored_sessions(work: Work, lines: BinaryIO) -> AsyncGenerator[Thing[Stored], None]:
    """The sessions of a file that `export_sessions` made, as far as they are this run's to look at."""
    run, begin = work.run, int(work.position or 0)
    for number, line in enumerate(lines):
        if number < begin or number % run.segments != run.segment or not line.strip():
            continue
        stored = read_line(line, f"line {number + 1}")
        if run.wants(stored.session):
            yield Thing(str(number + 1), stored.session, stored)
