"""Values of every kind that messages hold, and how they look, type by type."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import math
import struct
import uuid
from decimal import Decimal
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest
from hypothesis import strategies as st
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from pydantic import BaseModel, ConfigDict

from langchain_dynamodb.codec.classes import MESSAGES
from langchain_dynamodb.codec.registry import OBJECTS

BERLIN = ZoneInfo("Europe/Berlin")


class Colour(enum.Enum):
    """An enum of its own values."""

    RED = 1
    PAIR = (1, "b")


class Mood(str, enum.Enum):
    """An enum of texts."""

    CALM = "calm"


class Right(enum.Flag):
    """Members that go together."""

    READ = 1
    WRITE = 2


class Point(NamedTuple):
    """A tuple with names."""

    x: Any
    y: Any = 0


@dataclasses.dataclass(frozen=True)
class Span:
    """A dataclass."""

    start: Any
    end: Any = None


@dataclasses.dataclass
class Slotted:
    """A dataclass without a dict."""

    __slots__ = ("x",)
    x: Any


class Answer(BaseModel):
    """A model, as structured output gives it."""

    text: str
    score: Any = None
    parts: list[Any] = []


class Loose(BaseModel):
    """A model with extra fields."""

    model_config = ConfigDict(extra="allow")
    name: str = "x"


CLASSES: list[type] = [Colour, Mood, Right, Point, Span, Slotted, Answer, Loose]

EXACT: list[Any] = [
    b"",
    b"\x00\xff\n",
    b"x" * 63,
    b"y" * 64,
    bytes(range(256)) * 20,
    bytearray(b"ab"),
    bytearray(b"\n" * 100),
    (),
    (1, (2, [3, ()])),
    set[Any](),
    {1, "a", b"b", (1, None), frozenset({2}), math.pi},
    {b"z" * 100, b"w" * 100},
    frozenset({True, None}),
    dt.datetime(2026, 1, 2, 3, 4, 5, 6),
    dt.datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN),
    dt.datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN, fold=1),
    dt.datetime(1, 1, 1, tzinfo=ZoneInfo("UTC")),
    dt.datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=dt.timezone.utc),
    dt.datetime(2026, 1, 2, fold=1),
    dt.datetime(2026, 1, 2, tzinfo=dt.timezone(dt.timedelta(hours=-3, seconds=7, microseconds=5))),
    dt.datetime(2026, 1, 2, tzinfo=dt.timezone(dt.timedelta(hours=1), "CET")),
    dt.date(2026, 1, 2),
    dt.time(1, 2, 3, 4, fold=1),
    dt.time(1, 2, tzinfo=BERLIN),
    dt.time(1, 2, tzinfo=dt.timezone.utc),
    dt.timedelta(-3, 5, 7),
    dt.timedelta.max,
    Decimal("1.0"),
    Decimal("1.00"),
    Decimal("-0E+5"),
    Decimal("NaN12"),
    Decimal("-sNaN7"),
    Decimal("-Infinity"),
    Decimal("1E+999999"),
    uuid.UUID(int=7),
    uuid.UUID(int=7, is_safe=uuid.SafeUUID.safe),
    1j,
    complex(-0.0, math.nan),
    complex("-0j"),
    math.nan,
    -math.nan,
    struct.unpack(">d", bytes.fromhex("7ff8000000000001"))[0],
    math.inf,
    -math.inf,
    10**4300,
    -(2**20000),
    "\ud83d\ude00",
    {1: "a", None: "b", False: "c"},
    {1.5: 1, (1, 2): 2, b"k": 3, dt.date(2026, 1, 1): 4, "\ud83d\ude00": 5, "text": 6},
    {"$": 1},
    {"$": ["bytes", "AAAA"]},
    {"$": ["tuple", 1], "more": {"$": {}}},
    {"a": {"$": []}, "b": (1,)},
    {"langchain_dynamodb": ["tuple", 1]},
    [[True, 1, 1.0, Decimal(1), 1 + 0j], [0, False, 0.0, -0.0, Decimal("-0")]],
    Document("text"),
    Document("text", id="7", metadata={"when": dt.date(2026, 1, 1), "score": 1.5}),
    HumanMessage("within", additional_kwargs={"when": dt.date(2026, 1, 1)}),
    [AIMessage("", tool_calls=[{"name": "f", "args": {"x": 1}, "id": "c"}]), ToolMessage("t", tool_call_id="c")],
]
"""Come back as they are, without any class being registered."""

REGISTERED: list[Any] = [
    Colour.RED,
    Colour.PAIR,
    Mood.CALM,
    [Mood.CALM, "calm"],
    {Mood.CALM: 1, "x": Colour.RED},
    {Colour.RED: {Point(1): 2}},
    Right.READ | Right.WRITE,
    Right(0),
    Point(1),
    Point((1,), y=Span(1)),
    Span(dt.date(2026, 1, 1), Answer(text="a", score=Decimal("1.0"))),
    Slotted({1, 2}),
    Answer(text="a"),
    Answer(text="a", score=Mood.CALM, parts=[Point(1), Document("d", metadata={"at": Span(1)})]),
    Answer.model_construct(text=5),
    Loose(),
    Loose.model_validate({"name": "y", "$": 1, "more": b"z" * 100}),
]
"""Come back as they are where the classes are registered."""


def unordered(look: Any) -> Any:
    """What `looks` gave, less the order of dicts: DynamoDB's maps have none."""
    if not isinstance(look, (list, tuple)):
        return look
    parts = [unordered(part) for part in look]
    return [dict, sorted(parts[1], key=repr)] if len(look) == 2 and look[0] is dict else parts


