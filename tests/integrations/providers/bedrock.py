"""Amazon Bedrock: Converse and ConverseStream. Bytes stand as bytes in the content."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from functools import cache, partial
from typing import Any

import boto3
import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.messages.content import create_image_block

from .situation import Situation, with_tool
from .stub import Reply, document, frames

pytest.importorskip("langchain_aws")

from langchain_aws import ChatBedrock, ChatBedrockConverse

PACKAGE = "langchain-aws"
MODEL = "anthropic.claude-3-7-sonnet-20250219-v1:0"
PATH = f"/model/{MODEL.replace(':', '%3A')}/converse"
PNG = b"\x89PNG\r\n\x1a\n\x00\xff"
PDF = b"%PDF-1.4\n\x00\xff"
USAGE = {
    "inputTokens": 9,
    "outputTokens": 4,
    "totalTokens": 13,
    "cacheReadInputTokens": 2,
    "cacheWriteInputTokens": 1,
}


@cache
def aws() -> boto3.Session:
    """Make one session for all models: each would load the description of the API anew, half a second."""
    return boto3.Session(aws_access_key_id="x", aws_secret_access_key="x", region_name="us-east-1")


def converse(url: str, **options: Any) -> ChatBedrockConverse:
    """Make a model."""
    runtime, control = (aws().client(name, endpoint_url=url) for name in ("bedrock-runtime", "bedrock"))
    return ChatBedrockConverse(**{"model": MODEL, "client": runtime, "bedrock_client": control, **options})


def by_converse(url: str) -> ChatBedrock:
    """Make a model of the older class, which hands over to Converse."""
    runtime, control = (aws().client(name, endpoint_url=url) for name in ("bedrock-runtime", "bedrock"))
    return ChatBedrock(model=MODEL, client=runtime, bedrock_client=control, beta_use_converse_api=True)


def answered(*content: dict[str, Any], stop: str = "end_turn", trace: Any = None) -> dict[str, Reply]:
    """Return the answers to both call styles with these blocks, and with a guardrail's trace."""
    traced = {"trace": trace} if trace else {}
    whole = {
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": stop,
        "usage": USAGE,
        "metrics": {"latencyMs": 5},
        **traced,
    }
    parts = [
        ("messageStart", {"role": "assistant"}),
        *_parts(content),
        ("messageStop", {"stopReason": stop}),
        ("metadata", {"usage": USAGE, "metrics": {"latencyMs": 5}, **traced}),
    ]
    return {PATH: document(whole), f"{PATH}-stream": frames(parts)}


def _parts(content: Sequence[dict[str, Any]]) -> Iterator[tuple[str, Any]]:
    """Cut blocks into the events of a stream."""
    for i, block in enumerate(content):
        at = {"contentBlockIndex": i}
        if call := block.get("toolUse"):
            begun = {"toolUse": {key: call[key] for key in ("toolUseId", "name")}}
            yield "contentBlockStart", {"start": begun, **at}
        for delta in _deltas(block):
            yield "contentBlockDelta", {"delta": delta, **at}
        yield "contentBlockStop", at


def _deltas(block: dict[str, Any]) -> list[dict[str, Any]]:
    if call := block.get("toolUse"):
        text = str(call["input"]).replace("'", '"')
        return [{"toolUse": {"input": part}} for part in (text[:4], text[4:])]
    if reasoning := block.get("reasoningContent"):
        thought = reasoning.get("reasoningText")
        if not thought:
            return [{"reasoningContent": reasoning}]
        return [{"reasoningContent": {key: thought[key]}} for key in ("text", "signature")]
    if cited := block.get("citationsContent"):
        return [{"text": cited["content"][0]["text"]}, *({"citation": citation} for citation in cited["citations"])]
    text = block.get("text", "")  # pictures and the like are not streamed
    return [{"text": text[:3]}, {"text": text[3:]}]


def b64(data: bytes) -> str:
    """Return bytes as JSON has them on the wire."""
    return base64.b64encode(data).decode()


