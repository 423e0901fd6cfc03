"""Markdown as a tree of few kinds of elements: the page makes them itself, so that no HTML ever enters it.

markdown-it-py reads CommonMark with tables and strikethrough; raw HTML is text to it. What an answer may consist of
is said here and, once more, in ``page/richtext.js``.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TypeAlias

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markdown_it.tree import SyntaxTreeNode

Node: TypeAlias = "str | Element"
Element: TypeAlias = "tuple[str, dict[str, str], list[Node]]"
"""A tag, its attributes, and what is in it. ``pre`` has the name of its language as the attribute ``lang``."""

LONGEST = 100_000  # characters; what is longer is shown as it is
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
_without_tables = MarkdownIt("commonmark", {"html": False}).enable("strikethrough")
_with_tables = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])


@lru_cache(maxsize=500)
def render(text: str) -> tuple[Element, ...]:
    """The blocks of a text."""
    if len(text) > LONGEST:
        return (("p", {}, [text]),)
    return tuple(_element(node) for node in SyntaxTreeNode(_parse(text)).children)


class Growing:
    """A text that comes piece by piece: only its last block is read anew, since those before it cannot change.

    That holds once a block has a whole line: "#" begins a heading, and "#1" goes on with a paragraph.
    """

    def __init__(self) -> None:
        self._text = self._tail = ""
        self._kept = 0
        self._unseen = self._patience = 0  # characters

    def add(self, piece: str) -> dict[str, object] | None:
        """What changes: keep so many blocks, then come these. None where that is not worth a look yet."""
        self._text += piece
        self._tail += piece
        self._unseen += len(piece)
        if self._unseen < self._patience or len(self._tail) > LONGEST:
            return None
        tokens = _parse(self._tail)
        # Large blocks less often, so that work and traffic stay in proportion to what is said.
        self._unseen, self._patience = 0, max(len(tokens), len(self._tail)) // 32
        nodes = SyntaxTreeNode(tokens).children
        changed = {"keep": self._kept, "blocks": [_element(node) for node in nodes]}
        if len(nodes) > 1 and (place := nodes[-1].map) is not None:
            lines = self._tail.replace("\r", "\n").split("\n")
            if place[0] < len(lines) - 1:  # else what begins there may still become a part of what is before it
                self._tail = "\n".join(lines[place[0] :])
                self._kept += len(nodes) - 1
        return changed

    def end(self) -> dict[str, object]:
        """The whole of it; links may only now know where they lead."""
        return {"keep": 0, "blocks": [*render(self._text)]}


def _parse(text: str) -> list[Token]:
    lines = text.split("\n")
    columns = max(line.count("|") for line in lines)
    return (_with_tables if columns * len(lines) <= CELLS else _without_tables).parse(text)


def _element(node: SyntaxTreeNode) -> Element:
    if node.type == "heading":
        return "h3", {}, _within(node)  # below the page's own; models leave out ranks, which screen readers stumble on
    if node.type in ("fence", "code_block"):
        return "pre", {"lang": node.info.split(" ")[0]}, [node.content]
    if node.type == "code_inline":
        return "code", {}, [node.content]
    if node.type == "link":
        return _link(str(node.attrs.get("href", "")), _within(node))
    if node.type == "image":  # never fetched: whoever is asked for it would learn that somebody reads this
        return _link(str(node.attrs.get("src", "")), [f"[image: {node.content}]"])
    attributes: dict[str, str] = {}
    if node.type == "ordered_list" and node.attrs.get("start") is not None:
        attributes["start"] = str(node.attrs["start"])
    if style := str(node.attrs.get("style", "")):  # of a column: text-align:right
        attributes["align"] = style.partition(":")[2]
    return SAME.get(node.type, "span"), attributes, _within(node)


def _link(address: str, within: list[Node]) -> Element:
    return ("a", {"href": address}, within) if address.startswith(SCHEMES) else ("span", {}, within)


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
