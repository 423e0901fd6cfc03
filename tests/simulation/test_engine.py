"""The in-memory engine answers like AWS's own: what the simulation sends is sent to both."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from botocore.exceptions import ClientError

from simulation.engine import ConditionFailed, Engine
from simulation.expressions import Invalid, number
from simulation.network import Network
from simulation.play import World, start_state, surroundings
from simulation.scenario import draw
from simulation.schedule import Random

pytestmark = pytest.mark.once

Answer = tuple[str, Any]
Request = tuple[str, Mapping[str, Any], str, Any]
RUNS = 60
SEED = 4_000_000


def recorded(seed: int) -> tuple[list[Any], list[Request], list[Any]]:
    """The items before a run, its requests with their answers, and the items after it."""
    chance = random.Random(seed)
    scenario = draw(chance)
    world = World(scenario, seed)
    world.network.recorded = []
    before = list(start_state(scenario).values())
    with contextlib.suppress(AssertionError):  # what the clients make of the answers is not the question here
        world.run(Random(chance))
    return before, world.network.recorded, list(world.engine.items.values())


def plain(value: Any) -> Any:
    """A value in which neither the order of sets nor the notation of numbers matters."""
    if not isinstance(value, Mapping):
        return sorted((plain(entry) for entry in value), key=repr) if isinstance(value, (list, tuple)) else value
    shown = {}
    for name, content in sorted(value.items()):
        if name == "L":
            shown[name] = [plain(entry) for entry in content]
        elif name == "N" and isinstance(content, str):
            shown[name] = number(content)
        else:
            shown[name] = plain(content)
    return shown


def asked(client: Any, table: str, operation: str, request: Mapping[str, Any]) -> Answer:
    """DynamoDB Local's answer."""
    renamed = dict(request)
    if "RequestItems" in request:
        renamed["RequestItems"] = dict.fromkeys([table], next(iter(request["RequestItems"].values())))
    else:
        renamed["TableName"] = table
    try:
        response = getattr(client, operation)(**renamed)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code == "ConditionalCheckFailedException":
            return "refused", plain(error.response.get("Item"))
        return ("invalid" if code == "ValidationException" else code), None
    response.pop("ResponseMetadata")
    return "ok", plain(unordered(response))


def answered(kind: str, content: Any) -> Answer:
    """Ours, in the same form."""
    if kind == "invalid":
        return kind, None
    return kind, plain(unordered(content))


def unordered(response: Any) -> Any:
    """An answer in which neither the table's name nor the order of items matters."""
    if response and "Responses" in response:
        (items,) = response["Responses"].values()
        return {**response, "Responses": sorted(items, key=lambda item: str(sorted(item.items())))}
    return response


def stored(client: Any, table: str) -> Any:
    """All items of a table."""
    return plain(client.scan(TableName=table, ConsistentRead=True)["Items"])  # sorted, as whatever is a list


@pytest.mark.dynamodb_local_only
def test_recorded_runs(dynamodb: Any, make_table: Callable[..., str]) -> None:
    """Every request of many runs: the same answers, refusals with their items, and the same items in the end."""
    shapes = set()
    for seed in range(SEED, SEED + RUNS):
        with surroundings():
            before, requests, after = recorded(seed)
        table = make_table()
        for item in before:
            dynamodb.put_item(TableName=table, Item=item)
        for operation, request, kind, content in requests:
            if operation == "describe_table" or "object" in operation:
                continue  # ours tells of keys alone; objects are a bucket's
            shapes.add((operation, kind, request.get("UpdateExpression"), request.get("ConditionExpression")))
            assert asked(dynamodb, table, operation, request) == answered(kind, content), (seed, operation, request)
        assert stored(dynamodb, table) == plain(after)
    assert len(shapes) > 60


OTHERS: tuple[Any, ...] = (
    None,
    {"S": "5"},
    {"N": "5"},
    {"B": b"5"},
    {"BS": [b"5"]},
    {"L": []},
    {"M": {}},
    {"NULL": True},
)
"""What may stand in the place of an attribute; None: nothing."""