TEXT = {"text": "high tide"}
REASONED = {"reasoningContent": {"reasoningText": {"text": "let me see", "signature": "c2ln"}}}
REDACTED = {"reasoningContent": {"redactedContent": b64(b"\x00\xffhidden")}}
CITED = {
    "citationsContent": {
        "content": [{"text": "The tide is high."}],
        "citations": [
            {
                "title": "Tides",
                "sourceContent": [{"text": "tide"}],
                "location": {"documentPage": {"documentIndex": 0, "start": 1, "end": 2}},
            }
        ],
    }
}
CALL = {"toolUse": {"toolUseId": "toolu_1", "name": "look_up", "input": {"word": "tide"}}}
ASSESSED = {
    "topicPolicy": {"topics": [{"name": "money", "type": "DENY", "action": "BLOCKED"}]},
    "invocationMetrics": {"guardrailProcessingLatency": 7, "usage": {"topicPolicyUnits": 1}},
}
TRACE = {
    "guardrail": {"modelOutput": ["no"], "inputAssessment": {"g1": ASSESSED}, "outputAssessments": {"g1": [ASSESSED]}}
}
PICTURE = {"image": {"format": "png", "source": {"bytes": PNG}}}
PAPER = {"document": {"format": "pdf", "name": "tides", "source": {"bytes": PDF}}}
ANSWERED_PICTURE = {"image": {"format": "png", "source": {"bytes": b64(PNG)}}}
ANSWERED_RESULT = {
    "toolResult": {
        "toolUseId": "toolu_1",
        "status": "success",
        "content": [
            {"document": {"format": "pdf", "name": "tides", "source": {"bytes": b64(PDF)}}},
            {"json": {"level": 4.5}},
        ],
    }
}


def human(*blocks: dict[str, Any]) -> tuple[HumanMessage]:
    """Ask with blocks."""
    return (HumanMessage([*blocks, {"type": "text", "text": "what is this?"}]),)


ASKED_TOOL = AIMessage("", tool_calls=[{"name": "look", "args": {}, "id": "toolu_1"}])
SEEN = ToolMessage([{"type": "image", **PICTURE}, {"type": "document", **PAPER}], tool_call_id="toolu_1")

SITUATIONS = [
    Situation("text", converse, answered(TEXT)),
    Situation("reasoning", converse, answered(REASONED, TEXT)),
    Situation("redacted reasoning", converse, answered(REDACTED, TEXT)),
    Situation("redacted reasoning, output v1", partial(converse, output_version="v1"), answered(REDACTED, TEXT)),
    Situation("redacted reasoning, by ChatBedrock", by_converse, answered(REDACTED, TEXT)),
    Situation("citations", converse, answered(CITED)),
    Situation("guardrail's trace", converse, answered(TEXT, stop="guardrail_intervened", trace=TRACE)),
    Situation("picture answered", converse, answered(ANSWERED_PICTURE, TEXT), styles=("invoke",)),
    Situation("document in a tool's result answered", converse, answered(ANSWERED_RESULT, TEXT), styles=("invoke",)),
    Situation("picture asked, Bedrock's form", converse, answered(TEXT), asked=human({"type": "image", **PICTURE})),
    Situation("picture asked, no type", converse, answered(TEXT), asked=human(PICTURE)),
    Situation("document asked", converse, answered(TEXT), asked=human({"type": "document", **PAPER})),
    Situation(
        "picture asked, standard form",
        converse,
        answered(TEXT),
        asked=human({"type": "image", "base64": b64(PNG), "mime_type": "image/png"}),
    ),
    Situation(
        "tool's result with bytes",
        converse,
        answered(TEXT),
        asked=(HumanMessage("look"), ASKED_TOOL, SEEN),
        use=with_tool,
    ),
    Situation(
        "cache points",
        converse,
        answered(TEXT),
        asked=(
            SystemMessage([{"type": "text", "text": "Be brief."}, {"cachePoint": {"type": "default"}}]),
            *human({"cachePoint": {"type": "default"}}),
        ),
    ),
    Situation(
        "tool call",
        converse,
        answered(REASONED, CALL, stop="tool_use"),
        use=with_tool,
        calls_tools=True,
    ),
    Situation(
        "block made of bytes",
        converse,
        answered(TEXT),
        asked=human(create_image_block(base64=b64(PNG), mime_type="image/png")),
    ),
]
