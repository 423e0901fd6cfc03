"""The simulation itself: it repeats what it played, finds what is broken, and makes it short."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from langchain_dynamodb._dynamodb.expressions import Expression
from langchain_dynamodb._items.page_items import Page
from langchain_dynamodb._store import table
from simulation.__main__ import report, run_seed
from simulation.mutations import MUTATIONS, PACKAGE, Mutation
from simulation.play import play, surroundings
from simulation.scenario import Scenario, draw
from simulation.schedule import Replay
from simulation.shrink import shrink

pytestmark = pytest.mark.once


def test_replay() -> None:
    """A seed plays the same every time, and so does the trace that it left."""
    with surroundings():
        for seed in range(30):
            first, again = run_seed(seed), run_seed(seed)
            replayed = play(first.scenario, Replay(first.steps), seed)
            assert first.steps == again.steps == replayed.steps
            assert str(first.violation) == str(again.violation) == str(replayed.violation)


def test_scenarios_are_text() -> None:
    """What a scenario shows as is read back as the same."""
    for seed in range(300):
        scenario = draw(random.Random(seed))
        assert Scenario.parse(str(scenario)) == scenario


def unconditional(page: Page, *_: object) -> Expression:
    """A page put on no condition but one that always holds."""
    e = Expression()
    e.require(f"NOT {e.name('lc_cut')} = {e.value({'S': 'never'})}")
    return e


def test_shrink(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broken protocol is found within a few schedules; what is reported replays, and is short."""
    monkeypatch.setattr(table, "put_page", unconditional)
    with surroundings():
        seed = next(seed for seed in range(50_000, 60_000) if "damaged" in str(run_seed(seed).violation))
        found = shrink(run_seed(seed), seed, attempts=300)
        again = play(Scenario.parse(str(found.scenario)), Replay(" ".join(found.steps).split()), seed)
    assert "damaged" in str(found.violation)
    assert str(again.violation) == str(found.violation)
    assert len(found.steps) <= 40
    assert f'--seed {seed} --replay "{found.scenario}"' in report(found, seed)


def test_the_page_counts_the_mutations() -> None:
    """As many ways to break the protocol as there are."""
    page = (PACKAGE.parents[1] / "docs/reliability.md").read_text(encoding="utf-8")
    assert f"breaks the protocol in {len(MUTATIONS)} ways" in page


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_mutations_apply(mutation: Mutation, tmp_path: Path) -> None:
    """What ``nox -s mutations`` replaces is there, and what it makes can be compiled."""
    file = tmp_path / mutation.module
    file.parent.mkdir()
    source = (PACKAGE / mutation.module).read_text(encoding="utf-8")
    file.write_text(source, encoding="utf-8")
    mutation.apply(tmp_path)
    changed = file.read_text(encoding="utf-8")
    compile(changed, str(file), "exec")
    assert changed != source
