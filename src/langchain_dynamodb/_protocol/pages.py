"""Pages: how messages are laid out in them, and what each request about one depends on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from .._dynamodb.attribute_values import number
from .._dynamodb.expressions import Expression
from .._items import attribute_names as lc
from .._items.configured_names import Names
from .._items.keys import SessionKey
from .._items.page_items import Page
from .._items.session_items import LEAST_ROOM, SessionItem, tail_room
from .._items.sizes import (
    MAX_INFLATED,
    MAX_OBJECT,
    MAX_SESSION_ITEM,
    Sizes,
)
from ..codec import messages as codec
from ..codec.long_blocks import LongBlock
from ..codec.long_lines import Line, LongLine, Pieces
from ..codec.messages import Codec
from ..codec.sealing import Cipher

IN_PIECES = 16 << 20  # bytes of a long line whose block goes into an object without ever being whole in memory
PAGE_INFLATED = 1 << 20  # bytes of JSON a page of several messages holds at most, however well it deflates


class Draft(NamedTuple):
    """Data of one page item to be; `messages` is 0 on all but the last part of a message cut into `parts`.

    `large` is what inflates beyond what is read where there are no objects. Data may be made in `pieces` as it is sent.
    """

    data: bytes
    messages: int
    parts: int = 1
    large: bool = False
    pieces: Pieces | None = None

    @property
    def size(self) -> int:
        """Bytes of data; of pieces about, at most."""
        return len(self.data) if self.pieces is None else len(self.pieces)

    @classmethod
    def of(cls, lines: Sequence[Line]) -> Draft:
        """Of messages."""
        size = sum(map(len, lines))
        if len(lines) == 1 and isinstance(lines[0], LongLine):
            block = LongBlock(lines[0])
            return cls(b"", 1, large=True, pieces=block) if size >= IN_PIECES else cls(b"".join(block), 1)
        return cls(codec.pack(lines), len(lines), large=size > MAX_INFLATED)

    @classmethod
    def again(cls, page: Page, data: bytes) -> Draft:
        """Of a page that is stored already, whose data was opened."""
        return cls(data, page.messages, page.parts, page.reference is not None and len(data) > MAX_SESSION_ITEM)


class Placement(NamedTuple):
    """Where messages go: pages, then the entries of the tail."""

    drafts: list[Draft]
    tail: tuple[bytes, ...]


def paginate(lines: Sequence[Line], sizes: Sizes) -> list[Draft]:
    """Pack lines into pages of at most `sizes.page` bytes; a longer message gets a page, or several, of its own."""
    drafts: list[Draft] = []
    for group in _groups(lines, min(PAGE_INFLATED, 4 * sizes.page)):
        drafts += _pack(group, sizes)
    return drafts


def _groups(lines: Sequence[Line], limit: int) -> list[list[Line]]:
    groups: list[list[Line]] = []
    size = 0
    for line in lines:
        if not groups or size + len(line) > limit:
            groups.append([])
            size = 0
        groups[-1].append(line)
        size += len(line)
    return groups


def _pack(lines: Sequence[Line], sizes: Sizes) -> list[Draft]:
    draft = Draft.of(lines)
    if len(lines) > 1 and len(draft.data) > sizes.page:
        middle = len(lines) // 2
        return _pack(lines[:middle], sizes) + _pack(lines[middle:], sizes)
    return in_parts(draft, sizes.item)


def in_parts(whole: Draft, most: int) -> list[Draft]:
    """This one page, or as many as it takes where each has so many bytes at most."""
    if whole.pieces is not None:
        if most >= MAX_OBJECT:
            return [whole]
        whole = whole._replace(data=b"".join(whole.pieces), pieces=None)
    parts = [whole.data[i : i + most] for i in range(0, len(whole.data), most)]
    return [Draft(part, 0) for part in parts[:-1]] + [whole._replace(data=parts[-1], parts=len(parts))]


class Destination(NamedTuple):
    """The session that blocks are for, and what makes of them what is stored there."""

    key: SessionKey
    codec: Codec
    sizes: Sizes

    @property
    def cipher(self) -> Cipher | None:
        """What encrypts the session, if anything does."""
        return self.codec.cipher

    @property
    def room(self) -> int:
        """Bytes for the tail's entries and the operation ids."""
        key = 0 if self.cipher is None else len(lc.KEY) + len(self.cipher.stored)
        return max(tail_room(self.sizes, self.key) - key, LEAST_ROOM)


def most_inflated(page: Page, longest: int) -> int:
    """Bytes that the data of a page may inflate to, where one message may have `longest`.

    A page of several messages is never cut so large, so it need not be believed to be.
    """
    return longest if page.messages <= 1 else 2 * PAGE_INFLATED


class PageStart(NamedTuple):
    """Where a run of new pages begins; from those before it so many messages were `removed`."""

    number: int
    previous: int
    message: int
    expires: int | None = None
    removed: int = 0

    @classmethod
    def after(cls, item: SessionItem, expires: int | None = None) -> PageStart:
        """Behind the pages of `item`: with what is now its tail."""
        return cls(item.pages, item.page_version, item.tail_start, expires, item.removed)


