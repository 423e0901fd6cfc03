"""When sessions and their pages expire (rule 7)."""

from __future__ import annotations

import math
from typing import NamedTuple

from .._items.clock import MICROSECONDS, next_expiry
from .._items.parsing import LAST_SECOND
from .._items.session_items import SessionItem

THIRTY_DAYS = 30 * 24 * 3600


class Expiries(NamedTuple):
    """TTL stamps (seconds) of what is written now; None leaves a session's stamp alone."""

    session: int | None
    pages: int | None

    def of(self, item: SessionItem) -> int:
        """Stamp for the pages of this very state: beyond its own, whoever set that."""
        return max(self.pages or 0, min((item.expires or 0) + THIRTY_DAYS, LAST_SECOND))

    def within(self, item: SessionItem) -> Expiries:
        """Stamps that do not outlive the pages there are, as far as the session has not done so already."""
        if self.session is None or item.expires is None:
            return self
        return self._replace(session=max(item.pages_expire, item.expires))

    def of_pages(self, item: SessionItem) -> int:
        """Earliest expiry of the pages once new ones have joined; 0 where one has no stamp."""
        ours = self.pages or 0
        return min(item.pages_expire, ours) if item.first_page < item.pages else ours


NO_EXPIRY = Expiries(None, None)


def expiries(now: int, ttl: int | None, item: SessionItem | None) -> Expiries:
    """TTL stamps for a write at `now`, rounded up. Pages outlive their session, which slides on without them."""
    if ttl is not None:
        seconds = math.ceil(now / MICROSECONDS)
        return Expiries(seconds + ttl, seconds + max(2 * ttl, ttl + THIRTY_DAYS))
    stamp = next_expiry(item.expires, now) if item else None
    return Expiries(None, None if stamp is None else min(stamp + THIRTY_DAYS, LAST_SECOND))


def outlives_pages(item: SessionItem, expires: int | None, now: int) -> bool:
    """Whether a session with this stamp (None: its own) might outlive its pages, or has some without a stamp."""
    stamp = next_expiry(item.expires, now) if expires is None else expires
    return stamp is not None and item.first_page < item.pages and item.pages_expire < stamp
