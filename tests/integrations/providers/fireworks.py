"""Fireworks."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from .completions import ANSWER, CALL, completions
from .situation import Situation, structured, with_tool

pytest.importorskip("langchain_fireworks")

from langchain_fireworks import ChatFireworks

PACKAGE = "langchain-fireworks"
completed = partial(completions, path="/v1/chat/completions")
LOGPROBS = {
    "tokens": ["hi"],
    "token_logprobs": [-0.25],
    "top_logprobs": [{"hi": -0.25, "ho": -2.5}],
    "text_offset": [0],
}


def fireworks(url: str, **options: Any) -> ChatFireworks:
    """Make a model."""
    return ChatFireworks(
        **{"model": "accounts/x/models/kimi", "api_key": "x", "base_url": url, "max_retries": 0, **options}
    )


SITUATIONS = [
    Situation("text", fireworks, completed({"content": "high tide"}, service_tier="default")),
    Situation("reasoning", fireworks, completed({"content": "high tide", "reasoning_content": "let me see"})),
    Situation("logprobs", fireworks, completed({"content": "hi"}, choice={"logprobs": LOGPROBS})),
    Situation(
        "tool call", fireworks, completed({"content": "", "tool_calls": [CALL]}), use=with_tool, calls_tools=True
    ),
    Situation(
        "structured output, schema",
        fireworks,
        completed({"content": ANSWER}),
        use=partial(structured, method="json_schema"),
    ),
]
