"""Brings a session that was taken out somewhere into a repository, so that nothing there is lost."""

from __future__ import annotations

from collections.abc import Sequence

from .._items.keys import SessionKey
from .._items.session_items import new_op
from .._protocol.append import ids_of
from .._store.whole_sessions import Placer, Whole, first_state, read_whole
from .._store.writer import Content
from ..codec import messages as codec
from ..errors import InvalidInputError, SessionBusyError, VersionConflictError
from ..repository import AsyncSessionRepository
from .estimates import append_units, begin_units
from .reports import Outcome

ATTEMPTS = 10


def count_same(some: Sequence[bytes], others: Sequence[bytes]) -> int:
    """How many equal messages both histories begin with."""
    pairs = zip(some, others, strict=False)
    most = min(len(some), len(others))
    return next((i for i, (one, other) in enumerate(pairs) if not is_same(one, other)), most)


def is_same(one: bytes, other: bytes) -> bool:
    """Whether two lines are equal messages. Formats differ in what is the same: an older line, 1.0 stored as 1."""
    if one == other:
        return True
    try:
        return bool(codec.decode_line(one) == codec.decode_line(other))
    except codec.UndecodableError:
        return False


async def bring(
    to: AsyncSessionRepository, name: str | dict[str, object], whole: Whole, *, begun: str, dry_run: bool = False
) -> Outcome:
    """Write a session where there is none, or add to what is there as far as it begins in the same way.

    What is there already, with perhaps more after it, is left alone; so is what begins otherwise (``different``).
    `begun` is the action that is told of a new one.
    """
    key = to._key(name)
    for _ in range(ATTEMPTS):
        there = await read_whole(to._pages.reader, key)
        lines = whole.lines if there is None else whole.lines[len(there.lines) :]
        try:
            if there is None:
                units = await _begin(to, key, whole, dry_run)
                return Outcome(session=name, action=begun, messages=len(lines), write_units=units)  # type: ignore[arg-type]
            same = count_same(there.lines, whole.lines)
            if same == len(whole.lines):
                return Outcome(session=name, action="unchanged", messages=same)
            if same < len(there.lines):
                detail = f"what is there differs from message {same} on, and was left as it is"
                return Outcome(session=name, action="different", messages=same, detail=detail)
            if dry_run:
                return Outcome(session=name, action="extended", messages=len(lines), write_units=append_units(lines))
            content = Content([codec.decode_line(line) for line in lines], lines)
            ids = ids_of(None, lines)
            await to._writer.append(key, content, ids, there.version, history_size=None, own={}, must_exist=True)
            return Outcome(session=name, action="extended", messages=len(lines))
        except VersionConflictError:
            continue  # somebody writes there: look again
    raise SessionBusyError(f"session {key} was changed {ATTEMPTS} times while it was written: try again")


async def _begin(to: AsyncSessionRepository, key: SessionKey, whole: Whole, dry_run: bool) -> int | None:
    """Write a new session; in a dry run the write units that would take."""
    if to.item_format == "pages":
        if dry_run:
            steps = to._pages.steps
            destination = await steps.destination(key, None)
            return begin_units(key, first_state(whole, destination, new_op(), steps.clock()), to._table, whole)
        await Placer(to._pages).begin(key, whole)
        return None
    if whole.metadata is not None and whole.metadata["M"]:
        raise InvalidInputError(
            f"session {key} has metadata, for which item_format='community' has no place: remove it first "
            "(update_metadata with None for each name)"
        )
    content = Content([codec.decode_line(line) for line in whole.lines], whole.lines)
    if dry_run:
        return None
    await to._writer.replace(key, content, 0, own=whole.own or {}, must_exist=False)
    if whole.expires is not None:
        await to._writer.set_expiry(key, max(1, whole.expires - to._pages.steps.clock() // 1_000_000), None)
    return None
