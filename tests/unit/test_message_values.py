"""Values of other kinds than JSON's in messages: what comes back exactly, as data, as None, and what is refused."""

from __future__ import annotations

import collections
import datetime as dt
import enum
import logging
import threading
import warnings
import zlib
from collections.abc import Callable, Iterator
from dataclasses import InitVar, dataclass, field, make_dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any, NamedTuple

import numpy
import pytest
from hypothesis import given, settings
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from pydantic import BaseModel, Field, PrivateAttr, SecretStr, field_serializer, field_validator

from langchain_dynamodb import register_class, register_message_class
from langchain_dynamodb.codec import marks
from langchain_dynamodb.codec.classes import MESSAGES
from langchain_dynamodb.codec.lines import UndecodableError, pack, unpack
from langchain_dynamodb.codec.messages import Codec, decode_line, encode_message
from langchain_dynamodb.codec.native import from_native, to_native
from langchain_dynamodb.codec.registry import OBJECTS
from langchain_dynamodb.codec.telling import swallowed
from langchain_dynamodb.errors import (
    InvalidInputError,
    OmittedValueWarning,
    UnregisteredClassWarning,
    UnsupportedMessageError,
)
from values_support import CLASSES, EXACT, REGISTERED, VALUES, Answer, Colour, Loose, Mood, Point, Span, forget, looks

SETTINGS = settings(deadline=None)
PLACES = ["artifact", "additional_kwargs", "response_metadata"]


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    forget(monkeypatch)


@pytest.fixture
def registered(_own_registry: None) -> None:
    """The classes of the examples are registered."""
    for cls in CLASSES:
        register_class(cls)


def holding(value: object, place: str = "artifact") -> ToolMessage:
    """A message that holds a value in one of its fields."""
    message = ToolMessage("", tool_call_id="c")
    setattr(message, place, value if place == "artifact" else {"value": value})
    return message


def back(message: BaseMessage) -> BaseMessage:
    """The message as it is stored in a block and read again."""
    line = encode_message(message)
    return decode_line(*unpack(pack([line]), len(line)))


def stored(value: object) -> Any:
    """What an artifact comes back as."""
    read: Any = back(holding(value))
    return read.artifact


# Exactly


@pytest.mark.parametrize("value", EXACT, ids=lambda value: type(value).__name__)
def test_pythons_own_types_come_back_exactly(value: object) -> None:
    """In every place, content too; nothing is told, and strict changes nothing."""
    message = ToolMessage([{"type": "x", "value": value}], tool_call_id="c", artifact=value, extra=[value])
    message.additional_kwargs = {"value": value}
    message.response_metadata = {"a": {"b": [value]}}
    degraded: list[Any] = []
    line = encode_message(message, degraded=degraded)
    assert looks(decode_line(line)) == looks(message)
    assert (degraded, encode_message(message, strict=True)) == ([], line)


@pytest.mark.parametrize("value", REGISTERED, ids=lambda value: type(value).__name__)
@pytest.mark.usefixtures("registered")
def test_objects_of_registered_classes_come_back_exactly(value: object) -> None:
    """Also in content."""
    message = ToolMessage([{"type": "x", "value": value}], tool_call_id="c", artifact=value)
    assert looks(back(message)) == looks(message)


@given(VALUES)
@SETTINGS
def test_any_value_comes_back_exactly(value: Any) -> None:
    """Whatever is in whatever; stored again it is the same bytes, whatever the order of a set."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        forget(monkeypatch)
        for cls in CLASSES:
            register_class(cls)
        message = HumanMessage([{"type": "x", "value": value}], additional_kwargs={"value": value})
        line = encode_message(message)
        read = decode_line(*unpack(pack([line]), len(line)))
        assert looks(read) == looks(message)
        assert encode_message(read) == line


@given(VALUES)
@SETTINGS
def test_any_value_comes_back_from_a_native_map(value: Any) -> None:
    """Numbers of sets aside, which DynamoDB does not tell apart."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        forget(monkeypatch)
        for cls in CLASSES:
            register_class(cls)
        message = HumanMessage("", additional_kwargs={"value": value})
        assert looks(from_native(to_native(message))) == looks(message)


