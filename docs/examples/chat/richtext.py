"""Markdown as a tree of few kinds of elements: the page makes them itself, so that no HTML ever enters it.

markdown-it-py reads CommonMark with tables and strikethrough; raw HTML is text to it. What an answer may consist of
is said here and, once more, in ``page/richtext.js``. Nothing of a text is lost: what cannot be read is shown as it is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from io import IncrementalNewlineDecoder
from typing import Any, TypeAlias

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markdown_it.tree import SyntaxTreeNode

Node: TypeAlias = "str | Element"
Element: TypeAlias = "tuple[str, dict[str, str], list[Node]]"
"""A tag, its attributes, and what is in it. ``pre`` has what is said of its language as the attribute ``lang``."""

LONGEST = 100_000  # characters; what is longer is shown as it is, as is what goes beyond the next two
DEEPEST = 40  # elements within each other, of which a list in a list is two
EFFORT = 60_000  # looks of the parser, and tokens; 100,000 characters of prose or code take 10,000 to 20,000
CELLS = 20_000  # short rows are filled up, so that a small text could be a table that no browser can show
SCHEMES = ("https://", "http://", "mailto:")
SAME = {  # by the names of markdown-it; inline and block code, links and images are below
    "paragraph": "p",
    "bullet_list": "ul",
    "ordered_list": "ol",
    "list_item": "li",
    "blockquote": "blockquote",
    "hr": "hr",
    "table": "table",
    "thead": "thead",
    "tbody": "tbody",
    "tr": "tr",
    "th": "th",
    "td": "td",
    "strong": "strong",
    "em": "em",
    "s": "s",
    "hardbreak": "br",
}
_BAR = re.compile(r"(?<!\\)\|")
_TURNING = re.compile("[\u202a-\u202e\u2066-\u2069]")  # turns the direction of what follows


class _TooMuchError(Exception):
    """To read this text takes too long."""


class _Markdown(MarkdownIt):
    """Reads CommonMark, but what could grow beyond measure, or vanish."""

    def __init__(self, *more: str) -> None:
        super().__init__("commonmark", {"html": False, "maxNesting": DEEPEST + 1})
        self.enable(["strikethrough", *more])
        self.disable("reference")  # a few letters would stand for an address of any length, again and again
        self.block.ruler.before("table", "count", _count, {"alt": ["paragraph", "blockquote", "list"]})
        self.inline.ruler.before("text", "count", _count)
        self.core.ruler.after("block", "whole_rows", _whole_rows)

    def validateLink(self, url: str) -> bool:
        """Whether it may be a link; else it stays text."""
        return url.lower().startswith(SCHEMES)


def _count(state: Any, *_: Any) -> bool:
    state.env["looks"] += 1
    if state.env["looks"] > state.env["most"]:
        raise _TooMuchError
    return False  # this is no rule that reads anything


def _whole_rows(state: Any) -> None:
    """Put the cells for which a table has no columns into its last one: GitHub's rules drop them."""
    lines, columns = state.src.split("\n"), 0
    for i, token in enumerate(state.tokens):
        if token.type == "thead_open":
            columns = 0
        columns += token.type == "th_open"
        if token.type == "tr_close" and state.tokens[i - 1].type == "td_close":
            last = state.tokens[i - 2]
            cells = _BAR.split(lines[last.map[0]].lstrip("> \t").rstrip())
            cells = cells[cells[0] == "" : len(cells) - (cells[-1] == "")]
            if len(cells) > columns:  # a bar in code makes one more, for example
                last.content = "|".join(cells[columns - 1 :]).strip().replace("\\|", "|")


_without_tables, _with_tables = _Markdown(), _Markdown("table")


@lru_cache(maxsize=100)
def render(text: str) -> tuple[Element, ...]:
    """The blocks of a text."""
    text = re.sub("\r\n?", "\n", text)
    try:
        return tuple(block for block, _ in _read(text, EFFORT)[0])
    except _TooMuchError:
        return (_as_it_is(text),)


