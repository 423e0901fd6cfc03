"""Print what it takes to turn stored lines into messages: by us, without any check, and by LangChain's constructors."""

from __future__ import annotations

import gc
import itertools
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "helpers"))

import orjson
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    ToolMessage,
    message_to_dict,
    messages_from_dict,
)

from corpus import conversation
from langchain_dynamodb.codec.messages import decode_lines, encode_messages

MESSAGES = 1000
REPEATS = 25
CLASSES: dict[str, type[BaseMessage]] = {"human": HumanMessage, "ai": AIMessage, "tool": ToolMessage}
DEFAULTS = {name: {n: field.get_default() for n, field in cls.model_fields.items()} for name, cls in CLASSES.items()}


def unchecked(line: bytes) -> BaseMessage:
    """The bare minimum: the object's state put in its place, right or wrong; empty lists and dicts stay None."""
    fields = orjson.loads(line)
    message = (cls := CLASSES[fields["type"]]).__new__(cls)
    state = {"__pydantic_extra__": {}, "__pydantic_fields_set__": set(fields), "__pydantic_private__": None}
    message.__setstate__({"__dict__": {**DEFAULTS[fields["type"]], **fields}, **state})
    return message


def construct(line: bytes) -> BaseMessage:
    """LangChain's own constructor."""
    fields = orjson.loads(line)
    return CLASSES[fields.pop("type")](**fields)


def cpu(call: Callable[[], Any]) -> float:
    """Microseconds of CPU a message, the best of some runs."""
    times = []
    for _ in range(REPEATS):
        gc.collect()
        start = time.process_time()
        made = call()
        times.append(time.process_time() - start)
        del made
    return min(times) / MESSAGES * 1e6


def main() -> None:
    """Messages of short turns and of 1.2 KB turns."""
    columns = []
    for kind in ("short", "1.2 KB"):
        every = itertools.chain.from_iterable(conversation(kind, MESSAGES))
        messages = list(itertools.islice(every, MESSAGES))
        lines, dicts = encode_messages(messages), [message_to_dict(message) for message in messages]
        assert [construct(line) for line in lines] == decode_lines(lines) == messages
        columns.append(
            {
                "the JSON alone": cpu(lambda lines=lines: [orjson.loads(line) for line in lines]),
                "objects without any check": cpu(lambda lines=lines: [unchecked(line) for line in lines]),
                "**as we do**": cpu(lambda lines=lines: decode_lines(lines)),
                "**as we do**, again from memory": cpu(lambda lines=lines: decode_lines(lines, again=True)),
                "LangChain's constructors": cpu(lambda lines=lines: [construct(line) for line in lines]),
                "`messages_from_dict`, without the JSON": cpu(lambda dicts=dicts: messages_from_dict(dicts)),
            }
        )
    print("| microseconds of CPU a message | short turns | 1.2 KB turns |\n| --- | --- | --- |")
    for name, short in columns[0].items():
        print(f"| {name} | {short:.1f} | {columns[1][name]:.1f} |")


if __name__ == "__main__":
    main()
