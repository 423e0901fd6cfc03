"""Write src/langchain_dynamodb/codec/dictionary.py: ``python tests/tools/make_dictionary.py``.

The dictionary is the boilerplate of stored messages: the keys, model names and fixed values of model providers and of
LangChain's content blocks, in the order in which a line has them. It holds no prose. What is likeliest comes last,
because deflate writes short distances in fewer bits.

Blocks in format 1 can only be read with exactly this dictionary 1: a better one is dictionary 2 of a new format.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_TARGET = Path(__file__).parents[2] / "src" / "langchain_dynamodb" / "codec" / "dictionary.py"
_HEADER = '''"""The preset dictionary of block format 1, written by tests/tools/make_dictionary.py.

Never change it: blocks already stored could no longer be read.
"""

# ruff: noqa: E501

DICTIONARY_1 = (
'''

_WORDS = (
    # Names and values that stand alone, the rarest first.
    '"audio/wav" "audio/mpeg" "video/mp4" "application/pdf" "text/plain" "text/html" "image/webp" "image/gif" '
    '"image/jpeg" "image/png" data:image/jpeg;base64, data:image/png;base64, https://www. '
    '"latitude":"longitude":"language":"currency":"deepseek-chat" "deepseek-reasoner" "grok-4" '
    '"mistral-large-latest" "mistral-small-latest" "command-r-plus" "llama-3.3-70b-versatile" '
    '"openai/gpt-oss-120b" "llama3.1" "llama3.2" "qwen3" "meta.llama3-3-70b-instruct-v1:0" '
    '"amazon.nova-micro-v1:0" "amazon.nova-lite-v1:0" "amazon.nova-pro-v1:0" "us.amazon.nova-2-lite-v1:0" '
    '"gemini-2.0-flash" "gemini-2.5-flash-lite" "gemini-2.5-pro" "gemini-3-pro-preview" "gemini-2.5-flash" '
    '"claude-3-5-haiku-20241022" "claude-3-5-sonnet-20241022" "claude-3-7-sonnet-20250219" '
    '"claude-opus-4-1-20250805" "claude-sonnet-4-20250514" "claude-opus-4-5-20251101" '
    '"claude-haiku-4-5-20251001" "claude-sonnet-4-5-20250929" "us.anthropic.claude-haiku-4-5-20251001-v1:0" '
    '"us.anthropic.claude-sonnet-4-5-20250929-v1:0" "anthropic.claude-3-5-sonnet-20241022-v2:0" '
    '"gpt-3.5-turbo-0125" "o3-mini-2025-01-31" "o4-mini-2025-04-16" "gpt-4o-2024-08-06" '
    '"gpt-4.1-mini-2025-04-14" "gpt-4.1-2025-04-14" "gpt-5-nano-2025-08-07" "gpt-5-mini-2025-08-07" '
    '"gpt-5-2025-08-07" "gpt-5.1-2025-11-13" "gpt-4o-mini-2024-07-18"'
)


def _ai(content: Any, metadata: dict[str, Any], usage: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    """Return an answer's line as an object, its fields in the order in which they are stored."""
    line: dict[str, Any] = {"type": "ai", "content": content}
    line |= {key: fields.pop(key) for key in ("additional_kwargs",) if key in fields}
    line |= {"response_metadata": metadata, "id": fields.pop("id", "lc_run--019")}
    if call := fields.pop("call", None):
        line["tool_calls"] = [{"name": "get_", "args": {"query": ""}, "id": call, "type": "tool_call"}]
    if usage is not None:
        line["usage_metadata"] = usage
    return line | fields


def _usage(inputs: dict[str, int] | None, outputs: dict[str, int] | None) -> dict[str, Any]:
    usage: dict[str, Any] = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 1}
    if inputs is not None:
        usage["input_token_details"] = inputs
    if outputs is not None:
        usage["output_token_details"] = outputs
    return usage