class Growing:
    """A text that comes piece by piece: only its last blocks are read anew, since those before them cannot change.

    That holds once two whole lines follow the beginning of a block: "#" begins a heading, and "#1" goes on with a
    paragraph; the second one makes a table. What takes long to read is shown as it is, until all of it is there.
    """

    def __init__(self) -> None:
        self._text = self._tail = ""
        self._newlines = IncrementalNewlineDecoder(None, translate=True)  # a piece may end within "\r\n"
        self._kept = 0
        self._unseen = self._patience = 0  # characters
        self._laborious = False

    def add(self, piece: str) -> dict[str, object] | None:
        """What changes: keep so many blocks, then come these. None where that is not worth a look yet."""
        self._text += piece
        self._tail += self._newlines.decode(piece)
        self._unseen += len(piece)
        if self._unseen < self._patience or len(self._tail) > LONGEST:
            return None
        blocks, effort = [(_as_it_is(self._tail), 0)], 0
        if not self._laborious:
            try:
                blocks, effort = _read(self._tail, EFFORT // 8)
            except _TooMuchError:
                self._laborious = True
        # What takes long to read is read less often, so that work and traffic stay in proportion to what is said.
        self._unseen, self._patience = 0, max(effort, len(self._tail)) // 32
        changed = {"keep": self._kept, "blocks": [block for block, _ in blocks]}
        lines = self._tail.split("\n")
        # What begins in the last lines may still become a part of what is before it.
        if settled := [first for _, first in blocks if first < len(lines) - 2]:
            self._tail = "\n".join(lines[settled[-1] :])
            self._kept += len(settled) - 1
        return changed

    def end(self) -> dict[str, object]:
        """The whole of it."""
        return {"keep": 0, "blocks": [*render(self._text)]}


def _read(text: str, most: int) -> tuple[list[tuple[Element, int]], int]:
    """The blocks, each with the number of its first line, and what it took to find them; `most` is as `EFFORT`."""
    if len(text) > LONGEST:
        raise _TooMuchError
    lines, looks = text.split("\n"), {"looks": 0, "most": most}
    columns = max(line.count("|") for line in lines)
    tokens = (_with_tables if columns * len(lines) <= CELLS else _without_tables).parse(text, looks)
    if len(tokens) > 2 * len(text) + 1000:  # a table that is almost empty
        tokens = _without_tables.parse(text, looks)
    if len(tokens) > most:
        raise _TooMuchError
    found, start = [], 0
    for end, token in enumerate(tokens, 1):
        if token.level == 0 and token.nesting <= 0:
            block, start = tokens[start:end], end
            first, last = block[0].map or (0, len(lines))
            deep = _depth(block) >= DEEPEST  # what is deeper still, the parser has left out
            raw = "\n".join(lines[first:last])
            found.append((_as_it_is(raw) if deep else _element(SyntaxTreeNode(block).children[0]), first))
    return found, max(4 * looks["looks"], len(tokens))


def _as_it_is(text: str) -> Element:
    return "p", {}, [text]


def _depth(tokens: Sequence[Token]) -> int:
    return max((token.level + _depth(token.children or ()) for token in tokens), default=0)


def _element(node: SyntaxTreeNode) -> Element:
    if node.type == "heading":
        return "h3", {}, _within(node)  # below the page's own; models leave out ranks, which screen readers stumble on
    if node.type in ("fence", "code_block"):
        return "pre", {"lang": _code(node.info.strip())}, [_code(node.content)]
    if node.type == "code_inline":
        return "code", {}, [_code(node.content)]
    if node.type == "link":
        return _link(node, "href", _within(node))
    if node.type == "image":  # never fetched: whoever is asked for it would learn that somebody reads this
        return _link(node, "src", [f"[image: {node.content}]"])
    attributes: dict[str, str] = {}
    if node.type == "ordered_list" and node.attrs.get("start") is not None:
        attributes["start"] = str(node.attrs["start"])
    if style := str(node.attrs.get("style", "")):  # of a column: text-align:right
        attributes["align"] = style.partition(":")[2]
    return SAME.get(node.type, "span"), attributes, _within(node)


def _link(node: SyntaxTreeNode, name: str, within: list[Node]) -> Element:
    address, title = str(node.attrs[name]), node.attrs.get("title")
    return "a", {"href": address}, [*(within or [address]), *([f" ({title})"] if title else [])]


def _code(text: str) -> str:
    """What turns the direction of writing, by its number: code is to be copied as it looks."""
    return _TURNING.sub(lambda found: f"[U+{ord(found[0]):04X}]", text)


def _within(node: SyntaxTreeNode) -> list[Node]:
    found: list[Node] = []
    for child in node.children:
        if child.type == "inline" or (child.type == "paragraph" and child.hidden):  # of a tight list
            found += _within(child)
        elif child.type in ("text", "softbreak", "text_special"):
            found += ["\n"] if child.type == "softbreak" else [child.content] if child.content else []
        else:
            found.append(_element(child))
    return found
