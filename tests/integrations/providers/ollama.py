"""Ollama: log probabilities are objects of its client."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from .situation import Situation, structured, with_tool
from .stub import Reply, lines

pytest.importorskip("langchain_ollama")

from langchain_ollama import ChatOllama

PACKAGE = "langchain-ollama"
NUMBERS = {
    "total_duration": 5_000_000_000,
    "load_duration": 1,
    "prompt_eval_count": 9,
    "prompt_eval_duration": 2,
    "eval_count": 4,
    "eval_duration": 3,
}


def ollama(url: str, **options: Any) -> ChatOllama:
    """Make a model."""
    return ChatOllama(**{"model": "qwen3", "base_url": url, **options})


def answered(*parts: dict[str, Any], logprobs: bool = False) -> dict[str, Reply]:
    """Return the answer, which is always streamed: messages one after the other, with the log probability of each."""
    head = {"model": "qwen3", "created_at": "2026-11-01T00:00:00.000000001Z"}
    token = {"token": "hi", "logprob": -0.5}
    sure = {"logprobs": [{**token, "top_logprobs": [token, {"token": "ho", "logprob": -2.5}]}]} if logprobs else {}
    said = [{**head, "message": {"role": "assistant", "content": "", **part}, "done": False, **sure} for part in parts]
    last = {**head, "message": {"role": "assistant", "content": ""}, "done": True, "done_reason": "stop", **NUMBERS}
    return {"/api/chat stream": lines([*said, last])}


WORDS = ({"content": "high "}, {"content": "tide"})
CALL = {"tool_calls": [{"function": {"name": "look_up", "arguments": {"word": "tide", "depth": 1.5}}}]}

SITUATIONS = [
    Situation("text", ollama, answered(*WORDS)),
    Situation("thinking", partial(ollama, reasoning=True), answered({"thinking": "let me see"}, *WORDS)),
    Situation("logprobs", partial(ollama, logprobs=True), answered(*WORDS, logprobs=True), comes_back="data"),
    Situation("tool call", ollama, answered(CALL), use=with_tool, calls_tools=True),
    Situation(
        "structured output, schema",
        ollama,
        answered({"content": '{"answer": '}, {"content": '"high"}'}),
        use=structured,
    ),
]
