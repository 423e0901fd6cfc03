"""DynamoDB in memory: the operations and the expressions that the package sends, with DynamoDB's own rules.

Items are never changed in place, so whoever holds one holds a state of the past. `tests/simulation/test_engine.py`
replays what the simulation sent on AWS's own engine, and compares every answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from .expressions import (
    Condition,
    Invalid,
    Item,
    Names,
    Value,
    Values,
    compile_condition,
    compile_projection,
    compile_update,
    number,
    shown,
    type_of,
)

Key = tuple[tuple[str, Any], ...]
ITEM_BYTES = 409_600
_SETS = ("SS", "NS", "BS")
_NOTHING: Mapping[str, Any] = {}


class ConditionFailed(Exception):
    """The condition of a write did not hold; `item` is what was there."""

    def __init__(self, item: Item | None) -> None:
        super().__init__("The conditional request failed")
        self.item = item


class Engine:
    """One table. `items` is its content; `past` the earlier states of each item, oldest first."""

    def __init__(self, key_names: tuple[str, ...] = ("SessionId",), *, limits: bool = True) -> None:
        self.key_names = key_names
        self.limits = limits  # whether the size of items is looked at
        self.items: dict[Key, Item] = {}
        self.lost: dict[Key, Item] = {}  # removed by hand before the run
        self.past: dict[Key, list[Item | None]] = {}
        self.objects: dict[str, bytes] = {}  # of a bucket beside it
        self.writes = 0
        self._operations: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
            "get_item": self._get_item,
            "batch_get_item": self._batch_get_item,
            "put_item": self._put_item,
            "update_item": self._update_item,
            "delete_item": self._delete_item,
            "batch_write_item": self._batch_write_item,
            "scan": self._scan,
            "query": self._scan,
            "describe_table": self._describe_table,
            "put_object": self._put_object,
            "get_object": lambda request: {"Body": self.objects.get(request["Key"])},
            "list_objects_v2": lambda request: {"Keys": [n for n in self.objects if n.startswith(request["Prefix"])]},
            "delete_objects": self._delete_objects,
        }

    def apply(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Carry out one request; raises `ConditionFailed` and `Invalid`."""
        return self._operations[operation](request)

    def key_of(self, attributes: Item) -> Key:
        """The key among an item's attributes."""
        try:
            return tuple((kind, value) for name in self.key_names for kind, value in attributes[name].items())
        except KeyError:
            raise Invalid("The provided key element does not match the schema") from None

    def write(self, key: Key, item: Item | None) -> None:
        """Put another state in the place of an item."""
        old = self.items.get(key)
        if old is item:
            return
        self.writes += 1
        self.past.setdefault(key, []).append(old)
        if item is None:
            self.items.pop(key, None)
        else:
            self.items[key] = item

    def _put_object(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """One of that name stays."""
        self.writes += 1
        self.objects.setdefault(request["Key"], request["Body"])
        return {}

    def _delete_objects(self, request: Mapping[str, Any]) -> dict[str, Any]:
        self.writes += 1
        for name in request["Keys"]:
            self.objects.pop(name, None)
        return {}

    def expire(self, key: Key, attribute: str, now: float) -> bool:
        """Delete an item as DynamoDB's TTL does, if its stamp (of type N, at most five years ago) has passed."""
        stamp = self.items.get(key, _NOTHING).get(attribute, _NOTHING).get("N")
        if stamp is None or not now - 5 * 365 * 86400 < number(stamp) <= now:
            return False
        self.write(key, None)
        return True

    def _get_item(self, request: Mapping[str, Any]) -> dict[str, Any]:
        return self.get(request, self.items.get)

    def get(self, request: Mapping[str, Any], state: Callable[[Key], Item | None]) -> dict[str, Any]:
        """The answer to a GetItem, from whatever `state` of the item."""
        _check_used(request, frozenset(_placeholders(request.get("ProjectionExpression", ""))))
        item = state(self.key_of(request["Key"]))
        return {} if item is None else {"Item": _projected(item, request)}

    def _batch_get_item(self, request: Mapping[str, Any]) -> dict[str, Any]:
        ((table, wanted),) = request["RequestItems"].items()
        return self.batch(table, wanted, self.items.get)

    def batch(self, table: str, wanted: Mapping[str, Any], state: Callable[[Key], Item | None]) -> dict[str, Any]:
        """The answer to a BatchGetItem, from whatever `state` of each item."""
        keys = wanted["Keys"]
        if not 0 < len(keys) <= 100:
            raise Invalid("Too many items requested for the BatchGetItem call")
        if len({self.key_of(key) for key in keys}) < len(keys):
            raise Invalid("Provided list of item keys contains duplicates")
        _check_used(wanted, frozenset(_placeholders(wanted.get("ProjectionExpression", ""))))
        found = [item for key in keys if (item := state(self.key_of(key))) is not None]
        return {"Responses": {table: [_projected(item, wanted) for item in found]}, "UnprocessedKeys": {}}

    def _put_item(self, request: Mapping[str, Any]) -> dict[str, Any]:
        new = dict(request["Item"])
        key = self.key_of(new)
        old = self._checked(key, request)
        for value in new.values():
            _check_value(value)
        if self.limits:
            _check_size(new)
        self.write(key, new)
        return {"Attributes": old} if old and request.get("ReturnValues") == "ALL_OLD" else {}

    def _delete_item(self, request: Mapping[str, Any]) -> dict[str, Any]:
        key = self.key_of(request["Key"])
        old = self._checked(key, request)
        self.write(key, None)
        return {"Attributes": old} if old and request.get("ReturnValues") == "ALL_OLD" else {}

    def _batch_write_item(self, request: Mapping[str, Any]) -> dict[str, Any]:
        ((_, writes),) = request["RequestItems"].items()
        if not 0 < len(writes) <= 25:
            raise Invalid("Too many items requested for the BatchWriteItem call")
        for write in writes:
            if "DeleteRequest" in write:
                self.write(self.key_of(write["DeleteRequest"]["Key"]), None)
            else:
                item = dict(write["PutRequest"]["Item"])
                self.write(self.key_of(item), item)
        return {"UnprocessedItems": {}}

    def _update_item(self, request: Mapping[str, Any]) -> dict[str, Any]:
        key = self.key_of(request["Key"])
        text = request.get("UpdateExpression")
        used = compile_update(text).used if text else frozenset()
        old = self._checked(key, request, used)
        before: Item = request["Key"] if old is None else old
        names, values = request.get("ExpressionAttributeNames", _NOTHING), _values(request)
        changes = self._changes(text, before, names, values) if text else {}
        new = {**before, **{name: value for name, value in changes.items() if value is not None}}
        for name in [name for name, value in changes.items() if value is None]:
            new.pop(name, None)
        if self.limits:
            _check_size(new)
        self.write(key, new)
        return _returned(request.get("ReturnValues", "NONE"), old, new, changes)

    def _changes(self, text: str, before: Item, names: Names, values: Values) -> dict[str, Value | None]:
        """The attributes that an update changes, None for those it removes; all are worked out on the state before."""
        changes: dict[str, Value | None] = {}
        for verb, path, operand in compile_update(text).actions:
            name, *within = (names.get(part, part) for part in path)
            if name in changes and not within:
                raise Invalid("Two document paths overlap with each other")
            if name in self.key_names:
                raise Invalid(f"Cannot update attribute {name}. This attribute is part of the key")
            if within:
                assert operand is not None
                changes[name] = _set_within(
                    changes.get(name, before.get(name)), within[0], operand(before, names, values)
                )
                continue
            if operand is None:
                changes[name] = None
                continue
            value = operand(before, names, values)
            assert value is not None
            if verb == "ADD":
                value = _sum(before.get(name), value)
            elif verb == "DELETE":
                value = _rest(before.get(name), value)
            changes[name] = value
        return changes

    def _checked(self, key: Key, request: Mapping[str, Any], used: frozenset[str] = frozenset()) -> Item | None:
        """The item that is there, if it meets the condition."""
        text = request.get("ConditionExpression")
        condition: Condition | None = compile_condition(text) if text else None
        _check_used(request, used | condition.used if condition else used)
        for value in _values(request).values():
            _check_value(value)
        item = self.items.get(key)
        if condition and not condition.holds(
            _NOTHING if item is None else item, request.get("ExpressionAttributeNames", _NOTHING), _values(request)
        ):
            raise ConditionFailed(item if request.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD" else None)
        return item

    def _scan(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """All items that match, in one answer."""
        names, values = request.get("ExpressionAttributeNames", _NOTHING), _values(request)

        def matching(items: Iterable[Item], test: str | None) -> list[Item]:
            holds = compile_condition(test).holds if test else None
            return [item for item in items if holds is None or holds(item, names, values)]

        scanned = matching(self.items.values(), request.get("KeyConditionExpression"))
        found = matching(scanned, request.get("FilterExpression"))
        shown = [_projected(item, request) for item in found]
        return {"Items": shown, "Count": len(found), "ScannedCount": len(scanned)}

    def _describe_table(self, request: Mapping[str, Any]) -> dict[str, Any]:
        kinds = ("HASH", "RANGE")
        schema = [{"AttributeName": name, "KeyType": kinds[i]} for i, name in enumerate(self.key_names)]
        types = [{"AttributeName": name, "AttributeType": "S"} for name in self.key_names]
        return {"Table": {"KeySchema": schema, "AttributeDefinitions": types, "TableStatus": "ACTIVE"}}


def _values(request: Mapping[str, Any]) -> Values:
    values: Values = request.get("ExpressionAttributeValues", _NOTHING)
    return values


def _placeholders(text: str) -> list[str]:
    return [part for part in compile_projection(text) if part.startswith("#")] if text else []


def _projected(item: Item, request: Mapping[str, Any]) -> Item:
    text = request.get("ProjectionExpression")
    if not text:
        return item
    names = request.get("ExpressionAttributeNames", _NOTHING)
    wanted = [names.get(part, part) for part in compile_projection(text)]
    return {name: item[name] for name in wanted if name in item}


def _check_used(request: Mapping[str, Any], used: frozenset[str]) -> None:
    """Placeholders that are not used are refused, and so are those that are not defined."""
    names, values = request.get("ExpressionAttributeNames", _NOTHING), _values(request)
    given = names.keys() | values.keys()
    if given == used:
        return
    if "ProjectionExpression" in request:
        used = used.union(_placeholders(request["ProjectionExpression"]))
    if given - used:
        raise Invalid(f"Value unused in expressions: {sorted(given - used)}")
    if used - given:
        raise Invalid(f"An expression attribute is not defined: {sorted(used - given)}")


def _check_value(value: Value) -> None:
    for kind, content in value.items():
        if kind in _SETS and (not content or len(set(content)) < len(content)):
            raise Invalid("One or more parameter values were invalid: a set may not be empty or hold duplicates")
        if kind == "L":
            for entry in content:
                _check_value(entry)
        elif kind == "M":
            for entry in content.values():
                _check_value(entry)


def _sum(old: Value | None, value: Value) -> Value:
    """ADD."""
    kind = type_of(value)
    if kind != "N" and kind not in _SETS:
        raise Invalid("Incorrect operand type for operator or function; operator: ADD")
    if old is None:
        return value
    if type_of(old) != kind:
        raise Invalid("An operand in the update expression has an incorrect data type")
    if kind == "N":
        return {"N": shown(number(old["N"]) + number(value["N"]))}
    return {kind: [*old[kind], *(entry for entry in value[kind] if entry not in old[kind])]}


def _set_within(whole: Value | None, name: str, value: Value | None) -> Value:
    """SET of an attribute within a map, which has to be there."""
    if whole is None or "M" not in whole:
        raise Invalid("The document path provided in the update expression is invalid for update")
    return {"M": {**whole["M"], name: value}}


def _rest(old: Value | None, value: Value) -> Value | None:
    """DELETE; None where nothing is left."""
    kind = type_of(value)
    if old is None:
        return None
    if kind not in _SETS or type_of(old) != kind:
        raise Invalid("An operand in the update expression has an incorrect data type")
    left = [entry for entry in old[kind] if entry not in value[kind]]
    return {kind: left} if left else None


def _returned(wish: str, old: Item | None, new: Item, changes: Mapping[str, Value | None]) -> dict[str, Any]:
    if wish == "ALL_NEW":
        return {"Attributes": new}
    if wish == "ALL_OLD":
        return {"Attributes": old} if old else {}
    if wish in ("UPDATED_NEW", "UPDATED_OLD"):
        source = new if wish == "UPDATED_NEW" else old or _NOTHING
        told = {name: source[name] for name in changes if name in source}
        return {"Attributes": told} if told else {}
    return {}


def _check_size(item: Item) -> None:
    if sum(len(name) + bytes_of(value) for name, value in item.items()) > ITEM_BYTES:
        raise Invalid("Item size to update has exceeded the maximum allowed size")


def bytes_of(value: Value) -> int:
    """What a value counts towards the size of its item."""
    for kind, content in value.items():
        if kind == "N":
            return len(content) // 2 + 2
        if kind == "B":
            return len(content)
        if kind == "S":
            return len(content) if content.isascii() else len(content.encode())
        if kind in ("BS", "SS"):
            return sum(map(len, content))
        if kind == "L":
            return 3 + sum(1 + bytes_of(entry) for entry in content)
        if kind == "M":
            return 3 + sum(1 + len(name) + bytes_of(entry) for name, entry in content.items())
    return 1
