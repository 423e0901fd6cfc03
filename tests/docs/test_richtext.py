"""Markdown of the chat application: which elements come of it, whatever a model says, and piece by piece."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from documentation import PAGES
from richtext import LONGEST, SAME, SCHEMES, Growing, render

pytestmark = pytest.mark.once

TAGS = {*SAME.values(), "a", "code", "pre", "span", "h3"}
KNOWN = {"href", "lang", "start", "align"}
HOSTILE = {
    "raw elements": "<script>alert(1)</script>\n\n<img src=x onerror=alert(1)>\n\n<div onclick=alert(1)>x</div>",
    "a script as a link": "[x](javascript:alert(1)) [x](JaVaScRiPt&#58;alert(1)) [x](java\tscript:1) <javascript:a>",
    "data as a link": "[x](data:text/html,<script>alert(1)</script>) ![x](data:image/svg+xml;base64,PHN2Zz4=)",
    "a script by reference": "[x]\n\n[x]: javascript:alert(1)",
    "quotes in attributes": '[x](https://example.org "a\\" onmouseover=alert(1) b=\\"") ```"onclick=alert(1)\nx\n```',
    "a picture that tells who reads": "![x](https://example.org/?secret)",
    "another scheme": "[x](vbscript:x) [x](file:///etc/passwd) [x](//example.org) [x](/api/chats)",
    "deep": ">" * 5000 + "- " * 5000 + "[" * 3000,
    "wide": "|a" * 500 + "\n" + "|-" * 500 + "\n" + "|b\n" * 200,
    "half a character": "\ud800 `\udfff`",
}


def elements(nodes: Any) -> list[tuple[str, dict[str, str]]]:
    """All of them, however deep."""
    found = []
    for node in nodes:
        if not isinstance(node, str):
            found += [(node[0], node[1]), *elements(node[2])]
    return found


def text(nodes: Any) -> str:
    """What a reader sees."""
    return "".join(node if isinstance(node, str) else text(node[2]) for node in nodes)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text(name: str) -> None:
    """Only known elements and attributes come of it, and links lead to the web alone."""
    for tag, attributes in elements(render(HOSTILE[name])):
        assert tag in TAGS
        assert {*attributes} <= KNOWN
        assert attributes.get("href", "https://").startswith(SCHEMES)


def test_what_is_no_markdown_stays_readable() -> None:
    """Raw elements and scripts are shown as they were typed."""
    assert text(render(HOSTILE["raw elements"])).startswith("<script>alert(1)</script>")
    assert "[x](javascript:alert(1))" in text(render("[x](javascript:alert(1))"))


def test_elements() -> None:
    """What models write: headings below the page's own, lists, tables with aligned columns, code with its language."""
    written = (
        "# A\n\n- *b* **c**\n  1. d\n\n| e | f |\n| - | -: |\n| `g` | h |\n\n```py x\ni\n```\n[j](https://k)  \nl\n"
    )
    assert render(written) == (
        ("h3", {}, ["A"]),
        ("ul", {}, [("li", {}, [("em", {}, ["b"]), " ", ("strong", {}, ["c"]), ("ol", {}, [("li", {}, ["d"])])])]),
        (
            "table",
            {},
            [
                ("thead", {}, [("tr", {}, [("th", {}, ["e"]), ("th", {"align": "right"}, ["f"])])]),
                ("tbody", {}, [("tr", {}, [("td", {}, [("code", {}, ["g"])]), ("td", {"align": "right"}, ["h"])])]),
            ],
        ),
        ("pre", {"lang": "py"}, ["i\n"]),
        ("p", {}, [("a", {"href": "https://k"}, ["j"]), ("br", {}, []), "l"]),
    )


MARKUP = st.text(st.sampled_from("ab1 \n\r`*_#->|[]():!~\\\t\u2028<"), max_size=30)


@given(MARKUP, st.integers(1, 9))
@example("1\n#1", 1)
def test_piece_by_piece(written: str, size: int) -> None:
    """In the end it is what the whole text is; on the way the blocks that are kept are those of what was said."""
    growing, shown = Growing(), list[Any]()
    for start in range(0, len(written), size):
        if change := growing.add(written[start : start + size]):
            shown = [*shown[: change["keep"]], *change["blocks"]]  # type: ignore[misc,index]
    if "]:" not in written and "\r" not in written and "\t" not in written:
        assert shown == list(render(written))
    assert growing.end() == {"keep": 0, "blocks": list(render(written))}


def test_what_is_sent_stays_in_proportion() -> None:
    """Whole pages, and one block of code without an end: not the square of what is said."""
    pages = [page.read_text(encoding="utf-8") for page in PAGES[:4]]
    for written in (*pages, "```\n" + "x = 1\n" * 3000):
        growing, sent = Growing(), 0
        for start in range(0, len(written), 4):
            if change := growing.add(written[start : start + 4]):
                sent += len(str(change["blocks"]))
        assert sent < 100 * len(written)


def test_a_table_that_no_browser_could_show() -> None:
    """A few kilobytes that stand for a hundred thousand cells are no table."""
    assert [tag for tag, _ in elements(render(HOSTILE["wide"]))] == ["p"]


def test_too_long_for_a_look() -> None:
    """It is shown as it is."""
    assert render("*" * (LONGEST + 1)) == (("p", {}, ["*" * (LONGEST + 1)]),)