def crossed(chance: random.Random) -> Iterator[tuple[Mapping[str, Any] | None, str, Mapping[str, Any]]]:
    """Requests of every shape, each on items whose attributes are missing or of another type."""
    seen = set()
    for seed in range(SEED, SEED + RUNS):
        _, requests, _ = recorded(seed)
        for operation, request, kind, content in requests:
            shape = operation, request.get("UpdateExpression"), request.get("ConditionExpression")
            item = content if kind == "refused" else (content or {}).get("Attributes") if kind == "ok" else None
            if operation not in ("update_item", "put_item", "delete_item") or not item or shape in seen:
                continue
            seen.add(shape)
            yield item, operation, request
            for name in set(request.get("ExpressionAttributeNames", {}).values()) - {"SessionId"}:
                other = chance.choice(OTHERS)
                changed = {**item, name: other} if other else {k: v for k, v in item.items() if k != name}
                yield changed, operation, request


@pytest.mark.dynamodb_local_only
def test_types(dynamodb: Any, make_table: Callable[..., str]) -> None:
    """Every expression, on items with attributes that are missing or of any type."""
    table = make_table()
    with surroundings():
        cases = list(crossed(random.Random(1)))
    assert len(cases) > 300
    for item, operation, request in cases:
        engine = Engine()
        for each in dynamodb.scan(TableName=table)["Items"]:
            dynamodb.delete_item(TableName=table, Key={"SessionId": each["SessionId"]})
        dynamodb.put_item(TableName=table, Item=item)
        engine.apply("put_item", {"Item": item})
        wanted = asked(dynamodb, table, operation, request)
        assert apply(engine, operation, request) == wanted, (operation, request, item)
        assert plain(list(engine.items.values())) == stored(dynamodb, table)


def apply(engine: Engine, operation: str, request: Mapping[str, Any]) -> Answer:
    """Our answer, in the form of `asked`."""
    try:
        return answered("ok", engine.apply(operation, request))
    except ConditionFailed as failed:
        return "refused", plain(failed.item)
    except Invalid:
        return "invalid", None


KEY = {"SessionId": {"S": "k"}}
ITEM = {**KEY, "n": {"N": "5"}, "s": {"S": "text"}, "l": {"L": [{"N": "1"}]}, "m": {"M": {"b": {"B": b"x"}}}}
ITEM |= {"set": {"BS": [b"a", b"b"]}, "flag": {"BOOL": True}, "none": {"NULL": True}}
VALUES = {":n": {"N": "5.0"}, ":s": {"S": "te"}, ":b": {"B": b"a"}, ":x": {"B": b"x"}, ":one": {"N": "1"}}
VALUES |= {":six": {"N": "6"}, ":type": {"S": "N"}, ":set": {"BS": [b"b", b"a"]}, ":l": {"L": [{"N": "1.0"}]}}
CONDITIONS = [
    "#n = :n",
    "#n <> :n",
    "#gone <> :n",
    "#gone = :n",
    "NOT #gone = :n",
    "#s < :n",
    "NOT (#s < :n)",
    "#n BETWEEN :one AND :six",
    "NOT (#s BETWEEN :one AND :six)",
    "NOT (#gone BETWEEN :one AND :six)",
    "#n IN (:one, :n)",
    "#n IN (:s, :six)",
    "attribute_type(#n, :type)",
    "attribute_type(#s, :type)",
    "attribute_type(#gone, :type)",
    "contains(#s, :s)",
    "contains(#set, :b)",
    "contains(#set, :s)",
    "contains(#l, :n)",
    "contains(#l, :one)",
    "NOT contains(#gone, :b)",
    "begins_with(#s, :s)",
    "begins_with(#gone, :s)",
    "size(#s) < :n",
    "size(#set) < :six",
    "size(#l) = :one",
    "#m.#b = :x",
    "#m.#gone = :x",
    "#gone.#b = :x",
    "#n.#b = :x",
    "attribute_not_exists(#m.#gone)",
    "attribute_exists(#l[0])",
    "attribute_type(#l[0], :type)",
    "attribute_exists(#l[1])",
    "attribute_exists(#l[0].#gone)",
    "attribute_exists(#s[0].#b)",
    "NOT (attribute_exists(#gone[0].#b) OR #l[0] = :six)",
    "attribute_exists(#none) AND #n >= :n OR #gone = :s",
    "#gone = :s OR #n >= :n AND attribute_not_exists(#n)",
    "NOT #n = :n OR #n > :one",
    "(#n > :one OR #gone = :s) AND NOT #n > :six",
    "#set = :set",
    "#l = :l",
    "#flag = :n",
]
UPDATES = [
    "SET #gone = if_not_exists(#gone, :one) + :n",
    "SET #n = #n - :six",
    "SET #s = #s + :one",
    "SET #gone = #n",
    "SET #n = #gone",
    "SET #l = list_append(#l, :l)",
    "SET #l = list_append(if_not_exists(#gone, :l), #l), #n = :s REMOVE #s, #gone",
    "SET #gone = list_append(#gone, :l)",
    "SET #s = list_append(#s, :l)",
    "ADD #n :six",
    "ADD #n :one, #gone :b",
    "ADD #set :set, #gone :one",
    "ADD #s :one",
    "DELETE #set :set",
    "REMOVE #gone",
    "SET #n = :one, #n = :six",
    "SET #key = :s",
    "SET #n :one",
]


