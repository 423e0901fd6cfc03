"""Plays a scenario under a schedule, and tells what was violated."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import sys
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from langchain_dynamodb import repository as repository_module
from langchain_dynamodb._dynamodb import expressions
from langchain_dynamodb._store import table
from langchain_dynamodb._store.cache import LRU
from langchain_dynamodb._store.vault import Vault
from langchain_dynamodb.codec import messages as codec

from .checker import Checker, Violation
from .engine import Engine, Key
from .expressions import Item
from .loop import Loop
from .network import OK, Crash, Network, Sent
from .oracle import SESSION, SESSION_KEY, TTL
from .scenario import Op, Plan, Scenario
from .schedule import TICK, Replay, Schedule
from .workload import START_MICROSECONDS, Call, Client, Process, native

MAX_STEPS = 1500
JUMPS = {"ahead": 3_600_000_000, "behind": -3_600_000_000}  # microseconds
LONGEST_TRANSMISSION = 15.0  # seconds that a request is on its way
LONGEST_LEASE = 6.0  # seconds after which a dead writer keeps nobody waiting any more
ENDING = Plan("Z", "Z", (Op("read"), Op("append", "M"), Op("delete")))
LONG_ENDING = Plan(
    "Z", "Z", (*ENDING.ops[:2], Op("iter"), Op("read", "1"), Op("append", "LM"), Op("delete"), Op("read"))
)
"""What a client does when all others are through and all late requests have arrived."""
SEARCHING = Op("delete", "", (("search", "yes"),))
ENDINGS = {
    "lost": Plan("Z", "Z", (Op("append", "L"), *[Op("pause")] * 3, Op("repair"), *ENDING.ops)),
    "restored": Plan("Z", "Z", (*ENDING.ops[:2], Op("repair"), *ENDING.ops[:2], SEARCHING)),
}
"""The same where pages are missing, or newer than their session."""
AGED_ENDING = Plan("Z", "Z", (Op("replace", "L"), *ENDING.ops[:2], SEARCHING))
"""And where it may expire meanwhile."""


@dataclass
class Result:
    """What came of one run; `violation` is None where all was well. `trace` has a line for each step."""

    scenario: Scenario
    steps: list[str]
    violation: Violation | None
    trace: list[str]


class World:
    """An engine, a network, and the clients of a scenario, on one loop."""

    def __init__(self, scenario: Scenario, seed: int | str = 0, traced: bool = False) -> None:
        self.scenario = scenario
        self.loop = Loop()
        self.engine = Engine(limits=False)
        self.engine.items = dict(start_state(scenario))
        if scenario.start == "lost":
            self.engine.lost = _lost_pages(scenario)
        table._schemas = LRU(1)  # what one run looked up, the next does not know
        _chance.seed(seed)
        self._long = isinstance(seed, int) and seed % 8 == 0
        self.network = Network(self.engine, self._applied)
        self.network.lags = scenario.start != "restored"  # a page of before may have the version of one cut since
        self.checker = Checker(self.engine, self.loop.time)
        self.last_client = ""
        self.calm: set[str] = {"Z"}  # clients that no fault strikes
        self.trace: list[str] | None = [] if traced else None
        self.steps: list[str] = []
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.processes: dict[str, Process] = {}
        self.abandoned = False
        self.putters: dict[Key, Call] = {}  # who put each item last, since the start

    def run(self, schedule: Schedule) -> None:
        """Everything, to the end; raises `Violation`."""
        with self.loop:
            for plan in self.scenario.plans:
                self._start(plan)
            self._drive(schedule)
            ending = LONG_ENDING if self._long else ENDING
            if self.scenario.start in ENDINGS and not self.scenario.ages:
                ending = ENDINGS[self.scenario.start]
            elif self.scenario.start in ENDINGS:
                ending = AGED_ENDING
            forks = (Op("fork", call.name) for call in self.checker.calls if call.op.kind == "copy")
            self._start(replace(ending, ops=(*ending.ops, *forks)))
            self._drive(Replay(()))
            self._check_end()

    def abandon(self) -> None:
        """Let all tasks end, whatever they were about: nothing of a run is to outlive it."""
        left = [task for task in self.tasks.values() if not task.done() or task.exception()]
        if not left:
            return
        self.abandoned = True
        with self.loop:
            for _ in range(100):
                for name, process in self.processes.items():
                    process.dead = True
                    self._kill(name)
                self.loop.settle()
                if self.loop.next_timer() is None and not self.network.pending:
                    return
                if self.loop.next_timer() is not None:
                    self.loop.advance()

    def _start(self, plan: Plan) -> None:
        process = self.processes.get(plan.process)
        if process is None:
            ahead = dict(self.scenario.clocks).get(plan.process, 0)
            process = Process(plan.process, self.scenario, self.network, self.loop.time, ahead)
            self.processes[plan.process] = process
        client = Client(plan, process, self.checker.view.version, self.checker.begin, self._ended)
        self.tasks[plan.name] = self.loop.create_task(client.run())

    def _drive(self, schedule: Schedule) -> None:
        loop, network = self.loop, self.network
        loop.settle()
        while network.pending or network.ghosts or loop.next_timer() is not None:
            step = schedule.next(self)
            self.steps.append(step)
            if len(self.steps) > MAX_STEPS:
                raise Violation(f"no end after {MAX_STEPS} steps")
            self._take(step)
            loop.settle()
        for task in self.tasks.values():
            error = task.exception() if task.done() else None
            if isinstance(error, Violation):
                raise error
            if error is not None:
                raise Violation(f"a client failed: {error!r}") from error
            if not task.done():
                raise Violation("a client waits for ever")

    # --- Steps ---

    def word(self, sent: Sent) -> str:
        """The name of a transmission under way."""
        client = sent.call.client
        place = [other for other in self.network.pending if other.call.client == client].index(sent)
        return client if place == 0 else f"{client}.{place}"

    def find(self, word: str) -> Sent | None:
        client, _, place = word.partition(".")
        mine = [sent for sent in self.network.pending if sent.call.client == client]
        index = int(place or 0)
        return mine[index] if index < len(mine) else None

    def possible(self, step: str) -> bool:
        """Whether this can happen now."""
        if step == TICK:
            return self.may_pass()
        if step.startswith("~"):
            return int(step[1:]) < len(self.network.ghosts)
        if "!" in step:
            return step in self.events()
        word, _, fate = step.partition("/")
        sent = self.find(word)
        return sent is not None and (not fate or fate in sent.fates)

    def may_pass(self) -> bool:
        """Whether time may pass until the next timer."""
        return self.loop.next_timer() is not None and (not self.network.pending or self._soon())

    def _soon(self) -> bool:
        timer = self.loop.next_timer()
        return timer is not None and timer < self.loop.now + LONGEST_TRANSMISSION

    def events(self) -> list[str]:
        """What may happen to a process or by itself."""
        found = []
        for name, task in self.tasks.items():
            if name not in self.calm and not task.done():
                found.append(f"{name}!cancel")
                if self.processes.get(name):
                    found.append(f"{name}!kill")
                    if not self.scenario.ages:
                        found += [f"{name}!ahead", f"{name}!behind"]
        if self._expired():
            found.append("!ttl")
        return found

    def _take(self, step: str) -> None:
        network = self.network
        if step == TICK:
            self._tell("time passes")
            if not self._soon():  # no request is on its way for that long
                while network.ghosts:
                    self._take("~0")
            self.loop.advance()
        elif step.startswith("~"):
            ghost = network.ghosts[int(step[1:])]
            self._tell(f"arrives late: {ghost.call} {_shown(ghost)}")
            network.land(ghost)
        elif "!" in step:
            self._tell(step)
            self._event(step)
        else:
            word, _, fate = step.partition("/")
            sent = self.find(word)
            assert sent is not None
            self.last_client = sent.call.client
            self.loop.now += 0.001
            if self.trace is not None:
                self._tell(f"{step}: {sent.call} {'answer of ' if sent.result else ''}{_shown(sent)}")
            network.happen(sent, fate or OK)

    def _event(self, step: str) -> None:
        name, _, event = step.partition("!")
        if event == "ttl":
            for key in self._expired():
                if self.engine.expire(key, TTL, self._engine_seconds) and self.network.recorded is not None:
                    gone = {"Key": {"SessionId": dict(key)}}
                    self.network.recorded.append(("delete_item", gone, OK, {}))
                self.checker.observe(None)
        elif event == "cancel":
            self._call_of(name).faults += 1
            self.tasks[name].cancel()
        elif event in JUMPS:
            self.processes[name].offset += JUMPS[event]
            for call in self.checker.calls:  # whose lease it may take for ended
                call.faults += call.end < 0
        else:
            self._kill(name)

    def _kill(self, name: str) -> None:
        process = self.processes[name]
        process.dead = True
        for sent in [sent for sent in self.network.pending if sent.process is process]:
            sent.call.faults += 1
            if not sent.answer.done():
                sent.answer.set_exception(Crash())

    def _call_of(self, name: str) -> Call:
        return next(call for call in reversed(self.checker.calls) if call.client == name)

    @property
    def _engine_seconds(self) -> float:
        return START_MICROSECONDS / 1e6 + self.loop.now

    def _expired(self) -> list[Key]:
        now = self._engine_seconds
        return [key for key, item in self.engine.items.items() if TTL in item and int(item[TTL]["N"]) <= now]

    # --- What is told ---

    def _applied(self, sent: Sent) -> None:
        if self.abandoned:
            return
        if sent.operation == "put_item":
            self.putters[self.engine.key_of(sent.request["Item"])] = sent.call
        if sent.operation == "batch_write_item":
            for write in next(iter(sent.request["RequestItems"].values())):
                if "PutRequest" in write:
                    self.putters[self.engine.key_of(write["PutRequest"]["Item"])] = sent.call
        self.checker.observe(sent.call)

    def _ended(self, call: Call) -> None:
        if self.abandoned:
            return
        if self.trace is not None:
            self._tell(f"    {call} -> {call.told}")
        self.checker.end(call)

    def _tell(self, line: str) -> None:
        if self.trace is not None:
            self.trace.append(f"{self.loop.now:8.3f} {line}")

    def _check_end(self) -> None:
        """All is quiet: nothing is left but what docs/consistency.md admits."""
        for call in self.checker.calls:
            if call.client == "Z" and call.outcome[0] != "ok":
                raise Violation(f"after all was quiet, {call.op} told {call.told}")
            if call.client == "Z" and call.op.kind != "pause" and call.ended - call.begun > LONGEST_LEASE:
                raise Violation(f"after all was quiet, {call.op} took {call.ended - call.begun:.1f} s")
        left = [key for key in self.engine.items if not self._excused(key)]
        if left:
            raise Violation(f"delete left {[key[0][1] for key in left]}")
        excused = self.scenario.ages or any(call.faults or call.op.kind == "legacy" for call in self.checker.calls)
        if self.engine.objects and not excused:
            raise Violation(f"delete left {[*self.engine.objects]}")

    def _excused(self, key: Key) -> bool:
        """Whether docs/consistency.md admits that this item is left.

        A page that came late, or whose writer died, was cancelled or got no answer; one that DynamoDB will
        expire; those of a session that langchain_community wrote over, or that expired when it was half permanent.
        """
        if key == SESSION_KEY:
            return False
        calls = self.checker.calls
        overwritten = any(call.op.kind == "legacy" for call in calls)
        if any(
            call.op == Op("expire") and call.outcome[0] != "ok" for call in calls
        ):  # half of the pages kept for good
            return True
        putter = self.putters.get(key)
        return overwritten or TTL in self.engine.items[key] or (putter is not None and putter.faults > 0)


def without_waiting(trace: list[str]) -> list[str]:
    """Who waits looks again and again: only the first and the last look are kept."""
    kept: list[str] = []
    for line in trace:
        kept.append(line)
        texts = [other[9:] for other in kept[-6:]]
        if len(texts) == 6 and texts[:2] == texts[2:4] == texts[4:]:
            del kept[-4:-2]
    return kept


def _shown(sent: Sent) -> str:
    """A request in a few words."""
    request = sent.request
    key = request.get("Key") or request.get("Item")
    if not isinstance(key, Mapping):
        return f"{sent.operation} {key or request.get('Keys', '')}"
    name = key["SessionId"]["S"].removeprefix(SESSION)
    update = request.get("UpdateExpression", "")
    names = request.get("ExpressionAttributeNames", {})
    for placeholder in sorted(names, key=len, reverse=True):
        update = update.replace(placeholder, names[placeholder].removeprefix("lc_"))
    return f"{sent.operation}{' ' + name if name else ''}{' ' + update if update else ''}"


def play(scenario: Scenario, schedule: Schedule, seed: int = 0, traced: bool = False) -> Result:
    """One run."""
    world = World(scenario, seed, traced)
    try:
        world.run(schedule)
    except Violation as violation:
        return Result(scenario, world.steps, violation, without_waiting(world.trace or []))
    finally:
        world.abandon()
    return Result(scenario, world.steps, None, world.trace or [])


# --- Start states ---

COMMUNITY = {"community": "MLM", "short": "L"}
"""Lists of langchain_community: one that needs several pages, one that needs one."""
_WRITTEN = {
    "tail": "append:S",
    "full": "append:S append:M",
    "paged": "append:M append:M append:L append:S",
    "longer": "append:M append:M append:L append:S append:L append:S append:M",
    "midbatch": "append:S append:MLM",
    "unborn": "append:MLM",
}


@lru_cache(None)
def _start_state(start: str, sizes: str, ttl: int | None) -> dict[Key, Item]:
    if start == "none":
        return {}
    if start == "lost":
        paged = _start_state("paged", sizes, ttl)
        return {key: item for key, item in paged.items() if key != _in_the_middle(paged)}
    if start == "restored":  # by somebody who put back the session item of a backup
        paged = _start_state("paged", sizes, ttl)
        return {**_start_state("longer", sizes, ttl), SESSION_KEY: paged[SESSION_KEY]}
    if start in COMMUNITY:
        entries = [native(f"o.{i}{letter}", letter) for i, letter in enumerate(COMMUNITY[start])]
        return {SESSION_KEY: {"SessionId": {"S": SESSION}, "History": {"L": entries}}}
    plan = Plan("S", "S", tuple(map(Op.parse, _WRITTEN[start].split())))
    steps: list[str] = []
    if start in ("midbatch", "unborn"):  # its writer dies when the first page is there
        steps = ["S", "S", "S", "S!kill"]
    world = World(Scenario((plan,), "none", sizes, ttl), "start")  # whose ids are nobody else's
    world.loop.now = -1000.0 if ttl is None else -5.0
    with world.loop:
        world._start(plan)
        world._drive(Replay(steps))
    return dict(world.engine.items)


def _in_the_middle(items: dict[Key, Item]) -> Key:
    pages = sorted(key for key in items if key != SESSION_KEY)
    return pages[len(pages) // 2]


def _lost_pages(scenario: Scenario) -> dict[Key, Item]:
    whole = _start_state("paged", scenario.sizes, scenario.ttl)
    return {key: item for key, item in whole.items() if key not in start_state(scenario)}


def start_state(scenario: Scenario) -> dict[Key, Item]:
    """The engine's items before anybody does anything."""
    return _start_state(scenario.start, scenario.sizes, scenario.ttl)


