"""What an attempt of unknown outcome leaves open."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .._items.community_item import State
from .._items.keys import PAGE_NUMBERS, SessionKey
from .._items.page_items import Page
from .._items.session_items import SessionItem
from ..errors import OutcomeUnknownError
from .identity import check_content

LOOK_BACK = 32  # pages cut since then, at most, among which an append at a version is looked for


@dataclass
class Doubt:
    """What attempts of unknown outcome leave open: the epochs whose pages their operation may turn up in."""

    active: bool = False
    reused: int | None = None  # page numbers then: tells which of the session's pages these are
    generation: int | None = None  # of the session they were meant for, where it was seen
    version: int | None = None  # that the session had to have, where that was all that was known of it
    lo: int = 0
    hi: int = 0

    def widen(self, item: State | None, expected: int | None) -> None:
        """An append on this state of the session (None: not seen) may have been applied, or may yet be."""
        seen = item if isinstance(item, SessionItem) else None
        base = seen.epoch if seen else 0
        self.lo = min(self.lo, base) if self.active else base
        if not item:
            self.version = expected
        if expected and not item:  # only the version was the condition, so it may be in any page
            self.hi = PAGE_NUMBERS
        self.hi = max(self.hi, base + 1)
        if seen and (self.generation is None or not self.active):
            self.generation, self.reused = seen.generation, seen.reused
        self.active = True

    def is_open_to(self, item: State | None) -> bool:
        """Whether this is the session they were meant for: if it does not hold the operation, it was not applied."""
        if self.generation is not None:
            return isinstance(item, SessionItem) and item.generation == self.generation
        if isinstance(item, SessionItem):
            return not self.version or item.generation <= self.version
        return self.version in (None, item.version if item else 0)

    def pages_of(self, item: SessionItem) -> range:
        """Numbers of the pages to look at: where just a version was known, not of all that there are."""
        lo, hi = self.lo - self._reused, self.hi - self._reused
        lo = max(lo, item.first_page, item.pages - LOOK_BACK if self.version else 0)
        return range(lo, min(hi + 1, item.pages))

    def may_be_dropped(self, item: SessionItem, seen: Iterable[Page]) -> bool:
        """Whether the operation, which is in none of the pages of `pages_of`, may be in one that was dropped since.

        It is in none below a page that was cut before it can have taken place.
        """
        if item.reused != self._reused:
            return True
        below = self.lo - self._reused < self.pages_of(item).start
        return below and not any(page.cut <= (self.version or 0) for page in seen)

    @property
    def _reused(self) -> int:
        return self.reused or 0

    def check_content(self, key: SessionKey, wanted: frozenset[bytes], stored: frozenset[bytes]) -> None:
        """As `identity.check_content`; but an attempt in doubt may have come before the other use of its key."""
        if self.active and not wanted <= stored:
            raise unknown_outcome(key)
        check_content(key, wanted, stored)

    def settle_below(self, epoch: int) -> None:
        """Pages of earlier epochs are known not to hold it, and no late attempt can add it there.

        One that was about whatever session there is, at no version, may still come late to the next of that name.
        """
        self.lo = max(self.lo, epoch)
        of_any = self.generation is None and self.version is None
        self.active = self.active and (self.lo <= self.hi or of_any)


def unknown_outcome(key: SessionKey) -> OutcomeUnknownError:
    """The error where even a look at the session does not tell whether a write happened."""
    return OutcomeUnknownError(
        f"the write to session {key} may or may not have been applied, and it can no longer be told which: "
        "read the session before you retry"
    )
