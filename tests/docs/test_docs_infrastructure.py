"""The templates make the table that the package wants: read by parsers, made on the engine, compared."""

from __future__ import annotations

import json
import re
import runpy
import sys
import types
from collections.abc import Iterator
from typing import Any

import hcl2
import pytest
import yaml

from conftest import RepositoryFactory
from documentation import BLOCKS, ROOT
from langchain_dynamodb import Index
from support import human

FOLDER = ROOT / "docs/infrastructure"
INDEX = Index("by_user", "user")


# --- CloudFormation ---


class Loader(yaml.SafeLoader):
    """Reads the short forms of functions, ``!Ref Name``, as (name, argument)."""


def _function(loader: Any, suffix: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.ScalarNode):
        return suffix, node.value
    return suffix, loader.construct_sequence(node, deep=True)


Loader.add_multi_constructor("!", _function)


class Stack:
    """A template with values for its parameters."""

    def __init__(self, **parameters: Any) -> None:
        self.template = yaml.load((FOLDER / "cloudformation.yaml").read_text(encoding="utf-8"), Loader)
        given = {name: parameter.get("Default") for name, parameter in self.template["Parameters"].items()}
        self.parameters = {**given, **parameters}

    @property
    def resources(self) -> dict[str, Any]:
        """Those that are made, with their properties worked out."""
        found = {name: resource for name, resource in self.template["Resources"].items()
                 if "Condition" not in resource or self._holds(resource["Condition"])}  # fmt: skip
        return {name: {**resource, "Properties": self._value(resource["Properties"])}
                for name, resource in found.items()}  # fmt: skip

    def _holds(self, condition: str) -> bool:
        function, (one, other) = self.template["Conditions"][condition]
        assert function == "Equals"
        return bool(self._value(one) == self._value(other))

    def _value(self, value: Any) -> Any:
        if isinstance(value, dict):
            worked_out = {name: self._value(part) for name, part in value.items()}
            return {name: part for name, part in worked_out.items() if part is not None}
        if isinstance(value, list):
            return [self._value(part) for part in value]
        if not isinstance(value, tuple):
            return value
        function, argument = value
        if function == "If":
            condition, one, other = argument
            return self._value(one if self._holds(condition) else other)
        if function == "Ref":
            return None if argument == "AWS::NoValue" else self.parameters.get(argument, argument)
        assert function == "Sub", function
        return re.sub(r"\$\{([\w:]+)\}", lambda match: f"<{match[1]}>", argument)


# --- Terraform ---


def bare(value: Any) -> Any:
    """What the parser returns, without the quotes around texts and names."""
    if isinstance(value, dict):
        return {bare(name): bare(part) for name, part in value.items()}
    if isinstance(value, list):
        return [bare(part) for part in value]
    return value.strip('"') if isinstance(value, str) else value


def terraform() -> dict[str, Any]:
    """The table of the Terraform module, as CreateTable takes it, on demand."""
    module = bare(hcl2.loads((FOLDER / "main.tf").read_text(encoding="utf-8")))
    resources = {kind: made for resource in module["resource"] for kind, made in resource.items()}
    assert set(resources) == {"aws_dynamodb_table", "aws_appautoscaling_target", "aws_appautoscaling_policy"}
    table = resources["aws_dynamodb_table"]["sessions"]
    assert (table["ttl"][0]["attribute_name"], table["ttl"][0]["enabled"]) == ("expireAt", True)
    assert table["point_in_time_recovery"][0]["enabled"] is True
    assert table["deletion_protection_enabled"] is True
    moved_by_scaling = {"read_capacity", "write_capacity", "global_secondary_index"}
    assert {name.strip("${}") for name in table["lifecycle"][0]["ignore_changes"]} == moved_by_scaling
    types = {attribute["name"]: attribute["type"] for attribute in table["attribute"]}
    [index] = table["global_secondary_index"]
    keys = [index["hash_key"], index["range_key"]]
    return request([table["hash_key"]], types, index["name"], keys, index["non_key_attributes"])


def request(
    keys: list[str], types: dict[str, str], index: str, index_keys: list[str], carried: list[str]
) -> dict[str, Any]:
    """CreateTable."""

    def schema(names: list[str]) -> list[dict[str, str]]:
        return [{"AttributeName": n, "KeyType": k} for n, k in zip(names, ("HASH", "RANGE"), strict=False)]

    projection = {"ProjectionType": "INCLUDE", "NonKeyAttributes": carried}
    return {
        "KeySchema": schema(keys),
        "AttributeDefinitions": [{"AttributeName": name, "AttributeType": kind} for name, kind in types.items()],
        "GlobalSecondaryIndexes": [{"IndexName": index, "KeySchema": schema(index_keys), "Projection": projection}],
        "BillingMode": "PAY_PER_REQUEST",
    }


# --- CDK ---


