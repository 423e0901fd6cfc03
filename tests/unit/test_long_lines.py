"""Long lines by pieces: the same bytes as all at once, whatever the pieces are, and little memory beside them."""

from __future__ import annotations

import sys
import time
import tracemalloc
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from langchain_dynamodb.codec import long_blocks, long_lines
from langchain_dynamodb.codec.lines import UndecodableError, pack, unpack
from langchain_dynamodb.codec.long_blocks import BlockReader, LongBlock
from langchain_dynamodb.codec.long_lines import LongLine, long_line
from langchain_dynamodb.codec.messages import Codec, decode_line, decode_lines, encode, encode_message, last_with_id
from langchain_dynamodb.codec.sealing import Place, TamperedError
from langchain_dynamodb.encryption.ciphers import new_cipher

NAME = (("SessionId", "S", "s"),)
PLACE = Place(NAME, 7, 3)
MOST = 1 << 30


@contextmanager
def short(line: int = 8, text: int = 4, piece: int = 3) -> Iterator[None]:
    """What counts as long is not."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (long_lines, long_blocks):
            patch.setattr(module, "LONG_LINE", line)
            patch.setattr(module, "LONG_TEXT", text)
            patch.setattr(module, "PIECE", piece)
        yield


@pytest.fixture
def _short() -> Iterator[None]:
    with short():
        yield


def in_pieces(data: bytes, size: int) -> Iterator[bytes]:
    """So many bytes at a time."""
    return (data[start : start + size] for start in range(0, len(data), size))


def taken_in(pieces: Iterable[bytes], most: int = MOST) -> list[bytes | LongLine]:
    """The lines of a block that comes so."""
    reader = BlockReader(most)
    for piece in pieces:
        reader.feed(piece)
    return reader.finish()


# Quotes, backslashes, escapes and characters of every width, so that pieces end within them.
TEXTS = st.text(st.sampled_from('ab"\\\n\x00\x1fé€😀{}:,') | st.characters(exclude_categories=["Cs"]), max_size=60)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(TEXTS, JSON, max_size=5), st.integers(1, 9), st.integers(1, 12), st.integers(1, 9))
def test_by_pieces_as_all_at_once(fields: dict[str, object], piece: int, text: int, size: int) -> None:
    """The line, its block and what is read of it, however the pieces divide them."""
    whole = orjson.dumps(fields)
    with short(text=text, piece=piece):
        line = long_line(fields)
        if line is None:
            line = LongLine([whole])
        assert (b"".join(line), len(line)) == (whole, len(whole))
        assert line.fields() == fields
        block = LongBlock(line)
        stored = b"".join(block)
        assert stored == b"".join(block) == pack([whole])
        assert len(stored) <= len(block)
        (read,) = taken_in(in_pieces(stored, size))
    assert bytes(read) == whole
    if isinstance(read, LongLine):
        assert orjson.dumps(read.fields()) == whole
        assert read == line
        assert read == whole == read
        assert read != LongLine([orjson.dumps([fields])])
        assert read != orjson.dumps([fields])
        assert read != whole.decode()


@given(st.lists(TEXTS.map(lambda text: orjson.dumps({"a": text})), min_size=2, max_size=4), st.integers(1, 9))
def test_several_lines(lines: list[bytes], size: int) -> None:
    """A block that has more than one is read all the same: who asked finds that there are too many."""
    with short():
        assert taken_in(in_pieces(pack(lines), size)) == lines


@pytest.mark.parametrize("line", [b'!{"a":123456789012345678901234567890}', b'${"a":1}\n\x00\xff"', b'$["a\xff'])
@pytest.mark.usefixtures("_short")
def test_lines_of_other_kinds(line: bytes) -> None:
    """Python's own JSON, and lines with other values, have nothing taken out of them."""
    assert taken_in(in_pieces(pack([line]), 2)) == [line]


