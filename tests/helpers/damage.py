"""Sessions as they are really stored, in every state, and every way to damage one attribute of theirs."""

from __future__ import annotations

import copy
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, NamedTuple

import pytest
from langchain_core.messages import BaseMessage

from conftest import RepositoryFactory
from langchain_dynamodb import AsyncSessionRepository
from langchain_dynamodb._dynamodb.client_settings import ConnectionSettings
from langchain_dynamodb._dynamodb.connection import Connection
from support import SMALL, Crash, Crashing, human, scan, watch

Raw = dict[str, Any]
KEY = "SessionId"
TTL = 10**9  # so far away that one more or less is not the past


class Stored(NamedTuple):
    """The items of session "s", the messages that readers see, and those they saw before a delete began."""

    items: list[Raw]
    messages: list[BaseMessage]
    deleted: list[BaseMessage]


class Damage(NamedTuple):
    """One change to one stored item: what was done to which attribute."""

    index: int
    attribute: str
    what: str
    value: Any  # None: the attribute is missing

    def applied(self, items: list[Raw]) -> list[Raw]:
        """The items with the damage."""
        damaged = list(items)
        damaged[self.index] = {name: value for name, value in items[self.index].items() if name != self.attribute}
        if self.value is not None:
            damaged[self.index][self.attribute] = self.value
        return damaged


WRONG: dict[str, Any] = {
    "missing": None,
    "S": {"S": "wrong"},
    "empty S": {"S": ""},
    "N": {"N": "7"},
    "0": {"N": "0"},
    "-1": {"N": "-1"},
    "fraction": {"N": "1.5"},
    "2**31": {"N": str(2**31)},
    "38 digits": {"N": "9" * 38},
    "1E125": {"N": "1" + "0" * 125},
    "1E-130": {"N": "0." + "0" * 129 + "1"},
    "B": {"B": b"wrong"},
    "empty B": {"B": b""},
    "BOOL": {"BOOL": True},
    "NULL": {"NULL": True},
    "L": {"L": []},
    "L of S": {"L": [{"S": "wrong"}]},
    "M": {"M": {}},
    "M of M": {"M": {"a": {"M": {}}}},
    "SS": {"SS": ["wrong"]},
    "NS": {"NS": ["7"]},
    "BS": {"BS": [b"wrong"]},
}


def damages(items: list[Raw]) -> Iterator[Damage]:
    """Every damage to every attribute but the key."""
    for index, item in enumerate(items):
        for attribute in item:
            if attribute != KEY:
                for what, value in changed(item[attribute]):
                    yield Damage(index, attribute, what, value)


