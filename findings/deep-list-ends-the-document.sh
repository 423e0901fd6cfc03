#!/usr/bin/env bash
# A Markdown file has a list whose items go down 14 levels, as outlines, file trees and generated reports do, and a
# sentence after it. What is left of it where markdown-it-py reads it?
#
# markdown-it-py 4.3.0 with its "commonmark" preset, which is what `MarkdownIt()` takes: items 0 to 8, and nothing after
# them, no item and no sentence; no error, no warning. At `maxNesting` levels (20 there, of which a list takes two) it
# skips "the tail", and for a list that is the rest of the document. With "js-default" (100 levels) all is there.
#
# rich 15.0.0 (`rich.markdown`, and so what prints answers and README files in terminals) shows as little; MyST 5.2.0
# builds a page without it, exit code 0; so does `mdformat.text()` 1.0.0, whose result is usually written over the file.
# Only mdformat's command line compares, and refuses ("a bug in mdformat").
#
# Seen 2026-11-30. Needs python3. Fails if the answers change.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check markdown-it-py==4.3.0 mdformat==1.0.0 rich==15.0.0 myst-parser==5.2.0
cat >ask.py <<'P'
import io
import pathlib
import re
import subprocess

import mdformat
from markdown_it import MarkdownIt
from rich.console import Console
from rich.markdown import Markdown

TEXT = "".join("  " * depth + f"- item {depth}\n" for depth in range(14)) + "\nThe end.\n"
pathlib.Path("report.md").write_text(f"# Report\n\n{TEXT}")


def tell(name, shown):
    items = [int(number) for number in re.findall(r"item (\d+)", shown)]
    print(f"{name}: items {items[0]} to {items[-1]}, the end {'The end.' in shown}")


tell("MarkdownIt()", MarkdownIt().render(TEXT))
tell("MarkdownIt('js-default')", MarkdownIt("js-default").render(TEXT))
console = Console(file=io.StringIO(), width=200)
console.print(Markdown(TEXT))
tell("rich", console.file.getvalue())
page = subprocess.run(["venv/bin/myst-docutils-html5", "report.md"], capture_output=True, text=True)
tell(f"MyST, exit code {page.returncode}, warnings {len(page.stderr)}", page.stdout)
tell("mdformat.text()", mdformat.text(TEXT))
refused = subprocess.run(["venv/bin/mdformat", "report.md"], capture_output=True, text=True)
tell(f"mdformat report.md, exit code {refused.returncode}", pathlib.Path("report.md").read_text())
P
venv/bin/python ask.py | tee seen
cat >expected <<'X'
MarkdownIt(): items 0 to 8, the end False
MarkdownIt('js-default'): items 0 to 13, the end True
rich: items 0 to 8, the end False
MyST, exit code 0, warnings 0: items 0 to 8, the end False
mdformat.text(): items 0 to 8, the end False
mdformat report.md, exit code 1: items 0 to 13, the end True
X
diff expected seen && echo "as described"
