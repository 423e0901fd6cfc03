"""What an append becomes (rules 1 to 3), and what the insert of the normal case depends on, evaluated on items."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evaluation import (
    EARLIER,
    KEY,
    LATER,
    LEASED,
    NAMES,
    NOW,
    OTHER,
    SECOND,
    SESSION,
    TAIL,
    line,
    read_back,
    stored,
    updated,
)
from langchain_dynamodb._dynamodb.attribute_values import NO_CHANGES, Changes, Item
from langchain_dynamodb._items import attribute_names as lc
from langchain_dynamodb._items.page_items import TAIL_TOKEN
from langchain_dynamodb._items.session_items import SessionItem, tail_room
from langchain_dynamodb._items.sizes import Sizes
from langchain_dynamodb._protocol.append import Append, Batch, Circumstances, Cut, Ids, Insert, decide, ids_of, pack
from langchain_dynamodb._protocol.expiry import NO_EXPIRY, Expiries
from langchain_dynamodb._protocol.pages import Destination
from langchain_dynamodb.codec.messages import Codec, unpack
from langchain_dynamodb.errors import InvalidInputError

ROOMY, TIGHT = Sizes(), Sizes(session_item=1, page=4_000)  # of the tight one, a tail has 256 bytes
TAIL_LINES = [line("a"), line("b"), line("c")]
LARGE = line("".join(f"{number:x}" for number in range(400)))  # more than such a tail holds
FULL = replace(SESSION, tail_bytes=250)
NOWHERE = replace(SESSION, tail_ops=frozenset(), page_ops=frozenset())


def to(sizes: Sizes) -> Destination:
    """Where the messages go."""
    return Destination(KEY, Codec(), sizes)


def request(*lines: bytes, op: bytes = OTHER, own: Changes = NO_CHANGES, must_exist: bool = False) -> Append:
    """An append of these messages (by default, of a short one)."""
    return pack(to(ROOMY), lines or [line("new")], Ids(op, frozenset([op])), None, own, must_exist)


def decided(
    wanted: Append,
    item: SessionItem | None,
    *,
    sizes: Sizes = ROOMY,
    now: int = NOW,
    times: Expiries = NO_EXPIRY,
    expected: int | None = None,
) -> Insert | Cut | Batch:
    """What is to be done, with the messages of SESSION's tail."""
    at = Circumstances(NAMES, now, times, expected)
    wanted = wanted._replace(to=to(sizes), room=tail_room(sizes, KEY))
    return decide(wanted, item, at, lambda: TAIL_LINES if item and item.tail else [])


def inserted(before: Item | None, wanted: Append, seen: SessionItem | None, **circumstances: int | None) -> Item | None:
    """What an insert, decided on the state that was seen, makes of an item; None where it is refused."""
    decision = decided(wanted, seen, **circumstances)  # type: ignore[arg-type]
    assert isinstance(decision, Insert)
    return updated(decision.update, before)


# --- Which of the three ---


@pytest.mark.parametrize("seen", [None, SESSION])
def test_what_fits_the_tail_is_inserted(seen: SessionItem | None) -> None:
    """Whether the session was seen before or not."""
    assert isinstance(decided(request(), seen), Insert)


def test_what_does_not_fit_makes_a_page_of_the_tail() -> None:
    """The page holds the old tail; the new messages are the next tail."""
    cut = decided(request(), FULL, sizes=TIGHT)
    assert isinstance(cut, Cut)
    assert (unpack(cut.page.data, 1_000), cut.commit(FULL).tail) == (TAIL_LINES, (request().entry,))


def test_a_page_of_the_tail_alone_is_the_same_whoever_cuts_it() -> None:
    """So two appends that cut at one version are not in each other's way."""
    one, other = (decided(request(op=op), FULL, sizes=TIGHT) for op in (OTHER, b"a third!"))
    assert isinstance(one, Cut) and isinstance(other, Cut)  # noqa: PT018 - for the type checker
    assert (one.page, one.page.token) == (other.page, TAIL_TOKEN)


def test_messages_too_large_for_a_tail_join_the_page() -> None:
    """Nothing is left in the tail; the page bears their ids, and a token of its own."""
    cut = decided(request(LARGE), FULL, sizes=TIGHT)
    assert isinstance(cut, Cut)
    assert unpack(cut.page.data, 10_000) == [*TAIL_LINES, LARGE]
    assert (cut.commit(FULL).tail, cut.page.token) == ((), OTHER)
    assert OTHER in cut.page.ops


def test_a_page_follows_the_last_one() -> None:
    """It is numbered and indexed where the tail began, cut at the version seen, and names the page before."""
    cut = decided(request(), FULL, sizes=TIGHT)
    assert isinstance(cut, Cut)
    page = cut.page
    assert (page.number, page.first, page.messages) == (SESSION.pages, SESSION.tail_start, 3)
    assert (page.cut, page.previous) == (SESSION.version, SESSION.page_version)


