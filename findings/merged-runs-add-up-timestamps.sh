#!/usr/bin/env bash
# What does `merge_message_runs` make of two messages of the same kind that carry data of the application?
#
# langchain-core 1.8.3 merges them as if they were pieces of one streamed answer: integers in `additional_kwargs` are
# added up (a time of sending becomes one in the year 2081), texts are put end to end ("webweb"), lists are joined, and
# where the two types differ it raises TypeError. The name of the speaker is lost, also where both have the same; the id
# is the first one's. It is called on histories before a model that wants roles to alternate, so two questions in a row
# of two people become one of nobody.
#
# Seen 2026-11-30. Needs python3. Fails if the answers change.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check langchain-core==1.8.3

cat >ask.py <<'P'
from langchain_core.messages import HumanMessage, merge_message_runs


def message(text, name, **data):
    return HumanMessage(text, name=name, id=text, additional_kwargs=data, response_metadata={"seen": True})


def show(what, *messages):
    try:
        [found] = merge_message_runs(messages)
        print(f"{what}: {found.content!r} of {found.name}, id {found.id}, {found.additional_kwargs}, {found.response_metadata}")
    except TypeError:
        print(f"{what}: TypeError")


show("one alone", message("a", "Ann", sent_at=1764000000))
show("times", message("a", "Ann", sent_at=1764000000), message("b", "Bob", sent_at=1764000060))
show("texts", message("a", "Ann", channel="web"), message("b", "Ann", channel="web"))
show("lists", message("a", "Ann", tags=["x"]), message("b", "Ann", tags=["x"]))
show("types differ", message("a", "Ann", sent_at=1764000000), message("b", "Ann", sent_at="2025-11-24"))
P
venv/bin/python ask.py | tee seen
cat >expected <<'X'
one alone: 'a' of Ann, id a, {'sent_at': 1764000000}, {'seen': True}
times: 'a\nb' of None, id a, {'sent_at': 3528000060}, {'seen': True}
texts: 'a\nb' of None, id a, {'channel': 'webweb'}, {'seen': True}
lists: 'a\nb' of None, id a, {'tags': ['x', 'x']}, {'seen': True}
types differ: TypeError
X
diff expected seen && echo "as described"
