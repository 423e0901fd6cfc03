"""A model that needs no key and no network; it remembers nothing but the messages it is given."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.outputs import ChatGeneration, ChatResult

_NAMED = re.compile(r"\b(?:I'm|I am|my name is)\s+(\w+)", re.IGNORECASE)
_ASKED = re.compile(r"\bmy name\s*\?", re.IGNORECASE)
_TEXT = (
    "the quick answer is that nobody knows how long a chat may become when two people like each other and a model "
    "never tires of telling them about tables keys pages writes reads units bytes costs limits and what comes after"
)


class ScriptedModel(BaseChatModel):
    """Knows your name if you told it, and how many things you have said."""

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        said = [message.text for message in messages if isinstance(message, HumanMessage)]
        return ChatResult(generations=[ChatGeneration(message=AIMessage(_answer(said)))])


def _answer(said: Sequence[str]) -> str:
    names = _NAMED.findall("\n".join(said))
    if _ASKED.search(said[-1]):
        return f"Your name is {names[-1]}." if names else "You have not told me your name."
    if _NAMED.search(said[-1]):
        return f"Hello {names[-1]}!"
    return f"That is thing number {len(said)} you told me. The first was {said[0]!r}."


def some_words(length: int) -> str:
    """Return text of so many characters that packs about as well as real text."""
    return " ".join(random.choices(_TEXT.split(), k=length // 2))[:length]
