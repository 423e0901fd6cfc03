"""`repair`: of whatever is left of a session it makes one that works in every way; a healthy one stays as it is."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, ChatMessage, HumanMessage, SystemMessage

from conftest import RepositoryFactory, TableFactory
from langchain_dynamodb import AsyncSessionRepository, Gap, SessionRepository
from langchain_dynamodb.errors import CorruptSessionError, IncompleteSessionError, SessionNotFoundError
from missing_pages import LOST, STATES, damaged, lose, pages, put
from support import SMALL, At, Chain, Crash, Crashing, Hooked, Recorder, Scripted, human, remembered, scan, watch

pytestmark = pytest.mark.once

Raw = dict[str, Any]


def session_item(items: list[Raw]) -> Raw:
    """The session item among these."""
    (item,) = [item for item in items if "lc_version" in item]
    return item


async def works(make: Any, expected: Sequence[BaseMessage], session: Any = "s") -> None:
    """Every operation works on the session, and it holds just these messages; none is left in the end."""
    expected = list(expected)

    def cold() -> AsyncSessionRepository:
        repository: AsyncSessionRepository = make(sizes=SMALL)
        return repository

    async def reads() -> None:
        chat = await cold().read(session)
        assert (chat.messages, chat.message_count, chat.missing) == (expected, len(expected), [])
        assert [message async for message in cold().iter_messages(session)] == expected
        for limit in (1, 3, len(expected), len(expected) + 1):
            assert (await cold().read(session, limit=limit)).messages == expected[-limit:]
        assert (await cold().repair(session)).version == chat.version

    async def append(messages: list[BaseMessage], **options: Any) -> None:
        await cold().append(session, messages, **options)
        expected.extend(messages)

    await reads()
    for _ in range(5):  # cuts
        await append([human(200)])
    await append([human(300) for _ in range(5)])
    await reads()
    await cold().update_metadata(session, {"title": "t"})
    await cold().truncate(session, keep=len(expected) - 4)
    del expected[-4:]
    await append([human(400)])
    await reads()
    await append([human(700)], idempotency_key="once")
    assert await cold().append(session, expected[-1:], idempotency_key="once")
    for _ in range(6):
        await append([human(400)], history_size=3)
    chat = await cold().read(session)
    assert 3 <= len(chat.messages) < len(expected)
    assert chat.messages == expected[-len(chat.messages) :]
    assert chat.metadata == {"title": "t"}
    await cold().delete(session)
    assert await scan(cold()) == []


@pytest.mark.real_engine  # on moto it would take long and show the same
@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("lost", LOST.values(), ids=LOST.keys())
async def test_sessions_that_lost_pages(make_repository: RepositoryFactory, state: str, lost: list[int]) -> None:
    """What is left is the history from now on, without a gap; the report says what was lost and where."""
    stored = await damaged(make_repository, make_repository.set_clock(), state, lost)
    seen = await make_repository().read("s", skip_missing_pages=True)
    report = await make_repository(sizes=SMALL).repair("s")
    assert (report.missing, report.brought_in, report.removed) == (seen.missing, 0, [])
    assert report.version == (await make_repository().read("s")).version > seen.version
    await works(make_repository, stored.without(lost))


@pytest.mark.parametrize("state", STATES)
async def test_a_healthy_session_stays_as_it_is(make_repository: RepositoryFactory, state: str) -> None:
    """No write, the same version, an empty report."""
    writer = make_repository(sizes=SMALL, ttl=3600)
    await STATES[state](writer)
    before = await scan(writer)
    recorder: Recorder = watch(cold := make_repository(sizes=SMALL), Recorder)
    for options in ({}, {"drop_undecodable": True}):
        report = await cold.repair("s", **options)
        assert report.model_dump() == {
            "version": remembered(writer).version, "missing": [], "brought_in": 0, "removed": []
        }  # fmt: skip
    assert {operation for operation, _ in recorder.log} == {"get_item", "batch_get_item"}
    assert await scan(writer) == before


async def test_a_lost_page_at_the_beginning_costs_one_write(make_repository: RepositoryFactory) -> None:
    """As `history_size` would have left it (the oldest pages are the first to expire): nothing is written anew."""
    stored = await damaged(make_repository, make_repository.set_clock(), "pages", [0, 1])
    recorder: Recorder = watch(repository := make_repository(sizes=SMALL), Recorder)
    await repository.repair("s")
    assert [operation for operation, _ in recorder.log].count("put_item") == 0
    assert (await make_repository().read("s")).messages == stored.without([0, 1])


async def test_what_may_only_be_late_is_not_given_up(make_repository: RepositoryFactory) -> None:
    """As long as a read says "try again", so does a repair."""
    clock, repository = make_repository.set_clock(), make_repository(sizes=SMALL)
    stored = await pages(repository)
    await lose(repository, [stored.pages[-1][0]])
    before = await scan(repository)
    with pytest.raises(IncompleteSessionError):
        await repository.repair("s")
    assert await scan(repository) == before
    clock.advance(130)
    await repository.repair("s")
    assert (await make_repository().read("s")).messages == stored.without([-1])


async def test_where_there_is_no_session(make_repository: RepositoryFactory) -> None:
    """The error says what to do about pages whose session item was lost; the format of langchain_community has none."""
    repository = make_repository(sizes=SMALL)
    await pages(repository)
    await lose(repository, [session_item(await scan(repository))])
    for name in ("s", "none"):
        with pytest.raises(SessionNotFoundError, match="search_pages=True"):
            await make_repository().repair(name)
    community = make_repository(item_format="community")
    version = await community.append("c", [HumanMessage("a")])
    for any_format in (community, repository):
        report = await any_format.repair("c")
        assert (report.version, report.missing, report.removed) == (version, [], [])


async def test_dying_at_every_request_of_a_repair(make_repository: RepositoryFactory) -> None:
    """Before or after: nothing that is left is lost, and the next repair comes to the same end."""
    clock = make_repository.set_clock()
    stored = await damaged(make_repository, clock, "pages", [1, 3])
    before = await scan(make_repository())
    recorder: Recorder = watch(recorded := make_repository(sizes=SMALL), Recorder)
    await recorded.repair("s")
    requests = len(recorder.log)
    assert requests > 5
    for at in range(1, requests + 1):
        for after in (False, True):
            await lose(recorded, await scan(recorded))
            for item in before:
                await put(recorded, item)
            dying = make_repository(sizes=SMALL)
            watch(dying, Crashing, at, after)
            with pytest.raises(Crash):
                await dying.repair("s")
            clock.advance(600)
            chat = await make_repository().read("s", skip_missing_pages=True)
            assert chat.messages == stored.without([1, 3])
            await make_repository(sizes=SMALL).repair("s")
            assert (await make_repository().read("s")).messages == stored.without([1, 3])
            await make_repository().delete("s")
            assert await scan(recorded) == []


@pytest.mark.parametrize("extra", ["pages", "batch"])
async def test_changes_while_a_repair_is_under_way(make_repository: RepositoryFactory, extra: str) -> None:
    """Others append between its look and its write: it starts over, and theirs are there."""
    stored = await damaged(make_repository, make_repository.set_clock(), extra, [1])
    repository, other = make_repository(sizes=SMALL), make_repository(sizes=SMALL)
    added: list[BaseMessage] = []

    async def hook(operation: str, request: Any, proceed: Any) -> Any:
        if operation == "update_item" and len(added) < 2:
            added.append(human(30))
            await other.append("s", added[-1:])
        return await proceed()

    watch(repository, Hooked, hook)
    await repository.repair("s")
    await works(make_repository, stored.without([1]) + added)


# -- what cannot be decoded -----------------------------------------------------------------------------------------


async def test_what_cannot_be_decoded_stays_unless_it_is_to_go(make_repository: RepositoryFactory) -> None:
    """A newer version may still read it. `drop_undecodable` takes it out, and says so."""
    stored = await damaged(make_repository, make_repository.set_clock(), "pages", [1])
    repository = make_repository(sizes=SMALL)
    newer = {"B": b"\x63" + stored.pages[3][0]["lc_data"]["B"][1:]}
    await put(repository, {**stored.pages[3][0], "lc_data": newer})
    item = session_item(await scan(repository))
    entry = {"B": b"\x63" + item["History"]["L"][0]["B"][1:]}
    in_entry = 1
    await put(repository, {**item, "History": {"L": [entry, *item["History"]["L"][1:]]}})
    await repository.repair("s")
    items = await scan(repository)
    assert newer in [item.get("lc_data") for item in items]
    assert entry in session_item(items)["History"]["L"]
    left = [m for m in stored.without([1, 3]) if m != stored.messages[stored.pages[-1][1] + stored.pages[-1][2]]]
    assert (await make_repository(skip_undecodable=True).read("s")).messages == left
    with pytest.raises(CorruptSessionError):
        await make_repository().read("s")
    report = await make_repository(sizes=SMALL).repair("s", drop_undecodable=True)
    assert report.missing == []
    assert len(report.removed) == 1 + in_entry
    assert "lc~" in report.removed[0].where
    assert report.removed[1].where == "History[0]"
    await works(make_repository, left)


async def test_a_stranger_in_the_place_of_a_page_stays_unless_it_is_to_go(make_repository: RepositoryFactory) -> None:
    """It is named, and nothing is changed; with `drop_undecodable` it is as if the page were missing."""
    stored = await damaged(make_repository, make_repository.set_clock(), "pages", [])
    item = stored.pages[2][0]
    for stranger in (Chain.of(item)._replace(cut=7).put_into(item), {**item, "lc_data": {"S": "wrong"}}):
        await put(make_repository(), stranger)
        before = await scan(make_repository())
        with pytest.raises(CorruptSessionError) as caught:
            await make_repository(sizes=SMALL).repair("s")
        assert item["SessionId"]["S"] in caught.value.item
        assert await scan(make_repository()) == before
    report = await make_repository(sizes=SMALL).repair("s", drop_undecodable=True)
    assert [gap.messages for gap in report.missing] == [stored.pages[2][2]]
    assert item["SessionId"]["S"] in report.removed[0].where
    await works(make_repository, stored.without([2]))


# -- what others wrote ----------------------------------------------------------------------------------------------


def javascript(kind: str, text: str, **more: str) -> Raw:
    """A message as langchain.js's class of the same name appends it."""
    return {"M": {"type": {"S": kind}, "text": {"S": text}, **{name: {"S": value} for name, value in more.items()}}}


