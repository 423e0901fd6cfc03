"""Sessions to a file and from it, exactly; runs that are stopped and gone on with."""

from __future__ import annotations

import asyncio
import enum
import errno
import io
import json
from dataclasses import replace
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from conftest import RepositoryFactory, TableFactory
from langchain_dynamodb import AsyncSessionRepository, SessionRepository
from langchain_dynamodb._dynamodb import metering
from langchain_dynamodb.admin import (
    Outcome,
    Progress,
    Run,
    doctor,
    export_sessions,
    import_sessions,
    migrate,
    reencrypt_sessions,
    running,
    verify,
)
from langchain_dynamodb.admin.lines import read_line
from langchain_dynamodb.codec import messages as codec
from langchain_dynamodb.errors import InvalidInputError, ThrottledError, UnregisteredClassWarning
from support import SMALL, Call, Crash, Hooked, WatchedConnection, many, scan, watch

pytestmark = [pytest.mark.once, pytest.mark.any_engine]

VALUES = [
    HumanMessage("plain ünïcode", id="h1"),
    AIMessage("a", additional_kwargs={"raw": b"\x00\n\xff" * 40, "at": datetime(2026, 1, 2, tzinfo=timezone.utc)}),
    AIMessage("b", response_metadata={"big": 2**80, "inf": float("inf"), "half": "\ud800"}),
    ToolMessage("t", tool_call_id="c", artifact=(1, {2})),
]


class Kind(enum.Enum):
    """A class that nobody has registered."""

    ONE = object()


class Stranger(enum.Enum):
    """Another one, with a value that can be stored."""

    ONE = (1, 2)


def head(line: bytes) -> dict[str, Any]:
    """What a line says but for the version, which is another one each time."""
    told = json.loads(line)
    del told["version"]
    return dict(told)


async def exported(repository: AsyncSessionRepository, run: Run | None = None) -> list[bytes]:
    """The lines of an export, by session."""
    output = io.BytesIO()
    await export_sessions(repository, output, run)
    return sorted(output.getvalue().splitlines(keepends=True), key=lambda line: json.dumps(head(line), sort_keys=True))


async def test_everything_comes_back(make_repository: RepositoryFactory, make_table: TableFactory) -> None:
    """Values, metadata, attributes, times, expiry and pages of another table are the same, to the byte."""
    source, target = make_repository(sizes=SMALL), make_repository(make_table(), sizes=SMALL)
    with pytest.warns(UnregisteredClassWarning):
        await source.append("values", [*VALUES, AIMessage("c", additional_kwargs={"kind": Stranger.ONE})])
    await source.append("long", many(40), attributes={"owner": "ann", "raw": b"\x01", "n": 7})
    await source.update_metadata("long", {"title": "ü", "count": 2**70, "ratio": 0.1})
    await source.set_expiry("long", 5000)
    lines = await exported(source)
    summary = await import_sessions(target, io.BytesIO(b"".join(lines)))
    assert (summary.actions, summary.messages) == ({"imported": 2}, 45)
    assert [head(line) for line in await exported(target)] == [head(line) for line in lines]
    for session in ("values", "long"):
        theirs, ours = await source.read(session), await target.read(session)
        assert ours.model_copy(update={"version": theirs.version}) == theirs


async def test_a_second_import_changes_nothing(make_repository: RepositoryFactory, make_table: TableFactory) -> None:
    """What is there stays, also where it has gone on; what is missing at the end is added; what differs is told."""
    source, target = make_repository(), make_repository(make_table())
    for session in ("same", "ahead", "behind", "other"):
        await source.append(session, [HumanMessage("1"), HumanMessage("2")])
    first = await exported(source)
    await import_sessions(target, io.BytesIO(b"".join(first)))
    await target.append("ahead", [HumanMessage("3")])
    await source.append("behind", [HumanMessage("3")])
    await target.replace("other", [HumanMessage("1"), HumanMessage("x"), HumanMessage("y")])
    before = await scan(target)
    second = b"".join(await exported(source))
    told: list[Outcome] = []
    summary = await import_sessions(target, io.BytesIO(second), Run(tell=told.append))
    assert {outcome.session: outcome.action for outcome in told} == {
        "same": "unchanged", "ahead": "unchanged", "behind": "extended", "other": "different"
    }  # fmt: skip
    assert (summary.is_good, [m.text for m in (await target.read("behind")).messages]) == (False, ["1", "2", "3"])
    changed = [item["SessionId"]["S"] for item in await scan(target) if item not in before]
    assert changed == ["behind"]


