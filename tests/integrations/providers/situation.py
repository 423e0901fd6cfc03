"""What a provider's package is asked and what comes out of it."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import reduce
from typing import Any, Literal

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage, HumanMessage
from langchain_core.tools import tool
from pydantic import BaseModel

from .stub import Reply

STYLES = ("invoke", "stream")
QUESTION = (HumanMessage("hi"),)
ComesBack = Literal["exact", "data"]


@dataclass(frozen=True)
class Situation:
    """A model, what it is asked, what its provider answers, and how the messages come back from the table.

    `model` makes the model of the stub's URL, `use` what is run of it. `comes_back` holds for the messages asked and
    the answer together: "exact", or "data" where objects of classes that nobody registered come back as their data.
    `streamed` says so for the sum of the chunks, if they differ. Agents can run it unless `use` is given, or the
    answer calls a tool (`calls_tools`): the stub would have it called for ever. `goes_on` is false where the package
    itself cannot send its answer back.
    """

    name: str
    model: Callable[[str], BaseChatModel]
    answers: Mapping[str, Reply]
    comes_back: ComesBack = "exact"
    streamed: ComesBack | None = None
    asked: tuple[BaseMessage, ...] = QUESTION
    use: Callable[[BaseChatModel], Any] | None = None
    calls_tools: bool = False
    goes_on: bool = True
    styles: tuple[str, ...] = STYLES
    options: Mapping[str, Any] = field(default_factory=dict)

    def expected(self, style: str) -> ComesBack:
        """How it comes back in this style."""
        return self.streamed if style == "stream" and self.streamed else self.comes_back

    @property
    def for_agents(self) -> bool:
        """Whether an agent can run it."""
        return not (self.use or self.calls_tools or self.options)

    def ready(self, url: str, style: str) -> Callable[..., BaseMessage]:
        """Make the model; what is returned asks it, with further messages if given, and adds up what is streamed."""
        model = self.model(url)
        runnable = self.use(model) if self.use else model

        def ask(*more: BaseMessage) -> BaseMessage:
            asked = [*self.asked, *more]
            if style == "invoke":
                return _message(runnable.invoke(asked, **self.options))
            chunks = [_message(part) for part in runnable.stream(asked, **self.options)]
            return reduce(operator.add, [chunk for chunk in chunks if chunk is not None])

        return ask


def _message(result: Any) -> Any:
    """Return the message of a result of ``with_structured_output(..., include_raw=True)``, or the result."""
    return result.get("raw") if isinstance(result, dict) else result


@tool
def look_up(word: str) -> str:
    """Look a word up."""
    return f"{word}: water"


def with_tool(model: BaseChatModel) -> Any:
    """Let it call a tool."""
    return model.bind_tools([look_up])


def structured(model: BaseChatModel, **options: Any) -> Any:
    """Ask for an `Answer` and the message it comes in."""
    return model.with_structured_output(Answer, include_raw=True, **options)


class Answer(BaseModel):
    """What structured output is asked to be; nobody registers it."""

    answer: str
