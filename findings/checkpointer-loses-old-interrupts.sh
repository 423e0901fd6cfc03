#!/usr/bin/env bash
# Does a LangGraph thread in DynamoDB still know an interrupt, after the thread has gone on?
#
# langgraph-dynamodb-checkpoint 0.5.0: not once more than 1 MB was stored in the thread since. `get_state` of the
# checkpoint at which the graph asked has no interrupts then, nor any other pending writes, without an error; the items
# are all there. To find them it sends one Query over the whole thread, newest first, with a filter, and does not ask for
# the next page; DynamoDB ends a page of a Query at 1 MB before it filters, and so does moto 5.2.5, used here. (DynamoDB
# Local 3.3.1 does not: there they are found.) `InMemorySaver` of LangGraph keeps them. So going back to a question, which
# works in a test with short messages or on DynamoDB Local, does not after some turns with long ones.
#
# Seen 2026-11-30. Needs python3. Fails if the answers change.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check langgraph-dynamodb-checkpoint==0.5.0 langgraph==1.2.24 \
    langgraph-checkpoint==4.3.2 langchain-core==1.8.3 boto3==1.43.117 "moto[dynamodb]==5.2.5"

cat >ask.py <<'P'
import logging
import os
from typing import TypedDict

logging.disable()
os.environ |= {"AWS_DEFAULT_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import interrupt
from langgraph_dynamodb_checkpoint import DynamoDBSaver
from moto import mock_aws


class State(TypedDict):
    said: str


def ask(state):
    if state["said"] == "a question":
        interrupt("Shall I?")


graph = StateGraph(State)
graph.add_node("ask", ask)
graph.add_edge(START, "ask")
graph.add_edge("ask", END)


def show(name, saver):
    app = graph.compile(checkpointer=saver)
    thread = {"configurable": {"thread_id": "1"}}
    app.invoke({"said": "a question"}, thread)
    asked = app.get_state(thread).config
    for turns in (0, 5):
        for _ in range(turns):
            app.invoke({"said": 50_000 * "x"}, thread)
        print(f"{name}, {turns} turns of 50 KB later: {[one.value for one in app.get_state(asked).interrupts]}")


show("InMemorySaver", InMemorySaver())
with mock_aws():
    show("DynamoDBSaver", DynamoDBSaver("checkpoints"))
P
venv/bin/python ask.py | tee seen
cat >expected <<'E'
InMemorySaver, 0 turns of 50 KB later: ['Shall I?']
InMemorySaver, 5 turns of 50 KB later: ['Shall I?']
DynamoDBSaver, 0 turns of 50 KB later: ['Shall I?']
DynamoDBSaver, 5 turns of 50 KB later: []
E
diff expected seen && echo "as described"
