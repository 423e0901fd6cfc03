"""The commands. Each is a function of `langchain_dynamodb.admin`, or a method of the repository, with options."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import click

from .. import cost as cost_model
from .._items.keys import Session
from .._store.listing import Listing
from ..admin import (
    Outcome,
    Run,
    Summary,
    copy_session,
    delete_sessions,
    doctor,
    export_sessions,
    import_sessions,
    migrate,
    reencrypt_sessions,
    repair_sessions,
    vacuum,
    verify,
)
from ..admin.foreign import SourceFormat
from ..admin.removing import GRACE_SECONDS
from ..admin.running import label
from ..errors import ChatHistoryError, InvalidInputError, SessionNotFoundError, VersionConflictError
from ..models import ChatSession, SessionSummary
from .screen import Screen, error_line, outcome_line
from .settings import CONNECTION, OTHER_TABLE, OVER_ALL, WRITING, Settings, make_run, options, parse_session, read_names

GOOD, BAD, MISUSED, UNUSABLE, STOPPED = 0, 1, 2, 3, 130
EPILOG = """\b
Exit codes:
  0    all is well
  1    no such session, or one failed, is damaged or differs (each is named)
  2    the command line cannot be used
  3    the table cannot be used: no such table, no rights, no answer
  130  stopped by Ctrl+C or SIGTERM (with --resume it can be gone on with)
