"""What a read shows (rule 6): which messages, how windows begin, and the session as its users see it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, ChatMessage, HumanMessage, RemoveMessage, SystemMessage

from evaluation import COMMUNITY, KEY, NOW, SECOND, SESSION, native
from langchain_dynamodb import ChatSession
from langchain_dynamodb._items.clock import FIVE_YEARS
from langchain_dynamodb._items.community_item import CommunityItem
from langchain_dynamodb._items.session_items import SessionItem
from langchain_dynamodb._protocol.windows import (
    Missing,
    Snapshot,
    Window,
    begin_with_human,
    chat_session,
    drop_orphans,
    gap,
    is_cut,
    is_human,
    is_system,
    moment,
    readable,
)
from langchain_dynamodb.errors import CorruptSessionError
from langchain_dynamodb.models import Gap
from support import calling, result

SYSTEM, LATE = SystemMessage("s"), SystemMessage("late")
QUESTION, ANSWER = HumanMessage("q"), AIMessage("a")


TURN = [QUESTION, calling("1", "2"), result("2"), result("1"), ANSWER]

# --- How windows begin ---


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([], []),
        ([SYSTEM], [SYSTEM]),
        ([ANSWER, result("1"), QUESTION, ANSWER], [QUESTION, ANSWER]),
        ([SYSTEM, ANSWER, LATE, QUESTION, ANSWER], [SYSTEM, QUESTION, ANSWER]),
        ([SYSTEM, LATE, calling("1"), result("1"), ANSWER], [SYSTEM, LATE]),
        ([ANSWER, ChatMessage("q", role="user"), ANSWER], [ChatMessage("q", role="user"), ANSWER]),
        ([ChatMessage("s", role="system"), ANSWER, QUESTION], [ChatMessage("s", role="system"), QUESTION]),
    ],
)
def test_begin_with_human(messages: list[BaseMessage], expected: list[BaseMessage]) -> None:
    """Leading system messages stay; what stands between them and the first human message goes."""
    assert begin_with_human(messages) == expected


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([result("1"), result("2"), ANSWER, result("3")], [ANSWER, result("3")]),
        ([SYSTEM, result("1"), ANSWER], [SYSTEM, ANSWER]),
        (TURN, TURN),
    ],
)
def test_drop_orphans(messages: list[BaseMessage], expected: list[BaseMessage]) -> None:
    """Results at the beginning belong to calls outside, whether a system message stands before them or not."""
    assert drop_orphans(messages) == expected


@pytest.mark.parametrize("role", ["developer", "system"])
def test_roles_that_may_stand_first(role: str) -> None:
    """Of a `ChatMessage`, whose role is a text."""
    assert (is_system(ChatMessage("s", role=role)), is_human(ChatMessage("s", role=role))) == (True, False)


@pytest.mark.parametrize("role", ["human", "user"])
def test_roles_that_are_human(role: str) -> None:
    """The same."""
    assert (is_system(ChatMessage("q", role=role)), is_human(ChatMessage("q", role=role))) == (False, True)


@pytest.mark.parametrize("message", [ANSWER, ChatMessage("a", role="critic"), result("1")])
def test_what_is_neither(message: BaseMessage) -> None:
    """No conversation begins with it."""
    assert (is_system(message), is_human(message)) == (False, False)


# --- What a read shows ---

REMOVE = RemoveMessage("x")


def test_instructions_are_not_shown() -> None:
    """langchain_community stored them: they tell a graph what to do, and say nothing."""
    assert readable([REMOVE, QUESTION, REMOVE, ANSWER], None) == [QUESTION, ANSWER]


def test_a_whole_history_begins_as_it_does() -> None:
    """Nothing is outside of it."""
    assert readable([result("1"), ANSWER], None) == [result("1"), ANSWER]


def test_a_window_does_not_begin_with_a_result() -> None:
    """Also where an instruction stood before it."""
    assert readable([REMOVE, result("1"), ANSWER], 3) == [ANSWER]


@pytest.mark.parametrize(
    ("item", "limit", "cut"),
    [
        (None, 5, False),
        (SESSION, None, False),
        (SESSION, 10, False),
        (SESSION, 9, True),
        (SESSION, 0, True),
        (replace(SESSION, trimmed=3), None, True),
        (replace(SESSION, trimmed=3), 7, True),
        (COMMUNITY, None, False),
        (COMMUNITY, 3, False),
        (COMMUNITY, 2, True),
    ],
)
def test_whether_older_messages_are_left_out(item: SessionItem | CommunityItem | None, limit: int, cut: bool) -> None:
    """By the window, or for good; langchain_community does not say what it dropped: a full window counts."""
    assert is_cut(item, limit) == cut


@pytest.mark.parametrize(("cut", "expected"), [(True, [QUESTION]), (False, [ANSWER, QUESTION])])
def test_a_window_that_was_cut_begins_with_a_human_message(cut: bool, expected: list[BaseMessage]) -> None:
    """A whole conversation may begin with anything."""
    chat = ChatSession(version=1, messages=[], message_count=2)
    assert Window(chat, cut).shown([ANSWER, QUESTION]) == expected


# --- What is missing ---

EARLY, LATER_ON = Missing(1, 4, ({"SessionId": {"S": "page"}},)), Missing(3, 2, ())
SNAPSHOT = Snapshot(SESSION, [SYSTEM, ANSWER, LATE, QUESTION, AIMessage("b")], (EARLY, LATER_ON))


def test_what_is_missing_stays_before_the_same_messages() -> None:
    """Where others are left out of what is shown."""
    kept = SNAPSHOT.keeping([SNAPSHOT.messages[0], *SNAPSHOT.messages[3:]])
    assert (kept.item, [(one.position, one.messages) for one in kept.missing]) == (SESSION, [(1, 4), (1, 2)])
    assert kept.messages == [SYSTEM, QUESTION, AIMessage("b")]


def test_what_is_missing_is_so_at_the_end_too() -> None:
    """Behind the last message."""
    snapshot = Snapshot(SESSION, [QUESTION, ANSWER], (Missing(2, 1, ()),))
    assert snapshot.keeping([snapshot.messages[1]]).missing == (Missing(1, 1, ()),)


def test_equal_messages_are_told_apart() -> None:
    """Somebody said the same twice, and only the second is kept."""
    snapshot = Snapshot(SESSION, [HumanMessage("q"), HumanMessage("q")], (Missing(1, 1, ()),))
    assert snapshot.keeping([snapshot.messages[1]]).missing == (Missing(0, 1, ()),)


def test_the_keys_of_missing_pages() -> None:
    """As users name keys: texts, bytes, and numbers that are whole or not."""
    keys = ({"PK": {"S": "a"}, "SK": {"N": "-12"}}, {"PK": {"B": b"a"}, "SK": {"N": "0.50"}})
    found = gap(Missing(1, 2, keys))
    pages = [{"PK": "a", "SK": -12}, {"PK": b"a", "SK": Decimal("0.5")}]
    assert found == Gap(position=1, messages=2, pages=pages)
    assert [type(page["SK"]) for page in found.pages] == [int, Decimal]


def test_a_number_of_many_digits_stays_exact() -> None:
    """It is a part of a key."""
    keys = ({"SK": {"N": "1234567890123456789012345678901234567.5"}},)
    assert gap(Missing(0, 1, keys)).pages == [{"SK": Decimal("1234567890123456789012345678901234567.5")}]


# --- The session as its users see it ---


def test_there_is_no_session() -> None:
    """Version 0 and no messages."""
    assert chat_session(KEY, Snapshot(None, []), NOW) == ChatSession(version=0, messages=[], message_count=0)


def test_a_session_of_ours() -> None:
    """All that is known of it."""
    metadata: dict[str, Any] = {"M": {"title": {"S": "t"}, "n": {"N": "1.5"}}}
    item = replace(SESSION, trimmed=3, expires=SECOND + 60, metadata=metadata, own={"user": {"S": "u"}})
    assert chat_session(KEY, Snapshot(item, [QUESTION], (LATER_ON,)), NOW) == ChatSession(
        version=1_020,
        messages=[QUESTION],
        message_count=7,
        created_at=datetime.fromtimestamp(SECOND - 5, timezone.utc),
        updated_at=datetime.fromtimestamp(SECOND - 1, timezone.utc),
        expires_at=datetime.fromtimestamp(SECOND + 60, timezone.utc),
        metadata={"title": "t", "n": 1.5},
        attributes={"user": "u"},
        missing=[Gap(position=3, messages=2)],
    )


def test_a_session_with_nothing_but_messages() -> None:
    """No expiry, no metadata, no attributes, nothing missing."""
    chat = chat_session(KEY, Snapshot(SESSION, [ANSWER]), NOW)
    assert (chat.expires_at, chat.metadata, chat.attributes, chat.missing) == (None, {}, {}, [])


def test_a_session_of_langchain_community() -> None:
    """Its messages, its expiry and the user's attributes are all that it tells."""
    item = replace(COMMUNITY, expires=SECOND + 60, own={"user": {"S": "u"}})
    assert chat_session(KEY, Snapshot(item, [QUESTION]), NOW) == ChatSession(
        version=COMMUNITY.version,
        messages=[QUESTION],
        message_count=2,
        expires_at=datetime.fromtimestamp(SECOND + 60, timezone.utc),
        attributes={"user": "u"},
    )


