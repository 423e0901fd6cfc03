"""Objects that do not come back as they were: told each time, and in the way that their classes show them."""

from __future__ import annotations

import dataclasses
import inspect
import warnings
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Annotated, Any

import pydantic.dataclasses
import pytest
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from pydantic import BaseModel, Field, PlainSerializer, PrivateAttr, computed_field

from langchain_dynamodb import register_class, register_message_class
from langchain_dynamodb.codec.classes import MESSAGES
from langchain_dynamodb.codec.messages import Codec, decode_line, encode_message
from langchain_dynamodb.codec.registry import OBJECTS
from langchain_dynamodb.errors import OmittedValueWarning, UnregisteredClassWarning, UnsupportedMessageError
from values_support import forget, holding, looks


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    forget(monkeypatch)


def stored(value: object) -> Any:
    """What an artifact comes back as."""
    read: Any = decode_line(encode_message(holding(value)))
    return read.artifact


def told(value: object) -> list[tuple[str, bool]]:
    """Of which places of an artifact it is told that they come back as something else, and whether as None."""
    degraded: list[Any] = []
    encode_message(holding(value), degraded=degraded)
    return [(one.path.removeprefix("message.artifact"), one.omitted) for one in degraded]


class Private(BaseModel):
    """A model with a private attribute."""

    x: int = 1
    _seen: Any = PrivateAttr(default=1)


def private(seen: object) -> Private:
    """An object with this in its private attribute."""
    one = Private()
    one._seen = seen
    return one


# Told each time


class Box(BaseModel):
    """One field of any type."""

    value: Any = None


@dataclasses.dataclass
class Pair:
    """Two fields of any type."""

    x: Any = None
    y: Any = 1


@dataclasses.dataclass(frozen=True)
class Key:
    """It can be a key, and its data cannot."""

    x: int = 1


def told_by(value: object, caplog: pytest.LogCaptureFixture) -> list[tuple[type, str]]:
    """The warnings when a message with this artifact is stored: kind and place. Those of lost values are logged too."""
    caplog.clear()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        Codec().encode([holding(value)], 1 << 24)
    seen: list[Any] = [one.message for one in caught]
    assert [str(one) for one in seen if type(one) is OmittedValueWarning] == caplog.messages
    return [(type(one), one.path.removeprefix("messages[0].artifact")) for one in seen]


def test_a_registered_object_that_is_data_is_told_each_time(caplog: pytest.LogCaptureFixture) -> None:
    """By warning and in the log, also where its class was told of before it was registered."""
    assert told_by(private(2), caplog) == [(UnregisteredClassWarning, "")]
    assert told_by(private(2), caplog) == []
    register_class(Private)
    for _ in range(2):
        assert told_by([private(2)], caplog) == [(OmittedValueWarning, "[0]")]
        assert "whose state is not in its fields alone: it is stored as its data" in caplog.text


def test_an_object_with_a_part_left_out_is_told_at_the_object(caplog: pytest.LogCaptureFixture) -> None:
    """It is data then, which somebody who uses the object must know; in whatever its parts are."""
    register_class(Pair)
    left_out = [(OmittedValueWarning, "[0]"), (OmittedValueWarning, "[0].x")]
    for _ in range(2):
        assert told_by([Pair(object())], caplog) == left_out
    assert stored([Pair(object())]) == [{"x": None, "y": 1}]
    within = [(OmittedValueWarning, ""), (OmittedValueWarning, ".x[0]"), (OmittedValueWarning, ".x[0].x")]
    assert told_by(Pair([Pair(object())]), caplog) == within
    assert told_by(Pair(Box(value=1)), caplog) == [(UnregisteredClassWarning, ".x"), (OmittedValueWarning, "")]
    assert told_by(Pair(Box(value=1)), caplog) == [(OmittedValueWarning, "")]
    assert told_by(Pair(Pair()), caplog) == []


def test_a_document_with_a_value_left_out_is_a_document(caplog: pytest.LogCaptureFixture) -> None:
    """Of what its metadata holds only that is None, or data; and it is told each time."""
    path = PurePosixPath("a.txt")
    given = Document("t", id="1", metadata={"source": path, "s": (1, 2), "in": [path], "box": Box(value=1), 2: 3})
    read = Document("t", id="1", metadata={"source": None, "s": (1, 2), "in": [None], "box": {"value": 1}, 2: 3})
    assert looks(stored([given])) == looks([read])
    told_by(given, caplog)
    left_out = [(OmittedValueWarning, ".metadata['source']"), (OmittedValueWarning, ".metadata['in'][0]")]
    assert told_by(given, caplog) == left_out
    document = Document("t", metadata={object(): 1, "a": 2})
    assert (stored(document), told(document)) == (
        Document("t", metadata={"a": 2}),
        [(".metadata", True)],
    )
    with pytest.raises(UnsupportedMessageError):
        encode_message(ToolMessage([{"type": "x", "value": given}], tool_call_id="c"))
    with pytest.raises(UnsupportedMessageError):
        encode_message(holding(given), strict=True)


