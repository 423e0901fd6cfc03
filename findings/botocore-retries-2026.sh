#!/usr/bin/env bash
# How often is a DynamoDB call sent that is always throttled, with `retries={"mode": "standard"}` and nothing else?
# botocore 1.43.117 sends it 3 times, the same version with AWS_NEW_RETRIES_2026=true in the environment 4 times, and
# botocore 1.44.8 4 times without being asked. The other services keep 3 (seen here with SQS). The pauses change too: they
# are not measured here.
#
# So an upgrade of the SDK alone changes how many times a write without an idempotent condition may be sent, and what
# a test or an alarm that counts requests sees; `total_max_attempts` is what pins it.
#
# Seen 2026-11-29. Needs python3. Fails if the counts change.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
cat >count.py <<'P'
import http.server
import sys
import threading

import botocore
import botocore.session
from botocore.config import Config
from botocore.exceptions import ClientError

seen = []


class Throttling(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        seen.append(self.headers["X-Amz-Target"])
        body = b'{"__type":"com.amazonaws#ThrottlingException","message":"slow down"}'
        self.send_response(400)
        self.send_header("Content-Type", "application/x-amz-json-1.0")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Throttling)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}"


def requests(service, call, **more):
    client = botocore.session.get_session().create_client(
        service, region_name="us-east-1", endpoint_url=url, aws_access_key_id="test", aws_secret_access_key="test",
        config=Config(retries={"mode": "standard", **more}))
    seen.clear()
    try:
        call(client)
    except ClientError:
        return len(seen)


get = lambda c: c.get_item(TableName="Chats", Key={"k": {"S": "a"}})
print(f"botocore {botocore.__version__}{sys.argv[1]}:", "DynamoDB", requests("dynamodb", get),
      "SQS", requests("sqs", lambda c: c.list_queues()),
      "DynamoDB with total_max_attempts=2", requests("dynamodb", get, total_max_attempts=2))
P
for version in 1.43.117 1.44.8; do
    python3 -m venv "$version"
    "$version/bin/pip" install -q --disable-pip-version-check "botocore==$version"
    "$version/bin/python" count.py "" | tee -a seen
    [ "$version" = 1.44.8 ] || AWS_NEW_RETRIES_2026=true "$version/bin/python" count.py ", AWS_NEW_RETRIES_2026" | tee -a seen
done
cat >expected <<'X'
botocore 1.43.117: DynamoDB 3 SQS 3 DynamoDB with total_max_attempts=2 2
botocore 1.43.117, AWS_NEW_RETRIES_2026: DynamoDB 4 SQS 3 DynamoDB with total_max_attempts=2 2
botocore 1.44.8: DynamoDB 4 SQS 3 DynamoDB with total_max_attempts=2 2
X
diff expected seen && echo "as described"
