"""The walk through langchain_community's documentation page, and two things beyond it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import boto3
from botocore.exceptions import ClientError

import steps
from items import item_size
from langchain_dynamodb import DynamoDBChatMessageHistory, SessionRepository
from meter import Meter, Usage
from screen import Screen
from steps import HistoryClass

OURS = "langchain-dynamodb"
THEIRS = "langchain_community"
SUFFIX = "-community"  # of the tables in which langchain_community does the same
EARLY = "moto refuses at half of AWS's 400 KB: it counts old and new bytes of an update together"
REFUSED = (
    "As DynamoDB Local reports it. Refused conditional writes are billed, but not reported: those are counted by the "
    "size of the item."
)
COMMANDS = [
    ["list", "--table", "SessionTable"],
    ["show", "--table", "SessionTable", "long", "--limit", "2"],
    ["doctor", "--table", "SessionTable"],
]
WITH_COSTS = [["verify", "--table", "SessionTable"]]  # tells units, which moto makes up
NEXT = "\nNow try nox -s demo -- --chat, or -- --engine dynamodb-local to see what each step costs."


class Tour:
    """Takes each step with our class and, where langchain_community is installed, with langchain_community's."""

    def __init__(self, screen: Screen, meter: Meter | None, theirs: HistoryClass | None) -> None:
        self._screen = screen
        self._meter = meter
        self._libraries: dict[str, tuple[HistoryClass, str]] = {OURS: (DynamoDBChatMessageHistory, "")}
        if theirs:
            self._libraries[THEIRS] = (theirs, SUFFIX)
        self._bill: dict[str, list[Usage | None]] = {}
        self._dynamodb = boto3.client("dynamodb")

    def run(self) -> None:
        """Take all steps."""
        self._create_tables()
        self._walk_through_page()
        self._write_at_once()
        self._grow()
        self._use_long_session()
        self._look_after_it()
        if self._meter:
            self._screen.bill(self._bill, list(self._libraries))
            self._screen.say(REFUSED, "dim")
        else:
            self._screen.say(NEXT, "dim")

    def _create_tables(self) -> None:
        self._screen.step(steps.create_table)
        for _, suffix in self._libraries.values():
            steps.create_table("SessionTable" + suffix)
            self._create_by_hand("UserTable" + suffix, "UserId")
            self._create_by_hand("CompositeTable" + suffix, "PK", "SK")
        self._screen.result("SessionTable is there. So are UserTable and CompositeTable, made by hand with boto3.")
        sessions = SessionRepository("SessionTable")
        for session_id in ("0", "bob", "team", "long"):
            earlier = sessions.read(session_id, limit=0)
            if earlier.message_count:
                text = f"goes on after {earlier.message_count:,} messages of an earlier run"
                self._screen.result(text, f"session {session_id!r}")

    def _create_by_hand(self, table_name: str, *keys: str) -> None:
        """Create a table as langchain_community's page does."""
        if table_name in self._dynamodb.list_tables()["TableNames"]:
            return
        self._dynamodb.create_table(
            TableName=table_name,
            KeySchema=[{"AttributeName": keys[n], "KeyType": ("HASH", "RANGE")[n]} for n in range(len(keys))],
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in keys],
            BillingMode="PAY_PER_REQUEST",
        )
        self._dynamodb.get_waiter("table_exists").wait(TableName=table_name)

    def _walk_through_page(self) -> None:
        pages_key = {"PK": "session_id::0", "SK": "langchain_history"}
        self._show(steps.write_and_read, "SessionTable", {"SessionId": "0"})
        self._show(steps.custom_endpoint, "SessionTable")
        self._show(steps.other_key_name, "UserTable", {"UserId": "0"})
        self._show(steps.composite_key, "CompositeTable", pages_key)
        self._show(steps.chain, "SessionTable", {"SessionId": "bob"})

    def _show(self, step: Callable[..., Any], table: str, key: dict[str, str] | None = None) -> None:
        self._screen.step(step)
        self._screen.result(self._each(step, table)[OURS])
        if key:
            named = {name: {"S": value} for name, value in key.items()}
            found = self._dynamodb.get_item(TableName=table, Key=named, ConsistentRead=True)
            self._screen.table_holds(found["Item"], whole=step is steps.write_and_read)

    def _write_at_once(self) -> None:
        self._screen.step(steps.twenty_writers)
        before = self._count("team")
        self._each(steps.twenty_writers, "SessionTable")
        after = self._count("team")
        for name in self._libraries:
            self._screen.result(f"{after[name] - before[name]} of 20 messages kept", name)

    def _grow(self) -> None:
        self._screen.step(steps.fill)
        if self._count("long")[OURS]:
            self._screen.result("an earlier run has done it")
        else:
            refused = self._each(steps.fill, "SessionTable")
            for name, count in self._count("long").items():
                refusal = f", then {refused[name]}" if refused[name] else ""
                self._screen.result(f"{count:,} of 1,000 messages kept{refusal}", name)
            if THEIRS in self._libraries and not self._meter:
                self._screen.say(f"      {EARLY}", "dim")
        items = [item for item in self._scan("SessionTable") if item["SessionId"]["S"].startswith("long")]
        self._screen.table_holds_many([item_size(item) for item in items])

    def _use_long_session(self) -> None:
        self._screen.step(steps.add_a_turn)
        refused = self._each(steps.add_a_turn, "SessionTable")
        for name, count in self._count("long").items():
            self._screen.result(refused[name] or f"now {count:,} messages", name)
        for step, limit in ((steps.read_whole, None), (steps.read_window, 20)):
            self._screen.step(step)
            for name, messages in self._each(step, "SessionTable").items():
                self._screen.result(f"{len(messages):,} messages", name)
            with self._measure(f"{step.__doc__}, nothing cached"):
                SessionRepository("SessionTable").read("long", limit=limit)

    def _look_after_it(self) -> None:
        self._screen.say("\n[bold cyan]On the command line[/]")
        for words in [*COMMANDS, *(WITH_COSTS if self._meter else [])]:
            shown = " ".join(["langchain-dynamodb", *words])
            done = subprocess.run(
                [sys.executable, "-m", "langchain_dynamodb", *words], capture_output=True, text=True, check=False
            )
            self._screen.command(shown, (done.stdout + done.stderr).splitlines())

    def _count(self, session_id: str) -> dict[str, int]:
        """Return how many messages each library finds in a session of SessionTable."""
        return {
            name: len(history_class(table_name="SessionTable" + suffix, session_id=session_id).messages)
            for name, (history_class, suffix) in self._libraries.items()
        }

    def _scan(self, table: str) -> Sequence[Any]:
        pages = self._dynamodb.get_paginator("scan").paginate(TableName=table, ConsistentRead=True)
        return [item for page in pages for item in page["Items"]]

    def _each(self, step: Callable[..., Any], table: str) -> dict[str, Any]:
        """Take a step with each library, and return what came of it: a value, or DynamoDB's refusal."""
        results = {}
        for name, (history_class, suffix) in self._libraries.items():
            with self._measure(str(step.__doc__)):
                results[name] = _take(step, history_class, table + suffix)
        return results

    @contextmanager
    def _measure(self, row: str) -> Iterator[None]:
        """Put what the block costs on the bill, in the next column of a row."""
        with self._meter.measure() if self._meter else nullcontext() as usage:
            yield
        self._bill.setdefault(row, []).append(usage)


def _take(step: Callable[..., Any], history_class: HistoryClass, table: str) -> Any:
    try:
        outcome = step(history_class, table)
        return asyncio.run(outcome) if isinstance(outcome, Coroutine) else outcome
    except ClientError as error:  # only langchain_community lets it through
        return f"refused: {error.response['Error']['Message']}"
