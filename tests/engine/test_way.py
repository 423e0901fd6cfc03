"""How far the way of a call is through the package: every change of file is one that a reader has to follow.

Bodies made by orjson are one file and four changes of these.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage

import langchain_dynamodb
from conftest import RepositoryFactory

PACKAGE = str(Path(langchain_dynamodb.__file__).parent)
TURN = [HumanMessage("hello"), AIMessage("hi")]


async def way(call: Callable[[], Awaitable[Any]]) -> list[str]:
    """The files of the package in the order in which functions of theirs are entered."""
    files: list[str] = []
    entered: set[FrameType] = set()  # a coroutine that goes on is not entered again

    def note(frame: FrameType, event: str, argument: object) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(PACKAGE) and frame not in entered:
            entered.add(frame)
            files.append(frame.f_code.co_filename.removeprefix(PACKAGE))

    sys.setprofile(note)
    try:
        await call()
    finally:
        sys.setprofile(None)
    await asyncio.sleep(0)
    return files


def changes(files: list[str]) -> int:
    """How often the file changes on the way."""
    return sum(one != other for one, other in pairwise(files))


@pytest.mark.once
@pytest.mark.any_engine
async def test_a_warm_append(make_repository: RepositoryFactory) -> None:
    """Two short messages, to a session that this repository knows."""
    repository = make_repository()
    for _ in range(2):  # the first makes the session, the second the text of the request
        await repository.append("s", TURN)
    files = await way(lambda: repository.append("s", TURN))
    assert len(set(files)) <= 16, files
    assert changes(files) <= 46, files


@pytest.mark.once
@pytest.mark.any_engine
async def test_a_cold_window(make_repository: RepositoryFactory) -> None:
    """The newest messages of a long session, by a repository that has only its client yet."""
    writer, reader = make_repository(), make_repository()
    for _ in range(60):
        await writer.append("s", [HumanMessage("hello " * 100), AIMessage("hi " * 100)])
    await reader.read("other")
    files = await way(lambda: reader.read("s", limit=20))
    assert len(set(files)) <= 16, files
    assert changes(files) <= 60, files
