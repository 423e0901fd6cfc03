"""Pages: how messages are laid out in them, and how they are numbered and chained (rules 2, 3 and 9)."""

from __future__ import annotations

import itertools
import random
import string
from dataclasses import replace

import pytest

from evaluation import KEY, LATER, OTHER, SESSION, line
from langchain_dynamodb import Sizes
from langchain_dynamodb._items.page_items import Page
from langchain_dynamodb._protocol.pages import Destination, Draft, PageStart, make_pages, paginate
from langchain_dynamodb.codec.messages import Codec, unpack

SIZES = Sizes(page=2_000, item=900)
MOST = 1 << 26
MIB = 1 << 20
TO = Destination(KEY, Codec(), SIZES)
START = PageStart(number=4, previous=1_015, message=7, expires=None)


def incompressible(size: int, seed: int = 1) -> bytes:
    """A line of about that many bytes, of which deflating saves little."""
    return line("".join(random.Random(seed).choices(string.ascii_letters + string.digits, k=size)))


def messages_of(drafts: list[Draft]) -> list[bytes]:
    """All lines in some pages, those of several parts put together."""
    lines: list[bytes] = []
    data = b""
    for draft in drafts:
        data += draft.data
        if draft.messages:
            found = unpack(data, MOST)
            assert len(found) == draft.messages
            lines += found
            data = b""
    assert data == b""
    return lines


def test_no_messages_need_no_page() -> None:
    """Nothing is laid out."""
    assert paginate([], SIZES) == []


def test_few_small_messages_share_one_page() -> None:
    """A tail becomes one page."""
    assert [draft.messages for draft in paginate([line(str(i)) for i in range(20)], SIZES)] == [20]


def test_all_messages_are_there_in_their_order() -> None:
    """Whatever their sizes are."""
    lines = [incompressible(size, seed) for seed, size in enumerate([10, 3_000, 700, 700, 700, 5, 1_900, 1_900, 40])]
    assert messages_of(paginate(lines, SIZES)) == lines


def test_a_page_of_several_messages_is_bounded() -> None:
    """By the bytes it is stored with."""
    drafts = paginate([incompressible(300, seed) for seed in range(40)], SIZES)
    assert [draft for draft in drafts if len(draft.data) > SIZES.page] == []


def test_pages_are_filled() -> None:
    """Not one page for each message: no two neighbours would fit one page together."""
    drafts = paginate([incompressible(100, seed) for seed in range(200)], Sizes(page=2_000))
    assert len(drafts) <= 2 * sum(len(draft.data) for draft in drafts) / 2_000 + 1


def test_a_message_larger_than_a_page_has_one_of_its_own() -> None:
    """Its neighbours are not in it."""
    drafts = paginate([line("before"), incompressible(3_000), line("after")], Sizes(page=2_000, item=10_000))
    assert [draft.messages for draft in drafts] == [1, 1, 1]


def test_a_message_larger_than_an_item_is_cut_over_several() -> None:
    """None of them is larger than an item may be."""
    drafts = paginate([incompressible(3_000)], SIZES)
    assert len(drafts) > 1
    assert max(len(draft.data) for draft in drafts) <= SIZES.item


def test_only_the_last_part_counts_the_message() -> None:
    """A reader that meets the others knows that more is to come."""
    *others, _ = paginate([incompressible(3_000)], SIZES)
    assert {(draft.messages, draft.parts) for draft in others} == {(0, 1)}


def test_the_last_part_says_how_many_there_are() -> None:
    """Itself included."""
    drafts = paginate([incompressible(3_000)], SIZES)
    assert (drafts[-1].messages, drafts[-1].parts) == (1, len(drafts))


def test_a_message_of_just_the_size_of_an_item_is_not_cut() -> None:
    """One byte less would cut it."""
    (whole,) = paginate([incompressible(3_000)], Sizes(page=100, item=100_000))
    assert len(paginate([incompressible(3_000)], Sizes(page=100, item=len(whole.data)))) == 1
    assert len(paginate([incompressible(3_000)], Sizes(page=100, item=len(whole.data) - 1))) == 2


def test_what_deflates_to_nothing_is_bounded_all_the_same() -> None:
    """By what it inflates to: a reader holds that in memory."""
    lines = [line("0" * 100_000 + str(i)) for i in range(50)]
    drafts = paginate(lines, Sizes(page=300_000, item=380_000))
    assert max(sum(map(len, unpack(draft.data, MOST))) for draft in drafts) <= MIB
    assert messages_of(drafts) == lines


@pytest.fixture
def chain() -> list[Page]:
    """Three pages cut from SESSION, the middle one the first part of a large message."""
    drafts = [Draft(b"1", 5), Draft(b"2", 0), Draft(b"3", 1, 2)]
    return make_pages(drafts, TO, SESSION, START, b"token", frozenset([OTHER]))


def test_numbers_go_on_from_the_start(chain: list[Page]) -> None:
    """One after the other."""
    assert [page.number for page in chain] == [4, 5, 6]


def test_all_are_cut_at_the_version_that_was_seen(chain: list[Page]) -> None:
    """Only a commit on that version makes them the history."""
    assert {page.cut for page in chain} == {SESSION.version}


def test_each_names_the_cut_of_the_one_before(chain: list[Page]) -> None:
    """The first that of the session's last page: so a reader proves them backwards."""
    assert [page.previous for page in chain] == [START.previous, SESSION.version, SESSION.version]


def test_each_begins_where_the_one_before_ends(chain: list[Page]) -> None:
    """Counted in messages; a part of one takes none."""
    assert [page.first for page in chain] == [7, 12, 12]
    assert [a.first + a.messages for a, _ in itertools.pairwise(chain)] == [b.first for b in chain[1:]]


def test_each_keeps_data_and_parts_of_its_draft(chain: list[Page]) -> None:
    """As it was laid out."""
    assert [(page.data, page.messages, page.parts) for page in chain] == [(b"1", 5, 1), (b"2", 0, 1), (b"3", 1, 2)]


def test_each_bears_the_token_of_its_write(chain: list[Page]) -> None:
    """Two writers at one version are told apart by it."""
    assert {page.token for page in chain} == {b"token"}


def test_each_remembers_the_appends_whose_messages_it_may_hold(chain: list[Page]) -> None:
    """Those of the tail, and the one that came on top: a writer in doubt looks for them there."""
    assert {page.ops for page in chain} == {frozenset([LATER, OTHER])}


def test_a_page_of_the_tail_remembers_the_appends_of_the_tail() -> None:
    """And no others."""
    (page,) = make_pages([Draft(b"1", 3)], TO, SESSION, START, b"tail")
    assert page.ops == frozenset([LATER])


@pytest.mark.parametrize("expires", [None, 1_900_000_000])
def test_each_expires_as_the_start_says(expires: int | None) -> None:
    """None: it does not."""
    pages = make_pages([Draft(b"1", 1), Draft(b"2", 1)], TO, SESSION, START._replace(expires=expires), b"tail")
    assert {page.expires for page in pages} == {expires}


def test_whoever_cuts_a_tail_makes_the_same_page() -> None:
    """Made twice from one state it is equal, so that the second put is as good as the first."""
    one, other = (make_pages([Draft(b"1", 3)], TO, replace(SESSION), START, b"tail") for _ in range(2))
    assert one == other
