"""What others make of the values in messages: the table of docs/values.md, row by row."""

from __future__ import annotations

import uuid
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.documents import Document
from langchain_core.messages import BaseMessage, ToolMessage

pytest.importorskip("langgraph.checkpoint.serde.jsonplus", reason="the extra langchain is not installed")

from artifacts import ARTIFACTS
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from community_support import Theirs
from langchain_dynamodb.codec.messages import decode_line, encode_message
from langchain_dynamodb.codec.registry import OBJECTS
from langchain_dynamodb.errors import UnsupportedMessageError
from values_support import looks

if TYPE_CHECKING:
    from conftest import TestEngine

PAGE = Path(__file__).parents[2] / "docs" / "values.md"


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
    if equal:
        return f"equal {kind}"
    return "changed" if type(found) is type(value) else kind


@pytest.mark.once
def test_the_table_is_what_is_measured(monkeypatch: pytest.MonkeyPatch, engine: TestEngine, table_name: str) -> None:
    """Each cell, by the versions at hand; no class is registered."""

    def community(message: BaseMessage) -> BaseMessage:
        history = Theirs(table_name, str(uuid.uuid4()), engine.endpoint_url, coerce_float_to_decimal=True)
        history.add_messages([message])
        found: BaseMessage = history.messages[0]
        return found

    document = OBJECTS.by_class[Document]
    monkeypatch.setattr(OBJECTS, "by_name", {"Document": document})
    monkeypatch.setattr(OBJECTS, "by_class", {Document: document})
    stores = (ours, ours_strict, json_plus, community)
    measured = [[kind.name, *(becomes(store, kind.make()) for store in stores)] for kind in ARTIFACTS]
    text = PAGE.read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("| ")]
    shown = [row for row in rows if len(row) == 5 and row[0] not in ("value", "---")]
    assert shown == measured, "\n".join(f"| {' | '.join(row)} |" for row in measured)
