"""Tables of langchain_community's become ours, in place or elsewhere, and back; while others go on writing."""

from __future__ import annotations

import asyncio
import io
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from community_support import ALL_TYPES, Meddler, Theirs, bulk, plain
from conftest import RepositoryFactory, TableFactory, TestEngine
from langchain_dynamodb import AsyncSessionRepository
from langchain_dynamodb._dynamodb.connection import Connection
from langchain_dynamodb.admin import Outcome, Run, delete_sessions, export_sessions, migrate, vacuum, verify
from langchain_dynamodb.encryption import LocalKeyring
from langchain_dynamodb.errors import InvalidInputError, ItemFormatError, SettingsError
from memory_blobs import MemoryBlobs
from support import SMALL, THOROUGH, Call, Crash, Crashing, Hooked, many, scan, watch, with_options

pytestmark = [pytest.mark.once, pytest.mark.filterwarnings("ignore:`langchain-community` is being sunset")]


STEP = 1 if THOROUGH else 7  # from one request at which a run dies to the next


@pytest.fixture
def theirs(engine: TestEngine, table_name: str) -> Any:
    """Write, and read, a session as langchain_community does: ``theirs("s", messages)``."""

    def history(session: str, messages: list[BaseMessage] | None = None) -> Any:
        made = Theirs(table_name, session, endpoint_url=engine.endpoint_url)
        if messages:
            made.add_messages(messages)
        return made

    return history


async def messages_of(repository: AsyncSessionRepository, *names: str) -> dict[str, list[BaseMessage]]:
    """What is in these sessions."""
    return {name: (await repository.read(name)).messages for name in names}


def formats(items: list[dict[str, Any]]) -> dict[str, bool]:
    """Which sessions are in our format."""
    return {item["SessionId"]["S"]: "lc_version" in item for item in items if "lc_cut" not in item}


# --- In place ---


async def test_in_place(make_repository: RepositoryFactory, theirs: Any) -> None:
    """All are converted, message by message equal; ours stay as they are; a second run changes nothing."""
    sessions = make_repository(sizes=SMALL)
    theirs("types", ALL_TYPES)
    theirs("long", bulk(60))
    await sessions.append("ours", many(3))
    before = await messages_of(sessions, "types", "long", "ours")
    output = io.BytesIO()
    await export_sessions(sessions, output)
    told: list[Outcome] = []
    summary = await migrate(sessions, Run(tell=told.append))
    assert {outcome.session: (outcome.action, outcome.messages) for outcome in told} == {
        "types": ("converted", len(ALL_TYPES)), "long": ("converted", 60), "ours": ("unchanged", 3)
    }  # fmt: skip
    assert (summary.is_good, formats(await scan(sessions))) == (True, {"types": True, "long": True, "ours": True})
    fresh = make_repository(sizes=SMALL)
    assert await messages_of(fresh, "types", "long", "ours") == before
    output.seek(0)
    assert (await verify(fresh, against=output)).actions == {"verified": 3}
    items = await scan(sessions)
    assert (await migrate(fresh)).actions == {"unchanged": 3}
    assert await scan(sessions) == items


async def test_a_dry_run(make_repository: RepositoryFactory, theirs: Any) -> None:
    """It says what would be done, and leaves all as it is."""
    theirs("s", bulk(60))
    sessions = make_repository(sizes=SMALL)
    before = await scan(sessions)
    dry = await migrate(sessions, Run(dry_run=True))
    assert (dry.actions, await scan(sessions)) == ({"converted": 1}, before)


@pytest.mark.dynamodb_local_only
@pytest.mark.parametrize("count", [2, 30, 300])
async def test_the_estimate(make_repository: RepositoryFactory, theirs: Any, count: int) -> None:
    """It is what it takes, there and back."""
    theirs("s", bulk(count))
    sessions = make_repository()
    dry = await migrate(sessions, Run(dry_run=True))
    real = await migrate(make_repository())
    assert real.write_units == pytest.approx(dry.estimated_write_units, abs=1)
    back = await migrate(make_repository(), Run(dry_run=True), back=True)
    assert (await migrate(make_repository(), back=True)).write_units == pytest.approx(
        back.estimated_write_units, rel=0.05, abs=4
    )


