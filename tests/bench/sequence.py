"""How many requests of one call wait for each other: what a distant table makes a caller wait for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from contenders import Ours
from corpus import conversation
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


async def longest_sequence(engine_url: str, kind: str, messages: int) -> dict[str, int]:
    """Requests in sequence of an append without a cut, and of a cold read of so many messages."""
    ours = Ours(engine_url, f"Sequence{kind.replace(' ', '')}")
    ours.create_table()
    await ours.open()
    appending: Sequence = watch(ours.repository, Sequence)
    await ours.append("another", next(conversation(kind, 1)))
    append = appending.longest
    await fill(ours, SESSION, kind, messages // 2)
    ours.forget()
    reading: Sequence = watch(ours.repository, Sequence)
    await ours.read(SESSION)
    await ours.close()
    return {"append": append, "read": reading.longest, "requests of that read": reading.requests}
