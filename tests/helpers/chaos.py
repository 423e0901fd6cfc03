"""Clients that do everything at once to one session, and the history of what they did and saw."""

from __future__ import annotations

import functools
import itertools
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from dataclasses import replace
from typing import Any, TypeVar

import pytest
from langchain_core.messages import BaseMessage, HumanMessage

import session_model as model
from langchain_dynamodb import AsyncSessionRepository
from langchain_dynamodb._protocol.unknown_outcome import Doubt
from langchain_dynamodb._store.appending import Appender
from langchain_dynamodb._store.reading import Reader
from langchain_dynamodb._store.retrying import Patience
from langchain_dynamodb._store.steps import Steps
from langchain_dynamodb._store.stored_pages import StoredPages
from langchain_dynamodb._store.table import Table
from langchain_dynamodb.errors import (
    ChatHistoryError,
    MessageNotFoundError,
    OutcomeUnknownError,
    SessionBusyError,
    SessionNotFoundError,
    StorageError,
    VersionConflictError,
)
from linearizability import NotLinearizable, Operation, linearize
from session_model import Change, State, Step, Tags

T = TypeVar("T")

APPENDING = ("append", "append", "append", "guarded", "batch", "large", "metadata", "read", "window", "iterate")
REWRITING = (*APPENDING, "replace", "truncate", "truncate", "remove", "remove")
DELETING = (*REWRITING, "delete", "delete")


def tags_of(messages: Sequence[BaseMessage]) -> Tags:
    """The names of messages: ``batch.index.size``."""
    return tuple(str(message.content).partition(" ")[0] for message in messages)


class History:
    """What the clients of one session did, on a clock of ticks that all of them share."""

    def __init__(self, session: str, deletes: bool) -> None:
        self.session = session
        self.deletes = deletes
        self.operations: list[Operation] = []
        self.acknowledged: dict[Tags, int] = {}  # appends, and the version told
        self.outcomes: Counter[str] = Counter()
        self.conflicts: list[tuple[int, int | None, int]] = []  # told as expected, expected, actual
        self.latest = 0  # version that anybody was told
        self._seen: dict[str, int] = {}  # messages, and the least version they were read at
        self._contents: dict[int, Tags] = {}
        self._orders: set[Tags] = set()  # contents as seen
        self._batches: dict[str, str] = {}  # writes, and the batches they wrote
        self._unknown: list[tuple[str, int, Step, Tags]] = []
        self._sent: list[tuple[str, int, Change, Tags]] = []
        self._ticks = itertools.count(1)

    def tick(self) -> int:
        """A moment."""
        return next(self._ticks)

    def sent(self, name: str, begin: int, change: Change, tags: Tags) -> None:
        """A write began."""
        if tags:
            self._batches[name] = batch_of(tags[0])
        self._sent.append((name, begin, change, tags))

    def saw(self, name: str, begin: int, step: Step, version: int | None = None, tags: Tags = ()) -> None:
        """A read ended now, or a write that told no more than a version."""
        self._orders.add(tags)
        for tag in tags:
            self._seen[tag] = min(version or self.latest, self._seen.get(tag, version or self.latest))
        self.latest = max(self.latest, version or 0)
        self.operations.append(Operation(name, begin, step, self.tick(), (version or self.latest) + 0.5))

    def snapshot(self, version: int, tags: Tags) -> None:
        """All messages at a version: the same for whoever reads it."""
        assert self._contents.setdefault(version, tags) == tags, f"version {version} has two contents"

    def wrote(self, name: str, begin: int, change: Change, version: int | None, expected: int | None) -> None:
        """A write was acknowledged now."""
        if version is None:
            step = model.wrote(change, None, expected)
            self.operations.append(Operation(name, begin, step, self.tick(), self.latest + 0.5))
        else:
            self.latest = max(self.latest, version)
            self.operations += model.acknowledged(name, begin, self.tick(), change, version, expected)

    def never_told(self, name: str, begin: int, step: Step, tags: Tags) -> None:
        """Nobody knows whether this write happened, or when."""
        self._unknown.append((name, begin, step, tags))

    def check(self) -> None:
        """Raise unless all that was seen can have happened one after the other."""
        assert [c for c in self.conflicts if c[0] != c[1] or c[0] == c[2]] == []
        try:
            self._explain(unseen=False)
        except NotLinearizable:  # a write whose messages nobody saw may still show by what it removed or by a count
            self._explain(unseen=True)

    def _explain(self, unseen: bool) -> None:
        """Find an order, with or without writes of unknown outcome whose messages nobody saw."""
        hints = self._hints()
        history = [_hinted(o, hints.get(self._batches.get(o.name.partition(" ->")[0], ""))) for o in self.operations]
        for name, begin, step, tags in self._unknown:
            kind = None if tags else name.partition(" ")[2]
            hint = min((self._seen.get(tag, float("inf")) for tag in tags), default=float("inf"))
            if unseen or not tags or hint < float("inf"):
                history.append(Operation(f"{name}?", begin, step, hint=hint, kind=kind))
        for name, begin, change, tags in self._sent if self.deletes else ():
            if change is model.update_metadata or self._seen.keys() & set(tags):
                kind = None if tags else "metadata again"
                history.append(Operation(f"{name} again", begin, model.revived(change), kind=kind))
        try:
            linearize(history, State())
        except AssertionError as error:
            shown = [f"{o.begin}-{o.end} {o.name}" for o in sorted(history, key=lambda o: o.begin)]
            raise type(error)("\n".join([str(error), "history:", *shown])) from None

    def _hints(self) -> dict[str, float]:
        """For each batch the version by which it must have been there: it comes before those seen after it."""
        hints: dict[str, float] = {}
        for tag, version in self._seen.items():
            hints[batch_of(tag)] = min(version, hints.get(batch_of(tag), version))
        for operation in self.operations:
            batch = self._batches.get(operation.name.partition(" ->")[0])
            if batch in hints:
                hints[batch] = min(hints[batch], operation.hint)
        for tags in sorted(self._orders, key=len, reverse=True):
            batches = list(dict.fromkeys(map(batch_of, tags)))
            for earlier, later in zip(batches[-2::-1], batches[:0:-1], strict=True):
                hints[earlier] = min(hints[earlier], hints[later] - 0.001)
        return hints

    def check_appends(self, tags: Tags) -> None:
        """Where there were only appends: acknowledged ones are there once, all others at most once, none in part."""
        assert len(set(tags)) == len(tags)
        assert {tag for batch in self.acknowledged for tag in batch} <= set(tags)
        there = [batch for _, _, _, batch in self._sent if batch and batch[0] in tags]
        assert {batch: tags[tags.index(batch[0]) :][: len(batch)] for batch in there} == {
            batch: batch for batch in there
        }
        assert sum(map(len, there)) == len(tags)


