"""Messages that are to be stored, as lines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from langchain_core.messages import BaseMessage

from .._threads import off_loop
from ..codec.long_lines import Line
from ..codec.messages import MANY_BYTES, Codec, is_much
from ..codec.places import Degraded
from ..codec.telling import tell
from .writer import Content


async def encoded(
    codec: Codec,
    messages: Sequence[BaseMessage],
    most: int,
    path: str | None = None,
    *,
    tells: bool = True,
    check: Callable[[list[BaseMessage]], None] | None = None,
) -> Content:
    """Each message as a line of at most so many bytes; in a thread where they are many or long.

    `path` names a single one in errors. `check` gets them as they will come back. Raises what `Codec.encode` raises,
    and, where it `tells`, warns of what will come back as something else.
    """
    degraded: list[Degraded] = []
    if much := is_much(messages):
        messages = list(messages)  # others may change it meanwhile
        lines = await off_loop(partial(_lines, codec, messages, most, degraded, path, check, much=True))
    else:
        lines = _lines(codec, messages, most, degraded, path, check, much=False)
        much = sum(map(len, lines)) > MANY_BYTES
    if degraded and tells:
        tell(degraded)
    return Content(messages, lines, much)


def _lines(
    codec: Codec,
    messages: Sequence[BaseMessage],
    most: int,
    degraded: list[Degraded],
    path: str | None,
    check: Callable[[list[BaseMessage]], None] | None,
    *,
    much: bool,
) -> list[Line]:
    lines = codec.encode(messages, most, degraded, path, much=much)
    if check is not None:
        check(codec.decode(lines))
    return lines
