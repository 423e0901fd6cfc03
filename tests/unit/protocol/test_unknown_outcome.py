"""What attempts of unknown outcome leave open, and when they leave nothing open any more."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evaluation import COMMUNITY, KEY, OTHER, PAGE, SESSION
from langchain_dynamodb._items.keys import PAGE_NUMBERS
from langchain_dynamodb._protocol.unknown_outcome import LOOK_BACK, Doubt
from langchain_dynamodb.errors import IdempotencyError, OutcomeUnknownError

LATER = replace(SESSION, pages=SESSION.pages + 5)
ANEW = replace(SESSION, generation=SESSION.generation + 3)


def after(*attempts: tuple[object, int | None]) -> Doubt:
    """In doubt of attempts on these states, at these expected versions."""
    doubt = Doubt()
    for item, expected in attempts:
        doubt.widen(item, expected)  # type: ignore[arg-type]
    return doubt


def test_no_attempt_leaves_nothing_open() -> None:
    """There is no doubt from the start."""
    assert Doubt().active is False


def test_an_append_can_be_in_the_next_page_or_the_one_after() -> None:
    """The fence refuses it once two were cut: those are the only ones to look at."""
    assert after((SESSION, None)).pages_of(LATER) == range(SESSION.pages, SESSION.pages + 2)


def test_pages_that_are_not_there_are_not_looked_at() -> None:
    """Nothing was cut since."""
    assert after((SESSION, None)).pages_of(SESSION) == range(SESSION.pages, SESSION.pages)


def test_of_several_attempts_all_pages_are_looked_at() -> None:
    """The second was made on a later state."""
    two_more = replace(SESSION, pages=SESSION.pages + 2)
    assert after((SESSION, None), (two_more, None)).pages_of(LATER) == range(SESSION.pages, SESSION.pages + 4)


def test_at_a_version_alone_any_page_may_hold_it() -> None:
    """Nothing else was known of the session; the newest pages are looked at."""
    long = replace(SESSION, pages=100)
    doubt = after((None, 1_020))
    assert (doubt.pages_of(long), doubt.hi) == (range(100 - LOOK_BACK, 100), PAGE_NUMBERS)


@pytest.mark.parametrize(
    ("attempt", "item", "is_open"),
    [
        ((SESSION, None), LATER, True),
        ((SESSION, None), ANEW, False),
        ((SESSION, None), None, False),
        ((SESSION, None), COMMUNITY, False),
        ((None, None), SESSION, True),
        ((None, None), None, True),
        ((None, 1_020), SESSION, True),
        ((None, 900), SESSION, False),
        ((None, 1_020), None, False),
        ((None, 0), None, True),
    ],
)
def test_whether_this_is_the_session_that_was_meant(
    attempt: tuple[object, int | None], item: object, is_open: bool
) -> None:
    """If not, nothing tells whether an attempt was applied to that one."""
    assert after(attempt).is_open_to(item) is is_open  # type: ignore[arg-type]


def test_a_session_two_cuts_on_settles_it() -> None:
    """No late copy can be applied to it any more, and its pages were looked at."""
    doubt = after((SESSION, None))
    doubt.settle_below(SESSION.pages + 2)
    assert doubt.active is False


def test_a_session_one_cut_on_does_not() -> None:
    """A late copy would still pass the fence."""
    doubt = after((SESSION, None))
    doubt.settle_below(SESSION.pages + 1)
    assert doubt.active is True


def test_what_was_about_whatever_session_there_is_stays_open() -> None:
    """It may come late to the next of the name, whose pages begin at 0 again."""
    doubt = after((None, None))
    doubt.settle_below(SESSION.pages)
    assert doubt.active is True


def test_pages_that_were_not_looked_at_may_hold_it() -> None:
    """Unless one that was is from before its version: then those below cannot."""
    long = replace(SESSION, pages=100)
    doubts = [after((None, version)) for version in (PAGE.cut - 1, PAGE.cut)]
    assert [doubt.may_be_dropped(long, [PAGE]) for doubt in doubts] == [True, False]


@pytest.mark.parametrize("expected", [None, 1_020])
def test_a_page_that_was_cut_off_may_hold_it(expected: int | None) -> None:
    """Others of its number say nothing of it."""
    seen = None if expected else SESSION
    cut_back = replace(LATER, reused=4)
    assert after((seen, expected)).may_be_dropped(cut_back, [replace(PAGE, cut=1_000)]) is True


def test_where_pages_had_been_cut_off_before_the_numbers_are_known() -> None:
    """The epoch of an attempt counts numbers that are used again, and tells which page it meant."""
    seen, later = replace(SESSION, reused=4), replace(LATER, reused=4)
    doubt = after((seen, None))
    assert doubt.pages_of(later) == range(SESSION.pages, SESSION.pages + 2)
    assert doubt.may_be_dropped(later, []) is False


def test_a_doubt_that_was_settled_is_not_about_earlier_numbers() -> None:
    """The next one begins with the state of its own attempt."""
    doubt = after((SESSION, None))
    doubt.settle_below(SESSION.epoch + 2)
    cut_back = replace(SESSION, reused=4)
    doubt.widen(cut_back, None)
    assert doubt.may_be_dropped(replace(cut_back, pages=cut_back.pages + 1), []) is False


def test_other_messages_with_its_key_are_an_error() -> None:
    """Nothing of ours can have taken place."""
    with pytest.raises(IdempotencyError):
        Doubt().check_content(KEY, frozenset([OTHER, b"content"]), frozenset([OTHER]))


def test_other_messages_with_its_key_tell_nothing_in_doubt() -> None:
    """Ours may have come first, and gone since."""
    with pytest.raises(OutcomeUnknownError):
        after((SESSION, None)).check_content(KEY, frozenset([OTHER, b"content"]), frozenset([OTHER]))


def test_its_own_content_is_no_error() -> None:
    """In doubt or not."""
    for doubt in (Doubt(), after((SESSION, None))):
        doubt.check_content(KEY, frozenset([OTHER]), frozenset([OTHER, b"more"]))
