"""Who does what to one session, from which start: as a value, as a line of text, and drawn at random."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from langchain_dynamodb import Sizes

SIZES = {
    "tiny": Sizes(session_item=1, page=220, item=100_000),
    "parts": Sizes(session_item=1, page=500, item=160),
}
LENGTHS = {"S": 8, "M": 120, "L": 330, "X": 700}
"""Characters that hardly deflate, by the letter that names the size of a message."""


@dataclass(frozen=True)
class Op:
    """One call: its kind, what it is about (sizes of messages as letters, or a number), and options."""

    kind: str
    about: str = ""
    options: tuple[tuple[str, str], ...] = ()

    def option(self, name: str) -> str | None:
        """The option's value, None without it."""
        return dict(self.options).get(name)

    def number(self, name: str) -> int | None:
        """The option as a number."""
        value = self.option(name)
        return None if value is None else int(value)

    def __str__(self) -> str:
        return ",".join([f"{self.kind}:{self.about}" if self.about else self.kind, *map("=".join, self.options)])

    @classmethod
    def parse(cls, text: str) -> Op:
        head, *options = text.split(",")
        kind, _, about = head.partition(":")
        return cls(kind, about, tuple((name, value) for name, _, value in (o.partition("=") for o in options)))


@dataclass(frozen=True)
class Plan:
    """What one client does, one call after the other. Clients of one `process` share a repository."""

    name: str
    process: str
    ops: tuple[Op, ...]

    def __str__(self) -> str:
        shared = "" if self.process == self.name else f"={self.process}"
        return f"{self.name}{shared}: {' '.join(map(str, self.ops))}"

    @classmethod
    def parse(cls, text: str) -> Plan:
        head, _, ops = text.partition(":")
        name, _, process = head.strip().partition("=")
        return cls(name, process or name, tuple(map(Op.parse, ops.split())))


@dataclass(frozen=True)
class Scenario:
    """Start state, settings and plans."""

    plans: tuple[Plan, ...]
    start: str = "none"
    sizes: str = "tiny"
    ttl: int | None = None
    community: bool = False
    explains: bool = True
    encrypted: bool = False
    blobs: bool = False
    clocks: tuple[tuple[str, int], ...] = field(default=())
    """Seconds that a process's clock is ahead."""

    @property
    def ages(self) -> bool:
        """Whether the session may expire."""
        return self.ttl is not None or any(op.kind == "expire" for plan in self.plans for op in plan.ops)

    def __str__(self) -> str:
        settings = [f"start={self.start}"]
        settings += [f"sizes={self.sizes}"] * (self.sizes != "tiny") + [f"ttl={self.ttl}"] * (self.ttl is not None)
        settings += ["community"] * self.community + ["silent"] * (not self.explains)
        settings += ["encrypted"] * self.encrypted + ["blobs"] * self.blobs
        settings += [f"clock={name}{seconds:+d}" for name, seconds in self.clocks]
        return " | ".join([" ".join(settings), *map(str, self.plans)])

    @classmethod
    def parse(cls, text: str) -> Scenario:
        """The scenario that `str` showed."""
        settings, *plans = text.split("|")
        scenario = cls(tuple(map(Plan.parse, plans)))
        for word in settings.split():
            name, _, value = word.partition("=")
            if name in ("start", "sizes"):
                scenario = replace(scenario, **{name: value})  # type: ignore[arg-type]
            elif name == "ttl":
                scenario = replace(scenario, ttl=int(value))
            elif name == "clock":
                scenario = replace(scenario, clocks=(*scenario.clocks, (value[0], int(value[1:]))))
            elif name in ("encrypted", "blobs"):
                scenario = replace(scenario, **{name: True})  # type: ignore[arg-type]
            elif name in ("community", "silent"):
                scenario = replace(scenario, **{"community": True} if name == "community" else {"explains": False})
            else:
                raise ValueError(f"no setting {word!r}")
        return scenario


def draw(chance: random.Random) -> Scenario:
    """Any scenario."""
    community = chance.random() < 0.12
    ttl = chance.choice([None, None, None, 60, 60 * 24 * 3600])  # pages live for at least thirty days more
    start = _start(chance, community)
    names = "ABC"[: chance.choice([1, 2, 2, 2, 2, 3, 3])]
    kinds = _kinds(chance, community, start, ttl)
    ages = ttl is not None or "expire" in kinds
    plans = [Plan(name, name, _ops(chance, kinds, ages)) for name in names]
    if len(plans) > 1 and chance.random() < 0.15:
        plans[1] = replace(plans[1], process="A")
    clocks = [(n, chance.choice([-7200, -30, 30, 3600])) for n in names if chance.random() < 0.15 and not ages]
    sizes, explains = chance.choice(["tiny", "tiny", "parts"]), chance.random() < 0.8
    # A session that lacks pages must be repaired before it can be encrypted.
    encrypted = start != "lost" and not community and chance.random() < 0.2
    if encrypted and chance.random() < 0.5:
        plans[-1] = replace(plans[-1], ops=(*plans[-1].ops, Op("reencrypt")))
    blobs = not community and chance.random() < 0.25
    return Scenario(tuple(plans), start, sizes, ttl, community, explains, encrypted, blobs, tuple(clocks))


