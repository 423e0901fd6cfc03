"""Bodies that are made and read without the SDK: the same as its own, or left to it."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest
from botocore.parsers import create_parser
from botocore.serialize import create_serializer
from botocore.session import get_session
from hypothesis import given
from hypothesis import strategies as st

from langchain_dynamodb._dynamodb import wire

texts = st.text(st.characters(codec="utf-8"), max_size=5)
names = st.sampled_from(["N", "S", "B", "BS", "L", "M", "Item", "name", "ключ"])  # like types, but dicts
scalars = (
    st.fixed_dictionaries({"S": texts})
    | st.fixed_dictionaries({"N": st.integers().map(str)})
    | st.fixed_dictionaries({"B": st.binary(max_size=5)})
    | st.fixed_dictionaries({"BS": st.lists(st.binary(max_size=5), min_size=1, max_size=3)})
    | st.fixed_dictionaries({"SS": st.lists(texts, min_size=1, max_size=3)})
    | st.fixed_dictionaries({"BOOL": st.booleans()})
    | st.just({"NULL": True})
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.fixed_dictionaries({"L": st.lists(inner, max_size=3)})
        | st.fixed_dictionaries({"M": st.dictionaries(names, inner, max_size=3)})
    ),
    max_leaves=8,
)
items = st.dictionaries(names, values, max_size=4)


@cache
def operation(name: str) -> Any:
    """The SDK's description of it."""
    return get_session().get_service_model("dynamodb").operation_model(name)


def by_sdk(name: str, request: dict[str, Any]) -> Any:
    """The body that the SDK makes."""
    serializer = create_serializer("json", include_validation=False)
    return json.loads(serializer.serialize_to_request(request, operation(name))["body"])


def read_by_sdk(name: str, body: bytes) -> dict[str, Any]:
    """The answer that the SDK reads."""
    answer = {"body": body, "headers": {}, "status_code": 200}
    parsed: dict[str, Any] = create_parser("json").parse(answer, operation(name).output_shape)
    del parsed["ResponseMetadata"]
    return parsed


def body_of(answer: dict[str, Any]) -> bytes:
    """An answer as it would come: it holds values as requests do."""
    body = wire.encode(answer)
    assert body is not None
    return body


@given(items)
def test_requests_and_answers_as_the_sdk_has_them(item: dict[str, Any]) -> None:
    """Of any item, in each place where one may be."""
    put = {"TableName": "chats", "Item": item, "ConditionExpression": "a = :b", "ExpressionAttributeValues": item}
    batch = {"RequestItems": {"chats": [{"PutRequest": {"Item": item}}, {"DeleteRequest": {"Key": item}}]}}
    for name, request in {"PutItem": put, "BatchWriteItem": batch}.items():
        assert json.loads(body_of(request)) == by_sdk(name, request)
    for name, answer in {
        "GetItem": {"Item": item, "ConsumedCapacity": {"TableName": "chats", "CapacityUnits": 1.5}},
        "UpdateItem": {"Attributes": item},
        "BatchGetItem": {"Responses": {"chats": [item, item]}, "UnprocessedKeys": {"chats": {"Keys": [item]}}},
        "BatchWriteItem": {"UnprocessedItems": {"chats": [{"PutRequest": {"Item": item}}]}},
        "Query": {"Items": [item], "Count": 1, "ScannedCount": 2, "LastEvaluatedKey": item},
    }.items():
        body = body_of(answer)
        assert wire.decode(body) == read_by_sdk(name, body) == answer


@pytest.mark.parametrize("request_", [{"Key": {"id": {"S": "\ud800"}}}, {"Key": {"id": {"B": object()}}}])
def test_what_is_no_json_is_left_to_the_sdk(request_: dict[str, Any]) -> None:
    """It has its own way, or its own error."""
    assert wire.encode(request_) is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"null",
        b'{"Item": {"a": {"B": "A"}}}',
        b'{"Item": {"a": {"BS": [1]}}}',
        b'{"x": "\\ud800"}',
    ],
)
def test_so_is_an_answer_that_is_none(body: bytes) -> None:
    """A proxy's page, damaged binaries, what no JSON text may hold."""
    assert wire.decode(body) is None


def test_null_is_nothing() -> None:
    """Some engines say so."""
    assert (
        wire.decode(b'{"Item": null, "Count": 0}')
        == {"Count": 0}
        == read_by_sdk("Query", b'{"Item": null, "Count": 0}')
    )


def test_what_the_sdk_still_sees() -> None:
    """What it chooses the endpoint by."""
    key = {"id": {"S": "a"}}
    request = {"TableName": "chats", "Key": key, "ConsistentRead": True, "ExpressionAttributeNames": {"#a": "b"}}
    assert wire.only_tables(request) == {"TableName": "chats"}
    reads, writes = {"chats": {"Keys": [key]}}, {"chats": [{"DeleteRequest": {"Key": key}}]}
    assert wire.only_tables({"RequestItems": reads}) == {"RequestItems": {"chats": {}}}
    assert wire.only_tables({"RequestItems": writes}) == {"RequestItems": {"chats": []}}
