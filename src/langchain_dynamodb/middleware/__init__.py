"""A session as the history of LangChain's agents.

Needs the extra ``langchain``. How to use it: docs/howto/agents.md.
"""

from __future__ import annotations

from .agent import DynamoDBHistoryMiddleware

__all__ = ["DynamoDBHistoryMiddleware"]
