"""The codec by properties: exact or refused, whatever the message; one error, whatever the bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import langchain_core.messages as lc
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, messages_from_dict

from langchain_dynamodb.codec.assembling import MANY
from langchain_dynamodb.codec.messages import (
    UndecodableError,
    decode_line,
    decode_lines,
    encode_message,
    encode_messages,
    pack,
    unpack,
)
from langchain_dynamodb.codec.native import from_native, to_native
from langchain_dynamodb.errors import UnsupportedMessageError

SETTINGS = settings(deadline=None)  # a deadline would be a test of the machine
LONE = st.sampled_from(["\ud800", "\udbff x", "\udc00", "\udfff\ud800"])
TEXTS = st.text(max_size=20) | st.sampled_from(["", "\x00", "\n", "\u2028", "\N{PILE OF POO}", "e\u0301"])
INTEGERS = (
    st.integers() | st.integers(-(2**200), 2**200) | st.sampled_from([2**63, 2**64 - 1, 2**64, -(2**63) - 1, 10**4299])
)
FLOATS = st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from([0.0, -0.0, 1.0, 1e-200, 1e308, 5e-324])
LEAVES = st.none() | st.booleans() | INTEGERS | FLOATS | TEXTS | LONE


def containers(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return lists and objects of something."""
    return st.lists(children, max_size=4) | st.dictionaries(TEXTS | LONE, children, max_size=4)


JSON = st.recursive(LEAVES, containers, max_leaves=12)
OBJECTS = st.dictionaries(TEXTS, JSON, max_size=4)
NATIVE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(1 - 10**38, 10**38 - 1)
    | st.floats(-1e9, 1e9).map(lambda x: round(x, 6))
    | TEXTS,
    lambda children: st.lists(children, max_size=4) | st.dictionaries(TEXTS.filter(bool), children, max_size=4),
    max_leaves=12,
)
UNKNOWN = st.sampled_from([object(), range(2), memoryview(b"x"), iter([]), ValueError("x"), print])
COUNTS = st.integers(0, 10**6)
CALLS = st.fixed_dictionaries(
    {"name": TEXTS, "args": OBJECTS, "id": st.none() | TEXTS, "type": st.just("tool_call")},
    optional={"extras": OBJECTS, "index": st.integers() | TEXTS},
)
BAD_CALLS = st.fixed_dictionaries(
    {key: st.none() | TEXTS for key in ("name", "args", "id", "error")} | {"type": st.just("invalid_tool_call")}
)
CALL_CHUNKS = st.fixed_dictionaries(
    {key: st.none() | TEXTS for key in ("name", "args", "id")}
    | {"index": st.none() | st.integers(), "type": st.just("tool_call_chunk")}
)
USAGES = st.fixed_dictionaries(
    {"input_tokens": COUNTS, "output_tokens": COUNTS, "total_tokens": COUNTS},
    optional={"input_token_details": st.dictionaries(st.sampled_from(["audio", "cache_read", "other"]), COUNTS)},
)
RAW_CALLS = st.fixed_dictionaries(
    {
        "tool_calls": st.lists(
            st.just({"id": "c", "function": {"name": "f", "arguments": '{"x": 1}'}}), min_size=1, max_size=2
        )
    }
)
NAMES = st.sampled_from(["self", "cls", "content_blocks", "tool_call_chunks", "example", "values", "model_fields", "x"])
CONTENTS = TEXTS | LONE | st.lists(TEXTS | OBJECTS, max_size=4)

FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "content": CONTENTS,
    "additional_kwargs": OBJECTS | RAW_CALLS,
    "response_metadata": OBJECTS | st.just({"output_version": "v1", "model_provider": "openai"}),
    "name": TEXTS | LONE,
    "id": st.none() | TEXTS,  # older pydantic refuses lone surrogates in just this field
    "tool_calls": st.lists(CALLS, max_size=2),
    "invalid_tool_calls": st.lists(BAD_CALLS, max_size=2),
    "usage_metadata": st.none() | USAGES,
    "tool_call_chunks": st.lists(CALL_CHUNKS, max_size=2),
    "chunk_position": st.sampled_from([None, "last"]),
    "artifact": JSON,
    "status": st.sampled_from(["success", "error"]),
}
MADE: list[Callable[[], BaseMessage]] = [
    lambda: lc.HumanMessage(""),
    lambda: lc.HumanMessageChunk(""),
    lambda: lc.AIMessage(""),
    lambda: lc.AIMessageChunk(""),
    lambda: lc.SystemMessage(""),
    lambda: lc.SystemMessageChunk(""),
    lambda: lc.ChatMessage("", role=""),
    lambda: lc.ChatMessageChunk("", role="user"),
    lambda: lc.FunctionMessage("", name="f"),
    lambda: lc.FunctionMessageChunk("", name=""),
    lambda: lc.ToolMessage("", tool_call_id=""),
    lambda: lc.ToolMessageChunk("", tool_call_id="c"),
    lambda: lc.RemoveMessage(id="1"),
]


def looks(message: BaseMessage) -> tuple[object, ...]:
    """Return all there is to a message; unlike ==, it tells True, 1 and 1.0 apart."""
    return type(message), repr(message.__dict__), repr(message.model_extra)


@st.composite
def any_message(draw: st.DrawFn) -> BaseMessage:
    """Return a message of any class, its fields set without LangChain's validators having a say."""
    message = draw(st.sampled_from(MADE))()
    for name in type(message).model_fields:
        if name in FIELDS and draw(st.booleans()):
            setattr(message, name, draw(FIELDS[name]))
    extra = message.__pydantic_extra__
    assert extra is not None
    extra.update(
        {k: v for k, v in draw(st.dictionaries(NAMES | TEXTS, JSON, max_size=2)).items() if k not in message.__dict__}
    )
    return message


@st.composite
def built_message(draw: st.DrawFn) -> BaseMessage:
    """Return a message as LangChain's constructors make it, of values that DynamoDB's own types hold."""
    cls = draw(st.sampled_from([AIMessage, AIMessageChunk]))
    arguments = draw(st.lists(st.dictionaries(TEXTS.filter(bool), NATIVE, max_size=2), max_size=2))
    calls = [{"name": "f", "args": args, "id": "c"} for args in arguments]
    metadata = draw(st.dictionaries(TEXTS.filter(bool), NATIVE, max_size=3))
    return cls(draw(TEXTS), tool_calls=calls, response_metadata=metadata, usage_metadata=draw(st.none() | USAGES))


@given(any_message())
@SETTINGS
def test_a_message_of_json_values_comes_back_exactly(message: BaseMessage) -> None:
    """Field by field, types included."""
    before = looks(message)
    back = decode_line(encode_message(message))
    assert (back, looks(back), looks(message)) == (message, before, before)


@given(any_message(), st.sampled_from(["additional_kwargs", "response_metadata", "extra"]), OBJECTS, UNKNOWN, st.data())
@SETTINGS
def test_what_cannot_be_stored_is_refused_or_left_out_wherever_it_is(
    message: BaseMessage, field: str, around: dict[str, Any], value: object, data: st.DataObject
) -> None:
    """The path begins with the field and the text with the path; around it everything is what it was."""
    put, left = data.draw(st.sampled_from([(value, None), ([value], [None])]))
    setattr(message, field, {**around, "bad": put})
    with pytest.raises(UnsupportedMessageError) as caught:
        encode_message(message, strict=True)
    assert caught.value.path.startswith(f"message.{field}['bad']")
    assert str(caught.value).startswith(caught.value.path)
    if field != "extra":
        degraded: list[Any] = []
        back = decode_line(encode_message(message, degraded=degraded))
        assert [(one.path, one.cls, one.omitted) for one in degraded] == [(caught.value.path, type(value), True)]
        setattr(message, field, {**around, "bad": left})
        assert looks(back) == looks(message)


