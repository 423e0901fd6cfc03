"""Assigning to the attributes of a history, which langchain_community's class looks at with every call."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any
from unittest.mock import MagicMock, create_autospec  # what users pass, never what stands in for anything here

import aiobotocore.session
import boto3
import botocore.session
import pytest
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.runnables import RunnableLambda
from langchain_core.runnables.history import RunnableWithMessageHistory

from conftest import RepositoryFactory, TestEngine
from langchain_dynamodb import AsyncSessionRepository, DynamoDBChatMessageHistory, SessionRepository
from langchain_dynamodb.errors import InvalidInputError, RepositoryClosedError
from runnable_support import passes_context_on

pytestmark = pytest.mark.any_engine

Make = Callable[..., DynamoDBChatMessageHistory]


@pytest.fixture(params=["constructor", "over a repository"])
def make(request: pytest.FixtureRequest, engine: TestEngine, composite_table_name: str) -> Make:
    """Make histories on one table with the keys ``PK`` and ``SK``, in both ways."""
    shared = AsyncSessionRepository(composite_table_name, endpoint_url=engine.endpoint_url)

    def making(key: dict[str, Any], **options: Any) -> DynamoDBChatMessageHistory:
        if request.param == "constructor":
            return DynamoDBChatMessageHistory(composite_table_name, "x", engine.endpoint_url, key=key, **options)
        return shared.history(key, **options)

    return making


@pytest.fixture
def stored(composite_table_name: str, dynamodb: Any) -> Callable[[], dict[str, dict[str, Any]]]:
    """The items of that table by their sort key."""

    def look() -> dict[str, dict[str, Any]]:
        return {item["SK"]["S"]: item for item in dynamodb.scan(TableName=composite_table_name)["Items"]}

    return look


def key(name: str) -> dict[str, Any]:
    """The key of a session."""
    return {"PK": "p", "SK": name}


def texts(messages: list[BaseMessage]) -> list[Any]:
    """What a test compares."""
    return [message.content for message in messages]


def test_key(make: Make, stored: Any) -> None:
    """Every call works on the key that is assigned at that moment, `clear` above all."""
    history = make(key("a"))
    history.add_user_message("in a")
    history.key = key("b")
    assert history.messages == []
    history.add_user_message("in b")
    assert (history.key, texts(history.messages)) == (key("b"), ["in b"])
    history.key = key("a")
    history.clear()
    assert list(stored()) == ["b"]


async def test_key_asynchronously(make: Make, stored: Any) -> None:
    """The asynchronous methods do the same."""
    history = make(key("a"))
    await history.aadd_messages([HumanMessage("in a")])
    history.key = key("b")
    await history.aadd_messages([HumanMessage("in b")])
    assert texts(await history.aget_messages()) == ["in b"]
    history.key = key("a")
    await history.aclear()
    assert list(stored()) == ["b"]


def test_key_changed_in_place(make: Make, stored: Any) -> None:
    """The key is a dict of the history's own; what is changed in it counts too. The one it was made from does not."""
    given = key("a")
    history = make(given)
    given["SK"] = "not this one"
    history.add_user_message("in a")
    history.key["SK"] = "b"
    history.add_user_message("in b")
    assert {name: item["lc_count"]["N"] for name, item in stored().items()} == {"a": "1", "b": "1"}


def test_key_changed_in_place_to_what_is_none(make: Make) -> None:
    """It is checked by the next call."""
    history = make(key("a"))
    history.key["SK"] = 1.5
    with pytest.raises(InvalidInputError, match=r"1\.5"):
        history.add_user_message("nowhere")


def test_session_id(engine: TestEngine, table_name: str, dynamodb: Any) -> None:
    """`session_id` names the session unless a key does, when it is assigned as in the constructor."""
    history = DynamoDBChatMessageHistory(table_name, "a", engine.endpoint_url)
    history.session_id = "b"
    history.add_user_message("in b")
    assert (history.session_id, history.key) == ("b", {"SessionId": "b"})
    history.key = {"SessionId": "c"}
    history.session_id = "d"
    history.add_user_message("in c")
    assert (history.session_id, history.key) == ("d", {"SessionId": "c"})
    assert sorted(item["SessionId"]["S"] for item in dynamodb.scan(TableName=table_name)["Items"]) == ["b", "c"]


