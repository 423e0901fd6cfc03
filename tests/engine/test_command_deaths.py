"""The command as a process that is killed at its n-th request: nothing is lost, and the next run does the rest.

CI takes some of the requests; `nox -s thorough` all of them.
"""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import BaseMessage

from command_line import start
from community_support import Theirs, bulk
from conftest import RepositoryFactory, TableFactory, TestEngine
from faults import Fault, Request, Strike
from langchain_dynamodb import AsyncSessionRepository
from langchain_dynamodb.admin import Run, delete_sessions, migrate, reencrypt_sessions, repair_sessions, vacuum
from langchain_dynamodb.encryption import LocalKeyring
from proxy import Proxy
from support import THOROUGH, scan

pytestmark = [
    pytest.mark.real_engine,
    pytest.mark.once,
    pytest.mark.filterwarnings("ignore:`langchain-community` is being sunset"),
]
STEP = 1 if THOROUGH else 7
KEY = LocalKeyring(b"k" * 32)
MESSAGES = {"short": bulk(2), "long": bulk(60, 1500)}


@dataclass
class Killing:
    """Forwards what comes until the n-th request: that kills its process, and is forwarded if `after`; no other is."""

    at: int
    after: bool
    process: list[subprocess.Popen[str]] = field(default_factory=list)
    met: int = 0

    def choose(self, request: Request) -> Strike:
        self.met += 1
        if self.met < self.at:
            return Strike(Fault.NONE)
        self.process[0].kill()
        return Strike(Fault.DROPPED if self.after and self.met == self.at else Fault.RESET)


@dataclass
class Stage:
    """Tables, and the repositories of a test, which take over from the dead after a moment."""

    make: RepositoryFactory
    table: str
    other: str
    engine_url: str
    key: Path

    def here(self, **options: Any) -> AsyncSessionRepository:
        """A fresh repository on the table."""
        return self.make(self.table, **options)

    def there(self, **options: Any) -> AsyncSessionRepository:
        """A fresh one on the other table."""
        return self.make(self.other, **options)

    async def texts(self, repository: AsyncSessionRepository, *names: str) -> dict[str, list[BaseMessage]]:
        """What is in these sessions."""
        return {name: (await repository.read(name)).messages for name in names}


@dataclass(frozen=True)
class Death:
    """A command: what there is before it, what holds whenever it dies, what does the rest, and what is then."""

    words: list[str]
    prepare: Callable[[Stage], Awaitable[None]]
    holds: Callable[[Stage], Awaitable[None]]
    again: Callable[[Stage], Awaitable[object]]
    done: Callable[[Stage], Awaitable[None]]


# --- Parts of them ---


async def of_community(stage: Stage) -> None:
    """Sessions as langchain_community stores them."""
    for name, messages in MESSAGES.items():
        history = Theirs(stage.table, name, endpoint_url=stage.engine_url)
        await asyncio.to_thread(history.add_messages, messages)


async def of_ours(stage: Stage) -> None:
    """Sessions in our format, with metadata and attributes."""
    for name, messages in MESSAGES.items():
        await stage.here().append(name, messages)
        await stage.here().update_metadata(name, {"title": name}, attributes={"owner": "ann"})


async def all_here(stage: Stage) -> None:
    """All messages can be read here."""
    assert await stage.texts(stage.here(encryption=KEY), *MESSAGES) == MESSAGES


async def in_one_of_both(stage: Stage) -> None:
    """Each session is whole in one of the tables."""
    here, there = [await stage.texts(one(), *MESSAGES) for one in (stage.here, stage.there)]
    assert all(messages in (here[name], there[name]) for name, messages in MESSAGES.items())


async def is_ours(stage: Stage) -> None:
    """All is here, in our format."""
    await all_here(stage)
    assert all("lc_version" in item or "lc_cut" in item for item in await scan(stage.here()))


async def is_there(stage: Stage) -> None:
    """All is in the other table, and nothing is left here."""
    assert await stage.texts(stage.there(), *MESSAGES) == MESSAGES
    for name in MESSAGES:
        chat = await stage.there().read(name)
        assert (chat.metadata, chat.attributes) == ({"title": name}, {"owner": "ann"})
    assert await scan(stage.here()) == []


async def fork_is_whole_or_none(stage: Stage) -> None:
    """The source is as it was, and the copy is all of it or nothing."""
    await all_here(stage)
    assert (await stage.here().read("fork")).messages in ([], MESSAGES["long"])


async def copies_again(stage: Stage) -> None:
    """As a user does who sees that there is no copy."""
    if not (await stage.here().read("fork")).version:
        await stage.here().copy("long", "fork")


async def fork_is_whole(stage: Stage) -> None:
    """The copy is there."""
    assert (await stage.here().read("fork")).messages == MESSAGES["long"]


