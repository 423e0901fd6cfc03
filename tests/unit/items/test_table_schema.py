"""Keys and indexes: which a user may declare, what DynamoDB is told, and what its description says."""

from __future__ import annotations

from typing import Any

import pytest

from evaluation import NAMES
from langchain_dynamodb import Index
from langchain_dynamodb._items.table_schema import (
    IndexSchema,
    Schema,
    check_indexes,
    create_request,
    definitions,
    key_schema,
    parse_schema,
    summary_names,
)
from langchain_dynamodb.errors import InvalidInputError

BY_USER = Index("by_user", hash_key="user", include=["topic"])

# --- Declared ---


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"name": "x"}, "index name 'x' must be 3 to 255"),
        ({"name": "by user"}, "index name 'by user'"),
        ({"name": 7}, "index name 7"),
        ({"hash_key": ""}, "attribute name ''"),
        ({"hash_key": "lc_version"}, "'lc_version'"),
        ({"range_key": "lc_version"}, "'lc_version'"),
        ({"range_key": "user"}, "both 'user'"),
        ({"hash_type": "SS"}, "type 'SS' of a key must be 'S', 'N' or 'B'"),
        ({"include": "topic"}, "include='topic' must be a list"),
        ({"include": ["lc_tail_ops"]}, "'lc_tail_ops'"),
    ],
)
def test_bad_indexes(arguments: dict[str, Any], said: str) -> None:
    """An index that cannot be is refused where it is declared."""
    with pytest.raises(InvalidInputError, match=said):
        Index(**{"name": "by_user", "hash_key": "user", **arguments})


@pytest.mark.parametrize("name", ["abc", "a" * 255, "By-user_1.x"])
def test_names_of_indexes(name: str) -> None:
    """Those that DynamoDB takes."""
    assert Index(name, "user").name == name


@pytest.mark.parametrize("name", ["ab", "a" * 256, "é" * 5])
def test_bad_names_of_indexes(name: str) -> None:
    """Too short, too long, or not of its characters."""
    with pytest.raises(InvalidInputError, match="3 to 255"):
        Index(name, "user")


@pytest.mark.parametrize(
    ("index", "keys"),
    [
        (Index("abc", "user"), [("user", "S"), ("lc_updated", "N")]),
        (Index("abc", "user", Index.CREATED), [("user", "S"), ("lc_created", "N")]),
        (Index("abc", "user", None, hash_type="B"), [("user", "B")]),
        (Index("abc", "user", "rank", range_type="N"), [("user", "S"), ("rank", "N")]),
        (Index("abc", "user", "rank", hash_type="N"), [("user", "N"), ("rank", "S")]),
    ],
)
def test_keys_of_an_index(index: Index, keys: list[tuple[str, str]]) -> None:
    """The hash key first; times are numbers whatever is declared."""
    assert list(index.keys.items()) == keys


def test_an_index_carries_what_a_summary_needs() -> None:
    """But for its own keys and the table's, which it has anyway; and what is asked for, however it is listed."""
    index = Index("abc", "user", include=iter(["topic"]))  # type: ignore[arg-type]
    assert index.include == ("topic",)
    assert index.carried(NAMES, ["SessionId"]) == {*summary_names(NAMES), "topic"} - {"lc_updated"}


def test_no_index_carries_messages() -> None:
    """Neither the history nor the ids of appends; the expiry has the name that the user chose."""
    names = summary_names(NAMES._replace(ttl="ttl"))
    assert ("ttl" in names, names & {"History", "expireAt", "lc_tail_ops", "lc_data"}) == (True, set())


def test_an_index_carries_twenty_attributes_at_most() -> None:
    """DynamoDB's limit, with ours."""
    fits, beyond = (Index("abc", "user", include=[str(i) for i in range(count)]) for count in (12, 13))
    assert [len(index.carried(NAMES, ["K"])) for index in (fits, beyond)] == [20, 21]
    assert check_indexes([fits], NAMES, ["K"]) == [fits]
    with pytest.raises(InvalidInputError, match="at most 20"):
        check_indexes([beyond], NAMES, ["K"])


# --- Requests ---


def test_how_dynamodb_is_told_to_make_an_index() -> None:
    """Keys in their order, and the attributes by name."""
    request = BY_USER.request(NAMES, ["SessionId"])
    assert request["KeySchema"] == [
        {"AttributeName": "user", "KeyType": "HASH"},
        {"AttributeName": "lc_updated", "KeyType": "RANGE"},
    ]
    assert (request["IndexName"], request["Projection"]["ProjectionType"]) == ("by_user", "INCLUDE")
    assert request["Projection"]["NonKeyAttributes"] == sorted(BY_USER.carried(NAMES, ["SessionId"]))


