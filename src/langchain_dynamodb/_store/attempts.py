"""The frame of a change: look, take one step from what is there, start over when another was faster."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from .._items.community_item import CommunityItem, State
from .._items.keys import SessionKey
from .._protocol.identity import check_exists, check_expected, only_appends
from .._protocol.unknown_outcome import Doubt, unknown_outcome
from ..errors import StorageError
from .retrying import truthful
from .steps import Steps
from .stored_pages import Unproven
from .table import Refused

Step: TypeAlias = Callable[[State | None, bytes, int], Awaitable[State | None]]


async def change(
    steps: Steps,
    key: SessionKey,
    op: bytes,
    expected: int | None,
    step: Step,
    *,
    must_exist: bool = False,
    ops: frozenset[bytes] = frozenset(),
) -> int:
    """Look, take one step from what is there, start over when another was faster; returns the version.

    `ops` are the ids of an append in langchain_community's format. Raises `OutcomeUnknownError` where an attempt of
    unknown outcome was followed by changes of others.
    """
    patience = steps.patience(f"change session {key}")
    doubt = Doubt()
    seen: State | None = None
    with truthful(key, doubt):
        while True:
            try:
                await patience.wait()
                item = await steps.await_idle(key, op)
                if item and item.has_op(op):
                    if isinstance(item, CommunityItem):
                        doubt.check_content(key, ops, item.ops)
                    return item.version
                if doubt.active and not only_appends(seen, item):
                    raise unknown_outcome(key)
                seen = item
                check_expected(key, item, expected)
                if must_exist:
                    check_exists(key, item)
                new = await step(item, op, patience.attempt)
                return new.version if new else 0
            except Refused as refused:
                doubt.active |= refused.retried
                patience.lost(refused)
            except StorageError as error:
                if not error.outcome_unknown:
                    raise
                doubt.active = True
            except Unproven:  # rewritten between our look and the read of its pages
                pass
