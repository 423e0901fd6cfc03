"""OpenRouter."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from .completions import ANSWER, CALL, USAGE, completions
from .situation import Situation, structured, with_tool

pytest.importorskip("langchain_openrouter")

from langchain_openrouter import ChatOpenRouter

PACKAGE = "langchain-openrouter"
completed = partial(completions, system_fingerprint=None)
PAID = {**USAGE, "cost": 0.0001, "cost_details": {"upstream_inference_cost": None}}
DETAILS = [
    {"type": "reasoning.text", "text": "let me see", "signature": "c2ln", "format": "anthropic-claude-v1", "index": 0}
]


def openrouter(url: str, **options: Any) -> ChatOpenRouter:
    """Make a model."""
    return ChatOpenRouter(**{"model": "x/y", "api_key": "x", "base_url": url, "max_retries": 0, **options})


SITUATIONS = [
    Situation("text, with its cost", openrouter, completed({"content": "high tide"}, usage=PAID, provider="Z")),
    Situation(
        "reasoning",
        openrouter,
        completed({"content": "high tide", "reasoning": "let me see", "reasoning_details": DETAILS}),
    ),
    Situation(
        "tool call", openrouter, completed({"content": "", "tool_calls": [CALL]}), use=with_tool, calls_tools=True
    ),
    Situation(
        "structured output, schema",
        openrouter,
        completed({"content": ANSWER}),
        use=partial(structured, method="json_schema"),
    ),
]
