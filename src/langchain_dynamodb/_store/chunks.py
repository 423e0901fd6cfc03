"""Messages as lines: of the tail, and of pages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from .._items.page_items import Page
from ..codec.long_lines import Line

SLICE = 256  # messages decoded before other tasks of the event loop get their turn: about 5 ms
UNREADABLE = b""  # in place of a message that is passed over


class Lines(list[Line]):
    """All messages of a page, and whether they were `decoded` before: then they need not be checked again."""

    decoded = False


class LoadedPage(NamedTuple):
    """A page and, once inflated, its messages as lines; a message cut into parts is in the last of them."""

    page: Page
    lines: Lines | None = None


class Chunk(NamedTuple):
    """Messages as lines, and where they are stored: in a page, or else in an entry of the tail."""

    page: int | None
    entry: int
    lines: list[Line]


def in_runs(pages: Iterable[LoadedPage]) -> list[list[LoadedPage]]:
    """Each page, with the pages before it that hold parts of its message."""
    runs: list[list[LoadedPage]] = [[]]
    for loaded in pages:
        runs[-1].append(loaded)
        if loaded.page.indexes:
            runs.append([])
    return runs[:-1]


def count(chunks: Iterable[Chunk]) -> int:
    """How many messages they hold."""
    return sum(len(chunk.lines) for chunk in chunks)


def in_slices(chunks: Iterable[Chunk]) -> Iterator[tuple[bool, list[Chunk]]]:
    """Parts of chunks to decode at once: up to SLICE messages that all were decoded before, or none of them."""
    parts: list[Chunk] = []
    size, again = 0, False
    for chunk in chunks:
        decoded = isinstance(chunk.lines, Lines) and chunk.lines.decoded
        for start in range(0, len(chunk.lines), SLICE):
            part = chunk if len(chunk.lines) <= SLICE else chunk._replace(lines=chunk.lines[start : start + SLICE])
            size += len(part.lines)
            if parts and (decoded != again or size > SLICE):
                yield again, parts
                parts, size = [], len(part.lines)
            parts.append(part)
            again = decoded
    if parts:
        yield again, parts


def newest_of(chunks: Sequence[Chunk], wanted: int) -> list[Chunk]:
    """The last `wanted` messages."""
    newest: list[Chunk] = []
    for chunk in reversed(chunks):
        if len(chunk.lines) > wanted:
            chunk = chunk._replace(lines=chunk.lines[len(chunk.lines) - wanted :])
        wanted -= len(chunk.lines)
        newest.append(chunk)
    return newest[::-1]