def native(kind: str, text: str) -> Raw:
    """A message as langchain_community writes it, an old version of it."""
    return {"M": {"type": {"S": kind}, "data": {"M": {"type": {"S": kind}, "content": {"S": text}}}}}


async def with_entries(make: RepositoryFactory, others: list[Raw], first: list[BaseMessage]) -> AsyncSessionRepository:
    """A session to whose list others appended, and we again."""
    repository = make(sizes=SMALL)
    await repository.append("s", first)
    names = {"#h": "History"}
    await repository._connection.call(
        "update_item",
        {
            "TableName": repository.table_name, "Key": {"SessionId": {"S": "s"}}, "ExpressionAttributeNames": names,
            "UpdateExpression": "SET #h = list_append(#h, :h)", "ExpressionAttributeValues": {":h": {"L": others}},
        },
        write=True,
    )  # fmt: skip
    await repository.append("s", [HumanMessage("ours again")])
    return repository


async def test_entries_of_others_are_named_and_brought_in(make_repository: RepositoryFactory) -> None:
    """langchain.js appended to our list: the error says which entries and whose; a repair keeps their place."""
    others = [
        javascript("human", "from js"),
        javascript("ai", "so is this", additional_kwargs='{"a": 1}'),
        javascript("generic", "mine", role="critic"),
        native("system", "native"),
        {"M": {"what": {"S": "else"}}},
    ]
    repository = await with_entries(make_repository, others, [HumanMessage("ours")])
    for call in (repository.read("s"), repository.truncate("s", keep=1)):
        with pytest.raises(CorruptSessionError, match=r"5 of 7 entries.*langchain\.js.*repair\(session\)") as caught:
            await call
        assert caught.value.attribute == "History[1]"
    report = await make_repository(sizes=SMALL).repair("s")
    assert (report.brought_in, report.missing) == (4, [])
    assert [(one.where, one.value) for one in report.removed] == [("History[5]", others[4])]
    brought = [
        HumanMessage("from js"), AIMessage("so is this", additional_kwargs={"a": 1}),
        ChatMessage("mine", role="critic"), SystemMessage("native"),
    ]  # fmt: skip
    expected = [HumanMessage("ours"), *brought, HumanMessage("ours again")]
    chat = await make_repository().read("s")
    assert [(type(m), m.content) for m in chat.messages] == [(type(m), m.content) for m in expected]
    assert chat.messages[2].additional_kwargs == {"a": 1}
    await works(make_repository, chat.messages)


