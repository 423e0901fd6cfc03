#!/usr/bin/env bash
# Is `message.content_blocks` equal to itself, when it is looked at twice?
#
# Not where langchain-core 1.8.3 translates a provider's blocks: a picture or a file in OpenAI's form gets a new random
# id ("lc_" and a UUID) at every access of the property, although the message has not changed and equals its copy. Text
# and blocks that are in the standard form already stay as they are. So content blocks can be no key of a cache, a test
# that compares those of a message before and after storing it fails, and an id taken from them finds nothing later.
#
# Seen 2026-11-29. Needs python3. Fails if the answers change.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check langchain-core==1.8.3

cat >ask.py <<'P'
from langchain_core.messages import HumanMessage

PNG = "iVBORw0KGgo="
BLOCKS = {
    "text": {"type": "text", "text": "hi"},
    "picture, standard form": {"type": "image", "base64": PNG, "mime_type": "image/png"},
    "picture, OpenAI's form": {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
    "file, OpenAI's form": {"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBERi0=", "filename": "a"}},
}
for name, block in BLOCKS.items():
    message = HumanMessage([block])
    same, [found] = message.content_blocks == message.content_blocks, message.content_blocks
    print(f"{name}: equal to its copy {message == message.model_copy(deep=True)}, content_blocks equal {same},",
          f"id {found.get('id', 'none')[:3]}")
P
venv/bin/python ask.py | tee seen
cat >expected <<'X'
text: equal to its copy True, content_blocks equal True, id non
picture, standard form: equal to its copy True, content_blocks equal True, id non
picture, OpenAI's form: equal to its copy True, content_blocks equal False, id lc_
file, OpenAI's form: equal to its copy True, content_blocks equal False, id lc_
X
diff expected seen && echo "as described"
