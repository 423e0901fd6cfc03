"""A conversation in the terminal, its history in the table."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from importlib.util import find_spec
from typing import cast

from langchain_core.language_models import BaseChatModel
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from langchain_core.runnables.history import RunnableWithMessageHistory

from langchain_dynamodb import DynamoDBChatMessageHistory, SessionRepository
from screen import Screen
from scripted import ScriptedModel

TABLE = "SessionTable"
MODELS = ("auto", "scripted", "openai", "bedrock")
OPENAI_MODEL = "gpt-4o-mini"
BEDROCK_MODEL = "amazon.nova-lite-v1:0"


def choose_model(name: str) -> BaseChatModel:
    """Return the model of that name; "auto": a real one if its package and credentials are there."""
    if name == "openai" or (name == "auto" and find_spec("langchain_openai") and os.environ.get("OPENAI_API_KEY")):
        return _model("langchain_openai", "ChatOpenAI", OPENAI_MODEL)
    if name == "bedrock" or (name == "auto" and find_spec("langchain_aws") and _has_aws_credentials()):
        return _model("langchain_aws", "ChatBedrockConverse", BEDROCK_MODEL)
    return ScriptedModel()


def _model(module: str, name: str, model: str) -> BaseChatModel:
    # These packages are optional, so that no type checker can count on them.
    return cast("BaseChatModel", getattr(import_module(module), name)(model=model))


def _has_aws_credentials() -> bool:
    session = import_module("boto3").Session()
    return session.region_name is not None and session.get_credentials() is not None


def chat(screen: Screen, model: BaseChatModel, session_id: str) -> None:
    """Talk until the input ends."""
    sessions = SessionRepository(TABLE)
    sessions.create_table()
    earlier = sessions.read(session_id)
    assert earlier is not None
    screen.say(f"You talk to {type(model).__name__}; the history is session {session_id!r} of table {TABLE}.")
    if earlier.message_count:
        screen.say(f"It goes on after {earlier.message_count} messages from before:")
        screen.result(earlier.messages)
    screen.say("End with Ctrl-D or /quit.\n", style="dim")
    chain = remembering(model)
    while (line := _ask()) is not None:
        if not line:
            continue
        for chunk in chain.stream({"question": line}, {"configurable": {"session_id": session_id}}):
            print(chunk.text, end="", flush=True)
        print()
    after = sessions.read(session_id, limit=0)
    assert after is not None
    screen.say(f"\nThe table holds {after.message_count} messages of session {session_id!r}.")


def remembering(model: BaseChatModel) -> RunnableWithMessageHistory:
    """Return the model with its history in the table."""
    prompt = ChatPromptTemplate.from_messages(
        [("system", "You are a helpful assistant."), MessagesPlaceholder("history"), ("human", "{question}")]
    )
    return RunnableWithMessageHistory(
        prompt | model,
        lambda session_id: DynamoDBChatMessageHistory(TABLE, session_id),
        input_messages_key="question",
        history_messages_key="history",
    )


def _ask() -> str | None:
    """Return the next line, None at the end; what comes through a pipe is echoed, so that the screen reads well."""
    try:
        line = input("> ").strip()
    except (EOFError, KeyboardInterrupt):
        print()
        return None
    if not sys.stdin.isatty():
        print(line)
    return None if line == "/quit" else line
