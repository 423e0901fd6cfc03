"""What a read proves and asks for (rules 5 and 6), on pages held in memory: one snapshot, or an error that names it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import replace

import pytest

from evaluation import KEY, NAMES, NOW, SESSION, line
from langchain_dynamodb._items.page_items import Page
from langchain_dynamodb._items.session_items import SessionItem
from langchain_dynamodb._store.cache import LRU
from langchain_dynamodb._store.decoding import Decoder
from langchain_dynamodb._store.page_objects import PageObjects
from langchain_dynamodb._store.reading import Reader
from langchain_dynamodb._store.stored_pages import StoredPages
from langchain_dynamodb.codec.messages import Codec, pack
from langchain_dynamodb.errors import CorruptSessionError, IncompleteSessionError, SessionBusyError

QUIET = replace(SESSION, updated=NOW - 3_600_000_000)  # so long ago that no page may just be late


def page(number: int, cut: int, previous: int, first: int, *texts: str) -> Page:
    """A page with these messages."""
    return Page(number, cut, previous, b"tail", first, len(texts), pack([line(text) for text in texts]))


# What SESSION proves: four pages with the messages 0 to 6; its tail has a, b and c.
PAGES = [
    page(0, 1_002, 0, 0, "0"),
    page(1, 1_005, 1_002, 1, "1", "2"),
    page(2, 1_010, 1_005, 3, "3", "4"),
    page(3, 1_015, 1_010, 5, "5", "6"),
]


class Shelf:
    """Stands in for the table: session items one after another (the last stays), and pages, some of them late."""

    def __init__(self, *items: SessionItem | None, pages: Iterable[Page] = PAGES, lag: Iterable[int] = ()) -> None:
        self.items = list(items) or [QUIET]
        self.pages = {page.number: page for page in pages}
        self.lag = set(lag)  # pages that an eventually consistent read does not show yet
        self.looks: list[tuple[list[int], bool]] = []
        self.names = NAMES

    async def get(self, key: object) -> SessionItem | None:
        return self.items.pop(0) if len(self.items) > 1 else self.items[0]

    objects = PageObjects("Table")

    async def get_pages(
        self, key: object, generation: int, numbers: Iterable[int], *, consistent: bool, **options: object
    ) -> dict[int, Page]:
        wanted = list(numbers)
        if wanted:
            self.looks.append((wanted, consistent))
        hidden = set() if consistent else self.lag
        return {number: self.pages[number] for number in wanted if number in self.pages and number not in hidden}


def reader(shelf: Shelf, now: int = NOW) -> Reader:
    """One with empty caches."""
    pages = StoredPages(shelf, Decoder(Codec(), NAMES.history), LRU(1 << 20))  # type: ignore[arg-type]
    return Reader(pages, LRU(10), lambda: now)


async def texts(reading: Reader, limit: int | None = None) -> str:
    """The messages of a read."""
    snapshot = await reading.snapshot(KEY, limit, None)
    assert snapshot is not None
    return "".join(str(message.content) for message in snapshot.messages)


async def test_a_whole_session() -> None:
    """All pages, eventually consistent, and the tail."""
    shelf = Shelf()
    assert (await texts(reader(shelf)), {consistent for _, consistent in shelf.looks}) == ("0123456abc", {False})


ALL = "0123456abc"
WINDOWS = [(0, "", 4), (2, "bc", 4), (3, "abc", 4), (4, "6abc", 3), (5, "56abc", 2), (6, "456abc", 1), (99, ALL, 0)]


@pytest.mark.parametrize(("limit", "found", "least"), WINDOWS)
async def test_a_window_reads_what_it_needs(limit: int, found: str, least: int) -> None:
    """The tail, then pages from the newest down. (How many messages a page has is estimated.)."""
    shelf = Shelf()
    assert await texts(reader(shelf), limit) == found
    assert min((number for numbers, _ in shelf.looks for number in numbers), default=4) == least


@pytest.mark.parametrize("number", range(4))
async def test_a_page_that_is_late_is_read_strongly(number: int) -> None:
    """Where the chain breaks, and only then."""
    shelf = Shelf(lag=[number])
    assert (await texts(reader(shelf)), shelf.looks[-1][1]) == ("0123456abc", True)


@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize("now", [NOW, QUIET.updated])
async def test_a_page_that_is_not_there(number: int, now: int) -> None:
    """It is named: as damage, or as one that may just be late where the session has changed just now."""
    wanted = IncompleteSessionError if now == QUIET.updated else CorruptSessionError
    with pytest.raises(wanted) as caught:
        await texts(reader(Shelf(pages=[page for page in PAGES if page.number != number]), now))
    assert f"{number:08x}" in caught.value.item


@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize("wrong", ["cut", "first", "messages"])
async def test_a_page_that_is_not_the_one(number: int, wrong: str) -> None:
    """Cut at another version, or with other messages: it is never shown, however it is read."""
    strange = replace(PAGES[number], **{wrong: getattr(PAGES[number], wrong) + 1})
    shelf = Shelf(pages=[*PAGES[:number], strange, *PAGES[number + 1 :]])
    with pytest.raises(CorruptSessionError):
        await texts(reader(shelf))
    assert shelf.looks[-1][1]


async def test_the_oldest_page_begins_where_the_history_does() -> None:
    """Else messages that are no part of it would be shown."""
    with pytest.raises(CorruptSessionError):
        await texts(reader(Shelf(replace(QUIET, first_page=1, trimmed=2))))
    assert await texts(reader(Shelf(replace(QUIET, first_page=1, trimmed=1)))) == "123456abc"


async def test_a_read_starts_over_where_pages_were_dropped_meanwhile() -> None:
    """By a rewrite or `history_size`; then it is a snapshot of what is there now."""
    later = replace(QUIET, version=1_030, first_page=2, trimmed=3)
    assert await texts(reader(Shelf(QUIET, later, pages=PAGES[2:]))) == "3456abc"


async def test_a_read_starts_over_where_the_session_was_deleted_meanwhile() -> None:
    """Then there is none."""
    assert await texts(reader(Shelf(QUIET, None, pages=[]))) == ""


async def test_a_read_does_not_start_over_for_ever() -> None:
    """The session is rewritten each time."""
    shelf = Shelf(*(replace(QUIET, generation=1_000 - i) for i in range(50)), pages=[])
    with pytest.raises(SessionBusyError):
        await texts(reader(shelf))


async def test_a_page_is_remembered() -> None:
    """Committed pages never change: the next read fetches none."""
    shelf = Shelf()
    reading = reader(shelf)
    assert await texts(reading) == "0123456abc"
    shelf.looks.clear()
    assert (await texts(reading), shelf.looks) == ("0123456abc", [])


async def test_a_remembered_page_is_proved_as_any_other() -> None:
    """A session item that was restored proves other pages under the same numbers."""
    shelf = Shelf()
    reading = reader(shelf)
    await texts(reading)
    shelf.pages[3] = page(3, 1_016, 1_010, 5, "x", "y")
    shelf.items = [replace(QUIET, page_version=1_016)]
    assert await texts(reading) == "01234xyabc"


async def test_iterating_goes_up_and_reads_strongly() -> None:
    """There is no committed version yet to prove a page by."""
    shelf = Shelf(lag=[1])
    found = "".join([str(message.content) async for message in reader(shelf).iterate(KEY)])
    assert (found, shelf.looks) == ("0123456abc", [([0, 1, 2, 3], True)])


@pytest.mark.parametrize(
    ("small", "large", "expected"),
    [(300, 0, [16, 32, 64, 100, 88]), (16, 100, [16, 32, 2, 2]), (0, 60, [16, 2, 2]), (10, 0, [10])],
)
async def test_how_far_ahead_pages_are_fetched(small: int, large: int, expected: list[int]) -> None:
    """Twice as many each time, up to a request's worth or a MiB; what an early end has paid for is bounded so."""
    pages = [
        replace(PAGES[0], number=number, data=bytes(3_000 if number < small else 380_000))
        for number in range(small + large)
    ]
    shelf = Shelf(pages=pages)
    item = replace(QUIET, pages=len(pages))
    async with contextlib.aclosing(reader(shelf).pages.fetched_ahead(KEY, item)) as batches:
        async for numbers, found in batches:
            assert list(found) == list(numbers)
    assert [len(numbers) for numbers, _ in shelf.looks][: len(expected)] == expected
    assert sum(len(numbers) for numbers, _ in shelf.looks) == len(pages)


@pytest.mark.parametrize("number", range(4))
async def test_iterating_proves_the_chain_too(number: int) -> None:
    """Page by page."""
    strange = replace(PAGES[number], cut=PAGES[number].cut + 1)
    with pytest.raises(CorruptSessionError):
        [
            message
            async for message in reader(Shelf(pages=[*PAGES[:number], strange, *PAGES[number + 1 :]])).iterate(KEY)
        ]


@pytest.mark.parametrize(("version", "nothing"), [(1_020, True), (1_019, False), (0, False)])
async def test_a_read_of_what_is_known(version: int, nothing: bool) -> None:
    """Is no more than the session item."""
    shelf = Shelf()
    snapshot = await reader(shelf).snapshot(KEY, None, version)
    assert (snapshot is None, shelf.looks == []) == (nothing, nothing)
