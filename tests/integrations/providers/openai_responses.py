"""OpenAI: the Responses API, in each `output_version`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from .completions import ANSWER
from .openai import PNG, chat
from .situation import Situation, structured, with_tool
from .stub import Reply, document, events

PACKAGE = "langchain-openai"
API = ", Responses API, each output version"
PATH = "/responses"
USAGE = {
    "input_tokens": 9,
    "output_tokens": 4,
    "total_tokens": 13,
    "input_tokens_details": {"cached_tokens": 3},
    "output_tokens_details": {"reasoning_tokens": 2},
}
HEAD = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1_790_000_000,
    "model": "gpt-5",
    "error": None,
    "incomplete_details": None,
    "instructions": None,
    "metadata": {"team": "tides"},
    "parallel_tool_calls": True,
    "temperature": 1.0,
    "tool_choice": "auto",
    "tools": [],
    "top_p": 1.0,
    "service_tier": "default",
}


def answered(*output: dict[str, Any], **more: Any) -> dict[str, Reply]:
    """Return the answers to both call styles with these items of output; `more` is what else the response has."""
    whole = {**HEAD, "status": "completed", "output": output, "usage": USAGE, **more}
    begun = {**HEAD, "status": "in_progress", "output": [], "usage": None}
    parts = [
        {"type": "response.created", "response": begun},
        *(part for i, item in enumerate(output) for part in _parts(i, item)),
        {"type": "response.completed", "response": whole},
    ]
    numbered = [{**part, "sequence_number": i} for i, part in enumerate(parts)]
    return {PATH: document(whole), f"{PATH} stream": events(numbered, named=True)}


def _parts(i: int, item: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Cut an item into the events of a stream."""
    place = {"output_index": i, "item_id": item["id"]}
    begun = {**item, "status": "in_progress"}
    kind = item["type"]
    if kind == "message":
        begun["content"] = []
    elif kind == "function_call":
        begun["arguments"] = ""
    elif kind == "reasoning":
        begun = {**item, "summary": [], "encrypted_content": None}
    yield {"type": "response.output_item.added", "output_index": i, "item": begun}
    if kind == "message":
        yield from _contents(place, item["content"])
    elif kind == "function_call":
        for text in (item["arguments"][:4], item["arguments"][4:]):
            yield {"type": "response.function_call_arguments.delta", **place, "delta": text}
    elif kind == "reasoning":
        for j, part in enumerate(item["summary"]):
            at = {**place, "summary_index": j}
            yield {"type": "response.reasoning_summary_part.added", **at, "part": {**part, "text": ""}}
            yield {"type": "response.reasoning_summary_text.delta", **at, "delta": part["text"]}
    yield {"type": "response.output_item.done", "output_index": i, "item": item}