@given(VALUES)
@SETTINGS
def test_any_value_of_classes_that_are_not_registered_can_be_stored(value: Any) -> None:
    """Its data is stored by the same bytes the second time, and nothing but plain types is read."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        forget(monkeypatch)
        read: Any = back(holding(value))
        assert holds_only_plain(read.artifact)
        assert looks(back(read)) == looks(read)


def holds_only_plain(value: Any) -> bool:
    """Whether it holds no object of the examples' classes."""
    if isinstance(value, BaseMessage):
        return all(map(holds_only_plain, vars(value).values()))
    if isinstance(value, Document):
        return holds_only_plain(value.metadata)
    if isinstance(value, dict):
        return all(map(holds_only_plain, [*value, *value.values()]))
    if isinstance(value, (list, tuple, set, frozenset)):
        return type(value) is not Point and all(map(holds_only_plain, value))
    return type(value) not in CLASSES


def test_plain_messages_are_stored_as_ever() -> None:
    """Byte for byte, whatever is registered, as long as they hold no member of a registered enum."""
    plain = HumanMessage("hi", additional_kwargs={"$": ["tuple"]})
    assert encode_message(plain) == b'{"type":"human","content":"hi","additional_kwargs":{"$":["tuple"]}}'
    message = HumanMessage("hi", additional_kwargs={"mood": Mood.CALM})
    line = encode_message(message)
    assert line == b'{"type":"human","content":"hi","additional_kwargs":{"mood":"calm"}}'
    register_class(Answer)
    assert encode_message(message) == line
    register_class(Mood)
    assert encode_message(HumanMessage("hi")) == b'{"type":"human","content":"hi"}'
    assert back(message).additional_kwargs["mood"] is Mood.CALM


def test_the_form_of_a_line() -> None:
    """As it is stored: marks in JSON, longer binary values behind it."""
    line = encode_message(holding([b"ab", (1,), b"x" * 64, {"$": 2**70}]))
    assert line == (
        b'$!{"type":"tool","content":"","tool_call_id":"c","artifact":[{"$":["bytes","YWI="]},{"$":["tuple",1]},'
        b'{"$":["bytes",64]},{"$":["dict",["$",1180591620717411303424]]}]}\n' + b"x" * 64
    )


def test_stored_values_stay_readable() -> None:
    """A block of format 2 as version 0.1.0 wrote it."""
    block = bytes.fromhex(
        "02d33dd91633312c3239350ac3239591a954ab8277d01d7d8c1d65f201e83215d004605265492ab0a8323788057569c042e0"
        "6ead0e62d1ac9112420e3ad2a6839839817684b08dd8a14dbba4609b77d189066947d20955131b0b9a59a30e0000"
    )
    messages = [decode_line(line) for line in unpack(block, 1000)]
    assert looks(messages) == looks([HumanMessage("hi"), holding([b"\n" * 70, dt.date(2026, 1, 2), Document("d")])])


def test_equal_plain_values_take_the_place_of_subclasses() -> None:
    """As they always did for JSON's types: the value equals what was given."""

    class Bytes(bytes):
        pass

    class Stamp(dt.datetime):
        pass

    given = [
        Bytes(b"x"),
        Stamp(2026, 1, 2, tzinfo=dt.timezone.utc),
        numpy.float32(0.1),
        numpy.int64(5),
        numpy.bool_(True),
        numpy.complex128(1j),
        collections.OrderedDict(a=(1,)),
        collections.Counter("a"),
        enum.IntEnum("Level", "HIGH").HIGH,  # type: ignore[attr-defined]
    ]
    read = stored(given)
    assert read == given
    assert [type(value) for value in read] == [bytes, dt.datetime, float, int, bool, complex, dict, dict, int]


# As data


