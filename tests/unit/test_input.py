"""Bad input: every public method refuses it with an error that shows the value, before anything is sent."""

from __future__ import annotations

import datetime
import inspect
import re
from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, RemoveMessage, messages_to_dict

from langchain_dynamodb import AsyncSessionRepository, Index, Sizes
from langchain_dynamodb._checks import short
from langchain_dynamodb.errors import InvalidInputError, MessageTooLargeError, UnsupportedMessageError
from support import Call, WatchedConnection, watch

Method = Callable[[AsyncSessionRepository, Any], Awaitable[object]]
ADDRESS = re.compile(r" at 0x\w+")

HI: list[BaseMessage] = [HumanMessage("hi!")]

ON_A_SESSION: dict[str, Method] = {
    "append": lambda sessions, session: sessions.append(session, HI),
    "append nothing": lambda sessions, session: sessions.append(session, []),
    "read": lambda sessions, session: sessions.read(session),
    "iter_messages": lambda sessions, session: anext(sessions.iter_messages(session)),
    "replace": lambda sessions, session: sessions.replace(session, HI),
    "truncate": lambda sessions, session: sessions.truncate(session, keep=1),
    "update_message": lambda sessions, session: sessions.update_message(session, HumanMessage("b", id="a")),
    "remove_message": lambda sessions, session: sessions.remove_message(session, "a"),
    "update_metadata": lambda sessions, session: sessions.update_metadata(session, {"a": 1}),
    "set_expiry": lambda sessions, session: sessions.set_expiry(session, 60),
    "repair": lambda sessions, session: sessions.repair(session),
    "reencrypt": lambda sessions, session: sessions.reencrypt(session),
    "take_over": lambda sessions, session: sessions.take_over(session),
    "copy": lambda sessions, session: sessions.copy(session, "fork"),
    "copy to": lambda sessions, session: sessions.copy("s", session),
    "delete": lambda sessions, session: sessions.delete(session),
}

BAD_SESSIONS: list[tuple[Any, str]] = [
    ("", "''"),
    (None, "session None"),
    (5, "session 5"),
    (b"s", "session b's'"),
    (["s"], r"session \['s'\]"),
    ("a\udc80", r"'a\\udc80'.*lone surrogate"),
    ("x" * 2022, "2022 bytes.*at most 2021"),
    ("s~lc~0123456789abcd~01234567", "ends like the key of a page"),
    ({}, "0 attributes"),
    ({"PK": "a", "SK": "b", "c": {"d"}}, r"attributes\['c'\] is a set"),
    ({"PK": ""}, "'PK' is ''"),
    ({"PK": 1.5}, "'PK' is 1.5"),
    ({"PK": "a", "SK": None}, "'SK' is None"),
    ({"PK": 1}, "numbers only"),
    ({"": "a"}, "name ''"),
    ({"PK": "a", "History": "b"}, "'History'.*history_messages_key"),
    ({"PK": "a", "expireAt": 1}, "'expireAt'.*ttl_key_name"),
    ({"PK": "a", "lc_version": 1}, "'lc_version'"),
]


def label(value: Any) -> str:
    """Name a parameter, the same in every process."""
    return ADDRESS.sub("", repr(value))[:40]


