"""The codec by examples: what comes back, what is refused, what damaged bytes do."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import datetime
import enum
import hashlib
import io
import json
import pathlib
import random
import sys
import zlib
from typing import Annotated, Any

import langchain_core.messages as lc
import numpy
import pytest
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    RemoveMessage,
    ToolMessage,
    messages_from_dict,
)
from pydantic import AfterValidator, BaseModel, Field, PrivateAttr

import corpus
from langchain_dynamodb.codec.assembling import MANY
from langchain_dynamodb.codec.classes import BUILT_IN, MESSAGES, MessageClass
from langchain_dynamodb.codec.dictionary import DICTIONARY_1
from langchain_dynamodb.codec.messages import (
    UndecodableError,
    decode_line,
    decode_lines,
    encode_message,
    encode_messages,
    pack,
    register_message_class,
    unpack,
)
from langchain_dynamodb.codec.native import from_native, to_native
from langchain_dynamodb.errors import InvalidInputError, UnsupportedMessageError

CALL = {"name": "f", "args": {"x": [1, True, 1.0, None]}, "id": "c1", "type": "tool_call"}
BAD_CALL = {"name": "f", "args": "{", "id": "c2", "error": "no JSON", "type": "invalid_tool_call"}
USAGE = {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7, "input_token_details": {"cache_read": 1}}
BLOCKS: list[Any] = [
    "plain",
    {"type": "text", "text": "v1", "annotations": [{"type": "citation", "url": "https://example.com"}]},
    {"type": "reasoning", "reasoning": "", "extras": {"signature": "Ev"}},
    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
    {"type": "image", "source_type": "base64", "data": "AAAA", "mime_type": "image/png"},
    {"type": "audio", "base64": "AAAA", "mime_type": "audio/wav"},
    {"type": "tool_call", "name": "f", "args": {}, "id": "c1"},
    {"type": "non_standard", "value": {"deep": [[], {}, ""]}},
]
COMMON: dict[str, Any] = {
    "additional_kwargs": {"refusal": None, "zero": 0, "no": False, "zero point zero": 0.0, "nested": {"": []}},
    "response_metadata": {"logprobs": None, "scores": [1e-200, 1e308, -0.0, 5e-324, 1.0, 1, True]},
    "id": "run-1",
    "name": "näme \N{PILE OF POO}",
}
RICH: list[BaseMessage] = [
    lc.HumanMessage(BLOCKS, **COMMON),
    lc.HumanMessageChunk("hi", **COMMON),
    lc.AIMessage(BLOCKS, tool_calls=[CALL], invalid_tool_calls=[BAD_CALL], usage_metadata=USAGE, **COMMON),
    lc.AIMessageChunk("", tool_calls=[CALL], invalid_tool_calls=[BAD_CALL], usage_metadata=USAGE, **COMMON),
    lc.AIMessageChunk("", tool_call_chunks=[{"name": "f", "args": '{"x', "id": None, "index": 0}]),
    lc.AIMessageChunk("x", chunk_position="last"),
    lc.SystemMessage("", **COMMON),
    lc.SystemMessageChunk("s", **COMMON),
    lc.ChatMessage("c", role="critic", **COMMON),
    lc.ChatMessageChunk("c", role="critic", **COMMON),
    lc.FunctionMessage("f", **COMMON),
    lc.FunctionMessageChunk("f", **COMMON),
    lc.ToolMessage(BLOCKS, tool_call_id="c1", artifact={"a": [1.0, None]}, status="error", **COMMON),
    lc.ToolMessageChunk("t", tool_call_id="", artifact=0, **COMMON),
    lc.RemoveMessage(id="run-1"),
]
NUMBERS_AND_TEXTS = [
    2**63,
    2**64,
    -(2**63) - 1,
    10**4300 - 1,
    -(10**4300 - 1),
    0,
    False,
    0.0,
    -0.0,
    1e-200,
    1e308,
    5e-324,
    123456789.12345679,
    "",
    "\x00\n\r\u2028",
    "\N{PILE OF POO}\N{ZERO WIDTH JOINER}",
    "\ud83d",
    "\ude00\ud83d",
    "e\u0301",
]


class _Color(str, enum.Enum):
    RED = "red"


class _Level(enum.IntEnum):
    HIGH = 3


class _Plain(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class _Point:
    x: int = 1


class _Model(BaseModel):
    x: int = 1


class _Unprintable:
    def __repr__(self) -> str:
        raise RuntimeError


class Frame:
    """Looks like a DataFrame."""

    columns = ("SECRET",)

    def to_dict(self, orient: str) -> list[dict[str, Any]]:
        return []


class _Zone(datetime.tzinfo):
    """A time zone that only this program knows."""

    def utcoffset(self, when: datetime.datetime | None) -> datetime.timedelta:
        return datetime.timedelta(hours=1)


class _AllEqualText(str):
    """Text that JSON can write but whose equality lies."""

    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        return False


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MESSAGES, "by_tag", dict(MESSAGES.by_tag))
    monkeypatch.setattr(MESSAGES, "by_class", dict(MESSAGES.by_class))


def looks(message: BaseMessage) -> tuple[object, ...]:
    """Return all there is to a message; unlike ==, it tells True, 1 and 1.0 apart."""
    return type(message), repr(message.__dict__), repr(message.model_extra), repr(message.__pydantic_private__)


def with_value(value: object) -> HumanMessage:
    """Return a message that holds a value where LangChain does not look at it."""
    return HumanMessage("hi", additional_kwargs={"value": value})


def nested(levels: int) -> list[Any]:
    """Return a list in a list in a list ..."""
    value: list[Any] = []
    for _ in range(levels - 1):
        value = [value]
    return value


# What comes back


@pytest.mark.parametrize("message", RICH, ids=lambda message: type(message).__name__)
def test_every_built_in_class_comes_back_exactly(message: BaseMessage) -> None:
    """A message of each class with all its fields set."""
    assert looks(decode_line(encode_message(message))) == looks(message)


def test_the_examples_hold_every_message_class_of_langchain() -> None:
    """A class that a later langchain-core adds must get an example and support."""
    exported = {getattr(lc, name) for name in lc.__all__ if isinstance(getattr(lc, name), type)}
    classes = {cls for cls in exported if issubclass(cls, BaseMessage)} - {BaseMessage, lc.BaseMessageChunk}
    assert {type(message) for message in RICH} == classes


@pytest.mark.parametrize("value", NUMBERS_AND_TEXTS, ids=lambda value: repr(value)[:20])
def test_numbers_and_texts_come_back_as_they_were(value: object) -> None:
    """Also as text content, key, extra field and name of an extra field."""
    message = HumanMessage(str(value)[:100], additional_kwargs={"v": value, str(value)[:100]: [value]}, extra=value)
    assert looks(decode_line(encode_message(message))) == looks(message)


def test_numbers_that_compare_equal_stay_apart() -> None:
    """True == 1 == 1.0 in Python."""
    values = [True, 1, 1.0, False, 0, 0.0, -0.0]
    returned = decode_line(encode_message(with_value(values))).additional_kwargs["value"]
    assert repr(returned) == repr(values)


def test_a_false_or_zero_field_is_not_taken_for_its_default() -> None:
    """ToolMessage.artifact is None by default."""
    artifacts = [None, False, 0, 0.0, "", [], {}]
    lines = [encode_message(ToolMessage("", tool_call_id="c", artifact=artifact)) for artifact in artifacts]
    assert repr([decode_line(line).artifact for line in lines]) == repr(artifacts)


@pytest.mark.parametrize(
    "name", ["self", "content_blocks", "tool_call_chunks", "example", "model_config", "", "é", "a b"]
)
def test_extra_fields_of_any_name_come_back(name: str) -> None:
    """Some of these are parameters of LangChain's constructors or names that its validators look for."""
    message = AIMessage("hi")
    assert message.__pydantic_extra__ is not None
    message.__pydantic_extra__[name] = [{"type": "text"}]
    back = decode_line(encode_message(message))
    assert looks(back) == looks(message)
    assert name in back.model_fields_set


