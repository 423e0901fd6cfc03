"""Changes of the whole history (rule 4): where it goes, and the state afterwards."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evaluation import DAY, EARLIER, KEY, LATER, LEASED, NOW, OTHER, SECOND, SESSION, TAIL, line, read_back, stored
from langchain_dynamodb._items.session_items import SessionItem, entry_cost
from langchain_dynamodb._items.sizes import Sizes
from langchain_dynamodb._protocol.expiry import NO_EXPIRY, Expiries
from langchain_dynamodb._protocol.missing_pages import Survey
from langchain_dynamodb._protocol.pages import PAGE_INFLATED, Destination, PageStart, Placement, make_pages
from langchain_dynamodb._protocol.rewrite import place_all, rewrite_start, rewritten, tail_truncated
from langchain_dynamodb._protocol.states import unborn
from langchain_dynamodb.codec.messages import Codec, pack, unpack
from support import noise

TO = Destination(KEY, Codec(), Sizes())
PAGED = place_all([line(noise(9_000)) for _ in range(6)], TO)
SHORT = place_all([line("a"), line("b")], TO)


def room(half: int) -> Destination:
    """One whose tail has twice that many bytes."""
    return TO._replace(sizes=Sizes(session_item=2 * half + KEY.size + 260))


def lines_of(placement: Placement) -> list[bytes]:
    """All messages that were placed, oldest first."""
    blocks = [draft.data for draft in placement.drafts] + list(placement.tail)
    return [line for block in blocks for line in unpack(block, 1 << 24)]


# --- Where it goes ---


def test_no_messages_need_no_place() -> None:
    """A history that was emptied has neither pages nor entries."""
    assert place_all([], TO) == Placement([], ())


def test_a_short_history_is_one_entry() -> None:
    """No page is needed: the tail has room for it and for the next appends."""
    assert (SHORT.drafts, len(SHORT.tail), lines_of(SHORT)) == ([], 1, [line("a"), line("b")])


def test_a_history_of_half_a_tail_is_an_entry_still() -> None:
    """With what an entry costs the item."""
    lines = [line(noise(300))]
    assert place_all(lines, room(entry_cost(pack(lines), ()))) == Placement([], (pack(lines),))


def test_a_history_of_more_than_half_a_tail_takes_pages() -> None:
    """By one byte: it would have to be cut with the next append or two."""
    lines = [line(noise(300))]
    placement = place_all(lines, room(entry_cost(pack(lines), ()) - 1))
    assert (placement.tail, lines_of(placement)) == ((), lines)


def test_a_long_history_stays_in_order() -> None:
    """Over all its pages."""
    lines = [line(noise(3_000)) for _ in range(20)]
    placement = place_all(lines, TO)
    assert (len(placement.drafts) > 2, lines_of(placement)) == (True, lines)


def test_what_deflates_to_nothing_is_no_entry() -> None:
    """An entry holds no more than a page may, inflated (rule 9)."""
    lines = [line("x" * (PAGE_INFLATED // 4))] * 5
    assert place_all(lines, TO._replace(sizes=Sizes(session_item=20_000))).tail == ()


# --- Its numbers ---


def test_a_rewrite_skips_a_number() -> None:
    """An append that is under way, one cut behind, must not find its page among the new ones."""
    assert rewrite_start(SESSION) == SESSION.pages + 2


@pytest.mark.parametrize(("reach", "start"), [(4, 6), (5, 6), (6, 7), (40, 41)])
def test_a_rewrite_takes_numbers_that_nobody_used(reach: int, start: int) -> None:
    """Beyond those that an unfinished write may have left."""
    assert rewrite_start(replace(SESSION, reach=reach)) == start


def test_a_rewrite_moves_the_first_page() -> None:
    """What lies below is no part of the history any more, and may still be there until it is swept."""
    state = rewritten(replace(SESSION, first_page=1, floor=1), PAGED, 6, OTHER, NOW, NO_EXPIRY)
    assert (state.floor, state.first_page, state.pages) == (1, 6, 6 + len(PAGED.drafts))


@pytest.mark.parametrize("item", [SESSION, LEASED, replace(SESSION, first_page=2, trimmed=3, floor=1, reach=30)])
def test_a_rewritten_session_proves_its_pages(item: SessionItem) -> None:
    """Those which were put for it, and they are all of the history (rule 5)."""
    start = PageStart(rewrite_start(item), 0, 0, None)
    pages = {page.number: page for page in make_pages(PAGED.drafts, TO, item, start, OTHER)}
    survey = Survey.of(rewritten(item, PAGED, 6, OTHER, NOW, NO_EXPIRY))
    survey.go_down(pages, (), survey.item.first_page)
    assert (survey.pages, survey.holes(), survey.found) == (pages, [], 6)


@pytest.mark.parametrize("placement", [Placement([], ()), SHORT, PAGED])
@pytest.mark.parametrize("item", [SESSION, LEASED, unborn(NOW)])
def test_a_rewritten_session_can_be_read_back(item: SessionItem, placement: Placement) -> None:
    """Its numbers are such as readers accept."""
    state = rewritten(item, placement, len(lines_of(placement)), OTHER, NOW, NO_EXPIRY)
    assert read_back(stored(state)) == state


# --- The state afterwards ---


@pytest.mark.parametrize(("placement", "count", "start"), [(Placement([], ()), 0, 0), (SHORT, 2, 0), (PAGED, 6, 6)])
def test_its_messages_are_counted_anew(placement: Placement, count: int, start: int) -> None:
    """With nothing trimmed; the tail begins after the pages."""
    state = rewritten(replace(SESSION, first_page=1, trimmed=2), placement, count, OTHER, NOW, NO_EXPIRY)
    assert (state.message_count, state.trimmed, state.tail_start, state.tail) == (count, 0, start, placement.tail)


def test_a_rewrite_forgets_the_ids_of_appends() -> None:
    """Their messages are gone; the rewrite's own id tells that it took place."""
    state = rewritten(SESSION, PAGED, 6, OTHER, NOW, NO_EXPIRY)
    assert [state.has_op(op) for op in (EARLIER, LATER, OTHER)] == [False, False, True]


