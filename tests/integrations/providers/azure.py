"""Azure AI's own chat completions."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from .completions import ANSWER, CALL, completions
from .situation import Situation, structured, with_tool

pytest.importorskip("langchain_azure_ai")

from langchain_azure_ai.chat_models import AzureAIChatCompletionsModel

PACKAGE = "langchain-azure-ai"


def azure(url: str, **options: Any) -> AzureAIChatCompletionsModel:
    """Make a model."""
    return AzureAIChatCompletionsModel(
        **{"endpoint": url, "credential": "x", "model": "gpt-4o", "max_retries": 0, **options}
    )


SITUATIONS = [
    Situation("text", azure, completions({"content": "high tide"})),
    Situation("reasoning", azure, completions({"content": "high tide", "reasoning_content": "let me see"})),
    Situation("tool call", azure, completions({"content": "", "tool_calls": [CALL]}), use=with_tool, calls_tools=True),
    Situation(
        "structured output, schema",
        azure,
        completions({"content": ANSWER}),
        use=partial(structured, method="json_schema"),
        comes_back="data",
    ),
]
