"""More calls at once than connections: they wait in line."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from botocore.config import Config

from langchain_dynamodb._dynamodb.client_settings import ConnectionSettings
from langchain_dynamodb._dynamodb.connection import Connection
from scripted_server import Server, ok


class Counting(Server):
    """Counts the requests it has at the same time; `answering` decides when they are answered."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = 0
        self.open = asyncio.Event()
        self.changed = asyncio.Condition()
        self.hold: Callable[[], Awaitable[object]] = self.open.wait

    async def answer(self, writer: asyncio.StreamWriter) -> None:
        """Hold it, then answer."""
        self.now += 1
        self.most = max(self.most, self.now)
        async with self.changed:
            self.changed.notify_all()
        try:
            await self.hold()
        finally:
            self.now -= 1
        await ok()(writer)

    async def reached(self, count: int) -> None:
        """Wait until it has so many requests."""
        async with self.changed:
            await self.changed.wait_for(lambda: self.now >= count)


@pytest.fixture
async def server() -> AsyncIterator[Counting]:
    """Run such a server on a free port."""
    counting = Counting()
    listening = await asyncio.start_server(counting.serve, "127.0.0.1", 0)
    counting.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    yield counting
    listening.close()


def calls(server: Counting, count: int, config: Config | None) -> list[asyncio.Task[object]]:
    """Start so many calls, each on a connection of its own as a repository has."""
    server.answers = [server.answer] * count
    settings = ConnectionSettings(server.url, config=config)
    connections = [Connection(settings) for _ in range(count)]
    return [asyncio.create_task(connection.call("list_tables", {})) for connection in connections]


@pytest.mark.parametrize(("config", "limit"), [(None, 50), (Config(max_pool_connections=70), 70)])
async def test_the_number_of_connections(server: Counting, config: Config | None, limit: int) -> None:
    """Fifty requests at a time by default, for all repositories together; more with `max_pool_connections`."""
    tasks = calls(server, 80, config)
    await server.reached(limit)
    await asyncio.sleep(0.1)  # for a request too many to arrive
    server.open.set()
    await asyncio.gather(*tasks)
    assert (server.most, len(server.requests)) == (limit, 80)


async def test_waiting_in_line_is_no_timeout(server: Counting) -> None:
    """The last calls wait for longer than both timeouts; none fails, none is sent twice."""
    server.hold = lambda: asyncio.sleep(0.3)
    tasks = calls(server, 12, Config(max_pool_connections=2, connect_timeout=0.9, read_timeout=0.9))
    await asyncio.gather(*tasks)
    assert (server.most, len(server.requests)) == (2, 12)


async def test_cancelled_in_line(server: Counting) -> None:
    """Calls that are cancelled in line, or on their connection, take no connection with them."""
    tasks = calls(server, 8, Config(max_pool_connections=2))
    await server.reached(2)
    for task in tasks[:1] + tasks[3:6]:  # one of the two under way, three of those in line
        task.cancel()
    server.open.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [isinstance(r, asyncio.CancelledError) for r in results] == [i in (0, 3, 4, 5) for i in range(8)]
    assert (server.most, len(server.requests)) == (2, 5)
