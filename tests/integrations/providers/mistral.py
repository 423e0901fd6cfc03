"""Mistral AI."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from .completions import ANSWER, BROKEN_CALL, CALL, completions
from .situation import Situation, structured, with_tool

pytest.importorskip("langchain_mistralai")

from langchain_mistralai import ChatMistralAI

PACKAGE = "langchain-mistralai"
THOUGHT = {"type": "thinking", "thinking": [{"type": "text", "text": "let me see"}]}
TEXT = {"type": "text", "text": "high tide"}
REFERENCE = {"type": "reference", "reference_ids": [1, 2]}


def mistral(url: str, **options: Any) -> ChatMistralAI:
    """Make a model."""
    return ChatMistralAI(**{"model": "magistral-medium", "api_key": "x", "base_url": url, "max_retries": 1, **options})


def in_parts(*content: dict[str, Any]) -> dict[str, Any]:
    """Answer with blocks, streamed one by one."""
    return completions({"content": content}, deltas=[{"role": "assistant", "content": [part]} for part in content])


SITUATIONS = [
    Situation("text", mistral, completions({"content": "high tide"})),
    Situation("thinking", mistral, in_parts(THOUGHT, TEXT)),
    Situation("thinking, output v1", partial(mistral, output_version="v1"), in_parts(THOUGHT, TEXT)),
    Situation("references", mistral, in_parts(TEXT, REFERENCE)),
    Situation(
        "tool calls, one broken",
        mistral,
        completions({"content": "", "tool_calls": [CALL, BROKEN_CALL]}),
        use=with_tool,
        calls_tools=True,
    ),
    Situation(
        "structured output, schema",
        mistral,
        completions({"content": ANSWER}),
        use=partial(structured, method="json_schema"),
    ),
]
