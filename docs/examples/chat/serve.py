"""Serve the chat application on this machine; by default with an embedded DynamoDB and a scripted model.

::

    python docs/examples/chat/serve.py
    python docs/examples/chat/serve.py --engine dynamodb-local        # keeps the chats in .chat-data
    python docs/examples/chat/serve.py --model openai:gpt-4o-mini     # needs langchain-openai and its key
    python docs/examples/chat/serve.py --table Chats --create-table   # on AWS, with your credentials and region

Ends with exit code 2 and one line that says what to do where it cannot start.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import sys
from contextlib import ExitStack
from pathlib import Path

try:
    import uvicorn

    from application import NEWEST, Settings, create_table
    from langchain_dynamodb.errors import ChatHistoryError, TableNotFoundError
    from langchain_dynamodb.local import ENGINES, EngineError, run_engine
    from models import SCRIPTED, choose_model
except ModuleNotFoundError as error:
    print(f'{error.name} is not installed: pip install ".[local]" fastapi uvicorn markdown-it-py', file=sys.stderr)
    sys.exit(2)

EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # hosts to listen on, and where they are to be found


class StartError(Exception):
    """The application cannot start; the message says what to do."""


def main() -> int:
    """Serve until Ctrl+C; returns the exit code."""
    options = parse_arguments()
    try:
        check_model(options.model)
        check_port(options.host, options.port)
        with ExitStack() as stack:
            settings = Settings(options.table or "ChatTable", model=options.model, bucket=options.bucket)
            where = f"table {settings.table} on AWS"
            if not options.table:
                data = options.data if options.engine == "dynamodb-local" else None
                engine = stack.enter_context(run_engine(options.engine, data_dir=data))
                settings = Settings(settings.table, engine.endpoint_url, settings.model)
                where = f"{engine.name}, {f'in {data}' if data else 'in memory: the chats are gone when it ends'}"
            asyncio.run(prepare(settings, options.create_table or not options.table))
            print(f"The model is {settings.model}. The chats are kept by {where}.")
            print(f"Open {addresses(options.host, options.port)}. Ctrl+C ends it.", flush=True)
            serve(settings, options)
    except (ChatHistoryError, EngineError, StartError) as error:
        print(in_one_line(error), file=sys.stderr)
        return 2
    return 0


def in_one_line(error: Exception) -> str:
    """What the error says; some have long explanations."""
    return " ".join(str(error).split()) or type(error).__name__


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
    parser.add_argument("--bucket", default="", help="with --table: a bucket of S3, where images go")
    parser.add_argument("--create-table", action="store_true", help="create that table, or what it lacks")
    options = parser.parse_args()
    if options.bucket and not options.table:
        parser.error("--bucket goes with --table: without it everything is in the embedded engine")
    return options


def check_model(name: str) -> None:
    """Raise a `StartError` where its package or key is missing: here, not in every worker."""
    try:
        choose_model(name)
    except ImportError as error:
        told = f"{in_one_line(error)} - into the Python that runs this: {sys.executable}"
        raise StartError(f"--model {name} cannot be used: {told}") from error
    except Exception as error:  # each provider has errors of its own
        raise StartError(f"--model {name} cannot be used: {in_one_line(error)}") from error


def check_port(host: str, port: int) -> None:
    """Raise a `StartError` where nothing can listen there."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((address[0], port, *address[2:]))  # getaddrinfo wraps a port that is too large
    except (OSError, OverflowError) as error:
        raise StartError(
            f"cannot listen on {host}, port {port} ({error}): choose another by --port or --host"
        ) from error


def addresses(host: str, port: int) -> str:
    """Where a browser finds it: on this machine and, if other machines may come in, from there."""
    here = f"http://{EVERYWHERE.get(host, f'[{host}]' if ':' in host else host)}:{port} in a browser"
    if host != "0.0.0.0":
        return here
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # nothing is sent; it only tells which of our addresses would be used
        except OSError:  # no network
            return here
        return f"{here}, or http://{probe.getsockname()[0]}:{port} on another device"


async def prepare(settings: Settings, create: bool) -> None:
    """See to it that the table is there and can be listed by its index; raises `ChatHistoryError`."""
    async with settings.open_sessions() as sessions:
        if create:
            await create_table(sessions)
        try:
            async for _ in sessions.list(index=NEWEST.name, partition="nobody", limit=1):
                pass
        except TableNotFoundError as error:
            told = f"There is no table {settings.table!r} in this account and region: correct --table, or your region"
            raise StartError(f"{told}, or add --create-table to have it created.") from error


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
