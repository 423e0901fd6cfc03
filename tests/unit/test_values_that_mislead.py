"""Values that look like others, hide something or raise: what comes back is what was given, or is told, or refused."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import gc
import logging
import sys
import weakref
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import PurePosixPath
from typing import Annotated, Any

import numpy
import orjson
import pytest
from hypothesis import given, settings
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from pydantic import AfterValidator, BaseModel, Field, PrivateAttr, SecretStr, field_validator

from langchain_dynamodb import register_class, register_message_class
from langchain_dynamodb.codec.messages import Codec, decode_line, encode_message
from langchain_dynamodb.codec.registry import OBJECTS
from langchain_dynamodb.errors import OmittedValueWarning, UnregisteredClassWarning, UnsupportedMessageError
from values_support import CLASSES, VALUES, Answer, Colour, Mood, Point, Span, forget, holding, looks


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    forget(monkeypatch)


def in_content(value: object) -> ToolMessage:
    """A message with this value in a block, where nothing may change."""
    return ToolMessage([{"type": "x", "value": value}], tool_call_id="c")


def stored(value: object) -> Any:
    """What an artifact comes back as."""
    read: Any = decode_line(encode_message(holding(value)))
    return read.artifact


def told(value: object) -> list[tuple[str, bool]]:
    """Of which places of an artifact it is told that they come back as something else, and whether as None."""
    degraded: list[Any] = []
    encode_message(holding(value), degraded=degraded)
    return [(one.path.removeprefix("message.artifact"), one.omitted) for one in degraded]


# Classes that are registered after their objects were stored


class Any_(BaseModel):
    """A field of any type."""

    value: Any = None


class Hidden(BaseModel):
    """A field that its class does not show."""

    name: str = "n"
    password: str = Field("SECRET", exclude=True)


class Secret(BaseModel):
    """A type that pydantic shows as stars."""

    key: SecretStr = SecretStr("SECRET")


class Client(BaseModel):
    """Types that pydantic can write, and others cannot."""

    paths: list[PurePosixPath]
    key: SecretStr = SecretStr("SECRET")


class Base(BaseModel):
    """A base."""

    x: int = 1


class Sub(Base):
    """A subclass, which may be in a field of the base."""

    y: int = 2


class Outer(BaseModel):
    """A field whose type does not say all that is in it."""

    inner: Base = Base()
    said: list[BaseMessage] = []


class Private(BaseModel):
    """A model with a private attribute."""

    x: int = 1
    _seen: Any = PrivateAttr(default=1)


class Refusing(BaseModel):
    """Its validators refuse everything."""

    x: int = 1

    @field_validator("x")
    @classmethod
    def refuse(cls, x: int) -> int:
        raise AssertionError("no validator is called")


def private(seen: object) -> Private:
    """An object with this in its private attribute."""
    one = Private()
    one._seen = seen
    return one


LATE: list[Any] = [
    Any_(value=dt.date(2026, 1, 2)),
    Any_(value=(1, (2,))),
    Any_(value=b"x"),
    Any_(value=[float("nan"), {1: 2}]),
    Any_(value=Span(1, Point(2))),
    Outer(inner=Sub(y=5)),
    Outer(said=[AIMessage("hi", id="1"), SystemMessage("x", name="y")]),
    Refusing.model_construct(x=5),
    Answer(text="a"),
    Span(dt.date(2026, 1, 2)),
    Colour.PAIR,
]


@pytest.mark.parametrize("value", LATE, ids=lambda value: repr(value)[:40])
def test_an_object_whose_class_is_registered_late_is_what_it_was(value: Any) -> None:
    """Made of what is stored, without a validator that could change it."""
    line = encode_message(holding(value))
    assert not isinstance(decode_line(line).artifact, type(value))  # type: ignore[attr-defined]
    for cls in (Any_, Outer, Base, Sub, Refusing, Answer, Span, Point, Colour):
        register_class(cls)  # type: ignore[type-var]
    assert looks(decode_line(line).artifact) == looks(value)  # type: ignore[attr-defined]


@dataclasses.dataclass
class Loaded:
    """A dataclass that may get more attributes than its fields."""

    x: int = 1


def loaded() -> Loaded:
    """One with an attribute that is no field."""
    one = Loaded()
    one.more = 1  # type: ignore[attr-defined]
    return one


@pytest.mark.parametrize("make", [Hidden, Secret, lambda: private(2), lambda: private(True), loaded])
def test_an_object_that_would_not_be_what_it_was_stays_data(make: Callable[[], Any]) -> None:
    """Also for those who register its class afterwards: what the class hides, or what is in no field, is not stored."""
    line = encode_message(holding(make()))
    data = decode_line(line).artifact  # type: ignore[attr-defined]
    assert isinstance(data, dict)
    for cls in (Hidden, Secret, Private, Loaded):
        register_class(cls)  # type: ignore[type-var]
    assert decode_line(line).artifact == data  # type: ignore[attr-defined]
    assert b"SECRET" not in line


def test_a_model_with_a_part_that_cannot_be_stored_is_what_its_class_makes_of_it() -> None:
    """Registered or not: more of it is kept than of the fields one by one, and a secret is not shown."""
    value = Client(paths=[PurePosixPath("/tides")])
    data = {"paths": ["/tides"], "key": "**********"}
    for _ in range(2):
        assert (stored(value), told(value)) == (data, [("", False)])
        register_class(Client)
    with pytest.raises(UnsupportedMessageError) as caught:
        encode_message(holding(value), strict=True)
    assert caught.value.path == "message.artifact.paths[0]"


def test_two_classes_of_one_name_are_not_taken_for_each_other() -> None:
    """A class that was defined anew has no objects of the first."""

    def define(default: int) -> Any:
        class Cell(BaseModel):
            x: int = default

        return Cell

    first, second = define(1), define(2)
    line = encode_message(holding([first(), second()]))
    register_class(second)
    found = decode_line(line).artifact  # type: ignore[attr-defined]
    assert [type(one) is dict for one in stored([first()])] == [True]
    assert found[1] == {"x": 2}


def as_texts(look: Any) -> Any:
    """What `looks` gave, with the text for a member of the enum of texts."""
    mood, text = looks(Mood.CALM), looks("calm")
    if look == mood and type(look[1]) is Mood:
        return text
    if isinstance(look, str) and not isinstance(look, Mood):
        return look.replace(repr(mood), repr(text))  # of a member of a set
    if isinstance(look, (list, tuple)):
        parts = [as_texts(part) for part in look]
        return sorted(parts) if look and all(isinstance(part, str) for part in look) else type(look)(parts)
    return look


@given(VALUES)
@settings(deadline=None)
def test_any_value_of_a_class_registered_late_is_what_it_was(value: Any) -> None:
    """But for members of enums of texts, which are the texts that they equal."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(OBJECTS, "by_name", {"Document": OBJECTS.by_name["Document"]})
        monkeypatch.setattr(OBJECTS, "by_class", {Document: OBJECTS.by_class[Document]})
        line = encode_message(holding(value))
        for cls in CLASSES:
            if cls is not Mood:
                register_class(cls)
        read: Any = decode_line(line)
        assert looks(read.artifact) == as_texts(looks(value))
        assert looks(decode_line(encode_message(read)).artifact) == looks(read.artifact)  # type: ignore[attr-defined]