class Recorded:
    """What a construct was made with; whatever else is asked of it is another of these."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.arguments, self.options = arguments, options

    def __getattr__(self, name: str) -> Any:
        return type(name, (Recorded,), {})


@pytest.fixture
def cdk(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """The table of the CDK application, which is run with stand-ins for its library."""
    made: dict[str, Any] = {}

    class Table(Recorded):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            made.update(options)

    class Module(types.ModuleType):
        def __getattr__(self, name: str) -> Any:
            if name.startswith("__"):
                raise AttributeError(name)
            if name == "AttributeType":
                return types.SimpleNamespace(STRING="S", NUMBER="N")
            return Table if name == "TableV2" else type(name, (Recorded,), {"on_demand": Recorded, **_STATIC})

    for name in ("aws_cdk", "aws_cdk.aws_dynamodb", "aws_cdk.aws_iam"):
        monkeypatch.setitem(sys.modules, name, Module(name))
    for name in ("aws_dynamodb", "aws_iam"):
        setattr(sys.modules["aws_cdk"], name, sys.modules[f"aws_cdk.{name}"])
    runpy.run_path(str(FOLDER / "cdk_app.py"))
    return made


_STATIC = {"aws_managed_key": Recorded, "INCLUDE": "INCLUDE", "RETAIN": "RETAIN"}


def from_cdk(made: dict[str, Any]) -> dict[str, Any]:
    """As CreateTable takes it."""
    assert (made["time_to_live_attribute"], made["deletion_protection"]) == ("expireAt", True)
    assert (made["removal_policy"], made["point_in_time_recovery_specification"].options) == (
        "RETAIN",
        {"point_in_time_recovery_enabled": True},
    )
    [index] = [one.options for one in made["global_secondary_indexes"]]
    keys = [made["partition_key"], index["partition_key"], index["sort_key"]]
    types = {key.options["name"]: key.options["type"] for key in keys}
    names = list(types)
    return request(names[:1], types, index["index_name"], names[1:], index["non_key_attributes"])


# --- The tests ---


def creating(properties: dict[str, Any]) -> dict[str, Any]:
    """The properties that CreateTable takes too, and DynamoDB Local as well."""
    names = ["KeySchema", "AttributeDefinitions", "GlobalSecondaryIndexes", "BillingMode", "ProvisionedThroughput"]
    return {name: properties[name] for name in names if name in properties}


@pytest.mark.parametrize("capacity", ["on-demand", "provisioned"])
async def test_cloudformation(make_repository: RepositoryFactory, dynamodb: Any, capacity: str) -> None:
    """The table can be made, and is one to which the package has nothing to add; listing works."""
    stack = Stack(Capacity=capacity)
    table = stack.resources["Table"]
    properties = table["Properties"]
    assert (table["DeletionPolicy"], properties["DeletionProtectionEnabled"]) == ("Retain", True)
    assert properties["TimeToLiveSpecification"] == {"AttributeName": "expireAt", "Enabled": True}
    assert properties["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    name = f"{make_repository.table_name}-stack"
    dynamodb.create_table(TableName=name, **creating(properties))
    try:
        sessions = make_repository(name)
        before = dynamodb.describe_table(TableName=name)["Table"]
        await sessions.create_table(indexes=[INDEX])  # which would refuse another index of that name
        assert (
            dynamodb.describe_table(TableName=name)["Table"]["GlobalSecondaryIndexes"]
            == before["GlobalSecondaryIndexes"]
        )
        await sessions.append("s", [human()], attributes={"user": "u"})
        assert [one.session async for one in sessions.list(index="by_user", partition="u")] == ["s"]
    finally:
        dynamodb.delete_table(TableName=name)


def test_auto_scaling() -> None:
    """Only where capacity is provisioned: of the table and its index, reads and writes, each with a policy."""
    assert set(Stack().resources) == {"Table"}
    made = Stack(Capacity="provisioned").resources
    targets = {n: r["Properties"] for n, r in made.items() if r["Type"].endswith("ScalableTarget")}
    policies = [r["Properties"] for r in made.values() if r["Type"].endswith("ScalingPolicy")]
    assert {(t["ResourceId"], t["ScalableDimension"]) for t in targets.values()} == {
        (resource, f"dynamodb:{kind}:{way}CapacityUnits")
        for resource, kind in (("table/<Table>", "table"), ("table/<Table>/index/by_user", "index"))
        for way in ("Read", "Write")
    }
    assert sorted(policy["ScalingTargetId"] for policy in policies) == sorted(targets)
    for policy in policies:
        scaled = targets[policy["ScalingTargetId"]]["ScalableDimension"]
        how = policy["TargetTrackingScalingPolicyConfiguration"]
        metric = how["PredefinedMetricSpecification"]["PredefinedMetricType"]
        assert (how["TargetValue"], metric[len("DynamoDB") :].partition("Capacity")[0] in scaled) == (70, True)


def test_a_shared_table() -> None:
    """A role of another account gets the rights that the page on permissions lists, and a look at the table."""
    assert "ResourcePolicy" not in Stack().resources["Table"]["Properties"]
    role = "arn:aws:iam::123456789012:role/Chat"
    policy = Stack(SharedWith=role).resources["Table"]["Properties"]["ResourcePolicy"]["PolicyDocument"]
    [statement] = policy["Statement"]
    page = ROOT / "docs/permissions.md"
    [own, *_] = [json.loads(block.code) for block in BLOCKS if block.language == "json" and block.page == page]
    assert {*statement["Action"]} == {*own["Statement"][0]["Action"], "dynamodb:DescribeTable"}
    assert (statement["Principal"], statement["Resource"].rpartition(":")[2]) == ({"AWS": role}, "table/<TableName>")


def test_all_make_the_same_table(cdk: dict[str, Any]) -> None:
    """And it is the one that `create_table` makes."""
    wanted = request(
        ["SessionId"],
        {"SessionId": "S", "user": "S", "lc_updated": "N"},
        INDEX.name,
        list(INDEX.keys),
        INDEX.request(_names(), ["SessionId"])["Projection"]["NonKeyAttributes"],
    )
    assert creating(Stack().resources["Table"]["Properties"]) == wanted
    assert terraform() == wanted
    assert from_cdk(cdk) == wanted


def _names() -> Any:
    from langchain_dynamodb._items.configured_names import Names

    return Names("History", "expireAt")