def test_the_state_after_a_cut() -> None:
    """One page and the new messages more; the ids of the old tail are now those of the last page."""
    cut = decided(request(), FULL, sizes=TIGHT)
    assert isinstance(cut, Cut)
    new = cut.commit(FULL)
    assert (new.version, new.pages, new.count) == (SESSION.version + 1, SESSION.pages + 1, SESSION.count + 1)
    assert (new.page_version, new.tail_start) == (SESSION.version, SESSION.count)
    assert (new.tail_ops, new.page_ops) == ({OTHER}, {LATER})


def test_several_pages_are_a_batch() -> None:
    """All of them are announced before the first is put."""
    batch = decided(request(*[LARGE] * 40), SESSION, sizes=TIGHT)
    assert isinstance(batch, Batch)
    pages = batch.pages(SESSION)
    assert len(pages) == len(batch.drafts) > 1
    assert [page.number for page in pages] == list(range(SESSION.pages, SESSION.pages + len(pages)))
    assert batch.commit(SESSION).count == SESSION.count + 40


def test_a_large_beginning_is_a_batch() -> None:
    """There is no item to exchange yet, so one unborn is declared first."""
    batch = decided(request(LARGE), None, sizes=TIGHT)
    assert isinstance(batch, Batch)
    assert (batch.base, batch.base.lasts) == (SessionItem(version=NOW, generation=NOW), False)


def test_the_holder_of_a_lease_cuts() -> None:
    """Its own lease would keep an insert off."""
    assert isinstance(decided(request(), LEASED), Cut)


# --- A state that was seen before ---


@pytest.mark.parametrize(
    ("item", "expected", "can"),
    [
        (SESSION, None, True),
        (SESSION, SESSION.version, True),
        (SESSION, SESSION.version - 1, False),
        (LEASED, None, False),
        (replace(SESSION, expires=SECOND), None, False),
        (replace(SESSION, expires=SECOND + 1), None, True),
        (replace(SESSION, tail_ops=frozenset([OTHER])), None, False),
    ],
    ids=["idle", "at its version", "at another", "leased", "expired", "not yet", "holds it already"],
)
def test_what_can_be_built_on(item: SessionItem, expected: int | None, can: bool) -> None:
    """Anything else needs a look."""
    assert request().can_follow(item, expected, NOW) is can


# --- The insert ---


def test_an_insert_adds_an_entry() -> None:
    """Version, counts and ids go with it; all else stays."""
    wanted = request()
    new = read_back(inserted(stored(SESSION), wanted, SESSION))
    assert new == replace(
        SESSION,
        version=SESSION.version + 1,
        updated=NOW,
        count=SESSION.count + 1,
        tail=(*TAIL, wanted.entry),
        tail_bytes=SESSION.tail_bytes + wanted.cost,
        tail_ops=frozenset([LATER, OTHER]),
    )


def test_an_insert_begins_a_session() -> None:
    """Its first version and its generation are the clock."""
    wanted = request()
    new = read_back(inserted(None, wanted, None))
    assert new == SessionItem(
        version=NOW,
        generation=NOW,
        created=NOW,
        updated=NOW,
        count=1,
        tail=(wanted.entry,),
        tail_bytes=wanted.cost,
        tail_ops=frozenset([OTHER]),
    )


def test_an_insert_begins_no_session_that_was_seen() -> None:
    """It was deleted since."""
    assert inserted(None, request(), SESSION) is None


def test_an_insert_begins_no_session_that_must_exist() -> None:
    """Seen or not."""
    assert inserted(None, request(must_exist=True), None) is None


@pytest.mark.parametrize("seen", [None, SESSION])
@pytest.mark.parametrize("where", ["tail_ops", "page_ops"])
def test_an_insert_is_refused_where_it_took_place(where: str, seen: SessionItem | None) -> None:
    """Its id is among those of the tail, or of the last page: it may be sent again."""
    young = replace(NOWHERE, pages=1, tail_start=1, count=4)
    item = replace(young, **{where: frozenset([EARLIER, OTHER])})
    assert inserted(stored(young), request(), seen) is not None
    assert inserted(stored(item), request(), seen) is None


@pytest.mark.parametrize(
    ("pages", "goes"), [(SESSION.pages, True), (SESSION.pages + 1, True), (SESSION.pages + 2, False)]
)
def test_the_fence(pages: int, goes: bool) -> None:
    """Refused by a writer two cuts behind: the ids that would betray a first application may be gone."""
    later = replace(SESSION, pages=pages, version=SESSION.version + 9, tail_start=SESSION.tail_start + 2, count=12)
    assert (inserted(stored(later), request(), SESSION) is not None) is goes


@pytest.mark.parametrize(("pages", "goes"), [(0, True), (1, True), (2, False)])
def test_the_fence_of_who_has_seen_nothing(pages: int, goes: bool) -> None:
    """It knows of no page."""
    item = replace(SESSION, pages=pages, tail_start=1 if pages else 0, count=4)
    assert (inserted(stored(item), request(), None) is not None) is goes


