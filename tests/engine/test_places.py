"""The codec is told where each block is stored: what is moved or swapped there can be noticed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from conftest import RepositoryFactory
from langchain_dynamodb import AsyncSessionRepository
from langchain_dynamodb.codec.lines import UndecodableError
from langchain_dynamodb.codec.messages import Codec, Place
from langchain_dynamodb.errors import CorruptSessionError
from support import SMALL, human, many, scan, with_options

pytestmark = pytest.mark.once


@dataclass(frozen=True)
class Sealing(Codec):
    """Marks each block with its place, and opens it nowhere else."""

    def seal(self, block: bytes, place: Place) -> bytes:
        return mark(place) + block

    def open(self, stored: bytes, place: Place) -> bytes:
        if not stored.startswith(mark(place)):
            raise UndecodableError("sealed for another place")
        return stored[8:]


def mark(place: Place) -> bytes:
    """Eight bytes that stand for a place."""
    return hashlib.blake2b(repr(place).encode(), digest_size=8).digest()


@pytest.fixture
def sealing(make_repository: RepositoryFactory) -> AsyncSessionRepository:
    """A repository with such a codec."""
    return with_options(make_repository(sizes=SMALL), codec=Sealing())


async def test_every_operation_names_the_place(sealing: AsyncSessionRepository) -> None:
    """What was sealed is opened at the same place, whatever wrote it and whoever reads it."""
    model: list[BaseMessage] = []

    async def check() -> None:
        fresh = with_options(sealing)  # which remembers nothing
        assert (await fresh.read("s")).messages == model
        assert (await fresh.read("s", limit=3)).messages == model[-3:]
        assert [message async for message in fresh.iter_messages("s")] == model
        assert (await fresh.read("s", skip_missing_pages=True)).messages == model

    async def append(messages: list[BaseMessage]) -> None:
        await sealing.append("s", messages)
        model.extend(messages)
        await check()

    for messages in ([human(30)], many(1), many(1), many(12), [human(3000)], many(2)):
        await append(messages)
    await sealing.truncate("s", keep=len(model) - 1)
    del model[-1:]
    await check()
    await sealing.truncate("s", keep=5)
    del model[5:]
    await check()
    model[:] = many(20)
    await sealing.replace("s", model)
    await check()
    await append(many(3))
    await sealing.update_metadata("s", {"title": "a"})
    assert (await sealing.repair("s")).missing == []
    await check()


async def test_a_conversion_seals(make_repository: RepositoryFactory, sealing: AsyncSessionRepository) -> None:
    """Messages of an item of langchain_community are sealed when they are brought into our format."""
    messages = many(9)
    await make_repository(item_format="community").append("s", messages)
    await sealing.append("s", [HumanMessage("new")])
    assert (await with_options(sealing).read("s")).messages == [*messages, HumanMessage("new")]
    with pytest.raises(CorruptSessionError, match="unknown block format"):
        await make_repository(sizes=SMALL).read("s")


async def test_a_repair_seals_what_it_moves(sealing: AsyncSessionRepository, dynamodb: Any) -> None:
    """Of a session that lost a page in the middle, the others are written anew under other numbers."""
    messages = many(20)
    for message in messages:
        await sealing.append("s", [message])
    pages = sorted(key for item in await scan(sealing) if "~lc~" in (key := item["SessionId"]["S"]))
    dynamodb.delete_item(TableName=sealing.table_name, Key={"SessionId": {"S": pages[1]}})
    report = await with_options(sealing).repair("s")
    lost = sum(gap.messages for gap in report.missing)
    found = (await with_options(sealing).read("s")).messages
    assert lost > 0
    assert len(found) == len(messages) - lost
    assert found[-10:] == messages[-10:]


@pytest.mark.parametrize("moved", ["page to page", "entry to another session", "page to another session"])
async def test_what_is_moved_is_noticed(sealing: AsyncSessionRepository, dynamodb: Any, moved: str) -> None:
    """The data of one page in the place of another's, or in another session, is told as damage."""
    for session in ("a", "b"):
        for size in [60] * 14:
            await sealing.append(session, [AIMessage(human(size).content)])
    items = {item["SessionId"]["S"]: item for item in await scan(sealing)}
    mine = sorted(key for key in items if key.startswith("a~lc~"))
    theirs = sorted(key for key in items if key.startswith("b~lc~"))
    if moved == "entry to another session":
        items["a"]["History"] = items["b"]["History"]
        changed = items["a"]
    else:
        changed = items[mine[0]]
        changed["lc_data"] = items[mine[1] if moved == "page to page" else theirs[0]]["lc_data"]
    dynamodb.put_item(TableName=sealing.table_name, Item=changed)
    with pytest.raises(CorruptSessionError, match="sealed for another place"):
        await with_options(sealing).read("a")