async def test_messages_of_others_that_somebody_counted(make_repository: RepositoryFactory) -> None:
    """They can be read as they are; a repair makes them ours, and nothing is missing."""
    repository = await with_entries(make_repository, [native("human", "theirs")], [HumanMessage("ours")])
    await put(repository, {**session_item(await scan(repository)), "lc_count": {"N": "3"}})
    expected = [HumanMessage("ours"), HumanMessage("theirs"), HumanMessage("ours again")]
    assert (await make_repository().read("s")).messages == expected
    report = await make_repository(sizes=SMALL).repair("s")
    assert (report.brought_in, report.missing, report.removed) == (1, [], [])
    await works(make_repository, expected)


@pytest.mark.parametrize("known", [True, False], ids=["known", "seen"])
@pytest.mark.parametrize("size", [30, 900], ids=["a tail", "no tail"])
async def test_entries_that_come_unseen_are_not_written_over(
    make_repository: RepositoryFactory, known: bool, size: int
) -> None:
    """Others append between our look, however long ago, and the write that sets the list: it is looked at again."""
    repository = make_repository(sizes=SMALL)
    ours = [human(size)]
    await repository.append("s", ours)

    async def intrude() -> None:
        item = session_item(await scan(make_repository()))
        item["History"]["L"].append(javascript("human", "from js"))
        await put(make_repository(), item)

    if known:
        await intrude()
    else:
        watch(repository, Scripted, At("update_item", first=intrude))
    with pytest.raises(CorruptSessionError, match="1 of 2 entries"):
        await repository.append("s", [human(900)])
    await make_repository(sizes=SMALL).repair("s")
    messages = (await make_repository().read("s")).messages
    assert messages == [*ours, HumanMessage("from js")]
    await works(make_repository, messages)


