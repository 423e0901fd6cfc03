"""What may happen to a request on its way, and what botocore makes of it.

A `Wire` takes the place of a repository's connection. Each transmission waits until the schedule decides its fate.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from langchain_dynamodb._dynamodb.connection import Connection
from langchain_dynamodb._dynamodb.failures import ConditionFailed
from langchain_dynamodb.errors import StorageError, ThrottledError

from .engine import ConditionFailed as Refusal
from .engine import Engine, Item, Key
from .expressions import Invalid

if TYPE_CHECKING:
    from .workload import Call, Process

ATTEMPTS = 3  # transmissions of one call: botocore's standard mode
BACKOFF = 0.05  # seconds between them, times the attempt

# Fates of a transmission. Of a write with one of UNSURE the SDK cannot tell whether it was applied.
OK = "ok"  # applied and answered
SLOW = "slow"  # applied now, answered later
LOST = "lost"  # applied, the answer lost
GONE = "gone"  # never arrives
LATE = "late"  # no answer, and arrives when the schedule says so
STRAY = "stray"  # the same, and what the SDK sends again never arrives
DOWN = "down"  # never arrives, nor does any that the SDK sends again
CUT = "cut"  # applied, the answer lost, and what the SDK sends again never arrives
THROTTLED = "throttled"
BUSY = "busy"  # throttled through all attempts
STALE = "stale"  # answered from the state before, of each item: an eventually consistent read
OLD = "old"  # the same from the first state of each item
PART = "part"  # a batch that is left undone in part
WRITE_FATES = (LOST, GONE, LATE, STRAY, DOWN, CUT, SLOW, THROTTLED, BUSY)
READ_FATES = (SLOW, DOWN, BUSY)
WRITES = frozenset(["put_item", "update_item", "delete_item", "batch_write_item", "put_object", "delete_objects"])

current: ContextVar[Call] = ContextVar("call")
"""On whose behalf the running task works."""


class Crash(BaseException):
    """The process died here: nothing it had in hand goes on."""


class Sent:
    """One transmission of a request."""

    __slots__ = ("answer", "call", "lags", "operation", "process", "request", "result")

    def __init__(
        self, call: Call, process: Process, operation: str, request: Mapping[str, Any], *, lags: bool = True
    ) -> None:
        self.call = call
        self.process = process
        self.operation = operation
        self.request = request
        self.lags = lags
        self.answer: asyncio.Future[tuple[str, Any]] = asyncio.get_running_loop().create_future()
        self.result: tuple[str, Any] | None = None  # of one that was applied and will be answered later

    @property
    def fates(self) -> tuple[str, ...]:
        """What may become of it but the usual."""
        if self.result is not None:
            return ()
        if self.operation in WRITES:
            return (*WRITE_FATES, PART) if self.operation == "batch_write_item" else WRITE_FATES
        if self.operation not in ("get_item", "batch_get_item"):
            return READ_FATES
        (wanted,) = self.request.get("RequestItems", {None: self.request}).values()
        stale = () if wanted.get("ConsistentRead") or not self.lags else (STALE, OLD)
        return (*READ_FATES, *stale, PART) if len(wanted.get("Keys", ())) > 1 else (*READ_FATES, *stale)


class Network:
    """All transmissions under way, and those that nobody waits for any more but that may still arrive."""

    def __init__(self, engine: Engine, applied: Callable[[Sent], None]) -> None:
        self.engine = engine
        self.pending: list[Sent] = []
        self.ghosts: list[Sent] = []
        self.lags = True  # whether pages may be read as they were
        self._applied = applied
        self.recorded: list[tuple[str, Mapping[str, Any], str, Any]] | None = None

    def happen(self, sent: Sent, fate: str) -> None:
        """Let this become of a transmission."""
        try:
            self._happen(sent, fate)
        except BaseException:  # a violation: the run is over, and its tasks have to end
            if not sent.answer.done():
                sent.answer.set_exception(Crash())
            raise

    def _happen(self, sent: Sent, fate: str) -> None:
        if sent.result is not None:
            self.pending.remove(sent)
            self._tell(sent, *sent.result)
            return
        if fate == SLOW:
            sent.result = self._apply(sent)
            return
        self.pending.remove(sent)
        if fate != OK:
            sent.call.faults += 1
        if fate == OK:
            self._tell(sent, *self._apply(sent))
        elif fate in (LOST, CUT):
            self._apply(sent)
            self._tell(sent, fate)
        elif fate in (LATE, STRAY):
            self.ghosts.append(sent)
            self._tell(sent, LOST if fate == LATE else DOWN)
        elif fate in (STALE, OLD):
            self._tell(sent, OK, self._stale(sent, 0 if fate == OLD else -1))
        elif fate == PART:
            self._tell(sent, OK, self._part(sent))
        else:
            self._tell(sent, fate)

    def land(self, ghost: Sent) -> None:
        """A late request arrives."""
        self.ghosts.remove(ghost)
        self._apply(ghost)

    def forget(self, sent: Sent) -> None:
        """Nobody waits for it any more: its task was cancelled, or its process died."""
        if sent in self.pending:
            self.pending.remove(sent)
            if sent.result is None and sent.operation in WRITES:
                sent.call.faults += 1
                self.ghosts.append(sent)

    def _apply(self, sent: Sent) -> tuple[str, Any]:
        engine = self.engine
        before = engine.writes
        answer: tuple[str, Any]
        try:
            answer = OK, engine.apply(sent.operation, sent.request)
        except Refusal as refusal:
            answer = "refused", refusal.item
        except Invalid as invalid:
            answer = "invalid", str(invalid)
        if self.recorded is not None:
            self.recorded.append((sent.operation, sent.request, *answer))
        if engine.writes != before:
            self._applied(sent)
        return answer

    @staticmethod
    def _tell(sent: Sent, kind: str, content: Any = None) -> None:
        if not sent.answer.done():
            sent.answer.set_result((kind, content))

    def _stale(self, sent: Sent, which: int) -> dict[str, Any]:
        engine = self.engine

        def past(key: Key) -> Item | None:
            return (engine.past.get(key) or [engine.items.get(key)])[which]

        if sent.operation == "get_item":
            return engine.get(sent.request, past)
        ((table, wanted),) = sent.request["RequestItems"].items()
        return engine.batch(table, wanted, past)

    def _part(self, sent: Sent) -> dict[str, Any]:
        """Only the first half is done."""
        ((table, wanted),) = sent.request["RequestItems"].items()
        whole = wanted if isinstance(wanted, list) else wanted["Keys"]
        done, left = whole[: len(whole) // 2], whole[len(whole) // 2 :]
        if isinstance(wanted, list):
            sent.request = {**sent.request, "RequestItems": {table: done}}
            answer = self._apply(sent)[1] if done else {}
            return {**answer, "UnprocessedItems": {table: left}}
        part = {**wanted, "Keys": done}
        return {
            **self.engine.batch(table, part, self.engine.items.get),
            "UnprocessedKeys": {table: {**wanted, "Keys": left}},
        }


class Wire(Connection):
    """A repository's connection: sends, and sends again as botocore does."""

    def __init__(self, inner: Connection, network: Network, process: Process, explains: bool) -> None:
        self.settings = inner.settings
        self.network = network
        self.process = process
        self.explains = explains

    async def call(
        self, operation: str, request: Mapping[str, Any], *, write: bool = False, once: bool = False
    ) -> dict[str, Any]:
        call = current.get()
        if self.process.dead:
            raise Crash
        call.requests += 1
        maybe = False
        for attempt in range(1, ATTEMPTS + 1):
            kind, content = await self._transmit(Sent(call, self.process, operation, request, lags=self.network.lags))
            if kind == OK:
                return content  # type: ignore[no-any-return]
            if kind == "refused":
                raise ConditionFailed(content if self.explains else None, retried=maybe)
            if kind == "invalid":
                raise StorageError(content, code="ValidationException", outcome_unknown=write and maybe)
            throttled = kind in (THROTTLED, BUSY)
            maybe = maybe or not throttled
            if kind in (BUSY, DOWN, CUT) or attempt == ATTEMPTS or (once and maybe):
                break
            await asyncio.sleep(BACKOFF * attempt)
        if throttled:
            raise ThrottledError("throttled", code="ThrottlingException", outcome_unknown=write and maybe)
        raise StorageError("no answer", outcome_unknown=write)

    async def _transmit(self, sent: Sent) -> tuple[str, Any]:
        self.network.pending.append(sent)
        loop = asyncio.get_running_loop()
        begun = loop.time()
        try:
            return await sent.answer
        except BaseException:
            self.network.forget(sent)
            raise
        finally:
            sent.call.under_way += loop.time() - begun

    async def aclose(self) -> None:
        """Nothing is open."""
