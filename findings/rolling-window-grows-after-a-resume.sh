#!/usr/bin/env bash
# A LangGraph state keeps "the last three" in a `deque(maxlen=3)`: how many are kept after the thread was read back?
#
# LangGraph 1.2.24 (langgraph-checkpoint 4.3.2): all of them, from then on. The deque comes back a deque, equal to what
# was stored, but without its `maxlen`; so a window that is bounded within a run grows by every turn after it, and a
# prompt made of it with it. Of the other containers of `collections`, a Counter and a defaultdict come back as dicts:
# the first new key raises KeyError one turn later. No warning. (`InMemorySaver`, which serialises like the others.)
#
# Seen 2026-11-30. Needs python3. Fails if the answers change.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check langgraph==1.2.24 langgraph-checkpoint==4.3.2 langchain-core==1.8.3

cat >ask.py <<'P'
import warnings
from collections import Counter, defaultdict, deque
from typing import Any, TypedDict

from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph

warnings.simplefilter("error")
THREAD = {"configurable": {"thread_id": "1"}}


class State(TypedDict, total=False):
    turn: int
    window: Any
    counter: Any
    groups: Any


def work(state):
    window = state.get("window", deque(maxlen=3))
    for number in range(4):
        window.append(state["turn"] * 4 + number)
    counter, groups, told = state.get("counter", Counter()), state.get("groups", defaultdict(list)), []
    key = f"turn {state['turn']}"
    for what, container, count in (("counter", counter, 1), ("groups", groups, [1])):
        try:
            container[key] += count
        except KeyError as error:
            told.append(f"{what} KeyError {error}")
    print(f"turn {state['turn']}: {len(window)} in the window {window.maxlen}", type(counter).__name__, type(groups).__name__, *told)
    return {"window": window, "counter": counter, "groups": groups}


graph = StateGraph(State).add_node("work", work).add_edge(START, "work").compile(checkpointer=InMemorySaver())
for turn in range(3):
    graph.invoke({"turn": turn}, THREAD)
P
venv/bin/python ask.py | tee seen
cat >expected <<'X'
turn 0: 3 in the window 3 Counter defaultdict
turn 1: 7 in the window None dict dict counter KeyError 'turn 1' groups KeyError 'turn 1'
turn 2: 11 in the window None dict dict counter KeyError 'turn 2' groups KeyError 'turn 2'
X
diff expected seen && echo "as described"
