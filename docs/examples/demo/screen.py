"""How things look on the terminal."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from langchain_core.messages import BaseMessage
from rich.console import Console
from rich.padding import Padding
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
        self._console.print(Padding(Syntax(_body(function), "python", background_color="default"), (0, 4)))

    def result(self, value: object, label: str = "") -> None:
        """Print what a step returned; of many messages the newest."""
        text = _messages(value) if isinstance(value, list) else str(value)
        self._print_hanging("→ ", f"{label:<21}" if label else "", text, "green")

    def table_holds(self, item: Item) -> None:
        """Print one whole item."""
        self._print_hanging("▪ ", f"in the table, {item_size(item)} B: ", on_one_line(item), "dim")

    def table_holds_many(self, sizes: Sequence[int]) -> None:
        """Print how large the items of one session are."""
        text = f"{len(sizes)} items of {sizes[0]:,} to {sizes[-1]:,} B, {sum(sizes):,} B altogether"
        self._print_hanging("▪ ", "in the table: ", text, "dim")

    def bill(self, bill: Bill, columns: Sequence[str]) -> None:
        """Print the units and requests of each step, one group of columns for each library."""
        table = Table(title="Capacity units (write / read) and requests", title_style="bold cyan", title_justify="left")
        table.add_column("Step")
        for column in columns:
            table.add_column(column, justify="right")
        for step, usages in bill.items():
            table.add_row(step, *map(_usage, usages))
        self._console.print("", table)

    def _print_hanging(self, mark: str, label: str, text: str, style: str) -> None:
        grid = Table.grid()
        grid.add_row(Text(f"    {mark}", style), Text(label, f"bold {style}") + Text(text, style))
        self._console.print(grid)


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
        return "–"
    return f"{usage.write_units:g} / {usage.read_units:g}  in {usage.requests}"
