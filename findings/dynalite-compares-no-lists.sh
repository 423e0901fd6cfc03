#!/usr/bin/env bash
# dynalite 4.0.0 (the engine under several DynamoDB presets for Jest and Vitest) takes `#list = :list` and
# `#map = :map` in a ConditionExpression without a word, and evaluates them as false, however equal both sides are;
# an empty list, sets (in any order) and single elements (`#list[0] = :x`) compare as on AWS.
#
# So "write back only if the list is still the one I read", the usual optimistic lock on an item without a version, never
# succeeds: a loop that reads again and retries spins for ever, and looks like endless contention.
#
# Seen 2026-11-28. Needs python3, node, npm. Fails if the answers change.
set -euo pipefail
work=$(mktemp -d)
trap 'kill "${server:-}" 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check boto3==1.40.61
npm install --silent --prefix npm dynalite@4.0.0 >/dev/null
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
npm/node_modules/.bin/dynalite --host 127.0.0.1 --port "$port" --createTableMs 0 >log 2>&1 & server=$!

cat >ask.py <<'P'
import sys
import time

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, EndpointConnectionError

db = boto3.client("dynamodb", endpoint_url=f"http://127.0.0.1:{sys.argv[1]}", region_name="us-east-1",
                  aws_access_key_id="test", aws_secret_access_key="test",
                  config=Config(retries={"total_max_attempts": 1}))
item = {"k": {"S": "a"}, "list": {"L": [{"S": "x"}]}, "map": {"M": {"x": {"S": "y"}}}, "none": {"L": []},
        "set": {"SS": ["p", "q"]}}
for _ in range(150):
    try:
        db.create_table(TableName="Chats", BillingMode="PAY_PER_REQUEST",
                        KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
                        AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}])
        break
    except EndpointConnectionError:
        time.sleep(0.1)
else:
    raise SystemExit("an engine has not started")
for _ in range(150):
    try:
        db.put_item(TableName="Chats", Item=item)
        break
    except ClientError:
        time.sleep(0.1)
else:
    raise SystemExit("a table is not there")


def holds(path, value):
    names, element = {"#a": path.removesuffix("[0]"), "#z": "z"}, "[0]" if path.endswith("[0]") else ""
    try:
        db.update_item(TableName="Chats", Key={"k": {"S": "a"}}, UpdateExpression="SET #z = :v",
                       ConditionExpression=f"#a{element} = :v", ExpressionAttributeNames=names,
                       ExpressionAttributeValues={":v": value})
    except db.exceptions.ConditionalCheckFailedException:
        return "refused"
    return "holds"


stored = db.get_item(TableName="Chats", Key={"k": {"S": "a"}})["Item"]
for path in ("list", "map", "none", "set"):
    print(f"{path} = what was just read:", holds(path, stored[path]))
print("set = the same in another order:", holds("set", {"SS": ["q", "p"]}))
print("list[0] = its element:", holds("list[0]", {"S": "x"}))
P
venv/bin/python ask.py "$port" | tee seen
cat >expected <<'X'
list = what was just read: refused
map = what was just read: refused
none = what was just read: holds
set = what was just read: holds
set = the same in another order: holds
list[0] = its element: holds
X
diff expected seen && echo "as described"