@pytest.mark.parametrize(
    ("value", "data"),
    [
        (Answer(text="a", score=dt.date(2026, 1, 2)), {"text": "a", "score": dt.date(2026, 1, 2), "parts": []}),
        (Loose.model_validate({"more": {1: b"x"}}), {"name": "x", "more": {1: b"x"}}),
        (Span(1, Answer(text="b")), {"start": 1, "end": {"text": "b", "score": None, "parts": []}}),
        (Point(1, dt.date(2026, 1, 2)), (1, dt.date(2026, 1, 2))),
        (Colour.PAIR, (1, "b")),
        (Mood.CALM, "calm"),
        ({Colour.RED: 1}, {1: 1}),
        ({Colour.RED: "x", 1: "y"}, [[1, "x"], [1, "y"]]),
        ({Span(1)}, [{"start": 1, "end": None}]),
        ({Colour.RED, 1}, [1, 1]),
        ({Span(1): 2}, [[{"start": 1, "end": None}, 2]]),
    ],
    ids=lambda value: type(value).__name__,  # the order of a set differs from process to process
)
def test_an_object_of_another_class_comes_back_as_its_data(value: object, data: object) -> None:
    """In the three places; where the data could not be a key or a member, a list takes the place of its container."""
    degraded: list[Any] = []
    for place in PLACES:
        read = decode_line(encode_message(holding(value, place), degraded=degraded))
        assert looks(getattr(read, place) if place == "artifact" else getattr(read, place)["value"]) == looks(data)
    assert bool(degraded) == (value is not Mood.CALM)


@pytest.mark.parametrize("value", [Answer(text="a", score=1), Span(1, Point(2)), Point(1), Colour.RED], ids=repr)
def test_a_process_that_knows_the_class_reads_the_object(value: object) -> None:
    """Though the one that wrote it did not."""
    line = encode_message(holding(value))
    assert looks(decode_line(line).artifact) != looks(value)  # type: ignore[attr-defined]
    for cls in CLASSES:
        register_class(cls)
    assert decode_line(line).artifact == value  # type: ignore[attr-defined]


class _Strict(BaseModel, strict=True):
    when: dt.datetime
    amount: Decimal
    both: tuple[int, bytes] = (1, b"x")
    kind: Mood = Mood.CALM
    inner: Answer | None = None


class _Named(BaseModel):
    first_name: str = Field(alias="firstName")


def test_the_data_of_a_model_becomes_the_model() -> None:
    """With types that JSON does not have, and with aliases: no validator is asked."""
    strict = _Strict(when=dt.datetime(2026, 1, 2), amount=Decimal("1.50"), inner=Answer(text="a"))
    named = _Named(firstName="Ada")
    line = encode_message(holding([strict, named]))
    for cls in (_Strict, _Named, Answer):
        register_class(cls)
    assert decode_line(line).artifact == [strict, named]  # type: ignore[attr-defined]


