"""Values of other kinds than JSON's in the maps of langchain_community, as DynamoDB gives them back."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from pydantic import BaseModel

from langchain_dynamodb import register_class
from langchain_dynamodb._dynamodb.attribute_values import from_attribute, to_attribute
from langchain_dynamodb.codec.messages import decode_line, encode_message
from langchain_dynamodb.codec.native import from_native, to_native
from langchain_dynamodb.errors import UnsupportedMessageError
from values_support import (
    CLASSES,
    KEYS,
    VALUES,
    Answer,
    Colour,
    Loose,
    Mood,
    Point,
    Right,
    Span,
    forget,
    looks,
    unordered,
)


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    forget(monkeypatch)


def attribute(message: BaseMessage, **options: Any) -> dict[str, Any]:
    """What DynamoDB stores of a message."""
    return to_attribute(to_native(message, **options), "message", depth=1, json_only=False)


def back(message: BaseMessage, **options: Any) -> Any:
    """The message through DynamoDB's own types."""
    return from_native(from_attribute(attribute(message, **options), json_only=False))


def holding(value: object) -> HumanMessage:
    """A message with this value where it may have a mark."""
    return HumanMessage("", additional_kwargs={"value": value})


@dataclasses.dataclass
class Empty:
    """A dataclass without fields."""


class EmptyModel(BaseModel):
    """A model without fields."""


@dataclasses.dataclass
class Marked:
    """A dataclass with a field of our name."""

    langchain_dynamodb: Any
    x: Any = None


NUMBERS = [1.0, -0.0, 0.0, -2.0, 1e22, 1, 0, True, 1.5]


