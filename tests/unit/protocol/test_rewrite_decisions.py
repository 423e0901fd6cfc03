"""What a rewrite of the whole history becomes (rule 4), and a conversion."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evaluation import KEY, NOW, OTHER, SESSION, line, native
from langchain_dynamodb._items.community_item import CommunityItem
from langchain_dynamodb._items.session_items import SessionItem
from langchain_dynamodb._items.sizes import Sizes
from langchain_dynamodb._protocol import community, rewrite
from langchain_dynamodb._protocol.expiry import NO_EXPIRY, THIRTY_DAYS, Expiries
from langchain_dynamodb._protocol.pages import Batch, Destination
from langchain_dynamodb.codec.messages import Codec, unpack

SIZES = Sizes(session_item=700, page=500, item=900)
TO = Destination(KEY, Codec(), SIZES)
SHORT = [line("a"), line("b")]
LONG = [line(f"{number} " + "".join(f"{number * digit:x}" for digit in range(60))) for number in range(12)]
MOST = 1 << 20


def rewritten(lines: list[bytes], item: SessionItem | None) -> SessionItem:
    """The state after a rewrite that needs no pages."""
    decision = rewrite.decide(lines, item, TO, OTHER, NOW, NO_EXPIRY)
    assert isinstance(decision, rewrite.Exchange)
    return decision.new


def batch_of(lines: list[bytes], item: SessionItem | None, times: Expiries = NO_EXPIRY) -> Batch:
    """A rewrite that needs pages."""
    decision = rewrite.decide(lines, item, TO, OTHER, NOW, times)
    assert isinstance(decision, Batch)
    return decision


def test_a_short_history_is_one_exchange() -> None:
    """All of it is in the tail; the old pages are dropped, the id of the change is on the item."""
    new = rewritten(SHORT, SESSION)
    assert [unpack(entry, MOST) for entry in new.tail] == [SHORT]
    assert (new.version, new.generation, new.change) == (SESSION.version + 1, SESSION.generation, OTHER)
    assert (new.count, new.trimmed, new.tail_start, new.message_count) == (2, 0, 0, 2)
    assert new.first_page == new.pages > SESSION.pages
    assert (new.tail_ops, new.page_ops) == (frozenset(), frozenset())


def test_no_history_is_one_exchange_too() -> None:
    """The session stays, with its metadata."""
    titled = replace(SESSION, metadata={"M": {"title": {"S": "t"}}})
    new = rewritten([], titled)
    assert (new.tail, new.count, new.message_count) == ((), 0, 0)
    assert (new.created, new.metadata) == (SESSION.created, titled.metadata)


def test_a_session_is_begun() -> None:
    """Where there is none, the clock is its version and its generation."""
    new = rewritten(SHORT, None)
    assert (new.version, new.generation, new.created) == (NOW + 1, NOW, NOW)


@pytest.mark.parametrize(("reach", "first"), [(-1, 6), (4, 6), (9, 10)])
def test_its_pages_have_numbers_that_were_never_used(reach: int, first: int) -> None:
    """One at least is skipped, and all that an unfinished write may have left: no fence lets an append pass."""
    batch = batch_of(LONG, replace(SESSION, reach=reach))
    pages = batch.pages(batch.base)
    assert [page.number for page in pages] == list(batch.numbers) == list(range(first, first + len(pages)))


def test_its_pages_are_the_history() -> None:
    """In order, each at the index of its first message, cut at the state that has the intent."""
    batch = batch_of(LONG, SESSION)
    start = replace(SESSION, version=SESSION.version + 1)
    pages = batch.pages(start)
    assert [found for page in pages for found in unpack(page.data, MOST)] == LONG
    assert [page.first for page in pages] == [
        sum(page.messages for page in pages[:number]) for number in range(len(pages))
    ]
    assert {page.cut for page in pages} == {start.version}
    assert [page.previous for page in pages] == [0] + [start.version] * (len(pages) - 1)


def test_its_commit() -> None:
    """The new pages are the history and the old ones are not, but stay on record until they are removed."""
    batch = batch_of(LONG, SESSION)
    new = batch.commit(replace(SESSION, version=SESSION.version + 1, reach=batch.numbers.stop - 1))
    assert (new.first_page, new.pages, new.floor) == (batch.first, batch.numbers.stop, SESSION.floor)
    assert (new.version, new.page_version) == (SESSION.version + 2, SESSION.version + 1)
    assert (new.count, new.tail_start, new.tail, new.reach) == (len(LONG), len(LONG), (), -1)


def test_pages_of_a_session_that_expires_do_so_later() -> None:
    """They get the stamp for pages, and the earliest is noted."""
    batch = batch_of(LONG, SESSION, Expiries(100, 200))
    assert {page.expires for page in batch.pages(SESSION)} == {200}
    assert (batch.commit(SESSION).expires, batch.commit(SESSION).pages_expire) == (100, 200)


def test_a_short_conversion_needs_no_pages() -> None:
    """The item is exchanged; ids of appends that it remembered stay known."""
    item = CommunityItem({"L": [native("a"), native("b")]}, ops=frozenset([OTHER]))
    new, pages = community.decide(SHORT, item, TO, b"convert.", NOW, None)
    assert pages == []
    assert (new.version, new.generation, new.created, new.count) == (NOW, NOW, NOW, 2)
    assert (new.tail_ops | new.page_ops, new.expires) == (frozenset([OTHER]), None)


def test_a_long_conversion_begins_with_page_0() -> None:
    """There has been no page of that name; its stamp, and its pages', are of the item's expiry."""
    expires = NOW // 1_000_000 + 60
    item = CommunityItem({"L": [native("a")]}, expires=expires)
    new, pages = community.decide(LONG, item, TO, b"convert.", NOW, None)
    assert [page.number for page in pages] == list(range(len(pages)))
    assert [found for page in pages for found in unpack(page.data, MOST)] == LONG
    assert (new.pages, new.page_version, new.tail_start, new.count) == (len(pages), NOW, len(LONG), len(LONG))
    assert (new.expires, {page.expires for page in pages}) == (expires, {expires + THIRTY_DAYS})
