"""Damaged data: a typed error that names item and attribute, or the right messages; nothing else, and nothing lost."""

from __future__ import annotations

import asyncio
import copy
import functools
import tracemalloc
import zlib
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, NamedTuple

import pytest
from langchain_core.messages import BaseMessage, HumanMessage

from conftest import RepositoryFactory, TableFactory
from damage import KEY, STATES, Damage, Raw, Stored, damages, over, stored
from langchain_dynamodb import AsyncSessionRepository
from langchain_dynamodb._items.sizes import MAX_INFLATED
from langchain_dynamodb._store import reading, steps
from langchain_dynamodb.codec import messages as codec
from langchain_dynamodb.codec.dictionary import DICTIONARY_1
from langchain_dynamodb.errors import (
    CorruptSessionError,
    ForeignItemError,
    IncompleteSessionError,
    InvalidInputError,
    OutcomeUnknownError,
)
from support import SMALL, Chain, human, noise, scan

pytestmark = pytest.mark.once

WINDOW = 3


async def listed(repository: AsyncSessionRepository) -> list[BaseMessage]:
    """All messages by iter_messages."""
    return [message async for message in repository.iter_messages("s")]


async def whole(repository: AsyncSessionRepository) -> list[BaseMessage]:
    """All messages by a read, which counts them too."""
    chat = await repository.read("s")
    assert repository._reader.decoder.skip_undecodable or chat.message_count == len(chat.messages)
    return chat.messages


async def newest(repository: AsyncSessionRepository) -> list[BaseMessage]:
    """A window."""
    return (await repository.read("s", limit=WINDOW)).messages


READS: tuple[Callable[[AsyncSessionRepository], Awaitable[list[BaseMessage]]], ...] = (whole, newest, listed)


async def outcome(reading: Awaitable[list[BaseMessage]], items: list[Raw], attribute: str) -> list[BaseMessage] | str:
    """The messages, "refused" for the right error, or what is wrong with it."""
    try:
        return await reading
    except CorruptSessionError as error:
        named = [item[KEY]["S"] for item in items if item[KEY]["S"] in error.item]
        about = error.attribute is None or error.attribute in str(error)
        return "refused" if named and about and "docs/operation.md" in str(error) else f"names nothing: {error}"
    except ForeignItemError as error:  # without its list nothing tells an item of langchain_community from any other
        named = [item[KEY]["S"] for item in items if item[KEY]["S"] in error.item and "lc_version" not in item]
        return "refused" if named and attribute == "History" else f"names nothing: {error}"
    except Exception as error:  # that is what this test is for
        return f"{type(error).__name__}: {error}"


def within(found: list[BaseMessage], messages: list[BaseMessage]) -> bool:
    """Whether these are some of the messages, in order."""
    rest = iter(messages)
    return all(message in rest for message in found)


def right(found: list[BaseMessage], session: Stored, damage: Damage, window: bool, skipping: bool) -> bool:
    """Whether a read may return these messages in spite of the damage."""
    if damage.attribute == "History" and "lc_version" not in session.items[0]:
        return True  # langchain_community's own format, in which nothing tells a changed message from another
    if skipping:
        return within(found, session.deleted)
    some = slice(-WINDOW, None) if window else slice(None)
    # The stamp of the expiry is anybody's: in the past it means that there is no session.
    expired = damage.attribute == "expireAt" and not found
    return expired or found in (session.messages[some], session.deleted[some])


@pytest.mark.parametrize("state", STATES)
async def test_no_damage_changes_what_is_read(make_repository: RepositoryFactory, state: str) -> None:
    """Every attribute of every stored item, of every type and damaged in every way: the messages, or the error."""
    session = await stored(make_repository, state)
    wrong: list[tuple[Any, ...]] = []
    refused = cases = 0
    for damage in damages(session.items):
        damaged = damage.applied(session.items)
        for skipping in (False, True):
            for read in READS:
                found = await outcome(read(over(damaged, skip_undecodable=skipping)), damaged, damage.attribute)
                cases += 1
                refused += found == "refused"
                if found != "refused" and (
                    isinstance(found, str) or not right(found, session, damage, read is newest, skipping)
                ):
                    wrong.append((damage[:3], read.__name__, skipping, found))
    assert wrong == []
    assert cases > 600
    assert refused > cases / 10


