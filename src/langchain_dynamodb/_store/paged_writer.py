"""Writes our own format."""

from __future__ import annotations

from dataclasses import dataclass

from .appending import Appender
from .rewriting import Rewriter


@dataclass(frozen=True)
class PagedWriter(Appender, Rewriter):
    """Changes sessions in our format, which it brings those of langchain_community into."""
