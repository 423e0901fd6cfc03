"""Carries out in its page what the session item says of one message of it (rule 11)."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from functools import partial

from .._items.keys import SessionKey
from .._items.session_items import SessionItem
from .._protocol import edits
from .._threads import off_loop
from ..codec.messages import UndecodableError
from .steps import Steps
from .table import Refused


async def carry_out(steps: Steps, key: SessionKey, item: SessionItem) -> SessionItem:
    """Bring the edit under way into its page; returns the state without it, at the same version.

    With it where its page is not there (yet), as on a replica, or one of them is damaged: then it stays on record.
    """
    if item.edit is None:
        return item
    number = item.edited_page
    item = await steps.vault.unlocked(key, item)
    page = (await steps.table.get_pages(key, item.generation, [number], consistent=True)).get(number)
    if page and edits.is_due(page, item):
        page = await steps.table.load(key, item.generation, page)
    if page is None:
        return item
    if edits.is_due(page, item):
        making = partial(edits.carried_out, page, item, steps.to(key, item), steps.table.objects.longest)
        try:
            new = await off_loop(making)  # which may inflate much
            noted = steps.noting(item, [new])
            if noted.bucket != item.bucket:  # before the page refers to it: who comes then need not look there
                item = await steps.patch(key, item, noted)
        except (UndecodableError, Refused):
            return item
        await steps.table.edit_page(key, item.generation, page, new)
    done = replace(item, edit=None)
    with contextlib.suppress(Refused):  # others have, or have changed the session: the next step will tell
        return await steps.patch(key, item, done)
    return done
