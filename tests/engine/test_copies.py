"""Repositories and histories as Python objects: what they show, copied, pickled, and asked for under another loop."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import anyio
import boto3
import pytest
import trio
from botocore.config import Config
from langchain_core.messages import BaseMessage, HumanMessage

from conftest import RepositoryFactory
from langchain_dynamodb import (
    AsyncSessionRepository,
    CapacityMeter,
    DynamoDBChatMessageHistory,
    Observer,
    SessionRepository,
    Sizes,
)
from langchain_dynamodb.blobs import S3Blobs
from langchain_dynamodb.encryption import KmsKeyring, LocalKeyring
from langchain_dynamodb.errors import RepositoryClosedError, SettingsError
from langchain_dynamodb.observers import Operation
from langchain_dynamodb.telemetry import OpenTelemetry
from support import human

pytestmark = pytest.mark.any_engine

SECRET = "not-to-be-shown"


def texts(messages: Sequence[BaseMessage]) -> list[str]:
    """Of each message."""
    return [message.text for message in messages]


WAYS = {"deepcopy": copy.deepcopy, "pickle": lambda thing: pickle.loads(pickle.dumps(thing))}
EVERY_WAY = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)


def secret_keyring(session: object) -> LocalKeyring:
    """A function as users have one, which travels by its name."""
    return LocalKeyring(b"k" * 32)


@dataclass
class Counting(Observer):
    """One of a user's own, equal to others by its name, so that it may travel."""

    name: str = "mine"
    count: int = field(default=0, compare=False)

    def __hash__(self) -> int:
        return hash(self.name)

    def finished(self, operation: Operation) -> None:
        self.count += 1


def test_shown_with_their_settings() -> None:
    """The table, and what is not the default; a repository, its twin and a history alike."""
    options: dict[str, Any] = {"endpoint_url": "http://localhost:8000", "ttl": 60, "strict": True}
    tail = "ttl=60, strict=True, endpoint_url='http://localhost:8000')"
    sessions = AsyncSessionRepository("Chats", **options)
    shown = [
        repr(AsyncSessionRepository("Chats")),
        repr(sessions),
        repr(SessionRepository("Chats", **options)),
        repr(sessions.history("s", history_size=5)),
        repr(DynamoDBChatMessageHistory("Chats", "s", key={"PK": "a"}, primary_key_name="PK", must_exist=True)),
    ]
    assert shown == [
        "AsyncSessionRepository('Chats')",
        f"AsyncSessionRepository('Chats', {tail}",
        f"SessionRepository('Chats', {tail}",
        f"DynamoDBChatMessageHistory('Chats', session_id='s', history_size=5, {tail}",
        "DynamoDBChatMessageHistory('Chats', key={'PK': 'a'}, must_exist=True, primary_key_name='PK')",
    ]


def test_secrets_are_not_shown() -> None:
    """Neither credentials nor keys, wherever they were given."""
    keys = {"aws_access_key_id": SECRET, "aws_secret_access_key": SECRET}
    options: dict[str, Any] = {
        "endpoint_url": f"https://user:{SECRET}@proxy:8000/path",
        "aws_session": boto3.Session(**keys, region_name="eu-west-1"),
        "config": Config(proxies={"https": f"http://user:{SECRET}@proxy"}),
        "encryption": LocalKeyring(SECRET.ljust(32).encode()),
    }
    sessions = AsyncSessionRepository("Chats", **options)
    shown = [repr(thing) for thing in (sessions, SessionRepository.over(sessions), sessions.history("s"))]
    assert [text for text in shown if SECRET in text] == []
    assert (
        shown[0]
        == "AsyncSessionRepository('Chats', encryption=<LocalKeyring>, endpoint_url='https://***@proxy:8000/path')"
    )


def test_every_option_is_an_attribute_of_both() -> None:
    """Fixed, and the same on the repository and its twin."""
    options: dict[str, Any] = {
        "primary_key_name": "PK",
        "history_messages_key": "Chat",
        "ttl": 60,
        "ttl_key_name": "until",
        "item_format": "pages",
        "sizes": Sizes(message=1000),
        "skip_undecodable": True,
        "strict": True,
        "encryption": secret_keyring,
    }
    for sessions in (AsyncSessionRepository("Chats", **options), SessionRepository("Chats", **options)):
        assert {name: getattr(sessions, name) for name in options} == options
        for name in options:
            with pytest.raises(AttributeError, match=f"{name} of a .*Repository is fixed"):
                setattr(sessions, name, None)


@EVERY_WAY
async def test_settings_travel(make_repository: RepositoryFactory, way: Callable[[Any], Any]) -> None:
    """What arrives works on the same sessions with the same settings, also where the first one is closed."""
    settings = {
        "ttl": 60,
        "sizes": Sizes(message=10_000),
        "encryption": secret_keyring,
        "config": Config(read_timeout=7),
        "blobs": S3Blobs("my-chats", prefix="chats/"),
        "home_region": "eu-central-1",
        "observers": [Counting()],
    }
    sessions = AsyncSessionRepository(make_repository.table_name, endpoint_url=make_repository.endpoint_url, **settings)
    await sessions.append("s", [HumanMessage("one")])
    arrived = way(sessions)
    await sessions.aclose()
    async with arrived:
        await arrived.append("s", [HumanMessage("two")])
        chat = await arrived.read("s")
        assert (texts(chat.messages), chat.expires_at is not None) == (["one", "two"], True)
        assert repr(arrived) == repr(sessions)
        assert arrived._options == sessions._options
        assert [observer.count for observer in arrived.observers] == [3]
    with pytest.raises(RepositoryClosedError):
        await sessions.read("s")