def test_an_object_is_made_only_of_what_its_parts_were(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a part that is data, or was left out, it is data too: no field holds what is not of its type."""
    register_class(Span)
    assert stored(Span(1, Answer(text="b"))) == {"start": 1, "end": {"text": "b", "score": None, "parts": []}}
    assert stored([Span(object()), Span(1)]) == [{"start": None, "end": None}, Span(1)]


def test_a_class_is_told_once() -> None:
    """With the place, and what to do; a second class is told too."""
    messages = [HumanMessage("fine"), holding([Answer(text="SECRET"), Span("SECRET")])]
    with pytest.warns(UnregisteredClassWarning) as caught:
        Codec().encode(messages, 10_000)
    Codec().encode(messages, 10_000)
    assert [(one.message.path, one.message.cls) for one in caught] == [  # type: ignore[union-attr]
        ("messages[1].artifact[0]", Answer),
        ("messages[1].artifact[1]", Span),
    ]
    assert "register_class(Answer)" in str(caught[0].message)
    assert "SECRET" not in str(caught[0].message) + str(caught[1].message)


def test_fields_that_pydantic_cannot_write_are_left_out() -> None:
    """The others are kept, and secrets are not shown."""

    class Client(BaseModel, arbitrary_types_allowed=True):
        key: SecretStr = SecretStr("SECRET")
        name: str = "c"
        lock: Any = Field(default_factory=threading.Lock)

    degraded: list[Any] = []
    line = encode_message(holding(Client()), degraded=degraded)
    assert decode_line(line).artifact == {"key": "**********", "name": "c", "lock": None}  # type: ignore[attr-defined]
    assert [one.path for one in degraded] == ["message.artifact", "message.artifact['lock']"]
    assert b"SECRET" not in line


def test_a_models_own_serializers_are_asked_for_its_data() -> None:
    """What it hides or writes in its own way is data of its own choice."""

    class Shy(BaseModel):
        name: str
        password: str = Field(exclude=True)

        @field_serializer("name")
        def shout(self, name: str) -> str:
            return name.upper()

    assert stored(Shy(name="a", password="SECRET")) == {"name": "A"}


# Left out


@pytest.mark.parametrize("place", PLACES)
def test_what_nothing_is_known_of_is_left_out(place: str) -> None:
    """It reads as None; the warning names path and type, and what to do."""
    message = holding([1, numpy.array(["SECRET"])], place)
    with pytest.warns(OmittedValueWarning) as caught:
        (line,) = Codec().encode([message], 10_000)
    found = getattr(decode_line(line), place)
    assert (found if place == "artifact" else found["value"]) == [1, None]
    warning: Any = caught[0].message
    where = "messages[0].artifact[1]" if place == "artifact" else f"messages[0].{place}['value'][1]"
    assert (warning.path, warning.cls) == (where, numpy.ndarray)
    assert "value.tolist()" in str(warning)
    assert "SECRET" not in str(warning)


def test_many_values_left_out_are_told_in_one_line() -> None:
    """Ten by their paths, the others by their number."""
    with pytest.warns(OmittedValueWarning) as caught:
        Codec().encode([holding([object() for _ in range(500)])], 100_000)
    assert len(caught) == 11
    assert str(caught[-1].message).startswith("490 more values are left out")


def test_what_contains_itself_ends_there() -> None:
    """In the three places."""
    value: dict[str, Any] = {"a": 1}
    value["self"] = [value]
    assert stored(value) == {"a": 1, "self": [None]}
    span: Any = Span([])
    span.start.append(span)
    assert stored(span) == {"start": [None], "end": None}
    shared: list[int] = [1]
    assert stored([shared, shared]) == [[1], [1]]


def test_what_is_too_deep_ends_there() -> None:
    """Where Python's stack would too."""
    value: Any = ()
    for _ in range(5000):
        value = [value]
    read, depth = stored(value), 0
    while read:
        read, depth = read[0], depth + 1
    assert 200 < depth < 300
    assert read is None


def test_a_message_within_of_a_class_that_is_not_registered_is_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is written its data is stored, and where it is read its fields are."""

    class Shout(HumanMessage):
        loud: bool = True

    given = holding([Shout("hi")])
    assert stored([Shout("hi")])[0]["content"] == "hi"
    monkeypatch.setattr(MESSAGES, "by_tag", dict(MESSAGES.by_tag))
    monkeypatch.setattr(MESSAGES, "by_class", dict(MESSAGES.by_class))
    register_message_class(Shout, "shout")
    line = encode_message(given)
    assert decode_line(line) == given
    del MESSAGES.by_tag["shout"]
    assert decode_line(line).artifact[0]["content"] == "hi"  # type: ignore[attr-defined]


def test_a_message_within_that_cannot_be_stored_is_left_out() -> None:
    """Its content is not changed."""
    inner = HumanMessage([{"type": "x", "value": object()}])
    assert stored([inner, HumanMessage("fine", additional_kwargs={"a": object()})]) == [
        None,
        HumanMessage("fine", additional_kwargs={"a": None}),
    ]


@pytest.mark.parametrize("zone", [numpy, None])
def test_a_time_in_a_zone_of_its_own_is_left_out(zone: object) -> None:
    """An offset or a name could not bring it back."""

    class Zone(dt.tzinfo):
        def utcoffset(self, when: dt.datetime | None) -> dt.timedelta:
            return dt.timedelta(hours=1)

    for value in (dt.datetime(2026, 1, 1, tzinfo=Zone()), dt.time(1, tzinfo=Zone())):
        assert stored([value]) == [None]


# Refused


UNKNOWN: list[Callable[[], object]] = [
    object,
    lambda: Answer(text="SECRET"),
    lambda: Span("SECRET"),
    lambda: Colour.RED,
]


@pytest.mark.parametrize("make", UNKNOWN)
def test_strict_refuses_whatever_would_come_back_as_something_else(make: Callable[[], object]) -> None:
    """Anywhere."""
    for place in PLACES:
        with pytest.raises(UnsupportedMessageError) as caught:
            Codec(strict=True).encode([holding(make(), place)], 10_000)
        assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize("make", UNKNOWN)
@pytest.mark.parametrize(
    "put",
    [
        lambda value: HumanMessage([{"type": "x", "value": [value]}]),
        lambda value: AIMessage("", tool_calls=[{"name": "f", "args": {"x": value}, "id": "c"}]),
        lambda value: HumanMessage("", extra=value),
        lambda value: HumanMessage([{"type": "x", "value": HumanMessage("", additional_kwargs={"a": value})}]),
    ],
    ids=["content", "tool_calls", "extra", "a message in content"],
)
def test_content_and_calls_are_exact_or_refused(
    put: Callable[[object], BaseMessage], make: Callable[[], object]
) -> None:
    """What a model is sent must be what it was."""
    with pytest.raises(UnsupportedMessageError) as caught:
        encode_message(put(make()))
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize("field_name", ["name", "id", "content", "type"])
def test_other_kinds_in_fields_of_text_are_refused(field_name: str) -> None:
    """They could not be read: a field's type is checked."""
    message = AIMessage("")
    setattr(message, field_name, b"x")
    with pytest.raises(UnsupportedMessageError) as caught:
        encode_message(message)
    assert caught.value.path == f"message.{field_name}"


def test_a_warning_that_is_an_error_comes_last() -> None:
    """So that no refusal is hidden behind it; and it is raised each time, since nothing is stored."""
    codec = Codec()
    messages = [holding(Answer(text="a")), HumanMessage([{"type": "x", "a": object()}])]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UnsupportedMessageError):
            codec.encode(messages, 10_000)
        for _ in range(2):
            with pytest.raises(UnregisteredClassWarning):
                codec.encode(messages[:1], 10_000)


