"""Entries that others put into a session's list: which they are, how they are told, and what a repair makes of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, ChatMessage, HumanMessage, SystemMessage

from evaluation import KEY, LATER, SESSION, TAIL, line, native, read_back, stored
from langchain_dynamodb._items.session_items import GUARD, SessionItem, entry_cost
from langchain_dynamodb._items.sizes import Sizes
from langchain_dynamodb._protocol.foreign_entries import (
    Tail,
    TakenOut,
    as_message,
    decodable,
    described,
    is_disturbed,
    mend,
    strangers,
)
from langchain_dynamodb._protocol.pages import Destination
from langchain_dynamodb.codec.messages import Codec, UndecodableError, pack, unpack

Raw = dict[str, Any]

TO = Destination(KEY, Codec(), Sizes())
OURS: list[Raw] = [{"B": entry} for entry in TAIL]  # three messages: a and b, c
TEXT: Raw = {"S": line("text").decode()}
ODD: Raw = {"M": {"secret": {"S": "hush"}}}
NOT_OURS = pack([b"{"])  # a block whose line is no message


def javascript(kind: str = "human", text: str = "js", **more: Any) -> Raw:
    """A message as langchain.js's class of the same name appends it."""
    return {"M": {"type": {"S": kind}, "text": {"S": text}, **{name: {"S": value} for name, value in more.items()}}}


def listed(*entries: Raw, **changes: Any) -> SessionItem:
    """SESSION with that list."""
    item = read_back({**stored(replace(SESSION, **changes)), "History": {"L": list(entries)}})
    assert isinstance(item, SessionItem)
    return item


def mended(item: SessionItem, known: Mapping[int, BaseMessage] | None = None, *, drop: bool = False) -> Tail:
    """What a repair makes of its tail."""
    return mend(item, known or {}, TO, "History", drop_undecodable=drop)


def lines(tail: Tail) -> list[list[bytes]]:
    """The lines of each of its entries."""
    return [unpack(entry, 1 << 20) for entry in tail.entries]


A_B, C, D, E = [line("a"), line("b")], [line("c")], line("d"), line("e")

# --- Whose they are ---


@pytest.mark.parametrize(
    ("entries", "others"),
    [(OURS, []), ([native("x"), *OURS], [0]), ([*OURS, ODD, TEXT, javascript()], [2, 4]), ([{"NULL": True}], [0])],
)
def test_blocks_and_texts_are_ours(entries: list[Raw], others: list[int]) -> None:
    """JSON text is read as a line of ours; everything else was put there by others."""
    assert strangers(entries) == others


@pytest.mark.parametrize(
    ("entries", "disturbed"),
    [
        (OURS, False),
        ([*OURS, native("x")], False),
        ([OURS[0], native("x"), OURS[1]], False),
        ([*OURS, TEXT], False),
        ([native("x")], True),
        ([native("x"), *OURS], True),
        ([*OURS, ODD], True),
        ([*OURS, javascript()], True),
        ([*OURS, {"S": ""}], False),
    ],
)
def test_what_is_no_message_disturbs(entries: list[Raw], disturbed: bool) -> None:
    """So does a list that begins with theirs: it was written over ours. Messages behind ours are read, if counted."""
    assert is_disturbed(listed(*entries)) == disturbed


def test_entries_are_told_by_place_and_shape() -> None:
    """Which ones, whose they look like, and what to do."""
    told = described([OURS[0], native("x"), javascript(), ODD, OURS[1]], "Chat")
    assert told.startswith("3 of 5 entries (Chat[1], Chat[2], Chat[3]) were written by others: ")
    for shape in ("{type, data}", "{type, text}", "what is no message"):
        assert shape in told
    assert "repair(session)" in told


def test_a_text_alone_is_no_message() -> None:
    """langchain.js's have a type too."""
    told = described([{"M": {"text": {"S": "x"}}}], "History")
    assert ("{type, text}" in told, "what is no message" in told) == (False, True)


def test_no_content_is_told() -> None:
    """Neither texts nor names of fields."""
    told = described([ODD, native("hush"), javascript(text="hush")], "History")
    assert [word in told for word in ("hush", "secret")] == [False, False]


def test_of_many_entries_five_are_named() -> None:
    """An error stays readable."""
    told = described([ODD] * 7, "History")
    assert ("7 of 7" in told, "History[4], ...)" in told, "History[5]" in told) == (True, True, False)
    assert "..." not in described([ODD] * 5, "History")


# --- What can be read as a message ---


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (native("x"), HumanMessage("x")),
        (javascript("human", "x"), HumanMessage("x")),
        (javascript("system", "x"), SystemMessage("x")),
        (javascript("ai", "x", additional_kwargs='{"a": 1}'), AIMessage("x", additional_kwargs={"a": 1})),
        (javascript("generic", "x", role="critic"), ChatMessage("x", role="critic")),
        ({"S": line("x").decode()}, HumanMessage("x")),
        ({"S": '{"type":"human",\n"content":"x"}'}, HumanMessage("x")),
    ],
)
def test_messages_of_others(entry: Raw, message: BaseMessage) -> None:
    """Of langchain_community, of langchain.js, and as JSON text, whatever line breaks that has."""
    assert as_message(entry) == message


