"""Attempts at a conditional write: how long to go on, and what is open after one of unknown outcome."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeAlias

from .errors import (
    CorruptSessionError,
    IdempotencyError,
    OutcomeUnknownError,
    RepositoryClosedError,
    SessionBusyError,
    StorageError,
    VersionConflictError,
)
from .keys import PAGE_NUMBERS, SessionKey
from .layout import CommunityItem, Page, SessionItem
from .reading import Unproven
from .table import Refused

PATIENCE_SECONDS = 30.0  # how long a write waits for others before it gives up
LOOK_BACK = 32  # pages cut since then, at most, among which an append at a version is looked for
LAST_WORDS_SECONDS = 1.0  # how long a cancelled task may go on, to tidy up

State: TypeAlias = SessionItem | CommunityItem
Step: TypeAlias = Callable[[State | None, bytes, int], Awaitable[State | None]]


@dataclass
class Doubt:
    """What attempts of unknown outcome leave open: the pages in which their operation may turn up."""

    active: bool = False
    generation: int | None = None  # of the session they were meant for, where it was seen
    version: int | None = None  # that the session had to have, where that was all that was known of it
    lo: int = 0
    hi: int = 0

    def widen(self, item: State | None, expected: int | None) -> None:
        """An append on this state of the session (None: not seen) may have been applied, or may yet be."""
        seen = item if isinstance(item, SessionItem) else None
        base = seen.pages if seen else 0
        self.lo = min(self.lo, base) if self.active else base
        if not item:
            self.version = expected
        if expected and not item:  # only the version was the condition, so it may be in any page
            self.hi = PAGE_NUMBERS
        self.hi = max(self.hi, base + 1)
        self.generation = self.generation or (seen.generation if seen else None)
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
        lo = max(self.lo, item.first_page, item.pages - LOOK_BACK if self.version else 0)
        return range(lo, min(self.hi + 1, item.pages))

    def is_after(self, page: Page) -> bool:
        """Whether this page, and so all before it, was cut before the operation can have taken place."""
        return page.cut <= (self.version or 0)

    def settle_below(self, pages: int) -> None:
        """Pages below are known not to hold it, and no late attempt can add it there."""
        self.lo = max(self.lo, pages)
        self.active = self.active and self.lo <= self.hi


class Patience:
    """Pauses between attempts, growing, with jitter; `SessionBusyError` when they add up to too much."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.attempt = -1
        self._deadline = time.monotonic() + PATIENCE_SECONDS

    async def wait(self, at_least: float = 0.0) -> None:
        """Wait before the next attempt; the first and the second come at once."""
        self.attempt += 1
        if self.attempt == 0 and not at_least:
            return
        if time.monotonic() > self._deadline:
            raise SessionBusyError(
                f"could not {self.what} for {PATIENCE_SECONDS:.0f} s: others kept it busy; try again"
            )
        pause = random.uniform(0, min(0.005 * 2**self.attempt, 0.5)) if self.attempt > 1 else 0.0
        await asyncio.sleep(max(pause, at_least))


async def change(
    key: SessionKey,
    op: bytes,
    expected: int | None,
    settled: Callable[[SessionKey, bytes], Awaitable[State | None]],
    step: Step,
) -> int:
    """Look, take one step from what is there, start over when another was faster; returns the version.

    Raises `OutcomeUnknownError` where an attempt of unknown outcome was followed by changes of others.
    """
    patience = Patience(f"change session {key}")
    in_doubt = False
    seen: object = None
    while True:
        try:
            await patience.wait()
            item = await settled(key, op)
            if item and item.has_op(op):
                return item.version
            if in_doubt and _change_mark(item) != seen:
                raise unknown_outcome(key)
            seen = _change_mark(item)
            check_expected(key, item, expected)
            new = await step(item, op, patience.attempt)
            return new.version if new else 0
        except Refused as refused:
            in_doubt = in_doubt or refused.retried
        except (StorageError, SessionBusyError, CorruptSessionError, RepositoryClosedError) as error:
            if not (isinstance(error, StorageError) and error.outcome_unknown):
                if in_doubt:
                    raise unknown_outcome(key) from error
                raise
            in_doubt = True
        except Unproven:  # rewritten between our look and the read of its pages
            pass


async def last_words(work: Coroutine[Any, Any, None]) -> None:
    """Do what a cancelled task still has to do, within bounds; another cancellation leaves it to itself.

    `work` deals with its own errors.
    """
    task = asyncio.create_task(_bounded(work))
    _speaking.add(task)
    task.add_done_callback(_speaking.discard)
    await asyncio.shield(task)


async def _bounded(work: Coroutine[Any, Any, None]) -> None:
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(work, LAST_WORDS_SECONDS)


_speaking: set[asyncio.Task[None]] = set()  # an event loop keeps no task alive


def _change_mark(item: State | None) -> object:
    """What stays the same as long as there are only appends."""
    if isinstance(item, SessionItem):
        return item.generation, item.change
    return item is None


def new_op() -> bytes:
    """A fresh operation id."""
    return os.urandom(8)


def unknown_outcome(key: SessionKey) -> OutcomeUnknownError:
    """The error where even a look at the session does not tell whether a write happened."""
    return OutcomeUnknownError(
        f"the write to session {key} may or may not have been applied, and it can no longer be told which: "
        "read the session before you retry"
    )


def check_expected(key: SessionKey, item: SessionItem | CommunityItem | None, expected: int | None) -> None:
    """Raise `VersionConflictError` unless the session is at the expected version."""
    actual = item.version if item else 0
    if expected not in (None, actual):
        raise VersionConflictError(
            f"session {key} is at version {actual}, not {expected}: read it again and decide anew",
            expected=expected or 0,
            actual=actual,
        )


def check_content(key: SessionKey, wanted: frozenset[bytes], stored: frozenset[bytes]) -> None:
    """Raise `IdempotencyError` unless the ids of the content are stored along with that of its idempotency key."""
    if not wanted <= stored:
        raise IdempotencyError(
            f"this idempotency key was used on session {key} for other messages: use a new key for new messages"
        )
