"""The documentation site: ``nox -s site``. The pages are those of docs/, as they are read on any Git host."""

from __future__ import annotations

import os
import re
import sys
from functools import partial
from pathlib import Path
from textwrap import indent
from types import FunctionType
from typing import Any

from pygments.lexers.special import TextLexer
from sphinx.pycode import ModuleAnalyzer
from sphinx.util import logging
from sphinx.util.nodes import make_refnode

import langchain_dynamodb

DOCS = Path(__file__).parents[1]
sys.path.insert(0, str(DOCS.parent / "tests/docs"))
from site_pages import PROJECT, drawing, public_modules  # noqa: E402

IMPORTED = """\
   :imported-members:
   :inherited-members: BaseModel, BaseChatMessageHistory, AgentMiddleware, tuple
"""
MERMAID = re.compile(r"^```mermaid\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!\w+:)([^)\s#]+)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
PAGE = re.compile(r"\bdocs/([\w/-]+)\.md\b")
# A name alone, in a docstring, is an argument rather than one of these of another class.
NO_NAME_ALONE = ("attribute", "property", "module")
log = logging.getLogger(__name__)

project = "langchain-dynamodb"
author = "The langchain-dynamodb authors"
copyright = author
for name in langchain_dynamodb.__all__:  # some are found only when they are asked for, which autodoc does not
    setattr(langchain_dynamodb, name, getattr(langchain_dynamodb, name))
version = release = langchain_dynamodb.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_copybutton"]
exclude_patterns = ["examples", "site"]
root_doc = "index"
default_role = "py:obj"  # what stands in single backticks in our docstrings
nitpicky = False

myst_heading_anchors = 4  # named as Git hosts name them: a link to one that is not there is an error
myst_enable_extensions = ["smartquotes"]
smartquotes = False

autoclass_content = "both"  # what a class is, and what it is made with
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_default_options = {
    "members": True,
    "exclude-members": "model_config, model_post_init",
}
copybutton_exclude = ".linenos, .gp, .go"

toc_object_entries_show_parents = "hide"

html_theme = "furo"
html_title = project
html_favicon = "../examples/chat/page/icon.svg"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_js_files = ["site.js"]
html_show_sphinx = html_show_sourcelink = html_copy_source = False
html_theme_options = {"navigation_with_keys": True}


def find_name(app: Any, env: Any, node: Any, content: Any) -> Any:
    """Let docstrings name classes, methods and errors without the module that they are in."""
    objects = env.get_domain("py").objects
    wanted = str(node.get("reftarget", "")).strip("()")
    named = (name for name, entry in objects.items() if "." in wanted or entry.objtype not in NO_NAME_ALONE)
    found = sorted((name for name in named if name.endswith(f".{wanted}")), key=lambda name: (len(name), name))
    if node.get("refdomain") != "py" or not wanted or not found:
        return None
    return make_refnode(app.builder, node["refdoc"], objects[found[0]].docname, objects[found[0]].node_id, content)


def link_pages(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Make links of the pages that docstrings name."""
    lines[:] = [PAGE.sub(r":doc:`docs/\1 </\1>`", line) for line in lines]


def show_drawings(app: Any, page: str, source: list[str]) -> None:
    """Put the pictures of drawings in their place: no script from elsewhere has to draw them."""

    def picture(found: re.Match[str]) -> str:
        path = drawing(found[1])
        if not path.exists():
            log.warning("a drawing has no picture: run nox -s screenshots", location=page)
        above = HEADING.findall(found.string[: found.start()])
        return f"![{above[-1] if above else page}]({'../' * page.count('/')}images/drawings/{path.name})"

    source[0] = MERMAID.sub(picture, source[0])


def write_reference(app: Any) -> None:
    """Write a page for each public package: what is in its ``__all__``, by its docstrings."""
    write_pages(DOCS / "reference" / "api", {f"{name}.rst": page_of(name) for name in public_modules()})


def write_project(app: Any) -> None:
    """Write the project's own pages, with links that lead to the same places from where they are here."""

    def moved(page: Path, link: re.Match[str]) -> str:
        target = (page.parent / link[1]).resolve()
        return f"]({places.get(target) or os.path.relpath(target, folder)}"

    folder = DOCS / "project"
    places = {page: f"{name}.md" for name, page in PROJECT.items()}
    texts = {name: page.read_text(encoding="utf-8") for name, page in PROJECT.items()}
    write_pages(folder, {f"{name}.md": LINK.sub(partial(moved, PROJECT[name]), text) for name, text in texts.items()})


def write_pages(folder: Path, pages: dict[str, str]) -> None:
    """Write these and no others; Git ignores the folder."""
    folder.mkdir(exist_ok=True)
    for path in folder.iterdir():
        if path.name not in pages:
            path.unlink()
    for name, text in pages.items():
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:  # else Sphinx would read it anew
            path.write_text(text, encoding="utf-8")


def page_of(module: str) -> str:
    """The page of a module."""
    text = f"{module}\n{'=' * len(module)}\n\n.. automodule:: {module}\n   :members:\n"
    if module.endswith(".errors"):
        return f"{text}   :show-inheritance:\n"
    loaded = sys.modules[module]
    values = [name for name in loaded.__all__ if not isinstance(getattr(loaded, name), (type, FunctionType))]
    told = comments(module)
    shown = (f"\n.. py:data:: {name}\n\n" + indent("\n".join(told.get(name, [])), "   ") for name in values)
    return text + IMPORTED + "\n".join(shown)


def comments(module: str) -> dict[str, list[str]]:
    """What stands below the values of a package's modules, in which they are made."""
    parts = [name for name in sys.modules if name.startswith(f"{module}.")]
    found = (ModuleAnalyzer.for_module(name).find_attr_docs() for name in parts)
    return {name: lines for docs in found for (owner, name), lines in docs.items() if not owner}


def setup(app: Any) -> None:
    """Tell Sphinx."""
    app.add_lexer("output", TextLexer)
    app.connect("builder-inited", write_reference)
    app.connect("builder-inited", write_project)
    app.connect("source-read", show_drawings)
    app.connect("autodoc-process-docstring", link_pages)
    app.connect("missing-reference", find_name)
