"""DynamoDB's condition, update and projection expressions, compiled into closures. Only what the package sends.

A path leads through maps and lists: ``#a``, ``#a.#b``, ``#a[0].#b``. Updates are of whole attributes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple

Value = Mapping[str, Any]
Item = Mapping[str, Value]
Names = Mapping[str, str]
Values = Mapping[str, Value]
Operand = Callable[[Item, Names, Values], "Value | None"]
Test = Callable[[Item, Names, Values], bool]


class Invalid(Exception):
    """DynamoDB would answer with a ValidationException."""


class Condition(NamedTuple):
    """A compiled condition, and the placeholders it uses."""

    holds: Test
    used: frozenset[str]


class Assignment(NamedTuple):
    """One action of an update: what it does to the attribute at `path`."""

    verb: str
    path: tuple[str, ...]
    operand: Operand | None


class Update(NamedTuple):
    """A compiled update, and the placeholders it uses."""

    actions: tuple[Assignment, ...]
    used: frozenset[str]


_TOKEN = re.compile(r"\s*([#:]\w+|\[\d+\]|<>|<=|>=|[<>=(),.+-]|\w+)")
_ORDERED = ("S", "N", "B")
_SETS = ("SS", "NS", "BS")


@lru_cache(4096)
def number(text: str) -> int | Decimal:
    """The value of a stored number."""
    try:
        return int(text)
    except ValueError:
        return Decimal(text)


def type_of(value: Value) -> str:
    """The type's name: S, N, B, BOOL, NULL, L, M, SS, NS or BS."""
    for name in value:
        return name
    raise Invalid("a value without a type")


def equal(left: Value, right: Value) -> bool:
    """Whether two values are the same: numbers by value, sets in any order."""
    if left == right:
        return True
    kind = type_of(left)
    if kind != type_of(right):
        return False
    mine, other = left[kind], right[kind]
    if kind == "N":
        return number(mine) == number(other)
    if kind in _SETS:
        return len(mine) == len(other) and set(mine) == set(other)
    if kind == "L":
        return len(mine) == len(other) and all(map(equal, mine, other))
    if kind == "M":
        return mine.keys() == other.keys() and all(equal(mine[name], other[name]) for name in mine)
    return False


def comparable(left: Value, right: Value) -> tuple[Any, Any] | None:
    """Both as Python values that can be ordered; None where DynamoDB's comparison is false whatever they are."""
    kind = type_of(left)
    if kind != type_of(right) or kind not in _ORDERED:
        return None
    mine, other = left[kind], right[kind]
    return (number(mine), number(other)) if kind == "N" else (mine, other)


def contains(whole: Value, part: Value) -> bool:
    """The function of that name: a substring, or an element of a set or list."""
    kind, kind_of_part = type_of(whole), type_of(part)
    if kind in ("S", "B"):
        return kind == kind_of_part and part[kind] in whole[kind]
    if kind in _SETS:
        return kind_of_part == kind[0] and part[kind_of_part] in whole[kind]
    return kind == "L" and any(equal(entry, part) for entry in whole["L"])


def size(value: Value) -> int | None:
    """The function of that name; None where a value has no size."""
    kind = type_of(value)
    if kind == "S":
        return len(value["S"].encode())
    return len(value[kind]) if kind in ("B", "L", "M", *_SETS) else None


def compile_condition(text: str) -> Condition:
    """The condition of a write, or the filter of a query."""
    return _condition(text)


@lru_cache(None)
def _condition(text: str) -> Condition:
    parser = _Parser(text)
    test = parser.disjunction()
    parser.end()
    return Condition(test, frozenset(parser.used))


@lru_cache(None)
def compile_update(text: str) -> Update:
    """The actions of an update."""
    parser = _Parser(text)
    actions = parser.clauses()
    return Update(tuple(actions), frozenset(parser.used))


@lru_cache(None)
def compile_projection(text: str) -> tuple[str, ...]:
    """The placeholders (or names) of the attributes that are asked for."""
    return tuple(part.strip() for part in text.split(","))