async def test_named_and_ours_already(make_repository: RepositoryFactory) -> None:
    """It stays as it is, with a key to encrypt it with too; a dry run says so."""
    await make_repository().append("s", many(3))
    before = await scan(make_repository())
    for dry_run in (True, False):
        encrypting = make_repository(encryption=LocalKeyring(b"k" * 32))
        assert (await migrate(encrypting, Run(sessions=["s"], dry_run=dry_run))).actions == {"unchanged": 1}
    assert await scan(make_repository()) == before


async def test_users_go_on_meanwhile(make_repository: RepositoryFactory, theirs: Any) -> None:
    """Those who write with this package lose nothing, whenever they come."""
    for i in range(8):
        theirs(f"s{i}", bulk(20))
    sessions, writing = make_repository(sizes=SMALL), make_repository(sizes=SMALL)

    async def chat(name: str) -> None:
        for turn in range(5):
            await writing.append(name, [HumanMessage(f"turn {turn}")])

    run = Run(at_once=4)
    await asyncio.gather(migrate(sessions, run), *(chat(f"s{i}") for i in range(8)))
    for i in range(8):
        texts = [message.text for message in (await make_repository().read(f"s{i}")).messages]
        assert (len(texts), texts[20:]) == (25, [f"turn {turn}" for turn in range(5)])


async def test_users_go_on_while_they_move(make_repository: RepositoryFactory, make_table: TableFactory) -> None:
    """A session is deleted here with all that was written by then there; what comes later begins a new one here."""
    source, target = make_repository(sizes=SMALL), make_repository(make_table(), sizes=SMALL)
    for i in range(6):
        await source.append(f"s{i}", many(20))
    before = {f"s{i}": (await source.read(f"s{i}")).messages for i in range(6)}
    writing = make_repository(sizes=SMALL)

    async def chat(name: str) -> None:
        for turn in range(5):
            await writing.append(name, [HumanMessage(f"turn {turn}")])

    moving = migrate(source, Run(at_once=3), to=target, delete_source=True)
    summary, *_ = await asyncio.gather(moving, *(chat(f"s{i}") for i in range(6)))
    assert summary.is_good
    for name, messages in before.items():
        there, here = [(await make_repository(one.table_name).read(name)).messages for one in (target, source)]
        assert there[:20] == messages
        assert [message.text for message in (*there[20:], *here)] == [f"turn {turn}" for turn in range(5)]


async def test_users_go_on_while_it_goes_back(make_repository: RepositoryFactory) -> None:
    """Those who write in the format that it is to have are refused until it has gone back, and lose nothing."""
    sessions, writing = make_repository(sizes=SMALL), make_repository(item_format="community")
    for i in range(6):
        await sessions.append(f"s{i}", many(20))
    before = {f"s{i}": (await writing.read(f"s{i}")).messages for i in range(6)}

    async def chat(name: str) -> None:
        for turn in range(5):
            while True:
                try:
                    await writing.append(name, [HumanMessage(f"turn {turn}")])
                    break
                except ItemFormatError:
                    await asyncio.sleep(0.01)

    going_back = migrate(sessions, Run(at_once=3), back=True)
    await asyncio.wait_for(asyncio.gather(going_back, *(chat(name) for name in before)), timeout=60)
    for name, messages in before.items():
        found = (await make_repository().read(name)).messages
        assert found[:20] == messages
        assert [message.text for message in found[20:]] == [f"turn {turn}" for turn in range(5)]
    assert formats(await scan(sessions)) == dict.fromkeys(before, False)


async def test_they_write_in_between(make_repository: RepositoryFactory, theirs: Any) -> None:
    """What langchain_community adds before the conversion takes place is converted too."""
    history = theirs("s", bulk(20))
    sessions = make_repository(sizes=SMALL)
    meddler: Meddler = watch(sessions, Meddler, "put_item", lambda: history.add_messages([AIMessage("late")]))
    await migrate(sessions)
    assert meddler.meddle is None
    messages = (await make_repository().read("s")).messages
    assert ([message.text for message in messages[20:]], len(messages)) == (["late"], 21)


async def test_what_cannot_be_read_stays(make_repository: RepositoryFactory, theirs: Any, dynamodb: Any) -> None:
    """It is told, and the others are converted."""
    theirs("good", bulk(2))
    sessions = make_repository()
    bad = {"M": {"type": {"S": "nobody"}, "data": {"M": {"content": {"S": "x"}, "type": {"S": "nobody"}}}}}
    item = {"SessionId": {"S": "bad"}, "History": {"L": [bad]}}
    dynamodb.put_item(TableName=sessions.table_name, Item=item)
    told: list[Outcome] = []
    summary = await migrate(sessions, Run(tell=told.append))
    assert (summary.actions, summary.is_good) == ({"converted": 1, "failed": 1}, False)
    assert [outcome.session for outcome in told if outcome.action == "failed"] == ["bad"]
    assert item in await scan(sessions)


