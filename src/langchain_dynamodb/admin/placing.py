"""Brings a session that was taken out somewhere into a repository, so that nothing there is lost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from .._dynamodb.attribute_values import item_bytes
from .._items.clock import MICROSECONDS
from .._items.keys import SessionKey
from .._items.session_items import new_op
from .._protocol.append import ids_of
from .._store.community_writer import CommunityWriter, as_natives, check_size
from .._store.off_loop import off_loop_if_many
from .._store.whole_sessions import Placer, Whole, check_decodable, check_no_metadata, first_state, read_whole
from .._store.writer import Content
from ..codec import messages as codec
from ..codec.long_lines import Line
from ..errors import SessionBusyError, VersionConflictError
from ..repository import AsyncSessionRepository
from .estimates import append_units, begin_units, describe_units, units
from .reports import Outcome

ATTEMPTS = 10


def count_same(some: Sequence[Line], others: Sequence[Line]) -> int:
    """How many equal messages both histories begin with."""
    pairs = zip(some, others, strict=False)
    most = min(len(some), len(others))
    return next((i for i, (one, other) in enumerate(pairs) if not is_same(one, other)), most)


def is_same(one: Line, other: Line) -> bool:
    """Whether two lines are equal messages. Formats differ in what is the same: an older line, 1.0 stored as 1."""
    if one == other:
        return True
    try:
        return bool(codec.decode_line(one) == codec.decode_line(other))
    except codec.UndecodableError:
        return False


def lacking(whole: Whole, there: Whole) -> list[str]:
    """What of a session's metadata, own attributes and time the one that is `there` has not."""
    metadata, here = ((one.metadata or {"M": {}})["M"] for one in (there, whole))
    named = [f"metadata {name!r}" for name, value in here.items() if metadata.get(name) != value]
    own = there.own or {}
    named += [f"attribute {name!r}" for name, value in (whole.own or {}).items() if own.get(name) != value]
    return named + (["expiry"] if _later(whole, there) != there.expires else [])


def _later(whole: Whole, there: Whole) -> int | None:
    """The later expiry; None is never."""
    return None if whole.expires is None or there.expires is None else max(whole.expires, there.expires)


async def bring(
    to: AsyncSessionRepository,
    name: str | dict[str, object],
    whole: Whole,
    *,
    begun: str,
    dry_run: bool = False,
    moving: bool = False,
) -> Outcome:
    """Write a session where there is none, or add to what is there as far as it begins in the same way.

    What is there already, with perhaps more after it, is left alone; so is what begins otherwise (``different``).
    Metadata, attributes and a later expiry come over where the session was changed later than the one that is there.
    Where it is `moving` there for good, so does the expiry in any case, and where metadata or attributes are others
    there, that is told too (``different``). `begun` is the action that is told of a new one.
    """
    key = to._key(name)
    for _ in range(ATTEMPTS):
        there = await read_whole(to._pages.reader, key)
        try:
            if there is None:
                units = await _begin(to, key, whole, dry_run)
                count = len(whole.lines)
                return Outcome(session=name, action=begun, messages=count, write_units=units)  # type: ignore[arg-type]
            same = await off_loop_if_many(whole.lines, partial(count_same, there.lines, whole.lines))
            if same < min(len(there.lines), len(whole.lines)):
                detail = f"what is there differs from message {same} on, and was left as it is"
                return Outcome(session=name, action="different", messages=same, detail=detail)
            lines = whole.lines[same:]
            newer = _is_newer(whole, there, lines)
            described = whole if newer else replace(whole, metadata=None, own=None)
            wanted = lacking(described, there) if newer or moving else []
            others = lacking(replace(whole, expires=there.expires), there) if moving and not newer else []
            told = Outcome(session=name, action="extended", messages=len(lines), detail=", ".join(wanted) or None)
            if not (lines or wanted):
                told = Outcome(session=name, action="unchanged", messages=same)
            if others:
                detail = f"{', '.join(others)} there is another one, or none: it stays here"
                told = told.model_copy(update={"action": "different", "detail": detail})
            if not (lines or wanted):
                return told
            if dry_run:
                to._pages.steps.check_home(key, await to._table.get(key))
                counting = partial(_extension_units, to, key, whole, lines, len(wanted))
                cost = await off_loop_if_many(whole.lines, counting)
                return told.model_copy(update={"write_units": cost})
            content = await _content(key, lines)
            version = await _describe(to, key, described, there) if wanted else there.version
            if lines:  # at last: where there are no times, they tell a run after one that died that there is more
                ids = ids_of(None, lines)
                await to._writer.append(key, content, ids, version, history_size=None, own={}, must_exist=True)
            return told
        except VersionConflictError:
            continue  # somebody writes there: look again
    raise SessionBusyError(f"session {key} was changed {ATTEMPTS} times while it was written: try again")


