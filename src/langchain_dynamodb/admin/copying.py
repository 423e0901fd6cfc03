"""A copy of one session, and what it would take."""

from __future__ import annotations

from dataclasses import replace

from .._checks import check_count, check_flag
from .._dynamodb.attribute_values import item_bytes
from .._dynamodb.metering import Pace, Usage
from .._items.community_item import CommunityItem
from .._items.keys import Session
from .._items.session_items import SessionItem, new_op
from .._protocol.identity import check_exists, check_expected
from .._store.listing import session_name
from .._store.off_loop import off_loop_if_many
from .._store.whole_sessions import first_state, read_whole
from ..errors import InvalidInputError
from ..repository import AsyncSessionRepository
from .estimates import INTENT_BYTES, begin_units, page_units, units
from .reports import Outcome
from .run import check_pace, check_repository


async def copy_session(
    repository: AsyncSessionRepository,
    session: Session,
    to: Session,
    *,
    keep: int | None = None,
    max_write_units: float | None = None,
    dry_run: bool = False,
) -> Outcome:
    """`copy` of the repository, at most so many write units a second; the outcome is that of the new session.

    With `dry_run` what it would take.

    Raises what `copy` raises: `SessionNotFoundError` where there is nothing to copy, `VersionConflictError` where there
    is a session `to` already. In a dry run `InvalidInputError` for ``item_format="community"``, which has no estimate.
    """
    check_repository(repository)
    check_count("keep", keep)
    check_pace(max_write_units)
    check_flag("dry_run", dry_run)
    repository = repository._metered(Usage(), Pace(max_write_units))
    key, new = repository._key(session), repository._key(to)
    name = session_name(new.item, repository.primary_key_name)
    if not dry_run:
        await repository.copy(session, to, keep=keep)
        copied = await repository._reader.item(new)
        count = len(copied.natives) if isinstance(copied, CommunityItem) else copied.message_count if copied else 0
        return Outcome(session=name, action="copied", messages=count)
    if repository.item_format != "pages":
        raise InvalidInputError('a dry run of a copy needs item_format="pages"')
    found = await read_whole(repository._pages.reader, key)
    if found is None:
        check_exists(key, None)
    check_expected(new, await repository._reader.item(new), 0)
    assert found is not None  # it exists
    whole = replace(found, lines=found.lines[:keep])
    steps = repository._pages.steps
    destination = await steps.destination(new, None)

    def begin() -> int:
        state = first_state(whole, destination, new_op(), steps.clock())
        return begin_units(new, state, repository._table, whole)

    cost = await off_loop_if_many(whole.lines, begin)
    item = await repository._reader.item(key)
    if isinstance(item, SessionItem) and item.first_page < item.pages:  # its pages are copied as they are
        numbers = range(item.first_page, item.pages)
        there = await repository._table.get_pages(key, item.generation, numbers, consistent=False, whole=True)
        first = min((page.first for page in there.values()), default=0)
        pages = [page for page in there.values() if keep is None or page.first - first < keep]
        size = new.size + item_bytes({**item.own, **item.attributes(repository._table.names)})
        cost = 2 * units(size + INTENT_BYTES) + page_units(new, pages, repository._table)
    return Outcome(session=name, action="copied", messages=len(whole.lines), write_units=cost)