async def test_many_entries_of_others_become_pages(make_repository: RepositoryFactory) -> None:
    """More than the tail has room for."""
    texts = [str(human(200).content) for _ in range(20)]
    repository = await with_entries(
        make_repository, [javascript("human", text) for text in texts], [HumanMessage("ours")]
    )
    report = await repository.repair("s")
    assert report.brought_in == 20
    await works(make_repository, [HumanMessage("ours"), *map(HumanMessage, texts), HumanMessage("ours again")])


@pytest.mark.parametrize("paged", [0, 2, 12], ids=["in the tail", "some", "most in pages"])
async def test_a_list_that_langchain_community_wrote_over_ours(make_repository: RepositoryFactory, paged: int) -> None:
    """It had read the session before it was converted. What it read is not doubled, what it wrote is kept."""
    old = [HumanMessage(str(human(90).content)) for _ in range(paged + 3)]
    community = make_repository(item_format="community")
    await community.append("s", old)
    (before,) = await scan(community)
    ours = make_repository(sizes=SMALL)
    sent: list[BaseMessage] = [human(90) for _ in range(1 + paged)]
    for message in sent:
        await ours.append("s", [message])
    everything = [*old, *sent]
    item = session_item(await scan(ours))
    lost = int(item["lc_count"]["N"]) - int(item["lc_tail_start"]["N"]) if "lc_tail_start" in item else len(everything)
    written = [*copy.deepcopy(before["History"]["L"]), native("human", "from the old worker")]
    await put(ours, {**item, "History": {"L": written}})
    with pytest.raises(CorruptSessionError, match=r"langchain_community.*repair\(session\)"):
        await make_repository().read("s")
    report = await make_repository(sizes=SMALL).repair("s")
    in_pages = everything[: len(everything) - lost]
    brought = [*old[len(in_pages) :], HumanMessage("from the old worker")]
    chat = await make_repository().read("s")
    assert [m.content for m in chat.messages] == [m.content for m in [*in_pages, *brought]]
    assert report.brought_in == len(brought)
    assert report.missing == [Gap(position=len(in_pages), messages=lost, pages=[])]
    await works(make_repository, chat.messages)


