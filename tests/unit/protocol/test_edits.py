"""One message changed (rule 11): the next state, what readers make of a page until it has the change, and the page."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from evaluation import KEY, NAMES, NOW, OTHER, PAGE, SESSION, line, put, read_back, stored, stored_page, updated
from langchain_dynamodb._dynamodb.attribute_values import AttributeValue
from langchain_dynamodb._items.page_items import Page
from langchain_dynamodb._items.parsing import parse_page
from langchain_dynamodb._items.session_items import Edit, SessionItem
from langchain_dynamodb._items.sizes import MAX_INFLATED, Sizes
from langchain_dynamodb._protocol import conditions, edits
from langchain_dynamodb._protocol.pages import PAGE_INFLATED, Destination, edit_page
from langchain_dynamodb._protocol.states import tail_bytes
from langchain_dynamodb.codec.messages import Codec, UndecodableError, encode_message, last_with_id, pack, unpack
from langchain_dynamodb.errors import CorruptSessionError
from support import named, noise

TO = Destination(KEY, Codec(), Sizes())
MOST = 1 << 24
LINES = [line("x"), line("y")]  # of PAGE
NEW = line("new")


def in_page(line: bytes | None = NEW, item: SessionItem = SESSION, position: int = 1) -> SessionItem:
    """The state after a change in PAGE."""
    new = edits.edited_page(item, PAGE, edits.Change(LINES, position, line), TO, OTHER, NOW, None)
    assert new is not None
    return new


def in_tail(change: edits.Change, entry: int = 0) -> SessionItem:
    """The state after a change in the tail."""
    new = edits.edited_tail(SESSION, entry, change, TO, OTHER, NOW, None)
    assert new is not None
    return new


# --- The next state ---


def test_a_message_of_the_tail() -> None:
    """It is another one; the other entry stays as it is, and so do all ids."""
    new = in_tail(edits.Change([line("a"), line("b")], 1, NEW))
    assert unpack(new.tail[0], MOST) == [line("a"), NEW]
    assert new.tail[1:] == SESSION.tail[1:]
    assert (new.count, new.tail_ops, new.page_ops, new.change) == (10, SESSION.tail_ops, SESSION.page_ops, OTHER)
    assert (new.edited, new.edit) == (0, None)


def test_a_message_of_the_tail_less() -> None:
    """An entry without messages is none; what the tail takes up is counted anew."""
    new = in_tail(edits.Change([line("c")], 0, None), entry=1)
    assert (new.tail, new.count, new.tail_count, new.message_count) == (SESSION.tail[:1], 9, 2, 9)
    assert new.tail_bytes == tail_bytes(new.tail, SESSION.tail_ops | SESSION.page_ops)


def test_a_message_of_a_page() -> None:
    """The session item says so, and nothing else of it changes."""
    new = in_page()
    assert new.edit is not None
    assert (new.edited_page, new.edit.position, unpack(new.edit.data or b"", MOST)) == (3, 1, [NEW])
    assert (new.edited, new.version) == (SESSION.version + 1, SESSION.version + 1)
    assert (
        replace(new, edit=None, edited=0, edited_page=0, version=SESSION.version, updated=SESSION.updated, change=None)
        == SESSION
    )


def test_a_message_of_a_page_less() -> None:
    """Its index stays, so that nothing has to move."""
    new = in_page(None)
    assert new.edit == Edit(1, None)
    assert (new.count, new.removed, new.message_count, new.tail_count) == (9, 1, 9, SESSION.tail_count)
    assert (new.tail_start, new.pages, new.tail) == (SESSION.tail_start, SESSION.pages, SESSION.tail)


@pytest.mark.parametrize(
    ("page", "line", "lines"),
    [
        (replace(PAGE, parts=2), NEW, LINES),
        (PAGE, line(noise(2 * edits.MAX_EDIT + 2_000)), LINES),
        (PAGE, line("x" * PAGE_INFLATED), LINES),
        (PAGE, NEW, [*LINES, line(noise(800_000))]),
    ],
    ids=["parts", "on the session item", "inflated", "in the page"],
)
def test_what_has_no_room(page: Page, line: bytes, lines: list[bytes]) -> None:
    """Then the history is written anew."""
    assert edits.edited_page(SESSION, page, edits.Change(lines, 0, line), TO, OTHER, NOW, None) is None


def test_what_has_no_room_in_the_tail() -> None:
    """It may be as large as a page and a message on its way to one."""
    large = edits.Change([line("c")], 0, line(noise(110_000)))
    assert edits.edited_tail(SESSION, 1, large, TO, OTHER, NOW, None) is None


# --- The page ---


@pytest.mark.parametrize(("line", "lines"), [(NEW, [LINES[0], NEW]), (None, LINES[:1])])
def test_a_page_before_it_has_the_edit(line: bytes | None, lines: list[bytes]) -> None:
    """Readers count and show it as after the edit; carried out it is just that, at the same place in the chain."""
    item = in_page(line)
    assert edits.is_due(PAGE, item)
    assert edits.applied(LINES, item, KEY, Codec()) == lines
    seen, done = edits.counted(PAGE, item), edits.carried_out(PAGE, item, TO, MAX_INFLATED)
    assert (seen.messages, seen.end, seen.edited) == (len(lines), PAGE.end, 0)
    assert unpack(done.data, MOST) == lines
    assert (done.messages, done.removed, done.end, done.edited) == (len(lines), 2 - len(lines), PAGE.end, item.edited)
    assert (done.cut, done.previous, done.first, done.number) == (PAGE.cut, PAGE.previous, PAGE.first, PAGE.number)


def test_a_page_that_has_the_edit() -> None:
    """It is counted once."""
    item = in_page(None)
    done = edits.carried_out(PAGE, item, TO, MAX_INFLATED)
    assert not edits.is_due(done, item)
    assert edits.counted(done, item) == done


def test_other_pages() -> None:
    """They have nothing to do with it."""
    other = replace(PAGE, number=2)
    assert edits.counted(other, in_page(None)) == other
    assert not edits.is_due(other, in_page())
    assert not edits.is_due(PAGE, replace(in_page(), edit=None))


def test_a_page_is_edited_as_it_was_seen() -> None:
    """A second time, or after another edit, it is refused; its stamp stays."""
    item = in_page()
    done = edits.carried_out(PAGE, item, TO, MAX_INFLATED)
    before = {**stored_page(PAGE), "expireAt": {"N": "9"}}
    after = updated(edit_page(PAGE, done), before)
    assert after == {**stored_page(done), "expireAt": {"N": "9"}}
    assert updated(edit_page(PAGE, replace(done, data=pack([line("older")]))), after) is None
    assert updated(edit_page(PAGE, done), {**stored_page(replace(PAGE, cut=1_019)), "lc_cut": {"N": "1019"}}) is None


def test_a_late_put_does_not_undo_an_edit() -> None:
    """The very page is there, but with other messages since."""
    done = edits.carried_out(PAGE, in_page(), TO, MAX_INFLATED)
    assert put(PAGE, stored_page(PAGE)) == stored_page(PAGE)
    assert put(PAGE, stored_page(done)) is None


def test_the_edit_is_taken_off_once() -> None:
    """Not one that came later."""
    item = in_page()
    done = replace(item, edit=None)
    taken = updated(conditions.patch(item, done, NAMES), stored(item))
    assert read_back(taken) == replace(done, listed=2)
    later = in_page(line("later"), replace(item, version=2_000))
    assert updated(conditions.patch(item, done, NAMES), stored(later)) is None


# --- As stored ---


@pytest.mark.parametrize("line", [NEW, None])
def test_as_stored(line: bytes | None) -> None:
    """Session item and page come back as they were."""
    item = in_page(line)
    assert read_back(stored(item)) == replace(item, listed=2)
    done = edits.carried_out(PAGE, item, TO, MAX_INFLATED)
    assert parse_page(stored_page(done), NAMES, "s", 3) == done


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("lc_edit", {"S": "x"}),
        ("lc_edit", {"M": {"data": {"B": b"x"}}}),
        ("lc_edit", {"M": {"position": {"N": "1"}, "data": {"S": "x"}}}),
        ("lc_edit", {"M": {"position": {"N": str(1 << 40)}}}),
        ("lc_edited_page", {"N": "4"}),
        ("lc_edited_before", {"S": "4"}),
        ("lc_edited", {"N": "9999999999"}),
        ("lc_removed", {"N": "8"}),
    ],
)
def test_damage(name: str, value: AttributeValue) -> None:
    """It is told, and named."""
    with pytest.raises(CorruptSessionError):
        read_back({**stored(in_page()), name: value})


def test_a_page_that_inflates_to_too_much() -> None:
    """One of several messages is never cut so large; a large message has a page of its own."""
    with pytest.raises(UndecodableError, match="block of more than"):
        edits.carried_out(replace(PAGE, data=pack([b"x" * (1 << 20)] * 3)), in_page(), TO)
    one = replace(PAGE, messages=1, data=pack([b"x" * (3 << 20)]))
    assert unpack(edits.carried_out(one, in_page(position=0), TO).data, MOST) == [NEW]
    with pytest.raises(UndecodableError, match="block of more than"):
        edits.carried_out(one, in_page(position=0), TO, longest=1 << 20)


# --- By its id ---


@pytest.mark.parametrize("id", ["a", 'b"\\', "\ud800", "ü"])
def test_by_its_id(id: str) -> None:
    """However JSON writes it."""
    of_that_id = encode_message(named(id))
    lines = [of_that_id, of_that_id, NEW]
    assert (last_with_id(lines, id), last_with_id(lines, "other")) == (1, None)


def test_an_id_in_a_line_of_another_kind() -> None:
    """One with binary values, or with half a character elsewhere, escapes more than plain JSON does."""
    for message in (HumanMessage("\ud800", id="ü"), HumanMessage("a", id="ü", additional_kwargs={"raw": b"x"})):
        assert last_with_id([encode_message(message)], "ü") == 0


def test_what_looks_like_that_id() -> None:
    """A text that has it."""
    assert last_with_id([line('"id":"a"')], "a") is None


@pytest.mark.parametrize("id", ["a", "ü", "\ud800"])
def test_one_that_cannot_be_decoded(id: str) -> None:
    """It is that one, or may be it: another, older one must not be taken for it. With another id it is not."""
    unknown: dict[str, Any] = {"type": "my.Shout", "content": id}
    for fields in ({**unknown, "id": id}, {**unknown, "id": id, "artifact": {"$": ["newer"]}}):
        for mark in (b"", b"!", b"$", b"$!"):
            stored = mark + json.dumps(fields).encode()
            with pytest.raises(UndecodableError) as caught:
                last_with_id([encode_message(named(id)), stored, NEW], id)
            assert caught.value.index == 1
    for fields in (unknown, {**unknown, "id": "other"}, {**unknown, "id": None}):
        stored = b"!" + json.dumps(fields).encode()
        assert last_with_id([encode_message(named(id)), stored], id) == 0
    with pytest.raises(UndecodableError):
        last_with_id([encode_message(named(id)), b'{"id":"a", ' + id.encode("utf-8", "surrogatepass")], id)
