"""Serve the chat application on this machine; by default with an embedded DynamoDB and a scripted model.

::

    python docs/examples/chat/serve.py
    python docs/examples/chat/serve.py --engine dynamodb-local        # keeps the chats in .chat-data
    python docs/examples/chat/serve.py --model openai:gpt-4o-mini     # needs langchain-openai and its key
    python docs/examples/chat/serve.py --table Chats --create-table   # on AWS, with your credentials and region
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from contextlib import ExitStack
from pathlib import Path

import uvicorn

from application import NEWEST, Settings, create_table
from langchain_dynamodb.errors import ChatHistoryError
from langchain_dynamodb.local import ENGINES, EngineError, run_engine
from models import SCRIPTED, choose_model


def main() -> int:
    """Serve until Ctrl+C; returns the exit code."""
    options = parse_arguments()
    try:
        choose_model(options.model)  # a missing package or key is told here, not by every worker
    except Exception as error:  # each provider has its own kinds
        print(f"--model {options.model} cannot be used: {error}", file=sys.stderr)
        return 1
    try:
        with ExitStack() as stack:
            settings = Settings(options.table or "ChatTable", model=options.model)
            where = f"table {settings.table} on AWS"
            if not options.table:
                data = options.data if options.engine == "dynamodb-local" else None
                engine = stack.enter_context(run_engine(options.engine, data_dir=data))
                settings = Settings(settings.table, engine.endpoint_url, settings.model)
                where = f"{engine.name}, {f'in {data}' if data else 'in memory: the chats are gone when it ends'}"
            asyncio.run(prepare(settings, options.create_table or not options.table))
            print(f"The model is {settings.model}. The chats are kept by {where}.")
            print(f"Open http://{options.host}:{options.port} in a browser. Ctrl+C ends it.", flush=True)
            serve(settings, options)
    except (ChatHistoryError, EngineError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="chat", description="A chat application on DynamoDB.")
    parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0 lets other machines in, your phone for example")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--workers", type=int, default=1, help="processes that serve")
    parser.add_argument("--model", default=SCRIPTED, help="scripted, or provider:name as LangChain's init_chat_model")
    parser.add_argument("--engine", choices=ENGINES, default="moto", help="embedded; moto is the default")
    parser.add_argument("--data", type=Path, default=Path(".chat-data"), help="folder of dynamodb-local's tables")
    parser.add_argument("--table", help="a table on AWS, with your credentials, instead of an embedded engine")
    parser.add_argument("--create-table", action="store_true", help="create that table, or what it lacks")
    return parser.parse_args()


async def prepare(settings: Settings, create: bool) -> None:
    """See to it that the table is there and can be listed by its index; raises `ChatHistoryError`."""
    async with settings.open_sessions() as sessions:
        if create:
            await create_table(sessions)
        async for _ in sessions.list(index=NEWEST.name, partition="nobody", limit=1):
            pass


def serve(settings: Settings, options: argparse.Namespace) -> None:
    """Run uvicorn, until Ctrl+C."""
    os.environ.update(settings.environment)
    uvicorn.run(
        "application:create",
        factory=True,
        app_dir=str(Path(__file__).parent),
        host=options.host,
        port=options.port,
        workers=options.workers,
        timeout_graceful_shutdown=5,  # seconds for answers on their way; what was said by then is stored
        timeout_worker_healthcheck=60,  # a worker still importing on a busy machine is not a dead one
        log_level="warning",
    )


if __name__ == "__main__":
    sys.exit(main())