async def test_keys_of_any_type(make_repository: RepositoryFactory, make_table: TableFactory) -> None:
    """Sessions that are named by a whole key keep it: bytes and numbers too."""
    tables = [make_table("owner:B", "number:N") for _ in range(2)]
    source, target = (make_repository(table, primary_key_name="owner") for table in tables)
    key = {"owner": b"\xff\x00", "number": 10**20}
    await source.append(key, many(3))
    await import_sessions(target, io.BytesIO(b"".join(await exported(source))))
    assert (await target.read(key)).messages == (await source.read(key)).messages


async def test_items_of_langchain_community_are_exported(
    make_repository: RepositoryFactory, make_table: TableFactory, dynamodb: Any, table_name: str
) -> None:
    """They need not be converted first, and stay as they are; their attributes come along."""
    message = {"M": {"type": {"S": "human"}, "data": {"M": {"content": {"S": "hi"}, "type": {"S": "human"}}}}}
    item = {"SessionId": {"S": "s"}, "History": {"L": [message]}, "Plan": {"S": "gold"}}
    dynamodb.put_item(TableName=table_name, Item=item)
    source, target = make_repository(), make_repository(make_table())
    await import_sessions(target, io.BytesIO(b"".join(await exported(source))))
    chat = await target.read("s")
    assert (chat.messages, chat.attributes, await scan(source)) == ([HumanMessage("hi")], {"Plan": "gold"}, [item])


async def test_what_has_expired_is_skipped(make_repository: RepositoryFactory, make_table: TableFactory) -> None:
    """Nobody would see it."""
    clock = make_repository.set_clock()
    source, target = make_repository(), make_repository(make_table())
    await source.append("s", many(1))
    await source.set_expiry("s", 60)
    lines = await exported(source)
    clock.advance(100)
    assert (await import_sessions(target, io.BytesIO(b"".join(lines)))).actions == {"skipped": 1}


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (b"{", "line 1 is no session that export wrote"),
        (b"[]", "line 1 is no session that export wrote"),
        (b'{"langchain_dynamodb": 2}', "a newer version"),
        (b'{"langchain_dynamodb":1,"session":"s","version":1,"messages":[{"line":"$","binary":"?"}]}', "base64"),
        *(
            (b'{"langchain_dynamodb":1,"session":"s","version":1,"messages":[],' + wrong + b"}", told)
            for wrong, told in (
                (b'"attributes":{"a":{"X":1}}', "no type"),
                (b'"attributes":{"a":{"S":5}}', "no value of type S"),
                (b'"attributes":{"a":{"N":"x"}}', "line 1 is no session"),
                (b'"attributes":{"a":{"NS":["x"]}}', "line 1 is no session"),
                (b'"session":5', "session 5 must be a text"),
                (b'"session":null', "session None must be a text"),
                (b'"expires":"abc"', "expires 'abc' must be a number"),
                (b'"expires":-5', "expires -5 must be a number"),
                (b'"version":1e300', "version 1e\\+300 must be a number"),
                (b'"created":5', "line 1 is no session"),
            )
        ),
    ],
)
async def test_a_line_that_is_none(sessions: AsyncSessionRepository, line: bytes, told: str) -> None:
    """The error names the line, and nothing of it is written."""
    with pytest.raises(InvalidInputError, match=told):
        await import_sessions(sessions, io.BytesIO(line))
    assert await scan(sessions) == []


async def test_a_session_that_cannot_be_had(sessions: AsyncSessionRepository) -> None:
    """Its message cannot be decoded, or its attributes are ours to set: it has failed, and the others are imported."""
    wrong = [
        b'"messages":[{"type":"nobody"}]',
        *(b'"messages":[],"attributes":{"%s":{"N":"5"}}' % name for name in (b"lc_intent", b"History", b"expireAt")),
        b'"messages":[],"attributes":{"SessionId":{"S":"other"}}',
    ]
    lines = [b'{"langchain_dynamodb":1,"session":"s%d","version":1,%s}\n' % one for one in enumerate(wrong)]
    lines.append(b'{"langchain_dynamodb":1,"session":"good","version":1,"messages":[{"type":"human","content":"hi"}]}')
    told: list[Outcome] = []
    summary = await import_sessions(sessions, io.BytesIO(b"".join(lines)), Run(tell=told.append))
    assert summary.actions == {"failed": len(wrong), "imported": 1}
    assert ["cannot be decoded" in str(one.detail) for one in told if one.session == "s0"] == [True]
    assert [item["SessionId"] for item in await scan(sessions)] == [{"S": "good"}]


