"""What LangChain's provider packages produce is stored: each situation of the zoo in `providers`."""

from __future__ import annotations

import importlib
import os
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, message_chunk_to_message
from providers import PROVIDERS
from providers.kinds import as_data, blocks, described, others
from providers.situation import Situation
from providers.stub import Stub
from pydantic import BaseModel

from langchain_dynamodb import AsyncSessionRepository, DynamoDBChatMessageHistory

# What the providers' packages and their clients warn of is theirs; `only_ours` looks at what we warn of.
pytestmark = pytest.mark.filterwarnings("ignore")


def situations(*, agents: bool = False) -> list[Any]:
    """Find the situations of the providers whose packages are installed, and one to skip for all others."""
    found, missing = [], []
    for name in PROVIDERS:
        try:
            module = importlib.import_module(f"providers.{name}")
        except pytest.skip.Exception:
            missing.append(name)
            continue
        found += [
            pytest.param(situation, style, id=f"{name}: {situation.name}, {style}")
            for situation in module.SITUATIONS
            if situation.for_agents or not agents
            for style in situation.styles
        ]
    if missing:
        reason = f"not installed, nox -s providers does: {', '.join(missing)}"
        found.append(pytest.param(None, None, id="not installed", marks=pytest.mark.skip(reason=reason)))
    return found


@pytest.fixture(autouse=True)
def nothing_of_the_developers(monkeypatch: pytest.MonkeyPatch) -> None:
    """No key, address, proxy or tracing that is set on this machine: the packages heed them."""
    own = re.compile(
        r"LANGSMITH_|LANGCHAIN_|LITELLM_LOG|.*(_API_KEY|_BASE_URL|_API_BASE|_ENDPOINT|_PROXY)$", re.IGNORECASE
    )
    for name in filter(own.match, list(os.environ)):
        monkeypatch.delenv(name)


@contextmanager
def only_ours(comes_back: str) -> Iterator[None]:
    """Let nothing warn but us, and us only where something comes back as data (once for each class)."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        yield
    # A client of a provider's that is collected meanwhile may say so.
    found = {warning.category.__name__ for warning in seen} - {"ResourceWarning"}
    assert found <= ({"UnregisteredClassWarning"} if comes_back == "data" else set())


def check(found: Sequence[BaseMessage], wanted: Sequence[BaseMessage]) -> None:
    """Compare messages with what was wanted back of them: classes, values and their types, content blocks."""
    assert [described(message) for message in found] == [described(message) for message in wanted]
    if not with_nan(wanted):  # it is unlike itself
        assert list(found) == list(wanted)
    assert [blocks(message) for message in found] == [blocks(message) for message in wanted]


def with_nan(messages: Sequence[BaseMessage]) -> bool:
    """Whether one of the values is no number."""
    return any(value != value for message in messages for _, value in others(message))


def whole(messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    """Return the messages that the history and agents store: of chunks that were added up, what they make."""
    return [message_chunk_to_message(message) for message in messages]  # type: ignore[arg-type]


@pytest.mark.parametrize(("situation", "style"), situations())
async def test_what_a_provider_answers_comes_back(make_repository: Any, situation: Situation, style: str) -> None:
    """Through the repository, in both formats, and the history; the next request is what it would have been."""
    sessions: AsyncSessionRepository = make_repository()
    expected = situation.expected(style)
    with Stub(situation.answers) as stub:
        ask = situation.ready(stub.url, style)
        messages = [*situation.asked, ask()]
        wanted = [as_data(message) for message in messages]
        kinds = [described(message) for message in messages], [described(message) for message in wanted]
        assert ("exact" if kinds[0] == kinds[1] else "data") == expected
        with only_ours(expected):
            await sessions.append("s", messages)
            found = (await sessions.read("s")).messages
            check(found, wanted)
            history = DynamoDBChatMessageHistory.over(sessions, "h")
            await history.aadd_messages(messages)
            check(await history.aget_messages(), whole(wanted))
            if not with_nan(messages):  # DynamoDB's numbers have none, and 1.0 is 1
                community: AsyncSessionRepository = make_repository(item_format="community")
                await community.append("c", messages)
                assert list((await community.read("c")).messages) == wanted
        del stub.requests[:]
        for answer in (messages[-1], found[-1]) if situation.goes_on else ():
            ask(answer, HumanMessage("go on"))
        assert stub.requests[1:] == stub.requests[:1]


@pytest.mark.parametrize(("situation", "style"), situations(agents=True))
async def test_what_a_provider_answers_in_an_agent_comes_back(
    make_repository: Any, situation: Situation, style: str
) -> None:
    """The middleware stores what the run's result holds."""
    agents = pytest.importorskip("langchain.agents")
    from langchain_dynamodb.middleware import DynamoDBHistoryMiddleware

    sessions: AsyncSessionRepository = make_repository()
    expected = situation.expected(style)
    with Stub(situation.answers) as stub:
        agent = agents.create_agent(situation.model(stub.url), middleware=[DynamoDBHistoryMiddleware(sessions)])
        config = {"configurable": {"session_id": "s"}}
        given = {"messages": list(situation.asked)}
        modes = ["messages", "values"] if style == "stream" else ["values"]
        parts = [part async for part in agent.astream(given, config, stream_mode=modes)]
    result = parts[-1][1]["messages"]
    assert isinstance(result[-1], AIMessage)
    with only_ours(expected):
        check((await sessions.read("s")).messages, [as_data(message) for message in result])


async def test_a_registered_class_comes_back_as_itself(make_repository: Any) -> None:
    """What a program registers, structured output gives back after a read too."""
    pytest.importorskip("langchain_openai")
    from langchain_dynamodb import register_class

    class Level(BaseModel):
        """A structured answer."""

        answer: str

    register_class(Level)
    module = importlib.import_module("providers.openai")
    sessions: AsyncSessionRepository = make_repository()
    with Stub(module.completions({"content": module.ANSWER})) as stub:
        raw = module.chat(stub.url).with_structured_output(Level, include_raw=True).invoke("hi")["raw"]
    with only_ours("exact"):
        await sessions.append("s", [raw])
        check((await sessions.read("s")).messages, [raw])
    assert raw.additional_kwargs["parsed"] == Level(answer="high tide")


def test_every_package_is_in_the_group_that_nox_installs() -> None:
    """No situation is left out for a package that nobody installs, and none is installed for nothing."""
    root = Path(__file__).parents[2]
    modules = (root / "tests/integrations/providers").glob("*.py")
    named = {
        match[1] for path in modules for match in re.finditer(r'^PACKAGE = "(.+)"$', path.read_text("utf-8"), re.M)
    }
    groups = re.findall(r"^[a-z-]*providers = \[\n(.*?)^\]$", (root / "pyproject.toml").read_text("utf-8"), re.M | re.S)
    assert named == set(re.findall(r'"([\w-]+)>=', "".join(groups)))
