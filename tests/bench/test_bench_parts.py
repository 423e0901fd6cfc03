"""What the benchmark works out without an engine: its turns, its ratios, what of its page stays."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from corpus import compact_json

pytestmark = pytest.mark.once


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> dict[str, ModuleType]:
    """The benchmark's modules, which run as programs and so are no package."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "docs" / "examples" / "demo"))
    import agents
    import report
    import steady
    import wire

    return {module.__name__: module for module in (agents, report, steady, wire)}


def test_turns_of_an_agent_are_of_their_kind(bench: dict[str, ModuleType]) -> None:
    """An answer alone, or the call of a tool, its result and an answer; the same for all peers."""
    agents = bench["agents"]
    found = {kind: [next(agents.turns(kind)) for _ in range(2)] for kind in agents.KINDS}
    types = {kind: [[message.type for message in turn] for turn in turns] for kind, turns in found.items()}
    assert types == {"an answer": [["human", "ai"]] * 2, "a tool, an answer": [["human", "ai", "tool", "ai"]] * 2}
    for one, other in found.values():
        assert compact_json(one) == compact_json(other)


def test_a_steady_state_has_its_share_of_full_passes(bench: dict[str, ModuleType]) -> None:
    """The mean of all rounds: of a pass of the collector that one round in three has, each has a third."""
    compared = bench["steady"].compare({"ours": [1.0, 1.0, 4.0], "theirs": [4.0, 4.0, 10.0]})
    assert compared == {"us": {"ours": 2e6, "theirs": 6e6}, "ratio": {"ours": 1.0, "theirs": 3.0}}


def test_goals_that_were_not_measured_keep_their_line(bench: dict[str, ModuleType]) -> None:
    """A part that is run alone changes the goals that it measures, and no others."""
    shown = "| a: at most 1 | 0.5 | yes |\n| b: at most 1 | 0.5 | yes |\n"
    made = "| a: at most 1 | 2 | **no** |\n| b: at most 1 | - | - |\n| c: at most 1 | - | - |\n"
    kept = "| a: at most 1 | 2 | **no** |\n| b: at most 1 | 0.5 | yes |\n| c: at most 1 | - | - |\n"
    assert bench["report"].keep_unmeasured(made, shown) == kept


def test_a_peer_that_ends_is_told_with_its_error(bench: dict[str, ModuleType]) -> None:
    """The table has how far it came; the list below it, why it ended."""
    bill = {"requests": 2.0, "write_units": 3.0, "read_units": 1.0, "sent": 10.0, "received": 20.0}
    row = {"kind": "an answer", "peer": "it", "turns": 7, "turn": bill, "dollars": 2.0, "stored": 5000}
    results = {"agents": {"rows": [{**row, "error": "Full: no room"}], "versions": {"it": "1.0"}}}
    *_, line, _, ended, versions = bench["report"].SECTIONS["agents"](results).splitlines()
    assert line == "| an answer | 7 (ends) | it | 3.0 | 1.0 | 2.0 | 10 | 20 | 2.00 | 5 |"
    assert ended == "- it ends after 7 turns (an answer): Full: no room"
    assert versions == "- Measured with it 1.0"


def test_what_a_saver_in_memory_keeps_is_counted(bench: dict[str, ModuleType]) -> None:
    """Keys and values that are text or bytes, however deep."""
    assert bench["agents"]._bytes_within({("a", "bc"): {"d": ("msgpack", b"1234", None)}}) == 15


@pytest.mark.parametrize(("consistent", "billed"), [(False, 128), (True, 256)])
def test_a_filtered_page_is_billed_to_its_end(bench: dict[str, ModuleType], consistent: bool, billed: float) -> None:
    """DynamoDB ends a page at 1 MB before it filters; without a filter, and below 1 MB, the engine is right."""
    as_billed = bench["wire"].as_billed
    answers = [{"ConsumedCapacity": {"TableName": "t", "CapacityUnits": units}} for units in (7.5, 488.5)]
    request = {"FilterExpression": "a = :a", "ConsistentRead": consistent}
    found = [as_billed(request, answer)["ConsumedCapacity"]["CapacityUnits"] for answer in answers]
    assert found == [7.5, billed]
    assert [as_billed({}, answer) for answer in answers] == answers
