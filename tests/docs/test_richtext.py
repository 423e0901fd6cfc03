"""Markdown of the chat application: which elements come of it, whatever a model says, and piece by piece."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import richtext
from documentation import PAGES
from richtext import DEEPEST, EFFORT, LONGEST, SAME, SCHEMES, Growing, render

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
    "emphasis in emphasis": "*a " * 300 + "b" + " a*" * 300,
    "emphasis in quotes": ">" * 20 + "*a " * 30 + "b" + " a*" * 30,
    "quotes in quotes": ">" * 30 + " secret\n\n" + ">" * 60 + " secret\n",
    "lists in lists": "".join("  " * depth + f"- level {depth}\n" for depth in range(60)) + "\nand a paragraph\n",
    "pictures in pictures": "![" * 100 + "a" + "](https://e.org)" * 100,
    "an address used again and again": f"[a]: https://e.org/{'x' * 10_000}\n\n" + "[a]" * 1000,
    "rows that end like on old Macs": "|a" * 150 + "\r" + "|-" * 150 + "\r" + "|\r" * 3000,
    "a table that is almost empty": "|a" * 100 + "\n" + "|:-:" * 100 + "\n" + "|\n" * 150,
    "cells beyond the columns": "| a |\n| - |\n| b | secret | `c\\|d` |\n\n> - |e|\n>   |-|\n>   g | h | secret |\n",
    "words around a picture": '![a](https://e.org "secret") [b](https://e.org "secret") [](https://e.org/secret)',
    "what is said of code": "~~~ python secret\nx\n~~~\n```secret",
    "control characters": "".join(map(chr, range(32))) + "a\x7fb\x85c\u2028d\u2029e\ufefff",
    "directions": "`a\u202eb\u2066` \u202e[gro.e](https://e.org/\u202e) <https://e.org/%E2%80%AE>\n\n    a\u2069b\n",
    "one long word": "x" * 50_000,
    "one long line": "*word* " * 3000,
    "no end of numbers": "999999999. a\n1000000000. b\n",
}
LABORIOUS: dict[str, Callable[[int], str]] = {  # so many characters, of which each takes more than one look
    "quotes that go on": lambda n: ">" * 38 + "a\n" * (n // 2),
    "brackets": lambda n: "[" * n,
    "closed brackets": lambda n: "[" * (n // 2) + "]" * (n // 2),
    "pictures": lambda n: "![" * (n // 2),
    "pictures in pictures": lambda n: ("![" * 38 + "](b)" * 38) * (n // 228),
    "links": lambda n: "[a](<" * (n // 5),
    "titles": lambda n: '[a](b "' * (n // 7),
    "emphasis": lambda n: "*a_ " * (n // 4),
    "backticks": lambda n: "".join("a" + "`" * k for k in range(1, int((2 * n) ** 0.5))),
    "addresses": lambda n: "<http://a" * (n // 9),
    "rows": lambda n: "|a\n|-\n" * (n // 6),
    "no rows": lambda n: "a|\n" * (n // 3),
    "headings": lambda n: "#\n" * (n // 2),
    "lists": lambda n: "* a\n + b\n  - c\n" * (n // 15),
    "references": lambda n: "[a]:\n" * (n // 5),
}


@contextmanager
def counting() -> Iterator[list[int]]:
    """How many functions this thread calls meanwhile."""
    before, count = sys.getprofile(), [0]

    def look(_frame: Any, event: str, _argument: Any) -> None:
        count[0] += event in ("call", "c_call")

    sys.setprofile(look)
    try:
        yield count
    finally:
        sys.setprofile(before)


def calls(work: Callable[[], object]) -> int:
    """How many functions are called meanwhile."""
    with counting() as count:
        work()
    return count[0]


def elements(nodes: Any) -> list[tuple[str, dict[str, str]]]:
    """All of them, however deep."""
    found = []
    for node in nodes:
        if not isinstance(node, str):
            found += [(node[0], node[1]), *elements(node[2])]
    return found


def text(nodes: Any) -> str:
    """What a reader sees."""
    return "".join(node if isinstance(node, str) else text(node[2]) + node[1].get("lang", "") for node in nodes)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text(name: str) -> None:
    """Only known elements and attributes come of it, links lead to the web or a mail program, and no word is lost."""
    written = HOSTILE[name]
    blocks = render(written)
    for tag, attributes in elements(blocks):
        assert tag in TAGS
        assert {*attributes} <= KNOWN
        assert attributes.get("href", "https://").startswith(SCHEMES)
    found = text(blocks) + " ".join(attributes.get("href", "") for _, attributes in elements(blocks))
    assert [word for word in {*re.findall(r"[a-z]{3,}", written)} if word not in found] == []
    assert found.count("secret") >= written.count("secret")
    assert len(json.dumps(blocks)) < 100 * len(written) + 1000


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_that_streams(name: str) -> None:
    """It ends as the whole text is shown, and keeps nothing that is not in it, wherever it is cut."""
    for size in (1, 7, 5000):
        written, growing = HOSTILE[name][: 1000 * size], Growing()
        for start in range(0, len(written), size):
            growing.add(written[start : start + size])
        assert growing.end() == {"keep": 0, "blocks": list(render(written))}


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
        ("pre", {"lang": "py x"}, ["i\n"]),
        ("p", {}, [("a", {"href": "https://k"}, ["j"]), ("br", {}, []), "l"]),
    )


PIECES = st.lists(
    st.sampled_from([*"ab1 \n\r`*_#->|[]():!~\\\t\u2028<", "\r\n", "|-|-|\n", "> ", "](https://e)", "word"]),
    max_size=30,
)


@given(PIECES.map("".join), st.integers(1, 9))
@example("1\n#1", 1)
@example("a\n\nb\n|c|d|\n|-|-|", 1)
@example("a\r\n\r\nb\r\n\r\nc\r\nd", 3)
def test_piece_by_piece(written: str, size: int) -> None:
    """What is shown on the way is what was said by then; in the end it is what the whole text is."""
    growing, shown = Growing(), list[Any]()
    for start in range(0, len(written), size):
        said = written[: start + size]
        if change := growing.add(written[start : start + size]):
            shown = [*shown[: change["keep"]], *change["blocks"]]  # type: ignore[misc,index]
            if not said.endswith("\r"):  # of which nobody knows yet whether it is one end of a line or half of one
                assert shown == list(render(said))
    assert growing.end() == {"keep": 0, "blocks": list(render(written))}


@given(PIECES)
def test_no_word_is_lost(pieces: list[str]) -> None:
    """Whatever stands around it: as often as it was said."""
    written = "".join(pieces)
    assert text(render(written)).count("word") == written.count("word")


@pytest.mark.parametrize("name", LABORIOUS)
def test_what_takes_long_is_read_seldom(name: str) -> None:
    """To stream a text costs no more than a few times what it costs to read it once."""
    written, growing = LABORIOUS[name](2000), Growing()
    work = calls(lambda: [growing.add(written[start : start + 4]) for start in range(0, len(written), 4)])
    assert work < 4000 * len(written)


@pytest.mark.parametrize("name", LABORIOUS)
def test_what_takes_too_long_is_not_read_again(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """To stream it costs so much for each character, however many there are; on the way nine tenths of it are shown."""
    monkeypatch.setattr(richtext, "EFFORT", 4000)
    growing, written = Growing(), LABORIOUS[name](40_000)
    changes: list[Any] = []
    pieces = [written[start : start + 20] for start in range(0, len(written), 20)]
    work = calls(lambda: changes.extend(growing.add(piece) for piece in pieces))
    assert work < 200 * len(written)
    shown: list[Any] = []
    for change in filter(None, changes):
        shown = [*shown[: change["keep"]], *change["blocks"]]
    letters = [sum(character.isalpha() for character in all_of_it) for all_of_it in (text(shown), written)]
    assert letters[0] >= 0.9 * letters[1]


@pytest.mark.parametrize("name", LABORIOUS)
def test_what_takes_too_long_is_shown_as_it_is(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """To read a text once has a bound, however long the text is; the text is there all the same."""
    monkeypatch.setattr(richtext, "EFFORT", 500)
    written = LABORIOUS[name](20_000)
    assert calls(lambda: render.__wrapped__(written)) < 500_000
    assert render.__wrapped__(written) == (("p", {}, [written]),)


def test_ordinary_text_is_not_too_long() -> None:
    """What is read at all of prose, code and tables takes half of what it may; pages are read on the way."""
    for page in PAGES:
        written, growing = page.read_text(encoding="utf-8"), Growing()
        assert richtext._read((written * 100)[:LONGEST], EFFORT)[1] < 4 * EFFORT / 2
        for start in range(0, len(written), 500):
            growing.add(written[start : start + 500])
        assert not growing._laborious


def test_what_is_too_deep_is_shown_as_it_is() -> None:
    """That block alone; and lists in lists may be as deep as anybody writes them."""
    deep = ">" * DEEPEST + " a"
    assert render(f"# b\n\n{deep}\n\n*c*") == (("h3", {}, ["b"]), ("p", {}, [deep]), ("p", {}, [("em", {}, ["c"])]))
    nested = "".join("  " * depth + f"- level {depth}\n" for depth in range(19))
    assert [tag for tag, _ in elements(render(nested))] == ["ul", "li"] * 19


def test_cells_beyond_the_columns() -> None:
    """They are a part of the last one, as they were typed: a bar in code makes one, which GitHub's rules drop."""
    shown = render("| a | b |\n| - | - |\n| 1 | `c || d` |\n| 2 | e | f |  \n| 3 | g\\|h |\n")
    rows = shown[0][2][1][2]  # type: ignore[misc]
    cells: Any = [[["1"], [("code", {}, ["c || d"])]], [["2"], ["e | f"]], [["3"], ["g|h"]]]
    assert [[cell[2] for cell in row[2]] for row in rows] == cells  # type: ignore[misc]


def test_links_that_lead_nowhere_stay_text() -> None:
    """A path, or a scheme that is none of the three, is shown as it was typed."""
    written = "[a](/b) [c](tel:1) ![d](data:image/png;base64,AA) <foo:bar>"
    assert render(written) == (("p", {}, [written]),)
    assert render("[a](HTTPS://E.org)<mailto:b@c.d>") == (
        ("p", {}, [("a", {"href": "HTTPS://E.org"}, ["a"]), ("a", {"href": "mailto:b@c.d"}, ["mailto:b@c.d"])]),
    )


def test_code_is_copied_as_it_looks() -> None:
    """Characters that turn the direction of writing are shown by their numbers, in code."""
    shown = render("`a\u202eb` c\u202ed\n\n```x\u2066\ne\u2069\n```")
    assert shown == (
        ("p", {}, [("code", {}, ["a[U+202E]b"]), " c\u202ed"]),
        ("pre", {"lang": "x[U+2066]"}, ["e[U+2069]\n"]),
    )


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
