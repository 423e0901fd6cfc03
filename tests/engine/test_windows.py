"""How windows begin, and how tool calls and results stand together: what strict model providers demand."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    InvalidToolCall,
    SystemMessage,
    ToolMessage,
)

from conftest import RepositoryFactory
from langchain_dynamodb import pair_tool_calls
from langchain_dynamodb._protocol.views import begin_with_human, drop_orphans
from langchain_dynamodb.errors import InvalidInputError
from support import SMALL, human, refusal, remembered

pytestmark = pytest.mark.once

SYSTEM, LATE = SystemMessage("s"), SystemMessage("late")
QUESTION, ANSWER, NEXT = HumanMessage("q"), AIMessage("a"), HumanMessage("next")


def calling(*ids: str) -> AIMessage:
    """An answer that calls tools."""
    return AIMessage("", id="-".join(ids), tool_calls=[{"name": "pay", "args": {}, "id": id} for id in ids])


def result(id: str, text: str = "paid") -> ToolMessage:
    """What came of a call."""
    return ToolMessage(text, tool_call_id=id)


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


@pytest.mark.parametrize("item_format", ["pages", "community"])
async def test_every_window_is_accepted(make_repository: RepositoryFactory, item_format: Any) -> None:
    """With ``start_on="human"``, at any limit; without it a third or more of them begins with something else."""
    turns = [QUESTION, ANSWER] * 5 + TURN + [QUESTION, ANSWER] * 5
    sessions = make_repository(item_format=item_format, sizes=SMALL)
    await sessions.append("s", turns)
    refused = 0
    for limit in range(1, len(turns) + 1):
        chat = await sessions.read("s", limit=limit, start_on="human")
        assert refusal([*chat.messages, NEXT]) is None
        assert limit - 5 <= len(chat.messages) <= limit
        assert chat.messages == turns[len(turns) - len(chat.messages) :]
        assert (chat.message_count, chat.version) == (len(turns), (await sessions.read("s")).version)
        refused += refusal([*(await sessions.read("s", limit=limit)).messages, NEXT]) is not None
    assert refused >= len(turns) // 3


@pytest.mark.parametrize("item_format", ["pages", "community"])
async def test_start_on(make_repository: RepositoryFactory, item_format: Any) -> None:
    """It holds for whole sessions too, for iterating as for reading, and for reads that may find nothing new."""
    sessions = make_repository(item_format=item_format, sizes=SMALL)
    await sessions.append("s", [SYSTEM, ANSWER, LATE, *TURN])
    chat = await sessions.read("s", start_on="human")
    assert chat.messages == [SYSTEM, *TURN]
    assert [message async for message in sessions.iter_messages("s", start_on="human")] == [SYSTEM, *TURN]
    assert [message async for message in sessions.iter_messages("s")] == [SYSTEM, ANSWER, LATE, *TURN]
    assert await sessions.read("s", start_on="human", unless_version=chat.version) is None
    assert (await sessions.read("s", limit=4, start_on="human")).messages == []  # no human message is in it
    assert (await sessions.read("nothing", limit=4, start_on="human")).version == 0


async def test_what_is_missing_stays_before_the_same_message(make_repository: RepositoryFactory) -> None:
    """Also where the window begins later: by ``start_on``, and by a result without its call."""
    sessions = make_repository(sizes=SMALL)
    for _ in range(12):
        await sessions.append("s", [HumanMessage(human(90).content), AIMessage(human(90).content)])
    key = sessions._key("s").page(remembered(sessions).generation, remembered(sessions).pages - 1)
    await sessions._connection.call("delete_item", {"TableName": sessions.table_name, "Key": key}, write=True)
    sessions = make_repository(sizes=SMALL)
    whole = await sessions.read("s", skip_missing_pages=True)
    ((place, lost),) = [(gap.position, gap.messages) for gap in whole.missing]
    behind = whole.messages[place]
    assert [message.type for message in whole.messages[place - 2 : place + 2]] == ["human", "ai", "human", "ai"]
    for limit in range(len(whole.messages) - place + 1, len(whole.messages) + 1):
        chat = await sessions.read("s", limit=limit, start_on="human", skip_missing_pages=True)
        assert refusal(chat.messages) is None
        assert [(chat.messages[gap.position], gap.messages) for gap in chat.missing] == [(behind, lost)]


@pytest.mark.parametrize("wrong", ["ai", "", True, 1])
async def test_a_wrong_start(make_repository: RepositoryFactory, wrong: Any) -> None:
    """Windows can begin with a human message, or with any."""
    sessions = make_repository()
    with pytest.raises(InvalidInputError, match=r"start_on=.* must be 'human', or None"):
        await sessions.read("s", start_on=wrong)
    with pytest.raises(InvalidInputError, match=r"start_on=.* must be 'human', or None"):
        [message async for message in sessions.iter_messages("s", start_on=wrong)]


# --- Calls and results ---


@pytest.mark.parametrize("messages", [[], TURN, [SYSTEM, *TURN, *TURN, NEXT], [ANSWER]])
def test_what_is_well_formed_stays(messages: list[BaseMessage]) -> None:
    """The very same messages in the same order, that of parallel results included; ids of calls may come again."""
    assert [id(message) for message in pair_tool_calls(messages)] == [id(message) for message in messages]


def test_a_call_without_a_result() -> None:
    """What stands in for one follows the call at once, is an error to the model and says what is known."""
    messages = [QUESTION, calling("1", "2", "3"), result("2"), NEXT]
    *paired, third, last = pair_tool_calls(messages)
    assert paired == [*messages[:3], ToolMessage(**{**third.model_dump(), "tool_call_id": "1", "id": paired[3].id})]
    assert isinstance(third, ToolMessage)
    assert (third.tool_call_id, third.name, third.status, last) == ("3", "pay", "error", NEXT)
    assert third.text == (
        "This call has no result: the conversation went on without one. Whether the tool ran is not known."
    )
    assert refusal([*paired, third, last]) is None


def test_a_call_with_bad_arguments() -> None:
    """Providers that get it sent back want a result of it too; what has no id cannot have one."""
    calls = [
        InvalidToolCall(name=None, args="{", id=id, error="cut off", type="invalid_tool_call") for id in ("1", None)
    ]
    paired = pair_tool_calls([QUESTION, AIMessage("", invalid_tool_calls=calls), NEXT])
    assert [(message.type, getattr(message, "tool_call_id", None)) for message in paired] == [
        ("human", None),
        ("ai", None),
        ("tool", "1"),
        ("human", None),
    ]


def test_results_that_stand_elsewhere() -> None:
    """A late one is moved to its call, the last of several counts, and one without a call is left out."""
    messages = [
        *[result("0"), QUESTION, calling("1"), result("1", "first"), NEXT, ANSWER],
        *[result("1", "last"), result("9"), calling("1"), NEXT],
    ]
    paired = pair_tool_calls(messages)
    assert [message.text or message.type for message in paired[:5]] == ["q", "ai", "last", "next", "a"]
    assert [message.type for message in paired[5:]] == ["ai", "tool", "human"]
    assert refusal(paired) is None


def test_a_result_that_comes_after_its_stand_in() -> None:
    """Then it takes its place, in whatever order the two are."""
    [*_, stand_in] = pair_tool_calls([QUESTION, calling("1")])
    for results in ([stand_in, NEXT, result("1")], [result("1"), NEXT, stand_in]):
        assert pair_tool_calls([QUESTION, calling("1"), *results]) == [QUESTION, calling("1"), result("1"), NEXT]


IDS = st.sampled_from(["1", "2", "3"])
MESSAGES = st.one_of(
    st.just(QUESTION),
    st.just(ANSWER),
    st.just(SYSTEM),
    st.lists(IDS, min_size=1, max_size=3, unique=True).map(lambda ids: calling(*ids)),
    IDS.map(result),
)


@given(st.lists(MESSAGES, max_size=12))
def test_any_conversation_is_accepted(messages: list[BaseMessage]) -> None:
    """Whatever was stored: behind a human message, and once more through it changes nothing."""
    paired = pair_tool_calls(begin_with_human(messages))
    if any(message.type == "human" for message in paired):
        assert refusal(paired) is None
    assert pair_tool_calls(paired) == paired
    rest = [message for message in begin_with_human(messages) if message.type != "tool"]
    assert [message for message in paired if message.type != "tool"] == rest
