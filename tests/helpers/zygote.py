"""A process that forks itself into writers, which stop at a given request and wait to be killed.

One job a line, as JSON. It answers with ``stopped PID``, and with ``dead SIGNAL`` (or ``ended CODE``) later.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any

from langchain_dynamodb import AsyncSessionRepository
from langchain_dynamodb._dynamodb.client_settings import service_descriptions
from scenarios import CASES, state
from support import Clock, Stopping, watch, with_options


def say(what: str) -> None:
    """One line to the parent, in one piece."""
    os.write(1, f"{what}\n".encode())


async def write(job: dict[str, Any], clock: Clock) -> None:
    """Run an operation until it stops."""
    case = CASES[job["case"]]
    plain = AsyncSessionRepository(job["table"], endpoint_url=job["endpoint_url"], **case.options)
    repository = with_options(plain, clock=clock)
    await state(repository)
    stopping: Stopping = watch(repository, Stopping, job["at"], job["after"])
    operation = asyncio.ensure_future(case.operation(repository))
    await stopping.stopped.wait()
    say(f"stopped {os.getpid()}")
    await operation


def main() -> None:
    """Serve until the input ends. Nothing is opened here: neither a client nor an event loop may be inherited."""
    service_descriptions()
    clock = Clock()
    for line in sys.stdin:
        job = json.loads(line)
        child = os.fork()
        if not child:
            clock.now = job["moment"]
            asyncio.run(write(job, clock))
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        say(f"dead {-status}" if status < 0 else f"ended {status}")


if __name__ == "__main__":
    main()
