"""DeepSeek: Chat Completions with reasoning beside the text."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from .completions import ANSWER, CALL, USAGE, completions
from .situation import Situation, structured, with_tool

pytest.importorskip("langchain_deepseek")

from langchain_deepseek import ChatDeepSeek

PACKAGE = "langchain-deepseek"
CACHED = {**USAGE, "prompt_cache_hit_tokens": 3, "prompt_cache_miss_tokens": 6}


def deepseek(url: str, **options: Any) -> ChatDeepSeek:
    """Make a model."""
    return ChatDeepSeek(**{"model": "deepseek-reasoner", "api_key": "x", "base_url": url, "max_retries": 0, **options})


SITUATIONS = [
    Situation(
        "reasoning", deepseek, completions({"content": "high tide", "reasoning_content": "let me see"}, usage=CACHED)
    ),
    Situation(
        "tool call", deepseek, completions({"content": "", "tool_calls": [CALL]}), use=with_tool, calls_tools=True
    ),
    Situation(
        "structured output, JSON",
        deepseek,
        completions({"content": ANSWER}),
        use=partial(structured, method="json_mode"),
    ),
]