async def test_histories_of_another_name(make_repository: RepositoryFactory, engine: TestEngine) -> None:
    """A table whose lists are called otherwise is not taken for an empty one, by any command; the mend is named."""
    sessions = make_repository()
    name = sessions.table_name
    for session in ("a", "b"):
        made = Theirs(name, session, endpoint_url=engine.endpoint_url, history_messages_key="Messages")
        made.add_messages([HumanMessage("x")])
    Theirs(name, "usual", endpoint_url=engine.endpoint_url).add_messages([HumanMessage("x")])
    before = await scan(sessions)
    told: list[Outcome] = []
    dry = Run(tell=told.append, dry_run=True)
    assert (await migrate(sessions, dry)).actions == {"failed": 2, "converted": 1}
    assert (await migrate(sessions, Run(match="a"), back=True)).actions == {"failed": 1}
    assert (await export_sessions(sessions, io.BytesIO())).actions == {"failed": 2, "exported": 1}
    assert (await verify(sessions, Run(tell=told.append))).actions == {"failed": 2, "verified": 1}
    failed = [outcome.detail or "" for outcome in told if outcome.action == "failed"]
    assert ["set history_messages_key='Messages'" in detail for detail in failed] == [True] * 4
    assert await scan(sessions) == before
    assert (await migrate(make_repository(history_messages_key="Messages"))).actions == {"failed": 1, "converted": 2}


async def test_another_key_there(make_repository: RepositoryFactory, make_table: TableFactory, dynamodb: Any) -> None:
    """A table in which the sessions cannot have their names is refused before the first one, and both keys are told."""
    source, to = make_repository(make_table("PK", "SK"), primary_key_name="PK"), make_repository()
    with pytest.raises(InvalidInputError, match=r"has the key SessionId \(S\), and .* has PK \(S\), SK \(S\): give"):
        await migrate(source, to=to)
    with pytest.raises(InvalidInputError, match="give a table with the same key"):
        await migrate(to, to=source)
    renamed = make_repository(make_table("ChatId"), primary_key_name="ChatId")
    await to.append("s", many(1))
    assert (await migrate(to, to=renamed)).actions == {"copied": 1}


async def test_named_sessions(make_repository: RepositoryFactory, theirs: Any) -> None:
    """Only those; one that is not there is told."""
    for name in ("a", "b"):
        theirs(name, bulk(2))
    sessions = make_repository()
    assert (await migrate(sessions, Run(sessions=["a", "none"]))).actions == {"converted": 1, "failed": 1}
    assert formats(await scan(sessions)) == {"a": True, "b": False}


@pytest.mark.parametrize(
    "settings", [{"back": True, "to": True}, {"delete_source": True}, {"to": "self"}, {"plain": True}]
)
async def test_what_makes_no_sense(
    make_repository: RepositoryFactory, make_table: TableFactory, settings: dict[str, Any]
) -> None:
    """It is refused before anything is done; so is a copy of a table onto itself."""
    sessions = make_repository()
    if "to" in settings:
        to = make_repository() if settings["to"] == "self" else make_repository(make_table())
        settings = {**settings, "to": to}
    with pytest.raises(InvalidInputError):
        await migrate(sessions, **settings)


async def test_itself_by_another_name(make_repository: RepositoryFactory, engine: TestEngine) -> None:
    """The same table at an endpoint that is written otherwise: it would be deleted for a copy of itself."""
    sessions = make_repository()
    await sessions.append("s", many(1))
    itself = with_options(sessions)
    endpoint = str(engine.endpoint_url).replace("127.0.0.1", "localhost")
    assert endpoint != engine.endpoint_url
    itself._connection = Connection(replace(itself._connection.settings, endpoint_url=endpoint))
    itself = with_options(itself)
    with pytest.raises(InvalidInputError, match="itself"):
        await migrate(sessions, to=itself, delete_source=True)
    with pytest.raises(InvalidInputError, match="itself"):
        await verify(sessions, to=itself)
    assert (await sessions.read("s")).version


