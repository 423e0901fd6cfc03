"""Rule 7: pages outlive their session. No crash may leave a session that outlives its pages.

So pages that expire are extended before their session is put off; pages without a stamp get one only after their
session has one; and they lose it before their session does.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TypeVar

from .._dynamodb.attribute_values import NO_CHANGES, Changes
from .._items.community_item import CommunityItem
from .._items.configured_names import Names
from .._items.keys import SessionKey
from .._items.session_items import SessionItem
from .._protocol.expiry import Expiries, expiries, outlives_pages
from ..errors import ChatHistoryError, StorageError
from .steps import Steps
from .table import Refused

ATTEMPTS = 5  # times the pages that were cut while the others were extended are extended too

logger = logging.getLogger(__name__)

S = TypeVar("S", SessionItem, "SessionItem | None")


async def extend_before(steps: Steps, key: SessionKey, item: S, now: int, ttl: int | None) -> tuple[S, Expiries]:
    """Extend the pages where the stamp to come would outlive them; returns the state with them, and the stamps.

    Where that fails, the session gets no more time than its pages have. Raises `Refused` when `item` is not the
    current state.
    """
    times = expiries(now, ttl, item)
    if item is None or not item.pages_expire or not outlives_pages(item, times.session, now):
        return item, times
    try:
        return await _extend(steps, key, item, times.of(item)), times
    except ChatHistoryError as error:
        _warn(error)
        return item, times.within(item)


async def extend_after(steps: Steps, key: SessionKey, item: SessionItem, ttl: int | None) -> None:
    """The same where it was not known before the write, or was not to be done. The next change makes a failure good."""
    now = steps.clock()
    if not outlives_pages(item, None, now):
        return
    try:
        await _extend(steps, key, item, expiries(now, ttl, item).of(item))
    except Refused:
        pass  # others change the session, and see to it
    except ChatHistoryError as error:
        _warn(error)


def unstamped(item: SessionItem | CommunityItem, names: Names) -> Changes:
    """What else to remove for a session to lose its stamp: one that is no expiry to DynamoDB, which others wrote."""
    return NO_CHANGES if item.expires is not None else {names.ttl: None}


async def keep_for_good(steps: Steps, key: SessionKey, item: SessionItem) -> SessionItem:
    """Take the stamps off the pages, for a session that is about to lose its own; returns the state until then."""
    if item.first_page == item.pages:
        return item
    try:
        await steps.table.check_pages(key, item)
        if item.pages_expire:  # first: where this ends half-way, the next change gives the pages new stamps
            item = await steps.patch(key, item, replace(item, pages_expire=0))
        await steps.table.keep_pages(key, item.generation, range(item.first_page, item.pages), item.version)
    except StorageError as error:
        if not error.outcome_unknown:
            raise
        raise type(error)(f"{error} (the session still expires)", code=error.code) from error
    except Refused:
        raise Refused(None, retried=False) from None
    return item


async def _extend(steps: Steps, key: SessionKey, item: SessionItem, until: int) -> SessionItem:
    """Stamp all pages, then note it. Raises `Refused` where the state was not the current one (any more).

    Pages cut by others meanwhile are extended first, so that who comes again finds it done.
    """
    current, start = item, item.first_page
    for _ in range(ATTEMPTS):
        await steps.table.check_pages(key, current)
        numbers = range(max(start, current.first_page), current.pages)
        await steps.table.refresh_pages(key, current.generation, numbers, until, current.version)
        try:
            patched = await steps.patch(key, current, replace(current, pages_expire=until))
        except Refused as refused:
            now = refused.current or await steps.table.get(key)
            if not isinstance(now, SessionItem) or now.generation != item.generation or now.epoch <= current.epoch:
                break  # somebody else extends them, or there is nothing to extend any more
            # Any other change may have taken the stamps off the pages, or given them others.
            same = (now.reused, now.change) == (current.reused, current.change)
            start = current.pages if same else 0
            if now.expires is None:
                break  # made permanent meanwhile
            current = now
        else:
            if current is item:
                return patched
            break
    raise Refused(None, retried=False)


def _warn(error: ChatHistoryError) -> None:
    logger.warning("Could not extend the expiry of the pages of a session: %s", type(error).__name__)
