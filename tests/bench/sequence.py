"""How many requests of one call wait for each other: what a distant table makes a caller wait for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from contenders import Ours
from engine import fill
from support import Call, WatchedConnection, watch

SESSION = "session-000000"


class Sequence(WatchedConnection):
    """Gives each request the place in its chain: one more than those that had ended when it began."""

    def __init__(self, inner: Any) -> None:
        super().__init__(inner)
        self.ended = self.longest = self.requests = 0

    async def around(self, operation: str, request: Mapping[str, Any], proceed: Call) -> dict[str, Any]:
        self.requests += 1
        place = self.ended + 1
        self.longest = max(self.longest, place)
        response = await proceed()
        self.ended = max(self.ended, place)
        return response


async def longest_sequence(engine_url: str, messages: int) -> dict[str, int]:
    """Requests in sequence of an append in the normal case, and of a cold read of so many messages."""
    ours = Ours(engine_url, "SequenceOurs")
    ours.create_table()
    await ours.open()
    await fill(ours, SESSION, "1.2 KB", messages // 2)
    ours.forget()
    reading: Sequence = watch(ours.repository, Sequence)
    await ours.read(SESSION)
    ours.forget()
    appending: Sequence = watch(ours.repository, Sequence)
    await ours.repository.append("another", [(await ours.read(SESSION, 1))[0]])
    await ours.close()
    return {"read": reading.longest, "requests of that read": reading.requests, "append": appending.longest - 1}
