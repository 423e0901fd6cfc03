"""XAI: Chat Completions with its own fields beside them."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from .completions import ANSWER, CALL, USAGE, completions
from .openai import LOGPROBS
from .situation import Situation, structured, with_tool

pytest.importorskip("langchain_xai")

from langchain_xai import ChatXAI

PACKAGE = "langchain-xai"
REASONED = {**USAGE, "completion_tokens_details": {"reasoning_tokens": 2}, "num_sources_used": 1}


def grok(url: str, **options: Any) -> ChatXAI:
    """Make a model."""
    return ChatXAI(**{"model": "grok-4", "api_key": "x", "base_url": url, "max_retries": 0, **options})


SITUATIONS = [
    Situation(
        "reasoning and citations",
        grok,
        completions(
            {"content": "high tide", "reasoning_content": "let me see"},
            usage=REASONED,
            citations=["https://example.org/"],
        ),
    ),
    Situation("logprobs", partial(grok, logprobs=True), completions({"content": "hi"}, choice={"logprobs": LOGPROBS})),
    Situation("tool call", grok, completions({"content": "", "tool_calls": [CALL]}), use=with_tool, calls_tools=True),
    Situation(
        "structured output, strict schema",
        grok,
        completions({"content": ANSWER}),
        use=partial(structured, method="json_schema"),
        comes_back="data",
    ),
]
