"""The repository against a plain list: random interleavings from two repositories, with pages cut all the time."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Coroutine
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from langchain_core.messages import BaseMessage

from conftest import TestEngine
from langchain_dynamodb import AsyncSessionRepository
from langchain_dynamodb.errors import SessionNotFoundError, VersionConflictError
from support import SMALL, Clock, named, scan, with_options

pytestmark = pytest.mark.once

TTL = 1000
WHO = st.sampled_from([0, 1])
# Incompressible texts, or pages would hardly ever be cut.
MESSAGES = st.lists(st.sampled_from([1, 40, 150, 700, 2500]), min_size=1, max_size=6)


def human(size: int) -> BaseMessage:
    """A fresh message with an id to edit it by."""
    return named(uuid.uuid4().hex, size)


def make_machine(engine: TestEngine) -> type[RuleBasedStateMachine]:
    """The machine for this engine."""

    class Sessions(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.loop = asyncio.new_event_loop()
            self.clock = Clock()
            table = f"state-machine-{uuid.uuid4().hex}"
            plain = AsyncSessionRepository(table, endpoint_url=engine.endpoint_url, sizes=SMALL, ttl=TTL)
            self.repositories = [with_options(plain, clock=self.clock) for _ in range(2)]
            self.model: list[BaseMessage] = []
            self.title: str | None = None
            self.own: dict[str, str] = {}
            self.version = 0
            self.newest = 0

        def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
            return self.loop.run_until_complete(coroutine)

        @initialize()
        def create(self) -> None:
            self.run(self.repositories[0].create_table())

        def moved_to(self, version: int) -> None:
            assert version > self.newest  # also after the session was deleted
            self.version = self.newest = version

        @rule(who=WHO, sizes=MESSAGES, guarded=st.booleans())
        def append(self, who: int, sizes: list[int], guarded: bool) -> None:
            messages = [human(size) for size in sizes]
            expected = self.version if guarded else None
            self.moved_to(self.run(self.repositories[who].append("s", messages, expected_version=expected)))
            self.model += messages

        @rule(sizes=st.lists(st.sampled_from([1, 150, 700]), min_size=2, max_size=8))
        def append_at_once(self, sizes: list[int]) -> None:
            batches = [[human(size), human(size)] for size in sizes]

            async def together() -> None:
                await asyncio.gather(*(self.repositories[i % 2].append("s", b) for i, b in enumerate(batches)))

            self.run(together())
            chat = self.run(self.repositories[0].read("s"))
            new = chat.messages[len(self.model) :]
            assert chat.messages[: len(self.model)] == self.model
            pairs = [new[i : i + 2] for i in range(0, len(new), 2)]
            assert sorted(pairs, key=str) == sorted(batches, key=str)
            self.model = chat.messages
            self.moved_to(chat.version)

        @rule(who=WHO, sizes=MESSAGES)
        def append_at_a_wrong_version(self, who: int, sizes: list[int]) -> None:
            wrong = self.version + 1
            messages = [human(size) for size in sizes]
            with pytest.raises(VersionConflictError) as caught:
                self.run(self.repositories[who].append("s", messages, expected_version=wrong))
            assert caught.value.actual == self.version

        @rule(who=WHO, sizes=st.lists(st.sampled_from([1, 150, 2500]), max_size=8))
        def replace(self, who: int, sizes: list[int]) -> None:
            messages = [human(size) for size in sizes]
            version = self.run(self.repositories[who].replace("s", messages))
            if messages or self.version:
                self.moved_to(version)
            self.model = list(messages)

        @rule(who=WHO, drop=st.integers(0, 6))
        def truncate(self, who: int, drop: int) -> None:
            keep = max(0, len(self.model) - drop)
            version = self.run(self.repositories[who].truncate("s", keep=keep, expected_version=self.version))
            self.model = self.model[:keep]
            assert version >= self.version
            self.version, self.newest = version, max(version, self.newest)

        @rule(who=WHO, at=st.integers(0, 40), size=st.sampled_from([0, 1, 150, 2500]))
        def edit(self, who: int, at: int, size: int) -> None:
            """One message changed, or (size 0) removed."""
            if not self.model:
                return
            at %= len(self.model)
            id = str(self.model[at].id)
            if size:
                self.model[at] = named(id, size)
                self.moved_to(self.run(self.repositories[who].update_message("s", self.model[at])))
            else:
                del self.model[at]
                self.moved_to(self.run(self.repositories[who].remove_message("s", id)))

        @rule(who=WHO, title=st.text(max_size=5, alphabet="abc"))
        def name(self, who: int, title: str) -> None:
            update = self.repositories[who].update_metadata("s", {"title": title}, must_exist=False)
            self.moved_to(self.run(update))
            self.title = title

        @rule(who=WHO, sizes=MESSAGES)
        def only_if_it_exists(self, who: int, sizes: list[int]) -> None:
            sessions, messages = self.repositories[who], [human(size) for size in sizes]
            if self.version:
                self.moved_to(self.run(sessions.append("s", messages, must_exist=True)))
                self.model += messages
                return
            for call in (
                sessions.append("s", messages, must_exist=True),
                sessions.replace("s", messages, must_exist=True),
                sessions.truncate("s", keep=0),
                sessions.update_metadata("s", {"title": "t"}),
            ):
                with pytest.raises(SessionNotFoundError):
                    self.run(call)

        @rule(who=WHO, name=st.sampled_from("abc"), value=st.sampled_from(["x", "y", None]), large=st.booleans())
        def set_attribute(self, who: int, name: str, value: str | None, large: bool) -> None:
            messages = [human(700) for _ in range(6 if large else 1)]
            self.moved_to(self.run(self.repositories[who].append("s", messages, attributes={name: value})))
            self.model += messages
            self.own = {k: v for k, v in {**self.own, name: value}.items() if v is not None}

        @rule(who=WHO)
        def delete(self, who: int) -> None:
            self.run(self.repositories[who].delete("s"))
            self.gone()
            assert self.run(scan(self.repositories[0])) == []

        @rule()
        def expire(self) -> None:
            self.clock.advance(TTL + 1)
            self.gone()

        def gone(self) -> None:
            self.model, self.title, self.own = [], None, {}
            self.version = 0

        @rule(who=WHO, limit=st.integers(0, 12))
        def window(self, who: int, limit: int) -> None:
            chat = self.run(self.repositories[who].read("s", limit=limit))
            assert chat.messages == self.model[len(self.model) - min(limit, len(self.model)) :]

        @rule(who=WHO)
        def iterate(self, who: int) -> None:
            async def collect() -> list[BaseMessage]:
                return [message async for message in self.repositories[who].iter_messages("s")]

            assert self.run(collect()) == self.model

        @invariant()
        def reads_are_the_model(self) -> None:
            for repository in self.repositories:
                chat = self.run(repository.read("s"))
                assert (chat.messages, chat.message_count) == (self.model, len(self.model))
                assert (chat.version, chat.metadata.get("title")) == (self.version, self.title)
                assert chat.attributes == self.own
                assert self.run(repository.read("s", unless_version=self.version)) is None
            assert self.run(self.summaries()) == ([(self.version, len(self.model), self.own)] if self.version else [])

        async def summaries(self) -> list[Any]:
            listed = self.repositories[0].list(attributes=["a", "b", "c"])
            return [(s.version, s.message_count, s.attributes) async for s in listed]

        def teardown(self) -> None:
            table = {"TableName": self.repositories[0].table_name}
            self.run(self.repositories[0]._connection.call("delete_table", table, write=True))
            for repository in self.repositories:
                self.run(repository.aclose())
            self.run(self.loop.shutdown_asyncgens())
            self.loop.close()

    return Sessions


def test_random_interleavings(engine: TestEngine) -> None:
    """Whatever two repositories do in turn, both read what a plain list holds."""
    examples = settings.default.max_examples // (20 if engine.name == "moto" else 10)  # moto is slow and proves little
    run_state_machine_as_test(
        make_machine(engine),
        settings=settings(max_examples=examples, stateful_step_count=25, suppress_health_check=list(HealthCheck)),
    )
