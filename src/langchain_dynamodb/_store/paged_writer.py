"""Writes our own format."""

from __future__ import annotations

from dataclasses import dataclass

from .appending import Appender
from .editing import Editor


@dataclass(frozen=True)
class PagedWriter(Appender, Editor):
    """Changes sessions in our format, which it brings those of langchain_community into."""
