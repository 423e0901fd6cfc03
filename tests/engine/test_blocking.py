"""The synchronous facade: the same methods, one background loop."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from langchain_dynamodb import AsyncSessionRepository, DynamoDBChatMessageHistory, SessionRepository
from langchain_dynamodb._background import run
from langchain_dynamodb.errors import InvalidInputError, RepositoryClosedError, VersionConflictError

RENAMED = {"aclose": "close"}


@pytest.fixture
def repository(engine: Any, table_name: str) -> Iterator[SessionRepository]:
    """Open a repository on a fresh table."""
    with SessionRepository(table_name, endpoint_url=engine.endpoint_url) as opened:
        yield opened


def members(kind: type) -> dict[str, list[tuple[str, Any, Any]]]:
    """Public methods of a class, and their parameters."""
    return {
        RENAMED.get(name, name): [(p.name, p.kind, p.default) for p in inspect.signature(member).parameters.values()]
        for name, member in inspect.getmembers(kind, inspect.isfunction)
        if not name.startswith("_") or name == "__init__"
    }


@pytest.mark.parametrize(
    "other", [None, "SessionTable", SessionRepository("SessionTable")], ids=lambda o: type(o).__name__
)
def test_over_something_else(other: Any) -> None:
    """Refused there, and not at the first call; by histories too."""
    with pytest.raises(InvalidInputError, match=r"^SessionRepository\.over\(.*pass an AsyncSessionRepository"):
        SessionRepository.over(other)
    with pytest.raises(InvalidInputError, match=r"^DynamoDBChatMessageHistory\.over\(.*pass an AsyncSessionRepository"):
        DynamoDBChatMessageHistory.over(other, "s")


def test_same_methods() -> None:
    """Both kinds of repository have the same methods with the same parameters and defaults."""
    assert members(SessionRepository) == members(AsyncSessionRepository)


def test_every_method(engine: Any, table_name: str, repository: SessionRepository) -> None:
    """Each method does what its asynchronous namesake does."""
    repository.create_table()
    first = repository.append("s1", [HumanMessage("one"), AIMessage("two")], expected_version=0)
    assert repository.append("s1", [HumanMessage("three")], expected_version=first, idempotency_key="k") > first
    chat = repository.read("s1", limit=2)
    assert chat is not None
    assert [m.content for m in chat.messages] == ["two", "three"]
    assert repository.read("s1", unless_version=chat.version) is None
    assert [m.content for m in repository.iter_messages("s1")] == ["one", "two", "three"]
    assert [m.content for m in repository.iter_messages("s1", start_on="human")] == ["one", "two", "three"]
    chat = repository.read("s1", limit=1, start_on="human")
    assert chat is not None
    assert [m.content for m in chat.messages] == ["three"]
    version = repository.truncate("s1", keep=1, expected_version=chat.version)
    version = repository.update_metadata("s1", {"title": "t"}, expected_version=version)
    repository.replace("s1", [HumanMessage("new")], expected_version=version)
    chat = repository.read("s1")
    assert chat is not None
    assert ([m.content for m in chat.messages], chat.metadata) == (["new"], {"title": "t"})
    history = repository.history("s1", history_size=1)
    history.add_user_message("last")
    assert [m.content for m in history.messages] == ["last"]
    repository.delete("s1")
    chat = repository.read("s1")
    assert chat is not None
    assert chat.version == 0


def test_errors_pass_through(repository: SessionRepository) -> None:
    """The facade raises what the core raises."""
    with pytest.raises(VersionConflictError):
        repository.append("s1", [HumanMessage("one")], expected_version=7)
    with pytest.raises(InvalidInputError):
        list(repository.iter_messages(""))


def test_closed(engine: Any, table_name: str) -> None:
    """After `close` every call raises, also through a history over the repository."""
    repository = SessionRepository(table_name, endpoint_url=engine.endpoint_url)
    repository.append("s1", [HumanMessage("one")])
    history = repository.history("s1")
    repository.close()
    repository.close()
    with pytest.raises(RepositoryClosedError):
        repository.read("s1")
    with pytest.raises(RepositoryClosedError):
        history.add_user_message("two")


def test_one_thread_for_all(engine: Any, table_name: str) -> None:
    """However many repositories and threads: one background thread."""

    def work() -> None:
        for _ in range(3):
            with SessionRepository(table_name, endpoint_url=engine.endpoint_url) as repository:
                repository.append("s1", [HumanMessage("one")])

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [t.name for t in threading.enumerate()].count("langchain-dynamodb") == 1
    with SessionRepository(table_name, endpoint_url=engine.endpoint_url) as repository:
        assert len(list(repository.iter_messages("s1"))) == 24


async def test_under_a_running_loop(repository: SessionRepository, sessions: AsyncSessionRepository) -> None:
    """A synchronous call in a coroutine works, on the same table as asynchronous ones."""
    repository.append("s1", [HumanMessage("one")])
    await sessions.append("s1", [HumanMessage("two")])
    assert [m.content for m in repository.iter_messages("s1")] == ["one", "two"]


def test_an_exception_while_waiting_cancels() -> None:
    """What a coroutine raises is raised, whatever it is."""

    async def fail() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        run(fail())
