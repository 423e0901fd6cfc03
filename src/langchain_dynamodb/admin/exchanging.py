"""Sessions to a file of JSON Lines, and from it."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
from collections.abc import AsyncGenerator
from functools import partial
from typing import BinaryIO

from .._items.attributes import check_own_name
from .._items.keys import Session
from .._store.off_loop import off_loop_if_many
from .._store.whole_sessions import check_decodable, read_whole
from ..errors import CorruptSessionError, InvalidInputError, SessionNotFoundError
from ..repository import AsyncSessionRepository
from .choosing import chosen
from .lines import Stored, read_line, write_line
from .placing import bring
from .reports import Outcome, Summary
from .run import Run
from .running import Done, Thing, Work, working


async def export_sessions(repository: AsyncSessionRepository, output: BinaryIO, run: Run | None = None) -> Summary:
    """Write each session as one line of JSON, exactly (docs/howto/command-line.md describes it).

    Each is one snapshot, in memory while it is written. To go on after an interruption takes the same `output`, which
    is cut back to where that was. Sessions that are encrypted are written in the clear. One with a message that cannot
    be decoded here (of a class that is not registered) is written as it is, and told as ``damaged``.
    """
    run = run or Run()
    async with working("export", repository, run, file=_path(output)) as work:
        source = work.metered(repository)
        if run.resume is not None:
            _go_on(output, work)

        async def export(session: Session) -> Done:
            key = source._key(session)
            whole = await read_whole(source._pages.reader, key)
            name = work.name(key)
            if whole is None:
                if run.sessions:
                    raise SessionNotFoundError(f"there is no session {key} to export")
                return Done(Outcome(session=name, action="skipped", detail="deleted meanwhile"))
            told = Outcome(session=name, action="exported", messages=len(whole.lines))
            try:
                await check_decodable(key, whole.lines)
            except CorruptSessionError as error:
                told = told.model_copy(update={"action": "damaged", "detail": f"exported as it is: {error}"})
            writing = partial(write_line, key, whole, source.primary_key_name)
            return Done(told, await off_loop_if_many(whole.lines, writing))

        await work.each(chosen(work, source), export, output.write)
        output.flush()
        return work.summary


def _path(output: BinaryIO) -> str | None:
    name = getattr(output, "name", None)
    return os.path.abspath(name) if isinstance(name, str) else None


def _go_on(output: BinaryIO, work: Work) -> None:
    """Cut off what was written after the run has noted how far it was."""

    def flush() -> int:
        output.flush()
        return output.tell()

    try:
        if (there := output.seek(0, io.SEEK_END)) < work.output:
            raise InvalidInputError(
                f"the output has {there} bytes, and {work.output} were written before the run stopped: it is another "
                "file, or was changed; export all anew, without the file of --resume"
            )
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
    async with working("import", repository, run, walks=False, file=digest(lines, run)) as work:
        to = work.target(repository)
        taken = (*to._table.names, to.primary_key_name)

        async def place(stored: Stored) -> Done:
            session, whole = stored
            for attribute in whole.own or {}:
                check_own_name(attribute, (*taken, *to._key(session).item))
            name = work.name(to._key(session))
            if whole.expires is not None and whole.expires <= to._reader.clock() // 1_000_000:
                return Done(Outcome(session=name, action="skipped", detail="has expired"))
            await check_decodable(to._key(session), whole.lines)
            return Done(await bring(to, name, whole, begun="imported", dry_run=run.dry_run))

        await work.each(stored_sessions(work, lines), place)
        return work.summary


def digest(lines: BinaryIO, run: Run) -> str | None:
    """What tells a file from others, for a run that can be gone on with; raises `InvalidInputError`."""
    if run.resume is None:
        return None
    read = hashlib.sha256()
    try:
        begin = lines.tell()
        while data := lines.read(1 << 20):
            read.update(data)
        lines.seek(begin)
    except (OSError, io.UnsupportedOperation) as error:
        raise InvalidInputError("resume needs a file, not what another program prints: it is read again") from error
    return read.hexdigest()


async def stored_sessions(work: Work, lines: BinaryIO) -> AsyncGenerator[Thing[Stored], None]:
    """The sessions of a file that `export_sessions` made, as far as they are this run's to look at."""
    run, begin = work.run, int(work.position or 0)
    if run.sessions:
        raise InvalidInputError("the sessions of the file are taken, and none can be named: give a pattern (match)")
    with contextlib.suppress(OSError, io.UnsupportedOperation):
        work.size = os.fstat(lines.fileno()).st_size
    for number, line in enumerate(lines):
        work.read += len(line)
        if number < begin or number % run.segments != run.part or not line.strip():
            continue
        stored = await off_loop_if_many([line], partial(read_line, line, f"line {number + 1}"))
        if work.wants(stored.session):
            yield Thing(str(number + 1), stored.session, stored)