class _Parser:
    """Recursive descent over the tokens of one expression."""

    def __init__(self, text: str) -> None:
        self.tokens = _tokens(text)
        self.at = 0
        self.used: set[str] = set()

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self) -> str:
        token = self.peek()
        self.at += 1
        return token

    def accept(self, token: str) -> bool:
        if self.peek().upper() != token:
            return False
        self.at += 1
        return True

    def expect(self, token: str) -> None:
        if not self.accept(token):
            raise Invalid(f"Syntax error: {token!r} expected at {self.tokens[self.at :]}")

    def end(self) -> None:
        if self.at < len(self.tokens):
            raise Invalid(f"Syntax error at {self.tokens[self.at :]}")

    def disjunction(self) -> Test:
        tests = [self.conjunction()]
        while self.accept("OR"):
            tests.append(self.conjunction())
        return tests[0] if len(tests) == 1 else lambda i, n, v: any(test(i, n, v) for test in tests)

    def conjunction(self) -> Test:
        tests = [self.negation()]
        while self.accept("AND"):
            tests.append(self.negation())
        if len(tests) == 1:
            return tests[0]

        def holds(item: Item, names: Names, values: Values) -> bool:
            for test in tests:  # noqa: SIM110 - this is what nearly all time of the engine goes into
                if not test(item, names, values):
                    return False
            return True

        return holds

    def negation(self) -> Test:
        if self.accept("NOT"):
            test = self.negation()
            return lambda i, n, v: not test(i, n, v)
        return self.predicate()

    def predicate(self) -> Test:
        if self.accept("("):
            test = self.disjunction()
            self.expect(")")
            return test
        function = _PREDICATES.get(self.peek())
        if function is not None and self.tokens[self.at + 1 : self.at + 2] == ["("]:
            self.at += 2
            operands = [self.operand()]
            while self.accept(","):
                operands.append(self.operand())
            self.expect(")")
            return function(*operands)
        left = self.operand()
        if self.accept("BETWEEN"):
            low = self.operand()
            self.expect("AND")
            high = self.operand()
            above, below = _COMPARISONS[">="](left, low), _COMPARISONS["<="](left, high)
            return lambda i, n, v: above(i, n, v) and below(i, n, v)
        if self.accept("IN"):
            return self._one_of(left)
        comparison = _COMPARISONS.get(self.take())
        if comparison is None:
            raise Invalid(f"Syntax error: a comparison expected before {self.tokens[self.at :]}")
        return comparison(left, self.operand())

    def _one_of(self, left: Operand) -> Test:
        self.expect("(")
        tests = [_COMPARISONS["="](left, self.operand())]
        while self.accept(","):
            tests.append(_COMPARISONS["="](left, self.operand()))
        self.expect(")")
        return lambda i, n, v: any(test(i, n, v) for test in tests)

    def operand(self) -> Operand:
        """A value, a path or the size of one."""
        token = self.peek()
        if token.startswith(":"):
            self.at += 1
            self.used.add(token)
            return lambda i, n, v: v[token]
        if token == "size":
            self.at += 1
            self.expect("(")
            inner = self.operand()
            self.expect(")")
            return lambda i, n, v: _size_of(inner(i, n, v))
        return _at(self.path())

    def path(self) -> tuple[str, ...]:
        parts = [self.take()]
        while self.accept(".") or self.peek().startswith("["):
            parts.append(self.take())
        if not all(re.fullmatch(r"#?\w+|\[\d+\]", part) for part in parts):
            raise Invalid(f"Syntax error: {parts} is no path")
        self.used.update(part for part in parts if part.startswith("#"))
        return tuple(parts)

    def clauses(self) -> list[Assignment]:
        actions: list[Assignment] = []
        while verb := self.take().upper():
            if verb not in ("SET", "ADD", "REMOVE", "DELETE"):
                raise Invalid(f"Syntax error: no clause begins with {verb!r}")
            actions.append(self.action(verb))
            while self.accept(","):
                actions.append(self.action(verb))
        return actions

    def action(self, verb: str) -> Assignment:
        path = self.path()
        if len(path) > 1 and verb != "SET":
            raise NotImplementedError("the package only sets attributes within a map")
        if verb == "REMOVE":
            return Assignment(verb, path, None)
        if verb == "SET":
            self.expect("=")
            return Assignment(verb, path, self.sum())
        return Assignment(verb, path, self.operand())

    def sum(self) -> Operand:
        left = self.term()
        if self.peek() not in ("+", "-"):
            return left
        sign = 1 if self.take() == "+" else -1
        right = self.term()
        return lambda i, n, v: _added(left(i, n, v), right(i, n, v), sign)

    def term(self) -> Operand:
        if self.accept("("):
            inner = self.sum()
            self.expect(")")
            return inner
        function = {"if_not_exists": _default, "list_append": _joined}.get(self.peek())
        if function is None:
            return _required(self.operand())
        self.at += 1
        self.expect("(")
        # The path of the first function may be absent, which is why it is there.
        first = self.operand() if function is _default else self.term()
        self.expect(",")
        second = self.term()
        self.expect(")")
        return function(first, second)


def _tokens(text: str) -> list[str]:
    tokens = []
    at = 0
    text = text.rstrip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if not match:
            raise Invalid(f"Syntax error at {text[at : at + 20]!r}")
        tokens.append(match[1])
        at = match.end()
    return tokens


