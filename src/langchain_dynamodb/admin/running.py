"""Runs over many sessions: some at a time, at a pace, to be interrupted and gone on with."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Generic, NamedTuple, TypeVar

from .._checks import short
from .._dynamodb.metering import Pace, Usage
from .._items.keys import Session, SessionKey
from .._items.table_schema import parse_schema
from .._store.listing import session_name
from ..errors import (
    AccessDeniedError,
    ChatHistoryError,
    InvalidInputError,
    RepositoryClosedError,
    SessionNotFoundError,
    SettingsError,
    StorageError,
)
from ..repository import AsyncSessionRepository
from .reports import Outcome, Progress, Summary, Tally
from .run import Run, check_repository, label

T = TypeVar("T")
AHEAD = 100  # named sessions that a run may begin before it says in its file that it may have begun more
BUFFERED = 4  # times `at_once`: done, but behind one that is not
SAVE_SECONDS = 1.0  # what a kill costs is done again, no more than this
SHOW_SECONDS = 0.5  # between two looks at how far it is, where no session ends meanwhile
DRAIN_SECONDS = 60.0  # a run that is stopped waits so long for what it has begun
_KILLED = "this run may have deleted it before it was killed"


@dataclass(frozen=True)
class Thing(Generic[T]):
    """Something to work on, and where a run goes on once it is done (None: where it did before)."""

    position: str | None
    session: Session
    value: T
    number: int | None = None  # of those that were named, from 0 on


class Passed(NamedTuple):
    """There is nothing to work on up to here."""

    position: str


class Done(NamedTuple):
    """What became of it (None: nothing to tell), and what is to be written out about it, in order."""

    outcome: Outcome | None
    payload: bytes = b""


@dataclass
class _Begun(Generic[T]):
    """Something that is worked on, or done but behind something that is not."""

    thing: Thing[T]
    task: asyncio.Task[Done]
    told: bool = False

    @property
    def is_in_doubt(self) -> bool:
        """Whether it may have been done, and nobody was told."""
        if self.told:
            return False
        if not self.task.done() or self.task.cancelled():
            return True
        error = self.task.exception()
        return error is not None and getattr(error, "outcome_unknown", True)


@dataclass
class Work:
    """One run: what it used, how far it is, and what it has done."""

    command: str
    table: str
    run: Run
    about: dict[str, Any]
    primary_key_name: str
    removes: bool = False
    key_names: tuple[str, ...] = ()  # in the table's order, where it is known
    usage: Usage = field(default_factory=Usage)
    tally: Tally = field(default_factory=Tally)  # of all that was told
    passed: Tally = field(default_factory=Tally)  # of what comes before the position
    position: str | None = None
    output: int = 0  # bytes written out up to there
    flush: Callable[[], int] = lambda: 0  # writes out what is buffered; says how many bytes there are
    items: int | None = None
    read: int = 0  # bytes of the file that it goes through
    size: int = 0  # of that file, where it is known
    _began: float = field(default_factory=time.monotonic)
    _doubted: int = 0  # of those named, so many at the front may have been begun by a run that was killed
    _begun: int = 0  # so many may be begun by this one
    _at_work: list[Any] = field(default_factory=list)  # what is removed just now and was not named, as JSON
    _before: float = 0.0  # seconds of the part before an interruption
    _torn: bool = False  # the output may end with a part of a session: the file stays as it was before that
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

    def name(self, key: SessionKey) -> str | dict[str, Any]:
        """The session as its users name it."""
        name = session_name(key.item, self.primary_key_name)
        return name if isinstance(name, str) else self._in_order(name)

    def wants(self, session: Session) -> bool:
        """Whether the pattern, if there is one, fits this session."""
        return self.run.wants(session if isinstance(session, str) else self._in_order(session))

    def _in_order(self, key: Mapping[str, Any]) -> dict[str, Any]:
        return {name: key[name] for name in self.key_names} if {*self.key_names} == {*key} else dict(key)

    # --- Going on after an interruption ---

    def load(self) -> None:
        """Take up where the file says that the run has stopped; raises `InvalidInputError` for one of another run."""
        path = self.run.resume
        if path is None:
            return
        if not os.access(path.parent, os.W_OK | os.X_OK):
            raise InvalidInputError(f"{path} cannot be written: {path.parent} is no folder to write to")
        if not path.exists():
            return
        try:
            if not path.is_file():
                raise ValueError("a device, or a folder")
            saved = json.loads(path.read_bytes())
            about, self.position, self.output = {**saved["about"]}, saved["position"], saved["output"]
            self._before, self._doubted = saved["seconds"], saved.get("begun", 0)
            self._at_work = [*saved.get("at_work", [])]
            for tally in (self.tally, self.passed):
                tally.load(saved)
            self.usage.read_units, self.usage.write_units, self.usage.scanned = saved["used"]
        except (ValueError, KeyError, TypeError) as error:
            raise InvalidInputError(f"{path} does not say where a run has stopped: give another file") from error
        if about != self.about:
            told = [
                f"{name}: {short(about.get(name))} there, {short(here)} here"
                for name, here in self.about.items()
                if about.get(name) != here
            ]
            raise InvalidInputError(
                f"{path} is of another run ({'; '.join(told)}): give the same options, or another file"
            )

    def save(self, tally: Tally) -> None:
        """Say in the file how far the run has come: the old or the new text, whatever happens meanwhile."""
        if self._torn:
            return
        self.output = self.flush()
        if self.run.resume is None:
            return
        self._saved = time.monotonic()
        told = {
            "about": self.about,
            "position": self.position,
            "output": self.output,
            "seconds": self.seconds,
            "begun": max(self._begun, self._doubted),
            "at_work": self._at_work,
            **tally.saved,
            "used": [self.usage.read_units, self.usage.write_units, self.usage.scanned],
        }
        beside = self.run.resume.with_name(self.run.resume.name + ".new")
        beside.write_text(json.dumps(told) + "\n", encoding="utf-8")
        os.replace(beside, self.run.resume)

    def own_up(self) -> None:
        """Tell of what was removed by a run that was killed before it could: nothing finds that any more."""
        for session in self._at_work:
            outcome = Outcome(session=session, action="skipped", detail=_KILLED)
            self.passed.add(outcome)
            self._add(outcome)
        self._at_work = []

    def finish(self) -> None:
        """The run is through: there is nothing to go on with."""
        self.output = self.flush()
        if self.run.resume is not None:
            self.run.resume.unlink(missing_ok=True)

    # --- Working ---

    async def each(
        self,
        things: AsyncGenerator[Thing[T] | Passed, None],
        do: Callable[[T], Awaitable[Done]],
        write: Callable[[bytes], object] = lambda payload: None,
    ) -> None:
        """Do it to all, some at a time; results count, and are written out, in the order of the things.

        Each is told as soon as it is done; what is to be written out, once that is. An error of one session is its
        outcome, and the others go on; one that all would meet ends the run. Where it ends early, what was begun is
        finished, and told, first.
        """
        under_way: deque[_Begun[T]] = deque()
        try:
            async with contextlib.aclosing(things):
                async for thing in things:
                    if isinstance(thing, Passed):
                        self._go_past(thing.position, under_way)
                        continue
                    self._note(thing, under_way)
                    under_way.append(_Begun(thing, asyncio.create_task(self._told(do, thing))))
                    while _busy(under_way) >= self.run.at_once or len(under_way) >= BUFFERED * self.run.at_once:
                        await self._next(under_way, write)
            while under_way:
                await self._next(under_way, write)
        finally:
            await self._end(under_way, write)

    def _go_past(self, position: str, under_way: deque[_Begun[T]]) -> None:
        """A run that goes on begins there, once all that was begun is done."""
        if under_way:
            under_way[-1].thing = replace(under_way[-1].thing, position=position)
            return
        self.position = position
        if time.monotonic() - self._saved >= SAVE_SECONDS:
            self.save(self.passed)

    def _note(self, thing: Thing[T], under_way: deque[_Begun[T]]) -> None:
        """Say in the file what may be removed from now on: a run after a kill cannot tell it from what never was."""
        if not self.removes or self.run.resume is None:
            return
        if thing.number is None:
            sessions = [*(begun.thing.session for begun in under_way if not begun.told), thing.session]
            self._at_work = [_as_json(session) for session in sessions]
            self.save(self.passed)
        elif thing.number >= self._begun:
            self._begun = thing.number + AHEAD
            self.save(self.passed)

    async def _told(self, do: Callable[[T], Awaitable[Done]], thing: Thing[T]) -> Done:
        """What became of it; an error that is its own is an outcome."""
        try:
            return await do(thing.value)
        except (AccessDeniedError, SettingsError, RepositoryClosedError):
            raise
        except ChatHistoryError as error:
            if isinstance(error, StorageError) and error.code != "ValidationException":
                raise
            if isinstance(error, SessionNotFoundError) and thing.number is not None and thing.number < self._doubted:
                detail = f"there is no such session: {_KILLED}"
                return Done(Outcome(session=thing.session, action="skipped", detail=detail))  # type: ignore[arg-type]
            return Done(failed(thing.session, error))

    async def _next(self, under_way: deque[_Begun[T]], write: Callable[[bytes], object]) -> None:
        """Wait until one more is done."""
        waiting = [begun.task for begun in under_way if not begun.task.done()] or [under_way[0].task]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        self._tell(under_way)
        self._pass(under_way, write)

    def _tell(self, under_way: deque[_Begun[T]]) -> None:
        """Tell of those that are done, wherever they are in the order; what is written out is told when it is."""
        for begun in under_way:
            if not begun.told and begun.task.done() and not (begun.task.cancelled() or begun.task.exception()):
                outcome, payload = begun.task.result()
                if outcome is not None and not payload:
                    begun.told = True
                    self._add(outcome)

    def _pass(self, under_way: deque[_Begun[T]], write: Callable[[bytes], object]) -> None:
        """Take those at the front that are done out of the queue: a run that goes on begins after them."""
        while under_way and under_way[0].task.done() and not self._torn:
            outcome, payload = under_way[0].task.result()
            if payload:
                self._torn = True
                write(payload)
                self._torn = False
            begun = under_way.popleft()
            self.position = begun.thing.position or self.position
            if outcome is not None:
                self.passed.add(outcome)
                if not begun.told:
                    self._add(outcome)
            self.run.show(self.progress)
        if time.monotonic() - self._saved >= SAVE_SECONDS:
            self.save(self.passed)

    def _add(self, outcome: Outcome) -> None:
        self.tally.add(outcome)
        self.run.tell(outcome)

    async def _end(self, under_way: deque[_Begun[T]], write: Callable[[bytes], object]) -> None:
        tasks = [begun.task for begun in under_way]
        if not tasks:
            return
        try:
            await asyncio.wait(tasks, timeout=DRAIN_SECONDS)
        finally:
            for task in tasks:
                task.cancel()
            with contextlib.suppress(BaseException):  # the one that ends the run is on its way already
                self._tell(under_way)
            with contextlib.suppress(BaseException):
                self._pass(under_way, write)
            if not under_way:
                self._begun = 0
            if self._at_work:
                self._at_work = [_as_json(begun.thing.session) for begun in under_way if begun.is_in_doubt]
            await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def seconds(self) -> float:
        """How long it has been at work."""
        return self._before + time.monotonic() - self._began

    @property
    def progress(self) -> Progress:
        """How far it has come."""
        used, sessions = self.usage, self.tally.sessions
        scanned, items = used.scanned, self.items
        if items is not None:
            items = max(items // self.run.segments, scanned)
        elif self.size:
            scanned, items = self.read, self.size
        elif not scanned:
            scanned, items = sessions, len(self.run.sessions) or None
        return Progress(sessions, scanned, items, used.read_units, used.write_units, self.seconds)

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


def _busy(under_way: deque[_Begun[T]]) -> int:
    return sum(not begun.task.done() for begun in under_way)


def _as_json(session: Session) -> Any:
    """As it is told."""
    return Outcome(session=session, action="skipped").model_dump(mode="json")["session"]  # type: ignore[arg-type]


def failed(session: Session, error: ChatHistoryError) -> Outcome:
    """What is told of a session where an error came."""
    return Outcome(session=session, action="failed", detail=f"{type(error).__name__}: {error}")  # type: ignore[arg-type]


@contextlib.asynccontextmanager
async def working(
    command: str,
    repository: AsyncSessionRepository,
    run: Run,
    *,
    walks: bool = True,
    removes: bool = False,
    to: AsyncSessionRepository | None = None,
    **about: Any,
) -> AsyncIterator[Work]:
    """A run of a command on this repository's table; `about`, and where `to` is, tell it from others of the command.

    A session that is named twice is worked on once. After a run that `removes` sessions, one may be gone by it.
    """
    check_repository(repository)
    run = replace(run, sessions=[*{repository._key(one): one for one in run.sessions}.values()])
    if to is not None:
        check_repository(to, "to")
    of = {"sessions": [label(one) for one in run.sessions], "match": run.match}
    which = {"segments": run.segments, "segment": run.part, "dry_run": run.dry_run}
    where = {"at": await _place(repository), "to": None if to is None else await _place(to)}
    about = {"command": command, **where, **of, **which, **about}
    removes = removes and not run.dry_run
    work = Work(command, repository.table_name, run, about, repository.primary_key_name, removes)
    work.load()
    if to is not None:
        await _check_apart(repository, to)
    fresh = run.resume is not None and not run.resume.exists()
    walks = walks and not run.sessions
    if walks or run.match is not None or not all(isinstance(one, str) for one in run.sessions):
        described = (await repository._table.describe())["Table"]
        work.key_names = (*parse_schema(described).keys,)
        work.items = (described.get("ItemCount") or None) if walks else None
    showing = asyncio.create_task(_show(work))
    try:
        work.own_up()
        yield work
    except BaseException:
        if work.tally.sessions or work.position is not None:  # else there is nothing to go on with
            work.save(work.tally)
        elif fresh and run.resume is not None:
            run.resume.unlink(missing_ok=True)
        run.show(work.progress)  # as it is at last
        raise
    finally:
        showing.cancel()
        await asyncio.gather(showing, return_exceptions=True)
    work.finish()


async def _check_apart(one: AsyncSessionRepository, to: AsyncSessionRepository) -> None:
    """Refuse a table that is compared with itself, or copied onto itself, whatever it and its endpoint are called.

    Embedded engines give all their tables the same ARN: then the moment tells them apart.
    """
    known = [(await repository._table.describe())["Table"] for repository in (one, to)]
    here, there = [(table["TableArn"], table.get("TableId"), table["CreationDateTime"]) for table in known]
    if here == there:
        raise InvalidInputError(f"to= is the table {one.table_name!r} itself: give another one, or leave it out")


async def _place(repository: AsyncSessionRepository) -> list[str]:
    return [repository.table_name, *await repository._connection.place()]


async def _show(work: Work) -> None:
    """Let it be seen that the run is on, where no session is found for long."""
    while True:
        await asyncio.sleep(SHOW_SECONDS)
        work.run.show(work.progress)