def make_pages(
    drafts: Sequence[Draft],
    to: Destination,
    base: SessionItem,
    first: PageStart,
    token: bytes,
    ops: frozenset[bytes] = frozenset(),
) -> list[Page]:
    """Number and chain drafts as pages cut at `base`, whose tail they begin with; `ops` came on top of that."""
    pages = []
    previous, index = first.previous, first.message
    for page_number, draft in enumerate(drafts, first.number):
        place = to.key.place(base.generation, page_number)
        page = Page(
            number=page_number,
            cut=base.version,
            previous=previous,
            token=token,
            first=index,
            messages=draft.messages,
            data=to.codec.seal(draft.data, place) if draft.pieces is None else b"",
            pieces=draft.pieces and to.codec.seal_pieces(draft.pieces, place),
            parts=draft.parts,
            ops=base.tail_ops | ops,
            expires=first.expires,
            large=draft.large,
        )
        pages.append(page)
        previous, index = base.version, index + draft.messages
    return pages


class Batch(NamedTuple):
    """A write of several steps (rules 3 and 4): an intent is declared on `base`, pages are put, the item is exchanged.

    `first` is the number of the first page; `pages` and `commit` go on from the state with the intent.
    """

    base: SessionItem
    first: int
    drafts: Sequence[Draft]
    pages: Callable[[SessionItem], list[Page]]
    commit: Callable[[SessionItem], SessionItem]

    @property
    def numbers(self) -> range:
        """Those of the pages."""
        return range(self.first, self.first + len(self.drafts))


def put_page(page: Page, names: Names) -> Expression:
    """PutItem of a page: nothing may be there but an older cut, or the very same one, which must not lose time.

    That one may be committed already, by a writer of another ttl (or of none), and its session made permanent: then
    it bears a mark that must stay, since late stamps are known by it. Or a message of it was changed: then its chain
    is another. A page whose data is in an object is put over none but itself: the object of another writer's, or of an
    earlier attempt, may be gone when a late copy of this request comes.
    """
    e = Expression()
    cut, token = e.name(lc.CUT), e.name(lc.TOKEN)
    version = e.value(number(page.cut))
    ttl = e.name(names.ttl)
    lasts = f"attribute_not_exists({ttl})" if page.expires is None else f"{ttl} <= {e.value(number(page.expires))}"
    unmarked = f"attribute_not_exists({e.name(lc.KEPT)})"
    chain = f"{e.name(lc.CHAIN)} = {e.value(page.chain)}"
    same = f"{chain} AND {token} = {e.value({'B': page.token})} AND {lasts} AND {unmarked}"
    if page.reference is not None:
        same += f" AND {e.name(lc.DATA)} = {e.value(page.stored_data)}"
    e.require(f"(attribute_not_exists({cut}) OR {cut} < {version} OR ({same}))")
    return e


def edit_page(seen: Page, new: Page) -> Expression:
    """UpdateItem that exchanges the messages of a page as it was seen; its stamp, which may have moved, stays."""
    e = Expression()
    e.set(lc.CHAIN, new.chain)
    e.set(lc.DATA, new.stored_data)
    e.require(f"{e.name(lc.CHAIN)} = {e.value(seen.chain)}")
    return e


def delete_page(up_to: int, *, inline: bool = False) -> Expression:
    """DeleteItem of a page that no commit can reach any more: a later cut of that number must survive it.

    With `inline` so must one whose data is in an object.
    """
    e = Expression()
    if inline:
        e.require(f"NOT attribute_type({e.name(lc.DATA)}, {e.value({'S': 'S'})})")
    e.require(f"{e.name(lc.CUT)} <= {e.value(number(up_to))}")
    return e


def refresh_page(expires: int, names: Names, version: int) -> Expression:
    """UpdateItem that lets a page live longer, never shorter; a page that is gone stays gone.

    `version` is the one at which the session was seen to expire: not if it was made permanent since.
    """
    e = Expression()
    ttl, kept = e.name(names.ttl), e.name(lc.KEPT)
    e.set(names.ttl, number(expires))
    e.require(f"attribute_exists({e.name(lc.CUT)})")
    e.require(f"(attribute_not_exists({ttl}) OR {ttl} < {e.value(number(expires))})")
    e.require(f"(attribute_not_exists({kept}) OR {kept} < {e.value(number(version))})")
    return e


def keep_page(version: int, names: Names) -> Expression:
    """UpdateItem that takes the stamp off a page of a session that is made permanent at this version."""
    e = Expression()
    kept, seen = e.name(lc.KEPT), e.value(number(version))
    e.set(lc.KEPT, number(version))
    e.remove(names.ttl)
    e.require(f"attribute_exists({e.name(lc.CUT)})")
    e.require(f"(attribute_not_exists({kept}) OR {kept} <= {seen})")
    return e