def looks(value: Any) -> Any:
    """What there is to a value, comparable by ``==``: types, signs, payloads, the order of dicts, what was given."""
    kind = type(value)
    if isinstance(value, float):
        return kind, struct.pack(">d", value)
    if isinstance(value, complex):
        return kind, looks(value.real), looks(value.imag)
    if isinstance(value, Decimal):
        return kind, str(value)
    if isinstance(value, (dt.datetime, dt.time)):
        return kind, repr(value), value.fold, repr(value.tzinfo)
    if isinstance(value, uuid.UUID):
        return kind, value.int, value.is_safe
    if isinstance(value, dict):
        return kind, [(looks(key), looks(entry)) for key, entry in value.items()]
    if isinstance(value, (list, tuple)):
        return kind, [looks(entry) for entry in value]
    if isinstance(value, (set, frozenset)):
        return kind, sorted(repr(looks(entry)) for entry in value)
    if isinstance(value, BaseMessage):
        return kind, [(name, looks(entry)) for name, entry in sorted(vars(value).items())], looks(value.model_extra)
    if isinstance(value, BaseModel):
        return kind, looks(vars(value)), looks(value.model_extra), value.model_fields_set
    if dataclasses.is_dataclass(value):
        return kind, [(field.name, looks(getattr(value, field.name))) for field in dataclasses.fields(value)]
    return kind, value if isinstance(value, (enum.Enum, int, str)) else repr(value)


TEXTS = st.text(max_size=8) | st.sampled_from(["$", "\ud83d\ude00", "\udc00", "tuple", "langchain_dynamodb"])
ZONES = st.none() | st.timezones() | st.integers(-86399, 86399).map(lambda s: dt.timezone(dt.timedelta(seconds=s)))
LEAVES: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=True),
    TEXTS,
    st.binary(max_size=100),
    st.binary(max_size=8).map(bytearray),
    st.decimals(allow_nan=False),
    st.sampled_from([Decimal("NaN"), Decimal("1.0"), Decimal("1.00")]),
    st.dates(),
    st.datetimes(timezones=ZONES, allow_imaginary=True),
    st.times(timezones=ZONES),
    st.timedeltas(),
    st.uuids(),
    st.complex_numbers(allow_nan=True),
    st.sampled_from([*Colour, *Mood]),
)
KEYS = st.one_of(
    TEXTS,
    st.none(),
    st.integers(),
    st.binary(max_size=70),
    st.dates(),
    st.tuples(st.integers(), TEXTS),
    st.frozensets(TEXTS, max_size=2),
    st.sampled_from([*Colour, *Mood]),
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(KEYS, inner, max_size=3),
        st.dictionaries(st.just("$"), inner, min_size=1),
        st.sets(KEYS, max_size=3),
        st.frozensets(KEYS, max_size=3),
        st.builds(Point, inner, inner),
        st.builds(Span, inner, inner),
        st.builds(Answer, text=st.just("a"), score=inner),
        st.builds(lambda more: Loose(**{"more": more}), inner),
        st.builds(lambda data: Document("text", metadata={"data": data}), inner),
        st.builds(lambda data: HumanMessage("text", artifact=data), inner),
    ),
    max_leaves=10,
)
"""Values of all kinds, where the classes are registered."""


def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Know no classes but langchain-core's, and have told of none, as in a new process."""
    document = OBJECTS.by_class[Document]
    monkeypatch.setattr(OBJECTS, "by_name", {"Document": document})
    monkeypatch.setattr(OBJECTS, "by_class", {Document: document})
    monkeypatch.setattr(OBJECTS, "told", set())
    monkeypatch.setattr(MESSAGES, "by_tag", dict(MESSAGES.by_tag))
    monkeypatch.setattr(MESSAGES, "by_class", dict(MESSAGES.by_class))


def holding(value: object) -> ToolMessage:
    """A message with this artifact."""
    return ToolMessage("", tool_call_id="c", artifact=value)
