"""Objects whose data nobody has whole: made while it is written, taken in while it is read."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from typing import TypeAlias

from .._items.page_items import Page, Reference
from .._threads import off_loop
from ..codec.long_blocks import BlockReader
from ..codec.long_lines import Line
from ..codec.messages import UndecodableError
from ..codec.sealing import SealedReader

MISSING = "is missing"
CHANGED = "is not what was written"
MakeReader: TypeAlias = Callable[[], BlockReader | SealedReader]


class Seen:
    """Pieces on their way, of which size and hash are told once they have gone."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = pieces
        self._digest = hashlib.sha256()
        self.size = 0

    def __iter__(self) -> Iterator[bytes]:
        """Each, once."""
        for piece in self._pieces:
            self.add(piece)
            yield piece

    def add(self, piece: bytes) -> None:
        """Note the next."""
        self.size += len(piece)
        self._digest.update(piece)

    @property
    def sha256(self) -> str:
        """Of all, hexadecimal."""
        return self._digest.hexdigest()


async def taken_in(
    page: Page, reference: Reference, coming: AsyncGenerator[bytes, None], reader: BlockReader | SealedReader
) -> Page:
    """The page with its messages, or with what is wrong with its data, or with the reason for which that is `lost`.

    Raises `BlobUnavailableError`.
    """
    seen, found = Seen(()), False
    opened: list[Line] | UndecodableError | None = None

    def take(piece: bytes) -> None:
        nonlocal opened
        seen.add(piece)
        if opened is None:
            try:
                reader.feed(piece)
            except UndecodableError as error:
                opened = error  # unless it turns out that this is not what was written

    async with contextlib.aclosing(coming):
        async for piece in coming:
            found = True
            await off_loop(partial(take, piece))
    if not found:
        return replace(page, lost=MISSING)
    if (seen.size, seen.sha256) != (reference.size, reference.sha256):
        return replace(page, lost=CHANGED)
    return replace(page, opened=await off_loop(partial(_finished, reader)) if opened is None else opened)


def _finished(reader: BlockReader | SealedReader) -> list[Line] | UndecodableError:
    try:
        return reader.finish()
    except UndecodableError as error:
        return error