def _is_newer(whole: Whole, there: Whole, lines: Sequence[Line]) -> bool:
    """Whether it was changed later than the one that is there, or, where one of them does not say when, has more."""
    if whole.updated is None or there.updated is None:
        return bool(lines)
    return whole.updated > there.updated


async def _content(key: SessionKey, lines: Sequence[Line]) -> Content:
    """Messages to be encoded anew; raises `CorruptSessionError` for one that cannot be decoded."""
    await check_decodable(key, lines)
    messages = await off_loop_if_many(lines, partial(codec.decode_lines, lines))
    return Content(messages, lines, sum(map(len, lines)) > codec.MANY_BYTES)


async def _describe(to: AsyncSessionRepository, key: SessionKey, whole: Whole, there: Whole) -> int:
    """Set metadata, attributes and the later expiry; returns the version then."""
    expires = _later(whole, there)
    if to.item_format == "pages":
        return await Placer(to._pages).describe(key, whole, expires, there.version)
    check_no_metadata(key, whole.metadata)
    version, writer = there.version, to._writer
    if whole.own:
        version = await writer.update_metadata(key, {}, version, own=whole.own, must_exist=True)
    if expires != there.expires:
        version = await writer.set_expiry(key, _seconds_left(to, expires), version)
    return version


def _seconds_left(to: AsyncSessionRepository, expires: int | None) -> int | None:
    return None if expires is None else max(1, expires - math.ceil(to._pages.steps.clock() / MICROSECONDS))


def _extension_units(
    to: AsyncSessionRepository, key: SessionKey, whole: Whole, lines: Sequence[Line], described: int
) -> int:
    """About what it takes to append the last `lines`, and to set so much beside them; checks that they fit."""
    if to.item_format == "community":  # each write is billed by the whole item
        return community_item_units(to, key, whole) * (bool(lines) + min(2, described))
    return (append_units(lines) if lines else 0) + (describe_units() if described else 0)


def community_item_units(to: AsyncSessionRepository, key: SessionKey, whole: Whole) -> int:
    """Of an item of langchain_community with this session; raises what a write of it raises."""
    check_no_metadata(key, whole.metadata)
    natives, _ = as_natives(codec.decode_lines(whole.lines), strict=to.strict)
    check_size(key, natives)
    return units(key.size + item_bytes({**(whole.own or {}), to.history_messages_key: {"L": natives}}))


async def _begin(to: AsyncSessionRepository, key: SessionKey, whole: Whole, dry_run: bool) -> int | None:
    """Write a new session; in a dry run the write units that would take."""
    steps = to._pages.steps
    if to.item_format == "pages":
        if dry_run:
            destination = await steps.destination(key, None)

            def cost() -> int:
                state = first_state(whole, destination, new_op(), steps.clock())
                return begin_units(key, state, to._table, whole)

            return await off_loop_if_many(whole.lines, cost)
        await Placer(to._pages).begin(key, whole)
        return None
    check_no_metadata(key, whole.metadata)
    content = await _content(key, whole.lines)
    if dry_run:
        return await off_loop_if_many(whole.lines, partial(community_item_units, to, key, whole))
    writer = CommunityWriter(steps, _seconds_left(to, whole.expires))
    await writer.replace(key, content, 0, own=whole.own or {}, must_exist=False)
    return None