async def lost_a_page(stage: Stage) -> None:
    """An hour ago, so that it cannot be late."""
    clock = stage.make.set_clock()
    clock.now = time.time_ns() // 1000 - 7200 * 1_000_000
    await of_ours(stage)
    stage.make.clock = None
    pages = [item for item in await scan(stage.here()) if "lc_cut" in item]
    assert len(pages) > 2
    middle = sorted(pages, key=lambda item: str(item["SessionId"]["S"]))[1]
    await remove(stage, middle)


async def lost_an_item(stage: Stage) -> None:
    """The same, and its session item is gone too."""
    await lost_a_page(stage)
    for item in await scan(stage.here()):
        if item["SessionId"]["S"] == "long":
            await remove(stage, item)


async def remove(stage: Stage, item: dict[str, Any]) -> None:
    """As somebody does by hand."""
    request = {"TableName": stage.table, "Key": {"SessionId": item["SessionId"]}}
    await stage.here()._connection.call("delete_item", request, write=True)


async def rest_is_there(stage: Stage) -> None:
    """What was not lost can be read."""
    left = (await stage.here().read("long", skip_missing_pages=True)).messages
    assert 0 < len(left) < 60
    assert all(message in MESSAGES["long"] for message in left)
    assert (await stage.here().read("short")).messages == MESSAGES["short"]


async def is_repaired(stage: Stage) -> None:
    """The session works, with what was left of it."""
    left = (await stage.here().read("long")).messages
    assert 0 < len(left) < 60
    await rest_is_there(stage)


async def short_is_there(stage: Stage) -> None:
    """The one that is none of the command's business."""
    assert (await stage.here().read("short")).messages == MESSAGES["short"]


async def short_is_alone(stage: Stage) -> None:
    """Nothing else is left."""
    await short_is_there(stage)
    assert [item["SessionId"]["S"] for item in await scan(stage.here())] == ["short"]


async def is_encrypted(stage: Stage) -> None:
    """All can be read with the key, and nothing is plain."""
    await all_here(stage)
    assert all("lc_key" in item for item in await scan(stage.here()) if "lc_cut" not in item)


DEATHS = {
    "migrate": Death(
        ["migrate"], of_community, all_here, lambda stage: migrate(stage.here()), is_ours
    ),
    "migrate-elsewhere": Death(
        ["migrate", "--to-table", "{other}", "--delete-source"],
        of_ours,
        in_one_of_both,
        lambda stage: migrate(stage.here(), to=stage.there(), delete_source=True),
        is_there,
    ),
    "copy": Death(["copy", "long", "fork"], of_ours, fork_is_whole_or_none, copies_again, fork_is_whole),
    "repair": Death(
        ["repair", "long"],
        lost_a_page,
        rest_is_there,
        lambda stage: repair_sessions(stage.here(), Run(sessions=["long"])),
        is_repaired,
    ),
    "vacuum": Death(["vacuum"], lost_an_item, short_is_there, lambda stage: vacuum(stage.here()), short_is_alone),
    "delete": Death(
        ["delete", "--match", "l*", "--yes"],
        of_ours,
        short_is_there,
        lambda stage: delete_sessions(stage.here(), Run(match="l*")),
        short_is_alone,
    ),
    "reencrypt": Death(
        ["reencrypt", "--local-key-file", "{key}"],
        of_ours,
        all_here,
        lambda stage: reencrypt_sessions(stage.here(encryption=KEY)),
        is_encrypted,
    ),
}  # fmt: skip


def _later() -> int:
    return time.time_ns() // 1000 + 3600 * 1_000_000


@pytest.mark.parametrize("death", DEATHS.values(), ids=DEATHS)
async def test_killed_at_a_request(
    make_repository: RepositoryFactory, make_table: TableFactory, engine: TestEngine, tmp_path: Path, death: Death
) -> None:
    """Whatever it was about to send, or had sent: what there was is there, and after another run all is done."""
    make_repository.wait(renew=600, lease=0.05)
    (tmp_path / "key").write_bytes(b"k" * 32)
    table, other, at, killed = make_table(), make_table(), 1, True
    while killed:
        make_repository.clock = None
        stage = Stage(make_repository, table, other, str(engine.endpoint_url), tmp_path / "key")
        await death.prepare(stage)
        plan = Killing(at, after=at % 2 == 0)
        async with Proxy(stage.engine_url, plan) as proxy:
            words = [word.format(other=other, key=stage.key) for word in death.words]
            plan.process.append(start(table, proxy.url, *words))
            _, errors = await asyncio.to_thread(plan.process[0].communicate)
        killed = plan.met >= at
        assert killed or plan.process[0].returncode == 0, errors
        make_repository.clock = _later  # past any lease; and a page that is not there is not late any more
        await death.holds(stage)
        await death.again(stage)
        await vacuum(stage.here())  # a deletion that stopped half-way is none of another migration's business
        await death.done(stage)
        for name in ("short", "long", "fork"):
            for repository in (stage.here(encryption=KEY), stage.there(encryption=KEY)):
                await repository.delete(name)
        for repository in (stage.here(), stage.there()):
            await vacuum(repository, older_than=0)
            assert await scan(repository) == []
        at += STEP
    assert at > STEP
