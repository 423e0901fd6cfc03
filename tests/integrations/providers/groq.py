"""Groq: the tools that it runs itself stand beside the message."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from .completions import ANSWER, CALL, USAGE, completions
from .situation import Situation, structured, with_tool

pytest.importorskip("langchain_groq")

from langchain_groq import ChatGroq

PACKAGE = "langchain-groq"
TIMED = {**USAGE, "queue_time": 0.125, "prompt_time": 0.001, "completion_time": 0.25, "total_time": 0.251}
RAN = {
    "index": 0,
    "type": "search",
    "arguments": '{"query": "tide"}',
    "output": "The tide is high.",
    "search_results": {"results": [{"title": "Tides", "url": "https://example.org/", "content": "tide", "score": 0.5}]},
}
completed = partial(completions, path="/openai/v1/chat/completions", x_groq={"id": "req_1", "usage": TIMED})


def groq(url: str, **options: Any) -> ChatGroq:
    """Make a model."""
    return ChatGroq(**{"model": "openai/gpt-oss-20b", "api_key": "x", "base_url": url, "max_retries": 0, **options})


SITUATIONS = [
    Situation("text", groq, completed({"content": "high tide"}, usage=TIMED)),
    Situation("reasoning", groq, completed({"content": "high tide", "reasoning": "let me see"})),
    Situation(
        "its own tools", partial(groq, model="groq/compound"), completed({"content": "high", "executed_tools": [RAN]})
    ),
    Situation("tool call", groq, completed({"content": "", "tool_calls": [CALL]}), use=with_tool, calls_tools=True),
    Situation(
        "structured output, schema",
        groq,
        completed({"content": ANSWER}),
        use=partial(structured, method="json_schema"),
    ),
]
