"""Schedules without a violation: always the same random ones, and all of some small scenarios.

``nox -s simulate`` plays fresh ones, and many more; with ``-- --exhaustive`` all of all small scenarios. A failure
shows the shortest run that fails, and the line that repeats it.
"""

from __future__ import annotations

from typing import Any

import pytest

from simulation.__main__ import rare_collections, report, run_seeds, shrunk
from simulation.exhaustive import SMALL, Enumeration
from simulation.play import play, surroundings
from simulation.scenario import Scenario
from simulation.schedule import Replay
from simulation.shrink import shrink

pytestmark = [pytest.mark.once, pytest.mark.any_engine]

SCHEDULES = 500  # of each: `nox -s simulate` plays others, and as many as one likes
QUICK = [
    "two small appends cut a page",
    "append and replace",
    "one key, two clients",
    "guarded",
    "the history is kept short",
    "a dead batch",
    "a reader and a cut",
    "the format of langchain_community",
]
FOUND: dict[str, tuple[Any, ...]] = {
    "an edit comes into its page, and the object goes that was read for it": (
        "start=full encrypted blobs clock=A+3600 | A: append:M,hs=2 edit:M,from=3 | B: edit:S,from=2",
        "A A A A A A B A A B A B B B A A B",
    ),
    "a declaration that its cancelled writer ended before it arrived": (
        "start=none clock=B+3600 | B: append:MLM,key=x",
        "B B!cancel",
    ),
    "langchain_community after a batch that left the tail empty": ("start=none | C: append:MMM legacy:S", ""),
    "a delete that never arrived, and a conversion": ("start=community | A: delete | B: append:L", "A A/gone"),
    "history_size and messages in parts": (
        "start=none sizes=parts | A: append:MMMMM,at=seen | B: append:SX,hs=3",
        "",
    ),
    "pages older than their session": (
        "start=paged ttl=5184000 | A: meta pause meta pause meta pause meta pause read",
        "A A + A A + A A A A + A A A A + !ttl",
    ),
    "a conflict after a conversion names the version that was given": (
        "start=community | A: append:SX,at=seen",
        "A A A A A A A/cut",
    ),
    "a conversion is taken back by a request that is late, as its commit is": (
        "start=community | A: append:S,at=seen",
        "A A A A A A/stray A/stray A ~0",
    ),
    "a page that was kept for good is put once more, and then gets a late stamp": (
        "start=paged | A: append:M pause append:SM | B: pause append:M expire:50 expire | C: append:M",
        "A A C A!cancel B!cancel B B B A A A B A B B B B.3/stray",
    ),
    "an idempotency key that others used again, once it had left the last page": (
        "start=full | A: append:SX,hs=2 append:L append:M,key=x | B: append:S,key=x",
        "B/lost A",
    ),
    "an append to whatever session there is comes late to the next of that name": (
        "start=community | A: append:S,key=x | B: append:MLM append:M,exist=yes | C: delete",
        "A A A.1 B/busy B/late A A A + B B B C",
        6,
    ),
    "the same of a batch that begins a session": ("start=none | A: append:LL", "A A A A A/stray A/stray A ~0"),
    "pages of a session that is made permanent while they are extended": (
        "start=community ttl=5184000 | A: pause expire append:XM expire | B: pause append:M",
        "+ A A A A A A A B B A A A A A A A A A A A A A A A A A A A A A A A A A A A A A A A",
    ),
    "pages that a session made permanent kept were taken for extended by one who had not seen that": (
        "start=none ttl=5184000 encrypted | A: append:XM pause expire append:MLM "
        "| C: pause append:L pause append:MMM pause append:S pause reencrypt",
        "A A A A A + C C C + A A A A A A A A A A A A A A A A A A + C C C C C C C C C C C C C + C + !ttl",
        531622545198,
    ),
    "an edit whose page is gone with a session that was deleted meanwhile": (
        "start=restored | A: edit:M,from=5 delete,search=yes | B: edit:S,from=4",
        "A A A A/slow B B B A B!behind",
        314466874106,
    ),
    "a page number that was used again, and an append that drops old pages": (
        "start=none sizes=parts | A: replace:SX replace:S,keep=1 append:LLL | B: append:M,hs=2 append:MMMMM,hs=1",
        "A A A A A A B B A",
        485973881212,
    ),
}
"""Traces of what was wrong once: scenario, steps and, where the pauses matter, the seed of chance."""


@pytest.mark.parametrize("name", FOUND)
def test_found(name: str) -> None:
    """What the simulation found stays mended."""
    scenario, steps, *seeds = FOUND[name]
    seed = seeds[0] if seeds else 1
    with surroundings():
        result = play(Scenario.parse(scenario), Replay(steps.split()), seed, traced=True)
    if result.violation:
        pytest.fail(report(result, seed), pytrace=False)


@pytest.mark.parametrize("first", [1_000_000, 2_000_000, 3_000_000, 4_000_000])
def test_random_schedules(first: int) -> None:
    """The same schedules every time; the first that violates a promise is made short."""
    played, _, failed = run_seeds(iter(range(first, first + SCHEDULES)))
    if failed:
        pytest.fail(shrunk(failed[0][0]), pytrace=False)
    assert played == SCHEDULES


@pytest.mark.parametrize("name", QUICK)
def test_every_schedule(name: str) -> None:
    """All of a small scenario, within its bounds."""
    text, bounds = SMALL[name]
    enumeration = Enumeration(Scenario.parse(text), bounds)
    with rare_collections(), surroundings():
        for result in enumeration.results():
            if result.violation:
                pytest.fail(report(shrink(result, 0), 0), pytrace=False)
    assert enumeration.played > 50