@pytest.mark.parametrize("state", ["pages", "parts", "rewritten"])
async def test_missing_and_foreign_pages(make_repository: RepositoryFactory, state: str) -> None:
    """A page that is gone, taken from its neighbour or from another session is never read for the right one."""
    session = await stored(make_repository, state)
    other = await stored(make_repository, state)  # the same table: a longer session of the same name
    for index in range(1, len(session.items)):
        key = session.items[index][KEY]
        strangers = [item for item in (*session.items[1:], *other.items[1:]) if item != session.items[index]]
        for stranger in [None, *strangers]:
            damaged = [item for item in session.items if item[KEY] != key]
            damaged += [{**stranger, KEY: key}] if stranger else []
            for read in READS:
                found = await outcome(read(over(damaged)), session.items, "lc_data")
                expected = session.messages[-WINDOW:] if read is newest else session.messages
                assert found in ("refused", expected), (index, stranger, read)
                assert read is newest or found == "refused"


# -- single values ----------------------------------------------------------------------------------------------

DIGITS = "7" * 1_000_000
LINES: dict[str, bytes] = {
    "deep list": b'{"type":"human","content":"","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "deep map": b'{"type":"human","content":"","x":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"}",
    "deep content": b'{"type":"human","content":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "deep type": b'{"type":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "digits": f'{{"type":"human","content":"","x":{DIGITS}}}'.encode(),
    "negative digits": f'{{"type":"human","content":"","x":-{DIGITS}}}'.encode(),
    "fraction above": f'{{"type":"human","content":"","x":{DIGITS}.5}}'.encode(),
    "exponent": b'{"type":"human","content":"","x":1e999999999}',
    "exponent of many digits": f'{{"type":"human","content":"","x":1e{DIGITS}}}'.encode(),
    "NaN": b'{"type":"human","content":"","x":NaN}',
    "constructor": b'{"lc":1,"type":"constructor","id":["os","system"],"kwargs":{"command":"exit"}}',
    "pickle": b"cos\nsystem\n(S'exit'\ntR.",
    "a class by name": b'{"type":"subprocess.Popen","args":"exit","content":""}',
    "a class by path": b'{"type":"langchain_core.messages.HumanMessage","content":""}',
    "private state": b'{"type":"human","content":5,"__class__":"x","__pydantic_private__":{}}',
}


@pytest.mark.parametrize("place", ["tail", "text", "page"])
@pytest.mark.parametrize("mark", [b"", b"!"], ids=["orjson", "json"])
@pytest.mark.parametrize("name", LINES)
async def test_hostile_lines(make_repository: RepositoryFactory, name: str, mark: bytes, place: str) -> None:
    """JSON that is too deep, numbers that are too long, and names of other classes: the error, in the right place."""
    items = await one_message(make_repository, paged=place == "page")
    if mark and place == "text" and len(LINES[name]) > 300_000:
        return  # the same bytes as in a block
    line = mark + LINES[name].replace(b"\n", b" ")
    if place == "page":
        items[1]["lc_data"] = {"B": codec.pack([line])}
    else:
        items[0]["History"]["L"][0] = {"S": line.decode()} if place == "text" else {"B": codec.pack([line])}
    where = "lc_data" if place == "page" else "History[0]"
    for read in READS:
        with pytest.raises(CorruptSessionError) as caught:
            await read(over(items))
        assert (caught.value.attribute, items[-1][KEY]["S"] in caught.value.item) == (where, True)
        assert len(str(caught.value)) < 500
        assert await read(over(items, skip_undecodable=True)) == []


@pytest.mark.parametrize("paged", [False, True])
async def test_which_of_many_blocks_is_bad(make_repository: RepositoryFactory, paged: bool) -> None:
    """They are decoded together; the error names the one, and without it the others are there."""
    repository = make_repository(sizes=SMALL)
    messages = [human(1400 if paged else 10) for _ in range(4)]
    for message in messages:
        await repository.append("s", [message])
    items = sorted(await scan(repository), key=lambda item: str(item[KEY]["S"]))
    bad = {"B": codec.pack([LINES["a class by name"]])}
    if paged:
        items[2]["lc_data"] = bad
    else:
        items[0]["History"]["L"][1] = bad
    with pytest.raises(CorruptSessionError) as caught:
        await whole(over(items))
    assert caught.value.attribute == ("lc_data" if paged else "History[1]")
    assert items[2 if paged else 0][KEY]["S"] in caught.value.item
    read = await whole(over(items, skip_undecodable=True))
    assert [message.content for message in read] == [messages[n].content for n in (0, 2, 3)]


async def one_message(make: RepositoryFactory, paged: bool) -> list[Raw]:
    """The items of a session of one message, in the tail or in a page."""
    repository = make(sizes=SMALL)
    await repository.append("s", [human(1400 if paged else 10)])
    items = sorted(await scan(repository), key=lambda item: str(item[KEY]["S"]))
    assert len(items) == 1 + paged
    return items


@pytest.mark.parametrize("digits", [4300, 4301, 1_000_000])
async def test_long_numbers_that_only_json_reads(make_repository: RepositoryFactory, digits: int) -> None:
    """Python's own limit is the border, whatever this process has set it to."""
    items = await one_message(make_repository, paged=False)
    line = f'!{{"type":"human","content":"","x":{"7" * digits}}}'.encode()
    items[0]["History"]["L"][0] = {"B": codec.pack([line])}
    if digits <= 4300:
        (message,) = await whole(over(items))
        assert message.model_extra == {"x": int("7" * digits)}
    else:
        with pytest.raises(CorruptSessionError, match="not the JSON of a message"):
            await whole(over(items))


def bomb(unit: bytes, size: int) -> bytes:
    """A block with a valid checksum of `size` bytes, in a thousandth of that."""
    deflater = zlib.compressobj(6, zlib.DEFLATED, -15, 9, zlib.Z_DEFAULT_STRATEGY, DICTIONARY_1)
    piece = unit * (1 << 16)
    crc, data = 0, b""
    for _ in range(size // len(piece)):
        data += deflater.compress(piece)
        crc = zlib.crc32(piece, crc)
    return b"\x01" + crc.to_bytes(4, "big") + data + deflater.flush()


MOST = 2 * MAX_INFLATED  # zlib doubles its buffer


@pytest.mark.parametrize(
    ("unit", "size", "place", "most"),
    [
        (b"x", 100 << 20, "tail", MOST),
        (b"x", 100 << 20, "page of one", MOST),
        (b"x", 60 << 20, "page of two", 4 << 20),
        (b"\n", 60 << 20, "tail", MOST),
        (b"{}\n", 30 << 20, "tail", MOST),
        (b"x", 60 << 20, "many entries", MOST),
    ],
    ids=["tail", "page of one", "page of two", "line breaks", "lines", "many entries"],
)
async def test_bombs(make_repository: RepositoryFactory, unit: bytes, size: int, place: str, most: int) -> None:
    """What a few kilobytes inflate to is bounded: by the size of a page of several messages, or of one message."""
    items = await one_message(make_repository, paged="page" in place)
    block = bomb(unit, size)
    assert len(block) < 400_000
    if "page" in place:
        count = 1 if place == "page of one" else 2
        items[1] = Chain.of(items[1])._replace(messages=count).put_into(items[1]) | {"lc_data": {"B": block}}
        items[0] |= {name: {"N": str(count)} for name in ("lc_count", "lc_tail_start")}
    else:
        items[0]["History"]["L"] = [{"B": block}] * (5 if place == "many entries" else 1)
        items[0]["lc_count"] = {"N": str(len(items[0]["History"]["L"]))}
    for read in READS:
        tracemalloc.start()
        try:
            with pytest.raises(CorruptSessionError, match="block of more than"):
                await read(over(items))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < most + (2 << 20)


async def test_endless_parts(make_repository: RepositoryFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages that claim to be parts of one message are not collected for ever while iterating."""
    repository = make_repository(sizes=SMALL)
    await repository.append("s", [human(60_000)])
    items = await scan(repository)
    assert len(items) > 30
    reader = over(items)
    monkeypatch.setattr(reading, "MAX_INFLATED", 20_000)
    with pytest.raises(CorruptSessionError, match="more parts than a message can have"):
        await listed(reader)


@pytest.mark.parametrize("trimmed", [1, 3])
async def test_a_first_page_that_does_not_come_first(make_repository: RepositoryFactory, trimmed: int) -> None:
    """The session says that other messages were dropped than those before its first page."""
    session = await stored(make_repository, "pages")
    item = {**session.items[0], "lc_trimmed": {"N": str(trimmed)}}
    for read in (whole, listed):
        with pytest.raises(CorruptSessionError, match="~00000000"):
            await read(over([item, *session.items[1:]]))


async def test_a_wrong_number_of_pages_does_not_hang(make_repository: RepositoryFactory) -> None:
    """Four thousand million pages that are not there: noticed by every operation that would go through them."""
    session = await stored(make_repository, "pages")
    item = {**session.items[0], "lc_pages": {"N": str(2**32 - 1)}, "lc_pages_expire": {"N": "0"}}
    for read in (whole, listed):
        assert await outcome(read(over([item, *session.items[1:]])), session.items, "lc_pages") == "refused"
    repository = make_repository(sizes=SMALL, ttl=60)
    await put(repository, [item])
    with pytest.raises(CorruptSessionError, match=r"lc_pages.*Damaged items"):
        await repository.delete("s")
    with pytest.raises(CorruptSessionError):
        await repository.truncate("s", keep=1)
    with pytest.raises(CorruptSessionError):
        await repository.replace("s", [HumanMessage("a")])
    await repository.append("s", [HumanMessage("a")])  # whose refresh of all pages is given up
    assert len(await scan(repository)) == len(session.items)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"lc_reach": 2**31}, None),
        ({"lc_created": 10**18}, "lc_created"),
        ({"lc_updated": 10**18}, "lc_updated"),
        ({"lc_generation": 2**56}, "lc_generation"),
        ({"lc_version": 2**57}, "lc_version"),
        ({"lc_version": 1}, "lc_version"),
        ({"lc_pages": 2**32}, "lc_pages"),
        ({"lc_floor": 2**32}, "lc_floor"),
        ({"lc_count": 2**60, "lc_tail_start": 2**60}, "lc_count"),
    ],
)
async def test_numbers_out_of_bounds(
    make_repository: RepositoryFactory, changes: dict[str, int], named: str | None
) -> None:
    """Times after the year 9999, keys with too many digits, ranges that would take for ever: named each time."""
    session = await stored(make_repository, "pages")
    repository = make_repository(sizes=SMALL)
    await put(repository, [session.items[0] | {name: {"N": str(value)} for name, value in changes.items()}])
    before = await scan(repository)
    for call in (repository.read, repository.delete, lambda s: repository.replace(s, [HumanMessage("a")])):
        with pytest.raises(CorruptSessionError) as caught:
            await call("s")
        assert caught.value.attribute == named
    assert await scan(repository) == before


@pytest.mark.parametrize("kind", ["B", "SS", "NS", "BS"])
async def test_metadata_of_no_json_type(make_repository: RepositoryFactory, kind: str) -> None:
    """Somebody put a set into the metadata: it is named, messages can be appended, and it can be overwritten."""
    repository = make_repository()
    await repository.append("s", [HumanMessage("a")])
    (item,) = await scan(repository)
    wrong: dict[str, Any] = {"B": b"x", "SS": ["x"], "NS": ["1"], "BS": [b"x"]}
    await put(repository, [{**item, "lc_metadata": {"M": {"title": {kind: wrong[kind]}}}}])
    with pytest.raises(CorruptSessionError, match=kind) as caught:
        await repository.read("s")
    assert caught.value.attribute == "lc_metadata"
    await repository.append("s", [HumanMessage("b")])
    await repository.update_metadata("s", {"title": "t"})
    chat = await repository.read("s")
    assert (chat.messages, chat.metadata) == ([HumanMessage("a"), HumanMessage("b")], {"title": "t"})


async def test_text_with_line_breaks(make_repository: RepositoryFactory) -> None:
    """JSON that somebody else appended as text may be laid out over several lines."""
    items = await one_message(make_repository, paged=False)
    items[0]["History"]["L"][0] = {"S": '{\n  "type": "human",\n  "content": "a\\nb"\n}\n'}
    assert await whole(over(items)) == [HumanMessage("a\nb")]


async def test_a_write_of_too_many_pages(make_repository: RepositoryFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody could tell its intent from a damaged one: it is refused before anything is written."""
    monkeypatch.setattr(steps, "MAX_WRITE_PAGES", 3)
    repository = make_repository(sizes=SMALL)
    with pytest.raises(InvalidInputError, match="at most 3"):
        await repository.append("s", [human(400) for _ in range(20)])
    assert await scan(repository) == []


async def test_trimming_verifies_what_it_drops(make_repository: RepositoryFactory) -> None:
    """`history_size` drops pages by their numbers: one that is not where it should be is not dropped."""
    session = await stored(make_repository, "pages")
    repository = make_repository(sizes=SMALL)
    for index, name, by in ((1, "first", 1), (2, "first", -1), (1, "messages", -1)):
        damaged = copy.deepcopy(session.items)
        chain = Chain.of(damaged[index])
        damaged[index] = chain._replace(**{name: getattr(chain, name) + by}).put_into(damaged[index])
        await put(repository, damaged)
        with pytest.raises(CorruptSessionError, match="lc_chain"):
            await make_repository(sizes=SMALL).append("s", [human(900)], history_size=2)
        assert len(await scan(repository)) == len(session.items)


# -- changes of a damaged session -------------------------------------------------------------------------------


async def put(repository: AsyncSessionRepository, items: Iterable[Raw]) -> None:
    """Store items as they are."""
    for item in items:
        request = {"TableName": repository.table_name, "Item": item}
        await repository._connection.call("put_item", request, write=True)


def renamed(items: list[Raw], session: str) -> list[Raw]:
    """The items under another session's name."""
    return [{**item, KEY: {"S": session + item[KEY]["S"].removeprefix("s")}} for item in items]


NEW: list[BaseMessage] = [HumanMessage("new"), HumanMessage(noise(700))]
CHANGES: dict[str, Callable[[AsyncSessionRepository, str], Awaitable[object]]] = {
    "append": lambda sessions, s: sessions.append(s, NEW[:1]),
    "append pages": lambda sessions, s: sessions.append(s, NEW),
    "replace": lambda sessions, s: sessions.replace(s, NEW),
    "truncate": lambda sessions, s: sessions.truncate(s, keep=2),
    "update_metadata": lambda sessions, s: sessions.update_metadata(s, {"title": "new"}),
    "delete": lambda sessions, s: sessions.delete(s),
}
# What a range of page numbers was proved by: with a wrong one that is possible, a delete may leave pages behind.
RANGE = {"lc_generation", "lc_first_page", "lc_floor", "lc_pages", "lc_reach"}
USUAL = {"missing", "S", "2**31", "+1", "shorter", "format"}


def results(change: str, messages: list[BaseMessage]) -> list[BaseMessage]:
    """What a session reads as after the change was carried out."""
    after = {"append": messages + NEW[:1], "append pages": messages + NEW, "replace": NEW, "delete": []}
    return {**after, "truncate": messages[:2], "update_metadata": messages}[change]


class Case(NamedTuple):
    """One change of one damaged session, and what came of it."""

    damage: Damage
    name: str
    before: dict[str, Raw]
    error: Exception | None

    def verdict(self, after: dict[str, Raw]) -> str:
        """What is wrong; empty if nothing is, as far as the items tell."""
        if self.error is None:
            return ""
        if not isinstance(self.error, (CorruptSessionError, IncompleteSessionError, OutcomeUnknownError)):
            return f"{type(self.error).__name__}: {self.error}"
        kept = all(after.get(key, {}).get("lc_data") == item.get("lc_data") for key, item in self.before.items())
        entries, left = (x[self.name].get("History", {}).get("L", []) for x in (self.before, after))
        same = left == entries or (isinstance(self.error, OutcomeUnknownError) and left[:-1] == entries)
        told = isinstance(self.error, IncompleteSessionError) or "docs/operation.md" in str(self.error)
        return "" if kept and same and told else f"lost something: {self.error}"


async def carry_out(make: RepositoryFactory, damage: Damage, session: Stored, change: str, name: str) -> Case:
    """Store the damaged session under a name of its own, and change it."""
    repository = make(sizes=SMALL)
    items = renamed(damage.applied(session.items), name)
    requests = [{"PutRequest": {"Item": item}} for item in items]
    await repository._connection.call("batch_write_item", {"RequestItems": {repository.table_name: requests}})
    error: Exception | None = None
    try:
        await asyncio.wait_for(CHANGES[change](repository, name), 60)
    except Exception as raised:  # that is what this test is for
        error = raised
    return Case(damage, name, {item[KEY]["S"]: item for item in items}, error)


async def wrong_result(make: RepositoryFactory, case: Case, session: Stored, change: str, after: dict[str, Raw]) -> str:
    """What is wrong after a change that was carried out; empty if nothing is."""
    if change == "delete":
        return "left something" if after and case.damage.attribute not in RANGE else ""
    try:
        found = (await make().read(case.name)).messages
    except (CorruptSessionError, IncompleteSessionError):  # the change made it a session that has just changed
        gone = [key for key in case.before if key != case.name and key not in after]
        return f"lost pages {gone}" if gone else ""
    return "" if found == results(change, session.messages) else f"reads {len(found)} messages"


@pytest.mark.real_engine
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("state", ["pages"])
async def test_changes_of_a_damaged_session_lose_nothing(
    make_repository: RepositoryFactory, make_table: TableFactory, state: str, change: str
) -> None:
    """Refused with the error and everything still there, or carried out as if nothing were wrong."""
    session = await stored(make_repository, state)
    table = make_table()
    make = functools.partial(make_repository, table)
    # A stamp is anybody's to change, and in the past it means that there is no session.
    past = {("expireAt", what) for what in ("N", "0", "2**31", "-1")}
    chosen = [d for d in damages(session.items[:2]) if d.what in USUAL and (d.attribute, d.what) not in past]
    gate = asyncio.Semaphore(8)

    async def one(number: int, damage: Damage) -> Case:
        async with gate:
            return await carry_out(make, damage, session, change, f"{number:04}-")

    cases = await asyncio.gather(*(one(n, d) for n, d in enumerate(chosen)))
    after: dict[str, dict[str, Raw]] = {case.name: {} for case in cases}
    for item in await scan(make()):
        after[item[KEY]["S"][:5]][item[KEY]["S"]] = item
    wrong = []
    for case in cases:
        said = case.verdict(after[case.name])
        if case.error is None:
            said = await wrong_result(make, case, session, change, after[case.name])
        if said:
            wrong.append((case.damage[:3], said))
    assert wrong == []
    refused = sum(case.error is not None for case in cases)
    assert refused > 20
    assert len(cases) - refused > 5


async def test_an_append_to_a_damaged_session_is_never_taken_for_undone(make_repository: RepositoryFactory) -> None:
    """DynamoDB applied it before the damage was seen: the error says so, and does not say that nothing was written."""
    repository = make_repository()
    await repository.append("s", [HumanMessage("a")])
    (item,) = await scan(repository)
    await put(repository, [{**item, "lc_updated": {"N": "5"}, "lc_metadata": {"S": "wrong"}}])
    cold = make_repository()
    with pytest.raises(OutcomeUnknownError, match=r"was applied.*lc_metadata") as caught:
        await cold.append("s", [HumanMessage("b")])
    assert isinstance(caught.value.__cause__, CorruptSessionError)
    (damaged,) = await scan(repository)
    assert len(damaged["History"]["L"]) == 2
