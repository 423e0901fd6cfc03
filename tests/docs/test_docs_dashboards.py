"""The dashboards show what is measured: each metric and label that they name is one."""

from __future__ import annotations

import json
import re
from itertools import combinations
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from documentation import ROOT
from langchain_dynamodb import errors
from langchain_dynamodb.errors import ThrottledError
from langchain_dynamodb.observers import Operation, Request
from langchain_dynamodb.telemetry import OpenTelemetry

FOLDER = ROOT / "docs/dashboards"
HOWTO = ROOT / "docs/howto/observe.md"
# Developer Guide, "DynamoDB metrics and dimensions": each metric that a dashboard may show, with its dimensions.
OF_A_TABLE, OF_AN_OPERATION = ["TableName"], ["TableName", "Operation"]
AWS_METRICS = {
    "ConditionalCheckFailedRequests": OF_A_TABLE,
    "ConsumedReadCapacityUnits": OF_A_TABLE,
    "ConsumedWriteCapacityUnits": OF_A_TABLE,
    "ReadThrottleEvents": OF_A_TABLE,
    "ReplicationLatency": ["TableName", "ReceivingRegion"],
    "SuccessfulRequestLatency": OF_AN_OPERATION,
    "SystemErrors": OF_AN_OPERATION,
    "ThrottledRequests": OF_AN_OPERATION,
    "TimeToLiveDeletedItemCount": OF_A_TABLE,
    "UserErrors": [],
    "WriteThrottleEvents": OF_A_TABLE,
}


def load(name: str) -> Any:
    """A dashboard."""
    return json.loads((FOLDER / name).read_text(encoding="utf-8"))


def measured() -> dict[str, tuple[Any, set[str]]]:
    """Every metric of ours, with all labels that its points can have."""
    reader = InMemoryMetricReader()
    observer = OpenTelemetry(meter_provider=MeterProvider([reader]), spans=False)
    operation = Operation("append", "T", "s", 1, cache_hits=1, error=ThrottledError("slow", code="Throttling"))
    observer.requested(operation, Request("UpdateItem", attempts=2, read_units=1, write_units=1, refused=True))
    failed = Request("UpdateItem", table="T", endpoint="http://localhost:8000", error=operation.error)
    observer.requested(operation, failed)
    observer.finished(operation)
    data: Any = reader.get_metrics_data()
    metrics = [metric for r in data.resource_metrics for scope in r.scope_metrics for metric in scope.metrics]
    return {m.name: (m, {label for point in m.data.data_points for label in point.attributes}) for m in metrics}


def as_in_prometheus(name: str) -> str:
    """A name as the exporters of OpenTelemetry write it."""
    return re.sub(r"\W", "_", name)


def series() -> dict[str, set[str]]:
    """The time series that Prometheus has of our metrics, each with its labels."""
    found: dict[str, set[str]] = {}
    for name, (metric, labels) in measured().items():
        known = {as_in_prometheus(label) for label in labels}
        if metric.unit == "s":
            found |= {f"{as_in_prometheus(name)}_seconds_{part}": known | {"le"} for part in ("bucket", "count", "sum")}
        else:
            found[f"{as_in_prometheus(name)}_total"] = known
    return found


def test_the_page_lists_every_metric() -> None:
    """With its labels, and no other."""
    table = HOWTO.read_text(encoding="utf-8").partition("| metric | kind, unit | by |\n")[2].partition("\n\n")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[1:]]
    listed = {row[0].strip("`"): set(re.findall(r"`([\w.]+\.[\w.]+)`", row[2])) for row in rows}
    same = listed["langchain_dynamodb.conflicts"]
    listed = {name: labels or same for name, labels in listed.items()}
    about_system = {"db.system.name"}  # the same on each
    assert listed == {name: labels - about_system for name, (_, labels) in measured().items()}


def test_the_alarms_go_off() -> None:
    """Each error that the table of alarms names is what an operation is counted under, also with a code of AWS."""
    page = HOWTO.read_text(encoding="utf-8").partition("## Alarms worth having")[2].partition("\n## ")[0]
    conditions = [line.split("|")[1] for line in page.splitlines() if line.startswith("|")]
    named = set(re.findall(r"\b\w+Error\b", " ".join(conditions)))
    assert named >= {"ThrottledError", "StorageError", "CorruptSessionError"}
    for name in named:
        kind = getattr(errors, name)
        error = kind("no", code="Code") if issubclass(kind, errors.StorageError) else kind.__new__(kind, "no")
        reader = InMemoryMetricReader()
        observer = OpenTelemetry(meter_provider=MeterProvider([reader]), spans=False)
        observer.finished(Operation("append", "T", "s", error=error))
        data: Any = reader.get_metrics_data()
        [metric] = data.resource_metrics[0].scope_metrics[0].metrics
        assert [point.attributes["error.type"] for point in metric.data.data_points] == [name]


def test_grafana_asks_for_what_is_measured() -> None:
    """Each expression names series and labels that are there, and its brackets close."""
    board, known, used = load("grafana.json"), series(), set()
    labels = set().union(*known.values())
    expressions = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    for expression in expressions:
        bare = re.sub(r'"[^"]*"', "", expression)
        named = set(re.findall(r"\b(?:langchain_dynamodb|db_client)\w*(?=\{)", bare))
        asked = set(re.findall(r"(\w+)(?:=|!=|=~)", bare)) | {
            name for some in re.findall(r"by \(([^)]*)\)", bare) for name in some.split(", ")
        }
        assert named, expression
        assert named <= known.keys(), expression
        assert asked <= set().union(*(known[name] for name in named)), expression
        assert [bare.count(a) - bare.count(b) for a, b in ("()", "{}", "[]")] == [0, 0, 0], expression
        used |= named
    legends = {name for panel in board["panels"] for target in panel["targets"]
               for name in re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])}  # fmt: skip
    assert legends <= labels
    assert {name for name in known if not name.endswith(("_sum", "_count", "_bucket"))} <= used
    [query] = [one["query"] for one in board["templating"]["list"] if one["name"] == "table"]
    metric, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", query).groups()  # type: ignore[union-attr]
    assert label in known[metric]


def test_cloudwatch_asks_for_what_aws_measures() -> None:
    """Each metric is one of DynamoDB's, with all of its dimensions, of the table and region to be replaced."""
    board = load("cloudwatch.json")
    charts = [widget["properties"] for widget in board["widgets"] if widget["type"] == "metric"]
    assert len(charts) > 5
    for chart in charts:
        assert chart["region"] == "eu-central-1"
        for row in chart["metrics"]:
            space, metric, *dimensions = [cell for cell in row if isinstance(cell, str)]
            assert (space, dimensions[::2]) == ("AWS/DynamoDB", AWS_METRICS[metric])
            assert "TableName" not in dimensions or "SessionTable" in dimensions


@pytest.mark.parametrize("name", ["grafana.json", "cloudwatch.json"])
def test_no_panel_hides_another(name: str) -> None:
    """They stand beside each other on a grid of 24 columns."""
    board = load(name)
    places = [panel.get("gridPos") or {"w": panel["width"], "h": panel["height"], **panel}
              for panel in board.get("panels") or board["widgets"]]  # fmt: skip
    squares = [{(x, y) for x in range(p["x"], p["x"] + p["w"]) for y in range(p["y"], p["y"] + p["h"])} for p in places]
    assert [pair for pair in combinations(squares, 2) if pair[0] & pair[1]] == []
    assert max(x for square in squares for x, _ in square) == 23