@given(st.lists(any_message(), max_size=4))
@SETTINGS
def test_lines_that_are_decoded_again(messages: list[BaseMessage]) -> None:
    """With fewer checks the same comes back, and shares nothing that can be changed."""
    lines = encode_messages(messages)
    first, again, others = (decode_lines(lines * MANY, again=again)[: len(lines)] for again in (False, True, True))
    assert [(looks(message), message.model_fields_set, [*message.__dict__]) for message in again] == [
        (looks(message), message.model_fields_set, [*message.__dict__]) for message in first
    ]
    for one, other in zip(again, others, strict=True):
        parts = [(value, other.__dict__[name]) for name, value in one.__dict__.items() if type(value) in (list, dict)]
        assert not [value for value, same in [*parts, (one.model_extra, other.model_extra)] if value is same]


@given(st.lists(any_message(), max_size=4))
@SETTINGS
def test_blocks_hold_their_lines_at_exactly_their_size(messages: list[BaseMessage]) -> None:
    """And not with one byte less."""
    lines = encode_messages(messages)
    block, size = pack(lines), len(b"\n".join(lines))
    assert unpack(block, size) == lines
    assert decode_lines(lines) == messages
    if size:
        with pytest.raises(UndecodableError):
            unpack(block, size - 1)


@given(any_message(), st.data())
@settings(SETTINGS, max_examples=3 * settings.default.max_examples)
def test_damaged_lines_give_a_message_or_the_one_error(message: BaseMessage, data: st.DataObject) -> None:
    """Nothing else escapes; what is read can be written again."""
    line = bytearray(encode_message(message))
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(line)))
        end = data.draw(st.integers(start, min(len(line), start + 6)))
        line[start:end] = data.draw(
            st.binary(max_size=3) | st.sampled_from([b"[", b'"', b"null", b"1e999", b"{}", b"NaN", b"!", b"$"])
        )
    try:
        read = decode_line(bytes(line))
    except UndecodableError:
        return
    assert decode_line(encode_message(read)) == read


@given(
    JSON
    | st.builds(
        lambda tag, rest: {"type": tag, "content": "", **rest}, st.sampled_from(["human", "ai", "tool"]), OBJECTS
    )
)
@SETTINGS
def test_native_values_give_a_message_or_the_one_error(value: object) -> None:
    """Whatever is stored under the attribute."""
    for candidate in (value, {"type": "ai", "data": value}, {"type": "human", "data": value}):
        try:
            message = from_native(candidate)
        except UndecodableError:
            continue
        assert isinstance(message, BaseMessage)


@given(
    st.binary(max_size=200) | st.binary(max_size=200).map(lambda tail: pack([b"{}"])[:5] + tail), st.integers(0, 1000)
)
@example(pack([b"x" * 100])[:-1], 1000)
@SETTINGS
def test_other_bytes_are_no_block(block: bytes, max_bytes: int) -> None:
    """The checksum leaves no chance to noise."""
    assume(block != pack([b"{}"]))
    with pytest.raises(UndecodableError):
        unpack(block, max_bytes)


@given(built_message())
@SETTINGS
def test_native_maps_are_langchain_community_and_come_back(message: BaseMessage) -> None:
    """The same dict as LangChain's own, and read alike."""
    native = to_native(message)
    assert native == lc.message_to_dict(message)
    assert looks(from_native(native)) == looks(message)
    assert messages_from_dict([native]) == [message]


@given(any_message())
@SETTINGS
def test_what_native_maps_hold_comes_back_exactly(message: BaseMessage) -> None:
    """Also after changes that LangChain's constructors would not make; what they cannot hold is refused."""
    try:
        native = to_native(message)
    except UnsupportedMessageError:
        return
    assert looks(from_native(native)) == looks(message)