@pytest.mark.parametrize(
    "document",
    [
        Document.model_construct(page_content=object(), metadata={}),
        Document.model_construct(page_content="t", metadata=object()),
        Document("t", metadata={Key(): 2}),
    ],
    ids=["content", "metadata", "keys"],
)
def test_a_document_that_cannot_be_one_is_data(document: Document) -> None:
    """And that is told of it."""
    assert isinstance(stored(document), dict)
    assert ("", False) in told(document)


def test_an_object_with_a_document_that_is_not_what_it_was_is_data() -> None:
    """As with a message within."""
    register_class(Pair)
    value = Pair(Document("t", metadata={"p": object()}))
    assert stored(value) == {"x": Document("t", metadata={"p": None}), "y": 1}
    assert told(value) == [("", False), (".x.metadata['p']", True)]


# Classes that show their objects in their own way


Starred = Annotated[str, PlainSerializer(lambda text: "***")]


class Stars(BaseModel):
    """A serializer within a type."""

    keys: list[Starred] = ["SECRET"]


class Unions(BaseModel):
    """One deep within a type of another model."""

    inner: dict[str, Stars | None] = {"a": Stars()}


class Names(BaseModel):
    """Fields named like parts of pydantic's schemas, and one that is not hidden."""

    metadata: Starred = "SECRET"
    default: int = Field(1, exclude=False)


class Shown(BaseModel):
    """Nothing is hidden."""

    type: str = "x"
    config: int = Field(1, exclude=False)


class Dumps(BaseModel):
    """Its own way to be dumped."""

    key: str = "SECRET"

    def model_dump(self, **options: Any) -> dict[str, Any]:
        return {"key": "***"}


class Computes(BaseModel):
    """A field that is computed."""

    x: int = 1

    @computed_field  # type: ignore[prop-decorator]
    @property
    def twice(self) -> int:
        return 2 * self.x


class Raises(BaseModel):
    """Its serializer raises."""

    name: str = "n"
    key: Annotated[str, PlainSerializer(lambda text: 1 / 0)] = "SECRET"
    password: str = Field("SECRET", exclude=True)


@pydantic.dataclasses.dataclass
class Card:
    """A dataclass of pydantic's."""

    pin: Starred = "SECRET"


OWN: list[tuple[Any, Any]] = [
    (Stars(), {"keys": ["***"]}),
    (Unions(), {"inner": {"a": {"keys": ["***"]}}}),
    (Names(), {"metadata": "***", "default": 1}),
    (Dumps(), {"key": "***"}),
    (Computes(), {"x": 1, "twice": 2}),
    (Raises(), {"name": "n", "key": None}),
    (Card(), {"pin": "***"}),
]


@pytest.mark.parametrize(("value", "data"), OWN, ids=lambda value: type(value).__name__)
def test_a_class_shows_its_objects_in_its_own_way(value: Any, data: Any) -> None:
    """Not registered, its data is what it shows, for good, in whatever it is."""
    for given, read in ((value, data), ([value], [data]), (Box(value=value), {"value": data})):
        line = encode_message(holding(given))
        assert decode_line(line).artifact == read  # type: ignore[attr-defined]
        assert b"SECRET" not in line
    line = encode_message(holding(value))
    for cls in (type(value), Stars):
        register_class(cls)
    assert decode_line(line).artifact == data  # type: ignore[attr-defined]
    assert looks(stored(value)) == looks(value)


def test_a_class_that_hides_nothing_brings_its_objects_back() -> None:
    """Once it is registered."""
    line = encode_message(holding(Shown()))
    assert decode_line(line).artifact == {"type": "x", "config": 1}  # type: ignore[attr-defined]
    register_class(Shown)
    assert looks(decode_line(line).artifact) == looks(Shown())  # type: ignore[attr-defined]


@pytest.mark.skipif("exclude_if" not in inspect.signature(Field).parameters, reason="an older pydantic")
def test_a_field_that_is_excluded_at_times_is_not_shown() -> None:
    """By a condition that its class gives."""
    options: Any = {"exclude_if": lambda value: True}

    class Shy(BaseModel):
        x: int = 1
        pin: str | None = Field(None, **options)

    line = encode_message(holding(Shy(pin="SECRET")))
    assert decode_line(line).artifact == {"x": 1}  # type: ignore[attr-defined]
    assert b"SECRET" not in line


# Which fields were given


class Open(BaseModel, extra="allow"):
    """A model that takes any fields."""

    a: int = 0
    b: int = 1


