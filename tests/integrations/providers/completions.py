"""Answers in the form of OpenAI's Chat Completions, which many providers share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .stub import Reply, document, events

PATH = "/chat/completions"
USAGE = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}
CALL = {"id": "call_1", "type": "function", "function": {"name": "look_up", "arguments": '{"word": "tide"}'}}
BROKEN_CALL = {"id": "call_2", "type": "function", "function": {"name": "look_up", "arguments": '{"word": "ti'}}
NAN_CALL = {"id": "call_3", "type": "function", "function": {"name": "look_up", "arguments": '{"word": NaN}'}}
ANSWER = '{"answer": "high tide"}'  # what structured output is made of


def completions(
    message: Mapping[str, Any],
    *,
    choice: Mapping[str, Any] | None = None,
    deltas: Sequence[Mapping[str, Any]] | None = None,
    usage: Mapping[str, Any] = USAGE,
    path: str = PATH,
    **more: Any,
) -> dict[str, Reply]:
    """Return the answers to both call styles: a message, and the same in two chunks or in `deltas`.

    `choice` is what else the choice has, `more` what else the whole has; streamed, both are in the last chunk.
    """
    calls = message.get("tool_calls")
    finish = "tool_calls" if calls else "stop"
    head = {"id": "chatcmpl-1", "created": 1_790_000_000, "model": "model-1"}
    whole = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", **message}, **(choice or {})}
    if deltas is None:
        deltas = _halves(message)
    chunked: list[dict[str, Any]] = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    chunked.append({"index": 0, "delta": {}, "finish_reason": finish, **(choice or {})})
    parts = [{**head, "object": "chat.completion.chunk", "choices": [part]} for part in chunked]
    parts[-1].update(more)
    parts.append({**head, "object": "chat.completion.chunk", "choices": [], "usage": usage, **more})
    return {
        path: document({**head, "object": "chat.completion", "choices": [whole], "usage": usage, **more}),
        f"{path} stream": events(parts, end="[DONE]"),
    }


def _halves(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Cut the text and the arguments of calls in two."""
    text = message.get("content")
    first: dict[str, Any] = {"role": "assistant", **message}
    second: dict[str, Any] = {}
    if isinstance(text, str):
        first["content"], second["content"] = text[:3], text[3:]
    if calls := message.get("tool_calls"):
        cut = [(call, call["function"]["arguments"]) for call in calls]
        first["tool_calls"] = [
            {**call, "index": i, "function": {**call["function"], "arguments": text[:4]}}
            for i, (call, text) in enumerate(cut)
        ]
        second["tool_calls"] = [{"index": i, "function": {"arguments": text[4:]}} for i, (_, text) in enumerate(cut)]
    return [first, second]
