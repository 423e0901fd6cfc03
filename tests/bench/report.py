"""The tables and plots of docs/performance.md, made from the results; the text around them is written by hand."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import plots
from goals import GOALS, Results
from layers import LAYERS

Rows = Sequence[Sequence[object]]
_BLOCK = re.compile(r"<!-- bench: (\w+) -->\n(.*?)<!-- end -->", re.DOTALL)
_UNMEASURED = " | - | - |"  # how the line of a goal ends
_PLOTTED = "1.2 KB"
_PLOTTED_AGENT = "an answer"
_UNITS = ("write units", "read units", "requests", "bytes sent", "bytes received", "dollars for a million turns")


def table(head: Sequence[str], rows: Rows) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines) + "\n"


def goals(results: Results) -> str:
    """Return the goals and whether they are met."""
    return table(("goal", "measured", "met"), [goal.check(results) for goal in GOALS])


def write(results: Results, docs: Path) -> None:
    """Bring the page and its plots up to date; parts that were not measured stay as they are."""
    page = docs / "performance.md"
    made = {name: make(results) for name, make in SECTIONS.items() if SOURCES.get(name, name) in {*results, None}}

    def fill(match: re.Match[str]) -> str:
        name, shown = match[1], match[2]
        return f"<!-- bench: {name} -->\n{keep_unmeasured(made.get(name, shown), shown)}<!-- end -->"

    page.write_text(_BLOCK.sub(fill, page.read_text(encoding="utf-8")), encoding="utf-8")
    (docs / "images").mkdir(exist_ok=True)
    for name, svg in _plots(results):
        (docs / "images" / f"{name}.svg").write_text(svg, encoding="utf-8")


def keep_unmeasured(made: str, shown: str) -> str:
    """Return what was made, but of goals that were not measured the lines that the page shows."""
    known = {_goal(line): line for line in shown.splitlines()}
    lines = [known.get(_goal(line), line) if line.endswith(_UNMEASURED) else line for line in made.splitlines()]
    return "".join(f"{line}\n" for line in lines)


def _goal(line: str) -> str:
    return line.split(" | ")[0]


def _read(bill: dict[str, float]) -> str:
    return f"{bill['read_units']:g} / {bill['requests']} / {bill['received']:,}"


def _counts(results: Results) -> str:
    appends, reads = [], []
    for row in results["counts"]:
        turn, found = row["append"], row["reads"]
        where = row["kind"], f"{row['turns']:,}{' (full)' if row['ended'] else ''}", row["contender"]
        numbers = (turn["write_units"], turn["read_units"], turn["requests"])
        appends.append(
            (
                *where,
                *(f"{n:.2f}" for n in numbers),
                f"{turn['sent']:,.0f}",
                f"{turn['received']:,.0f}",
                f"{row['dollars']:.2f}",
            )
        )
        cells = [_read(found[name]) for name in ("cold", "warm", "last 20")]
        reads.append((*where, *cells))
    head = ("turn", "turns", "")
    return (
        f"Each append, at that length of the session:\n\n{table((*head, *_UNITS), appends)}\n"
        "Each read: read units / requests / bytes received. Cold: a process that has not seen the session; warm: the "
        f"next turn in the same one, mean of ten.\n\n{table((*head, 'all, cold', 'all, warm', 'last 20, cold'), reads)}"
    )


def _cpu(results: Results) -> str:
    parts = []
    for title, measured in results["cpu"].items():
        for what, found in measured.items() if "us" not in measured else [("", measured)]:
            rows = [(name, f"{us:,.0f}") for name, us in found["us"].items()]
            ratios = "; ".join(f"{name}: **{value:g}**" for name, value in found.items() if isinstance(value, float))
            heading = ", ".join(filter(None, (title, what)))
            parts.append(f"{heading[0].upper()}{heading[1:]}. {ratios}\n\n{table(('', 'microseconds of CPU'), rows)}")
    return "\n".join(parts)


def _layers(results: Results) -> str:
    """Where the time goes: each sampled operation a column of microseconds, the floor beside ours."""
    sampled: dict[str, dict[str, float]] = {}
    for title, measured in results["cpu"].items():
        for what, found in measured.items() if "us" not in measured else [("", measured)]:
            for name, layers in found.get("layers", {}).items():
                sampled[f"{', '.join(filter(None, (title, what)))}: {name}"] = layers
    rows = [
        (title, *(f"{us:,.0f}" for us in (sum(found.values()), *found.values()))) for title, found in sampled.items()
    ]
    return table(("microseconds of CPU", "all", *LAYERS), rows)


def _throughput(results: Results) -> str:
    rows, ratios = [], []
    for sessions, found in results["throughput"].items():
        for name, value in found.items():
            if isinstance(value, dict):
                rows.append((sessions, name, *(f"{value[key]:,.1f}" for key in ("turns/s", "p50 ms", "p99 ms"))))
            else:
                ratios.append(f"{name} at {sessions}: **{value:g}**")
    return "; ".join(ratios) + "\n\n" + table(("sessions", "", "turns a second", "p50 ms", "p99 ms"), rows)


def _blocks(results: Results) -> str:
    rows = [(name, found["longest ms"], found["collector ms"]) for name, found in results["blocks"].items()]
    return table(("read of 10,000 messages", "longest block, ms", "longest pass of the garbage collector, ms"), rows)


def _memory(results: Results) -> str:
    found = results["memory"]
    peaks = [(name, *value.values()) for name, value in found.items() if "peak MB" in value]
    objects = [
        (name, value["bytes"], value["us"]) for name, value in found["objects"].items() if isinstance(value, dict)
    ]
    return (
        table(("", "messages", "peak MB", "MB kept at the end"), peaks)
        + "\n"
        + table(("object, idle", "bytes", "microseconds to make"), objects)
        + "\n"
        + table(("", "CPU ms"), list(found["times"].items()))
    )


def _sequence(results: Results) -> str:
    rows = [(kind, *found.values()) for kind, found in results["sequence"].items()]
    return table(("turn", "append, in sequence", "cold read, in sequence", "cold read, all"), rows)


def _codec(results: Results) -> str:
    found = results["codec"]
    plain = "; ".join(f"{what}: **{value:g}**" for what, value in found["plain, now / earlier"].items())
    alone, calls = (found[f"others / plain, {which}"] for which in ("the codec alone", "whole calls"))
    rows = [(name, *ratios.values(), *calls[name].values()) for name, ratios in alone.items()]
    head = ("other values / the same as plain JSON", "codec, write", "codec, read", "append", "read")
    return f"Plain JSON, now / before there were other values. {plain}\n\n{table(head, rows)}"


def _steady(results: Results) -> str:
    rows = [
        (what, name, f"{us:,.0f}", f"{found['ratio'][name]:g}")
        for what, found in results["steady"].items()
        for name, us in found["us"].items()
    ]
    return table(("cold, steady state", "", "microseconds of CPU", "/ ours"), rows)


def _agents(results: Results) -> str:
    found = results["agents"]
    rows = [
        (
            row["kind"],
            f"{row['turns']:,}{' (ends)' if row['error'] else ''}",
            row["peer"],
            *(f"{row['turn'][name]:,.1f}" for name in ("write_units", "read_units", "requests")),
            *(f"{row['turn'][name]:,.0f}" for name in ("sent", "received")),
            f"{row['dollars']:,.2f}",
            f"{row['stored'] / 1000:,.0f}",
        )
        for row in found["rows"]
    ]
    head = ("turn", "turns", "", *_UNITS, "KB stored")
    ends = [
        f"{row['peer']} ends after {row['turns']:,} turns ({row['kind']}): {row['error']}"
        for row in found["rows"]
        if row["error"]
    ]
    versions = ", ".join(f"{name} {number}" for name, number in found["versions"].items())
    notes = "".join(f"- {note}\n" for note in (*ends, f"Measured with {versions}"))
    return f"{table(head, rows)}\n{notes}"


def _against(results: Results) -> str:
    found = results["against"]
    rows = [
        (name, f"{ratio:g}", *(f"{found[kind][name]:g}" for kind in ("floor", "checked")), f"{found['us'][name]:,.0f}")
        for name, ratio in found["ratio"].items()
    ]
    head = (f"CPU / commit {found['commit']}", "now", "the floor", "and exact, proved", "microseconds now")
    return table(head, rows)


def _encryption(results: Results) -> str:
    found = results["encryption"]
    rows = []
    for kind, ways in found["bills"].items():
        for way, bills in ways.items():
            append, ratio = bills["append"], bills["append"]["write_units"] / ways["plain"]["append"]["write_units"]
            numbers = f"{append['write_units']:.2f}", f"{ratio:.2f}", f"{append['requests']:.2f}"
            rows.append((kind, way, *numbers, *(_read(bills[name]) for name in ("warm", "cold", "last 20"))))
    head = ("turn", "", "write units", "/ plain", "requests", "all, warm", "all, cold", "last 20, cold")
    cpu = table(("CPU, encrypted / plain", "ratio"), [(name, f"{ratio:g}") for name, ratio in found["cpu"].items()])
    calls = found["calls"]
    told = f"{calls['sessions']:,} sessions that begin one after the other: {calls['begin']} call of the keyring; "
    told += f"another process that reads them all: {calls['read']}."
    return f"{table(head, rows)}\n{cpu}\n{told}\n"


def _environment(results: Results) -> str:
    return table(("measured on", ""), list(results["environment"].items()))


SECTIONS = {
    "goals": goals,
    "counts": _counts,
    "cpu": _cpu,
    "layers": _layers,
    "throughput": _throughput,
    "blocks": _blocks,
    "memory": _memory,
    "sequence": _sequence,
    "codec": _codec,
    "against": _against,
    "steady": _steady,
    "agents": _agents,
    "encryption": _encryption,
    "environment": _environment,
}
SOURCES: dict[str, str | None] = {"goals": None, "layers": "cpu"}  # sections not named after a part; None: always


def _plots(results: Results) -> Iterator[tuple[str, str]]:
    rows = [row for row in results.get("counts", []) if row["kind"] == _PLOTTED]
    names = list(dict.fromkeys(row["contender"] for row in rows))

    def series(value: Any) -> dict[str, list[tuple[float, float]]]:
        return {name: [(row["turns"], value(row)) for row in rows if row["contender"] == name] for name in names}

    if rows:
        x = "turns in the session (lines end where the item is full)"
        yield (
            "write-units",
            plots.lines("Write units of a 1.2 KB turn", x, "write units", series(lambda r: r["append"]["write_units"])),
        )
        yield (
            "read-units",
            plots.lines(
                "Read units of a cold full read", x, "read units", series(lambda r: r["reads"]["cold"]["read_units"])
            ),
        )
        yield (
            "dollars",
            plots.lines("Dollars for a million turns (read all, append)", x, "dollars", series(lambda r: r["dollars"])),
        )
    if "agents" in results:
        yield (
            "agents",
            plots.lines("Write units of an agent's turn", "turns so far", "write units", _agent_lines(results)),
        )
    for title, measured in results.get("cpu", {}).items():
        if "read" in measured and "short" not in title:
            shown = {name: us / 1000 for name, us in measured["read"]["us"].items()}
            yield "cpu-typical", plots.bars(f"CPU of a cold read of {title}", "ms", shown)
    if "32" in results.get("throughput", {}):
        shown = {name: v["turns/s"] for name, v in results["throughput"]["32"].items() if isinstance(v, dict)}
        yield (
            "throughput",
            plots.bars("Chat turns a second at 600 messages, 32 sessions, one event loop", "turns/s", shown),
        )


def _agent_lines(results: Results) -> dict[str, list[tuple[float, float]]]:
    """The peers that write to DynamoDB; a colder reader writes the same."""
    found: dict[str, list[tuple[float, float]]] = {}
    for row in results["agents"]["rows"]:
        if row["kind"] == _PLOTTED_AGENT and row["turn"]["write_units"] and row["peer"] != "ours, cold":
            found.setdefault(row["peer"], []).append((row["turns"], row["turn"]["write_units"]))
    return found
