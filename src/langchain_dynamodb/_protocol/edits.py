"""Changes of single messages (rule 11): in the tail at once, in a page by way of the session item."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from .._items.keys import SessionKey
from .._items.page_items import Page
from .._items.session_items import Edit, SessionItem
from .._items.sizes import MAX_INFLATED, MAX_SESSION_ITEM
from ..codec.long_lines import Line
from ..codec.messages import Codec, UndecodableError
from .pages import PAGE_INFLATED, Destination, most_inflated
from .states import next_state, tail_bytes

MAX_EDIT = 32 << 10  # bytes of a message on its way to its page: the session item bears it until it is there


def exchanged(lines: Sequence[Line], position: int, line: Line | None) -> list[Line]:
    """With another message in its place, or (None) without it."""
    return [*lines[:position], *([] if line is None else [line]), *lines[position + 1 :]]


class Change(NamedTuple):
    """Which of the messages of a page, or of an entry of the tail, becomes another, or (None) is removed."""

    lines: Sequence[Line]
    position: int
    line: Line | None

    @property
    def removed(self) -> int:
        """How many messages there are less."""
        return int(self.line is None)

    def new_lines(self) -> list[Line]:
        """The messages with that."""
        return exchanged(self.lines, self.position, self.line)


def edited_tail(
    item: SessionItem, entry: int, change: Change, to: Destination, op: bytes, now: int, expires: int | None
) -> SessionItem | None:
    """State after a change in an entry of the tail; None where it would be too large. All ids stay."""
    lines = change.new_lines()
    packed = [to.codec.pack(lines, to.key.place())] if lines else []
    tail = (*item.tail[:entry], *packed, *item.tail[entry + 1 :])
    size = tail_bytes(tail, item.tail_ops | item.page_ops)
    most = max(item.tail_bytes, min(to.sizes.page + MAX_EDIT, MAX_SESSION_ITEM))
    if size > most or sum(map(len, lines)) > PAGE_INFLATED:
        return None
    return next_state(item, now, expires, change=op, count=item.count - change.removed, tail=tail, tail_bytes=size)


def edited_page(
    item: SessionItem, page: Page, change: Change, to: Destination, op: bytes, now: int, expires: int | None
) -> SessionItem | None:
    """State after a change in a page, which readers see from then on; the page follows (`carried_out`).

    None where the page, or the session item until then, has no room for it.
    """
    new = change.new_lines()
    most = PAGE_INFLATED if len(new) > 1 else MAX_INFLATED
    if page.parts > 1 or sum(map(len, new)) > most:
        return None
    place = to.key.place(item.generation, page.number)
    sealed_at = to.key.place(item.generation, page.number, _part(change.position))
    data = None if change.line is None else to.codec.pack([change.line], sealed_at)
    if len(data or b"") > MAX_EDIT or len(to.codec.pack(new, place)) > to.sizes.item:
        return None
    return next_state(
        item,
        now,
        expires,
        change=op,
        edited=item.version + 1,
        edited_page=page.number,
        edited_before=item.edited,
        edit=Edit(change.position, data),
        count=item.count - change.removed,
        removed=item.removed + change.removed,
    )


def _part(position: int) -> str:
    """What of a page the message at this position is, on its way there."""
    return f"edit {position}"


def is_due(page: Page, item: SessionItem) -> bool:
    """Whether the page lacks the edit under way; one of that number that was cut later is another page."""
    return item.edit is not None and item.edited_page == page.number and max(page.cut, page.edited) < item.edited


def lacks_last(page: Page, item: SessionItem) -> bool:
    """Whether the page lacks the last edit though that is carried out, as an old copy on a replica does."""
    is_last = item.edited > 0 and item.edit is None and page.number == item.edited_page
    return is_last and max(page.cut, page.edited) < item.edited


def counted(page: Page, item: SessionItem) -> Page:
    """The page with the number of messages that it has after the edit under way."""
    if item.edit is None or item.edit.data is not None or not is_due(page, item):
        return page
    return replace(page, messages=page.messages - 1, removed=page.removed + 1)


def applied(lines: Sequence[Line], item: SessionItem, key: SessionKey, codec: Codec) -> list[Line]:
    """The messages of the page of the edit under way, with that; raises `UndecodableError` where it is damaged."""
    edit = item.edit
    assert edit is not None  # it is due
    if edit.data is None:
        return exchanged(lines, edit.position, None)
    new = codec.unpack(edit.data, key.place(item.generation, item.edited_page, _part(edit.position)), MAX_INFLATED)
    if len(new) != 1:
        raise UndecodableError(f"{len(new)} messages in the place of one")
    return exchanged(lines, edit.position, new[0])


def carried_out(page: Page, item: SessionItem, to: Destination, longest: int = MAX_INFLATED) -> Page:
    """The page as it is with the edit under way, which it lacks; raises `UndecodableError`.

    A message in it has at most `longest` bytes.
    """
    place = to.key.place(item.generation, page.number)
    lines = applied(to.codec.unpack(page.data, place, most_inflated(page, longest)), item, to.key, to.codec)
    return replace(counted(page, item), data=to.codec.pack(lines, place), edited=item.edited)
