"""The sessions that a run is about, from where it has come to: those that were named, or those of the table."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator

from .._items.keys import Session
from .._store.listing import Listing
from ..models import SessionSummary
from ..repository import AsyncSessionRepository
from .running import Passed, Thing, Work


async def chosen(work: Work, repository: AsyncSessionRepository) -> AsyncGenerator[Thing[Session] | Passed, None]:
    """The sessions that the run is about."""
    if work.run.sessions:
        async for thing in named(work):
            yield thing
        return
    async with contextlib.aclosing(listed(work, repository)) as things:
        async for found in things:
            yield found if isinstance(found, Passed) else Thing(found.position, found.session, found.session)


async def named(work: Work) -> AsyncGenerator[Thing[Session], None]:
    """Those that were named, from where the run has come to."""
    for index, session in enumerate(work.run.sessions):
        if index >= int(work.position or 0):
            yield Thing(str(index + 1), session, session, index)


async def listed(
    work: Work, repository: AsyncSessionRepository
) -> AsyncGenerator[Thing[SessionSummary] | Passed, None]:
    """Those of the table, as far as they match and are this run's.

    First those whose history has another name, as far as they are seen: what is done to them says so.
    """
    run = work.run
    if work.position is None and not run.part:
        for misnamed in (await repository._lister.misnamed()).values():
            for summary in misnamed:
                if work.wants(summary.session):
                    yield Thing(None, summary.session, summary)
    listing = Listing(cursor=work.position, segments=run.segments, segment=run.part)
    async with contextlib.aclosing(repository._lister.list(listing)) as summaries:
        async for summary in summaries:
            if work.wants(summary.session):
                yield Thing(summary.cursor, summary.session, summary)
            elif summary.cursor is not None:
                yield Passed(summary.cursor)