async def test_an_entry_that_comes_while_a_repair_is_under_way(make_repository: RepositoryFactory) -> None:
    """Others change no version: the list must be the one that was seen."""
    repository = await with_entries(make_repository, [javascript("human", "one")], [HumanMessage("ours")])

    async def intrude() -> None:
        item = session_item(await scan(make_repository()))
        item["History"]["L"].append(javascript("human", "two"))
        await put(make_repository(), item)

    watch(repository, Scripted, At("update_item", first=intrude))
    report = await repository.repair("s")
    assert report.brought_in == 2
    contents = [message.content for message in (await make_repository().read("s")).messages]
    assert contents == ["ours", "one", "ours again", "two"]


async def test_a_count_that_is_wrong(make_repository: RepositoryFactory) -> None:
    """Somebody removed an entry, or changed the number: what is there counts."""
    repository = make_repository()
    for text in "abc":
        await repository.append("s", [HumanMessage(text)])
    (item,) = await scan(repository)
    await put(repository, {**item, "History": {"L": item["History"]["L"][1:]}})
    report = await make_repository().repair("s")
    assert report.missing == [Gap(position=0, messages=1)]
    await works(make_repository, [HumanMessage("b"), HumanMessage("c")])


# -- a restored session item ----------------------------------------------------------------------------------------


async def test_an_older_session_item_over_newer_pages(make_repository: RepositoryFactory) -> None:
    """The session goes on from where it was; the newer pages are noted, so that appends get past them, and go."""
    repository = make_repository(sizes=SMALL)
    old = await pages(repository)
    item = session_item(await scan(repository))
    expected = (await repository.read("s")).messages
    for _ in range(30):
        await repository.append("s", [human(90)])
    await put(repository, item)
    report = await make_repository(sizes=SMALL).repair("s")
    assert (report.missing, report.removed) == ([], [])
    assert report.version > int(item["lc_version"]["N"])
    assert expected == old.messages
    await works(make_repository, expected)


@pytest.mark.parametrize("attribute", ["lc_pages", "lc_version", "lc_count"])
async def test_numbers_that_contradict_each_other_are_not_guessed_at(
    make_repository: RepositoryFactory, attribute: str
) -> None:
    """The session item alone proves which pages were committed: the error names it, and nothing is changed."""
    clock = make_repository.set_clock()
    repository = make_repository(sizes=SMALL)
    await pages(repository)
    await put(repository, {**session_item(await scan(repository)), attribute: {"N": "1"}})
    before = await scan(repository)
    clock.advance(600)
    with pytest.raises(CorruptSessionError, match=r"Damaged items"):
        await make_repository().repair("s")
    assert await scan(repository) == before