def changed(value: Raw) -> Iterator[tuple[str, Any]]:
    """Other values in its place: of every type, and of its own."""
    yield from WRONG.items()
    ((kind, content),) = value.items()
    if kind == "N":
        yield from ((f"{n:+}", {"N": str(int(content) + n)}) for n in (-1, 1))
    if kind == "B":
        cut = {f"cut at {n}": content[:n] for n in (1, 5, len(content) // 2, len(content) - 1)}
        others = {"format": b"\x63" + content[1:], "more": content + b"x", "flipped": content[:-3] + b"\xff\xff\xff"}
        yield from ((what, {"B": other}) for what, other in (cut | others).items())
    if kind == "L" and content:
        yield "shorter", {"L": content[:-1]}
        yield "doubled", {"L": content + content}
        yield from ((f"[0] {what}", {"L": [v, *content[1:]]}) for what, v in changed(content[0]) if v)
    if kind == "M":
        for name in content:
            rest = {other: content[other] for other in content if other != name}
            for what, v in changed(content[name]):
                yield f"[{name}] {what}", {"M": {**rest, name: v} if v else rest}


class Items(Connection):
    """A DynamoDB that holds these items and can only be read."""

    def __init__(self, items: list[Raw]) -> None:
        super().__init__(ConnectionSettings())
        self.items = {item[KEY]["S"]: item for item in items}

    async def call(self, operation: str, request: Mapping[str, Any], **options: bool) -> dict[str, Any]:
        if operation == "get_item":
            found = self.items.get(request["Key"][KEY]["S"])
            return {"Item": copy.deepcopy(found)} if found else {}
        assert operation == "batch_get_item"
        ((table, query),) = request["RequestItems"].items()
        keys = [key[KEY]["S"] for key in query["Keys"]]
        assert len(keys) <= 100
        return {"Responses": {table: [copy.deepcopy(self.items[key]) for key in keys if key in self.items]}}


def over(items: list[Raw], **options: Any) -> AsyncSessionRepository:
    """A repository that reads these items."""
    repository = AsyncSessionRepository("Table", sizes=SMALL, **options)
    repository._table.connection = Items(items)
    return repository


def aged(items: list[Raw]) -> list[Raw]:
    """The items as if nothing had been written for ten minutes: what is missing then is not just late."""
    name = "lc_updated"
    return [{**i, name: {"N": str(int(i[name]["N"]) - 600_000_000)}} if name in i else i for i in items]


# -- states of a session ----------------------------------------------------------------------------------------


async def crash(repository: AsyncSessionRepository, at: int, call: Callable[[], Awaitable[object]]) -> None:
    """Let a call die right after its request number `at`."""
    watcher = watch(repository, Crashing, at, True)
    with pytest.raises(Crash):
        await call()
    repository._table.connection = watcher.inner


async def fill(repository: AsyncSessionRepository, turns: int = 9) -> None:
    """Append until there are some pages."""
    for _ in range(turns):
        await repository.append("s", [human(90), human(20)])


async def tail(make: RepositoryFactory) -> AsyncSessionRepository:
    """No pages yet."""
    repository = make(sizes=SMALL)
    await fill(repository, 2)
    return repository


async def pages(make: RepositoryFactory) -> AsyncSessionRepository:
    """Pages, metadata, a stamp, and a tail."""
    repository = make(sizes=SMALL, ttl=TTL)
    await fill(repository)
    await repository.update_metadata("s", {"title": "t", "tags": ["a", 1]})
    await repository.append("s", [human(90)])
    return repository


async def parts(make: RepositoryFactory) -> AsyncSessionRepository:
    """A message cut over several pages."""
    repository = make(sizes=SMALL)
    await repository.append("s", [human(10), human(3000), human(20)])
    await repository.append("s", [human(30)])
    return repository


async def rewritten(make: RepositoryFactory) -> AsyncSessionRepository:
    """A rewritten history of which old pages were dropped."""
    repository = make(sizes=SMALL)
    await fill(repository)
    await repository.truncate("s", keep=7)
    await repository.append("s", [human(50)], history_size=6)
    await repository.append("s", [human(350)], history_size=6)
    await repository.append("s", [human(50)], history_size=6)
    return repository


async def intent(make: RepositoryFactory) -> AsyncSessionRepository:
    """A batch whose writer died."""
    repository = make(sizes=SMALL)
    await fill(repository, 5)
    await crash(repository, 3, lambda: repository.append("s", [human(400) for _ in range(4)]))
    return repository


async def unborn(make: RepositoryFactory) -> AsyncSessionRepository:
    """The same, in a session that is not there yet."""
    repository = make(sizes=SMALL)
    await crash(repository, 3, lambda: repository.append("s", [human(400) for _ in range(4)]))
    return repository


async def deleting(make: RepositoryFactory) -> AsyncSessionRepository:
    """A delete that died after its mark."""
    repository = make(sizes=SMALL)
    await fill(repository, 5)
    await crash(repository, 2, lambda: repository.delete("s"))
    return repository


async def community(make: RepositoryFactory) -> AsyncSessionRepository:
    """The format of langchain_community, written by us."""
    repository = make(item_format="community", ttl=TTL)
    await fill(repository, 2)
    return repository


async def converting(make: RepositoryFactory) -> AsyncSessionRepository:
    """A conversion of that which died."""
    repository = make(sizes=SMALL)
    await fill(make(item_format="community"), 6)
    await crash(repository, 3, lambda: repository.append("s", [human(90)]))
    return repository


STATES = {state.__name__: state for state in (tail, pages, parts, rewritten, intent, unborn, deleting)}
STATES |= {state.__name__: state for state in (community, converting)}


async def stored(make: RepositoryFactory, state: str) -> Stored:
    """A session in that state, the session item first."""
    repository = await STATES[state](make)
    items = aged(sorted(await scan(repository), key=lambda item: str(item[KEY]["S"])))
    seen = (await make().read("s")).messages
    before = list(seen)
    if state == "deleting":
        shown = [{name: value for name, value in items[0].items() if name != "lc_intent"}, *items[1:]]
        before = (await over(shown).read("s")).messages
    return Stored(items, seen, before)
