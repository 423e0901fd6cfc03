"""Print what LangChain's packages put into messages beside JSON's types (the table in docs/values-of-packages.md).

For the environments of ``nox -s providers``; arguments name modules of ``tests/integrations/providers``, else all.
"""

from __future__ import annotations

import importlib
import re
import sys
import warnings
from collections import defaultdict
from importlib.metadata import version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "integrations"))

from providers import PROVIDERS
from providers.kinds import as_data, described, name_of, others
from providers.stub import Stub

JSON = "JSON's types only"
VERSION = re.compile(r", (v0|v1|responses/v1)$")  # the Responses API's: it is the same in all of them
HEADER = "| package | situation | where | type | comes back as |\n| --- | --- | --- | --- | --- |"


def comes_back(value: object) -> str:
    """Say what a value is after it was read."""
    if as_data(value) is value:
        return "itself"
    return "its plain value, which equals it" if described(value) == described(as_data(value)) else "its data"


def rows(name: str) -> list[str]:
    """Return the rows of one provider's module."""
    module = importlib.import_module(f"providers.{name}")
    seen: dict[tuple[str, str, str], dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for situation in module.SITUATIONS:
        for style in situation.styles:
            with Stub(situation.answers) as stub:
                messages = [*situation.asked, situation.ready(stub.url, style)()]
            values = [found for message in messages for found in others(message)]
            for path, value in values or [("", None)]:
                kind = (path, kind_of(value), comes_back(value)) if path else ("", JSON, "itself")
                seen[kind][VERSION.sub("", situation.name)].add(style)
    package = f"{module.PACKAGE} {version(module.PACKAGE)}{getattr(module, 'API', '')}"
    return [
        f"| {package} | {told(situations)} | {f'`{path}`' if path else ''} | {kind} | {back} |"
        for (path, kind, back), situations in sorted(seen.items(), key=lambda item: (item[0][1] == JSON, item[0]))
    ]


def kind_of(value: object) -> str:
    """Name a value's type; what structured output is asked for is the user's own."""
    name = name_of(value)
    return "the class asked for" if name.startswith("providers.") else f"`{'NaN' if name == 'float' else name}`"


def told(situations: dict[str, set[str]]) -> str:
    """Name situations, and the style of those where it is so in one only."""
    by_style: dict[str, list[str]] = defaultdict(list)
    for name, styles in situations.items():
        by_style[next(iter(styles)) if len(styles) == 1 else ""].append(name)
    return ". ".join((f"{style}: " if style else "") + "; ".join(names) for style, names in by_style.items())


warnings.simplefilter("ignore")
print(HEADER, *(row for name in sys.argv[1:] or PROVIDERS for row in rows(name)), sep="\n")