async def test_a_class_that_is_not_registered(sessions: AsyncSessionRepository, dynamodb: Any) -> None:
    """The session is written out as it is, and that it cannot be decoded here is told."""
    await sessions.append("s", many(1))
    line = codec.pack([b'{"type":"nobody","content":"x"}'])
    (item,) = await scan(sessions)
    dynamodb.put_item(TableName=sessions.table_name, Item={**item, "History": {"L": [{"B": line}]}})
    told: list[Outcome] = []
    output = io.BytesIO()
    assert not (await export_sessions(sessions, output, Run(tell=told.append))).is_good
    assert (told[0].action, "exported as it is" in str(told[0].detail)) == ("damaged", True)
    assert b"nobody" in output.getvalue()


async def test_a_dry_run_writes_nothing(sessions: AsyncSessionRepository) -> None:
    """It says what would be done."""
    await sessions.append("s", many(2))
    lines = b"".join(await exported(sessions))
    await sessions.delete("s")
    summary = await import_sessions(sessions, io.BytesIO(lines), Run(dry_run=True))
    assert (summary.actions, summary.estimated_write_units, await scan(sessions)) == ({"imported": 1}, 1, [])


@pytest.mark.dynamodb_local_only
@pytest.mark.parametrize("count", [1, 20, 300])
async def test_the_estimate_is_what_it_takes(sessions: AsyncSessionRepository, count: int) -> None:
    """A dry run foretells the write units, whether or not there are pages; a number may take a byte less."""
    await sessions.append("s", many(count), attributes={"owner": "ann"})
    lines = b"".join(await exported(sessions))
    await sessions.delete("s")
    dry = await import_sessions(sessions, io.BytesIO(lines), Run(dry_run=True))
    real = await import_sessions(sessions, io.BytesIO(lines))
    assert dry.estimated_write_units is not None
    assert 0 <= dry.estimated_write_units - real.write_units <= 2


# --- Going over the sessions ---


async def test_segments_share_the_table(sessions: AsyncSessionRepository) -> None:
    """Each session is in one of them."""
    names = {f"s{i}" for i in range(30)}
    for name in names:
        await sessions.append(name, many(1))
    parts = [await exported(sessions, Run(segments=4, segment=i)) for i in range(4)]
    found = [read_line(line, "here").session for part in parts for line in part]
    assert (len(found), {*found}, max(map(len, parts)) < 30) == (30, names, True)


async def test_chosen_by_name_or_pattern(make_repository: RepositoryFactory, make_table: TableFactory) -> None:
    """By ids, by whole keys, or by a pattern on the key's values."""
    sessions = make_repository(make_table("PK", "SK"), primary_key_name="PK")
    keys = [{"PK": owner, "SK": chat} for owner in ("ann", "bob") for chat in ("1", "2")]
    for key in keys:
        await sessions.append(key, many(1))
    by_pattern = await exported(sessions, Run(match="ann/*"))
    by_name = await exported(sessions, Run(sessions=[keys[2]]))
    found = [[read_line(line, "here").session for line in lines] for lines in (by_pattern, by_name)]
    assert found == [keys[:2], keys[2:3]]


@pytest.mark.parametrize(
    "wrong",
    [
        {"segments": 0},
        {"segments": 2, "segment": 2},
        {"segments": 2, "sessions": ["s"]},
        {"match": "*", "sessions": ["s"]},
        {"max_write_units": 0},
        {"max_write_units": True},
        {"segments": 2},
        {"sessions": "ann/1"},
        {"sessions": {"PK": "ann"}},
        {"sessions": 5},
        {"sessions": [5]},
        {"match": 5},
        {"resume": "file"},
        {"at_once": 0},
        {"dry_run": 1},
    ],
)
def test_a_run_that_makes_no_sense(wrong: dict[str, Any]) -> None:
    """It is refused when it is made."""
    with pytest.raises(InvalidInputError):
        Run(**wrong)


class Dying(WatchedConnection):
    """Dies before its n-th write."""

    def __init__(self, inner: Any, at: int) -> None:
        super().__init__(inner)
        self.left = at

    async def call(self, operation: str, request: Any, **options: Any) -> dict[str, Any]:
        if options.get("write"):
            self.left -= 1
            if self.left < 0:
                raise Crash
        return await self.inner.call(operation, request, **options)


