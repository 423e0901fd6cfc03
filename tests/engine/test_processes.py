"""Eight processes append to one session, with pages so small that they are cut all the time."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

from conftest import RepositoryFactory, TestEngine
from support import SMALL

PROCESSES = 8
APPENDS = 50

ASYNC = """
    import asyncio, sys
    from langchain_core.messages import AIMessage, HumanMessage
    from langchain_dynamodb import AsyncSessionRepository, Sizes

    async def main(table, endpoint_url, worker, appends):
        sizes = Sizes(session_item=700, page=500, item=900)
        async with AsyncSessionRepository(table, endpoint_url=endpoint_url, sizes=sizes) as sessions:
            for i in range(appends):
                await sessions.append("s", [HumanMessage(f"{worker} {i} question"), AIMessage(f"{worker} {i} answer")])

    asyncio.run(main(sys.argv[1], sys.argv[2] or None, sys.argv[3], int(sys.argv[4])))
"""
SYNC = """
    import sys
    from langchain_core.messages import AIMessage, HumanMessage
    from langchain_dynamodb import SessionRepository, Sizes

    table, endpoint_url, worker, appends = sys.argv[1:]
    sizes = Sizes(session_item=700, page=500, item=900)
    with SessionRepository(table, endpoint_url=endpoint_url or None, sizes=sizes) as sessions:
        for i in range(int(appends)):
            sessions.append("s", [HumanMessage(f"{worker} {i} question"), AIMessage(f"{worker} {i} answer")])
"""


@pytest.mark.real_engine
@pytest.mark.parametrize("program", [ASYNC, SYNC], ids=["async", "sync"])
async def test_eight_processes(
    engine: TestEngine, table_name: str, make_repository: RepositoryFactory, program: str
) -> None:
    """Each of the 400 appends is there exactly once, its two messages together, each process's in their order."""
    workers = [
        subprocess.Popen(
            [
                sys.executable, "-W", "error", "-c", textwrap.dedent(program),
                table_name, engine.endpoint_url or "", str(worker), str(APPENDS),
            ],
            stderr=subprocess.PIPE,
            text=True,
        )
        for worker in range(PROCESSES)
    ]  # fmt: skip
    assert [worker.communicate()[1] for worker in workers] == [""] * PROCESSES
    chat = await make_repository(sizes=SMALL).read("s")
    texts = [str(message.content) for message in chat.messages]
    assert chat.message_count == len(texts) == 2 * PROCESSES * APPENDS
    assert [text.removesuffix(" question") for text in texts[::2]] == [t.removesuffix(" answer") for t in texts[1::2]]
    for worker in range(PROCESSES):
        mine = [text for text in texts[::2] if text.startswith(f"{worker} ")]
        assert mine == [f"{worker} {i} question" for i in range(APPENDS)]
