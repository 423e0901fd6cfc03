#!/usr/bin/env bash
# A proxy or the login page of a network answers a DynamoDB request with HTTP 200 and HTML. What does the SDK say?
#
# boto3 1.44.8 takes it for a success that says nothing: PutItem and TransactWriteItems "were done", GetItem finds no
# such item, Query none at all; so do SQS, KMS and Secrets Manager (messages sent, no ciphertext, no secret). Nothing is
# sent again. STS and SNS raise `KeyError: 'GetCallerIdentityResult'`, a bug by its looks. aiobotocore 3.10.0
# (botocore 1.43.117) does as boto3. The SDK for JavaScript 3.1169.0 raises a SyntaxError.
#
# Only the content type tells: `response["ResponseMetadata"]["HTTPHeaders"]["content-type"]` is text/html. An
# answer of DynamoDB also has the header x-amzn-requestid.
#
# Seen 2026-11-30. Needs python3, node 20 or newer, npm. Fails if the answers change.
set -euo pipefail
work=$(mktemp -d)
trap 'kill "${server:-}" 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"
python3 -m venv sync && sync/bin/pip install -q --disable-pip-version-check boto3==1.44.8
python3 -m venv async && async/bin/pip install -q --disable-pip-version-check aiobotocore==3.10.0 botocore==1.43.117
echo '{"type": "module"}' >package.json
npm install --silent --no-audit --no-fund @aws-sdk/client-dynamodb@3.1169.0 >/dev/null

cat >proxy.py <<'P'
import http.server


class Page(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        body = b"<html><body>Accept the terms of this network to go on.</body></html>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
print(server.server_port, flush=True)
server.serve_forever()
P
python3 proxy.py >port & server=$!
for _ in {1..100}; do [ -s port ] && break; sleep 0.1; done
port=$(cat port)

cat >calls.py <<'P'
ITEM, VALUES = {"k": {"S": "a"}}, {":k": {"S": "a"}}
CALLS = {
    "PutItem": ("dynamodb", "put_item", {"TableName": "Chats", "Item": ITEM}),
    "TransactWriteItems": ("dynamodb", "transact_write_items",
                           {"TransactItems": [{"Put": {"TableName": "Chats", "Item": ITEM}}]}),
    "GetItem": ("dynamodb", "get_item", {"TableName": "Chats", "Key": ITEM}),
    "Query": ("dynamodb", "query", {"TableName": "Chats", "KeyConditionExpression": "k = :k",
                                    "ExpressionAttributeValues": VALUES}),
    "SQS SendMessage": ("sqs", "send_message", {"QueueUrl": "http://127.0.0.1/1/q", "MessageBody": "x"}),
    "KMS Encrypt": ("kms", "encrypt", {"KeyId": "a", "Plaintext": b"x"}),
    "Secrets Manager GetSecretValue": ("secretsmanager", "get_secret_value", {"SecretId": "a"}),
    "STS GetCallerIdentity": ("sts", "get_caller_identity", {}),
    "SNS Publish": ("sns", "publish", {"TopicArn": "arn:aws:sns:us-east-1:123456789012:a", "Message": "x"}),
}


def settings(port):
    return {"region_name": "us-east-1", "endpoint_url": f"http://127.0.0.1:{port}", "aws_access_key_id": "x",
            "aws_secret_access_key": "x"}


def told(answer):
    meta = answer.pop("ResponseMetadata")
    return f"{answer}, status {meta['HTTPStatusCode']}, sent again {meta['RetryAttempts']} times"
P
cat >ask.py <<'P'
import sys

import boto3

from calls import CALLS, settings, told

for name, (service, method, arguments) in CALLS.items():
    try:
        said = told(getattr(boto3.client(service, **settings(sys.argv[1])), method)(**arguments))
    except Exception as error:
        said = repr(error)
    print(f"boto3, {name}: {said}")
P
cat >ask_async.py <<'P'
import asyncio
import sys

from aiobotocore.session import get_session

from calls import CALLS, settings, told


async def main():
    async with get_session().create_client("dynamodb", **settings(sys.argv[1])) as db:
        for name in ("PutItem", "GetItem"):
            _, method, arguments = CALLS[name]
            print(f"aiobotocore, {name}:", told(await getattr(db, method)(**arguments)))


asyncio.run(main())
P
cat >ask.mjs <<'J'
import { DynamoDB } from "@aws-sdk/client-dynamodb";

const db = new DynamoDB({ endpoint: `http://127.0.0.1:${process.argv[2]}`, region: "us-east-1",
                          credentials: { accessKeyId: "x", secretAccessKey: "x" } });
const calls = {
  PutItem: () => db.putItem({ TableName: "Chats", Item: { k: { S: "a" } } }),
  GetItem: () => db.getItem({ TableName: "Chats", Key: { k: { S: "a" } } }),
};
for (const [name, call] of Object.entries(calls))
  console.log(`JavaScript, ${name}: ${await call().then((answer) => JSON.stringify(answer), (error) => error.name)}`);
J
{ sync/bin/python ask.py "$port"; async/bin/python ask_async.py "$port"; node --no-warnings ask.mjs "$port"; } | tee seen
cat >expected <<'X'
boto3, PutItem: {}, status 200, sent again 0 times
boto3, TransactWriteItems: {}, status 200, sent again 0 times
boto3, GetItem: {}, status 200, sent again 0 times
boto3, Query: {}, status 200, sent again 0 times
boto3, SQS SendMessage: {}, status 200, sent again 0 times
boto3, KMS Encrypt: {}, status 200, sent again 0 times
boto3, Secrets Manager GetSecretValue: {}, status 200, sent again 0 times
boto3, STS GetCallerIdentity: KeyError('GetCallerIdentityResult')
boto3, SNS Publish: KeyError('PublishResult')
aiobotocore, PutItem: {}, status 200, sent again 0 times
aiobotocore, GetItem: {}, status 200, sent again 0 times
JavaScript, PutItem: SyntaxError
JavaScript, GetItem: SyntaxError
X
diff expected seen && echo "as described"