# --- The surroundings of the package ---

_chance = random.Random()


@contextlib.contextmanager
def surroundings() -> Iterator[None]:
    """Chance, ids and clocks of the package are ours, and what is pure and slow is worked out once."""
    saved: list[tuple[Any, str, Any]] = []

    def swap(owner: Any, name: str, value: Any) -> None:
        saved.append((owner, name, getattr(owner, name)))
        setattr(owner, name, value)

    system = _Other(os, urandom=_chance.randbytes)
    watch = _Other(time, monotonic=lambda: asyncio.get_running_loop().time())
    for name, module in list(sys.modules.items()):
        if name.startswith("langchain_dynamodb."):
            for attribute, ours in (("random", _chance), ("os", system), ("time", watch)):
                if vars(module).get(attribute) is sys.modules.get(attribute):
                    swap(module, attribute, ours)
    swap(table, "_schemas", table._schemas)
    swap(expressions, "_letters", lru_cache(None)(expressions._letters))
    swap(repository_module, "session_key", lru_cache(None)(repository_module.session_key))
    swap(Vault, "_forget_later", lambda *_: None)  # a timer would make every run five minutes long
    swap(table, "parse_item", _remembered(table.parse_item))
    # All messages here are plain ones of a text, so the text stands for the message.
    for name, worked_out in _worked_out().items():
        swap(codec, name, worked_out)
    try:
        yield
    finally:
        for owner, name, value in reversed(saved):
            setattr(owner, name, value)


