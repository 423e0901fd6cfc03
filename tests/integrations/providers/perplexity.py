"""Perplexity: search results are objects of its client."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from .completions import ANSWER, completions
from .situation import Situation, structured

pytest.importorskip("langchain_perplexity")

from langchain_perplexity import ChatPerplexity
from perplexity import AsyncPerplexity, Perplexity

PACKAGE = "langchain-perplexity"
FOUND = {
    "title": "Tides",
    "url": "https://example.org/",
    "date": "2026-01-01",
    "last_updated": "2026-02-01",
    "snippet": "The tide is high.",
    "source": "web",
}
PICTURE = {
    "image_url": "https://example.org/a.png",
    "origin_url": "https://example.org/",
    "height": 3,
    "width": 4,
    "title": "A tide",
}
STEP = {
    "thought": "let me see",
    "type": "web_search",
    "web_search": {"search_keywords": ["tide"], "search_results": [FOUND]},
}
USAGE = {
    "prompt_tokens": 9,
    "completion_tokens": 4,
    "total_tokens": 13,
    "num_search_queries": 1,
    "search_context_size": "low",
    "cost": {"input_tokens_cost": 0.25, "output_tokens_cost": 0.5, "total_cost": 0.75},
}
completed = partial(completions, {"content": "high tide"}, usage=USAGE)


def sonar(url: str, **options: Any) -> ChatPerplexity:
    """Make a model; only the clients' own constructors take the address."""
    server = {"api_key": "x", "base_url": url, "max_retries": 0}
    clients = {"client": Perplexity(**server), "async_client": AsyncPerplexity(**server)}
    return ChatPerplexity(**{"model": "sonar", "api_key": "x", **clients, **options})


SITUATIONS = [
    Situation("text", sonar, completed()),
    Situation(
        "search results",
        sonar,
        completed(citations=["https://example.org/"], search_results=[FOUND]),
        comes_back="data",
        streamed="exact",
    ),
    Situation(
        "images, questions, steps",
        partial(sonar, return_images=True, return_related_questions=True),
        completed(images=[PICTURE], related_questions=["And tomorrow?"], reasoning_steps=[STEP]),
    ),
    Situation(
        "structured output, schema",
        sonar,
        completions({"content": ANSWER}),
        use=partial(structured, method="json_schema"),
    ),
]
