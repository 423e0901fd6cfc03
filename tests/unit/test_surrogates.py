"""Halves of characters (lone surrogates) in messages: refused with their path, mended with all else as it was."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from langchain_dynamodb.errors import UnsupportedMessageError
from langchain_dynamodb.surrogates import mended, refuse_halves
from values_support import Mood

HALF = "a\udc00b"
JOINED = "\N{GRINNING FACE}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("plain \N{GRINNING FACE}", "plain \N{GRINNING FACE}"),
        (HALF, "a\N{REPLACEMENT CHARACTER}b"),
        ("\ud83d one", "\N{REPLACEMENT CHARACTER} one"),
        ("\ud83d\ude00", JOINED),
        ("\ude00\ud83d", "\N{REPLACEMENT CHARACTER}" * 2),
    ],
    ids=ascii,
)
def test_mended_texts(text: str, expected: str) -> None:
    """Two halves that belong together are one character; a half alone is shown as what is no character."""
    assert mended(text) == expected


@given(st.text(st.characters(codec=None)))
def test_mended_texts_are_text(text: str) -> None:
    """Whatever it was, it can be sent; what was text stays as it was."""
    assert mended(text).encode().decode() == mended(text)
    try:
        text.encode()
    except UnicodeEncodeError:
        assert mended(text) != text
    else:
        assert mended(text) is text


def test_mended_messages() -> None:
    """A copy of the same class, with every other field as it was; a whole message is the very same."""
    call = {"name": "f", "args": {HALF: 1}, "id": "1", "type": "tool_call"}
    message = AIMessage([HALF, {"text": HALF, "n": 2**70}], id="7", tool_calls=[call], note=HALF)
    before = message.model_copy(deep=True)
    whole = mended(message)
    text = mended(HALF)
    assert whole == AIMessage(
        [text, {"text": text, "n": 2**70}], id="7", tool_calls=[{**call, "args": {text: 1}}], note=text
    )
    assert type(whole) is AIMessage
    assert message == before
    for same in (HumanMessage("x", note="y"), ToolMessage("x", tool_call_id="1", artifact={"n": 2**70})):
        assert mended(same) == same
    plain = HumanMessage("x")
    assert mended([plain])[0] is plain


@pytest.mark.parametrize(
    ("message", "path"),
    [
        (HumanMessage(HALF), "messages[1].content"),
        (HumanMessage("x", id=HALF), "messages[1].id"),
        (HumanMessage(["x", {"text": HALF}]), "messages[1].content[1]['text']"),
        (HumanMessage("x", additional_kwargs={HALF: 1}), "messages[1].additional_kwargs"),
        (HumanMessage("x", note={"n": [2**70, HALF]}), "messages[1].note['n'][1]"),
        (HumanMessage("x", note={"the patient's name": HALF}), "messages[1].note[a text of 18 characters]"),
        (HumanMessage("x", note={48123456: HALF}), "messages[1].note[key 0 of type int]"),
    ],
)
def test_refused_messages(message: BaseMessage, path: str) -> None:
    """The error says where."""
    with pytest.raises(UnsupportedMessageError, match="half a character") as caught:
        refuse_halves([HumanMessage("first"), message])
    assert caught.value.path == path


@pytest.mark.parametrize("content", ["", "plain", "\N{GRINNING FACE}", ["x", {"n": 2**70}]])
def test_accepted_messages(content: Any) -> None:
    """Numbers that need the standard library's JSON are no halves."""
    refuse_halves([HumanMessage(content)])


def test_other_values_are_looked_through() -> None:
    """Tuples, sets, keys, documents and messages within."""
    values = (
        [(HALF, 1)],
        {HALF},
        {(1, HALF): 2},
        Document(HALF, metadata={"a": (HALF,)}),
        HumanMessage("x", artifact=[HALF]),
    )
    for value in values:
        message = ToolMessage("x", tool_call_id="1", artifact=value)
        assert mended(message).model_dump_json()
        with pytest.raises(UnsupportedMessageError, match=r"messages\[0\]\.artifact") as caught:
            refuse_halves([message])
        assert ascii(HALF)[1:-1] not in ascii(str(caught.value))
    assert mended(Document("x", id="7")) == Document("x", id="7")


def test_the_json_library_sees_no_members_of_enums(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would look at their values, which is code of their classes."""
    seen: list[Any] = []
    monkeypatch.setattr(orjson, "dumps", lambda value: seen.append(value) or b"x")
    message = HumanMessage("x", note=[Mood.CALM, "y"])
    assert mended(message) == message
    refuse_halves([message, HumanMessage("x")])
    assert len(seen) == 1
