"""Commands that repair and encrypt what is there."""

from __future__ import annotations

from typing import Any

import click

from ..admin import Run, Summary, reencrypt_sessions, repair_sessions
from ..repository import AsyncSessionRepository
from .options import CONNECTION, OVER_ALL, SESSIONS, WRITING, options
from .runs import all_named, run_over
from .settings import Settings


@click.command("repair")
@click.option("--drop-undecodable", is_flag=True, help="Take out what is there and cannot be decoded.")
@options(SESSIONS, WRITING, OVER_ALL, CONNECTION)
def repair_command(
    settings: Settings, chosen: dict[str, Any], sessions: tuple[str, ...], drop_undecodable: bool
) -> int:
    """Make of damaged sessions some that work in every way; tells what was given up. Try --dry-run first."""
    if not sessions and chosen["match"] is None:
        raise click.UsageError("Name sessions, or give --match ('*' is all).")

    async def work(source: AsyncSessionRepository, made: Run) -> Summary:
        return await repair_sessions(source, made, drop_undecodable=drop_undecodable)

    return run_over(settings, chosen, work, all_named(sessions))


@click.command("reencrypt")
@click.option("--plain", is_flag=True, help="Decrypt, instead.")
@click.option("--everything", is_flag=True, help="Also those that are under the present key already.")
@options(SESSIONS, WRITING, OVER_ALL, CONNECTION)
def reencrypt_command(
    settings: Settings, chosen: dict[str, Any], sessions: tuple[str, ...], plain: bool, everything: bool
) -> int:
    """Bring sessions under the present key of --kms-key-id, --local-key-file or --repository."""
    if not (settings.kms_key_id or settings.local_key_file or settings.repository):
        raise click.UsageError("Give the key: --kms-key-id, --local-key-file or --repository (with --plain, too).")

    async def work(source: AsyncSessionRepository, made: Run) -> Summary:
        return await reencrypt_sessions(source, made, plain=plain, everything=everything)

    return run_over(settings, chosen, work, all_named(sessions))
