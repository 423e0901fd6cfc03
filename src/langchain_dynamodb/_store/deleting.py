"""Removes sessions."""

from __future__ import annotations

from dataclasses import dataclass

from .._items.community_item import State
from .._items.keys import SessionKey
from .._items.session_items import SessionItem, new_op
from .._protocol.identity import check_expected, is_same
from .._protocol.unknown_outcome import Doubt, unknown_outcome
from ..errors import StorageError
from .retrying import truthful
from .steps import Steps
from .table import Refused


@dataclass(frozen=True)
class Deleter:
    """Deletes sessions, of whichever format they are."""

    steps: Steps

    async def delete(self, key: SessionKey, expected: int | None) -> None:
        """Mark the session, then remove its pages, then the item; that of langchain_community at once."""
        patience, op = self.steps.patience(f"delete session {key}"), new_op()
        doubt = Doubt()
        meant: State | None = None  # the session that an attempt in doubt was about
        with truthful(key, doubt):
            while True:
                await patience.wait()
                item = await self.steps.await_idle(key, op)
                if doubt.active and self._is_gone(key, meant, item):
                    return
                check_expected(key, item, expected)
                if item is None or not item.version:  # an item of nothing but a key may be somebody else's
                    return
                meant = item
                try:
                    busy = expected is None and patience.attempt >= self.steps.timing.races
                    if busy and isinstance(item, SessionItem):
                        item = await self.steps.lease(key, item, op)
                    async with self.steps.holding(key, item):
                        await self.steps.remove(key, item)
                    return
                except Refused as refused:
                    doubt.active |= refused.retried
                    patience.lost(refused)
                except StorageError as error:
                    if not error.outcome_unknown:
                        raise
                    doubt.active = True

    def _is_gone(self, key: SessionKey, meant: State | None, item: State | None) -> bool:
        """Whether a session is there no more that may have been deleted; what is there may be the next of its name.

        Raises `OutcomeUnknownError` where it may be either: an item of langchain_community bears no mark to tell by.
        """
        if item is None:
            return True
        if is_same(meant, item):
            return False
        if isinstance(meant, SessionItem) and isinstance(item, SessionItem):
            return True
        raise unknown_outcome(key)
