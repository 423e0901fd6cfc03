"""Cohere: citations are objects of its client."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from .completions import CALL
from .situation import Situation, with_tool
from .stub import Reply, document, events

pytest.importorskip("langchain_cohere")

from langchain_cohere import ChatCohere

PACKAGE = "langchain-cohere"
PATH = "/v2/chat"
USAGE = {
    "billed_units": {"input_tokens": 9, "output_tokens": 4},
    "tokens": {"input_tokens": 90, "output_tokens": 4},
}
CITED = {
    "start": 0,
    "end": 4,
    "text": "high",
    "type": "TEXT_CONTENT",
    "sources": [{"type": "document", "id": "d:0", "document": {"id": "d:0", "text": "The tide is high."}}],
}


def cohere(url: str) -> ChatCohere:
    """Make a model."""
    return ChatCohere(model="command-a-03-2025", cohere_api_key="x", base_url=url)


def answered(
    text: str = "high tide", *, thinking: str = "", citations: Sequence[Any] = (), calls: Sequence[Any] = ()
) -> dict[str, Reply]:
    """Return the answers to both call styles."""
    content = [{"type": "thinking", "thinking": thinking}] if thinking else []
    content += [{"type": "text", "text": text}] if text else []
    message: dict[str, Any] = {"role": "assistant", "content": content}
    if calls:
        message |= {"tool_calls": calls, "tool_plan": "I will look it up."}
    if citations:
        message["citations"] = citations
    finish = "TOOL_CALL" if calls else "COMPLETE"
    return {
        PATH: document({"id": "r1", "finish_reason": finish, "message": message, "usage": USAGE}),
        f"{PATH} stream": events(
            [
                {"type": "message-start", "id": "r1", "delta": {"message": {"role": "assistant", "content": []}}},
                *_parts(message),
                {"type": "message-end", "id": "r1", "delta": {"finish_reason": finish, "usage": USAGE}},
            ],
            named=True,
        ),
    }


def _parts(message: dict[str, Any]) -> list[dict[str, Any]]:
    """Cut a message into the events of a stream."""
    parts: list[dict[str, Any]] = []

    def add(kind: str, index: int, **said: Any) -> None:
        parts.append({"type": kind, "index": index, "delta": {"message": said}})

    for i, block in enumerate(message["content"]):
        key = block["type"]
        add("content-start", i, content={"type": key, key: ""})
        for part in (block[key][:3], block[key][3:]):
            add("content-delta", i, content={key: part})
        parts.append({"type": "content-end", "index": i})
    for i, citation in enumerate(message.get("citations", ())):
        add("citation-start", i, citations=citation)
        parts.append({"type": "citation-end", "index": i})
    if plan := message.get("tool_plan"):
        parts.append({"type": "tool-plan-delta", "delta": {"message": {"tool_plan": plan}}})
    for i, call in enumerate(message.get("tool_calls", ())):
        text = call["function"]["arguments"]
        add("tool-call-start", i, tool_calls={**call, "function": {**call["function"], "arguments": ""}})
        for part in (text[:4], text[4:]):
            add("tool-call-delta", i, tool_calls={"function": {"arguments": part}})
        parts.append({"type": "tool-call-end", "index": i})
    return parts


SITUATIONS = [
    Situation("text", cohere, answered()),
    Situation("thinking", cohere, answered(thinking="let me see"), goes_on=False),
    Situation("citations", cohere, answered(citations=[CITED]), comes_back="data", streamed="exact"),
    Situation(
        "documents and citations",
        cohere,
        answered(citations=[CITED]),
        comes_back="data",
        streamed="exact",
        options={"documents": [{"id": "d:0", "data": {"text": "The tide is high."}}]},
    ),
    Situation("tool call", cohere, answered("", calls=[CALL]), use=with_tool, calls_tools=True),
]