class Shout(HumanMessage):
    """A message of a class of one's own."""

    loud: bool = True


def test_a_message_within_whose_class_is_registered_late_is_itself() -> None:
    """As its warning says."""
    given = [Shout("hi", loud=False, additional_kwargs={"when": dt.date(2026, 1, 2)})]
    with pytest.warns(UnregisteredClassWarning, match=r"call langchain_dynamodb.register_message_class\(Shout\)"):
        (line,) = Codec().encode([holding(given)], 10_000)
    found = decode_line(line).artifact[0]  # type: ignore[attr-defined]
    assert (found["content"], found["type"], found["loud"]) == ("hi", "human", False)
    register_message_class(Shout)
    assert looks(decode_line(line).artifact) == looks(given)  # type: ignore[attr-defined]


# One value that is told, and others


def test_what_is_told_hides_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """All but the places that were told is compared with what was given."""
    from langchain_dynamodb.codec import marks

    message = holding([object(), dt.date(2026, 1, 2)])
    assert encode_message(message)
    monkeypatch.setitem(marks._KINDS, "date", lambda reader, text: dt.date.min)
    with pytest.raises(UnsupportedMessageError, match="would not come back equal"):
        encode_message(message)


@pytest.mark.parametrize("other", [object(), {object()}, Span(object()), [{1: object()}], {object(): 1}], ids=range(5))
def test_state_beside_a_messages_fields_is_seen_beside_other_values(other: object) -> None:
    """One value that is left out does not let the message pass."""

    class Bare(HumanMessage):
        _seen: int = PrivateAttr(default=1)

    register_message_class(Bare)
    message = Bare("hi", additional_kwargs={"value": other})
    assert encode_message(message)
    message._seen = 2
    with pytest.raises(UnsupportedMessageError, match="would not come back equal"):
        encode_message(message)


