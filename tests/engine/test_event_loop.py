"""No operation keeps the event loop busy, however much it reads or writes: counted, not timed.

What the loop's thread does between two of its turns is counted in calls of functions. What one call does to megabytes
is looked at by the codec: it must not do it on that thread.
"""

from __future__ import annotations

import asyncio
import io
import random
import sys
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from conftest import RepositoryFactory
from corpus import turn
from langchain_dynamodb import AsyncSessionRepository
from langchain_dynamodb import repository as module
from langchain_dynamodb._dynamodb import wire
from langchain_dynamodb._protocol import pages
from langchain_dynamodb._store import community_writer, page_objects
from langchain_dynamodb.admin import export_sessions, import_sessions, verify
from langchain_dynamodb.codec import long_blocks, long_lines, messages
from langchain_dynamodb.codec.long_blocks import BlockReader
from langchain_dynamodb.codec.long_lines import Line
from langchain_dynamodb.codec.messages import Codec, Place
from langchain_dynamodb.codec.places import Degraded
from langchain_dynamodb.encryption import LocalKeyring
from memory_blobs import MemoryBlobs
from support import noise, scan, with_options

pytestmark = [pytest.mark.once, pytest.mark.any_engine]

MOST_CALLS = 12_000  # of Python functions and built-in ones between two turns: about two milliseconds
MANY = [HumanMessage(f"question {i}") if i % 2 else AIMessage(f"answer {i}", id=f"a{i}") for i in range(5_000)]
NAMED = [message.model_copy(update={"id": f"m{i}"}) for i, message in enumerate(MANY)]
_rng = random.Random(5)
TURNS = [message for _ in range(1_000) for message in turn(_rng, 1_200)]

Step = Callable[[AsyncSessionRepository], Awaitable[object]]


class Turns:
    """Counts calls within the package, and below, on this thread between two turns of the event loop."""

    def __init__(self) -> None:
        self.most = 0
        self.where: list[str] = []
        self._calls = self._inside = 0

    async def __aenter__(self) -> Turns:
        self._turning = asyncio.create_task(self._turn())
        await asyncio.sleep(0)
        sys.setprofile(self._count)
        return self

    async def __aexit__(self, *_: object) -> None:
        sys.setprofile(None)
        self._turning.cancel()
        self._note()

    def _count(self, frame: Any, event: str, argument: Any) -> None:
        if event == "call" or event == "c_call":
            self._calls += 1

    def _note(self) -> None:
        self.most, self._calls = max(self.most, self._calls), 0

    async def _turn(self) -> None:
        while True:
            self._note()
            await asyncio.sleep(0)


@dataclass(frozen=True)
class Watching(Codec):
    """Notes which of its work was done on the main thread, and on how many bytes."""

    done: list[tuple[str, int]] = field(default_factory=list, compare=False)

    def _note(self, what: str, size: int) -> None:
        if threading.current_thread() is threading.main_thread():
            self.done.append((what, size))

    def encode(
        self,
        messages: Sequence[BaseMessage],
        most: int,
        degraded: list[Degraded] | None = None,
        path: str | None = None,
        *,
        much: bool = True,
    ) -> list[Line]:
        """As ever."""
        lines = super().encode(messages, most, degraded, path, much=much)
        self._note("encode", sum(map(len, lines)))
        return lines

    def decode(self, lines: Sequence[Line], *, again: bool = False) -> list[BaseMessage]:
        """As ever."""
        self._note("decode", sum(map(len, lines)))
        return super().decode(lines, again=again)

    def pack(self, lines: Sequence[Line], place: Place) -> bytes:
        """As ever."""
        self._note("pack", sum(map(len, lines)))
        return super().pack(lines, place)

    def seal(self, block: bytes, place: Place) -> bytes:
        """As ever."""
        self._note("seal", len(block))
        return super().seal(block, place)

    def open(self, stored: bytes, place: Place) -> bytes:
        """As ever."""
        self._note("open", len(stored))
        return super().open(stored, place)


async def nothing(repository: AsyncSessionRepository) -> None:
    """There is no session."""


async def stored(repository: AsyncSessionRepository) -> None:
    """All of it."""
    await repository.append("s", MANY)


async def stored_turns(repository: AsyncSessionRepository) -> None:
    """Of usual size: their pages have some hundred messages each."""
    await repository.append("s", TURNS)


