#!/usr/bin/env bash
# A client was made with a Config. What does `client.meta.config`, the only config that a client shows, say of it?
#
# botocore 1.40.61 and 1.44.8: it is another one, put together from a list of options. Options that are not on that list
# have their default there, whatever was given: `parameter_validation=False` is shown as True, while the client validates
# nothing. So code that is handed a client (or instruments it) and asks its config whether requests are checked is told
# the opposite of what happens: a request without its required members goes to the wire, where an error would be expected
# before. `read_timeout`, given in the same Config, is shown as it is.
#
# Seen 2026-12-01. Needs python3. Fails if the answers change.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

cat >ask.py <<'P'
import botocore
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.exceptions import ParamValidationError
from botocore.session import Session

print("botocore", botocore.__version__)
for validation in (True, False):
    given = Config(parameter_validation=validation, read_timeout=7)
    session = Session()
    session.set_credentials("AKIAEXAMPLE", "secret")
    client = session.create_client("dynamodb", region_name="us-east-1", config=given)
    sent = []

    def answer(request, **_):
        sent.append(request.body)
        return AWSResponse(request.url, 200, {}, type("Raw", (), {"stream": lambda self: iter([b"{}"])})())

    client.meta.events.register("before-send.dynamodb", answer)
    try:
        client.get_item(TableName="chats")  # without its key
        done = f"sent {sent[0].decode()}"
    except ParamValidationError:
        done = "refused, nothing was sent"
    shown = client.meta.config
    print(f"  given {given.parameter_validation}, {given.read_timeout}:", end=" ")
    print(f"shown {shown.parameter_validation}, {shown.read_timeout}; {done}")
P
for version in 1.40.61 1.44.8; do
    python3 -m venv "venv$version"
    "venv$version/bin/pip" install -q --disable-pip-version-check "botocore==$version"
    "venv$version/bin/python" ask.py
done | tee seen
cat >expected <<'X2'
botocore 1.40.61
  given True, 7: shown True, 7; refused, nothing was sent
  given False, 7: shown True, 7; sent {"TableName": "chats"}
botocore 1.44.8
  given True, 7: shown True, 7; refused, nothing was sent
  given False, 7: shown True, 7; sent {"TableName": "chats"}
X2
diff expected seen && echo "as described"
