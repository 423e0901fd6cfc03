#!/usr/bin/env bash
# Two LangChain messages are equal, and dumped with `exclude_unset=True` (what FastAPI's `response_model_exclude_unset`
# does too) they are not: is that the defaults only?
#
# langchain-core 1.8.3, pydantic 2.14.4: no, content goes missing. Pydantic leaves out what was not passed or assigned,
# and an appended element is neither: tool calls, blocks or metadata that were added to a list or dict of the message
# after it was made are not in the dump, and a message made of that dump has none. The validator of AIMessage that makes
# tool calls of `additional_kwargs` does assign, so those are kept; and a copy inherits what counts as set, so
# `model_copy` does not help.
#
# Seen 2026-11-30. Needs python3. Fails if the answers change.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check langchain-core==1.8.3 pydantic==2.14.4

cat >ask.py <<'P'
from langchain_core.messages import AIMessage

CALL = {"name": "f", "args": {}, "id": "1", "type": "tool_call"}


def show(what, message):
    again = AIMessage.model_validate(message.model_dump(exclude_unset=True))
    print(f"{what}: equal {message == AIMessage('', tool_calls=[CALL])}, read back {len(again.tool_calls)} tool calls")


appended = AIMessage("")
appended.tool_calls.append(CALL)
assigned = AIMessage("")
assigned.tool_calls = [CALL]
show("passed", AIMessage("", tool_calls=[CALL]))
show("assigned", assigned)
show("appended", appended)
show("appended, model_copy", appended.model_copy(deep=True))
show("appended, validated", AIMessage.model_validate(appended.model_dump()))
raw = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
print("from additional_kwargs:", sorted(AIMessage("", additional_kwargs={"tool_calls": [raw]}).model_fields_set))
appended.response_metadata["model_name"] = "m"
print("metadata set by key:", appended.model_dump(exclude_unset=True))
P
venv/bin/python ask.py | tee seen
cat >expected <<'X'
passed: equal True, read back 1 tool calls
assigned: equal True, read back 1 tool calls
appended: equal True, read back 0 tool calls
appended, model_copy: equal True, read back 0 tool calls
appended, validated: equal True, read back 1 tool calls
from additional_kwargs: ['additional_kwargs', 'content', 'invalid_tool_calls', 'tool_calls']
metadata set by key: {'content': ''}
X
diff expected seen && echo "as described"