async def test_a_replica(make_repository: RepositoryFactory, make_table: TableFactory) -> None:
    """Nothing is copied to another region of the same global table, nor deleted here, which would delete it there."""
    sessions = make_repository()
    await sessions.append("s", many(1))

    async def as_global(operation: str, request: Any, proceed: Call) -> dict[str, Any]:
        response = await proceed()
        if operation == "describe_table":
            arn, name = f"arn:aws:dynamodb:eu-west-1:123456789012:table/{request['TableName']}", sessions.table_name
            replicas = [{"RegionName": region} for region in ("us-east-1", "eu-west-1")]
            response["Table"] |= {"TableName": name, "TableArn": arn, "Replicas": replicas}
        return response

    there = make_repository(make_table())
    for one in (sessions, there):
        watch(one, Hooked, as_global)
    with pytest.raises(InvalidInputError, match=r"the replica of table .* in 'eu-west-1'"):
        await migrate(sessions, to=there, delete_source=True)
    assert (await sessions.read("s")).version


# --- Back ---


async def test_back(make_repository: RepositoryFactory, theirs: Any) -> None:
    """Sessions of ours become items that langchain_community reads as they are, and nothing else is left."""
    sessions = make_repository(sizes=SMALL)
    theirs("types", ALL_TYPES)
    theirs("long", bulk(60))
    before = {name: theirs(name).messages for name in ("types", "long")}
    await migrate(sessions)
    await sessions.append("long", [HumanMessage("later")])
    await sessions.set_expiry("long", 5000)
    stamp = (await sessions.read("long")).expires_at
    summary = await migrate(make_repository(sizes=SMALL), back=True)
    assert summary.actions == {"reverted": 2}
    items = await scan(sessions)
    assert (formats(items), len(items)) == ({"types": False, "long": False}, 2)
    assert [name for item in items for name in item if name.startswith("lc_") and name != "lc_tail_ops"] == []
    assert [plain(m) for m in theirs("types").messages] == [plain(m) for m in before["types"]]
    assert [plain(m) for m in theirs("long").messages] == [*map(plain, before["long"]), HumanMessage("later")]
    assert (await make_repository().read("long")).expires_at == stamp
    assert (await migrate(make_repository(), back=True)).actions == {"unchanged": 2}


async def test_what_does_not_fit_stays(make_repository: RepositoryFactory) -> None:
    """Metadata has no place there, and there is an end to one item."""
    sessions = make_repository()
    await sessions.append("titled", many(1))
    await sessions.update_metadata("titled", {"title": "t"})
    await sessions.append("large", bulk(1000, 600))
    before = await scan(sessions)
    told: list[Outcome] = []
    assert (await migrate(sessions, Run(dry_run=True), back=True)).actions == {"failed": 2}
    assert (await migrate(sessions, Run(tell=told.append), back=True)).actions == {"failed": 2}
    reasons = {outcome.session: (outcome.detail or "").partition(":")[0] for outcome in told}
    assert reasons == {"titled": "ItemFormatError", "large": "MessageTooLargeError"}
    assert await scan(sessions) == before


async def test_an_append_while_it_goes_back(make_repository: RepositoryFactory) -> None:
    """It is not lost: the exchange depends on the state that was read."""
    sessions, writing = make_repository(sizes=SMALL), make_repository(sizes=SMALL)
    await sessions.append("s", many(30))
    appended: list[int] = []

    async def between(operation: str, request: Any, proceed: Call) -> dict[str, Any]:
        if operation == "update_item" and not appended:
            appended.append(await writing.append("s", [HumanMessage("between")]))
        return await proceed()

    watch(sessions, Hooked, between)
    await migrate(sessions, back=True)
    messages = (await make_repository().read("s")).messages
    assert ([message.text for message in messages[30:]], len(messages)) == (["between"], 31)
    assert formats(await scan(sessions)) == {"s": False}


# --- Into another table ---


async def test_into_another_table(make_repository: RepositoryFactory, make_table: TableFactory, theirs: Any) -> None:
    """Sessions of both formats are there with all they have; this table stays; a second run changes nothing."""
    source, target = make_repository(sizes=SMALL), make_repository(make_table(), sizes=SMALL)
    theirs("theirs", ALL_TYPES)
    await source.append("ours", many(40), attributes={"owner": "ann"})
    await source.update_metadata("ours", {"title": "t"})
    before = await scan(source)
    assert (await migrate(source, to=target)).actions == {"copied": 2}
    assert await scan(source) == before
    for name in ("theirs", "ours"):
        there, here = await target.read(name), await source.read(name)
        assert there.messages == here.messages
        assert (there.metadata, there.attributes) == (here.metadata, here.attributes)
    assert (await verify(source, to=target)).actions == {"verified": 2}
    items = await scan(target)
    assert (await migrate(source, to=target)).actions == {"unchanged": 2}
    assert await scan(target) == items


