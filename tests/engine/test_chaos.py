"""Many clients and every fault at once: what they saw can be explained, nothing is lost, doubled or left behind.

A round that fails shows its seed: ``pytest tests/engine/test_chaos.py --engine dynamodb-local --seed <seed>``
begins with it.
"""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from botocore.config import Config

import chaos
from chaos import Client, History
from conftest import RepositoryFactory, TestEngine
from faults import Fault, Plan, Script
from langchain_dynamodb._store.unreferenced_objects import UnreferencedObjects
from langchain_dynamodb.encryption import LocalKeyring
from linearizability import Undecided
from memory_blobs import MemoryBlobs
from proxy import Proxy
from support import SMALL, found_by, remembered, scan

CLIENTS = 5
OPERATIONS = 14  # of each client
AT_ONCE = 6  # rounds: most of their time is waiting
MOST = 24  # rounds, where something did not come up
KINDS = {"appending": chaos.APPENDING, "rewriting": chaos.REWRITING, "deleting": chaos.DELETING}
RARE = {  # paths that the others hardly ever take
    "read looked whether the session was rewritten": "rewriting",
    "cut met another's page": "appending",
    "page edited": "rewriting",
}


def config(client: int) -> Config:
    """An impatient client with a pool of its own."""
    retries = {"mode": "standard", "total_max_attempts": 1 + client % 3}
    return Config(user_agent=f"client {client}", read_timeout=0.5, connect_timeout=1, retries=retries)


class Round:
    """Five clients and one session, which every other seed encrypts, and every third keeps in a bucket."""

    def __init__(self, engine: TestEngine, make_repository: RepositoryFactory, kind: str, seed: int) -> None:
        self.kind = kind
        self.seed = seed
        self.history = History(f"s{seed}", deletes=kind == "deleting")
        self.proxy = Proxy(str(engine.endpoint_url), Plan(seed), slow_seconds=0.8)
        self.make_repository = make_repository
        self.options = {
            "sizes": SMALL,
            "encryption": LocalKeyring(b"k" * 32) if seed % 2 else None,
            "blobs": MemoryBlobs(threshold=150) if seed % 3 == 0 else None,
        }

    async def play(self) -> None:
        """Play it; raises what is wrong."""
        try:
            async with self.proxy:
                await self._play()
        except Exception as error:
            raise AssertionError(f"{self.kind}, --seed {self.seed}: {type(error).__name__}: {error}") from error

    async def _play(self) -> None:
        clients = []
        for i in range(CLIENTS):
            repository = self.make_repository(endpoint_url=self.proxy.url, config=config(i), **self.options)
            clients.append(Client(chr(ord("a") + i), repository, self.seed, self.history))
        await asyncio.gather(*(client.run(KINDS[self.kind], OPERATIONS) for client in clients))
        self.proxy.plan = Script()
        await self.proxy.settle()
        await self._finish(clients)

    async def _finish(self, clients: list[Client]) -> None:
        """No faults any more: all agree, the session goes on, and can be deleted whole."""
        for client in clients:
            await client.read()
            await client.iterate()
        repository = self.make_repository(**self.options)
        patient = Client("z", repository, self.seed, self.history)
        await patient.append()
        await patient.read()
        try:
            self.history.check()
        except Undecided:  # writes of unknown outcome, deletes above all, can leave too many possibilities
            self.history.outcomes["undecided"] += 1
        if self.kind == "appending":
            self.history.check_appends(chaos.tags_of((await repository.read(self.history.session)).messages))
        number = remembered(repository, self.history.session).generation
        generation = f"~lc~{number:014x}~"
        await repository.delete(self.history.session)
        ids = [item["SessionId"]["S"] for item in await scan(repository)]
        left = [name for name in ids if name.partition("~")[0] == self.history.session]
        if self.kind == "appending":  # only what arrived when the session that its writer had begun was taken back
            untold = [request.body["Item"] for request in self.proxy.untold if request.operation == "PutItem"]
            assert [name for name in left if generation in name] == []
            assert set(left) <= {item["SessionId"]["S"] for item in untold}
        self.history.outcomes["items left"] += len(left)
        if isinstance(blobs := self.options["blobs"], MemoryBlobs):  # other generations: of writes that got no answer
            assert [name for name in blobs.objects if f"/{number:014x}/" in name] == []
            unreferenced = UnreferencedObjects(repository._table, blobs, lambda: 10**16)
            dead = await found_by(unreferenced)
            assert [name for name in left if "~lc~" not in name] == []
            late = {
                name.rpartition("~")[2] for name in left
            }  # pages that came after all, with the objects that they have
            assert {name.rpartition("/")[2].partition("-")[0] for name in blobs.objects.keys() - dead} <= late
            self.history.outcomes["objects left"] += len(blobs.objects)
        assert self.history.session not in left


@pytest.mark.once
@pytest.mark.real_engine
@pytest.mark.parametrize("kind", KINDS)
async def test_chaos(
    engine: TestEngine,
    make_repository: RepositoryFactory,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    seed: int,
    rounds: int,
) -> None:
    """Everything fails now and then while five clients append, rewrite, delete and read one session."""
    make_repository.wait(lease=0.3)
    taken = chaos.count_paths(monkeypatch)
    faults: Counter[Fault] = Counter()
    outcomes: Counter[str] = Counter()
    played = 0
    while played < rounds or (played < MOST and missed(kind, played, faults, taken, outcomes)):
        batch = [Round(engine, make_repository, kind, seed + played + i) for i in range(min(rounds, AT_ONCE))]
        for failed in await asyncio.gather(*(one.play() for one in batch), return_exceptions=True):
            if failed:  # only now, when the others have closed their sockets
                raise failed
        played += len(batch)
        for one in batch:
            faults += one.proxy.faults
            outcomes += one.history.outcomes
    print(f"\n{kind} from --seed {seed}, {played} rounds", {f.name: n for f, n in faults.items()}, sep="\n")
    print(dict(taken), dict(outcomes), sep="\n")
    assert missed(kind, played, faults, taken, outcomes) == []


def missed(kind: str, played: int, faults: Counter[Fault], taken: Counter[str], outcomes: Counter[str]) -> list[str]:
    """What did not come up, so that the rounds say nothing about it."""
    paths = [path for path, count in taken.items() if not count and RARE.get(path, kind) == kind]
    decided = ["enough that could be decided"] if outcomes["undecided"] > 2 * played // 3 else []
    return [fault.name for fault in Fault if not faults[fault]] + paths + decided
