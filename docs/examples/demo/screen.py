"""How things look on the terminal."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from langchain_core.messages import BaseMessage
from rich.console import Console
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from items import Item, item_size, on_one_line
from meter import Usage

WIDTH = 100
Bill = Mapping[str, Sequence[Usage | None]]


class Screen:
    """Prints steps, what came of them and what the table holds."""

    def __init__(self) -> None:
        console = Console(highlight=False)
        self._console = Console(highlight=False, width=min(console.width, WIDTH) if console.is_terminal else WIDTH)
        self._steps = 0

    def say(self, text: str, style: str = "") -> None:
        """Print a paragraph; `text` may hold rich's markup."""
        self._console.print(text, style=style)

    def step(self, function: Callable[..., Any]) -> None:
        """Announce a step by its function's docstring, and show the code that is about to run."""
        self._steps += 1
        self._console.print(f"\n[bold cyan]{self._steps} · {inspect.getdoc(function)}[/]")
        code = Syntax("", "python", background_color="default").highlight(_body(function))
        for line in code.split():
            self._console.print(Text("    ") + line, soft_wrap=True)

    def result(self, value: object, label: str = "") -> None:
        """Print what a step returned; of many messages the newest."""
        text = _messages(value) if isinstance(value, list) else str(value)
        self._print_hanging("→ ", f"{label:<21}" if label else "", text, "green")

    def table_holds(self, item: Item, *, whole: bool) -> None:
        """Print one item, or the part of it that is not the session's numbers."""
        shown = {name: item[name] for name in item if whole or not name.startswith("lc_")}
        left_out = "" if whole else f" and {len(item) - len(shown)} numbers of ours"
        self._print_hanging("▪ ", f"in the table, {item_size(item)} B: ", on_one_line(shown) + left_out, "dim")

    def table_holds_many(self, sizes: Sequence[int]) -> None:
        """Print how large the items of one session are."""
        text = f"{len(sizes)} items of {min(sizes):,} to {max(sizes):,} B, {sum(sizes):,} B altogether"
        self._print_hanging("▪ ", "in the table: ", text, "dim")

    def bill(self, bill: Bill, columns: Sequence[str]) -> None:
        """Print the units and requests of each step, one group of columns for each library."""
        table = Table(title="What it cost: write units / read units in requests", title_style="bold cyan")
        table.add_column("Step")
        for column in columns:
            table.add_column(column, justify="right")
        for step, usages in bill.items():
            table.add_row(step, *map(_usage, usages))
        self._console.print("", table)

    def command(self, line: str, output: Sequence[str]) -> None:
        """Print a line for the shell, and what came of it."""
        self._console.print(Text(f"    $ {line}", "bold"), soft_wrap=True)
        for told in output:
            self._print_hanging("  ", "", told, "dim")

    def _print_hanging(self, mark: str, label: str, text: str, style: str) -> None:
        lines = Text.assemble((label, f"bold {style}"), (text, style)).wrap(self._console, self._console.width - 6)
        for number, line in enumerate(lines):
            line.rstrip()
            self._console.print(Text("      " if number else f"    {mark}", style) + line)


def _body(function: Callable[..., Any]) -> str:
    """Return the source of a function's body without its docstring."""
    source = textwrap.dedent(inspect.getsource(function))
    (definition,) = ast.parse(source).body
    assert isinstance(definition, (ast.FunctionDef, ast.AsyncFunctionDef))
    return textwrap.dedent("\n".join(source.splitlines()[definition.body[1].lineno - 1 :]))


def _messages(messages: Sequence[object], newest: int = 2) -> str:
    shown = [
        f"{type(message).__name__}({message.text!r})" if isinstance(message, BaseMessage) else repr(message)
        for message in messages[-newest:]
    ]
    earlier = [f"… {len(messages) - newest} earlier"] if len(messages) > newest else []
    return f"[{', '.join(earlier + shown)}]"


def _usage(usage: Usage | None) -> str:
    if usage is None:
        return "-"
    return f"{usage.write_units:g} / {usage.read_units:g} in {usage.requests}"
