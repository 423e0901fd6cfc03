#!/usr/bin/env bash
# DynamoDB sends a CRC-32 with each answer. What does botocore do with an answer that does not match it, time after time?
#
# botocore 1.43.117 raises a ChecksumError after ten attempts; botocore 1.44.8, asked in the same way, returns the damaged
# answer as if nothing was wrong, after four. It is the retry mode that decides: "legacy" (the default until 1.43) raises
# after its last attempt, "standard" and "adaptive" look at the checksum only to send again, and return whatever the last
# attempt brought. 1.44 made "standard" the default, as AWS_NEW_RETRIES_2026=true
# does in 1.43. With `total_max_attempts=1` nothing is ever looked at in vain: legacy raises, standard returns.
#
# So the upgrade, or the retry mode that is recommended for years, turns a proxy that rewrites answers (here "70"
# has become "700", and all else is sound) from an error into wrong data. Who needs to know compares for himself:
# zlib.crc32 of the body, by the event "before-parse.dynamodb".
#
# Seen 2026-11-30. Needs python3. Fails if the answers change.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
cat >ask.py <<'P'
import http.server
import sys
import threading
import zlib

import botocore
import botocore.session
from botocore.config import Config

SENT = b'{"Item":{"k":{"S":"a"},"credit":{"N":"70"}}}'
seen = []


class Damaged(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        seen.append(self.path)
        body = SENT.replace(b'"70"', b'"700"')
        self.send_response(200)
        self.send_header("Content-Type", "application/x-amz-json-1.0")
        self.send_header("x-amz-crc32", str(zlib.crc32(SENT)))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Damaged)
threading.Thread(target=server.serve_forever, daemon=True).start()


def ask(**retries):
    client = botocore.session.get_session().create_client(
        "dynamodb", region_name="us-east-1", endpoint_url=f"http://127.0.0.1:{server.server_port}",
        aws_access_key_id="x", aws_secret_access_key="x", config=Config(retries=retries) if retries else None)
    seen.clear()
    try:
        said = f"credit {client.get_item(TableName='Chats', Key={'k': {'S': 'a'}})['Item']['credit']['N']}"
    except Exception as error:
        said = type(error).__name__
    return f"{said} after {len(seen)}"


print(f"botocore {botocore.__version__}{sys.argv[1]}, nothing said: {ask()}")
if not sys.argv[1]:
    for mode in ("legacy", "standard", "adaptive"):
        print(f"  {mode}: {ask(mode=mode, total_max_attempts=3)}, {ask(mode=mode, total_max_attempts=1)}")
P
for version in 1.43.117 1.44.8; do
    python3 -m venv "$version"
    "$version/bin/pip" install -q --disable-pip-version-check "botocore==$version"
    "$version/bin/python" ask.py "" | tee -a seen
done
AWS_NEW_RETRIES_2026=true 1.43.117/bin/python ask.py ", AWS_NEW_RETRIES_2026" | tee -a seen
cat >expected <<'X'
botocore 1.43.117, nothing said: ChecksumError after 10
  legacy: ChecksumError after 3, ChecksumError after 1
  standard: credit 700 after 3, credit 700 after 1
  adaptive: credit 700 after 3, credit 700 after 1
botocore 1.44.8, nothing said: credit 700 after 4
  legacy: ChecksumError after 3, ChecksumError after 1
  standard: credit 700 after 3, credit 700 after 1
  adaptive: credit 700 after 3, credit 700 after 1
botocore 1.43.117, AWS_NEW_RETRIES_2026, nothing said: credit 700 after 4
X
diff expected seen && echo "as described"
