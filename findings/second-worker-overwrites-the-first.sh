#!/usr/bin/env bash
# Two workers have one session of a Strands agent open (two tabs, a retry beside the first try): what is kept of both
# turns?
#
# strands-session-dynamodb 0.2.0 with strands-agents 1.62.0, on moto 5.2.5: the later ones. A message's sort key is its
# index in the agent's memory, and it is put without a condition; so each worker writes its question and answer over
# those of the other, and neither sees an error. Each goes on with what it has in memory: a turn later the table holds
# turns of both in one history, as neither of them has seen it.
#
# Seen 2026-11-30. Needs python3. Fails if the answers change.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check strands-session-dynamodb==0.2.0 strands-agents-session==0.2.0 \
    strands-agents==1.62.0 boto3==1.44.8 "moto[dynamodb]==5.2.5"

cat >ask.py <<'P'
import os

os.environ |= {"AWS_DEFAULT_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
from moto import mock_aws
from strands import Agent
from strands.models.model import Model
from strands_session_dynamodb import DynamoDBSessionManager


class Scripted(Model):
    def update_config(self, **config):
        pass

    def get_config(self):
        return {}

    async def structured_output(self, *args, **kwargs):
        yield {}

    async def stream(self, messages, *args, **kwargs):
        yield {"messageStart": {"role": "assistant"}}
        yield {"contentBlockStart": {"start": {}}}
        yield {"contentBlockDelta": {"delta": {"text": f"answer to {messages[-1]['content'][0]['text']}"}}}
        yield {"contentBlockStop": {}}
        yield {"messageStop": {"stopReason": "end_turn"}}


def worker():
    manager = DynamoDBSessionManager("session", "sessions")
    return Agent(model=Scripted(), agent_id="agent", session_manager=manager, callback_handler=None)


def texts(agent):
    return [block["text"] for message in agent.messages for block in message["content"]]


with mock_aws():
    one = worker()
    one("hello")
    two = worker()
    one("from one")
    two("from two")
    print("one knows:", texts(one))
    print("two knows:", texts(two))
    print("stored:", texts(worker()))
    one("more from one")
    print("one turn later:", texts(worker()))
P
venv/bin/python ask.py | tee seen
cat >expected <<'X'
one knows: ['hello', 'answer to hello', 'from one', 'answer to from one']
two knows: ['hello', 'answer to hello', 'from two', 'answer to from two']
stored: ['hello', 'answer to hello', 'from two', 'answer to from two']
one turn later: ['hello', 'answer to hello', 'from two', 'answer to from two', 'more from one', 'answer to more from one']
X
diff expected seen && echo "as described"
