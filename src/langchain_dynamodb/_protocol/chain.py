"""The chain of pages: which of them the session item proves (rule 5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .._items.page_items import Page
from .._items.session_items import SessionItem


def first_break(found: Mapping[int, Page], item: SessionItem, numbers: range, successor: Page | None) -> int | None:
    """Number of the newest page that is missing or not the one its successor (None: the tail) names."""
    for number in reversed(numbers):
        page = found.get(number)
        if page is None or not precedes(item, page, successor):
            return number
        successor = page
    return None


def precedes(item: SessionItem, page: Page, successor: Page | None) -> bool:
    """Whether `page` ends where its successor (None: the tail) begins, and was cut at the version that one names."""
    cut, first = (successor.previous, successor.first) if successor else (item.page_version, item.tail_start)
    begins = page.number != item.first_page or page.first == item.trimmed
    return begins and page.cut == cut and page.end == first and page.edited <= item.edited


def follows(item: SessionItem, previous: Page | None, page: Page) -> bool:
    """The same on the way forward; `previous` is None before the first page."""
    last = page.number < item.pages - 1 or precedes(item, page, None)
    begins = precedes(item, previous, page) if previous else page.first == item.trimmed
    return last and begins and page.edited <= item.edited


def first_needed(pages: Sequence[Page], wanted: int) -> int:
    """With which of these the newest `wanted` messages begin, all parts of the first one included."""
    for index in reversed(range(len(pages))):
        if pages[index].indexes:
            wanted -= pages[index].messages
            if wanted <= 0:
                return max(0, index + 1 - pages[index].parts)
    return 0


def missing_parts(pages: Sequence[Page]) -> int:
    """In how many earlier pages the first message of these begins."""
    last_part = next((page for page in pages if page.indexes), None)
    return max(0, pages[0].number - (last_part.number - last_part.parts + 1)) if last_part else 0
