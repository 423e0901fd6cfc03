"""Record the picture of docs/howto/command-line.md: ``python tests/tools/record_command_line.py`` (nox -s screenshots).

The scripts of the page are run on an embedded engine; what some of their commands print is drawn as a terminal.
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests/docs"))
from docs_server import save_programs, with_command  # noqa: E402
from documentation import scripts  # noqa: E402
from langchain_dynamodb.local import run_engine  # noqa: E402

PAGE = ROOT / "docs/howto/command-line.md"
PICTURE = ROOT / "docs/images/command-line.svg"
# Not `doctor`: it names versions of this machine.
SHOWN = re.compile(r"langchain-dynamodb (list|show|export|verify .*--against|delete .*--match)(?!.*\|)")
COLUMNS = 96
# As rich draws a terminal, but with the reader's own font: no other server is asked for one.
DRAWING = """\
<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: monospace; font-size: {char_height}px; line-height: {line_height}px }}
.{unique_id}-title {{ font-family: sans-serif; font-size: 18px; font-weight: bold }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def main() -> None:
    """Run all scripts of the page up to the last command that is shown, and draw those."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), highlight=False)
    commands = [line for script in scripts(PAGE) for line in script.code.splitlines()]
    shown = [number for number, line in enumerate(commands) if SHOWN.match(line)]
    with tempfile.TemporaryDirectory() as name, run_engine() as engine:
        save_programs(PAGE, Path(name))
        environment = {**os.environ, **engine.environment, **with_command(Path(name))}
        for number, line in enumerate(commands[: shown[-1] + 1]):
            words = ["bash", "-c", line]
            ran = subprocess.run(words, cwd=name, env=environment, stdout=subprocess.PIPE, text=True, check=True)
            if number in shown:
                console.print(Text.assemble(("$ ", "bold green"), (line, "bold")))
                console.print(ran.stdout, end="", markup=False)
    svg = console.export_svg(title="langchain-dynamodb", code_format=DRAWING, unique_id="command-line")
    PICTURE.write_text("\n".join(line.rstrip() for line in svg.splitlines()) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