def request_of(text: str, clause: str) -> dict[str, Any]:
    """A request with this expression, and with the placeholders that it uses."""
    names = {
        f"#{name}": name for name in ("n", "s", "l", "m", "b", "set", "flag", "none", "gone") if f"#{name}" in text
    }
    names = {name: full for name, full in names.items() if any(part.strip("(),") for part in text.split())}
    words = (
        text.replace("[0]", " ")
        .replace("[1]", " ")
        .replace("(", " ")
        .replace(")", " ")
        .replace(",", " ")
        .replace(".", " ")
        .split()
    )
    used = {word: names.get(word, "SessionId") for word in words if word.startswith("#")}
    request: dict[str, Any] = {"Key": KEY, "ReturnValues": "ALL_NEW", clause: text}
    if used:
        request["ExpressionAttributeNames"] = used
    if values := {word: VALUES[word] for word in words if word.startswith(":")}:
        request["ExpressionAttributeValues"] = values
    return request


HAND_MADE = [request_of(text, "ConditionExpression") for text in CONDITIONS]
HAND_MADE += [request_of(text, "UpdateExpression") for text in UPDATES]
HAND_MADE += [
    {**request_of("#n = :n", "ConditionExpression"), "ExpressionAttributeNames": {"#n": "n", "#unused": "x"}},
    {**request_of("#n = :n", "ConditionExpression"), "ExpressionAttributeValues": {}},
    {**request_of("SET #set = :set", "UpdateExpression"), "ExpressionAttributeValues": {":set": {"BS": []}}},
    {**request_of("SET #n = :n", "UpdateExpression"), "ReturnValues": "UPDATED_NEW"},
    {**request_of("SET #n = :n REMOVE #s", "UpdateExpression"), "ReturnValues": "UPDATED_OLD"},
    {**request_of("SET #n = :n", "UpdateExpression"), "ReturnValues": "ALL_OLD"},
]


@pytest.mark.dynamodb_local_only
@pytest.mark.parametrize("exists", [True, False])
def test_expressions(dynamodb: Any, make_table: Callable[..., str], exists: bool) -> None:
    """Operators, functions and clauses by hand, on an item and on none."""
    table = make_table()
    for request in HAND_MADE:
        engine = Engine()
        dynamodb.delete_item(TableName=table, Key=KEY)
        if exists:
            dynamodb.put_item(TableName=table, Item=ITEM)
            engine.apply("put_item", {"Item": ITEM})
        wanted = asked(dynamodb, table, "update_item", request)
        assert apply(engine, "update_item", request) == wanted, request
        assert plain(list(engine.items.values())) == stored(dynamodb, table), request


def test_limits() -> None:
    """An item may have 409,600 bytes, its names counted; one byte more is refused, and nothing is written."""
    engine = Engine()
    room = 409_600 - len("SessionId") - len("k") - len("b")
    engine.apply("put_item", {"Item": {**KEY, "b": {"B": bytes(room)}}})
    with pytest.raises(Invalid, match="size"):
        engine.apply("put_item", {"Item": {**KEY, "b": {"B": bytes(room + 1)}}})
    assert len(engine.items[engine.key_of(KEY)]["b"]["B"]) == room


def test_past() -> None:
    """Stale reads need the earlier states of an item: they are kept, and never change."""
    engine = Engine()
    network = Network(engine, lambda sent: None)
    for value in ("1", "2"):
        engine.apply("put_item", {"Item": {**KEY, "n": {"N": value}}})
    key = engine.key_of(KEY)
    assert [item and item["n"]["N"] for item in network.engine.past[key]] == [None, "1"]
