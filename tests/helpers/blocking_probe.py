"""A program: every asynchronous operation, the very first included, with a look-out for calls that block the loop.

``python blocking_probe.py endpoint_url what`` prints a line for each blocking call: the call, and the function of a
library outside the standard one that made it. `what` is "given" for an aioboto3 session of the caller's own, "boto3"
for a boto3 one, and "sleep" to block on purpose.
"""

from __future__ import annotations

import asyncio
import builtins
import io
import os
import ssl
import sys
import time
import traceback
import uuid
from collections.abc import Callable
from typing import Any

import aioboto3
import boto3
from blockbuster import BlockBuster, BlockBusterFunction
from langchain_core.messages import BaseMessage, HumanMessage

from langchain_dynamodb import AsyncSessionRepository, DynamoDBChatMessageHistory, Sizes

# What blockbuster does not know by itself: opening files, and loading certificates (50 ms of it).
MORE: list[tuple[Any, str]] = [(builtins, "open"), (io, "open"), (os, "open")]
MORE += [(ssl.SSLContext, name) for name in ("load_verify_locations", "load_default_certs", "load_cert_chain")]
STANDARD = (os.path.dirname(os.__file__), "<frozen")


def watch(found: list[str]) -> BlockBuster:
    """Let every blocking call on a running event loop be noted, not raised: libraries would swallow an error."""
    watcher = BlockBuster()
    for module, name in MORE:
        watcher.functions[f"{module.__name__}.{name}"] = BlockBusterFunction(module, name)
    for name, function in watcher.functions.items():
        function.can_block_predicate = noted(name, function, found)
    watcher.activate()
    return watcher


def noted(name: str, function: BlockBusterFunction, found: list[str]) -> Callable[..., bool]:
    """A predicate that allows everything, after a note."""
    harmless, allowed = function.can_block_predicate, list(function.can_block_functions)

    def note(*arguments: Any, **options: Any) -> bool:
        if not harmless(*arguments, **options):
            frames = traceback.extract_stack()
            importing = any(frame.filename.startswith("<frozen importlib") for frame in frames)
            usual = any(f.filename.endswith(end) and f.name in names for f in frames for end, names in allowed)
            if not importing and not usual:
                found.append(f"{name} in {place(frames)}")
        return True

    return note


def place(frames: list[traceback.FrameSummary]) -> str:
    """The innermost function outside the standard library, blockbuster and this file's own hooks."""
    for frame in reversed(frames[:-1]):
        file = frame.filename
        library = "site-packages" in file or not file.startswith(STANDARD)
        if library and "blockbuster" not in file and frame.name != "note":
            return f"{os.path.basename(os.path.dirname(file))}.{os.path.basename(file)[:-3]}.{frame.name}"
    return "?"


async def use(sessions: AsyncSessionRepository) -> None:
    """Every public operation."""
    await sessions.create_table()
    await sessions.append("s", [HumanMessage("a")], idempotency_key="k")
    large: list[BaseMessage] = [HumanMessage(os.urandom(200).hex()) for _ in range(100)]
    version = await sessions.append("s", large)
    await sessions.append("s", [HumanMessage("b")], expected_version=version, history_size=50)
    await sessions.read("s", limit=20)
    await sessions.read("s")
    assert [message async for message in sessions.iter_messages("s")]
    await sessions.update_metadata("s", {"a": 1})
    await sessions.truncate("s", keep=30)
    await sessions.replace("s", large)
    history = sessions.history("s", history_size=10)
    await history.aadd_messages([HumanMessage("c")])
    assert await history.aget_messages()
    await history.aclear()
    await sessions.delete("s")
    await sessions.aclose()


async def main(url: str, what: str) -> None:
    """Make a repository under the event loop, and use it."""
    given = {"given": aioboto3.Session, "boto3": boto3.Session}.get(what)
    session = given() if given else None
    found: list[str] = []
    watcher = watch(found)
    table = f"probe-{uuid.uuid4().hex}"
    if what == "sleep":
        time.sleep(0.001)  # noqa: ASYNC251 - on purpose
    sizes = Sizes(session_item=700, page=500, item=900)
    await use(AsyncSessionRepository(table, endpoint_url=url, aws_session=session, sizes=sizes, ttl=60))
    history = DynamoDBChatMessageHistory(table, "s", endpoint_url=url, boto3_session=session)
    await history.aadd_messages([HumanMessage("d")])
    await history.aclear()
    watcher.deactivate()
    cleaner = AsyncSessionRepository(table, endpoint_url=url, aws_session=session)
    await cleaner._connection.call("delete_table", {"TableName": table}, write=True)
    await cleaner.aclose()
    print(*sorted(found), sep="\n")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
