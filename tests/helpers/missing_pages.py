"""Sessions some of whose pages are lost: how they are made, and which pages to lose."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

from langchain_core.messages import BaseMessage

from conftest import RepositoryFactory
from langchain_dynamodb import AsyncSessionRepository
from support import SMALL, Chain, Clock, human, remembered, scan

Raw = dict[str, Any]


class Stored(NamedTuple):
    """A session "s": its messages, and of each page its item, the index of its first message and their number."""

    messages: list[BaseMessage]
    pages: list[tuple[Raw, int, int]]

    def without(self, lost: Sequence[int]) -> list[BaseMessage]:
        """The messages that are left when these pages are lost (those of one large message all together)."""
        gone = {i for n in lost for i in range(self.pages[n][1], self.pages[n][1] + self.pages[n][2])}
        return [message for i, message in enumerate(self.messages) if i not in gone]


async def pages(repository: AsyncSessionRepository, session: Any = "s") -> Stored:
    """Several pages, each cut by itself, and a tail."""
    sent: list[BaseMessage] = []
    while not sent or remembered(repository, session).pages < 6:
        sent.append(human(90))
        await repository.append(session, sent[-1:])
    return await look(repository, sent)


async def batch(repository: AsyncSessionRepository, session: Any = "s") -> Stored:
    """Pages that one call wrote, between two that were cut by themselves."""
    first = await pages(repository, session)
    sent: list[BaseMessage] = [human(150) for _ in range(20)]
    await repository.append(session, sent)
    cut = remembered(repository, session).pages + 2
    while remembered(repository, session).pages < cut:
        sent.append(human(90))
        await repository.append(session, sent[-1:])
    return await look(repository, first.messages + sent)


async def look(repository: AsyncSessionRepository, sent: list[BaseMessage]) -> Stored:
    """What is stored of that."""
    items = [item for item in await scan(repository) if "lc_cut" in item]
    items.sort(key=lambda item: Chain.of(item).first)
    return Stored(sent, [(item, Chain.of(item).first, Chain.of(item).messages) for item in items])


async def lose(repository: AsyncSessionRepository, items: Sequence[Raw]) -> None:
    """Remove these items behind everybody's back."""
    names = ("SessionId", "PK", "SK")
    for item in items:
        key = {name: item[name] for name in names if name in item}
        await repository._connection.call("delete_item", {"TableName": repository.table_name, "Key": key}, write=True)


async def put(repository: AsyncSessionRepository, item: Raw) -> None:
    """Store an item as it is."""
    await repository._connection.call("put_item", {"TableName": repository.table_name, "Item": item}, write=True)


LOST = {
    "first": [0],
    "first two": [0, 1],
    "middle": [2],
    "two neighbours": [2, 3],
    "every other": [1, 3, 5],
    "last": [-1],
    "last two": [-2, -1],
    "all but the first": list(range(1, 6)),
    "all": list(range(6)),
}
STATES: dict[str, Callable[[AsyncSessionRepository], Awaitable[Stored]]] = {"pages": pages, "batch": batch}


async def damaged(make: RepositoryFactory, clock: Clock, state: str, lost: Sequence[int]) -> Stored:
    """The session in that state, these pages lost, ten minutes ago."""
    writer = make(sizes=SMALL)
    stored = await STATES[state](writer)
    await lose(writer, [stored.pages[n][0] for n in lost])
    clock.advance(600)
    return stored