@pytest.mark.parametrize(
    "value",
    [
        {b"x" * 100: object(), "k": b"y" * 100},
        [HumanMessage([{"type": "x", "b": b"x" * 100, "o": object()}]), b"y" * 100],
        {(b"x" * 100, object()): 1, "k": b"y" * 100},
        [Secret(), Any_(value=[b"x" * 100, object()]), b"y" * 100],
    ],
    ids=["value", "message", "key", "model"],
)
def test_what_is_left_out_leaves_no_bytes_behind(value: Any) -> None:
    """Longer bytes stand behind the JSON: those of a part that is dropped are dropped too."""
    read = stored(value)
    assert (list(read.values()) if isinstance(read, dict) else read)[-1] == b"y" * 100


# Values that raise


class Raising:
    """Any look at an attribute raises."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError("SECRET")


class Endless:
    """Any look at an attribute never ends."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self, name + "x")


class NoClass:
    """It does not say what it is."""

    @property
    def __class__(self) -> Any:
        raise RuntimeError("SECRET")


class OddType:
    """It looks like numpy's."""

    @property
    def dtype(self) -> Any:
        raise RuntimeError("SECRET")


class _Unhashable(type):
    def __eq__(cls, other: object) -> bool:
        raise RuntimeError("SECRET")

    __hash__ = None  # type: ignore[assignment]


class OfUnhashableClass(metaclass=_Unhashable):
    """Its class cannot be looked up."""


class _Nowhere(type):
    @property
    def __module__(cls) -> Any:  # type: ignore[override]
        raise RuntimeError("SECRET")


class OfNoModule(metaclass=_Nowhere):
    """Its class does not say where it is from."""


class RaisingModel(BaseModel):
    """It cannot be dumped, and its fields are not there."""

    x: Any = 1

    def model_dump(self, **kwargs: Any) -> Any:
        raise RuntimeError("SECRET")


class RaisingList(list[Any]):
    """It cannot be gone through."""

    def __iter__(self) -> Iterator[Any]:
        raise RuntimeError("SECRET")


@dataclasses.dataclass
class Watched:
    """Its attributes are watched."""

    x: int = 1

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError("SECRET")


RAISING: list[Callable[[], object]] = [
    Raising,
    Endless,
    NoClass,
    OddType,
    OfUnhashableClass,
    OfNoModule,
    lambda: RaisingModel.model_construct(_fields_set={"x"}).__class__.__new__(RaisingModel),
    lambda: RaisingList([1]),
]


@pytest.mark.parametrize("make", RAISING)
def test_a_value_that_raises_is_left_out_or_refused(make: Callable[[], object]) -> None:
    """As any other of which nothing is known: by its type, without a word of its own."""
    value = make()
    assert stored([1, value, b"x" * 100]) == [1, None, b"x" * 100]
    assert [omitted for _, omitted in told([value])] == [True]
    with pytest.raises(UnsupportedMessageError) as caught:
        encode_message(in_content(value))
    assert (caught.value.path, "SECRET" in str(caught.value)) == ("message.content[0]['value']", False)
    assert caught.value.__context__ is None


