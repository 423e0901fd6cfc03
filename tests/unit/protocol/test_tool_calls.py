"""How tool calls and results stand together: what strict model providers demand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, InvalidToolCall, SystemMessage, ToolMessage

from langchain_dynamodb import pair_tool_calls
from langchain_dynamodb._protocol.tool_calls import calls, is_stand_in, with_stand_ins
from langchain_dynamodb._protocol.windows import begin_with_human
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


# --- Calls ---


def bad(name: str | None, id: str | None) -> InvalidToolCall:
    """A call whose arguments could not be read."""
    return InvalidToolCall(name=name, args="{", id=id, error="cut off", type="invalid_tool_call")


def test_all_calls_of_an_answer() -> None:
    """Those with bad arguments too, by their ids; what has no id cannot have a result."""
    made = [{"name": "pay", "args": {}, "id": "1"}, {"name": "ask", "args": {}, "id": None}]
    answer = AIMessage("", tool_calls=made, invalid_tool_calls=[bad(None, "2"), bad("ask", None), bad("ask", "3")])
    assert calls(answer) == {"1": "pay", "2": "", "3": "ask"}


@pytest.mark.parametrize("message", [QUESTION, ANSWER, SYSTEM, result("1")])
def test_what_calls_nothing(message: BaseMessage) -> None:
    """Only answers do."""
    assert calls(message) == {}


# --- Stand-ins ---

CALL = calling("1", "2")
ASKED = [QUESTION, CALL, result("2"), NEXT]
FIRST = pair_tool_calls(ASKED)[3]  # of call 1, which has no result


def test_a_stand_in_is_known_as_one() -> None:
    """By its id, so that it is still known once it was stored."""
    assert [is_stand_in(message) for message in pair_tool_calls(ASKED)] == [False, False, False, True, False]


@pytest.mark.parametrize(
    "message", [result("1"), AIMessage("a", id=FIRST.id), ToolMessage("x", tool_call_id="1", id="x")]
)
def test_what_is_no_stand_in(message: BaseMessage) -> None:
    """Results that came, and whatever is no result."""
    assert not is_stand_in(message)


def test_a_stand_in_has_the_same_id_each_time() -> None:
    """Pairing is done anew for each call of a model, and no message is to be there twice."""
    assert pair_tool_calls(ASKED)[3].id == FIRST.id


def test_stand_ins_of_different_calls_have_different_ids() -> None:
    """Also where the ids of calls come again in a later answer."""
    again = AIMessage("", id="again", tool_calls=CALL.tool_calls)
    ids = [message.id for message in pair_tool_calls([QUESTION, CALL, again]) if is_stand_in(message)]
    assert (len(ids), len(set(ids))) == (4, 4)


def test_a_stand_in_that_was_stored_stays_as_it_is() -> None:
    """Whatever an earlier version wrote into it."""
    earlier = ToolMessage("no result", tool_call_id="1", id=FIRST.id)
    assert pair_tool_calls([QUESTION, CALL, result("2"), earlier])[3] is earlier


def test_stand_ins_are_put_behind_their_calls() -> None:
    """Into messages that are as they were otherwise: late results, and those without a call, stay where they are."""
    messages = [result("0"), QUESTION, CALL, NEXT, result("2")]
    (stand_in,) = [message for message in pair_tool_calls(messages) if is_stand_in(message)]
    assert with_stand_ins(messages, pair_tool_calls(messages)) == [*messages[:3], stand_in, *messages[3:]]


def test_a_stand_in_that_is_there_is_not_put_twice() -> None:
    """It was stored, or put there before."""
    messages = [QUESTION, CALL, result("2"), FIRST, NEXT]
    assert with_stand_ins(messages, pair_tool_calls(messages)) == messages


def test_nothing_is_put_where_no_result_is_lacking() -> None:
    """The messages are the ones given."""
    assert with_stand_ins(TURN, pair_tool_calls(TURN)) == TURN


def test_a_stand_in_for_an_answer_without_an_id() -> None:
    """Answers need none."""
    messages = [QUESTION, AIMessage("", tool_calls=CALL.tool_calls), NEXT]
    paired = pair_tool_calls(messages)
    assert (len(paired), with_stand_ins(messages, paired)) == (5, paired)
