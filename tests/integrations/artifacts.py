"""What tools may hand over as an artifact, and what becomes of each: here, in LangGraph and in langchain_community."""

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


def array() -> Any:
    """Make numpy's table."""
    return pytest.importorskip("numpy").array([1, 2])


ITSELF: Any = object()


@dataclass(frozen=True)
class Artifact:
    """What `make` makes is stored and comes back as `comes_back`; `ours` says that in words.

    `langgraph` and `community` say what LangGraph's serializer and langchain_community make of it: "itself", "fails",
    the type that it becomes, or "changed" where that is within.
    """

    name: str
    make: Callable[[], Any]
    langgraph: str
    community: str
    ours: str = "itself"
    comes_back: Any = ITSELF


DAY = date(2026, 11, 29)
NOON = datetime(2026, 11, 29, 12, 30, 1, 5)
NEPAL = timezone(timedelta(hours=5, minutes=45))
GAUGE = Gauge("pier", [Level(at=DAY)])
LEVEL = {"at": DAY, "metres": 4.5}
CALL = AIMessage("high", tool_calls=[{"name": "f", "args": {"x": 1}, "id": "c"}])
SAID = {"said": [HumanMessage("hi"), ToolMessage("4", tool_call_id="c", artifact=b"\x00")]}

ARTIFACTS = [
    Artifact("list of Documents", lambda: [Document("high", metadata=PLACE, id="d1")], "changed", "changed"),
    Artifact("Document", lambda: Document("high", metadata={"at": DAY}), "dict", "fails"),
    Artifact("message", lambda: CALL, "dict", "dict"),
    Artifact("messages in a dict", lambda: SAID, "changed", "changed"),
    Artifact("bytes", lambda: b"\x89PNG\r\n\x1a\n\x00\xff", "itself", "Binary"),
    Artifact("bytearray", lambda: bytearray(b"\x00\xff"), "bytes", "Binary"),
    Artifact("tuple", lambda: (1, ("a", [2])), "list", "list"),
    Artifact("set", lambda: {1, 2}, "itself", "changed"),
    Artifact("frozenset", lambda: frozenset({"a"}), "itself", "set"),
    Artifact("date", lambda: DAY, "itself", "fails"),
    Artifact("time", lambda: time(12, 30, 1, 5), "itself", "fails"),
    Artifact("datetime", lambda: NOON, "itself", "fails"),
    Artifact("datetime in UTC", lambda: NOON.replace(tzinfo=timezone.utc), "itself", "fails"),
    Artifact("datetime with an offset", lambda: NOON.replace(tzinfo=NEPAL), "itself", "fails"),
    Artifact(
        "datetime in a zone",
        lambda: datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Berlin")),
        "changed",
        "fails",
    ),
    Artifact("timedelta", lambda: timedelta(days=-1, microseconds=1), "itself", "fails"),
    Artifact("Decimals", lambda: [Decimal("1.0"), Decimal("1.00"), Decimal("-0")], "itself", "itself"),
    Artifact("UUID", lambda: uuid.UUID(int=7), "itself", "fails"),
    Artifact("complex", lambda: 1 - 2j, "fails", "fails"),
    Artifact("NaN and infinities", lambda: [math.nan, math.inf, -math.inf], "itself", "fails"),
    Artifact(
        "dict with keys that are no text",
        lambda: {1: "a", "1": "b", None: "c", (1, 2): "d", DAY: "e"},
        "changed",
        "fails",
    ),
    Artifact("numbers that equal one another", lambda: [True, 1, 1.0, -0.0, 0.0], "itself", "changed"),
    Artifact(
        "rows of a database", lambda: [{"id": uuid.UUID(int=1), "at": NOON, "paid": Decimal("9.90")}], "itself", "fails"
    ),
    Artifact("integer beyond 64 bit", lambda: 2**80, "fails", "Decimal"),
    Artifact("pydantic model", lambda: Level(at=DAY), "dict", "fails", "its data", LEVEL),
    Artifact("dataclass", lambda: GAUGE, "dict", "fails", "its data", {"place": "pier", "levels": [LEVEL]}),
    Artifact("NamedTuple", lambda: Point(1, 2), "list", "list", "a tuple", (1, 2)),
    Artifact("enum", lambda: Kind.HIGH, "list", "fails", "its value", ("high", 1)),
    Artifact("enum of text", lambda: Word.HIGH, "itself", "itself", "its plain value, which equals it", "high"),
    Artifact("array of numpy's", array, "itself", "fails", "None, with a warning", None),
    Artifact("Path", lambda: PurePosixPath("/tides"), "fails", "fails", "None, with a warning", None),
    Artifact("function", lambda: print, "fails", "fails", "None, with a warning", None),
    Artifact(
        "DataFrame and the like within",
        lambda: {"frame": Frame(), "rows": 2},
        "fails",
        "fails",
        "None there, with a warning",
        {"frame": None, "rows": 2},
    ),
]
