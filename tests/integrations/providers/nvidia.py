"""NVIDIA's endpoints."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from .completions import CALL, completions
from .situation import Situation, with_tool

pytest.importorskip("langchain_nvidia_ai_endpoints")

from langchain_nvidia_ai_endpoints import ChatNVIDIA

PACKAGE = "langchain-nvidia-ai-endpoints"
completed = partial(completions, path="/v1/chat/completions")


def nvidia(url: str, **options: Any) -> ChatNVIDIA:
    """Make a model."""
    return ChatNVIDIA(
        **{"model": "nvidia/llama-3.3-nemotron-super-49b-v1", "api_key": "x", "base_url": f"{url}/v1", **options}
    )


SITUATIONS = [
    Situation("text", nvidia, completed({"content": "high tide"})),
    Situation("reasoning", nvidia, completed({"content": "high tide", "reasoning_content": "let me see"})),
    Situation("tool call", nvidia, completed({"content": "", "tool_calls": [CALL]}), use=with_tool, calls_tools=True),
]
