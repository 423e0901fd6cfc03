#!/usr/bin/env bash
# An asynchronous client is used once more after its `async with` has ended: by a background task, or by the handler of
# a request that outlives the application. What becomes of the call?
#
# aiobotocore 2.25.1, which the newest aioboto3 (15.5.0) asks for: it works. The client opens another HTTP session, which
# nobody closes: after three such calls one session is open, with its connection, until the collector finds it.
# aiobotocore 3.10.0: nothing is sent, and the error is none of a closed client, but of the network, HTTPClientError:
# "An HTTP Client raised an unhandled exception: 'NoneType' object has no attribute 'get'". Code that waits and
# tries again on HTTPClientError, as for an outage, does so for ever.
#
# So a test that passes on the one says nothing about the other, and neither version has an error to catch.
#
# Seen 2026-11-30. Needs python3. Fails if the answers change.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
cat >ask.py <<'P'
import asyncio
import gc
import http.server
import sys
import threading

import aiobotocore
import aiohttp
import botocore.exceptions
from aiobotocore.session import get_session

seen = []


class Engine(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        seen.append(self.path)
        self.send_response(200)
        self.send_header("Content-Type", "application/x-amz-json-1.0")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Engine)
threading.Thread(target=server.serve_forever, daemon=True).start()


def open_sessions():
    return sum(isinstance(one, aiohttp.ClientSession) and not one.closed for one in gc.get_objects())


async def main():
    settings = {"region_name": "us-east-1", "endpoint_url": f"http://127.0.0.1:{server.server_port}",
                "aws_access_key_id": "x", "aws_secret_access_key": "x"}
    async with get_session().create_client("dynamodb", **settings) as client:
        await client.put_item(TableName="Chats", Item={"k": {"S": "a"}})
        print(f"aiobotocore {aiobotocore.__version__}, within: {len(seen)} request, {open_sessions()} session open")
    print(f"  at its end: {open_sessions()} open")
    seen.clear()
    said = []
    for _ in range(3):
        try:
            await client.put_item(TableName="Chats", Item={"k": {"S": "a"}})
            said.append("stored")
        except botocore.exceptions.HTTPClientError as error:
            said.append(str(error))
    print(f"  after it: {' | '.join(dict.fromkeys(said))}; {len(seen)} requests, {open_sessions()} open")


asyncio.run(main())
P
for version in 2.25.1 3.10.0; do
    python3 -m venv "$version"
    "$version/bin/pip" install -q --disable-pip-version-check "aiobotocore==$version"
    "$version/bin/python" ask.py 2>/dev/null | tee -a seen
done
cat >expected <<'X'
aiobotocore 2.25.1, within: 1 request, 1 session open
  at its end: 0 open
  after it: stored; 3 requests, 1 open
aiobotocore 3.10.0, within: 1 request, 1 session open
  at its end: 0 open
  after it: An HTTP Client raised an unhandled exception: 'NoneType' object has no attribute 'get'; 0 requests, 0 open
X
diff expected seen && echo "as described"
