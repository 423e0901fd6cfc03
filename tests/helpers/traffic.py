"""What users do with sessions, in a random mix: see `soak.py`."""

from __future__ import annotations

import asyncio
import contextlib
import random
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import boto3
from botocore.config import Config
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from langchain_dynamodb import AsyncSessionRepository, DynamoDBChatMessageHistory, SessionRepository
from langchain_dynamodb.errors import (
    InvalidInputError,
    RepositoryClosedError,
    StorageError,
    TableNotFoundError,
    UnsupportedMessageError,
    VersionConflictError,
)
from support import SMALL, human

SESSIONS = 48
CONFIG = Config(max_pool_connections=8)  # always exhausted: a batch alone uses 16
NOWHERE = "http://127.0.0.1:9"  # refuses connections

# How often in a hundred.
MIX = {
    "append": 27, "read": 10, "window": 10, "history": 10, "cancelled": 10, "error": 6, "batch": 5, "delete": 5,
    "expiring": 4, "truncate": 4, "metadata": 3, "iterate": 3, "replace": 3, "opened": 3, "sync": 2, "client": 1,
}  # fmt: skip


class Traffic:
    """Calls of all kinds on one table, from one process."""

    def __init__(self, endpoint_url: str, seed: int) -> None:
        self.table = f"langchain-dynamodb-test-{uuid.uuid4().hex}"
        self.options: dict[str, Any] = {"endpoint_url": endpoint_url, "sizes": SMALL, "config": CONFIG}
        self.random = random.Random(seed)
        self.done: Counter[str] = Counter()
        self.shared = self._repository()
        self.sync = SessionRepository(self.table, **self.options)
        self.expiring_sessions = self._repository(ttl=1)

    def _repository(self, table: str | None = None, **options: Any) -> AsyncSessionRepository:
        return AsyncSessionRepository(table or self.table, **{**self.options, **options})

    async def __aenter__(self) -> Traffic:
        await self.shared.create_table()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.shared._connection.call("delete_table", {"TableName": self.table})
        await asyncio.to_thread(self.sync.close)
        await self.expiring_sessions.aclose()
        await self.shared.aclose()

    async def round(self, workers: int, calls: int) -> None:
        """Let so many workers make so many calls each."""
        await asyncio.gather(*(self._work(calls) for _ in range(workers)))

    async def _work(self, calls: int) -> None:
        for kind in self.random.choices(list(MIX), list(MIX.values()), k=calls):
            call: Callable[[], Awaitable[object]] = getattr(self, f"_{kind}")
            await call()
            self.done[kind] += 1

    def left_out(self) -> list[str]:
        """Kinds of calls that were not made: chance, or a run that was too short."""
        return [f"no {kind} in the mix" for kind in MIX if not self.done[kind]]

    def _session(self) -> str:
        return f"s{self.random.randrange(SESSIONS)}"

    def _turn(self) -> list[BaseMessage]:
        return [human(self.random.randint(30, 300)), AIMessage("Because.", id=f"run-{self.random.random()}")]

    async def _append(self) -> None:
        key = f"k{self.random.random()}" if self.random.random() < 0.3 else None
        await self.shared.append(self._session(), self._turn(), idempotency_key=key)

    async def _batch(self) -> None:
        await self.shared.append(self._session(), [human(100) for _ in range(self.random.randint(10, 60))])

    async def _read(self) -> None:
        chat = await self.shared.read(self._session())
        assert len(chat.messages) == chat.message_count

    async def _window(self) -> None:
        session = self._session()
        chat = await self.shared.read(session, limit=10)
        await self.shared.read(session, unless_version=chat.version)

    async def _iterate(self) -> None:
        with contextlib.suppress(VersionConflictError):  # rewritten meanwhile
            async for _ in self.shared.iter_messages(self._session()):
                if self.random.random() < 0.05:
                    break  # a caller that has seen enough

    async def _replace(self) -> None:
        await self.shared.replace(self._session(), [human(100) for _ in range(self.random.randint(0, 20))])

    async def _truncate(self) -> None:
        await self.shared.truncate(self._session(), keep=self.random.randint(0, 30), must_exist=False)

    async def _metadata(self) -> None:
        await self.shared.update_metadata(self._session(), {"title": human(20).content}, must_exist=False)

    async def _delete(self) -> None:
        await self.shared.delete(self._session())

    async def _expiring(self) -> None:
        """A session that expires within a second, and is found expired by somebody."""
        session = f"expiring{self.random.randrange(SESSIONS)}"
        await self.expiring_sessions.append(session, self._turn())
        await self.expiring_sessions.read(session)

    async def _history(self) -> None:
        """A history made for one request, as in a server."""
        history = DynamoDBChatMessageHistory(
            self.table,
            self._session(),
            ttl=self.random.choice([None, 100_000, self.random.randint(100_000, 10**6)]),  # rarely seen before
            history_size=self.random.choice([None, 20]),
            **self.options,
        )
        await history.aget_messages()
        await history.aadd_messages(self._turn())

    async def _opened(self) -> None:
        """A repository for one request, on the client that all share."""
        async with self._repository() as repository:
            await repository.append(self._session(), self._turn())

    async def _client(self) -> None:
        """A repository with a client of its own."""
        async with self._repository(aws_session=boto3.Session()) as repository:
            await repository.read(self._session())

    async def _sync(self) -> None:
        """Another thread, on the background loop."""
        await asyncio.to_thread(self.sync.append, self._session(), self._turn())

    async def _cancelled(self) -> None:
        """A request whose user went away."""
        task = asyncio.ensure_future(self.random.choice([self._append, self._batch, self._read, self._replace])())
        await asyncio.sleep(self.random.uniform(0, 0.02))
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    async def _error(self) -> None:
        """One of the errors that a caller has to expect."""
        error, call = self.random.choice(
            [
                (VersionConflictError, self._conflict),
                (InvalidInputError, self._invalid),
                (UnsupportedMessageError, self._unsupported),
                (TableNotFoundError, self._no_table),
                (RepositoryClosedError, self._closed),
                (StorageError, self._unreachable),
            ]
        )
        try:
            await call()
        except error:
            return
        raise AssertionError(f"no {error.__name__}")

    async def _conflict(self) -> None:
        await self.shared.append(self._session(), self._turn(), expected_version=1)

    async def _invalid(self) -> None:
        await self.shared.read("")

    async def _unsupported(self) -> None:
        await self.shared.append(self._session(), [HumanMessage([{"type": "odd", "value": object()}])])

    async def _no_table(self) -> None:
        async with self._repository(f"{self.table}-other") as repository:
            await repository.read("s")

    async def _closed(self) -> None:
        repository = self._repository()
        await repository.aclose()
        await repository.read("s")

    async def _unreachable(self) -> None:
        once = Config(retries={"mode": "standard", "total_max_attempts": 1})
        async with self._repository(endpoint_url=NOWHERE, config=once) as repository:
            await repository.read("s")
