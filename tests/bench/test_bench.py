"""The benchmark runs: a tiny one goes through most parts and writes its tables and plots."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import TestEngine

ROOT = Path(__file__).parents[2]


PARTS = ("counts", "sequence", "throughput", "blocks", "codec", "agents")  # the others take half a minute even so


@pytest.mark.once
@pytest.mark.dynamodb_local_only
def test_a_tiny_benchmark(engine: TestEngine, tmp_path: Path) -> None:
    """These parts give results, the page is filled in, and the bounds on counts hold even here."""
    shutil.copy(ROOT / "docs" / "performance.md", tmp_path)
    results = tmp_path / "results.json"
    command = [sys.executable, str(ROOT / "tests" / "bench"), *PARTS, "--small", "--docs", str(tmp_path)]
    command += ["--results", str(results), "--endpoint-url", str(engine.endpoint_url)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    measured = json.loads(results.read_text())
    assert set(measured) == {*PARTS, "environment"}
    assert set(measured["sequence"]) == {"short", "1.2 KB", "6 KB"}
    assert measured["sequence"]["6 KB"] == {"append": 1, "read": 2, "requests of that read": 2}
    contenders = {row["contender"] for row in measured["counts"]}
    assert {"ours", "item per message", "langchain_community"} <= contenders
    agents = {row["peer"] for row in measured["agents"]["rows"] if not row["error"]}
    assert {"ours", "ours, cold", "InMemorySaver"} <= agents
    page = (tmp_path / "performance.md").read_text()
    assert "| warm next turn, the dearest kind and length: read units: at most 1 | 1 | yes |" in page
    assert {image.name for image in (tmp_path / "images").iterdir()} >= {
        "write-units.svg",
        "read-units.svg",
        "agents.svg",
    }