def test_session_id_over_a_repository(engine: TestEngine, table_name: str) -> None:
    """The same over a repository, synchronous or not."""
    with SessionRepository(table_name, endpoint_url=engine.endpoint_url) as sessions:
        history = sessions.history("a")
        history.session_id = "b"
        history.add_user_message("in b")
        assert [sessions.read(name).message_count for name in "ab"] == [0, 1]


def test_ttl(make: Make, stored: Any) -> None:
    """`ttl` and `ttl_key_name` hold from the next call on; None gives no new stamps."""
    history = make(key("a"))
    history.add_user_message("for ever")
    assert (history.ttl, "expireAt" in stored()["a"]) == (None, False)
    history.ttl = 3600
    history.add_user_message("for an hour")
    assert (history.ttl, "expireAt" in stored()["a"]) == (3600, True)
    history.key = key("b")
    history.ttl_key_name = "ttl"
    history.add_user_message("in b")
    assert {"ttl", "expireAt"} & stored()["b"].keys() == {"ttl"}
    history.ttl, history.key = None, key("c")
    history.add_user_message("in c")
    assert {"ttl", "expireAt"} & stored()["c"].keys() == set()
    assert texts(history.messages) == ["in c"]


def test_history_messages_key(make: Make, stored: Any) -> None:
    """`history_messages_key` names the attribute from the next call on."""
    history = make(key("a"))
    history.history_messages_key = "Chat"
    history.add_user_message("hi!")
    assert {"Chat", "History"} & stored()["a"].keys() == {"Chat"}
    assert (history.history_messages_key, texts(history.messages)) == ("Chat", ["hi!"])


def test_history_size(make: Make) -> None:
    """`history_size` holds from the next call on."""
    history = make(key("a"))
    history.add_messages([HumanMessage(str(i)) for i in range(5)])
    for size, expected in ((2, ["3", "4"]), (None, ["0", "1", "2", "3", "4"]), (0, ["0", "1", "2", "3", "4"])):
        history.history_size = size
        assert (history.history_size, texts(history.messages)) == (size, expected)


def test_each_history_has_its_own(engine: TestEngine, composite_table_name: str) -> None:
    """Histories share a repository, but nothing that is assigned to one of them."""
    sessions = AsyncSessionRepository(composite_table_name, endpoint_url=engine.endpoint_url, ttl=60)
    one, two = sessions.history(key("a"), history_size=3), sessions.history(key("a"), history_size=3)
    one.key, one.ttl, one.history_size, one.history_messages_key = key("b"), 90, 1, "Chat"
    assert (two.key, two.ttl, two.history_size, two.history_messages_key) == (key("a"), 60, 3, "History")
    assert (sessions.ttl, sessions.history_messages_key) == (60, "History")
    mine, other = (DynamoDBChatMessageHistory(composite_table_name, "a", engine.endpoint_url) for _ in range(2))
    mine.ttl = 90
    assert (mine.ttl, other.ttl, DynamoDBChatMessageHistory(composite_table_name, "a", engine.endpoint_url).ttl) == (
        90,
        None,
        None,
    )


async def test_it_still_ends_with_the_repository(make_repository: RepositoryFactory) -> None:
    """A history with settings of its own uses the client of the repository it was made over, and ends with that."""
    sessions = make_repository()
    history = sessions.history("a")
    history.ttl = 60
    await history.aadd_messages([HumanMessage("hi!")])
    assert (await sessions.read("a")).expires_at is not None
    await sessions.aclose()
    with pytest.raises(RepositoryClosedError):
        await history.aget_messages()


async def test_other_settings_stay(make_repository: RepositoryFactory) -> None:
    """What is not assigned stays as the repository has it."""
    sessions = make_repository(item_format="community", skip_undecodable=True, ttl_key_name="ttl")
    history = sessions.history("a")
    history.ttl = 60
    repository = history._repository
    assert (repository.item_format, repository._reader.decoder.skip_undecodable) == ("community", True)
    assert (repository.ttl_key_name, repository._connection) == ("ttl", sessions._connection)


