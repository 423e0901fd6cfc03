#!/usr/bin/env bash
# A turn of 2 KB in a LangGraph thread of 40 such turns: how much of it is written to DynamoDB?
#
# langgraph-checkpoint-aws 1.2.6 (DynamoDBSaver) with LangGraph 1.2.24 and a graph of one node, on moto 5.2.5: about 390
# KB in one turn, nearly all of it messages that have not changed. Three puts of the turn hold the whole list of messages
# (the sizes are those of the requests, with values in base64), so the price of a turn grows with the thread, at one
# write unit per KB, and that of a thread with its square. `durability="exit"` writes it once in a turn, but a process
# that dies in the middle of one leaves nothing of it.
#
# Seen 2026-11-30. Needs python3. Fails if the sizes, to 10 KB, change.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check langgraph-checkpoint-aws==1.2.6 langgraph==1.2.24 langgraph-checkpoint==4.3.2 \
    langchain-core==1.8.3 boto3==1.44.8 "moto[dynamodb]==5.2.5"

cat >ask.py <<'P'
import os
import warnings

warnings.simplefilter("ignore")
os.environ |= {"AWS_DEFAULT_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
import boto3
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.graph import START, MessagesState, StateGraph
from langgraph_checkpoint_aws import DynamoDBSaver
from moto import mock_aws

graph = StateGraph(MessagesState)
graph.add_node("model", lambda state: {"messages": [AIMessage(1000 * "y")]})
graph.add_edge(START, "model")
with mock_aws():
    keys = ("PK", "HASH"), ("SK", "RANGE")
    boto3.client("dynamodb").create_table(
        TableName="checkpoints", BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": name, "KeyType": kind} for name, kind in keys],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name, _ in keys])
    saver, sent = DynamoDBSaver(table_name="checkpoints", region_name="us-east-1"), []
    saver.client.meta.events.register("before-send.dynamodb.PutItem", lambda request, **_: sent.append(len(request.body)))
    app = graph.compile(checkpointer=saver)
    for durability in ("sync", "exit"):
        for turn in range(1, 41):
            sent.clear()
            app.invoke({"messages": [HumanMessage(1000 * "x")]}, {"configurable": {"thread_id": durability}}, durability=durability)
            if turn in (20, 40):
                large = [size for size in sent if size > 10_000]
                print(f"{durability}, turn {turn}: {round(sum(sent), -4) // 1000} KB, {len(large)} puts of more than 10 KB")
P
venv/bin/python ask.py | tee seen
cat >expected <<'X'
sync, turn 20: 200 KB, 3 puts of more than 10 KB
sync, turn 40: 390 KB, 3 puts of more than 10 KB
exit, turn 20: 60 KB, 1 puts of more than 10 KB
exit, turn 40: 130 KB, 1 puts of more than 10 KB
X
diff expected seen && echo "as described"