def test_further_fields_of_langchain_js() -> None:
    """As a map too."""
    entry = javascript("ai", "x")
    entry["M"]["additional_kwargs"] = {"M": {"a": {"N": "1"}}}
    assert as_message(entry) == AIMessage("x", additional_kwargs={"a": 1})


def test_a_message_of_langchain_community_may_have_a_text_beside_it() -> None:
    """Its data counts."""
    entry = native("x")
    entry["M"]["text"] = {"S": "y"}
    assert as_message(entry) == HumanMessage("x")


@pytest.mark.parametrize(
    "entry",
    [
        ODD,
        {"NULL": True},
        {"N": "1"},
        {"L": [native("x")]},
        {"M": {}},
        {"S": "hello"},
        {"S": ""},
        {"M": {"type": {"S": "human"}, "data": {"S": "x"}}},
        {"M": {"type": {"S": "nobody"}, "data": {"M": {"content": {"S": "x"}}}}},
        javascript("nobody"),
        javascript("generic"),
        javascript("ai", "x", additional_kwargs="{"),
    ],
)
def test_what_is_no_message(entry: Raw) -> None:
    """It is to be taken out, and never raises."""
    assert as_message(entry) is None


def test_a_message_with_bytes_is_one() -> None:
    """langchain_community's boto3 stores them, and so do we."""
    entry = native("x")
    entry["M"]["data"]["M"]["additional_kwargs"] = {"M": {"a": {"B": b"x"}}}
    assert as_message(entry) == HumanMessage("x", additional_kwargs={"a": b"x"})


# --- What a repair makes of them ---


def test_a_tail_of_ours_stays_as_it_is() -> None:
    """Byte for byte."""
    assert mended(SESSION) == Tail(TAIL, 3)


def test_messages_of_others_are_brought_in() -> None:
    """In their place; those in a row share an entry."""
    tail = mended(listed(OURS[0], native("d"), javascript(text="e"), OURS[1], native("d")))
    assert lines(tail) == [A_B, [D, E], C, [D]]
    assert tail == Tail(tail.entries, 6, brought_in=3)
    assert (tail.entries[0], tail.entries[2]) == TAIL


def test_what_is_no_message_is_taken_out() -> None:
    """And handed back, with its place and what it looked like."""
    tail = mended(listed(OURS[0], ODD, OURS[1], {"NULL": True}))
    assert tail == Tail(
        TAIL,
        3,
        removed=(
            TakenOut("History[1]", "what is no message", ODD),
            TakenOut("History[3]", "what is no message", {"NULL": True}),
        ),
    )


def test_a_text_becomes_a_block() -> None:
    """It counts as ours: whoever put it there counted it."""
    tail = mended(listed(*OURS, TEXT, count=11))
    assert (lines(tail), tail.messages, tail.brought_in, tail.lost) == ([A_B, C, [line("text")]], 4, 0, 0)


def test_what_was_counted_is_not_lost() -> None:
    """Messages of others that somebody counted have the place of those that are missing."""
    tail = mended(listed(OURS[0], native("d")))
    assert (lines(tail), tail.messages, tail.lost) == ([A_B, [D]], 3, 0)


@pytest.mark.parametrize(("entries", "found", "lost"), [(OURS[:1], 2, 1), (OURS[1:], 1, 2), ([{"B": GUARD}], 0, 3)])
def test_entries_of_ours_that_are_gone(entries: list[Raw], found: int, lost: int) -> None:
    """How many messages they had, the count says."""
    tail = mended(listed(*entries))
    assert (tail.messages, tail.lost) == (found, lost)


def test_what_is_taken_out_is_not_what_is_lost() -> None:
    """An entry of ours is gone, and something else is there."""
    tail = mended(listed(OURS[0], ODD))
    assert (tail.messages, tail.lost, len(tail.removed)) == (2, 1, 1)


def test_messages_that_nobody_counted() -> None:
    """A block of ours more than the count says: its messages are kept."""
    tail = mended(listed(*OURS, count=9))
    assert (tail.entries, tail.messages, tail.brought_in, tail.lost) == (TAIL, 3, 1, 0)


def known(*texts: str, first: int = 0) -> dict[int, BaseMessage]:
    """Messages of the pages, by index."""
    return {first + i: HumanMessage(text) for i, text in enumerate(texts)}


WRITTEN = [native(text) for text in "0123456"]  # what langchain_community had read


def test_a_list_that_was_written_over_ours_is_not_there_twice() -> None:
    """It begins with what the pages have; what follows is brought in, and what it covered is lost."""
    tail = mended(listed(*WRITTEN, native("d")), known(*"0123456"))
    assert (lines(tail), tail.messages, tail.brought_in, tail.lost) == ([[D]], 1, 1, 3)
    assert not tail.has_own


