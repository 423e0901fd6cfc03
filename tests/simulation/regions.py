"""Two regions of a global table: each takes writes, and the last writer of an item wins, some time later elsewhere.

Every change of an item is on its way to the other region for a time of its own, so that items arrive in any order. A
run has writers in one region and readers in both; in half of them that region fails, and the other takes over. What
the writers do is one of `CHANGES`.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from langchain_core.messages import BaseMessage

from langchain_dynamodb import AsyncSessionRepository
from langchain_dynamodb._dynamodb.connection import Connection
from langchain_dynamodb._dynamodb.failures import ConditionFailed
from langchain_dynamodb._store import table
from langchain_dynamodb._store.cache import LRU
from langchain_dynamodb.encryption import LocalKeyring
from langchain_dynamodb.errors import (
    CorruptSessionError,
    IncompleteSessionError,
    MessageNotFoundError,
    SessionNotFoundError,
    StorageError,
    VersionConflictError,
    WrongRegionError,
)

from .engine import ConditionFailed as Refusal
from .engine import Engine, Key
from .expressions import Invalid, Item
from .loop import Loop
from .network import Crash
from .oracle import MASTER_KEY, SESSION, Tags, look
from .play import _chance
from .scenario import SIZES
from .workload import START_MICROSECONDS, message

LONGEST_LAG = 2.0  # seconds that a change of an item is on its way
HOME, OTHER = "eu-central-1", "us-west-2"
EDITS = ["edit", "remove"]  # after which a replica may show an old text beside a new one
WHOLE = ["replace", "truncate", "reencrypt", "delete"]
CHANGES = {
    "appends": ["append"] * 5,
    "edits": ["append"] * 5 + ["batch", *EDITS],
    "whole": ["append"] * 4 + ["batch", *WHOLE],
    "all": ["append"] * 6 + ["batch", *EDITS, *WHOLE],
}


class Region(Engine):
    """One replica of the table."""

    def __init__(self, name: str, loop: Loop, chance: random.Random) -> None:
        super().__init__(limits=False)
        self.name = name
        self.peer: Region | None = None
        self._loop, self._chance = loop, chance
        self._written: dict[Key, tuple[float, int, str]] = {}  # when each item was written last, wherever that was
        self._count = 0

    def write(self, key: Key, item: Item | None) -> None:
        if self.items.get(key) is item:
            return
        super().write(key, item)
        self._count += 1
        written = self._written[key] = (self._loop.now, self._count, self.name)
        if self.peer is not None:
            lag = self._chance.uniform(0, LONGEST_LAG) ** 2 / LONGEST_LAG  # mostly short
            self._loop.call_later(lag, self.peer.receive, key, item, written)

    def receive(self, key: Key, item: Item | None, written: tuple[float, int, str]) -> None:
        """A change made in the other region; what was written later stays."""
        if written > self._written.get(key, (-1.0, 0, "")):
            self._written[key] = written
            super().write(key, item)


class Way(Connection):
    """What a repository in a region calls; once that is down, what was under way may have arrived or not."""

    def __init__(self, inner: Connection, world: Regions, region: Region) -> None:
        self.settings = inner.settings
        self._world, self._region = world, region

    async def call(
        self, operation: str, request: Mapping[str, Any], *, write: bool = False, once: bool = False
    ) -> dict[str, Any]:
        chance = self._world.chance
        if self._region.name in self._world.down:
            raise Crash
        await asyncio.sleep(chance.uniform(0.001, 0.02))
        is_down = self._region.name in self._world.down
        if is_down and chance.random() < 0.5:
            raise Crash
        before = self._region.writes
        try:
            answer = self._region.apply(operation, request)
        except Refusal as refusal:
            raise ConditionFailed(refusal.item, retried=False) from None
        except Invalid as invalid:
            raise StorageError(str(invalid), code="ValidationException") from None
        finally:
            if self._region.writes != before:
                self._world.note(self._region)
            if is_down:
                raise Crash
        return answer

    async def aclose(self) -> None:
        """Nothing is open."""


@dataclass
class Told:
    """What was acknowledged: texts of messages by id, None for those that were removed; `open` may be either way."""

    stored: dict[str, str | None] = field(default_factory=dict)
    open: dict[str, set[str | None]] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)

    def begin(self, tags: Tags, *, removed: bool = False) -> None:
        """A call that stores these, or removes them."""
        for tag in tags:
            self.open.setdefault(_id(tag), {self.stored.get(_id(tag))}).add(None if removed else tag)

    def end(self, tags: Tags, *, removed: bool = False) -> None:
        """It was acknowledged; what was dropped before that does not come back."""
        self.gone.update(map(_id, tags) if removed else ())
        for tag in tags:
            self.stored[_id(tag)] = None if _id(tag) in self.gone else tag
            self.open.pop(_id(tag), None)

    def withdraw(self, tags: Tags) -> None:
        """It was refused."""
        for tag in tags:
            self.open.pop(_id(tag), None)

    def wrong(self, found: Tags) -> list[str]:
        """What of it is not so."""
        there = {_id(tag): tag for tag in found}
        problems = [f"{len(found) - len(there)} twice"] * (len(there) != len(found))
        for name in {*self.stored, *self.open}:
            if there.get(name) not in self.open.get(name, {self.stored.get(name)}):
                problems.append(f"{name} is {there.get(name)}, not {self.stored.get(name)}")
        return problems + [f"{name} is nobody's" for name in there if name not in {*self.stored, *self.open}]


def _id(tag: str) -> str:
    return tag.partition("@")[2] or tag


class Regions:
    """One run: `homes` says whether the repositories are told their regions."""

    def __init__(self, seed: int, changes: str, *, homes: bool = True) -> None:
        self.chance = random.Random(seed)
        _chance.seed(seed)
        table._schemas = LRU(1)
        self.loop = Loop()
        self.regions = {name: Region(name, self.loop, self.chance) for name in (HOME, OTHER)}
        self.regions[HOME].peer, self.regions[OTHER].peer = self.regions[OTHER], self.regions[HOME]
        self.down: set[str] = set()
        self.told = Told()
        self.problems: list[str] = []
        self.late = 0  # reads that were told to try again
        self.refused = 0  # changes that were told to go elsewhere
        self._homes, self._kinds = homes, CHANGES[changes]
        self._strict = homes and not set(EDITS) & set(self._kinds)
        self._moved = False  # away from its first home
        self._states: dict[int, Tags] = {0: ()}  # by version, as written
        self._ticks = self._numbers = 0
        self._tasks: list[asyncio.Task[None]] = []

    def note(self, region: Region) -> None:
        """Keep each state of the session, as long as one region writes."""
        if self._homes:
            view = look(region)
            if view.tags is not None:
                self._states.setdefault(view.version, view.tags)

    def repository(self, name: str) -> AsyncSessionRepository:
        """A new process in a region."""
        keyring = LocalKeyring(MASTER_KEY) if "reencrypt" in self._kinds else None
        region = name if self._homes else None
        made = AsyncSessionRepository("Sessions", sizes=SIZES["tiny"], home_region=region, encryption=keyring)
        made = made._with(replace(made._options, clock=self._clock))
        made._table.connection = Way(made._table.connection, self, self.regions[name])
        return made

    def _clock(self) -> int:
        self._ticks += 1
        return START_MICROSECONDS + int(self.loop.now * 1_000_000) + self._ticks

    # --- What is done ---

    async def write(self, name: str, calls: int) -> None:
        """Append, and change some of what is there, until the region is down."""
        repository = self.repository(name)
        try:
            for _ in range(calls):
                await self._change(repository)
                await asyncio.sleep(self.chance.choice([0.0, 0.05, 0.5]))
        except Crash:
            pass

    async def _change(self, repository: AsyncSessionRepository) -> None:
        kind = self.chance.choice(self._kinds)
        known = [name for name, tag in self.told.stored.items() if tag is not None and name not in self.told.open]
        if kind in WHOLE:
            await self._change_whole(repository, kind)
            return
        if kind in ("append", "batch") or not known:
            tags = tuple(self._tag(letter) for letter in ("MLML" if kind == "batch" else self.chance.choice("SML")))
            self.told.begin(tags)
            await repository.append(SESSION, [_message(tag) for tag in tags])
            self.told.end(tags)
            return
        target = self.chance.choice(known)
        try:
            if kind == "edit":
                edited = (f"{self._tag('M')}@{target}",)
                self.told.begin(edited)
                await repository.update_message(SESSION, _message(edited[0]))
                self.told.end(edited)
            else:
                self.told.begin((target,), removed=True)
                await repository.remove_message(SESSION, target)
                self.told.end((target,), removed=True)
        except (MessageNotFoundError, SessionNotFoundError):  # another writer removed it
            self.told.open.setdefault(target, set()).add(None)

    async def _change_whole(self, repository: AsyncSessionRepository, kind: str) -> None:
        """As it was just read: nothing that others append meanwhile is dropped."""
        chat = await repository.read(SESSION)
        if not chat.version:
            return
        tags, keep = _tags(chat.messages), self.chance.randrange(len(chat.messages) + 1)
        dropped = () if kind == "reencrypt" else tags if kind == "delete" else tags[keep:]
        new = tuple(self._tag(letter) for letter in self.chance.choice(["", "S", "MLMLM"]) if kind == "replace")
        undone = (*(tag for tag in dropped if _id(tag) not in self.told.open), *new)
        self.told.begin(dropped, removed=True)
        self.told.begin(new)
        try:
            if kind == "replace":
                messages = [*chat.messages[:keep], *map(_message, new)]
                await repository.replace(SESSION, messages, expected_version=chat.version)
            elif kind == "truncate":
                await repository.truncate(SESSION, keep=keep, expected_version=chat.version)
            elif kind == "delete":
                await repository.delete(SESSION, expected_version=chat.version)
            else:
                await repository.reencrypt(SESSION)
        except (VersionConflictError, SessionNotFoundError):
            self.told.withdraw(undone)
        else:
            self.told.end(dropped, removed=True)
            self.told.end(new)

    def _tag(self, letter: str) -> str:
        self._numbers += 1
        return f"m{self._numbers}{letter}"

    async def read(self, name: str) -> None:
        """Read again and again: a state that the session was in, or an error that says to try again."""
        while True:
            repository = self.repository(name)
            for _ in range(3):
                await asyncio.sleep(self.chance.uniform(0, 0.3))
                try:
                    chat = await repository.read(SESSION)
                except IncompleteSessionError:
                    self.late += 1
                    continue
                except CorruptSessionError:  # it may be older there than pages that its new home has dropped
                    if name == HOME and self._moved:
                        continue
                    raise
                except Crash:
                    return
                tags = _tags(chat.messages)
                if self._strict and tags != self._states.get(chat.version):
                    self.problems.append(f"{name} shows {tags} at {chat.version}: {self._states.get(chat.version)}")

    async def intrude(self, name: str) -> None:
        """A request that went to the wrong region."""
        repository = self.repository(name)
        for _ in range(3):
            await asyncio.sleep(self.chance.uniform(0, 1.0))
            await self._refused(repository)
            with contextlib.suppress(WrongRegionError):
                await repository.delete(SESSION, search_pages=True)

    async def _refused(self, repository: AsyncSessionRepository) -> bool:
        """Whether there is a session, which this region may not write."""
        try:
            await repository.append(SESSION, [_message("x0S")], must_exist=True)
            self.problems.append(f"{repository.home_region} took a write")
        except WrongRegionError:
            self.refused += 1
        except SessionNotFoundError:
            return False
        return True

    async def take_over(self, name: str) -> None:
        """Once all was replicated."""
        repository = self.repository(name)
        with contextlib.suppress(SessionNotFoundError):  # it was deleted, or that was begun
            if await self._refused(repository):
                await repository.take_over(SESSION)
        self._moved = name == OTHER or self._moved

    # --- The course of a run ---

    def play(self, *, fails: bool) -> Regions:
        """All of it; what was violated is in `problems`."""
        with self.loop:
            try:
                readers = [self._begin(self.read(name)) for name in (HOME, OTHER)]
                others = [] if not self._homes else [self._begin(self.intrude(OTHER))]
                writers = [self._begin(self.write(HOME, 12)) for _ in range(2)]
                if not self._homes:
                    self._wait(3)  # the session is there, in both
                    writers.append(self._begin(self.write(OTHER, 12)))
                if fails:
                    self._wait(self.chance.uniform(0.5, 3.0))
                    self.down.add(HOME)
                self._until(*writers, *others)
                self._wait(LONGEST_LAG)
                if fails:
                    self._until(self._begin(self.take_over(OTHER)))
                    self._until(self._begin(self.write(OTHER, 10)))
                    self._wait(LONGEST_LAG)
                    self.down.clear()
                    self._until(self._begin(self.take_over(HOME)))
                    self._until(self._begin(self.write(HOME, 3)))
                    self._wait(LONGEST_LAG)
                for reader in readers:
                    reader.cancel()
                for name in (HOME, OTHER):
                    self._until(self._begin(self._check(name)))
            except Exception as error:
                self.problems.append(f"{type(error).__name__}: {error}")
            finally:
                self._end()
        return self

    async def _check(self, name: str) -> None:
        chat = await self.repository(name).read(SESSION)
        self.problems += [f"{name}: {problem}" for problem in self.told.wrong(_tags(chat.messages))]

    def _begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task: asyncio.Task[None] = self.loop.create_task(work)
        self._tasks.append(task)
        return task

    def _until(self, *tasks: asyncio.Task[None]) -> None:
        self._run(lambda: all(task.done() for task in tasks))
        for task in tasks:
            task.result()

    def _wait(self, seconds: float) -> None:
        until = self.loop.now + seconds
        self.loop.call_later(seconds, lambda: None)
        self._run(lambda: self.loop.now >= until)

    def _run(self, done: Callable[[], bool]) -> None:
        self.loop.settle()
        while not done():
            self.loop.advance()
            self.loop.settle()
        for task in self._tasks:
            if task.done() and not task.cancelled() and (error := task.exception()):
                raise error

    def _end(self) -> None:
        self.down |= set(self.regions)
        for task in self._tasks:
            task.cancel()
        for _ in range(1000):
            self.loop.settle()
            if self.loop.next_timer() is None:
                return
            self.loop.advance()


def _message(tag: str) -> BaseMessage:
    return message(tag, tag.partition("@")[0][-1])


def _tags(messages: list[BaseMessage]) -> Tags:
    return tuple(str(one.content).partition(" ")[0] for one in messages)
