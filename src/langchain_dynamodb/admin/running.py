"""Runs over many sessions: some at a time, at a pace, to be interrupted and gone on with."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from .._checks import check_count, check_flag, short
from .._dynamodb.metering import Pace, Usage
from .._items.keys import Session
from .._store.listing import TOTAL_SEGMENTS, Listing
from ..errors import (
    AccessDeniedError,
    ChatHistoryError,
    InvalidInputError,
    RepositoryClosedError,
    SettingsError,
    StorageError,
)
from ..models import SessionSummary
from ..repository import AsyncSessionRepository
from .reports import Outcome, Progress, Summary, Tally

T = TypeVar("T")
BUFFERED = 4  # times `at_once`: done, but behind one that is not
SAVE_SECONDS = 1.0  # what a kill costs is done again, no more than this
DRAIN_SECONDS = 60.0  # a run that is stopped waits so long for what it has begun


@dataclass(frozen=True)
class Run:
    """How a command goes over the sessions of a table, or over those named.

    `sessions` names them; with none it is all, or those that `match`, a pattern as of the shell, compared with the
    session id, or with the values of the whole key joined by ``/``. Of so many `segments` of the table only number
    `segment` (from 0 on) is looked at, so that many machines can share one. `at_once` sessions are worked on at a time,
    with at most `max_write_units` a second. With `dry_run` nothing is written. `resume` is a file that says how far the
    run has come: it is there while the run is not through, and where it is there at the start, the run goes on.

    `tell` is called with what became of each session, `show` now and then with how far it has come.

    Raises `InvalidInputError`.
    """

    sessions: Sequence[Session] = ()
    match: str | None = None
    segments: int = 1
    segment: int = 0
    at_once: int = 8
    max_write_units: float | None = None
    dry_run: bool = False
    resume: Path | None = None
    tell: Callable[[Outcome], None] = lambda outcome: None
    show: Callable[[Progress], None] = lambda progress: None

    def __post_init__(self) -> None:
        check_flag("dry_run", self.dry_run)
        check_count("at_once", self.at_once, optional=False)
        if self.sessions and self.match is not None:
            raise InvalidInputError(f"match={short(self.match)} and sessions: give one of them")
        if type(self.segments) is not int or not 1 <= self.segments <= TOTAL_SEGMENTS:
            raise InvalidInputError(f"segments={short(self.segments)} must be a number from 1 to {TOTAL_SEGMENTS}")
        if type(self.segment) is not int or not 0 <= self.segment < self.segments:
            raise InvalidInputError(f"segment={short(self.segment)} must be a number from 0 to {self.segments - 1}")
        if self.sessions and self.segments > 1:
            raise InvalidInputError(
                f"segments={self.segments} are of the whole table: name no sessions, or no segments"
            )
        units = self.max_write_units
        if units is not None and not (isinstance(units, (int, float)) and units > 0):
            raise InvalidInputError(f"max_write_units={short(units)} must be a number above 0, or None")
        if self.at_once < 1:
            raise InvalidInputError(f"at_once={self.at_once} must be a number from 1 on")

    def wants(self, session: Session) -> bool:
        """Whether the pattern, if there is one, fits."""
        return self.match is None or fnmatchcase(label(session), self.match)


def label(session: Session) -> str:
    """A session's name on one line: its id, or the values of its key joined by ``/``."""
    if isinstance(session, str):
        return session
    values = (value.hex() if isinstance(value, bytes) else str(value) for value in session.values())
    return "/".join(values)


@dataclass(frozen=True)
class Thing(Generic[T]):
    """Something to work on, and where a run goes on once it is done (None: where it did before)."""

    position: str | None
    session: Session
    value: T


class Done(NamedTuple):
    """What became of it (None: nothing to tell), and what is to be written out about it, in order."""

    outcome: Outcome | None
    payload: bytes = b""


