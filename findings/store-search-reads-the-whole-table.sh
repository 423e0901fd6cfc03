#!/usr/bin/env bash
# A memory store for LangGraph on DynamoDB, one namespace per user: what does `search(("users", "1"), limit=1)` read?
#
# langgraph-store-dynamodb 0.2.1 (langgraph-store-core 0.1.1), on moto 5.2.5: its own namespace by Query, and then the
# whole table by Scan, for namespaces below it and for keys as version 0.1 wrote them; the limit is applied after that.
# So the price and the time of one user's search grow with all users. A put is two GetItems at first, a PutItem and a
# DeleteItem of the old key. The values come back changed: 2.0 is 2, bytes are boto3's Binary, numbers in a set Decimal;
# and `filter={"place": {"city": "Oslo"}}`, which LangGraph's InMemoryStore takes for a part of the value, must be the
# whole of it here.
#
# Seen 2026-11-30. Needs python3. Fails if the answers change.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check langgraph-store-dynamodb==0.2.1 langgraph-store-core==0.1.1 langgraph==1.2.24 \
    langgraph-checkpoint==4.3.2 langchain-core==1.8.3 boto3==1.44.8 "moto[dynamodb]==5.2.5"

cat >ask.py <<'P'
import os

os.environ |= {"AWS_DEFAULT_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
from langgraph.store.memory import InMemoryStore
from langgraph_store_dynamodb import DynamoDBStore
from moto import mock_aws

USER = ("users", "1")


def show(name, store, sent):
    def requests(call):
        sent.clear()
        call()
        return ", ".join(sent)

    put = requests(lambda: store.put(USER, "a", {"place": {"city": "Oslo", "since": 2020}}))
    alone = requests(lambda: store.search(USER, limit=1))
    for number in range(200):
        store.put(("users", f"other {number}"), "a", {"text": "x"})
    if sent:
        print(f"{name}, put: {put}; search: {alone}; with 200 other users: {requests(lambda: store.search(USER, limit=1))}")
    print(f"{name}, filter: {len(store.search(USER, filter={'place': {'city': 'Oslo'}}))} found")
    store.put(USER, "b", {"whole": 2.0, "half": 0.5, "bytes": b"x", "set": {1}})
    print(f"{name}, values: {store.get(USER, 'b').value}")


show("InMemoryStore", InMemoryStore(), [])
with mock_aws():
    store, sent = DynamoDBStore("memories"), []
    store.table.meta.client.meta.events.register(
        "after-call.dynamodb",
        lambda parsed, model, **_: sent.append(f"{model.name} of {parsed['ScannedCount']}" if "ScannedCount" in parsed else model.name))
    show("DynamoDBStore", store, sent)
P
venv/bin/python ask.py | tee seen
cat >expected <<'X'
InMemoryStore, filter: 1 found
InMemoryStore, values: {'whole': 2.0, 'half': 0.5, 'bytes': b'x', 'set': {1}}
DynamoDBStore, put: GetItem, GetItem, PutItem, DeleteItem; search: Query of 1, Scan of 1; with 200 other users: Query of 1, Scan of 201
DynamoDBStore, filter: 0 found
DynamoDBStore, values: {'whole': 2, 'half': 0.5, 'bytes': Binary(b'x'), 'set': {Decimal('1')}}
X
diff expected seen && echo "as described"
