"""What langchain-core's runnables can do in the versions at hand."""

from __future__ import annotations

import asyncio
from typing import Any

from langchain_core.runnables import RunnableLambda
from langchain_core.runnables.config import var_child_runnable_config


def passes_context_on(style: str) -> bool:
    """Whether a step of an asynchronous chain can see its config: not on Python 3.10 with an older langchain-core."""

    async def probe(value: Any) -> bool:
        return var_child_runnable_config.get() is not None

    return not style.startswith("a") or asyncio.run(RunnableLambda(probe).ainvoke(None))
