"""Print how many bytes a message takes in each form.

``python tests/tools/measure_bytes.py``, with the package installed.
"""

from __future__ import annotations

import random
import sys
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "helpers"))

from langchain_core.messages import BaseMessage, messages_to_dict

from corpus import compact_json, turn
from langchain_dynamodb.codec.messages import encode_messages, pack

_TURNS = 1000
Turn = list[BaseMessage]


def native_bytes(value: object) -> int:
    """Return the size of a value in DynamoDB's own types, as DynamoDB counts it."""
    if isinstance(value, dict):
        return 3 + sum(1 + len(key.encode()) + native_bytes(item) for key, item in value.items())
    if isinstance(value, list):
        return 3 + sum(1 + native_bytes(item) for item in value)
    if isinstance(value, str):
        return len(value.encode())
    if value is None or isinstance(value, bool):
        return 1
    digits = len(repr(value).strip("-0.").replace(".", ""))
    return 1 + (digits + 1) // 2 + (str(value)[0] == "-")


def deflated(text: bytes) -> bytes:
    """Return the text in raw deflate without a dictionary."""
    deflater = zlib.compressobj(6, zlib.DEFLATED, -15)
    return deflater.compress(text) + deflater.flush()


def lines(turn: Turn) -> bytes:
    """Return the turn's lines as one text."""
    return b"\n".join(encode_messages(turn))


_FORMS: dict[str, Callable[[Turn], int]] = {
    "native map": lambda turn: sum(native_bytes(message) for message in messages_to_dict(turn)),
    "compact JSON": lambda turn: len(compact_json(turn)),
    "lines (defaults stripped)": lambda turn: len(lines(turn)),
    "deflated per turn": lambda turn: len(deflated(lines(turn))),
    "block per turn": lambda turn: len(pack(encode_messages(turn))),
}


def main() -> None:
    """Print a table: bytes per message, bytes per turn."""
    rng = random.Random(1)
    turns = [turn(rng) for _ in range(_TURNS)]
    forms = {name: sum(map(size, turns)) for name, size in _FORMS.items()}
    forms["block of 32 turns"] = sum(
        len(pack(encode_messages([message for turn in some for message in turn]))) for some in _batches(turns, 32)
    )
    messages = sum(map(len, turns))
    print(f"{_TURNS} turns, {messages} messages")
    for name, total in forms.items():
        print(f"{name:28}{total / messages:8.0f} B/message{total / _TURNS:8.0f} B/turn")


def _batches(turns: list[Turn], size: int) -> Iterable[list[Turn]]:
    return (turns[start : start + size] for start in range(0, len(turns), size))


if __name__ == "__main__":
    main()
