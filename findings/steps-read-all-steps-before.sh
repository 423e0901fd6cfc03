#!/usr/bin/env bash
# What does it cost to log the steps of a pydantic-ai run in DynamoDB, and are steps at the same time all kept?
#
# pydantic-ai-dynamodb-persistence 0.1.0 (pydantic-ai-persistence 0.1.0, pydantic-ai-harness 0.62.0), on moto 5.2.5: to
# find its number, each event reads all events of the run before it: 100 events read 4,950. That number is a count, and
# the put has no condition: of two events at once (parallel tool calls) the later overwrites the other, without an error.
# And of an event that is sent again the store of the harness keeps one, by its `idempotency_key`; this one keeps two,
# and no key.
#
# Seen 2026-11-30. Needs python3. Fails if the answers change.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check pydantic-ai-dynamodb-persistence==0.1.0 pydantic-ai-persistence==0.1.0 \
    pydantic-ai-harness==0.62.0 pydantic-ai-slim==2.62.0 boto3==1.44.8 "moto[dynamodb]==5.2.5"

cat >ask.py <<'P'
import asyncio
import os

os.environ |= {"AWS_DEFAULT_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
from moto import mock_aws
from pydantic_ai_dynamodb_persistence import DynamoDBStepStore
from pydantic_ai_harness.step_persistence import InMemoryStepStore, StepEvent


def event(run, step, key=None):
    return StepEvent(run_id=run, kind="tool_call_started", step_index=step, idempotency_key=key)


async def show(name, store, wait_for_both):
    for step in range(100):
        await store.append_event(event("long", step))
    wait_for_both()
    await asyncio.gather(store.append_event(event("parallel", 0)), store.append_event(event("parallel", 1)))
    for _ in range(2):
        await store.append_event(event("again", 0, "the same"))
    for run in ("long", "parallel", "again"):
        found = await store.list_events(run_id=run)
        print(f"{name}, {run}: {len(found)} kept, keys {sorted({str(one.idempotency_key) for one in found})}")


async def main():
    await show("InMemoryStepStore", InMemoryStepStore(), lambda: None)
    store, read = DynamoDBStepStore("steps"), []
    store.kv._table.meta.client.meta.events.register(
        "after-call.dynamodb.Query", lambda parsed, **_: read.append(parsed["ScannedCount"]))
    query, waiting, both = store.kv.query, [], asyncio.Event()

    async def meet(pk, *prefix):  # both have asked before one goes on
        found = await query(pk, *prefix)
        if pk == "run#parallel" and not both.is_set():
            waiting.append(pk)
            if len(waiting) == 2:
                both.set()
            await both.wait()
        return found

    def wait_for_both():
        print(f"DynamoDBStepStore: {sum(read)} events read to write 100")
        store.kv.query = meet

    await show("DynamoDBStepStore", store, wait_for_both)


with mock_aws():
    asyncio.run(main())
P
venv/bin/python ask.py | tee seen
cat >expected <<'X'
InMemoryStepStore, long: 100 kept, keys ['None']
InMemoryStepStore, parallel: 2 kept, keys ['None']
InMemoryStepStore, again: 1 kept, keys ['the same']
DynamoDBStepStore: 4950 events read to write 100
DynamoDBStepStore, long: 100 kept, keys ['None']
DynamoDBStepStore, parallel: 1 kept, keys ['None']
DynamoDBStepStore, again: 2 kept, keys ['None']
X
diff expected seen && echo "as described"
