"""Synthetic chat turns in the shapes that model providers give, for measurements.

The metadata has the keys and kinds of values of the real thing; identifiers and numbers are random. The text is made of
invented words, drawn with the frequencies of English ones, so that it deflates about as well as English and the preset
dictionary cannot know it.
"""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage, messages_to_dict

_ALNUM = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_COMMON = (
    "the of and to in a is that for it you with on as are be this or by from at can not we your if an will have "
    "which was has more but when use one they how all what their so time up also than its then other would only"
)
_ONSETS = "b c ch cl d dr f fl g gr h j l m n p pl pr qu r s sh sl st t th tr v w"
_NUCLEI = "a e i o u ai ea io ou er or an en in on"
_CODAS = ["", "", "", "l", "m", "n", "nd", "r", "s", "st", "t", "ve", "ck", "ted", "ing", "ly"]


def _invented_words(count: int) -> list[str]:
    """Return words in the order of their frequency, always the same."""
    rng = random.Random("words")
    words: dict[str, None] = dict.fromkeys(_COMMON.split())
    onsets, nuclei = _ONSETS.split(), _NUCLEI.split()
    while len(words) < count:
        syllables = [rng.choice(onsets) + rng.choice(nuclei) for _ in range(rng.choice((1, 1, 2, 2, 3)))]
        words["".join(syllables) + rng.choice(_CODAS)] = None
    return list(words)


_WORDS = _invented_words(4000)
_WEIGHTS = list(accumulate((rank + 3) ** -1.2 for rank in range(len(_WORDS))))  # cumulative