@settings(max_examples=300)
@given(st.data())
def test_damage_is_told(data: st.DataObject) -> None:
    """Whatever is changed or cut off: an error, or the very line."""
    with short():
        line = long_line({"type": "human", "content": 'a"b\\c' * 9, "n": 1})
        assert line is not None
        stored = bytearray(b"".join(LongBlock(line)))
        del stored[data.draw(st.integers(1, len(stored))) :]
        if data.draw(st.booleans()):
            stored[data.draw(st.integers(0, len(stored) - 1))] ^= data.draw(st.integers(1, 255))
        stored += data.draw(st.binary(max_size=3))
        try:
            found = taken_in(in_pieces(bytes(stored), 5))
        except UndecodableError:
            return
        assert found == [line]


@pytest.mark.usefixtures("_short")
def test_more_than_is_allowed() -> None:
    """It is noticed as soon as there is more, not once all of it was inflated."""
    stored = b"".join(LongBlock(LongLine([b'{"a":"', "x" * 1000, b'"}'])))
    with pytest.raises(UndecodableError, match="more than 500 bytes"):
        taken_in([stored], 500)


def test_texts_that_do_not_end() -> None:
    """What is no JSON, though its checksum is right."""
    with short():
        for text in (b'{"a":"xxxxxxxxxxx', b'{"a":"xxxxxxxx\xff"}', b'{"a":"xxxxxxxx\\q"}', b'{"a":"xxxxxxxx\\'):
            with pytest.raises(UndecodableError, match="damaged line"):
                taken_in(in_pieces(pack([text]), 3))


@pytest.mark.usefixtures("_short")
def test_damage_that_is_met_at_the_end() -> None:
    """In what the inflater had taken in already."""
    with pytest.raises(UndecodableError, match="not deflated data"):
        taken_in([b"\x01\x00\x00\x00\x00\x03\xda\n\xca\x1dI\xc9\xc0{\x18\x00"])


@pytest.mark.parametrize("size", range(1, 9))
def test_characters_that_are_written_as_escapes(size: int) -> None:
    """Other writers of JSON do, those beyond 16 bits by two."""
    with short(piece=size):
        (read,) = taken_in([pack([b'{"a":"' + b"\\ud83d\\ude00\\u00e9" * 9 + b'"}'])])
        assert isinstance(read, LongLine)
        assert read.fields() == {"a": "\U0001f600\u00e9" * 9}


def test_short_texts_are_passed_over_at_once() -> None:
    """A line of many values is not looked at value by value."""
    line = orjson.dumps({"type": "tool", "artifact": [{"a": "b", 'c"\\': n % 7} for n in range(300_000)]})
    stored = pack([line])

    def seconds() -> float:
        begun = time.process_time()
        assert taken_in([stored]) == unpack(stored, MOST) == [line]
        return time.process_time() - begun

    assert min(seconds() for _ in range(3)) < 0.2


@pytest.mark.parametrize("changed", ["nothing", "a bit", "an early byte", "the end", "the place", "all"])
@pytest.mark.usefixtures("_short")
def test_sealed_by_pieces(changed: str) -> None:
    """As sealed all at once: opened by either way, and by neither where anything is changed."""
    codec = Codec().of(new_cipher(bytes(32), b"wrapped", NAME))
    line = LongLine([b'{"type":"human","content":"', "secret" * 50, b'"}'])
    pieces = codec.seal_pieces(LongBlock(line), PLACE)
    stored = b"".join(pieces)
    assert stored == b"".join(pieces)
    assert len(stored) <= len(pieces)
    assert b"secret" not in stored
    assert codec.unpack(stored, PLACE, MOST) == [bytes(line)]
    place = PLACE._replace(page=4) if changed == "the place" else PLACE
    if changed == "a bit":
        stored = stored[:-20] + bytes([stored[-20] ^ 1]) + stored[-19:]
    elif changed == "an early byte":  # of the deflated data, which is no such any more
        stored = stored[:17] + bytes([stored[17] ^ 0xFF]) + stored[18:]
    elif changed == "the end":
        stored = stored[:-1]
    elif changed == "all":
        stored = b"x"
    for size in (1, 16, len(stored)):
        reader = codec.reader(place, MOST)
        try:
            for piece in in_pieces(stored, size):
                reader.feed(piece)
            found = reader.finish()
        except TamperedError:  # never what else was found wrong with what cannot be believed
            assert changed != "nothing"
            continue
        assert changed == "nothing"
        assert found == [line]
    if changed != "nothing":
        with pytest.raises(TamperedError):
            codec.unpack(stored, place, MOST)


