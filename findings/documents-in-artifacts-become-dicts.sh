#!/usr/bin/env bash
# Does a graph go on with what its tools found, after its checkpoint was read back?
#
# LangGraph 1.2.24 (langgraph-checkpoint 4.3.2) keeps a LangChain Document that stands in the state itself, but not one that
# stands in a message: the artifact of a ToolMessage with Documents (what `response_format="content_and_artifact"` of a
# retriever gives) is a list of dicts from the next run on, and a tuple is a list, without a warning. Within the run that
# made them they are Documents still, so `artifact[0].page_content` works in a test of one run and fails after a resume.
# (With `InMemorySaver`, which serialises like the others.)
#
# Seen 2026-11-29. Needs python3. Fails if the answers change.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check langgraph==1.2.24 langgraph-checkpoint==4.3.2 langchain-core==1.8.3

cat >ask.py <<'P'
import warnings
from typing import Any, TypedDict

from langchain_core.documents import Document
from langchain_core.messages import ToolMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph

warnings.simplefilter("error")
FOUND = Document("The tide is high.")


class State(TypedDict):
    found: Any
    said: Any


def look_up(state):
    return {"found": [FOUND], "said": ToolMessage("high", tool_call_id="c", artifact=([FOUND], 1))}


graph = StateGraph(State)
graph.add_node("look_up", look_up)
graph.add_edge(START, "look_up")
graph.add_edge("look_up", END)
app = graph.compile(checkpointer=InMemorySaver())
config = {"configurable": {"thread_id": "1"}}
result = app.invoke({"found": None, "said": None}, config)
for name, state in (("in the run", result), ("read back", app.get_state(config).values)):
    artifact = state["said"].artifact
    print(f"{name}: in the state {type(state['found'][0]).__name__},",
          f"in the artifact {type(artifact).__name__} of {type(artifact[0][0]).__name__}")
P
venv/bin/python ask.py | tee seen
cat >expected <<'X'
in the run: in the state Document, in the artifact tuple of Document
read back: in the state Document, in the artifact list of dict
X
diff expected seen && echo "as described"
