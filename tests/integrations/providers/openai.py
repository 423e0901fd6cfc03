"""OpenAI: Chat Completions."""

from __future__ import annotations

import base64
from functools import partial
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from .completions import ANSWER, BROKEN_CALL, CALL, NAN_CALL, completions
from .situation import Situation, structured, with_tool

pytest.importorskip("langchain_openai")

from langchain_openai import AzureChatOpenAI, ChatOpenAI

PACKAGE = "langchain-openai"
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n").decode()
TOKEN = {"token": "hi", "logprob": -0.25, "bytes": [104, 105]}
LOGPROBS = {"content": [{**TOKEN, "top_logprobs": [TOKEN]}], "refusal": None}
DETAILED = {
    "prompt_tokens": 9,
    "completion_tokens": 4,
    "total_tokens": 13,
    "prompt_tokens_details": {"cached_tokens": 3, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 2, "accepted_prediction_tokens": 0},
}
AUDIO = {"id": "audio_1", "data": base64.b64encode(bytes(range(16))).decode(), "transcript": "hi", "expires_at": 1}
SEARCHED = {
    "type": "url_citation",
    "url_citation": {"start_index": 0, "end_index": 2, "title": "t", "url": "https://x"},
}
PICTURE = HumanMessage(
    [
        {"type": "text", "text": "what is this?"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
        {"type": "image", "base64": PNG, "mime_type": "image/png"},
    ]
)


def chat(url: str, **options: Any) -> ChatOpenAI:
    """Make a model of Chat Completions."""
    return ChatOpenAI(**{"model": "gpt-4o", "api_key": "x", "base_url": url, "max_retries": 0, **options})


def azure(url: str) -> AzureChatOpenAI:
    """Make a model of Azure's."""
    return AzureChatOpenAI(
        azure_endpoint=url, azure_deployment="d", api_version="2025-01-01", api_key="x", max_retries=0
    )


by_tool = partial(structured, method="function_calling")
by_json = partial(structured, method="json_mode")
ANSWER_CALL = {"id": "call_4", "type": "function", "function": {"name": "Answer", "arguments": ANSWER}}
AZURE = "/openai/deployments/d/chat/completions"
FILTERED = {"content_filter_results": {"hate": {"filtered": False, "severity": "safe"}}}

SITUATIONS = [
    Situation("text", chat, completions({"content": "high tide", "refusal": None}, usage=DETAILED)),
    Situation("output v1", partial(chat, output_version="v1"), completions({"content": "high tide"})),
    Situation(
        "structured output, strict schema", chat, completions({"content": ANSWER}), comes_back="data", use=structured
    ),
    Situation("structured output, tool", chat, completions({"tool_calls": [ANSWER_CALL]}), use=by_tool),
    Situation("structured output, JSON", chat, completions({"content": ANSWER}), use=by_json),
    Situation(
        "structured output refused",
        chat,
        completions({"content": None, "refusal": "I cannot."}),
        use=partial(structured, strict=True),
        styles=("invoke",),  # streamed, it raises
    ),
    Situation("refusal", chat, completions({"content": None, "refusal": "I cannot."})),
    Situation("logprobs", partial(chat, logprobs=True), completions({"content": "hi"}, choice={"logprobs": LOGPROBS})),
    Situation(
        "tool calls, one broken",
        chat,
        completions({"content": None, "tool_calls": [CALL, BROKEN_CALL]}),
        use=with_tool,
        calls_tools=True,
    ),
    Situation(
        "tool call with NaN",
        chat,
        completions({"content": None, "tool_calls": [NAN_CALL]}),
        use=with_tool,
        calls_tools=True,
    ),
    Situation(
        "audio",
        partial(chat, model="gpt-4o-audio-preview", model_kwargs={"modalities": ["text", "audio"]}),
        completions({"content": None, "audio": AUDIO}),
        styles=("invoke",),
    ),
    Situation("web search", chat, completions({"content": "high", "annotations": [SEARCHED]})),
    Situation("picture asked", chat, completions({"content": "a tide"}), asked=(PICTURE,)),
    Situation("Azure, content filter", azure, completions({"content": "hi"}, choice=FILTERED, path=AZURE)),
]
