"""How commands are run: on an event loop that Ctrl+C stops cleanly, over many sessions, and after a question."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from itertools import chain, repeat
from pathlib import Path
from typing import Any, TypeVar

import click

from .._items.keys import Session
from ..admin import Run, Summary
from ..repository import AsyncSessionRepository
from .exits import BAD, GOOD, Stopped
from .names import parse_session, read_names, typed
from .screen import Screen
from .settings import Settings

T = TypeVar("T")


def run(main: Callable[[], Awaitable[T]], how_far: Callable[[], str] = lambda: ".") -> T:
    """Run it on an event loop of its own; the first Ctrl+C or SIGTERM cancels it, so that it stops cleanly.

    What is told of a stop ends with `how_far` it had come.
    """

    async def stoppable() -> T:
        task, loop = asyncio.current_task(), asyncio.get_running_loop()
        assert task is not None
        told = chain(["Stopping: what was begun is finished first (once more: at once)."], repeat("Stopping at once."))

        def stop() -> None:
            click.echo(next(told), err=True)
            task.cancel()

        numbers = (signal.SIGINT, signal.SIGTERM)
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):  # Windows; not the main thread
            for number in numbers:
                loop.add_signal_handler(number, stop)
        try:
            return await main()
        except asyncio.CancelledError:
            raise Stopped(f"Stopped{how_far()}") from None
        finally:
            with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
                for number in numbers:
                    loop.remove_signal_handler(number)

    return asyncio.run(stoppable())


def _how_far(shown: Screen, resumed_by: Path | None) -> str:
    if resumed_by is None:
        return f"{shown.so_far}. To be able to go on where it stopped, use --resume FILE."
    return f"{shown.so_far}. The same command goes on from here (--resume {resumed_by})."


def run_over(
    settings: Settings,
    chosen: dict[str, Any],
    work: Callable[[AsyncSessionRepository, Run], Awaitable[Summary]],
    sessions: Sequence[Session] = (),
    *,
    repository: AsyncSessionRepository | None = None,
    **screen: Any,
) -> int:
    """Run a command over sessions, and tell what it does; the repository is that of the settings, unless given."""
    resume: Path | None = chosen["resume"]
    goes_on = resume is not None and resume.exists()
    repository = repository or settings.open()
    with contextlib.closing(
        Screen(as_json=settings.json, verbose=settings.verbose, goes_on=goes_on, **screen)
    ) as shown:

        async def main() -> Summary:
            async with repository as source:
                named = await typed(source, sessions)
                return await work(source, Run(named, **chosen, tell=shown.outcome, show=shown.progress))

        with shown.watched():
            summary = run(main, lambda: _how_far(shown, resume))
        shown.summary(summary)
    return GOOD if summary.is_good else BAD


def make_sure(question: str, yes: bool, dry_run: bool = False) -> None:
    """Ask before what cannot be undone; where nobody can answer, that is an error."""
    if yes or dry_run:
        return
    if not sys.stdin.isatty():
        raise click.UsageError(f"{question} Nobody can be asked here: give --yes.")
    click.confirm(question, abort=True, err=True)


def all_named(sessions: Sequence[str], file: Path | None = None) -> list[Session]:
    """The sessions of the command line, and those of a file."""
    return [*map(parse_session, sessions), *(read_names(file) if file else ())]
