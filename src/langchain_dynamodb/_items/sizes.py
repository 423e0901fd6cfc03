"""Bounds in bytes: those that a user sets, and those that are given."""

from __future__ import annotations

from typing import NamedTuple

from ..errors import InvalidInputError

MAX_INFLATED = 1 << 26  # bytes: nothing we write inflates beyond this, so nothing read may
MAX_LARGE = 1 << 28  # bytes: the same for one message where large data goes into objects
MAX_ITEM_DATA = 400_000  # bytes: DynamoDB's 409,600 less what a page has beside its data
MAX_OBJECT = MAX_LARGE + (1 << 20)  # bytes: no object of ours has more, whatever does not deflate
# Data deflates a thousandfold at most, so such a tail, or as much data of a page, stays below MAX_INFLATED.
MAX_SESSION_ITEM = 65_000  # bytes
MAX_WRITE_PAGES = 1 << 17  # pages of one write
MAX_LEFT_PAGES = 1 << 20  # page numbers that unfinished writes may have used beyond the committed ones


class Sizes(NamedTuple):
    """Bounds in bytes; the defaults come from the measurements in docs/storage.md.

    `session_item`: the whole session item without metadata. `page`: a page of several messages. `item`: the data of
    one page item, so that it stays under DynamoDB's 409,600. `message`: one encoded message. `metadata`: as DynamoDB
    counts it. `attributes`: those set by one call, names included.
    """

    session_item: int = 3072
    page: int = 16 << 10
    item: int = 380_000
    message: int = 16 << 20
    metadata: int = 2048
    attributes: int = 1024


def check_sizes(sizes: object, *, objects: bool = False) -> Sizes:
    """Refuse sizes that cannot work, with `objects` for large data; raises `InvalidInputError`."""
    if not isinstance(sizes, Sizes) or not all(type(size) is int and size > 0 for size in sizes):
        raise InvalidInputError(f"sizes={sizes!r} must be Sizes(...) of whole numbers from 1 on")
    most = MAX_LARGE if objects else MAX_INFLATED
    if sizes.item > MAX_ITEM_DATA or sizes.message > most:
        raise InvalidInputError(f"{sizes!r}: item may be at most {MAX_ITEM_DATA}, message at most {most}")
    if sizes.session_item > MAX_SESSION_ITEM:
        raise InvalidInputError(f"{sizes!r}: session_item may be at most {MAX_SESSION_ITEM}: each append pays for it")
    return sizes
