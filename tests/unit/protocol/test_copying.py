"""The state that a copy begins with, and where its last messages go."""

from __future__ import annotations

from langchain_dynamodb import Sizes
from langchain_dynamodb._items.keys import session_key
from langchain_dynamodb._items.sizes import MAX_ITEM_DATA
from langchain_dynamodb._protocol.copying import Written, begun, copied, laid_out
from langchain_dynamodb._protocol.expiry import Expiries
from langchain_dynamodb._protocol.pages import Destination, Draft, in_parts
from langchain_dynamodb.codec.messages import Codec

NOW = 1_800_000_000_000_000
TO = Destination(session_key("fork", "SessionId"), Codec(), Sizes(session_item=700, page=500))


def test_a_generation_is_nobody_elses() -> None:
    """Though two begin in the same microsecond: its pages are put on no condition. It is not of the future."""
    starts = [begun(NOW, TO) for _ in range(100)]
    generations = {start.generation for start in starts}
    assert len(generations) > 95
    assert all(NOW - (1 << 32) < generation <= NOW for generation in generations)
    assert {(start.version, start.created) for start in starts} == {(NOW, 0)}
    assert begun(5, TO).generation == 1


def test_what_follows_the_pages() -> None:
    """Goes into the tail, entry by entry; if that has no room, into a page for each entry."""
    small = [Draft(b"x" * 100, 2), Draft(b"y" * 100, 1)]
    assert laid_out(small, TO) == ([], (b"x" * 100, b"y" * 100))
    assert laid_out([], TO) == ([], ())
    large = [Draft(b"x" * 400, 2), Draft(b"y" * 400, 1)]
    assert laid_out(large, TO) == (large, ())


def test_parts() -> None:
    """What is larger than an item may be is cut; the last part counts the messages."""
    drafts = in_parts(Draft(b"x" * (2 * MAX_ITEM_DATA + 1), 7), MAX_ITEM_DATA)
    assert [(len(d.data), d.messages, d.parts) for d in drafts] == [
        (MAX_ITEM_DATA, 0, 1),
        (MAX_ITEM_DATA, 0, 1),
        (1, 7, 3),
    ]


def test_the_state_of_a_copy() -> None:
    """Pages from 0 on, cut at the version that it begins at, then the tail."""
    written = Written().with_pages([Draft(b"", 0), Draft(b"", 3, 2)]).with_pages([Draft(b"", 5)])
    assert written == Written(3, 8)
    start = begun(NOW, TO)
    state = copied(start, written, (b"entry",), 2, None, b"op", NOW + 5, Expiries(100, 200))
    assert (state.first_page, state.pages, state.page_version) == (0, 3, start.version)
    assert (state.count, state.tail_start, state.tail_count, state.reach) == (10, 8, 2, -1)
    assert (state.created, state.change, state.expires, state.pages_expire) == (NOW + 5, b"op", 100, 200)
    alone = copied(start, Written(), (b"entry",), 2, None, b"op", NOW, Expiries(None, 200))
    assert (alone.pages, alone.page_version, alone.pages_expire, alone.tail_start) == (0, 0, 0, 0)