def _worked_out() -> dict[str, Any]:
    pack, unpack = lru_cache(50_000)(codec.pack), lru_cache(50_000)(codec.unpack)
    encode_message, decode_line = codec.encode_message, lru_cache(50_000)(codec.decode_line)
    encoded: dict[object, bytes] = {}

    def encode(message: Any, path: str = "message", **options: Any) -> bytes:
        line = encoded.get(message.content)
        if line is None:
            line = encoded[message.content] = encode_message(message, path, **options)
        return line

    return {
        "pack": lambda lines: pack(tuple(lines)),
        "unpack": lambda block, most: list(unpack(block, most)),
        "encode_message": encode,
        "decode_lines": lambda lines, again: [decode_line(line) for line in lines],
    }


def _remembered(parse: Any) -> Any:
    """The last few items, which are values that never change, are parsed once."""
    known: OrderedDict[int, tuple[Any, Any]] = OrderedDict()

    def parsed(raw: Any, *others: Any) -> Any:
        found = known.get(id(raw))
        if found is not None and found[0] is raw:
            return found[1]
        item = parse(raw, *others)
        known[id(raw)] = raw, item
        if len(known) > 64:
            known.popitem(last=False)
        return item

    return parsed


class _Other:
    """A module with other functions in the place of some."""

    def __init__(self, module: Any, **others: Any) -> None:
        self._module = module
        self.__dict__.update(others)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)