def test_a_rewrite_is_one_version_more() -> None:
    """Its intent ends with it, and what that reached is committed or of no number in use."""
    state = rewritten(LEASED, PAGED, 6, OTHER, NOW, NO_EXPIRY)
    assert (state.version, state.generation, state.intent, state.reach) == (LEASED.version + 1, 1_000, None, -1)


def test_the_size_of_the_tail_is_counted_anew() -> None:
    """One entry and no ids."""
    sizes = [rewritten(SESSION, where, 2, OTHER, NOW, NO_EXPIRY).tail_bytes for where in (SHORT, PAGED)]
    assert sizes == [entry_cost(SHORT.tail[0], ()), 0]


@pytest.mark.parametrize(("created", "expected"), [(NOW - 5, NOW - 5), (0, NOW)])
def test_a_session_is_born_once(created: int, expected: int) -> None:
    """By what it begins with; a rewrite of one that is there does not make it younger."""
    assert rewritten(replace(SESSION, created=created), SHORT, 2, OTHER, NOW, NO_EXPIRY).created == expected


def test_new_pages_have_their_own_expiry() -> None:
    """Which is on record, so that later changes extend it in time (rule 7)."""
    times = Expiries(SECOND + DAY, SECOND + 31 * DAY)
    state = rewritten(replace(SESSION, pages_expire=SECOND + 9), PAGED, 6, OTHER, NOW, times)
    assert (state.expires, state.pages_expire) == (SECOND + DAY, SECOND + 31 * DAY)


def test_without_pages_none_has_an_expiry() -> None:
    """Then there is nothing to extend."""
    times = Expiries(SECOND + DAY, SECOND + 31 * DAY)
    state = rewritten(replace(SESSION, pages_expire=SECOND + 9), SHORT, 2, OTHER, NOW, times)
    assert (state.expires, state.pages_expire) == (SECOND + DAY, 0)


def test_a_rewrite_without_a_ttl_leaves_the_expiry_alone() -> None:
    """The session's; pages without a stamp are on record as such."""
    state = rewritten(replace(SESSION, expires=SECOND + 60), PAGED, 6, OTHER, NOW, NO_EXPIRY)
    assert (state.expires, state.pages_expire) == (SECOND + 60, 0)


# --- A tail that is cut short ---

CUT_SHORT = tail_truncated(SESSION, TAIL[:1], 2, OTHER, NOW, None)


def test_a_truncated_tail_leaves_the_pages_alone() -> None:
    """The history ends after the messages that are kept in the tail."""
    kept = replace(CUT_SHORT, tail=SESSION.tail, tail_bytes=SESSION.tail_bytes, count=SESSION.count)
    assert kept == replace(SESSION, version=SESSION.version + 1, updated=NOW, change=OTHER)
    assert (CUT_SHORT.count, CUT_SHORT.tail) == (SESSION.tail_start + 2, TAIL[:1])


def test_the_ids_of_appends_survive_a_truncate() -> None:
    """An append that is sent again is not stored again, though its messages were cut off since."""
    assert [CUT_SHORT.has_op(op) for op in (EARLIER, LATER, OTHER)] == [True, True, True]


def test_a_truncated_tail_has_room_again() -> None:
    """What was cut off is not counted any more, the ids are."""
    assert CUT_SHORT.tail_bytes == SESSION.tail_bytes - entry_cost(TAIL[1], ())


def test_a_tail_can_be_emptied() -> None:
    """Then the history ends with the pages."""
    state = tail_truncated(SESSION, (), 0, OTHER, NOW, None)
    assert (state.count, state.tail, read_back(stored(state))) == (SESSION.tail_start, (), state)


def test_a_truncate_moves_the_expiry() -> None:
    """As every change does."""
    assert tail_truncated(SESSION, TAIL[:1], 2, OTHER, NOW, SECOND + 60).expires == SECOND + 60
