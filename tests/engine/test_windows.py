"""How windows begin: what strict model providers demand."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage

from conftest import RepositoryFactory
from support import SMALL, calling, human, refusal, remembered, result

pytestmark = pytest.mark.once

SYSTEM, LATE = SystemMessage("s"), SystemMessage("late")
QUESTION, ANSWER, NEXT = HumanMessage("q"), AIMessage("a"), HumanMessage("next")


TURN = [QUESTION, calling("1", "2"), result("2"), result("1"), ANSWER]


@pytest.mark.parametrize("item_format", ["pages", "community"])
async def test_every_window_is_accepted(make_repository: RepositoryFactory, item_format: Any) -> None:
    """With ``start_on="human"``, at any limit; without it a third or more of them begins with something else."""
    turns = [QUESTION, ANSWER] * 5 + TURN + [QUESTION, ANSWER] * 5
    sessions = make_repository(item_format=item_format, sizes=SMALL)
    await sessions.append("s", turns)
    refused = 0
    for limit in range(1, len(turns) + 1):
        chat = await sessions.read("s", limit=limit, start_on="human")
        assert refusal([*chat.messages, NEXT]) is None
        assert limit - 5 <= len(chat.messages) <= limit
        assert chat.messages == turns[len(turns) - len(chat.messages) :]
        assert (chat.message_count, chat.version) == (len(turns), (await sessions.read("s")).version)
        refused += refusal([*(await sessions.read("s", limit=limit)).messages, NEXT]) is not None
    assert refused >= len(turns) // 3


@pytest.mark.parametrize("item_format", ["pages", "community"])
async def test_start_on(make_repository: RepositoryFactory, item_format: Any) -> None:
    """It holds for whole sessions too, for iterating as for reading, and for reads that may find nothing new."""
    sessions = make_repository(item_format=item_format, sizes=SMALL)
    await sessions.append("s", [SYSTEM, ANSWER, LATE, *TURN])
    chat = await sessions.read("s", start_on="human")
    assert chat.messages == [SYSTEM, *TURN]
    assert [message async for message in sessions.iter_messages("s", start_on="human")] == [SYSTEM, *TURN]
    assert [message async for message in sessions.iter_messages("s")] == [SYSTEM, ANSWER, LATE, *TURN]
    assert await sessions.read("s", start_on="human", unless_version=chat.version) is None
    assert (await sessions.read("s", limit=4, start_on="human")).messages == []  # no human message is in it
    assert (await sessions.read("nothing", limit=4, start_on="human")).version == 0


async def test_what_is_missing_stays_before_the_same_message(make_repository: RepositoryFactory) -> None:
    """Also where the window begins later: by ``start_on``, and by a result without its call."""
    sessions = make_repository(sizes=SMALL)
    for _ in range(12):
        await sessions.append("s", [HumanMessage(human(90).content), AIMessage(human(90).content)])
    key = sessions._key("s").page(remembered(sessions).generation, remembered(sessions).pages - 1)
    await sessions._connection.call("delete_item", {"TableName": sessions.table_name, "Key": key}, write=True)
    sessions = make_repository(sizes=SMALL)
    whole = await sessions.read("s", skip_missing_pages=True)
    ((place, lost),) = [(gap.position, gap.messages) for gap in whole.missing]
    behind = whole.messages[place]
    assert [message.type for message in whole.messages[place - 2 : place + 2]] == ["human", "ai", "human", "ai"]
    for limit in range(len(whole.messages) - place + 1, len(whole.messages) + 1):
        chat = await sessions.read("s", limit=limit, start_on="human", skip_missing_pages=True)
        assert refusal(chat.messages) is None
        assert [(chat.messages[gap.position], gap.messages) for gap in chat.missing] == [(behind, lost)]
