"""Items as other packages wrote them: what is made of each. docs/formats.md has the table."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from conftest import RepositoryFactory, TableFactory
from langchain_dynamodb.errors import ForeignItemError

pytestmark = pytest.mark.once

PAGE = Path(__file__).parents[2] / "docs/formats.md"


def s(text: str) -> dict[str, Any]:
    """A text."""
    return {"S": text}


def m(**fields: dict[str, Any]) -> dict[str, Any]:
    """A map."""
    return {"M": fields}


@dataclass(frozen=True)
class Neighbour:
    """One of its items, recorded and shortened, and the settings with which it comes closest to ours."""

    item: dict[str, Any]
    settings: tuple[tuple[str, str], ...] = ()


JS = [
    m(type=s("human"), text=s("hi"), additional_kwargs=s("{}")),
    m(type=s("ai"), text=s("hello"), role=s("assistant")),
]
BLOCK = m(block_type=s("text"), text=s("hi"))
LLAMA = m(role=s("user"), additional_kwargs=m(), blocks={"L": [BLOCK]})
PK_SK = (("primary_key_name", "PK"),)

NEIGHBOURS = {
    "@langchain/community 1.1.29 (npm)": Neighbour(
        {"id": s("s1"), "messages": {"L": JS}}, (("primary_key_name", "id"), ("history_messages_key", "messages"))
    ),
    "llama-index-storage-chat-store-dynamodb 0.6.0": Neighbour({"SessionId": s("s1"), "History": {"L": [LLAMA]}}),
    "langgraph-checkpoint-aws 1.2.6": Neighbour(
        {"PK": s("CHECKPOINT_t1"), "SK": s("#1f1ec847"), "id": s("1f1ec847"), "ns": s(""), "type": s("msgpack")}, PK_SK
    ),
    "langgraph-dynamodb-checkpoint 0.5.0": Neighbour(
        {
            "PK": s("t1"),
            "SK": s("1f1ec847"),
            "checkpoint_key": s("checkpoint$t1$$1f1ec847"),
            "checkpoint": s("h6F2BA=="),
            "metadata": {"L": [s("msgpack"), s("g6Zz")]},
        },
        PK_SK,
    ),
    "crewai-persistence-dynamodb 0.2.1": Neighbour(
        {"flow_uuid": s("f1"), "data": s('{"messages": [{"role": "user"}]}'), "method_name": s("answer")},
        (("primary_key_name", "flow_uuid"),),
    ),
    "pydantic-ai-dynamodb-persistence 0.1.0": Neighbour(
        {"PK": s("hist#c1"), "SK": s("messages"), "data": s('[{"parts": [{"content": "hi"}], "kind": "request"}]')},
        PK_SK,
    ),
    "strands-session-dynamodb 0.2.0": Neighbour(
        {
            "PK": s("SESSION#s1#AGENT#a1"),
            "SK": s("MSG#00000000000000000000"),
            "data": s('{"message": {"role": "user", "content": [{"text": "hi"}]}, "message_id": 0}'),
        },
        PK_SK,
    ),
    "langgraph-store-dynamodb 0.2.1": Neighbour(
        {"PK": s("users\x1f1"), "SK": s("a"), "value": m(text=s("hi")), "created_at": s("2026-11-30T13:23:10+00:00")},
        PK_SK,
    ),
}


@pytest.mark.parametrize("name", NEIGHBOURS)
async def test_items_of_others_are_left_alone(
    make_repository: RepositoryFactory, make_table: TableFactory, dynamodb: Any, name: str
) -> None:
    """Each operation tells what is there, nothing is changed, and a listing does not take it for a session."""
    neighbour = NEIGHBOURS[name]
    settings = dict(neighbour.settings)
    hash_key = settings.get("primary_key_name", "SessionId")
    keys = [hash_key, "SK"] if "SK" in neighbour.item else [hash_key]
    table = make_table(*keys)
    dynamodb.put_item(TableName=table, Item=neighbour.item)
    sessions = make_repository(table, **settings)
    session = {key: neighbour.item[key]["S"] for key in keys}
    changes = [
        sessions.read(session),
        sessions.append(session, [HumanMessage("hi")]),
        sessions.replace(session, [HumanMessage("hi")]),
        sessions.delete(session),
    ]
    for change in changes:
        with pytest.raises(ForeignItemError, match="no chat session of ours or of langchain_community"):
            await change
    assert [summary async for summary in sessions.list()] == []
    assert dynamodb.scan(TableName=table)["Items"] == [neighbour.item]


def test_the_page_names_them() -> None:
    """With the versions whose items these are: none that is refused is missing here."""
    rows = re.findall(r"^\| ([^|]+?) \| refused", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert set(rows) == {*NEIGHBOURS}