@pytest.mark.parametrize(
    "value",
    [
        tuple(NUMBERS),
        Document("d", metadata={"score": 1.0, "scores": [NUMBERS]}),
        Answer(text="a", score=-0.0),
        Span(1.0, [{"x": 2.0}]),
        Point(0.0, -0.0),
        {1.0: 1.0, 2: -0.0},
        {1: {"a": 1.0}},
        frozenset({1.0, 2}),
        HumanMessage("", additional_kwargs={"x": 1.0}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_numbers_in_values_with_marks_keep_their_types(value: Any) -> None:
    """DynamoDB's numbers do not tell 1.0 from 1, nor -0.0 from 0."""
    for cls in CLASSES:
        register_class(cls)
    message = holding(value)
    assert unordered(looks(back(message))) == unordered(looks(message))


def test_strict_keeps_the_types_of_all_numbers() -> None:
    """By marks where they may be; where a model would see those the number is refused."""
    message = holding(NUMBERS)
    assert back(message).additional_kwargs["value"] == NUMBERS
    assert looks(back(message)) != looks(message)
    assert looks(back(message, strict=True)) == looks(message)
    call = AIMessage("", tool_calls=[{"name": "f", "args": {"x": 1.0}, "id": "c"}])
    assert back(call) == call
    with pytest.raises(UnsupportedMessageError):
        to_native(call, strict=True)


@pytest.mark.parametrize("value", [Empty(), EmptyModel(), [Empty()], {1: EmptyModel()}], ids=repr)
def test_an_object_without_fields_comes_back(value: Any) -> None:
    """Its mark stands alone."""
    register_class(Empty)
    register_class(EmptyModel)
    assert back(holding(value)) == holding(value)


@given(VALUES)
@settings(deadline=None)
def test_any_value_comes_back_from_dynamodb(value: Any) -> None:
    """In strict, where no number may change."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        forget(monkeypatch)
        for cls in CLASSES:
            register_class(cls)
        message = holding(value)
        assert unordered(looks(back(message, strict=True))) == unordered(looks(message))


@given(VALUES)
@settings(deadline=None)
def test_a_process_that_lacks_the_classes_hands_on_what_it_converts(value: Any) -> None:
    """Whoever knows them reads the objects again, whichever format they went through."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        forget(monkeypatch)
        for cls in CLASSES:
            register_class(cls)
        message = holding(value)
        stored = from_attribute(attribute(message, strict=True), json_only=False)
        forget(monkeypatch)
        read = from_native(stored, exact=True)
        line = encode_message(read, strict=True)
        for cls in CLASSES:
            register_class(cls)
        assert unordered(looks(decode_line(line))) == unordered(looks(message))


@given(VALUES)
@settings(deadline=None)
def test_any_value_of_classes_that_are_not_registered_is_stored(value: Any) -> None:
    """As maps of their fields; who registers the classes later reads the objects."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        forget(monkeypatch)
        message = holding([(value,)])  # where numbers keep their types
        stored = from_attribute(attribute(message), json_only=False)
        assert from_native(stored).additional_kwargs.keys() == {"value"}
        for cls in CLASSES:
            register_class(cls)
        found, given = (unordered(looks(one.additional_kwargs)) for one in (from_native(stored), message))
        assert [repr(found).count(cls.__name__) for cls in CLASSES if cls is not Mood] == [
            repr(given).count(cls.__name__) for cls in CLASSES if cls is not Mood
        ]


def test_what_is_not_known_equals_its_data() -> None:
    """A list that langchain_community wrote over ours is compared with what was there."""
    value = [Span(1, Answer(text="a")), HumanMessage("x"), Colour.RED]
    stored = to_native(holding(value))
    assert from_native(stored, exact=True) == from_native(stored)


@pytest.mark.parametrize(
    "value",
    [
        "x",
        1,
        None,
        [],
        ["nobody"],
        ["object"],
        ["tuple"],
        ["date", "SECRET"],
        ["message", 1],
        {"a": {"langchain_dynamodb": 5}},
        [{"langchain_dynamodb": ["bytes"]}],
    ],
    ids=repr,
)
@pytest.mark.parametrize("more", [{}, {"other": [1]}])
def test_an_attribute_of_others_with_our_name_is_theirs(value: Any, more: dict[str, Any]) -> None:
    """What langchain_community stored under it is read as it is, beside what else is there."""
    if value == ["tuple"] and not more:
        pytest.skip("this is an empty tuple of ours")
    kwargs = {"langchain_dynamodb": value, **more}
    data = HumanMessage("hi").model_dump() | {"additional_kwargs": kwargs}
    assert from_native({"type": "human", "data": data}) == HumanMessage("hi", additional_kwargs=kwargs)
    assert back(HumanMessage("hi", additional_kwargs=kwargs)) == HumanMessage("hi", additional_kwargs=kwargs)


class Kind(enum.Enum):
    """An enum of its own."""

    ONE = 1


LEAVES: list[Any] = [
    1,
    "x",
    1.5,
    1.0,
    None,
    b"x",
    2**200,
    1e-200,
    "\udc00",
    dt.date(2026, 1, 1),
    dt.datetime(2026, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=1), "x")),
    (),
    (1,),
    {1: 2},
    {"langchain_dynamodb": 1},
    {"a"},
    {1, "a"},
    [],
    {},
    Span(1),
    Point(1),
    Answer(text="a"),
    Kind.ONE,
    HumanMessage(""),
    Document("d"),
    Empty(),
    Marked(1),
    HumanMessage("", langchain_dynamodb=1),
    4.845098552264191e16,
]


@pytest.mark.parametrize("leaf", LEAVES, ids=range(len(LEAVES)))
def test_what_is_as_deep_as_dynamodb_allows(leaf: Any) -> None:
    """It is stored or refused by us, with its place; and what has no mark to the very last level."""
    for cls in (*CLASSES, Kind, Empty, Marked):
        register_class(cls)
    deepest = 0
    for levels in range(18, 34):
        value = leaf
        for _ in range(levels):
            value = [value]
        message = HumanMessage([{"type": "x", "v": 1}], additional_kwargs={"v": value})
        try:
            assert looks(back(message, strict=True)) == looks(message)
            deepest = levels
        except UnsupportedMessageError:
            continue
    assert deepest >= 22
    assert (
        looks(leaf) not in (looks(1), looks("x")) or deepest == 27  # 4 more are around it
    )  # the field's dict and 3 around it make 31, and it 32


def test_a_value_with_a_mark_makes_no_other_less_deep() -> None:
    """Each has the levels that DynamoDB has."""
    value: Any = 1
    for _ in range(27):
        value = [value]
    assert back(holding({"deep": value[0]})) == holding({"deep": value[0]})
    assert back(holding({"deep": value[0], "when": dt.date(2026, 1, 1)})).additional_kwargs["value"]["deep"] == value[0]


@pytest.mark.parametrize(
    ("content", "place", "kind"),
    [
        ([{"type": "x", "day": dt.date(2026, 11, 1)}], r"content\[0\]\['day'\]", "date"),
        ([{"type": "x", "rows": [1, (2, 3)]}], r"content\[0\]\['rows'\]\[1\]", "tuple"),
    ],
)
def test_what_has_no_place_in_content_is_named(content: Any, place: str, kind: str) -> None:
    """Its place, its kind, and what to do where both programs are needed."""
    with pytest.raises(UnsupportedMessageError, match=rf"{place} holds a {kind}, .*store text in its place") as caught:
        to_native(HumanMessage(content))
    assert "2026" not in str(caught.value)


# What is left out


class Opaque:
    """A class whose objects are left out, wherever they are."""


def converted(message: BaseMessage, **options: Any) -> Any:
    """The message as it is read once it was brought from DynamoDB's own types into our format."""
    stored = from_attribute(attribute(message, **options), json_only=False)
    return decode_line(encode_message(from_native(stored, exact=True)))


LEFT_OUT: list[Any] = [
    {Opaque(): 1, "a": 2},
    {"x": {1: 2, Opaque(): 1}},
    {Opaque(): Opaque(), Opaque(): 1},
    {1: Opaque()},
    [{(Opaque(),): 1}, {2: {Opaque(): 3}}],
    {Opaque(), 1, "a"},
    {Opaque(), Opaque()},
    (Opaque(), 1),
    Span(Opaque(), 1),
    Span([{Opaque(): 1}], 1),
    Span({1: Span(Opaque())}, Span(1)),
    Span(1, HumanMessage("x", artifact=Opaque())),
    Point(Opaque(), 1.0),
    Answer(text="a", score=Opaque()),
    Loose.model_validate({"more": [Opaque()], "langchain_dynamodb": 1}),
    Loose.model_validate({"more": Opaque(), "x": 1}),
    Document("d", metadata={"client": Opaque()}),
    HumanMessage("x", additional_kwargs={"client": Opaque(), "keys": {Opaque(): 1}}),
]
HOLDERS: list[Any] = [
    lambda value: ToolMessage("x", tool_call_id="c", artifact=(value,)),  # where numbers keep their types
    lambda value: AIMessage("x", additional_kwargs=value if isinstance(value, dict) else {"v": (value,)}),
    lambda value: AIMessage("x", response_metadata=value if isinstance(value, dict) else {"v": (value,)}),
]


@pytest.mark.parametrize("before", [True, False], ids=["before", "later"])
@pytest.mark.parametrize("make", HOLDERS, ids=["artifact", "kwargs", "metadata"])
@pytest.mark.parametrize("value", LEFT_OUT, ids=range(len(LEFT_OUT)))
def test_what_is_left_out_is_so_as_in_pages(value: Any, make: Any, before: bool) -> None:
    """No entry where the key is, no object where a part is; whenever the classes were registered, converted or not."""
    message = make(value)
    if not before:
        stored, line = to_native(message), encode_message(message, degraded=[])
    for cls in CLASSES:
        register_class(cls)
    if before:
        stored, line = to_native(message), encode_message(message, degraded=[])
    expected = unordered(looks(decode_line(line)))
    assert unordered(looks(from_native(stored))) == expected
    assert unordered(looks(decode_line(encode_message(from_native(stored, exact=True), strict=True)))) == expected


def test_an_entry_without_a_value_is_dropped() -> None:
    """Earlier versions stored a key that was left out."""
    pairs = [[None], [1, 2]]
    data = HumanMessage("hi").model_dump() | {"additional_kwargs": {"langchain_dynamodb": ["dict", *pairs]}}
    stored = {"type": "human", "data": data}
    for exact in (False, True):
        assert from_native(stored, exact=exact).additional_kwargs == {1: 2}


@pytest.mark.parametrize("kind", ["data", "omitted"])
@pytest.mark.parametrize("where", ["content", "additional_kwargs"])
def test_kinds_that_only_pages_have_are_the_data_of_others(kind: str, where: str) -> None:
    """They are kept as they are, also when the item is converted."""
    there: Any = {"type": "x", "v": {"langchain_dynamodb": [kind, "abc"]}}
    message = HumanMessage(**{"content": "", where: [there] if where == "content" else there})
    stored = {"type": "human", "data": message.model_dump()}
    assert from_native(stored) == message
    assert decode_line(encode_message(from_native(stored, exact=True), strict=True)) == message


OTHERS: list[dict[str, Any]] = [
    {"content": [{"langchain_dynamodb": ["object", "X"], "type": "text", "text": "a"}]},
    {"content": "", "tool_calls": [{"langchain_dynamodb": ["object", "X"], "name": "f", "args": {}, "id": "c"}]},
    {"content": "", "tool_calls": [{"name": "f", "args": {"langchain_dynamodb": ["enum", "X", "A", {}]}, "id": "c"}]},
    {"content": "", "additional_kwargs": {"langchain_dynamodb": ["object", "X"], "a": 1}},
    {"content": "", "name": {"langchain_dynamodb": ["enum", "X", "A", "b"]}},
]


@pytest.mark.parametrize("fields", OTHERS, ids=range(len(OTHERS)))
def test_marks_where_we_write_none_convert(fields: dict[str, Any]) -> None:
    """What can be read of them by those who know no such class is in our format, too."""
    stored = {"type": "ai", "data": AIMessage("").model_dump() | fields}
    read = from_native(stored)
    assert decode_line(encode_message(from_native(stored, exact=True), strict=True)) == read


def shuffled(look: Any) -> Any:
    """What `looks` gave, less all order: a set whose members cannot be in one is read as a list, in any order."""
    return sorted(map(shuffled, look), key=repr) if isinstance(look, (list, tuple)) else look


def opaque(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Values with some among them, and as keys, that are left out."""
    return st.recursive(
        values | st.builds(Opaque),
        lambda inner: st.one_of(
            st.lists(inner, max_size=2),
            st.lists(inner, max_size=2).map(tuple),
            st.dictionaries(KEYS | st.builds(Opaque), inner, max_size=3),
            st.sets(KEYS | st.builds(Opaque) | st.builds(Span, KEYS, KEYS), max_size=3),
            st.builds(Point, inner, inner),
            st.builds(Span, inner, inner),
            st.builds(Answer, text=st.just("a"), score=inner),
            st.builds(lambda more: Loose(**{"more": more}), inner),
            st.builds(lambda data: Document("text", metadata={"data": data}), inner),
            st.builds(lambda data: HumanMessage("text", additional_kwargs={"data": data}), inner),
        ),
        max_leaves=6,
    )


@given(opaque(VALUES), st.sets(st.sampled_from(CLASSES)), st.sets(st.sampled_from(CLASSES)))
@settings(deadline=None)
def test_whatever_can_be_read_converts(value: Any, written: set[type], known: set[type]) -> None:
    """And is read as before, as it is in pages, whichever classes were known when it was written and is read."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        forget(monkeypatch)
        for cls in written:
            register_class(cls)
        message = HumanMessage("", artifact=(value,), additional_kwargs={"v": value})
        stored, line = from_attribute(attribute(message), json_only=False), encode_message(message, degraded=[])
        forget(monkeypatch)
        for cls in known:
            register_class(cls)
        read = from_native(stored)
        assert shuffled(looks(read.artifact)) == shuffled(looks(decode_line(line).artifact))
        converted = decode_line(encode_message(from_native(stored, exact=True), strict=True))
        assert shuffled(looks(converted)) == shuffled(looks(read))


# Numbers

ODD = 4.845098552264191e16  # whole, but not the number that its shortest digits are


@pytest.mark.parametrize("value", [ODD, [-ODD], {ODD}, {ODD, 1}, Span(ODD)], ids=repr)
def test_whole_floats_that_are_not_their_shortest_digits(value: Any) -> None:
    """They are stored by a mark, or refused where a model would see it, without being quoted."""
    register_class(Span)
    assert unordered(looks(back(holding(value)))) == unordered(looks(holding(value)))
    with pytest.raises(UnsupportedMessageError, match=r"content\[0\]\['v'\]") as caught:
        to_native(HumanMessage([{"type": "x", "v": value}]))
    assert "48450" not in str(caught.value)
    assert "4.8" not in str(caught.value)


@given(st.floats() | st.floats(2.0**53, 2.0**53 + 99) | st.floats(1e15, 1e40).map(round).map(float) | st.integers())
@settings(deadline=None)
def test_any_number_is_stored(number: float) -> None:
    """Equal to what it was, alone and in a set; and of its type in strict."""
    message = HumanMessage("", additional_kwargs={"alone": number, "set": {number}})
    for strict in (True, False):
        read = back(message, strict=strict).additional_kwargs
        if strict:
            assert unordered(looks(read)) == unordered(looks(message.additional_kwargs))
        elif number == number:
            assert read == message.additional_kwargs


@pytest.mark.parametrize("numbers", [{1.0}, {-0.0, 2.0}, {1.0, 2}, {0.0, 0.5}], ids=repr)
def test_numbers_in_sets_keep_their_types(numbers: set[float]) -> None:
    """Where those in lists do: in values with marks, and in strict."""
    register_class(Span)
    for value in (Span(numbers), (numbers,), {1: numbers}, {(1, frozenset(numbers))}):
        assert unordered(looks(back(holding(value)))) == unordered(looks(holding(value)))
    assert looks(back(holding(numbers), strict=True)) == looks(holding(numbers))
    assert back(holding(numbers)) == holding(numbers)
    assert attribute(holding(numbers))["M"]["data"]["M"]["additional_kwargs"]["M"]["value"].keys() == {"NS"}
    with pytest.raises(UnsupportedMessageError, match="a set"):
        to_native(HumanMessage([{"type": "x", "v": numbers}]), strict=True)


# Names


@pytest.mark.parametrize(
    "value", [Marked(1), Marked(["tuple"], (1.0,)), [Marked(Marked(1))], {1: Marked(())}], ids=repr
)
@pytest.mark.parametrize("strict", [True, False])
def test_a_field_with_our_name(value: Any, strict: bool) -> None:
    """An object that has one comes back; so does a message within."""
    register_class(Marked)
    for one in (value, HumanMessage("", langchain_dynamodb=value)):
        assert looks(back(holding(one), strict=strict)) == looks(holding(one))
        assert looks(converted(holding(one), strict=strict)) == looks(holding(one))
    data = {"langchain_dynamodb": None, "x": 1}
    assert back(holding([Marked(Opaque(), 1)])).additional_kwargs == {"value": [data]}


Odd = enum.Enum("Odd", {"\ud800": 2})


@pytest.mark.parametrize("value", [Span(1), Point(1, [2]), Colour.RED, Right.READ, Answer(text="a")], ids=repr)
@pytest.mark.parametrize("name", ["\ud800", "x\udfffy"], ids=["lone", "within"])
def test_a_class_whose_name_is_no_utf8(name: str, value: Any) -> None:
    """Its objects are data, and told; in strict, they are refused with what to do."""
    expected = back(holding([(value,)]))
    register_class(type(value), name)
    degraded: list[Any] = []
    assert looks(back(holding([(value,)]), degraded=degraded)) == looks(expected)
    assert [(one.path, one.omitted) for one in degraded] == [("message.additional_kwargs['value'][0][0]", False)]
    with pytest.raises(UnsupportedMessageError, match=r"\['value'\] holds .* no UTF-8, .*; register it under another"):
        to_native(holding(value), strict=True)


def test_a_member_whose_name_is_no_utf8() -> None:
    """It is its value, and told."""
    register_class(Odd)
    (value,) = Odd
    assert back(holding([value])).additional_kwargs == {"value": [value.value]}
    with pytest.raises(UnsupportedMessageError, match="no UTF-8"):
        to_native(holding(value), strict=True)
