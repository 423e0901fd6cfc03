"""Clocks that are wrong: hours behind, hours ahead, jumping. Versions grow all the same, and no message is lost."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from langchain_core.messages import BaseMessage, HumanMessage

from conftest import RepositoryFactory
from langchain_dynamodb import AsyncSessionRepository, Sizes
from langchain_dynamodb.errors import OutcomeUnknownError, VersionConflictError
from support import SMALL, human, remembered, scan

pytestmark = pytest.mark.once

NOW = 1_800_000_000_000_000
HOUR = 3600
DAY = 24 * HOUR
SKEWS = [0, -HOUR, HOUR, -12 * HOUR, 12 * HOUR, -DAY, DAY]


class Clocks:
    """Makes repositories that each have a clock of their own, `skew` seconds from the true time."""

    def __init__(self, make: RepositoryFactory) -> None:
        self.make = make
        self.now = NOW
        self.skews: list[int] = []

    def repository(self, skew: int, *, sizes: Sizes = SMALL, ttl: int | None = None) -> AsyncSessionRepository:
        """A repository on a machine with that clock; change `skews[i]` to let the i-th jump."""
        index = len(self.skews)
        self.skews.append(skew)

        def clock() -> int:
            self.now += 1000
            return self.now + self.skews[index] * 1_000_000

        self.make.clock = clock
        return self.make(sizes=sizes, ttl=ttl)


@pytest.fixture
def clocks(make_repository: RepositoryFactory) -> Clocks:
    """Repositories with clocks of their own."""
    return Clocks(make_repository)


@pytest.mark.once
@pytest.mark.real_engine
@pytest.mark.parametrize("seed", range(4))
async def test_versions_grow_whatever_the_clocks_say(clocks: Clocks, seed: int) -> None:
    """Three writers whose clocks differ by days and jump all the time: the session is what a list would be."""
    rng = random.Random(seed)
    writers = [clocks.repository(rng.choice(SKEWS)) for _ in range(3)]
    model: list[BaseMessage] = []
    version = 0
    done: Counter[str] = Counter()
    for _ in range(60):
        who = rng.randrange(3)
        if rng.random() < 0.3:
            clocks.skews[who] = rng.choice(SKEWS)
        sessions = writers[who]
        action = rng.choice(["append", "append", "append", "batch", "replace", "truncate", "metadata"])
        if action in ("append", "batch"):
            sent = [human(rng.choice([20, 150, 700])) for _ in range(1 if action == "append" else 5)]
            model, new = model + sent, await sessions.append("s", sent, expected_version=rng.choice([None, version]))
        elif action == "replace":
            model = [human(200) for _ in range(rng.randrange(1, 6))]
            new = await sessions.replace("s", model)
        elif action == "truncate":
            keep = max(1, len(model) - 1)
            model, new = model[:keep], await sessions.truncate("s", keep=keep, must_exist=False)
        else:
            new = await sessions.update_metadata("s", {"n": rng.random()}, must_exist=False)
        changed = action != "truncate" or new != version
        assert new > version if changed else new == version
        version = new
        done[action] += 1
        for reader in (*writers, clocks.repository(rng.choice(SKEWS))):
            chat = await reader.read("s")
            assert (chat.version, chat.messages) == (version, model)
    assert len(done) == 5
    assert min(done.values()) > 1
    await writers[0].delete("s")
    assert await scan(writers[0]) == []


@pytest.mark.parametrize("skew", [-DAY, -HOUR, HOUR, DAY])
async def test_a_session_created_again_by_another_clock(clocks: Clocks, skew: int) -> None:
    """What still refers to the deleted session never takes effect on the new one, whose versions may be lower."""
    first, second = clocks.repository(0), clocks.repository(skew)
    for _ in range(12):
        version = await first.append("s", [human(90)])  # which also remembers the session
    await second.delete("s")
    again = [human(90) for _ in range(12)]
    for message in again:
        new = await second.append("s", [message])
    assert (new > version) == (skew > 0)
    for stale in (first, clocks.repository(0)):
        with pytest.raises(VersionConflictError):
            await stale.append("s", [HumanMessage("late")], expected_version=version)
        assert (await stale.read("s")).messages == again
    last = await first.append("s", [HumanMessage("more")])
    assert last == new + 1
    assert (await second.read("s")).messages == [*again, HumanMessage("more")]
    await first.delete("s")
    assert await scan(first) == []


async def test_a_session_created_again_that_reaches_the_same_version(
    make_repository: RepositoryFactory,
) -> None:
    """A page cut by somebody who remembers the deleted one, at the very version the new one has, is refused."""
    times = iter([NOW, NOW, NOW, NOW + 1])
    make_repository.clock = lambda: next(times, NOW + 1)
    stale, other = make_repository(sizes=SMALL), make_repository(sizes=SMALL)
    for _ in range(3):
        version = await stale.append("s", [human(30)])
    await other.delete("s")
    again = [human(30), human(30), human(860)]
    for message in again[:2]:
        await other.append("s", [message])
    assert (await other.read("s")).version == version
    assert remembered(other).generation != remembered(stale).generation
    await stale.append("s", again[2:])
    assert (await other.read("s")).messages == again


@pytest.mark.parametrize("skew", [-DAY, DAY])
async def test_two_clocks_cut_pages_in_turn(clocks: Clocks, skew: int) -> None:
    """Which page wins is decided by the session's version, not by anybody's time."""
    writers = [clocks.repository(0), clocks.repository(skew)]
    sent = [human(90) for _ in range(30)]
    for i, message in enumerate(sent):
        await writers[i % 2].append("s", [message])
    assert (await clocks.repository(0).read("s")).messages == sent
    pages = [item for item in await scan(writers[0]) if "lc_cut" in item]
    assert len(pages) > 4


async def test_a_lease_seen_by_other_clocks(clocks: Clocks) -> None:
    """To a clock that is ahead every lease has ended: the batch is taken back, and then goes through or says so."""
    slow, fast = clocks.repository(0), clocks.repository(DAY)
    await slow.append("s", [HumanMessage("a")])
    batch = [human(400) for _ in range(8)]
    inner = slow._table.put_page

    async def overtaken(*arguments: object) -> bool:
        slow._table.put_page = inner  # type: ignore[method-assign]
        await fast.append("s", [HumanMessage("b")])
        return await inner(*arguments)  # type: ignore[arg-type]

    slow._table.put_page = overtaken  # type: ignore[assignment,method-assign]
    await slow.append("s", batch)
    assert (await fast.read("s")).messages == [HumanMessage("a"), HumanMessage("b"), *batch]
    await fast.delete("s")
    assert await scan(slow) == []


async def test_what_skew_does_to_the_expiry(clocks: Clocks) -> None:
    """Each writer stamps by its own clock; one far ahead takes the others' sessions for expired, as documented."""
    exact, behind, ahead = (clocks.repository(skew, ttl=2 * HOUR) for skew in (0, -HOUR, HOUR))
    await exact.append("s", [HumanMessage("a")])
    for reader in (exact, behind, ahead):  # less than the ttl: nobody notices
        assert (await reader.read("s")).messages == [HumanMessage("a")]
    await behind.append("s", [HumanMessage("b")])  # an hour less to live
    chat = await exact.read("s")
    assert chat.expires_at is not None
    assert round(chat.expires_at.timestamp() - clocks.now / 1e6) in range(HOUR - 1, HOUR + 2)
    clocks.skews[2] = 3 * HOUR
    assert (await ahead.read("s")).messages == []
    assert len((await exact.read("s")).messages) == 2  # reading took nothing away
    await ahead.append("s", [HumanMessage("new")])  # but a write takes the place of what it sees as expired
    assert (await exact.read("s")).messages == [HumanMessage("new")]


async def test_sessions_without_a_ttl_are_safe_from_any_clock(clocks: Clocks) -> None:
    """A repository with a ttl whose clock is years ahead neither sees them as expired nor removes them."""
    exact, ahead = clocks.repository(0), clocks.repository(1000 * DAY, ttl=60)
    sent = [human(90) for _ in range(12)]
    for message in sent:
        await exact.append("s", [message])
    before = await scan(exact)
    assert (await ahead.read("s")).messages == sent
    assert await scan(exact) == before


async def test_a_clock_beyond_all_dates(clocks: Clocks) -> None:
    """A clock in the year 6000 makes no session that could not be read again by everybody, or is told so."""
    broken = clocks.repository(4000 * 365 * DAY)
    with pytest.raises(OutcomeUnknownError, match="lc_"):
        await broken.append("s", [HumanMessage("a")])
