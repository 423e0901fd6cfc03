"""Makes a failing run short: fewer clients, fewer calls, fewer steps out of the ordinary."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from .play import Result, play
from .scenario import Scenario
from .schedule import Replay

ATTEMPTS = 3000


def kind_of(result: Result) -> str:
    """What was violated, without names and numbers: a shorter run has to fail in the same way."""
    return " ".join(word for word in str(result.violation).split() if word.isalpha() and word.islower())[:60]


def shrink(result: Result, seed: int, attempts: int = ATTEMPTS) -> Result:
    """The shortest run found that fails in the same way."""
    wanted = kind_of(result)
    left = attempts

    def fails(scenario: Scenario, steps: list[str]) -> Result | None:
        nonlocal left
        left -= 1
        played = play(scenario, Replay(steps), seed)
        return played if played.violation and kind_of(played) == wanted else None

    best = fails(result.scenario, result.steps)
    if best is None:  # it depends on something that a trace does not hold
        return result
    best = replace(best, steps=result.steps)
    while left > 0 and (shorter := _shorter(best, fails, lambda: left > 0)):
        best = shorter
    return replace(play(best.scenario, Replay(best.steps), seed, traced=True), steps=best.steps)


Fails = Callable[[Scenario, list[str]], "Result | None"]


def _shorter(best: Result, fails: Fails, more: Callable[[], bool]) -> Result | None:
    """The first simpler run that still fails."""
    for scenario in _simpler(best.scenario):
        if more() and (found := fails(scenario, best.steps)):
            return replace(found, steps=best.steps)
    size = max(1, len(best.steps))
    while size:
        for start in range(0, len(best.steps), size):
            steps = best.steps[:start] + best.steps[start + size :]
            if more() and (found := fails(best.scenario, steps)):
                return replace(found, steps=steps)
        size //= 2
    return None


def _simpler(scenario: Scenario) -> Iterator[Scenario]:
    plans = scenario.plans
    for index, plan in enumerate(plans):
        if len(plans) > 1:
            yield replace(scenario, plans=plans[:index] + plans[index + 1 :])
        for place in range(len(plan.ops)):
            ops = plan.ops[:place] + plan.ops[place + 1 :]
            if ops:
                yield replace(scenario, plans=(*plans[:index], replace(plan, ops=ops), *plans[index + 1 :]))
    for name in dict(scenario.clocks):
        yield replace(scenario, clocks=tuple(clock for clock in scenario.clocks if clock[0] != name))
    if not scenario.explains:
        yield replace(scenario, explains=True)
    if scenario.encrypted:
        yield replace(scenario, encrypted=False)
    if scenario.blobs:
        yield replace(scenario, blobs=False)
    if scenario.ttl is not None:
        yield replace(scenario, ttl=None)
    if scenario.start != "none":
        yield replace(scenario, start="none")
    if scenario.sizes != "tiny":
        yield replace(scenario, sizes="tiny")