def test_an_insert_is_refused_in_the_next_session_of_the_name() -> None:
    """It was meant for the one seen."""
    assert inserted(stored(replace(SESSION, generation=SESSION.generation + 3)), request(), SESSION) is None


@pytest.mark.parametrize("item", [LEASED, replace(LEASED, created=0, count=0, tail=(), tail_start=0, pages=0)])
def test_an_insert_waits_for_who_holds_an_intent(item: SessionItem) -> None:
    """A batch is under way, or a delete."""
    assert inserted(stored(item), request(), SESSION) is None


@pytest.mark.parametrize(("expires", "goes"), [(SECOND, False), (SECOND - 9, False), (SECOND + 1, True), (None, True)])
def test_an_insert_does_not_revive_what_expired(expires: int | None, goes: bool) -> None:
    """DynamoDB may not have come round to remove it."""
    assert (inserted(stored(replace(SESSION, expires=expires)), request(), SESSION) is not None) is goes


def test_an_insert_is_refused_where_there_is_no_room() -> None:
    """Others have filled the tail since it was seen."""
    full = replace(SESSION, tail_bytes=tail_room(ROOMY, KEY) - request().cost + 1)
    assert inserted(stored(replace(full, tail_bytes=full.tail_bytes - 1)), request(), SESSION) is not None
    assert inserted(stored(full), request(), SESSION) is None


@pytest.mark.parametrize(("version", "goes"), [(SESSION.version, True), (SESSION.version + 1, False)])
@pytest.mark.parametrize("seen", [None, SESSION])
def test_an_insert_at_a_version(seen: SessionItem | None, version: int, goes: bool) -> None:
    """It takes place at no other."""
    item = replace(SESSION, version=version)
    assert (inserted(stored(item), request(), seen, expected=SESSION.version) is not None) is goes


def test_an_insert_where_there_is_to_be_no_session() -> None:
    """Whatever there is, it is refused."""
    assert inserted(stored(SESSION), request(), None, expected=0) is None
    assert inserted(None, request(), None, expected=0) is not None


def test_an_insert_is_refused_on_a_list_of_another_name() -> None:
    """The history of this session is called something else: a second one must not begin beside it."""
    item = stored(SESSION)
    item["Other"] = item.pop(NAMES.history)
    assert inserted(item, request(), SESSION) is None


def test_an_insert_is_refused_on_an_item_of_others() -> None:
    """It has no version of ours."""
    assert inserted({**KEY.item, NAMES.history: {"L": []}}, request(), None) is None


def test_an_insert_sets_and_removes_attributes() -> None:
    """Those of the user's own, in the same request."""
    before = {**stored(SESSION), "gone": {"S": "x"}, "kept": {"S": "y"}}
    after = inserted(before, request(own={"user": {"S": "ada"}, "gone": None}), SESSION)
    assert after is not None
    assert {name: after.get(name) for name in ("user", "gone", "kept")} == {
        "user": {"S": "ada"}, "gone": None, "kept": {"S": "y"}
    }  # fmt: skip


def test_an_insert_puts_off_the_expiry() -> None:
    """Where there is a ttl; else it leaves the stamp alone."""
    item = replace(SESSION, expires=SECOND + 5)
    stamped = decided(request(), item, times=Expiries(SECOND + 60, SECOND + 900))
    assert isinstance(stamped, Insert)
    assert read_back(updated(stamped.update, stored(item))).expires == SECOND + 60
    assert read_back(inserted(stored(item), request(), item)).expires == SECOND + 5


@pytest.mark.parametrize(("seen", "once"), [(None, True), (SESSION, False)])
def test_what_may_begin_a_session_is_sent_once(seen: SessionItem | None, once: bool) -> None:
    """A late copy could begin one again that was deleted since."""
    decision = decided(request(), seen)
    assert isinstance(decision, Insert)
    assert decision.update.once is once


# --- Ids ---


def test_fresh_ids_differ() -> None:
    """Two appends of the same messages are two."""
    assert ids_of(None, [line("a")]) != ids_of(None, [line("a")])


def test_a_key_is_remembered_with_its_content() -> None:
    """The same key and messages have the same ids; with other messages only the key's own is the same."""
    first, again, other = (ids_of("k", [line(text)]) for text in ("a", "a", "b"))
    assert (first, first.all & other.all) == (again, {first.op})


@pytest.mark.parametrize("key", ["", 7, b"k"])
def test_a_key_that_cannot_be_used(key: object) -> None:
    """It must be a text that is not empty."""
    with pytest.raises(InvalidInputError, match="idempotency_key"):
        ids_of(key, [line("a")])  # type: ignore[arg-type]


def test_names_of_ids_are_ours() -> None:
    """The request names our attributes by their stored names."""
    decision = decided(request(), SESSION)
    assert isinstance(decision, Insert)
    assert {lc.TAIL_OPS, lc.PAGE_OPS} <= set(decision.update.parameters["ExpressionAttributeNames"].values())