def test_a_list_of_nothing_but_what_the_pages_have() -> None:
    """Then the tail is empty."""
    assert mended(listed(*WRITTEN), known(*"0123456")) == Tail((), 0, lost=3, has_own=False)


def test_a_list_written_over_ours_may_have_as_many_messages() -> None:
    """As the tail had; they are those of the pages all the same."""
    assert mended(listed(*WRITTEN[:3]), known(*"0123456")) == Tail((), 0, lost=3, has_own=False)


def test_messages_that_the_pages_do_not_have_stay() -> None:
    """From the first one on that differs, or that no page is there for."""
    for pages in (known(*"01"), known("0", "1", "x", "3")):
        tail = mended(listed(*WRITTEN), pages)
        assert lines(tail) == [[line(text) for text in "23456"]]


def test_messages_like_those_of_the_pages_stay() -> None:
    """Where they do not stand at the beginning, somebody said them again."""
    tail = mended(listed(native("1"), native("0")), known(*"0123456"))
    assert lines(tail) == [[line("1"), line("0")]]


def test_a_list_that_was_appended_to_is_not_compared() -> None:
    """All of ours is there, so nothing was written over it."""
    tail = mended(listed(native("0"), *OURS), known(*"0123456"))
    assert lines(tail) == [[line("0")], A_B, C]


def test_what_was_trimmed_may_be_written_again() -> None:
    """Messages before the beginning of the history cannot be compared; they do not come back."""
    item = listed(*WRITTEN, native("d"), trimmed=2, first_page=1)
    assert lines(mended(item, known(*"23456", first=2))) == [[D]]


def test_what_was_trimmed_hides_nothing_else() -> None:
    """A list that does not go on as the pages do is all new."""
    tail = mended(listed(*map(native, "ede"), trimmed=2, first_page=1), known(*"23456", first=2))
    assert lines(tail) == [[E, D, E]]


def test_a_guard_is_no_entry_once_others_are_there() -> None:
    """It stood for a tail without any."""
    tail = mended(listed({"B": GUARD}, native("d"), count=7))
    assert (lines(tail), tail.messages, tail.brought_in) == ([[D]], 1, 1)


# --- What cannot be decoded ---


def test_what_cannot_be_decoded_is_kept() -> None:
    """A newer version may have written it; what its messages are, the count says."""
    bad = b"\x07newer"
    tail = mended(listed(OURS[0], {"B": bad}))
    assert tail == Tail((TAIL[0], bad), 3, has_unreadable=True)


def test_what_is_kept_counts_as_one_message_at_least() -> None:
    """Whatever the count says."""
    tail = mended(listed(*OURS, {"B": b"\x07"}, {"B": NOT_OURS}))
    assert (tail.messages, tail.lost, tail.has_own) == (5, 0, True)


def test_what_cannot_be_decoded_is_dropped_if_told_to() -> None:
    """It is told, but no bytes of it; that its messages are missing is not told twice."""
    tail = mended(listed(OURS[0], {"B": b"\x07newer"}), drop=True)
    assert (tail.entries, tail.messages, tail.lost, tail.has_unreadable) == (TAIL[:1], 2, 0, False)
    ((where, reason, value),) = tail.removed
    assert (where, "format 07" in reason, value) == ("History[1]", True, None)


def test_the_rest_of_an_entry_is_kept() -> None:
    """Only those lines of a block are dropped that cannot be decoded."""
    tail = mended(listed(OURS[0], {"B": pack([b"{", *C])}), drop=True)
    assert (lines(tail), [one.where for one in tail.removed]) == ([A_B, C], ["History[1]"])


def test_a_tail_of_which_nothing_can_be_read() -> None:
    """It is kept as ours, so that the ids of its appends stay."""
    assert mended(listed({"B": b"\x07"})) == Tail((b"\x07",), 3, has_unreadable=True)


def test_without_what_cannot_be_decoded_nothing_of_ours_is_left() -> None:
    """Then no append is proved by its id any more."""
    assert not mended(listed({"B": b"\x07"}), drop=True).has_own


@pytest.mark.parametrize(
    ("block", "good", "wrong"), [(TAIL[0], A_B, False), (pack([*C, b"{"]), C, True), (b"\x07", [], True)]
)
def test_the_lines_that_can_be_decoded(block: bytes, good: list[bytes], wrong: bool) -> None:
    """And whether something is wrong with the others."""
    found, reason = decodable(lambda: unpack(block, 1_000))
    assert (found, reason is not None) == (good, wrong)


def test_only_what_is_undecodable_is_caught() -> None:
    """Other errors are no damage."""

    def fail() -> list[bytes]:
        raise KeyError

    with pytest.raises(KeyError):
        decodable(fail)
    assert issubclass(UndecodableError, ValueError)


def test_a_tail_has_the_size_of_its_entries_and_ids() -> None:
    """As it is counted on the session item."""
    assert Tail(TAIL, 3).size(frozenset([LATER])) == sum(entry_cost(entry, ()) for entry in TAIL) + len(LATER) + 1