def _blocks() -> list[dict[str, Any]]:
    """Content blocks: LangChain's own (v0 and v1) and those of providers."""
    return [
        {"type": "non_standard", "value": {}, "index": 0, "extras": {}},
        {"type": "text-plain", "title": "", "context": "", "text": "", "mime_type": "text/plain", "file_id": ""},
        {"type": "video", "id": "lc_", "url": "https://", "mime_type": "video/mp4", "base64": ""},
        {"type": "audio", "source_type": "base64", "data": "", "mime_type": "audio/wav"},
        {"type": "input_audio", "input_audio": {"data": "", "format": "wav"}},
        {"type": "file", "source_type": "base64", "mime_type": "application/pdf", "data": "", "filename": ".pdf"},
        {"type": "file", "file": {"filename": ".pdf", "file_data": "data:application/pdf;base64,"}},
        {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": ""}, "title": ""},
        {"type": "image", "source_type": "url", "url": "https://", "metadata": {}},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": ""}},
        {"type": "media", "mime_type": "image/png", "data": "", "cache_control": {"type": "ephemeral"}},
        {"type": "image", "base64": "", "mime_type": "image/jpeg"},
        {"type": "text", "text": "", "index": 0},
        {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,", "detail": "auto"}},
        {"type": "server_tool_call", "id": "srvtoolu_01", "name": "web_search", "args": {"query": ""}},
        {"type": "server_tool_result", "tool_call_id": "srvtoolu_01", "status": "success", "output": []},
        {"type": "server_tool_use", "id": "srvtoolu_01", "name": "web_search", "input": {"query": ""}},
        {
            "type": "web_search_tool_result",
            "tool_use_id": "srvtoolu_01",
            "content": [
                {"type": "web_search_result", "title": "", "url": "https://", "encrypted_content": "", "page_age": ""}
            ],
        },
        {
            "citations": [
                {
                    "type": "web_search_result_location",
                    "cited_text": "",
                    "url": "https://",
                    "title": "",
                    "encrypted_index": "",
                },
                {
                    "type": "char_location",
                    "document_index": 0,
                    "document_title": "",
                    "start_char_index": 0,
                    "end_char_index": 0,
                },
            ],
            "text": "",
            "type": "text",
        },
        {"type": "thinking", "thinking": "", "signature": "Ev"},
        {"type": "redacted_thinking", "data": ""},
        {"type": "reasoning_content", "reasoning_content": {"text": "", "signature": ""}},
        {"type": "reasoning", "reasoning": "", "extras": {"signature": ""}},
        {"type": "executable_code", "executable_code": "", "language": "PYTHON"},
        {"type": "code_execution_result", "code_execution_result": "", "outcome": 1},
        {"type": "refusal", "refusal": ""},
        {"type": "tool_call_chunk", "name": None, "args": "", "id": None, "index": 0},
        {"type": "invalid_tool_call", "name": "", "args": "", "id": "call_", "error": None},
        {"type": "web_search_call", "action": {"type": "search", "query": ""}, "id": "ws_", "status": "completed"},
        {"type": "file_search_call", "id": "fs_", "queries": [""], "status": "completed", "results": None},
        {
            "type": "text",
            "text": "",
            "annotations": [
                {"type": "file_citation", "file_id": "file-", "filename": "", "index": 0},
                {
                    "type": "citation",
                    "url": "https://",
                    "title": "",
                    "start_index": 0,
                    "end_index": 0,
                    "cited_text": "",
                },
                {"type": "url_citation", "end_index": 0, "start_index": 0, "title": "", "url": "https://"},
            ],
        },
    ]


def _rare_answers() -> list[dict[str, Any]]:
    groq = {"queue_time": 0.0, "prompt_time": 0.0, "completion_time": 0.0, "total_time": 0.0}
    filtered = {"filtered": False, "severity": "safe"}
    filters = {"hate": filtered, "jailbreak": {"filtered": False, "detected": False}, "self_harm": filtered}
    filters |= {"sexual": filtered, "violence": filtered}
    ollama = {
        "model": "llama3.1",
        "created_at": "2026-01-01T00:00:00.000000Z",
        "done": True,
        "done_reason": "stop",
        "total_duration": 1,
        "load_duration": 1,
        "prompt_eval_count": 1,
        "prompt_eval_duration": 1,
        "eval_count": 1,
        "eval_duration": 1,
        "logprobs": None,
        "model_name": "llama3.1",
        "model_provider": "ollama",
    }
    google = {
        "grounding_metadata": {"web_search_queries": [], "grounding_chunks": [], "grounding_supports": []},
        "prompt_feedback": {"block_reason": 0, "safety_ratings": []},
        "finish_reason": "STOP",
        "model_name": "gemini-2.5-flash",
        "safety_ratings": [],
        "model_provider": "google_genai",
    }
    made = {"function_call": {"name": "", "arguments": '{"'}, "__gemini_function_call_thought_signatures__": {}}
    return [
        {"model_provider": "mistralai", "finish_reason": "tool_calls", "citations": [], "x_groq": {"id": "req_"}},
        {"token_usage": groq, "model_provider": "groq", "reasoning_content": "", "executed_tools": None},
        _ai("", ollama, _usage(None, None)),
        {"prompt_filter_results": [{"prompt_index": 0, "content_filter_results": filters}], "model_provider": "azure"},
        {"guardrail": {"inputAssessment": {}}, "trace": None, "performanceConfig": {"latency": "standard"}},
        _ai("", google, _usage({"cache_read": 0}, {"reasoning": 0}), additional_kwargs=made, call="019"),
    ]


def _tool_lines() -> list[dict[str, Any]]:
    return [
        {"type": "remove", "id": "__remove_all__"},
        {"type": "system", "content": "You are a helpful assistant"},
        {"type": "AIMessageChunk", "content": "", "tool_call_chunks": [], "chunk_position": "last"},
        {"type": "function", "content": "", "name": ""},
        {"type": "chat", "content": "", "role": "user"},
        {"type": "tool", "content": "Error: ToolException", "tool_call_id": "call_", "status": "error"},
        {"artifact": {"metadata": {"source": "", "page": 1, "title": ""}, "page_content": "", "type": "Document"}},
        {"type": "tool", "content": '[{"title": "", "url": "https://", "content": "", "score": 0.', "artifact": {}},
        {"type": "tool", "content": '{"results": [{"id": 1', "name": "search", "id": "", "tool_call_id": "toolu_01"},
        {"type": "tool", "content": '[{"id": ', "name": "get_", "tool_call_id": "tooluse_", "status": "success"},
        {"type": "tool", "content": "", "name": "search_", "tool_call_id": "call_"},
    ]


def _openai_responses() -> list[dict[str, Any]]:
    metadata = {
        "id": "resp_0",
        "created_at": 1760000000.0,
        "incomplete_details": None,
        "metadata": {},
        "model": "gpt-5-2025-08-07",
        "object": "response",
        "service_tier": "default",
        "status": "completed",
        "model_provider": "openai",
        "model_name": "gpt-5-2025-08-07",
    }
    usage = _usage({"cache_read": 0}, {"reasoning": 0})
    reasoning: dict[str, Any] = {
        "id": "rs_0",
        "summary": [],
        "type": "reasoning",
        "encrypted_content": "gAAAAAB",
        "status": None,
    }
    summary = {"id": "rs_0", "summary": [{"text": "**", "type": "summary_text"}], "type": "reasoning"}
    made = {
        "type": "function_call",
        "arguments": '{"',
        "call_id": "call_",
        "name": "",
        "id": "fc_0",
        "status": "completed",
    }
    said = {"type": "text", "text": "", "annotations": [], "id": "msg_0", "phase": "final_answer"}
    thought = {"id": "rs_0", "summary": [], "type": "reasoning"}
    return [
        _ai([summary, reasoning, made], metadata, usage, id="resp_0", call="call_"),
        _ai([thought, said], metadata, usage, id="resp_0"),
    ]


def _bedrock() -> list[dict[str, Any]]:
    def metadata(stop_reason: str, model: str) -> dict[str, Any]:
        headers = {
            "date": "Mon, 01 Jan 2026 00:00:00 GMT",
            "content-type": "application/json",
            "content-length": "1",
            "connection": "keep-alive",
            "x-amzn-requestid": "",
        }
        response = {"RequestId": "", "HTTPStatusCode": 200, "HTTPHeaders": headers, "RetryAttempts": 0}
        return {
            "ResponseMetadata": response,
            "stopReason": stop_reason,
            "metrics": {"latencyMs": [1]},
            "model_provider": "bedrock_converse",
            "model_name": model,
        }

    usage = _usage({"cache_creation": 0, "cache_read": 0}, None)
    used = {"type": "tool_use", "name": "get_", "input": {"query": ""}, "id": "tooluse_"}
    claude = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
    return [
        _ai([{"type": "text", "text": ""}, used], metadata("tool_use", "amazon.nova-pro-v1:0"), usage, call="tooluse_"),
        _ai("", metadata("end_turn", claude), usage),
    ]


def _anthropic() -> list[dict[str, Any]]:
    def metadata(stop_reason: str) -> dict[str, Any]:
        usage = {
            "cache_creation": {"ephemeral_1h_input_tokens": 0, "ephemeral_5m_input_tokens": 0},
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "inference_geo": "not_available",
            "input_tokens": 1,
            "output_tokens": 1,
            "server_tool_use": None,
            "service_tier": "standard",
        }
        model = "claude-sonnet-4-5-20250929"
        named = {"model_name": model, "model_provider": "anthropic"}
        start = {"id": "msg_01", "model": model}
        return {**start, "stop_reason": stop_reason, "stop_sequence": None, "usage": usage, **named}

    cached = {"cache_read": 0, "cache_creation": 0}
    ephemeral = {**cached, "ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0}
    used = {"id": "toolu_01", "input": {"query": ""}, "name": "get_", "type": "tool_use", "caller": {"type": "direct"}}
    return [
        _ai([{"text": "", "type": "text"}, used], metadata("tool_use"), _usage(ephemeral, None), call="toolu_01"),
        _ai("", metadata("end_turn"), _usage(cached, None)),
    ]


def _openai() -> list[dict[str, Any]]:
    def metadata(finish_reason: str) -> dict[str, Any]:
        written = {"accepted_prediction_tokens": 0, "audio_tokens": 0, "reasoning_tokens": 0}
        tokens = {
            "completion_tokens": 1,
            "prompt_tokens": 1,
            "total_tokens": 1,
            "completion_tokens_details": {**written, "rejected_prediction_tokens": 0},
            "prompt_tokens_details": {"audio_tokens": 0, "cached_tokens": 0},
        }
        return {
            "token_usage": tokens,
            "model_provider": "openai",
            "model_name": "gpt-4o-mini-2024-07-18",
            "system_fingerprint": "fp_",
            "id": "chatcmpl-C",
            "service_tier": "default",
            "finish_reason": finish_reason,
            "logprobs": None,
        }

    usage = _usage({"audio": 0, "cache_read": 0}, {"audio": 0, "reasoning": 0})
    made = [{"id": "call_", "function": {"arguments": '{"', "name": "get_"}, "type": "function"}]
    kwargs = {"tool_calls": made, "refusal": None}
    return [
        _ai("", metadata("tool_calls"), usage, additional_kwargs=kwargs, call="call_"),
        _ai("", metadata("stop"), usage, additional_kwargs={"refusal": None}),
    ]


def dictionary() -> bytes:
    """Return the dictionary: the same bytes at every run."""
    objects = _rare_answers() + _blocks() + _tool_lines() + _openai_responses() + _bedrock() + _anthropic() + _openai()
    # As the lines of a block: an answer is followed by the next question.
    objects.append({"type": "human", "content": [{"type": "text", "text": ""}], "id": ""})
    objects.append({"type": "human", "content": ""})
    lines = [json.dumps(line, separators=(",", ":")) for line in objects]
    return "\n".join([_WORDS, *lines]).removesuffix('"}').encode("ascii")


def main() -> None:
    """Write the module."""
    lines = dictionary().splitlines(keepends=True)
    _TARGET.write_text(_HEADER + "".join(f"    {line!r}\n" for line in lines) + ")\n", encoding="ascii")


if __name__ == "__main__":
    main()
