"""Hugging Face: an inference endpoint, by its client; no model runs here."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from .completions import CALL, completions
from .situation import Situation, with_tool

pytest.importorskip("langchain_huggingface")

from langchain_huggingface import ChatHuggingFace, HuggingFaceEndpoint

PACKAGE = "langchain-huggingface"
completed = partial(completions, path="/v1/chat/completions")


def endpoint(url: str, **options: Any) -> ChatHuggingFace:
    """Make a model."""
    llm = HuggingFaceEndpoint(endpoint_url=url, huggingfacehub_api_token="x", task="text-generation")
    return ChatHuggingFace(**{"llm": llm, "model_id": "x/y", **options})


SITUATIONS = [
    Situation("text", endpoint, completed({"content": "high tide"})),
    Situation("tool call", endpoint, completed({"content": "", "tool_calls": [CALL]}), use=with_tool, calls_tools=True),
]
