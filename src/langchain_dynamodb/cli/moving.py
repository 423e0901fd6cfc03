"""Commands that bring sessions elsewhere, or into another format."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import click

from .._store.options import ItemFormat
from ..admin import Outcome, Run, Summary, copy_session, export_sessions, import_sessions, migrate
from ..admin.foreign import SourceFormat
from ..repository import AsyncSessionRepository
from .exits import GOOD
from .names import parse_session, typed
from .options import CONNECTION, OTHER_TABLE, OVER_ALL, SESSIONS, WRITING, options
from .runs import all_named, run, run_over
from .screen import Screen, outcome_line, private
from .settings import USUAL_NAMES, Settings, elsewhere


@click.command("export")
@click.option("--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help="File; default: standard output.")
@options(SESSIONS, OVER_ALL, CONNECTION)
def export_command(settings: Settings, chosen: dict[str, Any], sessions: tuple[str, ...], output: Path | None) -> int:
    """Write sessions as JSON Lines, exactly; import reads them. Encrypted sessions are written in the clear."""

    async def work(source: AsyncSessionRepository, made: Run) -> Summary:
        with _opened(output, chosen["resume"]) as file:
            return await export_sessions(source, file, made)

    return run_over(settings, chosen, work, all_named(sessions), to_stderr=output is None)


@contextlib.contextmanager
def _opened(output: Path | None, resume: Path | None) -> Iterator[BinaryIO]:
    """The file, kept as it is where a run goes on. One of before that is not empty stays; a refused run leaves none."""
    if output is None:
        if resume is not None:
            raise click.UsageError("--resume needs --output: what was printed cannot be gone on with")
        yield sys.stdout.buffer
        return
    if resume is not None and resume.absolute() == output.absolute():
        raise click.UsageError(f"--output and --resume are both {output}: give two files")
    goes_on = resume is not None and resume.exists()
    if goes_on and not output.exists():
        raise click.UsageError(f"{output} is not there any more: remove {resume} to export all anew")
    if output.is_file() and output.stat().st_size and not goes_on:
        raise click.UsageError(f"{output} is there already: give another file for this export")
    try:
        with open(output, "r+b" if goes_on else "wb", opener=private) as file:
            yield file
    except BaseException:
        if output.is_file() and not output.stat().st_size and not (resume and resume.exists()):
            output.unlink()
        raise


@click.command("import")
@click.argument("file", type=click.File("rb"))
@options(WRITING, OVER_ALL, CONNECTION)
def import_command(settings: Settings, chosen: dict[str, Any], file: BinaryIO) -> int:
    """Write the sessions of a file that export made; what is there already stays. A second time changes nothing."""

    async def work(to: AsyncSessionRepository, made: Run) -> Summary:
        return await import_sessions(to, file, made)

    return run_over(settings, chosen, work)


@click.command("copy")
@click.argument("session")
@click.argument("new")
@click.option("--keep", type=click.IntRange(min=0), help="Only so many messages from the beginning.")
@options(WRITING, CONNECTION)
def copy_command(settings: Settings, chosen: dict[str, Any], session: str, new: str, keep: int | None) -> int:
    """Begin the session NEW as a copy of SESSION: all of its messages, or the first --keep of them.

    Exit code 1 where there is no SESSION, or a session NEW already.
    """

    async def work() -> Outcome:
        async with settings.open() as sessions:
            source, to = await typed(sessions, [parse_session(session), parse_session(new)])
            return await copy_session(sessions, source, to, keep=keep, **chosen)

    outcome = run(work)
    screen = Screen(as_json=settings.json, verbose=False)
    screen.line(outcome) if settings.json else screen.say(outcome_line(outcome))
    return GOOD


@click.command("migrate")
@click.option("--to-table", help="Copy all sessions into this table, instead of converting them in place.")
@click.option("--to-format", type=click.Choice(["pages", "community"]), default="pages", help="What they become.")
@click.option(
    "--from-format",
    type=click.Choice(["javascript", "llama-index"]),
    help="The table is one of @langchain/community (JavaScript) or of llama-index; needs --to-table.",
)
@click.option("--delete-source", is_flag=True, help="Delete each session here once all of it is there.")
@click.option("--plain", is_flag=True, help="Let encrypted sessions become plain text with --to-format community.")
@options(SESSIONS, WRITING, OVER_ALL, OTHER_TABLE, CONNECTION)
def migrate_command(
    settings: Settings,
    chosen: dict[str, Any],
    sessions: tuple[str, ...],
    to_table: str | None,
    to_format: ItemFormat,
    from_format: SourceFormat | None,
    delete_source: bool,
    plain: bool,
    **there: Any,
) -> int:
    """Convert the sessions of langchain_community, in place or into another table; back with --to-format community.

    Users may go on meanwhile, and a second run changes nothing (docs/howto/migrate-a-table.md).
    """
    repository = settings.of_format(from_format).open()
    names = USUAL_NAMES if from_format else {}
    other = elsewhere(repository, to_table, item_format=to_format, **there, **names)
    options = {"back": other is None and to_format == "community", "delete_source": delete_source, "plain": plain}

    async def work(source: AsyncSessionRepository, made: Run) -> Summary:
        async with other or contextlib.nullcontext() as to:
            return await migrate(source, made, to=to, source_format=from_format, **options)

    return run_over(settings, chosen, work, all_named(sessions), repository=repository)