def test_a_warning_that_nobody_would_see_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Where errors are swallowed, a warning turned into an error must not lose a turn."""
    token = swallowed.set(True)
    try:
        with warnings.catch_warnings(), caplog.at_level(logging.WARNING, "langchain_dynamodb"):
            warnings.simplefilter("error")
            Codec().encode([holding([Answer(text="a"), object()])], 10_000)
    finally:
        swallowed.reset(token)
    assert [(record.name, record.getMessage()[:24]) for record in caplog.records] == [
        ("langchain_dynamodb", "messages[0].artifact[0] "),
        ("langchain_dynamodb", "messages[0].artifact[1] "),
    ]


def test_what_would_be_read_as_something_else_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the reason: each line is read back before it is sent."""
    monkeypatch.setitem(marks._KINDS, "date", lambda reader, text: dt.date.min)
    with pytest.raises(UnsupportedMessageError, match="would not come back equal"):
        encode_message(holding(dt.date(2026, 1, 2)))


# register_class


class _Private(BaseModel):
    x: int = 1
    _seen: list[int] = PrivateAttr(default_factory=list)


class _Cached(BaseModel):
    x: int = 1

    @cached_property
    def double(self) -> int:
        return 2 * self.x


class _Picky(BaseModel):
    x: int = 1

    @field_validator("x")
    @classmethod
    def refuse(cls, x: int) -> int:
        raise AssertionError("validators are not called")


@dataclass
class _Late:
    x: int
    y: list[int] = field(default_factory=list)
    z: int = field(init=False, default=3)
    given: InitVar[int] = 0

    def __post_init__(self, given: int) -> None:
        if given:
            raise AssertionError("constructors are not called")


def test_objects_are_made_without_constructors_and_validators() -> None:
    """Reading must run none of the program's code; what is derived is derived again."""
    for cls in (_Picky, _Cached, _Late, _Private):
        register_class(cls)
    cached, late = _Cached(x=2), _Late(1)
    assert cached.double == 4
    late.z = 9
    picky = _Picky.model_construct(x=5)
    read = stored([picky, cached, late, _Private()])
    assert read == [picky, _Cached(x=2), late, _Private()]
    read[-1]._seen.append(1)
    assert (read[1].double, _Private()._seen) == (4, [])


