"""Tells the items of chat sessions, ours and langchain_community's, from whatever else stands at a key. No I/O."""

from __future__ import annotations

from .._checks import short
from .._dynamodb.attribute_values import AttributeValue, Item
from ..errors import ForeignItemError, ItemFormatError
from . import attribute_names as lc
from .configured_names import Names
from .keys import RESERVED_PREFIX

KNOWN_BY = 2  # entries at the beginning of a list by which it is known: one that is damaged hides no session
SHOWN = 8  # names an error tells

_BESIDE = (lc.TAIL_OPS, lc.INTENT)  # what we leave on items of langchain_community


def is_remnant(raw: Item) -> bool:
    """Whether an item without version and generation was ours all the same."""
    return any(name.startswith(RESERVED_PREFIX) and name not in _BESIDE for name in raw)


def is_message(entry: AttributeValue) -> bool:
    """Whether langchain_community writes messages of this shape."""
    fields = entry.get("M")
    return isinstance(fields, dict) and "S" in fields.get("type", {}) and "M" in fields.get("data", {})


def message_id(entry: AttributeValue) -> str | None:
    """The id of one of these messages; None where it has none."""
    stored: str | None = entry["M"]["data"]["M"].get("id", {}).get("S")
    return stored


def is_community_list(value: AttributeValue) -> bool:
    """Whether this is a history of langchain_community's: it is empty or begins with messages."""
    entries = value.get("L")
    return isinstance(entries, list) and (not entries or any(map(is_message, entries[:KNOWN_BY])))


def other_histories(own: Item) -> list[str]:
    """Those of an item's other attributes that look like a history of langchain_community's."""
    return [name for name, value in own.items() if value.get("L") and is_community_list(value)]


def own_histories(own: Item) -> list[str]:
    """Those of the other attributes of a session item of ours that look like its history."""
    return [name for name, value in own.items() if any("B" in entry for entry in value.get("L", ()))]


def check_own_list(own: Item, names: Names, where: object) -> None:
    """Raise `ItemFormatError` where a session item of ours without a list has its history under another name."""
    for name in own_histories(own)[:1]:
        raise ItemFormatError(
            f"session {where} was written with another history_messages_key: it has no attribute "
            f"{names.history!r}, but {name!r} looks like its history. Nothing was changed; set "
            f"history_messages_key={name!r}, here or where it was written"
        )


def check_community(raw: Item, own: Item, names: Names, where: object) -> None:
    """Raise `ForeignItemError` unless an item has a history of langchain_community's, or nothing but its key."""
    history = raw.get(names.history)
    if is_community_list(history) if history is not None else not own:
        return
    others = own if history is None else {names.history: history, **own}
    shown = ", ".join(f"{short(name)} ({_shape(value)})" for name, value in list(others.items())[:SHOWN])
    more = f" and {len(others) - SHOWN} more" if len(others) > SHOWN else ""
    advice = "name another session, or move what is there"
    if histories := other_histories(own):
        advice = f"if {histories[0]!r} is its history, set history_messages_key={histories[0]!r}"
    raise ForeignItemError(
        f"item {where} is no chat session of ours or of langchain_community, and was left as it is: "
        f"it has {shown}{more}; {advice}",
        item=str(where),
    )


def _shape(value: AttributeValue) -> str:
    """Types and the names of fields, but no content."""
    ((kind, content),) = value.items()
    if kind == "L" and content:
        return f"L of {len(content)}, the first {_shape(content[0])}"
    if kind == "M" and content:
        return f"M of {', '.join(map(short, list(content)[:SHOWN]))}"
    return str(kind)
