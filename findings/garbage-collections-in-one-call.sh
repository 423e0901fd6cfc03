#!/usr/bin/env bash
# One call into C builds 300,000 objects (`json.loads` of a long list): how often does the garbage collector run
# meanwhile?
#
# CPython 3.11 (npm pyodide 0.25.1): 427 times, in the middle of the call, 3 of them over everything. CPython 3.12
# (pyodide 0.26.4) and 3.13 (0.28.3): once, of the youngest generation. Since 3.12 an allocation only asks for a
# collection, and it runs between two instructions of bytecode, of which such a call has none. The same objects made by a
# loop in Python cause hundreds of collections in all three. So turning the collector off around a decoder saves one
# collection now, no longer hundreds, and a benchmark of a decoder in C against one in Python changes with the
# interpreter. (Pyodide is CPython compiled to WebAssembly; 3.11.7, 3.12.1 and 3.13.0 on Linux gave the same counts.)
#
# Seen 2026-11-30. Needs node, npm. Fails if the counts change.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund py311@npm:pyodide@0.25.1 py312@npm:pyodide@0.26.4 py313@npm:pyodide@0.28.3 >/dev/null

cat >ask.mjs <<'J'
const { loadPyodide } = await import(`${process.argv[2]}/pyodide.mjs`);
(await loadPyodide()).runPython(`
import gc
import json
import sys

text = json.dumps([[{"a": [1]}] for _ in range(100_000)])


def collections(make):
    gc.collect()
    before = [one["collections"] for one in gc.get_stats()]
    kept = make()
    return [after["collections"] - count for after, count in zip(gc.get_stats(), before)]


def loop():
    found = []
    for _ in range(100_000):
        found.append([{"a": [1]}])
    return found


told = collections(loop)
print("Python", sys.version.split()[0], "json.loads:", collections(lambda: json.loads(text)), "loop: more than 100", told[0] > 100)
`);
J
for python in py311 py312 py313; do node ask.mjs "$python"; done | tee seen
cat >expected <<'X'
Python 3.11.3 json.loads: [389, 35, 3] loop: more than 100 True
Python 3.12.1 json.loads: [1, 0, 0] loop: more than 100 True
Python 3.13.2 json.loads: [1, 0, 0] loop: more than 100 True
X
diff expected seen && echo "as described"
