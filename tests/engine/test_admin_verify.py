"""Every session read wholly, and compared with another place."""

from __future__ import annotations

import io

import pytest
from langchain_core.messages import HumanMessage

from conftest import RepositoryFactory, TableFactory
from langchain_dynamodb import AsyncSessionRepository
from langchain_dynamodb.admin import Outcome, Run, export_sessions, verify
from langchain_dynamodb.errors import InvalidInputError
from support import SMALL, many, scan


async def damage(repository: AsyncSessionRepository, session: str) -> None:
    """Overwrite the data of one of its pages."""
    [page, *_] = [item for item in await scan(repository) if item["SessionId"]["S"].startswith(f"{session}~lc~")]
    page["lc_data"] = {"B": b"nonsense"}
    await repository._connection.call("put_item", {"TableName": repository.table_name, "Item": page}, write=True)


async def test_damage_is_named(make_repository: RepositoryFactory) -> None:
    """One that is damaged hides no other, and its error says what is wrong."""
    sessions = make_repository(sizes=SMALL)
    for name in ("good", "bad"):
        await sessions.append(name, many(30))
    await damage(sessions, "bad")
    told: list[Outcome] = []
    summary = await verify(sessions, Run(tell=told.append))
    found = {outcome.session: (outcome.action, outcome.messages) for outcome in told}
    assert (found, summary.is_good) == ({"good": ("verified", 30), "bad": ("damaged", None)}, False)
    assert any("lc_data" in (outcome.detail or "") for outcome in told)


async def test_another_table(make_repository: RepositoryFactory, make_table: TableFactory) -> None:
    """Each session must begin there as it is here."""
    source, target = make_repository(), make_repository(make_table())
    for name in ("same", "ahead", "behind", "other", "none"):
        await source.append(name, [HumanMessage("1"), HumanMessage("2")])
    await target.append("same", [HumanMessage("1"), HumanMessage("2")])
    await target.append("ahead", [HumanMessage("1"), HumanMessage("2"), HumanMessage("3")])
    await target.append("behind", [HumanMessage("1")])
    await target.append("other", [HumanMessage("1"), HumanMessage("x")])
    told: list[Outcome] = []
    await verify(source, Run(tell=told.append), to=target)
    wrong = {outcome.session: outcome.detail for outcome in told if outcome.action == "different"}
    assert ({outcome.session for outcome in told} - {*wrong}, {*wrong}) == (
        {"same", "ahead"},
        {"behind", "other", "none"},
    )
    assert (wrong["behind"] or "").endswith("has 1 of 2 messages")
    assert (wrong["other"] or "").endswith("message 1 is another one")


async def test_a_file(make_repository: RepositoryFactory) -> None:
    """What was exported must be there still: sessions may have gone on, and others may have begun."""
    sessions = make_repository()
    for name in ("same", "ahead", "gone"):
        await sessions.append(name, [HumanMessage("1")])
    output = io.BytesIO()
    await export_sessions(sessions, output)
    await sessions.append("ahead", [HumanMessage("2")])
    await sessions.append("new", [HumanMessage("2")])
    await sessions.delete("gone")
    output.seek(0)
    told: list[Outcome] = []
    await verify(sessions, Run(tell=told.append), against=output)
    found = {outcome.session: outcome.action for outcome in told}
    assert found == {"same": "verified", "ahead": "verified", "gone": "different"}


async def test_without_messages(make_repository: RepositoryFactory, make_table: TableFactory) -> None:
    """A session that holds none is missed all the same."""
    sessions, other = make_repository(), make_repository(make_table())
    await sessions.update_metadata("s", {"title": "t"}, must_exist=False)
    output = io.BytesIO()
    await export_sessions(sessions, output)
    told: list[Outcome] = []
    await verify(sessions, Run(tell=told.append), to=other)
    await sessions.delete("s")
    output.seek(0)
    await verify(sessions, Run(tell=told.append), against=output)
    assert [(one.action, "has no such session" in (one.detail or "")) for one in told] == [("different", True)] * 2


async def test_what_has_expired_since(make_repository: RepositoryFactory) -> None:
    """It is not different, but gone as it was to be; no sessions can be named beside a file."""
    clock = make_repository.set_clock()
    sessions = make_repository()
    await sessions.append("s", many(1))
    await sessions.set_expiry("s", 60)
    output = io.BytesIO()
    await export_sessions(sessions, output)
    clock.advance(100)
    output.seek(0)
    assert (await verify(sessions, against=output)).actions == {"skipped": 1}
    output.seek(0)
    with pytest.raises(InvalidInputError, match="none can be named"):
        await verify(sessions, Run(sessions=["s"]), against=output)


async def test_one_of_the_two(sessions: AsyncSessionRepository) -> None:
    """Which one is meant would be open."""
    with pytest.raises(InvalidInputError, match="give one of them"):
        await verify(sessions, to=sessions, against=io.BytesIO())


async def test_a_session_that_is_not_there(sessions: AsyncSessionRepository) -> None:
    """Named, it is an error; of a listing it would have been deleted meanwhile."""
    told: list[Outcome] = []
    summary = await verify(sessions, Run(sessions=["nobody"], tell=told.append))
    assert (summary.actions, "SessionNotFoundError" in (told[0].detail or "")) == ({"failed": 1}, True)
