"""Entries that others put into a session's list: what they are, and what becomes of them. No I/O."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby, takewhile
from typing import Any, NamedTuple

from langchain_core.messages import BaseMessage

from .._dynamodb.attribute_values import AttributeValue, from_attribute
from .._items.recognition import is_message
from .._items.session_items import GUARD, SessionItem, entry_cost
from .._items.sizes import MAX_INFLATED
from ..codec import messages as codec
from ..codec.long_lines import Line
from ..codec.native import from_native
from ..errors import InvalidInputError
from .pages import Destination


class TakenOut(NamedTuple):
    """Something that was taken out: where it was, why, and (if it is no block of ours) what."""

    where: str
    reason: str
    value: Any = None


class Tail(NamedTuple):
    """The tail as it is to be: its entries, the messages in them, and what was done about them."""

    entries: tuple[bytes, ...]
    messages: int
    lost: int = 0  # messages that were counted, and whose entries are gone
    brought_in: int = 0
    removed: tuple[TakenOut, ...] = ()
    has_unreadable: bool = False  # kept as they are
    has_own: bool = True  # entries of ours are left

    def size(self, ops: frozenset[bytes]) -> int:
        """Bytes it adds to the session item, with these operation ids."""
        return sum(entry_cost(entry, ()) for entry in self.entries) + sum(len(op) + 1 for op in ops)


def strangers(entries: Sequence[AttributeValue]) -> list[int]:
    """Which entries are others'. (JSON text is read as ours.)."""
    return [i for i, entry in enumerate(entries) if "B" not in entry and "S" not in entry]


def is_disturbed(item: SessionItem) -> bool:
    """Whether others wrote what is no message into its list, or wrote the list anew: then it begins with theirs.

    Messages that they appended are read, if somebody counted them.
    """
    places = strangers(item.others["L"]) if item.others else []
    return bool(places) and (places[0] == 0 or b"" in item.tail)


def described(entries: Sequence[AttributeValue], history: str) -> str:
    """What the entries of others are, in words."""
    places = strangers(entries)
    shapes = sorted({_shape(entries[i]) for i in places})
    shown = ", ".join(f"{history}[{i}]" for i in places[:5]) + (", ..." if len(places) > 5 else "")
    return (
        f"{len(places)} of {len(entries)} entries ({shown}) were written by others: {' and '.join(shapes)}. Call "
        "repair(session): it brings in what can be read as messages (of an encrypted session none) and takes out the "
        "rest. And let one program write"
    )


def _shape(entry: AttributeValue) -> str:
    if is_message(entry):
        return "messages as langchain_community writes them ({type, data})"
    fields = entry.get("M")
    if isinstance(fields, dict) and "type" in fields and "S" in fields.get("text", {}):
        return "messages as langchain.js writes them ({type, text})"
    return "what is no message"


def as_message(entry: AttributeValue) -> BaseMessage | None:
    """The message that others stored, if it is one, for storing it again: see `from_native`."""
    try:
        if "S" in entry:
            return codec.decode_line(entry["S"].replace("\n", " ").encode())
        value = from_attribute(entry, json_only=False)
        if isinstance(value, dict) and "text" in value and "data" not in value:
            value = from_javascript(value)
        message = from_native(value, exact=True)
        codec.encode_messages([message])
    except (ValueError, InvalidInputError):
        return None
    return message


def from_javascript(value: Mapping[str, Any]) -> dict[str, Any]:
    """langchain.js's class of the same name stores type, text, and perhaps role and additional_kwargs (as JSON)."""
    kind = "chat" if value.get("type") == "generic" else value.get("type")
    data: dict[str, Any] = {"content": value["text"], "type": kind}
    if kind == "chat":
        data["role"] = value.get("role")
    if isinstance(more := value.get("additional_kwargs"), str):
        more = json.loads(more)
    if isinstance(more, dict):
        data["additional_kwargs"] = more
    return {"type": kind, "data": data}