async def test_what_is_written_in_between(
    make_repository: RepositoryFactory, make_table: TableFactory, theirs: Any
) -> None:
    """The next run brings it over; sessions that have gone on there stay; what contradicts itself is told and left."""
    source, target = make_repository(), make_repository(make_table())
    for name in ("still", "behind", "ahead", "both"):
        theirs(name, [HumanMessage("1")])
    await migrate(source, to=target)
    theirs("behind", [HumanMessage("2")])
    await target.append("ahead", [HumanMessage("2")])
    theirs("both", [HumanMessage("2")])
    await target.append("both", [HumanMessage("two")])
    told: list[Outcome] = []
    await migrate(source, Run(tell=told.append), to=target)
    assert {outcome.session: outcome.action for outcome in told} == {
        "still": "unchanged", "behind": "extended", "ahead": "unchanged", "both": "different"
    }  # fmt: skip
    texts = {name: [m.text for m in found] for name, found in (await messages_of(target, "behind", "both")).items()}
    assert texts == {"behind": ["1", "2"], "both": ["1", "two"]}


async def test_deleted_once_it_is_there(
    make_repository: RepositoryFactory, make_table: TableFactory, theirs: Any
) -> None:
    """Only unchanged: a message that comes between the copy and the deletion is copied too."""
    source, target = make_repository(), make_repository(make_table())
    theirs("theirs", [HumanMessage("1")])
    await source.append("ours", [HumanMessage("1")])
    deleted: list[str] = []

    async def between(operation: str, request: Any, proceed: Call) -> dict[str, Any]:
        if operation == "delete_item" and request["Key"] == {"SessionId": {"S": "theirs"}} and not deleted:
            deleted.append("theirs")
            await asyncio.to_thread(theirs, "theirs", [HumanMessage("late")])
        return await proceed()

    watch(source, Hooked, between)
    summary = await migrate(source, to=target, delete_source=True)
    assert (summary.is_good, await scan(source), deleted) == (True, [], ["theirs"])
    found = await messages_of(target, "theirs", "ours")
    assert {name: [m.text for m in messages] for name, messages in found.items()} == {
        "theirs": ["1", "late"], "ours": ["1"]
    }  # fmt: skip


@pytest.mark.dynamodb_local_only
@pytest.mark.parametrize("settings", [{}, {"delete_source": True}, {"item_format": "community"}])
async def test_what_a_copy_takes(
    make_repository: RepositoryFactory, make_table: TableFactory, theirs: Any, settings: dict[str, Any]
) -> None:
    """A dry run foretells it: of a new one, of what is added later, and of the deletion here."""
    delete, source, table = settings.pop("delete_source", False), make_repository(), make_table()
    theirs("theirs", bulk(20))
    await source.append("ours", many(200))
    for _ in range(1 if delete else 2):
        dry, real = [
            await migrate(make_repository(), run, to=make_repository(table, **settings), delete_source=delete)
            for run in (Run(dry_run=True), Run())
        ]
        assert real.write_units == pytest.approx(dry.estimated_write_units, rel=0.1, abs=8)
        assert real.write_units > 0
        await source.append("ours", many(20))


async def test_written_by_another_region_there(make_repository: RepositoryFactory, make_table: TableFactory) -> None:
    """A dry run tells of it as the run does, where something is to be brought."""
    source, table = make_repository(), make_table()
    theirs, to = (make_repository(table, home_region=region) for region in ("eu-central-1", "us-east-1"))
    for more in (False, True):
        if more:
            await source.append("s", many(1))
        for dry_run in (True, False):
            told: list[Outcome] = []
            await migrate(source, Run(dry_run=dry_run, tell=told.append), to=to if more else theirs)
            assert [one.action for one in told] == (["failed"] if more else [])
            assert all("WrongRegionError" in str(one.detail) for one in told)
        if not more:
            await source.append("s", many(2))
            await migrate(source, to=theirs)


