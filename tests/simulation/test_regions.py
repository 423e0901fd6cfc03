"""Global tables: with a home region nothing acknowledged is lost, and nothing healthy is called damaged."""

from __future__ import annotations

import logging

import pytest

from simulation.play import surroundings
from simulation.regions import CHANGES, Regions
from support import THOROUGH

pytestmark = [pytest.mark.once, pytest.mark.any_engine]
RUNS = 300  # of each kind of changes
PARTS = 10


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Edits that a failing region interrupts are logged."""
    monkeypatch.setattr(logging.getLogger("langchain_dynamodb"), "disabled", True)


@pytest.mark.parametrize("changes", CHANGES)
@pytest.mark.parametrize("part", range(PARTS if THOROUGH else 3))
def test_a_home_region(changes: str, part: int) -> None:
    """Half of the runs with a fail-over and a return; also while only parts of a session have arrived."""
    late = refused = 0
    failed: list[tuple[int, list[str]]] = []
    with surroundings():
        for seed in range(part * RUNS // PARTS, (part + 1) * RUNS // PARTS):
            run = Regions(seed, changes).play(fails=seed % 2 == 1)
            late, refused = late + run.late, refused + run.refused
            if run.problems:
                failed.append((seed, run.problems[:3]))
    assert failed[:3] == []
    assert late > RUNS / PARTS
    assert refused > RUNS / PARTS


def test_without_one() -> None:
    """Two regions that both write lose what was acknowledged: the docs say so, and this test can tell."""
    with surroundings():
        lost = [bool(Regions(seed, "appends", homes=False).play(fails=False).problems) for seed in range(20)]
    assert sum(lost) > 10
