"""How a command tells what it does: lines for people, JSON for programs, progress where somebody looks on."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import IO, Any

import click
from pydantic import BaseModel
from rich.console import Console
from rich.live import Live
from rich.text import Text

from .._items.keys import Session
from ..admin import Outcome, Progress, Summary
from ..admin.reports import BAD
from ..admin.run import label
from ..cost import DOLLARS_PER_MILLION_READ_UNITS, DOLLARS_PER_MILLION_WRITE_UNITS
from ..errors import InvalidInputError

_HIDDEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")  # not tabs and ends of lines

_OPTIONS = {
    "table_name": "--table",
    "region_name": "--region",
    "aws_session": "--profile",
    "source_format": "--from-format",
    "to": "--to-table",
    "encryption": "--kms-key-id or --local-key-file",
}
_WORDS = (
    "table_name|region_name|endpoint_url|primary_key_name|history_messages_key|ttl_key_name|home_region|delete_source"
)
_ARGUMENTS = (
    f"{_WORDS}|source_format|max_write_units|at_once|segments?|match|index|partition|limit|to|encryption|aws_session"
)
_ARGUMENT = re.compile(  # name='value', `name=`, or a name that is no word of ordinary text
    rf"(?<![^\s(])(?:(?P<argument>{_ARGUMENTS})=(?P<value>[^\s,;:)])?|(?P<word>{_WORDS})(?![\w'\"`(.]))"
)


class Screen:
    """Output of one command. What is no result (progress, errors) goes to standard error."""

    def __init__(
        self,
        *,
        as_json: bool,
        verbose: bool,
        to_stderr: bool = False,
        report: Path | None = None,
        goes_on: bool = False,
    ) -> None:
        self._json, self._verbose, self._err = as_json, verbose, to_stderr
        self._report: IO[str] | None = None
        if report is not None:
            self._report = _opened(report, "a" if goes_on else "x")
        self._live: Live | None = None
        self._progress: Progress | None = None

    def line(self, told: BaseModel) -> None:
        """One JSON object on a line."""
        click.echo(told.model_dump_json(exclude_none=True), err=self._err)

    def say(self, text: str) -> None:
        """A line of text, in which what would steer a terminal is written out."""
        click.echo(printable(text), err=self._err)

    def outcome(self, outcome: Outcome) -> None:
        """What became of one session."""
        if self._report:
            self._report.write(outcome.model_dump_json(exclude_none=True) + "\n")
        if self._json:
            self.line(outcome)
        elif self._verbose or outcome.action in BAD or outcome.repair:
            self.say(outcome_line(outcome))

    def progress(self, progress: Progress) -> None:
        """How far the run is."""
        self._progress = progress
        if self._live is not None:
            self._live.update(Text(progress_line(progress)))

    @property
    def so_far(self) -> str:
        """How far it was at last, as part of a sentence; empty before anything was done."""
        done = self._progress
        if done is None or not done.sessions:
            return ""
        return f" after {done.sessions:,} sessions, {_used(done.write_units, done.read_units)}"

    def summary(self, summary: Summary) -> None:
        """What the run did."""
        if self._report:
            self._report.write(summary.model_dump_json(exclude_none=True) + "\n")
        if self._json:
            self.line(summary)
            return
        self.say(summary_line(summary))

    def close(self) -> None:
        """Nothing more is told. A report of nothing, of a run that was refused, is removed."""
        if self._report:
            self._report.close()
            path = Path(self._report.name)
            if not path.stat().st_size:
                path.unlink()

    @contextmanager
    def watched(self) -> Iterator[None]:
        """While a run is on: show its progress, if standard error is a terminal and nobody reads JSON."""
        if self._json or not sys.stderr.isatty():
            yield
            return
        with Live(Text("…"), console=Console(stderr=True), refresh_per_second=4, transient=True) as self._live:
            yield
        self._live = None


def _opened(report: Path, mode: str) -> IO[str]:
    """A file for a report: each line is in it at once. One of before is another report, which is to be kept."""
    try:
        return open(report, mode, encoding="utf-8", buffering=1, opener=private)
    except FileExistsError as error:
        raise InvalidInputError(f"{report} is there already: give another file for this report") from error


def private(path: str, flags: int) -> int:
    """Open a file for `open`; a new one is its owner's alone."""
    return os.open(path, flags, 0o600)


def printable(text: str) -> str:
    """The same with control characters, and halves of characters, written out."""
    return _HIDDEN.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def name_line(session: Session) -> str:
    """A session's name on one line."""
    return printable(label(session)).replace("\n", "\\n")


def outcome_line(outcome: Outcome) -> str:
    """One line: what became of a session."""
    there = {"messages": outcome.messages, "pages": outcome.pages, "objects": outcome.objects}
    counts = [f"{number} {name}" for name, number in there.items() if number]
    if outcome.write_units is not None:
        counts.append(f"{outcome.write_units} write units")
    if outcome.repair:
        lost = sum(gap.messages for gap in outcome.repair.missing)
        told = {"missing": lost, "brought in": outcome.repair.brought_in, "taken out": len(outcome.repair.removed)}
        counts += [f"{number} {what}" for what, number in told.items() if number]
    parts = [name_line(outcome.session), outcome.action, ", ".join(counts), error_line(outcome.detail or "")]
    return "  ".join(part for part in parts if part)


def progress_line(progress: Progress) -> str:
    """One line: how many, how fast, what it used, how long it will take."""
    left = progress.seconds_left
    parts = [
        f"{progress.sessions:,} sessions",
        f"{progress.rate:,.1f}/s",
        f"{progress.write_units:,.0f} write units",
        f"{progress.read_units:,.0f} read units",
    ]
    if left is not None:
        parts.append(f"{timedelta(seconds=round(left))} left")
    return ", ".join(parts)


def summary_line(summary: Summary) -> str:
    """One line: what was done to how many, and what it cost."""
    done = ", ".join(f"{count:,} {action}" for action, count in sorted(summary.actions.items())) or "nothing to do"
    counts = f"{summary.messages:,} messages" + (f", {summary.objects:,} objects" if summary.objects else "")
    used = _used(summary.write_units, summary.read_units)
    used += f" (${dollars(summary.write_units, summary.read_units):.4f} on demand)"
    if summary.estimated_write_units is None:
        return f"{summary.command}: {done}; {counts}; {used}; {summary.seconds:.1f} s"
    cost = dollars(summary.estimated_write_units, 0)
    told = f"would take {summary.estimated_write_units:,} write units (${cost:.4f} on demand)"
    return f"{summary.command}, dry run: {done}; {counts}; {told}; looking took {used}"


def _used(write_units: float, read_units: float) -> str:
    return f"{write_units:,.0f} write units, {read_units:,.1f} read units"


def dollars(write_units: float, read_units: float) -> float:
    """What these cost on demand, in us-east-1."""
    return (write_units * DOLLARS_PER_MILLION_WRITE_UNITS + read_units * DOLLARS_PER_MILLION_READ_UNITS) / 1_000_000


def error_line(error: Any) -> str:
    """An error on one line, which names options where that of a function names arguments."""
    return _ARGUMENT.sub(_as_option, " ".join(str(error).split()))


def _as_option(found: re.Match[str]) -> str:
    name = found["argument"] or found["word"]
    option = _OPTIONS.get(name, "--" + name.replace("_", "-"))
    return option + (" " + found["value"] if found["value"] else "")
