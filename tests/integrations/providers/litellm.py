"""LiteLLM: its answers hold objects of its own when they are not streamed."""

from __future__ import annotations

import os
from functools import partial
from typing import Any

import pytest

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # it would fetch the prices when it is imported

from .completions import BROKEN_CALL, CALL, USAGE, completions
from .openai import LOGPROBS, PICTURE, SEARCHED
from .situation import Situation, with_tool

pytest.importorskip("langchain_litellm")

from langchain_litellm import ChatLiteLLM

PACKAGE = "langchain-litellm"
DETAILED = {
    **USAGE,
    "prompt_tokens_details": {"cached_tokens": 3},
    "completion_tokens_details": {"reasoning_tokens": 2},
}


def litellm(url: str, **options: Any) -> ChatLiteLLM:
    """Make a model that takes the stub for OpenAI."""
    return ChatLiteLLM(**{"model": "openai/gpt-4o", "api_key": "x", "api_base": url, "max_retries": 0, **options})


in_parts = partial(Situation, model=litellm, comes_back="data", streamed="exact")

SITUATIONS = [
    in_parts("text", answers=completions({"content": "high tide"})),
    in_parts("text, detailed usage", answers=completions({"content": "high tide"}, usage=DETAILED)),
    in_parts("reasoning", answers=completions({"content": "high tide", "reasoning_content": "let me see"})),
    in_parts("logprobs", answers=completions({"content": "hi"}, choice={"logprobs": LOGPROBS})),
    in_parts("web search", answers=completions({"content": "high", "annotations": [SEARCHED]})),
    in_parts("picture asked", answers=completions({"content": "a tide"}), asked=(PICTURE,)),
    in_parts(
        "tool calls, one broken",
        answers=completions({"content": None, "tool_calls": [CALL, BROKEN_CALL]}),
        use=with_tool,
        calls_tools=True,
    ),
]
