"""What a write would take, in write units: for dry runs. No I/O.

A write unit is 1 KB of the larger of the item before and after. Refused writes, and those of others in between, are
not foreseen, nor are the leases of writes that take longer than a second, nor what indexes take.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from .._dynamodb.attribute_values import Item, item_bytes
from .._items.keys import SessionKey
from .._items.page_items import Page
from .._items.session_items import SessionItem
from .._items.sizes import Sizes
from .._protocol import rewrite
from .._protocol.community import Conversion
from .._protocol.pages import Batch
from .._store.table import Table
from .._store.whole_sessions import Whole
from ..codec import messages as codec
from ..codec.long_lines import Line

INTENT_BYTES = 120  # on the item, while a write of several requests is under way
MAX_ITEM = 409_600
PAGE_KEY_BYTES = 28  # that the suffix adds


def units(size: int) -> int:
    """Write units of one item of so many bytes."""
    return max(1, math.ceil(size / 1024))


def page_units(key: SessionKey, pages: Iterable[Page], table: Table) -> int:
    """Of putting these pages; what is in objects costs none."""
    stored = (table.objects.planned(page).attributes(table.names) for page in pages)
    return sum(units(key.size + PAGE_KEY_BYTES + item_bytes(attributes)) for attributes in stored)


def begin_units(key: SessionKey, state: rewrite.Exchange | Batch, table: Table, whole: Whole) -> int:
    """Of a session that is begun whole."""
    own = key.size + item_bytes(whole.own or {})
    if isinstance(state, rewrite.Exchange):
        return units(own + item_bytes(state.new.attributes(table.names)))
    new = state.commit(state.base)
    declared = key.size + item_bytes(state.base.attributes(table.names)) + INTENT_BYTES
    committed = own + item_bytes(new.attributes(table.names))
    return units(declared) + page_units(key, state.pages(state.base), table) + units(max(declared, committed))


def rewrite_units(key: SessionKey, item: SessionItem, state: rewrite.Exchange | Batch, table: Table, old: int) -> int:
    """Of a session that is written anew, about; its pages take `old` units to delete."""
    before = key.size + item_bytes(item.own) + item_bytes(item.attributes(table.names))
    new = state.new if isinstance(state, rewrite.Exchange) else state.commit(item)
    after = key.size + item_bytes(item.own) + item_bytes(new.attributes(table.names))
    tidied = old + rewrite.rewrite_start(item) - item.pages + units(after)  # numbers without a page are deleted as well
    if isinstance(state, rewrite.Exchange):
        return units(max(before, after)) + tidied
    declared = before + INTENT_BYTES
    return units(declared) + page_units(key, state.pages(item), table) + units(max(declared, after)) + tidied


def conversion_units(key: SessionKey, size: int, decided: Conversion, table: Table) -> int:
    """Of converting an item of langchain_community of so many bytes."""
    after = key.size + item_bytes(decided.new.attributes(table.names))
    if not decided.pages:
        return units(max(size, after))
    declared = size + INTENT_BYTES
    announced = units(declared) if declared <= MAX_ITEM else 0
    return announced + page_units(key, decided.pages, table) + units(max(declared, after))


def append_units(lines: Sequence[Line], sizes: Sizes | None = None) -> int:
    """Of an append of these, about: the session item twice, and the pages."""
    size = len(codec.pack(lines)) if lines else 0
    item = (sizes or Sizes()).session_item
    return units(item) if size < item // 2 else 2 * units(item) + units(size)


def describe_units(sizes: Sizes | None = None) -> int:
    """Of setting metadata, attributes or an expiry, about: the session item once."""
    return units((sizes or Sizes()).session_item)


def delete_units(item: int, pages: Iterable[Item], numbers: int) -> int:
    """Of deleting a session whose item has so many bytes, with these pages; one unit for a number that has none."""
    sizes = [units(item_bytes(page)) for page in pages]
    return 2 * units(item + INTENT_BYTES) + sum(sizes) + numbers - len(sizes)