IMAGE = {"type": "image", "base64": "A" * 100, "mime_type": "image/png"}
MESSAGES: list[BaseMessage] = [
    HumanMessage(["look", IMAGE, {"type": "text", "text": "é\n" * 40}], id="an"),
    AIMessage("x" * 50, id="an", additional_kwargs={"reasoning": "y" * 50}, tool_calls=[]),
]


@pytest.mark.parametrize("message", MESSAGES, ids=["blocks", "fields"])
@pytest.mark.usefixtures("_short")
def test_messages(message: BaseMessage) -> None:
    """A message with long texts comes back equal, with these very texts, and is found by its id."""
    (line,) = encode([message], MOST)
    assert isinstance(line, LongLine)
    assert bytes(line) == encode_message(message)
    assert decode_line(line) == message == decode_lines([line])[0]
    if message is MESSAGES[1]:
        assert decode_line(line).content is message.content
    assert last_with_id([line, b'{"type":"human","content":"","id":"o"}'], "an") == 0
    assert last_with_id([line], "x") is None
    assert encode([message], MOST, much=False) == [bytes(line)]


@pytest.mark.usefixtures("_short")
def test_what_cannot_be_taken_apart() -> None:
    """Lone surrogates, and values that are not JSON's, go the usual way."""
    for content in ("\ud800" * 50, [{"type": "x", "data": b"\x00" * 50}]):
        message = HumanMessage(content)  # type: ignore[arg-type]
        (line,) = encode([message], MOST)
        assert isinstance(line, bytes)
        assert decode_line(line) == message


def test_memory() -> None:
    """To make the block of 40 MB takes a few MB, to read it the message and a few MB."""
    message = HumanMessage([{"type": "text", "text": "abcdefgh" * 5_000_000}])
    codec = Codec().of(new_cipher(bytes(32), b"wrapped", NAME))
    tracemalloc.start()
    try:
        (line,) = encode([message], MOST)
        assert isinstance(line, LongLine)
        stored = b"".join(codec.seal_pieces(LongBlock(line), PLACE))
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
        tracemalloc.reset_peak()
        reader = codec.reader(PLACE, MOST)
        for piece in in_pieces(stored, 1 << 20):
            reader.feed(piece)
        assert decode_lines(reader.finish()) == [message]
        assert tracemalloc.get_traced_memory()[1] < 48 << 20
    finally:
        tracemalloc.stop()


def test_a_message_of_megabytes_is_never_read_in_one_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """Orjson keeps the interpreter to itself: it gets pieces to write and to read; the line is one all the same."""
    sizes: list[int] = []
    loads, dumps = orjson.loads, orjson.dumps

    def read(text: bytes) -> object:
        value = loads(text)
        sizes.append(len(text))
        return value

    def written(value: object) -> bytes:
        sizes.append(len(made := dumps(value)))
        return made

    monkeypatch.setattr(orjson, "loads", read)
    monkeypatch.setattr(orjson, "dumps", written)
    message = HumanMessage('a quote: " ' * (1 << 19))
    lines = encode([message], MOST, much=True)
    block = b"".join(LongBlock(lines[0])) if isinstance(lines[0], LongLine) else pack(lines)
    assert decode_lines(taken_in(in_pieces(block, 1 << 20))) == [message]
    assert sizes
    assert max(sizes) <= long_lines.LONG_TEXT + 3 * long_lines.PIECE
    monkeypatch.undo()
    assert bytes(lines[0]) == encode_message(message)
    assert unpack(block, MOST) == [bytes(lines[0])]


def test_quotes_are_not_looked_at_one_by_one() -> None:
    """JSON within a text has many: reading it takes some calls for each piece, whatever it holds."""
    message = HumanMessage('{"a": "b"}, ' * (1 << 19))
    block = b"".join(LongBlock(line)) if isinstance(line := encode([message], MOST)[0], LongLine) else b""
    calls = 0

    def count(*_: object) -> None:
        nonlocal calls
        calls += 1

    sys.setprofile(count)
    try:
        lines = taken_in(in_pieces(block, 1 << 20))
    finally:
        sys.setprofile(None)
    assert decode_lines(lines) == [message]
    assert 100 < calls < 5000