async def one_by_one(repository: AsyncSessionRepository) -> None:
    """A page at a time."""
    async for _ in repository.iter_messages("s"):
        pass


def over_http(operation: Step) -> Step:
    """As behind FastAPI, where halves of characters are looked for."""
    return lambda repository: operation(repository._for_http())


async def turn_of_an_agent(repository: AsyncSessionRepository) -> None:
    """Of one whose checkpointer has all of the conversation; meanwhile the session got a title."""
    middleware: Any = pytest.importorskip("langchain_dynamodb.middleware").DynamoDBHistoryMiddleware(repository)
    runtime: Any = pytest.importorskip("langgraph.runtime").Runtime(context=None)
    chat = await repository.read("s")
    record = {"session": "s", "version": chat.version - 1, "count": len(NAMED), "pending": []}
    state: Any = {
        "messages": [*NAMED, HumanMessage("more", id="more")],
        "dynamodb_history": {**record, "stored": [message.id for message in NAMED]},
    }
    state.update(await middleware.abefore_agent(state, runtime, {"configurable": {"session_id": "s"}}))
    assert isinstance(state["messages"], list)  # nothing had to be loaded
    assert state["dynamodb_history"]["version"] == chat.version
    await middleware.abefore_model(state, runtime)
    await middleware.aafter_agent(state, runtime)
    assert (await repository.read("s", limit=1)).message_count == len(NAMED) + 1


async def stored_with_a_title(repository: AsyncSessionRepository) -> None:
    """Messages that all have ids."""
    pytest.importorskip("langchain_dynamodb.middleware")  # which takes long
    await repository.append("s", NAMED)
    await repository.update_metadata("s", {"title": "Questions"})


OPERATIONS: dict[str, tuple[Step, Step]] = {
    "append": (nothing, stored),
    "append with a key": (nothing, lambda repository: repository.append("s", MANY, idempotency_key="k")),
    "replace": (stored, lambda repository: repository.replace("s", MANY[::-1])),
    "replace the end": (stored, lambda repository: repository.replace("s", [*MANY[:-4], MANY[0]])),
    "truncate": (stored, lambda repository: repository.truncate("s", keep=2_500)),
    "edit": (stored, lambda repository: repository.update_message("s", AIMessage("another", id="a2"))),
    "copy": (stored, lambda repository: repository.copy("s", "t")),
    "read": (stored, lambda repository: repository.read("s")),
    "iterate": (stored, one_by_one),
    "append over HTTP": (nothing, over_http(stored)),
    "read over HTTP": (stored, over_http(lambda repository: repository.read("s"))),
    "iterate over HTTP": (stored, over_http(one_by_one)),
    "agent": (stored_with_a_title, turn_of_an_agent),
    "read turns": (stored_turns, lambda repository: repository.read("s")),
    "iterate turns": (stored_turns, one_by_one),
    "repair": (stored, lambda repository: repository.repair("s", drop_undecodable=True)),
}


@pytest.mark.parametrize("name", OPERATIONS)
async def test_many_messages(make_repository: RepositoryFactory, name: str) -> None:
    """The loop gets its turn after some hundred of them."""
    prepare, operation = OPERATIONS[name]
    await prepare(make_repository())
    repository = make_repository()
    await repository.read("s", limit=1)  # the client is made
    async with Turns() as turns:
        await operation(repository)
    assert 0 < turns.most < MOST_CALLS


async def test_the_measure_sees_a_busy_loop() -> None:
    """Else the others would prove nothing."""
    async with Turns() as turns:
        Codec().encode(MANY, 1 << 20)
    assert turns.most > 5 * MOST_CALLS


@pytest.mark.parametrize("shape", ["text", "block", "extra"])
async def test_one_long_message(make_repository: RepositoryFactory, shape: str) -> None:
    """What handles all of its bytes in one call runs in a thread."""
    text = noise(3 << 20)
    block = {"type": "image_url", "image_url": {"url": text}}
    message = {
        "text": HumanMessage(text),
        "block": HumanMessage([block]),
        "extra": AIMessage("", additional_kwargs={"audio": {"data": text}}),
    }[shape]
    codec = Watching()
    repository = with_options(make_repository(), codec=codec)
    await repository.append("s", [message])
    await repository.append("s", [HumanMessage("more", id="more")])
    await repository.update_message("s", HumanMessage("less", id="more"))
    assert (await with_options(repository, codec=codec).read("s")).messages[0] == message
    codec = repository._codec  # its copy of it
    assert isinstance(codec, Watching)
    assert codec.done
    assert max(codec.done, key=lambda done: done[1])[1] < 400_000


