"""Every schedule of small scenarios: all orders of the requests, and faults at every place, up to a bound.

Schedules are played from the start, each a prefix of choices followed by the usual. Those that only swap two steps
which do not meet are left out (sleep sets, after Godefroid): of two requests to different items, or two reads, by
different clients, one order is enough. A bound on the switches between clients (as CHESS has it) keeps the number of
schedules small where the scenario is larger.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from .network import SLOW, WRITES, Sent
from .play import Result, World, play
from .scenario import Scenario
from .schedule import TICK, usual


@dataclass
class Bounds:
    """How far to go: faults of a schedule, switches away from a client that could go on, fates that are tried."""

    faults: int = 1
    switches: int = 3
    fates: tuple[str, ...] = ("lost", "gone", "late")
    events: tuple[str, ...] = ()


@dataclass
class _Choice:
    """A point at which something was chosen: what was not tried yet, and what a step costs in faults and switches."""

    left: list[str]
    chosen: str
    faults: int
    switches: int
    asleep: dict[str, object] = field(default_factory=dict)
    footprints: dict[str, object] = field(default_factory=dict)


class Pruned(BaseException):
    """This schedule only swaps steps of another one."""


class Enumeration:
    """All schedules within bounds, one after the other; iterate over `results`."""

    def __init__(self, scenario: Scenario, bounds: Bounds, seed: int = 0) -> None:
        self.scenario = scenario
        self.bounds = bounds
        self.seed = seed
        self.played = 0
        self.pruned = 0
        self._path: list[_Choice] = []
        self._depth = 0

    def results(self) -> Iterator[Result]:
        """Play all."""
        while True:
            self._depth = 0
            try:
                result = play(self.scenario, self, self.seed)
            except Pruned:
                self.pruned += 1
            else:
                self.played += 1
                yield result
            if not self._go_back():
                return

    def next(self, world: World) -> str:
        """The choice of the prefix, or a new one, which begins with the usual."""
        step = self._path[self._depth].chosen if self._depth < len(self._path) else self._new(world)
        self._depth += 1
        return step

    def _new(self, world: World) -> str:
        before = self._path[-1] if self._path else None
        faults, switches = (before.faults, before.switches) if before else (0, 0)
        footprints = {step: _footprint(world, step) for step in self._steps(world, faults, switches)}
        asleep: dict[str, object] = {}
        if before is not None:
            mine = before.footprints.get(before.chosen)
            asleep = {s: f for s, f in before.asleep.items() if _independent(mine, f) and footprints.get(s) == f}
        steps = [step for step in footprints if step not in asleep]
        if not steps:
            raise Pruned
        choice = _Choice(steps[1:], steps[0], faults, switches, asleep, footprints)
        self._path.append(choice)
        self._count(choice, world.last_client, [sent.call.client for sent in world.network.pending])
        return choice.chosen

    def _steps(self, world: World, faults: int, switches: int) -> list[str]:
        """What may be chosen here, the usual first."""
        first = usual(world)
        steps = [first]
        pending = world.network.pending
        going_on = any(sent.call.client == world.last_client for sent in pending)
        if not going_on or switches < self.bounds.switches:
            steps += [word for sent in pending if (word := world.word(sent)) not in steps]
        if faults < self.bounds.faults:
            for sent in pending:
                if sent.call.client == first or not going_on or switches < self.bounds.switches:
                    word = world.word(sent)
                    steps += [f"{word}/{fate}" for fate in sent.fates if fate in self.bounds.fates]
            if pending:
                steps += [event for event in world.events() if event.partition("!")[2] in self.bounds.events]
        steps += [f"~{i}" for i in range(len(world.network.ghosts)) if f"~{i}" not in steps]
        if pending and SLOW in self.bounds.fates and world.may_pass():
            steps.append(TICK)
        return steps

    def _count(self, choice: _Choice, last: str, pending: list[str]) -> None:
        """What the chosen step costs."""
        client = choice.chosen.partition("/")[0].partition(".")[0].partition("!")[0]
        strange = "/" in choice.chosen or "!" in choice.chosen
        before = self._path[-2] if len(self._path) > 1 else None
        choice.faults = (before.faults if before else 0) + strange
        switched = last in pending and client not in (last, TICK) and not client.startswith("~")
        choice.switches = (before.switches if before else 0) + switched
        choice.footprints["last"] = (last, tuple(pending))

    def _go_back(self) -> bool:
        """Change the last choice that has another one left."""
        while self._path:
            choice = self._path[-1]
            if choice.left:
                choice.asleep[choice.chosen] = choice.footprints.get(choice.chosen)
                choice.chosen = choice.left.pop(0)
                last, pending = choice.footprints["last"]  # type: ignore[misc]
                self._count(choice, last, list(pending))
                return True
            self._path.pop()
        return False


def _footprint(world: World, step: str) -> object:
    """What a step touches: client, items, and whether it writes; None for what meets everything."""
    if "/" in step or "!" in step or step == TICK or step.startswith("~"):
        return None
    sent = world.find(step)
    assert sent is not None
    return sent.call.client, sent.process.name, _keys(sent), sent.operation in WRITES, sent.call.requests


def _keys(sent: Sent) -> frozenset[str]:
    request = sent.request
    if "object" in sent.operation:  # some are of one, others of all that begin alike
        return frozenset(["objects"])
    if "RequestItems" not in request:
        return frozenset([(request.get("Key") or request["Item"])["SessionId"]["S"]])
    (wanted,) = request["RequestItems"].values()
    keys = [entry["DeleteRequest"]["Key"] for entry in wanted] if isinstance(wanted, list) else wanted["Keys"]
    return frozenset(key["SessionId"]["S"] for key in keys)


def _independent(one: object, other: object) -> bool:
    """Whether the order of two steps makes no difference to anybody."""
    if one is None or other is None:
        return False
    client, process, keys, writes, _ = one  # type: ignore[misc]
    client2, process2, keys2, writes2, _ = other  # type: ignore[misc]
    if client == client2 or process == process2:
        return False
    return not (keys & keys2) or not (writes or writes2)


SMALL: dict[str, tuple[str, Bounds]] = {
    "two appends begin a session": ("start=none | A: append:S | B: append:M", Bounds(2, 9, ("lost", "gone", "late"))),
    "two appends cut a page": ("start=full | A: append:M | B: append:L", Bounds(1, 4)),
    "two small appends cut a page": ("start=full | A: append:M | B: append:M", Bounds(1, 4)),
    "two large appends cut a page": ("start=none | A: append:X append:X | B: append:X", Bounds(1, 3)),
    "two appends cut a page, two faults": ("start=full | A: append:M | B: append:M", Bounds(2, 2, ("lost", "late"))),
    "a page with an object is put again": ("start=full blobs | A: append:M", Bounds(2, 9, ("late", "cut"))),
    "append and replace": ("start=full | A: append:M | B: replace:M", Bounds(1, 4)),
    "append and truncate": ("start=paged | A: append:M | B: truncate:1", Bounds(1, 3)),
    "append and another ending": ("start=paged | A: append:M | B: replace:S,keep=2", Bounds(1, 3)),
    "append and delete": ("start=tail | A: append:S | B: delete", Bounds(2, 4)),
    "a batch and an append": ("start=tail | A: append:MLM | B: append:S", Bounds(1, 3)),
    "a batch begins, a delete": ("start=none | A: append:MLM | B: delete", Bounds(1, 4)),
    "one key, two clients": ("start=full | A: append:M,key=x | B: append:M,key=x", Bounds(1, 4)),
    "guarded": ("start=full | A: append:M,at=seen | B: append:M,at=seen", Bounds(1, 4)),
    "the history is kept short": ("start=paged | A: append:M,hs=1 | B: append:M", Bounds(1, 3)),
    "a conversion": ("start=community | A: append:S | B: append:S", Bounds(1, 3)),
    "a conversion whose requests stray": ("start=short | A: append:S", Bounds(2, 9, ("late", "stray"))),
    "a conversion and langchain_community": ("start=community | A: append:S | B: legacy:S", Bounds(1, 4)),
    "a dead batch": ("start=midbatch | A: append:S | B: append:M", Bounds(0, 3)),
    "a reader and a cut": ("start=full | A: append:M append:M | B: read", Bounds(1, 4)),
    "a reader and a rewrite": ("start=paged | A: replace:LL | B: read", Bounds(1, 6)),
    "two edits of a page": ("start=paged | A: edit:S,from=9 | B: edit:M,from=9", Bounds(1, 2)),
    "an edit and a reader": ("start=paged | A: edit:S,from=9 | B: read", Bounds(1, 4)),
    "an edit and a window": ("start=paged | A: remove,from=2 | B: read:3", Bounds(1, 4)),
    "an edit and a cut": ("start=full | A: remove,from=9 | B: append:M append:M", Bounds(1, 3)),
    "an edit and another ending": (
        "start=paged | A: remove,from=2 | B: truncate:1 append:L append:L append:L",
        Bounds(0, 3),
    ),
    "an edit and a truncate": ("start=paged | A: remove,from=9 | B: truncate:2", Bounds(1, 3)),
    "the format of langchain_community": ("start=community community | A: append:S | B: append:S", Bounds(2, 5)),
    "a cancelled batch": ("start=tail | A: append:MLM | B: append:S", Bounds(1, 2, (), ("cancel", "kill"))),
    "a cancelled batch begins": ("start=none | A: append:MLM | B: append:S", Bounds(1, 2, (), ("cancel", "kill"))),
}
"""Scenarios small enough to be played in every order."""
