"""Blocks of lines, several at once, and the codec: what is stored where, and what a place may change of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, HumanMessage, RemoveMessage

from evaluation import KEY, line
from langchain_dynamodb.codec.lines import MAX_LINES, unpack_each
from langchain_dynamodb.codec.messages import (
    MANY_BYTES,
    MANY_MESSAGES,
    MANY_VALUES,
    Codec,
    Place,
    UndecodableError,
    decode_lines,
    encode_messages,
    is_instruction,
    is_much,
    pack,
    register_message_class,
    unpack,
)
from langchain_dynamodb.codec.native import from_dump
from langchain_dynamodb.errors import MessageTooLargeError, UnsupportedMessageError
from values_support import holding

LINES = [line("a"), line("b")]
ITEM, PAGE = KEY.place(), KEY.place(1_000, 3)

# --- Blocks ---


def test_a_block_begins_with_its_format() -> None:
    """Then four bytes of checksum (docs/storage.md): a new form of blocks has another byte."""
    assert (pack(LINES)[:1], len(pack([])) > 5) == (b"\x01", True)


def test_blocks_of_the_same_lines_are_the_same() -> None:
    """Who cuts the same tail writes the same page (rule 2)."""
    assert pack(LINES) == pack(list(LINES))


def test_a_block_has_an_end_to_its_lines() -> None:
    """A list of empty lines takes far more memory than the text it was split from."""
    most = [b""] * (MAX_LINES - 1) + [b"x"]
    assert len(unpack(pack(most), 1 << 21)) == MAX_LINES
    with pytest.raises(UndecodableError, match=f"more than {MAX_LINES} lines"):
        unpack(pack([*most, b"x"]), 1 << 21)


def test_several_blocks() -> None:
    """Each has its own lines; one without messages has none."""
    assert unpack_each([pack(LINES), pack([]), pack(LINES[:1])], 1_000) == [LINES, [], LINES[:1]]


def test_several_blocks_share_a_bound() -> None:
    """Of their text, so that many small ones are no bomb either."""
    blocks, size = [pack([b"x" * 10])] * 3, 30
    assert len(unpack_each(blocks, size)) == 3
    with pytest.raises(UndecodableError) as caught:
        unpack_each(blocks, size - 1)
    assert (caught.value.index, caught.value.reason) == (2, "block of more than 9 bytes")


def test_which_of_several_blocks_is_bad() -> None:
    """So that the others can be read without it."""
    with pytest.raises(UndecodableError) as caught:
        unpack_each([pack(LINES), pack([]), b"\x07", b""], 1_000)
    assert (caught.value.index, caught.value.reason) == (2, "unknown block format 07")


# --- Lines ---


BAD = [
    *(b'{"type":"human","content":7}', b'!{"type":"human","content":7}', b"{", b"1", b"", b"!{", b"!\xff"),
    *(b'!{"type":"human","content":"a","additional_kwargs":{"n":%b}}' % n for n in (b"NaN", b"1e999", b"9" * 5000)),
    b"!" + b"[" * 100_000,
]


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("index", [0, 1, 3])
def test_which_of_several_lines_is_no_message(index: int, bad: bytes, large: bool) -> None:
    """Whether or not it is JSON, and whichever of our ways to write it the others take."""
    numbers = b'!{"type":"human","content":"b","additional_kwargs":{"n":18446744073709551616}}'
    lines = [line("a"), numbers if large else line("b"), line("c"), line("d")]
    lines[index] = bad
    with pytest.raises(UndecodableError) as caught:
        decode_lines(lines)
    assert caught.value.index == index


@pytest.mark.parametrize("other", BAD)
def test_the_first_of_several_bad_lines_is_told(other: bytes) -> None:
    """Whatever is wrong with those behind it."""
    with pytest.raises(UndecodableError) as caught:
        decode_lines([line("a"), b'{"type":"human","content":7}', line("b"), other])
    assert (caught.value.index, "content" in caught.value.reason) == (1, True)


# --- The codec ---


def test_a_codec_stores_blocks() -> None:
    """The very bytes, wherever they are."""
    assert [Codec().pack(LINES, place) for place in (ITEM, PAGE)] == [pack(LINES)] * 2
    assert Codec().unpack(pack(LINES), PAGE, 1_000) == LINES


def test_a_codec_encodes_and_decodes() -> None:
    """Messages come back."""
    messages = [HumanMessage("a"), AIMessage("b", id="run-1")]
    lines = Codec().encode(messages, 1_000)
    assert (lines, Codec().decode(lines)) == (encode_messages(messages), messages)


@pytest.mark.parametrize("most", [len(LINES[0]) - 1, len(LINES[0])])
def test_a_line_may_have_so_many_bytes(most: int) -> None:
    """And not one more: nothing is sent then (rule 9)."""
    if most == len(LINES[0]):
        assert Codec().encode([HumanMessage("a")], most) == LINES[:1]
        return
    with pytest.raises(MessageTooLargeError) as caught:
        Codec().encode([HumanMessage("a")], most)
    assert (caught.value.size, caught.value.limit) == (most + 1, most)


def test_instructions_are_not_stored() -> None:
    """They say nothing; the error names the one."""
    with pytest.raises(UnsupportedMessageError, match="RemoveMessage") as caught:
        Codec().encode([HumanMessage("a"), RemoveMessage("x")], 1_000)
    assert caught.value.path == "messages[1]"
    assert [is_instruction(message) for message in (RemoveMessage("x"), HumanMessage("a"))] == [True, False]


@dataclass(frozen=True)
class Marking(Codec):
    """Writes the place before a block, and reads it at that place only."""

    def seal(self, block: bytes, place: Place) -> bytes:
        return self._mark(place) + block

    def open(self, stored: bytes, place: Place) -> bytes:
        mark = self._mark(place)
        if not stored.startswith(mark):
            raise UndecodableError("stands in another place")
        return stored[len(mark) :]

    def _mark(self, place: Place) -> bytes:
        return repr(place).encode()


def test_what_is_stored_may_depend_on_the_place() -> None:
    """Then it is read at that place only."""
    stored = Marking().pack(LINES, PAGE)
    assert Marking().unpack(stored, PAGE, 1_000) == LINES
    for other in (ITEM, KEY.place(1_000, 4), KEY.place(1_001, 3)):
        with pytest.raises(UndecodableError, match="another place"):
            Marking().unpack(stored, other, 1_000)


def test_several_blocks_of_a_place() -> None:
    """The first that cannot be opened, or unpacked, is told."""
    good, strange, bad = Marking().pack(LINES, ITEM), Marking().pack(LINES, PAGE), Marking().seal(b"\x07", ITEM)
    assert Marking().unpack_each([good, good], ITEM, 1_000) == [LINES, LINES]
    for blocks, index, reason in (([good, strange], 1, "stands in another place"), ([good, good, bad], 2, "07")):
        with pytest.raises(UndecodableError) as caught:
            Marking().unpack_each(blocks, ITEM, 1_000)
        assert (caught.value.index, reason in caught.value.reason) == (index, True)


def test_the_bound_is_that_of_the_text() -> None:
    """Of all blocks together; what a codec puts around them does not count."""
    blocks = [Marking().pack([b"x" * 10], ITEM)] * 2
    assert Marking().unpack_each(blocks, ITEM, 20) == [[b"x" * 10]] * 2
    with pytest.raises(UndecodableError):
        Marking().unpack_each(blocks, ITEM, 19)


def ring() -> list[Any]:
    """A list within itself."""
    value: list[Any] = []
    value.append(value)
    return value


FEW: dict[str, Any] = {
    "nothing": [],
    "a turn": [HumanMessage("x" * 1_000), AIMessage("y", response_metadata={"usage": {"tokens": 3}}, extra={"a": [1]})],
    "some text": [HumanMessage("x" * (MANY_BYTES - 100))],
    "some values": [holding([0.5] * (MANY_VALUES - 100))],
    "an object": [holding([Document("x", metadata={"a": 1}), datetime.now(), (1, 2), b"x"])],
    "no messages": ["hi"],
    "no list": 7,
}
MUCH: dict[str, Any] = {
    "many": [HumanMessage("x")] * (MANY_MESSAGES + 1),
    "text": [HumanMessage("x" * (MANY_BYTES + 1))],
    "text of several": [HumanMessage("x" * 2_000)] * 70,
    "an extra field": [HumanMessage("x", page={"text": "x" * (MANY_BYTES + 1)})],
    "deep": [HumanMessage([{"a": {"b": {"c": {"d": ["x" * (MANY_BYTES + 1)]}}}}])],
    "bytes": [holding((bytearray(MANY_BYTES),)), holding({b"x" * 100})],
    "numbers": [holding([[0.5] * 100] * (MANY_VALUES // 100 + 1))],
    "times": [holding([datetime.now()] * (MANY_VALUES // 20))],
    "objects": [holding([Document("x")] * (MANY_VALUES // 20))],
    "objects with text": [holding(Document("x" * (MANY_BYTES + 1)))],
    "no end": [holding(ring())],
}


@pytest.mark.parametrize("what", FEW)
def test_what_is_encoded_at_once(what: str) -> None:
    """A thread would take longer; what cannot be encoded gets its error at once."""
    assert not is_much(FEW[what])


@pytest.mark.parametrize("what", MUCH)
def test_what_is_encoded_in_a_thread(what: str) -> None:
    """By a glance at all fields, whatever holds the text or the values."""
    assert is_much(MUCH[what])


def test_a_glance_at_what_is_large_is_short() -> None:
    """It looks at so many values and no more."""

    class Counted(list[Any]):
        def __iter__(self) -> Any:
            raise AssertionError("gone through")

    assert is_much([holding([0.5] * 50_000_000)])
    assert not is_much([holding(Counted([0.5]))])


# --- What a message's own dump gives ---


class Loud(HumanMessage):
    """A class of a user's own."""

    volume: int = 11


@pytest.mark.parametrize("mode", ["python", "json"])
def test_a_message_of_its_dump(mode: Any) -> None:
    """A dump names no class: it is the one of this type with the most of these fields."""
    register_message_class(Loud)
    for message in (HumanMessage("a", id="1"), Loud("a", volume=3), AIMessage("x")):
        again = from_dump(message.model_dump(mode=mode))
        assert (again, type(again)) == (message, type(message))


def test_a_dump_that_lacks_fields() -> None:
    """The constructor completes it."""
    assert from_dump({"type": "human", "content": "a"}) == HumanMessage("a")


def test_a_dump_of_no_message() -> None:
    """It names the type and what to do."""
    with pytest.raises(ValueError, match=r"no message class has the type 'nobody'.*register_message_class"):
        from_dump({"type": "nobody", "content": "hush"})
