"""What tools may hand over as an artifact, and what comes back of it."""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from pathlib import PurePosixPath
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from pydantic import BaseModel

PLACE = {"source": "tides.txt", "page": 4}


class Kind(Enum):
    """What kind of tide; nobody registers it, nor any other class here."""

    HIGH = ("high", 1)


class Word(str, Enum):
    """A text, which it equals."""

    HIGH = "high"


class Level(BaseModel):
    """A model."""

    at: date
    metres: float = 4.5


@dataclass
class Gauge:
    """A dataclass."""

    place: str
    levels: list[Level]


class Point(NamedTuple):
    """A tuple with names."""

    x: int
    y: int


class Frame:
    """A table as pandas has them: what compares it gets a table, which is neither true nor false."""

    def __eq__(self, other: object) -> Any:
        return self

    def __bool__(self) -> bool:
        raise ValueError("The truth value of a Frame is ambiguous.")

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return "a cell that no error may quote"


def number() -> Any:
    """Make a float of numpy's."""
    return pytest.importorskip("numpy").float64(1.5)


def array() -> Any:
    """Make a table of numpy's."""
    return pytest.importorskip("numpy").array([1, 2])


ITSELF: Any = object()


@dataclass(frozen=True)
class Artifact:
    """What `make` makes is stored, and comes back as `comes_back`; docs/values.md calls it `name`."""

    name: str
    make: Callable[[], Any]
    comes_back: Any = ITSELF


DAY = date(2026, 11, 29)
NOON = datetime(2026, 11, 29, 12, 30, 1, 5)
NEPAL = timezone(timedelta(hours=5, minutes=45))
GAUGE = Gauge("pier", [Level(at=DAY)])
LEVEL = {"at": DAY, "metres": 4.5}
CALL = AIMessage("high", tool_calls=[{"name": "f", "args": {"x": 1}, "id": "c"}])
SAID = {"said": [HumanMessage("hi"), ToolMessage("4", tool_call_id="c", artifact=b"\x00")]}

ARTIFACTS = [
    Artifact("text, `int`, `bool`, `None`, `list`, `dict`", lambda: ["a", 1, True, None, {"a": []}]),
    Artifact("`float`", lambda: 1.5),
    Artifact("numbers that equal one another", lambda: [True, 1, 1.0, -0.0, 0.0]),
    Artifact("`int` beyond 64 bits", lambda: 2**100),
    Artifact("NaN and infinities", lambda: [math.nan, math.inf, -math.inf]),
    Artifact("`bytes`", lambda: b"\x89PNG\r\n\x1a\n\x00\xff"),
    Artifact("`bytearray`", lambda: bytearray(b"\x00\xff")),
    Artifact("`tuple`", lambda: (1, ("a", [2]))),
    Artifact("`set` of texts", lambda: {"a", "b"}),
    Artifact("`set` of numbers", lambda: {1, 2}),
    Artifact("`frozenset`", lambda: frozenset({"a"})),
    Artifact("`dict` with numbers as keys", lambda: {1: "a"}),
    Artifact("`dict` with other keys", lambda: {1: "a", "1": "b", None: "c", (1, 2): "d", DAY: "e"}),
    Artifact("`date`", lambda: DAY),
    Artifact("`time`", lambda: time(12, 30, 1, 5)),
    Artifact("`datetime`", lambda: NOON),
    Artifact("`datetime` with an offset", lambda: NOON.replace(tzinfo=NEPAL)),
    Artifact(
        "`datetime` in a `zoneinfo` zone, `fold=1`",
        lambda: datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Berlin")),
    ),
    Artifact("`timedelta`", lambda: timedelta(days=-1, microseconds=1)),
    Artifact("`Decimal`", lambda: [Decimal("1.0"), Decimal("1.00"), Decimal("-0")]),
    Artifact("`UUID`", lambda: uuid.UUID(int=7)),
    Artifact("`complex`", lambda: 1 - 2j),
    Artifact("rows of a database", lambda: [{"id": uuid.UUID(int=1), "at": NOON, "paid": Decimal("9.90")}]),
    Artifact("`Document`", lambda: Document("high", metadata={"at": DAY})),
    Artifact("a list of `Document`s", lambda: [Document("high", metadata=PLACE, id="d1")]),
    Artifact("a message", lambda: CALL),
    Artifact("messages in a `dict`", lambda: SAID),
    Artifact("a pydantic model", lambda: Level(at=DAY), LEVEL),
    Artifact("a dataclass", lambda: GAUGE, {"place": "pier", "levels": [LEVEL]}),
    Artifact("a NamedTuple", lambda: Point(1, 2), (1, 2)),
    Artifact("an enum", lambda: Kind.HIGH, ("high", 1)),
    Artifact("an enum of texts", lambda: Word.HIGH, "high"),
    Artifact("a numpy number", number, 1.5),
    Artifact("a numpy array", array, None),
    Artifact("a `Path`", lambda: PurePosixPath("/tides"), None),
    Artifact("a function", lambda: print, None),
    Artifact("a DataFrame in a `dict`", lambda: {"frame": Frame(), "rows": 2}, {"frame": None, "rows": 2}),
]