def test_an_object_is_taken_apart_without_its_own_code() -> None:
    """What it says of its attributes does not matter."""
    register_class(Watched)
    found = stored(Watched(5))
    assert (type(found), object.__getattribute__(found, "x")) == (Watched, 5)


def test_integers_are_stored_whatever_this_process_may_print(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python bounds the digits that it converts, and a program may lower that."""
    values = [10**4000, -(10**700), {10**4000: 1}]
    line = encode_message(holding(values))
    if not hasattr(sys, "set_int_max_str_digits"):
        pytest.skip("this Python has no such bound")
    most = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(640)
    try:
        assert decode_line(line).artifact == values  # type: ignore[attr-defined]
        assert stored(values) == values
        with pytest.raises(UnsupportedMessageError):
            encode_message(in_content({10**4000: object()}))
    finally:
        sys.set_int_max_str_digits(most)


# State beside fields


class WithSlots:
    """A base that keeps something in a slot."""

    __slots__ = ("more",)


@dataclasses.dataclass
class Slotted(WithSlots):
    """A dataclass on such a base."""

    x: int = 1


def slotted() -> Slotted:
    """One with something in the slot."""
    one = Slotted()
    one.more = 1
    return one


class Cached(BaseModel):
    """A model that derives something."""

    x: int = 1

    @cached_property
    def double(self) -> int:
        return 2 * self.x


def assigned() -> Cached:
    """One where it was assigned."""
    one = Cached()
    one.__dict__["double"] = 5
    return one


@dataclasses.dataclass
class Answering:
    """A property of its class answers for a field."""

    x: int

    @property  # type: ignore[no-redef]
    def x(self) -> int:
        return self._x + 1

    @x.setter
    def x(self, x: int) -> None:
        self._x = x


HIDING: list[Callable[[], object]] = [
    slotted,
    assigned,
    lambda: private(True),
    lambda: private(1.0),
    lambda: Answering(1),
    loaded,
]


@pytest.mark.parametrize("make", HIDING)
def test_state_beside_fields_is_noticed(make: Callable[[], object]) -> None:
    """It would be lost: the object is data, and strict refuses."""
    value = make()
    register_class(type(value))  # type: ignore[type-var]
    assert told(value) == [("", False)]
    with pytest.raises(UnsupportedMessageError, match="not in its fields alone"):
        encode_message(holding(value), strict=True)


def test_derived_state_is_derived_again() -> None:
    """A slot that is empty and a property that was looked at are no state."""
    values = [Slotted(), Cached(x=2), private(1)]
    assert values[1].double == 4  # type: ignore[union-attr]
    for value in values:
        register_class(type(value))  # type: ignore[type-var]
    assert stored(values) == values
    assert encode_message(holding(values), strict=True)


class IE(int, enum.Enum):
    """A number whose value is another one."""

    def __new__(cls, number: int) -> Any:
        member = int.__new__(cls, number)
        member._value_ = True
        return member

    T = 1


def test_a_number_with_another_value_is_the_number() -> None:
    """Its type says what it equals, and its own name what it is."""
    assert looks(stored([IE.T])) == looks([1])
    register_class(IE)
    assert stored([IE.T])[0] is IE.T


class Jobs(enum.Enum):
    """Members that stand for what cannot be stored."""

    RUN = object()
    WALK = (len,)


def test_a_members_name_alone_identifies_it() -> None:
    """Whatever its value is, in content too."""
    register_class(Jobs)
    value = [Jobs.RUN, {Jobs.WALK: Jobs.RUN}, {Jobs.WALK}]
    assert told(value) == []
    message = in_content(value)
    assert decode_line(encode_message(message, strict=True)) == message


# Numbers, sets, depth


class Wordy(float):
    """A float of one's own."""


def test_a_nan_of_another_type_is_nan() -> None:
    """It equals nothing, itself neither."""
    read = stored([numpy.float64("nan"), Wordy("nan"), numpy.float32("nan")])
    assert [(type(one), one != one) for one in read] == [(float, True)] * 3


@pytest.mark.parametrize("members", [[1, 2], [True, 2], [1.0, 2], [-0.0], [0.0], [(1,), (True, 2)], [float("nan")]])
def test_members_of_sets_keep_their_types(members: list[Any]) -> None:
    """Though they equal others."""
    assert looks(stored({*members})) == looks({*members})


def test_a_set_read_as_an_equal_one_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is read back is compared by type."""
    from langchain_dynamodb.codec import marks

    monkeypatch.setitem(marks._KINDS, "set", lambda reader, *entries: {*map(bool, entries)})
    with pytest.raises(UnsupportedMessageError):
        encode_message(in_content({1}))


@dataclasses.dataclass(eq=False)
class Odd:
    """Nobody can compare it."""

    x: int = 1

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("SECRET")

    def __hash__(self) -> int:
        return 1


def test_members_that_cannot_be_compared_are_left_out_or_refused() -> None:
    """With their set, which could not be made again."""
    register_class(Odd)
    assert stored([{Odd()}])[0].pop().x == 1
    one, other = Odd(1), Odd(2)
    together: set[Any] = set()
    together |= {one}
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(Odd, "__eq__", object.__eq__)
        together.add(other)
    assert stored([together, 1]) == [None, 1]
    with pytest.raises(UnsupportedMessageError, match="a set whose members do not come back"):
        encode_message(in_content(together))


COLLIDING = [k * sys.hash_info.modulus for k in range(1, 3000)]


@pytest.mark.parametrize("kind", ["set", "frozenset", "dict"])
def test_forged_members_of_one_hash_take_no_quadratic_time(kind: str) -> None:
    """They are counted, and read as a list: making a set of them would compare each with all others."""

    class Counting(int):
        compared = 0

        def __eq__(self, other: object) -> bool:
            Counting.compared += 1
            return int.__eq__(self, other)

        __hash__ = int.__hash__

    from langchain_dynamodb.codec.marks import Reader

    class CountingReader(Reader):
        def read(self, tree: Any) -> Any:
            return Counting(tree) if isinstance(tree, int) else super().read(tree)

    entries: list[Any] = [[number, 1] for number in COLLIDING] if kind == "dict" else COLLIDING
    found = CountingReader(lambda fields, known: fields).read({"$": [kind, *entries]})
    assert (type(found), Counting.compared < 10 * len(COLLIDING)) == (list, True)


def test_many_members_of_one_hash_are_left_out() -> None:
    """Where they may be; a few are stored."""
    few, many = set(COLLIDING[:50]), set(COLLIDING)
    assert stored([few, many]) == [few, None]
    assert stored([dict.fromkeys(few), dict.fromkeys(many)]) == [dict.fromkeys(few), None]


def nested(levels: int) -> Any:
    """A value of this depth."""
    value: Any = dt.date(2026, 1, 2)
    for _ in range(levels):
        value = [value]
    return value


def from_depth(frames: int, work: Callable[[], Any]) -> Any:
    """What `work` returns, called at this depth of Python's stack."""
    return from_depth(frames - 1, work) if frames else work()


@pytest.mark.parametrize("value", [nested(200), nested(249), nested(400), [[Span(nested(50))]]], ids=range(4))
def test_what_is_stored_does_not_depend_on_the_callers_stack(value: Any) -> None:
    """Nor what is read."""
    line = encode_message(holding(value))
    room = sys.getrecursionlimit() - len(list(_frames()))
    for frames in (0, room // 2, room - 200, room - 100):
        assert from_depth(frames, lambda: encode_message(holding(value))) == line
        assert looks(from_depth(frames, lambda: decode_line(line))) == looks(decode_line(line))


def _frames() -> Iterator[Any]:
    frame: Any = sys._getframe()
    while frame:
        yield frame
        frame = frame.f_back


# What is told


class Unset:
    """Makes objects without their fields."""

    @dataclasses.dataclass
    class Made:
        """A dataclass."""

        x: int

    def __call__(self) -> Any:
        return object.__new__(self.Made)


def test_an_object_without_its_fields_is_told_once() -> None:
    """As left out, not as data too."""
    assert told([Unset()()]) == [("[0]", True)]


def test_a_value_left_out_is_logged_each_time(caplog: pytest.LogCaptureFixture) -> None:
    """Warnings of one text are shown once; the log has the place of each."""
    with caplog.at_level(logging.WARNING, "langchain_dynamodb"):
        for _ in range(2):
            with pytest.warns(OmittedValueWarning):
                Codec().encode([holding(object())], 10_000)
    assert [(record.levelname, record.getMessage()[:20]) for record in caplog.records] == [
        ("WARNING", "messages[0].artifact")
    ] * 2


def test_a_warning_names_the_line_that_stored() -> None:
    """And none of the package's."""
    with pytest.warns(OmittedValueWarning) as caught:
        Codec().encode([holding(object())], 10_000)
    assert caught[0].filename == __file__


def test_a_class_that_was_told_is_not_kept_alive() -> None:
    """Programs make classes at run time."""

    def store() -> Any:
        class Local(BaseModel):
            x: int = 1

        with pytest.warns(UnregisteredClassWarning):
            Codec().encode([holding(Local())], 10_000)
        return weakref.ref(Local)

    found = store()
    gc.collect()
    assert found() is None


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({"plain_name": object()}, "['plain_name']"),
        ({"x-request-id": object()}, "['x-request-id']"),
        ({"the patient's SECRET": object()}, "[a text of 20 characters]"),
        ({"x" * 41: object()}, "[a text of 41 characters]"),
        ({"a": 1, 48123456: object()}, "[key 1 of type int]"),
        ({dt.date(2026, 1, 2): object()}, "[key 0 of type datetime.date]"),
        ([1, object()], "[1]"),
    ],
    ids=lambda value: str(type(value)),
)
def test_a_key_in_a_path_shows_no_content(value: Any, path: str) -> None:
    """Only what looks like a name; of others the type and position."""
    assert told(value) == [(path, True)]


