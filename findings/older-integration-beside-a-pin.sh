#!/usr/bin/env bash
# A project with aioboto3 adds the newest langchain-litellm: does uv say that the two do not go together?
#
# uv 0.13.9, with what PyPI had on 2026-11-28: no. It takes langchain-litellm 0.10.0 with litellm 1.97.0 instead of
# 0.11.2 with 1.110.2, without a warning. aioboto3 15.5.0 pins aiobotocore 2.25.1, that boto3 below 1.40.62, and litellm
# from 1.106.2 on wants boto3 1.43.1 at least. The requirement that does not fit stands two levels below what was asked
# for, and an older release without it counts as a solution. Only who asks for 0.11.2 by its number is told. A lower
# bound for each package that is meant to be new is what helps.
#
# Seen 2026-11-30. Needs python3 and an index that gives upload times, as PyPI does. Fails if the answers change.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check uv==0.13.9

resolve() {
    echo "$*:" | tee -a seen
    printf '%s\n' "$@" >wanted.in
    if venv/bin/uv pip compile --no-header --no-annotate --python-version 3.11 --python-platform linux \
        --exclude-newer 2026-11-28 wanted.in >found 2>said; then
        grep -E '^(boto3|langchain-litellm|litellm)==' found | paste -sd ' ' | tee -a seen
        echo "warnings: $(grep -ci warning said || true)" | tee -a seen
    else
        grep -o "No solution found" said | tee -a seen
    fi
}
resolve langchain-litellm
resolve aioboto3==15.5.0 langchain-litellm
resolve aioboto3==15.5.0 langchain-litellm==0.11.2
cat >expected <<'X'
langchain-litellm:
boto3==1.44.8 langchain-litellm==0.11.2 litellm==1.110.2
warnings: 0
aioboto3==15.5.0 langchain-litellm:
boto3==1.40.61 langchain-litellm==0.10.0 litellm==1.97.0
warnings: 0
aioboto3==15.5.0 langchain-litellm==0.11.2:
No solution found
X
diff expected seen && echo "as described"
