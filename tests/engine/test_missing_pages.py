"""Pages that are not there: late, or lost for good. What is there can be read, changed and deleted."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import BaseMessage, HumanMessage, ToolMessage

from conftest import RepositoryFactory
from langchain_dynamodb import AsyncSessionRepository, ChatSession, Gap, SessionRepository
from langchain_dynamodb._items.session_items import SessionItem
from langchain_dynamodb._store.salvaging import Salvager
from langchain_dynamodb.errors import CorruptSessionError, IncompleteSessionError, ThrottledError
from missing_pages import LOST, STATES, batch, damaged, look, lose, pages, put
from support import (
    SMALL,
    At,
    Call,
    Chain,
    Hooked,
    Recorder,
    Scripted,
    human,
    is_of_pages,
    named,
    remembered,
    scan,
    watch,
)

pytestmark = pytest.mark.once


def shown(chat: ChatSession) -> list[BaseMessage | None]:
    """The messages, with None for each that is missing."""
    found: list[BaseMessage | None] = []
    gaps = {gap.position: gap.messages for gap in chat.missing}
    for position in range(len(chat.messages) + 1):
        found += [None] * gaps.get(position, 0)
        found += chat.messages[position : position + 1]
    return found


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("lost", LOST.values(), ids=LOST.keys())
async def test_what_is_there_is_read_and_what_is_not_is_told(
    make_repository: RepositoryFactory, state: str, lost: list[int]
) -> None:
    """Every message that is left, in order, how many are missing where, and the keys of the items that are."""
    stored = await damaged(make_repository, make_repository.set_clock(), state, lost)
    cold = make_repository(sizes=SMALL)
    with pytest.raises(CorruptSessionError, match="is missing"):
        await cold.read("s")
    chat = await cold.read("s", skip_missing_pages=True)
    assert chat.messages == stored.without(lost)
    left = iter(chat.messages)
    whole = [message if message in chat.messages else None for message in stored.messages]
    assert shown(chat) == [next(left) if message else None for message in whole]
    keys = [key["SessionId"] for gap in chat.missing for key in gap.pages]
    assert keys == sorted(stored.pages[n][0]["SessionId"]["S"] for n in lost)
    assert chat.message_count == len(stored.messages)
    assert ChatSession.model_validate_json(chat.model_dump_json()).missing == chat.missing
    assert [message async for message in cold.iter_messages("s", skip_missing_pages=True)] == chat.messages
    with pytest.raises(CorruptSessionError, match="is missing"):
        [message async for message in cold.iter_messages("s")]


@pytest.mark.parametrize("lost", LOST.values(), ids=LOST.keys())
async def test_windows_over_missing_pages(make_repository: RepositoryFactory, lost: list[int]) -> None:
    """The newest so many that are there, and what is missing after the first of them; no other pages are asked for."""
    stored = await damaged(make_repository, make_repository.set_clock(), "pages", lost)
    left = stored.without(lost)
    full = await make_repository().read("s", skip_missing_pages=True)
    for limit in range(len(left) + 3):
        chat = await make_repository().read("s", limit=limit, skip_missing_pages=True)
        assert chat.messages == left[max(0, len(left) - limit) :]
        skipped = len(left) - len(chat.messages)
        within = [gap for gap in full.missing if gap.position > skipped or limit > len(left)]
        expected = [gap.model_copy(update={"position": gap.position - skipped}) for gap in within] if limit else []
        assert chat.missing == expected, limit


async def test_an_edit_that_is_carried_out_meanwhile(make_repository: RepositoryFactory) -> None:
    """Between the look for what is missing and the read of the others: the page with the edit is the same."""
    clock = make_repository.set_clock()
    repository = make_repository(sizes=SMALL)
    sent: list[BaseMessage] = [named(str(number), 90) for number in range(30)]
    for message in sent:
        await repository.append("s", [message])
    stored = await look(repository, sent)
    dying = make_repository(sizes=SMALL)
    watch(dying, Scripted, At("update_item", error=ThrottledError("x"), sent=False, of=lambda r: "~lc~" in str(r)))
    await dying.update_message("s", HumanMessage("changed", id="0"))  # its page lacks it
    await lose(repository, [stored.pages[1][0]])
    clock.advance(3600)
    reader = make_repository(sizes=SMALL)
    looks: list[str] = []

    async def second_look(operation: str, request: Any, proceed: Call) -> dict[str, Any]:
        if is_of_pages(operation, request):
            looks.append(operation)
            if len(looks) == survey + 1:
                await make_repository(sizes=SMALL).update_metadata("s", {"title": "t"})
        return await proceed()

    survey = await _looks_of_a_survey(make_repository(sizes=SMALL))
    watch(reader, Hooked, second_look)
    found = [message async for message in reader.iter_messages("s", skip_missing_pages=True)]
    assert len(looks) > survey
    assert [message.text for message in found] == ["changed", *(m.text for m in stored.without([1])[1:])]


async def _looks_of_a_survey(reader: AsyncSessionRepository) -> int:
    """How often that asks for pages."""
    watched = watch(reader, Recorder)
    item = await reader._reader.item(reader._key("s"))
    assert isinstance(item, SessionItem)
    await Salvager(reader._reader).survey(reader._key("s"), item)
    return sum(is_of_pages(*call) for call in watched.log)


async def test_a_window_that_would_begin_with_an_answer_to_nothing(make_repository: RepositoryFactory) -> None:
    """Tool messages at its beginning are left out, and what is missing keeps its place."""
    clock, repository = make_repository.set_clock(), make_repository(sizes=SMALL)
    orphan = ToolMessage("x" * 10, tool_call_id="1")
    last = human(20)
    # Three pages, two appends each: the second begins with the answer, the third gets lost.
    for messages in (
        [human(400)],
        [human(400)],
        [orphan, human(300)],
        [human(400)],
        [human(400)],
        [human(400)],
        [last],
    ):
        await repository.append("s", messages)
    stored = await look(repository, [])
    assert [first for _, first, _ in stored.pages] == [0, 2, 5]
    assert (await repository.read("s")).messages[2] == orphan
    await lose(repository, [stored.pages[-1][0]])
    clock.advance(600)
    whole = await make_repository().read("s", skip_missing_pages=True)
    (gap,) = whole.missing
    begin = whole.messages.index(orphan)
    chat = await make_repository().read("s", limit=len(whole.messages) - begin, skip_missing_pages=True)
    assert chat.messages == whole.messages[begin + 1 :]
    assert chat.missing == [gap.model_copy(update={"position": gap.position - begin - 1})]
    assert chat.messages[-1] == last


async def test_nothing_is_missing(make_repository: RepositoryFactory) -> None:
    """The option changes nothing where nothing is missing, or nothing is there, or all is in one item."""
    repository = make_repository(sizes=SMALL)
    await pages(repository)
    for options in ({}, {"limit": 4}, {"unless_version": 1}):
        assert await repository.read("s", skip_missing_pages=True, **options) == await repository.read("s", **options)
    version = (await repository.read("s")).version
    assert await repository.read("s", unless_version=version, skip_missing_pages=True) is None
    assert (await repository.read("none", skip_missing_pages=True)).version == 0
    assert [m async for m in repository.iter_messages("none", skip_missing_pages=True)] == []
    community = make_repository(item_format="community")
    await community.append("c", [HumanMessage("a")])
    assert (await community.read("c", skip_missing_pages=True)).messages == [HumanMessage("a")]
    assert [m async for m in community.iter_messages("c", skip_missing_pages=True)] == [HumanMessage("a")]


@pytest.mark.parametrize("part", [0, 1, -1])
async def test_a_part_of_a_large_message_is_missing(make_repository: RepositoryFactory, part: int) -> None:
    """The message is, as a whole; the keys are those of the items that are not there, not those of its other parts."""
    clock, repository = make_repository.set_clock(), make_repository(sizes=SMALL)
    sent: list[BaseMessage] = [human(10), human(5000), human(20)]
    await repository.append("s", sent)
    await repository.append("s", [human(30)])
    items = sorted((i for i in await scan(repository) if "lc_cut" in i), key=lambda item: str(item["SessionId"]["S"]))
    parts = [item for item in items if Chain.of(item).messages == 0 or Chain.of(item).parts > 1]
    assert len(parts) > 2
    await lose(repository, [parts[part]])
    clock.advance(600)
    chat = await make_repository().read("s", skip_missing_pages=True)
    assert chat.messages[:2] == [sent[0], sent[2]]
    assert chat.missing == [Gap(position=1, messages=1, pages=[{"SessionId": parts[part]["SessionId"]["S"]}])]
    listed = [m async for m in make_repository().iter_messages("s", skip_missing_pages=True)]
    assert listed == chat.messages
    assert (await make_repository().read("s", limit=3, skip_missing_pages=True)).messages == chat.messages


async def test_a_stranger_in_the_place_of_a_page_is_not_shown(make_repository: RepositoryFactory) -> None:
    """Under the number of a page lies another, or something that is no page: the messages of the page are missing."""
    clock, repository = make_repository.set_clock(), make_repository(sizes=SMALL)
    stored = await pages(repository)
    clock.advance(600)
    (item, first, count) = stored.pages[2]
    for stranger in (
        {**stored.pages[3][0], "SessionId": item["SessionId"]},
        {**stored.pages[1][0], "SessionId": item["SessionId"]},
        Chain.of(item)._replace(cut=Chain.of(item).cut - 1).put_into(item),
        {**item, "lc_chain": {"S": "wrong"}},
    ):
        await put(repository, stranger)
        chat = await make_repository().read("s", skip_missing_pages=True)
        assert chat.messages == stored.without([2])
        assert chat.missing == [Gap(position=first, messages=count, pages=[{"SessionId": item["SessionId"]["S"]}])]


async def test_an_uncommitted_page_beyond_a_gap_is_not_shown(make_repository: RepositoryFactory) -> None:
    """A put that comes late takes the place of a lost page beside another one that is lost: nothing it says fits."""
    clock, repository = make_repository.set_clock(), make_repository(sizes=SMALL)
    stored = await pages(repository)
    await lose(repository, [stored.pages[3][0]])
    clock.advance(600)
    item, first, _ = stored.pages[2]
    above = Chain.of(stored.pages[4][0]).previous
    for changes in (
        {"cut": above + 1},  # cut later than the page above the gap says of the one below it
        {"first": stored.pages[4][1]},  # beyond the gap
        {"previous": int(item["lc_cut"]["N"]) + 1},  # cut before the page below it
    ):
        await put(repository, Chain.of(item)._replace(**changes).put_into(item))
        chat = await make_repository().read("s", skip_missing_pages=True)
        assert chat.messages == stored.without([2, 3])
        assert [gap.messages for gap in chat.missing] == [stored.pages[4][1] - first]


async def test_a_page_of_another_batch_beyond_a_gap_is_not_shown(make_repository: RepositoryFactory) -> None:
    """Cut at the same version as the page above the gap, but by another write, of which only one was committed."""
    repository, clock = make_repository(sizes=SMALL), make_repository.set_clock()
    stored = await batch(repository)
    cuts = [item["lc_cut"]["N"] for item, _, _ in stored.pages]
    middle = next(n for n in range(1, len(cuts)) if cuts[n - 1] == cuts[n] == cuts[n + 1])
    await lose(repository, [stored.pages[middle][0]])
    clock.advance(600)
    assert (await make_repository().read("s", skip_missing_pages=True)).messages == stored.without([middle])
    await put(repository, {**stored.pages[middle - 1][0], "lc_token": {"B": b"another"}})
    chat = await make_repository().read("s", skip_missing_pages=True)
    assert chat.messages == stored.without([middle - 1, middle])


async def test_pages_without_end_are_not_looked_for(make_repository: RepositoryFactory) -> None:
    """A wrong number of pages is an error, not four thousand million missing ones."""
    stored = await damaged(make_repository, make_repository.set_clock(), "pages", [])
    repository = make_repository(sizes=SMALL)
    (item,) = [item for item in await scan(repository) if "lc_pages" in item]
    await put(repository, {**item, "lc_pages": {"N": str(2**32 - 1)}})
    with pytest.raises(CorruptSessionError, match="lc_pages"):
        await repository.read("s", skip_missing_pages=True)
    with pytest.raises(CorruptSessionError, match="lc_pages"):
        [message async for message in repository.iter_messages("s", skip_missing_pages=True)]
    assert stored.messages


def test_the_sync_facade_reads_around_missing_pages(make_repository: RepositoryFactory) -> None:
    """The same options without await."""
    clock, repository = make_repository.set_clock(), make_repository(sizes=SMALL)
    sessions = SessionRepository.over(repository)
    for _ in range(20):
        sessions.append("s", [human(90)])
    before = sessions.read("s").messages
    clock.advance(600)
    from langchain_dynamodb._background import run

    async def lose_first() -> int:
        stored = await look(repository, before)
        await lose(repository, [stored.pages[0][0]])
        return stored.pages[0][2]

    gone = run(lose_first())
    repository._reader.pages.cache.discard((repository._key("s"), remembered(repository).generation, 0, 0))
    chat = sessions.read("s", skip_missing_pages=True)
    assert (chat.messages, chat.missing[0].messages) == (before[gone:], gone)
    assert list(sessions.iter_messages("s", skip_missing_pages=True)) == before[gone:]
    sessions.close()


# -- late, or lost ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lost", [[-1], [-3], [-2, -1]], ids=["last", "third last", "last two"])
async def test_a_page_that_may_just_be_late(make_repository: RepositoryFactory, lost: list[int]) -> None:
    """As on a replica that lags: reads, windows, iterators and writers say "try again"; later it is damage."""
    clock, writer = make_repository.set_clock(), make_repository(sizes=SMALL)
    stored = await pages(writer)
    await lose(writer, [stored.pages[n][0] for n in lost])

    async def calls(kind: type[Exception]) -> None:
        cold = make_repository(sizes=SMALL)
        with pytest.raises(kind) as caught:
            await cold.read("s")
        assert stored.pages[max(lost)][0]["SessionId"]["S"] in str(caught.value)
        with pytest.raises(kind):
            await cold.read("s", limit=len(stored.messages))
        with pytest.raises(kind):
            [message async for message in cold.iter_messages("s")]

    await calls(IncompleteSessionError)
    with pytest.raises(IncompleteSessionError):
        await make_repository(sizes=SMALL).truncate("s", keep=2)
    assert (await make_repository().read("s", skip_missing_pages=True)).messages == stored.without(lost)
    clock.advance(130)
    await calls(CorruptSessionError)
    for n in lost:
        await put(writer, stored.pages[n][0])
    assert (await make_repository().read("s")).messages == stored.messages


async def test_a_page_of_a_busy_session_does_not_look_late_for_ever(make_repository: RepositoryFactory) -> None:
    """Some cuts later it is none of the newest: it is lost, however recently the session changed."""
    make_repository.set_clock()
    writer = make_repository(sizes=SMALL)
    stored = await pages(writer)
    await lose(writer, [stored.pages[-1][0]])
    with pytest.raises(IncompleteSessionError):
        await make_repository().read("s")
    while remembered(writer).pages < len(stored.pages) + 4:
        await writer.append("s", [human(90)])
    with pytest.raises(CorruptSessionError):
        await make_repository().read("s")
    with pytest.raises(CorruptSessionError):
        [message async for message in make_repository().iter_messages("s")]


async def test_a_late_page_of_a_large_batch(make_repository: RepositoryFactory) -> None:
    """However far down: the whole of what was committed last may be late."""
    make_repository.set_clock()
    writer = make_repository(sizes=SMALL)
    sent = [human(150) for _ in range(60)]
    await writer.append("s", sent)
    stored = await look(writer, sent)
    assert len(stored.pages) > 12
    await lose(writer, [stored.pages[3][0]])
    with pytest.raises(IncompleteSessionError):
        await make_repository().read("s")
    with pytest.raises(IncompleteSessionError):
        [message async for message in make_repository().iter_messages("s")]


async def test_a_clock_far_ahead_makes_nothing_late(make_repository: RepositoryFactory) -> None:
    """A session that was changed an hour in the future is not waited for until then."""
    clock, writer = make_repository.set_clock(), make_repository(sizes=SMALL)
    stored = await pages(writer)
    await lose(writer, [stored.pages[-1][0]])
    clock.advance(-3600)
    with pytest.raises(CorruptSessionError):
        await make_repository().read("s")


# -- changes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lost", LOST.values(), ids=LOST.keys())
async def test_truncate_works_on_what_is_there(make_repository: RepositoryFactory, lost: list[int]) -> None:
    """It counts as `message_count` does, what is missing included. What is kept goes on, missing or not."""
    clock, repository = make_repository.set_clock(), make_repository(sizes=SMALL)
    stored = await pages(repository, "s")
    everything = await scan(repository)
    kept_of = {i for message in stored.without(lost) for i in [stored.messages.index(message)]}
    await lose(repository, [stored.pages[n][0] for n in lost])
    clock.advance(600)
    some = (1, stored.pages[2][1], stored.pages[4][1] + 1) if len(lost) < len(stored.pages) else ()
    for keep in (0, *some):
        await make_repository(sizes=SMALL).truncate("s", keep=keep)
        expected = [stored.messages[i] for i in range(keep) if i in kept_of]
        cold = make_repository(sizes=SMALL)
        chat = await cold.read("s", skip_missing_pages=True)
        assert chat.messages == expected
        assert chat.message_count == len(expected) + sum(gap.messages for gap in chat.missing)
        await cold.append("s", [HumanMessage("on")])
        clock.advance(600)
        await cold.repair("s")
        assert (await make_repository().read("s")).messages == [*expected, HumanMessage("on")]
        await cold.delete("s")
        assert await scan(repository) == []
        for item in everything:
            await put(repository, item)
        await lose(repository, [stored.pages[n][0] for n in lost])


async def test_truncate_does_not_give_up_all_pages_unasked(make_repository: RepositoryFactory) -> None:
    """Where none is there, it may be the generation in their keys that is wrong: nothing is changed.

    A repair, which gives up all pages, sees whether it can be right.
    """
    stored = await damaged(make_repository, make_repository.set_clock(), "pages", [])
    repository = make_repository(sizes=SMALL)
    (item,) = [item for item in await scan(repository) if "lc_pages" in item]
    for generation, attribute in ((2**31, "lc_generation"), (int(item["lc_generation"]["N"]) - 1, "lc_pages")):
        await put(repository, {**item, "lc_generation": {"N": str(generation)}})
        before = await scan(repository)
        with pytest.raises(CorruptSessionError, match=attribute):
            await make_repository(sizes=SMALL).truncate("s", keep=2)
        if attribute == "lc_generation":
            with pytest.raises(CorruptSessionError, match=attribute):
                await make_repository(sizes=SMALL).repair("s")
        assert await scan(repository) == before
    await put(repository, item)
    assert (await make_repository().read("s")).messages == stored.messages


async def test_truncate_in_the_tail_leaves_the_pages_alone(make_repository: RepositoryFactory) -> None:
    """Nothing is looked at that is not changed, so what is missing can still be restored."""
    stored = await damaged(make_repository, make_repository.set_clock(), "pages", [2])
    repository = make_repository(sizes=SMALL)
    await repository.truncate("s", keep=len(stored.messages) - 1)
    await put(repository, stored.pages[2][0])
    assert (await make_repository().read("s")).messages == stored.messages[:-1]


async def test_truncate_does_not_take_a_stranger_for_nothing(make_repository: RepositoryFactory) -> None:
    """Only what is not there is passed over: another page in its place is an error that names it, and all stays."""
    stored = await damaged(make_repository, make_repository.set_clock(), "pages", [])
    repository = make_repository(sizes=SMALL)
    item = stored.pages[2][0]
    await put(repository, Chain.of(item)._replace(cut=7).put_into(item))
    before = await scan(repository)
    with pytest.raises(CorruptSessionError) as caught:
        await repository.truncate("s", keep=stored.pages[2][1])
    assert item["SessionId"]["S"] in caught.value.item
    assert await scan(repository) == before


@pytest.mark.parametrize("lost", LOST.values(), ids=LOST.keys())
async def test_history_size_gets_past_missing_pages(make_repository: RepositoryFactory, lost: list[int]) -> None:
    """Once all that they held is older than what is kept, they are dropped like others, and the session reads again."""
    stored = await damaged(make_repository, make_repository.set_clock(), "pages", lost)
    repository = make_repository(sizes=SMALL)
    sent = list(stored.messages)
    for _ in range(12):
        sent.append(human(400))
        await repository.append("s", sent[-1:], history_size=4)
    chat = await make_repository().read("s")
    assert 4 <= len(chat.messages) < 12
    assert chat.messages == sent[-len(chat.messages) :]
    await repository.delete("s")
    assert await scan(repository) == []


async def test_history_size_keeps_what_is_wanted(make_repository: RepositoryFactory) -> None:
    """What is missing among the newest so many is not given up: it may be restored."""
    stored = await damaged(make_repository, make_repository.set_clock(), "pages", [0])
    repository = make_repository(sizes=SMALL)
    added: list[BaseMessage] = [human(400) for _ in range(3)]
    for message in added:
        await repository.append("s", [message], history_size=len(stored.messages) + 3 - 1)
    await put(repository, stored.pages[0][0])
    assert (await make_repository().read("s")).messages == stored.messages + added


@pytest.mark.parametrize("part", [0, 1, -1])
async def test_history_size_gets_past_a_missing_part(make_repository: RepositoryFactory, part: int) -> None:
    """The other parts of its message are dropped with it."""
    clock, repository = make_repository.set_clock(), make_repository(sizes=SMALL)
    sent: list[BaseMessage] = [human(5000), human(20)]
    await repository.append("s", sent)
    items = sorted((i for i in await scan(repository) if "lc_cut" in i), key=lambda item: str(item["SessionId"]["S"]))
    parts = [item for item in items if Chain.of(item).messages == 0 or Chain.of(item).parts > 1]
    await lose(repository, [parts[part]])
    clock.advance(600)
    cold = make_repository(sizes=SMALL)
    for _ in range(8):
        sent.append(human(400))
        await cold.append("s", sent[-1:], history_size=3)
    chat = await make_repository().read("s")
    assert chat.messages == sent[-len(chat.messages) :]
    await cold.delete("s")
    assert await scan(repository) == []
