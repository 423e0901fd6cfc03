#!/usr/bin/env bash
# A LangGraph node asks for its configuration and its store, and has a default: `config: Optional[RunnableConfig] = None`,
# `store: Optional[BaseStore] = None`, beneath `from __future__ import annotations`. Then ruff modernizes the file: its
# rule UP045 makes that `RunnableConfig | None`, a fix that it calls safe.
#
# langgraph 1.2.24 gives the node neither from then on: the default is used, so the user is nobody and what the
# agent should remember goes nowhere. It compares annotations as text, and knows "Optional[RunnableConfig]" alone. For the
# configuration there is a warning, which says that it "should be typed as 'RunnableConfig' or 'RunnableConfig | None',
# not 'RunnableConfig | None'"; for the store there is none. Without the future import the annotation is a type, and equal
# in both spellings; so the same line works in the file next to it.
#
# Seen 2026-11-30. Needs python3 (3.10 to 3.13). Fails if the answers change.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check langgraph==1.2.24 langchain-core==1.8.3 ruff==0.17.6
cat >agent.py <<'P'
from __future__ import annotations

import warnings
from typing import Optional, TypedDict

from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, StateGraph
from langgraph.store.base import BaseStore
from langgraph.store.memory import InMemoryStore


class State(TypedDict):
    said: str


def remember(state: State, config: Optional[RunnableConfig] = None, store: Optional[BaseStore] = None) -> State:
    user = config["configurable"]["user"] if config else "nobody"
    if store is not None:
        store.put((user,), "said", {"text": state["said"]})
    return {"said": f"{user} said {state['said']}"}


with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    graph = StateGraph(State)
    graph.add_node("remember", remember)
    graph.add_edge(START, "remember")
    graph.add_edge("remember", END)
    memory = InMemoryStore()
    answer = graph.compile(store=memory).invoke({"said": "hello"}, {"configurable": {"user": "ann"}})
print(f"{answer['said']}; remembered: {[item.value['text'] for item in memory.search(('ann',))]}")
for warning in told:
    print(f"  {warning.message}".rstrip())
P
{
    echo "as it was:" && venv/bin/python agent.py
    venv/bin/ruff check --isolated --quiet --select UP --fix --target-version py310 agent.py
    echo "after ruff: $(grep -o 'config: RunnableConfig[^=]*= None, store: [^=]*= None' agent.py)" && venv/bin/python agent.py
    sed -i '/^from __future__/d' agent.py
    echo "without the future import:" && venv/bin/python agent.py
} | tee seen
cat >expected <<'X'
as it was:
ann said hello; remembered: ['hello']
after ruff: config: RunnableConfig | None = None, store: BaseStore | None = None
nobody said hello; remembered: []
  The 'config' parameter should be typed as 'RunnableConfig' or 'RunnableConfig | None', not 'RunnableConfig | None'.
without the future import:
ann said hello; remembered: ['hello']
X
diff expected seen && echo "as described"
