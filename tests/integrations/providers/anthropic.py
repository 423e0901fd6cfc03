"""Anthropic: the Messages API."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from .situation import Situation, structured, with_tool
from .stub import Reply, document, events

pytest.importorskip("langchain_anthropic")

from langchain_anthropic import ChatAnthropic

PACKAGE = "langchain-anthropic"
PATH = "/v1/messages"
SIGNATURE = base64.b64encode(b"signed" * 8).decode()
OPENED = {"text": "text", "thinking": "thinking", "compaction": "content"}  # what deltas fill, by a block's type
CACHED = {
    "input_tokens": 9,
    "output_tokens": 4,
    "cache_creation_input_tokens": 2,
    "cache_read_input_tokens": 3,
    "cache_creation": {"ephemeral_5m_input_tokens": 2, "ephemeral_1h_input_tokens": 0},
    "server_tool_use": {"web_search_requests": 1, "web_fetch_requests": 0},
    "service_tier": "standard",
}


def claude(url: str, **options: Any) -> ChatAnthropic:
    """Make a model."""
    return ChatAnthropic(**{"model": "claude-sonnet-4-5", "api_key": "x", "base_url": url, "max_retries": 0, **options})


def answered(*content: dict[str, Any], stop: str = "end_turn", **more: Any) -> dict[str, Reply]:
    """Return the answers to both call styles with these blocks; `more` is what else the message has."""
    usage = {"input_tokens": 9, "output_tokens": 4}
    head = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5"}
    end = {"stop_reason": stop, "stop_sequence": None, **more}
    begun = {**head, "content": [], "stop_reason": None, "stop_sequence": None, "usage": usage}
    parts = [
        {"type": "message_start", "message": begun},
        *_parts(content),
        {"type": "message_delta", "delta": end, "usage": CACHED},
        {"type": "message_stop"},
    ]
    return {
        PATH: document({**head, "content": content, "usage": CACHED, **end}),
        f"{PATH} stream": events(parts, named=True),
    }


def _parts(content: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Cut blocks into the events of a stream."""
    for i, block in enumerate(content):
        kind, deltas = block["type"], []
        begun = dict(block)
        if kind == "text":
            deltas = [{"type": "citations_delta", "citation": citation} for citation in block.get("citations") or ()]
            deltas += [{"type": "text_delta", "text": text} for text in (block["text"][:3], block["text"][3:])]
            begun = {"type": kind, "text": "", **({"citations": []} if "citations" in block else {})}
        elif kind == "thinking":
            deltas = [{"type": "thinking_delta", "thinking": text} for text in (block[kind][:3], block[kind][3:])]
            deltas.append({"type": "signature_delta", "signature": block["signature"]})
            begun = {"type": kind, "thinking": "", "signature": ""}
        elif kind in ("tool_use", "server_tool_use", "mcp_tool_use"):
            text = str(block["input"]).replace("'", '"')
            deltas = [{"type": "input_json_delta", "partial_json": part} for part in (text[:4], text[4:])]
            begun = {**block, "input": {}}
        yield {"type": "content_block_start", "index": i, "content_block": begun}
        for delta in deltas:
            yield {"type": "content_block_delta", "index": i, "delta": delta}
        yield {"type": "content_block_stop", "index": i}


def text(words: str = "high tide", **more: Any) -> dict[str, Any]:
    """Make a block of text."""
    return {"type": "text", "text": words, **more}


def used(kind: str, name: str, **given: Any) -> dict[str, Any]:
    """Make the block of a call."""
    return {"type": kind, "id": "toolu_1", "name": name, "input": given}


def result(kind: str, content: Any) -> dict[str, Any]:
    """Make the block of what a server's tool gave."""
    return {"type": kind, "tool_use_id": "toolu_1", "content": content}


THINKING = {"type": "thinking", "thinking": "let me see", "signature": SIGNATURE}
REDACTED = {"type": "redacted_thinking", "data": SIGNATURE}
CITED = [
    {
        "type": "char_location",
        "cited_text": "The tide",
        "document_index": 0,
        "document_title": None,
        "file_id": None,
        "start_char_index": 0,
        "end_char_index": 8,
    },
    {
        "type": "web_search_result_location",
        "cited_text": "The tide",
        "url": "https://example.org/",
        "title": "Tides",
        "encrypted_index": SIGNATURE,
    },
]
FOUND = {
    "type": "web_search_result",
    "url": "https://example.org/",
    "title": "Tides",
    "encrypted_content": SIGNATURE,
    "page_age": "1 May 2026",
}
RAN = {"type": "code_execution_result", "stdout": "4\n", "stderr": "", "return_code": 0, "content": []}
FETCHED = {
    "type": "web_fetch_result",
    "url": "https://example.org/",
    "retrieved_at": "2026-11-01T00:00:00Z",
    "content": {
        "type": "document",
        "source": {"type": "text", "media_type": "text/plain", "data": "The tide"},
        "title": "Tides",
        "citations": {"enabled": True},
    },
}
DOCUMENTS = HumanMessage(
    [
        {
            "type": "document",
            "source": {"type": "text", "media_type": "text/plain", "data": "The tide is high."},
            "citations": {"enabled": True},
            "cache_control": {"type": "ephemeral"},
        },
        {"type": "file", "base64": base64.b64encode(b"%PDF-1.4").decode(), "mime_type": "application/pdf"},
        {"type": "text", "text": "what about it?"},
    ]
)
REFUSED = {"type": "refusal", "category": "cyber", "explanation": "no"}

SITUATIONS = [
    Situation("text", claude, answered(text())),
    Situation("output v1", partial(claude, output_version="v1"), answered(THINKING, text())),
    Situation("thinking", claude, answered(THINKING, text())),
    Situation("redacted thinking", claude, answered(REDACTED, text())),
    Situation("citations", claude, answered(text(citations=CITED), text())),
    Situation("documents asked", claude, answered(text()), asked=(DOCUMENTS,)),
    Situation(
        "web search",
        claude,
        answered(
            used("server_tool_use", "web_search", query="tide"), result("web_search_tool_result", [FOUND]), text()
        ),
    ),
    Situation(
        "web fetch",
        claude,
        answered(used("server_tool_use", "web_fetch", url="u"), result("web_fetch_tool_result", FETCHED), text()),
    ),
    Situation(
        "code execution in a container",
        claude,
        answered(
            used("server_tool_use", "code_execution", code="2+2"),
            result("code_execution_tool_result", RAN),
            text(),
            container={"id": "container_1", "expires_at": "2026-11-01T00:00:00Z"},
        ),
    ),
    Situation(
        "remote MCP tool",
        claude,
        answered(
            {**used("mcp_tool_use", "look_up", word="tide"), "server_name": "words"},
            {**result("mcp_tool_result", [text()]), "is_error": False},
            text(),
        ),
    ),
    Situation(
        "tool call",
        claude,
        answered(THINKING, used("tool_use", "look_up", word="tide"), stop="tool_use"),
        use=with_tool,
        calls_tools=True,
    ),
    Situation(
        "structured output, tool",
        claude,
        answered(used("tool_use", "Answer", answer="high"), stop="tool_use"),
        use=structured,
    ),
    Situation(
        "structured output, schema",
        claude,
        answered(text('{"answer": "high tide"}')),
        use=partial(structured, method="json_schema"),
    ),
    Situation("refusal", claude, answered(text(""), stop="refusal", stop_details=REFUSED)),
]
