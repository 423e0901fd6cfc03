"""What the site's configuration and the tests of it share."""

from __future__ import annotations

import hashlib
import importlib
import pkgutil
from pathlib import Path

import langchain_dynamodb

ROOT = Path(__file__).parents[2]
DRAWINGS = ROOT / "docs/images/drawings"
# The project's own pages lie where Git hosts look for them, beside docs/; on the site they are in project/.
PROJECT = {
    "changelog": ROOT / "CHANGELOG.md",
    "contributing": ROOT / "CONTRIBUTING.md",
    "security": ROOT / "SECURITY.md",
    "findings": ROOT / "findings/README.md",
}


def drawing(source: str) -> Path:
    """Where the picture of a Mermaid drawing is; ``nox -s screenshots`` makes it."""
    return DRAWINGS / f"{hashlib.sha256(source.encode()).hexdigest()[:16]}.svg"


def public_modules() -> list[str]:
    """The package, its errors, and its parts that say by ``__all__`` what is public in them."""
    found = pkgutil.iter_modules(langchain_dynamodb.__path__, "langchain_dynamodb.")
    parts = [part.name for part in found if not part.name.partition(".")[2].startswith("_")]
    public = [part for part in parts if hasattr(importlib.import_module(part), "__all__")]
    return ["langchain_dynamodb", "langchain_dynamodb.errors", *public]