async def test_too_large_for_their_format(make_repository: RepositoryFactory, make_table: TableFactory) -> None:
    """A dry run says it too."""
    source, target = make_repository(), make_repository(make_table(), item_format="community")
    await source.append("s", bulk(1000, 600))
    for dry_run in (True, False):
        assert (await migrate(source, Run(dry_run=dry_run), to=target)).actions == {"failed": 1}


async def test_into_langchain_communitys_format(
    make_repository: RepositoryFactory, make_table: TableFactory, engine: TestEngine
) -> None:
    """For a fleet that still runs it: another table, in its format."""
    source, table = make_repository(sizes=SMALL), make_table()
    await source.append("s", [*many(3), AIMessage("x", response_metadata={"ratio": 1.0})])
    target = make_repository(table, item_format="community")
    assert (await migrate(source, to=target)).actions == {"copied": 1}
    assert (await migrate(source, to=target)).actions == {"unchanged": 1}
    theirs = Theirs(table, "s", endpoint_url=engine.endpoint_url).messages
    assert [m.text for m in theirs] == [m.text for m in (await source.read("s")).messages]


async def test_what_else_was_changed_in_between(make_repository: RepositoryFactory, make_table: TableFactory) -> None:
    """Metadata, attributes and a later expiry come over with the messages, and before the source is deleted."""
    clock = make_repository.set_clock()
    source, target = make_repository(sizes=SMALL), make_repository(make_table(), sizes=SMALL, ttl=50)
    for name in ("longer", "titled", "lasting", "sliding"):
        await source.append(name, many(30))
        await source.update_metadata(name, {"title": "old"})
        await source.set_expiry(name, 3600)
    await migrate(source, to=target)
    await source.update_metadata("longer", {"title": "new"}, attributes={"owner": "ann"})
    await source.append("longer", many(1))
    await source.update_metadata("titled", {"title": "new"}, attributes={"owner": "ann"})
    await source.set_expiry("lasting", None)
    clock.advance(600)
    await source.set_expiry("sliding", 3600)
    expected = {name: await source.read(name) for name in ("longer", "titled", "lasting", "sliding")}
    told: list[Outcome] = []
    await migrate(source, Run(tell=told.append), to=target)
    assert {outcome.session: (outcome.action, outcome.messages, outcome.detail) for outcome in told} == {
        "longer": ("extended", 1, "metadata 'title', attribute 'owner'"),
        "titled": ("extended", 0, "metadata 'title', attribute 'owner'"),
        "lasting": ("extended", 0, "expiry"),
        "sliding": ("extended", 0, "expiry"),
    }
    for name, chat in expected.items():
        there = await make_repository(target.table_name).read(name)
        assert (there.messages, there.metadata, there.attributes, there.expires_at) == (
            chat.messages, chat.metadata, chat.attributes, chat.expires_at
        )  # fmt: skip
    items = await scan(target)
    assert (await migrate(source, to=target)).actions == {"unchanged": 4}
    assert await scan(target) == items
    assert (await migrate(source, to=target, delete_source=True)).actions == {"unchanged": 4}
    assert await scan(source) == []


async def test_never_deleted_otherwise(make_repository: RepositoryFactory, make_table: TableFactory) -> None:
    """What was changed there since stays, and so does the source where that is another state of metadata."""
    clock = make_repository.set_clock()
    source, target = make_repository(), make_repository(make_table())
    for name in ("title", "owner", "time", "both"):
        await source.append(name, many(1), attributes={"owner": "ann"})
        await source.update_metadata(name, {"title": "old"})
    await migrate(source, to=target)
    clock.advance(10)
    await source.append("both", many(1))
    await target.update_metadata("both", {"title": "new"})
    await target.update_metadata("title", {"title": "new"})
    await target.update_metadata("owner", {}, attributes={"owner": "bob"})
    await target.set_expiry("time", 60)
    assert (await migrate(source, to=target)).actions == {"unchanged": 3, "extended": 1}
    assert (await target.read("time")).expires_at is not None
    for dry_run in (True, False):
        told: list[Outcome] = []
        await migrate(source, Run(tell=told.append, dry_run=dry_run), to=target, delete_source=True)
        assert {outcome.session: outcome.action for outcome in told} == {
            "title": "different", "owner": "different", "time": "extended", "both": "different"
        }  # fmt: skip
    assert {item["SessionId"]["S"] for item in await scan(source)} == {"title", "owner", "both"}
    found = {name: await target.read(name) for name in ("title", "owner", "time", "both")}
    assert (found["title"].metadata, found["owner"].attributes) == ({"title": "new"}, {"owner": "bob"})
    assert (found["both"].metadata, len(found["both"].messages)) == ({"title": "new"}, 2)
    assert found["time"].expires_at is None