def test_instructions_count() -> None:
    """`message_count` is what `truncate` goes by, though they are not shown."""
    item = CommunityItem({"L": [native("a"), {"M": {"type": {"S": "remove"}, "data": {"M": {}}}}]})
    assert chat_session(KEY, Snapshot(item, [QUESTION]), NOW).message_count == 2


@pytest.mark.parametrize("item", [SESSION, COMMUNITY])
def test_a_time_that_dynamodb_ignores_is_no_expiry(item: Any) -> None:
    """Of more than five years ago."""
    old = replace(item, expires=SECOND - FIVE_YEARS - 1)
    assert chat_session(KEY, Snapshot(old, []), NOW).expires_at is None


@pytest.mark.parametrize("metadata", [{"M": {"a": {"SS": ["x"]}}}, {"M": {"a": {"B": b"hush"}}}])
def test_metadata_that_cannot_be_read(metadata: Any) -> None:
    """It is told with its attribute, and nothing of its content."""
    with pytest.raises(CorruptSessionError, match="holds no JSON value") as caught:
        chat_session(KEY, Snapshot(replace(SESSION, metadata=metadata), []), NOW)
    assert (caught.value.item, caught.value.attribute) == ("SessionId='s'", "lc_metadata")
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (None, None),
        (0, datetime(1970, 1, 1, tzinfo=timezone.utc)),
        (SECOND + 0.5, datetime(2027, 1, 15, 8, 0, 0, 500_000, tzinfo=timezone.utc)),
    ],
)
def test_times_are_utc(seconds: float | None, expected: datetime | None) -> None:
    """Wherever the program runs."""
    assert moment(seconds) == expected
