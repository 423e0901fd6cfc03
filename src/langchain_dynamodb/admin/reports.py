"""What the commands tell: of each session, of a run while it is on, and of the whole of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict

from ..models import RepairReport

Action: TypeAlias = Literal[
    "exported", "imported", "copied", "extended", "converted", "reverted", "reencrypted", "deleted", "repaired",
    "removed", "verified", "unchanged", "skipped", "different", "damaged", "failed",
]  # fmt: skip
BAD: frozenset[Action] = frozenset({"different", "damaged", "failed"})


class Outcome(BaseModel):
    """What became of one session. In a dry run it is what would become of it, `write_units` what that would take."""

    model_config = ConfigDict(frozen=True, ser_json_bytes="base64")

    session: str | dict[str, Any]
    """As `read` takes it."""
    action: Action
    """``removed``: pages that no session can have. ``different``: what is in the other place begins otherwise."""
    messages: int | None = None
    pages: int | None = None
    objects: int | None = None
    """Removed from the bucket."""
    write_units: int | None = None
    detail: str | None = None
    """Why it was skipped, or what is wrong."""
    repair: RepairReport | None = None


@dataclass(frozen=True)
class Progress:
    """How far a run has come. `scanned` and `items` count items of the table, pages among them.

    `items` is DynamoDB's own number, which it brings up to date every six hours; None where it is not known. Of a run
    over sessions that were named, they count these, and bytes where it goes through a file.
    """

    sessions: int
    scanned: int
    items: int | None
    read_units: float
    write_units: float
    seconds: float

    @property
    def rate(self) -> float:
        """Sessions a second."""
        return self.sessions / self.seconds if self.seconds else 0.0

    @property
    def seconds_left(self) -> float | None:
        """An estimate by what was `scanned` so far; None where there is nothing to go by."""
        if not self.items or not self.scanned:
            return None
        return self.seconds * max(0, self.items - self.scanned) / self.scanned


class Summary(BaseModel):
    """What a run did, or in a dry run would do."""

    model_config = ConfigDict(frozen=True)

    command: str
    table: str
    dry_run: bool = False
    sessions: int = 0
    messages: int = 0
    objects: int = 0
    """Removed from the bucket."""
    actions: dict[Action, int] = {}
    """How many sessions each was done to."""
    read_units: float = 0.0
    write_units: float = 0.0
    """Used by this run; since an interruption, by the part before it too."""
    estimated_write_units: int | None = None
    """Of a dry run: what it would take, without the table's indexes."""
    seconds: float = 0.0

    @property
    def is_good(self) -> bool:
        """Whether nothing failed, is damaged or different."""
        return not any(self.actions.get(action) for action in BAD)


class Tally:
    """Adds outcomes up."""

    def __init__(self) -> None:
        self.actions: Counter[Action] = Counter()
        self.messages = self.objects = self.estimated = 0

    def add(self, outcome: Outcome) -> None:
        """Count one."""
        self.actions[outcome.action] += 1
        self.messages += outcome.messages or 0
        self.objects += outcome.objects or 0
        self.estimated += outcome.write_units or 0

    @property
    def saved(self) -> dict[str, Any]:
        """As JSON."""
        counts = {"messages": self.messages, "objects": self.objects, "estimated": self.estimated}
        return {"actions": self.actions, **counts}

    def load(self, saved: Mapping[str, Any]) -> None:
        """The inverse; raises `KeyError` and `TypeError` for what it is not."""
        self.actions = Counter(saved["actions"])
        self.messages, self.objects, self.estimated = saved["messages"], saved["objects"], saved["estimated"]

    @property
    def sessions(self) -> int:
        """How many there were."""
        return sum(self.actions.values())


class Check(BaseModel):
    """One thing that `doctor` looked at."""

    model_config = ConfigDict(frozen=True)

    name: str
    state: Literal["good", "warning", "bad"]
    told: str
    """What was found, and what to do about it."""