"""


class Misused(click.ClickException):
    """The command line cannot be used, in one line."""

    exit_code = MISUSED


class Unusable(click.ClickException):
    """The table cannot be used, in one line."""

    exit_code = UNUSABLE


class Stopped(click.ClickException):
    """The user has stopped the run."""

    exit_code = STOPPED


class Commands(click.Group):
    """The group of all commands: what they return is the exit code, and errors are one line."""

    def invoke(self, ctx: click.Context) -> None:
        """Run the command."""
        try:
            code = super().invoke(ctx)
        except InvalidInputError as error:
            raise Misused(error_line(error)) from error
        except ChatHistoryError as error:
            raise Unusable(error_line(error)) from error
        ctx.exit(code or GOOD)


@click.group(
    cls=Commands, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
@click.version_option(package_name="langchain-dynamodb")
def cli() -> None:
    """Look after chat sessions on DynamoDB.

    Every command takes --table, and connects as all AWS tools do: AWS_* variables, profiles, roles. SESSION is a
    session id, or the whole key as JSON: '{"PK": "acme", "SK": "chat 1"}'.
    """


# --- How commands are run ---


def _await(main: Callable[[], Awaitable[Any]], resumed_by: Path | None = None) -> Any:
    """Run it on an event loop of its own; the first Ctrl+C or SIGTERM cancels it, so that it stops cleanly."""

    async def stoppable() -> Any:
        task, loop = asyncio.current_task(), asyncio.get_running_loop()
        assert task is not None

        def stop() -> None:
            click.echo("Stopping: what was begun is finished first (once more: at once).", err=True)
            task.cancel()

        numbers = (signal.SIGINT, signal.SIGTERM)
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):  # Windows; not the main thread
            for number in numbers:
                loop.add_signal_handler(number, stop)
        try:
            return await main()
        except asyncio.CancelledError:
            raise Stopped(_how_to_go_on(resumed_by)) from None
        finally:
            with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
                for number in numbers:
                    loop.remove_signal_handler(number)

    return asyncio.run(stoppable())


def _how_to_go_on(resumed_by: Path | None) -> str:
    if resumed_by is None:
        return "Stopped. To be able to go on where it stopped, use --resume FILE."
    return f"Stopped. The same command goes on from here (--resume {resumed_by})."


def _over(
    settings: Settings,
    chosen: dict[str, Any],
    work: Callable[[Run], Awaitable[Summary]],
    sessions: Sequence[Session] = (),
    **screen: Any,
) -> int:
    """Run a command over sessions, and tell what it does."""
    resume: Path | None = chosen["resume"]
    goes_on = resume is not None and resume.exists()
    with contextlib.closing(
        Screen(as_json=settings.json, verbose=settings.verbose, goes_on=goes_on, **screen)
    ) as shown:
        made = make_run(chosen, tuple(sessions), tell=shown.outcome, show=shown.progress)
        with shown.watched():
            summary: Summary = _await(lambda: work(made), resume)
        shown.summary(summary)
    return GOOD if summary.is_good else BAD


def _sure(question: str, yes: bool, dry_run: bool = False) -> None:
    """Ask before what cannot be undone; where nobody can answer, that is an error."""
    if yes or dry_run:
        return
    if not sys.stdin.isatty():
        raise click.UsageError(f"{question} Nobody can be asked here: give --yes.")
    click.confirm(question, abort=True, err=True)


def _named(sessions: Sequence[str], file: Path | None) -> list[Session]:
    return [*map(parse_session, sessions), *(read_names(file) if file else ())]


def _other_table(settings: Settings, told: dict[str, Any]) -> Settings:
    """That of the options `OTHER_TABLE`."""
    return settings.elsewhere(**{name.removeprefix("to_"): value for name, value in told.items()})


SESSIONS = [click.argument("sessions", nargs=-1, metavar="[SESSION]...")]
FROM_FILE = click.option(
    "--from-file",
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File of sessions, one a line: ids, keys as JSON, or what list --json wrote.",
)


# --- Looking ---


@cli.command("doctor")
@options(CONNECTION)
def doctor_command(settings: Settings, chosen: dict[str, Any]) -> int:
    """Check table, keys, TTL, indexes, rights, bucket, clock and versions; changes nothing.

    Exit code 1 where something is bad.
    """

    async def look() -> Any:
        async with settings.open() as sessions:
            return await doctor(sessions)

    screen = Screen(as_json=settings.json, verbose=False)
    checks = _await(look)
    for check in checks:
        screen.line(check) if settings.json else screen.say(f"{check.state:<8} {check.name}: {check.told}")
    return BAD if any(check.state == "bad" for check in checks) else GOOD


@cli.command("list")
@click.option("--match", metavar="GLOB", help="Only sessions whose id (or key, joined by /) matches, as in a shell.")
@click.option("--partition", help="Only those with this value of the table's (or index's) hash key.")
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
    made = make_run({"match": chosen["match"], "segments": chosen["segments"], "segment": chosen["segment"] or 0})
    whole = Listing(partition, index, limit=None if made.match else limit, segments=made.segments,
                    segment=None if partition else made.segment)  # fmt: skip

    async def look() -> None:
        shown = 0
        async with settings.open() as sessions, contextlib.aclosing(sessions._lister.list(whole)) as summaries:
            async for summary in summaries:
                if made.wants(summary.session):
                    screen.line(summary) if settings.json else screen.say(_summary(summary))
                    shown += 1
                    if shown == limit:
                        return

    _await(look)
    return GOOD


def _summary(summary: SessionSummary) -> str:
    if summary.error:
        return f"{label(summary.session)}  damaged: {error_line(summary.error)}"
    if summary.version is None:
        return f"{label(summary.session)}  in the format of langchain_community"
    updated = summary.updated_at.isoformat(timespec="seconds") if summary.updated_at else "?"
    return f"{label(summary.session)}  {summary.message_count} messages  {updated}"


@cli.command("show")
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
            return await sessions.read(parse_session(session), limit=limit, skip_missing_pages=skip_missing_pages)

    chat: ChatSession = _await(look)
    if not chat.version:
        click.echo(f"Error: there is no session {session!r} in table {settings.table!r}", err=True)
        return BAD
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


@cli.command("verify")
@click.option("--to-table", help="Each session must be in this table too, with the same messages.")
@click.option("--against", type=click.File("rb"), help="File of export: what was in it must be there still.")
@options(SESSIONS, OVER_ALL, OTHER_TABLE, CONNECTION)
def verify_command(
    settings: Settings,
    chosen: dict[str, Any],
    sessions: tuple[str, ...],
    to_table: str | None,
    against: BinaryIO | None,
    **elsewhere: Any,
) -> int:
    """Read every session wholly; exit code 1 where one is damaged or differs, naming it."""
    there = _other_table(settings, elsewhere)

    async def work(made: Run) -> Summary:
        async with contextlib.AsyncExitStack() as stack:
            source = await stack.enter_async_context(settings.open())
            to = await stack.enter_async_context(there.open(to_table)) if to_table else None
            return await verify(source, made, to=to, against=against)

    return _over(settings, chosen, work, _named(sessions, None))


# --- Moving ---


@cli.command("export")
@click.option("--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help="File; default: standard output.")
@options(SESSIONS, OVER_ALL, CONNECTION)
def export_command(settings: Settings, chosen: dict[str, Any], sessions: tuple[str, ...], output: Path | None) -> int:
    """Write sessions as JSON Lines, exactly; import reads them. Encrypted sessions are written in the clear."""

    async def work(made: Run) -> Summary:
        async with settings.open() as source:
            with contextlib.ExitStack() as stack:
                return await export_sessions(source, _opened(stack, output, chosen["resume"]), made)

    return _over(settings, chosen, work, _named(sessions, None), to_stderr=output is None)


def _opened(stack: contextlib.ExitStack, output: Path | None, resume: Path | None) -> BinaryIO:
    """The file, kept as it is where a run goes on."""
    if output is None:
        if resume is not None:
            raise click.UsageError("--resume needs --output: what was printed cannot be gone on with")
        return sys.stdout.buffer
    goes_on = resume is not None and resume.exists() and output.exists()
    return stack.enter_context(output.open("r+b" if goes_on else "wb"))


@cli.command("import")
@click.argument("file", type=click.File("rb"))
@options(WRITING, OVER_ALL, CONNECTION)
def import_command(settings: Settings, chosen: dict[str, Any], file: BinaryIO) -> int:
    """Write the sessions of a file that export made; what is there already stays. A second time changes nothing."""

    async def work(made: Run) -> Summary:
        async with settings.open() as to:
            return await import_sessions(to, file, made)

    return _over(settings, chosen, work)


@cli.command("copy")
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
        outcome: Outcome = _await(work)
    except (SessionNotFoundError, VersionConflictError) as error:
        click.echo(f"Error: {error_line(error)}", err=True)
        return BAD
    screen = Screen(as_json=settings.json, verbose=False)
    screen.line(outcome) if settings.json else screen.say(outcome_line(outcome))
    return GOOD


# --- Removing ---


@cli.command("delete")
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
    named = _named(sessions, file)
    if not named and chosen["match"] is None:
        raise click.UsageError("Name sessions, or give --from-file or --match ('*' is all).")
    which = f"the sessions that match {chosen['match']!r}" if chosen["match"] else f"{len(named)} session(s)"
    _sure(f"Delete {which} in table {settings.table!r} for good?", yes, chosen["dry_run"])

    async def work(made: Run) -> Summary:
        async with settings.open() as source:
            return await delete_sessions(source, made, search_pages=search_pages)

    return _over(settings, chosen, work, named, report=report)


@cli.command("vacuum")
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

    async def work(made: Run) -> Summary:
        async with settings.open() as source:
            return await vacuum(source, made, older_than=older_than)

    return _over(settings, chosen, work)


# --- Changing ---


@cli.command("migrate")
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
    here, there = settings.of_format(from_format), _other_table(settings, elsewhere)
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

    return _over(settings, chosen, work, _named(sessions, None))


@cli.command("repair")
@click.option("--drop-undecodable", is_flag=True, help="Take out what is there and cannot be decoded.")
@options(SESSIONS, WRITING, OVER_ALL, CONNECTION)
def repair_command(
    settings: Settings, chosen: dict[str, Any], sessions: tuple[str, ...], drop_undecodable: bool
) -> int:
    """Make of damaged sessions some that work in every way; tells what was given up. Try --dry-run first."""
    if not sessions and chosen["match"] is None:
        raise click.UsageError("Name sessions, or give --match ('*' is all).")

    async def work(made: Run) -> Summary:
        async with settings.open() as source:
            return await repair_sessions(source, made, drop_undecodable=drop_undecodable)

    return _over(settings, chosen, work, _named(sessions, None))


@cli.command("reencrypt")
@click.option("--plain", is_flag=True, help="Decrypt, instead.")
@click.option("--everything", is_flag=True, help="Also those that are under the present key already.")
@options(SESSIONS, WRITING, OVER_ALL, CONNECTION)
def reencrypt_command(
    settings: Settings, chosen: dict[str, Any], sessions: tuple[str, ...], plain: bool, everything: bool
) -> int:
    """Bring sessions under the present key of --kms-key-id, --local-key-file or --repository."""

    async def work(made: Run) -> Summary:
        async with settings.open() as source:
            return await reencrypt_sessions(source, made, plain=plain, everything=everything)

    return _over(settings, chosen, work, _named(sessions, None))


@cli.command(
    "cost",
    context_settings={"ignore_unknown_options": True, "help_option_names": []},
    add_help_option=False,
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def cost_command(arguments: tuple[str, ...]) -> int:
    """Print what so many users and turns will cost; takes no --table."""
    try:
        return cost_model.main(arguments)
    except SystemExit as told:  # argparse's, for --help and what it cannot read
        return int(told.code or 0)
