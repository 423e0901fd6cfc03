"""How a command ends: its exit code, and errors in one line."""

from __future__ import annotations

import click

GOOD, BAD, MISUSED, UNUSABLE, STOPPED = 0, 1, 2, 3, 130


class Bad(click.ClickException):
    """A session is missing, damaged or different, in one line."""

    exit_code = BAD


class Misused(click.ClickException):
    """The command line cannot be used, in one line."""

    exit_code = MISUSED


class Unusable(click.ClickException):
    """The table cannot be used, in one line."""

    exit_code = UNUSABLE


class Stopped(click.ClickException):
    """The user has stopped the run."""

    exit_code = STOPPED