@EVERY_WAY
async def test_histories_travel(make_repository: RepositoryFactory, way: Callable[[Any], Any]) -> None:
    """Over a repository or made from names, with what was assigned; assigning goes on to work."""
    over = make_repository().history("s", must_exist=False)
    named = DynamoDBChatMessageHistory(make_repository.table_name, "s", endpoint_url=make_repository.endpoint_url)
    for history in (over, named):
        history.history_size, history.ttl = 2, 60
        arrived = way(history)
        assert (arrived.key, arrived.session_id, arrived.history_size, arrived.ttl) == ({"SessionId": "s"}, "s", 2, 60)
        await arrived.aadd_messages([HumanMessage("one"), HumanMessage("two"), HumanMessage("three")])
        assert texts(await arrived.aget_messages()) == ["two", "three"]
        arrived.key, arrived.ttl = {"SessionId": "t"}, None
        assert (history.key, history.ttl) == ({"SessionId": "s"}, 60)
        await arrived._repository.aclose() if history is over else None
    assert way(named)._repository is named._repository  # as all with these settings


@EVERY_WAY
def test_the_twin_travels(engine: Any, table_name: str, way: Callable[[Any], Any]) -> None:
    """The synchronous one too, for processes of a pool."""
    with SessionRepository(table_name, endpoint_url=engine.endpoint_url) as sessions, way(sessions) as arrived:
        sessions.append("s", [HumanMessage("one")])
        arrived.append("s", [HumanMessage("two")])
        assert texts(sessions.read("s").messages) == ["one", "two"]


class Labelled(AsyncSessionRepository):
    """One of a user's own."""

    label = "none"


@EVERY_WAY
def test_what_was_added_travels(way: Callable[[Any], Any]) -> None:
    """Of a subclass, or put there by hand."""
    sessions = Labelled("Chats")
    sessions.label = "mine"
    arrived = way(sessions)
    assert (type(arrived), arrived.label, arrived.table_name) == (Labelled, "mine", "Chats")


def test_keyrings_and_sessions_stay() -> None:
    """What may hold secrets is not pickled, and the error says what to do; a deep copy stays in the process."""
    keyring = LocalKeyring(b"k" * 32)
    session = boto3.Session(aws_access_key_id="a", aws_secret_access_key="b", region_name="eu-west-1")
    local, lent = (
        AsyncSessionRepository("Chats", encryption=keyring),
        AsyncSessionRepository("C23", aws_session=session),
    )
    for thing, said in (
        (local, "a function of a module"),
        (lent, "made without it"),
        (lent.history("s"), "without it"),
    ):
        with pytest.raises(TypeError, match=said):
            pickle.dumps(thing)
    assert copy.deepcopy(local).encryption is keyring
    for observer in (CapacityMeter(), OpenTelemetry()):
        observed = AsyncSessionRepository("Chats", observers=[observer])
        for thing in (observed, SessionRepository("Chats", observers=[observer]), observed.history("s")):
            with pytest.raises(
                TypeError, match=f"the observer {type(observer).__name__} is not pickled.*make the repo"
            ):
                pickle.dumps(thing)
        assert copy.deepcopy(observed).observers == (observer,)
    assert copy.deepcopy(lent)._connection.settings.aws_session is session
    kms = KmsKeyring("alias/chats", context={"app": "support"})
    assert pickle.loads(pickle.dumps(AsyncSessionRepository("Chats", encryption=kms))).encryption == kms


@pytest.mark.parametrize("size", [10, 400_000])
def test_trio_is_refused(size: int) -> None:
    """With an error that says what to do, whatever comes first: a request, or work for a thread."""

    async def main() -> None:
        async with AsyncSessionRepository("Chats") as sessions:
            await sessions.append("s", [human(size)])

    for run in (lambda: trio.run(main), lambda: anyio.run(main, backend="trio")):
        with pytest.raises(SettingsError, match="no event loop of asyncio runs here"):
            run()


def test_the_way_out_of_trio(engine: Any, table_name: str) -> None:
    """As the error says: the twin, in a thread."""

    async def main() -> list[str]:
        with SessionRepository(table_name, endpoint_url=engine.endpoint_url) as sessions:
            await anyio.to_thread.run_sync(sessions.append, "s", [HumanMessage("one")])
            return texts((await anyio.to_thread.run_sync(sessions.read, "s")).messages)

    assert anyio.run(main, backend="trio") == ["one"]


def test_the_error_of_a_closed_one_names_both_ways(engine: Any, table_name: str) -> None:
    """`close` is what users of the twin know."""
    sessions = SessionRepository(table_name, endpoint_url=engine.endpoint_url)
    sessions.close()
    with pytest.raises(RepositoryClosedError, match=r"by aclose\(\) or close\(\)"):
        sessions.read("s")