async def test_a_message_of_many_parts(make_repository: RepositoryFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers of megabytes are read in threads, and what they hold a piece at a time: one go would keep all waiting."""
    message = HumanMessage(noise(5 << 20))
    repository = make_repository()
    await repository.append("s", [message])
    read: list[tuple[bool, int]] = []
    inflated: list[int] = []
    decode, inflate = wire.decode, BlockReader._inflate

    def noted(body: bytes) -> Any:
        read.append((threading.current_thread() is threading.main_thread(), len(body)))
        return decode(body)

    def measured(reader: BlockReader, piece: bytes) -> int:
        inflated.append(inflate(reader, piece))
        return inflated[-1]

    monkeypatch.setattr(wire, "decode", noted)
    monkeypatch.setattr(BlockReader, "_inflate", measured)
    assert (await with_options(repository).read("s")).messages == [message]
    assert max(size for on_loop, size in read if on_loop) <= wire.MANY_BYTES < max(size for _, size in read) < 1_200_000
    assert sum(inflated) > 5 << 20
    assert max(inflated) <= long_lines.PIECE


LONG = "x" * (1 << 20)
LARGE: dict[str, list[BaseMessage]] = {
    "many of some size": [HumanMessage("x" * 8_000) for _ in range(100)],
    "blocks": [HumanMessage([{"type": "text", "text": "x" * 7_000} for _ in range(150)])],
    "numbers": [ToolMessage("x", tool_call_id="c", artifact=[[1 / (i + 2) for i in range(1_536)] for _ in range(60)])],
    "metadata": [AIMessage("x", response_metadata={"logprobs": LONG})],
    "invalid calls": [AIMessage("x", invalid_tool_calls=[{"name": "f", "args": LONG, "id": "c", "error": "no JSON"}])],
    "a field of its own": [HumanMessage("x", page=LONG)],
    "deep": [HumanMessage([{"type": "x", "a": {"b": {"c": {"d": [LONG]}}}}])],
    "bytes": [ToolMessage("x", tool_call_id="c", artifact={"image": b"x" * (1 << 20)})],
    "objects": [ToolMessage("x", tool_call_id="c", artifact=[Document(str(i), metadata={"i": i}) for i in range(900)])],
}


@pytest.fixture
def deflated(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Sizes of what is deflated on the main thread."""
    sizes: list[int] = []
    pack = messages.pack

    def noted(lines: Sequence[Line]) -> bytes:
        if threading.current_thread() is threading.main_thread():
            sizes.append(sum(map(len, lines)))
        return pack(lines)

    monkeypatch.setattr(messages, "pack", noted)
    return sizes


@pytest.mark.parametrize("shape", LARGE)
async def test_messages_that_are_large_in_some_way(
    make_repository: RepositoryFactory, deflated: list[int], shape: str
) -> None:
    """They are encoded and deflated in threads."""
    codec = Watching()
    repository = with_options(make_repository(), codec=codec)
    await repository.append("s", [HumanMessage("a")])
    await repository.append("s", LARGE[shape])
    codec = repository._codec  # type: ignore[assignment] # its copy of it
    assert [what for what, size in codec.done if size > 10_000] == []
    assert "encode" in [what for what, _ in codec.done]
    assert 0 < max(deflated) < 10_000


async def test_lines_that_turn_out_long(make_repository: RepositoryFactory, deflated: list[int]) -> None:
    """Where that was not to be seen (each of these characters takes six in JSON), they are deflated in a thread."""
    await make_repository().append("s", [HumanMessage("\0" * 100_000)])
    assert deflated == []


def note_work(monkeypatch: pytest.MonkeyPatch, module: Any, *names: str) -> list[str]:
    """The names of those functions of a module that are called on the main thread."""
    seen: list[str] = []

    def noting(name: str) -> Any:
        work = getattr(module, name)

        def noted(*args: Any, **options: Any) -> Any:
            if threading.current_thread() is threading.main_thread():
                seen.append(name)
            return work(*args, **options)

        return noted

    for name in names:
        monkeypatch.setattr(module, name, noting(name))
    return seen


async def test_a_long_message_over_http(make_repository: RepositoryFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Halves of characters are looked for in a thread, whichever way it goes; so is its idempotency key made."""
    seen = note_work(monkeypatch, module, "refuse_halves", "mended", "ids_of")
    repository = make_repository()._for_http()
    wanted: tuple[tuple[str, str, set[str]], ...] = (
        ("short", "x", {"refuse_halves", "mended", "ids_of"}),
        ("long", LONG, set()),
    )
    for session, text, where in wanted:
        seen.clear()
        await repository.append(session, [HumanMessage(text)], idempotency_key="k")
        await repository.read(session)
        assert [message.text async for message in repository.iter_messages(session)] == [text]
        assert set(seen) == where


async def test_a_long_message_for_langchain_community(
    make_repository: RepositoryFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is made what that reads in a thread, whichever way it comes in."""
    seen = note_work(monkeypatch, community_writer, "as_natives")
    repository = make_repository(item_format="community")
    for session in "st":
        await repository.append(session, [HumanMessage("a", id="a")])
    assert seen == ["as_natives"] * 2
    long = HumanMessage(LONG[:140_000], id="a")
    await repository.replace("s", [long])
    await repository.update_message("t", long)
    await repository.append("u", [long])
    assert seen == ["as_natives"] * 2


async def a_long_one(repository: AsyncSessionRepository) -> None:
    """A session of one long message, and a short one."""
    await repository.append("s", [HumanMessage(noise(1 << 20), id="long")])
    await repository.append("s", [HumanMessage("short")])


async def lacking_a_page(repository: AsyncSessionRepository) -> None:
    """Between two long messages one is lost, so that a repair moves both."""
    for id in ("long", "lost", "longer"):
        await repository.append("s", [HumanMessage(noise(1 << 20), id=id)])
    (name,) = [item["SessionId"] for item in await scan(repository) if item.get("lc_chain", {"S": ""})["S"][:2] == "1 "]
    await repository._connection.call("delete_item", {"TableName": repository.table_name, "Key": {"SessionId": name}})


SEALING: dict[str, tuple[Step, Step]] = {
    "begin": (nothing, a_long_one),
    "append": (a_long_one, lambda repository: repository.append("s", [HumanMessage(noise(1 << 20))])),
    "append after a long one": (
        lambda repository: repository.append("s", [HumanMessage(noise(1 << 20))]),
        lambda repository: repository.append("s", [HumanMessage(noise(1 << 20))]),
    ),
    "replace": (a_long_one, lambda repository: repository.replace("s", [HumanMessage(noise(1 << 20))])),
    "edit": (a_long_one, lambda repository: repository.update_message("s", HumanMessage(noise(1 << 20), id="long"))),
    "reencrypt": (a_long_one, lambda repository: repository.reencrypt("s")),
    "copy": (a_long_one, lambda repository: repository.copy("s", "fork")),
    "copy the beginning": (a_long_one, lambda repository: repository.copy("s", "fork", keep=1)),
    "repair": (lacking_a_page, lambda repository: repository.repair("s")),
    "repair and drop": (lacking_a_page, lambda repository: repository.repair("s", drop_undecodable=True)),
    "read": (a_long_one, lambda repository: repository.read("s")),
    "iterate": (a_long_one, one_by_one),
}


@pytest.mark.parametrize("blobs", [None, MemoryBlobs(threshold=1000)], ids=["plain", "blobs"])
@pytest.mark.parametrize("name", SEALING)
async def test_a_long_message_is_encrypted(
    make_repository: RepositoryFactory, name: str, blobs: MemoryBlobs | None
) -> None:
    """And decrypted, in threads."""
    prepare, operation = SEALING[name]
    given: dict[str, Any] = {"encryption": LocalKeyring(bytes(32)), "blobs": blobs}
    await prepare(make_repository(**given))
    make_repository.set_clock().advance(24 * 3600)  # what is missing is not late
    repository = with_options(make_repository(**given), codec=Watching())
    await operation(repository)
    codec = repository._codec
    assert isinstance(codec, Watching)
    assert max(codec.done, default=("", 0), key=lambda done: done[1])[1] < 200_000


async def exported_and_verified(repository: AsyncSessionRepository) -> None:
    """Both, and brought into another table."""
    output = io.BytesIO()
    await export_sessions(repository, output)
    output.seek(0)
    assert (await verify(repository, against=output)).actions == {"verified": 1}
    output.seek(0)
    assert (await import_sessions(repository, output)).actions == {"unchanged": 1}


async def continued(repository: AsyncSessionRepository) -> None:
    """Replaced by what begins the same."""
    chat = await repository.read("s")
    await repository.replace("s", [*chat.messages[:-1], HumanMessage("another")], expected_version=None)


IN_PIECES: dict[str, tuple[Step, Step]] = {
    **SEALING,
    "replace the end": (a_long_one, continued),
    "replace by one as long": (
        a_long_one,
        lambda repository: repository.replace("s", [HumanMessage(noise(1 << 20), id="LONG"), HumanMessage("short")]),
    ),
    "with a key": (a_long_one, lambda repository: repository.append("s", LARGE["blocks"], idempotency_key="k")),
    "export": (a_long_one, exported_and_verified),
    "read around": (lacking_a_page, lambda repository: repository.read("s", skip_missing_pages=True)),
}


@pytest.mark.parametrize("much", [1, 2 << 20], ids=["in pieces", "whole"])
@pytest.mark.parametrize("name", IN_PIECES)
async def test_a_long_message_in_pieces(
    make_repository: RepositoryFactory, monkeypatch: pytest.MonkeyPatch, name: str, much: int
) -> None:
    """What is made, or read, piece by piece is so in threads; so is what is read so and is not long enough for it."""
    for owner, constant, value in (
        (page_objects, "MUCH", 1 << 16),
        (long_lines, "LONG_LINE", much),
        (long_blocks, "LONG_LINE", much),
        (pages, "IN_PIECES", much),
        (long_lines, "LONG_TEXT", 1 << 16),
        (long_blocks, "LONG_TEXT", 1 << 16),
        (long_lines, "PIECE", 1 << 15),
        (long_blocks, "PIECE", 1 << 15),
    ):
        monkeypatch.setattr(owner, constant, value)
    done: list[tuple[str, int]] = []

    def noting(owner: Any, method: str) -> None:
        work = getattr(owner, method)

        def noted(given: Any, *rest: Any, **options: Any) -> Any:
            size = sum(map(len, given._parts if isinstance(given, long_lines.LongLine) else given))
            if threading.current_thread() is threading.main_thread() and size > 200_000:
                done.append((method, size))
            return work(given, *rest, **options)

        monkeypatch.setattr(owner, method, noted)

    noting(long_lines.LongLine, "__iter__")
    noting(long_lines, "_digest")
    noting(messages, "pack")
    noting(messages, "decode_lines")
    given: dict[str, Any] = {"encryption": LocalKeyring(bytes(32)), "blobs": MemoryBlobs(threshold=1000)}
    prepare, operation = IN_PIECES[name]
    await prepare(make_repository(**given))
    make_repository.set_clock().advance(24 * 3600)  # what is missing is not late
    done.clear()
    await operation(make_repository(**given))
    assert done == []


@pytest.mark.parametrize("place", ["tail", "page"])
async def test_an_edit_of_a_long_message(make_repository: RepositoryFactory, place: str) -> None:
    """It is found, exchanged and removed in threads."""
    codec = Watching()
    repository = with_options(make_repository(), codec=codec)
    long = [HumanMessage(noise(2 << 20), id="a"), HumanMessage("b" * 3_000_000, id="b")]
    for message in long if place == "page" else []:
        await repository.append("s", [message])
    await repository.append("s", [HumanMessage("c", id="c")])
    for message in long:
        target = message.id if place == "page" else "c"
        await repository.update_message("s", message.model_copy(update={"id": target}))
    await repository.remove_message("s", "a" if place == "page" else "c")
    codec = repository._codec
    assert isinstance(codec, Watching)
    assert max(codec.done, key=lambda done: done[1])[1] < 400_000


@pytest.mark.parametrize("item_format", ["pages", "community"])
async def test_an_item_of_langchain_community(make_repository: RepositoryFactory, item_format: Any) -> None:
    """It is one list of up to 400 KB, which the SDK takes apart in one go; to that we add little."""
    await make_repository(item_format="community").append("s", MANY[:600])
    repository = make_repository(item_format=item_format)
    await repository.read("none")
    request = {"TableName": repository.table_name, "Key": {"SessionId": {"S": "s"}}}
    async with Turns() as bare:
        await repository._connection.call("get_item", request, write=False)
    async with Turns() as turns:
        assert (await repository.read("s")).message_count == 600
        await repository.append("s", MANY[600:602])
    assert turns.most < bare.most * 1.3
