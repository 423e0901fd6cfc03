"""Several requests at a time: what begins when, and what a failure or a cancellation leaves under way."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from langchain_dynamodb._dynamodb.batches import in_parallel
from langchain_dynamodb.errors import ThrottledError


async def test_each_call_begins_in_a_turn_of_its_own() -> None:
    """To sign sixteen requests at once would hold the event loop up, at first and where sixteen answers came at once.

    They are under way together all the same.
    """
    begun: list[int] = []
    ended = asyncio.Event()
    seen: list[int] = []

    async def call(number: int) -> None:
        begun.append(number)
        await ended.wait()

    calls = asyncio.ensure_future(in_parallel(call, range(40), at_once=16))
    while not calls.done():
        await asyncio.sleep(0)
        seen.append(len(begun))
        if len(begun) == 16:
            ended.set()
    assert max(after - before for before, after in itertools.pairwise(seen)) == 1
    assert begun == list(range(40))
    await calls


async def test_after_an_error_no_call_begins_and_none_goes_on() -> None:
    """A put that is cancelled may still arrive, after the delete that was to take it back: its end is awaited."""
    begun: list[int] = []
    ended: list[int] = []

    async def call(number: int) -> None:
        begun.append(number)
        if number == 2:
            raise ThrottledError("no")
        await asyncio.sleep(0.01)
        ended.append(number)

    with pytest.raises(ThrottledError):
        await in_parallel(call, range(10), at_once=3)
    assert (begun, ended) == ([0, 1, 2], [0, 1])


async def test_parallel_calls_are_cancelled_with_their_caller() -> None:
    """All that are under way, and the caller is told when they have ended."""
    begun: list[int] = []
    ended: list[int] = []

    async def call(number: int) -> None:
        begun.append(number)
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0)
            ended.append(number)

    calls = asyncio.ensure_future(in_parallel(call, range(10), at_once=3))
    await asyncio.sleep(0.01)
    calls.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calls
    assert (begun, ended) == ([0, 1, 2], [0, 1, 2])