async def test_attributes_and_time_in_their_format(
    make_repository: RepositoryFactory, make_table: TableFactory
) -> None:
    """The same for sessions of langchain_community's format, on either side; it does not say when they were changed."""
    paged, theirs = make_repository(), make_repository(make_table(), item_format="community")
    await paged.append("s", many(1))
    await migrate(paged, to=theirs)
    await paged.append("s", many(1), attributes={"owner": "ann"})
    await paged.set_expiry("s", 3600)
    assert (await migrate(paged, to=theirs)).actions == {"extended": 1}  # and for good: the earlier expiry stays away
    chat = await theirs.read("s")
    assert (len(chat.messages), chat.attributes, chat.expires_at) == (2, {"owner": "ann"}, None)
    back = make_repository(make_table())
    await theirs.set_expiry("s", 60)
    await migrate(theirs, to=back)
    await theirs.set_expiry("s", 3600)
    assert (await migrate(theirs, to=back)).actions == {"unchanged": 1}
    assert (await migrate(theirs, to=back, delete_source=True)).is_good
    chat = await back.read("s")
    assert chat.expires_at is not None
    assert 3500 < (chat.expires_at - datetime.now(timezone.utc)).total_seconds() < 3700
    assert await scan(theirs) == []


@pytest.mark.parametrize("back", [True, False])
async def test_nothing_becomes_plain_text(
    make_repository: RepositoryFactory, make_table: TableFactory, back: bool
) -> None:
    """An encrypted session stays as it is where it would, until that is wanted; a dry run says so too."""
    source = make_repository(encryption=LocalKeyring(b"k" * 32))
    await source.append("s", [HumanMessage("secret")])
    to = None if back else make_repository(make_table(), item_format="community")
    before = await scan(source)
    for dry_run in (True, False):
        told: list[Outcome] = []
        await migrate(source, Run(dry_run=dry_run, tell=told.append), to=to, back=back)
        assert (told[0].action, "plain=True" in (told[0].detail or "")) == ("failed", True)
    assert (await scan(source), [] if to is None else await scan(to)) == (before, [])
    for dry_run in (True, False):
        assert (await migrate(source, Run(dry_run=dry_run), to=to, back=back, plain=True)).is_good
    assert (await make_repository((to or source).table_name).read("s")).messages == [HumanMessage("secret")]


async def test_tables_of_one_name_that_share_a_prefix(make_repository: RepositoryFactory) -> None:
    """Refused before anything is read: deletions of one table would reach what the other has in the bucket."""
    source = make_repository(blobs=MemoryBlobs())
    await source.append("s", many(1, 2000))
    target = with_options(source)
    elsewhere = replace(target._connection.settings, region_name="eu-west-1")
    target._connection = Connection(elsewhere)
    with pytest.raises(SettingsError, match="deletions of one reach"):
        await source.copy("s", "t", repository=target)
    with pytest.raises(SettingsError, match="deletions of one reach"):
        source._check_objects_apart(target)


@pytest.mark.parametrize("prefix", ["in/", "", "in/new/"])
async def test_a_shared_prefix(make_repository: RepositoryFactory, make_table: TableFactory, prefix: str) -> None:
    """Names tell their table: what is deleted of one leaves the other's."""
    bucket = MemoryBlobs()
    source = make_repository(blobs=bucket)
    target = make_repository(make_table(), blobs=replace(bucket, prefix=prefix))
    await source.append("s", sent := many(1, 20_000))
    assert (await migrate(source, to=target)).is_good
    assert (await delete_sessions(source, Run(match="*"))).is_good
    await vacuum(source, Run(), older_than=0)
    assert (await target.read("s")).messages == sent
    assert len(bucket.objects) == 1


# --- Deaths ---


async def _dies(make: Any, operation: Any, at: int, after: bool) -> bool:
    dying = make()
    watch(dying, Crashing, at, after)
    try:
        await operation(dying)
    except Crash:
        return True
    return False