@dataclass
class Work:
    """One run: what it used, how far it is, and what it has done."""

    command: str
    table: str
    run: Run
    about: dict[str, Any]
    usage: Usage = field(default_factory=Usage)
    tally: Tally = field(default_factory=Tally)
    position: str | None = None
    output: int = 0  # bytes written out up to there
    flush: Callable[[], int] = lambda: 0  # writes out what is buffered; says how many bytes there are
    items: int | None = None
    _began: float = field(default_factory=time.monotonic)
    _before: float = 0.0  # seconds of the part before an interruption
    _saved: float = 0.0

    def __post_init__(self) -> None:
        self.pace = Pace(self.run.max_write_units)

    def metered(self, repository: AsyncSessionRepository) -> AsyncSessionRepository:
        """The repository, with what it uses counted here."""
        return repository._metered(self.usage, self.pace)

    def target(self, repository: AsyncSessionRepository) -> AsyncSessionRepository:
        """The same for one that sessions are brought to: they keep the time that they have, whatever its `ttl`."""
        metered = self.metered(repository)
        return metered._with(replace(metered._options, ttl=None))

    # --- Going on after an interruption ---

    def load(self) -> None:
        """Take up where the file says that the run has stopped; raises `InvalidInputError` for one of another run."""
        path = self.run.resume
        if path is None or not path.exists():
            return
        try:
            saved = json.loads(path.read_bytes())
            about, self.position, self.output = saved["about"], saved["position"], saved["output"]
            self._before = saved["seconds"]
            self.tally.actions.update(saved["actions"])
            self.tally.messages, self.tally.objects = saved["messages"], saved["objects"]
            self.tally.estimated = saved["estimated"]
            self.usage.read_units, self.usage.write_units, self.usage.scanned = saved["used"]
        except (ValueError, KeyError, TypeError) as error:
            raise InvalidInputError(f"{path} does not say where a run has stopped: give another file") from error
        if about != self.about:
            raise InvalidInputError(
                f"{path} is of another run ({short(about)}), not of this ({short(self.about)}): give the same options, "
                "or another file"
            )

    def save(self) -> None:
        """Say in the file how far the run has come: the old or the new text, whatever happens meanwhile."""
        self.output = self.flush()
        if self.run.resume is None:
            return
        self._saved = time.monotonic()
        told = {
            "about": self.about,
            "position": self.position,
            "output": self.output,
            "seconds": self.seconds,
            "actions": self.tally.actions,
            "messages": self.tally.messages,
            "objects": self.tally.objects,
            "estimated": self.tally.estimated,
            "used": [self.usage.read_units, self.usage.write_units, self.usage.scanned],
        }
        beside = self.run.resume.with_name(self.run.resume.name + ".new")
        beside.write_text(json.dumps(told) + "\n", encoding="utf-8")
        os.replace(beside, self.run.resume)

    def finish(self) -> None:
        """The run is through: there is nothing to go on with."""
        self.output = self.flush()
        if self.run.resume is not None:
            self.run.resume.unlink(missing_ok=True)

    # --- Working ---

    async def each(
        self,
        things: AsyncGenerator[Thing[T], None],
        do: Callable[[T], Awaitable[Done]],
        write: Callable[[bytes], object] = lambda payload: None,
    ) -> None:
        """Do it to all, some at a time; results count, and are written out, in the order of the things.

        An error of one session is its outcome, and the others go on; one that all would meet ends the run. Where it
        ends early, what was begun is finished first.
        """
        under_way: deque[tuple[Thing[T], asyncio.Task[Done]]] = deque()
        try:
            async with contextlib.aclosing(things):
                async for thing in things:
                    under_way.append((thing, asyncio.create_task(_told(do, thing))))
                    while _busy(under_way) >= self.run.at_once or len(under_way) >= BUFFERED * self.run.at_once:
                        await self._next(under_way, write)
            while under_way:
                await self._next(under_way, write)
        finally:
            await self._end(under_way, write)

    async def _next(
        self, under_way: deque[tuple[Thing[T], asyncio.Task[Done]]], write: Callable[[bytes], object]
    ) -> None:
        """Wait until one more is done, and count those at the front that are."""
        await asyncio.wait([task for _, task in under_way if not task.done()] or [under_way[0][1]],
                           return_when=asyncio.FIRST_COMPLETED)  # fmt: skip
        self._count(under_way, write)

    def _count(self, under_way: deque[tuple[Thing[T], asyncio.Task[Done]]], write: Callable[[bytes], object]) -> None:
        while under_way and under_way[0][1].done():
            thing, task = under_way[0]
            outcome, payload = task.result()
            under_way.popleft()
            self.position = thing.position or self.position
            if payload:
                write(payload)
            if outcome is not None:
                self.tally.add(outcome)
                self.run.tell(outcome)
            self.run.show(self.progress)
        if time.monotonic() - self._saved >= SAVE_SECONDS:
            self.save()

    async def _end(
        self, under_way: deque[tuple[Thing[T], asyncio.Task[Done]]], write: Callable[[bytes], object]
    ) -> None:
        tasks = [task for _, task in under_way]
        if not tasks:
            return
        try:
            await asyncio.wait(tasks, timeout=DRAIN_SECONDS)
        finally:
            for task in tasks:
                task.cancel()
            with contextlib.suppress(BaseException):  # the one that ends the run is on its way already
                self._count(under_way, write)
            await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def seconds(self) -> float:
        """How long it has been at work."""
        return self._before + time.monotonic() - self._began

    @property
    def progress(self) -> Progress:
        """How far it has come."""
        used = self.usage
        items = None if self.items is None else max(self.items // self.run.segments, used.scanned)
        return Progress(self.tally.sessions, used.scanned, items, used.read_units, used.write_units, self.seconds)

    @property
    def summary(self) -> Summary:
        """What it has done."""
        return Summary(
            command=self.command,
            table=self.table,
            dry_run=self.run.dry_run,
            sessions=self.tally.sessions,
            messages=self.tally.messages,
            objects=self.tally.objects,
            actions=dict(self.tally.actions),
            read_units=self.usage.read_units,
            write_units=self.usage.write_units,
            estimated_write_units=self.tally.estimated if self.run.dry_run else None,
            seconds=round(self.seconds, 3),
        )


def _busy(under_way: deque[tuple[Thing[T], asyncio.Task[Done]]]) -> int:
    return sum(not task.done() for _, task in under_way)


async def _told(do: Callable[[T], Awaitable[Done]], thing: Thing[T]) -> Done:
    """What became of it; an error that is its own is an outcome."""
    try:
        return await do(thing.value)
    except (AccessDeniedError, SettingsError, RepositoryClosedError):
        raise
    except ChatHistoryError as error:
        if isinstance(error, StorageError) and error.code != "ValidationException":
            raise
        return Done(failed(thing.session, error))


def failed(session: Session, error: ChatHistoryError) -> Outcome:
    """What is told of a session where an error came."""
    return Outcome(session=session, action="failed", detail=f"{type(error).__name__}: {error}")  # type: ignore[arg-type]


@contextlib.asynccontextmanager
async def working(
    command: str, repository: AsyncSessionRepository, run: Run, *, walks: bool = True, **about: Any
) -> AsyncIterator[Work]:
    """A run of a command on this repository's table; `about` says what tells it from others of this command."""
    place = {"table": repository.table_name, "endpoint_url": repository._connection.settings.endpoint_url}
    of = {"sessions": [label(one) for one in run.sessions], "match": run.match}
    which = {"segments": run.segments, "segment": run.segment, "dry_run": run.dry_run}
    work = Work(command, repository.table_name, run, {"command": command, **place, **of, **which, **about})
    work.load()
    if walks and not run.sessions:
        work.items = (await repository._table.describe())["Table"].get("ItemCount") or None
    try:
        yield work
    except BaseException:
        work.save()
        raise
    work.finish()


async def chosen(work: Work, repository: AsyncSessionRepository) -> AsyncGenerator[Thing[Session], None]:
    """The sessions that the run is about."""
    if work.run.sessions:
        async for thing in named(work):
            yield thing
        return
    async with contextlib.aclosing(listed(work, repository)) as things:
        async for found in things:
            yield Thing(found.position, found.session, found.session)


async def named(work: Work) -> AsyncGenerator[Thing[Session], None]:
    """Those that were named, from where the run has come to."""
    for index, session in enumerate(work.run.sessions):
        if index >= int(work.position or 0):
            yield Thing(str(index + 1), session, session)


async def listed(work: Work, repository: AsyncSessionRepository) -> AsyncGenerator[Thing[SessionSummary], None]:
    """Those of the table, as far as they match and are this run's."""
    run = work.run
    listing = Listing(cursor=work.position, segments=run.segments, segment=run.segment)
    async with contextlib.aclosing(repository._lister.list(listing)) as summaries:
        async for summary in summaries:
            if run.wants(summary.session):
                yield Thing(summary.cursor, summary.session, summary)