def mend(
    item: SessionItem, known: Mapping[int, BaseMessage], to: Destination, history: str, *, drop_undecodable: bool
) -> Tail:
    """The tail of a session without what is not ours.

    Of an encrypted session whatever is not encrypted is taken out: nobody can tell who has written it. Else `known` are
    the messages of its pages, by index: where langchain_community wrote the list that it had read before
    over ours, that list begins with them, and they are not to be there twice.
    """
    entries = item.others["L"] if item.others else [{"B": entry} for entry in item.tail]
    pieces = [_piece(entry, to, f"{history}[{i}]", drop_undecodable) for i, entry in enumerate(entries)]
    counted = item.tail_count
    own = sum(piece.own for piece in pieces)
    theirs = sum(piece.message is not None for piece in pieces)
    all_counted = not is_disturbed(item) and own + theirs == counted
    unreadable = sum(piece.unreadable for piece in pieces)
    removed = tuple(piece.removed for piece in pieces if piece.removed)
    if own < counted and not unreadable and not all_counted:
        leading = list(takewhile(lambda piece: piece.message is not None, pieces))
        pieces = pieces[_repeated(item, [piece.message for piece in leading], known) :]
    brought_in = sum(piece.message is not None for piece in pieces)
    dropped = any(one.value is None for one in removed)
    return Tail(
        entries=tuple(_packed(pieces, to)),
        messages=own + brought_in + (max(unreadable, counted - own) if unreadable else 0),
        lost=0 if unreadable or dropped or all_counted else max(0, counted - own),
        brought_in=brought_in + max(0, own - counted),
        removed=removed,
        has_unreadable=bool(unreadable),
        has_own=bool(own or unreadable),
    )


class _Piece(NamedTuple):
    """One entry: a block as it is to be stored, or the message of others; neither where it is to go."""

    block: bytes | None = None
    own: int = 0  # messages in the block
    unreadable: int = 0  # 1: it cannot be read, and is kept
    message: BaseMessage | None = None
    removed: TakenOut | None = None


def _piece(entry: AttributeValue, to: Destination, where: str, drop: bool) -> _Piece:
    if entry == {"B": GUARD}:
        return _Piece()
    if "B" in entry:
        return _own(entry["B"], to, where, drop)
    if to.cipher is not None:  # sealed it would pass for what a holder of the key has written
        return _Piece(removed=TakenOut(where, f"not encrypted, in an encrypted session: {_shape(entry)}", entry))
    message = as_message(entry)
    if message is None:
        return _Piece(removed=TakenOut(where, _shape(entry), entry))
    if "S" in entry:  # JSON text, as a line of ours
        return _Piece(to.codec.pack([codec.encode_message(message)], to.key.place()), 1)
    return _Piece(message=message)


def _own(block: bytes, to: Destination, where: str, drop: bool) -> _Piece:
    good, lost = decodable(lambda: to.codec.unpack(block, to.key.place(), MAX_INFLATED))
    if lost is None:
        return _Piece(block if good else None, len(good))
    if not drop:
        return _Piece(block, unreadable=1)
    return _Piece(to.codec.pack(good, to.key.place()) if good else None, len(good), removed=TakenOut(where, lost))


def decodable(unpack: Callable[[], Sequence[Line]]) -> tuple[list[Line], str | None]:
    """The lines of a block that can be decoded, and what is wrong with the others."""
    try:
        lines = unpack()
    except codec.UndecodableError as error:
        return [], str(error)
    good, wrong = list[Line](), None
    for line in lines:
        try:
            codec.decode_line(line)
            good.append(line)
        except codec.UndecodableError as error:
            wrong = str(error)
    return good, wrong


def _repeated(item: SessionItem, written: Sequence[BaseMessage | None], known: Mapping[int, BaseMessage]) -> int:
    """How many of the messages that somebody wrote over the list are in the pages already, from their beginning."""
    end = item.trimmed
    while end < len(written) and end in known and known[end] == written[end]:
        end += 1
    return end if end > item.trimmed else 0


def _packed(pieces: Sequence[_Piece], to: Destination) -> Iterator[bytes]:
    """The blocks, with those messages of others in a row in one of their own."""
    for is_other, group in groupby(pieces, lambda piece: piece.message is not None):
        if is_other:
            lines = codec.encode_messages([piece.message for piece in group if piece.message])
            yield to.codec.pack(lines, to.key.place())
        else:
            yield from (piece.block for piece in group if piece.block)