def _at(path: tuple[str, ...]) -> Operand:
    first, *rest = path
    if not rest:
        if first.startswith("#"):
            return lambda i, n, v: i.get(n[first])
        return lambda i, n, v: i.get(first)

    def nested(item: Item, names: Names, values: Values) -> Value | None:
        value = item.get(names.get(first, first))
        for part in rest:
            if value is None:
                return None
            if part[0] == "[":
                entries, index = value.get("L", ()), int(part[1:-1])
                value = entries[index] if index < len(entries) else None
            else:
                value = value.get("M", {}).get(names.get(part, part))
        return value

    return nested


def _size_of(value: Value | None) -> Value | None:
    found = None if value is None else size(value)
    return None if found is None else {"N": str(found)}


def _comparison(order: Callable[[Any, Any], bool]) -> Callable[[Operand, Operand], Test]:
    def compiled(left: Operand, right: Operand) -> Test:
        def test(item: Item, names: Names, values: Values) -> bool:
            mine, other = left(item, names, values), right(item, names, values)
            if mine is None or other is None:
                return False
            pair = comparable(mine, other)
            return pair is not None and order(*pair)

        return test

    return compiled


def _equality(left: Operand, right: Operand) -> Test:
    def test(item: Item, names: Names, values: Values) -> bool:
        mine, other = left(item, names, values), right(item, names, values)
        return mine is not None and other is not None and equal(mine, other)

    return test


def _difference(left: Operand, right: Operand) -> Test:
    same = _equality(left, right)
    return lambda i, n, v: not same(i, n, v)


_COMPARISONS: dict[str, Callable[[Operand, Operand], Test]] = {
    "=": _equality,
    "<>": _difference,
    "<": _comparison(lambda a, b: a < b),
    "<=": _comparison(lambda a, b: a <= b),
    ">": _comparison(lambda a, b: a > b),
    ">=": _comparison(lambda a, b: a >= b),
}


def _exists(path: Operand) -> Test:
    return lambda i, n, v: path(i, n, v) is not None


def _not_exists(path: Operand) -> Test:
    return lambda i, n, v: path(i, n, v) is None


def _has_type(path: Operand, kind: Operand) -> Test:
    def test(item: Item, names: Names, values: Values) -> bool:
        value, wanted = path(item, names, values), kind(item, names, values)
        return value is not None and wanted is not None and type_of(value) == wanted["S"]

    return test


def _contains(whole: Operand, part: Operand) -> Test:
    def test(item: Item, names: Names, values: Values) -> bool:
        value, wanted = whole(item, names, values), part(item, names, values)
        return value is not None and wanted is not None and contains(value, wanted)

    return test


def _begins(whole: Operand, part: Operand) -> Test:
    def test(item: Item, names: Names, values: Values) -> bool:
        value, wanted = whole(item, names, values), part(item, names, values)
        if value is None or wanted is None or type_of(value) != type_of(wanted):
            return False
        kind = type_of(value)
        return kind in ("S", "B") and value[kind].startswith(wanted[kind])

    return test


_PREDICATES: dict[str, Callable[..., Test]] = {
    "attribute_exists": _exists,
    "attribute_not_exists": _not_exists,
    "attribute_type": _has_type,
    "contains": _contains,
    "begins_with": _begins,
}


def _required(operand: Operand) -> Operand:
    def value(item: Item, names: Names, values: Values) -> Value:
        found = operand(item, names, values)
        if found is None:
            raise Invalid("The provided expression refers to an attribute that does not exist in the item")
        return found

    return value


def _default(path: Operand, otherwise: Operand) -> Operand:
    def value(item: Item, names: Names, values: Values) -> Value | None:
        found = path(item, names, values)
        return otherwise(item, names, values) if found is None else found

    return value


def _joined(first: Operand, second: Operand) -> Operand:
    def value(item: Item, names: Names, values: Values) -> Value:
        left, right = first(item, names, values), second(item, names, values)
        assert left is not None
        assert right is not None
        if "L" not in left or "L" not in right:
            raise Invalid("An operand in the update expression has an incorrect data type")
        return {"L": [*left["L"], *right["L"]]}

    return value


def _added(left: Value | None, right: Value | None, sign: int) -> Value:
    if left is None or right is None or "N" not in left or "N" not in right:
        raise Invalid("An operand in the update expression has an incorrect data type")
    return {"N": shown(number(left["N"]) + sign * number(right["N"]))}


def shown(value: int | Decimal) -> str:
    """A number as DynamoDB gives it back."""
    if isinstance(value, int):
        return str(value)
    return format(value.normalize(), "f") if value else "0"