WRONG = [
    ("key", None),
    ("key", "PK"),
    ("key", {}),
    ("key", {"PK": 1.5}),
    ("key", {"expireAt": "a"}),
    ("session_id", ""),
    ("session_id", 7),
    ("ttl", 0),
    ("ttl", "60"),
    ("ttl", [60]),
    ("ttl_key_name", ""),
    ("ttl_key_name", "SessionId"),
    ("ttl_key_name", "History"),
    ("history_messages_key", None),
    ("history_messages_key", "lc_history"),
    ("history_size", -1),
    ("history_size", "5"),
]


@pytest.mark.parametrize(("name", "value"), WRONG)
@pytest.mark.parametrize("way", ["constructor", "over"])
def test_wrong_values(name: str, value: object, way: str) -> None:
    """What the constructor refuses is refused when it is assigned, and changes nothing."""
    history = DynamoDBChatMessageHistory("chats", "a", ttl=5)
    if way == "over":
        history = AsyncSessionRepository("chats", ttl=5).history("a")
    names = ("key", "session_id", "ttl", "ttl_key_name", "history_messages_key", "history_size", "_session")
    before = [getattr(history, each) for each in names]
    with pytest.raises(InvalidInputError):
        setattr(history, name, value)
    assert [getattr(history, each) for each in names] == before


def test_a_name_that_the_key_has() -> None:
    """A key and the names beside it must go together, whichever is assigned last."""
    history = DynamoDBChatMessageHistory("chats", "a", key={"PK": "a", "SK": "b"})
    with pytest.raises(InvalidInputError, match="SK"):
        history.ttl_key_name = "SK"
    history.ttl_key_name = "T"
    with pytest.raises(InvalidInputError, match="'T'"):
        history.key = {"PK": "a", "T": "b"}
    assert (history.ttl_key_name, history.key) == ("T", {"PK": "a", "SK": "b"})


def test_table() -> None:
    """There is no boto3 table: assigning one, a mock say, is refused, and reading it is an `AttributeError` as ever."""
    history = DynamoDBChatMessageHistory("chats", "a")
    with pytest.raises(InvalidInputError, match="run_engine"):
        history.table = MagicMock()
    assert not hasattr(history, "table")


@pytest.mark.filterwarnings("ignore:RunnableWithMessageHistory is deprecated")
@pytest.mark.parametrize("change", ["key", "in place", "history_size"])
async def test_a_change_within_a_turn(engine: TestEngine, table_name: str, change: str) -> None:
    """What a turn has read when it began answers nothing any more once another session or window was chosen."""
    history = DynamoDBChatMessageHistory(table_name, "a", engine.endpoint_url)
    earlier = [HumanMessage("question 0"), AIMessage("answer 0"), HumanMessage("question 1"), AIMessage("answer 1")]
    await history.aadd_messages(earlier)
    read: list[list[Any]] = []

    class Noticing(DynamoDBChatMessageHistory):
        async def aget_messages(self) -> list[BaseMessage]:
            messages = await super().aget_messages()
            read.append(texts(messages))
            return messages

    async def choose(messages: list[BaseMessage]) -> list[BaseMessage]:
        if change == "key":
            kept.key = {"SessionId": "b"}
        elif change == "in place":
            kept.key["SessionId"] = "b"
        else:
            kept.history_size = 2
        return messages

    kept = Noticing(table_name, "a", engine.endpoint_url)
    step = RunnableLambda(lambda messages: messages, choose)
    chain = RunnableWithMessageHistory(step | FakeListChatModel(responses=["answer 2"]), lambda session_id: kept)
    await chain.ainvoke([HumanMessage("question 2")], {"configurable": {"session_id": "a"}})
    expected = texts(earlier[2:]) if change == "history_size" else []
    assert read == [texts(earlier), expected]


@pytest.mark.skipif(not passes_context_on("ainvoke"), reason="langchain-core hides the config")
@pytest.mark.filterwarnings("ignore:RunnableWithMessageHistory is deprecated")
async def test_a_ttl_within_a_turn(engine: TestEngine, table_name: str) -> None:
    """A ttl changes nothing of what a turn reads: a question that another turn overtakes is still stored."""
    kept = DynamoDBChatMessageHistory(table_name, "a", engine.endpoint_url)

    async def interrupt(messages: list[BaseMessage]) -> list[BaseMessage]:
        kept.ttl = 60
        other = DynamoDBChatMessageHistory(table_name, "a", engine.endpoint_url)
        await other.aadd_messages([HumanMessage("other question"), AIMessage("other answer")])
        return messages

    step = RunnableLambda(lambda messages: messages, interrupt)
    chain = RunnableWithMessageHistory(step | FakeListChatModel(responses=["answer"]), lambda session_id: kept)
    await chain.ainvoke([HumanMessage("question")], {"configurable": {"session_id": "a"}})
    assert texts(await kept.aget_messages()) == ["other question", "other answer", "question", "answer"]