async def test_import_goes_on(make_repository: RepositoryFactory, make_table: TableFactory, tmp_path: Path) -> None:
    """Wherever it stops, the next run does the rest, and once it is through there is no file any more."""
    make_repository.wait(lease=0.05)
    source, resume = make_repository(sizes=SMALL), tmp_path / "resume"
    for i in range(6):
        await source.append(f"s{i}", many(8 * i + 1))
    lines = await exported(source)
    for at in (0, 1, 2, 5, 9, 12):
        table = make_table()
        dying = make_repository(table, sizes=SMALL)
        watch(dying, Dying, at)
        with pytest.raises(Crash):
            await import_sessions(dying, io.BytesIO(b"".join(lines)), Run(resume=resume, at_once=2))
        target = make_repository(table, sizes=SMALL, timing=None)
        summary = await import_sessions(target, io.BytesIO(b"".join(lines)), Run(resume=resume, at_once=2))
        assert [head(line) for line in await exported(target)] == [head(line) for line in lines]
        assert (summary.sessions, resume.exists()) == (6, False)


async def test_export_goes_on(sessions: AsyncSessionRepository, tmp_path: Path) -> None:
    """What was written after the last note of how far it was is cut off: each session is in the file once."""
    for i in range(12):
        await sessions.append(f"s{i}", many(1))
    path, resume = tmp_path / "out.jsonl", tmp_path / "resume"
    seen: list[Outcome] = []

    def stop(outcome: Outcome) -> None:
        seen.append(outcome)
        if len(seen) == 5:
            raise Crash

    with path.open("wb") as output, pytest.raises(Crash):
        await export_sessions(sessions, output, Run(resume=resume, tell=stop, at_once=1))
    with path.open("ab") as output:
        output.write(b"half a li")  # of a process that was killed
    with path.open("r+b") as output:
        summary = await export_sessions(sessions, output, Run(resume=resume))
    found = [read_line(line, "here").session for line in path.read_bytes().splitlines()]
    assert (sorted(found), summary.sessions) == (sorted(f"s{i}" for i in range(12)), 12)


class _Full(io.FileIO):
    """A disk that has no room for all of the third session, and has some again then."""

    room = 3

    def write(self, data: Any) -> int:
        self.room -= 1
        if self.room == 0:
            super().write(bytes(data)[:20])
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(data)


async def test_export_to_a_full_disk(sessions: AsyncSessionRepository, tmp_path: Path) -> None:
    """Half a session is not taken for one that was written: once there is room, the same command does the rest."""
    for i in range(12):
        await sessions.append(f"s{i}", many(1))
    path, resume = tmp_path / "out.jsonl", tmp_path / "resume"
    with _Full(str(path), "w") as output, pytest.raises(OSError, match="No space left"):
        await export_sessions(sessions, output, Run(resume=resume))
    with path.open("r+b") as output:
        summary = await export_sessions(sessions, output, Run(resume=resume))
    found = [read_line(line, "here").session for line in path.read_bytes().splitlines()]
    assert (sorted(found), summary.actions) == (sorted(f"s{i}" for i in range(12)), {"exported": 12})


async def test_export_goes_on_with_another_file(sessions: AsyncSessionRepository, tmp_path: Path) -> None:
    """One that is not the one that was begun, or has lost something of it, is refused and stays as it is."""
    for i in range(6):
        await sessions.append(f"s{i}", many(1))
    path, resume = tmp_path / "out.jsonl", tmp_path / "resume"
    with path.open("wb") as output, pytest.raises(Crash):
        await export_sessions(sessions, output, Run(resume=resume, tell=_crash, at_once=1))
    written, other = path.read_bytes(), tmp_path / "other.jsonl"
    other.write_bytes(b"x" * 10_000)
    with other.open("r+b") as output, pytest.raises(InvalidInputError, match="is of another run"):
        await export_sessions(sessions, output, Run(resume=resume))
    path.write_bytes(written[:-1])
    with path.open("r+b") as output, pytest.raises(InvalidInputError, match="it is another file, or was changed"):
        await export_sessions(sessions, output, Run(resume=resume))
    assert (other.read_bytes(), path.read_bytes()) == (b"x" * 10_000, written[:-1])
    path.write_bytes(written)
    with path.open("r+b") as output:
        assert (await export_sessions(sessions, output, Run(resume=resume))).sessions == 6


