"""The goals, checked against the results of all measures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

Results = dict[str, Any]


class Goal(NamedTuple):
    """A bound on something measured."""

    text: str
    bound: float
    measured: Callable[[Results], float]
    at_least: bool = False

    def check(self, results: Results) -> tuple[str, str, str]:
        """Return the goal, what was measured and whether that meets it; dashes where it was not measured."""
        wanted = f"{self.text}: {'at least' if self.at_least else 'at most'} {self.bound:g}"
        try:
            value = self.measured(results)
        except KeyError:
            return wanted, "-", "-"
        met = value >= self.bound if self.at_least else value <= self.bound
        return wanted, f"{value:.3g}" if value < 100 else f"{value:.0f}", "yes" if met else "**no**"


def _row(results: Results, contender: str, turns: int) -> Any:
    for row in results["counts"]:
        if (row["kind"], row["contender"], row["turns"], row["ended"]) == ("1.2 KB", contender, turns, False):
            return row
    raise KeyError(turns)


def _dearest_read(name: str) -> Callable[[Results], float]:
    return lambda results: float(max(row["reads"]["warm"][name] for row in _fitting(results)))


def _fitting(results: Results) -> list[Any]:
    """Ours, without the history that is larger than the memory for pages: of that, windows are read."""
    rows = [row for row in results["counts"] if row["contender"] == "ours"]
    return [row for row in rows if (row["kind"], row["turns"]) != ("6 KB", 10_000)]


def _sequence(name: str) -> Callable[[Results], float]:
    return lambda results: float(max(found[name] for found in results["sequence"].values()))


def _slope(results: Results) -> float:
    early, late = (_row(results, "ours", turns)["append"]["write_units"] for turns in (100, 10_000))
    return float(abs(late / early - 1) * 100)


def _reads(results: Results, turns: int) -> float:
    ours, theirs = (_row(results, name, turns)["reads"]["cold"] for name in ("ours", "item per message"))
    return float(ours["read_units"] / theirs["read_units"])


def _cpu(*names: str) -> Callable[[Results], float]:
    def measured(results: Results) -> float:
        value = results["cpu"]
        for name in names:
            value = value[name]
        return float(value)

    return measured


def _steady(history: str) -> Callable[[Results], float]:
    return lambda results: float(results["steady"][f"{history}, read"]["ratio"]["langchain_community"])


def _flow(name: str) -> Callable[[Results], float]:
    return lambda results: float(results["throughput"]["32"][f"{name} / langchain_community"])


def _block(results: Results, suffix: str = "", *, collector: bool = True) -> float:
    ours = [results["blocks"][f"ours, {read}{suffix}"] for read in ("cold", "warm")]
    return float(max(value["longest ms"] + (value["collector ms"] if collector else 0) for value in ours))


def _dearest(results: Results) -> float:
    lengths = 10, 100, 1000, 10_000
    return float(max(_row(results, "ours", turns)["append"]["write_units"] for turns in lengths))


def _history(results: Results) -> float:
    return float(results["memory"]["objects"]["DynamoDBChatMessageHistory"]["us"])


def _import(results: Results) -> float:
    return float(results["memory"]["times"]["import langchain_dynamodb"])


_SHORT, _TYPICAL = "1,000 messages, short turns", "600 messages, 1.2 KB turns"
_COMMUNITY = "langchain_community / ours"


def _plain(name: str) -> Callable[[Results], float]:
    return lambda results: float(results["codec"]["plain, now / earlier"][name])


def _others(name: str) -> Callable[[Results], float]:
    return lambda results: float(max(found[name] for found in results["codec"]["others / plain, whole calls"].values()))


def _sealed_units(results: Results) -> float:
    units = [
        {way: bills["append"]["write_units"] for way, bills in ways.items()}
        for ways in results["encryption"]["bills"].values()
    ]
    return float(max(found["encrypted"] / found["plain"] for found in units))


def _sealed_requests(results: Results) -> float:
    bills = results["encryption"]["bills"].values()
    return float(max(ways["encrypted"]["warm"]["requests"] - ways["plain"]["warm"]["requests"] for ways in bills))


def _sealed_read(results: Results) -> float:
    return float(results["encryption"]["cpu"]["cold read of 1,000 short messages"])


GOALS = (
    Goal("append without a cut, CPU, ours / raw", 1.15, _cpu("append", "ours / raw")),
    Goal("append, cuts included, 1,000 turns, CPU, ours / raw", 1.35, _cpu("append with cuts", "ours / raw")),
    Goal(
        "read of 1,000 short messages, cold, CPU, langchain_community / ours",
        10,
        _cpu(_SHORT, "read", _COMMUNITY),
        True,
    ),
    Goal("the same with 600 messages of 1.2 KB turns", 10, _cpu(_TYPICAL, "read", _COMMUNITY), True),
    Goal(
        "read of 1,000 short messages, cold, steady state, CPU, langchain_community / ours", 10, _steady(_SHORT), True
    ),
    Goal("the same with 600 messages of 1.2 KB turns, steady state", 10, _steady(_TYPICAL), True),
    Goal(
        "last 20 of 1,000 short messages, CPU, langchain_community / ours",
        80,
        _cpu(_SHORT, "last 20", _COMMUNITY),
        True,
    ),
    Goal("the same with 600 messages of 1.2 KB turns", 80, _cpu(_TYPICAL, "last 20", _COMMUNITY), True),
    Goal("chat turns a second at 600 messages, 32 sessions, ours / langchain_community async", 20, _flow("ours"), True),
    Goal("the same with `history_size=20`", 60, _flow("ours, last 20"), True),
    Goal("write units of a 1.2 KB turn, the dearest length", 3.0, _dearest),
    Goal("change of the write units a turn from 100 to 10,000 turns, percent", 2, _slope),
    Goal("read units of a full read at 1,000 turns, ours / item per message", 0.33, lambda r: _reads(r, 1000)),
    Goal("the same at 10,000 turns", 0.33, lambda r: _reads(r, 10_000)),
    Goal("warm next turn, the dearest kind and length: read units", 1, _dearest_read("read_units")),
    Goal("the same: read requests", 1, _dearest_read("requests")),
    Goal("append without a cut: requests", 1, _sequence("append")),
    Goal("cold full read of 1,000 messages, the slowest kind: requests in sequence", 3, _sequence("read")),
    Goal("CPU of a call, sync facade / async: append", 1.15, _cpu("append", "sync / async")),
    Goal("the same: warm read of 600 messages", 1.15, _cpu(_TYPICAL, "warm", "sync / async")),
    Goal("constructing a history object, microseconds", 20, _history),
    Goal("clients made by constructing history objects", 0, lambda r: r["memory"]["objects"]["clients made"]),
    Goal(
        "longest event-loop block of our code and the SDK while reading 10,000 messages, ms",
        20,
        lambda r: _block(r, collector=False),
    ),
    Goal("the same with Python's garbage collector", 20, _block),
    Goal(
        "the same in a server that calls `gc.freeze()` once it has started",
        20,
        lambda r: _block(r, ", frozen"),
    ),
    Goal(
        "the same with `iter_messages`, with the collector",
        20,
        lambda r: sum(r["blocks"]["ours, iter_messages"].values()),
    ),
    Goal("codec, messages of plain JSON, now / before there were other values, CPU: write", 1.01, _plain("write")),
    Goal("the same: read", 1.01, _plain("read")),
    Goal("append of a turn with other values / with the same as plain JSON, CPU, the dearest", 1.5, _others("append")),
    Goal("the same: read of ten such turns", 1.5, _others("read")),
    Goal("encrypted sessions: write units of a turn / plain, the dearest kind of turn", 1.1, _sealed_units),
    Goal("the same: requests more for a warm session", 0, _sealed_requests),
    Goal(
        "the same: calls of the keyring for 1,000 sessions that begin", 1, lambda r: r["encryption"]["calls"]["begin"]
    ),
    Goal("the same: CPU of an append / plain", 1.15, lambda r: r["encryption"]["cpu"]["append"]),
    Goal("the same: CPU of a cold read of 1,000 messages / plain", 1.1, _sealed_read),
    Goal("import of the package beyond its dependencies, CPU ms", 30, _import),
)
