"""Attempts at a conditional write: how long to go on, and what is open after one of unknown outcome."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Coroutine, Iterator
from typing import Any

from .._checks import running_loop
from .._items.keys import SessionKey
from .._protocol.unknown_outcome import Doubt, unknown_outcome
from ..errors import (
    IdempotencyError,
    OutcomeUnknownError,
    SessionBusyError,
    StorageError,
    VersionConflictError,
)
from .table import Refused


class Patience:
    """Pauses between attempts, growing, with jitter; `SessionBusyError` when they add up to too much.

    Where DynamoDB's silence is what kept the attempts from succeeding, it is that error instead. So many `attempts`
    came before.
    """

    def __init__(self, what: str, seconds: float, attempts: int = 0) -> None:
        self.what = what
        self.attempt = attempts - 1
        self._seconds = seconds
        self._deadline = running_loop().time() + seconds
        self._last: Refused | None = None

    async def wait(self, at_least: float = 0.0) -> None:
        """Wait before the next attempt; the first and the second come at once."""
        self.attempt += 1
        if self.attempt == 0 and not at_least:
            return
        if asyncio.get_running_loop().time() > self._deadline:
            if self._last and isinstance(unanswered := self._last.__cause__, StorageError):
                raise type(unanswered)(str(unanswered), code=unanswered.code)  # which left nothing in doubt
            raise SessionBusyError(f"could not {self.what} for {self._seconds:.0f} s: others kept it busy; try again")
        pause = random.uniform(0, min(0.005 * 2**self.attempt, 0.5)) if self.attempt > 1 else 0.0
        await asyncio.sleep(max(pause, at_least))

    def lost(self, refused: Refused) -> None:
        """An attempt came to nothing because of this."""
        self._last = refused


@contextlib.contextmanager
def preparing() -> Iterator[None]:
    """Around requests that by themselves change nothing that anybody reads: no answer to one leaves no doubt.

    The attempt starts over, as if it had been `Refused`.
    """
    try:
        yield
    except StorageError as error:
        if not error.outcome_unknown:
            raise
        raise Refused(None, retried=False) from error
    except Refused as refused:
        if not refused.retried:
            raise
        raise Refused(refused.current, retried=False, beyond=refused.beyond) from None


@contextlib.contextmanager
def truthful(key: SessionKey, doubt: Doubt) -> Iterator[None]:
    """Around all attempts of an operation: as long as one of them is in doubt, no error may say that nothing happened.

    What is raised having looked (that it did not take place, or that nobody can tell) stands.
    """
    try:
        yield
    except (IdempotencyError, OutcomeUnknownError, VersionConflictError):
        raise
    except Exception as error:
        if doubt.active or (isinstance(error, StorageError) and error.outcome_unknown):
            raise unknown_outcome(key) from error
        raise


async def last_words(work: Coroutine[Any, Any, None], seconds: float) -> None:
    """Do what a cancelled task still has to do, for so long at most; another cancellation leaves it to itself.

    `work` deals with its own errors.
    """
    task = asyncio.create_task(for_so_long(work, seconds))
    _speaking.add(task)
    task.add_done_callback(_speaking.discard)
    await asyncio.shield(task)


async def for_so_long(work: Coroutine[Any, Any, None], seconds: float) -> None:
    """Do this, and cancel it after so many seconds.

    `asyncio.wait_for` would lose a cancellation that comes as the work ends, before Python 3.12.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait([task], timeout=seconds)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    if not task.cancelled():
        task.result()


_speaking: set[asyncio.Task[None]] = set()  # an event loop keeps no task alive