async def test_import_goes_on_with_another_file(
    make_repository: RepositoryFactory, make_table: TableFactory, tmp_path: Path
) -> None:
    """Its first lines would be skipped: refused, as is another region and another target."""
    source, target, resume = make_repository(), make_repository(make_table()), tmp_path / "resume"
    for i in range(4):
        await source.append(f"s{i}", many(1))
    lines = b"".join(await exported(source))
    run = Run(resume=resume, tell=_crash, at_once=1)
    with pytest.raises(Crash):
        await import_sessions(target, io.BytesIO(lines), run)
    for other in (lines.replace(b'"s', b'"t'), lines + lines):
        with pytest.raises(InvalidInputError, match="is of another run"):
            await import_sessions(target, io.BytesIO(other), run)
    elsewhere = make_repository(target.table_name, region_name="eu-west-1")
    with pytest.raises(InvalidInputError, match="is of another run"):
        await import_sessions(elsewhere, io.BytesIO(lines), run)
    assert (await import_sessions(target, io.BytesIO(lines), replace(run, tell=print))).sessions == 4
    with pytest.raises(Crash):
        await migrate(source, run, to=target)
    elsewhere = make_repository(target.table_name, region_name="us-west-1")
    with pytest.raises(InvalidInputError, match="is of another run"):
        await migrate(source, run, to=elsewhere)
    with pytest.raises(InvalidInputError, match="resume needs a file"):
        await import_sessions(target, _Pipe(lines), replace(run, resume=tmp_path / "new"))


class _Pipe(io.BytesIO):
    def tell(self) -> int:
        raise io.UnsupportedOperation


async def test_a_refused_run_leaves_no_file(sessions: AsyncSessionRepository, tmp_path: Path) -> None:
    """It would refuse the corrected one."""
    resume = tmp_path / "resume"
    with pytest.raises(InvalidInputError, match="itself"):
        await migrate(sessions, Run(resume=resume), to=sessions)
    assert not resume.exists()


async def test_what_was_done_before_an_error_is_told(sessions: AsyncSessionRepository, tmp_path: Path) -> None:
    """All that was begun beside the one that ends the run is done, told and counted; the next run does the rest."""
    for i in range(12):
        await sessions.append(f"s{i}", many(1))
    lines, resume = b"".join(await exported(sessions)), tmp_path / "resume"
    for i in range(12):
        await sessions.delete(f"s{i}")
    failed: list[str] = []

    async def fails(operation: str, request: Any, proceed: Call) -> dict[str, Any]:
        if operation == "update_item" and not failed:
            failed.append("")
            await asyncio.sleep(0.3)  # till the others are done
            raise ThrottledError("slow down", code="ThrottlingException")
        return await proceed()

    watch(sessions, Hooked, fails)
    told: list[Outcome] = []
    run = Run(resume=resume, tell=told.append)
    with pytest.raises(ThrottledError):
        await import_sessions(sessions, io.BytesIO(lines), run)
    assert len(told) == len(await scan(sessions)) == 11
    summary = await import_sessions(sessions, io.BytesIO(lines), run)
    assert len(await scan(sessions)) == 12
    assert (summary.actions["imported"], summary.sessions) == (12, len(told))


async def test_a_long_search_is_seen(sessions: AsyncSessionRepository, monkeypatch: pytest.MonkeyPatch) -> None:
    """How far a run has come is shown where nothing matches for long, too."""
    monkeypatch.setattr(running, "SHOW_SECONDS", 0.01)
    await sessions.append("s", many(1))
    seen: list[Progress] = []

    async def slow(operation: str, request: Any, proceed: Call) -> dict[str, Any]:
        response = await proceed()
        await asyncio.sleep(0.1 if operation == "scan" else 0)
        return response

    watch(sessions, Hooked, slow)
    await export_sessions(sessions, io.BytesIO(), Run(match="nothing", show=seen.append))
    assert seen


async def test_how_far_a_list_of_sessions_is(sessions: AsyncSessionRepository) -> None:
    """The time left is told by how many of those that were named are done."""
    names = [f"s{i}" for i in range(4)]
    for name in names:
        await sessions.append(name, many(1))
    seen: list[Progress] = []
    await export_sessions(sessions, io.BytesIO(), Run(names, at_once=1, show=seen.append))
    assert [(one.scanned, one.items) for one in seen] == [(done, 4) for done in range(1, 5)]
    assert [one.seconds_left is None for one in seen] == [False] * 4


