#!/usr/bin/env bash
# A model calls a tool with an integer of more than 64 bits (an account number, an amount in wei): does the graph go on?
#
# LangGraph 1.2.24 (langgraph-checkpoint 4.3.2) without a checkpointer: yes, Python and JSON know such integers. With
# one: the run ends in "TypeError: Type is not msgpack serializable: AIMessage", which names neither the number nor where
# it stands, after the model was called and paid for; a resume calls it again. With `durability="exit"` the thread then
# has nothing, not even the question. The same number in the state itself is named ("Integer exceeds 64-bit range").
# 2**64 - 1 goes, and -2**63; one further on either side does not. (`InMemorySaver`, which serialises like the others.)
#
# Seen 2026-11-30. Needs python3. Fails if the answers change.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check langgraph==1.2.24 langgraph-checkpoint==4.3.2 langchain-core==1.8.3 \
    ormsgpack==1.13.1

cat >ask.py <<'P'
import json

from langchain_core.messages import AIMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph

THREAD = {"configurable": {"thread_id": "1"}}


class State(MessagesState):
    amount: int


def outcome(number, where, saver, durability="sync"):
    calls = []

    def model(state):
        calls.append(state)
        args = json.loads(json.dumps({"amount": number if where == "message" else 0}))
        answer = AIMessage("", tool_calls=[{"name": "pay", "args": args, "id": "1"}])
        return {"messages": [answer], "amount": number if where == "state" else 0}

    graph = StateGraph(State).add_node("model", model).add_edge(START, "model").compile(checkpointer=saver)
    try:
        found = graph.invoke({"messages": [("human", "pay")]}, THREAD, durability=durability if saver else None)
        assert number in (found["messages"][-1].tool_calls[0]["args"]["amount"], found["amount"])
        return "exact"
    except TypeError as error:
        kept = [message.type for message in graph.get_state(THREAD).values.get("messages", [])]
        return f"TypeError {error}; called {len(calls)} time, kept {kept}"


for name, number in {"2**64 - 1": 2**64 - 1, "2**64": 2**64, "-2**63": -(2**63), "-2**63 - 1": -(2**63) - 1}.items():
    print(f"{name} in a message: {outcome(number, 'message', InMemorySaver())}")
print("2**64 in the state:", outcome(2**64, "state", InMemorySaver()))
print("2**64 in a message, at the exit:", outcome(2**64, "message", InMemorySaver(), "exit"))
print("2**64 in a message, no checkpointer:", outcome(2**64, "message", None))
P
venv/bin/python ask.py | tee seen
cat >expected <<'X'
2**64 - 1 in a message: exact
2**64 in a message: TypeError Type is not msgpack serializable: AIMessage; called 1 time, kept ['human']
-2**63 in a message: exact
-2**63 - 1 in a message: TypeError Type is not msgpack serializable: AIMessage; called 1 time, kept ['human']
2**64 in the state: TypeError Integer exceeds 64-bit range; called 1 time, kept ['human', 'ai']
2**64 in a message, at the exit: TypeError Type is not msgpack serializable: AIMessage; called 1 time, kept []
2**64 in a message, no checkpointer: exact
X
diff expected seen && echo "as described"