def _contents(place: dict[str, Any], contents: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for j, content in enumerate(contents):
        at = {**place, "content_index": j}
        kind = "refusal" if content["type"] == "refusal" else "output_text"
        text = content["refusal" if kind == "refusal" else "text"]
        empty = {**content, **({"refusal": ""} if kind == "refusal" else {"text": "", "annotations": []})}
        yield {"type": "response.content_part.added", **at, "part": empty}
        for delta in (text[:3], text[3:]):
            yield {"type": f"response.{kind}.delta", **at, "delta": delta, "logprobs": []}
        for n, annotation in enumerate(content.get("annotations", ())):
            kept = {"annotation_index": n, "annotation": annotation}
            yield {"type": "response.output_text.annotation.added", **at, **kept}
        if kind == "refusal":
            yield {"type": "response.refusal.done", **at, "refusal": text}
        else:
            yield {"type": "response.output_text.done", **at, "text": text, "logprobs": []}
        yield {"type": "response.content_part.done", **at, "part": content}


def said(text: str = "high tide", *annotations: dict[str, Any]) -> dict[str, Any]:
    """Make an item of text."""
    content = {"type": "output_text", "text": text, "annotations": annotations, "logprobs": []}
    return {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [content]}


REFUSED = {**said(), "content": [{"type": "refusal", "refusal": "I cannot."}]}
THOUGHT = {
    "type": "reasoning",
    "id": "rs_1",
    "summary": [{"type": "summary_text", "text": "let me see"}, {"type": "summary_text", "text": "and again"}],
    "encrypted_content": "gAAAA",
}
CALL = {
    "type": "function_call",
    "id": "fc_1",
    "call_id": "call_1",
    "name": "look_up",
    "arguments": '{"word": "tide"}',
    "status": "completed",
}
CITED = {"type": "url_citation", "start_index": 0, "end_index": 4, "title": "Tides", "url": "https://example.org/"}
FILE_CITED = {"type": "file_citation", "index": 0, "file_id": "file-1", "filename": "tides.txt"}
SEARCHED = {
    "type": "web_search_call",
    "id": "ws_1",
    "status": "completed",
    "action": {"type": "search", "query": "tide", "sources": [{"type": "url", "url": "https://example.org/"}]},
}
FILES = {
    "type": "file_search_call",
    "id": "fs_1",
    "status": "completed",
    "queries": ["tide"],
    "results": [
        {"file_id": "file-1", "filename": "tides.txt", "score": 0.5, "text": "The tide", "attributes": {"year": 2026.0}}
    ],
}
CODE = {
    "type": "code_interpreter_call",
    "id": "ci_1",
    "status": "completed",
    "code": "2 + 2",
    "container_id": "c1",
    "outputs": [{"type": "logs", "logs": "4"}],
}
IMAGE = {"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": PNG}
MCP_TOOLS = {
    "type": "mcp_list_tools",
    "id": "mcpl_1",
    "server_label": "words",
    "tools": [{"name": "look_up", "input_schema": {"type": "object"}, "description": None, "annotations": None}],
}
MCP = {
    "type": "mcp_call",
    "id": "mcp_1",
    "name": "look_up",
    "server_label": "words",
    "arguments": '{"word": "tide"}',
    "output": "water",
    "error": None,
}
COMPUTER = {
    "type": "computer_call",
    "id": "cu_1",
    "call_id": "call_2",
    "status": "completed",
    "action": {"type": "click", "button": "left", "x": 1, "y": 2},
    "pending_safety_checks": [{"id": "sc_1", "code": "malicious", "message": "look out"}],
}
SCHEMA = {"format": {"type": "json_schema", "name": "Answer", "schema": {"type": "object"}, "strict": True}}
responses = partial(chat, model="gpt-5", use_responses_api=True)


def situations(version: str) -> Iterator[Situation]:
    """What is the same in all versions, but the form."""
    model = partial(responses, output_version=version)

    def situation(name: str, answers: dict[str, Reply], **options: Any) -> Situation:
        return Situation(f"{name}, {version}", model, answers, **options)

    yield situation("text", answered(said()))
    yield situation("reasoning", answered(THOUGHT, said()))
    yield situation("refusal", answered(REFUSED))
    yield situation("citations", answered(said("high tide", CITED, FILE_CITED)))
    yield situation("web search", answered(THOUGHT, SEARCHED, said("high tide", CITED)))
    yield situation("file search", answered(FILES, said("high tide", FILE_CITED)))
    yield situation("code interpreter", answered(CODE, said()))
    yield situation("image generation", answered(IMAGE, said()), goes_on=version != "v1")
    yield situation("remote MCP tool", answered(MCP_TOOLS, MCP, said()))
    yield situation("computer use", answered(THOUGHT, COMPUTER))
    yield situation("tool call", answered(THOUGHT, CALL), use=with_tool, calls_tools=True)
    yield situation("structured output", answered(said(ANSWER), text=SCHEMA), use=structured, comes_back="data")


SITUATIONS = [situation for version in ("v0", "responses/v1", "v1") for situation in situations(version)]
