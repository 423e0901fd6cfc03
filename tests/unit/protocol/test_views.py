"""What a read shows (rule 6): which messages, how windows begin, and the session as its users see it."""

from __future__ import annotations

import pytest
from langchain_core.messages import AIMessage, BaseMessage, ChatMessage, HumanMessage, SystemMessage

from langchain_dynamodb._protocol.views import begin_with_human, drop_orphans
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
