"""A zoo of LangChain's provider packages: each driven against a stub that answers in the provider's wire format.

One module for each provider, with its canned answers and its `SITUATIONS`; ``test_providers.py`` runs them. A module
skips itself where its package is not installed (`pytest.importorskip`).
"""

PROVIDERS = [
    "openai",
    "openai_responses",
    "anthropic",
    "bedrock",
    "litellm",
    "ollama",
    "cohere",
    "perplexity",
    "google",
    "xai",
    "mistral",
    "groq",
    "deepseek",
    "fireworks",
    "nvidia",
    "azure",
    "openrouter",
    "huggingface",
]
