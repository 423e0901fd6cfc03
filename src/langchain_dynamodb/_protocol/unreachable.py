"""Which pages may be removed because no session can ever have them: what `vacuum` depends on. No I/O."""

from __future__ import annotations

from dataclasses import dataclass

from .._items.community_item import CommunityItem, State
from .._items.session_items import SessionItem
from .copying import EARLIER

GRACE_SECONDS = 3600
"""Pages of sessions that began since then stay, where others may know of these sessions already."""

UNANNOUNCED_BYTES = 200_000
"""An item of langchain_community of this size may be about to be converted by a writer that had no room to say so."""


@dataclass(frozen=True)
class SeenPage:
    """A page as a scan found it: its place in a session's history, and the version it was cut at."""

    generation: int
    number: int
    cut: int


def generations_before(now: int, seconds: int) -> int:
    """Those below this are of sessions that began so many seconds before `now` (microseconds): also those of forks."""
    return now - seconds * 1_000_000 - EARLIER if seconds else now


def is_unreachable(page: SeenPage, item: State | None, began_before: int, size: int = 0) -> bool:
    """Whether nobody reads this page and no writer can commit it any more, `item` being looked at after it was seen.

    - No item, or a session of another generation: a commit requires generation and version, so it would be refused.
      What began at `began_before` (microseconds) or later stays: a replica of a global table may have the pages of a
      new session before its item.
    - A session of this generation: the page is none of its history, none that an intent may write, and was cut at an
      earlier version. A commit requires the version that its pages were cut at. (Later ones stay: where an older item
      was restored, `repair` looks for them.)
    - An item of langchain_community, of so many bytes (`size`): its conversion, if there is one, is announced on it.
      Large ones may have no room for that, so their pages stay.
    """
    if isinstance(item, SessionItem) and item.generation == page.generation:
        in_use = item.first_page <= page.number < item.pages
        intended = item.intent is not None and item.intent.first <= page.number <= item.intent.last
        return not in_use and not intended and page.cut < item.version
    if isinstance(item, CommunityItem):
        announced = item.intent is not None and item.intent.generation == page.generation
        if announced or size >= UNANNOUNCED_BYTES:
            return False
    return page.generation < began_before
