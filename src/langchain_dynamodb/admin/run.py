"""What a run over many sessions is to be: which sessions, how many at a time, at which pace."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from .._checks import check_count, check_flag, short
from .._items.keys import Session
from .._store.listing import TOTAL_SEGMENTS
from ..errors import InvalidInputError
from ..repository import AsyncSessionRepository
from .reports import Outcome, Progress

_SLASH = re.compile(r"/(?![^\[]*\])")  # none within brackets


@dataclass(frozen=True)
class Run:
    """How a command goes over the sessions of a table, or over those named.

    `sessions` names them; with none it is all, or those that `match`, a pattern as of the shell: ``*`` is any text,
    ``?`` one character, ``[ab]`` one of these, so that ``[*]``, ``[?]`` and ``[[]`` stand for themselves. It is
    compared with the session id; of a key of two attributes, each with its part of the pattern (``ann/*``; ``[/]`` is a
    slash within a value). Of so many `segments` of the table only number `segment` (from 0 on) is looked at, so that
    many machines can share one. `at_once` sessions are worked on at a time, with at most `max_write_units` a second.
    With `dry_run` nothing is written. `resume` is a file that says how far the run has come: it is there while the run
    is not through, and where it is there at the start, the run goes on.

    `tell` is called with what became of each session, `show` now and then with how far it has come.

    Raises `InvalidInputError`.
    """

    sessions: Sequence[Session] = ()
    match: str | None = None
    segments: int = 1
    segment: int | None = None
    at_once: int = 8
    max_write_units: float | None = None
    dry_run: bool = False
    resume: Path | None = None
    tell: Callable[[Outcome], None] = lambda outcome: None
    show: Callable[[Progress], None] = lambda progress: None

    def __post_init__(self) -> None:
        check_flag("dry_run", self.dry_run)
        check_count("at_once", self.at_once, optional=False)
        if self.at_once < 1:
            raise InvalidInputError(f"at_once={self.at_once} must be a number from 1 on")
        check_pace(self.max_write_units)
        _check_sessions(self.sessions)
        if self.match is not None and (not isinstance(self.match, str) or not self.match):
            raise InvalidInputError(f"match={short(self.match)} must be a text that is not empty, or None ('*' is all)")
        if self.resume is not None and not isinstance(self.resume, Path):
            raise InvalidInputError(f"resume={short(self.resume)} must be a pathlib.Path, or None")
        if self.sessions and self.match is not None:
            raise InvalidInputError(f"match={short(self.match)} and sessions: give one of them")
        if type(self.segments) is not int or not 1 <= self.segments <= TOTAL_SEGMENTS:
            raise InvalidInputError(f"segments={short(self.segments)} must be a number from 1 to {TOTAL_SEGMENTS}")
        of_one = self.segment is None and self.segments == 1
        if self.segment is None and not of_one:
            raise InvalidInputError(f"segments={self.segments} needs segment=, a number from 0 to {self.segments - 1}")
        if not of_one and (type(self.segment) is not int or not 0 <= self.segment < self.segments):
            raise InvalidInputError(f"segment={short(self.segment)} must be a number from 0 to {self.segments - 1}")
        if self.sessions and self.segments > 1:
            raise InvalidInputError(
                f"segments={self.segments} are of the whole table: name no sessions, or no segments"
            )

    @property
    def part(self) -> int:
        """The segment; 0 where there is but one."""
        return self.segment or 0

    def wants(self, session: Session) -> bool:
        """Whether the pattern, if there is one, fits this session, whose key is in the table's order.

        Raises `InvalidInputError` for a pattern that has not a part for each of two key attributes.
        """
        if self.match is None or self.match == "*":
            return True
        values = [session] if isinstance(session, str) else [_text(value) for value in session.values()]
        parts = _SLASH.split(self.match) if len(values) > 1 else [self.match]
        if len(parts) != len(values):
            raise InvalidInputError(
                f"match={short(self.match)} must have a part for each key attribute of {', '.join(session)}, with a "
                "slash between them, as in 'ann/*'; a slash within a value is [/]"
            )
        return all(map(fnmatchcase, values, parts))


def label(session: Session) -> str:
    """A session's name on one line: its id, or the values of its key joined by ``/``."""
    return session if isinstance(session, str) else "/".join(map(_text, session.values()))


def _text(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)


def check_pace(units: object) -> None:
    """Raise `InvalidInputError` unless it is a number of write units a second, or None."""
    is_number = isinstance(units, (int, float)) and not isinstance(units, bool)
    if units is not None and not (is_number and units > 0):  # type: ignore[operator]
        raise InvalidInputError(f"max_write_units={short(units)} must be a number above 0, or None")


def check_repository(repository: object, option: str = "repository") -> None:
    """Raise `InvalidInputError` unless it is an `AsyncSessionRepository`."""
    if not isinstance(repository, AsyncSessionRepository):
        told = f"{option} is a {type(repository).__name__}: pass an AsyncSessionRepository"
        raise InvalidInputError(f"{told} (asyncio.run calls this function from synchronous code)")


def _check_sessions(sessions: object) -> None:
    if isinstance(sessions, (str, Mapping)) or not isinstance(sessions, Sequence):
        raise InvalidInputError(f"sessions={short(sessions)} must be a list of sessions: ids, or whole keys")
    for one in sessions:
        if not isinstance(one, (str, Mapping)):
            raise InvalidInputError(
                f"session {short(one)} in sessions must be an id (a str) or a whole key (a mapping)"
            )