def test_an_object_with_more_than_its_fields_is_data() -> None:
    """It would not come back as it is: state beside the fields is nowhere stored."""
    register_class(_Private)
    register_class(Span)
    private, span = _Private(), Span(1)
    private._seen.append(1)
    object.__setattr__(span, "more", 1)
    assert stored([private, span]) == [{"x": 1}, {"start": 1, "end": None}]
    with pytest.raises(UnsupportedMessageError, match="not in its fields alone"):
        encode_message(holding(private), strict=True)


def test_a_class_that_has_changed_reads_what_it_can() -> None:
    """New fields get their defaults; where there is none, or a field is gone, the data is read."""
    old = make_dataclass("Thing", [("x", int)])
    register_class(old, "Thing")
    line = encode_message(holding(old(1)))
    for fields, found in (
        ([("x", int), ("y", int, 2)], "Thing(x=1, y=2)"),
        ([("x", int), ("y", int)], "{'x': 1}"),
        ([("y", int, 2)], "{'x': 1}"),
    ):
        register_class(make_dataclass("Thing", fields), "Thing")
        assert repr(decode_line(line).artifact).removeprefix("types.") == found  # type: ignore[attr-defined]


def test_a_class_may_have_further_names() -> None:
    """What was stored under an earlier one is read; the last one is written."""
    register_class(Span, "old")
    old = encode_message(holding(Span(1)))
    register_class(Span, "new")
    new = encode_message(holding(Span(1)))
    assert (b'"old"' in old, b'"new"' in new) == (True, True)
    assert [decode_line(line).artifact for line in (old, new)] == [Span(1), Span(1)]  # type: ignore[attr-defined]


def test_registering_is_a_decorator_too() -> None:
    """It gives the class."""
    assert register_class(Span) is Span


def test_a_redefined_class_takes_the_place_of_the_first() -> None:
    """As when a notebook cell is run again."""

    def define() -> Any:
        @register_class
        class Cell(NamedTuple):
            x: int

        return Cell

    line = encode_message(holding(define()(1)))
    again = define()
    assert type(decode_line(line).artifact) is again  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "cls",
    [
        dict,
        object,
        BaseModel,
        enum.Enum,
        tuple,
        Document,
        None,
        "Answer",
        Answer(text="a"),
        make_dataclass("Odd", [], bases=(dict,)),
        type("Plain", (), {}),
    ],
    ids=repr,
)
def test_other_kinds_of_classes_are_refused(cls: Any) -> None:
    """The error says which can be registered."""
    with pytest.raises(InvalidInputError, match="give a pydantic model, dataclass, NamedTuple or enum"):
        register_class(cls)


def test_classes_of_messages_have_their_own_register() -> None:
    """They are stored in another way."""
    with pytest.raises(InvalidInputError, match="register_message_class"):
        register_class(HumanMessage)


@pytest.mark.parametrize("name", ["", 5, "Document", "taken"])
def test_a_name_that_is_taken_or_no_name_is_refused(name: Any) -> None:
    """Stored objects must mean one class."""
    register_class(Answer, "taken")
    with pytest.raises(InvalidInputError, match="The name "):
        register_class(Span, name)


