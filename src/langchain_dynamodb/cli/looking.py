"""Commands that change nothing."""

from __future__ import annotations

import contextlib
from typing import Any, BinaryIO

import click

from .. import cost as cost_model
from .._store.listing import Listing
from ..admin import Run, Summary, doctor, verify
from ..models import ChatSession, SessionSummary
from ..repository import AsyncSessionRepository
from ..surrogates import mended
from .exits import BAD, GOOD, Bad
from .names import parse_session, typed, typed_partition
from .options import CONNECTION, OTHER_TABLE, OVER_ALL, SESSIONS, options
from .runs import all_named, run, run_over
from .screen import Screen, error_line, name_line
from .settings import Settings, elsewhere


@click.command("doctor")
@options(CONNECTION)
def doctor_command(settings: Settings, chosen: dict[str, Any]) -> int:
    """Check table, keys, TTL, indexes, rights, bucket, clock and versions; changes nothing.

    Exit code 1 where something is bad.
    """

    async def look() -> Any:
        async with settings.open() as sessions:
            return await doctor(sessions)

    screen = Screen(as_json=settings.json, verbose=False)
    checks = run(look)
    for check in checks:
        screen.line(check) if settings.json else screen.say(f"{check.state:<8} {check.name}: {error_line(check.told)}")
    return BAD if any(check.state == "bad" for check in checks) else GOOD


@click.command("list")
@click.option(
    "--match", metavar="GLOB", help="Only sessions whose id (or key: 'ann/*') matches, as in a shell ([*]: a star)."
)
@click.option(
    "--partition",
    metavar="VALUE",
    help="Only those with this value of the table's (or index's) hash key; JSON where that has several attributes.",
)
@click.option("--index", help="Name of the index to list by; newest first.")
@click.option("--limit", type=click.IntRange(min=1), help="So many at most.")
@click.option("--segments", type=int, default=1, help="Parts of the table, for so many machines.")
@click.option("--segment", type=int, help="Which of them this one takes, from 0 on.")
@options(CONNECTION)
def list_command(
    settings: Settings,
    chosen: dict[str, Any],
    partition: str | None,
    index: str | None,
    limit: int | None,
) -> int:
    """List sessions, without their messages."""
    screen = Screen(as_json=settings.json, verbose=False)
    made = Run(match=chosen["match"], segments=chosen["segments"], segment=chosen["segment"])

    async def look() -> None:
        shown = 0
        async with settings.open() as sessions:
            fixed = None if partition is None else await typed_partition(sessions, partition, index)
            whole = Listing(fixed, index, limit=None if made.match else limit, segments=made.segments,
                            segment=None if partition else made.segment)  # fmt: skip
            async with contextlib.aclosing(sessions._lister.list(whole)) as summaries:
                async for summary in summaries:
                    if made.wants(summary.session):
                        screen.line(summary) if settings.json else screen.say(_summary(summary))
                        shown += 1
                        if shown == limit:
                            return

    run(look)
    return GOOD


def _summary(summary: SessionSummary) -> str:
    if summary.error:
        return f"{name_line(summary.session)}  damaged: {error_line(summary.error)}"
    if summary.version is None:
        return f"{name_line(summary.session)}  in the format of langchain_community"
    updated = summary.updated_at.isoformat(timespec="seconds") if summary.updated_at else "?"
    return f"{name_line(summary.session)}  {summary.message_count} messages  {updated}"


@click.command("show")
@click.argument("session")
@click.option("--limit", type=click.IntRange(min=0), help="Only the newest messages.")
@click.option("--skip-missing-pages", is_flag=True, help="Show what is there of a damaged session.")
@options(CONNECTION)
def show_command(
    settings: Settings, chosen: dict[str, Any], session: str, limit: int | None, skip_missing_pages: bool
) -> int:
    """Show one session: its numbers and its messages. Exit code 1 where there is none."""
    screen = Screen(as_json=settings.json, verbose=False)

    async def look() -> ChatSession:
        async with settings.open() as sessions:
            [named] = await typed(sessions, [parse_session(session)])
            chat = await sessions.read(named, limit=limit, skip_missing_pages=skip_missing_pages)
            if not chat.version:
                raise Bad(f"there is no session {session!r} in table {sessions.table_name!r}")
            return chat.model_copy(update={"messages": mended(chat.messages)})

    chat = run(look)
    if settings.json:
        screen.line(chat)
        return GOOD
    moments = {"begun": chat.created_at, "changed": chat.updated_at, "expires": chat.expires_at}
    times = [f"{name} {moment.isoformat(timespec='seconds')}" for name, moment in moments.items() if moment]
    screen.say(", ".join([f"version {chat.version}", f"{chat.message_count} messages", *times]))
    if chat.metadata:
        screen.say(f"metadata {chat.metadata}")
    for message in chat.messages:
        screen.say(f"{message.type}: {message.text}")
    return GOOD


@click.command("verify")
@click.option("--to-table", help="Each session must be in this table too, with the same messages.")
@click.option("--against", type=click.File("rb"), help="File of export: what was in it must be there still.")
@options(SESSIONS, OVER_ALL, OTHER_TABLE, CONNECTION)
def verify_command(
    settings: Settings,
    chosen: dict[str, Any],
    sessions: tuple[str, ...],
    to_table: str | None,
    against: BinaryIO | None,
    **there: Any,
) -> int:
    """Read every session wholly; exit code 1 where one is damaged or differs, naming it."""
    repository = settings.open()
    other = elsewhere(repository, to_table, **there)

    async def work(source: AsyncSessionRepository, made: Run) -> Summary:
        async with other or contextlib.nullcontext() as to:
            return await verify(source, made, to=to, against=against)

    return run_over(settings, chosen, work, all_named(sessions), repository=repository)


@click.command(
    "cost",
    context_settings={"ignore_unknown_options": True, "help_option_names": []},
    add_help_option=False,
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def cost_command(arguments: tuple[str, ...]) -> int:
    """Print what so many users and turns will cost; takes no --table."""
    try:
        return cost_model.main(arguments, "langchain-dynamodb cost")
    except SystemExit as told:  # argparse's, for --help and what it cannot read
        return int(told.code or 0)