class NothingSent(WatchedConnection):
    """A DynamoDB that must not be called."""

    async def around(self, operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        """Fail the test."""
        raise AssertionError(f"{operation} was sent: {request}")


def unsent(**options: Any) -> AsyncSessionRepository:
    """A repository that fails the test as soon as it sends anything."""
    sessions = AsyncSessionRepository("Unreachable", endpoint_url="http://127.0.0.1:9", region_name="none-1", **options)
    watch(sessions, NothingSent)
    return sessions


def test_every_method_that_names_a_session_is_covered() -> None:
    """A new public method must join the table above."""
    takes_session = {
        name
        for name, method in inspect.getmembers(AsyncSessionRepository, inspect.isfunction)
        if not name.startswith("_") and "session" in inspect.signature(method).parameters
    }
    assert takes_session - {"history"} == {name.split()[0] for name in ON_A_SESSION}


@pytest.mark.parametrize("item_format", ["pages", "community"])
@pytest.mark.parametrize(("session", "said"), BAD_SESSIONS, ids=label)
@pytest.mark.parametrize("method", ON_A_SESSION)
async def test_bad_sessions(method: str, session: Any, said: str, item_format: str) -> None:
    """What cannot name a session is refused by each method."""
    with pytest.raises(InvalidInputError, match=said):
        await ON_A_SESSION[method](unsent(item_format=item_format), session)


VERSIONED: dict[str, Callable[..., Awaitable[object]]] = {
    "append": lambda sessions, **options: sessions.append("s", HI, **options),
    "replace": lambda sessions, **options: sessions.replace("s", HI, **options),
    "truncate": lambda sessions, **options: sessions.truncate("s", keep=1, **options),
    "update_message": lambda sessions, **options: sessions.update_message("s", HumanMessage("b", id="a"), **options),
    "remove_message": lambda sessions, **options: sessions.remove_message("s", "a", **options),
    "update_metadata": lambda sessions, **options: sessions.update_metadata("s", {"a": 1}, **options),
    "set_expiry": lambda sessions, **options: sessions.set_expiry("s", 60, **options),
    "delete": lambda sessions, **options: sessions.delete("s", **options),
}
NO_COUNTS: list[Any] = [-1, True, False, 1.0, 0.5, "1", Decimal(1), [1]]


@pytest.mark.parametrize("value", NO_COUNTS, ids=repr)
@pytest.mark.parametrize("method", VERSIONED)
async def test_bad_expected_versions(method: str, value: Any) -> None:
    """`expected_version` is a whole number from 0 on, or None."""
    with pytest.raises(InvalidInputError, match=r"expected_version=.*must be a number from 0 on, or None") as error:
        await VERSIONED[method](unsent(), expected_version=value)
    assert repr(value) in str(error.value)


@pytest.mark.parametrize("value", NO_COUNTS, ids=repr)
async def test_bad_counts(value: Any) -> None:
    """Limits, sizes and versions are whole numbers from 0 on; `keep` has no default."""
    calls: list[tuple[str, Callable[[AsyncSessionRepository], Awaitable[object]]]] = [
        ("limit", lambda sessions: sessions.read("s", limit=value)),
        ("unless_version", lambda sessions: sessions.read("s", unless_version=value)),
        ("keep", lambda sessions: sessions.truncate("s", keep=value)),
        ("history_size", lambda sessions: sessions.append("s", HI, history_size=value)),
    ]
    for option, call in calls:
        with pytest.raises(InvalidInputError, match=f"{option}=.*from 0 on") as error:
            await call(unsent())
        assert repr(value) in str(error.value)


@pytest.mark.parametrize("value", ["no", 1, None], ids=repr)
async def test_bad_flags(value: Any) -> None:
    """Only True and False say whether; above all not the text "no", which would be taken for True."""
    calls: list[tuple[str, Callable[[], Awaitable[object]]]] = [
        ("skip_missing_pages", lambda: unsent().read("s", skip_missing_pages=value)),
        ("skip_missing_pages", lambda: anext(unsent().iter_messages("s", skip_missing_pages=value))),
        ("search_pages", lambda: unsent().delete("s", search_pages=value)),
        ("drop_undecodable", lambda: unsent().repair("s", drop_undecodable=value)),
    ]
    for option, call in calls:
        with pytest.raises(InvalidInputError, match=f"{option}={value!r} must be True or False"):
            await call()
    with pytest.raises(InvalidInputError, match=f"skip_undecodable={value!r} must be True or False"):
        unsent(skip_undecodable=value)
    with pytest.raises(InvalidInputError, match=f"strict={value!r} must be True or False"):
        unsent(strict=value)


async def test_keep_is_needed() -> None:
    """`keep=None` is no number."""
    with pytest.raises(InvalidInputError, match=r"keep=None must be a number from 0 on$"):
        await unsent().truncate("s", keep=None)  # type: ignore[arg-type]


BAD_MESSAGES: list[tuple[Any, str]] = [
    ("hi!", "messages is a str"),
    (b"hi!", "messages is a bytes"),
    (HI[0], "messages is a HumanMessage"),
    (None, "messages is a NoneType"),
    (5, "messages is a int"),
    ({"type": "human"}, "messages is a dict"),
    (iter(HI), "messages is a list_iterator"),
    (["hi!"], r"messages\[0\] is a str, not a message"),
    ([*HI, None], r"messages\[1\] is a NoneType"),
    ([("human", "hi!")], r"messages\[0\] is a tuple"),
    (messages_to_dict(HI), r"messages\[0\] is a dict"),
    ([HumanMessage], r"messages\[0\] is a .*Meta"),
]


@pytest.mark.parametrize("item_format", ["pages", "community"])
@pytest.mark.parametrize(("messages", "said"), BAD_MESSAGES, ids=label)
async def test_things_that_are_no_messages(messages: Any, said: str, item_format: str) -> None:
    """Only a sequence of messages is appended, or replaces what is there."""
    for method in (AsyncSessionRepository.append, AsyncSessionRepository.replace):
        with pytest.raises(InvalidInputError, match=said) as error:
            await method(unsent(item_format=item_format), "s", messages)
        assert "hi!" not in str(error.value)


BAD_MESSAGE: list[tuple[Any, str]] = [
    (object(), "message is a object, not a message"),
    ({"id": "a"}, "message is a dict, not a message"),
    (HI, "message is a list, not a message"),
    (HumanMessage([{"deep": object()}], id="a"), r"message\.content\[0\]\['deep'\] "),
    (BaseMessage("x", type="human", id="a"), "message is a .*BaseMessage, a class that could not be restored"),
    (RemoveMessage("a"), "message is a RemoveMessage"),
    (HumanMessage("\ud83d", id="a"), r"message\.content "),
    (HumanMessage("x" * 2_000, id="a"), r"message has 20\d\d bytes"),
    # The id comes first: it is what the caller has to mend in any case.
    (HumanMessage([{"deep": object()}]), r"message\.id=None must be the id of a stored message"),
    (HumanMessage("x", id=""), r"message\.id='' must be the id of a stored message"),
    (AIMessage.model_construct(content="x"), r"message\.id=None must be the id of a stored message"),
]


@pytest.mark.parametrize("item_format", ["pages", "community"])
@pytest.mark.parametrize(("message", "said"), BAD_MESSAGE, ids=label)
async def test_a_message_that_cannot_take_the_place_of_another(message: Any, said: str, item_format: str) -> None:
    """It is called by the name of the argument, not as one of several."""
    sessions = unsent(item_format=item_format, sizes=Sizes(message=1_000))._for_http()
    with pytest.raises(InvalidInputError, match=f"^{said}") as error:
        await sessions.update_message("s", message)
    assert str(getattr(error.value, "path", "message")).startswith("message")


BAD_CONTENTS: list[tuple[Any, str]] = [
    (object(), "type object"),
    (memoryview(b"x"), "bytes"),
    (Path("x"), "str"),
]


@pytest.mark.parametrize("item_format", ["pages", "community"])
@pytest.mark.parametrize(("value", "said"), BAD_CONTENTS, ids=label)
async def test_messages_that_cannot_be_stored_exactly(value: Any, said: str, item_format: str) -> None:
    """What would be left out is refused in content, and everywhere with `strict`; it is named by its place."""
    kept, spoken = HumanMessage("x", additional_kwargs={"deep": [value]}), HumanMessage([{"type": "x", "deep": value}])
    cases = (
        (kept, True, "messages[1].additional_kwargs['deep'][0]"),
        (spoken, False, "messages[1].content[0]['deep']"),
    )
    for message, strict, path in cases:
        sessions = unsent(item_format=item_format, strict=strict)
        for method in (AsyncSessionRepository.append, AsyncSessionRepository.replace):
            with pytest.raises(UnsupportedMessageError, match=said) as error:
                await method(sessions, "s", [*HI, message])
            assert error.value.path == path


async def test_messages_only_the_default_format_holds() -> None:
    """DynamoDB's own types hold less: in content the community format refuses the rest, and says what to use."""
    sessions = unsent(item_format="community")
    for value in (1e-200, 1e308, 2**200, "\ud800", {"": 1}, (1, 2), datetime.datetime(2026, 1, 1), Decimal("1.5")):
        messages = [HumanMessage([{"type": "x", "a": value}])]
        for method in (AsyncSessionRepository.append, AsyncSessionRepository.replace):
            with pytest.raises(UnsupportedMessageError, match=r"messages\[0\].*item_format=\"pages\""):
                await method(sessions, "s", messages)


async def test_messages_that_are_too_large() -> None:
    """A message above the bound is refused with its size, also when the others fit."""
    sessions = unsent(sizes=Sizes(message=1000))
    for method in (AsyncSessionRepository.append, AsyncSessionRepository.replace):
        with pytest.raises(MessageTooLargeError, match=r"messages\[1\] has \d+ bytes .* 1000 allowed") as error:
            await method(sessions, "s", [*HI, HumanMessage("x" * 1000)])
        assert (error.value.size > 1000, error.value.limit) == (True, 1000)


async def test_more_than_an_item_holds_in_the_community_format() -> None:
    """A list that alone is above DynamoDB's 400 KB is refused without a look at the table."""
    sessions = unsent(item_format="community")
    for method in (AsyncSessionRepository.append, AsyncSessionRepository.replace):
        with pytest.raises(MessageTooLargeError, match=r"409600.*item_format='community'") as error:
            await method(sessions, "s", [HumanMessage("x" * 210_000)] * 2)
        assert (error.value.size > 420_000, error.value.limit) == (True, 409_600)


@pytest.mark.parametrize("key", ["", 5, b"key", True, ["key"]])
async def test_bad_idempotency_keys(key: Any) -> None:
    """An idempotency key is a text that is not empty."""
    with pytest.raises(InvalidInputError, match=r"idempotency_key=.*a text that is not empty, or None"):
        await unsent().append("s", HI, idempotency_key=key)


BAD_METADATA: list[tuple[Any, str]] = [
    ("title", "metadata 'title'"),
    (None, "metadata None"),
    ([("a", 1)], r"metadata \[\('a', 1\)\]"),
    ({1: "x"}, "key 1"),
    ({"": "x"}, "key ''"),
    ({"\ud800": "x"}, "surrogate"),
    ({"a": "\ud800"}, r"metadata\['a'\] holds a lone surrogate"),
    ({"a": datetime.datetime(2026, 1, 1)}, r"metadata\['a'\] is a datetime.*isoformat"),
    ({"a": {1}}, r"metadata\['a'\] is a set"),
    ({"a": (1, 2)}, r"metadata\['a'\] is a tuple"),
    ({"a": float("nan")}, r"metadata\['a'\] is nan"),
    ({"a": b"x"}, r"metadata\['a'\] is a bytes"),
    ({"a": Decimal("1.5")}, r"metadata\['a'\] is a Decimal"),
    ({"a": 10**40}, r"metadata\['a'\] is 1.*38 digits"),
    ({"a": [{"b": object()}]}, r"metadata\['a'\]\[0\]\['b'\] is a object"),
    ({"a": {"": 1}}, r"metadata\['a'\] has the key ''"),
    ({"a": "x" * 2049}, "metadata.*2048 allowed"),
    ({str(i): "x" * 200 for i in range(11)}, "metadata.*2048 allowed"),
]


@pytest.mark.parametrize(("metadata", "said"), BAD_METADATA, ids=label)
async def test_bad_metadata(metadata: Any, said: str) -> None:
    """Metadata is a mapping of texts to values of JSON types, 2 KB at most."""
    with pytest.raises(InvalidInputError, match=said):
        await unsent().update_metadata("s", metadata)


async def test_metadata_in_the_community_format() -> None:
    """langchain_community's item has no place for metadata."""
    with pytest.raises(InvalidInputError, match="item_format='community' has no metadata"):
        await unsent(item_format="community").update_metadata("s", {"a": 1})


BAD_OPTIONS: list[tuple[dict[str, Any], str]] = [
    ({"ttl": 0}, "ttl=0"),
    ({"ttl": -1}, "ttl=-1"),
    ({"ttl": 1.5}, "ttl=1.5"),
    ({"ttl": True}, "ttl=True"),
    ({"ttl": "60"}, "ttl='60'"),
    ({"ttl": 10**11}, "ttl=100000000000"),
    ({"history_messages_key": ""}, "history_messages_key=''"),
    ({"history_messages_key": None}, "history_messages_key=None"),
    ({"history_messages_key": "lc_x"}, "history_messages_key='lc_x'.*does not start with 'lc_'"),
    ({"history_messages_key": "SessionId"}, "history_messages_key='SessionId'"),
    ({"history_messages_key": "expireAt"}, "both 'expireAt'"),
    ({"history_messages_key": "\ud800"}, "history_messages_key="),
    ({"ttl_key_name": ""}, "ttl_key_name=''"),
    ({"ttl_key_name": "lc_ttl"}, "ttl_key_name='lc_ttl'"),
    ({"ttl_key_name": "History"}, "both 'History'"),
    ({"ttl_key_name": "SessionId"}, "ttl_key_name='SessionId'"),
    ({"primary_key_name": ""}, "primary_key_name=''"),
    ({"primary_key_name": None}, "primary_key_name=None"),
    ({"primary_key_name": "lc_version"}, "primary_key_name='lc_version'"),
    ({"primary_key_name": "\ud800"}, "primary_key_name="),
    ({"item_format": "native"}, "item_format='native' must be 'pages' or 'community'"),
    ({"item_format": None}, "item_format=None"),
    ({"endpoint_url": 8000}, "endpoint_url must be a URL"),
    ({"region_name": ""}, "region_name must be a region"),
    ({"aws_session": "default"}, "aws_session must be a boto3.Session, an aioboto3.Session or None, not a str"),
    ({"config": {"retries": 1}}, "config must be a botocore Config"),
]


@pytest.mark.parametrize(("options", "said"), BAD_OPTIONS, ids=label)
def test_bad_options(options: dict[str, Any], said: str) -> None:
    """The constructor refuses what cannot be used, naming the option and its value."""
    with pytest.raises(InvalidInputError, match=said):
        AsyncSessionRepository("Table", **options)


@pytest.mark.parametrize("name", ["", None, 5, b"Table", "My Table", "ab", "Tabl\u00e9", "a/b", "Table\n", "a" * 256])
def test_bad_table_names(name: Any) -> None:
    """A table's name is a text of the characters and the length that DynamoDB takes."""
    with pytest.raises(InvalidInputError, match=re.escape(f"table_name={short(name)} must be")):
        AsyncSessionRepository(name)


@pytest.mark.parametrize(
    "name", ["abc", "a" * 255, "My_Table-1.x", "arn:aws:dynamodb:us-east-1:123456789012:table/My_Table-1.x"]
)
def test_good_table_names(name: str) -> None:
    """Names, and ARNs, which DynamoDB takes in place of a name."""
    assert AsyncSessionRepository(name).table_name == name


async def test_what_is_checked_is_an_invalid_input_and_a_value_error() -> None:
    """Callers that know nothing of this package can catch ValueError."""
    with pytest.raises(ValueError, match="limit=-1"):
        await unsent().read("s", limit=-1)


async def test_numbers_beyond_all_counts() -> None:
    """Python refuses to print them, so they are described; nothing is sent."""
    with pytest.raises(InvalidInputError, match="ttl=an integer of 16610 bits"):
        unsent(ttl=10**5000)
    with pytest.raises(InvalidInputError, match="limit=an integer of 16610 bits"):
        await unsent().read("s", limit=10**5000)
    with pytest.raises(InvalidInputError, match="expected_version=an integer of 16610 bits"):
        await unsent().append("s", HI, expected_version=10**5000)


@pytest.mark.parametrize(
    "sizes",
    [
        Sizes(item=0),
        Sizes(page=-1),
        Sizes(item=500_000),
        Sizes(message=100 << 20),
        Sizes(page=1.5),  # type: ignore[arg-type]
        {"page": 1},
    ],
    ids=repr,
)
def test_sizes_that_cannot_work(sizes: Any) -> None:
    """They would fail at the first page, or store what cannot be read."""
    with pytest.raises(InvalidInputError, match=r"[sS]izes"):
        AsyncSessionRepository("Table", sizes=sizes)


@pytest.mark.parametrize(
    ("indexes", "said"),
    [
        ("by_user", "indexes='by_user' must be a list of Index"),
        ([{"name": "by_user"}], "must be a list of Index"),
        ([Index("by_user", hash_key="user"), Index("by_user", hash_key="owner")], "same name"),
        ([Index("abc", hash_key="History")], "'abc': 'History' is the history"),
        ([Index("abc", hash_key="user", range_key="expireAt")], "'expireAt' is the history, the TTL"),
        ([Index("abc", hash_key="user", include=["SK"])], "'SK' is the history, the TTL or a key"),
        ([Index("abc", hash_key="user", include=["user"])], "'user' is the history, the TTL or a key"),
        ([Index("abc", hash_key="SK", range_key="SessionId")], "would hold the pages"),
        ([Index("abc", hash_key="SK", range_key=None)], "would hold the pages"),
        ([Index("abc", hash_key="user", include=[str(i) for i in range(15)])], "at most 20 attributes"),
    ],
)
async def test_indexes_that_the_table_cannot_have(indexes: Any, said: str) -> None:
    """They are refused before anything is sent."""
    with pytest.raises(InvalidInputError, match=said):
        await unsent().create_table(sort_key_name="SK", indexes=indexes)


@pytest.mark.parametrize("wrong", ["ai", "", True, 1])
async def test_a_wrong_start(wrong: Any) -> None:
    """Windows can begin with a human message, or with any."""
    sessions = unsent()
    with pytest.raises(InvalidInputError, match=r"start_on=.* must be 'human', or None"):
        await sessions.read("s", start_on=wrong)
    with pytest.raises(InvalidInputError, match=r"start_on=.* must be 'human', or None"):
        [message async for message in sessions.iter_messages("s", start_on=wrong)]