@pytest.mark.real_engine
@pytest.mark.parametrize("back", [False, True], ids=["there", "back"])
async def test_dying_at_every_request(make_repository: RepositoryFactory, theirs: Any, back: bool) -> None:
    """In place: nothing lost, readable at once; after another run all is done, and nothing is left."""
    make_repository.wait(renew=600, lease=0.05)
    expected = {"short": bulk(2), "long": bulk(40)}

    def make() -> AsyncSessionRepository:
        return make_repository(sizes=SMALL)

    died, at = True, 0
    while died:
        at += STEP
        for after in (False, True) if THOROUGH else (at % 2 == 0,):
            for name, messages in expected.items():
                await make().delete(name)
                theirs(name, messages)
            if back:
                await migrate(make())
            died = await _dies(make, lambda one: migrate(one, Run(at_once=1), back=back), at, after)
            assert await messages_of(make(), *expected) == expected
            await asyncio.sleep(0.06)  # past the lease
            await migrate(make(), back=back)
            await vacuum(make(), older_than=0)
            left = await scan(make())
            assert formats(left) == {"short": not back, "long": not back}
            assert await messages_of(make(), *expected) == expected
            assert ("lc_cut" in {name for item in left for name in item}) is not back
            assert "lc_intent" not in {name for item in left for name in item}
            for name in expected:
                await make().delete(name)
            assert await scan(make()) == []
    assert at > max(5, STEP)


@pytest.mark.real_engine
async def test_dying_on_the_way_to_another_table(
    make_repository: RepositoryFactory, make_table: TableFactory, theirs: Any
) -> None:
    """With the sources deleted: each message is in one of the tables at any time, and in the end in the other."""
    make_repository.wait(renew=600, lease=0.05)
    expected = {"short": bulk(2), "long": bulk(40)}
    died, at, table = True, 0, make_table()
    while died:
        at += STEP
        for after in (False, True) if THOROUGH else (at % 2 == 0,):
            for name, messages in expected.items():
                await make_repository(table).delete(name)
                theirs(name, messages)
            died = await _to_another(make_repository, table, at, after)
            here = await messages_of(make_repository(), *expected)
            there = await messages_of(make_repository(table), *expected)
            assert all(messages in (here[name], there[name]) for name, messages in expected.items())
            await migrate(make_repository(), to=make_repository(table, sizes=SMALL), delete_source=True)
            assert (await scan(make_repository()), await messages_of(make_repository(table), *expected)) == (
                [],
                expected,
            )
            await vacuum(make_repository(table), older_than=0)
            for name in expected:
                await make_repository(table).delete(name)
            assert await scan(make_repository(table)) == []
    assert at > max(5, STEP)


@pytest.mark.real_engine
async def test_dying_while_changes_are_brought(make_repository: RepositoryFactory, make_table: TableFactory) -> None:
    """Messages, metadata, attributes and expiry: what one run did not bring, the next one does."""
    make_repository.wait(renew=600, lease=0.05)
    died, at, table = True, 0, make_table()
    while died:
        at += STEP
        for after in (False, True) if THOROUGH else (at % 2 == 0,):
            source = make_repository(sizes=SMALL)
            await source.append("s", many(30))
            await source.set_expiry("s", 3600)
            await migrate(source, to=make_repository(table, sizes=SMALL))
            await source.append("s", many(5), attributes={"owner": "ann"})
            await source.update_metadata("s", {"title": "new"})
            await source.set_expiry("s", 7200)
            died = await _to_another(make_repository, table, at, after)
            await asyncio.sleep(0.06)  # past the lease
            here = await make_repository().read("s")
            await migrate(make_repository(), to=make_repository(table, sizes=SMALL), delete_source=True)
            there = await make_repository(table).read("s")
            if here.version:  # else it died when all was there
                assert (there.messages, there.expires_at) == (here.messages, here.expires_at)
            assert (len(there.messages), there.metadata, there.attributes) == (35, {"title": "new"}, {"owner": "ann"})
            await vacuum(make_repository(), older_than=0)
            assert await scan(make_repository()) == []
            await make_repository(table).delete("s")
    assert at > max(5, STEP)


async def _to_another(make_repository: RepositoryFactory, table: str, at: int, after: bool) -> bool:
    """Die with the n-th request of both repositories together."""
    source, target = make_repository(sizes=SMALL), make_repository(table, sizes=SMALL)
    crashing = watch(source, Crashing, at, after)
    shared: Any = watch(target, Crashing, at, after)
    shared.around = crashing.around
    try:
        await migrate(source, Run(at_once=1), to=target, delete_source=True)
    except Crash:
        return True
    return False
