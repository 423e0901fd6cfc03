"""What others make of the values in messages: the table of docs/values.md, row by row."""

from __future__ import annotations

import datetime as dt
import math
import uuid
import warnings
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy
import pytest
from langchain_core.documents import Document
from langchain_core.messages import BaseMessage, HumanMessage, ToolMessage

pytest.importorskip("langgraph.checkpoint.serde.jsonplus", reason="the extra langchain is not installed")

from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from community_support import Theirs
from langchain_dynamodb.codec.messages import decode_line, encode_message
from langchain_dynamodb.codec.registry import OBJECTS
from langchain_dynamodb.errors import UnsupportedMessageError
from values_support import BERLIN, Answer, Colour, Mood, Point, Span, looks

if TYPE_CHECKING:
    from conftest import TestEngine

PAGE = Path(__file__).parents[2] / "docs" / "values.md"
VALUES: dict[str, Any] = {
    "text, `int`, `bool`, `None`, `list`, `dict`": ["a", 1, True, None, {"a": []}],
    "`float`": 1.5,
    "`int` beyond 64 bits": 2**100,
    "`bytes`": b"\x00\xff",
    "`bytearray`": bytearray(b"a"),
    "`tuple`": (1, "a"),
    "`set` of texts": {"a", "b"},
    "`frozenset`": frozenset({1}),
    "`datetime` with an offset": dt.datetime(2026, 1, 2, tzinfo=dt.timezone(dt.timedelta(hours=1))),
    "`datetime` in a `zoneinfo` zone, `fold=1`": dt.datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN, fold=1),
    "`date`": dt.date(2026, 1, 2),
    "`time`": dt.time(1, 2),
    "`timedelta`": dt.timedelta(1),
    "`Decimal`": Decimal("1.50"),
    "`UUID`": uuid.UUID(int=7),
    "`complex`": 1j,
    "NaN": math.nan,
    "`dict` with numbers as keys": {1: "a"},
    "`dict` with tuples as keys": {(1, 2): "a"},
    "`Document`": Document("text", metadata={"page": 1}),
    "a message": HumanMessage("hi"),
    "a pydantic model": Answer(text="a"),
    "a dataclass": Span(1),
    "a NamedTuple": Point(1),
    "an enum": Colour.RED,
    "an enum of texts": Mood.CALM,
    "a numpy number": numpy.float64(1.5),
    "a numpy array": numpy.array([1, 2]),
    "a `Path`": Path("a"),
    "any other object": object(),
}


def ours(message: BaseMessage) -> BaseMessage:
    """As this package stores it."""
    return decode_line(encode_message(message))


def ours_strict(message: BaseMessage) -> BaseMessage:
    """The same with strict=True."""
    return decode_line(encode_message(message, strict=True))


def json_plus(message: BaseMessage) -> BaseMessage:
    """As LangGraph's checkpointers store it by default."""
    serializer = JsonPlusSerializer()
    back: BaseMessage = serializer.loads_typed(serializer.dumps_typed(message))
    return back


def becomes(store: Callable[[BaseMessage], BaseMessage], value: Any) -> str:
    """What a tool's artifact is when it is read back: in a word."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = store(ToolMessage("", tool_call_id="c", artifact=value)).artifact  # type: ignore[attr-defined]
    except UnsupportedMessageError:
        return "refused"
    except Exception:
        return "fails"
    if looks(found) == looks(value):
        return "exact"
    try:
        equal = bool(found == value)
    except ValueError:
        equal = False
    kind = "`None`" if found is None else f"`{type(found).__name__}`"
    return f"equal {kind}" if equal else kind


@pytest.mark.once
def test_the_table_is_what_is_measured(monkeypatch: pytest.MonkeyPatch, engine: TestEngine, table_name: str) -> None:
    """Each cell, by the versions at hand; no class is registered."""

    def community(message: BaseMessage) -> BaseMessage:
        history = Theirs(table_name, str(uuid.uuid4()), engine.endpoint_url)
        history.add_messages([message])
        found: BaseMessage = history.messages[0]
        return found

    document = OBJECTS.by_class[Document]
    monkeypatch.setattr(OBJECTS, "by_name", {"Document": document})
    monkeypatch.setattr(OBJECTS, "by_class", {Document: document})
    stores = (ours, ours_strict, json_plus, community)
    measured = [[label, *(becomes(store, value) for store in stores)] for label, value in VALUES.items()]
    text = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("| ")]
    shown = [row for row in rows if row[0] in VALUES]
    assert shown == measured, "\n".join(f"| {' | '.join(row)} |" for row in measured)
