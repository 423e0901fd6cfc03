"""Work that would keep the event loop busy goes to a thread; the loop's other tasks run meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeVar

from langchain_core.messages import BaseMessage

T = TypeVar("T")

# What takes about a millisecond: more is not done at once, less is not worth a thread.
MANY_MESSAGES = 128
MANY_NATIVES = 16  # messages in the format of langchain_community
MANY_BYTES = 128 << 10
_DEEP = 4  # levels of a message at which long texts stand: content, block, image, data


async def off_loop(is_much: bool, work: Callable[[], T]) -> T:
    """What `work` returns or raises; it runs in a thread where it `is_much`, and must share nothing that changes."""
    return await asyncio.to_thread(work) if is_much else work()


def is_much(lines: Sequence[bytes]) -> bool:
    """Whether it takes long to deflate or to read so many lines."""
    return len(lines) > MANY_MESSAGES or sum(map(len, lines)) > MANY_BYTES


def is_much_to_encode(messages: Sequence[BaseMessage]) -> bool:
    """The same of messages, by a glance: they have no size yet, and may be no messages."""
    try:
        return len(messages) > MANY_MESSAGES or any(_is_long(vars(message), _DEEP) for message in messages)
    except Exception:
        return False


def _is_long(value: object, levels: int) -> bool:
    kind = type(value)
    if kind in (str, bytes, bytearray):
        return len(value) > MANY_BYTES  # type: ignore[arg-type]
    if kind is dict and levels:
        return any(_is_long(one, levels - 1) for one in value.values())  # type: ignore[attr-defined]
    if kind in (list, tuple) and levels:
        return any(_is_long(one, levels - 1) for one in value)  # type: ignore[attr-defined]
    return False