def test_the_fields_that_were_given_are_those_that_are_read() -> None:
    """Also where extra fields were not, and where something else was said to be."""
    register_class(Open)
    for given in (
        Open.model_construct(_fields_set={"a"}, a=1, zz=3),
        Open(a=1, zz=3),
        Open.model_construct(_fields_set={"zz"}, zz=1),
    ):  # type: ignore[call-arg]
        assert told(given) == []
        read = stored(given)
        assert (type(read), read.model_fields_set, read.model_extra) == (
            Open,
            given.model_fields_set,
            given.model_extra,
        )
        assert looks(decode_line(encode_message(holding(given), strict=True)).artifact) == looks(given)  # type: ignore[attr-defined]
    strange = Open.model_construct(_fields_set={"a", "nope"}, a=1)
    assert (stored(strange), told(strange)) == ({"a": 1, "b": 1}, [("", False)])
    with pytest.raises(UnsupportedMessageError):
        encode_message(holding(strange), strict=True)


# Classes that cannot be hashed


class Unhashable(type):
    """A class of classes without hashes."""

    __hash__ = None  # type: ignore[assignment]


class Odd(metaclass=Unhashable):
    """An object of a class that cannot be hashed."""


class OddText(str, metaclass=Unhashable):
    """A text of such a class."""


def test_a_key_of_a_class_that_cannot_be_hashed_is_left_out() -> None:
    """As any other that nothing is known of."""
    for key in (Odd(), OddText("k")):
        assert (stored({key: 1, "a": 2}), told({key: 1, "a": 2})) == ({"a": 2}, [("", True)])
        message = AIMessage("", additional_kwargs={"in": {key: 1, "a": 2}})
        assert decode_line(encode_message(message)).additional_kwargs == {"in": {"a": 2}}


# Registering meanwhile


class Changing(dict[Any, Any]):
    """Classes, of which one is registered anew as soon as somebody has looked `looks` times."""

    def __init__(self, known: Any, change: Callable[[], object], looks: int = 1) -> None:
        super().__init__(known)
        self.change = change
        self.looks = looks

    def _changed(self) -> None:
        self.looks -= 1
        if self.looks == 0:
            self.change()

    def get(self, key: Any, *default: Any) -> Any:
        found = super().get(key, *default)
        self._changed()
        return found

    def __contains__(self, key: object) -> bool:
        found = super().__contains__(key)
        self._changed()
        return found


def test_a_class_registered_meanwhile_disturbs_no_message() -> None:
    """Neither one of the old definition nor one of a class that was not registered."""
    old, new = (type("Made", (Box,), {"__module__": "m"}) for _ in range(2))
    register_class(old)
    OBJECTS.by_class = Changing(OBJECTS.by_class, lambda: register_class(new))
    message = holding([old(value=1), old(value=2)])
    assert encode_message(message, strict=True)
    assert OBJECTS.by_name["m.Made"].cls is new
    OBJECTS.by_class = Changing(OBJECTS.by_class, lambda: register_class(Pair))
    assert looks(decode_line(encode_message(holding([Pair(), Pair()]))).artifact) in (  # type: ignore[attr-defined]
        looks([Pair(), Pair()]),
        looks([{"x": None, "y": 1}] * 2),
    )


@pytest.mark.parametrize("value", ["plain", (1, 2)])
@pytest.mark.parametrize("within", [False, True])
def test_a_message_class_registered_meanwhile_disturbs_no_message(value: Any, within: bool) -> None:
    """Of the old definition: the message itself, and one within another."""
    old, new = (type("Made", (HumanMessage,), {"__module__": "m"}) for _ in range(2))
    register_message_class(old)
    MESSAGES.by_class = Changing(MESSAGES.by_class, lambda: register_message_class(new), 2 if within else 1)
    message = old("hi", additional_kwargs={"value": value})
    assert encode_message(holding([message, message]) if within else message, strict=True)
    assert MESSAGES.by_tag["m.Made"].cls is new


def test_an_earlier_name_that_is_left_to_a_class_is_written() -> None:
    """The last of them, where a redefined class took the name that was written."""
    first, second = (type("Made", (Box,), {"__module__": "m"}) for _ in range(2))
    for names, written in (((None, "y"), "y"), (("z", None), "z"), (("w", "v", None), "v")):
        for name in names:
            register_class(first, name)
        register_class(second)
        assert OBJECTS.by_class[first].name == written
        assert looks(stored(first(value=1))) == looks(first(value=1))
    speak, other = (type("Speak", (HumanMessage,), {"__module__": "m"}) for _ in range(2))
    for tag in ("speak", None):
        register_message_class(speak, tag)
    register_message_class(other)
    assert MESSAGES.by_class[speak].tag == "speak"
    assert type(decode_line(encode_message(speak("hi")))) is speak
