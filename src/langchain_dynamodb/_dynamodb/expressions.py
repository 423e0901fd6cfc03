"""DynamoDB expressions: every name and value becomes a placeholder here, and nowhere else. No I/O."""

from __future__ import annotations

from typing import Any, NamedTuple

from .attribute_values import AttributeValue


class Statement(NamedTuple):
    """A conditional request, finished but for its key."""

    parameters: dict[str, Any]
    values_set: dict[str, AttributeValue]  # what attributes are SET to, but for expressions
    once: bool  # it must not be sent again while an earlier copy may be on its way: see `conditions.absent`


class Expression:
    """Collects the parts of one conditional request.

    >>> e = Expression()
    >>> e.set("ttl", {"N": "7"})
    >>> e.require(f"attribute_exists({e.name('ttl')})")
    >>> e.request()["UpdateExpression"], e.request()["ConditionExpression"]
    ('SET #a = :a', 'attribute_exists(#a)')
    """

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._values: dict[str, AttributeValue] = {}
        self._clauses: dict[str, list[str]] = {}
        self._conditions: list[str] = []
        self.values_set: dict[str, AttributeValue] = {}
        """What attributes are SET to, but for expressions."""
        self.parameters: dict[str, str] = {}
        """Placeholders of values that are given when the request is made, by name."""
        self.once = False
        """The request must not be sent again while an earlier copy may be on its way: see `conditions`."""

    def name(self, attribute: str) -> str:
        """Placeholder of an attribute name."""
        return self._names.setdefault(attribute, f"#{_letters(len(self._names))}")

    def path(self, path: str) -> str:
        """Placeholders of an attribute within a map, such as ``"map.name"``."""
        return ".".join(map(self.name, path.split(".")))

    def value(self, value: AttributeValue) -> str:
        """Placeholder of a value."""
        placeholder = f":{_letters(len(self._values))}"
        self._values[placeholder] = value
        return placeholder

    def set(self, attribute: str, value: AttributeValue) -> None:
        """SET the attribute to a value."""
        self.values_set[attribute] = value
        self._clause("SET", f"{self.name(attribute)} = {self.value(value)}")

    def assign(self, attribute: str, expression: str) -> None:
        """SET the attribute to an expression made of placeholders."""
        self.assign_to(self.name(attribute), expression)

    def assign_to(self, target: str, expression: str) -> None:
        """SET what a placeholder or path of them names to an expression made of placeholders."""
        self._clause("SET", f"{target} = {expression}")

    def add(self, attribute: str, value: AttributeValue) -> None:
        """ADD to a number or a set."""
        self.add_to(attribute, self.value(value))

    def add_to(self, attribute: str, placeholder: str) -> None:
        """ADD what a placeholder stands for."""
        self._clause("ADD", f"{self.name(attribute)} {placeholder}")

    def remove(self, attribute: str) -> None:
        """REMOVE the attribute."""
        self._clause("REMOVE", self.name(attribute))

    def require(self, condition: str) -> None:
        """Add a condition; all must hold."""
        self._conditions.append(condition)

    def parameter(self, name: str) -> str:
        """Placeholder of a value that is given when the request is made."""
        if name not in self.parameters:
            self.parameters[name] = self.value({})
        return self.parameters[name]

    def statement(self) -> Statement:
        """The request as a value."""
        return Statement(self.request(), self.values_set, self.once)

    def request(self) -> dict[str, Any]:
        """The parameters of the request."""
        request: dict[str, Any] = {}
        if self._clauses:
            request["UpdateExpression"] = " ".join(f"{verb} {', '.join(cs)}" for verb, cs in self._clauses.items())
        if self._conditions:
            request["ConditionExpression"] = " AND ".join(self._conditions)
        if self._names:
            request["ExpressionAttributeNames"] = {placeholder: name for name, placeholder in self._names.items()}
        if self._values:  # an empty mapping is refused
            request["ExpressionAttributeValues"] = self._values
        return request

    def _clause(self, verb: str, clause: str) -> None:
        self._clauses.setdefault(verb, []).append(clause)


def _letters(index: int) -> str:
    """a, b, ... z, aa, ab, ..."""
    text = ""
    while index >= 0:
        text = chr(ord("a") + index % 26) + text
        index = index // 26 - 1
    return text
