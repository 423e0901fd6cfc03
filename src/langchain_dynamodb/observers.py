"""Observers: objects that are told what a repository does and what it costs, and a meter that sums that up.

What an operation is made of is noted while it runs, in an `Operation` that its tasks find in their context; without
observers there is none, and nothing is noted.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import AsyncGenerator, Callable, Hashable, Iterator, Mapping
from contextlib import aclosing, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from inspect import iscoroutinefunction, signature
from typing import Any, NoReturn, TypeAlias
from weakref import WeakSet

from .errors import InvalidInputError

__all__ = ["CapacityMeter", "Observer", "Operation", "Request", "Totals"]

Session: TypeAlias = "str | Mapping[str, Any]"

_logger = logging.getLogger("langchain_dynamodb")


@dataclass(eq=False)
class Request:
    """One request to AWS, once it is over. It holds no content, and no key of an item."""

    name: str
    """As AWS calls it: ``"UpdateItem"``, ``"BatchGetItem"``."""
    service: str = "dynamodb"
    """``"kms"`` where a data key was asked for."""
    table: str | None = None
    started: int = 0
    """When, in nanoseconds since the epoch."""
    seconds: float = 0.0
    """Repetitions and pauses of the SDK included."""
    attempts: int = 0
    """How often it was sent: above 1, the SDK repeated it."""
    read_units: float = 0.0
    write_units: float = 0.0
    """As DynamoDB says. Of a `refused` write it does not say: then by the size of the item that was in the way."""
    refused: bool = False
    """Whether the condition of a write did not hold."""
    error: BaseException | None = None
    """What it ended with, other than that."""
    endpoint: str | None = None
    region: str | None = None
    request_id: str | None = None


@dataclass(eq=False)
class Operation:
    """One call of a repository's method: what it has cost so far and, once it is over, how it ended."""

    name: str
    """That of the method: ``"append"``, ``"read"``, ``"iter_messages"``."""
    table: str
    session: Session | None = None
    """As the caller named it; None where it was about no single session, or named by what cannot name one."""
    messages: int | None = None
    """How many were handed in, or came back; None where it was not about messages."""
    started: int = 0
    """When, in nanoseconds since the epoch."""
    seconds: float = 0.0
    """How long the caller waited; of an iteration, for its values in all."""
    requests: int = 0
    attempts: int = 0
    """Requests, repetitions by the SDK included."""
    read_units: float = 0.0
    write_units: float = 0.0
    cache_hits: int = 0
    """Pages that were not fetched, since the repository had them."""
    conflicts: int = 0
    """Conditions that did not hold: another writer was faster, or the tail was full."""
    error: BaseException | None = None
    """What it raised; its text may name the session."""
    key: Mapping[str, Any] | None = None
    """That of the item, where the session was named by a mapping; None before the table's keys are known."""
    _observers: tuple[Observer, ...] = field(default=(), repr=False)

    def add(self, request: Request) -> None:
        """Count a request in, and tell of it."""
        self.requests += 1
        self.attempts += request.attempts
        self.read_units += request.read_units
        self.write_units += request.write_units
        self.conflicts += request.refused
        for observer in self._observers:
            _safely(observer, observer.requested, self, request)


class Observer:
    """Told of each operation and of each request; the methods do nothing, override those you need.

    They are called in between, on the event loop that makes the requests: be quick, and do not wait. What one raises is
    logged, once for each observer, and changes nothing for the operation.
    """

    def started(self, operation: Operation) -> None:
        """An operation begins; its context is the caller's."""

    def requested(self, operation: Operation, request: Request) -> None:
        """A request is over, of an operation that goes on, or has ended and is tidying up."""

    def finished(self, operation: Operation) -> None:
        """An operation is over."""


@dataclass
class Totals:
    """What some operations have cost in all."""

    operations: int = 0
    requests: int = 0
    attempts: int = 0
    read_units: float = 0.0
    write_units: float = 0.0
    messages: int = 0
    cache_hits: int = 0
    conflicts: int = 0
    errors: int = 0


OTHERS, UNKNOWN = "(others)", "(unknown)"
"""Where a `CapacityMeter` counts what comes once it has `max_keys`, and that of which `by` makes no key."""


class LocalObserver(Observer):
    """One that belongs to its process: it is not pickled, and a deep copy of a repository shares it."""

    def __deepcopy__(self, memo: object) -> LocalObserver:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"the observer {type(self).__name__} is not pickled, as it belongs to its process: make the repository "
            "where it is used, with an observer of that process"
        )


