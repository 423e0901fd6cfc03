"""Histories of other libraries, as sessions. No I/O.

Of a history of langchain.js only what it stores can be had: type and text, and the role and `additional_kwargs` of
some. A tool's result has lost the id of its call, which reads as an empty one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeAlias

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

from .._dynamodb.attribute_values import AttributeValue, Item, from_attribute
from .._items.configured_names import Names
from .._items.parsing import corrupt, own_of
from .._protocol.foreign_entries import from_javascript
from .._store.whole_sessions import Whole
from ..codec import messages as codec
from ..codec.native import from_native
from ..errors import InvalidInputError, ItemFormatError

SourceFormat: TypeAlias = Literal["javascript", "llama-index"]
_UNREADABLE = (ValueError, LookupError, TypeError, AttributeError, InvalidInputError)  # raised for what is no message


def foreign_session(item: Item, names: Names, keys: list[str], source: SourceFormat) -> tuple[str, Whole]:
    """The session's id and what it holds.

    Raises `CorruptSessionError` naming the entry that cannot be read, `ItemFormatError` for a history of another name.
    """
    name = foreign_name(item, keys)
    if names.history not in item:
        [other, *_] = histories(item, source)
        raise ItemFormatError(
            f"session {name} has no {names.history!r}, but {other!r} looks like its history: set "
            f"history_messages_key={other!r}"
        )
    if "L" not in item[names.history]:
        raise corrupt(name, names.history, f"not a list of messages, as {source} stores it")
    lines = []
    for i, entry in enumerate(item[names.history]["L"]):
        try:
            lines.append(codec.encode_message(READERS[source](entry)))
        except _UNREADABLE as error:
            told = f"not a message as {source} stores it: {type(error).__name__}: {error}"
            raise corrupt(name, f"{names.history}[{i}]", told) from error
    ttl = item.get(names.ttl, {}).get("N")
    expires = int(ttl) if ttl is not None and ttl.isdecimal() else None
    return name, Whole(lines, version=1, expires=expires, own=own_of(item, names, keys), in_pages=False)


def histories(item: Item, source: SourceFormat) -> list[str]:
    """The attributes that look like a history of that library's."""
    return [name for name, value in item.items() if _is_history(value, source)]


def _is_history(value: AttributeValue, source: SourceFormat) -> bool:
    try:
        return bool(READERS[source](value["L"][0]))
    except _UNREADABLE:
        return False


def foreign_name(item: Item, keys: list[str]) -> str:
    """The id: the values of the key, but for langchain.js's sort keys, whose value is always their name."""
    return "/".join(str(from_attribute(item[key], json_only=False)) for key in keys if item[key] != {"S": key})


def from_langchain_js(entry: AttributeValue) -> BaseMessage:
    """A message of ``DynamoDBChatMessageHistory`` in @langchain/community."""
    native = from_javascript(from_attribute(entry, json_only=False))
    if native["type"] == "tool":
        native["data"].setdefault("tool_call_id", "")
    return from_native(native, exact=True)


def from_llama_index(entry: AttributeValue) -> BaseMessage:
    """A ``ChatMessage`` of llama-index, by its role; text alone becomes a text, other blocks content blocks."""
    stored = from_attribute(entry, json_only=False)
    kwargs = dict(stored.get("additional_kwargs") or {})
    content = _content(stored)
    role = stored["role"]
    if role == "tool":
        call = str(kwargs.pop("tool_call_id", ""))
        return ToolMessage(content, tool_call_id=call, name=kwargs.pop("name", None), additional_kwargs=kwargs)
    if role == "function":
        return FunctionMessage(content=content, name=str(kwargs.pop("name", "")), additional_kwargs=kwargs)
    if role in _BY_ROLE:
        return _BY_ROLE[role](content, additional_kwargs=kwargs)
    return ChatMessage(content=content, role=role, additional_kwargs=kwargs)


_BY_ROLE: dict[str, Callable[..., BaseMessage]] = {
    "system": SystemMessage,
    "developer": SystemMessage,
    "user": HumanMessage,
    "assistant": AIMessage,
    "chatbot": AIMessage,
    "model": AIMessage,
}


def _content(stored: Mapping[str, Any]) -> Any:
    blocks = stored.get("blocks")
    if blocks is None:  # before llama-index 0.12
        return stored.get("content") or ""
    if all(block.get("block_type") == "text" for block in blocks):
        if len(blocks) <= 1:
            return blocks[0]["text"] if blocks else ""
        return [{"type": "text", "text": block["text"]} for block in blocks]
    return [_block(block) for block in blocks]


def _block(block: Mapping[str, Any]) -> dict[str, Any]:
    kind = block.get("block_type")
    if kind == "text":
        return {"type": "text", "text": block["text"]}
    if kind == "image" and block.get("url"):
        return {"type": "image", "url": str(block["url"])}
    if kind == "image" and block.get("image"):
        image = block["image"]
        text = image.decode() if isinstance(image, bytes) else str(image)
        return {"type": "image", "base64": text, "mime_type": block.get("image_mimetype") or "image/png"}
    return {"type": "non_standard", "value": dict(block)}


READERS: dict[SourceFormat, Callable[[AttributeValue], BaseMessage]] = {
    "javascript": from_langchain_js,
    "llama-index": from_llama_index,
}