def test_tool_calls_changed_after_construction_come_back() -> None:
    """LangChain's constructor drops extras, refuses an index and derives tool calls from additional_kwargs."""
    message = AIMessage("", tool_calls=[CALL], additional_kwargs={"tool_calls": [{"function": {"name": "g"}}]})
    message.tool_calls[0]["extras"] = {"signature": "Ev"}
    message.tool_calls[0]["index"] = 0
    assert looks(decode_line(encode_message(message))) == looks(message)


@pytest.mark.parametrize("cls", [AIMessage, AIMessageChunk])
def test_tool_calls_that_were_emptied_stay_empty(cls: type[AIMessage]) -> None:
    """The constructor would fill them in again from additional_kwargs."""
    raw = [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    message = cls("", additional_kwargs={"tool_calls": raw})
    assert len(message.tool_calls) == 1
    message.tool_calls = []
    assert looks(decode_line(encode_message(message))) == looks(message)


def test_content_that_a_validator_would_rewrite_comes_back() -> None:
    """AIMessageChunk parses the arguments of server tool calls in place."""
    block = {"type": "server_tool_call", "id": "s", "name": "n", "args": '{"a": 1}'}
    message = AIMessageChunk("", response_metadata={"output_version": "v1"}, chunk_position="last")
    message.content = [block]
    assert looks(decode_line(encode_message(message))) == looks(message)


def test_a_type_of_its_own_comes_back() -> None:
    """Some code marks messages by their type."""
    message = HumanMessage("hi")
    message.type = "question"
    assert looks(decode_line(encode_message(message))) == looks(message)


def test_subclasses_of_plain_types_come_back_as_equal_plain_values() -> None:
    """Text enumerations and ordered dicts equal the plain value that is stored."""
    message = with_value([_Color.RED, _Level.HIGH, collections.OrderedDict(a=1), {_Color.RED: 1}, AIMessage("x").text])
    back = decode_line(encode_message(message))
    assert back == message
    assert repr(back.additional_kwargs["value"]) == "['red', 3, {'a': 1}, {'red': 1}, 'x']"


def test_messages_share_nothing_with_each_other() -> None:
    """Defaults are made anew for every message."""
    first, second = decode_lines(encode_messages([AIMessage("a"), AIMessage("a")]))
    first.additional_kwargs["x"] = 1
    first.tool_calls.append(CALL)
    assert second == AIMessage("a")


def test_the_message_itself_is_left_alone() -> None:
    """Encoding neither changes a message nor keeps a part of it."""
    message = AIMessage(BLOCKS, tool_calls=[CALL], additional_kwargs={"a": [{}]}, extra=[1])
    before = looks(message)
    encode_message(message)
    to_native(message)
    assert looks(message) == before


def test_a_line_holds_only_what_differs_from_the_defaults() -> None:
    """The format as it is stored."""
    assert encode_message(HumanMessage("hé")) == '{"type":"human","content":"hé"}'.encode()
    tool = ToolMessage("", tool_call_id="c", extra=2**64)
    assert encode_message(tool) == b'!{"type":"tool","content":"","tool_call_id":"c","extra":18446744073709551616}'


def test_fields_that_a_newer_version_added_are_kept() -> None:
    """They become extra fields."""
    assert decode_line(b'{"type":"human","content":"hi","mood":{"x":1}}') == HumanMessage("hi", mood={"x": 1})


def test_realistic_turns_come_back() -> None:
    """The corpus that measurements use."""
    rng = random.Random(1)
    turns = [corpus.turn(rng) for _ in range(200)]
    blocks = [pack(encode_messages(turn)) for turn in turns]
    assert [decode_lines(unpack(block, 100_000)) for block in blocks] == turns
    assert [[from_native(to_native(message)) for message in turn] for turn in turns] == turns


# What is refused


@pytest.mark.parametrize(
    ("value", "named", "fix"),
    [
        (_Plain.RED, "_Plain", "register_class"),
        (_Point(), "_Point", "register_class"),
        (_Model(), "_Model", "register_class"),
        (object(), "type object", "what describes it"),
        (_Unprintable(), "_Unprintable", "what describes it"),
        (nested(300), "nesting", "flatter"),
        (_AllEqualText("SECRET\ud83d"), "_AllEqualText", "what describes it"),
        (memoryview(b"SECRET"), "memoryview", "bytes(value)"),
        (iter(["SECRET"]), "list_iterator", "list(value)"),
        (pathlib.PurePosixPath("SECRET"), "PurePosixPath", "str(value)"),
        (ValueError("SECRET"), "ValueError", "str(value)"),
        (io.StringIO("SECRET"), "StringIO", "what it holds"),
        (print, "builtin_function_or_method", "what describes it"),
        (HumanMessage, "ModelMetaclass", "its name"),
        (numpy.array(["SECRET"]), "ndarray", "value.tolist()"),
        (Frame(), "Frame", 'to_dict("records")'),
        (datetime.datetime(2026, 1, 2, tzinfo=_Zone()), "time zone", "zoneinfo"),
        ({object(): "SECRET"}, "type object", "what describes it"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else None,
)
def test_what_would_not_come_back_is_refused_in_content(value: object, named: str, fix: str) -> None:
    """The error names the type, its path and the way out, also beside other values; never the value."""
    for beside in (1, 2**70, b""):
        message = HumanMessage([{"type": "x", "beside": beside, "list": [0, {"value": value}]}])
        with pytest.raises(UnsupportedMessageError) as caught:
            encode_messages([HumanMessage("fine"), message])
        assert (named in str(caught.value), fix in str(caught.value)) == (True, True), caught.value
        assert str(caught.value).startswith("messages[1].content[0]['list'][1]['value']")
        assert str(caught.value).startswith(caught.value.path)
        assert "SECRET" not in str(caught.value)
        assert len(str(caught.value)) < 500


def test_the_path_leads_to_the_value() -> None:
    """Through fields, keys and positions."""
    message = HumanMessage("hi", additional_kwargs={"when": [1, {"its": object()}]})
    with pytest.raises(UnsupportedMessageError) as caught:
        encode_messages([HumanMessage("fine"), message], strict=True)
    assert caught.value.path == """messages[1].additional_kwargs['when'][1]['its']"""


def test_a_refusal_does_not_dump_the_value() -> None:
    """It may be large, or secret; a key is shortened."""
    with pytest.raises(UnsupportedMessageError) as caught:
        encode_message(with_value([{"k" * 1000: memoryview(b"SECRET" * 100_000)}]), strict=True)
    assert len(str(caught.value)) < 300
    assert "SECRET" not in str(caught.value)


def test_a_circular_value_is_refused() -> None:
    """It has no end."""
    value: list[object] = []
    value.append(value)
    with pytest.raises(UnsupportedMessageError, match="contains itself"):
        encode_message(with_value(value), strict=True)


def test_huge_integers_come_back_whatever_this_process_can_read() -> None:
    """Another process has the usual limit on decimal digits, so they are written in hexadecimal."""
    if not hasattr(sys, "set_int_max_str_digits"):
        pytest.skip("this Python has no such limit")
    usual = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        line = encode_message(with_value(-(10**4300)))
        with pytest.raises(UndecodableError):
            decode_line(b'!{"type":"human","content":"","x":1' + b"0" * 4300 + b"}")
    finally:
        sys.set_int_max_str_digits(usual)
    assert decode_line(line).additional_kwargs["value"] == -(10**4300)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("content", None),
        ("content", [1]),
        ("id", 7),
        ("additional_kwargs", []),
        ("tool_calls", [{"name": "f", "args": {}}]),
        ("usage_metadata", {"input_tokens": 1}),
        ("type", 5),
    ],
)
def test_fields_that_were_set_to_another_type_are_refused(field: str, value: object) -> None:
    """They could be written but never be read again."""
    message = AIMessage("hi")
    setattr(message, field, value)
    with pytest.raises(UnsupportedMessageError) as caught:
        encode_message(message)
    assert caught.value.path == f"message.{field}"


def test_a_message_without_its_fields_is_refused() -> None:
    """model_construct does not ask for them."""
    with pytest.raises(UnsupportedMessageError, match=r"message\.content is not set"):
        encode_message(HumanMessage.model_construct())


def test_an_extra_field_with_the_name_of_a_field_is_refused() -> None:
    """A line has each name once."""
    message = HumanMessage("hi")
    assert message.__pydantic_extra__ is not None
    message.__pydantic_extra__["content"] = "ho"
    with pytest.raises(UnsupportedMessageError, match="name of a field"):
        encode_message(message)


@pytest.mark.parametrize("name", [5, None, "\ud83d\ude00"])
def test_an_extra_field_with_an_impossible_name_is_refused(name: Any) -> None:
    """The dict of the extra fields takes any key, and a line only texts: there is no place for a mark."""
    message = HumanMessage("hi")
    assert message.__pydantic_extra__ is not None
    message.__pydantic_extra__[name] = 1
    with pytest.raises(UnsupportedMessageError, match=r"^message holds a field .*(str\(name\)|surrogate pair)"):
        encode_message(message)


def test_unregistered_classes_are_refused() -> None:
    """They would come back as another class."""

    class Shout(HumanMessage):
        pass

    for message in (Shout("hi"), BaseMessage("hi", type="human")):
        with pytest.raises(UnsupportedMessageError) as caught:
            encode_messages([message])
        assert caught.value.path == "messages[0]"


@pytest.mark.parametrize("thing", ["hi", b"hi", None, HumanMessage("hi"), {"a": 1}, iter([HumanMessage("hi")])])
def test_only_a_sequence_of_messages_is_taken(thing: Any) -> None:
    """A text would be taken for a sequence of letters otherwise."""
    with pytest.raises(InvalidInputError, match="messages is a "):
        encode_messages(thing)


@pytest.mark.parametrize("thing", ["hi", None, ("human", "hi"), {"role": "user"}])
def test_a_thing_that_is_no_message_is_named(thing: Any) -> None:
    """With its position."""
    with pytest.raises(InvalidInputError, match=r"messages\[1\] is a \w+, not a message"):
        encode_messages([HumanMessage("hi"), thing])


# Classes of one's own


class _Mood(HumanMessage):
    mood: str = "calm"
    weights: list[float] = Field(default_factory=lambda: [1.0])
    flags: list[int] = Field(default=[0])
    score: Any = 0
    _cache: dict[str, int] = PrivateAttr(default_factory=dict)


class _Anything(BaseMessage):
    type: str
    level: float = 0.0


class _Strict(BaseMessage, extra="forbid"):
    type: str = "strict"


def test_a_registered_class_comes_back() -> None:
    """With its own fields, those with unusual defaults and its type included; private state is made anew."""
    for cls in (_Mood, _Anything, _Strict):
        register_message_class(cls)
    messages: list[BaseMessage] = [
        _Mood("hi", mood="wild", extra=1),
        _Mood("hi", flags=[False], weights=[], score=False),
        _Mood("hi", score=0.0),
        _Anything("hi", type="human", level=-0.0),
        _Anything("hi", type="other"),
        _Strict("hi"),
    ]
    assert [looks(message) for message in decode_lines(encode_messages(messages))] == [looks(m) for m in messages]


def test_a_registered_class_checks_what_is_decoded_again() -> None:
    """It may be another by now; that goes for what stands in values too."""
    register_message_class(_Mood)
    messages: list[BaseMessage] = [_Mood("hi", mood="wild"), HumanMessage("hi", extra=_Mood("hi")), HumanMessage("hi")]
    lines = encode_messages(messages)
    again = decode_lines(lines * MANY, again=True)
    assert [looks(message) for message in again] == [looks(m) for m in messages * MANY]
    with pytest.raises(UndecodableError, match="mood"):
        decode_lines([lines[0].replace(b'"wild"', b"7")] * MANY, again=True)


class _Endless(HumanMessage):
    def model_post_init(self, context: Any) -> None:
        if self.content == "bad":
            next(iter(()))


def test_a_class_that_raises_what_ends_loops() -> None:
    """It is told as any other error: nothing is left out."""
    register_message_class(_Endless)
    lines = [encode_message(_Endless(text)) for text in "abc"]
    lines[1] = lines[1].replace(b'"b"', b'"bad"')
    with pytest.raises(UndecodableError, match="StopIteration") as caught:
        decode_lines(lines)
    assert caught.value.index == 1


def _polite(value: dict[Any, Any]) -> dict[Any, Any]:
    if "rude" in value:
        raise ValueError("rude")
    return value


class _Bounded(HumanMessage):
    few: dict[Any, Any] = Field(default_factory=dict, max_length=1)
    polite: Annotated[dict[Any, Any], AfterValidator(_polite)] = Field(default_factory=dict)
    free: dict[Any, Any] = Field(default_factory=dict)


@pytest.mark.parametrize("field", [{"few": {"a": 1, "b": 2}}, {"polite": {"rude": 1}}, {"free": [1]}])
def test_what_a_class_asks_of_a_dict(field: dict[str, Any]) -> None:
    """It is checked when it is written, and when it is read."""
    register_message_class(_Bounded)
    good = _Bounded("a", few={"a": 1}, polite={"b": 2}, free={1: 2})
    assert looks(decode_line(encode_message(good))) == looks(good)
    (name,) = field
    line = encode_message(_Bounded("a")).replace(b'"a"', b'"a",' + json.dumps(field).encode()[1:-1])
    with pytest.raises(UndecodableError, match=f"field {name} is not valid"):
        decode_line(line)
    good.__dict__.update(field)
    with pytest.raises(UnsupportedMessageError, match=f"{name} is not valid in a"):
        encode_message(good)


def test_a_dict_that_is_none_is_told_in_words() -> None:
    """Of pydantic."""
    message = HumanMessage("a")
    message.additional_kwargs = [1]  # type: ignore[assignment]
    with pytest.raises(UnsupportedMessageError, match="Input should be an instance of dict"):
        encode_message(message)


@pytest.mark.parametrize("cls", [*BUILT_IN, _Mood])
def test_checking_leaves_a_class_as_it_is(cls: type[BaseMessage]) -> None:
    """Pydantic makes classes that derive from it of the same fields."""
    before = {name: (field.annotation, [*field.metadata]) for name, field in cls.model_fields.items()}
    assert callable(MessageClass(cls, "x").validate)
    assert {name: (field.annotation, field.metadata) for name, field in cls.model_fields.items()} == before


REQUIRED: dict[str, Any] = {"tool_call_id": "c1", "role": "critic", "name": "f"}


@pytest.mark.parametrize("cls", BUILT_IN)
def test_messages_decoded_again_share_nothing_with_their_class(cls: type[BaseMessage]) -> None:
    """What is put into one of them is in no other: not in the next one read, nor in a new one."""
    given = {
        name: REQUIRED[name] for name, field in cls.model_fields.items() if name in REQUIRED and field.is_required()
    }
    new: Any = cls
    line = encode_message(new(id="1", **given) if cls is RemoveMessage else new("hi", **given))
    short = json.loads(line)
    for name, default in cls.model_fields.items():  # langchain-core 1.0 writes the empty lists of its plain defaults
        if short.get(name) == default.get_default(call_default_factory=True) == []:
            del short[name]
    for stored in (line, json.dumps(short).encode()):
        for message in decode_lines([stored] * MANY, again=True):
            assert looks(message) == looks(decode_line(line))
            for value in vars(message).values():
                if isinstance(value, list):
                    value.append("mine")
                elif isinstance(value, dict):
                    value["mine"] = 1
        assert "mine" not in repr(
            [decode_lines([stored] * MANY, again=True), decode_line(stored), new(**decode_line(line).__dict__)]
        )


class _Plain(HumanMessage):
    things: list[Any] = Field(default=[])
    names: set[str] = Field(default=set())
    table: dict[str, list[int]] = Field(default={"a": [1]})
    made: list[int] = Field(default_factory=lambda: [7])
    level: int = 3


def test_defaults_that_can_change_are_made_for_each_message() -> None:
    """Whether the class has them as they are or made by a function; without its constructor."""
    one, other = MessageClass(_Plain, "plain").build([{"content": "a"}, {"content": "b", "level": 4}])
    assert [looks(one), looks(other)] == [looks(_Plain("a")), looks(_Plain("b", level=4))]
    one.things.append(1)  # type: ignore[attr-defined]
    one.names.add("x")  # type: ignore[attr-defined]
    one.table["a"].append(2)  # type: ignore[attr-defined]
    one.made.clear()  # type: ignore[attr-defined]
    (third,) = MessageClass(_Plain, "plain").build([{"content": "a"}])
    assert [looks(other), looks(third)] == [looks(_Plain("b", level=4)), looks(_Plain("a"))]
    assert _Plain("a").things == []


class _Derived(HumanMessage):
    size: int = 0

    def model_post_init(self, context: Any, /) -> None:
        self.size = len(self.content)


class _Dependent(HumanMessage):
    shout: str = Field(default_factory=lambda data: str(data["content"]).upper())


class _Private(HumanMessage):
    _cache: dict[str, int] = PrivateAttr(default_factory=dict)


class _Forbids(HumanMessage, extra="forbid"):
    pass


def test_which_classes_are_made_without_a_check(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of langchain-core's own, which have nothing but fields; should one get more, it is checked each time."""
    assert [cls for cls in BUILT_IN if not MessageClass(cls, "x").can_build] == []
    classes = [_Plain, _Derived, _Dependent, _Private, _Forbids]
    assert not any(MessageClass(cls, "x").can_build for cls in classes)
    monkeypatch.setattr("langchain_dynamodb.codec.classes.BUILT_IN", classes)
    assert [cls for cls in classes if MessageClass(cls, "x").can_build] == [_Plain]


def test_the_name_of_a_registered_class_is_stored() -> None:
    """By default that of the class; an earlier name can still be read."""
    register_message_class(_Mood, "old")
    old = encode_message(_Mood("hi"))
    register_message_class(_Mood)
    assert f'"type":"{__name__}._Mood"'.encode() in encode_message(_Mood("hi"))
    assert decode_line(old) == _Mood("hi")


def test_a_redefined_class_takes_the_place_of_the_first() -> None:
    """As when a notebook cell is run again."""

    def define() -> type[HumanMessage]:
        class Cell(HumanMessage):
            pass

        return Cell

    first, second = define(), define()
    register_message_class(first)
    line = encode_message(first("hi"))
    register_message_class(second)
    assert type(decode_line(line)) is second
    with pytest.raises(UnsupportedMessageError, match="call register_message_class"):
        encode_message(first("hi"))


def test_a_class_without_extra_fields_reads_no_others() -> None:
    """They could not be written again."""
    register_message_class(_Strict, "strict")
    assert decode_line(b'{"type":"strict","content":"hi"}') == _Strict("hi")
    with pytest.raises(UndecodableError, match="does not have"):
        decode_line(b'{"type":"strict","content":"hi","mood":"SECRET"}')


def test_private_state_that_would_be_lost_is_refused() -> None:
    """Only fields are stored."""
    register_message_class(_Mood)
    message = _Mood("hi")
    message._cache["x"] = 1
    with pytest.raises(UnsupportedMessageError, match="would not come back equal"):
        encode_message(message)


def test_a_line_of_an_unregistered_class_names_the_class() -> None:
    """The reader learns what to register."""
    with pytest.raises(UndecodableError, match=r"my\.Shout.*register_message_class"):
        decode_line(b'{"type":"my.Shout","content":"hi"}')


@pytest.mark.parametrize("cls", [BaseMessage, HumanMessage, dict, "HumanMessage", None, HumanMessage("hi")])
def test_only_own_message_classes_are_registered(cls: Any) -> None:
    """The built-in ones have their names already."""
    with pytest.raises(InvalidInputError, match="cannot be registered"):
        register_message_class(cls)


@pytest.mark.parametrize("name", ["", 5, "human", "taken"])
def test_a_name_that_is_taken_or_no_name_is_refused(name: Any) -> None:
    """Stored messages must mean one class."""
    register_message_class(_Strict, "taken")
    with pytest.raises(InvalidInputError, match="The name "):
        register_message_class(_Mood, name)


# Bytes that are not ours


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{",
        b"!",
        b"!{",
        b"null",
        b"[]",
        b'"human"',
        b"{}",
        b'{"type":5}',
        b'{"type":[]}',
        b'{"type":{}}',
        b'{"type":["human"],"content":""}',
        b'{"type":["human",5],"content":""}',
        b'{"type":"nobody","content":"SECRET"}',
        b'{"type":"SECRET SECRET","content":""}',
        b'{"type":"human"}',
        b'{"type":"human","content":5}',
        b'{"type":"human","content":[5]}',
        b'{"type":"human","content":"SECRET","id":7}',
        b'{"type":"human","content":"SECRET","additional_kwargs":[]}',
        b'{"type":"ai","content":"","tool_calls":[{"name":"SECRET"}]}',
        b'{"type":"ai","content":"","usage_metadata":{"input_tokens":"SECRET"}}',
        b'{"type":"ai","content":"","usage_metadata":{"input_tokens":true,"output_tokens":1,"total_tokens":1}}',
        b'{"type":"tool","content":"","tool_call_id":"","status":"SECRET"}',
        b'{"type":"human","content":"SECRET","x":1e999}',
        b'!{"type":"human","content":"SECRET","x":1e999}',
        b'!{"type":"human","content":"SECRET","x":NaN}',
        b'!{"type":"human","content":"SECRET","x":-Infinity}',
        b'!{"type":"human","content":"SECRET","x":' + b"9" * 5000 + b"}",
        '!{"type":"human","content":"SECRET é"}'.encode(),
        b'{"type":"human","content":"SECRET \xff"}',
        b'!{"type":"human","content":"\xff"}',
        b'{"type":"human","content":"SECRET","x":' + b"[" * 100_000,
        b'!{"type":"human","content":"SECRET","x":' + b"[" * 100_000,
        b"$",
        b"${",
        b"$!",
        b"$[]",
        b"$$",
        b'${"type":"nobody","content":"SECRET"}',
        b'${"type":"human","content":"SECRET"}\nSECRET',
        b'${"type":"human","content":{"$":["bytes","SECRET"]}}',
        b'${"type":"human","content":"SECRET","x":' + b"[" * 240 + b"]" * 241 + b"}",
        b'$!{"type":"human","content":"SECRET","x":' + b"[" * 100_000,
    ],
    ids=lambda line: line[:40].decode(errors="replace"),
)
def test_a_line_that_is_not_ours_is_undecodable(line: bytes) -> None:
    """One error whatever is wrong, and no word of the content in it or in a cause that would be printed."""
    with pytest.raises(UndecodableError) as caught:
        decode_line(line)
    assert "SECRET" not in str(caught.value)
    assert (caught.value.__cause__, caught.value.__suppress_context__ or caught.value.__context__ is None) == (
        None,
        True,
    )


def test_reading_several_lines_tells_which_is_bad() -> None:
    """So that the rest can be read without it."""
    good = encode_message(HumanMessage("hi"))
    with pytest.raises(UndecodableError) as caught:
        decode_lines([good, good, b"bad", good])
    assert caught.value.index == 2


LINES = encode_messages(RICH)
BLOCK = pack(LINES)


@pytest.mark.parametrize("lines", [[], [b"{}"], LINES, [b"x" * 1_000_000]], ids=["none", "one", "rich", "large"])
def test_a_block_holds_its_lines(lines: list[bytes]) -> None:
    """Up to exactly the size allowed."""
    size = len(b"\n".join(lines))
    assert unpack(pack(lines), size) == lines


def test_a_block_above_the_size_allowed_is_refused() -> None:
    """By one byte."""
    with pytest.raises(UndecodableError, match="more than 9 bytes"):
        unpack(pack([b"x" * 10]), 9)


@pytest.mark.parametrize(
    ("block", "reason"),
    [
        (b"", r"format \(empty\)"),
        (b"\x00" + BLOCK[1:], "format 00"),
        (b"\x02" + BLOCK[1:], "checksum|not deflated|cut short"),
        (b"\x03" + BLOCK[1:], "format 03"),
        (b"\x01", "cut short"),
        (BLOCK[:-1], "cut short"),
        (BLOCK + b"\x00", "after its end"),
        (BLOCK[:5] + b"\xff" + BLOCK[6:], "not deflated"),
        (BLOCK[:4] + b"\x00" + BLOCK[5:], "checksum"),
        (BLOCK[:5] + zlib.compress(b"{}"), "not deflated"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_block_that_is_not_ours_is_undecodable(block: bytes, reason: str) -> None:
    """The error says what is wrong with it."""
    with pytest.raises(UndecodableError, match=reason):
        unpack(block, 100_000)


def test_a_decompression_bomb_is_not_inflated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a gigabyte in 500 KB: no more than asked for and one byte is ever inflated."""
    bomb = pack([b"x" * 50_000_000])
    inflated: list[int] = []

    class Inflater:
        def __init__(self, *args: Any, **options: Any) -> None:
            self.inner = inflate(*args, **options)

        def decompress(self, data: bytes, limit: int = 0) -> bytes:
            text: bytes = self.inner.decompress(data, limit)
            inflated.append(len(text))
            return text

        def __getattr__(self, name: str) -> Any:
            return getattr(self.inner, name)

    inflate = zlib.decompressobj
    monkeypatch.setattr(zlib, "decompressobj", Inflater)
    with pytest.raises(UndecodableError, match="more than 1000 bytes"):
        unpack(bomb, 1000)
    assert inflated == [1001]


def test_damage_to_a_block_never_changes_what_is_read() -> None:
    """Any single bit, any cut, anything appended: an error, or (padding, say) the same lines."""
    flipped = (BLOCK[:i] + bytes([BLOCK[i] ^ 1 << bit]) + BLOCK[i + 1 :] for i in range(len(BLOCK)) for bit in range(8))
    cut = (BLOCK[:length] for length in range(len(BLOCK)))
    unnoticed = []
    for damaged in (*flipped, *cut, BLOCK + b"\x00", BLOCK + BLOCK):
        with contextlib.suppress(UndecodableError):
            unnoticed.append(unpack(damaged, 100_000))
    assert len(unnoticed) < 16
    assert unnoticed == [LINES] * len(unnoticed)


def test_stored_blocks_stay_readable() -> None:
    """A block as version 0.1.0 wrote it."""
    stored = bytes.fromhex(
        "015f6d44e4c323150e0c7ef56285928c548572608d96915aa49099a710905894596c8f7b245d096f89033508a9e04986ac62"
        "041b8b5af890dd08b5c48836138c68330686aa22ee1905430b3d5385985203832403671c93098628532d8616262666e62626"
        "06e6c6e60696a6a686668666b500"
    )
    call = {"name": "get_weather", "args": {"city": "Paris"}, "id": "call_1", "type": "tool_call"}
    expected = [
        HumanMessage("What's the weather in Paris?"),
        AIMessage("", tool_calls=[call], usage_metadata={"input_tokens": 9, "output_tokens": 4, "total_tokens": 13}),
        ToolMessage("18.5 \N{DEGREE SIGN}C", tool_call_id="call_1", artifact=2**64),
    ]
    assert decode_lines(unpack(stored, 1000)) == expected


def test_the_dictionary_of_format_1_has_not_changed() -> None:
    """Another dictionary needs another format byte: blocks are stored for years."""
    assert (
        hashlib.sha256(DICTIONARY_1).hexdigest() == "dc0d49223b687383eb39ac4335a03b7d83527aba80751816594d8e00432e412c"
    )


# langchain_community's native maps


@pytest.mark.parametrize("message", RICH, ids=lambda message: type(message).__name__)
def test_native_maps_are_what_langchain_community_stores(message: BaseMessage) -> None:
    """The same dict, and it reads it back as it always did."""
    if 1e308 in message.response_metadata.get("scores", ()):
        message = message.model_copy(update={"response_metadata": {"scores": [1.5, -0.25]}, "additional_kwargs": {}})
    native = to_native(message)
    assert native == lc.message_to_dict(message)
    assert looks(from_native(native)) == looks(message)
    assert messages_from_dict([native]) == messages_from_dict([lc.message_to_dict(message)])


NOT_NATIVE = pytest.mark.parametrize(
    "value",
    [10**38, -(10**38), 1e38, 1e-131, "\ud83d", {"": 1}, {"\ud83d": 1}],
    ids=["int", "negative", "float", "tiny", "surrogate", "empty key", "surrogate key"],
)


@NOT_NATIVE
def test_what_native_types_cannot_hold_is_marked(value: object) -> None:
    """langchain_community reads a map there, and we what it was."""
    native = to_native(with_value(value))
    assert looks(from_native(native)) == looks(with_value(value))
    assert list(native["data"]["additional_kwargs"]["value"]) == ["langchain_dynamodb"]  # type: ignore[index]


@NOT_NATIVE
def test_what_native_types_cannot_hold_is_refused_in_content(value: object) -> None:
    """langchain_community would hand our marks to a model; the pages can hold it, and the error says so."""
    message = HumanMessage([{"type": "x", "value": value}])
    encode_message(message)
    with pytest.raises(UnsupportedMessageError, match='item_format="pages"') as caught:
        to_native(message)
    assert caught.value.path == "message.content[0]['value']"


def test_what_native_types_cannot_hold_so_deep_is_left_out() -> None:
    """DynamoDB has 32 levels."""
    degraded: list[Any] = []
    back = from_native(to_native(with_value(nested(28)), degraded=degraded))
    assert [(one.omitted, one.cls) for one in degraded] == [(True, list)]
    assert back.additional_kwargs["value"] is not None
    with pytest.raises(UnsupportedMessageError, match=r'levels of nesting.*item_format="pages"'):
        to_native(with_value(nested(28)), strict=True)


def test_a_field_without_a_name_does_not_fit_a_native_map() -> None:
    """Extra fields are attributes of the map."""
    with pytest.raises(UnsupportedMessageError, match=r'empty.*item_format="pages"'):
        to_native(HumanMessage("hi", **{"": 1}))


@pytest.mark.parametrize("value", [10**38 - 1, 9e37, 1e-130, 0, -0.0, "", nested(27)])
def test_what_native_types_can_just_hold_is_taken(value: object) -> None:
    """The other side of the limits."""
    assert from_native(to_native(with_value(value))) == with_value(value)


def test_langchain_community_format_takes_no_other_classes() -> None:
    """langchain_community could read none of the session's messages then."""
    register_message_class(_Mood)
    marked = HumanMessage("hi")
    marked.type = "question"
    for message in (_Mood("hi"), marked):
        with pytest.raises(UnsupportedMessageError, match="langchain_community could not read it"):
            to_native(message)


def test_native_maps_of_an_older_langchain_are_completed() -> None:
    """As langchain_community does: by the constructor, which derives tool calls."""
    raw = [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}]
    data = {"content": "", "additional_kwargs": {"tool_calls": raw}, "type": "ai", "example": False}
    value = {"type": "ai", "data": data}
    assert from_native(value) == messages_from_dict([value])[0]
    assert from_native(value).tool_calls[0]["args"] == {"x": 1}


def test_native_maps_that_need_conversion_are_converted() -> None:
    """As langchain_community does; the constructor makes text of a numeric id."""
    value: dict[str, Any] = to_native(HumanMessage("hi"))
    value["data"]["id"] = 7
    assert from_native(value) == messages_from_dict([value])[0]


@pytest.mark.parametrize(
    "value",
    [
        None,
        "SECRET",
        [],
        {},
        {"type": "human"},
        {"type": "human", "data": None},
        {"type": "human", "data": {}},
        {"type": "SECRET", "data": {"content": "SECRET"}},
        {"type": ["human"], "data": {"content": "SECRET"}},
        {"type": "human", "data": {"content": 5, "id": "SECRET"}},
        {"type": "human", "data": {"content": "SECRET", "type": "ai"}},
        {"type": "tool", "data": {"content": "SECRET"}},
        {"type": "ai", "data": {"content": "SECRET", "additional_kwargs": "SECRET"}},
        {"type": "ai", "data": {"content": "", "tool_calls": [{"name": "SECRET"}]}},
    ],
    ids=repr,
)
def test_a_native_value_that_is_no_message_is_undecodable(value: object) -> None:
    """Whatever was stored under the attribute."""
    with pytest.raises(UndecodableError) as caught:
        from_native(value)
    assert "SECRET" not in str(caught.value)