class CapacityMeter(LocalObserver):
    """Sums up what operations cost, for each key: a session, a tenant, or whatever `by` makes of a session.

    Without `by` all is one sum, under None; so is what is about no single session (`list`, `create_table`). `max_keys`
    bounds memory: further keys are counted together, under ``"(others)"``. Where `by` raises, or what it returns has
    no hash, that is logged, once, and counted under ``"(unknown)"``. Event loops and threads may share one.

    Raises `InvalidInputError` for arguments that cannot be used.
    """

    def __init__(self, by: Callable[[Any], Hashable] | None = None, *, max_keys: int = 10_000) -> None:
        if by is not None and (not callable(by) or iscoroutinefunction(by)):
            raise InvalidInputError(f"by is a {type(by).__name__}: give a function of a session (none that is async)")
        if type(max_keys) is not int or max_keys < 1:
            raise InvalidInputError(f"max_keys={max_keys!r} must be a number from 1 on")
        self._by = by
        self._max_keys = max_keys
        self._totals: dict[Hashable, Totals] = {}
        self._lock = threading.Lock()

    def totals(self, *, reset: bool = False) -> dict[Any, Totals]:
        """The sums so far, by key; with `reset` they begin anew, and nothing is counted twice or lost."""
        with self._lock:
            kept = {key: replace(totals) for key, totals in self._totals.items()}
            if reset:
                self._totals = {}
        return kept

    def requested(self, operation: Operation, request: Request) -> None:
        """Count its units."""
        with self._of(operation) as totals:
            totals.requests += 1
            totals.attempts += request.attempts
            totals.read_units += request.read_units
            totals.write_units += request.write_units
            totals.conflicts += request.refused

    def finished(self, operation: Operation) -> None:
        """Count it."""
        with self._of(operation) as totals:
            totals.operations += 1
            totals.messages += operation.messages or 0
            totals.cache_hits += operation.cache_hits
            totals.errors += operation.error is not None

    @contextmanager
    def _of(self, operation: Operation) -> Iterator[Totals]:
        key: Hashable = None
        failure: Exception | None = None
        try:
            if self._by is not None and operation.session is not None:
                hash(key := self._by(operation.session))
        except Exception as error:
            key, failure = UNKNOWN, error
        with self._lock:
            is_full = len(self._totals) >= self._max_keys
            if is_full and key not in (None, UNKNOWN) and key not in self._totals:
                key = OTHERS
            yield self._totals.setdefault(key, Totals())
        if failure is not None:
            raise failure  # to be logged


def check_observers(observers: object) -> tuple[Observer, ...]:
    """Return them; raises `InvalidInputError` for what is none."""
    if not isinstance(observers, (list, tuple)):
        raise InvalidInputError(f"observers is a {type(observers).__name__}: give a list of Observer objects")
    for i, observer in enumerate(observers):
        if not isinstance(observer, Observer):
            told = "the class itself" if isinstance(observer, type) else f"a {type(observer).__name__}"
            raise InvalidInputError(f"observers[{i}] is {told}: give an object of a subclass of Observer")
        for hook in ("started", "requested", "finished"):
            if iscoroutinefunction(getattr(observer, hook)):
                raise InvalidInputError(f"observers[{i}].{hook} is async: it has to be a plain method, and quick")
        try:
            hash(observer)
        except TypeError:
            told = f"observers[{i}] has no hash: make its class a dataclass(eq=False)"
            raise InvalidInputError(told) from None
    return tuple(observers)


current: ContextVar[Operation | None] = ContextVar("langchain_dynamodb_operation", default=None)
"""The operation that runs here, where somebody observes it."""


class Observed:
    """A method of repositories of which observers are told; `returned` counts messages in what it returns."""

    def __init__(
        self, method: Callable[..., Any], name: str | None = None, returned: Callable[[Any], int] | None = None
    ) -> None:
        self._method = method
        self._name = name or method.__name__
        self._returned = returned
        self._places = {parameter: place for place, parameter in enumerate(signature(method).parameters)}
        self._one_message = "message" in self._places or "message_id" in self._places

    async def call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """What the method returns."""
        operation = self._begin(args, kwargs)
        with _running(operation), _step(operation):
            result = await self._method(*args, **kwargs)
            if self._returned is not None:
                operation.messages = self._returned(result)
        return result

    async def iterate(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> AsyncGenerator[Any, None]:
        """What the method, an asynchronous generator, yields."""
        operation = self._begin(args, kwargs)
        if self._name == "iter_messages":
            operation.messages = 0
        values = self._method(*args, **kwargs)
        with _running(operation):
            async with aclosing(values):
                while True:
                    with _step(operation):
                        try:
                            value = await anext(values)
                        except StopAsyncIteration:
                            return
                    if operation.messages is not None:
                        operation.messages += 1
                    yield value

    def _begin(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Operation:
        options = args[0]._options
        given = self._argument(args, kwargs, "messages")
        messages = len(given) if isinstance(given, (list, tuple)) else 1 if self._one_message else None
        session = self._argument(args, kwargs, "session")
        if not isinstance(session, (str, Mapping)):  # messages, where arguments were swapped
            session = None
        return Operation(
            self._name, options.table_name, session, messages, time.time_ns(), _observers=options.observers
        )

    def _argument(self, args: tuple[Any, ...], kwargs: dict[str, Any], parameter: str) -> Any:
        place = self._places.get(parameter, len(args))
        return args[place] if place < len(args) else kwargs.get(parameter)


@contextmanager
def _running(operation: Operation) -> Iterator[None]:
    """From its beginning to its end, of which the observers are told."""
    for observer in operation._observers:
        _safely(observer, observer.started, operation)
    try:
        yield
    except GeneratorExit:  # a caller that has seen enough
        raise
    except BaseException as error:
        operation.error = error
        raise
    finally:
        for observer in operation._observers:
            _safely(observer, observer.finished, operation)


@contextmanager
def _step(operation: Operation) -> Iterator[None]:
    """While it works: requests made here, and in tasks begun here, are its own."""
    token = current.set(operation)
    began = time.perf_counter()
    try:
        yield
    finally:
        operation.seconds += time.perf_counter() - began
        current.reset(token)


_failed: WeakSet[Observer] = WeakSet()  # whose first error was logged


def _safely(observer: Observer, hook: Callable[..., None], *arguments: object) -> None:
    token = current.set(None)  # what it does, or begins, is no part of the operation
    try:
        hook(*arguments)
    except Exception:
        if observer not in _failed:
            _failed.add(observer)
            told = "An observer (%s) raised; the operation goes on, what this observer says is no longer complete, "
            _logger.exception(told + "and further errors of it are not logged.", type(observer).__name__)
    finally:
        current.reset(token)