def test_a_validators_words_are_not_shown() -> None:
    """They may quote what is there: the kind of error is told."""

    def refuse(level: Any) -> Any:
        if level:
            raise ValueError(f"{level} is no level")
        return level

    class Checked(HumanMessage):
        level: Annotated[Any, AfterValidator(refuse)] = None

    register_message_class(Checked)
    message = Checked("hi")
    message.level = "SECRET"
    with pytest.raises(UnsupportedMessageError, match=r"^message.level is not valid in a .*Checked: value_error\.$"):
        encode_message(message)


# Enums


def test_the_json_library_sees_no_members_of_enums(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would look at their values, which is code of their classes."""
    seen: list[Any] = []
    dumps = orjson.dumps

    def watched(value: Any, *more: Any, **options: Any) -> bytes:
        seen.append(value)
        return dumps(value, *more, **options)

    monkeypatch.setattr(orjson, "dumps", watched)
    values = [Colour.RED, Mood.CALM, IE.T, {"a": [Mood.CALM]}, {Mood.CALM: 1}, (Mood.CALM,), Any_(value=Mood.CALM)]
    for value in values:
        encode_message(holding(value))
        encode_message(HumanMessage([{"type": "x", "mood": Mood.CALM}]))
    assert len(seen) >= len(values)
    assert not any(issubclass(cls, enum.Enum) for cls in types_in(seen))


def types_in(value: Any) -> Iterator[Any]:
    """The types of a value and its parts; it takes no keys but texts."""
    yield type(value)
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from types_in(part)


# Second objects


class Closing(BaseModel):
    """It says when it goes away."""

    x: int = 1

    def __del__(self) -> None:
        gone.append(self.__dict__.get("x"))


gone: list[Any] = []


def test_storing_makes_no_second_object() -> None:
    """Of an object that is compared by its parts; one in a message within is made again, as the page says."""
    values = [Closing(x=2), {"a": (Closing(x=3),)}, Span(Closing(x=4))]
    for cls in (Closing, Span):
        register_class(cls)  # type: ignore[type-var]
    gone.clear()
    line = encode_message(holding(values))
    assert (gone, len(line) > 100) == ([], True)
    encode_message(holding([HumanMessage("", additional_kwargs={"a": values[0]})]))
    gc.collect()
    assert gone == [2]
