"""Commands that bring sessions elsewhere, or into another format."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Any, BinaryIO

import click

from ..admin import Outcome, Run, Summary, copy_session, export_sessions, import_sessions, migrate
from ..admin.foreign import SourceFormat
from ..errors import SessionNotFoundError, VersionConflictError
from .exits import BAD, GOOD
from .names import parse_session
from .options import CONNECTION, OTHER_TABLE, OVER_ALL, SESSIONS, WRITING, options
from .runs import all_named, other_table, run, run_over
from .screen import Screen, error_line, outcome_line
from .settings import Settings


@click.command("export")
@click.option("--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help="File; default: standard output.")
@options(SESSIONS, OVER_ALL, CONNECTION)
def export_command(settings: Settings, chosen: dict[str, Any], sessions: tuple[str, ...], output: Path | None) -> int:
    """Write sessions as JSON Lines, exactly; import reads them. Encrypted sessions are written in the clear."""

    async def work(made: Run) -> Summary:
        async with settings.open() as source:
            with contextlib.ExitStack() as stack:
                return await export_sessions(source, _opened(stack, output, chosen["resume"]), made)

    return run_over(settings, chosen, work, all_named(sessions), to_stderr=output is None)


def _opened(stack: contextlib.ExitStack, output: Path | None, resume: Path | None) -> BinaryIO:
    """The file, kept as it is where a run goes on."""
    if output is None:
        if resume is not None:
            raise click.UsageError("--resume needs --output: what was printed cannot be gone on with")
        return sys.stdout.buffer
    goes_on = resume is not None and resume.exists() and output.exists()
    return stack.enter_context(output.open("r+b" if goes_on else "wb"))


@click.command("import")
@click.argument("file", type=click.File("rb"))
@options(WRITING, OVER_ALL, CONNECTION)
def import_command(settings: Settings, chosen: dict[str, Any], file: BinaryIO) -> int:
    """Write the sessions of a file that export made; what is there already stays. A second time changes nothing."""

    async def work(made: Run) -> Summary:
        async with settings.open() as to:
            return await import_sessions(to, file, made)

    return run_over(settings, chosen, work)


@click.command("copy")
@click.argument("session")
@click.argument("new")
@click.option("--keep", type=click.IntRange(min=0), help="Only so many messages from the beginning.")
@click.option("--dry-run", is_flag=True, help="Write nothing; tell what would be done, and its cost.")
@options(CONNECTION)
def copy_command(settings: Settings, chosen: dict[str, Any], session: str, new: str, keep: int | None) -> int:
    """Begin the session NEW as a copy of SESSION: all of its messages, or the first --keep of them.

    Exit code 1 where there is no SESSION, or a session NEW already.
    """

    async def work() -> Outcome:
        async with settings.open() as sessions:
            return await copy_session(
                sessions, parse_session(session), parse_session(new), keep=keep, dry_run=chosen["dry_run"]
            )

    try:
        outcome: Outcome = run(work)
    except (SessionNotFoundError, VersionConflictError) as error:
        click.echo(f"Error: {error_line(error)}", err=True)
        return BAD
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
@options(SESSIONS, WRITING, OVER_ALL, OTHER_TABLE, CONNECTION)
def migrate_command(
    settings: Settings,
    chosen: dict[str, Any],
    sessions: tuple[str, ...],
    to_table: str | None,
    to_format: str,
    from_format: SourceFormat | None,
    delete_source: bool,
    **elsewhere: Any,
) -> int:
    """Convert the sessions of langchain_community, in place or into another table; back with --to-format community.

    Users may go on meanwhile, and a second run changes nothing (docs/howto/migrate-a-table.md).
    """
    here, there = settings.of_format(from_format), other_table(settings, elsewhere)
    if from_format is not None:
        there = there.with_default_names()

    async def work(made: Run) -> Summary:
        async with contextlib.AsyncExitStack() as stack:
            source = await stack.enter_async_context(here.open())
            to = None
            if to_table is not None:
                to = await stack.enter_async_context(there.open(to_table, item_format=to_format))
            back = to is None and to_format == "community"
            return await migrate(source, made, to=to, back=back, delete_source=delete_source, source_format=from_format)

    return run_over(settings, chosen, work, all_named(sessions))
