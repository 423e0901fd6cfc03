"""Commands that delete sessions, and what is left of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .._protocol.unreachable import GRACE_SECONDS
from ..admin import Run, Summary, delete_sessions, vacuum
from ..repository import AsyncSessionRepository
from .options import CONNECTION, FROM_FILE, OVER_ALL, SESSIONS, WRITING, options
from .runs import all_named, make_sure, run_over
from .settings import Settings


@click.command("delete")
@FROM_FILE
@click.option("--search-pages", is_flag=True, help="Scan the table for what is left of sessions whose item was lost.")
@click.option(
    "--report", type=click.Path(dir_okay=False, path_type=Path), help="File for what was deleted, as JSON Lines."
)
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@options(SESSIONS, WRITING, OVER_ALL, CONNECTION)
def delete_command(
    settings: Settings,
    chosen: dict[str, Any],
    sessions: tuple[str, ...],
    file: Path | None,
    search_pages: bool,
    report: Path | None,
    yes: bool,
) -> int:
    """Delete sessions: those named, those of a file, or those that --match.

    With --match or --search-pages the whole table is scanned, so that pages whose session item was lost go too.
    Large data in a --bucket goes with its session.
    """
    named = all_named(sessions, file)
    if file and not named:
        raise click.UsageError(f"--from-file {file} names no session.")
    if not named and chosen["match"] is None:
        raise click.UsageError("Name sessions, or give --from-file or --match ('*' is all).")
    repository = settings.open()
    which = f"the sessions that match {chosen['match']!r}" if chosen["match"] else f"{len(named)} session(s)"
    make_sure(f"Delete {which} in table {repository.table_name!r} for good?", yes, chosen["dry_run"])

    async def work(source: AsyncSessionRepository, made: Run) -> Summary:
        return await delete_sessions(source, made, search_pages=search_pages)

    return run_over(settings, chosen, work, named, repository=repository, report=report)


@click.command("vacuum")
@click.option(
    "--older-than",
    type=click.IntRange(min=0),
    default=GRACE_SECONDS,
    show_default=True,
    help="Leave pages of sessions that began within so many seconds.",
)
@options(WRITING, OVER_ALL, CONNECTION)
def vacuum_command(settings: Settings, chosen: dict[str, Any], older_than: int) -> int:
    """Remove pages that no session can have any more, and end writes that stopped half-way. Scans the table.

    Objects of the --bucket that no page refers to go once they are a day old.
    """

    async def work(source: AsyncSessionRepository, made: Run) -> Summary:
        return await vacuum(source, made, older_than=older_than)

    return run_over(settings, chosen, work)
