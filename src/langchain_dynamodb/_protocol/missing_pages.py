"""Pages that are not there: which of the others are still proved, and what is missing. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from .._items.page_items import Page
from .._items.session_items import SessionItem

RECENT_SECONDS = 120  # a replica that lags further behind is down
RECENT_PAGES = 4  # of the newest; so many cuts later a page that is missing is not late, but lost


class Hole(NamedTuple):
    """Messages `first` up to `end` (stored indexes) that cannot be had: pages are missing, whose numbers these are."""

    first: int
    end: int
    missing: tuple[int, ...]
    removed: int = 0  # of these, as far as it is known

    @property
    def messages(self) -> int:
        """How many cannot be had."""
        return self.end - self.first - self.removed


@dataclass(frozen=True)
class Edge:
    """What is known of the page below: it ends at message `first` and was cut at `cut`; if not `exact`, at most so.

    `token` is that of the page above, where that one is of the same cut.
    """

    cut: int
    first: int
    exact: bool = True
    token: bytes | None = None

    def admits(self, item: SessionItem, page: Page) -> bool:
        """Whether `page` may be the one below."""
        end = page.end
        if page.first < item.trimmed or (page.number == item.first_page and page.first != item.trimmed):
            return False
        if self.exact:
            return (page.cut, end) == (self.cut, self.first)
        strange = page.cut == self.cut and self.token not in (None, page.token)
        return page.previous <= page.cut <= self.cut and end <= self.first and not strange

    def below(self, page: Page) -> Edge:
        """What `page`, which was admitted, says of the one below it."""
        return Edge(page.previous, page.first, token=page.token if page.cut == page.previous else None)

    def beyond(self) -> Edge:
        """What is known of the page below one that is missing."""
        return Edge(self.cut, self.first, False, self.token)


@dataclass
class Survey:
    """Pages of a session from the newest down: the proved ones, by number, and how far it has come.

    `unusable` are there, but not what the session proves, or cannot be read as pages at all.
    """

    item: SessionItem
    bottom: int
    edge: Edge
    pages: dict[int, Page] = field(default_factory=dict)
    unusable: set[int] = field(default_factory=set)

    @classmethod
    def of(cls, item: SessionItem) -> Survey:
        """Nothing looked at yet."""
        return cls(item, item.pages, Edge(item.page_version, item.tail_start))

    def go_down(self, found: Mapping[int, Page], unreadable: Iterable[int], bottom: int) -> None:
        """Go on with the pages `found` under the numbers from `bottom` up to where it has come."""
        self.unusable.update(unreadable)
        for number in reversed(range(bottom, self.bottom)):
            page = found.get(number)
            if page is not None and self.edge.admits(self.item, page):
                self.pages[number] = page
                self.edge = self.edge.below(page)
            else:
                self.edge = self.edge.beyond()
                if page is not None:
                    self.unusable.add(number)
        self.bottom = bottom

    def lose(self, number: int) -> None:
        """Count a page as missing: what it says of the others holds, but its data cannot be had."""
        del self.pages[number]
        self.unusable.add(number)

    def whole(self) -> list[list[Page]]:
        """The pages whose messages are there, oldest first: each with the parts before it that its message has."""
        runs: list[list[Page]] = []
        parts: list[Page] = []
        for number in range(self.bottom, self.item.pages):
            page = self.pages.get(number)
            if page is None:
                parts = []
                continue
            parts.append(page)
            if page.indexes:
                if not self._lacks_parts(parts):
                    runs.append(parts)
                parts = []
        return runs

    def _lacks_parts(self, run: Sequence[Page]) -> bool:
        """Whether the first parts of its message are missing; that their number is wrong is noticed elsewhere."""
        first = run[0].number
        cut_off = first > self.item.first_page and first - 1 not in self.pages
        return cut_off and run[-1].number + 1 - run[-1].parts < first

    @property
    def found(self) -> int:
        """Number of messages that are there."""
        return sum(run[-1].messages for run in self.whole())

    def first_recent(self, now: int) -> int | None:
        """Number of a page that may just be late, if there is one among those that are missing."""
        for hole in self.holes():
            if hole.missing:
                top = hole.missing[-1]
                above = self.pages.get(top + 1)
                if is_recent(self.item, top, above.previous if above else self.item.page_version, now):
                    return top
        return None

    def holes(self) -> list[Hole]:
        """What is missing between the messages that are there, oldest first; below `bottom` nobody has looked."""
        found: list[Hole] = []
        end, above = self.item.tail_start, self.item.pages
        for run in reversed(self.whole()):
            self._note(found, run[-1].number + 1, above, run[-1].end, end)
            above, end = run[0].number, run[-1].first
        if self.bottom == self.item.first_page:
            self._note(found, self.bottom, above, self.item.trimmed, end)
            if len(found) == 1:  # else nobody knows from which of them
                there = sum(run[-1].removed for run in self.whole())
                found = [found[0]._replace(removed=max(0, self.item.removed - there))]
        return found[::-1]

    def _note(self, found: list[Hole], bottom: int, top: int, first: int, end: int) -> None:
        missing = tuple(n for n in range(bottom, top) if n not in self.pages)
        if missing or first < end:
            found.append(Hole(first, end, missing))


def is_recent(item: SessionItem, number: int, cut: int | None, now: int) -> bool:
    """Whether page `number` (cut at version `cut`, where that is known) may have been cut just before `now`.

    The session changed within two minutes, and the page is of its last commit or among its newest. Nothing tells when
    a single page was cut, and a page of a busy session that was lost long ago must not look late for ever.
    """
    newest = cut == item.page_version or number >= item.pages - RECENT_PAGES
    return newest and abs(now - item.updated) <= RECENT_SECONDS * 1_000_000
