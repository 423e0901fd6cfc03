"""Values of other kinds than JSON's in the maps of langchain_community, as DynamoDB gives them back."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
from typing import Any

import pytest
from hypothesis import given, settings
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from pydantic import BaseModel

from langchain_dynamodb import register_class
from langchain_dynamodb._dynamodb.attribute_values import from_attribute, to_attribute
from langchain_dynamodb.codec.classes import MESSAGES
from langchain_dynamodb.codec.messages import decode_line, encode_message
from langchain_dynamodb.codec.native import from_native, to_native
from langchain_dynamodb.codec.registry import OBJECTS
from langchain_dynamodb.errors import UnsupportedMessageError
from values_support import CLASSES, VALUES, Answer, Colour, Mood, Point, Span, looks, unordered


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    forget(monkeypatch)


def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Know no classes but langchain-core's, as in a new process."""
    document = OBJECTS.by_class[Document]
    monkeypatch.setattr(OBJECTS, "by_name", {"Document": document})
    monkeypatch.setattr(OBJECTS, "by_class", {Document: document})
    monkeypatch.setattr(MESSAGES, "by_tag", dict(MESSAGES.by_tag))
    monkeypatch.setattr(MESSAGES, "by_class", dict(MESSAGES.by_class))


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
]


@pytest.mark.parametrize("leaf", LEAVES, ids=range(len(LEAVES)))
def test_what_is_as_deep_as_dynamodb_allows(leaf: Any) -> None:
    """It is stored or refused by us, with its place; and what has no mark to the very last level."""
    for cls in (*CLASSES, Kind, Empty):
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