@pytest.mark.parametrize("kind", [AsyncSessionRepository, SessionRepository])
def test_settings_of_a_repository_are_fixed(kind: type[Any]) -> None:
    """Assigning one would reach only a part of it: refused, with what to do. Attributes of one's own are free."""
    sessions = kind("chats", ttl=5)
    for name, value in {
        "table_name": "other",
        "primary_key_name": "PK",
        "history_messages_key": "Chat",
        "ttl": 60,
        "ttl_key_name": "T",
        "item_format": "community",
    }.items():
        with pytest.raises(AttributeError, match=rf"{name} of a {kind.__name__} is fixed.*{name}={value!r}"):
            setattr(sessions, name, value)
    sessions.append = sessions.note = "a stand-in"
    assert sessions.history("a").ttl == 5


def test_every_attribute_of_a_repository_is_a_setting() -> None:
    """A new one is fixed too."""
    assert [name for name in vars(AsyncSessionRepository("chats")) if not name.startswith("_")] == []


async def test_copies(make_repository: RepositoryFactory) -> None:
    """A copy shares the client, but no settings, not even the dict of the key."""
    sessions = copy.copy(make_repository())
    history = sessions.history("a")
    other = copy.copy(history)
    other.key["SessionId"] = "b"
    other.ttl, other.history_size = 60, 1
    assert (history.key, history.ttl, history.history_size) == ({"SessionId": "a"}, None, None)
    other.key = {"SessionId": "c"}
    await history.aadd_messages([HumanMessage("in a")])
    await other.aadd_messages([HumanMessage("in c")])
    assert [texts(await each.aget_messages()) for each in (history, other)] == [["in a"], ["in c"]]
    assert isinstance(copy.copy(SessionRepository.over(sessions)), SessionRepository)


class StandIn:
    """What langchain_community's own tests pass as a session."""

    def resource(self, *_: object, **__: object) -> object:
        """Would return a resource."""
        return self


SECRET = "not-to-be-shown"
SESSIONS = {
    "mock": (MagicMock, "run_engine"),
    "mock of a session": (lambda: create_autospec(boto3.Session, instance=True), "run_engine"),
    "stand-in": (StandIn, "run_engine"),
    "client": (lambda: boto3.client("dynamodb", region_name="us-east-1"), "that it was made from"),
    "resource": (lambda: boto3.resource("dynamodb", region_name="us-east-1"), "that it was made from"),
    "table": (lambda: boto3.resource("dynamodb", region_name="us-east-1").Table("t"), "that it was made from"),
    "botocore session": (botocore.session.get_session, "=boto3.Session(botocore_session=...)"),
    "aiobotocore session": (aiobotocore.session.get_session, "=aioboto3.Session(botocore_session=...)"),
    "module": (lambda: boto3, "=boto3.Session()"),
    "class": (lambda: boto3.Session, "not a type"),
    "keys": (lambda: {"aws_access_key_id": SECRET, "aws_secret_access_key": SECRET}, "not a dict"),
    "text": (lambda: SECRET, "not a str"),
}


@pytest.mark.parametrize(("make_session", "told"), SESSIONS.values(), ids=SESSIONS)
def test_what_is_no_session(make_session: Callable[[], Any], told: str) -> None:
    """Each error names the parameter that was given, says what to pass, and shows no keys."""
    with pytest.raises(InvalidInputError) as caught:
        DynamoDBChatMessageHistory("chats", "a", boto3_session=make_session())
    assert str(caught.value).startswith("boto3_session must be a boto3.Session")
    assert told in str(caught.value)
    with pytest.raises(InvalidInputError) as caught:
        AsyncSessionRepository("chats", aws_session=make_session())
    assert str(caught.value).startswith("aws_session must be a boto3.Session")
    assert SECRET not in str(caught.value)
