"""langchain_community, `langchain_community`'s DynamoDBChatMessageHistory, really writing to the tests' engine."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import langchain_core.messages as lc
from langchain_core.messages import BaseMessage

from support import Call, WatchedConnection

with warnings.catch_warnings():
    warnings.filterwarnings("ignore", "`langchain-community` is being sunset", DeprecationWarning)
    from langchain_community.chat_message_histories.dynamodb import DynamoDBChatMessageHistory as Theirs

__all__ = ["ALL_TYPES", "FLOATS", "Crash", "CrashingConnection", "Meddler", "Theirs", "bulk", "orphans", "plain"]

CALL = {"name": "f", "args": {"x": [1, True, None, {"y": ""}]}, "id": "c1", "type": "tool_call"}
BAD_CALL = {"name": "f", "args": "{", "id": "c2", "error": "no JSON", "type": "invalid_tool_call"}
USAGE: Any = {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7, "input_token_details": {"cache_read": 1}}
BLOCKS: list[str | dict[str, Any]] = [
    "plain",
    {"type": "text", "text": "", "annotations": [{"type": "citation", "url": "https://example.com"}]},
    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
    {"type": "non_standard", "value": {"deep": [[], {}, "\N{PILE OF POO}"]}},
]
KW: dict[str, Any] = {
    "additional_kwargs": {
        "refusal": None,
        "zero": 0,
        "no": False,
        "big": 2**100,
        "minus": -(10**37) - 1,
        "nested": {"a": []},
    },
    "response_metadata": {"logprobs": None, "n": [1, 2**64]},
    "name": "näme",
    "id": "run-1",
}
ALL_TYPES: list[BaseMessage] = [
    lc.HumanMessage("hi!"),
    lc.AIMessage("whats up?"),
    lc.HumanMessage(BLOCKS, **KW),
    lc.AIMessage(BLOCKS, tool_calls=[CALL], invalid_tool_calls=[BAD_CALL], usage_metadata=USAGE, **KW),
    lc.SystemMessage("", **KW),
    lc.ToolMessage("found", tool_call_id="c1", artifact={"a": [None]}, status="error", **KW),
    lc.FunctionMessage("f", **KW),
    lc.ChatMessage("c", role="critic", **KW),
    lc.HumanMessageChunk("hi", **KW),
    lc.AIMessageChunk(
        "", tool_call_chunks=[{"name": "f", "args": '{"x', "id": None, "index": 0}], usage_metadata=USAGE
    ),
    lc.SystemMessageChunk("s"),
    lc.ToolMessageChunk("t", tool_call_id="c1"),
    lc.FunctionMessageChunk("f", name="f"),
    lc.ChatMessageChunk("c", role="critic"),
]
FLOATS: list[BaseMessage] = [
    lc.AIMessage("f", response_metadata={"scores": [0.1, -2.5, 1.0, 0.0, 1e-100, 1e22, 123456789.125], "one": 1}),
    lc.HumanMessage([{"type": "text", "text": "x", "confidence": 0.7}]),
]


def plain(value: Any) -> Any:
    """What langchain_community reads, with its Decimals as int or float."""
    if isinstance(value, BaseMessage):
        return type(value)(**plain(value.model_dump()))
    if isinstance(value, Decimal):
        return int(value) if value == int(value) and value < 10**38 else float(value)
    if isinstance(value, dict):
        return {name: plain(entry) for name, entry in value.items()}
    if isinstance(value, list):
        return [plain(entry) for entry in value]
    return value


def bulk(count: int, size: int = 300) -> list[BaseMessage]:
    """Messages whose texts do not deflate away, so that small sizes need pages for them."""
    rng = random.Random(count)
    return [lc.HumanMessage(f"{i}: {rng.randbytes(size // 2).hex()}") for i in range(count)]


def orphans(items: list[dict[str, Any]], session: str = "s") -> list[dict[str, Any]]:
    """Pages of a session that its item does not count, whatever left them."""
    mine = [item for item in items if item["SessionId"]["S"].split("~")[0] == session]
    pages = [item for item in mine if "lc_cut" in item]
    head = next((item for item in mine if "lc_cut" not in item), {})
    assert "lc_intent" not in head
    if "lc_version" not in head:
        return pages
    first, reused, given = (int(head.get(f"lc_{n}", {"N": "0"})["N"]) for n in ("first_page", "reused", "pages"))
    live = range(first, given - reused)
    suffixes = tuple(f"~lc~{int(head['lc_generation']['N']):014x}~{number:08x}" for number in live)
    return [page for page in pages if not page["SessionId"]["S"].endswith(suffixes)]


class Meddler(WatchedConnection):
    """Lets `meddle` happen just before the first call of `operation`."""

    def __init__(self, inner: Any, operation: str, meddle: Callable[[], object]) -> None:
        super().__init__(inner)
        self.operation = operation
        self.meddle: Callable[[], object] | None = meddle

    async def around(self, operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        """Meddle, once."""
        if operation == self.operation and self.meddle:
            meddle, self.meddle = self.meddle, None
            meddle()
        return await proceed()


class Crash(BaseException):
    """The process is gone: nothing of it runs any more."""


class CrashingConnection(WatchedConnection):
    """Ends with the `at`-th write (of one `operation`, or of any), before or after it is applied.

    `crashed` tells whether there were so many.
    """

    def __init__(self, inner: Any, at: int, applied: bool, operation: str | None = None) -> None:
        super().__init__(inner)
        self.left = at
        self.applied = applied
        self.operation = operation
        self.crashed = False

    async def around(self, operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        """Pass calls on until it is time."""
        if self.crashed:
            raise Crash
        if operation in ("get_item", "batch_get_item") or self.operation not in (None, operation):
            return await proceed()
        if self.left:
            self.left -= 1
            return await proceed()
        self.crashed = True
        if self.applied:
            await proceed()
        raise Crash
