"""What a write would take, where that needs a look at the pages that are there: for dry runs."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from .._dynamodb.attribute_values import Item, item_bytes
from .._items.community_item import CommunityItem, State
from .._items.keys import SessionKey
from .._items.session_items import Intent, SessionItem, new_op
from .._protocol import community
from .._store.off_loop import off_loop_if_many
from ..codec.long_lines import Line
from ..repository import AsyncSessionRepository
from .estimates import conversion_units, delete_units, units


def stored_size(sessions: AsyncSessionRepository, key: SessionKey, item: State) -> int:
    """Bytes of a session item."""
    return key.size + item_bytes({**item.own, **item.attributes(sessions._table.names)})


async def community_units(
    sessions: AsyncSessionRepository, key: SessionKey, item: CommunityItem, lines: Sequence[Line]
) -> int:
    """Of converting an item of langchain_community with these messages."""
    steps = sessions._pages.steps
    destination = await steps.destination(key, None)

    def cost() -> int:
        decided = community.decide(lines, item, destination, new_op(), steps.clock(), None)
        return conversion_units(key, stored_size(sessions, key, item), decided, steps.table)

    return await off_loop_if_many(lines, cost)


async def deletion_units(sessions: AsyncSessionRepository, key: SessionKey, item: State) -> int:
    """Of deleting a session with all its pages."""
    size = stored_size(sessions, key, item)
    if isinstance(item, CommunityItem):
        return units(size)
    numbers = range(item.floor, max(item.pages, item.reach) + 1)
    return delete_units(size, await stored_pages(sessions, key, item.generation, numbers), len(numbers))


async def settling_units(sessions: AsyncSessionRepository, key: SessionKey, item: State, intent: Intent) -> int:
    """Of ending a write that has stopped half-way."""
    size = stored_size(sessions, key, item)
    if intent.kind == "delete":  # which is marked already
        return await deletion_units(sessions, key, item) - units(size)
    numbers = range(intent.first, intent.last + 1)
    pages = await stored_pages(sessions, key, intent.generation, numbers)
    return 2 * units(size) + sum(units(item_bytes(page)) for page in pages) + len(numbers) - len(pages)


async def pages_units(sessions: AsyncSessionRepository, key: SessionKey, item: SessionItem) -> int:
    """Of deleting its pages, or putting them anew."""
    pages = await stored_pages(sessions, key, item.generation, range(item.floor, item.pages))
    return sum(units(item_bytes(page)) for page in pages)


async def stored_pages(
    sessions: AsyncSessionRepository, key: SessionKey, generation: int, numbers: Collection[int]
) -> list[Item]:
    """The items of those of these pages that are there."""
    table = sessions._table
    there = await table.get_pages(key, generation, numbers, consistent=False, whole=True, unreadable=set())
    return [{**key.page(generation, n), **page.attributes(table.names)} for n, page in there.items()]
