#!/usr/bin/env bash
# A client sends a question again under the id that it had (its answer was lost, or its user has edited the text). What
# does an agent with a checkpointer make of it?
#
# LangGraph 1.2.24 with langchain 1.5.2: an edit in place, by `add_messages`. The text changes where the message stood,
# nothing is added at the end, and the model is asked all the same: with a conversation that ends with its own answer.
# What it says then stands behind that answer. An edited first question has the old answers behind it from then on, of
# which they are none. No error and no warning; some providers refuse such a conversation, others go on with the answer.
# Without a checkpointer the same input is a question like any other.
#
# Seen 2026-11-30. Needs python3. Fails if the answers change.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check langchain==1.5.2 langgraph==1.2.24 langgraph-checkpoint==4.3.2 \
    langchain-core==1.8.3

cat >ask.py <<'P'
import warnings

from langchain.agents import create_agent
from langchain_core.language_models import FakeMessagesListChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.memory import InMemorySaver

warnings.simplefilter("error")
THREAD = {"configurable": {"thread_id": "1"}}


class Model(FakeMessagesListChatModel):
    def _generate(self, messages, *rest, **options):
        print("  asked:", *(message.text for message in messages), sep=" | ")
        return super()._generate(messages, *rest, **options)


def turns(name, again, **options):
    print(name)
    agent = create_agent(Model(responses=[AIMessage(answer) for answer in ("a1", "a2", "a3")]), **options)
    for question in (HumanMessage("q1", id="1"), HumanMessage("q2", id="2"), again):
        state = agent.invoke({"messages": [question]}, THREAD)
    print("  state:", *(message.text for message in state["messages"]), sep=" | ")


turns("the last question again", HumanMessage("q2", id="2"), checkpointer=InMemorySaver())
turns("the first question, edited", HumanMessage("Q1", id="1"), checkpointer=InMemorySaver())
turns("without a checkpointer", HumanMessage("q2", id="2"))
P
venv/bin/python ask.py | tee seen
cat >expected <<'X'
the last question again
  asked: | q1
  asked: | q1 | a1 | q2
  asked: | q1 | a1 | q2 | a2
  state: | q1 | a1 | q2 | a2 | a3
the first question, edited
  asked: | q1
  asked: | q1 | a1 | q2
  asked: | Q1 | a1 | q2 | a2
  state: | Q1 | a1 | q2 | a2 | a3
without a checkpointer
  asked: | q1
  asked: | q2
  asked: | q2
  state: | q2 | a3
X
diff expected seen && echo "as described"