def batch_of(tag: str) -> str:
    """The batch that a message is of."""
    return tag.partition(".")[0]


def _hinted(operation: Operation, hint: float | None) -> Operation:
    """A write with a better hint; what it was told keeps its own."""
    told = hint is None or " told " in operation.name
    return operation if told else replace(operation, hint=min(operation.hint, hint))


class Client:
    """One of several that change and read a session; `name` and the seed decide what it does."""

    def __init__(self, name: str, repository: AsyncSessionRepository, seed: int, history: History) -> None:
        self.name = name
        self.repository = repository
        self.chance = random.Random(f"{seed} {name} does")
        self.history = history
        self.version = 0  # last seen
        self.seen: Tags = ()
        self.batches = 0

    async def run(self, kinds: Sequence[str], operations: int) -> None:
        """Do so many things of these kinds."""
        for _ in range(operations):
            await getattr(self, self.chance.choice(kinds))()

    async def append(self, expected: int | None = None, sizes: Sequence[int] | None = None) -> None:
        """A turn of one or two messages."""
        sizes = sizes or [self.chance.choice([20, 60, 150, 860])] * self.chance.choice([1, 1, 2])
        messages = self._batch(sizes)
        tags = tags_of(messages)
        key = self.name + tags[0] if self.chance.random() < 0.2 else None
        call = functools.partial(
            self.repository.append, self.history.session, messages, expected_version=expected, idempotency_key=key
        )
        version = await self._write("append", call, model.append(tags), tags, expected)
        if version:
            self.history.acknowledged[tags] = version

    async def guarded(self) -> None:
        """An append at the version last seen."""
        await self.append(expected=self.version)

    async def batch(self) -> None:
        """An append of several pages, at times guarded."""
        sizes = [self.chance.choice([100, 300, 600]) for _ in range(self.chance.randint(4, 9))]
        await self.append(self.version if self.chance.random() < 0.2 else None, sizes)

    async def large(self) -> None:
        """A message that needs several items."""
        await self.append(sizes=[4000])

    async def replace(self) -> None:
        """The history exchanged for another, or for none."""
        sizes = [self.chance.choice([60, 400]) for _ in range(self.chance.choice([0, 1, 2, 6]))]
        messages = self._batch(sizes)
        tags = tags_of(messages)
        call = functools.partial(self.repository.replace, self.history.session, messages)
        await self._write("replace", call, model.replace(tags), tags)

    async def truncate(self) -> None:
        """The end of the history cut off."""
        keep = self.chance.randint(0, 14)
        call = functools.partial(self.repository.truncate, self.history.session, keep=keep, must_exist=False)
        await self._write(f"truncate to {keep}", call, model.truncate(keep))

    async def remove(self) -> None:
        """One message less, of those seen last."""
        if not self.seen:
            return
        tag, begin = self.chance.choice(self.seen), self.history.tick()
        call = functools.partial(self.repository.remove_message, self.history.session, tag)
        try:
            await self._write(f"remove {tag}", call, model.remove(tag))
        except (MessageNotFoundError, SessionNotFoundError) as error:
            self.history.outcomes[f"remove: {type(error).__name__}"] += 1
            self.history.saw(f"{self.name} found no {tag}", begin, model.lacks(tag))

    async def metadata(self) -> None:
        """A change beside the messages."""
        metadata = {"n": self.chance.random()}
        update = self.repository.update_metadata
        call = functools.partial(update, self.history.session, metadata, must_exist=False)
        await self._write("metadata", call, model.update_metadata)

    async def delete(self) -> None:
        """Everything removed; half-way through it may be hidden, whatever the error."""
        call = functools.partial(self.repository.delete, self.history.session)
        await self._write("delete", call, model.delete, halfway=(StorageError, SessionBusyError))

    async def read(self) -> None:
        """The whole session."""
        begin = self.history.tick()
        chat = await self._told("read", self.repository.read(self.history.session))
        if chat is not None:
            tags = tags_of(chat.messages)
            self.history.snapshot(chat.version, tags)
            self.seen = tags
            step = model.read(chat.version, tags, count=chat.message_count)
            self.history.saw(f"{self.name} read {chat.version}: {' '.join(tags)}", begin, step, chat.version, tags)
            self.version = chat.version

    async def window(self) -> None:
        """The newest few messages, where there is anything new."""
        begin, limit = self.history.tick(), self.chance.randint(0, 12)
        unless = self.version if self.chance.random() < 0.5 else None
        reading = self.repository.read(self.history.session, limit=limit, unless_version=unless)
        chat = await self._told("window", reading, unchanged=unless)
        if chat is not None:
            tags = tags_of(chat.messages)
            step = model.read(chat.version, tags, limit, chat.message_count)
            self.history.saw(f"{self.name} window {chat.version}: {' '.join(tags)}", begin, step, chat.version, tags)
            self.version = chat.version

    async def iterate(self) -> None:
        """The whole session, page by page."""

        async def collected() -> list[BaseMessage]:
            return [message async for message in self.repository.iter_messages(self.history.session)]

        begin = self.history.tick()
        messages = await self._told("iterate", collected())
        if messages is not None:
            tags = tags_of(messages)
            self.history.saw(f"{self.name} iterated {' '.join(tags)}", begin, model.iterated(tags), tags=tags)

    def _batch(self, sizes: Sequence[int]) -> list[BaseMessage]:
        self.batches += 1
        name = f"{self.name}{self.batches}"
        noise = (self.chance.randbytes(size // 2).hex() for size in sizes)
        tags = (f"{name}.{i}.{len(sizes)}" for i in range(len(sizes)))
        return [HumanMessage(f"{tag} {text}", id=tag) for tag, text in zip(tags, noise, strict=True)]

    async def _told(self, name: str, reading: Awaitable[T], unchanged: int | None = None) -> T | None:
        """What a read returned; None where it failed in a way that reads may fail, or there was nothing new."""
        begin = self.history.tick()
        try:
            result = await reading
        except (StorageError, SessionBusyError, VersionConflictError) as error:
            self.history.outcomes[f"{name}: {type(error).__name__}"] += 1
            return None
        self.history.outcomes[name] += 1
        if result is None and unchanged is not None:
            self.history.saw(f"{self.name} unchanged at {unchanged}", begin, model.saw_version(unchanged), unchanged)
        return result

    async def _write(
        self,
        kind: str,
        call: Callable[[], Awaitable[int | None]],
        change: Change,
        tags: Tags = (),
        expected: int | None = None,
        halfway: tuple[type[ChatHistoryError], ...] = (),
    ) -> int | None:
        """The version told; None where the write failed or nobody knows."""
        begin = self.history.tick()
        name = " ".join(filter(None, [self.name, kind, *tags[:1], f"at {expected}" if expected is not None else ""]))
        self.history.sent(name, begin, change, tags)
        try:
            version = await call()
        except (OutcomeUnknownError, *halfway) as error:
            self.history.outcomes[f"{kind.split()[0]}: {type(error).__name__}"] += 1
            self.history.never_told(name, begin, model.perhaps(change, expected), tags)
            return None
        except VersionConflictError as error:
            self.history.outcomes[f"{kind.split()[0]}: {type(error).__name__}"] += 1
            self.version = error.actual
            self.history.conflicts.append((error.expected, expected, error.actual))
            self.history.saw(f"{name} refused at {error.actual}", begin, model.saw_version(error.actual), error.actual)
            return None
        except (StorageError, SessionBusyError) as error:
            self.history.outcomes[f"{kind.split()[0]}: {type(error).__name__}"] += 1
            return None
        self.history.outcomes[kind.split()[0]] += 1
        told = name if version is None else f"{name} -> {version}"
        self.history.wrote(told, begin, change, version, expected)
        self.version = version or 0
        return version


PATHS: dict[str, tuple[type, str]] = {
    "page cut": (Appender, "_cut"),
    "cut met another's page": (Appender, "_bump"),
    "batch of several pages": (Appender, "_batch"),
    "looked for a lost append in pages": (Appender, "_in_pages"),
    "outcome of an append unknown for a while": (Doubt, "widen"),
    "busy session leased": (Steps, "lease"),
    "unfinished write taken over": (Steps, "take_back"),
    "own intent given back": (Steps, "_give_back"),
    "write under an intent": (Steps, "under_intent"),
    "page edited": (Table, "edit_page"),
    "old pages deleted": (Table, "delete_pages"),
    "pages of unfinished writes deleted": (Table, "discard_pages"),
    "read looked whether the session was rewritten": (Reader, "is_unchanged"),
}


def count_paths(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count how often each of the protocol's rarer paths is taken from now on."""
    taken: Counter[str] = Counter(dict.fromkeys([*PATHS, "lease waited for", "pages read again strongly"], 0))

    def counted(path: str, method: Callable[..., T]) -> Callable[..., T]:
        @functools.wraps(method)
        def call(*arguments: Any, **options: Any) -> T:
            taken[path] += 1
            return method(*arguments, **options)

        return call

    for path, (owner, name) in PATHS.items():
        monkeypatch.setattr(owner, name, counted(path, getattr(owner, name)))
    wait = Patience.wait

    async def waiting(self: Patience, at_least: float = 0.0) -> None:
        taken["lease waited for"] += at_least > 0
        await wait(self, at_least)

    monkeypatch.setattr(Patience, "wait", waiting)
    chain, get_pages = StoredPages._chain, Table.get_pages
    verifying: ContextVar[bool] = ContextVar("verifying", default=False)

    async def chaining(self: StoredPages, *arguments: Any) -> Any:
        token = verifying.set(True)
        try:
            return await chain(self, *arguments)
        finally:
            verifying.reset(token)

    async def getting(self: Table, *arguments: Any, consistent: bool, **options: Any) -> Any:
        taken["pages read again strongly"] += consistent and verifying.get()
        return await get_pages(self, *arguments, consistent=consistent, **options)

    monkeypatch.setattr(StoredPages, "_chain", chaining)
    monkeypatch.setattr(Table, "get_pages", getting)
    return taken
