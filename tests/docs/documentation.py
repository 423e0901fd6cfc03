"""The pages of the documentation, taken apart: blocks, commands, headings, links."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
BESIDE = [ROOT / f"{name}.md" for name in ("README", "CHANGELOG", "CONTRIBUTING", "SECURITY", "findings/README")]
MADE = ROOT / "docs/project"  # copies that the site makes of some of these
PAGES = sorted([*BESIDE, *(page for page in ROOT.glob("docs/**/*.md") if page.parent != MADE)])
FENCE = re.compile(r"^```(\S*) ?(\S*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# What might begin a block, or end one, in any way that Markdown knows.
MARKER = re.compile(r"^[ >*-]*(?:```|~~~)", re.MULTILINE)
# Options and arguments of these are meant to be typed in as they stand.
INLINE = re.compile(r"`((?:nox -s|pip install|python|uv pip|uvicorn|curl) [^`]+)`")
HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, the word after that, and the ```` ```output ```` right after it."""

    page: Path
    line: int
    language: str
    kind: str
    code: str
    output: str

    @property
    def place(self) -> str:
        """Where it stands."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def find_blocks(page: Path) -> Iterator[Block]:
    """Yield the blocks of a page; an output belongs to the block right before it, otherwise it stands alone."""
    text = page.read_text(encoding="utf-8")
    fences = list(FENCE.finditer(text))
    previous = None
    for fence, following in zip(fences, [*fences[1:], None], strict=False):
        if fence[1] != "output" or not _shows(previous, fence):
            output = following[3] if following and _shows(fence, following) else ""
            line = text.count("\n", 0, fence.start()) + 1
            yield Block(page, line, fence[1], fence[2], fence[3], output)
        previous = fence


def _shows(program: re.Match[str] | None, output: re.Match[str]) -> bool:
    """Tell whether `output` is what `program` prints."""
    between = program.string[program.end() : output.start()] if program else "?"
    return output[1] == "output" and not between.strip() and program is not None and program[1] != "output"


def scripts(page: Path) -> list[Block]:
    """The ```` ```bash run ```` blocks of a page: scripts that are run one after the other, in one folder."""
    return [block for block in BLOCKS if block.page == page and (block.language, block.kind) == ("bash", "run")]


BLOCKS = [block for page in PAGES for block in find_blocks(page)]


@dataclass(frozen=True)
class Command:
    """A line for the shell, from a block or from within the text."""

    place: str
    page: Path
    line: str
    output: str = ""


def find_commands() -> Iterator[Command]:
    """Yield every command of the documentation."""
    for block in BLOCKS:
        if block.language == "bash" and not block.kind:
            lines = [part for line in block.code.splitlines() for part in line.split(" && ")]
            yield from (Command(block.place, block.page, line.strip(), block.output) for line in lines if line.strip())
    for page in PAGES:
        for found in INLINE.finditer(prose(page)):
            yield Command(f"{page.relative_to(ROOT)} (text)", page, " ".join(found[1].split()))


def prose(page: Path) -> str:
    """A page without its blocks."""
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub names them."""
    seen: Counter[str] = Counter()
    found = set()
    for heading in HEADING.findall(prose(page)):
        text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
        anchor = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
        found.add(f"{anchor}-{seen[anchor]}" if seen[anchor] else anchor)
        seen[anchor] += 1
    return found


def is_broken(page: Path, link: str) -> bool:
    """Tell whether a relative link leads nowhere, or to a heading that is not there."""
    if ":" in link:
        return False  # an address
    path, _, anchor = link.partition("#")
    target = page.parent / path if path else page
    return not target.exists() or (bool(anchor) and (target.suffix != ".md" or anchor not in anchors(target)))