def text(rng: random.Random, chars: int) -> str:
    """Return prose of exactly `chars` characters."""
    parts: list[str] = []
    length = 0
    while length < chars:
        words = rng.choices(_WORDS, cum_weights=_WEIGHTS, k=rng.randint(5, 18))
        if rng.random() < 0.2:
            words.insert(rng.randrange(len(words)), str(rng.randint(2, 2500)))
        if rng.random() < 0.4:
            words[len(words) // 2] += ","
        sentence = " ".join(words).capitalize() + rng.choice((". ", ". ", ". ", "? ", ".\n\n", ":\n- "))
        parts.append(sentence)
        length += len(sentence)
    return "".join(parts)[:chars]


def turn(rng: random.Random, chars: int = 1200) -> list[BaseMessage]:
    """Return one turn: a question and its answer, in one case of sixteen with a tool call in between.

    The text fills the turn up to `chars` bytes of compact JSON (`compact_json`). A turn whose metadata alone needs
    more, as with a tool call or a small `chars`, still gets some text and is larger.
    """
    answer = rng.choices([_openai, _anthropic, _bedrock, _openai_responses, _google], [40, 25, 20, 10, 5])[0]
    calls_tool = rng.random() < 1 / 16
    state = rng.getstate()
    bare = len(compact_json(_turn(rng, answer, calls_tool, 0, 0)))
    rng.setstate(state)
    room = max(160, chars - bare)
    asked = rng.randint(30, max(31, room // 3))
    return _turn(rng, answer, calls_tool, asked, room - asked)


def short_turn(rng: random.Random) -> list[BaseMessage]:
    """Return a turn of one or two sentences each, with the metadata of a streamed answer: about 900 bytes of JSON."""
    asked, written = rng.randint(20, 4000), rng.randint(5, 80)
    answer = AIMessage(
        text(rng, rng.randint(30, 120)),
        response_metadata={
            "finish_reason": "stop",
            "model_name": rng.choice(("gpt-4o-mini-2024-07-18", "gpt-4.1-2025-04-14")),
            "model_provider": "openai",
        },
        id=f"lc_run--{_uuid(rng)}",
        usage_metadata={
            "input_tokens": asked,
            "output_tokens": written,
            "total_tokens": asked + written,
            "input_token_details": {"audio": 0, "cache_read": 0},
            "output_token_details": {"audio": 0, "reasoning": 0},
        },
    )
    return [HumanMessage(text(rng, rng.randint(20, 90))), answer]


TURNS: dict[str, Callable[[random.Random], list[BaseMessage]]] = {
    "short": short_turn,
    "1.2 KB": turn,
    "6 KB": lambda rng: turn(rng, 6000),
}
"""The kinds of turns that conversations are made of."""


def conversation(kind: str, turns: int, seed: int = 7) -> Iterator[list[BaseMessage]]:
    """Yield the turns of a conversation, the same for the same arguments."""
    rng = random.Random(seed)
    return (TURNS[kind](rng) for _ in range(turns))


def compact_json(messages: list[BaseMessage]) -> bytes:
    """Return the messages as LangChain's own dicts in JSON without spaces."""
    return json.dumps(messages_to_dict(messages), separators=(",", ":"), ensure_ascii=False).encode()


_Answer = Callable[[random.Random, str, "dict[str, Any] | None"], AIMessage]


def _turn(rng: random.Random, answer: _Answer, calls_tool: bool, asked: int, answered: int) -> list[BaseMessage]:
    question = HumanMessage(text(rng, asked), id=str(_uuid(rng)) if rng.random() < 0.4 else None)
    if not calls_tool:
        return [question, answer(rng, text(rng, answered), None)]
    words = [text(rng, 12).strip() for _ in range(3)]
    call = {
        "name": rng.choice(("get_weather", "search_orders", "lookup_customer", "query_database")),
        "args": {"query": words[0], "limit": rng.randint(1, 20), "region": words[1]},
        "id": _token(rng, "call_", 24),
    }
    found = [{"id": rng.randint(1000, 99999), "title": words[2], "score": round(rng.random(), 4)} for _ in range(2)]
    result = ToolMessage(json.dumps(found), name=str(call["name"]), tool_call_id=str(call["id"]))
    return [question, answer(rng, "", call), result, answer(rng, text(rng, answered), None)]


def _openai(rng: random.Random, said: str, call: dict[str, Any] | None) -> AIMessage:
    asked, written = rng.randint(20, 4000), rng.randint(5, 800)
    cached = rng.choice((0, 0, 0, 1024))
    return AIMessage(
        said,
        additional_kwargs={"refusal": None},
        response_metadata={
            "token_usage": {
                "completion_tokens": written,
                "prompt_tokens": asked,
                "total_tokens": asked + written,
                "completion_tokens_details": {
                    "accepted_prediction_tokens": 0,
                    "audio_tokens": 0,
                    "reasoning_tokens": 0,
                    "rejected_prediction_tokens": 0,
                },
                "prompt_tokens_details": {"audio_tokens": 0, "cached_tokens": cached},
            },
            "model_provider": "openai",
            "model_name": rng.choice(("gpt-4o-mini-2024-07-18", "gpt-4.1-2025-04-14", "gpt-5-mini-2025-08-07")),
            "system_fingerprint": "fp_" + rng.randbytes(5).hex(),
            "id": _token(rng, "chatcmpl-", 29),
            "service_tier": "default",
            "finish_reason": "tool_calls" if call else "stop",
            "logprobs": None,
        },
        id=f"lc_run--{_uuid(rng)}-0",
        tool_calls=[call] if call else [],
        usage_metadata={
            "input_tokens": asked,
            "output_tokens": written,
            "total_tokens": asked + written,
            "input_token_details": {"audio": 0, "cache_read": cached},
            "output_token_details": {"audio": 0, "reasoning": 0},
        },
    )


def _openai_responses(rng: random.Random, said: str, call: dict[str, Any] | None) -> AIMessage:
    asked, written = rng.randint(20, 4000), rng.randint(5, 800)
    content: list[str | dict[str, Any]] = [{"id": _hex_token(rng, "rs_", 48), "summary": [], "type": "reasoning"}]
    if call:
        arguments = json.dumps(call["args"])
        made = {"arguments": arguments, "call_id": call["id"], "name": call["name"], "id": _hex_token(rng, "fc_", 48)}
        content.append({"type": "function_call", **made, "status": "completed"})
    else:
        content.append({"type": "text", "text": said, "annotations": [], "id": _hex_token(rng, "msg_", 48)})
    model = rng.choice(("gpt-5-2025-08-07", "o4-mini-2025-04-16"))
    return AIMessage(
        content,
        response_metadata={
            "id": (response_id := _hex_token(rng, "resp_", 48)),
            "created_at": float(rng.randint(1_740_000_000, 1_790_000_000)),
            "metadata": {},
            "model": model,
            "object": "response",
            "service_tier": "default",
            "status": "completed",
            "model_provider": "openai",
            "model_name": model,
        },
        id=response_id,
        tool_calls=[call] if call else [],
        usage_metadata={
            "input_tokens": asked,
            "output_tokens": written,
            "total_tokens": asked + written,
            "input_token_details": {"cache_read": 0},
            "output_token_details": {"reasoning": rng.choice((0, 64, 192, 448))},
        },
    )


def _anthropic(rng: random.Random, said: str, call: dict[str, Any] | None) -> AIMessage:
    asked, written = rng.randint(20, 4000), rng.randint(5, 800)
    cached = rng.choice((0, 0, rng.randint(1024, 9000)))
    content: str | list[str | dict[str, Any]] = said
    if call:
        call = {**call, "id": _token(rng, "toolu_01", 22)}
        content = [{"id": call["id"], "input": call["args"], "name": call["name"], "type": "tool_use"}]
    model = rng.choice(("claude-sonnet-4-5-20250929", "claude-haiku-4-5-20251001"))
    return AIMessage(
        content,
        response_metadata={
            "id": _token(rng, "msg_01", 22),
            "model": model,
            "stop_reason": "tool_use" if call else "end_turn",
            "stop_sequence": None,
            "usage": {
                "cache_creation": {"ephemeral_1h_input_tokens": 0, "ephemeral_5m_input_tokens": 0},
                "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": cached,
                "input_tokens": asked,
                "output_tokens": written,
                "server_tool_use": None,
                "service_tier": "standard",
            },
            "model_name": model,
            "model_provider": "anthropic",
        },
        id=f"lc_run--{_uuid(rng)}-0",
        tool_calls=[call] if call else [],
        usage_metadata={
            "input_tokens": asked + cached,
            "output_tokens": written,
            "total_tokens": asked + cached + written,
            "input_token_details": {"cache_read": cached, "cache_creation": 0},
        },
    )


def _bedrock(rng: random.Random, said: str, call: dict[str, Any] | None) -> AIMessage:
    asked, written = rng.randint(20, 4000), rng.randint(5, 800)
    content: str | list[str | dict[str, Any]] = said
    if call:
        call = {**call, "id": _token(rng, "tooluse_", 22)}
        used = {"name": call["name"], "input": call["args"], "id": call["id"]}
        content = [{"type": "tool_use", **used}]
    request_id = str(_uuid(rng))
    clock = f"{rng.randint(0, 23):02}:{rng.randint(0, 59):02}:{rng.randint(0, 59):02}"
    return AIMessage(
        content,
        response_metadata={
            "ResponseMetadata": {
                "RequestId": request_id,
                "HTTPStatusCode": 200,
                "HTTPHeaders": {
                    "date": f"Mon, {rng.randint(1, 28):02} Jun 2026 {clock} GMT",
                    "content-type": "application/json",
                    "content-length": str(rng.randint(300, 3000)),
                    "connection": "keep-alive",
                    "x-amzn-requestid": request_id,
                },
                "RetryAttempts": 0,
            },
            "stopReason": "tool_use" if call else "end_turn",
            "metrics": {"latencyMs": [rng.randint(400, 9000)]},
            "model_provider": "bedrock_converse",
            "model_name": rng.choice(("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "amazon.nova-pro-v1:0")),
        },
        id=f"lc_run--{_uuid(rng)}-0",
        tool_calls=[call] if call else [],
        usage_metadata={
            "input_tokens": asked,
            "output_tokens": written,
            "total_tokens": asked + written,
            "input_token_details": {"cache_creation": 0, "cache_read": 0},
        },
    )


def _google(rng: random.Random, said: str, call: dict[str, Any] | None) -> AIMessage:
    asked, written = rng.randint(20, 4000), rng.randint(5, 800)
    made = {"function_call": {"name": call["name"], "arguments": json.dumps(call["args"])}} if call else {}
    return AIMessage(
        said,
        additional_kwargs=made,
        response_metadata={
            "finish_reason": "STOP",
            "model_name": "gemini-2.5-flash",
            "safety_ratings": [],
            "model_provider": "google_genai",
        },
        id=f"lc_run--{_uuid(rng)}-0",
        tool_calls=[{**call, "id": str(_uuid(rng))}] if call else [],
        usage_metadata={
            "input_tokens": asked,
            "output_tokens": written,
            "total_tokens": asked + written,
            "input_token_details": {"cache_read": 0},
            "output_token_details": {"reasoning": rng.randint(0, 900)},
        },
    )


def _uuid(rng: random.Random) -> uuid.UUID:
    return uuid.UUID(int=rng.getrandbits(128), version=4)


def _token(rng: random.Random, prefix: str, length: int) -> str:
    return prefix + "".join(rng.choices(_ALNUM, k=length))


def _hex_token(rng: random.Random, prefix: str, length: int) -> str:
    return prefix + rng.randbytes(length // 2).hex()
