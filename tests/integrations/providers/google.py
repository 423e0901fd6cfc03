"""Google's Gemini: audio and some grounding are bytes, categories and languages are enums of text."""

from __future__ import annotations

import base64
from functools import partial
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from .completions import ANSWER
from .situation import Situation, structured, with_tool
from .stub import Reply, document, events

pytest.importorskip("langchain_google_genai")

from langchain_google_genai import ChatGoogleGenerativeAI

PACKAGE = "langchain-google-genai"
USAGE = {
    "promptTokenCount": 9,
    "candidatesTokenCount": 4,
    "thoughtsTokenCount": 2,
    "totalTokenCount": 15,
    "cachedContentTokenCount": 3,
}


def gemini(url: str, model: str = "gemini-2.5-flash", **options: Any) -> ChatGoogleGenerativeAI:
    """Make a model."""
    return ChatGoogleGenerativeAI(**{"model": model, "api_key": "x", "base_url": url, "max_retries": 0, **options})


def answered(*parts: dict[str, Any], model: str = "gemini-2.5-flash", **more: Any) -> dict[str, Reply]:
    """Return the answers to both call styles with these parts, each in a chunk of its own; `more`: the candidate's."""
    head = {"modelVersion": model, "responseId": "r1"}
    end = {"finishReason": "STOP", "index": 0, **more}

    def candidate(*parts: dict[str, Any], **last: Any) -> dict[str, Any]:
        return {"candidates": [{"content": {"role": "model", "parts": parts}, **last}], "usageMetadata": USAGE, **head}

    return _paths(
        model,
        document(candidate(*parts, **end)),
        events([*(candidate(part) for part in parts[:-1]), candidate(*parts[-1:], **end)]),
    )


def blocked() -> dict[str, Reply]:
    """Return the answers to a question that is refused."""
    feedback = {"blockReason": "SAFETY", "safetyRatings": [RATED]}
    refused = {"promptFeedback": feedback, "usageMetadata": USAGE, "modelVersion": "gemini-2.5-flash"}
    return _paths("gemini-2.5-flash", document(refused), events([refused]))


def _paths(model: str, whole: Reply, streamed: Reply) -> dict[str, Reply]:
    path = f"/v1/models/{model}"
    return {f"{path}:generateContent": whole, f"{path}:streamGenerateContent": streamed}


def b64(data: bytes) -> str:
    """Return bytes as JSON has them on the wire."""
    return base64.b64encode(data).decode()


RATED = {"category": "HARM_CATEGORY_HATE_SPEECH", "probability": "NEGLIGIBLE", "probabilityScore": 0.125}
SIGNED = {"thoughtSignature": b64(b"signed" * 4)}
WORDS = ({"text": "high "}, {"text": "tide"})
THOUGHT = {"text": "let me see", "thought": True}
CALL = {"functionCall": {"id": "call_1", "name": "look_up", "args": {"word": "tide", "depth": 1.5}}, **SIGNED}
CODE = {"executableCode": {"language": "PYTHON", "code": "print(2 + 2)"}}
RAN = {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "4"}}
PICTURE = {"inlineData": {"mimeType": "image/png", "data": b64(b"\x89PNG\r\n\x1a\n")}}
SOUND = {"inlineData": {"mimeType": "audio/L16;codec=pcm;rate=24000", "data": b64(b"\0\1" * 10)}}
GROUNDED = {
    "webSearchQueries": ["tide"],
    "searchEntryPoint": {"renderedContent": "<b>tide</b>", "sdkBlob": b64(b"\x00\xffblob")},
    "groundingChunks": [{"web": {"uri": "https://example.org/", "title": "Tides"}}],
    "groundingSupports": [
        {
            "segment": {"startIndex": 0, "endIndex": 4, "text": "high"},
            "groundingChunkIndices": [0],
            "confidenceScores": [],
        }
    ],
}
MEDIA = HumanMessage(
    [
        {"type": "text", "text": "what is this?"},
        {"type": "media", "mime_type": "image/png", "data": b"\x89PNG\r\n\x1a\n\x00\xff"},
    ]
)

SITUATIONS = [
    Situation("text", gemini, answered(*WORDS)),
    Situation("safety ratings", gemini, answered(*WORDS, safetyRatings=[RATED])),
    Situation("question refused", gemini, blocked()),
    Situation("thoughts", partial(gemini, include_thoughts=True), answered(THOUGHT, {**WORDS[1], **SIGNED})),
    Situation(
        "thought signatures, Gemini 3",
        partial(gemini, model="gemini-3-pro-preview"),
        answered(WORDS[0], {**WORDS[1], **SIGNED}, model="gemini-3-pro-preview"),
    ),
    Situation("output v1", partial(gemini, output_version="v1"), answered({**WORDS[0], **SIGNED})),
    Situation("signed tool call", gemini, answered(CALL), use=with_tool, calls_tools=True),
    Situation("code execution", gemini, answered(CODE, RAN, *WORDS)),
    Situation("picture answered", gemini, answered(WORDS[0], PICTURE)),
    Situation(
        "speech",
        partial(gemini, model="gemini-2.5-flash-preview-tts"),
        answered(SOUND, model="gemini-2.5-flash-preview-tts"),
    ),
    Situation("grounding", gemini, answered(*WORDS, groundingMetadata=GROUNDED)),
    Situation("media asked, bytes", gemini, answered(*WORDS), asked=(MEDIA,)),
    Situation("structured output, schema", gemini, answered({"text": ANSWER}), use=structured),
]