async def test_how_far_a_file_is(sessions: AsyncSessionRepository, tmp_path: Path) -> None:
    """The time left is told by how much of it was read."""
    for i in range(4):
        await sessions.append(f"s{i}", many(1))
    file = tmp_path / "all.jsonl"
    seen: list[Progress] = []
    with file.open("wb") as output:
        await export_sessions(sessions, output)
    with file.open("rb") as lines:
        await import_sessions(sessions, lines, Run(at_once=1, show=seen.append))
    assert {one.items for one in seen} == {file.stat().st_size}
    assert 0 < seen[0].scanned < seen[-1].scanned == file.stat().st_size
    assert [one.seconds_left is None for one in seen] == [False] * 4


async def test_not_for_synchronous_repositories(table_name: str) -> None:
    """Said so, whatever function it is."""
    with SessionRepository(table_name) as blocking:
        for work in (verify, migrate, doctor, reencrypt_sessions, partial(export_sessions, output=io.BytesIO())):
            with pytest.raises(InvalidInputError, match="pass an AsyncSessionRepository"):
                await work(blocking)  # type: ignore[operator]


async def test_of_another_run(sessions: AsyncSessionRepository, tmp_path: Path) -> None:
    """A file of another run, or none of ours, is refused before anything is done."""
    resume = tmp_path / "resume"
    await sessions.append("s", many(1))
    with pytest.raises(Crash):
        await export_sessions(sessions, io.BytesIO(), Run(resume=resume, tell=_crash))
    with pytest.raises(InvalidInputError, match=r"is of another run \(match: None there, 'a\*' here\)"):
        await export_sessions(sessions, io.BytesIO(), Run(resume=resume, match="a*"))
    resume.write_text("{}")
    with pytest.raises(InvalidInputError, match="does not say where a run has stopped"):
        await export_sessions(sessions, io.BytesIO(), Run(resume=resume))


def _crash(outcome: Outcome) -> None:
    raise Crash


class Slow(WatchedConnection):
    """Lets writes wait, and notes those that end."""

    def __init__(self, inner: Any, begun: asyncio.Event, go: asyncio.Event) -> None:
        super().__init__(inner)
        self.begun, self.go, self.ended = begun, go, 0

    async def call(self, operation: str, request: Any, **options: Any) -> dict[str, Any]:
        if options.get("write"):
            self.begun.set()
            await self.go.wait()
        response = await self.inner.call(operation, request, **options)
        self.ended += bool(options.get("write"))
        return response


async def test_cancelled(make_repository: RepositoryFactory, make_table: TableFactory, tmp_path: Path) -> None:
    """What was begun is finished and counted, nothing more is begun, and the run can go on."""
    source, target = make_repository(), make_repository(make_table())
    for i in range(10):
        await source.append(f"s{i}", many(1))
    lines = b"".join(await exported(source))
    begun, go = asyncio.Event(), asyncio.Event()
    slow: Slow = watch(target, Slow, begun, go)
    run = Run(resume=tmp_path / "resume", at_once=3)
    task = asyncio.create_task(import_sessions(target, io.BytesIO(lines), run))
    await begun.wait()
    task.cancel()
    await asyncio.sleep(0)
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert 1 <= slow.ended <= 3
    assert json.loads((tmp_path / "resume").read_text())["position"] == str(slow.ended)
    assert (await import_sessions(target, io.BytesIO(lines), run)).actions == {"imported": 10}


async def test_the_pace_is_kept(sessions: AsyncSessionRepository, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each write waits until the ones before it are paid for."""
    now, slept = 100.0, []

    async def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds
        slept.append(round(seconds, 3))

    monkeypatch.setattr(metering.asyncio, "sleep", sleep)
    pace = metering.Pace(10, clock=lambda: now)
    for units in (5, 1, 1):
        await pace.turn()
        pace.spend(units)
    assert slept == [0.5, 0.1]


async def test_the_pace_is_kept_by_all() -> None:
    """Those that wait go one after the other, before it is known what each takes."""
    pace, loop = metering.Pace(100), asyncio.get_running_loop()
    at: list[float] = []

    async def write() -> None:
        await pace.turn()
        at.append(loop.time())

    await asyncio.gather(*(write() for _ in range(8)))
    assert at[-1] - at[0] > 0.06
