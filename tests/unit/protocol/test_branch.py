"""What a truncate within the pages becomes, and a replace that begins with what is there (rule 4)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evaluation import KEY, NAMES, NOW, OTHER, SESSION, line
from langchain_dynamodb._items.parsing import parse_item
from langchain_dynamodb._items.session_items import Edit, SessionItem
from langchain_dynamodb._items.sizes import MAX_LEFT_PAGES, Sizes
from langchain_dynamodb._protocol import rewrite
from langchain_dynamodb._protocol.pages import Destination, PageStart
from langchain_dynamodb.codec.messages import Codec, unpack

TO = Destination(KEY, Codec(), Sizes())
START = PageStart(2, 1_004, 3)
KEPT = [line("a"), line("b")]
MOST = 1 << 20


def branched(item: SessionItem = SESSION, lines: list[bytes] = KEPT) -> SessionItem:
    """The state in which these follow the first two pages."""
    new = rewrite.branched(item, START, lines, TO, OTHER, NOW, None)
    assert new is not None
    return new


def test_the_page_it_ends_in_is_the_tail() -> None:
    """What it keeps of that page; those below stay as they are."""
    new = branched()
    assert [unpack(entry, MOST) for entry in new.tail] == [KEPT]
    assert (new.tail_start, new.count, new.message_count) == (3, 5, 5)
    assert (new.first_page, new.pages, new.page_version) == (SESSION.first_page, 2, 1_004)


def test_between_two_pages_there_is_no_tail() -> None:
    """All of the page is dropped."""
    new = branched(lines=[])
    assert (new.tail, new.tail_start, new.count, new.tail_bytes) == ((), 3, 3, 0)


@pytest.mark.parametrize("reused", [0, 7])
def test_it_gets_past_the_fence_of_every_append(reused: int) -> None:
    """The numbers are used again, but the epoch grows by two."""
    item = replace(SESSION, reused=reused)
    assert branched(item).epoch == item.epoch + 2


def test_its_ids_are_forgotten() -> None:
    """What they stood for may be gone. The change has one of its own."""
    new = branched()
    assert (new.tail_ops, new.page_ops, new.change) == (frozenset(), frozenset(), OTHER)


@pytest.mark.parametrize(("ceiling", "reach", "expected"), [(0, -1, (4, 4)), (6, 9, (6, 9))])
def test_what_may_be_left_is_on_record(ceiling: int, reach: int, expected: tuple[int, int]) -> None:
    """The pages that are dropped, until they are removed; and the next one, which a cut that died may have put."""
    new = branched(replace(SESSION, ceiling=ceiling, reach=reach))
    assert (new.ceiling, new.reach) == expected


def test_without_pages_none_expires() -> None:
    """The first page is dropped too."""
    stamp = 1_900_000_000
    some, none = replace(SESSION, pages_expire=stamp), replace(SESSION, first_page=2, trimmed=3, pages_expire=stamp)
    assert (branched(some).pages_expire, branched(none).pages_expire) == (stamp, 0)


def test_it_can_be_read_back() -> None:
    """The number of the next page is told by two attributes."""
    new = branched(replace(SESSION, reused=3))
    assert parse_item({**KEY.item, **new.attributes(NAMES)}, NAMES, "s", KEY.item) == new


def test_too_large_a_tail() -> None:
    """Each append would pay for it: the history has to be written anew."""
    long = [line("".join(f"{n * digit:x}" for digit in range(2000))) for n in range(60)]
    assert rewrite.branched(SESSION, START, long, TO, OTHER, NOW, None) is None


def test_too_many_pages_to_keep_on_record() -> None:
    """No reader would believe it."""
    item = replace(SESSION, pages=START.number + MAX_LEFT_PAGES)
    assert rewrite.branched(item, START, KEPT, TO, OTHER, NOW, None) is None


@pytest.mark.parametrize(
    ("stored", "lines", "expected"),
    [
        ("", "", 0),
        ("", "a", 0),
        ("ab", "ab", 2),
        ("ab", "abc", 2),
        ("abc", "ab", 2),
        ("abc", "axc", 1),
        ("ab", "ba", 0),
    ],
)
def test_what_both_begin_with(stored: str, lines: str, expected: int) -> None:
    """Up to the first message that differs, or the end of the shorter one."""
    assert rewrite.count_same([line(c) for c in stored], [line(c) for c in lines]) == expected


@pytest.mark.parametrize(("page", "kept"), [(1, True), (2, False), (3, False)])
def test_an_edit_under_way_goes_with_its_page(page: int, kept: bool) -> None:
    """Its number is given again; one of a page that stays is still to be carried out."""
    item = replace(SESSION, edited=1_018, edited_page=page, edit=Edit(0, None))
    assert (branched(item).edit is not None) == kept
