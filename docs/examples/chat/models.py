"""The model that answers: a scripted one that needs neither key nor network, or any that LangChain knows."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from images import described, images_in

SCRIPTED = "scripted"
STORY = (
    "Once upon a time there was a table. It had one key and no joins, and it was content. Every evening the messages "
    "came in, one after the other, and lay down in pages. Nobody was overwritten, and nobody was left outside. "
    "Then a second writer knocked at the door. The table looked at the version on her ticket. It was an old one. "
    "So the table did not let her in, but told her kindly which version was the present one. She read it, smiled, and "
    "wrote a better line than the one she had brought. And if they have not been deleted, they are stored there still."
)
EXAMPLE = """\
## Three ways to write

| method | requests | what it does |
| --- | ---: | --- |
| `append` | 1 | adds messages at the end |
| `truncate` | 1 | cuts the end off |
| `replace` | 2 or more | puts *other* messages there |

Most programs need the first:

```python
async with AsyncSessionRepository("SessionTable") as sessions:
    await sessions.append("alice", [HumanMessage("hi!")])
```

1. It is **all or nothing**.
2. It costs the same at any length.
"""
_NAME = r"([^\W\d_a-z]\w+(?:['-]\w+)*)"  # "I am a cook" names nobody, nor does "I am German"
_NAMED = re.compile(rf"\b(?:[Mm]y name is\s+{_NAME}|I(?:['\u2019]m| am)\s+{_NAME}(?=\s*(?:[.,;!?]|$)))", re.MULTILINE)
_NO_NAME = re.compile(
    r"(?i:ok|okay)|German|French|Dutch|Swiss|Greek|Czech|Welsh|Indian|\w+(?:ish|ese|ican|alian|adian|ussian)"
)
_ASKED = re.compile(r"\bmy name\s*\?", re.IGNORECASE)
_STORY = re.compile(r"\b(?:story|stories)\b", re.IGNORECASE)
_EXAMPLE = re.compile(r"\b(?:tables?|code)\b", re.IGNORECASE)


class ScriptedModel(BaseChatModel):
    """Remembers nothing but the messages it is given, and types its answers word by word."""

    pause: float = 0.03
    """Seconds between two words."""

    @property
    def _llm_type(self) -> str:
        return SCRIPTED

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=AIMessage(answer(messages)))])

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        for word in re.findall(r"\S+\s*", answer(messages)):
            await asyncio.sleep(self.pause)
            yield ChatGenerationChunk(message=AIMessageChunk(content=word))


def answer(messages: Sequence[BaseMessage]) -> str:
    """What the scripted model says to these messages."""
    if images := images_in([message for message in messages if isinstance(message, HumanMessage)][-1]):
        told = " and ".join(map(described, images))
        return f"I see {told}. I am only a script: a model with eyes would tell you more."
    said = [message.text for message in messages if isinstance(message, HumanMessage)]
    names = names_in("\n".join(said))
    if _ASKED.search(said[-1]):
        return f"Your name is {names[-1]}." if names else "You have not told me your name."
    if names_in(said[-1]):
        return f"Hello {names[-1]}! I will remember that, as long as this chat is kept."
    if _STORY.search(said[-1]):
        return STORY
    if _EXAMPLE.search(said[-1]):
        return EXAMPLE
    if len(said) == 1:
        return f"You said “{said[0]}”. Ask me for a story, for a table, or tell me your name and ask for it later."
    return f"You said “{said[-1]}”. That was thing number {len(said)} you told me; the first was “{said[0]}”."


def names_in(said: str) -> list[str]:
    """The names that somebody goes by, as far as a script can tell."""
    found = (match[1] or match[2] for match in _NAMED.finditer(said))
    return [name for name in found if not _NO_NAME.fullmatch(name)]


def choose_model(name: str) -> BaseChatModel:
    """Return ``scripted``, or a model by LangChain's name for it: ``openai:gpt-4o-mini``, ``bedrock_converse:...``.

    Raises `ImportError` where its package is missing, and whatever the model says of missing keys.
    """
    if name == SCRIPTED:
        return ScriptedModel()
    try:
        from langchain.chat_models import init_chat_model
    except ModuleNotFoundError as error:
        raise ImportError(f"{error.name} is missing: pip install langchain, and the provider's package") from error

    return init_chat_model(name)
