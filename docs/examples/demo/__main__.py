"""Show what the package does, on an embedded DynamoDB; nothing leaves this machine.

::

    python docs/examples/demo
    python docs/examples/demo --engine dynamodb-local   # AWS's own engine: counts capacity, keeps its data
    python docs/examples/demo --chat                    # talk, with the history in the table
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from chat import MODELS, chat, choose_model
from langchain_dynamodb.local import ENGINES, EngineError, run_engine
from meter import run_meter
from screen import Screen
from steps import HistoryClass
from tour import Tour


def main() -> int:
    """Run the demo; returns the exit code."""
    options = parse_arguments()
    screen = Screen()
    theirs = None if options.chat else find_theirs()
    # What langchain_community's page shows is deprecated; saying it at each step would not help.
    warnings.simplefilter("ignore", DeprecationWarning)
    # Before our settings hide the user's credentials, which a real model needs.
    model = choose_model(options.model) if options.chat else None
    local = options.engine == "dynamodb-local"
    screen.say(f"Starting {options.engine} …", "dim")
    try:
        with ExitStack() as stack:
            engine = stack.enter_context(run_engine(options.engine, data_dir=options.data if local else None))
            meter = stack.enter_context(run_meter(engine.endpoint_url)) if local and not model else None
            use_only(engine.environment | ({"AWS_ENDPOINT_URL_DYNAMODB": meter.endpoint_url} if meter else {}))
            kept = f"keeps its tables in {options.data}" if local else "in memory, gone at the end"
            screen.say(f"The engine is [bold]{engine.name}[/] at {engine.endpoint_url}, {kept}.")
            if model:
                chat(screen, model, options.session)
            else:
                Tour(screen, meter, theirs).run()
    except EngineError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="demo", description="Chat sessions on DynamoDB: see it work.")
    parser.add_argument("--engine", choices=ENGINES, default="moto", help="moto is the default")
    parser.add_argument("--data", type=Path, default=Path(".demo-data"), help="folder of dynamodb-local's tables")
    parser.add_argument("--chat", action="store_true", help="talk, instead of looking on")
    parser.add_argument("--model", choices=MODELS, default="auto", help="to talk to; auto: a real one if there is one")
    parser.add_argument("--session", default="chat", help="session id of the chat")
    return parser.parse_args()


def use_only(environment: Mapping[str, str]) -> None:
    """Let every AWS client of this process use the engine, and none of the user's profiles and credentials."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ.update(environment)
    os.environ.update(AWS_CONFIG_FILE=os.devnull, AWS_SHARED_CREDENTIALS_FILE=os.devnull)
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"


def find_theirs() -> HistoryClass | None:
    """Return langchain_community's class if it is installed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            from langchain_community.chat_message_histories import DynamoDBChatMessageHistory
        except ImportError:
            return None
    return DynamoDBChatMessageHistory


if __name__ == "__main__":
    sys.exit(main())
