"""How a command tells what it does: lines for people, JSON for programs, progress where somebody looks on."""

from __future__ import annotations

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

from ..admin import Outcome, Progress, Summary
from ..admin.reports import BAD
from ..admin.running import label
from ..cost import DOLLARS_PER_MILLION_READ_UNITS, DOLLARS_PER_MILLION_WRITE_UNITS


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
        if report is not None:  # each line is in the file at once, and a run that goes on goes on with it
            self._report = report.open("a" if goes_on else "w", encoding="utf-8", buffering=1)
        self._live: Live | None = None

    def line(self, told: BaseModel) -> None:
        """One JSON object on a line."""
        click.echo(told.model_dump_json(exclude_none=True), err=self._err)

    def say(self, text: str) -> None:
        """A line of text."""
        click.echo(text, err=self._err)

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
        if self._live is not None:
            self._live.update(Text(progress_line(progress)))

    def summary(self, summary: Summary) -> None:
        """What the run did."""
        if self._report:
            self._report.write(summary.model_dump_json(exclude_none=True) + "\n")
        if self._json:
            self.line(summary)
            return
        self.say(summary_line(summary))

    def close(self) -> None:
        """Nothing more is told."""
        if self._report:
            self._report.close()

    @contextmanager
    def watched(self) -> Iterator[None]:
        """While a run is on: show its progress, if standard error is a terminal and nobody reads JSON."""
        if self._json or not sys.stderr.isatty():
            yield
            return
        with Live(Text("…"), console=Console(stderr=True), refresh_per_second=4, transient=True) as self._live:
            yield
        self._live = None


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
    parts = [label(outcome.session), outcome.action, ", ".join(counts), outcome.detail or ""]
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
    used = f"{summary.write_units:,.0f} write units, {summary.read_units:,.1f} read units"
    used += f" (${dollars(summary.write_units, summary.read_units):.4f} on demand)"
    if summary.estimated_write_units is None:
        return f"{summary.command}: {done}; {counts}; {used}; {summary.seconds:.1f} s"
    cost = dollars(summary.estimated_write_units, 0)
    told = f"would take {summary.estimated_write_units:,} write units (${cost:.4f} on demand)"
    return f"{summary.command}, dry run: {done}; {counts}; {told}; looking took {used}"


def dollars(write_units: float, read_units: float) -> float:
    """What these cost on demand, in us-east-1."""
    return (write_units * DOLLARS_PER_MILLION_WRITE_UNITS + read_units * DOLLARS_PER_MILLION_READ_UNITS) / 1_000_000


def error_line(error: Any) -> str:
    """An error on one line."""
    return " ".join(str(error).split())