def test_how_dynamodb_is_told_to_make_a_table() -> None:
    """Text keys, paid for by use, no index."""
    assert create_request(["PK", "SK"], [], NAMES) == {
        "KeySchema": key_schema(["PK", "SK"]),
        "AttributeDefinitions": definitions({"PK": "S", "SK": "S"}),
        "BillingMode": "PAY_PER_REQUEST",
    }


def test_a_table_with_indexes() -> None:
    """The types of all keys are told once, those of the table's are text whatever an index says."""
    indexes = [BY_USER, Index("ranked", "SK", "rank", hash_type="B", range_type="N")]
    request = create_request(["PK", "SK"], indexes, NAMES)
    types = {one["AttributeName"]: one["AttributeType"] for one in request["AttributeDefinitions"]}
    assert types == {"PK": "S", "SK": "S", "user": "S", "lc_updated": "N", "rank": "N"}
    assert request["GlobalSecondaryIndexes"] == [index.request(NAMES, ["PK", "SK"]) for index in indexes]


# --- Described ---

DESCRIPTION: dict[str, Any] = {
    "AttributeDefinitions": definitions({"SK": "N", "PK": "S", "user": "S", "team": "B"}),
    "KeySchema": key_schema(["PK", "SK"])[::-1],
    "GlobalSecondaryIndexes": [
        {
            "IndexName": "by_user",
            "KeySchema": key_schema(["user", "SK"])[::-1],
            "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["topic", "lc_version"]},
            "IndexStatus": "CREATING",
        },
        {
            "IndexName": "all",
            "KeySchema": key_schema(["team"]),
            "Projection": {"ProjectionType": "ALL"},
            "IndexStatus": "ACTIVE",
        },
        {"IndexName": "keys", "KeySchema": key_schema(["user"]), "Projection": {"ProjectionType": "KEYS_ONLY"}},
    ],
}
SCHEMA = parse_schema(DESCRIPTION)


def test_keys_of_a_table() -> None:
    """The hash key first, in whatever order they are told."""
    assert list(SCHEMA.keys.items()) == [("PK", "S"), ("SK", "N")]
    assert (SCHEMA.described, SCHEMA.types["team"]) == ("PK (S), SK (N)", "B")


def test_indexes_of_a_table() -> None:
    """Their keys, what they carry, and whether they can be used yet."""
    assert SCHEMA.indexes == {
        "by_user": IndexSchema({"user": "S", "SK": "N"}, frozenset(["topic", "lc_version"]), active=False),
        "all": IndexSchema({"team": "B"}, None),
        "keys": IndexSchema({"user": "S"}, frozenset()),
    }
    assert list(SCHEMA.indexes["by_user"].keys) == ["user", "SK"]


def test_a_table_without_indexes() -> None:
    """As DynamoDB describes it."""
    plain = {name: DESCRIPTION[name] for name in ("AttributeDefinitions", "KeySchema")}
    assert parse_schema(plain) == Schema(SCHEMA.keys, {}, SCHEMA.types)


def test_what_an_index_made_by_us_looks_like() -> None:
    """It is what was declared."""
    index = {**BY_USER.request(NAMES, ["PK"]), "IndexStatus": "ACTIVE"}
    types = definitions({"PK": "S", **BY_USER.keys})
    schema = parse_schema(
        {"AttributeDefinitions": types, "KeySchema": key_schema(["PK"]), "GlobalSecondaryIndexes": [index]}
    )
    assert schema.indexes == {"by_user": IndexSchema(BY_USER.keys, BY_USER.carried(NAMES, ["PK"]))}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"user": {"N": "1"}}, "'user' is 1, and as a key of index 'by_user' it must be a text that is not empty"),
        ({"user": {"S": ""}}, "'user' is '', and as a key of index 'by_user'"),
        ({"team": {"S": "x"}}, "'team' is 'x', and as a key of index 'all' it must be bytes that are not empty"),
        ({"SK": {"S": "x"}}, "'SK' is 'x', and as a key of index 'by_user' it must be a number"),
    ],
)
def test_what_an_index_cannot_have_as_a_key(values: Any, said: str) -> None:
    """DynamoDB would refuse the write; the attribute, the index and the way out are told."""
    found = SCHEMA.misfit(values)
    assert (said in str(found), "or None to leave the session out" in str(found)) == (True, True)


@pytest.mark.parametrize("values", [{}, {"user": {"S": "u"}, "team": {"B": b"t"}}, {"color": {"L": []}}])
def test_what_an_index_can_have(values: Any) -> None:
    """A session without the attribute is not in the index."""
    assert SCHEMA.misfit(values) is None


def test_attributes_of_the_users_that_indexes_name() -> None:
    """A listing brings them: neither the table's keys, nor ours, nor the expiry."""
    carried = IndexSchema({"owner": "S", "lc_updated": "N"}, frozenset(["expireAt", "lc_count", "color", "PK"]))
    schema = Schema(SCHEMA.keys, {**SCHEMA.indexes, "more": carried})
    assert schema.own_names(NAMES) == {"user", "topic", "team", "owner", "color"}
