#!/usr/bin/env bash
# Two requests of one chat at the same time, through LangChain's RunnableWithMessageHistory: are both questions kept?
#
# langchain-core 1.8.3: no. What it stores at the end of a run is its input without the first N messages, N being how
# many the history holds *then*; it should be how many it held when the run began. A run beside which another one has
# stored its two messages cuts its own question away and keeps only its answer, without an error or a log line; of three
# messages in one input the first two are lost. A history that appends atomically does not help, the messages never reach
# it. With `history_messages_key` (the input is a dict) nothing is cut and all is kept.
#
# Seen 2026-11-30. Needs python3. Fails if the answers change.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check langchain-core==1.8.3

cat >ask.py <<'P'
import asyncio
import warnings

from langchain_core.chat_history import BaseChatMessageHistory
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import RunnableLambda
from langchain_core.runnables.history import RunnableWithMessageHistory

warnings.simplefilter("ignore")


class Kept(BaseChatMessageHistory):
    def __init__(self):
        self.messages = []

    def add_messages(self, messages):
        self.messages.extend(messages)

    def clear(self):
        self.messages = []


async def run(slow_asks, **keys):
    """The slow run has read the history when the fast one begins, and ends after it."""
    kept, read, stored = Kept(), asyncio.Event(), asyncio.Event()

    async def model(value):
        question = (value["ask"] if keys else value)[-1].content
        if question.startswith("slow"):
            read.set()
            await stored.wait()
        return AIMessage(f"answer to {question}")

    chain = RunnableWithMessageHistory(RunnableLambda(model), lambda session_id: kept, **keys)
    config = {"configurable": {"session_id": "1"}}
    ask = lambda texts: chain.ainvoke(
        {"ask": [HumanMessage(text) for text in texts]} if keys else [HumanMessage(text) for text in texts], config)
    slow = asyncio.create_task(ask(slow_asks))
    await read.wait()
    await ask(["fast"])
    stored.set()
    await slow
    return [message.content for message in kept.messages]


print("messages in:", asyncio.run(run(["slow"])))
print("three at once:", asyncio.run(run(["slow 1", "slow 2", "slow 3"])))
print("dict in:", asyncio.run(run(["slow"], input_messages_key="ask", history_messages_key="before")))
P
venv/bin/python ask.py | tee seen
cat >expected <<'X'
messages in: ['fast', 'answer to fast', 'answer to slow']
three at once: ['fast', 'answer to fast', 'slow 3', 'answer to slow 3']
dict in: ['fast', 'answer to fast', 'slow', 'answer to slow']
X
diff expected seen && echo "as described"
