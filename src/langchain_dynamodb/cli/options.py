"""Options that commands share: which table, which settings, which sessions, how it is told."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from .settings import OF_NO_REPOSITORY, Settings

F = TypeVar("F", bound=Callable[..., Any])

SESSIONS = [click.argument("sessions", nargs=-1, metavar="[SESSION]...")]
FROM_FILE = click.option(
    "--from-file",
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File of sessions, one a line: ids, keys as JSON, or what list --json wrote.",
)
CONNECTION = [
    click.option("--table", "-t", help="Name or ARN of the table."),
    click.option("--endpoint-url", metavar="URL", help="Another DynamoDB than AWS's own."),
    click.option("--region", help="AWS region. Default: as everywhere (AWS_DEFAULT_REGION, ...)."),
    click.option("--profile", help="Profile of the AWS configuration."),
    click.option("--primary-key-name", default="SessionId", show_default=True, help="As of the repository."),
    click.option("--history-messages-key", default="History", show_default=True, help="As of the repository."),
    click.option("--ttl-key-name", default="expireAt", show_default=True, help="As of the repository."),
    click.option("--kms-key-id", help="Key of KMS with which sessions are encrypted."),
    click.option("--kms-context", multiple=True, metavar="NAME=VALUE", help="Encryption context of that key."),
    click.option(
        "--local-key-file",
        multiple=True,
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="File with the 32 bytes of a LocalKeyring; further ones are old keys.",
    ),
    click.option("--bucket", help="Bucket of S3 with the table's large data."),
    click.option("--bucket-prefix", default="", metavar="TEXT", help="What its objects' names begin with."),
    click.option("--home-region", help="Of global tables: the region written in; others' sessions are left alone."),
    click.option(
        "--repository",
        metavar="MODULE:FUNCTION",
        help="Your function that makes the AsyncSessionRepository, with all of its settings, in place of all above.",
    ),
    click.option("--json", "as_json", is_flag=True, help="One JSON object a line, for programs."),
]
OTHER_TABLE = [
    click.option("--to-endpoint-url", metavar="URL", help="Where that table is; default: where this one is."),
    click.option("--to-region", help="Its region; default: this one's."),
    click.option("--to-bucket", help="Bucket of S3 with its large data; default: it has none."),
    click.option("--to-bucket-prefix", default="", metavar="TEXT", help="What its objects' names begin with there."),
]
OVER_ALL = [
    click.option(
        "--match",
        metavar="GLOB",
        help="Only sessions whose id (or key: 'ann/*') matches, as in a shell ([*]: a star).",
    ),
    click.option("--segments", type=int, default=1, help="Parts of the table, for so many machines."),
    click.option("--segment", type=int, help="Which of them this one takes, from 0 on."),
    click.option("--at-once", type=int, default=8, show_default=True, help="Sessions worked on at a time."),
    click.option(
        "--resume",
        type=click.Path(dir_okay=False, path_type=Path),
        help="File that says how far it has come; where it is there, go on from that.",
    ),
    click.option("--verbose", "-v", is_flag=True, help="Tell each session, not only those with a problem."),
]
WRITING = [
    click.option("--dry-run", is_flag=True, help="Write nothing; tell what would be done, and its cost."),
    click.option("--max-write-units", type=float, help="Write units a second, at most."),
]


def options(*groups: list[Callable[[F], F]]) -> Callable[[F], F]:
    """Give a command these options; those that say how to connect come to it as `settings`, the rest as `run`."""

    def decorate(command: F) -> F:
        @functools.wraps(command)
        def called(**given: Any) -> Any:
            taken = {name: given.pop(name) for name in _SETTINGS if name in given}
            if taken["table"] is None and taken["repository"] is None:
                raise click.UsageError("Missing option '--table'.")
            context = click.get_current_context()
            by_user = {name for name in taken if context.get_parameter_source(name) is not ParameterSource.DEFAULT}
            told = {"json": given.pop("as_json"), "verbose": given.pop("verbose", False)}
            settings = Settings(**taken, **told, given=frozenset(by_user))
            chosen = {name: given.pop(name) for name in _RUN if name in given}
            return command(settings, chosen, **given)

        for group in reversed(groups):
            for option in reversed(group):
                called = option(called)
        return called  # type: ignore[return-value]

    return decorate


_SETTINGS = [one.name for one in fields(Settings) if one.name == "repository" or one.name not in OF_NO_REPOSITORY]
_RUN = ("match", "segments", "segment", "at_once", "resume", "dry_run", "max_write_units")
