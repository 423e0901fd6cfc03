"""A writer dies or is cancelled at every one of its requests: all before or all after, and it can be deleted whole.

The requests are found by recording; the table is scanned after every single death.
"""

from __future__ import annotations

import asyncio
import functools

import pytest

from conftest import RepositoryFactory
from scenarios import CASES, Case, goes_on, is_leased, moments, record, start, survives
from support import THOROUGH, Clock, Crash, Crashing, Stopping, scan, watch

pytestmark = pytest.mark.real_engine
FIRST = {(case.prepare, case.operation): case for case in reversed(CASES)}  # of each kind
DEATHS = [case for number, case in enumerate(CASES) if THOROUGH or case in FIRST.values() or number % 4 == 0]
CANCELLED = DEATHS if THOROUGH else DEATHS[::3]


@pytest.fixture
def clock(make_repository: RepositoryFactory, case: Case) -> Clock:
    """The test's clock, and leases at once where the case is about a busy session; no renewal comes in between."""
    make_repository.wait(renew=600, **({"races": 0} if case.busy else {}))
    return make_repository.set_clock()


@pytest.mark.once
@pytest.mark.parametrize("case", DEATHS, ids=str)
async def test_dying_at_every_request(make_repository: RepositoryFactory, clock: Clock, case: Case) -> None:
    """Nothing is sent any more, and what was under way arrives."""
    make = functools.partial(make_repository, **case.options)
    course = await record(case, make, clock)
    done: list[bool] = []
    for at, died_after in moments(course.steps):
        dying, before = await start(make, clock, course.items, course.objects, course.moment)
        assert before == course.before
        watch(dying, Crashing, at, died_after)
        with pytest.raises(Crash):
            await case.operation(dying)
        clock.advance(60)  # past any lease
        done.append(await survives(make(), course, goes_on(course.steps, at, died_after)))
    assert done == sorted(done)


@pytest.mark.once
@pytest.mark.parametrize("case", CANCELLED, ids=str)
async def test_cancelled_at_every_request(make_repository: RepositoryFactory, clock: Clock, case: Case) -> None:
    """As death, but nobody has to wait for a lease."""
    make = functools.partial(make_repository, **case.options)
    course = await record(case, make, clock)
    done: list[bool] = []
    for at, after in moments(course.steps):
        client, _ = await start(make, clock, course.items, course.objects, course.moment)
        stopping: Stopping = watch(client, Stopping, at, after)
        task = asyncio.ensure_future(case.operation(client))
        await stopping.stopped.wait()
        stopping.proceed()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not is_leased(await scan(client), clock.now)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        done.append(await survives(client if at % 2 else make(), course, goes_on=True))
    assert done == sorted(done)
