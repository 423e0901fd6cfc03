#!/usr/bin/env bash
# A browser closes while LangChain's RunnableWithMessageHistory streams an answer: is the question in the history?
#
# langchain-core 1.8.3: neither the question nor what was answered so far. It stores at the end of the run, and a stream
# that is closed or cancelled has none; this is so even when every piece of the answer was read and only the end was not
# asked for, as a consumer does that stops at the last chunk. Where the model fails, the question is gone too. No error
# tells it, and the user, who still sees question and answer on the screen, goes on in a chat that knows neither.
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
import logging
import warnings
from contextlib import aclosing, closing

from langchain_core.chat_history import BaseChatMessageHistory
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import RunnableLambda
from langchain_core.runnables.history import RunnableWithMessageHistory

warnings.simplefilter("ignore")
logging.disable()  # at a closed stream: "Expected str, BaseMessage, ... Got None." as a warning of the callback manager
QUESTION, CONFIG = [HumanMessage("question")], {"configurable": {"session_id": "1"}}


class Kept(BaseChatMessageHistory):
    def __init__(self):
        self.messages = []

    def add_messages(self, messages):
        self.messages.extend(messages)

    def clear(self):
        self.messages = []


def chain(model=None):
    kept = Kept()
    model = model or GenericFakeChatModel(messages=iter([AIMessage("an answer")]))
    return RunnableWithMessageHistory(model, lambda session_id: kept), kept


def show(what, kept):
    print(f"{what}: {[message.text for message in kept.messages]}")


async def asynchronously():
    asked, kept = chain()
    async with aclosing(asked.astream(QUESTION, CONFIG)) as stream:
        await anext(stream)
    show("closed, async", kept)
    asked, kept = chain()
    first = asyncio.Event()

    async def read():
        async for _ in asked.astream(QUESTION, CONFIG):
            first.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(read())
    await first.wait()
    task.cancel()
    await asyncio.wait([task])
    show("cancelled", kept)


def fail(_):
    raise ConnectionError


asked, kept = chain()
pieces = len([*asked.stream(QUESTION, CONFIG)])
show(f"all {pieces} pieces and the end", kept)
asked, kept = chain()
with closing(asked.stream(QUESTION, CONFIG)) as stream:
    read = [next(stream) for _ in range(pieces)]
show(f"all {pieces} pieces, {''.join(piece.text for piece in read)!r}, closed", kept)
asked, kept = chain()
with closing(asked.stream(QUESTION, CONFIG)) as stream:
    next(stream)
show("one piece, closed", kept)
asyncio.run(asynchronously())
asked, kept = chain(RunnableLambda(fail))
try:
    asked.invoke(QUESTION, CONFIG)
except ConnectionError:
    show("the model fails", kept)
P
venv/bin/python ask.py | tee seen
cat >expected <<'X'
all 3 pieces and the end: ['question', 'an answer']
all 3 pieces, 'an answer', closed: []
one piece, closed: []
closed, async: []
cancelled: []
the model fails: []
X
diff expected seen && echo "as described"