# -- other keys, other callers --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "session"),
    [
        (("PK", "SK"), {"PK": "u", "SK": "s"}),
        (("PK", "SK:B"), {"PK": "u", "SK": b"\xffs"}),
        (("PK:B", None), {"PK": b"\xffs"}),
        (("PK", "SK:N"), {"PK": "u", "SK": 7}),
        (("Z", "A"), {"Z": "u", "A": "s"}),
    ],
    ids=["sort key", "binary sort key", "binary", "numeric sort key", "suffix on the partition key"],
)
async def test_other_keys(
    make_repository: RepositoryFactory,
    make_table: TableFactory,
    keys: Any,
    session: Any,
) -> None:
    """Gaps name whole keys; repairs and searches for left pages work on all kinds of keys, and touch no neighbour."""
    clock, table = make_repository.set_clock(), make_table(*keys)

    def make(**options: Any) -> AsyncSessionRepository:
        return make_repository(table, **options)

    writer = make(sizes=SMALL)
    key = writer._key(session)
    sent: list[BaseMessage] = []
    while not sent or remembered(writer, session).pages < 5:
        sent.append(human(90))
        await writer.append(session, sent[-1:])
    generation = remembered(writer, session).generation
    found = await writer._table.get_pages(key, generation, range(5), consistent=True)

    async def remove(item: Raw) -> None:
        await writer._connection.call("delete_item", {"TableName": table, "Key": item}, write=True)

    await remove(key.page(generation, 2))
    clock.advance(600)
    lost = found[2]
    report = await make(sizes=SMALL).repair(session)
    ((page,),) = [gap.pages for gap in report.missing]
    assert page.keys() == session.keys()
    assert sum(page[name] == session[name] for name in session) == len(session) - 1
    left = sent[: lost.first] + sent[lost.first + lost.messages :]
    assert (await make().read(session)).messages == left
    # Its item is lost; another session has a name of which it is a beginning.
    suffixed = key.attributes[key.suffixed][0]
    longer = {**session, suffixed: session[suffixed] + (b"~lc~x" if isinstance(session[suffixed], bytes) else "~lc~x")}
    for _ in range(20):
        await make(sizes=SMALL).append(longer, [human(90)])
    neighbour = (await make().read(longer)).messages
    await remove(key.item)
    await make().delete(session)
    assert len([item for item in await scan(writer) if "lc_cut" in item]) > 5
    await make().delete(session, search_pages=True)
    assert (await make().read(longer)).messages == neighbour
    await make().delete(longer)
    assert await scan(writer) == []


async def test_a_search_leaves_a_session_that_lives(make_repository: RepositoryFactory) -> None:
    """Another of the same name has begun: only the pages of the earlier one go, and nothing that is no page."""
    repository = make_repository(sizes=SMALL)
    await pages(repository)
    await lose(repository, [session_item(await scan(repository))])
    earlier = {item["SessionId"]["S"] for item in await scan(repository)}
    like_one = {"SessionId": {"S": sorted(earlier)[0][:-1] + "f"}, "text": {"S": "somebody else's"}}
    await put(repository, like_one)
    recorder: Recorder = watch(deleting := make_repository(sizes=SMALL), Recorder)
    second = make_repository(sizes=SMALL)
    sent: list[BaseMessage] = [human(300) for _ in range(6)]

    async def begin(operation: str, request: Any, proceed: Any) -> Any:
        answer = await proceed()
        if operation == "scan":
            await second.append("s", sent)
        return answer

    watch(deleting, Hooked, begin)
    await deleting.delete("s", search_pages=True)
    assert (await make_repository().read("s")).messages == sent
    names = {item["SessionId"]["S"] for item in await scan(repository)}
    assert names & earlier == set()
    assert like_one["SessionId"]["S"] in names
    assert recorder.log
    community = make_repository(item_format="community")
    await community.delete("s", search_pages=True)
    assert await scan(repository) == [like_one]


def test_the_sync_facade(make_repository: RepositoryFactory) -> None:
    """The same without await."""
    sessions = SessionRepository.over(make_repository(sizes=SMALL))
    version = sessions.append("s", [HumanMessage("a")])
    assert sessions.repair("s").version == version
    assert sessions.repair("s", drop_undecodable=True).missing == []
    sessions.delete("s", search_pages=True)
    assert sessions.read("s").version == 0
    sessions.close()
