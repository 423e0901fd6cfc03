"""How tool calls and results stand together: what strict model providers demand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, InvalidToolCall, SystemMessage, ToolMessage

from langchain_dynamodb import pair_tool_calls
from langchain_dynamodb._protocol.views import begin_with_human
from support import calling, refusal, result

SYSTEM, QUESTION, ANSWER, NEXT = SystemMessage("s"), HumanMessage("q"), AIMessage("a"), HumanMessage("next")


TURN = [QUESTION, calling("1", "2"), result("2"), result("1"), ANSWER]


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