def test_threads_register_at_once() -> None:
    """Each class is known afterwards, under its own name."""
    classes = [make_dataclass(f"Made{i}", ["x"]) for i in range(200)]
    threads = [
        threading.Thread(target=lambda part=part: [register_class(cls) for cls in part])  # type: ignore[misc]
        for part in (classes[:100], classes[100:], classes[::2])
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # Which module such a class says it is of depends on the Python.
    assert [OBJECTS.by_class[cls].name for cls in classes] == [
        f"{cls.__module__}.Made{i}" for i, cls in enumerate(classes)
    ]


# Bytes that are not ours


@pytest.mark.parametrize(
    "marked",
    [
        "[]",
        "5",
        '["nothing"]',
        '["bytes"]',
        '["bytes","SECRET"]',
        '["bytes",7]',
        '["bytes",-1]',
        '["set",[1]]',
        '["decimal","SECRET"]',
        '["date","SECRET"]',
        '["datetime","2026-01-01","../../SECRET"]',
        '["time","01:00","/etc/SECRET"]',
        '["datetime","2026-01-01",[1,2,3,4,5,6]]',
        '["timedelta",1e99,0,0]',
        '["uuid","SECRET"]',
        '["float","SECRET"]',
        '["int","SECRET"]',
        '["text","SECRET"]',
        '["complex",1]',
        '["complex","SECRET",1]',
        '["dict",[1]]',
        '["dict",[[],1]]',
        '["object","os.system"]',
        '["object",[],{}]',
        '["enum","x"]',
        '["message",{"type":"SECRET SECRET"}]',
        '["message",[]]',
    ],
)
def test_a_mark_that_is_not_ours_is_undecodable_or_data(marked: str) -> None:
    """One error, without a word of the content; nothing is imported or called."""
    line = b'${"type":"tool","content":"","tool_call_id":"c","artifact":{"$":' + marked.encode() + b"}}"
    told = ""
    try:
        read: Any = decode_line(line)
    except UndecodableError as error:
        told = str(error)
    else:
        assert isinstance(read.artifact, (list, dict))
    assert "SECRET" not in told


def test_binary_values_that_no_field_has_are_damage() -> None:
    """Nothing is dropped without a word."""
    with pytest.raises(UndecodableError):
        decode_line(encode_message(holding(b"x" * 64)) + b"more")


def test_an_unknown_time_zone_leaves_the_offset() -> None:
    """The table of zones of another machine may be older; the moment is the same."""
    line = encode_message(holding(dt.datetime.fromisoformat("2026-01-02T03:04:05+05:00")))
    named = line.replace(b'+05:00"', b'+05:00","Mars/Olympus"')
    assert decode_line(named).artifact.isoformat() == "2026-01-02T03:04:05+05:00"  # type: ignore[attr-defined]


def blocks() -> Iterator[tuple[bytes, list[bytes]]]:
    """A block of format 2, and its lines."""
    lines = [encode_message(message) for message in (HumanMessage("hi"), holding(b"\n" * 99), holding([b"a" * 70]))]
    yield pack(lines), lines


def test_damage_to_a_binary_block_never_changes_what_is_read() -> None:
    """Any single bit, any cut, anything appended: an error, or the same lines."""
    ((block, lines),) = blocks()
    assert block[:1] == b"\x02"
    flipped = (block[:i] + bytes([block[i] ^ 1 << bit]) + block[i + 1 :] for i in range(len(block)) for bit in range(8))
    cut = (block[:length] for length in range(len(block)))
    found = []
    for damaged in (*flipped, *cut, block + b"\x00", block + block):
        try:
            found.append(unpack(damaged, 100_000))
        except UndecodableError:
            continue
    assert len(found) < 16
    assert found == [lines] * len(found)


@pytest.mark.parametrize("lengths", [b"5\n", b"6,0\n", b"7,-1\n", b"3,4\n", b"x\n", b"\n", b"6"])
def test_lengths_that_do_not_fit_are_damage(lengths: bytes) -> None:
    """Though the checksum is right."""
    block = pack([b"a\nb", b"cde"])
    text = block[block.index(b"\n", 5) + 1 :]
    checksum = zlib.crc32(b"a\nbcde", zlib.crc32(lengths)).to_bytes(4, "big")
    assert unpack(b"\x02" + zlib.crc32(b"a\nbcde", zlib.crc32(b"3,3\n")).to_bytes(4, "big") + b"3,3\n" + text, 9)
    with pytest.raises(UndecodableError):
        unpack(b"\x02" + checksum + lengths + text, 9)


def test_a_binary_block_is_bounded_too() -> None:
    """By one byte; and its lengths must fit."""
    ((block, lines),) = blocks()
    size = sum(map(len, lines))
    assert unpack(block, size) == lines
    with pytest.raises(UndecodableError, match=f"more than {size - 1} bytes"):
        unpack(block, size - 1)
