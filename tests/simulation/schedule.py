"""Who decides what happens next: chance, an enumeration of everything, or a trace that is played again.

A step is named by a word: ``A`` (the oldest request under way of client A is applied and answered), ``A.1/lost`` (what
becomes of the one after it), ``~0`` (a late request arrives), ``+`` (time passes until somebody wakes up), ``A!kill``,
``A!cancel``, ``A!ahead`` and ``A!behind`` (its clock jumps by an hour), ``!ttl`` (DynamoDB deletes what has expired).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from .network import CUT, GONE, LATE, LOST, OK, SLOW, STALE, STRAY

if TYPE_CHECKING:
    from .play import World

TICK = "+"
SWARMS: tuple[tuple[str, ...], ...] = (
    (),
    (),
    (),
    (),
    (LATE, STRAY),
    (STRAY,),
    (LATE, SLOW),
    (LOST, CUT),
    (GONE, LOST, SLOW),
)
"""Fates that a run keeps to; none: all."""


class Schedule(Protocol):
    """Names the next step."""

    def next(self, world: World) -> str:
        """One of the steps that are possible now."""
        ...


def usual(world: World) -> str:
    """What happens where nothing else is asked for: requests in the order of the clients, late ones last."""
    pending = world.network.pending
    if pending:
        last = world.last_client
        return next((sent.call.client for sent in pending if sent.call.client == last), pending[0].call.client)
    return TICK if world.loop.next_timer() is not None else "~0"


class Replay:
    """The steps of a trace, those left out that are not possible; then the usual."""

    def __init__(self, steps: Sequence[str]) -> None:
        self._steps = list(reversed(steps))

    def next(self, world: World) -> str:
        while self._steps:
            step = self._steps.pop()
            if world.possible(step):
                return step
        return usual(world)


class Random:
    """By chance: clients have priorities that change at a few moments, and a few faults strike."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._random = chance.random
        self.faults = chance.choice([0, 1, 1, 2, 2, 3, 4])
        self._rate = chance.choice([0.04, 0.1, 0.3])
        # Runs in which few things go wrong, and often, find what runs in which anything may do not.
        self._fates = chance.choice(SWARMS)
        self._style = chance.choice(["priorities", "priorities", "any", "sticky"])
        self._priorities: dict[str, float] = {}
        self._haste = chance.choice([0.0, 0.0, 0.02, 0.2])  # how likely time passes while requests are under way
        self._landing = chance.choice([0.0, 0.05, 0.3])
        self._lagging = chance.choice([0.0, 0.1, 0.5])  # how likely pages are read as they were
        self._deleting = chance.choice([0.0, 0.05, 0.4])  # how likely DynamoDB deletes what has expired

    def next(self, world: World) -> str:
        network, draw = world.network, self._random
        pending = network.pending
        if network.ghosts and draw() < (self._landing if pending else 0.3):
            return f"~{int(draw() * len(network.ghosts))}"
        timer = world.may_pass()
        if not pending:
            if timer:
                return self._event(world) or TICK
            return "~0"
        if timer and draw() < self._haste:
            return TICK
        if world.scenario.ttl is not None and draw() < self._deleting and world.possible("!ttl"):
            return "!ttl"
        if self.faults and draw() < self._rate:
            strange = self._event(world) if draw() < 0.15 else self._fault(world)
            if strange is not None:
                return strange
        step = self._client(world)
        if self._lagging:
            sent = world.find(step)
            if sent is not None and STALE in sent.fates and draw() < self._lagging:
                return f"{step}/{STALE}"
        return step

    def _client(self, world: World) -> str:
        pending, draw = world.network.pending, self._random
        if len(pending) == 1:
            return pending[0].call.client
        if self._style == "sticky" and draw() < 0.8:
            for sent in pending:
                if sent.call.client == world.last_client:
                    return world.last_client
        if self._style == "priorities":
            if draw() < 0.08:
                self._priorities[pending[int(draw() * len(pending))].call.client] = draw()
            for sent in pending:
                if sent.call.client not in self._priorities:
                    self._priorities[sent.call.client] = draw()
            chosen = max(pending, key=lambda sent: self._priorities[sent.call.client])
            if draw() < 0.9:
                return chosen.call.client
        return world.word(pending[int(draw() * len(pending))])

    def _fault(self, world: World) -> str | None:
        pending, draw = world.network.pending, self._random
        sent = pending[int(draw() * len(pending))]
        fates = sent.fates
        if self._fates:
            fates = tuple(fate for fate in fates if fate in self._fates)
        if not fates or sent.call.client in world.calm:
            return None
        fate = fates[int(draw() * len(fates))]
        self.faults -= fate != SLOW
        return f"{world.word(sent)}/{fate}"

    def _event(self, world: World) -> str | None:
        events = world.events()
        if not events or not self.faults:
            return None
        event = events[int(self._random() * len(events))]
        self.faults -= not event.startswith("!")
        return event


__all__ = ["OK", "Random", "Replay", "Schedule", "usual"]