def _start(chance: random.Random, community: bool) -> str:
    if community:
        return chance.choice(["none", "community"])
    starts = ["none", "none", "tail", "full", "paged", "paged", "community", "midbatch", "unborn", "lost", "restored"]
    return chance.choice(starts)


def _kinds(chance: random.Random, community: bool, start: str, ttl: int | None) -> list[str]:
    """Kinds of calls, each as often as it is to come up; few of them in one scenario find more than all of them."""
    kinds = ["append"] * 4 + ["batch", "read"]
    more = ["batch", "keyed", "guarded", "window", "iter", "replace", "truncate", "meta", "delete", "sized", "read"]
    # A stamp that is moved to before the next append's own is the one case in which pages are extended afterwards.
    expire = "expire" if ttl in (None, 60) else "lasting"
    more += ["edit", "remove", "existing", "repair", "copy", expire] + [expire] * (ttl is not None)
    if community:
        more = [
            "keyed",
            "guarded",
            "window",
            "replace",
            "truncate",
            "delete",
            "sized",
            "legacy",
            "existing",
            "expire",
            "edit",
            "copy",
        ]
        kinds = ["append"] * 4 + ["read"]
    elif start in ("community", "none"):
        more = [*more, "legacy"]
    elif start in ("lost", "restored"):
        kinds = [*kinds, "repair", "truncate", "sized", "edit"]
    return kinds + chance.choices(more, k=chance.choice([1, 2, 3, 5]))


def _ops(chance: random.Random, kinds: Sequence[str], ages: bool) -> tuple[Op, ...]:
    """One to three calls; where sessions expire also more of them, and pauses."""
    ops: list[Op] = []
    for _ in range(chance.choice([1, 2, 3, 5]) if ages else chance.choice([1, 2, 2, 3])):
        if ages and chance.random() < 0.4:
            ops.append(Op("pause"))
        ops.append(_op(chance, chance.choice(kinds)))
    return tuple(ops)


def _op(chance: random.Random, kind: str) -> Op:
    small, batch = chance.choice("SSMML"), chance.choice(["MMM", "MLM", "LLL", "XM", "SX", "MMMMM"])
    if kind == "append":
        return Op("append", chance.choice([small, small, "SM"]))
    if kind == "batch":
        return Op("append", batch)
    if kind == "keyed":
        # Two clients that draw the same letter and size repeat one another's append.
        return Op("append", chance.choice(["S", "M", "MLM"]), (("key", chance.choice("xy")),))
    if kind == "guarded":
        of = chance.choice(["append", "append", "replace", "truncate", "delete"])
        about = {"append": chance.choice([small, batch]), "replace": chance.choice(["S", batch]), "truncate": "1"}
        return Op(of, about.get(of, ""), (("at", "seen"),))
    if kind == "sized":
        return Op("append", chance.choice([small, batch]), (("hs", chance.choice("123")),))
    if kind == "existing":
        return Op("append", chance.choice([small, batch]), (("exist", "yes"),))
    if kind == "expire":
        return Op("expire", chance.choice(["", "50", "500"]))
    if kind == "lasting":
        return Op("expire", chance.choice(["", "9000000"]))
    if kind == "delete":
        return Op("delete", "", (("search", "yes"),) if chance.random() < 0.2 else ())
    if kind == "window":
        return Op("read", chance.choice("123"))
    if kind == "replace":
        keep = (("keep", chance.choice("1234")),) if chance.random() < 0.5 else ()
        return Op("replace", chance.choice(["", "S", batch]), keep)
    if kind in ("edit", "remove"):
        options = [("from", chance.choice("123459")), *([("at", "seen")] if chance.random() < 0.2 else [])]
        return Op(kind, small if kind == "edit" else "", tuple(options))
    if kind == "copy":
        return Op("copy", chance.choice(["", "1", "2", "4"]))
    if kind == "truncate":
        return Op("truncate", chance.choice("0123"))
    return Op(kind, small if kind == "legacy" else "")
