"""Tool calls and their results, as models want to see them. No I/O."""

from __future__ import annotations

from collections.abc import Sequence

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage

STAND_IN = "no-result/"  # how the ids of results begin that stand in for those that never came


def pair_tool_calls(messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    """The messages with each tool call directly followed by its result, as model providers demand.

    A call without a result (its process died, its approval never came, it was cut off) gets a `ToolMessage` of status
    "error" which says so. A result that stands further on is moved to its call; of several results the last counts.
    A result whose call is not there is left out. All other messages are the ones given, in their order.
    """
    found = _results(messages)
    paired: list[BaseMessage] = []
    for place, message in enumerate(messages):
        if isinstance(message, ToolMessage):
            continue
        paired.append(message)
        if isinstance(message, AIMessage):
            results = found[place]
            paired += results.values()
            paired += [_stand_in(message, *call) for call in calls(message).items() if call[0] not in results]
    return paired


def calls(message: BaseMessage) -> dict[str, str]:
    """Name of each tool call of a message, by its id; providers want results of those with bad arguments too."""
    if not isinstance(message, AIMessage):
        return {}
    made = (*message.tool_calls, *message.invalid_tool_calls)
    return {call["id"]: call["name"] or "" for call in made if call["id"]}


def is_stand_in(message: BaseMessage) -> bool:
    """Whether `pair_tool_calls` made it."""
    return isinstance(message, ToolMessage) and (message.id or "").startswith(STAND_IN)


def with_stand_ins(messages: Sequence[BaseMessage], paired: Sequence[BaseMessage]) -> list[BaseMessage]:
    """The messages, with those results after their calls that only stand in for one in `paired`."""
    lacking = {message.id: message for message in paired if is_stand_in(message)}
    for message in messages:
        lacking.pop(message.id, None)
    answered: list[BaseMessage] = []
    for message in messages:
        answered.append(message)
        answered += [lacking[id] for call in calls(message) if (id := _stand_in_id(message, call)) in lacking]
    return answered


def _results(messages: Sequence[BaseMessage]) -> dict[int, dict[str, ToolMessage]]:
    """For the place of each answer the results of its calls, in the order in which they came."""
    found: dict[int, dict[str, ToolMessage]] = {}
    caller: dict[str, int] = {}  # where a call was made last: ids of calls may come again
    for place, message in enumerate(messages):
        if isinstance(message, AIMessage):
            found[place] = {}
            caller.update(dict.fromkeys(calls(message), place))
        elif isinstance(message, ToolMessage) and message.tool_call_id in caller:
            results = found[caller[message.tool_call_id]]
            if message.tool_call_id not in results or not is_stand_in(message):
                results[message.tool_call_id] = message
    return found


def _stand_in(message: BaseMessage, call: str, name: str) -> ToolMessage:
    return ToolMessage(
        "This call has no result: the conversation went on without one. Whether the tool ran is not known.",
        name=name or None,
        tool_call_id=call,
        status="error",
        id=_stand_in_id(message, call),
    )


def _stand_in_id(message: BaseMessage, call: str) -> str:
    return f"{STAND_IN}{message.id or ''}/{call}"
