"""What the clients of a chat session may see: its state, and every operation as a step from one state to the next.

A state holds what the session contains and the least version it can be at: versions also grow by the inner steps of
writes, which no client sees. Messages are named ``batch.index.size``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from linearizability import Operation

Tags = tuple[str, ...]
UNCHANGED: Tags = ("unchanged",)
"""What a change returns that has nothing to do."""


class State(NamedTuple):
    """`tags` None: there is no session. `changed` is the least version that the last change can have had."""

    tags: Tags | None = None
    version: int = 0
    changed: int = 0

    def written(self, tags: Tags | None) -> State:
        """After a change of whatever version."""
        return State(tags, self.version + 1, self.version + 1)

    def unchanged_since(self, version: int) -> State | None:
        """What a write that is guarded by this version builds on; its own inner steps may have been seen already."""
        if version == 0:
            return self if self.tags is None else None
        held = self.tags is not None and version >= self.changed
        return self._replace(version=max(version, self.version)) if held else None

    def seen_at(self, version: int) -> State | None:
        """Nothing but its version is learnt; 0: there is none."""
        if version == 0:
            return self if self.tags is None else None
        return self._replace(version=version) if self.tags is not None and version >= self.version else None


Step = Callable[[State], "State | None"]
Change = Callable[["Tags | None"], "Tags | None"]


def read(version: int, tags: Sequence[str], limit: int | None = None, count: int | None = None) -> Step:
    """The newest `limit` messages, and how many there were."""

    def step(state: State) -> State | None:
        all_tags = state.tags or ()
        window = all_tags if limit is None else all_tags[max(0, len(all_tags) - limit) :]
        if tuple(tags) != window or count not in (None, len(all_tags)):
            return None
        return state.seen_at(version)

    return step


def iterated(tags: Sequence[str]) -> Step:
    """All messages, at whatever version."""
    return lambda state: state if tuple(tags) == (state.tags or ()) else None


def saw_version(version: int) -> Step:
    """A write refused because the session was at this version; a read that found nothing new."""
    return lambda state: state.seen_at(version)


def wrote(change: Change, version: int | None, expected: int | None = None) -> Step:
    """A change that ended at `version` (None: nobody was told), allowed only at the version `expected`."""

    def step(state: State) -> State | None:
        before = state if expected is None else state.unchanged_since(expected)
        if before is None:
            return None
        tags = change(before.tags)
        if tags == UNCHANGED:
            return before if version is None else before.seen_at(version)
        after = before.written(tags)
        return after if version is None or version >= after.version else None

    return step


def perhaps(change: Change, expected: int | None = None) -> Step:
    """A change of which nobody was told; where it would change nothing that can be seen, it need not be tried."""
    told = wrote(change, None, expected)

    def step(state: State) -> State | None:
        after = told(state)
        return after if after is not None and after.tags != state.tags else None

    return step


def revived(change: Change) -> Step:
    """A copy of a request that was sent when no session was known arrives after the session was deleted."""
    told = perhaps(change)
    return lambda state: told(state) if state.tags is None else None


def append(tags: Tags) -> Change:
    """All of them, at the end."""
    return lambda before: (before or ()) + tags


def replace(tags: Tags) -> Change:
    """Nothing but these."""
    return lambda before: tags if tags or before is not None else UNCHANGED


def truncate(keep: int) -> Change:
    """The first `keep`."""
    return lambda before: UNCHANGED if before is None or keep >= len(before) else before[:keep]


def remove(tag: str) -> Change:
    """Without one message; unchanged where that is not there."""
    return lambda before: UNCHANGED if tag not in (before or ()) else tuple(one for one in before or () if one != tag)


def lacks(tag: str) -> Step:
    """A removal refused because there was no such message, or no session."""
    return lambda state: None if tag in (state.tags or ()) else state


def update_metadata(before: Tags | None) -> Tags:
    """The messages stay; a session there is."""
    return before or ()


def delete(before: Tags | None) -> Tags | None:
    """None is left."""
    return UNCHANGED if before is None else None


def acknowledged(
    name: str, begin: int, end: int, change: Change, version: int, expected: int | None = None
) -> list[Operation]:
    """A write whose caller was told a version: that of its own change or, where it found itself done, a later one."""
    return [
        Operation(name, begin, wrote(change, version, expected), end, version),
        Operation(f"{name} told {version}", begin, saw_version(version), end, version + 0.5),
    ]
