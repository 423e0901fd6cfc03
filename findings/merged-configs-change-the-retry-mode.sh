#!/usr/bin/env bash
# An application adds `retries={"max_attempts": 2}` to a library's botocore Config that says `{"mode": "standard"}`, by
# `Config.merge`: what is the result?
#
# Not both: `merge` replaces whole options and does not look into them, so the mode is gone (and so is one of two
# settings under `s3`). What takes its place depends on the version: botocore 1.40.61 falls back to "legacy", with which
# `max_attempts: 2` are three requests, and whose idea of what is worth a retry is another; in 1.44.8 "standard" is what
# it falls back to, so the loss shows in one environment and not in the other. Merged the other way round the attempts
# are gone instead.
#
# Seen 2026-11-30. Needs python3. Fails if the answers change.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
cat >ask.py <<'P'
import botocore.session
from botocore.config import Config

library = Config(retries={"mode": "standard", "total_max_attempts": 5}, s3={"addressing_style": "path"})
application = Config(retries={"max_attempts": 2}, s3={"payload_signing_enabled": True})


def show(what, config):
    client = botocore.session.get_session().create_client(
        "dynamodb", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x", config=config)
    print(f"botocore {botocore.__version__}, {what}: {sorted(client.meta.config.retries.items())}, s3 {config.s3}")


show("library's", library)
show("application's into the library's", library.merge(application))
show("library's into the application's", application.merge(library))
P
for version in 1.40.61 1.44.8; do
    python3 -m venv "$version"
    "$version/bin/pip" install -q --disable-pip-version-check "botocore==$version"
    env -u AWS_RETRY_MODE -u AWS_MAX_ATTEMPTS AWS_CONFIG_FILE="$work/none" "$version/bin/python" ask.py | tee -a seen
done
cat >expected <<'X'
botocore 1.40.61, library's: [('mode', 'standard'), ('total_max_attempts', 5)], s3 {'addressing_style': 'path'}
botocore 1.40.61, application's into the library's: [('mode', 'legacy'), ('total_max_attempts', 3)], s3 {'payload_signing_enabled': True}
botocore 1.40.61, library's into the application's: [('mode', 'standard'), ('total_max_attempts', 5)], s3 {'addressing_style': 'path'}
botocore 1.44.8, library's: [('mode', 'standard'), ('total_max_attempts', 5)], s3 {'addressing_style': 'path'}
botocore 1.44.8, application's into the library's: [('mode', 'standard'), ('total_max_attempts', 3)], s3 {'payload_signing_enabled': True}
botocore 1.44.8, library's into the application's: [('mode', 'standard'), ('total_max_attempts', 5)], s3 {'addressing_style': 'path'}
X
diff expected seen && echo "as described"
