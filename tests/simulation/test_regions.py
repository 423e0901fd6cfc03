"""Global tables: with a home region nothing acknowledged is lost, and nothing healthy is called damaged."""

from __future__ import annotations

import logging

import pytest

from simulation.play import surroundings
from simulation.regions import Regions

pytestmark = [pytest.mark.once, pytest.mark.any_engine]
RUNS = 1000


@pytest.fixture(autouse=True)
def quiet() -> None:
    """Edits that a failing region interrupts are logged."""
    logging.getLogger("langchain_dynamodb").setLevel(logging.ERROR)


@pytest.mark.parametrize("edits", [False, True], ids=["appends", "edits"])
@pytest.mark.parametrize("part", range(10))
def test_a_home_region(edits: bool, part: int) -> None:
    """A thousand runs, half of them with a fail-over and a return; also while only parts of a session have arrived."""
    late = refused = 0
    failed: list[tuple[int, list[str]]] = []
    with surroundings():
        for seed in range(part * RUNS // 20, (part + 1) * RUNS // 20):
            run = Regions(seed, edits=edits).play(fails=seed % 2 == 1)
            late, refused = late + run.late, refused + run.refused
            if run.problems:
                failed.append((seed, run.problems[:3]))
    assert failed[:3] == []
    assert late > RUNS / 20
    assert refused > RUNS / 20


def test_without_one() -> None:
    """Two regions that both write lose what was acknowledged: the docs say so, and this test can tell."""
    with surroundings():
        lost = [bool(Regions(seed, homes=False, edits=False).play(fails=False).problems) for seed in range(20)]
    assert sum(lost) > 10
