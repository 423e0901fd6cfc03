"""What each request about a page depends on (rules 2 and 7), evaluated on items."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evaluation import NAMES, OTHER, PAGE, deletes, put, stored_page, updated
from langchain_dynamodb._dynamodb.attribute_values import Item, number
from langchain_dynamodb._items.attribute_names import KEPT, READING
from langchain_dynamodb._items.page_items import Page, Reference
from langchain_dynamodb._items.parsing import parse_chained
from langchain_dynamodb._protocol.pages import delete_page, keep_page, refresh_page
from simulation.engine import Engine

SOON, LATE = 1_900_000_000, 1_900_000_500  # seconds
EXPIRING = replace(PAGE, expires=SOON)


def kept(page: Page, version: int) -> Item:
    """The item of a page of a session that was made permanent at that version."""
    return {**stored_page(page), KEPT: number(version)}


# --- Putting ---


def test_a_page_is_put_where_none_is() -> None:
    """The normal case."""
    assert put(PAGE, None) == stored_page(PAGE)


def test_an_older_cut_is_overwritten() -> None:
    """A crash left it: no commit can reach it any more."""
    assert put(PAGE, stored_page(replace(PAGE, cut=PAGE.cut - 1, token=OTHER))) == stored_page(PAGE)


def test_an_older_cut_is_overwritten_whatever_it_has() -> None:
    """Neither its time nor its mark counts."""
    assert put(PAGE, kept(replace(EXPIRING, cut=PAGE.cut - 1), 2_000)) == stored_page(PAGE)


def test_a_page_of_a_later_cut_is_not_overwritten() -> None:
    """It may be committed."""
    assert put(PAGE, stored_page(replace(PAGE, cut=PAGE.cut + 1))) is None


def test_a_later_cut_survives_whatever_its_token() -> None:
    """The token tells apart what was cut at one version only."""
    assert put(PAGE, stored_page(replace(PAGE, cut=PAGE.cut + 1, token=OTHER))) is None


def test_another_page_of_the_same_cut_is_not_overwritten() -> None:
    """Two writers at one version: the second must not change what the first may have committed."""
    assert put(PAGE, stored_page(replace(PAGE, token=OTHER, data=b"other"))) is None


def test_the_very_same_page_may_be_put_again() -> None:
    """The request was sent twice."""
    assert put(PAGE, stored_page(PAGE)) == stored_page(PAGE)


def test_the_same_page_may_gain_time() -> None:
    """Whoever puts it with a later stamp lets it live longer."""
    assert put(replace(PAGE, expires=LATE), stored_page(EXPIRING)) == stored_page(replace(PAGE, expires=LATE))


def test_the_same_page_does_not_lose_time() -> None:
    """It may be committed by a writer with a longer ttl."""
    assert put(EXPIRING, stored_page(replace(PAGE, expires=LATE))) is None


def test_a_page_without_a_stamp_does_not_get_one_by_a_put() -> None:
    """It may be committed by a writer without a ttl."""
    assert put(EXPIRING, stored_page(PAGE)) is None


def test_a_page_does_not_lose_its_stamp_by_a_put() -> None:
    """Else it would stay behind when its session expires."""
    assert put(PAGE, stored_page(EXPIRING)) is None


@pytest.mark.parametrize("version", [PAGE.cut - 5, PAGE.cut, PAGE.cut + 5])
def test_the_mark_of_a_permanent_session_stays(version: int) -> None:
    """By it late stamps are known; the same page, put again, would take it away."""
    assert put(PAGE, kept(PAGE, version)) is None


REFERRING = replace(PAGE, data=b"", reference=Reference("a" * 24, 7, "f" * 64, "bucket"))
SAME_DATA = replace(REFERRING, reference=REFERRING.reference._replace(token="b" * 24))  # type: ignore[union-attr]


@pytest.mark.parametrize("there", [SAME_DATA, PAGE])
def test_a_page_with_a_reference_is_put_over_no_other(there: Page) -> None:
    """Its object may be gone when a late copy of the request comes."""
    assert put(REFERRING, stored_page(there)) is None


def test_a_page_with_a_reference_is_put_like_any_other() -> None:
    """Where none is, over an older cut, and over itself."""
    wanted = stored_page(REFERRING)
    older = stored_page(replace(SAME_DATA, cut=PAGE.cut - 1))
    assert [put(REFERRING, there) for there in (None, older, wanted)] == [wanted] * 3


# --- Deleting ---


@pytest.mark.parametrize("cut", [PAGE.cut - 1, PAGE.cut])
def test_a_page_that_no_commit_can_reach_is_deleted(cut: int) -> None:
    """One cut at that version, or before."""
    assert deletes(delete_page(PAGE.cut), stored_page(replace(PAGE, cut=cut)))


def test_a_page_with_an_object_is_deleted_by_who_can_remove_that() -> None:
    """A repository without a bucket leaves it."""
    stored = [stored_page(page) for page in (PAGE, REFERRING)]
    assert [deletes(delete_page(PAGE.cut, inline=inline), page) for inline in (True, False) for page in stored] == [
        True, False, True, True
    ]  # fmt: skip


def test_a_later_cut_of_that_number_is_not_deleted() -> None:
    """The delete comes late: somebody has put and committed another page there."""
    assert not deletes(delete_page(PAGE.cut), stored_page(replace(PAGE, cut=PAGE.cut + 1)))


def test_what_is_no_page_is_not_deleted() -> None:
    """Whatever stands at that key."""
    assert not deletes(delete_page(PAGE.cut), {"SessionId": {"S": "s"}, "mine": {"S": "x"}})


# --- A longer life ---


def stamp(item: Item | None) -> int | None:
    """The expiry of an item; None where there is none."""
    assert item is not None
    return int(item[NAMES.ttl]["N"]) if NAMES.ttl in item else None


def test_a_page_lives_longer() -> None:
    """Its stamp moves."""
    assert stamp(updated(refresh_page(LATE, NAMES, 1_020), stored_page(EXPIRING))) == LATE


def test_nothing_but_the_stamp_changes() -> None:
    """Pages are immutable."""
    assert updated(refresh_page(LATE, NAMES, 1_020), stored_page(EXPIRING)) == stored_page(
        replace(EXPIRING, expires=LATE)
    )


def test_a_page_without_a_stamp_gets_one() -> None:
    """It was cut before a ttl was set."""
    assert stamp(updated(refresh_page(SOON, NAMES, 1_020), stored_page(PAGE))) == SOON


@pytest.mark.parametrize("there", [LATE, LATE + 1])
def test_a_page_never_lives_shorter(there: int) -> None:
    """Somebody else gave it more time, or as much."""
    assert updated(refresh_page(LATE, NAMES, 1_020), stored_page(replace(PAGE, expires=there))) is None


def test_a_page_that_is_gone_stays_gone() -> None:
    """No stamp makes an item of nothing."""
    assert updated(refresh_page(LATE, NAMES, 1_020), None) is None


@pytest.mark.parametrize("version", [1_020, 1_021])
def test_a_stamp_decided_on_before_the_session_was_made_permanent_is_refused(version: int) -> None:
    """It comes late: the session has no end any more, and neither may its pages."""
    assert updated(refresh_page(LATE, NAMES, 1_020), kept(PAGE, version)) is None


def test_a_stamp_decided_on_afterwards_is_set() -> None:
    """The session expires again."""
    assert stamp(updated(refresh_page(LATE, NAMES, 1_021), kept(PAGE, 1_020))) == LATE


# --- No end any more ---


def test_a_page_is_made_permanent() -> None:
    """The stamp goes, and a mark tells since which version."""
    assert updated(keep_page(1_020, NAMES), stored_page(EXPIRING)) == kept(PAGE, 1_020)


def test_a_page_without_a_stamp_is_marked_too() -> None:
    """A late stamp may be on its way to it."""
    assert updated(keep_page(1_020, NAMES), stored_page(PAGE)) == kept(PAGE, 1_020)


def test_making_permanent_can_be_repeated() -> None:
    """The request was sent twice."""
    assert updated(keep_page(1_020, NAMES), kept(PAGE, 1_020)) == kept(PAGE, 1_020)


def test_a_later_mark_stays() -> None:
    """The session was made permanent again since; the earlier request comes late."""
    assert updated(keep_page(1_020, NAMES), kept(EXPIRING, 1_021)) is None


def test_a_page_that_is_gone_is_not_made_permanent() -> None:
    """No mark makes an item of nothing."""
    assert updated(keep_page(1_020, NAMES), None) is None


# --- Reading ---


def test_two_attributes_of_a_page_are_read() -> None:
    """The SDK takes its time for each; none tells more than a reader needs."""
    page = replace(EXPIRING, parts=2, ops=frozenset([OTHER]))
    engine = Engine()
    engine.write(engine.key_of(stored_page(page)), stored_page(page))
    wanted = {"Keys": [{"SessionId": stored_page(page)["SessionId"]}], "ProjectionExpression": READING}
    (found,) = engine.apply("batch_get_item", {"RequestItems": {"T": wanted}})["Responses"]["T"]
    assert found.keys() == {"lc_chain", "lc_data"}
    assert parse_chained(found) == replace(page, ops=frozenset(), token=b"", expires=None)
